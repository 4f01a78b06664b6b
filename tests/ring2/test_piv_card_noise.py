"""Whatever arrives, the virtual PIV card answers with a status word, raises nothing and gives nothing away."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from hypothesis import given, settings
from hypothesis import strategies as st
from noise import PIN_TRIES_LEFT, command, play, play_any_size, play_until_the_memory_fails, play_without_room, tlv

from calais.cards.base import BytesMemory
from calais.cards.piv.personalise import new_card, virtual_card

SELECT = bytes.fromhex("00A4040005A000000308")
VERIFY = bytes.fromhex("0020008008313233343536FFFF")
INSTRUCTIONS = bytes.fromhex("20242C4787A4C0CBDBF6F7F8F9FAFBFDFEFF0070")
REFERENCES = bytes.fromhex("00048081828395969A9B9C9D9EF9FF3F")
ALGORITHMS = bytes.fromhex("00030607080A0C1114E0E1FF3F04")
TAGS = [0x53, 0x5C, 0x7C, 0x7E, 0xAC, 0x80, 0x81, 0x82, 0x85, 0x06, 0x07, 0x9B, 0xAA, 0xAB, 0x01, 0x70]


# RSA keys are left out of what may be generated here: making one takes longer than all the rest.
small = st.binary(max_size=3).filter(lambda value: not {5, 6, 7, 0x16} & set(value)) | st.binary(
    min_size=20, max_size=70
)
values = st.recursive(
    st.builds(tlv, st.sampled_from(TAGS), small),
    lambda inner: st.builds(tlv, st.sampled_from(TAGS), st.lists(inner, max_size=3).map(b"".join)),
    max_leaves=6,
)
bodies = st.lists(values, max_size=3).map(b"".join) | st.binary(max_size=300)


commands = st.builds(
    command,
    st.sampled_from((0, 0, 0, 0, 0x10, 0x0C, 0x80)),
    st.sampled_from(INSTRUCTIONS),
    st.builds(lambda one, two: bytes((one, two)), st.sampled_from(ALGORITHMS), st.sampled_from(REFERENCES)),
    bodies,
    st.booleans(),
    st.sampled_from((0, 1, 2, 256)),
)


@pytest.fixture(scope="module")
def records():
    memory = BytesMemory()
    keys = {
        0x9A: (rsa.generate_private_key(65537, 1024), None),
        0x9C: (ec.generate_private_key(ec.SECP256R1()), None),
        0x9D: (ec.generate_private_key(ec.SECP384R1()), None),
        0x9E: (ed25519.Ed25519PrivateKey.generate(), None),
        0x82: (x25519.X25519PrivateKey.generate(), None),
    }
    new_card(memory, os.urandom, keys=keys)
    return memory.read()


def card_with(records, *, managed):
    card = virtual_card(BytesMemory(records), os.urandom)
    card.process(SELECT)
    if managed:
        manage(card)
    return card


def manage(card):
    card.applet.state.volatile.managed = True


@settings(max_examples=300)
@given(sequence=st.lists(commands | st.binary(max_size=40), max_size=12), managed=st.booleans())
def test_every_answer_has_a_status_word(records, sequence, managed):
    card = card_with(records, managed=managed)
    answer = play(card, [*sequence, SELECT, PIN_TRIES_LEFT])
    assert answer[-2:-1] in (b"\x63", b"\x69", b"\x90")


@settings(max_examples=200)
@given(sequence=st.lists(commands, max_size=12))
def test_without_pin_and_management_key_nothing_but_the_counters_changes(records, sequence):
    card = card_with(records, managed=False)
    pins = (0x20, 0x24, 0x2C)
    for raw in sequence:
        if raw[1] not in pins:
            card.process(raw)
    assert card.applet.state.records._memory.read() == records


@settings(max_examples=200)
@given(sequence=st.lists(commands, min_size=1, max_size=8))
def test_a_memory_that_cannot_be_written_is_said_so_and_nothing_changes(records, sequence):
    memory = BytesMemory(records)
    card = virtual_card(memory, os.urandom)
    card.process(SELECT)
    play_without_room(card, memory, sequence, manage, VERIFY)
    assert memory.read() == records
    assert not card.applet.state.volatile.verified


@settings(max_examples=50)
@given(size=st.integers(0, 70_000))
def test_a_command_of_any_size_is_answered(records, size):
    play_any_size(card_with(records, managed=True), b"\x3f\xff", size)


def test_a_memory_that_fails_after_the_comparison_leaves_nothing_verified(records):
    memory = BytesMemory(records)
    card = virtual_card(memory, os.urandom)
    card.process(SELECT)
    play_until_the_memory_fails(card, memory, VERIFY)
