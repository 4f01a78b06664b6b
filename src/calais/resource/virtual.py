"""Virtual cards in files, and the virtual readers they are in, shared by all processes of one user.

A directory holds the cards (``NAME.card``), who uses them (``NAME.lock``) and what is in which reader
(``readers.json``: reader → card name or null, and a counter that rises with every insertion and removal).

A transaction holds the card's lock. A card has one owner at a time, and its volatile state lives in the owner's
process: when the lock has been with somebody else in between, the card is read anew and powered up afresh, which the
rooms above see as another ``epoch``.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from calais.cards.base import FileMemory, Memory, VirtualCard
from calais.resource.filecards import TIMEOUT_S, FileTransport, PoweredCard
from calais.resource.locks import FileLock
from calais.resource.slots import ReaderStatus
from calais.win.codes import Code
from calais.win.errors import (
    BadData,
    BadParameter,
    NoCard,
    NotFound,
    ReaderUnavailable,
    SharingViolation,
    WinError,
)

Random = Callable[[int], bytes]
DEFAULT_READER = "Virtual Reader 0"
NAME_MAX = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]*")


@dataclass(frozen=True, slots=True)
class VirtualCardFile:
    """A virtual card: its ``name``, its file, and the ``reader`` it is in, or ``None``."""

    name: str
    path: Path
    reader: str | None


@dataclass(frozen=True, slots=True)
class _Seat:
    card: str | None
    insertion: int


def _power_up(memory: Memory, random: Random) -> VirtualCard:
    from calais.cards.kinds import virtual_card  # noqa: PLC0415 - key arithmetic, only with a card in use

    return virtual_card(memory, random)


class VirtualReaders:
    """The virtual cards and readers of one user.

    Args:
        directory: where they are; made, mode 0700, with the first card.
        power_up: makes the card of a memory.
    """

    def __init__(self, directory: Path, power_up: Callable[[Memory, Random], VirtualCard] = _power_up) -> None:
        self.directory = directory
        self.power_up = power_up
        self._table = directory / "readers.json"
        self._known: tuple[bytes | None, dict[str, _Seat]] = (None, {})
        self._powered: WeakValueDictionary[tuple[str, int], PoweredCard] = WeakValueDictionary()
        self._mutex = threading.Lock()

    # --- cards ---

    def new(self, name: str, personalise: Callable[[Memory], None]) -> Path:
        """Make a card.

        Args:
            name: up to 64 letters, digits, spaces and ``_.-``, beginning with a letter or digit.
            personalise: writes the card into an empty memory.

        Raises:
            BadParameter: not a name, or there is such a card already.
            WinError: the file cannot be written; nothing is left behind.
        """
        path = self.path(name)
        self._make_directory()
        with self.lock(name).held(TIMEOUT_S):
            if path.exists():
                raise BadParameter(detail=f"there is a virtual card {name!r} already", next_step="choose another name")
            personalise(FileMemory(path))
        return path

    def path(self, name: str) -> Path:
        """The file of the card ``name``.

        Raises:
            BadParameter: not a name.
        """
        if len(name) > NAME_MAX or not _NAME.fullmatch(name) or name.endswith((".", " ")):
            raise BadParameter(detail=f"{name!r} is no name for a card: letters, digits, spaces and _.- will do")
        return self.directory / f"{name}.card"

    def lock(self, name: str) -> FileLock:
        """The lock of the card ``name``; whoever holds it may use the file."""
        return FileLock(self.directory / f"{name}.lock", f"the virtual card {name}")

    def cards(self) -> list[VirtualCardFile]:
        """All cards, by name."""
        where = {seat.card: reader for reader, seat in self._seats().items() if seat.card}
        paths = sorted(self.directory.glob("*.card"))
        return [VirtualCardFile(path.stem, path, where.get(path.stem)) for path in paths]

    @contextmanager
    def holding(self, name: str, timeout_s: float = TIMEOUT_S) -> Iterator[VirtualCard]:
        """The card ``name`` for ourselves alone, powered up, for the length of the ``with`` block.

        Raises:
            NotFound: there is no such card.
            SharingViolation: others kept it too long.
        """
        path = self._existing(name)
        lock = self.lock(name)
        with lock.held(timeout_s):
            lock.write(secrets.token_hex(8).encode())
            yield self.power_up(FileMemory(path), os.urandom)

    def _existing(self, name: str) -> Path:
        path = self.path(name)
        if not path.exists():
            known = ", ".join(card.name for card in self.cards()) or "none"
            raise NotFound(detail=f"there is no virtual card {name!r}", next_step=f"there are: {known}")
        return path

    # --- readers ---

    def insert(self, name: str, reader: str = DEFAULT_READER) -> None:
        """Put the card ``name`` into ``reader``, which is made if it is missing.

        Raises:
            NotFound: there is no such card.
            SharingViolation: another card is in the reader, or the card in another reader.
        """
        self._existing(name)
        with self._changing() as seats:
            for other, seat in seats.items():
                if seat.card and (other == reader or seat.card == name):
                    raise SharingViolation(detail=f"{seat.card} is in {other}", next_step="remove it first")
            seats[reader] = _Seat(name, _next(seats.get(reader)))

    def remove(self, where: str = DEFAULT_READER) -> str:
        """Take out the card that is in the reader ``where``, or that is called so; returns the reader.

        Raises:
            NoCard: there is no card.
            ReaderUnavailable: there is no such reader or card.
        """
        with self._changing() as seats:
            reader = next((name for name, seat in seats.items() if seat.card == where), where)
            seat = self._seat(seats, reader)
            if seat.card is None:
                raise NoCard(detail=f"there is no card in {reader}")
            seats[reader] = _Seat(None, _next(seat))
        return reader

    def plug(self, reader: str) -> None:
        """Add an empty reader; nothing happens when it is there."""
        with self._changing() as seats:
            seats.setdefault(reader, _Seat(None, 0))

    def unplug(self, reader: str) -> None:
        """Take a reader away, with the card in it; the card's file stays.

        Raises:
            ReaderUnavailable: there is none.
        """
        with self._changing() as seats:
            self._seat(seats, reader)
            del seats[reader]

    def ports(self) -> list[FilePort]:
        """The readers, in the order in which they were added."""
        return [FilePort(self, reader) for reader in self._seats()]

    def seat(self, reader: str) -> tuple[str | None, int]:
        """The name of the card in ``reader``, or ``None``, and the reader's insertion counter.

        Raises:
            ReaderUnavailable: there is no such reader.
        """
        seat = self._seat(self._seats(), reader)
        return seat.card, seat.insertion

    def powered(self, card: str, insertion: int) -> PoweredCard:
        """The card ``card`` as all connections of this process see it, since it was inserted."""
        with self._mutex:
            found = self._powered.get((card, insertion))
            if found is None:
                found = self._powered[card, insertion] = PoweredCard(self, card)
            return found

    def _seat(self, seats: dict[str, _Seat], reader: str) -> _Seat:
        if reader not in seats:
            raise ReaderUnavailable(Code.SCARD_E_UNKNOWN_READER, f"there is no virtual reader {reader!r}")
        return seats[reader]

    # --- the table ---

    def _seats(self) -> dict[str, _Seat]:
        """The table as it is now; parsed only when it has changed, which no time stamp tells for sure."""
        try:
            raw = self._table.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise WinError.of(Code.E_ACCESSDENIED, f"{self._table} cannot be read: {error.strerror}") from error
        if self._known[0] != raw:
            self._known = (raw, _parse(raw))
        return self._known[1]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, _Seat]]:
        """The table, to be changed by one process at a time; written whole or not at all."""
        self._make_directory()
        with FileLock(self.directory / "readers.lock", "the table of virtual readers").held(TIMEOUT_S):
            seats = dict(self._seats())
            yield seats
            table = {reader: {"card": seat.card, "insertion": seat.insertion} for reader, seat in seats.items()}
            beside = self._table.with_suffix(".new")
            try:
                beside.write_text(json.dumps({"version": 1, "readers": table}, indent=1) + "\n", encoding="utf-8")
                beside.replace(self._table)
            except OSError as error:
                detail = f"{self._table} cannot be written: {error.strerror}"
                raise WinError.of(Code.SCARD_E_WRITE_TOO_MANY, detail) from error

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            detail = f"{self.directory} cannot be made: {error.strerror}"
            step = "set CALAIS_HOME to a place that you may write"
            raise WinError.of(Code.E_ACCESSDENIED, detail, next_step=step) from error


def _next(seat: _Seat | None) -> int:
    return seat.insertion + 1 if seat else 1


def _parse(raw: bytes) -> dict[str, _Seat]:
    try:
        table = json.loads(raw)["readers"]
        return {str(reader): _Seat(row["card"], int(row["insertion"])) for reader, row in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(
            detail=f"readers.json is damaged: {error}", next_step="delete it and insert the cards again"
        ) from error


class FilePort:
    """One virtual reader (see ``slots.Port``).

    Args:
        home: the readers of this user.
        name: the reader's name.
    """

    linger_s = 0.0

    def __init__(self, home: VirtualReaders, name: str) -> None:
        self.home = home
        self.name = name
        self._atr: tuple[int, bytes] = (-1, b"")

    def status(self) -> ReaderStatus:
        """The state of the reader now (see ``Port``)."""
        card, insertion = self.home.seat(self.name)
        if card is None:
            return ReaderStatus(self.name, present=False, insertion=insertion)
        return ReaderStatus(
            self.name, present=True, atr=self._read_atr(card, insertion), insertion=insertion, card=card
        )

    def connect(self) -> FileTransport:
        """A connection to the card (see ``Port``)."""
        card, insertion = self.home.seat(self.name)
        if card is None:
            raise NoCard(detail=f"there is no card in {self.name}", next_step="calais virtual insert NAME")
        return FileTransport(self.home, self.name, card, insertion)

    def _read_atr(self, card: str, insertion: int) -> bytes:
        """The ATR; a card whose file is damaged does not answer, and whoever connects to it is told why."""
        if self._atr[0] != insertion:
            try:
                atr = self.home.power_up(FileMemory(self.home.path(card)), os.urandom).atr
            except WinError:
                return b""
            self._atr = (insertion, atr)
        return self._atr[1]
