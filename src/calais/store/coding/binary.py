"""Bytes as text, and back: the forms of CryptBinaryToString and of certutil.

Every output ends a line with CR LF, also a short one; two flags change that. Reading is lenient about white space
unless STRICT is given. Pure.

Source: wincrypt.h, CRYPT_STRING_*; RFC 7468 (BEGIN and END lines); RFC 4648, 4 and 5.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple

from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter

LINE = 64  # characters of base64
ROW = 16  # bytes of a dump
HALF = 8
NO_CR, NO_CRLF, STRICT = 0x8000_0000, 0x4000_0000, 0x2000_0000
_FLAGS: Final = NO_CR | NO_CRLF | STRICT


class Form(IntEnum):
    """CRYPT_STRING_*, the low byte."""

    BASE64HEADER = 0
    BASE64 = 1
    BINARY = 2
    BASE64REQUESTHEADER = 3
    HEX = 4
    HEXASCII = 5
    BASE64_ANY = 6
    ANY = 7
    HEX_ANY = 8
    BASE64X509CRLHEADER = 9
    HEXADDR = 10
    HEXASCIIADDR = 11
    HEXRAW = 12
    BASE64URI = 13


class Found(NamedTuple):
    """What a text held: the bytes, the characters before its header, and the form that it was in."""

    binary: bytes
    skipped: int
    flags: int


_LABELS: Final = {
    Form.BASE64HEADER: "CERTIFICATE",
    Form.BASE64REQUESTHEADER: "NEW CERTIFICATE REQUEST",
    Form.BASE64X509CRLHEADER: "X509 CRL",
}
_TRIED: Final = {
    Form.BASE64_ANY: (Form.BASE64HEADER, Form.BASE64),
    Form.ANY: (Form.BASE64HEADER, Form.BASE64, Form.BINARY),
    Form.HEX_ANY: (Form.HEXASCIIADDR, Form.HEXADDR, Form.HEXASCII, Form.HEXRAW, Form.HEX),
}


def _form(flags: object) -> Form:
    if not isinstance(flags, int) or flags & ~(_FLAGS | 0xFF) or flags & 0xFF not in set(Form):
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, f"{flags!r} names no text form that is offered")
    return Form(flags & 0xFF)


# --- writing ----------------------------------------------------------------------------------------------------------


def to_text(data: object, flags: int) -> str:
    """``data`` in the form that ``flags`` says.

    Raises:
        BadParameter: ERROR_INVALID_PARAMETER, no data, an unknown form, or one of those that are for reading only.
    """
    form = _form(flags)
    if not isinstance(data, bytes | bytearray | memoryview) or not data or form in _TRIED:
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "there is nothing to write, or this form is for reading only")
    if form is Form.BINARY:
        return bytes(data).decode("latin-1")
    end = "" if flags & NO_CRLF else "\n" if flags & NO_CR else "\r\n"
    return "".join(line + end for line in _lines(bytes(data), form))


def _lines(data: bytes, form: Form) -> list[str]:
    if form in _LABELS:
        label = _LABELS[form]
        return [f"-----BEGIN {label}-----", *_base64_lines(data), f"-----END {label}-----"]
    if form is Form.BASE64:
        return _base64_lines(data)
    if form is Form.BASE64URI:
        return [urlsafe_b64encode(data).rstrip(b"=").decode("ascii")]
    if form is Form.HEXRAW:
        return [data.hex()]
    return [_row(data[at : at + ROW], at, form) for at in range(0, len(data), ROW)]


def _base64_lines(data: bytes) -> list[str]:
    text = b64encode(data).decode("ascii")
    return [text[at : at + LINE] for at in range(0, len(text), LINE)]


def _row(part: bytes, at: int, form: Form) -> str:
    """One line of a dump: address, pairs in two halves, characters, as the form wants them."""
    pairs = "  ".join(half.hex(" ") for half in (part[:HALF], part[HALF:]) if half)
    address = f"{at:04x}    " if form in (Form.HEXADDR, Form.HEXASCIIADDR) else ""
    if form not in (Form.HEXASCII, Form.HEXASCIIADDR):
        return address + pairs
    characters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
    return f"{address}{pairs:<{3 * ROW}}   {characters}"


# --- reading ----------------------------------------------------------------------------------------------------------


def from_text(text: str, flags: int) -> Found:
    """The bytes that ``text`` stands for; an ANY form tries several in order.

    Raises:
        BadParameter: ERROR_INVALID_PARAMETER, an unknown form.
        BadData: ERROR_INVALID_DATA, the text is in none of the forms.
    """
    form = _form(flags)
    if not isinstance(text, str):
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "there is no text to read")
    for tried in _TRIED.get(form, (form,)):
        try:
            binary, skipped = _READERS[tried](text, bool(flags & STRICT))
        except (ValueError, BadData):
            continue
        return Found(binary, skipped, tried)
    raise BadData(Code.ERROR_INVALID_DATA, f"the text is not {form.name}")


Read = tuple[bytes, int]
_BEGIN = re.compile(r"-----BEGIN [^\r\n]{1,64}-----")
_END = re.compile(r"-----END [^\r\n]{1,64}-----")


def _read_headed(text: str, strict: bool) -> Read:  # noqa: FBT001 - one signature for all
    begin = _BEGIN.search(text)
    end = _END.search(text, begin.end()) if begin else None
    if begin is None or end is None:
        raise BadData(Code.ERROR_INVALID_DATA, "there are no BEGIN and END lines")
    return _read_base64(text[begin.end() : end.start()], strict)[0], begin.start()


def _read_base64(text: str, strict: bool) -> Read:  # noqa: FBT001
    packed = "".join(text.split())
    if strict and text.strip("\r\n") != text.strip():
        raise BadData(Code.ERROR_INVALID_DATA, "blanks around base64")
    if not packed or not packed.isascii():
        raise BadData(Code.ERROR_INVALID_DATA, "this is no base64")
    return b64decode(packed, validate=True), 0


def _read_uri(text: str, strict: bool) -> Read:  # noqa: FBT001, ARG001
    packed = text.strip("\r\n")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", packed):
        raise BadData(Code.ERROR_INVALID_DATA, "this is no base64 for addresses")
    plain = packed.replace("-", "+").replace("_", "/")
    return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True), 0


def _read_binary(text: str, strict: bool) -> Read:  # noqa: FBT001, ARG001
    return text.encode("latin-1"), 0


def _read_raw(text: str, strict: bool) -> Read:  # noqa: FBT001, ARG001
    return _pairs(text.strip("\r\n")), 0


def _read_hex(text: str, strict: bool) -> Read:  # noqa: FBT001, ARG001
    return _pairs(re.sub(r"[\s,-]", "", text)), 0


_PAIRS = r"(?P<pairs>[0-9a-f]{2}(?:[ -]{1,2}[0-9a-f]{2}){0,15})"
_ADDRESS = r"[0-9a-f]{4,16}(?:\t|:| {2,4})[ ]{0,4}"
_ROWS: Final = {
    Form.HEXASCII: re.compile(_PAIRS + r" *?(?P<shown> {3}[ -~]{1,16})", re.IGNORECASE),
    Form.HEXADDR: re.compile(_ADDRESS + _PAIRS + r" *", re.IGNORECASE),
    Form.HEXASCIIADDR: re.compile(_ADDRESS + _PAIRS + r" *?(?P<shown> {3}[ -~]{1,16})", re.IGNORECASE),
}


def _read_dump(form: Form) -> Callable[[str, bool], Read]:
    def read(text: str, strict: bool) -> Read:  # noqa: FBT001, ARG001
        rows = [_ROWS[form].fullmatch(line) for line in text.splitlines() if line.strip()]
        if not rows or None in rows:
            raise BadData(Code.ERROR_INVALID_DATA, f"the text is no {form.name} dump")
        return b"".join(_pairs(re.sub(r"[ -]", "", row["pairs"])) for row in rows if row), 0

    return read


def _pairs(digits: str) -> bytes:
    if not digits or not re.fullmatch(r"(?:[0-9a-fA-F]{2})+", digits):
        raise BadData(Code.ERROR_INVALID_DATA, "these are no pairs of hexadecimal digits")
    return bytes.fromhex(digits)


_READERS: Final[dict[Form, Callable[[str, bool], Read]]] = {
    Form.BASE64HEADER: _read_headed,
    Form.BASE64REQUESTHEADER: _read_headed,
    Form.BASE64X509CRLHEADER: _read_headed,
    Form.BASE64: _read_base64,
    Form.BASE64URI: _read_uri,
    Form.BINARY: _read_binary,
    Form.HEX: _read_hex,
    Form.HEXRAW: _read_raw,
    Form.HEXASCII: _read_dump(Form.HEXASCII),
    Form.HEXADDR: _read_dump(Form.HEXADDR),
    Form.HEXASCIIADDR: _read_dump(Form.HEXASCIIADDR),
}
