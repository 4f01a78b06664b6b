"""A handle's connection to a reader of ours, and what it needs of the connection to the card."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from calais.resource.manager.attributes import SETTABLE, virtual_attribute
from calais.resource.manager.connection import CardCondition
from calais.resource.slots import Port
from calais.transport.base import Transport
from calais.win.codes import Code
from calais.win.errors import (
    CardRemoved,
    CardReset,
    NoCard,
    SharingViolation,
    Unsupported,
    WinError,
)
from calais.win.flags import (
    CM_IOCTL_GET_FEATURE_REQUEST,
    SCARD_ABSENT,
    SCARD_LEAVE_CARD,
    SCARD_NEGOTIABLE,
    SCARD_PRESENT,
    SCARD_PROTOCOL_DEFAULT,
    SCARD_PROTOCOL_T0,
    SCARD_PROTOCOL_T1,
    SCARD_RESET_CARD,
    SCARD_SHARE_DIRECT,
    SCARD_SHARE_EXCLUSIVE,
    SCARD_SPECIFIC,
    SCARD_UNPOWER_CARD,
)

if TYPE_CHECKING:
    from calais.resource.manager.sharing import Board


class LocalTransport(Transport, Protocol):
    """What handles need of a connection to a card of ours, besides ``Transport``."""

    timeout_s: float
    when_gone: Callable[[], None] | None

    @property
    def present(self) -> bool:
        """Whether the card is still in the reader, and the connection open."""

    @property
    def resets(self) -> int:
        """How often the card was reset, by anybody."""

    @property
    def is_taken(self) -> bool:
        """Whether anybody is in a transaction with the card."""

    def power_cycle(self) -> None:
        """Take the power away and give it back, inside a transaction."""

    def reserve(self) -> None:
        """Use the card exclusively; raises ``SharingViolation``."""

    def share(self) -> None:
        """Let others use it again."""

    def abandon(self) -> None:
        """From now on everything fails, and whoever waits learns it."""


class LocalPort(Port, Protocol):
    """A reader of ours."""

    def connect(self) -> LocalTransport:
        """See ``Port``."""


class LocalConnection:
    """A connection to a reader of ours (see ``connection.Connection``); made by ``Board.connect``."""

    def __init__(self, board: Board, share: int) -> None:
        self.share = share
        self.protocol = 0
        self.depth = 0
        self._board = board
        self._transport: LocalTransport | None = None
        self._seen = 0
        self._exchanges = 0

    @property
    def card(self) -> LocalTransport:
        """The connection to the card itself.

        Raises:
            NoCard: a direct connection to an empty reader.
        """
        if self._transport is None:
            raise NoCard(detail=f"there is no card in {self._board.port.name}", next_step="insert the card")
        return self._transport

    @property
    def uses_card(self) -> bool:
        """Whether others see the card as in use by this connection."""
        there = self._transport is not None and self._transport.present
        return there and self.share != SCARD_SHARE_DIRECT

    @property
    def is_lost(self) -> bool:
        """Whether the card it was for is gone: it keeps nobody out."""
        return self.share != SCARD_SHARE_DIRECT and self._transport is not None and not self._transport.present

    @property
    def atr(self) -> bytes:
        """The card's answer to reset."""
        return self._transport.atr if self._transport else b""

    @property
    def epoch(self) -> int:
        """See ``Connection``."""
        return self._exchanges + (self._transport.epoch if self._transport else 0)

    def open(self, protocols: int) -> None:
        """Connect to the card that is in the reader.

        Raises:
            CardRemoved, ReaderUnavailable, SharingViolation, WinError: as ``Board.connect``.
        """
        transport = self._new_transport()
        try:
            protocol = agreed_protocol(transport, protocols)
            if self.share == SCARD_SHARE_EXCLUSIVE:
                transport.reserve()
        except BaseException:
            transport.close()
            raise
        self._adopt(transport, protocol)
        self._board.power_up()

    def _new_transport(self) -> LocalTransport:
        """A connection to the card, which waits for its turn as long as it takes."""
        port = self._board.port
        status = port.status()
        if status.present and not status.atr:
            raise WinError.of(Code.SCARD_W_UNRESPONSIVE_CARD, f"the card in {port.name} does not answer")
        try:
            transport = port.connect()
        except NoCard as error:
            raise CardRemoved(detail=f"there is no card in {port.name}", next_step="insert the card") from error
        transport.timeout_s = threading.TIMEOUT_MAX
        transport.when_gone = self._board.wake
        return transport

    def _adopt(self, transport: LocalTransport, protocol: int) -> None:
        old, self._transport = self._transport, transport
        if old is not None:
            old.close()
        self.protocol = protocol
        self._seen = transport.resets
        self.depth = 0

    # --- life

    def reconnect(self, share: int, protocols: int, initialization: int) -> None:
        """See ``Connection``."""
        before = self.share
        self._board.enter(self, share)
        try:
            self._reopen(share, protocols, initialization)
        except BaseException:
            self.share = before
            raise
        self._board.announce()

    def _reopen(self, share: int, protocols: int, initialization: int) -> None:
        transport = self._transport
        if share != SCARD_SHARE_DIRECT:
            if transport is None or not transport.present:
                self.open(protocols)
            else:
                self._renegotiate(transport, share, protocols)
        elif transport is not None:
            transport.share()
        if initialization and self._transport is not None:
            self._reset_now(initialization)
        if self._transport is not None:
            self._seen = self._transport.resets

    def _renegotiate(self, transport: LocalTransport, share: int, protocols: int) -> None:
        protocol = agreed_protocol(transport, protocols)
        if share == SCARD_SHARE_EXCLUSIVE:
            transport.reserve()
        else:
            transport.share()
        self.protocol = protocol
        self._board.power_up()

    def _reset_now(self, kind: int) -> None:
        """Reset the card, in the transaction that is open or in one for it."""
        card = self.card
        if self.depth:
            self._apply(kind)
            return
        card.begin()
        try:
            self._apply(kind)
        finally:
            card.end()

    def _apply(self, disposition: int) -> None:
        """Do with the card as the disposition says; we know of that reset."""
        card = self.card
        if disposition == SCARD_RESET_CARD:
            card.reset()
        elif disposition != SCARD_LEAVE_CARD:
            card.power_cycle()
        if disposition != SCARD_LEAVE_CARD:
            self._seen = card.resets

    def disconnect(self, disposition: int) -> None:
        """See ``Connection``."""
        transport = self._transport
        was_done = False
        if transport is not None:
            with suppress(WinError):
                if disposition != SCARD_LEAVE_CARD:
                    self._reset_now(disposition)
                    was_done = True
            self._board.give(self)
            self.depth = 0
            transport.close()
        self._board.leave(self)
        if was_done and disposition == SCARD_UNPOWER_CARD:
            with suppress(WinError):
                self._board.power_down()
        self._board.announce()

    def abort(self) -> None:
        """See ``Connection``."""
        if self._transport is not None:
            self._transport.abandon()

    def lose(self, *, reset: bool) -> None:
        """The board ends our transaction: its time is over, or the card gone."""
        self.depth = 0
        if self._transport is not None:
            with suppress(WinError):  # a card that cannot even be reset: its next user learns why
                self._transport.end(reset=reset)

    # --- the card

    def _check(self) -> None:
        """Nothing has happened that the owner must take note of first.

        Raises:
            CardRemoved, CardReset: it has.
        """
        self._board.sweep()
        transport = self._transport
        if transport is None:
            return
        if self.share == SCARD_SHARE_DIRECT and not self.protocol:
            self._transport = transport if transport.present else None
            return
        if not transport.present:
            raise CardRemoved(detail=f"the card was taken out of {self._board.port.name}")
        if transport.resets != self._seen:
            raise CardReset(detail="the card was reset by another user", next_step="SCardReconnect takes note of it")

    def _attach(self) -> LocalTransport:
        """The card; a direct connection takes the one that is in the reader now."""
        if self._transport is None:
            try:
                transport = self._new_transport()
            except CardRemoved as error:
                raise NoCard(detail=error.detail, next_step=error.next_step) from error
            self._adopt(transport, 0)
        return self.card

    def begin(self) -> None:
        """See ``Connection``."""
        self._check()
        if self.depth:
            self.depth += 1
            return
        card = self._attach()
        self._take(card)
        self.depth = 1
        self._board.hold(self)

    def _take(self, card: LocalTransport) -> None:
        card.begin()
        try:
            self._check()
        except BaseException:
            card.end()
            raise

    def end(self, disposition: int) -> None:
        """See ``Connection``."""
        self._check()
        if not self.depth:
            raise self._not_ours()
        self.depth -= 1
        if self.depth:
            return
        try:
            self._apply(disposition)
        finally:
            self._board.give(self)
            self.card.end()

    def _not_ours(self) -> WinError:
        taken = self._transport is not None and self._transport.is_taken
        if self._board.holder is not None or taken:
            return SharingViolation(detail="the transaction that is open belongs to another handle")
        return WinError.of(Code.SCARD_E_NOT_TRANSACTED, "there is no transaction to end")

    def transmit(self, command: bytes) -> bytes:
        """See ``Connection``."""
        self._check()
        card = self._attach()
        if not self.protocol:
            raise WinError.of(Code.SCARD_E_PROTO_MISMATCH, "no protocol was agreed for this direct connection")
        self._exchanges += 1
        if self.depth:
            return self._board.exchange(self, command)
        self._take(card)
        try:
            return card.transmit(command)
        finally:
            card.end()

    def reset(self) -> None:
        """See ``Connection``."""
        self._check()
        self._apply(SCARD_RESET_CARD)

    def condition(self) -> CardCondition:
        """See ``Connection``."""
        self._check()
        status = self._board.port.status()
        if not status.present:
            return CardCondition(SCARD_ABSENT, 0, b"")
        if not self._board.is_powered(status):
            return CardCondition(SCARD_PRESENT, self.protocol, status.atr)
        state = SCARD_SPECIFIC if self._is_active() else SCARD_NEGOTIABLE
        return CardCondition(state, self.protocol, status.atr)

    def _is_active(self) -> bool:
        """Whether a protocol was agreed with the card, by us or by others."""
        return bool(self.protocol) or any(each.uses_card for each in self._board.connections)

    # --- the reader

    def control(self, code: int, data: bytes) -> bytes:  # noqa: ARG002 - no function of a virtual reader takes any
        """See ``Connection``."""
        self._check()
        if code == CM_IOCTL_GET_FEATURE_REQUEST:
            return b""
        raise Unsupported(detail=f"{self._board.port.name} has no function 0x{code:08X}")

    def attribute(self, number: int) -> bytes | int | str:
        """See ``Connection``."""
        self._check()
        status = self._board.port.status()
        atr = status.atr if status.present else None
        return virtual_attribute(
            number, self._board.friendly, atr, self.protocol, powered=self._board.is_powered(status)
        )

    def set_attribute(self, number: int, value: bytes | int | str) -> None:
        """See ``Connection``."""
        self._check()
        friendly = self._board.friendly
        if number not in SETTABLE:
            raise Unsupported(detail=f"attribute 0x{number:08X} cannot be changed")
        if isinstance(value, int):
            friendly.suppress = value
        else:
            friendly.name = str(value)


def agreed_protocol(transport: Transport, protocols: int) -> int:
    """The protocol that the caller of SCardConnect gets.

    Raises:
        WinError: SCARD_E_PROTO_MISMATCH, none that both know.
    """
    active = SCARD_PROTOCOL_T0 if transport.protocol == 0 else SCARD_PROTOCOL_T1
    if protocols & (active | SCARD_PROTOCOL_DEFAULT):
        return active
    raise WinError.of(Code.SCARD_E_PROTO_MISMATCH, f"the card speaks T={transport.protocol}")
