"""Several users of one card: contexts in one process, threads, other processes; and many repetitions."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from calais.apps.certify.checks.pins import DIGEST, state, user_key
from calais.apps.certify.observation import observe
from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import Trial
from calais.minidriver.padding import Pkcs1

CHAPTER = Chapter("contexts", "Several contexts, processes, and stress")
THREADS = 4
LISTINGS = 5  # of each thread
SIGNATURES = 20
TRANSACTIONS = 30
PROCESSES = 2
PROCESS_TIMEOUT_S = 120


@CHAPTER.check("two_agree", "Two contexts see the same card.", "minidriver 7.07, CardAcquireContext (several contexts)")
def _(trial: Trial) -> None:
    first, second = trial.seat(), trial.seat()
    with first.driver() as driver:
        seen = observe(driver)
    with second.driver() as driver:
        trial.equal("what the second context sees", observe(driver), seen)
    with first.driver() as driver:
        trial.equal("what the first context sees afterwards", observe(driver), seen)


@CHAPTER.check(
    "delete_one",
    "Deleting one context does not disturb another one, not even in the same transaction.",
    "minidriver 7.07, CardDeleteContext",
)
def _(trial: Trial) -> None:
    seat = trial.seat()
    with seat.channel.begin() as tx:
        kept, deleted = trial.subject.drive(tx, seat.memo), trial.subject.drive(tx, type(seat.memo)())
        seen = observe(kept)
        observe(deleted)
        deleted.close()
        trial.equal("what the other context sees", observe(kept), seen)
        kept.close()


@CHAPTER.check(
    "delete_one_authenticated",
    "Deleting a context ends nobody's authentication.",
    "minidriver 7.07, CardDeleteContext",
    Need.PIN,
)
def _(trial: Trial) -> None:
    seat = trial.seat()
    seat.tap.reset()
    with seat.channel.begin() as tx:
        kept, deleted = trial.subject.drive(tx, seat.memo), trial.subject.drive(tx, type(seat.memo)())
        entry = user_key(trial, kept)
        trial.present(kept)
        deleted.close()
        trial.holds(state(kept) & 2, "bit 0x02 in Authenticated State", f"0x{state(kept):02X}")
        kept.sign(entry.index, entry.key_spec, DIGEST, Pkcs1("sha256"))


@CHAPTER.check(
    "delete_touches_nothing",
    "Deleting a context sends nothing to the card, and works when the card is gone.",
    "minidriver 7.07, CardDeleteContext",
)
def _(trial: Trial) -> None:
    seat = trial.seat()
    with seat.channel.begin() as tx:
        driver = trial.subject.drive(tx, seat.memo)
        observe(driver)
        before = trial.log.exchanges
    driver.close()
    seat.channel.close()
    driver.close()
    trial.equal("exchanges", trial.log.exchanges, before)


@CHAPTER.check(
    "own_settings",
    "What one context sets (PIN Context String) concerns it alone.",
    "minidriver 7.07, CP_PIN_CONTEXT_STRING",
)
def _(trial: Trial) -> None:
    first, second = trial.seat(), trial.seat()
    with first.driver() as driver:
        driver.set_property("PIN Context String", "Pay the ferry")
        ours = dict(driver.settings)
    with second.driver() as driver:
        trial.holds(driver.settings != ours or not ours, "no setting of the other context", driver.settings)


@CHAPTER.check(
    "threads", "Threads with a context each use the card at the same time.", "minidriver 7.07, several contexts"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        due = observe(driver)
    seats = [trial.seat() for _ in range(THREADS)]

    def look(number: int) -> list[object]:
        found: list[object] = []
        for _again in range(LISTINGS):
            with seats[number].driver() as driver:
                found.append(observe(driver))
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        for seen in pool.map(look, range(THREADS)):
            trial.equal("what a thread sees", [one for one in seen if one != due], [])


@CHAPTER.check("processes", "Other processes see the same card at the same time.", "minidriver 7.07, several processes")
def _(trial: Trial) -> None:
    words = trial.subject.other_process
    if words is None:
        raise Absent("no other process can reach this card")
    running = [
        subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603 - ours
        for _ in range(PROCESSES)
    ]
    try:
        with trial.driver() as driver:
            due = observe(driver)
        for process in running:
            out, err = process.communicate(timeout=PROCESS_TIMEOUT_S)
            trial.equal("exit of the other process", (process.returncode, err.decode()[-300:]), (0, ""))
            trial.equal("what the other process sees", json.loads(out), due)
    finally:
        for process in running:
            process.kill()
            process.wait()


@CHAPTER.check(
    "many_transactions",
    f"{TRANSACTIONS} transactions, one after the other, each see the same.",
    "stress",
)
def _(trial: Trial) -> None:
    seat = trial.seat()
    with seat.driver() as driver:
        due = observe(driver)
    for number in range(TRANSACTIONS):
        with seat.driver() as driver:
            trial.equal(f"what transaction {number} sees", observe(driver), due)


@CHAPTER.check("many_signatures", f"{SIGNATURES} signatures with one key, each of its length.", "stress", Need.PIN)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = user_key(trial, driver)
        trial.present(driver)
        sizes = {
            len(driver.sign(entry.index, entry.key_spec, bytes((number,)) * 32, Pkcs1("sha256")))
            for number in range(SIGNATURES)
        }
        trial.equal("different lengths", len(sizes), 1)


@CHAPTER.check(
    "interleaved",
    "Two contexts that take turns at the card, each with its own transaction, work on.",
    "minidriver 7.07, several contexts",
    Need.PIN,
)
def _(trial: Trial) -> None:
    first, second = trial.seat(), trial.seat()
    with first.driver() as driver:
        due = observe(driver)
        entry = user_key(trial, driver)
    for _again in range(3):
        with second.driver() as driver:
            trial.present(driver)
            driver.sign(entry.index, entry.key_spec, DIGEST, Pkcs1("sha256"))
        with first.driver() as driver:
            trial.equal("what the first context sees", observe(driver), due)
