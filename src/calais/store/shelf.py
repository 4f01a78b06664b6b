"""The elements of one kind in one opening of one physical store.

A shelf without a backing is in memory. A shelf on a backing of at most ``WHOLE`` certificates reads it whole
when it is opened, and is a snapshot plus its own changes. Above that it reads what it is asked for: keyed finds
go to the backing's indexes, enumeration reads page by page, and others' changes show as they are read.
Every change is one transaction, decided on what the backing holds at that moment.
Source: CertAddCertificateContextToStore (dispositions).
"""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

from calais.store import filing, properties
from calais.store.api import CERTIFICATE, Backing, Index, Lookup, Reading, Row, Writing, insist
from calais.store.formats.items import Item
from calais.store.model import Element
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadParameter, WinError
from calais.win.flags import AddDisposition, PropId

WHOLE = 512
PAGE = 64
_INHERITING = (AddDisposition.REPLACE_EXISTING_INHERIT_PROPERTIES, AddDisposition.NEWER_INHERIT_PROPERTIES)
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class Verdict(IntEnum):
    """What a disposition comes to."""

    ADD = 0
    USE = 1
    REPLACE = 2
    INHERIT = 3


class Entry(NamedTuple):
    """An element and its place in the order of adding."""

    key: int
    element: Element


def decide(disposition: int, present: Element | None, new: Element) -> Verdict:
    """What to do about ``new`` when ``present`` is the same certificate, or ``None`` is there.

    Raises:
        BadParameter: E_INVALIDARG, no such disposition.
        WinError: CRYPT_E_EXISTS.
    """
    if disposition not in AddDisposition.__members__.values():
        raise BadParameter(Code.E_INVALIDARG, f"{disposition} is no add disposition.")
    if present is None or disposition == AddDisposition.ALWAYS:
        return Verdict.ADD
    if disposition == AddDisposition.USE_EXISTING:
        return Verdict.USE
    newer_only = disposition in (AddDisposition.NEWER, AddDisposition.NEWER_INHERIT_PROPERTIES)
    if disposition == AddDisposition.NEW or (newer_only and not _is_newer(new, present)):
        raise WinError(Code.CRYPT_E_EXISTS, "The store has this certificate already.")
    return Verdict.INHERIT if disposition in _INHERITING else Verdict.REPLACE


def _is_newer(new: Element, present: Element) -> bool:
    """Whether the validity of ``new`` begins later; a time that nobody can read is before all others."""
    return (new.begin or _BEFORE_ALL) > (present.begin or _BEFORE_ALL)


class _Page(NamedTuple):
    """Rows that were read ahead: those below ``start``, newest first."""

    lookup: Lookup | None = None
    start: int | None = None
    rows: list[Row] = []  # noqa: RUF012 - never changed

    def covers(self, key: int, lookup: Lookup | None) -> bool:
        """Whether the next row below ``key`` is in it; below a page that is not full there is none."""
        if not self.rows or lookup != self.lookup or (key <= self.rows[-1].key and len(self.rows) == PAGE):
            return False
        return key <= self.rows[0].key + 1 or (self.start is not None and key <= self.start)


class Seen:
    """How far one opening of a backing knows it: change counters, moved on by its own changes.

    ``read``: at the last reading; ``watched``: when somebody last asked to be told of changes; ``lock``: one for
    all shelves of the opening.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.read = 0
        self.watched = 0

    def moved(self, before: int, after: int) -> None:
        """This opening made the change from ``before`` to ``after``."""
        self.read = after if self.read == before else self.read
        self.watched = after if self.watched == before else self.watched


class Shelf:
    """See the module.

    Args:
        backing: where it is kept, or ``None`` for memory only; the caller makes it ``read``.
        kind: CERTIFICATE, CRL or CTL.
        seen: shared by the shelves of one opening.
        read_only: whether changes are refused.
        access_state: bits of CERT_ACCESS_STATE_PROP_ID.
        whole: up to how many elements the backing is read whole.
        keeps_identity: an element carries property 3 as stored once it is here, as it does on a backing.
    """

    def __init__(
        self,
        backing: Backing | None = None,
        *,
        kind: int = CERTIFICATE,
        seen: Seen | None = None,
        read_only: bool = False,
        access_state: int = 0,
        whole: int = WHOLE,
        keeps_identity: bool = False,
    ) -> None:
        self.read_only = read_only
        self._keeps_identity = keeps_identity
        self.kind = kind
        self._seen = seen or Seen()
        self._whole = whole
        self.access_state = access_state
        self.lock = self._seen.lock
        self._backing = backing
        self._counter = itertools.count(1)
        self._keys: list[int] = []
        self._elements: dict[int, Element] = {}
        self._by_identity: dict[bytes, list[int]] = {}
        self._page = _Page()
        self._reads_on_demand = False

    # reading

    @property
    def is_backed(self) -> bool:
        """Whether something keeps the elements when the opening is over."""
        return self._backing is not None

    def read(self, look: Reading) -> None:
        """Read the backing again; elements that are still the same stay, with their contexts and handles."""
        with self.lock:
            self._page = _Page()
            count = look.count(self._whole + 1, self.kind)
            self._reads_on_demand = count > self._whole
            if self._reads_on_demand:
                rows = self._rows_in_use(look)
            else:
                rows = look.rows(None, self._whole, kind=self.kind) if count else []
            current = {row.key for row in rows}
            for key in [key for key in self._keys if key not in current]:
                self._forget(key)
            for row in reversed(rows):
                self._refresh(row)

    def _rows_in_use(self, look: Reading) -> list[Row]:
        """Of a large backing, the rows that this shelf holds elements of, if they are still there."""
        found = (look.rows(key + 1, 1, kind=self.kind) for key in reversed(self._keys))
        return [row for rows in found for row in rows if row.key in self._elements]

    def entries(self, below: int | None = None, index: Index | None = None, value: bytes = b"") -> Iterator[Entry]:
        """The elements, newest first.

        Args:
            below: only those with a place before this.
            index: leave out, where that is cheap, those that are not filed under ``value`` there.
            value: what ``index`` is asked for; the elements that come are still to be compared with it.
        """
        entry = self._below(below, index, value)
        while entry is not None:
            yield entry
            entry = self._below(entry.key, index, value)

    def find_same(self, identity: bytes) -> Entry | None:
        """The newest element with this identity."""
        entries = self.entries(None, Index.SHA1, identity)
        return next((entry for entry in entries if entry.element.identity == identity), None)

    def above_newest(self) -> int:
        """A place that is after every element."""
        entry = self._below(None, None, b"")
        return entry.key + 1 if entry else 0

    def _below(self, key: int | None, index: Index | None, value: bytes) -> Entry | None:
        with self.lock:
            keys = self._by_identity.get(value, []) if index is Index.SHA1 else self._keys
            at = len(keys) if key is None else bisect_left(keys, key)
            known = keys[at - 1] if at else None
            row = self._row_below(key, index, value) if self._reads_on_demand else None
            if row is not None and (known is None or row.key > known):
                return Entry(row.key, self._fresh(row))
            return None if known is None else Entry(known, self._elements[known])

    def _row_below(self, key: int | None, index: Index | None, value: bytes) -> Row | None:
        """The next row of the backing. Pages are read ahead; one that begins at the newest is read anew."""
        lookup = None if index is None else Lookup(index, filing.digest(value))
        if key is None or not self._page.covers(key, lookup):
            assert self._backing is not None  # only a backing is read on demand  # noqa: S101
            with self._backing.reading() as look:
                self._page = _Page(lookup, key, look.rows(key, PAGE, lookup, self.kind))
        return next((row for row in self._page.rows if key is None or row.key < key), None)

    def _fresh(self, row: Row) -> Element:
        """The element of a row: the one in use, or one that nobody holds yet."""
        known = self._elements.get(row.key)
        if known is not None:
            return known
        element = Element(row.encoded, row.properties, self.kind)
        element.home = self
        return element

    # keeping

    def keep(self, entry: Entry) -> None:
        """A context is made for this element: from now on the shelf gives out this one."""
        with self.lock:
            if entry.key not in self._elements and entry.element.home is self:
                self._place(entry)

    def let_go(self, key: int, element: Element) -> None:
        """The last context of an element is gone; one that can be read again need not be kept."""
        if not self._reads_on_demand or not self.lock.acquire(blocking=False):  # may run inside a collection of garbage
            return
        try:
            filed = self._elements.get(key) is element and element.home is self
            if filed and element.is_plain and element.held <= 1:
                self._forget(key, deleted=False)
        finally:
            self.lock.release()

    def close(self) -> None:
        """The opening is over: contexts keep their elements, the others die."""
        with self.lock:
            for key in list(self._keys):
                self._forget(key, deleted=False)

    def _place(self, entry: Entry) -> None:
        entry.element.hold()
        entry.element.watchers.append(self)
        insort(self._keys, entry.key)
        self._elements[entry.key] = entry.element
        insort(self._by_identity.setdefault(entry.element.identity, []), entry.key)

    def _forget(self, key: int, *, deleted: bool = True) -> None:
        element = self._elements.pop(key)
        self._keys.pop(bisect_left(self._keys, key))
        self._unfile(element.identity, key)
        element.watchers.remove(self)
        if deleted and element.home is self:
            element.home = None
        element.release()

    def _unfile(self, identity: bytes, key: int) -> None:
        keys = self._by_identity[identity]
        keys.remove(key)
        if not keys:
            del self._by_identity[identity]

    def _refresh(self, row: Row) -> Element:
        """The element of a row as the backing has it now, placed."""
        element = self._fresh(row)
        if row.key not in self._elements and not self._reads_on_demand:
            self._place(Entry(row.key, element))
        elif element.stored != row.properties:
            changes: dict[int, bytes | None] = dict.fromkeys(element.stored.keys() - row.properties.keys())
            changes |= {each: value for each, value in row.properties.items() if element.stored.get(each) != value}
            element.adopt(changes)
        return element

    def identity_changed(self, element: Element, before: bytes) -> None:
        """See ``model.Watcher``."""
        with self.lock:
            for key in [key for key in self._by_identity.get(before, []) if self._elements[key] is element]:
                self._unfile(before, key)
                insort(self._by_identity.setdefault(element.identity, []), key)

    # changing

    def add(self, new: Element, disposition: int) -> Entry:
        """Add a free-standing element, by the table of dispositions.

        Returns:
            the entry now in the store: ``new``, or the present one for USE_EXISTING.

        Raises:
            AccessDenied: open for reading only.
            WinError: CRYPT_E_EXISTS, E_INVALIDARG, or the database refused; nothing changed.
        """
        with self.lock:
            return insist(lambda: self._add(new, disposition))

    def _add(self, new: Element, disposition: int) -> Entry:
        lacking: dict[int, bytes] = {}
        with self._writing() as look:
            present = self._present(new.identity, look)
            verdict = decide(disposition, present.element if present else None, new)
            if present is not None and verdict is Verdict.USE:
                lacking = {each: new.stored[each] for each in new.stored if present.element.lookup(each) is None}
                if look is not None and lacking:
                    look.alter(present.element.identity, lacking, self.kind)
            else:
                key = self._put(look, new, present if verdict is Verdict.INHERIT else None)
        if present is not None and verdict is Verdict.USE:
            present.element.adopt(lacking)
            return present
        if present is not None:
            self._displace(present, keep=verdict is Verdict.ADD)
        return self._placed(Entry(key, new))

    def add_all(self, new: Sequence[Element]) -> None:
        """Add free-standing elements in one transaction; one that is there is replaced and leaves its properties.

        Raises:
            AccessDenied: open for reading only.
            WinError: the database refused; nothing changed.
        """
        with self.lock:
            if self._backing is None:
                for element in new:
                    self._add(element, AddDisposition.REPLACE_EXISTING_INHERIT_PROPERTIES)
                return
            insist(lambda: self._write(lambda look: look.put_all(self._with_heritage(new, look), self.kind)))
            with self._backing.reading() as look:
                self.read(look)

    def _with_heritage(self, new: Sequence[Element], look: Writing) -> Iterator[tuple[bytes, dict[int, bytes]]]:
        for element in new:
            row = look.get(element.identity, self.kind)
            own = {each: element.stored[each] for each in properties.storable(element.stored)}
            yield element.encoded, {**(row.properties if row else {}), **own}

    def link(self, element: Element, disposition: int, into: Shelf) -> tuple[Shelf, Entry]:
        """Show an element of another store here too, by the table of dispositions.

        Args:
            element: of another shelf, or free-standing.
            disposition: CERT_STORE_ADD_*.
            into: the shelf in memory that takes it, when this one cannot.

        Raises:
            AccessDenied: open for reading only.
            WinError: CRYPT_E_EXISTS, E_INVALIDARG, or the database refused to remove what was here.
        """
        with self.lock:
            self._write(lambda _: None)
            present = self.find_same(element.identity)
            verdict = decide(disposition, present.element if present else None, element)
            if present is not None and verdict is not Verdict.ADD:
                self._settle(present, element, verdict)
                if verdict is Verdict.USE:
                    return self, present
            return into, into.place(element)

    def place(self, element: Element) -> Entry:
        """Put an element in as the newest, in memory; it stays at home where it was."""
        with self.lock:
            entry = Entry(next(self._counter), element)
            self._place(entry)
            return entry

    def _settle(self, present: Entry, element: Element, verdict: Verdict) -> None:
        """The certificate that was there when a link to the same one came."""
        if verdict is Verdict.USE:
            giver, taker = element, present.element
        else:
            giver, taker = present.element, element
            self.remove(present)
        lacking = {each: giver.stored[each] for each in giver.stored if taker.lookup(each) is None}
        if lacking and verdict is not Verdict.REPLACE:
            taker.write(lacking)

    def load(self, items: Iterable[Item]) -> None:
        """Put in what was read from somewhere, in its order; duplicates stay."""
        with self.lock:
            for item in items:
                element = Element(item.encoded, item.properties, item.kind)
                self._placed(Entry(self._put(None, element, None), element))

    def drop(self, entry: Entry) -> None:
        """Forget an element that is not there any more where it was read from."""
        with self.lock:
            if self._elements.get(entry.key) is entry.element:
                self._forget(entry.key)

    def remove(self, entry: Entry) -> None:
        """Take an element out; one that is out already stays out.

        Raises:
            AccessDenied: open for reading only, and it is there.
            WinError: the database refused; nothing changed.
        """
        with self.lock:
            placed = self._elements.get(entry.key) is entry.element
            filed = entry.element.home is self
            if not placed and not filed:
                return
            insist(lambda: self._write(lambda look: filed and look.remove(entry.element.identity, self.kind)))
            if placed:
                self._forget(entry.key)
            if filed:
                entry.element.home = None
            self._page = _Page()

    def alter(self, element: Element, changes: Mapping[int, bytes | None]) -> None:
        """See ``model.Home``."""
        with self.lock:
            insist(lambda: self._write(lambda look: look.alter(element.identity, changes, self.kind)))
        self._page = _Page()

    def _write(self, change: Callable[[Writing], object]) -> None:
        """One transaction on the backing, if there is one."""
        with self._writing() as look:
            if look is not None:
                change(look)

    @contextmanager
    def _writing(self) -> Iterator[Writing | None]:
        """A transaction on the backing; ``None`` for a memory store."""
        if self.read_only:
            raise AccessDenied(Code.E_ACCESSDENIED, "The store is open for reading only.")
        if self._backing is None:
            yield None
            return
        with self._backing.writing() as look:
            before = look.change()
            yield look
            after = look.change()
        self._seen.moved(before, after)

    def _present(self, identity: bytes, look: Writing | None) -> Entry | None:
        """The same certificate, as it is now: the backing has the last word."""
        if look is None:
            return self.find_same(identity)
        row = look.get(identity, self.kind)
        for key in list(self._by_identity.get(identity, [])):
            if (row is None or key < row.key) and self._elements[key].home is self:
                self._forget(key)
        return None if row is None else Entry(row.key, self._refresh(row))

    def _put(self, look: Writing | None, new: Element, heir_of: Entry | None) -> int:
        """File ``new``, with the properties that it lacks from the one it replaces; the key of its place."""
        if heir_of is not None:
            new.stored = {**heir_of.element.stored, **new.stored}
        if look is None:
            if self._keeps_identity:
                new.stored.setdefault(PropId.SHA1_HASH, new.identity)
            return next(self._counter)
        row = look.put(new.encoded, {each: new.stored[each] for each in properties.storable(new.stored)}, self.kind)
        new.stored = dict(row.properties)
        return row.key

    def _displace(self, present: Entry, *, keep: bool) -> None:
        """The element that was there when the new one came: replaced, or (ADD_ALWAYS) kept beside it in memory."""
        placed = present.key in self._elements
        if not keep and placed:
            self._forget(present.key)
        elif keep and self._backing is not None:
            present.element.home = None
            if not placed:
                self._place(present)
        self._page = _Page()

    def _placed(self, entry: Entry) -> Entry:
        entry.element.home = self
        self._place(entry)
        return entry
