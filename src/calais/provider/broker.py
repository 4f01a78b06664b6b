"""Getting a PIN to the card: tried without first, then a remembered one where that is safe, then a person.

An operation is first tried as it is, because the PIN may still be verified. When the card wants the PIN, a remembered
one is presented and the operation done in one transaction; when there is none that may be used, the transaction ends, a
person is asked, and their PIN is presented, once, in one transaction with the operation. A key whose PIN counts for one
use only is never tried without. The last try is spent only when a person has said that it shall be.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from calais.minidriver.api import Minidriver
from calais.minidriver.memo import Evidence
from calais.minidriver.pins import Pin, is_in_pin_set
from calais.provider.caller import Caller
from calais.provider.logonscope import LogonScope
from calais.provider.pincache import CachePolicy, PinCache, PinName
from calais.provider.pinrules import UNBLOCK, PinRules
from calais.provider.prompt import PinRequest, Prompt, confirm, program_name, type_at_reader, uses_keypads
from calais.resource.clock import Clock
from calais.transport.keypad import Keypad
from calais.win.codes import Code
from calais.win.errors import Cancelled, NotAuthenticated, PinBlocked, SilentContext, Unsupported, WrongPin
from calais.win.flags.cardmod import CardProperty, EmptyPinType, ExternalPinType

T = TypeVar("T")
Job = Callable[[Minidriver], T]
AT_ONCE_S = 1.0  # a program answers; a person takes longer, and then the tries are asked for again
TRIES_TO_SPARE = 3


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


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a person gave: ``pin``, or ``None`` = it is to be typed at the reader.

    ``last``: the last try may go; ``at_once``: the answer came so soon, with tries to spare, that nobody has used them up.
    """

    pin: Pin | None
    last: bool = False
    at_once: bool = False


class _PinWanted(Exception):
    """No remembered PIN may be presented.

    ``refused``: one was, and it was wrong; ``keypad``: the reader has one; ``external``: the card or its reader takes
    the PIN, and nobody need be asked for it.
    """

    def __init__(
        self, attempts_left: int | None, *, refused: bool = False, keypad: bool = False, external: bool = False
    ) -> None:
        super().__init__()
        self.attempts_left = attempts_left
        self.refused = refused
        self.keypad = keypad
        self.external = external


class _LastTry(Exception):
    """One try is left, as it turns out, and nobody has said yet that it shall be used."""


class PinBroker:
    """PINs of one logon in one process.

    Args:
        prompt: who is asked; ``None`` = nobody, as with CRYPT_SILENT.
        clock: the time.
        scope: the logon whose PINs these are; one of its own when ``None``.
        rules: the policy.
        caller: for whom.
    """

    def __init__(
        self,
        prompt: Prompt | None,
        clock: Clock,
        scope: LogonScope | None = None,
        rules: PinRules | None = None,
        caller: Caller | None = None,
    ) -> None:
        self._prompt = prompt
        self._parent: PinBroker | None = None
        self.scope = scope or LogonScope()
        self.rules = rules or PinRules()
        self.caller = caller or Caller()
        self._clock = clock

    def seen_by(self, caller: Caller) -> PinBroker:
        """A broker for ``caller``: of the same PINs, or of its face's own; a silent one asks nobody."""
        made = PinBroker(None, self._clock, self.scope, self.rules, caller)
        made._parent = self._parent or self
        return made

    @property
    def prompt(self) -> Prompt | None:
        """Who is asked now; ``None`` = nobody, always so for a silent caller."""
        if self._parent is None:
            return self._prompt
        return None if self.caller.silent else self._parent.prompt

    @prompt.setter
    def prompt(self, prompt: Prompt | None) -> None:
        self._prompt = prompt

    @property
    def cache(self) -> PinCache:
        """The remembered PINs that this caller may use."""
        return self.scope.cache(self.caller.face if self.rules.separate else "")

    def perform(self, seat: Seat, use: PinUse, operation: Job[T]) -> T:
        """Do ``operation``, with the PIN of ``use`` if the card wants it.

        Raises:
            SilentContext: a person would have to be asked, and nobody may.
            Cancelled: the person gave up, or did not agree to the last try.
            WrongPin: the PIN just given is wrong; it has been presented once.
            PinBlocked: no tries are left.
            WinError: whatever ``operation`` raises.
        """
        question = self.scope.question((seat.card_id, use.pin_id))
        asked = question.asked
        try:
            return self._alone(seat, use, operation)
        except _PinWanted as error:
            wanted = error
        if self.prompt is None:
            return self._with_person(seat, use, wanted, operation)
        with question.lock:
            if question.asked != asked:  # by another thread, and what it was told may do for us, too
                try:
                    return self._alone(seat, use, operation)
                except _PinWanted as error:
                    wanted = error
            try:
                return self._with_person(seat, use, wanted, operation)
            finally:
                question.asked += 1

    def _alone(self, seat: Seat, use: PinUse, operation: Job[T]) -> T:
        """Do ``operation`` without a person.

        Raises:
            _PinWanted: one must be asked.
        """
        if not use.always:
            try:
                return seat.run(operation)
            except NotAuthenticated:
                pass
        return seat.run(lambda driver: self._with_remembered(driver, seat, use, operation))

    def verify(self, seat: Seat, pin_id: int, pin: Pin) -> None:
        """Present ``pin``, which has just been given, once; remember it if it is right and may be remembered.

        Raises:
            WrongPin: with the tries that are left.
            PinBlocked: none are left.
        """
        answer = _Answer(pin, last=True)
        seat.run(lambda driver: self._with_answer(driver, seat, pin_id, answer, lambda _: None))

    def give(self, seat: Seat, pin_id: int, pin: Pin | None) -> None:
        """Take a PIN as a program sets it (PP_KEYEXCHANGE_PIN, NCRYPT_PIN_PROPERTY).

        Verified at once, and kept as its cache policy allows. A PIN that counts for one use only is taken without
        looking at it; ``None`` or an empty one makes the remembered one forgotten.

        Raises:
            WinError: SCARD_E_INVALID_CHV, no PIN of this card looks like that; as ``verify``.
        """
        if pin is None or not len(pin):
            self.cache.forget((seat.card_id, pin_id))
            return

        def counts_once(driver: Minidriver) -> bool:
            driver.check_pin(pin_id, pin)
            return is_always(driver.pin_info(pin_id).cache_policy.policy)

        if not seat.run(counts_once):
            self.verify(seat, pin_id, pin)

    def give_session_pin(self, seat: Seat, pin_id: int, session_pin: Pin) -> None:
        """Present a session PIN, which another process has traded the PIN for, and remember it for this process.

        Raises:
            WrongPin: it is not, or no longer, the card's; the tries of the PIN itself are untouched.
            Unsupported: the card has no session PINs.
        """

        def job(driver: Minidriver) -> None:
            driver.authenticate_session(pin_id, session_pin)
            self._keep(driver, (seat.card_id, pin_id), session_pin, session=True)

        seat.run(job)

    def accept(self, driver: Minidriver, name: PinName, pin: Pin) -> None:
        """Note that the card has just accepted ``pin`` under ``name``."""
        self.cache.restore(name, Evidence.of(driver.tx))
        session = self._session_for(driver, name[1], pin)
        if session is not None:
            self._keep(driver, name, session, session=True)
        elif self.rules.plain:
            self._keep(driver, name, pin)

    def _session_for(self, driver: Minidriver, pin_id: int, pin: Pin) -> Pin | None:
        """A session PIN to remember instead of ``pin``, which is right; ``None`` where that is not wanted or offered."""
        keeps = self.rules.session and self.cache.keeps(driver.pin_info(pin_id).cache_policy.policy)
        if keeps and is_in_pin_set(driver.session_pins, pin_id):
            with suppress(Unsupported):
                return driver.make_session_pin(pin_id, pin)
        return None

    def _keep(self, driver: Minidriver, name: PinName, pin: Pin, *, session: bool = False) -> None:
        policy, now = driver.pin_info(name[1]).cache_policy, self._clock.monotonic()
        self.cache.accept(name, pin, policy=policy.policy, seconds=policy.info, now=now, session=session)

    # --- inside a transaction ---

    def _with_remembered(self, driver: Minidriver, seat: Seat, use: PinUse, operation: Job[T]) -> T:
        name = (seat.card_id, use.pin_id)
        kind = driver.pin_info(use.pin_id).pin_type
        if kind == EmptyPinType:
            return operation(driver)
        left = self._tries_left(driver, name)
        if kind == ExternalPinType:
            return self._with_external(driver, use.pin_id, left, operation)
        kept = None if use.always else self.cache.kept(name, left, now=self._clock.monotonic())
        if kept is None:
            raise self._wanted(driver, left)
        try:
            (driver.authenticate_session if kept.session else driver.authenticate)(use.pin_id, kept.pin)
        except WrongPin as error:
            self._note_refusal(driver, name, None if kept.session else error)
            raise self._wanted(driver, left if kept.session else error.attempts_left, refused=True) from error
        if not kept.session:  # which leaves the tries of the PIN as they are
            self.cache.restore(name, Evidence.of(driver.tx))
        return operation(driver)

    def _wanted(self, driver: Minidriver, left: int | None, *, refused: bool = False) -> _PinWanted:
        keypad = uses_keypads(self.prompt) and Keypad.of(driver.tx) is not None
        return _PinWanted(left, refused=refused, keypad=keypad)

    def _with_external(self, driver: Minidriver, pin_id: int, left: int | None, operation: Job[T]) -> T:
        if left == 1:
            raise _PinWanted(left, external=True)
        self._authenticate_externally(driver, pin_id)
        return operation(driver)

    def _authenticate_externally(self, driver: Minidriver, pin_id: int) -> None:
        """Have the card, or the driver's own reader, take the PIN; it is told whose window and words to show."""
        known = {CardProperty.PARENT_WINDOW: self.caller.window, CardProperty.PIN_CONTEXT_STRING: self.caller.text}
        for name, value in known.items():
            if value:
                driver.set_property(name, value)
        driver.authenticate_external(pin_id, silent=self.prompt is None)

    def _with_answer(self, driver: Minidriver, seat: Seat, pin_id: int, answer: _Answer, operation: Job[T]) -> T:
        name = (seat.card_id, pin_id)
        if not answer.at_once and self._tries_left(driver, name) == 1 and not answer.last:
            raise _LastTry
        try:
            self._present(driver, pin_id, answer.pin)
        except WrongPin as error:
            self._note_refusal(driver, name, error)
            raise
        except PinBlocked as error:
            self.cache.forget(name)
            raise self._blocked(error.detail) from error
        if answer.pin is not None:
            self.accept(driver, name, answer.pin)
        return operation(driver)

    def _present(self, driver: Minidriver, pin_id: int, pin: Pin | None) -> None:
        if pin is not None:
            driver.authenticate(pin_id, pin)
        elif driver.pin_info(pin_id).pin_type == ExternalPinType:
            self._authenticate_externally(driver, pin_id)
        else:
            keypad = Keypad.of(driver.tx)
            if keypad is None:
                raise Unsupported(detail="the keypad of the reader is gone")
            driver.authenticate_at_keypad(pin_id, keypad)

    def _note_refusal(self, driver: Minidriver, name: PinName, error: WrongPin | None) -> None:
        self.cache.forget(name)
        if error is not None:
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
            raise self._blocked()
        if status.verified:  # then the card does not say, and the PIN has all its tries, or a session PIN was presented
            last = self.cache.last(name)
            return last.left if last else self.cache.restore(name, now).left
        self.cache.see(name, status.attempts_left, now, most=status.attempts_max)
        return status.attempts_left

    # --- a person, outside of any transaction ---

    def _with_person(self, seat: Seat, use: PinUse, wanted: _PinWanted, operation: Job[T]) -> T:
        request = self._request(seat, use, wanted)
        answer = self._ask(seat, request, wanted)
        try:
            return seat.run(lambda driver: self._with_answer(driver, seat, use.pin_id, answer, operation))
        except _LastTry:
            agreed = replace(answer, last=True)
        self._confirm(seat, replace(request, attempts_left=1, reason="meanwhile somebody has given wrong PINs"))
        return seat.run(lambda driver: self._with_answer(driver, seat, use.pin_id, agreed, operation))

    def _ask(self, seat: Seat, request: PinRequest, wanted: _PinWanted) -> _Answer:
        if request.attempts_left == 0:
            raise self._blocked()
        prompt = self._somebody(request)
        seat.release()
        if request.is_last_try:
            self._confirm(seat, request)
        last = request.is_last_try
        if wanted.external:
            return _Answer(None, last)
        if wanted.keypad and type_at_reader(prompt, request):
            return _Answer(None, last)
        asked = self._clock.monotonic()
        pin = prompt.ask(request)
        if pin is None:
            raise Cancelled(Code.SCARD_W_CANCELLED_BY_USER, "no PIN was given")
        soon = self._clock.monotonic() - asked <= AT_ONCE_S
        return _Answer(pin, last, at_once=soon and (request.attempts_left or 0) >= TRIES_TO_SPARE)

    def _somebody(self, request: PinRequest) -> Prompt:
        if self.prompt is None:
            raise SilentContext(
                detail=f"the card wants a PIN to {request.purpose}, and nobody may be asked",
                next_step="verify the PIN first, or allow a prompt",
            )
        return self.prompt

    def _confirm(self, seat: Seat, request: PinRequest) -> None:
        """Raise ``Cancelled`` unless a person says that the last try shall be used."""
        seat.release()
        if not confirm(self.prompt, request):
            raise Cancelled(
                Code.SCARD_W_CANCELLED_BY_USER,
                "one try is left for the PIN, and nobody has confirmed that it shall be used; nothing was presented",
                next_step="confirm it where you can be asked, or try the PIN by itself: calais pin verify",
            )

    def _request(self, seat: Seat, use: PinUse, wanted: _PinWanted) -> PinRequest:
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
            caller=program_name(),
            text=self.caller.text,
            window=self.caller.window,
        )

    def _blocked(self, detail: str = "") -> PinBlocked:
        return blocked(detail, self.rules.unblock)


def blocked(detail: str = "", next_step: str = UNBLOCK) -> PinBlocked:
    """The error for a PIN without tries, with what to do about it."""
    return PinBlocked(detail=detail or "the PIN is blocked: no tries are left", next_step=next_step)


def is_always(policy: int) -> bool:
    """Whether a PIN with this cache policy counts for one use only."""
    return policy == CachePolicy.ALWAYS_PROMPT
