"""Records of winscard.h."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, NamedTuple

from calais.win.errors import BadData, BadParameter
from calais.win.records import pack, unpack

ATRMASK_BYTES = 36


@dataclass(frozen=True, slots=True)
class AtrMask:
    """SCARD_ATRMASK: a card with ATR ``a`` matches when ``a & mask == atr``, byte by byte; both of 2…36 bytes.

    Record (76 bytes): u32 length, atr padded to 36 bytes, mask padded to 36 bytes.
    """

    LAYOUT: ClassVar[Struct] = Struct(f"<I{ATRMASK_BYTES}s{ATRMASK_BYTES}s")

    atr: bytes
    mask: bytes

    def matches(self, atr: bytes) -> bool:
        """Whether ``atr`` has the length and, under the mask, the bytes of this one."""
        if not len(atr) == len(self.atr) == len(self.mask):
            return False
        return all(a & m == b & m for a, m, b in zip(atr, self.mask, self.atr, strict=True))

    def to_bytes(self) -> bytes:
        """The record.

        Raises:
            BadParameter: ATR and mask differ in length, or are longer than 36 bytes.
        """
        if not len(self.atr) == len(self.mask) <= ATRMASK_BYTES:
            raise BadParameter(detail=f"ATR of {len(self.atr)} and mask of {len(self.mask)} bytes")
        return pack(self.LAYOUT, "SCARD_ATRMASK", len(self.atr), self.atr, self.mask)

    @classmethod
    def from_bytes(cls, data: bytes) -> AtrMask:
        """Parse the record.

        Raises:
            BadData: wrong length, of the record or inside.
        """
        length, atr, mask = unpack(cls.LAYOUT, "SCARD_ATRMASK", data)
        if length > ATRMASK_BYTES:
            raise BadData(detail=f"ATR length {length} in SCARD_ATRMASK", index=0)
        return cls(atr[:length], mask[:length])


@dataclass(frozen=True, slots=True)
class ReaderState:
    """SCARD_READERSTATE: what the caller believes of a reader, and what is so (SCARD_STATE_* bits; high word counter)."""

    reader: str
    user_data: object = None
    current_state: int = 0
    event_state: int = 0
    atr: bytes = b""


class CardStatus(NamedTuple):
    """What SCardStatus reports: names of the reader, SCARD_* state, SCARD_PROTOCOL_*, ATR."""

    reader_names: list[str]
    state: int
    protocol: int
    atr: bytes
