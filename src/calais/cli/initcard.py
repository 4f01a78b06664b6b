"""``calais card init``."""

from __future__ import annotations

import os
from typing import Any

import click

from calais.cli.command import Document, command
from calais.cli.screen import Screen, working
from calais.cli.secrets import Source, secret_options
from calais.cli.session import choose_reader, opened, reader_option


def _view(screen: Screen, document: Document) -> None:
    screen.line(("Initialised ", "green"), f"{document['card']} in {document['reader']}")
    if not document["admin_key"]:
        screen.line("It has no administrator's key: a blocked PIN stays blocked.")
    screen.line("Next: calais card generate new --self-signed --subject NAME")


@command(_view)
@reader_option
@secret_options("new-pin", "the PIN that the card gets")
@secret_options("admin-key", "the administrator's key that the card gets (hexadecimal)")
@click.option("--without-admin-key", is_flag=True, help="The card gets none; nobody can unblock its PIN.")
def init(reader: str | None, without_admin_key: bool, **options: Any) -> Document:  # noqa: ANN401
    """Make a blank card ready for use: with a PIN, an administrator's key, and files, but no keys yet.

    A set-up that was cut off is done again. On the standard input the PIN comes first, then the administrator's key.
    """
    admin = Source("the administrator's key", options["admin_key_file"], options["admin_key_stdin"], "admin-key")
    if without_admin_key and admin.is_given:
        raise click.UsageError("give an administrator's key or --without-admin-key", click.get_current_context())
    new_pin = Source("the new PIN", options["new_pin_file"], options["new_pin_stdin"], "new-pin")
    with opened() as system:
        chosen = choose_reader(system, reader)
        card = system.card(chosen)
        pin = new_pin.pin(new=True)
        key = None if without_admin_key else admin.key()
        with working("Initialising the card"):
            card.run(lambda driver: driver.initialise(pin, key, os.urandom(16)))
        return {
            "reader": chosen,
            "card": system.card(chosen).label,
            "card_id": system.card(chosen).identity.card_id.hex(),
            "admin_key": key is not None,
        }
