"""Reading bytes out to somebody at the other end of a telephone, and taking down what they read.

What is read out goes to the error stream, so that ``--json`` stays a document; what is taken down comes from the
standard input, line by line, a person's typing or a pipe. It is no secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from calais.win.errors import BadParameter, SilentContext

if TYPE_CHECKING:
    from calais.apps.spelling import Kind
    from calais.apps.unblock import Answerer, Plan
    from calais.provider.card import Card

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
MAX_LINE = 1000
INDENT = 11


def plain_option(body: F) -> F:
    """The option ``--no-check-words``."""
    text = "The other side has no check words: Windows' own unblock screen, or another program."
    return click.option("--no-check-words", "plain", is_flag=True, help=text)(body)


def say(text: str = "", *, err: bool = True, **style: Any) -> None:  # noqa: ANN401 - click's styles
    """A line for the person, on the error stream unless told otherwise; ``style`` as in ``click.style``."""
    click.echo(text if os.environ.get("NO_COLOR") else click.style(text, **style), err=err)


def read_out(name: str, kind: Kind, value: bytes, context: bytes = b"", *, err: bool = True) -> None:
    """Show ``value`` as it is to be read out: digits, check words, and the digits spelled.

    Args:
        name: heading, ``"Challenge"``.
        kind: what it is.
        value: the bytes.
        context: what it belongs to.
        err: on the error stream.
    """
    from calais.apps.spelling import lines

    for number, line in enumerate(lines(kind, value, context)):
        say(f"  {'' if number else name:<{INDENT}}{line.digits:<19}   {line.check}", bold=True, err=err)
        say(f"  {'':<{INDENT}}{line.spelled}", err=err)


def take_down(name: str, kind: Kind, context: bytes = b"", *, plain: bool = False) -> bytes:
    """What the other side reads out; a line that was misheard is asked for again where a person can.

    Args:
        name: what is asked for, ``"Response"``.
        kind: what it is.
        context: what it belongs to.
        plain: the other side has no check words, so that the value is one line and nothing can be noticed.

    Raises:
        BadParameter: misheard, and there is nobody to ask again.
        Abort: an empty line.
        SilentContext: the standard input is at its end.
    """
    from calais.apps import spelling

    if plain:
        return _heard(name, spelling.plain)
    dictation = spelling.Dictation(kind, context)
    while not dictation.done:
        _heard(f"{name}, line {dictation.line}", dictation.take)
    return dictation.value


def at_the_phone(card: Card, plan: Plan, *, plain: bool) -> Answerer:
    """What answers a challenge of ``card``: the person who reads it to the help desk, and takes the answer down."""
    from calais.apps.spelling import Kind
    from calais.apps.unblock import Way

    escrow_key = bytes.fromhex(card.policy.unblock_escrow_key) if plan.way is Way.ESCROW else b""
    asked, answered = (Kind.REQUEST, Kind.RELEASE) if escrow_key else (Kind.CHALLENGE, Kind.RESPONSE)

    def answer(challenge: bytes) -> bytes:
        say("Call the help desk, and read this out:\n")
        read_out("Card", Kind.CARD, card.card_id)
        read_out("Challenge", asked, challenge, card.card_id + escrow_key)
        say("\nType what they read to you, digits and check word. Enter alone gives up; no try is used then.")
        if plan.attempts_left == 1:
            say("This is the last try: a wrong answer blocks what unblocks this card.", fg="red")
        return take_down("Answer", answered, card.card_id + challenge, plain=plain)

    return answer


def card_id_of(text: str | None, *, plain: bool = False) -> bytes:
    """The card's id, from the command line or as it is read out."""
    from calais.apps import spelling
    from calais.minidriver.challenge import CARD_ID_SIZE

    card_id = take_down("Card", spelling.Kind.CARD, plain=plain) if text is None else spelling.plain(text)
    if len(card_id) != CARD_ID_SIZE:
        raise click.UsageError(f"a card id has {2 * CARD_ID_SIZE} digits, not {2 * len(card_id)}")
    return card_id


def _heard(question: str, take: Callable[[str], T]) -> T:
    while True:
        try:
            return take(_line(question))
        except BadParameter as error:
            if not sys.stdin.isatty():
                raise
            say(f"{error.detail}. {error.next_step or 'Have it read again'}; Enter alone gives up.", fg="red")


def _line(question: str) -> str:
    if sys.stdin.isatty():
        click.echo(f"{question}: ", err=True, nl=False)
    line = sys.stdin.buffer.readline(MAX_LINE)
    if not line:
        raise SilentContext(detail=f"{question}: the input is at its end", next_step="Give it on the standard input")
    text = line.decode(errors="replace").strip()
    if not text:
        raise click.Abort
    return text
