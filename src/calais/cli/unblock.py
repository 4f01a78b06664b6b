"""``calais unblock``: the administrator's side of unblocking a card far away: respond, derive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calais.cli.command import Document, command
from calais.cli.escrowfiles import load_escrow, password_of
from calais.cli.files import write_whole
from calais.cli.phone import card_id_of, plain_option, read_out, take_down
from calais.cli.screen import Screen
from calais.cli.secrets import Source, secret_options
from calais.cli.session import choose_card, opened, reader_option

if TYPE_CHECKING:
    from calais.apps.spelling import Kind
    from calais.minidriver.challenge import AdminCipher

NEW_FILE = click.Path(dir_okay=False, path_type=Path)
OLD_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CIPHERS = click.Choice(("3DES", "AES"), case_sensitive=False)
cipher_option = click.option("--cipher", type=CIPHERS, help="What the key is for; 24 bytes are 3DES if not said.")
card_id_option = click.option("--card-id", metavar="HEX", help="The card's id, 32 digits; else it is asked for.")


def _cipher(name: str | None) -> AdminCipher | None:
    from calais.minidriver.challenge import AdminCipher

    return None if name is None else AdminCipher(name.upper())


# --- respond ---------------------------------------------------------------------------------------------------------


def _respond_view(_screen: Screen, document: Document) -> None:
    from calais.apps.spelling import Kind

    click.echo("Read this to them:\n")
    context = bytes.fromhex(document["card_id"] + document["challenge"])
    read_out("Answer", Kind(document["kind"]), bytes.fromhex(document["response"]), context, err=False)


@command(_respond_view)
@card_id_option
@click.option("--challenge", metavar="HEX", help="The challenge, without check words; else it is asked for.")
@click.option("--escrow", type=OLD_FILE, metavar="FILE", help="Release the PUK that this escrow keeps for the card.")
@secret_options("password", "the password of the escrow")
@secret_options("admin-key", "the card's administrator key (hexadecimal)")
@secret_options("master-key", "the master key, of which the card's key is made (hexadecimal)")
@cipher_option
@plain_option
def respond(**options: Any) -> Document:  # noqa: ANN401
    """Answer the challenge of a card far away, so that its holder can unblock the PIN.

    Card and challenge are asked for, as the holder reads them out. On the standard input the secret comes first, then
    the lines of card and challenge.
    """
    if options["escrow"] is not None:
        return _release(options)
    secret = _key_source(options)
    key = secret.key()
    card_id = card_id_of(options["card_id"], plain=options["plain"])
    return _response(card_id, key, is_master=secret.option == "master-key", options=options)


def _key_source(options: dict[str, Any]) -> Source:
    """Where the administrator's key, or the master key, comes from."""
    master = Source("the master key", options["master_key_file"], options["master_key_stdin"], "master-key")
    own = Source("the administrator's key", options["admin_key_file"], options["admin_key_stdin"], "admin-key")
    if master.is_given and own.is_given:
        raise click.UsageError("give the administrator's key or the master key, not both", click.get_current_context())
    return master if master.is_given else own


def _response(card_id: bytes, key: bytes, *, is_master: bool, options: dict[str, Any]) -> Document:
    from calais.apps.spelling import Kind
    from calais.minidriver import challenge as codec

    cipher = _cipher(options["cipher"])
    if is_master:
        key = codec.diversify(key, card_id, cipher or codec.AdminCipher.TDES)
    given = _challenge(options, Kind.CHALLENGE, card_id)
    return _answer(Kind.RESPONSE, card_id, given, codec.respond(key, given, cipher))


def _challenge(options: dict[str, Any], kind: Kind, context: bytes) -> bytes:
    from calais.apps import spelling

    if options["challenge"] is not None:
        return spelling.plain(options["challenge"])
    return take_down("Challenge", kind, context, plain=options["plain"])


def _release(options: dict[str, Any]) -> Document:
    from calais.apps import escrow as app
    from calais.apps.spelling import Kind

    kept = load_escrow(options["escrow"])
    private = app.unlock(kept, password_of(options).take().encode())
    card_id = card_id_of(options["card_id"], plain=options["plain"])
    puk = app.unseal(private, card_id, kept.entry(card_id).sealed)
    given = _challenge(options, Kind.REQUEST, card_id + kept.public_key)
    return _answer(Kind.RELEASE, card_id, given, app.release(private, card_id, given, puk))


def _answer(kind: Kind, card_id: bytes, challenge: bytes, response: bytes) -> Document:
    from calais.apps.spelling import lines

    return {
        "card_id": card_id.hex().upper(),
        "challenge": challenge.hex().upper(),
        "kind": str(kind),
        "response": response.hex().upper(),
        "lines": [
            {"digits": line.digits, "check": line.check, "spelled": line.spelled}
            for line in lines(kind, response, card_id + challenge)
        ],
    }


# --- derive ----------------------------------------------------------------------------------------------------------


def _derive_view(screen: Screen, document: Document) -> None:
    screen.line(("Wrote ", "green"), f"the administrator's key of {document['card_id']} into {document['file']}")


@command(_derive_view)
@card_id_option
@secret_options("master-key", "the master key (hexadecimal)")
@cipher_option
@click.option("-o", "--output", type=NEW_FILE, required=True, metavar="FILE", help="For the key; only you may read it.")
@reader_option
def derive(card_id: str | None, cipher: str | None, output: Path, reader: str | None, **options: Any) -> Document:  # noqa: ANN401
    """Make the administrator's key of one card from a master key (NIST SP 800-108), for personalising the card."""
    from calais.minidriver.challenge import AdminCipher, diversify

    master = Source("the master key", options["master_key_file"], options["master_key_stdin"], "master-key").key()
    if card_id is None:
        with opened() as system:
            whose = choose_card(system, reader).card_id
    else:
        whose = card_id_of(card_id)
    key = diversify(master, whose, _cipher(cipher) or AdminCipher.TDES)
    write_whole(output, key.hex().encode() + b"\n", private=True)
    return {"card_id": whose.hex().upper(), "file": str(output), "cipher": cipher or "3DES"}
