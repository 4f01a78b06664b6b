"""What a file of certificates is, PFX files, and CRLs."""

import base64
import time
from datetime import UTC, datetime

import certs
import crls
import pytest
from certs import tlv
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption
from cryptography.hazmat.primitives.serialization import pkcs12 as foreign

from calais.store import crl
from calais.store.formats import pkcs7, pkcs12, serialized, sniffing
from calais.store.formats.items import Item
from calais.store.formats.sniffing import Format
from calais.win.codes import Code
from calais.win.errors import WinError

A, B = sorted(certs.make(each) for each in ("Alice", "Bob"))
CRL = crls.make(begin=datetime(2024, 5, 6, tzinfo=UTC))
ITEMS = [Item(32, A, {}), Item(32, B, {})]
BINARY = {
    Format.STORE: (serialized.pack_store(ITEMS), ITEMS),
    Format.PKCS7: (pkcs7.build_certificates(ITEMS), ITEMS),
    Format.CERTIFICATE: (A, ITEMS[:1]),
    Format.CRL: (CRL, [Item(33, CRL, {})]),
}
WRAPS = {
    "binary": lambda data: data,
    "base64": base64.b64encode,
    "base64-lines": base64.encodebytes,
    "base64-crlf": lambda data: base64.encodebytes(data).replace(b"\n", b"\r\n"),
    "pem": lambda data: b"-----BEGIN X-----\n" + base64.encodebytes(data) + b"-----END X-----\n",
    "pem-after-text": lambda data: b"# note\n-----BEGIN X-----\n" + base64.encodebytes(data) + b"-----END X-----",
    "utf-16": lambda data: base64.encodebytes(data).decode().encode("utf-16-le"),
    "utf-16-mark": lambda data: b"\xff\xfe" + base64.encodebytes(data).decode().encode("utf-16-le"),
}


def code_of(call, *args):
    with pytest.raises(WinError) as caught:
        call(*args)
    return caught.value.code


@pytest.mark.parametrize("form", BINARY, ids=lambda each: each.name.lower())
@pytest.mark.parametrize("wrap", WRAPS)
def test_a_file_is_read_as_what_it_is(form, wrap):
    data, items = BINARY[form]
    assert sniffing.sniff(WRAPS[wrap](data)) == (form, items)


@pytest.mark.parametrize("version", [b"", certs.tlv(0xA0, b"\x02\x01\x02")], ids=["v1", "v3"])
def test_a_bare_tbs_is_a_certificate_too_and_no_message(version):
    bare = certs.raw_tbs(version=version)
    assert sniffing.sniff(bare) == (Format.CERTIFICATE, [Item(32, bare, {})])


def test_nothing_is_an_empty_file():
    assert sniffing.sniff(b"") == (Format.EMPTY, [])


def test_every_block_of_a_bundle_is_read():
    assert sniffing.sniff(WRAPS["pem"](A) + WRAPS["pem"](B) + WRAPS["pem"](CRL)).items == [*ITEMS, Item(33, CRL, {})]


@pytest.mark.parametrize(
    "data",
    [
        b"text",
        b"\xff" * 50,
        b"\0" * 50,
        b"-----BEGIN X-----\nAAAA",
        b"\x30\x03\x02\x01\x01",
    ],
    ids=["text", "ones", "zeros", "no-end", "a-number"],
)
def test_what_nobody_knows_has_no_match(data):
    assert code_of(sniffing.sniff, data) == Code.CRYPT_E_NO_MATCH


def test_what_begins_as_something_known_and_is_damaged_says_so():
    assert code_of(sniffing.sniff, A[:-1]) == code_of(sniffing.sniff, base64.b64encode(A[:-1])) == Code.CRYPT_E_ASN1_EOD
    assert code_of(sniffing.sniff, BINARY[Format.STORE][0][:30]) == Code.ERROR_INVALID_DATA
    assert code_of(sniffing.sniff, BINARY[Format.PKCS7][0][:-30]) == Code.CRYPT_E_ASN1_EOD


def test_text_without_end_costs_little():
    began = time.monotonic()
    for data in (b"-----BEGIN X" * 300_000, b"-----BEGIN X-----" * 200_000, b"A" * 4_000_001, b" \n" * 2_000_000):
        assert code_of(sniffing.sniff, data) == Code.CRYPT_E_NO_MATCH
    assert time.monotonic() - began < 5


# --- PFX --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [None, "", "geheim ü"])
def test_the_certificates_of_a_pfx_come_back(password):
    made = pkcs12.build_certificates([*ITEMS, Item(33, CRL, {})], password)
    assert pkcs12.parse_certificates(made, password) == ITEMS


def test_a_pfx_of_nothing_is_legal():
    made = pkcs12.build_certificates([], None)
    assert pkcs12.parse_certificates(made) == []
    assert foreign.load_pkcs12(made, None).additional_certs == []


@pytest.mark.parametrize("password", [b"", None, b"secret"], ids=["empty", "none", "secret"])
def test_a_pfx_with_a_key_gives_its_certificates(password):
    way = NoEncryption() if password is None else BestAvailableEncryption(password or b"x")
    chain = [x509.load_der_x509_certificate(B)]
    made = foreign.serialize_key_and_certificates(b"n", certs.ec_key(), x509.load_der_x509_certificate(A), chain, way)
    if password is None:
        assert pkcs12.parse_certificates(made) == ITEMS
    else:
        assert pkcs12.parse_certificates(made, (password or b"x").decode()) == ITEMS
        assert code_of(pkcs12.parse_certificates, made) == Code.ERROR_INVALID_PASSWORD
        assert code_of(pkcs12.parse_certificates, made, "wrong") == Code.ERROR_INVALID_PASSWORD


@pytest.mark.parametrize(
    "data", [b"text", A, tlv(0x30, b"\x02\x01\x02"), tlv(0x30)], ids=["text", "certificate", "v2", "empty"]
)
def test_what_is_no_pfx_has_the_wrong_tag(data):
    assert code_of(pkcs12.parse_certificates, data) == Code.CRYPT_E_ASN1_BADTAG


def test_a_pfx_cannot_choose_to_take_forever():
    mac = tlv(
        0x30, tlv(0x30, tlv(0x30, tlv(6, b"\x2b")), tlv(4, b"d" * 20)), tlv(4, b"salt"), b"\x02\x04\x7f\xff\xff\xff"
    )
    safe = tlv(0x30, tlv(6, bytes.fromhex("2a864886f70d010701")), tlv(0xA0, tlv(4, tlv(0x30))))
    began = time.monotonic()
    for hostile in (tlv(0x30, b"\x02\x01\x03", safe, mac), b"\x30\x80\x02\x01\x03" + b"\x30\x80" * 100_000):
        assert code_of(pkcs12.parse_certificates, hostile) in (Code.CRYPT_E_ASN1_LARGE, Code.CRYPT_E_ASN1_CORRUPT)
    assert time.monotonic() - began < 2


def test_a_certificate_that_is_too_odd_for_a_pfx_is_refused():
    odd = A[:-2] + b"\xff\xff\xff"
    assert code_of(pkcs12.build_certificates, [Item(32, odd, {})], None) == Code.CRYPT_E_ASN1_BADTAG


# --- CRLs -------------------------------------------------------------------------------------------------------------


def test_a_crl_says_whose_it_is_and_from_when():
    outline = crl.parse(CRL + b"more")
    assert outline.encoded == CRL
    assert outline.info.issuer == certs.name_der("Issuer")
    assert outline.info.this_update == datetime(2024, 5, 6, tzinfo=UTC)
    assert outline.info.next_update == datetime(2024, 6, 5, tzinfo=UTC)


def test_a_bare_list_and_one_without_version_or_next_update_are_lists():
    time_of = tlv(0x17, b"240506000000Z")
    bare = tlv(0x30, tlv(0x30, tlv(6, b"\x2b")), certs.name_der("Issuer"), time_of)
    for data in (bare, tlv(0x30, bare, tlv(0x30), tlv(3, b"\0"))):
        assert crl.parse(data).info == (crl.CrlInfo(certs.name_der("Issuer"), datetime(2024, 5, 6, tzinfo=UTC), None))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.CRYPT_E_ASN1_EOD),
        (CRL[:-1], Code.CRYPT_E_ASN1_EOD),
        (b"\x04\x01x", Code.CRYPT_E_ASN1_BADTAG),
        (A, Code.CRYPT_E_ASN1_CORRUPT),
        (tlv(0x30), Code.CRYPT_E_ASN1_CORRUPT),
        (tlv(0x30, tlv(0x30), tlv(0x30), tlv(4, b"x")), Code.CRYPT_E_ASN1_CORRUPT),
    ],
    ids=["none", "cut", "octets", "certificate", "empty", "no-date"],
)
def test_what_is_no_crl_has_a_code(data, code):
    assert code_of(crl.parse, data) == code


@pytest.mark.parametrize("at", range(0, len(CRL), 7))
def test_a_cut_crl_is_refused(at):
    assert code_of(crl.parse, CRL[:at]) in range(0x80093100, 0x80093110)
