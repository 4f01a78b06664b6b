"""Records of cardmod.h, winscard.h and ncrypt.h: known bytes, round trips, and nothing but bad data from noise."""

from __future__ import annotations

import dataclasses
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.win import structs
from calais.win.errors import BadData, BadParameter
from calais.win.structs import (
    AtrMask,
    BCryptBuffer,
    CardCacheFile,
    CardCapabilities,
    CardFileInfo,
    CardFreeSpaceInfo,
    CardKeySizes,
    CardStatus,
    ContainerInfo,
    ContainerMapRecord,
    NCryptSupportedLengths,
    PinCachePolicy,
    PinInfo,
    ReaderState,
    compress_certificate,
    expand_certificate,
)

U8, U16, U32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
NAMES = st.text(st.characters(codec="utf-16-le", exclude_characters="\0"), max_size=19)
POLICIES = st.builds(PinCachePolicy, U32, U32)

KNOWN = {
    AtrMask(b"\x3b\x80\x01", b"\xff\xff\x00"): "03000000 3b8001" + "00" * 33 + "ffff00" + "00" * 33,
    ContainerMapRecord("A", 3, 0, 2048): "4100" + "00" * 78 + "03 00 0000 0008",
    ContainerMapRecord(): "00" * 86,
    CardCacheFile(0, 1, 0x0203, 0x0405): "00 01 0302 0504",
    CardCacheFile(1, 2, 3, 4, (5, 0x01020304)): "01 02 0300 0400 05000000 04030201",
    CardFreeSpaceInfo(0xFFFFFFFF, 3, 10): "01000000 ffffffff 03000000 0a000000",
    CardCapabilities(certificate_compression=True, key_gen=False): "01000000 01000000 00000000",
    CardKeySizes(1024, 2048, 4096, 256): "01000000 00040000 00080000 00100000 00010000",
    CardFileInfo(86, 1): "01000000 56000000 01000000",
    PinCachePolicy(1, 300): "06000000 01000000 2c010000",
    PinInfo(2, 5, 2, 8, PinCachePolicy(3), 1): (
        "06000000 02000000 05000000 02000000 08000000 06000000 03000000 00000000 01000000"
    ),
    NCryptSupportedLengths(1024, 4096, 8, 2048): "00040000 00100000 08000000 00080000",
}
RECORDS = st.one_of(
    st.integers(2, 36).flatmap(
        lambda n: st.builds(AtrMask, st.binary(min_size=n, max_size=n), st.binary(min_size=n, max_size=n))
    ),
    st.builds(ContainerMapRecord, NAMES, U8.map(lambda flags: flags | 1), U16, U16),
    st.builds(CardCacheFile, U8, U8, U16, U16, st.lists(U32, max_size=3).map(tuple)),
    st.builds(CardFreeSpaceInfo, U32, U32, U32),
    st.builds(CardCapabilities, st.booleans(), st.booleans()),
    st.builds(CardKeySizes, U32, U32, U32, U32),
    st.builds(CardFileInfo, U32, U32),
    POLICIES,
    st.builds(PinInfo, U32, U32, U32, U32, POLICIES, U32, U32),
    st.builds(NCryptSupportedLengths, U32, U32, U32, U32),
)
CLASSES = sorted({type(record) for record in KNOWN}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize(("record", "data"), KNOWN.items(), ids=str)
def test_a_record_has_the_bytes_of_windows(record, data):
    assert record.to_bytes() == bytes.fromhex(data)
    assert type(record).from_bytes(bytes.fromhex(data)) == record


@given(RECORDS)
def test_records_come_back(record):
    assert type(record).from_bytes(record.to_bytes()) == record


@pytest.mark.parametrize("kind", CLASSES)
@given(data=st.binary(max_size=100))
def test_noise_is_a_record_or_bad_data(kind, data):
    try:
        kind.from_bytes(data)
    except BadData as error:
        assert error.index is not None  # noqa: PT017 - it need not be raised


@pytest.mark.parametrize("kind", CLASSES)
def test_a_record_of_another_length_is_bad_data(kind):
    for size in (0, kind.LAYOUT.size - 1, kind.LAYOUT.size + 1):
        with pytest.raises(BadData, match="bytes"):
            kind.from_bytes(bytes(size))


@pytest.mark.parametrize("kind", [CardFreeSpaceInfo, CardCapabilities, CardKeySizes, CardFileInfo])
def test_version_zero_is_read_as_one_and_two_is_unknown(kind):
    rest = bytes(kind.LAYOUT.size - 4)
    assert kind.from_bytes(bytes(4) + rest) == kind.from_bytes(b"\1\0\0\0" + rest)
    with pytest.raises(BadData, match="version 2"):
        kind.from_bytes(b"\2\0\0\0" + rest)


def test_a_cache_policy_of_another_version_is_bad_data():
    with pytest.raises(BadData, match="version 7"):
        PinCachePolicy.from_bytes(b"\7" + bytes(11))
    assert PinCachePolicy.from_bytes(bytes(12)) == PinCachePolicy(0)


def test_any_bool_but_zero_is_true():
    assert CardCapabilities.from_bytes(bytes.fromhex("01000000ffffffff02000000")) == CardCapabilities(
        certificate_compression=True, key_gen=True
    )


@pytest.mark.parametrize(
    "record",
    [
        AtrMask(b"\x3b\x00", b"\xff"),
        AtrMask(bytes(37), bytes(37)),
        ContainerMapRecord("x" * 40, 1),
        ContainerMapRecord("a\0b", 1),
        ContainerMapRecord("\ud800", 1),
        ContainerMapRecord("x", 256),
        CardCacheFile(0, 256),
        CardCacheFile(applications=(-1,)),
        CardFileInfo(-1, 0),
    ],
    ids=repr,
)
def test_what_does_not_fit_a_record_is_the_callers_fault(record):
    with pytest.raises(BadParameter):
        record.to_bytes()


def test_an_atr_matches_under_the_mask_only():
    card = AtrMask(b"\x3b\x80\x01", b"\xff\xff\xf0")
    assert card.matches(b"\x3b\x80\x0f")
    assert not card.matches(b"\x3b\x81\x0f")
    assert not card.matches(b"\x3b\x80")
    assert not AtrMask(b"\x3b", b"").matches(b"\x3b")


def test_an_atr_mask_with_an_impossible_length_is_bad_data():
    with pytest.raises(BadData, match="length 37"):
        AtrMask.from_bytes(b"\x25" + bytes(75))


def test_the_name_of_a_free_container_record_does_not_matter():
    assert ContainerMapRecord.from_bytes(b"\x00\xd8" * 40 + bytes(6)) == ContainerMapRecord()


@pytest.mark.parametrize(
    ("name", "index"), [(b"x\0" * 40, 80), (b"a\0\0\xd8b\0" + bytes(74), 2)], ids=["no end", "no UTF-16"]
)
def test_the_name_of_a_valid_container_record_must_be_a_string(name, index):
    with pytest.raises(BadData) as caught:
        ContainerMapRecord.from_bytes(name + b"\1" + bytes(5))
    assert caught.value.index == index


def test_a_name_of_39_characters_fits():
    record = ContainerMapRecord("x" * 39, 1)
    assert ContainerMapRecord.from_bytes(record.to_bytes()) == record


@pytest.mark.parametrize(("flags", "valid", "default"), [(0, 0, 0), (1, 1, 0), (2, 0, 0), (3, 1, 1)])
def test_only_a_valid_container_is_the_default(flags, valid, default):
    record = ContainerMapRecord("x", flags)
    assert (record.is_valid, record.is_default) == (bool(valid), bool(default))


@given(st.lists(st.builds(ContainerMapRecord, NAMES, st.just(1), U16, U16) | st.just(ContainerMapRecord())))
def test_container_maps_come_back(records):
    assert ContainerMapRecord.parse_file(ContainerMapRecord.build_file(records)) == records


def test_a_container_map_of_broken_records_is_bad_data():
    with pytest.raises(BadData) as caught:
        ContainerMapRecord.parse_file(bytes(87))
    assert caught.value.index == 86


@given(st.binary(max_size=5000).map(lambda rest: b"\x30" + rest))
def test_certificates_come_back_from_the_compressed_form(der):
    assert expand_certificate(compress_certificate(der)) == der
    assert expand_certificate(der) is der


def test_the_compressed_form_is_head_length_and_zlib():
    data = compress_certificate(b"\x30" * 300)
    assert data[:4].hex() == "01002c01"
    assert zlib.decompress(data[4:]) == b"\x30" * 300


def test_a_certificate_too_long_for_the_length_field_is_refused():
    with pytest.raises(BadParameter, match="65536 bytes"):
        compress_certificate(bytes(0x10000))


STREAM = zlib.compress(bytes(10))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x00\x00",
        b"\x02\x00\x0a\x00" + STREAM,
        b"\x01\x00\x09\x00" + STREAM,
        b"\x01\x00\x0b\x00" + STREAM,
        b"\x01\x00\x0a\x00" + STREAM[:-1],
        b"\x01\x00\x0a\x00" + b"noise",
        b"\x01\x00\xff\xff" + zlib.compress(bytes(1 << 24)),
    ],
)
def test_a_malformed_certificate_file_is_bad_data(data):
    with pytest.raises(BadData):
        expand_certificate(data)


@given(st.binary(max_size=50).map(lambda rest: b"\x01\x00" + rest))
def test_noise_is_a_certificate_file_or_bad_data(data):
    try:
        expand_certificate(data)
    except BadData as error:
        assert error.index is not None  # noqa: PT017 - it need not be raised


def test_structures_are_frozen_and_have_the_documented_defaults():
    state = ReaderState("Reader 0")
    assert (state.user_data, state.current_state, state.event_state, state.atr) == (None, 0, 0, b"")
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.atr = b"\x3b"
    assert ContainerInfo() == ContainerInfo(version=1, sig_public_key=b"", key_ex_public_key=b"")
    assert CardStatus(["r"], 6, 2, b"").state == 6


def test_every_structure_is_frozen():
    classes = [kind for name in structs.__all__ if dataclasses.is_dataclass(kind := getattr(structs, name))]
    assert len(classes) > 30
    assert all(kind.__dataclass_params__.frozen for kind in classes)


def test_a_parameter_of_a_derivation_does_not_show_its_value():
    assert "secret" not in repr(BCryptBuffer(3, b"secret"))
