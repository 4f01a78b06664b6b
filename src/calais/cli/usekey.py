"""The options that name a key on a card, and the key they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from calais.cli.asking import prompt_of
from calais.cli.cert import complete_certificates
from calais.cli.files import STANDARD
from calais.cli.secrets import pin_options
from calais.cli.session import choose_card, opened, reader_option

if TYPE_CHECKING:
    from calais.apps.keychoice import ChosenKey

F = TypeVar("F", bound=Callable[..., Any])
INPUT = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
OUTPUT = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
HASHES = click.Choice(["sha256", "sha384", "sha512", "sha1"])


def key_options(body: F) -> F:
    """``--cert`` or ``--container``, with ``--reader``, the PIN and pinentry."""
    cert = click.option(
        "--cert", metavar="CERT", shell_complete=complete_certificates, help="A certificate of the store."
    )
    container = click.option(
        "--container", metavar="KEY", help="A key of a card: 9A, its number, or its container's name."
    )
    window = click.option("--pinentry", is_flag=True, help="Ask for the PIN in pinentry's window.")
    return cert(container(reader_option(pin_options(window(body)))))


@contextmanager
def chosen(options: dict[str, Any]) -> Iterator[ChosenKey]:
    """The key that the options of ``key_options`` name; with neither, the default key of the only card."""
    from calais.apps.keychoice import key_of_certificate, key_of_container

    cert, container = options["cert"], options["container"]
    if cert is not None and container is not None:
        raise click.UsageError("--cert and --container exclude each other", click.get_current_context())
    prompt = prompt_of(options["pin_file"], options["pin_stdin"], pinentry=options["pinentry"])
    with opened(prompt) as system:
        if cert is not None:
            yield key_of_certificate(system, cert)
        else:
            yield key_of_container(choose_card(system, options["reader"]), container)


def check_streams(file: Path, options: dict[str, Any]) -> None:
    """Refuse to read a file and the PIN from the same stream."""
    if file == STANDARD and options["pin_stdin"]:
        message = "the standard input cannot be the file and the PIN: use --pin-file"
        raise click.UsageError(message, click.get_current_context())
