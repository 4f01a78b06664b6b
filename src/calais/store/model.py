"""Certificates as a store keeps them, and as a program holds them.

An *element* is a certificate with its properties and at most one cached key handle. A *context* is a program's
counted view of one element through one store. An element dies when neither an open store nor a context holds
it, and its key handle is closed with it. Sources: CERT_CONTEXT, CertDuplicateCertificateContext,
CertFreeCertificateContext, CertSetCertificateContextProperty.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, Self, TypeVar

from calais.store import bag, certificate, crl, filing
from calais.store.api import CERTIFICATE, CRL, CTL, KeyHandle
from calais.store.certificate import Outline
from calais.store.crl import CrlOutline
from calais.store.formats.items import Item
from calais.win.codes import Code
from calais.win.errors import BadParameter
from calais.win.flags import PropId
from calais.win.structs import CertInfo, CertKeyContext, CrlInfo

if TYPE_CHECKING:
    from calais.store.shelf import Shelf
    from calais.store.stores import Store

X509_ASN_ENCODING = 1


class Home(Protocol):
    """The store of a database that an element belongs to."""

    read_only: bool
    access_state: int

    def alter(self, element: Element, changes: Mapping[int, bytes | None]) -> None:
        """Persist changed properties; E_ACCESSDENIED for a read-only opening."""


class Watcher(Protocol):
    """Somebody who keeps elements by their identity."""

    def identity_changed(self, element: Element, before: bytes) -> None:
        """Property 3 of an element changed."""


class Element:
    """A certificate, CRL or CTL in one opening of a store, or free-standing.

    Args:
        encoded: DER, of one certificate or CRL exactly.
        stored: persisted properties, id to stored bytes.
        kind: which of the three; see ``items``.

    Properties come in three layers: ``volatile`` (this element only, never written; ``None`` hides what is
    below), ``stored``, and ``computed`` (kept once asked for).
    """

    def __init__(self, encoded: bytes, stored: Mapping[int, bytes] | None = None, kind: int = CERTIFICATE) -> None:
        self.encoded = encoded
        self.kind = kind
        self.stored: dict[int, bytes] = dict(stored or {})
        self.computed: dict[int, bytes] = {}
        self.volatile: dict[int, bytes | None] = {}
        self.home: Home | None = None
        self.watchers: list[Watcher] = []
        self.slot: CertKeyContext | None = None
        self.slot_owned = True
        self._holds = 0
        self._lock = threading.RLock()

    @cached_property
    def outline(self) -> Outline:
        """The parts of the certificate."""
        return certificate.parse(self.encoded)

    @cached_property
    def crl(self) -> CrlOutline:
        """The parts of the CRL."""
        return crl.parse(self.encoded)

    @property
    def begin(self) -> datetime | None:
        """From when it counts: begin of validity, or the time of this update; ``None`` when nobody can read it."""
        if self.kind == CTL:
            return None
        return self.crl.info.this_update if self.kind == CRL else self.outline.info.not_before

    @property
    def identity(self) -> bytes:
        """Property 3 if it is stored, else the SHA-1; computing it stores nothing."""
        value = self.lookup(PropId.SHA1_HASH)
        return filing.identity(self.encoded, {} if value is None else {PropId.SHA1_HASH: value})

    def lookup(self, prop_id: int) -> bytes | None:
        """The stored bytes of a property that the element has; nothing is computed."""
        if prop_id in self.volatile:
            return self.volatile[prop_id]
        return self.stored.get(prop_id, self.computed.get(prop_id))

    def listed(self) -> set[int]:
        """The ids that an enumeration lists."""
        ids = {*self.stored, *self.computed} - self.volatile.keys()
        ids.update(prop_id for prop_id, value in self.volatile.items() if value is not None)
        if self.slot is not None:
            ids.add(PropId.KEY_CONTEXT)
        return ids

    def copied(self) -> dict[int, bytes]:
        """What a copy in another store gets: all but handles and what is volatile."""
        return {**self.computed, **self.stored}

    def written(self) -> Item:
        """What is written of it into a file."""
        return Item(self.kind, self.encoded, self.copied())

    def write(self, changes: Mapping[int, bytes | None]) -> None:
        """Set or (``None``) delete persisted properties, in the database first.

        Raises:
            WinError: the database refused; nothing changed.
        """
        if self.home is not None:
            self.home.alter(self, changes)
        with self._identity_kept():
            for prop_id in changes:
                self.volatile.pop(prop_id, None)
                self.computed.pop(prop_id, None)
            self._absorb(changes)

    def adopt(self, changes: Mapping[int, bytes | None]) -> None:
        """Changes that the database has already, here too; what is volatile keeps hiding them."""
        with self._identity_kept():
            self._absorb(changes)

    def _absorb(self, changes: Mapping[int, bytes | None]) -> None:
        merged = {**self.stored, **changes}
        self.stored = {prop_id: value for prop_id, value in merged.items() if value is not None}

    def write_volatile(self, prop_id: int, value: bytes | None) -> None:
        """Set or delete a property of this element only."""
        with self._identity_kept():
            self.volatile[prop_id] = value

    def _identity_kept(self) -> _IdentityGuard:
        return _IdentityGuard(self)

    # the key handle

    def put_handle(self, context: CertKeyContext | None, *, owned: bool = True) -> None:
        """Fill or empty the slot; a displaced handle is closed unless its owner is somebody else.

        Args:
            context: handle and key spec.
            owned: whether the element closes the handle.
        """
        with self._lock:
            before, before_owned = self.slot, self.slot_owned
            self.slot, self.slot_owned = context, owned
        same = context is not None and before is not None and before.handle is context.handle
        if not same:
            _close(before, owned=before_owned)

    def keep_handle(self, context: CertKeyContext, suits: Callable[[CertKeyContext], bool]) -> CertKeyContext:
        """Fill the slot, unless a handle that suits has come into it meanwhile; what is in it now."""
        with self._lock:
            before, before_owned = self.slot, self.slot_owned
            if before is not None and suits(before):
                return before
            self.slot, self.slot_owned = context, True
        _close(before, owned=before_owned)
        return context

    def take_handle(self) -> KeyHandle | None:
        """Empty the slot and give its handle away, to be closed by the taker."""
        with self._lock:
            before, self.slot = self.slot, None
        return before.handle if before is not None and isinstance(before.handle, KeyHandle) else None

    # life

    def hold(self) -> None:
        """One more store or context holds the element."""
        with self._lock:
            self._holds += 1

    def release(self) -> None:
        """One fewer; the last one closes the key handle."""
        with self._lock:
            self._holds -= 1
            dead = self._holds == 0
        if dead:
            self.put_handle(None)

    @property
    def held(self) -> int:
        """How many stores and contexts hold it."""
        return self._holds

    @property
    def is_plain(self) -> bool:
        """Whether reading it again from the database would give the same."""
        return self.slot is None and not self.volatile and not self.computed


class _IdentityGuard:
    """Tells the watchers of an element when its identity differs after the block."""

    def __init__(self, element: Element) -> None:
        self._element = element

    def __enter__(self) -> None:
        self._before = self._element.identity

    def __exit__(self, *_: object) -> None:
        if self._element.identity != self._before:
            for watcher in list(self._element.watchers):
                watcher.identity_changed(self._element, self._before)


def _close(context: CertKeyContext | None, *, owned: bool) -> None:
    """Close the handle of a slot, once."""
    if owned and context is not None and isinstance(context.handle, KeyHandle):
        context.handle.close()


class Place(NamedTuple):
    """Where a context came from: its shelf (``None`` = none), and the element's key there."""

    shelf: Shelf | None
    key: int


class _Hold:
    """The references that a program has on one context; outlives the context object."""

    def __init__(self, element: Element, place: Place) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._element = element
        self._place = place

    def take(self) -> None:
        with self._lock:
            self.count += 1
            first = self.count == 1
        if first:
            self._element.hold()

    def give_back(self) -> None:
        with self._lock:
            self.count -= 1
            last = self.count == 0
        if last:
            self._element.release()
            if self._place.shelf is not None:
                self._place.shelf.let_go(self._place.key, self._element)

    def drop(self) -> None:
        """Give back all that is left."""
        if self.count > 0:
            self.count = 1
            self.give_back()


class Context:
    """A program's counted view of one element through one store.

    While a program holds it, the store gives out this same object. At count 0 it is released: functions refuse
    it with ERROR_INVALID_PARAMETER, attributes stay readable. Dropping the last Python reference gives back
    whatever is still counted.
    """

    encoding_type = X509_ASN_ENCODING

    def __init__(self, element: Element, store: Store, place: Place) -> None:
        self.element = element
        self.place = place
        self.run: tuple[int, ...] = ()
        self._store = store
        self._hold = _Hold(element, place)
        weakref.finalize(self, self._hold.drop).atexit = False

    @property
    def encoded(self) -> bytes:
        """The certificate or CRL, DER."""
        return self.element.encoded

    @property
    def store(self) -> Store:
        """The store it came from; the empty store for one made without."""
        return self._store

    @property
    def references(self) -> int:
        """How often the program holds it; 0 = released."""
        return self._hold.count

    def duplicate(self) -> Self:
        """The same object, count +1."""
        self._hold.take()
        return self

    def free(self) -> None:
        """Give one reference back.

        Raises:
            BadParameter: ERROR_INVALID_PARAMETER, it is released already.
        """
        if self._hold.count <= 0:
            raise BadParameter(Code.ERROR_INVALID_PARAMETER, "The context was released before.")
        self._hold.give_back()

    def release_all(self) -> None:
        """Give back all references."""
        self._hold.drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._hold.count > 0:
            self.free()

    def delete(self) -> None:
        """CertDeleteCertificateFromStore, CertDeleteCRLFromStore: out of its store; always gives one reference back.

        Raises:
            AccessDenied: the store is read-only and has it.
        """
        try:
            self._store.remove(self)
        finally:
            self.free()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.element.identity.hex()}>"


class CertificateContext(Context):
    """PCCERT_CONTEXT: one certificate in one store."""

    @property
    def info(self) -> CertInfo:
        """What the certificate says."""
        return self.element.outline.info

    def get(self, prop_id: int) -> Any:  # noqa: ANN401 - the type is the property's
        """CertGetCertificateContextProperty; see ``bag.get``."""
        return bag.get(self.element, prop_id)

    def set(self, prop_id: int, value: object, flags: int = 0) -> None:
        """CertSetCertificateContextProperty; see ``bag.set_value``."""
        bag.set_value(self.element, prop_id, value, flags)


class CRLContext(Context):
    """PCCRL_CONTEXT: one CRL in one store."""

    @property
    def info(self) -> CrlInfo:
        """What the CRL says about itself."""
        return self.element.crl.info


C = TypeVar("C", bound=Context)


class Kind(NamedTuple, Generic[C]):
    """One kind of element: the id of its record, and what a program holds of it."""

    number: int
    context: type[C]


CERTIFICATES: Kind[CertificateContext] = Kind(CERTIFICATE, CertificateContext)
CRLS: Kind[CRLContext] = Kind(CRL, CRLContext)
CTLS: Kind[Context] = Kind(CTL, Context)
