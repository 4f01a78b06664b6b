"""A very small card: one P-256 key with a certificate behind one PIN. The example of docs/writing-a-driver.md drives it.

Commands: SELECT F0 'TIN'; GET DATA 0001 (card id, 16 bytes), 0002 (certificate); VERIFY P2 = 01 (empty = status,
P1 = FF ends the authentication); 80 2A digest = sign, r and s.
"""

from __future__ import annotations

import re
import types
from pathlib import Path

from certs import make
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from calais.cards.base import VirtualCard

AID = b"\xf0TIN"
TRIES = 3
PAGE = Path(__file__).resolve().parents[2] / "docs" / "writing-a-driver.md"


class TinApplet:
    """The card side."""

    atr = bytes.fromhex("3B830154494ED1")

    def __init__(self, pin=b"1234"):
        self.pin, self.tries = pin, TRIES
        self.key = ec.derive_private_key(0x71, ec.SECP256R1())
        self.certificate = make("Tin", key=self.key)
        self.power_cycle()

    def reset(self):
        self.selected = self.verified = False

    power_cycle = reset

    def process(self, apdu):
        ins, p1, p2 = apdu[1:4]
        data = apdu[5 : 5 + apdu[4]] if len(apdu) > 5 else b""
        if ins == 0xA4:
            self.selected = data == AID
            return b"\x90\x00" if self.selected else b"\x6a\x82"
        if not self.selected:
            return b"\x6d\x00"
        return {0xCA: self.get, 0xC0: self.more, 0x20: self.verify, 0x2A: self.sign}.get(ins, self.unknown)(
            p1, p2, data
        )

    def unknown(self, p1, p2, data):
        return b"\x6d\x00"

    def get(self, p1, p2, data):
        self.rest = {1: b"tin of sixteen b", 2: self.certificate}.get(p2, b"")
        return self.more(p1, p2, data) if self.rest else b"\x6a\x88"

    def more(self, p1, p2, data):
        piece, self.rest = self.rest[:256], self.rest[256:]
        return piece + (b"\x61" + bytes([min(len(self.rest), 255)]) if self.rest else b"\x90\x00")

    def verify(self, p1, p2, data):
        if p1 == 0xFF:
            self.verified = False
        elif data and self.tries:
            self.verified = data == self.pin
            self.tries = TRIES if self.verified else self.tries - 1
        if self.verified or p1 == 0xFF:
            return b"\x90\x00"
        if data and not self.tries and data == self.pin:
            return b"\x69\x83"
        return b"\x63" + bytes([0xC0 + self.tries]) if self.tries or data else b"\x69\x83"

    def sign(self, p1, p2, data):
        if not self.verified:
            return b"\x69\x82"
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(Prehashed(hashes.SHA256()))))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x90\x00"


def tin_card(pin=b"1234"):
    return VirtualCard(TinApplet(pin))


def example():
    """The module that the page shows."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    module = types.ModuleType("tin")
    exec(compile("\n".join(blocks[:-1]), str(PAGE), "exec"), module.__dict__)  # the last block is a test of it
    return module
