"""``calais virtual``: list, insert, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from calais.cli.command import Document, command
from calais.cli.screen import Screen
from calais.cli.session import virtual_readers
from calais.win.errors import WinError

if TYPE_CHECKING:
    from calais.resource.virtual import VirtualCardFile

DEFAULT_READER = "Virtual Reader 0"


def complete_cards(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of virtual cards, for the shell."""
    try:
        return [CompletionItem(card.name) for card in virtual_readers().cards() if card.name.startswith(incomplete)]
    except WinError:
        return []


def _row(card: VirtualCardFile) -> dict[str, object]:
    return {"name": card.name, "card": _kind(card), "reader": card.reader, "file": str(card.path)}


def _kind(card: VirtualCardFile) -> str | None:
    """``"piv"`` or ``"gids"``, as the file says; ``None`` when it is damaged."""
    from calais.cards.base import FileMemory
    from calais.cards.kinds import kind_of

    try:
        return kind_of(FileMemory(card.path))
    except WinError:
        return None


def _list_view(screen: Screen, document: Document) -> None:
    if not document["cards"]:
        screen.line("No virtual cards. Make one: calais virtual new NAME --insert")
        return
    rows = [
        (
            row["name"],
            row["card"].upper() if row["card"] else ("damaged", "red"),
            row["reader"] or ("in no reader", "dim"),
            (row["file"], "dim"),
        )
        for row in document["cards"]
    ]
    screen.table(("Card", "Kind", "Reader", "File"), rows, keep=("Card", "Kind"))


@command(_list_view)
def list_() -> Document:
    """List the virtual cards, and the readers they are in."""
    return {"cards": [_row(card) for card in virtual_readers().cards()]}


def _insert_view(screen: Screen, document: Document) -> None:
    screen.line(document["name"], (" is in ", "green"), f"{document['reader']}. Next: calais propagate")


@command(_insert_view)
@click.argument("name", shell_complete=complete_cards)
@click.option("--reader", default=DEFAULT_READER, show_default=True, metavar="NAME", help="Made if it is missing.")
def insert(name: str, reader: str) -> Document:
    """Insert the virtual card NAME into a virtual reader."""
    virtual_readers().insert(name, reader)
    return {"name": name, "reader": reader}


def _remove_view(screen: Screen, document: Document) -> None:
    screen.line(document["name"], (" was taken out", "green"), f" of {document['reader']}.")


@command(_remove_view)
@click.argument("where", metavar="[NAME|READER]", default=DEFAULT_READER, shell_complete=complete_cards)
def remove(where: str) -> Document:
    """Take a virtual card out of its reader; named by itself or by the reader. Its file stays."""
    home = virtual_readers()
    inserted = {card.reader: card.name for card in home.cards() if card.reader}
    reader = home.remove(where)
    return {"name": inserted.get(reader, where), "reader": reader}
