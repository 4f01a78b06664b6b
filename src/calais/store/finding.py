"""What CertFindCertificateInStore looks for: one row per find type.

A row makes a ``Query`` out of the parameter. Source: CertFindCertificateInStore; wincrypt.h (CERT_FIND_*).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from calais.store import bag, certificate, der, filing, names, usage
from calais.store.api import Index
from calais.store.model import CertificateContext, Element
from calais.store.stores import EVERY, Query
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter
from calais.win.flags import CERT_CASE_INSENSITIVE_IS_RDN_ATTRS_FLAG, FindType, FindUsageFlag, PropId
from calais.win.structs import CertInfo, CertPublicKeyInfo, CertRdnAttr

OID_CROSS_CERT_DIST_POINTS: Final = "1.3.6.1.4.1.311.10.9.1"
OID_SUBJECT_INFO_ACCESS: Final = "1.3.6.1.5.5.7.1.11"
_INVISIBLE: Final = re.compile(r"[\s:\u200e\u200f\ufeff]+")
_NOTHING: Final = Query(lambda _: False)

Maker = Callable[[Any, int], Query]


class CertHash(bytes):
    """A SHA-1, where a plain ``bytes`` means a key identifier (CERT_ID of type CERT_ID_SHA1_HASH)."""

    __slots__ = ()


def query_for(find_type: int, para: object, flags: int = 0) -> Query:
    """The query of a find type.

    Args:
        find_type: CERT_FIND_*.
        para: its parameter.
        flags: the flags of this find type.

    Raises:
        BadParameter: E_INVALIDARG, no such type, or its parameter is of another Python type.
    """
    row = _ROWS.get(find_type)
    if row is None:
        raise BadParameter(Code.E_INVALIDARG, f"There is no find type {find_type!r}.")
    types, make = row
    if types and not isinstance(para, types):
        wanted = " or ".join(each.__name__ for each in types)
        raise BadParameter(Code.E_INVALIDARG, f"This find type takes {wanted}, not {type(para).__name__}.")
    return make(para, flags)


# --- hashes and names -------------------------------------------------------------------------------------------------


def _by_property(prop_id: int, index: Index | None = None) -> Maker:
    def make(value: bytes, _flags: int) -> Query:
        wanted = bytes(value)
        return Query(lambda element: bag.peek(element, prop_id) == wanted, archived_too=True)

    def make_keyed(value: bytes, flags: int) -> Query:
        # MD5_HASH of the key files a certificate; the others file it under the property's own value
        return Query(make(value, flags).match, archived_too=True, index=index, value=bytes(value))

    return make_keyed if index else make


def _hash_text(text: str, flags: int) -> Query:
    digits = _INVISIBLE.sub("", text)
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        return _NOTHING
    if len(value) == 20:
        return _ROWS[FindType.SHA1_HASH][1](value, flags)
    return _by_property(PropId.SHA256_HASH)(value, flags) if len(value) == 32 else _NOTHING


def _subject_name(name: bytes, _flags: int) -> Query:
    return Query(lambda element: element.outline.subject == name, index=Index.SUBJECT, value=name)


def _issuer_name(name: bytes, _flags: int) -> Query:
    return Query(lambda element: element.outline.issuer == name, index=Index.ISSUER, value=name)


def _attributes(part: Callable[[Element], bytes]) -> Maker:
    def make(wanted: tuple[CertRdnAttr, ...], flags: int) -> Query:
        if not all(isinstance(each, CertRdnAttr) for each in wanted):
            raise BadParameter(Code.E_INVALIDARG, "An attribute of a name is a CertRdnAttr.")
        ignore_case = bool(flags & CERT_CASE_INSENSITIVE_IS_RDN_ATTRS_FLAG)
        return Query(lambda element: names.matches(part(element), wanted, ignore_case=ignore_case))

    return make


def _text(part: Callable[[Element], bytes]) -> Maker:
    def make(text: str | None, _flags: int) -> Query:
        if text is None:
            return EVERY
        folded = text.casefold()
        return Query(lambda element: folded in names.values_text(part(element)).casefold())

    return make


def _subject(element: Element) -> bytes:
    return element.outline.subject


def _issuer(element: Element) -> bytes:
    return element.outline.issuer


# --- certificates -----------------------------------------------------------------------------------------------------


def _issuer_and_serial(issuer: bytes, serial: int | None) -> Query:
    if not issuer or serial is None:
        return _NOTHING
    return Query(
        lambda element: element.outline.serial == serial and element.outline.issuer == issuer,
        archived_too=True,
        index=Index.ISSUER_SERIAL,
        value=filing.issuer_and_serial(issuer, serial),
    )


def _subject_cert(info: CertInfo, _flags: int) -> Query:
    return _issuer_and_serial(info.issuer, info.serial)


def _cert_id(para: tuple[object, ...] | bytes, flags: int) -> Query:
    if isinstance(para, CertHash):
        return _ROWS[FindType.SHA1_HASH][1](para, flags)
    if isinstance(para, bytes):
        return _ROWS[FindType.KEY_IDENTIFIER][1](para, flags)
    match para:
        case (bytes() as issuer, int() as serial):
            return _issuer_and_serial(issuer, serial)
    raise BadParameter(Code.E_INVALIDARG, "A certificate id is issuer (DER) and serial number.")


def _existing(context: CertificateContext, _flags: int) -> Query:
    identity = context.element.identity
    return Query(lambda element: element.identity == identity, archived_too=True, index=Index.SHA1, value=identity)


def _issuer_of(context: CertificateContext, _flags: int) -> Query:
    outline = context.element.outline
    wanted = certificate.authority_key_identifier(outline)

    def match(element: Element) -> bool:
        if element.outline.subject != outline.issuer:
            return False
        says = element.lookup(PropId.KEY_IDENTIFIER) or element.outline.extension(
            certificate.OID_SUBJECT_KEY_IDENTIFIER
        )
        return wanted is None or says is None or bag.peek(element, PropId.KEY_IDENTIFIER) == wanted

    return Query(match, index=Index.SUBJECT, value=outline.issuer)


# --- keys and properties ----------------------------------------------------------------------------------------------


def same_key(first: CertPublicKeyInfo, second: CertPublicKeyInfo) -> bool:
    """CertComparePublicKeyInfo: key bits; of RSA the decoded numbers, of EC the parameters too."""
    if first.algorithm == certificate.OID_EC and _parameters(first) != _parameters(second):
        return False
    return first.public_key == second.public_key or (
        first.algorithm == second.algorithm == certificate.OID_RSA and _numbers(first) == _numbers(second) != ()
    )


def _parameters(key: CertPublicKeyInfo) -> bytes:
    """Absent parameters and NULL are the same."""
    return b"" if key.parameters == b"\x05\x00" else key.parameters


def _numbers(key: CertPublicKeyInfo) -> tuple[int, ...]:
    try:
        parts = der.expect(der.read(key.public_key), der.SEQUENCE, "an RSA key").children()
    except BadData:
        return ()
    return tuple(int.from_bytes(part.content, "big") for part in parts)


def _public_key(key: CertPublicKeyInfo, _flags: int) -> Query:
    return Query(lambda element: same_key(element.outline.public_key, key))


def _property(prop_id: int, _flags: int) -> Query:
    return Query(lambda element: bag.has(element, prop_id))


def _key_spec(spec: int, _flags: int) -> Query:
    return Query(lambda element: bag.peek(element, PropId.KEY_SPEC) == spec)


def _says(prop_id: int, oid: str) -> Maker:
    """A stored property, or the extension that says the same."""
    return lambda _para, _flags: Query(
        lambda element: element.lookup(prop_id) is not None or element.outline.extension(oid) is not None
    )


def _usage(wanted: list[str] | None, flags: int) -> Query:
    """See FindUsageFlag: which source counts, one or all of the usages, with or without any."""
    if not all(isinstance(oid, str) for oid in wanted or ()):
        raise BadParameter(Code.E_INVALIDARG, "A usage is an object identifier, as text.")
    enough = any if flags & FindUsageFlag.OR_ENHKEY_USAGE else all

    def match(element: Element) -> bool:
        if flags & FindUsageFlag.VALID_ENHKEY_USAGE:
            found = usage.find_usages(element, 0)
            return found is None or enough(oid in found for oid in wanted or ())
        found = usage.find_usages(element, flags & (usage.EXT_ONLY | usage.PROP_ONLY))
        if flags & FindUsageFlag.NO_ENHKEY_USAGE:
            return found is None
        if found is None:
            return bool(flags & FindUsageFlag.OPTIONAL_ENHKEY_USAGE)
        return not wanted or enough(oid in found for oid in wanted)

    return Query(match)


_NONE = type(None)
_ROWS: Final[dict[int, tuple[tuple[type, ...], Maker]]] = {
    FindType.ANY: ((), lambda _para, _flags: EVERY),
    FindType.SHA1_HASH: ((bytes,), _by_property(PropId.SHA1_HASH, Index.SHA1)),
    FindType.MD5_HASH: ((bytes,), _by_property(PropId.MD5_HASH)),
    FindType.SIGNATURE_HASH: ((bytes,), _by_property(PropId.SIGNATURE_HASH)),
    FindType.KEY_IDENTIFIER: ((bytes,), _by_property(PropId.KEY_IDENTIFIER, Index.KEY_IDENTIFIER)),
    FindType.PUBKEY_MD5_HASH: ((bytes,), _by_property(PropId.SUBJECT_PUBLIC_KEY_MD5_HASH, Index.PUBLIC_KEY)),
    FindType.HASH_STR: ((str,), _hash_text),
    FindType.SUBJECT_NAME: ((bytes,), _subject_name),
    FindType.ISSUER_NAME: ((bytes,), _issuer_name),
    FindType.SUBJECT_ATTR: ((tuple,), _attributes(_subject)),
    FindType.ISSUER_ATTR: ((tuple,), _attributes(_issuer)),
    FindType.SUBJECT_STR_A: ((str, _NONE), _text(_subject)),
    FindType.SUBJECT_STR_W: ((str, _NONE), _text(_subject)),
    FindType.ISSUER_STR_A: ((str, _NONE), _text(_issuer)),
    FindType.ISSUER_STR_W: ((str, _NONE), _text(_issuer)),
    FindType.PROPERTY: ((int,), _property),
    FindType.PUBLIC_KEY: ((CertPublicKeyInfo,), _public_key),
    FindType.KEY_SPEC: ((int,), _key_spec),
    FindType.ENHKEY_USAGE: ((list, tuple, _NONE), _usage),
    FindType.SUBJECT_CERT: ((CertInfo,), _subject_cert),
    FindType.CERT_ID: ((tuple, bytes), _cert_id),
    FindType.ISSUER_OF: ((CertificateContext,), _issuer_of),
    FindType.EXISTING: ((CertificateContext,), _existing),
    FindType.CROSS_CERT_DIST_POINTS: ((), _says(PropId.CROSS_CERT_DIST_POINTS, OID_CROSS_CERT_DIST_POINTS)),
    FindType.SUBJECT_INFO_ACCESS: ((), _says(PropId.SUBJECT_INFO_ACCESS, OID_SUBJECT_INFO_ACCESS)),
    FindType.HAS_PRIVATE_KEY: ((), lambda _para, _flags: Query(bag.has_private_key)),
}
