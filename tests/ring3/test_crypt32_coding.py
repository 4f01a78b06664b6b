"""The faces of crypt32 that name, compare, code and weigh the usage of certificates."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest
from certs import ec_key, make, name_der, raw_certificate, raw_tbs, rsa_key, spki
from cryptography import x509

from calais.win.errors import WinError
from calais.winapi.crypt32 import (
    CERT_ENHKEY_USAGE_PROP_ID,
    CERT_FRIENDLY_NAME_PROP_ID,
    CERT_NAME_ATTR_TYPE,
    CERT_NAME_DNS_TYPE,
    CERT_NAME_EMAIL_TYPE,
    CERT_NAME_FRIENDLY_DISPLAY_TYPE,
    CERT_NAME_ISSUER_FLAG,
    CERT_NAME_RDN_TYPE,
    CERT_NAME_SEARCH_ALL_NAMES_FLAG,
    CERT_NAME_SIMPLE_DISPLAY_TYPE,
    CERT_NAME_UPN_TYPE,
    CERT_NAME_URL_TYPE,
    CRYPT_E_NOT_FOUND,
    CertAddEnhancedKeyUsageIdentifier,
    CertCompareCertificate,
    CertCompareCertificateName,
    CertCompareIntegerBlob,
    CertComparePublicKeyInfo,
    CertCreateCertificateContext,
    CertFreeCertificateContext,
    CertGetCertificateContextProperty,
    CertGetEnhancedKeyUsage,
    CertGetIntendedKeyUsage,
    CertGetNameString,
    CertGetPublicKeyLength,
    CertGetValidUsages,
    CertInfo,
    CertIsRDNAttrsInCertificateName,
    CertNameToStr,
    CertPublicKeyInfo,
    CertRdnAttr,
    CertRemoveEnhancedKeyUsageIdentifier,
    CertSetCertificateContextProperty,
    CertSetEnhancedKeyUsage,
    CertStrToName,
    CertVerifyTimeValidity,
    CryptBinaryToString,
    CryptDecodeObject,
    CryptDecodeObjectEx,
    CryptEncodeObject,
    CryptEncodeObjectEx,
    CryptHashCertificate,
    CryptHashCertificate2,
    CryptHashPublicKeyInfo,
    CryptHashToBeSigned,
    CryptStringToBinary,
)

CLIENT, MAIL, LOGON = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.4", "1.3.6.1.4.1.311.20.2.2"
UPN = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x0fbob@corp.domain")
FULL = make(
    "bob.example.org",
    issuer="The Authority",
    signer=ec_key(7),
    extensions=[
        x509.SubjectAlternativeName(
            [
                x509.DNSName("one.example.org"),
                x509.DNSName("two.example.org"),
                x509.RFC822Name("bob@example.org"),
                x509.UniformResourceIdentifier("http://example.org/"),
                UPN,
            ]
        ),
        x509.ExtendedKeyUsage([x509.ObjectIdentifier(CLIENT), x509.ObjectIdentifier(MAIL)]),
    ],
)


def context(der=FULL):
    return CertCreateCertificateContext(1, der)


@pytest.mark.parametrize(
    ("kind", "flags", "para", "text"),
    [
        (CERT_NAME_EMAIL_TYPE, 0, None, "bob@example.org"),
        (CERT_NAME_RDN_TYPE, 0, 3, "O=Calais, CN=bob.example.org"),
        (CERT_NAME_RDN_TYPE, 0, None, "O=Calais, CN=bob.example.org"),
        (CERT_NAME_ATTR_TYPE, 0, "2.5.4.10", "Calais"),
        (CERT_NAME_ATTR_TYPE, 0, "2.5.4.6", ""),
        (CERT_NAME_SIMPLE_DISPLAY_TYPE, 0, None, "bob.example.org"),
        (CERT_NAME_SIMPLE_DISPLAY_TYPE, CERT_NAME_ISSUER_FLAG, None, "The Authority"),
        (CERT_NAME_FRIENDLY_DISPLAY_TYPE, 0, None, "bob.example.org"),
        (CERT_NAME_DNS_TYPE, 0, None, "one.example.org"),
        (CERT_NAME_DNS_TYPE, CERT_NAME_SEARCH_ALL_NAMES_FLAG, None, "one.example.org\0two.example.org"),
        (CERT_NAME_DNS_TYPE, CERT_NAME_ISSUER_FLAG, None, "The Authority"),
        (CERT_NAME_URL_TYPE, 0, None, "http://example.org/"),
        (CERT_NAME_URL_TYPE, CERT_NAME_ISSUER_FLAG, None, ""),
        (CERT_NAME_UPN_TYPE, 0, None, "bob@corp.domain"),
    ],
)
def test_a_certificate_has_these_names(kind, flags, para, text):
    assert CertGetNameString(context(), kind, flags, para) == text


def test_the_friendly_name_comes_first_where_it_is_asked_for():
    certificate = context()
    CertSetCertificateContextProperty(certificate, CERT_FRIENDLY_NAME_PROP_ID, 0, "Bob at work")
    assert CertGetNameString(certificate, CERT_NAME_FRIENDLY_DISPLAY_TYPE) == "Bob at work"
    assert CertGetNameString(certificate, CERT_NAME_SIMPLE_DISPLAY_TYPE) == "bob.example.org"
    assert CertGetNameString(certificate, CERT_NAME_FRIENDLY_DISPLAY_TYPE, CERT_NAME_ISSUER_FLAG) == "The Authority"


@pytest.mark.parametrize(
    ("kind", "flags", "para"), [(0, 0, None), (9, 0, None), (4, 4, None), (3, 0, None), (2, 0, "x")]
)
def test_unknown_kinds_of_name_are_refused(kind, flags, para):
    with pytest.raises(WinError, match="E_INVALIDARG"):
        CertGetNameString(context(), kind, flags, para)


def test_a_released_context_has_no_name():
    certificate = context()
    CertFreeCertificateContext(certificate)
    with pytest.raises(WinError, match="ERROR_INVALID_PARAMETER"):
        CertGetNameString(certificate, 4)


def test_names_go_to_text_and_back():
    der = CertStrToName(1, "CN=Alice, O=Calais")
    assert CertNameToStr(1, der, 3) == "CN=Alice, O=Calais"
    assert CertStrToName(1, CertNameToStr(1, name_der("x"), 3))


def test_comparing():
    one, two = context().info, context(make("alice")).info
    assert CertCompareCertificate(1, one, CertInfo(serial=one.serial, issuer=one.issuer))
    assert not CertCompareCertificate(1, one, two)
    assert CertCompareCertificateName(1, one.subject, one.subject)
    assert not CertCompareCertificateName(1, one.subject, one.issuer)
    assert CertComparePublicKeyInfo(1, one.public_key, two.public_key)
    assert not CertComparePublicKeyInfo(1, one.public_key, CertPublicKeyInfo.from_der(spki(rsa_key())))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (b"\x01", b"\x01\x00\x00", True),
        (b"\xff", b"\xff\xff", True),
        (b"\x80", b"\x80\x00", False),
        (b"\x01", b"\x02", False),
        (b"", b"\x00", True),
    ],
    ids=str,
)
def test_integers_compare_without_repeated_sign_bytes(first, second, same):
    assert CertCompareIntegerBlob(first, second) is same


def test_attributes_in_a_name():
    subject = context().info.subject
    assert CertIsRDNAttrsInCertificateName(1, 0, subject, [CertRdnAttr("2.5.4.10", 0, "Calais")])
    assert not CertIsRDNAttrsInCertificateName(1, 0, subject, [CertRdnAttr("2.5.4.10", 0, "CALAIS")])
    assert CertIsRDNAttrsInCertificateName(1, 2, subject, [CertRdnAttr("2.5.4.10", 0, "CALAIS")])
    assert CertIsRDNAttrsInCertificateName(1, 0, subject, [])
    with pytest.raises(WinError, match="E_INVALIDARG"):
        CertIsRDNAttrsInCertificateName(1, 8, subject, [])


def test_usages_of_the_extension_are_narrowed_by_the_property():
    certificate = context()
    assert CertGetEnhancedKeyUsage(certificate) == [CLIENT, MAIL]
    CertAddEnhancedKeyUsageIdentifier(certificate, LOGON)
    CertAddEnhancedKeyUsageIdentifier(certificate, MAIL)
    CertAddEnhancedKeyUsageIdentifier(certificate, MAIL)
    assert CertGetEnhancedKeyUsage(certificate, 4) == [LOGON, MAIL]
    assert CertGetEnhancedKeyUsage(certificate) == [MAIL]
    CertRemoveEnhancedKeyUsageIdentifier(certificate, MAIL)
    assert CertGetEnhancedKeyUsage(certificate) == []
    CertRemoveEnhancedKeyUsageIdentifier(certificate, LOGON)
    assert CertGetEnhancedKeyUsage(certificate) == [CLIENT, MAIL]
    with pytest.raises(WinError, match="CRYPT_E_NOT_FOUND") as caught:
        CertGetEnhancedKeyUsage(certificate, 4)
    assert caught.value.code == CRYPT_E_NOT_FOUND


def test_the_usage_property_can_be_set_empty_and_deleted():
    certificate = context()
    CertSetEnhancedKeyUsage(certificate, [])
    assert CertGetEnhancedKeyUsage(certificate, 4) == []
    assert CertGetCertificateContextProperty(certificate, CERT_ENHKEY_USAGE_PROP_ID) == b"\x30\x00"
    CertSetEnhancedKeyUsage(certificate, None)
    assert CertGetEnhancedKeyUsage(context(make())) is None
    with pytest.raises(WinError, match="CRYPT_E_OID_FORMAT"):
        CertAddEnhancedKeyUsageIdentifier(certificate, "nonsense")


def test_what_several_certificates_are_good_for():
    assert CertGetValidUsages([]) is None
    assert CertGetValidUsages([context(make())]) is None
    assert CertGetValidUsages([context(make()), context()]) == [CLIENT, MAIL]


def test_intended_key_usage_is_filled_with_zeroes():
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    info = context(make(extensions=[usage])).info
    assert CertGetIntendedKeyUsage(1, info) == b"\x80\x00"
    assert CertGetIntendedKeyUsage(1, info, 4) == b"\x80\x00\x00\x00"
    assert CertGetIntendedKeyUsage(1, info, 0) is None
    assert CertGetIntendedKeyUsage(1, context().info) is None


def test_lengths_of_keys():
    assert CertGetPublicKeyLength(1, CertPublicKeyInfo.from_der(spki(rsa_key()))) == 2048
    assert CertGetPublicKeyLength(1, CertPublicKeyInfo.from_der(spki(ec_key()))) == 256
    assert CertGetPublicKeyLength(1, CertPublicKeyInfo("1.2.840.113549.1.3.1", b"", b"\x02\x02\x01\x00")) == 9
    for key, encoding, code in (
        (CertPublicKeyInfo("1.2.3", b"", b""), 1, "CRYPT_E_ASN1_EOD"),
        (CertPublicKeyInfo("1.2.3", b"", b"\xff\xff"), 1, "CRYPT_E_ASN1_BADTAG"),
        (CertPublicKeyInfo.from_der(spki(ec_key())), 0, "ERROR_FILE_NOT_FOUND"),
    ):
        with pytest.raises(WinError, match=code):
            CertGetPublicKeyLength(encoding, key)


def test_validity():
    begin, end = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2021, 1, 1, tzinfo=dt.UTC)
    info = CertInfo(not_before=begin, not_after=end)
    second = dt.timedelta(seconds=1)
    moments = (begin - second, begin, end, end + second)
    assert [CertVerifyTimeValidity(moment, info) for moment in moments] == [-1, 0, 0, 1]
    assert CertVerifyTimeValidity(None, info) == 1


def test_digests():
    data = b"\x30\x00"
    assert CryptHashCertificate(None, 0, 0, data) == hashlib.sha1(data).digest()
    assert CryptHashCertificate(None, 0x800C, 0, b"") == hashlib.sha256().digest()
    assert CryptHashCertificate2("SHA384", 0, None, data) == hashlib.sha384(data).digest()
    key = CertPublicKeyInfo.from_der(spki(ec_key()))
    assert CryptHashPublicKeyInfo(None, 0, 0, 1, key) == hashlib.md5(spki(ec_key())).digest()
    signed = x509.load_der_x509_certificate(FULL)
    assert CryptHashToBeSigned(None, 1, FULL) == hashlib.sha256(signed.tbs_certificate_bytes).digest()
    unknown = raw_certificate(raw_tbs())
    for call, code in (
        (lambda: CryptHashCertificate(None, 0x8009, 0, data), "NTE_BAD_ALGID"),
        (lambda: CryptHashCertificate2("sha9", 0, None, data), "STATUS_NOT_FOUND"),
        (lambda: CryptHashToBeSigned(None, 1, unknown), "NTE_BAD_ALGID"),
        (lambda: CryptHashToBeSigned(None, 0, FULL), "ERROR_FILE_NOT_FOUND"),
    ):
        with pytest.raises(WinError, match=code):
            call()


def test_the_plain_and_the_ex_functions_are_the_same():
    assert CryptEncodeObject(1, 25, b"x") == CryptEncodeObjectEx(1, 25, b"x") == b"\x04\x01x"
    assert CryptDecodeObject(1, 25, b"\x04\x01x") == CryptDecodeObjectEx(1, 25, b"\x04\x01x") == b"x"
    assert CryptDecodeObject(1, 2, make()).subject == name_der("Alice")


def test_text_forms():
    assert CryptBinaryToString(b"AB", 4) == "41 42\r\n"
    assert CryptStringToBinary("x\r\n" + CryptBinaryToString(b"AB", 0), 6) == (b"AB", 3, 0)
