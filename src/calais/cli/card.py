"""``calais card``: import, put-cert, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from calais.cli.adminkey import admin_options
from calais.cli.command import Document, command
from calais.cli.screen import Screen, working
from calais.cli.secrets import Source, pin_options, secret_options
from calais.cli.session import choose_card, opened, reader_option
from calais.cli.slots import INPUT, order_of, policy_options, prompt_for_change, right_of, shown, slot_argument


def _imported_view(screen: Screen, document: Document) -> None:
    what = "the key and its certificate" if document["certificate"] else "the key"
    screen.line(("Loaded ", "green"), f"{what} into {document['slot']} of {document['card']}: {document['key']}")
    hint = "calais propagate" if document["certificate"] else f"calais card put-cert {document['slot']} FILE"
    screen.line(f"Next: {hint}")


@command(_imported_view)
@slot_argument
@click.argument("file", type=INPUT)
@policy_options
@secret_options("password", "the password of FILE")
@reader_option
@pin_options
@admin_options
def import_(slot: str, file: Path, reader: str | None, **options: Any) -> Document:  # noqa: ANN401
    """Load the private key in FILE (PEM, DER or PKCS #12) into SLOT, with the certificate that is in FILE too.

    SLOT: as for "card generate". Wants what the card wants for a change: PIV the management key, GIDS the PIN. On the
    standard input it comes first, the password on the next line.
    """
    from calais.apps import cardadmin

    prompt = prompt_for_change(options)
    with opened(prompt) as system:
        card = choose_card(system, reader)
        place = cardadmin.place(card, slot)
        right = right_of(card, prompt, "load a key", options)
        key, der = cardadmin.load_key(file, _password(options))
        container = cardadmin.make_key(card, right, place, order_of(options, key=key))
        if der is not None:
            cardadmin.require_match(container, der)
            cardadmin.put_certificate(card, right, container.index, der)
        return {
            "reader": card.reader,
            "card": card.label,
            "slot": container.entry.reference,
            "key": container.entry.algorithm
            if container.entry.algorithm != "RSA"
            else f"RSA-{container.entry.size_bits}",
            "container": container.name,
            "certificate": der is not None,
        }


def _password(options: dict[str, Any]) -> bytes | None:
    source = Source("the password", options["password_file"], options["password_stdin"], "password")
    return source.take().encode() if source.is_given else None


def _put_view(screen: Screen, document: Document) -> None:
    screen.line(
        ("Wrote ", "green"), f"the certificate of {document['subject']} into {document['slot']} of {document['card']}"
    )
    screen.line("Next: calais propagate")


@command(_put_view)
@slot_argument
@click.argument("file", type=INPUT)
@click.option("--compress", is_flag=True, help="Compress it; else only when it does not fit otherwise.")
@click.option("--force", is_flag=True, help="Write it even if it is not of the key in SLOT.")
@reader_option
@pin_options
@admin_options
def put_cert(slot: str, file: Path, compress: bool, force: bool, reader: str | None, **options: Any) -> Document:  # noqa: ANN401
    """Write the certificate in FILE (PEM or DER) into SLOT, next to its key. Wants what the card wants for a change."""
    from calais.apps import cardadmin
    from calais.apps.certificates import describe
    from calais.apps.filesign import load_certificate_file

    der = load_certificate_file(file)
    prompt = prompt_for_change(options)
    with opened(prompt) as system:
        card = choose_card(system, reader)
        index = cardadmin.existing_place(card, slot)
        right = right_of(card, prompt, "write a certificate", options)
        if not force:
            cardadmin.require_match(cardadmin.container_at(card, index), der)
        with working("Writing the certificate"):
            cardadmin.put_certificate(card, right, index, der, compress=compress or None)
        found = describe(der)
        subject = found.get("name") or found.get("subject")
        return {
            "reader": card.reader,
            "card": card.label,
            "slot": shown(slot),
            "subject": subject,
            "thumbprint": found["thumbprint"],
        }


def _deleted_view(screen: Screen, document: Document) -> None:
    screen.line(
        ("Deleted ", "green"), f"{' and '.join(document['deleted'])} in {document['slot']} of {document['card']}"
    )


@command(_deleted_view)
@slot_argument
@click.option("--key", "with_key", is_flag=True, help="Delete the key; it is gone for ever.")
@click.option("--cert", "with_certificate", is_flag=True, help="Delete the certificate.")
@click.option("--yes", is_flag=True, help="Do not ask whether a key is really to be deleted.")
@reader_option
@pin_options
@admin_options
def delete(
    slot: str,
    with_key: bool,
    with_certificate: bool,
    yes: bool,
    reader: str | None,
    **options: Any,  # noqa: ANN401
) -> Document:
    """Delete the certificate (--cert), the key (--key), or both, in SLOT. Wants what the card wants for a change.

    A GIDS container goes with its key, and its certificate with the container.
    """
    from calais.apps import cardadmin

    if not (with_key or with_certificate):
        raise click.UsageError("say what to delete: --key, --cert or both", click.get_current_context())
    prompt = prompt_for_change(options)
    with opened(prompt) as system:
        card = choose_card(system, reader)
        index = cardadmin.existing_place(card, slot)
        if with_key and not yes:
            _confirm(slot)
        right = right_of(card, prompt, "delete", options)
        gone = cardadmin.delete(card, right, index, key=with_key, certificate=with_certificate)
        deleted = [name for name, so in (("the key", gone.key), ("the certificate", gone.certificate)) if so]
        return {"reader": card.reader, "card": card.label, "slot": shown(slot), "deleted": deleted}


def _confirm(slot: str) -> None:
    from calais.cli.secrets import can_ask

    if not can_ask():
        message = "a deleted key is gone for ever, and nobody can be asked: confirm with --yes"
        raise click.UsageError(message, click.get_current_context())
    click.confirm(f"Delete the key in {shown(slot)} for ever?", abort=True, err=True)
