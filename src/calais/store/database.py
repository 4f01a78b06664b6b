"""Which database: the one that ``CALAIS_STORE`` names, else a file of the user."""

from __future__ import annotations

import os
from pathlib import Path

from calais.store.api import Database
from calais.store.memory import MemoryDatabase

MEMORY_URL = "memory:"
FILE_NAME = "store.db"


def open_database(url: str | None = None, *, home: Path | None = None, account: str = "") -> Database:
    """Open the database of certificates.

    Args:
        url: SQLAlchemy's URL, the path of an SQLite file, or ``"memory:"``; ``None`` = the environment variable
            ``CALAIS_STORE``, else ``store.db`` in ``home``.
        home: the directory of a system; ``None`` = ``CALAIS_HOME``, else the user's data directory (XDG).
        account: whose stores these are, in a database of many.

    Raises:
        WinError: see ``sql.SqlDatabase``.
    """
    chosen = url or os.environ.get("CALAIS_STORE") or str((home or _home()) / FILE_NAME)
    if chosen == MEMORY_URL:
        return MemoryDatabase()
    from calais.store.sql import SqlDatabase  # noqa: PLC0415 - SQLAlchemy is only for who uses it

    return SqlDatabase(chosen, account=account)


def _home() -> Path:
    """Where a user's data are."""
    named = os.environ.get("CALAIS_HOME")
    if named:
        return Path(named)
    import platformdirs  # noqa: PLC0415 - not needed where the place is given

    return Path(platformdirs.user_data_dir("calais", appauthor=False))
