"""Reader attributes (SCARD_ATTR_*): their types, and what virtual readers answer.

Source: PC/SC Workgroup specification part 3, 3.1 (attributes); winsmcrd.h (numbers).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from calais import __version__
from calais.win.errors import BadParameter, CardRemoved, Unsupported
from calais.win.flags import (
    SCARD_ATTR_ATR_STRING,
    SCARD_ATTR_CHANNEL_ID,
    SCARD_ATTR_CHARACTERISTICS,
    SCARD_ATTR_CURRENT_PROTOCOL_TYPE,
    SCARD_ATTR_DEFAULT_CLK,
    SCARD_ATTR_DEFAULT_DATA_RATE,
    SCARD_ATTR_DEVICE_FRIENDLY_NAME_A,
    SCARD_ATTR_DEVICE_FRIENDLY_NAME_W,
    SCARD_ATTR_DEVICE_IN_USE,
    SCARD_ATTR_DEVICE_SYSTEM_NAME_A,
    SCARD_ATTR_DEVICE_SYSTEM_NAME_W,
    SCARD_ATTR_DEVICE_UNIT,
    SCARD_ATTR_ICC_INTERFACE_STATUS,
    SCARD_ATTR_ICC_PRESENCE,
    SCARD_ATTR_ICC_TYPE_PER_ATR,
    SCARD_ATTR_MAX_CLK,
    SCARD_ATTR_MAX_DATA_RATE,
    SCARD_ATTR_MAX_IFSD,
    SCARD_ATTR_MAXINPUT,
    SCARD_ATTR_POWER_MGMT_SUPPORT,
    SCARD_ATTR_PROTOCOL_TYPES,
    SCARD_ATTR_SUPRESS_T1_IFS_REQUEST,
    SCARD_ATTR_USER_AUTH_INPUT_DEVICE,
    SCARD_ATTR_USER_TO_CARD_AUTH_DEVICE,
    SCARD_ATTR_VENDOR_IFD_SERIAL_NO,
    SCARD_ATTR_VENDOR_IFD_TYPE,
    SCARD_ATTR_VENDOR_IFD_VERSION,
    SCARD_ATTR_VENDOR_NAME,
    SCARD_T1_MAX_IFS,
    SCARD_PROTOCOL_Tx,
)

Value = str | int | bytes
ISO_7816_ASYNCHRONOUS = 1
CARD_ABSENT, CARD_PRESENT = 0, 2


@dataclass(slots=True)
class Friendly:
    """What may be changed of a virtual reader, and its own name."""

    reader: str
    name: str = ""
    suppress: int = 0

    def __post_init__(self) -> None:
        self.name = self.name or self.reader


@dataclass(frozen=True, slots=True)
class Seen:
    """What a virtual reader answers from: ``atr`` is ``None`` without a card."""

    friendly: Friendly
    atr: bytes | None
    protocol: int
    powered: bool = True

    def atr_string(self) -> bytes:
        """The ATR.

        Raises:
            CardRemoved: there is no card.
        """
        if self.atr is None:
            raise CardRemoved(detail=f"there is no card in {self.friendly.reader}")
        return self.atr


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row: the type of the value, and what a virtual reader answers, ``None`` = nothing."""

    kind: type[str | int | bytes]
    virtual: Callable[[Seen], Value] | None = None


def _unit(reader: str) -> int:
    """The number that the name of a reader ends with, else 0."""
    found = re.search(r"(\d{1,9})$", reader)
    return int(found[1]) if found else 0


def _version() -> int:
    """Our version as major << 24 | minor << 16 | build."""
    major, minor, build = ([int(part) for part in re.findall(r"\d+", __version__)] + [0, 0, 0])[:3]
    return (major & 0xFF) << 24 | (minor & 0xFF) << 16 | build & 0xFFFF


ATTRIBUTES: Mapping[int, Attribute] = {
    SCARD_ATTR_VENDOR_NAME: Attribute(str, lambda _: "Calais"),
    SCARD_ATTR_VENDOR_IFD_TYPE: Attribute(str, lambda _: "Virtual Reader"),
    SCARD_ATTR_VENDOR_IFD_VERSION: Attribute(int, lambda _: _version()),
    SCARD_ATTR_VENDOR_IFD_SERIAL_NO: Attribute(str, lambda seen: str(_unit(seen.friendly.reader))),
    SCARD_ATTR_CHANNEL_ID: Attribute(int),
    SCARD_ATTR_PROTOCOL_TYPES: Attribute(int, lambda _: SCARD_PROTOCOL_Tx),
    SCARD_ATTR_DEFAULT_CLK: Attribute(int),
    SCARD_ATTR_MAX_CLK: Attribute(int),
    SCARD_ATTR_DEFAULT_DATA_RATE: Attribute(int),
    SCARD_ATTR_MAX_DATA_RATE: Attribute(int),
    SCARD_ATTR_MAX_IFSD: Attribute(int, lambda _: SCARD_T1_MAX_IFS),
    SCARD_ATTR_POWER_MGMT_SUPPORT: Attribute(int),
    SCARD_ATTR_USER_TO_CARD_AUTH_DEVICE: Attribute(int),
    SCARD_ATTR_USER_AUTH_INPUT_DEVICE: Attribute(int),
    SCARD_ATTR_CHARACTERISTICS: Attribute(int, lambda _: 0),
    SCARD_ATTR_CURRENT_PROTOCOL_TYPE: Attribute(int, lambda seen: seen.protocol),
    SCARD_ATTR_ICC_PRESENCE: Attribute(int, lambda seen: CARD_ABSENT if seen.atr is None else CARD_PRESENT),
    SCARD_ATTR_ICC_INTERFACE_STATUS: Attribute(int, lambda seen: int(bool(seen.atr) and seen.powered)),
    SCARD_ATTR_ATR_STRING: Attribute(bytes, Seen.atr_string),
    SCARD_ATTR_ICC_TYPE_PER_ATR: Attribute(int, lambda _: ISO_7816_ASYNCHRONOUS),
    SCARD_ATTR_MAXINPUT: Attribute(int),
    SCARD_ATTR_DEVICE_UNIT: Attribute(int, lambda seen: _unit(seen.friendly.reader)),
    SCARD_ATTR_DEVICE_IN_USE: Attribute(int, lambda _: 1),  # by the handle that asks
    SCARD_ATTR_DEVICE_FRIENDLY_NAME_A: Attribute(str, lambda seen: seen.friendly.name),
    SCARD_ATTR_DEVICE_FRIENDLY_NAME_W: Attribute(str, lambda seen: seen.friendly.name),
    SCARD_ATTR_DEVICE_SYSTEM_NAME_A: Attribute(str, lambda seen: seen.friendly.reader),
    SCARD_ATTR_DEVICE_SYSTEM_NAME_W: Attribute(str, lambda seen: seen.friendly.reader),
    SCARD_ATTR_SUPRESS_T1_IFS_REQUEST: Attribute(int, lambda seen: seen.friendly.suppress),
}
# What may be changed, of virtual readers only.
SETTABLE = frozenset(
    {SCARD_ATTR_DEVICE_FRIENDLY_NAME_A, SCARD_ATTR_DEVICE_FRIENDLY_NAME_W, SCARD_ATTR_SUPRESS_T1_IFS_REQUEST}
)
_UNLISTED = Attribute(bytes)
# Text of these is UTF-16 where the reader's driver is one for Windows.
_WIDE = frozenset({SCARD_ATTR_DEVICE_FRIENDLY_NAME_W, SCARD_ATTR_DEVICE_SYSTEM_NAME_W})


def virtual_attribute(
    number: int, friendly: Friendly, atr: bytes | None, protocol: int, *, powered: bool = True
) -> Value:
    """What a virtual reader answers.

    Args:
        number: SCARD_ATTR_*.
        friendly: the reader.
        atr: of the card in it, ``None`` = there is none, ``b""`` = it does not answer.
        protocol: active SCARD_PROTOCOL_*.
        powered: whether the card has power.

    Raises:
        Unsupported: it has no such attribute.
        CardRemoved: the ATR of no card.
    """
    answer = ATTRIBUTES.get(number, _UNLISTED).virtual
    if answer is None:
        raise Unsupported(detail=f"{friendly.reader} has no attribute 0x{number:08X}")
    return answer(Seen(friendly, atr, protocol, powered))


def typed(number: int, value: Value) -> Value:
    """The value as callers get it; what a driver gives as bytes is a little-endian number or a text with a zero."""
    kind = ATTRIBUTES.get(number, _UNLISTED).kind
    if not isinstance(value, bytes) or kind is bytes:
        return value
    if kind is int:
        return int.from_bytes(value, "little")
    wide = number in _WIDE and len(value) > 1 and value[1:2] == b"\0"
    return value.decode("utf-16-le" if wide else "utf-8", errors="replace").rstrip("\0")


def checked(number: int, value: object) -> Value:
    """``value`` if it has the type of this attribute.

    Raises:
        BadParameter: another type.
    """
    kind = ATTRIBUTES.get(number, _UNLISTED).kind
    if isinstance(value, bool) or not isinstance(value, kind):
        raise BadParameter(detail=f"attribute 0x{number:08X} is {kind.__name__}")
    good: Value = value
    return good
