"""Names as text, and attributes in names."""

import certs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.store import names
from calais.win.codes import Code
from calais.win.errors import BadData
from calais.win.structs import CertRdnAttr

CN, E = bytes.fromhex("550403"), bytes.fromhex("2a864886f70d010901")


def attribute(oid: bytes, value: bytes, tag: int = 0x0C) -> bytes:
    return certs.tlv(0x30, certs.tlv(6, oid), certs.tlv(tag, value))


def rdn(*attributes: bytes) -> bytes:
    return certs.tlv(0x31, *attributes)


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        (certs.tlv(0x30), ""),
        (certs.name_der("Alice"), "O=Calais, CN=Alice"),
        (certs.raw_name("a, b"), 'CN="a, b"'),
        (certs.raw_name('say "x"'), 'CN="say ""x"""'),
        (certs.raw_name(" x"), 'CN=" x"'),
        (certs.raw_name("Ü".encode("utf-16-be"), 0x1E), "CN=Ü"),
        (certs.raw_name("Ü".encode("latin-1"), 0x14), "CN=Ü"),
        (certs.raw_name(b"\xff\xfe"), "CN=\ufffd\ufffd"),
        (certs.raw_name(b"\x01\x02", 0x04), "CN=#0102"),
        (certs.raw_name(b"\x30\x00", 0x30), "CN=#30023000"),
        (certs.tlv(0x30, rdn(attribute(CN, b"a"), attribute(E, b"b@c", 0x16))), "CN=a + E=b@c"),
        (certs.tlv(0x30, rdn(attribute(b"", b"a"))), "?=a"),
        (b"\x31\x00", ""),
        (b"", ""),
    ],
)
def test_names_as_text(encoded, text):
    assert names.x500_text(encoded) == text


def test_values_are_joined_in_encoded_order_without_keys():
    assert names.values_text(certs.name_der("Alice")) == "Calais, Alice"


@pytest.mark.parametrize("encoded", [b"", b"\x31\x00", b"\x30\x02\x30\x00", b"\x30\x04\x31\x02\x30\x00"])
def test_what_is_no_name_is_named(encoded):
    with pytest.raises(BadData) as caught:
        names.parse(encoded)
    assert caught.value.code == Code.CRYPT_E_ASN1_BADTAG


@given(st.binary(max_size=80))
def test_random_bytes_raise_only_bad_data(encoded):
    assert certs.fault(names.parse, encoded) in (None, Code.CRYPT_E_ASN1_BADTAG)


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("plain Ü", "plain Ü"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b\n", "a\\u2028b\\n"),
        ("\x9b1m", "\\x9b1m"),
    ],
)
def test_what_moves_a_cursor_or_reverses_text_is_escaped(raw, safe):
    assert names.shown(raw) == safe


@pytest.mark.parametrize(
    ("wanted", "ignore_case", "found"),
    [
        ((), False, True),
        ((CertRdnAttr("2.5.4.3", 0, "Alice"),), False, True),
        ((CertRdnAttr("2.5.4.3", 13, "Alice"),), False, True),
        ((CertRdnAttr("2.5.4.3", 4, "Alice"),), False, False),
        ((CertRdnAttr("2.5.4.3", 0, "ALICE"),), False, False),
        ((CertRdnAttr("2.5.4.3", 0, "ALICE"),), True, True),
        ((CertRdnAttr("2.5.4.3", 0, "Ali"),), True, False),
        ((CertRdnAttr("2.5.4.10", 0, "Calais"), CertRdnAttr("2.5.4.3", 0, "Alice")), False, True),
        ((CertRdnAttr("2.5.4.10", 0, "Calais"), CertRdnAttr("2.5.4.3", 0, "Bob")), False, False),
        ((CertRdnAttr("2.5.4.3", 0, b"Alice"),), True, False),
    ],
)
def test_attributes_are_looked_for_in_a_name(wanted, ignore_case, found):
    assert names.matches(certs.name_der("Alice"), wanted, ignore_case=ignore_case) is found
