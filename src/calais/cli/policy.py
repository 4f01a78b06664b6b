"""``calais policy``: show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from calais.cli.command import Document, command
from calais.cli.screen import Cell, Screen
from calais.win.errors import BadParameter

if TYPE_CHECKING:
    from calais.apps.policies import PolicyRow
    from calais.provider.settings import Setting


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of values, for the shell."""
    from calais.provider.settings import SETTINGS

    wanted = incomplete.casefold()
    return [
        CompletionItem(each.name, help=each.meaning) for each in SETTINGS if each.name.casefold().startswith(wanted)
    ]


def _view(screen: Screen, document: Document) -> None:
    rows = document["policies"]
    if len(rows) == 1:
        _view_one(screen, rows[0])
        return
    columns = ("Name", "Effective", "Default", "From", "Meaning")
    shown = columns if screen.is_wide else columns[:4]
    screen.table(shown, [_cells(row)[: len(shown)] for row in rows], keep=("Name", "Effective", "Default"))
    if not screen.is_wide:
        screen.line("What one of them means: calais policy show NAME")
    files = ", ".join(document["files"])
    screen.line(f"Policy files, the strongest last: {files}.")


def _cells(row: dict[str, Any]) -> tuple[Cell, ...]:
    effective: Cell = (_text(row["effective"]), "bold" if row["source"] else "")
    meaning = f"{row['meaning']} ({row['remark']})" if row["remark"] else row["meaning"]
    return row["name"], effective, _text(row["default"]), row["source"] or "default", meaning


def _view_one(screen: Screen, row: dict[str, Any]) -> None:
    screen.title(row["name"])
    facts = (("Meaning", "meaning"), ("Value", "value"), ("Effective", "effective"), ("Default", "default"))
    screen.facts([(name, _text(row[key])) for name, key in facts if row[key] is not None])
    screen.facts(
        [
            ("From", row["source"] or "default"),
            ("Overruled", ", ".join(row["overruled"])),
            ("Allowed", row["allowed"]),
            ("Remark", row["remark"] or ""),
        ]
    )


def _text(value: object) -> str:
    """A value as it is written in a policy file."""
    if isinstance(value, bool):
        return str(int(value))
    return str(value) or '""'


@command(_view)
@click.argument("name", required=False, shell_complete=_complete)
def show(name: str | None) -> Document:
    """Show the policy in force: every value, or the one called NAME, and the file and line it comes from."""
    from calais.apps.policies import survey
    from calais.resource.places import Places

    wanted = _wanted(name) if name is not None else None
    files = Places.of().policies[::-1]
    rows = [_row(row) for row in survey(files) if wanted in (None, row.setting)]
    return {"files": [str(path) for path in files], "policies": rows}


def _wanted(name: str) -> Setting:
    from calais.provider.settings import setting_of

    try:
        return setting_of(name, "calais policy show")
    except BadParameter as error:
        raise BadParameter(error.code, error.detail, next_step="See all names with: calais policy show") from error


def _row(row: PolicyRow) -> dict[str, Any]:
    return {
        "name": row.setting.name,
        "value": row.value,
        "effective": row.effective,
        "default": row.default,
        "source": row.origin or None,
        "overruled": list(row.overruled),
        "allowed": row.setting.choices,
        "meaning": row.setting.meaning,
        "remark": row.remark or None,
    }
