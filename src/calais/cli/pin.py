"""``calais pin``: status, verify, change, unblock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from calais.cli.command import Answer, Document, command
from calais.cli.screen import Cell, Screen
from calais.cli.secrets import Source, pin_options, secret_options
from calais.cli.session import choose_card, opened, reader_option
from calais.win.errors import WinError, WrongPin

if TYPE_CHECKING:
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
        pins = [_row(card, PIN), *_optional_row(card, PUK)]
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


def _optional_row(card: Card, pin_id: int) -> list[dict[str, object]]:
    try:
        return [_row(card, pin_id)]
    except WinError:
        return []


def _done_view(screen: Screen, document: Document) -> None:
    screen.line((DONE[document["done"]], "green"), f": {document['card']} in {document['reader']}")


def _done(card: Card, what: str) -> Document:
    return {"reader": card.reader, "card": card.label, "done": what}


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
@secret_options("new-pin", "the new PIN")
def unblock(
    reader: str | None, puk_file: Path | None, puk_stdin: bool, new_pin_file: Path | None, new_pin_stdin: bool
) -> Document:
    """Set a new PIN with the PUK. On the standard input the PUK comes first, the new PIN on the next line."""
    with opened() as system:
        card = choose_card(system, reader)
        puk = Source("the PUK", puk_file, puk_stdin, "puk").pin()
        new = Source("the new PIN", new_pin_file, new_pin_stdin or _follows(puk_stdin, new_pin_file), "new-pin")
        try:
            card.unblock_pin(puk, new.pin(new=True))
        except WrongPin as error:
            raise _about_puk(error) from error
        return _done(card, "unblocked")


def _about_puk(error: WrongPin) -> WrongPin:
    left = f": {error.attempts_left} tries left" if error.attempts_left is not None else ""
    step = "See: calais pin status. A PUK without tries left cannot be mended"
    return WrongPin(error.code, f"the PUK is wrong{left}", next_step=step, attempts_left=error.attempts_left)
