"""``calais virtual``: new, list, insert, remove."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from calais.cli.command import Document, command
from calais.cli.screen import Screen, working
from calais.cli.secrets import Source, secret_options
from calais.cli.session import virtual_readers
from calais.win.errors import WinError

if TYPE_CHECKING:
    from calais.cards.base import Memory
    from calais.resource.virtual import VirtualCardFile

FIRST_KEY = "calais card generate 9A --self-signed --subject NAME --default-management-key"
DEFAULT_READER = "Virtual Reader 0"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def complete_cards(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of virtual cards, for the shell."""
    try:
        return [CompletionItem(card.name) for card in virtual_readers().cards() if card.name.startswith(incomplete)]
    except WinError:
        return []


def _row(card: VirtualCardFile) -> dict[str, object]:
    return {"name": card.name, "reader": card.reader, "file": str(card.path)}


def _new_view(screen: Screen, document: Document) -> None:
    screen.line(("Made ", "green"), document["name"], f" in {document['file']}")
    if document["default_secrets"]:
        screen.line(
            "PIN 123456, PUK 12345678 and the management key are the factory's; change the PIN: calais pin change"
        )
    if not document["reader"]:
        screen.line(f"Next: calais virtual insert {document['name']}")
        return
    screen.line(f"It is in {document['reader']}. Next: {'calais propagate' if document['keys'] else FIRST_KEY}")


@command(_new_view)
@click.argument("name")
@click.option("--image", type=FOLDER, metavar="DIR", help="Contents of a real card, one file per object.")
@click.option("--empty", is_flag=True, help="No keys; else RSA in 9A and 9D, P-256 in 9C, with certificates.")
@click.option("--no-chuid", is_flag=True, help="No CHUID, so that key names change at every enumeration.")
@click.option("--read-only", is_flag=True, help="No management key: nothing but the PINs can be changed.")
@click.option("--insert", "insert_it", is_flag=True, help="Insert it into the first virtual reader.")
@secret_options("pin", "the PIN (else 123456)")
@secret_options("puk", "the PUK (else 12345678)")
def new(
    *,
    name: str,
    image: Path | None,
    empty: bool,
    no_chuid: bool,
    read_only: bool,
    insert_it: bool,
    pin_file: Path | None,
    pin_stdin: bool,
    puk_file: Path | None,
    puk_stdin: bool,
) -> Document:
    """Make the virtual PIV card NAME. On the standard input the PIN comes first, the PUK on the next line."""
    pin, puk = Source("the PIN", pin_file, pin_stdin), Source("the PUK", puk_file, puk_stdin, "puk")
    secrets = {key: source.take() for key, source in (("pin", pin), ("puk", puk)) if source.is_given}

    def personalise(memory: Memory) -> None:
        import os

        from calais.cards.piv.image import load_image
        from calais.cards.piv.personalise import new_card

        new_card(
            memory,
            os.urandom,
            keys={} if empty else None,
            chuid_guid=b"" if no_chuid else None,
            read_only=read_only,
            image=load_image(image) if image else None,
            **secrets,  # type: ignore[arg-type]
        )

    home = virtual_readers()
    with working("Loading the card's contents" if image else "Making keys"):
        path = home.new(name, personalise)
    reader = DEFAULT_READER if insert_it else None
    if reader:
        home.insert(name, reader)
    return {"name": name, "file": str(path), "reader": reader, "default_secrets": not secrets, "keys": not empty}


def _list_view(screen: Screen, document: Document) -> None:
    if not document["cards"]:
        screen.line("No virtual cards. Make one: calais virtual new NAME --insert")
        return
    rows = [(row["name"], row["reader"] or ("in no reader", "dim"), (row["file"], "dim")) for row in document["cards"]]
    screen.table(("Card", "Reader", "File"), rows, keep=("Card",))


@command(_list_view)
def list_() -> Document:
    """List the virtual cards, and the readers they are in."""
    return {"cards": [_row(card) for card in virtual_readers().cards()]}


def _insert_view(screen: Screen, document: Document) -> None:
    screen.line(document["name"], (" is in ", "green"), f"{document['reader']}. Next: calais propagate")


@command(_insert_view)
@click.argument("name", shell_complete=complete_cards)
@click.option("--reader", default=DEFAULT_READER, show_default=True, metavar="NAME", help="Made if it is missing.")
def insert(name: str, reader: str) -> Document:
    """Insert the virtual card NAME into a virtual reader."""
    virtual_readers().insert(name, reader)
    return {"name": name, "reader": reader}


def _remove_view(screen: Screen, document: Document) -> None:
    screen.line(document["name"], (" was taken out", "green"), f" of {document['reader']}.")


@command(_remove_view)
@click.argument("where", metavar="[NAME|READER]", default=DEFAULT_READER, shell_complete=complete_cards)
def remove(where: str) -> Document:
    """Take a virtual card out of its reader; named by itself or by the reader. Its file stays."""
    home = virtual_readers()
    inserted = {card.reader: card.name for card in home.cards() if card.reader}
    reader = home.remove(where)
    return {"name": inserted.get(reader, where), "reader": reader}
