"""Where remembered PINs count: one logon in one process.

Windows remembers a PIN per process and logon. Here nothing outside the process remembers PINs; in it, each ``System``
stands for one logon, and its end is the end of that logon. A child that is forked has the memory of its parent, but is
another process: it starts with no PINs.
"""

from __future__ import annotations

import os

from calais.provider.pincache import PinCache


class LogonScope:
    """One logon in this process, and the PINs that were given in it."""

    def __init__(self, cache: PinCache | None = None) -> None:
        self._cache = cache or PinCache()
        self._process = os.getpid()

    def cache(self, owner: str = "") -> PinCache:
        """The remembered PINs of ``owner``; none, the first time that a forked child asks."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._cache.clear()
        return self._cache.of(owner) if owner else self._cache

    def end(self) -> None:
        """The logon is over: forget every PIN."""
        self._cache.clear()
