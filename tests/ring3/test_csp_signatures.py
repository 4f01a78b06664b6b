"""Signatures in memory and their verification: both faces, all providers."""

import hashlib

import pytest
from cryptoapi import BASE, ENHANCED, FACES, TYPES, hashed, pair_flags, refused
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, SHA384, SHA512

from calais.minidriver.padding import Raw
from calais.provider.csp.memorykeys import PublicRsaKey
from calais.testing import local_system
from calais.win import blobs
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


@pytest.fixture
def key(face, context):
    blob = bytes.fromhex("080200000266000010000000") + bytes(range(16))
    return face.ImportKey(context, blob)


def new_hmac(face, context, key, info):
    made = face.CreateHash(context, f.CALG_HMAC, key)
    face.SetHashParam(context, made, f.HP_HMAC_INFO, info)
    return made


def put(face, context, key, spec=KEYX):
    alg_id = f.CALG_RSA_KEYX if spec == KEYX else f.CALG_RSA_SIGN
    return face.ImportKey(context, blobs.build_capi_private(key, alg_id))


@pytest.mark.parametrize("spec", [KEYX, SIGN])
@pytest.mark.parametrize("alg_id", DIGESTS, ids=named)
def test_a_signature_reversed_is_one_of_pkcs1(face, context, private_key, alg_id, spec):
    put(face, context, private_key, spec)
    signature = face.SignHash(context, hashed(face, context, alg_id, b"data"), spec)
    private_key.public_key().verify(signature[::-1], b"data", padding.PKCS1v15(), DIGESTS[alg_id][1])


@pytest.mark.parametrize("alg_id", [*OLD, f.CALG_SHA_256], ids=named)
@pytest.mark.parametrize("flags", [0, f.CRYPT_NOHASHOID])
def test_without_identifier_the_value_alone_is_signed(face, context, private_key, alg_id, flags):
    put(face, context, private_key)
    value = bytes(range(SIZES[alg_id]))
    signature = face.SignHash(context, with_value(face, context, alg_id, value), KEYX, None, flags)
    public = private_key.public_key()
    signed = public.recover_data_from_signature(signature[::-1], padding.PKCS1v15(), None)
    bare = flags or alg_id == f.CALG_SSL3_SHAMD5
    assert signed == value if bare else signed.endswith(value) and signed.startswith(b"\x30")
    if bare:
        public.verify(signature[::-1], value, padding.PKCS1v15(), utils.NoDigestInfo())


@pytest.mark.parametrize("made", [0, f.CRYPT_NOHASHOID])
@pytest.mark.parametrize("checked", [0, f.CRYPT_NOHASHOID])
def test_verification_takes_both_forms_whatever_the_flags(face, anywhere, provider, made, checked):
    key = face.GenKey(anywhere, SIGN, 1024 << 16 | pair_flags(provider))
    signature = face.SignHash(anywhere, hashed(face, anywhere, f.CALG_SHA1, b"data"), SIGN, "", made)
    for _ in range(2):
        face.VerifySignature(anywhere, hashed(face, anywhere, f.CALG_SHA1, b"data"), signature, key, None, checked)
    with refused("NTE_BAD_SIGNATURE"):
        face.VerifySignature(anywhere, hashed(face, anywhere, f.CALG_SHA1, b"other"), signature, key, None, checked)
    with refused("NTE_BAD_SIGNATURE"):
        face.VerifySignature(anywhere, hashed(face, anywhere, f.CALG_MD5, b"data"), signature, key, None, checked)


def test_a_signature_that_is_not_one_is_refused(face, context, private_key):
    key = put(face, context, private_key)
    good = face.SignHash(context, hashed(face, context, f.CALG_SHA1, b"data"), KEYX)
    bad = [b"", good[:-1], good + b"\0", good[::-1], bytes(256), b"\xff" * 256, bytes((good[0] ^ 1,)) + good[1:]]
    for signature in bad:
        with refused("NTE_BAD_SIGNATURE"):
            face.VerifySignature(context, hashed(face, context, f.CALG_SHA1, b"data"), signature, key)


def test_any_rsa_key_verifies(face, context, private_key):
    put(face, context, private_key)
    signature = face.SignHash(context, hashed(face, context, f.CALG_SHA1, b"data"), KEYX)
    for alg_id in (f.CALG_RSA_KEYX, f.CALG_RSA_SIGN):
        key = face.ImportKey(context, blobs.build_capi_public(private_key.public_key(), alg_id))
        face.VerifySignature(context, hashed(face, context, f.CALG_SHA1, b"data"), signature, key)


@pytest.fixture(scope="module")
def small_key():
    """As old certificates have; nobody makes such keys any more."""
    e, p, q = 65537, (1 << 255) - 19, (1 << 256) - 189
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q))
    return numbers.private_key()


def test_a_small_key_signs_and_verifies(face, context, small_key):
    key = put(face, context, small_key)
    signature = face.SignHash(context, hashed(face, context, f.CALG_SHA1, b"data"), KEYX)
    assert len(signature) == 64
    face.VerifySignature(context, hashed(face, context, f.CALG_SHA1, b"data"), signature, key)


def test_a_hash_must_fit_the_modulus(face, context, small_key):
    key = put(face, context, small_key)
    for flags in (0, f.CRYPT_NOHASHOID):
        with refused("NTE_BAD_LEN"):
            face.SignHash(context, hashed(face, context, f.CALG_SHA_512, b"data"), KEYX, None, flags)
    with refused("NTE_BAD_SIGNATURE"):
        face.VerifySignature(context, hashed(face, context, f.CALG_SHA_512, b"data"), bytes(64), key)


def test_a_public_key_signs_nothing_by_itself(context, private_key):
    key = PublicRsaKey(private_key.public_key(), KEYX)
    assert key.private_key() is None
    with refused("NTE_NO_KEY"):
        key.sign(b"", None)
    with refused("NTE_BAD_KEY"):
        key.decrypt(b"", Raw())


def test_only_rsa_keys_verify(face, context):
    hash_ = hashed(face, context, f.CALG_SHA1, b"data")
    with refused("NTE_BAD_KEY"):
        face.VerifySignature(context, hash_, b"", face.GenKey(context, f.CALG_RC4))
    with refused(face.bad_key):
        face.VerifySignature(context, hash_, b"", None)


@pytest.mark.parametrize("flags", [f.CRYPT_TYPE2_FORMAT, f.CRYPT_X931_FORMAT, 8])
def test_other_formats_are_not_offered(face, context, private_key, flags):
    key = put(face, context, private_key)
    with refused("NTE_BAD_FLAGS"):
        face.SignHash(context, hashed(face, context, f.CALG_SHA1, b""), KEYX, None, flags)
    with refused("NTE_BAD_FLAGS"):
        face.VerifySignature(context, hashed(face, context, f.CALG_SHA1, b""), bytes(256), key, None, flags)


def test_descriptions_are_of_the_past(face, context, private_key):
    key = put(face, context, private_key)
    with refused("NTE_BAD_FLAGS"):
        face.SignHash(context, hashed(face, context, f.CALG_SHA1, b""), KEYX, "a description")
    with refused("NTE_BAD_FLAGS"):
        face.VerifySignature(context, hashed(face, context, f.CALG_SHA1, b""), bytes(256), key, "a description")


@pytest.mark.parametrize("spec", [0, 3, f.CALG_RSA_SIGN, "1"])
def test_signing_wants_a_slot(face, context, spec):
    with refused("NTE_BAD_KEY"):
        face.SignHash(context, hashed(face, context, f.CALG_SHA1, b""), spec)


def test_a_keyed_hash_is_signed_without_identifier_only(face, context, key, private_key):
    pair = put(face, context, private_key)
    hash_ = new_hmac(face, context, key, HmacInfo(f.CALG_SHA1))
    with refused("NTE_BAD_ALGID"):
        face.SignHash(context, hash_, KEYX)
    signature = face.SignHash(context, hash_, KEYX, None, f.CRYPT_NOHASHOID)
    face.VerifySignature(context, hash_, signature, pair)


def test_a_hash_that_has_no_value_is_not_signed(face, context, private_key):
    put(face, context, private_key)
    with refused("NTE_BAD_HASH_STATE"):
        face.SignHash(context, face.CreateHash(context, f.CALG_SSL3_SHAMD5), KEYX)


def test_base_signs_with_sha_2(face):
    with local_system(), face.acquire(BASE) as context:
        key = face.GenKey(context, KEYX)
        signature = face.SignHash(context, hashed(face, context, f.CALG_SHA_512, b"data"), KEYX)
        face.VerifySignature(context, hashed(face, context, f.CALG_SHA_512, b"data"), signature, key)
