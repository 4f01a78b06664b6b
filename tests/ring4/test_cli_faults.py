from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from commandline import MANAGEMENT_KEY, PIN, PUK, CommandLine, issue, keys

from calais.cli.root import build

NEW = "24681357"


@pytest.fixture
def ada(capfdbinary, tmp_path, monkeypatch):
    calais = CommandLine(capfdbinary, tmp_path, monkeypatch)
    calais.card("ada")
    return calais


# --- the machine ---


def test_a_locked_database_is_waited_for_and_then_named(capfdbinary, tmp_path, monkeypatch):
    calais = CommandLine(capfdbinary, tmp_path, monkeypatch)
    calais.card("ada", keys={0x9C: (keys()["9C"], issue(keys()["9C"]))})
    calais.ok("propagate")
    calais.ok("virtual", "remove")
    calais.ok("virtual", "insert", "ada", "--reader", "Desk")
    other = sqlite3.connect(calais.virtual.directory.parent / "store.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    result = calais.run("propagate", "--json")
    assert result.code == 1
    assert "ERROR_BUSY" in result.json["outcomes"][0]["reason"]
    assert len(calais.json("cert", "list")["certificates"]) == 1
    other.execute("ROLLBACK")
    other.close()
    assert calais.json("propagate")["totals"] == {"refreshed": 1}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_exit_code_6_and_loses_nothing(ada):
    ada.ok("propagate")
    result = ada.run("sign", "pin", "--cert", "ada 9A", "--pin-file", ada.pin, "-o", "/dev/full", "--json")
    assert (result.code, result.error["name"]) == (6, "ERROR_DISK_FULL")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "calais", "cert", "list"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 6
    assert "the disk is full" in done.stderr.lower() or "no space left" in done.stderr.lower()


def test_a_failed_write_leaves_the_old_file(ada, monkeypatch):
    from calais.cli import files

    path = ada.file("old", "old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_whole(path, b"new")
    assert path.read_text() == "old"
    assert sorted(each.name for each in ada.folder.iterdir()) == ["old", "pin", "puk", "wrong"]


def test_a_home_that_cannot_be_written_is_named(ada, monkeypatch):
    monkeypatch.setenv("CALAIS_HOME", "/proc/nothing")
    result = ada.run("virtual", "new", "ada", "--empty", "--json")
    assert result.code in (5, 6)
    assert "/proc/nothing" in result.error["detail"]


def test_a_reader_of_our_output_may_stop_listening(ada):
    done = subprocess.run(
        f"{sys.executable} -m calais completion bash | head -c 1", shell=True, capture_output=True, text=True
    )
    assert "BrokenPipe" not in done.stderr
    assert "error" not in done.stderr


def test_a_reader_that_is_unplugged_is_told_so(ada):
    ada.virtual.unplug("Virtual Reader 0")
    assert ada.run("pin", "status", "--reader", "Virtual Reader 0", "--json").error["name"] == "SCARD_E_UNKNOWN_READER"


# --- people at terminals ---


def at_terminal(words, answers, home):
    """Run calais on a terminal of its own; each answer (or what makes it) is typed when its question stands there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"CALAIS_HOME": str(home), "COLUMNS": "100", "TERM": "dumb"}
        os.execv(sys.executable, [sys.executable, "-m", "calais", *words])
    seen = ""
    waiting = list(answers)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data.decode(errors="replace")
        if waiting and waiting[0][0] in seen[seen.rfind("\n") + 1 :]:
            answer = waiting.pop(0)[1]
            os.write(terminal, (answer() if callable(answer) else answer).encode() + b"\n")
            seen += "\n"
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


def test_a_pin_is_asked_for_without_echo_and_with_the_tries_that_are_left(ada):
    code, seen = at_terminal(["pin", "verify"], [("tries left", PIN)], ada.virtual.directory.parent)
    assert code == 0, seen
    assert "3 tries left" in seen
    assert PIN not in seen


def test_a_signature_asks_for_the_pin_and_says_what_it_is_for(ada):
    document = ada.file("doc", "text")
    words = ["sign", str(document), "--container", "9C"]
    code, seen = at_terminal(words, [("PIN: ", PIN)], ada.virtual.directory.parent)
    assert code == 0, seen
    assert "Digital Signature" in seen
    assert "This key wants its PIN each time." in seen
    assert PIN not in seen


def test_a_card_that_is_pulled_while_the_pin_is_typed_is_told_so(ada):
    def pull():
        ada.virtual.remove()
        return PIN

    document = ada.file("doc", "text")
    words = ["sign", str(document), "--container", "9C"]
    code, seen = at_terminal(words, [("PIN: ", pull)], ada.virtual.directory.parent)
    assert code == 3
    assert "SCARD_W_REMOVED_CARD" in seen
    assert not (ada.folder / "doc.sig").exists()


def test_the_last_try_is_announced(ada):
    for _ in range(2):
        ada.run("pin", "verify", "--pin-file", ada.wrong_pin)
    document = ada.file("doc", "text")
    words = ["sign", str(document), "--container", "9A"]
    code, seen = at_terminal(words, [("Type yes", "no")], ada.virtual.directory.parent)
    assert (code, ada.json("pin", "status")["pins"][0]["attempts_left"]) == (4, 1)
    assert "nobody has confirmed" in seen
    code, seen = at_terminal(words, [("Type yes", "yes"), ("PIN: ", PIN)], ada.virtual.directory.parent)
    assert code == 0, seen
    assert "last try" in seen


def test_the_last_try_is_not_spent_by_a_pin_from_a_file_when_nobody_can_confirm_it(ada):
    for _ in range(2):
        ada.run("pin", "verify", "--pin-file", ada.wrong_pin)
    document = ada.file("doc", "text")
    result = ada.run("sign", document, "--container", "9A", "--pin-file", ada.wrong_pin, "--json")
    assert (result.code, result.error["name"]) == (4, "SCARD_W_CANCELLED_BY_USER")
    assert "calais pin verify" in result.error["next_step"]
    assert ada.json("pin", "status")["pins"][0]["attempts_left"] == 1


def test_two_different_new_pins_change_nothing(ada):
    answers = [("PIN of", PIN), ("new PIN", NEW), ("Once more", "11111111")]
    code, seen = at_terminal(["pin", "change"], answers, ada.virtual.directory.parent)
    assert code == 2, seen
    assert "differ" in seen
    ada.ok("pin", "verify", "--pin-file", ada.pin)


def test_giving_up_spends_no_try(ada):
    code, _ = at_terminal(["pin", "verify"], [("tries left", "")], ada.virtual.directory.parent)
    assert code == 130
    assert ada.json("pin", "status")["pins"][0]["attempts_left"] == 3


def test_a_key_is_deleted_only_after_a_yes(ada):
    words = ["card", "delete", "9A", "--key", "--default-management-key"]
    code, _ = at_terminal(words, [("for ever?", "n")], ada.virtual.directory.parent)
    assert code == 130
    code, _ = at_terminal(words, [("for ever?", "y")], ada.virtual.directory.parent)
    assert code == 0


# --- pinentry ---


@pytest.fixture
def pinentry(tmp_path, monkeypatch):
    """A pinentry on the PATH that answers with a PIN and writes down what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "pinentry"

    def install(answer: str) -> Path:
        program.write_text(
            textwrap.dedent(
                f"""\
                #!{sys.executable}
                import sys
                print("OK Pleased to meet you", flush=True)
                for line in sys.stdin:
                    if line == "BYE\\n":
                        break
                    open({str(folder / "asked")!r}, "a").write(line)
                    if line.startswith(("GETPIN", "CONFIRM")):
                        print({answer!r}, flush=True)
                    if not line.startswith(("GETPIN", "CONFIRM")) or {answer!r}.startswith("D "):
                        print("OK", flush=True)
                """
            )
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return folder / "asked"

    return install


def test_pinentry_asks_for_the_pin(ada, pinentry):
    asked = pinentry(f"D {PIN}")
    ada.ok("sign", "pin", "--container", "9A", "--pinentry")
    assert "Virtual Reader 0: sign with PIV Authentication. 3 tries are left." in asked.read_text()


def test_cancelling_pinentry_spends_no_try(ada, pinentry):
    pinentry("ERR 83886179 Operation cancelled <Pinentry>")
    result = ada.run("sign", "pin", "--container", "9A", "--pinentry", "--json")
    assert (result.code, result.error["name"]) == (4, "SCARD_W_CANCELLED_BY_USER")
    assert ada.json("pin", "status")["pins"][0]["attempts_left"] == 3


def test_pinentry_confirms_the_last_try(ada, pinentry):
    for _ in range(2):
        ada.run("pin", "verify", "--pin-file", ada.wrong_pin)
    pinentry("ERR 83886194 Not confirmed <Pinentry>")
    result = ada.run("sign", "pin", "--container", "9A", "--pinentry", "--json")
    assert (result.code, result.error["name"]) == (4, "SCARD_W_CANCELLED_BY_USER")
    asked = pinentry(f"D {PIN}")
    ada.ok("sign", "pin", "--container", "9A", "--pinentry")
    assert "last try" in asked.read_text()


def test_a_broken_pinentry_is_named(ada, pinentry):
    pinentry("ERR 83886340 No such device <Pinentry>")
    result = ada.run("sign", "pin", "--container", "9A", "--pinentry", "--json")
    assert result.code == 6
    assert "pinentry" in result.error["detail"]


def test_without_pinentry_it_is_named(ada, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    result = ada.run("sign", "pin", "--container", "9A", "--pinentry", "--json")
    assert result.code == 6
    assert "pinentry" in result.error["next_step"]


# --- completion, and the real service ---


def completions(monkeypatch, capfdbinary, *words):
    monkeypatch.setenv("_CALAIS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(("calais", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    capfdbinary.readouterr()
    with pytest.raises(SystemExit):
        build().main([], prog_name="calais", standalone_mode=False)
    sys.stdout.flush()
    return [line.split(",", 1)[1] for line in capfdbinary.readouterr().out.decode().splitlines()]


def test_the_shell_completes_readers_cards_certificates_and_slots(ada, monkeypatch, capfdbinary):
    ada.ok("propagate")
    first = ada.json("cert", "list")["certificates"][0]["thumbprint"][:8]
    assert completions(monkeypatch, capfdbinary, "pin", "status", "--reader", "V") == ["Virtual Reader 0"]
    assert completions(monkeypatch, capfdbinary, "virtual", "insert", "a") == ["ada"]
    assert first in completions(monkeypatch, capfdbinary, "cert", "show", first[0])
    assert completions(monkeypatch, capfdbinary, "card", "generate", "9")[:4] == ["9A", "9C", "9D", "9E"]


# --- nothing leaks ---


def test_no_secret_reaches_a_log_the_database_or_the_error_stream(ada, monkeypatch):
    monkeypatch.setenv("CALAIS_DEBUG", "1")
    new = ada.file("new", NEW)
    key = ada.file("key", MANAGEMENT_KEY)
    shown = ""
    for words in (
        ("propagate",),
        ("scinfo", "--pin-file", ada.pin),
        ("sign", "doc", "--cert", "ada 9C", "--pin-file", ada.pin),
        ("pin", "change", "--pin-file", ada.pin, "--new-pin-file", new),
        ("pin", "unblock", "--puk-file", ada.puk, "--new-pin-file", new),
        ("card", "generate", "82", "--management-key-file", key),
        ("card", "generate", "9F", "--management-key-file", key),
        ("pin", "verify", "--pin-file", ada.puk),
    ):
        result = ada.run(*words)
        shown += result.out + result.err
    database = b"".join(path.read_bytes() for path in ada.virtual.directory.parent.glob("store.db*"))
    for secret in (NEW, PUK, MANAGEMENT_KEY):
        assert secret not in shown
        assert secret.encode() not in database
        assert secret.encode("utf-16-le") not in database
    assert bytes.fromhex(MANAGEMENT_KEY) not in database
