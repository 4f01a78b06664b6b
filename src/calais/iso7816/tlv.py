"""BER-TLV, strict and bounded. Source: ISO/IEC 7816-4:2020, 5.3; ITU-T X.690, 8.1.

Tags are numbers as written in the standards (``0x5F2F``, ``0x7F49``); lengths are definite, minimal or not, of
at most four length bytes. Indefinite lengths are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from calais.win.errors import BadData

MAX_DEPTH = 16
MAX_TAG_BYTES = 3
MAX_LENGTH_BYTES = 4


class Tlv(NamedTuple):
    """One data object: ``tag`` as a number, ``value`` bytes, ``offset`` of the tag in the parsed buffer (bytes)."""

    tag: int
    value: bytes
    offset: int = 0

    @property
    def constructed(self) -> bool:
        """Whether the tag says that the value is itself a sequence of TLVs."""
        first = self.tag
        while first > 0xFF:
            first >>= 8
        return bool(first & 0x20)

    def children(self, depth: int = 1) -> list[Tlv]:
        """The value, parsed.

        Args:
            depth: nesting level of this value, for the limit.

        Raises:
            BadData: not well-formed, or nested deeper than ``MAX_DEPTH``.
        """
        if depth > MAX_DEPTH:
            raise BadData(detail=f"TLV nested deeper than {MAX_DEPTH} levels", index=self.offset)
        return list(parse(self.value))

    def encode(self) -> bytes:
        """Tag, minimal length, value."""
        return build(self.tag, self.value)


def build(tag: int, *values: bytes) -> bytes:
    """Encode one TLV around the concatenation of ``values``, with the shortest length form."""
    value = values[0] if len(values) == 1 else b"".join(values)
    head = bytes((tag,)) if tag <= 0xFF else tag.to_bytes((tag.bit_length() + 7) // 8, "big")
    return head + build_length(len(value)) + value


def build_length(length: int) -> bytes:
    """The shortest definite BER length of ``length`` (bytes)."""
    if length < 0x80:
        return bytes((length,))
    if 0xFF < length < 0x10000:
        return bytes((0x82, length >> 8, length & 0xFF))
    size = (length.bit_length() + 7) // 8
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")


def parse(data: bytes) -> Iterator[Tlv]:
    """Each TLV in ``data``, which must hold nothing else.

    Raises:
        BadData: a tag or length is cut off or malformed, a value runs past the end; ``index`` says where.
    """
    offset = 0
    while offset < len(data):
        item, offset = read(data, offset)
        yield item


def parse_one(data: bytes, tag: int | None = None) -> Tlv:
    """The single TLV that ``data`` is, of ``tag`` when given.

    Raises:
        BadData: malformed, other tag, or bytes follow it.
    """
    item, end = read(data, 0)
    if tag is not None and item.tag != tag:
        raise BadData(detail=f"tag {item.tag:X} where {tag:X} is due", index=0)
    if end != len(data):
        raise BadData(detail=f"{len(data) - end} bytes follow the data object", index=end)
    return item


def read(data: bytes, offset: int) -> tuple[Tlv, int]:
    """The TLV at ``offset`` and the offset after it.

    Raises:
        BadData: malformed or cut off.
    """
    size = len(data)
    # The usual forms at once: a tag of one byte, a length of one or three.
    if offset + 1 < size and data[offset] & 0x1F != 0x1F:
        tag, length, at = data[offset], data[offset + 1], offset + 2
    else:
        tag, at = _read_tag(data, offset)
        length, at = 0xFF, at + 1
    if length == 0x82 and at + 2 <= size:
        length, at = data[at] << 8 | data[at + 1], at + 2
    elif length >= 0x80:
        length, at = read_length(data, at - 1)
    if length > size - at:
        raise BadData(detail=f"value of tag {tag:X} is {length} bytes long, {len(data) - at} are there", index=at)
    return Tlv(tag, data[at : at + length], offset), at + length


def _read_tag(data: bytes, offset: int) -> tuple[int, int]:
    at = offset + 1
    if data[offset:at] and data[offset] & 0x1F == 0x1F:
        while at < len(data) and data[at] & 0x80:
            at += 1
        at += 1
    if at > len(data):
        raise BadData(detail="tag is cut off", index=offset)
    if at - offset > MAX_TAG_BYTES:
        raise BadData(detail=f"tag of more than {MAX_TAG_BYTES} bytes", index=offset)
    return int.from_bytes(data[offset:at], "big"), at


def read_length(data: bytes, offset: int) -> tuple[int, int]:
    """The definite length at ``offset`` and the offset after it.

    Raises:
        BadData: cut off, indefinite, or of more than ``MAX_LENGTH_BYTES`` bytes.
    """
    if offset >= len(data):
        raise BadData(detail="length is cut off", index=offset)
    first = data[offset]
    if first < 0x80:
        return first, offset + 1
    size = first & 0x7F
    if not 0 < size <= MAX_LENGTH_BYTES:
        raise BadData(detail=f"length byte {first:02X} is not supported", index=offset)
    if offset + 1 + size > len(data):
        raise BadData(detail="length is cut off", index=offset)
    return int.from_bytes(data[offset + 1 : offset + 1 + size], "big"), offset + 1 + size


def find(items: Iterable[Tlv], tag: int) -> Tlv | None:
    """The first of ``items`` with ``tag``, or ``None``."""
    return next((item for item in items if item.tag == tag), None)


def require(items: Iterable[Tlv], tag: int) -> Tlv:
    """The first of ``items`` with ``tag``.

    Raises:
        BadData: there is none.
    """
    item = find(items, tag)
    if item is None:
        raise BadData(detail=f"tag {tag:X} is missing")
    return item
