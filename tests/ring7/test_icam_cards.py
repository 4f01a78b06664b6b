"""Our host on the contents of real PIV cards: the test cards of the United States' ICAM programme (GSA, CC0).

The folder is found through ``CALAIS_TEST_CARDS``, or as ``../shared/data/icam-cards`` beside the checkout.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commandline import CommandLine

PLACES = (os.environ.get("CALAIS_TEST_CARDS"), Path(__file__).resolve().parents[3] / "shared/data/icam-cards")
FOLDER = next((Path(place) for place in PLACES if place and Path(place).is_dir()), None)
pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="the ICAM card images are not here: name their folder in CALAIS_TEST_CARDS"
)

GOLDEN = (
    "01_Golden_PIV",
    "02_Golden_PIV-I",
    "39_Golden_FIPS_201-2_Fed_PIV-I",
    "41_Re-keyed_Card",
    "46_Golden_FIPS_201-2_PIV",
)
SOUND = (  # nothing is wrong with these either: unusual, or wrong in a way that takes the issuer's certificate to see
    "05_Tampered_Certificates",
    "26_Disco_Object_Present_App_PIN_Only",
    "28_Disco_Object_Present_Global_PIN_Primary",
    "53_FIPS_201-2_Large_Card_Auth_Cert",
)
WRONG = {
    "04_Tampered_CHUID": {("chuid_tampered", "CHUID"), ("object_tampered", "Card Holder Unique Identifier"),
                          ("fasc_n_mismatch", "9A"), ("fasc_n_mismatch", "9E")},
    "08_Tampered_Security_Object": {("security_object_tampered", "Security Object")},
    "13_Certs_are_expired": {("certificate_expired", "9A"), ("certificate_expired", "9E")},
    "14_Expired_CHUID": {("chuid_expired", "CHUID")},
    "19_CHUID_UUID_mismatch": {("uuid_mismatch", "9A"), ("uuid_mismatch", "9E")},
    "23_Public_Private_Key_mismatch": {("key_mismatch", "9A"), ("key_mismatch", "9E")},
    "25_Disco_Object_Not_Present": {("discovery_missing", "Discovery Object")},
}  # fmt: skip
ALL = (*GOLDEN, *SOUND, *WRONG)


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


@pytest.fixture
def card(calais, request):
    calais.ok("virtual", "new", "icam", "--image", FOLDER / request.param, "--insert")
    return calais


def test_every_image_is_in_one_of_the_lists():
    assert sorted(ALL) == sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


@pytest.mark.parametrize("card", ALL, indirect=True)
def test_each_card_lists_its_certificates_and_its_links(card):
    assert card.json("propagate")["totals"] == {"added": 4}
    rows = card.json("cert", "list")["certificates"]
    assert len(rows) == 4
    assert all(row["linked"] and row["key"] == "RSA-2048" for row in rows)
    assert card.json("propagate")["totals"] == {"unchanged": 4}


@pytest.mark.parametrize("card", [*GOLDEN, *SOUND], indirect=True)
def test_nothing_is_wrong_with_a_sound_card_and_every_key_works(card):
    found = card.json("scinfo", "--pin-file", card.pin)
    assert found["findings"] == []
    assert [row["sign"] for row in found["containers"]] == ["ok"] * 4
    assert [row["match"] for row in found["containers"]] == ["ok"] * 4
    assert card.json("pin", "status")["pins"][0]["attempts_left"] == 3


@pytest.mark.parametrize("card", WRONG, indirect=True)
def test_the_one_thing_that_is_wrong_is_named(card, request):
    result = card.run("scinfo", "--pin-file", card.pin, "--json")
    expected = WRONG[request.node.callspec.params["card"]]
    found = {(finding["name"], finding["where"]) for finding in result.json["findings"]}
    assert found == expected
    worst = result.json["findings"][0]["severity"]
    assert result.code == (1 if worst == "fault" else 0)
    page = card.run("scinfo", "--pin-file", card.pin).out
    assert all(name in page for name, _ in expected)


@pytest.mark.parametrize("card", GOLDEN, indirect=True)
@pytest.mark.parametrize("slot", ["9A", "9C", "9D", "9E"])
def test_a_golden_card_signs_through_the_store(card, slot):
    card.ok("propagate")
    document = card.file("doc", "text")
    row = next(row for row in card.json("key", "list")["cards"][0]["containers"] if row["reference"] == slot)
    cert = next(each for each in card.json("cert", "list")["certificates"] if each["container"] == row["container"])
    card.ok("sign", document, "--cert", cert["thumbprint"], "--pin-file", card.pin)
    card.ok("verify", document, "doc.sig", "--cert", cert["thumbprint"])


@pytest.mark.parametrize("card", ["23_Public_Private_Key_mismatch"], indirect=True)
def test_a_signature_that_its_certificate_would_not_verify_is_not_given_out(card):
    result = card.run("sign", "pin", "--container", "9E", "--json")
    assert (result.code, result.error["name"]) == (1, "NTE_BAD_SIGNATURE")
    assert not (card.folder / "pin.sig").exists()
