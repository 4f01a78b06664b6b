"""``calais cert logon``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calais.cli.command import Answer, Document, command
from calais.cli.safe import short
from calais.cli.screen import Cell, Screen
from calais.cli.session import opened, require_card

if TYPE_CHECKING:
    from calais.apps.logon import Offer


def _view(screen: Screen, document: Document) -> None:
    if document["certificates"]:
        rows = [_cells(row) for row in document["certificates"]]
        screen.table(("Key", "Shown as", "Offered", "Why not", "Reader"), rows, keep=("Key", "Offered"))
    elif any(not card["problem"] for card in document["cards"]):
        screen.line("The inserted cards have no certificates.")
    if document["user_name_hint"]:
        screen.line("People may give their user name.")
    for card in document["cards"]:
        if card["problem"]:
            screen.line((f"The card in {card['reader']} cannot be read: ", "red"), card["problem"])
        if card["blocked"]:
            screen.line((f"{card['card']} in {card['reader']} is blocked. ", "red"), card["unblock"] or "")


def _cells(row: dict[str, Any]) -> tuple[Cell, ...]:
    offered: Cell = ("yes", "green") if row["offered"] else ("no", "yellow")
    key = row["reference"] or row["container"]
    return key, short(row["label"]), offered, "; ".join(row["refusals"]), row["reader"]


@command(_view)
def logon() -> Answer:
    """List the certificates on the inserted cards that a smart card logon would offer, and why it would not others.

    Exit code 1 when none would be offered.
    """
    from calais.apps.logoncards import survey

    with opened() as system:
        require_card(system)
        cards, offers = survey(system)
        document = {
            "cards": [
                {
                    "reader": card.reader,
                    "card": card.label,
                    "blocked": card.blocked,
                    "unblock": card.unblock,
                    "problem": card.problem,
                }
                for card in cards
            ],
            "certificates": [_row(offer) for offer in offers],
            "user_name_hint": system.policy.user_name_hints,
        }
    return Answer(document, holds=any(offer.offered for offer in offers))


def _row(offer: Offer) -> dict[str, Any]:
    one = offer.candidate
    return {
        "offered": offer.offered,
        "label": offer.label,
        "refusals": list(offer.refusals),
        "reader": one.reader,
        "container": one.container,
        "reference": one.reference,
        "thumbprint": one.thumbprint,
        "upn": one.upn or None,
    }
