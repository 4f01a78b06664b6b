"""A card in the same process: ``LoopbackTransport`` hands each command straight to the card object.

Several transports, in several threads, may share one card; its transactions are first come, first served.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Protocol
from weakref import WeakKeyDictionary

from calais.win.codes import Code
from calais.win.errors import CardRemoved, CardReset, SharingViolation, WinError

DEFAULT_TIMEOUT_S = 30.0


class LoopbackCard(Protocol):
    """What a card object offers. It is hashed by identity."""

    @property
    def atr(self) -> bytes:
        """Answer to reset, 2…33 bytes."""

    @property
    def exchanges_total(self) -> int:
        """How many commands it has processed in its whole life; never goes back."""

    @property
    def resets(self) -> int:
        """How many resets and power cycles it has seen in its whole life; never goes back."""

    def process(self, command: bytes) -> bytes:
        """Answer one command APDU."""

    def reset(self) -> None:
        """Warm reset: forget selected application, verified PINs, half-finished chains."""

    def power_cycle(self) -> None:
        """Cold reset."""


class Turn:
    """A lock that is granted in the order of asking."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._busy = False
        self._waiting: deque[threading.Event] = deque()

    def take(self, timeout_s: float) -> bool:
        """Wait for the turn; ``False`` when ``timeout_s`` seconds were not enough."""
        with self._mutex:
            if not self._busy:
                self._busy = True
                return True
            called = threading.Event()
            self._waiting.append(called)
        return called.wait(max(0.0, timeout_s)) or not self._leave(called)

    def _leave(self, called: threading.Event) -> bool:
        """Leave the queue after a timeout; ``False`` when the turn came at the last moment after all."""
        with self._mutex:
            if called.is_set():
                return False
            self._waiting.remove(called)
            return True

    def give(self) -> None:
        """Pass the turn on to the next in the queue."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._busy = False


# The turn belongs to the card, and cards need not know of it; entries die with their card.
_turns: WeakKeyDictionary[LoopbackCard, Turn] = WeakKeyDictionary()
_turns_mutex = threading.Lock()


def turn_of(card: LoopbackCard) -> Turn:
    """The lock that everybody who uses ``card`` in this process shares."""
    with _turns_mutex:
        return _turns.setdefault(card, Turn())


class LoopbackTransport:
    """A connection to a card object in this process (see ``Transport``).

    ``epoch`` is what the card has been through minus our own exchanges: constant while nobody else touches it.

    Args:
        card: the card; shared with other transports if need be.
        reader: name of the reader it appears in.
        timeout_s: how long ``begin`` waits for another user of the card, in seconds.
    """

    protocol = 1

    def __init__(
        self, card: LoopbackCard, reader: str = "Virtual Reader 0", *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self.reader = reader
        self.card = card
        self.atr = card.atr
        self.timeout_s = timeout_s
        self._turn = turn_of(card)
        self._process = card.process
        self._own = 0
        self._resets = -1
        self._gone = ""
        self._held = False

    @property
    def epoch(self) -> int:
        """Changes whenever anybody else used, reset or power-cycled the card, and with our own reset."""
        return self.card.exchanges_total - self._own + self.card.resets

    def begin(self) -> None:
        """Take the card.

        Raises:
            CardRemoved: the card is gone.
            SharingViolation: another user kept it longer than the timeout.
        """
        self._check_present()
        start = time.monotonic()
        if not self._turn.take(self.timeout_s):
            waited = time.monotonic() - start
            raise SharingViolation(
                detail=f"the card in {self.reader} is in use; gave up after {waited:.1f} s",
                next_step="wait until the other program has finished with the card",
            )
        if self._gone:
            self._turn.give()
            self._check_present()
        self._held = True
        self._resets = self.card.resets

    def end(self, *, reset: bool = False) -> None:
        """Give the card back; nothing happens when it is not held."""
        if not self._held:
            return
        self._held = False
        try:
            if reset and not self._gone:
                self.card.reset()
        finally:
            self._turn.give()

    def transmit(self, command: bytes) -> bytes:
        """One exchange.

        Raises:
            CardRemoved: the card is gone.
            CardReset: somebody else reset it since ``begin``.
            WinError: ``SCARD_E_NOT_TRANSACTED``, outside ``begin`` and ``end``.
        """
        if self._gone or not self._held or self.card.resets != self._resets:
            self._refuse()
        answer = self._process(command)
        self._own += 1
        return answer

    def _refuse(self) -> None:
        self._check_present()
        if not self._held:
            raise WinError.of(Code.SCARD_E_NOT_TRANSACTED, "a command outside a card transaction")
        raise CardReset(detail=f"the card in {self.reader} was reset by another program")

    def _check_present(self) -> None:
        if self._gone:
            raise CardRemoved(detail=self._gone)

    def reset(self) -> None:
        """Reset the card, inside a transaction or outside; changes ``epoch``.

        Raises:
            CardRemoved: the card is gone.
            SharingViolation: as ``begin``.
        """
        self._check_present()
        if not self._held:
            self.begin()
            self.end(reset=True)
            return
        self.card.reset()
        self._resets = self.card.resets

    def remove(self) -> None:
        """Called by the reader when the card is pulled: from now on everything raises ``CardRemoved``."""
        self._gone = f"the card was taken out of {self.reader}"

    def close(self) -> None:
        """Give the card back if it is still held, and use this transport no more."""
        self.end()
        self._gone = self._gone or f"the connection to {self.reader} is closed"
