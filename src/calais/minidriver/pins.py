"""PINs: the wrapper they travel in, roles, PIN sets, and what a card tells about a PIN.

Source: Microsoft's smart card minidriver specification v7.07, 4.2 (authentication), and cardmod.h.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from calais.win.errors import BadParameter

MAX_PINS = 8
PIN_SET_NONE = 0x00
PIN_SET_ALL_ROLES = 0xFF


class Role(IntEnum):
    """PIN ids that every card knows; 3 to 7 are the card's own (minidriver specification, ``PIN_ID``)."""

    EVERYONE = 0
    USER = 1
    ADMIN = 2


def pin_set(*ids: int) -> int:
    """The PIN_SET that holds ``ids`` (cardmod.h, ``CREATE_PIN_SET``: bit ``1 << id``).

    So role 3 is 0000 1000. The specification's own example ("role 3 … translates to 0000 0100") is wrong: that is
    ROLE_ADMIN. Likewise its unblock mask 0x00000100 of ROLE_USER is meant to be read in base 2.

    Raises:
        BadParameter: an id outside 0…7.
    """
    result = PIN_SET_NONE
    for pin_id in ids:
        if not 0 <= pin_id < MAX_PINS:
            raise BadParameter(detail=f"a PIN id is 0 to {MAX_PINS - 1}, not {pin_id}")
        result |= 1 << pin_id
    return result


def is_in_pin_set(pins: int, pin_id: int) -> bool:
    """Whether ``pin_id`` is a member of the PIN_SET ``pins`` (cardmod.h, ``IS_PIN_SET``)."""
    return bool(pins & pin_set(pin_id))


def with_pin(pins: int, pin_id: int) -> int:
    """The PIN_SET ``pins`` and ``pin_id`` (cardmod.h, ``SET_PIN``)."""
    return pins | pin_set(pin_id)


def without_pin(pins: int, pin_id: int) -> int:
    """The PIN_SET ``pins`` without ``pin_id`` (cardmod.h, ``CLEAR_PIN``)."""
    return pins & ~pin_set(pin_id)


class Pin:
    """A PIN, PUK or session PIN on its way to the card: shows nothing, compares in constant time, cannot be pickled.

    Args:
        value: the characters as entered, without padding; ``str`` is taken as UTF-8.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    @property
    def value(self) -> bytes:
        """The bytes as entered; for the driver alone."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return "<Pin>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pin) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> NoReturn:
        raise TypeError("a PIN is not a dictionary key")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a PIN does not leave the process")


@dataclass(frozen=True, slots=True)
class PinStatus:
    """What the card says about one PIN; ``None`` = it does not say.

    ``verified``: authenticated now; ``attempts_left`` and ``attempts_max``: tries; ``blocked``: no try is left;
    ``is_default``: it is still the one the card was delivered with.
    """

    verified: bool
    attempts_left: int | None
    blocked: bool
    attempts_max: int | None = None
    is_default: bool | None = None
