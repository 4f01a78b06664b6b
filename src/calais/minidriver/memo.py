"""What is remembered about a card between transactions, each item with its evidence, and who judges it.

A remembered object is true without asking while nobody else can have touched the card: same connection, same epoch.
Otherwise it must be proved: the first 256 bytes of the object as the card gives them now, and its total length, equal
the remembered ones. That covers serial number, issuer and (usually) validity of a certificate, which RFC 5280, 4.1.2.2
makes unique; a writer who re-issues under the same serial number, with the same length and the same first 256 bytes,
is not noticed by the head alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol

from calais.transport.base import Transaction

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

    def same_insertion(self, now: Evidence) -> bool:
        """Whether the card cannot have left the reader between this and ``now``."""
        return self.connection is now.connection


@dataclass(slots=True)
class Remembered:
    """One object of the card.

    ``content``: its value, ``None`` = the card has none; ``head``: the first ``HEAD_SIZE`` bytes of the card's answer;
    ``length``: bytes of the whole answer; ``seen``: when this was last known to be true; ``parsed``: what was made of
    ``content``, so that nothing is parsed twice.
    """

    content: bytes | None
    head: bytes
    length: int
    seen: Evidence
    parsed: Any = None


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
    ``pin_changes``: PIN changes and unblocks made through this memo.
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

    def forget(self) -> None:
        """Drop everything: this is another card."""
        self.restore(CardMemo(self.random))

    def restore(self, other: CardMemo) -> None:
        """Take over what ``other`` remembers, without copying it."""
        for item in fields(self):
            setattr(self, item.name, getattr(other, item.name))

    def new_insertion(self) -> None:
        """Drop what must not outlive an insertion: key facts and names made by enumeration."""
        self.keys, self.names = {}, {}

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
