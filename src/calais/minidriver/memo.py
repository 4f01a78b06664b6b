"""What is remembered about a card between transactions, each item with its evidence, and who judges it.

A remembered object is true without asking while nobody else can have touched the card: same connection, same epoch.
Otherwise it must be proved: the first 256 bytes of the object as the card gives them now, and its total length, equal
the remembered ones. That covers serial number, issuer and (usually) validity of a certificate, which RFC 5280, 4.1.2.2
makes unique; a writer who re-issues under the same serial number, with the same length and the same first 256 bytes,
is not noticed by the head alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Any, Protocol

from calais.transport.base import Sighted, Transaction

if TYPE_CHECKING:
    from calais.minidriver.api import CardIdentity

HEAD_SIZE = 256  # bytes: what one short response holds
MAX_NAMES = 4096  # container names made by enumeration, kept per insertion


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """When something was seen: on which connection (compared by identity) and in which epoch of it."""

    connection: object
    epoch: int

    @classmethod
    def of(cls, tx: Transaction) -> Evidence:
        """The evidence of what is seen in ``tx`` now."""
        return cls(tx.channel, tx.epoch)

    def holds(self, now: Evidence) -> bool:
        """Whether nobody else can have touched the card between this and ``now``."""
        return self.connection is now.connection and self.epoch == now.epoch

    def lasts(self, now: Evidence) -> bool:
        """As ``holds``, or the card was away in between, and its connections saw that nobody has used it there."""
        if self.holds(now):
            return True
        before, after = (getattr(each.connection, "transport", None) for each in (self, now))
        return isinstance(after, Sighted) and after.carries_on(before, self.epoch)

    def same_insertion(self, now: Evidence) -> bool:
        """Whether the card cannot have left the reader between this and ``now``."""
        return self.connection is now.connection


NEVER = Evidence(object(), -1)  # of what an earlier insertion or process saw: holds for no moment of this one


class Basis(StrEnum):
    """By what a remembered object was last found true."""

    READ = "read"  # from the card, whole
    WRITTEN = "written"  # by this process
    HEAD = "head"  # its first bytes and its length
    COUNTERS = "counters"  # those of cardcf
    RESTORED = "restored"  # by nothing yet: it comes from an earlier insertion or process


class CacheMode(StrEnum):
    """How far what is remembered of a card reaches: to other insertions and processes, to the end of the insertion, or
    not beyond the job that read it (CP_CARD_CACHE_MODE 1, 2, 3).
    """

    GLOBAL = "global"
    SESSION = "session"
    NONE = "none"


@dataclass(slots=True)
class Remembered:
    """One object of the card.

    ``content``: its value, ``None`` = the card has none; ``head``: the first ``HEAD_SIZE`` bytes of the card's answer;
    ``length``: bytes of the whole answer; ``seen``: when this was last known to be true; ``parsed``: what was made of
    ``content``, so that nothing is parsed twice; ``read_at``: when it came from the card, in seconds since 1970;
    ``basis``: by what it was last found true; ``hits``: how often it was used without being read.
    """

    content: bytes | None
    head: bytes
    length: int
    seen: Evidence
    parsed: Any = None
    read_at: float = 0.0
    basis: Basis = Basis.READ
    hits: int = 0

    def found_true(self, now: Evidence, basis: Basis | None = None) -> None:
        """It is used without being read: by ``basis``, or because nobody else can have touched the card."""
        self.hits += 1
        if basis is not None:
            self.seen, self.basis = now, basis


@dataclass(frozen=True, slots=True)
class CachedObject:
    """What can be said about one remembered object.

    ``what``: its name for a person; ``size``: bytes, ``None`` = the card is remembered to have none; ``holds``: nobody
    else can have touched the card since it was found true; the others as in ``Remembered``.
    """

    what: str
    size: int | None
    read_at: float
    basis: Basis
    hits: int
    holds: bool = False


@dataclass(frozen=True, slots=True)
class KeptObject:
    """One object that outlives its insertion: ``name`` is the driver's; ``counters``: those of ``cardcf`` when it was
    last true, or ``b""``; the others as in ``Remembered``.
    """

    name: str
    content: bytes | None
    length: int = 0
    counters: bytes = b""
    read_at: float = 0.0
    hits: int = 0


@dataclass(frozen=True, slots=True)
class KeptCard:
    """What outlives an insertion of one card: public objects only.

    ``driver``: name of its driver; ``mark``: what tells that a card is this one, made of its ATR and of what it answers
    when it is identified; ``card_id``, ``label``, ``atr``: for people; ``trusted``: its counters were never caught lying.
    """

    driver: str
    mark: bytes
    card_id: bytes
    label: str
    atr: bytes
    objects: tuple[KeptObject, ...]
    trusted: bool = True

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(len(item.content or b"") + len(item.name) for item in self.objects)


class Shelf(Protocol):
    """Where memories of cards wait for their card."""

    def recall(self, driver: str, mark: bytes, atr: bytes) -> KeptCard | None:
        """What is kept of the card, ``None`` = nothing."""

    def driver_of(self, atr: bytes) -> str:
        """The driver of the kept cards with this ATR; "" when there are none, or of several drivers."""

    def drop(self, driver: str, mark: bytes, atr: bytes) -> None:
        """Keep nothing of the card any more."""


class Verdict(Enum):
    """What to do before a remembered object is used."""

    TRUE = auto()
    PROBE = auto()
    READ = auto()


def judge(remembered: Remembered | None, now: Evidence) -> Verdict:
    """Whether ``remembered`` may be used now as it is, after a head probe, or not at all."""
    if remembered is None:
        return Verdict.READ
    return Verdict.TRUE if remembered.seen.holds(now) else Verdict.PROBE


def proves(remembered: Remembered, head: bytes | None, length: int) -> bool:
    """Whether the card's answer now (first bytes, total length; ``None`` = no such object) confirms ``remembered``."""
    if remembered.content is None or head is None:
        return remembered.content is None and head is None
    return remembered.head == head[:HEAD_SIZE] and remembered.length == length


@dataclass(slots=True)
class CardMemo:
    """What survives between transactions of one insertion, and, judged anew, from one insertion to the next.

    Args:
        random: source of randomness for challenges and volatile container names.

    ``driver``: entry of the registry that drives the card; ``identity`` and ``identified``: who the card is and when
    that was last proved; ``objects``: by tag or name; ``keys``: facts about keys, by key reference; ``names``: container
    names made by enumeration, to their index; ``facts``: anything else a driver keeps for one identity;
    ``pin_changes``: PIN changes and unblocks made through this memo; ``container_changes``: the same of keys and
    containers; ``kind``, ``mark`` and ``atr``: ``driver``, ``mark`` and ``atr`` of a ``KeptCard``;
    ``recalled``: something of this card was waiting on the ``shelf``; ``clock``: seconds since 1970.
    """

    random: Callable[[int], bytes] = os.urandom
    driver: str = ""
    identity: CardIdentity | None = None
    identified: Evidence | None = None
    objects: dict[int, Remembered] = field(default_factory=dict)
    keys: dict[int, Any] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    pin_changes: int = 0
    container_changes: int = 0
    kind: str = ""
    mark: bytes = b""
    atr: bytes = b""
    recalled: bool = False
    shelf: Shelf | None = None
    clock: Callable[[], float] = time.time

    def forget(self) -> None:
        """Drop everything: this is another card."""
        self.restore(CardMemo(self.random, shelf=self.shelf, clock=self.clock))

    def become(self, kind: str, mark: bytes, atr: bytes) -> KeptCard | None:
        """Forget the card that was here for the one with ``mark``; what was kept of that one by driver ``kind``."""
        driver = self.driver
        self.forget()
        self.driver, self.kind, self.mark, self.atr = driver, kind, mark, atr
        kept = self.shelf.recall(kind, mark, atr) if self.shelf else None
        self.recalled = kept is not None
        return kept

    def restore(self, other: CardMemo) -> None:
        """Take over what ``other`` remembers, without copying it."""
        for item in fields(self):
            setattr(self, item.name, getattr(other, item.name))

    def new_insertion(self) -> None:
        """Drop what must not outlive an insertion: key facts and names made by enumeration."""
        self.keys, self.names = {}, {}

    def forget_data(self) -> None:
        """Drop what was read from the card, also what waits on the shelf, but not the names of its containers."""
        if self.shelf is not None and self.mark:
            self.shelf.drop(self.kind, self.mark, self.atr)
        kept = self.driver, self.names, self.pin_changes, self.container_changes
        self.forget()
        self.driver, self.names, self.pin_changes, self.container_changes = kept

    def remember_name(self, name: str, index: int) -> None:
        """Keep ``name`` valid for this insertion; the oldest of more than ``MAX_NAMES`` is given up."""
        if len(self.names) >= MAX_NAMES:
            del self.names[next(iter(self.names))]
        self.names[name] = index


class Cache(Protocol):
    """The data cache of a caller (pfnCspCacheAddFile, …LookupFile, …DeleteFile), for drivers that want one."""

    def add(self, tag: str, data: bytes) -> None:
        """Keep ``data``."""

    def lookup(self, tag: str) -> bytes | None:
        """What was kept, or ``None``."""

    def delete(self, tag: str) -> None:
        """Keep it no longer."""
