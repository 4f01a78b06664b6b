"""Remembered PINs, and the rule when one may be presented again. Pure: the time and the evidence are arguments.

A PIN is remembered only after the card accepted it, in this process only, by card id and PIN id. It is presented again
only while nothing says that it may have stopped being right: while nobody else has touched the card, or else while the
card has no fewer tries left than it had, and more than one. A PIN that is refused is forgotten and never repeated.

Source: Microsoft's smart card minidriver specification v7.07, PIN_CACHE_POLICY.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from calais.minidriver.memo import Evidence
from calais.minidriver.pins import Pin


class CachePolicy(IntEnum):
    """PIN_CACHE_POLICY_TYPE: how long a PIN may be remembered."""

    NORMAL = 0  # as long as the process
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
class _Entry:
    pin: Pin
    until: float | None


PinName = tuple[bytes, int]  # card id, PIN id


class PinCache:
    """The remembered PINs of one process, and what is known of their tries."""

    def __init__(self) -> None:
        self._entries: dict[PinName, _Entry] = {}
        self._tries: dict[PinName, Tries] = {}

    def __repr__(self) -> str:
        return f"<PinCache of {len(self._entries)}>"

    def accept(self, name: PinName, pin: Pin, *, policy: int, seconds: int, now: float) -> None:
        """Remember ``pin``, which the card has just accepted, as ``policy`` allows.

        Args:
            name: card id and PIN id.
            pin: the PIN.
            policy: a ``CachePolicy``.
            seconds: for TIMED, how long.
            now: the time, in seconds.
        """
        if policy in (CachePolicy.NORMAL, CachePolicy.TIMED):
            self._entries[name] = _Entry(pin, now + seconds if policy == CachePolicy.TIMED else None)

    def see(self, name: PinName, left: int | None, seen: Evidence, *, most: int | None = None) -> None:
        """Note how many tries are left."""
        before = self._tries.get(name)
        known = [count for count in (left, most, before.most if before else None) if count is not None]
        self._tries[name] = Tries(left, max(known, default=None), seen)

    def restore(self, name: PinName, seen: Evidence) -> Tries:
        """Note that the PIN is right, so that it has all its tries again."""
        before = self._tries.get(name)
        most = before.most if before else None
        tries = self._tries[name] = Tries(most, most, seen)
        return tries

    def tries(self, name: PinName, now: Evidence) -> Tries | None:
        """The tries as last seen, if nobody else can have touched the card since."""
        known = self._tries.get(name)
        return known if known is not None and known.seen.holds(now) else None

    def usable(self, name: PinName, left: int | None, *, now: float) -> Pin | None:
        """The remembered PIN if it may be presented with ``left`` tries left; otherwise it is forgotten.

        With fewer tries than there were, somebody has failed since; and the last try is for a PIN just given.
        """
        entry = self._entries.get(name)
        if entry is None or (entry.until is not None and now >= entry.until) or self._has_lost(name, left):
            self.forget(name)
            return None
        return entry.pin

    def _has_lost(self, name: PinName, left: int | None) -> bool:
        known = self._tries.get(name)
        most = known.most if known else None
        if left is None or most is None:
            return left != most
        return left < most or left <= 1

    def forget(self, name: PinName) -> None:
        """Forget one PIN."""
        self._entries.pop(name, None)

    def forget_card(self, card_id: bytes) -> None:
        """Forget every PIN of one card."""
        for name in [name for name in self._entries if name[0] == card_id]:
            del self._entries[name]

    def clear(self) -> None:
        """Forget every PIN."""
        self._entries.clear()
