"""Bytes out, bytes in: the ``Transport`` protocol, and the ``Channel`` that turns commands into exchanges.

A ``Channel`` is a stack of small steps, readable in ``Channel._build_stack``. Only a ``Transaction`` can send, so
"sent outside a transaction" cannot be written. What the card forgets on a reset, ``Transaction.volatile`` forgets.

Source: ISO/IEC 7816-4:2020, 5.3 (chaining, GET RESPONSE); ISO/IEC 7816-3:2006, 12 (T=0 case 4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from calais.iso7816 import apdu
from calais.iso7816.apdu import Command, Response
from calais.iso7816.atr import Atr
from calais.iso7816.sw import SW
from calais.win.errors import BadData, BadParameter, CardReset

MAX_RESPONSE_BYTES = 128 * 1024
MAX_CONTINUATIONS = 1024
MAX_EMPTY_CONTINUATIONS = 4
INS_GET_RESPONSE = 0xC0
SW1_MORE_DATA = SW.MORE_DATA >> 8
SW1_WRONG_LE = SW.WRONG_LE >> 8


class Transport(Protocol):
    """One connection to one card. Everything raises ``WinError``; nothing is retried here."""

    @property
    def reader(self) -> str:
        """Name of the reader."""

    @property
    def atr(self) -> bytes:
        """Answer to reset, 2…33 bytes."""

    @property
    def protocol(self) -> int:
        """0 for T=0, 1 for T=1."""

    @property
    def epoch(self) -> int:
        """Changes whenever anybody else may have used, reset or written the card; read it after ``begin``."""

    def begin(self) -> None:
        """Take the card exclusively; a reset by another program before this moment only changes ``epoch``."""

    def end(self, *, reset: bool = False) -> None:
        """Give the card back, as it is or reset. Never raises for a card that is gone."""

    def transmit(self, command: bytes) -> bytes:
        """One exchange.

        Raises:
            CardReset: the card was reset since ``begin``.
            CardRemoved: the card is gone.
        """

    def reset(self) -> None:
        """Reset the card; changes ``epoch``."""

    def close(self) -> None:
        """Disconnect; harmless when repeated or when the card is gone."""


@runtime_checkable
class Sighted(Protocol):
    """A connection that sees all that its card goes through, as one to a card in this process does."""

    def carries_on(self, before: object, epoch: int) -> bool:
        """Whether ``before`` was a connection to this very card, and nobody else has used it since ``before.epoch`` was that.

        Resets, and the card being out of the reader, do not count: they change nothing that a card keeps.
        """


@dataclass(slots=True)
class Counter:
    """What went over the wire: number of exchanges, and bytes in each direction."""

    exchanges: int = 0
    bytes_out: int = 0
    bytes_in: int = 0

    def add(self, command: bytes, response: bytes) -> None:
        """Count one exchange."""
        self.exchanges += 1
        self.bytes_out += len(command)
        self.bytes_in += len(response)

    def clear(self) -> None:
        """Start again at zero."""
        self.exchanges = self.bytes_out = self.bytes_in = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange as an observer sees it; ``repr`` shows no data, because that may hold a PIN."""

    command: bytes = field(repr=False)
    response: bytes = field(repr=False)
    seconds: float


@dataclass(slots=True)
class Volatile:
    """What a card forgets at reset: selected application (its AID) and authenticated references (PINs, keys)."""

    selected: bytes = b""
    authenticated: set[int] = field(default_factory=set)


Sender = Callable[[Command], Response]
Observer = Callable[[Exchange], None]
Watcher = Callable[[Transport], Observer]


class Channel:
    """A connected card, ready for transactions.

    Args:
        transport: the connection; the channel closes it.
        extended: whether extended lengths may be used; ``None`` = as the ATR says, and never with T=0, which has
            no way to carry them.
        observers: called after each exchange, in order (trace, log).
    """

    def __init__(
        self, transport: Transport, *, extended: bool | None = None, observers: tuple[Observer, ...] = ()
    ) -> None:
        self.transport = transport
        self.counter = Counter()
        self.extended = _may_extend(transport) if extended is None else extended
        self._observers = observers
        self._epoch: int | None = None
        self._volatile = Volatile()
        self._sender: Sender | None = None
        self._made_for = (False, 0)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """Hold the card for the length of the ``with`` block."""
        self.transport.begin()
        transaction = Transaction(self, self._volatile_now())
        try:
            yield transaction
        finally:
            transaction.open = False
            self._epoch = self.transport.epoch
            self.transport.end(reset=transaction.reset_at_end)
            if transaction.reset_at_end:
                self.forget()

    def close(self) -> None:
        """Disconnect."""
        self.transport.close()

    def _volatile_now(self) -> Volatile:
        if self._epoch != self.transport.epoch:
            self._volatile = Volatile()
        return self._volatile

    def forget(self) -> None:
        """Drop what the card is believed to remember."""
        self._volatile = Volatile()
        self._epoch = None

    def _stack(self) -> Sender:
        """The steps between ``send`` and the wire, built anew when the card's abilities change."""
        made_for = (self.extended, self.transport.protocol)
        if self._sender is None or self._made_for != made_for:
            self._sender, self._made_for = self._build_stack(), made_for
        return self._sender

    def _build_stack(self) -> Sender:
        send: Sender = self._exchange
        send = _with_right_length(send)
        send = _with_fitting_length(send, extended=self.extended, protocol=self.transport.protocol)
        send = _with_chaining(send, extended=self.extended)
        return send  # noqa: RET504 - each step a line

    def send(self, command: Command, *, collect: bool = True) -> Response:
        """What ``Transaction.send`` does, once it has made sure that the transaction is open."""
        # Refused whole, before the first part of a chain has gone out.
        command.check_frame(extended=True)
        sender = self._stack()
        response = sender(command)
        return _collect(sender, command, response) if collect else response

    def _exchange(self, command: Command) -> Response:
        raw = command.encode(extended=self.extended)
        start = time.monotonic() if self._observers else 0.0
        answer = self.transport.transmit(raw)
        self.counter.add(raw, answer)
        if self._observers:
            seen = Exchange(raw, answer, time.monotonic() - start)
            for observer in self._observers:
                observer(seen)
        return Response.decode(answer)


class Transaction:
    """Exclusive use of a card; the only thing that can send. Ends with the ``with`` block of ``Channel.begin``."""

    def __init__(self, channel: Channel, volatile: Volatile) -> None:
        self.channel = channel
        self.volatile = volatile
        self.open = True
        self.reset_at_end = False

    @property
    def extended(self) -> bool:
        """Whether extended lengths are in use."""
        return self.channel.extended

    @property
    def epoch(self) -> int:
        """``Transport.epoch`` of this transaction."""
        return self.channel.transport.epoch

    def send(self, command: Command, *, collect: bool = True) -> Response:
        """Send ``command``; chained when long; the whole answer, GET RESPONSE included, when ``collect``.

        Without ``collect`` a 61xx status is returned as it came and the rest of the answer is given up.

        Raises:
            CardReset: the card was reset; this transaction is over.
            CardRemoved: the card is gone; likewise. After any failure but the next two it is over.
            BadData: the card answers without end, or with less than a status word.
            BadParameter: the command does not fit an APDU; nothing was sent.
        """
        if not self.open:
            raise CardReset(detail="the card transaction is over")
        try:
            return self.channel.send(command, collect=collect)
        except (BadData, BadParameter):
            raise
        except BaseException:  # Ctrl-C too: half a command may have gone out
            self.open = False
            self.channel.forget()
            raise


def _may_extend(transport: Transport) -> bool:
    try:
        return transport.protocol != 0 and Atr.decode(transport.atr).extended_length
    except BadData:
        return False


def _with_right_length(send: Sender) -> Sender:
    def right_length(command: Command) -> Response:
        response = send(command)
        # Only a command that asked for data is repeated, so no PIN is ever presented twice.
        if command.le is not None and response.sw >> 8 == SW1_WRONG_LE:
            return send(command._replace(le=response.sw2 or apdu.SHORT_LE_MAX))
        return response

    return right_length


def _with_fitting_length(send: Sender, *, extended: bool, protocol: int) -> Sender:
    """``le`` as the card's lengths and protocol allow it: 65536 means "all that fits", T=0 has no case 4."""

    def fitting_length(command: Command) -> Response:
        if command.le is None:
            return send(command)
        if protocol == 0 and command.data:
            return send(command._replace(le=None))
        too_long = command.le > apdu.SHORT_LE_MAX and not extended
        return send(command._replace(le=apdu.SHORT_LE_MAX) if too_long else command)

    return fitting_length


def _with_chaining(send: Sender, *, extended: bool) -> Sender:
    limit = apdu.EXTENDED_MAX if extended else apdu.SHORT_DATA_MAX

    def chaining(command: Command) -> Response:
        if len(command.data) <= limit:
            return send(command)
        response = Response(b"", SW.OK)
        for piece in apdu.chain(command, limit):
            response = send(piece)
            if piece.cla & apdu.CLA_CHAIN and not response.ok:
                break
        return response

    return chaining


def _collect(send: Sender, command: Command, response: Response) -> Response:
    """Follow 61xx with GET RESPONSE until the answer is whole, bounded in bytes, pieces and empty pieces."""
    if response.sw >> 8 != SW1_MORE_DATA:
        return response
    data, pieces, empty = bytearray(response.data), 0, 0
    while response.sw >> 8 == SW1_MORE_DATA:
        le = response.sw2 or apdu.SHORT_LE_MAX
        response = send(Command(command.cla & 0x03, INS_GET_RESPONSE, 0, 0, le=le))
        pieces, empty = pieces + 1, 0 if response.data else empty + 1
        data += response.data
        if len(data) > MAX_RESPONSE_BYTES or pieces > MAX_CONTINUATIONS or empty > MAX_EMPTY_CONTINUATIONS:
            raise BadData(detail=f"the card's answer does not end ({len(data)} bytes so far)", index=len(data))
    return Response(bytes(data), response.sw)
