"""What the Personal CSP refuses, of what needs no card."""

import pytest
from cryptoapi import FACES, PERSONAL, hashed, pair_flags, refused
from cryptography.hazmat.primitives.asymmetric import rsa

from calais.testing import local_system
from calais.win import blobs
from calais.win import flags as f
from calais.win.structs import HmacInfo

KEYX, SIGN = f.AT_KEYEXCHANGE, f.AT_SIGNATURE


@pytest.fixture(scope="module")
def private_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(params=FACES)
def face(request):
    return FACES[request.param]


@pytest.fixture
def context(face):
    with local_system(), face.acquire(PERSONAL) as made:
        yield made


def test_four_entry_points_are_not_implemented(face, context):
    key, hash_ = face.GenKey(context, f.CALG_RC4), face.CreateHash(context, f.CALG_SHA1)
    calls = [
        lambda: face.DeriveKey(context, f.CALG_RC4, hash_),
        lambda: face.DuplicateKey(context, key),
        lambda: face.HashSessionKey(context, hash_, key),
        lambda: face.DuplicateHash(context, hash_),
    ]
    for call in calls:
        with refused("ERROR_CALL_NOT_IMPLEMENTED"):
            call()


def test_a_bad_handle_is_named_before_a_missing_entry_point(face, context):
    with refused(face.bad_key):
        face.DuplicateKey(context, None)
    with refused(face.bad_hash):
        face.DuplicateHash(context, None)


def test_it_encrypts_verifies_and_destroys(face, context):
    key = face.GenKey(context, KEYX, 1024 << 16 | pair_flags(PERSONAL))
    assert face.Decrypt(context, key, None, True, 0, face.Encrypt(context, key, None, True, 0, b"x")) == b"x"
    hash_ = hashed(face, context, f.CALG_SHA1, b"data")
    face.VerifySignature(context, hash_, face.SignHash(context, hash_, KEYX), key)
    face.DestroyHash(context, hash_)
    face.DestroyKey(context, key)


@pytest.mark.parametrize("kind", [f.OPAQUEKEYBLOB, f.PRIVATEKEYBLOB])
def test_private_keys_are_not_exported(face, context, private_key, kind):
    blob = blobs.build_capi_private(private_key, f.CALG_RSA_KEYX)
    made = face.GenKey(context, SIGN, 1024 << 16 | pair_flags(PERSONAL))
    for key in (face.ImportKey(context, blob, None, f.CRYPT_EXPORTABLE), made):
        with refused("NTE_BAD_TYPE"):
            face.ExportKey(context, key, None, kind)


@pytest.mark.parametrize("spec", [KEYX, SIGN, f.CALG_RSA_KEYX, f.CALG_RSA_SIGN])
@pytest.mark.parametrize(
    "flags",
    [0, f.CRYPT_EXPORTABLE, f.CRYPT_EXPORTABLE | f.CRYPT_USER_PROTECTED, f.CRYPT_ARCHIVABLE | f.CRYPT_USER_PROTECTED],
)
def test_keys_are_protected_by_their_user_and_stay(face, context, spec, flags):
    with refused("NTE_BAD_FLAGS"):
        face.GenKey(context, spec, 1024 << 16 | flags)


def test_session_keys_need_no_protection(face, context):
    key = face.GenKey(context, f.CALG_3DES, f.CRYPT_EXPORTABLE)
    pair = face.GenKey(context, KEYX, 1024 << 16 | pair_flags(PERSONAL))
    blob = face.ExportKey(context, key, pair, f.SIMPLEBLOB)
    there = face.ImportKey(context, blob, pair)
    cipher = face.Encrypt(context, key, None, True, 0, b"text")
    assert face.Decrypt(context, there, None, True, 0, cipher) == b"text"


def test_protection_does_not_ask_by_itself(face):
    with local_system(), face.acquire(PERSONAL, f.CRYPT_VERIFYCONTEXT | f.CRYPT_SILENT) as context:
        face.GenKey(context, KEYX, 1024 << 16 | f.CRYPT_USER_PROTECTED)


@pytest.mark.parametrize("kind", [f.PLAINTEXTKEYBLOB, f.OPAQUEKEYBLOB, f.PUBLICKEYBLOBEX, f.SYMMETRICWRAPKEYBLOB, 0])
def test_other_blobs_are_not_imported(face, context, kind):
    with refused("NTE_BAD_TYPE"):
        face.ImportKey(context, bytes((kind, 2, 0, 0)) + bytes.fromhex("0168000010000000") + bytes(16))


@pytest.mark.parametrize(
    "alg_id",
    [f.CALG_SHA_256, f.CALG_SHA_384, f.CALG_SHA_512, f.CALG_MD2, f.CALG_MD4],
    ids=hex,
)
def test_other_hashes_are_not_created(face, context, alg_id):
    with refused("NTE_BAD_ALGID"):
        face.CreateHash(context, alg_id)


@pytest.mark.parametrize("alg_id", [f.CALG_HMAC, f.CALG_MAC], ids=hex)
def test_keyed_hashes_are_not_created(face, context, alg_id):
    with refused("NTE_BAD_ALGID"):
        face.CreateHash(context, alg_id, face.GenKey(context, f.CALG_DES))


def test_a_hash_takes_a_value_and_nothing_else(face, context):
    hash_ = face.CreateHash(context, f.CALG_SHA1)
    for param in (f.HP_ALGID, f.HP_HASHSIZE, f.HP_HMAC_INFO, 6):
        with refused("NTE_BAD_TYPE"):
            face.SetHashParam(context, hash_, param, HmacInfo(f.CALG_SHA1))
    face.SetHashParam(context, hash_, f.HP_HASHVAL, bytes(20))
    assert face.GetHashParam(context, hash_, f.HP_HASHVAL) == bytes(20)
