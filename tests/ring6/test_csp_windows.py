"""Session keys and keyed hashes are those that CryptoAPI makes for programs for Windows."""

import pytest
from cryptoapi import ENHANCED, FACES, hashed
from wine import WINE, windows  # noqa: F401

from calais.win import flags as f
from calais.win.structs import HmacInfo

pytestmark = [*WINE]
FACE = FACES["advapi32"]


@pytest.fixture(scope="module")
def lines(windows):  # noqa: F811
    return [line.split() for line in windows.run("session").splitlines()]


@pytest.fixture
def context():
    with FACE.acquire(ENHANCED) as made:
        yield made


def derived(context, hash_id, alg_id, flags=0):
    return FACE.DeriveKey(context, alg_id, hashed(FACE, context, hash_id, b"password"), flags | f.CRYPT_EXPORTABLE)


def value_of(context, hash_):
    return FACE.GetHashParam(context, hash_, f.HP_HASHVAL).hex()


def of_kind(lines, kind, count):
    found = [words[1:] for words in lines if words[0] == kind]
    assert len(found) == count
    return found


def test_derived_keys_are_the_same(lines, context):
    for hash_id, alg_id, value in of_kind(lines, "derive", 40):
        key = derived(context, int(hash_id, 16), int(alg_id, 16))
        assert FACE.ExportKey(context, key, None, f.PLAINTEXTKEYBLOB)[12:].hex() == value, (hash_id, alg_id)


def test_modes_chain_and_pad_alike(lines, context):
    for alg_id, mode, first, second in of_kind(lines, "mode", 21):
        key = derived(context, f.CALG_SHA_256, int(alg_id, 16))
        FACE.SetKeyParam(context, key, f.KP_MODE, int(mode, 16))
        FACE.SetKeyParam(context, key, f.KP_IV, bytes(range(FACE.GetKeyParam(context, key, f.KP_BLOCKLEN) // 8)))
        parts = (
            FACE.Encrypt(context, key, None, False, 0, b"two whole blocks, 32 bytes long.").hex(),
            FACE.Encrypt(context, key, None, True, 0, b"a rest").hex(),
        )
        assert parts == (first, second), (alg_id, mode)


def test_hmacs_are_the_same(lines, context):
    for alg_id, value in of_kind(lines, "hmac", 3):
        hash_ = FACE.CreateHash(context, f.CALG_HMAC, derived(context, f.CALG_SHA1, f.CALG_RC4))
        FACE.SetHashParam(context, hash_, f.HP_HMAC_INFO, HmacInfo(int(alg_id, 16)))
        FACE.HashData(context, hash_, b"data")
        assert value_of(context, hash_) == value, alg_id


def test_macs_are_the_same(lines, context):
    for length, value in of_kind(lines, "mac", 5):
        hash_ = FACE.CreateHash(context, f.CALG_MAC, derived(context, f.CALG_SHA1, f.CALG_3DES))
        FACE.HashData(context, hash_, b"data of some length"[: int(length, 16)])
        assert value_of(context, hash_) == value, length


def test_session_keys_are_hashed_from_the_same_end(lines, context):
    for flags, value in of_kind(lines, "key", 2):
        hash_ = FACE.CreateHash(context, f.CALG_SHA1)
        FACE.HashSessionKey(context, hash_, derived(context, f.CALG_SHA1, f.CALG_AES_256), int(flags, 16))
        assert value_of(context, hash_) == value, flags


def test_salts_are_the_same(lines, context):
    for flags, salt, cipher in of_kind(lines, "salt", 3):
        key = derived(context, f.CALG_MD5, f.CALG_RC4, 40 << 16 | int(flags, 16))
        assert FACE.GetKeyParam(context, key, f.KP_SALT).hex() + "-" == salt, flags
        assert FACE.Encrypt(context, key, None, True, 0, b"a message").hex() == cipher, flags
