"""Hashes in memory: both faces, all providers."""

import hashlib
import hmac

import pytest
from cryptoapi import ENHANCED, FACES, PERSONAL, TYPES, hashed, refused
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, SHA384, SHA512

from calais.testing import local_system
from calais.win import flags as f
from calais.win.structs import HmacInfo

KEYX, SIGN = f.AT_KEYEXCHANGE, f.AT_SIGNATURE
DIGESTS = {
    f.CALG_MD5: ("md5", MD5()),
    f.CALG_SHA1: ("sha1", SHA1()),
    f.CALG_SHA_256: ("sha256", SHA256()),
    f.CALG_SHA_384: ("sha384", SHA384()),
    f.CALG_SHA_512: ("sha512", SHA512()),
}
OLD = (f.CALG_MD5, f.CALG_SHA1, f.CALG_SSL3_SHAMD5)
SIZES = {**{each: hashlib.new(name).digest_size for each, (name, _) in DIGESTS.items()}, f.CALG_SSL3_SHAMD5: 36}
NAMES = {f.CALG_MD5: "MD5", f.CALG_SHA1: "SHA1", f.CALG_SSL3_SHAMD5: "SSL3", f.CALG_HMAC: "HMAC", f.CALG_MAC: "MAC"}


def named(alg_id):
    return NAMES.get(alg_id, hex(alg_id))


@pytest.fixture(scope="module")
def private_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(params=FACES)
def face(request):
    return FACES[request.param]


@pytest.fixture
def context(face):
    with face.acquire(ENHANCED) as made:
        yield made


@pytest.fixture(params=TYPES, ids=["B", "P", "E"])
def provider(request):
    return request.param


@pytest.fixture
def anywhere(face, provider):
    with local_system(), face.acquire(provider) as made:
        yield made


def value_of(face, context, hash_):
    return face.GetHashParam(context, hash_, f.HP_HASHVAL)


def with_value(face, context, alg_id, value):
    made = face.CreateHash(context, alg_id)
    face.SetHashParam(context, made, f.HP_HASHVAL, value)
    return made


# --- creating ---


@pytest.mark.parametrize("alg_id", SIZES, ids=named)
def test_each_provider_has_its_hashes(face, anywhere, provider, alg_id):
    if provider == PERSONAL and alg_id not in OLD:
        with refused("NTE_BAD_ALGID"):
            face.CreateHash(anywhere, alg_id)
        return
    hash_ = face.CreateHash(anywhere, alg_id)
    assert face.GetHashParam(anywhere, hash_, f.HP_ALGID) == alg_id
    assert face.GetHashParam(anywhere, hash_, f.HP_HASHSIZE) == SIZES[alg_id]


@pytest.mark.parametrize("alg_id", [0, f.CALG_MD2, f.CALG_MD4, f.CALG_TLS1PRF, f.CALG_RC4, f.CALG_RSA_KEYX], ids=hex)
def test_other_hashes_are_bad_algorithms(face, anywhere, alg_id):
    with refused("NTE_BAD_ALGID"):
        face.CreateHash(anywhere, alg_id)


def test_a_hash_is_created_without_flags(face, anywhere):
    with refused("NTE_BAD_FLAGS"):
        face.CreateHash(anywhere, f.CALG_SHA1, None, 1)


@pytest.mark.parametrize("alg_id", SIZES, ids=named)
def test_a_plain_hash_has_no_key(face, context, alg_id):
    with refused("NTE_BAD_KEY"):
        face.CreateHash(context, alg_id, face.GenKey(context, f.CALG_RC4))


@pytest.mark.parametrize("alg_id", [f.CALG_HMAC, f.CALG_MAC], ids=named)
def test_a_keyed_hash_needs_a_session_key(face, context, alg_id):
    for key in (None, 0, face.GenKey(context, KEYX)):
        with refused("NTE_BAD_KEY"):
            face.CreateHash(context, alg_id, key)
    with refused(face.bad_key):
        face.CreateHash(context, alg_id, "no handle")


def test_a_mac_needs_a_block_cipher_in_cbc(face, context):
    block = face.GenKey(context, f.CALG_DES)
    face.SetKeyParam(context, block, f.KP_MODE, f.CRYPT_MODE_ECB)
    for key in (face.GenKey(context, f.CALG_RC4), block):
        with refused("NTE_BAD_KEY"):
            face.CreateHash(context, f.CALG_MAC, key)


# --- taking data in ---


@pytest.mark.parametrize("alg_id", DIGESTS, ids=named)
def test_the_value_is_the_hash_of_all_parts(face, context, alg_id):
    hash_ = face.CreateHash(context, alg_id)
    for part in (b"one, ", b"", bytearray(b"two")):
        face.HashData(context, hash_, part)
    assert value_of(face, context, hash_) == hashlib.new(DIGESTS[alg_id][0], b"one, two").digest()
    assert value_of(face, context, hash_) == hashlib.new(DIGESTS[alg_id][0], b"one, two").digest()


def test_a_user_s_data_are_data(face, anywhere, provider):
    hash_ = face.CreateHash(anywhere, f.CALG_SHA1)
    if provider == PERSONAL:
        with refused("NTE_BAD_FLAGS"):
            face.HashData(anywhere, hash_, b"abc", f.CRYPT_USERDATA)
        return
    face.HashData(anywhere, hash_, b"abc", f.CRYPT_USERDATA)
    assert value_of(face, anywhere, hash_) == hashlib.sha1(b"abc").digest()


@pytest.mark.parametrize("flags", [2, 3, 0x40])
def test_unknown_flags_are_refused_with_data(face, anywhere, flags):
    with refused("NTE_BAD_FLAGS"):
        face.HashData(anywhere, face.CreateHash(anywhere, f.CALG_SHA1), b"", flags)


def test_data_are_bytes(face, context):
    with refused("ERROR_INVALID_PARAMETER"):
        face.HashData(context, face.CreateHash(context, f.CALG_SHA1), "text")


def read(face, context, hash_):
    value_of(face, context, hash_)


def set_value(face, context, hash_):
    face.SetHashParam(context, hash_, f.HP_HASHVAL, bytes(20))


def sign(face, context, hash_):
    face.SignHash(context, hash_, KEYX)


def verify(face, context, hash_):
    with refused("NTE_BAD_SIGNATURE"):
        face.VerifySignature(context, hash_, b"", face.GetUserKey(context, KEYX))


def derive(face, context, hash_):
    face.DeriveKey(context, f.CALG_RC4, hash_)


@pytest.mark.parametrize("finish", [read, set_value, sign, verify, derive], ids=lambda each: each.__name__)
def test_a_finished_hash_takes_no_more(face, context, finish):
    face.GenKey(context, KEYX)
    hash_ = face.CreateHash(context, f.CALG_SHA1)
    finish(face, context, hash_)
    for data in (b"", b"more"):
        with refused("NTE_BAD_HASH_STATE"):
            face.HashData(context, hash_, data)
    with refused("NTE_BAD_HASH_STATE"):
        face.HashSessionKey(context, hash_, face.GenKey(context, f.CALG_RC4))
    with refused("NTE_BAD_HASH_STATE"):
        face.SetHashParam(context, hash_, f.HP_HASHVAL, bytes(20))
    assert len(value_of(face, context, hash_)) == 20


def test_the_value_for_ssl_comes_from_outside_only(face, anywhere):
    hash_ = face.CreateHash(anywhere, f.CALG_SSL3_SHAMD5)
    with refused("NTE_BAD_HASH_STATE"):
        face.HashData(anywhere, hash_, b"data")
    with refused("NTE_BAD_HASH_STATE"):
        value_of(face, anywhere, hash_)
    with refused("NTE_BAD_LEN"):
        face.SetHashParam(anywhere, hash_, f.HP_HASHVAL, bytes(35))
    face.SetHashParam(anywhere, hash_, f.HP_HASHVAL, bytes(range(36)))
    assert value_of(face, anywhere, hash_) == bytes(range(36))


@pytest.mark.parametrize("flags", [0, f.CRYPT_LITTLE_ENDIAN])
def test_a_session_key_is_hashed_from_either_end(face, context, flags):
    key = face.GenKey(context, f.CALG_AES_128, f.CRYPT_EXPORTABLE)
    value = face.ExportKey(context, key, None, f.PLAINTEXTKEYBLOB)[12:]
    hash_ = face.CreateHash(context, f.CALG_SHA1)
    face.HashSessionKey(context, hash_, key, flags)
    assert value_of(face, context, hash_) == hashlib.sha1(value if flags else value[::-1]).digest()


def test_only_session_keys_are_hashed(face, context):
    hash_ = face.CreateHash(context, f.CALG_SHA1)
    with refused("NTE_BAD_KEY"):
        face.HashSessionKey(context, hash_, face.GenKey(context, KEYX))
    with refused(face.bad_key):
        face.HashSessionKey(context, hash_, None)
    with refused("NTE_BAD_FLAGS"):
        face.HashSessionKey(context, hash_, face.GenKey(context, f.CALG_RC4), 2)


# --- parameters ---


@pytest.mark.parametrize("alg_id", SIZES, ids=named)
@pytest.mark.parametrize("change", [-1, 1])
def test_a_value_has_the_length_of_its_hash(face, context, alg_id, change):
    with refused("NTE_BAD_LEN"):
        with_value(face, context, alg_id, bytes(SIZES[alg_id] + change))
    assert value_of(face, context, with_value(face, context, alg_id, bytes(SIZES[alg_id]))) == bytes(SIZES[alg_id])


def test_a_hash_with_data_takes_no_value(face, anywhere):
    with refused("NTE_BAD_HASH_STATE"):
        face.SetHashParam(anywhere, hashed(face, anywhere, f.CALG_SHA1, b"data"), f.HP_HASHVAL, bytes(20))


@pytest.mark.parametrize("param", [0, 3, f.HP_TLS1PRF_LABEL, f.HP_TLS1PRF_SEED, 8])
def test_other_parameters_are_bad_types(face, anywhere, param):
    hash_ = face.CreateHash(anywhere, f.CALG_SHA1)
    with refused("NTE_BAD_TYPE"):
        face.GetHashParam(anywhere, hash_, param)
    with refused("NTE_BAD_TYPE"):
        face.SetHashParam(anywhere, hash_, param, b"")


def test_some_are_read_only_and_one_is_set_only(face, context):
    hash_ = face.CreateHash(context, f.CALG_SHA1)
    for param in (f.HP_ALGID, f.HP_HASHSIZE):
        with refused("NTE_BAD_TYPE"):
            face.SetHashParam(context, hash_, param, 1)
    with refused("NTE_BAD_TYPE"):
        face.GetHashParam(context, hash_, f.HP_HMAC_INFO)
    with refused("NTE_BAD_TYPE"):
        face.SetHashParam(context, hash_, f.HP_HMAC_INFO, HmacInfo(f.CALG_SHA1))


def test_parameters_take_no_flags(face, anywhere):
    hash_ = face.CreateHash(anywhere, f.CALG_SHA1)
    with refused("NTE_BAD_FLAGS"):
        face.GetHashParam(anywhere, hash_, f.HP_ALGID, 1)
    with refused("NTE_BAD_FLAGS"):
        face.SetHashParam(anywhere, hash_, f.HP_HASHVAL, bytes(20), 1)
    with refused("ERROR_INVALID_PARAMETER"):
        face.SetHashParam(anywhere, hash_, f.HP_HASHVAL, "text")


# --- keyed ---


@pytest.fixture
def key(face, context):
    blob = bytes.fromhex("080200000266000010000000") + bytes(range(16))
    return face.ImportKey(context, blob)


def new_hmac(face, context, key, info):
    made = face.CreateHash(context, f.CALG_HMAC, key)
    face.SetHashParam(context, made, f.HP_HMAC_INFO, info)
    return made


@pytest.mark.parametrize("alg_id", DIGESTS, ids=named)
@pytest.mark.parametrize("pads", [(b"", b""), (b"\x36" * 64, b"\x5c" * 64)], ids=["default", "spelt out"])
def test_an_hmac_is_that_of_the_standard(face, context, key, alg_id, pads):
    if pads[0] and alg_id in (f.CALG_SHA_384, f.CALG_SHA_512):
        pads = (b"\x36" * 128, b"\x5c" * 128)
    hash_ = new_hmac(face, context, key, HmacInfo(alg_id, *pads))
    face.HashData(context, hash_, b"data")
    assert face.GetHashParam(context, hash_, f.HP_HASHSIZE) == SIZES[alg_id]
    assert value_of(face, context, hash_) == hmac.digest(bytes(range(16)), b"data", DIGESTS[alg_id][0])


def test_other_pads_make_another_hmac(face, context, key):
    values = set()
    for pads in ((b"", b""), (b"\x01" * 64, b""), (b"", b"\x01" * 64), (b"\x36", b"\x5c")):
        hash_ = new_hmac(face, context, key, HmacInfo(f.CALG_SHA1, *pads))
        face.HashData(context, hash_, b"data")
        values.add(value_of(face, context, hash_))
    assert len(values) == 4


def test_an_hmac_waits_for_its_parameters(face, context, key):
    hash_ = face.CreateHash(context, f.CALG_HMAC, key)
    with refused("NTE_BAD_HASH_STATE"):
        face.HashData(context, hash_, b"data")
    with refused("NTE_BAD_HASH_STATE"):
        value_of(face, context, hash_)
    face.SetHashParam(context, hash_, f.HP_HMAC_INFO, HmacInfo(f.CALG_SHA1))
    face.SetHashParam(context, hash_, f.HP_HMAC_INFO, HmacInfo(f.CALG_MD5))
    face.HashData(context, hash_, b"data")
    with refused("NTE_BAD_HASH_STATE"):
        face.SetHashParam(context, hash_, f.HP_HMAC_INFO, HmacInfo(f.CALG_SHA1))
    assert value_of(face, context, hash_) == hmac.digest(bytes(range(16)), b"data", "md5")


@pytest.mark.parametrize("alg_id", [0, f.CALG_MAC, f.CALG_HMAC, f.CALG_SSL3_SHAMD5, f.CALG_MD2], ids=hex)
def test_an_hmac_is_of_a_hash(face, context, key, alg_id):
    with refused("NTE_BAD_ALGID"):
        new_hmac(face, context, key, HmacInfo(alg_id))


def test_the_parameters_of_an_hmac_are_a_record(face, context, key):
    with refused("ERROR_INVALID_PARAMETER"):
        new_hmac(face, context, key, b"")
    with refused("NTE_BAD_LEN"):
        new_hmac(face, context, key, HmacInfo(f.CALG_SHA1, bytes(65)))


@pytest.mark.parametrize("length", [0, 3, 8, 12, 100])
def test_a_mac_is_the_last_block_of_the_ciphertext(face, context, length):
    key, data = face.GenKey(context, f.CALG_3DES), bytes(range(length))
    cipher = face.Encrypt(context, key, None, True, 0, data)
    hash_ = face.CreateHash(context, f.CALG_MAC, key)
    for part in (data[:5], data[5:]):
        face.HashData(context, hash_, part)
    assert value_of(face, context, hash_) == cipher[-8:]
    assert face.Encrypt(context, key, None, True, 0, data) == cipher


# --- duplicating ---


@pytest.mark.parametrize("alg_id", [*DIGESTS, f.CALG_HMAC, f.CALG_MAC], ids=named)
def test_a_duplicate_goes_on_by_itself(face, context, key, alg_id):
    hash_ = face.CreateHash(context, alg_id, None if alg_id in DIGESTS else key)
    if alg_id == f.CALG_HMAC:
        face.SetHashParam(context, hash_, f.HP_HMAC_INFO, HmacInfo(f.CALG_SHA1))
    face.HashData(context, hash_, b"one")
    twin, third = face.DuplicateHash(context, hash_), face.DuplicateHash(context, hash_)
    face.HashData(context, hash_, b"two")
    face.HashData(context, twin, b"two")
    face.DestroyHash(context, hash_)
    value = value_of(face, context, twin)
    assert value != value_of(face, context, third)
    with refused("NTE_BAD_HASH_STATE"):
        face.HashData(context, face.DuplicateHash(context, twin), b"three")
    assert value_of(face, context, face.DuplicateHash(context, twin)) == value
