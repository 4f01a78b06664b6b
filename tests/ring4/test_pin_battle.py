"""The PIN battle: CryptoAPI and CNG in one process, each with a session PIN of its own, of which the card knows one.

Source: the developer guidelines of smart card minidrivers, "Session PINs and Secure PIN Channel".
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from people import PIN, rsa_card, rsa_of, tries_left
from pinfaces import DATA, CngProgram, CryptoApiProgram, shared_card

from calais.provider.caller import Caller, Face
from calais.testing import FixedPrompt, local_system
from calais.win.codes import Code
from calais.win.errors import SilentContext

APART = {"pin.separate_caches": 1}
ROUNDS = 3


@pytest.fixture
def prompt():
    return FixedPrompt(PIN)


def both_sign(system, rounds=ROUNDS):
    """CryptoAPI and CNG by turns; the card is let go between, as when other programs work."""
    programs = [CryptoApiProgram(system), CngProgram(system)]
    for _ in range(rounds):
        for program in programs:
            signature = program.sign()
            rsa_of().public_key().verify(signature, DATA, padding.PKCS1v15(), hashes.SHA256())
            system.card().release()
    for program in programs:
        program.close()


def test_two_caches_of_session_pins_ask_for_the_pin_at_every_change_of_program(prompt):
    with local_system(prompt=prompt, policy=APART) as system:
        system.insert(shared_card())
        both_sign(system)
        assert prompt.count == 2 * ROUNDS
        assert [request.retry for request in prompt.requests] == [False, False, *[True] * (2 * ROUNDS - 2)]
        assert system.card().pin_status().attempts_left == 3


def test_one_cache_ends_the_battle(prompt):
    with local_system(prompt=prompt) as system:
        system.insert(shared_card())
        both_sign(system)
    assert prompt.count == 1


def test_apart_a_card_without_session_pins_asks_once_for_each_face(prompt):
    with local_system(prompt=prompt, policy=APART) as system:
        system.insert(shared_card(session_pins=False))
        both_sign(system)
    assert prompt.count == 2


def test_apart_one_face_alone_has_peace(prompt):
    with local_system(prompt=prompt, policy=APART) as system:
        system.insert(shared_card())
        program = CngProgram(system)
        for _ in range(ROUNDS):
            program.sign()
            system.card().release()
        program.close()
    assert prompt.count == 1


def test_apart_a_pin_that_one_face_has_verified_is_of_no_use_to_the_other(prompt):
    piv = rsa_card(0x9A)
    with local_system(prompt=prompt, policy=APART) as system:
        system.insert(piv)
        key = system.card().containers.find("9A")
        system.card().seen_by(Caller(Face.CRYPTOAPI)).verify_pin(PIN)
        system.card().release()
        with pytest.raises(SilentContext):
            system.card().seen_by(Caller(Face.CNG, silent=True)).container(key.name).key.sign(
                DATA, padding.PKCS1v15(), hashes.SHA256()
            )
        system.card().seen_by(Caller(Face.CRYPTOAPI, silent=True)).container(key.name).key.sign(
            DATA, padding.PKCS1v15(), hashes.SHA256()
        )
    assert prompt.count == 0
    assert tries_left(piv) == 3


def test_apart_a_changed_pin_is_forgotten_by_both(prompt):
    with local_system(prompt=prompt, policy=APART) as system:
        system.insert(rsa_card(0x9A))
        card = system.card()
        for face in (Face.CRYPTOAPI, Face.CNG):
            card.seen_by(Caller(face)).verify_pin(PIN)
        card.change_pin(PIN, "222222")
        card.release()
        for face in (Face.CRYPTOAPI, Face.CNG):
            seen = card.seen_by(Caller(face, silent=True))
            with pytest.raises(SilentContext):
                seen.containers.find("9A").key.sign(DATA, padding.PKCS1v15(), hashes.SHA256())
        assert card.pin_status().attempts_left == 3


def test_a_session_pin_ends_with_the_power_of_the_card_and_is_then_asked_for_anew(prompt):
    with local_system(prompt=prompt, policy=APART) as system:
        card = shared_card()
        system.insert(card)
        program = CngProgram(system)
        program.sign()
        system.remove()
        system.insert(card)
        program.sign()
        program.close()
        assert system.card().pin_status().attempts_left in (None, 3)
    assert prompt.count == 2


def test_a_silent_program_of_either_kind_asks_nobody(prompt):
    with local_system(prompt=prompt) as system:
        system.insert(shared_card())
        for program in (CryptoApiProgram(system, flags=0x40), CngProgram(system)):
            with pytest.raises(SilentContext) as error:
                program.sign(*([0x40] if isinstance(program, CngProgram) else []))
            assert error.value.code == Code.NTE_SILENT_CONTEXT
            program.close()
    assert prompt.count == 0
