"""How secrets come in: a file, the standard input, or a hidden question; never a word of the command line.

Secrets on the standard input are lines, in the order in which a command's help names them. A secret from a file or
pipe is presented once: what the card refuses is never presented again by itself.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from calais.win.errors import SilentContext

if TYPE_CHECKING:
    from calais.minidriver.pins import Pin

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MAX_SECRET_BYTES = 4096


def secret_options(name: str, what: str) -> Callable[[F], F]:
    """The options ``--NAME-file`` and ``--NAME-stdin``.

    Args:
        name: as on the command line, ``"pin"``.
        what: the secret in words, for the help.
    """

    def add(body: F) -> F:
        in_file = click.option(
            f"--{name}-file", type=FILE, metavar="FILE", help=f"Read {what} from the first line of FILE."
        )
        in_pipe = click.option(f"--{name}-stdin", is_flag=True, help=f"Read {what} from a line of the standard input.")
        return in_file(in_pipe(body))

    return add


pin_options = secret_options("pin", "the PIN")


def first_line(path: Path) -> str:
    """The first line of a file, without its end.

    Raises:
        UsageError: the file is empty or too long to be a secret.
    """
    with path.open("rb") as stream:
        data = stream.read(MAX_SECRET_BYTES + 1)
    line = _decoded(data.split(b"\n", 1)[0])
    if not line or len(line) > MAX_SECRET_BYTES:
        raise click.UsageError(f"the first line of {path} is {'too long' if line else 'empty'}")
    return line


def stdin_line() -> str:
    """The next line of the standard input, without its end.

    Raises:
        UsageError: the input is at its end.
    """
    line = _decoded(sys.stdin.buffer.readline(MAX_SECRET_BYTES))
    if not line:
        raise click.UsageError("the standard input has no line left to read a secret from")
    return line


def _decoded(line: bytes) -> str:
    try:
        return line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        raise click.UsageError("the secret is not text in UTF-8") from None


def can_ask() -> bool:
    """Whether a person sits at a terminal, even if the standard input is a pipe."""
    if not sys.stderr.isatty():
        return False
    if sys.stdin.isatty() or sys.platform == "win32":
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def ask_hidden(question: str) -> str:
    """A hidden answer from the terminal; ``""`` when the person just pressed Enter.

    Raises:
        Abort: Ctrl-C or Ctrl-D.
    """
    try:
        return getpass.getpass(question)
    except (EOFError, KeyboardInterrupt):
        click.echo(err=True)
        raise click.Abort from None


@dataclass
class Source:
    """One secret and where it comes from; ``take`` gets it."""

    what: str
    file: Path | None = None
    stdin: bool = False
    option: str = "pin"

    @property
    def is_given(self) -> bool:
        """Whether a file or the standard input has it, so that nobody is asked."""
        return self.file is not None or self.stdin

    def take(self, *, new: bool = False) -> str:
        """The secret, asked for twice when it is a ``new`` one.

        Raises:
            SilentContext: there is nobody to ask.
            UsageError: the file or line is empty, or a new secret was typed in two ways.
        """
        if self.file is not None:
            return first_line(self.file)
        if self.stdin:
            return stdin_line()
        if not can_ask():
            remedy = f"Give it with --{self.option}-file or --{self.option}-stdin, or run in a terminal to be asked"
            raise SilentContext(detail=f"{self.what} is needed, and there is nobody to ask", next_step=remedy)
        answer = ask_hidden(f"{self.what[0].upper()}{self.what[1:]}: ")
        if not answer:
            raise click.Abort
        if new and ask_hidden("Once more: ") != answer:
            raise click.UsageError("the two entries differ; nothing was changed")
        return answer

    def key(self) -> bytes:
        """The secret as a key, which is written in hexadecimal.

        Raises:
            UsageError: it is not.
        """
        try:
            return bytes.fromhex(self.take())
        except ValueError:
            raise click.UsageError(f"{self.what} is not hexadecimal") from None

    def pin(self, *, new: bool = False) -> Pin:
        """The secret as a PIN."""
        from calais.minidriver.pins import Pin

        return Pin(self.take(new=new))
