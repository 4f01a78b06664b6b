"""``calais card generate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calais.cli.adminkey import admin_options
from calais.cli.command import Document, command
from calais.cli.files import write_whole
from calais.cli.screen import Screen, working
from calais.cli.secrets import pin_options
from calais.cli.session import choose_card, opened, reader_option
from calais.cli.slots import order_of, policy_options, prompt_for_change, right_of, slot_argument

if TYPE_CHECKING:
    from calais.provider.card import Card, Right
    from calais.provider.container import Container

OUTPUT = click.Path(dir_okay=False, path_type=Path)
ALGORITHMS = ("P256", "P384", "P521", "RSA2048", "RSA3072", "RSA4096", "RSA1024", "ED25519", "X25519")


def _view(screen: Screen, document: Document) -> None:
    screen.line(("Made ", "green"), f"a key ({document['algorithm']}) in {document['slot']} of {document['card']}")
    for name in ("public_key", "csr", "certificate"):
        written, text = document[f"{name}_file"], document[name]
        if written:
            screen.line(f"Wrote {_WORDS[name]} into {written}")
        elif text and (name != "public_key" or not (document["csr"] or document["certificate"])):
            click.echo(text, nl=False)
    screen.line(f"Next: {document['next_step']}")


_WORDS = {"public_key": "the public key", "csr": "the request", "certificate": "the certificate"}


@command(_view)
@slot_argument
@click.option("--algorithm", type=click.Choice(ALGORITHMS, case_sensitive=False), default="P256", show_default=True)
@policy_options
@click.option("--csr", is_flag=True, help="Also make a certificate request, to be sent to an authority.")
@click.option("--self-signed", is_flag=True, help="Also make a certificate that the key issues itself, and write it.")
@click.option("--subject", metavar="NAME", help='For both: "Ada Lovelace" or "CN=Ada Lovelace,O=Example".')
@click.option("--days", type=click.IntRange(1, 36500), default=365, show_default=True, help="A self-signed one's life.")
@click.option(
    "-o", "--output", type=OUTPUT, metavar="FILE", help="For request, certificate or public key; else printed."
)
@reader_option
@pin_options
@admin_options
def generate(slot: str, algorithm: str, output: Path | None, reader: str | None, **options: Any) -> Document:  # noqa: ANN401
    """Make a key in SLOT, over the one that was there. It never leaves the card.

    SLOT: on PIV cards 9A, 9C, 9D, 9E or 82 to 95; on GIDS cards new, or a container's name, key (81) or number. PIV
    wants the management key, and with --csr and --self-signed the PIN too, for they are signed; GIDS wants the PIN. On
    the standard input the management key comes first, the PIN on the next line.
    """
    from calais.apps import cardadmin

    subject = _subject(options)
    prompt = prompt_for_change(options)
    with opened(prompt) as system:
        card = choose_card(system, reader)
        place = cardadmin.place(card, slot)
        right = right_of(card, prompt, "make a key", options)
        with working(f"The card makes a key ({algorithm.upper()})"):
            container = cardadmin.make_key(card, right, place, order_of(options, algorithm=algorithm.upper()))
        document = {"reader": card.reader, "card": card.label, "slot": container.entry.reference}
        document |= {"algorithm": algorithm.upper(), "container": container.name}
        document |= _papers(card, container, right, subject, options)
    return _written(document, output)


def _subject(options: dict[str, Any]) -> Any:  # noqa: ANN401
    from calais.apps.cardadmin import parse_subject

    if options["csr"] and options["self_signed"]:
        raise click.UsageError("--csr and --self-signed exclude each other", click.get_current_context())
    wanted = options["csr"] or options["self_signed"]
    if wanted and not options["subject"]:
        raise click.UsageError("a request or certificate needs --subject", click.get_current_context())
    return parse_subject(options["subject"]) if wanted else None


def _papers(card: Card, container: Container, right: Right, subject: Any, options: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Public key, and request or certificate, in PEM; and what to do with them."""
    from datetime import UTC, datetime

    from calais.apps import cardadmin
    from calais.apps.certificates import pem_of, public_pem

    slot = container.entry.reference
    found: dict[str, Any] = {"public_key": public_pem(container.public_key), "csr": None, "certificate": None}
    found["next_step"] = f"calais card put-cert {slot} FILE, when you have a certificate"
    if options["csr"]:
        found["csr"] = cardadmin.make_request(container, subject).decode()
        found["next_step"] = f"send the request to your authority, then: calais card put-cert {slot} FILE"
    if options["self_signed"]:
        der = cardadmin.make_self_signed(container, subject, datetime.now(UTC), options["days"])
        cardadmin.put_certificate(card, right, container.index, der)
        found |= {"certificate": pem_of(der), "next_step": "calais propagate"}
    return found


def _written(document: dict[str, Any], output: Path | None) -> Document:
    paper = next(name for name in ("csr", "certificate", "public_key") if document[name])
    document |= dict.fromkeys(("public_key_file", "csr_file", "certificate_file"))
    if output is not None:
        write_whole(output, document[paper].encode())
        document[f"{paper}_file"] = str(output)
    return document
