"""Time as an argument: what is asked of a clock, and the clock on the wall."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the rooms above ask of time."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""

    def now(self) -> datetime:
        """The date and time, in UTC."""

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait on ``condition``, which the caller holds, until notified or ``seconds`` have passed."""


class WallClock:
    """The machine's own clock."""

    def __init__(self) -> None:
        self.monotonic = time.monotonic

    def now(self) -> datetime:
        """The date and time, in UTC."""
        return datetime.now(UTC)

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait on ``condition``, which the caller holds, until notified or ``seconds`` have passed."""
        condition.wait(seconds)
