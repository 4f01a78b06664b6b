from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.iso7816 import tlv
from calais.iso7816.tlv import Tlv
from calais.win.errors import BadData

TAGS = (
    st.integers(0x00, 0xFF).filter(lambda tag: tag & 0x1F != 0x1F)
    | st.tuples(st.integers(0, 7), st.integers(0, 0x7F)).map(lambda tag: (tag[0] << 5 | 0x1F) << 8 | tag[1])
    | st.sampled_from([0x5FC105, 0x7F8102])
)
NOISE = st.binary(max_size=40)


@pytest.mark.parametrize(
    ("tag", "value", "raw"),
    [
        (0x53, b"", "5300"),
        (0x5C, b"\x5f\xc1\x02", "5c035fc102"),
        (0x5F2F, b"\x40\x10", "5f2f024010"),
        (0x5FC105, b"\1", "5fc1050101"),
        (0x70, bytes(0x7F), "707f" + "00" * 0x7F),
        (0x70, bytes(0x80), "708180" + "00" * 0x80),
        (0x70, bytes(0x100), "70820100" + "00" * 0x100),
        (0x00, b"\7", "000107"),
    ],
)
def test_a_data_object_has_the_bytes_of_the_standard(tag, value, raw):
    assert tlv.build(tag, value).hex() == raw
    assert tlv.parse_one(bytes.fromhex(raw)) == Tlv(tag, value)
    assert Tlv(tag, value).encode().hex() == raw


def test_build_joins_its_values():
    assert tlv.build(0x7C, tlv.build(0x82), tlv.build(0x81, b"\1")).hex() == "7c05820081" + "0101"


@pytest.mark.parametrize(("length", "raw"), [(0, "00"), (0x80, "8180"), (0xFFFF, "82ffff"), (0x10000, "83010000")])
def test_lengths_take_the_shortest_form(length, raw):
    assert tlv.build_length(length).hex() == raw
    assert tlv.read_length(bytes.fromhex(raw), 0) == (length, len(raw) // 2)


def test_lengths_in_a_longer_form_are_read():
    assert tlv.parse_one(bytes.fromhex("5383000001aa")).value == b"\xaa"


@given(st.lists(st.tuples(TAGS, st.binary(max_size=300))))
def test_data_objects_come_back(objects):
    raw = b"".join(tlv.build(tag, value) for tag, value in objects)
    parsed = list(tlv.parse(raw))
    assert [(item.tag, item.value) for item in parsed] == objects
    assert all(raw[item.offset :].startswith(item.encode()) for item in parsed)


@given(NOISE)
def test_noise_is_data_objects_or_bad_data(raw):
    for parse in (tlv.parse_one, lambda data: [item.children() for item in tlv.parse(data)]):
        try:
            parse(raw)
        except BadData as error:
            assert error.index is not None  # noqa: PT017 - it need not be raised


@pytest.mark.parametrize(
    ("raw", "why", "index"),
    [
        ("", "tag is cut off", 0),
        ("5f", "tag is cut off", 0),
        ("5fc1", "tag is cut off", 0),
        ("5f81828300", "more than 3 bytes", 0),
        ("53", "length is cut off", 1),
        ("538201", "length is cut off", 1),
        ("5380", "length byte 80", 1),
        ("53850000000001", "length byte 85", 1),
        ("530201", "2 bytes long, 1 are there", 2),
        ("5384ffffffff", "4294967295 bytes long", 6),
        ("530100ff", "1 bytes follow", 3),
    ],
)
def test_a_malformed_data_object_is_bad_data_at_its_place(raw, why, index):
    with pytest.raises(BadData, match=why) as caught:
        tlv.parse_one(bytes.fromhex(raw))
    assert caught.value.index == index


def test_another_tag_than_the_one_due_is_bad_data():
    assert tlv.parse_one(b"\x53\x00", 0x53).value == b""
    with pytest.raises(BadData, match="53 where 7E is due"):
        tlv.parse_one(b"\x53\x00", 0x7E)


@pytest.mark.parametrize(("tag", "constructed"), [(0x53, False), (0x7C, True), (0x5FC105, False), (0x7F49, True)])
def test_the_tag_says_whether_there_are_children(tag, constructed):
    assert Tlv(tag, b"").constructed is constructed


def test_children_are_parsed_down_to_a_depth():
    item = Tlv(0x7C, bytes.fromhex("8101aa8200"))
    assert [(child.tag, child.value, child.offset) for child in item.children()] == [(0x81, b"\xaa", 0), (0x82, b"", 3)]
    assert item.children(depth=tlv.MAX_DEPTH)
    with pytest.raises(BadData, match="deeper than 16"):
        item.children(depth=tlv.MAX_DEPTH + 1)


def test_find_gives_the_first_and_require_insists():
    items = [Tlv(0x81, b"1"), Tlv(0x82, b"2"), Tlv(0x81, b"3")]
    assert tlv.find(items, 0x81) == tlv.require(items, 0x81) == Tlv(0x81, b"1")
    assert tlv.find(items, 0x99) is None
    with pytest.raises(BadData, match="99 is missing"):
        tlv.require(items, 0x99)
