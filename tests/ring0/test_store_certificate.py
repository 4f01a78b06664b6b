"""What counts as a certificate, and what is computed from it."""

import hashlib
from datetime import UTC, datetime

import certs
import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from calais.store import certificate, der
from calais.win.codes import Code
from calais.win.errors import BadData

EXTENSION = certs.tlv(0x30, certs.tlv(6, b"\x55\x1d\x13"), certs.tlv(4, b"\x30\x00"))
CRITICAL = certs.tlv(0x30, certs.tlv(6, b"\x55\x1d\x0f"), b"\x01\x01\xff", certs.tlv(4, b"\x03\x01\x00"))


def test_a_real_certificate_says_what_cryptography_reads():
    key = certs.rsa_key()
    usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SMARTCARD_LOGON])
    data = certs.make("Alice", issuer="CA", key=key, signer=certs.ec_key(), extensions=[usage])
    theirs, ours = x509.load_der_x509_certificate(data), certificate.parse(data).info
    assert ours.serial == theirs.serial_number
    assert ours.version == 2
    assert ours.subject == theirs.subject.public_bytes()
    assert ours.issuer == theirs.issuer.public_bytes()
    assert (ours.not_before, ours.not_after) == (theirs.not_valid_before_utc, theirs.not_valid_after_utc)
    assert ours.public_key.to_der() == certs.spki(key)
    assert ours.signature_algorithm.oid == theirs.signature_algorithm_oid.dotted_string
    assert [(each.oid, each.critical) for each in ours.extensions] == [("2.5.29.37", False)]


def test_a_bare_tbs_with_nothing_in_it_is_one():
    data = certs.raw_tbs()
    outline = certificate.parse(data)
    assert outline.encoded == data
    assert outline.signature is None
    assert outline.info.public_key.public_key == b""
    assert outline.info.not_before == datetime(1601, 1, 1, tzinfo=UTC)
    assert outline.info.version == 0


@pytest.mark.parametrize(("serial", "value"), [(b"\xff", -1), (b"\x80" + bytes(40), -(1 << 327)), (b"", 0)])
def test_odd_serial_numbers_are_legal(serial, value):
    assert certificate.parse(certs.raw_tbs(serial=serial)).serial == value


def test_extensions_keep_their_order_and_whether_they_are_critical():
    tbs = certs.raw_tbs(extensions=certs.tlv(0xA3, certs.tlv(0x30, EXTENSION, CRITICAL)))
    found = certificate.parse(certs.raw_certificate(tbs)).info.extensions
    assert [(each.oid, each.critical, each.value) for each in found] == [
        ("2.5.29.19", False, b"\x30\x00"),
        ("2.5.29.15", True, b"\x03\x01\x00"),
    ]


def test_what_follows_the_certificate_is_dropped():
    data = certs.make()
    assert certificate.parse(data + b"and more").encoded == data


@pytest.mark.parametrize(
    ("node", "moment"),
    [
        (b"\x17\x0d490102030405Z", datetime(2049, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (b"\x17\x0d500102030405Z", datetime(1950, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (b"\x17\x0b2001020304Z", datetime(2020, 1, 2, 3, 4, tzinfo=UTC)),
        (b"\x18\x0f00010101000000Z", datetime(1, 1, 1, tzinfo=UTC)),
        (b"\x18\x1320200102030405+0100", datetime(2020, 1, 2, 2, 4, 5, tzinfo=UTC)),
        (b"\x18\x1220200102030405.25Z", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (b"\x17\x0d991332030405Z", None),
        (b"\x18\x0f00000101000000Z", None),
        (b"\x18\x0f99991231235959Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"\x17\x05hello", None),
        (b"\x18\x00", None),
    ],
)
def test_times_are_read_as_the_calendar_knows_them(node, moment):
    assert der.time_value(der.read(node)) == moment


def test_a_time_that_nobody_can_read_does_not_refuse_the_certificate():
    outline = certificate.parse(certs.raw_tbs(times=(b"\x17\x01?", b"\x18\x01?")))
    assert outline.info.not_before is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.CRYPT_E_ASN1_EOD),
        (b"\x30", Code.CRYPT_E_ASN1_EOD),
        (b"\x30\x82\x10", Code.CRYPT_E_ASN1_EOD),
        (certs.make()[:-1], Code.CRYPT_E_ASN1_EOD),
        (b"\x31\x00", Code.CRYPT_E_ASN1_BADTAG),
        (b"\x02\x01\x00", Code.CRYPT_E_ASN1_BADTAG),
        (b"\x30\x80\x00\x00", Code.CRYPT_E_ASN1_CORRUPT),
        (b"\x30\x85\x00\x00\x00\x00\x00", Code.CRYPT_E_ASN1_CORRUPT),
        (b"\x30\x00", Code.CRYPT_E_ASN1_CORRUPT),
        (b"\x30\x03\x02\x01\x00", Code.CRYPT_E_ASN1_CORRUPT),
        (certs.tlv(0x30, certs.raw_tbs()), Code.CRYPT_E_ASN1_CORRUPT),
        (certs.tlv(0x30, certs.raw_tbs(), b"\x30\x00", b"\x04\x00"), Code.CRYPT_E_ASN1_CORRUPT),
        (certs.raw_tbs(times=(b"\x18\x00",)), Code.CRYPT_E_ASN1_CORRUPT),
        (certs.raw_tbs(times=(b"\x04\x00", b"\x04\x00")), Code.CRYPT_E_ASN1_CORRUPT),
        (certs.raw_tbs(key=b""), Code.CRYPT_E_ASN1_CORRUPT),
        (certs.raw_tbs(key=b"\x30\x00\x04\x00"), Code.CRYPT_E_ASN1_CORRUPT),
        (certs.raw_tbs(algorithm=b"\x02\x00"), Code.CRYPT_E_ASN1_CORRUPT),
        (certs.raw_tbs(extensions=b"\xa3\x02\x02\x00"), Code.CRYPT_E_ASN1_CORRUPT),
        (certs.raw_tbs(extensions=certs.tlv(0xA3, certs.tlv(0x30, b"\x30\x00"))), Code.CRYPT_E_ASN1_CORRUPT),
    ],
)
def test_what_is_no_certificate_is_named(data, code):
    with pytest.raises(BadData) as caught:
        certificate.parse(data)
    assert caught.value.code == code
    assert caught.value.index is not None


@given(st.binary(max_size=300))
def test_random_bytes_raise_only_bad_data(data):
    codes = (None, Code.CRYPT_E_ASN1_EOD, Code.CRYPT_E_ASN1_BADTAG, Code.CRYPT_E_ASN1_CORRUPT)
    assert certs.fault(certificate.parse, data) in codes


COMPUTE = (
    certificate.signature_hash,
    certificate.key_identifier,
    certificate.authority_key_identifier,
    lambda outline: certificate.key_bits(outline.public_key),
    lambda outline: outline.info,
)
GENUINE = certs.make(
    extensions=[
        x509.SubjectKeyIdentifier(bytes(20)),
        x509.AuthorityKeyIdentifier(bytes(20), None, None),
        x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]),
    ]
)


@given(st.integers(0, len(GENUINE) - 1), st.integers(0, 255), st.integers(0, 3))
def test_a_damaged_certificate_raises_only_bad_data(at, byte, cut):
    data = GENUINE[:at] + bytes((byte,)) + GENUINE[at + 1 + cut :]
    try:
        outline = certificate.parse(data)
    except BadData:
        return
    assert data.startswith(outline.encoded)
    for compute in COMPUTE:
        try:
            compute(outline)
        except BadData:
            continue


def test_the_deepest_nesting_costs_nothing():
    nested = b"\x30\x00"
    for _ in range(3000):
        nested = certs.tlv(0x30, nested)
    with pytest.raises(BadData):
        certificate.parse(nested)


# --- computed values --------------------------------------------------------------------------------------------------


def test_the_key_identifier_is_the_extension_else_a_hash_of_the_key():
    named = certificate.parse(certs.make(extensions=[x509.SubjectKeyIdentifier(b"the key")]))
    unnamed = certificate.parse(certs.make())
    assert certificate.key_identifier(named) == b"the key"
    assert certificate.key_identifier(unnamed) == hashlib.sha1(certs.spki(certs.ec_key())).digest()


RSA_OID = bytes.fromhex("06092a864886f70d010101")
EC_OID = bytes.fromhex("06072a8648ce3d0201")


@pytest.mark.parametrize(
    ("algorithm", "bits"),
    [
        (b"\x06\x00", b""),
        (b"", b"\xff"),
        (RSA_OID, b""),
        (RSA_OID, b"\x30\x00"),
        (RSA_OID, b"\x30\x03\x04\x01\x01"),
        (EC_OID, b""),
        (EC_OID + b"\x06\x7f", b"\x04"),
    ],
)
def test_a_key_that_cannot_be_decoded_has_no_identifier(algorithm, bits):
    outline = certificate.parse(certs.raw_tbs(key=certs.tlv(0x30, algorithm) + certs.tlv(3, b"\x00", bits)))
    with pytest.raises(BadData) as caught:
        certificate.key_identifier(outline)
    assert caught.value.code == Code.ERROR_INVALID_DATA


def test_lengths_and_families_of_keys():
    for key, family, bits in ((certs.rsa_key(), "RSA", 2048), (certs.ec_key(), "ECDSA", 256)):
        public = certificate.parse(certs.make(key=key)).public_key
        assert (certificate.key_family(public), certificate.key_bits(public)) == (family, bits)


def test_the_signature_hash_is_under_the_digest_of_the_signature():
    data = certs.make()
    theirs = x509.load_der_x509_certificate(data)
    assert certificate.signature_hash(certificate.parse(data)) == hashlib.sha256(theirs.tbs_certificate_bytes).digest()


def test_pss_names_its_digest_in_its_parameters():
    sha384 = bytes.fromhex("0609608648016503040202")
    pss = bytes.fromhex("06092a864886f70d01010a")
    tbs = certs.raw_tbs()
    named = certs.raw_certificate(tbs, pss + certs.tlv(0x30, certs.tlv(0xA0, certs.tlv(0x30, sha384))))
    assert certificate.signature_hash(certificate.parse(named)) == hashlib.sha384(tbs).digest()
    default = certs.raw_certificate(tbs, pss + b"\x30\x00")
    assert certificate.signature_digest(certificate.parse(default)) == ("RSA", "SHA1")


def test_a_bare_tbs_has_no_signature_hash():
    with pytest.raises(BadData) as caught:
        certificate.signature_hash(certificate.parse(certs.raw_tbs()))
    assert caught.value.code == Code.CRYPT_E_ASN1_BADTAG


def test_an_unknown_signature_algorithm_has_no_digest():
    with pytest.raises(BadData) as caught:
        certificate.signature_hash(certificate.parse(certs.raw_certificate(certs.raw_tbs())))
    assert caught.value.code == Code.CRYPT_E_UNKNOWN_ALGO


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ""),
        (b"\x55\x04\x03", "2.5.4.3"),
        (b"\x2a\x86\x48", "1.2.840"),
        (b"\x88\x37", "2.999"),
        (b"\x55\x84", "2.5"),
        (b"\x80" * 100 + b"\x01", "0.1"),
        (b"\xff" * 4000, ""),
    ],
)
def test_object_identifiers_are_read_as_far_as_they_go(content, text):
    assert der.oid_text(content) == text
