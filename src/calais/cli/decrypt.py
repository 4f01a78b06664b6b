"""``calais decrypt``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from calais.cli.command import Document, command
from calais.cli.files import STANDARD, reading, write_whole
from calais.cli.screen import Screen, is_json
from calais.cli.usekey import HASHES, INPUT, OUTPUT, check_streams, chosen, key_options


def _decrypted_view(screen: Screen, document: Document) -> None:
    if document["output"] is not None:
        screen.line(
            ("Decrypted ", "green"), document["file"], f" into {document['output']} ({document['bytes']} bytes)"
        )


@command(_decrypted_view)
@click.argument("file", type=INPUT)
@click.option("-o", "--output", type=OUTPUT, required=True, metavar="FILE", help="- is the standard output.")
@click.option(
    "--format", "form", type=click.Choice(["raw", "cms"]), default="raw", show_default=True, help="Block or CMS."
)
@click.option("--hash", "hash_name", type=HASHES, default="sha256", show_default=True, help="For OAEP.")
@click.option(
    "--padding", type=click.Choice(["pkcs1", "oaep"]), default="pkcs1", show_default=True, help="For raw blocks."
)
@key_options
def decrypt(file: Path, output: Path, form: str, hash_name: str, padding: str, **options: Any) -> Document:  # noqa: ANN401
    """Decrypt FILE with a key on a card: one RSA block (raw), or a CMS EnvelopedData.

    The result is written readable for this user only.
    """
    from calais.apps import filesign

    check_streams(file, options)
    if is_json() and output == STANDARD:
        raise click.UsageError("--json and --output - would mix on the standard output", click.get_current_context())
    with chosen(options) as use, reading(file) as stream:
        data = stream.read()
        if form == "cms":
            plain = filesign.decrypt_cms(use.key, use.certificate, data)
        else:
            plain = filesign.decrypt_raw(use.key, data, padding, hash_name)
        described = use.described()
    write_whole(output, plain, private=True)
    shown = None if output == STANDARD else str(output)
    return {"file": str(file), "output": shown, "bytes": len(plain), "format": form, **described}
