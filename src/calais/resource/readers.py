"""Readers: each has one owner at a time, and everybody else waits in line.

Ownership. A job runs in the thread of whoever asked for it, while that thread has the reader's ``Turn``; turns are
granted in the order of asking. A job may not ask for its own reader again. So a signature costs no change of thread.
``submit`` hands the job to the reader's keeper instead, a thread that exists only while it has something to do.

The hold. A job gets a card transaction. When a PIN was verified in it, the transaction is held for a while after the
job (TransactionTimeoutMilliseconds after the last one), so that the next job need not verify again and nobody else can
use our PIN. The keeper ends the hold: it takes the PIN's effect back on the card, or resets the card where that is
impossible, and gives the card away. Without a verified PIN the card is given away at once, or, where each transaction
would begin in doubt about what others did to the card, after the port's ``linger_s``.

Recovery. A reset that is noticed before the job has completed an exchange costs one restart of that job; later, nobody
can know what the card has done, and the job gets ``CardReset``. Who waits in line while the card is pulled gets
``CardRemoved``, and the next job looks for a card anew.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import Protocol, TypeVar

from calais.cards import keeping
from calais.minidriver.api import Minidriver
from calais.minidriver.memo import CacheMode, CardMemo
from calais.minidriver.pins import PIN_SET_ALL_ROLES
from calais.resource.clock import Clock, WallClock
from calais.resource.keptmemo import KeptCards, Owner
from calais.resource.slots import Port, ReaderStatus
from calais.transport.base import Channel, Counter, Transaction, Watcher
from calais.transport.loopback import Turn
from calais.win.codes import Code
from calais.win.errors import (
    Cancelled,
    CardRemoved,
    CardReset,
    NoCard,
    ReaderUnavailable,
    SharingViolation,
    WinError,
)

T = TypeVar("T")
HOLD_S = 1.5  # TransactionTimeoutMilliseconds, default
LONGEST_HOLD_S = 15.0  # busy or not, other programs get a turn after this
WAIT_S = 60.0  # in line for the reader


class Identify(Protocol):
    """What finds the driver of a card (``calais.cards.registry.identify``)."""

    def __call__(self, tx: Transaction, memo: CardMemo) -> Minidriver:
        """The driver for the card in ``tx``.

        Raises:
            WinError: ``SCARD_E_UNKNOWN_CARD``.
        """


def everything(driver: Minidriver) -> CacheMode:  # noqa: ARG001
    """Remember every card beyond its insertion."""
    return CacheMode.GLOBAL


class _Line:
    """One connection to a card and the transaction that is open on it, if any."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.stack = ExitStack()
        self.tx: Transaction | None = None
        self.driver: Minidriver | None = None
        self.epoch = 0

    def begin(self, identify: Identify, memo: CardMemo) -> Minidriver:
        """The driver of the open transaction; one is begun if there is none that can be trusted."""
        tx, driver = self.tx, self.driver
        if tx is not None and driver is not None and tx.open and tx.epoch == self.epoch:
            return driver
        self.end()
        tx = self.tx = self.stack.enter_context(self.channel.begin())
        self.driver = driver = identify(tx, memo)
        self.epoch = tx.epoch
        return driver

    def end(self) -> None:
        """End the transaction; a PIN that was verified in it counts no more."""
        tx, driver, self.tx, self.driver = self.tx, self.driver, None, None
        if tx is not None and tx.open and tx.volatile.authenticated:
            _deauthenticate(tx, driver)
        self.stack.close()


def _deauthenticate(tx: Transaction, driver: Minidriver | None) -> None:
    try:
        if driver is not None:
            driver.deauthenticate(PIN_SET_ALL_ROLES)
        tx.reset_at_end = driver is None or bool(tx.volatile.authenticated)
    except WinError:
        tx.reset_at_end = True


class Reader:
    """One reader (see the module).

    Args:
        port: where the cards are put in.
        identify: finds the driver of a card.
        hold_s: how long a transaction with a verified PIN is held after the last job, in seconds.
        clock: the time.
        watchers: asked at each connection for an observer of its exchanges (traces, counts).
        kept: where the memory of a card goes when the card is gone; ``None`` = it stays here.
        mode_of: how far what is remembered of a card reaches.
    """

    def __init__(
        self,
        port: Port,
        identify: Identify,
        *,
        hold_s: float = HOLD_S,
        clock: Clock | None = None,
        watchers: tuple[Watcher, ...] = (),
        kept: KeptCards | None = None,
        mode_of: Callable[[Minidriver], CacheMode] = everything,
    ) -> None:
        self.port = port
        self.name = port.name
        self.hold_s = hold_s
        self.counter = Counter()
        self._clock = clock or WallClock()
        self._kept = kept
        self._mode_of = mode_of
        self._mode = CacheMode.GLOBAL
        self._judged: Minidriver | None = None
        self.memo = CardMemo(shelf=kept, clock=lambda: self._clock.now().timestamp())
        self._owner_of_memo = Owner(self.memo)
        if kept is not None:
            kept.follow(self._owner_of_memo)
        self._identify = identify
        self._now = self._clock.monotonic
        self._watchers = watchers
        self._turn = Turn()
        self._owner = 0
        self._line: _Line | None = None
        self._losses = 0
        self._closed = False
        self._wake = threading.Condition()
        self._keeper: threading.Thread | None = None
        self._jobs: deque[Callable[[], None]] = deque()
        self._held_since: float | None = None
        self._deadline = 0.0

    def __repr__(self) -> str:
        return f"<Reader {self.name!r}>"

    def status(self) -> ReaderStatus:
        """What the reader says, without an exchange.

        Raises:
            ReaderUnavailable: it has been unplugged.
        """
        return self.port.status()

    def run(self, job: Callable[[Minidriver], T]) -> T:
        """Run ``job`` in a transaction of this reader's card, in this thread, when it is its turn.

        Raises:
            NoCard: there is no card.
            CardRemoved: it was taken out meanwhile.
            CardReset: it was reset in the middle of the job.
            SharingViolation: others kept the reader too long, or a job asked for its own reader.
            WinError: whatever the job raises.
        """
        losses = self._losses
        self._take()
        try:
            if self._closed:
                raise Cancelled(Code.SCARD_E_CANCELLED, f"{self.name} is closed")
            if losses != self._losses:
                raise CardRemoved(detail=f"the card was taken out of {self.name} while others used it")
            return self._attempt(job)
        finally:
            self._give()

    def submit(self, job: Callable[[Minidriver], T]) -> Future[T]:
        """Run ``job`` as ``run`` does, in the keeper's thread; the future has its result or error."""
        future: Future[T] = Future()

        def task() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self.run(job))
                except BaseException as error:  # noqa: BLE001 - the top of a thread: the error belongs to the asker
                    future.set_exception(error)

        with self._wake:
            if self._closed:
                raise Cancelled(Code.SCARD_E_CANCELLED, f"{self.name} is closed")
            self._jobs.append(task)
            self._employ()
        return future

    def release(self) -> None:
        """End the hold now: before a person is asked, or when nothing more will come."""
        if self._line is not None:
            self._take()
            try:
                self._end_hold()
            finally:
                self._pass_on()

    def close(self) -> None:
        """Disconnect, let the keeper finish, refuse further jobs. Harmless when repeated."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
            keeper = self._keeper
        if keeper is not None and keeper is not threading.current_thread():
            keeper.join()
        self._take()
        try:
            self._disconnect()
        finally:
            self._pass_on()

    # --- turns ---

    def _take(self, wait_s: float = WAIT_S) -> None:
        if self._owner == threading.get_ident():
            raise SharingViolation(detail=f"a job on {self.name} asked for its own reader")
        if not self._turn.take(wait_s):
            raise SharingViolation(
                detail=f"others have used {self.name} for {wait_s:.0f} s", next_step="try again when they have finished"
            )
        self._owner = threading.get_ident()

    def _give(self) -> None:
        """Pass the turn on; hold the transaction if a PIN was verified in it."""
        try:
            line = self._line
            if line is not None and line.tx is not None:
                self._hold(line.tx)
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        self._owner = 0
        self._turn.give()

    # --- jobs ---

    def _attempt(self, job: Callable[[Minidriver], T]) -> T:
        try:
            driver = self._driver()
            if driver is not self._judged:
                self._judged, self._mode = driver, self._mode_of(driver)
            if self._mode is CacheMode.NONE:
                keeping.drop(self.memo)
            start = self.counter.exchanges
            try:
                return job(driver)
            except CardReset:
                self._end_hold()
                if self.counter.exchanges != start:
                    raise
            return job(self._driver())
        except (CardRemoved, ReaderUnavailable):
            self._losses += 1
            self._disconnect()
            raise

    def _driver(self) -> Minidriver:
        """The driver of the card, in a transaction; the connection is made anew once if the old one is dead."""
        line = self._line
        if line is not None:
            try:
                return line.begin(self._identify, self.memo)
            except (CardRemoved, CardReset, NoCard, ReaderUnavailable):
                self._disconnect()
        return self._connect().begin(self._identify, self.memo)

    def _connect(self) -> _Line:
        transport = self.port.connect()
        channel = Channel(transport, observers=tuple(watch(transport) for watch in self._watchers))
        channel.counter = self.counter
        self._line = _Line(channel)
        return self._line

    def _disconnect(self) -> None:
        line, self._line, self._held_since = self._line, None, None
        if line is not None:
            with suppress(WinError):
                line.end()
            line.channel.close()
            self._put_away()

    def _put_away(self) -> None:
        """The insertion is over: keep what is remembered of the card, or forget it."""
        if self._mode is not CacheMode.GLOBAL:
            self.memo.forget()
        elif self._kept is not None:
            self._kept.put(self.memo)

    # --- the hold ---

    def _hold(self, tx: Transaction) -> None:
        hold_s = self.hold_s if tx.volatile.authenticated else min(self.hold_s, self.port.linger_s)
        if not tx.open or hold_s <= 0 or self._closed:
            self._end_hold()
            return
        now = self._now()
        self._deadline = now + hold_s
        if self._held_since is None:
            self._held_since = now
            with self._wake:
                self._employ()
        elif now - self._held_since > LONGEST_HOLD_S:
            self._end_hold()

    def _end_hold(self) -> None:
        self._held_since = None
        if self._line is not None:
            try:
                self._line.end()
            except WinError:
                self._disconnect()

    def _employ(self) -> None:
        """Have a keeper; the caller holds ``_wake``."""
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name=f"calais {self.name}")
            self._keeper.start()
        else:
            self._wake.notify_all()

    def _keep(self) -> None:
        """The keeper's life: run submitted jobs, end holds, leave when there is neither."""
        while True:
            with self._wake:
                job = self._next_job()
                if job is None and (self._held_since is None or self._closed):
                    self._keeper = None
                    return
            if job is not None:
                job()
            elif self._now() >= self._deadline:
                self._expire()

    def _next_job(self) -> Callable[[], None] | None:
        """The next submitted job; otherwise wait for the end of the hold, or for news; the caller holds ``_wake``."""
        if not self._jobs and self._held_since is not None and not self._closed:
            self._clock.wait(self._wake, max(0.0, self._deadline - self._now()))
        return self._jobs.popleft() if self._jobs else None

    def _expire(self) -> None:
        self._take(threading.TIMEOUT_MAX)
        try:
            if self._now() >= self._deadline:
                self._end_hold()
        finally:
            self._pass_on()
