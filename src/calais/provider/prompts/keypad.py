"""The keypad of the reader: the PIN is typed there, and this process never has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from calais.minidriver.pins import Pin
from calais.provider.prompt import (
    CardRequest,
    PinRequest,
    Prompt,
    asks_for_cards,
    can_confirm,
    confirm,
    insert_card,
)


@dataclass(frozen=True)
class KeypadPrompt:
    """Sends people to the keypad of the reader; where a reader has none, ``otherwise`` asks.

    Args:
        tell: gets the request; tells the person to type the PIN at the reader, and does not wait for it.
        otherwise: who asks at readers without keypad, for cards, and about the last try; ``None`` = nobody.
    """

    tell: Callable[[PinRequest], None]
    otherwise: Prompt | None = None

    def type_at_reader(self, request: PinRequest) -> bool:
        """Tell the person (see ``UsingKeypads``)."""
        self.tell(request)
        return True

    def ask(self, request: PinRequest) -> Pin | None:
        """The PIN of a reader without keypad."""
        return self.otherwise.ask(request) if self.otherwise else None

    @property
    def confirm(self) -> Callable[[PinRequest], bool] | None:
        """As ``otherwise`` does it, if it can."""
        return partial(confirm, self.otherwise) if can_confirm(self.otherwise) else None

    @property
    def insert_card(self) -> Callable[[CardRequest], bool] | None:
        """As ``otherwise`` does it, if it can."""
        return partial(insert_card, self.otherwise) if asks_for_cards(self.otherwise) else None
