"""Telling a program of changes that others make to a store. Source: CertControlStore (CERT_STORE_CTRL_NOTIFY_CHANGE).

A thread looks at the source while somebody waits, and ends when nobody does. It holds no store open: a store that
is closed, or forgotten, ends it.
"""

from __future__ import annotations

import threading

from calais.store.sources import Source
from calais.win.errors import WinError

INTERVAL_S = 0.1


class Watch:
    """The events of one open store: each is set once, at the next change, until it is armed again."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._registered: list[threading.Event] = []
        self._armed: list[threading.Event] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, event: threading.Event) -> None:
        """Set ``event`` at the next change.

        Raises:
            WinError: what is behind the store cannot be read.
        """
        with self._lock:
            if self._armed:
                self._look()
            self._source.arm()
            if event not in self._registered:
                self._registered.append(event)
            if event not in self._armed:
                self._armed.append(event)
            self._start()

    def renew(self, event: threading.Event | None) -> None:
        """The store was read again: arm ``event``, or (``None``) all that were ever added."""
        for each in [event] if event is not None else list(self._registered):
            self.add(each)

    def cancel(self, event: threading.Event) -> None:
        """Do not set ``event`` any more; nothing happens when it was never added."""
        with self._lock:
            self._registered = [each for each in self._registered if each is not event]
            self._armed = [each for each in self._armed if each is not event]

    def close(self) -> None:
        """End; the thread is gone soon after."""
        self._stop.set()

    def _look(self) -> None:
        if self._source.has_moved():
            for event in self._armed:
                event.set()
            self._armed = []

    def _start(self) -> None:
        if self._thread is None and not self._stop.is_set():
            self._thread = threading.Thread(target=self._run, name="calais-store-watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            with self._lock:
                try:
                    self._look()
                except WinError:
                    self._armed = []  # what cannot be read does not change; the next call of the store says why
                if not self._armed:
                    self._thread = None
                    return
