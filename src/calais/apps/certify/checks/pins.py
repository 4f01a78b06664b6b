"""PINs: presenting, counting, ending; what a wrong parameter must not cost."""

from __future__ import annotations

from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import INVALID, Trial, fail
from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.padding import Pkcs1
from calais.minidriver.pins import MAX_PINS, Pin, Role, pin_set
from calais.win.codes import Code
from calais.win.errors import NotAuthenticated, Unsupported, WrongPin

CHAPTER = Chapter("pins", "PINs and authentication")
USER_BIT = pin_set(Role.USER)
DIGEST = bytes(range(32))
UNBLOCK_ONLY = 6
IMPOSSIBLE = Pin(b"1" * 300)


def user_key(trial: Trial, driver: Minidriver) -> ContainerEntry:
    """A container whose key ROLE_USER opens.

    Raises:
        Absent: there is none.
    """
    return trial.a_container(driver, "key behind ROLE_USER", lambda entry: entry.pin_id == Role.USER)


def state(driver: Minidriver) -> int:
    """The PIN_SET that is authenticated."""
    value: int = driver.get_property("Authenticated State")
    return value


@CHAPTER.check("none_after_reset", "After a reset nobody is authenticated.", "minidriver 7.07, authentication")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        trial.equal("Authenticated State", state(driver), 0)
        trial.holds(not driver.pin_status(Role.USER).verified, "verified: no", "yes")


@CHAPTER.check(
    "status_is_free", "Asking for the state of a PIN uses up no try.", "minidriver 7.07, CP_CARD_AUTHENTICATED_STATE"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        first = driver.pin_status(Role.USER).attempts_left
        for _again in range(2):
            state(driver)
            trial.equal("tries left", driver.pin_status(Role.USER).attempts_left, first)


@CHAPTER.check(
    "authenticates",
    "After the right PIN bit 1 << 1 of Authenticated State is set.",
    "minidriver 7.07, CardAuthenticateEx",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver(Need.PIN) as driver:
        trial.holds(state(driver) & USER_BIT, "bit 0x02 in Authenticated State", f"0x{state(driver):02X}")
        trial.holds(not state(driver) & 1, "bit 0x01 (everyone) clear", f"0x{state(driver):02X}")
        trial.holds(driver.pin_status(Role.USER).verified, "verified: yes", "no")


@CHAPTER.check(
    "key_wants_pin",
    "A key behind a PIN is not used without it: SCARD_W_SECURITY_VIOLATION.",
    "minidriver 7.07, CardSignData",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = user_key(trial, driver)
        _not_signed(trial, driver, entry)


def _not_signed(trial: Trial, driver: Minidriver, entry: ContainerEntry) -> None:
    trial.refused(
        "signing without the PIN",
        NotAuthenticated.default_code,
        driver.sign,
        entry.index,
        entry.key_spec,
        DIGEST,
        Pkcs1("sha256"),
    )


@CHAPTER.check(
    "reset_ends_it", "A reset of the card ends authentication.", "minidriver 7.07, CardAuthenticateEx", Need.PIN
)
def _(trial: Trial) -> None:
    with trial.driver(Need.PIN) as driver:
        entry = user_key(trial, driver)
    with trial.driver() as driver:
        trial.equal("Authenticated State", state(driver), 0)
        _not_signed(trial, driver, entry)


@CHAPTER.check(
    "deauthenticates",
    "CardDeauthenticateEx ends what it is asked to end, or says SCARD_E_UNSUPPORTED_FEATURE.",
    "minidriver 7.07, CardDeauthenticateEx",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver(Need.PIN) as driver:
        entry = user_key(trial, driver)
        try:
            driver.deauthenticate(USER_BIT)
        except Unsupported as error:
            raise Absent("ending authentication takes a reset") from error
        trial.holds(not state(driver) & USER_BIT, "bit 0x02 clear in Authenticated State", f"0x{state(driver):02X}")
        _not_signed(trial, driver, entry)


@CHAPTER.check(
    "deauthenticate_set",
    "An empty PIN set, or bits above 0xFF: SCARD_E_INVALID_PARAMETER; the bit of ROLE_EVERYONE is ignored.",
    "minidriver 7.07, CardDeauthenticateEx",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for pins in (0, 0x100, -1):
            trial.refused_unsent(f"PIN set {pins}", INVALID, driver.deauthenticate, pins)
        trial.allowed("ROLE_EVERYONE and ROLE_USER", driver.deauthenticate, 3)


@CHAPTER.check(
    "empty_pin",
    "An empty PIN: SCARD_E_INVALID_PARAMETER, nothing is sent.",
    "minidriver 7.07, CardAuthenticatePin",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for pin_id in (Role.USER, *_alphanumeric(driver)):
            trial.refused_unsent(f"an empty PIN {pin_id}", INVALID, driver.authenticate, pin_id, Pin(b""))


def _alphanumeric(driver: Minidriver) -> list[int]:
    """PINs that a person types and that open something."""
    infos = {pin_id: driver.pin_info(pin_id) for pin_id in range(1, MAX_PINS) if driver.pin_list() >> pin_id & 1}
    return [pin_id for pin_id, info in infos.items() if info.pin_type == 0 and info.pin_purpose != UNBLOCK_ONLY]


@CHAPTER.check(
    "impossible_length",
    "A PIN of a length that the card cannot have uses up no try: SCARD_E_INVALID_CHV.",
    "minidriver 7.07, CardAuthenticatePin",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        before = driver.pin_status(Role.USER).attempts_left
        trial.refused(
            "a PIN of 300 characters",
            (Code.SCARD_E_INVALID_CHV, Code.SCARD_E_INVALID_PARAMETER),
            driver.authenticate,
            Role.USER,
            IMPOSSIBLE,
        )
        trial.equal("tries left", driver.pin_status(Role.USER).attempts_left, before)


@CHAPTER.check(
    "unknown_pin",
    "A PIN id that is 0, above 7 or not in the list: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardAuthenticateEx",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        pins = driver.pin_list()
        for pin_id in (-1, 0, 8, *(pin_id for pin_id in range(3, MAX_PINS) if not pins >> pin_id & 1)):
            for what, call in {
                "info": driver.pin_info,
                "status": driver.pin_status,
                "authenticate": lambda pin_id: driver.authenticate(pin_id, Pin(b"123456")),
            }.items():
                trial.refused_unsent(f"{what} of PIN {pin_id}", INVALID, call, pin_id)


@CHAPTER.check(
    "wrong_pin_counts_one",
    "A wrong PIN: SCARD_W_WRONG_CHV, and exactly one try less; the right one restores the count.",
    "minidriver 7.07, CardAuthenticatePin",
    Need.PIN | Need.TRIES,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        before = trial.tries(driver)
        try:
            trial.refused("a wrong PIN", WrongPin.default_code, driver.authenticate, Role.USER, trial.wrong_pin())
            trial.equal("tries left", driver.pin_status(Role.USER).attempts_left, before - 1)
            trial.equal("Authenticated State", state(driver) & USER_BIT, 0)
        finally:
            trial.present(driver)
    with trial.driver() as driver:
        trial.equal("tries left after the right PIN", driver.pin_status(Role.USER).attempts_left, before)


@CHAPTER.check(
    "attempts_left",
    "The number of tries that comes with SCARD_W_WRONG_CHV is what is left.",
    "minidriver 7.07, pcAttemptsRemaining",
    Need.PIN | Need.TRIES,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        before = trial.tries(driver)
        try:
            driver.authenticate(Role.USER, trial.wrong_pin())
        except WrongPin as error:
            told = error.attempts_left
        else:
            fail("SCARD_W_WRONG_CHV", "success")
        finally:
            trial.present(driver)
        trial.holds(told in (before - 1, 0xFFFFFFFF), f"attempts_left {before - 1}", told)


@CHAPTER.check(
    "wrong_pin_ends_it",
    "A wrong PIN does not authenticate, and does not leave an older authentication in place on the keys.",
    "minidriver 7.07, CardAuthenticatePin",
    Need.PIN | Need.TRIES,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = user_key(trial, driver)
        trial.tries(driver)
        try:
            trial.refused("a wrong PIN", WrongPin.default_code, driver.authenticate, Role.USER, trial.wrong_pin())
            _not_signed(trial, driver, entry)
        finally:
            trial.present(driver)


@CHAPTER.check(
    "self_unblock",
    "A PIN does not unblock itself: SCARD_E_INVALID_PARAMETER, nothing is sent.",
    "minidriver 7.07, CardChangeAuthenticatorEx",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        some = Pin(b"12345678")
        trial.refused(
            "unblocking PIN 1 by itself",
            (Code.SCARD_E_INVALID_PARAMETER, Unsupported.default_code),
            driver.unblock_pin,
            Role.USER,
            Role.USER,
            some,
            some,
        )
        trial.holds(not trial.log.exchanges or driver.pin_status(Role.USER), "nothing is sent", "an exchange")


@CHAPTER.check(
    "reading_wants_no_pin",
    "Files, containers and public keys are read without any PIN.",
    "minidriver 7.07, EveryoneReadUserWriteAc",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        driver.read_file("mscp", "cmapfile")
        for entry in driver.containers():
            driver.container_info(entry.index)
            driver.certificate(entry.index)
        trial.equal("Authenticated State", state(driver), 0)
