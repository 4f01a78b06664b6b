"""Changing and unblocking the PIN. The old PIN is set again afterwards; only where the card may be changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from calais.apps.certify.responses import response_to
from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import INVALID, Trial, fail
from calais.minidriver.api import Minidriver
from calais.minidriver.pins import MAX_PINS, Pin, Role
from calais.win.codes import Code
from calais.win.errors import NotAuthenticated, PinBlocked, Unsupported, WinError, WrongPin

CHAPTER = Chapter("pin_change", "Changing and unblocking the PIN")
CHANGING = Need.DESTRUCTIVE | Need.PIN
UNBLOCKING = CHANGING | Need.PUK
TRIES_MAX = 20
CHALLENGE_RESPONSE = 2


def _pin(trial: Trial) -> Pin:
    assert trial.secrets.pin is not None  # noqa: S101 - checks that call this need the PIN
    return trial.secrets.pin


def _new_pin(trial: Trial) -> Pin:
    """Another PIN of the same length."""
    value = _pin(trial).value
    return Pin(value[::-1] if value[::-1] != value else trial.wrong_pin().value)


def _opens(driver: Minidriver, pin: Pin) -> bool:
    try:
        driver.authenticate(Role.USER, pin)
    except (WrongPin, PinBlocked):
        return False
    return True


@contextmanager
def _changed(trial: Trial) -> Iterator[Minidriver]:
    """A driver, after the PIN was changed; it is changed back."""
    with trial.driver() as driver:
        trial.tries(driver)
        trial.allowed("changing the PIN", driver.change_pin, Role.USER, _pin(trial), _new_pin(trial))
        try:
            yield driver
        finally:
            driver.change_pin(Role.USER, _new_pin(trial), _pin(trial))


@CHAPTER.check(
    "change",
    "After a change the new PIN opens the card, and the old one does not.",
    "minidriver 7.07, CardChangeAuthenticator",
    CHANGING,
)
def _(trial: Trial) -> None:
    with _changed(trial) as driver:
        with_old, with_new = _opens(driver, _pin(trial)), _opens(driver, _new_pin(trial))
        trial.equal("(old PIN opens, new PIN opens)", (with_old, with_new), (False, True))


@CHAPTER.check(
    "change_wants_old",
    "Without the right old PIN nothing is changed: SCARD_W_WRONG_CHV, one try less.",
    "minidriver 7.07, CardChangeAuthenticator",
    CHANGING | Need.TRIES,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        before = trial.tries(driver)
        try:
            trial.refused(
                "changing with a wrong PIN",
                (WrongPin.default_code, Code.SCARD_E_UNSUPPORTED_FEATURE),
                driver.change_pin,
                Role.USER,
                trial.wrong_pin(),
                _new_pin(trial),
            )
            left = driver.pin_status(Role.USER).attempts_left
            trial.holds(left in (before - 1, before), f"{before - 1} tries left", left)
        finally:
            trial.present(driver)


@CHAPTER.check(
    "change_to_empty",
    "An empty PIN, old or new: SCARD_E_INVALID_PARAMETER, nothing is sent.",
    "minidriver 7.07, CardChangeAuthenticator",
    CHANGING,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        empty = Pin(b"")
        for what, old, new in (("new", _pin(trial), empty), ("old", empty, _new_pin(trial))):
            trial.refused_unsent(f"an empty {what} PIN", INVALID, driver.change_pin, Role.USER, old, new)


# --- unblocking ------------------------------------------------------------------------------------------------------


def _unblockers(driver: Minidriver) -> list[int]:
    mask = driver.pin_info(Role.USER).unblock_permission
    return [pin_id for pin_id in range(1, MAX_PINS) if mask >> pin_id & 1]


def _unblock(trial: Trial, driver: Minidriver, *, wrong: bool = False) -> None:
    """Unblock with whatever the card wants and we were given: another PIN, or the answer to a challenge."""
    for pin_id in _unblockers(driver):
        if driver.pin_info(pin_id).pin_type == CHALLENGE_RESPONSE and trial.secrets.admin_key is not None:
            answer = response_to(driver.challenge(pin_id), trial.secrets.admin_key)
            driver.unblock_pin(Role.USER, pin_id, Pin(_spoilt(answer) if wrong else answer), _pin(trial))
            return
        if driver.pin_info(pin_id).pin_type != CHALLENGE_RESPONSE and trial.secrets.puk is not None:
            value = trial.secrets.puk.value
            driver.unblock_pin(Role.USER, pin_id, Pin(_spoilt(value) if wrong else value), _pin(trial))
            return
    raise Absent("what unblocks this card was not given")


def _spoilt(value: bytes) -> bytes:
    return (b"7" if value[:1] != b"7" else b"8") + value[1:]


def _block(trial: Trial, driver: Minidriver) -> None:
    trial.tries(driver)
    for _try in range(TRIES_MAX):
        try:
            driver.authenticate(Role.USER, trial.wrong_pin())
        except PinBlocked:
            return
        except WrongPin as error:
            if error.attempts_left == 0:
                return
        else:
            fail("SCARD_W_WRONG_CHV", "success with a wrong PIN")
    fail("a blocked PIN", f"{TRIES_MAX} wrong PINs, and it is not blocked")


@contextmanager
def _blocked(trial: Trial) -> Iterator[Minidriver]:
    """A driver, after the PIN was blocked; it is unblocked whatever happens."""
    with trial.driver() as driver:
        if not _unblockers(driver):
            raise Absent("nothing unblocks the PIN of this card")
        trial.allowed("unblocking", _unblock, trial, driver)
        _block(trial, driver)
        try:
            yield driver
        finally:
            if not _opens(driver, _pin(trial)):
                _unblock(trial, driver)


@CHAPTER.check(
    "blocked",
    "A blocked PIN: SCARD_W_CHV_BLOCKED, also for the right one; the state says so with 0 tries.",
    "minidriver 7.07, CardAuthenticatePin",
    UNBLOCKING,
)
def _(trial: Trial) -> None:
    with _blocked(trial) as driver:
        trial.refused(
            "the right PIN when blocked", PinBlocked.default_code, driver.authenticate, Role.USER, _pin(trial)
        )
        status = driver.pin_status(Role.USER)
        trial.equal("(blocked, tries left)", (status.blocked, status.attempts_left), (True, 0))
        trial.holds(not status.verified, "verified: no", "yes")


@CHAPTER.check(
    "unblock",
    "Unblocking sets the new PIN and all tries, and leaves nobody authenticated.",
    "minidriver 7.07, CardUnblockPin",
    UNBLOCKING,
)
def _(trial: Trial) -> None:
    with _blocked(trial) as driver:
        _unblock(trial, driver)
        trial.equal("ROLE_ADMIN after unblocking", driver.get_property("Authenticated State") & 0b100, 0)
    with trial.driver() as driver:
        trial.holds(not driver.pin_status(Role.USER).blocked, "blocked: no", "yes")
        trial.present(driver)


@CHAPTER.check(
    "unblock_wants_rights",
    "Nobody unblocks without the right authentication: the PIN stays blocked.",
    "minidriver 7.07, CardUnblockPin",
    UNBLOCKING,
)
def _(trial: Trial) -> None:
    with _blocked(trial) as driver:
        trial.refused(
            "unblocking with a wrong secret",
            (WrongPin.default_code, NotAuthenticated.default_code),
            _unblock,
            trial,
            driver,
            wrong=True,
        )
        trial.holds(driver.pin_status(Role.USER).blocked, "blocked: yes", "no")


@CHAPTER.check(
    "unblock_permission",
    "A PIN that may not unblock another one does not: SCARD_W_SECURITY_VIOLATION, nothing is sent.",
    "minidriver 7.07, dwUnblockPermission",
    CHANGING,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        allowed = _unblockers(driver)
        pins = [pin_id for pin_id in range(2, MAX_PINS) if driver.pin_list() >> pin_id & 1 and pin_id not in allowed]
        if not pins:
            raise Absent("every other PIN may unblock the user's")
        for pin_id in pins:
            trial.refused(
                f"unblocking by PIN {pin_id}",
                (NotAuthenticated.default_code, Code.SCARD_E_INVALID_PARAMETER, Unsupported.default_code),
                driver.unblock_pin,
                Role.USER,
                pin_id,
                Pin(b"12345678"),
                _pin(trial),
            )


@CHAPTER.check(
    "unblock_to_empty",
    "Unblocking to an empty PIN: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardUnblockPin",
    UNBLOCKING,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for pin_id in _unblockers(driver):
            trial.refused(
                "an empty new PIN",
                Code.SCARD_E_INVALID_PARAMETER,
                driver.unblock_pin,
                Role.USER,
                pin_id,
                Pin(b"12345678"),
                Pin(b""),
            )
    with trial.driver() as driver, suppress(WinError):
        trial.present(driver)
