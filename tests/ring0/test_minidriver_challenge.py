"""The response to a challenge, and keys made of a master key."""

from __future__ import annotations

import hmac

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from hypothesis import given
from hypothesis import strategies as st

from calais.minidriver.challenge import AdminCipher, cipher_of, diversify, respond
from calais.win.errors import BadParameter

SAMPLE = bytes.fromhex("A892D75601617C5D")
CARD_ID = bytes(range(16))


def test_the_sample_of_the_guidelines():
    assert respond(bytes(24), SAMPLE).hex() == "1951ec3ef81bbabb"


def test_several_blocks_are_chained_from_an_initialisation_vector_of_zeros():
    first = respond(bytes(24), SAMPLE)
    mixed = bytes(one ^ other for one, other in zip(first, SAMPLE, strict=True))
    assert respond(bytes(24), SAMPLE * 2) == first + respond(bytes(24), mixed)


@given(st.binary(min_size=24, max_size=24), st.binary(min_size=24, max_size=24))
def test_parity_bits_of_a_triple_des_key_are_ignored(key, noise):
    other = bytes(each ^ (bit & 1) for each, bit in zip(key, noise, strict=True))
    assert respond(key, SAMPLE) == respond(other, SAMPLE)


@pytest.mark.parametrize("size", [16, 24, 32])
def test_aes_keys_answer_in_blocks_of_sixteen(size):
    key, challenge = bytes(range(size)), bytes(range(32))
    decryptor = Cipher(AES(key), modes.CBC(bytes(16))).decryptor()
    assert decryptor.update(respond(key, challenge, AdminCipher.AES)) == challenge


def test_the_length_of_a_key_tells_its_cipher():
    assert [cipher_of(bytes(size)) for size in (16, 24, 32)] == ["AES", "3DES", "AES"]
    with pytest.raises(BadParameter):
        cipher_of(bytes(8))


@pytest.mark.parametrize(
    ("key", "challenge", "cipher"),
    [
        (bytes(24), b"", None),
        (bytes(24), bytes(7), None),
        (bytes(24), bytes(8), AdminCipher.AES),
        (bytes(16), bytes(8), None),
        (bytes(16), bytes(16), AdminCipher.TDES),
        (bytes(23), bytes(8), None),
    ],
)
def test_what_does_not_go_together_is_refused(key, challenge, cipher):
    with pytest.raises(BadParameter):
        respond(key, challenge, cipher)


def test_a_diversified_key_is_the_kdf_of_sp_800_108_with_hmac_sha256():
    master = b"m" * 32
    fixed = b"Calais administrator key" + b"\0" + CARD_ID + (256).to_bytes(4, "big")
    expected = hmac.digest(master, (1).to_bytes(4, "big") + fixed, "sha256")
    assert diversify(master, CARD_ID, AdminCipher.AES, 32) == expected


def test_a_triple_des_key_has_odd_parity_and_answers_as_without():
    key = diversify(b"m" * 16, CARD_ID)
    assert all(each.bit_count() % 2 for each in key)
    plain = diversify(b"m" * 16, CARD_ID, AdminCipher.AES, 24)
    assert respond(key, SAMPLE) == respond(plain, SAMPLE)


def test_every_card_has_another_key():
    assert len({diversify(b"m" * 16, bytes((number,)) * 16) for number in range(50)}) == 50


@pytest.mark.parametrize(
    ("master", "card_id", "size"), [(bytes(15), CARD_ID, 24), (bytes(16), b"", 24), (bytes(16), CARD_ID, 16)]
)
def test_lengths_that_cannot_be_are_refused(master, card_id, size):
    with pytest.raises(BadParameter):
        diversify(master, card_id, size=size)
