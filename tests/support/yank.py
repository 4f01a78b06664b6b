"""Cards pulled out at every instant of a change: after each exchange, and at each commit inside the card.

A ``World`` is a kind of card as it was before; ``cuts`` runs a change once for each instant at which it can be cut and
yields what is left: the card's memory, and the host that saw it happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from calais.apps.certify.tap import Log, Tap
from calais.cards.base import BytesMemory, PowerLoss
from calais.minidriver.memo import CardMemo
from calais.transport.base import Channel
from calais.transport.loopback import LoopbackTransport
from calais.win.errors import CardRemoved, WinError

POINTS_MAX = 500


class Host:
    """A program with a card: its connection, and what it remembers."""

    def __init__(self, world, memory, memo=None):
        self.world = world
        self.memory = memory
        self.memo = memo or CardMemo(random=world.random)
        self.connect()

    def connect(self):
        self.card = self.world.power_up(self.memory)
        self.tap = Tap(LoopbackTransport(self.card), Log())
        self.channel = Channel(self.tap)

    def run(self, job, *, rights=True):
        """``job`` of a driver, in a transaction, with all rights."""
        with self.channel.begin() as tx:
            driver = self.world.drive(tx, self.memo)
            if rights:
                self.world.open(driver)
            return job(driver)

    def reinserted(self, memory=None):
        """The card put in again: what was remembered stays, to be judged."""
        self.channel.close()
        self.memory = BytesMemory((memory or self.memory).read())
        self.connect()
        return self


@dataclass
class World:
    """A kind of card.

    ``records``: its memory before; ``power_up``: the card of a memory; ``drive``: the driver of a transaction; ``open``:
    presents PIN and administrator's key.
    """

    records: dict
    power_up: Callable
    drive: Callable
    open: Callable
    random: Callable
    made: int = field(default=0)

    def host(self):
        return Host(self, BytesMemory(self.records))


@dataclass
class Cut:
    """One cut: where it was, and the host; ``finished``: the change was not cut at all."""

    where: str
    host: Host
    finished: bool = False


def cuts(world, change, *, prepare=lambda driver: None):
    """Run ``change`` cut off at each instant; the last one is not cut off.

    ``prepare`` runs with ``change``, before the first instant that counts.
    """
    for place in (_before, _after, _commit):
        for point in count(1):
            assert point < POINTS_MAX, "the change does not end"
            cut = _cut(world, change, prepare, place, point)
            if cut.finished:
                break
            yield cut
    yield Cut("no cut", cut.host, finished=True)


def _cut(world, change, prepare, place, point):
    host = world.host()

    def job(driver):
        prepare(driver)
        place(host, point)
        change(driver)

    try:
        host.run(job)
    except CardRemoved:
        return Cut(f"{place.__name__[1:]} {point}", host)
    finally:
        host.tap.before = host.tap.after = host.memory.cut = None
    return Cut("", host, finished=True)


def _before(host, point):
    """The command does not reach the card."""
    start = host.tap.count

    def strike(number, _command):
        if number - start >= point:
            raise CardRemoved(detail="pulled out before a command")

    host.tap.before = strike


def _after(host, point):
    """The card does it, and its answer is lost."""
    start = host.tap.count

    def strike(number, _command):
        if number - start >= point:
            raise CardRemoved(detail="pulled out before the answer")

    host.tap.after = strike


def _commit(host, point):
    """Power goes around a commit inside the card."""
    start = host.memory.instants

    def strike(number):
        if number - start >= point:
            raise PowerLoss(detail="pulled out in the middle of a commit")

    host.memory.cut = strike


def attempt(call):
    """The error of ``call``, or ``None``."""
    try:
        call()
    except WinError as error:
        return error
    return None
