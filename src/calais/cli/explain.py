"""``calais cert explain``."""

from __future__ import annotations

from typing import Any

import click

from calais.cli.cert import SHORT, complete_certificates
from calais.cli.command import Answer, Document, command
from calais.cli.safe import short
from calais.cli.screen import Cell, Screen, mark
from calais.cli.session import opened


def _view(screen: Screen, document: Document) -> None:
    screen.title(f"{short(document['subject'] or 'Certificate')}  {document['thumbprint'][:8]}")
    rows = [
        (mark(station["holds"], "ok", "broken", "-"), station["name"], station["shows"])
        for station in document["stations"]
    ]
    screen.table(("", "Station", "What is there"), rows, keep=("", "Station"))
    screen.line()
    screen.line((document["verdict"], "bold green" if document["works"] else "bold red"))
    for at, each in enumerate(document["breaks"]):
        if at:
            screen.line(each["cause"])
        code: list[Cell] = [f"{each['code_name']} ({each['code']})", (f"  [{each['name']}]", "dim")]
        screen.facts([("Windows says", code), ("Mend it", (each["mend"], "bold"))])


def _runnable(mend: str, thumbprint: str) -> str:
    """The command that mends it, with the certificate in it."""
    return f"{mend} {thumbprint[:SHORT]}" if mend.endswith("calais cert repair") else mend


@command(_view)
@click.argument("cert", shell_complete=complete_certificates)
@click.option("--store", "name", default="My", show_default=True, help="The store.")
def explain(cert: str, name: str) -> Answer:
    """Follow the link of CERT from the store to its key on a card, and say where and why it breaks.

    Exit code 1 when it does. Asks for no PIN.
    """
    from calais.apps.certificates import describe
    from calais.apps.choosing import choose
    from calais.apps.explain import follow
    from calais.apps.linkfacts import gather

    with opened() as system, system.store(name) as store:
        found = choose(store, cert)[1]
        explanation = follow(gather(system, found, name), system.clock.now())
        document: dict[str, Any] = {
            "store": name,
            "subject": describe(found.der).get("name") or found.subject,
            "thumbprint": found.sha1.hex(),
            "works": explanation.works,
            "verdict": explanation.verdict,
            "stations": [
                {"name": station.name, "holds": station.holds, "shows": station.shows}
                for station in explanation.stations
            ],
            "breaks": [
                {
                    "name": each.name,
                    "code": f"0x{each.code:08X}",
                    "code_name": each.code.name,
                    "cause": each.cause,
                    "mend": _runnable(each.mend, found.sha1.hex()),
                }
                for each in explanation.breaks
            ],
        }
    return Answer(document, holds=explanation.works)
