"""``SqlDatabase``: named stores, and settings, in an SQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from calais.store.api import insist
from calais.store.sql.dialects import kind_of, make_engine, url_of
from calais.store.sql.errors import translated
from calais.store.sql.look import Place, SqlBacking, make_store
from calais.store.sql.migrations import migrate, newest, version_of
from calais.store.sql.schema import stores
from calais.store.sql.settings import SqlSettings
from calais.win.codes import Code
from calais.win.errors import WinError

BUSY_TIMEOUT_S = 10.0


class SqlDatabase:
    """Named stores in an SQL database. Usable from several threads and by several processes.

    Args:
        url: SQLAlchemy's URL, e.g. ``sqlite:////home/alice/.local/share/calais/store.db``; or the path of an
            SQLite file, made with mode 0600 in a directory made with mode 0700.
        account: whose stores these are, in a database of many; by default, on a server, the role that connects.
        busy_timeout_s: how long to wait for others' transactions.

    Raises:
        WinError: see ``transaction``; ERROR_REVISION_MISMATCH for a store of a later version.
    """

    def __init__(self, url: str | Path, *, account: str = "", busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._url = url_of(url)
        self._kind = kind_of(self._url)
        self._busy_timeout_s = busy_timeout_s
        self._closed = False
        with translated():
            self._engine = make_engine(self._url, busy_timeout_s)
            self._reader, self._writer = self._kind.for_reading(self._engine), self._kind.for_writing(self._engine)
            try:
                self._account = account or self._role()
                self._bring_up()
            except BaseException:
                self._engine.dispose()
                raise

    def __repr__(self) -> str:
        return f"<SqlDatabase {self._url.render_as_string(hide_password=True)} of {self._account!r}>"

    def _role(self) -> str:
        """Whose stores these are when nobody says: on a server, those of the role."""
        if not self._kind.shared:
            return ""
        with self._reader.connect() as connection:
            return str(connection.execute(sa.select(sa.func.current_user())).scalar_one())

    def _bring_up(self) -> None:
        """Make or migrate the tables."""
        with self._reader.connect() as connection, connection.begin():
            version = version_of(connection)
        if version != newest():
            with self._writer.connect() as connection, connection.begin():
                self._kind.lock(connection, "calais schema", self._busy_timeout_s)
                migrate(connection)

    @contextmanager
    def transaction(self, *, write: bool, lock: str = "") -> Iterator[Connection]:
        """A transaction, committed at the end of the block, undone when it raises.

        Args:
            write: whether it changes anything.
            lock: the name of what it changes; nobody else changes that meanwhile.

        Raises:
            Collision: ERROR_BUSY, it met another's transaction and may be tried again.
            WinError: ERROR_BUSY, ERROR_DISK_FULL, E_ACCESSDENIED, ERROR_PATH_NOT_FOUND, ERROR_IO_DEVICE,
                ERROR_DATABASE_FAILURE; ERROR_INVALID_HANDLE once it is closed.
        """
        if self._closed:
            raise WinError(Code.ERROR_INVALID_HANDLE, "The certificate database is closed.")
        engine = self._writer if write else self._reader
        with translated(), engine.connect() as connection, connection.begin():
            if write:
                self._kind.lock(connection, lock, self._busy_timeout_s)
            yield connection

    def backing(self, location: int, name: str) -> SqlBacking:
        """See ``api.Database``."""
        return SqlBacking(self, Place(self._account, int(location), name))

    def names(self, location: int) -> list[str]:
        """See ``api.Database``."""
        query = sa.select(stores.c.name).where(stores.c.account == self._account, stores.c.location == int(location))
        with self.transaction(write=False) as connection:
            return sorted(connection.execute(query).scalars(), key=str.casefold)

    def create(self, location: int, name: str) -> bool:
        """See ``api.Database``."""
        place = Place(self._account, int(location), name)

        def make() -> bool:
            with self.transaction(write=True, lock=place.lock) as connection:
                if connection.execute(sa.select(stores.c.id).where(place.is_it)).first():
                    return False
                make_store(connection, place)
                return True

        return insist(make)

    def drop(self, location: int, name: str) -> bool:
        """See ``api.Database``."""
        place = Place(self._account, int(location), name)

        def remove() -> bool:
            with self.transaction(write=True, lock=place.lock) as connection:
                return connection.execute(sa.delete(stores).where(place.is_it)).rowcount > 0

        return insist(remove)

    def settings(self, location: int = 1) -> SqlSettings:
        """See ``api.Database``."""
        return SqlSettings(self, self._account, int(location))

    def close(self) -> None:
        """See ``api.Database``."""
        self._closed = True
        self._engine.dispose()
