"""A card in a file as one process uses it: what its connections share, and the connections.

All connections of one process see one card, as those to a real card do. Between two processes the card is powered up
afresh, for its volatile state lives in the process that had it.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from calais.cards.base import FileMemory
from calais.transport.loopback import Place, Turn
from calais.win.codes import Code
from calais.win.errors import CardRemoved, ReaderUnavailable, SharingViolation, WinError

if TYPE_CHECKING:
    from calais.resource.virtual import VirtualReaders

TIMEOUT_S = 30.0
LOOK_S = 0.5  # how often to look whether the card is still there, while another process has it


class PoweredCard:
    """A card in a file as this process has it: one object for all its connections, so that they see one card.

    Args:
        home: the readers of this user.
        card: the card's name.
    """

    def __init__(self, home: VirtualReaders, card: str) -> None:
        self.card = home.power_up(FileMemory(home.path(card)), os.urandom)
        self.turn = Turn()
        self._lock = home.lock(card)
        self._token = secrets.token_hex(8).encode()
        self._kept = False
        self._used = False
        self._first = 0

    @property
    def resets(self) -> int:
        """How often the card was reset, or powered up afresh, since this process first used it."""
        return self.card.resets - self._first

    def lock(self, timeout_s: float, check: Callable[[], None]) -> None:
        """Take the card from other processes; powered up afresh when one of them has had it.

        Args:
            timeout_s: how long to wait.
            check: called now and then while waiting; raises when there is nothing left to wait for.

        Raises:
            SharingViolation: another process kept it longer.
        """
        if self._kept:
            return
        self._wait(timeout_s, check)
        try:
            if self._lock.read() != self._token:
                self.card.power_cycle()
                self._lock.write(self._token)
                self._first += not self._used
            self._used = True
        except BaseException:
            self._lock.give()
            raise

    def _wait(self, timeout_s: float, check: Callable[[], None]) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self._lock.take(max(0.0, min(deadline - time.monotonic(), LOOK_S)))
            except SharingViolation:
                check()
                if time.monotonic() >= deadline:
                    raise

    def unlock(self) -> None:
        """Give it back to the other processes."""
        if not self._kept:
            self._lock.give()

    def keep(self, *, held: bool) -> None:
        """Keep other processes out until ``unkeep``; ``held``: they are out already. Errors as ``lock``."""
        if not held:
            self.lock(0.0, lambda: None)
        self._kept = True

    def unkeep(self, *, held: bool) -> None:
        """Let other processes in again; ``held``: at the end of the transaction."""
        self._kept = False
        if not held:
            self._lock.give()


class FileTransport:
    """A connection to a card in a file (see ``Transport``).

    ``epoch`` is what the card has been through minus our own exchanges: constant while nobody else touches it.

    Args:
        home: the readers of this user.
        reader: the reader's name.
        card: the card's name.
        insertion: the reader's counter; when it moves on, the card is gone.
        timeout_s: how long ``begin`` waits for other users of the card.
    """

    protocol = 1

    def __init__(
        self, home: VirtualReaders, reader: str, card: str, insertion: int, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.reader = reader
        self.timeout_s = timeout_s
        self._home = home
        self._inserted = (card, insertion)
        self._powered = home.powered(card, insertion)
        self._card = self._powered.card
        self._place = Place(self._powered.turn)
        self._own = 0
        self._held = False
        self._closed = False
        self.when_gone: Callable[[], None] | None = None  # nobody tells: other processes take cards out
        self.atr = self._card.atr

    @property
    def epoch(self) -> int:
        """Changes whenever anybody else used, reset or power-cycled the card, and with our own reset."""
        return self._card.exchanges_total - self._own + self._powered.resets

    @property
    def resets(self) -> int:
        """How often the card was reset or powered up, as this process knows."""
        return self._powered.resets

    @property
    def present(self) -> bool:
        """Whether the card is still in the reader, and this connection open; one that is gone keeps nobody out."""
        try:
            self._check_present()
        except WinError:
            self.share()
            return False
        return True

    @property
    def is_taken(self) -> bool:
        """Whether anybody in this process is in a transaction with the card."""
        return self._place.is_taken

    def begin(self) -> None:
        """Take the card; powered up afresh when another process has had it.

        Raises:
            CardRemoved: the card is gone.
            SharingViolation: another user kept it longer than the timeout.
        """
        self._check_present()
        self._check_shared()
        start = time.monotonic()
        if not self._place.take(self.timeout_s):
            self._check_present()
            raise SharingViolation(
                detail=f"the virtual card {self._inserted[0]} is in use; gave up after {self.timeout_s:.1f} s"
            )
        try:
            self._check_shared()
            self._powered.lock(max(0.0, self.timeout_s - (time.monotonic() - start)), self._check_present)
            self._after_lock()
        except BaseException:
            self._place.give()
            raise
        self._held = True

    def _after_lock(self) -> None:
        try:
            self._check_present()
        except CardRemoved:
            self._powered.unlock()
            raise

    def end(self, *, reset: bool = False) -> None:
        """Give the card back; nothing happens when it is not held."""
        if not self._held:
            return
        self._held = False
        try:
            if reset:
                self._card.reset()
        finally:
            self._powered.unlock()
            self._place.give()

    def transmit(self, command: bytes) -> bytes:
        """One exchange.

        Raises:
            CardRemoved: the card is gone.
            WinError: ``SCARD_E_NOT_TRANSACTED``, outside ``begin`` and ``end``.
        """
        if not self._held:
            raise WinError.of(Code.SCARD_E_NOT_TRANSACTED, "a command outside a card transaction")
        self._check_present()
        answer = self._card.process(command)
        self._own += 1
        return answer

    def reset(self) -> None:
        """Reset the card, inside a transaction or outside; changes ``epoch``.

        Raises:
            CardRemoved, SharingViolation: as ``begin``.
        """
        if not self._held:
            self.begin()
            self.end(reset=True)
            return
        self._card.reset()

    def power_cycle(self) -> None:
        """Take the power from the card and give it back, inside a transaction; changes ``epoch``."""
        self._card.power_cycle()

    def reserve(self) -> None:
        """Use the card exclusively, until ``share`` or ``close``.

        Raises:
            SharingViolation: somebody is at it, here or in another process.
        """
        if not self._place.reserve(held=self._held):
            raise SharingViolation(detail=f"the virtual card {self._inserted[0]} is in use")
        try:
            self._powered.keep(held=self._held)
        except WinError:
            self._place.share()
            raise

    def share(self) -> None:
        """Let others use the card again; nothing happens when it is not reserved for us."""
        if self._place.is_reserved:
            self._powered.unkeep(held=self._held)
            self._place.share()

    def abandon(self) -> None:
        """From now on everything fails, and whoever waits in ``begin`` learns it; for another thread than the user's."""
        self._closed = True
        self._place.stop()

    def close(self) -> None:
        """Give the card back if it is still held; whoever waits in ``begin`` learns it."""
        self.end()
        self.share()
        self.abandon()

    def _check_shared(self) -> None:
        if not self._place.is_free_for_us:
            raise SharingViolation(detail=f"another program uses the virtual card {self._inserted[0]} exclusively")

    def _check_present(self) -> None:
        if self._closed:
            raise CardRemoved(detail=f"the connection to {self.reader} is closed")
        try:
            seat = self._home.seat(self.reader)
        except ReaderUnavailable as error:
            raise CardRemoved(detail=f"{self.reader} was taken away") from error
        if seat != self._inserted:
            raise CardRemoved(detail=f"the card was taken out of {self.reader}")
