"""A card's memory commits all or nothing, and says where a damaged file is damaged."""

from __future__ import annotations

import json
import os
import stat

import pytest

from calais.cards.base import BytesMemory, FileMemory, MemoryFailure, PowerLoss, build_file, parse_file
from calais.cards.piv.personalise import new_card, virtual_card
from calais.win.errors import BadData, BadParameter, WinError


@pytest.fixture(params=["bytes", "file"])
def memory(request, tmp_path):
    return BytesMemory() if request.param == "bytes" else FileMemory(tmp_path / "a.card")


def test_a_new_memory_is_empty(memory):
    assert memory.read() == {}


def test_what_is_committed_is_read(memory):
    memory.commit({"pin": b"\1\2", "object/5FC102": b"x" * 5000})
    memory.commit({"pin": b"\3", "key/9A": b""})
    assert memory.read() == {"pin": b"\3", "object/5FC102": b"x" * 5000, "key/9A": b""}


def test_a_record_is_deleted_and_deleting_nothing_is_nothing(memory):
    memory.commit({"pin": b"\1", "puk": b"\2"})
    memory.commit({"pin": None, "key/9A": None})
    assert memory.read() == {"puk": b"\2"}


def test_what_was_read_is_a_copy(memory):
    memory.commit({"pin": b"\1"})
    memory.read().clear()
    assert memory.read() == {"pin": b"\1"}


def test_power_may_fail_at_every_instant_and_leaves_old_or_new(memory):
    memory.commit({"pin": b"old", "puk": b"old"})
    first = memory.instants + 1
    memory.commit({"pin": b"old"})
    instants = memory.instants - first + 1
    assert instants >= 2
    seen = set()
    for instant in range(instants):
        memory.commit({"pin": b"old", "puk": b"old"})
        at = memory.instants + 1 + instant
        memory.cut = lambda number, at=at: cut(number, at)
        with pytest.raises(PowerLoss):
            memory.commit({"pin": b"new", "puk": b"new"})
        memory.cut = None
        records = memory.read()
        assert records["pin"] == records["puk"]
        seen.add(records["pin"])
    assert seen == {b"old", b"new"}


def cut(number, at):
    if number == at:
        raise PowerLoss


def test_the_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "a.card"
    FileMemory(path).commit({"pin": b"\1"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.card"]


def test_another_memory_on_the_file_reads_the_same(tmp_path):
    FileMemory(tmp_path / "a.card").commit({"pin": b"\1"})
    other = FileMemory(tmp_path / "a.card")
    other.commit({"puk": b"\2"})
    assert FileMemory(tmp_path / "a.card").read() == {"pin": b"\1", "puk": b"\2"}


def test_a_file_that_cannot_be_written_keeps_its_content(tmp_path):
    memory = FileMemory(tmp_path / "a.card")
    memory.commit({"pin": b"\1"})
    (tmp_path / "a.card.new").mkdir()
    with pytest.raises(MemoryFailure):
        memory.commit({"pin": b"\2"})
    assert memory.read() == {"pin": b"\1"}


def test_a_folder_is_no_card_file(tmp_path):
    with pytest.raises(MemoryFailure):
        FileMemory(tmp_path).read()


GOOD = build_file({"pin": "0102", "object/5FC102": "aa"})


@pytest.mark.parametrize(
    ("content", "index"),
    [
        (b"{", 1),
        (b"\xff" + GOOD, 0),
        (b"[]", 0),
        (b"{}", 0),
        (GOOD.replace(b'"version": 1', b'"version": 2'), 0),
        (GOOD.replace(b"calais.card", b"another"), 0),
        (GOOD.replace(b'"0102"', b'"010"'), GOOD.index(b'"pin"')),
        (GOOD.replace(b'"0102"', b'"01GG"'), GOOD.index(b'"pin"')),
        (GOOD.replace(b'"0102"', b"7"), GOOD.index(b'"pin"')),
        (GOOD.replace(b'"pin"', b'"Pin"'), GOOD.index(b'"pin"')),
        (GOOD.replace(b'"0102"', b'"0103"'), GOOD.index(b'"check"')),
        (json.dumps(json.loads(GOOD) | {"records": []}).encode(), None),
        (json.dumps(json.loads(GOOD) | {"more": 1}).encode(), 0),
        (GOOD.replace(b'"object/5FC102"', b'"pin"'), None),
        (b"[" * 100_000, 0),
        (b" " * (8 * 1024 * 1024 + 1), 8 * 1024 * 1024),
    ],
)
def test_a_damaged_file_is_bad_data_and_says_where(content, index):
    with pytest.raises(BadData) as caught:
        parse_file(content)
    if index is not None:
        assert caught.value.index == index


@pytest.mark.parametrize("at", range(0, len(GOOD), 7))
def test_a_file_cut_short_is_bad_data(at):
    with pytest.raises(BadData):
        parse_file(GOOD[:at])


def test_a_card_lives_on_in_its_file(tmp_path):
    new_card(FileMemory(tmp_path / "a.card"), os.urandom, keys={})
    card = virtual_card(FileMemory(tmp_path / "a.card"), os.urandom)
    card.process(bytes.fromhex("00A4040005A000000308"))
    assert card.process(bytes.fromhex("0020008008393939393939FFFF")) == b"\x63\xc2"
    again = virtual_card(FileMemory(tmp_path / "a.card"), os.urandom)
    again.process(bytes.fromhex("00A4040005A000000308"))
    assert again.process(bytes.fromhex("00200080")) == b"\x63\xc2"


def test_a_card_is_never_written_over_another(memory):
    new_card(memory, os.urandom, keys={})
    with pytest.raises(BadParameter):
        new_card(memory, os.urandom, keys={})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("card", None),
        ("card", b"\2" + bytes(8)),
        ("card", bytes(9)),
        ("card", b"\1" + bytes(7)),
        ("pin", None),
        ("puk", None),
        ("pin", b"\4\3" + bytes(8)),
        ("pin", b"\0\0" + bytes(8)),
        ("pin", b"\3\3" + bytes(7)),
        ("global-pin", b""),
        ("management", b"\3\1" + bytes(16)),
        ("management", b""),
    ],
)
def test_a_damaged_record_is_bad_data_when_the_card_is_powered(name, value):
    memory = BytesMemory()
    new_card(memory, os.urandom, keys={})
    card = virtual_card(memory, os.urandom)
    memory.commit({name: value})
    with pytest.raises(BadData):
        card.power_cycle()
    with pytest.raises(WinError):
        virtual_card(memory, os.urandom)


def test_a_damaged_key_answers_bad_data_and_the_card_lives():
    memory = BytesMemory()
    new_card(memory, os.urandom, keys={})
    der = memory.read()["key/F9"]
    memory.commit({"key/9E": b"\x11\1\1\1junk", "key/9A": b"", "key/9C": b"\x14" + der[1:]})
    card = virtual_card(memory, os.urandom)
    card.process(bytes.fromhex("00A4040005A000000308"))
    for slot in ("9E", "9A", "9C"):
        assert card.process(bytes.fromhex(f"00F700{slot}")) == b"\x6a\x80"
    assert card.process(bytes.fromhex("00FD0000"))[-2:] == b"\x90\0"
