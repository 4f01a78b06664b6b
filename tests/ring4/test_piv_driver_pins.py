"""PINs, PUK and management key of a PIV card through the driver: no try is spent that nobody asked for."""

import pytest
from pivdesk import ADMIN_KEY, PIN, PUK, Script, admin, certificate, new_desk, p256

from calais.cards.piv import edge, management, spec
from calais.cards.piv.driver import PivMinidriver
from calais.iso7816 import tlv
from calais.iso7816.sw import ApduError
from calais.minidriver.memo import CardMemo
from calais.minidriver.padding import Raw
from calais.minidriver.pins import Pin
from calais.transport.base import Channel
from calais.win.codes import Code
from calais.win.errors import (
    BadData,
    BadParameter,
    NotAuthenticated,
    PinBlocked,
    Unsupported,
    WinError,
    WrongPin,
)

WRONG = Pin("999999")
DIGEST = bytes(32)


@pytest.fixture
def desk():
    return new_desk(keys={0x9A: (key := p256(), certificate(key)), 0x9C: (key := p256(), certificate(key))})


def tries(desk, pin_id=1):
    with desk.elsewhere().driver() as driver:
        return driver.pin_status(pin_id).attempts_left


def test_the_four_pins_are_described(desk):
    with desk.driver() as driver:
        assert driver.pin_list() == 0x1E
        told = {pin_id: driver.pin_info(pin_id) for pin_id in (1, 2, 3, 4)}
        for pin_id in (0, 5, 8):
            with pytest.raises(BadParameter):
                driver.pin_info(pin_id)
    assert [(info.pin_type, info.pin_purpose) for info in told.values()] == [(0, 5), (2, 4), (0, 6), (0, 1)]
    assert [info.change_permission for info in told.values()] == [0x02, 0x04, 0x08, 0x02]
    assert [info.unblock_permission for info in told.values()] == [0x08, 0, 0, 0x08]
    assert [info.cache_policy.policy for info in told.values()] == [0, 0, 2, 3]


def test_a_right_pin_is_verified(desk):
    with desk.driver() as driver:
        assert driver.authenticated() == 0
        driver.authenticate(1, PIN)
        assert driver.pin_status(1).verified
        assert driver.authenticated() == driver.get_property("Authenticated State") == 0x02


def test_a_wrong_pin_says_how_many_tries_are_left_and_is_sent_once(desk):
    with desk.driver() as driver:
        driver.pin_status(1)
        for left in (2, 1, 0):
            desk.channel.counter.clear()
            with pytest.raises(WrongPin) as failure:
                driver.authenticate(1, WRONG)
            assert desk.exchanges == 1
            assert failure.value.attempts_left == left
            assert isinstance(failure.value.__cause__, ApduError)
        for pin in (WRONG, PIN):
            with pytest.raises(PinBlocked) as failure:
                driver.authenticate(1, pin)
            assert failure.value.next_step
        assert driver.pin_status(1).blocked


@pytest.mark.parametrize(
    ("pin", "code"),
    [
        (b"", Code.SCARD_E_INVALID_PARAMETER),
        (b"12345", Code.SCARD_E_INVALID_CHV),
        (b"123456789", Code.SCARD_E_INVALID_CHV),
    ],
)
def test_an_impossible_pin_is_refused_without_an_exchange(desk, pin, code):
    with desk.driver() as driver:
        assert desk.exchanges == 2
        for call in (
            lambda: driver.authenticate(1, Pin(pin)),
            lambda: driver.change_pin(1, PIN, Pin(pin)),
            lambda: driver.change_pin(3, Pin(pin), PUK),
            lambda: driver.unblock_pin(1, 3, Pin(pin), PIN),
            lambda: driver.unblock_pin(1, 3, PUK, Pin(pin)),
        ):
            with pytest.raises(WinError) as failure:
                call()
            assert failure.value.code == code
    assert desk.exchanges == 0
    assert tries(desk) == 3


def test_select_comes_before_verify_whenever_the_card_may_have_been_used(desk):
    with desk.driver() as driver:
        driver.pin_status(1)
    desk.card.reset()
    with desk.driver() as driver:
        assert driver.tx.volatile.selected == b""
        driver.authenticate(1, PIN)
        assert driver.pin_status(1).verified


def test_a_pin_never_goes_to_another_application():
    sent = []

    def other_application(apdu):
        sent.append(apdu)
        return b"\x6a\x82"

    with Channel(Script(other_application)).begin() as tx:
        driver = PivMinidriver(tx, CardMemo())
        driver.memo.facts["piv.discovery"] = 0x4000
        for call in (
            lambda: driver.authenticate(1, PIN),
            lambda: driver.change_pin(1, PIN, PIN),
            lambda: driver.unblock_pin(1, 3, PUK, PIN),
        ):
            with pytest.raises(WinError):
                call()
    assert {apdu[1] for apdu in sent} == {0xA4}
    assert not any(PIN.value in apdu or PUK.value in apdu for apdu in sent)


def test_asking_for_the_status_uses_up_no_try(desk):
    with desk.driver() as driver:
        for _ in range(5):
            assert driver.pin_status(1).attempts_left == driver.pin_status(4).attempts_left == 3
        assert driver.pin_status(3).attempts_left == 3
        assert driver.pin_status(3).is_default is True
        assert driver.pin_status(2) == driver.pin_status(2)


def test_deauthentication_ends_what_the_pin_allowed(desk):
    with desk.driver() as driver:
        driver.authenticate(1, PIN)
        driver.sign(0, 1, DIGEST, Raw())
        driver.deauthenticate(0xFF)
        with pytest.raises(NotAuthenticated) as failure:
            driver.sign(0, 1, DIGEST, Raw())
        assert failure.value.code == Code.SCARD_W_SECURITY_VIOLATION


@pytest.mark.parametrize("pins", [0, 0x100, -1])
def test_an_impossible_set_of_pins_is_refused(desk, pins):
    with desk.driver() as driver, pytest.raises(BadParameter):
        driver.deauthenticate(pins)


def test_the_management_key_is_forgotten_only_by_a_reset(desk):
    with admin(desk) as driver:
        driver.deauthenticate(0x02)
        assert driver.authenticated() == 0x04
        with pytest.raises(Unsupported) as failure:
            driver.deauthenticate(0x06)
        assert failure.value.next_step
        driver.tx.reset_at_end = True
    with desk.driver() as driver:
        assert driver.authenticated() == 0


def test_a_changed_pin_is_the_pin(desk):
    with desk.driver() as driver:
        driver.change_pin(4, PIN, Pin("654321"))
        driver.authenticate(1, Pin("654321"))
        with pytest.raises(WrongPin):
            driver.authenticate(1, PIN)
        with pytest.raises(WrongPin) as failure:
            driver.change_pin(1, PIN, Pin("111111"))
        assert failure.value.attempts_left == 1


def test_the_puk_is_changed_and_unblocks(desk):
    with desk.driver() as driver:
        driver.change_pin(3, PUK, Pin("87654321"))
        for _ in range(3):
            with pytest.raises(WrongPin):
                driver.authenticate(1, WRONG)
        with pytest.raises(WrongPin) as failure:
            driver.unblock_pin(1, 3, PUK, PIN)
        assert failure.value.attempts_left == 2
        driver.unblock_pin(1, 3, Pin("87654321"), Pin("222222"))
        driver.authenticate(1, Pin("222222"))


def test_a_blocked_puk_says_so(desk):
    with desk.driver() as driver:
        for _ in range(3):
            with pytest.raises(WrongPin):
                driver.unblock_pin(1, 3, Pin("00000000"), PIN)
        with pytest.raises(PinBlocked):
            driver.unblock_pin(1, 3, PUK, PIN)
        assert driver.pin_status(3).blocked


@pytest.mark.parametrize(
    ("pin_id", "auth_id", "error"),
    [(1, 1, BadParameter), (1, 2, NotAuthenticated), (3, 1, NotAuthenticated), (1, 7, BadParameter)],
)
def test_only_the_puk_unblocks(desk, pin_id, auth_id, error):
    with desk.driver() as driver:
        assert desk.exchanges
        with pytest.raises(error):
            driver.unblock_pin(pin_id, auth_id, PUK, PIN)
    assert desk.exchanges == 0


def test_the_puk_authenticates_nothing(desk):
    with desk.driver() as driver, pytest.raises(Unsupported):
        driver.authenticate(3, PUK)


def test_where_the_global_pin_is_primary_it_is_the_pin():
    desk = new_desk(global_pin="111222", discovery=True)
    policy = tlv.build(0x4F, spec.AID) + tlv.build(0x5F2F, bytes.fromhex("6020"))
    with admin(desk) as driver:
        edge.put_data(driver.tx, spec.TAG_DISCOVERY, policy)
    with desk.elsewhere().driver() as driver:
        driver.authenticate(1, Pin("111222"))
        driver.change_pin(1, Pin("111222"), Pin("333444"))
        with pytest.raises(Unsupported):
            driver.unblock_pin(1, 3, PUK, PIN)
        assert edge.verify_status(driver.tx, spec.REF_PIN)[1] == 3


@pytest.mark.parametrize("discovery", [True, False])
def test_with_or_without_discovery_the_application_pin_is_the_pin(discovery):
    desk = new_desk(discovery=discovery)
    with desk.driver() as driver:
        driver.authenticate(1, PIN)


def test_a_damaged_discovery_object_means_the_application_pin(desk):
    with admin(desk) as driver:
        edge.put_data(driver.tx, spec.TAG_DISCOVERY, b"\x5f\x2f\x01\x00")
    with desk.elsewhere().driver() as driver:
        driver.authenticate(1, PIN)


# --- management key --------------------------------------------------------------------------------------------------

KEYS = {"3DES": 24, "AES128": 16, "AES192": 24, "AES256": 32}


@pytest.mark.parametrize(("name", "size"), KEYS.items())
def test_every_kind_of_management_key_opens_the_card(name, size):
    key = bytes(range(1, size + 1))
    desk = new_desk(management_key=key, management_key_algorithm=name)
    for _ in range(2):
        with desk.driver() as driver:
            desk.channel.counter.clear()
            driver.authenticate_admin(key)
            assert driver.pin_status(2).verified
            driver.create_container(0, 3)
    assert desk.exchanges <= 2 + 1


@pytest.mark.parametrize("key", [bytes(range(24)), bytes(range(16)), bytes(32)])
def test_a_wrong_management_key_is_a_wrong_pin(desk, key):
    with desk.driver() as driver:
        with pytest.raises(WrongPin) as failure:
            driver.authenticate_admin(key)
        assert failure.value.code == Code.SCARD_W_WRONG_CHV
        assert failure.value.attempts_left is None
        with pytest.raises(NotAuthenticated):
            driver.create_container(0, 3)


@pytest.mark.parametrize("size", [0, 8, 25])
def test_a_management_key_of_another_length_is_refused_without_an_exchange(desk, size):
    with desk.driver() as driver:
        assert desk.exchanges == 2
        with pytest.raises(BadParameter):
            driver.authenticate_admin(bytes(size))
    assert desk.exchanges == 0


def test_a_card_that_accepts_any_witness_is_found_out():
    def liar(apdu):
        if apdu[1] == 0xA4:
            return b"\x90\0"
        return tlv.build(0x7C, tlv.build(0x80 if b"\x81" not in apdu[5:-1] else 0x82, bytes(8))) + b"\x90\0"

    with Channel(Script(liar)).begin() as tx:
        driver = PivMinidriver(tx, CardMemo())
        with pytest.raises(NotAuthenticated) as failure:
            driver.authenticate_admin(ADMIN_KEY)
    assert failure.value.code == Code.SCARD_W_CARD_NOT_AUTHENTICATED
    assert failure.value.next_step


def test_a_challenge_is_answered_over_the_phone(desk):
    with desk.driver() as driver:
        challenge = driver.challenge()
        assert len(challenge) == 8
        driver.answer_challenge(management.encrypt(spec.Algorithm.TDES, ADMIN_KEY, challenge))
        assert driver.authenticated() == 0x04
        driver.challenge()
        with pytest.raises(WrongPin):
            driver.authenticate(2, Pin(bytes(8)))
        assert driver.authenticated() == 0


@pytest.mark.parametrize("response", [b"1234567", bytes(16)])
def test_a_response_of_impossible_length_is_not_sent(desk, response):
    with desk.driver() as driver:
        driver.challenge()
        desk.channel.counter.clear()
        with pytest.raises(WrongPin):
            driver.answer_challenge(response)
        with pytest.raises(BadParameter):
            driver.answer_challenge(b"")
        with pytest.raises(BadParameter):
            driver.challenge(1)
        with pytest.raises(BadParameter):
            driver.answer_challenge(response, 1)
    assert desk.exchanges == 0


def test_a_challenge_is_good_once_and_an_answer_without_one_is_not_sent(desk):
    with desk.driver() as driver:
        response = management.encrypt(spec.Algorithm.TDES, ADMIN_KEY, driver.challenge())
        driver.answer_challenge(response)
        sent = desk.channel.counter.exchanges
        for answer in (response, bytes(8)):
            with pytest.raises(WrongPin, match="no try was used"):
                driver.answer_challenge(answer)
        driver.challenge()
        with pytest.raises(WrongPin, match="no try was used"):
            driver.answer_challenge(bytes(7))
        assert desk.channel.counter.exchanges == sent + 1


def test_a_challenge_ends_when_another_program_may_have_used_the_card(desk):
    with desk.driver() as driver:
        response = management.encrypt(spec.Algorithm.TDES, ADMIN_KEY, driver.challenge())
    with desk.elsewhere().driver() as driver:
        driver.identity()
    with desk.driver() as driver, pytest.raises(WrongPin, match="no try was used"):
        driver.answer_challenge(response)


@pytest.mark.parametrize(("old", "size"), [("3DES", 24), ("AES192", 24), ("AES256", 32), ("3DES", 16)])
def test_the_management_key_is_replaced(old, size):
    first, second = bytes(range(1, KEYS[old] + 1)), bytes(range(50, 50 + size))
    desk = new_desk(management_key=first, management_key_algorithm=old)
    with desk.driver() as driver:
        driver.authenticate_admin(first)
        driver.change_admin_key(second)
    desk.reinsert()
    with desk.driver() as driver:
        with pytest.raises(WrongPin):
            driver.authenticate_admin(first)
        driver.authenticate_admin(second)


def test_changing_the_management_key_wants_the_present_one(desk):
    with desk.driver() as driver:
        with pytest.raises(NotAuthenticated):
            driver.change_admin_key(bytes(range(24)))
        with pytest.raises(Unsupported):
            driver.change_pin(2, PIN, PIN)


# --- nothing leaks ---------------------------------------------------------------------------------------------------


def test_no_error_tells_a_pin_or_a_key(desk):
    secrets = [b"314159", b"271828", bytes(range(100, 124))]
    with desk.driver() as driver:
        for call in (
            lambda: driver.authenticate(1, Pin(secrets[0])),
            lambda: driver.change_pin(1, Pin(secrets[0]), Pin(secrets[1])),
            lambda: driver.unblock_pin(1, 3, Pin(secrets[1]), Pin(secrets[0])),
            lambda: driver.authenticate_admin(secrets[2]),
        ):
            with pytest.raises(WinError) as failure:
                call()
            error: BaseException | None = failure.value
            while error is not None:
                text = f"{error!r} {error} {vars(error)}"
                for secret in secrets:
                    assert secret.decode("latin-1") not in text
                    assert secret.hex() not in text.lower()
                error = error.__cause__ or error.__context__
        assert all(secret.decode("latin-1") not in repr(driver.memo) for secret in secrets)


def test_an_endless_status_is_bad_data_not_a_wrong_pin():
    with Channel(Script(lambda apdu: b"\x90\0" if apdu[1] == 0xA4 else b"\x90")).begin() as tx, pytest.raises(BadData):
        edge.verify(tx, 0x80, PIN)
