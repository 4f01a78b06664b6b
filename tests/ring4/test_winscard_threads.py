"""Handles and waits in several threads, and beside the system's own use of cards. Every wait ends by itself."""

from __future__ import annotations

import random
import threading
from contextlib import suppress

import pytest
from people import AskingThread

from calais.minidriver.pins import Pin
from calais.testing import local_system, virtual_gids, virtual_piv
from calais.testing.echo import INS_ECHO, INS_IS_VERIFIED, INS_VERIFY, EchoCard
from calais.win.errors import WinError
from calais.winapi import cardmod
from calais.winapi import winscard as w
from calais.winapi.winscard import ReaderState

DESK, PNP = "Desk", "\\\\?PnP?\\Notification"
HELLO = bytes([0, INS_ECHO, 0, 0, 2]) + b"hi"
VERIFY = bytes([0, INS_VERIFY, 0, 0, 1]) + b"1"
IS_VERIFIED = bytes([0, INS_IS_VERIFIED, 0, 0])
PRESENT = w.SCARD_STATE_PRESENT
LONG_MS, LONG_S = 30_000, 30.0
PIV_SELECT = bytes.fromhex("00A4040009A0000003080000100000")
PIN_VERIFY = bytes.fromhex("0020008008") + b"123456\xff\xff"
PIN_QUERY = bytes.fromhex("00200080")


@pytest.fixture
def system():
    with local_system() as system:
        yield system


@pytest.fixture
def context(system):
    with w.SCardEstablishContext(0) as context:
        yield context


class Asking:
    """A call in a thread of its own."""

    def __init__(self, call, *arguments):
        self.result = self.error = None
        self._thread = threading.Thread(target=self._run, args=(call, arguments), daemon=True)
        self._thread.start()

    def _run(self, call, arguments):
        try:
            self.result = call(*arguments)
        except WinError as error:
            self.error = error

    @property
    def waits(self):
        self._thread.join(0.05)
        return self._thread.is_alive()

    def done(self):
        self._thread.join(LONG_S)
        assert not self._thread.is_alive()
        return self.error.code if self.error else self.result


def connect(context, share=w.SCARD_SHARE_SHARED):
    return w.SCardConnect(context, DESK, share, w.SCARD_PROTOCOL_Tx)[0]


def code_of(call, *arguments):
    with pytest.raises(WinError) as caught:
        call(*arguments)
    return caught.value.code


# --- waiting for readers


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared by processes"])
def test_insertion_removal_and_unplugging_end_a_wait(tmp_path, shared):
    with local_system(tmp_path) as system, w.SCardEstablishContext(0) as context:
        if shared:
            system.virtual.new("echo", _personalise)
            system.virtual.plug(DESK)
        else:
            system.plug(DESK)
        wait = Asking(w.SCardGetStatusChange, context, LONG_MS, [ReaderState(DESK, None, w.SCARD_STATE_EMPTY)])
        assert wait.waits
        system.insert("echo" if shared else EchoCard(), DESK)
        (state,) = wait.done()
        assert state.event_state == 0x10000 | PRESENT | w.SCARD_STATE_CHANGED
        wait = Asking(w.SCardGetStatusChange, context, w.INFINITE, [ReaderState(DESK, None, 0x10000 | PRESENT)])
        system.remove(DESK)
        assert wait.done()[0].event_state == 0x20000 | w.SCARD_STATE_EMPTY | w.SCARD_STATE_CHANGED
        wait = Asking(w.SCardGetStatusChange, context, w.INFINITE, [ReaderState(DESK, None, w.SCARD_STATE_EMPTY)])
        assert wait.waits
        system.unplug(DESK)
        gone = w.SCARD_STATE_UNKNOWN | w.SCARD_STATE_UNAVAILABLE | w.SCARD_STATE_CHANGED
        assert wait.done()[0].event_state == gone


def _personalise(memory):
    import os

    from calais.cards.piv.personalise import new_card

    new_card(memory, os.urandom, keys={})


def test_a_change_by_another_process_is_noticed(tmp_path):
    from calais.resource.virtual import VirtualReaders

    with local_system(tmp_path), w.SCardEstablishContext(0) as context:
        wait = Asking(w.SCardGetStatusChange, context, LONG_MS, [ReaderState(PNP)])
        assert wait.waits
        VirtualReaders(tmp_path / "virtual").plug(DESK)
        assert wait.done()[0].event_state == 0x10000 | w.SCARD_STATE_CHANGED


def test_plugging_ends_a_wait_for_readers(system, context):
    wait = Asking(w.SCardGetStatusChange, context, LONG_MS, [ReaderState(PNP)])
    assert wait.waits
    system.plug(DESK)
    assert wait.done()[0].event_state == 0x10000 | w.SCARD_STATE_CHANGED


def test_somebody_connecting_ends_a_wait(system, context):
    system.insert(EchoCard(), DESK)
    wait = Asking(w.SCardGetStatusChange, context, LONG_MS, [ReaderState(DESK, None, PRESENT)])
    assert wait.waits
    handle = connect(context)
    assert wait.done()[0].event_state & w.SCARD_STATE_INUSE
    wait = Asking(w.SCardGetStatusChange, context, LONG_MS, [ReaderState(DESK, None, PRESENT | w.SCARD_STATE_INUSE)])
    assert wait.waits
    w.SCardDisconnect(handle, 0)
    assert not wait.done()[0].event_state & w.SCARD_STATE_INUSE


@pytest.mark.parametrize("end", [w.SCardCancel, w.SCardReleaseContext])
def test_cancel_and_release_end_every_wait_of_their_context(system, context, end):
    system.plug(DESK)
    with w.SCardEstablishContext(0) as other:
        state = ReaderState(DESK, None, w.SCARD_STATE_EMPTY)
        mine = [Asking(w.SCardGetStatusChange, context, w.INFINITE, [state]) for _ in range(3)]
        theirs = Asking(w.SCardGetStatusChange, other, w.INFINITE, [state])
        assert all(wait.waits for wait in mine)
        end(context)
        assert [wait.done() for wait in mine] == [w.SCARD_E_CANCELLED] * 3
        assert mine[0].error.reader_states[0].event_state == w.SCARD_STATE_EMPTY
        assert theirs.waits
        w.SCardCancel(other)
        assert theirs.done() == w.SCARD_E_CANCELLED


# --- transactions


def test_transactions_are_granted_in_the_order_of_asking(system, context):
    system.insert(EchoCard(), DESK)
    holder, order, asking = connect(context), [], []
    w.SCardBeginTransaction(holder)

    def use(number, handle):
        w.SCardBeginTransaction(handle)
        order.append(number)
        w.SCardEndTransaction(handle, 0)

    for number in range(5):
        asking.append(Asking(use, number, connect(context)))
        assert asking[-1].waits
    w.SCardEndTransaction(holder, 0)
    for each in asking:
        each.done()
    assert order == [0, 1, 2, 3, 4]


def test_an_exchange_waits_for_the_end_of_a_transaction(system, context):
    system.insert(EchoCard(), DESK)
    one, two = connect(context), connect(context)
    w.SCardBeginTransaction(one)
    asking = Asking(w.SCardTransmit, two, None, HELLO)
    assert asking.waits
    assert w.SCardStatus(two).state == w.SCARD_SPECIFIC
    assert w.SCardGetAttrib(two, w.SCARD_ATTR_ICC_PRESENCE) == 2
    w.SCardEndTransaction(one, 0)
    assert asking.done() == b"hi\x90\x00"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda system, context, one, two: w.SCardEndTransaction(one, w.SCARD_RESET_CARD), w.SCARD_W_RESET_CARD),
        (lambda system, context, one, two: system.remove(DESK), w.SCARD_W_REMOVED_CARD),
        (lambda system, context, one, two: w.SCardDisconnect(two, 0), w.ERROR_INVALID_HANDLE),
        (lambda system, context, one, two: w.SCardReleaseContext(context), w.ERROR_INVALID_HANDLE),
    ],
    ids=["reset", "removal", "disconnect", "release"],
)
@pytest.mark.parametrize("what", ["transaction", "exchange"])
def test_who_waits_for_the_card_learns_what_happens_to_it(system, context, end, code, what):
    system.insert(EchoCard(), DESK)
    with w.SCardEstablishContext(0) as other:
        one, two = connect(other), connect(context)
        w.SCardBeginTransaction(one)
        call = (w.SCardBeginTransaction, two) if what == "transaction" else (w.SCardTransmit, two, None, HELLO)
        asking = Asking(*call)
        assert asking.waits
        end(system, context, one, two)
        assert asking.done() == code


def test_one_thread_with_two_handles_is_freed_by_the_five_seconds():
    from calais.testing import FakeClock

    clock = FakeClock()
    with local_system(clock=clock) as system, w.SCardEstablishContext(0) as context:
        system.insert(EchoCard(), DESK)
        one, two = connect(context), connect(context)
        w.SCardTransmit(one, None, VERIFY)
        w.SCardBeginTransaction(one)
        asking = Asking(w.SCardBeginTransaction, two)
        assert asking.waits
        clock.advance(5.5)
        assert asking.done() == w.SCARD_W_RESET_CARD
        w.SCardReconnect(two, 2, 3, 0)
        assert w.SCardTransmit(two, None, IS_VERIFIED) == b"\x69\x82"
        assert code_of(w.SCardStatus, one) == w.SCARD_W_RESET_CARD


def test_a_long_exchange_is_not_idle():
    from calais.testing import FakeClock

    clock, card = FakeClock(), EchoCard()
    with local_system(clock=clock) as system, w.SCardEstablishContext(0) as context:
        system.insert(card, DESK)
        handle = connect(context)
        w.SCardBeginTransaction(handle)
        card.go.clear()
        asking = Asking(w.SCardTransmit, handle, None, HELLO)
        assert asking.waits
        clock.advance(60)
        card.go.set()
        assert asking.done() == b"hi\x90\x00"
        assert w.SCardTransmit(handle, None, HELLO) == b"hi\x90\x00"


def test_threads_of_one_handle_are_in_one_transaction(system, context):
    system.insert(EchoCard(), DESK)
    one, two = connect(context), connect(context)
    w.SCardBeginTransaction(one)
    assert Asking(w.SCardBeginTransaction, one).done() is None
    assert Asking(w.SCardTransmit, one, None, HELLO).done() == b"hi\x90\x00"
    w.SCardEndTransaction(one, 0)
    assert code_of(w.SCardEndTransaction, two, 0) == w.SCARD_E_SHARING_VIOLATION
    assert Asking(w.SCardEndTransaction, one, 0).done() is None
    w.SCardBeginTransaction(two)


def test_many_threads_never_mix_their_transactions(system, context):
    card, inside, worst = EchoCard(), [], []
    system.insert(card, DESK)

    def use():
        with connect(context) as handle:
            for _ in range(20):
                w.SCardBeginTransaction(handle)
                inside.append(1)
                worst.append(len(inside))
                w.SCardTransmit(handle, None, HELLO)
                inside.pop()
                w.SCardEndTransaction(handle, 0)

    for each in [Asking(use) for _ in range(6)]:
        each.done()
    assert set(worst) == {1}
    assert card.exchanges_total == 120


# --- beside the system's own drivers


@pytest.fixture(params=["own", "shared"])
def piv(request, tmp_path):
    """A system with a PIV card in it: an object of this process, or one that processes share."""
    with local_system(tmp_path, policy={"TransactionTimeoutMilliseconds": 200}) as system:
        if request.param == "own":
            system.insert(virtual_piv(seed=1), DESK)
        else:
            system.virtual.new("ada", _with_a_key)
            system.insert("ada", DESK)
        yield system


def _with_a_key(memory):
    import os

    from cryptography.hazmat.primitives.asymmetric import ec

    from calais.cards.piv.personalise import new_card

    new_card(memory, os.urandom, keys={0x9A: (ec.generate_private_key(ec.SECP256R1()), None)})


def test_a_driver_waits_for_the_transaction_of_a_handle_and_a_handle_for_the_driver(piv):
    with w.SCardEstablishContext(0) as context, connect(context) as handle:
        w.SCardBeginTransaction(handle)
        asking = AskingThread(lambda: piv.card(DESK).card_id)
        w.SCardTransmit(handle, None, PIV_SELECT)
        w.SCardEndTransaction(handle, 0)
        assert asking.done() == piv.card(DESK).card_id
        inside, go = threading.Event(), threading.Event()

        def job(driver):
            inside.set()
            assert go.wait(LONG_S)
            return driver.card_name

        driving = Asking(piv.reader(DESK).run, job)
        assert inside.wait(LONG_S)
        transmitting = Asking(w.SCardTransmit, handle, None, PIN_QUERY)
        assert transmitting.waits
        go.set()
        driving.done()
        assert transmitting.done()[-2:-1] in (b"\x63", b"\x90", b"\x6d", b"\x69")


def test_a_driver_notices_what_was_sent_beside_it(piv):
    first = piv.card(DESK).card_id
    with w.SCardEstablishContext(0) as context, connect(context) as handle:
        w.SCardTransmit(handle, None, bytes.fromhex("00A4040005A000000151"))
        assert w.SCardTransmit(handle, None, PIV_SELECT)[-2:] == b"\x90\x00"
        assert w.SCardTransmit(handle, None, bytes.fromhex("0020008008") + b"999999\xff\xff") == b"\x63\xc2"
    assert piv.card(DESK).card_id == first


def test_a_pin_that_the_system_verified_is_not_left_to_handles(piv):
    with w.SCardEstablishContext(0) as context, connect(context) as handle:
        piv.card(DESK).verify_pin(Pin("123456"))
        answer = w.SCardTransmit(handle, None, PIN_QUERY)  # waits for the end of the system's hold
        assert answer != b"\x90\x00"


def test_an_exclusive_handle_keeps_the_drivers_out_until_it_is_closed(piv):
    with w.SCardEstablishContext(0) as context:
        before = piv.card(DESK).card_id
        with connect(context, w.SCARD_SHARE_EXCLUSIVE):
            assert code_of(piv.card, DESK) == w.SCARD_E_SHARING_VIOLATION
        assert piv.card(DESK).card_id == before


def test_a_reset_by_a_handle_does_not_trouble_the_drivers(piv):
    card = piv.card(DESK)
    with w.SCardEstablishContext(0) as context:
        w.SCardDisconnect(connect(context), w.SCARD_RESET_CARD)
        assert piv.card(DESK).card_id == card.card_id
        w.SCardDisconnect(connect(context), w.SCARD_UNPOWER_CARD)
        card.verify_pin(Pin("123456"))


# --- handles for minidrivers


def card_data(context, handle):
    atr = w.SCardStatus(handle).atr
    (name,) = w.SCardListCards(context, atr)
    data = cardmod.CardData(atr=atr, card_name=name, context=context, handle=handle)
    cardmod.CardAcquireContext(data)
    return data


@pytest.mark.parametrize("make", [lambda: virtual_piv(keys={}), lambda: virtual_gids(keys=[])], ids=["PIV", "GIDS"])
def test_a_handle_serves_a_minidriver(system, context, make):
    system.insert(make(), DESK)
    with connect(context) as handle, card_data(context, handle) as data:
        assert len(cardmod.CardReadFile(data, None, "cardid")) == 16
        w.SCardBeginTransaction(handle)
        cardmod.CardAuthenticatePin(data, "user", b"123456")
        cardmod.CardReadFile(data, None, "cardcf")
        w.SCardEndTransaction(handle, 0)
        assert code_of(w.SCardEndTransaction, handle, 0) == w.SCARD_E_NOT_TRANSACTED


def test_a_minidriver_notices_an_exchange_through_its_handle(system, context):
    card = virtual_piv(keys={})
    system.insert(card, DESK)
    with connect(context) as handle, card_data(context, handle) as data:
        w.SCardBeginTransaction(handle)
        cardmod.CardAuthenticatePin(data, "user", b"123456")
        w.SCardTransmit(handle, None, bytes.fromhex("00A4040009A00000039742544659"))
        w.SCardTransmit(handle, None, bytes.fromhex("00A4040005A000000151"))
        assert len(cardmod.CardReadFile(data, None, "cardid")) == 16
        w.SCardEndTransaction(handle, 0)


def test_a_minidriver_in_the_transaction_of_its_handle_sends_nothing_twice(system, context):
    card = virtual_piv(keys={})
    system.insert(card, DESK)
    with connect(context) as handle, card_data(context, handle) as data:
        w.SCardBeginTransaction(handle)
        cardmod.CardAuthenticatePin(data, "user", b"123456")
        card.counter.clear()
        cardmod.CardAuthenticatePin(data, "user", b"123456")
        assert card.counter.exchanges == 1
        w.SCardEndTransaction(handle, 0)


def test_a_minidriver_learns_of_a_reset_and_of_a_closed_handle(system, context):
    system.insert(virtual_piv(keys={}), DESK)
    with connect(context) as handle, card_data(context, handle) as data:
        w.SCardDisconnect(connect(context), w.SCARD_RESET_CARD)
        assert code_of(cardmod.CardReadFile, data, None, "cardid") == w.SCARD_W_RESET_CARD
        w.SCardReconnect(handle, 2, 3, 0)
        assert cardmod.CardReadFile(data, None, "cardid")
        system.remove(DESK)
        assert code_of(cardmod.CardReadFile, data, None, "cardid") == w.SCARD_W_REMOVED_CARD
        w.SCardDisconnect(handle, 0)
        assert code_of(cardmod.CardReadFile, data, None, "cardid") == w.ERROR_INVALID_HANDLE


def test_a_handle_learns_that_another_process_had_the_card_or_took_it_out(tmp_path):
    from calais.resource.virtual import VirtualReaders

    with local_system(tmp_path) as system, w.SCardEstablishContext(0) as context:
        system.virtual.new("ada", _personalise)
        system.insert("ada", DESK)
        elsewhere = VirtualReaders(tmp_path / "virtual")
        handle = connect(context)
        w.SCardTransmit(handle, None, PIV_SELECT)
        other = elsewhere.ports()[0].connect()
        other.begin()
        asking = Asking(w.SCardTransmit, handle, None, PIN_QUERY)
        assert asking.waits
        other.end()
        assert asking.done() == w.SCARD_W_RESET_CARD  # powered up afresh
        assert w.SCardReconnect(handle, w.SCARD_SHARE_EXCLUSIVE, 3, 0) == w.SCARD_PROTOCOL_T1
        other.timeout_s = 0
        assert code_of(other.begin) == w.SCARD_E_SHARING_VIOLATION
        elsewhere.remove(DESK)
        assert code_of(w.SCardTransmit, handle, None, PIN_QUERY) == w.SCARD_W_REMOVED_CARD
        elsewhere.insert("ada", DESK)
        assert elsewhere.ports()[0].connect().begin() is None


# --- everything at once


@pytest.mark.parametrize("seed", range(4))
def test_nothing_hangs_whatever_threads_do_at_once(system, seed):
    """Handles, waits, drivers, insertions and resets in eight threads; every one of them comes to its end."""
    card, stop = virtual_piv(keys={}), threading.Event()

    def use(number):
        dice = random.Random(seed * 100 + number)
        with w.SCardEstablishContext(0, system=system) as context:
            while not stop.is_set():
                with suppress(WinError):
                    _something(dice, system, context)

    def move():
        dice = random.Random(seed)
        for _ in range(40):
            with suppress(WinError):
                system.insert(card, DESK)
            stop.wait(dice.random() / 40)
            if dice.random() < 0.2:
                with suppress(WinError):
                    system.remove(DESK)
        stop.set()

    threads = [Asking(use, number) for number in range(6)]
    mover = Asking(move)
    mover.done()
    for thread in threads:
        assert thread.done() is None
    with suppress(WinError):
        system.insert(card, DESK)
    with w.SCardEstablishContext(0, system=system) as context, connect(context, w.SCARD_SHARE_EXCLUSIVE) as handle:
        assert w.SCardTransmit(handle, None, PIV_SELECT)[-2:] == b"\x90\x00"


def _something(dice, system, context):
    what = dice.randrange(5)
    if what == 0:
        w.SCardGetStatusChange(context, dice.randrange(20), [ReaderState(DESK, None, PRESENT)])
    elif what == 1:
        _ = system.card(DESK).card_id
    else:
        with connect(
            context, dice.choice([w.SCARD_SHARE_SHARED, w.SCARD_SHARE_SHARED, w.SCARD_SHARE_EXCLUSIVE])
        ) as handle:
            for _ in range(dice.randrange(3)):
                w.SCardBeginTransaction(handle)
            w.SCardTransmit(handle, None, PIV_SELECT)
            if dice.random() < 0.3:
                w.SCardEndTransaction(handle, dice.randrange(4))
            if dice.random() < 0.2:
                w.SCardReconnect(handle, w.SCARD_SHARE_SHARED, 3, dice.randrange(3))
