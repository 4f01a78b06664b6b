"""What commands say when files, disks, names or cards are not as they should be: the truth, short, with a next step."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import warnings

import pytest
from commandline import CommandLine, issue, keys

from calais.cli import failure
from calais.cli.safe import short
from calais.resource.cachefile import CacheFolder
from calais.resource.virtual import DEFAULT_READER
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadParameter, WinError


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


@pytest.fixture
def ada(calais):
    key = keys()["other"]
    calais.card("ada", keys={0x9A: (key, issue(key, "ada 9A"))})
    return calais


def unreadable(calais):
    atr = calais.json("readers")["readers"][0]["atr"]
    calais.ok("carddb", "add", "Tin", "--atr", atr, "--module", "nowhere")


# --- cards that cannot be read ---


def test_a_card_that_cannot_be_read_is_not_a_card_without_certificates(ada):
    unreadable(ada)
    result = ada.run("cert", "logon", "--json")
    assert (result.code, result.json["certificates"]) == (1, [])
    (card,) = result.json["cards"]
    assert (card["reader"], card["card"]) == (DEFAULT_READER, None)
    assert "nowhere" in card["problem"]
    page = ada.run("cert", "logon").out
    assert "cannot be read" in page
    assert "no certificates" not in page
    assert "that can be read have no certificates" in ada.ok("propagate").out


def test_no_reader_is_not_just_no_card(calais):
    shown = calais.json("key", "list")
    assert shown["cards"] == []
    page = " ".join(calais.ok("key", "list").out.split())
    assert all(note in page for note in shown["notes"])


# --- files and disks ---


def full_disk(path, content):
    raise OSError(28, "No space left on device")


def test_what_cannot_be_forgotten_is_not_said_to_be(ada, monkeypatch):
    ada.ok("propagate")
    saved = next((ada.virtual.directory.parent / "cache").glob("*.memory"))
    monkeypatch.setattr(type(saved), "unlink", lambda *_, **__: full_disk(*_, b""))
    result = ada.run("cache", "clear", "--json")
    assert (result.code, result.error["name"]) == (6, "ERROR_ACCESS_DENIED")
    assert str(saved) in result.error["detail"]
    monkeypatch.undo()
    assert saved.exists()


def test_a_saved_memory_that_could_not_be_written_leaves_nothing_beside_it(tmp_path, monkeypatch):
    from calais.minidriver.memo import KeptCard

    real = __import__("os").fdopen

    def failing(descriptor, *rest, **more):
        stream = real(descriptor, *rest, **more)
        stream.close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdopen", failing)
    assert not CacheFolder(tmp_path).save(KeptCard("piv", b"m", b"i" * 16, "PIV", b"\x3b\x00", ()))
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_another_process_has_made_meanwhile_is_taken(tmp_path, monkeypatch):
    first, second = CacheFolder(tmp_path), CacheFolder(tmp_path)
    assert second._existing_key() is None
    made = first._new_key()
    assert second._new_key() == made


def test_a_full_disk_under_a_virtual_card_is_the_machines_problem(calais, monkeypatch):
    from calais.cards.base import FileMemory

    monkeypatch.setattr(FileMemory, "_replace", full_disk)
    result = calais.run("virtual", "new", "ada", "--empty", "--json")
    assert (result.code, result.error["name"]) == (6, "ERROR_DISK_FULL")
    assert "Make room" in result.error["next_step"]


def test_a_card_that_was_made_for_a_reader_that_is_taken_says_so(ada):
    result = ada.run("virtual", "new", "bob", "--empty", "--insert", "--json")
    assert (result.code, result.error["name"]) == (3, "SCARD_E_SHARING_VIOLATION")
    assert result.error["detail"] == f"bob was made and not inserted: ada is in {DEFAULT_READER}"
    assert "calais virtual insert bob --reader" in result.error["next_step"]
    ada.ok("virtual", "insert", "bob", "--reader", "Desk")


def test_a_file_that_is_no_store_keeps_its_mode(calais, monkeypatch):
    path = calais.file("letter", "Dear Sir or Madam")
    path.chmod(0o644)
    monkeypatch.setenv("CALAIS_STORE", str(path))
    result = calais.run("cert", "list", "--json")
    assert (result.code, result.error["name"]) == (6, "ERROR_DATABASE_FAILURE")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


# --- readers, windows ---


def test_a_damaged_table_of_virtual_readers_is_not_laid_on_real_ones(ada):
    (ada.virtual.directory / "readers.json").write_text("{")
    for words in (("readers",), ("key", "list")):
        page = " ".join(ada.ok(*words).out.split())
        assert "Readers cannot be seen: SCARD_E_COMM_DATA_LOST" in page


def test_another_store_is_not_filled_by_propagation_and_needs_a_name(calais):
    assert "propagate" in calais.ok("cert", "list", "--store", "MY").out
    assert "propagate" not in calais.ok("cert", "list", "--store", "AddressBook").out
    assert calais.run("cert", "list", "--store", "").code == 2


def test_the_command_that_mends_a_missing_link_is_one_that_runs(ada):
    from calais.system import System

    ada.ok("propagate")
    with System.local() as system, system.store("My") as store:
        (certificate,) = store
        certificate.key_prov_info = None
    mend = ada.run("cert", "explain", "1", "--json").json["breaks"][0]["mend"]
    assert "calais cert repair" in mend
    ada.ok(*mend.partition("calais ")[2].split())
    ada.ok("cert", "explain", "1")


def test_of_several_readers_the_one_with_the_card_is_meant(ada):
    ada.virtual.plug("Virtual Reader 1")
    assert ada.json("pin", "status", "--reader", "virtual")["reader"] == DEFAULT_READER
    ada.ok("virtual", "new", "bob", "--empty")
    ada.ok("virtual", "insert", "bob", "--reader", "Virtual Reader 1")
    assert ada.run("pin", "status", "--reader", "virtual").code == 2


@pytest.mark.parametrize(
    ("words", "before"),
    [(("cache", "show", "Virtual"), "calais cache show"), (("carddb", "explain"), "calais carddb explain")],
    ids=["part", "none"],
)
def test_the_reader_is_chosen_in_the_way_of_the_command(ada, words, before):
    ada.ok("virtual", "new", "bob", "--empty")
    ada.ok("virtual", "insert", "bob", "--reader", "Virtual Reader 1")
    result = ada.run(*words, "--json")
    assert (result.code, result.error["next_step"]) == (2, f"Choose one: {before} '{DEFAULT_READER}'")


def test_a_blank_card_has_no_pin_and_says_how_to_get_one(calais):
    calais.ok("virtual", "new", "new", "--card", "gids", "--blank", "--insert")
    result = calais.run("pin", "status", "--json")
    assert result.code == 1
    assert result.error["detail"].endswith("has no PIN yet")
    assert "calais card init" in result.error["next_step"]


@pytest.mark.parametrize("width", [80, 200])
def test_the_policy_fits_a_window(calais, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = calais.ok("policy", "show").out.splitlines()
    assert len(lines) < 60
    assert max(map(len, lines)) <= width
    assert any("calais policy show NAME" in line for line in lines) == (width == 80)


# --- exit codes ---


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AccessDenied(Code.ERROR_ACCESS_DENIED), 5),
        (WinError.of(Code.ERROR_NOT_SUPPORTED), 6),
        (WinError.of(Code.ERROR_REVISION_MISMATCH), 6),
        (WinError.of(Code.SCARD_E_UNSUPPORTED_FEATURE), 3),
    ],
    ids=["refused", "driver-missing", "store-too-new", "card-cannot"],
)
def test_the_machines_problems_are_no_cards_problems(error, code):
    assert failure.exit_code(error) == code


def test_a_card_of_the_database_needs_a_name_and_a_built_in_one_stays(calais):
    assert calais.run("carddb", "add", " ", "--atr", "3b00").code == 2
    refused = calais.run("carddb", "forget", "Identity Device (Microsoft Generic Profile)", "--json")
    assert (refused.code, refused.error["name"]) == (5, "ERROR_ACCESS_DENIED")


# --- policy files ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"CertPropEnabled = \n", "at line 1"),
        (b"\xff\xfe", "is not UTF-8 text: byte 0"),
        (b"nonsense = 1\n", ":1: there is no policy named 'nonsense'"),
        (b'CertPropEnabled = "yes"\n', "allowed: 0 or 1"),
        (b"certpropenabled = 0\nCertPropEnabled = 1\n", ":2: CertPropEnabled has another value already ("),
    ],
    ids=["not-toml", "not-text", "no-name", "no-value", "two-values"],
)
def test_a_broken_policy_file_stops_everything_and_says_what_to_do(calais, text, said):
    path = calais.virtual.directory.parent / "policy.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    for words in (["policy", "show"], ["readers"]):
        result = calais.run(*words, "--json")
        assert result.code == 2
        assert str(path) in result.error["detail"]
        assert said in result.error["detail"]
        assert result.error["next_step"]


def test_the_same_value_in_two_spellings_is_no_mistake():
    from calais.provider.policy import Policy

    assert Policy.from_values({"AllocPrivateECDHEKeyImport": 1, "AllowPrivateECDHEKeyImport": 1}).allow_ecdhe_key_import
    with pytest.raises(BadParameter):
        Policy.from_values({"AllocPrivateECDHEKeyImport": 1, "AllowPrivateECDHEKeyImport": 0})


def test_a_policy_directory_or_pipe_in_the_files_place_is_named_without_python_words(calais):
    import os

    path = calais.virtual.directory.parent / "policy.toml"
    path.mkdir(parents=True)
    directory = calais.run("readers", "--json").error["detail"]
    path.rmdir()
    os.mkfifo(path)
    pipe = calais.run("readers", "--json").error["detail"]
    for detail in (directory, pipe):
        assert "cannot be read" in detail
        assert "Errno" not in detail


# --- names ---


def test_endless_names_are_cut_in_lists_and_warned_of_nowhere(calais):
    from cryptography import x509

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x" * 10_240, _validate=False)])
        made = endless(name)
    calais.card("ada", keys={0x9A: (keys()["other"], made)})
    for words in (("propagate",), ("cert", "list"), ("cert", "logon"), ("cert", "repair", "--all"), ("scinfo",)):
        done = subprocess.run([sys.executable, "-m", "calais", *words], capture_output=True, text=True, check=False)
        assert "Warning" not in done.stderr
        if words != ("scinfo",):
            assert len(done.stdout) < 3000
            assert "…" in done.stdout
    assert len(calais.json("cert", "list")["certificates"][0]["name"]) == 10_240


def endless(name):
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = keys()["other"]
    begin, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
    return x509.CertificateBuilder(name, name, key.public_key(), 7, begin, end).sign(key, hashes.SHA256())


@pytest.mark.parametrize(("name", "shown"), [("", ""), ("x" * 80, "x" * 80), ("x" * 81, "x" * 79 + "…")])
def test_a_name_in_a_list_has_80_characters_at_most(name, shown):
    assert short(name) == shown


@pytest.mark.parametrize("text", ["", "  "])
def test_no_name_is_not_every_certificate(ada, text):
    ada.ok("propagate")
    for words in (("cert", "show", text), ("cert", "explain", text), ("cert", "export", text)):
        result = ada.run(*words, "--json")
        assert (result.code, result.error["detail"]) == (2, "no certificate is named")
        assert json.loads(result.err)["error"]["next_step"]
