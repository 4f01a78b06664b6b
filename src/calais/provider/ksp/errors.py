"""The codes of CNG for failures that are named by other interfaces inside.

Source: winerror.h; Microsoft, "CNG Return Values".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, Unsupported, WinError

_ON_CARD: Mapping[int, int] = {
    Code.SCARD_E_INVALID_PARAMETER: Code.NTE_INVALID_PARAMETER,
    Code.SCARD_E_NO_KEY_CONTAINER: Code.NTE_BAD_KEYSET,
}
_IN_MEMORY: Mapping[int, int] = {
    **_ON_CARD,
    Code.SCARD_E_UNSUPPORTED_FEATURE: Code.NTE_NOT_SUPPORTED,
    Code.SCARD_E_COMM_DATA_LOST: Code.NTE_BAD_DATA,
    Code.SCARD_F_INTERNAL_ERROR: Code.NTE_INVALID_PARAMETER,
}


@contextmanager
def in_memory() -> Iterator[None]:
    """Inside, nothing touches a card: an argument that does not fit or a blob that is none has a code of CNG."""
    with _renamed(_IN_MEMORY):
        yield


@contextmanager
def on_card() -> Iterator[None]:
    """Inside, a card works: its own codes stay, those for our arguments become those of CNG."""
    with _renamed(_ON_CARD):
        yield


@contextmanager
def _renamed(codes: Mapping[int, int]) -> Iterator[None]:
    try:
        yield
    except WinError as error:
        code = codes.get(error.code)
        if code is None:
            raise
        raise WinError.of(code, error.detail, next_step=error.next_step) from error


def bad_parameter(detail: str) -> BadParameter:
    """NTE_INVALID_PARAMETER."""
    return BadParameter(Code.NTE_INVALID_PARAMETER, detail)


def bad_handle(detail: str) -> BadParameter:
    """NTE_INVALID_HANDLE."""
    return BadParameter(Code.NTE_INVALID_HANDLE, detail)


def not_supported(detail: str) -> Unsupported:
    """NTE_NOT_SUPPORTED."""
    return Unsupported(Code.NTE_NOT_SUPPORTED, detail)


def not_found(detail: str) -> NotFound:
    """NTE_NOT_FOUND."""
    return NotFound(Code.NTE_NOT_FOUND, detail)
