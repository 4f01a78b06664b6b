"""A real pcscd of our own: insertion, removal, other processes, and its sudden death."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from calais.testing.echo import INS_ECHO, INS_IS_VERIFIED, INS_VERIFY, EchoCard
from calais.testing.pcscd import PrivatePcscd
from calais.transport import pcsc, vpcd
from calais.transport.base import Channel
from calais.transport.keypad import Keypad
from calais.transport.pcsc_library import bounded
from calais.win.codes import Code
from calais.win.errors import (
    BadParameter,
    Cancelled,
    CardRemoved,
    CardReset,
    NoCard,
    ReaderUnavailable,
    SharingViolation,
    Unsupported,
    WinError,
)

pytestmark = [
    pytest.mark.requires("pcscd", package="pcscd"),
    pytest.mark.requires("/usr/lib*/pcsc/drivers/serial/libifdvpcd.so", package="vsmartcard-vpcd"),
]

LONG_S = 60.0
TAG_IFD_ATR = 0x0303  # one of the few that the virtual reader has
HELLO = bytes((0, INS_ECHO, 0, 0, 5)) + b"hello"
VERIFY = bytes((0, INS_VERIFY, 0, 0x80, 6)) + b"123456"
IS_VERIFIED = bytes((0, INS_IS_VERIFIED, 0, 0))


@pytest.fixture
def pcscd():
    with PrivatePcscd() as private:
        yield private


@pytest.fixture
def card(pcscd):
    card = EchoCard()
    pcscd.insert(card)
    return card


@pytest.fixture
def transport(pcscd, card):
    transport = pcscd.connect(timeout_s=LONG_S)
    yield transport
    transport.close()


def elsewhere(pcscd, script):
    """Start another Python process at this pcscd; ``context`` and ``transport`` are made, and ``say``/``hear``."""
    prelude = f"""
import sys
from calais.transport.pcsc import PcscContext
def say(word): print(word, flush=True)
def hear(): return sys.stdin.readline().strip()
context = PcscContext()
transport = context.connect({pcscd.reader()!r}, timeout_s={LONG_S})
"""
    return subprocess.Popen(
        [sys.executable, "-c", prelude + script],
        env=os.environ | dict(pcscd.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, _ = process.communicate(timeout=LONG_S)
    assert process.returncode == 0
    return out.split()


def talk_for(seconds, transport):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        transport.transmit(HELLO)


# --- readers and events


def test_a_private_pcscd_has_only_its_own_readers(pcscd):
    with pcscd.context() as context:
        assert tuple(context.list_readers()) == pcscd.readers
    assert pcscd.readers == ("Calais Virtual Reader 1 00 00", "Calais Virtual Reader 1 00 01")


def test_readers_have_the_names_asked_for_and_cards_go_where_they_should():
    first, third = EchoCard(), EchoCard()
    with PrivatePcscd([first], readers=4, names=["Yubico YubiKey CCID"]) as private:
        private.insert(third, 2)
        assert private.reader(0) == "Yubico YubiKey CCID 00 00"
        with private.context() as context:
            assert [state.present for state in context.states()] == [True, False, True, False]
        for slot, card in ((0, first), (2, third)):
            transport, before = private.connect(slot), card.exchanges_total
            transport.begin()
            transport.transmit(HELLO)
            transport.close()
            assert card.exchanges_total == before + 1


def test_two_private_pcscds_do_not_meet():
    with PrivatePcscd([EchoCard()]) as one, PrivatePcscd() as other:
        with one.context() as context:
            assert context.states()[0].present
        with other.context() as context:
            assert not context.states()[0].present


def test_insertion_and_removal_are_seen_and_counted(pcscd, card):
    with pcscd.context() as context:
        inserted = context.states([pcscd.reader()])[0]
        assert inserted.present
        assert inserted.atr == card.atr
        pcscd.remove()
        removed = context.wait([inserted], LONG_S)[0]
        assert removed.changed
        assert not removed.present
        assert removed.atr == b""
        pcscd.insert(EchoCard())
        again = context.wait([removed], LONG_S)[0]
        assert again.present
        assert again.insertion > inserted.insertion


def test_a_wait_without_change_ends_with_its_time(pcscd):
    with pcscd.context() as context:
        known = context.states()
        start = time.monotonic()
        states = context.wait(known, 0.2)
        assert time.monotonic() - start >= 0.19
        assert [state.changed for state in states] == [False, False]
        assert [state.reader for state in states] == list(pcscd.readers)
        assert context.wait([], 0.01) == []


def test_a_wait_for_plugging_finds_readers_that_are_not_known_yet(pcscd):
    with pcscd.context() as context:
        known = context.states([pcscd.reader(1)])
        states = context.wait(known, LONG_S, plug=True)
        assert [state.reader for state in states] == [pcscd.reader(1), pcscd.reader(0)]
        assert not any(state.changed for state in context.wait(states, 0.1, plug=True))


def test_a_reader_that_is_not_there_is_unavailable_and_hurts_no_other(pcscd, card):
    with pcscd.context() as context:
        gone, there = context.states(["No Such Reader", pcscd.reader()])
        assert not gone.available
        assert there.present
        start = time.monotonic()
        gone, there = context.wait([gone, there], 0.2)
        assert time.monotonic() - start >= 0.19
        assert not gone.changed


def test_a_wait_can_be_cancelled_from_another_thread(pcscd):
    with pcscd.context() as context:
        known, ended = context.states(), []

        def wait():
            try:
                context.wait(known, LONG_S)
            except Cancelled as error:
                ended.append(error.code)

        thread = threading.Thread(target=wait)
        thread.start()
        while thread.is_alive():  # a cancel that comes before the wait has no effect
            context.cancel()
            thread.join(0.05)
        assert ended == [Code.SCARD_E_CANCELLED]


def test_no_card_and_no_reader_are_told_apart(pcscd):
    with pcscd.context() as context:
        with pytest.raises(NoCard):
            context.connect(pcscd.reader())
        with pytest.raises(ReaderUnavailable) as caught:
            context.connect("No Such Reader")
        assert caught.value.code == Code.SCARD_E_UNKNOWN_READER


def test_a_reader_attribute_can_be_read(transport):
    assert transport.attribute(TAG_IFD_ATR) == EchoCard.atr
    with pytest.raises(Unsupported):
        transport.attribute(0x7FFF0001)


def test_a_reader_without_keypad_has_none_and_loses_nothing_by_the_question(transport):
    with Channel(transport).begin() as tx:
        assert Keypad.of(tx) is None
        assert tx.open
    with pytest.raises(WinError):
        transport.control(0x42330006, b"")


# --- cards


def test_a_card_pulled_in_the_middle_of_an_exchange_is_removed(pcscd, card, transport):
    transport.begin()
    transport.transmit(HELLO)
    card.go.clear()
    puller = threading.Thread(target=pcscd.remove)

    def pull():
        puller.start()
        card.go.set()

    threading.Thread(target=pull).start()
    with pytest.raises(CardRemoved):
        talk_for(LONG_S, transport)
    transport.end()
    puller.join(LONG_S)


def test_a_card_that_went_and_came_back_needs_a_new_connection(pcscd, transport):
    pcscd.remove()
    pcscd.insert(EchoCard())
    with pytest.raises(CardRemoved):
        transport.begin()
    fresh = pcscd.connect()
    fresh.begin()
    assert fresh.transmit(HELLO) == b"hello\x90\x00"
    fresh.close()


def test_the_longest_command_the_virtual_reader_carries_passes(transport):
    transport.begin()
    data = bytes(65535 - 4 - 3)
    command = HELLO[:4] + b"\0" + len(data).to_bytes(2, "big") + data
    assert len(transport.transmit(command)) == len(data) + 2
    transport.end()


def test_our_exclusive_connection_keeps_its_epoch_and_keeps_others_out(pcscd, card):
    mine = pcscd.connect(exclusive=True)
    epochs = set()
    for _ in range(3):
        mine.begin()
        mine.transmit(HELLO)
        epochs.add(mine.epoch)
        mine.end()
    assert len(epochs) == 1
    with pytest.raises(SharingViolation):
        pcscd.connect()
    mine.begin()
    mine.reset()
    assert mine.epoch not in epochs
    mine.close()
    pcscd.connect().close()


def test_connecting_to_a_card_held_by_others_ends_with_the_timeout(pcscd, transport):
    transport.begin()
    with pytest.raises(SharingViolation):
        pcscd.connect(timeout_s=0.2)
    transport.end()
    pcscd.connect().close()


# --- other processes


def test_two_processes_take_turns(pcscd, card, transport):
    script = """
for _ in range(20):
    transport.begin()
    assert transport.transmit(bytes.fromhex("00A4000003616263")) == b"abc" + bytes.fromhex("9000")
    transport.end()
transport.close()
say("done")
"""
    process = elsewhere(pcscd, script)
    for _ in range(20):
        transport.begin()
        before = transport.epoch
        assert transport.transmit(HELLO) == b"hello\x90\x00"
        assert transport.epoch == before
        transport.end()
    assert finish(process) == ["done"]
    assert card.exchanges_total >= 40


def test_another_process_cannot_reset_the_card_under_our_transaction(pcscd, card, transport):
    transport.begin()
    transport.transmit(VERIFY)
    before = transport.epoch
    process = elsewhere(pcscd, "say('unused')")  # it has to wait to connect, even
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)
    assert transport.transmit(IS_VERIFIED) == b"\x90\x00"
    transport.end()
    assert finish(process) == ["unused"]
    transport.begin()
    assert transport.epoch != before
    transport.end()


def test_a_reset_by_another_process_is_noticed_at_the_next_begin(pcscd, card, transport):
    transport.begin()
    transport.transmit(VERIFY)
    before = transport.epoch
    transport.end()
    process = elsewhere(pcscd, "transport.begin(); transport.end(reset=True); transport.close(); say('reset')")
    assert finish(process) == ["reset"]
    transport.begin()
    assert transport.epoch != before
    assert transport.transmit(IS_VERIFIED) == b"\x69\x82"
    transport.end()


def test_a_process_that_dies_in_its_transaction_frees_the_card(pcscd, card, transport):
    process = elsewhere(pcscd, "transport.begin(); say('mine'); hear()")
    assert process.stdout.readline().strip() == "mine"
    process.kill()
    process.communicate()
    assert greeted(transport) == b"hello\x90\x00"


def greeted(transport, tries=2):
    """HELLO's answer; pcscd may reset the dead process's card once more after it has given it away."""
    transport.begin()
    try:
        return transport.transmit(HELLO)
    except CardReset:
        transport.end()
        return greeted(transport, tries - 1) if tries else b""
    finally:
        transport.end()


# --- the service dies


def test_everything_says_so_when_pcscd_dies(pcscd, card, transport):
    with pcscd.context() as context:
        known = context.states()
        transport.begin()
        pcscd.kill()
        with pytest.raises(ReaderUnavailable) as caught:
            transport.transmit(HELLO)
        assert caught.value.code == Code.SCARD_E_NO_SERVICE
        assert "pcscd" in caught.value.next_step
        transport.end(reset=True)
        for use in (transport.begin, transport.reset, context.list_readers, lambda: context.wait(known, LONG_S)):
            with pytest.raises(ReaderUnavailable):
                use()
        with pytest.raises(ReaderUnavailable):
            pcscd.context()
        with pytest.raises(ReaderUnavailable):
            context.connect(pcscd.reader())
    transport.close()


def test_a_wait_ends_when_pcscd_dies(pcscd):
    with pcscd.context() as context:
        known = context.states()
        killer = threading.Timer(0.2, pcscd.kill)
        killer.start()
        with pytest.raises(ReaderUnavailable):
            context.wait(known, LONG_S)
        killer.join()


def test_a_card_in_the_middle_of_an_exchange_does_not_hang_when_pcscd_dies(pcscd, card, transport):
    transport.begin()
    card.go.clear()
    killer = threading.Timer(0.2, pcscd.kill)
    killer.start()
    with pytest.raises(ReaderUnavailable):
        transport.transmit(HELLO)
    card.go.set()
    transport.close()


def test_the_service_is_named_when_it_never_ran():
    script = """
from calais.transport.pcsc import PcscContext
from calais.win.errors import ReaderUnavailable
try:
    PcscContext()
except ReaderUnavailable as error:
    print(error.name, "|", error.next_step)
"""
    environment = os.environ | {"PCSCLITE_CSOCK_NAME": "/nonexistent/pcscd.comm"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("SCARD_E_NO_SERVICE |")
    assert "pcscd" in done.stdout


# --- the card's side


def test_a_card_comes_back_when_pcscd_does(pcscd, card):
    pcscd.restart()
    with pcscd.context() as context:
        state = context.states([pcscd.reader()])[0]
        assert state.present or context.wait([state], LONG_S)[0].present
    transport = pcscd.connect()
    transport.begin()
    assert transport.transmit(HELLO) == b"hello\x90\x00"
    transport.close()


def test_a_card_is_given_up_when_pcscd_stays_away(pcscd):
    card, stop, inserted, errors = EchoCard(), threading.Event(), threading.Event(), []

    def serve():
        try:
            vpcd.serve(card, pcscd.port(), stop=stop, patience_s=0.3, on_inserted=inserted.set)
        except ReaderUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    assert inserted.wait(LONG_S)
    pcscd.kill()
    thread.join(LONG_S)
    assert [error.name for error in errors] == ["SCARD_E_NO_SERVICE"]
    assert "vsmartcard-vpcd" in errors[0].next_step


def test_power_goes_when_a_card_is_pulled(pcscd, card, transport):
    transport.begin()
    transport.transmit(VERIFY)
    transport.close()
    pcscd.remove()
    pcscd.insert(card)
    again = pcscd.connect()
    again.begin()
    assert again.transmit(IS_VERIFIED) == b"\x69\x82"
    again.close()


def test_a_reader_takes_one_card_and_gives_one(pcscd, card):
    with pytest.raises(SharingViolation):
        pcscd.insert(EchoCard())
    pcscd.remove()
    with pytest.raises(CardRemoved):
        pcscd.remove()


@pytest.mark.parametrize("slot", [-1, 2])
def test_a_slot_that_is_not_there_is_the_callers_fault(pcscd, slot):
    for use in (pcscd.reader, pcscd.port, pcscd.remove, lambda n: pcscd.insert(EchoCard(), n)):
        with pytest.raises(BadParameter):
            use(slot)


@pytest.mark.parametrize("arguments", [{"readers": 17}, {"names": ["A", "A"]}, {"names": ['"']}, {"names": [""]}])
def test_impossible_readers_are_the_callers_fault(arguments):
    with pytest.raises(BadParameter):
        PrivatePcscd(**arguments)


def test_nothing_is_left_of_a_private_pcscd():
    with PrivatePcscd([EchoCard()]) as private:
        pid, folder = private.pid, Path(private.environ["PCSCLITE_CSOCK_NAME"]).parent
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_call_that_ends_too_late_is_undone():
    go, undone = threading.Event(), threading.Event()
    assert bounded(lambda: go.wait() and 7, 0.05, lambda code: undone.set() if code == 7 else None) is None
    go.set()
    assert undone.wait(LONG_S)
    assert bounded(lambda: 3, LONG_S, lambda _: None) == 3


def test_many_readers_fit():
    with PrivatePcscd(readers=16) as private:
        assert len(private.readers) == 16
        with private.context() as context:
            assert len(context.states()) == 16
    assert pcsc.PNP_NOTIFICATION not in private.readers
