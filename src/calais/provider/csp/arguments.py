"""What the caller hands over, checked before anything is done with it."""

from __future__ import annotations

from calais.win.codes import Code
from calais.win.errors import WinError


def check_flags(flags: object, legal: int = 0) -> int:
    """``flags``, once it is sure that they are among ``legal``.

    Raises:
        WinError: ``NTE_BAD_FLAGS`` others are set; ``ERROR_INVALID_PARAMETER`` no number.
    """
    value = number(flags)
    if value & ~legal:
        raise WinError.of(Code.NTE_BAD_FLAGS, f"flags 0x{value:X} are not for this call")
    return value


def check_reserved(value: object) -> None:
    """Raise unless a reserved parameter is left alone.

    Raises:
        WinError: ``ERROR_INVALID_PARAMETER``.
    """
    if value not in (None, 0):
        raise WinError.of(Code.ERROR_INVALID_PARAMETER, "the reserved parameter must be None")


def octets(value: object) -> bytes:
    """``value`` as bytes.

    Raises:
        WinError: ``ERROR_INVALID_PARAMETER``, another Python type.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise WinError.of(Code.ERROR_INVALID_PARAMETER, f"bytes are expected, not {type(value).__name__}")


def number(value: object) -> int:
    """``value`` as an unsigned number of 32 bits.

    Raises:
        WinError: ``ERROR_INVALID_PARAMETER``, another Python type or out of range.
    """
    if isinstance(value, int) and 0 <= value <= 0xFFFFFFFF:
        return int(value)
    raise WinError.of(Code.ERROR_INVALID_PARAMETER, "a number from 0 to 0xFFFFFFFF is expected")
