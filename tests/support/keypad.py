"""A reader with a keypad, PC/SC part 10, and the person who types there."""

from __future__ import annotations

import struct

from calais.resource.slots import Slot
from calais.transport.keypad import FEATURE_VERIFY_PIN_DIRECT, GET_FEATURE_REQUEST
from calais.transport.loopback import LoopbackTransport
from calais.win.codes import Code
from calais.win.errors import WinError

VERIFY_CODE = 0x42330006
HEADER = struct.Struct("<BBBBBHBBHB3sL")


class Keypad:
    """What the reader's firmware does; ``typed``: what the person types each time, or a status word of the reader."""

    def __init__(self, *typed):
        self.typed = list(typed)
        self.structures = []

    def complete(self, data):
        """The command with the PIN in it, from a PIN_VERIFY structure; or the reader's own status word."""
        fields = HEADER.unpack_from(data)
        self.structures.append(fields)
        command = bytearray(data[HEADER.size :])
        assert fields[-1] == len(command)
        pin = self.typed.pop(0)
        if isinstance(pin, int):
            return pin
        shortest, longest = fields[5] >> 8, fields[5] & 0xFF
        if not shortest <= len(pin) <= longest:
            return 0x6403
        if width := fields[3] & 0x0F:
            assert len(command) == 5 + width
            command[5 : 5 + len(pin)] = pin
        else:
            command[4:5] = bytes((len(pin),)) + pin
        return bytes(command)


class KeypadTransport(LoopbackTransport):
    """A connection through that reader."""

    def __init__(self, card, reader, keypad):
        super().__init__(card, reader)
        self.keypad = keypad

    def control(self, code, data):
        if code == GET_FEATURE_REQUEST:
            assert data == b""
            return struct.pack(">BBL", FEATURE_VERIFY_PIN_DIRECT, 4, VERIFY_CODE)
        if code != VERIFY_CODE:
            raise WinError.of(Code.SCARD_E_UNSUPPORTED_FEATURE)
        command = self.keypad.complete(data)
        return command.to_bytes(2, "big") if isinstance(command, int) else self.transmit(command)


class KeypadReader(Slot):
    """A source of one reader, with a keypad."""

    def __init__(self, card, keypad, name="Keypad Reader"):
        super().__init__(name)
        self.keypad = keypad
        self.insert(card)

    def ports(self):
        return [self]

    def connect(self):
        return KeypadTransport(self.card, self.name, self.keypad)
