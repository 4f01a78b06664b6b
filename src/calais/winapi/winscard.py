"""The resource manager under Microsoft's names: contexts, readers, card handles, the card database, the item cache.

Out-parameters are returned, failure raises ``calais.win.errors.WinError``; handles are objects, ``None`` is NULL, and
a handle that is none is ERROR_INVALID_HANDLE everywhere. Names compare without case; GUIDs are 16 bytes.
Source: winscard.h, winsmcrd.h and Microsoft's documentation of each function.
"""

# Every constant and structure of the header is part of this module, under its own name.
# ruff: noqa: F403, PLC0414

from __future__ import annotations

from collections.abc import Sequence as _Sequence

from calais.resource.manager import calls as _calls
from calais.resource.manager.contexts import CardSystem as _CardSystem
from calais.resource.manager.contexts import SCardContext as SCardContext
from calais.resource.manager.handles import SCardHandle as SCardHandle
from calais.win.codes import *
from calais.win.flags import *
from calais.win.structs import *
from calais.win.structs import AtrMask as AtrMask
from calais.win.structs import CardStatus as CardStatus
from calais.win.structs import ReaderState as ReaderState
from calais.winapi import ambient as _ambient

_Names = str | _Sequence[str]


# --- contexts and readers --------------------------------------------------------------------------------------------


def SCardEstablishContext(
    dwScope: int, pvReserved1: None = None, pvReserved2: None = None, *, system: _CardSystem | None = None
) -> SCardContext:
    """A new context; ``dwScope`` 0, 1 or 2, all alike.

    Raises:
        WinError: SCARD_E_INVALID_VALUE another scope; SCARD_E_INVALID_PARAMETER a reserved argument is used.
    """
    return _calls.establish(dwScope, pvReserved1, pvReserved2, _ambient.card_service_of(system))


def SCardReleaseContext(hContext: SCardContext | None) -> None:
    """Disconnect its handles (SCARD_LEAVE_CARD), end its transactions and its waits.

    Raises:
        WinError: ERROR_INVALID_HANDLE.
    """
    _calls.release(hContext)


def SCardIsValidContext(hContext: SCardContext | None) -> None:
    """Nothing, for a context that is open.

    Raises:
        WinError: ERROR_INVALID_HANDLE.
    """
    _calls.is_valid(hContext)


def SCardListReaderGroups(hContext: SCardContext | None = None) -> list[str]:
    """SCard$DefaultReaders, then the groups with a reader, sorted.

    Raises:
        WinError: ERROR_INVALID_HANDLE.
    """
    return _calls.list_groups(hContext, _ambient.card_service_of())


def SCardListReaders(hContext: SCardContext | None = None, mszGroups: _Names | None = None) -> list[str]:
    """The present readers of these groups, and their aliases, in order of arrival; ``None`` = all.

    Raises:
        WinError: SCARD_E_NO_READERS_AVAILABLE.
    """
    return _calls.list_readers(hContext, mszGroups, _ambient.card_service_of())


def SCardIntroduceReaderGroup(hContext: SCardContext | None, szGroupName: str) -> None:
    """Check the name of a group; it appears with its first reader.

    Raises:
        WinError: SCARD_E_INVALID_PARAMETER a group that always exists.
    """
    _calls.introduce_group(hContext, szGroupName)


def SCardForgetReaderGroup(hContext: SCardContext | None, szGroupName: str) -> None:
    """Drop all memberships of a group.

    Raises:
        WinError: SCARD_E_INVALID_PARAMETER a group that always exists.
    """
    _calls.forget_group(hContext, szGroupName)


def SCardIntroduceReader(hContext: SCardContext | None, szReaderName: str, szDeviceName: str) -> None:
    """Make ``szReaderName`` an alias of the reader ``szDeviceName``.

    Raises:
        WinError: SCARD_E_DUPLICATE_READER; SCARD_E_UNKNOWN_READER.
    """
    _calls.introduce_reader(hContext, szReaderName, szDeviceName)


def SCardForgetReader(hContext: SCardContext | None, szReaderName: str) -> None:
    """Forget an alias and its memberships.

    Raises:
        WinError: SCARD_E_UNKNOWN_READER; SCARD_E_INVALID_PARAMETER a real reader that is there.
    """
    _calls.forget_reader(hContext, szReaderName)


def SCardAddReaderToGroup(hContext: SCardContext | None, szReaderName: str, szGroupName: str) -> None:
    """Add a reader to a group, which is made if it is missing.

    Raises:
        WinError: SCARD_E_UNKNOWN_READER.
    """
    _calls.add_to_group(hContext, szReaderName, szGroupName)


def SCardRemoveReaderFromGroup(hContext: SCardContext | None, szReaderName: str, szGroupName: str) -> None:
    """Take a reader out of a group; with the last one the group is gone.

    Raises:
        WinError: SCARD_E_UNKNOWN_READER.
    """
    _calls.remove_from_group(hContext, szReaderName, szGroupName)


def SCardGetStatusChange(
    hContext: SCardContext | None, dwTimeout: int, rgReaderStates: _Sequence[ReaderState]
) -> list[ReaderState]:
    """Wait until a reader is not as ``current_state`` says; ``dwTimeout`` in milliseconds, or INFINITE.

    The error has ``reader_states``, what is left in the array.

    Raises:
        WinError: SCARD_E_TIMEOUT; SCARD_E_CANCELLED; SCARD_E_UNKNOWN_READER.
    """
    return _calls.status_change(hContext, dwTimeout, rgReaderStates)


def SCardCancel(hContext: SCardContext | None) -> None:
    """End every wait of this context.

    Raises:
        WinError: ERROR_INVALID_HANDLE.
    """
    _calls.cancel(hContext)


# --- cards and transactions ------------------------------------------------------------------------------------------


def SCardConnect(
    hContext: SCardContext | None, szReader: str, dwShareMode: int, dwPreferredProtocols: int
) -> tuple[SCardHandle, int]:
    """A handle, and the active protocol (SCARD_PROTOCOL_*).

    Raises:
        WinError: SCARD_E_SHARING_VIOLATION; SCARD_E_UNKNOWN_READER; SCARD_E_READER_UNAVAILABLE; SCARD_W_REMOVED_CARD no card;
            SCARD_W_UNRESPONSIVE_CARD; SCARD_E_PROTO_MISMATCH; SCARD_E_INVALID_VALUE.
    """
    return _calls.connect(hContext, szReader, dwShareMode, dwPreferredProtocols)


def SCardReconnect(
    hCard: SCardHandle | None, dwShareMode: int, dwPreferredProtocols: int, dwInitialization: int
) -> int:
    """The active protocol; a reset by others is taken note of.

    Raises:
        WinError: as SCardConnect.
    """
    return _calls.reconnect(hCard, dwShareMode, dwPreferredProtocols, dwInitialization)


def SCardDisconnect(hCard: SCardHandle | None, dwDisposition: int) -> None:
    """End the connection, and its transaction however deep.

    Raises:
        WinError: ERROR_INVALID_HANDLE; SCARD_E_INVALID_VALUE.
    """
    _calls.disconnect(hCard, dwDisposition)


def SCardBeginTransaction(hCard: SCardHandle | None) -> None:
    """Take the card, when nobody else has it; counted.

    Raises:
        WinError: SCARD_W_RESET_CARD; SCARD_W_REMOVED_CARD.
    """
    _calls.begin(hCard)


def SCardEndTransaction(hCard: SCardHandle | None, dwDisposition: int) -> None:
    """Count one less; the last one gives the card back.

    Raises:
        WinError: SCARD_E_NOT_TRANSACTED; SCARD_E_SHARING_VIOLATION another handle has it; SCARD_W_RESET_CARD;
            SCARD_W_REMOVED_CARD; SCARD_E_INVALID_VALUE.
    """
    _calls.end(hCard, dwDisposition)


def SCardStatus(hCard: SCardHandle | None) -> CardStatus:
    """Names of the reader, state, active protocol and ATR.

    Raises:
        WinError: SCARD_W_RESET_CARD; SCARD_W_REMOVED_CARD.
    """
    return _calls.status(hCard)


def SCardTransmit(
    hCard: SCardHandle | None, pioSendPci: int | None, pbSendBuffer: bytes, pioRecvPci: int | None = None
) -> bytes:
    """The whole response with its status word; ``pioSendPci`` = SCARD_PCI_*, ``None`` = the active one.

    Raises:
        WinError: SCARD_E_PROTO_MISMATCH; SCARD_E_INVALID_PARAMETER; SCARD_W_RESET_CARD; SCARD_W_REMOVED_CARD;
            SCARD_E_NO_SMARTCARD; SCARD_E_COMM_DATA_LOST.
    """
    return _calls.transmit(hCard, pioSendPci, pbSendBuffer)


def SCardControl(hCard: SCardHandle | None, dwControlCode: int, lpInBuffer: bytes = b"") -> bytes:
    """What the reader answers to a control code.

    Raises:
        WinError: SCARD_E_UNSUPPORTED_FEATURE.
    """
    return _calls.control(hCard, dwControlCode, lpInBuffer)


def SCardGetAttrib(hCard: SCardHandle | None, dwAttrId: int) -> str | int | bytes:
    """An attribute of the reader, in the type of its row.

    Raises:
        WinError: SCARD_E_UNSUPPORTED_FEATURE; SCARD_E_INVALID_PARAMETER; SCARD_W_REMOVED_CARD.
    """
    return _calls.get_attribute(hCard, dwAttrId)


def SCardSetAttrib(hCard: SCardHandle | None, dwAttrId: int, pbAttr: str | int | bytes) -> None:
    """Change an attribute of the reader.

    Raises:
        WinError: SCARD_E_UNSUPPORTED_FEATURE; SCARD_E_INVALID_PARAMETER another type.
    """
    _calls.set_attribute(hCard, dwAttrId, pbAttr)


# --- the card database -----------------------------------------------------------------------------------------------


def SCardListCards(
    hContext: SCardContext | None = None, pbAtr: bytes | None = None, rgquidInterfaces: _Sequence[bytes] | None = None
) -> list[str]:
    """Names of cards: with this ATR, with all of these interfaces; ``None`` = any.

    Raises:
        WinError: SCARD_E_INVALID_PARAMETER no ATR.
    """
    return _calls.list_cards(hContext, pbAtr, rgquidInterfaces, _ambient.card_service_of())


def SCardListInterfaces(hContext: SCardContext | None, szCard: str) -> list[bytes]:
    """GUIDs of 16 bytes, as introduced.

    Raises:
        WinError: SCARD_E_UNKNOWN_CARD.
    """
    return _calls.list_interfaces(hContext, szCard, _ambient.card_service_of())


def SCardGetProviderId(hContext: SCardContext | None, szCard: str) -> bytes:
    """GUID of the primary provider, 16 bytes.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND it has none; SCARD_E_UNKNOWN_CARD.
    """
    return _calls.provider_id(hContext, szCard, _ambient.card_service_of())


def SCardGetCardTypeProviderName(hContext: SCardContext | None, szCardName: str, dwProviderId: int) -> str:
    """The name of a provider of a card; the primary one as GUID text.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND it has none; SCARD_E_UNKNOWN_CARD; SCARD_E_INVALID_PARAMETER no such id.
    """
    return _calls.get_provider(hContext, szCardName, dwProviderId, _ambient.card_service_of())


def SCardSetCardTypeProviderName(
    hContext: SCardContext | None, szCardName: str, dwProviderId: int, szProvider: str
) -> None:
    """Set the name of a provider of a card.

    Raises:
        WinError: SCARD_E_UNKNOWN_CARD; ERROR_ACCESS_DENIED a card that is always there; SCARD_E_INVALID_PARAMETER.
    """
    _calls.set_provider(hContext, szCardName, dwProviderId, szProvider)


def SCardIntroduceCardType(
    hContext: SCardContext | None,
    szCardName: str,
    pguidPrimaryProvider: bytes | None = None,
    rgguidInterfaces: _Sequence[bytes] | None = None,
    pbAtr: bytes = b"",
    pbAtrMask: bytes | None = None,
) -> None:
    """Add a card; mask ``None`` = all bits count, no ATR = it is found by name only.

    Raises:
        WinError: ERROR_ALREADY_EXISTS; SCARD_E_INVALID_PARAMETER.
    """
    _calls.introduce_card(hContext, szCardName, pguidPrimaryProvider, rgguidInterfaces, pbAtr, pbAtrMask)


def SCardForgetCardType(hContext: SCardContext | None, szCardName: str) -> None:
    """Remove a card.

    Raises:
        WinError: SCARD_E_UNKNOWN_CARD; ERROR_ACCESS_DENIED a card that is always there.
    """
    _calls.forget_card(hContext, szCardName)


def SCardLocateCards(
    hContext: SCardContext | None, mszCards: _Names, rgReaderStates: _Sequence[ReaderState]
) -> list[ReaderState]:
    """The readers as they are, SCARD_STATE_ATRMATCH where the card is one of these; never waits.

    Raises:
        WinError: SCARD_E_UNKNOWN_CARD; SCARD_E_UNKNOWN_READER, with ``reader_states``.
    """
    return _calls.locate(hContext, mszCards, rgReaderStates)


def SCardLocateCardsByATR(
    hContext: SCardContext | None, rgAtrMasks: _Sequence[AtrMask], rgReaderStates: _Sequence[ReaderState]
) -> list[ReaderState]:
    """The readers as they are, SCARD_STATE_ATRMATCH where the ATR matches; never waits.

    Raises:
        WinError: SCARD_E_INVALID_PARAMETER; SCARD_E_UNKNOWN_READER, with ``reader_states``.
    """
    return _calls.locate_by_atr(hContext, rgAtrMasks, rgReaderStates)


# --- the item cache --------------------------------------------------------------------------------------------------


def SCardReadCache(
    hContext: SCardContext | None, CardIdentifier: bytes, FreshnessCounter: int, LookupName: str
) -> bytes:
    """An item that was written under the same counter.

    Raises:
        WinError: SCARD_W_CACHE_ITEM_NOT_FOUND; SCARD_W_CACHE_ITEM_STALE; SCARD_E_INVALID_PARAMETER.
    """
    return _calls.read_cache(hContext, CardIdentifier, FreshnessCounter, LookupName)


def SCardWriteCache(
    hContext: SCardContext | None, CardIdentifier: bytes, FreshnessCounter: int, LookupName: str, Data: bytes
) -> None:
    """Keep an item; ``CardIdentifier`` is 16 bytes.

    Raises:
        WinError: SCARD_W_CACHE_ITEM_TOO_BIG; SCARD_E_INVALID_PARAMETER.
    """
    _calls.write_cache(hContext, CardIdentifier, FreshnessCounter, LookupName, Data)
