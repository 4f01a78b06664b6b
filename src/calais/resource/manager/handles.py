"""``SCardHandle``: a connection to a card, as SCardConnect gives it out.

One handle may be used from several threads; its calls are served one after the other. Another thread may disconnect
it at any time, which ends a wait. A handle is also what a card minidriver gets (``CardData.handle``): ``begin`` lends
the transaction that is open on it, or one for the block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

from calais.resource.manager.connection import Connection
from calais.transport.base import Channel, Transaction, Watcher
from calais.win.codes import Code
from calais.win.errors import CardReset, WinError
from calais.win.flags import SCARD_LEAVE_CARD, SCARD_PROTOCOL_T0, SCARD_RESET_CARD


def invalid_handle() -> WinError:
    """ERROR_INVALID_HANDLE, in Windows' words."""
    return WinError(Code.ERROR_INVALID_HANDLE, "The handle is invalid.")


class SCardHandle:
    """SCARDHANDLE; leaving ``with`` is SCardDisconnect(SCARD_LEAVE_CARD), quietly if that is done already.

    Args:
        name: the reader or alias that it was opened with.
        connection: the connection.
        closed: called once, when it is disconnected.
        watchers: asked for observers of the exchanges.

    ``is_untouched``: nothing has been sent in the transaction that is open.
    """

    def __init__(
        self,
        name: str,
        connection: Connection,
        closed: Callable[[SCardHandle], None],
        watchers: tuple[Watcher, ...] = (),
    ) -> None:
        self.reader = name
        self.is_open = True
        self._connection = connection
        self._closed = closed
        self._use = threading.RLock()
        self._loan = _Loan(name, connection)
        self._channel = Channel(self._loan, observers=tuple(watch(self._loan) for watch in watchers))
        self._lent = ExitStack()
        self._transaction: Transaction | None = None
        self._begun_by = 0
        self.is_untouched = False

    def __repr__(self) -> str:
        return f"<SCardHandle {self.reader!r}{'' if self.is_open else ', closed'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_open:
            with suppress(WinError):
                self.disconnect(SCARD_LEAVE_CARD)

    @contextmanager
    def used(self) -> Iterator[Connection]:
        """The connection, for one call.

        Raises:
            WinError: ERROR_INVALID_HANDLE, it is closed, or was while we waited.
        """
        with self._use:
            if not self.is_open:
                raise invalid_handle()
            try:
                yield self._connection
            except WinError as error:
                if not self.is_open:
                    raise invalid_handle() from error
                raise

    def looked_at(self) -> Connection:
        """The connection, for a question that no exchange answers: it need not wait for those that do.

        Raises:
            WinError: ERROR_INVALID_HANDLE.
        """
        if not self.is_open:
            raise invalid_handle()
        return self._connection

    def disconnect(self, disposition: int) -> None:
        """End the transaction and the connection (SCardDisconnect).

        Raises:
            WinError: ERROR_INVALID_HANDLE, that is done already.
        """
        if not self.is_open:
            raise invalid_handle()
        self.is_open = False
        if not self._use.acquire(blocking=False):
            self._connection.abort()
            self._use.acquire()
        try:
            self._end_loan()
            self._connection.disconnect(disposition)
        finally:
            self._use.release()
            self._closed(self)

    def begin_transaction(self) -> None:
        """SCardBeginTransaction."""
        with self.used() as connection:
            connection.begin()
            if connection.depth == 1:
                self._begun_by, self.is_untouched = threading.get_ident(), True

    @property
    def is_held_here(self) -> bool:
        """Whether this thread began the transaction that is open: it must not wait for its end."""
        return self.is_open and self._connection.depth > 0 and self._begun_by == threading.get_ident()

    def end_transaction(self, disposition: int) -> None:
        """SCardEndTransaction."""
        with self.used() as connection:
            if connection.depth <= 1:
                disposition = max(disposition, self._end_loan())
            connection.end(disposition)

    def reconnect(self, share: int, protocols: int, initialization: int) -> int:
        """SCardReconnect; the active protocol."""
        with self.used() as connection:
            self._end_loan()
            connection.reconnect(share, protocols, initialization)
            self._channel.forget()
            return connection.protocol

    def transmit(self, command: bytes) -> bytes:
        """One exchange as it comes; what drivers believe about the card is forgotten."""
        with self.used() as connection:
            self._end_loan()
            self.is_untouched = False
            return connection.transmit(command)

    # --- for minidrivers

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """The transaction that is open on this handle, else one for the block.

        Raises:
            CardRemoved, CardReset: what has happened to the card.
            WinError: ERROR_INVALID_HANDLE.
        """
        with self.used() as connection:
            if connection.depth:
                yield self._own()
                return
            connection.begin()
            try:
                yield self._own()
            finally:
                disposition = self._end_loan()
                with suppress(WinError):
                    connection.end(disposition)

    def _own(self) -> Transaction:
        self.is_untouched = False
        transaction = self._transaction
        if transaction is None or not transaction.open:
            self._end_loan()
            transaction = self._transaction = self._lent.enter_context(self._channel.begin())
        return transaction

    def _end_loan(self) -> int:
        """End what was lent; the disposition that the driver wants."""
        self._transaction = None
        self._lent.close()
        wanted, self._loan.wanted = self._loan.wanted, SCARD_LEAVE_CARD
        return wanted


class _Loan:
    """The transport that drivers see: exchanges go out, transactions stay with the handle.

    Args:
        reader: the name of the reader.
        connection: the handle's.

    ``wanted``: the disposition that a driver asked for at its end.
    """

    def __init__(self, reader: str, connection: Connection) -> None:
        self.reader = reader
        self.wanted = SCARD_LEAVE_CARD
        self._connection = connection
        self._own = 0

    @property
    def atr(self) -> bytes:
        """Answer to reset."""
        return self._connection.atr

    @property
    def protocol(self) -> int:
        """0 for T=0, 1 for T=1."""
        return 0 if self._connection.protocol == SCARD_PROTOCOL_T0 else 1

    @property
    def epoch(self) -> int:
        """See ``Transport``; exchanges through the handle itself change it, ours do not."""
        return self._connection.epoch - self._own

    def begin(self) -> None:
        """The handle has the card already."""

    def end(self, *, reset: bool = False) -> None:
        """The handle gives the card back, reset if need be."""
        if reset:
            self.wanted = SCARD_RESET_CARD

    def transmit(self, command: bytes) -> bytes:
        """One exchange.

        Raises:
            CardReset: the transaction is over.
        """
        if not self._connection.depth:
            raise CardReset(detail="the card transaction is over")
        before = self._connection.epoch
        answer = self._connection.transmit(command)
        self._own += self._connection.epoch - before
        return answer

    def reset(self) -> None:
        """Reset the card, within the transaction."""
        self._connection.reset()

    def close(self) -> None:
        """The handle closes."""
