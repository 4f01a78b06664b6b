"""The resource manager's face: contexts, readers, groups, aliases, and waiting for readers (without threads)."""

from __future__ import annotations

import pytest

from calais.testing import local_system
from calais.testing.echo import EchoCard
from calais.win.errors import WinError
from calais.winapi import winscard as w
from calais.winapi.winscard import ReaderState

DESK, PNP = "Desk 1", "\\\\?PnP?\\Notification"


@pytest.fixture
def system():
    with local_system() as system:
        yield system


@pytest.fixture
def context(system):
    with w.SCardEstablishContext(w.SCARD_SCOPE_USER) as context:
        yield context


def code_of(call, *arguments):
    with pytest.raises(WinError) as caught:
        call(*arguments)
    return caught.value.code


# --- contexts


@pytest.mark.parametrize("scope", [0, 1, 2])
def test_every_scope_opens_a_context(system, scope):
    context = w.SCardEstablishContext(scope)
    assert w.SCardIsValidContext(context) is None
    assert w.SCardReleaseContext(context) is None
    assert code_of(w.SCardIsValidContext, context) == w.ERROR_INVALID_HANDLE
    assert code_of(w.SCardReleaseContext, context) == w.ERROR_INVALID_HANDLE


@pytest.mark.parametrize("scope", [3, -1, None, "0", True], ids=str)
def test_another_scope_is_refused(system, scope):
    assert code_of(w.SCardEstablishContext, scope) == w.SCARD_E_INVALID_VALUE


@pytest.mark.parametrize("arguments", [(0, 1), (0, None, b"")], ids=["first", "second"])
def test_reserved_arguments_are_reserved(system, arguments):
    assert code_of(w.SCardEstablishContext, *arguments) == w.SCARD_E_INVALID_PARAMETER


@pytest.mark.parametrize("handle", [None, 0, 1, "x", object()], ids=["NULL", "zero", "one", "text", "object"])
@pytest.mark.parametrize(
    "call",
    [
        w.SCardReleaseContext,
        w.SCardIsValidContext,
        w.SCardCancel,
        lambda h: w.SCardGetStatusChange(h, 0, []),
        lambda h: w.SCardConnect(h, "x", 2, 3),
        lambda h: w.SCardIntroduceReaderGroup(h, "g"),
        lambda h: w.SCardForgetReaderGroup(h, "g"),
        lambda h: w.SCardIntroduceReader(h, "a", "b"),
        lambda h: w.SCardForgetReader(h, "a"),
        lambda h: w.SCardAddReaderToGroup(h, "a", "b"),
        lambda h: w.SCardRemoveReaderFromGroup(h, "a", "b"),
        lambda h: w.SCardIntroduceCardType(h, "c"),
        lambda h: w.SCardForgetCardType(h, "c"),
        lambda h: w.SCardSetCardTypeProviderName(h, "c", 2, "p"),
        lambda h: w.SCardLocateCards(h, "c", []),
        lambda h: w.SCardLocateCardsByATR(h, [], []),
        lambda h: w.SCardReadCache(h, bytes(16), 0, "n"),
        lambda h: w.SCardWriteCache(h, bytes(16), 0, "n", b""),
        lambda h: w.SCardReconnect(h, 2, 3, 0),
        lambda h: w.SCardDisconnect(h, 0),
        w.SCardBeginTransaction,
        lambda h: w.SCardEndTransaction(h, 0),
        w.SCardStatus,
        lambda h: w.SCardTransmit(h, None, bytes(4)),
        lambda h: w.SCardControl(h, 0),
        lambda h: w.SCardGetAttrib(h, 0),
        lambda h: w.SCardSetAttrib(h, 0, 0),
    ],
    ids=range(27),
)
def test_what_is_no_handle_is_invalid(system, call, handle):
    with pytest.raises(WinError) as caught:
        call(handle)
    assert caught.value.code == w.ERROR_INVALID_HANDLE
    assert caught.value.detail == "The handle is invalid."


def test_six_functions_take_no_context_and_ask_the_current_system(system):
    system.plug(DESK)
    assert w.SCardListReaders() == [DESK]
    assert w.SCardListReaders(0) == [DESK]
    assert w.SCardListReaderGroups() == [w.SCARD_DEFAULT_READERS]
    name = w.SCardListCards()[0]
    assert w.SCardListInterfaces(None, name) == []
    assert w.SCardGetCardTypeProviderName(None, name, w.SCARD_PROVIDER_CARD_MODULE) == "msclmd.dll"
    assert code_of(w.SCardGetProviderId, None, name) == w.ERROR_FILE_NOT_FOUND
    assert code_of(w.SCardListReaders, object()) == w.ERROR_INVALID_HANDLE


def test_a_context_is_bound_to_its_system():
    with local_system() as one, local_system() as other:
        one.plug(DESK)
        with w.SCardEstablishContext(0, system=one) as context:
            assert w.SCardListReaders(context) == [DESK]
        with w.SCardEstablishContext(0) as context:
            assert code_of(w.SCardListReaders, context) == w.SCARD_E_NO_READERS_AVAILABLE
        assert other.readers() == []


def test_closing_the_system_releases_its_contexts(system):
    inner = local_system()
    with inner:
        inner.insert(EchoCard(), DESK)
        context = w.SCardEstablishContext(0)
        handle, _ = w.SCardConnect(context, DESK, 2, 3)
    assert code_of(w.SCardIsValidContext, context) == w.ERROR_INVALID_HANDLE
    assert code_of(w.SCardStatus, handle) == w.ERROR_INVALID_HANDLE


# --- readers, groups, aliases


def test_readers_and_aliases_are_listed_in_order_of_arrival(system, context):
    system.plug("B")
    w.SCardIntroduceReader(context, "Alias", "b")
    system.plug("A")
    assert w.SCardListReaders(context) == ["B", "Alias", "A"]
    assert w.SCardListReaders(context, w.SCARD_ALL_READERS) == ["B", "Alias", "A"]
    assert w.SCardListReaders(context, [w.SCARD_DEFAULT_READERS]) == ["B", "Alias", "A"]
    system.unplug("B")
    assert w.SCardListReaders(context) == ["A"]


def test_a_group_is_there_as_long_as_it_has_a_reader(system, context):
    system.plug("A")
    system.plug("B")
    w.SCardIntroduceReaderGroup(context, "Zoo")
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders"]
    w.SCardAddReaderToGroup(context, "a", "Zoo")
    w.SCardAddReaderToGroup(context, "A", "zoo")
    w.SCardAddReaderToGroup(context, "B", "Ark")
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders", "Ark", "Zoo"]
    assert w.SCardListReaders(context, "ZOO") == ["A"]
    assert w.SCardListReaders(context, ("Zoo", "Ark")) == ["A", "B"]
    w.SCardRemoveReaderFromGroup(context, "A", "Zoo")
    w.SCardRemoveReaderFromGroup(context, "A", "Zoo")
    w.SCardRemoveReaderFromGroup(context, "A", "Nowhere")
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders", "Ark"]
    w.SCardForgetReaderGroup(context, "ARK")
    w.SCardForgetReaderGroup(context, "ARK")
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders"]
    assert code_of(w.SCardListReaders, context, "Ark") == w.SCARD_E_NO_READERS_AVAILABLE
    assert w.SCardListReaders(context) == ["A", "B"]


def test_a_reader_may_leave_the_default_group_and_come_back(system, context):
    system.plug("A")
    w.SCardRemoveReaderFromGroup(context, "A", w.SCARD_DEFAULT_READERS)
    assert code_of(w.SCardListReaders, context, w.SCARD_DEFAULT_READERS) == w.SCARD_E_NO_READERS_AVAILABLE
    w.SCardAddReaderToGroup(context, "A", w.SCARD_DEFAULT_READERS)
    assert w.SCardListReaders(context, w.SCARD_DEFAULT_READERS) == ["A"]


@pytest.mark.parametrize(
    "group", [w.SCARD_ALL_READERS, w.SCARD_DEFAULT_READERS, w.SCARD_LOCAL_READERS, "scard$systemreaders", "", None]
)
def test_the_groups_that_always_exist_and_no_name_cannot_be_made_or_forgotten(context, group):
    assert code_of(w.SCardIntroduceReaderGroup, context, group) == w.SCARD_E_INVALID_PARAMETER
    assert code_of(w.SCardForgetReaderGroup, context, group) == w.SCARD_E_INVALID_PARAMETER


def test_another_group_with_the_prefix_is_a_users_group(system, context):
    system.plug("A")
    w.SCardIntroduceReaderGroup(context, "SCard$Mine")
    w.SCardAddReaderToGroup(context, "A", "SCard$Mine")
    assert w.SCardListReaderGroups(context)[1:] == ["SCard$Mine"]


def test_aliases_are_made_used_and_forgotten(system, context):
    system.insert(EchoCard(), DESK)
    w.SCardIntroduceReader(context, "Mine", DESK)
    w.SCardAddReaderToGroup(context, "mine", "Group")
    assert w.SCardListReaders(context, "Group") == ["Mine"]
    with w.SCardConnect(context, "MINE", 2, 3)[0] as handle:
        assert w.SCardStatus(handle).reader_names == ["Mine"]
        assert code_of(w.SCardConnect, context, DESK, 1, 3) == w.SCARD_E_SHARING_VIOLATION
    (state,) = w.SCardGetStatusChange(context, 0, [ReaderState("mine")])
    assert state.event_state & w.SCARD_STATE_PRESENT
    w.SCardForgetReader(context, "mine")
    assert w.SCardListReaders(context) == [DESK]
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders"]
    assert code_of(w.SCardForgetReader, context, "mine") == w.SCARD_E_UNKNOWN_READER


def test_what_cannot_be_an_alias_is_refused(system, context):
    system.plug(DESK)
    assert code_of(w.SCardIntroduceReader, context, DESK.upper(), DESK) == w.SCARD_E_DUPLICATE_READER
    assert code_of(w.SCardIntroduceReader, context, "Mine", "Nowhere") == w.SCARD_E_UNKNOWN_READER
    w.SCardIntroduceReader(context, "Mine", DESK)
    assert code_of(w.SCardIntroduceReader, context, "mine", DESK) == w.SCARD_E_DUPLICATE_READER
    assert code_of(w.SCardForgetReader, context, DESK) == w.SCARD_E_INVALID_PARAMETER
    assert code_of(w.SCardIntroduceReader, context, "", DESK) == w.SCARD_E_INVALID_PARAMETER


def test_an_unknown_reader_has_no_groups(context):
    assert code_of(w.SCardAddReaderToGroup, context, "x", "g") == w.SCARD_E_UNKNOWN_READER
    assert code_of(w.SCardRemoveReaderFromGroup, context, "x", "g") == w.SCARD_E_UNKNOWN_READER


def test_an_alias_of_a_reader_that_went_is_unavailable(system, context):
    system.insert(EchoCard(), DESK)
    w.SCardIntroduceReader(context, "Mine", DESK)
    system.unplug(DESK)
    assert code_of(w.SCardConnect, context, "Mine", 2, 3) == w.SCARD_E_READER_UNAVAILABLE
    (state,) = w.SCardGetStatusChange(context, 0, [ReaderState("Mine")])
    gone = w.SCARD_STATE_UNKNOWN | w.SCARD_STATE_UNAVAILABLE | w.SCARD_STATE_CHANGED
    assert state.event_state == gone


def test_groups_and_aliases_belong_to_the_user(tmp_path):
    for turn in range(2):
        with local_system(tmp_path) as system, w.SCardEstablishContext(0) as context:
            system.plug(DESK)
            if turn == 0:
                w.SCardIntroduceReader(context, "Mine", DESK)
                w.SCardAddReaderToGroup(context, "Mine", "Group")
            assert w.SCardListReaders(context, "Group") == ["Mine"]


# --- waiting


def look(context, *states, timeout=0):
    return w.SCardGetStatusChange(context, timeout, [ReaderState(*state) for state in states])


def missed(context, *states, timeout=0):
    with pytest.raises(WinError) as caught:
        look(context, *states, timeout=timeout)
    return caught.value.code, [state.event_state for state in caught.value.reader_states]


def test_no_readers_is_an_answer_at_once(context):
    assert w.SCardGetStatusChange(context, w.INFINITE, []) == []


def test_unaware_is_told_at_once(system, context):
    card, mark = EchoCard(), object()
    system.insert(card, DESK)
    system.plug("Empty")
    full, empty = look(context, ("DESK 1", mark), ("Empty",), timeout=w.INFINITE)
    assert (full.reader, full.user_data, full.atr) == ("DESK 1", mark, card.atr)
    assert full.event_state == 0x10000 | w.SCARD_STATE_PRESENT | w.SCARD_STATE_CHANGED
    assert (empty.event_state, empty.atr) == (w.SCARD_STATE_EMPTY | w.SCARD_STATE_CHANGED, b"")


def test_nothing_new_is_a_timeout_with_the_real_states(system, context):
    system.insert(EchoCard(), DESK)
    present = w.SCARD_STATE_PRESENT
    for believed in (present, 0x10000 | present, 0x10002 | present):
        assert missed(context, (DESK, None, believed), timeout=20) == (w.SCARD_E_TIMEOUT, [0x10000 | present])


def test_another_state_or_counter_is_a_change(system, context):
    system.insert(EchoCard(), DESK)
    for believed in (w.SCARD_STATE_EMPTY, 0x20000 | w.SCARD_STATE_PRESENT, w.SCARD_STATE_PRESENT | w.SCARD_STATE_INUSE):
        (state,) = look(context, (DESK, None, believed))
        assert state.event_state == 0x10000 | w.SCARD_STATE_PRESENT | w.SCARD_STATE_CHANGED


def test_every_insertion_and_removal_is_counted(system, context):
    for _ in range(3):
        system.insert(EchoCard(), DESK)
        system.remove(DESK)
    assert look(context, (DESK,))[0].event_state >> 16 == 6


def test_an_ignored_reader_is_left_alone(system, context):
    system.plug(DESK)
    states = look(context, ("Nowhere", None, w.SCARD_STATE_IGNORE), (DESK,))
    assert [state.event_state for state in states] == [
        w.SCARD_STATE_IGNORE,
        w.SCARD_STATE_EMPTY | w.SCARD_STATE_CHANGED,
    ]
    assert missed(context, ("Nowhere", None, w.SCARD_STATE_IGNORE)) == (w.SCARD_E_TIMEOUT, [w.SCARD_STATE_IGNORE])


def test_an_unknown_reader_is_an_error_with_the_states(system, context):
    system.plug(DESK)
    code, states = missed(context, (DESK, None, w.SCARD_STATE_EMPTY), ("Nowhere",), timeout=w.INFINITE)
    assert code == w.SCARD_E_UNKNOWN_READER
    assert states[0] == w.SCARD_STATE_EMPTY
    assert states[1] == w.SCARD_STATE_UNKNOWN | w.SCARD_STATE_CHANGED | w.SCARD_STATE_IGNORE


def test_the_list_of_readers_is_a_reader_of_its_own(system, context):
    assert missed(context, (PNP,)) == (w.SCARD_E_TIMEOUT, [0])
    system.plug("A")
    system.plug("B")
    (state,) = look(context, (PNP.upper(),))
    assert state.event_state == 0x20000 | w.SCARD_STATE_CHANGED
    assert missed(context, (PNP, None, 0x20000)) == (w.SCARD_E_TIMEOUT, [0x20000])


def test_sharing_is_shown(system, context):
    system.insert(EchoCard(), DESK)
    present = w.SCARD_STATE_PRESENT | w.SCARD_STATE_CHANGED
    for share, shown in (
        (w.SCARD_SHARE_SHARED, w.SCARD_STATE_INUSE),
        (w.SCARD_SHARE_EXCLUSIVE, w.SCARD_STATE_INUSE | w.SCARD_STATE_EXCLUSIVE),
        (w.SCARD_SHARE_DIRECT, 0),
    ):
        with w.SCardConnect(context, DESK, share, 3)[0]:
            assert look(context, (DESK,))[0].event_state & 0xFFFF == present | shown
        assert look(context, (DESK,))[0].event_state & 0xFFFF == present


class MuteCard(EchoCard):
    atr = b""


def test_a_mute_card_is_shown_without_atr_and_cannot_be_connected(system, context):
    system.insert(MuteCard(), DESK)
    (state,) = look(context, (DESK,))
    assert state.event_state & 0xFFFF == w.SCARD_STATE_PRESENT | w.SCARD_STATE_MUTE | w.SCARD_STATE_CHANGED
    assert state.atr == b""
    assert code_of(w.SCardConnect, context, DESK, 2, 3) == w.SCARD_W_UNRESPONSIVE_CARD


@pytest.mark.parametrize(
    ("timeout", "states"),
    [(-1, []), (1 << 32, []), (None, []), (0, None), (0, ["Desk"]), (0, [ReaderState("")])],
    ids=["negative", "too-long", "none", "no-list", "no-state", "no-name"],
)
def test_wrong_arguments_of_a_wait_are_refused(context, timeout, states):
    assert code_of(w.SCardGetStatusChange, context, timeout, states) == w.SCARD_E_INVALID_PARAMETER


def test_a_cancel_without_a_wait_is_not_remembered(system, context):
    system.plug(DESK)
    assert w.SCardCancel(context) is None
    assert missed(context, (DESK, None, w.SCARD_STATE_EMPTY), timeout=10)[0] == w.SCARD_E_TIMEOUT
