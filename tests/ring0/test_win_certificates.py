"""Records of wincrypt.h: key links, enrolment marks, roots of cards, public keys."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter
from calais.win.structs import (
    CertInfo,
    CertPublicKeyInfo,
    CryptKeyProvInfo,
    CryptKeyProvParam,
    EnrollmentInfo,
    ProvEnumAlgs,
    ProvEnumAlgsEx,
    SmartCardRootInfo,
)

U32 = st.integers(0, 0xFFFFFFFF)
TEXT = st.text(st.characters(codec="utf-16-le", exclude_characters="\0"))
ASCII = st.text(st.characters(max_codepoint=0x7F, exclude_characters="\0"), max_size=19)
PARAMS = st.lists(st.builds(CryptKeyProvParam, U32, st.binary(max_size=8), U32), max_size=3).map(tuple)
RECORDS = st.one_of(
    st.builds(CryptKeyProvInfo, TEXT, TEXT, U32, U32, PARAMS, U32),
    st.builds(EnrollmentInfo, U32, TEXT, TEXT, TEXT),
    st.builds(ProvEnumAlgs, U32, U32, ASCII),
    st.builds(ProvEnumAlgsEx, U32, U32, U32, U32, U32, ASCII, ASCII),
    st.builds(CertPublicKeyInfo, st.just("1.2.840.10045.2.1"), st.binary(), st.binary()),
)
KNOWN = {
    CryptKeyProvInfo("c", "p", 1, 1, (), 2): (
        "1c000000 20000000 01000000 01000000 00000000 00000000 02000000"  # offsets and numbers
        "6300 0000 7000 0000"  # names
    ),
    CryptKeyProvInfo("", "p", 0, 0, (CryptKeyProvParam(0x20, b"\xaa\xbb", 4),)): (
        "2e000000 30000000 00000000 00000000 01000000 1c000000 00000000"
        "20000000 2c000000 02000000 04000000"  # the param
        "aabb 0000 7000 0000"
    ),
    EnrollmentInfo(7, "", "CA", ""): "07000000 01000000 0000 03000000 4300 4100 0000 01000000 0000",
    ProvEnumAlgs(0x8004, 160, "SHA-1"): "04800000 a0000000 06000000 5348412d31" + "00" * 15,
    ProvEnumAlgsEx(0x8004, 160, 40, 128, 1, "SHA-1", "Hash"): (
        "04800000 a0000000 28000000 80000000 0100000006000000 5348412d31" + "00" * 15 + "05000000 48617368" + "00" * 36
    ),
}


def unpack(kind, data):
    return kind.from_der(data) if kind is CertPublicKeyInfo else kind.from_bytes(data)


def packed(record):
    return record.to_der() if isinstance(record, CertPublicKeyInfo) else record.to_bytes()


@pytest.mark.parametrize(("record", "data"), KNOWN.items(), ids=lambda value: type(value).__name__)
def test_a_record_has_the_bytes_of_windows(record, data):
    assert record.to_bytes() == bytes.fromhex(data)
    assert type(record).from_bytes(bytes.fromhex(data)) == record


@given(RECORDS)
def test_records_come_back(record):
    assert unpack(type(record), packed(record)) == record


@pytest.mark.parametrize("kind", [CryptKeyProvInfo, EnrollmentInfo, ProvEnumAlgs, ProvEnumAlgsEx, CertPublicKeyInfo])
@given(data=st.data())
def test_noise_is_a_record_or_bad_data(kind, data):
    seed = data.draw(st.sampled_from([packed(record) for record in KNOWN if isinstance(record, kind)] or [b"0\x30"]))
    cut, noise = data.draw(st.integers(0, len(seed))), data.draw(st.binary(max_size=100))
    try:
        unpack(kind, seed[:cut] + noise)
    except BadData as error:
        assert error.index is not None  # noqa: PT017 - it need not be raised


def test_a_key_link_does_not_show_the_data_of_its_params():
    assert "123456" not in repr(CryptKeyProvInfo("c", "p", 1, params=(CryptKeyProvParam(32, b"123456\0"),)))


@pytest.mark.parametrize(
    ("offset", "word", "why"),
    [
        (0, "ff000000", "no terminator"),
        (4, "ffffff7f", "no terminator"),
        (16, "ffffffff", "past the end"),
        (20, "00000040", "past the end"),
        (28 + 8, "ff000000", "past the end"),
    ],
)
def test_a_key_link_that_points_outside_is_bad_data(offset, word, why):
    data = bytearray(CryptKeyProvInfo("c", "p", 1, 1, (CryptKeyProvParam(32, b"12"),)).to_bytes())
    data[offset : offset + 4] = bytes.fromhex(word)
    with pytest.raises(BadData, match=why):
        CryptKeyProvInfo.from_bytes(bytes(data))


def test_offset_zero_is_no_name():
    assert CryptKeyProvInfo.from_bytes(bytes(28)) == CryptKeyProvInfo("", "", 0)


@pytest.mark.parametrize(
    "record",
    [
        CryptKeyProvInfo("a\0b", "p", 1),
        CryptKeyProvInfo("a", "p", -1),
        CryptKeyProvInfo("a", "p", 1, params=(CryptKeyProvParam(1 << 32, b""),)),
        EnrollmentInfo(-1),
        EnrollmentInfo(0, "\ud800"),
        ProvEnumAlgs(1, 1, "x" * 20),
        ProvEnumAlgs(1, 1, "ä"),
        ProvEnumAlgs(1, 1, "a\0"),
        SmartCardRootInfo(b"short", 1),
        SmartCardRootInfo(bytes(16), 1 << 64),
        CertPublicKeyInfo("RSA", b"", b""),
    ],
    ids=repr,
)
def test_what_does_not_fit_a_record_is_the_callers_fault(record):
    with pytest.raises(BadParameter):
        packed(record)


def test_bytes_after_an_enrolment_mark_are_bad_data():
    with pytest.raises(BadData, match="follow"):
        EnrollmentInfo.from_bytes(EnrollmentInfo().to_bytes() + b"\0")


@pytest.mark.parametrize("length", ["00000000", "15000000"])
def test_an_algorithm_name_of_impossible_length_is_bad_data(length):
    with pytest.raises(BadData, match="name"):
        ProvEnumAlgs.from_bytes(bytes(8) + bytes.fromhex(length) + bytes(20))


def test_roots_of_cards_have_the_bytes_of_windows():
    roots = [SmartCardRootInfo(bytes(range(16)), 0x3E7), SmartCardRootInfo(bytes(16), -(1 << 32))]
    data = bytes(range(16)).hex() + "e703000000000000" + "00" * 20 + "ffffffff"
    assert SmartCardRootInfo.list_to_bytes(roots).hex() == data
    assert SmartCardRootInfo.list_from_bytes(bytes.fromhex(data)) == roots


def test_a_broken_list_of_roots_is_bad_data():
    with pytest.raises(BadData, match="25 bytes"):
        SmartCardRootInfo.list_from_bytes(bytes(25))


def test_a_public_key_is_read_and_written_as_cryptography_does():
    der = (
        ec.derive_private_key(5, ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    info = CertPublicKeyInfo.from_der(der)
    assert (info.algorithm, info.parameters.hex()) == ("1.2.840.10045.2.1", "06082a8648ce3d030107")
    assert info.public_key == der[-65:]
    assert info.to_der() == der


def test_an_empty_public_key_is_legal():
    info = CertPublicKeyInfo("", b"", b"")
    assert info.to_der().hex() == "30073002060003" + "0100"
    assert CertPublicKeyInfo.from_der(info.to_der()) == info


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", Code.CRYPT_E_ASN1_EOD),
        ("04020000", Code.CRYPT_E_ASN1_BADTAG),
        ("300730020600030100" + "00", Code.CRYPT_E_ASN1_CORRUPT),
        ("300730020600030101", Code.CRYPT_E_ASN1_CORRUPT),
        ("300630020600" + "0300", Code.CRYPT_E_ASN1_CORRUPT),
        ("30093002060003010005" + "00", Code.CRYPT_E_ASN1_CORRUPT),
        ("3008300306018003" + "0100", Code.CRYPT_E_ASN1_CORRUPT),
    ],
)
def test_what_is_no_public_key_is_bad_data(data, code):
    with pytest.raises(BadData) as caught:
        CertPublicKeyInfo.from_der(bytes.fromhex(data))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("serial", "blob"),
    [
        (None, ""),
        (0, "00"),
        (1, "01"),
        (0x7F, "7f"),
        (0x80, "8000"),
        (0x0102, "0201"),
        (-1, "ff"),
        (-128, "80"),
        (-129, "7fff"),
    ],
)
def test_a_serial_number_is_little_endian_two_s_complement(serial, blob):
    assert CertInfo(serial=serial).serial_number.hex() == blob


@given(st.integers())
def test_a_serial_number_comes_back(serial):
    blob = CertInfo(serial=serial).serial_number
    assert int.from_bytes(blob, "little", signed=True) == serial


def test_a_partial_certificate_serves_a_search():
    info = CertInfo(subject=b"0\0")
    assert (info.serial, info.version, info.issuer, info.not_before, info.public_key) == (None, 0, b"", None, None)
    assert info.extensions == ()
