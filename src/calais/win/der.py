"""The little DER that Windows' structures need: definite lengths, one-byte tags, object identifiers.

Source: ITU-T X.690, 8.1, 8.19, 10.1.
"""

from __future__ import annotations

from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter

TAG_INTEGER = 0x02
TAG_BIT_STRING = 0x03
TAG_OID = 0x06
TAG_SEQUENCE = 0x30

MAX_LENGTH_BYTES = 4
OID_ARCS_OF_FIRST = 40


def build(tag: int, *contents: bytes) -> bytes:
    """One element of ``tag`` around the concatenation of ``contents``, with the shortest length."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content


def read(data: bytes, tag: int, index: int = 0) -> tuple[bytes, int]:
    """The content of the element of ``tag`` at offset ``index``, and the offset after it.

    Raises:
        BadData: cut off (CRYPT_E_ASN1_EOD), another tag (CRYPT_E_ASN1_BADTAG), or a length in another form
            (CRYPT_E_ASN1_CORRUPT).
    """
    if len(data) - index < 2:
        raise BadData(Code.CRYPT_E_ASN1_EOD, "the data ends where an element is due", index=index)
    if data[index] != tag:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, f"tag {data[index]:02X} where {tag:02X} is due", index=index)
    start, length = _read_length(data, index + 1)
    if length > len(data) - start:
        raise BadData(Code.CRYPT_E_ASN1_EOD, f"{length} bytes announced, {len(data) - start} there", index=start)
    return data[start : start + length], start + length


def _read_length(data: bytes, index: int) -> tuple[int, int]:
    first = data[index]
    if first < 0x80:
        return index + 1, first
    size = first & 0x7F
    if not 0 < size <= MAX_LENGTH_BYTES:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, f"length byte {first:02X}", index=index)
    start = index + 1 + size
    if start > len(data):
        raise BadData(Code.CRYPT_E_ASN1_EOD, "a length is cut off", index=index)
    return start, int.from_bytes(data[index + 1 : start], "big")


def encode_oid(oid: str) -> bytes:
    """The content bytes of the object identifier ``oid`` (dotted numbers; ``""`` gives none).

    Raises:
        BadParameter: not an object identifier.
    """
    if not oid:
        return b""
    try:
        arcs = [int(arc) for arc in oid.split(".")]
    except ValueError as error:
        raise BadParameter(Code.CRYPT_E_OID_FORMAT, f"{oid!r} is not an object identifier") from error
    if len(arcs) < 2 or min(arcs) < 0 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] >= OID_ARCS_OF_FIRST):
        raise BadParameter(Code.CRYPT_E_OID_FORMAT, f"{oid!r} is not an object identifier")
    return b"".join(map(_encode_arc, (arcs[0] * OID_ARCS_OF_FIRST + arcs[1], *arcs[2:])))


def _encode_arc(arc: int) -> bytes:
    groups = [arc & 0x7F]
    while arc := arc >> 7:
        groups.append(0x80 | arc & 0x7F)
    return bytes(reversed(groups))


def decode_oid(content: bytes, index: int = 0) -> str:
    """The dotted form of an object identifier's content bytes; none give ``""``.

    Raises:
        BadData: the last arc is cut off.
    """
    if not content:
        return ""
    if content[-1] & 0x80:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "an object identifier is cut off", index=index + len(content))
    arcs, arc = [], 0
    for byte in content:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    return dotted(arcs)


def dotted(encoded: list[int]) -> str:
    """The dotted form of the numbers in an object identifier, of which the first stands for two arcs (X.690, 8.19.4)."""
    first = min(encoded[0] // OID_ARCS_OF_FIRST, 2)
    return ".".join(map(str, (first, encoded[0] - first * OID_ARCS_OF_FIRST, *encoded[1:])))
