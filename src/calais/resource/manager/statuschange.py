"""What SCardGetStatusChange decides, and how it waits.

Deciding is pure: the caller's beliefs against what is seen. Waiting costs nothing while nothing happens: readers of
this process and handles on them are announced; for real ones a thread waits in PC/SC and announces; the shared
virtual readers, which other processes change, are looked at a few times a second.

Source: Microsoft, SCardGetStatusChange and SCARD_READERSTATE.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from calais.resource.manager.bulletin import Bulletin
from calais.resource.manager.connection import GONE, Sight
from calais.transport.pcsc import PNP_NOTIFICATION, PcscContext
from calais.transport.pcsc_library import Library
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import (
    INFINITE,
    SCARD_STATE_CHANGED,
    SCARD_STATE_EMPTY,
    SCARD_STATE_EXCLUSIVE,
    SCARD_STATE_IGNORE,
    SCARD_STATE_INUSE,
    SCARD_STATE_MUTE,
    SCARD_STATE_PRESENT,
    SCARD_STATE_UNAVAILABLE,
    SCARD_STATE_UNKNOWN,
    SCARD_STATE_UNPOWERED,
)
from calais.win.structs import ReaderState

LOOK_S = 0.25  # between looks at readers that other processes change
WATCH_S = 1.0  # how long the thread in PC/SC may outlive the wait
COMPARED = (
    SCARD_STATE_UNKNOWN
    | SCARD_STATE_UNAVAILABLE
    | SCARD_STATE_EMPTY
    | SCARD_STATE_PRESENT
    | SCARD_STATE_EXCLUSIVE
    | SCARD_STATE_INUSE
    | SCARD_STATE_MUTE
    | SCARD_STATE_UNPOWERED
)
UNKNOWN_READER = SCARD_STATE_UNKNOWN | SCARD_STATE_CHANGED | SCARD_STATE_IGNORE


class StatusError(WinError):
    """A failure of SCardGetStatusChange or SCardLocateCards; ``reader_states``: what is left in the caller's array."""

    reader_states: list[ReaderState]


def failed(code: int, detail: str, states: Sequence[ReaderState]) -> WinError:
    """The error with the states as they are left."""
    error = StatusError(code, detail)
    error.reader_states = list(states)
    return error


# --- deciding --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment: readers by the name they were asked for, and how many readers there are.

    A name that nobody knows is not in ``sights``.
    """

    sights: Mapping[str, Sight]
    readers: int


def decide(asked: Sequence[ReaderState], look: Look) -> list[ReaderState]:
    """The states after one look, CHANGED where they differ from what the caller believes."""
    return [_decide(state, look) for state in asked]


def _decide(state: ReaderState, look: Look) -> ReaderState:
    if state.current_state & SCARD_STATE_IGNORE:
        return replace(state, event_state=SCARD_STATE_IGNORE, atr=b"")
    if is_pnp(state.reader):
        changed = (look.readers & 0xFFFF) != state.current_state >> 16
        return replace(state, event_state=look.readers << 16 & 0xFFFF0000 | changed * SCARD_STATE_CHANGED, atr=b"")
    sight = look.sights.get(state.reader)
    if sight is None:
        return replace(state, event_state=UNKNOWN_READER, atr=b"")
    changed = differs(state.current_state, sight)
    return replace(state, event_state=sight.event_state | changed * SCARD_STATE_CHANGED, atr=sight.shown_atr)


def differs(believed: int, sight: Sight) -> bool:
    """Whether a reader is not as the caller believes (dwCurrentState)."""
    counter = believed >> 16 & 0xFFFF
    return (
        not believed
        or believed & COMPARED != sight.flags & COMPARED
        or (counter != 0 and counter != sight.events & 0xFFFF)
    )


def is_pnp(name: str) -> bool:
    """Whether this is the name that stands for the list of readers."""
    return name.casefold() == PNP_NOTIFICATION.casefold()


def changed(states: Sequence[ReaderState]) -> bool:
    """Whether any state is CHANGED."""
    return any(state.event_state & SCARD_STATE_CHANGED for state in states)


# --- waiting ---------------------------------------------------------------------------------------------------------


class Eyes(Protocol):
    """What a wait looks with."""

    bulletin: Bulletin

    def look(self, names: Sequence[str]) -> Look:
        """These readers, now."""

    def polled(self, names: Sequence[str]) -> bool:
        """Whether other processes may change one of them without a word."""

    def library(self, names: Sequence[str]) -> tuple[Library | None] | None:
        """The PC/SC library that one of them is seen through (``None`` in it = the system's), or ``None``."""


class Wait:
    """One SCardGetStatusChange.

    Args:
        eyes: what it looks with.
        asked: the caller's states.
        timeout_ms: milliseconds; INFINITE = as long as it takes.
    """

    def __init__(self, eyes: Eyes, asked: Sequence[ReaderState], timeout_ms: int) -> None:
        self._eyes = eyes
        self._asked = list(asked)
        self._names = [state.reader for state in asked if not state.current_state & SCARD_STATE_IGNORE]
        self._deadline = time.monotonic() + timeout_ms / 1000 if timeout_ms != INFINITE else math.inf
        self._timeout_ms = timeout_ms
        self._cancelled = False

    def cancel(self) -> None:
        """End it with SCARD_E_CANCELLED."""
        self._cancelled = True
        self._eyes.bulletin.announce()

    def run(self) -> list[ReaderState]:
        """Look, and wait until something has changed.

        Raises:
            WinError: SCARD_E_UNKNOWN_READER, SCARD_E_TIMEOUT, SCARD_E_CANCELLED; each with ``reader_states``.
        """
        seen = self._eyes.bulletin.number
        states = decide(self._asked, self._eyes.look(self._names))
        if any(state.event_state == UNKNOWN_READER for state in states):
            raise failed(Code.SCARD_E_UNKNOWN_READER, "there is no such reader", states)
        if changed(states) or not self._timeout_ms:
            return self._result(states)
        library = self._eyes.library(self._names)
        watch = Watch(library[0], self._eyes.bulletin) if library is not None else None
        try:
            return self._result(self._wait(states, seen))
        finally:
            if watch is not None:
                watch.stop()

    def _wait(self, states: list[ReaderState], seen: int) -> list[ReaderState]:
        bulletin, polled = self._eyes.bulletin, self._eyes.polled(self._names)
        while not changed(states) and not self._cancelled and (now := time.monotonic()) < self._deadline:
            bulletin.wait(seen, min(self._deadline, now + LOOK_S) if polled else self._deadline)
            seen = bulletin.number
            look = self._eyes.look(self._names)
            gone = {name: GONE for name in self._names if name not in look.sights}
            states = decide(self._asked, Look({**gone, **look.sights}, look.readers))
        return states

    def _result(self, states: list[ReaderState]) -> list[ReaderState]:
        if self._cancelled:
            raise failed(Code.SCARD_E_CANCELLED, "the wait was cancelled", _unchanged(states))
        if not changed(states):
            raise failed(Code.SCARD_E_TIMEOUT, "nothing has changed", states)
        return states


def _unchanged(states: Sequence[ReaderState]) -> list[ReaderState]:
    return [replace(state, event_state=state.event_state & ~SCARD_STATE_CHANGED) for state in states]


class Watch:
    """A thread that waits in PC/SC for changes of real readers, and announces them.

    Args:
        library: the PC/SC library; ``None`` = the system's.
        bulletin: where they are announced.
    """

    def __init__(self, library: Library | None, bulletin: Bulletin) -> None:
        self._library = library
        self._bulletin = bulletin
        self._over = False
        self._context: PcscContext | None = None
        threading.Thread(target=self._run, name="calais readers", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end; it does so within a second."""
        self._over = True
        if self._context is not None:
            try:
                self._context.cancel()
            except WinError:
                return

    def _run(self) -> None:
        try:
            with PcscContext(self._library) as context:
                self._context = context
                self._watch(context)
        except WinError:
            self._bulletin.announce()
        finally:
            self._context = None

    def _watch(self, context: PcscContext) -> None:
        known = context.states()
        self._bulletin.announce()  # what changed before we looked
        while not self._over:
            now = context.wait(known, WATCH_S, plug=True)
            if any(state.changed for state in now) or len(now) != len(known):
                self._bulletin.announce()
            known = [state for state in now if state.available]
