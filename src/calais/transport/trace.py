"""Traces: record what goes over the wire without its secrets, read it back, and replay it in place of a card.

A trace is text, one JSON object a line. The first is ``{"trace": 1, "reader": …, "atr": hex, "protocol": 0 | 1}``,
each other one either a reset, ``{"reset": true}``, or an exchange:

* ``command``: hexadecimal; only the header (4 bytes) when ``command_hidden``, a number of bytes, follows it;
* ``response``: hexadecimal; only the status word when ``response_hidden`` data bytes came before it;
  or ``error``: the code (8 hexadecimal digits) with which the exchange failed;
* ``seconds``: how long it took.

What is not known to be harmless is hidden (``Redaction``), so a new command cannot leak by being forgotten.

Source: ISO/IEC 7816-4:2020 (instructions); SP 800-73-4 part 2, 3 (PIV commands).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TextIO

from calais.iso7816.apdu import CLA_CHAIN
from calais.transport.base import Exchange, Transport
from calais.win.codes import Code
from calais.win.errors import BadData, CardRemoved, SharingViolation, WinError

VERSION = 1
HEADER_BYTES = 4
LINE_MAX = 512 * 1024
SECONDS_MAX = 1e6
CLA_PROPRIETARY = 0x80
DEFAULT_TIMEOUT_S = 30.0

INS_GET_RESPONSE = 0xC0
INS_GET_DATA = 0xCB
INS_PUT_DATA = 0xDB

# Neither their data nor the answer is secret. 22 = MANAGE SECURITY ENVIRONMENT, 47 = GENERATE ASYMMETRIC KEY PAIR,
# 70 = MANAGE CHANNEL, A4 = SELECT; Yubico's: F6 = MOVE KEY, F7 = GET METADATA, F8 = GET SERIAL, F9 = ATTEST,
# FA = SET RETRIES, FB = RESET, FD = GET VERSION. By their absence hidden: 20, 24, 2C (PINs), 82, 87 (authentication,
# decryption, key agreement), D8, FE, FF (keys), and all unknown ones.
OPEN_INS = frozenset({0x22, 0x47, 0x70, 0xA4, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFD})

# Printed Information (may hold the management key), Pairing Code Reference Data Container.
SECRET_OBJECTS = frozenset({bytes.fromhex("5FC109"), bytes.fromhex("5FC123")})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a trace: an exchange, or a reset.

    ``command_hidden`` and ``response_hidden`` count the bytes that were left out: all after the header, and all
    before the status word; ``None`` = nothing was. ``error`` is the code of a failed exchange, whose ``response`` is
    empty.
    """

    command: bytes = field(default=b"", repr=False)
    response: bytes = field(default=b"", repr=False)
    seconds: float = 0.0
    command_hidden: int | None = None
    response_hidden: int | None = None
    error: int | None = None
    is_reset: bool = False

    def to_json(self) -> str:
        """The line, without its end."""
        if self.is_reset:
            return json.dumps({"reset": True})
        line: dict[str, object] = {"command": self.command.hex().upper()}
        if self.command_hidden is not None:
            line["command_hidden"] = self.command_hidden
        if self.error is not None:
            line["error"] = f"{self.error:08X}"
        else:
            line["response"] = self.response.hex().upper()
        if self.response_hidden is not None:
            line["response_hidden"] = self.response_hidden
        line["seconds"] = round(self.seconds, 6)
        return json.dumps(line)

    def explain_difference(self, command: bytes) -> str:
        """Why ``command`` is not the one recorded here, without its data; "" when it is."""
        if self.is_reset:
            return "the card was reset here"
        if self.command_hidden is None:
            wanted, length = command == self.command, len(self.command)
        else:
            wanted, length = command[:HEADER_BYTES] == self.command, HEADER_BYTES + self.command_hidden
        if wanted and len(command) == length:
            return ""
        return f"recorded is {_shape(self.command, length)}, sent was {_shape(command, len(command))}" + (
            _first_difference(self.command, command)
        )


def _shape(command: bytes, length: int) -> str:
    return f"{command[:HEADER_BYTES].hex(' ').upper()} ({length} bytes)"


def _first_difference(recorded: bytes, sent: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(recorded, sent, strict=False)) if a != b), None)
    return "" if at is None else f", different from byte {at} on"


class Redaction:
    """Decides, exchange by exchange, what may be written down. Remembers chains and answers in several pieces."""

    def __init__(self) -> None:
        self._object = b""  # begin of the data of a PUT DATA or GET DATA, gathered over its chain
        self._object_ins = 0
        self._hide_more = True  # whether a GET RESPONSE now would continue a hidden answer

    def entry(self, command: bytes, response: bytes, seconds: float, error: int | None = None) -> Entry:
        """The line for one exchange."""
        hide_command, hide_response = self._secrets(command)
        self._hide_more = hide_response
        self._forget_chain(command, response)
        shown, hidden = (
            (command[:HEADER_BYTES], max(0, len(command) - HEADER_BYTES)) if hide_command else (command, None)
        )
        hide_response = hide_response and error is None
        answer, answer_hidden = (response[-2:], max(0, len(response) - 2)) if hide_response else (response, None)
        return Entry(shown, answer, seconds, hidden, answer_hidden, error)

    def _secrets(self, command: bytes) -> tuple[bool, bool]:
        """Whether to hide the command's data, and the answer's."""
        if len(command) < HEADER_BYTES or command[0] & CLA_PROPRIETARY:
            return True, True
        ins = command[1]
        if ins == INS_GET_RESPONSE:
            return False, self._hide_more
        if ins in (INS_GET_DATA, INS_PUT_DATA):
            secret = self._is_secret_object(command)
            return secret, secret
        hide = ins not in OPEN_INS
        return hide, hide

    def _is_secret_object(self, command: bytes) -> bool:
        """Whether the object named in the data, or in that of the chain so far, is secret or cannot be told."""
        body = _body(command)
        chained = self._object if self._object_ins == command[1] else b""
        self._object, self._object_ins = (chained + body)[:64], command[1]
        name = _object_name(self._object)
        return not name or _is_secret(name) or _is_secret(_object_name(body))

    def _forget_chain(self, command: bytes, response: bytes) -> None:
        """A chain ends with its last piece, a refusal, or another command."""
        going_on = command[:1] and command[0] & CLA_CHAIN and response == b"\x90\x00"
        if not going_on or command[1:2] != bytes((self._object_ins,)):
            self._object, self._object_ins = b"", 0


def _is_secret(name: bytes) -> bool:
    return any(secret in name for secret in SECRET_OBJECTS)


def _body(command: bytes) -> bytes:
    """Command data and what follows it: the rest of the APDU after Lc, short or extended."""
    extended = command[4:5] == b"\0" and len(command) > 7
    return command[7:] if extended else command[5:]


def _object_name(data: bytes) -> bytes:
    """Value of the tag list 5C that begins ``data``; empty when it does not, or is not whole yet."""
    length = data[1] if len(data) > 1 else 0
    name = data[2 : 2 + length]
    return name if data[:1] == b"\x5c" and 0 < len(name) == length else b""


class Recorder:
    """Writes a trace. It can observe a ``Channel`` (``observers=(recorder,)``), or serve a ``RecordingTransport``.

    Args:
        stream: where the lines go, each flushed; the caller closes it.
        transport: the connection that is being recorded: reader, ATR and protocol stand in the first line.
    """

    def __init__(self, stream: TextIO, transport: Transport) -> None:
        self._stream = stream
        self._mutex = threading.Lock()
        self._redaction = Redaction()
        head = {"trace": VERSION, "reader": transport.reader, "atr": transport.atr.hex().upper()}
        self._write(json.dumps({**head, "protocol": transport.protocol}))

    def __call__(self, seen: Exchange) -> None:
        """Write one exchange down, without its secrets."""
        self.exchange(seen.command, seen.response, seen.seconds)

    def exchange(self, command: bytes, response: bytes, seconds: float, error: int | None = None) -> None:
        """The same; ``error`` is the code when there was no answer."""
        with self._mutex:
            self._write(self._redaction.entry(command, response, seconds, error).to_json())

    def reset(self) -> None:
        """Write down that the card was reset."""
        with self._mutex:
            self._redaction = Redaction()
            self._write(Entry(is_reset=True).to_json())

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class RecordingTransport:
    """``transport``, with all that happens written down, failures and resets too."""

    def __init__(self, transport: Transport, stream: TextIO) -> None:
        self._transport = transport
        self._recorder = Recorder(stream, transport)
        self._held = False

    @property
    def reader(self) -> str:
        """Name of the reader."""
        return self._transport.reader

    @property
    def atr(self) -> bytes:
        """Answer to reset."""
        return self._transport.atr

    @property
    def protocol(self) -> int:
        """0 for T=0, 1 for T=1."""
        return self._transport.protocol

    @property
    def epoch(self) -> int:
        """As of the recorded transport."""
        return self._transport.epoch

    def begin(self) -> None:
        """As of the recorded transport."""
        self._transport.begin()
        self._held = True

    def end(self, *, reset: bool = False) -> None:
        """As of the recorded transport."""
        if reset and self._held:
            self._recorder.reset()
        self._held = False
        self._transport.end(reset=reset)

    def transmit(self, command: bytes) -> bytes:
        """One exchange, written down.

        Raises:
            WinError: as of the recorded transport.
        """
        start = time.monotonic()
        try:
            answer = self._transport.transmit(command)
        except WinError as error:
            self._recorder.exchange(command, b"", time.monotonic() - start, error.code)
            raise
        self._recorder.exchange(command, answer, time.monotonic() - start)
        return answer

    def reset(self) -> None:
        """Reset the card."""
        self._transport.reset()
        self._recorder.reset()

    def close(self) -> None:
        """Disconnect; the stream stays open."""
        self._transport.close()


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole trace."""

    reader: str
    atr: bytes
    protocol: int
    entries: tuple[Entry, ...]


def parse(lines: Iterable[str]) -> Trace:
    """Read a trace.

    Raises:
        BadData: not a trace, or a line is damaged; ``index`` is the line, from 0.
    """
    head: tuple[str, bytes, int] | None = None
    entries: list[Entry] = []
    for number, line in enumerate(lines):
        record = _record(line, number)
        if head is None:
            head = _head(record, number)
        else:
            entries.append(_entry(record, number))
    if head is None:
        raise _damaged(0, "it is empty")
    return Trace(*head, tuple(entries))


def _damaged(number: int, what: str) -> BadData:
    return BadData(detail=f"line {number + 1} of the trace: {what}", index=number)


def _record(line: str, number: int) -> dict[str, object]:
    if len(line) > LINE_MAX:
        raise _damaged(number, "it is too long")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(number, "it is not JSON") from error
    if not isinstance(record, dict):
        raise _damaged(number, "it is not a JSON object")
    return record


def _head(record: Mapping[str, object], number: int) -> tuple[str, bytes, int]:
    reader, protocol = record.get("reader"), record.get("protocol")
    if record.get("trace") != VERSION or set(record) != {"trace", "reader", "atr", "protocol"}:
        raise _damaged(number, f"it does not begin a trace of version {VERSION}")
    if not isinstance(reader, str) or type(protocol) is not int or protocol not in (0, 1):
        raise _damaged(number, "reader or protocol is wrong")
    return reader, _hex(record, "atr", number), protocol


_EXCHANGE = frozenset({"command", "seconds"})
_OPTIONAL = frozenset({"command_hidden", "response_hidden"})


def _entry(record: Mapping[str, object], number: int) -> Entry:
    if record == {"reset": True}:
        return Entry(is_reset=True)
    failed = "error" in record
    if set(record) - _OPTIONAL != _EXCHANGE | {"error" if failed else "response"}:
        raise _damaged(number, "it is neither an exchange nor a reset")
    command, command_hidden = _hex(record, "command", number), _hidden(record, "command_hidden", number)
    if command_hidden is not None and len(command) > HEADER_BYTES:
        raise _damaged(number, "a hidden command shows more than its header")
    response, hidden = (b"", None) if failed else _response(record, number)
    error = int.from_bytes(_hex(record, "error", number), "big") if failed else None
    return Entry(command, response, _seconds(record, number), command_hidden, hidden, error)


def _response(record: Mapping[str, object], number: int) -> tuple[bytes, int | None]:
    response, hidden = _hex(record, "response", number), _hidden(record, "response_hidden", number)
    if hidden is not None and len(response) > 2:
        raise _damaged(number, "a hidden response shows more than its status word")
    return response, hidden


def _hex(record: Mapping[str, object], name: str, number: int) -> bytes:
    value = record.get(name)
    if isinstance(value, str) and value.isascii() and " " not in value:
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass
    raise _damaged(number, f"{name} is not hexadecimal")


def _hidden(record: Mapping[str, object], name: str, number: int) -> int | None:
    value = record.get(name)
    if name not in record:
        return None
    if type(value) is not int or not 0 <= value < LINE_MAX:
        raise _damaged(number, f"{name} is not a number of bytes")
    return value


def _seconds(record: Mapping[str, object], number: int) -> float:
    value = record["seconds"]
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < SECONDS_MAX:
        return float(value)
    raise _damaged(number, "seconds is not a time")


class ReplayTransport:
    """Plays a card by a trace: to the commands of the record, in their order, the answers of the record.

    A hidden command matches any with the same header and length; a hidden answer is as many zero bytes, and the
    status word. The ``epoch`` changes with each reset.
    """

    def __init__(self, trace: Trace, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.reader = trace.reader
        self.atr = trace.atr
        self.protocol = trace.protocol
        self.epoch = 0
        self._entries = trace.entries
        self._at = 0
        self._use = threading.Lock()
        self._held = False
        self._closed = False
        self._timeout_s = timeout_s

    @property
    def finished(self) -> bool:
        """Whether everything recorded has been replayed."""
        return self._at == len(self._entries)

    def begin(self) -> None:
        """Take the card.

        Raises:
            SharingViolation: another thread has it.
            CardRemoved: the transport is closed.
        """
        if self._closed:
            raise CardRemoved(detail="the replay is closed")
        if not self._use.acquire(timeout=self._timeout_s):
            raise SharingViolation(detail="another thread replays this trace")
        self._held = True

    def end(self, *, reset: bool = False) -> None:
        """Give the card back; nothing happens when it is not held."""
        if not self._held:
            return
        self._held = False
        if reset:
            self._pass_reset()
        self._use.release()

    def transmit(self, command: bytes) -> bytes:
        """The recorded answer to ``command``.

        Raises:
            BadData: the record has another command here, or has ended; ``index`` is the entry, from 0.
            WinError: the failure that was recorded; ``SCARD_E_NOT_TRANSACTED`` outside ``begin`` and ``end``.
        """
        if not self._held:
            raise WinError.of(Code.SCARD_E_NOT_TRANSACTED, "a command outside a card transaction")
        if self.finished:
            raise BadData(detail=f"the trace ends after {self._at} entries", index=self._at)
        entry = self._entries[self._at]
        if difference := entry.explain_difference(command):
            raise BadData(detail=f"entry {self._at + 1} of the trace: {difference}", index=self._at)
        self._at += 1
        if entry.error is not None:
            raise WinError.of(entry.error, "as recorded in the trace")
        return bytes(entry.response_hidden or 0) + entry.response

    def reset(self) -> None:
        """Pass a reset of the record, if there is one here; changes ``epoch``."""
        self._pass_reset()

    def _pass_reset(self) -> None:
        self.epoch += 1
        if not self.finished and self._entries[self._at].is_reset:
            self._at += 1

    def close(self) -> None:
        """The end."""
        self.end()
        self._closed = True
