"""Small named values of one account."""

from __future__ import annotations

from contextlib import AbstractContextManager

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from calais.store.api import insist
from calais.store.sql.look import Transactions
from calais.store.sql.schema import settings


class SqlSettings:
    """See ``api.Settings``."""

    def __init__(self, database: Transactions, account: str, location: int) -> None:
        self._database = database
        self._row = {"account": account, "location": location}

    def _of(self, kind: str, *name: str) -> sa.ColumnElement[bool]:
        row = self._row | {"kind": kind} | dict(zip(("name",), name, strict=False))
        return sa.and_(*(settings.c[column] == value for column, value in row.items()))

    def get(self, kind: str, name: str) -> bytes | None:
        """See ``api.Settings``."""
        with self._database.transaction(write=False) as connection:
            found = connection.execute(sa.select(settings.c.value).where(self._of(kind, name))).first()
        return bytes(found.value) if found else None

    def put(self, kind: str, name: str, value: bytes) -> None:
        """See ``api.Settings``."""
        update = sa.update(settings).where(self._of(kind, name)).values(value=value)
        insert = sa.insert(settings).values(kind=kind, name=name, value=value, **self._row)

        def set_it() -> None:
            with self._writing() as connection:
                if not connection.execute(update).rowcount:
                    connection.execute(insert)

        insist(set_it)

    def delete(self, kind: str, name: str) -> bool:
        """See ``api.Settings``."""

        def remove() -> bool:
            with self._writing() as connection:
                return connection.execute(sa.delete(settings).where(self._of(kind, name))).rowcount > 0

        return insist(remove)

    def _writing(self) -> AbstractContextManager[Connection]:
        return self._database.transaction(
            write=True, lock="calais settings {location} of {account}".format(**self._row)
        )

    def items(self, kind: str) -> dict[str, bytes]:
        """See ``api.Settings``."""
        query = sa.select(settings.c.name, settings.c.value).where(self._of(kind)).order_by(settings.c.id)
        with self._database.transaction(write=False) as connection:
            return {str(name): bytes(value) for name, value in connection.execute(query)}
