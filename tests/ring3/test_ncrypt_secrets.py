"""Agreed secrets and the keys derived from them, against computations made here; row by row."""

import hashlib
import hmac

import pytest
from cng import code_of, memory, new
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from hypothesis import given, settings
from hypothesis import strategies as st

from calais.win import blobs
from calais.winapi.ncrypt import (
    BCRYPT_KDF_HASH,
    BCRYPT_KDF_HMAC,
    BCRYPT_KDF_RAW_SECRET,
    BCRYPT_KDF_SP80056A_CONCAT,
    BCRYPT_KDF_TLS_PRF,
    KDF_ALGORITHMID,
    KDF_HASH_ALGORITHM,
    KDF_HMAC_KEY,
    KDF_PARTYUINFO,
    KDF_PARTYVINFO,
    KDF_SECRET_APPEND,
    KDF_SECRET_PREPEND,
    KDF_SUPPPRIVINFO,
    KDF_SUPPPUBINFO,
    KDF_TLS_PRF_LABEL,
    KDF_TLS_PRF_PROTOCOL,
    KDF_TLS_PRF_SEED,
    NTE_BAD_FLAGS,
    NTE_INVALID_PARAMETER,
    NTE_NO_KEY,
    NTE_NOT_SUPPORTED,
    NTE_PERM,
    BCryptBuffer,
    NCryptDeriveKey,
    NCryptExportKey,
    NCryptImportKey,
    NCryptSecretAgreement,
)

USE_SECRET = 1
CURVES = {"ECDH_P256": ec.SECP256R1(), "ECDH_P384": ec.SECP384R1(), "ECDH_P521": ec.SECP521R1()}


def pair(algorithm="ECDH_P256"):
    """A secret and what it is: one side here, the other in another library."""
    mine, theirs = new(algorithm), ec.generate_private_key(CURVES[algorithm])
    blob = blobs.build_ecc_public(theirs.public_key(), "ECDH")
    other = NCryptImportKey(memory(), None, "ECCPUBLICBLOB", (), blob)
    public, _ = blobs.parse_ecc_public(NCryptExportKey(mine, None, "ECCPUBLICBLOB"))
    return NCryptSecretAgreement(mine, other), theirs.exchange(ec.ECDH(), public)


@pytest.fixture(scope="module")
def agreed():
    return pair()


def parameters(*pairs):
    return [BCryptBuffer(kind, value) for kind, value in pairs]


@pytest.mark.parametrize("algorithm", CURVES)
def test_the_raw_secret_is_little_endian_and_as_wide_as_the_curve(algorithm):
    secret, z = pair(algorithm)
    assert NCryptDeriveKey(secret, BCRYPT_KDF_RAW_SECRET) == z[::-1]
    assert len(z) == (CURVES[algorithm].key_size + 7) // 8


@pytest.mark.parametrize("name", ["MD5", "SHA1", "SHA256", "SHA384", "SHA512"])
def test_hash_joins_what_stands_before_and_after(agreed, name):
    secret, z = agreed
    given = parameters(
        (KDF_SECRET_PREPEND, b"a"),
        (KDF_HASH_ALGORITHM, name),
        (KDF_SECRET_APPEND, b"y"),
        (KDF_SECRET_PREPEND, b"b"),
        (KDF_SECRET_APPEND, b"z"),
    )
    assert NCryptDeriveKey(secret, BCRYPT_KDF_HASH, given) == hashlib.new(name, b"ab" + z + b"yz").digest()


def test_the_hash_is_sha1_when_none_is_named(agreed):
    secret, z = agreed
    assert NCryptDeriveKey(secret, BCRYPT_KDF_HASH) == hashlib.sha1(z).digest()
    assert NCryptDeriveKey(secret, BCRYPT_KDF_HASH, None) == hashlib.sha1(z).digest()
    assert NCryptDeriveKey(secret, BCRYPT_KDF_HMAC, parameters((KDF_HMAC_KEY, b"k"))) == hmac.digest(b"k", z, "sha1")


def test_hmac_takes_a_key_or_the_secret_as_one(agreed):
    secret, z = agreed
    given = parameters((KDF_HASH_ALGORITHM, "SHA256"), (KDF_SECRET_PREPEND, b"p"), (KDF_SECRET_APPEND, b"q"))
    keyed = [*given, BCryptBuffer(KDF_HMAC_KEY, b"key")]
    assert NCryptDeriveKey(secret, BCRYPT_KDF_HMAC, keyed) == hmac.digest(b"key", b"p" + z + b"q", "sha256")
    own = NCryptDeriveKey(secret, BCRYPT_KDF_HMAC, given, 0, USE_SECRET)
    assert own == hmac.digest(z, b"p" + z + b"q", "sha256")
    assert code_of(NCryptDeriveKey, secret, BCRYPT_KDF_HMAC, keyed, 0, USE_SECRET) == NTE_INVALID_PARAMETER
    assert code_of(NCryptDeriveKey, secret, BCRYPT_KDF_HMAC, given) == NTE_INVALID_PARAMETER
    assert code_of(NCryptDeriveKey, secret, BCRYPT_KDF_HASH, given, 0, USE_SECRET) == NTE_INVALID_PARAMETER


def p_hash(name, key, seed, length):
    made, block = b"", seed
    while len(made) < length:
        block = hmac.digest(key, block, name)
        made += hmac.digest(key, block + seed, name)
    return made[:length]


def prf_1_0(z, seed):
    half = (len(z) + 1) // 2
    one, other = p_hash("md5", z[:half], seed, 48), p_hash("sha1", z[-half:], seed, 48)
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


LABEL, SEED = b"master secret", bytes(range(64))


def test_tls_prf_of_each_version(agreed):
    secret, z = agreed
    given = parameters((KDF_TLS_PRF_LABEL, LABEL), (KDF_TLS_PRF_SEED, SEED))
    assert NCryptDeriveKey(secret, BCRYPT_KDF_TLS_PRF, given) == prf_1_0(z, LABEL + SEED)
    for version, expected in (
        (0x0301, prf_1_0(z, LABEL + SEED)),
        (0x0302, prf_1_0(z, LABEL + SEED)),
        (0x0303, p_hash("sha256", z, LABEL + SEED, 48)),
    ):
        more = [*given, BCryptBuffer(KDF_TLS_PRF_PROTOCOL, version.to_bytes(4, "little"))]
        assert NCryptDeriveKey(secret, BCRYPT_KDF_TLS_PRF, more, 48) == expected
    text = parameters((KDF_TLS_PRF_LABEL, "master secret"), (KDF_TLS_PRF_SEED, SEED))
    assert NCryptDeriveKey(secret, BCRYPT_KDF_TLS_PRF, text) == prf_1_0(z, LABEL + SEED)
    assert code_of(NCryptDeriveKey, secret, BCRYPT_KDF_TLS_PRF, given, 49) == NTE_INVALID_PARAMETER


INFO = parameters((KDF_ALGORITHMID, b"alg"), (KDF_PARTYUINFO, b"u"), (KDF_PARTYVINFO, b"v"))


@pytest.mark.parametrize("length", [0, 1, 20, 21, 32, 48, 100, 1000])
@pytest.mark.parametrize("name", [None, "SHA256", "SHA512"])
def test_concatenation_gives_any_length(agreed, length, name):
    secret, z = agreed
    given = [*INFO, *(parameters((KDF_HASH_ALGORITHM, name)) if name else ())]
    algorithm = getattr(hashes, name or "SHA1")()
    expected = ConcatKDFHash(algorithm, length or algorithm.digest_size, b"alguv").derive(z)
    assert NCryptDeriveKey(secret, BCRYPT_KDF_SP80056A_CONCAT, given, length) == expected


def test_concatenation_takes_supplementary_information(agreed):
    secret, z = agreed
    given = [*INFO, *parameters((KDF_SUPPPRIVINFO, b"private"), (KDF_SUPPPUBINFO, b"public"))]
    expected = ConcatKDFHash(hashes.SHA1(), 20, b"alguvpublicprivate").derive(z)
    assert NCryptDeriveKey(secret, BCRYPT_KDF_SP80056A_CONCAT, given) == expected


@pytest.mark.parametrize("missing", range(3))
def test_what_concatenation_needs_must_be_there(agreed, missing):
    given = INFO[:missing] + INFO[missing + 1 :]
    assert code_of(NCryptDeriveKey, agreed[0], BCRYPT_KDF_SP80056A_CONCAT, given) == NTE_INVALID_PARAMETER


@pytest.mark.parametrize("length", [1, 16, 20, 21, 64])
def test_shorter_is_cut_and_longer_is_the_natural_length(agreed, length):
    secret, z = agreed
    assert NCryptDeriveKey(secret, BCRYPT_KDF_HASH, (), length) == hashlib.sha1(z).digest()[:length]
    assert NCryptDeriveKey(secret, BCRYPT_KDF_RAW_SECRET, (), length) == z[::-1][:length]


@pytest.mark.parametrize(
    ("kdf", "given"),
    [
        (BCRYPT_KDF_TLS_PRF, parameters((KDF_TLS_PRF_LABEL, LABEL))),
        (BCRYPT_KDF_TLS_PRF, parameters((KDF_TLS_PRF_SEED, SEED))),
        (BCRYPT_KDF_TLS_PRF, parameters((KDF_TLS_PRF_LABEL, LABEL), (KDF_TLS_PRF_SEED, SEED[1:]))),
        (BCRYPT_KDF_HASH, parameters((KDF_HMAC_KEY, b"k"))),
        (BCRYPT_KDF_HASH, parameters((99, b"k"))),
        (BCRYPT_KDF_HASH, parameters((KDF_HASH_ALGORITHM, "SHA1"), (KDF_HASH_ALGORITHM, "SHA1"))),
        (BCRYPT_KDF_RAW_SECRET, parameters((KDF_HASH_ALGORITHM, "SHA1"))),
        (BCRYPT_KDF_HASH, [b"SHA1"]),
        (BCRYPT_KDF_HASH, b"SHA1"),
        (BCRYPT_KDF_HASH, 5),
        (BCRYPT_KDF_HASH, [BCryptBuffer(KDF_HASH_ALGORITHM, 5)]),
    ],
)
def test_parameters_that_do_not_belong_are_refused(agreed, kdf, given):
    assert code_of(NCryptDeriveKey, agreed[0], kdf, given) == NTE_INVALID_PARAMETER


def test_unknown_derivations_and_hashes_are_not_supported(agreed):
    for kdf in ("HKDF", "PBKDF2", "hash", ""):
        assert code_of(NCryptDeriveKey, agreed[0], kdf) == NTE_NOT_SUPPORTED
    given = parameters((KDF_HASH_ALGORITHM, "SHA224"))
    assert code_of(NCryptDeriveKey, agreed[0], BCRYPT_KDF_HASH, given) == NTE_NOT_SUPPORTED


@pytest.mark.parametrize("length", [-1, 1.5, "8", None, 1 << 40])
def test_a_length_is_a_small_number(agreed, length):
    assert code_of(NCryptDeriveKey, agreed[0], BCRYPT_KDF_HASH, (), length) == NTE_INVALID_PARAMETER


def test_other_flags_are_bad(agreed):
    assert code_of(NCryptDeriveKey, agreed[0], BCRYPT_KDF_HASH, (), 0, 2) == NTE_BAD_FLAGS


def test_both_sides_agree():
    one, other = new("ECDH_P384"), new("ECDH_P384")
    here, there = NCryptSecretAgreement(one, other), NCryptSecretAgreement(other, one)
    assert NCryptDeriveKey(here, BCRYPT_KDF_HASH) == NCryptDeriveKey(there, BCRYPT_KDF_HASH)


def test_who_can_agree_with_whom():
    ecdh, wide, ecdsa, rsa = new("ECDH_P256"), new("ECDH_P384"), new("ECDSA_P256"), new("RSA", Length=1024)
    for other in (wide, ecdsa, rsa):
        assert code_of(NCryptSecretAgreement, ecdh, other) == NTE_INVALID_PARAMETER
    for mine in (ecdsa, rsa):
        assert code_of(NCryptSecretAgreement, mine, ecdh) == NTE_NOT_SUPPORTED
    public = NCryptImportKey(memory(), None, "PUBLICBLOB", (), NCryptExportKey(ecdh, None, "PUBLICBLOB"))
    assert code_of(NCryptSecretAgreement, public, ecdh) == NTE_NO_KEY
    assert code_of(NCryptSecretAgreement, new("ECDH_P256", Key_Usage=2), ecdh) == NTE_PERM


def test_a_secret_shows_nothing(agreed):
    secret, z = agreed
    assert z.hex() not in repr(secret) + repr(vars(secret).keys())


@settings(max_examples=50)
@given(
    kdf=st.sampled_from(["HASH", "HMAC", "TLS_PRF", "SP800_56A_CONCAT", "TRUNCATE"]),
    given=st.lists(
        st.builds(BCryptBuffer, st.integers(0, 20), st.binary(max_size=70) | st.text(max_size=8)), max_size=5
    ),
    length=st.integers(0, 100),
)
def test_random_parameters_give_a_key_or_a_code_of_cng(kdf, given, length):
    from cng import outcome_of

    assert outcome_of(NCryptDeriveKey, one_secret(), kdf, given, length).startswith(("done", "NTE_"))


def one_secret(kept=[]):  # noqa: B006 - one secret for all examples
    if not kept:
        kept.append(pair()[0])
    return kept[0]
