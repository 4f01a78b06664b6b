"""``calais propagate``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from calais.cli.command import Answer, Document, command
from calais.cli.safe import short
from calais.cli.screen import Cell, Screen, count
from calais.cli.session import choose_reader, opened, reader_option, require_card
from calais.win.errors import AccessDenied

if TYPE_CHECKING:
    from calais.apps.propagation.apply import Outcome
    from calais.apps.propagation.rootplan import RootStep

NO_SERVICE = "SCARD_E_NO_SERVICE"
COLOURS = {"added": "green", "refreshed": "green", "unchanged": "", "filtered": "yellow", "failed": "bold red"}


def _view(screen: Screen, document: Document) -> None:
    if document["outcomes"]:
        rows = [_cells(row) for row in document["outcomes"]]
        screen.table(("Key", "Subject", "", "Why", "Reader"), rows, keep=("Key", ""))
    totals = ", ".join(f"{number} {action}" for action, number in document["totals"].items())
    if document["outcomes"]:
        screen.line(f"{count(len(document['outcomes']), 'certificate')}: {totals}.")
    else:
        unread = any(NO_SERVICE not in note for note in document["notes"])
        screen.line(f"The inserted cards{' that can be read' if unread else ''} have no certificates.")
    for root in document["roots"]:
        name = short(root["subject"] or root["thumbprint"])
        screen.line(f"Root certificate {name} {root['action']}: {root['reason']}.")
    for note in document["notes"]:
        if document["outcomes"] and NO_SERVICE in note:
            continue  # who has a card in hand does not need real readers
        screen.line((f"Note: {note}", "dim"))


def _cells(row: Document) -> tuple[Cell, ...]:
    subject = short(row["subject"] or "")
    return row["reference"], subject, (row["action"], COLOURS[row["action"]]), row["reason"], row["reader"]


@command(_view)
@reader_option
def propagate(reader: str | None) -> Answer:
    """Read the certificates of the inserted cards into the store, each with the link to its key.

    Exit code 1 when a certificate could not be brought in.
    """
    with opened() as system:
        if not system.policy.propagation_enabled:
            raise AccessDenied(
                detail="policy CertPropEnabled is off", next_step="Set CertPropEnabled = 1 in policy.toml"
            )
        if reader is None:
            require_card(system)
        outcomes = system.propagate(choose_reader(system, reader) if reader else None)
        rows = [_row(outcome) for outcome in outcomes]
        roots = [_root(step) for step in system.propagate_roots()]
        notes = list(dict.fromkeys(system.notes))
    totals = Counter(row["action"] for row in rows)
    return Answer(
        {"outcomes": rows, "roots": roots, "totals": dict(totals), "notes": notes}, holds=not totals["failed"]
    )


def _root(step: RootStep) -> dict[str, Any]:
    from calais.apps.certificates import describe

    found = describe(step.der)
    return {
        "action": str(step.action),
        "reason": step.reason,
        "subject": found.get("name") or found.get("subject"),
        "thumbprint": step.sha1.hex(),
    }


def _row(outcome: Outcome) -> dict[str, Any]:
    from calais.apps.certificates import describe

    found = describe(outcome.certificate.encoded) if outcome.certificate else {}
    return {
        "reader": outcome.reader,
        "container": outcome.container,
        "reference": outcome.reference,
        "action": str(outcome.action),
        "reason": outcome.reason,
        "subject": found.get("name") or found.get("subject"),
        "thumbprint": found.get("thumbprint"),
    }
