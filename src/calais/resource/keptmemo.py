"""What is remembered of cards that are not in a reader now: in memory, and in files from one process to the next.

The memory is bounded; what was used longest ago goes first. Nothing of it counts before it has been proved on the card
(see ``minidriver.memo``), so that a wrong, old or missing memory costs time and never the truth.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from calais.cards import keeping
from calais.minidriver.memo import CardMemo, KeptCard
from calais.resource.cachefile import CacheFolder

Key = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many cards, objects and bytes, in memory and in the folder each."""

    cards: int = 64
    objects: int = 2048
    size: int = 4 << 20

    def hold(self, cards: int, objects: int, size: int) -> bool:
        """Whether so much may be kept."""
        return cards <= self.cards and objects <= self.objects and size <= self.size


class Owner:
    """A reader's share: its memory is looked at when the card is asked for elsewhere."""

    def __init__(self, memo: CardMemo) -> None:
        self.memo = memo


class KeptCards:
    """The memories that wait for their cards; a ``Shelf``. Safe for many threads.

    Args:
        folder: where they are saved; ``None`` = nowhere.
        allowed: whether cards of a driver may be kept at all.
        limits: how much.
    """

    def __init__(
        self,
        folder: CacheFolder | None = None,
        *,
        allowed: Callable[[str], bool] = lambda _: True,
        limits: Limits | None = None,
    ) -> None:
        self.folder = folder
        self.limits = limits or Limits()
        self._allowed = allowed
        self._cards: OrderedDict[Key, KeptCard] = OrderedDict()
        self._changed: set[Key] = set()
        self._owners: WeakKeyDictionary[Owner, None] = WeakKeyDictionary()
        self._mutex = threading.RLock()

    @property
    def notes(self) -> list[str]:
        """What was found wrong with saved memories, which then were not used."""
        return self.folder.notes if self.folder else []

    @property
    def stuck(self) -> list[str]:
        """Saved memories that should have been deleted and could not be, and why."""
        return self.folder.stuck if self.folder else []

    # --- for drivers ---

    def recall(self, driver: str, mark: bytes, atr: bytes) -> KeptCard | None:
        """What is kept of the card, ``None`` = nothing."""
        if not mark or not self._allowed(driver):
            return None
        with self._mutex:
            self._collect()
            known = self._cards.get((driver, mark))
            if known is None and self.folder is not None:
                known = self.folder.load(driver, mark, atr)
                if known is not None:
                    self._keep(known)
            return known

    def driver_of(self, atr: bytes) -> str:
        """The driver of the kept cards with this ATR; "" when there are none, or of several drivers."""
        with self._mutex:
            self._collect()
            drivers = {card.driver for card in self._cards.values() if card.atr == atr}
            if not drivers and self.folder is not None:
                drivers = self.folder.drivers_of(atr)
        only = next(iter(drivers), "") if len(drivers) == 1 else ""
        return only if only and self._allowed(only) else ""

    def drop(self, driver: str, mark: bytes, atr: bytes) -> None:
        """Keep nothing of the card any more."""
        with self._mutex:
            self._cards.pop((driver, mark), None)
            self._changed.discard((driver, mark))
            if self.folder is not None:
                self.folder.remove(driver, mark, atr)

    # --- for readers ---

    def follow(self, owner: Owner) -> None:
        """Look at the memory of ``owner``, too, as long as it lives."""
        with self._mutex:
            self._owners[owner] = None

    def put(self, memo: CardMemo) -> None:
        """Keep what ``memo`` knows, if it may be kept."""
        card = keeping.freeze(memo)
        if card is None or not card.objects or not self._allowed(card.driver):
            return
        with self._mutex:
            if self._cards.get((card.driver, card.mark)) != card:
                self._changed.add((card.driver, card.mark))
            self._keep(card)

    def _collect(self) -> None:
        for owner in list(self._owners):
            self.put(owner.memo)

    def _keep(self, card: KeptCard) -> None:
        """Keep ``card`` as the one that was used last; what does not fit beside it goes."""
        key = (card.driver, card.mark)
        self._cards[key] = card
        self._cards.move_to_end(key)
        while self._cards and not self._fits():
            gone, _ = self._cards.popitem(last=False)
            self._changed.discard(gone)

    def _fits(self) -> bool:
        cards = self._cards.values()
        objects, size = sum(len(card.objects) for card in cards), sum(card.size for card in cards)
        return self.limits.hold(len(cards), objects, size)

    # --- for people ---

    def cards(self) -> list[KeptCard]:
        """All that is kept, saved or not; what was used last comes last."""
        with self._mutex:
            self._collect()
            saved = {(card.driver, card.mark): card for card in (self.folder.load_all() if self.folder else ())}
            return [card for key, card in saved.items() if key not in self._cards] + list(self._cards.values())

    def clear(self, card_id: bytes | None = None) -> int:
        """Keep nothing any more, or nothing of the cards with this id; how many cards that were."""
        with self._mutex:
            gone = [card for card in self.cards() if card_id in (None, card.card_id)]
            for card in gone:
                self.drop(card.driver, card.mark, card.atr)
            if card_id is None and self.folder is not None:
                self.folder.clear()
            return len(gone)

    def save(self) -> None:
        """Write what has changed into the folder; a failure is a note."""
        if self.folder is None:
            return
        with self._mutex:
            for key in list(self._changed):
                self.folder.save(self._cards[key])
            if self._changed:
                self.folder.prune(self.limits.cards, self.limits.size)
            self._changed.clear()
