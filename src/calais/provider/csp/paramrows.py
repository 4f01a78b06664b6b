"""Provider parameters: what a row says, and how one is read, enumerated and set. The rows are elsewhere.

Source: CryptGetProvParam, CryptSetProvParam (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calais.provider.csp.context import CspContext
from calais.provider.csp.providers import Letter
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import CRYPT_FIRST, CRYPT_NEXT


@dataclass(frozen=True, slots=True)
class ProvRow:
    """One parameter of some providers.

    Attributes:
        param: PP_*.
        letters: of the providers that have it, as ``"BP"``.
        read: gives its value.
        items: gives the values of one that is enumerated; asked once for each enumeration.
        write: sets it.
        takes: Python types that ``write`` takes.
        more_flags: legal besides 0, or besides CRYPT_FIRST and CRYPT_NEXT.
        guarded: whether reading it counts as a call of the provider.
    """

    param: int
    letters: str
    read: Callable[[CspContext], object] | None = None
    items: Callable[[CspContext], Sequence[object]] | None = None
    write: Callable[[CspContext, Any], None] | None = None
    takes: tuple[type, ...] = ()
    more_flags: int = 0
    guarded: bool = True


Rows = Mapping[tuple[Letter, int], ProvRow]


def by_letter(rows: Iterable[ProvRow]) -> dict[tuple[Letter, int], ProvRow]:
    """The rows by provider and number."""
    letters: tuple[Letter, ...] = ("B", "P", "E")
    return {(letter, row.param): row for row in rows for letter in letters if letter in row.letters}


def find(rows: Rows, context: CspContext, param: int) -> ProvRow:
    """The row of the context's provider for ``param``.

    Raises:
        WinError: ``NTE_BAD_TYPE``, there is none.
    """
    row = rows.get((context.provider.letter, param))
    if row is None:
        raise WinError.of(Code.NTE_BAD_TYPE, f"{context.provider.name} has no parameter {param!r} of this kind")
    return row


def read(row: ProvRow, context: CspContext, flags: int) -> object:
    """The value, or the next one.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``ERROR_NO_MORE_ITEMS``, the last one has been read; what the row says.
    """
    own = flags & ~row.more_flags
    if own not in ((0, CRYPT_FIRST, CRYPT_NEXT) if row.items else (0,)):
        raise WinError.of(Code.NTE_BAD_FLAGS, f"flags 0x{flags:X} do not read this parameter")
    if row.read is not None:
        return row.read(context)
    return _next(row, context, first=own == CRYPT_FIRST)


def _next(row: ProvRow, context: CspContext, *, first: bool) -> object:
    if row.items is not None and (first or row.param not in context.cursors):
        context.cursors[row.param] = iter(row.items(context))
    for value in context.cursors[row.param]:
        return value
    raise WinError.of(Code.ERROR_NO_MORE_ITEMS, "the last one has been read")


def write(row: ProvRow, context: CspContext, value: object, flags: int) -> None:
    """Set the value.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``ERROR_INVALID_PARAMETER``, another Python type; what the row says.
    """
    if flags & ~row.more_flags:
        raise WinError.of(Code.NTE_BAD_FLAGS, f"flags 0x{flags:X} do not set this parameter")
    if not isinstance(value, row.takes) or isinstance(value, bool):
        raise WinError.of(Code.ERROR_INVALID_PARAMETER, f"parameter {row.param} is not set to {type(value).__name__}")
    if row.write is not None:
        row.write(context, value)
