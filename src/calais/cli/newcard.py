"""``calais virtual new``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calais.cli.command import Document, command
from calais.cli.screen import Screen, working
from calais.cli.secrets import Source, secret_options
from calais.cli.session import virtual_readers
from calais.cli.virtual import DEFAULT_READER
from calais.win.errors import SharingViolation

if TYPE_CHECKING:
    from calais.cards.base import Memory
    from calais.resource.virtual import VirtualReaders

FIRST_KEY = {
    "piv": "calais card generate 9A --self-signed --subject NAME --default-management-key",
    "gids": "calais card generate new --self-signed --subject NAME",
}
FACTORY = {
    "piv": "PIN 123456, PUK 12345678 and the management key are the factory's; change the PIN: calais pin change",
    "gids": "PIN 123456 and the admin key (zeros) are the factory's; change the PIN: calais pin change",
}
INITIALISE = "calais card init"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
# What only one kind of card has; the parameter, and the option as it is written
ONLY = {
    "piv": {"image": "--image", "no_chuid": "--no-chuid"},
    "gids": {"admin_key_file": "--admin-key-file", "admin_key_stdin": "--admin-key-stdin", "blank": "--blank"},
}
# What a blank card does not have yet
NOT_BLANK = ("empty", "read_only", "pin_file", "pin_stdin", "puk_file", "puk_stdin", *ONLY["gids"])


def _view(screen: Screen, document: Document) -> None:
    screen.line(("Made ", "green"), document["name"], f" in {document['file']}")
    if document["blank"]:
        first = "" if document["reader"] else f"calais virtual insert {document['name']}, and then "
        screen.line(f"It is blank. Next: {first}{INITIALISE}")
        return
    if document["default_secrets"]:
        screen.line(FACTORY[document["card"]])
    if not document["reader"]:
        screen.line(f"Next: calais virtual insert {document['name']}")
        return
    hint = "calais propagate" if document["keys"] else FIRST_KEY[document["card"]]
    screen.line(f"It is in {document['reader']}. Next: {hint}")


@command(_view)
@click.argument("name")
@click.option("--card", type=click.Choice(["piv", "gids"]), default="piv", show_default=True, help="Which kind.")
@click.option("--image", type=FOLDER, metavar="DIR", help="PIV: contents of a real card, one file per object.")
@click.option("--empty", is_flag=True, help="No keys; else PIV: RSA in 9A and 9D, P-256 in 9C, GIDS: RSA; certified.")
@click.option("--no-chuid", is_flag=True, help="PIV: no CHUID, so that key names change at every enumeration.")
@click.option("--blank", is_flag=True, help="GIDS: not initialised; no PIN, no key, no file.")
@click.option("--read-only", is_flag=True, help="Nothing but the PINs can be changed.")
@click.option("--insert", "insert_it", is_flag=True, help="Insert it into the first virtual reader.")
@secret_options("pin", "the PIN (else 123456)")
@secret_options("puk", "the PUK (else PIV: 12345678, GIDS: none)")
@secret_options("admin-key", "GIDS: the admin key, hexadecimal (else zeros)")
def new(*, name: str, card: str, insert_it: bool, **options: Any) -> Document:  # noqa: ANN401 - click's values
    """Make the virtual card NAME. On the standard input the PIN comes first, then the PUK, then the admin key."""
    _check(card, options)
    secrets = _secrets(options)
    personalise = PERSONALISE[card](options, secrets)
    home = virtual_readers()
    with working("Loading the card's contents" if options["image"] else "Making keys"):
        path = home.new(name, personalise)
    reader = DEFAULT_READER if insert_it else None
    if reader:
        _insert(home, name, reader)
    return {
        "name": name,
        "card": card,
        "file": str(path),
        "reader": reader,
        "default_secrets": not secrets and not options["blank"],
        "keys": not (options["empty"] or options["blank"]),
        "blank": options["blank"],
    }


def _insert(home: VirtualReaders, name: str, reader: str) -> None:
    try:
        home.insert(name, reader)
    except SharingViolation as error:
        step = f"calais virtual insert {name} --reader NAME makes another reader"
        raise SharingViolation(
            error.code, f"{name} was made and not inserted: {error.detail}", next_step=step
        ) from error


def _check(card: str, options: dict[str, Any]) -> None:
    """Refuse options of the other kind of card, and those that a blank card has no use for."""
    context = click.get_current_context()
    for kind, only in ONLY.items():
        wrong = [written for parameter, written in only.items() if options[parameter] and kind != card]
        if wrong:
            raise click.UsageError(f"{wrong[0]} is for --card {kind}", context)
    if options["blank"] and any(options[name] for name in NOT_BLANK if name != "blank"):
        raise click.UsageError("a blank card has no PIN, no key and no rules yet: give --blank alone", context)


def _secrets(options: dict[str, Any]) -> dict[str, Any]:
    sources = {
        "pin": Source("the PIN", options["pin_file"], options["pin_stdin"]),
        "puk": Source("the PUK", options["puk_file"], options["puk_stdin"], "puk"),
        "admin_key": Source("the admin key", options["admin_key_file"], options["admin_key_stdin"], "admin-key"),
    }
    found: dict[str, Any] = {name: source.take() for name, source in sources.items() if source.is_given}
    if "admin_key" in found:
        try:
            found["admin_key"] = bytes.fromhex(found["admin_key"])
        except ValueError:
            raise click.UsageError("the admin key is not hexadecimal", click.get_current_context()) from None
    return found


def _piv(options: dict[str, Any], secrets: dict[str, Any]) -> Callable[[Memory], None]:
    def personalise(memory: Memory) -> None:
        import os

        from calais.cards.piv.image import load_image
        from calais.cards.piv.personalise import new_card

        new_card(
            memory,
            os.urandom,
            keys={} if options["empty"] else None,
            chuid_guid=b"" if options["no_chuid"] else None,
            read_only=options["read_only"],
            image=load_image(options["image"]) if options["image"] else None,
            **secrets,
        )

    return personalise


def _gids(options: dict[str, Any], secrets: dict[str, Any]) -> Callable[[Memory], None]:
    def personalise(memory: Memory) -> None:
        import os

        from calais.cards.gids.personalise import new_gids_card

        new_gids_card(
            memory,
            os.urandom,
            keys=[] if options["empty"] else None,
            read_only=options["read_only"],
            blank=options["blank"],
            **secrets,
        )

    return personalise


PERSONALISE = {"piv": _piv, "gids": _gids}
