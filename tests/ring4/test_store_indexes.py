"""No look reads more than it shows: each goes to an index, whatever the size of the store."""

import re

import certs
import pytest
from sqlalchemy import event

from calais.store.api import Index, Lookup
from calais.store.sql import SqlDatabase

INDEXES = {
    Index.SHA1: "sqlite_autoindex_certificate_1 (store_id=? AND sha1=?",
    Index.SUBJECT: "certificate_subject (store_id=? AND subject=?",
    Index.ISSUER: "certificate_issuer (store_id=? AND issuer=?",
    Index.ISSUER_SERIAL: "certificate_issuer_serial (store_id=? AND issuer_serial=?",
    Index.KEY_IDENTIFIER: "certificate_key_identifier (store_id=? AND key_identifier=?",
    Index.PUBLIC_KEY: "certificate_public_key (store_id=? AND public_key=?",
    None: "certificate_order (store_id=? AND account=? AND kind=?",
}


@pytest.fixture
def database(tmp_path):
    made = SqlDatabase(tmp_path / "store.db", account="alice")
    with made.backing(1, "My").writing() as look:
        look.put_all((certs.raw_tbs(serial=bytes((1, number))), {11: b"x"}) for number in range(100))
    yield made
    made.close()


def plans(database, work):
    """How SQLite would run every query of ``work``."""
    seen = []

    def see(connection, cursor, statement, parameters, context, executemany):
        seen.append((statement, parameters))

    event.listen(database._engine, "before_cursor_execute", see)
    with database.backing(1, "My").reading() as look:
        work(look)
    event.remove(database._engine, "before_cursor_execute", see)
    with database.transaction(write=False) as connection:
        queries = [(statement, values) for statement, values in seen if statement.startswith("SELECT")]
        return [
            [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            for statement, values in queries
        ]


def reads_everything(found):
    """Steps that go through a table or sort one; a look's own few rows (anon_1) may be gone through."""
    steps = [step for plan in found for step in plan]
    return [step for step in steps if ("SCAN" in step and step != "SCAN anon_1") or "TEMP B-TREE" in step]


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: index.value if index else "enumeration")
@pytest.mark.parametrize("below", [None, 50], ids=["first", "next"])
def test_every_find_goes_to_its_index(database, index, below):
    lookup = Lookup(index, b"x" * 16) if index else None
    found = plans(database, lambda look: look.rows(below, 64, lookup))
    assert any(f"USING INDEX {INDEXES[index]}" in step for plan in found for step in plan), found
    assert reads_everything(found) == []


def test_counting_reads_the_index_alone(database):
    found = plans(database, lambda look: look.count(513))
    [counting] = [plan for plan in found if any("certificate" in step for step in plan)]
    assert any("USING COVERING INDEX certificate_order" in step for step in counting), found


def test_opening_a_store_and_its_properties_use_indexes(database):
    found = plans(database, lambda look: look.rows(None, 3))
    steps = [step for plan in found for step in plan]
    assert any(re.search("SEARCH store USING (COVERING )?INDEX", step) for step in steps)
    assert any("SEARCH property USING INDEX" in step for step in steps)
    assert reads_everything(found) == []
