"""What a PostgreSQL server lets the people of one database do: use their own rows, and nothing else."""

import itertools
import os
import subprocess

import certs
import psycopg
import pytest
from postgres import NEEDED, PASSWORD, database_in, programs

from calais.store.locations import SystemStores
from calais.store.objects import CertificateStore
from calais.store.sql import SqlDatabase, roles
from calais.win.errors import AccessDenied
from calais.win.flags import PropId

pytestmark = NEEDED
A, B, C = (certs.make(each) for each in ("Alice", "Bob", "Carol"))
TABLES = ("store", "certificate", "property", "setting")
NAMES = itertools.count()


OPEN = []


@pytest.fixture(autouse=True)
def _closed_in_the_end():
    yield
    while OPEN:
        OPEN.pop().close()


def base(url, account=""):
    OPEN.append(SqlDatabase(url, account=account))
    return OPEN[-1]


def opened(url, account=""):
    return CertificateStore.open(SystemStores(base(url, account)))


@pytest.fixture
def fleet(postgres):
    """A database with an owner who is no administrator, and two people; the URL of each."""
    number = next(NAMES)
    owner, users = postgres.role(f"owner_{number}"), [f"alice_{number}", f"bob_{number}"]
    if not postgres.run("SELECT 1 FROM pg_roles WHERE rolname = 'calais_user'"):
        postgres.run("CREATE ROLE calais_user NOLOGIN")
    database = database_in(postgres.fresh())
    postgres.run(f"GRANT CREATE ON SCHEMA public TO {owner}", database)
    SqlDatabase(postgres.url(database, owner)).close()
    postgres.run(roles(), database, owner)
    return {each: postgres.url(database, postgres.role(each, within="calais_user")) for each in users} | {
        owner: postgres.url(database, owner)
    }


def test_people_use_their_own_rows_and_the_server_hides_the_others(postgres, fleet):
    alice, bob, _ = fleet
    database = database_in(fleet[alice])
    for user, der in ((alice, A), (bob, B)):
        provider = SystemStores(SqlDatabase(fleet[user]))
        store = CertificateStore.open(provider)
        store.add(der, props={PropId.FRIENDLY_NAME: user}).set(PropId.DESCRIPTION, "kept")
        store.add(C).delete()
        provider.database.settings().put("card", "mine", user.encode())
        assert [each.friendly_name for each in store] == [user]
        provider.close()
    for table in TABLES:
        for user in (alice, bob):
            assert set(postgres.run(f"SELECT account FROM {table}", database, user)) == {(user,)}
            assert postgres.run(f"SELECT count(*) FROM {table} WHERE account <> '{user}'", database, user) == [(0,)]
    # Not by naming the other account either, nor by any other way in:
    assert len(opened(fleet[alice], bob)) == 0
    with pytest.raises(AccessDenied):
        opened(fleet[alice], bob).add(A)


FORBIDDEN = {
    "insert for another": "INSERT INTO setting (account, location, kind, name, value) VALUES ('{bob}', 1, 'a', 'b', '')",
    "give away": "UPDATE store SET account = '{bob}'",
    "hang on another's store": "INSERT INTO certificate SELECT 10^9, {store}, encoded, sha1, subject, issuer,"
    " issuer_serial, key_identifier, public_key, '{alice}', 32 FROM certificate",
    "hang on another's certificate": "INSERT INTO property VALUES ({certificate}, 77, '', '{alice}')",
    "switch the rules off": "ALTER TABLE store DISABLE ROW LEVEL SECURITY",
    "drop the rule": "DROP POLICY own_rows ON store",
    "become another": "SET ROLE {bob}",
    "become the owner": "SET ROLE {owner}",
    "empty a table": "TRUNCATE property",
    "drop a table": "DROP TABLE property",
    "add a column": "ALTER TABLE property ADD COLUMN x INTEGER",
    "make a table": "CREATE TABLE mine (x INTEGER)",
    "watch others": "CREATE TRIGGER t BEFORE INSERT ON store EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "count others": "SELECT last_value FROM store_id_seq",
    "claim a version": "UPDATE schema_version SET version = 99",
    "turn row security off": "SET row_security = off; SELECT * FROM store",
}


def test_sql_written_by_hand_reaches_nobody_else_s_rows(postgres, fleet):
    alice, bob, owner = fleet
    database = database_in(fleet[alice])
    for user, der in ((alice, A), (bob, B)):
        opened(fleet[user]).add(der)
    admins = f"SELECT store_id, id FROM certificate WHERE account = '{bob}'"
    [(store, certificate)] = postgres.run(admins, database)
    before = [postgres.run(f"SELECT * FROM {table} WHERE account = '{bob}'", database) for table in TABLES]
    for what, statement in FORBIDDEN.items():
        said = statement.format(alice=alice, bob=bob, owner=owner, store=store, certificate=certificate)
        with pytest.raises(psycopg.Error) as caught:
            postgres.run(said, database, alice)
        assert caught.value.sqlstate in ("42501", "23503"), (what, caught.value)
    for table in ("setting", "property", "certificate", "store"):
        postgres.run(f"DELETE FROM {table}", database, alice)
    assert before == [postgres.run(f"SELECT * FROM {table} WHERE account = '{bob}'", database) for table in TABLES]
    assert postgres.run(f"SELECT 1 FROM store WHERE account = '{alice}'", database) == []


def test_the_grants_may_be_run_again(postgres, fleet):
    alice, _, owner = fleet
    postgres.run(roles(), database_in(fleet[owner]), owner)
    opened(fleet[alice]).add(A)
    assert len(opened(fleet[alice])) == 1


def test_the_grants_are_a_file_that_psql_runs(postgres, fleet, tmp_path):
    owner = list(fleet)[2]
    file = tmp_path / "roles.sql"
    file.write_text(roles())
    psql = [programs() / "psql", "-q", "-h", postgres.folder, "-U", owner, "-d", database_in(fleet[owner])]
    ran = subprocess.run(
        [*psql, "-v", "ON_ERROR_STOP=1", "-f", file], env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True
    )
    assert ran.returncode == 0, ran.stderr


def test_a_role_without_the_right_does_not_make_tables_and_is_told_so(postgres):
    user = postgres.role(f"nobody_{next(NAMES)}")
    database = database_in(postgres.fresh())
    with pytest.raises(AccessDenied) as caught:
        SqlDatabase(postgres.url(database, user))
    assert "roles.sql" in caught.value.next_step
    assert postgres.run("SELECT 1 FROM pg_tables WHERE schemaname = 'public'", database) == []
