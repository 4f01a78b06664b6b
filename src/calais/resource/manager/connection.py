"""What a card handle needs of its reader, whatever the reader is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from calais.win.flags import (
    SCARD_STATE_EMPTY,
    SCARD_STATE_MUTE,
    SCARD_STATE_PRESENT,
    SCARD_STATE_UNAVAILABLE,
    SCARD_STATE_UNKNOWN,
)


class Sight(NamedTuple):
    """A reader as it is now: SCARD_STATE_* bits without CHANGED, insertions and removals so far, and the ATR."""

    flags: int
    events: int = 0
    atr: bytes = b""

    @property
    def event_state(self) -> int:
        """dwEventState: the bits, and the counter modulo 65536 in the high word."""
        return self.flags | (self.events & 0xFFFF) << 16

    @property
    def shown_atr(self) -> bytes:
        """The ATR while the card is there and answers, else ``b""``."""
        return self.atr if self.flags & SCARD_STATE_PRESENT and not self.flags & SCARD_STATE_MUTE else b""


GONE = Sight(SCARD_STATE_UNKNOWN | SCARD_STATE_UNAVAILABLE)


def sight_of_card(present: bool, atr: bytes, events: int, sharing: int) -> Sight:  # noqa: FBT001 - a fact
    """What is seen of a reader without the service of a system: a card without ATR does not answer."""
    if not present:
        return Sight(SCARD_STATE_EMPTY, events)
    mute = 0 if atr else SCARD_STATE_MUTE
    return Sight(SCARD_STATE_PRESENT | mute | sharing, events, atr)


class CardCondition(NamedTuple):
    """What SCardStatus says of the card: SCARD_* state, active protocol, ATR."""

    state: int
    protocol: int
    atr: bytes


class Connection(Protocol):
    """One connection to a reader (SCARDHANDLE without its owner). One thread at a time, but for ``abort``."""

    @property
    def protocol(self) -> int:
        """The active SCARD_PROTOCOL_*, 0 = none."""

    @property
    def atr(self) -> bytes:
        """The card's answer to reset."""

    @property
    def epoch(self) -> int:
        """As ``Transport.epoch``; changes with each exchange of this connection, too."""

    @property
    def depth(self) -> int:
        """How often ``begin`` was called without ``end``."""

    def reconnect(self, share: int, protocols: int, initialization: int) -> None:
        """Take note of a reset, in another share mode if need be; see SCardReconnect."""

    def disconnect(self, disposition: int) -> None:
        """End the transaction and the connection; never raises for a card that is gone."""

    def abort(self) -> None:
        """End what another thread waits for through this connection."""

    def begin(self) -> None:
        """Take the card, or count one more."""

    def end(self, disposition: int) -> None:
        """Count one less; at zero, do with the card as ``disposition`` says, and give it back."""

    def transmit(self, command: bytes) -> bytes:
        """One exchange, in a transaction of its own if there is none."""

    def reset(self) -> None:
        """Reset the card within the transaction."""

    def condition(self) -> CardCondition:
        """What SCardStatus says."""

    def control(self, code: int, data: bytes) -> bytes:
        """A command to the reader, under Windows' number."""

    def attribute(self, number: int) -> bytes | int | str:
        """A reader attribute; ``bytes`` = as the driver gives it."""

    def set_attribute(self, number: int, value: bytes | int | str) -> None:
        """Change a reader attribute."""
