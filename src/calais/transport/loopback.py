"""A card in the same process: ``LoopbackTransport`` hands each command straight to the card object.

Several transports, in several threads, may share one card; its transactions are first come, first served.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

from calais.win.codes import Code
from calais.win.errors import CardRemoved, CardReset, SharingViolation, WinError

DEFAULT_TIMEOUT_S = 30.0
GONE = -1  # the epoch of a card that was taken out


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


class Call(threading.Event):
    """What somebody waits for in the queue of a ``Turn``; ``left``: he does not any more."""

    left = False


class Turn:
    """A lock that is granted in the order of asking.

    ``reserved_for``: who has the thing for himself alone (see ``Place.reserve``), or ``None``.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._busy = False
        self._waiting: deque[Call] = deque()
        self.reserved_for: object = None

    @property
    def is_taken(self) -> bool:
        """Whether somebody has the turn."""
        return self._busy

    def take(self, timeout_s: float) -> bool:
        """Wait for the turn; ``False`` when ``timeout_s`` seconds were not enough."""
        called = self.ask()
        return called is None or called.wait(max(0.0, timeout_s)) or not self.leave(called)

    def reserve(self, owner: object, *, held: bool) -> bool:
        """Let nobody but ``owner`` have it from now on; ``False`` when it is taken, or reserved for another.

        Args:
            owner: who.
            held: whether ``owner`` has the turn now.
        """
        with self._mutex:
            if self._busy != held or self.reserved_for not in (None, owner):
                return False
            self.reserved_for = owner
            return True

    def ask(self) -> Call | None:
        """Ask for the turn: ``None`` when it is ours at once, else what will be set when it is."""
        with self._mutex:
            if not self._busy:
                self._busy = True
                return None
            called = Call()
            self._waiting.append(called)
            return called

    def leave(self, called: Call) -> bool:
        """Leave the queue; ``False`` when the turn came at the last moment after all, or when it was left before."""
        with self._mutex:
            if called.is_set() or called.left:
                return False
            self._waiting.remove(called)
            called.left = True
            return True

    def give(self) -> None:
        """Pass the turn on to the next in the queue."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._busy = False


class Place:
    """One user's place at a turn. A wait can be ended from another thread, for good.

    Args:
        turn: what is taken.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._called: Call | None = None
        self._over = False

    @property
    def is_taken(self) -> bool:
        """Whether somebody has the turn."""
        return self._turn.is_taken

    @property
    def is_reserved(self) -> bool:
        """Whether the thing is reserved for us."""
        return self._turn.reserved_for is self

    @property
    def is_free_for_us(self) -> bool:
        """Whether nobody else has reserved the thing."""
        return self._turn.reserved_for in (None, self)

    def take(self, timeout_s: float) -> bool:
        """Wait for the turn; ``False`` when ``timeout_s`` seconds were not enough, or ``stop`` was called."""
        called = self._turn.ask()
        if called is None:
            return True
        self._called = called
        if self._over:
            self._end_wait(called)
        if not called.wait(max(0.0, timeout_s)):
            self._turn.leave(called)
        self._called = None
        return not called.left

    def stop(self) -> None:
        """End the wait of another thread, and every later one."""
        self._over = True
        if (called := self._called) is not None:
            self._end_wait(called)

    def give(self) -> None:
        """Pass the turn on."""
        self._turn.give()

    def reserve(self, *, held: bool = False) -> bool:
        """Have the thing for ourselves alone until ``share``; ``False`` when somebody else is at it.

        Args:
            held: whether we have the turn now.
        """
        return self._turn.reserve(self, held=held)

    def share(self) -> None:
        """Let others have it again; nothing happens when it is not reserved for us."""
        if self.is_reserved:
            self._turn.reserved_for = None

    def _end_wait(self, called: Call) -> None:
        if self._turn.leave(called):
            called.set()


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
        self._place = Place(self._turn)
        self.when_gone: Callable[[], None] | None = None
        self._process = card.process
        self._own = 0
        self._begun = self.last_total = card.exchanges_total
        self._first_epoch = self.last_epoch = self._begun + card.resets
        self._resets = -1
        self._gone = ""
        self._held = False

    @property
    def epoch(self) -> int:
        """Changes whenever anybody else used, reset or power-cycled the card, with our own reset, and when it is gone."""
        return GONE if self._gone else self.card.exchanges_total - self._own + self.card.resets

    def begin(self) -> None:
        """Take the card.

        Raises:
            CardRemoved: the card is gone.
            SharingViolation: another user kept it longer than the timeout.
        """
        self._check_present()
        self._check_shared()
        start = time.monotonic()
        if not self._place.take(self.timeout_s):
            self._check_present()
            waited = time.monotonic() - start
            raise SharingViolation(
                detail=f"the card in {self.reader} is in use; gave up after {waited:.1f} s",
                next_step="wait until the other program has finished with the card",
            )
        try:
            self._check_present()
            self._check_shared()
        except WinError:
            self._turn.give()
            raise
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
        self.last_total = self.card.exchanges_total
        self.last_epoch = self.last_total - self._own + self._resets
        return answer

    def carries_on(self, before: object, epoch: int) -> bool:
        """Whether nobody else has used the card since ``before``, also a connection to it, was in ``epoch``."""
        return (
            isinstance(before, LoopbackTransport)
            and before.card is self.card
            and (before.last_epoch, before.last_total) == (epoch, self._begun)
            and self.epoch == self._first_epoch
        )

    def _refuse(self) -> None:
        self._check_present()
        if not self._held:
            raise WinError.of(Code.SCARD_E_NOT_TRANSACTED, "a command outside a card transaction")
        raise CardReset(detail=f"the card in {self.reader} was reset by another program")

    def _check_present(self) -> None:
        if self._gone:
            raise CardRemoved(detail=self._gone)

    def _check_shared(self) -> None:
        if not self._place.is_free_for_us:
            raise SharingViolation(detail=f"another program uses the card in {self.reader} exclusively")

    @property
    def present(self) -> bool:
        """Whether the card is still in the reader, and this connection open."""
        return not self._gone

    @property
    def resets(self) -> int:
        """How often the card was reset, by anybody."""
        return self.card.resets

    @property
    def is_taken(self) -> bool:
        """Whether anybody is in a transaction with the card."""
        return self._place.is_taken

    def reserve(self) -> None:
        """Use the card exclusively, until ``share`` or ``close``.

        Raises:
            SharingViolation: somebody is at it.
        """
        if not self._place.reserve(held=self._held):
            raise SharingViolation(detail=f"the card in {self.reader} is in use")

    def share(self) -> None:
        """Let others use the card again."""
        self._place.share()

    def power_cycle(self) -> None:
        """Take the power from the card and give it back, inside a transaction; changes ``epoch``.

        Raises:
            CardRemoved: the card is gone.
        """
        self._check_present()
        self.card.power_cycle()
        self._resets = self.card.resets

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
        self._place.share()
        self._place.stop()
        if self.when_gone is not None:
            self.when_gone()

    def abandon(self) -> None:
        """From now on everything fails, and whoever waits in ``begin`` learns it; for another thread than the user's."""
        self._gone = self._gone or f"the connection to {self.reader} is closed"
        self._place.stop()

    def close(self) -> None:
        """Give the card back if it is still held, and use this transport no more; whoever waits in ``begin`` learns it."""
        self.end()
        self._place.share()
        self.abandon()
