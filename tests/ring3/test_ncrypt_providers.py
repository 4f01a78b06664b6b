"""Providers, algorithms and handles, row by row; no card is near."""

import pytest
from cng import DIGEST, SHA256, card_provider, code_of, memory, names, new

from calais.testing import local_system
from calais.winapi.ncrypt import (
    MS_KEY_STORAGE_PROVIDER,
    MS_SCARD_PROV,
    MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    NCRYPT_NAME_PROPERTY,
    NTE_BAD_FLAGS,
    NTE_BAD_KEY_STATE,
    NTE_BAD_KEYSET,
    NTE_INVALID_HANDLE,
    NTE_INVALID_PARAMETER,
    NTE_NO_MORE_ITEMS,
    NTE_NOT_SUPPORTED,
    NCryptAlgorithmName,
    NCryptCreatePersistedKey,
    NCryptDecrypt,
    NCryptDeleteKey,
    NCryptDeriveKey,
    NCryptEncrypt,
    NCryptEnumAlgorithms,
    NCryptEnumKeys,
    NCryptEnumStorageProviders,
    NCryptExportKey,
    NCryptFinalizeKey,
    NCryptFreeBuffer,
    NCryptFreeObject,
    NCryptGetProperty,
    NCryptImportKey,
    NCryptIsAlgSupported,
    NCryptIsKeyHandle,
    NCryptKey,
    NCryptObject,
    NCryptOpenKey,
    NCryptOpenStorageProvider,
    NCryptProv,
    NCryptSecret,
    NCryptSecretAgreement,
    NCryptSetProperty,
    NCryptSignHash,
    NCryptTranslateHandle,
    NCryptVerifySignature,
)

SEVEN = ["RSA", "ECDSA_P256", "ECDSA_P384", "ECDSA_P521", "ECDH_P256", "ECDH_P384", "ECDH_P521"]


@pytest.fixture(autouse=True)
def system():
    with local_system() as current:
        yield current


def name_of(provider):
    return NCryptGetProperty(provider, NCRYPT_NAME_PROPERTY)


def test_without_a_name_the_provider_in_memory_is_opened():
    assert name_of(NCryptOpenStorageProvider()) == MS_KEY_STORAGE_PROVIDER
    assert name_of(NCryptOpenStorageProvider(None)) == MS_KEY_STORAGE_PROVIDER


@pytest.mark.parametrize("name", [MS_SMART_CARD_KEY_STORAGE_PROVIDER, MS_SCARD_PROV])
def test_the_smart_card_provider_has_two_names_without_case(name):
    for spelling in (name, name.upper(), name.lower()):
        assert name_of(NCryptOpenStorageProvider(spelling)) == MS_SMART_CARD_KEY_STORAGE_PROVIDER


@pytest.mark.parametrize("name", ["", "Microsoft Platform Crypto Provider", "x"])
def test_another_name_is_no_provider(name):
    assert code_of(NCryptOpenStorageProvider, name) == NTE_BAD_KEYSET


def test_both_providers_are_listed():
    assert {each.name for each in NCryptEnumStorageProviders()} == {
        MS_KEY_STORAGE_PROVIDER,
        MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    }


@pytest.mark.parametrize("provider", [memory, card_provider], ids=["memory", "card"])
def test_both_providers_list_all_seven_algorithms(provider):
    found = NCryptEnumAlgorithms(provider())
    assert [each.name for each in found] == SEVEN
    assert found[0] == NCryptAlgorithmName("RSA", 3, 0x14)
    assert {(each.interface, each.operations) for each in found[1:4]} == {(5, 0x10)}
    assert {(each.interface, each.operations) for each in found[4:]} == {(4, 8)}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        (4, SEVEN[:1]),
        (0x10, SEVEN[:4]),
        (8, SEVEN[4:]),
        (0x18, SEVEN),
        (1, []),
        (2, []),
        (0x20, []),
        (0x40, []),
        (0x7F, SEVEN),
    ],
)
def test_operations_choose_algorithms(operations, expected):
    assert [each.name for each in NCryptEnumAlgorithms(memory(), operations)] == expected


@pytest.mark.parametrize("operations", [0x80, -1, "4", None])
def test_unknown_operations_are_a_wrong_parameter(operations):
    assert code_of(NCryptEnumAlgorithms, memory(), operations) == NTE_INVALID_PARAMETER


def test_algorithm_names_compare_exactly():
    for name in SEVEN:
        assert NCryptIsAlgSupported(memory(), name) is None
    for name in ("rsa", "AES", "SHA256", "ECDSA", ""):
        assert code_of(NCryptIsAlgSupported, card_provider(), name) == NTE_NOT_SUPPORTED


# --- the provider in memory has no names -----------------------------------------------------------------------------


def test_memory_knows_no_names():
    provider = memory()
    assert code_of(NCryptOpenKey, provider, "name") == NTE_BAD_KEYSET
    assert code_of(NCryptOpenKey, provider, None) == NTE_BAD_KEYSET
    assert code_of(NCryptCreatePersistedKey, provider, "RSA", "name") == NTE_NOT_SUPPORTED
    assert names(provider) == []
    assert code_of(NCryptEnumKeys, provider) == NTE_NO_MORE_ITEMS


def test_a_nameless_key_of_the_card_provider_is_one_in_memory():
    key = new("ECDSA_P256", card_provider())
    assert name_of(NCryptGetProperty(key, "Provider Handle")) == MS_KEY_STORAGE_PROVIDER


# --- handles ---------------------------------------------------------------------------------------------------------

ON_PROVIDERS = {
    "algorithms": NCryptEnumAlgorithms,
    "supported": lambda h: NCryptIsAlgSupported(h, "RSA"),
    "keys": NCryptEnumKeys,
    "open": lambda h: NCryptOpenKey(h, "x"),
    "create": lambda h: NCryptCreatePersistedKey(h, "RSA"),
    "import": lambda h: NCryptImportKey(h, None, "PUBLICBLOB", (), b"x"),
}
ON_KEYS = {
    "finalise": NCryptFinalizeKey,
    "delete": NCryptDeleteKey,
    "sign": lambda h: NCryptSignHash(h, None, b"x"),
    "verify": lambda h: NCryptVerifySignature(h, None, b"x", b"x"),
    "encrypt": lambda h: NCryptEncrypt(h, b"x"),
    "decrypt": lambda h: NCryptDecrypt(h, b"x"),
    "agree": lambda h: NCryptSecretAgreement(h, h),
    "export": lambda h: NCryptExportKey(h, None, "PUBLICBLOB"),
}
ON_BOTH = {
    "get": lambda h: NCryptGetProperty(h, "Name"),
    "set": lambda h: NCryptSetProperty(h, "HWND Handle", 1),
    "free": NCryptFreeObject,
}
FOREIGN = [None, 0, 7, "handle", object()]


@pytest.mark.parametrize("call", [*ON_PROVIDERS.values(), *ON_KEYS.values(), *ON_BOTH.values()])
def test_what_is_no_handle_is_an_invalid_handle(call):
    for handle in FOREIGN:
        assert code_of(call, handle) == NTE_INVALID_HANDLE


@pytest.mark.parametrize("call", ON_PROVIDERS.values(), ids=ON_PROVIDERS)
def test_a_key_is_no_provider_and_a_freed_provider_is_none(call):
    assert code_of(call, new("ECDSA_P256")) == NTE_INVALID_HANDLE
    provider = memory()
    NCryptFreeObject(provider)
    assert code_of(call, provider) == NTE_INVALID_HANDLE


@pytest.mark.parametrize("call", [*ON_KEYS.values(), *ON_BOTH.values()], ids=[*ON_KEYS, *ON_BOTH])
def test_a_freed_key_is_an_invalid_handle(call):
    key = new("ECDH_P256")
    NCryptFreeObject(key)
    assert code_of(call, key) == NTE_INVALID_HANDLE


@pytest.mark.parametrize("call", ON_KEYS.values(), ids=ON_KEYS)
def test_a_provider_is_no_key(call):
    assert code_of(call, memory()) == NTE_INVALID_HANDLE


def test_a_secret_is_neither_and_ends_when_it_is_freed():
    key = new("ECDH_P256")
    with NCryptSecretAgreement(key, key) as secret:
        assert isinstance(secret, NCryptSecret)
        assert code_of(NCryptSignHash, secret, None, b"x") == NTE_INVALID_HANDLE
        assert code_of(NCryptGetProperty, secret, "Name") == NTE_INVALID_HANDLE
    assert code_of(NCryptDeriveKey, secret, "TRUNCATE") == NTE_INVALID_HANDLE
    assert code_of(NCryptDeriveKey, key, "TRUNCATE") == NTE_INVALID_HANDLE
    assert secret.value == bytes(32)


def test_freeing_twice_is_an_error_and_closing_twice_is_not():
    with memory() as provider:
        assert isinstance(provider, NCryptProv)
    provider.close()
    assert code_of(NCryptFreeObject, provider) == NTE_INVALID_HANDLE


def test_a_key_outlives_its_provider():
    provider = memory()
    key = new("ECDSA_P256", provider)
    NCryptFreeObject(provider)
    assert NCryptSignHash(key, None, b"digest")


def test_only_live_keys_are_key_handles():
    key = new("ECDSA_P256")
    assert NCryptIsKeyHandle(key) is True
    assert isinstance(key, NCryptKey | NCryptObject)
    NCryptFreeObject(key)
    for other in (key, memory(), None, 5, "x", object()):
        assert NCryptIsKeyHandle(other) is False


def test_an_unfinished_key_is_a_key_handle_and_does_nothing():
    key = NCryptCreatePersistedKey(memory(), "ECDH_P256")
    assert NCryptIsKeyHandle(key)
    assert code_of(NCryptSecretAgreement, key, key) == NTE_BAD_KEY_STATE
    assert code_of(NCryptExportKey, key, None, "PUBLICBLOB") == NTE_BAD_KEY_STATE
    other = NCryptCreatePersistedKey(memory(), "ECDSA_P256")
    assert code_of(NCryptSignHash, other, None, b"digest") == NTE_BAD_KEY_STATE
    assert code_of(NCryptVerifySignature, other, None, b"digest", b"x" * 64) == NTE_BAD_KEY_STATE


def test_arguments_come_before_the_state():
    key = NCryptCreatePersistedKey(memory(), "RSA")
    assert code_of(NCryptSignHash, key, None, b"x", 2) == NTE_INVALID_PARAMETER
    assert code_of(NCryptSignHash, key, SHA256, DIGEST, 2) == NTE_BAD_KEY_STATE
    assert code_of(NCryptEncrypt, key, b"x") == NTE_INVALID_PARAMETER
    assert code_of(NCryptEncrypt, key, b"x", None, 2) == NTE_BAD_KEY_STATE
    assert code_of(NCryptDecrypt, key, b"x", None, 2) == NTE_INVALID_PARAMETER
    assert code_of(NCryptDecrypt, key, bytes(256), None, 2) == NTE_BAD_KEY_STATE
    assert code_of(NCryptExportKey, key, None, "x") == NTE_NOT_SUPPORTED


def test_a_key_is_finished_once():
    key = new("ECDSA_P256")
    assert code_of(NCryptFinalizeKey, key) == NTE_INVALID_HANDLE


def test_deleting_a_nameless_key_frees_it():
    key = new("ECDSA_P256")
    NCryptDeleteKey(key)
    assert code_of(NCryptSignHash, key, None, b"x") == NTE_INVALID_HANDLE


def test_buffers_are_freed_by_nobody():
    for anything in (None, [], object()):
        assert NCryptFreeBuffer(anything) is None


def test_only_contexts_of_cryptoapi_are_translated():
    for handle in (*FOREIGN, memory(), new("ECDSA_P256")):
        assert code_of(NCryptTranslateHandle, handle) == NTE_INVALID_HANDLE


# --- flags -----------------------------------------------------------------------------------------------------------

LEGAL = {
    "open provider": (lambda f: NCryptOpenStorageProvider(None, f), 0),
    "enum providers": (NCryptEnumStorageProviders, 0),
    "enum algorithms": (lambda f: NCryptEnumAlgorithms(memory(), 0, f), 0),
    "supported": (lambda f: NCryptIsAlgSupported(memory(), "RSA", f), 0),
    "create": (lambda f: NCryptCreatePersistedKey(memory(), "RSA", None, 0, f), 0xA0),
    "finalise": (lambda f: NCryptFinalizeKey(NCryptCreatePersistedKey(memory(), "ECDH_P256"), f), 0x208),
    "delete": (lambda f: NCryptDeleteKey(new("ECDH_P256"), f), 0),
    "get": (lambda f: NCryptGetProperty(memory(), "Name", f), 0x40000000),
    "set": (lambda f: NCryptSetProperty(memory(), "HWND Handle", 1, f), 0xC0000000),
    "agree": (lambda f: NCryptSecretAgreement(new("ECDH_P256"), new("ECDH_P256"), f), 0),
    "export": (lambda f: NCryptExportKey(new("ECDH_P256"), None, "PUBLICBLOB", (), f), 0),
}


@pytest.mark.parametrize(("call", "legal"), LEGAL.values(), ids=LEGAL)
def test_a_bit_that_the_row_does_not_name_is_a_bad_flag(call, legal):
    for bit in (1 << n for n in range(32)):
        if bit & (legal | 0x40):
            call(bit)
        else:
            assert code_of(call, bit) == NTE_BAD_FLAGS


def test_the_handle_comes_before_the_flags_and_the_flags_before_the_arguments():
    assert code_of(NCryptSignHash, None, "wrong", 7, 1 << 20) == NTE_INVALID_HANDLE
    assert code_of(NCryptSignHash, new("RSA", Length=1024), "wrong", 7, 1 << 20) == NTE_BAD_FLAGS
    assert code_of(NCryptOpenKey, memory(), 7, 9, 1 << 20) == NTE_BAD_FLAGS
    assert code_of(NCryptOpenKey, memory(), 7) == NTE_INVALID_PARAMETER
    assert code_of(NCryptOpenKey, memory(), "x", 3) == NTE_INVALID_PARAMETER
