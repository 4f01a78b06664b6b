"""Whatever arrives, the virtual GIDS card answers with a status word, raises nothing and gives nothing away."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from noise import PIN_TRIES_LEFT, command, play, play_any_size, play_until_the_memory_fails, play_without_room, tlv

from calais.cards.base import BytesMemory
from calais.cards.gids.personalise import new_gids_card, virtual_card

SELECT = bytes.fromhex("00A4040C09A00000039742544659")
VERIFY = bytes.fromhex("0020008006313233343536")
INSTRUCTIONS = bytes.fromhex("2022242A2C444787A4C0CBDBE0E4E6505456585A70")
FIRST = bytes.fromhex("0001024181C1F33F9E80A0B00383")
SECOND = bytes.fromhex("00808182830CA4A6B6B89A86FF01101213")
TAGS = [0x62, 0x70, 0x7C, 0x5C, 0x30, 0x02, 0x04, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x8C, 0xA5,
        0xA4, 0xAC, 0xB6, 0xB8]  # fmt: skip
WORDS = [
    *(bytes((number,)) for number in (0, 1, 2, 3, 7, 0x0C, 0x18, 0x1C, 0x39, 0x40, 0x56, 0x80, 0x81, 0x82, 0x83)),
    *(
        bytes.fromhex(word)
        for word in ("DF30", "DF1F", "7F71", "A020", "B085", "B080", "7F4980", "033000", "8F10101000")
    ),
    b"123456",
]


values = st.recursive(
    st.builds(tlv, st.sampled_from(TAGS), st.sampled_from(WORDS) | st.binary(max_size=70)),
    lambda inner: st.builds(tlv, st.sampled_from(TAGS), st.lists(inner, max_size=4).map(b"".join)),
    max_leaves=8,
)
bodies = st.lists(values, max_size=3).map(b"".join) | st.sampled_from(WORDS) | st.binary(max_size=300)
fids = st.sampled_from([b"\xa0\0", b"\xa0\x10", b"\xa0\x13", b"\xb0\x81", b"\x3f\xff", b"\0\0"])
heads = st.builds(lambda one, two: bytes((one, two)), st.sampled_from(FIRST), st.sampled_from(SECOND)) | fids


def is_slow(raw):
    """Making RSA keys takes longer than all the rest; the files here hold none but 81, of RSA-1024."""
    return raw[1] == 0x47 and b"\x06" in raw


commands = st.builds(
    command,
    st.sampled_from((0, 0, 0, 0, 0x80, 0x80, 0x10, 0x90, 0x0C)),
    st.sampled_from(INSTRUCTIONS),
    heads,
    bodies,
    st.booleans(),
    st.sampled_from((0, 1, 2, 256)),
).filter(lambda raw: not is_slow(raw))


@pytest.fixture(scope="module")
def records():
    memory = BytesMemory()
    keys = [
        ("exchange", 1, rsa.generate_private_key(65537, 1024), None),
        ("agreement", 1, ec.generate_private_key(ec.SECP256R1()), None),
        ("signature", 2, ec.generate_private_key(ec.SECP521R1()), None),
    ]
    new_gids_card(memory, os.urandom, keys=keys, puk="87654321")
    return memory.read()


@pytest.fixture(scope="module")
def blank():
    memory = BytesMemory()
    new_gids_card(memory, os.urandom, blank=True)
    return memory.read()


def card_with(records, *, signed_in=False):
    card = virtual_card(BytesMemory(records), os.urandom)
    card.process(SELECT)
    if signed_in:
        sign_in(card)
    return card


def sign_in(card):
    card.applet.state.volatile.user = card.applet.state.volatile.admin = True


@settings(max_examples=400)
@given(sequence=st.lists(commands | st.binary(max_size=40), max_size=12), signed_in=st.booleans())
def test_every_answer_has_a_status_word(records, sequence, signed_in):
    card = card_with(records, signed_in=signed_in)
    play(card, [*sequence, SELECT, PIN_TRIES_LEFT])
    card.power_cycle()
    play(card, [SELECT, PIN_TRIES_LEFT])


@settings(max_examples=300)
@given(sequence=st.lists(commands | st.binary(max_size=40), max_size=12))
def test_a_blank_card_answers_too_and_can_always_be_powered_again(blank, sequence):
    card = card_with(blank)
    play(card, [*sequence, SELECT, PIN_TRIES_LEFT])
    card.power_cycle()
    play(card, [SELECT, PIN_TRIES_LEFT])


@settings(max_examples=200)
@given(sequence=st.lists(commands, max_size=12))
def test_signed_out_nothing_but_the_counters_changes(records, sequence):
    card = card_with(records)
    for raw in sequence:
        if raw[1] not in (0x20, 0x24, 0x2C, 0x50, 0x87, 0x5A):
            card.process(raw)
    assert card.applet.state.records._memory.read() == records


@settings(max_examples=200)
@given(sequence=st.lists(commands, min_size=1, max_size=8))
def test_a_memory_that_cannot_be_written_is_said_so_and_nothing_changes(records, sequence):
    memory = BytesMemory(records)
    card = virtual_card(memory, os.urandom)
    card.process(SELECT)
    play_without_room(card, memory, sequence, sign_in, VERIFY)
    assert memory.read() == records
    volatile = card.applet.state.volatile
    assert not (volatile.user and volatile.selected)  # TERMINATE DF leaves nothing selected, though it fails


@settings(max_examples=50)
@given(size=st.integers(0, 70_000))
def test_a_command_of_any_size_is_answered(records, size):
    play_any_size(card_with(records, signed_in=True), b"\xa0\x10", size)


def test_a_memory_that_fails_after_the_comparison_leaves_nobody_signed_in(records):
    memory = BytesMemory(records)
    card = virtual_card(memory, os.urandom)
    card.process(SELECT)
    play_until_the_memory_fails(card, memory, VERIFY)
