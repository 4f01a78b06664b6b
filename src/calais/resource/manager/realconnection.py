"""A card handle's connection to a real reader: share modes, transactions and resets are those of the PC/SC service, so
that they hold between programs, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from calais.resource.manager.connection import CardCondition, Sight
from calais.resource.real import RealPort
from calais.transport.pcsc import PcscContext
from calais.transport.pcsc_handle import PcscHandle
from calais.win.codes import Code
from calais.win.errors import CardRemoved, CardReset, NoCard, Unsupported, WinError
from calais.win.flags import (
    SCARD_ATTR_ATR_STRING,
    SCARD_ATTR_DEVICE_FRIENDLY_NAME_A,
    SCARD_ATTR_DEVICE_FRIENDLY_NAME_W,
    SCARD_ATTR_DEVICE_SYSTEM_NAME_A,
    SCARD_ATTR_DEVICE_SYSTEM_NAME_W,
    SCARD_LEAVE_CARD,
    SCARD_NEGOTIABLE,
    SCARD_RESET_CARD,
    SCARD_SHARE_DIRECT,
    SCARD_SPECIFIC,
    SCARD_STATE_EMPTY,
    SCARD_STATE_EXCLUSIVE,
    SCARD_STATE_INUSE,
    SCARD_STATE_MUTE,
    SCARD_STATE_PRESENT,
    SCARD_STATE_UNPOWERED,
    SCARD_PROTOCOL_Tx,
)

SHOWN = (
    SCARD_STATE_EMPTY
    | SCARD_STATE_PRESENT
    | SCARD_STATE_EXCLUSIVE
    | SCARD_STATE_INUSE
    | SCARD_STATE_MUTE
    | SCARD_STATE_UNPOWERED
)
NAMES = frozenset(
    {
        SCARD_ATTR_DEVICE_FRIENDLY_NAME_A,
        SCARD_ATTR_DEVICE_FRIENDLY_NAME_W,
        SCARD_ATTR_DEVICE_SYSTEM_NAME_A,
        SCARD_ATTR_DEVICE_SYSTEM_NAME_W,
    }
)
_NOT_GIVEN = frozenset({Code.SCARD_E_UNSUPPORTED_FEATURE, Code.SCARD_E_INSUFFICIENT_BUFFER})


def sights(ports: list[RealPort]) -> dict[str, Sight]:
    """The readers as they are now, by name; those that have been unplugged are left out.

    Raises:
        ReaderUnavailable: the service is gone.
    """
    if not ports:
        return {}
    with PcscContext(ports[0].library) as context:
        states = context.states([port.name for port in ports])
    return {each.reader: Sight(each.flags & SHOWN, each.insertion, each.atr) for each in states if each.available}


class RealConnection:
    """A connection of PC/SC (see ``connection.Connection``).

    Args:
        port: the reader.
        share: SCARD_SHARE_*.
        protocols: SCARD_PROTOCOL_*.

    Raises:
        CardRemoved: there is no card.
        WinError: whatever PC/SC says.
    """

    def __init__(self, port: RealPort, share: int, protocols: int) -> None:
        self.depth = 0
        self.protocol = 0
        self.atr = b""
        self.epoch = 0
        self._handle = PcscHandle(port.library, port.name, share, protocols)
        self._learn(share, protocols)

    def _learn(self, share: int, protocols: int) -> None:
        """Protocol and ATR after a connection was made."""
        self.epoch += 1
        self._agreed = share, protocols
        if share != SCARD_SHARE_DIRECT:
            self.protocol = self._handle.protocol
        with suppress(WinError):
            self.atr = self._handle.status()[1]

    @contextmanager
    def _counted(self) -> Iterator[PcscHandle]:
        """The handle; the transaction is over when the card is gone, or was reset."""
        try:
            yield self._handle
        except (CardRemoved, CardReset, NoCard):
            self.depth = 0
            raise

    def reconnect(self, share: int, protocols: int, initialization: int) -> None:
        """See ``Connection``."""
        wanted = protocols if share != SCARD_SHARE_DIRECT else self.protocol or protocols
        self._handle.reconnect(share, wanted or SCARD_PROTOCOL_Tx, initialization)
        self._learn(share, wanted)

    def disconnect(self, disposition: int) -> None:
        """See ``Connection``."""
        self.depth = 0
        self._handle.disconnect(disposition)

    def abort(self) -> None:
        """See ``Connection``."""
        self._handle.disconnect(SCARD_LEAVE_CARD)

    def begin(self) -> None:
        """See ``Connection``."""
        with self._counted() as handle:
            handle.begin()
        self.depth += 1
        self.epoch += self.depth == 1

    def end(self, disposition: int) -> None:
        """See ``Connection``."""
        with self._counted() as handle:
            handle.end(disposition)
        self.depth = max(0, self.depth - 1)
        if disposition != SCARD_LEAVE_CARD and not self.depth:
            with suppress(WinError):  # outside Windows a handle must take note of its own reset, too
                self.reconnect(*self._agreed, SCARD_LEAVE_CARD)

    def transmit(self, command: bytes) -> bytes:
        """See ``Connection``."""
        self.epoch += 1
        with self._counted() as handle:
            return handle.transmit(command)

    def reset(self) -> None:
        """See ``Connection``."""
        self.reconnect(*self._agreed, SCARD_RESET_CARD)

    def condition(self) -> CardCondition:
        """See ``Connection``."""
        with self._counted() as handle:
            state, atr = handle.status()
        if self.protocol and state == SCARD_NEGOTIABLE:  # pcsc-lite calls it so also once a protocol is agreed
            state = SCARD_SPECIFIC
        return CardCondition(state, self.protocol, atr)

    def control(self, code: int, data: bytes) -> bytes:
        """See ``Connection``."""
        with self._counted() as handle:
            return handle.control(code, data)

    def attribute(self, number: int) -> bytes | str:
        """See ``Connection``; what the service itself knows comes also from drivers that do not have it."""
        with self._counted() as handle:
            try:
                return handle.attribute(number)
            except WinError as error:
                if error.code not in _NOT_GIVEN:
                    raise
                known = handle.status()[1] if number == SCARD_ATTR_ATR_STRING else ""
                known = known or (handle.reader if number in NAMES else "")
                if not known:
                    raise Unsupported(detail=f"{handle.reader} has no attribute 0x{number:08X}") from error
                return known

    def set_attribute(self, number: int, value: bytes | int | str) -> None:  # noqa: ARG002 - none of them can
        """See ``Connection``."""
        raise Unsupported(detail=f"attribute 0x{number:08X} of {self._handle.reader} cannot be changed")
