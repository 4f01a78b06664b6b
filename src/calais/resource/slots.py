"""A reader's socket: what a reader is to the rooms above, and the socket for card objects in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from calais.transport.base import Transport
from calais.transport.loopback import LoopbackCard, LoopbackTransport
from calais.win.codes import Code
from calais.win.errors import NoCard, ReaderUnavailable, WinError


@dataclass(frozen=True, slots=True)
class ReaderStatus:
    """What a reader says without an exchange.

    Attributes:
        name: the reader's name.
        present: whether a card is in it.
        atr: the card's answer to reset, or ``b""``.
        insertion: rises with every insertion and removal.
        card: what the card is called in its shelf, for virtual cards that have a name; else "".
    """

    name: str
    present: bool
    atr: bytes = b""
    insertion: int = 0
    card: str = ""


class Port(Protocol):
    """Where cards are put in: one reader of whatever kind."""

    @property
    def name(self) -> str:
        """The reader's name."""

    @property
    def linger_s(self) -> float:
        """How long a transaction is kept after a job although no PIN was verified in it, in seconds."""

    def status(self) -> ReaderStatus:
        """The state of the reader now, without an exchange.

        Raises:
            ReaderUnavailable: the reader has been unplugged.
        """

    def connect(self) -> Transport:
        """A connection to the card that is in it.

        Raises:
            NoCard: there is none.
            ReaderUnavailable: the reader has been unplugged.
        """


class Source(Protocol):
    """Where readers come from."""

    def ports(self) -> Sequence[Port]:
        """The readers that are there now.

        Raises:
            WinError: they cannot be listed.
        """


class Slot:
    """A reader in this process, for card objects.

    Args:
        name: the reader's name.
        changed: called after each insertion and removal.
    """

    linger_s = 0.0

    def __init__(self, name: str, changed: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self._changed = changed
        self.card: LoopbackCard | None = None
        self._mutex = threading.Lock()
        self._insertion = 0
        self._plugged = True
        self._transports: list[LoopbackTransport] = []

    def insert(self, card: LoopbackCard) -> None:
        """Put ``card`` in, powered up afresh.

        Raises:
            WinError: ``SCARD_E_SHARING_VIOLATION``, another card is in this reader.
        """
        with self._mutex:
            if self.card is not None:
                raise WinError.of(Code.SCARD_E_SHARING_VIOLATION, f"there is already a card in {self.name}")
            card.power_cycle()
            self.card = card
            self._insertion += 1
        self._changed()

    def remove(self) -> None:
        """Take the card out; whoever uses it gets ``CardRemoved``. Nothing happens when there is none."""
        with self._mutex:
            if self.card is None:
                return
            self.card = None
            self._insertion += 1
            for transport in self._transports:
                transport.remove()
            self._transports.clear()
        self._changed()

    def unplug(self) -> None:
        """Take the whole reader away, with the card in it."""
        self.remove()
        self._plugged = False
        self._changed()

    def status(self) -> ReaderStatus:
        """The state of the reader now (see ``Port``)."""
        with self._mutex:
            self._check_plugged()
            card = self.card
            return ReaderStatus(self.name, card is not None, card.atr if card else b"", self._insertion)

    def connect(self) -> LoopbackTransport:
        """A connection to the card (see ``Port``)."""
        with self._mutex:
            self._check_plugged()
            if self.card is None:
                raise NoCard(detail=f"there is no card in {self.name}", next_step="insert the card")
            transport = LoopbackTransport(self.card, self.name)
            self._transports = [each for each in self._transports if each.present]
            self._transports.append(transport)
            return transport

    def _check_plugged(self) -> None:
        if not self._plugged:
            raise ReaderUnavailable(detail=f"the reader {self.name} has been unplugged")


class Slots:
    """The readers of this process.

    Args:
        changed: called after each change of a reader, or of the list.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._slots: dict[str, Slot] = {}
        self._changed = changed

    def __contains__(self, reader: object) -> bool:
        return reader in self._slots

    def ports(self) -> list[Slot]:
        """The readers, in the order in which they were added."""
        return list(self._slots.values())

    def plug(self, reader: str) -> Slot:
        """The reader ``reader``; added, empty, if it is missing."""
        if reader not in self._slots:
            self._slots[reader] = Slot(reader, self._changed)
            self._changed()
        return self._slots[reader]

    def slot(self, reader: str) -> Slot:
        """The reader ``reader``.

        Raises:
            ReaderUnavailable: ``SCARD_E_UNKNOWN_READER``, there is none.
        """
        if reader not in self._slots:
            raise ReaderUnavailable(Code.SCARD_E_UNKNOWN_READER, f"there is no reader {reader!r} in this process")
        return self._slots[reader]

    def unplug(self, reader: str) -> None:
        """Take a reader away, with the card in it.

        Raises:
            ReaderUnavailable: ``SCARD_E_UNKNOWN_READER``, there is none.
        """
        slot = self.slot(reader)
        del self._slots[reader]
        slot.unplug()
