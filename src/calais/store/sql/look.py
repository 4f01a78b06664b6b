"""One look at a store, or one transaction on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from calais.store import filing
from calais.store.api import CERTIFICATE, Index, Lookup, Reading, Row, Writing
from calais.store.sql.schema import certificates, properties, stores
from calais.win.flags import PropId

_AT_ONCE = 500
_INDEXED = frozenset((PropId.SHA1_HASH, PropId.KEY_IDENTIFIER, PropId.SUBJECT_PUBLIC_KEY_MD5_HASH))


class Place(NamedTuple):
    """Which store."""

    account: str
    location: int
    name: str

    @property
    def folded(self) -> str:
        """The name as names are compared."""
        return self.name.casefold()

    @property
    def is_it(self) -> sa.ColumnElement[bool]:
        """The condition on a row of ``stores``."""
        return sa.and_(
            stores.c.account == self.account,
            stores.c.location == self.location,
            stores.c.folded == self.folded,
        )

    @property
    def lock(self) -> str:
        """The name of what a writer locks."""
        return f"calais store {self.location} {self.folded} of {self.account}"


class Transactions(Protocol):
    """What a backing needs of its database."""

    def transaction(self, *, write: bool, lock: str = "") -> AbstractContextManager[Connection]:
        """See ``database.SqlDatabase``."""


class Look:
    """See the module."""

    def __init__(self, connection: Connection, place: Place) -> None:
        self._connection = connection
        self._place = place
        found = connection.execute(sa.select(stores.c.id, stores.c.change).where(place.is_it)).first()
        self._id, self._change = (int(found.id), int(found.change)) if found else (0, 0)
        self._changed = False
        self._in_store = sa.and_(certificates.c.store_id == self._id, certificates.c.account == place.account)

    def count(self, limit: int, kind: int = CERTIFICATE) -> int:
        """See ``api.Reading``."""
        some = sa.select(certificates.c.id).where(self._in_store, certificates.c.kind == kind).limit(limit).subquery()
        return int(self._connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())

    def change(self) -> int:
        """The store's counter under its id, which is never used again: a store made anew differs too."""
        return (self._id << 40) + self._change

    def rows(self, below: int | None, limit: int, lookup: Lookup | None = None, kind: int = CERTIFICATE) -> list[Row]:
        """See ``api.Reading``."""
        query = sa.select(certificates.c.id, certificates.c.encoded).where(self._in_store)
        if below is not None:
            query = query.where(certificates.c.id < below)
        if lookup is not None:
            query = query.where(certificates.c[lookup.kind.value] == filing.filed(lookup.digest, kind))
        else:
            query = query.where(certificates.c.kind == kind)
        found = self._connection.execute(query.order_by(certificates.c.id.desc()).limit(limit)).all()
        return self._with_properties([(int(each.id), bytes(each.encoded)) for each in found], kind)

    def get(self, identity: bytes, kind: int = CERTIFICATE) -> Row | None:
        """See ``api.Writing``."""
        rows = self.rows(None, 1, Lookup(Index.SHA1, filing.digest(identity)), kind)
        return rows[0] if rows else None

    def put(self, encoded: bytes, stored: Mapping[int, bytes], kind: int = CERTIFICATE) -> Row:
        """See ``api.Writing``."""
        return self._put_some([(encoded, stored)], kind)[0]

    def put_all(self, items: Iterable[tuple[bytes, Mapping[int, bytes]]], kind: int = CERTIFICATE) -> int:
        """See ``api.Writing``."""
        left, count = iter(items), 0
        while some := list(itertools.islice(left, _AT_ONCE)):
            self._put_some(some, kind)
            count += len(some)
        return count

    def _put_some(self, items: Sequence[tuple[bytes, Mapping[int, bytes]]], kind: int) -> list[Row]:
        """File them, with one statement each for what gives way, rows and properties; the rows that are there now."""
        self._touch()
        values: dict[bytes, dict[str, object]] = {}
        rows: dict[bytes, Row] = {}
        for encoded, stored in items:
            kept = {**stored, int(PropId.SHA1_HASH): filing.identity(encoded, stored)}
            columns = _columns(encoded, kept, kind)
            filed = columns[Index.SHA1.value]
            values.pop(filed, None)
            values[filed] = {**self._common, "kind": kind, "encoded": encoded, **columns}
            rows[filed] = Row(0, encoded, kept, kind)
        self._delete(*values)
        insert = sa.insert(certificates).returning(certificates.c.id, sort_by_parameter_order=True)
        keys = self._connection.execute(insert, list(values.values())).scalars().all()
        made = [rows[filed]._replace(key=int(key)) for filed, key in zip(values, keys, strict=True)]
        self._insert_properties({row.key: row.properties for row in made})
        return made

    @property
    def _common(self) -> dict[str, object]:
        """What all rows of this store have."""
        return {"store_id": self._id, "account": self._place.account}

    def alter(self, identity: bytes, changes: Mapping[int, bytes | None], kind: int = CERTIFICATE) -> bool:
        """See ``api.Writing``."""
        row = self.get(identity, kind)
        if row is None:
            return False
        self._touch()
        if not _INDEXED.isdisjoint(changes):
            self._file_anew(row, identity, changes)
        chosen = sa.and_(self._owned(row.key), properties.c.prop_id.in_([int(each) for each in changes]))
        self._connection.execute(sa.delete(properties).where(chosen))
        self._insert_properties({row.key: {each: value for each, value in changes.items() if value is not None}})
        return True

    def remove(self, identity: bytes, kind: int = CERTIFICATE) -> bool:
        """See ``api.Writing``."""
        if not self._delete(filing.filed(filing.digest(identity), kind)):
            return False
        self._touch()
        return True

    def _touch(self) -> None:
        """The store exists, and its counter rises once in this transaction."""
        if self._changed:
            return
        if not self._id:
            self._id = make_store(self._connection, self._place)
            self._in_store = sa.and_(certificates.c.store_id == self._id, certificates.c.account == self._place.account)
        self._change += 1
        self._changed = True
        self._connection.execute(sa.update(stores).where(self._place.is_it).values(change=self._change))

    def _file_anew(self, row: Row, identity: bytes, changes: Mapping[int, bytes | None]) -> None:
        """A property that certificates are found by changes; a certificate that has the new identity gives way."""
        merged = {**row.properties, **changes}
        kept = {each: value for each, value in merged.items() if value is not None}
        columns = _columns(row.encoded, kept, row.kind)
        if columns[Index.SHA1.value] != filing.filed(filing.digest(identity), row.kind):
            self._delete(columns[Index.SHA1.value])
        it = sa.and_(certificates.c.id == row.key, certificates.c.account == self._place.account)
        self._connection.execute(sa.update(certificates).where(it).values(columns))

    def _delete(self, *filed: bytes) -> bool:
        chosen = sa.and_(self._in_store, certificates.c[Index.SHA1.value].in_(filed))
        return self._connection.execute(sa.delete(certificates).where(chosen)).rowcount > 0

    def _with_properties(self, found: Sequence[tuple[int, bytes]], kind: int) -> list[Row]:
        """Rows in the order of ``found``."""
        rows = {key: Row(key, encoded, {}, kind) for key, encoded in found}
        columns = (properties.c.certificate_id, properties.c.prop_id, properties.c.value)
        query = sa.select(*columns).where(self._owned(*rows))
        for certificate_id, prop_id, value in self._connection.execute(query) if rows else ():
            rows[certificate_id].properties[prop_id] = bytes(value)
        return list(rows.values())

    def _owned(self, *keys: int) -> sa.ColumnElement[bool]:
        """The condition on a row of ``properties``."""
        return sa.and_(properties.c.certificate_id.in_(keys), properties.c.account == self._place.account)

    def _insert_properties(self, of_keys: Mapping[int, Mapping[int, bytes]]) -> None:
        rows = [
            {"certificate_id": key, "account": self._place.account, "prop_id": int(prop_id), "value": value}
            for key, values in of_keys.items()
            for prop_id, value in values.items()
        ]
        if rows:
            self._connection.execute(sa.insert(properties), rows)


def _columns(encoded: bytes, stored: Mapping[int, bytes], kind: int) -> dict[str, bytes]:
    digests = filing.digests(encoded, stored, kind)
    return {index.value: filing.filed(digest, kind) for index, digest in digests.items()}


def make_store(connection: Connection, place: Place) -> int:
    """Make the store, which is not there yet; its id."""
    values = {"account": place.account, "location": place.location, "name": place.name, "folded": place.folded}
    result = connection.execute(sa.insert(stores).values(change=0, **values))
    return int((result.inserted_primary_key or (0,))[0])


class SqlBacking:
    """The place of one store in an ``SqlDatabase``."""

    def __init__(self, database: Transactions, place: Place) -> None:
        self._database = database
        self._place = place

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """See ``api.Backing``."""
        with self._database.transaction(write=False) as connection:
            yield Look(connection, self._place)

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """See ``api.Backing``."""
        with self._database.transaction(write=True, lock=self._place.lock) as connection:
            yield Look(connection, self._place)
