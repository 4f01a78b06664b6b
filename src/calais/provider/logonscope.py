"""Where remembered PINs count: one logon in one process.

Windows remembers a PIN per process and logon. Here nothing outside the process remembers PINs; in it, each ``System``
stands for one logon, and its end is the end of that logon. A child that is forked has the memory of its parent, but is
another process: it starts with no PINs.
"""

from __future__ import annotations

import os
import threading

from calais.provider.pincache import PinCache, PinName


class Question:
    """Who wants a PIN of a person waits here until the one before has had his answer.

    ``lock``: held while a person is asked, and the answer presented; ``asked``: how often that was so.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.asked = 0


class LogonScope:
    """One logon in this process, and the PINs that were given in it."""

    def __init__(self, cache: PinCache | None = None) -> None:
        self._cache = cache or PinCache()
        self._process = os.getpid()
        self._questions: dict[PinName, Question] = {}

    def cache(self, owner: str = "") -> PinCache:
        """The remembered PINs of ``owner``; none, the first time that a forked child asks."""
        self._leave_parent()
        return self._cache.of(owner) if owner else self._cache

    def question(self, name: PinName) -> Question:
        """Where the threads that want the PIN ``name`` of a person stand in line."""
        self._leave_parent()
        return self._questions.setdefault(name, Question())

    def _leave_parent(self) -> None:
        """In a forked child: forget the parent's PINs, and its threads, which are not here to go on."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._cache.clear()
            self._questions = {}

    def end(self) -> None:
        """The logon is over: forget every PIN."""
        self._cache.clear()
