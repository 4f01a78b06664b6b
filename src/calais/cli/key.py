"""``calais key list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from calais.cli.command import Document, command
from calais.cli.readers import unseen
from calais.cli.screen import Cell, Screen
from calais.cli.session import choose_card, opened, reader_option
from calais.win.errors import WinError

if TYPE_CHECKING:
    from calais.provider.card import Card
    from calais.provider.container import Container

KEY_SPECS = {1: "exchange", 2: "signature"}


def _view(screen: Screen, document: Document) -> None:
    if not document["cards"]:
        screen.line("No cards are inserted.")
        for note in document["notes"]:
            screen.line((unseen(note), "dim"))
    for card in document["cards"]:
        screen.title(f"{card['card']} in {card['reader']}")
        if card["problem"]:
            screen.line((card["problem"], "red"))
        elif not card["containers"]:
            screen.line("No keys with a certificate. Others: calais key list --all")
        else:
            columns = ("Key", "Kind", "Use", "PIN", "Container", "Cert")
            screen.table(columns, [_row(row) for row in card["containers"]], keep=columns)
            if any(row["default"] for row in card["containers"]):
                screen.line(("* the default container", "dim"))


def _row(row: Document) -> tuple[Cell, ...]:
    name = row["reference"] or str(row["index"])
    return (
        f"{name} *" if row["default"] else name,
        row["key"],
        row["use"],
        row["pin"],
        row["container"],
        "yes" if row["has_certificate"] else ("no", "yellow"),
    )


@command(_view)
@reader_option
@click.option("--all", "probe", is_flag=True, help="Also look for keys that have no certificate; asks the card more.")
def list_(reader: str | None, probe: bool) -> Document:
    """List the key containers of the inserted cards."""
    with opened() as system:
        if reader:
            cards = [describe(choose_card(system, reader), probe=probe)]
        else:
            cards = [_try(status.name, card, probe=probe) for status, card in system.examine()]
        return {"cards": cards, "notes": list(system.notes)}


def _try(reader: str, card: Card | WinError, *, probe: bool) -> dict[str, object]:
    try:
        if not isinstance(card, WinError):
            return describe(card, probe=probe)
        problem = card
    except WinError as error:
        problem = error
    return {"reader": reader, "card": "unknown card", "serial": None, "problem": str(problem), "containers": []}


def describe(card: Card, *, probe: bool) -> dict[str, object]:
    """A card with its containers, for ``--json``."""
    found = card.refresh(probe_keys=probe)
    return {
        "reader": card.reader,
        "card": card.label,
        "serial": card.identity.serial,
        "problem": None,
        "containers": [container_row(container) for container in found],
    }


def container_row(container: Container) -> dict[str, object]:
    """One container, for ``--json``."""
    entry = container.entry
    return {
        "index": entry.index,
        "reference": entry.reference,
        "label": entry.label,
        "container": entry.name,
        "default": entry.is_default,
        "use": KEY_SPECS.get(entry.key_spec, str(entry.key_spec)),
        "key": _kind(entry.algorithm, entry.size_bits),
        "pin": "none" if entry.pin_id == 0 else "each time" if container.always else "once",
        "has_certificate": entry.has_certificate,
    }


def _kind(algorithm: str, size_bits: int) -> str:
    return f"RSA-{size_bits}" if algorithm == "RSA" else algorithm or "unknown"
