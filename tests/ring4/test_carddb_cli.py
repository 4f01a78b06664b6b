"""``calais carddb``: list, add, forget, explain."""

from __future__ import annotations

import pytest
from commandline import CommandLine
from tincard import example, tin_card

from calais.cards import registry
from calais.testing import local_system, virtual_piv
from calais.win.codes import Code
from calais.win.errors import WinError

ATR = "3b8c018073c021c05643616c6169733c"
PIV = "Identity Device (NIST SP 800-73 [PIV])"
GIDS = "Identity Device (Microsoft Generic Profile)"


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


def test_the_cards_of_the_built_in_driver_are_always_listed(calais):
    cards = calais.json("carddb", "list")["cards"]
    assert [(row["name"], row["module"], row["built_in"]) for row in cards] == [
        (PIV, "msclmd.dll", True),
        (GIDS, "msclmd.dll", True),
    ]
    assert PIV in calais.ok("carddb", "list").out


def test_a_card_that_was_added_is_listed_after_them_and_can_be_forgotten_once(calais):
    added = calais.json("carddb", "add", "Tin", "--atr", ATR, "--mask", "ff" * 15 + "00", "--module", "tin")
    assert (added["atr"], added["module"]) == (ATR[:-2] + "00", "tin")
    assert [row["name"] for row in calais.json("carddb", "list")["cards"]] == [PIV, GIDS, "Tin"]
    assert calais.json("carddb", "forget", "TIN") == {"name": "Tin"}
    again = calais.run("carddb", "forget", "Tin", "--json")
    assert (again.code, again.error["name"]) == (3, "SCARD_E_UNKNOWN_CARD")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["add", PIV], "ERROR_ALREADY_EXISTS"),
        (["add", "Tin", "--atr", "zz"], "SCARD_E_INVALID_PARAMETER"),
        (["add", "Tin", "--atr", "0102"], "SCARD_E_INVALID_PARAMETER"),
        (["add", "Tin", "--atr", ATR, "--mask", "ff"], "SCARD_E_INVALID_PARAMETER"),
        (["forget", GIDS], "ERROR_ACCESS_DENIED"),
    ],
    ids=["name-taken", "not-hexadecimal", "no-atr", "mask-of-another-length", "built-in"],
)
def test_what_cannot_be_done_is_refused(calais, words, name):
    result = calais.run("carddb", *words, "--json")
    assert result.code != 0
    assert result.error["name"] == name


def test_explain_says_every_step(calais):
    calais.card("ada")
    first = calais.json("carddb", "explain")
    assert (first["card"], first["module"], first["driver"]) == (PIV, "msclmd.dll", PIV)
    assert first["csp"] == "Microsoft Base Smart Card Crypto Provider"
    assert first["ksp"] == "Microsoft Smart Card Key Storage Provider"
    assert [(row["kind"], row["status"], row["found"]) for row in first["asked"]] == [
        ("gids", "6A82", False),
        ("piv", "9000", True),
    ]
    assert first["atr_cache"] is None
    second = calais.json("carddb", "explain", "virtual")
    assert second["atr_cache"] == "piv"
    assert [row["kind"] for row in second["asked"]] == ["piv"]
    page = calais.ok("carddb", "explain").out
    assert "SELECT PIV" in page
    assert "T=1" in page


def test_explain_shows_the_entry_that_matched_and_the_driver_that_is_not_there(calais):
    calais.card("ada")
    calais.ok("carddb", "add", "Other", "--atr", "3b00", "--module", "other")
    calais.ok("carddb", "add", "Tin", "--atr", ATR, "--module", "tin")
    result = calais.run("carddb", "explain", "--json")
    assert result.code == 1
    assert [(row["name"], row["matches"]) for row in result.json["entries"]] == [("Other", False), ("Tin", True)]
    assert (result.json["card"], result.json["module"], result.json["driver"]) == ("Tin", "tin", None)
    assert "tin" in result.json["problem"]
    assert "matches" in calais.run("carddb", "explain").out


def test_explain_without_a_card_is_a_reader_problem(calais):
    assert calais.run("carddb", "explain").code == 3


# --- the entry decides which driver a card gets ---


def introduce(system, card, module):
    from calais.winapi.winscard import (
        SCARD_PROVIDER_CARD_MODULE,
        SCardEstablishContext,
        SCardIntroduceCardType,
        SCardSetCardTypeProviderName,
    )

    with SCardEstablishContext(0, system=system) as context:
        SCardIntroduceCardType(context, "Entry", pbAtr=card.atr)
        SCardSetCardTypeProviderName(context, "Entry", SCARD_PROVIDER_CARD_MODULE, module)


def test_an_entry_keeps_a_card_from_every_other_driver(monkeypatch):
    monkeypatch.setattr(registry, "installed", lambda: {"Tin": example().tin})
    with local_system() as system:
        piv, tin = virtual_piv(keys={}), tin_card()
        introduce(system, piv, "TIN")
        system.insert(piv)
        with pytest.raises(WinError) as caught:
            system.card("Virtual Reader 0")
        assert caught.value.code == Code.SCARD_E_UNKNOWN_CARD
        system.insert(tin, "Other")
        assert system.card("Other").name


def test_the_module_of_the_built_in_driver_passes_installed_ones_over(monkeypatch):
    monkeypatch.setattr(registry, "installed", lambda: {"tin": example().tin})
    with local_system() as system:
        tin = tin_card()
        introduce(system, tin, "MSCLMD.DLL")
        system.insert(tin)
        with pytest.raises(WinError) as caught:
            system.card()
        assert caught.value.code == Code.SCARD_E_UNKNOWN_CARD


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    with local_system() as system:
        piv = virtual_piv(keys={})
        introduce(system, piv, "nowhere.dll")
        system.insert(piv)
        with pytest.raises(WinError) as caught:
            system.card()
        assert "nowhere.dll" in str(caught.value)


def test_a_store_without_entries_is_not_opened_to_identify_a_card(calais):
    calais.card("ada")
    calais.ok("readers")
    store = calais.virtual.directory.parent / "store.db"
    assert not store.exists()
    calais.ok("carddb", "add", "Tin", "--atr", ATR, "--module", "nowhere.dll")
    assert store.exists()
    assert "nowhere.dll" in calais.json("readers")["readers"][0]["problem"]
    calais.ok("carddb", "forget", "Tin")
    assert calais.json("readers")["readers"][0]["problem"] is None


def test_an_entry_without_a_module_changes_nothing():
    with local_system() as system:
        from calais.winapi.winscard import SCardEstablishContext, SCardIntroduceCardType

        piv = virtual_piv(keys={})
        with SCardEstablishContext(0) as context:
            SCardIntroduceCardType(context, "Entry", pbAtr=piv.atr)
        system.insert(piv)
        assert system.card().name == PIV
