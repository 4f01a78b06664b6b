"""What a person sees: tables, facts and marks with rich on a terminal, the same words plain elsewhere.

Every text goes through ``safe`` here, so that no caller can forget it. rich is imported with the first line drawn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from calais.cli.safe import safe

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

Cell = str | tuple[str, str]
PIPE_WIDTH = 200
WIDE = 110


class Screen:
    """The standard output as a person's page.

    A cell or piece of text is a string, or a pair of string and rich style.
    """

    @cached_property
    def console(self) -> Console:
        """rich's console; wide when the output is not a terminal, so that nothing is cut for a pipe."""
        from rich.console import Console

        width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
        return Console(highlight=False, markup=False, emoji=False, width=width)

    def draw(self, *parts: RenderableType) -> None:
        """Print; without the padding at the ends of lines when nobody sees it."""
        if self.console.is_terminal:
            self.console.print(*parts)
            return
        with self.console.capture() as drawn:
            self.console.print(*parts)
        self.console.file.write("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))

    @property
    def is_wide(self) -> bool:
        """Whether there is room for what is nice to have."""
        return self.console.width >= WIDE

    def line(self, *pieces: Cell) -> None:
        """One line; long ones wrap at words."""
        self.draw(_text(*pieces))

    def paragraph(self, *pieces: Cell, indent: int = 0) -> None:
        """Text whose every line is indented."""
        from rich.padding import Padding

        self.draw(Padding(_text(*pieces), (0, 0, 0, indent)))

    def title(self, text: str) -> None:
        """A heading with an empty line before it."""
        self.draw("")
        self.draw(_text((text, "bold")))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, keep: Sequence[str] = ()) -> None:
        """Rows under headings; columns named in ``keep`` never wrap."""
        from rich.table import Table

        grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in columns:
            grid.add_column(column, no_wrap=column in keep, overflow="fold")
        for row in rows:
            grid.add_row(*(_text(cell) for cell in row))
        self.draw(grid)

    def facts(self, pairs: Iterable[tuple[Cell, Cell | list[Cell]]], *, indent: int = 0) -> None:
        """Names and values, one pair a line, a value being one or several pieces; those without value are left out."""
        from rich.padding import Padding
        from rich.table import Table

        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for name, value in pairs:
            pieces = value if isinstance(value, list) else [value]
            if any(pieces):
                grid.add_row(_text(name), _text(*pieces))
        self.draw(Padding(grid, (0, 0, 0, indent)))


def _text(*pieces: Cell) -> Text:
    from rich.text import Text

    whole = Text()
    for piece in pieces:
        words, style = (piece, "") if isinstance(piece, str) else piece
        whole.append(safe(words), style)
    return whole


def mark(holds: bool | None, yes: str = "ok", no: str = "wrong", unknown: str = "not tried") -> Cell:
    """A coloured word for a check: it holds, it does not, or nobody tried."""
    if holds is None:
        return (unknown, "dim")
    return (yes, "green") if holds else (no, "bold red")


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 card``, ``2 cards``, ``no cards``."""
    word = noun if number == 1 else plural or noun + "s"
    return f"{number or 'no'} {word}"


def is_json() -> bool:
    """Whether the running command was asked for JSON."""
    import click

    context = click.get_current_context(silent=True)
    return bool(context and context.params.get("as_json"))


@contextmanager
def working(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Show that something slow goes on: a spinner on a terminal's error stream, nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True, markup=False, highlight=False).status(_text(what)):
        yield
