"""Stores in an SQL database; the only package that knows one. SQLite by default, PostgreSQL or another by its URL.

Each change is one transaction that begins by taking a lock, so what it decides is true when it commits; each look
is one snapshot. Every statement names the account, so that the people of one database never meet. Errors are
``WinError``. Statements are portable: what differs between databases is in ``dialects``.
"""

from __future__ import annotations

from importlib.resources import files

from calais.store.sql.database import BUSY_TIMEOUT_S, SqlDatabase
from calais.store.sql.look import SqlBacking

__all__ = ["BUSY_TIMEOUT_S", "SqlBacking", "SqlDatabase", "roles"]


def roles() -> str:
    """The statements that give the people of a PostgreSQL database their own rows and nothing else.

    They are for the owner of the tables, or an administrator; ``roles.sql`` beside this file says more.
    """
    return files(__name__).joinpath("roles.sql").read_text(encoding="utf-8")
