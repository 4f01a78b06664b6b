"""Getting a PIN to the card: tried without first, then a remembered one where that is safe, then a person.

An operation is first tried as it is, because the PIN may still be verified. When the card wants the PIN, a remembered
one is presented and the operation done in one transaction; when there is none that may be used, the transaction ends, a
person is asked, and their PIN is presented, once, in one transaction with the operation. A key whose PIN counts for one
use only is never tried without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from calais.minidriver.api import Minidriver
from calais.minidriver.memo import Evidence
from calais.minidriver.pins import Pin
from calais.provider.caller import Caller
from calais.provider.pincache import CachePolicy, PinCache, PinName
from calais.provider.prompt import PinRequest, Prompt
from calais.resource.clock import Clock
from calais.win.codes import Code
from calais.win.errors import Cancelled, NotAuthenticated, PinBlocked, SilentContext, WrongPin

T = TypeVar("T")
Job = Callable[[Minidriver], T]
UNBLOCK = "unblock it with the PUK (calais pin unblock), or ask whoever issued the card"


class Seat(Protocol):
    """The card as the broker needs it."""

    @property
    def reader_name(self) -> str:
        """Name of the reader."""

    @property
    def card_id(self) -> bytes:
        """The card's id, 16 bytes."""

    @property
    def label(self) -> str:
        """What a person calls the card."""

    def run(self, job: Job[T]) -> T:
        """Run ``job`` in a transaction of this card."""

    def release(self) -> None:
        """End the transaction if it is held."""


@dataclass(frozen=True, slots=True)
class PinUse:
    """What a PIN is wanted for; ``always``: it counts for one use only (PinCacheAlwaysPrompt)."""

    pin_id: int
    always: bool
    container: str
    purpose: str


class _PinWanted(Exception):
    """No remembered PIN may be presented; ``refused``: one was, and it was wrong."""

    def __init__(self, attempts_left: int | None, *, refused: bool = False) -> None:
        super().__init__()
        self.attempts_left = attempts_left
        self.refused = refused


class PinBroker:
    """PINs of one process.

    Args:
        prompt: who is asked; ``None`` = nobody, as with CRYPT_SILENT.
        clock: the time.
        cache: remembered PINs; a cache of its own when ``None``.
    """

    def __init__(self, prompt: Prompt | None, clock: Clock, cache: PinCache | None = None) -> None:
        self.prompt = prompt
        self.cache = cache or PinCache()
        self._clock = clock

    def seen_by(self, caller: Caller) -> PinBroker:
        """A broker of the same PINs for ``caller``; a silent one asks nobody."""
        return PinBroker(None if caller.silent else self.prompt, self._clock, self.cache)

    def perform(self, seat: Seat, use: PinUse, operation: Job[T]) -> T:
        """Do ``operation``, with the PIN of ``use`` if the card wants it.

        Raises:
            SilentContext: a person would have to be asked, and nobody may.
            Cancelled: the person gave up.
            WrongPin: the PIN just given is wrong; it has been presented once.
            PinBlocked: no tries are left.
            WinError: whatever ``operation`` raises.
        """
        if not use.always:
            try:
                return seat.run(operation)
            except NotAuthenticated:
                pass
        try:
            return seat.run(lambda driver: self._with_remembered(driver, seat, use, operation))
        except _PinWanted as wanted:
            pin = self._ask(seat, use, wanted)
        return seat.run(lambda driver: self._with_fresh(driver, seat, use.pin_id, pin, operation))

    def verify(self, seat: Seat, pin_id: int, pin: Pin) -> None:
        """Present ``pin``, which has just been given, once; remember it if it is right and may be remembered.

        Raises:
            WrongPin: with the tries that are left.
            PinBlocked: none are left.
        """

        def job(driver: Minidriver) -> None:
            self._tries_left(driver, (seat.card_id, pin_id))
            self._with_fresh(driver, seat, pin_id, pin, lambda _: None)

        seat.run(job)

    def accept(self, driver: Minidriver, name: PinName, pin: Pin) -> None:
        """Note that the card has just accepted ``pin`` under ``name``."""
        policy = driver.pin_info(name[1]).cache_policy
        self.cache.restore(name, Evidence.of(driver.tx))
        self.cache.accept(name, pin, policy=policy.policy, seconds=policy.info, now=self._clock.monotonic())

    def _with_remembered(self, driver: Minidriver, seat: Seat, use: PinUse, operation: Job[T]) -> T:
        name = (seat.card_id, use.pin_id)
        left = self._tries_left(driver, name)
        pin = None if use.always else self.cache.usable(name, left, now=self._clock.monotonic())
        if pin is None:
            raise _PinWanted(left)
        try:
            driver.authenticate(use.pin_id, pin)
        except WrongPin as error:
            self._note_refusal(driver, name, error)
            raise _PinWanted(error.attempts_left, refused=True) from error
        self.cache.restore(name, Evidence.of(driver.tx))
        return operation(driver)

    def _with_fresh(self, driver: Minidriver, seat: Seat, pin_id: int, pin: Pin, operation: Job[T]) -> T:
        name = (seat.card_id, pin_id)
        try:
            driver.authenticate(pin_id, pin)
        except WrongPin as error:
            self._note_refusal(driver, name, error)
            raise
        except PinBlocked as error:
            self.cache.forget(name)
            raise blocked(error.detail) from error
        self.accept(driver, name, pin)
        return operation(driver)

    def _note_refusal(self, driver: Minidriver, name: PinName, error: WrongPin) -> None:
        self.cache.forget(name)
        self.cache.see(name, error.attempts_left, Evidence.of(driver.tx))

    def _tries_left(self, driver: Minidriver, name: PinName) -> int | None:
        """Tries left; the card is asked unless nobody else can have touched it since they were last known."""
        now = Evidence.of(driver.tx)
        known = self.cache.tries(name, now)
        if known is not None:
            return known.left
        status = driver.pin_status(name[1])
        if status.blocked:
            self.cache.forget(name)
            raise blocked()
        if status.verified:  # then the card does not say, but a PIN that is verified has all its tries
            return self.cache.restore(name, now).left
        self.cache.see(name, status.attempts_left, now, most=status.attempts_max)
        return status.attempts_left

    def _ask(self, seat: Seat, use: PinUse, wanted: _PinWanted) -> Pin:
        if wanted.attempts_left == 0:
            raise blocked()
        if self.prompt is None:
            raise SilentContext(
                detail=f"the card wants a PIN to {use.purpose}, and nobody may be asked",
                next_step="verify the PIN first, or allow a prompt",
            )
        seat.release()
        pin = self.prompt.ask(_request(seat, use, wanted))
        if pin is None:
            raise Cancelled(Code.SCARD_W_CANCELLED_BY_USER, "no PIN was given")
        return pin


def blocked(detail: str = "") -> PinBlocked:
    """The error for a PIN without tries, with what to do about it."""
    return PinBlocked(detail=detail or "the PIN is blocked: no tries are left", next_step=UNBLOCK)


def _request(seat: Seat, use: PinUse, wanted: _PinWanted) -> PinRequest:
    reason = "the remembered PIN is not right any more" if wanted.refused else ""
    if use.always:
        reason = "this key wants its PIN each time"
    return PinRequest(
        reader=seat.reader_name,
        card=seat.label,
        container=use.container,
        purpose=use.purpose,
        attempts_left=wanted.attempts_left,
        reason=reason,
        retry=wanted.refused,
    )


def is_always(policy: int) -> bool:
    """Whether a PIN with this cache policy counts for one use only."""
    return policy == CachePolicy.ALWAYS_PROMPT
