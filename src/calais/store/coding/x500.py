"""Names as text and back: CertNameToStr and CertStrToName. Pure.

Source: wincrypt.h (CERT_*_NAME_STR, CERT_NAME_STR_*_FLAG); CertNameToStr, CertStrToName; RFC 5280, 4.1.2.4 and
appendix A.1 (string types).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from calais.store import arguments, names
from calais.store.names import KEYS, Rdn
from calais.win import der
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, WinError
from calais.win.flags.crypt32 import NameStringFlag
from calais.win.structs import CertRdnAttr

SIMPLE, OID, X500, XML = 1, 2, 3, 4
KINDS: Final = 0xFF
_FLAGS: Final = 0x7F3F_0000  # every NameStringFlag

# Keys that are read besides those that are written.
_ALIASES: Final = {
    "ST": "2.5.4.8",
    "SP": "2.5.4.8",
    "STREETADDRESS": "2.5.4.9",
    "TITLE": "2.5.4.12",
    "GIVENNAME": "2.5.4.42",
    "GN": "2.5.4.42",
    "INITIALS": "2.5.4.43",
    "SURNAME": "2.5.4.4",
    "EMAIL": "1.2.840.113549.1.9.1",
    "DOMAINCOMPONENT": "0.9.2342.19200300.100.1.25",
    "USERID": "0.9.2342.19200300.100.1.1",
}
_OIDS: Final = {key.upper(): oid for oid, key in KEYS.items()} | _ALIASES
_IA5: Final = {"1.2.840.113549.1.9.1", "0.9.2342.19200300.100.1.25"}
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")
_DOTTED: Final = re.compile(r"(?:OID\.)?([0-2](?:\.\d+)+)", re.IGNORECASE)
# CERT_RDN_* -> tag and codec.
_STRINGS: Final = {
    2: (0x04, ""),
    3: (0x12, "ascii"),
    4: (0x13, "ascii"),
    5: (0x14, "latin-1"),
    6: (0x15, "latin-1"),
    7: (0x16, "ascii"),
    8: (0x19, "latin-1"),
    9: (0x1A, "ascii"),
    10: (0x1B, "latin-1"),
    11: (0x1C, "utf-32-be"),
    12: (0x1E, "utf-16-be"),
    13: (0x0C, "utf-8"),
}
PRINTABLE, T61, IA5, BMP, UTF8 = 4, 5, 7, 12, 13


def _kind(flags: int) -> int:
    kind = flags & KINDS
    if kind == XML:
        raise WinError.of(Code.ERROR_NOT_SUPPORTED, "names as XML are not offered")
    if kind not in (SIMPLE, OID, X500) or flags & ~(_FLAGS | KINDS):
        raise BadParameter(Code.E_INVALIDARG, f"0x{flags:X} is no form of a name")
    return kind


# --- writing ----------------------------------------------------------------------------------------------------------


def to_text(name: bytes, flags: int) -> str:
    """A DER name as text.

    Raises:
        BadData: CRYPT_E_ASN1_BADTAG, it is no name.
        BadParameter: E_INVALIDARG, unknown form.
        WinError: ERROR_NOT_SUPPORTED, XML.
    """
    kind = _kind(arguments.number(flags))
    rdns = names.parse(arguments.octets(name))
    if flags & NameStringFlag.REVERSE:
        rdns = rdns[::-1]
    plus = " " if flags & NameStringFlag.NO_PLUS else " + "
    return _separator(flags).join(plus.join(_attribute(each, kind, flags) for each in rdn) for rdn in rdns)


def _separator(flags: int) -> str:
    if flags & NameStringFlag.CRLF:
        return "\r\n"
    return "; " if flags & NameStringFlag.SEMICOLON else ", "


def _attribute(attribute: CertRdnAttr, kind: int, flags: int) -> str:
    text = (names.value_text if flags & NameStringFlag.NO_QUOTING else names.quoted_text)(attribute)
    if kind == SIMPLE:
        return text
    key = KEYS.get(attribute.oid, f"OID.{attribute.oid}") if kind == X500 else attribute.oid
    return f"{key}={text}"


def to_der(rdns: tuple[Rdn, ...]) -> bytes:
    """A name from its parts; the attributes of one relative name in DER's order.

    Raises:
        BadParameter: E_INVALIDARG, a value that its type cannot hold; CRYPT_E_OID_FORMAT.
    """
    return der.build(der.TAG_SEQUENCE, *(der.build(0x31, *sorted(map(_encoded, rdn))) for rdn in rdns))


def _encoded(attribute: CertRdnAttr) -> bytes:
    oid = der.build(der.TAG_OID, der.encode_oid(attribute.oid))
    return der.build(der.TAG_SEQUENCE, oid, _value(attribute))


def _value(attribute: CertRdnAttr) -> bytes:
    kind, value = attribute.value_type, attribute.value
    if kind == 0 and isinstance(value, str):
        kind = _string_type(attribute.oid, value, 0)
    if kind == 1 and isinstance(value, bytes):
        return value
    tag, codec = _STRINGS.get(kind, (0, ""))
    try:
        content = value if isinstance(value, bytes) else value.encode(codec or "latin-1")
    except UnicodeEncodeError:
        tag, content = 0, b""
    if not tag:
        raise BadParameter(Code.E_INVALIDARG, f"{value!r} is no value of string type {kind}")
    return der.build(tag, content)


def _string_type(oid: str, value: str, flags: int) -> int:
    """The type that a value is written in: the narrowest that the attribute and the flags allow."""
    if oid in _IA5 and value.isascii():
        return IA5
    if _PRINTABLE.fullmatch(value) and not flags & NameStringFlag.FORCE_UTF8_DIR_STR:
        return PRINTABLE
    if flags & (NameStringFlag.ENABLE_UTF8_UNICODE | NameStringFlag.FORCE_UTF8_DIR_STR) or any(
        c > "\uffff" for c in value
    ):
        return UTF8
    if flags & NameStringFlag.ENABLE_T61_UNICODE and all(char <= "\xff" for char in value):
        return T61
    return BMP


# --- reading ----------------------------------------------------------------------------------------------------------


class _Token(NamedTuple):
    """One ``key=value``: where it begins, and the separator that ended it."""

    at: int
    key: str
    value: str
    end: str


def from_text(text: str, flags: int = X500) -> bytes:
    """A DER name from ``key=value`` parts; keys and dotted OIDs, with or without ``OID.``, whatever the case.

    Raises:
        BadData: CRYPT_E_INVALID_X500_STRING, ``index`` is the place in the text.
        BadParameter: E_INVALIDARG, unknown form.
        WinError: ERROR_NOT_SUPPORTED, XML.
    """
    _kind(arguments.number(flags) or X500)
    arguments.of(str, text)
    rdns: list[list[CertRdnAttr]] = [[]]
    for token in _tokens(text, flags):
        rdns[-1].append(_parsed(token, flags))
        if token.end != "+":
            rdns.append([])
    made = [tuple(rdn) for rdn in rdns if rdn]
    return to_der(tuple(reversed(made) if flags & NameStringFlag.REVERSE else made))


def _parsed(token: _Token, flags: int) -> CertRdnAttr:
    dotted = _DOTTED.fullmatch(token.key)
    oid = dotted[1] if dotted else _OIDS.get(token.key.upper())
    if oid is None:
        raise _bad(token.at, f"{token.key!r} is no name of an attribute")
    if not token.value:
        raise _bad(token.at, f"{token.key} has no value")
    if token.value.startswith("#") and re.fullmatch(r"#(?:[0-9A-Fa-f]{2})+", token.value):
        return CertRdnAttr(oid, 2, bytes.fromhex(token.value[1:]))
    if token.value.startswith('"') and not flags & NameStringFlag.NO_QUOTING:
        value = token.value[1:-1].replace('""', '"')
        return CertRdnAttr(oid, _string_type(oid, value, flags), value)
    return CertRdnAttr(oid, _string_type(oid, token.value, flags), token.value)


def _separators(flags: int) -> str:
    if flags & NameStringFlag.CRLF:
        ends = "\r\n"
    elif flags & NameStringFlag.SEMICOLON:
        ends = ";"
    else:
        ends = "," if flags & NameStringFlag.COMMA else ",;"
    return ends if flags & NameStringFlag.NO_PLUS else ends + "+"


def _tokens(text: str, flags: int) -> Iterator[_Token]:
    ends, at = re.escape(_separators(flags)), 0
    plain = f"[^{ends}]*"
    quoted = rf'(?:"(?:[^"]|"")*"[ \t]*|[^"{ends}]*)'
    value = plain if flags & NameStringFlag.NO_QUOTING else quoted
    token = re.compile(rf"(?P<key>[^={ends}]*)=[ \t]*(?P<value>{value})(?P<end>[{ends}]|\Z)")
    blank = re.compile(rf"[\s{ends}]*\Z")
    while not blank.match(text, at):
        found = token.match(text, at)
        key = found["key"].strip() if found else ""
        if found is None or not key:
            raise _bad(
                at + len(text[at:]) - len(text[at:].lstrip()),
                "there is no key=value here, or its quotation does not end",
            )
        yield _Token(found.start("key") + found["key"].index(key), key, found["value"].strip(), found["end"][:1])
        at = found.end()
        if flags & NameStringFlag.CRLF and text[at : at + 1] == "\n":
            at += 1


def _bad(at: int, detail: str) -> BadData:
    return BadData(Code.CRYPT_E_INVALID_X500_STRING, detail, index=at)
