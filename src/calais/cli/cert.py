"""``calais cert``: list, show, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from calais.cli.command import Document, command
from calais.cli.safe import short
from calais.cli.screen import Cell, Screen
from calais.cli.session import opened
from calais.win.errors import WinError

if TYPE_CHECKING:
    from calais.store.objects import Certificate

SHORT = 8


def complete_certificates(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Thumbprints with subjects, for the shell."""
    try:
        with opened() as system, system.store() as store:
            pairs = [(each.sha1.hex(), each.subject) for each in store]
    except WinError:
        return []
    return [CompletionItem(print_[:SHORT], help=subject) for print_, subject in pairs if print_.startswith(incomplete)]


def row_of(number: int, certificate: Certificate) -> dict[str, Any]:
    """A certificate in the store with its link, for ``--json``."""
    from calais.apps.certificates import describe

    link = certificate.key_prov_info
    return {
        "index": number,
        **describe(certificate.der),
        "friendly_name": certificate.friendly_name or None,
        "linked": link is not None,
        "container": link.container_name if link else None,
        "provider": link.prov_name if link else None,
        "provider_type": link.prov_type if link else None,
        "key_spec": link.key_spec if link else None,
        "reader": certificate.reader or None,
    }


def _list_view(screen: Screen, document: Document) -> None:
    if not document["certificates"]:
        hint = " Insert a card and run: calais propagate" if document["store"].casefold() == "my" else ""
        screen.line(f"No certificates in {document['store']}.{hint}")
        return
    rows = [_row(row) for row in document["certificates"]]
    screen.table(
        ("#", "Subject", "Issuer", "Until", "Key", "Linked to", "Thumbprint"), rows, keep=("Until", "Key", "Thumbprint")
    )


def _row(row: Document) -> tuple[Cell, ...]:
    number, print_ = str(row["index"]), row["thumbprint"][:SHORT]
    link: Cell = row["reader"] or "a card" if row["linked"] else ("no key", "yellow")
    if "problem" in row:
        return number, (row["problem"], "red"), "", "", "", link, print_
    name = short(row["friendly_name"] or row["name"] or row["subject"])
    return number, name, short(row["issuer_name"] or row["issuer"]), row["not_after"][:10], row["key"], link, print_


@command(_list_view)
@click.option("--store", "name", default="My", show_default=True, help="The store.")
def list_(name: str) -> Document:
    """List the certificates in the store, newest first, and what their keys are linked to."""
    with opened() as system, system.store(name) as store:
        return {"store": name, "certificates": [row_of(number, each) for number, each in enumerate(store, 1)]}


def _show_view(screen: Screen, document: Document) -> None:
    shown = document["certificate"]
    screen.title(short(shown.get("name") or shown["thumbprint"]))
    screen.facts([(name, str(shown[key])) for name, key in _SHOWN if shown.get(key) not in (None, "", [])])
    screen.title("Names and uses")
    screen.facts([(each["name"], each["value"]) for each in document["extensions"]])
    screen.title("Link to the key")
    if not shown["linked"]:
        screen.line("None. Insert the card and run: calais propagate")
        return
    screen.facts([(name, str(shown[key])) for name, key in _LINKED if shown[key] is not None])


_SHOWN = (
    ("Subject", "subject"),
    ("Issuer", "issuer"),
    ("Friendly name", "friendly_name"),
    ("Serial number", "serial_number"),
    ("Valid from", "not_before"),
    ("Valid until", "not_after"),
    ("Key", "key"),
    ("SHA-1", "thumbprint"),
    ("SHA-256", "sha256"),
    ("Problem", "problem"),
)
_LINKED = (
    ("Container", "container"),
    ("Provider", "provider"),
    ("Provider type", "provider_type"),
    ("Key spec", "key_spec"),
    ("Reader", "reader"),
)


@command(_show_view)
@click.argument("cert", shell_complete=complete_certificates)
@click.option("--store", "name", default="My", show_default=True, help="The store.")
def show(cert: str, name: str) -> Document:
    """Show everything about CERT: a number of the list, the beginning of a thumbprint, or part of a subject."""
    import hashlib

    from calais.apps.certificates import describe_extensions
    from calais.apps.choosing import choose

    with opened() as system, system.store(name) as store:
        number, found = choose(store, cert)
        row = row_of(number, found) | {"sha256": hashlib.sha256(found.der).hexdigest()}
        return {"store": name, "certificate": row, "extensions": describe_extensions(found.der)}


def _export_view(screen: Screen, document: Document) -> None:
    if document["file"] is None:
        click.echo(document["pem"], nl=False)
        return
    screen.line(("Wrote ", "green"), f"{document['file']} ({document['format'].upper()}, {document['bytes']} bytes)")


@command(_export_view)
@click.argument("cert", shell_complete=complete_certificates)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Else PEM is printed."
)
@click.option("--format", "form", type=click.Choice(["pem", "der"]), default="pem", show_default=True)
@click.option("--store", "name", default="My", show_default=True, help="The store.")
def export(cert: str, output: Path | None, form: str, name: str) -> Document:
    """Write CERT, without its key, which never leaves the card."""
    from calais.apps.certificates import pem_of
    from calais.apps.choosing import choose

    with opened() as system, system.store(name) as store:
        der = choose(store, cert)[1].der
    if form == "der" and output is None:
        raise click.UsageError("DER is no text: name a file with --output", click.get_current_context())
    pem = pem_of(der)
    data = pem.encode() if form == "pem" else der
    if output is not None:
        from calais.cli.files import write_whole

        write_whole(output, data)
    return {"file": str(output) if output else None, "format": form, "bytes": len(data), "pem": pem}
