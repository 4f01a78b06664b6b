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

from calais.resource.clock import Clock
from calais.resource.manager.attributes import Friendly
from calais.resource.manager.connection import Sight, sight_of_card
from calais.resource.manager.localconnection import LocalConnection, LocalPort, LocalTransport
from calais.resource.slots import ReaderStatus
from calais.win.errors import CardReset, SharingViolation
from calais.win.flags import (
    SCARD_LEAVE_CARD,
    SCARD_SHARE_DIRECT,
    SCARD_SHARE_EXCLUSIVE,
    SCARD_STATE_EXCLUSIVE,
    SCARD_STATE_INUSE,
    SCARD_STATE_UNPOWERED,
)

IDLE_S = 5.0


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
        self._off: tuple[LocalTransport, int, int] | None = None

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
        if status.atr and not self.is_powered(status):
            sharing |= SCARD_STATE_UNPOWERED
        return sight_of_card(status.present, status.atr, status.insertion, sharing)

    def is_powered(self, status: ReaderStatus) -> bool:
        """Whether the card has power: its last handle has not taken it away, or somebody has used the card since.

        Args:
            status: the reader as it is now.
        """
        off = self._off
        return off is None or (off[0].epoch, status.insertion) != off[1:]

    def power_down(self) -> None:
        """A handle took the power away, and is gone: it stays off if that was the last one.

        Raises:
            NoCard, ReaderUnavailable: there is no card any more.
        """
        self.power_up()
        insertion = self.port.status().insertion
        with self.mutex:
            if not any(each.uses_card for each in self.connections):
                watch = self.port.connect()  # only looks on: what others do with the card shows in its epoch
                self._off = (watch, watch.epoch, insertion)

    def power_up(self) -> None:
        """Somebody has connected to the card."""
        with self.mutex:
            off, self._off = self._off, None
        if off is not None:
            off[0].close()

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
        self.power_up()

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
