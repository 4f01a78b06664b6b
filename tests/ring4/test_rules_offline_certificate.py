"""A certificate that comes days after its key and is put onto the card as a file, past every provider."""

from __future__ import annotations

import zlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cspdesk import certificate_of, fails, public_key_of
from people import DATA, PIN, key_of, sign_with

from calais.testing import FixedPrompt, card_data, local_system, virtual_gids
from calais.win.codes import Code
from calais.win.structs import CardCacheFile, ContainerMapRecord, CryptKeyProvInfo
from calais.winapi import advapi32 as api
from calais.winapi.cardmod import (
    CardAcquireContext,
    CardAuthenticatePin,
    CardCreateFile,
    CardDeleteContext,
    CardReadFile,
    CardWriteFile,
    EveryoneReadUserWriteAc,
)
from calais.winapi.crypt32 import (
    CERT_KEY_PROV_INFO_PROP_ID,
    CERT_SET_KEY_CONTEXT_PROP_ID,
    CERT_SET_KEY_PROV_HANDLE_PROP_ID,
    CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG,
    CERT_STORE_ADD_REPLACE_EXISTING,
    CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG,
    CRYPT_ACQUIRE_COMPARE_KEY_FLAG,
    CRYPT_ACQUIRE_NO_HEALING,
    PKCS_7_ASN_ENCODING,
    X509_ASN_ENCODING,
    CertAddCertificateContextToStore,
    CertCreateCertificateContext,
    CertEnumCertificatesInStore,
    CertGetCertificateContextProperty,
    CertOpenSystemStore,
    CertSetCertificateContextProperty,
    CryptAcquireCertificatePrivateKey,
)

NAME = "lr-e46f1586-7133-4284-895d-557e2261c24d"
BOTH = PKCS_7_ASN_ENCODING | X509_ASN_ENCODING
BASE = "Microsoft Base Smart Card Crypto Provider"
KSP = "Microsoft Smart Card Key Storage Provider"


def system_in(home=None, policy=None):
    return local_system(home, prompt=FixedPrompt(PIN), policy={"TransactionTimeoutMilliseconds": 0} | (policy or {}))


@pytest.fixture
def card():
    """A card on which a key has been made, and no certificate yet."""
    made = virtual_gids(keys=[])
    with system_in() as system:
        system.insert(made)
        with api.CryptAcquireContext("an older one", None, 1, api.CRYPT_NEWKEYSET) as handle:
            api.CryptGenKey(handle, api.AT_KEYEXCHANGE, 1024 << 16)
        with api.CryptAcquireContext(NAME, None, 1, api.CRYPT_NEWKEYSET) as handle:
            api.CryptGenKey(handle, api.AT_SIGNATURE, 1024 << 16)
    return made


@pytest.fixture
def system(card):
    with system_in() as system:
        system.insert(card)
        yield system


def issued():
    """The authority's certificate for the key (DER)."""
    with api.CryptAcquireContext(NAME) as handle:
        return certificate_of(public_key_of(handle, api.AT_SIGNATURE))


def install(card, der, *, counts=True):
    """What the tool of an issuer does: container map, certificate file, counter."""
    with system_in():
        data = card_data(card)
        CardAcquireContext(data)
        CardAuthenticatePin(data, "user", PIN.encode())
        records = ContainerMapRecord.parse_file(CardReadFile(data, "mscp", "cmapfile"))
        (index,) = [at for at, record in enumerate(records) if record.guid == NAME]
        file = f"ksc{index:02X}"
        CardCreateFile(data, "mscp", file, 0, EveryoneReadUserWriteAc)
        CardWriteFile(data, "mscp", file, 0, b"\x01\x00" + len(der).to_bytes(2, "little") + zlib.compress(der))
        if counts:
            old = CardCacheFile.from_bytes(CardReadFile(data, None, "cardcf"))
            new = CardCacheFile(
                old.version, old.pins_freshness, old.containers_freshness, old.files_freshness + 1 & 0xFFFF
            )
            CardWriteFile(data, None, "cardcf", 0, new.to_bytes())
        CardDeleteContext(data)


def certificate_through_cryptoapi():
    with api.CryptAcquireContext(NAME) as handle:
        return api.CryptGetKeyParam(api.CryptGetUserKey(handle, api.AT_SIGNATURE), api.KP_CERTIFICATE)


def in_store():
    with CertOpenSystemStore(None, "My") as store:
        return CertEnumCertificatesInStore(store)


def test_before_it_comes_there_is_none(system):
    with fails(Code.SCARD_E_NO_SUCH_CERTIFICATE):
        certificate_through_cryptoapi()
    assert system.propagate() == []


def test_programs_that_had_looked_before_see_it_once_the_counter_has_moved(system, card):
    der = issued()
    system.propagate()
    system.remove()
    install(card, der)
    system.insert(card)
    assert certificate_through_cryptoapi() == der
    (outcome,) = system.propagate()
    assert (outcome.action, outcome.certificate.encoded) == ("added", der)
    link = CertGetCertificateContextProperty(in_store(), CERT_KEY_PROV_INFO_PROP_ID)
    assert CERT_SET_KEY_PROV_HANDLE_PROP_ID == CERT_SET_KEY_CONTEXT_PROP_ID == 1
    assert link == CryptKeyProvInfo(NAME, BASE, 1, 1, key_spec=api.AT_SIGNATURE)


@pytest.mark.parametrize(("proof", "seen"), [("counters", False), ("head", True), ("whole", True)])
def test_where_the_counter_was_forgotten_the_policy_says_who_sees_it(card, proof, seen):
    with system_in(policy={"gids.proof": proof}) as system:
        system.insert(card)
        der = issued()
        system.propagate()
        system.remove()
        install(card, der, counts=False)
        system.insert(card)
        assert bool(system.propagate()) == seen


def test_the_key_is_acquired_every_time_and_signs(system, card):
    der = issued()
    install(card, der)
    system.propagate()
    for _ in range(5):
        handle, key_spec, caller_free = CryptAcquireCertificatePrivateKey(in_store())
        with handle:
            assert (key_spec, caller_free) == (api.AT_SIGNATURE, True)
            hash_ = api.CryptCreateHash(handle, api.CALG_SHA_256)
            api.CryptHashData(hash_, DATA)
            signature = api.CryptSignHash(hash_, key_spec)[::-1]
        public = x509.load_der_x509_certificate(der).public_key()
        public.verify(signature, DATA, padding.PKCS1v15(), hashes.SHA256())


def test_a_certificate_without_a_link_is_led_to_its_key_and_kept_with_it(system, card):
    install(card, issued())
    context = CertCreateCertificateContext(BOTH, certificate_through_cryptoapi())
    with fails(Code.CRYPT_E_NO_KEY_PROPERTY):
        CryptAcquireCertificatePrivateKey(context, CRYPT_ACQUIRE_NO_HEALING)
    for _ in range(3):
        assert sign_with(CryptAcquireCertificatePrivateKey(context, CRYPT_ACQUIRE_COMPARE_KEY_FLAG).handle)
    with CertOpenSystemStore(None, "My") as store:
        CertAddCertificateContextToStore(store, context, CERT_STORE_ADD_REPLACE_EXISTING)
    assert CertGetCertificateContextProperty(in_store(), CERT_KEY_PROV_INFO_PROP_ID).container_name == NAME
    assert sign_with(CryptAcquireCertificatePrivateKey(in_store()).handle)


def test_a_certificate_whose_key_is_on_no_card_has_no_key(system):
    context = CertCreateCertificateContext(BOTH, certificate_of(key_of("elsewhere").public_key()))
    with fails(0x8009200B):
        CryptAcquireCertificatePrivateKey(context)


@pytest.mark.parametrize(("flags", "stays"), [(0, True), (CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG, False)])
def test_a_link_is_written_unless_it_is_set_for_the_time_being(system, flags, stays):
    link = CryptKeyProvInfo(NAME, BASE, 1, key_spec=api.AT_SIGNATURE)
    with CertOpenSystemStore(None, "My") as store:
        context = CertCreateCertificateContext(BOTH, issued())
        kept = CertAddCertificateContextToStore(store, context, CERT_STORE_ADD_REPLACE_EXISTING)
        CertSetCertificateContextProperty(kept, CERT_KEY_PROV_INFO_PROP_ID, flags, link)
        assert CertGetCertificateContextProperty(kept, CERT_KEY_PROV_INFO_PROP_ID) == link
        assert sign_with(CryptAcquireCertificatePrivateKey(kept).handle)
    found = in_store()
    if stays:
        assert CertGetCertificateContextProperty(found, CERT_KEY_PROV_INFO_PROP_ID) == link
    else:
        with fails(Code.CRYPT_E_NOT_FOUND):
            CertGetCertificateContextProperty(found, CERT_KEY_PROV_INFO_PROP_ID)


def test_a_link_to_the_key_storage_provider_is_for_programs_that_know_cng(system):
    context = CertCreateCertificateContext(BOTH, issued())
    CertSetCertificateContextProperty(context, CERT_KEY_PROV_INFO_PROP_ID, 0, CryptKeyProvInfo(NAME, KSP, 0))
    with fails(Code.NTE_BAD_PROV_TYPE):
        CryptAcquireCertificatePrivateKey(context, CRYPT_ACQUIRE_NO_HEALING)
    found = CryptAcquireCertificatePrivateKey(context, CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG)
    assert found.key_spec == 0xFFFFFFFF
    assert sign_with(found.handle)


def test_writing_it_through_cryptoapi_moves_the_counter_by_itself(system, card):
    def counter():
        data = card_data(card)
        CardAcquireContext(data)
        return CardCacheFile.from_bytes(CardReadFile(data, None, "cardcf")).files_freshness

    der, before = issued(), counter()
    with api.CryptAcquireContext(NAME) as handle:
        api.CryptSetKeyParam(api.CryptGetUserKey(handle, api.AT_SIGNATURE), api.KP_CERTIFICATE, der)
    assert counter() != before
    assert [outcome.action for outcome in system.propagate()] == ["added"]
