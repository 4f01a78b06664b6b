"""``calais cache show`` and ``calais cache clear``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from calais.cli.command import Document, command
from calais.cli.screen import Cell, Screen
from calais.cli.session import choose_card, complete_readers, opened
from calais.win.codes import Code
from calais.win.errors import WinError

if TYPE_CHECKING:
    from calais.minidriver.memo import KeptCard
    from calais.provider.cache import Explanation
    from calais.provider.card import Card


def _nothing(wanted: str | None) -> str:
    which = f"a card whose id begins with {wanted}" if wanted else "any card"
    return f"Nothing is remembered of {which}."


class CardId(click.ParamType[str]):
    """A card id or the beginning of one, in hexadecimal; dashes do not count."""

    name = "id"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The digits, in lower case."""
        digits = str(value).replace("-", "").strip("{}").lower()
        if not digits or set(digits) - set("0123456789abcdef"):
            self.fail(f"{value!r} is not hexadecimal", param, ctx)
        return digits


card_option = click.option(
    "--card", "card_id", type=CardId(), metavar="ID", help="The card with this id, or a part of it."
)


def _view(screen: Screen, document: Document) -> None:
    if not document["cards"]:
        screen.line(_nothing(document["wanted"]))
    for card in document["cards"]:
        where = f" in {card['reader']}" if card["reader"] else ""
        screen.title(f"{card['card']}{where}")
        screen.facts([("Card id", card["card_id"]), ("Cache mode", card["mode"])])
        if not card["trusted"]:
            screen.line(("The counters of this card were caught lying: they are not believed.", "yellow"))
        screen.table(
            ("Object", "Bytes", "Used", "Believed because"), [_row(item) for item in card["objects"]], keep=("Object",)
        )
    for note in document["notes"]:
        screen.line((note, "dim"))


def _row(item: Document) -> tuple[Cell, ...]:
    size = "absent" if item["size"] is None else str(item["size"])
    return item["what"], size, str(item["hits"]), item["sentence"]


@command(_view)
@click.argument("reader", required=False, shell_complete=complete_readers)
@card_option
def show(reader: str | None, card_id: str | None) -> Document:
    """Show what is remembered of cards, and why it is believed.

    Without READER, what waits for its card; nothing is asked of any card. With READER, the card there is listed first.
    """
    with opened() as system:
        if reader is not None:
            cards = [_present(choose_card(system, reader))]
        else:
            modes = system.policy.values()
            cards = [_waiting(kept, modes) for kept in system.kept.cards()]
        wanted = [card for card in cards if str(card["card_id"]).startswith(card_id or "")]
        return {
            "folder": _folder(system.kept.folder),
            "wanted": card_id,
            "cards": wanted,
            "notes": list(system.kept.notes),
        }


def _folder(folder: object) -> str | None:
    path = getattr(folder, "path", None)
    return None if path is None else str(path)


def _present(card: Card) -> dict[str, object]:
    """What is remembered of the card, once it has been listed."""
    card.refresh()
    return {
        "card": card.label,
        "card_id": card.card_id.hex(),
        "driver": card.name,
        "reader": card.reader,
        "mode": card.cache_mode.value,
        "trusted": card.counters_trusted,
        "objects": _objects(card.evidence()),
    }


def _waiting(kept: KeptCard, policy: dict[str, bool | int | str]) -> dict[str, object]:
    from calais.cards.keeping import KEEPERS
    from calais.provider.cache import decide, explain_kept

    return {
        "card": kept.label,
        "card_id": kept.card_id.hex(),
        "driver": kept.driver,
        "reader": None,
        "mode": decide(policy, kept.driver, KEEPERS[kept.driver].told).value,
        "trusted": kept.trusted,
        "objects": _objects(explain_kept(kept)),
    }


def _objects(explanations: Sequence[Explanation]) -> list[dict[str, object]]:
    from calais.apps.certificates import stamp

    return [
        {
            "what": each.what,
            "size": each.size,
            "read": stamp(each.read) if each.read else None,
            "judged_by": each.judged_by,
            "holds": each.holds,
            "hits": each.hits,
            "sentence": each.sentence,
        }
        for each in explanations
    ]


def _cleared(screen: Screen, document: Document) -> None:
    number = document["cleared"]
    forgotten = f"Forgotten: what was remembered of {_cards(number)}."
    screen.line(forgotten if number else "There was nothing to forget.")


def _cards(number: int) -> str:
    return "one card" if number == 1 else f"{number} cards"


@command(_cleared)
@card_option
def clear(card_id: str | None) -> Document:
    """Forget what is remembered of all cards, or of one; they are read anew when they are used next."""
    with opened() as system:
        if card_id is None:
            cleared = system.kept.clear()
        else:
            wanted = {kept.card_id for kept in system.kept.cards() if kept.card_id.hex().startswith(card_id)}
            cleared = sum(system.kept.clear(one) for one in wanted)
        if system.kept.stuck:
            detail = f"not everything was forgotten: {system.kept.stuck[0]}"
            step = "Make the folder writable for you, or delete the file by hand"
            raise WinError(Code.ERROR_ACCESS_DENIED, detail, next_step=step)
        return {"cleared": cleared}
