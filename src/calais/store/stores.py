"""Open stores: counted, iterable, and the way to their contexts.

A ``Store`` is one physical store; a ``Collection`` shows several as one. Sources: CertOpenStore, CertCloseStore,
CertEnumCertificatesInStore, CertAddStoreToCollection.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from calais.store.api import Index
from calais.store.model import CertificateContext, Element, Place
from calais.store.shelf import Entry, Shelf, decide
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadParameter, WinError
from calais.win.flags import (
    CERT_CLOSE_STORE_CHECK_FLAG,
    CERT_CLOSE_STORE_FORCE_FLAG,
    CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG,
    PropId,
)


@dataclass(frozen=True)
class Query:
    """Which certificates a find means.

    Args:
        match: decides about each one that is looked at.
        archived_too: archived ones count.
        index: look only at those filed under ``value`` there; none = all.
        value: what is looked for in ``index``.
    """

    match: Callable[[Element], bool]
    archived_too: bool = False
    index: Index | None = None
    value: bytes = b""


EVERY = Query(lambda _: True)


class Store:
    """HCERTSTORE: an open store.

    Iterating gives each certificate with a reference of its own. ``close`` gives one reference of the store back;
    contexts outlive it.

    Args:
        shelf: the elements of this opening.
        shows_archived: whether archived certificates take part in enumeration and every find.
    """

    def __init__(self, shelf: Shelf | None = None, *, shows_archived: bool = False) -> None:
        self.shows_archived = shows_archived
        self.references = 1
        self._shelf = shelf or Shelf()
        self._contexts: weakref.WeakValueDictionary[Place, CertificateContext] = weakref.WeakValueDictionary()
        weakref.finalize(self, self._shelf.close).atexit = False

    # what it is made of

    def shelves(self) -> Iterator[Shelf]:
        """The physical stores behind it, in the order of enumeration."""
        yield self._shelf

    def shelf_for_adding(self) -> Shelf:
        """Where a certificate goes that is in none of them."""
        return self._shelf

    def resync(self) -> None:
        """Read the backing store again."""
        for shelf in self.shelves():
            shelf.resync()

    def is_current(self) -> bool:
        """Whether nobody else has changed the backing store since it was read."""
        return all(shelf.is_current() for shelf in self.shelves())

    # references

    @property
    def is_open(self) -> bool:
        """Whether a reference is left."""
        return self.references > 0

    def duplicate(self) -> Store:
        """The same object, count +1."""
        self.references += 1
        return self

    def close(self, flags: int = 0) -> None:
        """Give one reference back; at the last one the store is closed. Once closed, nothing happens.

        Args:
            flags: CERT_CLOSE_STORE_FORCE_FLAG, at the last reference releases its contexts; CERT_CLOSE_STORE_CHECK_FLAG, says whether
                any are left.

        Raises:
            WinError: CRYPT_E_PENDING_CLOSE, the reference is closed, but contexts or other references are out.
        """
        if not self.is_open:
            return
        self.references -= 1
        if not self.references and flags & CERT_CLOSE_STORE_FORCE_FLAG:
            for context in list(self._contexts.values()):
                context.release_all()
        pending = self.references > 0 or any(context.references for context in self._contexts.values())
        if not self.references:
            self._close_last()
        if pending and flags & CERT_CLOSE_STORE_CHECK_FLAG:
            detail = "The store is closed for this reference; others, or certificates of it, are still held."
            raise WinError(Code.CRYPT_E_PENDING_CLOSE, detail)

    def _close_last(self) -> None:
        self._shelf.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # contexts

    def context_for(self, shelf: Shelf, entry: Entry) -> CertificateContext:
        """The context of this element: the one in use, count +1, or a new one."""
        place = Place(shelf, entry.key)
        with shelf.lock:
            shelf.keep(entry)
            context = self._contexts.get(place)
            if context is None or not context.references or context.element is not entry.element:
                context = CertificateContext(entry.element, self, place)
                self._contexts[place] = context
            return context.duplicate()

    # certificates

    def add(self, encoded: bytes, stored: dict[int, bytes] | None, disposition: int) -> CertificateContext:
        """Add a certificate, by the table of dispositions.

        Args:
            encoded: DER of one certificate exactly.
            stored: its properties, id to stored bytes.
            disposition: CERT_STORE_ADD_*.

        Returns:
            the store's context of it.

        Raises:
            AccessDenied, WinError: see ``Shelf.add``.
        """
        new = Element(encoded, stored)
        shelf = self._shelf_of_same(new.identity) or self.shelf_for_adding()
        return self.context_for(shelf, shelf.add(new, disposition))

    def _shelf_of_same(self, identity: bytes) -> Shelf | None:  # noqa: ARG002
        return None

    def remove(self, context: CertificateContext) -> None:
        """Take a certificate out of the store; see ``Shelf.remove``."""
        if context.place.shelf is not None:
            context.place.shelf.remove(Entry(context.place.key, context.element))

    def next(self, previous: CertificateContext | None = None, query: Query = EVERY) -> CertificateContext | None:
        """The next certificate after ``previous``, newest first.

        Args:
            previous: where the run is; not released by this. ``None`` begins a run.
            query: which certificates count. Archived ones do only where it or the store says so.
        """
        shelves = list(self.shelves())
        at, below, run = self._resume(shelves, previous)
        for number, shelf in enumerate(shelves[at:], at):
            for entry in shelf.entries(below, query.index, query.value):
                if self._counts(entry.element, query):
                    context = self.context_for(shelf, entry)
                    context.run = run
                    return context
            below = run[number + 1] if number + 1 < len(run) else None
        return None

    def _resume(
        self, shelves: list[Shelf], previous: CertificateContext | None
    ) -> tuple[int, int | None, tuple[int, ...]]:
        """Number of the shelf to go on in, the key to stay below there, and where the run began in each shelf.

        What was added to a later shelf after the run began is not visited. In one shelf the order sees to that.
        """
        run = previous.run if previous is not None else ()
        if len(run) != len(shelves) and len(shelves) > 1:
            run = tuple(shelf.above_newest() for shelf in shelves)
        if previous is None:
            return 0, None, run
        place = previous.place
        at = next((number for number, shelf in enumerate(shelves) if shelf is place.shelf), len(shelves))
        return at, place.key, run

    def _counts(self, element: Element, query: Query) -> bool:
        shown = self.shows_archived or query.archived_too or element.lookup(PropId.ARCHIVED) is None
        return shown and query.match(element)

    def run(self, query: Query = EVERY) -> Iterator[CertificateContext]:
        """Every certificate that counts, newest first; each with a reference of its own."""
        context = self.next(None, query)
        while context is not None:
            yield context
            context = self.next(context, query)

    def __iter__(self) -> Iterator[CertificateContext]:
        return self.run()


@dataclass(eq=False)
class Member:
    """One store of a collection: its flags (CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG) and priority."""

    store: Store
    flags: int
    priority: int


class Collection(Store):
    """Several stores shown as one: by falling priority, equal ones in the order they were added."""

    def __init__(self, *, shows_archived: bool = False) -> None:
        super().__init__(shows_archived=shows_archived)
        self.members: list[Member] = []

    def shelves(self) -> Iterator[Shelf]:
        """See ``Store``."""
        for member in self.members:
            yield from member.store.shelves()

    def shelf_for_adding(self) -> Shelf:
        """That of the first member that takes additions.

        Raises:
            AccessDenied: none does.
        """
        for member in self.members:
            if member.flags & CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG:
                return member.store.shelf_for_adding()
        raise AccessDenied(Code.E_ACCESSDENIED, "No store of this collection takes additions.")

    def _shelf_of_same(self, identity: bytes) -> Shelf | None:
        return next((shelf for shelf in self.shelves() if shelf.find_same(identity)), None)

    def include(self, store: Store, flags: int = 0, priority: int = 0) -> None:
        """Show ``store`` too; the collection keeps a reference of its own.

        Args:
            store: the member.
            flags: CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG = additions go there.
            priority: higher ones come first.

        Raises:
            BadParameter: E_INVALIDARG, the store would contain itself.
        """
        if store is self or (isinstance(store, Collection) and self in store.all_members()):
            raise BadParameter(Code.E_INVALIDARG, "A collection cannot be its own member.")
        self.members.append(Member(store.duplicate(), flags, priority))
        self.members.sort(key=lambda member: -member.priority)

    def all_members(self) -> list[Store]:
        """The members, and theirs."""
        direct = [member.store for member in self.members]
        return direct + [each for store in direct if isinstance(store, Collection) for each in store.all_members()]

    def exclude(self, store: Store) -> None:
        """No longer show ``store``; nothing happens when it is not a member."""
        for member in [member for member in self.members if member.store is store][:1]:
            self.members.remove(member)
            member.store.close()

    def _close_last(self) -> None:
        members, self.members = self.members, []
        for member in members:
            member.store.close()


class EmptyStore(Store):
    """The store of certificates made without one: it stays empty, whatever is added, and cannot be closed."""

    def free_standing(self, encoded: bytes, stored: dict[int, bytes] | None = None) -> CertificateContext:
        """A context that is in no store."""
        return CertificateContext(Element(encoded, stored), self, Place(None, 0)).duplicate()

    def add(self, encoded: bytes, stored: dict[int, bytes] | None, disposition: int) -> CertificateContext:
        """A free-standing context; nothing is stored."""
        decide(disposition, None, Element(encoded))
        return self.free_standing(encoded, stored)

    def close(self, flags: int = 0) -> None:  # noqa: ARG002
        """Refused.

        Raises:
            WinError: E_UNEXPECTED.
        """
        raise WinError(Code.E_UNEXPECTED, "This store belongs to the certificates that are in no store.")


EMPTY = EmptyStore()
