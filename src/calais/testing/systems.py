"""Isolated systems for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from calais.provider.policy import Policy
from calais.provider.prompt import Prompt
from calais.resource.clock import Clock
from calais.resource.virtual import VirtualReaders
from calais.store.database import MEMORY_URL, open_database
from calais.store.locations import SystemStores
from calais.system import System
from calais.transport.base import Watcher


def local_system(
    path: Path | str | None = None,
    *,
    prompt: Prompt | None = None,
    policy: Mapping[str, object] | Policy | None = None,
    clock: Clock | None = None,
    watchers: tuple[Watcher, ...] = (),
) -> System:
    """A system of its own: no real readers, no stores but its own, which are all writable.

    Args:
        path: a directory for its stores, its shared virtual readers and what it remembers of cards, which another
            system on the same directory then shares; without one they live as long as the system.
        prompt: who is asked for PINs; ``None`` = nobody.
        policy: Group Policy value names and dotted names over the defaults, or a ``Policy``.
        clock: the time.
        watchers: asked at each connection for an observer of its exchanges.

    Returns:
        the system; ``with`` makes it the current one and closes it at the end.
    """
    if not isinstance(policy, Policy):
        policy = Policy.from_values(policy or {})
    home = None if path is None else Path(path)
    return System(
        SystemStores(open_database(MEMORY_URL if home is None else str(home / "store.db"))),
        prompt=prompt,
        policy=policy,
        clock=clock,
        virtual=None if home is None else VirtualReaders(home / "virtual"),
        cache=None if home is None else home / "cache",
        watchers=watchers,
    )
