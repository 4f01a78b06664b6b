"""Packing and unpacking of fixed little-endian records; the shared part of ``win.structs`` and ``win.blobs``."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import Any

from calais.win.errors import BadData, BadParameter

UTF16_UNIT = 2


def pack(layout: Struct, what: str, *values: bytes | int) -> bytes:
    """``values`` in ``layout``.

    Raises:
        BadParameter: a value does not fit its member of ``what``.
    """
    try:
        return layout.pack(*values)
    except StructError as error:
        raise BadParameter(detail=f"a value does not fit {what}: {error}") from error


def unpack(layout: Struct, what: str, data: bytes) -> tuple[Any, ...]:
    """The members of ``what``, which ``data`` must be exactly.

    Raises:
        BadData: ``data`` has another length.
    """
    if len(data) != layout.size:
        raise BadData(detail=f"{what} has {layout.size} bytes, this one {len(data)}", index=min(len(data), layout.size))
    return layout.unpack(data)


def unpack_head(layout: Struct, what: str, data: bytes) -> tuple[tuple[Any, ...], bytes]:
    """The members of the fixed part of ``what``, and the bytes after it.

    Raises:
        BadData: ``data`` is shorter than the fixed part.
    """
    if len(data) < layout.size:
        raise BadData(detail=f"{what} has at least {layout.size} bytes, this one {len(data)}", index=len(data))
    return layout.unpack_from(data), data[layout.size :]


def pack_text(text: str) -> bytes:
    """``text`` as UTF-16LE with terminator.

    Raises:
        BadParameter: NUL or half a surrogate pair inside.
    """
    if "\0" in text:
        raise BadParameter(detail="a NUL inside a string")
    try:
        return text.encode("utf-16-le") + b"\0\0"
    except UnicodeEncodeError as error:
        raise BadParameter(detail="half a surrogate pair in a string") from error


def unpack_text(data: bytes, index: int = 0) -> str:
    """The UTF-16LE string at the start of ``data``, up to its terminator.

    Args:
        data: bytes from the string on.
        index: offset of ``data`` in what is being parsed, for the error.

    Raises:
        BadData: no terminator, or not UTF-16.
    """
    end = next((at for at in range(0, len(data) - 1, UTF16_UNIT) if data[at : at + UTF16_UNIT] == b"\0\0"), None)
    if end is None:
        raise BadData(detail="a string has no terminator", index=index + len(data))
    try:
        return data[:end].decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise BadData(detail="a string is not UTF-16", index=index + error.start) from error
