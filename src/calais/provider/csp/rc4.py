"""RC4 with keys of any length, and a state that can be copied: the cryptographic library offers neither.

Source: the algorithm as published in RFC 6229 (test vectors) and IETF draft-kaukonen-cipher-arcfour-03.
"""

from __future__ import annotations

from typing import Self


class Rc4:
    """The state of one stream.

    Args:
        key: 1 to 256 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._box = list(range(256))
        self._at = self._other = 0
        other = 0
        for at in range(256):
            other = (other + self._box[at] + key[at % len(key)]) & 0xFF
            self._box[at], self._box[other] = self._box[other], self._box[at]

    def __repr__(self) -> str:
        return "<Rc4>"

    def update(self, data: bytes) -> bytes:
        """``data`` encrypted or decrypted."""
        box, at, other = self._box, self._at, self._other
        out = bytearray(len(data))
        for index, byte in enumerate(data):
            at = (at + 1) & 0xFF
            value = box[at]
            other = (other + value) & 0xFF
            box[at], box[other] = box[other], value
            out[index] = byte ^ box[(box[at] + value) & 0xFF]
        self._at, self._other = at, other
        return bytes(out)

    def copy(self) -> Self:
        """The same state once more."""
        made = object.__new__(type(self))
        made._box, made._at, made._other = list(self._box), self._at, self._other
        return made
