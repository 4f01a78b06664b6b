from __future__ import annotations

import pytest
from commandline import CommandLine, authority, issue, keys, pem

from calais.cards.piv import spec
from calais.cards.piv.image import CardImage
from calais.iso7816 import tlv


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


def faults(document):
    return {finding["name"] for finding in document["findings"] if finding["severity"] == "fault"}


def names(document):
    return {finding["name"] for finding in document["findings"]}


def test_every_key_is_tried_and_a_good_card_has_no_fault(calais):
    calais.card("ada")
    found = calais.json("scinfo", "--pin-file", calais.pin)
    checks = [(row["reference"], row["sign"], row["decrypt"], row["match"]) for row in found["containers"]]
    assert checks == [("9A", "ok", "ok", "ok"), ("9C", "ok", "not tried", "ok"), ("9D", "ok", "ok", "ok")]
    assert faults(found) == set()
    assert found["provider"].startswith("Microsoft Base Smart Card Crypto Provider")
    assert found["pin"] == {"attempts_left": 3, "blocked": False}


def test_the_page_for_people_names_everything(calais):
    calais.card("ada")
    page = calais.ok("scinfo", "--pin-file", calais.pin).out
    for word in (
        "Virtual Reader 0",
        "CN=ada 9A",
        "sign ok  decrypt ok  match ok",
        "(default)",
        "security_object_missing",
    ):
        assert word in page


def test_without_pin_only_keys_that_want_none_are_tried(calais):
    made = keys()
    calais.card("ada", keys={0x9A: (made["9A"], issue(made["9A"])), 0x9E: (made["other"], issue(made["other"]))})
    rows = {row["reference"]: row for row in calais.json("scinfo", "--silent")["containers"]}
    assert (rows["9A"]["sign"], rows["9A"]["match"]) == ("not tried", "not tried")
    assert "PIN" in rows["9A"]["reason"]
    assert (rows["9E"]["sign"], rows["9E"]["match"]) == ("ok", "ok")


@pytest.mark.parametrize("slot", [0x9A, 0x9C, 0x9D, 0x9E, 0x82])
@pytest.mark.parametrize("kind", ["9A", "9C"])
def test_a_key_that_is_not_the_certificates_is_named(calais, slot, kind):
    made = keys()
    wrong = made["9D"] if kind == "9A" else made["other"]
    calais.card("ada", keys={slot: (made[kind], issue(wrong))})
    result = calais.run("scinfo", "--pin-file", calais.pin, "--json")
    if slot == 0x82:  # a retired key counts only when the Key History names it
        assert result.code == 0
        return
    assert result.code == 1
    assert faults(result.json) == {"key_mismatch"}
    assert result.json["findings"][0]["where"] == f"{slot:02X}"


def test_a_wrong_pin_is_presented_once_for_all_keys(calais):
    calais.card("ada")
    result = calais.run("scinfo", "--pin-file", calais.wrong_pin, "--json")
    assert result.code == 4
    assert "SCARD_W_WRONG_CHV" in result.json["pin_trouble"]
    assert all(row["sign"] == "not tried" for row in result.json["containers"])
    assert calais.json("pin", "status")["pins"][0]["attempts_left"] == 2


def test_a_blocked_pin_is_exit_code_4_and_the_rest_is_shown(calais):
    calais.card("ada")
    for _ in range(3):
        calais.run("pin", "verify", "--pin-file", calais.wrong_pin)
    result = calais.run("scinfo", "--pin-file", calais.pin, "--json")
    assert result.code == 4
    assert result.json["pin"]["blocked"] is True
    assert len(result.json["containers"]) == 3
    assert "blocked" in calais.run("scinfo", "--silent").out


def test_the_issuer_is_looked_for_in_files(calais):
    calais.card("ada")
    unknown = calais.json("scinfo", "--silent")
    assert {row["chain"] for row in unknown["containers"]} == {"issuer unknown"}
    calais.file("authority.pem", pem(authority()))
    known = calais.json("scinfo", "--silent", "--issuer", "authority.pem")
    assert {row["chain"] for row in known["containers"]} == {"verified"}


def test_a_card_without_chuid_or_discovery_is_told_so(calais):
    calais.card("ada", chuid_guid=b"", discovery=False, keys={})
    result = calais.run("scinfo", "--json")
    assert result.code == 1
    assert {"chuid_missing", "discovery_missing", "security_object_missing"} <= names(result.json)


def test_a_card_of_curve_keys_is_tried_by_agreeing_on_a_secret(calais):
    made = keys()
    calais.card("ada", keys={0x9D: (made["9C"], issue(made["9C"]))})
    (row,) = calais.json("scinfo", "--pin-file", calais.pin)["containers"]
    assert (row["decrypt"], row["match"]) == ("ok", "ok")


def test_a_damaged_certificate_and_damaged_objects_are_named(calais):
    objects = {
        spec.TAG_PIV_AUTH_CERT: tlv.build(spec.TAG_CERTIFICATE, b"no certificate") + bytes.fromhex("710100FE00"),
        spec.TAG_CHUID: b"\x30\x50",
        spec.TAG_DISCOVERY: b"\x4f\x00",
        spec.TAG_SECURITY_OBJECT: b"\xba\x00",
    }
    calais.card("ada", image=CardImage(objects, {spec.REF_PIV_AUTH: keys()["9C"]}))
    result = calais.run("scinfo", "--pin-file", calais.pin, "--json")
    assert result.code == 1
    assert names(result.json) == {
        "certificate_unreadable", "chuid_unreadable", "discovery_unreadable", "security_object_unreadable",
    }  # fmt: skip
    propagated = calais.run("propagate", "--json")
    assert (propagated.code, propagated.json["totals"]) == (1, {"failed": 1})
    assert "failed" in calais.run("propagate").out
    assert calais.run("scinfo", "--silent").code == 1
