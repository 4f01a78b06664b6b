"""CNG providers, handles and lists, black box."""

from __future__ import annotations

import pytest
from surfacedesk import OTHER, PIN, PREFIX, READER, ec_key, refused, rsa_key

from calais import WinError
from calais.testing import local_system, virtual_gids, virtual_piv
from calais.winapi import advapi32 as adv
from calais.winapi import ncrypt as nc

CARD, MEMORY = nc.MS_SMART_CARD_KEY_STORAGE_PROVIDER, nc.MS_KEY_STORAGE_PROVIDER
SILENT = nc.NCRYPT_SILENT_FLAG
ALGORITHMS = {
    "RSA": (3, 0x14),
    **{f"ECDSA_P{bits}": (5, 0x10) for bits in (256, 384, 521)},
    **{f"ECDH_P{bits}": (4, 8) for bits in (256, 384, 521)},
}
KX, SIG = nc.AT_KEYEXCHANGE, nc.AT_SIGNATURE


def gids(**options):
    keys = [
        ("box", KX, rsa_key(), None),
        ("sig", SIG, rsa_key(1), None),
        ("dh", KX, ec_key(), None),
        ("dsa", SIG, ec_key(256, 1), None),
    ]
    return virtual_gids(keys=options.pop("keys", keys), **options)


@pytest.fixture(scope="module")
def shared():
    with local_system() as system:
        system.insert(gids())
        yield system


@pytest.fixture
def card(shared):
    return nc.NCryptOpenStorageProvider(CARD)


@pytest.fixture
def memory(shared):
    return nc.NCryptOpenStorageProvider(MEMORY)


def keys_of(prov, scope=None, flags=0):
    found, state = [], None
    while True:
        try:
            item, state = nc.NCryptEnumKeys(prov, scope, state, flags)
        except WinError as error:
            if error.name != "NTE_NO_MORE_ITEMS":
                raise
            nc.NCryptFreeBuffer(state)
            return found
        found.append(item)


# --- providers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "impl", "own", "longest"),
    [
        pytest.param(CARD, 9, CARD, 39, id="card"),
        pytest.param(CARD.upper(), 9, CARD, 39, id="card-case"),
        pytest.param("Microsoft Base Smart Card Crypto Provider", 9, CARD, 39, id="alias"),
        pytest.param(MEMORY, 2, MEMORY, 512, id="memory"),
        pytest.param(None, 2, MEMORY, 512, id="none"),
    ],
)
def test_a_provider_opens_by_its_name(shared, name, impl, own, longest):
    prov = nc.NCryptOpenStorageProvider(name)
    assert isinstance(prov, nc.NCryptProv)
    assert nc.NCryptGetProperty(prov, nc.NCRYPT_IMPL_TYPE_PROPERTY) == impl
    assert nc.NCryptGetProperty(prov, nc.NCRYPT_NAME_PROPERTY) == own
    assert nc.NCryptGetProperty(prov, nc.NCRYPT_MAX_NAME_LENGTH_PROPERTY) == longest
    assert nc.NCryptGetProperty(prov, nc.NCRYPT_VERSION_PROPERTY) >= 0x10000
    assert nc.NCryptGetProperty(prov, nc.NCRYPT_SECURITY_DESCR_SUPPORT_PROPERTY) == 0
    assert nc.NCryptGetProperty(prov, "Use Count") == 0
    assert nc.NCryptGetProperty(prov, "Enabled Use Count") == 0


def test_an_unknown_provider_is_no_keyset(shared):
    refused("NTE_BAD_KEYSET", nc.NCryptOpenStorageProvider, "Nobody's Provider")
    refused("NTE_BAD_FLAGS", nc.NCryptOpenStorageProvider, CARD, 1)
    assert nc.NCryptOpenStorageProvider(pszProviderName=CARD, dwFlags=SILENT)


def test_providers_are_listed(shared):
    found = nc.NCryptEnumStorageProviders()
    assert isinstance(found, list)
    assert {row.name for row in found} == {CARD, MEMORY}
    assert all(type(row) is nc.NCryptProviderName and isinstance(row.comment, str) for row in found)
    assert nc.NCryptEnumStorageProviders(SILENT) == found
    refused("NTE_BAD_FLAGS", nc.NCryptEnumStorageProviders, 1)
    assert nc.NCryptFreeBuffer(found) is None


def test_a_system_can_be_named():
    with local_system() as other:
        other.insert(gids())
    with local_system():
        prov = nc.NCryptOpenStorageProvider(CARD, system=other)
        assert nc.NCryptOpenKey(prov, "box")


# --- handles ---------------------------------------------------------------------------------------------------------

ON_PROVIDERS = {
    "algorithms": lambda h: nc.NCryptEnumAlgorithms(h, 1 << 20, 1),
    "supported": lambda h: nc.NCryptIsAlgSupported(h, "X", 1),
    "keys": lambda h: nc.NCryptEnumKeys(h, "x", None, 1),
    "open": lambda h: nc.NCryptOpenKey(h, "x", 9, 1),
    "create": lambda h: nc.NCryptCreatePersistedKey(h, "X", "x", 9, 1),
    "import": lambda h: nc.NCryptImportKey(h, None, "X", (), b"", 1),
}
ON_KEYS = {
    "finalize": lambda h: nc.NCryptFinalizeKey(h, 1),
    "delete": lambda h: nc.NCryptDeleteKey(h, 1),
    "sign": lambda h: nc.NCryptSignHash(h, None, b"", 1),
    "verify": lambda h: nc.NCryptVerifySignature(h, None, b"", b"", 1),
    "encrypt": lambda h: nc.NCryptEncrypt(h, b"", None, 0x100),
    "decrypt": lambda h: nc.NCryptDecrypt(h, b"", None, 0x100),
    "export": lambda h: nc.NCryptExportKey(h, None, "X", (), 1),
    "agree": lambda h: nc.NCryptSecretAgreement(h, h, 1),
}
ON_ANY = {
    "get": lambda h: nc.NCryptGetProperty(h, "X", 1),
    "set": lambda h: nc.NCryptSetProperty(h, "X", b"", 1),
    "free": nc.NCryptFreeObject,
}
ALL = {**ON_PROVIDERS, **ON_KEYS, **ON_ANY}


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
def test_a_bad_handle_comes_before_everything(shared, call):
    freed = nc.NCryptOpenStorageProvider(CARD)
    nc.NCryptFreeObject(freed)
    for bad in (None, 0, 5, "text", object(), freed):
        refused("NTE_INVALID_HANDLE", call, bad)


@pytest.mark.parametrize("call", ON_PROVIDERS.values(), ids=ON_PROVIDERS)
def test_a_key_is_no_provider(card, call):
    refused("NTE_INVALID_HANDLE", call, nc.NCryptOpenKey(card, "box"))


@pytest.mark.parametrize("call", ON_KEYS.values(), ids=ON_KEYS)
def test_a_provider_is_no_key(card, call):
    refused("NTE_INVALID_HANDLE", call, card)
    key = nc.NCryptOpenKey(card, "dh")
    nc.NCryptFreeObject(key)
    refused("NTE_INVALID_HANDLE", call, key)


@pytest.mark.parametrize("call", ON_PROVIDERS.values(), ids=ON_PROVIDERS)
def test_unknown_flags_come_before_the_arguments_of_providers(card, call):
    refused("NTE_BAD_FLAGS", call, card)


@pytest.mark.parametrize("call", [*ON_KEYS.values(), ON_ANY["get"], ON_ANY["set"]], ids=[*ON_KEYS, "get", "set"])
def test_unknown_flags_come_before_the_arguments_of_keys(card, call):
    refused("NTE_BAD_FLAGS", call, nc.NCryptOpenKey(card, "dh"))


def test_handles_close_by_with_and_never_complain(card):
    with nc.NCryptOpenStorageProvider(CARD) as prov, nc.NCryptOpenKey(prov, "box") as key:
        assert nc.NCryptIsKeyHandle(key) is True
        nc.NCryptFreeObject(prov)
        prov.close()
        assert nc.NCryptGetProperty(key, nc.NCRYPT_NAME_PROPERTY) == "box"
    key.close()
    assert nc.NCryptIsKeyHandle(key) is False
    refused("NTE_INVALID_HANDLE", nc.NCryptFreeObject, key)


def test_anything_may_be_asked_whether_it_is_a_key(card):
    for thing in (None, 0, "x", b"x", object(), card, []):
        assert nc.NCryptIsKeyHandle(thing) is False
    assert nc.NCryptIsKeyHandle(hKey=nc.NCryptOpenKey(card, "sig")) is True


def test_free_buffer_does_nothing():
    for thing in (None, [], object(), b""):
        assert nc.NCryptFreeBuffer(pvInput=thing) is None


# --- algorithms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [CARD, MEMORY], ids=["card", "memory"])
def test_algorithms_are_listed_by_operation(shared, name):
    prov = nc.NCryptOpenStorageProvider(name)
    found = nc.NCryptEnumAlgorithms(prov)
    assert {row.name: (row.interface, row.operations) for row in found} == ALGORITHMS
    assert all(row.flags == 0 for row in found)
    for mask in (4, 8, 0x10, 4 | 8):
        wanted = {n for n, (_, operations) in ALGORITHMS.items() if operations & mask}
        assert {row.name for row in nc.NCryptEnumAlgorithms(prov, mask)} == wanted
    for mask in (1, 2, 0x20, 0x40):
        assert nc.NCryptEnumAlgorithms(prov, mask) == []
    refused("NTE_INVALID_PARAMETER", nc.NCryptEnumAlgorithms, prov, 0x80)
    refused("NTE_INVALID_PARAMETER", nc.NCryptEnumAlgorithms, prov, 0x80 | 4)
    refused("NTE_BAD_FLAGS", nc.NCryptEnumAlgorithms, prov, 0, 1)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_is_supported(card, memory, name):
    assert nc.NCryptIsAlgSupported(card, name) is None
    assert nc.NCryptIsAlgSupported(hProvider=memory, pszAlgId=name, dwFlags=SILENT) is None


@pytest.mark.parametrize("name", ["rsa", "AES", "SHA1", "ECDSA", "ECDH", "ecdsa_p256", "RSA ", "DSA", "ECDSA_P224"])
def test_another_algorithm_is_not(card, memory, name):
    refused("NTE_NOT_SUPPORTED", nc.NCryptIsAlgSupported, card, name)
    refused("NTE_NOT_SUPPORTED", nc.NCryptIsAlgSupported, memory, name)
    refused("NTE_NOT_SUPPORTED", nc.NCryptCreatePersistedKey, memory, name)


# --- enumerating and opening keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, SILENT, nc.NCRYPT_MACHINE_KEY_FLAG], ids=hex)
def test_keys_are_enumerated(card, flags):
    found = keys_of(card, None, flags)
    assert all(type(row) is nc.NCryptKeyName for row in found)
    assert {(row.name, row.algid, row.legacy_key_spec) for row in found} == {
        ("box", "RSA", KX),
        ("sig", "RSA", SIG),
        ("dh", "ECDH_P256", KX),
        ("dsa", "ECDSA_P256", SIG),
    }


def test_the_scope_of_an_enumeration_is_a_reader(shared, card):
    shared.insert(virtual_piv(), OTHER)
    try:
        assert len(keys_of(card, PREFIX)) == 4
        assert len(keys_of(card, f"\\\\.\\{OTHER}\\")) == 3
        assert len(keys_of(card)) == 7
    finally:
        shared.unplug(OTHER)
    for scope in ("x", "\\\\.\\x", PREFIX + "box", "\\"):
        refused("NTE_INVALID_PARAMETER", nc.NCryptEnumKeys, card, scope)
    refused("SCARD_E_UNKNOWN_READER", nc.NCryptEnumKeys, card, "\\\\.\\Nowhere\\")
    refused("NTE_BAD_FLAGS", nc.NCryptEnumKeys, card, None, None, 0x80)


def test_memory_enumerates_and_opens_nothing(memory):
    refused("NTE_NO_MORE_ITEMS", nc.NCryptEnumKeys, memory)
    refused("NTE_BAD_KEYSET", nc.NCryptOpenKey, memory, "box")
    refused("NTE_NOT_SUPPORTED", nc.NCryptCreatePersistedKey, memory, "RSA", "name")


@pytest.mark.parametrize(
    ("name", "spec", "found"),
    [
        pytest.param(None, 0, ("box", "RSA"), id="none"),
        pytest.param("", 0, ("box", "RSA"), id="empty"),
        pytest.param(PREFIX, 0, ("box", "RSA"), id="reader"),
        pytest.param("BOX", KX, ("box", "RSA"), id="case"),
        pytest.param(PREFIX + "sig", SIG, ("sig", "RSA"), id="signature"),
        pytest.param("sig", 0, ("sig", "RSA"), id="only"),
        pytest.param("dh", KX, ("dh", "ECDH_P256"), id="agreement"),
        pytest.param("dsa", 0, ("dsa", "ECDSA_P256"), id="dsa"),
    ],
)
@pytest.mark.parametrize("flags", [0, SILENT, nc.NCRYPT_MACHINE_KEY_FLAG], ids=hex)
def test_a_key_opens_by_every_level_of_name(card, name, spec, found, flags):
    key = nc.NCryptOpenKey(card, name, spec, flags)
    assert isinstance(key, nc.NCryptKey)
    assert (nc.NCryptGetProperty(key, "Name"), nc.NCryptGetProperty(key, "Algorithm Name")) == found
    assert nc.NCryptGetProperty(key, "Key Type") == flags & nc.NCRYPT_MACHINE_KEY_FLAG


@pytest.mark.parametrize(
    ("name", "spec", "code"),
    [
        pytest.param("absent", 0, "NTE_BAD_KEYSET", id="absent"),
        pytest.param(PREFIX + "absent", 1, "NTE_BAD_KEYSET", id="absent-there"),
        pytest.param("box", SIG, "NTE_NO_KEY", id="empty-slot"),
        pytest.param("dsa", KX, "NTE_NO_KEY", id="empty-exchange"),
        pytest.param("box", 3, "NTE_INVALID_PARAMETER", id="spec-3"),
        pytest.param("box", 0xA400, "NTE_INVALID_PARAMETER", id="spec-algid"),
        pytest.param("\\\\.\\Nowhere\\box", 0, "SCARD_E_UNKNOWN_READER", id="reader"),
        pytest.param("x" * 40, 0, "NTE_INVALID_PARAMETER", id="long"),
        pytest.param("a\\b", 0, "NTE_INVALID_PARAMETER", id="backslash"),
    ],
)
def test_a_key_that_is_not_there(card, name, spec, code):
    if code == "NTE_INVALID_PARAMETER" and spec == 0:
        with pytest.raises(WinError) as caught:
            nc.NCryptOpenKey(card, name, spec)
        assert caught.value.name in (code, "NTE_BAD_KEYSET_PARAM")
        return
    refused(code, nc.NCryptOpenKey, card, name, spec)


def test_no_reader_and_no_card():
    with local_system() as system:
        prov = nc.NCryptOpenStorageProvider(CARD)
        refused("SCARD_E_NO_READERS_AVAILABLE", nc.NCryptOpenKey, prov, None)
        system.plug(READER)
        refused("SCARD_E_NO_SMARTCARD", nc.NCryptOpenKey, prov, None)
        refused("SCARD_E_NO_SMARTCARD", nc.NCryptOpenKey, prov, PREFIX + "box")
        refused("SCARD_E_NO_SMARTCARD", nc.NCryptOpenKey, prov, "box")
        refused("SCARD_E_UNKNOWN_READER", nc.NCryptOpenKey, prov, "\\\\.\\Nowhere\\")


def test_two_cards_with_one_name_have_unique_names(shared, card):
    shared.insert(gids(), OTHER)
    try:
        for reader in (READER, OTHER):
            key = nc.NCryptOpenKey(card, f"\\\\.\\{reader}\\box")
            unique = nc.NCryptGetProperty(key, nc.NCRYPT_UNIQUE_NAME_PROPERTY)
            assert unique == f"\\\\.\\{reader}\\box"
            assert nc.NCryptGetProperty(nc.NCryptOpenKey(card, unique), nc.NCRYPT_READER_PROPERTY) == reader
    finally:
        shared.unplug(OTHER)
    key = nc.NCryptOpenKey(card, "box")
    assert nc.NCryptGetProperty(key, nc.NCRYPT_UNIQUE_NAME_PROPERTY) == "box"


def test_a_provider_is_bound_to_a_reader(shared):
    shared.insert(gids(), OTHER)
    try:
        prov = nc.NCryptOpenStorageProvider(CARD)
        for reader in (READER, OTHER):
            assert nc.NCryptSetProperty(prov, nc.NCRYPT_READER_PROPERTY, reader) is None
            assert nc.NCryptGetProperty(prov, nc.NCRYPT_READER_PROPERTY) == reader
            key = nc.NCryptOpenKey(prov, "box")
            assert nc.NCryptGetProperty(key, nc.NCRYPT_READER_PROPERTY) == reader
            guid = nc.NCryptGetProperty(prov, nc.NCRYPT_SMARTCARD_GUID_PROPERTY)
            assert guid == nc.NCryptGetProperty(key, nc.NCRYPT_SMARTCARD_GUID_PROPERTY)
            assert len(guid) == 16
        refused("NTE_INVALID_PARAMETER", nc.NCryptSetProperty, prov, nc.NCRYPT_READER_PROPERTY, 5)
    finally:
        shared.unplug(OTHER)


def test_an_unbound_provider_has_no_card_id(card):
    refused("NTE_NOT_FOUND", nc.NCryptGetProperty, card, nc.NCRYPT_SMARTCARD_GUID_PROPERTY)


# --- translating handles ---------------------------------------------------------------------------------------------


def test_a_cryptoapi_context_is_translated(shared):
    h = adv.CryptAcquireContext("box")
    prov, key = nc.NCryptTranslateHandle(h)
    assert isinstance(prov, nc.NCryptProv)
    assert nc.NCryptGetProperty(key, "Name") == "box"
    assert nc.NCryptGetProperty(prov, "Impl Type") == 9
    _, key = nc.NCryptTranslateHandle(hLegacyProv=h, hLegacyKey=adv.CryptGetUserKey(h, KX))
    assert nc.NCryptGetProperty(key, "Name") == "box"
    _, key = nc.NCryptTranslateHandle(adv.CryptAcquireContext("sig"), None, SIG)
    assert nc.NCryptGetProperty(key, "Name") == "sig"
    adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    refused("NTE_NO_KEY", nc.NCryptTranslateHandle, h, None, SIG)
    refused("NTE_BAD_FLAGS", nc.NCryptTranslateHandle, h, None, 0, 1)
    refused("NTE_INVALID_HANDLE", nc.NCryptTranslateHandle, None)
    refused("NTE_INVALID_HANDLE", nc.NCryptTranslateHandle, prov)
    refused("NTE_INVALID_PARAMETER", nc.NCryptTranslateHandle, h, None, 5)


def test_other_contexts_are_not_translated(shared):
    for name, kind, flags in (
        (adv.PERSONAL_CSP, 1, 0),
        (adv.MS_ENH_RSA_AES_PROV, 24, adv.CRYPT_VERIFYCONTEXT),
        (adv.MS_SCARD_PROV, 1, adv.CRYPT_VERIFYCONTEXT),
    ):
        refused("NTE_NOT_SUPPORTED", nc.NCryptTranslateHandle, adv.CryptAcquireContext(None, name, kind, flags))
