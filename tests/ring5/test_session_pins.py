"""Session PINs across processes, as the developer guidelines' seven steps have them.

Process A makes one of the PIN and hands it to process B, which uses it, on one card behind one pcscd; nothing but the
session PIN goes from one to the other.

Source: Microsoft, "Developer guidelines" of smart card minidrivers (session PINs, secure PIN channel).
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from cardprocess import Refused, card_process
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from foreign import PRIVATE_PCSCD

from calais.testing import PrivatePcscd, virtual_gids, virtual_piv

pytestmark = [*PRIVATE_PCSCD]

PIN, NEW_PIN, USER_SET = b"123456".hex(), b"654321".hex(), 2
TRIES, UNKNOWN = 3, 0xFFFFFFFF
PLAINTEXT, SESSION_PIN = 1, 2  # CARD_PIN_STRENGTH_*
DIGEST = os.urandom(32).hex()
STATE, LEAVE, SIGN = {"verb": "state"}, {"verb": "leave"}, {"verb": "sign", "digest": DIGEST}


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def stage(key):
    """``processes(card, n)``: n processes on that card, which stays powered."""
    with ExitStack() as stack:

        def processes(card, number=2):
            pcscd = stack.enter_context(PrivatePcscd([card]))
            # A reader that nobody is connected to loses its power sooner or later, which is a cold reset.
            keeper = pcscd.connect()
            stack.callback(keeper.close)
            found = [stack.enter_context(card_process(pcscd)) for _ in range(number)]
            return SimpleNamespace(pcscd=pcscd, card=card, processes=found)

        yield processes


@pytest.fixture
def gids(stage, key):
    return stage(virtual_gids(keys=[("signs", 3, key, None)]))


def signed(key, signature):
    """Whether ``signature`` (r‖s) is the key's of the digest."""
    raw = bytes.fromhex(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.public_key().verify(der, bytes.fromhex(DIGEST), ec.ECDSA(Prehashed(hashes.SHA256())))
    return True


def present(session):
    return {"verb": "present", "pin": session}


def refused(process, verb, **arguments):
    with pytest.raises(Refused) as caught:
        process(verb, **arguments)
    return caught.value


def test_the_seven_steps(gids, key):
    a, b = gids.processes
    assert a("strength") & SESSION_PIN
    session = a("make", pin=PIN)
    assert a("state") == 0
    assert b("state") == 0
    assert refused(b, "sign", digest=DIGEST).name == "SCARD_W_SECURITY_VIOLATION"
    *states, signature = b.together(present(session), STATE, LEAVE, STATE, present(session), SIGN)
    assert states == [None, USER_SET, None, 0, None]
    assert signed(key, signature)
    b("leave")
    assert b("state") == 0
    assert refused(b, "sign", digest=DIGEST).name == "SCARD_W_SECURITY_VIOLATION"


def test_it_outlives_the_process_that_made_it_and_a_warm_reset(gids, key):
    with card_process(gids.pcscd) as maker:
        session = maker("make", pin=PIN)
    keeper = gids.pcscd.connect()
    keeper.reset()
    keeper.close()
    for _ in range(2):
        with card_process(gids.pcscd) as user:
            assert signed(key, user.together(present(session), SIGN)[-1])


def test_a_cold_reset_ends_it(gids):
    session = gids.processes[0]("make", pin=PIN)
    gids.pcscd.remove()
    gids.pcscd.insert(gids.card)
    with card_process(gids.pcscd) as fresh:
        assert fresh("state") == 0
        assert refused(fresh, "present", pin=session).left == UNKNOWN
        assert refused(fresh, "sign", digest=DIGEST).name == "SCARD_W_SECURITY_VIOLATION"


def test_the_newest_wins_whoever_made_it(gids):
    a, b = gids.processes
    first, second = a("make", pin=PIN), b("make", pin=PIN)
    assert first != second
    assert refused(b, "present", pin=first).name == "SCARD_W_WRONG_CHV"
    assert b.together(present(second), STATE)[-1] == USER_SET


def test_wrong_ones_count_down_their_own_counter_until_it_is_dead_and_the_pin_keeps_its_tries(gids):
    a, b = gids.processes
    session = a("make", pin=PIN)
    wrong = bytes(16).hex()
    assert [refused(b, "present", pin=wrong).left for _ in range(TRIES)] == [2, 1, 0]
    for process in (a, b):
        assert refused(process, "present", pin=session).left == 0
    left = gids.card.applet.state.reference(0x80).left
    assert left == TRIES
    fresh = a("make", pin=PIN)
    assert b.together(present(fresh), STATE)[-1] == USER_SET


def test_a_wrong_pin_makes_none_and_costs_the_pin_a_try(gids):
    a, _ = gids.processes
    failure = refused(a, "make", pin=NEW_PIN)
    assert (failure.name, failure.left) == ("SCARD_W_WRONG_CHV", 2)
    a("make", pin=PIN)
    assert gids.card.applet.state.reference(0x80).left == TRIES


def test_it_is_random_and_no_encoding_of_the_pin(gids):
    a, b = gids.processes
    made = [bytes.fromhex(process("make", pin=PIN)) for process in (a, b) * 3]
    assert len(set(made)) == len(made)
    pin = bytes.fromhex(PIN)
    for session in made:
        assert len(session) == 16
        assert session != pin
        assert pin not in session
        assert all(hashlib.new(name, pin).digest()[:16] != session for name in ("md5", "sha1", "sha256"))


def test_changing_the_pin_ends_it(gids):
    a, b = gids.processes
    session = a("make", pin=PIN)
    a("change", pin=PIN)
    assert refused(b, "present", pin=session).left == UNKNOWN
    assert b("state") == 0


def test_a_piv_card_says_that_it_has_none(stage):
    (process,) = stage(virtual_piv(), 1).processes
    assert process("strength") == PLAINTEXT
    for verb in ("make", "present"):
        assert refused(process, verb, pin=PIN).name == "SCARD_E_UNSUPPORTED_FEATURE"
    assert process("state") == 0


def test_a_gids_card_without_them_says_so(stage):
    (process,) = stage(virtual_gids(session_pins=False, keys=[]), 1).processes
    assert process("strength") == PLAINTEXT
    assert refused(process, "make", pin=PIN).name == "SCARD_E_UNSUPPORTED_FEATURE"
