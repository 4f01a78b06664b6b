"""How to reach a database, and what differs between kinds of them.

SQLite runs in WAL mode with ``synchronous=FULL``: what was committed survives a crash at any point, and readers
never wait for writers. Sources: sqlite.org, "Write-Ahead Logging", "PRAGMA Statements".
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine, make_url

from calais.win.codes import Code
from calais.win.errors import BadParameter, WinError

_CACHE = "cache_size=-65536"  # KiB at most; digests lie all over their indexes, and the default is 2 MB


def url_of(url: str | Path) -> URL:
    """A URL, of an SQLite file if it was a path; the file is there afterwards, and private."""
    if isinstance(url, Path) or "://" not in url:
        made = URL.create("sqlite", database=str(Path(url).absolute()))
    else:
        made = _parsed(url)
    if made.get_backend_name() == "sqlite" and made.database:
        _make_private(Path(made.database))
    return made


def _parsed(url: str) -> URL:
    """SQLAlchemy's reading of a URL; a wrong one is not repeated, for there may be a password in it."""
    try:
        made = make_url(url)
        made.get_dialect()
    except (exc.ArgumentError, ValueError) as error:
        step = "Set CALAIS_STORE to a URL such as postgresql+psycopg://user@host/database, or to a path."
        raise BadParameter(Code.E_INVALIDARG, "The store's address is no database URL.", next_step=step) from error
    return made.set(drivername="postgresql+psycopg") if made.drivername == "postgresql" else made


_MAGIC = b"SQLite format 3\0"  # SQLite, "Database File Format", 1.3


def _make_private(path: Path) -> None:
    """Make the file, readable by its owner only; SQLite gives its companions the same mode.

    A file that holds anything but a database was named by mistake: its mode stays.

    Raises:
        WinError: E_ACCESSDENIED, ERROR_PATH_NOT_FOUND, ERROR_DISK_FULL.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            is_open = stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077
            if is_open and os.read(descriptor, len(_MAGIC)) in (b"", _MAGIC):
                path.chmod(0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        denied = isinstance(error, PermissionError) or error.errno == errno.EROFS
        missing = Code.ERROR_DISK_FULL if error.errno == errno.ENOSPC else Code.ERROR_PATH_NOT_FOUND
        code = Code.E_ACCESSDENIED if denied else missing
        step = "Set CALAIS_STORE or CALAIS_HOME to a place that you may write."
        raise WinError.of(code, f"The store {path} cannot be opened: {error.strerror}.", next_step=step) from error


def make_engine(url: URL, busy_timeout_s: float) -> Engine:
    """The engine; errors never show parameters, because a property may be nobody else's business.

    Raises:
        WinError: ERROR_NOT_SUPPORTED, the driver of this kind of database is not installed.
    """
    try:
        return kind_of(url).engine(url, busy_timeout_s)
    except ImportError as error:
        detail = f"The driver for {url.drivername} is not installed."
        step = "For PostgreSQL: pip install 'calais[postgresql]'"
        raise WinError.of(Code.ERROR_NOT_SUPPORTED, detail, next_step=step) from error


class Other:
    """A database of which nothing is known but what all have in common."""

    shared = True
    """Whether it is a server of many people, whose accounts are named there."""

    @staticmethod
    def engine(url: URL, _busy_timeout_s: float) -> Engine:
        """The engine of this URL."""
        return sa.create_engine(url, hide_parameters=True, pool_pre_ping=True)

    @staticmethod
    def for_writing(engine: Engine) -> Engine:
        """The same engine for transactions that change something."""
        return engine

    @staticmethod
    def for_reading(engine: Engine) -> Engine:
        """The same engine for looks: one snapshot each."""
        return engine

    @staticmethod
    def lock(connection: Connection, what: str, busy_timeout_s: float) -> None:
        """Nobody else changes what is named so, until the transaction is over."""


class Sqlite(Other):
    """A file: whoever may open it is its owner."""

    shared = False

    @staticmethod
    def engine(url: URL, busy_timeout_s: float) -> Engine:
        """See ``Other``."""
        engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": busy_timeout_s})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    @staticmethod
    def for_writing(engine: Engine) -> Engine:
        """See ``Other``: it begins with the one write lock there is."""
        return engine.execution_options(calais_begin="BEGIN IMMEDIATE")


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", _CACHE):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("calais_begin", "BEGIN"))


class Postgresql(Other):
    """A server. Writers of one store queue up at an advisory lock of the transaction, so they decide on what is there.

    Nothing is kept in a session (no prepared statements, settings or locks that outlive a transaction), so a pool
    between us and the server may hand out sessions by the transaction.
    Source: PostgreSQL documentation, "Transaction Isolation", "Advisory Locks", "Row Security Policies".
    """

    @staticmethod
    def engine(url: URL, busy_timeout_s: float) -> Engine:
        """See ``Other``."""
        named = {"connect_timeout": max(2, round(busy_timeout_s)), "application_name": "calais"}
        arguments = {name: value for name, value in named.items() if name not in url.query}
        if url.get_driver_name() == "psycopg":
            arguments["prepare_threshold"] = None
        return sa.create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=arguments)

    @staticmethod
    def for_writing(engine: Engine) -> Engine:
        """See ``Other``: each statement sees what was committed before it; the lock does the rest."""
        return engine.execution_options(isolation_level="READ COMMITTED")

    @staticmethod
    def for_reading(engine: Engine) -> Engine:
        """See ``Other``."""
        return engine.execution_options(isolation_level="REPEATABLE READ")

    @staticmethod
    def lock(connection: Connection, what: str, busy_timeout_s: float) -> None:
        """See ``Other``."""
        number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)
        wait = f"{max(1, round(busy_timeout_s * 1000))}ms"
        connection.execute(sa.select(sa.func.set_config("lock_timeout", wait, sa.true())))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


KINDS: Mapping[str, type[Other]] = MappingProxyType({"sqlite": Sqlite, "postgresql": Postgresql})
"""What is known of each kind of database, by SQLAlchemy's name of it."""


def kind_of(url: URL) -> type[Other]:
    """What is known of this kind of database."""
    return KINDS.get(url.get_backend_name(), Other)
