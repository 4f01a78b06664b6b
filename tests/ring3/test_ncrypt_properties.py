"""Properties of providers and nameless keys, row by row."""

import pytest
from certs import ec_key, make
from cng import card_provider, code_of, memory, new

from calais.testing import local_system
from calais.win import blobs
from calais.winapi.ncrypt import (
    NCRYPT_PERSIST_FLAG,
    NCRYPT_PERSIST_ONLY_FLAG,
    NTE_BAD_FLAGS,
    NTE_BAD_KEY_STATE,
    NTE_BAD_LEN,
    NTE_BAD_PUBLIC_KEY,
    NTE_INVALID_PARAMETER,
    NTE_NOT_FOUND,
    NTE_NOT_SUPPORTED,
    NCryptCreatePersistedKey,
    NCryptFinalizeKey,
    NCryptGetProperty,
    NCryptImportKey,
    NCryptProv,
    NCryptSetProperty,
    NCryptSupportedLengths,
    NCryptUiPolicy,
)

KEY_ONLY = ["Algorithm Name", "Length", "Export Policy", "SmartCardKeyCertificate", "SmartCardPinId", "Provider Handle"]


@pytest.fixture(autouse=True)
def system():
    with local_system() as current:
        yield current


@pytest.fixture(scope="module")
def rsa_key():
    return new("RSA", Length=2048)


def unfinished(algorithm="RSA"):
    return NCryptCreatePersistedKey(memory(), algorithm)


# --- providers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "card", "software"),
    [
        ("Impl Type", 9, 2),
        ("Max Name Length", 39, 512),
        ("Version", 0x10000, 0x10000),
        ("Security Descr Support", 0, 0),
        ("Enabled Use Count", 0, 0),
        ("Use Count", 0, 0),
    ],
)
def test_what_providers_say(name, card, software):
    assert NCryptGetProperty(card_provider(), name) == card
    assert NCryptGetProperty(memory(), name) == software
    assert code_of(NCryptSetProperty, memory(), name, 1) == NTE_NOT_SUPPORTED


@pytest.mark.parametrize("name", ["HWND Handle", "Use Context"])
@pytest.mark.parametrize(
    "make_owner", [memory, card_provider, lambda: new("ECDSA_P256")], ids=["memory", "card", "key"]
)
def test_windows_and_contexts_are_kept(name, make_owner):
    owner, value = make_owner(), 77 if name == "HWND Handle" else "what for"
    assert code_of(NCryptGetProperty, owner, name) == NTE_NOT_FOUND
    NCryptSetProperty(owner, name, value)
    assert NCryptGetProperty(owner, name) == value
    for wrong in (None, b"x", 1.5, "x" if name == "HWND Handle" else 5):
        assert code_of(NCryptSetProperty, owner, name, wrong) == NTE_INVALID_PARAMETER


def test_a_key_falls_back_to_the_window_of_its_provider_and_not_to_its_context():
    provider = memory()
    NCryptSetProperty(provider, "HWND Handle", 5)
    NCryptSetProperty(provider, "Use Context", "x")
    key = new("ECDSA_P256", provider)
    assert NCryptGetProperty(key, "HWND Handle") == 5
    assert code_of(NCryptGetProperty, key, "Use Context") == NTE_NOT_FOUND
    NCryptSetProperty(key, "HWND Handle", 6)
    assert NCryptGetProperty(key, "HWND Handle") == 6
    assert NCryptGetProperty(provider, "HWND Handle") == 5


def test_nothing_is_bound_to_a_reader_at_first():
    assert code_of(NCryptGetProperty, card_provider(), "SmartCardReader") == NTE_NOT_FOUND
    assert code_of(NCryptGetProperty, card_provider(), "SmartCardGuid") == NTE_NOT_FOUND


@pytest.mark.parametrize(
    "name", ["SmartCardReader", "SmartCardGuid", "SmartCardUserCertStore", "SmartcardRootCertStore"]
)
def test_memory_has_nothing_to_do_with_cards(name):
    assert code_of(NCryptGetProperty, memory(), name) == NTE_NOT_SUPPORTED
    assert code_of(NCryptSetProperty, memory(), "SmartCardPin", "123456") == NTE_NOT_SUPPORTED


@pytest.mark.parametrize("name", [*KEY_ONLY, "SmartCardPin", "SmartCardPinPrompt", "name", "Own"])
def test_providers_lack_what_is_for_keys(name):
    for provider in (memory(), card_provider()):
        assert code_of(NCryptGetProperty, provider, name) == NTE_NOT_SUPPORTED


# --- nameless keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "values"),
    [
        (
            "ECDSA_P521",
            {
                "Algorithm Name": "ECDSA_P521",
                "Algorithm Group": "ECDSA",
                "Length": 521,
                "Lengths": NCryptSupportedLengths(521, 521, 0, 521),
                "Key Usage": 2,
                "SignatureLength": 132,
                "PublicKeyLength": 521,
            },
        ),
        ("ECDH_P384", {"Algorithm Group": "ECDH", "Length": 384, "Key Usage": 4, "PublicKeyLength": 384}),
    ],
)
def test_what_ec_keys_say(algorithm, values):
    key = new(algorithm)
    assert {name: NCryptGetProperty(key, name) for name in values} == values
    assert code_of(NCryptGetProperty, key, "Block Length") == NTE_NOT_FOUND


def test_what_rsa_keys_say(rsa_key):
    values = {
        "Algorithm Name": "RSA",
        "Algorithm Group": "RSA",
        "Length": 2048,
        "Lengths": NCryptSupportedLengths(512, 16384, 64, 2048),
        "Block Length": 256,
        "SignatureLength": 256,
        "PublicKeyLength": 2048,
        "Export Policy": 0,
        "Key Usage": 3,
        "Key Type": 0,
    }
    assert {name: NCryptGetProperty(rsa_key, name) for name in values} == values


def test_keys_that_do_not_sign_have_no_length_of_signatures():
    assert code_of(NCryptGetProperty, new("ECDH_P256"), "SignatureLength") == NTE_NOT_FOUND


@pytest.mark.parametrize("name", ["Modified", "UI Policy", "Use Context", "SmartCardKeyCertificate"])
def test_what_has_a_letter_and_no_value_is_not_found(rsa_key, name):
    assert code_of(NCryptGetProperty, rsa_key, name) == NTE_NOT_FOUND


@pytest.mark.parametrize(
    "name",
    [
        "Name",
        "Unique Name",
        "Impl Type",
        "SmartCardPin",
        "SmartCardPinId",
        "SmartCardPinInfo",
        "SmartCardReader",
        "SmartCardGuid",
        "SmartCardReaderIcon",
        "SmartCardAssociatedECDHKey",
        "Use Count",
        "Enabled Use Count",
        "SmartCardPinPrompt",
        "length",
        "Length ",
        "Own",
    ],
)
def test_what_has_no_letter_is_not_supported(rsa_key, name):
    assert code_of(NCryptGetProperty, rsa_key, name) == NTE_NOT_SUPPORTED


@pytest.mark.parametrize("name", ["SmartCardPin", "SmartCardSecurePin", "SmartCardPinPrompt", "Algorithm Name", "Own"])
def test_what_cannot_be_set_is_not_supported(name):
    assert code_of(NCryptSetProperty, unfinished(), name, "x") == NTE_NOT_SUPPORTED


def test_a_descriptor_never_has_a_value_and_its_parts_must_be_named(rsa_key):
    for parts in (1, 2, 4, 8, 15, 0x44):
        assert code_of(NCryptGetProperty, rsa_key, "Security Descr", parts) == NTE_NOT_FOUND
    assert code_of(NCryptGetProperty, rsa_key, "Security Descr") == NTE_BAD_FLAGS
    assert code_of(NCryptGetProperty, rsa_key, "Length", 4) == NTE_BAD_FLAGS


def test_the_provider_handle_is_a_new_one_each_time(rsa_key):
    one, other = NCryptGetProperty(rsa_key, "Provider Handle"), NCryptGetProperty(rsa_key, "Provider Handle")
    assert isinstance(one, NCryptProv)
    assert one is not other
    one.close()
    assert NCryptGetProperty(other, "Impl Type") == 2


def test_the_flag_of_machine_keys_is_remembered():
    key = NCryptCreatePersistedKey(memory(), "ECDSA_P256", None, 0, 0x20)
    assert NCryptGetProperty(key, "Key Type") == 0x20


# --- before finishing ------------------------------------------------------------------------------------------------


def test_properties_are_set_before_finishing_and_not_after():
    key = unfinished()
    policy = NCryptUiPolicy(1, "title", None, "words")
    values = {"Length": 1024, "Export Policy": 3, "Key Usage": 0xFFFFFF, "UI Policy": policy}
    for name, value in values.items():
        NCryptSetProperty(key, name, value, NCRYPT_PERSIST_FLAG)
        assert NCryptGetProperty(key, name) == value
    NCryptFinalizeKey(key)
    for name, value in values.items():
        assert NCryptGetProperty(key, name) == value
        assert code_of(NCryptSetProperty, key, name, value) == NTE_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("Length", ["2048", -1, True, None, 1000, 100, 20000, 1 << 40]),
        ("Export Policy", [16, -1, "1", None]),
        ("Key Usage", [1 << 24, -1, b"\1"]),
        ("UI Policy", [1, None, NCryptUiPolicy(4), NCryptUiPolicy(1, 5), NCryptUiPolicy(1, version=2)]),
        ("SmartCardKeyCertificate", ["x", b"", 7]),
    ],
)
def test_wrong_types_and_values_are_refused(name, wrong):
    key = unfinished()
    for value in wrong:
        assert code_of(NCryptSetProperty, key, name, value) == NTE_INVALID_PARAMETER


@pytest.mark.parametrize("bits", [512, 768])
def test_short_rsa_keys_are_not_made(bits):
    assert code_of(NCryptSetProperty, unfinished(), "Length", bits) == NTE_BAD_LEN


def test_the_length_of_a_curve_is_fixed():
    key = unfinished("ECDSA_P384")
    NCryptSetProperty(key, "Length", 384)
    assert code_of(NCryptSetProperty, key, "Length", 256) == NTE_INVALID_PARAMETER


def test_without_a_length_rsa_keys_have_the_default_one():
    key = unfinished()
    assert NCryptGetProperty(key, "Length") == 2048
    assert NCryptGetProperty(key, "Block Length") == 256


# --- certificates, own properties ------------------------------------------------------------------------------------


def test_a_nameless_key_keeps_the_certificate_of_its_own():
    blob = blobs.build_ecc_private(ec_key(), "ECDSA")
    key = NCryptImportKey(memory(), None, "ECCPRIVATEBLOB", (), blob)
    der, other = make(key=ec_key()), make(key=ec_key(1))
    assert code_of(NCryptSetProperty, key, "SmartCardKeyCertificate", other) == NTE_BAD_PUBLIC_KEY
    assert code_of(NCryptSetProperty, key, "SmartCardKeyCertificate", b"junk") == NTE_INVALID_PARAMETER
    NCryptSetProperty(key, "SmartCardKeyCertificate", der)
    assert NCryptGetProperty(key, "SmartCardKeyCertificate") == der
    NCryptSetProperty(key, "SmartCardKeyCertificate", None)
    assert code_of(NCryptGetProperty, key, "SmartCardKeyCertificate") == NTE_NOT_FOUND
    assert code_of(NCryptSetProperty, unfinished(), "SmartCardKeyCertificate", der) == NTE_BAD_KEY_STATE


def test_own_properties_live_with_the_handle(rsa_key):
    name, only = "My own", NCRYPT_PERSIST_ONLY_FLAG
    assert code_of(NCryptGetProperty, rsa_key, name, only) == NTE_NOT_FOUND
    NCryptSetProperty(rsa_key, name, b"value", only)
    assert NCryptGetProperty(rsa_key, name, only) == b"value"
    NCryptSetProperty(rsa_key, name, b"other", only | NCRYPT_PERSIST_FLAG)
    assert NCryptGetProperty(rsa_key, name, only) == b"other"
    assert code_of(NCryptGetProperty, rsa_key, name) == NTE_NOT_SUPPORTED
    assert code_of(NCryptSetProperty, rsa_key, name, b"value") == NTE_NOT_SUPPORTED
    assert code_of(NCryptSetProperty, rsa_key, name, "text", only) == NTE_INVALID_PARAMETER
    assert code_of(NCryptSetProperty, memory(), name, b"value", only) == NTE_NOT_SUPPORTED
    assert code_of(NCryptGetProperty, rsa_key, "Length", only) == NTE_NOT_FOUND


def test_names_and_values_have_their_most(rsa_key):
    only = NCRYPT_PERSIST_ONLY_FLAG
    NCryptSetProperty(rsa_key, "n" * 64, bytes(0x100000), only)
    for name in ("n" * 65, "", None, 5):
        assert code_of(NCryptSetProperty, rsa_key, name, b"", only) == NTE_INVALID_PARAMETER
        assert code_of(NCryptGetProperty, rsa_key, name, only) == NTE_INVALID_PARAMETER
    assert code_of(NCryptSetProperty, rsa_key, "n", bytes(0x100001), only) == NTE_INVALID_PARAMETER
