"""How to reach a database, and what differs between kinds of them.

SQLite runs in WAL mode with ``synchronous=FULL``: what was committed survives a crash at any point, and readers
never wait for writers. Sources: sqlite.org, "Write-Ahead Logging", "PRAGMA Statements".
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url

from calais.win.codes import Code
from calais.win.errors import WinError


def url_of(url: str | Path) -> URL:
    """A URL, of an SQLite file if it was a path; the file is there afterwards, and private."""
    if isinstance(url, Path) or "://" not in url:
        made = URL.create("sqlite", database=str(Path(url).absolute()))
    else:
        made = make_url(url)
    if made.get_backend_name() == "sqlite" and made.database:
        _make_private(Path(made.database))
    return made


def _make_private(path: Path) -> None:
    """Make the file, readable by its owner only; SQLite gives its companions the same mode.

    Raises:
        WinError: E_ACCESSDENIED, ERROR_PATH_NOT_FOUND, ERROR_DISK_FULL.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                path.chmod(0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        denied = isinstance(error, PermissionError) or error.errno == errno.EROFS
        code = Code.E_ACCESSDENIED if denied else Code.ERROR_PATH_NOT_FOUND
        step = "Set CALAIS_STORE or CALAIS_HOME to a place that you may write."
        raise WinError.of(code, f"The store {path} cannot be opened: {error.strerror}.", next_step=step) from error


def make_engine(url: URL, busy_timeout_s: float) -> Engine:
    """The engine; errors never show parameters, because a property may be nobody else's business."""
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, hide_parameters=True, pool_pre_ping=True)
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": busy_timeout_s})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("calais_begin", "BEGIN"))


def for_writing(engine: Engine) -> Engine:
    """The same engine for transactions that change something: SQLite's begin with the lock."""
    return engine.execution_options(calais_begin="BEGIN IMMEDIATE")
