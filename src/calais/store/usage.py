"""Enhanced key usage: what a certificate is good for, from its extension and from property 9.

``None`` stands for "good for everything", an empty list for "good for nothing".
Source: CertGetEnhancedKeyUsage, CertGetValidUsages; RFC 5280, 4.2.1.12.
"""

from __future__ import annotations

from calais.store import arguments, certificate, der
from calais.store.model import Element
from calais.win.codes import Code
from calais.win.errors import BadData, NotFound
from calais.win.flags import PropId

EXT_ONLY = 0x2  # CERT_FIND_EXT_ONLY_ENHKEY_USAGE_FLAG
PROP_ONLY = 0x4  # CERT_FIND_PROP_ONLY_ENHKEY_USAGE_FLAG


def parse_usages(encoded: bytes) -> list[str]:
    """The OIDs of an ExtKeyUsageSyntax.

    Raises:
        BadData: CRYPT_E_ASN1_*.
    """
    sequence = der.expect(der.read(encoded), der.SEQUENCE, "the usages")
    return [der.oid_text(der.expect(node, der.OID, "a usage").content) for node in sequence.children()]


def usages(element: Element, flags: int = 0) -> list[str] | None:
    """What the certificate is good for; where both sources speak, what both allow, in the extension's order.

    Raises:
        NotFound: CRYPT_E_NOT_FOUND, the one source that ``flags`` leaves is missing.
        BadData: a source cannot be read.
    """
    flags = arguments.number(flags)
    extension = None if flags & PROP_ONLY else element.outline.extension(certificate.OID_ENHANCED_KEY_USAGE)
    stored = None if flags & EXT_ONLY else element.lookup(PropId.ENHKEY_USAGE)
    if flags & (EXT_ONLY | PROP_ONLY) and extension is None and stored is None:
        raise NotFound(Code.CRYPT_E_NOT_FOUND, "The certificate says nothing about its usage there.")
    sources = [parse_usages(source) for source in (extension, stored) if source is not None]
    if not sources:
        return None
    return [oid for oid in sources[0] if all(oid in source for source in sources)]


def find_usages(element: Element, flags: int) -> list[str] | None:
    """As ``usages``, for a search: a source that is missing or cannot be read says nothing."""
    try:
        return usages(element, flags)
    except (NotFound, BadData):
        return None
