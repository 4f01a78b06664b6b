from __future__ import annotations

import pytest
from people import PIN, PUK, SHA256, CallbackPrompt, card, select, tries_left, verify

from calais.minidriver.pins import Pin
from calais.testing import FakeClock, FixedPrompt, local_system
from calais.win.codes import Code
from calais.win.errors import BadData, Cancelled, PinBlocked, SilentContext, WinError, WrongPin

WRONG = "654321"
SIGN = (b"data", SHA256)


@pytest.fixture
def piv():
    return card()


@pytest.fixture
def clock():
    return FakeClock()


def desk(piv, prompt, clock=None):
    """A system with the card in it, and the keys in 9A and 9C."""
    system = local_system(prompt=prompt, clock=clock)
    system.insert(piv)
    containers = system.card().containers
    return system, containers.find("9A").key, containers.find("9C").key


def spoil(piv, times):
    """Another program gives wrong PINs."""
    select(piv)
    for _ in range(times):
        verify(piv, WRONG)


# --- when somebody is asked ---


def test_a_pin_is_asked_once_and_then_remembered(piv, clock):
    prompt = FixedPrompt(PIN)
    system, key, _ = desk(piv, prompt, clock)
    with system:
        for _ in range(3):
            key.sign(*SIGN)
            clock.advance(2)
            system.card().release()
    assert prompt.count == 1


def test_the_key_in_9c_asks_each_time(piv):
    prompt = FixedPrompt(PIN)
    system, _, key = desk(piv, prompt)
    with system:
        for _ in range(3):
            key.sign(*SIGN)
    assert prompt.count == 3
    assert {request.reason for request in prompt.requests} == {"this key wants its PIN each time"}


def test_the_key_in_9e_asks_nobody(piv):
    prompt = FixedPrompt(PIN)
    with local_system(prompt=prompt) as system:
        system.insert(piv)
        system.card().containers.find("9E").key.sign(*SIGN)
    assert prompt.count == 0


def test_the_prompt_says_what_a_person_must_know(piv):
    prompt = FixedPrompt(PIN)
    system, key, _ = desk(piv, prompt)
    with system:
        key.sign(*SIGN)
        (request,) = prompt.requests
        assert request.reader == "Virtual Reader 0"
        assert request.card == system.card().label
        assert request.container == key.container.name
        assert request.purpose == "sign with PIV Authentication"
        assert (request.attempts_left, request.retry, request.is_last_try) == (3, False, False)


def test_nobody_is_asked_inside_a_card_transaction(piv):
    def use_it(_):
        select(piv)
        assert piv.process(bytes.fromhex("00200080")).hex() == "63c3"
        assert system.card().pin_status().attempts_left == 3  # another job runs meanwhile

    prompt = CallbackPrompt(PIN, use_it)
    system, key, always = desk(piv, prompt)
    with system:
        key.sign(*SIGN)
        always.sign(*SIGN)  # the PIN for 9A was verified, and counts no more while a person is asked
    assert prompt.count == 2


def test_without_a_prompt_nothing_is_asked_and_no_try_is_spent(piv):
    system, *keys = desk(piv, None)
    with system:
        for key in keys:
            with pytest.raises(SilentContext) as caught:
                key.sign(*SIGN)
            assert caught.value.next_step
    assert tries_left(piv) == 3


def test_a_person_may_give_up(piv):
    system, key, _ = desk(piv, FixedPrompt(None))
    with system, pytest.raises(Cancelled) as caught:
        key.sign(*SIGN)
    assert caught.value.code == Code.SCARD_W_CANCELLED_BY_USER
    assert tries_left(piv) == 3


def test_a_pin_given_beforehand_needs_no_prompt(piv, clock):
    system, key, _ = desk(piv, None, clock)
    with system:
        system.card().verify_pin(PIN)
        for _ in range(3):
            key.sign(*SIGN)
            clock.advance(2)
            system.card().release()


def test_a_pin_that_another_program_has_verified_is_used(piv):
    system, key, _ = desk(piv, None)
    with system:
        select(piv)
        assert verify(piv) == "9000"
        key.sign(*SIGN)


# --- wrong PINs ---


def test_a_wrong_pin_says_how_many_tries_are_left_and_is_presented_once(piv):
    prompt = FixedPrompt(WRONG)
    system, key, _ = desk(piv, prompt)
    with system, pytest.raises(WrongPin) as caught:
        key.sign(*SIGN)
    assert caught.value.attempts_left == 2
    assert (prompt.count, tries_left(piv)) == (1, 2)


def test_a_wrong_pin_is_not_remembered(piv):
    prompt = FixedPrompt(WRONG)
    system, key, _ = desk(piv, prompt)
    with system:
        for left in (2, 1):
            with pytest.raises(WrongPin) as caught:
                key.sign(*SIGN)
            assert caught.value.attempts_left == left
    assert [request.attempts_left for request in prompt.requests] == [3, 2]


def test_the_last_try_is_announced(piv):
    spoil(piv, 2)
    prompt = FixedPrompt(PIN)
    system, key, _ = desk(piv, prompt)
    with system:
        key.sign(*SIGN)
    assert prompt.requests[0].is_last_try
    assert tries_left(piv) == 3


def test_a_blocked_pin_asks_nobody_and_says_what_to_do(piv):
    spoil(piv, 3)
    prompt = FixedPrompt(PIN)
    system, *keys = desk(piv, prompt)
    with system:
        for key in keys:
            with pytest.raises(PinBlocked) as caught:
                key.sign(*SIGN)
            assert "PUK" in caught.value.next_step
    assert prompt.count == 0


def test_a_pin_that_blocks_while_a_person_thinks_says_what_to_do(piv):
    prompt = CallbackPrompt(PIN, lambda _: spoil(piv, 3))
    system, key, _ = desk(piv, prompt)
    with system, pytest.raises(PinBlocked) as caught:
        key.sign(*SIGN)
    assert "PUK" in caught.value.next_step


def test_an_impossible_pin_costs_no_try(piv):
    for pin in ("123", "123456789"):
        system, key, _ = desk(piv, FixedPrompt(pin))
        with system, pytest.raises(WinError) as caught:
            key.sign(*SIGN)
        assert caught.value.code == Code.SCARD_E_INVALID_CHV
    assert tries_left(piv) == 3


# --- remembered PINs ---


def test_a_remembered_pin_is_not_presented_when_somebody_has_failed_since(piv):
    prompt = FixedPrompt(PIN)
    system, key, _ = desk(piv, prompt)
    with system:
        key.sign(*SIGN)
        system.card().release()
        spoil(piv, 1)
        key.sign(*SIGN)
    assert [request.attempts_left for request in prompt.requests] == [3, 2]


def test_a_remembered_pin_that_another_program_has_changed_is_presented_once_and_forgotten(piv):
    prompt = FixedPrompt("111111")
    system, key, _ = desk(piv, prompt)
    with system:
        system.card().verify_pin(PIN)
        system.card().release()
        select(piv)
        change = bytes.fromhex("0024008010") + PIN.encode() + b"\xff\xff" + b"111111\xff\xff"
        assert piv.process(change).hex() == "9000"
        piv.reset()
        key.sign(*SIGN)
        (request,) = prompt.requests
        assert (request.retry, request.attempts_left) == (True, 2)
        assert "not right any more" in request.reason
        system.card().release()
        key.sign(*SIGN)
    assert prompt.count == 1
    assert tries_left(piv) == 3


def test_a_remembered_pin_is_never_the_last_try(piv):
    prompt = FixedPrompt(PIN)
    system, key, _ = desk(piv, prompt)
    with system:
        key.sign(*SIGN)
        system.card().release()
        spoil(piv, 2)
        key.sign(*SIGN)
    assert [request.is_last_try for request in prompt.requests] == [False, True]


def test_the_pin_of_one_card_is_not_presented_to_another(piv):
    prompt = FixedPrompt(PIN)
    other = card(name="two", pin="222222")
    with local_system(prompt=prompt) as system:
        system.insert(piv, reader="Left")
        system.insert(other, reader="Right")
        system.card("Left").containers.find("9A").key.sign(*SIGN)
        with pytest.raises(WrongPin):
            system.card("Right").containers.find("9A").key.sign(*SIGN)
    assert prompt.count == 2


def test_the_pin_of_one_system_is_not_anothers(piv):
    with local_system(prompt=FixedPrompt(PIN)) as one, local_system(prompt=None) as two:
        one.insert(piv)
        one.card().containers.find("9A").key.sign(*SIGN)
        one.card().release()
        two.insert(piv)
        with pytest.raises(SilentContext):
            two.card().containers.find("9A").key.sign(*SIGN)


def test_closing_a_system_forgets_its_pins(piv):
    prompt = FixedPrompt(PIN)
    with local_system(prompt=prompt) as system:
        system.insert(piv)
        system.card().verify_pin(PIN)
        assert system.broker.cache.usable((system.card().card_id, 1), 3, now=0)
    assert system.broker.cache.usable((bytes(16), 1), 3, now=0) is None
    assert repr(system.broker.cache) == "<PinCache of 0>"


# --- changing and unblocking ---


def test_a_changed_pin_is_the_one_that_counts(piv):
    prompt = FixedPrompt("111111")
    system, key, _ = desk(piv, prompt)
    with system:
        system.card().verify_pin(PIN)
        system.card().change_pin(PIN, "111111")
        system.card().release()
        key.sign(*SIGN)
    assert prompt.count == 1
    assert tries_left(piv) == 3


def test_a_wrong_old_pin_changes_nothing(piv):
    system, _, _ = desk(piv, None)
    with system:
        with pytest.raises(WrongPin) as caught:
            system.card().change_pin(WRONG, "111111")
        assert caught.value.attempts_left == 2
        system.card().verify_pin(PIN)


def test_the_puk_unblocks(piv):
    spoil(piv, 3)
    system, key, _ = desk(piv, FixedPrompt("111111"))
    with system:
        system.card().unblock_pin(PUK, "111111")
        key.sign(*SIGN)


def test_a_wrong_puk_says_how_many_tries_the_puk_has(piv):
    spoil(piv, 3)
    system, _, _ = desk(piv, None)
    with system, pytest.raises(WrongPin) as caught:
        system.card().unblock_pin("87654321", "111111")
    assert caught.value.attempts_left == 2
    assert tries_left(piv) == 0


def test_pin_status_spends_nothing(piv):
    system, _, _ = desk(piv, None)
    with system:
        assert system.card().pin_status().attempts_left == 3
        system.card().verify_pin(PIN)
        assert system.card().pin_status().verified


# --- an operation that fails after the PIN was right ---


def test_the_error_of_the_operation_is_what_the_caller_sees(piv):
    system, key, _ = desk(piv, FixedPrompt(PIN))

    def fail(driver):
        driver.sign(0, 1, bytes(32), None)
        raise BadData(detail="made to fail")

    with system, pytest.raises(BadData, match="made to fail"):
        key.container._use("test", fail)


# --- what it costs ---


def test_a_signature_with_the_pin_verified_costs_one_exchange(piv):
    system, key, _ = desk(piv, FixedPrompt(PIN))
    with system:
        key.sign(*SIGN)
        piv.counter.clear()
        key.sign(*SIGN)
    assert piv.counter.exchanges <= 2  # the signature, and the end of the PIN's effect at the end


def test_a_remembered_pin_costs_the_try_the_verification_and_the_signature(piv):
    system, key, _ = desk(piv, FixedPrompt(PIN))
    with system:
        key.sign(*SIGN)
        system.card().release()
        piv.counter.clear()
        key.sign(*SIGN)
        assert piv.counter.exchanges == 3


def test_the_key_in_9c_costs_two_exchanges_once_the_card_is_known(piv):
    system, _, key = desk(piv, FixedPrompt(PIN))
    with system:
        key.sign(*SIGN)
        system.card().release()
        piv.counter.clear()
        key.sign(*SIGN)
        assert piv.counter.exchanges == 2


def test_a_pin_object_is_as_good_as_its_characters(piv):
    system, _, _ = desk(piv, None)
    with system:
        for pin in (Pin(PIN), PIN, PIN.encode()):
            system.card().verify_pin(pin)
