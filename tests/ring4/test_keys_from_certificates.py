from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from cryptography import x509
from people import DATA, MANAGEMENT_KEY, PIN, RSA, SHA256, acquire_first, card, key_of, rsa_card, sign_with
from pivdesk import certificate

from calais.testing import FixedPrompt, local_system, virtual_piv
from calais.win.codes import Code
from calais.win.errors import (
    BadParameter,
    CardRemoved,
    NoCard,
    NotFound,
    ReaderUnavailable,
    SilentContext,
    Unsupported,
    WinError,
)
from calais.win.structs import CryptKeyProvInfo, CryptKeyProvParam
from calais.winapi.crypt32 import (
    CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG,
    CRYPT_ACQUIRE_CACHE_FLAG,
    CRYPT_ACQUIRE_COMPARE_KEY_FLAG,
    CRYPT_ACQUIRE_NO_HEALING,
    CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG,
    CRYPT_ACQUIRE_SILENT_FLAG,
    CryptAcquireCertificatePrivateKey,
)

BASE = "Microsoft Base Smart Card Crypto Provider"
AES_PROVIDER = "Microsoft Enhanced RSA and AES Cryptographic Provider"
KSP = "Microsoft Smart Card Key Storage Provider"


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


def actions(outcomes):
    return [str(outcome.action) for outcome in outcomes]


def links(system):
    with system.store() as store:
        return {found.sha1: found.key_prov_info for found in store}


# --- from the certificate to the key ---


def test_the_whole_story(system):
    system.insert(virtual_piv())
    for outcome in system.propagate():
        handle, key_spec, caller_free = CryptAcquireCertificatePrivateKey(
            outcome.certificate, CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG | CRYPT_ACQUIRE_COMPARE_KEY_FLAG
        )
        assert caller_free
        assert key_spec == (0xFFFFFFFF if outcome.reference == "9C" else 1)
        public = x509.load_der_x509_certificate(outcome.certificate.encoded).public_key()
        assert handle.key.public_key() == public
        assert sign_with(handle)
        handle.close()
        with pytest.raises(BadParameter):
            _ = handle.key


def test_the_link_works_again_when_the_card_is_put_back(system):
    piv = rsa_card(0x9A)
    system.insert(piv)
    system.propagate()
    handle = acquire_first(system).handle
    assert sign_with(handle)
    system.remove()
    with pytest.raises(CardRemoved):
        sign_with(handle)
    with pytest.raises(NoCard):
        acquire_first(system)
    system.insert(piv)
    assert sign_with(handle)
    assert sign_with(acquire_first(system).handle)


def test_a_handle_kept_by_its_certificate_is_closed_with_it(system):
    system.insert(rsa_card(0x9A))
    (outcome,) = system.propagate()
    first = CryptAcquireCertificatePrivateKey(outcome.certificate, CRYPT_ACQUIRE_CACHE_FLAG)
    second = CryptAcquireCertificatePrivateKey(outcome.certificate, CRYPT_ACQUIRE_CACHE_FLAG)
    assert first.handle is second.handle
    assert not first.caller_free
    assert sign_with(first.handle)
    del outcome
    assert first.handle.closed


def test_a_card_is_found_again_in_another_reader(system):
    piv = rsa_card(0x9A)
    system.insert(piv)
    system.propagate()
    handle = acquire_first(system).handle
    system.remove()
    system.insert(rsa_card(0x9A, name="two"))
    with pytest.raises(CardRemoved, match="Virtual Reader 0"):
        sign_with(handle)
    system.insert(piv, reader="Another reader")
    assert sign_with(handle)
    assert handle.container.card.reader == "Another reader"
    assert sign_with(acquire_first(system).handle)


def test_of_two_cards_the_right_one_signs(system):
    system.insert(rsa_card(0x9A), reader="Left")
    system.insert(rsa_card(0x9A, name="two"), reader="Right")
    for outcome in system.propagate():
        handle = CryptAcquireCertificatePrivateKey(outcome.certificate, CRYPT_ACQUIRE_COMPARE_KEY_FLAG).handle
        assert handle.container.card.reader == outcome.reader
        assert sign_with(handle)


def test_a_card_that_is_pulled_in_the_middle_says_so(system):
    piv = rsa_card(0x9A)
    system.insert(piv)
    system.propagate()
    key = acquire_first(system).handle.key

    class Pull(FixedPrompt):
        def ask(self, request):
            system.remove()
            return super().ask(request)

    system.broker.prompt = Pull(PIN)
    with pytest.raises(CardRemoved):
        key.sign(DATA, *RSA)


def test_a_silent_acquisition_never_asks(system):
    system.insert(rsa_card(0x9A))
    system.propagate()
    handle = acquire_first(system, CRYPT_ACQUIRE_SILENT_FLAG).handle
    with pytest.raises(SilentContext):
        sign_with(handle)
    system.card().verify_pin(PIN)
    assert sign_with(handle)
    assert system.broker.prompt.count == 0


def test_a_link_may_bring_its_pin(system):
    system.insert(rsa_card(0x9A))
    name = system.card().containers.default.name
    pin = (CryptKeyProvParam(32, PIN.encode() + b"\0"),)
    info = CryptKeyProvInfo(name, BASE, 1, params=pin, key_spec=1)
    assert sign_with(system.keys.open_csp(info, silent=True))
    assert system.broker.prompt.count == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"container_name": "nobody"}, Code.NTE_BAD_KEYSET),
        ({"container_name": "\\\\.\\Virtual Reader 0\\nobody"}, Code.NTE_BAD_KEYSET),
        ({"container_name": "\\\\.\\Nowhere\\"}, Code.SCARD_E_UNKNOWN_READER),
        ({"container_name": "\\\\.\\Nowhere"}, Code.NTE_BAD_KEYSET_PARAM),
        ({"container_name": "with\\backslash"}, Code.NTE_BAD_KEYSET_PARAM),
        ({"container_name": "x" * 40}, Code.NTE_BAD_KEYSET_PARAM),
        ({"prov_name": "Unheard Of"}, Code.NTE_KEYSET_NOT_DEF),
        ({"prov_name": AES_PROVIDER, "prov_type": 24}, Code.NTE_BAD_KEYSET),
        ({"prov_name": AES_PROVIDER}, Code.NTE_PROV_TYPE_NO_MATCH),
        ({"prov_name": "Microsoft Enhanced Cryptographic Provider v1.0"}, Code.NTE_BAD_KEYSET),
        ({"prov_type": 1000}, Code.NTE_BAD_PROV_TYPE),
        ({"prov_type": 24}, Code.NTE_PROV_TYPE_NO_MATCH),
        ({"key_spec": 2}, Code.NTE_NO_KEY),
        ({"flags": 8}, Code.NTE_BAD_FLAGS),
        ({"params": (CryptKeyProvParam(6, b"a name"),)}, Code.NTE_BAD_TYPE),
        ({"params": (CryptKeyProvParam(32, b"123456", 1),)}, Code.NTE_BAD_FLAGS),
        ({"params": (CryptKeyProvParam(32, b"\xff"),)}, Code.ERROR_INVALID_PARAMETER),
        ({"params": (CryptKeyProvParam(21, b"odd"),)}, Code.NTE_BAD_DATA),
    ],
)
def test_a_broken_link_says_how_it_is_broken(system, change, code):
    from dataclasses import replace

    system.insert(rsa_card(0x9A))
    info = CryptKeyProvInfo(system.card().containers.default.name, BASE, 1, 0, key_spec=1)
    with pytest.raises(WinError) as caught:
        system.keys.open_csp(replace(info, **change))
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["", "\\\\.\\Virtual Reader 0\\"])
def test_a_link_without_a_name_means_the_default_container(system, name):
    system.insert(rsa_card(0x9A))
    assert sign_with(system.keys.open_csp(CryptKeyProvInfo(name, BASE, 1)))
    assert sign_with(system.keys.open_ksp(CryptKeyProvInfo(name, KSP, 0)))


def test_names_of_containers_and_providers_have_no_case(system):
    system.insert(rsa_card(0x9A))
    name = system.card().containers.default.name.upper()
    assert sign_with(system.keys.open_csp(CryptKeyProvInfo(name, BASE.upper(), 1)))


def test_an_elliptic_key_is_not_for_cryptoapi(system):
    system.insert(card(0x9A))
    info = CryptKeyProvInfo(system.card().containers.default.name, BASE, 1)
    with pytest.raises(NotFound) as caught:
        system.keys.open_csp(info)
    assert caught.value.code == Code.NTE_BAD_KEYSET
    assert sign_with(system.keys.open_ksp(info))


@pytest.mark.parametrize(
    ("provider", "code"),
    [("Microsoft Software Key Storage Provider", Code.NTE_BAD_KEYSET), ("Unheard Of", Code.NTE_KEYSET_NOT_DEF)],
)
def test_other_key_storage_providers_have_no_card_keys(system, provider, code):
    system.insert(card(0x9A))
    with pytest.raises(NotFound) as caught:
        system.keys.open_ksp(CryptKeyProvInfo("", provider, 0))
    assert caught.value.code == code


def test_no_reader_and_no_card_are_told_apart(system):
    info = CryptKeyProvInfo("c", BASE, 1)
    with pytest.raises(ReaderUnavailable) as caught:
        system.keys.open_csp(info)
    assert caught.value.code == Code.SCARD_E_NO_READERS_AVAILABLE
    system.plug("Desk")
    with pytest.raises(NoCard) as caught:
        system.keys.open_csp(info)
    assert caught.value.code == Code.SCARD_E_NO_SMARTCARD


# --- names that change ---


@pytest.fixture(params=["no GUID", "no CHUID", "policy"])
def volatile(request):
    policy = {"piv.container_names": "volatile"} if request.param == "policy" else {}
    options = {"no GUID": {"container_names": "volatile"}, "no CHUID": {"chuid_guid": b""}}.get(request.param, {})
    with local_system(prompt=FixedPrompt(PIN), policy=policy) as system:
        system.insert(rsa_card(0x9A, **options))
        yield system


def test_a_volatile_name_is_registered_anew_each_time(volatile):
    system = volatile
    assert actions(system.propagate()) == ["added"]
    before = links(system)
    assert actions(system.propagate()) == ["refreshed"]
    assert links(system) != before
    assert sign_with(acquire_first(system).handle)


def test_a_name_that_died_is_found_again_by_the_public_key(volatile):
    system = volatile
    system.propagate()
    piv = system._slots.slot("Virtual Reader 0").card
    system.remove()
    system.insert(piv)
    before = links(system)
    with pytest.raises(NotFound) as caught:
        acquire_first(system, CRYPT_ACQUIRE_NO_HEALING)
    assert caught.value.code == Code.NTE_BAD_KEYSET
    assert links(system) == before
    assert sign_with(acquire_first(system).handle)
    assert links(system) != before


def test_an_open_handle_survives_new_names(volatile):
    system = volatile
    system.propagate()
    handle = acquire_first(system).handle
    system.propagate()
    assert sign_with(handle)


def test_containers_of_one_card_object_keep_their_names(volatile):
    found = volatile.card()
    assert [container.name for container in found.containers] == [container.name for container in found.containers]
    before = found.containers.default.name
    assert found.refresh().default.name != before


# --- in another process ---

STORY = """
import json, sys
from calais.testing import FixedPrompt, local_system
from calais.winapi.crypt32 import *
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
system = local_system(sys.argv[1], prompt=FixedPrompt("123456"))
with system:
    certificate = CertEnumCertificatesInStore(CertOpenSystemStore(None, "My"))
    acquired = CryptAcquireCertificatePrivateKey(certificate, CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG)
    key = acquired.handle.key
    signature = key.sign(b"a message", ec.ECDSA(hashes.SHA256()))
    print(json.dumps([certificate.encoded.hex(), signature.hex(), system.readers()[0].insertion]))
"""


def elsewhere(home):
    done = subprocess.run(
        [sys.executable, "-c", STORY, str(home)], capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    encoded, signature, insertion = json.loads(done.stdout)
    public = x509.load_der_x509_certificate(bytes.fromhex(encoded)).public_key()
    public.verify(bytes.fromhex(signature), DATA, SHA256)
    return insertion


@pytest.mark.parametrize("guid", [None, bytes(16)], ids=["stable names", "volatile names"])
def test_the_link_leads_a_new_process_to_the_key_also_after_the_card_was_put_back(tmp_path, guid):
    from calais.cards.piv.personalise import new_card

    key = key_of("file")
    with local_system(tmp_path) as system:
        keys = {0x9A: (key, certificate(key))}
        system.virtual.new("ada", lambda memory: new_card(memory, os.urandom, keys=keys, chuid_guid=guid))
        system.insert("ada")
        assert actions(system.propagate()) == ["added"]
    assert elsewhere(tmp_path) == 1
    with local_system(tmp_path) as system:
        system.remove()
        system.insert("ada")
    assert elsewhere(tmp_path) == 3


def test_writing_is_refused_where_policy_says_so():
    with local_system(policy={"piv.write": False}) as system:
        system.insert(card(0x9A))
        with pytest.raises(Unsupported, match="policy"):
            system.card().admin(MANAGEMENT_KEY).delete_certificate(0)


def test_a_search_by_public_key_asks_for_no_pin(system):
    system.insert(card(0x9A))
    (outcome,) = system.propagate()
    link = system.keys.search(outcome.certificate.info.public_key, ncrypt=True)
    assert link == CryptKeyProvInfo(system.card().containers.default.name, KSP, 0, 1)
    assert system.keys.search(outcome.certificate.info.public_key, ncrypt=False) is None
    assert system.broker.prompt.count == 0
    system.remove()
    assert system.keys.search(outcome.certificate.info.public_key, ncrypt=True) is None


def test_only_ncrypt_keys_may_be_wanted(system):
    system.insert(rsa_card(0x9A))
    system.propagate()
    acquired = acquire_first(system, CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG)
    assert acquired.key_spec == 0xFFFFFFFF
    assert acquired.handle.is_ncrypt
    assert sign_with(acquired.handle)
