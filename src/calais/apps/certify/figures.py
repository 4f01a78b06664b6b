"""What operations cost: exchanges, bytes and time. Printed, never judged: a figure depends on card and reader."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from calais.apps.certify.rules import Absent, Broken, Need
from calais.apps.certify.trial import Seat, Subject, Trial
from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.padding import Pkcs1
from calais.win.errors import WinError

DIGEST = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Figure:
    """The cost of one operation; bytes are commands out and answers in."""

    operation: str
    exchanges: int
    bytes_out: int
    bytes_in: int
    seconds: float


class _Meter:
    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.figures: list[Figure] = []

    @contextmanager
    def of(self, operation: str) -> Iterator[None]:
        """Measure the block, unless it fails."""
        log = self.trial.log
        before, start = (log.exchanges, log.bytes_out, log.bytes_in), time.monotonic()
        try:
            yield
        except (WinError, Absent, Broken):
            return
        spent = [now - then for now, then in zip((log.exchanges, log.bytes_out, log.bytes_in), before, strict=True)]
        self.figures.append(Figure(operation, spent[0], spent[1], spent[2], time.monotonic() - start))


def measure(subject: Subject) -> Sequence[Figure]:
    """The figures of what can be done without changing the card; what fails is left out."""
    with Trial(subject) as trial:
        meter = _Meter(trial)
        seat = trial.seat()
        with meter.of("reset"):
            seat.tap.reset()
        for operation in (_reading, _keys):
            try:
                operation(meter, seat)
            except (WinError, Absent, Broken):
                continue
        return meter.figures


def _reading(meter: _Meter, seat: Seat) -> None:
    with meter.of("open"), seat.driver():
        pass
    for operation, call in _READINGS.items():
        with seat.driver() as driver, meter.of(operation):
            call(driver)


def _certificates(driver: Minidriver) -> None:
    for entry in driver.containers():
        driver.certificate(entry.index)


_READINGS: dict[str, Callable[[Minidriver], object]] = {
    "identity": lambda driver: driver.identity(),
    "list, first time": _certificates,
    "list, again": _certificates,
    "read cardcf": lambda driver: driver.read_file(None, "cardcf"),
    "read cmapfile": lambda driver: driver.read_file("mscp", "cmapfile"),
    "PIN status": lambda driver: driver.pin_status(1),
    "free space": lambda driver: driver.free_space(),
}


def _keys(meter: _Meter, seat: Seat) -> None:
    if Need.PIN not in meter.trial.subject.gives:
        return
    with seat.driver() as driver:
        entries = driver.containers()
        with meter.of("present the PIN"):
            meter.trial.present(driver)
        for entry in entries:
            meter.trial.open_for(driver, entry)
            with meter.of(f"sign, container {entry.index} ({_kind(entry)})"):
                driver.sign(entry.index, entry.key_spec, DIGEST, Pkcs1("sha256"))


def _kind(entry: ContainerEntry) -> str:
    return f"RSA-{entry.size_bits}" if entry.algorithm == "RSA" else entry.algorithm
