"""Open families: enumerations to which drivers, users and later versions of Windows add members."""

from __future__ import annotations

from enum import IntEnum


class OpenEnum(IntEnum):
    """An ``IntEnum`` that accepts every unsigned 32-bit number; one without a name is called ``0x…``."""

    @classmethod
    def _missing_(cls, value: object) -> OpenEnum | None:
        if not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
            return None
        member = int.__new__(cls, value)
        member._name_ = f"0x{value:X}"
        member._value_ = value
        return member
