"""Properties of card keys, and of providers with cards, row by row."""

from functools import cache

import pytest
from certs import make
from cng import PIN, card_provider, certified, code_of, gids, names, new, opened, p256
from cryptography.hazmat.primitives.serialization import Encoding

from calais.testing import FixedPrompt, local_system, virtual_piv
from calais.testing.cards import test_rsa_key as shared_rsa_key
from calais.win.structs import PinInfo
from calais.winapi.crypt32 import (
    CERT_KEY_PROV_INFO_PROP_ID,
    CERT_STORE_ADD_ALWAYS,
    CERT_STORE_PROV_MEMORY,
    CertAddEncodedCertificateToStore,
    CertCloseStore,
    CertEnumCertificatesInStore,
    CertGetCertificateContextProperty,
    CertOpenStore,
    CryptAcquireCertificatePrivateKey,
)
from calais.winapi.ncrypt import (
    AT_KEYEXCHANGE,
    AT_SIGNATURE,
    MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    NTE_BAD_PUBLIC_KEY,
    NTE_INVALID_PARAMETER,
    NTE_NOT_FOUND,
    NTE_NOT_SUPPORTED,
    NTE_SILENT_CONTEXT,
    SCARD_E_READ_ONLY_CARD,
    NCryptGetProperty,
    NCryptIsKeyHandle,
    NCryptOpenKey,
    NCryptSetProperty,
    NCryptSignHash,
    NCryptSupportedLengths,
    NCryptUiPolicy,
)

READER = "Virtual Reader 0"


def rows():
    return [
        ("rsa", AT_KEYEXCHANGE, shared_rsa_key("cng a")),
        ("signs", AT_SIGNATURE, p256(2)),
        ("agrees", AT_KEYEXCHANGE, p256(3)),
        ("rsa signs", AT_SIGNATURE, shared_rsa_key("cng b")),
    ]


@pytest.fixture
def system():
    with local_system() as current:
        current.insert(gids(*rows(), card_id=bytes(range(16))))
        yield current


@cache
def der_of(number):
    return certified(p256(number)).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "rsa",
            {
                "Name": "rsa",
                "Unique Name": "rsa",
                "Algorithm Name": "RSA",
                "Algorithm Group": "RSA",
                "Length": 2048,
                "Lengths": NCryptSupportedLengths(1024, 4096, 1024, 2048),
                "Block Length": 256,
                "Export Policy": 0,
                "Key Usage": 3,
                "Key Type": 0,
                "SmartCardReader": READER,
                "SmartCardGuid": bytes(range(16)),
                "SmartCardPinId": 1,
                "SignatureLength": 256,
                "PublicKeyLength": 2048,
            },
        ),
        ("signs", {"Algorithm Name": "ECDSA_P256", "Algorithm Group": "ECDSA", "Key Usage": 2, "SignatureLength": 64}),
        ("agrees", {"Algorithm Name": "ECDH_P256", "Algorithm Group": "ECDH", "Key Usage": 4, "Length": 256}),
        ("rsa signs", {"Key Usage": 2, "SignatureLength": 256}),
    ],
)
def test_what_card_keys_say(system, name, values):
    key = NCryptOpenKey(card_provider(), name)
    assert {each: NCryptGetProperty(key, each) for each in values} == values
    assert isinstance(NCryptGetProperty(key, "SmartCardPinInfo"), PinInfo)


@pytest.mark.parametrize("name", ["Modified", "UI Policy", "Use Context", "HWND Handle", "SmartCardReaderIcon"])
def test_what_has_a_letter_and_no_value_is_not_found(system, name):
    assert code_of(NCryptGetProperty, NCryptOpenKey(card_provider(), "signs"), name) == NTE_NOT_FOUND


@pytest.mark.parametrize(
    "name", ["SmartCardPin", "SmartCardSecurePin", "SmartCardPinPrompt", "Security Descr", "Use Count", "Impl Type"]
)
def test_what_card_keys_lack_is_not_supported(system, name):
    flags = 1 if name == "Security Descr" else 0
    assert code_of(NCryptGetProperty, NCryptOpenKey(card_provider(), "signs"), name, flags) == NTE_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("name", "value"),
    [("Length", 256), ("Export Policy", 0), ("Key Usage", 2), ("UI Policy", NCryptUiPolicy()), ("Name", "x")],
)
def test_finished_keys_do_not_change(system, name, value):
    assert code_of(NCryptSetProperty, NCryptOpenKey(card_provider(), "signs"), name, value) == NTE_NOT_SUPPORTED


def test_own_properties_are_not_kept_on_the_card(system):
    key = NCryptOpenKey(card_provider(), "signs")
    NCryptSetProperty(key, "own", b"x", 0x40000000)
    assert NCryptGetProperty(key, "own", 0x40000000) == b"x"
    assert code_of(NCryptSetProperty, key, "own", b"x", 0xC0000000) == NTE_NOT_SUPPORTED
    assert code_of(NCryptGetProperty, NCryptOpenKey(card_provider(), "signs"), "own", 0x40000000) == NTE_NOT_FOUND


def test_the_provider_handle_is_of_the_card_provider(system):
    provider = NCryptGetProperty(NCryptOpenKey(card_provider(), "signs"), "Provider Handle")
    assert NCryptGetProperty(provider, "Name") == MS_SMART_CARD_KEY_STORAGE_PROVIDER
    assert NCryptOpenKey(provider, "rsa")


def test_the_associated_ecdh_key(system):
    assert NCryptGetProperty(NCryptOpenKey(card_provider(), "signs"), "SmartCardAssociatedECDHKey") == "agrees"
    for name in ("rsa", "agrees"):
        key = NCryptOpenKey(card_provider(), name)
        assert code_of(NCryptGetProperty, key, "SmartCardAssociatedECDHKey") == NTE_NOT_SUPPORTED
    system.remove(READER)
    system.insert(gids(("signs", AT_SIGNATURE, p256(2))))
    key = NCryptOpenKey(card_provider(), "signs")
    assert code_of(NCryptGetProperty, key, "SmartCardAssociatedECDHKey") == NTE_NOT_FOUND


def test_a_key_without_a_pin_has_no_pin_information():
    with local_system() as system:
        system.insert(virtual_piv(keys={0x9E: (p256(5), certified(p256(5)))}))
        key = NCryptOpenKey(card_provider(), "")
        assert NCryptGetProperty(key, "SmartCardPinId") == 0
        assert code_of(NCryptGetProperty, key, "SmartCardPinInfo") == NTE_NOT_FOUND
        NCryptSetProperty(key, "SmartCardPin", "999999")
        assert NCryptSignHash(key, None, bytes(32))


# --- certificates ----------------------------------------------------------------------------------------------------


def test_certificates_are_written_beside_their_keys(system):
    key = NCryptOpenKey(card_provider(), "signs")
    assert code_of(NCryptGetProperty, key, "SmartCardKeyCertificate") == NTE_NOT_FOUND
    assert code_of(NCryptSetProperty, key, "SmartCardKeyCertificate", der_of(2)) == NTE_SILENT_CONTEXT
    NCryptSetProperty(key, "SmartCardPin", PIN)
    before = system.card().run(lambda driver: driver.read_file(None, "cardcf"))
    NCryptSetProperty(key, "SmartCardKeyCertificate", der_of(2))
    assert system.card().run(lambda driver: driver.read_file(None, "cardcf")) != before
    assert NCryptGetProperty(NCryptOpenKey(card_provider(), "signs"), "SmartCardKeyCertificate") == der_of(2)
    assert code_of(NCryptSetProperty, key, "SmartCardKeyCertificate", der_of(3)) == NTE_BAD_PUBLIC_KEY
    assert code_of(NCryptSetProperty, key, "SmartCardKeyCertificate", b"junk") == NTE_INVALID_PARAMETER
    NCryptSetProperty(key, "SmartCardKeyCertificate", None)
    assert code_of(NCryptGetProperty, key, "SmartCardKeyCertificate") == NTE_NOT_FOUND
    assert NCryptSignHash(key, None, bytes(32))


def test_a_piv_card_with_a_management_key_of_its_own_lets_its_user_write_no_certificate():
    with local_system() as system:
        keys = {0x9A: (p256(2), certificate := certified(p256(2)))}
        system.insert(virtual_piv(keys=keys, management_key=bytes(range(24))))
        key = opened("")
        assert NCryptGetProperty(key, "SmartCardKeyCertificate") == certificate.public_bytes(Encoding.DER)
        assert code_of(NCryptSetProperty, key, "SmartCardKeyCertificate", der_of(2)) == SCARD_E_READ_ONLY_CARD


def test_the_user_s_certificates_come_as_a_store(system):
    NCryptSetProperty(opened("signs"), "SmartCardKeyCertificate", der_of(2))
    store = NCryptGetProperty(card_provider(), "SmartCardUserCertStore")
    context = CertEnumCertificatesInStore(store)
    info = CertGetCertificateContextProperty(context, CERT_KEY_PROV_INFO_PROP_ID)
    assert (info.container_name, info.prov_name, info.prov_type) == ("signs", MS_SMART_CARD_KEY_STORAGE_PROVIDER, 0)
    assert CertEnumCertificatesInStore(store, context) is None
    CertCloseStore(store)


def test_rsa_certificates_are_linked_to_this_provider_too():
    with local_system() as system:
        system.insert(virtual_piv())
        store = NCryptGetProperty(card_provider(), "SmartCardUserCertStore")
        found = {context.get(CERT_KEY_PROV_INFO_PROP_ID).prov_name for context in store}
        assert found == {MS_SMART_CARD_KEY_STORAGE_PROVIDER}
        assert len(list(store)) == 3


def test_root_certificates_are_read_and_written(system):
    provider = card_provider()
    assert list(NCryptGetProperty(provider, "SmartcardRootCertStore")) == []
    store = CertOpenStore(CERT_STORE_PROV_MEMORY)
    roots = {make("one"), make("two")}
    for root in roots:
        CertAddEncodedCertificateToStore(store, 1, root, CERT_STORE_ADD_ALWAYS)
    assert code_of(NCryptSetProperty, provider, "SmartcardRootCertStore", store) == NTE_SILENT_CONTEXT
    NCryptSetProperty(provider, "SmartCardPin", PIN)
    NCryptSetProperty(provider, "SmartcardRootCertStore", store)
    back = NCryptGetProperty(card_provider(), "SmartcardRootCertStore")
    assert {context.encoded for context in back} == roots
    for wrong in (None, b"x", [], object()):
        assert code_of(NCryptSetProperty, provider, "SmartcardRootCertStore", wrong) == NTE_INVALID_PARAMETER


# --- with crypt32 ----------------------------------------------------------------------------------------------------


def test_the_key_of_a_certificate_is_a_key_of_cng():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(virtual_piv())
        for outcome in system.propagate():
            acquired = CryptAcquireCertificatePrivateKey(outcome.certificate, 0x40000)
            key = acquired.handle
            assert NCryptIsKeyHandle(key)
            assert NCryptGetProperty(key, "SmartCardKeyCertificate") == outcome.certificate.encoded
            if NCryptGetProperty(key, "Algorithm Name") == "ECDSA_P256":
                assert len(NCryptSignHash(key, None, bytes(32))) == 64
            key.close()
            assert not NCryptIsKeyHandle(key)


def test_a_name_that_a_list_gave_opens_the_key(system):
    for each in names(card_provider()):
        key = NCryptOpenKey(card_provider(), each.name, each.legacy_key_spec)
        assert NCryptGetProperty(key, "Algorithm Name") == each.algid


def test_a_nameless_key_beside_a_card_touches_no_card(system):
    provider = card_provider()
    system.remove(READER)
    assert NCryptSignHash(new("ECDSA_P256", provider), None, bytes(32))
