"""Stores in an SQL database; the only file that knows one. SQLite by default, any other by its URL.

Each change is one transaction that begins by taking the write lock, so what it decides is true when it commits.
SQLite runs in WAL mode with ``synchronous=FULL``: what was committed survives a crash at any point, and readers
never wait for writers. Statements are portable: no SQL text but SQLite's own PRAGMA and BEGIN.
Sources: sqlite.org, "Write-Ahead Logging", "PRAGMA Statements", "Result and Error Codes".
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine, make_url

from calais.store import filing
from calais.store.api import Index, Lookup, Reading, Row, Writing
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import PropId

BUSY_TIMEOUT_S = 10.0
_AUTO_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # only INTEGER is an alias of SQLite's rowid

metadata = sa.MetaData()
schema = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, nullable=False))
stores = sa.Table(
    "store",
    metadata,
    sa.Column("id", _AUTO_ID, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("location", sa.Integer, nullable=False),
    sa.Column("folded", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False, default=0),
    sa.UniqueConstraint("account", "location", "folded"),
    sqlite_autoincrement=True,
)
certificates = sa.Table(
    "certificate",
    metadata,
    sa.Column("id", _AUTO_ID, primary_key=True),
    sa.Column("store_id", sa.ForeignKey("store.id", ondelete="CASCADE"), nullable=False),
    sa.Column("encoded", sa.LargeBinary, nullable=False),
    *(sa.Column(index.value, sa.LargeBinary, nullable=False) for index in Index),
    sa.UniqueConstraint("store_id", Index.SHA1.value),
    *(sa.Index(f"certificate_{each}", "store_id", each.value, "id") for each in Index if each is not Index.SHA1),
    sa.Index("certificate_order", "store_id", "id"),
    sqlite_autoincrement=True,
)
properties = sa.Table(
    "property",
    metadata,
    sa.Column("certificate_id", sa.ForeignKey("certificate.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("prop_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

_INDEXED = frozenset((PropId.SHA1_HASH, PropId.KEY_IDENTIFIER, PropId.SUBJECT_PUBLIC_KEY_MD5_HASH))


# --- schema -----------------------------------------------------------------------------------------------------------


def _first_tables(connection: Connection) -> None:
    metadata.create_all(connection)


MIGRATIONS = (_first_tables,)
"""What makes each version of the schema from the one before it; never changed once released."""


def _migrate(connection: Connection) -> None:
    """Bring the schema to the newest version; the caller's transaction holds the write lock."""
    version = _version(connection)
    if version > len(MIGRATIONS):
        detail = f"The store has schema {version}; this program knows {len(MIGRATIONS)} at most."
        raise WinError(Code.ERROR_REVISION_MISMATCH, detail, next_step="Update Calais.")
    if version == len(MIGRATIONS):
        return
    for migration in MIGRATIONS[version:]:
        migration(connection)
    connection.execute(sa.delete(schema))
    connection.execute(sa.insert(schema).values(version=len(MIGRATIONS)))


def _version(connection: Connection) -> int:
    if not sa.inspect(connection).has_table(schema.name):
        return 0
    return connection.execute(sa.select(schema.c.version)).scalar() or 0


# --- looks and transactions -------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """Which store."""

    account: str
    location: int
    name: str

    @property
    def is_it(self) -> sa.ColumnElement[bool]:
        return sa.and_(
            stores.c.account == self.account,
            stores.c.location == self.location,
            stores.c.folded == self.name.casefold(),
        )


class _Look:
    """One look at, or one transaction on, a store."""

    def __init__(self, connection: Connection, place: _Place, *, write: bool) -> None:
        self._connection = connection
        self._place = place
        query = sa.select(stores.c.id, stores.c.change).where(place.is_it)
        found = connection.execute(query.with_for_update() if write else query).first()
        self._id, self._change = (int(found.id), int(found.change)) if found else (0, 0)
        self._changed = False

    def count(self, limit: int) -> int:
        some = sa.select(certificates.c.id).where(certificates.c.store_id == self._id).limit(limit).subquery()
        return int(self._connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())

    def change(self) -> int:
        """The store's counter under its id, which is never used again: a store made anew differs too."""
        return (self._id << 40) + self._change

    def rows(self, below: int | None, limit: int, lookup: Lookup | None = None) -> list[Row]:
        query = sa.select(certificates.c.id, certificates.c.encoded).where(certificates.c.store_id == self._id)
        if below is not None:
            query = query.where(certificates.c.id < below)
        if lookup is not None:
            query = query.where(certificates.c[lookup.kind.value] == lookup.digest)
        found = self._connection.execute(query.order_by(certificates.c.id.desc()).limit(limit)).all()
        return self._with_properties([(int(each.id), bytes(each.encoded)) for each in found])

    def get(self, identity: bytes) -> Row | None:
        rows = self.rows(None, 1, Lookup(Index.SHA1, filing.digest(identity)))
        return rows[0] if rows else None

    def put(self, encoded: bytes, stored: Mapping[int, bytes]) -> Row:
        self._touch()
        kept = {**stored, int(PropId.SHA1_HASH): filing.identity(encoded, stored)}
        digests = _columns(encoded, kept)
        self._delete(digests[Index.SHA1.value])
        values = {"store_id": self._id, "encoded": encoded, **digests}
        result = self._connection.execute(sa.insert(certificates).values(values))
        key = int((result.inserted_primary_key or (0,))[0])
        self._insert_properties(key, kept)
        return Row(key, encoded, kept)

    def alter(self, identity: bytes, changes: Mapping[int, bytes | None]) -> bool:
        row = self.get(identity)
        if row is None:
            return False
        self._touch()
        if not _INDEXED.isdisjoint(changes):
            self._file_anew(row, identity, changes)
        chosen = sa.and_(
            properties.c.certificate_id == row.key, properties.c.prop_id.in_([int(each) for each in changes])
        )
        self._connection.execute(sa.delete(properties).where(chosen))
        self._insert_properties(row.key, {each: value for each, value in changes.items() if value is not None})
        return True

    def remove(self, identity: bytes) -> bool:
        if not self._delete(filing.digest(identity)):
            return False
        self._touch()
        return True

    def _touch(self) -> None:
        """The store exists, and its counter rises once in this transaction."""
        if self._changed:
            return
        if not self._id:
            self._id = _make_store(self._connection, self._place)
        self._change += 1
        self._changed = True
        self._connection.execute(sa.update(stores).where(stores.c.id == self._id).values(change=self._change))

    def _file_anew(self, row: Row, identity: bytes, changes: Mapping[int, bytes | None]) -> None:
        """A property that certificates are found by changes; a certificate that has the new identity gives way."""
        merged = {**row.properties, **changes}
        kept = {each: value for each, value in merged.items() if value is not None}
        digests = _columns(row.encoded, kept)
        if digests[Index.SHA1.value] != filing.digest(identity):
            self._delete(digests[Index.SHA1.value])
        self._connection.execute(sa.update(certificates).where(certificates.c.id == row.key).values(digests))

    def _delete(self, digest: bytes) -> bool:
        filed = sa.and_(certificates.c.store_id == self._id, certificates.c[Index.SHA1.value] == digest)
        return self._connection.execute(sa.delete(certificates).where(filed)).rowcount > 0

    def _with_properties(self, found: Sequence[tuple[int, bytes]]) -> list[Row]:
        """Rows in the order of ``found``."""
        rows = {key: Row(key, encoded, {}) for key, encoded in found}
        query = sa.select(properties).where(properties.c.certificate_id.in_(list(rows)))
        for certificate_id, prop_id, value in self._connection.execute(query) if rows else ():
            rows[certificate_id].properties[prop_id] = bytes(value)
        return list(rows.values())

    def _insert_properties(self, key: int, values: Mapping[int, bytes]) -> None:
        rows = [{"certificate_id": key, "prop_id": int(each), "value": value} for each, value in values.items()]
        if rows:
            self._connection.execute(sa.insert(properties), rows)


def _columns(encoded: bytes, stored: Mapping[int, bytes]) -> dict[str, bytes]:
    return {index.value: digest for index, digest in filing.digests(encoded, stored).items()}


def _make_store(connection: Connection, place: _Place) -> int:
    values = {"account": place.account, "location": place.location, "name": place.name, "folded": place.name.casefold()}
    result = connection.execute(sa.insert(stores).values(change=0, **values))
    return int((result.inserted_primary_key or (0,))[0])


class SqlBacking:
    """The place of one store in an ``SqlDatabase``."""

    def __init__(self, database: SqlDatabase, place: _Place) -> None:
        self._database = database
        self._place = place

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """See ``api.Backing``."""
        with self._database.transaction(write=False) as connection:
            yield _Look(connection, self._place, write=False)

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """See ``api.Backing``."""
        with self._database.transaction(write=True) as connection:
            yield _Look(connection, self._place, write=True)


# --- the database -----------------------------------------------------------------------------------------------------


class SqlDatabase:
    """Named stores in an SQL database. Usable from several threads and by several processes.

    Args:
        url: SQLAlchemy's URL, e.g. ``sqlite:////home/alice/.local/share/calais/store.db``; or the path of an
            SQLite file, made with mode 0600 in a directory made with mode 0700.
        account: whose stores these are, in a database of many.
        busy_timeout_s: how long to wait for others' transactions.

    Raises:
        WinError: see ``transaction``; ERROR_REVISION_MISMATCH for a store of a later version.
    """

    def __init__(self, url: str | Path, *, account: str = "", busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._url = _url_of(url)
        self._account = account
        self._closed = False
        with _translated():
            self._engine = _make_engine(self._url, busy_timeout_s)
            self._writer = self._engine.execution_options(calais_begin="BEGIN IMMEDIATE")
            with self._engine.connect() as connection, connection.begin():
                version = _version(connection)
            if version != len(MIGRATIONS):
                with self._writer.connect() as connection, connection.begin():
                    _migrate(connection)

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Connection]:
        """A transaction, committed at the end of the block, undone when it raises.

        Raises:
            WinError: ERROR_BUSY, ERROR_DISK_FULL, E_ACCESSDENIED, ERROR_PATH_NOT_FOUND, ERROR_IO_DEVICE,
                ERROR_DATABASE_FAILURE; ERROR_INVALID_HANDLE once it is closed.
        """
        if self._closed:
            raise WinError(Code.ERROR_INVALID_HANDLE, "The certificate database is closed.")
        engine = self._writer if write else self._engine
        with _translated(), engine.connect() as connection, connection.begin():
            yield connection

    def backing(self, location: int, name: str) -> SqlBacking:
        """See ``api.Database``."""
        return SqlBacking(self, _Place(self._account, int(location), name))

    def names(self, location: int) -> list[str]:
        """See ``api.Database``."""
        query = sa.select(stores.c.name).where(stores.c.account == self._account, stores.c.location == int(location))
        with self.transaction(write=False) as connection:
            return sorted(connection.execute(query).scalars(), key=str.casefold)

    def create(self, location: int, name: str) -> bool:
        """See ``api.Database``."""
        place = _Place(self._account, int(location), name)
        with self.transaction(write=True) as connection:
            if connection.execute(sa.select(stores.c.id).where(place.is_it)).first():
                return False
            _make_store(connection, place)
            return True

    def drop(self, location: int, name: str) -> bool:
        """See ``api.Database``."""
        place = _Place(self._account, int(location), name)
        with self.transaction(write=True) as connection:
            return connection.execute(sa.delete(stores).where(place.is_it)).rowcount > 0

    def close(self) -> None:
        """See ``api.Database``."""
        self._closed = True
        self._engine.dispose()


def _url_of(url: str | Path) -> URL:
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


def _make_engine(url: URL, busy_timeout_s: float) -> Engine:
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


# --- errors -----------------------------------------------------------------------------------------------------------

# SQLite's primary result code -> Windows' code, what happened, what to do.
_SQLITE_ERRORS: dict[int, tuple[Code, str, str]] = {
    sqlite3.SQLITE_BUSY: (Code.ERROR_BUSY, "Another program holds the store.", "End that program, or try again."),
    sqlite3.SQLITE_LOCKED: (Code.ERROR_BUSY, "Another thread holds the store.", "Try again."),
    sqlite3.SQLITE_FULL: (Code.ERROR_DISK_FULL, "The disk is full; nothing was changed.", "Make room and try again."),
    sqlite3.SQLITE_IOERR: (
        Code.ERROR_IO_DEVICE,
        "The store could not be written or read; nothing was changed.",
        "Look for room on the disk, a size limit, or a failing disk.",
    ),
    sqlite3.SQLITE_READONLY: (Code.E_ACCESSDENIED, "The store's file may not be written.", "Check its owner and mode."),
    sqlite3.SQLITE_PERM: (Code.E_ACCESSDENIED, "The store's file may not be used.", "Check its owner and mode."),
    sqlite3.SQLITE_CANTOPEN: (
        Code.ERROR_PATH_NOT_FOUND,
        "The store's file cannot be opened.",
        "Check that its directory is there and writable.",
    ),
    sqlite3.SQLITE_CORRUPT: (Code.ERROR_DATABASE_FAILURE, "The store's file is damaged.", "Restore it from a backup."),
    sqlite3.SQLITE_NOTADB: (
        Code.ERROR_DATABASE_FAILURE,
        "The store's file is no database.",
        "Move it away, or set CALAIS_STORE to another path.",
    ),
    sqlite3.SQLITE_TOOBIG: (Code.E_INVALIDARG, "The certificate or property is too big to be stored.", ""),
}
_OTHER = (Code.ERROR_DATABASE_FAILURE, "The certificate database failed.", "The cause is in the error's chain.")


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the database as ``WinError``; those of the block itself pass."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        origin = error.orig if isinstance(error, exc.DBAPIError) else error
        number = getattr(origin, "sqlite_errorcode", None)
        code, detail, step = _SQLITE_ERRORS.get(number & 0xFF if number else -1, _OTHER)
        raise WinError.of(code, detail, next_step=step) from error
