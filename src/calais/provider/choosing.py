r"""Which card, and which container of it, a name means: the four container specification levels.

===== ============================ =================================================
level form                         means
===== ============================ =================================================
I     ``\\.\<reader>\<container>`` that container of the card in that reader
II    ``\\.\<reader>\``            the default container of the card in that reader
III   ``<container>``              the first card that has it
IV    the empty name               the default container of the first card that has one
===== ============================ =================================================

Cards that this process has used before go first, recognised by their card id, then the readers in order.

Source: Microsoft, "Smart Card Architecture", container specification levels and operations.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from calais.minidriver.api import Minidriver
from calais.minidriver.memo import MAX_NAMES
from calais.provider.broker import PinBroker
from calais.provider.caller import Caller
from calais.provider.card import Card
from calais.provider.container import Container
from calais.provider.names import ContainerName
from calais.provider.prompt import CardRequest, asks_for_cards, insert_card, program_name
from calais.resource.slots import ReaderStatus
from calais.win.codes import Code
from calais.win.errors import Cancelled, NoCard, NotFound, ReaderUnavailable, WinError

Suits = Callable[[Container], bool]
INSERT_ROUNDS = 10  # that often a person may say that the card is there when it is not


class Shelf(Protocol):
    """Readers and the cards in them (``calais.system.System``)."""

    def readers(self) -> list[ReaderStatus]:
        """All readers and what is in them."""

    def card(self, reader: str) -> Card:
        """The card in ``reader``."""


def any_container(_: Container) -> bool:
    """Every container suits."""
    return True


class Choosing:
    """Finds cards and containers for the providers of one process.

    Args:
        shelf: the readers.
        broker: who knows whom to ask.

    ``insert_text``: what a person is told who is asked for a card (PP_UI_PROMPT). ``names``: see ``NameLeases``.
    """

    def __init__(self, shelf: Shelf, broker: PinBroker) -> None:
        self._shelf = shelf
        self._broker = broker
        self._used: list[bytes] = []
        self.insert_text = ""
        self.names = NameLeases()

    # --- cards ---

    def cards(self, reader: str | None, caller: Caller) -> list[Card]:
        """The cards to look at: the one in ``reader``, or all that can be read, those used before first.

        A person is asked to insert one when there is none, unless ``caller`` is silent.

        Raises:
            ReaderUnavailable: ``SCARD_E_UNKNOWN_READER``, or ``SCARD_E_NO_READERS_AVAILABLE``, there is none at all.
            NoCard: there is none, and nobody can be asked.
            Cancelled: the person gave up.
            WinError: in ``reader`` only: ``SCARD_E_UNKNOWN_CARD``, no driver knows it; or it cannot be read.
        """
        found = self._present(reader)
        for _ in range(INSERT_ROUNDS):
            if found:
                return [card.seen_by(caller) for card in found]
            self._ask_for_card(reader, caller)
            found = self._present(reader)
        raise _no_card(reader)

    def forget_data(self, reader: str | None, caller: Caller) -> None:
        """Believe nothing that is remembered of the cards in ``reader``, or of all (CRYPT_MACHINE_KEYSET)."""
        for card in self.cards(reader, caller):
            card.run(lambda driver: driver.forget_data())

    def note(self, card: Card) -> None:
        """This process uses ``card``: from now on it goes first."""
        if card.card_id not in self._used:
            self._used.append(card.card_id)

    def _present(self, reader: str | None) -> list[Card]:
        if reader is not None:
            try:
                return [self._shelf.card(reader)]
            except NoCard:
                return []
        statuses = self._shelf.readers()
        if not statuses:
            raise ReaderUnavailable(Code.SCARD_E_NO_READERS_AVAILABLE, "there is no reader")
        cards = [card for status in statuses if status.present and (card := self._readable(status.name))]
        return sorted(cards, key=lambda card: card.card_id not in self._used)

    def _readable(self, reader: str) -> Card | None:
        try:
            return self._shelf.card(reader)
        except WinError:
            return None

    def _ask_for_card(self, reader: str | None, caller: Caller) -> None:
        """Have a person insert a card; raises when nobody can be asked, or the person will not."""
        if caller.silent or not asks_for_cards(self._broker.prompt):
            raise _no_card(reader)
        request = CardRequest(
            reader or "",
            reason="no card is inserted",
            caller=program_name(),
            text=self.insert_text,
            window=caller.window,
        )
        if not insert_card(self._broker.prompt, request):
            raise Cancelled(Code.SCARD_W_CANCELLED_BY_USER, "no card was inserted")

    # --- containers ---

    def container(self, name: ContainerName, caller: Caller, suits: Suits = any_container) -> Container:
        """The container that ``name`` means, on any of the four levels.

        Args:
            name: reader and container, either may be missing.
            caller: who wants it.
            suits: which containers the provider can use; the others are not there for it.

        Raises:
            NotFound: ``NTE_BAD_KEYSET``, there is no such container; without a name, no card has a default one.
            ReaderUnavailable, NoCard, Cancelled, WinError: as ``cards``.
        """
        for card in self.cards(name.reader, caller):
            found = self._on(card, name.container, suits)
            if found is not None:
                self.note(card)
                return found
        raise _no_container(name)

    def default(
        self, reader: str | None, caller: Caller, suits: Suits = any_container
    ) -> tuple[Card, Container | None]:
        """The card in ``reader``, or the first that has a default container, else the first; and that container.

        Raises:
            ReaderUnavailable, NoCard, Cancelled, WinError: as ``cards``.
        """
        cards = self.cards(reader, caller)
        for card in cards:
            found = self._on(card, "", suits)
            if found is not None:
                self.note(card)
                return card, found
        self.note(cards[0])
        return cards[0], None

    def _on(self, card: Card, name: str, suits: Suits) -> Container | None:
        self.names.sweep(card)
        if not name:
            return next(iter(self.listed(card, lambda each: each.is_default and suits(each))), None)
        try:
            found = _by_name(card, name)
        except NotFound:
            return None
        return found if suits(found) else None

    def listed(self, card: Card, suits: Suits) -> list[Container]:
        """The containers of ``card`` that suit; names that were made for the others are told to nobody, and forgotten."""
        found: dict[bool, list[Container]] = {True: [], False: []}
        for each in card.refresh():
            found[suits(each)].append(each)
        self.names.drop(card, [each.name for each in found[False]])
        return found[True]

    def room(self, name: ContainerName, caller: Caller) -> Card:
        """The card for a new container ``name``: the first that may be written, has room, and lacks the name.

        Raises:
            WinError: ``NTE_EXISTS``, every card has a container of that name; ``NTE_TOKEN_KEYSET_STORAGE_FULL``, no
                room; ``SCARD_E_READ_ONLY_CARD``; and as ``cards``.
        """
        refusals: list[WinError] = []
        for card in self.cards(name.reader, caller):
            refusal = self._refusal(card, name.container)
            if refusal is None:
                self.note(card)
                return card
            refusals.append(refusal)
        raise min(refusals, key=lambda refusal: _WEIGHT.index(refusal.code))

    def _refusal(self, card: Card, name: str) -> WinError | None:
        """Why ``card`` cannot have a new container ``name``."""
        if name and self._on(card, name, any_container) is not None:
            return WinError.of(Code.NTE_EXISTS, f"{card.label} has a container {name!r} already")
        return card.run(lambda driver: _full_or_closed(driver, card.label))


# When the cards have different reasons, the one that most likely helps; NTE_EXISTS is for when all have the name.
_WEIGHT: tuple[int, ...] = (Code.NTE_TOKEN_KEYSET_STORAGE_FULL, Code.SCARD_E_READ_ONLY_CARD, Code.NTE_EXISTS)


def _full_or_closed(driver: Minidriver, label: str) -> WinError | None:
    if driver.read_only or not driver.admits_user:
        return read_only_card(label)
    if driver.free_space().key_containers_available == 0:
        return storage_full(label)
    return None


def _by_name(card: Card, name: str) -> Container:
    """The container ``name``; where names are made by enumeration it goes on by the name it was asked for."""
    found = card.container(name)
    if not card.identity.has_stable_names and found.name.casefold() != name.casefold():
        return Container(card, replace(found.entry, name=name.lower()), always=found.always)
    return found


def read_only_card(label: str) -> WinError:
    """The error for a card that cannot be changed."""
    return WinError.of(Code.SCARD_E_READ_ONLY_CARD, f"{label} cannot be changed")


def storage_full(label: str) -> WinError:
    """The error for a card without room."""
    return WinError.of(
        Code.NTE_TOKEN_KEYSET_STORAGE_FULL,
        f"{label} has no room for another container",
        next_step="delete a container that is not needed any more",
    )


def _no_card(reader: str | None) -> NoCard:
    where = f"in {reader}" if reader is not None else "in any reader that Calais can use"
    return NoCard(detail=f"there is no card {where}", next_step="insert the card")


def _no_container(name: ContainerName) -> NotFound:
    what = f"container {name.container!r}" if name.container else "default container"
    where = f"the card in {name.reader}" if name.reader else "any inserted card"
    detail = f"there is no {what} on {where}"
    return NotFound(Code.NTE_BAD_KEYSET, detail, next_step="insert the card, or propagate its certificates again")


class NameLeases:
    """Names that cards without stable names were given for the sake of an open context.

    Such a name opens its container for as long as a context that told it is open. Names that were made for other
    reasons (links in the certificate store) are not here, and hold as long as the card remains inserted.

    Source: observed on Windows with PIV cards: the name found in a context is unknown once that context is closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: dict[tuple[bytes, str], int] = {}
        self._over: dict[bytes, list[str]] = {}

    def issue(self, card: Card, name: str) -> Lease:
        """A context tells the name ``name``, which was made for it."""
        key = (card.card_id, name.lower())
        with self._lock:
            if not card.identity.has_stable_names:
                self._holders.setdefault(key, 0)
            return self._join(key)

    def join(self, card: Card, name: str) -> Lease:
        """A context was opened by ``name`` and will tell it; nothing, unless another context has made it."""
        with self._lock:
            return self._join((card.card_id, name.lower()))

    def _join(self, key: tuple[bytes, str]) -> Lease:
        if key not in self._holders:
            return Lease(None)
        self._holders[key] += 1
        return Lease(lambda: self._give_back(key))

    def drop(self, card: Card, names: Sequence[str]) -> None:
        """These names were made, and told to nobody."""
        if names and not card.identity.has_stable_names:
            with self._lock:
                self._end(card.card_id, names)

    def _give_back(self, key: tuple[bytes, str]) -> None:
        with self._lock:
            self._holders[key] -= 1
            if self._holders[key] <= 0:
                del self._holders[key]
                self._end(key[0], [key[1]])

    def _end(self, card_id: bytes, names: Sequence[str]) -> None:
        self._over[card_id] = [*self._over.get(card_id, []), *names][-MAX_NAMES:]

    def sweep(self, card: Card) -> None:
        """Have ``card`` forget the names that nobody holds any more."""
        with self._lock:
            over = self._over.pop(card.card_id, ())
        if not over:
            return

        def forget(driver: Minidriver) -> None:
            for name in over:
                driver.memo.names.pop(name, None)

        card.run(forget)


class Lease:
    """One context's share in a name."""

    def __init__(self, give_back: Callable[[], None] | None) -> None:
        self._give_back = give_back

    @property
    def is_live(self) -> bool:
        """Whether there is anything to give back."""
        return self._give_back is not None

    def close(self) -> None:
        """Give it back; harmless when repeated."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()
