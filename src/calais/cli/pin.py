"""``calais pin``: status, verify, change, unblock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calais.cli.command import Answer, Document, command
from calais.cli.phone import at_the_phone, plain_option
from calais.cli.screen import Cell, Screen
from calais.cli.secrets import Source, pin_options, secret_options
from calais.cli.session import choose_card, opened, reader_option
from calais.win.errors import NotFound, WinError, WrongPin

if TYPE_CHECKING:
    from calais.apps.unblock import Answerer
    from calais.minidriver.pins import Pin
    from calais.provider.card import Card

PIN, PUK = 1, 3
DONE = {"verified": "The PIN is right", "changed": "The PIN was changed", "unblocked": "The PIN was set anew"}
NAMES = {PIN: "PIN", PUK: "PUK"}


def _status_view(screen: Screen, document: Document) -> None:
    screen.title(f"{document['card']} in {document['reader']}")
    rows = [(row["name"], _tries(row), _state(row)) for row in document["pins"]]
    screen.table(("", "Tries left", "State"), rows)
    if document["pins"][0]["blocked"]:
        screen.line("Set a new PIN with the PUK: calais pin unblock")


def _tries(row: Document) -> Cell:
    if row["attempts_left"] is None:
        return ("the card does not say", "dim")
    of = f" of {row['attempts_max']}" if row["attempts_max"] else ""
    return (f"{row['attempts_left']}{of}", "red" if row["attempts_left"] <= 1 else "")


def _state(row: Document) -> Cell:
    if row["blocked"]:
        return ("blocked", "bold red")
    if row["is_default"]:
        return ("still the factory's", "yellow")
    return "verified" if row["verified"] else ""


@command(_status_view)
@reader_option
def status(reader: str | None) -> Answer:
    """Say how many tries are left; uses up none. Exit code 1 when the PIN is blocked."""
    with opened() as system:
        card = choose_card(system, reader)
        pins = [_users_row(card), *_optional_row(card, PUK)]
        document = {"reader": card.reader, "card": card.label, "pins": pins}
        return Answer(document, holds=not pins[0]["blocked"])


def _row(card: Card, pin_id: int) -> dict[str, object]:
    found = card.pin_status(pin_id)
    return {
        "id": pin_id,
        "name": NAMES[pin_id],
        "attempts_left": found.attempts_left,
        "attempts_max": found.attempts_max,
        "blocked": found.blocked,
        "verified": found.verified,
        "is_default": found.is_default,
    }


def _users_row(card: Card) -> dict[str, object]:
    try:
        return _row(card, PIN)
    except NotFound as error:
        step = "A blank card is made ready with: calais card init"
        raise NotFound(error.code, f"{card.label} has no PIN yet", next_step=step) from error


def _optional_row(card: Card, pin_id: int) -> list[dict[str, object]]:
    try:
        return [_row(card, pin_id)]
    except WinError:
        return []


def _done_view(screen: Screen, document: Document) -> None:
    screen.line((DONE[document["done"]], "green"), f": {document['card']} in {document['reader']}")


def _done(card: Card, what: str, **more: str) -> Document:
    return {"reader": card.reader, "card": card.label, "done": what} | more


@command(_done_view)
@reader_option
@pin_options
def verify(reader: str | None, pin_file: Path | None, pin_stdin: bool) -> Document:
    """Try the PIN once. A wrong one costs a try, and is exit code 4."""
    with opened() as system:
        card = choose_card(system, reader)
        card.verify_pin(_current(card, pin_file, pin_stdin).pin())
        return _done(card, "verified")


def _current(card: Card, file: Path | None, stdin: bool) -> Source:
    """Where the PIN comes from; at the terminal the question says how many tries are left."""
    left = card.pin_status(PIN).attempts_left
    tries = f" ({left} tries left)" if left is not None else ""
    return Source(f"the PIN of {card.label}{tries}", file, stdin)


@command(_done_view)
@reader_option
@pin_options
@secret_options("new-pin", "the new PIN")
def change(
    reader: str | None, pin_file: Path | None, pin_stdin: bool, new_pin_file: Path | None, new_pin_stdin: bool
) -> Document:
    """Replace the PIN. On the standard input the present PIN comes first, the new one on the next line."""
    with opened() as system:
        card = choose_card(system, reader)
        old = _current(card, pin_file, pin_stdin).pin()
        new = Source("the new PIN", new_pin_file, new_pin_stdin or _follows(pin_stdin, new_pin_file), "new-pin")
        card.change_pin(old, new.pin(new=True))
        return _done(card, "changed")


def _follows(first_on_stdin: bool, file: Path | None) -> bool:
    """Whether the new secret is on the line after the first one."""
    return first_on_stdin and file is None


@command(_done_view)
@reader_option
@secret_options("puk", "the PUK")
@secret_options("admin-key", "the administrator's key (hexadecimal)")
@click.option("--phone", is_flag=True, help="By challenge and response with the help desk; docs/unblock.md.")
@plain_option
@secret_options("new-pin", "the new PIN")
def unblock(reader: str | None, phone: bool, plain: bool, **options: Any) -> Document:  # noqa: ANN401
    """Set a new PIN with the PUK, the administrator's key, or the help desk at the telephone.

    On the standard input the PUK or key comes first, the new PIN on the next line; with --phone the new PIN comes
    first, then the lines of the answer.
    """
    from calais.apps.unblock import Way, plan_far, plan_here, unblock, unblockers

    with opened() as system:
        card = choose_card(system, reader)
        found = card.run(unblockers)
        if phone:
            key = bytes.fromhex(card.policy.unblock_escrow_key)
            way = plan_far(found, key)
            new = _new_pin(options, first_on_stdin=False)
            unblock(card, way, new, at_the_phone(card, way, plain=plain), escrow_key=key)
        elif options["admin_key_file"] or options["admin_key_stdin"]:
            way = plan_here(found, Way.RESPONSE)
            admin_key = _admin_key(options)
            new = _new_pin(options, first_on_stdin=options["admin_key_stdin"])
            unblock(card, way, new, admin_key)
        else:
            way = plan_here(found, Way.PUK)
            _by_puk(card, options)
        return _done(card, "unblocked", by=str(way.way))


def _new_pin(options: dict[str, Any], *, first_on_stdin: bool) -> Pin:
    stdin = options["new_pin_stdin"] or _follows(first_on_stdin, options["new_pin_file"])
    return Source("the new PIN", options["new_pin_file"], stdin, "new-pin").pin(new=True)


def _admin_key(options: dict[str, Any]) -> Answerer:
    """What answers a challenge with the administrator's key of the options."""
    from calais.apps.unblock import answer_with

    source = Source("the administrator's key", options["admin_key_file"], options["admin_key_stdin"], "admin-key")
    return answer_with(source.key())


def _by_puk(card: Card, options: dict[str, Any]) -> None:
    puk = Source("the PUK", options["puk_file"], options["puk_stdin"], "puk").pin()
    new = _new_pin(options, first_on_stdin=options["puk_stdin"])
    try:
        card.unblock_pin(puk, new)
    except WrongPin as error:
        raise _about_puk(error) from error


def _about_puk(error: WrongPin) -> WrongPin:
    left = f": {error.attempts_left} tries left" if error.attempts_left is not None else ""
    step = "See: calais pin status. A PUK without tries left cannot be mended"
    return WrongPin(error.code, f"the PUK is wrong{left}", next_step=step, attempts_left=error.attempts_left)
