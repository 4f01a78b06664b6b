"""A database of dicts: the executable specification of every other one.

Whatever another database does, it must do as this one; the contract suite runs on all of them, and a state
machine drives them side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from calais.store import filing
from calais.store.api import Lookup, Reading, Row, Writing
from calais.win.flags import PropId


@dataclass
class _Shelves:
    """The contents of one store: rows by identity, and the change counter."""

    rows: dict[bytes, Row] = field(default_factory=dict)
    change: int = 0


class MemoryBacking:
    """The place of one store in a ``MemoryDatabase``."""

    def __init__(self, database: MemoryDatabase, place: tuple[int, str], name: str) -> None:
        self._database = database
        self._place = place
        self._name = name

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """See ``api.Backing``."""
        with self._database.lock:
            yield _Look(self._database, self._contents())

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """See ``api.Backing``."""
        with self._database.lock:
            before = self._contents()
            staged = _Shelves(dict(before.rows), before.change)
            look = _Look(self._database, staged)
            yield look
            if staged.change != before.change:
                self._database.create(self._place[0], self._name)
                self._database.contents[self._place] = staged
                self._database.last_change = staged.change

    def _contents(self) -> _Shelves:
        return self._database.contents.get(self._place) or _Shelves()


class _Look:
    """One look at, or one transaction on, the contents of a store."""

    def __init__(self, database: MemoryDatabase, contents: _Shelves) -> None:
        self._database = database
        self._contents = contents
        self._change_after = database.last_change + 1

    def count(self, limit: int) -> int:
        return min(len(self._contents.rows), limit)

    def change(self) -> int:
        return self._contents.change

    def rows(self, below: int | None, limit: int, lookup: Lookup | None = None) -> list[Row]:
        chosen = [row for row in self._contents.rows.values() if below is None or row.key < below]
        if lookup is not None:
            chosen = [row for row in chosen if filing.digests(row[1], row[2])[lookup.kind] == lookup.digest]
        return sorted(chosen, reverse=True, key=lambda row: row.key)[:limit]

    def get(self, identity: bytes) -> Row | None:
        return self._contents.rows.get(identity)

    def put(self, encoded: bytes, stored: Mapping[int, bytes]) -> Row:
        identity = filing.identity(encoded, stored)
        self._database.last_key += 1
        row = Row(self._database.last_key, encoded, {**stored, int(PropId.SHA1_HASH): identity})
        self._contents.rows[identity] = row
        self._contents.change = self._change_after
        return row

    def alter(self, identity: bytes, changes: Mapping[int, bytes | None]) -> bool:
        row = self._contents.rows.pop(identity, None)
        if row is None:
            return False
        merged = {**row.properties, **changes}
        kept = {prop_id: value for prop_id, value in merged.items() if value is not None}
        self._contents.rows[filing.identity(row.encoded, kept)] = row._replace(properties=kept)
        self._contents.change = self._change_after
        return True

    def remove(self, identity: bytes) -> bool:
        if self._contents.rows.pop(identity, None) is None:
            return False
        self._contents.change = self._change_after
        return True


class MemoryDatabase:
    """Named stores in dicts; they live as long as the object. Usable from several threads."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.contents: dict[tuple[int, str], _Shelves] = {}
        self.last_key = 0
        self.last_change = 0
        self._names: dict[tuple[int, str], str] = {}

    def backing(self, location: int, name: str) -> MemoryBacking:
        """See ``api.Database``."""
        return MemoryBacking(self, (location, name.casefold()), name)

    def names(self, location: int) -> list[str]:
        """See ``api.Database``."""
        return sorted((name for (place, _), name in self._names.items() if place == location), key=str.casefold)

    def create(self, location: int, name: str) -> bool:
        """See ``api.Database``."""
        place = (location, name.casefold())
        new = place not in self._names
        self._names.setdefault(place, name)
        return new

    def drop(self, location: int, name: str) -> bool:
        """See ``api.Database``."""
        place = (location, name.casefold())
        self.contents.pop(place, None)
        self.last_change += 1
        return self._names.pop(place, None) is not None

    def close(self) -> None:
        """See ``api.Database``."""
