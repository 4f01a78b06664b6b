"""Session keys: made, derived, carried and used; both faces."""

import hashlib
import hmac

import pytest
from cryptoapi import BASE, ENHANCED, FACES, PERSONAL, TYPES, hashed, refused
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

from calais.testing import local_system
from calais.win import flags as f
from calais.win.structs import HmacInfo

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


# --- making ---


@pytest.mark.parametrize("provider", TYPES, ids=["B", "P", "E"])
def test_each_provider_makes_its_session_keys(face, provider, algorithm):
    with local_system(), face.acquire(provider) as context:
        if provider == PERSONAL and algorithm in NEW:
            with refused("NTE_BAD_ALGID"):
                face.GenKey(context, algorithm)
            return
        key = face.GenKey(context, algorithm, f.CRYPT_EXPORTABLE)
        assert face.GetKeyParam(context, key, f.KP_ALGID) == algorithm
        assert face.GetKeyParam(context, key, f.KP_KEYLEN) == BITS[algorithm]
        assert face.GetKeyParam(context, key, f.KP_BLOCKLEN) == BLOCKS[algorithm]


def test_generated_keys_differ(face, context, algorithm):
    keys = {plaintext(face, context, face.GenKey(context, algorithm, 1)) for _ in range(3)}
    assert len(keys) == 3


@pytest.mark.parametrize("bits", range(40, 129, 8))
def test_rc4_has_every_length_from_40_to_128(face, context, bits):
    key = face.GenKey(context, f.CALG_RC4, bits << 16 | 1)
    assert face.GetKeyParam(context, key, f.KP_KEYLEN) == bits
    assert len(plaintext(face, context, key)) == bits // 8


@pytest.mark.parametrize(
    ("alg_id", "bits"),
    [
        (f.CALG_RC4, 32),
        (f.CALG_RC4, 41),
        (f.CALG_RC4, 136),
        (f.CALG_RC2, 32),
        (f.CALG_RC2, 40),
        (f.CALG_RC2, 120),
        (f.CALG_RC2, 136),
        (f.CALG_DES, 40),
        (f.CALG_3DES, 112),
        (f.CALG_3DES_112, 168),
        (f.CALG_AES_128, 192),
        (f.CALG_AES_256, 128),
    ],
    ids=lambda value: named(value) if value > 1000 else value,
)
def test_other_lengths_are_bad_lengths(face, context, alg_id, bits):
    with refused("NTE_BAD_LEN"):
        face.GenKey(context, alg_id, bits << 16)
    with refused("NTE_BAD_LEN"):
        face.DeriveKey(context, alg_id, hashed(face, context, f.CALG_SHA1, b"x"), bits << 16)


@pytest.mark.parametrize(
    ("alg_id", "bits"),
    [
        (f.CALG_DES, 56),
        (f.CALG_DES, 64),
        (f.CALG_3DES_112, 112),
        (f.CALG_3DES_112, 128),
        (f.CALG_3DES, 168),
        (f.CALG_3DES, 192),
    ],
    ids=lambda value: named(value) if value > 1000 else value,
)
def test_parity_may_be_counted_or_not(face, context, alg_id, bits):
    assert face.GetKeyParam(context, face.GenKey(context, alg_id, bits << 16), f.KP_KEYLEN) == BITS[alg_id]


def test_archiving_is_for_rsa_keys(face, context, algorithm):
    with refused("NTE_BAD_FLAGS"):
        face.GenKey(context, algorithm, f.CRYPT_ARCHIVABLE)


# --- deriving ---


def expanded(digest, value, size):
    """CryptDeriveKey's own way, where the bytes of the hash will not do."""
    pads = (bytes(one ^ pad for one in value.ljust(64, b"\0")) for pad in (0x36, 0x5C))
    return b"".join(hashlib.new(digest, pad).digest() for pad in pads)[:size]


DIGESTS = {f.CALG_MD5: "md5", f.CALG_SHA1: "sha1", f.CALG_SHA_256: "sha256", f.CALG_SHA_512: "sha512"}


@pytest.mark.parametrize("hash_id", DIGESTS, ids=named)
def test_a_key_is_derived_by_microsoft_s_rule(face, context, algorithm, hash_id):
    key = face.DeriveKey(context, algorithm, hashed(face, context, hash_id, b"password"), f.CRYPT_EXPORTABLE)
    value, size = hashlib.new(DIGESTS[hash_id], b"password").digest(), BITS[algorithm] // 8
    demanded = algorithm in (f.CALG_3DES, *NEW) and hash_id in (f.CALG_MD5, f.CALG_SHA1)
    wanted = expanded(DIGESTS[hash_id], value, size) if demanded or len(value) < size else value[:size]
    assert plaintext(face, context, key) == wanted


def test_deriving_finishes_the_hash(face, context):
    hash_ = hashed(face, context, f.CALG_SHA1, b"password")
    one = face.DeriveKey(context, f.CALG_RC4, hash_, 1)
    with refused("NTE_BAD_HASH_STATE"):
        face.HashData(context, hash_, b"more")
    assert plaintext(face, context, face.DeriveKey(context, f.CALG_RC4, hash_, 1)) == plaintext(face, context, one)


@pytest.mark.parametrize("alg_id", [KEYX, f.AT_SIGNATURE, f.CALG_RSA_KEYX, f.CALG_SHA1, f.CALG_RC5, 0], ids=hex)
def test_only_session_keys_are_derived(face, context, alg_id):
    with refused("NTE_BAD_ALGID"):
        face.DeriveKey(context, alg_id, hashed(face, context, f.CALG_SHA1, b"x"))


def test_deriving_wants_a_hash(face, context):
    with refused(face.bad_hash):
        face.DeriveKey(context, f.CALG_RC4, None)
    with refused("NTE_BAD_FLAGS"):
        face.DeriveKey(context, f.CALG_RC4, hashed(face, context, f.CALG_SHA1, b"x"), 0x40)


def test_a_mac_makes_no_key_that_is_longer(face, context):
    key = face.GenKey(context, f.CALG_DES)
    short = face.CreateHash(context, f.CALG_MAC, key)
    assert len(plaintext(face, context, face.DeriveKey(context, f.CALG_DES, short, 1))) == 8
    with refused("NTE_BAD_HASH"):
        face.DeriveKey(context, f.CALG_AES_256, short)


# --- carrying ---


@pytest.mark.parametrize("flags", [0, f.CRYPT_OAEP])
@pytest.mark.parametrize("with_key", [True, False], ids=["with hPubKey", "with the slot"])
def test_a_session_key_travels_to_an_exchange_key(face, context, algorithm, flags, with_key):
    pair = face.GenKey(context, KEYX)
    key = face.GenKey(context, algorithm, f.CRYPT_EXPORTABLE)
    blob = face.ExportKey(context, key, pair, f.SIMPLEBLOB, flags)
    there = face.ImportKey(context, blob, pair if with_key else None, flags | f.CRYPT_EXPORTABLE)
    assert plaintext(face, context, there) == plaintext(face, context, key)
    assert face.GetKeyParam(context, there, f.KP_ALGID) == algorithm


def test_the_label_of_a_key_is_used_for_its_blobs_too(face, context):
    pair, key = face.GenKey(context, KEYX), face.GenKey(context, f.CALG_AES_128, 1)
    face.SetKeyParam(context, pair, f.KP_OAEP_PARAMS, b"a label")
    blob = face.ExportKey(context, key, pair, f.SIMPLEBLOB, f.CRYPT_OAEP)
    assert plaintext(face, context, face.ImportKey(context, blob, pair, f.CRYPT_OAEP | 1)) == plaintext(
        face, context, key
    )
    with refused("NTE_BAD_DATA"):
        face.ImportKey(context, blob, None, f.CRYPT_OAEP)


def test_an_encrypted_key_needs_somebody_to_decrypt_it(face, context):
    with face.acquire(ENHANCED) as other:
        pair = face.GenKey(other, KEYX, 1)
        blob = face.ExportKey(other, face.GenKey(other, f.CALG_RC4, 1), pair, f.SIMPLEBLOB)
        public = face.ExportKey(other, pair, None, f.PUBLICKEYBLOB)
        sealed = face.ExportKey(other, pair, None, f.PRIVATEKEYBLOB)
    with refused("NTE_NO_KEY"):
        face.ImportKey(context, blob)
    with refused("NTE_BAD_KEY"):
        face.ImportKey(context, blob, face.ImportKey(context, public))
    with refused("NTE_BAD_KEY"):
        face.ImportKey(context, blob, face.GenKey(context, f.CALG_RC4))
    with refused("NTE_BAD_KEY"):
        face.ImportKey(context, blob, face.GenKey(context, f.AT_SIGNATURE))
    with refused(face.bad_key):
        face.ImportKey(context, blob, "no handle")
    face.GenKey(context, KEYX)
    with refused("NTE_BAD_DATA"):
        face.ImportKey(context, blob)
    face.ImportKey(context, sealed)
    face.ImportKey(context, blob)


def test_an_encrypted_key_is_of_a_known_algorithm_and_by_rsa(face, context):
    pair = face.GenKey(context, KEYX)
    blob = face.ExportKey(context, face.GenKey(context, f.CALG_RC4, 1), pair, f.SIMPLEBLOB)
    for damaged in (blob[:4] + b"\x0d\x66\0\0" + blob[8:], blob[:8] + b"\0\x24\0\0" + blob[12:]):
        with refused("NTE_BAD_ALGID"):
            face.ImportKey(context, damaged)
    with refused("NTE_BAD_DATA"):
        face.ImportKey(context, blob[:-1])


def test_keys_that_may_not_leave_do_not(face, context, algorithm):
    key, pair = face.GenKey(context, algorithm), face.GenKey(context, KEYX)
    for kind, by in ((f.PLAINTEXTKEYBLOB, None), (f.SIMPLEBLOB, pair)):
        with refused("NTE_BAD_KEY_STATE"):
            face.ExportKey(context, key, by, kind)


def test_a_plain_key_comes_in(face, context, algorithm):
    value = bytes(range(BITS[algorithm] // 8))
    assert plaintext(face, context, carried(face, context, algorithm, value)) == value
    with refused("NTE_BAD_KEY_STATE"):
        plaintext(face, context, carried(face, context, algorithm, value, 0))


def test_a_plain_key_of_a_wrong_length_is_refused(face, context, algorithm):
    with refused("NTE_BAD_LEN" if algorithm in (f.CALG_RC2, f.CALG_RC4) else "NTE_BAD_DATA"):
        carried(face, context, algorithm, bytes(33))


@pytest.mark.parametrize("length", [1, 5, 16, 20, 64, 200])
def test_an_hmac_key_of_any_length_comes_in_as_rc2(face, context, length):
    value = bytes(range(length))
    key = carried(face, context, f.CALG_RC2, value, f.CRYPT_IPSEC_HMAC_KEY)
    hash_ = face.CreateHash(context, f.CALG_HMAC, key)
    face.SetHashParam(context, hash_, f.HP_HMAC_INFO, HmacInfo(f.CALG_SHA1))
    face.HashData(context, hash_, b"data")
    assert face.GetHashParam(context, hash_, f.HP_HASHVAL) == hmac.digest(value, b"data", "sha1")
    if length != 16:
        with refused("NTE_BAD_LEN"):
            face.Encrypt(context, key, None, True, 0, b"data")


@pytest.mark.parametrize("alg_id", [f.CALG_RC4, f.CALG_AES_128], ids=named)
def test_only_rc2_stands_for_hmac_keys(face, context, alg_id):
    with refused("NTE_BAD_FLAGS"):
        carried(face, context, alg_id, bytes(16), f.CRYPT_IPSEC_HMAC_KEY)


# --- using ---


def test_aes_is_aes(face, context):
    key = carried(face, context, f.CALG_AES_128, b"sixteen byte key")
    face.SetKeyParam(context, key, f.KP_IV, bytes(range(16)))
    cipher = Cipher(AES(b"sixteen byte key"), CBC(bytes(range(16)))).encryptor()
    padded = b"hello".ljust(16, b"\x0b")
    assert face.Encrypt(context, key, None, True, 0, b"hello") == cipher.update(padded)
    face.SetKeyParam(context, key, f.KP_MODE, f.CRYPT_MODE_ECB)
    single = Cipher(AES(b"sixteen byte key"), ECB()).encryptor()
    assert face.Encrypt(context, key, None, True, 0, b"hello") == single.update(padded)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 15, 16, 17, 100])
def test_the_last_part_is_padded(face, context, algorithm, length):
    key, block = face.GenKey(context, algorithm), BLOCKS[algorithm] // 8
    cipher = face.Encrypt(context, key, None, True, 0, bytes(length))
    assert len(cipher) == (length + block - length % block if block else length)
    assert face.Decrypt(context, key, None, True, 0, cipher) == bytes(length)


def test_the_chain_goes_on_until_the_last_part(face, context, algorithm):
    key, block = face.GenKey(context, algorithm), BLOCKS[algorithm] // 8 or 5
    whole = face.Encrypt(context, key, None, True, 0, bytes(3 * block))
    parts = [face.Encrypt(context, key, None, False, 0, bytes(block)) for _ in range(2)]
    assert b"".join(parts) + face.Encrypt(context, key, None, True, 0, bytes(block)) == whole
    assert face.Encrypt(context, key, None, True, 0, bytes(3 * block)) == whole
    cut = [
        face.Decrypt(context, key, None, False, 0, whole[:block]),
        face.Decrypt(context, key, None, True, 0, whole[block:]),
    ]
    assert b"".join(cut) == bytes(3 * block)


@pytest.mark.parametrize("alg_id", BLOCK_CIPHERS, ids=named)
def test_a_part_that_is_no_whole_blocks_is_a_bad_length(face, context, alg_id):
    key = face.GenKey(context, alg_id)
    for call in (face.Encrypt, face.Decrypt):
        with refused("NTE_BAD_LEN"):
            call(context, key, None, False, 0, b"12345")


@pytest.mark.parametrize("alg_id", BLOCK_CIPHERS, ids=named)
@pytest.mark.parametrize("cipher", [b"", b"12345", bytes(33)], ids=["nothing", "five", "33"])
def test_a_last_part_that_is_no_whole_blocks_is_bad_data(face, context, alg_id, cipher):
    with refused("NTE_BAD_DATA"):
        face.Decrypt(context, face.GenKey(context, alg_id), None, True, 0, cipher)


@pytest.mark.parametrize("last", [0, 17, 0xFF])
def test_bad_padding_is_bad_data(face, context, last):
    key = face.GenKey(context, f.CALG_AES_128)
    cipher = face.Encrypt(context, key, None, False, 0, bytes(15) + bytes((last,)))
    face.Encrypt(context, key)
    with refused("NTE_BAD_DATA"):
        face.Decrypt(context, key, None, True, 0, cipher)
    good = face.Encrypt(context, key, None, True, 0, b"text")
    assert face.Decrypt(context, key, None, True, 0, good) == b"text"


@pytest.mark.parametrize("flags", [1, f.CRYPT_DECRYPT_RSA_NO_PADDING_CHECK, f.CRYPT_OAEP])
def test_session_keys_take_no_flags(face, context, algorithm, flags):
    key = face.GenKey(context, algorithm)
    for call in (face.Encrypt, face.Decrypt):
        with refused("NTE_BAD_FLAGS"):
            call(context, key, None, True, flags, bytes(16))


def test_a_hash_takes_every_part_in(face, context):
    key = face.GenKey(context, f.CALG_AES_128)
    one, other = (face.CreateHash(context, f.CALG_SHA1) for _ in range(2))
    cipher = face.Encrypt(context, key, one, False, 0, bytes(16)) + face.Encrypt(context, key, one, True, 0, b"end")
    face.Decrypt(context, key, other, True, 0, cipher)
    wanted = hashlib.sha1(bytes(16) + b"end").digest()
    assert [face.GetHashParam(context, each, f.HP_HASHVAL) for each in (one, other)] == [wanted, wanted]
    with refused(face.bad_hash):
        face.Encrypt(context, key, "no handle", True, 0, b"")


def test_a_duplicate_goes_on_by_itself(face, context, algorithm):
    key = face.GenKey(context, algorithm, f.CRYPT_EXPORTABLE)
    face.Encrypt(context, key, None, False, 0, bytes(16))
    twin = face.DuplicateKey(context, key)
    assert face.Encrypt(context, key, None, True, 0, b"text") == face.Encrypt(context, twin, None, True, 0, b"text")
    face.DestroyKey(context, key)
    assert plaintext(face, context, twin)
    assert face.GetKeyParam(context, twin, f.KP_PERMISSIONS) & f.CRYPT_EXPORT


def test_a_duplicate_of_a_pair_is_one_more_handle(face, context):
    pair = face.GenKey(context, KEYX)
    twin = face.DuplicateKey(context, pair)
    face.DestroyKey(context, pair)
    assert face.Decrypt(context, twin, None, True, 0, face.Encrypt(context, twin, None, True, 0, b"x")) == b"x"


def test_duplicating_takes_neither_flags_nor_reserved(face, context):
    key, hash_ = face.GenKey(context, f.CALG_RC4), face.CreateHash(context, f.CALG_MD5)
    for call, handle in ((face.DuplicateKey, key), (face.DuplicateHash, hash_)):
        with refused("NTE_BAD_FLAGS"):
            call(context, handle, None, 1)
        with refused("ERROR_INVALID_PARAMETER"):
            call(context, handle, b"")


def test_base_works_as_the_enhanced_provider(face):
    with local_system(), face.acquire(BASE) as context:
        key = face.DeriveKey(context, f.CALG_AES_256, hashed(face, context, f.CALG_SHA_256, b"x"), 1)
        assert plaintext(face, context, key) == hashlib.sha256(b"x").digest()
