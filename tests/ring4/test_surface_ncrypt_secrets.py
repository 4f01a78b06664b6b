"""CNG secret agreement and key derivation, black box, against ``cryptography`` and plain formulas."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from surfacedesk import PIN, ec_key, ecc_blob, refused, rsa_key

from calais import WinError
from calais.testing import local_system, virtual_gids
from calais.winapi import ncrypt as nc

CARD, MEMORY = nc.MS_SMART_CARD_KEY_STORAGE_PROVIDER, nc.MS_KEY_STORAGE_PROVIDER
MAGIC = {256: b"ECK1", 384: b"ECK3", 521: b"ECK5"}
B = nc.BCryptBuffer
Z = ec_key(256, 0).exchange(ec.ECDH(), ec_key(256, 5).public_key())


def sha(name, data):
    return hashlib.new(name, data).digest()


@pytest.fixture(scope="module")
def system():
    with local_system() as system:
        keys = [("dh", nc.AT_KEYEXCHANGE, ec_key(), None), ("dsa", nc.AT_SIGNATURE, ec_key(256, 1), None)]
        system.insert(virtual_gids(keys=[*keys, ("box", nc.AT_KEYEXCHANGE, rsa_key(), None)]))
        yield system


def peer(bits=256, number=5, magic=None):
    prov = nc.NCryptOpenStorageProvider(MEMORY)
    return nc.NCryptImportKey(prov, None, "ECCPUBLICBLOB", (), ecc_blob(ec_key(bits, number), magic or MAGIC[bits]))


def card_key(name="dh"):
    key = nc.NCryptOpenKey(nc.NCryptOpenStorageProvider(CARD), name)
    nc.NCryptSetProperty(key, nc.NCRYPT_PIN_PROPERTY, PIN)
    return key


@pytest.fixture
def secret(system):
    return nc.NCryptSecretAgreement(card_key(), peer())


def derive(secret, kdf, parameters=(), size=0, flags=0):
    return nc.NCryptDeriveKey(secret, kdf, parameters, size, flags)


@pytest.mark.parametrize("bits", [256, 384, 521])
def test_the_raw_secret_is_little_endian_and_as_wide_as_the_curve(system, bits):
    mine = ecc_blob(ec_key(bits), {256: b"ECK2", 384: b"ECK4", 521: b"ECK6"}[bits], private=True)
    key = nc.NCryptImportKey(nc.NCryptOpenStorageProvider(MEMORY), None, "ECCPRIVATEBLOB", (), mine)
    wanted = ec_key(bits).exchange(ec.ECDH(), ec_key(bits, 5).public_key())
    secret = nc.NCryptSecretAgreement(hPrivKey=key, hPubKey=peer(bits))
    assert isinstance(secret, nc.NCryptSecret)
    assert derive(secret, nc.BCRYPT_KDF_RAW_SECRET) == wanted[::-1]
    assert derive(secret, "TRUNCATE", (), 10) == wanted[::-1][:10]
    assert derive(secret, "TRUNCATE", (), 500) == wanted[::-1]


def test_a_card_agrees(secret):
    assert derive(secret, "TRUNCATE", None) == Z[::-1]


@pytest.mark.parametrize("name", ["MD5", "SHA1", "SHA256", "SHA384", "SHA512"])
def test_the_hash_of_the_secret(secret, name):
    assert derive(secret, "HASH", [B(0, name)]) == sha(name, Z)
    assert derive(secret, "HASH", [B(0, name), B(1, b"a"), B(2, b"y"), B(1, b"b"), B(2, b"z")]) == sha(
        name, b"ab" + Z + b"yz"
    )
    assert derive(secret, "HASH", [B(0, name)], 7) == sha(name, Z)[:7]
    assert derive(secret, "HASH", [B(0, name)], 700) == sha(name, Z)


def test_the_hash_is_sha1_without_a_word(secret):
    assert derive(secret, nc.BCRYPT_KDF_HASH) == sha("sha1", Z)


def test_the_hmac_of_the_secret(secret):
    told = [B(0, "SHA256"), B(1, b"a"), B(2, b"z")]
    assert derive(secret, "HMAC", [*told, B(3, b"key")]) == hmac.digest(b"key", b"a" + Z + b"z", "sha256")
    flag = nc.KDF_USE_SECRET_AS_HMAC_KEY_FLAG
    assert derive(secret, "HMAC", told, 0, flag) == hmac.digest(Z, b"a" + Z + b"z", "sha256")
    assert derive(secret, "HMAC", [B(3, b"k")]) == hmac.digest(b"k", Z, "sha1")
    refused("NTE_INVALID_PARAMETER", derive, secret, "HMAC", [*told, B(3, b"key")], 0, flag)
    refused("NTE_INVALID_PARAMETER", derive, secret, "HMAC", told)


def test_the_concatenation_kdf(secret):
    told = [B(8, b"alg"), B(9, b"u"), B(10, b"v")]
    for extra, tail in (([], b""), ([B(0xB, b"pub"), B(0xC, b"priv")], b"pubpriv")):
        for name, algorithm in ((None, hashes.SHA1()), ("SHA256", hashes.SHA256())):
            chosen = [B(0, name)] if name else []
            for size in (0, 5, 100):
                length = size or algorithm.digest_size
                wanted = ConcatKDFHash(algorithm, length, b"alguv" + tail).derive(Z)
                assert derive(secret, "SP800_56A_CONCAT", [*told, *extra, *chosen], size) == wanted
    for missing in range(3):
        refused("NTE_INVALID_PARAMETER", derive, secret, "SP800_56A_CONCAT", told[:missing] + told[missing + 1 :])


def p_hash(name, secret, seed, size):
    out, a = b"", seed
    while len(out) < size:
        a = hmac.digest(secret, a, name)
        out += hmac.digest(secret, a + seed, name)
    return out[:size]


def test_the_prf_of_tls(secret):
    seed = bytes(range(64))
    told = [B(4, b"label"), B(5, seed)]
    half = (len(Z) + 1) // 2
    pairs = zip(
        p_hash("md5", Z[:half], b"label" + seed, 48), p_hash("sha1", Z[-half:], b"label" + seed, 48), strict=True
    )
    wanted = bytes(a ^ b for a, b in pairs)
    for size in (0, 48):
        assert derive(secret, "TLS_PRF", told, size) == wanted
    refused("NTE_INVALID_PARAMETER", derive, secret, "TLS_PRF", told[:1])
    refused("NTE_INVALID_PARAMETER", derive, secret, "TLS_PRF", told[1:])
    refused("NTE_INVALID_PARAMETER", derive, secret, "TLS_PRF", [B(4, b"label"), B(5, seed[:-1])])
    newer = derive(secret, "TLS_PRF", [*told, B(7, (0x0303).to_bytes(4, "little"))])
    assert len(newer) == 48


@pytest.mark.parametrize(
    ("kdf", "parameters", "flags", "code"),
    [
        pytest.param("hash", (), 0, "NTE_NOT_SUPPORTED", id="case"),
        pytest.param("PBKDF2", (), 0, "NTE_NOT_SUPPORTED", id="pbkdf2"),
        pytest.param("CAPI_KDF", (), 0, "NTE_NOT_SUPPORTED", id="capi"),
        pytest.param("HASH", [B(0, "SHA3")], 0, "NTE_NOT_SUPPORTED", id="hash"),
        pytest.param("HASH", [B(3, b"key")], 0, "NTE_INVALID_PARAMETER", id="hash-foreign"),
        pytest.param("TRUNCATE", [B(0, "SHA1")], 0, "NTE_INVALID_PARAMETER", id="raw-foreign"),
        pytest.param("HMAC", [B(3, b"key"), B(8, b"x")], 0, "NTE_INVALID_PARAMETER", id="hmac-foreign"),
        pytest.param("HASH", [B(99, b"x")], 0, "NTE_INVALID_PARAMETER", id="unknown"),
        pytest.param("HASH", (), 2, "NTE_BAD_FLAGS", id="flag"),
    ],
)
def test_a_derivation_that_is_refused(secret, kdf, parameters, flags, code):
    refused(code, derive, secret, kdf, parameters, 0, flags)


def test_who_may_agree_with_whom(system):
    dh = card_key()
    refused("NTE_INVALID_PARAMETER", nc.NCryptSecretAgreement, dh, peer(384))
    refused("NTE_INVALID_PARAMETER", nc.NCryptSecretAgreement, dh, peer(256, 5, b"ECS1"))
    refused("NTE_INVALID_PARAMETER", nc.NCryptSecretAgreement, dh, card_key("box"))
    refused("NTE_INVALID_HANDLE", nc.NCryptSecretAgreement, dh, None)
    for name in ("dsa", "box"):
        with pytest.raises(WinError) as caught:
            nc.NCryptSecretAgreement(card_key(name), peer())
        assert caught.value.name in ("NTE_NOT_SUPPORTED", "NTE_INVALID_PARAMETER")
    refused("NTE_NO_KEY", nc.NCryptSecretAgreement, peer(256, 6), peer())
    refused("NTE_BAD_FLAGS", nc.NCryptSecretAgreement, dh, peer(), 1)


def test_the_secret_dies_when_it_is_freed(system, secret):
    assert derive(secret, "TRUNCATE")
    assert nc.NCryptFreeObject(secret) is None
    refused("NTE_INVALID_HANDLE", derive, secret, "TRUNCATE")
    refused("NTE_INVALID_HANDLE", nc.NCryptDeriveKey, card_key(), "HASH")
    refused("NTE_INVALID_HANDLE", nc.NCryptDeriveKey, None, "HASH")
    assert nc.NCryptIsKeyHandle(secret) is False


def test_agreeing_needs_the_pin():
    with local_system() as system:
        system.insert(virtual_gids(keys=[("dh", nc.AT_KEYEXCHANGE, ec_key(), None)]))
        key = nc.NCryptOpenKey(nc.NCryptOpenStorageProvider(CARD), "dh")
        refused("NTE_SILENT_CONTEXT", nc.NCryptSecretAgreement, key, peer(), 0x40)
