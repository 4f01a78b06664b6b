"""Section by section: public keys of handles, signatures of certificates, and certificates that sign themselves."""

# The names of the headers are the point: they are all in the modules.
# ruff: noqa: F403, F405

import datetime as dt
import subprocess

import certs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from calais.win.blobs import build_capi_private
from calais.win.errors import WinError
from calais.winapi import advapi32, ncrypt
from calais.winapi.crypt32 import *

X509 = X509_ASN_ENCODING
RSA256, ECDSA256, PSS = szOID_RSA_SHA256RSA, szOID_ECDSA_SHA256, szOID_RSA_SSA_PSS
NAME = certs.name_der("Self")
TBS = bytes.fromhex("30030201ff")
PSS_SHA256 = CryptAlgorithmIdentifier(
    PSS,
    bytes.fromhex(
        "3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
    ),
)


def code_of(call, *args, **more):
    with pytest.raises(WinError) as caught:
        call(*args, **more)
    return caught.value.code


def provider(**specs):
    """An Enhanced context in memory; by default with the test key for exchange."""
    context = advapi32.CryptAcquireContext(None, MS_ENH_RSA_AES_PROV, PROV_RSA_AES, CRYPT_VERIFYCONTEXT)
    for alg_id in specs.get("algs", (CALG_RSA_KEYX,)):
        advapi32.CryptImportKey(context, build_capi_private(certs.rsa_key(), alg_id))
    return context


def cng(key=None):
    """A nameless CNG key."""
    key = key or certs.ec_key()
    with ncrypt.NCryptOpenStorageProvider(None) as storage:
        blob = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return ncrypt.NCryptImportKey(storage, None, NCRYPT_PKCS8_PRIVATE_KEY_BLOB, None, blob)


@pytest.fixture(scope="module")
def csp():
    return provider()


@pytest.fixture(scope="module")
def rsa_cng():
    return cng(certs.rsa_key())


@pytest.fixture(scope="module")
def ec_cng():
    return cng()


# --- export and import ------------------------------------------------------------------------------------------------


def test_all_handles_give_their_public_key(csp, rsa_cng, ec_cng):
    rsa = CertPublicKeyInfo.from_der(certs.spki(certs.rsa_key()))
    assert CryptExportPublicKeyInfo(csp, AT_KEYEXCHANGE, X509) == rsa
    assert CryptExportPublicKeyInfo(rsa_cng, 0, X509) == rsa
    assert CryptExportPublicKeyInfoEx(rsa_cng, CERT_NCRYPT_KEY_SPEC, X509) == rsa
    assert CryptExportPublicKeyInfo(ec_cng, 0, X509).to_der() == certs.spki(certs.ec_key())


def test_another_oid_may_be_named(csp):
    made = CryptExportPublicKeyInfoEx(csp, AT_KEYEXCHANGE, X509, PSS)
    assert (made.algorithm, made.parameters) == (PSS, b"\x05\0")


@pytest.mark.parametrize(
    ("spec", "encoding", "oid", "code"),
    [
        (AT_SIGNATURE, X509, None, NTE_NO_KEY),
        (0, X509, None, NTE_BAD_KEY),
        (AT_KEYEXCHANGE, 0, None, ERROR_FILE_NOT_FOUND),
        (AT_KEYEXCHANGE, X509, "one.two", CRYPT_E_OID_FORMAT),
        (AT_KEYEXCHANGE, X509, 5, E_INVALIDARG),
    ],
    ids=["empty slot", "no key spec", "no encoding", "no OID", "no text"],
)
def test_what_cannot_be_exported(csp, spec, encoding, oid, code):
    assert code_of(CryptExportPublicKeyInfoEx, csp, spec, encoding, oid) == code


def test_handles_that_are_none(csp, rsa_cng):
    info = CryptExportPublicKeyInfo(csp, AT_KEYEXCHANGE, X509)
    closed, freed = provider(), cng()
    closed.close()
    freed.close()
    for handle in (None, 7, closed, freed):
        assert code_of(CryptExportPublicKeyInfo, handle, 1, X509) == ERROR_INVALID_PARAMETER
        assert code_of(CryptSignCertificate, handle, 1, X509, b"x", RSA256) == ERROR_INVALID_PARAMETER
        assert code_of(CryptSignAndEncodeCertificate, handle, 1, X509, 2, TBS, RSA256) == ERROR_INVALID_PARAMETER
        assert code_of(CryptImportPublicKeyInfo, handle, X509, info) == ERROR_INVALID_PARAMETER
    assert code_of(CryptImportPublicKeyInfo, rsa_cng, X509, info) == ERROR_INVALID_PARAMETER
    assert code_of(CertCreateSelfSignCertificate, closed, NAME) == ERROR_INVALID_PARAMETER
    assert code_of(CryptExportPublicKeyInfo, rsa_cng, AT_SIGNATURE, X509) == ERROR_INVALID_PARAMETER


def test_an_unfinished_key_has_no_public_half():
    storage = ncrypt.NCryptOpenStorageProvider(None)
    key = ncrypt.NCryptCreatePersistedKey(storage, NCRYPT_ECDSA_P256_ALGORITHM)
    assert code_of(CryptExportPublicKeyInfo, key, 0, X509) == NTE_BAD_KEY_STATE


@pytest.mark.parametrize(
    ("alg_id", "expected"),
    [(None, CALG_RSA_KEYX), (0, CALG_RSA_KEYX), (CALG_RSA_KEYX, CALG_RSA_KEYX), (CALG_RSA_SIGN, CALG_RSA_SIGN)],
)
def test_an_rsa_key_is_imported_under_its_alg_id(csp, alg_id, expected):
    info = CryptExportPublicKeyInfo(csp, AT_KEYEXCHANGE, X509)
    call = CryptImportPublicKeyInfo if alg_id is None else CryptImportPublicKeyInfoEx
    key = call(csp, X509, info, *([] if alg_id is None else [alg_id]))
    assert advapi32.CryptGetKeyParam(key, KP_ALGID) == expected
    assert key.key.public_key == certs.rsa_key().public_key()


def test_an_imported_key_verifies(csp):
    made = advapi32.CryptCreateHash(csp, CALG_SHA_256)
    advapi32.CryptHashData(made, b"data")
    signature = advapi32.CryptSignHash(made, AT_KEYEXCHANGE)
    key = CryptImportPublicKeyInfo(csp, X509, CertPublicKeyInfo.from_der(certs.spki(certs.rsa_key())))
    advapi32.CryptVerifySignature(made, signature, key)


@pytest.mark.parametrize(
    ("encoding", "info", "alg_id", "code"),
    [
        (0, "rsa", 0, ERROR_FILE_NOT_FOUND),
        (X509, "ec", 0, ERROR_FILE_NOT_FOUND),
        (X509, "rsa", CALG_SHA1, NTE_BAD_ALGID),
        (X509, "empty", 0, CRYPT_E_ASN1_EOD),
        (X509, "odd", 0, CRYPT_E_ASN1_BADTAG),
        (X509, None, 0, E_INVALIDARG),
    ],
)
def test_what_cannot_be_imported(csp, encoding, info, alg_id, code):
    infos = {
        "rsa": CertPublicKeyInfo.from_der(certs.spki(certs.rsa_key())),
        "ec": CertPublicKeyInfo.from_der(certs.spki(certs.ec_key())),
        "empty": CertPublicKeyInfo(szOID_RSA_RSA, b"\x05\0", b""),
        "odd": CertPublicKeyInfo(szOID_RSA_RSA, b"\x05\0", b"\x04\x01x"),
    }
    assert code_of(CryptImportPublicKeyInfoEx, csp, encoding, infos.get(info), alg_id) == code


# --- CryptSignCertificate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["csp", "cng"])
def test_rsa_signatures_are_little_endian_and_those_of_cryptsignhash(csp, rsa_cng, which):
    handle = csp if which == "csp" else rsa_cng
    made = advapi32.CryptCreateHash(csp, CALG_SHA_256)
    advapi32.CryptHashData(made, TBS)
    assert CryptSignCertificate(handle, AT_KEYEXCHANGE, X509, TBS, RSA256) == advapi32.CryptSignHash(made, 1)


def test_pss_is_for_cng(csp, rsa_cng):
    signature = CryptSignCertificate(rsa_cng, 0, X509, TBS, PSS_SHA256)[::-1]
    how = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    certs.rsa_key().public_key().verify(signature, TBS, how, hashes.SHA256())
    assert code_of(CryptSignCertificate, csp, 1, X509, TBS, PSS_SHA256) == NTE_BAD_ALGID


def test_ecdsa_signatures_are_r_and_s(ec_cng):
    signature = CryptSignCertificate(ec_cng, 0, X509, TBS, ECDSA256)
    assert len(signature) == 64
    encoded = CryptEncodeObject(
        X509, X509_ECC_SIGNATURE, [int.from_bytes(signature[at : at + 32], "big") for at in (0, 32)]
    )
    certs.ec_key().public_key().verify(encoded, TBS, ec.ECDSA(hashes.SHA256()))


def test_a_hash_alone_needs_no_key():
    assert CryptSignCertificate(None, 0, X509, b"abc", szOID_OIWSEC_sha1).hex().startswith("a9993e36")


@pytest.mark.parametrize("oid", ["", "1.2.3", szOID_RSA_RSA, "1.2.840.10040.4.3", CryptAlgorithmIdentifier("")])
def test_unknown_algorithms_are_refused_before_anything_else(csp, rsa_cng, oid):
    for handle in (None, csp, rsa_cng):
        assert code_of(CryptSignCertificate, handle, 1, 0, b"x", oid) == NTE_BAD_ALGID
        assert code_of(CryptSignAndEncodeCertificate, handle, 1, X509, 2, TBS, oid) == NTE_BAD_ALGID


def test_a_key_signs_by_its_own_algorithms(csp, rsa_cng, ec_cng):
    for handle, oid in ((csp, ECDSA256), (rsa_cng, ECDSA256), (ec_cng, RSA256), (ec_cng, PSS_SHA256)):
        assert code_of(CryptSignCertificate, handle, 1, X509, TBS, oid) == NTE_BAD_ALGID
    assert code_of(CryptSignCertificate, csp, AT_SIGNATURE, X509, TBS, RSA256) == NTE_NO_KEY
    assert code_of(CryptSignCertificate, csp, 1, X509, "text", RSA256) == E_INVALIDARG
    assert code_of(CryptSignCertificate, csp, 1, X509, TBS, None) == E_INVALIDARG


# --- CryptSignAndEncodeCertificate ------------------------------------------------------------------------------------


def info_for(key, **changes):
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return CertInfo(
        **{
            "serial": 7,
            "version": 2,
            "issuer": NAME,
            "subject": NAME,
            "not_before": moment,
            "not_after": moment + dt.timedelta(days=9),
            "public_key": CertPublicKeyInfo.from_der(certs.spki(key)),
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("which", "algorithm"),
    [
        ("csp", RSA256),
        ("rsa_cng", RSA256),
        ("rsa_cng", PSS_SHA256),
        ("ec_cng", ECDSA256),
        ("ec_cng", szOID_ECDSA_SHA384),
    ],
    ids=["csp", "cng", "pss", "ec", "ec-384"],
)
def test_a_signed_certificate_is_one_for_everybody(request, which, algorithm):
    key = certs.ec_key() if which == "ec_cng" else certs.rsa_key()
    made = CryptSignAndEncodeCertificate(request.getfixturevalue(which), 1, X509, 2, info_for(key), algorithm)
    parsed = x509.load_der_x509_certificate(made)
    parsed.verify_directly_issued_by(parsed)
    CryptVerifyCertificateSignature(None, X509, made, CertPublicKeyInfo.from_der(certs.spki(key)))


def test_the_algorithm_beside_is_that_inside(rsa_cng):
    for inside in (None, CryptAlgorithmIdentifier(RSA256), CryptAlgorithmIdentifier(RSA256, b"\x05\0")):
        info = info_for(certs.rsa_key(), signature_algorithm=inside)
        made = CryptSignAndEncodeCertificate(rsa_cng, 0, X509, 2, info, RSA256)
        content = CryptDecodeObject(X509, X509_CERT, made)
        named = CryptDecodeObject(X509, X509_CERT_TO_BE_SIGNED, content.to_be_signed).signature_algorithm
        assert content.algorithm == named == (inside or CryptAlgorithmIdentifier(RSA256, b"\x05\0"))


@pytest.mark.parametrize("kind", [2, 3, 4])
def test_the_der_of_the_part_to_be_signed_is_kept(ec_cng, kind):
    csr = x509.CertificateSigningRequestBuilder().subject_name(certs.name("R")).sign(certs.ec_key(), hashes.SHA256())
    part = csr.tbs_certrequest_bytes
    made = CryptSignAndEncodeCertificate(ec_cng, 0, X509, kind, part, ECDSA256)
    assert x509.load_der_x509_csr(made).is_signature_valid
    assert CryptDecodeObject(X509, X509_CERT, made).to_be_signed == part


@pytest.mark.parametrize(
    ("encoding", "kind", "value", "code"),
    [
        (0, 2, TBS, ERROR_FILE_NOT_FOUND),
        (X509, 0, TBS, ERROR_FILE_NOT_FOUND),
        (X509, 7, TBS, ERROR_FILE_NOT_FOUND),
        (X509, 3, info_for(certs.ec_key()), E_INVALIDARG),
        (X509, 2, None, E_INVALIDARG),
        (X509, 2, CertInfo(), E_INVALIDARG),
        (X509, 2, b"", CRYPT_E_ASN1_EOD),
        (X509, 2, b"\x04\0", CRYPT_E_ASN1_BADTAG),
    ],
    ids=["encoding", "no type", "name", "info as CRL", "nothing", "empty info", "empty", "no sequence"],
)
def test_what_cannot_be_signed_and_encoded(ec_cng, encoding, kind, value, code):
    assert code_of(CryptSignAndEncodeCertificate, ec_cng, 0, encoding, kind, value, ECDSA256) == code


# --- verifying --------------------------------------------------------------------------------------------------------

CA_KEY = certs.ec_key(5)
LEAF = certs.make("Leaf", issuer="CA", signer=CA_KEY)
CA = certs.make("CA", key=CA_KEY)
CA_INFO = CertPublicKeyInfo.from_der(certs.spki(CA_KEY))


def crl():
    builder = x509.CertificateRevocationListBuilder().issuer_name(certs.name("CA"))
    builder = builder.last_update(certs.BEGIN).next_update(certs.BEGIN + dt.timedelta(days=9))
    return builder.sign(CA_KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def certificate(der):
    return CertCreateCertificateContext(X509, der)


def test_every_subject_by_every_issuer():
    leaf, ca, listed = certificate(LEAF), certificate(CA), CertCreateCRLContext(X509, crl())
    subjects = [(1, LEAF), (1, CA), (1, crl()), (2, leaf), (3, listed)]
    for kind, subject in subjects:
        for issuer_kind, issuer in ((1, CA_INFO), (2, ca), (3, (ca, leaf)), (3, [ca])):
            CryptVerifyCertificateSignatureEx(None, X509, kind, subject, issuer_kind, issuer)
        assert code_of(CryptVerifyCertificateSignatureEx, None, X509, kind, subject, 3, (leaf,)) == NTE_BAD_SIGNATURE


@pytest.mark.parametrize(
    ("subject_type", "subject", "issuer_type", "issuer", "code"),
    [
        (0, LEAF, 1, CA_INFO, E_INVALIDARG),
        (4, LEAF, 1, CA_INFO, E_INVALIDARG),
        (1, LEAF, 0, None, E_INVALIDARG),
        (1, LEAF, 5, None, E_INVALIDARG),
        (1, None, 1, CA_INFO, E_INVALIDARG),
        (1, LEAF, 1, None, E_INVALIDARG),
        (1, LEAF, 2, None, E_INVALIDARG),
        (1, LEAF, 2, CA, ERROR_INVALID_PARAMETER),
        (1, LEAF, 3, (), E_INVALIDARG),
        (1, LEAF, 4, None, E_INVALIDARG),
        (1, LEAF, 4, CA_INFO, E_INVALIDARG),
        (2, LEAF, 1, CA_INFO, ERROR_INVALID_PARAMETER),
        (3, LEAF, 4, None, E_INVALIDARG),
        (1, b"", 1, CA_INFO, CRYPT_E_ASN1_EOD),
        (1, b"\x04\0", 1, CA_INFO, CRYPT_E_ASN1_BADTAG),
    ],
    ids=[f"case {number}" for number in range(15)],
)
def test_subjects_and_issuers_that_do_not_go_together(subject_type, subject, issuer_type, issuer, code):
    given = (subject_type, subject, issuer_type, issuer)
    assert code_of(CryptVerifyCertificateSignatureEx, None, X509, *given) == code


def test_nobody_is_the_issuer_of_what_is_not_signed():
    made = CertCreateSelfSignCertificate(provider(), NAME, CERT_CREATE_SELFSIGN_NO_SIGN)
    CryptVerifyCertificateSignatureEx(None, X509, 2, made, 4)
    CryptVerifyCertificateSignatureEx(None, X509, 1, made.encoded, 4)
    spoiled = made.encoded[:-1] + bytes((made.encoded[-1] ^ 1,))
    assert code_of(CryptVerifyCertificateSignatureEx, None, X509, 1, spoiled, 4) == NTE_BAD_SIGNATURE
    assert code_of(CryptVerifyCertificateSignature, None, X509, made.encoded, CA_INFO) == NTE_BAD_ALGID
    bare = CryptEncodeObject(
        X509, X509_CERT, CertSignedContent(b"\x30\0", CryptAlgorithmIdentifier(szOID_PKIX_NO_SIGNATURE), b"")
    )
    CryptVerifyCertificateSignatureEx(None, X509, 1, bare, 4)


@pytest.mark.parametrize(
    ("encoding", "data", "info", "code"),
    [
        (0, LEAF, CA_INFO, ERROR_FILE_NOT_FOUND),
        (X509, b"", CA_INFO, CRYPT_E_ASN1_EOD),
        (X509, None, CA_INFO, CRYPT_E_ASN1_EOD),
        (X509, certs.raw_tbs(), CA_INFO, CRYPT_E_ASN1_CORRUPT),
        (X509, LEAF[:-1] + bytes((LEAF[-1] ^ 1,)), CA_INFO, NTE_BAD_SIGNATURE),
        (X509, LEAF, CertPublicKeyInfo.from_der(certs.spki(certs.rsa_key())), NTE_BAD_SIGNATURE),
        (X509, LEAF, CertPublicKeyInfo(CA_INFO.algorithm, CA_INFO.parameters, b""), CRYPT_E_ASN1_EOD),
        (X509, LEAF, CertPublicKeyInfo(CA_INFO.algorithm, CA_INFO.parameters, b"\4x"), CRYPT_E_ASN1_BADTAG),
        (X509, LEAF, None, E_INVALIDARG),
    ],
    ids=["encoding", "empty", "none", "bare", "spoiled", "other key", "no key bits", "odd key", "no key"],
)
def test_what_does_not_verify(encoding, data, info, code):
    assert code_of(CryptVerifyCertificateSignature, None, encoding, data, info) == code


def test_revocation_is_not_checked():
    CertVerifyRevocation(0, 0, [])
    CertVerifyRevocation(X509, CERT_CONTEXT_REVOCATION_TYPE, ())
    cases = [
        (X509, 1, CRYPT_E_NO_REVOCATION_CHECK),
        (X509, 2, CRYPT_E_NO_REVOCATION_DLL),
        (0, 1, CRYPT_E_NO_REVOCATION_DLL),
    ]
    for encoding, kind, code in cases:
        with pytest.raises(WinError) as caught:
            CertVerifyRevocation(encoding, kind, [certificate(LEAF)])
        assert (caught.value.code, caught.value.index) == (code, 0)


# --- self-signed certificates -----------------------------------------------------------------------------------------


def test_a_provider_signs_with_its_signature_key_first():
    both, exchange = provider(algs=(CALG_RSA_KEYX, CALG_RSA_SIGN)), provider()
    for handle, spec in ((both, AT_SIGNATURE), (exchange, AT_KEYEXCHANGE)):
        link = CertGetCertificateContextProperty(
            CertCreateSelfSignCertificate(handle, NAME), CERT_KEY_PROV_INFO_PROP_ID
        )
        assert link == CryptKeyProvInfo("", MS_ENH_RSA_AES_PROV, PROV_RSA_AES, 0, (), spec)


def test_nothing_is_made_in_a_provider_without_keys():
    empty = provider(algs=())
    assert code_of(CertCreateSelfSignCertificate, empty, NAME) == NTE_NO_KEY
    assert code_of(CryptExportPublicKeyInfo, empty, AT_SIGNATURE, X509) == NTE_NO_KEY


def test_a_link_says_which_key_of_a_provider(csp):
    link = CryptKeyProvInfo("elsewhere", "some provider", 1, 5, (), AT_KEYEXCHANGE)
    made = CertCreateSelfSignCertificate(csp, NAME, 0, link)
    assert CertGetCertificateContextProperty(made, CERT_KEY_PROV_INFO_PROP_ID) == link
    missing = CryptKeyProvInfo("elsewhere", "some provider", 1, 5, (), AT_SIGNATURE)
    assert code_of(CertCreateSelfSignCertificate, csp, NAME, 0, missing) == NTE_NO_KEY


def test_a_pin_in_a_link_is_not_kept(csp):
    pin = CryptKeyProvParam(PP_KEYEXCHANGE_PIN, b"123456\0", 0)
    link = CryptKeyProvInfo("box", MS_SCARD_PROV, 1, 0, (pin,), AT_KEYEXCHANGE)
    kept = CertGetCertificateContextProperty(CertCreateSelfSignCertificate(csp, NAME, 0, link), 2)
    assert kept.params == ()


def test_what_a_self_signed_certificate_says(csp, ec_cng):
    extension = CertExtension("2.5.29.19", True, CryptEncodeObject(X509, 15, (True, None)))
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    made = CertCreateSelfSignCertificate(csp, NAME, pExtensions=[extension])
    info = made.info
    assert (info.version, info.issuer, info.subject, info.extensions) == (2, NAME, NAME, (extension,))
    assert info.signature_algorithm == CryptAlgorithmIdentifier(RSA256, b"\x05\0")
    assert len(info.serial_number) == 16
    assert info.serial > 0
    assert before <= info.not_before <= dt.datetime.now(dt.UTC)
    assert info.not_after.year == info.not_before.year + 1
    assert list(made.store) == []
    assert CertCreateSelfSignCertificate(ec_cng, NAME).info.signature_algorithm == CryptAlgorithmIdentifier(ECDSA256)
    assert CertCreateSelfSignCertificate(ec_cng).info.subject == b"\x30\0"


def test_times_and_algorithm_may_be_given(ec_cng):
    start, end = dt.datetime(2024, 2, 29, 12), dt.datetime(2060, 1, 1, tzinfo=dt.UTC)
    made = CertCreateSelfSignCertificate(ec_cng, NAME, 0, None, szOID_ECDSA_SHA384, start, end).info
    assert (made.not_before, made.not_after) == (start.replace(tzinfo=dt.UTC), end)
    assert made.signature_algorithm.oid == szOID_ECDSA_SHA384
    late = CertCreateSelfSignCertificate(ec_cng, NAME, pStartTime=start).info
    assert late.not_after == dt.datetime(2025, 2, 28, 12, tzinfo=dt.UTC)


def test_a_nameless_key_leaves_no_link_and_no_link_may_be_wanted(csp, ec_cng):
    for made in (
        CertCreateSelfSignCertificate(ec_cng, NAME),
        CertCreateSelfSignCertificate(csp, NAME, CERT_CREATE_SELFSIGN_NO_KEY_INFO),
    ):
        assert code_of(CertGetCertificateContextProperty, made, CERT_KEY_PROV_INFO_PROP_ID) == CRYPT_E_NOT_FOUND


def test_an_unsigned_certificate_says_so(ec_cng):
    made = CertCreateSelfSignCertificate(ec_cng, NAME, CERT_CREATE_SELFSIGN_NO_SIGN, None, ECDSA256)
    assert made.info.signature_algorithm.oid == szOID_PKIX_NO_SIGNATURE
    assert CryptDecodeObject(X509, X509_CERT, made.encoded).algorithm == made.info.signature_algorithm


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"dwFlags": 4}, E_INVALIDARG),
        ({"pKeyProvInfo": "box"}, E_INVALIDARG),
        ({"pSubjectIssuerBlob": None}, E_INVALIDARG),
        ({"pSubjectIssuerBlob": b"\x04\0"}, CRYPT_E_ASN1_BADTAG),
        ({"pSignatureAlgorithm": "1.2.3"}, NTE_BAD_ALGID),
        ({"pStartTime": "now"}, E_INVALIDARG),
        ({"pExtensions": [b"x"]}, E_INVALIDARG),
        ({"pExtensions": 5}, E_INVALIDARG),
    ],
    ids=["flags", "link", "no name", "odd name", "algorithm", "time", "extension", "extensions"],
)
def test_arguments_of_a_self_signed_certificate(ec_cng, change, code):
    given = {"hCryptProvOrNCryptKey": ec_cng, "pSubjectIssuerBlob": NAME, **change}
    assert code_of(CertCreateSelfSignCertificate, **given) == code


@pytest.mark.requires("openssl", package="openssl")
@pytest.mark.parametrize("which", ["csp", "rsa_cng", "ec_cng"])
def test_openssl_verifies_a_self_signed_certificate(request, tmp_path, which):
    made = CertCreateSelfSignCertificate(request.getfixturevalue(which), NAME)
    path = tmp_path / "self.pem"
    path.write_text(CryptBinaryToString(made.encoded, CRYPT_STRING_BASE64HEADER))
    ran = subprocess.run(
        ["openssl", "verify", "-check_ss_sig", "-CAfile", path, path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
