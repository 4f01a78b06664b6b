"""``calais demo``."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from calais.cli.command import Document, command
from calais.cli.screen import Screen, count, is_json

if TYPE_CHECKING:
    from calais.apps.demo import Step

INTRODUCTION = (
    "Windows ties each certificate of a smart card to its private key, so that any program can use it.",
    "Calais does the same on any machine. Watch it happen, on a card made of software.",
)
LEFT = ("Nothing is left behind. Do it yourself: ", "calais virtual new NAME --insert", ", then ", "calais propagate")


def _view(screen: Screen, document: Document) -> None:
    """The steps were shown as they happened; this is the end."""
    screen.line()
    total = f"{document['exchanges']} exchanges with the card, {document['seconds']:.1f} seconds."
    screen.line(("All of it worked. ", "bold green"), total)
    screen.line(*(piece if at % 2 == 0 else (piece, "bold") for at, piece in enumerate(LEFT)))


@command(_view)
def demo() -> Document:
    """Tell the whole story on a virtual card: keys, certificates, store, signature, card pulled and back.

    Needs no card, reader, service or root, touches none that is there, and leaves nothing behind.
    """
    from calais.apps.demo import tell

    report = _silent if is_json() else _Telling(Screen())
    start = time.monotonic()
    steps = tell(report)
    return {
        "steps": [_row(number, step) for number, step in enumerate(steps, 1)],
        "exchanges": sum(step.exchanges for step in steps),
        "seconds": round(time.monotonic() - start, 3),
    }


def _row(number: int, step: Step) -> dict[str, Any]:
    facts = [{"name": name, "value": value} for name, value in step.facts]
    return {"number": number, **asdict(step), "facts": facts}


def _silent(_step: Step) -> None:
    """With ``--json`` everything comes at the end."""


class _Telling:
    """Shows each step when it is done."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._number = 0
        screen.line(("Calais", "bold"), " shows what it does.")
        for line in INTRODUCTION:
            screen.line((line, "dim"))

    def __call__(self, step: Step) -> None:
        """One step."""
        self._number += 1
        screen = self._screen
        screen.line()
        screen.line((f"{self._number}  ", "cyan"), (step.title, "bold"), "  ", (_cost(step), "dim"))
        screen.paragraph(step.what, indent=3)
        screen.facts(step.facts, indent=3)


def _cost(step: Step) -> str:
    parts = [f"{count(step.exchanges, 'APDU')}"]
    if step.exchanges:
        parts.append(f"{step.bytes_out + step.bytes_in} bytes")
    if step.pins:
        parts.append(f"PIN asked {'once' if step.pins == 1 else f'{step.pins} times'}")
    return f"({', '.join(parts)}, {step.seconds:.2f} s)"
