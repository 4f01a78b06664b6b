"""Something has changed: how those who wait for readers learn that it is worth looking again."""

from __future__ import annotations

import threading
import time


class Bulletin:
    """A number that rises with every change, and a wait for the next one."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._number = 0

    @property
    def number(self) -> int:
        """How many changes there have been; read it before looking."""
        return self._number

    def announce(self) -> None:
        """Something has changed."""
        with self._condition:
            self._number += 1
            self._condition.notify_all()

    def wait(self, seen: int, deadline: float) -> None:
        """Wait until there are more than ``seen`` changes, or ``time.monotonic()`` has reached ``deadline``."""
        with self._condition:
            while self._number == seen and (left := deadline - time.monotonic()) > 0:
                self._condition.wait(min(left, threading.TIMEOUT_MAX))
