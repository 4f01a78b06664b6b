"""``calais card``: import, put-cert, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from calais.cli.adminkey import admin_options, management_key
from calais.cli.command import Document, command
from calais.cli.screen import Screen, working
from calais.cli.secrets import Source, secret_options
from calais.cli.session import choose_card, opened, reader_option
from calais.cli.slots import INPUT, policy_options, slot_argument


def key_of(options: dict[str, Any]) -> bytes:
    """The management key that the options of ``admin_options`` give."""
    names = ("management_key_file", "management_key_stdin", "default_management_key")
    return management_key(*(options[name] for name in names))


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
@admin_options
def import_(slot: str, file: Path, reader: str | None, pin_policy: str, touch_policy: str, **options: Any) -> Document:  # noqa: ANN401
    """Load the private key in FILE (PEM, DER or PKCS #12) into SLOT, with the certificate that is in FILE too.

    Wants the management key. On the standard input the management key comes first, the password on the next line.
    """
    from calais.apps import cardadmin

    index = cardadmin.slot_index(slot)
    admin = key_of(options)
    password = Source("the password", options["password_file"], options["password_stdin"], "password")
    secret = password.take().encode() if password.is_given else None
    key, der = cardadmin.load_key(file, secret)
    policies = {
        "pin_policy": cardadmin.PIN_POLICIES[pin_policy],
        "touch_policy": cardadmin.TOUCH_POLICIES[touch_policy],
    }
    with opened() as system:
        card = choose_card(system, reader)
        container = cardadmin.import_key(card, admin, index, key, **policies)
        if der is not None:
            cardadmin.require_match(container, der)
            cardadmin.put_certificate(card, admin, index, der)
        return {
            "reader": card.reader,
            "card": card.label,
            "slot": slot.upper(),
            "key": container.entry.algorithm
            if container.entry.algorithm != "RSA"
            else f"RSA-{container.entry.size_bits}",
            "container": container.name,
            "certificate": der is not None,
        }


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
@admin_options
def put_cert(slot: str, file: Path, compress: bool, force: bool, reader: str | None, **options: Any) -> Document:  # noqa: ANN401
    """Write the certificate in FILE (PEM or DER) into SLOT, next to its key. Wants the management key."""
    from calais.apps import cardadmin
    from calais.apps.certificates import describe
    from calais.apps.filesign import load_certificate_file

    index = cardadmin.slot_index(slot)
    der = load_certificate_file(file)
    admin = key_of(options)
    with opened() as system:
        card = choose_card(system, reader)
        if not force:
            cardadmin.require_match(cardadmin.container_at(card, index), der)
        with working("Writing the certificate"):
            cardadmin.put_certificate(card, admin, index, der, compress=compress or None)
        found = describe(der)
        subject = found.get("name") or found.get("subject")
        return {
            "reader": card.reader,
            "card": card.label,
            "slot": slot.upper(),
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
@admin_options
def delete(
    slot: str,
    with_key: bool,
    with_certificate: bool,
    yes: bool,
    reader: str | None,
    **options: Any,  # noqa: ANN401
) -> Document:
    """Delete the certificate (--cert), the key (--key), or both, in SLOT. Wants the management key."""
    from calais.apps import cardadmin

    if not (with_key or with_certificate):
        raise click.UsageError("say what to delete: --key, --cert or both", click.get_current_context())
    index = cardadmin.slot_index(slot)
    if with_key and not yes:
        _confirm(slot)
    admin = key_of(options)
    with opened() as system:
        card = choose_card(system, reader)
        cardadmin.delete(card, admin, index, key=with_key, certificate=with_certificate)
        deleted = [name for name, chosen in (("the key", with_key), ("the certificate", with_certificate)) if chosen]
        return {"reader": card.reader, "card": card.label, "slot": slot.upper(), "deleted": deleted}


def _confirm(slot: str) -> None:
    from calais.cli.secrets import can_ask

    if not can_ask():
        message = "a deleted key is gone for ever, and nobody can be asked: confirm with --yes"
        raise click.UsageError(message, click.get_current_context())
    click.confirm(f"Delete the key in {slot.upper()} for ever?", abort=True, err=True)
