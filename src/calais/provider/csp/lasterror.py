"""PP_NX_LAST_ERROR of the Personal CSP: why the last call failed, of each thread its own.

Source: Nexus, "Personal CSP", CPGetProvParam.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from calais.win.codes import Code
from calais.win.errors import CardRemoved, CardReset, NotAuthenticated, PinBlocked, WinError, WrongPin

# What of the card and the PIN is NTE_FAIL to the caller, and what the parameter then says.
_REASONS: tuple[tuple[type[WinError], int], ...] = (
    (WrongPin, Code.ERROR_NX_PIN_INCORRECT),
    (PinBlocked, Code.ERROR_NX_PIN_BLOCKED),
    (CardRemoved, Code.ERROR_NX_UNDEFINED),
    (CardReset, Code.ERROR_NX_UNDEFINED),
    (NotAuthenticated, Code.ERROR_NX_UNDEFINED),
)


class LastErrors(threading.local):
    """The parameter; every thread sees its own ``value``."""

    value: int = Code.ERROR_NX_UNDEFINED

    @contextmanager
    def guard(self) -> Iterator[None]:
        """One call of the provider.

        Raises:
            WinError: ``NTE_FAIL`` for a PIN that is wrong or blocked and for a card that was removed or reset, or wants
                more than the PIN; the cause is chained. Anything else as it is.
        """
        self.value = Code.ERROR_NX_UNDEFINED
        try:
            yield
        except WinError as error:
            reason = next((value for kind, value in _REASONS if isinstance(error, kind)), None)
            if reason is None:
                raise
            self.value = reason
            raise WinError.of(Code.NTE_FAIL, error.detail, next_step=error.next_step) from error
