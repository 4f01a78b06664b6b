"""Asking in a window of its own: GnuPG's pinentry, spoken to in the Assuan protocol.

The program is found by its name on the PATH, never through a variable that another program could have set.
Source: Assuan manual, "Client requests"; pinentry manual, "Protocol".
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO
from urllib.parse import unquote_to_bytes

from calais.minidriver.pins import Pin
from calais.provider.prompt import CardRequest, PinRequest
from calais.provider.prompts.words import card_lines, last_try_lines, window_lines
from calais.win.codes import Code
from calais.win.errors import WinError

# GPG_ERR_CANCELED, GPG_ERR_TIMEOUT, GPG_ERR_NOT_CONFIRMED, each with and without pinentry as its source
NO = frozenset(source + error for source in (0, 5 << 24) for error in (99, 62, 114))


@dataclass(frozen=True)
class Pinentry:
    """A prompt (see ``Prompt``) that also confirms last tries and asks for cards.

    Args:
        program: its name or path.

    Every question raises ``WinError``: ERROR_FILE_NOT_FOUND, pinentry is not installed; ERROR_IO_DEVICE, it failed.
    """

    program: str = "pinentry"

    def ask(self, request: PinRequest) -> Pin | None:
        """The PIN, or ``None`` when the person cancels."""
        commands = [*_texts(window_lines(request), window=request.window), "SETPROMPT PIN:"]
        if request.retry and request.reason:
            commands.append(f"SETERROR {_quoted(request.reason)}")
        pin = self._talk(commands, "GETPIN")
        return Pin(pin) if pin else None

    def confirm(self, request: PinRequest) -> bool:
        """Whether the last try shall be used."""
        buttons = ["SETOK Use the last try", "SETCANCEL Cancel"]
        commands = [*_texts(last_try_lines(request), window=request.window), *buttons]
        return self._talk(commands, "CONFIRM") is not None

    def insert_card(self, request: CardRequest) -> bool:
        """Whether to look for the card again."""
        buttons = ["SETOK The card is there", "SETCANCEL Cancel"]
        commands = [*_texts(card_lines(request), window=request.window), *buttons]
        return self._talk(commands, "CONFIRM") is not None

    def _talk(self, commands: Iterable[str], question: str) -> bytes | None:
        """The answer to ``question`` after ``commands``; ``None`` = no."""
        program = shutil.which(self.program)
        if program is None:
            detail = "pinentry is not installed"
            raise WinError(Code.ERROR_FILE_NOT_FOUND, detail, next_step="apt install pinentry-curses")
        with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603
            if process.stdin is None or process.stdout is None:
                raise WinError(Code.ERROR_IO_DEVICE, "pinentry has no pipes")
            return _conversation(process.stdin, process.stdout, commands, question)


def _conversation(out: IO[bytes], answers: IO[bytes], commands: Iterable[str], question: str) -> bytes | None:
    _answer(answers)
    for command in commands:
        _send(out, command)
        _answer(answers)
    _send(out, question)
    answer = _answer(answers)
    _send(out, "BYE")
    return answer


def _texts(lines: Iterable[str], *, window: int | None) -> list[str]:
    """The commands that every question begins with."""
    commands = [f"OPTION {name}={_quoted(value)}" for name, value in _surroundings(window).items() if value]
    return [*commands, "SETTITLE Calais", f"SETDESC {_quoted(chr(10).join(lines))}"]


def _surroundings(window: int | None) -> dict[str, str]:
    terminal = os.environ.get("GPG_TTY", "")
    kind = os.environ.get("TERM", "") if terminal else ""
    return {"ttyname": terminal, "ttytype": kind, "parent-wid": str(window or "")}


def _quoted(text: str) -> str:
    """Percent, line ends and control characters escaped, as Assuan wants it."""
    return "".join(f"%{ord(c):02X}" if c == "%" or ord(c) < 0x20 else c for c in text)


def _send(out: IO[bytes], command: str) -> None:
    try:
        out.write(command.encode(errors="replace") + b"\n")
        out.flush()
    except OSError as error:
        raise WinError(Code.ERROR_IO_DEVICE, "pinentry has gone away") from error


def _answer(answers: IO[bytes]) -> bytes | None:
    """The data before the next OK; ``None`` when the person said no."""
    data = b""
    while line := answers.readline():
        kind, _, rest = line.rstrip(b"\r\n").partition(b" ")
        if kind == b"D":
            data += unquote_to_bytes(rest)
        elif kind == b"OK":
            return data
        elif kind == b"ERR":
            _check_is_no(rest)
            return None
    raise WinError(Code.ERROR_IO_DEVICE, "pinentry has gone away")


def _check_is_no(rest: bytes) -> None:
    number = rest.split(b" ", 1)[0]
    if not (number.isdigit() and int(number) in NO):
        raise WinError(Code.ERROR_IO_DEVICE, f"pinentry failed: {rest.decode(errors='replace')}")
