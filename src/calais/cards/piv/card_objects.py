"""GET DATA and PUT DATA of the virtual PIV card. Source: SP 800-73-4 part 1, tables 2 and 3; part 2, 3.1.2 and 3.3.1."""

from __future__ import annotations

from calais.cards.front import Refusal
from calais.cards.piv import spec
from calais.cards.piv.spec import Access
from calais.cards.piv.state import CardState
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW
from calais.iso7816.tlv import Tlv

OBJECT_MAX = 32 * 1024  # bytes; the largest object of a real card is a facial image of about 12 KB
BARE_TAGS = frozenset(tag for tag, item in spec.OBJECTS.items() if item.bare)
PIN_TAGS = frozenset(tag for tag, item in spec.OBJECTS.items() if item.read is Access.PIN)


def is_known(tag: int) -> bool:
    """Whether the card has a place for this object: PIV's own, or Yubico's private range."""
    return tag in spec.OBJECTS or spec.TAG_PRIVATE_FIRST <= tag <= spec.TAG_PRIVATE_LAST


def get_data(state: CardState, command: Command) -> bytes:
    """GET DATA: tag list 5C with one tag in, the object in 53 out; Discovery and BIT group under their own tag."""
    _check_header(command)
    tag = _tag(tlv.parse_one(command.data, spec.TAG_TAG_LIST))
    if tag in PIN_TAGS and not state.pin_satisfied():
        raise Refusal(SW.SECURITY_STATUS_NOT_SATISFIED)
    value = state.object(tag)
    if value is None:
        raise Refusal(SW.NOT_FOUND)
    return tlv.build(tag if tag in BARE_TAGS else spec.TAG_DATA, value)


def put_data(state: CardState, command: Command) -> bytes:
    """PUT DATA: 5C with the tag and 53 with the object in, or a bare object; an empty one deletes."""
    _check_header(command)
    state.require_management()
    tag, value = _object(list(tlv.parse(command.data)))
    if not is_known(tag):
        raise Refusal(SW.FUNCTION_NOT_SUPPORTED)
    if len(value) > OBJECT_MAX:
        raise Refusal(SW.NO_MEMORY)
    state.set_object(tag, value or None)
    return b""


def _check_header(command: Command) -> None:
    if (command.p1 << 8 | command.p2) != spec.P1P2_DATA_OBJECT:
        raise Refusal(SW.INCORRECT_P1P2)


def _tag(item: Tlv) -> int:
    if not 0 < len(item.value) <= tlv.MAX_TAG_BYTES:
        raise Refusal(SW.INCORRECT_DATA)
    return int.from_bytes(item.value, "big")


def _object(items: list[Tlv]) -> tuple[int, bytes]:
    if len(items) == 1 and items[0].tag in BARE_TAGS:
        return items[0].tag, items[0].value
    if [item.tag for item in items] != [spec.TAG_TAG_LIST, spec.TAG_DATA]:
        raise Refusal(SW.INCORRECT_DATA)
    return _tag(items[0]), items[1].value
