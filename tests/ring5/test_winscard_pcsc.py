"""The resource manager's face on a real pcscd: our own, with virtual cards behind vpcd."""

from __future__ import annotations

import threading

import pytest
from foreign import PRIVATE_PCSCD

from calais.provider.policy import Policy
from calais.resource.real import RealReaders
from calais.store.database import MEMORY_URL, open_database
from calais.store.locations import SystemStores
from calais.system import System
from calais.testing import virtual_piv
from calais.testing.echo import INS_ECHO, INS_IS_VERIFIED, INS_VERIFY, EchoCard
from calais.testing.pcscd import PrivatePcscd
from calais.win.errors import WinError
from calais.winapi import winscard as w
from calais.winapi.winscard import ReaderState

pytestmark = [*PRIVATE_PCSCD]

PNP = "\\\\?PnP?\\Notification"
HELLO = bytes([0, INS_ECHO, 0, 0, 2]) + b"hi"
VERIFY = bytes([0, INS_VERIFY, 0, 0, 1]) + b"1"
IS_VERIFIED = bytes([0, INS_IS_VERIFIED, 0, 0])
SHARED, EXCLUSIVE, DIRECT, TX = w.SCARD_SHARE_SHARED, w.SCARD_SHARE_EXCLUSIVE, w.SCARD_SHARE_DIRECT, 3
GONE = {w.SCARD_W_REMOVED_CARD, w.SCARD_E_NO_SMARTCARD}
LONG_S, LONG_MS = 30.0, 30_000


@pytest.fixture(scope="module")
def service():
    with PrivatePcscd() as private:
        yield private


@pytest.fixture
def desk(service):
    """The name of the reader."""
    return service.reader()


@pytest.fixture
def system(service):
    with service.context() as context:
        library = context.library
    stores = SystemStores(open_database(MEMORY_URL))
    policy = Policy.from_values({"TransactionTimeoutMilliseconds": 100})
    with System(stores, sources=[RealReaders(library)], policy=policy) as system:
        yield system


@pytest.fixture
def context(system):
    with w.SCardEstablishContext(0) as context:
        yield context


@pytest.fixture
def echo(service):
    card = EchoCard()
    service.insert(card)
    yield card
    try:
        service.remove()
    except WinError:  # a test has taken it out
        return


def code_of(call, *arguments):
    with pytest.raises(WinError) as caught:
        call(*arguments)
    return caught.value.code


def in_thread(call, *arguments):
    """The call in a thread; a function that gives its result or code."""
    result = []

    def run():
        try:
            result.append(call(*arguments))
        except WinError as error:
            result.append(error.code)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def done():
        thread.join(LONG_S)
        assert not thread.is_alive()
        return result[0]

    done.waits = lambda: (thread.join(0.3), thread.is_alive())[1]
    return done


def test_readers_cards_and_exchanges(context, echo, desk):
    assert w.SCardListReaders(context)[0] == desk
    (state,) = w.SCardGetStatusChange(context, 0, [ReaderState(desk)])
    assert state.event_state & 0xFFFF & ~w.SCARD_STATE_UNPOWERED == w.SCARD_STATE_PRESENT | w.SCARD_STATE_CHANGED
    assert state.atr == echo.atr
    handle, protocol = w.SCardConnect(context, desk.upper(), SHARED, TX)
    assert protocol == w.SCARD_PROTOCOL_T1
    assert w.SCardStatus(handle) == ([desk], w.SCARD_SPECIFIC, protocol, echo.atr)
    assert w.SCardTransmit(handle, w.SCARD_PCI_T1, HELLO) == b"hi\x90\x00"
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_ATR_STRING) == echo.atr
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_DEVICE_FRIENDLY_NAME_A) == desk
    assert code_of(w.SCardGetAttrib, handle, 0x12345678) == w.SCARD_E_UNSUPPORTED_FEATURE
    assert code_of(w.SCardSetAttrib, handle, w.SCARD_ATTR_DEVICE_FRIENDLY_NAME, "x") == w.SCARD_E_UNSUPPORTED_FEATURE
    w.SCardDisconnect(handle, 0)
    assert code_of(w.SCardTransmit, handle, None, HELLO) == w.ERROR_INVALID_HANDLE


def test_an_empty_reader(context, desk):
    assert code_of(w.SCardConnect, context, desk, SHARED, TX) == w.SCARD_W_REMOVED_CARD
    assert code_of(w.SCardConnect, context, "Nowhere", SHARED, TX) == w.SCARD_E_UNKNOWN_READER
    with w.SCardConnect(context, desk, DIRECT, 0)[0] as handle:
        assert w.SCardStatus(handle)[1:] == (w.SCARD_ABSENT, 0, b"")
        assert code_of(w.SCardTransmit, handle, None, HELLO) == w.SCARD_E_NO_SMARTCARD


def test_share_modes_are_those_of_the_service(service, context, echo, desk):
    with w.SCardConnect(context, desk, SHARED, TX)[0]:
        assert code_of(w.SCardConnect, context, desk, EXCLUSIVE, TX) == w.SCARD_E_SHARING_VIOLATION
    with w.SCardConnect(context, desk, EXCLUSIVE, TX)[0]:
        assert code_of(service.connect) == w.SCARD_E_SHARING_VIOLATION
        (state,) = w.SCardGetStatusChange(context, 0, [ReaderState(desk)])
        assert state.event_state & w.SCARD_STATE_EXCLUSIVE
    service.connect().close()


def test_transactions_and_resets_are_seen_between_handles(context, echo, desk):
    one, two = (w.SCardConnect(context, desk, SHARED, TX)[0] for _ in range(2))
    assert code_of(w.SCardEndTransaction, one, 0) == w.SCARD_E_NOT_TRANSACTED
    w.SCardTransmit(one, None, VERIFY)
    w.SCardBeginTransaction(one)
    w.SCardBeginTransaction(one)
    asking = in_thread(w.SCardTransmit, two, None, IS_VERIFIED)
    assert asking.waits()
    w.SCardEndTransaction(one, 0)
    w.SCardEndTransaction(one, 0)
    assert asking() == b"\x90\x00"
    w.SCardBeginTransaction(one)
    w.SCardEndTransaction(one, w.SCARD_RESET_CARD)
    assert w.SCardTransmit(one, None, IS_VERIFIED) == b"\x69\x82"
    assert code_of(w.SCardTransmit, two, None, HELLO) == w.SCARD_W_RESET_CARD
    assert w.SCardReconnect(two, SHARED, TX, w.SCARD_LEAVE_CARD) == w.SCARD_PROTOCOL_T1
    assert w.SCardTransmit(two, None, HELLO) == b"hi\x90\x00"


def test_a_wait_for_the_card_ends_with_its_handle(context, echo, desk):
    one, two = (w.SCardConnect(context, desk, SHARED, TX)[0] for _ in range(2))
    w.SCardBeginTransaction(one)
    asking = in_thread(w.SCardBeginTransaction, two)
    assert asking.waits()
    w.SCardDisconnect(two, 0)
    assert asking() == w.ERROR_INVALID_HANDLE


def test_insertion_and_removal_end_a_wait(service, context, desk):
    states = w.SCardGetStatusChange(context, 0, [ReaderState(desk)])
    known = states[0].event_state & ~w.SCARD_STATE_CHANGED
    asking = in_thread(w.SCardGetStatusChange, context, LONG_MS, [ReaderState(desk, None, known)])
    assert asking.waits()
    service.insert(EchoCard())
    (state,) = asking()
    assert state.event_state & w.SCARD_STATE_PRESENT
    assert state.event_state >> 16 == (known >> 16) + 1
    with w.SCardConnect(context, desk, SHARED, TX)[0] as handle:
        (state,) = w.SCardGetStatusChange(context, 0, [ReaderState(desk)])
        known = state.event_state & ~w.SCARD_STATE_CHANGED
        asking = in_thread(w.SCardGetStatusChange, context, LONG_MS, [ReaderState(desk, None, known)])
        service.remove()
        assert asking()[0].event_state & w.SCARD_STATE_EMPTY
        assert code_of(w.SCardTransmit, handle, None, HELLO) in GONE
        assert code_of(w.SCardBeginTransaction, handle) in GONE


def test_a_wait_can_be_cancelled_and_times_out(context, desk):
    known = [ReaderState(PNP, None, len(w.SCardListReaders(context)) << 16)]
    asking = in_thread(w.SCardGetStatusChange, context, w.INFINITE, known)
    assert asking.waits()
    w.SCardCancel(context)
    assert asking() == w.SCARD_E_CANCELLED
    assert code_of(w.SCardGetStatusChange, context, 100, known) == w.SCARD_E_TIMEOUT


def test_the_drivers_and_handles_share_the_card(service, system, context, desk):
    service.insert(virtual_piv(keys={}))
    try:
        (name,) = w.SCardListCards(context, w.SCardGetStatusChange(context, 0, [ReaderState(desk)])[0].atr)
        assert name == "Identity Device (NIST SP 800-73 [PIV])"
        card_id = system.card(desk).card_id
        with w.SCardConnect(context, desk, SHARED, TX)[0] as handle:
            w.SCardTransmit(handle, None, bytes.fromhex("00A4040005A000000151"))
            assert system.card(desk).card_id == card_id
            w.SCardBeginTransaction(handle)
            asking = in_thread(lambda: system.card(desk).card_id)
            w.SCardEndTransaction(handle, 0)
            assert asking() == card_id
            from calais.winapi import cardmod

            data = cardmod.CardData(atr=w.SCardStatus(handle).atr, card_name=name, context=context, handle=handle)
            cardmod.CardAcquireContext(data)
            w.SCardBeginTransaction(handle)
            assert cardmod.CardReadFile(data, None, "cardid") == card_id
            cardmod.CardAuthenticatePin(data, "user", b"123456")
            w.SCardEndTransaction(handle, w.SCARD_RESET_CARD)
            cardmod.CardDeleteContext(data)
    finally:
        service.remove()
