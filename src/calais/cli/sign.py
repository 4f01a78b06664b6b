"""``calais sign``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from calais.cli.command import Document, command
from calais.cli.files import STANDARD, reading, write_whole
from calais.cli.screen import Screen, is_json
from calais.cli.usekey import HASHES, INPUT, OUTPUT, check_streams, chosen, key_options


def _signed_view(screen: Screen, document: Document) -> None:
    if document["output"] is None:
        return
    made = f"{document['output']} ({document['bytes']} bytes)"
    screen.line(("Signed ", "green"), document["file"], " into ", made)
    screen.facts(
        (
            ("Key", f"{document['key']}, {document['container']}"),
            ("Format", f"{document['format']}, {document['hash']}, {document['padding'] or 'ECDSA'}"),
            ("Check it with", document["check"]),
        )
    )


@command(_signed_view)
@click.argument("file", type=INPUT)
@click.option("-o", "--output", type=OUTPUT, metavar="SIG", help="Else FILE.sig or FILE.p7s; - is the standard output.")
@click.option(
    "--format", "form", type=click.Choice(["raw", "cms"]), default="raw", show_default=True, help="Bare or CMS."
)
@click.option("--hash", "hash_name", type=HASHES, default="sha256", show_default=True)
@click.option(
    "--padding", type=click.Choice(["pkcs1", "pss"]), default="pkcs1", show_default=True, help="For RSA keys."
)
@key_options
def sign(file: Path, output: Path | None, form: str, hash_name: str, padding: str, **options: Any) -> Document:  # noqa: ANN401
    """Sign FILE with a key on a card; the signature is detached. FILE may be - for the standard input.

    Without --cert and --container, the default key of the only card signs.
    """
    from calais.apps import filesign

    check_streams(file, options)
    with chosen(options) as use, reading(file) as stream:
        if form == "cms":
            made = filesign.sign_cms(use.key, use.certificate, stream, hash_name, padding)
        else:
            made = filesign.sign_raw(use.key, stream, hash_name, padding)
        described = use.described()
    target = output or _beside(file, "p7s" if form == "cms" else "sig")
    if not (is_json() and target == STANDARD):  # the document has the signature
        write_whole(target, made)
    kind, thumbprint = str(described["key"]), str(described["thumbprint"] or "")[:8]
    signer = f"--cert {thumbprint}" if thumbprint else "--cert-file CERTIFICATE"
    return {
        "file": str(file),
        "output": None if target == STANDARD else str(target),
        "bytes": len(made),
        "signature": made.hex(),
        "format": form,
        "hash": hash_name,
        "padding": padding if kind.startswith("RSA") else None,
        "check": f"calais verify {file} {target} {signer}{_again(form, hash_name, padding, kind)}",
        **described,
    }


def _again(form: str, hash_name: str, padding: str, kind: str) -> str:
    """The options that ``verify`` needs too."""
    if form == "cms":
        return ""
    given = f" --hash {hash_name}" if hash_name != "sha256" else ""
    return given + (" --padding pss" if padding == "pss" and kind.startswith("RSA") else "")


def _beside(file: Path, ending: str) -> Path:
    return STANDARD if file == STANDARD else file.with_name(f"{file.name}.{ending}")
