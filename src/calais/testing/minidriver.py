"""Contexts of the card minidriver interface for tests."""

from __future__ import annotations

from itertools import count

from calais.cards.modules import CLASS_CARDS, CardModules
from calais.cards.registry import BUILT_IN, identify
from calais.minidriver.calls.context import acquire
from calais.minidriver.data import Binding, CardData
from calais.minidriver.memo import CardMemo
from calais.system import System, current
from calais.transport.base import Channel
from calais.transport.loopback import LoopbackCard
from calais.win.errors import WinError
from calais.winapi.ambient import card_modules


class CardContext:
    """What stands for the resource manager's context: the card modules of one system.

    Args:
        system: its policy counts.
    """

    def __init__(self, system: System) -> None:
        self.card_modules = CardModules(system.policy.values())


class ReadyCardData(CardData):
    """A record that is ready for tests: a call that comes before ``CardAcquireContext`` acquires it; once deleted it
    stays deleted.
    """

    _was_acquired = False

    def bind(self, binding: Binding) -> None:
        """Complete the record."""
        self._was_acquired = True
        super().bind(binding)

    def in_use(self) -> Binding | None:
        """What a call finds it bound to."""
        if not self._was_acquired:
            acquire(self, 0, card_modules)
        return self.binding


def card_data(card: LoopbackCard, *, version: int = 7) -> CardData:
    """The ``CardData`` of a card, as its caller fills it; ``CardAcquireContext`` completes it, or else the first call.

    The card is inserted into the current system if it is not, and connected.

    Args:
        card: a card object.
        version: of the interface, as wanted.

    Returns:
        a record whose calls take a transaction each and leave the card authenticated; it is a context manager.
    """
    system = current()
    channel = Channel(system.reader(_reader_of(system, card)).port.connect())
    return ReadyCardData(
        version=version,
        atr=card.atr,
        card_name=_name_of(channel, system),
        context=CardContext(system),
        handle=channel,
    )


def _reader_of(system: System, card: LoopbackCard) -> str:
    statuses = {status.name: status for status in system.readers()}
    for name, status in statuses.items():
        if status.present and getattr(system.reader(name).port, "card", None) is card:
            return name
    names = (f"Virtual Reader {number}" for number in count())
    free = next(name for name in names if name not in statuses or not statuses[name].present)
    system.insert(card, free)
    return free


def _name_of(channel: Channel, system: System) -> str:
    """The name in the card database; of a card that nobody knows any, so that acquiring it says so."""
    memo = CardMemo()
    try:
        with channel.begin() as tx:
            driver = identify(tx, memo, policy=system.policy.values())
    except WinError:
        return next(iter(CLASS_CARDS))
    return driver.card_name if memo.driver in BUILT_IN else memo.driver
