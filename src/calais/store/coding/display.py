"""What a person is shown as the name of a certificate: CertGetNameString. Pure.

Source: CertGetNameString (types, order of the sources); RFC 5280, 4.2.1.6 and 4.2.1.7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from calais.store import names
from calais.store.certificate import Outline
from calais.store.coding import x500
from calais.store.coding.structures import decode
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter
from calais.win.flags.crypt32 import CERT_NAME_ISSUER_FLAG, CERT_NAME_SEARCH_ALL_NAMES_FLAG, X509_ASN_ENCODING, NameType

COMMON_NAME = "2.5.4.3"
EMAIL = "1.2.840.113549.1.9.1"
OID_UPN = "1.3.6.1.4.1.311.20.2.3"
SUBJECT_ALTERNATES, ISSUER_ALTERNATES = "2.5.29.17", "2.5.29.18"
_SIMPLE: Final = (COMMON_NAME, "2.5.4.11", "2.5.4.10", EMAIL)
_OTHER, _RFC822, _DNS, _DIRECTORY, _URL = 1, 2, 3, 5, 7


class Named(NamedTuple):
    """One side of a certificate: its DER name, its alternative names, and its friendly name."""

    name: bytes
    alternates: list[tuple[int, Any]]
    friendly: str


def side(outline: Outline, flags: int, friendly: str) -> Named:
    """The subject, or the issuer where ``flags`` say so; alternative names that cannot be read are none."""
    issuer = flags & CERT_NAME_ISSUER_FLAG
    value = outline.extension(ISSUER_ALTERNATES if issuer else SUBJECT_ALTERNATES)
    try:
        found: Any = decode(X509_ASN_ENCODING, SUBJECT_ALTERNATES, value) if value is not None else []
    except BadData:
        found = []
    return Named(outline.issuer if issuer else outline.subject, found, "" if issuer else friendly)


def name_string(named: Named, kind: int, flags: int = 0, para: object = None) -> str:
    """The text, ``""`` if there is none; several DNS names (SEARCH_ALL_NAMES) with NUL between them.

    Args:
        named: whose name.
        kind: CERT_NAME_*_TYPE.
        flags: CERT_NAME_*_FLAG.
        para: RDN: the string type; ATTR: the OID.

    Raises:
        BadParameter: E_INVALIDARG, unknown kind or flags, or a parameter of another type.
    """
    if kind not in _KINDS or flags & ~(CERT_NAME_ISSUER_FLAG | CERT_NAME_SEARCH_ALL_NAMES_FLAG):
        raise BadParameter(Code.E_INVALIDARG, f"{kind} with flags 0x{flags:X} names no kind of name")
    found = _KINDS[kind](named, para)
    return "\0".join(found) if flags & CERT_NAME_SEARCH_ALL_NAMES_FLAG else found[0] if found else ""


def _values(named: Named, oid: str) -> list[str]:
    return [names.value_text(each) for each in names.attributes(named.name) if each.oid == oid]


def _alternates(named: Named, choice: int) -> list[str]:
    return [value for kind, value in named.alternates if kind == choice]


def _email(named: Named, _para: object) -> list[str]:
    return _alternates(named, _RFC822) or _values(named, EMAIL)


def _rdn(named: Named, para: object) -> list[str]:
    if para is not None and not isinstance(para, int):
        raise BadParameter(Code.E_INVALIDARG, "the parameter of this kind is a string type")
    directory = [value for kind, value in named.alternates if kind == _DIRECTORY]
    name = named.name if names.attributes(named.name) or not directory else directory[0]
    try:
        return [x500.to_text(name, para or x500.X500)]
    except BadData:
        return []


def _attribute(named: Named, para: object) -> list[str]:
    if not isinstance(para, str):
        raise BadParameter(Code.E_INVALIDARG, "the parameter of this kind is an OID")
    return _values(named, para)[:1]


def _simple(named: Named, _para: object) -> list[str]:
    for oid in _SIMPLE:
        if found := _values(named, oid):
            return found[:1]
    return _alternates(named, _RFC822)[:1] or [names.value_text(each) for each in names.attributes(named.name)][:1]


def _friendly(named: Named, para: object) -> list[str]:
    return [named.friendly] if named.friendly else _simple(named, para)


def _dns(named: Named, _para: object) -> list[str]:
    return _alternates(named, _DNS) or _values(named, COMMON_NAME)


def _url(named: Named, _para: object) -> list[str]:
    return _alternates(named, _URL)


def _upn(named: Named, _para: object) -> list[str]:
    others = [value for kind, value in named.alternates if kind == _OTHER]
    return [names.string_value(content) for oid, content in others if oid == OID_UPN]


_KINDS: Final[dict[int, Callable[[Named, object], list[str]]]] = {
    NameType.EMAIL: _email,
    NameType.RDN: _rdn,
    NameType.ATTR: _attribute,
    NameType.SIMPLE_DISPLAY: _simple,
    NameType.FRIENDLY_DISPLAY: _friendly,
    NameType.DNS: _dns,
    NameType.URL: _url,
    NameType.UPN: _upn,
}
