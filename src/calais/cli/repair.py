"""``calais card repair``: what a card that was pulled out in the middle of a change has left over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from calais.cli.adminkey import admin_options
from calais.cli.command import Answer, Document, command
from calais.cli.screen import Cell, Screen
from calais.cli.secrets import pin_options
from calais.cli.session import choose_card, opened, reader_option
from calais.cli.slots import prompt_for_change, right_of

if TYPE_CHECKING:
    from calais.minidriver.orphans import Orphan


def _view(screen: Screen, document: Document) -> None:
    if not document["found"]:
        screen.line(("Nothing is left over ", "green"), f"on {document['card']}.")
        return
    screen.facts(_fact(row, changed=document["changed"]) for row in document["found"])
    if not document["changed"]:
        screen.line("Nothing was changed. Next: calais card repair")
    elif document["left"]:
        screen.line("What is left waits for you: write the certificate (calais card put-cert), or --remove-keys")


def _fact(row: Document, *, changed: bool) -> tuple[Cell, list[Cell]]:
    if row["mended"]:
        return (row["where"], "bold"), [row["detail"], ("  mended", "green")]
    remedy = f"  repair would: {row['repaired_by']}" if row["repaired_by"] and not changed else "  left to you"
    return (row["where"], "bold"), [row["detail"], (remedy, "yellow")]


@command(_view)
@click.option("--dry-run", is_flag=True, help="Say what is left over, and change nothing.")
@click.option("--remove-keys", is_flag=True, help="Also delete keys that nothing belongs to, for ever.")
@reader_option
@pin_options
@admin_options
def repair(dry_run: bool, remove_keys: bool, reader: str | None, **options: Any) -> Answer:  # noqa: ANN401
    """Put a card in order that was pulled out in the middle of a change.

    Certificates without their key are deleted, what is missing in lists is added. Keys that wait for their certificate
    stay, unless --remove-keys is given. Exit code 1 when something is left. Wants what the card wants for a change.
    """
    from calais.apps import leftovers

    prompt = prompt_for_change(options)
    with opened(prompt) as system:
        card = choose_card(system, reader)
        found = left = leftovers.look(card)
        changes = bool(found) and not dry_run
        if changes:
            done = leftovers.mend(card, right_of(card, prompt, "repair the card", options), remove_keys=remove_keys)
            found, left = done.found, done.left
        rows = [_row(orphan, mended=changes and orphan not in left) for orphan in found]
        document = {"reader": card.reader, "card": card.label, "changed": changes, "found": rows, "left": len(left)}
    return Answer(document, holds=not left)


def _row(orphan: Orphan, *, mended: bool) -> dict[str, Any]:
    return {
        "kind": str(orphan.kind),
        "where": orphan.where,
        "index": orphan.index,
        "detail": orphan.detail,
        "repaired_by": orphan.repaired_by,
        "mended": mended,
    }
