"""The codec of Yubico's container map."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.cards.piv.containermap import (
    MAX_RECORDS,
    NO_FINGERPRINT,
    RECORD_SIZE,
    MapRecord,
    build_container_map,
    fingerprint,
    parse_container_map,
)
from calais.iso7816 import tlv
from calais.win.errors import BadData, BadParameter

# Laid out by hand: name "Ab", slot 9C, signature, 2048 bits, valid and default, PIN 1, no ECDH container, fingerprint.
SAMPLE = b"A\0b\0" + bytes(76) + bytes.fromhex("9C 02 0008 03 01 FF") + bytes(range(20))
RECORD = MapRecord("Ab", 0x9C, 2, 2048, 3, 1, 0xFF, bytes(range(20)))

records = st.builds(
    MapRecord,
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",), max_codepoint=0xFFFF), max_size=39),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 65535),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
    st.binary(min_size=20, max_size=20),
)


def test_a_record_has_107_bytes_and_is_read_field_by_field():
    assert RECORD_SIZE == len(SAMPLE) == 107
    assert parse_container_map(tlv.build(0x81, SAMPLE)) == [RECORD]
    assert build_container_map([RECORD]) == tlv.build(0x81, SAMPLE)


def test_no_records_make_no_object():
    assert build_container_map([]) == b""
    assert parse_container_map(b"\x81\x00") == []


@given(st.lists(records, max_size=MAX_RECORDS))
def test_what_is_built_is_read_again(found):
    if found:
        assert parse_container_map(build_container_map(found)) == found


@given(st.binary(max_size=400))
def test_random_bytes_are_records_or_bad_data(data):
    for content in (data, tlv.build(0x81, data), tlv.build(0x81, data[: len(data) // RECORD_SIZE * RECORD_SIZE])):
        with suppress(BadData):
            parse_container_map(content)


@given(st.binary(min_size=80, max_size=80))
def test_whatever_stands_in_a_name_keeps_its_units_when_it_is_written_again(name):
    (found,) = parse_container_map(tlv.build(0x81, name + SAMPLE[80:]))
    if len(found.name.encode("utf-16-le", "surrogatepass")) <= 78:
        (again,) = parse_container_map(build_container_map([found]))
        assert again == found
    else:
        assert not found.has_usable_name


@pytest.mark.parametrize(
    ("content", "index"),
    [
        (b"", 0),
        (tlv.build(0x82, SAMPLE), None),
        (tlv.build(0x81, SAMPLE + b"x"), 107),
        (tlv.build(0x81, SAMPLE[:-1]), 0),
        (tlv.build(0x81, SAMPLE) + b"x", None),
        (tlv.build(0x81, SAMPLE * (MAX_RECORDS + 1)), 107 * MAX_RECORDS),
        (b"\x81\x84\xff\xff\xff\xff", None),
    ],
)
def test_what_is_no_map_is_bad_data(content, index):
    with pytest.raises(BadData) as failure:
        parse_container_map(content)
    if index is not None:
        assert failure.value.index == index


@pytest.mark.parametrize("name", ["x" * 40, "\N{PILE OF POO}" * 20])
def test_a_name_of_more_than_39_units_is_refused(name):
    with pytest.raises(BadParameter):
        build_container_map([MapRecord(name, 0x9A, 1, 2048)])


@pytest.mark.parametrize("fields", [{"slot": 256}, {"key_size_bits": 65536}, {"flags": -1}])
def test_a_number_that_does_not_fit_is_refused(fields):
    with pytest.raises(BadParameter):
        build_container_map([MapRecord(**({"name": "a", "slot": 0x9A, "key_spec": 1, "key_size_bits": 0} | fields))])


def test_more_records_than_any_card_has_are_refused():
    with pytest.raises(BadParameter):
        build_container_map([RECORD] * (MAX_RECORDS + 1))


def test_a_fingerprint_is_the_beginning_of_sha256_or_sha1():
    der = b"certificate"
    assert fingerprint(der) == hashlib.sha256(der).digest()[:20]
    for mark in (fingerprint(der), hashlib.sha1(der).digest()):
        assert MapRecord("a", 0x9A, 1, 2048, fingerprint=mark).is_of(der)
    other = MapRecord("a", 0x9A, 1, 2048, fingerprint=bytes(19) + b"\1")
    assert other.names_certificate
    assert not other.is_of(der)
    assert not MapRecord("a", 0x9A, 1, 2048, fingerprint=NO_FINGERPRINT).names_certificate


@pytest.mark.parametrize("name", ["", "a\x1b[2J", "\u202eabc", "\ud800"])
def test_a_name_that_would_trouble_a_reader_is_not_usable(name):
    assert not MapRecord(name, 0x9A, 1, 2048).has_usable_name


def test_a_free_record_is_no_default_container():
    assert not MapRecord("a", 0x9A, 1, 2048, flags=2).is_default
    assert not MapRecord("a", 0x9A, 1, 2048, flags=0).is_valid
