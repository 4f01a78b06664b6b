"""Card and container properties as a table: name, who answers, which flags, whether it can be set.

Source: Microsoft's smart card minidriver specification v7.07, 4.6 (``CardGetProperty``, ``CardGetContainerProperty``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NoReturn

from calais.minidriver.pins import MAX_PINS
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, Unsupported

if TYPE_CHECKING:
    from calais.minidriver.api import ContainerEntry, Minidriver

KEY_SPECS = range(1, 9)
CACHE_MODE_SESSION_ONLY = 2
PIN_STRENGTH_PLAINTEXT = 1
KEY_IMPORT_PLAIN_TEXT = 1
CIPHER_OPERATION, ASYMMETRIC_OPERATION = 1, 2
PADDING_NONE, PADDING_PKCS1, PADDING_PSS, PADDING_OAEP = 1, 2, 4, 8
KEY_EXCHANGE = 1


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


@dataclass(frozen=True, slots=True)
class Property:
    """One row: ``read`` answers (``None`` = write-only), ``flags`` says what ``dwFlags`` is, ``accepts`` checks a new
    value (``None`` = never settable).
    """

    read: Callable[[Minidriver, int], Any] | None
    flags: Flags = Flags.ZERO
    accepts: Callable[[object], bool] | None = None


def _strength(card: Minidriver, pin_id: int) -> int:
    card.pin_info(pin_id)
    return PIN_STRENGTH_PLAINTEXT


def _algorithms(card: Minidriver, operation: int) -> list[str]:
    return list(card.asymmetric_algorithms) if operation == ASYMMETRIC_OPERATION else []


def _window(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: object) -> bool:
    return value is None or isinstance(value, str)


PROPERTIES: dict[str, Property] = {
    "Free Space": Property(lambda card, _: card.free_space()),
    "Capabilities": Property(lambda card, _: card.capabilities()),
    "Key Sizes": Property(lambda card, spec: card.key_sizes(spec or KEY_EXCHANGE), Flags.KEY_SPEC),
    "Read Only Mode": Property(lambda card, _: card.read_only),
    "Cache Mode": Property(lambda card, _: card.cache_mode),
    "Supports Windows x.509 Enrollment": Property(lambda card, _: not card.read_only),
    "Card Identifier": Property(lambda card, _: card.identity().card_id),
    "Card Serial Number": Property(lambda card, _: card.identity().serial.encode()),
    "PIN Information": Property(lambda card, pin_id: card.pin_info(pin_id), Flags.PIN_ID),
    "PIN List": Property(lambda card, _: card.pin_list()),
    "Authenticated State": Property(lambda card, _: card.authenticated()),
    "PIN Strength Verify": Property(_strength, Flags.PIN_ID),
    "PIN Strength Change": Property(_strength, Flags.PIN_ID),
    "PIN Strength Unblock": Property(_strength, Flags.PIN_ID),
    "Parent Window": Property(None, accepts=_window),
    "PIN Context String": Property(None, accepts=_text),
    "Key Import Support": Property(lambda card, _: 0 if card.read_only else KEY_IMPORT_PLAIN_TEXT),
    "Algorithms": Property(_algorithms, Flags.OPERATION),
    "Padding Schemes": Property(lambda card, _: card.padding_schemes, Flags.ANY_OPERATION),
    "Chaining Modes": Property(lambda _, __: []),
}


def get(card: Minidriver, name: str, flags: int) -> Any:  # noqa: ANN401 - a type per property
    """The body of ``Minidriver.get_property``."""
    row = PROPERTIES.get(name)
    if row is None or row.read is None:
        raise BadParameter(detail=f"{name!r} is not a card property that can be read")
    _check_flags(row, name, flags)
    return row.read(card, flags)


def put(card: Minidriver, name: str, value: object, flags: int) -> None:
    """The body of ``Minidriver.set_property``: the two write-only properties of every card."""
    row = PROPERTIES.get(name)
    if row is None or row.accepts is None:
        raise Unsupported(detail=f"card property {name!r} cannot be set")
    _check_flags(row, name, flags)
    if not row.accepts(value):
        raise BadParameter(detail=f"not a value for card property {name!r}")
    card.settings[name] = value


def _check_flags(row: Property, name: str, flags: int) -> None:
    if flags not in _ALLOWED[row.flags]:
        raise BadParameter(detail=f"flags 0x{flags:X} do not go with card property {name!r}")


CONTAINER_PROPERTIES: dict[str, Callable[[Minidriver, ContainerEntry], Any]] = {
    "Container Info": lambda card, entry: card.container_info(entry.index),
    "PIN Identifier": lambda _, entry: entry.pin_id,
    "Associated ECDH Key": lambda card, _: _only_agreement_key(card),
}


def _only_agreement_key(card: Minidriver) -> int:
    found = [
        entry.index
        for entry in card.containers()
        if entry.key_spec == KEY_EXCHANGE and entry.algorithm not in ("", "RSA")
    ]
    if len(found) != 1:
        raise NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"{len(found)} containers of the card have a key for agreement")
    return found[0]


def get_of_container(card: Minidriver, index: int, name: str) -> Any:  # noqa: ANN401 - a type per property
    """The body of ``Minidriver.get_container_property``."""
    read = CONTAINER_PROPERTIES.get(name)
    if read is None:
        raise BadParameter(detail=f"{name!r} is not a container property")
    return read(card, card.container(index))


def put_of_container(card: Minidriver, index: int, name: str, value: object) -> None:
    """The body of ``Minidriver.set_container_property``: only the PIN that the container has anyway."""
    if name != "PIN Identifier":
        _not_settable(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MAX_PINS:
        raise BadParameter(detail="not a PIN id")
    if value != card.container(index).pin_id:
        _not_settable(name)


def _not_settable(name: str) -> NoReturn:
    raise Unsupported(detail=f"container property {name!r} cannot be changed on this card")
