"""``calais certify``: readers, driver classes, files, exit codes, and the name that a destructive run wants."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from commandline import CommandLine

CLASS = "calais.cards.piv.driver:PivMinidriver"
ONLY = ("--only", "files", "--only", "pins")


@pytest.fixture
def cli(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


def test_a_driver_class_is_tried_on_a_card_of_its_own(cli):
    shown = cli.ok("certify", "--driver", CLASS, *ONLY).out
    assert "files.cardid_length" in shown
    assert "What operations cost" in shown
    assert "passed" in shown.splitlines()[-1]


def test_the_card_in_a_reader_is_tried_without_secrets(cli):
    cli.card()
    found = cli.json("certify", "Virtual Reader 0", *ONLY)
    assert found["passed"]
    assert found["subject"] == "Virtual Reader 0"
    assert not found["destructive"]
    assert found["summary"]["skipped"] > 0


def test_with_the_pin_keys_are_tried_and_other_processes_look_on(cli):
    cli.card()
    words = ("--only", "sign", "--only", "contexts.processes", "--only", "faults.real_reset")
    found = cli.json("certify", *words, "--pin-file", cli.pin)
    verdicts = {check["name"]: check["verdict"] for check in found["checks"]}
    assert verdicts["contexts.processes"] == "pass"
    assert verdicts["sign.rsa_pkcs1_padding"] == "pass"
    assert found["passed"]


def test_the_pin_is_in_none_of_the_files(cli):
    cli.card()
    cli.ok(
        "certify", "--only", "pins", "--pin-file", cli.pin, "--html", "r.html", "--junit", "r.xml", "--json", "r.json"
    )
    for name in ("r.html", "r.xml", "r.json"):
        text = (cli.folder / name).read_text()
        assert "123456" not in text
        assert "313233343536" not in text.replace(" ", "")
    assert ET.parse(cli.folder / "r.xml").getroot().tag == "testsuites"
    assert json.loads((cli.folder / "r.json").read_text())["certify"] == 1


def test_json_goes_to_the_standard_output_alone(cli):
    found = cli.json("certify", "--driver", CLASS, "--only", "files.cardid_length")
    assert [check["name"] for check in found["checks"]] == ["files.cardid_length"]


def test_a_failed_check_is_exit_code_1_with_its_evidence(cli):
    result = cli.run("certify", "--driver", "broken_drivers:PinSetOffByOne", "--only", "properties")
    assert result.code == 1
    assert "Failed: properties.pin_list" in result.out
    assert "0x1E" in result.out


def test_changes_want_the_name_of_the_card(cli):
    cli.card()
    before = cli.virtual.path("ada").read_bytes()
    result = cli.run("certify", "--destructive", "another card", "--pin-file", cli.pin, "--default-management-key")
    assert result.code == 2
    assert "nothing was tried" in result.err
    assert "Name it by its serial number" in result.err
    assert cli.virtual.path("ada").read_bytes() == before


def test_a_named_card_is_changed_and_left_as_it_was(cli):
    cli.card()
    serial = cli.json("scinfo", "--silent")["serial"]
    before = cli.json("key", "list")
    secrets = ("--pin-file", cli.pin, "--puk-file", cli.puk, "--default-management-key")
    found = cli.json(
        "certify", "--destructive", serial, *secrets, "--only", "write", "--only", "pin_change", "--only", "arguments"
    )
    assert found["destructive"]
    assert found["passed"], [check for check in found["checks"] if check["verdict"] == "fail"]
    assert found["summary"]["skipped"] == 0
    assert cli.json("key", "list") == before
    cli.ok("pin", "verify", "--pin-file", cli.pin)


def test_nothing_is_changed_without_being_asked(cli):
    cli.card()
    before = cli.virtual.path("ada").read_bytes()
    cli.ok("certify", "--pin-file", cli.pin, "--default-management-key", "--only", "write", "--only", "files")
    assert cli.virtual.path("ada").read_bytes() == before


def test_a_gids_card_in_a_reader_is_green_with_all_that_opens_it(cli):
    cli.ok("virtual", "new", "grace", "--card", "gids", "--insert")
    serial = cli.json("scinfo", "--silent")["serial"]
    key = cli.file("key", "00" * 24)
    found = cli.json("certify", "--destructive", serial, "--pin-file", cli.pin, "--management-key-file", key)
    assert [check["name"] for check in found["checks"] if check["verdict"] == "fail"] == []
    assert found["summary"]["skipped"] == 0
    assert cli.ok("card", "repair", "--dry-run")


def test_checks_are_listed_with_their_rules(cli):
    assert "sign.rsa_byte_order" in cli.ok("certify", "--list").out
    rows = cli.json("certify", "--list", "--only", "sign")["checks"]
    assert all(row["rule"] and row["source"] for row in rows)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--driver", "nonsense"), 2),
        (("--driver", "no.such.module:Class"), 2),
        (("--driver", "calais.win.errors:WinError"), 2),
        (("--driver", CLASS, "--only", "nosuch"), 2),
        (("--driver", CLASS, "--destructive", "x"), 2),
        (("no such reader",), 3),
    ],
)
def test_what_makes_no_sense_is_said(cli, words, code):
    assert cli.run("certify", *words).code == code
