"""The PC/SC library with checked calls: every PC/SC code becomes a ``WinError`` here and nowhere else.

Source: PC/SC Workgroup specification part 5; winscard.h; pcsc-lite's pcsclite.h.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from calais.transport import pcsc_abi as abi
from calais.win.codes import Code
from calais.win.errors import NotAuthenticated, ReaderUnavailable, WinError

_SERVICE_GONE = frozenset({Code.SCARD_E_NO_SERVICE, Code.SCARD_E_SERVICE_STOPPED, Code.SCARD_F_COMM_ERROR})


class Library:
    """The PC/SC library of this system, its functions checked and its codes unsigned.

    Args:
        path: another library than the system's.

    Raises:
        ReaderUnavailable: there is none (SCARD_E_NO_SERVICE).
    """

    def __init__(self, path: str | None = None) -> None:
        try:
            self._library = abi.load(path)
        except OSError as error:
            raise ReaderUnavailable(
                Code.SCARD_E_NO_SERVICE,
                "the PC/SC library is not installed",
                next_step="install PC/SC (on Debian and Ubuntu: apt install pcscd libpcsclite1)",
            ) from error
        self._bound: dict[str, Callable[..., int]] = {}

    def code(self, function: str, *arguments: Any) -> int:  # noqa: ANN401 - as C wants them
        """Call ``SCard`` + ``function``; its code as unsigned number."""
        bound = self._bound.get(function)
        if bound is None:
            bound = self._bound[function] = abi.bind(self._library, "SCard" + function)
        return bound(*arguments) & 0xFFFFFFFF

    def call(self, function: str, *arguments: Any) -> None:  # noqa: ANN401
        """The same, raising.

        Raises:
            WinError: whatever it returned but success.
        """
        if code := self.code(function, *arguments):
            raise failure(code, function)


def failure(code: int, function: str) -> WinError:
    """The error for PC/SC ``code``, with what a person should know about it."""
    if code in _SERVICE_GONE:
        return ReaderUnavailable(
            Code.SCARD_E_NO_SERVICE if code == Code.SCARD_F_COMM_ERROR else code,
            "the smart card service does not answer",
            next_step="start it (on Linux: systemctl start pcscd.socket, or run pcscd; install the package pcscd)",
        )
    if code == Code.SCARD_E_UNEXPECTED and not abi.IS_WINDOWS:
        # pcsc-lite and macOS have one number for "unexpected" and "unsupported", and mean the latter.
        return WinError.of(Code.SCARD_E_UNSUPPORTED_FEATURE, f"the reader does not support SCard{function} for this")
    if code == Code.SCARD_W_SECURITY_VIOLATION:
        return NotAuthenticated(
            code,
            "the smart card service refuses this user",
            next_step="allow access_pcsc and access_card of org.debian.pcsc-lite in polkit, or log in at the console",
        )
    return WinError.of(code, _DETAILS.get(code, f"SCard{function} failed"))


_DETAILS: dict[int, str] = {
    Code.SCARD_W_REMOVED_CARD: "the card was taken out of the reader",
    Code.SCARD_W_RESET_CARD: "the card was reset by another program",
    Code.SCARD_E_NO_SMARTCARD: "there is no card in the reader",
    Code.SCARD_E_SHARING_VIOLATION: "another program uses the card exclusively",
    Code.SCARD_E_UNKNOWN_READER: "there is no reader of this name",
    Code.SCARD_E_READER_UNAVAILABLE: "the reader was unplugged",
    Code.SCARD_W_UNRESPONSIVE_CARD: "the card does not answer; it may be inserted the wrong way round",
    Code.SCARD_E_PROTO_MISMATCH: "the card speaks neither T=0 nor T=1",
}


def bounded(call: Callable[[], int], timeout_s: float, undo: Callable[[int], None]) -> int | None:
    """Run ``call`` in a thread of its own; its code, or ``None`` after ``timeout_s`` seconds.

    When the call ends too late after all, ``undo`` is called with its code, in that thread.
    """
    mutex, done, result = threading.Lock(), threading.Event(), [-1]
    abandoned = False

    def run() -> None:
        code = call()
        with mutex:
            result[0] = code
            done.set()
            late = abandoned
        if late:
            undo(code)

    threading.Thread(target=run, name="pcsc", daemon=True).start()
    if done.wait(timeout_s):
        return result[0]
    with mutex:
        abandoned = not done.is_set()
    return None if abandoned else result[0]
