"""Asking a person: for a PIN, for a last try, for a card. What is asked, and who answers.

A prompt is never asked inside a card transaction, so it may take as long as people take. Every prompt can ``ask`` for
a PIN; ``confirm``, ``type_at_reader`` and ``insert_card`` are for those that can. Without ``confirm`` the last try of a
PIN is never used; without ``type_at_reader`` the keypad of a reader is not used; without ``insert_card`` a missing card
is an error at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from calais.minidriver.pins import Pin


@dataclass(frozen=True, slots=True)
class PinRequest:
    """Everything a person needs to know before typing a PIN.

    Attributes:
        reader: name of the reader.
        card: label of the card.
        container: name of the container whose key is to be used, or "".
        purpose: what the PIN is for, e.g. ``"sign with the key in 9C"``.
        attempts_left: tries that are left; ``None`` when the card does not say. 1 = the last one.
        reason: why it is asked (again), one sentence, or "".
        retry: a PIN that was given or remembered earlier has been refused.
        caller: the program that wants the key (see ``program_name``), or "".
        text: what that program wishes to be said besides (PP_PIN_PROMPT_STRING), or "".
        window: its window, over which a prompt with a window appears (PP_CLIENT_HWND).
    """

    reader: str
    card: str
    container: str
    purpose: str
    attempts_left: int | None = None
    reason: str = ""
    retry: bool = False
    caller: str = ""
    text: str = ""
    window: int | None = None

    @property
    def is_last_try(self) -> bool:
        """Whether a wrong answer blocks the PIN."""
        return self.attempts_left == 1


@dataclass(frozen=True, slots=True)
class CardRequest:
    """What a person needs to know to insert the right card.

    Attributes:
        reader: name of the reader that it belongs into, or "" for any.
        container: name of the container that is wanted, or "".
        purpose: what the card is for, e.g. ``"sign"``, or "".
        reason: why it is asked, one sentence, or "".
        caller, text, window: as in ``PinRequest``.
    """

    reader: str = ""
    container: str = ""
    purpose: str = ""
    reason: str = ""
    caller: str = ""
    text: str = ""
    window: int | None = None


class Prompt(Protocol):
    """Who answers. Only an answer that was just given may be used for the last try of a PIN."""

    def ask(self, request: PinRequest) -> Pin | None:
        """The PIN, or ``None`` when the person gave up."""


class Confirming(Protocol):
    """A prompt that can also put the question whether the last try shall be used."""

    def confirm(self, request: PinRequest) -> bool:
        """Whether the person, told that a wrong PIN now blocks it, wants to go on."""


class UsingKeypads(Protocol):
    """A prompt that can also send a person to the keypad of the reader; the PIN then never is in this process."""

    def type_at_reader(self, request: PinRequest) -> bool:
        """Tell the person to type the PIN at the reader; ``False`` = not there, ``ask`` for it instead."""


class AskingForCards(Protocol):
    """A prompt that can also ask for a card."""

    def insert_card(self, request: CardRequest) -> bool:
        """Whether to look for the card again; ``False`` = the person gave up."""


def _ability(prompt: object, name: str) -> Callable[..., bool] | None:
    """The method ``name``, if ``prompt`` has it now: wrappers have what the wrapped one has."""
    found = getattr(prompt, name, None)
    return found if callable(found) else None


def can_confirm(prompt: Prompt | None) -> bool:
    """Whether somebody can be asked about the last try (``Confirming``)."""
    return _ability(prompt, "confirm") is not None


def confirm(prompt: Prompt | None, request: PinRequest) -> bool:
    """Whether the last try shall be used; ``False`` when nobody can be asked. Never call it in a transaction."""
    ask = _ability(prompt, "confirm")
    return ask is not None and ask(request)


def uses_keypads(prompt: Prompt | None) -> bool:
    """Whether people can be sent to the keypad of a reader (``UsingKeypads``)."""
    return _ability(prompt, "type_at_reader") is not None


def type_at_reader(prompt: Prompt | None, request: PinRequest) -> bool:
    """Send a person to the keypad; ``False`` = ask for the PIN instead."""
    tell = _ability(prompt, "type_at_reader")
    return tell is not None and tell(request)


def asks_for_cards(prompt: Prompt | None) -> bool:
    """Whether somebody can be asked to insert a card (``AskingForCards``)."""
    return _ability(prompt, "insert_card") is not None


def insert_card(prompt: Prompt | None, request: CardRequest) -> bool:
    """Ask for a card; ``False`` when the person gave up or nobody can be asked. Never call it in a transaction."""
    ask = _ability(prompt, "insert_card")
    return ask is not None and ask(request)


def program_name() -> str:
    """What the program that runs is called."""
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] not in ("", "-c", "-m") else "python"
