from __future__ import annotations

import threading
from functools import partial

import pytest
from people import PIN, AskingThread, card, select, tries_left, verify

from calais.cards.registry import identify
from calais.minidriver.pins import Pin
from calais.resource.readers import LONGEST_HOLD_S, Reader
from calais.resource.slots import Slot
from calais.testing import FakeClock, FaultyTransport
from calais.win.errors import (
    BadData,
    Cancelled,
    CardRemoved,
    CardReset,
    NoCard,
    ReaderUnavailable,
    SharingViolation,
)

JOIN_S = 10


def sign(driver):
    return driver.sign(0, 1, bytes(32), None)


def authenticate(driver):
    driver.containers()
    driver.authenticate(1, Pin(PIN))


def identity(driver):
    return driver.identity()


@pytest.fixture
def piv():
    return card(0x9A)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def slot(piv):
    slot = Slot("Desk")
    slot.insert(piv)
    return slot


@pytest.fixture
def reader(slot, clock):
    reader = Reader(slot, partial(identify), clock=clock)
    yield reader
    reader.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("calais")]


class Faults:
    """A port whose connections fail as told."""

    linger_s = 0.0

    def __init__(self, slot):
        self.slot, self.name, self.faults, self.connections = slot, slot.name, [], []

    def status(self):
        return self.slot.status()

    def connect(self):
        self.connections.append(FaultyTransport(self.slot.connect(), self.faults))
        self.faults = self.connections[-1].faults
        return self.connections[-1]


@pytest.fixture
def faults(slot):
    return Faults(slot)


@pytest.fixture
def faulty(faults, clock):
    reader = Reader(faults, partial(identify), clock=clock)
    yield reader
    reader.close()


# --- ownership ---


def test_a_job_runs_in_the_thread_that_asks(reader):
    assert reader.run(lambda _: threading.get_ident()) == threading.get_ident()


def test_a_submitted_job_runs_elsewhere_and_its_result_comes_in_a_future(reader):
    future = reader.submit(lambda driver: (threading.get_ident(), driver.identity().card_id))
    thread, card_id = future.result(JOIN_S)
    assert thread != threading.get_ident()
    assert card_id == reader.run(identity).card_id


def test_the_error_of_a_submitted_job_comes_in_its_future(reader, slot):
    slot.remove()
    with pytest.raises(NoCard):
        reader.submit(identity).result(JOIN_S)


def test_jobs_are_served_in_the_order_of_asking(reader):
    order, started, go = [], threading.Event(), threading.Event()

    def first(_):
        started.set()
        assert go.wait(JOIN_S)
        order.append(0)

    threads = [AskingThread(lambda: reader.run(first))]
    assert started.wait(JOIN_S)
    for number in range(1, 6):
        threads.append(AskingThread(lambda number=number: reader.run(lambda _: order.append(number))))
        while len(reader._turn._waiting) < number:
            threading.Event().wait(0.001)
    go.set()
    for thread in threads:
        thread.done()
    assert order == [0, 1, 2, 3, 4, 5]


def test_only_one_job_at_a_time_uses_the_card(reader):
    inside, most = [], []

    def job(driver):
        inside.append(1)
        most.append(len(inside))
        driver.identity()
        inside.pop()

    for thread in [AskingThread(lambda: [reader.run(job) for _ in range(20)]) for _ in range(4)]:
        thread.done()
    assert len(most) == 80
    assert max(most) == 1


def test_a_job_that_asks_for_its_own_reader_is_refused_instead_of_waiting_for_ever(reader):
    with pytest.raises(SharingViolation, match="its own reader"):
        reader.run(lambda _: reader.run(identity))
    reader.run(identity)


def test_a_failing_job_gives_the_reader_back(reader):
    def fail(_):
        raise BadData(detail="made to fail")

    with pytest.raises(BadData):
        reader.run(fail)
    assert reader.run(identity)


# --- the hold ---


def test_a_verified_pin_stays_verified_for_the_next_job(reader, piv):
    reader.run(authenticate)
    piv.counter.clear()
    reader.run(sign)
    assert piv.counter.exchanges == 1


def test_another_program_waits_while_our_pin_is_verified(reader, slot):
    reader.run(authenticate)
    other = slot.connect()
    other.timeout_s = 0.01
    with pytest.raises(SharingViolation):
        other.begin()
    reader.release()
    other.begin()
    other.end()


def test_the_keeper_ends_the_hold_and_with_it_the_verified_pin(reader, slot, clock):
    reader.run(authenticate)
    clock.advance(1.6)
    other = slot.connect()
    other.begin()  # comes when the keeper has given the card back
    assert other.transmit(bytes.fromhex("00200080")).hex() == "63c3"
    other.end()


def test_the_hold_begins_anew_with_each_job(reader, piv, clock):
    reader.run(authenticate)
    for _ in range(5):
        clock.advance(1.0)
        piv.counter.clear()
        reader.run(sign)
        assert piv.counter.exchanges == 1


def test_even_a_busy_reader_gives_others_a_turn(reader, piv, clock):
    reader.run(authenticate)
    used = set()
    for _ in range(int(LONGEST_HOLD_S) + 3):
        clock.advance(1.0)
        used.add(reader.run(lambda driver: bool(driver.tx.volatile.authenticated)))
    assert used == {True, False}


def test_without_a_verified_pin_nothing_is_held(reader, slot):
    reader.run(identity)
    other = slot.connect()
    other.timeout_s = 0.01
    other.begin()
    other.end()


def test_a_hold_of_no_time_ends_with_the_job(slot, piv):
    reader = Reader(slot, partial(identify), hold_s=0)
    reader.run(authenticate)
    select(piv)
    assert piv.process(bytes.fromhex("00200080")).hex() == "63c3"
    reader.close()


def test_a_management_key_counts_no_more_after_the_job_either(reader, slot):
    key = bytes.fromhex("010203040506070801020304050607080102030405060708")
    reader.run(lambda driver: driver.authenticate_admin(key))
    reader.release()
    other = slot.connect()
    other.begin()
    other.transmit(bytes.fromhex("00A4040009A0000003080000100000"))
    assert other.transmit(bytes.fromhex("0047009A05AC0380011100")).hex()[-4:] == "6982"
    other.end()


def test_closing_leaves_no_thread_and_no_verified_pin(slot, piv):
    reader = Reader(slot, partial(identify))
    reader.run(authenticate)
    reader.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("calais")]
    select(piv)
    assert piv.process(bytes.fromhex("00200080")).hex() == "63c3"
    with pytest.raises(Cancelled):
        reader.run(identity)
    with pytest.raises(Cancelled):
        reader.submit(identity)
    reader.close()


# --- resets and removals ---


def test_a_reset_before_the_first_exchange_costs_one_restart(reader, piv):
    reader.run(authenticate)
    calls = []

    def job(driver):
        calls.append(driver)
        if len(calls) == 1:
            piv.reset()
        return driver.pin_status(1)

    assert reader.run(job).attempts_left == 3
    assert len(calls) == 2


def test_a_card_that_is_reset_again_and_again_is_not_tried_for_ever(reader, piv):
    calls = []

    def job(driver):
        calls.append(driver)
        piv.reset()
        return driver.pin_status(1)

    with pytest.raises(CardReset):
        reader.run(job)
    assert len(calls) == 2


def test_a_reset_after_an_exchange_is_the_callers_to_see(faulty, faults, piv):
    faulty.run(identity)
    calls = []

    def job(driver):
        calls.append(driver)
        driver.pin_status(1)
        faults.faults.append(CardReset(detail="made to fail"))
        driver.authenticate(1, Pin("654321"))

    with pytest.raises(CardReset):
        faulty.run(job)
    assert len(calls) == 1
    assert tries_left(piv) == 3
    assert faulty.run(lambda driver: driver.pin_status(1)).attempts_left == 3


def test_a_reset_by_another_program_takes_our_verified_pin_with_it(reader, piv):
    reader.run(authenticate)
    piv.reset()
    assert not reader.run(lambda driver: driver.pin_status(1)).verified


def test_what_another_program_does_to_the_card_in_our_hold_is_noticed(reader, piv):
    reader.run(authenticate)
    piv.process(bytes.fromhex("00A4040008A000000151000000"))
    assert reader.run(lambda driver: driver.pin_status(1)).verified is False


def test_a_card_that_is_pulled_under_a_job_is_removed(reader, slot):
    def job(driver):
        slot.remove()
        driver.pin_status(1)

    with pytest.raises(CardRemoved):
        reader.run(job)
    with pytest.raises(NoCard):
        reader.run(identity)


def test_whoever_waits_while_the_card_is_pulled_gets_card_removed(reader, slot):
    started, go = threading.Event(), threading.Event()

    def job(driver):
        started.set()
        assert go.wait(JOIN_S)
        slot.remove()
        driver.pin_status(1)

    first = AskingThread(lambda: reader.run(job))
    assert started.wait(JOIN_S)
    second = AskingThread(lambda: reader.run(identity))
    while not reader._turn._waiting:
        threading.Event().wait(0.001)
    go.set()
    for thread in (first, second):
        with pytest.raises(CardRemoved):
            thread.done()


def test_a_card_that_comes_back_is_used_again(reader, slot, piv):
    before = reader.run(identity)
    slot.remove()
    slot.insert(piv)
    assert reader.run(identity) == before


def test_an_unplugged_reader_is_unavailable(reader, slot):
    slot.unplug()
    with pytest.raises(ReaderUnavailable):
        reader.run(identity)
    with pytest.raises(ReaderUnavailable):
        reader.status()


def test_the_status_of_a_reader_costs_no_exchange(reader, slot, piv):
    piv.counter.clear()
    before = reader.status()
    assert (before.name, before.present, before.atr) == ("Desk", True, piv.atr)
    slot.remove()
    after = reader.status()
    assert (after.present, after.atr, after.insertion) == (False, b"", before.insertion + 1)
    assert piv.counter.exchanges == 0


def test_a_second_card_does_not_go_into_a_full_reader(slot, piv):
    with pytest.raises(SharingViolation):
        slot.insert(card(0x9A, name="two"))
    assert slot.card is piv


def test_a_pin_that_another_program_verified_is_not_ours_to_end(reader, piv):
    select(piv)
    assert verify(piv) == "9000"
    reader.run(identity)
    reader.release()
    assert piv.process(bytes.fromhex("00200080")).hex() == "9000"
