"""A PIV card that tells nothing about its keys loses none: a program's new key goes where there surely is no other."""

from __future__ import annotations

import pytest
from certs import ec_key, rsa_key
from cryptography.hazmat.primitives.asymmetric import ec
from pivdesk import Desk, admin
from scarddesk import READER, SELECT_PIV, VERIFIED_PIV, raises

from calais.cards.piv import edge, spec
from calais.iso7816 import tlv
from calais.testing import FixedPrompt, local_system, virtual_piv
from calais.win.codes import Code
from calais.winapi import advapi32 as a

MANAGEMENT_KEY = spec.DEFAULT_MANAGEMENT_KEY
P384 = ec.derive_private_key(0x384, ec.SECP384R1())
KEYS = {"p256": ec_key(), "p384": P384, "rsa": rsa_key()}
METADATA, GENERAL_AUTHENTICATE = 0xF7, 0x87


class Silent:
    """A PIV card without Yubico's metadata and attestation.

    Args:
        card: the card.
        missing: what it answers, instead of 6A88, for a key that is not there.
    """

    def __init__(self, card, missing=b"\x6a\x88"):
        self.card, self.missing = card, missing
        self.used = []

    def __getattr__(self, name):
        return getattr(self.card, name)

    def process(self, command):
        if command[1] in {METADATA, 0xF8, 0xF9}:
            return b"\x6d\x00"
        answer = self.card.process(command)
        if command[1] == GENERAL_AUTHENTICATE:
            self.used.append(command[3])
            answer = self.missing if answer == b"\x6a\x88" else answer
        return answer


def card_with(keys, **options):
    """A silent card that keeps its management key for its user, as older YubiKeys do."""
    card = virtual_piv(keys={ref: (key, None) for ref, key in keys.items()}, seed=1)
    with admin(Desk(card)) as driver:
        tx = driver.view.tx
        kept = tlv.build(0x88, tlv.build(0x89, MANAGEMENT_KEY))
        edge.put_data(tx, spec.TAG_YUBICO_ADMIN_DATA, tlv.build(0x80, tlv.build(0x81, b"\x02")))
        edge.put_data(tx, spec.TAG_PRINTED_INFORMATION, kept)
    card.power_cycle()
    return Silent(card, **options)


def told(card, ref):
    """What the card inside knows of a key: its metadata, or ``b""``."""
    card.card.process(SELECT_PIV)
    answer = card.card.process(bytes((0, METADATA, 0, ref, 0)))
    while answer[-2] == 0x61:
        answer = answer[:-2] + card.card.process(bytes.fromhex("00C00000") + answer[-1:])
    return answer[:-2] if answer[-2:] == b"\x90\x00" else b""


def made(card, name=None, algorithm=a.AT_KEYEXCHANGE):
    """A program makes a container and a key in it."""
    with local_system(prompt=FixedPrompt("123456")) as system:
        system.insert(card)
        with a.CryptAcquireContext(name, None, 1, a.CRYPT_NEWKEYSET) as provider:
            a.CryptGenKey(provider, algorithm)


@pytest.mark.parametrize("missing", [b"\x6a\x88", b"\x6a\x86", b"\x6a\x80"], ids=["6A88", "6A86", "6A80"])
@pytest.mark.parametrize("kind", KEYS)
def test_a_new_key_goes_past_those_that_are_not_shown(kind, missing):
    card = card_with({0x9A: KEYS[kind], 0x9D: KEYS[kind]}, missing=missing)
    before = told(card, 0x9A), told(card, 0x9D)
    made(card)
    assert (told(card, 0x9A), told(card, 0x9D)) == before
    assert told(card, 0x82)
    assert not told(card, 0x83)


@pytest.mark.parametrize("kind", KEYS)
def test_a_signature_key_does_not_take_the_place_of_one(kind):
    card = card_with({0x9C: KEYS[kind]})
    before = told(card, 0x9C)
    with raises(Code.NTE_TOKEN_KEYSET_STORAGE_FULL):
        made(card, algorithm=a.AT_SIGNATURE)
    assert told(card, 0x9C) == before


def test_an_empty_card_gets_its_first_key_in_its_first_slot():
    card = card_with({}, missing=b"\x6a\x86")
    made(card)
    assert told(card, 0x9A)


def test_the_slots_own_name_does_not_open_the_way_to_its_key():
    card = card_with({0x9A: ec_key()})
    before = told(card, 0x9A)
    with local_system(prompt=FixedPrompt("123456")) as system:
        twin = virtual_piv(keys={0x9A: (rsa_key(), None)}, seed=1)
        system.insert(twin)
        with a.CryptAcquireContext(None, None, 1, 0) as provider:
            name = a.CryptGetProvParam(provider, a.PP_CONTAINER)
        system.remove(READER)
    with raises(Code.NTE_EXISTS):
        made(card, name)
    assert told(card, 0x9A) == before


def test_a_card_full_of_keys_that_it_does_not_show_is_full():
    card = card_with({slot.ref: ec_key() for slot in spec.SLOTS})
    before = [told(card, slot.ref) for slot in spec.SLOTS]
    with raises(Code.NTE_TOKEN_KEYSET_STORAGE_FULL):
        made(card)
    assert [told(card, slot.ref) for slot in spec.SLOTS] == before


def test_an_answer_that_says_nothing_leaves_every_slot_alone():
    card = card_with({0x9A: ec_key()}, missing=b"\x6f\x00")
    with raises(Code.NTE_TOKEN_KEYSET_STORAGE_FULL):
        made(card)
    assert told(card, 0x9A)
    assert not told(card, 0x9D)


def test_looking_spends_no_try_of_the_pin():
    card = card_with({0x9A: ec_key(), 0x9D: ec_key()})
    made(card)
    assert {0x9A, 0x9D, 0x82} <= set(card.used)
    card.card.power_cycle()
    card.card.process(SELECT_PIV)
    assert card.card.process(VERIFIED_PIV) == b"\x63\xc3"


def test_a_key_that_came_while_a_container_waited_is_not_replaced():
    card = card_with({})
    with local_system(prompt=FixedPrompt("123456")) as system:
        system.insert(card)
        with a.CryptAcquireContext(None, None, 1, a.CRYPT_NEWKEYSET) as provider:
            with admin(Desk(card.card)) as driver:
                edge.generate(driver.view.tx, 0x9A, spec.Algorithm.P256)
            before = told(card, 0x9A)
            with raises(Code.NTE_EXISTS):
                a.CryptGenKey(provider, a.AT_KEYEXCHANGE)
    assert told(card, 0x9A) == before
