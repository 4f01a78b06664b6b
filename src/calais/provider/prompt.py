"""Asking a person for a PIN: what is asked, and who answers.

A prompt is never asked inside a card transaction, so it may take as long as people take.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    reader: str
    card: str
    container: str
    purpose: str
    attempts_left: int | None = None
    reason: str = ""
    retry: bool = False

    @property
    def is_last_try(self) -> bool:
        """Whether a wrong answer blocks the PIN."""
        return self.attempts_left == 1


class Prompt(Protocol):
    """Who answers. Only an answer that was just given may be used for the last try of a PIN."""

    def ask(self, request: PinRequest) -> Pin | None:
        """The PIN, or ``None`` when the person gave up."""
