"""Connecting, transactions, exchanges and attributes: what handles on one card do to each other."""

from __future__ import annotations

import threading

import pytest
from scarddesk import (
    LIMIT,
    READER,
    SELECT_PIV,
    VERIFIED_PIV,
    VERIFY_PIV,
    aside,
    raises,
    small_piv,
)

from calais.testing import FakeClock, local_system
from calais.winapi import winscard as w

EXCLUSIVE, SHARED, DIRECT = w.SCARD_SHARE_EXCLUSIVE, w.SCARD_SHARE_SHARED, w.SCARD_SHARE_DIRECT
LEAVE, RESET, UNPOWER, EJECT = w.SCARD_LEAVE_CARD, w.SCARD_RESET_CARD, w.SCARD_UNPOWER_CARD, w.SCARD_EJECT_CARD
ANY = w.SCARD_PROTOCOL_Tx


@pytest.fixture
def system():
    with local_system() as made:
        yield made


@pytest.fixture
def card(system):
    card = small_piv()
    system.insert(card)
    return card


@pytest.fixture
def context(system):
    with w.SCardEstablishContext(2, system=system) as made:
        yield made


@pytest.fixture
def pair(card, context):
    """Two shared handles on one card."""
    del card
    return tuple(w.SCardConnect(context, READER, SHARED, ANY)[0] for _ in range(2))


# --- connecting ------------------------------------------------------------------------------------------------------


def test_connect_returns_a_handle_and_the_active_protocol(card, context):
    handle, protocol = w.SCardConnect(context, READER, SHARED, ANY)
    assert isinstance(handle, w.SCardHandle)
    assert protocol in {w.SCARD_PROTOCOL_T0, w.SCARD_PROTOCOL_T1}
    status = w.SCardStatus(handle)
    assert isinstance(status, w.CardStatus)
    assert status == ([READER], w.SCARD_SPECIFIC, protocol, card.atr)
    assert status.state == 6


def test_a_card_speaks_its_own_protocols_only(card, context):
    del card
    _, protocol = w.SCardConnect(context, READER, SHARED, ANY)
    with w.SCardConnect(context, READER, SHARED, protocol)[0]:
        pass
    assert w.SCardConnect(context, READER, SHARED, protocol | w.SCARD_PROTOCOL_RAW)[1] == protocol


@pytest.mark.parametrize("protocols", [0, w.SCARD_PROTOCOL_RAW], ids=["none", "raw"])
@pytest.mark.parametrize("mode", [EXCLUSIVE, SHARED], ids=["exclusive", "shared"])
def test_no_common_protocol_is_a_mismatch(card, context, mode, protocols):
    del card
    with raises(w.SCARD_E_PROTO_MISMATCH):
        w.SCardConnect(context, READER, mode, protocols)


@pytest.mark.parametrize("mode", [0, 4, -1])
def test_another_share_mode_is_no_value(card, context, mode):
    del card
    with raises(w.SCARD_E_INVALID_VALUE):
        w.SCardConnect(context, READER, mode, ANY)


def test_exclusive_against_anybody_and_anybody_against_exclusive(card, context):
    del card
    shared, _ = w.SCardConnect(context, READER, SHARED, ANY)
    with raises(w.SCARD_E_SHARING_VIOLATION):
        w.SCardConnect(context, READER, EXCLUSIVE, ANY)
    w.SCardDisconnect(shared, LEAVE)
    alone, _ = w.SCardConnect(context, READER, EXCLUSIVE, ANY)
    for mode in (SHARED, EXCLUSIVE):
        with raises(w.SCARD_E_SHARING_VIOLATION):
            w.SCardConnect(context, READER, mode, ANY)
    w.SCardDisconnect(alone, LEAVE)
    w.SCardConnect(context, READER, SHARED, ANY)


def test_unknown_readers_and_empty_ones(system, context):
    with raises(w.SCARD_E_UNKNOWN_READER):
        w.SCardConnect(context, READER, SHARED, ANY)
    system.plug(READER)
    with raises(w.SCARD_W_REMOVED_CARD):
        w.SCardConnect(context, READER, SHARED, ANY)


def test_direct_needs_no_card_and_reports_no_protocol(system, context):
    system.plug(READER)
    handle, protocol = w.SCardConnect(context, READER, DIRECT, 0)
    assert protocol == 0
    assert w.SCardStatus(handle) == ([READER], w.SCARD_ABSENT, 0, b"")
    with raises(w.SCARD_E_NO_SMARTCARD):
        w.SCardTransmit(handle, None, SELECT_PIV)
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_VENDOR_NAME) == "Calais"
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_ICC_PRESENCE) == 0
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_ICC_INTERFACE_STATUS) == 0
    with raises(w.SCARD_W_REMOVED_CARD):
        w.SCardGetAttrib(handle, w.SCARD_ATTR_ATR_STRING)


def test_direct_with_a_card_reports_no_protocol_either(card, context):
    del card
    handle, protocol = w.SCardConnect(context, READER, DIRECT, 0)
    assert protocol == 0
    assert w.SCardReconnect(handle, DIRECT, 0, LEAVE) == 0
    assert w.SCardReconnect(handle, SHARED, ANY, LEAVE) in {1, 2}


def test_leaving_with_disconnects_and_a_closed_handle_is_no_error(card, context):
    del card
    with w.SCardConnect(context, READER, EXCLUSIVE, ANY)[0] as handle:
        assert w.SCardStatus(handle).state == w.SCARD_SPECIFIC
    with raises(6):
        w.SCardStatus(handle)
    with w.SCardConnect(context, READER, EXCLUSIVE, ANY)[0] as handle:
        assert w.SCardDisconnect(handle, LEAVE) is None
    with raises(6):
        w.SCardDisconnect(handle, LEAVE)


def test_leaving_with_leaves_the_card_as_it_is(card, context):
    del card
    with w.SCardConnect(context, READER, SHARED, ANY)[0] as handle:
        w.SCardTransmit(handle, None, SELECT_PIV)
        assert w.SCardTransmit(handle, None, VERIFY_PIV) == b"\x90\x00"
    with w.SCardConnect(context, READER, SHARED, ANY)[0] as handle:
        w.SCardTransmit(handle, None, SELECT_PIV)
        assert w.SCardTransmit(handle, None, VERIFIED_PIV) == b"\x90\x00"


# --- reconnecting ----------------------------------------------------------------------------------------------------


def test_reconnect_reports_the_protocol_and_changes_the_mode(pair, context):
    first, second = pair
    protocol = w.SCardReconnect(first, SHARED, ANY, LEAVE)
    assert protocol in {1, 2}
    with raises(w.SCARD_E_SHARING_VIOLATION):
        w.SCardReconnect(first, EXCLUSIVE, ANY, LEAVE)
    w.SCardDisconnect(second, LEAVE)
    assert w.SCardReconnect(first, EXCLUSIVE, ANY, LEAVE) == protocol
    with raises(w.SCARD_E_SHARING_VIOLATION):
        w.SCardConnect(context, READER, SHARED, ANY)
    assert w.SCardReconnect(first, DIRECT, 0, LEAVE) == protocol


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((9, ANY, LEAVE), w.SCARD_E_INVALID_VALUE),
        ((SHARED, ANY, EJECT), w.SCARD_E_INVALID_VALUE),
        ((SHARED, ANY, 9), w.SCARD_E_INVALID_VALUE),
        ((SHARED, 0, LEAVE), w.SCARD_E_PROTO_MISMATCH),
    ],
    ids=["mode", "eject", "initialization", "protocols"],
)
def test_reconnect_refuses_wrong_numbers(pair, arguments, code):
    with raises(code):
        w.SCardReconnect(pair[0], *arguments)


@pytest.mark.parametrize("initialization", [RESET, UNPOWER], ids=["warm", "cold"])
def test_a_reset_by_reconnecting_ends_what_was_verified_and_the_others_are_told(pair, initialization):
    first, second = pair
    w.SCardTransmit(first, None, SELECT_PIV)
    w.SCardTransmit(first, None, VERIFY_PIV)
    w.SCardReconnect(first, SHARED, ANY, initialization)
    w.SCardTransmit(first, None, SELECT_PIV)
    assert w.SCardTransmit(first, None, VERIFIED_PIV)[:1] == b"\x63"
    with raises(w.SCARD_W_RESET_CARD):
        w.SCardStatus(second)


# --- resets and removals ---------------------------------------------------------------------------------------------

AFTER_A_RESET = {
    "status": w.SCardStatus,
    "transmit": lambda handle: w.SCardTransmit(handle, None, SELECT_PIV),
    "begin": w.SCardBeginTransaction,
}


@pytest.mark.parametrize("call", AFTER_A_RESET)
@pytest.mark.parametrize("disposition", [RESET, UNPOWER, EJECT], ids=["reset", "unpower", "eject"])
def test_a_reset_is_told_to_the_others_until_they_reconnect(pair, call, disposition):
    first, second = pair
    w.SCardDisconnect(first, disposition)
    for _ in range(2):
        with raises(w.SCARD_W_RESET_CARD):
            AFTER_A_RESET[call](second)
    w.SCardReconnect(second, SHARED, ANY, LEAVE)
    AFTER_A_RESET[call](second)


def test_leaving_the_card_resets_nobody(pair):
    first, second = pair
    w.SCardDisconnect(first, LEAVE)
    assert w.SCardTransmit(second, None, SELECT_PIV)[-2:] == b"\x90\x00"


def test_a_handle_that_was_told_of_a_reset_can_be_disconnected(pair):
    first, second = pair
    w.SCardDisconnect(first, RESET)
    assert w.SCardDisconnect(second, LEAVE) is None


@pytest.mark.parametrize("call", AFTER_A_RESET)
@pytest.mark.parametrize("again", [False, True], ids=["gone", "another-card"])
def test_a_card_that_left_is_removed_also_after_another_came(system, pair, call, again):
    system.remove(READER)
    if again:
        system.insert(small_piv())
    for handle in pair:
        with raises(w.SCARD_W_REMOVED_CARD):
            AFTER_A_RESET[call](handle)
    for handle in pair:
        assert w.SCardDisconnect(handle, RESET) is None


def test_reconnecting_takes_the_new_card(system, pair):
    system.remove(READER)
    with raises(w.SCARD_W_REMOVED_CARD):
        w.SCardReconnect(pair[0], SHARED, ANY, LEAVE)
    system.insert(small_piv())
    assert w.SCardReconnect(pair[0], SHARED, ANY, LEAVE) in {1, 2}
    assert w.SCardTransmit(pair[0], None, SELECT_PIV)[-2:] == b"\x90\x00"


def test_a_reader_that_is_gone_is_told(system, pair, context):
    system.unplug(READER)
    with raises(w.SCARD_E_UNKNOWN_READER):
        w.SCardConnect(context, READER, SHARED, ANY)
    w.SCardDisconnect(pair[0], LEAVE)


# --- transactions ----------------------------------------------------------------------------------------------------


def test_begins_and_ends_are_counted(pair):
    first, second = pair
    assert w.SCardBeginTransaction(first) is None
    w.SCardBeginTransaction(first)
    assert w.SCardEndTransaction(first, LEAVE) is None
    with raises(w.SCARD_E_SHARING_VIOLATION):
        w.SCardEndTransaction(second, LEAVE)
    w.SCardEndTransaction(first, LEAVE)
    for handle in pair:
        with raises(w.SCARD_E_NOT_TRANSACTED):
            w.SCardEndTransaction(handle, LEAVE)


@pytest.mark.parametrize("disposition", [LEAVE, RESET, UNPOWER, EJECT], ids=["leave", "reset", "unpower", "eject"])
def test_ending_anothers_transaction_does_nothing_else(pair, disposition):
    first, second = pair
    w.SCardBeginTransaction(first)
    with raises(w.SCARD_E_SHARING_VIOLATION):
        w.SCardEndTransaction(second, disposition)
    assert w.SCardTransmit(first, None, SELECT_PIV)[-2:] == b"\x90\x00"
    w.SCardEndTransaction(first, LEAVE)
    w.SCardStatus(second)


@pytest.mark.parametrize("disposition", [4, -1])
def test_another_disposition_is_no_value_and_leaves_the_transaction(pair, disposition):
    w.SCardBeginTransaction(pair[0])
    with raises(w.SCARD_E_INVALID_VALUE):
        w.SCardEndTransaction(pair[0], disposition)
    with raises(w.SCARD_E_INVALID_VALUE):
        w.SCardDisconnect(pair[0], disposition)
    w.SCardEndTransaction(pair[0], LEAVE)


def test_the_disposition_acts_when_the_outermost_ends(pair):
    first, second = pair
    w.SCardBeginTransaction(first)
    w.SCardBeginTransaction(first)
    w.SCardEndTransaction(first, RESET)
    w.SCardTransmit(first, None, SELECT_PIV)
    w.SCardEndTransaction(first, LEAVE)
    w.SCardBeginTransaction(second)
    w.SCardEndTransaction(second, RESET)
    with raises(w.SCARD_W_RESET_CARD):
        w.SCardTransmit(first, None, SELECT_PIV)
    assert w.SCardTransmit(second, None, SELECT_PIV)[-2:] == b"\x90\x00"


def test_disconnecting_ends_a_transaction_however_deep(pair):
    first, second = pair
    for _ in range(3):
        w.SCardBeginTransaction(first)
    w.SCardDisconnect(first, LEAVE)
    w.SCardBeginTransaction(second)
    w.SCardEndTransaction(second, LEAVE)


def test_others_wait_for_the_transaction_and_are_granted_in_order(pair, context):
    first, second = pair
    third, _ = w.SCardConnect(context, READER, SHARED, ANY)
    order = []
    w.SCardBeginTransaction(first)

    def take(handle, name):
        w.SCardBeginTransaction(handle)
        order.append(name)
        w.SCardEndTransaction(handle, LEAVE)

    threads = []
    for handle, name in ((second, "second"), (third, "third")):
        threads.append(threading.Thread(target=take, args=(handle, name), daemon=True))
        threads[-1].start()
        threads[-1].join(0.1)
        assert threads[-1].is_alive()
    assert not order
    w.SCardEndTransaction(first, LEAVE)
    for thread in threads:
        thread.join(LIMIT)
    assert order == ["second", "third"]


def test_an_exchange_waits_for_anothers_transaction(pair):
    first, second = pair
    w.SCardBeginTransaction(first)
    with aside() as pool:
        waiting = pool.submit(w.SCardTransmit, second, None, SELECT_PIV)
        w.SCardTransmit(first, None, SELECT_PIV)
        w.SCardTransmit(first, None, VERIFY_PIV)
        assert w.SCardTransmit(first, None, VERIFIED_PIV) == b"\x90\x00"
        assert not waiting.done()
        w.SCardEndTransaction(first, LEAVE)
        assert waiting.result(LIMIT)[-2:] == b"\x90\x00"


def test_who_waits_is_told_of_the_reset_or_the_removal(system, pair):
    first, second = pair
    w.SCardBeginTransaction(first)
    with aside() as pool:
        waiting = pool.submit(w.SCardBeginTransaction, second)
        w.SCardEndTransaction(first, RESET)
        assert waiting.exception(LIMIT).code == w.SCARD_W_RESET_CARD
        w.SCardReconnect(second, SHARED, ANY, LEAVE)
        w.SCardBeginTransaction(first)
        waiting = pool.submit(w.SCardBeginTransaction, second)
        system.remove(READER)
        assert waiting.exception(LIMIT).code == w.SCARD_W_REMOVED_CARD


def test_release_ends_the_transaction_another_waits_for(system, card):
    del card
    one, two = (w.SCardEstablishContext(0, system=system) for _ in range(2))
    first, second = (w.SCardConnect(context, READER, SHARED, ANY)[0] for context in (one, two))
    w.SCardBeginTransaction(first)
    with aside() as pool:
        waiting = pool.submit(w.SCardBeginTransaction, second)
        w.SCardReleaseContext(one)
        assert waiting.result(LIMIT) is None


def test_a_transaction_that_sleeps_five_seconds_is_ended_with_a_reset():
    clock = FakeClock()
    with local_system(clock=clock) as system, w.SCardEstablishContext(0) as context:
        system.insert(small_piv())
        first, second = (w.SCardConnect(context, READER, SHARED, ANY)[0] for _ in range(2))
        w.SCardBeginTransaction(first)
        clock.advance(4.5)
        w.SCardTransmit(first, None, SELECT_PIV)
        clock.advance(4.5)
        w.SCardTransmit(first, None, VERIFY_PIV)
        clock.advance(5.5)
        with raises(w.SCARD_W_RESET_CARD):
            w.SCardTransmit(first, None, VERIFIED_PIV)
        with raises(w.SCARD_W_RESET_CARD):
            w.SCardBeginTransaction(second)
        w.SCardReconnect(second, SHARED, ANY, LEAVE)
        w.SCardBeginTransaction(second)
        w.SCardTransmit(second, None, SELECT_PIV)
        assert w.SCardTransmit(second, None, VERIFIED_PIV)[:1] == b"\x63"


# --- exchanges -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 3])
def test_fewer_than_four_bytes_are_no_command(pair, length):
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardTransmit(pair[0], None, bytes(length))


def test_the_protocol_of_an_exchange_is_the_active_one(card, context):
    handle, protocol = w.SCardConnect(context, READER, SHARED, ANY)
    assert w.SCardTransmit(handle, protocol, SELECT_PIV)[-2:] == b"\x90\x00"
    card.counter.clear()
    for other in {w.SCARD_PCI_T0, w.SCARD_PCI_T1, w.SCARD_PCI_RAW} - {protocol}:
        with raises(w.SCARD_E_PROTO_MISMATCH):
            w.SCardTransmit(handle, other, SELECT_PIV)
    assert card.counter.exchanges == 0


def test_the_whole_response_comes_back_with_its_status_word(card, context):
    handle, _ = w.SCardConnect(context, READER, SHARED, ANY)
    response = w.SCardTransmit(handle, None, SELECT_PIV, None)
    assert response == card.process(SELECT_PIV)
    assert w.SCardTransmit(handle, None, bytes.fromhex("00E40000"))[-2:] in {b"\x6d\x00", b"\x6e\x00"}


def test_control_answers_the_feature_request_with_an_empty_list(pair):
    assert w.SCardControl(pair[0], w.CM_IOCTL_GET_FEATURE_REQUEST) == b""
    assert w.SCardControl(pair[0], dwControlCode=w.CM_IOCTL_GET_FEATURE_REQUEST, lpInBuffer=b"") == b""
    for code in (w.SCARD_CTL_CODE(1), 0x42000001):
        with raises(w.SCARD_E_UNSUPPORTED_FEATURE):
            w.SCardControl(pair[0], code, b"x")
