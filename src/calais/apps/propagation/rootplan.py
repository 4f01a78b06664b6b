"""Which root certificates of cards the machine trusts, for which card and logon, and when they go again. Pure.

Each root in the ``SmartCardRoot`` store carries, in property 76, the cards it came from and the logon each was seen in.
A root goes when no element is left; roots without the property are not ours and stay.

Source: Microsoft, "Certificate propagation service" (root certificate propagation) and "Smart Card Group Policy and
Registry Settings" (clean-up); CERT_SMART_CARD_ROOT_INFO_PROP_ID (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from calais.win.structs import SmartCardRootInfo

Marks = tuple[SmartCardRootInfo, ...]


class CleanUp(IntEnum):
    """RootCertificateCleanupOption."""

    NEVER = 0
    AT_REMOVAL = 1
    AT_LOGOFF = 2


class RootAction(StrEnum):
    """What happens to a root certificate."""

    ADDED = "added"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True)
class RootOnCard:
    """A certificate of a card's ``msroots``; ``problem``: why it is no root certificate, or ""."""

    sha1: bytes
    der: bytes
    card_id: bytes
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RootStep:
    """One thing to do: ``marks`` are what property 76 shall be."""

    action: RootAction
    sha1: bytes
    der: bytes
    marks: Marks
    reason: str


def plan_roots(
    found: Iterable[RootOnCard],
    known: Mapping[bytes, tuple[bytes, Marks]],
    *,
    present: frozenset[bytes],
    luid: int,
    clean_up: int,
) -> list[RootStep]:
    """What to do with each root, those of the cards first.

    Args:
        found: the roots of the inserted cards; none where policy does not want them.
        known: what the store has: SHA-1 to certificate and marks, without those that are not ours.
        present: ids of the inserted cards.
        luid: which logon this is.
        clean_up: a ``CleanUp``.
    """
    by_root: dict[bytes, list[RootOnCard]] = {}
    for item in found:
        by_root.setdefault(item.sha1, []).append(item)
    left = {sha1: _lasting(marks, present, luid, clean_up) for sha1, (_, marks) in known.items()}
    steps = [_wanted(items, known.get(sha1), left.get(sha1, ()), luid) for sha1, items in by_root.items()]
    return [*steps, *_old(known, left, set(by_root))]


def _lasting(marks: Marks, present: frozenset[bytes], luid: int, clean_up: int) -> Marks:
    """The marks that clean-up leaves."""
    if clean_up == CleanUp.AT_REMOVAL:
        return tuple(mark for mark in marks if mark.card_id in present)
    if clean_up == CleanUp.AT_LOGOFF:
        return tuple(mark for mark in marks if mark.luid == luid)
    return marks


def _wanted(items: list[RootOnCard], known: tuple[bytes, Marks] | None, left: Marks, luid: int) -> RootStep:
    first = items[0]
    if first.problem:
        return RootStep(RootAction.FILTERED, first.sha1, first.der, (), first.problem)
    ours = [SmartCardRootInfo(item.card_id, luid) for item in items]
    marks = left + tuple(mark for mark in dict.fromkeys(ours) if mark not in left)
    if known is not None and known[1] == marks:
        return RootStep(RootAction.UNCHANGED, first.sha1, first.der, marks, "the store says the same")
    return RootStep(RootAction.ADDED, first.sha1, first.der, marks, "a root certificate of an inserted card")


def _old(
    known: Mapping[bytes, tuple[bytes, Marks]], left: Mapping[bytes, Marks], seen: set[bytes]
) -> Iterator[RootStep]:
    for sha1, (der, marks) in known.items():
        if sha1 in seen or left[sha1] == marks:
            continue
        action = RootAction.UNCHANGED if left[sha1] else RootAction.REMOVED
        yield RootStep(action, sha1, der, left[sha1], "its card is gone, or its logon is over")
