"""Whatever arrives, the virtual PIV card answers with a status word, raises nothing and gives nothing away."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

from calais.cards.base import BytesMemory, MemoryFailure
from calais.cards.piv.personalise import new_card, virtual_card

SELECT = bytes.fromhex("00A4040005A000000308")
VERIFY = bytes.fromhex("0020008008313233343536FFFF")
INSTRUCTIONS = bytes.fromhex("20242C4787A4C0CBDBF6F7F8F9FAFBFDFEFF0070")
REFERENCES = bytes.fromhex("00048081828395969A9B9C9D9EF9FF3F")
ALGORITHMS = bytes.fromhex("00030607080A0C1114E0E1FF3F04")
TAGS = [0x53, 0x5C, 0x7C, 0x7E, 0xAC, 0x80, 0x81, 0x82, 0x85, 0x06, 0x07, 0x9B, 0xAA, 0xAB, 0x01, 0x70]


def tlv(tag, value):
    length = bytes((len(value),)) if len(value) < 0x80 else b"\x82" + len(value).to_bytes(2, "big")
    return bytes((tag,)) + length + value


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


def command(cla, ins, p1, p2, data, extended, le):
    head = bytes((cla, ins, p1, p2))
    if extended or len(data) > 255:
        return head + b"\0" + len(data).to_bytes(2, "big") + data + (b"\0\0" if le else b"")
    return head + (bytes((len(data),)) + data if data else b"") + (bytes((le - 1,)) if le else b"")


commands = st.builds(
    command,
    st.sampled_from((0, 0, 0, 0, 0x10, 0x0C, 0x80)),
    st.sampled_from(INSTRUCTIONS),
    st.sampled_from(ALGORITHMS),
    st.sampled_from(REFERENCES),
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
    card.applet.state.volatile.managed = managed
    return card


@settings(max_examples=300)
@given(sequence=st.lists(commands | st.binary(max_size=40), max_size=12), managed=st.booleans())
def test_every_answer_has_a_status_word(records, sequence, managed):
    card = card_with(records, managed=managed)
    for raw in [*sequence, SELECT, bytes.fromhex("00200080")]:
        answer = card.process(raw)
        assert 2 <= len(answer) <= 65536 + 2
        assert answer[-2] >> 4 in (6, 9)
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

    def full(_instant):
        raise MemoryFailure

    memory.cut = full
    for raw in [*sequence, VERIFY]:
        card.applet.state.volatile.managed = True
        answer = card.process(raw)
        assert len(answer) >= 2
    assert memory.read() == records
    assert card.process(VERIFY) in (b"\x65\x81", b"\x6d\0")
    assert not card.applet.state.volatile.verified


@settings(max_examples=50)
@given(size=st.integers(0, 70_000))
def test_a_command_of_any_size_is_answered(records, size):
    card = card_with(records, managed=True)
    assert len(card.process(b"\0\xdb\x3f\xff\0" + b"\xff" * size)) >= 2
    assert len(card.process(b"\x10\xdb\x3f\xff\0\xff\xff" + bytes(size))) >= 2


def test_a_memory_that_fails_after_the_comparison_leaves_nothing_verified(records):
    memory = BytesMemory(records)
    card = virtual_card(memory, os.urandom)
    card.process(SELECT)

    def full_from_the_third(instant):
        if instant >= 3:
            raise MemoryFailure

    memory.cut = full_from_the_third
    assert card.process(VERIFY) == b"\x65\x81"
    memory.cut = None
    assert card.process(bytes.fromhex("00200080")) == b"\x63\xc2"
