"""What CryptQueryObject finds: every content in every format, out of bytes and files, and what it does not find."""

# The names of the headers are the point: they are all in the modules.
# ruff: noqa: F403, F405

import certs
import crls
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from calais.win.errors import WinError
from calais.winapi.crypt32 import *

X509, BOTH = X509_ASN_ENCODING, X509_ASN_ENCODING | PKCS_7_ASN_ENCODING
BLOB, FILE = CERT_QUERY_OBJECT_BLOB, CERT_QUERY_OBJECT_FILE
ONE, TWO = certs.make("One", serial=1), certs.make("Two", key=certs.ec_key(2), serial=2)
CRL = crls.make()


def code_of(call, *args, **more):
    with pytest.raises(WinError) as caught:
        call(*args, **more)
    return caught.value.code


def saved(how):
    with CertOpenStore(CERT_STORE_PROV_MEMORY, 0, None, 0, None) as store:
        for der in (ONE, TWO):
            CertAddEncodedCertificateToStore(store, X509, der, CERT_STORE_ADD_ALWAYS)
        CertAddEncodedCRLToStore(store, X509, CRL, CERT_STORE_ADD_ALWAYS)
        return CertSaveStore(store, BOTH, how, CERT_STORE_SAVE_TO_MEMORY, None)


def element():
    context = CertCreateCertificateContext(X509, ONE)
    CertSetCertificateContextProperty(context, CERT_FRIENDLY_NAME_PROP_ID, 0, "Uno")
    return CertSerializeCertificateStoreElement(context)


def request():
    builder = x509.CertificateSigningRequestBuilder().subject_name(certs.name("Request"))
    return builder.sign(certs.ec_key(), hashes.SHA256()).public_bytes(Encoding.DER)


CTL_ELEMENT = bytes.fromhex("22000000 01000000 03000000 300101")
MESSAGE = bytes.fromhex("300f06092a864886f70d010701a0020400")  # data, no octets
PFX = PFXExportCertStoreEx(CertOpenStore(CERT_STORE_PROV_MEMORY, 0, None, 0, None), None)
# content type, bytes, encoding, certificates and CRLs in the store (None = no store), whether there is a context
ROWS = {
    "certificate": (CERT_QUERY_CONTENT_CERT, ONE, X509, (1, 0), True),
    "bare certificate": (CERT_QUERY_CONTENT_CERT, certs.raw_tbs(), X509, (1, 0), True),
    "CRL": (CERT_QUERY_CONTENT_CRL, CRL, X509, (0, 1), True),
    "store": (CERT_QUERY_CONTENT_SERIALIZED_STORE, saved(CERT_STORE_SAVE_AS_STORE), X509, (2, 1), False),
    "empty store": (CERT_QUERY_CONTENT_SERIALIZED_STORE, bytes(4) + b"CERT" + bytes(12), X509, (0, 0), False),
    "element": (CERT_QUERY_CONTENT_SERIALIZED_CERT, element(), X509, (1, 0), True),
    "CRL element": (
        CERT_QUERY_CONTENT_SERIALIZED_CRL,
        CertSerializeCRLStoreElement(CertCreateCRLContext(X509, CRL)),
        X509,
        (0, 1),
        True,
    ),
    "PKCS7": (CERT_QUERY_CONTENT_PKCS7_SIGNED, saved(CERT_STORE_SAVE_AS_PKCS7), BOTH, (2, 1), False),
    "message": (CERT_QUERY_CONTENT_PKCS7_UNSIGNED, MESSAGE, BOTH, (0, 0), False),
    "request": (CERT_QUERY_CONTENT_PKCS10, request(), X509, None, False),
    "PFX": (CERT_QUERY_CONTENT_PFX, PFX, BOTH, None, False),
}
FORMS = {
    CERT_QUERY_FORMAT_BINARY: lambda data: data,
    CERT_QUERY_FORMAT_BASE64_ENCODED: lambda data: CryptBinaryToString(data, CRYPT_STRING_BASE64HEADER).encode(),
    CERT_QUERY_FORMAT_ASN_ASCII_HEX_ENCODED: lambda data: CryptBinaryToString(data, CRYPT_STRING_HEX).encode(),
}


@pytest.mark.parametrize("form", FORMS, ids=["binary", "base64", "hex"])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_every_content_is_found_in_every_format(row, form):
    content, data, encoding, counts, has_context = row
    found = CryptQueryObject(BLOB, FORMS[form](data))
    assert found[:3] == (encoding, content, form)
    assert (found.encoding_type, found.content_type, found.format_type, found.message) == (
        encoding,
        content,
        form,
        None,
    )
    assert (found.context is not None) == has_context
    if counts is None:
        assert found.store is None
    else:
        crl = CertEnumCRLsInStore(found.store)
        assert (len(list(found.store)), int(crl is not None)) == counts


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_is_not_expected_is_not_found(row):
    content, data, *_ = row
    others = CERT_QUERY_CONTENT_FLAG_ALL & ~(1 << content)
    assert code_of(CryptQueryObject, BLOB, data, others) == CRYPT_E_NO_MATCH
    for formats in (CERT_QUERY_FORMAT_FLAG_BASE64_ENCODED, CERT_QUERY_FORMAT_FLAG_ASN_ASCII_HEX_ENCODED):
        assert code_of(CryptQueryObject, BLOB, data, 1 << content, formats) == CRYPT_E_NO_MATCH
    assert CryptQueryObject(BLOB, data, 1 << content, CERT_QUERY_FORMAT_FLAG_BINARY).content_type == content


def test_the_context_is_that_of_the_store():
    found = CryptQueryObject(BLOB, element())
    assert found.context.store is found.store
    assert next(iter(found.store)) is found.context
    assert CertGetCertificateContextProperty(found.context, CERT_FRIENDLY_NAME_PROP_ID) == "Uno"
    assert CryptQueryObject(BLOB, CRL).context.encoded == CRL


@pytest.mark.parametrize("number", [CERT_QUERY_CONTENT_CTL, 6, CERT_QUERY_CONTENT_PKCS7_SIGNED_EMBED, 13])
def test_some_contents_are_never_found(number):
    for data in (ONE, CTL_ELEMENT, saved(CERT_STORE_SAVE_AS_PKCS7)):
        assert code_of(CryptQueryObject, BLOB, data, 1 << number) == CRYPT_E_NO_MATCH


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing of ours",
        ONE[:-1],
        CTL_ELEMENT,
        b"0",
        b"\x30\x80" * 500,
        saved(CERT_STORE_SAVE_AS_STORE)[:40],
        b"3082",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "\N{SNOWMAN}".encode("utf-16"),
    ],
    ids=["empty", "text", "cut", "CTL", "one byte", "nested", "cut store", "hex", "PEM of nothing", "snowman"],
)
def test_what_is_nothing(data):
    assert code_of(CryptQueryObject, BLOB, data) == CRYPT_E_NO_MATCH


@pytest.mark.parametrize("text", ["utf-8", "utf-8-sig", "utf-16"])
def test_several_blocks_of_text_are_one_store(text):
    pem = "".join(CryptBinaryToString(der, CRYPT_STRING_BASE64HEADER) for der in (ONE, TWO, ONE))
    found = CryptQueryObject(BLOB, ("words before\r\n" + pem).encode(text))
    assert found.context.encoded == ONE
    assert {each.encoded for each in found.store} == {ONE, TWO}


def test_bare_base64_is_base64_and_plain_digits_are_hex():
    assert CryptQueryObject(BLOB, CryptBinaryToString(ONE, CRYPT_STRING_BASE64).encode()).format_type == 2
    assert CryptQueryObject(BLOB, ONE.hex().encode()).format_type == 3


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_files_are_read_by_their_path(tmp_path, kind):
    path = tmp_path / "one.cer"
    path.write_bytes(ONE)
    assert CryptQueryObject(FILE, kind(path)).context.encoded == ONE
    assert code_of(CryptQueryObject, FILE, kind(tmp_path / "missing")) == ERROR_FILE_NOT_FOUND
    assert code_of(CryptQueryObject, FILE, kind(tmp_path)) == E_ACCESSDENIED


@pytest.mark.parametrize(
    ("kind", "given", "contents", "formats"),
    [
        (BLOB, None, 0x3FFE, 0xE),
        (FILE, None, 0x3FFE, 0xE),
        (FILE, "", 0x3FFE, 0xE),
        (FILE, b"path", 0x3FFE, 0xE),
        (BLOB, "text", 0x3FFE, 0xE),
        (0, ONE, 0x3FFE, 0xE),
        (3, ONE, 0x3FFE, 0xE),
        (BLOB, ONE, 0, 0xE),
        (BLOB, ONE, 0x3FFE, 0),
        (BLOB, ONE, 1, 0xE),
        (BLOB, ONE, 0x3FFE, 1),
    ],
    ids=[f"case {number}" for number in range(11)],
)
def test_nothing_given_or_expected(kind, given, contents, formats):
    assert code_of(CryptQueryObject, kind, given, contents, formats) == E_INVALIDARG
