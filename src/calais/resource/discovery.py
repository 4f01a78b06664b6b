"""How a card gets its name and its driver: the entries of the card database, then the card itself.

A card that no entry knows is asked for the applications of the class driver, GIDS first, then PIV. What it said is
remembered for as long as it stays in the reader. What an ATR was found to be is remembered, too, but only as the
question that is asked first: cards of different kinds may have one ATR. Where a card cannot be asked, because somebody
has it for himself alone, that memory is the answer. A thread that is itself in a transaction with the card does not
wait for its own end: it asks within that transaction while nothing else has been done in it, for asking selects an
application, and after that remembers.

Source: Microsoft, "Smart card discovery process" (ATR caches; SELECT of the GIDS application, then of PIV).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from calais.cards.gids import spec as gids_spec
from calais.cards.modules import CLASS_CARDS, CLASS_MODULE, driver_named
from calais.cards.piv import spec as piv_spec
from calais.cards.registry import BUILT_IN, Driver
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW
from calais.resource.carddb import CardDatabase, CardEntry
from calais.resource.slots import Port
from calais.store.api import Settings
from calais.transport.base import Channel
from calais.win.errors import SharingViolation, WinError
from calais.win.flags import SCARD_PROVIDER_CSP

ATR_KIND = "atr"
PATIENCE_S = 2.0  # for a card that others use
APPLICATIONS: Mapping[str, bytes] = {"gids": gids_spec.AID_TRUNCATED, "piv": piv_spec.AID_TRUNCATED}
_NAMES = {kind: name for name, kind in CLASS_CARDS.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """One application that a card was asked for: ``kind``, AID, and the status word, ``None`` = it was not reached."""

    kind: str
    aid: bytes
    sw: int | None

    @property
    def is_there(self) -> bool:
        """Whether the card has it."""
        return self.sw is not None and (self.sw == SW.OK or self.sw >> 8 == SW.MORE_DATA >> 8)


@dataclass(slots=True)
class Discovered:
    """How a present card got its name.

    Attributes:
        atr: its ATR.
        tried: entries with an ATR, and whether it matched, up to the first that did.
        cached: the kind that this ATR was found to be before, or "".
        asked: the applications it was asked for.
        problem: why it could not be asked, or "".
        entry: the entry that was found.
    """

    atr: bytes
    tried: list[tuple[CardEntry, bool]] = field(default_factory=list)
    cached: str = ""
    asked: list[Asked] = field(default_factory=list)
    problem: str = ""
    entry: CardEntry | None = None


class HeldHandle(Protocol):
    """A handle in a transaction (see ``handles.SCardHandle``)."""

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has been sent in the transaction."""

    def transmit(self, command: bytes) -> bytes:
        """One exchange."""


class Discovery:
    """Finds names and drivers of cards.

    Args:
        database: the entries.
        settings: where is kept what ATRs were found to be.
    """

    def __init__(self, database: CardDatabase, settings: Callable[[], Settings]) -> None:
        self._database = database
        self._settings = settings
        self._mutex = threading.Lock()
        self._found: dict[str, tuple[int, bytes, str | None]] = {}

    def class_card(self, port: Port, held: HeldHandle | None = None) -> str | None:
        """The name of the class driver's card in this reader, ``None`` = it is none; asks it once per insertion.

        Args:
            port: the reader.
            held: the handle on it whose transaction this thread has begun.

        Raises:
            ReaderUnavailable: the reader has been unplugged.
        """
        status = port.status()
        if not status.atr:
            return None
        with self._mutex:
            known = self._found.get(port.name)
        if known is not None and known[:2] == (status.insertion, status.atr):
            return known[2]
        steps = Discovered(status.atr, cached=self.cached(status.atr))
        kind = self._ask(port, steps, held)
        name = _NAMES[kind] if kind else None
        if not steps.problem:
            with self._mutex:
                self._found[port.name] = status.insertion, status.atr, name
        return name

    def explain(self, port: Port) -> Discovered:
        """Every step for the card in this reader; it is asked again.

        Raises:
            ReaderUnavailable: the reader has been unplugged.
        """
        status = port.status()
        steps = Discovered(status.atr)
        for entry in self._database.entries():
            if entry.atr:
                steps.tried.append((entry, entry.matches(status.atr)))
                if steps.tried[-1][1]:
                    steps.entry = entry
                    return steps
        steps.cached = self.cached(status.atr)
        if status.atr and (kind := self._ask(port, steps)):
            steps.entry = self._database.entry(_NAMES[kind])
        return steps

    def cached(self, atr: bytes) -> str:
        """What cards with this ATR were found to be, or ""."""
        kept = self._settings().get(ATR_KIND, atr.hex())
        return kept.decode() if kept is not None and kept.decode() in APPLICATIONS else ""

    def _ask(self, port: Port, steps: Discovered, held: HeldHandle | None = None) -> str | None:
        order = sorted(APPLICATIONS, key=lambda kind: kind != steps.cached)
        try:
            with _line(port, held) as send:
                kind = _select(send, order, steps.asked)
        except WinError as error:
            steps.problem = str(error)
            return steps.cached or None
        if kind is not None and kind != steps.cached:
            self._settings().put(ATR_KIND, steps.atr.hex(), kind.encode())
        return kind

    def drivers(self, atr: bytes) -> Mapping[str, Driver] | None:
        """The drivers that may drive a card with this ATR, by name; ``None`` = no entry says.

        Raises:
            WinError: SCARD_E_UNKNOWN_CARD, an entry names a driver that is not installed.
        """
        if self._database.is_known_to_be_empty:
            return None
        try:
            entries = self._database.matching(atr)
        except WinError:
            return None  # a store that cannot be read keeps no card from working
        module = next((entry.module for entry in entries if entry.module), None)
        if module is None:
            return None
        return BUILT_IN if module.casefold() == CLASS_MODULE else driver_named(module)

    def crypto_provider(self, atr: bytes) -> str:
        """The provider for CryptoAPI that the first entry with this ATR names, or ""."""
        if self._database.is_known_to_be_empty:
            return ""
        try:
            entries = self._database.matching(atr)
        except WinError:
            return ""  # a store that cannot be read keeps no card from working
        return entries[0].providers.get(SCARD_PROVIDER_CSP, "") if entries else ""


Send = Callable[[Command], int]  # gives the status word


def _select(send: Send, kinds: list[str], asked: list[Asked]) -> str | None:
    """The first of these applications that the card has."""
    for kind in kinds:
        aid = APPLICATIONS[kind]
        asked.append(Asked(kind, aid, send(Command(0, 0xA4, 0x04, 0, aid, 256))))
        if asked[-1].is_there:
            return kind
    return None


@contextmanager
def _line(port: Port, held: HeldHandle | None) -> Iterator[Send]:
    """A way to ask the card: in a transaction for it, or in the one that this thread has begun.

    Raises:
        SharingViolation: others use the card; or this thread does, and has begun to.
    """
    if held is not None:
        if not held.is_untouched:
            raise SharingViolation(detail=f"the card in {port.name} is in use by the program that asks")
        yield lambda command: int.from_bytes(held.transmit(command.encode())[-2:], "big")
        return
    transport = port.connect()
    if hasattr(transport, "timeout_s"):
        transport.timeout_s = PATIENCE_S
    channel = Channel(transport)
    try:
        with channel.begin() as tx:
            yield lambda command: tx.send(command, collect=False).sw
    finally:
        channel.close()
