from __future__ import annotations

import pytest
from commandline import CommandLine, keys
from pivdesk import certificate

from calais.resource.virtual import DEFAULT_READER


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


@pytest.fixture
def ada(calais):
    calais.card("ada")
    return calais


# --- readers and virtual cards ---


def test_no_readers_is_an_answer_with_a_hint(calais):
    result = calais.ok("readers")
    assert "calais virtual new NAME" in result.out
    assert calais.json("readers")["readers"] == []


def test_a_new_virtual_card_is_made_inserted_listed_and_removed(calais):
    made = calais.json("virtual", "new", "ada", "--empty", "--insert")
    assert made == {
        "name": "ada",
        "card": "piv",
        "file": str(calais.virtual.path("ada")),
        "reader": DEFAULT_READER,
        "default_secrets": True,
        "keys": False,
        "blank": False,
    }
    assert calais.json("virtual", "list")["cards"][0]["reader"] == DEFAULT_READER
    found = calais.json("readers")["readers"][0]
    assert (found["reader"], found["present"]) == (DEFAULT_READER, True)
    assert found["card"].startswith("PIV ")
    assert bytes.fromhex(found["atr"])[0] == 0x3B
    assert calais.json("virtual", "remove") == {"name": "ada", "reader": DEFAULT_READER}
    assert calais.json("readers")["readers"][0]["present"] is False
    assert calais.json("virtual", "insert", "ada", "--reader", "Desk") == {"name": "ada", "reader": "Desk"}
    assert calais.json("virtual", "remove", "ada")["reader"] == "Desk"


def test_a_virtual_card_takes_its_pin_and_puk_from_files(calais):
    pin, puk = calais.file("p", "654321"), calais.file("u", "87654321")
    assert (
        calais.json("virtual", "new", "a", "--empty", "--insert", "--pin-file", pin, "--puk-file", puk)[
            "default_secrets"
        ]
        is False
    )
    calais.ok("pin", "verify", "--pin-file", pin)
    assert calais.run("pin", "verify", "--pin-file", calais.pin).code == 4


def test_the_pages_for_people_say_what_the_documents_say(ada):
    assert "ada" in ada.ok("virtual", "list").out
    assert DEFAULT_READER in ada.ok("readers").out
    assert "No virtual cards" not in ada.ok("virtual", "list").out


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "x" * 65, "a\x1b[2J"])
def test_a_bad_name_for_a_virtual_card_is_a_usage_error(calais, name):
    result = calais.run("virtual", "new", name)
    assert result.code == 2
    assert "\x1b" not in result.err


def test_a_name_that_is_taken_is_refused_and_the_card_stays(ada):
    before = ada.virtual.path("ada").read_bytes()
    assert ada.run("virtual", "new", "ada", "--empty").code == 2
    assert ada.virtual.path("ada").read_bytes() == before


def test_an_unknown_virtual_card_names_those_there_are(ada):
    result = ada.run("virtual", "insert", "bob", "--json")
    assert result.code == 1
    assert "ada" in result.error["next_step"]


def test_a_reader_with_a_card_takes_no_second_one(ada):
    ada.card("bob", reader=None)
    result = ada.run("virtual", "insert", "bob", "--json")
    assert (result.code, result.error["name"]) == (3, "SCARD_E_SHARING_VIOLATION")


# --- which card ---


@pytest.mark.parametrize(
    ("words", "before"),
    [(("pin", "status"), "--reader"), (("scinfo", "--silent"), "calais scinfo"), (("sign", "pin"), "--reader")],
    ids=["pin", "scinfo", "sign"],
)
def test_two_cards_and_no_reader_is_a_usage_error_that_names_the_readers(ada, words, before):
    ada.card("bob", reader="Desk 1")
    result = ada.run(*words, "--json")
    assert result.code == 2
    assert f"{DEFAULT_READER}; Desk 1" in result.error["detail"]
    assert result.error["next_step"] == f"Choose one: {before} '{DEFAULT_READER}'"


def test_a_part_of_a_readers_name_is_enough(ada):
    ada.card("bob", reader="Desk 1")
    assert ada.json("pin", "status", "--reader", "desk")["reader"] == "Desk 1"
    assert ada.json("scinfo", "desk", "--silent")["reader"] == "Desk 1"


def test_an_ambiguous_part_is_a_usage_error(ada):
    ada.card("bob", reader="Virtual Reader 1")
    assert ada.run("pin", "status", "--reader", "virtual").code == 2


def test_an_unknown_reader_names_those_there_are(ada):
    result = ada.run("pin", "status", "--reader", "Nowhere", "--json")
    assert (result.code, result.error["name"]) == (3, "SCARD_E_UNKNOWN_READER")
    assert DEFAULT_READER in result.error["next_step"]


@pytest.mark.parametrize("words", [("pin", "status"), ("scinfo",), ("propagate",), ("sign", "pin")])
def test_without_a_card_the_reader_is_named(ada, words):
    ada.ok("virtual", "remove")
    result = ada.run(*words, "--json")
    assert (result.code, result.error["name"]) == (3, "SCARD_E_NO_SMARTCARD")
    assert DEFAULT_READER in result.error["detail"]


@pytest.mark.parametrize("words", [("pin", "status"), ("scinfo",), ("propagate",)])
def test_without_reader_and_pcscd_the_service_is_named(calais, words):
    result = calais.run(*words, "--json")
    assert (result.code, result.error["name"]) == (3, "SCARD_E_NO_SERVICE")
    assert "pcscd" in result.error["next_step"]


# --- keys ---


def test_keys_are_listed_with_their_containers(ada):
    card = ada.json("key", "list")["cards"][0]
    rows = card["containers"]
    assert [row["reference"] for row in rows] == ["9A", "9C", "9D"]
    assert [row["key"] for row in rows] == ["RSA-2048", "P-256", "RSA-2048"]
    assert [row["pin"] for row in rows] == ["once", "each time", "once"]
    assert [row["use"] for row in rows] == ["exchange", "signature", "exchange"]
    assert [row["default"] for row in rows] == [True, False, False]
    assert rows[0]["container"] in ada.ok("key", "list").out


def test_a_key_without_certificate_is_listed_when_asked_for(calais):
    key = keys()["other"]
    calais.card("ada", keys={0x9A: (key, certificate(key)), 0x9C: (key, None)})
    assert [row["reference"] for row in calais.json("key", "list")["cards"][0]["containers"]] == ["9A"]
    found = calais.json("key", "list", "--all")["cards"][0]["containers"]
    assert [(row["reference"], row["has_certificate"]) for row in found] == [("9A", True), ("9C", False)]


def test_the_keys_of_a_card_without_any_certificate_are_listed(calais):
    calais.card("ada", keys={0x9A: (keys()["other"], None)})
    found = calais.json("key", "list")["cards"][0]["containers"]
    assert [(row["reference"], row["has_certificate"]) for row in found] == [("9A", False)]


def test_a_card_that_nobody_can_read_does_not_hide_the_others(ada):
    ada.card("bob", reader="Desk 1")
    ada.virtual.path("ada").write_bytes(b"damaged")
    cards = ada.json("key", "list")["cards"]
    assert cards[0]["problem"]
    assert len(cards[1]["containers"]) == 3
    rows = ada.json("readers")["readers"]
    assert rows[0]["problem"]
    assert rows[1]["card"]
