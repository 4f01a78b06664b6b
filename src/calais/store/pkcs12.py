"""The certificates of a PKCS #12 file; keys stay in it.

``cryptography`` opens it. Before that, whoever made the file is not let to choose how long that takes.
Source: RFC 7292, 4; RFC 8018, A.2 (iteration counts).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from calais.store import ber, der
from calais.store.api import CERTIFICATE
from calais.store.items import Item
from calais.win.codes import Code
from calais.win.der import build, encode_oid
from calais.win.errors import BadData, WinError

OID_DATA = "1.2.840.113549.1.7.1"
MAX_BYTES = 1 << 24
MAX_ITERATIONS = 1 << 22
MAX_COUNT_BYTES = 8
MAX_NODES = 1 << 15
MAX_DEPTH = 24
_EXPLICIT_0 = 0xA0
_VERSION = b"\x03"


def parse_certificates(data: bytes, password: str | None = None) -> list[Item]:
    """The certificates in a PFX, that of the key first.

    Args:
        data: the PFX.
        password: ``None`` or ``""`` = none, or an empty one.

    Raises:
        BadData: CRYPT_E_ASN1_*, it is no PFX, or one that is made to keep its reader busy.
        WinError: ERROR_INVALID_PASSWORD.
    """
    check_outline(data)
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs12  # noqa: PLC0415 - few need it

    for secret in (password.encode(),) if password else (None, b""):
        try:
            opened = pkcs12.load_pkcs12(data, secret)
            found = [each for each in (opened.cert, *opened.additional_certs) if each is not None]
            return [Item(CERTIFICATE, each.certificate.public_bytes(Encoding.DER), {}) for each in found]
        except ValueError:
            continue
    raise WinError.of(Code.ERROR_INVALID_PASSWORD, "The PFX does not open with this password.")


def build_certificates(items: Iterable[Item], password: str | None) -> bytes:
    """A PFX with the certificates of ``items``; without certificates, a legal PFX of nothing.

    Args:
        items: what to put in; CRLs are left out.
        password: protects it; ``None`` or ``""`` = nothing does.

    Raises:
        BadData: CRYPT_E_ASN1_BADTAG, a certificate is too odd for this format.
    """
    listed = [item.encoded for item in items if item.kind == CERTIFICATE]
    if not listed:
        return _empty()
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import pkcs12  # noqa: PLC0415

    way: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        way = serialization.BestAvailableEncryption(password.encode())
    try:
        certificates = [x509.load_der_x509_certificate(each) for each in listed]
        return pkcs12.serialize_key_and_certificates(None, None, None, certificates, way)
    except ValueError as error:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "A certificate does not fit into a PFX.") from error


def _empty() -> bytes:
    """An authenticated safe of no contents, unprotected."""
    nothing = build(_EXPLICIT_0, build(der.OCTET_STRING, build(der.SEQUENCE)))
    content = build(der.SEQUENCE, build(der.OID, encode_oid(OID_DATA)), nothing)
    return build(der.SEQUENCE, build(der.INTEGER, _VERSION), content)


# --- what cryptography is not asked to find out -----------------------------------------------------------------------


def check_outline(data: bytes) -> None:
    """That ``data`` begins as a PFX, and asks for no key derivation that takes minutes.

    Raises:
        BadData: CRYPT_E_ASN1_EOD, …_CORRUPT, …_BADTAG, it is none; CRYPT_E_ASN1_LARGE, too much of something.
    """
    if len(data) > MAX_BYTES:
        raise _too_much("bytes")
    outer = ber.read_sequence(data, "a PFX")
    first = next(ber.children(outer), None)
    if first is None or first.tag != der.INTEGER or first.content != _VERSION:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, "This is no PFX.", index=0)
    for count, node in enumerate(_nodes(outer)):
        if count > MAX_NODES:
            raise _too_much("parts")
        for salt, number in pairwise(_inside(node)):
            if (salt.tag, number.tag) == (der.OCTET_STRING, der.INTEGER) and _is_large(number):
                raise _too_much("iterations")


def _is_large(number: der.Node) -> bool:
    """Whether what follows a salt is an iteration count that nobody should work off."""
    return int.from_bytes(number.content[:MAX_COUNT_BYTES], "big") > MAX_ITERATIONS


def _too_much(what: str) -> BadData:
    return BadData(Code.CRYPT_E_ASN1_LARGE, f"The PFX has too many {what}.")


def _nodes(outer: der.Node) -> Iterator[der.Node]:
    """Every value inside, those in octet strings too where they look like values."""
    waiting = [(outer, 0)]
    while waiting:
        node, depth = waiting.pop()
        yield node
        if depth > MAX_DEPTH:
            raise _too_much("levels")
        waiting += [(child, depth + 1) for child in _inside(node)]


def _inside(node: der.Node) -> list[der.Node]:
    if node.tag & ber.CONSTRUCTED:
        return list(ber.children(node))
    if node.tag != der.OCTET_STRING or node.source[node.body : node.body + 1] != bytes((der.SEQUENCE,)):
        return []
    try:
        return [der.read(node.source, node.body, node.end)]
    except BadData:
        return []  # octets that only look like a value
