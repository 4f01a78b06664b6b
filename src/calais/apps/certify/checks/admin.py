"""The administrator: challenge and response, and what it opens."""

from __future__ import annotations

from calais.apps.certify.responses import response_to
from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import INVALID, Trial
from calais.minidriver.api import Minidriver
from calais.minidriver.pins import Role, pin_set
from calais.win.codes import Code
from calais.win.errors import Unsupported, WrongPin

CHAPTER = Chapter("admin", "The administrator's key")
ADMIN_BIT = pin_set(Role.ADMIN)


def _challenge(trial: Trial, driver: Minidriver) -> bytes:
    return trial.allowed("a challenge", driver.challenge)


def _require_admin(driver: Minidriver) -> None:
    if not driver.pin_list() & ADMIN_BIT:
        raise Absent("the card has no administrator")


@CHAPTER.check(
    "challenge_form",
    "A challenge is one or more blocks of 8 bytes, and never the same twice.",
    "minidriver 7.07, CardGetChallenge",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _require_admin(driver)
        first, second = _challenge(trial, driver), _challenge(trial, driver)
        trial.holds(first and len(first) % 8 == 0, "whole blocks of 8 bytes", first)
        trial.holds(first != second, "another challenge each time", second)


@CHAPTER.check(
    "challenge_of_user",
    "A PIN of another type gives no challenge: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardGetChallengeEx",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for pin_id in (Role.USER, 0, 8):
            trial.refused(
                f"a challenge for PIN {pin_id}",
                (Code.SCARD_E_INVALID_PARAMETER, Unsupported.default_code),
                driver.challenge,
                pin_id,
            )


@CHAPTER.check(
    "no_challenge",
    "A response without a challenge: SCARD_W_WRONG_CHV, and no try is used.",
    "minidriver 7.07, CardAuthenticateChallenge",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _require_admin(driver)
        _challenge(trial, driver)  # a card without this feature ends here
    with trial.driver() as driver:
        before = driver.pin_status(Role.ADMIN).attempts_left
        trial.refused("a response", WrongPin.default_code, driver.answer_challenge, bytes(8))
        trial.equal("tries left", driver.pin_status(Role.ADMIN).attempts_left, before)


@CHAPTER.check(
    "empty_response",
    "An empty response: SCARD_E_INVALID_PARAMETER, nothing is sent.",
    "minidriver 7.07, CardAuthenticateChallenge",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        _require_admin(driver)
        _challenge(trial, driver)
        trial.refused_unsent("an empty response", INVALID, driver.answer_challenge, b"")


@CHAPTER.check(
    "key_opens",
    "The administrator's key authenticates ROLE_ADMIN: bit 1 << 2 of Authenticated State.",
    "minidriver 7.07, CardAuthenticateEx",
    Need.ADMIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        trial.allowed("the administrator's key", trial.open_admin, driver)
        state = driver.get_property("Authenticated State")
        trial.holds(state & ADMIN_BIT, "bit 0x04 in Authenticated State", f"0x{state:02X}")
    with trial.driver() as driver:
        trial.equal("Authenticated State after a reset", driver.get_property("Authenticated State"), 0)


@CHAPTER.check(
    "response_opens",
    "The challenge encrypted with the key (CBC, zero IV) is the response that authenticates ROLE_ADMIN.",
    "minidriver 7.07, challenge and response",
    Need.ADMIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        answer = response_to(_challenge(trial, driver), trial.secrets.admin_key or b"")
        driver.answer_challenge(answer)
        state = driver.get_property("Authenticated State")
        trial.holds(state & ADMIN_BIT, "bit 0x04 in Authenticated State", f"0x{state:02X}")


@CHAPTER.check(
    "response_once",
    "A challenge is good for one answer only.",
    "minidriver 7.07, CardGetChallenge",
    Need.ADMIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        answer = response_to(_challenge(trial, driver), trial.secrets.admin_key or b"")
        driver.answer_challenge(answer)
        trial.refused("the same response again", WrongPin.default_code, driver.answer_challenge, answer)


@CHAPTER.check(
    "wrong_response",
    "A wrong response: SCARD_W_WRONG_CHV, and nobody is authenticated.",
    "minidriver 7.07, CardAuthenticateChallenge",
    Need.ADMIN | Need.TRIES,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        left = driver.pin_status(Role.ADMIN).attempts_left
        if left is not None and left < 3:
            raise Absent("fewer than three tries are left")
        answer = bytearray(response_to(_challenge(trial, driver), trial.secrets.admin_key or b""))
        answer[0] ^= 1
        try:
            trial.refused("a wrong response", WrongPin.default_code, driver.answer_challenge, bytes(answer))
            trial.equal("ROLE_ADMIN", driver.get_property("Authenticated State") & ADMIN_BIT, 0)
        finally:
            trial.open_admin(driver)  # the right key restores the count
