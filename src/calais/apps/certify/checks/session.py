"""Session PINs: the guidelines' steps, for cards that offer them."""

from __future__ import annotations

from calais.apps.certify.checks.pins import DIGEST, state, user_key
from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import Trial
from calais.minidriver.api import Minidriver
from calais.minidriver.padding import Pkcs1
from calais.minidriver.pins import Pin, Role, pin_set
from calais.win.codes import Code
from calais.win.errors import WrongPin

CHAPTER = Chapter("session", "Session PINs")
USER_BIT = pin_set(Role.USER)
SESSION_STRENGTH = 2


def _make(trial: Trial, driver: Minidriver) -> Pin:
    if not driver.session_pins & USER_BIT:
        raise Absent("the card offers no session PINs")
    assert trial.secrets.pin is not None  # noqa: S101 - checks that call this need the PIN
    return driver.make_session_pin(Role.USER, trial.secrets.pin)


@CHAPTER.check(
    "strength",
    "PIN Strength Verify says that session PINs are there exactly when they are.",
    "minidriver 7.07, CP_CARD_PIN_STRENGTH_VERIFY",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        told = bool(driver.get_property("PIN Strength Verify", Role.USER) & SESSION_STRENGTH)
        trial.equal("session PINs told", told, bool(driver.session_pins & USER_BIT))
        if not told:
            trial.refused(
                "making one", Code.SCARD_E_UNSUPPORTED_FEATURE, driver.make_session_pin, Role.USER, Pin("123456")
            )


@CHAPTER.check(
    "made_unauthenticated",
    "Making a session PIN authenticates nobody, and it is no encoding of the PIN.",
    "minidriver 7.07, secure PIN channel",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        first, second = _make(trial, driver), _make(trial, driver)
        trial.equal("Authenticated State", state(driver) & USER_BIT, 0)
        trial.holds(first != second, "another session PIN each time", "the same")
        pin = trial.secrets.pin
        trial.holds(pin is not None and pin.value not in second.value, "a value without the PIN in it", "the PIN in it")


@CHAPTER.check(
    "used_elsewhere",
    "Another context authenticates with a session PIN and uses keys.",
    "minidriver 7.07, secure PIN channel",
    Need.PIN,
)
def _(trial: Trial) -> None:
    if not trial.subject.keeps_power:
        raise Absent("the reader powers the card up afresh for each connection")
    maker, user = trial.seat(), trial.seat()
    with maker.driver() as driver:
        made = _make(trial, driver)
    with user.driver() as driver:
        entry = user_key(trial, driver)
        driver.authenticate_session(Role.USER, made)
        trial.holds(state(driver) & USER_BIT, "bit 0x02 in Authenticated State", f"0x{state(driver):02X}")
        driver.sign(entry.index, entry.key_spec, DIGEST, Pkcs1("sha256"))


@CHAPTER.check(
    "wrong_one",
    "A wrong session PIN: SCARD_W_WRONG_CHV, and the PIN's own tries stay.",
    "minidriver 7.07, secure PIN channel",
    Need.PIN | Need.TRIES,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        before = trial.tries(driver)
        made = _make(trial, driver).value
        wrong = Pin(bytes((made[0] ^ 1,)) + made[1:])
        trial.refused("a wrong session PIN", WrongPin.default_code, driver.authenticate_session, Role.USER, wrong)
        trial.equal("tries left of the PIN", driver.pin_status(Role.USER).attempts_left, before)
        trial.equal("Authenticated State", state(driver) & USER_BIT, 0)


@CHAPTER.check(
    "newest_wins",
    "Where only one session PIN can exist, the newest one is good.",
    "minidriver 7.07, secure PIN channel",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _make(trial, driver)
        newest = _make(trial, driver)
        driver.authenticate_session(Role.USER, newest)
        trial.holds(state(driver) & USER_BIT, "bit 0x02 in Authenticated State", f"0x{state(driver):02X}")


@CHAPTER.check(
    "wrong_pin_makes_none",
    "A wrong PIN makes no session PIN: SCARD_W_WRONG_CHV, one try less.",
    "minidriver 7.07, secure PIN channel",
    Need.PIN | Need.TRIES,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        if not driver.session_pins & USER_BIT:
            raise Absent("the card offers no session PINs")
        before = trial.tries(driver)
        try:
            trial.refused("a wrong PIN", WrongPin.default_code, driver.make_session_pin, Role.USER, trial.wrong_pin())
            trial.equal("tries left", driver.pin_status(Role.USER).attempts_left, before - 1)
        finally:
            trial.present(driver)
