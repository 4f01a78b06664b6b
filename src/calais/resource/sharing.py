"""Who uses a reader of ours: the handles on it, their share modes, and the transaction that one of them holds.

The turn at the card belongs to the card (``transport.loopback.Turn``), so that handles, providers and drivers take it
in the order of asking. A ``Board`` knows what only handles have: share modes, counted transactions, and the rule that
a transaction without an exchange for five seconds is ended with a reset. For that rule a thread exists while there is
a transaction.

Source: Microsoft, SCardConnect, SCardBeginTransaction ("if a transaction is held for more than five seconds with no
operations happening, the card is reset"), SCardEndTransaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from calais.resource.attributes import SETTABLE, Friendly, virtual_attribute
from calais.resource.clock import Clock
from calais.resource.connection import CardCondition, Sight, sight_of_card
from calais.resource.slots import Port
from calais.transport.base import Transport
from calais.win.codes import Code
from calais.win.errors import (
    CardRemoved,
    CardReset,
    NoCard,
    SharingViolation,
    Unsupported,
    WinError,
)
from calais.win.flags import (
    CM_IOCTL_GET_FEATURE_REQUEST,
    SCARD_ABSENT,
    SCARD_LEAVE_CARD,
    SCARD_NEGOTIABLE,
    SCARD_PROTOCOL_DEFAULT,
    SCARD_PROTOCOL_T0,
    SCARD_PROTOCOL_T1,
    SCARD_RESET_CARD,
    SCARD_SHARE_DIRECT,
    SCARD_SHARE_EXCLUSIVE,
    SCARD_SPECIFIC,
    SCARD_STATE_EXCLUSIVE,
    SCARD_STATE_INUSE,
)

IDLE_S = 5.0


class LocalTransport(Transport, Protocol):
    """What handles need of a connection to a card of ours, besides ``Transport``."""

    timeout_s: float
    when_gone: Callable[[], None] | None

    @property
    def present(self) -> bool:
        """Whether the card is still in the reader, and the connection open."""

    @property
    def resets(self) -> int:
        """How often the card was reset, by anybody."""

    @property
    def is_taken(self) -> bool:
        """Whether anybody is in a transaction with the card."""

    def power_cycle(self) -> None:
        """Take the power away and give it back, inside a transaction."""

    def reserve(self) -> None:
        """Use the card exclusively; raises ``SharingViolation``."""

    def share(self) -> None:
        """Let others use it again."""

    def abandon(self) -> None:
        """From now on everything fails, and whoever waits learns it."""


class LocalPort(Port, Protocol):
    """A reader of ours."""

    def connect(self) -> LocalTransport:
        """See ``Port``."""


class Board:
    """One reader of ours, and the handles on it.

    Args:
        port: the reader.
        clock: the time.
        announce: called when what others see of the reader has changed.
    """

    def __init__(self, port: LocalPort, clock: Clock, announce: Callable[[], None]) -> None:
        self.port = port
        self.friendly = Friendly(port.name)
        self.connections: list[LocalConnection] = []
        self.holder: LocalConnection | None = None
        self.announce = announce
        self.mutex = threading.Condition(threading.RLock())
        self._clock = clock
        self._last = 0.0
        self._busy = False
        self._closed = False
        self._keeper: threading.Thread | None = None

    def sight(self) -> Sight:
        """The reader as it is now.

        Raises:
            ReaderUnavailable: it has been unplugged.
        """
        status = self.port.status()
        with self.mutex:
            users = [each.share for each in self.connections if each.uses_card]
        sharing = SCARD_STATE_INUSE if users else 0
        if SCARD_SHARE_EXCLUSIVE in users:
            sharing |= SCARD_STATE_EXCLUSIVE
        return sight_of_card(status.present, status.atr, status.insertion, sharing)

    def close(self) -> None:
        """Disconnect everybody."""
        with self.mutex:
            self._closed = True
            self.mutex.notify_all()
            keeper = self._keeper
        for connection in list(self.connections):
            connection.abort()
            connection.disconnect(SCARD_LEAVE_CARD)
        if keeper is not None:
            keeper.join()

    # --- who is there

    def connect(self, share: int, protocols: int) -> LocalConnection:
        """A new connection (SCardConnect).

        Raises:
            SharingViolation, ReaderUnavailable: as there.
            CardRemoved: there is no card.
            WinError: SCARD_W_UNRESPONSIVE_CARD, SCARD_E_PROTO_MISMATCH.
        """
        connection = LocalConnection(self, share)
        self.enter(connection, share)
        try:
            if share != SCARD_SHARE_DIRECT:
                connection.open(protocols)
            else:
                self.port.status()
        except BaseException:
            self.leave(connection)
            raise
        self.announce()
        return connection

    def enter(self, connection: LocalConnection, share: int) -> None:
        """Let ``connection`` in with this share mode, or let it change to it.

        Raises:
            SharingViolation: another one is exclusive, or this one wants to be and there is another.
        """
        with self.mutex:
            others = [each for each in self.connections if each is not connection and not each.is_lost]
            exclusive = any(each.share == SCARD_SHARE_EXCLUSIVE for each in others)
            if exclusive or (others and share == SCARD_SHARE_EXCLUSIVE):
                raise SharingViolation(
                    detail=f"{self.port.name} is in use" + (" exclusively" if exclusive else ""),
                    next_step="wait until the other program has finished with the card",
                )
            connection.share = share
            if connection not in self.connections:
                self.connections.append(connection)

    def leave(self, connection: LocalConnection) -> None:
        """``connection`` is over."""
        with self.mutex:
            if connection in self.connections:
                self.connections.remove(connection)

    # --- the transaction

    def hold(self, connection: LocalConnection) -> None:
        """``connection`` has the card from now on."""
        with self.mutex:
            self.holder = connection
            self._last = self._clock.monotonic()
            if self._keeper is None and not self._closed:
                self._keeper = threading.Thread(target=self._keep, name=f"calais {self.port.name} idle", daemon=True)
                self._keeper.start()

    def give(self, connection: LocalConnection) -> None:
        """``connection`` has the card no more."""
        with self.mutex:
            if self.holder is connection:
                self.holder = None

    def exchange(self, connection: LocalConnection, command: bytes) -> bytes:
        """One exchange of the holder; the five seconds begin anew after it.

        Raises:
            CardReset: the transaction has been ended meanwhile.
        """
        with self.mutex:
            if self.holder is not connection:
                raise CardReset(detail="the card transaction was idle for five seconds")
            self._busy = True
        try:
            return connection.card.transmit(command)
        finally:
            with self.mutex:
                self._busy = False
                self._last = self._clock.monotonic()
            self.sweep()

    def sweep(self) -> None:
        """End the transaction if its time is over, or its card gone."""
        with self.mutex:
            holder = self.holder
            if holder is None or self._busy:
                return
            gone = not holder.card.present
            if gone or self._clock.monotonic() - self._last >= IDLE_S:
                self.holder = None
                holder.lose(reset=not gone)

    def wake(self) -> None:
        """The card of some connection has gone: have a look at the transaction."""
        with self.mutex:
            self.mutex.notify_all()

    def _keep(self) -> None:
        """Sweep while there is a transaction; one that ends and begins again within five seconds keeps the thread."""
        with self.mutex:
            while not self._closed:
                left = IDLE_S if self._busy else self._last + IDLE_S - self._clock.monotonic()
                self._clock.wait(self.mutex, max(0.01, left))
                self.sweep()
                if self.holder is None:
                    break
            self._keeper = None


class LocalConnection:
    """A connection to a reader of ours (see ``connection.Connection``); made by ``Board.connect``."""

    def __init__(self, board: Board, share: int) -> None:
        self.share = share
        self.protocol = 0
        self.depth = 0
        self._board = board
        self._transport: LocalTransport | None = None
        self._seen = 0
        self._exchanges = 0

    @property
    def card(self) -> LocalTransport:
        """The connection to the card itself.

        Raises:
            NoCard: a direct connection to an empty reader.
        """
        if self._transport is None:
            raise NoCard(detail=f"there is no card in {self._board.port.name}", next_step="insert the card")
        return self._transport

    @property
    def uses_card(self) -> bool:
        """Whether others see the card as in use by this connection."""
        there = self._transport is not None and self._transport.present
        return there and self.share != SCARD_SHARE_DIRECT

    @property
    def is_lost(self) -> bool:
        """Whether the card it was for is gone: it keeps nobody out."""
        return self.share != SCARD_SHARE_DIRECT and self._transport is not None and not self._transport.present

    @property
    def atr(self) -> bytes:
        """The card's answer to reset."""
        return self._transport.atr if self._transport else b""

    @property
    def epoch(self) -> int:
        """See ``Connection``."""
        return self._exchanges + (self._transport.epoch if self._transport else 0)

    def open(self, protocols: int) -> None:
        """Connect to the card that is in the reader.

        Raises:
            CardRemoved, ReaderUnavailable, SharingViolation, WinError: as ``Board.connect``.
        """
        transport = self._new_transport()
        try:
            protocol = agreed_protocol(transport, protocols)
            if self.share == SCARD_SHARE_EXCLUSIVE:
                transport.reserve()
        except BaseException:
            transport.close()
            raise
        self._adopt(transport, protocol)

    def _new_transport(self) -> LocalTransport:
        """A connection to the card, which waits for its turn as long as it takes."""
        port = self._board.port
        status = port.status()
        if status.present and not status.atr:
            raise WinError.of(Code.SCARD_W_UNRESPONSIVE_CARD, f"the card in {port.name} does not answer")
        try:
            transport = port.connect()
        except NoCard as error:
            raise CardRemoved(detail=f"there is no card in {port.name}", next_step="insert the card") from error
        transport.timeout_s = threading.TIMEOUT_MAX
        transport.when_gone = self._board.wake
        return transport

    def _adopt(self, transport: LocalTransport, protocol: int) -> None:
        old, self._transport = self._transport, transport
        if old is not None:
            old.close()
        self.protocol = protocol
        self._seen = transport.resets
        self.depth = 0

    # --- life

    def reconnect(self, share: int, protocols: int, initialization: int) -> None:
        """See ``Connection``."""
        before = self.share
        self._board.enter(self, share)
        try:
            self._reopen(share, protocols, initialization)
        except BaseException:
            self.share = before
            raise
        self._board.announce()

    def _reopen(self, share: int, protocols: int, initialization: int) -> None:
        transport = self._transport
        if share != SCARD_SHARE_DIRECT:
            if transport is None or not transport.present:
                self.open(protocols)
            else:
                self._renegotiate(transport, share, protocols)
        elif transport is not None:
            transport.share()
        if initialization and self._transport is not None:
            self._reset_now(initialization)
        if self._transport is not None:
            self._seen = self._transport.resets

    def _renegotiate(self, transport: LocalTransport, share: int, protocols: int) -> None:
        protocol = agreed_protocol(transport, protocols)
        if share == SCARD_SHARE_EXCLUSIVE:
            transport.reserve()
        else:
            transport.share()
        self.protocol = protocol

    def _reset_now(self, kind: int) -> None:
        """Reset the card, in the transaction that is open or in one for it."""
        card = self.card
        if self.depth:
            self._apply(kind)
            return
        card.begin()
        try:
            self._apply(kind)
        finally:
            card.end()

    def _apply(self, disposition: int) -> None:
        """Do with the card as the disposition says; we know of that reset."""
        card = self.card
        if disposition == SCARD_RESET_CARD:
            card.reset()
        elif disposition != SCARD_LEAVE_CARD:
            card.power_cycle()
        if disposition != SCARD_LEAVE_CARD:
            self._seen = card.resets

    def disconnect(self, disposition: int) -> None:
        """See ``Connection``."""
        transport = self._transport
        if transport is not None:
            with suppress(WinError):
                if disposition != SCARD_LEAVE_CARD:
                    self._reset_now(disposition)
            self._board.give(self)
            self.depth = 0
            transport.close()
        self._board.leave(self)
        self._board.announce()

    def abort(self) -> None:
        """See ``Connection``."""
        if self._transport is not None:
            self._transport.abandon()

    def lose(self, *, reset: bool) -> None:
        """The board ends our transaction: its time is over, or the card gone."""
        self.depth = 0
        if self._transport is not None:
            self._transport.end(reset=reset)

    # --- the card

    def _check(self) -> None:
        """Nothing has happened that the owner must take note of first.

        Raises:
            CardRemoved, CardReset: it has.
        """
        self._board.sweep()
        transport = self._transport
        if transport is None:
            return
        if self.share == SCARD_SHARE_DIRECT and not self.protocol:
            self._transport = transport if transport.present else None
            return
        if not transport.present:
            raise CardRemoved(detail=f"the card was taken out of {self._board.port.name}")
        if transport.resets != self._seen:
            raise CardReset(detail="the card was reset by another user", next_step="SCardReconnect takes note of it")

    def _attach(self) -> LocalTransport:
        """The card; a direct connection takes the one that is in the reader now."""
        if self._transport is None:
            try:
                transport = self._new_transport()
            except CardRemoved as error:
                raise NoCard(detail=error.detail, next_step=error.next_step) from error
            self._adopt(transport, 0)
        return self.card

    def begin(self) -> None:
        """See ``Connection``."""
        self._check()
        if self.depth:
            self.depth += 1
            return
        card = self._attach()
        self._take(card)
        self.depth = 1
        self._board.hold(self)

    def _take(self, card: LocalTransport) -> None:
        card.begin()
        try:
            self._check()
        except BaseException:
            card.end()
            raise

    def end(self, disposition: int) -> None:
        """See ``Connection``."""
        self._check()
        if not self.depth:
            raise self._not_ours()
        self.depth -= 1
        if self.depth:
            return
        try:
            self._apply(disposition)
        finally:
            self._board.give(self)
            self.card.end()

    def _not_ours(self) -> WinError:
        taken = self._transport is not None and self._transport.is_taken
        if self._board.holder is not None or taken:
            return SharingViolation(detail="the transaction that is open belongs to another handle")
        return WinError.of(Code.SCARD_E_NOT_TRANSACTED, "there is no transaction to end")

    def transmit(self, command: bytes) -> bytes:
        """See ``Connection``."""
        self._check()
        card = self._attach()
        if not self.protocol:
            raise WinError.of(Code.SCARD_E_PROTO_MISMATCH, "no protocol was agreed for this direct connection")
        self._exchanges += 1
        if self.depth:
            return self._board.exchange(self, command)
        self._take(card)
        try:
            return card.transmit(command)
        finally:
            card.end()

    def reset(self) -> None:
        """See ``Connection``."""
        self._check()
        self._apply(SCARD_RESET_CARD)

    def condition(self) -> CardCondition:
        """See ``Connection``."""
        self._check()
        status = self._board.port.status()
        if not status.present:
            return CardCondition(SCARD_ABSENT, 0, b"")
        state = SCARD_SPECIFIC if self._is_active() else SCARD_NEGOTIABLE
        return CardCondition(state, self.protocol, status.atr)

    def _is_active(self) -> bool:
        """Whether a protocol was agreed with the card, by us or by others."""
        return bool(self.protocol) or any(each.uses_card for each in self._board.connections)

    # --- the reader

    def control(self, code: int, data: bytes) -> bytes:  # noqa: ARG002 - no function of a virtual reader takes any
        """See ``Connection``."""
        self._check()
        if code == CM_IOCTL_GET_FEATURE_REQUEST:
            return b""
        raise Unsupported(detail=f"{self._board.port.name} has no function 0x{code:08X}")

    def attribute(self, number: int) -> bytes | int | str:
        """See ``Connection``."""
        self._check()
        status = self._board.port.status()
        return virtual_attribute(number, self._board.friendly, status.atr if status.present else None, self.protocol)

    def set_attribute(self, number: int, value: bytes | int | str) -> None:
        """See ``Connection``."""
        self._check()
        friendly = self._board.friendly
        if number not in SETTABLE:
            raise Unsupported(detail=f"attribute 0x{number:08X} cannot be changed")
        if isinstance(value, int):
            friendly.suppress = value
        else:
            friendly.name = str(value)


def agreed_protocol(transport: Transport, protocols: int) -> int:
    """The protocol that the caller of SCardConnect gets.

    Raises:
        WinError: SCARD_E_PROTO_MISMATCH, none that both know.
    """
    active = SCARD_PROTOCOL_T0 if transport.protocol == 0 else SCARD_PROTOCOL_T1
    if protocols & (active | SCARD_PROTOCOL_DEFAULT):
        return active
    raise WinError.of(Code.SCARD_E_PROTO_MISMATCH, f"the card speaks T={transport.protocol}")
