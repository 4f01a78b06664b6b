"""Arguments of the faces that are of another type than they should be: E_INVALIDARG, whatever is done with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from calais.win.codes import Code
from calais.win.errors import BadParameter

T = TypeVar("T")


def of(kind: type[T], value: object) -> T:
    """``value``, once it is sure that it is a ``kind``.

    Raises:
        BadParameter: E_INVALIDARG.
    """
    if not isinstance(value, kind):
        raise _wrong(kind.__name__, value)
    return value


def number(value: object) -> int:
    """``value`` as a number of 32 bits. Errors as ``of``."""
    if not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
        raise _wrong("a number of 32 bits", value)
    return int(value)


def octets(value: object) -> bytes:
    """``value`` as bytes. Errors as ``of``."""
    if not isinstance(value, bytes | bytearray | memoryview):
        raise _wrong("bytes", value)
    return bytes(value)


def listed(value: object) -> list[Any]:
    """The items of ``value``. Errors as ``of``."""
    if not isinstance(value, Iterable) or isinstance(value, str | bytes):
        raise _wrong("a sequence", value)
    return list(value)


def _wrong(wanted: str, value: object) -> BadParameter:
    return BadParameter(Code.E_INVALIDARG, f"{wanted} is needed, not {type(value).__name__}")
