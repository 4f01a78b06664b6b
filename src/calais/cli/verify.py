"""``calais verify``."""

from __future__ import annotations

from pathlib import Path

import click

from calais.cli.cert import complete_certificates
from calais.cli.command import Answer, Document, command
from calais.cli.files import reading
from calais.cli.screen import Screen, mark
from calais.cli.session import opened
from calais.cli.usekey import HASHES, INPUT
from calais.win.codes import Code
from calais.win.errors import WinError


def _verified_view(screen: Screen, document: Document) -> None:
    screen.line(
        mark(document["valid"], "The signature is valid", "The signature is NOT valid"), f": {document['file']}"
    )
    screen.facts((("Signed by", document["subject"] or ""), ("Thumbprint", document["thumbprint"])))
    if document["reason"]:
        screen.line(document["reason"])


@command(_verified_view)
@click.argument("file", type=INPUT)
@click.argument("sig", type=INPUT)
@click.option("--cert", metavar="CERT", shell_complete=complete_certificates, help="A certificate of the store.")
@click.option("--cert-file", type=INPUT, metavar="FILE", help="A certificate in PEM or DER.")
@click.option("--hash", "hash_name", type=HASHES, default="sha256", show_default=True)
@click.option(
    "--padding", type=click.Choice(["pkcs1", "pss"]), default="pkcs1", show_default=True, help="For RSA keys."
)
def verify(file: Path, sig: Path, cert: str | None, cert_file: Path | None, hash_name: str, padding: str) -> Answer:
    """Verify the signature SIG of FILE, bare or CMS; exit code 1 when it is not valid.

    A CMS signature brings its certificate; a bare one needs --cert or --cert-file. Whether the certificate itself is to
    be trusted is another question: calais scinfo, calais cert show.
    """
    from calais.apps.certificates import describe
    from calais.apps.filesign import verify_file

    signature = sig.read_bytes()
    der = _verifier(cert, cert_file, signature)
    reason = ""
    try:
        with reading(file) as stream:
            verify_file(der, stream, signature, hash_name, padding)
    except WinError as error:
        if error.code != Code.NTE_BAD_SIGNATURE:
            raise
        reason = error.detail
    found = describe(der)
    document = {"file": str(file), "valid": not reason, "reason": reason or None}
    return Answer(document | {"subject": found.get("subject"), "thumbprint": found["thumbprint"]}, holds=not reason)


def _verifier(cert: str | None, cert_file: Path | None, signature: bytes) -> bytes:
    from calais.apps.choosing import choose
    from calais.apps.filesign import certificate_in, load_certificate_file

    if cert is not None and cert_file is not None:
        raise click.UsageError("--cert and --cert-file exclude each other", click.get_current_context())
    if cert_file is not None:
        return load_certificate_file(cert_file)
    if cert is not None:
        with opened() as system, system.store() as store:
            return choose(store, cert)[1].der
    enclosed = certificate_in(signature)
    if enclosed is None:
        raise click.UsageError("a bare signature needs --cert or --cert-file", click.get_current_context())
    return enclosed
