"""docs/commands.md against the command line itself: every command, every key, every finding and break."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest
from commandline import CommandLine, issue, keys, pem

from calais.cli.root import LazyGroup, build
from calais.win.codes import Code

DEFAULT = "--default-management-key"


@pytest.fixture(scope="module")
def page(request):
    return (Path(request.config.rootpath) / "docs" / "commands.md").read_text(encoding="utf-8")


def sections(page):
    parts = re.split(r"^### calais (.+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands(group=None, path=""):
    group = group or build()
    for name in group.list_commands(click.Context(group)):
        found = group.get_command(click.Context(group), name)
        if isinstance(found, LazyGroup):
            yield from commands(found, f"{path}{name} ")
        else:
            yield f"{path}{name}"


def test_every_command_has_a_section_and_every_section_a_command(page):
    assert list(sections(page)) == list(commands())


def documented(page, command):
    """Paths of keys, and those that are there only sometimes."""
    block = re.search(r"```text\n(.*?)```", sections(page)[command], flags=re.DOTALL)[1]
    always, sometimes = set(), set()
    for line in block.splitlines():
        prefix, _, words = line.rpartition(":")
        for word in words.split():
            path = f"{prefix}.{word}" if prefix else word
            (sometimes if word.endswith("?") else always).add(path.rstrip("?"))
    return always, sometimes


def paths(value, prefix=""):
    """Paths of the keys of a document, by the objects in which they stand."""
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{prefix}.{key}" if prefix else key
            yield path
            yield from paths(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{prefix}[]")


RUNS = [
    ("demo",),
    ("readers",),
    ("virtual list",),
    ("virtual new", "bob", "--empty"),
    ("virtual remove",),
    ("virtual new", "new", "--card", "gids", "--blank", "--insert"),
    ("card init", "--new-pin-file", "pin", "--admin-key-file", "admin.key"),
    ("virtual remove",),
    ("virtual insert", "ada"),
    ("propagate",),
    ("key list",),
    ("scinfo", "--pin-file", "pin"),
    ("cert list",),
    ("cert show", "ada 9A"),
    ("cert export", "ada 9A"),
    ("sign", "pin", "--cert", "ada 9A", "--pin-file", "pin"),
    ("verify", "pin", "pin.sig", "--cert", "ada 9A"),
    ("decrypt", "block", "--cert", "ada 9D", "-o", "plain", "--pin-file", "pin"),
    ("pin status",),
    ("pin verify", "--pin-file", "pin"),
    ("pin change", "--pin-file", "pin", "--new-pin-file", "pin"),
    ("pin unblock", "--puk-file", "puk", "--new-pin-file", "pin"),
    ("unblock new", "escrow.json", "--password-file", "pin"),
    ("unblock escrow", "escrow.json", "--puk-file", "puk"),
    ("unblock respond", "--admin-key-file", "admin.key", "--card-id", "00" * 16, "--challenge", "00" * 8),
    ("unblock derive", "--master-key-file", "admin.key", "-o", "card.key"),
    ("card generate", "9A", "--csr", "--subject", "Ada", DEFAULT, "--pin-file", "pin"),
    ("cert explain", "ada 9A"),
    ("cert repair", "ada 9D", "--dry-run"),
    ("card put-cert", "9A", "cert.pem", DEFAULT, "--force"),
    ("card import", "82", "key.pem", DEFAULT),
    ("card delete", "9A", "--cert", DEFAULT),
    ("card repair", "--dry-run"),
    ("card files",),
    ("cert logon",),
    ("cache show", "Virtual Reader 0"),
    ("cache show",),
    ("cache clear",),
    ("policy show", "piv.write"),
    ("carddb list",),
    ("carddb add", "Tin", "--module", "msclmd.dll"),
    ("carddb forget", "Tin"),
    ("carddb explain",),
    ("certify", "--only", "files"),
    ("completion", "bash"),
]


def test_every_document_has_the_keys_that_are_documented_and_no_others(page, capfdbinary, tmp_path, monkeypatch):
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    calais = CommandLine(capfdbinary, tmp_path, monkeypatch)
    calais.card("ada")
    calais.file("block", keys()["9D"].public_key().encrypt(b"secret", PKCS1v15()))
    calais.file("admin.key", "00" * 24)
    calais.file("cert.pem", pem(issue(keys()["other"])))
    calais.file("key.pem", keys()["other"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    seen = set()
    for command, *rest in RUNS:
        result = calais.run(*command.split(), *rest, "--json")
        assert result.code in (0, 1), (command, result.err)
        always, sometimes = documented(page, command)
        found = set(paths(result.json))
        assert found <= always | sometimes, command
        missing = {path for path in always - found if "[]" not in path and "." not in path}
        assert not missing, command
        assert {path for path in always - found if path.rpartition(".")[0] in found} == set(), command
        seen.add(command)
    assert seen == set(commands()) - {"virtual serve"}


def test_every_finding_of_scinfo_is_documented(page):
    from calais.apps.scinfo import examine

    rows = dict(re.findall(r"^\| `(\w+)` \| (fault|warning|note) \|", sections(page)["scinfo"], flags=re.MULTILINE))
    tree = ast.parse(Path(examine.__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding"]
    made = {}
    for call in calls:
        severity, name = call.args[0].attr.lower(), call.args[1]
        ends = [name.value] if isinstance(name, ast.Constant) else [
            f"{owner}{name.values[-1].value}" for owner in ("chuid", "security_object")
        ]  # fmt: skip
        for end in ends:
            made.setdefault(end, set()).add(severity)
    assert set(rows) == set(made)
    assert all(rows[name] in severities for name, severities in made.items())


def made(module, kind):
    """Name and code of each break that the source of a module makes."""
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        is_one = isinstance(node, ast.Call) and ast.unparse(node.func) == kind
        if is_one and isinstance(node.args[0], ast.Constant):
            yield node.args[0].value, node.args[1].attr


def test_every_break_of_explain_is_documented(page):
    from calais.apps import explain, links

    rows = re.findall(r"^\| `(\w+)` \| (`[^|]+) \|", sections(page)["cert explain"], flags=re.MULTILINE)
    documented = {(name, code) for name, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert documented == {*made(explain, "Break"), *made(links, "Fault")}
    assert all(code in Code.__members__ for _, code in documented)


def test_every_exit_code_is_documented(page):
    from calais.cli import meanings

    codes = {int(number) for number in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)}
    assert codes == {value for name, value in vars(meanings).items() if name.isupper() and isinstance(value, int)}


def test_the_completion_command_tells_how_to_install_itself(page, capsys):
    from calais.cli import main

    assert main(["completion", "zsh", "--json"]) == 0
    assert "~/.zshrc" in capsys.readouterr().out


def test_the_classic_failures_are_named_with_their_numbers_cause_and_cure(request):
    text = (Path(request.config.rootpath) / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(0x[0-9A-F]{8})` \| `(\w+)` \| (.+) \| (.+) \|$", text, flags=re.MULTILINE)
    assert {int(number, 16) for number, *_ in rows} >= {0x8009200B, 0x80090016, 0x80090019, 0x8010000C, 0x8010006C}
    for number, name, cause, cure in rows:
        assert int(number, 16) == Code[name]
        assert cause.strip()
        assert cure.strip()
        for command in re.findall(r"`calais ([a-z -]+)", cure):
            known = [*commands()]
            assert any(command.strip().startswith(each) for each in known), command
