import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.minidriver import containers, files
from calais.minidriver.api import ContainerEntry
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound


@pytest.mark.parametrize("name", ["cardid", "MSCP", "kxc0A", "12345678", "a"])
def test_a_name_is_taken_in_lower_case(name):
    assert files.check_name(name) == name.lower()


@pytest.mark.parametrize("name", ["", "123456789", "a\\b", "a/b", "a\0", "ä"])
def test_an_impossible_name_is_refused(name):
    with pytest.raises(BadParameter):
        files.check_name(name)


def test_there_is_one_directory():
    assert files.check_directory(None) == files.check_directory("") == ""
    assert files.check_directory("MSCP") == "mscp"
    with pytest.raises(NotFound) as failure:
        files.check_directory("other")
    assert failure.value.code == Code.SCARD_E_DIR_NOT_FOUND


def test_certificate_files_are_numbered_in_upper_case_hexadecimal():
    assert files.certificate_file(1, 0) == "kxc00"
    assert files.certificate_file(1, 10) == "kxc0A"
    assert files.certificate_file(2, 255) == "kscFF"


@given(st.sampled_from([1, 2]), st.integers(0, 255))
def test_the_name_of_a_certificate_file_tells_its_index_in_any_case(key_spec, index):
    name = files.certificate_file(key_spec, index)
    assert files.index_of_certificate_file(name) == (key_spec, index)
    assert files.index_of_certificate_file(name.lower()) == (key_spec, index)


@pytest.mark.parametrize("name", ["cmapfile", "kxc", "kxc0", "kxc000", "kxcG0", "kss00", "kxc+1", "kxc 1"])
def test_other_files_are_not_certificate_files(name):
    assert files.index_of_certificate_file(name) is None


def test_the_freshness_counters_are_cut_to_their_fields():
    data = files.build_cardcf(0x101, 0x10002, 0x10003)
    assert data == bytes.fromhex("000102000300")
    assert files.parse_cardcf(data).files_freshness == 3


def test_cardapps_holds_names_of_eight_bytes():
    assert files.build_cardapps(["mscp"]) == bytes.fromhex("6D73637000000000")
    assert files.parse_cardapps(bytes.fromhex("6D73637000000000") + b"12345678") == ["mscp", "12345678"]


@pytest.mark.parametrize("data", [b"mscp", b"\xff" * 8])
def test_damaged_cardapps_is_refused(data):
    with pytest.raises(BadData):
        files.parse_cardapps(data)


@given(st.binary(max_size=300))
def test_noise_in_a_file_is_nothing_but_bad_data(data):
    for parse in (files.parse_cardapps, files.parse_cardcf, files.expand_certificate, containers.parse_cmapfile):
        with contextlib.suppress(BadData):
            parse(data)


def entry(index, key_spec=1, *, default=False):
    return ContainerEntry(index, f"name {index}", key_spec, 1, default, "", 2048, "RSA")


def test_the_container_map_has_a_free_record_for_each_index_without_container():
    records = containers.records_of([entry(0, default=True), entry(2, key_spec=2)])
    assert [record.is_valid for record in records] == [True, False, True]
    data = containers.build_cmapfile(records)
    assert len(data) == 3 * 86
    assert data[86:172] == bytes(86)
    assert containers.parse_cmapfile(data) == records


def test_the_kind_of_the_slot_decides_where_the_key_size_stands():
    exchange, signature = containers.records_of([entry(0, default=True), entry(1, key_spec=2)])
    assert (exchange.sig_key_size_bits, exchange.key_exchange_key_size_bits) == (0, 2048)
    assert (signature.sig_key_size_bits, signature.key_exchange_key_size_bits) == (2048, 0)
    assert (exchange.flags, signature.flags) == (3, 1)


def test_free_records_at_the_end_are_left_out():
    records = [*containers.records_of([entry(0)]), containers.FREE_RECORD, containers.FREE_RECORD]
    assert len(containers.build_cmapfile(records)) == 86
    assert containers.build_cmapfile([]) == b""
    assert containers.records_of([]) == []
