"""Reading BER where others write it: values of indefinite length, and octet strings in pieces.

The tree is never built. A value's end is found by one walk over its bytes, so a hostile input costs at most a look
at each byte per level that is asked for, and nests no deeper than ``MAX_DEPTH``. Source: ITU-T X.690, 8.1.3, 8.7.
"""

from __future__ import annotations

from collections.abc import Iterator

from calais.store import der
from calais.store.der import Node
from calais.win.codes import Code
from calais.win.errors import BadData

MAX_DEPTH = 64
INDEFINITE = 0x80
CONSTRUCTED = 0x20
END_OF_CONTENTS = b"\0\0"


def read(source: bytes, start: int = 0, end: int | None = None) -> Node:
    """The TLV at ``start``, whatever the form of its length; it may not pass ``end`` (offsets in bytes).

    Of an indefinite length, the node's end is where the end-of-contents begins.

    Raises:
        BadData: CRYPT_E_ASN1_EOD, cut off; CRYPT_E_ASN1_CORRUPT, a form that is not allowed, or nested too deep.
    """
    limit = len(source) if end is None else end
    if limit - start < 2 or source[start + 1] != INDEFINITE:
        return der.read(source, start, limit)
    _check_indefinite(source, start)
    return Node(source, source[start], start, start + 2, _end_of_contents(source, start, limit))


def read_sequence(source: bytes, what: str) -> Node:
    """The SEQUENCE that ``source`` begins with.

    Raises:
        BadData: CRYPT_E_ASN1_BADTAG, it begins with something else; as ``read``.
    """
    if source[:1] not in (b"", b"\x30"):
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, f"This is not {what}: it begins with 0x{source[0]:02X}.", index=0)
    return read(source)


def after(node: Node) -> int:
    """The offset after a node of ``read``: its end-of-contents is part of it."""
    return node.end + 2 if is_indefinite(node) else node.end


def is_indefinite(node: Node) -> bool:
    """Whether the length was left open."""
    return node.source[node.start + 1] == INDEFINITE


def children(node: Node) -> Iterator[Node]:
    """The TLVs inside ``node``, one after the other.

    Raises:
        BadData: CRYPT_E_ASN1_CORRUPT.
    """
    at = node.body
    while at < node.end:
        try:
            child = read(node.source, at, node.end)
        except BadData as error:
            raise BadData(Code.CRYPT_E_ASN1_CORRUPT, error.detail, index=error.index) from error
        yield child
        at = after(child)


def octets(node: Node) -> bytes:
    """The value of an OCTET STRING, put together if it came in pieces.

    Raises:
        BadData: CRYPT_E_ASN1_CORRUPT.
    """
    if not node.tag & CONSTRUCTED:
        return node.content
    return b"".join(
        der.expect(piece, der.OCTET_STRING, "a piece of an octet string").content for piece in children(node)
    )


def _check_indefinite(source: bytes, start: int) -> None:
    if not source[start] & CONSTRUCTED or source[start] & 0x1F == 0x1F:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "A length is left open where it may not be.", index=start)


def _end_of_contents(source: bytes, start: int, limit: int) -> int:
    """Where the contents of the indefinite value at ``start`` end."""
    at, depth = start + 2, 1
    while True:
        if limit - at < 2:
            raise BadData(Code.CRYPT_E_ASN1_EOD, "The data is over inside a value.", index=at)
        if source[at : at + 2] == END_OF_CONTENTS:
            depth -= 1
            if not depth:
                return at
            at += 2
        elif source[at + 1] == INDEFINITE:
            _check_indefinite(source, at)
            depth += 1
            at += 2
            if depth > MAX_DEPTH:
                raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "The values are nested too deep.", index=at)
        elif source[at + 1] < INDEFINITE and source[at] & 0x1F != 0x1F:
            at += 2 + source[at + 1]
        else:
            at = der.read(source, at, limit).end
