"""The databases that every contract of stores is tried on."""

import itertools

import pytest
from postgres import NEEDED

from calais.store.folder import FolderDatabase
from calais.store.memory import MemoryDatabase
from calais.store.sql import SqlDatabase

POSTGRESQL = pytest.param("postgresql", marks=NEEDED)
ACCOUNTS = (f"person {number}" for number in itertools.count())


@pytest.fixture(params=["memory", "folder", "sqlite", POSTGRESQL])
def database(request, tmp_path):
    if request.param == "memory":
        made = MemoryDatabase()
    elif request.param == "folder":
        made = FolderDatabase(tmp_path / "machine")
    elif request.param == "sqlite":
        made = SqlDatabase(tmp_path / "private" / "store.db")
    else:
        made = SqlDatabase(request.getfixturevalue("postgres").url(), account=next(ACCOUNTS))
    yield made
    made.close()
