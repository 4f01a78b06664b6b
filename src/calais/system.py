"""``System``: everything of one user in one place: readers, cards, stores, and the way from a certificate to its key.

Inside ``with system:`` it is the current one, which is what the openers of the Windows-named faces take by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar, Token
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from calais.cards.registry import identify
from calais.minidriver.api import Minidriver
from calais.minidriver.memo import CardMemo, Evidence
from calais.provider.broker import PinBroker
from calais.provider.cache import may_be_kept, mode_of
from calais.provider.card import Card, Desk
from calais.provider.choosing import Choosing
from calais.provider.csp import registered
from calais.provider.csp.lasterror import LastErrors
from calais.provider.open import CardKeys
from calais.provider.pinrules import PinRules
from calais.provider.policy import Policy
from calais.provider.prompt import Prompt
from calais.resource.cachefile import CacheFolder
from calais.resource.carddb import EntriesNote
from calais.resource.clock import Clock, WallClock
from calais.resource.keptmemo import KeptCards
from calais.resource.manager.contexts import CardService
from calais.resource.places import Places
from calais.resource.readers import Reader
from calais.resource.real import RealReaders
from calais.resource.slots import Port, ReaderStatus, Slots, Source
from calais.resource.virtual import DEFAULT_READER, VirtualReaders
from calais.store.api import Database, Settings
from calais.store.database import DeferredDatabase, open_database
from calais.store.folder import machine_database
from calais.store.locations import SystemStores
from calais.store.objects import CertificateStore
from calais.transport.base import Transaction, Watcher
from calais.transport.loopback import LoopbackCard
from calais.win.codes import Code
from calais.win.errors import BadParameter, NoCard, ReaderUnavailable, WinError
from calais.win.flags.crypt32 import StoreLocationId

if TYPE_CHECKING:
    from calais.apps.propagation.apply import Outcome
    from calais.apps.propagation.rootplan import RootStep

_current: ContextVar[System] = ContextVar("calais.system")


class System:
    """The smart-card system of one user.

    Args:
        stores: where the certificate stores are; closed with the system.
        sources: where readers come from, besides those of this process.
        prompt: who is asked for PINs; ``None`` = nobody.
        policy: the values in force.
        clock: the time.
        virtual: the virtual readers that all processes share, if there are any.
        cache: the directory where memories of cards are saved; ``None`` = they end with the system.
        watchers: asked at each connection for an observer of its exchanges.
    """

    def __init__(
        self,
        stores: SystemStores,
        *,
        sources: Sequence[Source] = (),
        prompt: Prompt | None = None,
        policy: Policy | None = None,
        clock: Clock | None = None,
        virtual: VirtualReaders | None = None,
        cache: Path | None = None,
        watchers: tuple[Watcher, ...] = (),
    ) -> None:
        self.policy = policy or Policy()
        self.clock = clock or WallClock()
        self.stores = stores
        self.keys = CardKeys(self, self._cards_for_keys)
        self.broker = PinBroker(prompt, self.clock, rules=PinRules.of(self.policy))
        self.choosing = Choosing(self, self.broker)
        self.last_errors = LastErrors()
        self.virtual = virtual
        self.notes: list[str] = []
        self.client_window: int | None = None
        values = self._values = self.policy.values()
        self.kept = KeptCards(CacheFolder(cache) if cache else None, allowed=partial(may_be_kept, values))
        self._mode_of = partial(mode_of, values)
        self._slots = Slots(self._announce)
        self._sources: list[Source] = [self._slots, *([virtual] if virtual else []), *sources]
        self._watchers = watchers
        self._readers: dict[str, Reader] = {}
        self.card_service = CardService(
            self._ports,
            self._sources,
            lambda: self.settings,
            clock=self.clock,
            policy=values,
            note=_note_beside(stores.database),
            watchers=watchers,
        )
        self._desk = Desk(self.broker, self.policy, self._find)
        self._tokens: list[Token[System]] = []

    @classmethod
    def local(
        cls,
        home: Path | str | None = None,
        *,
        prompt: Prompt | None = None,
        policy: Policy | None = None,
        clock: Clock | None = None,
        watchers: tuple[Watcher, ...] = (),
    ) -> Self:
        """The system of this machine: real readers, this user's virtual ones, and this user's stores.

        Args:
            home: where everything is kept; by default ``CALAIS_HOME``, else the platform's directories.
            prompt: who is asked for PINs; ``None`` = nobody.
            policy: by default the policy files.
            clock: the time.
            watchers: asked at each connection for an observer of its exchanges.

        A PC/SC service that does not answer is no error: ``notes`` says so once the readers have been looked for.

        Raises:
            BadParameter: a policy file is wrong.

        The stores are opened when they are first used; that raises ``WinError`` when they cannot be.
        """
        places = Places.of(home)
        return cls(
            SystemStores(
                open_database(str(places.store) if places.store else None, home=places.data),
                machine=machine_database(places.machine) if places.machine else None,
            ),
            sources=[RealReaders()],
            prompt=prompt,
            policy=policy or Policy.from_files(*reversed(places.policies)),
            clock=clock,
            virtual=VirtualReaders(places.virtual),
            cache=places.cache,
            watchers=watchers,
        )

    def __repr__(self) -> str:
        return f"<System of {len(self._readers)} readers>"

    def __enter__(self) -> Self:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *error: object) -> None:
        _current.reset(self._tokens.pop())
        if not self._tokens:
            self.close()

    def close(self) -> None:
        """Let go of readers and stores; every verified PIN counts no more. Harmless when repeated."""
        self.card_service.close()
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
        self.kept.save()
        self.broker.scope.end()
        self.stores.close()

    def _identify(self, tx: Transaction, memo: CardMemo) -> Minidriver:
        """The driver for the card of ``tx``; of a new card, the card database is asked which one."""
        drivers = None
        if memo.identified is None or not memo.identified.same_insertion(Evidence.of(tx)):
            drivers = self.card_service.discovery.drivers(tx.channel.transport.atr)
        return identify(tx, memo, policy=self._values, drivers=drivers)

    def _announce(self) -> None:
        """A reader has changed: whoever waits for that may look."""
        self.card_service.bulletin.announce()

    # --- readers ---

    def readers(self) -> list[ReaderStatus]:
        """All readers and what is in them, without an exchange: of this process, virtual, real."""
        found = []
        for reader in self._refreshed():
            try:
                found.append(reader.status())
            except ReaderUnavailable:
                continue
        return found

    def reader(self, name: str) -> Reader:
        """The reader ``name``.

        Raises:
            ReaderUnavailable: ``SCARD_E_UNKNOWN_READER``, there is none; the next step names those there are.
        """
        for reader in self._refreshed():
            if reader.name == name:
                return reader
        known = ", ".join(self._readers) or "none"
        detail = f"there is no reader {name!r}"
        raise ReaderUnavailable(Code.SCARD_E_UNKNOWN_READER, detail, next_step=f"there are: {known}")

    def _refreshed(self) -> list[Reader]:
        ports = self._ports()
        for name in [name for name in self._readers if name not in ports]:
            self._readers.pop(name).close()
        for name, port in ports.items():
            if name not in self._readers:
                self._readers[name] = self._new_reader(port)
        return [self._readers[name] for name in ports]

    def _ports(self) -> dict[str, Port]:
        ports: dict[str, Port] = {}
        self.notes = []
        for source in self._sources:
            try:
                ports |= {port.name: port for port in source.ports() if port.name not in ports}
            except WinError as error:
                self.notes.append(str(error))
        return ports

    def _new_reader(self, port: Port) -> Reader:
        return Reader(
            port,
            self._identify,
            hold_s=self.policy.transaction_timeout_ms / 1000,
            clock=self.clock,
            watchers=self._watchers,
            kept=self.kept,
            mode_of=self._mode_of,
        )

    # --- card objects in this process ---

    def insert(self, card: LoopbackCard | str, reader: str = DEFAULT_READER) -> None:
        """Put a card into a reader of this process, which is added if it is missing; by name, a virtual card of ours.

        Raises:
            WinError: ``SCARD_E_SHARING_VIOLATION``, there is a card in it.
        """
        if isinstance(card, str):
            self._shared().insert(card, reader)
            self._announce()
        else:
            self._slots.plug(reader).insert(card)

    def remove(self, reader: str | ReaderStatus = DEFAULT_READER) -> None:
        """Take the card out of a reader; the empty reader stays.

        Raises:
            ReaderUnavailable: there is no such reader that can be emptied by program.
        """
        reader = _name_of(reader)
        if reader in self._slots:
            self._slots.slot(reader).remove()
        else:
            self._shared().remove(reader)
            self._announce()
            if reader in self._readers:
                self._readers[reader].release()  # or the card would stay locked for the rest of the hold

    def plug(self, reader: str) -> None:
        """Add an empty reader to this process."""
        self._slots.plug(reader)

    def unplug(self, reader: str | ReaderStatus) -> None:
        """Take a reader away, with the card in it.

        Raises:
            ReaderUnavailable: there is no such reader that can be taken away by program.
        """
        reader = _name_of(reader)
        if reader in self._slots:
            self._slots.unplug(reader)
        else:
            self._shared().unplug(reader)
            self._announce()

    def _shared(self) -> VirtualReaders:
        if self.virtual is None:
            raise ReaderUnavailable(Code.SCARD_E_UNKNOWN_READER, "there is no such reader in this process")
        return self.virtual

    # --- cards ---

    def card(self, reader: str | None = None) -> Card:
        """The card in ``reader``; without one, the only card there is.

        Raises:
            NoCard: there is none.
            BadParameter: there are several, and no reader is named.
            WinError: the card cannot be read, or no driver knows it.
        """
        if reader is not None:
            return Card.open(self.reader(reader), self._desk)
        present = [status.name for status in self.readers() if status.present]
        if not present:
            raise NoCard(detail="there is no card in any reader", next_step="insert a card")
        if len(present) > 1:
            raise BadParameter(detail="there are several cards", next_step=f"name a reader: {', '.join(present)}")
        return Card.open(self.reader(present[0]), self._desk)

    def cards(self) -> list[Card]:
        """The cards that can be read, in the order of the readers; ``examine`` also gives those that cannot."""
        return [card for _, card in self.examine() if isinstance(card, Card)]

    def examine(self) -> list[tuple[ReaderStatus, Card | WinError]]:
        """Every card that is inserted, or why it cannot be read."""
        return [(status, self._open(status.name)) for status in self.readers() if status.present]

    def _open(self, reader: str) -> Card | WinError:
        try:
            return Card.open(self.reader(reader), self._desk)
        except WinError as error:
            return error

    def _find(self, card_id: bytes, *, besides: Reader) -> Reader | None:
        """The reader that holds the card ``card_id`` now, other than ``besides``."""
        for status, card in self.examine():
            if isinstance(card, Card) and card.card_id == card_id and status.name != besides.name:
                return self.reader(status.name)
        return None

    def _cards_for_keys(self, reader: str | None) -> list[Card]:
        if reader is not None:
            return [self.card(reader)]
        statuses = self.readers()
        if not statuses:
            raise ReaderUnavailable(Code.SCARD_E_NO_READERS_AVAILABLE, "there is no reader")
        if not any(status.present for status in statuses):
            raise NoCard(detail="there is no card in any reader", next_step="insert the card")
        return self.cards()

    # --- stores ---

    @property
    def settings(self) -> Settings:
        """The current user's small named values that are no certificates."""
        return self.stores.database.settings()

    def store(self, name: str = "My") -> CertificateStore:
        """The current user's store ``name``.

        Raises:
            WinError: it cannot be opened.
        """
        return CertificateStore.open(self.stores, name)

    def propagate(self, reader: str | None = None) -> list[Outcome]:
        """Read the inserted cards into the ``My`` store now; one outcome for each certificate.

        Args:
            reader: this reader only. Without one, a card that cannot be read, or is pulled out meanwhile, is passed over,
                with a note.

        Raises:
            NoCard, ReaderUnavailable: nothing to read in ``reader``.
            WinError: the store cannot be opened.
        """
        from calais.apps.propagation.apply import propagate  # noqa: PLC0415 - the one use that the facade offers
        from calais.apps.propagation.plan import Rules  # noqa: PLC0415

        if not self.policy.propagation_enabled:
            return []
        rules = Rules(expired=self.policy.propagation_expired)
        cards = [self.card(reader)] if reader is not None else self._readable()
        with self.store("My") as store:
            outcomes: list[Outcome] = []
            for card in cards:
                try:
                    outcomes += propagate(card, store, replace(rules, csp=self._csp_of(card)), self.clock.now())
                except WinError as error:
                    if reader is not None:
                        raise
                    self.notes.append(f"{card.reader}: {error}")
        return outcomes

    def _csp_of(self, card: Card) -> str:
        """The provider for CryptoAPI that the card database names for ``card``."""
        return registered.for_cards(self.card_service.discovery.crypto_provider(card.atr))

    def propagate_roots(self) -> list[RootStep]:
        """Bring the root certificates of the inserted cards into the machine's ``SmartCardRoot`` store, and take those
        out again whose card or logon is over, as policy has it; what was done.

        Raises:
            WinError: the store cannot be opened.
        """
        from calais.apps.propagation.roots import logon_id, propagate_roots  # noqa: PLC0415

        if not self.policy.propagation_enabled:
            return []
        with CertificateStore.open(self.stores, "SmartCardRoot", StoreLocationId.LOCAL_MACHINE) as store:
            return propagate_roots(self._readable(), store, self.policy, logon_id())

    def _readable(self) -> list[Card]:
        seen = self.examine()
        self.notes += [f"{status.name}: {card}" for status, card in seen if isinstance(card, WinError)]
        return [card for _, card in seen if isinstance(card, Card)]


def _note_beside(database: Database) -> EntriesNote | None:
    """What tells about entries of the card database without opening it, where it is a file."""
    if not isinstance(database, DeferredDatabase) or database.path is None:
        return None
    return EntriesNote(database.path.with_suffix(".cards"), lambda: database.is_open)


def _name_of(reader: str | ReaderStatus) -> str:
    return reader if isinstance(reader, str) else reader.name


def innermost() -> System | None:
    """The system of the innermost ``with system:``, or ``None`` outside of any."""
    return _current.get(None)


def current() -> System:
    """The system of the innermost ``with system:``; outside of any, this machine's, opened once per context."""
    system = innermost()
    if system is None:
        system = System.local()
        _current.set(system)
    return system


def open_card(reader: str | None = None) -> Card:
    """The card in ``reader``, or the only one there is, of the current system (see ``System.card``)."""
    return current().card(reader)
