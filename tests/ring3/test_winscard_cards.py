"""The resource manager's face: connections, transactions, exchanges and attributes, in one thread."""

from __future__ import annotations

import pytest

from calais import __version__
from calais.testing import FakeClock, local_system
from calais.testing.echo import INS_ECHO, INS_IS_VERIFIED, INS_VERIFY, EchoCard
from calais.win.errors import WinError
from calais.winapi import winscard as w

DESK = "Desk 7"
T1, TX = w.SCARD_PROTOCOL_T1, w.SCARD_PROTOCOL_Tx
SHARED, EXCLUSIVE, DIRECT = w.SCARD_SHARE_SHARED, w.SCARD_SHARE_EXCLUSIVE, w.SCARD_SHARE_DIRECT
LEAVE, RESET, UNPOWER, EJECT = range(4)
HELLO = bytes([0, INS_ECHO, 0, 0, 2]) + b"hi"
VERIFY = bytes([0, INS_VERIFY, 0, 0, 1]) + b"1"
IS_VERIFIED = bytes([0, INS_IS_VERIFIED, 0, 0])


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def system(clock):
    with local_system(clock=clock) as system:
        yield system


@pytest.fixture
def card(system):
    card = EchoCard()
    system.insert(card, DESK)
    return card


@pytest.fixture
def context(system):
    with w.SCardEstablishContext(0) as context:
        yield context


@pytest.fixture
def pair(context, card):
    """Two shared handles on one card."""
    return [w.SCardConnect(context, DESK, SHARED, TX)[0] for _ in range(2)]


def code_of(call, *arguments):
    with pytest.raises(WinError) as caught:
        call(*arguments)
    return caught.value.code


# --- connecting


def test_a_connection_says_its_protocol(context, card):
    handle, protocol = w.SCardConnect(context, DESK.upper(), SHARED, TX)
    assert protocol == T1
    assert w.SCardStatus(handle) == ([DESK], w.SCARD_SPECIFIC, T1, card.atr)
    assert w.SCardDisconnect(handle, LEAVE) is None
    assert code_of(w.SCardDisconnect, handle, LEAVE) == w.ERROR_INVALID_HANDLE
    assert code_of(w.SCardStatus, handle) == w.ERROR_INVALID_HANDLE


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("Nowhere", SHARED, TX), w.SCARD_E_UNKNOWN_READER),
        (("", SHARED, TX), w.SCARD_E_INVALID_PARAMETER),
        ((DESK, 0, TX), w.SCARD_E_INVALID_VALUE),
        ((DESK, 4, TX), w.SCARD_E_INVALID_VALUE),
        ((DESK, SHARED, 0), w.SCARD_E_PROTO_MISMATCH),
        ((DESK, SHARED, w.SCARD_PROTOCOL_T0), w.SCARD_E_PROTO_MISMATCH),
        ((DESK, SHARED, w.SCARD_PROTOCOL_RAW), w.SCARD_E_PROTO_MISMATCH),
        ((DESK, SHARED, -1), w.SCARD_E_INVALID_PARAMETER),
    ],
    ids=["unknown", "no-name", "share-0", "share-4", "no-protocol", "T0", "raw", "negative"],
)
def test_what_cannot_be_connected_is_refused(context, card, arguments, code):
    assert code_of(w.SCardConnect, context, *arguments) == code
    assert card.exchanges_total == 0
    w.SCardDisconnect(w.SCardConnect(context, DESK, EXCLUSIVE, TX)[0], LEAVE)


def test_an_empty_reader_takes_only_direct_connections(system, context):
    system.plug(DESK)
    assert code_of(w.SCardConnect, context, DESK, SHARED, TX) == w.SCARD_W_REMOVED_CARD
    assert code_of(w.SCardConnect, context, DESK, EXCLUSIVE, TX) == w.SCARD_W_REMOVED_CARD
    handle, protocol = w.SCardConnect(context, DESK, DIRECT, 0)
    assert protocol == 0
    assert w.SCardStatus(handle) == ([DESK], w.SCARD_ABSENT, 0, b"")
    assert code_of(w.SCardTransmit, handle, None, HELLO) == w.SCARD_E_NO_SMARTCARD
    system.insert(EchoCard(), DESK)
    assert w.SCardStatus(handle)[1:3] == (w.SCARD_NEGOTIABLE, 0)
    assert w.SCardReconnect(handle, SHARED, TX, LEAVE) == T1
    assert w.SCardTransmit(handle, None, HELLO) == b"hi\x90\x00"


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        (SHARED, SHARED, True),
        (SHARED, DIRECT, True),
        (SHARED, EXCLUSIVE, False),
        (EXCLUSIVE, SHARED, False),
        (EXCLUSIVE, EXCLUSIVE, False),
        (EXCLUSIVE, DIRECT, False),
        (DIRECT, EXCLUSIVE, False),
        (DIRECT, SHARED, True),
    ],
)
def test_exclusive_excludes_everybody(context, card, first, second, fits):
    with w.SCardConnect(context, DESK, first, TX)[0]:
        if fits:
            w.SCardConnect(context, DESK, second, TX)
        else:
            assert code_of(w.SCardConnect, context, DESK, second, TX) == w.SCARD_E_SHARING_VIOLATION
    if not fits:
        w.SCardConnect(context, DESK, second, TX)


def test_share_modes_hold_between_contexts(system, context, card):
    with w.SCardEstablishContext(0) as other:
        w.SCardConnect(other, DESK, EXCLUSIVE, TX)
        assert code_of(w.SCardConnect, context, DESK, SHARED, TX) == w.SCARD_E_SHARING_VIOLATION
    w.SCardConnect(context, DESK, SHARED, TX)


def test_an_exclusive_handle_keeps_the_system_s_own_drivers_out(system, context, card):
    with w.SCardConnect(context, DESK, EXCLUSIVE, TX)[0] as handle:
        assert code_of(system.card, DESK) == w.SCARD_E_SHARING_VIOLATION
        assert w.SCardTransmit(handle, None, HELLO) == b"hi\x90\x00"
    assert code_of(system.card, DESK) == w.SCARD_E_UNKNOWN_CARD


# --- reconnecting


def test_share_modes_change_when_nobody_else_is_there(context, pair):
    one, two = pair
    assert code_of(w.SCardReconnect, one, EXCLUSIVE, TX, LEAVE) == w.SCARD_E_SHARING_VIOLATION
    w.SCardDisconnect(two, LEAVE)
    assert w.SCardReconnect(one, EXCLUSIVE, TX, LEAVE) == T1
    assert code_of(w.SCardConnect, context, DESK, SHARED, TX) == w.SCARD_E_SHARING_VIOLATION
    assert w.SCardReconnect(one, SHARED, T1, LEAVE) == T1
    w.SCardConnect(context, DESK, SHARED, TX)


def test_a_failed_reconnect_changes_nothing(context, pair):
    one, two = pair
    assert code_of(w.SCardReconnect, one, SHARED, w.SCARD_PROTOCOL_T0, LEAVE) == w.SCARD_E_PROTO_MISMATCH
    assert code_of(w.SCardReconnect, one, 9, TX, LEAVE) == w.SCARD_E_INVALID_VALUE
    assert code_of(w.SCardReconnect, one, SHARED, TX, EJECT) == w.SCARD_E_INVALID_VALUE
    assert w.SCardTransmit(one, None, HELLO) == w.SCardTransmit(two, None, HELLO)


def test_direct_after_direct_has_no_protocol_and_after_shared_keeps_it(context, pair, card):
    handle = w.SCardConnect(context, DESK, DIRECT, 0)[0]
    assert w.SCardReconnect(handle, DIRECT, TX, LEAVE) == 0
    assert w.SCardReconnect(pair[0], DIRECT, 0, LEAVE) == T1
    assert w.SCardTransmit(pair[0], None, HELLO) == b"hi\x90\x00"


@pytest.mark.parametrize("how", [RESET, UNPOWER])
def test_a_reconnect_that_resets_is_seen_by_the_others(pair, card, how):
    one, two = pair
    w.SCardTransmit(one, None, VERIFY)
    assert w.SCardReconnect(one, SHARED, TX, how) == T1
    assert w.SCardTransmit(one, None, IS_VERIFIED) == b"\x69\x82"
    assert code_of(w.SCardStatus, two) == w.SCARD_W_RESET_CARD


# --- resets and removals


@pytest.mark.parametrize("disposition", [RESET, UNPOWER, EJECT])
@pytest.mark.parametrize("end", ["disconnect", "end of a transaction"])
def test_a_reset_is_seen_by_every_other_handle_until_it_reconnects(pair, card, disposition, end):
    one, two = pair
    w.SCardTransmit(one, None, VERIFY)
    if end == "disconnect":
        w.SCardDisconnect(one, disposition)
    else:
        w.SCardBeginTransaction(one)
        w.SCardEndTransaction(one, disposition)
        assert w.SCardTransmit(one, None, IS_VERIFIED) == b"\x69\x82"
    for call in (
        lambda: w.SCardStatus(two),
        lambda: w.SCardTransmit(two, None, HELLO),
        lambda: w.SCardBeginTransaction(two),
        lambda: w.SCardEndTransaction(two, LEAVE),
        lambda: w.SCardGetAttrib(two, w.SCARD_ATTR_VENDOR_NAME),
        lambda: w.SCardControl(two, w.CM_IOCTL_GET_FEATURE_REQUEST),
    ):
        assert code_of(call) == w.SCARD_W_RESET_CARD
    assert w.SCardReconnect(two, SHARED, TX, LEAVE) == T1
    assert w.SCardTransmit(two, None, HELLO) == b"hi\x90\x00"


def test_leaving_the_card_is_no_reset(pair, card):
    one, two = pair
    w.SCardTransmit(one, None, VERIFY)
    w.SCardDisconnect(one, LEAVE)
    assert w.SCardTransmit(two, None, IS_VERIFIED) == b"\x90\x00"


def test_a_handle_with_a_reset_pending_may_be_disconnected(pair):
    one, two = pair
    w.SCardDisconnect(one, RESET)
    assert w.SCardDisconnect(two, LEAVE) is None


def test_a_card_that_left_is_gone_also_after_another_came(system, pair, card):
    one, two = pair
    w.SCardBeginTransaction(one)
    for come_back in (False, True):
        if come_back:
            system.insert(EchoCard(), DESK)
        else:
            system.remove(DESK)
        for handle in pair:
            assert code_of(w.SCardStatus, handle) == w.SCARD_W_REMOVED_CARD
            assert code_of(w.SCardTransmit, handle, None, HELLO) == w.SCARD_W_REMOVED_CARD
            assert code_of(w.SCardBeginTransaction, handle) == w.SCARD_W_REMOVED_CARD
            assert code_of(w.SCardEndTransaction, handle, LEAVE) == w.SCARD_W_REMOVED_CARD
    assert w.SCardReconnect(one, SHARED, TX, LEAVE) == T1
    assert w.SCardTransmit(one, None, HELLO) == b"hi\x90\x00"
    assert w.SCardDisconnect(two, RESET) is None


def test_a_reconnect_without_a_card_says_so(system, pair, card):
    system.remove(DESK)
    assert code_of(w.SCardReconnect, pair[0], SHARED, TX, LEAVE) == w.SCARD_W_REMOVED_CARD


def test_the_same_card_comes_back_free(system, context, pair, card):
    w.SCardBeginTransaction(pair[0])
    system.remove(DESK)
    system.insert(card, DESK)
    handle, _ = w.SCardConnect(context, DESK, SHARED, TX)
    assert code_of(w.SCardStatus, pair[0]) == w.SCARD_W_REMOVED_CARD
    w.SCardBeginTransaction(handle)
    assert w.SCardTransmit(handle, None, HELLO) == b"hi\x90\x00"


def test_an_unplugged_reader_is_gone_with_its_card(system, context, pair):
    system.unplug(DESK)
    assert code_of(w.SCardStatus, pair[0]) == w.SCARD_W_REMOVED_CARD
    assert code_of(w.SCardConnect, context, DESK, SHARED, TX) == w.SCARD_E_UNKNOWN_READER


# --- transactions


def test_transactions_are_counted(pair, card):
    one, two = pair
    assert code_of(w.SCardEndTransaction, one, LEAVE) == w.SCARD_E_NOT_TRANSACTED
    for _ in range(3):
        w.SCardBeginTransaction(one)
    for _ in range(3):
        assert code_of(w.SCardEndTransaction, two, RESET) == w.SCARD_E_SHARING_VIOLATION
        w.SCardEndTransaction(one, LEAVE)
    assert code_of(w.SCardEndTransaction, two, LEAVE) == w.SCARD_E_NOT_TRANSACTED
    w.SCardBeginTransaction(two)
    w.SCardEndTransaction(two, LEAVE)


def test_the_disposition_acts_when_the_outermost_one_ends(pair, card):
    one, two = pair
    before = card.resets
    w.SCardBeginTransaction(one)
    w.SCardBeginTransaction(one)
    w.SCardEndTransaction(one, RESET)
    assert card.resets == before
    w.SCardEndTransaction(one, RESET)
    assert card.resets == before + 1
    assert code_of(w.SCardStatus, two) == w.SCARD_W_RESET_CARD
    assert w.SCardStatus(one).state == w.SCARD_SPECIFIC


@pytest.mark.parametrize("disposition", [4, -1, None], ids=str)
def test_another_disposition_is_refused_before_anything_happens(pair, disposition):
    one, _ = pair
    w.SCardBeginTransaction(one)
    assert code_of(w.SCardEndTransaction, one, disposition) == w.SCARD_E_INVALID_VALUE
    assert code_of(w.SCardDisconnect, one, disposition) == w.SCARD_E_INVALID_VALUE
    w.SCardEndTransaction(one, LEAVE)


def test_disconnecting_ends_the_transaction_however_deep(pair):
    one, two = pair
    w.SCardBeginTransaction(one)
    w.SCardBeginTransaction(one)
    with one:
        w.SCardTransmit(one, None, HELLO)
    assert w.SCardTransmit(two, None, HELLO) == b"hi\x90\x00"


def test_releasing_the_context_ends_only_its_own_transactions(system, context, card):
    mine = w.SCardConnect(context, DESK, SHARED, TX)[0]
    with w.SCardEstablishContext(0) as other:
        theirs = w.SCardConnect(other, DESK, SHARED, TX)[0]
        w.SCardBeginTransaction(mine)
    assert code_of(w.SCardStatus, theirs) == w.ERROR_INVALID_HANDLE
    w.SCardEndTransaction(mine, LEAVE)


def test_an_idle_transaction_ends_with_a_reset_after_five_seconds(pair, card, clock):
    one, two = pair
    w.SCardTransmit(one, None, VERIFY)
    w.SCardBeginTransaction(one)
    for _ in range(3):
        clock.advance(4.9)
        w.SCardTransmit(one, None, HELLO)
    clock.advance(5.1)
    assert code_of(w.SCardTransmit, one, None, HELLO) == w.SCARD_W_RESET_CARD
    assert code_of(w.SCardTransmit, two, None, HELLO) == w.SCARD_W_RESET_CARD
    w.SCardReconnect(two, SHARED, TX, LEAVE)
    assert w.SCardTransmit(two, None, IS_VERIFIED) == b"\x69\x82"
    w.SCardReconnect(one, SHARED, TX, LEAVE)
    assert code_of(w.SCardEndTransaction, one, LEAVE) == w.SCARD_E_NOT_TRANSACTED


def test_a_new_transaction_has_five_seconds_of_its_own(pair, clock):
    one, _ = pair
    for _ in range(3):
        w.SCardBeginTransaction(one)
        clock.advance(3)
        w.SCardEndTransaction(one, LEAVE)
    w.SCardBeginTransaction(one)
    clock.advance(4)
    assert w.SCardTransmit(one, None, HELLO) == b"hi\x90\x00"


# --- exchanges


def test_the_whole_answer_comes_back_as_it_is(pair):
    assert w.SCardTransmit(pair[0], w.SCARD_PCI_T1, HELLO) == b"hi\x90\x00"
    assert w.SCardTransmit(pair[0], None, bytearray(HELLO), None) == b"hi\x90\x00"
    assert w.SCardTransmit(pair[0], pioSendPci=None, pbSendBuffer=b"\0\x99\0\0") == b"\x6d\x00"


@pytest.mark.parametrize(
    ("pci", "command", "code"),
    [
        (w.SCARD_PCI_T0, HELLO, w.SCARD_E_PROTO_MISMATCH),
        (w.SCARD_PCI_RAW, HELLO, w.SCARD_E_PROTO_MISMATCH),
        (None, HELLO[:3], w.SCARD_E_INVALID_PARAMETER),
        (None, b"", w.SCARD_E_INVALID_PARAMETER),
        (None, "text", w.SCARD_E_INVALID_PARAMETER),
        (-1, HELLO, w.SCARD_E_INVALID_PARAMETER),
    ],
    ids=["T0", "raw", "three-bytes", "empty", "text", "pci"],
)
def test_what_cannot_be_sent_is_refused_before_it_is(pair, card, pci, command, code):
    assert code_of(w.SCardTransmit, pair[0], pci, command) == code
    assert card.exchanges_total == 0


def test_a_direct_connection_has_agreed_on_nothing_to_send_with(context, card):
    handle = w.SCardConnect(context, DESK, DIRECT, 0)[0]
    assert code_of(w.SCardTransmit, handle, None, HELLO) == w.SCARD_E_PROTO_MISMATCH


# --- control and attributes


def test_a_virtual_reader_has_no_features(pair):
    assert w.SCardControl(pair[0], w.CM_IOCTL_GET_FEATURE_REQUEST) == b""
    assert w.SCardControl(pair[0], w.SCARD_CTL_CODE(3400), b"x") == b""
    assert code_of(w.SCardControl, pair[0], w.SCARD_CTL_CODE(1)) == w.SCARD_E_UNSUPPORTED_FEATURE
    assert code_of(w.SCardControl, pair[0], w.IOCTL_SMARTCARD_GET_ATTRIBUTE, b"") == w.SCARD_E_UNSUPPORTED_FEATURE


def test_attributes_have_the_types_of_their_rows(pair, card):
    major, minor, build = (int(part) for part in ([*__version__.split("+")[0].split("."), "0", "0"])[:3])
    wanted = {
        w.SCARD_ATTR_VENDOR_NAME: "Calais",
        w.SCARD_ATTR_VENDOR_IFD_TYPE: "Virtual Reader",
        w.SCARD_ATTR_VENDOR_IFD_VERSION: major << 24 | minor << 16 | build,
        w.SCARD_ATTR_VENDOR_IFD_SERIAL_NO: "7",
        w.SCARD_ATTR_PROTOCOL_TYPES: 3,
        w.SCARD_ATTR_MAX_IFSD: 254,
        w.SCARD_ATTR_CHARACTERISTICS: 0,
        w.SCARD_ATTR_CURRENT_PROTOCOL_TYPE: T1,
        w.SCARD_ATTR_ICC_PRESENCE: 2,
        w.SCARD_ATTR_ICC_INTERFACE_STATUS: 1,
        w.SCARD_ATTR_ATR_STRING: card.atr,
        w.SCARD_ATTR_ICC_TYPE_PER_ATR: 1,
        w.SCARD_ATTR_DEVICE_UNIT: 7,
        w.SCARD_ATTR_DEVICE_IN_USE: 1,
        w.SCARD_ATTR_DEVICE_FRIENDLY_NAME: DESK,
        w.SCARD_ATTR_DEVICE_FRIENDLY_NAME_A: DESK,
        w.SCARD_ATTR_DEVICE_SYSTEM_NAME: DESK,
        w.SCARD_ATTR_DEVICE_SYSTEM_NAME_A: DESK,
        w.SCARD_ATTR_SUPRESS_T1_IFS_REQUEST: 0,
    }
    assert {number: w.SCardGetAttrib(pair[0], number) for number in wanted} == wanted


def test_attributes_of_an_empty_reader(system, context):
    system.plug(DESK)
    handle = w.SCardConnect(context, DESK, DIRECT, 0)[0]
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_ICC_PRESENCE) == 0
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_ICC_INTERFACE_STATUS) == 0
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_CURRENT_PROTOCOL_TYPE) == 0
    assert code_of(w.SCardGetAttrib, handle, w.SCARD_ATTR_ATR_STRING) == w.SCARD_W_REMOVED_CARD


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (w.SCARD_ATTR_CHANNEL_ID, w.SCARD_E_UNSUPPORTED_FEATURE),
        (0x12345678, w.SCARD_E_UNSUPPORTED_FEATURE),
        (1 << 32, w.SCARD_E_INVALID_PARAMETER),
        (-1, w.SCARD_E_INVALID_PARAMETER),
    ],
    ids=["not-virtual", "unlisted", "33-bits", "negative"],
)
def test_an_attribute_that_is_not_there_is_refused(pair, number, code):
    assert code_of(w.SCardGetAttrib, pair[0], number) == code
    assert code_of(w.SCardSetAttrib, pair[0], number, b"") == code


def test_two_attributes_can_be_set(pair):
    one, two = pair
    w.SCardSetAttrib(one, w.SCARD_ATTR_DEVICE_FRIENDLY_NAME, "The one on the left")
    w.SCardSetAttrib(one, w.SCARD_ATTR_SUPRESS_T1_IFS_REQUEST, 1)
    assert w.SCardGetAttrib(two, w.SCARD_ATTR_DEVICE_FRIENDLY_NAME) == "The one on the left"
    assert w.SCardGetAttrib(two, w.SCARD_ATTR_SUPRESS_T1_IFS_REQUEST) == 1
    assert w.SCardGetAttrib(two, w.SCARD_ATTR_DEVICE_SYSTEM_NAME) == DESK
    assert code_of(w.SCardSetAttrib, one, w.SCARD_ATTR_DEVICE_FRIENDLY_NAME, 1) == w.SCARD_E_INVALID_PARAMETER
    assert code_of(w.SCardSetAttrib, one, w.SCARD_ATTR_SUPRESS_T1_IFS_REQUEST, "1") == w.SCARD_E_INVALID_PARAMETER
    assert code_of(w.SCardSetAttrib, one, w.SCARD_ATTR_VENDOR_NAME, "x") == w.SCARD_E_UNSUPPORTED_FEATURE
