"""What every virtual card does around its commands.

    bytes ── Command ── chaining ── handler ── commit ── response chaining ── bytes

A handler reads and stages ``Records`` and returns the answer's data or raises ``Refusal``. What it staged is committed
once, after it, or not at all. A command without Le gets what fits, as PC/SC hosts often leave Le out over T=1.

Source: ISO/IEC 7816-4:2020, 5.3 (chaining), 5.4 (class bytes), 5.6 (status words), 12.1.1 (historical bytes).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeVar

from calais.cards.base import Memory, MemoryFailure, PowerLoss
from calais.iso7816 import apdu, tlv
from calais.iso7816.apdu import CLA_CHAIN, Command
from calais.iso7816.sw import SW
from calais.win.errors import BadData

Random = Callable[[int], bytes]

# Historical bytes: compact TLV 73 (selection by full and partial AID, data coding, chaining and lengths), 56 (name)
HISTORICAL_HEAD = bytes.fromhex("8073C021")
HISTORICAL_NAME = b"\x56Calais"
CAPABILITIES_EXTENDED = 0xC0  # command chaining, extended lengths
CAPABILITIES_SHORT = 0x80

AID_ISSUER = bytes.fromhex("A000000151000000")  # GlobalPlatform issuer security domain
ISSUER_ANSWER = tlv.build(0x6F, tlv.build(0x84, AID_ISSUER))
AID_MIN = 5  # a registered application provider identifier, ISO 7816-4, 12.3.2

INS_GET_RESPONSE = 0xC0
CLA_INTERINDUSTRY = 0x00
CHAIN_MAX = 64 * 1024
OK = SW.OK.to_bytes(2, "big")


class Refusal(Exception):
    """The card answers ``sw`` and changes nothing; never leaves the applet."""

    def __init__(self, sw: int) -> None:
        super().__init__(f"{sw:04X}")
        self.sw = sw


class Records:
    """The records of a memory, with changes staged until ``commit``."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._committed: dict[str, bytes] = {}
        self.staged: dict[str, bytes | None] = {}
        self.reload()

    def reload(self) -> None:
        """Forget everything and read the memory.

        Raises:
            BadData: the memory is damaged.
        """
        self._committed = self._memory.read()
        self.staged = {}

    def get(self, name: str) -> bytes | None:
        """The record as this command sees it; ``None`` when there is none."""
        if name in self.staged:
            return self.staged[name]
        return self._committed.get(name)

    def put(self, name: str, value: bytes | None) -> None:
        """Stage ``value`` (``None`` deletes)."""
        self.staged[name] = value

    def names(self, prefix: str) -> list[str]:
        """Names of the committed records that begin with ``prefix``."""
        return [name for name in self._committed if name.startswith(prefix)]

    def commit(self) -> None:
        """Make the staged changes durable.

        Raises:
            MemoryFailure: nothing was written, and the staged changes are dropped.
            PowerLoss: the power went.
        """
        staged, self.staged = self.staged, {}
        self._memory.commit(staged)
        for name, value in staged.items():
            if value is None:
                self._committed.pop(name, None)
            else:
                self._committed[name] = value

    def rollback(self) -> None:
        """Drop the staged changes."""
        if self.staged:
            self.staged = {}


class State(Protocol):
    """What an applet keeps: records, and what it forgets."""

    records: Records

    @property
    def extended(self) -> bool:
        """Whether the card knows extended lengths."""

    def restart(self) -> None:
        """Warm reset: nothing is selected, verified or half finished."""

    def revoke(self) -> None:
        """Take the security status away; the application stays selected."""

    def reload(self) -> None:
        """Cold reset: a restart, and the memory is read again.

        Raises:
            BadData: the memory is damaged.
        """


StateT = TypeVar("StateT", bound=State)


@dataclass(slots=True)
class Chain:
    """A command whose data is still coming: its header without the chaining bit, and the data so far."""

    head: bytes
    data: bytearray = field(repr=False)


class Front(ABC, Generic[StateT]):
    """An applet but for its commands: ``run`` is one command, complete, to its answer's data.

    ``chainable``: instructions whose data may come in pieces. ``classes``: class bytes, without the chaining bit.
    """

    chainable: ClassVar[frozenset[int]] = frozenset()
    classes: ClassVar[frozenset[int]] = frozenset({CLA_INTERINDUSTRY})

    def __init__(self, state: StateT) -> None:
        self.state = state
        self._powered = True
        self._chain: Chain | None = None
        self._pending = b""

    @abstractmethod
    def run(self, command: Command) -> bytes:
        """Do one command; stage what it changes.

        Raises:
            Refusal, BadData: it is not done, and nothing is staged.
        """

    def interrupted(self, command: Command) -> None:
        """Take note of an exchange that is no complete command: a piece of a chain, or GET RESPONSE."""

    @property
    def atr(self) -> bytes:
        """Answer to reset: T=1, with the card's capabilities in the historical bytes."""
        return build_atr(extended=self.state.extended)

    def reset(self) -> None:
        """Warm reset: nothing is selected, verified or pending."""
        self._chain, self._pending = None, b""
        self.state.restart()
        self.state.records.rollback()

    def power_cycle(self) -> None:
        """Cold reset: the same, and the memory is read again.

        Raises:
            BadData: the memory is damaged.
        """
        self._chain, self._pending = None, b""
        self.state.reload()
        self._powered = True

    def process(self, raw: bytes) -> bytes:
        """Answer one command APDU; whatever it is, at least two bytes come back.

        Raises:
            PowerLoss: the memory says that the power went, now or since the last power-up.
        """
        if not self._powered:
            raise PowerLoss(detail="the card has no power")
        try:
            return self._answer(raw)
        except Refusal as refusal:
            sw = refusal.sw
        except BadData:
            sw = SW.INCORRECT_DATA
        except MemoryFailure:
            # Nothing was written, so nothing may look as if it was.
            self.state.revoke()
            sw = SW.MEMORY_FAILURE
        except PowerLoss:
            self._powered = False
            raise
        self.state.records.rollback()
        return sw.to_bytes(2, "big")

    def _answer(self, raw: bytes) -> bytes:
        command = self._parse(raw)
        if command.ins == INS_GET_RESPONSE:
            return self._get_response(command)
        self._pending = b""
        if command.cla & CLA_CHAIN:
            return self._collect(command)
        if self._chain is not None:
            command = self._completed(command, self._chain)
        data = self.run(command)
        if self.state.records.staged:
            self.state.records.commit()
        return self._first_part(data, command.le or (apdu.EXTENDED_LE_MAX if _is_extended(raw) else apdu.SHORT_LE_MAX))

    def _parse(self, raw: bytes) -> Command:
        try:
            command = Command.decode(raw)
        except BadData as error:
            raise Refusal(SW.WRONG_LENGTH) from error
        if command.cla & ~CLA_CHAIN not in self.classes:
            raise Refusal(_refused_class(command.cla))
        if not self.state.extended and _is_extended(raw):
            raise Refusal(SW.WRONG_LENGTH)
        return command

    def _collect(self, command: Command) -> bytes:
        """Keep a piece of a chained command."""
        if command.ins not in self.chainable:
            self._chain = None
            raise Refusal(SW.CHAINING_NOT_SUPPORTED)
        head = _head(command)
        if self._chain is None or self._chain.head != head:
            self._chain = Chain(head, bytearray())
        self.interrupted(command)
        if len(self._chain.data) + len(command.data) > CHAIN_MAX:
            self._chain = None
            raise Refusal(SW.NO_MEMORY)
        self._chain.data += command.data
        return OK

    def _completed(self, command: Command, chain: Chain) -> Command:
        """``command`` with the pieces before it; pieces of another command are dropped (ISO 7816-4, 5.3.3)."""
        self._chain = None
        if chain.head != _head(command):
            return command
        data = bytes(chain.data) + command.data
        return Command(command.cla, command.ins, command.p1, command.p2, data, command.le)

    def _get_response(self, command: Command) -> bytes:
        self._chain = None
        self.interrupted(command)
        if command.p1 or command.p2 or command.cla:
            raise Refusal(SW.INCORRECT_P1P2)
        if command.data or not self._pending:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        return self._first_part(self._pending, command.le or apdu.SHORT_LE_MAX)

    def _first_part(self, data: bytes, le: int) -> bytes:
        """At most ``le`` bytes of ``data``; the rest waits for GET RESPONSE (ISO 7816-4, 5.3.4)."""
        if len(data) <= le:
            self._pending = b""
            return data + OK
        rest = self._pending = data[le:]
        more = len(rest) if len(rest) < apdu.SHORT_LE_MAX else 0
        return data[:le] + (SW.MORE_DATA | more).to_bytes(2, "big")


def _head(command: Command) -> bytes:
    return bytes((command.cla & ~CLA_CHAIN, command.ins, command.p1, command.p2))


def _is_extended(raw: bytes) -> bool:
    return len(raw) > 6 and raw[4] == 0


def _refused_class(cla: int) -> int:
    """Why a class byte is refused: proprietary, secure messaging, or a logical channel (ISO 7816-4, 5.4.1)."""
    if cla & 0xE0:
        return SW.CLA_NOT_SUPPORTED
    return SW.SECURE_MESSAGING_NOT_SUPPORTED if cla & 0x0C else SW.CHANNEL_NOT_SUPPORTED


def application_named(name: bytes, *aids: bytes) -> bytes:
    """The one of ``aids`` that ``name`` is, or is the beginning of; at least the provider's five bytes.

    Raises:
        Refusal: none is.
    """
    found = next((aid for aid in aids if len(name) >= AID_MIN and aid.startswith(name)), None)
    if found is None:
        raise Refusal(SW.NOT_FOUND)
    return found


def build_atr(*, extended: bool) -> bytes:
    """The answer to reset: direct convention, T=1 only, TCK; historical bytes end with the name of the project."""
    capabilities = bytes((CAPABILITIES_EXTENDED if extended else CAPABILITIES_SHORT,))
    historical = HISTORICAL_HEAD + capabilities + HISTORICAL_NAME
    body = bytes((0x80 | len(historical), 0x01)) + historical
    check = 0
    for byte in body:
        check ^= byte
    return b"\x3b" + body + bytes((check,))
