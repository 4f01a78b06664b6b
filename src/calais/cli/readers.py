"""``calais readers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calais.cli.command import Document, command
from calais.cli.screen import Screen
from calais.cli.session import opened
from calais.win.errors import WinError

if TYPE_CHECKING:
    from calais.provider.card import Card
    from calais.resource.slots import ReaderStatus

NO_SERVICE = "SCARD_E_NO_SERVICE"
HINT = "No readers. Plug one in, or use a virtual card: calais virtual new NAME --insert"


def _view(screen: Screen, document: Document) -> None:
    rows = document["readers"]
    if not rows:
        screen.line(HINT)
    else:
        columns = ("Reader", "Card", "Serial", "ATR") if screen.is_wide else ("Reader", "Card", "Serial")
        screen.table(columns, [_row(row)[: len(columns)] for row in rows], keep=("Serial",))
    for note in document["notes"]:
        screen.line((unseen(note), "dim"))


def unseen(note: str) -> str:
    """Why readers cannot be seen: real ones, or those of a damaged table of virtual ones."""
    return f"{'Real readers' if NO_SERVICE in note else 'Readers'} cannot be seen: {note}"


def _row(row: Document) -> tuple[str | tuple[str, str], ...]:
    card = row["card"] or (row["problem"], "red") if row["present"] else ("empty", "dim")
    return row["reader"], card, row["serial"] or "", (row["atr"] or "", "dim")


@command(_view)
def readers() -> Document:
    """List the readers, real and virtual, and the cards in them."""
    with opened() as system:
        cards = {status.name: card for status, card in system.examine()}
        rows = [_describe(status, cards.get(status.name)) for status in system.readers()]
        return {"readers": rows, "notes": list(system.notes)}


def _describe(status: ReaderStatus, card: Card | WinError | None) -> dict[str, object]:
    row: dict[str, object] = {
        "reader": status.name,
        "present": status.present,
        "atr": status.atr.hex() or None,
        "card": None,
        "driver": None,
        "serial": None,
        "problem": None,
    }
    if isinstance(card, WinError):
        return row | {"problem": f"{card.detail or card.name} ({card.name})"}
    if card is not None:
        row |= {"card": card.label, "driver": card.name, "serial": card.identity.serial}
    return row
