"""PINs of CryptoAPI contexts on cards: set by the program, asked of a person, remembered or not."""

from __future__ import annotations

import pytest
from cspdesk import (
    CARDS,
    acquire,
    check_signature,
    fails,
    gids,
    give_pin,
    in_reader,
    piv,
    public_key_of,
    sign,
)
from people import PIN

from calais.minidriver.pins import Pin
from calais.testing import FixedPrompt, local_system, virtual_gids
from calais.win.codes import Code
from calais.win.errors import WrongPin
from calais.win.flags import CRYPT_SILENT, CRYPT_VERIFYCONTEXT
from calais.winapi import advapi32 as api

WRONG = "654321"


@pytest.fixture(params=list(CARDS))
def kind(request):
    return request.param


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


@pytest.fixture
def inserted(system, kind):
    made = CARDS[kind]()
    system.insert(made)
    return made


def lose_transaction(system):
    """End the hold: the PIN counts no more on the card."""
    system.card().release()


@pytest.mark.parametrize("param", [api.PP_KEYEXCHANGE_PIN, api.PP_SIGNATURE_PIN])
def test_a_pin_that_is_set_is_verified_at_once_and_kept(system, inserted, param):
    with acquire(None, CRYPT_SILENT) as handle:
        with fails(Code.NTE_SILENT_CONTEXT):
            sign(handle)
        api.CryptSetProvParam(handle, param, PIN)
        assert system.card().pin_status().verified
        sign(handle)
        lose_transaction(system)
        sign(handle)
    assert system.broker.prompt.count == 0


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_pin_makes_the_remembered_one_forgotten(system, inserted, nothing):
    with acquire(None, CRYPT_SILENT) as handle:
        give_pin(handle)
        give_pin(handle, nothing)
        lose_transaction(system)
        with fails(Code.NTE_SILENT_CONTEXT):
            sign(handle)


def test_a_wrong_pin_says_how_many_tries_are_left_and_is_not_kept(system, inserted):
    with acquire(None, CRYPT_SILENT) as handle:
        for left in (2, 1, 0):
            with fails(Code.SCARD_W_WRONG_CHV) as caught:
                give_pin(handle, WRONG)
            assert isinstance(caught.value, WrongPin)
            assert caught.value.attempts_left == left
        with fails(Code.SCARD_W_CHV_BLOCKED):
            give_pin(handle)
        with fails(Code.SCARD_W_CHV_BLOCKED):
            sign(handle)


@pytest.mark.parametrize("impossible", ["1", "1" * 40], ids=["short", "long"])
def test_an_impossible_pin_costs_no_try(system, inserted, impossible):
    with acquire(None) as handle:
        before = system.card().pin_status().attempts_left
        inserted.counter.clear()
        with fails(Code.SCARD_E_INVALID_CHV):
            give_pin(handle, impossible)
        assert inserted.counter.exchanges == 0
        assert system.card().pin_status().attempts_left == before


@pytest.mark.parametrize("value", [123456, b"123456", 1.5, ["1"]])
def test_a_pin_is_a_text(system, inserted, value):
    with acquire(None) as handle, fails(Code.ERROR_INVALID_PARAMETER):
        api.CryptSetProvParam(handle, api.PP_KEYEXCHANGE_PIN, value)


def test_setting_a_pin_takes_no_flags(system, inserted):
    with acquire(None) as handle, fails(Code.NTE_BAD_FLAGS):
        api.CryptSetProvParam(handle, api.PP_KEYEXCHANGE_PIN, PIN, 1)


def test_a_person_is_asked_once(system, inserted):
    with acquire(None) as handle:
        api.CryptSetProvParam(handle, api.PP_PIN_PROMPT_STRING, "For the tax office")
        api.CryptSetProvParam(handle, api.PP_CLIENT_HWND, 77)
        for _ in range(3):
            sign(handle)
            lose_transaction(system)
    (asked,) = system.broker.prompt.requests
    assert (asked.text, asked.window) == ("For the tax office", 77)


def test_the_window_of_the_process_is_for_contexts_to_come(system, inserted):
    api.CryptSetProvParam(None, api.PP_CLIENT_HWND, 99)
    with acquire(None) as handle:
        sign(handle)
    assert system.broker.prompt.requests[0].window == 99


def test_a_person_gives_up(kind):
    with local_system(prompt=FixedPrompt(None)) as system:
        system.insert(CARDS[kind]())
        with acquire(None) as handle, fails(Code.SCARD_W_CANCELLED_BY_USER):
            sign(handle)


def test_nobody_can_be_asked(kind):
    with local_system() as system:
        system.insert(CARDS[kind]())
        with acquire(None) as handle, fails(Code.NTE_SILENT_CONTEXT):
            sign(handle)


def test_a_remembered_pin_that_the_card_refuses_is_dropped(system, inserted):
    with acquire(None, CRYPT_SILENT) as handle:
        give_pin(handle)
        lose_transaction(system)
        change_elsewhere(inserted)
        with fails(Code.NTE_SILENT_CONTEXT):
            sign(handle)
        left = system.card().pin_status().attempts_left
        with fails(Code.NTE_SILENT_CONTEXT):
            sign(handle)
        assert system.card().pin_status().attempts_left == left


def change_elsewhere(made):
    """Another program changes the PIN."""
    with local_system() as other:
        other.insert(made)
        other.card().change_pin(PIN, WRONG)
        other.remove()
    made.reset()  # or a PIV card goes on as the other program has left it


def test_contexts_of_one_process_share_the_pin(system, inserted):
    with acquire(None) as first, acquire(in_reader(), CRYPT_SILENT) as second:
        give_pin(first)
        lose_transaction(system)
        sign(second)
    assert system.broker.prompt.count == 0


# --- policies ---


def test_a_key_that_wants_its_pin_each_time_takes_it_from_nobody_but_a_person(system):
    system.insert(piv(0x9A, 0x9C))
    name = system.card().containers.find("9C").name
    with acquire(name, CRYPT_SILENT) as handle:
        give_pin(handle, WRONG)
        assert system.card().pin_status().attempts_left == 3
        give_pin(handle)
        assert not system.card().pin_status().verified
        with fails(Code.NTE_SILENT_CONTEXT):
            sign(handle, api.AT_SIGNATURE)
    with acquire(name) as handle:
        for count in (1, 2):
            sign(handle, api.AT_SIGNATURE)
            assert system.broker.prompt.count == count


@pytest.mark.parametrize(
    "flags", [CRYPT_VERIFYCONTEXT, api.CRYPT_DEFAULT_CONTAINER_OPTIONAL], ids=["verify", "optional"]
)
def test_some_contexts_mean_the_users_pin_whatever_their_container_has(system, flags):
    system.insert(piv(0x9C))
    with acquire(in_reader(), flags) as handle:
        with fails(Code.SCARD_W_WRONG_CHV):
            give_pin(handle, WRONG)
        give_pin(handle)
        assert system.card().pin_status().verified


def test_a_key_without_pin_takes_the_users(system):
    system.insert(piv(0x9E))
    with acquire(None, CRYPT_SILENT) as handle:
        sign(handle, api.AT_SIGNATURE)
        give_pin(handle)
        assert system.card().pin_status().verified


# --- administrator's and session PINs ---


def test_no_card_here_has_an_administrators_pin(system, inserted):
    with acquire(None) as handle:
        for value in ("12345678", None):
            with fails(Code.SCARD_E_UNSUPPORTED_FEATURE):
                api.CryptSetProvParam(handle, api.PP_ADMIN_PIN, value)


@pytest.mark.parametrize("param", [api.PP_SECURE_KEYEXCHANGE_PIN, api.PP_SECURE_SIGNATURE_PIN])
def test_a_session_pin_is_as_good_as_the_pin(system, param):
    system.insert(gids(session_pins=True))
    session = system.card().run(lambda driver: driver.make_session_pin(1, Pin(PIN))).value
    with acquire(None, CRYPT_SILENT) as handle:
        with fails(Code.NTE_SILENT_CONTEXT):
            sign(handle)
        api.CryptSetProvParam(handle, param, session)
        check_signature(public_key_of(handle), sign(handle))


def test_a_wrong_session_pin_leaves_the_tries_of_the_pin(system):
    system.insert(gids(session_pins=True))
    with acquire(None, CRYPT_SILENT) as handle:
        with fails(Code.SCARD_W_WRONG_CHV):
            api.CryptSetProvParam(handle, api.PP_SECURE_KEYEXCHANGE_PIN, bytes(16))
        assert system.card().pin_status().attempts_left == 3


def test_cards_without_session_pins_say_so(system):
    for made, reader in ((gids(session_pins=False), "A"), (piv(), "B")):
        system.insert(made, reader)
        with acquire(in_reader(reader=reader)) as handle, fails(Code.SCARD_E_UNSUPPORTED_FEATURE):
            api.CryptSetProvParam(handle, api.PP_SECURE_SIGNATURE_PIN, "x")


def test_a_context_without_a_card_has_no_pin(system):
    with acquire(None, CRYPT_VERIFYCONTEXT) as handle, fails(Code.SCARD_E_NO_SMARTCARD):
        give_pin(handle)


def test_the_pin_may_be_given_by_a_context_that_has_no_container(system):
    system.insert(virtual_gids(keys=[]))
    with acquire(None, api.CRYPT_DEFAULT_CONTAINER_OPTIONAL) as handle:
        give_pin(handle)
    assert system.card().pin_status().verified
