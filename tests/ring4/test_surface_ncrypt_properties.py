"""CNG properties, black box: every row, on providers, card keys and nameless keys, before and after finalising."""

from __future__ import annotations

import pytest
from surfacedesk import PIN, READER, ec_key, refused, rsa_key

from calais import WinError
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.winapi import advapi32 as adv
from calais.winapi import crypt32
from calais.winapi import ncrypt as nc

CARD, MEMORY = nc.MS_SMART_CARD_KEY_STORAGE_PROVIDER, nc.MS_KEY_STORAGE_PROVIDER
KX, SIG = nc.AT_KEYEXCHANGE, nc.AT_SIGNATURE
PKCS1, SILENT, PERSIST, PERSIST_ONLY = 2, 0x40, 0x80000000, 0x40000000
get, put = nc.NCryptGetProperty, nc.NCryptSetProperty

GETTABLE = {
    "Name": "pk",
    "Unique Name": "k",
    "Algorithm Name": "kn",
    "Algorithm Group": "kn",
    "Length": "kn",
    "Lengths": "kn",
    "Block Length": "kn",
    "Export Policy": "kn",
    "Key Usage": "kn",
    "Key Type": "kn",
    "UI Policy": "kn",
    "Modified": "kn",
    "Impl Type": "p",
    "Version": "p",
    "Max Name Length": "p",
    "Provider Handle": "kn",
    "SmartCardKeyCertificate": "kn",
    "SmartCardPin": "",
    "SmartCardSecurePin": "",
    "SmartCardPinPrompt": "",
    "SmartCardReader": "kp",
    "SmartCardReaderIcon": "k",
    "SmartCardGuid": "pk",
    "SmartCardUserCertStore": "p",
    "SmartcardRootCertStore": "p",
    "SmartCardPinId": "k",
    "SmartCardPinInfo": "k",
    "HWND Handle": "pkn",
    "Use Context": "pkn",
    "Security Descr Support": "p",
    "Security Descr": "n",
    "Enabled Use Count": "p",
    "Use Count": "p",
    "SignatureLength": "kn",
    "PublicKeyLength": "kn",
    "Nothing of the kind": "",
    "name": "",
    "SmartCardRootCertStore": "",
}
PARTLY = ("Block Length", "SignatureLength", "SmartCardAssociatedECDHKey")  # for some algorithms only
EARLY = ("Length", "Export Policy", "Key Usage", "UI Policy")
SETTABLE = {
    "Length": "n",
    "Export Policy": "n",
    "Key Usage": "n",
    "UI Policy": "n",
    "SmartCardKeyCertificate": "kn",
    "SmartCardPin": "pk",
    "SmartCardSecurePin": "k",
    "SmartCardReader": "p",
    "SmartcardRootCertStore": "p",
    "HWND Handle": "pkn",
    "Use Context": "pkn",
}


@pytest.fixture(scope="module")
def shared():
    with local_system() as system:
        keys = [
            ("box", KX, rsa_key(), None),
            ("dsa", SIG, ec_key(256, 1), None),
            ("dh", KX, ec_key(), None),
        ]
        system.insert(virtual_gids(keys=keys))
        yield system


@pytest.fixture
def system():
    with local_system() as system:
        yield system


def provider(name=CARD):
    return nc.NCryptOpenStorageProvider(name)


def memory_key(algorithm="ECDSA_P256", **properties):
    key = nc.NCryptCreatePersistedKey(provider(MEMORY), algorithm)
    for name, value in properties.items():
        put(key, name.replace("_", " "), value)
    nc.NCryptFinalizeKey(key)
    return key


def card_key(name=None, spec=0, pin=None):
    key = nc.NCryptOpenKey(provider(), name, spec)
    if pin:
        put(key, nc.NCRYPT_PIN_PROPERTY, pin)
    return key


OBJECTS = {"p": provider, "k": lambda: card_key("box"), "n": lambda: memory_key("ECDSA_P256")}


@pytest.mark.parametrize("letter", OBJECTS)
@pytest.mark.parametrize("name", GETTABLE)
def test_a_property_is_read_where_it_has_a_letter(shared, letter, name):
    h = OBJECTS[letter]()
    if letter not in GETTABLE[name]:
        refused("NTE_NOT_SUPPORTED", get, h, name)
        return
    try:
        found = get(h, name, 4 if name == "Security Descr" else 0)
    except WinError as error:
        found = error.name
    assert found not in (None, "NTE_NOT_SUPPORTED", "NTE_BAD_FLAGS", "NTE_INVALID_PARAMETER") or name in PARTLY


@pytest.mark.parametrize("letter", OBJECTS)
@pytest.mark.parametrize("name", GETTABLE)
def test_a_property_is_not_set_without_a_letter(shared, letter, name):
    if letter not in SETTABLE.get(name, "") and not (letter == "k" and name in EARLY):
        refused("NTE_NOT_SUPPORTED", put, OBJECTS[letter](), name, b"")


def test_names_compare_exactly_and_enumeration_members_are_strings(shared):
    h = card_key("box")
    assert get(h, nc.NCRYPT_NAME_PROPERTY) == get(h, "Name") == "box"
    refused("NTE_NOT_SUPPORTED", get, h, "NAME")
    refused("NTE_INVALID_PARAMETER", get, h, "x" * 65)
    refused("NTE_INVALID_PARAMETER", put, h, "x" * 65, b"", PERSIST_ONLY)
    refused("NTE_INVALID_PARAMETER", put, h, "own", bytes(0x100001), PERSIST_ONLY)


VALUES = {
    "box": ("RSA", "RSA", 2048, 2048),
    "dsa": ("ECDSA_P256", "ECDSA", 256, 256),
    "dh": ("ECDH_P256", "ECDH", 256, 256),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_card_key_says_what_it_is(shared, name):
    key = card_key(name)
    algorithm, group, length, public = VALUES[name]
    assert get(key, nc.NCRYPT_ALGORITHM_PROPERTY) == algorithm
    assert get(key, nc.NCRYPT_ALGORITHM_GROUP_PROPERTY) == group
    assert get(key, nc.NCRYPT_LENGTH_PROPERTY) == length
    assert get(key, nc.BCRYPT_PUBLIC_KEY_LENGTH) == public
    lengths = get(key, nc.NCRYPT_LENGTHS_PROPERTY)
    assert type(lengths) is nc.NCryptSupportedLengths
    assert lengths.min_length <= length <= lengths.max_length
    assert get(key, nc.NCRYPT_EXPORT_POLICY_PROPERTY) == 0
    assert get(key, nc.NCRYPT_UNIQUE_NAME_PROPERTY) == name
    assert get(key, nc.NCRYPT_SCARD_PIN_ID) == 1
    assert isinstance(get(key, nc.NCRYPT_SCARD_PIN_INFO), nc.PinInfo)
    assert get(key, nc.NCRYPT_READER_PROPERTY) == READER
    refused("NTE_NOT_FOUND", get, key, nc.NCRYPT_LAST_MODIFIED_PROPERTY)
    refused("NTE_NOT_FOUND", get, key, nc.NCRYPT_CERTIFICATE_PROPERTY)
    refused("NTE_NOT_FOUND", get, key, nc.NCRYPT_READER_ICON_PROPERTY)


def test_usage_follows_slot_and_algorithm(shared):
    assert get(card_key("dsa"), nc.NCRYPT_KEY_USAGE_PROPERTY) == 2
    assert get(card_key("dh"), nc.NCRYPT_KEY_USAGE_PROPERTY) == 4
    assert get(card_key("box"), nc.NCRYPT_KEY_USAGE_PROPERTY) in (1, 3)


def test_lengths_of_blocks_and_signatures(shared):
    assert get(card_key("box"), nc.NCRYPT_BLOCK_LENGTH_PROPERTY) == 256
    assert get(card_key("dsa"), nc.BCRYPT_SIGNATURE_LENGTH) == 64
    assert get(memory_key("RSA", Length=1024), nc.BCRYPT_SIGNATURE_LENGTH) == 128
    assert get(memory_key("ECDSA_P521"), nc.BCRYPT_SIGNATURE_LENGTH) == 132
    for key in (card_key("dsa"), card_key("dh")):
        with pytest.raises(WinError) as caught:
            get(key, nc.NCRYPT_BLOCK_LENGTH_PROPERTY)
        assert caught.value.name in ("NTE_NOT_FOUND", "NTE_NOT_SUPPORTED")


def test_the_provider_handle_is_new_each_time(shared):
    key = card_key("box")
    one, two = get(key, nc.NCRYPT_PROVIDER_HANDLE_PROPERTY), get(key, nc.NCRYPT_PROVIDER_HANDLE_PROPERTY)
    assert one is not two
    nc.NCryptFreeObject(one)
    assert get(two, "Impl Type") == 9
    nameless = nc.NCryptCreatePersistedKey(provider(), "ECDSA_P256")
    assert get(get(nameless, nc.NCRYPT_PROVIDER_HANDLE_PROPERTY), "Name") == MEMORY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Length", 2048),
        ("Export Policy", 0),
        ("Key Usage", 2),
        ("UI Policy", nc.NCryptUiPolicy()),
    ],
    ids=["length", "export", "usage", "ui"],
)
def test_what_belongs_before_finalising_is_refused_on_a_card_key(shared, name, value):
    refused("NTE_NOT_SUPPORTED", put, card_key("box"), name, value)


def test_the_properties_of_an_unfinished_nameless_key(shared):
    key = nc.NCryptCreatePersistedKey(provider(MEMORY), "RSA")
    put(key, nc.NCRYPT_LENGTH_PROPERTY, 1024)
    put(key, nc.NCRYPT_EXPORT_POLICY_PROPERTY, 3)
    put(key, nc.NCRYPT_KEY_USAGE_PROPERTY, 2)
    put(key, nc.NCRYPT_UI_POLICY_PROPERTY, nc.NCryptUiPolicy(1, "title", "name", "what"))
    assert get(key, "Length") == 1024
    assert get(key, "Export Policy") == 3
    assert get(key, "Key Usage") == 2
    assert get(key, "UI Policy") == nc.NCryptUiPolicy(1, "title", "name", "what")
    for bad in ("x", b"\0\4\0\0", None, -1, 1.5):
        refused("NTE_INVALID_PARAMETER", put, key, "Length", bad)
    for impossible in (1025, 16):
        with pytest.raises(WinError):
            put(key, "Length", impossible)
    refused("NTE_INVALID_PARAMETER", put, key, "Export Policy", 0x10)
    refused("NTE_INVALID_PARAMETER", put, key, "UI Policy", 5)
    refused("NTE_BAD_KEY_STATE", nc.NCryptSignHash, key, nc.Pkcs1PaddingInfo("SHA1"), bytes(20), PKCS1)
    refused("NTE_BAD_KEY_STATE", nc.NCryptExportKey, key, None, "RSAPUBLICBLOB")
    assert nc.NCryptFinalizeKey(key) is None
    refused("NTE_INVALID_HANDLE", nc.NCryptFinalizeKey, key)
    assert get(key, "Length") == 1024
    refused("NTE_PERM", nc.NCryptDecrypt, key, bytes(128), None, PKCS1)
    assert len(nc.NCryptSignHash(key, nc.Pkcs1PaddingInfo("SHA1"), bytes(20), PKCS1)) == 128


def test_a_nameless_key_without_length_has_the_default(shared):
    key = memory_key("RSA")
    assert get(key, "Length") == get(key, "Lengths").default_length
    assert get(key, "Export Policy") == 0
    refused("NTE_NOT_FOUND", get, key, nc.NCRYPT_LAST_MODIFIED_PROPERTY)
    refused("NTE_NOT_FOUND", get, key, nc.NCRYPT_CERTIFICATE_PROPERTY)
    refused("NTE_NOT_FOUND", get, key, "Security Descr", 4)
    refused("NTE_BAD_FLAGS", get, key, "Security Descr")


def test_own_properties_need_the_flag_and_live_with_the_handle(shared):
    for key in (card_key("box"), memory_key()):
        assert put(key, "My Own", b"value", PERSIST_ONLY) is None
        assert get(key, "My Own", PERSIST_ONLY) == b"value"
        refused("NTE_NOT_SUPPORTED", get, key, "My Own")
        refused("NTE_NOT_SUPPORTED", put, key, "My Own", b"value")
        refused("NTE_INVALID_PARAMETER", put, key, "My Own", 5, PERSIST_ONLY)
        refused("NTE_NOT_FOUND", get, key, "Other", PERSIST_ONLY)
    refused("NTE_NOT_FOUND", get, card_key("box"), "My Own", PERSIST_ONLY)
    refused("NTE_NOT_SUPPORTED", put, card_key("box"), "My Own", b"value", PERSIST | PERSIST_ONLY)


def test_windows_are_inherited_and_contexts_are_not(shared):
    prov = provider()
    put(prov, nc.NCRYPT_WINDOW_HANDLE_PROPERTY, 1234)
    put(prov, nc.NCRYPT_USE_CONTEXT_PROPERTY, "provider")
    key = nc.NCryptOpenKey(prov, "box")
    assert get(key, nc.NCRYPT_WINDOW_HANDLE_PROPERTY) == 1234
    refused("NTE_NOT_FOUND", get, key, nc.NCRYPT_USE_CONTEXT_PROPERTY)
    put(key, nc.NCRYPT_WINDOW_HANDLE_PROPERTY, 5)
    put(key, nc.NCRYPT_USE_CONTEXT_PROPERTY, "key")
    assert (get(key, "HWND Handle"), get(key, "Use Context")) == (5, "key")
    assert (get(prov, "HWND Handle"), get(prov, "Use Context")) == (1234, "provider")
    for name in ("HWND Handle", "Use Context"):
        refused("NTE_INVALID_PARAMETER", put, key, name, b"x")


def test_the_associated_agreement_key(shared, system):
    name = nc.NCRYPT_ASSOCIATED_ECDH_KEY
    with shared:
        assert get(card_key("dsa"), name) == "dh"
        refused("NTE_NOT_SUPPORTED", get, card_key("box"), name)
        refused("NTE_NOT_SUPPORTED", get, card_key("dh"), name)
    with system:
        system.insert(virtual_gids(keys=[("dsa", SIG, ec_key(), None)]))
        refused("NTE_NOT_FOUND", get, card_key("dsa"), name)


# --- certificates and stores -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [virtual_gids, virtual_piv], ids=["gids", "piv"])
def test_a_certificate_is_read_written_and_deleted(system, make):
    system.insert(make())
    key = card_key()
    der = get(key, nc.NCRYPT_CERTIFICATE_PROPERTY)
    assert crypt32.CertCreateCertificateContext(1, der)
    refused("NTE_SILENT_CONTEXT", put, key, nc.NCRYPT_CERTIFICATE_PROPERTY, der)
    put(key, nc.NCRYPT_PIN_PROPERTY, PIN)
    refused("NTE_INVALID_PARAMETER", put, key, nc.NCRYPT_CERTIFICATE_PROPERTY, "text")
    put(key, nc.NCRYPT_CERTIFICATE_PROPERTY, None)
    refused("NTE_NOT_FOUND", get, key, nc.NCRYPT_CERTIFICATE_PROPERTY)
    put(key, nc.NCRYPT_CERTIFICATE_PROPERTY, der)
    assert get(card_key(), nc.NCRYPT_CERTIFICATE_PROPERTY) == der
    stranger = nc.NCryptCreatePersistedKey(provider(MEMORY), "RSA")
    put(stranger, "Length", 1024)
    nc.NCryptFinalizeKey(stranger)
    refused("NTE_BAD_PUBLIC_KEY", put, stranger, nc.NCRYPT_CERTIFICATE_PROPERTY, der)


def test_a_read_only_card_keeps_its_certificate(system):
    system.insert(virtual_gids(read_only=True))
    key = card_key(pin=PIN)
    der = get(key, nc.NCRYPT_CERTIFICATE_PROPERTY)
    refused("SCARD_E_READ_ONLY_CARD", put, key, nc.NCRYPT_CERTIFICATE_PROPERTY, der)


def test_the_certificates_of_the_card_come_as_a_store(system):
    system.insert(virtual_piv())
    with get(provider(), nc.NCRYPT_USER_CERTSTORE_PROPERTY) as store:
        specs, found = [], crypt32.CertEnumCertificatesInStore(store, None)
        while found:
            info = crypt32.CertGetCertificateContextProperty(found, crypt32.CERT_KEY_PROV_INFO_PROP_ID)
            assert (info.prov_name, info.prov_type) == (CARD, 0)
            specs.append(info.key_spec)
            found = crypt32.CertEnumCertificatesInStore(store, found)
    assert len(specs) == 3


def test_the_roots_of_the_card_come_and_go(system):
    system.insert(virtual_gids())
    prov = provider()
    with get(prov, nc.NCRYPT_ROOT_CERTSTORE_PROPERTY) as store:
        assert crypt32.CertEnumCertificatesInStore(store, None) is None
    put(prov, nc.NCRYPT_PIN_PROPERTY, PIN)
    with get(prov, nc.NCRYPT_USER_CERTSTORE_PROPERTY) as store:
        put(prov, nc.NCRYPT_ROOT_CERTSTORE_PROPERTY, store)
    with get(provider(), nc.NCRYPT_ROOT_CERTSTORE_PROPERTY) as store:
        assert crypt32.CertEnumCertificatesInStore(store, None)
    refused("NTE_INVALID_PARAMETER", put, prov, nc.NCRYPT_ROOT_CERTSTORE_PROPERTY, b"x")


@pytest.mark.parametrize(
    "name", ["SmartCardReader", "SmartCardUserCertStore", "SmartcardRootCertStore"], ids=["reader", "user", "root"]
)
def test_a_provider_needs_a_card_for_what_is_on_it(system, name):
    system.plug(READER)
    with pytest.raises(WinError) as caught:
        get(provider(), name)
    assert caught.value.name in ("SCARD_E_NO_SMARTCARD", "NTE_NOT_FOUND")


# --- PINs ------------------------------------------------------------------------------------------------------------


def sign(key, flags=0):
    return nc.NCryptSignHash(key, nc.Pkcs1PaddingInfo("SHA1"), bytes(20), PKCS1 | flags)


@pytest.mark.parametrize("on", ["key", "provider"])
@pytest.mark.parametrize("make", [virtual_gids, virtual_piv], ids=["gids", "piv"])
def test_a_pin_is_verified_at_once(system, make, on):
    card = make()
    system.insert(card)
    key = card_key()
    refused("NTE_SILENT_CONTEXT", sign, key)
    h = key if on == "key" else get(key, nc.NCRYPT_PROVIDER_HANDLE_PROPERTY)
    left = refused("SCARD_W_WRONG_CHV", put, h, nc.NCRYPT_PIN_PROPERTY, "654321").attempts_left
    refused("SCARD_E_INVALID_CHV", put, h, nc.NCRYPT_PIN_PROPERTY, "1")
    refused("NTE_INVALID_PARAMETER", put, h, nc.NCRYPT_PIN_PROPERTY, 123456)
    refused("NTE_SILENT_CONTEXT", sign, key)
    put(h, nc.NCRYPT_PIN_PROPERTY, PIN)
    assert len(sign(key)) == 256
    card.reset()
    assert len(sign(key, SILENT)) == 256
    put(h, nc.NCRYPT_PIN_PROPERTY, None)
    card.reset()
    refused("NTE_SILENT_CONTEXT", sign, key)
    for _ in range(left + 1):
        refused("SCARD_W_WRONG_CHV", put, h, nc.NCRYPT_PIN_PROPERTY, "654321")
    refused("SCARD_W_CHV_BLOCKED", put, h, nc.NCRYPT_PIN_PROPERTY, PIN)


def test_a_prompt_is_asked_unless_silence_is_wanted():
    prompt = FixedPrompt(PIN)
    with local_system(prompt=prompt) as system:
        system.insert(virtual_gids())
        refused("NTE_SILENT_CONTEXT", sign, card_key(), SILENT)
        quiet = nc.NCryptOpenKey(provider(), None, 0, SILENT)
        refused("NTE_SILENT_CONTEXT", sign, quiet)
        assert prompt.count == 0
        assert len(sign(card_key())) == 256
        assert len(sign(quiet)) == 256
        assert prompt.count == 1


def test_a_cancelled_prompt_is_the_users_will():
    with local_system(prompt=FixedPrompt(None)) as system:
        system.insert(virtual_gids())
        refused("SCARD_W_CANCELLED_BY_USER", sign, card_key())


def test_a_card_taken_out_and_put_back(system):
    card = virtual_gids()
    system.insert(card)
    key = card_key(pin=PIN)
    system.remove(READER)
    refused("SCARD_W_REMOVED_CARD", sign, key)
    refused("SCARD_W_REMOVED_CARD", get, key, nc.NCRYPT_CERTIFICATE_PROPERTY)
    system.insert(card)
    put(key, nc.NCRYPT_PIN_PROPERTY, PIN)
    assert len(sign(key)) == 256


def test_a_container_that_another_handle_deleted(system):
    system.insert(virtual_gids(keys=[("box", KX, rsa_key(), None), ("dsa", SIG, ec_key(), None)]))
    one, two = card_key("box", pin=PIN), card_key("box")
    nc.NCryptDeleteKey(one)
    refused("NTE_INVALID_HANDLE", sign, one)
    refused("NTE_BAD_KEYSET", sign, two)
    refused("NTE_BAD_KEYSET", nc.NCryptOpenKey, provider(), "box")
    refused("NTE_BAD_KEYSET", adv.CryptAcquireContext, "box")


def test_a_card_without_session_pins(system):
    system.insert(virtual_gids(session_pins=False))
    refused("NTE_NOT_SUPPORTED", put, card_key(), nc.NCRYPT_SECURE_PIN_PROPERTY, b"123456")
