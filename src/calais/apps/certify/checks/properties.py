"""Card properties: types, flags, who may set them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from calais.apps.certify.rules import Chapter
from calais.apps.certify.trial import INVALID, Trial
from calais.minidriver.api import Minidriver
from calais.minidriver.pins import MAX_PINS, Role
from calais.win.codes import Code
from calais.win.errors import BadParameter, Unsupported
from calais.win.structs import CardCapabilities, CardFreeSpaceInfo, CardKeySizes, PinInfo

CHAPTER = Chapter("properties", "Card properties")
NOT_SETTABLE = (Code.SCARD_E_UNSUPPORTED_FEATURE, Code.SCARD_W_SECURITY_VIOLATION)
IMPORT_KINDS = 0x0F
PADDINGS = 0x0F


@dataclass(frozen=True, slots=True)
class _Row:
    """A property: what its value is, a flag to read it with, and one that it does not take."""

    is_value: Callable[[Any], bool]
    flags: int = 0
    wrong_flags: tuple[int, ...] = (1, 0x80000000)


def _pin_set(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= 0xFF


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


PROPERTIES: dict[str, _Row] = {
    "Free Space": _Row(lambda value: isinstance(value, CardFreeSpaceInfo)),
    "Capabilities": _Row(lambda value: isinstance(value, CardCapabilities)),
    "Key Sizes": _Row(lambda value: isinstance(value, CardKeySizes), 1, (9, 0x80000000)),
    "Read Only Mode": _Row(lambda value: isinstance(value, bool)),
    "Cache Mode": _Row(lambda value: value in (1, 2, 3)),
    "Supports Windows x.509 Enrollment": _Row(lambda value: isinstance(value, bool)),
    "Card Identifier": _Row(lambda value: isinstance(value, bytes) and len(value) == 16),
    "Card Serial Number": _Row(lambda value: isinstance(value, bytes) and len(value) > 0),
    "PIN Information": _Row(lambda value: isinstance(value, PinInfo), Role.USER, (0, MAX_PINS, 0x80000000)),
    "PIN List": _Row(_pin_set),
    "Authenticated State": _Row(_pin_set),
    "PIN Strength Verify": _Row(lambda value: value in (1, 2, 3), Role.USER, (0, MAX_PINS)),
    "PIN Strength Change": _Row(lambda value: value == 1, Role.USER, (0, MAX_PINS)),
    "PIN Strength Unblock": _Row(lambda value: value == 1, Role.USER, (0, MAX_PINS)),
    "Key Import Support": _Row(lambda value: isinstance(value, int) and not value & ~IMPORT_KINDS),
    "Algorithms": _Row(_strings, 2, (0, 3)),
    "Padding Schemes": _Row(lambda value: isinstance(value, int) and not value & ~PADDINGS, 0, (3,)),
    "Chaining Modes": _Row(_strings),
}
WRITE_ONLY = ("Parent Window", "PIN Context String")
NEVER_SET = tuple(name for name in PROPERTIES if name != "Card Identifier")


@CHAPTER.check("types", "Every property of version 7 is there and has its type.", "minidriver 7.07, CardGetProperty")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for name, row in PROPERTIES.items():
            value = driver.get_property(name, row.flags)
            trial.holds(row.is_value(value), f"{name} of its type and range", value)


@CHAPTER.check(
    "flags_refused",
    "Flags that a property does not take: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardGetProperty",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for name, row in PROPERTIES.items():
            for flags in row.wrong_flags:
                _refuses_flags(trial, driver, name, flags)


def _refuses_flags(trial: Trial, driver: Minidriver, name: str, flags: int) -> None:
    what = f"{name} with flags 0x{flags:X}"
    trial.refused(what, Code.SCARD_E_INVALID_PARAMETER, driver.get_property, name, flags)


@CHAPTER.check(
    "unknown_name",
    "An unknown name: SCARD_E_INVALID_PARAMETER to read, SCARD_E_UNSUPPORTED_FEATURE to set; names are exact.",
    "minidriver 7.07, CardGetProperty",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for name in ("no such property", "free space", "Free Space ", ""):
            trial.refused_unsent(f"reading {name!r}", INVALID, driver.get_property, name)
            trial.refused(f"setting {name!r}", Unsupported.default_code, driver.set_property, name, 1)


@CHAPTER.check(
    "write_only",
    "Parent Window and PIN Context String are set and cannot be read: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CP_PARENT_WINDOW",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for name in WRITE_ONLY:
            trial.refused_unsent(f"reading {name}", INVALID, driver.get_property, name)
        driver.set_property("Parent Window", 0)
        driver.set_property("Parent Window", 0x1234)
        driver.set_property("PIN Context String", "Sign the letter")
        driver.set_property("PIN Context String", None)


@CHAPTER.check(
    "settable_values",
    "Parent Window takes no negative number and no text, PIN Context String no number, neither any flags.",
    "minidriver 7.07, CardSetProperty",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        wrong: tuple[tuple[str, object, int], ...] = (
            ("Parent Window", -1, 0),
            ("Parent Window", "window", 0),
            ("Parent Window", 0, 1),
            ("PIN Context String", 7, 0),
            ("PIN Context String", "text", 1),
        )
        for name, value, flags in wrong:
            trial.refused_unsent(f"{name} = {value!r}, flags {flags}", INVALID, driver.set_property, name, value, flags)


@CHAPTER.check(
    "read_only_not_set",
    "What is told by the card cannot be set: SCARD_E_UNSUPPORTED_FEATURE or SCARD_W_SECURITY_VIOLATION.",
    "minidriver 7.07, CardSetProperty",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for name in NEVER_SET:
            value = driver.get_property(name, PROPERTIES[name].flags)
            for flags in {0, PROPERTIES[name].flags}:
                trial.refused(f"setting {name}", NOT_SETTABLE, driver.set_property, name, value, flags)


@CHAPTER.check(
    "pin_list",
    "The PIN set has bit 1 << id for each PIN that exists, always for ROLE_USER, never for ROLE_EVERYONE.",
    "cardmod.h, CREATE_PIN_SET (the guidelines' own example is off by one)",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        pins = driver.get_property("PIN List")
        trial.equal("pin_list", driver.pin_list(), pins)
        there = 0
        for pin_id in range(1, MAX_PINS):
            try:
                driver.pin_info(pin_id)
            except BadParameter:
                continue
            there |= 1 << pin_id
        trial.equal("PIN set", f"0x{pins:02X}", f"0x{there:02X}")
        trial.holds(pins & 0b10 and not pins & 1, "bit 1 (ROLE_USER) set, bit 0 clear", f"0x{pins:02X}")


@CHAPTER.check(
    "pin_info",
    "PIN_INFO: permissions name existing PINs, a PIN may change itself, none unblocks itself; the user's is primary.",
    "minidriver 7.07, PIN_INFO",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        pins = driver.pin_list()
        for pin_id in (pin_id for pin_id in range(1, MAX_PINS) if pins >> pin_id & 1):
            info = driver.get_property("PIN Information", pin_id)
            trial.equal(f"PIN Information {pin_id}", info, driver.pin_info(pin_id))
            masks = (info.change_permission | info.unblock_permission) & ~1
            trial.holds(not masks & ~pins, f"permissions of PIN {pin_id} within 0x{pins:02X}", f"0x{masks:02X}")
            trial.holds(not info.unblock_permission >> pin_id & 1, f"PIN {pin_id} does not unblock itself", info)
            trial.holds(0 <= info.pin_type <= 3 and 0 <= info.pin_purpose <= 6, f"type and purpose of {pin_id}", info)
            trial.holds(0 <= info.cache_policy.policy <= 3, f"cache policy of PIN {pin_id}", info.cache_policy)
        user = driver.pin_info(Role.USER)
        trial.equal("purpose of ROLE_USER (PrimaryCardPin)", user.pin_purpose, 5)


@CHAPTER.check(
    "serial_steady", "The serial number is the same on every connection.", "minidriver 7.07, CP_CARD_SERIAL_NO"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        first = driver.get_property("Card Serial Number")
    with trial.driver() as driver:
        trial.equal("Card Serial Number", driver.get_property("Card Serial Number"), first)


@CHAPTER.check("key_sizes_default", "Key Sizes with flags 0 are those of RSA.", "minidriver 7.07, CP_CARD_KEYSIZES")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        trial.equal("Key Sizes 0", driver.get_property("Key Sizes", 0), driver.get_property("Key Sizes", 1))
