"""What went wrong in a database, as ``WinError``.

Sources: sqlite.org, "Result and Error Codes"; PostgreSQL documentation, appendix A, "PostgreSQL Error Codes".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import exc

from calais.win.codes import Code
from calais.win.errors import WinError


class _Fault(NamedTuple):
    """Windows' code, what happened, what to do."""

    code: Code
    detail: str
    next_step: str = ""


# SQLite's primary result code.
_SQLITE: dict[int, _Fault] = {
    sqlite3.SQLITE_BUSY: _Fault(Code.ERROR_BUSY, "Another program holds the store.", "End that program, or try again."),
    sqlite3.SQLITE_LOCKED: _Fault(Code.ERROR_BUSY, "Another thread holds the store.", "Try again."),
    sqlite3.SQLITE_FULL: _Fault(
        Code.ERROR_DISK_FULL, "The disk is full; nothing was changed.", "Make room and try again."
    ),
    sqlite3.SQLITE_IOERR: _Fault(
        Code.ERROR_IO_DEVICE,
        "The store could not be written or read; nothing was changed.",
        "Look for room on the disk, a size limit, or a failing disk.",
    ),
    sqlite3.SQLITE_READONLY: _Fault(
        Code.E_ACCESSDENIED, "The store's file may not be written.", "Check its owner and mode."
    ),
    sqlite3.SQLITE_PERM: _Fault(Code.E_ACCESSDENIED, "The store's file may not be used.", "Check its owner and mode."),
    sqlite3.SQLITE_CANTOPEN: _Fault(
        Code.ERROR_PATH_NOT_FOUND,
        "The store's file cannot be opened.",
        "Check that its directory is there and writable.",
    ),
    sqlite3.SQLITE_CORRUPT: _Fault(
        Code.ERROR_DATABASE_FAILURE, "The store's file is damaged.", "Restore it from a backup."
    ),
    sqlite3.SQLITE_NOTADB: _Fault(
        Code.ERROR_DATABASE_FAILURE,
        "The store's file is no database.",
        "Move it away, or set CALAIS_STORE to another path.",
    ),
    sqlite3.SQLITE_TOOBIG: _Fault(Code.E_INVALIDARG, "The certificate or property is too big to be stored."),
}
_OTHER = _Fault(Code.ERROR_DATABASE_FAILURE, "The certificate database failed.", "The cause is in the error's chain.")


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the database as ``WinError``; those of the block itself pass."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        code, detail, step = _fault_of(error)
        raise WinError.of(code, detail, next_step=step) from error


def _fault_of(error: exc.SQLAlchemyError | sqlite3.Error) -> _Fault:
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    number = getattr(origin, "sqlite_errorcode", None)
    return _SQLITE.get(number & 0xFF if number else -1, _OTHER)
