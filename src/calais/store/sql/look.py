"""One look at a store, or one transaction on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

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


# Statements are made once: what SQLAlchemy has seen before, it need not think about.
_ID_OF_STORE = (
    sa.select(stores.c.id)
    .where(
        stores.c.account == sa.bindparam("account"),
        stores.c.location == sa.bindparam("location"),
        stores.c.folded == sa.bindparam("folded"),
    )
    .scalar_subquery()
)
_IN_STORE = sa.and_(certificates.c.store_id == _ID_OF_STORE, certificates.c.account == sa.bindparam("account"))
_COUNT = sa.select(sa.func.count()).select_from(
    sa.select(certificates.c.id)
    .where(_IN_STORE, certificates.c.kind == sa.bindparam("kind"))
    .limit(sa.bindparam("most"))
    .subquery()
)


def _make_query(index: Index | None, *, below: bool) -> sa.Select[Any]:
    """The newest rows, those under a digest or of a kind, each with its properties: a row for each property."""
    chosen = sa.select(certificates.c.id, certificates.c.encoded).where(_IN_STORE)
    if index is None:
        chosen = chosen.where(certificates.c.kind == sa.bindparam("kind"))
    else:
        chosen = chosen.where(certificates.c[index.value] == sa.bindparam("digest"))
    if below:
        chosen = chosen.where(certificates.c.id < sa.bindparam("below"))
    some = chosen.order_by(certificates.c.id.desc()).limit(sa.bindparam("most")).subquery()
    of_it = sa.and_(properties.c.certificate_id == some.c.id, properties.c.account == sa.bindparam("account"))
    columns = (some.c.id, some.c.encoded, properties.c.prop_id, properties.c.value)
    return sa.select(*columns).select_from(some.outerjoin(properties, of_it))


_QUERIES = MappingProxyType(
    {(index, below): _make_query(index, below=below) for index in (None, *Index) for below in (False, True)}
)


class Look:
    """See the module."""

    def __init__(self, connection: Connection, place: Place) -> None:
        self._connection = connection
        self._place = place
        self._where = {"account": place.account, "location": place.location, "folded": place.folded}
        self._changed = False

    @cached_property
    def _store(self) -> tuple[int, int]:
        """Id and counter of the store; zeros for one that is not there."""
        found = self._connection.execute(sa.select(stores.c.id, stores.c.change).where(self._place.is_it)).first()
        return (int(found.id), int(found.change)) if found else (0, 0)

    @property
    def _in_store(self) -> sa.ColumnElement[bool]:
        return sa.and_(certificates.c.store_id == self._store[0], certificates.c.account == self._place.account)

    def count(self, limit: int, kind: int = CERTIFICATE) -> int:
        """See ``api.Reading``."""
        return int(self._connection.execute(_COUNT, {**self._where, "kind": kind, "most": limit}).scalar_one())

    def change(self) -> int:
        """The store's counter under its id, which is never used again: a store made anew differs too."""
        return (self._store[0] << 40) + self._store[1]

    def rows(self, below: int | None, limit: int, lookup: Lookup | None = None, kind: int = CERTIFICATE) -> list[Row]:
        """See ``api.Reading``."""
        query = _QUERIES[lookup.kind if lookup else None, below is not None]
        digest = filing.filed(lookup.digest, kind) if lookup else b""
        values = {**self._where, "kind": kind, "digest": digest, "below": below, "most": limit}
        rows: dict[int, Row] = {}
        for key, encoded, prop_id, value in self._connection.execute(query, values):
            row = rows.get(key) or rows.setdefault(key, Row(int(key), bytes(encoded), {}, kind))
            if prop_id is not None:
                row.properties[prop_id] = bytes(value)
        return [rows[key] for key in sorted(rows, reverse=True)]

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
        return {"store_id": self._store[0], "account": self._place.account}

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
        key, change = self._store
        self._store = (key or make_store(self._connection, self._place), change + 1)
        self._changed = True
        self._connection.execute(sa.update(stores).where(self._place.is_it).values(change=change + 1))

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
