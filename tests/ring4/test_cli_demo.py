from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from commandline import CommandLine


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


def test_the_story_is_told_in_seven_steps_and_leaves_nothing_behind(calais, monkeypatch):
    page = calais.ok("demo").out
    for title in (
        "A card", "Two keys", "Two certificates", "The certificate store", "A signature", "The card is gone",
        "The card is back", "All of it worked.",
    ):  # fmt: skip
        assert title in page
    assert list((calais.folder / "temporary").iterdir()) == []
    assert not calais.virtual.directory.exists()


def test_the_story_as_a_document(calais):
    found = calais.json("demo")
    assert [step["number"] for step in found["steps"]] == [1, 2, 3, 4, 5, 6, 7]
    assert sum(step["exchanges"] for step in found["steps"]) == found["exchanges"]
    assert sum(step["pins"] for step in found["steps"]) == 4
    gone = found["steps"][5]
    assert {fact["name"] for fact in gone["facts"]} == {"SCARD_E_NO_SMARTCARD"}
    assert gone["exchanges"] == 0
    assert all("verified" in fact["value"] for fact in found["steps"][6]["facts"])
    assert set(found["steps"][0]) == {
        "number", "title", "what", "facts", "exchanges", "bytes_out", "bytes_in", "pins", "seconds",
    }  # fmt: skip


def test_the_story_needs_no_home_it_may_write_to(calais, monkeypatch):
    monkeypatch.setenv("CALAIS_HOME", "/proc/nothing")
    calais.ok("demo")
    assert not Path("/proc/nothing").exists()
