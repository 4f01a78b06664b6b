"""PINs of a GIDS card through its driver: the user's, the administrator's key, the PUK, session PINs."""

from __future__ import annotations

import pytest
from gidsdesk import ADMIN_KEY, PIN, PUK, Desk, admin, new_desk, user

from calais.cards.gids import adminkey
from calais.minidriver.pins import Pin
from calais.transport.base import Channel
from calais.transport.loopback import LoopbackTransport
from calais.win.errors import BadParameter, NotAuthenticated, PinBlocked, Unsupported, WinError, WrongPin

NEW, WRONG = Pin("654321"), Pin("999999")
USER, ADMIN, PUK_ID = 1, 2, 3
AES_KEYS = (bytes(range(16)), bytes(range(24)), bytes(range(32)))


@pytest.fixture
def desk():
    return new_desk()


def respond(driver, key=ADMIN_KEY):
    return adminkey.response(key, driver.challenge())


def block(driver):
    for left in (2, 1, 0):
        with pytest.raises(WrongPin) as caught:
            driver.authenticate(USER, WRONG)
        assert caught.value.attempts_left == left


# --- which PINs there are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "pins", "unblock"),
    [
        ({}, 0x06, 0x04),
        ({"puk": PUK.value}, 0x0E, 0x0C),
        ({"admin_key": None}, 0x02, 0),
        ({"admin_key": None, "puk": PUK.value}, 0x0A, 0x08),
    ],
)
def test_the_pin_list_is_what_the_card_has(options, pins, unblock):
    desk = new_desk(**options)
    with desk.driver() as driver:
        assert driver.pin_list() == pins
        assert driver.pin_info(USER).unblock_permission == unblock
        desk.channel.counter.clear()
        assert driver.pin_list() == pins
        assert desk.exchanges == 0


def test_pin_info_says_type_purpose_permissions_and_caching(desk):
    with desk.driver() as driver:
        info = driver.pin_info(USER)
        assert (info.pin_type, info.pin_purpose, info.change_permission, info.cache_policy.policy) == (0, 5, 2, 0)
        info = driver.pin_info(ADMIN)
        assert (info.pin_type, info.pin_purpose, info.change_permission, info.unblock_permission) == (2, 4, 4, 0)
        for absent in (0, 3, 4, 7, 8, -1):
            with pytest.raises(BadParameter):
                driver.pin_info(absent)
            with pytest.raises(BadParameter):
                driver.pin_status(absent)


# --- the user's PIN --------------------------------------------------------------------------------------------------


def test_status_uses_up_no_try(desk):
    with desk.driver() as driver:
        for _ in range(5):
            status = driver.pin_status(USER)
            assert (status.verified, status.attempts_left, status.blocked) == (False, 3, False)
        assert driver.authenticated() == 0
        driver.authenticate(USER, PIN)
        assert driver.pin_status(USER).verified
        assert driver.authenticated() == 0x02
        driver.deauthenticate(0x02)
        assert driver.authenticated() == 0
        assert not driver.pin_status(USER).verified


def test_the_last_try_is_wrong_and_then_it_is_blocked(desk):
    with desk.driver() as driver:
        block(driver)
        with pytest.raises(PinBlocked):
            driver.authenticate(USER, PIN)
        assert driver.pin_status(USER).blocked
        assert driver.pin_status(USER).attempts_left == 0


@pytest.mark.parametrize("pin", ["", "123", "1" * 17])
def test_impossible_lengths_are_not_sent(desk, pin):
    with desk.driver() as driver:
        driver.identity()
        desk.channel.counter.clear()
        for present in (
            lambda: driver.authenticate(USER, Pin(pin)),
            lambda: driver.change_pin(USER, Pin(pin), NEW),
            lambda: driver.change_pin(USER, PIN, Pin(pin)),
            lambda: driver.make_session_pin(USER, Pin(pin)),
        ):
            with pytest.raises(WinError) as caught:
                present()
            assert caught.value.code == (0x80100004 if not pin else 0x8010002A)
        assert desk.exchanges == 0
        assert driver.pin_status(USER).attempts_left == 3


def test_a_pin_is_changed(desk):
    with desk.driver() as driver:
        driver.change_pin(USER, PIN, NEW)
        driver.deauthenticate(0xFF)
        with pytest.raises(WrongPin):
            driver.authenticate(USER, PIN)
        driver.authenticate(USER, NEW)
        with pytest.raises(WrongPin) as caught:
            driver.change_pin(USER, WRONG, PIN)
        assert caught.value.attempts_left == 2
        assert desk.memo.pin_changes == 1
        with pytest.raises(NotAuthenticated):
            driver.change_pin(USER, NEW, PIN, auth_id=ADMIN)
        with pytest.raises(Unsupported):
            driver.change_pin(ADMIN, NEW, PIN)


def test_pins_of_different_lengths_and_any_bytes(desk):
    long = Pin(bytes(range(0xF0, 0x100)))
    with desk.driver() as driver:
        driver.change_pin(USER, PIN, long)
        driver.change_pin(USER, long, Pin("1234"))
        driver.deauthenticate(0xFF)
        driver.authenticate(USER, Pin("1234"))


def test_deauthenticating_wants_a_set(desk):
    with desk.driver() as driver:
        for pins in (0, -1, 0x100):
            with pytest.raises(BadParameter):
                driver.deauthenticate(pins)


# --- the administrator -----------------------------------------------------------------------------------------------


def test_the_administrator_answers_a_challenge_once(desk):
    with desk.driver() as driver:
        response = respond(driver)
        assert len(response) == 8
        driver.answer_challenge(response)
        assert driver.authenticated() == 0x04
        driver.deauthenticate(0x04)
        with pytest.raises(WrongPin):
            driver.answer_challenge(response)
        driver.authenticate(ADMIN, Pin(respond(driver)))
        assert driver.authenticated() == 0x04
        assert driver.pin_status(ADMIN).verified


@pytest.mark.parametrize("key", AES_KEYS)
def test_aes_keys_answer_and_prove_too(key):
    desk = new_desk(admin_key=key, admin_key_algorithm="AES")
    with desk.driver() as driver:
        assert len(driver.challenge()) == 16
        driver.answer_challenge(respond(driver, key))
        driver.deauthenticate(0xFF)
        driver.authenticate_admin(key)
        assert driver.authenticated() == 0x04
        driver.change_admin_key(AES_KEYS[0])
        driver.deauthenticate(0xFF)
        driver.authenticate_admin(AES_KEYS[0])


def test_answers_that_cannot_be_right_use_up_no_try(desk):
    with desk.driver() as driver:
        for response in (bytes(8), bytes(7)):
            with pytest.raises(WrongPin):
                driver.answer_challenge(response)
        driver.challenge()
        with pytest.raises(WrongPin):
            driver.answer_challenge(bytes(16))
        with pytest.raises(BadParameter):
            driver.answer_challenge(b"")
        for pin_id in (0, 1, 3):
            with pytest.raises(BadParameter):
                driver.challenge(pin_id)
            with pytest.raises(BadParameter):
                driver.answer_challenge(bytes(8), pin_id)
        assert driver.pin_status(ADMIN).attempts_left == 5


def test_a_wrong_response_counts_and_says_so(desk):
    with desk.driver() as driver:
        for left in (4, 3, 2, 1, 0):
            driver.challenge()
            with pytest.raises(WrongPin) as caught:
                driver.answer_challenge(bytes(8))
            assert caught.value.attempts_left == left
        driver.challenge()
        with pytest.raises(PinBlocked):
            driver.answer_challenge(bytes(8))
        assert driver.pin_status(ADMIN).blocked


def test_a_challenge_does_not_survive_somebody_elses_use_of_the_card(desk):
    with desk.driver() as driver:
        response = respond(driver)
    with Desk(desk.card).driver() as other:
        other.identity()
    with desk.driver() as driver:
        with pytest.raises(WrongPin):
            driver.answer_challenge(response)
        assert driver.pin_status(ADMIN).attempts_left == 5


def test_a_challenge_waits_for_its_response_from_one_transaction_to_the_next(desk):
    with desk.driver() as driver:
        response = respond(driver)
    with desk.driver() as driver:
        driver.answer_challenge(response)
        assert driver.authenticated() == 0x04


def test_a_wrong_key_is_refused_and_a_card_that_does_not_know_the_key_is_not_trusted(desk):
    with desk.driver() as driver:
        with pytest.raises(WrongPin) as caught:
            driver.authenticate_admin(bytes(24))
        assert caught.value.attempts_left == 4
        for size in (0, 8, 23, 33):
            with pytest.raises(BadParameter):
                driver.authenticate_admin(bytes(size))
        with pytest.raises(BadParameter):
            driver.authenticate_admin(bytes(16))
        assert driver.pin_status(ADMIN).attempts_left == 4


class Impostor(LoopbackTransport):
    """A card that accepts every proof and proves nothing itself."""

    def transmit(self, command):
        if command[1] == 0x87 and b"\x82" in command[5:10] and len(command) > 40:
            return bytes.fromhex("7C2A8228") + bytes(40) + b"\x90\x00"
        return super().transmit(command)


def test_a_card_that_only_pretends_to_know_the_admin_key_is_found_out(desk):
    desk.channel = Channel(Impostor(desk.card))
    with desk.driver() as driver:
        with pytest.raises(NotAuthenticated, match="CARD_NOT_AUTHENTICATED"):
            driver.authenticate_admin(ADMIN_KEY)
        assert driver.authenticated() == 0


def test_the_admin_key_is_changed(desk):
    new = bytes(range(24, 48))
    with admin(desk) as driver:
        for size in (16, 32, 23):
            with pytest.raises(BadParameter):
                driver.change_admin_key(bytes(size))
        driver.change_admin_key(new)
        driver.deauthenticate(0xFF)
        with pytest.raises(WrongPin):
            driver.authenticate_admin(ADMIN_KEY)
        driver.authenticate_admin(new)
    with user(new_desk()) as driver, pytest.raises(NotAuthenticated):
        driver.change_admin_key(new)


def test_a_card_without_admin_key_says_so():
    with new_desk(admin_key=None).driver() as driver:
        for ask in (driver.challenge, lambda: driver.authenticate_admin(ADMIN_KEY)):
            with pytest.raises(Unsupported):
                ask()
        with pytest.raises(BadParameter):
            driver.pin_status(ADMIN)


# --- unblocking ------------------------------------------------------------------------------------------------------


def test_the_administrators_response_unblocks_and_nobody_is_authenticated(desk):
    with desk.driver() as driver:
        block(driver)
        driver.unblock_pin(USER, ADMIN, Pin(respond(driver)), NEW)
        assert driver.authenticated() == 0
        assert driver.pin_status(USER).attempts_left == 3
        driver.authenticate(USER, NEW)


def test_the_admin_key_itself_unblocks(desk):
    with desk.driver() as driver:
        block(driver)
        driver.reset_pin(ADMIN_KEY, NEW)
        assert driver.authenticated() == 0
        driver.authenticate(USER, NEW)


def test_the_puk_unblocks_and_is_changed_by_itself():
    desk = new_desk(puk=PUK.value)
    with desk.driver() as driver:
        block(driver)
        with pytest.raises(WrongPin) as caught:
            driver.unblock_pin(USER, PUK_ID, WRONG, NEW)
        assert caught.value.attempts_left == 2
        assert driver.pin_status(PUK_ID).attempts_left == 2
        driver.unblock_pin(USER, PUK_ID, PUK, NEW)
        assert driver.authenticated() == 0
        driver.change_pin(PUK_ID, PUK, Pin("new puk"))
        driver.unblock_pin(USER, PUK_ID, Pin("new puk"), PIN)
        driver.authenticate(USER, PIN)
        with pytest.raises(Unsupported):
            driver.authenticate(PUK_ID, PUK)


def test_a_failed_unblock_changes_nothing_and_signs_the_administrator_out(desk):
    with desk.driver() as driver:
        block(driver)
        driver.challenge()
        with pytest.raises(WrongPin):
            driver.unblock_pin(USER, ADMIN, Pin(bytes(8)), NEW)
        assert driver.authenticated() == 0
        response = respond(driver)
        with pytest.raises(WinError, match="INVALID_CHV"):
            driver.unblock_pin(USER, ADMIN, Pin(response), Pin("1"))
        assert driver.authenticated() == 0
        assert driver.pin_status(USER).blocked
        assert driver.pin_status(ADMIN).attempts_left == 4


def test_who_may_not_unblock(desk):
    with desk.driver() as driver:
        for pin_id, auth_id, error in (
            (1, 1, BadParameter),
            (2, 1, NotAuthenticated),
            (1, 3, BadParameter),
            (3, 2, BadParameter),
        ):
            with pytest.raises(error):
                driver.unblock_pin(pin_id, auth_id, PIN, NEW)


# --- session PINs ----------------------------------------------------------------------------------------------------


def test_a_session_pin_is_made_without_authenticating_and_used_elsewhere(desk):
    with desk.driver() as driver:
        session = driver.make_session_pin(USER, PIN)
        assert driver.authenticated() == 0
        assert PIN.value not in session.value
        assert driver.session_pins == 0x02
    with Desk(desk.card).driver() as other:
        other.authenticate_session(USER, session)
        assert other.authenticated() == 0x02
        other.create_container(0, 3)
        other.deauthenticate(0xFF)
        assert other.authenticated() == 0


def test_the_newest_session_pin_wins_and_all_end_with_the_power(desk):
    with desk.driver() as driver:
        first = driver.make_session_pin(USER, PIN)
        second = driver.make_session_pin(USER, PIN)
        assert first != second
        with pytest.raises(WrongPin):
            driver.authenticate_session(USER, first)
        driver.authenticate_session(USER, second)
    desk.reinsert()
    with desk.driver() as driver:
        with pytest.raises(WrongPin):
            driver.authenticate_session(USER, second)
        assert driver.pin_status(USER).attempts_left == 3


def test_wrong_session_pins_use_up_their_own_counter_and_die(desk):
    with desk.driver() as driver:
        session = driver.make_session_pin(USER, PIN)
        for _ in range(3):
            with pytest.raises(WrongPin):
                driver.authenticate_session(USER, Pin(bytes(16)))
        with pytest.raises(WrongPin) as caught:
            driver.authenticate_session(USER, session)
        assert caught.value.attempts_left == 0
        assert driver.pin_status(USER).attempts_left == 3
        with pytest.raises(WrongPin):
            driver.authenticate_session(USER, Pin("short"))
        with pytest.raises(BadParameter):
            driver.authenticate_session(USER, Pin(""))
        for pin_id in (0, 2, 3):
            with pytest.raises(BadParameter):
                driver.make_session_pin(pin_id, PIN)
            with pytest.raises(BadParameter):
                driver.authenticate_session(pin_id, session)


def test_changing_and_unblocking_end_session_pins(desk):
    with desk.driver() as driver:
        session = driver.make_session_pin(USER, PIN)
        driver.change_pin(USER, PIN, NEW)
        with pytest.raises(WrongPin):
            driver.authenticate_session(USER, session)
        session = driver.make_session_pin(USER, NEW)
        driver.unblock_pin(USER, ADMIN, Pin(respond(driver)), PIN)
        with pytest.raises(WrongPin):
            driver.authenticate_session(USER, session)


def test_a_wrong_pin_makes_no_session_pin(desk):
    with desk.driver() as driver:
        with pytest.raises(WrongPin) as caught:
            driver.make_session_pin(USER, WRONG)
        assert caught.value.attempts_left == 2


def test_a_card_without_session_pins_says_so():
    with new_desk(session_pins=False).driver() as driver:
        assert driver.session_pins == 0
        assert driver.get_property("PIN Strength Verify", USER) == 1
        with pytest.raises(Unsupported):
            driver.make_session_pin(USER, PIN)
        with pytest.raises(Unsupported):
            driver.authenticate_session(USER, Pin(bytes(16)))


# --- care ------------------------------------------------------------------------------------------------------------


def test_no_pin_goes_to_another_application(desk):
    with desk.driver() as driver:
        driver.identity()
    desk.card.reset()
    seen = []
    desk.channel._observers = (lambda exchange: seen.append(exchange.command),)
    with desk.driver() as driver:
        driver.authenticate(USER, PIN)
    first = next(at for at, command in enumerate(seen) if command[1] == 0x20)
    assert any(command[1] == 0xA4 for command in seen[:first])


def test_no_pin_shows_in_what_is_remembered(desk):
    with desk.driver() as driver:
        driver.authenticate(USER, PIN)
        driver.authenticate_admin(ADMIN_KEY)
        session = driver.make_session_pin(USER, PIN)
    shown = repr(desk.memo)
    for secret in (PIN.value, ADMIN_KEY, session.value):
        assert secret.hex() not in shown.lower()
        assert repr(secret)[2:-1] not in shown
