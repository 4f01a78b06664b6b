"""``calais unblock new`` and ``calais unblock escrow``: making an escrow, and storing PUKs in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from calais.cli.command import Document, command
from calais.cli.escrowfiles import changed_escrow, load_escrow, password_of
from calais.cli.files import write_whole
from calais.cli.phone import card_id_of
from calais.cli.screen import Screen
from calais.cli.secrets import Source, secret_options
from calais.cli.session import choose_card, opened, reader_option

NEW_FILE = click.Path(dir_okay=False, path_type=Path)
OLD_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _new_view(screen: Screen, document: Document) -> None:
    screen.line(("Made ", "green"), f"an escrow in {document['file']}. In every cardholder's policy.toml:")
    screen.line("")
    screen.line("[unblock]")
    screen.line(f'escrow_key = "{document["public_key"]}"')


@command(_new_view)
@click.argument("file", type=NEW_FILE)
@secret_options("password", "the escrow's password")
def new(file: Path, **options: Any) -> Document:  # noqa: ANN401
    """Make an empty escrow in FILE. Who has the file and the password can release every PUK in it."""
    import os

    from calais.apps.escrow import new_escrow
    from calais.apps.escrowfile import build_escrow

    if file.exists():
        raise click.UsageError(f"{file} is there already", click.get_current_context())
    made = new_escrow(password_of(options).take(new=True).encode(), os.urandom)
    write_whole(file, build_escrow(made), private=True)
    return {"file": str(file), "public_key": made.public_key.hex()}


def _escrow_view(screen: Screen, document: Document) -> None:
    proved = "" if document["proved"] else " (it was not tried)"
    screen.line(("Stored ", "green"), f"the PUK of {document['label'] or document['card_id']}{proved}")
    screen.line(f"The escrow has PUKs of {document['cards']} cards")


@command(_escrow_view)
@click.argument("file", type=OLD_FILE)
@reader_option
@click.option("--card-id", metavar="HEX", help="Of a card that is not here; its PUK cannot be tried.")
@secret_options("puk", "the PUK")
def escrow(file: Path, reader: str | None, card_id: str | None, **options: Any) -> Document:  # noqa: ANN401
    """Store the PUK of the inserted card in the escrow FILE; needs no password.

    The PUK is tried first, by setting it to itself; a wrong one costs one of its tries.
    """
    puk = Source("the PUK", options["puk_file"], options["puk_stdin"], "puk").pin()
    if card_id is not None:
        return _stored(file, card_id_of(card_id), "", puk, proved=False)
    from calais.apps.unblock import prove_puk

    load_escrow(file)  # what is wrong with the file is told before a try is at stake
    with opened() as system:
        card = choose_card(system, reader)
        prove_puk(card, puk)
        return _stored(file, card.card_id, card.label, puk, proved=True)


def _stored(file: Path, card_id: bytes, label: str, puk: Any, *, proved: bool) -> Document:  # noqa: ANN401
    import os
    from datetime import UTC, datetime

    from calais.apps.escrow import Entry, Escrow, seal

    def add(kept: Escrow) -> Escrow:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return kept.with_card(card_id, Entry(seal(kept.public_key, card_id, puk, os.urandom), label, now))

    changed = changed_escrow(file, add)
    return {
        "file": str(file),
        "card_id": card_id.hex().upper(),
        "label": label,
        "proved": proved,
        "cards": len(changed.cards),
    }
