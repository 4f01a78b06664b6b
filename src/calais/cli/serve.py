"""``calais virtual serve``."""

from __future__ import annotations

import signal
import threading

import click

from calais.cli.command import Document, command
from calais.cli.screen import Screen, count
from calais.cli.session import virtual_readers
from calais.cli.virtual import complete_cards
from calais.transport.vpcd import DEFAULT_PORT


def _view(screen: Screen, document: Document) -> None:
    screen.line(f"{document['name']} was inserted {count(document['insertions'], 'time')}; its state is in its file.")


@command(_view)
@click.argument("name", shell_complete=complete_cards)
@click.option("--port", default=DEFAULT_PORT, show_default=True, type=click.IntRange(1, 65535), help="vpcd's TCP port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where pcscd runs.")
@click.option("--quiet", is_flag=True, help="Say nothing while serving.")
def serve(name: str, port: int, host: str, quiet: bool) -> Document:
    """Put the virtual card NAME behind the real pcscd, until Ctrl-C.

    Needs the packages pcscd and vsmartcard-vpcd there. OpenSC, yubico-piv-tool, ssh and browsers then see the card
    as a real one.
    """
    from calais.transport import vpcd

    stop = threading.Event()
    insertions = []

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    def inserted() -> None:
        insertions.append(name)
        say(f"{name} is in the reader at {host}, port {port}. Ctrl-C takes it out.")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with virtual_readers().holding(name) as card:
        say(f"Waiting for pcscd at {host}, port {port} ...")
        vpcd.serve(card, port, host=host, stop=stop, on_inserted=inserted, on_removed=lambda: say("The reader let go."))
    return {"name": name, "host": host, "port": port, "insertions": len(insertions)}
