"""Remembered PINs, and the rule when one may be presented again. Pure: the time and the evidence are arguments.

A PIN is remembered only after the card accepted it, by card id and PIN id. It is presented again only while nothing
says that it may have stopped being right: while nobody else has touched the card, or else while the card has no fewer
tries left than it had, and more than one. A PIN that is refused is forgotten and never repeated. A session PIN that
stands for the PIN has tries of its own on the card, so that those of the PIN do not matter to it.

With ``pin.separate_caches`` each face has PINs of its own; what is known of their tries is everybody's, and a PIN that is
changed is forgotten by all.

Source: Microsoft's smart card minidriver specification v7.07, PIN_CACHE_POLICY; "Developer Guidelines".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from calais.minidriver.memo import Evidence
from calais.minidriver.pins import Pin


class CachePolicy(IntEnum):
    """PIN_CACHE_POLICY_TYPE: how long a PIN may be remembered."""

    NORMAL = 0  # as long as the process and its logon
    TIMED = 1  # for so many seconds
    NONE = 2  # not at all; good until the transaction ends
    ALWAYS_PROMPT = 3  # asked for each use


@dataclass(frozen=True, slots=True)
class Tries:
    """Tries of one PIN as last seen: ``left``, the ``most`` ever seen, and when; ``None`` = the card does not say."""

    left: int | None
    most: int | None
    seen: Evidence


@dataclass(frozen=True, slots=True)
class Kept:
    """A remembered PIN; ``session``: it is a session PIN; ``until``: the time at which it ends, if any."""

    pin: Pin
    until: float | None = None
    session: bool = False


PinName = tuple[bytes, int]  # card id, PIN id


@dataclass(slots=True)
class Memory:
    """What the caches of all owners share."""

    entries: dict[tuple[str, PinName], Kept] = field(default_factory=dict)
    tries: dict[PinName, Tries] = field(default_factory=dict)


class PinCache:
    """The remembered PINs of one logon in one process, and what is known of their tries.

    Args:
        owner: who remembers, for caches that are kept apart.
        memory: what the caches of all owners share; new when ``None``.
    """

    def __init__(self, owner: str = "", memory: Memory | None = None) -> None:
        self.owner = owner
        self._memory = memory or Memory()

    def __repr__(self) -> str:
        return f"<PinCache of {len(self._memory.entries)}>"

    def of(self, owner: str) -> Self:
        """The cache of ``owner``, which shares with this one what is known of tries, and forgets with it."""
        return type(self)(owner, self._memory)

    def accept(self, name: PinName, pin: Pin, *, policy: int, seconds: int, now: float, session: bool = False) -> None:
        """Remember ``pin``, which the card has just accepted, as ``policy`` allows.

        Args:
            name: card id and PIN id.
            pin: the PIN, or the session PIN that the card has given for it.
            policy: a ``CachePolicy``.
            seconds: for TIMED, how long.
            now: the time, in seconds.
            session: ``pin`` is a session PIN.
        """
        if self.keeps(policy):
            until = now + seconds if policy == CachePolicy.TIMED else None
            self._memory.entries[self.owner, name] = Kept(pin, until, session)

    @staticmethod
    def keeps(policy: int) -> bool:
        """Whether a PIN with this cache policy may be remembered."""
        return policy in (CachePolicy.NORMAL, CachePolicy.TIMED)

    def see(self, name: PinName, left: int | None, seen: Evidence, *, most: int | None = None) -> None:
        """Note how many tries are left."""
        before = self._memory.tries.get(name)
        known = [count for count in (left, most, before.most if before else None) if count is not None]
        self._memory.tries[name] = Tries(left, max(known, default=None), seen)

    def restore(self, name: PinName, seen: Evidence) -> Tries:
        """Note that the PIN is right, so that it has all its tries again."""
        before = self._memory.tries.get(name)
        most = before.most if before else None
        tries = self._memory.tries[name] = Tries(most, most, seen)
        return tries

    def tries(self, name: PinName, now: Evidence) -> Tries | None:
        """The tries as last seen, if nobody else can have touched the card since."""
        known = self._memory.tries.get(name)
        return known if known is not None and known.seen.holds(now) else None

    def usable(self, name: PinName, left: int | None, *, now: float) -> Pin | None:
        """The remembered PIN if it may be presented with ``left`` tries left (see ``kept``)."""
        found = self.kept(name, left, now=now)
        return found.pin if found else None

    def last(self, name: PinName) -> Tries | None:
        """The tries as last seen, whatever has happened since."""
        return self._memory.tries.get(name)

    def kept(self, name: PinName, left: int | None, *, now: float) -> Kept | None:
        """What is remembered, if it may be presented with ``left`` tries left; otherwise it is forgotten.

        With fewer tries than there were, somebody has failed since; and the last try is for a PIN just given.
        """
        entry = self._memory.entries.get((self.owner, name))
        if entry is None or (entry.until is not None and now >= entry.until):
            self.forget(name)
            return None
        if not entry.session and self._has_lost(name, left):
            self.forget(name)
            return None
        return entry

    def _has_lost(self, name: PinName, left: int | None) -> bool:
        known = self._memory.tries.get(name)
        most = known.most if known else None
        if left is None or most is None:
            return left != most
        return left < most or left <= 1

    def forget(self, name: PinName) -> None:
        """Forget one PIN of this owner."""
        self._memory.entries.pop((self.owner, name), None)

    def forget_card(self, card_id: bytes) -> None:
        """Forget every PIN of one card, whoever remembers it."""
        for key in [key for key in list(self._memory.entries) if key[1][0] == card_id]:
            self._memory.entries.pop(key, None)

    def clear(self) -> None:
        """Forget every PIN, whoever remembers it."""
        self._memory.entries.clear()
