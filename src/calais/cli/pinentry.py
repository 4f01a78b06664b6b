"""Asking for a PIN in a window of its own: GnuPG's pinentry, spoken to in the Assuan protocol.

The program is found by its name on the PATH, never through a variable that another program could have set.
Source: Assuan manual, "Client requests"; pinentry manual, "Protocol".
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import IO
from urllib.parse import unquote_to_bytes

from calais.minidriver.pins import Pin
from calais.provider.prompt import PinRequest
from calais.win.codes import Code
from calais.win.errors import WinError

CANCELLED = (83886179, 99)  # GPG_ERR_CANCELED, with and without pinentry's source


def ask_pinentry(request: PinRequest) -> Pin | None:
    """The PIN, or ``None`` when the person cancels.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND, no pinentry is installed; ERROR_IO_DEVICE, it failed.
    """
    program = shutil.which("pinentry")
    if program is None:
        raise WinError(Code.ERROR_FILE_NOT_FOUND, "pinentry is not installed", next_step="apt install pinentry-curses")
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603
        if process.stdin is None or process.stdout is None:
            raise WinError(Code.ERROR_IO_DEVICE, "pinentry has no pipes")
        return _talk(process.stdin, process.stdout, request)


def _talk(out: IO[bytes], answers: IO[bytes], request: PinRequest) -> Pin | None:
    _answer(answers)
    for command in _commands(request):
        _send(out, command)
        _answer(answers)
    _send(out, "GETPIN")
    pin = _answer(answers)
    _send(out, "BYE")
    return Pin(pin) if pin else None


def _commands(request: PinRequest) -> list[str]:
    tries = f" {request.attempts_left} tries are left." if request.attempts_left else ""
    commands = [
        "SETTITLE Calais",
        f"SETDESC {_quoted(f'{request.card} in {request.reader}: {request.purpose}.{tries}')}",
        "SETPROMPT PIN:",
    ]
    if request.reason:
        commands.append(f"SETERROR {_quoted(request.reason)}")
    terminal = os.environ.get("GPG_TTY")
    return [*commands, f"OPTION ttyname={_quoted(terminal)}"] if terminal else commands


def _quoted(text: str) -> str:
    """Percent, line ends and control characters escaped, as Assuan wants it."""
    return "".join(f"%{ord(c):02X}" if c == "%" or ord(c) < 0x20 else c for c in text)


def _send(out: IO[bytes], command: str) -> None:
    try:
        out.write(command.encode() + b"\n")
        out.flush()
    except OSError as error:
        raise WinError(Code.ERROR_IO_DEVICE, "pinentry has gone away") from error


def _answer(answers: IO[bytes]) -> bytes:
    """The data before the next OK; ``b""`` when the person cancelled."""
    data = b""
    while line := answers.readline():
        kind, _, rest = line.rstrip(b"\r\n").partition(b" ")
        if kind == b"D":
            data += unquote_to_bytes(rest)
        elif kind == b"OK":
            return data
        elif kind == b"ERR":
            return _refused(rest)
    raise WinError(Code.ERROR_IO_DEVICE, "pinentry has gone away")


def _refused(rest: bytes) -> bytes:
    number = rest.split(b" ", 1)[0]
    if number.isdigit() and int(number) in CANCELLED:
        return b""
    raise WinError(Code.ERROR_IO_DEVICE, f"pinentry failed: {rest.decode(errors='replace')}")
