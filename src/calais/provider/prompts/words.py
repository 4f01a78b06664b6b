"""What a person is told, in sentences, whoever tells it. Texts of cards and programs are passed on as they are."""

from __future__ import annotations

from calais.provider.prompt import CardRequest, PinRequest

LAST_TRY = "This is the last try: a wrong PIN blocks the card."
OURSELVES = ("", "calais")  # who uses our own command line knows that


def pin_lines(request: PinRequest) -> list[str]:
    """What the PIN is for, who wants it, and what happened before; one sentence a line."""
    left = request.attempts_left
    tries = f" ({left} tries left)" if left and not request.is_last_try else ""
    return [
        f"{request.card} in {request.reader} wants the PIN to {request.purpose}{tries}.",
        *_asker(request.caller, request.text),
        *_key(request),
        *([_sentence(request.reason)] if request.reason else []),
        *([LAST_TRY] if request.is_last_try else []),
    ]


def window_lines(request: PinRequest) -> list[str]:
    """The same for a window, which shows the reason in a place of its own when a PIN was refused."""
    left = request.attempts_left
    tries = f" {left} tries are left." if left and not request.is_last_try else ""
    return [
        f"{request.card} in {request.reader}: {request.purpose}.{tries}",
        *_asker(request.caller, request.text),
        *_key(request),
        *([_sentence(request.reason)] if request.reason and not request.retry else []),
        *([LAST_TRY] if request.is_last_try else []),
    ]


def last_try_lines(request: PinRequest) -> list[str]:
    """The question before the last try."""
    return [*pin_lines(request), "Shall it be used?"]


def card_lines(request: CardRequest) -> list[str]:
    """Which card belongs where, and why."""
    where = f" into {request.reader}" if request.reader else ""
    what = f"the card with the key {request.container}" if request.container else "the card"
    lines = [f"Insert {what}{where}{f' to {request.purpose}' if request.purpose else ''}."]
    lines += _asker(request.caller, request.text)
    if request.reason:
        lines.append(_sentence(request.reason))
    return lines


def keypad_line(request: PinRequest) -> str:
    """Where the PIN is to be typed."""
    return f"Type the PIN at {request.reader}."


def _asker(caller: str, text: str) -> list[str]:
    asked = [f"{caller} asks for it."] if caller not in OURSELVES else []
    return [*asked, text] if text else asked


def _key(request: PinRequest) -> list[str]:
    known = not request.container or request.container in request.purpose or request.caller in OURSELVES
    return [] if known else [f"Its key is called {request.container}."]


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:]}."
