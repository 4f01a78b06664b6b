"""PC/SC without PC/SC: what a real reader can do to us, said by a library that is made of a list of codes."""

from __future__ import annotations

import threading
from collections import defaultdict, deque

import pytest

from calais.transport import pcsc_abi as abi
from calais.transport.pcsc import PcscContext, PcscTransport, ReaderState
from calais.transport.pcsc_library import Library, failure
from calais.win.codes import Code
from calais.win.errors import (
    CardRemoved,
    CardReset,
    NoCard,
    NotAuthenticated,
    ReaderUnavailable,
    SharingViolation,
    Unsupported,
    WinError,
)

READER = "Reader 00 00"
SELECT = bytes.fromhex("00A40400")


class ScriptedLibrary(Library):
    """Each function gives the codes of its script, then success. The reader is what ``flags`` and ``names`` say."""

    def __init__(self, **script):
        self.script = defaultdict(deque, {name: deque(codes) for name, codes in script.items()})
        self.calls = []
        self.names = [READER]
        self.flags = abi.STATE_PRESENT
        self.blocked = {}

    def code(self, function, *arguments):
        self.calls.append(function)
        if event := self.blocked.get(function):
            event.wait(30)
        if self.script[function]:
            return int(self.script[function].popleft())
        getattr(self, function, lambda *_: None)(*arguments)
        return 0

    def EstablishContext(self, scope, one, two, handle):
        handle._obj.value = 7

    def ListReaders(self, handle, groups, buffer, length):
        raw = "".join(name + "\0" for name in self.names).encode() + b"\0"
        length._obj.value = len(raw)
        if buffer is not None:
            buffer.raw = raw

    def GetStatusChange(self, handle, milliseconds, records, count):
        for record in records:
            known = record.dwCurrentState & 0xFFFF
            record.dwEventState = self.flags | (abi.STATE_CHANGED if known != self.flags else 0)

    def Connect(self, context, reader, share, protocols, handle, protocol):
        handle._obj.value, protocol._obj.value = 9, abi.PROTOCOL_T1

    def Reconnect(self, handle, share, protocols, initialization, protocol):
        protocol._obj.value = abi.PROTOCOL_T0

    def Transmit(self, handle, request, command, length, received, answer, answer_length):
        answer.raw = b"\x90\x00" + bytes(len(answer) - 2)
        answer_length.value = 2


def connect(timeout_s=5.0, **script):
    library = ScriptedLibrary(**script)
    return library, PcscTransport(library, READER, exclusive=False, timeout_s=timeout_s)


# --- codes


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.SCARD_W_RESET_CARD, CardReset),
        (Code.SCARD_W_REMOVED_CARD, CardRemoved),
        (Code.SCARD_E_NO_SMARTCARD, NoCard),
        (Code.SCARD_E_SHARING_VIOLATION, SharingViolation),
        (Code.SCARD_E_UNKNOWN_READER, ReaderUnavailable),
        (Code.SCARD_E_READER_UNAVAILABLE, ReaderUnavailable),
        (Code.SCARD_E_NO_SERVICE, ReaderUnavailable),
        (Code.SCARD_E_SERVICE_STOPPED, ReaderUnavailable),
        (Code.SCARD_F_COMM_ERROR, ReaderUnavailable),
        (Code.SCARD_W_SECURITY_VIOLATION, NotAuthenticated),
        (Code.SCARD_W_UNRESPONSIVE_CARD, WinError),
        (0x8BADF00D, WinError),
    ],
)
def test_every_code_has_its_error_and_a_sentence(code, kind):
    error = failure(int(code), "Transmit")
    assert type(error) is kind
    assert error.detail


def test_an_unknown_code_keeps_its_number():
    assert failure(0x8BADF00D, "Transmit").code == 0x8BADF00D


def test_a_service_that_is_gone_names_pcscd_and_a_refusal_names_polkit():
    assert "pcscd" in failure(Code.SCARD_E_NO_SERVICE, "ListReaders").next_step
    with pytest.raises(NotAuthenticated) as caught:
        PcscContext(ScriptedLibrary(EstablishContext=[Code.SCARD_W_SECURITY_VIOLATION]))
    assert "polkit" in caught.value.next_step


def test_unsupported_has_the_number_of_unexpected_outside_windows(monkeypatch):
    assert isinstance(failure(Code.SCARD_E_UNEXPECTED, "GetAttrib"), Unsupported)
    monkeypatch.setattr(abi, "IS_WINDOWS", True)
    assert failure(Code.SCARD_E_UNEXPECTED, "GetAttrib").code == Code.SCARD_E_UNEXPECTED


def test_a_missing_library_says_what_to_install():
    with pytest.raises(ReaderUnavailable) as caught:
        Library("/nonexistent/libpcsclite.so.1")
    assert caught.value.code == Code.SCARD_E_NO_SERVICE
    assert "pcscd" in caught.value.next_step


# --- readers


def test_no_readers_is_an_empty_list():
    with PcscContext(ScriptedLibrary(ListReaders=[Code.SCARD_E_NO_READERS_AVAILABLE])) as context:
        assert context.list_readers() == []


def test_a_reader_plugged_between_two_calls_is_listed():
    with PcscContext(ScriptedLibrary(ListReaders=[0, Code.SCARD_E_INSUFFICIENT_BUFFER])) as context:
        context.library.script["ListReaders"] = deque([Code.SCARD_E_INSUFFICIENT_BUFFER])
        assert context.list_readers() == [READER]


def test_a_buffer_that_is_never_enough_ends():
    with PcscContext(ScriptedLibrary(ListReaders=[Code.SCARD_E_INSUFFICIENT_BUFFER] * 50)) as context:
        with pytest.raises(WinError) as caught:
            context.list_readers()
        assert caught.value.code == Code.SCARD_E_INSUFFICIENT_BUFFER


def test_an_unplugged_reader_is_reported_once_and_again_when_it_is_back():
    with PcscContext(ScriptedLibrary()) as context:
        known = context.states()
        context.library.names.clear()
        gone = context.wait(known, 5)
        assert [(state.available, state.changed) for state in gone] == [(False, True)]
        context.library.names.append(READER)
        back = context.wait(gone, 5)
        assert [(state.available, state.present) for state in back] == [(True, True)]


def test_a_reader_unplugged_between_two_calls_is_gone():
    with PcscContext(ScriptedLibrary()) as context:
        known = context.states()
        names, context.library.script["GetStatusChange"] = context.library.names, deque([Code.SCARD_E_UNKNOWN_READER])
        listed = context.list_readers
        answers = iter([[READER], []])
        context.list_readers = lambda: next(answers, listed())
        names.clear()
        assert not context.wait(known, 5)[0].available


def test_a_closed_context_is_released_once():
    context = PcscContext(ScriptedLibrary())
    assert context.is_valid()
    context.close()
    context.close()
    assert context.library.calls.count("ReleaseContext") == 1


def test_a_mute_or_exclusively_used_card_is_recognised():
    assert ReaderState(READER, abi.STATE_MUTE).mute
    assert ReaderState(READER, abi.STATE_EXCLUSIVE).exclusive
    assert not ReaderState(READER).mute


# --- one card


def test_an_empty_reader_gives_no_connection():
    with pytest.raises(NoCard):
        connect(Connect=[Code.SCARD_E_NO_SMARTCARD])


def test_a_reset_by_others_is_repaired_at_begin_by_a_new_connection():
    library, transport = connect(BeginTransaction=[Code.SCARD_W_RESET_CARD])
    before = transport.epoch
    transport.begin()
    assert transport.epoch != before
    assert transport.protocol == 0  # what the new connection says
    assert library.calls.count("Reconnect") == 1
    transport.close()


def test_a_card_that_is_reset_all_the_time_does_not_keep_us_forever():
    library, transport = connect(BeginTransaction=[Code.SCARD_W_RESET_CARD] * 100)
    with pytest.raises(CardReset):
        transport.begin()
    assert library.calls.count("Reconnect") < 10
    library.script.clear()
    transport.begin()


def test_a_reset_in_the_transaction_ends_it_and_the_next_goes_well():
    _, transport = connect(Transmit=[Code.SCARD_W_RESET_CARD] * 2, BeginTransaction=[0, Code.SCARD_W_RESET_CARD])
    transport.begin()
    for _ in range(2):
        with pytest.raises(CardReset):
            transport.transmit(SELECT)
    transport.end()
    transport.begin()
    assert transport.transmit(SELECT) == b"\x90\x00"


@pytest.mark.parametrize("code", [Code.SCARD_E_NOT_TRANSACTED, Code.SCARD_W_UNPOWERED_CARD, Code.SCARD_E_NO_SMARTCARD])
def test_lost_contact_is_a_removal_when_the_reader_is_empty(code):
    library, transport = connect(Transmit=[code])
    transport.begin()
    library.flags = abi.STATE_EMPTY
    with pytest.raises(CardRemoved):
        transport.transmit(SELECT)


def test_lost_contact_is_an_unplugged_reader_when_it_is_gone():
    library, transport = connect(Transmit=[Code.SCARD_E_NOT_TRANSACTED])
    transport.begin()
    library.names.clear()
    with pytest.raises(ReaderUnavailable) as caught:
        transport.transmit(SELECT)
    assert caught.value.code == Code.SCARD_E_READER_UNAVAILABLE
    transport.end(reset=True)


def test_lost_contact_keeps_its_code_when_the_card_is_still_there(monkeypatch):
    monkeypatch.setattr("calais.transport.pcsc.SETTLE_S", 0.01)
    _, transport = connect(Transmit=[Code.SCARD_W_UNRESPONSIVE_CARD])
    transport.begin()
    with pytest.raises(WinError) as caught:
        transport.transmit(SELECT)
    assert caught.value.code == Code.SCARD_W_UNRESPONSIVE_CARD


def test_lost_contact_with_the_service_too_is_the_services_fault():
    library, transport = connect(Transmit=[Code.SCARD_E_NOT_TRANSACTED])
    transport.begin()
    library.script["EstablishContext"].append(Code.SCARD_E_NO_SERVICE)
    with pytest.raises(ReaderUnavailable) as caught:
        transport.transmit(SELECT)
    assert caught.value.code == Code.SCARD_E_NO_SERVICE


def test_a_failed_begin_leaves_the_connection_free_for_the_next():
    _, transport = connect(BeginTransaction=[Code.SCARD_W_REMOVED_CARD])
    with pytest.raises(CardRemoved):
        transport.begin()
    transport.begin()
    transport.close()


@pytest.mark.parametrize("function", ["Connect", "BeginTransaction"])
def test_waiting_for_others_ends_with_the_timeout_and_leaves_nothing_behind(function):
    library, go = ScriptedLibrary(), threading.Event()
    late = []
    library.Disconnect = lambda *_: late.append("disconnected")
    released = threading.Event()
    library.ReleaseContext = lambda *_: released.set()
    library.blocked[function] = go
    with pytest.raises(SharingViolation):
        PcscTransport(library, READER, exclusive=False, timeout_s=0.05).begin()
    go.set()
    assert released.wait(30)
    assert late == ["disconnected"]


def test_after_a_timeout_the_next_begin_connects_anew():
    library, transport = connect(timeout_s=0.05)
    go = library.blocked["BeginTransaction"] = threading.Event()
    with pytest.raises(SharingViolation):
        transport.begin()
    library.blocked.clear()
    go.set()
    transport.begin()
    assert transport.transmit(SELECT) == b"\x90\x00"
    assert library.calls.count("Connect") == 2


def test_the_answer_does_not_stay_in_the_buffer():
    _, transport = connect()
    transport.begin()
    transport.transmit(SELECT)
    assert not any(transport._answer.raw)
    transport.close()


def test_a_command_outside_a_transaction_never_reaches_the_library():
    library, transport = connect()
    with pytest.raises(WinError) as caught:
        transport.transmit(SELECT)
    assert caught.value.code == Code.SCARD_E_NOT_TRANSACTED
    assert "Transmit" not in library.calls


def test_a_handle_that_is_no_longer_valid_is_an_unavailable_reader():
    _, transport = connect(BeginTransaction=[Code.SCARD_E_INVALID_HANDLE])
    with pytest.raises(ReaderUnavailable):
        transport.begin()


def test_a_card_pulled_while_it_is_reset_is_removed():
    _, transport = connect(Reconnect=[Code.SCARD_W_REMOVED_CARD] * 2)
    with pytest.raises(CardRemoved):
        transport.reset()
    transport.begin()
    with pytest.raises(CardRemoved):
        transport.reset()
    transport.end()
