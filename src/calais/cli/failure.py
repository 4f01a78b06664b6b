"""Failures in words: what happened, Windows' code, the next step; and the exit code that scripts test.

Exit codes: docs/commands.md. Nothing here imports more than click.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import click

from calais.cli.safe import safe
from calais.win.codes import Code, name_of
from calais.win.errors import (
    AccessDenied,
    BadParameter,
    Cancelled,
    NotAuthenticated,
    NotFound,
    PinBlocked,
    SilentContext,
    WinError,
    WrongPin,
)

DONE, NOT_SO, USAGE, CARD, PIN, REFUSED, MACHINE, UNEXPECTED = 0, 1, 2, 3, 4, 5, 6, 70
INTERRUPTED = 130

_EXIT_OF_CODE: dict[int, int] = {
    Code.NTE_BAD_SIGNATURE: NOT_SO,
    Code.SCARD_E_INVALID_CHV: PIN,
    Code.SCARD_E_READ_ONLY_CARD: CARD,
    Code.ERROR_DISK_FULL: MACHINE,
    Code.ERROR_BUSY: MACHINE,
    Code.ERROR_DATABASE_FAILURE: MACHINE,
    Code.ERROR_ACCESS_DENIED: MACHINE,
    Code.ERROR_FILE_NOT_FOUND: MACHINE,
    Code.ERROR_PATH_NOT_FOUND: MACHINE,
    Code.ERROR_FILE_EXISTS: MACHINE,
    Code.ERROR_IO_DEVICE: MACHINE,
    Code.ERROR_ALREADY_EXISTS: NOT_SO,
    Code.CRYPT_E_EXISTS: NOT_SO,
    Code.NTE_EXISTS: NOT_SO,
}
_CODE_OF_ERRNO: dict[int, int] = {
    errno.ENOSPC: Code.ERROR_DISK_FULL,
    errno.EDQUOT: Code.ERROR_DISK_FULL,
    errno.EACCES: Code.ERROR_ACCESS_DENIED,
    errno.EPERM: Code.ERROR_ACCESS_DENIED,
    errno.EROFS: Code.ERROR_ACCESS_DENIED,
    errno.ENOENT: Code.ERROR_FILE_NOT_FOUND,
    errno.ENOTDIR: Code.ERROR_PATH_NOT_FOUND,
    errno.EEXIST: Code.ERROR_FILE_EXISTS,
}
_EXIT_OF_CLASS: tuple[tuple[type[WinError], int], ...] = (
    (WrongPin, PIN),
    (PinBlocked, PIN),
    (NotAuthenticated, PIN),
    (SilentContext, PIN),
    (Cancelled, PIN),
    (AccessDenied, REFUSED),
    (BadParameter, USAGE),
    (NotFound, NOT_SO),
)
_MEANING: dict[int, str] = {
    Code.SCARD_E_NO_SERVICE: "the smart card service (pcscd) is not running",
    Code.SCARD_E_NO_READERS_AVAILABLE: "there is no smart card reader",
    Code.SCARD_E_UNKNOWN_READER: "there is no reader of that name",
    Code.SCARD_E_READER_UNAVAILABLE: "the reader is gone",
    Code.SCARD_E_NO_SMARTCARD: "there is no card in the reader",
    Code.SCARD_W_REMOVED_CARD: "the card was taken out",
    Code.SCARD_W_RESET_CARD: "another program reset the card",
    Code.SCARD_W_UNRESPONSIVE_CARD: "the card does not answer",
    Code.SCARD_E_SHARING_VIOLATION: "another program holds the card",
    Code.SCARD_E_UNKNOWN_CARD: "no driver knows this card",
    Code.SCARD_W_WRONG_CHV: "the PIN is wrong",
    Code.SCARD_W_CHV_BLOCKED: "the PIN is blocked: no tries are left",
    Code.SCARD_W_SECURITY_VIOLATION: "the card wants a PIN or the management key first",
    Code.SCARD_W_CANCELLED_BY_USER: "cancelled",
    Code.NTE_SILENT_CONTEXT: "a PIN is needed, and none was given",
    Code.NTE_BAD_SIGNATURE: "the signature is not valid",
    Code.CRYPT_E_NOT_FOUND: "there is no such certificate in the store",
    Code.CRYPT_E_NO_KEY_PROPERTY: "the certificate has no link to a private key",
    Code.NTE_BAD_KEYSET: "there is no such key container",
    Code.ERROR_DISK_FULL: "the disk is full",
    Code.ERROR_BUSY: "the certificate store is locked by another program",
}
_NEXT: dict[int, str] = {
    Code.SCARD_E_NO_SERVICE: "Start it (sudo systemctl start pcscd), or use a virtual card: calais virtual new NAME",
    Code.SCARD_E_NO_READERS_AVAILABLE: "Plug in a reader, or use a virtual card: calais virtual new NAME",
    Code.SCARD_E_UNKNOWN_READER: "See the names with: calais readers",
    Code.SCARD_E_READER_UNAVAILABLE: "Plug the reader in again; calais readers shows what is there",
    Code.SCARD_E_NO_SMARTCARD: "Insert a card; calais readers shows where cards are",
    Code.SCARD_W_REMOVED_CARD: "Insert the card and try again",
    Code.SCARD_W_RESET_CARD: "Try again",
    Code.SCARD_W_UNRESPONSIVE_CARD: "Insert the card the right way round, or clean its contacts",
    Code.SCARD_E_SHARING_VIOLATION: "Close the other program (gpg's scdaemon is a frequent one) and try again",
    Code.SCARD_W_WRONG_CHV: "See the tries left with: calais pin status",
    Code.SCARD_W_CHV_BLOCKED: "Set a new PIN with the PUK: calais pin unblock",
    Code.SCARD_W_SECURITY_VIOLATION: "Give the PIN with --pin-file or --pin-stdin, or run in a terminal to be asked",
    Code.NTE_SILENT_CONTEXT: "Give the PIN with --pin-file or --pin-stdin, or run in a terminal to be asked",
    Code.CRYPT_E_NOT_FOUND: "See what is there with: calais cert list",
    Code.CRYPT_E_NO_KEY_PROPERTY: "Insert the card and run: calais propagate",
    Code.NTE_BAD_KEYSET: "See the containers with: calais key list; renew the links with: calais propagate",
    Code.ERROR_DISK_FULL: "Make room and try again; nothing that was stored before is lost",
    Code.ERROR_BUSY: "Try again; if it stays so, find the program that holds the database",
}


def exit_code(error: WinError) -> int:
    """The exit code that tells a script what kind of failure this is."""
    special = _EXIT_OF_CODE.get(error.code)
    if special is not None:
        return special
    return next((code for kind, code in _EXIT_OF_CLASS if isinstance(error, kind)), CARD)


def from_os_error(error: OSError) -> WinError:
    """A failure of a file or disk, as Windows would number it."""
    code = _CODE_OF_ERRNO.get(error.errno or 0, Code.ERROR_IO_DEVICE)
    where = f"{error.filename}: " if error.filename else ""
    return WinError(code, f"{where}{(error.strerror or str(error)).lower()}")


@dataclass(frozen=True)
class Failure:
    """What is said about a failure; ``code`` and ``name`` are Windows', the rest is for a person."""

    code: int
    detail: str
    next_step: str
    exit_code: int
    attempts_left: int | None = None
    shows_code: bool = True

    def document(self) -> dict[str, object]:
        """The failure as ``--json`` prints it."""
        found: dict[str, object] = {
            "code": f"0x{self.code:08X}",
            "name": name_of(self.code),
            "detail": self.detail,
            "next_step": self.next_step,
            "exit_code": self.exit_code,
        }
        if self.attempts_left is not None:
            found["attempts_left"] = self.attempts_left
        return {"error": found}

    def lines(self) -> Iterator[str]:
        """The failure as a person reads it."""
        yield _styled("error: ", fg="red", bold=True) + safe(self.detail)
        if self.shows_code:
            yield _styled(f"  code: {name_of(self.code)} (0x{self.code:08X})", dim=True)
        if self.next_step:
            yield f"  next: {safe(self.next_step)}"


def failure_of(error: Exception) -> Failure:
    """Any exception as a failure in words."""
    if isinstance(error, click.exceptions.Abort):
        return Failure(Code.ERROR_CANCELLED, "cancelled", "", INTERRUPTED, shows_code=False)
    if isinstance(error, click.ClickException):
        return _of_usage(error)
    if isinstance(error, OSError):
        error = from_os_error(error)
    if isinstance(error, WinError):
        return _of_win_error(error)
    again = "Run it again with CALAIS_DEBUG=1 in the environment to see the details, and report them"
    return Failure(Code.E_UNEXPECTED, f"a fault in Calais itself: {type(error).__name__}", again, UNEXPECTED)


def _of_win_error(error: WinError) -> Failure:
    detail = error.detail or _MEANING.get(error.code, "the operation failed")
    next_step = error.next_step or _NEXT.get(error.code, "")
    left = error.attempts_left if isinstance(error, WrongPin) else None
    return Failure(error.code, detail, next_step, exit_code(error), left)


def _of_usage(error: click.ClickException) -> Failure:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "calais"
    next_step = getattr(error, "next_step", "") or f"See: {path} --help"
    return Failure(Code.ERROR_INVALID_PARAMETER, _clause(error.format_message()), next_step, USAGE, shows_code=False)


def report(error: Exception, *, as_json: bool) -> int:
    """Say it on the standard error stream; returns the exit code."""
    if os.environ.get("CALAIS_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        click.echo(error.format_message(), err=True)
        return USAGE
    found = failure_of(error)
    text = json.dumps(found.document(), indent=2) if as_json else "\n".join(found.lines())
    click.echo(text, err=True)
    return found.exit_code


def _clause(message: str) -> str:
    message = message.rstrip(".")
    return message[:1].lower() + message[1:] if message[1:2].islower() else message


def _styled(text: str, *, fg: str | None = None, bold: bool = False, dim: bool = False) -> str:
    plain = not sys.stderr.isatty() or bool(os.environ.get("NO_COLOR"))
    return text if plain else click.style(text, fg=fg, bold=bold, dim=dim)
