"""What is behind an open store: nothing, a database, or something that is written at the end.

A database has every change at once. A file, or a mapping that stands for a key of the registry, is read when the
store is opened and written by ``commit``, if anything changed.
Sources: CertControlStore; CertOpenStore (CERT_STORE_PROV_FILE, CERT_STORE_PROV_REG).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Final, Protocol

from calais.store import filing, properties
from calais.store.api import CERTIFICATE, Backing, Lookup, Reading, Row
from calais.store.formats.items import KINDS, Item
from calais.store.model import Element
from calais.store.shelf import Entry, Seen, Shelf
from calais.win.flags import CERT_STORE_CTRL_COMMIT_CLEAR_FLAG, CERT_STORE_CTRL_COMMIT_FORCE_FLAG

Shelves = Mapping[int, Shelf]


class Source(Protocol):
    """See the module. Every method may raise the ``WinError`` of what is behind it."""

    def resync(self) -> None:
        """Read it again; own changes that are not written yet stay."""

    def is_current(self) -> bool:
        """Whether nobody else has changed it since it was read."""

    def arm(self) -> None:
        """From now on ``has_moved`` tells of changes."""

    def has_moved(self) -> bool:
        """Whether somebody else has changed it since ``arm``."""

    def commit(self, flags: int = 0) -> None:
        """Write own changes: CERT_STORE_CTRL_COMMIT_FORCE_FLAG always, CERT_STORE_CTRL_COMMIT_CLEAR_FLAG never."""


class _Nothing:
    """A look at a place where nothing was ever put: three questions fewer."""

    def count(self, limit: int, kind: int = CERTIFICATE) -> int:  # noqa: ARG002
        return 0

    def change(self) -> int:
        return 0

    def rows(
        self,
        below: int | None,  # noqa: ARG002
        limit: int,  # noqa: ARG002
        lookup: Lookup | None = None,  # noqa: ARG002
        kind: int = CERTIFICATE,  # noqa: ARG002
    ) -> list[Row]:
        return []


_NOTHING: Final[Reading] = _Nothing()


class DatabaseSource:
    """One opening of a backing: its shelves have written every change already."""

    def __init__(self, backing: Backing, *, read_only: bool, access_state: int, whole: int) -> None:
        self._backing = backing
        self._seen = Seen()
        self.shelves: Shelves = {
            kind: Shelf(
                backing, kind=kind, seen=self._seen, read_only=read_only, access_state=access_state, whole=whole
            )
            for kind in KINDS
        }
        self.resync()

    def resync(self) -> None:
        """See ``Source``."""
        with self._seen.lock, self._backing.reading() as look:
            change = look.change()
            for shelf in self.shelves.values():
                shelf.read(look if change else _NOTHING)
            self._seen.read = change

    def is_current(self) -> bool:
        """See ``Source``."""
        return self._change() == self._seen.read

    def arm(self) -> None:
        """See ``Source``."""
        self._seen.watched = self._change()

    def has_moved(self) -> bool:
        """See ``Source``."""
        return self._change() != self._seen.watched

    def _change(self) -> int:
        with self._seen.lock, self._backing.reading() as look:
            return look.change()

    def commit(self, flags: int = 0) -> None:
        """See ``Source``: there is nothing left to do."""


class Keeper(Protocol):
    """A file, or a key of the registry."""

    def read(self) -> list[Item]:
        """Everything in it, in its order."""

    def write(self, items: Iterable[Item]) -> None:
        """Put this there in place of what was read."""

    def mark(self) -> Hashable:
        """Something that differs when it was changed."""


class KeptSource:
    """A store in memory that is read from a keeper and written to it.

    Args:
        keeper: where it is kept.
        read_only: whether changes are refused.
        keeps_identity: see ``Shelf``.
    """

    def __init__(self, keeper: Keeper, *, read_only: bool = False, keeps_identity: bool = False) -> None:
        self._keeper = keeper
        seen = Seen()
        self._lock = seen.lock
        self.shelves: Shelves = {
            kind: Shelf(kind=kind, seen=seen, read_only=read_only, keeps_identity=keeps_identity) for kind in KINDS
        }
        for item in keeper.read():
            self.shelves[item.kind].load([item])
        self._base = self._stored()
        self._read = self._watched = keeper.mark()

    def _entries(self) -> list[tuple[Shelf, Entry]]:
        """All that is there now, oldest first."""
        return [(shelf, entry) for shelf in self.shelves.values() for entry in list(shelf.entries())[::-1]]

    def _stored(self) -> list[Item]:
        """What makes a difference: what was only computed does not."""
        return [_stored(entry.element) for _, entry in self._entries()]

    def resync(self) -> None:
        """See ``Source``: what we did not change follows the others."""
        with self._lock:
            self._read = self._keeper.mark()
            read = self._keeper.read()
            base, theirs = _by_identity(self._base), _by_identity(read)
            ours = set()
            for shelf, entry in self._entries():
                item = _stored(entry.element)
                ours.add(_identity(item))
                if item == base.get(_identity(item)):
                    _follow(shelf, entry, theirs.get(_identity(item)))
            for key, item in theirs.items():
                if key not in ours and base.get(key) != item:
                    self.shelves[item.kind].load([item])
            self._base = read

    def is_current(self) -> bool:
        """See ``Source``."""
        return self._keeper.mark() == self._read

    def arm(self) -> None:
        """See ``Source``."""
        self._watched = self._keeper.mark()

    def has_moved(self) -> bool:
        """See ``Source``."""
        return self._keeper.mark() != self._watched

    def commit(self, flags: int = 0) -> None:
        """See ``Source``. What others wrote since it was read is not lost, unless writing is forced."""
        with self._lock:
            if flags & CERT_STORE_CTRL_COMMIT_CLEAR_FLAG:
                self._base = self._stored()
                return
            forced = flags & CERT_STORE_CTRL_COMMIT_FORCE_FLAG
            if not forced and _sorted(self._stored()) == _sorted(self._base):
                return
            if not forced and self._keeper.mark() not in (None, self._read):  # what was deleted meanwhile is written
                self.resync()
            unnoticed = self.has_moved()
            self._keeper.write([entry.element.written() for _, entry in self._entries()])
            self._base = self._stored()
            self._read = self._keeper.mark()
            self._watched = self._watched if unnoticed else self._read


_Key = tuple[int, bytes]


def _stored(element: Element) -> Item:
    kept = properties.storable(element.stored)
    return Item(element.kind, element.encoded, {each: element.stored[each] for each in kept})


def _identity(item: Item) -> _Key:
    return item.kind, filing.identity(item.encoded, item.properties)


def _by_identity(items: list[Item]) -> dict[_Key, Item]:
    return {_identity(item): item for item in items}


def _sorted(items: list[Item]) -> list[tuple[int, bytes, tuple[tuple[int, bytes], ...]]]:
    return sorted((item.kind, item.encoded, tuple(sorted(item.properties.items()))) for item in items)


def _follow(shelf: Shelf, entry: Entry, item: Item | None) -> None:
    """An element becomes what others made of it; ``None``: they took it out."""
    if item is None:
        shelf.drop(entry)
        return
    gone: dict[int, bytes | None] = dict.fromkeys(entry.element.stored.keys() - item.properties.keys())
    entry.element.adopt(gone | item.properties)
