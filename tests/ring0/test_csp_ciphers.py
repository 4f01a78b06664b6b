"""RC4 with every key length, and block ciphers in the modes of CryptoAPI."""

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB8
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from hypothesis import given
from hypothesis import strategies as st

from calais.provider.csp import algorithms as alg
from calais.provider.csp import blockmodes
from calais.provider.csp.rc4 import Rc4
from calais.provider.csp.sessionkeys import SessionKey, shaped
from calais.win.flags import CRYPT_MODE_CBC, CRYPT_MODE_CFB, CRYPT_MODE_ECB

MODES = {"CBC": CRYPT_MODE_CBC, "ECB": CRYPT_MODE_ECB, "CFB": CRYPT_MODE_CFB}
BLOCK_CIPHERS = {row.name: row for row in (alg.RC2, alg.DES, alg.DES3_112, alg.DES3, alg.AES_128, alg.AES_256)}
# RFC 6229, section 2: key, first 16 bytes of the stream.
RC4_STREAMS = {
    40: ("0102030405", "b2396305f03dc027ccc3524a0a1118a8"),
    56: ("01020304050607", "293f02d47f37c9b633f2af5285feb46b"),
    64: ("0102030405060708", "97ab8a1bf0afb96132f2f67258da15a8"),
    80: ("0102030405060708090a", "ede3b04643e586cc907dc21851709902"),
    128: ("0102030405060708090a0b0c0d0e0f10", "9ac7cc9a609d1ef7b2932899cde41b97"),
}


@pytest.mark.parametrize("bits", RC4_STREAMS)
def test_rc4_gives_the_published_stream(bits):
    key, stream = map(bytes.fromhex, RC4_STREAMS[bits])
    assert Rc4(key).update(bytes(16)) == stream


@given(st.binary(min_size=5, max_size=16), st.lists(st.binary(max_size=40)))
def test_rc4_does_not_care_how_the_data_is_cut(key, parts):
    whole, cut = Rc4(key), Rc4(key)
    assert whole.update(b"".join(parts)) == b"".join(cut.update(part) for part in parts)


def test_a_copy_of_rc4_goes_on_by_itself():
    first = Rc4(b"a key")
    first.update(b"something")
    second = first.copy()
    assert first.update(bytes(20)) == second.update(bytes(20))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cipher", BLOCK_CIPHERS)
@given(data=st.binary(max_size=80), cut=st.integers(0, 4), key=st.binary(min_size=32, max_size=32))
def test_what_was_encrypted_in_parts_is_decrypted_in_one(mode, cipher, data, cut, key):
    row = BLOCK_CIPHERS[cipher]
    here, there = (SessionKey(row, key[: max(row.sizes)]) for _ in range(2))
    here.mode = there.mode = MODES[mode]
    at = min(cut * row.block, len(data) - len(data) % row.block)
    encrypted = here.encrypt(data[:at], final=False) + here.encrypt(data[at:], final=True)
    assert len(encrypted) == len(data) + row.block - len(data) % row.block
    assert there.decrypt(encrypted, final=True) == data


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16), st.binary(max_size=40))
def test_feedback_without_the_library_is_feedback_with_it(key, chain, data):
    """RC2 has its own way, as the library offers it in CBC only; AES must come out the same by it."""
    job = blockmodes.Job(AES(key), chain, encrypting=True)
    encrypted = Cipher(AES(key), CFB8(chain)).encryptor().update(data)
    assert blockmodes._rc2_cfb(job, data) == encrypted
    assert blockmodes._rc2_cfb(job._replace(encrypting=False), encrypted) == data


def test_the_bytes_of_des_keys_get_odd_parity():
    every = bytes(range(256))
    made = shaped(alg.DES, every)
    assert all(byte.bit_count() % 2 for byte in made)
    assert all((one ^ other) in (0, 1) for one, other in zip(made, every, strict=True))
    assert shaped(alg.AES_128, every) == every


def test_no_key_shows_itself():
    key = SessionKey(alg.AES_128, b"sixteen secrets!")
    assert "secret" not in repr(key) + str(vars(Rc4(b"secret")).keys()) + repr(Rc4(b"secret"))
