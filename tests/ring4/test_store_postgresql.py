"""A store on a PostgreSQL server: whose rows are whose, what is locked, and what is said when something fails."""

import itertools
import os
import re
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import certs
import pytest
from postgres import NEEDED, PASSWORD, database_in
from sqlalchemy import event

from calais.store.api import Collision, insist
from calais.store.database import open_database
from calais.store.locations import SystemStores
from calais.store.objects import CertificateStore
from calais.store.sql import SqlDatabase, migrations
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadParameter, WinError
from calais.win.flags import PropId

pytestmark = NEEDED
SUPPORT = Path(__file__).parent.parent / "support"
A, B, C = (certs.make(each) for each in ("Alice", "Bob", "Carol"))
TABLES = ("store", "certificate", "property", "setting")
NAMES = itertools.count()
SECRET = "hu" + "sh"  # so that it is in no line of a traceback


@pytest.fixture
def url(postgres):
    return postgres.fresh()


OPEN = []


@pytest.fixture(autouse=True)
def _closed_in_the_end():
    yield
    while OPEN:
        OPEN.pop().close()


def base(url, account="alice", **more):
    OPEN.append(SqlDatabase(url, account=account, **more))
    return OPEN[-1]


def opened(url, account="alice", **more):
    return CertificateStore.open(SystemStores(base(url, account, **more)))


def everything_of(error):
    return "".join(traceback.format_exception(error)) + repr(error) + str(error)


# --- whose rows -------------------------------------------------------------------------------------------------------


def statements_of(database, work):
    """Every statement that a database sends while ``work`` runs."""
    seen = []
    engines = {database._reader, database._writer}

    def see(connection, cursor, statement, parameters, context, executemany):
        seen.append(re.sub(r"\s+", " ", statement))

    for each in engines:
        event.listen(each, "before_cursor_execute", see)
    work()
    for each in engines:
        event.remove(each, "before_cursor_execute", see)
    return seen


def use_all_of(database):
    """Every kind of operation there is."""
    place = database.backing(1, "Mine")
    with place.writing() as look:
        look.put(A, {11: b"x"})
        look.put(B, {}, 33)
        look.put(A, {11: b"y"})
        look.alter(b"nobody", {11: b"x"})
        look.alter(look.rows(None, 1)[0].properties[3], {11: b"z", 12: None, 20: b"key"})
        look.put(C, {})
        look.remove(look.rows(None, 1)[0].properties[3])
    with place.reading() as look:
        look.count(5), look.rows(9**9, 5), look.change()
    database.create(1, "Other")
    database.names(1)
    database.drop(1, "Other")
    settings = database.settings()
    settings.put("card", "a", b"1")
    settings.put("card", "a", b"2")
    settings.items("card"), settings.get("card", "a"), settings.delete("card", "a")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_statement_names_the_account(request, tmp_path, kind):
    where = tmp_path / "store.db" if kind == "sqlite" else request.getfixturevalue("url")
    database = SqlDatabase(where, account="alice")
    seen = statements_of(database, lambda: use_all_of(database))
    database.close()
    about_rows = [each for each in seen if re.search(r"\b(store|certificate|property|setting)\b", each)]
    others = {each for each in seen if each not in about_rows}
    assert len(about_rows) > 25
    assert others <= {
        "BEGIN",
        "BEGIN IMMEDIATE",
        "SELECT set_config(%(set_config_2)s::VARCHAR, %(set_config_3)s::VARCHAR, true) AS set_config_1",
        "SELECT pg_advisory_xact_lock(%(pg_advisory_xact_lock_2)s::BIGINT) AS pg_advisory_xact_lock_1",
    }
    for statement in about_rows:
        if statement.startswith("INSERT"):
            assert re.search(r"\([^)]*\baccount\b[^)]*\) (VALUES|SELECT)", statement), statement
        else:
            assert re.search(r"WHERE .*\baccount = ", statement), statement


def test_accounts_of_one_database_keep_apart(url):
    for account, der in (("alice", A), ("bob", B)):
        store = opened(url, account)
        store.add(der, props={PropId.FRIENDLY_NAME: account})
    assert [each.friendly_name for each in opened(url, "alice")] == ["alice"]
    assert [each.friendly_name for each in opened(url, "bob")] == ["bob"]
    assert len(opened(url, "carol")) == 0


def test_the_account_is_the_one_that_is_named_else_the_role(postgres, url, monkeypatch):
    for account, named, der in (("explicit", "", A), ("", "by-name", B), ("", "", C)):
        monkeypatch.setenv("CALAIS_ACCOUNT", named)
        database = open_database(url, account=account)
        CertificateStore.open(SystemStores(database)).add(der)
        database.close()
    found = postgres.run("SELECT account FROM store ORDER BY 1", database_in(url))
    assert found == [("admin",), ("by-name",), ("explicit",)]


# --- writers at once --------------------------------------------------------------------------------------------------


def test_a_look_is_one_snapshot(url):
    store = opened(url)
    store.add(A)
    with base(url).backing(1, "My").reading() as look:
        before = (look.count(9), [row.encoded for row in look.rows(None, 9)], look.change())
        opened(url).add(B)
        assert (look.count(9), [row.encoded for row in look.rows(None, 9)], look.change()) == before
    with base(url).backing(1, "My").reading() as look:
        assert look.count(9) == 2


def test_threads_and_openings_write_at_once_and_agree(url):
    news, failures = [], []

    def work(thread):
        store = opened(url)
        for number in range(10):
            store.add(certs.raw_tbs(serial=bytes((1, thread, number))))
            try:
                store.add(certs.raw_tbs(serial=bytes((2, number))), 1)
                news.append(number)
            except WinError as error:
                if error.code != Code.CRYPT_E_EXISTS:
                    failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failures, sorted(news)) == ([], list(range(10)))
    assert len(opened(url)) == 4 * 10 + 10


def test_databases_opened_at_once_make_the_tables_once(url):
    failures = []

    def work():
        try:
            SqlDatabase(url).close()
        except WinError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_store_that_another_program_holds_is_busy_and_others_are_not(url):
    holder = base(url).backing(1, "My")
    mine = opened(url, busy_timeout_s=0.2)
    with holder.writing() as look:
        look.put(A, {})
        with pytest.raises(WinError) as caught:
            mine.add(B)
        assert caught.value.code == Code.ERROR_BUSY
        assert caught.value.next_step
        opened(url, "bob", busy_timeout_s=0.2).add(B)
        mine.resync()
        assert list(mine) == []
    mine.add(B)
    assert [each.der for each in opened(url)] == [B, A]


def test_a_deadlock_is_tried_again(postgres, url):
    """Another session inserts a setting by hand, then wants the lock that we hold while we want its row."""
    postgres.run(f"ALTER DATABASE {database_in(url)} SET deadlock_timeout = '2s'")  # ours looks after the other waits
    settings = base(url, busy_timeout_s=60).settings()
    settings.put("card", "a", b"1")
    with postgres.connect(database_in(url)) as other, other.transaction():
        other.execute("UPDATE setting SET value = '2' WHERE name = 'a'")
        waiting = threading.Thread(target=settings.put, args=("card", "a", b"3"))
        waiting.start()
        while not postgres.run("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'", database_in(url)):
            pass
        [(lock,)] = postgres.run(
            "SELECT (classid::bigint << 32) + objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted"
        )
        other.execute("SET LOCAL deadlock_timeout = '60s'")
        other.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
    waiting.join()
    assert settings.get("card", "a") == b"3"


def test_a_collision_that_does_not_end_is_said():
    tries = []

    def collide():
        tries.append(1)
        raise Collision(detail="again")

    with pytest.raises(Collision) as caught:
        insist(collide)
    assert (len(tries), caught.value.code) == (5, Code.ERROR_BUSY)


# --- what is said -----------------------------------------------------------------------------------------------------


def cut(postgres, url):
    """End every other session of a database, as a failing network does."""
    postgres.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        f" AND datname = '{database_in(url)}'"
    )


def put_and_be_cut_off(postgres, url, place):
    with place.writing() as look:
        look.put(B, {})
        cut(postgres, url)
        look.put(C, {})


def test_a_connection_lost_in_a_transaction_leaves_nothing_half_and_the_next_one_is_new(postgres, url):
    store = opened(url)
    store.add(A)
    place = base(url).backing(1, "My")
    with pytest.raises(WinError) as caught:
        put_and_be_cut_off(postgres, url, place)
    assert caught.value.code == Code.ERROR_DATABASE_FAILURE
    assert "lost" in caught.value.detail
    assert caught.value.next_step
    store.resync()
    assert [each.der for each in store] == [A]
    store.add(B)
    assert len(opened(url)) == 2


def test_a_wrong_password_is_refused_and_not_shown(postgres, url):
    wrong = postgres.url(database_in(url), password="wrong-secret")
    with pytest.raises(AccessDenied) as caught:
        SqlDatabase(wrong)
    assert "wrong-secret" not in everything_of(caught.value)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda url: url.replace("/fresh_", "/missing_"), Code.ERROR_DATABASE_FAILURE),
        (lambda url: re.sub("host=.*", "host=/nonexistent", url), Code.ERROR_DATABASE_FAILURE),
    ],
    ids=["no such database", "no server"],
)
def test_a_server_that_cannot_be_reached_is_said_without_the_password(url, change, code):
    with pytest.raises(WinError) as caught:
        SqlDatabase(change(url))
    assert (caught.value.code, bool(caught.value.next_step)) == (code, True)
    assert PASSWORD not in everything_of(caught.value)


@pytest.mark.parametrize(
    "address", ["postgresql+psycopg://me:{}@host:port/x", "nosuch://me:{}@host/x", "://me:{}", "x://"]
)
def test_an_address_that_is_none_is_the_caller_s_fault_and_not_repeated(address):
    with pytest.raises(BadParameter) as caught:
        SqlDatabase(address.format(SECRET))
    assert caught.value.code == Code.E_INVALIDARG
    assert SECRET not in everything_of(caught.value)


def test_a_driver_that_is_not_installed_is_named():
    with pytest.raises(WinError) as caught:
        SqlDatabase(f"postgresql+psycopg2://me:{SECRET}@host/x")
    assert caught.value.code == Code.ERROR_NOT_SUPPORTED
    assert "calais[postgresql]" in caught.value.next_step
    assert SECRET not in everything_of(caught.value)


def test_a_database_never_shows_its_password(url):
    database = base(url)
    assert PASSWORD not in repr(database)
    assert "admin" in repr(database)


def test_a_copy_that_is_read_only_refuses_changes(postgres, url):
    SqlDatabase(url).close()
    reader = postgres.role(f"reader_{next(NAMES)}", within="admin")
    postgres.run(f"ALTER ROLE {reader} SET default_transaction_read_only = on")
    store = opened(postgres.url(database_in(url), reader))
    with pytest.raises(AccessDenied):
        store.add(A)
    assert list(store) == []


def test_errors_do_not_show_what_was_to_be_stored(postgres, url):
    store = opened(url)
    postgres.run("ALTER TABLE property ADD CONSTRAINT refused CHECK (prop_id <> 32768)", database_in(url))
    with pytest.raises(WinError) as caught:
        store.add(A, props={0x8000: SECRET.encode()})
    said = everything_of(caught.value)
    assert SECRET not in said
    assert SECRET.encode().hex() not in said
    assert "refused" in said


def test_a_store_of_a_later_version_is_left_alone(postgres, url):
    SqlDatabase(url).close()
    postgres.run("UPDATE schema_version SET version = 99", database_in(url))
    with pytest.raises(WinError) as caught:
        SqlDatabase(url)
    assert caught.value.code == Code.ERROR_REVISION_MISMATCH


def test_a_database_of_the_first_version_is_brought_up_in_place(postgres, url, monkeypatch):
    monkeypatch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
    SqlDatabase(url).close()
    monkeypatch.undo()
    digests = ", ".join(["'\\x00'"] * 6)
    for statement in (
        "INSERT INTO store (account, location, folded, name, change) VALUES ('bob', 1, 'my', 'My', 1)",
        f"INSERT INTO certificate VALUES (DEFAULT, 1, '\\x{A.hex()}', {digests})",
        "INSERT INTO property VALUES (1, 11, '\\x41000000')",
    ):
        postgres.run(statement, database_in(url))
    store = opened(url, "bob")
    assert [(each.der, each.friendly_name) for each in store] == [(A, "A")]
    store.add(B)
    assert len(opened(url, "bob")) == 2
    assert postgres.run("SELECT version FROM schema_version", database_in(url)) == [(2,)]


# --- killed clients ---------------------------------------------------------------------------------------------------

KILLED = """
import sys, os, signal
import certs
from calais.store.sql import SqlDatabase
with SqlDatabase(sys.argv[1], account="alice").backing(1, "My").writing() as look:
    for number in range(int(sys.argv[2])):
        look.put(certs.raw_tbs(serial=bytes((1, number))), {11: b"half"})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_client_killed_in_a_transaction_leaves_nothing_half(url):
    store = opened(url)
    store.add(A)
    for count in (1, 7):
        command = [sys.executable, "-c", KILLED, url, str(count)]
        killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SUPPORT)}, capture_output=True)
        assert killed.returncode == -9, killed.stderr
    store.add(B)
    assert [each.der for each in opened(url)] == [B, A]
