"""A program's own way of asking: functions that it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from calais.minidriver.pins import Pin
from calais.provider.prompt import CardRequest, PinRequest

Answer = Pin | str | bytes | None


@dataclass(frozen=True)
class CallbackPrompt:
    """Asks by calling functions, in the thread of whoever needs the PIN, outside of any card transaction.

    Args:
        answer: gets the request; the PIN, or ``None`` when the person gave up.
        confirm: whether the last try shall be used; without this function it never is.
        insert_card: whether to look for the card again; without it nobody is asked for a card.
        type_at_reader: tells the person to type the PIN at the reader; without it keypads are not used.
    """

    answer: Callable[[PinRequest], Answer]
    confirm: Callable[[PinRequest], bool] | None = None
    insert_card: Callable[[CardRequest], bool] | None = None
    type_at_reader: Callable[[PinRequest], bool] | None = None

    def ask(self, request: PinRequest) -> Pin | None:
        """The PIN (see ``Prompt``)."""
        pin = self.answer(request)
        return Pin(pin) if isinstance(pin, str | bytes) else pin
