"""KP_* of keys in memory: session keys, their salt, vector and mode, and RSA keys; both faces."""

import hashlib

import pytest
from cryptoapi import ENHANCED, FACES, hashed, refused

from calais.win import flags as f

KEYX = f.AT_KEYEXCHANGE
OLD = (f.CALG_RC2, f.CALG_RC4, f.CALG_DES, f.CALG_3DES_112, f.CALG_3DES)
NEW = (f.CALG_AES_128, f.CALG_AES_192, f.CALG_AES_256)
BLOCKS = {**dict.fromkeys(OLD, 64), f.CALG_RC4: 0, **dict.fromkeys(NEW, 128)}
BITS = dict(zip((*OLD, *NEW), (128, 128, 64, 128, 192, 128, 192, 256), strict=True))
NAMES = {getattr(f, name): name for name in dir(f) if name.startswith("CALG_")}
BLOCK_CIPHERS = [each for each in BLOCKS if BLOCKS[each]]


def named(alg_id):
    return NAMES.get(alg_id, hex(alg_id))


@pytest.fixture(params=FACES)
def face(request):
    return FACES[request.param]


@pytest.fixture
def context(face):
    with face.acquire(ENHANCED) as made:
        yield made


@pytest.fixture(params=BLOCKS, ids=named)
def algorithm(request):
    return request.param


def plaintext(face, context, key):
    return face.ExportKey(context, key, None, f.PLAINTEXTKEYBLOB)[12:]


def carried(face, context, alg_id, value, flags=f.CRYPT_EXPORTABLE):
    """A session key of our own choice."""
    blob = bytes((8, 2, 0, 0)) + alg_id.to_bytes(4, "little") + len(value).to_bytes(4, "little") + value
    return face.ImportKey(context, blob, None, flags)


# --- salt ---


def test_a_key_of_40_bits_has_a_salt_of_zeros(face, context):
    key = face.GenKey(context, f.CALG_RC4, 40 << 16 | 1)
    assert face.GetKeyParam(context, key, f.KP_SALT) == bytes(11)
    longer = carried(face, context, f.CALG_RC4, plaintext(face, context, key) + bytes(11))
    assert face.Encrypt(context, key, None, True, 0, b"text") == face.Encrypt(context, longer, None, True, 0, b"text")


def test_no_salt_is_none_and_created_salt_is_random(face, context):
    without = face.GenKey(context, f.CALG_RC4, 40 << 16 | f.CRYPT_NO_SALT)
    assert face.GetKeyParam(context, without, f.KP_SALT) == b""
    salts = [
        face.GetKeyParam(context, face.GenKey(context, f.CALG_RC4, 40 << 16 | f.CRYPT_CREATE_SALT), f.KP_SALT)
        for _ in range(2)
    ]
    assert [len(salt) for salt in salts] == [11, 11]
    assert salts[0] != salts[1]


def test_a_derived_salt_is_what_the_hash_has_left(face, context):
    hash_ = hashed(face, context, f.CALG_SHA1, b"password")
    key = face.DeriveKey(context, f.CALG_RC4, hash_, 40 << 16 | f.CRYPT_CREATE_SALT)
    assert face.GetKeyParam(context, key, f.KP_SALT) == hashlib.sha1(b"password").digest()[5:16]


@pytest.mark.parametrize("param", [f.KP_SALT, f.KP_SALT_EX], ids=["KP_SALT", "KP_SALT_EX"])
def test_a_salt_is_part_of_the_cipher_s_key(face, context, param):
    key = carried(face, context, f.CALG_RC4, b"12345", f.CRYPT_NO_SALT)
    face.SetKeyParam(context, key, param, b"67890")
    other = carried(face, context, f.CALG_RC4, b"1234567890")
    assert face.Encrypt(context, key, None, True, 0, b"text") == face.Encrypt(context, other, None, True, 0, b"text")
    assert face.GetKeyParam(context, key, f.KP_SALT) == b"67890"


def test_a_salt_must_fit(face, context):
    with refused("NTE_BAD_LEN"):
        face.SetKeyParam(context, face.GenKey(context, f.CALG_RC4), f.KP_SALT_EX, bytes(241))
    with refused("NTE_BAD_LEN"):
        face.SetKeyParam(context, face.GenKey(context, f.CALG_RC2), f.KP_SALT_EX, b"1")
    with refused("NTE_BAD_TYPE"):
        face.GetKeyParam(context, face.GenKey(context, f.CALG_RC4), f.KP_SALT_EX)


@pytest.mark.parametrize("alg_id", [f.CALG_DES, f.CALG_AES_128], ids=named)
def test_only_rc2_and_rc4_have_a_salt(face, context, alg_id):
    key = face.GenKey(context, alg_id, f.CRYPT_CREATE_SALT)
    for param in (f.KP_SALT, f.KP_SALT_EX):
        with refused("NTE_BAD_TYPE"):
            face.SetKeyParam(context, key, param, b"1")
    with refused("NTE_BAD_TYPE"):
        face.GetKeyParam(context, key, f.KP_SALT)


# --- parameters ---


def test_the_vector_starts_as_zeros_and_restarts_the_chain(face, context):
    key = face.GenKey(context, f.CALG_AES_128)
    assert face.GetKeyParam(context, key, f.KP_IV) == bytes(16)
    first = face.Encrypt(context, key, None, False, 0, bytes(16))
    face.SetKeyParam(context, key, f.KP_IV, bytes(16))
    assert face.Encrypt(context, key, None, False, 0, bytes(16)) == first
    face.SetKeyParam(context, key, f.KP_IV, bytes(range(16)))
    assert face.GetKeyParam(context, key, f.KP_IV) == bytes(range(16))
    assert face.Encrypt(context, key, None, False, 0, bytes(16)) != first


@pytest.mark.parametrize("alg_id", BLOCK_CIPHERS, ids=named)
def test_a_vector_is_one_block(face, context, alg_id):
    key = face.GenKey(context, alg_id)
    for length in (0, 7, 33):
        with refused("NTE_BAD_LEN"):
            face.SetKeyParam(context, key, f.KP_IV, bytes(length))


@pytest.mark.parametrize("alg_id", BLOCK_CIPHERS, ids=named)
def test_the_modes_are_cbc_ecb_and_cfb(face, context, alg_id):
    key = face.GenKey(context, alg_id)
    assert face.GetKeyParam(context, key, f.KP_MODE) == f.CRYPT_MODE_CBC
    assert face.GetKeyParam(context, key, f.KP_MODE_BITS) == 8
    ciphers = set()
    for mode in (f.CRYPT_MODE_CBC, f.CRYPT_MODE_ECB, f.CRYPT_MODE_CFB):
        face.SetKeyParam(context, key, f.KP_MODE, mode)
        assert face.GetKeyParam(context, key, f.KP_MODE) == mode
        cipher = face.Encrypt(context, key, None, True, 0, bytes(40))
        assert face.Decrypt(context, key, None, True, 0, cipher) == bytes(40)
        ciphers.add(cipher)
    assert len(ciphers) == 3
    for mode in (0, f.CRYPT_MODE_OFB, f.CRYPT_MODE_CTS, 6):
        with refused("NTE_BAD_DATA"):
            face.SetKeyParam(context, key, f.KP_MODE, mode)


def test_feedback_is_of_8_bits_and_padding_is_pkcs5(face, context):
    key = face.GenKey(context, f.CALG_DES)
    face.SetKeyParam(context, key, f.KP_MODE_BITS, 8)
    face.SetKeyParam(context, key, f.KP_PADDING, f.PKCS5_PADDING)
    assert face.GetKeyParam(context, key, f.KP_PADDING) == f.PKCS5_PADDING
    for param, value in ((f.KP_MODE_BITS, 64), (f.KP_PADDING, f.RANDOM_PADDING), (f.KP_PADDING, f.ZERO_PADDING)):
        with refused("NTE_BAD_DATA"):
            face.SetKeyParam(context, key, param, value)


def test_the_effective_length_is_rc2_s(face, context):
    key = face.GenKey(context, f.CALG_RC2)
    assert face.GetKeyParam(context, key, f.KP_EFFECTIVE_KEYLEN) == 128
    face.SetKeyParam(context, key, f.KP_EFFECTIVE_KEYLEN, 128)
    with refused("NTE_BAD_LEN"):
        face.SetKeyParam(context, key, f.KP_EFFECTIVE_KEYLEN, 40)
    with refused("NTE_BAD_TYPE"):
        face.GetKeyParam(context, face.GenKey(context, f.CALG_RC4), f.KP_EFFECTIVE_KEYLEN)


@pytest.mark.parametrize("alg_id", [f.CALG_RC4, KEYX], ids=["RC4", "RSA"])
@pytest.mark.parametrize("param", [f.KP_IV, f.KP_MODE, f.KP_MODE_BITS, f.KP_PADDING])
def test_what_has_no_blocks_has_no_modes(face, context, alg_id, param):
    with refused("NTE_BAD_TYPE"):
        face.GetKeyParam(context, face.GenKey(context, alg_id), param)


def test_permissions_never_gain_or_lose_export(face, context):
    for alg_id in (f.CALG_RC4, KEYX):
        closed, open_ = (face.GenKey(context, alg_id, flags) for flags in (0, f.CRYPT_EXPORTABLE))
        assert face.GetKeyParam(context, open_, f.KP_PERMISSIONS) == 0x3F
        assert face.GetKeyParam(context, closed, f.KP_PERMISSIONS) == 0x3B
        face.SetKeyParam(context, closed, f.KP_PERMISSIONS, 0x3F)
        face.SetKeyParam(context, open_, f.KP_PERMISSIONS, 0x3B)
        assert face.GetKeyParam(context, closed, f.KP_PERMISSIONS) == 0x3B
        assert face.GetKeyParam(context, open_, f.KP_PERMISSIONS) == 0x3F
        with refused("NTE_BAD_DATA"):
            face.SetKeyParam(context, open_, f.KP_PERMISSIONS, 0x200)


def test_permissions_are_kept(face, context):
    key = face.GenKey(context, f.CALG_DES)
    face.SetKeyParam(context, key, f.KP_PERMISSIONS, f.CRYPT_READ | f.CRYPT_WRITE)
    assert face.GetKeyParam(context, key, f.KP_PERMISSIONS) == f.CRYPT_READ | f.CRYPT_WRITE
    for call in (face.Encrypt, face.Decrypt):
        with refused("NTE_PERM"):
            call(context, key, None, True, 0, bytes(8))
    with refused("NTE_PERM"):
        face.CreateHash(context, f.CALG_MAC, key)


KINDS = {"session": f.CALG_AES_128, "rc4": f.CALG_RC4, "pair": KEYX}
KNOWN = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 19, 26, 36, 43, 44}
SETTABLE = {"session": {1, 3, 4, 5, 6}, "rc4": {2, 6, 10}, "pair": {6, 36}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("param", sorted(set(range(60)) - KNOWN))
def test_other_parameters_are_bad_types(face, context, kind, param):
    key = face.GenKey(context, KINDS[kind])
    with refused("NTE_BAD_TYPE"):
        face.GetKeyParam(context, key, param)
    with refused("NTE_BAD_TYPE"):
        face.SetKeyParam(context, key, param, b"")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("param", sorted(KNOWN))
def test_a_parameter_is_set_on_the_kinds_that_have_it(face, context, kind, param):
    key = face.GenKey(context, KINDS[kind])
    with refused("ERROR_INVALID_PARAMETER" if param in SETTABLE[kind] else "NTE_BAD_TYPE"):
        face.SetKeyParam(context, key, param, "a text")


@pytest.mark.parametrize("param", [f.KP_CERTIFICATE, f.KP_PIN_ID, f.KP_PIN_INFO, f.KP_OAEP_PARAMS])
def test_keys_in_memory_have_no_certificate_and_no_pin(face, context, param):
    with refused("NTE_BAD_TYPE"):
        face.GetKeyParam(context, face.GenKey(context, KEYX), param)


def test_parameters_take_no_flags(face, context):
    key = face.GenKey(context, f.CALG_AES_128)
    with refused("NTE_BAD_FLAGS"):
        face.GetKeyParam(context, key, f.KP_ALGID, 1)
    with refused("NTE_BAD_FLAGS"):
        face.SetKeyParam(context, key, f.KP_IV, bytes(16), 1)
