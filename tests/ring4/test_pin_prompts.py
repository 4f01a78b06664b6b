"""Who is asked for a PIN, what they are told, the last try, and keypads of readers."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from keypad import Keypad, KeypadReader
from people import PIN, SHA256, card, select, tries_left, verify
from pinfaces import NAME, CngProgram, CryptoApiProgram, as_entry_point, install, shared_card, tuned_driver

from calais.cards.gids.driver import GidsMinidriver
from calais.minidriver.pins import Pin
from calais.provider.caller import Caller
from calais.provider.policy import Policy
from calais.provider.prompt import (
    CardRequest,
    PinRequest,
    asks_for_cards,
    can_confirm,
    insert_card,
    program_name,
)
from calais.provider.prompts.callback import CallbackPrompt
from calais.provider.prompts.keypad import KeypadPrompt
from calais.provider.prompts.words import card_lines, keypad_line, last_try_lines, pin_lines, window_lines
from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.system import System
from calais.testing import FakeClock, FixedPrompt, local_system
from calais.win.codes import Code
from calais.win.errors import Cancelled, PinBlocked, SilentContext, Unsupported, WinError, WrongPin
from calais.win.flags.cardmod import EmptyPinType, ExternalPinType
from calais.winapi.advapi32 import PP_CLIENT_HWND, PP_PIN_PROMPT_STRING, CryptSetProvParam

WRONG = "654321"
SIGN = (b"data", SHA256)


@pytest.fixture
def piv():
    return card(0x9A, 0x9C)


def key_in(system, piv, slot="9A"):
    system.insert(piv)
    return system.card().containers.find(slot).key


def spoil(piv, times):
    """Another program gives wrong PINs."""
    select(piv)
    for _ in range(times):
        assert verify(piv, WRONG).startswith("63c")


class Mute:
    """A prompt that knows the PIN and can neither confirm nor ask for cards."""

    def __init__(self, pin=PIN):
        self.pin, self.requests = pin, []

    def ask(self, request):
        self.requests.append(request)
        return Pin(self.pin)


# --- what a person is told ---


def test_the_request_names_the_program_its_words_and_its_window():
    prompt = FixedPrompt(PIN)
    with local_system(prompt=prompt) as system:
        system.insert(shared_card())
        program = CryptoApiProgram(system)
        CryptSetProvParam(program.context, PP_PIN_PROMPT_STRING, "To file your tax return")
        CryptSetProvParam(program.context, PP_CLIENT_HWND, 4711)
        program.sign()
        program.close()
    (request,) = prompt.requests
    assert (request.container, request.text, request.window) == (NAME, "To file your tax return", 4711)
    assert request.caller == program_name()


def test_a_caller_given_to_a_card_is_in_the_request(piv):
    prompt = FixedPrompt(PIN)
    with local_system(prompt=prompt) as system:
        system.insert(piv)
        seen = system.card().seen_by(Caller(text="for the archive", window=7))
        seen.containers.find("9A").key.sign(*SIGN)
    assert [(request.text, request.window) for request in prompt.requests] == [("for the archive", 7)]


@pytest.mark.parametrize(
    ("argv", "name"), [(["/usr/bin/tax"], "tax"), ([""], "python"), (["-c"], "python"), ([], "python")]
)
def test_programs_are_called_by_the_name_of_their_file(monkeypatch, argv, name):
    monkeypatch.setattr(sys, "argv", argv)
    assert program_name() == name


REQUEST = PinRequest("Reader", "Ada's card", "Key 7", "sign with it", 3, caller="tax", text="Tax return 2026")


def test_the_words_name_card_program_and_key():
    assert pin_lines(REQUEST) == [
        "Ada's card in Reader wants the PIN to sign with it (3 tries left).",
        "tax asks for it.",
        "Tax return 2026",
        "Its key is called Key 7.",
    ]
    assert window_lines(REQUEST)[0] == "Ada's card in Reader: sign with it. 3 tries are left."
    assert keypad_line(REQUEST) == "Type the PIN at Reader."


def test_the_words_for_a_last_try_say_what_a_wrong_pin_does():
    last = PinRequest("Reader", "Card", "", "sign", 1, reason="the remembered PIN is not right any more", retry=True)
    assert last_try_lines(last) == [
        "Card in Reader wants the PIN to sign.",
        "The remembered PIN is not right any more.",
        "This is the last try: a wrong PIN blocks the card.",
        "Shall it be used?",
    ]
    assert "The remembered PIN is not right any more." not in window_lines(last)


def test_the_words_for_a_card_say_which_and_where():
    assert card_lines(CardRequest("Reader", "Key 7", "sign", "the card was taken out", "tax")) == [
        "Insert the card with the key Key 7 into Reader to sign.",
        "tax asks for it.",
        "The card was taken out.",
    ]
    assert card_lines(CardRequest()) == ["Insert the card."]


# --- who can do what ---


def test_what_a_prompt_can_do_is_told_by_its_methods():
    assert can_confirm(FixedPrompt(PIN))
    assert not can_confirm(Mute())
    assert not asks_for_cards(FixedPrompt(PIN))
    assert not asks_for_cards(None)
    assert not insert_card(FixedPrompt(PIN), CardRequest())
    bare = CallbackPrompt(lambda _: None)
    assert not can_confirm(bare)
    assert not asks_for_cards(bare)
    full = CallbackPrompt(lambda _: None, confirm=lambda _: True, insert_card=lambda _: True)
    assert can_confirm(full)
    assert insert_card(full, CardRequest())


def test_a_keypad_prompt_can_what_the_other_can():
    assert not can_confirm(KeypadPrompt(lambda _: None))
    assert can_confirm(KeypadPrompt(lambda _: None, FixedPrompt(PIN)))
    asking = CallbackPrompt(lambda _: None, insert_card=lambda _: True)
    assert asks_for_cards(KeypadPrompt(lambda _: None, asking))
    assert KeypadPrompt(lambda _: None).ask(REQUEST) is None


@pytest.mark.parametrize("answer", [PIN, PIN.encode(), Pin(PIN)], ids=["text", "bytes", "pin"])
def test_a_callback_may_answer_in_any_form(piv, answer):
    with local_system(prompt=CallbackPrompt(lambda _: answer)) as system:
        key_in(system, piv).sign(*SIGN)


def test_a_callback_may_give_up(piv):
    with local_system(prompt=CallbackPrompt(lambda _: None)) as system, pytest.raises(Cancelled):
        key_in(system, piv).sign(*SIGN)
    assert tries_left(piv) == 3


# --- the last try ---


def test_the_last_try_is_used_only_after_a_yes(piv):
    spoil(piv, 2)
    prompt = FixedPrompt(PIN)
    with local_system(prompt=prompt) as system:
        key_in(system, piv).sign(*SIGN)
    assert (prompt.count, len(prompt.confirmations)) == (1, 1)
    assert prompt.confirmations[0].is_last_try


def test_after_a_no_nothing_is_asked_and_nothing_presented(piv):
    spoil(piv, 2)
    prompt = FixedPrompt(PIN, confirms=False)
    with local_system(prompt=prompt) as system, pytest.raises(Cancelled) as error:
        key_in(system, piv).sign(*SIGN)
    assert prompt.count == 0
    assert "nothing was presented" in error.value.detail
    assert error.value.next_step
    assert tries_left(piv) == 1


def test_a_prompt_that_cannot_confirm_does_not_burn_the_last_try(piv):
    spoil(piv, 2)
    prompt = Mute(WRONG)
    with local_system(prompt=prompt) as system, pytest.raises(Cancelled):
        key_in(system, piv).sign(*SIGN)
    assert not prompt.requests
    assert tries_left(piv) == 1


@pytest.mark.parametrize("confirms", [True, False], ids=["yes", "no"])
def test_tries_that_go_while_a_person_types_make_it_the_last_one(piv, confirms):
    clock = FakeClock()

    class Slow(FixedPrompt):
        def ask(self, request):
            spoil(piv, 2)
            clock.advance(2)
            return super().ask(request)

    prompt = Slow(PIN, confirms=confirms)
    with local_system(prompt=prompt, clock=clock) as system:
        key = key_in(system, piv)
        if confirms:
            key.sign(*SIGN)
        else:
            with pytest.raises(Cancelled):
                key.sign(*SIGN)
            assert tries_left(piv) == 1
    (asked,) = prompt.confirmations
    assert "meanwhile" in asked.reason
    assert prompt.count == 1


def test_a_pin_that_a_program_sets_is_presented_once_even_as_the_last_try(piv):
    spoil(piv, 2)
    with local_system() as system:
        system.insert(piv)
        with pytest.raises(WrongPin) as error:
            system.card().verify_pin(WRONG)
        assert error.value.attempts_left == 0
        with pytest.raises(PinBlocked):
            system.card().verify_pin(PIN)


def test_silence_comes_before_the_question_about_the_last_try(piv):
    spoil(piv, 2)
    with local_system(prompt=None) as system, pytest.raises(SilentContext):
        key_in(system, piv).sign(*SIGN)


# --- PINs that programs set ---


def test_a_pin_that_counts_once_is_taken_without_looking(piv):
    with local_system() as system:
        system.insert(piv)
        seen = system.card()
        seen.broker.give(seen, 4, Pin(WRONG))
        assert tries_left(piv) == 3
        with pytest.raises(WinError) as error:
            seen.broker.give(seen, 4, Pin("123"))
    assert error.value.code == Code.SCARD_E_INVALID_CHV
    assert tries_left(piv) == 3


@pytest.mark.parametrize("nothing", [None, Pin("")], ids=["none", "empty"])
def test_setting_no_pin_forgets_it(piv, nothing):
    with local_system() as system:
        key = key_in(system, piv)
        seen = system.card()
        seen.broker.give(seen, 1, Pin(PIN))
        seen.release()
        key.sign(*SIGN)
        seen.broker.give(seen, 1, nothing)
        seen.release()
        with pytest.raises(SilentContext):
            key.sign(*SIGN)


def test_a_session_pin_from_elsewhere_is_used_and_kept():
    with local_system() as system:
        system.insert(shared_card())
        seen = system.card()
        session = seen.run(lambda driver: driver.make_session_pin(1, Pin(PIN)))
        seen.broker.give_session_pin(seen, 1, session)
        program = CngProgram(system)
        for _ in range(2):
            program.sign()
            seen.release()
        program.close()
        with pytest.raises(WrongPin):
            seen.broker.give_session_pin(seen, 1, Pin(bytes(len(session))))
        assert seen.pin_status().attempts_left == 3


def test_a_card_without_session_pins_takes_none():
    with local_system() as system:
        system.insert(shared_card(session_pins=False))
        with pytest.raises(Unsupported):
            system.card().broker.give_session_pin(system.card(), 1, Pin(bytes(16)))


# --- PINs of other types ---


def external(told):
    """A driver whose user PIN is typed elsewhere; ``told`` gets what it was told each time."""

    class External(GidsMinidriver):
        def pin_info(self, pin_id):
            return replace(super().pin_info(pin_id), pin_type=ExternalPinType)

        def authenticate_external(self, pin_id, *, silent):
            told.append((silent, dict(self.settings)))
            self.authenticate(pin_id, Pin(PIN))

    return as_entry_point(External)


@pytest.mark.parametrize("silent", [False, True], ids=["may ask", "silent"])
def test_an_external_pin_asks_nobody_but_tells_the_driver_whose_words_to_show(monkeypatch, silent):
    told = []
    install(monkeypatch, external(told))
    prompt = FixedPrompt(WRONG)
    with local_system(prompt=prompt) as system:
        system.insert(shared_card())
        seen = system.card().seen_by(Caller(text="why", window=5, silent=silent))
        seen.containers.default.key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
    assert prompt.count == 0
    assert told == [(silent, {"Parent Window": 5, "PIN Context String": "why"})]


def test_the_last_try_of_an_external_pin_is_confirmed_too(monkeypatch):
    told = []
    install(monkeypatch, external(told))
    prompt = FixedPrompt(WRONG, confirms=False)
    with local_system(prompt=prompt) as system:
        system.insert(shared_card())
        seen = system.card()
        for _ in range(2):
            with pytest.raises(WrongPin):
                seen.verify_pin(WRONG)
        with pytest.raises(Cancelled):
            seen.containers.default.key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
        assert told == []
        prompt.confirms = True
        seen.containers.default.key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
    assert len(told) == 1


def test_an_empty_pin_is_never_presented(monkeypatch):
    install(monkeypatch, tuned_driver(pin_type=EmptyPinType))
    prompt = FixedPrompt(PIN)
    with local_system(prompt=prompt) as system:
        system.insert(shared_card())
        program = CngProgram(system)
        with pytest.raises(WinError):  # this card wants one all the same
            program.sign()
        program.close()
    assert prompt.count == 0


# --- keypads ---


@pytest.fixture(params=["piv", "gids"])
def any_card(request, piv):
    return piv if request.param == "piv" else shared_card()


class Wire:
    """Every command that leaves this process."""

    def __init__(self):
        self.commands = []

    def __call__(self, transport):
        return lambda exchange: self.commands.append(exchange.command)


def at_keypad(the_card, prompt, *typed, watchers=()):
    keypad = Keypad(*typed)
    reader = KeypadReader(the_card, keypad)
    stores = SystemStores(MemoryDatabase())
    return System(stores, sources=[reader], prompt=prompt, policy=Policy(), watchers=watchers), keypad


def sign_with_default(system):
    key = system.card().containers.default.key
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
    return key.sign(*SIGN)


def test_a_pin_typed_at_the_reader_never_is_in_this_process(any_card):
    told, wire = [], Wire()
    system, keypad = at_keypad(any_card, KeypadPrompt(told.append), PIN.encode(), watchers=(wire,))
    with system:
        sign_with_default(system)
        assert not any(PIN.encode() in command for command in wire.commands)
        assert repr(system.broker.cache) == "<PinCache of 0>"
    assert len(told) == len(keypad.structures) == 1


def test_a_keypad_asks_again_when_the_transaction_has_ended(any_card):
    told = []
    system, _ = at_keypad(any_card, KeypadPrompt(told.append), PIN.encode(), PIN.encode())
    with system:
        for _ in range(2):
            sign_with_default(system)
            sign_with_default(system)
            system.card().release()
    assert len(told) == 2


def test_a_wrong_pin_at_the_keypad_costs_one_try(any_card):
    system, _ = at_keypad(any_card, KeypadPrompt(lambda _: None), WRONG.encode())
    with system:
        with pytest.raises(WrongPin) as error:
            sign_with_default(system)
        assert error.value.attempts_left == 2


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (0x6400, Code.SCARD_E_TIMEOUT),
        (0x6401, Code.SCARD_W_CANCELLED_BY_USER),
        (b"123", Code.SCARD_E_INVALID_CHV),
        (0x6B80, Code.SCARD_E_UNSUPPORTED_FEATURE),
    ],
    ids=["timeout", "cancelled", "too short", "not understood"],
)
def test_what_a_keypad_says_instead_of_the_card_costs_no_try(any_card, typed, code):
    system, _ = at_keypad(any_card, KeypadPrompt(lambda _: None), typed)
    with system:
        with pytest.raises(WinError) as error:
            sign_with_default(system)
        assert error.value.code == code
        assert system.card().pin_status().attempts_left == 3


def test_the_last_try_at_a_keypad_is_confirmed_too(piv):
    spoil(piv, 2)
    system, keypad = at_keypad(piv, KeypadPrompt(lambda _: None), PIN.encode())
    with system, pytest.raises(Cancelled):
        sign_with_default(system)
    assert keypad.typed
    prompt = FixedPrompt(WRONG)
    system, _ = at_keypad(piv, KeypadPrompt(lambda _: None, prompt), PIN.encode())
    with system:
        sign_with_default(system)
    assert (prompt.count, len(prompt.confirmations)) == (0, 1)


def test_without_a_keypad_the_other_prompt_asks(piv):
    prompt, told = FixedPrompt(PIN), []
    with local_system(prompt=KeypadPrompt(told.append, prompt)) as system:
        key_in(system, piv).sign(*SIGN)
    assert (prompt.count, told) == (1, [])


def test_prompts_that_know_no_keypads_ask_themselves(piv):
    prompt = FixedPrompt(PIN)
    system, keypad = at_keypad(piv, prompt)
    with system:
        sign_with_default(system)
    assert (prompt.count, keypad.structures) == (1, [])


@pytest.mark.parametrize("pin_id", [2, 3])
def test_only_the_users_pin_is_typed_at_a_keypad(any_card, pin_id):
    from calais.transport.keypad import Keypad as OurKeypad

    system, _ = at_keypad(any_card, None)
    with system, pytest.raises(WinError):
        system.card().run(lambda driver: driver.authenticate_at_keypad(pin_id, OurKeypad.of(driver.tx)))
