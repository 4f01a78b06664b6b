from __future__ import annotations

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.cards.base import PowerLoss
from calais.testing.echo import INS_ECHO, INS_FILL, INS_IS_VERIFIED, INS_VERIFY, EchoCard
from calais.transport.vpcd import Control, Inbox, Insertion, build_message, serve
from calais.win.errors import BadData, ReaderUnavailable

WAIT_S = 30
HELLO = bytes((0, INS_ECHO, 0, 0, 5)) + b"hello"


def control(number):
    return build_message(bytes((number,)))


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.integers(1, 64))
def test_messages_are_found_however_the_stream_is_cut(messages, size):
    stream = b"".join(map(build_message, messages))
    inbox, found = Inbox(), []
    for at in range(0, len(stream), size):
        found += inbox.feed(stream[at : at + size])
    assert found == messages


def test_a_message_is_length_and_content():
    assert build_message(b"abc") == b"\x00\x03abc"
    assert build_message(b"") == b"\x00\x00"
    assert len(build_message(bytes(65535))) == 65537


def test_an_answer_too_long_for_the_protocol_is_refused():
    with pytest.raises(BadData):
        build_message(bytes(65536))
    insertion = Insertion(EchoCard())
    with pytest.raises(BadData):
        insertion.receive(build_message(bytes((0, INS_FILL, 0xFF, 0xFF))))


def test_the_reader_learns_the_atr():
    assert Insertion(EchoCard()).receive(control(Control.ATR)) == build_message(EchoCard.atr)


def test_a_command_gets_the_cards_answer():
    assert Insertion(EchoCard()).receive(control(Control.ON) + build_message(HELLO)) == build_message(b"hello\x90\x00")


def test_half_a_command_gets_no_answer_yet():
    insertion = Insertion(EchoCard())
    assert insertion.receive(build_message(HELLO)[:5]) == b""
    assert insertion.receive(build_message(HELLO)[5:]) == build_message(b"hello\x90\x00")


@pytest.mark.parametrize("controls", [(Control.RESET,), (Control.OFF, Control.ON), (Control.ON,)])
def test_reset_and_power_make_the_card_forget(controls):
    card = EchoCard()
    insertion = Insertion(card)
    insertion.receive(control(Control.ON) + build_message(bytes((0, INS_VERIFY, 0, 0x80))))
    assert card.verified
    assert insertion.receive(b"".join(map(control, controls))) == b""
    assert insertion.receive(build_message(bytes((0, INS_IS_VERIFIED, 0, 0)))) == build_message(b"\x69\x82")


def test_the_first_power_up_is_the_insertion_itself():
    card = EchoCard()
    Insertion(card).receive(control(Control.ON))
    assert card.resets == 1


def test_an_empty_message_is_answered_so_that_the_reader_does_not_wait():
    assert Insertion(EchoCard()).receive(build_message(b"")) == build_message(b"\x67\x00")


@pytest.fixture
def reader():
    """The reader's side: a listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        yield listener


class Serving:
    def __init__(self, card, port, **options):
        self.stop, self.error = threading.Event(), None
        self.events = []
        self.thread = threading.Thread(target=self._run, args=(card, port, options))
        self.thread.start()

    def _run(self, card, port, options):
        try:
            serve(
                card,
                port,
                stop=self.stop,
                on_inserted=lambda: self.events.append("in"),
                on_removed=lambda: self.events.append("out"),
                **options,
            )
        except (ReaderUnavailable, BadData, PowerLoss) as error:
            self.error = error

    def join(self):
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()


def accept(listener):
    link, _ = listener.accept()
    link.settimeout(WAIT_S)
    return link


def test_a_served_card_answers_over_tcp_and_is_pulled_by_the_event(reader):
    serving = Serving(EchoCard(), reader.getsockname()[1])
    with accept(reader) as link:
        link.sendall(control(Control.ATR))
        assert link.recv(100) == build_message(EchoCard.atr)
        serving.stop.set()
        assert link.recv(100) == b""
    serving.join()
    assert serving.error is None
    assert serving.events == ["in", "out"]


def test_a_served_card_comes_back_when_the_reader_hangs_up(reader):
    serving = Serving(EchoCard(), reader.getsockname()[1])
    for _ in range(3):
        with accept(reader) as link:
            link.sendall(build_message(HELLO))
            assert link.recv(100) == build_message(b"hello\x90\x00")
    serving.stop.set()
    serving.join()
    assert serving.error is None


def test_a_reader_that_is_not_there_is_named_after_the_patience(reader):
    port = reader.getsockname()[1]
    reader.close()
    serving = Serving(EchoCard(), port, patience_s=0.2)
    serving.join()
    assert serving.error.name == "SCARD_E_NO_SERVICE"
    assert str(port) in serving.error.detail
    assert "pcscd" in serving.error.next_step


def test_waiting_for_a_reader_can_be_stopped(reader):
    port = reader.getsockname()[1]
    reader.close()
    serving = Serving(EchoCard(), port, patience_s=WAIT_S * 10)
    serving.stop.set()
    serving.join()
    assert serving.error is None


def test_a_card_that_loses_its_power_leaves_the_reader(reader):
    card = EchoCard()

    def fail(apdu):
        raise PowerLoss(detail="cut")

    card.process = fail
    serving = Serving(card, reader.getsockname()[1])
    with accept(reader) as link:
        link.sendall(build_message(HELLO))
        assert link.recv(100) == b""
    serving.join()
    assert isinstance(serving.error, PowerLoss)
    assert serving.events == ["in", "out"]
