"""What went wrong in a database, as ``WinError``.

Sources: sqlite.org, "Result and Error Codes"; PostgreSQL documentation, appendix A, "PostgreSQL Error Codes".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import exc

from calais.store.api import Collision
from calais.win.codes import Code
from calais.win.errors import BadParameter, WinError


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
# PostgreSQL's SQLSTATE, or its class.
_SERVER_LOST = _Fault(
    Code.ERROR_DATABASE_FAILURE,
    "The connection to the database was lost; what was under way is undone unless it was just being committed.",
    "Check that the server runs and can be reached, then look and try again.",
)
_UNREACHED = _Fault(
    Code.ERROR_DATABASE_FAILURE,
    "The database server cannot be reached; nothing was changed.",
    "Check the address in CALAIS_STORE, and that the server runs.",
)
_NO_DATABASE = _Fault(Code.ERROR_DATABASE_FAILURE, "There is no such database.", "Check its name in CALAIS_STORE.")
_NO_RIGHT = _Fault(
    Code.E_ACCESSDENIED,
    "The database refuses this role.",
    "Check user and password in CALAIS_STORE, and ask the database's owner to run the grants of roles.sql.",
)
_NOT_KEPT = _Fault(Code.E_INVALIDARG, "The database cannot hold this value or name.")
_POSTGRESQL: dict[str, _Fault] = {
    "08": _SERVER_LOST,
    "22": _NOT_KEPT,
    "23": _Fault(Code.ERROR_BUSY, "Somebody else made the same change just now.", "Try again."),
    "25006": _Fault(Code.E_ACCESSDENIED, "The database is open for reading only.", "Connect to the primary server."),
    "28": _NO_RIGHT,
    "3D": _NO_DATABASE,
    "40": _Fault(Code.ERROR_BUSY, "Another's transaction came in between; nothing was changed.", "Try again."),
    "42501": _NO_RIGHT,
    "53100": _Fault(Code.ERROR_DISK_FULL, "The server's disk is full; nothing was changed.", "Make room there."),
    "53300": _Fault(Code.ERROR_BUSY, "The server has no connection left.", "Try again."),
    "54": _Fault(Code.E_INVALIDARG, "The certificate or property is too big to be stored."),
    "55P03": _Fault(Code.ERROR_BUSY, "Another program holds the store.", "End that program, or try again."),
    "57014": _Fault(Code.ERROR_BUSY, "The server ended this: it took too long.", "Try again."),
    "57P": _SERVER_LOST,
    "58": _Fault(Code.ERROR_IO_DEVICE, "The server could not read or write its files.", "Look at its log."),
    "F0": _Fault(Code.ERROR_DATABASE_FAILURE, "The server's files are wrong.", "Look at its log."),
    "XX": _Fault(Code.ERROR_DATABASE_FAILURE, "The server's files are damaged.", "Restore it from a backup."),
}
_AGAIN = ("40001", "40P01", "23505")
_REFUSED = ("authentication failed", "no pg_hba.conf entry", "is not permitted to log in", "no password supplied")
# What libpq and psycopg say where no session began, in this order; they give no code there
_UNCONNECTED = (
    *((each, _NO_RIGHT) for each in _REFUSED),
    ("does not exist", _NO_DATABASE),
    ("connection failed", _UNREACHED),
    ("connection is bad", _UNREACHED),
    ("failed to resolve host", _UNREACHED),
    ("connection timeout expired", _UNREACHED),
)
_OTHER = _Fault(Code.ERROR_DATABASE_FAILURE, "The certificate database failed.", "The cause is in the error's chain.")


class DriverError(Exception):
    """What a server said, without the details: they show what was to be stored."""


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the database as ``WinError``; those of the block itself pass."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise BadParameter(Code.E_INVALIDARG, "The name holds something that is no character.") from error
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        origin = error.orig if isinstance(error, exc.DBAPIError) else error
        sqlstate = getattr(origin, "sqlstate", None)
        code, detail, step = _fault_of(error, origin)
        made = (
            Collision(code, detail, next_step=step) if sqlstate in _AGAIN else WinError.of(code, detail, next_step=step)
        )
        raise made from _shown(error, origin)


def _fault_of(error: Exception, origin: BaseException | None) -> _Fault:
    number = getattr(origin, "sqlite_errorcode", None)
    if number:
        return _SQLITE.get(number & 0xFF, _OTHER)
    sqlstate = getattr(origin, "sqlstate", None)
    if sqlstate:
        return next((_POSTGRESQL[sqlstate[:size]] for size in (5, 3, 2) if sqlstate[:size] in _POSTGRESQL), _OTHER)
    if isinstance(error, exc.OperationalError | exc.InterfaceError):
        return next((fault for words, fault in _UNCONNECTED if words in str(origin)), _SERVER_LOST)
    if isinstance(error, exc.DataError):
        return _NOT_KEPT
    if isinstance(error, exc.TimeoutError):
        return _Fault(Code.ERROR_BUSY, "Every connection of this program is in use.", "Try again.")
    return _OTHER


def _shown(error: Exception, origin: BaseException | None) -> Exception:
    """The cause that may be shown."""
    said = getattr(getattr(origin, "diag", None), "message_primary", None)
    return error if said is None else DriverError(f"{type(origin).__name__}: {said}")
