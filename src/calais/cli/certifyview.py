"""What ``calais certify`` shows and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calais.cli.command import Document
from calais.cli.screen import Cell, Screen, count

if TYPE_CHECKING:
    from calais.apps.certify.rules import Check
    from calais.apps.certify.run import Report, Result

COLOURS = {"pass": "green", "fail": "bold red", "skipped": "yellow", "not applicable": "dim"}
STDOUT = Path("-")


@contextmanager
def progress(total: int, as_json: Path | None) -> Iterator[Callable[[Check, Result | None], None]]:
    """A bar with the running check's name on a terminal's error stream; nothing elsewhere."""
    import sys

    if as_json == STDOUT or not sys.stderr.isatty():
        yield lambda _check, _result: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def tell(check: Check, result: Result | None) -> None:
            bar.update(task, description=check.name, advance=0 if result is None else 1)

        yield tell


def write(report: Report, options: dict[str, Any]) -> None:
    """The report in every form that was asked for, else on the screen."""
    import json

    from calais.apps.certify.page import page
    from calais.apps.certify.report import document, junit

    found = document(report)
    if options["as_json"] is not None:
        save(options["as_json"], json.dumps(found, indent=2).encode() + b"\n")
    if options["junit"] is not None:
        save(options["junit"], junit(report))
    if options["html"] is not None:
        save(options["html"], page(found).encode(errors="backslashreplace"))
    if STDOUT not in (options["as_json"], options["junit"], options["html"]):
        _view(Screen(), found)


def save(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``; ``-`` is the standard output."""
    if path == STDOUT:
        click.echo(content.decode(), nl=False)
    else:
        path.write_bytes(content)


def _view(screen: Screen, found: Document) -> None:
    card = ((f"Card, {name.replace('_', ' ')}", value) for name, value in found["card"].items())
    screen.facts([("Tried", found["subject"]), ("Driver", found["driver"]), *card])
    chapter = ""
    for check in found["checks"]:
        if check["chapter"] != chapter:
            chapter = check["chapter"]
            screen.title(chapter)
            rows = [_row(each) for each in found["checks"] if each["chapter"] == chapter]
            screen.table(("Verdict", "Check", "Rule"), rows, keep=("Verdict", "Check"))
    _failures(screen, [check for check in found["checks"] if check["verdict"] == "fail"])
    screen.title("What operations cost")
    columns = ("Operation", "Exchanges", "Bytes out", "Bytes in", "ms")
    screen.table(columns, ([str(value) for value in row.values()] for row in found["figures"]))
    screen.title("Verdict")
    screen.line(*_summary(found))


def _row(check: Document) -> list[Cell]:
    text = f"{check['rule']} ({check['reason']})" if check.get("reason") else check["rule"]
    return [(check["verdict"], COLOURS[check["verdict"]]), check["name"], text]


def _failures(screen: Screen, failed: list[Document]) -> None:
    for check in failed:
        screen.title(f"Failed: {check['name']}")
        screen.facts((name, check[name]) for name in ("rule", "source", "expected", "came"))


def _summary(found: Document) -> tuple[Cell, ...]:
    counts = found["summary"]
    word: Cell = ("passed", "bold green") if found["passed"] else ("failed", "bold red")
    passed = f": {count(counts['pass'], 'check')} passed, {counts['fail']} failed"
    return word, passed, f", {counts['skipped']} skipped, {counts['absent']} not applicable"
