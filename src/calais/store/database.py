"""Which database: the one that ``CALAIS_STORE`` names, else a file of the user."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from calais.store.api import Backing, Database, Settings
from calais.store.memory import MemoryDatabase
from calais.win.codes import Code
from calais.win.errors import WinError

MEMORY_URL = "memory:"
FILE_NAME = "store.db"


class DeferredDatabase:
    """A database that is opened when it is first used: a full disk or a missing server stops nobody else's work.

    Args:
        open_it: opens it; what it raises, the methods raise, and the next use tries again.
        path: its file, if it is one.
    """

    def __init__(self, open_it: Callable[[], Database], path: Path | None = None) -> None:
        self.path = path
        self._open_it = open_it
        self._lock = threading.Lock()
        self._opened: Database | None = None
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether it has been used."""
        return self._opened is not None

    def _database(self) -> Database:
        with self._lock:
            if self._closed:
                raise WinError(Code.ERROR_INVALID_HANDLE, "The certificate database is closed.")
            if self._opened is None:
                self._opened = self._open_it()
            return self._opened

    def backing(self, location: int, name: str) -> Backing:
        """See ``api.Database``."""
        return self._database().backing(location, name)

    def names(self, location: int) -> list[str]:
        """See ``api.Database``."""
        return self._database().names(location)

    def create(self, location: int, name: str) -> bool:
        """See ``api.Database``."""
        return self._database().create(location, name)

    def drop(self, location: int, name: str) -> bool:
        """See ``api.Database``."""
        return self._database().drop(location, name)

    def settings(self, location: int = 1) -> Settings:
        """See ``api.Database``."""
        return self._database().settings(location)

    def close(self) -> None:
        """See ``api.Database``."""
        with self._lock:
            self._closed = True
            if self._opened is not None:
                self._opened.close()


def open_database(url: str | None = None, *, home: Path | None = None, account: str = "") -> Database:
    """The database of certificates; it is opened when it is first used.

    Args:
        url: SQLAlchemy's URL, the path of an SQLite file, or ``"memory:"``; ``None`` = the environment variable
            ``CALAIS_STORE``, else ``store.db`` in ``home``.
        home: the directory of a system; ``None`` = ``CALAIS_HOME``, else the user's data directory (XDG).
        account: whose stores these are, in a database of many; by default ``CALAIS_ACCOUNT``, else on a server the
            role that connects.

    Its methods raise ``WinError``, see ``sql.SqlDatabase``.
    """
    chosen = url or os.environ.get("CALAIS_STORE") or str((home or _home()) / FILE_NAME)
    if chosen == MEMORY_URL:
        return MemoryDatabase()

    def open_it() -> Database:
        from calais.store.sql import SqlDatabase  # noqa: PLC0415 - SQLAlchemy is only for who uses it

        return SqlDatabase(chosen, account=account or os.environ.get("CALAIS_ACCOUNT", ""))

    return DeferredDatabase(open_it, None if "://" in chosen else Path(chosen))


def _home() -> Path:
    """Where a user's data are."""
    named = os.environ.get("CALAIS_HOME")
    if named:
        return Path(named)
    import platformdirs  # noqa: PLC0415 - not needed where the place is given

    return Path(platformdirs.user_data_dir("calais", appauthor=False))
