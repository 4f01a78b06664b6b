"""Cards whose containers have a new name at every enumeration, and what the flag of a link does for them.

A PIV card whose CHUID has no GUID gives nothing to make lasting names of. A program that was told such a name links the
certificate to it with CERT_SET_KEY_PROV_HANDLE_PROP_ID: from then on the certificate keeps the handle, and with it a
container that nobody could open by its name any more.
"""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

from __future__ import annotations

import gc

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cspdesk import check_signature
from people import PIN, rsa_card

from calais.testing import FixedPrompt, local_system
from calais.win.errors import WinError
from calais.winapi import advapi32, ncrypt
from calais.winapi.crypt32 import *

USE, SILENT, NO_HEALING = CRYPT_ACQUIRE_USE_PROV_INFO_FLAG, CRYPT_ACQUIRE_SILENT_FLAG, CRYPT_ACQUIRE_NO_HEALING
ONLY = CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG
INFO, KEEP = CERT_KEY_PROV_INFO_PROP_ID, CERT_SET_KEY_PROV_HANDLE_PROP_ID
READER = "Virtual Reader 0"
DATA = b"to be signed"
acquire = CryptAcquireCertificatePrivateKey


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(rsa_card(0x9A, container_names="volatile"), READER)
        yield system


def told_by_a_context():
    """A container's name as a program learns it, and its certificate; the context is open still."""
    provider = advapi32.CryptAcquireContext(f"\\\\.\\{READER}\\", MS_SCARD_PROV, PROV_RSA_FULL, 0)
    name = advapi32.CryptGetProvParam(provider, advapi32.PP_CONTAINER)
    key = advapi32.CryptGetUserKey(provider, AT_KEYEXCHANGE)
    return provider, name, advapi32.CryptGetKeyParam(key, advapi32.KP_CERTIFICATE)


@pytest.fixture
def linked(system):
    """The certificate with a link to a name that is alive as long as the provider, which is open."""
    provider, name, encoded = told_by_a_context()
    context = CertCreateCertificateContext(X509_ASN_ENCODING, encoded)
    link(context, name, KEEP)
    return context, provider, name


def link(context, name, flags):
    info = CryptKeyProvInfo(name, MS_SCARD_PROV, PROV_RSA_FULL, flags, (), AT_KEYEXCHANGE)
    CertSetCertificateContextProperty(context, INFO, 0, info)


def signs(context, acquired):
    public = x509.load_der_x509_certificate(context.encoded).public_key()
    if acquired.handle.is_ncrypt:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(DATA)
        how = ncrypt.Pkcs1PaddingInfo("SHA256")
        signature = ncrypt.NCryptSignHash(acquired.handle, how, digest.finalize(), ncrypt.BCRYPT_PAD_PKCS1)
        public.verify(signature, DATA, padding.PKCS1v15(), hashes.SHA256())
        return True
    hash_ = advapi32.CryptCreateHash(acquired.handle, CALG_SHA1)
    advapi32.CryptHashData(hash_, DATA)
    check_signature(public, advapi32.CryptSignHash(hash_, acquired.key_spec, None, 0)[::-1])
    return True


def code_of(*args):
    with pytest.raises(WinError) as caught:
        acquire(*args)
    return caught.value.code


def replug(system):
    """Every name of this insertion dies."""
    card = system._slots.slot(READER).card
    system.remove(READER)
    system.insert(card, READER)


def test_every_enumeration_makes_a_new_name(system):
    names = {told_by_a_context()[1] for _ in range(3)}
    assert len(names) == 3


def test_without_the_cache_the_name_dies_with_the_context_that_told_it(linked):
    context, provider, name = linked
    link(context, name, 0)
    acquired = acquire(context, USE | NO_HEALING)
    assert acquired.caller_free
    advapi32.CryptReleaseContext(acquired.handle, 0)
    advapi32.CryptReleaseContext(provider, 0)
    assert code_of(context, USE | NO_HEALING) == NTE_BAD_KEYSET


@pytest.mark.parametrize("way", [0, ONLY], ids=["CryptoAPI", "CNG"])
def test_healing_finds_the_key_under_its_new_name(linked, way):
    context, provider, name = linked
    advapi32.CryptReleaseContext(provider, 0)
    acquired = acquire(context, USE | way)
    found = CertGetCertificateContextProperty(context, INFO)
    assert found.container_name != name
    assert found.flags == KEEP
    assert signs(context, acquired)


@pytest.mark.parametrize("way", [0, ONLY], ids=["CryptoAPI", "CNG"])
def test_a_kept_handle_outlives_the_context_that_told_the_name(linked, way):
    context, provider, _ = linked
    kept = acquire(context, USE | NO_HEALING | way)
    assert not kept.caller_free
    advapi32.CryptReleaseContext(provider, 0)
    again = acquire(context, USE | NO_HEALING | way)
    assert again.handle is kept.handle
    assert signs(context, again)


@pytest.mark.parametrize("way", [0, ONLY], ids=["CryptoAPI", "CNG"])
def test_a_kept_handle_outlives_its_name(system, linked, way):
    context, provider, name = linked
    kept = acquire(context, USE | NO_HEALING | way)
    advapi32.CryptReleaseContext(provider, 0)
    replug(system)
    with pytest.raises(WinError) as caught:
        advapi32.CryptAcquireContext(name, MS_SCARD_PROV, PROV_RSA_FULL, 0)
    assert caught.value.code == NTE_BAD_KEYSET
    assert acquire(context, USE | NO_HEALING | way).handle is kept.handle
    assert signs(context, kept)


def test_a_kept_handle_keeps_its_authentication(system, linked):
    context, provider, _ = linked
    assert signs(context, acquire(context, USE | NO_HEALING))
    advapi32.CryptReleaseContext(provider, 0)
    assert system.broker.prompt.count == 1
    for _ in range(3):
        assert signs(context, acquire(context, USE | NO_HEALING))
    assert system.broker.prompt.count == 1


@pytest.mark.parametrize("way", [0, ONLY], ids=["CryptoAPI", "CNG"])
def test_silence_is_said_when_the_handle_is_made(linked, way):
    context, _, _ = linked
    silent = acquire(context, USE | NO_HEALING | SILENT | way)
    with pytest.raises(WinError) as caught:
        signs(context, silent)
    assert caught.value.code == NTE_SILENT_CONTEXT
    CertSetCertificateContextProperty(context, CERT_KEY_CONTEXT_PROP_ID, 0, None)
    assert silent.handle.closed
    assert signs(context, acquire(context, USE | NO_HEALING | way))


@pytest.mark.parametrize("way", [0, ONLY], ids=["CryptoAPI", "CNG"])
def test_freeing_the_certificate_frees_the_handle_once(linked, way):
    context, _, _ = linked
    handle = acquire(context, USE | NO_HEALING | way).handle
    CertDuplicateCertificateContext(context)
    CertFreeCertificateContext(context)
    assert not handle.closed
    CertFreeCertificateContext(context)
    assert handle.closed
    with pytest.raises(WinError):
        ncrypt.NCryptFreeObject(handle) if way else advapi32.CryptReleaseContext(handle, 0)


def test_the_last_python_reference_frees_it_too(linked):
    context, provider, name = linked
    handle = acquire(context, USE | NO_HEALING).handle
    CertFreeCertificateContext(context)
    del context, linked
    gc.collect()
    assert handle.closed
    advapi32.CryptReleaseContext(provider, 0)
    with pytest.raises(WinError):
        advapi32.CryptAcquireContext(name, MS_SCARD_PROV, PROV_RSA_FULL, 0)


def test_a_propagated_certificate_has_the_flag_and_a_store_shares_the_handle(system):
    system.propagate()
    store = CertOpenSystemStore(None, "My")
    context = CertEnumCertificatesInStore(store)
    kept = acquire(context, USE | NO_HEALING)
    assert CertFindCertificateInStore(store, X509_ASN_ENCODING, 0, CERT_FIND_EXISTING, context) is context
    replug(system)
    assert acquire(context, USE | NO_HEALING).handle is kept.handle
    assert signs(context, kept)
    other = CertEnumCertificatesInStore(CertOpenSystemStore(None, "My"))
    assert code_of(other, USE | NO_HEALING) == NTE_BAD_KEYSET
    assert signs(other, acquire(other, USE))
