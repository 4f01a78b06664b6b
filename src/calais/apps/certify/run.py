"""Running checks, one after the other, each on its own trial; what comes out is a ``Report``."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from calais.apps.certify.figures import Figure, measure
from calais.apps.certify.rules import NAME_OF_NEED, Absent, Broken, Check, Verdict
from calais.apps.certify.trial import Subject, Trial
from calais.win.errors import WinError


@dataclass(frozen=True, slots=True)
class Result:
    """How a check ended; ``reason`` of what was not done; ``expected``, ``came`` and ``exchanges`` are the evidence."""

    check: Check
    verdict: Verdict
    seconds: float
    exchange_count: int = 0
    reason: str = ""
    expected: str = ""
    came: str = ""
    exchanges: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run. ``card`` are facts about the card, by name; none is a secret."""

    subject: str
    driver: str
    card: dict[str, str]
    started: datetime
    results: Sequence[Result] = ()
    figures: Sequence[Figure] = ()
    is_destructive: bool = False

    def count(self, verdict: Verdict) -> int:
        """How many checks ended so."""
        return sum(result.verdict is verdict for result in self.results)

    @property
    def passed(self) -> bool:
        """Whether no check failed, and one at least passed."""
        return not self.count(Verdict.FAIL) and self.count(Verdict.PASS) > 0


# What fails here would go on to block the card.
STOPS = {"pins.status_is_free": "this driver uses up tries by asking"}

Progress = Callable[[Check, Result | None], None]


def run(subject: Subject, checks: Sequence[Check], progress: Progress | None = None) -> Report:
    """Try ``checks`` on ``subject``.

    Args:
        subject: what is certified.
        checks: in this order.
        progress: told of each check before it (with ``None``) and after it (with its result).

    Raises:
        WinError: the card cannot be reached, or no driver can be made for it, to begin with.
    """
    started = datetime.now(UTC)
    driver, card = introduce(subject)
    results: list[Result] = []
    stopped = ""
    for check in checks:
        if progress:
            progress(check, None)
        result = Result(check, Verdict.SKIPPED, 0.0, reason=stopped) if stopped else try_check(subject, check)
        results.append(result)
        if check.name in STOPS and result.verdict is Verdict.FAIL:
            stopped = f"stopped after {check.name}: {STOPS[check.name]}"
        if progress:
            progress(check, result)
    figures = measure(subject)
    return Report(subject.title, driver, card, started, results, figures, subject.destructive)


def introduce(subject: Subject) -> tuple[str, dict[str, str]]:
    """The driver's class, and what the card says about itself."""
    with Trial(subject) as trial, trial.driver() as driver:
        kind = type(driver)
        found = {"name": driver.card_name, "atr": driver.tx.channel.transport.atr.hex().upper()}
        try:
            identity = driver.identity()
        except WinError:
            return f"{kind.__module__}.{kind.__qualname__}", found
        found |= {"label": identity.label, "serial": identity.serial, "card_id": identity.card_id.hex().upper()}
        return f"{kind.__module__}.{kind.__qualname__}", found


def try_check(subject: Subject, check: Check) -> Result:
    """One check, on a trial of its own."""
    missing = check.needs & ~subject.gives
    if missing:
        wanted = ", ".join(text for need, text in NAME_OF_NEED.items() if need in missing)
        return Result(check, Verdict.SKIPPED, 0.0, reason=f"needs {wanted}")
    start = time.monotonic()
    trial = Trial(subject)
    try:
        with trial:
            check.body(trial)
    except Absent as found:
        return Result(check, Verdict.ABSENT, time.monotonic() - start, trial.log.exchanges, reason=str(found))
    except Exception as error:  # noqa: BLE001 - what is tried here is somebody else's code
        expected, came = _evidence(error)
        return Result(
            check,
            Verdict.FAIL,
            time.monotonic() - start,
            trial.log.exchanges,
            expected=expected,
            came=came,
            exchanges=trial.log.told(),
        )
    return Result(check, Verdict.PASS, time.monotonic() - start, trial.log.exchanges)


def _evidence(error: Exception) -> tuple[str, str]:
    if isinstance(error, Broken):
        return error.expected, error.came
    if isinstance(error, WinError):
        return "no failure", str(error)
    # The text of a foreign exception may hold anything, a PIN too: it is not repeated.
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return "WinError is the only exception", f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
