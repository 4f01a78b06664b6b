"""Open stores: counted, iterable, and the way to their contexts.

A ``Store`` is one physical store: a shelf for each kind of element, and the source behind it, if there is one.
Sources: CertOpenStore, CertCloseStore, CertEnumCertificatesInStore, CertAddCertificateLinkToStore,
CertSetStoreProperty. Several shown as one: ``collections``.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from calais.store.api import CERTIFICATE, Index
from calais.store.formats.items import KINDS, Item
from calais.store.model import CERTIFICATES, C, CertificateContext, Context, Element, Kind, Place
from calais.store.shelf import Entry, Shelf, decide
from calais.store.sources import Source
from calais.store.watch import Watch
from calais.win.codes import Code
from calais.win.errors import BadParameter, WinError
from calais.win.flags import (
    CERT_CLOSE_STORE_CHECK_FLAG,
    CERT_CLOSE_STORE_FORCE_FLAG,
    PropId,
)

_LOG: Final = logging.getLogger(__name__)


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

    Iterating gives each certificate with a reference of its own. ``close`` and ``give_back`` give one reference
    of the store back; contexts outlive it.

    Args:
        shelves: the elements of this opening, by kind; a new memory store without.
        shows_archived: whether archived certificates take part in enumeration and every find.
        source: what is behind the shelves, ``None`` = nothing.
        access_state: bits of CERT_ACCESS_STATE_PROP_ID.
    """

    def __init__(
        self,
        shelves: Mapping[int, Shelf] | None = None,
        *,
        shows_archived: bool = False,
        source: Source | None = None,
        access_state: int = 0,
    ) -> None:
        self.shows_archived = shows_archived
        self.references = 1
        self.source = source
        self.watch = None if source is None else Watch(source)
        self.resyncs_itself = False
        self.access_state = access_state
        self.properties: dict[int, bytes | str] = {}
        self._shelves = dict(shelves or {kind: Shelf(kind=kind) for kind in KINDS})
        self._links: Shelf | None = None
        self._contexts: weakref.WeakValueDictionary[Place, Context] = weakref.WeakValueDictionary()
        weakref.finalize(self, _let_go, self._shelves, self.watch).atexit = False

    # what it is made of

    def shelves(self, kind: int = CERTIFICATE) -> Iterator[Shelf]:
        """The elements of one kind in the physical stores behind it, in the order of enumeration."""
        if self._links is not None and kind == CERTIFICATE:
            yield self._links
        yield self._shelves[kind]

    def shelf_for_adding(self, kind: int = CERTIFICATE) -> Shelf:
        """Where an element goes that is in none of them."""
        return self._shelves[kind]

    def parts(self) -> Iterator[Store]:
        """The physical stores behind it."""
        yield self

    def items(self) -> list[Item]:
        """Everything in it as it is written: certificates, CRLs, CTLs, each in the order added."""
        return [entry.element.written() for kind in KINDS for shelf in self._oldest_first(kind) for entry in shelf]

    def _oldest_first(self, kind: int) -> list[list[Entry]]:
        return [list(shelf.entries())[::-1] for shelf in self.shelves(kind)]

    def resync(self) -> None:
        """Read what is behind the store again; nothing happens where nothing is."""
        for part in self.parts():
            if part.source is not None:
                part.source.resync()

    def is_current(self) -> bool:
        """Whether nobody else has changed what is behind the store since it was read."""
        return all(part.source is None or part.source.is_current() for part in self.parts())

    # references

    @property
    def is_open(self) -> bool:
        """Whether a reference is left."""
        return self.references > 0

    def duplicate(self) -> Self:
        """The same object, count +1."""
        self.references += 1
        return self

    def close(self) -> None:
        """Give one reference back without ever raising.

        A file that should be written and could not be is told to the log, where it reaches the standard error
        stream unless the program decides otherwise; CertCloseStore and CERT_STORE_CTRL_COMMIT raise it.
        """
        try:
            self.give_back()
        except WinError as error:
            _LOG.error("A store was closed, and its changes are lost: %s", ascii(str(error))[1:-1])

    def give_back(self, flags: int = 0) -> None:
        """Give one reference back; at the last one the store is closed. Once closed, nothing happens.

        Args:
            flags: CERT_CLOSE_STORE_FORCE_FLAG, at the last reference releases its contexts;
                CERT_CLOSE_STORE_CHECK_FLAG, says whether any are left.

        Raises:
            WinError: CRYPT_E_PENDING_CLOSE, the reference is closed, but contexts or other references are out;
                a file that should be written could not be.
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
        try:
            if self.source is not None:
                self.source.commit()
        finally:
            _let_go(self._shelves, self.watch)
            if self._links is not None:
                self._links.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # contexts

    def context_for(self, kind: Kind[C], shelf: Shelf, entry: Entry) -> C:
        """The context of this element: the one in use, count +1, or a new one."""
        place = Place(shelf, entry.key)
        with shelf.lock:
            shelf.keep(entry)
            known = self._contexts.get(place)
            if isinstance(known, kind.context) and known.references and known.element is entry.element:
                return known.duplicate()
            context = kind.context(entry.element, self, place)
            self._contexts[place] = context
            return context.duplicate()

    # elements

    def add(self, encoded: bytes, stored: dict[int, bytes] | None, disposition: int) -> CertificateContext:
        """Add a certificate; see ``put``."""
        return self.put(CERTIFICATES, encoded, stored, disposition)

    def put(self, kind: Kind[C], encoded: bytes, stored: dict[int, bytes] | None, disposition: int) -> C:
        """Add an element, by the table of dispositions.

        Args:
            kind: what it is.
            encoded: DER of one certificate or CRL exactly.
            stored: its properties, id to stored bytes.
            disposition: CERT_STORE_ADD_*.

        Returns:
            the store's context of it.

        Raises:
            AccessDenied, WinError: see ``Shelf.add``.
        """
        new = Element(encoded, stored, kind.number)
        decide(disposition, None, new)
        shelf = self._shelf_of_same(new, disposition) or self.shelf_for_adding(kind.number)
        return self.context_for(kind, shelf, shelf.add(new, disposition))

    def _shelf_of_same(self, new: Element, disposition: int) -> Shelf | None:  # noqa: ARG002
        return None

    def link(self, element: Element, disposition: int) -> CertificateContext:
        """Show a certificate of another store here too: with the same properties, not with copies.

        A link lives as long as this opening; what is behind the store does not learn of it.

        Raises:
            BadParameter: E_INVALIDARG, no such disposition.
            WinError: see ``Shelf.add``.
        """
        shelf = into = self._shelves[CERTIFICATE]
        if shelf.is_backed:
            self._links = into = self._links or Shelf()
            shelf = into if into.find_same(element.identity) else shelf
        return self.context_for(CERTIFICATES, *shelf.link(element, disposition, into))

    def remove(self, context: Context) -> None:
        """Take an element out of the store; see ``Shelf.remove``."""
        if context.place.shelf is not None:
            context.place.shelf.remove(Entry(context.place.key, context.element))

    def next(self, previous: CertificateContext | None = None, query: Query = EVERY) -> CertificateContext | None:
        """The next certificate after ``previous``, newest first; see ``step``."""
        return self.step(CERTIFICATES, previous, query)

    def step(self, kind: Kind[C], previous: C | None = None, query: Query = EVERY) -> C | None:
        """The next element after ``previous``, newest first.

        Args:
            kind: of which kind.
            previous: where the run is; not released by this. ``None`` begins a run.
            query: which ones count. Archived ones do only where it or the store says so.
        """
        if previous is None:
            self._resync_itself()
        shelves = list(self.shelves(kind.number))
        at, below, run = self._resume(shelves, previous)
        for number, shelf in enumerate(shelves[at:], at):
            for entry in shelf.entries(below, query.index, query.value):
                if self._counts(entry.element, query):
                    context = self.context_for(kind, shelf, entry)
                    context.run = run
                    return context
            below = run[number + 1] if number + 1 < len(run) else None
        return None

    def _resync_itself(self) -> None:
        """CERT_STORE_CTRL_AUTO_RESYNC, where it was asked for."""
        for part in self.parts():
            if part.resyncs_itself and part.source is not None and not part.source.is_current():
                part.source.resync()

    def _resume(self, shelves: list[Shelf], previous: Context | None) -> tuple[int, int | None, tuple[int, ...]]:
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
        if not self.is_open:
            raise BadParameter(Code.ERROR_INVALID_PARAMETER, "The store was closed before.")
        return self.run()


def _let_go(shelves: Mapping[int, Shelf], watch: Watch | None) -> None:
    """The opening is over."""
    if watch is not None:
        watch.close()
    for shelf in shelves.values():
        shelf.close()


class EmptyStore(Store):
    """The store of certificates made without one: it stays empty, whatever is added, and cannot be closed."""

    def free_standing(self, encoded: bytes, stored: dict[int, bytes] | None = None) -> CertificateContext:
        """The context of a certificate that is in no store."""
        return self.alone(CERTIFICATES, Element(encoded, stored))

    def alone(self, kind: Kind[C], element: Element) -> C:
        """A context that is in no store."""
        return kind.context(element, self, Place(None, 0)).duplicate()

    def put(self, kind: Kind[C], encoded: bytes, stored: dict[int, bytes] | None, disposition: int) -> C:
        """A free-standing context; nothing is stored."""
        element = Element(encoded, stored, kind.number)
        decide(disposition, None, element)
        return self.alone(kind, element)

    def link(self, element: Element, disposition: int) -> CertificateContext:
        """A free-standing view of the same element; nothing is stored."""
        decide(disposition, None, element)
        return self.alone(CERTIFICATES, element)

    def close(self) -> None:
        """Nothing to close."""

    def give_back(self, flags: int = 0) -> None:  # noqa: ARG002
        """Refused.

        Raises:
            WinError: E_UNEXPECTED.
        """
        raise WinError(Code.E_UNEXPECTED, "This store belongs to the certificates that are in no store.")


EMPTY = EmptyStore()
