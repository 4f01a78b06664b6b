"""Command and response APDUs. Source: ISO/IEC 7816-4:2020, clauses 5.2 (cases), 5.3 (chaining), 5.4 (bytes)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from calais.win.errors import BadData, BadParameter

CLA_CHAIN = 0x10
SHORT_DATA_MAX = 255
SHORT_LE_MAX = 256
EXTENDED_MAX = 65535
EXTENDED_LE_MAX = 65536


class Command(NamedTuple):
    """One command APDU.

    ``data`` is the command data field (0…65535 bytes); ``le`` the number of response bytes expected,
    ``None`` = none, 256 = "all that fits a short answer", 65536 = the same for an extended one.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None

    def __repr__(self) -> str:
        """Header and lengths only: the data may be a PIN."""
        head = bytes((self.cla, self.ins, self.p1, self.p2)).hex(" ").upper()
        return f"<Command {head} lc={len(self.data)} le={self.le}>"

    def encode(self, *, extended: bool = False) -> bytes:
        """The bytes on the wire; ``extended`` allows (and, where a length needs it, uses) 3-byte lengths.

        Raises:
            BadParameter: a length does not fit the form, or a header byte is none.
        """
        self.check(extended=extended)
        head = bytes((self.cla, self.ins, self.p1, self.p2))
        wide = len(self.data) > SHORT_DATA_MAX or (self.le or 0) > SHORT_LE_MAX
        return head + (self._extended_body() if wide else self._short_body())

    def check(self, *, extended: bool) -> None:
        """Raise the ``BadParameter`` that ``encode`` would."""
        self.check_frame(extended=extended)
        if len(self.data) > (EXTENDED_MAX if extended else SHORT_DATA_MAX):
            raise BadParameter(detail=f"{len(self.data)} bytes of command data do not fit one APDU")

    def check_frame(self, *, extended: bool) -> None:
        """Raise the ``BadParameter`` that ``encode`` would for anything but the length of the data."""
        if (self.cla | self.ins | self.p1 | self.p2) & ~0xFF:
            raise BadParameter(detail="a header byte of the command is not a byte")
        if self.le is not None and not 0 < self.le <= (EXTENDED_LE_MAX if extended else SHORT_LE_MAX):
            raise BadParameter(detail=f"expected length {self.le} does not fit one APDU")

    def _short_body(self) -> bytes:
        lc = bytes((len(self.data),)) + self.data if self.data else b""
        return lc + (b"" if self.le is None else bytes((self.le & 0xFF,)))

    def _extended_body(self) -> bytes:
        lc = b"\0" + len(self.data).to_bytes(2, "big") + self.data if self.data else b""
        if self.le is None:
            return lc
        prefix = b"" if self.data else b"\0"
        return lc + prefix + (self.le & 0xFFFF).to_bytes(2, "big")

    @classmethod
    def decode(cls, raw: bytes) -> Command:
        """Parse one command APDU, short or extended.

        Raises:
            BadData: too short, or the lengths do not add up.
        """
        if len(raw) < 4:
            raise BadData(detail=f"a command APDU has at least 4 bytes, this one {len(raw)}", index=len(raw))
        head, body = raw[:4], raw[4:]
        data, le = _decode_body(body)
        return cls(head[0], head[1], head[2], head[3], data, le)


def _decode_body(body: bytes) -> tuple[bytes, int | None]:
    if not body:
        return b"", None
    if len(body) == 1:
        return b"", body[0] or SHORT_LE_MAX
    if body[0] == 0 and len(body) >= 3:
        return _decode_extended(body)
    return _split(body[1:], body[0], le_size=1)


def _decode_extended(body: bytes) -> tuple[bytes, int | None]:
    length = int.from_bytes(body[1:3], "big")
    if len(body) == 3:
        return b"", length or EXTENDED_LE_MAX
    return _split(body[3:], length, le_size=2)


def _split(rest: bytes, lc: int, *, le_size: int) -> tuple[bytes, int | None]:
    data, tail = rest[:lc], rest[lc:]
    if lc == 0 or len(data) < lc or len(tail) not in (0, le_size):
        raise BadData(detail="the lengths of the command APDU do not add up", index=4)
    return data, (int.from_bytes(tail, "big") or 1 << 8 * le_size) if tail else None


class Response(NamedTuple):
    """One response APDU: ``data`` and the status word ``sw`` (16 bits)."""

    data: bytes
    sw: int

    @classmethod
    def decode(cls, raw: bytes) -> Response:
        """Parse a response APDU.

        Raises:
            BadData: fewer than the two status bytes.
        """
        if len(raw) < 2:
            raise BadData(detail=f"a response APDU has at least 2 bytes, this one {len(raw)}", index=len(raw))
        return cls(raw[:-2], int.from_bytes(raw[-2:], "big"))

    def encode(self) -> bytes:
        """Data followed by the status word."""
        return self.data + self.sw.to_bytes(2, "big")

    @property
    def ok(self) -> bool:
        """Whether the status word is 9000."""
        return self.sw == 0x9000

    @property
    def sw1(self) -> int:
        """High byte of the status word."""
        return self.sw >> 8

    @property
    def sw2(self) -> int:
        """Low byte of the status word."""
        return self.sw & 0xFF


def chain(command: Command, limit: int = SHORT_DATA_MAX) -> Iterator[Command]:
    """Split ``command`` into a chain of commands with at most ``limit`` data bytes each (ISO 7816-4, 5.3.3)."""
    if len(command.data) <= limit:
        yield command
        return
    pieces = [command.data[i : i + limit] for i in range(0, len(command.data), limit)]
    for piece in pieces[:-1]:
        yield command._replace(cla=command.cla | CLA_CHAIN, data=piece, le=None)
    yield command._replace(data=pieces[-1])
