"""A connection that is listened to: every exchange counted, told without its secrets, and disturbed on request.

``Tap`` stands between channel and transport. Its ``log`` is shared by all connections of one trial, so that what two
of them did appears in the order in which it happened.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from calais.transport.base import Transport
from calais.transport.forwarding import ForwardingTransport
from calais.transport.trace import Entry, Redaction
from calais.win.codes import name_of
from calais.win.errors import WinError

LINES_KEPT = 60
DATA_SHOWN = 48  # bytes
Fault = Callable[[int, bytes], None]
Twist = Callable[[int, bytes], bytes]


@dataclass
class Log:
    """What went over the wire in one trial: ``exchanges``, bytes each way, and the last lines of it, redacted."""

    exchanges: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    dropped: int = 0
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))

    def write(self, line: str) -> None:
        """Add a line; the oldest goes when there are too many."""
        self.dropped += len(self.lines) == LINES_KEPT
        self.lines.append(line)

    def told(self) -> list[str]:
        """The lines, and how many are not shown."""
        return ([f"({self.dropped} earlier lines left out)"] if self.dropped else []) + list(self.lines)


class Tap(ForwardingTransport):
    """A transport that is listened to (see ``Transport``).

    Args:
        inner: the connection.
        log: where it is written down.

    ``before``: called with the number of the exchange in this connection (from 1) and the command, before it goes
    out; ``after``: likewise, once the card has answered; both may raise a ``WinError`` in place of the exchange.
    ``twist``: gets number and answer and returns another one. ``delay_s``: waited before each exchange.
    """

    def __init__(self, inner: Transport, log: Log) -> None:
        super().__init__(inner)
        self.log = log
        self.before: Fault | None = None
        self.after: Fault | None = None
        self.twist: Twist | None = None
        self.delay_s = 0.0
        self.count = 0
        self._redaction = Redaction()

    def end(self, *, reset: bool = False) -> None:
        """Give the card back."""
        if reset:
            self._was_reset()
        self.inner.end(reset=reset)

    def reset(self) -> None:
        """Reset the card."""
        self._was_reset()
        self.inner.reset()

    def _was_reset(self) -> None:
        self._redaction = Redaction()
        self.log.write("reset")

    def transmit(self, command: bytes) -> bytes:
        """One exchange, disturbed as was asked."""
        self.count += 1
        if self.delay_s:
            time.sleep(self.delay_s)
        start = time.monotonic()
        try:
            answer = self._exchange(command)
        except WinError as error:
            self._tell(self._redaction.entry(command, b"", time.monotonic() - start, error.code))
            raise
        self.log.exchanges += 1
        self.log.bytes_out += len(command)
        self.log.bytes_in += len(answer)
        self._tell(self._redaction.entry(command, answer, time.monotonic() - start))
        return answer

    def _exchange(self, command: bytes) -> bytes:
        if self.before is not None:
            self.before(self.count, command)
        answer = self.inner.transmit(command)
        if self.after is not None:
            self.after(self.count, command)
        return answer if self.twist is None else self.twist(self.count, answer)

    def _tell(self, entry: Entry) -> None:
        self.log.write(line_of(entry))


def line_of(entry: Entry) -> str:
    """One exchange as a person reads it; what is secret appears as its length."""
    sent = _shown(entry.command) + _hidden(entry.command_hidden)
    if entry.error is not None:
        return f"{sent} -> {name_of(entry.error)}"
    data, status = entry.response[:-2], entry.response[-2:].hex().upper()
    came = (_shown(data) + " ") if data else ""
    return f"{sent} -> {came}{_hidden(entry.response_hidden).lstrip()}{' ' if entry.response_hidden else ''}{status}"


def _shown(data: bytes) -> str:
    if len(data) <= DATA_SHOWN:
        return data.hex(" ").upper()
    return f"{data[:DATA_SHOWN].hex(' ').upper()} … ({len(data)} bytes)"


def _hidden(size: int | None) -> str:
    return f" [{size} bytes hidden]" if size else ""
