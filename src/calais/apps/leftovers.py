"""What changes that were cut off have left on a card: looking at it, and putting it in order."""

from __future__ import annotations

from dataclasses import dataclass

from calais.minidriver.orphans import Orphan
from calais.provider.card import Card, Right


@dataclass(frozen=True, slots=True)
class Mended:
    """``found``: what was out of order; ``left``: what still is, because it waits for a person."""

    found: list[Orphan]
    left: list[Orphan]


def look(card: Card) -> list[Orphan]:
    """What is out of order on the card; nothing is changed, and no PIN is wanted.

    Raises:
        CardRemoved, CardReset, WinError: the card.
    """
    return card.run(lambda driver: driver.orphans())


def mend(card: Card, right: Right, *, remove_keys: bool = False) -> Mended:
    """Complete or remove what is out of order.

    Args:
        card: the card.
        right: the right to change it.
        remove_keys: also delete keys that nothing belongs to, for ever.

    Raises:
        NotAuthenticated: the right was not given. Unsupported: the card or its driver. WinError: the card.
    """
    found = right.run(lambda driver: driver.repair(remove=remove_keys))
    return Mended(found, look(card))
