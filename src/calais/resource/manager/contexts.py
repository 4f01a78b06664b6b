"""``CardService``: the resource manager of one system, and ``SCardContext``, which it gives out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol, Self, cast

from calais.cards.modules import CardModules
from calais.resource.carddb import CardDatabase, EntriesNote
from calais.resource.clock import Clock
from calais.resource.discovery import Discovery
from calais.resource.manager.bulletin import Bulletin
from calais.resource.manager.connection import GONE, Connection, Sight
from calais.resource.manager.groups import Groups
from calais.resource.manager.handles import SCardHandle, invalid_handle
from calais.resource.manager.itemcache import ITEM_BYTES_MAX, ItemCache
from calais.resource.manager.localconnection import LocalPort
from calais.resource.manager.realconnection import RealConnection, sights
from calais.resource.manager.sharing import Board
from calais.resource.manager.statuschange import Look, Wait, is_pnp
from calais.resource.real import RealPort, RealReaders
from calais.resource.slots import Port, Source
from calais.resource.virtual import FilePort, VirtualReaders
from calais.store.api import Settings
from calais.transport.base import Watcher
from calais.transport.pcsc_library import Library
from calais.win.codes import Code
from calais.win.errors import ReaderUnavailable, WinError
from calais.win.flags import SCARD_LEAVE_CARD
from calais.win.structs import ReaderState

Policy = Mapping[str, object]


class CardService:
    """The resource manager of one system.

    Args:
        ports: the readers that are there now, by name.
        sources: where they come from.
        settings: where groups and the card database are kept.
        clock: the time.
        policy: the dotted policy values.
        note: tells whether the card database has entries.
        watchers: asked for observers of the exchanges of each handle.
    """

    def __init__(
        self,
        ports: Callable[[], Mapping[str, Port]],
        sources: Sequence[Source],
        settings: Callable[[], Settings],
        *,
        clock: Clock,
        policy: Policy,
        note: EntriesNote | None = None,
        watchers: tuple[Watcher, ...] = (),
    ) -> None:
        self.bulletin = Bulletin()
        limit = policy.get("cache.item_bytes")
        self.items = ItemCache(limit if isinstance(limit, int) else ITEM_BYTES_MAX)
        self.database = CardDatabase(settings, note)
        self.discovery = Discovery(self.database, settings)
        self.groups = Groups(settings, lambda: list(ports()))
        self._ports = ports
        self._sources = sources
        self._clock = clock
        self._policy = policy
        self.watchers = watchers
        self._mutex = threading.Lock()
        self._boards: dict[str, Board] = {}
        self._contexts: list[SCardContext] = []

    @property
    def card_modules(self) -> CardModules:
        """The drivers by card name, as the card database has them."""
        return CardModules(self._policy, self.database.module_of)

    def establish(self) -> SCardContext:
        """A new context."""
        context = SCardContext(self, self._contexts.remove)
        self._contexts.append(context)
        return context

    def close(self) -> None:
        """Release all contexts. Harmless when repeated."""
        for context in list(self._contexts):
            context.release()
        for board in list(self._boards.values()):
            board.close()

    # --- cards

    def cards_with(self, atr: bytes) -> list[str]:
        """The names of the cards with this ATR: of the entries; if there are none, of the present cards."""
        entries = self.database.matching(atr)
        if entries:
            return [entry.name for entry in entries]
        found = (self.class_card(port) for port in self._ports().values() if _has(port, atr))
        return list(dict.fromkeys(name for name in found if name is not None))

    def card_in(self, port: Port, atr: bytes) -> list[str]:
        """The names of the card in this reader."""
        entries = self.database.matching(atr)
        found = [entry.name for entry in entries] or [self.class_card(port) or ""]
        return [name for name in found if name]

    def class_card(self, port: Port) -> str | None:
        """The name of the class driver's card in this reader, if it is one."""
        try:
            return self.discovery.class_card(port, self._held_here(port))
        except WinError:
            return None

    def _held_here(self, port: Port) -> SCardHandle | None:
        """The handle on ``port`` whose transaction this thread has begun."""
        held = (handle for context in list(self._contexts) for handle in context.held_here())
        return next((handle for handle in held if self.port(handle.reader)[1].name == port.name), None)

    # --- readers

    def port(self, name: str) -> tuple[str, Port]:
        """The spelling of a reader's or alias's name, and its port.

        Raises:
            ReaderUnavailable: SCARD_E_UNKNOWN_READER; an alias whose reader is not there.
        """
        found = self.groups.resolve(name)
        if found is None:
            raise ReaderUnavailable(Code.SCARD_E_UNKNOWN_READER, f"there is no reader {name!r}")
        port = self._ports().get(found[1])
        if port is None:
            raise ReaderUnavailable(detail=f"the reader {found[1]} has been unplugged")
        return found[0], port

    def board(self, port: Port) -> Board:
        """What handles share on a reader of ours."""
        with self._mutex:
            board = self._boards.get(port.name)
            if board is None or (board.port is not port and not _same_place(board.port, port)):
                board = Board(cast("LocalPort", port), self._clock, self.bulletin.announce)
                self._boards[port.name] = board
            return board

    def connect(self, port: Port, share: int, protocols: int) -> Connection:
        """A connection to a reader; errors as SCardConnect."""
        if isinstance(port, RealPort):
            return RealConnection(port, share, protocols)
        return self.board(port).connect(share, protocols)

    # --- looking (see ``statuschange.Eyes``)

    def look(self, names: Sequence[str]) -> Look:
        """These readers, now, and how many there are."""
        ports = self._ports()
        found = {name: self.groups.resolve(name) for name in names if not is_pnp(name)}
        known = {name: pair[1] for name, pair in found.items() if pair is not None}
        real = list({ports[each].name: ports[each] for each in known.values() if each in ports}.values())
        seen = _real_sights([port for port in real if isinstance(port, RealPort)])
        shown = {name: self._sight(ports.get(reader), seen) for name, reader in known.items()}
        return Look(shown, len(ports))

    def _sight(self, port: Port | None, real: Mapping[str, Sight]) -> Sight:
        if port is None or isinstance(port, RealPort):
            return real.get(port.name, GONE) if port else GONE
        try:
            return self.board(port).sight()
        except ReaderUnavailable:
            return GONE

    def polled(self, names: Sequence[str]) -> bool:
        """Whether other processes may change one of these without a word."""
        if any(map(is_pnp, names)) and any(isinstance(source, VirtualReaders) for source in self._sources):
            return True
        return any(isinstance(port, FilePort) for port in self._asked(names))

    def library(self, names: Sequence[str]) -> tuple[Library | None] | None:
        """The PC/SC library through which one of these is seen, or ``None``."""
        for port in self._asked(names):
            if isinstance(port, RealPort):
                return (port.library,)
        if any(map(is_pnp, names)):
            for source in self._sources:
                if isinstance(source, RealReaders):
                    return (source.library,)
        return None

    def _asked(self, names: Sequence[str]) -> list[Port]:
        ports = self._ports()
        found = [self.groups.resolve(name) for name in names if not is_pnp(name)]
        return [ports[pair[1]] for pair in found if pair is not None and pair[1] in ports]


def _has(port: Port, atr: bytes) -> bool:
    try:
        return port.status().atr == atr
    except WinError:
        return False


def _same_place(one: Port, other: Port) -> bool:
    """Whether two ports are the same virtual reader: those are made anew at each look."""
    return isinstance(one, FilePort) and isinstance(other, FilePort) and one.home is other.home


def _real_sights(ports: list[RealPort]) -> dict[str, Sight]:
    try:
        return sights(ports)
    except WinError:
        return {}


class CardSystem(Protocol):
    """The part of ``calais.system.System`` that the resource manager's face needs."""

    @property
    def card_service(self) -> CardService:
        """Its resource manager."""


class SCardContext:
    """SCARDCONTEXT; usable from several threads; leaving ``with`` releases it.

    Args:
        service: the resource manager.
        released: called once, when it is released.
    """

    def __init__(self, service: CardService, released: Callable[[SCardContext], None]) -> None:
        self.service = service
        self.is_open = True
        self._released = released
        self._mutex = threading.Lock()
        self._handles: list[SCardHandle] = []
        self._waits: list[Wait] = []

    def __repr__(self) -> str:
        return f"<SCardContext of {len(self._handles)} handles{'' if self.is_open else ', released'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    @property
    def card_modules(self) -> CardModules:
        """The drivers by card name, for ``CardAcquireContext``."""
        return self.service.card_modules

    def release(self) -> None:
        """Disconnect its handles, end its waits. Harmless when repeated."""
        with self._mutex:
            was_open, self.is_open = self.is_open, False
            handles = list(self._handles)
        if not was_open:
            return
        self.cancel()
        for handle in handles:
            with suppress(WinError):
                handle.disconnect(SCARD_LEAVE_CARD)
        self._released(self)

    def connect(self, name: str, share: int, protocols: int) -> SCardHandle:
        """SCardConnect."""
        spelling, port = self.service.port(name)
        connection = self.service.connect(port, share, protocols)
        handle = SCardHandle(spelling, connection, self._forget, self.service.watchers)
        with self._mutex:
            if self.is_open:
                self._handles.append(handle)
                return handle
        connection.disconnect(SCARD_LEAVE_CARD)
        raise invalid_handle()

    def held_here(self) -> list[SCardHandle]:
        """The handles whose transaction this thread has begun."""
        with self._mutex:
            return [handle for handle in self._handles if handle.is_held_here]

    def _forget(self, handle: SCardHandle) -> None:
        with self._mutex:
            if handle in self._handles:
                self._handles.remove(handle)

    def wait(self, states: Sequence[ReaderState], timeout_ms: int) -> list[ReaderState]:
        """SCardGetStatusChange."""
        if not states:
            return []
        wait = Wait(self.service, states, timeout_ms)
        with self._mutex:
            if not self.is_open:
                raise invalid_handle()
            self._waits.append(wait)
        try:
            return wait.run()
        finally:
            with self._mutex:
                self._waits.remove(wait)

    def cancel(self) -> None:
        """SCardCancel: end the waits that there are."""
        with self._mutex:
            waits = list(self._waits)
        for wait in waits:
            wait.cancel()
