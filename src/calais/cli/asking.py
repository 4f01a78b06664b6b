"""The prompt of the command line: from a file or pipe, in pinentry's window, or hidden at the terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import click

from calais.cli.safe import safe
from calais.cli.secrets import Source, ask_hidden, can_ask
from calais.win.errors import NoCard, SilentContext

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from calais.minidriver.pins import Pin
    from calais.provider.prompt import CardRequest, PinRequest
    from calais.provider.prompts.pinentry import Pinentry

GIVE_PIN = "Give it with --pin-file or --pin-stdin, or run in a terminal to be asked"
YES = "yes"


@dataclass
class CommandPrompt:
    """Answers the provider's questions for a PIN: from the file or pipe until it is refused, else at the terminal.

    The last try of a PIN, even of one from a file, takes a person who types a word, or presses a button.
    """

    source: Source
    pinentry: bool = False
    given: Pin | None = field(default=None, repr=False)
    refused: bool = False

    @cached_property
    def _window(self) -> Pinentry:
        from calais.provider.prompts.pinentry import Pinentry

        return Pinentry()

    def ask(self, request: PinRequest) -> Pin | None:
        """The PIN, or ``None`` when there is none (any more) to give."""
        from calais.minidriver.pins import Pin
        from calais.provider.prompts.words import pin_lines

        if self.source.is_given:
            self.refused |= request.retry
            self.given = self.given or self.source.pin()
            return None if self.refused else self.given
        if self.pinentry:
            return self._window.ask(request)
        if not can_ask():
            raise SilentContext(
                detail=f"a PIN is needed to {request.purpose}, and there is nobody to ask", next_step=GIVE_PIN
            )
        answer = ask_hidden(_question(pin_lines(request), "PIN: "))
        return Pin(answer) if answer else None

    def confirm(self, request: PinRequest) -> bool:
        """Whether the last try shall be used; nobody to ask means no."""
        from calais.provider.prompts.words import last_try_lines

        if self.pinentry:
            return self._window.confirm(request)
        question = _question(last_try_lines(request), f"Type {YES} to use it: ")
        return can_ask() and ask_hidden(question).strip().casefold() == YES

    def insert_card(self, request: CardRequest) -> bool:
        """Whether to look for the card again.

        Raises:
            NoCard: there is nobody to ask.
        """
        from calais.provider.prompts.words import card_lines

        if self.pinentry:
            return self._window.insert_card(request)
        if self.source.is_given or not can_ask():
            raise NoCard(detail="the card is not there, and there is nobody to ask", next_step="insert the card")
        ask_hidden(_question(card_lines(request), "Press Enter when it is there, or Ctrl-C to give up. "))
        return True

    def type_at_reader(self, request: PinRequest) -> bool:
        """Tell the person to type the PIN at the reader, unless the PIN comes from elsewhere."""
        from calais.provider.prompts.words import keypad_line, pin_lines

        if self.source.is_given or self.pinentry:
            return False
        for line in (*pin_lines(request), keypad_line(request)):
            click.echo(safe(line), err=True)
        return True


def _question(lines: Sequence[str], end: str) -> str:
    return "\n".join((*map(safe, lines), end))


def prompt_of(pin_file: Path | None, pin_stdin: bool, *, pinentry: bool = False) -> CommandPrompt:
    """The prompt of a command that has ``pin_options``."""
    return CommandPrompt(Source("the PIN", pin_file, pin_stdin), pinentry)
