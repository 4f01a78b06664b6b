"""One suite for every transport: a card in process, a card behind a real pcscd, and a recording of the former."""

from __future__ import annotations

import io
import os
import threading
from contextlib import ExitStack

import pytest

from calais.cards.base import BytesMemory
from calais.cards.piv.personalise import new_card, virtual_card
from calais.iso7816.apdu import Command
from calais.testing.echo import INS_ECHO, INS_FILL, INS_IS_VERIFIED, INS_VERIFY, EchoCard
from calais.testing.pcscd import PrivatePcscd
from calais.transport.base import Channel
from calais.transport.loopback import LoopbackTransport
from calais.transport.trace import RecordingTransport, ReplayTransport, parse
from calais.win.codes import Code
from calais.win.errors import CardRemoved, CardReset, SharingViolation, WinError

SHORT_S = 0.2
PIN = "864209"
ECHO = bytes((0, INS_ECHO, 0, 0))
HELLO = ECHO + b"\x05hello"
IS_VERIFIED = bytes((0, INS_IS_VERIFIED, 0, 0))
VERIFY = bytes((0, INS_VERIFY, 0, 0x80, 6)) + b"123456"


class LoopbackStage:
    """A card, ours, and another user's connection to it."""

    def __init__(self, card):
        self.card = card
        self.transport = LoopbackTransport(self.card, timeout_s=SHORT_S)

    def other(self):
        return LoopbackTransport(self.card, timeout_s=SHORT_S)

    def remove(self):
        self.transport.remove()

    def close(self):
        self.transport.close()


class PcscStage:
    """The same behind a private pcscd; there nobody can reset a card in the middle of a transaction."""

    def __init__(self, card):
        self.card = card
        self._stack = ExitStack()
        self.pcscd = self._stack.enter_context(PrivatePcscd([self.card]))
        self.transport = self._connect()

    def _connect(self):
        transport = self.pcscd.connect(timeout_s=SHORT_S)
        self._stack.callback(transport.close)
        return transport

    def other(self):
        return self._connect()

    def remove(self):
        self.pcscd.remove()

    def close(self):
        self._stack.close()


class RecordingStage(LoopbackStage):
    def __init__(self, card):
        super().__init__(card)
        self.plain, self.stream = self.transport, io.StringIO()
        self.transport = RecordingTransport(self.plain, self.stream)

    def remove(self):
        self.plain.remove()


class ReplayStage:
    """The recording of a test, in its second run: nobody else is there, and what happened happens again."""

    def __init__(self, text):
        self.card = EchoCard()
        self.transport = ReplayTransport(parse(text.splitlines()), timeout_s=SHORT_S)

    def other(self):
        return self.transport

    def remove(self):
        pass

    def close(self):
        self.transport.close()


def run(stage, scene):
    try:
        scene(stage)
    finally:
        stage.close()
    return stage


def on_loopback(scene, make_card=EchoCard):
    run(LoopbackStage(make_card()), scene)


def on_pcsc(scene, make_card=EchoCard):
    run(PcscStage(make_card()), scene)


def on_replay(scene, make_card=EchoCard):
    recorded = run(RecordingStage(make_card()), scene)
    replayed = run(ReplayStage(recorded.stream.getvalue()), scene)
    assert replayed.transport.finished


NEEDS_PCSCD = (
    pytest.mark.requires("pcscd", package="pcscd"),
    pytest.mark.requires("/usr/lib*/pcsc/drivers/serial/libifdvpcd.so", package="vsmartcard-vpcd"),
)
TRANSPORTS = [on_loopback, on_replay, pytest.param(on_pcsc, marks=NEEDS_PCSCD)]
LIVE = [on_loopback, pytest.param(on_pcsc, marks=NEEDS_PCSCD)]
every_transport = pytest.mark.parametrize("play", TRANSPORTS)
every_live_transport = pytest.mark.parametrize("play", LIVE)


@every_transport
def test_a_connection_knows_atr_protocol_and_reader(play):
    def scene(stage):
        assert stage.transport.atr == EchoCard.atr
        assert stage.transport.protocol == 1
        assert stage.transport.reader

    play(scene)


@every_transport
def test_a_command_gets_its_answer(play):
    def scene(stage):
        stage.transport.begin()
        assert stage.transport.transmit(HELLO) == b"hello\x90\x00"
        assert stage.transport.transmit(bytes((0, 0xEE, 0, 0))) == b"\x6d\x00"
        stage.transport.end()

    play(scene)


@every_transport
@pytest.mark.parametrize("length", [1, 255, 256, 4096, 65_000])
def test_long_data_pass_in_both_directions(play, length):
    data = bytes(i * 7 & 0xFF for i in range(length))

    def scene(stage):
        stage.transport.begin()
        command = Command(0, INS_ECHO, 0, 0, data, 65536).encode(extended=True)
        assert stage.transport.transmit(command) == data + b"\x90\x00"
        answer = stage.transport.transmit(bytes((0, INS_FILL)) + length.to_bytes(2, "big"))
        assert answer == b"\xa5" * length + b"\x90\x00"
        stage.transport.end()

    play(scene)


@every_transport
def test_a_command_outside_a_transaction_is_refused(play):
    def scene(stage):
        with pytest.raises(WinError) as caught:
            stage.transport.transmit(HELLO)
        assert caught.value.code == Code.SCARD_E_NOT_TRANSACTED
        assert stage.card.exchanges_total == 0

    on = play if play is not on_replay else on_loopback  # a refused command is never sent, so it is not in a trace
    on(scene)


@every_transport
def test_a_transaction_over_sends_no_more(play):
    def scene(stage):
        stage.transport.begin()
        stage.transport.end()
        with pytest.raises(WinError) as caught:
            stage.transport.transmit(HELLO)
        assert caught.value.code == Code.SCARD_E_NOT_TRANSACTED

    on = play if play is not on_replay else on_loopback
    on(scene)


@every_transport
def test_end_and_close_may_be_repeated(play):
    def scene(stage):
        stage.transport.end()
        stage.transport.begin()
        stage.transport.end()
        stage.transport.end()
        stage.transport.close()
        stage.transport.close()

    play(scene)


@every_transport
def test_a_held_card_is_refused_to_others_after_the_timeout(play):
    def scene(stage):
        other = stage.other()
        stage.transport.begin()
        with pytest.raises(SharingViolation):
            other.begin()
        assert stage.transport.transmit(HELLO) == b"hello\x90\x00"
        stage.transport.end()

    play(scene)


@every_live_transport
def test_a_refused_user_gets_the_card_once_it_is_free(play):
    def scene(stage):
        other = stage.other()
        stage.transport.begin()
        with pytest.raises(SharingViolation):
            other.begin()
        stage.transport.end()
        other.begin()
        assert other.transmit(HELLO) == b"hello\x90\x00"
        other.end()

    play(scene)


@every_transport
def test_two_threads_of_one_connection_take_turns(play):
    def scene(stage):
        stage.transport.begin()
        refused = []

        def second():
            try:
                stage.transport.begin()
            except SharingViolation:
                refused.append(True)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        stage.transport.end()
        assert refused == [True]

    play(scene)


@every_transport
def test_a_reset_of_our_own_changes_the_epoch_and_the_transaction_goes_on(play):
    def scene(stage):
        stage.transport.begin()
        stage.transport.transmit(VERIFY)
        assert stage.transport.transmit(IS_VERIFIED) == b"\x90\x00"
        before = stage.transport.epoch
        stage.transport.reset()
        assert stage.transport.epoch != before
        assert stage.transport.transmit(IS_VERIFIED) == b"\x69\x82"
        stage.transport.end()

    play(scene)


@every_transport
def test_a_reset_outside_a_transaction_leaves_the_card_free(play):
    def scene(stage):
        before = stage.transport.epoch
        stage.transport.reset()
        assert stage.transport.epoch != before
        stage.transport.begin()
        assert stage.transport.transmit(HELLO) == b"hello\x90\x00"
        stage.transport.end()

    play(scene)


@every_transport
def test_ending_with_a_reset_makes_the_card_forget(play):
    def scene(stage):
        stage.transport.begin()
        stage.transport.transmit(VERIFY)
        before = stage.transport.epoch
        stage.transport.end(reset=True)
        stage.transport.begin()
        assert stage.transport.epoch != before
        assert stage.transport.transmit(IS_VERIFIED) == b"\x69\x82"
        stage.transport.end()

    play(scene)


@every_live_transport
def test_ending_without_a_reset_leaves_the_card_as_it_is(play):
    def scene(stage):
        stage.transport.begin()
        stage.transport.transmit(VERIFY)
        stage.transport.end()
        stage.transport.begin()
        assert stage.transport.transmit(IS_VERIFIED) == b"\x90\x00"
        stage.transport.end()

    play(scene)


@every_transport
def test_a_reset_by_others_between_transactions_changes_only_the_epoch(play):
    def scene(stage):
        stage.transport.begin()
        stage.transport.transmit(VERIFY)
        before = stage.transport.epoch
        stage.transport.end()
        stage.other().reset()
        stage.transport.begin()
        assert stage.transport.epoch != before
        assert stage.transport.transmit(IS_VERIFIED) == b"\x69\x82"
        stage.transport.end()

    play(scene)


@pytest.mark.parametrize("play", [on_loopback, on_replay])
def test_a_reset_by_others_in_a_transaction_ends_it(play):
    def scene(stage):
        stage.transport.begin()
        assert stage.transport.transmit(HELLO) == b"hello\x90\x00"
        stage.card.reset()
        for _ in range(2):
            with pytest.raises(CardReset):
                stage.transport.transmit(HELLO)
        stage.transport.end()
        stage.transport.begin()
        assert stage.transport.transmit(HELLO) == b"hello\x90\x00"
        stage.transport.end()

    play(scene)


@every_live_transport
def test_an_exchange_by_others_changes_the_epoch(play):
    def scene(stage):
        stage.transport.begin()
        before = stage.transport.epoch
        stage.transport.end()
        other = stage.other()
        other.begin()
        other.transmit(HELLO)
        other.end()
        stage.transport.begin()
        assert stage.transport.epoch != before
        stage.transport.end()

    play(scene)


@every_transport
def test_the_epoch_stays_within_a_transaction(play):
    def scene(stage):
        stage.transport.begin()
        before = stage.transport.epoch
        for _ in range(3):
            stage.transport.transmit(HELLO)
        assert stage.transport.epoch == before
        stage.transport.end()

    play(scene)


@every_transport
def test_a_card_pulled_in_a_transaction_is_removed(play):
    def scene(stage):
        stage.transport.begin()
        stage.transport.transmit(HELLO)
        stage.remove()
        with pytest.raises(CardRemoved):
            stage.transport.transmit(HELLO)
        stage.transport.end()
        stage.transport.end(reset=True)

    play(scene)


@every_live_transport
def test_a_card_pulled_between_transactions_cannot_be_taken(play):
    def scene(stage):
        stage.transport.begin()
        stage.transport.end()
        stage.remove()
        with pytest.raises(CardRemoved):
            stage.transport.begin()
        with pytest.raises(CardRemoved):
            stage.transport.reset()
        stage.transport.close()

    play(scene)


@every_transport
def test_a_channel_forgets_what_the_card_forgets(play):
    def scene(stage):
        channel = Channel(stage.transport)
        with channel.begin() as transaction:
            assert transaction.send(Command(0, INS_ECHO, 0, 0, b"hello")).data == b"hello"
            transaction.volatile.selected = b"applet"
            transaction.reset_at_end = True
        with channel.begin() as transaction:
            assert transaction.volatile.selected == b""

    play(scene)


def piv_card():
    memory = BytesMemory()
    new_card(memory, os.urandom, keys={}, pin=PIN)
    return virtual_card(memory, os.urandom)


@every_transport
def test_a_piv_card_is_the_same_card_everywhere(play):
    objects = []

    def scene(stage):
        channel = Channel(stage.transport)
        assert channel.extended
        with channel.begin() as transaction:
            assert transaction.send(Command(0, 0xA4, 4, 0, bytes.fromhex("A000000308"), 256)).ok
            assert transaction.send(Command(0, 0x20, 0, 0x80, PIN.encode() + b"\xff\xff")).ok
            long = bytes.fromhex("5C035FC105") + b"\x53\x82\x0b\xb8" + bytes(3000)
            assert transaction.send(Command(0, 0xDB, 0x3F, 0xFF, long)).sw == 0x6982
            chuid = transaction.send(Command(0, 0xCB, 0x3F, 0xFF, bytes.fromhex("5C035FC102"), 65536))
            assert chuid.ok
            assert len(chuid.data) > 256
            objects.append(chuid.data)

    play(scene, piv_card)
    assert len(set(objects)) == 1


def test_the_trace_of_a_piv_card_is_free_of_its_pin():
    stage = RecordingStage(piv_card())
    with Channel(stage.transport, extended=False).begin() as transaction:
        transaction.send(Command(0, 0xA4, 4, 0, bytes.fromhex("A000000308"), 256))
        transaction.send(Command(0, 0x20, 0, 0x80, PIN.encode() + b"\xff\xff"))
        transaction.send(Command(0, 0x24, 0, 0x80, PIN.encode() + b"\xff\xff" + b"7654321\xff"))
        transaction.send(Command(0, 0x2C, 0, 0x80, b"12345678" + PIN.encode() + b"\xff\xff"))
    text = stage.stream.getvalue()
    assert len(parse(text.splitlines()).entries) == 4
    for secret in (PIN.encode(), b"7654321", b"12345678"):
        assert secret.hex() not in text.lower()
        assert secret.decode() not in text
