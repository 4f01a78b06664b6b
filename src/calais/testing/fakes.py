"""Fakes for tests: a prompt that knows the answer, a clock that stands still, a transport that fails on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from calais.minidriver.pins import Pin
from calais.provider.prompt import PinRequest
from calais.transport.base import Transport
from calais.transport.forwarding import ForwardingTransport
from calais.win.errors import WinError


class FixedPrompt:
    """Answers every prompt with the same PIN, and counts.

    It stands for a person who is sure of their PIN: it agrees to the last try unless told otherwise.

    Args:
        pin: the answer; ``None`` = gives up each time.
        confirms: what it answers when the last try of a PIN is left; may be changed later.

    ``count``: how often it was asked for a PIN; ``requests``: what it was asked; ``confirmations``: the questions about
    the last try, which do not count.
    """

    def __init__(self, pin: str | bytes | None, *, confirms: bool = True) -> None:
        self._pin = None if pin is None else Pin(pin)
        self.confirms = confirms
        self.requests: list[PinRequest] = []
        self.confirmations: list[PinRequest] = []

    @property
    def count(self) -> int:
        """How often it was asked."""
        return len(self.requests)

    def ask(self, request: PinRequest) -> Pin | None:
        """The PIN (see ``Prompt``)."""
        self.requests.append(request)
        return self._pin

    def confirm(self, request: PinRequest) -> bool:
        """Whether the last try shall be used (see ``Confirming``)."""
        self.confirmations.append(request)
        return self.confirms


class FakeClock:
    """A clock that moves when it is told to (see ``calais.resource.clock.Clock``).

    Args:
        start: the date and time at first, UTC.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._passed = 0.0
        self._waiting: list[threading.Condition] = []

    def monotonic(self) -> float:
        """Seconds since ``start``."""
        return self._passed

    def now(self) -> datetime:
        """The date and time, in UTC."""
        return self._start + timedelta(seconds=self._passed)

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait on ``condition``, which the caller holds, until notified, or until ``advance`` moves the clock."""
        if seconds <= 0:
            return
        self._waiting.append(condition)
        condition.wait()
        self._waiting.remove(condition)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass; whoever waits looks at the clock again."""
        self._passed += seconds
        for condition in list(self._waiting):
            with condition:
                condition.notify_all()


class FaultyTransport(ForwardingTransport):
    """A transport with faults in it.

    Args:
        inner: the transport that works.
        faults: what happens at each exchange, in order: ``None`` = it works; an error is raised instead of the
            exchange; bytes are returned instead of the card's answer; a callable gets the card's answer and returns
            another. After the last one everything works.
    """

    def __init__(
        self, inner: Transport, faults: Sequence[WinError | bytes | Callable[[bytes], bytes] | None] = ()
    ) -> None:
        super().__init__(inner)
        self.faults = list(faults)

    def transmit(self, command: bytes) -> bytes:
        """One exchange, or the next fault."""
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, WinError):
            raise fault
        if isinstance(fault, bytes):
            return fault
        answer = self.inner.transmit(command)
        return answer if fault is None else fault(answer)
