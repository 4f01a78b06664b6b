"""Keep the docs true: generated tables, links, commands, decision records, change fragments.

Without arguments it writes the generated parts; with ``--check`` it changes nothing and ends with status 1 when
something is out of date or broken. Generated parts stand between ``<!-- NAME: generated -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import csv
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
GENERATED = re.compile(r"(<!-- ([a-z]+): generated -->\n).*?(<!-- end -->)", re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^```(?:console|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CALL = re.compile(r"(?:^|\$ |\| )calais ([a-z].*)")
FRAGMENT = re.compile(r"[\w+-]+\.(added|changed|fixed|security)\.md")
ADR = re.compile(r"(\d{4})-[a-z0-9-]+\.md")
ADR_PARTS = ("## Context", "## Decision", "## Consequences")


# --- generated parts -------------------------------------------------------------------------------------------------


def errors_table() -> str:
    """Every class of the error tree, its code, and its first line."""
    from calais.win import errors  # noqa: PLC0415 - the links can be checked before the package can be imported

    rows = ["| class | code | name | when |", "|---|---|---|---|"]
    kinds = sorted(_subclasses(errors.WinError), key=lambda kind: kind.__name__)
    for kind in kinds:
        what = (kind.__doc__ or "").strip().splitlines()[0].replace("``", "`")
        error = kind()
        rows.append(f"| `{kind.__name__}` | `0x{error.code:08X}` | `{error.name}` | {what} |")
    return "\n".join(rows) + "\n"


def _subclasses(kind: type) -> Iterator[type]:
    children: list[type] = type.__subclasses__(kind)
    for child in children:
        if child.__module__ == kind.__module__:
            yield child
            yield from _subclasses(child)


def commands_table() -> str:
    """Every command of ``calais`` with its arguments and its line of help."""
    rows = ["| command | does |", "|---|---|"]
    for path, (arguments, does) in sorted_commands().items():
        usage = " ".join(["calais", *path, *arguments]).replace("|", "\\|")
        rows.append(f"| `{usage}` | {does} |")
    return "\n".join(rows) + "\n"


def sorted_commands() -> dict[tuple[str, ...], tuple[list[str], str]]:
    """Words of each command, in the order of ``calais --help``, with its arguments and its line of help."""
    from calais.cli.root import build  # noqa: PLC0415 - as above
    from calais.cli.tree import TREE, Group  # noqa: PLC0415

    found: dict[tuple[str, ...], tuple[list[str], str]] = {}
    root = build()
    for name, entry in TREE.items():
        verbs = (
            {(name, verb): each for verb, each in entry.verbs.items()} if isinstance(entry, Group) else {(name,): entry}
        )
        for path, verb in verbs.items():
            try:
                found[path] = (arguments_of(root, path), verb.help)
            except ModuleNotFoundError:
                found[path] = ([], verb.help)
    return found


def arguments_of(root: click.Group, path: tuple[str, ...]) -> list[str]:
    """The arguments, as the usage line of a command shows them."""
    command: click.Command | None = root
    for name in path:
        command = command.get_command(click.Context(command), name) if isinstance(command, click.Group) else None
    if command is None:
        return []
    context = click.Context(command)
    return [each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)]


def windows_table() -> str:
    """Every function under Microsoft's name: its module, its arguments here, and its line of help."""
    with (ROOT / "src" / "calais" / "winapi" / "surface.csv").open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    parts = []
    for module, group in groupby(sorted(rows, key=itemgetter("module", "function")), key=itemgetter("module")):
        faces = importlib.import_module(f"calais.winapi.{module}")
        lines = [windows_row(getattr(faces, row["function"]), row["arguments"]) for row in group]
        parts.append("\n".join([f"### `calais.winapi.{module}`\n", "| function | does |", "|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


def windows_row(face: Callable[..., object], arguments: str) -> str:
    """One line of the table."""
    does = (face.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ").replace("``", "`").replace("|", "\\|")
    return f"| `{face.__name__}({', '.join(arguments.split())})` | {does} |"


TABLES: dict[str, Callable[[], str]] = {
    "errors": errors_table,
    "commands": commands_table,
    "windows": windows_table,
}


def regenerate(text: str) -> str:
    """``text`` with each generated part made anew."""
    return GENERATED.sub(lambda part: f"{part[1]}\n{TABLES[part[2]]()}\n{part[3]}", text)


# --- checks ----------------------------------------------------------------------------------------------------------


def pages(root: Path) -> list[Path]:
    """Every page a person reads."""
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("changelog.d/*.md")])


def broken_links(page: Path) -> list[str]:
    """Relative links of ``page`` that lead nowhere."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    return [f"link to {target} leads nowhere" for target in local if not (page.parent / target).exists()]


def unknown_commands(page: Path, known: set[tuple[str, ...]]) -> list[str]:
    """Lines of console examples that call a command of ``calais`` which does not exist."""
    lines = [line for block in FENCE.findall(page.read_text(encoding="utf-8")) for line in block.splitlines()]
    calls = [found[1].split() for line in lines if (found := CALL.search(line))]
    wrong = [words for words in calls if tuple(words[:2]) not in known and tuple(words[:1]) not in known]
    return [f"no command: calais {' '.join(words[:2])}" for words in wrong]


def wrong_records(root: Path) -> list[str]:
    """Decision records with a gap in their numbers, a missing part, or no line in the index."""
    index = (root / "docs" / "adr" / "index.md").read_text(encoding="utf-8")
    names = sorted(path.name for path in (root / "docs" / "adr").glob("*.md") if path.name != "index.md")
    faults = [f"docs/adr/{name}: not in index.md" for name in names if f"]({name})" not in index]
    for number, name in enumerate(names, 1):
        found = ADR.fullmatch(name)
        if not found or int(found[1]) != number:
            faults.append(f"docs/adr/{name}: should be number {number:04}")
        text = (root / "docs" / "adr" / name).read_text(encoding="utf-8")
        faults += [f"docs/adr/{name}: no part '{part}'" for part in ADR_PARTS if part not in text]
    return faults


def wrong_fragments(root: Path) -> list[str]:
    """Change fragments that towncrier would leave out."""
    names = [path.name for path in (root / "changelog.d").glob("*") if path.name != "README.md"]
    return [
        f"changelog.d/{name}: not NAME.added|changed|fixed|security.md" for name in names if not FRAGMENT.match(name)
    ]


def faults_of(root: Path) -> list[str]:
    """All that is wrong."""
    known = set(sorted_commands())
    faults = wrong_records(root) + wrong_fragments(root)
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        here = broken_links(page) + unknown_commands(page, known)
        if regenerate(text) != text:
            here.append("a generated part is out of date: run scripts/docs.py")
        faults += [f"{page.relative_to(root)}: {fault}" for fault in here]
    return faults


def main(arguments: list[str]) -> int:
    """Write the generated parts, or check everything."""
    if "--check" not in arguments:
        for page in pages(ROOT):
            text = page.read_text(encoding="utf-8")
            page.write_text(regenerate(text), encoding="utf-8")
        return 0
    faults = faults_of(ROOT)
    print("\n".join([*faults, f"docs: {len(pages(ROOT))} pages, {len(faults)} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
