"""``calais cert repair``: links that are missing or wrong, written anew from the command line."""

from __future__ import annotations

import pytest
from commandline import CommandLine, issue, keys, pem

from calais.system import System
from calais.win.flags.crypt32 import PropId
from calais.win.structs import CryptKeyProvInfo

BASE, KSP = "Microsoft Base Smart Card Crypto Provider", "Microsoft Smart Card Key Storage Provider"


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    calais = CommandLine(capfdbinary, tmp_path, monkeypatch)
    calais.card("ada")
    calais.ok("propagate")
    return calais


def change(link, **properties):
    """Change the certificates of the store as another program would: their links by ``link``, and ``properties``."""
    with System.local() as system, system.store() as store:
        for each in store:
            each.set(PropId.KEY_PROV_INFO, link(each.key_prov_info))
            for name, value in properties.items():
                each.set(PropId[name], value)


def links():
    with System.local() as system, system.store() as store:
        return {each.sha1: each.key_prov_info for each in store}


def properties():
    with System.local() as system, system.store() as store:
        return {each.sha1: {prop: each.get(prop) for prop in each.property_ids()} for each in store}


def outcomes(result):
    return sorted(row["outcome"] for row in result["certificates"])


def breaks(calais, cert):
    result = calais.run("cert", "explain", cert, "--json")
    assert result.code == 1
    return result.json["breaks"]


def gone(link):
    return CryptKeyProvInfo("gone", link.prov_name, link.prov_type, 0, (), link.key_spec)


def test_whole_links_are_left_alone(calais):
    before = links()
    found = calais.json("cert", "repair", "--all")
    assert (outcomes(found), found["repaired"]) == (["whole"] * 3, True)
    assert links() == before
    assert "the link leads to the key" in calais.ok("cert", "repair", "--all").out


@pytest.mark.parametrize(("link", "outcome"), [(lambda _: None, "linked"), (gone, "relinked")], ids=["none", "gone"])
def test_links_are_written_anew_and_all_else_stays(calais, link, outcome):
    before = properties()
    change(link, KEY_REPAIR_ATTEMPTED=b"1", FRIENDLY_NAME="mine")
    dry = calais.json("cert", "repair", "--all", "--dry-run")
    assert (outcomes(dry), dry["dry_run"]) == ([outcome] * 3, True)
    assert links() != {sha1: each[PropId.KEY_PROV_INFO] for sha1, each in before.items()}
    assert outcomes(calais.json("cert", "repair", "--all")) == [outcome] * 3
    assert properties() == {sha1: {**each, PropId.FRIENDLY_NAME: "mine"} for sha1, each in before.items()}
    assert outcomes(calais.json("cert", "repair", "--all")) == ["whole"] * 3


def test_one_certificate_may_be_named(calais):
    change(lambda _: None)
    assert breaks(calais, "ada 9A")[0]["name"] == "no_link"
    (row,) = calais.json("cert", "repair", "ada 9A")["certificates"]
    assert (row["outcome"], row["provider"], row["reader"], row["reference"]) == (
        "linked", BASE, "Virtual Reader 0", "9A",
    )  # fmt: skip
    assert calais.json("cert", "explain", "ada 9A")["works"]
    assert sum(link is not None for link in links().values()) == 1


def test_what_explain_says_mends(calais):
    change(gone)
    (broken,) = breaks(calais, "ada 9D")
    assert "calais cert repair" in broken["mend"]
    calais.ok("cert", "repair", "ada 9D")
    assert calais.json("cert", "explain", "ada 9D")["works"]


def test_without_the_card_it_says_so_and_changes_nothing(calais):
    change(gone)
    before = links()
    calais.ok("virtual", "remove")
    result = calais.run("cert", "repair", "--all", "--json")
    assert (result.code, outcomes(result.json), result.json["repaired"]) == (1, ["missing"] * 3, False)
    assert links() == before
    assert "Insert the card" in calais.run("cert", "repair", "--all").out


def test_certificates_that_never_had_a_key_do_not_disturb(calais):
    with System.local() as system, system.store() as store:
        store.add(pem_to_der(pem(issue(keys()["other"], "somebody"))))
    assert outcomes(calais.json("cert", "repair", "--all")) == ["keyless", "whole", "whole", "whole"]
    assert calais.run("cert", "repair", "somebody").code == 1


def pem_to_der(text):
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_pem_x509_certificate(text).public_bytes(Encoding.DER)


@pytest.mark.parametrize("words", [(), ("ada 9A", "--all")])
def test_one_or_all_must_be_said(calais, words):
    assert calais.run("cert", "repair", *words).code == 2


def test_names_that_change_each_time_are_mended_until_the_card_is_pulled(capfdbinary, tmp_path, monkeypatch):
    calais = CommandLine(capfdbinary, tmp_path, monkeypatch)
    calais.card("ada", chuid_guid=b"")
    calais.ok("propagate")
    document = calais.file("doc", "text")
    found = calais.json("cert", "repair", "--all")
    assert outcomes(found) == ["relinked"] * 3
    assert all("new names each time" in row["reason"] for row in found["certificates"])
    calais.ok("sign", document, "--cert", "ada 9A", "--pin-file", calais.pin)
