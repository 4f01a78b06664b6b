"""Kill a writer of the certificate store at random moments, and look at what it left.

Run as a program: ``storecrash.py [ROUNDS [STORE [SEED]]]``, by default 500 rounds with an SQLite file of its own;
STORE is a path or a URL. Each round forks a writer that makes one change after the
other and says each time when it is committed; after a random time it is killed. Then the database must be whole,
and hold every change that was acknowledged, and at most the one that was under way.
"""

from __future__ import annotations

import hashlib
import os
import random
import select
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator

import certs

from calais.store.locations import SystemStores
from calais.store.objects import CertificateStore
from calais.store.sql import SqlDatabase
from calais.win.flags import PropId

State = dict[bytes, str]


def certificate(number: int) -> bytes:
    return certs.raw_tbs(serial=number.to_bytes(4, "big"), subject=certs.raw_name("x" * (number % 700)))


def sha1(number: int) -> bytes:
    return hashlib.sha1(certificate(number)).digest()


def change(store: CertificateStore, number: int) -> None:
    """The change with this number: mostly additions, then a property, a replacement, a deletion."""
    kind = number % 6
    if kind < 3:
        store.add(certificate(number), props={PropId.FRIENDLY_NAME: f"new {number}"})
    elif kind == 3:
        store.get(sha1(number - 1)).set(PropId.FRIENDLY_NAME, f"set {number} " + "y" * (number * 37 % 9000))
    elif kind == 4:
        store.add(certificate(number - 2))
    else:
        store.get(sha1(number - 4)).delete()


def expect(state: State, number: int) -> State:
    """What the change makes of the contents."""
    after, kind = dict(state), number % 6
    if kind < 3:
        after[sha1(number)] = f"new {number}"
    elif kind == 3:
        after[sha1(number - 1)] = f"set {number} " + "y" * (number * 37 % 9000)
    elif kind == 5:
        del after[sha1(number - 4)]
    return after


def opened(where: str) -> SqlDatabase:
    return SqlDatabase(where, account="crash")


def write(where: str, first: int, acknowledge: int) -> None:
    """Never ends by itself."""
    store = CertificateStore.open(SystemStores(opened(where)))
    for number in range(first, sys.maxsize):
        change(store, number)
        os.write(acknowledge, b".")


def killed(where: str, first: int, chance: random.Random) -> int:
    """How many changes a writer acknowledged before it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write(where, first, writer)
        finally:
            os._exit(1)
    os.close(writer)
    select.select([reader], [], [], 60)  # the first one is committed, or the writer failed
    time.sleep(chance.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    return len(b"".join(iter(lambda: os.read(reader, 65536), b"")))


def check_file(path: str) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def contents(where: str) -> State:
    if "://" not in where:
        check_file(where)
    database = opened(where)
    with database.backing(1, "My").writing():
        pass  # on a server, the last transaction of the one that was killed is over now
    provider = SystemStores(database)
    with CertificateStore.open(provider) as store:
        found = {each.sha1: each.friendly_name for each in store}
        assert all(hashlib.sha1(each.der).digest() == each.sha1 for each in store)
    provider.close()
    return found


def rounds(where: str, count: int, seed: int) -> Iterator[int]:
    chance, state, number = random.Random(seed), {}, 0
    for _ in range(count):
        acknowledged = killed(where, number, chance)
        for done in range(number, number + acknowledged):
            state = expect(state, done)
        number += acknowledged
        found = contents(where)
        if found != state:
            state = expect(state, number)
            number += 1
        assert found == state, f"after change {number}"
        yield acknowledged


def main(count: str = "500", where: str = "", seed: str = "") -> None:
    """Kill, look, and print the count."""
    chosen = int(seed) if seed else random.randrange(1 << 30)
    print(f"seed {chosen}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        made = list(rounds(where or f"{folder}/store.db", int(count), chosen))
    print(f"{len(made)} writers killed, {sum(made)} changes acknowledged, none lost")


if __name__ == "__main__":
    main(*sys.argv[1:])
