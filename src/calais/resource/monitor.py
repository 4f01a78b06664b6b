"""Insertions and removals as values: what differs between two looks at the readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from calais.resource.slots import ReaderStatus


class Change(StrEnum):
    """What may happen to a reader."""

    PLUGGED = "plugged"
    UNPLUGGED = "unplugged"
    INSERTED = "inserted"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Event:
    """One change; ``status`` is the reader's state after it (before it, for UNPLUGGED)."""

    change: Change
    status: ReaderStatus


def changes(before: Sequence[ReaderStatus], after: Sequence[ReaderStatus]) -> list[Event]:
    """What happened between two looks, in the order of the readers; a card that was swapped gives two events."""
    old = {status.name: status for status in before}
    new = {status.name: status for status in after}
    events = [Event(Change.UNPLUGGED, status) for name, status in old.items() if name not in new]
    for name, status in new.items():
        known = old.get(name)
        if known is None:
            events.append(Event(Change.PLUGGED, status))
        events += _moves(known or ReaderStatus(name, present=False, insertion=status.insertion), status)
    return events


def _moves(before: ReaderStatus, after: ReaderStatus) -> list[Event]:
    moved = before.present != after.present or (after.present and before.insertion != after.insertion)
    if not moved:
        return []
    empty = ReaderStatus(after.name, present=False, insertion=after.insertion)
    events = [Event(Change.REMOVED, empty)] if before.present else []
    return [*events, Event(Change.INSERTED, after)] if after.present else events


def watch(look: Callable[[], Sequence[ReaderStatus]], pause: Callable[[], bool]) -> Iterator[Event]:
    """The changes as they happen, beginning with the cards that are there already.

    Args:
        look: the readers now.
        pause: waits until it is worth looking again; ``False`` ends the watch.
    """
    before: Sequence[ReaderStatus] = []
    while True:
        now = look()
        yield from changes(before, now)
        before = now
        if not pause():
            return
