"""CNG keys, black box: signing, encrypting, importing and exporting, on cards and nameless."""

from __future__ import annotations

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from surfacedesk import (
    PIN,
    cng_private_blob,
    cng_public_blob,
    ec_key,
    ecc_blob,
    pkcs8,
    private_blob,
    public_blob,
    raw_ecdsa,
    refused,
    rsa_key,
)

from calais import WinError
from calais.testing import local_system, virtual_gids
from calais.winapi import advapi32 as adv
from calais.winapi import ncrypt as nc

CARD, MEMORY = nc.MS_SMART_CARD_KEY_STORAGE_PROVIDER, nc.MS_KEY_STORAGE_PROVIDER
KX, SIG = nc.AT_KEYEXCHANGE, nc.AT_SIGNATURE
NONE, PKCS1, OAEP, PSS, SILENT, OVERWRITE = 1, 2, 4, 8, 0x40, 0x80
ALGORITHMS = {"SHA1": hashes.SHA1(), "SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SHA512": hashes.SHA512()}
IMPORTS = {
    "AllowPrivateExchangeKeyImport": 1,
    "AllowPrivateSignatureKeyImport": 1,
    "AllowPrivateECDHEKeyImport": 1,
    "AllowPrivateECDSAKeyImport": 1,
}
get, put, create = nc.NCryptGetProperty, nc.NCryptSetProperty, nc.NCryptCreatePersistedKey


@pytest.fixture(scope="module")
def shared():
    with local_system() as system:
        keys = [("box", KX, rsa_key(), None), ("dh", KX, ec_key(), None), ("dsa", SIG, ec_key(256, 1), None)]
        system.insert(virtual_gids(keys=keys))
        yield system


@pytest.fixture
def system():
    with local_system() as system:
        system.insert(virtual_gids(keys=[("box", KX, rsa_key(), None)]))
        yield system


@pytest.fixture
def card(shared):
    prov = nc.NCryptOpenStorageProvider(CARD)
    put(prov, nc.NCRYPT_READER_PROPERTY, "Virtual Reader 0")
    put(prov, nc.NCRYPT_PIN_PROPERTY, PIN)
    return prov


def provider(name=CARD):
    return nc.NCryptOpenStorageProvider(name)


def memory_key(algorithm="ECDSA_P256", length=0, policy=0):
    key = create(provider(MEMORY), algorithm)
    if length:
        put(key, "Length", length)
    if policy:
        put(key, "Export Policy", policy)
    nc.NCryptFinalizeKey(key)
    return key


# --- signing and encrypting ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALGORITHMS)
def test_rsa_signatures_are_big_endian_and_agree_with_cryptoapi(card, name):
    key = nc.NCryptOpenKey(card, "box")
    digest = hashlib.new(name, b"abc").digest()
    public, algorithm = rsa_key().public_key(), ALGORITHMS[name]
    signature = nc.NCryptSignHash(hKey=key, pPaddingInfo=nc.Pkcs1PaddingInfo(name), pbHashValue=digest, dwFlags=PKCS1)
    public.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(algorithm))
    assert nc.NCryptVerifySignature(key, nc.Pkcs1PaddingInfo(name), digest, signature, PKCS1) is None
    refused(
        "NTE_BAD_SIGNATURE", nc.NCryptVerifySignature, key, nc.Pkcs1PaddingInfo(name), digest, signature[::-1], PKCS1
    )
    refused(
        "NTE_BAD_SIGNATURE", nc.NCryptVerifySignature, key, nc.Pkcs1PaddingInfo(name), digest, signature[:-1], PKCS1
    )
    refused("NTE_INVALID_PARAMETER", nc.NCryptSignHash, key, nc.Pkcs1PaddingInfo(name), digest[:-1], PKCS1)
    for salt in (0, len(digest)):
        info = nc.PssPaddingInfo(name, salt)
        signature = nc.NCryptSignHash(key, info, digest, PSS)
        public.verify(signature, digest, padding.PSS(padding.MGF1(algorithm), salt), utils.Prehashed(algorithm))
        nc.NCryptVerifySignature(key, info, digest, signature, PSS)
        refused("NTE_BAD_SIGNATURE", nc.NCryptVerifySignature, key, info, digest[::-1], signature, PSS)
    h = adv.CryptAcquireContext("box")
    if name == "SHA1":
        value = adv.CryptCreateHash(h, adv.CALG_SHA1)
        adv.CryptHashData(value, b"abc")
        legacy = adv.CryptSignHash(value, KX)
        assert legacy[::-1] == nc.NCryptSignHash(key, nc.Pkcs1PaddingInfo(name), digest, PKCS1)


def test_pkcs1_without_a_digest_info(card):
    key = nc.NCryptOpenKey(card, "box")
    signature = nc.NCryptSignHash(key, nc.Pkcs1PaddingInfo(None), b"x" * 36, PKCS1)
    numbers = rsa_key().public_key().public_numbers()
    block = pow(int.from_bytes(signature), numbers.e, numbers.n).to_bytes(256)
    assert block == b"\0\1" + b"\xff" * (256 - 39) + b"\0" + b"x" * 36
    nc.NCryptVerifySignature(key, nc.Pkcs1PaddingInfo(None), b"x" * 36, signature, PKCS1)


@pytest.mark.parametrize("function", ["sign", "verify"])
@pytest.mark.parametrize(
    ("info", "flags", "code"),
    [
        pytest.param(nc.Pkcs1PaddingInfo("SHA1"), 0, "NTE_INVALID_PARAMETER", id="no-flag"),
        pytest.param(nc.Pkcs1PaddingInfo("SHA1"), PKCS1 | PSS, "NTE_INVALID_PARAMETER", id="both"),
        pytest.param(None, PKCS1, "NTE_INVALID_PARAMETER", id="no-info"),
        pytest.param(None, PSS, "NTE_INVALID_PARAMETER", id="no-info-pss"),
        pytest.param(nc.PssPaddingInfo("SHA1", 20), PKCS1, "NTE_INVALID_PARAMETER", id="pss-info"),
        pytest.param(nc.Pkcs1PaddingInfo("SHA1"), PSS, "NTE_INVALID_PARAMETER", id="pkcs1-info"),
        pytest.param("SHA1", PKCS1, "NTE_INVALID_PARAMETER", id="text"),
        pytest.param(nc.Pkcs1PaddingInfo("SHA3"), PKCS1, "NTE_NOT_SUPPORTED", id="unknown"),
        pytest.param(nc.PssPaddingInfo("WHIRL", 20), PSS, "NTE_NOT_SUPPORTED", id="unknown-pss"),
        pytest.param(nc.Pkcs1PaddingInfo("SHA1"), PKCS1 | OAEP, "NTE_BAD_FLAGS", id="oaep"),
        pytest.param(nc.Pkcs1PaddingInfo("SHA1"), PKCS1 | 1, "NTE_BAD_FLAGS", id="bit"),
    ],
)
def test_a_wrong_padding_is_refused_before_the_card_is_asked(card, function, info, flags, code):
    key = nc.NCryptOpenKey(card, "box")
    if function == "sign":
        refused(code, nc.NCryptSignHash, key, info, bytes(20), flags)
    else:
        refused(code, nc.NCryptVerifySignature, key, info, bytes(20), bytes(256), flags)


@pytest.mark.parametrize("size", [20, 32, 48, 64])
def test_ecdsa_signatures_are_two_numbers(card, size):
    digest = bytes(range(size))
    key = nc.NCryptOpenKey(card, "dsa")
    signature = nc.NCryptSignHash(key, None, digest, SILENT)
    assert len(signature) == 64
    prehashed = {20: hashes.SHA1(), 32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512()}[size]
    ec_key(256, 1).public_key().verify(raw_ecdsa(signature), digest, ec.ECDSA(utils.Prehashed(prehashed)))
    assert nc.NCryptVerifySignature(key, None, digest, signature) is None
    refused("NTE_BAD_SIGNATURE", nc.NCryptVerifySignature, key, None, digest[::-1], signature)
    refused("NTE_BAD_FLAGS", nc.NCryptSignHash, key, None, digest, PKCS1)
    refused("NTE_INVALID_PARAMETER", nc.NCryptSignHash, key, nc.Pkcs1PaddingInfo("SHA1"), digest)
    refused("NTE_BAD_FLAGS", nc.NCryptVerifySignature, key, None, digest, signature, PSS)


@pytest.mark.parametrize(("bits", "width"), [(256, 64), (384, 96), (521, 132)])
def test_nameless_ecdsa_keys_sign_with_their_curve(shared, bits, width):
    key = memory_key(f"ECDSA_P{bits}")
    signature = nc.NCryptSignHash(key, None, bytes(48))
    assert len(signature) == width
    blob = nc.NCryptExportKey(key, None, "ECCPUBLICBLOB")
    magic, half = struct.unpack_from("<4sI", blob)
    assert (magic, half) == ({256: b"ECS1", 384: b"ECS3", 521: b"ECS5"}[bits], width // 2)
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(blob[8 : 8 + half]), int.from_bytes(blob[8 + half :]), ec_key(bits).curve
    )
    numbers.public_key().verify(raw_ecdsa(signature), bytes(48), ec.ECDSA(utils.Prehashed(hashes.SHA384())))


@pytest.mark.parametrize("where", ["card", "memory"])
def test_rsa_encryption_big_endian(card, where):
    key = nc.NCryptOpenKey(card, "box") if where == "card" else memory_key("RSA", 2048)
    oaep = nc.OaepPaddingInfo("SHA256", b"label")
    for info, flags in ((None, PKCS1), (oaep, OAEP), (nc.OaepPaddingInfo("SHA1", b""), OAEP)):
        sealed = nc.NCryptEncrypt(hKey=key, pbInput=b"word", pPaddingInfo=info, dwFlags=flags)
        assert len(sealed) == 256
        assert nc.NCryptDecrypt(key, sealed, info, flags) == b"word"
        refused("NTE_INVALID_PARAMETER", nc.NCryptEncrypt, key, bytes(250), info, flags)
        refused("NTE_INVALID_PARAMETER", nc.NCryptDecrypt, key, sealed[:-1] + bytes([sealed[-1] ^ 1]), info, flags)
    refused("NTE_INVALID_PARAMETER", nc.NCryptDecrypt, key, sealed, nc.OaepPaddingInfo("SHA1", b"other"), OAEP)
    raw = nc.NCryptEncrypt(key, bytes(255) + b"\5", None, NONE)
    assert nc.NCryptDecrypt(key, raw, None, NONE) == bytes(255) + b"\5"
    refused("NTE_INVALID_PARAMETER", nc.NCryptEncrypt, key, b"short", None, NONE)
    refused("NTE_BAD_FLAGS", nc.NCryptEncrypt, key, b"x", None, PSS)
    refused("NTE_INVALID_PARAMETER", nc.NCryptEncrypt, key, b"x", None, OAEP)
    refused("NTE_INVALID_PARAMETER", nc.NCryptEncrypt, key, b"x", oaep, PKCS1)
    refused("NTE_NOT_SUPPORTED", nc.NCryptEncrypt, key, b"x", nc.OaepPaddingInfo("X", b""), OAEP)


def test_what_cryptography_sealed_the_card_opens(card):
    key = nc.NCryptOpenKey(card, "box")
    public = rsa_key().public_key()
    assert nc.NCryptDecrypt(key, public.encrypt(b"w", padding.PKCS1v15()), None, PKCS1) == b"w"
    sealed = public.encrypt(b"w", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"l"))
    assert nc.NCryptDecrypt(key, sealed, nc.OaepPaddingInfo("SHA256", b"l"), OAEP) == b"w"
    assert nc.NCryptDecrypt(key, pow(2, 65537, public.public_numbers().n).to_bytes(256), None, NONE)[-1] == 2


def test_keys_do_only_what_their_algorithm_does(card):
    dh, dsa = nc.NCryptOpenKey(card, "dh"), nc.NCryptOpenKey(card, "dsa")
    refused("NTE_NOT_SUPPORTED", nc.NCryptSignHash, dh, None, bytes(32))
    refused("NTE_NOT_SUPPORTED", nc.NCryptEncrypt, dsa, b"x", None, PKCS1)
    refused("NTE_NOT_SUPPORTED", nc.NCryptDecrypt, dh, b"x", None, PKCS1)
    public = nc.NCryptImportKey(card, None, "RSAPUBLICBLOB", (), cng_public_blob())
    refused("NTE_NO_KEY", nc.NCryptSignHash, public, nc.Pkcs1PaddingInfo("SHA1"), bytes(20), PKCS1)
    refused("NTE_NO_KEY", nc.NCryptDecrypt, public, bytes(256), None, PKCS1)


# --- blobs -----------------------------------------------------------------------------------------------------------


def test_public_blobs_of_card_keys(card):
    box, dh, dsa = (nc.NCryptOpenKey(card, name) for name in ("box", "dh", "dsa"))
    assert nc.NCryptExportKey(hKey=box, pszBlobType="RSAPUBLICBLOB") == cng_public_blob()
    assert nc.NCryptExportKey(box, None, "PUBLICBLOB") == cng_public_blob()
    assert nc.NCryptExportKey(box, None, "CAPIPUBLICBLOB")[8:] == public_blob(rsa_key().public_key())[8:]
    assert nc.NCryptExportKey(dh, None, "ECCPUBLICBLOB") == ecc_blob(ec_key(), b"ECK1")
    assert nc.NCryptExportKey(dsa, None, "PUBLICBLOB") == ecc_blob(ec_key(256, 1), b"ECS1")
    for key in (box, dh, dsa):
        for kind in ("PRIVATEBLOB", "RSAPRIVATEBLOB", "ECCPRIVATEBLOB", "CAPIPRIVATEBLOB", "PKCS8_PRIVATEKEY", "X", ""):
            with pytest.raises(WinError) as caught:
                nc.NCryptExportKey(key, None, kind)
            assert caught.value.name == ("NTE_INVALID_PARAMETER" if not kind else "NTE_NOT_SUPPORTED")
        refused("NTE_NOT_SUPPORTED", nc.NCryptExportKey, key, box, "PUBLICBLOB")
        with pytest.raises(WinError):
            nc.NCryptExportKey(key, None, "RSAPUBLICBLOB" if key is not box else "ECCPUBLICBLOB")


PRIVATE = {
    "RSAPRIVATEBLOB": lambda: (cng_private_blob(rsa_key()), "RSA"),
    "RSAFULLPRIVATEBLOB": lambda: (cng_private_blob(rsa_key(), full=True), "RSA"),
    "CAPIPRIVATEBLOB": lambda: (private_blob(rsa_key()), "RSA"),
    "ECCPRIVATEBLOB": lambda: (ecc_blob(ec_key(), b"ECS2", private=True), "ECDSA_P256"),
    "ECCPRIVATEBLOB-dh": lambda: (ecc_blob(ec_key(384), b"ECK4", private=True), "ECDH_P384"),
    "PRIVATEBLOB": lambda: (ecc_blob(ec_key(521), b"ECS6", private=True), "ECDSA_P521"),
    "PKCS8_PRIVATEKEY": lambda: (pkcs8(rsa_key()), "RSA"),
}


@pytest.mark.parametrize("name", [MEMORY, CARD], ids=["memory", "card"])
@pytest.mark.parametrize("kind", PRIVATE)
def test_private_blobs_come_in_nameless_and_go_out_by_policy(shared, kind, name):
    blob, algorithm = PRIVATE[kind]()
    kind = kind.partition("-")[0]
    key = nc.NCryptImportKey(provider(name), None, kind, (), blob)
    assert get(key, "Algorithm Name") == algorithm
    assert get(key, "Export Policy") == 0
    refused("NTE_NOT_SUPPORTED", nc.NCryptExportKey, key, None, kind)
    key = nc.NCryptImportKey(provider(name), None, kind, None, blob, 0x400)
    put(key, "Export Policy", 3)
    nc.NCryptFinalizeKey(key)
    assert nc.NCryptExportKey(key, None, kind) == blob
    refused("NTE_INVALID_HANDLE", nc.NCryptFinalizeKey, key)


PUBLIC = {
    "RSAPUBLICBLOB": lambda: (cng_public_blob(), "RSA"),
    "CAPIPUBLICBLOB": lambda: (public_blob(rsa_key().public_key()), "RSA"),
    "PUBLICBLOB": lambda: (cng_public_blob(), "RSA"),
    "ECCPUBLICBLOB": lambda: (ecc_blob(ec_key(), b"ECS1"), "ECDSA_P256"),
    "ECCPUBLICBLOB-dh": lambda: (ecc_blob(ec_key(521), b"ECK5"), "ECDH_P521"),
}


@pytest.mark.parametrize("kind", PUBLIC)
def test_public_blobs_come_in_and_go_out(shared, kind):
    blob, algorithm = PUBLIC[kind]()
    kind = kind.partition("-")[0]
    key = nc.NCryptImportKey(provider(MEMORY), None, kind, (), blob)
    assert get(key, "Algorithm Name") == algorithm
    assert nc.NCryptExportKey(key, None, kind)[8:] == blob[8:]
    refused("NTE_BAD_FLAGS", nc.NCryptImportKey, provider(MEMORY), None, kind, (), blob, 0x400)
    for bad in (blob[:-1], blob[:6], b"", b"XXXX" * 20):
        with pytest.raises(WinError) as caught:
            nc.NCryptImportKey(provider(MEMORY), None, kind, (), bad)
        assert caught.value.name.startswith("NTE_")
    refused("NTE_NOT_SUPPORTED", nc.NCryptImportKey, provider(MEMORY), key, kind, (), blob)
    refused("NTE_NOT_SUPPORTED", nc.NCryptImportKey, provider(MEMORY), None, kind.lower(), (), blob)


def test_encrypted_pkcs8_wants_only_allow_export(shared):
    secret = nc.BCryptBuffer(nc.NCRYPTBUFFER_PKCS_SECRET, "password")
    key = memory_key("ECDSA_P256", policy=nc.NCRYPT_ALLOW_EXPORT_FLAG)
    refused("NTE_NOT_SUPPORTED", nc.NCryptExportKey, key, None, "PKCS8_PRIVATEKEY")
    blob = nc.NCryptExportKey(key, None, "PKCS8_PRIVATEKEY", [secret])
    loaded = serialization.load_der_private_key(blob, b"password")
    again = nc.NCryptImportKey(provider(MEMORY), None, "PKCS8_PRIVATEKEY", (secret,), blob)
    assert nc.NCryptExportKey(again, None, "ECCPUBLICBLOB") == ecc_blob(loaded, b"ECS1")
    wrong = nc.BCryptBuffer(nc.NCRYPTBUFFER_PKCS_SECRET, "other")
    with pytest.raises(WinError) as caught:
        nc.NCryptImportKey(provider(MEMORY), None, "PKCS8_PRIVATEKEY", (wrong,), blob)
    assert caught.value.name.startswith("NTE_")


def test_null_may_be_written_as_0(card):
    key = nc.NCryptOpenKey(card, "dsa")
    blob = nc.NCryptExportKey(key, 0, "PUBLICBLOB", None, 0)
    assert get(nc.NCryptImportKey(card, 0, "PUBLICBLOB", None, blob, 0), "Algorithm Name") == "ECDSA_P256"
    assert nc.NCryptTranslateHandle(adv.CryptAcquireContext("box"), 0, KX)
