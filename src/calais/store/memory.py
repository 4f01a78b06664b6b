"""A database of dicts: the executable specification of every other one.

Whatever another database does, it must do as this one; the contract suite runs on all of them, and a state
machine drives them side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from calais.store import filing
from calais.store.api import CERTIFICATE, Lookup, Reading, Row, Writing
from calais.win.flags import PropId


@dataclass
class _Shelves:
    """The contents of one store: rows by kind and identity, and the change counter."""

    rows: dict[tuple[int, bytes], Row] = field(default_factory=dict)
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

    def count(self, limit: int, kind: int = CERTIFICATE) -> int:
        return min(sum(row.kind == kind for row in self._contents.rows.values()), limit)

    def change(self) -> int:
        return self._contents.change

    def rows(self, below: int | None, limit: int, lookup: Lookup | None = None, kind: int = CERTIFICATE) -> list[Row]:
        rows = self._contents.rows.values()
        chosen = [row for row in rows if row.kind == kind and (below is None or row.key < below)]
        if lookup is not None:
            chosen = [row for row in chosen if filing.digests(*row[1:])[lookup.kind] == lookup.digest]
        return sorted(chosen, reverse=True, key=lambda row: row.key)[:limit]

    def get(self, identity: bytes, kind: int = CERTIFICATE) -> Row | None:
        return self._contents.rows.get((kind, identity))

    def put(self, encoded: bytes, stored: Mapping[int, bytes], kind: int = CERTIFICATE) -> Row:
        identity = filing.identity(encoded, stored)
        self._database.last_key += 1
        row = Row(self._database.last_key, encoded, {**stored, int(PropId.SHA1_HASH): identity}, kind)
        self._contents.rows[kind, identity] = row
        self._contents.change = self._change_after
        return row

    def put_all(self, items: Iterable[tuple[bytes, Mapping[int, bytes]]], kind: int = CERTIFICATE) -> int:
        return len([self.put(encoded, stored, kind) for encoded, stored in items])

    def alter(self, identity: bytes, changes: Mapping[int, bytes | None], kind: int = CERTIFICATE) -> bool:
        row = self._contents.rows.pop((kind, identity), None)
        if row is None:
            return False
        merged = {**row.properties, **changes}
        kept = {prop_id: value for prop_id, value in merged.items() if value is not None}
        self._contents.rows[kind, filing.identity(row.encoded, kept)] = row._replace(properties=kept)
        self._contents.change = self._change_after
        return True

    def remove(self, identity: bytes, kind: int = CERTIFICATE) -> bool:
        if self._contents.rows.pop((kind, identity), None) is None:
            return False
        self._contents.change = self._change_after
        return True


class MemorySettings:
    """See ``api.Settings``."""

    def __init__(self, lock: threading.RLock, values: dict[tuple[str, str], bytes]) -> None:
        self._lock = lock
        self._values = values

    def get(self, kind: str, name: str) -> bytes | None:
        """See ``api.Settings``."""
        return self._values.get((kind, name))

    def put(self, kind: str, name: str, value: bytes) -> None:
        """See ``api.Settings``."""
        with self._lock:
            self._values[kind, name] = bytes(value)

    def delete(self, kind: str, name: str) -> bool:
        """See ``api.Settings``."""
        with self._lock:
            return self._values.pop((kind, name), None) is not None

    def items(self, kind: str) -> dict[str, bytes]:
        """See ``api.Settings``."""
        with self._lock:
            return {name: value for (of, name), value in self._values.items() if of == kind}


class MemoryDatabase:
    """Named stores in dicts; they live as long as the object. Usable from several threads."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.contents: dict[tuple[int, str], _Shelves] = {}
        self.last_key = 0
        self.last_change = 0
        self._names: dict[tuple[int, str], str] = {}
        self._settings: dict[int, dict[tuple[str, str], bytes]] = {}

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

    def settings(self, location: int = 1) -> MemorySettings:
        """See ``api.Database``."""
        with self.lock:
            return MemorySettings(self.lock, self._settings.setdefault(int(location), {}))

    def close(self) -> None:
        """See ``api.Database``."""
