"""Failures in words: what happened, Windows' code, the next step; and the exit code that scripts test.

Exit codes: docs/commands.md. Nothing here imports more than click.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import click

from calais.cli.meanings import (
    CARD,
    CODE_OF_ERRNO,
    EXIT_OF_CLASS,
    EXIT_OF_CODE,
    INTERRUPTED,
    MEANING,
    NEXT,
    UNEXPECTED,
    USAGE,
)
from calais.cli.safe import safe
from calais.win.codes import Code, name_of
from calais.win.errors import AccessDenied, WinError, WrongPin


def exit_code(error: WinError) -> int:
    """The exit code that tells a script what kind of failure this is."""
    special = None if isinstance(error, AccessDenied) else EXIT_OF_CODE.get(error.code)
    if special is not None:
        return special
    return next((code for kind, code in EXIT_OF_CLASS if isinstance(error, kind)), CARD)


def from_os_error(error: OSError) -> WinError:
    """A failure of a file or disk, as Windows would number it."""
    code = CODE_OF_ERRNO.get(error.errno or 0, Code.ERROR_IO_DEVICE)
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
    if error.code == Code.SCARD_E_WRITE_TOO_MANY and isinstance(error.__cause__, OSError):
        # The file of a virtual card, and no card, has no room.
        error = WinError(CODE_OF_ERRNO.get(error.__cause__.errno or 0, Code.ERROR_IO_DEVICE), error.detail)
    detail = error.detail or MEANING.get(error.code, "the operation failed")
    next_step = error.next_step or NEXT.get(error.code, "")
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
