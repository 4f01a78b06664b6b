"""``calais scinfo``: what ``certutil -scinfo`` shows, and the name of what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calais.cli.asking import prompt_of
from calais.cli.command import Answer, Document, command
from calais.cli.meanings import PIN
from calais.cli.screen import Cell, Screen, count, working
from calais.cli.secrets import can_ask, pin_options
from calais.cli.session import choose_card, complete_readers, opened

if TYPE_CHECKING:
    from calais.apps.scinfo.examine import Finding
    from calais.apps.scinfo.survey import Survey, Surveyed
    from calais.provider.card import Card

COLOURS = {"fault": "bold red", "warning": "yellow", "note": "dim"}
CHECKS = {"ok": "green", "wrong": "bold red", "failed": "bold red", "not tried": "dim"}
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _view(screen: Screen, document: Document) -> None:
    screen.facts([*((name, document[key] or "") for name, key in _HEAD), ("PIN", _pin(document["pin"]))])
    for row in document["containers"]:
        _container(screen, row)
    screen.title("Findings")
    if not document["findings"]:
        screen.line(("Nothing is wrong.", "green"))
    screen.facts(line for finding in document["findings"] for line in _finding(finding))
    if document["pin_trouble"]:
        screen.line((f"Keys that want the PIN were not tried: {document['pin_trouble']}", "yellow"))


_HEAD = (
    ("Reader", "reader"),
    ("Card", "card"),
    ("Serial", "serial"),
    ("ATR", "atr"),
    ("Driver", "driver"),
    ("Provider", "provider"),
)


def _finding(finding: Document) -> Iterator[tuple[Cell, list[Cell]]]:
    text: list[Cell] = [finding["where"], ": ", finding["detail"], (f"  [{finding['name']}]", "dim")]
    yield (finding["severity"], COLOURS[finding["severity"]]), text
    if finding["next_step"]:
        yield "", [("next: ", "dim"), finding["next_step"]]


def _checks(row: Document) -> list[Cell]:
    if row["sign"] == row["decrypt"] == "not tried":
        return [("not tried", "dim"), f": {row['reason']}"]
    found: list[Cell] = []
    for name in ("sign", "decrypt", "match"):
        if row[name] != "not tried":
            found += [f"{name} ", (row[name], CHECKS[row[name]]), "  "]
    return [*found, row["reason"]]


def _pin(pin: Document | None) -> Cell:
    if pin is None or pin["attempts_left"] is None:
        return ("the card does not say how many tries are left", "dim")
    if pin["blocked"]:
        return ("blocked", "bold red")
    return count(pin["attempts_left"], "try", "tries") + " left"


def _container(screen: Screen, row: Document) -> None:
    default = "  (default)" if row["default"] else ""
    screen.title(f"{row['reference']} {row['label']}{default}")
    validity = f"{row['not_before'][:10]} to {row['not_after'][:10]}" if row.get("not_before") else ""
    screen.facts(
        (
            ("Container", row["container"]),
            ("Key", f"{row['key']}, {row['use']}, PIN {row['pin']}"),
            ("Subject", row.get("subject") or row.get("problem") or ""),
            ("Issuer", f"{row['issuer']} ({row['chain']})" if row.get("issuer") else ""),
            ("Valid", validity),
            ("Thumbprint", row.get("thumbprint") or ""),
            ("Checks", _checks(row)),
        ),
        indent=2,
    )


@command(_view)
@click.argument("reader", required=False, shell_complete=complete_readers)
@click.option("--silent", is_flag=True, help="Ask for no PIN: only keys that want none are tried.")
@click.option("--issuer", "issuers", type=FILE, multiple=True, metavar="FILE", help="An authority's certificate.")
@pin_options
def scinfo(
    reader: str | None, silent: bool, issuers: tuple[Path, ...], pin_file: Path | None, pin_stdin: bool
) -> Answer:
    """Read the card in READER, try its keys, check its certificates, and name what is wrong.

    Keys that want the PIN are tried when it is given, or when there is a terminal to ask at. Exit code 1 when a fault
    was found, 4 when the PIN was refused.
    """
    from calais.apps.filesign import load_certificate_file
    from calais.apps.scinfo.examine import examine
    from calais.apps.scinfo.survey import survey
    from calais.win.errors import PinBlocked, WrongPin

    prompt = prompt_of(pin_file, pin_stdin)
    use_pin = not silent and (prompt.source.is_given or can_ask())
    known = [load_certificate_file(path) for path in issuers]
    asks = use_pin and not prompt.source.is_given  # a spinner would paint over the question
    with opened(prompt) as system:
        card = choose_card(system, reader)
        with system.store("CA") as authorities, system.store("Root") as roots:
            known += [each.der for store in (authorities, roots) for each in store]
        with working("Reading the card and trying its keys", quiet=asks):
            seen = survey(card, use_pin=use_pin, issuers=known)
        found = examine(seen.facts, system.clock.now())
        document = describe(card, seen, found)
    refused = isinstance(seen.pin_trouble, WrongPin | PinBlocked)
    faulty = any(finding.severity == "fault" for finding in found)
    return Answer(document, holds=not faulty, exit_code=PIN if refused else None)


def describe(card: Card, seen: Survey, found: list[Finding]) -> dict[str, Any]:
    """All that was seen, for ``--json``."""
    from calais.win.flags.ncrypt import MS_SMART_CARD_KEY_STORAGE_PROVIDER
    from calais.win.flags.wincrypt import MS_SCARD_PROV

    pin = seen.pin
    return {
        "reader": card.reader,
        "card": card.label,
        "serial": card.identity.serial,
        "card_id": card.card_id.hex(),
        "atr": card.atr.hex(),
        "driver": card.name,
        "provider": f"{MS_SCARD_PROV}; {MS_SMART_CARD_KEY_STORAGE_PROVIDER}",
        "pin": {"attempts_left": pin.attempts_left, "blocked": pin.blocked} if pin else None,
        "pin_trouble": str(seen.pin_trouble) if seen.pin_trouble else None,
        "containers": [_describe(each, seen) for each in seen.containers],
        "findings": [
            {
                "severity": str(each.severity),
                "name": each.name,
                "where": each.where,
                "detail": each.detail,
                "next_step": each.next_step,
            }
            for each in found
        ],
    }


def _describe(each: Surveyed, seen: Survey) -> dict[str, Any]:
    from calais.apps.certificates import describe as describe_certificate
    from calais.apps.scinfo.examine import chain_state
    from calais.cli.key import container_row

    row = container_row(each.container)
    certificate = each.facts.certificate
    trial = each.facts.trial
    return {
        **(describe_certificate(certificate) if certificate else {}),
        **row,
        "chain": chain_state(certificate, seen.facts.issuers),
        "sign": str(trial.sign),
        "decrypt": str(trial.decrypt),
        "match": str(trial.match),
        "reason": trial.reason,
    }
