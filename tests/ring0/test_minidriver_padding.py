import hashlib
import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding as pyca
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from hypothesis import given
from hypothesis import strategies as st

from calais.minidriver.padding import DIGEST_SIZES, Oaep, Pkcs1, Pss, Raw, encode_signature, remove_decryption
from calais.win.codes import Code
from calais.win.errors import BadParameter, Unsupported, WinError

HASHES = {
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


def private(key, block):
    """The bare operation of the card."""
    numbers = key.private_numbers()
    return pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n).to_bytes(256, "big")


def digest_of(name):
    return hashlib.new(name, b"message").digest()


@pytest.mark.parametrize("name", HASHES)
def test_a_pkcs1_signature_is_accepted_by_others(key, name):
    block = encode_signature(Pkcs1(name), digest_of(name), 256, os.urandom)
    key.public_key().verify(private(key, block), b"message", pyca.PKCS1v15(), HASHES[name]())


@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize("salt_length", [0, 20, None])
def test_a_pss_signature_is_accepted_by_others(key, name, salt_length):
    salt_length = DIGEST_SIZES[name] if salt_length is None else salt_length
    block = encode_signature(Pss(name, salt_length), digest_of(name), 256, os.urandom)
    padding = pyca.PSS(pyca.MGF1(HASHES[name]()), salt_length)
    key.public_key().verify(private(key, block), digest_of(name), padding, Prehashed(HASHES[name]()))


def test_pkcs1_without_a_hash_takes_the_data_as_it_is():
    block = encode_signature(Pkcs1(None), b"x" * 36, 128, os.urandom)
    assert block == b"\0\1" + b"\xff" * (128 - 39) + b"\0" + b"x" * 36


@pytest.mark.parametrize(
    ("padding", "data", "size"),
    [
        (Pkcs1("sha256"), b"short", 256),
        (Pkcs1(None), bytes(118), 128),
        (Pss("sha256", 300), bytes(32), 256),
        (Pss("sha256", -1), bytes(32), 256),
        (Pss("sha512", 64), bytes(64), 128),
        (Raw(), bytes(255), 256),
        (Raw(), bytes(257), 256),
    ],
)
def test_what_does_not_fit_is_refused(padding, data, size):
    with pytest.raises(BadParameter):
        encode_signature(padding, data, size, os.urandom)


def test_an_unknown_hash_is_refused():
    with pytest.raises(Unsupported):
        encode_signature(Pkcs1("whirlpool"), bytes(64), 256, os.urandom)


def test_raw_blocks_pass_through():
    block = os.urandom(256)
    assert encode_signature(Raw(), block, 256, os.urandom) == block
    assert remove_decryption(Raw(), block) == block


@given(st.binary(max_size=245))
def test_pkcs1_encryption_is_undone(key, message):
    ciphertext = key.public_key().encrypt(message, pyca.PKCS1v15())
    assert remove_decryption(Pkcs1(), private(key, ciphertext)) == message


@pytest.mark.parametrize(
    ("name", "mgf"), [("sha1", "sha1"), ("sha256", "sha256"), ("sha256", "sha1"), ("sha512", "sha256")]
)
@pytest.mark.parametrize("label", [b"", b"label"])
@pytest.mark.parametrize("message", [b"", b"m", b"\0\1" * 40])
def test_oaep_encryption_is_undone(key, name, mgf, label, message):
    padding = pyca.OAEP(pyca.MGF1(HASHES[mgf]()), HASHES[name](), label)
    ciphertext = key.public_key().encrypt(message, padding)
    assert remove_decryption(Oaep(name, mgf, label), private(key, ciphertext)) == message


GOOD = b"\0\2" + b"\x55" * 8 + b"\0message"


@pytest.mark.parametrize(
    "block",
    [
        b"\1\2" + GOOD[2:],
        b"\0\1" + GOOD[2:],
        b"\0\2" + b"\x55" * 7 + b"\0message",
        b"\0\2" + b"\x55" * 40,
        b"\0\2\0message",
        b"",
        b"\0\2",
        bytes(64),
    ],
)
def test_a_bad_pkcs1_block_is_refused_in_the_same_words(block):
    with pytest.raises(WinError) as failure:
        remove_decryption(Pkcs1(), block)
    assert failure.value.code == Code.SCARD_F_INTERNAL_ERROR
    assert failure.value.detail == "the decrypted block is not padded as it should be"


def test_a_good_pkcs1_block_is_taken():
    assert remove_decryption(Pkcs1(), GOOD) == b"message"


@given(st.binary(min_size=80, max_size=256))
def test_noise_is_never_oaep(block):
    with pytest.raises(WinError) as failure:
        remove_decryption(Oaep("sha256", "sha256"), block)
    assert failure.value.code == Code.SCARD_F_INTERNAL_ERROR


def test_oaep_with_another_label_is_refused(key):
    padding = pyca.OAEP(pyca.MGF1(hashes.SHA256()), hashes.SHA256(), b"one")
    block = private(key, key.public_key().encrypt(b"message", padding))
    with pytest.raises(WinError):
        remove_decryption(Oaep("sha256", "sha256", b"other"), block)


def test_a_key_too_short_for_the_hash_is_the_callers_fault():
    with pytest.raises(BadParameter):
        remove_decryption(Oaep("sha512", "sha512"), bytes(128))
