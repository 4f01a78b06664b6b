"""What was committed is there after any crash, and errors of the disk lose nothing."""

import gzip
import hashlib
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import certs
import pytest
import sqlalchemy as sa
from postgres import NEEDED

from calais.store.database import open_database
from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.store.objects import CertificateStore
from calais.store.sql import SqlDatabase, migrations, schema
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import AddDisposition, PropId

SUPPORT = Path(__file__).parent.parent / "support"
A, B = certs.make("Alice"), certs.make("Bob")


def python(code, *args, **more):
    """Start a Python program that sees the tests' support modules."""
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    return subprocess.Popen(
        [sys.executable, *code, *map(str, args)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **more,
    )


def ended(process):
    output = process.communicate(timeout=280)[0].decode()
    assert process.returncode == 0, output
    return output


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("sqlite", 40),
        pytest.param("postgresql", 20, marks=NEEDED),
        pytest.param("sqlite", 500, marks=pytest.mark.nightly),
        pytest.param("postgresql", 500, marks=[NEEDED, pytest.mark.nightly]),
    ],
)
def test_a_killed_writer_loses_nothing_that_it_acknowledged(request, tmp_path, record_property, kind, count):
    where = tmp_path / "store.db" if kind == "sqlite" else request.getfixturevalue("postgres").fresh()
    output = ended(python([SUPPORT / "storecrash.py"], count, where))
    record_property("killed", count)
    print(output)
    assert f"{count} writers killed" in output, output


WRITER = """
import sys, certs
from calais.store.locations import SystemStores
from calais.store.objects import CertificateStore
from calais.store.sql import SqlDatabase
from calais.win.errors import WinError
sys.stdin.readline()
with CertificateStore.open(SystemStores(SqlDatabase(sys.argv[1]))) as store:
    new = 0
    for number in range(20):
        store.add(certs.raw_tbs(serial=bytes((1, int(sys.argv[2]), number))))
        try:
            store.add(certs.raw_tbs(serial=bytes((2, number))), 1)
            new += 1
        except WinError as error:
            assert error.name == "CRYPT_E_EXISTS", error
print(new)
"""


def test_processes_that_open_a_new_store_at_once_all_write_and_agree(tmp_path):
    path = tmp_path / "new" / "store.db"
    writers = [python(["-c", WRITER], path, number, stdin=subprocess.PIPE) for number in range(4)]
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    news = [int(ended(writer)) for writer in writers]
    assert sum(news) == 20
    assert len(CertificateStore.open(SystemStores(SqlDatabase(path)))) == 4 * 20 + 20


def test_threads_of_one_process_write_at_once(tmp_path):
    database = SqlDatabase(tmp_path / "store.db")
    provider = SystemStores(database)
    shared = CertificateStore.open(provider)
    failures = []

    def work(thread):
        try:
            own = CertificateStore.open(provider)
            for number in range(10):
                store = own if number % 2 else shared
                store.add(certs.raw_tbs(serial=bytes((1, thread, number)))).set(PropId.FRIENDLY_NAME, f"{thread}")
                list(shared)
        except WinError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(each.friendly_name for each in CertificateStore.open(provider)) == sorted("0123" * 10)
    provider.close()


# --- a store that somebody holds --------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    provider = SystemStores(SqlDatabase(tmp_path / "store.db", busy_timeout_s=0.05))
    with CertificateStore.open(provider) as opened:
        opened.add(A)
        yield opened
    provider.close()


def test_a_store_that_another_program_holds_is_busy_and_nothing_is_lost(tmp_path, store):
    holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(WinError) as caught:
        store.add(B)
    assert caught.value.code == Code.ERROR_BUSY
    assert caught.value.next_step
    with pytest.raises(WinError):
        next(iter(store)).set(PropId.FRIENDLY_NAME, "x")
    assert [(each.der, each.friendly_name) for each in store] == [(A, "")]
    holder.execute("ROLLBACK")
    holder.close()
    store.add(B)
    assert [each.der for each in store] == [B, A]


def test_readers_do_not_wait_for_a_writer(tmp_path, store):
    holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    other = SystemStores(SqlDatabase(tmp_path / "store.db", busy_timeout_s=0.05))
    assert [each.der for each in CertificateStore.open(other)] == [A]
    store.resync()
    other.close()
    holder.close()


# --- a full disk ------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path):
    database = SqlDatabase(tmp_path / "store.db")
    provider = SystemStores(database)
    store = CertificateStore.open(provider)
    store.add(A, props={PropId.FRIENDLY_NAME: "mine"})
    with database.transaction(write=False) as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    for change in (
        lambda: store.add(B, props={0x8000: bytes(100_000)}),
        lambda: store.add(A, AddDisposition.REPLACE_EXISTING, {0x8000: bytes(100_000)}),
        lambda: next(iter(store)).set(0x8000, bytes(100_000)),
    ):
        with pytest.raises(WinError) as caught:
            change()
        assert caught.value.code == Code.ERROR_DISK_FULL
        assert caught.value.next_step
        assert [(each.der, each.friendly_name, each.get(0x8000)) for each in store] == [(A, "mine", None)]
    store.resync()
    assert [(each.der, each.friendly_name) for each in store] == [(A, "mine")]
    provider.close()


LIMITED = """
import sys, certs
from calais.store.locations import SystemStores
from calais.store.objects import CertificateStore
from calais.store.sql import SqlDatabase
from calais.win.errors import WinError
store = CertificateStore.open(SystemStores(SqlDatabase(sys.argv[1])))
try:
    for number in range(10000):
        store.add(certs.raw_tbs(serial=bytes((1, number >> 8, number & 255))), props={0x8000: bytes(5000)})
except WinError as error:
    assert error.name in ("ERROR_DISK_FULL", "ERROR_IO_DEVICE"), error
    assert error.next_step
    assert len(store) == number
    print(number)
"""


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


def test_a_file_that_may_not_grow_is_said_and_nothing_is_lost(tmp_path):
    process = python(["-c", LIMITED], tmp_path / "store.db", preexec_fn=limit_files)
    acknowledged = int(ended(process))
    assert acknowledged > 10
    with sqlite3.connect(tmp_path / "store.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert len(CertificateStore.open(SystemStores(SqlDatabase(tmp_path / "store.db")))) == acknowledged


# --- the file ---------------------------------------------------------------------------------------------------------


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_is_its_owner_s_alone(tmp_path):
    path = tmp_path / "a" / "b" / "store.db"
    before = os.umask(0)
    try:
        provider = SystemStores(SqlDatabase(path))
        CertificateStore.open(provider).add(A)
    finally:
        os.umask(before)
    assert {mode(each) for each in path.parent.iterdir()} == {0o600}
    assert (mode(path.parent), path.name in {each.name for each in path.parent.iterdir()}) == (0o700, True)
    provider.close()
    path.chmod(0o644)
    SqlDatabase(path).close()
    assert mode(path) == 0o600


def test_what_is_no_database_is_said_and_left_alone(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(WinError) as caught:
        SqlDatabase(path)
    assert caught.value.code == Code.ERROR_DATABASE_FAILURE
    assert caught.value.next_step
    assert path.read_bytes() == b"something else entirely" * 100


@pytest.mark.parametrize("place", ["directory", "file/store.db"])
def test_a_place_that_is_none_is_said(tmp_path, place):
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WinError) as caught:
        SqlDatabase(tmp_path / place)
    assert caught.value.code == Code.ERROR_PATH_NOT_FOUND
    assert "CALAIS_STORE" in caught.value.next_step


def test_a_store_of_a_later_version_is_left_alone(tmp_path):
    path = tmp_path / "store.db"
    SqlDatabase(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    with pytest.raises(WinError) as caught:
        SqlDatabase(path)
    assert caught.value.code == Code.ERROR_REVISION_MISMATCH
    assert "Update" in caught.value.next_step


def test_a_store_of_an_earlier_version_is_brought_up(tmp_path, monkeypatch):
    path = tmp_path / "store.db"
    provider = SystemStores(SqlDatabase(path))
    CertificateStore.open(provider).add(A)
    provider.close()

    def second(connection):
        connection.exec_driver_sql("CREATE TABLE later (x INTEGER)")

    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, second))
    provider = SystemStores(SqlDatabase(path))
    assert [each.der for each in CertificateStore.open(provider)] == [A]
    provider.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(len(migrations.MIGRATIONS),)]
    connection.close()


def old_store(path):
    """A store as the first version of the schema left it: three certificates in My, one in Other, one of Bob's."""
    path.write_bytes(gzip.decompress((SUPPORT / "store_v1.db.gz").read_bytes()))
    return path


def shape(path):
    """Columns, indexes and foreign keys of every table."""
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        made = {
            (table, pragma): sorted(
                tuple(row[1:]) for row in connection.execute(f"PRAGMA {pragma}({table})") if row[1] != "sequence"
            )
            for table in tables
            for pragma in ("table_info", "index_list", "foreign_key_list")
        }
        made["indexes"] = sorted(
            connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'"), key=str
        )
    connection.close()
    return made


def test_a_store_of_the_first_version_is_brought_up_in_place(tmp_path):
    path = old_store(tmp_path / "store.db")
    database = SqlDatabase(path)
    provider = SystemStores(database)
    store = CertificateStore.open(provider)
    assert [each.friendly_name for each in store] == ["number 3", "number 2", "number 1"]
    assert store.get(sha1(certs.raw_tbs(serial=b"\x02"))).friendly_name == "number 2"
    assert len(CertificateStore.open(provider, "Other")) == 1
    database.settings().put("card", "mine", b"{}")
    store.add(A)
    with database.backing(1, "My").writing() as look:
        assert look.put(A, {}, 33).key > 7
    bob = CertificateStore.open(SystemStores(SqlDatabase(path, account="bob")))
    assert [each.der for each in bob] == [certs.raw_tbs(serial=b"\x05")]
    bob.add(B)
    provider.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    assert path.stat().st_mode & 0o077 == 0


def test_a_store_that_was_brought_up_has_the_shape_of_a_new_one_and_both_that_of_the_tables(tmp_path):
    SqlDatabase(old_store(tmp_path / "old.db")).close()
    SqlDatabase(tmp_path / "new.db").close()
    assert shape(tmp_path / "old.db") == shape(tmp_path / "new.db")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'tables.db'}")
    schema.metadata.create_all(engine)
    engine.dispose()
    assert without_order(shape(tmp_path / "tables.db")) == without_order(shape(tmp_path / "new.db"))


def without_order(made):
    return {key: sorted(str(row) for row in rows) for key, rows in made.items()}


def sha1(der):
    return hashlib.sha1(der).digest()


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "store.db"
    SqlDatabase(path).close()

    def half(connection):
        connection.exec_driver_sql("CREATE TABLE later (x INTEGER)")
        connection.exec_driver_sql("CREATE TABLE later (x INTEGER)")

    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, half))
    with pytest.raises(WinError):
        SqlDatabase(path)
    monkeypatch.undo()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'later'").fetchall() == []
    connection.close()


def test_errors_do_not_show_what_was_to_be_stored(tmp_path):
    database = SqlDatabase(tmp_path / "store.db")
    store = CertificateStore.open(SystemStores(database))
    with database.transaction(write=True) as connection:
        connection.exec_driver_sql("DROP TABLE property")
    value = b"secret"
    with pytest.raises(WinError) as caught:
        store.add(A, props={0x8000: value})
    assert caught.value.code == Code.ERROR_DATABASE_FAILURE
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    database.close()


def use(database):
    assert database.names(1) == []
    database.close()


def test_a_database_is_opened_when_it_is_first_used_and_says_then_why_it_cannot_be(tmp_path):
    path = tmp_path / "directory"
    path.mkdir()
    database = open_database(str(path))
    for attempt in (
        lambda: database.settings().get("card", "x"),
        lambda: CertificateStore.open(SystemStores(database)),
        lambda: database.names(1),
    ):
        with pytest.raises(WinError) as caught:
            attempt()
        assert caught.value.code == Code.ERROR_PATH_NOT_FOUND
    path.rmdir()
    assert database.names(1) == []
    assert path.is_file()
    database.close()


def test_a_database_that_was_closed_before_it_was_opened_stays_closed(tmp_path):
    database = open_database(str(tmp_path / "store.db"))
    database.close()
    with pytest.raises(WinError) as caught:
        database.names(1)
    assert caught.value.code == Code.ERROR_INVALID_HANDLE
    assert not (tmp_path / "store.db").exists()


def test_the_database_is_the_one_that_is_named(tmp_path, monkeypatch):
    assert isinstance(open_database("memory:"), MemoryDatabase)
    for url in (str(tmp_path / "a.db"), f"sqlite:///{tmp_path / 'b.db'}"):
        use(open_database(url))
    use(open_database(home=tmp_path / "home"))
    monkeypatch.setenv("CALAIS_HOME", str(tmp_path / "by-home"))
    use(open_database())
    monkeypatch.setenv("CALAIS_STORE", str(tmp_path / "named.db"))
    use(open_database(home=tmp_path / "not-this"))
    made = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.db"))
    assert made == ["a.db", "b.db", "by-home/store.db", "home/store.db", "named.db"]


def test_accounts_of_one_database_keep_apart(tmp_path):
    for account, der in (("alice", A), ("bob", B)):
        CertificateStore.open(SystemStores(SqlDatabase(tmp_path / "store.db", account=account))).add(der)
    for account, der in (("alice", A), ("bob", B), ("", None)):
        store = CertificateStore.open(SystemStores(SqlDatabase(tmp_path / "store.db", account=account)))
        assert [each.der for each in store] == ([der] if der else [])
