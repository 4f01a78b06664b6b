"""Answer to reset. Source: ISO/IEC 7816-3:2006, 8.2; historical bytes ISO/IEC 7816-4:2020, 12.1.1."""

from __future__ import annotations

from dataclasses import dataclass

from calais.win.errors import BadData

ATR_MAX = 33
TAG_CAPABILITIES = 7
CAPABILITY_CHAINING = 0x80
CAPABILITY_EXTENDED = 0x40


@dataclass(frozen=True, slots=True)
class Atr:
    """What a host reads from an ATR: offered ``protocols`` (0, 1 …), ``historical`` bytes, and the two capabilities."""

    protocols: frozenset[int]
    historical: bytes

    @classmethod
    def decode(cls, raw: bytes) -> Atr:
        """Parse an ATR of 2…33 bytes.

        Raises:
            BadData: wrong initial byte, cut off, or the check byte is wrong.
        """
        if not 2 <= len(raw) <= ATR_MAX or raw[0] not in (0x3B, 0x3F):
            raise BadData(detail=f"not an ATR: {len(raw)} bytes, starting {raw[:1].hex() or 'with nothing'}", index=0)
        protocols, at = _interface_bytes(raw)
        count = raw[1] & 0xF
        end = at + count
        check = 0 if protocols <= {0} else 1
        if len(raw) != end + check:
            raise BadData(detail=f"ATR of {len(raw)} bytes should have {end + check}", index=min(len(raw), end))
        if check and _xor(raw[1:]):
            raise BadData(detail="check byte of the ATR is wrong", index=len(raw) - 1)
        return cls(frozenset(protocols), raw[at:end])

    @property
    def capabilities(self) -> bytes:
        """The card capabilities (compact TLV tag 7, up to 3 bytes), ``b""`` when the historical bytes have none."""
        if not self.historical or self.historical[0] not in (0x00, 0x80):
            return b""
        # Category 00 ends with a status indicator of three bytes outside the TLVs (12.1.1.11).
        objects = self.historical[1:-3] if self.historical[0] == 0x00 else self.historical[1:]
        at = 0
        while at < len(objects):
            tag, size = divmod(objects[at], 16)
            if tag == TAG_CAPABILITIES:
                return objects[at + 1 : at + 1 + size]
            at += 1 + size
        return b""

    @property
    def extended_length(self) -> bool:
        """Whether the card says that it understands extended Lc and Le fields."""
        third = self.capabilities[2:3]
        return bool(third and third[0] & CAPABILITY_EXTENDED)


def _interface_bytes(raw: bytes) -> tuple[set[int], int]:
    protocols: set[int] = set()
    at, indicator = 2, raw[1] >> 4
    while indicator:
        at += (indicator & 0x7).bit_count()
        if not indicator & 0x8:
            break
        if at >= len(raw):
            raise BadData(detail="interface bytes of the ATR are cut off", index=len(raw))
        protocols.add(raw[at] & 0xF)
        indicator = raw[at] >> 4
        at += 1
    return protocols or {0}, at


def _xor(data: bytes) -> int:
    result = 0
    for byte in data:
        result ^= byte
    return result
