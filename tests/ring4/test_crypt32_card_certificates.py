"""Certificates that keys on cards sign for themselves, and PFX files whose keys go onto cards."""

# The names of the headers are the point: they are all in the modules.
# ruff: noqa: F403, F405

import subprocess

import certs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cspdesk import gids, piv

from calais.provider.policy import Policy
from calais.store.formats import pkcs12
from calais.testing import FixedPrompt, local_system, virtual_gids
from calais.win.errors import WinError
from calais.winapi import advapi32, ncrypt
from calais.winapi.crypt32 import *

X509 = X509_ASN_ENCODING
PIN = "123456"
NAME = certs.name_der("Self")
RSA_CERT = certs.make("Rsa", key=certs.rsa_key(), serial=11)
EC_CERT = certs.make("Ec", key=certs.ec_key(), serial=12)
FREE = {
    "AllowPrivateExchangeKeyImport": 1,
    "AllowPrivateECDSAKeyImport": 1,
    "DefaultPrivateKeyLenBits": 2048,
}
PFX = pkcs12.build_pfx([pkcs12.Entry(RSA_CERT, "one", certs.rsa_key()), pkcs12.Entry(EC_CERT, "", certs.ec_key())], "x")


def code_of(call, *args, **more):
    with pytest.raises(WinError) as caught:
        call(*args, **more)
    return caught.value.code


def desk(*cards, prompt=True, **values):
    """A system with these cards; the PIN is given when it is asked for."""
    policy = Policy.from_values({**FREE, **values})
    system = local_system(prompt=FixedPrompt(PIN) if prompt else None, policy=policy)
    for number, card in enumerate(cards):
        system.insert(card, f"Reader {number}")
    return system


def empty(**options):
    return virtual_gids(keys=[], seed=options.pop("seed", "empty"), **options)


def names(system, reader="Reader 0"):
    return [container.name for container in system.card(reader).containers]


def link_of(context):
    return CertGetCertificateContextProperty(context, CERT_KEY_PROV_INFO_PROP_ID)


def check_self_signed(context):
    parsed = x509.load_der_x509_certificate(context.encoded)
    parsed.verify_directly_issued_by(parsed)
    CryptVerifyCertificateSignatureEx(None, X509, 2, context, 2, context)


def check_leads_to_its_key(context, system):
    flags = CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG | CRYPT_ACQUIRE_COMPARE_KEY_FLAG | CRYPT_ACQUIRE_NO_HEALING
    acquired = CryptAcquireCertificatePrivateKey(context, flags, system=system)
    acquired.handle.close()


# --- self-signed ------------------------------------------------------------------------------------------------------


def test_without_handle_and_link_a_new_container_has_the_key():
    with desk(empty()) as system:
        context = CertCreateSelfSignCertificate(None, NAME, system=system)
        link = link_of(context)
        assert link == CryptKeyProvInfo(names(system)[0], MS_SCARD_PROV, PROV_RSA_FULL, 0, (), AT_SIGNATURE)
        assert len(link.container_name) == 36
        check_self_signed(context)
        check_leads_to_its_key(context, system)


def test_the_current_system_is_meant_where_none_is_named():
    with desk(empty()) as system:
        assert link_of(CertCreateSelfSignCertificate(None, NAME)).container_name == names(system)[0]


def test_a_card_that_cannot_be_changed_is_passed_over():
    with desk(gids(read_only=True), empty(seed="two")) as system:
        context = CertCreateSelfSignCertificate(None, NAME, system=system)
        assert names(system, "Reader 1") == [link_of(context).container_name]


def test_no_card_and_no_room_are_told():
    with desk() as system:
        system.plug("Reader 0")
        assert code_of(CertCreateSelfSignCertificate, None, NAME, system=system) == SCARD_E_NO_SMARTCARD
    with desk(gids(read_only=True)) as system:
        assert code_of(CertCreateSelfSignCertificate, None, NAME, system=system) == SCARD_E_READ_ONLY_CARD
    with local_system() as system:
        assert code_of(CertCreateSelfSignCertificate, None, NAME, system=system) == SCARD_E_NO_READERS_AVAILABLE


@pytest.mark.parametrize("card", [empty, lambda: piv(0x9A)], ids=["GIDS", "PIV"])
def test_a_key_is_deleted_again_that_cannot_sign_its_certificate(card):
    link = CryptKeyProvInfo("box", PERSONAL_CSP, PROV_RSA_FULL, 0, (), AT_SIGNATURE)  # has no SHA-256
    with desk(card()) as system:
        before = names(system)
        code = code_of(CertCreateSelfSignCertificate, None, NAME, 0, link, szOID_RSA_SHA256RSA, system=system)
        assert (code, names(system)) == (NTE_BAD_ALGID, before)
        assert link_of(CertCreateSelfSignCertificate(None, NAME, 0, link, system=system)) == link


def test_a_signature_that_no_such_key_makes_is_refused_before_anything_is_made():
    with desk(empty(), prompt=False) as system:
        code = code_of(CertCreateSelfSignCertificate, None, NAME, 0, None, szOID_ECDSA_SHA256, system=system)
        assert (code, names(system)) == (NTE_BAD_ALGID, [])
        link = CryptKeyProvInfo("box", MS_SCARD_PROV, PROV_RSA_FULL, 0, (), AT_SIGNATURE)
        code = code_of(CertCreateSelfSignCertificate, None, NAME, 0, link, szOID_ECDSA_SHA256, system=system)
        assert (code, names(system)) == (NTE_BAD_ALGID, [])


@pytest.mark.parametrize("spec", [AT_KEYEXCHANGE, AT_SIGNATURE])
def test_a_link_has_its_container_and_key_made(spec):
    link = CryptKeyProvInfo("box", MS_SCARD_PROV, PROV_RSA_FULL, 0, (), spec)
    with desk(empty()) as system:
        first = CertCreateSelfSignCertificate(None, NAME, 0, link, system=system)
        second = CertCreateSelfSignCertificate(None, NAME, 0, link, system=system)
        assert link_of(first) == link_of(second) == link
        assert first.info.public_key == second.info.public_key
        assert names(system) == ["box"]
        check_self_signed(first)
        check_leads_to_its_key(first, system)


@pytest.mark.parametrize(("oid", "key"), [(None, "1.2.840.113549.1.1.1"), (szOID_ECDSA_SHA256, "1.2.840.10045.2.1")])
def test_the_key_storage_provider_makes_what_the_signature_wants(oid, key):
    link = CryptKeyProvInfo("box", MS_SMART_CARD_KEY_STORAGE_PROVIDER, 0)
    with desk(empty()) as system:
        first = CertCreateSelfSignCertificate(None, NAME, 0, link, oid, system=system)
        second = CertCreateSelfSignCertificate(None, NAME, 0, link, oid, system=system)
        assert first.info.public_key == second.info.public_key
        assert (first.info.public_key.algorithm, link_of(first), names(system)) == (key, link, ["box"])
        check_self_signed(first)
        check_leads_to_its_key(first, system)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("unknown", 1, NTE_KEYSET_NOT_DEF),
        ("unknown", 0, NTE_KEYSET_NOT_DEF),
        (MS_SCARD_PROV, 24, NTE_PROV_TYPE_NO_MATCH),
        (MS_KEY_STORAGE_PROVIDER, 0, NTE_BAD_KEYSET),
        (MS_ENH_RSA_AES_PROV, 24, NTE_PERM),
    ],
)
def test_links_to_providers_that_cannot_do_it(name, kind, code):
    with desk(empty()) as system:
        link = CryptKeyProvInfo("box", name, kind, 0, (), AT_SIGNATURE)
        assert code_of(CertCreateSelfSignCertificate, None, NAME, 0, link, system=system) == code
        assert names(system) == []


@pytest.mark.parametrize("card", [gids, piv])
def test_an_open_provider_signs_with_the_key_it_has(card):
    with desk(card()):
        handle = advapi32.CryptAcquireContext(None, MS_SCARD_PROV)
        context = CertCreateSelfSignCertificate(handle, NAME)
        name = advapi32.CryptGetProvParam(handle, PP_CONTAINER)
        assert link_of(context) == CryptKeyProvInfo(name, MS_SCARD_PROV, PROV_RSA_FULL, 0, (), AT_KEYEXCHANGE)
        assert CryptExportPublicKeyInfo(handle, AT_KEYEXCHANGE, X509) == context.info.public_key
        check_self_signed(context)


def test_the_personal_provider_signs_with_the_hash_it_has():
    with desk(gids()):
        handle = advapi32.CryptAcquireContext(None, PERSONAL_CSP)
        made = CertCreateSelfSignCertificate(handle, NAME)
        assert made.info.signature_algorithm.oid == szOID_RSA_SHA1RSA
        CryptVerifyCertificateSignatureEx(None, X509, 2, made, 2, made)


@pytest.mark.parametrize("card", [gids, piv])
def test_a_cng_key_on_a_card_signs_and_is_linked(card):
    with desk(card()) as system:
        key = ncrypt.NCryptOpenKey(ncrypt.NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER), "")
        made = CertCreateSelfSignCertificate(key, NAME)
        name = ncrypt.NCryptGetProperty(key, NCRYPT_NAME_PROPERTY)
        assert link_of(made) == CryptKeyProvInfo(name, MS_SMART_CARD_KEY_STORAGE_PROVIDER, 0)
        check_self_signed(made)
        check_leads_to_its_key(made, system)
        own = CryptKeyProvInfo("other", MS_SCARD_PROV, 1, 0, (), 1)
        assert link_of(CertCreateSelfSignCertificate(key, NAME, 0, own)).prov_type == 0


def test_signatures_of_both_worlds_are_the_same():
    with desk(gids()):
        csp = advapi32.CryptAcquireContext(None, MS_SCARD_PROV)
        key = ncrypt.NCryptOpenKey(ncrypt.NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER), "")
        made = [CryptSignCertificate(each, 1, X509, b"data", szOID_RSA_SHA256RSA) for each in (csp, key)]
        assert made[0] == made[1]


def test_an_unsigned_certificate_asks_for_no_pin():
    with desk(gids(), prompt=False):
        handle = advapi32.CryptAcquireContext(None, MS_SCARD_PROV, PROV_RSA_FULL, CRYPT_SILENT)
        assert CertCreateSelfSignCertificate(handle, NAME, CERT_CREATE_SELFSIGN_NO_SIGN)
        assert code_of(CertCreateSelfSignCertificate, handle, NAME) == NTE_SILENT_CONTEXT


@pytest.mark.requires("openssl", package="openssl")
def test_openssl_verifies_what_a_card_has_signed(tmp_path):
    with desk(empty()) as system:
        made = CertCreateSelfSignCertificate(None, NAME, system=system)
    path = tmp_path / "self.pem"
    path.write_text(CryptBinaryToString(made.encoded, CRYPT_STRING_BASE64HEADER))
    command = ["openssl", "verify", "-check_ss_sig", "-CAfile", str(path), str(path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


# --- PFX --------------------------------------------------------------------------------------------------------------


def by_der(store):
    return {each.encoded: each for each in store}


def test_each_key_goes_into_a_container_of_its_own():
    with desk(empty()) as system:
        found = by_der(PFXImportCertStore(PFX, "x", system=system))
        rsa, curve = link_of(found[RSA_CERT]), link_of(found[EC_CERT])
        assert (rsa.prov_name, rsa.prov_type, rsa.key_spec, rsa.flags) == (MS_SCARD_PROV, 1, AT_KEYEXCHANGE, 0)
        assert (curve.prov_name, curve.prov_type) == (MS_SMART_CARD_KEY_STORAGE_PROVIDER, 0)
        assert sorted(names(system)) == sorted([rsa.container_name, curve.container_name])
        for context in found.values():
            check_leads_to_its_key(context, system)
        assert {each.certificate for each in system.card().containers} == {RSA_CERT, EC_CERT}


@pytest.mark.parametrize("flag", [PKCS12_PREFER_CNG_KSP, PKCS12_ALWAYS_CNG_KSP])
def test_rsa_keys_are_cng_s_where_that_is_asked_for(flag):
    with desk(empty()) as system:
        found = by_der(PFXImportCertStore(PFX, "x", flag | CRYPT_EXPORTABLE, system=system))
        assert link_of(found[RSA_CERT]).prov_type == 0
        check_leads_to_its_key(found[RSA_CERT], system)


@pytest.mark.parametrize("missing", ["AllowPrivateExchangeKeyImport", "AllowPrivateECDSAKeyImport"])
def test_policy_forbids_all_of_a_file_before_any_of_it(missing):
    with desk(empty(), **{missing: 0}, prompt=False) as system:
        assert code_of(PFXImportCertStore, PFX, "x", system=system) == NTE_PERM
        assert names(system) == []
        found = by_der(PFXImportCertStore(PFX, "x", PKCS12_ONLY_CERTIFICATES, system=system))
        assert found.keys() == {RSA_CERT, EC_CERT}
        assert PFXImportCertStore(PFX, "x", PKCS12_NO_PERSIST_KEY, system=system)


def test_nothing_stays_of_a_file_that_comes_in_half():
    key = ec.generate_private_key(ec.SECP256K1())  # no card has such keys
    last = certs.make("Last", key=key, signer=certs.ec_key())
    entries = [(RSA_CERT, certs.rsa_key()), (EC_CERT, certs.ec_key()), (last, key)]
    data = pkcs12.build_pfx([pkcs12.Entry(der, "", private) for der, private in entries], "x")
    with desk(empty()) as system:
        assert code_of(PFXImportCertStore, data, "x", system=system) == SCARD_E_UNSUPPORTED_FEATURE
        assert names(system) == []


def test_silence_and_missing_cards_are_told():
    with desk(empty(), prompt=False) as system:
        assert code_of(PFXImportCertStore, PFX, "x", PKCS12_IMPORT_SILENT, system=system) == NTE_SILENT_CONTEXT
        assert names(system) == []
    with desk(gids(read_only=True)) as system:
        assert code_of(PFXImportCertStore, PFX, "x", system=system) == SCARD_E_READ_ONLY_CARD
    with desk() as system:
        system.plug("Reader 0")
        assert code_of(PFXImportCertStore, PFX, "x", system=system) == SCARD_E_NO_SMARTCARD


def test_keys_on_cards_do_not_come_out_again():
    with desk(empty()) as system:
        store = PFXImportCertStore(PFX, "x", CRYPT_EXPORTABLE, system=system)
        data = PFXExportCertStoreEx(store, "x", None, EXPORT_PRIVATE_KEYS)
        assert by_der(PFXImportCertStore(data, "x", PKCS12_NO_PERSIST_KEY)).keys() == {RSA_CERT, EC_CERT}
        assert not pkcs12.open_pfx(data, "x").keys
        flags = EXPORT_PRIVATE_KEYS | REPORT_NOT_ABLE_TO_EXPORT_PRIVATE_KEY
        assert code_of(PFXExportCertStoreEx, store, "x", None, flags) == NTE_BAD_KEY_STATE


@pytest.mark.requires("openssl", package="openssl")
@pytest.mark.parametrize(
    ("named", "prov_name"),
    [
        (PERSONAL_CSP, PERSONAL_CSP),
        (MS_SMART_CARD_KEY_STORAGE_PROVIDER, MS_SMART_CARD_KEY_STORAGE_PROVIDER),
        (MS_ENH_RSA_AES_PROV, MS_SCARD_PROV),
        ("Somebody's Provider", MS_SCARD_PROV),
    ],
)
def test_a_file_may_name_the_provider_of_its_key(tmp_path, named, prov_name):
    pem = tmp_path / "both.pem"
    key = certs.rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    pem.write_text(key + CryptBinaryToString(RSA_CERT, CRYPT_STRING_BASE64HEADER))
    command = ["openssl", "pkcs12", "-export", "-in", str(pem), "-CSP", str(named), "-passout", "pass:x"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    with desk(empty()) as system:
        context = by_der(PFXImportCertStore(data, "x", system=system))[RSA_CERT]
        assert link_of(context).prov_name == prov_name
        check_leads_to_its_key(context, system)


def test_a_pin_in_a_link_is_used_and_not_kept():
    pin = CryptKeyProvParam(PP_SIGNATURE_PIN, PIN.encode() + b"\0", 0)
    link = CryptKeyProvInfo("box", MS_SCARD_PROV, PROV_RSA_FULL, CRYPT_SILENT, (pin,), AT_SIGNATURE)
    with desk(gids(names=("box",), specs=(AT_SIGNATURE,)), prompt=False) as system:
        made = CertCreateSelfSignCertificate(None, NAME, 0, link, system=system)
        assert link_of(made).params == ()
        check_self_signed(made)


def test_one_container_has_one_key():
    link = CryptKeyProvInfo("exchange", MS_SCARD_PROV, PROV_RSA_FULL, 0, (), AT_SIGNATURE)
    with desk(gids()) as system:
        code = code_of(CertCreateSelfSignCertificate, None, NAME, 0, link, system=system)
        assert (code, names(system)) == (SCARD_E_UNSUPPORTED_FEATURE, ["exchange"])
