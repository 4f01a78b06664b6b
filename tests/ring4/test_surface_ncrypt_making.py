"""CNG keys, black box: making them on cards, and importing them there."""

from __future__ import annotations

import hashlib
import re
import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from surfacedesk import (
    PIN,
    PREFIX,
    cng_public_blob,
    ec_key,
    ecc_blob,
    pkcs8,
    private_blob,
    refused,
    rsa_key,
)

from calais.testing import local_system, virtual_gids, virtual_piv
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


# --- making keys on a card -------------------------------------------------------------------------------------------

MAKING = [
    ("RSA", 0, KX, 1024),
    ("RSA", KX, KX, 2048),
    ("RSA", SIG, SIG, 1024),
    ("ECDSA_P256", 0, SIG, 0),
    ("ECDSA_P384", SIG, SIG, 0),
    ("ECDH_P256", 0, KX, 0),
    ("ECDH_P521", KX, KX, 0),
]


@pytest.mark.parametrize(("algorithm", "spec", "slot", "length"), MAKING)
def test_a_key_is_made_on_the_card(system, algorithm, spec, slot, length):
    prov = provider()
    key = create(prov, algorithm, "made", spec)
    refused("NTE_BAD_KEYSET", nc.NCryptOpenKey, prov, "made")
    if algorithm.startswith("ECDSA"):
        refused("NTE_BAD_KEY_STATE", nc.NCryptSignHash, key, None, bytes(32))
    refused("NTE_BAD_KEY_STATE", nc.NCryptExportKey, key, None, "PUBLICBLOB")
    if length:
        put(key, "Length", length)
    refused("NTE_SILENT_CONTEXT", nc.NCryptFinalizeKey, key, SILENT)
    put(key, nc.NCRYPT_PIN_PROPERTY, PIN)
    refused("NTE_NOT_SUPPORTED", put, key, "Export Policy", 1)
    put(key, "UI Policy", nc.NCryptUiPolicy(0, "t"))
    assert nc.NCryptFinalizeKey(hKey=key, dwFlags=SILENT) is None
    refused("NTE_INVALID_HANDLE", nc.NCryptFinalizeKey, key)
    assert get(key, "UI Policy").creation_title == "t"
    again = nc.NCryptOpenKey(prov, "MADE", slot)
    assert get(again, "Algorithm Name") == algorithm
    assert get(again, "Name") == "made"
    assert nc.NCryptExportKey(again, None, "PUBLICBLOB") == nc.NCryptExportKey(key, None, "PUBLICBLOB")
    refused("NTE_NO_KEY", nc.NCryptOpenKey, prov, "made", KX + SIG - slot)
    refused("NTE_EXISTS", create, prov, algorithm, "made", spec)
    assert nc.NCryptDeleteKey(key) is None
    refused("NTE_INVALID_HANDLE", nc.NCryptDeleteKey, key)
    refused("NTE_BAD_KEYSET", nc.NCryptOpenKey, prov, "made")


def test_a_freed_unfinished_key_leaves_no_trace(system):
    prov = provider()
    nc.NCryptFreeObject(create(prov, "RSA", "made"))
    nc.NCryptDeleteKey(create(prov, "RSA", "made"))
    refused("NTE_BAD_KEYSET", nc.NCryptOpenKey, prov, "made")
    refused("NTE_BAD_KEYSET", adv.CryptAcquireContext, "made")


def test_overwriting_keeps_the_old_key_until_the_end(system):
    prov = provider()
    refused("NTE_EXISTS", create, prov, "RSA", "box")
    refused("NTE_EXISTS", create, prov, "RSA", PREFIX + "BOX", KX)
    key = create(prov, "RSA", "box", KX, OVERWRITE)
    put(key, "Length", 1024)
    put(key, nc.NCRYPT_PIN_PROPERTY, PIN)
    assert get(nc.NCryptOpenKey(prov, "box"), "Length") == 2048
    nc.NCryptFinalizeKey(key)
    assert get(nc.NCryptOpenKey(prov, "box"), "Length") == 1024


def test_a_key_joins_an_empty_container(system):
    h = adv.CryptAcquireContext(PREFIX, None, 1, adv.CRYPT_DEFAULT_CONTAINER_OPTIONAL)
    adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    adv.CryptAcquireContext(PREFIX + "empty", None, 1, adv.CRYPT_NEWKEYSET | adv.CRYPT_SILENT)
    prov = provider()
    refused("NTE_NO_KEY", nc.NCryptOpenKey, prov, "empty", KX)
    nc.NCryptFinalizeKey(create(prov, "ECDSA_P256", "empty"), SILENT)
    assert get(nc.NCryptOpenKey(prov, "empty"), "Algorithm Name") == "ECDSA_P256"


@pytest.mark.parametrize("name", [PREFIX], ids=["reader"])
def test_a_key_without_a_name_of_its_own_gets_a_guid(system, name):
    prov = provider()
    key = create(prov, "ECDSA_P256", name)
    put(key, nc.NCRYPT_PIN_PROPERTY, PIN)
    nc.NCryptFinalizeKey(key)
    assert re.fullmatch(r"\{?[0-9a-fA-F-]{36}\}?", get(key, "Name"))
    assert nc.NCryptOpenKey(prov, get(key, "Name"))


@pytest.mark.parametrize(
    ("algorithm", "name", "spec", "flags", "code"),
    [
        pytest.param("ECDSA_P256", "new", KX, 0, "NTE_INVALID_PARAMETER", id="ecdsa-exchange"),
        pytest.param("ECDH_P256", "new", SIG, 0, "NTE_INVALID_PARAMETER", id="ecdh-signature"),
        pytest.param("RSA", "new", 3, 0, "NTE_INVALID_PARAMETER", id="spec"),
        pytest.param("RSA", "x" * 40, 0, 0, "NTE_INVALID_PARAMETER", id="long"),
        pytest.param("RSA", "a\\b", 0, 0, "NTE_INVALID_PARAMETER", id="backslash"),
        pytest.param("AES", "new", 0, 0, "NTE_NOT_SUPPORTED", id="algorithm"),
        pytest.param("RSA", "new", 0, 1, "NTE_BAD_FLAGS", id="flag"),
        pytest.param("RSA", "\\\\.\\Nowhere\\new", 0, 0, "SCARD_E_UNKNOWN_READER", id="reader"),
    ],
)
def test_a_key_that_cannot_be_made_on_a_card(shared, algorithm, name, spec, flags, code):
    refused(code, create, provider(), algorithm, name, spec, flags)


@pytest.mark.parametrize("bits", [512, 768, 1025, 16384])
def test_a_length_that_the_card_lacks(shared, bits):
    key = create(provider(), "RSA", "new")
    refused("NTE_NOT_SUPPORTED", put, key, "Length", bits)


def test_read_only_cards_and_cards_without_deletion():
    with local_system() as system:
        system.insert(virtual_gids(read_only=True))
        refused("SCARD_E_READ_ONLY_CARD", make_and_finish, "new")
        key = nc.NCryptOpenKey(provider(), None)
        put(key, nc.NCRYPT_PIN_PROPERTY, PIN)
        refused("SCARD_E_READ_ONLY_CARD", nc.NCryptDeleteKey, key)
    with local_system() as system:
        system.insert(virtual_piv())
        key = nc.NCryptOpenKey(provider(), None)
        put(key, nc.NCRYPT_PIN_PROPERTY, PIN)
        refused("SCARD_E_UNSUPPORTED_FEATURE", nc.NCryptDeleteKey, key)


def make_and_finish(name):
    key = create(provider(), "RSA", name)
    put(key, nc.NCRYPT_PIN_PROPERTY, PIN)
    nc.NCryptFinalizeKey(key)


@pytest.mark.parametrize("bits", [256, 384])
@pytest.mark.parametrize("first", ["ECDH", "ECDSA"])
def test_an_agreement_key_on_piv_opens_as_one(first, bits):
    with local_system() as system:
        system.insert(virtual_piv(keys={}))
        prov = provider()
        put(prov, nc.NCRYPT_READER_PROPERTY, "Virtual Reader 0")
        put(prov, nc.NCRYPT_PIN_PROPERTY, PIN)
        for scheme in (first, "ECDSA" if first == "ECDH" else "ECDH"):
            nc.NCryptFinalizeKey(create(prov, f"{scheme}_P{bits}", scheme))
        for scheme in ("ECDH", "ECDSA"):
            assert get(nc.NCryptOpenKey(prov, scheme), "Algorithm Name") == f"{scheme}_P{bits}"


def test_nameless_keys_are_made_by_either_provider_and_die_with_the_handle(shared):
    for name in (CARD, MEMORY):
        key = create(provider(name), "ECDSA_P256")
        nc.NCryptFinalizeKey(key, 8 | 0x200)
        assert nc.NCryptIsKeyHandle(key)
        assert nc.NCryptDeleteKey(key) is None
        refused("NTE_INVALID_HANDLE", nc.NCryptDeleteKey, key)


# --- importing onto a card -------------------------------------------------------------------------------------------

ONTO = {
    "exchange": ("AllowPrivateExchangeKeyImport", "PKCS8_PRIVATEKEY", lambda: pkcs8(rsa_key(2)), "RSA"),
    "signature": ("AllowPrivateSignatureKeyImport", "CAPIPRIVATEBLOB", lambda: private_blob(rsa_key(2), 0x2400), "RSA"),
    "agreement": (
        "AllowPrivateECDHEKeyImport",
        "ECCPRIVATEBLOB",
        lambda: ecc_blob(ec_key(), b"ECK2", private=True),
        "ECDH_P256",
    ),
    "dsa": (
        "AllowPrivateECDSAKeyImport",
        "ECCPRIVATEBLOB",
        lambda: ecc_blob(ec_key(), b"ECS2", private=True),
        "ECDSA_P256",
    ),
}


@pytest.mark.parametrize("case", ONTO)
def test_a_private_key_is_imported_by_the_policy_of_its_slot(case):
    policy, kind, make, algorithm = ONTO[case]
    name = [nc.BCryptBuffer(nc.NCRYPTBUFFER_PKCS_KEY_NAME, "imported")]
    for values, allowed in (({}, False), ({**IMPORTS, policy: 0}, False), ({policy: 1}, True)):
        with local_system(policy=values) as system:
            system.insert(virtual_gids(keys=[]))
            prov = provider()
            put(prov, nc.NCRYPT_READER_PROPERTY, "Virtual Reader 0")
            put(prov, nc.NCRYPT_PIN_PROPERTY, PIN)
            if not allowed:
                refused("NTE_PERM", nc.NCryptImportKey, prov, None, kind, name, make())
                continue
            key = nc.NCryptImportKey(prov, None, kind, name, make())
            assert (get(key, "Name"), get(key, "Algorithm Name")) == ("imported", algorithm)
            assert nc.NCryptOpenKey(prov, "imported", SIG if case in ("signature", "dsa") else KX)
            refused("NTE_EXISTS", nc.NCryptImportKey, prov, None, kind, name, make())
            assert nc.NCryptImportKey(prov, None, kind, name, make(), OVERWRITE)
            refused("NTE_NOT_SUPPORTED", nc.NCryptExportKey, key, None, kind)


def test_memory_imports_under_no_name(shared):
    name = [nc.BCryptBuffer(nc.NCRYPTBUFFER_PKCS_KEY_NAME, "imported")]
    refused("NTE_NOT_SUPPORTED", nc.NCryptImportKey, provider(MEMORY), None, "PKCS8_PRIVATEKEY", name, pkcs8(rsa_key()))


def test_the_guidelines_spelling_of_a_policy_is_accepted():
    with local_system(policy={"AllocPrivateECDHEKeyImport": 1}) as system:
        system.insert(virtual_gids(keys=[]))
        prov = provider()
        put(prov, nc.NCRYPT_READER_PROPERTY, "Virtual Reader 0")
        put(prov, nc.NCRYPT_PIN_PROPERTY, PIN)
        name = [nc.BCryptBuffer(nc.NCRYPTBUFFER_PKCS_KEY_NAME, "dh")]
        blob = ecc_blob(ec_key(), b"ECK2", private=True)
        assert nc.NCryptImportKey(prov, None, "ECCPRIVATEBLOB", name, blob)


def test_an_odd_bit_length_in_a_blob_is_accepted(shared):
    blob = bytearray(cng_public_blob())
    blob[4:8] = (2047).to_bytes(4, "little")
    assert get(nc.NCryptImportKey(provider(MEMORY), None, "RSAPUBLICBLOB", (), bytes(blob)), "Length") == 2048


def test_small_public_keys_verify(shared):
    small = rsa.generate_private_key(65537, 1024)
    numbers = small.public_key().public_numbers()
    blob = struct.pack("<4sIIIII", b"RSA1", 1024, 3, 128, 0, 0) + b"\1\0\1" + numbers.n.to_bytes(128)
    key = nc.NCryptImportKey(provider(MEMORY), None, "RSAPUBLICBLOB", (), blob)
    signature = small.sign(b"abc", padding.PKCS1v15(), hashes.SHA1())
    nc.NCryptVerifySignature(key, nc.Pkcs1PaddingInfo("SHA1"), hashlib.sha1(b"abc").digest(), signature, PKCS1)
