"""A lenient DER reader: what it takes to find the outline of a certificate, and no more.

It says where things are and never what they should be: lengths need not be minimal, times may lie before 1970
and integers may be negative. Nothing is copied but what is asked for, and nothing recurses, so a hostile
input costs at most one look at each byte. Source: ITU-T X.690, 8.1 and 10.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from calais.win.codes import Code
from calais.win.der import dotted
from calais.win.errors import BadData

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OID = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

MAX_LENGTH_BYTES = 4
_TIME = re.compile(
    rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?(?:Z|(?P<sign>[+-])(?P<hours>\d\d)(?P<minutes>\d\d))?"
)


class Node(NamedTuple):
    """One TLV inside ``source``: tag byte and the offsets (bytes) of its start, its content and its end."""

    source: bytes
    tag: int
    start: int
    body: int
    end: int

    @property
    def content(self) -> bytes:
        """The value alone."""
        return self.source[self.body : self.end]

    @property
    def encoded(self) -> bytes:
        """Tag, length and value, as they stand."""
        return self.source[self.start : self.end]

    def children(self) -> list[Node]:
        """The value read as TLVs, one after the other.

        Raises:
            BadData: CRYPT_E_ASN1_CORRUPT, something in it is no TLV or runs past its end.
        """
        return list(walk(self.source, self.body, self.end))


def read(source: bytes, start: int = 0, end: int | None = None) -> Node:
    """The TLV at ``start``; it may not pass ``end`` (offsets in bytes).

    Raises:
        BadData: CRYPT_E_ASN1_EOD, the input is over before the TLV is; CRYPT_E_ASN1_CORRUPT, a tag of several
            bytes, an indefinite length, or one of more than four bytes.
    """
    limit = len(source) if end is None else end
    if start + 2 > limit:
        raise BadData(Code.CRYPT_E_ASN1_EOD, "The data is over where a value should begin.", index=start)
    tag, first = source[start], source[start + 1]
    if tag & 0x1F == 0x1F:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "A tag of several bytes has no place here.", index=start)
    body, length = start + 2, first
    if first >= 0x80:
        body, length = _long_length(source, start, limit)
    if body + length > limit:
        raise BadData(Code.CRYPT_E_ASN1_EOD, "A length runs past the end of the data.", index=start)
    return Node(source, tag, start, body, body + length)


def _long_length(source: bytes, start: int, limit: int) -> tuple[int, int]:
    """Offset of the value and its length, for a length in the long form."""
    count = source[start + 1] & 0x7F
    if not 1 <= count <= MAX_LENGTH_BYTES:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "A length is indefinite or too long.", index=start)
    body = start + 2 + count
    if body > limit:
        raise BadData(Code.CRYPT_E_ASN1_EOD, "The data is over inside a length.", index=start)
    return body, int.from_bytes(source[start + 2 : body], "big")


def walk(source: bytes, start: int, end: int) -> Iterator[Node]:
    """Each TLV from ``start`` to ``end``, which must be where the last one ends.

    Raises:
        BadData: CRYPT_E_ASN1_CORRUPT.
    """
    while start < end:
        try:
            node = read(source, start, end)
        except BadData as error:
            raise BadData(Code.CRYPT_E_ASN1_CORRUPT, error.detail, index=error.index) from error
        yield node
        start = node.end


def expect(node: Node, tag: int, what: str) -> Node:
    """``node`` itself, if it has this tag.

    Raises:
        BadData: CRYPT_E_ASN1_CORRUPT.
    """
    if node.tag != tag:
        raise BadData(
            Code.CRYPT_E_ASN1_CORRUPT, f"Where {what} should be there is tag 0x{node.tag:02X}.", index=node.start
        )
    return node


def oid_text(content: bytes) -> str:
    """The dotted form of an OBJECT IDENTIFIER's value; ``""`` for an empty one.

    A value that is cut off inside an arc gives the arcs before it. Source: X.690, 8.19.
    """
    arcs: list[int] = []
    arc = 0
    for byte in content:
        arc = (arc << 7) | (byte & 0x7F)
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
        elif arc.bit_length() > 256:  # no real arc is that long, and decimal text of it would be slow
            return ""
    return dotted(arcs) if arcs else ""


def time_value(node: Node) -> datetime | None:
    """A UTCTime or GeneralizedTime as UTC; ``None`` when the text is no time that the calendar knows.

    Two-digit years from 50 belong to the twentieth century (RFC 5280, 4.1.2.5.1).
    """
    text, century = node.content, b""
    if node.tag == GENERALIZED_TIME:
        century, text = text[:2], text[2:]
    match = _TIME.fullmatch(text)
    if match is None or not (century + b"0").isdigit():
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    year += int(century) * 100 if century else (1900 if year >= 50 else 2000)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _offset(match)
    except (ValueError, OverflowError):
        return None


def _offset(match: re.Match[bytes]) -> timedelta:
    """The zone of a time, as the difference from UTC."""
    if match["sign"] is None:
        return timedelta()
    size = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"]))
    return size if match["sign"] == b"+" else -size


def bit_string(node: Node) -> bytes:
    """The whole bytes of a BIT STRING (the count of unused bits is dropped); ``b""`` for an empty one."""
    return node.content[1:]
