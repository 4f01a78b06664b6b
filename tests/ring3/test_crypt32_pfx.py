"""PFX: what goes in and comes out, into memory; passwords, odd and hostile files; openssl reads and writes the same."""

# The names of the headers are the point: they are all in the modules.
# ruff: noqa: F403, F405

import contextlib
import subprocess

import certs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from calais.store import der as der_reader
from calais.store.formats import pkcs12 as store_pkcs12
from calais.win.errors import WinError
from calais.winapi import advapi32, ncrypt
from calais.winapi.crypt32 import *

X509 = X509_ASN_ENCODING
NO_PERSIST, ONLY = PKCS12_NO_PERSIST_KEY, PKCS12_ONLY_CERTIFICATES
RSA_CERT = certs.make("Rsa", key=certs.rsa_key(), serial=11)
EC_CERT = certs.make("Ec", key=certs.ec_key(), serial=12)
CA = certs.make("Ca", key=certs.ec_key(9), serial=13)
SECRET = "gr\u00fcn"


def code_of(call, *args, **more):
    with pytest.raises(WinError) as caught:
        call(*args, **more)
    return caught.value.code


def pfx(key=None, der=RSA_CERT, others=(CA,), password=SECRET, name=b"My key"):
    """A PFX by ``cryptography``."""
    way = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    loaded = [x509.load_der_x509_certificate(each) for each in others]
    own = x509.load_der_x509_certificate(der)
    return pkcs12.serialize_key_and_certificates(name, key or certs.rsa_key(), own, loaded, way)


@pytest.fixture(scope="module")
def rsa_pfx():
    return pfx()


def contexts(store):
    return {each.encoded: each for each in store}


def get(context, prop_id):
    return CertGetCertificateContextProperty(context, prop_id)


def lacks(context, prop_id):
    return code_of(get, context, prop_id) == CRYPT_E_NOT_FOUND


def two_keys(password=SECRET):
    """A PFX with two keys and another certificate."""
    entries = [
        store_pkcs12.Entry(RSA_CERT, "one", certs.rsa_key()),
        store_pkcs12.Entry(CA),
        store_pkcs12.Entry(EC_CERT, "two", certs.ec_key()),
    ]
    return store_pkcs12.build_pfx(entries, password)


# --- import into memory -----------------------------------------------------------------------------------------------


def test_an_rsa_key_in_memory_hangs_on_its_certificate(rsa_pfx):
    store = PFXImportCertStore(rsa_pfx, SECRET, NO_PERSIST)
    found = contexts(store)
    assert list(found) == [RSA_CERT, CA]
    slot = get(found[RSA_CERT], CERT_KEY_CONTEXT_PROP_ID)
    assert slot.key_spec == AT_KEYEXCHANGE
    assert advapi32.CryptGetProvParam(slot.handle, PP_NAME) == MS_ENH_RSA_AES_PROV
    assert lacks(found[RSA_CERT], CERT_KEY_PROV_INFO_PROP_ID)
    assert get(found[RSA_CERT], CERT_FRIENDLY_NAME_PROP_ID) == "My key"
    assert lacks(found[CA], CERT_KEY_CONTEXT_PROP_ID)
    signature = CryptSignCertificate(slot.handle, slot.key_spec, X509, b"data", szOID_RSA_SHA256RSA)
    assert len(signature) == 256


def test_the_key_dies_with_its_certificate(rsa_pfx):
    store = PFXImportCertStore(rsa_pfx, SECRET, NO_PERSIST)
    handle = get(contexts(store)[RSA_CERT], CERT_KEY_CONTEXT_PROP_ID).handle
    store.close()
    assert handle.closed


@pytest.mark.parametrize("flag", [PKCS12_PREFER_CNG_KSP, PKCS12_ALWAYS_CNG_KSP])
def test_cng_takes_an_rsa_key_where_it_is_asked_for(rsa_pfx, flag):
    context = contexts(PFXImportCertStore(rsa_pfx, SECRET, NO_PERSIST | flag))[RSA_CERT]
    key = get(context, CERT_NCRYPT_KEY_HANDLE_PROP_ID)
    assert get(context, CERT_KEY_SPEC_PROP_ID) == CERT_NCRYPT_KEY_SPEC
    assert ncrypt.NCryptGetProperty(key, NCRYPT_ALGORITHM_GROUP_PROPERTY) == "RSA"


def test_an_ec_key_is_always_cng_s():
    context = contexts(PFXImportCertStore(pfx(certs.ec_key(), EC_CERT), SECRET, NO_PERSIST))[EC_CERT]
    key = get(context, CERT_NCRYPT_KEY_HANDLE_PROP_ID)
    assert ncrypt.NCryptGetProperty(key, NCRYPT_ALGORITHM_PROPERTY) == "ECDSA_P256"
    assert len(ncrypt.NCryptSignHash(key, None, bytes(32))) == 64


def test_a_certificate_for_key_agreement_makes_an_ecdh_key():
    usage = x509.KeyUsage(False, False, False, False, True, False, False, False, False)
    der = certs.make("Agree", key=certs.ec_key(), extensions=[usage])
    context = contexts(PFXImportCertStore(pfx(certs.ec_key(), der), SECRET, NO_PERSIST))[der]
    assert ncrypt.NCryptGetProperty(get(context, 78), NCRYPT_ALGORITHM_PROPERTY) == "ECDH_P256"


@pytest.mark.parametrize("password", [SECRET, None])
def test_every_key_of_a_file_is_found(password):
    store = PFXImportCertStore(two_keys(password), password, NO_PERSIST)
    found = contexts(store)
    assert found.keys() == {RSA_CERT, EC_CERT, CA}
    assert get(found[RSA_CERT], CERT_KEY_CONTEXT_PROP_ID).key_spec == AT_KEYEXCHANGE
    assert get(found[EC_CERT], CERT_KEY_CONTEXT_PROP_ID).key_spec == CERT_NCRYPT_KEY_SPEC
    assert [get(found[each], CERT_FRIENDLY_NAME_PROP_ID) for each in (RSA_CERT, EC_CERT)] == ["one", "two"]


def test_only_certificates_leave_the_keys_out(rsa_pfx):
    for flags in (ONLY, ONLY | NO_PERSIST):
        found = contexts(PFXImportCertStore(rsa_pfx, SECRET, flags))
        assert all(lacks(each, CERT_KEY_CONTEXT_PROP_ID) and lacks(each, 2) for each in found.values())


@pytest.mark.parametrize("flags", [0, NO_PERSIST, ONLY])
def test_a_file_without_keys_needs_no_card(flags):
    data = store_pkcs12.build_pfx([store_pkcs12.Entry(CA)], SECRET)
    assert [each.encoded for each in PFXImportCertStore(data, SECRET, flags, system=object())] == [CA]


def test_flags_that_change_nothing_in_memory(rsa_pfx):
    harmless = CRYPT_USER_PROTECTED | CRYPT_MACHINE_KEYSET | CRYPT_USER_KEYSET | PKCS12_IMPORT_SILENT
    store = PFXImportCertStore(rsa_pfx, SECRET, NO_PERSIST | harmless | PKCS12_INCLUDE_EXTENDED_PROPERTIES)
    assert get(contexts(store)[RSA_CERT], CERT_KEY_CONTEXT_PROP_ID)


@pytest.mark.parametrize(("flags", "code"), [(NO_PERSIST, NTE_BAD_KEY_STATE), (NO_PERSIST | CRYPT_EXPORTABLE, None)])
def test_a_key_is_exportable_when_it_was_imported_so(rsa_pfx, flags, code):
    store = PFXImportCertStore(rsa_pfx, SECRET, flags)
    handle = get(contexts(store)[RSA_CERT], CERT_KEY_CONTEXT_PROP_ID).handle
    key = advapi32.CryptGetUserKey(handle, AT_KEYEXCHANGE)
    if code is None:
        assert advapi32.CryptExportKey(key, None, PRIVATEKEYBLOB)
    else:
        assert code_of(advapi32.CryptExportKey, key, None, PRIVATEKEYBLOB) == code


# --- passwords, and files that are none -------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["wrong", "", None, "\ud800"])
def test_a_wrong_password(rsa_pfx, password):
    assert code_of(PFXImportCertStore, rsa_pfx, password, NO_PERSIST) == ERROR_INVALID_PASSWORD
    assert not PFXVerifyPassword(rsa_pfx, password)
    assert PFXVerifyPassword(rsa_pfx, SECRET)


@pytest.mark.parametrize("password", [None, ""])
def test_no_password_and_an_empty_one_are_the_same(password):
    data = pfx(password=None)
    assert PFXVerifyPassword(data, password)
    assert not PFXVerifyPassword(data, "x")
    assert RSA_CERT in contexts(PFXImportCertStore(data, password, NO_PERSIST))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"no PFX at all",
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: RSA_CERT,
        lambda data: data[:4] + b"\x02\x01\x02" + data[7:],
        lambda data: bytes.fromhex("3003020103"),
    ],
    ids=["empty", "text", "a byte short", "cut", "certificate", "version 2", "nothing inside"],
)
def test_what_is_no_pfx(rsa_pfx, spoil):
    data = spoil(rsa_pfx)
    assert code_of(PFXImportCertStore, data, SECRET, NO_PERSIST) == CRYPT_E_ASN1_BADTAG
    assert not PFXIsPFXBlob(data)
    assert not PFXVerifyPassword(data, SECRET)
    assert PFXIsPFXBlob(rsa_pfx)


def test_arguments_that_are_none(rsa_pfx):
    assert code_of(PFXImportCertStore, None, None) == ERROR_INVALID_PARAMETER
    assert code_of(PFXImportCertStore, rsa_pfx, b"bytes") == ERROR_INVALID_PARAMETER
    for flags in (0x2, 0x8, 0x80, 0x800, 0x20000000):
        given = flags if flags != 0x2 else 0x100000
        assert code_of(PFXImportCertStore, rsa_pfx, SECRET, given) == ERROR_INVALID_PARAMETER
    assert not PFXIsPFXBlob(None)
    assert not PFXVerifyPassword(None, None)


def test_many_rounds_are_refused_before_they_are_worked_off(rsa_pfx):
    count = bytes.fromhex("02020800")  # 2048, of the HMAC
    at = rsa_pfx.rindex(count)
    bomb = bytearray(rsa_pfx)
    bomb[at : at + 4] = bytes.fromhex("02047fffffff")
    for place in (2,):
        length = int.from_bytes(bomb[place : place + 2], "big") + 2
        bomb[place : place + 2] = length.to_bytes(2, "big")
    mac = bomb.rindex(b"\x30", 0, bomb.rindex(bytes.fromhex("3031300d0609")))
    bomb[mac + 1] += 2
    assert code_of(PFXImportCertStore, bytes(bomb), SECRET, NO_PERSIST) == CRYPT_E_ASN1_LARGE
    assert code_of(PFXVerifyPassword, bytes(bomb), SECRET) == CRYPT_E_ASN1_LARGE


def test_a_kind_of_key_that_nobody_has():
    key = ed25519.Ed25519PrivateKey.generate()
    der = certs.make("Edward", key=key, signer=certs.ec_key())
    assert code_of(PFXImportCertStore, pfx(key, der), SECRET, NO_PERSIST) == NTE_NOT_SUPPORTED


def test_every_byte_may_be_wrong(rsa_pfx):
    for at in range(0, len(rsa_pfx), 7):
        spoiled = rsa_pfx[:at] + bytes((rsa_pfx[at] ^ 0x41,)) + rsa_pfx[at + 1 :]
        with contextlib.suppress(WinError):  # and nothing else
            PFXImportCertStore(spoiled, SECRET, NO_PERSIST)


# --- export -----------------------------------------------------------------------------------------------------------


def memory(*ders):
    store = CertOpenStore(CERT_STORE_PROV_MEMORY, 0, None, 0, None)
    for der in ders:
        CertAddEncodedCertificateToStore(store, X509, der, CERT_STORE_ADD_ALWAYS)
    return store


def keys_of(data, password=SECRET):
    return store_pkcs12.open_pfx(data, password).keys


@pytest.mark.parametrize("password", [SECRET, "", None])
def test_an_empty_store_is_a_legal_pfx_of_nothing(password):
    data = PFXExportCertStoreEx(memory(), password)
    assert PFXIsPFXBlob(data)
    assert list(PFXImportCertStore(data, None, 0)) == []


@pytest.mark.parametrize("password", [SECRET, None])
def test_certificates_go_out_and_come_back(password):
    data = PFXExportCertStoreEx(memory(CA, RSA_CERT, EC_CERT), password)
    assert contexts(PFXImportCertStore(data, password, 0)).keys() == {CA, RSA_CERT, EC_CERT}
    assert not keys_of(data, password)


@pytest.mark.parametrize("password", [SECRET, None])
@pytest.mark.parametrize("kind", [0, PKCS12_ALWAYS_CNG_KSP])
def test_exportable_keys_go_out_with_their_certificates(password, kind):
    store = PFXImportCertStore(two_keys(), SECRET, NO_PERSIST | CRYPT_EXPORTABLE | kind)
    data = PFXExportCertStoreEx(store, password, None, EXPORT_PRIVATE_KEYS)
    assert {key.public_der for key in keys_of(data, password)} == {
        certs.spki(certs.rsa_key()),
        certs.spki(certs.ec_key()),
    }
    back = contexts(PFXImportCertStore(data, password, NO_PERSIST))
    assert get(back[RSA_CERT], CERT_FRIENDLY_NAME_PROP_ID) == "one"
    assert not keys_of(PFXExportCertStoreEx(store, password), password)


def test_keys_that_may_not_leave_stay_and_are_reported_when_asked(rsa_pfx):
    store = PFXImportCertStore(rsa_pfx, SECRET, NO_PERSIST)
    data = PFXExportCertStoreEx(store, SECRET, None, EXPORT_PRIVATE_KEYS)
    assert contexts(PFXImportCertStore(data, SECRET, ONLY)).keys() == {RSA_CERT, CA}
    assert not keys_of(data)
    report = EXPORT_PRIVATE_KEYS | REPORT_NOT_ABLE_TO_EXPORT_PRIVATE_KEY
    assert code_of(PFXExportCertStoreEx, store, SECRET, None, report) == NTE_BAD_KEY_STATE
    assert code_of(PFXExportCertStoreEx, memory(CA), SECRET, None, 4 | REPORT_NO_PRIVATE_KEY) == NTE_NO_KEY
    assert PFXExportCertStoreEx(memory(CA), SECRET, None, report)


def test_a_link_to_a_card_is_a_key_that_stays():
    store = memory(RSA_CERT)
    link = CryptKeyProvInfo("box", MS_SCARD_PROV, PROV_RSA_FULL, 0, (), AT_KEYEXCHANGE)
    CertSetCertificateContextProperty(next(iter(store)), CERT_KEY_PROV_INFO_PROP_ID, 0, link)
    assert PFXExportCertStoreEx(store, SECRET, None, EXPORT_PRIVATE_KEYS | REPORT_NO_PRIVATE_KEY)
    flags = EXPORT_PRIVATE_KEYS | REPORT_NOT_ABLE_TO_EXPORT_PRIVATE_KEY
    assert code_of(PFXExportCertStoreEx, store, SECRET, None, flags) == NTE_BAD_KEY_STATE


def test_an_export_touches_no_property(rsa_pfx):
    store = PFXImportCertStore(rsa_pfx, SECRET, NO_PERSIST | CRYPT_EXPORTABLE)
    context = contexts(store)[RSA_CERT]
    before = [CertEnumCertificateContextProperties(context, at) for at in range(110)]
    PFXExportCertStoreEx(store, SECRET, None, EXPORT_PRIVATE_KEYS)
    assert [CertEnumCertificateContextProperties(context, at) for at in range(110)] == before
    assert CertCloseStore(store, CERT_CLOSE_STORE_FORCE_FLAG) is None


@pytest.mark.parametrize(
    ("store", "password", "para", "flags", "code"),
    [
        ("none", SECRET, None, 0, E_INVALIDARG),
        ("closed", SECRET, None, 0, ERROR_INVALID_PARAMETER),
        ("open", b"x", None, 0, ERROR_INVALID_PARAMETER),
        ("open", SECRET, b"x", 0, ERROR_INVALID_PARAMETER),
        ("open", SECRET, None, 0x8, ERROR_INVALID_PARAMETER),
        ("open", "\ud800", None, 0, ERROR_INVALID_PARAMETER),
        ("odd", SECRET, None, 0, CRYPT_E_ASN1_BADTAG),
    ],
)
def test_what_cannot_be_exported(store, password, para, flags, code):
    closed = memory()
    closed.close()
    stores = {"none": None, "closed": closed, "open": memory(CA), "odd": memory(certs.raw_certificate(certs.raw_tbs()))}
    assert code_of(PFXExportCertStoreEx, stores[store], password, para, flags) == code


# --- openssl ----------------------------------------------------------------------------------------------------------


def openssl(*args):
    ran = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.requires("openssl", package="openssl")
@pytest.mark.parametrize("count", [1, 2])
def test_openssl_reads_our_pfx(tmp_path, count):
    source = two_keys("secret") if count == 2 else pfx(password="secret")
    store = PFXImportCertStore(source, "secret", NO_PERSIST | CRYPT_EXPORTABLE)
    path = tmp_path / "out.pfx"
    path.write_bytes(PFXExportCertStoreEx(store, "secret", None, EXPORT_PRIVATE_KEYS))
    shown = openssl("pkcs12", "-in", path, "-passin", "pass:secret", "-nodes")
    assert shown.count("BEGIN PRIVATE KEY") == count
    assert shown.count("BEGIN CERTIFICATE") == count + 1


@pytest.mark.requires("openssl", package="openssl")
@pytest.mark.parametrize("more", [(), ("-legacy",), ("-nomac",)], ids=["modern", "legacy", "no MAC"])
def test_we_read_what_openssl_writes(tmp_path, more):
    key, cert, made = (tmp_path / name for name in ("key.pem", "cert.pem", "made.pfx"))
    key.write_text(
        CryptBinaryToString(
            certs.rsa_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), 0
        ).replace("CERTIFICATE", "PRIVATE KEY")
    )
    cert.write_text(CryptBinaryToString(RSA_CERT, 0))
    csp = ("-CSP", "Microsoft Base Smart Card Crypto Provider", "-name", "Calais", "-passout", "pass:secret")
    openssl("pkcs12", "-export", "-inkey", key, "-in", cert, "-out", made, *csp, *more)
    data = made.read_bytes()
    context = contexts(PFXImportCertStore(data, "secret", NO_PERSIST))[RSA_CERT]
    assert get(context, CERT_FRIENDLY_NAME_PROP_ID) == "Calais"
    assert get(context, CERT_KEY_CONTEXT_PROP_ID).key_spec == AT_KEYEXCHANGE
    assert [each.provider for each in keys_of(data, "secret")] == ["Microsoft Base Smart Card Crypto Provider"]


# --- octets that look like values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("octets", ["30 06 FF FF FF FF FF FF", "30 06 30 FF 00 00 00 00", "30 05 00 85 00 00 00 00"])
def test_salts_and_ciphertext_that_look_like_values_are_no_fault_of_the_file(octets):
    made = pfx(certs.ec_key(), EC_CERT, ())
    salt = der_reader.read(made).children()[-1].children()[1]
    forged = made[: salt.body] + bytes.fromhex(octets)[: salt.end - salt.body] + made[salt.body + 8 :]
    store_pkcs12.check_outline(forged)
    assert code_of(PFXImportCertStore, forged, SECRET, NO_PERSIST) == ERROR_INVALID_PASSWORD
