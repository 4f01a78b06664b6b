from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from calais.cli import failure, main
from calais.cli.root import LazyGroup, build
from calais.cli.safe import safe
from calais.cli.tree import TREE, Group
from calais.win.codes import Code
from calais.win.errors import AccessDenied, NoCard, PinBlocked, WinError, WrongPin

HEAVY = ("cryptography", "sqlalchemy", "sqlite3", "rich", "asn1crypto", "ctypes", "calais.system")


def loaded_by(*words: str) -> set[str]:
    program = (
        "import sys\nfrom calais.cli import main\n"
        f"main({list(words)!r})\n"
        f"print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "words", [("--version",), ("--help",), ("cert", "--help"), ("nonsense",), ("completion", "bash")]
)
def test_help_and_version_load_neither_crypto_nor_sql_nor_rich(words):
    assert loaded_by(*words) <= {"ctypes"}  # click asks Windows' console through ctypes on some platforms


def test_version_is_the_packages(capsys):
    from calais import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"calais {__version__}\n"


def test_every_row_of_the_table_is_a_command_with_help_and_json():
    for path, command in commands(build()):
        assert isinstance(command, click.Command), path
        assert command.help, path
        assert "--json" in [name for option in command.params for name in option.opts], path


def commands(group: LazyGroup, path: str = ""):
    for name in group.list_commands(click.Context(group)):
        found = group.get_command(click.Context(group), name)
        if isinstance(found, LazyGroup):
            yield from commands(found, f"{path}{name} ")
        else:
            yield f"{path}{name}", found


def test_no_secret_is_ever_an_argument():
    for path, command in commands(build()):
        for parameter in command.params:
            for word in ("pin", "puk", "management_key", "password"):
                if word in (parameter.name or ""):
                    assert parameter.is_flag or isinstance(parameter.type, click.Path | click.Choice), (
                        path,
                        parameter.name,
                    )


def test_every_group_has_one_line_of_help_for_each_command(capsys):
    for name, entry in TREE.items():
        if isinstance(entry, Group):
            assert main([name, "--help"]) == 0
            shown = capsys.readouterr().out
            assert all(verb in shown for verb in entry.verbs)


def test_a_mistyped_command_gets_a_guess(capsys):
    assert main(["scinof"]) == 2
    assert "Did you mean 'scinfo'?" in capsys.readouterr().err


def test_usage_errors_are_json_when_asked(capsys):
    assert main(["completion", "tcsh", "--json"]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    error = json.loads(found.err)["error"]
    assert (error["name"], error["exit_code"]) == ("ERROR_INVALID_PARAMETER", 2)
    assert error["next_step"] == "See: calais completion --help"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_back(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "_CALAIS_COMPLETE" in capsys.readouterr().out


def test_completion_answers_from_the_table(monkeypatch, capsys):
    monkeypatch.setenv("_CALAIS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "calais pin un")
    monkeypatch.setenv("COMP_CWORD", "2")
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.split() == ["plain,unblock"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WrongPin(attempts_left=2), 4),
        (PinBlocked(), 4),
        (NoCard(), 3),
        (AccessDenied(), 5),
        (WinError(Code.SCARD_E_NO_SERVICE), 3),
        (WinError.of(Code.CRYPT_E_NOT_FOUND), 1),
        (WinError(Code.NTE_BAD_SIGNATURE), 1),
        (OSError(28, "No space left on device", "store.db"), 6),
        (PermissionError(13, "Permission denied", "x"), 6),
        (click.UsageError("no"), 2),
        (click.exceptions.Abort(), 130),
        (ZeroDivisionError(), 70),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(error, code, capsys):
    assert failure.report(error, as_json=True) == code
    assert json.loads(capsys.readouterr().err)["error"]["exit_code"] == code


def test_a_failure_names_what_happened_the_code_and_the_next_step(capsys):
    failure.report(PinBlocked(), as_json=False)
    assert capsys.readouterr().err.splitlines() == [
        "error: the PIN is blocked: no tries are left",
        "  code: SCARD_W_CHV_BLOCKED (0x8010006C)",
        "  next: Set a new PIN with the PUK: calais pin unblock",
    ]


def test_an_unexpected_failure_is_one_line_and_a_way_to_the_details(capsys, monkeypatch):
    monkeypatch.delenv("CALAIS_DEBUG", raising=False)
    failure.report(KeyError("inner"), as_json=False)
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert "CALAIS_DEBUG=1" in shown
    monkeypatch.setenv("CALAIS_DEBUG", "1")
    failure.report(KeyError("inner"), as_json=False)
    assert "KeyError: 'inner'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("CN=Zoë Müller", "CN=Zoë Müller"),
        ("\x1b[2Jcleared", "\\x1b[2Jcleared"),
        ("gnp.\u202egpj", "gnp.\\u202egpj"),
        ("two\nlines\r", "two\\x0alines\\x0d"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\x9b31m", "\\x9b31m"),
        ("שלום", "שלום"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_text_from_a_card_cannot_steer_the_terminal(text, shown):
    assert safe(text) == shown


def test_very_long_text_is_cut():
    assert len(safe("x" * 1_000_000)) < 3000
