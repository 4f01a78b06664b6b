"""What only a card in the same process promises: a constant epoch, and turns in the order of asking."""

from __future__ import annotations

import threading

import pytest

from calais.testing.echo import INS_ECHO, EchoCard
from calais.transport.loopback import Call, LoopbackTransport, Place, Turn
from calais.win.errors import CardRemoved, SharingViolation

HELLO = bytes((0, INS_ECHO, 0, 0, 5)) + b"hello"


class Stage:
    """A card and our connection to it."""

    def __init__(self):
        self.card = EchoCard()
        self.transport = LoopbackTransport(self.card)


def test_the_epoch_of_a_card_in_process_is_constant_while_only_we_use_it():
    stage = Stage()
    epochs = set()
    for _ in range(3):
        stage.transport.begin()
        stage.transport.transmit(HELLO)
        epochs.add(stage.transport.epoch)
        stage.transport.end()
    assert len(epochs) == 1


def test_direct_use_of_a_card_in_process_changes_the_epoch():
    stage = Stage()
    seen = [stage.transport.epoch]
    for use in (lambda: stage.card.process(HELLO), stage.card.reset, stage.card.power_cycle):
        use()
        seen.append(stage.transport.epoch)
    assert len(set(seen)) == len(seen)


def test_a_second_connection_never_repeats_the_epoch_of_a_first_that_was_used():
    stage = Stage()
    stage.transport.begin()
    before = stage.transport.epoch
    stage.transport.transmit(HELLO)
    stage.transport.end()
    assert LoopbackTransport(stage.card).epoch != before


def test_users_of_a_card_in_process_are_served_in_the_order_of_asking():
    turn, order, threads = Turn(), [], []
    assert turn.take(0)

    def user(number):
        assert turn.take(30)
        order.append(number)
        turn.give()

    for number in range(4):
        threads.append(threading.Thread(target=user, args=(number,)))
        threads[-1].start()
        while len(turn._waiting) <= number:
            threads[-1].join(0.001)
    turn.give()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3]


def test_who_waits_for_a_card_that_is_pulled_meanwhile_learns_that_it_is_gone():
    card, raised = EchoCard(), []
    holder, waiter = LoopbackTransport(card), LoopbackTransport(card, timeout_s=30)
    holder.begin()

    def wait():
        try:
            waiter.begin()
        except CardRemoved as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not holder._turn._waiting:
        thread.join(0.001)
    waiter.remove()
    thread.join(30)
    assert len(raised) == 1
    holder.end()
    holder.begin()
    holder.end()


def test_a_turn_that_comes_at_the_moment_of_the_timeout_is_kept():
    called = Call()
    called.set()
    assert not Turn().leave(called)


def test_a_wait_is_ended_from_another_thread_for_good():
    turn, granted = Turn(), []
    turn.take(0)
    place = Place(turn)
    thread = threading.Thread(target=lambda: granted.append(place.take(30)))
    thread.start()
    while not turn._waiting:
        thread.join(0.001)
    place.stop()
    thread.join(30)
    assert granted == [False]
    assert not place.take(30)
    turn.give()
    assert Place(turn).take(0)


def test_what_is_reserved_is_for_one_user_only():
    turn = Turn()
    one, other = Place(turn), Place(turn)
    assert one.reserve()
    assert not other.reserve()
    assert (one.is_free_for_us, other.is_free_for_us) == (True, False)
    one.share()
    assert turn.take(0)
    assert not other.reserve()
    assert other.reserve(held=True)


def test_a_late_turn_is_not_lost():
    card = EchoCard()
    holder, waiter = LoopbackTransport(card, timeout_s=30), LoopbackTransport(card, timeout_s=0)
    for _ in range(200):
        holder.begin()
        with pytest.raises(SharingViolation):
            waiter.begin()
        holder.end()
    holder.begin()
    holder.end()


def test_many_threads_never_share_a_transaction():
    card, inside, worst = EchoCard(), [], []

    def user():
        transport = LoopbackTransport(card, timeout_s=30)
        for _ in range(50):
            transport.begin()
            inside.append(1)
            worst.append(len(inside))
            transport.transmit(HELLO)
            inside.pop()
            transport.end()

    threads = [threading.Thread(target=user) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(worst) == {1}
    assert card.exchanges_total == 300
