"""Challenge and response, root certificates on cards, caching, and read-only cards, as callers of minidrivers rely on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cardmodule import ADMIN_KEY, acquired, refusal, respond
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from cspdesk import CARDS, acquire, check_signature, container_of, fails, public_key_of, sign
from people import PIN, PUK, key_of
from pivdesk import Dice, certificate, der

from calais.testing import FixedPrompt, card_data, local_system, virtual_gids, virtual_piv
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.structs import expand_certificate
from calais.winapi import advapi32 as api
from calais.winapi import cardmod
from calais.winapi.crypt32 import (
    CERT_FRIENDLY_NAME_PROP_ID,
    CERT_QUERY_CONTENT_FLAG_PKCS7_SIGNED,
    CERT_QUERY_FORMAT_FLAG_BINARY,
    CERT_QUERY_OBJECT_BLOB,
    CERT_STORE_ADD_ALWAYS,
    CERT_STORE_PROV_MEMORY,
    CERT_STORE_SAVE_AS_PKCS7,
    CERT_STORE_SAVE_TO_MEMORY,
    PKCS_7_ASN_ENCODING,
    X509_ASN_ENCODING,
    CertAddEncodedCertificateToStore,
    CertAddEnhancedKeyUsageIdentifier,
    CertEnumCertificatesInStore,
    CertGetCertificateContextProperty,
    CertGetEnhancedKeyUsage,
    CertOpenStore,
    CertSaveStore,
    CertSetCertificateContextProperty,
    CryptQueryObject,
)

BOTH = PKCS_7_ASN_ENCODING | X509_ASN_ENCODING
LETTING_GO = {"TransactionTimeoutMilliseconds": 0}  # or another user of the card waits
CODE_SIGNING = "1.3.6.1.5.5.7.3.3"


def key_blob(key):
    """PLAINTEXTKEYBLOB of a key for Triple DES."""
    return bytes.fromhex("080200000366000018000000") + key


def encrypted(data, key=bytes(24), mode=api.CRYPT_MODE_ECB):
    """As programs compute a response: with a session key in memory."""
    provider = "Microsoft Enhanced Cryptographic Provider V1.0"
    with api.CryptAcquireContext(None, provider, api.PROV_RSA_FULL, api.CRYPT_VERIFYCONTEXT) as context:
        imported = api.CryptImportKey(context, key_blob(key), None, 0)
        api.CryptSetKeyParam(imported, api.KP_MODE, mode, 0)
        result = api.CryptEncrypt(imported, None, False, 0, data)
        api.CryptDestroyKey(imported)
        return result


# --- challenge and response ---


def test_a_program_computes_the_response_with_cryptoapi():
    with local_system():
        assert encrypted(bytes.fromhex("A892D75601617C5D")).hex() == "1951ec3ef81bbabb"


@pytest.mark.parametrize("kind", [virtual_piv, virtual_gids])
def test_the_administrator_signs_in_by_that_response(kind):
    with local_system():
        options = {"keys": {}} if kind is virtual_piv else {"keys": [], "admin_key": ADMIN_KEY}
        data = acquired(kind(**options))
        challenge = cardmod.CardGetChallenge(data)
        assert len(challenge) % 8 == 0
        response = encrypted(challenge, ADMIN_KEY, api.CRYPT_MODE_CBC)
        assert response == respond(challenge)
        cardmod.CardAuthenticateChallenge(data, response)
        assert cardmod.CardGetProperty(data, "Authenticated State") & 0x04


def test_a_user_and_the_administrator_are_signed_in_at_once():
    with local_system():
        data = acquired(virtual_gids(keys=[], admin_key=ADMIN_KEY))
        cardmod.CardAuthenticatePin(data, "user", PIN.encode())
        cardmod.CardAuthenticateChallenge(data, respond(cardmod.CardGetChallenge(data)))
        assert cardmod.CardGetProperty(data, "Authenticated State") == 0x06


def test_an_administrator_unblocks_by_the_response():
    with local_system():
        data = acquired(virtual_gids(keys=[], admin_key=ADMIN_KEY))
        for _ in range(3):
            assert refusal(cardmod.CardAuthenticatePin, data, "user", b"000000") == "SCARD_W_WRONG_CHV"
        assert refusal(cardmod.CardAuthenticatePin, data, "user", PIN.encode()) == "SCARD_W_CHV_BLOCKED"
        cardmod.CardUnblockPin(data, "user", respond(cardmod.CardGetChallenge(data)), b"222222", 0, 1)
        cardmod.CardAuthenticatePin(data, "user", b"222222")


# --- msroots ---


def roots_file(card):
    data = card_data(card)
    cardmod.CardAcquireContext(data)
    return cardmod.CardReadFile(data, "mscp", "msroots")


@pytest.mark.parametrize("kind", list(CARDS))
def test_the_roots_file_is_a_pkcs7_without_the_properties_of_its_certificates(kind):
    card = CARDS[kind]()
    root = der(certificate(key_of(), "root"))
    with local_system(prompt=FixedPrompt(PIN), policy=LETTING_GO) as system:
        system.insert(card)
        with CertOpenStore(CERT_STORE_PROV_MEMORY) as store, acquire(None) as handle:
            context = CertAddEncodedCertificateToStore(store, X509_ASN_ENCODING, root, CERT_STORE_ADD_ALWAYS)
            CertSetCertificateContextProperty(context, CERT_FRIENDLY_NAME_PROP_ID, 0, "a name")
            CertAddEnhancedKeyUsageIdentifier(context, CODE_SIGNING)
            bag = CertSaveStore(store, BOTH, CERT_STORE_SAVE_AS_PKCS7, CERT_STORE_SAVE_TO_MEMORY)
            api.CryptSetProvParam(handle, api.PP_ROOT_CERTSTORE, store)
        assert expand_certificate(roots_file(card)) == bag
        found = CryptQueryObject(
            CERT_QUERY_OBJECT_BLOB, bag, CERT_QUERY_CONTENT_FLAG_PKCS7_SIGNED, CERT_QUERY_FORMAT_FLAG_BINARY
        )
        with found.store as read:
            context = CertEnumCertificatesInStore(read)
            assert context.encoded == root
            with pytest.raises(WinError):
                CertGetCertificateContextProperty(context, CERT_FRIENDLY_NAME_PROP_ID)
            with pytest.raises(WinError):
                CertGetEnhancedKeyUsage(context, 4)  # of the properties


@pytest.mark.parametrize("count", [15, 20], ids=["than fit", "than a file can say"])
@pytest.mark.parametrize("kind", list(CARDS))
def test_too_many_roots_are_too_much_for_the_card_and_no_fault_of_the_caller(kind, count, heavy_roots):
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(CARDS[kind]())
        with CertOpenStore(CERT_STORE_PROV_MEMORY) as store, acquire(None) as handle:
            for each in heavy_roots[:count]:
                CertAddEncodedCertificateToStore(store, X509_ASN_ENCODING, each, CERT_STORE_ADD_ALWAYS)
            with fails(Code.SCARD_E_WRITE_TOO_MANY):
                api.CryptSetProvParam(handle, api.PP_ROOT_CERTSTORE, store)
            assert CertEnumCertificatesInStore(api.CryptGetProvParam(handle, api.PP_ROOT_CERTSTORE)) is None


@pytest.fixture(scope="module")
def heavy_roots():
    """Certificates of 4000 bytes that cannot be made smaller."""
    made = []
    for number in range(20):
        key, who = key_of(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"root {number}")])
        start = datetime(2026, 1, 1, tzinfo=UTC)
        builder = x509.CertificateBuilder(who, who, key.public_key(), number + 1, start, start + timedelta(days=9))
        filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), Dice(b"%d" % number)(3700))
        made.append(builder.add_extension(filler, critical=False).sign(key, hashes.SHA256()))
    return [each.public_bytes(Encoding.DER) for each in made]


# --- caching and read-only cards ---


@pytest.mark.parametrize("mode", ["global", "session", "none"])
@pytest.mark.parametrize("kind", list(CARDS))
def test_a_read_only_card_is_never_written_whatever_is_remembered(kind, mode):
    card = CARDS[kind](read_only=True)
    policy = {"cache.mode": mode, "piv.cache": "global", **LETTING_GO}
    with local_system(prompt=FixedPrompt(PIN), policy=policy) as system:
        system.insert(card)
        data = card_data(card)
        cardmod.CardAcquireContext(data)
        before = {name: cardmod.CardReadFile(data, None, name) for name in ("cardcf", "cardid", "cardapps")}
        system.propagate()
        with acquire(None) as handle:
            check_signature(public_key_of(handle), sign(handle))
            assert container_of(handle)
        assert {name: cardmod.CardReadFile(data, None, name) for name in before} == before
        assert "msroots" not in cardmod.CardEnumFiles(data, "mscp")


@pytest.mark.parametrize("kind", list(CARDS))
def test_a_read_only_card_serves_its_keys_to_cryptoapi_as_any_other(kind):
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(CARDS[kind](read_only=True))
        with acquire(None) as handle:
            check_signature(public_key_of(handle), sign(handle))
            assert api.CryptGetKeyParam(api.CryptGetUserKey(handle, 1), api.KP_CERTIFICATE)
            for param in (api.PP_ENUMCONTAINERS, api.PP_SMARTCARD_GUID, api.PP_CONTAINER):
                assert api.CryptGetProvParam(handle, param, 1 if param == api.PP_ENUMCONTAINERS else 0)
        assert system.broker.prompt.count == 1


def test_the_user_of_a_read_only_card_may_change_and_unblock_the_pin_where_the_card_lets_him():
    with local_system() as system:
        system.insert(virtual_piv(keys={}, read_only=True))
        system.card().change_pin(PIN, "222222")
        system.card().unblock_pin(PUK, "333333")
        system.card().verify_pin("333333")


@pytest.mark.parametrize("kind", list(CARDS))
def test_a_deleted_context_asks_nothing_of_a_card_that_is_gone(kind):
    card = CARDS[kind]()
    with local_system() as system:
        data = acquired(card)
        system.remove()
    cardmod.CardDeleteContext(data)
    assert not data.acquired
