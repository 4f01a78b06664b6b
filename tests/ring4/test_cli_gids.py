"""A GIDS card through the command line: made, filled, read, used and emptied, with the PIN and nothing else."""

from __future__ import annotations

import json
import os

import pytest
from commandline import CommandLine, issue, keys, pem
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from calais.cards.base import FileMemory
from calais.cards.gids.applet import GidsApplet
from calais.cards.gids.personalise import new_gids_card
from calais.cards.piv.applet import PivApplet

DEFAULT = "--default-management-key"


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


@pytest.fixture
def grace(calais):
    """A GIDS card with one RSA key and its certificate, in the first virtual reader."""
    contents = [("grace", 1, keys()["9A"], issue(keys()["9A"], "Grace"))]
    calais.virtual.new("grace", lambda memory: new_gids_card(memory, os.urandom, keys=contents))
    calais.ok("virtual", "insert", "grace")
    return calais


def rows(calais):
    return calais.json("key", "list", "--all")["cards"][0]["containers"]


def counters(calais):
    """(PINs, containers, files) of cardcf."""
    raw = bytes.fromhex(calais.json("card", "files", "cardcf")["content"])
    return raw[1], int.from_bytes(raw[2:4], "little"), int.from_bytes(raw[4:6], "little")


def with_pin(calais, *words):
    return calais.json(*words, "--pin-file", calais.pin)


# --- virtual cards of both kinds ---


def test_which_card_a_file_holds_is_told_by_its_content(calais):
    assert calais.json("virtual", "new", "one", "--card", "gids", "--empty")["card"] == "gids"
    assert calais.json("virtual", "new", "two", "--empty")["card"] == "piv"
    one, two = calais.virtual.path("one"), calais.virtual.path("two")
    contents = one.read_bytes(), two.read_bytes()
    two.write_bytes(contents[0])
    one.write_bytes(contents[1])
    listed = {row["name"]: row["card"] for row in calais.json("virtual", "list")["cards"]}
    assert listed == {"one": "piv", "two": "gids"}
    with calais.virtual.holding("two") as card:
        assert isinstance(card.applet, GidsApplet)
    with calais.virtual.holding("one") as card:
        assert isinstance(card.applet, PivApplet)


def test_a_damaged_file_is_listed_as_such(calais):
    calais.ok("virtual", "new", "one", "--card", "gids", "--empty")
    calais.virtual.path("one").write_text("{}")
    assert calais.json("virtual", "list")["cards"][0]["card"] is None
    assert "damaged" in calais.ok("virtual", "list").out


def test_pin_puk_and_admin_key_come_from_files(calais):
    pin, puk, admin = calais.file("p", "2468"), calais.file("u", "13579"), calais.file("a", "ab" * 24)
    words = ("--pin-file", pin, "--puk-file", puk, "--admin-key-file", admin)
    made = calais.json("virtual", "new", "x", "--card", "gids", "--empty", "--insert", *words)
    assert made["default_secrets"] is False
    calais.ok("pin", "verify", "--pin-file", pin)
    assert calais.run("pin", "verify", "--pin-file", calais.pin).code == 4
    with calais.virtual.holding("x") as card:
        assert card.applet.state.admin_key().value == bytes.fromhex("ab" * 24)
    names = [row["name"] for row in calais.json("pin", "status")["pins"]]
    assert names == ["PIN", "PUK"]


@pytest.mark.parametrize(
    "words",
    [
        ("--card", "gids", "--no-chuid"),
        ("--card", "gids", "--image", "."),
        ("--blank",),
        ("--card", "piv", "--admin-key-file", "p"),
        ("--card", "gids", "--blank", "--empty"),
        ("--card", "gids", "--blank", "--pin-file", "p"),
        ("--card", "gids", "--admin-key-file", "p"),
        ("--card", "token"),
    ],
)  # fmt: skip
def test_options_of_the_other_card_are_usage_errors_and_nothing_is_made(calais, words):
    calais.file("p", "not hexadecimal")
    assert calais.run("virtual", "new", "x", *words).code == 2
    assert calais.json("virtual", "list")["cards"] == []


def test_a_blank_card_says_how_to_go_on_and_is_no_card_yet(calais):
    made = calais.run("virtual", "new", "x", "--card", "gids", "--blank")
    assert "calais card init" in made.out
    calais.ok("virtual", "insert", "x")
    assert calais.run("key", "list").code == 0
    assert calais.run("pin", "status").code == 1


# --- reading ---


def test_readers_scinfo_and_key_list_know_the_card(grace):
    assert grace.json("readers")["readers"][0]["card"].startswith("GIDS ")
    found = grace.json("scinfo", "--pin-file", grace.pin)
    assert found["findings"] == []
    (row,) = rows(grace)
    assert (row["reference"], row["container"], row["use"], row["key"]) == ("81", "grace", "exchange", "RSA-2048")
    assert row["default"]


def test_the_logical_files_of_both_kinds_are_listed_and_shown(grace):
    found = {row["path"]: row for row in grace.json("card", "files")["files"]}
    assert set(found) == {"cardid", "cardapps", "cardcf", "mscp/cmapfile", "mscp/kxc00"}
    assert found["mscp/kxc00"]["meaning"] == "compressed certificate of CN=Grace"
    assert "0 grace" in found["mscp/cmapfile"]["meaning"]
    assert found["cardcf"]["meaning"] == "PINs 0, containers 0, files 0"
    assert "admin writes" in found["cardid"]["access"]
    assert "01 00" in grace.ok("card", "files", "mscp/kxc00").out
    grace.ok("card", "files", "MSCP\\kxc00", "-o", "out")
    assert (grace.folder / "out").read_bytes()[:2] == b"\1\0"
    grace.card("ada", reader="Desk")
    piv = {row["path"]: row for row in grace.json("card", "files", "--reader", "Desk")["files"]}
    assert {"cardid", "cardapps", "cardcf", "mscp/cmapfile"} <= set(piv)
    assert not any(row["problem"] for row in piv.values())


@pytest.mark.parametrize(("file", "code"), [("mscp/nothing", 1), ("nodir/x", 1), ("a/b/c", 2), ("waytoolongname", 2)])
def test_files_that_a_card_cannot_have(grace, file, code):
    assert grace.run("card", "files", file).code == code


def test_an_output_without_a_file_is_a_usage_error(grace):
    assert grace.run("card", "files", "-o", "out").code == 2


# --- using ---


def test_its_certificate_is_propagated_and_signs_and_decrypts_through_its_link_also_after_reinsertion(grace):
    assert [row["action"] for row in grace.json("propagate")["outcomes"]] == ["added"]
    assert "the link is whole" in grace.ok("cert", "explain", "Grace").out
    document = grace.file("doc", "text")
    grace.ok("virtual", "remove", "grace")
    assert grace.run("sign", document, "--cert", "Grace", "--pin-file", grace.pin).code == 3
    grace.ok("virtual", "insert", "grace", "--reader", "Another")
    grace.ok("sign", document, "--cert", "Grace", "--pin-file", grace.pin)
    grace.ok("verify", document, f"{document}.sig", "--cert", "Grace")
    hidden = keys()["9A"].public_key().encrypt(b"secret", padding.PKCS1v15())
    (grace.folder / "hidden").write_bytes(hidden)
    grace.ok("decrypt", grace.folder / "hidden", "--cert", "Grace", "-o", "plain", "--pin-file", grace.pin)
    assert (grace.folder / "plain").read_bytes() == b"secret"
    again = [grace.json("propagate")["outcomes"][0]["action"] for _ in range(2)]
    assert again == ["refreshed", "unchanged"]


def test_pins_are_counted_verified_and_changed(grace):
    assert grace.json("pin", "status")["pins"][0]["attempts_left"] == 3
    assert grace.run("pin", "verify", "--pin-file", grace.wrong_pin).code == 4
    assert grace.json("pin", "status")["pins"][0]["attempts_left"] == 2
    new = grace.file("new", "98765432")
    grace.ok("pin", "change", "--pin-file", grace.pin, "--new-pin-file", new)
    grace.ok("pin", "verify", "--pin-file", new)
    assert grace.json("pin", "status")["pins"][0]["attempts_left"] == 3


# --- changing ---


def test_a_key_is_made_with_the_pin_and_its_books_are_kept(grace):
    before = counters(grace)
    words = ("--algorithm", "p256", "--purpose", "signature", "--name", "my key", "--self-signed", "--subject", "G")
    made = with_pin(grace, "card", "generate", "new", *words)
    assert (made["slot"], made["container"]) == ("82", "my key")
    _, containers, files = counters(grace)
    assert containers > before[1]
    assert files > before[2]
    assert [row["container"] for row in rows(grace)] == ["grace", "my key"]
    assert rows(grace)[1]["use"] == "signature"
    found = {row["path"]: row["meaning"] for row in grace.json("card", "files")["files"]}
    assert found["mscp/ksc01"] == "compressed certificate of CN=G"
    x509.load_pem_x509_certificate(made["certificate"].encode())
    document = grace.file("doc", "text")
    grace.ok("sign", document, "--container", "my key", "--pin-file", grace.pin)
    public = serialization.load_pem_public_key(made["public_key"].encode())
    raw = (grace.folder / "doc.sig").read_bytes()
    public.verify(raw, b"text", ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(("algorithm", "hash_name"), [("p384", "sha384"), ("p521", "sha512")])
def test_larger_curves_sign_requests_with_a_hash_of_their_strength(grace, algorithm, hash_name):
    made = with_pin(grace, "card", "generate", "new", "--algorithm", algorithm, "--csr", "--subject", "G")
    request = x509.load_pem_x509_csr(made["csr"].encode())
    assert request.is_signature_valid
    assert request.signature_hash_algorithm.name == hash_name


def test_a_key_is_made_over_one_that_is_there_under_its_name_and_use(grace):
    before = rows(grace)[0]
    with_pin(grace, "card", "generate", "grace", "--algorithm", "p256")
    after = rows(grace)[0]
    assert (after["container"], after["use"], after["default"]) == (before["container"], before["use"], True)
    assert after["key"] == "P-256"


def test_a_key_with_its_certificate_is_loaded_and_taken_away_again(grace):
    both = keys()["9D"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = grace.file("both.pem", both + pem(issue(keys()["9D"], "Loaded")))
    loaded = with_pin(grace, "card", "import", "new", path, "--name", "loaded")
    assert (loaded["slot"], loaded["certificate"]) == ("82", True)
    gone = with_pin(grace, "card", "delete", "loaded", "--cert")
    assert gone["deleted"] == ["the certificate"]
    assert rows(grace)[1]["has_certificate"] is False
    with_pin(grace, "card", "put-cert", "82", grace.file("c.pem", pem(issue(keys()["9D"], "Loaded"))))
    gone = with_pin(grace, "card", "delete", "loaded", "--key", "--yes")
    assert gone["deleted"] == ["the key", "the certificate"]
    assert [row["container"] for row in rows(grace)] == ["grace"]
    assert [row["path"] for row in grace.json("card", "files")["files"]][-1] == "mscp/kxc00"


def test_the_pin_is_read_before_the_password_of_a_locked_key(grace):
    locked = keys()["9D"].private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"open sesame")
    )
    path = grace.file("locked.pem", locked)
    words = ("card", "import", "new", path, "--pin-stdin", "--password-stdin")
    result = grace.run(*words, stdin=b"123456\nopen sesame\n")
    assert result.code == 0, result.err
    assert len(rows(grace)) == 2


def test_a_certificate_of_another_key_is_refused_unless_it_is_forced(grace):
    other = grace.file("c.pem", pem(issue(keys()["other"])))
    assert grace.run("card", "put-cert", "81", other, "--pin-file", grace.pin).code == 3
    with_pin(grace, "card", "put-cert", "81", other, "--force")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("card", "generate", "new", DEFAULT), 2),
        (("card", "generate", "9A"), 2),
        (("card", "generate", "new", "--pin-policy", "always"), 2),
        (("card", "generate", "new", "--algorithm", "ed25519"), 2),
        (("card", "generate", "new", "--name", "grace"), 1),
        (("card", "delete", "new", "--key", "--yes"), 2),
        (("card", "delete", "7", "--key", "--yes"), 2),
    ],
)
def test_what_a_gids_card_does_not_take_is_refused_and_nothing_changes(grace, words, code):
    before = FileMemory(grace.virtual.path("grace")).read()
    assert grace.run(*words, "--pin-file", grace.pin).code == code
    assert FileMemory(grace.virtual.path("grace")).read() == before


@pytest.mark.parametrize("words", [("--purpose", "signature"), ("--name", "x")])
def test_what_a_piv_card_settles_by_the_slot_is_refused_there(calais, words):
    calais.card("ada")
    assert calais.run("card", "generate", "9A", DEFAULT, *words).code == 2
    assert calais.run("card", "generate", "new", DEFAULT).code == 2


def test_without_a_pin_or_with_a_wrong_one_nothing_changes(grace):
    before = grace.virtual.path("grace").read_bytes()
    nobody = grace.run("card", "generate", "new", "--json")
    assert (nobody.code, nobody.error["name"]) == (4, "NTE_SILENT_CONTEXT")
    assert grace.virtual.path("grace").read_bytes() == before
    assert grace.run("card", "generate", "new", "--pin-file", grace.wrong_pin).code == 4
    assert len(rows(grace)) == 1


def test_policy_that_makes_cards_read_only_is_exit_code_5(grace):
    (grace.virtual.directory.parent / "policy.toml").write_text("[gids]\nwrite = false\n")
    refused = grace.run("card", "generate", "new", "--pin-file", grace.pin, "--json")
    assert refused.code == 5
    assert "gids.write" in refused.error["detail"]


def test_a_read_only_card_keeps_what_it_has(calais):
    calais.ok("virtual", "new", "x", "--card", "gids", "--empty", "--read-only", "--insert")
    before = calais.virtual.path("x").read_bytes()
    assert calais.run("card", "generate", "new", "--pin-file", calais.pin).code == 3
    assert calais.virtual.path("x").read_bytes() == before
    assert json.loads(calais.ok("card", "files", "--json").out)["files"]


def test_a_blank_card_is_initialised_and_then_takes_a_key(calais):
    calais.json("virtual", "new", "blank", "--card", "gids", "--blank", "--insert")
    words = ("card", "init", "--new-pin-file", calais.pin, "--without-admin-key")
    made = calais.json(*words)
    assert made["admin_key"] is False
    assert calais.json("card", "files", "cardid")["content"] == made["card_id"]
    with_pin(calais, "card", "generate", "new", "--algorithm", "P256", "--self-signed", "--subject", "Grace")
    assert len(rows(calais)) == 1
    again = calais.run(*words, "--json")
    assert again.code != 0
    assert json.loads(again.err)["error"]["name"] == "ERROR_FILE_EXISTS"
    assert len(rows(calais)) == 1


def test_an_admin_key_and_none_at_once_is_a_usage_error(calais):
    key = calais.file("admin.key", "00" * 24)
    assert calais.run("card", "init", "--without-admin-key", "--admin-key-file", key).code == 2
