"""``calais card repair``: what is left over is shown without rights, mended with them, and keys are spared."""

from __future__ import annotations

import os

import pytest
from commandline import CommandLine, issue, keys
from cryptography.hazmat.primitives.serialization import Encoding

from calais.cards.base import FileMemory
from calais.cards.piv import spec
from calais.cards.piv.personalise import build_certificate_object
from calais.cards.piv.state import object_record

KEY = "--default-management-key"


@pytest.fixture
def cli(capfdbinary, tmp_path, monkeypatch):
    made = CommandLine(capfdbinary, tmp_path, monkeypatch)
    made.card()
    return made


def put(cli, tag, certificate):
    """What another program might have left: a certificate written straight into the card's memory."""
    der = None if certificate is None else certificate.public_bytes(Encoding.DER)
    memory = FileMemory(cli.virtual.path("ada"))
    memory.read()
    memory.commit({object_record(tag): None if der is None else build_certificate_object(der)})


def test_a_card_in_order_is_said_to_be_so_and_not_changed(cli):
    before = cli.virtual.path("ada").read_bytes()
    assert "Nothing is left over" in cli.ok("card", "repair").out
    assert cli.virtual.path("ada").read_bytes() == before


def test_a_certificate_of_another_key_is_named_without_rights_and_deleted_with_them(cli):
    put(cli, spec.SLOT_OF_REF[0x9A].certificate, issue(keys()["other"]))
    looked = cli.run("card", "repair", "--dry-run", "--json")
    assert looked.code == 1
    (found,) = looked.json["found"]
    assert (found["kind"], found["where"], found["mended"]) == ("certificate of another key", "9A", False)
    mended = cli.run("card", "repair", KEY, "--json")
    assert mended.json["changed"]
    assert mended.json["found"][0]["mended"]
    # The key stays and waits for its certificate: that is left to a person.
    assert mended.code == 1
    assert mended.json["left"] == 1


def test_keys_without_certificate_go_only_when_that_is_asked_for(cli):
    cli.run("card", "delete", "9A", "--cert", KEY)
    shown = cli.run("card", "repair", KEY)
    assert shown.code == 1
    assert "waits for its certificate" in shown.out
    assert "left to you" in shown.out
    assert cli.ok("card", "repair", "--remove-keys", KEY).code == 0
    assert cli.ok("card", "repair", "--dry-run").code == 0


def test_without_the_management_key_nothing_is_mended(cli):
    put(cli, spec.SLOT_OF_REF[0x9E].certificate, issue(keys()["other"]))
    wrong = cli.file("key", os.urandom(24).hex())
    assert cli.run("card", "repair", "--management-key-file", wrong).code == 4
    assert cli.run("card", "repair", "--dry-run", "--json").json["found"][0]["where"] == "9E"
