"""What is computed with the administrator's key of a GIDS card."""

from __future__ import annotations

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from calais.cards.gids import adminkey
from calais.cards.gids.spec import Algorithm
from calais.win.errors import BadData, BadParameter, NotAuthenticated

KEY = bytes(range(1, 25))
R1, R2 = bytes(range(16)), bytes(range(16, 32))


def decrypted(cipher, data):
    context = Cipher(cipher, modes.CBC(bytes(cipher.block_size // 8))).decryptor()
    return context.update(data) + context.finalize()


def encrypted(cipher, data):
    context = Cipher(cipher, modes.CBC(bytes(cipher.block_size // 8))).encryptor()
    return context.update(data) + context.finalize()


def test_the_sample_of_the_guidelines_comes_out():
    challenge, expected = bytes.fromhex("A892D75601617C5D"), bytes.fromhex("1951ec3ef81bbabb")
    assert adminkey.response(bytes(24), challenge) == expected


def test_the_check_value_of_the_well_known_key_is_the_one_that_hosts_send():
    well_known = bytes.fromhex("0102030405060708") * 3
    assert adminkey.check_value(Algorithm.TDES, well_known) == bytes.fromhex("B073DC")


def test_parity_bits_do_not_matter():
    flipped = bytes(byte ^ 1 for byte in KEY)
    assert adminkey.response(KEY, bytes(8)) == adminkey.response(flipped, bytes(8))


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_challenge_of_sixteen_bytes_is_for_aes(size):
    key = bytes(range(size))
    assert decrypted(algorithms.AES(key), adminkey.response(key, R1)) == R1


def test_a_key_that_does_not_go_with_the_challenge_is_the_callers_fault():
    for key, challenge in ((KEY[:16], bytes(8)), (KEY, bytes(7)), (KEY, b"")):
        with pytest.raises(BadParameter):
            adminkey.response(key, challenge)


@pytest.mark.parametrize("size", [0, 8, 15, 17, 23, 25, 33])
def test_other_lengths_are_no_keys(size):
    with pytest.raises(BadParameter):
        adminkey.check_key(bytes(size))


def test_a_challenge_of_no_cipher_is_the_cards_fault():
    with pytest.raises(BadData):
        adminkey.algorithm_of_block(9)


@pytest.mark.parametrize(("algorithm", "cipher", "size"), [(2, TripleDES(KEY), 40), (3, algorithms.AES(KEY), 48)])
def test_our_proof_is_r2_r1_and_a_filling_that_ends_with_80(algorithm, cipher, size):
    proof = adminkey.prove(algorithm, KEY, R1, R2, lambda count: b"\x55" * count)
    assert len(proof) == size
    plain = decrypted(cipher, proof)
    assert plain[:32] == R2 + R1
    assert plain[32:] == b"\x55" * (size - 33) + b"\x80"


def test_the_cards_proof_is_r1_r2_and_a_filling():
    answer = encrypted(TripleDES(KEY), R1 + R2 + bytes(7) + b"\x80")
    adminkey.check_proof(Algorithm.TDES, KEY, R1, R2, answer)


@pytest.mark.parametrize(
    "answer",
    [b"", bytes(40), bytes(48), encrypted(TripleDES(KEY), R2 + R1 + bytes(8)), encrypted(TripleDES(KEY), R1 + R2)],
)
def test_any_other_answer_is_an_impostors(answer):
    with pytest.raises(NotAuthenticated, match="CARD_NOT_AUTHENTICATED"):
        adminkey.check_proof(Algorithm.TDES, KEY, R1, R2, answer)
