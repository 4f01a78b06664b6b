from __future__ import annotations

import pytest
from commandline import CommandLine

from calais.resource.virtual import DEFAULT_READER


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


def propagated(calais):
    calais.ok("propagate")
    return calais.json("cert", "list")["certificates"][0]["thumbprint"]


def test_nothing_is_remembered_at_first(calais):
    assert "Nothing is remembered" in calais.ok("cache", "show").out
    assert calais.json("cache", "show")["cards"] == []
    assert calais.json("cache", "clear") == {"cleared": 0}


def test_what_one_command_read_waits_for_the_next_with_its_evidence(calais):
    calais.card("ada")
    calais.ok("propagate")
    card = calais.json("cache", "show")["cards"][0]
    assert (card["driver"], card["reader"], card["mode"], card["trusted"]) == ("piv", None, "global", True)
    found = {item["what"]: item for item in card["objects"]}
    assert {item["judged_by"] for item in card["objects"]} == {"restored"}
    assert found["certificate 9A"]["size"] > 300
    assert found["certificate 9A"]["read"].endswith("Z")
    assert found["certificate 9E"]["size"] is None
    assert "not proved yet" in calais.ok("cache", "show").out


def test_a_card_in_a_reader_is_proved_by_its_heads_and_says_so(calais):
    calais.card("ada")
    calais.ok("propagate")
    card = calais.json("cache", "show", DEFAULT_READER)["cards"][0]
    found = {item["what"]: item for item in card["objects"]}
    assert card["reader"] == DEFAULT_READER
    assert (found["certificate 9A"]["judged_by"], found["certificate 9A"]["holds"]) == ("head", True)
    assert found["certificate 9A"]["hits"] >= 1
    assert "first bytes" in calais.ok("cache", "show", DEFAULT_READER).out


def test_a_card_is_forgotten_by_its_id_and_then_all_are(calais):
    calais.card("ada")
    calais.ok("propagate")
    card_id = calais.json("cache", "show")["cards"][0]["card_id"]
    assert calais.json("cache", "show", "--card", "00" + card_id)["cards"] == []
    assert len(calais.json("cache", "show", "--card", card_id[:8].upper())["cards"]) == 1
    assert calais.json("cache", "clear", "--card", "00" + card_id) == {"cleared": 0}
    assert calais.json("cache", "clear", "--card", card_id) == {"cleared": 1}
    calais.ok("propagate")
    assert "one card" in calais.ok("cache", "clear").out
    assert calais.json("cache", "show")["cards"] == []


def test_of_a_card_that_is_not_there_only_that_is_said(calais):
    calais.card("ada")
    calais.ok("propagate")
    first = calais.json("cache", "show")["cards"][0]["card_id"][0]
    other = f"{int(first, 16) ^ 1:x}"
    assert calais.ok("cache", "show", "--card", other).out.endswith(f"a card whose id begins with {other}.\n")
    assert calais.ok("cache", "clear", "--card", other).out == "There was nothing to forget.\n"


def test_a_card_id_is_hexadecimal(calais):
    assert calais.run("cache", "show", "--card", "zz").code == 2


def test_a_file_that_is_not_used_is_named(calais):
    calais.card("ada")
    calais.ok("propagate")
    folder = calais.virtual.directory.parent / "cache"
    path = next(folder.glob("*.memory"))
    path.write_bytes(path.read_bytes()[:-1])
    assert path.name in calais.json("cache", "show")["notes"][0]
    assert "was changed or cut" in calais.ok("cache", "show").out


def test_explain_says_by_what_the_certificate_on_the_card_is_believed(calais):
    calais.card("ada")
    thumbprint = propagated(calais)
    stations = calais.json("cert", "explain", thumbprint)["stations"]
    evidence = next(station for station in stations if station["name"] == "evidence")
    assert "first bytes and length" in evidence["shows"]
