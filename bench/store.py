"""The certificate store from a thousand to a million certificates: finds by key, enumeration, additions.

Beside it, in the same run and on the same certificates: plain ``sqlite3`` look-ups on the same table, as a ratio,
and NSS' ``certutil``, with the sizes that it can be filled with in bounded time. Finds by key should cost the same
at every size; the last column says how much slower they are than in the smallest store. ``--most N`` bounds the size.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from calais.store import filing
from calais.store.api import Index
from calais.store.certificate import key_identifier, parse
from calais.store.locations import SystemStores
from calais.store.objects import CertificateStore
from calais.store.sql import SqlDatabase

SIZES = (1_000, 10_000, 100_000, 1_000_000)
NSS_SIZES = (1_000, 10_000)
NSS_FILL_S = 60.0
CHUNK = 50_000
OURS = 10_000
FINDS = 300
ENUMERATED = 5_000
SINGLE_ADDS = 50
PROCESSES = 5
BATCHED = 200
ISSUERS = 100
GOAL = 2.0


# --- certificates -----------------------------------------------------------------------------------------------------


def sha1(value: bytes) -> bytes:
    """Of a certificate, or of a key."""
    return hashlib.sha1(value, usedforsecurity=False).digest()


class Template:
    """One real certificate, with places for serial, subject, issuer and key; what comes of it need not verify."""

    def __init__(self) -> None:
        from datetime import UTC, datetime

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("S" * 16, "I" * 16)]
        builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
        builder = builder.serial_number(0x5A5A5A5A5A5A5A5A)
        builder = builder.not_valid_before(datetime(2024, 1, 1, tzinfo=UTC)).not_valid_after(
            datetime(2044, 1, 1, tzinfo=UTC)
        )
        self._der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        marks = (b"\x5a" * 8, b"S" * 16, b"I" * 16, point[1:])
        self._places = [self._der.index(mark) for mark in marks]
        fields = parse(self._der).fields
        self._issuer, self._subject, self._key = (slice(fields[at].start, fields[at].end) for at in (2, 4, 5))
        sample = self.make(12345)
        assert self.digests(sample, 12345) == tuple(filing.digests(sample, {}).values())

    def digests(self, der: bytes, number: int) -> tuple[bytes, ...]:
        """What ``filing.digests`` makes of the certificate with this number, without reading it."""
        point = der[self._key][-65:]
        values = {
            Index.SHA1: sha1(der),
            Index.SUBJECT: der[self._subject],
            Index.ISSUER: der[self._issuer],
            Index.ISSUER_SERIAL: filing.issuer_and_serial(der[self._issuer], number + 1),
            Index.KEY_IDENTIFIER: sha1(der[self._key]),
            Index.PUBLIC_KEY: hashlib.md5(point, usedforsecurity=False).digest(),
        }
        return tuple(filing.digest(values[index]) for index in Index)

    def make(self, number: int) -> bytes:
        """The certificate with this number."""
        made = bytearray(self._der)
        values = (
            (number + 1).to_bytes(8, "big"),
            b"Person %09d" % number,
            b"Authority %06d" % (number % ISSUERS),
            hashlib.sha512(number.to_bytes(8, "big")).digest(),
        )
        for place, value in zip(self._places, values, strict=True):
            made[place : place + len(value)] = value
        return bytes(made)


# --- Calais -----------------------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """What was measured at one size: seconds each, by name."""

    size: int
    seconds: dict[str, float]


def ways(store: CertificateStore) -> dict[str, Callable[[bytes], object]]:
    """Every find by key, given the certificate that is wanted."""
    return {
        "SHA-1": lambda der: store.get(sha1(der)),
        "subject": lambda der: list(store.find(subject=parse(der).subject)),
        "issuer + serial": lambda der: list(store.find(issuer=parse(der).issuer, serial=parse(der).serial)),
        "key identifier": lambda der: list(store.find(key_identifier=key_identifier(parse(der)))),
    }


def fill(
    database: SqlDatabase, template: Template, start: int, end: int, tick: Callable[[int], None], store: str = "My"
) -> float:
    """Seconds for each certificate, filed in one transaction."""
    ders = [template.make(number) for number in range(start, end)]
    begun = time.perf_counter()
    with database.backing(1, store).writing() as look:
        look.put_all((der, {}) for der in ders)
    tick(len(ders))
    return (time.perf_counter() - begun) / len(ders)


def fill_plainly(path: Path, template: Template, start: int, end: int, tick: Callable[[int], None]) -> float:
    """Seconds for each certificate, put into the same tables by plain ``sqlite3``; the digests are at hand."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA cache_size = -262144")
    [store] = connection.execute("SELECT id FROM store WHERE folded = 'my'").fetchone()
    columns = ", ".join(("store_id", "encoded", *Index))
    insert = f"INSERT INTO certificate ({columns}) VALUES ({', '.join('?' * (2 + len(Index)))})"
    spent = 0.0
    for first in range(start, end, CHUNK):
        numbers = range(first, min(first + CHUNK, end))
        ders = [template.make(number) for number in numbers]
        rows = [(store, der, *template.digests(der, number)) for der, number in zip(ders, numbers, strict=True)]
        [last] = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'certificate'").fetchone()
        hashes = [(last + 1 + at, sha1(der)) for at, der in enumerate(ders)]
        begun = time.perf_counter()
        connection.executemany(insert, rows)
        connection.executemany("INSERT INTO property (certificate_id, prop_id, value) VALUES (?, 3, ?)", hashes)
        connection.commit()
        spent += time.perf_counter() - begun
        tick(len(ders))
    connection.close()
    return spent / max(1, end - start)


def median_of(work: Callable[[bytes], object], ders: Sequence[bytes]) -> float:
    """The median of the seconds that ``work`` takes for each."""
    spent = []
    for der in ders:
        begun = time.perf_counter()
        found = work(der)
        spent.append(time.perf_counter() - begun)
        assert found, "not found"
    return statistics.median(spent)


def measure(database: SqlDatabase, path: Path, template: Template, size: int) -> dict[str, float]:
    """Everything that is asked of a store of this size."""
    chance = random.Random(size)
    ders = [template.make(chance.randrange(size)) for _ in range(FINDS)]
    seconds: dict[str, float] = {}
    begun = time.perf_counter()
    with CertificateStore.open(SystemStores(database)) as store:
        seconds["open"] = time.perf_counter() - begun
        for name, way in ways(store).items():
            seconds[name] = median_of(way, ders)
        begun = time.perf_counter()
        some = sum(1 for _ in zip(range(ENUMERATED), store, strict=False))
        seconds["enumerate, each"] = (time.perf_counter() - begun) / some
        new = [template.make(10**8 + size * SINGLE_ADDS + number) for number in range(SINGLE_ADDS)]
        seconds["add one"] = median_of(store.add, new)
        for der in new:
            store.get(sha1(der)).delete()
    with plain(path) as look:
        seconds["plain sqlite3 by SHA-1"] = median_of(look, ders)
    return seconds


@contextmanager
def plain(path: Path) -> Iterator[Callable[[bytes], object]]:
    """The bare look-up in the same table: digest, row, properties."""
    with sqlite3.connect(path) as connection:
        [store] = connection.execute("SELECT id FROM store WHERE folded = 'my'").fetchone()

        def look(der: bytes) -> object:
            digest = filing.digest(sha1(der))
            query = f"SELECT id, encoded FROM certificate WHERE store_id = ? AND {Index.SHA1.value} = ?"
            key, encoded = connection.execute(query, (store, digest)).fetchone()
            connection.execute("SELECT prop_id, value FROM property WHERE certificate_id = ?", (key,)).fetchall()
            return encoded

        yield look
    connection.close()


# --- NSS --------------------------------------------------------------------------------------------------------------

ONE = """
import sys
from calais.store.locations import SystemStores
from calais.store.objects import CertificateStore
from calais.store.sql import SqlDatabase
with CertificateStore.open(SystemStores(SqlDatabase(sys.argv[1]))) as store:
    assert store.get(bytes.fromhex(sys.argv[2]))
"""


def certutil(folder: Path, *words: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    """Run it on the database there."""
    command = ["certutil", "-d", f"sql:{folder}", *words]
    return subprocess.run(command, check=True, capture_output=True, **more)


def fill_nss(folder: Path, template: Template, start: int, end: int, tick: Callable[[int], None]) -> float | None:
    """Seconds for each certificate, added by batches; ``None`` when the time was up before the end."""
    begun = time.perf_counter()
    for first in range(start, end, 250):
        lines = []
        for number in range(first, min(first + 250, end)):
            file = folder / f"{number}.der"
            file.write_bytes(template.make(number))
            lines.append(f"-A -n person{number} -t ,, -i {file}")
        batch = folder / "batch"
        batch.write_text("\n".join(lines) + "\n")
        certutil(folder, "-B", "-i", str(batch))
        tick(len(lines))
        for number in range(first, min(first + 250, end)):
            (folder / f"{number}.der").unlink()
        if time.perf_counter() - begun > NSS_FILL_S and number + 1 < end:
            return None
    return (time.perf_counter() - begun) / (end - start)


def batched(folder: Path, size: int) -> float:
    """Seconds for each of many finds in one process."""
    numbers = random.Random(size).sample(range(size), BATCHED)
    batch = folder / "batch"
    batch.write_text("".join(f"-L -n person{number}\n" for number in numbers))
    begun = time.perf_counter()
    certutil(folder, "-B", "-i", str(batch))
    return (time.perf_counter() - begun) / BATCHED


def median_process(run: Callable[[int], object], size: int) -> float:
    """The median of the seconds of a process for each of some certificates."""
    spent = []
    for number in random.Random(size).sample(range(size), PROCESSES):
        begun = time.perf_counter()
        run(number)
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent)


def measure_nss(template: Template, most: int, bar: Progress) -> list[Result]:
    """One ``certutil -L -n`` is a process; beside it the same find by a process of ours."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        folder, filled = Path(name), 0
        certutil(folder, "-N", "--empty-password")
        database = SqlDatabase(folder / "calais.db")
        for size in [size for size in NSS_SIZES if size <= most]:
            task = bar.add_task(f"NSS, {size:,}", total=size - filled)
            each = fill_nss(folder, template, filled, size, lambda done, task=task: bar.advance(task, done))
            if each is None:
                bar.update(task, description=f"NSS, {size:,}: not in {NSS_FILL_S:.0f} s")
                break
            fill(database, template, filled, size, lambda _: None)
            filled = size
            ours = lambda number: subprocess.run(  # noqa: E731
                [sys.executable, "-c", ONE, folder / "calais.db", hashlib.sha1(template.make(number)).hexdigest()],
                check=True,
                env=os.environ,
            )
            results.append(
                Result(
                    size,
                    {
                        "certutil: add, each": each,
                        "certutil -L -n, each of many": batched(folder, size),
                        "certutil -L -n, a process": median_process(
                            lambda number: certutil(folder, "-L", "-n", f"person{number}"), size
                        ),
                        "Calais by SHA-1, a process": median_process(ours, size),
                    },
                )
            )
        database.close()
    return results


# --- the table --------------------------------------------------------------------------------------------------------


def measure_all(template: Template, most: int, bar: Progress) -> list[Result]:
    """Calais and plain sqlite3 at every size up to ``most``."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        path, filled = Path(name) / "store.db", 0
        database = SqlDatabase(path)
        fill(database, template, 0, OURS // 10, lambda _: None, "Warm-up")
        for size in [size for size in SIZES if size <= most]:
            task = bar.add_task(f"Calais, {size:,}", total=size - filled)
            tick = partial(bar.advance, task)
            ours = min(OURS, (size - filled) // 2)
            bare = fill_plainly(path, template, filled + ours, size, tick) if filled else 0.0
            each = fill(database, template, filled, filled + ours, tick)
            bare = bare or fill_plainly(path, template, ours, size, tick)
            filled = size
            seconds = measure(database, path, template, size)
            results.append(Result(size, {**seconds, "add many, each": each, "plain sqlite3: insert, each": bare}))
        database.close()
    return results


def show(results: list[Result], title: str) -> None:
    """Microseconds by size, and how much the largest costs beside the smallest."""
    table = Table(title=title, title_justify="left")
    table.add_column("microseconds")
    for result in results:
        table.add_column(f"{result.size:,}", justify="right")
    table.add_column("growth", justify="right")
    for name in results[0].seconds:
        values = [result.seconds[name] for result in results]
        table.add_row(name, *(f"{value * 1e6:,.0f}" for value in values), f"{values[-1] / values[0]:.2f}")
    for name, ours, theirs in (
        ("ratio: SHA-1 to plain sqlite3", "SHA-1", "plain sqlite3 by SHA-1"),
        ("ratio: add many to plain sqlite3", "add many, each", "plain sqlite3: insert, each"),
        ("ratio: certutil to Calais, a process", "certutil -L -n, a process", "Calais by SHA-1, a process"),
    ):
        if ours in results[0].seconds:
            table.add_row(name, *(f"{each.seconds[ours] / each.seconds[theirs]:.2f}" for each in results), "")
    Console().print(table)


def verdict(results: list[Result]) -> str:
    """Whether finds by key are as quick in the largest store as in the smallest."""
    first, last = results[0], results[-1]
    growth = {name: last.seconds[name] / first.seconds[name] for name in ways(CertificateStore.in_memory())}
    worst = max(growth, key=lambda name: growth[name])
    said = "within" if growth[worst] <= GOAL else "ABOVE"
    return f"finds by key, {last.size:,} to {first.size:,}: at most {growth[worst]:.2f} ({worst}); {said} the goal of {GOAL}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=100_000, help="the largest size (default 100000; up to 1000000)")
    most = max(SIZES[0], parser.parse_args().most)
    template = Template()
    with Progress(console=Console(stderr=True)) as bar:
        results = measure_all(template, most, bar)
        theirs = measure_nss(template, most, bar) if shutil.which("certutil") else []
    show(results, "certificate store, SQLite, one at a time, median")
    print(verdict(results))
    if theirs:
        show(theirs, "NSS certutil (sql:) and Calais, a process for each find")
    else:
        print("certutil is not here: apt install libnss3-tools")


if __name__ == "__main__":
    main()
