"""``calais cert repair``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from calais.cli.cert import complete_certificates
from calais.cli.command import Answer, Document, command
from calais.cli.safe import short
from calais.cli.screen import Cell, Screen
from calais.cli.session import opened

if TYPE_CHECKING:
    from calais.apps.linkrepair import Repair
    from calais.store.objects import Certificate

COLOURS = {"linked": "green", "relinked": "green", "missing": "bold red", "failed": "bold red"}
WITHOUT_KEY = {"missing", "keyless"}


def _view(screen: Screen, document: Document) -> None:
    if not document["certificates"]:
        screen.line(f"No certificates in {document['store']}.")
        return
    columns = ("Subject", "Thumbprint", "", "Why", "Key")
    screen.table(columns, [_cells(row) for row in document["certificates"]], keep=("Thumbprint", ""))
    if document["dry_run"]:
        screen.line(("Nothing was changed: this was a dry run.", "dim"))
    if any(row["outcome"] in WITHOUT_KEY for row in document["certificates"]) and not document["repaired"]:
        screen.line("Insert the card that has the key, and run it again. More: calais cert explain CERT")


def _cells(row: Document) -> tuple[Cell, ...]:
    key = f"{row['reference']} in {row['reader']}" if row["reader"] else ""
    outcome = (row["outcome"], COLOURS.get(row["outcome"], ""))
    return short(row["subject"] or ""), row["thumbprint"][:8], outcome, row["reason"], key


@command(_view)
@click.argument("cert", required=False, shell_complete=complete_certificates)
@click.option("--all", "everything", is_flag=True, help="Every certificate in the store.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--store", "name", default="My", show_default=True, help="The store.")
def repair(cert: str | None, everything: bool, dry_run: bool, name: str) -> Answer:
    """Find the key of CERT on the inserted cards by its public half, and write the link to it anew.

    What certutil -repairstore does. The link stays one of CryptoAPI or CNG, as it was; all other properties stay. Exit
    code 1 when a link is broken and stays so. Asks for no PIN.
    """
    from calais.apps import linkrepair
    from calais.apps.choosing import choose
    from calais.apps.linkfacts import PROVIDERS, look_thoroughly

    if (cert is None) != everything:
        raise click.UsageError("name a certificate, or give --all", click.get_current_context())
    with opened() as system, system.store(name) as store:
        chosen = list(store) if cert is None else [choose(store, cert)[1]]
        cards = look_thoroughly(system, [each.key_prov_info for each in chosen])
        plans = [(each, linkrepair.plan(each.der, each.key_prov_info, cards, PROVIDERS)) for each in chosen]
        done = [(each, plan if dry_run else linkrepair.apply(each, plan)) for each, plan in plans]
        rows = [_row(each, repair) for each, repair in done]
    keyless = {"keyless"} if cert is not None else set()
    repaired = not any(row["outcome"] in {"missing", "failed", *keyless} for row in rows)
    return Answer({"store": name, "dry_run": dry_run, "repaired": repaired, "certificates": rows}, holds=repaired)


def _row(certificate: Certificate, repair: Repair) -> dict[str, Any]:
    card, container = repair.where or (None, None)
    link = repair.link
    return {
        "subject": certificate.subject,
        "thumbprint": certificate.sha1.hex(),
        "outcome": str(repair.outcome),
        "reason": repair.reason,
        "container": link.container_name if link else None,
        "provider": link.prov_name if link else None,
        "provider_type": link.prov_type if link else None,
        "key_spec": link.key_spec if link else None,
        "reader": card.reader if card else None,
        "card": card.label if card else None,
        "reference": container.where if container else None,
    }
