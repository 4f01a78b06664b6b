"""Properties of cards, containers and session keys as tables: name, type, flags, who answers, who may set it.

Source: Microsoft's smart card minidriver specification v7.07, 4.6 (``CardGetProperty``, ``CardGetContainerProperty``)
and 4.8 (``CardGetKeyProperty``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NoReturn

from calais.minidriver.pins import MAX_PINS, is_in_pin_set
from calais.minidriver.surface import NEWEST
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, Unsupported, WinError
from calais.win.structs import CardCapabilities, CardFreeSpaceInfo, CardKeySizes, ContainerInfo, PinInfo

if TYPE_CHECKING:
    from calais.minidriver.api import ContainerEntry, Minidriver

KEY_SPECS = range(1, 9)
CACHE_MODE_SESSION_ONLY = 2
PIN_STRENGTH_PLAINTEXT, PIN_STRENGTH_SESSION_PIN = 1, 2
KEY_IMPORT_PLAIN_TEXT = 1
CIPHER_OPERATION, ASYMMETRIC_OPERATION = 1, 2
PADDING_NONE, PADDING_PKCS1, PADDING_PSS, PADDING_OAEP = 1, 2, 4, 8
KEY_EXCHANGE = 1
CARD_ID_SIZE = 16
PROPERTY_VERSION = 6  # of the interface that has the oldest properties


class Flags(Enum):
    """What ``dwFlags`` means for a property."""

    ZERO = auto()
    PIN_ID = auto()
    KEY_SPEC = auto()
    OPERATION = auto()
    ANY_OPERATION = auto()


_ALLOWED: dict[Flags, range] = {
    Flags.ZERO: range(1),
    Flags.PIN_ID: range(1, MAX_PINS),
    Flags.KEY_SPEC: range(9),  # 0 is taken as RSA
    Flags.OPERATION: range(1, 3),
    Flags.ANY_OPERATION: range(3),
}
# Versions that a caller may ask a structure in; what is not here has none.
_VERSIONS: dict[type, tuple[int, ...]] = {
    PinInfo: (6,),
    CardFreeSpaceInfo: (0, 1),
    CardCapabilities: (0, 1),
    CardKeySizes: (0, 1),
    ContainerInfo: (0, 1),
}


class Settable(Enum):
    """Who may set a property.

    NEVER: nobody. CARD: a driver that names it in ``settable_properties``, on a card that is not read-only.
    ALWAYS: anybody, on any card; it is kept on the host and cannot be read.
    """

    NEVER = auto()
    CARD = auto()
    ALWAYS = auto()


@dataclass(frozen=True, slots=True)
class Property:
    """One row: constant of cardmod.h, Python type, who answers (``None`` = write-only), what ``dwFlags`` is, who may set
    it and what is accepted then, and the first version of the interface that has it.
    """

    constant: str
    kind: type
    read: Callable[[Minidriver, int], Any] | None
    flags: Flags = Flags.ZERO
    settable: Settable = Settable.NEVER
    accepts: Callable[[object], bool] | None = None
    since: int = PROPERTY_VERSION


def _strength(card: Minidriver, pin_id: int) -> int:
    card.pin_info(pin_id)
    return PIN_STRENGTH_PLAINTEXT


def _strength_of_verifying(card: Minidriver, pin_id: int) -> int:
    session = PIN_STRENGTH_SESSION_PIN if is_in_pin_set(card.session_pins, pin_id) else 0
    return _strength(card, pin_id) | session


def _algorithms(card: Minidriver, operation: int) -> list[str]:
    return list(card.asymmetric_algorithms if operation == ASYMMETRIC_OPERATION else card.cipher_algorithms)


def _number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _cache_mode(value: object) -> bool:
    return _number(value) and value in (1, 2, 3)


def _card_id(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == CARD_ID_SIZE


def _data(value: object) -> bool:
    return isinstance(value, bytes) and bool(value)


def _pin_info(value: object) -> bool:
    return isinstance(value, PinInfo)


def _text(value: object) -> bool:
    return value is None or isinstance(value, str)


_CARD, _ALWAYS = Settable.CARD, Settable.ALWAYS
_PIN_ID, _V7 = Flags.PIN_ID, 7
PROPERTIES: Mapping[str, Property] = {
    "Free Space": Property("CP_CARD_FREE_SPACE", CardFreeSpaceInfo, lambda card, _: card.free_space()),
    "Capabilities": Property("CP_CARD_CAPABILITIES", CardCapabilities, lambda card, _: card.capabilities()),
    "Key Sizes": Property(
        "CP_CARD_KEYSIZES", CardKeySizes, lambda card, spec: card.key_sizes(spec or KEY_EXCHANGE), Flags.KEY_SPEC
    ),
    "Read Only Mode": Property(
        "CP_CARD_READ_ONLY", bool, lambda card, _: card.read_only, settable=_CARD, accepts=_flag
    ),
    "Cache Mode": Property(
        "CP_CARD_CACHE_MODE", int, lambda card, _: card.cache_mode, settable=_CARD, accepts=_cache_mode
    ),
    "Supports Windows x.509 Enrollment": Property(
        "CP_SUPPORTS_WIN_X509_ENROLLMENT", bool, lambda card, _: not card.read_only, settable=_CARD, accepts=_flag
    ),
    "Card Identifier": Property(
        "CP_CARD_GUID", bytes, lambda card, _: card.identity().card_id, settable=_CARD, accepts=_card_id
    ),
    "Card Serial Number": Property(
        "CP_CARD_SERIAL_NO", bytes, lambda card, _: card.identity().serial.encode(), settable=_CARD, accepts=_data
    ),
    "PIN Information": Property(
        "CP_CARD_PIN_INFO", PinInfo, lambda card, pin_id: card.pin_info(pin_id), _PIN_ID, _CARD, _pin_info
    ),
    "PIN List": Property("CP_CARD_LIST_PINS", int, lambda card, _: card.pin_list()),
    "Authenticated State": Property("CP_CARD_AUTHENTICATED_STATE", int, lambda card, _: card.authenticated()),
    "PIN Strength Verify": Property("CP_CARD_PIN_STRENGTH_VERIFY", int, _strength_of_verifying, _PIN_ID),
    "PIN Strength Change": Property("CP_CARD_PIN_STRENGTH_CHANGE", int, _strength, _PIN_ID),
    "PIN Strength Unblock": Property("CP_CARD_PIN_STRENGTH_UNBLOCK", int, _strength, _PIN_ID),
    "Parent Window": Property("CP_PARENT_WINDOW", int, None, settable=_ALWAYS, accepts=_number),
    "PIN Context String": Property("CP_PIN_CONTEXT_STRING", str, None, settable=_ALWAYS, accepts=_text),
    "Key Import Support": Property("CP_KEY_IMPORT_SUPPORT", int, lambda card, _: card.key_import, since=_V7),
    "Algorithms": Property("CP_ENUM_ALGORITHMS", list, _algorithms, Flags.OPERATION, since=_V7),
    "Padding Schemes": Property(
        "CP_PADDING_SCHEMES", int, lambda card, _: card.padding_schemes, Flags.ANY_OPERATION, since=_V7
    ),
    "Chaining Modes": Property("CP_CHAINING_MODES", list, lambda card, _: list(card.chaining_modes), since=_V7),
}


def check_read(name: str, flags: object, version: object = None, interface: int = NEWEST) -> Property:
    """The row of a card property that is to be read.

    Args:
        name: exact.
        flags: ``dwFlags``.
        version: of the structure, ``None`` = the current one.
        interface: agreed version of the context.

    Raises:
        BadParameter: unknown or write-only, younger than the context, or flags that it does not take.
        WinError: ERROR_REVISION_MISMATCH.
    """
    row = PROPERTIES.get(name)
    if row is None or row.read is None or row.since > interface:
        raise BadParameter(detail=f"{name!r} is not a card property that can be read")
    _check_flags(row, name, flags)
    _check_version(row.kind, name, version)
    return row


def _check_version(kind: type, name: str, version: object) -> None:
    if version is not None and version not in _VERSIONS.get(kind, (version,)):
        raise WinError(Code.ERROR_REVISION_MISMATCH, f"property {name!r} has no version {version}")


def get(card: Minidriver, name: str, flags: int) -> Any:  # noqa: ANN401 - a type per property
    """The body of ``Minidriver.get_property``."""
    read = check_read(name, flags).read
    return read(card, flags) if read else None


def check_write(card: Minidriver, name: str, value: object, flags: object) -> Property:
    """The row of a card property that ``card`` lets ``value`` be written to; no exchange.

    Raises:
        Unsupported: unknown, never settable, or not on this card.
        BadParameter: wrong type, value or flags.
    """
    row = PROPERTIES.get(name)
    if row is None or row.accepts is None or not _is_settable(card, row, name):
        raise Unsupported(detail=f"card property {name!r} cannot be set")
    if not isinstance(flags, int) or flags != 0:
        raise BadParameter(detail=f"setting card property {name!r} takes no flags")
    if not row.accepts(value):
        raise BadParameter(detail=f"not a value for card property {name!r}")
    return row


def _is_settable(card: Minidriver, row: Property, name: str) -> bool:
    if row.settable is Settable.CARD:
        return name in card.settable_properties and not card.read_only
    return row.settable is Settable.ALWAYS


def put(card: Minidriver, name: str, value: object, flags: int) -> None:
    """The body of ``Minidriver.set_property``."""
    row = check_write(card, name, value, flags)
    if row.settable is Settable.ALWAYS:
        card.settings[name] = value
    else:
        card.store_property(name, value)


def _check_flags(row: Property, name: str, flags: object) -> None:
    if not isinstance(flags, int) or isinstance(flags, bool) or flags not in _ALLOWED[row.flags]:
        raise BadParameter(detail=f"these flags do not go with card property {name!r}")


# --- containers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContainerProperty:
    """One row: constant, Python type, who answers, what is accepted when it is set (``None`` = never settable), and
    the first version of the interface that has it.
    """

    constant: str
    kind: type
    read: Callable[[Minidriver, ContainerEntry], Any]
    accepts: Callable[[object], bool] | None = None
    since: int = PROPERTY_VERSION


def _only_agreement_key(card: Minidriver) -> int:
    found = [
        entry.index
        for entry in card.containers()
        if entry.key_spec == KEY_EXCHANGE and entry.algorithm not in ("", "RSA")
    ]
    if len(found) != 1:
        raise NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"{len(found)} containers of the card have a key for agreement")
    return found[0]


def _pin_id(value: object) -> bool:
    return _number(value) and value in range(MAX_PINS)


def _index(value: object) -> bool:
    return _number(value) and value in range(256)


CONTAINER_PROPERTIES: Mapping[str, ContainerProperty] = {
    "Container Info": ContainerProperty(
        "CCP_CONTAINER_INFO", ContainerInfo, lambda card, entry: card.container_info(entry.index)
    ),
    "PIN Identifier": ContainerProperty("CCP_PIN_IDENTIFIER", int, lambda _, entry: entry.pin_id, _pin_id),
    "Associated ECDH Key": ContainerProperty(
        "CCP_ASSOCIATED_ECDH_KEY", int, lambda card, _: _only_agreement_key(card), _index, _V7
    ),
}


def check_read_of_container(name: str, version: object = None, interface: int = NEWEST) -> ContainerProperty:
    """The row of a container property that is to be read; arguments and errors as in ``check_read``."""
    row = CONTAINER_PROPERTIES.get(name)
    if row is None or row.since > interface:
        raise BadParameter(detail=f"{name!r} is not a container property")
    _check_version(row.kind, name, version)
    return row


def check_write_of_container(name: str, value: object, interface: int = NEWEST) -> ContainerProperty:
    """The row of a container property that ``value`` can be written to.

    Raises:
        Unsupported: unknown, younger than the context, or never settable.
        BadParameter: wrong type or value.
    """
    row = CONTAINER_PROPERTIES.get(name)
    if row is None or row.accepts is None or row.since > interface:
        _not_settable(name)
    if not row.accepts(value):
        raise BadParameter(detail=f"not a value for container property {name!r}")
    return row


def get_of_container(card: Minidriver, index: int, name: str) -> Any:  # noqa: ANN401 - a type per property
    """The body of ``Minidriver.get_container_property``."""
    return check_read_of_container(name).read(card, card.container(index))


def put_of_container(card: Minidriver, index: int, name: str, value: object) -> None:
    """The body of ``Minidriver.set_container_property``: only the PIN that the container has anyway."""
    check_write_of_container(name, value)
    if name != "PIN Identifier" or value != card.container(index).pin_id:
        _not_settable(name)


def _not_settable(name: str) -> NoReturn:
    raise Unsupported(detail=f"container property {name!r} cannot be changed on this card")


# --- session keys ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyProperty:
    """One row: constant, Python type, and what is accepted when it is set (``None`` = never settable)."""

    constant: str
    kind: type
    accepts: Callable[[object], bool] | None = None


CHAINING_MODE_CBC = "ChainingModeCBC"
KEY_PROPERTIES: Mapping[str, KeyProperty] = {
    "ChainingMode": KeyProperty("CKP_CHAINING_MODE", str, lambda value: value == CHAINING_MODE_CBC),
    "IV": KeyProperty(
        "CKP_INITIALIZATION_VECTOR", bytes, lambda value: isinstance(value, bytes) and len(value) in (8, 16)
    ),
    "BlockLength": KeyProperty("CKP_BLOCK_LENGTH", int),
}


def check_write_of_key(name: str, value: object) -> None:
    """Make sure that ``value`` can be written to property ``name`` of a session key.

    Raises:
        BadParameter: unknown, not settable, wrong type or length.
    """
    row = KEY_PROPERTIES.get(name)
    if row is None or row.accepts is None or not row.accepts(value):
        raise BadParameter(detail=f"not a value for key property {name!r}, or it cannot be set")
