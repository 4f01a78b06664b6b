"""The bodies of the resource manager's face: handle and arguments are checked, then one call.

``None`` and 0 are NULL. A handle of another kind, or one that is closed, is ERROR_INVALID_HANDLE; a wrong number for
scope, share mode or disposition is SCARD_E_INVALID_VALUE; other arguments are SCARD_E_INVALID_PARAMETER.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from calais.resource import carddb
from calais.resource.carddb import CardEntry, guid_bytes, guid_text
from calais.resource.manager.attributes import SETTABLE, Value, checked, typed
from calais.resource.manager.contexts import CardService, SCardContext
from calais.resource.manager.handles import SCardHandle, invalid_handle
from calais.resource.manager.statuschange import UNKNOWN_READER, decide, failed
from calais.win.codes import Code
from calais.win.errors import BadParameter, WinError
from calais.win.flags import (
    SCARD_EJECT_CARD,
    SCARD_PROTOCOL_DEFAULT,
    SCARD_PROTOCOL_RAW,
    SCARD_PROVIDER_CSP,
    SCARD_PROVIDER_KSP,
    SCARD_PROVIDER_PRIMARY,
    SCARD_SCOPE_SYSTEM,
    SCARD_SHARE_DIRECT,
    SCARD_SHARE_EXCLUSIVE,
    SCARD_STATE_ATRMATCH,
    SCARD_STATE_PRESENT,
    SCARD_UNPOWER_CARD,
    SCARD_PROTOCOL_Tx,
)
from calais.win.structs import AtrMask, CardStatus, ReaderState

Service = Callable[[], CardService]
ATRMASK_MIN, ATRMASK_MAX = 2, 36
COMMAND_MIN = 4
COMMAND_MAX = 4 + 3 + 0xFFFF + 2
CARD_ID_BYTES = 16


# --- parameters ------------------------------------------------------------------------------------------------------


def _context(handle: object) -> SCardContext:
    if not isinstance(handle, SCardContext) or not handle.is_open:
        raise invalid_handle()
    return handle


def _service(handle: object, otherwise: Service) -> CardService:
    """The context's resource manager; without one, the current system's."""
    return otherwise() if _is_null(handle) else _context(handle).service


def _card(handle: object) -> SCardHandle:
    if not isinstance(handle, SCardHandle) or not handle.is_open:
        raise invalid_handle()
    return handle


def _is_null(value: object) -> bool:
    return value is None or (isinstance(value, int) and value == 0 and not isinstance(value, bool))


def _number(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0xFFFFFFFF:
        raise BadParameter(detail=f"{what} is no number of 32 bits")
    return value


def _among(value: object, low: int, high: int, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise WinError.of(Code.SCARD_E_INVALID_VALUE, f"{what} is none of {low} … {high}")
    return value


def _name(value: object, what: str) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadParameter(detail=f"{what} is no name")
    return value


def _names(value: object, what: str) -> list[str]:
    """A multi-string: one name, or several."""
    if isinstance(value, str):
        return [_name(value, what)]
    if not isinstance(value, Sequence):
        raise BadParameter(detail=f"{what} is no list of names")
    return [_name(each, what) for each in value]


def _data(value: object, what: str) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise BadParameter(detail=f"{what} is no data")
    return bytes(value)


def _guid(value: object, what: str) -> bytes:
    data = _data(value, what)
    if len(data) != carddb.GUID_BYTES:
        raise BadParameter(detail=f"{what} has {len(data)} bytes, a GUID has {carddb.GUID_BYTES}")
    return data


def _guids(value: object, what: str) -> tuple[bytes, ...]:
    if isinstance(value, bytes | bytearray | memoryview):
        return (_guid(value, what),)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise BadParameter(detail=f"{what} is no list of GUIDs")
    return tuple(_guid(each, what) for each in value)


def _states(value: object) -> list[ReaderState]:
    if not isinstance(value, Sequence) or not all(isinstance(each, ReaderState) for each in value):
        raise BadParameter(detail="rgReaderStates is no list of ReaderState")
    for state in value:
        _name(state.reader, "the reader of a ReaderState")
        _number(state.current_state, "the current state of a ReaderState")
    return list(value)


def _provider_id(value: object) -> int:
    number = _number(value, "dwProviderId")
    if number in (SCARD_PROVIDER_PRIMARY, SCARD_PROVIDER_CSP, SCARD_PROVIDER_KSP) or number >= carddb.FIRST_VENDOR_ID:
        return number
    raise BadParameter(detail=f"there is no provider {number}")


# --- contexts and readers --------------------------------------------------------------------------------------------


def establish(scope: object, reserved1: object, reserved2: object, service: Service) -> SCardContext:
    """SCardEstablishContext."""
    _among(scope, 0, SCARD_SCOPE_SYSTEM, "dwScope")
    if reserved1 is not None or reserved2 is not None:
        raise BadParameter(detail="a reserved argument is used")
    return service().establish()


def release(context: object) -> None:
    """SCardReleaseContext."""
    _context(context).release()


def is_valid(context: object) -> None:
    """SCardIsValidContext."""
    _context(context)


def list_groups(context: object, service: Service) -> list[str]:
    """SCardListReaderGroups."""
    return _service(context, service).groups.list_groups()


def list_readers(context: object, groups: object, service: Service) -> list[str]:
    """SCardListReaders."""
    known = _service(context, service).groups
    found = known.list_readers(None if groups is None else _names(groups, "mszGroups"))
    if not found:
        raise WinError.of(Code.SCARD_E_NO_READERS_AVAILABLE, "there is no such reader")
    return found


def introduce_group(context: object, group: object) -> None:
    """SCardIntroduceReaderGroup."""
    _context(context).service.groups.check_group(_name(group, "szGroupName"))


def forget_group(context: object, group: object) -> None:
    """SCardForgetReaderGroup."""
    _context(context).service.groups.forget_group(_name(group, "szGroupName"))


def introduce_reader(context: object, reader: object, device: object) -> None:
    """SCardIntroduceReader."""
    service = _context(context).service
    service.groups.introduce(_name(reader, "szReaderName"), _name(device, "szDeviceName"))
    service.bulletin.announce()


def forget_reader(context: object, reader: object) -> None:
    """SCardForgetReader."""
    service = _context(context).service
    service.groups.forget(_name(reader, "szReaderName"))
    service.bulletin.announce()


def add_to_group(context: object, reader: object, group: object) -> None:
    """SCardAddReaderToGroup."""
    _context(context).service.groups.add(_name(reader, "szReaderName"), _name(group, "szGroupName"))


def remove_from_group(context: object, reader: object, group: object) -> None:
    """SCardRemoveReaderFromGroup."""
    _context(context).service.groups.remove(_name(reader, "szReaderName"), _name(group, "szGroupName"))


def status_change(context: object, timeout: object, states: object) -> list[ReaderState]:
    """SCardGetStatusChange."""
    owner = _context(context)
    milliseconds = _number(timeout, "dwTimeout")
    return owner.wait(_states(states), milliseconds)


def cancel(context: object) -> None:
    """SCardCancel."""
    _context(context).cancel()


# --- cards and transactions ------------------------------------------------------------------------------------------


def _sharing(share: object, protocols: object) -> tuple[int, int]:
    """Share mode and protocols of a connection."""
    mode = _among(share, SCARD_SHARE_EXCLUSIVE, SCARD_SHARE_DIRECT, "dwShareMode")
    wanted = _number(protocols, "dwPreferredProtocols")
    if mode != SCARD_SHARE_DIRECT and not wanted & (SCARD_PROTOCOL_Tx | SCARD_PROTOCOL_RAW | SCARD_PROTOCOL_DEFAULT):
        raise WinError.of(Code.SCARD_E_PROTO_MISMATCH, "no protocol is wanted")
    return mode, wanted


def connect(context: object, reader: object, share: object, protocols: object) -> tuple[SCardHandle, int]:
    """SCardConnect."""
    owner = _context(context)
    mode, wanted = _sharing(share, protocols)
    handle = owner.connect(_name(reader, "szReader"), mode, wanted)
    return handle, handle.looked_at().protocol


def reconnect(card: object, share: object, protocols: object, initialization: object) -> int:
    """SCardReconnect."""
    handle = _card(card)
    mode, wanted = _sharing(share, protocols)
    return handle.reconnect(mode, wanted, _among(initialization, 0, SCARD_UNPOWER_CARD, "dwInitialization"))


def disconnect(card: object, disposition: object) -> None:
    """SCardDisconnect."""
    handle = _card(card)
    handle.disconnect(_among(disposition, 0, SCARD_EJECT_CARD, "dwDisposition"))


def begin(card: object) -> None:
    """SCardBeginTransaction."""
    _card(card).begin_transaction()


def end(card: object, disposition: object) -> None:
    """SCardEndTransaction."""
    handle = _card(card)
    handle.end_transaction(_among(disposition, 0, SCARD_EJECT_CARD, "dwDisposition"))


def status(card: object) -> CardStatus:
    """SCardStatus."""
    handle = _card(card)
    return CardStatus([handle.reader], *handle.looked_at().condition())


def transmit(card: object, pci: object, command: object) -> bytes:
    """SCardTransmit."""
    handle = _card(card)
    wanted = None if pci is None else _number(pci, "pioSendPci")
    data = _data(command, "pbSendBuffer")
    if not COMMAND_MIN <= len(data) <= COMMAND_MAX:
        raise BadParameter(detail=f"a command has {COMMAND_MIN} … {COMMAND_MAX} bytes, not {len(data)}")
    active = handle.looked_at().protocol
    if wanted and active and wanted != active:
        raise WinError.of(Code.SCARD_E_PROTO_MISMATCH, f"the active protocol is {active}")
    return handle.transmit(data)


def control(card: object, code: object, data: object) -> bytes:
    """SCardControl."""
    handle = _card(card)
    number = _number(code, "dwControlCode")
    given = b"" if data is None else _data(data, "lpInBuffer")
    return handle.looked_at().control(number, given)


def get_attribute(card: object, attribute: object) -> Value:
    """SCardGetAttrib."""
    handle = _card(card)
    number = _number(attribute, "dwAttrId")
    return typed(number, handle.looked_at().attribute(number))


def set_attribute(card: object, attribute: object, value: object) -> None:
    """SCardSetAttrib."""
    handle = _card(card)
    number = _number(attribute, "dwAttrId")
    handle.looked_at().set_attribute(number, checked(number, value) if number in SETTABLE else b"")


# --- the card database -----------------------------------------------------------------------------------------------


def list_cards(context: object, atr: object, interfaces: object, service: Service) -> list[str]:
    """SCardListCards."""
    found = _service(context, service)
    wanted = None if interfaces is None else _guids(interfaces, "rgquidInterfaces")
    raw = None if atr is None else _data(atr, "pbAtr")
    if raw is not None:
        carddb.check_atr(raw)
    names = [entry.name for entry in found.database.entries()] if raw is None else found.cards_with(raw)
    if wanted is None:
        return names
    supporting = {entry.name for entry in found.database.supporting(wanted)}
    return [name for name in names if name in supporting]


def list_interfaces(context: object, card: object, service: Service) -> list[bytes]:
    """SCardListInterfaces."""
    found = _service(context, service)
    return list(found.database.entry(_name(card, "szCard")).interfaces)


def provider_id(context: object, card: object, service: Service) -> bytes:
    """SCardGetProviderId."""
    found = _service(context, service)
    return guid_bytes(found.database.entry(_name(card, "szCard")).provider(SCARD_PROVIDER_PRIMARY))


def get_provider(context: object, card: object, provider: object, service: Service) -> str:
    """SCardGetCardTypeProviderName."""
    found = _service(context, service)
    name, number = _name(card, "szCardName"), _provider_id(provider)
    return found.database.entry(name).provider(number)


def set_provider(context: object, card: object, provider: object, text: object) -> None:
    """SCardSetCardTypeProviderName."""
    database = _context(context).service.database
    name, number = _name(card, "szCardName"), _provider_id(provider)
    if not isinstance(text, str):
        raise BadParameter(detail="szProvider is no text")
    if number == SCARD_PROVIDER_PRIMARY:
        guid_bytes(text)
    database.set_provider(name, number, text)


def introduce_card(
    context: object, card: object, primary: object, interfaces: object, atr: object, mask: object
) -> None:
    """SCardIntroduceCardType."""
    database = _context(context).service.database
    name = _name(card, "szCardName")
    guids = () if interfaces is None else _guids(interfaces, "rgguidInterfaces")
    raw = b"" if atr is None else _data(atr, "pbAtr")
    bits = b"\xff" * len(raw) if mask is None else _data(mask, "pbAtrMask")
    providers = {} if primary is None else {SCARD_PROVIDER_PRIMARY: guid_text(_guid(primary, "pguidPrimaryProvider"))}
    database.introduce(CardEntry(name, raw, bits, guids, providers))


def forget_card(context: object, card: object) -> None:
    """SCardForgetCardType."""
    _context(context).service.database.forget(_name(card, "szCardName"))


def locate(context: object, cards: object, states: object) -> list[ReaderState]:
    """SCardLocateCards."""
    service = _context(context).service
    names = {service.database.entry(name).name for name in _names(cards, "mszCards")}

    def is_one(reader: str, atr: bytes) -> bool:
        return not names.isdisjoint(service.card_in(service.port(reader)[1], atr))

    return _located(service, _states(states), is_one)


def locate_by_atr(context: object, masks: object, states: object) -> list[ReaderState]:
    """SCardLocateCardsByATR."""
    service = _context(context).service
    wanted = [_mask(each) for each in ([masks] if isinstance(masks, AtrMask) else _list(masks))]

    def is_one(_: str, atr: bytes) -> bool:
        return any(each.matches(atr) for each in wanted)

    return _located(service, _states(states), is_one)


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise BadParameter(detail="rgAtrMasks is no list of AtrMask")
    return value


def _mask(value: object) -> AtrMask:
    if not isinstance(value, AtrMask):
        raise BadParameter(detail="rgAtrMasks is no list of AtrMask")
    atr, mask = _data(value.atr, "an ATR"), _data(value.mask, "a mask")
    if not ATRMASK_MIN <= len(atr) <= ATRMASK_MAX or len(mask) != len(atr):
        raise BadParameter(detail=f"ATR of {len(atr)} and mask of {len(mask)} bytes")
    return AtrMask(atr, mask)


def _located(service: CardService, asked: list[ReaderState], is_one: Callable[[str, bytes], bool]) -> list[ReaderState]:
    """The readers as they are, ATRMATCH where the card is one of those that are looked for."""
    states = decide(asked, service.look([state.reader for state in asked]))
    if any(state.event_state == UNKNOWN_READER for state in states):
        raise failed(Code.SCARD_E_UNKNOWN_READER, "there is no such reader", states)
    return [
        replace(state, event_state=state.event_state | SCARD_STATE_ATRMATCH)
        if state.event_state & SCARD_STATE_PRESENT and state.atr and is_one(state.reader, state.atr)
        else state
        for state in states
    ]


# --- the item cache --------------------------------------------------------------------------------------------------


def _item(identifier: object, freshness: object, name: object) -> tuple[bytes, int, str]:
    card = _data(identifier, "CardIdentifier")
    if len(card) != CARD_ID_BYTES:
        raise BadParameter(detail=f"the card identifier has {len(card)} bytes, not {CARD_ID_BYTES}")
    return card, _number(freshness, "FreshnessCounter"), _name(name, "LookupName")


def read_cache(context: object, identifier: object, freshness: object, name: object) -> bytes:
    """SCardReadCache."""
    return _context(context).service.items.read(*_item(identifier, freshness, name))


def write_cache(context: object, identifier: object, freshness: object, name: object, data: object) -> None:
    """SCardWriteCache."""
    items = _context(context).service.items
    items.write(*_item(identifier, freshness, name), _data(data, "Data"))
