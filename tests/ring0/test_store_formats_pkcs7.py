"""PKCS #7 as a bag of certificates: DER and BER, ContentInfo and bare SignedData, and what hostile input gets."""

import time

import certs
import crls
import pytest
from certs import tlv
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization import pkcs7 as foreign
from hypothesis import given
from hypothesis import strategies as st

from calais.store.formats import pkcs7
from calais.store.formats.items import Item
from calais.win.codes import Code
from calais.win.der import encode_oid
from calais.win.errors import BadData

A, B = sorted(certs.make(each) for each in ("Alice", "Bob"))
CRL = crls.make()
BOTH = [Item(32, A, {}), Item(32, B, {}), Item(33, CRL, {})]
OPEN = b"\x80"
END = b"\0\0"


def oid(text):
    return tlv(6, encode_oid(text))


def signed_data(*optional):
    return tlv(0x30, b"\x02\x01\x01", tlv(0x31), tlv(0x30, oid("1.2.840.113549.1.7.1")), *optional, tlv(0x31))


def content_info(inner, kind="1.2.840.113549.1.7.2"):
    return tlv(0x30, oid(kind), tlv(0xA0, inner))


def code_of(data):
    with pytest.raises(BadData) as caught:
        pkcs7.parse_certificates(data)
    return caught.value.code


# --- vectors ----------------------------------------------------------------------------------------------------------


def test_what_is_written_is_signed_data_of_version_1_without_content_and_signers():
    expected = content_info(signed_data(tlv(0xA0, A, B), tlv(0xA1, CRL)))
    assert pkcs7.build_certificates(BOTH) == pkcs7.build_certificates(BOTH[::-1]) == expected


def test_an_empty_store_is_a_message_too():
    assert pkcs7.build_certificates([]) == content_info(signed_data())
    assert pkcs7.parse_certificates(pkcs7.build_certificates([])) == []


@pytest.mark.parametrize("wrap", [content_info, bytes], ids=["content-info", "signed-data"])
def test_both_forms_are_read(wrap):
    assert pkcs7.parse_certificates(wrap(signed_data(tlv(0xA0, A, B), tlv(0xA1, CRL)))) == BOTH


def test_another_library_reads_ours_and_we_read_its():
    ours = pkcs7.build_certificates(BOTH[:2])
    assert [each.public_bytes(Encoding.DER) for each in foreign.load_der_pkcs7_certificates(ours)] == [A, B]
    theirs = foreign.serialize_certificates([x509.load_der_x509_certificate(A)], Encoding.DER)
    assert pkcs7.parse_certificates(theirs) == BOTH[:1]


def test_a_signed_message_gives_its_certificates():
    certificate, key = x509.load_der_x509_certificate(A), certs.ec_key()
    builder = foreign.PKCS7SignatureBuilder().set_data(b"text" * 5000)
    message = builder.add_signer(certificate, key, hashes.SHA256()).sign(Encoding.DER, [])
    assert pkcs7.parse_certificates(message) == BOTH[:1]


def test_lengths_may_be_left_open_at_every_level_around_the_certificates():
    certificates = b"\xa0" + OPEN + A + B + END
    content = b"\x30" + OPEN + oid("1.2.840.113549.1.7.1") + b"\xa0" + OPEN + b"\x24" + OPEN + tlv(4, b"ab") + END * 3
    inner = b"\x30" + OPEN + b"\x02\x01\x01" + tlv(0x31) + content + certificates + tlv(0x31) + END
    message = b"\x30" + OPEN + oid("1.2.840.113549.1.7.2") + b"\xa0" + OPEN + inner + END + END
    assert pkcs7.parse_certificates(message) == BOTH[:2]
    assert pkcs7.parse_certificates(inner) == BOTH[:2]


def test_attribute_certificates_and_other_revocation_information_are_passed_over():
    data = signed_data(tlv(0xA0, tlv(0xA1, b"\x02\x01\x01"), A), tlv(0xA1, tlv(0xA1, b"\x02\x01\x01"), CRL))
    assert pkcs7.parse_certificates(data) == [BOTH[0], BOTH[2]]


def test_what_follows_the_message_is_dropped():
    assert pkcs7.parse_certificates(pkcs7.build_certificates(BOTH) + b"more") == BOTH


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 3, 5, 6])
def test_another_content_type_is_another_message(number):
    assert code_of(content_info(tlv(4, b"x"), f"1.2.840.113549.1.7.{number}")) == Code.CRYPT_E_INVALID_MSG_TYPE


@pytest.mark.parametrize(
    "data",
    [A, CRL, b"garbage", b"\x04\x01x", tlv(0x30), tlv(0x30, b"\x02\x01\x01"), b"\0\0\0\0CERT"],
    ids=["certificate", "crl", "text", "octets", "empty", "a-number", "store"],
)
def test_what_is_no_message_has_the_wrong_tag(data):
    assert code_of(data) == Code.CRYPT_E_ASN1_BADTAG


def test_nothing_is_the_end_of_data():
    assert code_of(b"") == Code.CRYPT_E_ASN1_EOD


def test_a_certificate_inside_that_is_none_is_refused():
    assert code_of(signed_data(tlv(0xA0, tlv(0x30, b"\x05\0")))) == Code.CRYPT_E_ASN1_CORRUPT


@given(st.integers(0, 2000))
def test_a_cut_message_is_refused(length):
    whole = pkcs7.build_certificates(BOTH)
    assert code_of(whole[: length % len(whole)]) in range(0x80093100, 0x80093110)


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80" * 1_000_000,
        b"\x30\x80" * 1_000_000 + END * 1_000_000,
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x80\x02\x01\x01" + b"\x24\x80" * 500_000,
        b"\x30\x80" + b"\x02\x01\x01" * 1_000_000 + END,
        signed_data(tlv(0xA0, b"\xa1\0" * 200_000)),
    ],
    ids=["open", "nested", "length", "strings", "numbers", "members"],
)
def test_a_bomb_is_refused_at_once(data):
    began = time.monotonic()
    assert code_of(data) in (Code.CRYPT_E_ASN1_CORRUPT, Code.CRYPT_E_ASN1_EOD, Code.CRYPT_E_ASN1_LARGE)
    assert time.monotonic() - began < 2
