"""Serialized elements and stores: vectors put together by hand, round trips, and what hostile input gets."""

import struct
import time

import certs
import crls
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.store.formats import serialized
from calais.store.formats.items import Item
from calais.win.codes import Code
from calais.win.errors import WinError

A, B = certs.make("Alice"), certs.make("Bob")
CRL = crls.make()
ASN1 = range(0x80093100, 0x80093110)
NAME = "hé".encode("utf-16-le") + b"\0\0"


def record(number, data, word=1, size=None):
    return struct.pack("<III", number, word, len(data) if size is None else size) + data


def code_of(call, *args):
    with pytest.raises(WinError) as caught:
        call(*args)
    return caught.value.code


# --- vectors ----------------------------------------------------------------------------------------------------------


def test_an_element_is_its_properties_in_rising_order_and_then_the_certificate():
    item = Item(32, A, {20: b"k" * 20, 3: b"h" * 20, 11: NAME, 19: b""})
    expected = record(3, b"h" * 20) + record(11, NAME) + record(19, b"") + record(20, b"k" * 20) + record(32, A)
    assert serialized.pack_element(item) == expected
    assert serialized.unpack_element(expected) == item


@pytest.mark.parametrize("prop_id", [1, 5, 6, 14, 78, 79, 99, 100, 0, 0x10000])
def test_handles_views_and_what_is_no_property_are_never_written(prop_id):
    assert serialized.pack_element(Item(32, A, {prop_id: b"x"})) == record(32, A)


@pytest.mark.parametrize("prop_id", [1, 5, 78, 79, 99, 100, 0x10000])
def test_nor_are_they_believed_when_somebody_else_wrote_them(prop_id):
    assert serialized.unpack_element(record(prop_id, b"x") + record(32, A)).properties == {}


def test_a_store_is_its_magic_its_elements_and_a_record_of_zeros():
    items = [Item(32, A, {}), Item(33, CRL, {}), Item(32, B, {11: NAME}), Item(34, b"a list", {})]
    packed = serialized.pack_store(items)
    expected = record(32, A) + record(11, NAME) + record(32, B) + record(33, CRL) + record(34, b"a list")
    assert packed == bytes.fromhex("0000000043455254") + expected + bytes(12)
    assert serialized.unpack_store(packed) == [items[0], items[2], items[1], items[3]]


def test_an_empty_store_is_twenty_bytes():
    assert serialized.pack_store([]) == bytes.fromhex("0000000043455254") + bytes(12)
    assert serialized.unpack_store(serialized.pack_store([])) == []


def test_a_missing_end_is_tolerated_and_what_follows_the_end_is_ignored():
    packed = serialized.pack_store([Item(32, A, {})])
    assert serialized.unpack_store(packed[:-12]) == serialized.unpack_store(packed + b"more") == [Item(32, A, {})]


# --- reading an element -----------------------------------------------------------------------------------------------


def test_properties_count_only_before_the_certificate():
    data = record(11, NAME) + record(32, A) + record(13, NAME) + record(32, B)
    assert serialized.unpack_element(data) == Item(32, A, {11: NAME})


def test_of_a_property_that_comes_twice_the_last_counts():
    assert serialized.unpack_element(record(64, b"1") + record(64, b"2") + record(32, A)).properties == {64: b"2"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.ERROR_END_OF_MEDIA),
        (bytes(12), Code.E_INVALIDARG),
        (record(32, b""), Code.E_INVALIDARG),
        (record(32, A, size=len(A) - 1), Code.E_INVALIDARG),
        (record(32, A + b"x"), Code.E_INVALIDARG),
        (record(32, A, size=len(A) + 1), Code.E_INVALIDARG),
        (record(32, A, size=0xFFFFFFFF), Code.E_INVALIDARG),
        (record(32, A, word=0), Code.ERROR_FILE_NOT_FOUND),
        (record(32, A, word=2), Code.ERROR_FILE_NOT_FOUND),
        (record(11, NAME), Code.E_INVALIDARG),
        (record(11, NAME) + bytes(12) + record(32, A), Code.E_INVALIDARG),
        (record(32, A)[:7], Code.E_INVALIDARG),
        (record(32, b"\x04\x01x"), Code.CRYPT_E_ASN1_BADTAG),
        (record(33, A), Code.CRYPT_E_ASN1_CORRUPT),
    ],
    ids=[
        "nothing",
        "zeros",
        "empty-certificate",
        "size-too-small",
        "bytes-after-it",
        "size-too-large",
        "size-huge",
        "encoding-0",
        "encoding-2",
        "no-certificate",
        "zeros-before-it",
        "half-a-header",
        "no-der",
        "certificate-as-crl",
    ],
)
def test_what_is_wrong_with_an_element_has_a_code(data, code):
    assert code_of(serialized.unpack_element, data) == code


# --- hostile stores ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", b"CERT", bytes(8), b"\0\0\0\0CERS", A], ids=["none", "half", "zeros", "near", "der"]
)
def test_what_has_not_the_magic_is_no_store(data):
    assert code_of(serialized.unpack_store, data) == Code.ERROR_INVALID_DATA


@given(st.data())
def test_a_cut_or_changed_store_raises_a_code_or_is_read(data):
    packed = serialized.pack_store([Item(32, A, {3: b"h" * 20, 11: NAME}), Item(33, CRL, {})])
    cut = packed[: data.draw(st.integers(0, len(packed)))]
    changed = bytearray(packed)
    changed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    for hostile in (cut, bytes(changed)):
        assert certs.fault(serialized.unpack_store, hostile) in (None, Code.ERROR_INVALID_DATA, *ASN1)


@given(
    st.lists(
        st.builds(
            Item,
            st.just(32),
            st.sampled_from([A, B]),
            st.dictionaries(st.sampled_from([2, 3, 11, 64, 0x8000, 0xFFFF]), st.binary(max_size=40)),
        ),
        max_size=6,
    )
)
def test_what_is_packed_comes_back(items):
    assert serialized.unpack_store(serialized.pack_store(items)) == items


def test_a_record_that_claims_gigabytes_costs_nothing():
    began = time.monotonic()
    assert (
        code_of(serialized.unpack_store, serialized.MAGIC + record(64, b"x", size=0xFFFFFFF0))
        == Code.ERROR_INVALID_DATA
    )
    assert time.monotonic() - began < 1


def test_there_is_an_end_to_elements():
    many = serialized.MAGIC + record(34, b"x") * (serialized.MAX_ELEMENTS + 1)
    assert code_of(serialized.unpack_store, many) == Code.ERROR_INVALID_DATA
