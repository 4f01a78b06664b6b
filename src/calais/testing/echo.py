"""``EchoCard``: the smallest card there is, to try transports with."""

from __future__ import annotations

import threading

from calais.iso7816.apdu import Command

# Instructions whose data a trace shows (see ``calais.transport.trace``), and one whose data it hides.
INS_ECHO = 0xA4  # answers its data
INS_FILL = 0xF8  # answers P1 P2 (16 bits) times the byte A5
INS_IS_VERIFIED = 0xF7  # 9000, or 6982 when nothing was verified since the last reset
INS_VERIFY = 0x20  # every PIN is right

OK = b"\x90\x00"
NOT_SATISFIED = b"\x69\x82"
UNKNOWN_INS = b"\x6d\x00"


class EchoCard:
    """A card that echoes, and remembers only whether a PIN was presented since the last reset.

    ``atr`` says T=1, extended lengths and chaining. Each exchange waits for ``go``, which a test may clear to hold
    the card busy.
    """

    atr = bytes.fromhex("3B850180730001C0B6")

    def __init__(self) -> None:
        self.exchanges_total = 0
        self.resets = 0
        self.verified = False
        self.go = threading.Event()
        self.go.set()

    def process(self, apdu: bytes) -> bytes:
        """Answer one command, short or extended."""
        self.go.wait()
        self.exchanges_total += 1
        ins = apdu[1]
        if ins == INS_ECHO:
            return Command.decode(apdu).data + OK
        if ins == INS_FILL:
            return b"\xa5" * int.from_bytes(apdu[2:4], "big") + OK
        if ins == INS_VERIFY:
            self.verified = True
            return OK
        if ins == INS_IS_VERIFIED:
            return OK if self.verified else NOT_SATISFIED
        return UNKNOWN_INS

    def reset(self) -> None:
        """Warm reset."""
        self.resets += 1
        self.verified = False

    def power_cycle(self) -> None:
        """Cold reset; the same for this card."""
        self.reset()
