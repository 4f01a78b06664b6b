from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.win import der
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter

OIDS = {
    "1.2.840.113549.1.1.1": "2a864886f70d010101",
    "1.3.6.1.4.1.311.20.2.2": "2b060104018237140202",
    "2.5.29.37.0": "551d2500",
    "2.999.3": "883703",
    "0.39": "27",
    "1.0": "28",
    "": "",
}


@pytest.mark.parametrize(("oid", "content"), OIDS.items())
def test_an_object_identifier_has_the_bytes_of_the_standard(oid, content):
    assert der.encode_oid(oid).hex() == content
    assert der.decode_oid(bytes.fromhex(content)) == oid


@pytest.mark.parametrize("oid", ["1", "3.1", "1.40", "1.-2", "1.2.x", "1..2", "one"])
def test_what_is_no_object_identifier_is_refused(oid):
    with pytest.raises(BadParameter) as caught:
        der.encode_oid(oid)
    assert caught.value.code == Code.CRYPT_E_OID_FORMAT


def test_an_object_identifier_that_is_cut_off_is_bad_data():
    with pytest.raises(BadData):
        der.decode_oid(b"\x2a\x86")


@given(
    st.tuples(st.integers(0, 1), st.integers(0, 39)) | st.tuples(st.just(2), st.integers(0, 1 << 70)),
    st.lists(st.integers(0, 1 << 70)),
)
def test_object_identifiers_come_back(root, arcs):
    oid = ".".join(map(str, (*root, *arcs)))
    assert der.decode_oid(der.encode_oid(oid)) == oid


@pytest.mark.parametrize("length", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_elements_come_back_whatever_their_length(length):
    element = der.build(der.TAG_SEQUENCE, bytes(length))
    assert der.read(b"\0" + element, der.TAG_SEQUENCE, 1) == (bytes(length), len(element) + 1)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", Code.CRYPT_E_ASN1_EOD),
        ("30", Code.CRYPT_E_ASN1_EOD),
        ("3101ff", Code.CRYPT_E_ASN1_BADTAG),
        ("300200", Code.CRYPT_E_ASN1_EOD),
        ("3082ff", Code.CRYPT_E_ASN1_EOD),
        ("3080", Code.CRYPT_E_ASN1_CORRUPT),
        ("30850000000001", Code.CRYPT_E_ASN1_CORRUPT),
    ],
)
def test_a_malformed_element_has_the_code_windows_gives_it(data, code):
    with pytest.raises(BadData) as caught:
        der.read(bytes.fromhex(data), der.TAG_SEQUENCE)
    assert caught.value.code == code
