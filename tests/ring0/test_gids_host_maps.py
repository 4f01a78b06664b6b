"""The two tables of a GIDS card as the host reads and writes them: master file and key map."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.cards.gids import keymap, masterfile
from calais.cards.gids.keymap import KeyRecord
from calais.cards.gids.masterfile import Entry
from calais.minidriver.files import FileAccess
from calais.win.errors import BadData, WinError

# What Microsoft's page shows in DF1F of A000 on a card that has just been set up.
NEW_CARD = bytes.fromhex(
    "01"
    "6d7363700000000000" + "000000000000000000" + "0000" + "00000000" + "00a00000"
    + "000000000000000000" + "636172646964000000" + "0000" + "20df0000" + "12a00000"
    + "000000000000000000" + "636172646170707300" + "0000" + "21df0000" + "10a00000"
    + "000000000000000000" + "636172646366000000" + "0000" + "22df0000" + "10a00000"
    + "6d7363700000000000" + "636d617066696c6500" + "0000" + "23df0000" + "10a00000"
)  # fmt: skip
FIRST = (
    Entry("mscp", "", 0, 0xA000),
    Entry("", "cardid", 0xDF20, 0xA012),
    Entry("", "cardapps", 0xDF21, 0xA010),
    Entry("", "cardcf", 0xDF22, 0xA010),
    Entry("mscp", "cmapfile", 0xDF23, 0xA010),
)

names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=8)
entries = st.lists(
    st.builds(
        Entry,
        st.one_of(st.just(""), names),
        st.one_of(st.just(""), names),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
    )
)
records = st.lists(
    st.one_of(
        st.just(keymap.FREE),
        st.builds(KeyRecord, st.just(True), st.integers(0, 255), st.sampled_from([1, 2]), st.integers(0, 0xFFFF)),
    )
)


def test_the_master_file_of_a_new_card_is_read():
    assert masterfile.parse(NEW_CARD) == FIRST
    assert len(NEW_CARD) == 1 + 5 * 28


def test_the_master_file_of_a_new_card_is_written_as_microsoft_shows_it():
    assert masterfile.build(FIRST) == NEW_CARD


@given(entries)
def test_a_master_file_comes_back(some):
    assert masterfile.parse(masterfile.build(some)) == tuple(some)


@given(st.binary(max_size=200))
def test_a_master_file_of_noise_is_refused_or_read(noise):
    try:
        parsed = masterfile.parse(noise)
    except BadData:
        return
    assert len(parsed) == (len(noise) - 1) // 28


@pytest.mark.parametrize(("damaged", "where"), [(b"", 0), (b"\2" + NEW_CARD[1:], 0), (NEW_CARD[:-1], 1 + 4 * 28)])
def test_a_damaged_master_file_says_where(damaged, where):
    with pytest.raises(BadData) as caught:
        masterfile.parse(damaged)
    assert caught.value.index == where


def test_a_name_that_is_not_ascii_is_refused():
    with pytest.raises(BadData, match="ASCII"):
        masterfile.parse(NEW_CARD[:1] + b"\xff" + NEW_CARD[2:])


def test_files_are_found_whatever_the_case():
    assert masterfile.find(FIRST, "MSCP", "CMapFile") == FIRST[4]
    assert masterfile.find(FIRST, "", "nothing") is None
    assert masterfile.has_directory(FIRST, "mscp")
    assert masterfile.has_directory(FIRST, "")
    assert not masterfile.has_directory(FIRST, "other")
    assert [entry.name for entry in masterfile.files_in(FIRST, "")] == ["cardid", "cardapps", "cardcf"]


@pytest.mark.parametrize(
    ("ef", "access"),
    [(0xA010, 1), (0xA011, 2), (0xA012, 3), (0xA013, 5), (0xA014, 6), (0xA000, 4), (0xBEEF, 4)],
)
def test_the_file_identifier_is_the_access_condition(ef, access):
    assert Entry("", "x", 0xDF30, ef).access == access


def test_a_new_file_goes_to_the_first_object_that_no_record_names():
    assert masterfile.place_for(FIRST, FileAccess.EVERYONE_READ_USER_WRITE) == (0xA010, 0xDF24)
    with_gap = (*FIRST, Entry("mscp", "kxc01", 0xDF25, 0xA010))
    assert masterfile.place_for(with_gap, FileAccess.EVERYONE_READ_USER_WRITE) == (0xA010, 0xDF24)
    assert masterfile.place_for(FIRST, FileAccess.ADMIN_READ_WRITE) == (0xA014, 0xDF21)


def test_the_places_of_the_first_files_are_theirs_even_when_no_record_names_them():
    assert masterfile.place_for((), FileAccess.EVERYONE_READ_USER_WRITE) == (0xA010, 0xDF24)


def test_there_is_an_end_to_the_places():
    full = tuple(Entry("", "x", tag, 0xA010) for tag in range(0xDF21, 0xDF80))
    with pytest.raises(WinError, match="WRITE_TOO_MANY"):
        masterfile.place_for(full, FileAccess.EVERYONE_READ_USER_WRITE)


# --- key map ---------------------------------------------------------------------------------------------------------

ONE_KEY = bytes.fromhex("01" + "01000000" + "07" + "9a" + "81b0" + "ffff" + "0000")
ONE_FREED = bytes.fromhex("01" + "00000000" + "00" + "00" + "ffff" + "ffff" + "0000")


def test_the_key_map_is_read_as_windows_and_opensc_write_it():
    (record,) = keymap.parse(ONE_KEY)
    assert (record.kid, record.algorithm, record.key_spec, record.used) == (0x81, 7, 1, True)
    assert keymap.parse(ONE_FREED) == (keymap.FREE,)
    assert keymap.FREE.kid is None


def test_the_key_map_is_written_as_they_do():
    assert keymap.build([keymap.record_for(0, 7, 1)]) == ONE_KEY
    assert keymap.build([keymap.FREE]) == ONE_FREED


def test_no_data_is_an_empty_key_map():
    assert keymap.parse(b"") == keymap.parse(b"\1") == ()


@given(records)
def test_a_key_map_comes_back(some):
    assert keymap.parse(keymap.build(some)) == tuple(some)


@pytest.mark.parametrize("damaged", [b"\2", ONE_KEY[:-1], ONE_KEY + b"\0"])
def test_a_damaged_key_map_is_refused(damaged):
    with pytest.raises(BadData):
        keymap.parse(damaged)


def test_a_record_for_a_file_that_no_key_can_have_names_no_key():
    (record,) = keymap.parse(ONE_KEY.replace(bytes.fromhex("81b0"), bytes.fromhex("80b0")))
    assert record.kid is None


def test_a_record_beyond_the_end_pads_with_free_ones():
    mine = keymap.record_for(2, 12, 2)
    assert keymap.replaced((), 2, mine) == (keymap.FREE, keymap.FREE, mine)
    assert keymap.replaced((mine, mine), 0, keymap.FREE) == (keymap.FREE, mine)
