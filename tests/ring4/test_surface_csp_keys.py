"""CryptoAPI keys, black box: making, importing, exporting, parameters, encrypting."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from surfacedesk import (
    PIN,
    PREFIX,
    card_context,
    check_pkcs1,
    hash_of,
    plain_blob,
    private_blob,
    public_blob,
    public_of,
    refused,
    rsa_key,
)

from calais import WinError
from calais.testing import local_system, virtual_gids, virtual_piv
from calais.winapi import advapi32 as adv
from calais.winapi import crypt32, cspdk

VERIFY, OPTIONAL = adv.CRYPT_VERIFYCONTEXT, adv.CRYPT_DEFAULT_CONTAINER_OPTIONAL
KX, SIG = adv.AT_KEYEXCHANGE, adv.AT_SIGNATURE
IMPORTS = {"AllowPrivateExchangeKeyImport": 1, "AllowPrivateSignatureKeyImport": 1}


def gids_with_both():
    return virtual_gids(keys=[("box", KX, rsa_key(0), None), ("sig", SIG, rsa_key(1, 1024), None)])


NAMES = {KX: "box", SIG: "sig"}


@pytest.fixture(scope="module")
def shared():
    """A card that no test of this module changes."""
    with local_system() as system:
        system.insert(gids_with_both())
        yield system


@pytest.fixture
def system():
    with local_system() as system:
        yield system


@pytest.fixture
def memory(shared):
    return adv.CryptAcquireContext(None, adv.MS_ENH_RSA_AES_PROV, 24, VERIFY)


# --- card keys -------------------------------------------------------------------------------------------------------


def test_the_two_slots_of_a_container(shared):
    for spec, bits, algid in ((KX, 2048, adv.CALG_RSA_KEYX), (SIG, 1024, adv.CALG_RSA_SIGN)):
        h = card_context(NAMES[spec])
        key = adv.CryptGetUserKey(h, spec)
        assert adv.CryptGetKeyParam(key, adv.KP_ALGID) == algid
        assert adv.CryptGetKeyParam(key, adv.KP_KEYLEN) == bits
        assert adv.CryptGetKeyParam(key, adv.KP_BLOCKLEN) == bits
    for spec in (0, 3, 4, adv.CALG_RSA_KEYX):
        refused("NTE_BAD_KEY", adv.CryptGetUserKey, h, spec)
        refused("NTE_BAD_KEY", cspdk.CPGetUserKey, h, spec)
    refused("NTE_NO_KEY", adv.CryptGetUserKey, h, KX)
    refused("NTE_NO_KEY", adv.CryptSignHash, hash_of(h, adv.CALG_SHA1), KX)


@pytest.mark.parametrize(("spec", "number", "bits"), [(KX, 0, 2048), (SIG, 1, 1024)], ids=["exchange", "signature"])
def test_a_signature_is_the_pkcs1_one_reversed(shared, spec, number, bits):
    h = card_context(NAMES[spec])
    signature = adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), spec)
    check_pkcs1(rsa_key(number, bits).public_key(), signature)
    key = adv.CryptGetUserKey(h, spec)
    assert public_of(h, key).public_numbers() == rsa_key(number, bits).public_key().public_numbers()
    assert adv.CryptVerifySignature(hash_of(h, adv.CALG_SHA1), signature, key) is None
    refused("NTE_BAD_SIGNATURE", adv.CryptVerifySignature, hash_of(h, adv.CALG_SHA1, b"abd"), signature, key)
    refused("NTE_BAD_SIGNATURE", adv.CryptVerifySignature, hash_of(h, adv.CALG_SHA1), signature[:-1], key)
    refused("NTE_BAD_SIGNATURE", adv.CryptVerifySignature, hash_of(h, adv.CALG_SHA1), signature[::-1], key)


def test_a_container_key_decrypts_little_endian(shared):
    h = card_context("box")
    key = adv.CryptGetUserKey(h, KX)
    assert adv.CryptDecrypt(key, pbData=adv.CryptEncrypt(key, pbData=b"secret")) == b"secret"
    public = rsa_key().public_key()
    assert adv.CryptDecrypt(key, pbData=public.encrypt(b"word", padding.PKCS1v15())[::-1]) == b"word"
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    assert adv.CryptDecrypt(key, dwFlags=adv.CRYPT_OAEP, pbData=public.encrypt(b"word", oaep)[::-1]) == b"word"
    raw = adv.CryptDecrypt(key, dwFlags=0x20, pbData=public.encrypt(b"word", padding.PKCS1v15())[::-1])
    assert len(raw) == 256
    assert raw[:4] == b"drow" or raw[-4:] == b"word"
    refused("NTE_BAD_DATA", adv.CryptDecrypt, key, pbData=bytes(256))
    refused("NTE_BAD_DATA", adv.CryptDecrypt, key, pbData=b"short")
    refused("NTE_BAD_LEN", adv.CryptEncrypt, key, pbData=bytes(246))
    refused("NTE_BAD_FLAGS", adv.CryptEncrypt, key, dwFlags=0x20, pbData=b"x")
    refused("NTE_BAD_FLAGS", adv.CryptEncrypt, key, dwFlags=0x80, pbData=b"x")
    refused("NTE_BAD_FLAGS", adv.CryptDecrypt, key, dwFlags=0x80, pbData=bytes(256))


def test_a_signature_key_does_not_encrypt(shared):
    h = card_context("sig")
    key = adv.CryptGetUserKey(h, SIG)
    refused("NTE_BAD_KEY", adv.CryptEncrypt, key, pbData=b"x")
    refused("NTE_BAD_KEY", adv.CryptDecrypt, key, pbData=bytes(128))


def test_the_label_of_oaep_is_set_on_the_key(shared):
    h = card_context("box")
    key = adv.CryptGetUserKey(h, KX)
    adv.CryptSetKeyParam(key, adv.KP_OAEP_PARAMS, b"label")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), b"label")
    sealed = rsa_key().public_key().encrypt(b"word", oaep)[::-1]
    assert adv.CryptDecrypt(key, dwFlags=adv.CRYPT_OAEP, pbData=sealed) == b"word"
    sealed = adv.CryptEncrypt(key, dwFlags=adv.CRYPT_OAEP, pbData=b"back")
    assert rsa_key().decrypt(sealed[::-1], oaep) == b"back"
    refused("NTE_BAD_TYPE", adv.CryptGetKeyParam, key, adv.KP_OAEP_PARAMS)


def test_card_key_parameters(shared):
    h = card_context("box")
    key = adv.CryptGetUserKey(h, KX)
    assert type(adv.CryptGetKeyParam(key, adv.KP_PERMISSIONS)) is int
    assert not adv.CryptGetKeyParam(key, adv.KP_PERMISSIONS) & adv.CRYPT_EXPORT
    assert adv.CryptGetKeyParam(key, adv.KP_PIN_ID) == 1
    assert isinstance(adv.CryptGetKeyParam(key, adv.KP_PIN_INFO), adv.PinInfo)
    refused("SCARD_E_NO_SUCH_CERTIFICATE", adv.CryptGetKeyParam, key, adv.KP_CERTIFICATE)
    refused("NTE_BAD_TYPE", adv.CryptGetKeyParam, key, 99)
    refused("NTE_BAD_TYPE", adv.CryptSetKeyParam, key, 99, b"")
    refused("NTE_BAD_TYPE", adv.CryptSetKeyParam, key, adv.KP_ALGID, 5)
    refused("NTE_BAD_FLAGS", adv.CryptGetKeyParam, key, adv.KP_ALGID, 1)
    refused("NTE_BAD_FLAGS", adv.CryptSetKeyParam, key, adv.KP_OAEP_PARAMS, b"", 1)
    for param in (adv.KP_IV, adv.KP_MODE, adv.KP_SALT, adv.KP_PADDING, adv.KP_EFFECTIVE_KEYLEN):
        with pytest.raises(WinError) as caught:
            adv.CryptGetKeyParam(key, param)
        assert caught.value.name.startswith("NTE_")


@pytest.mark.parametrize("make", [virtual_gids, virtual_piv], ids=["gids", "piv"])
def test_a_certificate_is_read_written_and_deleted(make):
    with local_system() as system:
        system.insert(make())
        h = card_context(pin=None)
        key = adv.CryptGetUserKey(h, KX)
        der = adv.CryptGetKeyParam(key, adv.KP_CERTIFICATE)
        assert crypt32.CertCreateCertificateContext(1, der)
        silent = adv.CryptAcquireContext(None, None, 1, adv.CRYPT_SILENT)
        refused("NTE_SILENT_CONTEXT", adv.CryptSetKeyParam, adv.CryptGetUserKey(silent, KX), adv.KP_CERTIFICATE, der)
        adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
        refused("CRYPT_E_BAD_ENCODE", adv.CryptSetKeyParam, key, adv.KP_CERTIFICATE, b"no DER")
        refused("NTE_BAD_PUBLIC_KEY", adv.CryptSetKeyParam, key, adv.KP_CERTIFICATE, foreign_certificate())
        adv.CryptSetKeyParam(key, adv.KP_CERTIFICATE, None)
        refused("SCARD_E_NO_SUCH_CERTIFICATE", adv.CryptGetKeyParam, key, adv.KP_CERTIFICATE)
        assert adv.CryptSetKeyParam(key, adv.KP_CERTIFICATE, der) is None
        assert adv.CryptGetKeyParam(key, adv.KP_CERTIFICATE) == der


def foreign_certificate():
    with local_system() as system:
        system.insert(virtual_gids())
        return adv.CryptGetKeyParam(adv.CryptGetUserKey(card_context(), KX), adv.KP_CERTIFICATE)


def test_a_read_only_card_keeps_its_certificate(system):
    system.insert(virtual_gids(read_only=True))
    key = adv.CryptGetUserKey(card_context(), KX)
    der = adv.CryptGetKeyParam(key, adv.KP_CERTIFICATE)
    refused("SCARD_E_READ_ONLY_CARD", adv.CryptSetKeyParam, key, adv.KP_CERTIFICATE, der)


# --- making keys on a card -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("algid", "spec"), [(1, 1), (2, 2), (0xA400, 1), (0x2400, 2)], ids=["kx", "sg", "KX", "SG"])
def test_a_key_is_made_on_the_card_and_replaces_the_slots(system, algid, spec):
    system.insert(gids_with_both())
    h = card_context(NAMES[spec])
    key = adv.CryptGenKey(h, algid, 1024 << 16)
    public = public_of(h, key)
    assert public.key_size == 1024
    assert (
        public_of(h, adv.CryptGetUserKey(card_context(NAMES[spec]), spec)).public_numbers() == public.public_numbers()
    )
    check_pkcs1(public, adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), spec))


@pytest.mark.parametrize(
    ("flags", "code"),
    [(1, "NTE_BAD_FLAGS"), (0x4000, "NTE_BAD_FLAGS"), (0x8, "NTE_BAD_FLAGS"), (0x80, "NTE_BAD_FLAGS")]
    + [(bits << 16, "NTE_BAD_LEN") for bits in (512, 768, 1000, 1025, 16384)],
)
def test_a_card_key_that_cannot_be_made_is_refused(shared, flags, code):
    h = card_context("box")
    refused(code, adv.CryptGenKey, h, KX, flags)


def test_protected_keys_are_not_made_silently(shared):
    h = card_context("box", adv.CRYPT_SILENT)
    refused("NTE_SILENT_CONTEXT", adv.CryptGenKey, h, KX, adv.CRYPT_USER_PROTECTED)


def test_a_read_only_card_makes_no_key(system):
    system.insert(virtual_gids(read_only=True))
    h = card_context()
    error = refused("SCARD_E_READ_ONLY_CARD", adv.CryptGenKey, h, KX, 2048 << 16)
    assert error.detail


@pytest.mark.parametrize("algid", [0, 3, 0xAA02, 0x8004, 0x2200, 0x660D], ids=hex)
def test_an_unknown_algorithm_makes_no_key(memory, algid):
    refused("NTE_BAD_ALGID", adv.CryptGenKey, memory, algid)


def test_a_card_container_makes_session_keys_too(shared):
    h = card_context("box")
    key = adv.CryptGenKey(h, adv.CALG_AES_256, adv.CRYPT_EXPORTABLE)
    assert adv.CryptDecrypt(key, pbData=adv.CryptEncrypt(key, pbData=b"text")) == b"text"
    sealed = adv.CryptExportKey(key, adv.CryptGetUserKey(h, KX), adv.SIMPLEBLOB)
    assert sealed[:4] == b"\x01\x02\x00\x00"
    plain = rsa_key().decrypt(sealed[12:][::-1], padding.PKCS1v15())
    again = adv.CryptImportKey(h, sealed)
    assert adv.CryptExportKey(key, None, adv.PLAINTEXTKEYBLOB)[12:] in (plain, plain[::-1])
    assert adv.CryptDecrypt(again, pbData=adv.CryptEncrypt(key, pbData=b"text")) == b"text"
    refused("NTE_BAD_KEY", adv.CryptExportKey, key, None, adv.SIMPLEBLOB)
    refused("NTE_BAD_KEY", adv.CryptExportKey, key, key, adv.SIMPLEBLOB)


# --- importing onto a card -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("algid", "spec"), [(0xA400, KX), (0x2400, SIG)], ids=["exchange", "signature"])
def test_a_private_key_is_imported_where_the_policy_allows(algid, spec):
    blob = private_blob(rsa_key(2), algid)
    with local_system() as system:
        system.insert(gids_with_both())
        refused("NTE_PERM", adv.CryptImportKey, card_context(NAMES[spec]), blob)
    with local_system(policy=IMPORTS) as system:
        system.insert(gids_with_both())
        h = card_context(NAMES[spec])
        key = adv.CryptImportKey(h, blob)
        assert public_of(h, key).public_numbers() == rsa_key(2).public_key().public_numbers()
        check_pkcs1(rsa_key(2).public_key(), adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), spec))
        refused("NTE_BAD_KEY_STATE", adv.CryptExportKey, key, None, adv.PRIVATEKEYBLOB)


def test_each_slot_has_its_own_import_policy():
    with local_system(policy={"AllowPrivateExchangeKeyImport": 1}) as system:
        system.insert(gids_with_both())
        refused("NTE_PERM", adv.CryptImportKey, card_context("sig"), private_blob(rsa_key(2), 0x2400))
        assert adv.CryptImportKey(card_context("box"), private_blob(rsa_key(2)))


# --- keys in memory --------------------------------------------------------------------------------------------------


def test_a_private_key_fills_the_slot_of_its_algorithm(memory):
    for algid, spec in ((0xA400, KX), (0x2400, SIG)):
        key = adv.CryptImportKey(memory, private_blob(rsa_key(), algid), None, adv.CRYPT_EXPORTABLE)
        assert adv.CryptGetKeyParam(adv.CryptGetUserKey(memory, spec), adv.KP_ALGID) == algid
        assert adv.CryptExportKey(key, None, adv.PRIVATEKEYBLOB) == private_blob(rsa_key(), algid)
        check_pkcs1(rsa_key().public_key(), adv.CryptSignHash(hash_of(memory, adv.CALG_SHA1), spec))
        refused("NTE_BAD_TYPE", adv.CryptExportKey, key, None, adv.OPAQUEKEYBLOB)
        refused("NTE_BAD_TYPE", adv.CryptExportKey, key)
    adv.CryptImportKey(memory, private_blob(rsa_key()))
    key = adv.CryptGetUserKey(memory, KX)
    refused("NTE_BAD_KEY_STATE", adv.CryptExportKey, key, None, adv.PRIVATEKEYBLOB)
    assert adv.CryptDecrypt(key, pbData=adv.CryptEncrypt(key, pbData=b"x")) == b"x"


def test_a_private_blob_may_be_cut_inside_d(memory):
    assert adv.CryptImportKey(memory, private_blob(rsa_key())[:-10])


@pytest.mark.parametrize("algid", [0xA400, 0x2400], ids=hex)
@pytest.mark.parametrize("bits", [512, 1024, 2048])
def test_public_keys_verify_whatever_their_algorithm_says(memory, algid, bits):
    key = rsa_key(9, 1024) if bits == 512 else rsa_key(3, bits)
    public = adv.CryptImportKey(memory, public_blob(key.public_key(), algid))
    signature = key.sign(b"abc", padding.PKCS1v15(), hashes.SHA256())[::-1]
    assert adv.CryptVerifySignature(hash_of(memory, adv.CALG_SHA_256), signature, public) is None
    assert adv.CryptExportKey(public, None, adv.PUBLICKEYBLOB)[8:] == public_blob(key.public_key(), algid)[8:]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda b: b[:-1], "NTE_BAD_DATA", id="short"),
        pytest.param(lambda b: b[:10], "NTE_BAD_DATA", id="head"),
        pytest.param(lambda b: b"", "NTE_BAD_DATA", id="empty"),
        pytest.param(lambda b: b"\x55" + b[1:], "NTE_BAD_TYPE", id="type"),
        pytest.param(lambda b: b[:1] + b"\x03" + b[2:], "NTE_BAD_VER", id="version"),
        pytest.param(lambda b: b[:8] + b"RSA9" + b[12:], "NTE_BAD_DATA", id="magic"),
    ],
)
def test_a_malformed_blob_is_refused(memory, change, code):
    refused(code, adv.CryptImportKey, memory, change(public_blob(rsa_key().public_key())))


@pytest.mark.parametrize("flags", [0x4, 0x8, 0x20, 0x80, 0x200], ids=hex)
def test_importing_takes_no_other_flags(memory, flags):
    refused("NTE_BAD_FLAGS", adv.CryptImportKey, memory, public_blob(rsa_key().public_key()), None, flags)


CIPHERS = [
    (0x660E, 16, 16, algorithms.AES),
    (0x660F, 24, 16, algorithms.AES),
    (0x6610, 32, 16, algorithms.AES),
]


@pytest.mark.parametrize(("algid", "size", "block", "cipher"), CIPHERS, ids=["128", "192", "256"])
def test_aes_is_aes(memory, algid, size, block, cipher):
    raw = bytes(range(size))
    key = adv.CryptImportKey(memory, plain_blob(algid, raw), None, adv.CRYPT_EXPORTABLE)
    assert adv.CryptExportKey(key, None, adv.PLAINTEXTKEYBLOB) == plain_blob(algid, raw)
    assert adv.CryptGetKeyParam(key, adv.KP_IV) == bytes(block)
    assert adv.CryptGetKeyParam(key, adv.KP_MODE) == adv.CRYPT_MODE_CBC
    assert adv.CryptGetKeyParam(key, adv.KP_PADDING) == adv.PKCS5_PADDING
    assert adv.CryptGetKeyParam(key, adv.KP_BLOCKLEN) == block * 8
    assert adv.CryptGetKeyParam(key, adv.KP_KEYLEN) == size * 8
    text = bytes(block) + b"tail"
    padded = text + bytes([block - 4]) * (block - 4)
    for iv in (bytes(block), b"\x07" * block):
        adv.CryptSetKeyParam(key, adv.KP_IV, iv)
        wanted = Cipher(cipher(raw), modes.CBC(iv)).encryptor().update(padded)
        assert adv.CryptEncrypt(key, pbData=text) == wanted
        assert adv.CryptDecrypt(key, pbData=wanted) == text
    adv.CryptSetKeyParam(key, adv.KP_MODE, adv.CRYPT_MODE_ECB)
    assert adv.CryptEncrypt(key, pbData=text) == Cipher(cipher(raw), modes.ECB()).encryptor().update(padded)


def test_a_chain_runs_over_calls_and_hashes_the_plaintext(memory):
    key = adv.CryptGenKey(memory, adv.CALG_AES_128)
    whole = adv.CryptEncrypt(key, pbData=b"a" * 16 + b"b" * 20)
    value = adv.CryptCreateHash(memory, adv.CALG_SHA1)
    parts = adv.CryptEncrypt(key, value, False, 0, b"a" * 16) + adv.CryptEncrypt(key, value, True, 0, b"b" * 20)
    assert parts == whole
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == hashlib.sha1(b"a" * 16 + b"b" * 20).digest()
    refused("NTE_BAD_LEN", adv.CryptEncrypt, key, None, False, 0, b"part")
    value = adv.CryptCreateHash(memory, adv.CALG_SHA1)
    again = adv.CryptDecrypt(key, value, False, 0, whole[:16]) + adv.CryptDecrypt(key, value, True, 0, whole[16:])
    assert again == b"a" * 16 + b"b" * 20
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == hashlib.sha1(again).digest()
    refused("NTE_BAD_DATA", adv.CryptDecrypt, key, pbData=bytes(16))


@pytest.mark.parametrize(
    ("param", "value", "code"),
    [
        (adv.KP_PADDING, 2, "NTE_BAD_DATA"),
        (adv.KP_PADDING, 3, "NTE_BAD_DATA"),
        (adv.KP_IV, b"short", None),
        (adv.KP_MODE, 3, None),
        (adv.KP_MODE, 5, None),
        (adv.KP_SALT, b"salt", None),
        (adv.KP_CERTIFICATE, b"", None),
        (adv.KP_BLOCKLEN, 8, "NTE_BAD_TYPE"),
        (77, 8, "NTE_BAD_TYPE"),
    ],
    ids=["random", "zero", "iv", "ofb", "cts", "salt", "certificate", "get-only", "unknown"],
)
def test_a_session_key_refuses(memory, param, value, code):
    key = adv.CryptGenKey(memory, adv.CALG_AES_128)
    with pytest.raises(WinError) as caught:
        adv.CryptSetKeyParam(key, param, value)
    assert caught.value.name == (code or caught.value.name)
    assert caught.value.name.startswith("NTE_") or caught.value.name == "ERROR_INVALID_PARAMETER"


def test_permissions_never_gain_export(memory):
    key = adv.CryptGenKey(memory, adv.CALG_AES_128)
    had = adv.CryptGetKeyParam(key, adv.KP_PERMISSIONS)
    assert not had & adv.CRYPT_EXPORT
    attempt = contextlib.suppress(WinError)
    with attempt:
        adv.CryptSetKeyParam(key, adv.KP_PERMISSIONS, had | adv.CRYPT_EXPORT)
    assert adv.CryptGetKeyParam(key, adv.KP_PERMISSIONS) == had
    key = adv.CryptGenKey(memory, adv.CALG_AES_128, adv.CRYPT_EXPORTABLE)
    had = adv.CryptGetKeyParam(key, adv.KP_PERMISSIONS)
    adv.CryptSetKeyParam(key, adv.KP_PERMISSIONS, had & ~adv.CRYPT_EXPORT)
    assert adv.CryptGetKeyParam(key, adv.KP_PERMISSIONS) == had


@pytest.mark.parametrize(
    ("algid", "keylen", "block"), [(0x6601, 64, 64), (0x6609, 128, 64), (0x6603, 192, 64), (0x6801, 128, 0)], ids=hex
)
def test_lengths_of_the_old_ciphers(memory, algid, keylen, block):
    key = adv.CryptGenKey(memory, algid)
    assert adv.CryptGetKeyParam(key, adv.KP_KEYLEN) == keylen
    assert adv.CryptGetKeyParam(key, adv.KP_BLOCKLEN) == block
    assert adv.CryptDecrypt(key, pbData=adv.CryptEncrypt(key, pbData=b"hello")) == b"hello"


@pytest.mark.parametrize("algid", [0x660E, 0x6610, 0x6603], ids=hex)
def test_keys_derived_from_the_same_word_are_the_same(memory, algid):
    one = adv.CryptDeriveKey(memory, algid, hash_of(memory, adv.CALG_SHA1), adv.CRYPT_EXPORTABLE)
    two = adv.CryptDeriveKey(memory, algid, hash_of(memory, adv.CALG_SHA1))
    assert adv.CryptEncrypt(one, pbData=b"x") == adv.CryptEncrypt(two, pbData=b"x")
    blob = adv.CryptExportKey(one, None, adv.PLAINTEXTKEYBLOB)
    digest = hashlib.sha1(b"abc").digest()
    blocks = [hashlib.sha1(bytes(b ^ pad for b in digest.ljust(64, b"\0"))).digest() for pad in (0x36, 0x5C)]
    if algid != 0x6603:
        assert blob[12:] == b"".join(blocks)[: len(blob) - 12]


def test_deriving_finishes_the_hash_and_wants_a_session_algorithm(memory):
    value = hash_of(memory, adv.CALG_SHA1)
    refused("NTE_BAD_ALGID", adv.CryptDeriveKey, memory, adv.CALG_RSA_KEYX, value)
    refused("NTE_BAD_ALGID", adv.CryptDeriveKey, memory, adv.CALG_SHA1, value)
    adv.CryptDeriveKey(memory, adv.CALG_AES_128, value)
    refused("NTE_BAD_HASH_STATE", adv.CryptHashData, value, b"more")


def test_duplicates_go_their_own_way(memory):
    key = adv.CryptGenKey(memory, adv.CALG_AES_128)
    copy = adv.CryptDuplicateKey(key)
    adv.CryptSetKeyParam(copy, adv.KP_MODE, adv.CRYPT_MODE_ECB)
    assert adv.CryptGetKeyParam(key, adv.KP_MODE) == adv.CRYPT_MODE_CBC
    value = hash_of(memory, adv.CALG_SHA1, b"ab")
    copy = adv.CryptDuplicateHash(value)
    adv.CryptHashData(copy, b"c")
    assert adv.CryptGetHashParam(copy, adv.HP_HASHVAL) == hashlib.sha1(b"abc").digest()
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == hashlib.sha1(b"ab").digest()


def test_a_simple_blob_may_be_oaep(memory):
    adv.CryptImportKey(memory, private_blob(rsa_key()))
    exchange = adv.CryptGetUserKey(memory, KX)
    key = adv.CryptGenKey(memory, adv.CALG_AES_128, adv.CRYPT_EXPORTABLE)
    sealed = adv.CryptExportKey(key, exchange, adv.SIMPLEBLOB, adv.CRYPT_OAEP)
    again = adv.CryptImportKey(memory, sealed, exchange, adv.CRYPT_OAEP)
    assert adv.CryptEncrypt(again, pbData=b"x") == adv.CryptEncrypt(key, pbData=b"x")
    hidden = adv.CryptGenKey(memory, adv.CALG_AES_128)
    refused("NTE_BAD_KEY_STATE", adv.CryptExportKey, hidden, exchange, adv.SIMPLEBLOB)
    refused("NTE_BAD_KEY_STATE", adv.CryptExportKey, hidden, None, adv.PLAINTEXTKEYBLOB)


def test_an_hmac_key_of_any_length_is_an_rc2_blob(memory):
    import hmac

    raw = b"k" * 100
    key = adv.CryptImportKey(memory, plain_blob(adv.CALG_RC2, raw), None, adv.CRYPT_IPSEC_HMAC_KEY)
    value = adv.CryptCreateHash(memory, adv.CALG_HMAC, key)
    adv.CryptSetHashParam(value, adv.HP_HMAC_INFO, adv.HmacInfo(adv.CALG_SHA_256))
    adv.CryptHashData(value, b"abc")
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == hmac.digest(raw, b"abc", "sha256")


@pytest.mark.parametrize("bits", [512, 768, 1001, 40], ids=str)
def test_memory_keys_that_cannot_be_made(memory, bits):
    refused("NTE_BAD_LEN", adv.CryptGenKey, memory, KX, bits << 16)


def test_random(memory):
    assert len(adv.CryptGenRandom(memory, 33)) == 33
    assert adv.CryptGenRandom(memory, 0) == b""
    assert cspdk.CPGenRandom(hProv=memory, dwLen=16, pbBuffer=b"seed") != cspdk.CPGenRandom(memory, 16, b"seed")


def test_card_keys_survive_their_handles(shared):
    h = card_context("box")
    key = cspdk.CPGetUserKey(h, KX)
    assert cspdk.CPDestroyKey(h, key) is None
    assert adv.CryptGetUserKey(h, KX)
    assert adv.CryptAcquireContext(PREFIX + "box", None, 1, OPTIONAL)
