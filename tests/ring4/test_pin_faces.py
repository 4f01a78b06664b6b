"""PINs that programs set: the same rules through CryptoAPI and CNG.

Source: smart card minidriver "Developer Guidelines" and PIN_CACHE_POLICY; PP_KEYEXCHANGE_PIN, NCRYPT_PIN_PROPERTY.
"""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from people import PIN
from pinfaces import CngProgram, CryptoApiProgram, install, shared_card, with_cache_policy

from calais.provider.pincache import CachePolicy
from calais.testing import FixedPrompt, local_system
from calais.win.codes import Code
from calais.win.errors import Cancelled, PinBlocked, SilentContext, WinError, WrongPin
from calais.winapi.advapi32 import PP_KEYEXCHANGE_PIN, PP_SIGNATURE_PIN, CryptSetProvParam
from calais.winapi.ncrypt import NCRYPT_PIN_PROPERTY, NCryptSetProperty

WRONG = "654321"


def by_cryptoapi(system):
    program = CryptoApiProgram(system)
    return program, lambda pin: CryptSetProvParam(program.context, PP_KEYEXCHANGE_PIN, pin)


def by_signature_pin(system):
    program = CryptoApiProgram(system)
    return program, lambda pin: CryptSetProvParam(program.context, PP_SIGNATURE_PIN, pin)


def by_cng(system):
    program = CngProgram(system)
    return program, lambda pin: NCryptSetProperty(program.key, NCRYPT_PIN_PROPERTY, pin)


@pytest.fixture(params=[by_cryptoapi, by_signature_pin, by_cng], ids=["CryptoAPI", "signature PIN", "CNG"])
def face(request):
    return request.param


@contextmanager
def opened(face, prompt=None):
    """A system, where nobody can be asked without a prompt, a program, and its way to set the PIN."""
    with local_system(prompt=prompt) as system:
        system.insert(shared_card())
        program, set_pin = face(system)
        yield system, program, set_pin
        program.close()


@pytest.fixture
def desk(face):
    with opened(face) as desk:
        yield desk


def let_go(system):
    system.card().release()


@pytest.mark.parametrize("policy", [CachePolicy.NORMAL, CachePolicy.TIMED])
def test_a_right_pin_is_verified_and_kept(monkeypatch, face, policy):
    install(monkeypatch, with_cache_policy(policy, 60))
    with opened(face) as (system, program, set_pin):
        set_pin(PIN)
        assert system.card().pin_status().verified
        let_go(system)
        program.sign()


def test_with_policy_none_it_is_good_until_the_transaction_ends(monkeypatch, face):
    install(monkeypatch, with_cache_policy(CachePolicy.NONE))
    with opened(face) as (system, program, set_pin):
        set_pin(PIN)
        program.sign()
        let_go(system)
        with pytest.raises(SilentContext):
            program.sign()


@pytest.mark.parametrize("pin", [PIN, WRONG], ids=["right", "wrong"])
def test_with_policy_always_prompt_it_is_taken_and_not_looked_at(monkeypatch, face, pin):
    install(monkeypatch, with_cache_policy(CachePolicy.ALWAYS_PROMPT))
    with opened(face) as (system, program, set_pin):
        set_pin(pin)
        assert not system.card().pin_status().verified
        assert system.card().pin_status().attempts_left == 3
        with pytest.raises(SilentContext):
            program.sign()


@pytest.mark.parametrize("nothing", [None, ""], ids=["none", "empty"])
def test_setting_nothing_forgets(desk, nothing):
    system, program, set_pin = desk
    set_pin(PIN)
    set_pin(nothing)
    let_go(system)
    with pytest.raises(SilentContext):
        program.sign()
    assert system.card().pin_status().attempts_left == 3


def test_wrong_pins_count_down_and_then_block(desk):
    system, _, set_pin = desk
    for left in (2, 1, 0):
        with pytest.raises(WrongPin) as error:
            set_pin(WRONG)
        assert (error.value.attempts_left, error.value.code) == (left, Code.SCARD_W_WRONG_CHV)
    with pytest.raises(PinBlocked) as blocked:
        set_pin(PIN)
    assert blocked.value.code == Code.SCARD_W_CHV_BLOCKED
    assert system.card().pin_status().blocked


@pytest.mark.parametrize("pin", ["1", "12345678901234567"], ids=["short", "long"])
def test_an_impossible_pin_costs_no_try(desk, pin):
    system, _, set_pin = desk
    with pytest.raises(WinError) as error:
        set_pin(pin)
    assert error.value.code == Code.SCARD_E_INVALID_CHV
    assert system.card().pin_status().attempts_left == 3


def test_a_wrong_pin_drops_the_one_that_was_kept(desk):
    system, program, set_pin = desk
    set_pin(PIN)
    with pytest.raises(WrongPin):
        set_pin(WRONG)
    let_go(system)
    with pytest.raises(SilentContext):
        program.sign()


def test_a_pin_set_by_one_face_serves_the_other():
    with local_system() as system:
        system.insert(shared_card())
        one, set_pin = by_cryptoapi(system)
        other, _ = by_cng(system)
        set_pin(PIN)
        let_go(system)
        other.sign()
        let_go(system)
        one.sign()
        one.close()
        other.close()


def test_who_gives_up_cancels(face):
    with opened(face, FixedPrompt(None)) as (_, program, _):
        with pytest.raises(Cancelled) as error:
            program.sign()
        assert error.value.code == Code.SCARD_W_CANCELLED_BY_USER
