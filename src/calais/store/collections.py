"""Several stores shown as one. Source: CertAddStoreToCollection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from calais.store.api import CERTIFICATE
from calais.store.model import CertificateContext, Element
from calais.store.shelf import Shelf
from calais.store.stores import EMPTY, Store
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadParameter
from calais.win.flags import CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG, AddDisposition


@dataclass(eq=False)
class Member:
    """One store of a collection: its flags (CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG) and priority."""

    store: Store
    flags: int
    priority: int


class Collection(Store):
    """Several stores shown as one: by falling priority, equal ones in the order they were added."""

    def __init__(self, *, shows_archived: bool = False, access_state: int = 0) -> None:
        super().__init__(shows_archived=shows_archived, access_state=access_state)
        self.members: list[Member] = []

    def shelves(self, kind: int = CERTIFICATE) -> Iterator[Shelf]:
        """See ``Store``."""
        for member in self.members:
            yield from member.store.shelves(kind)

    def parts(self) -> Iterator[Store]:
        """See ``Store``."""
        for member in self.members:
            yield from member.store.parts()

    def shelf_for_adding(self, kind: int = CERTIFICATE) -> Shelf:
        """That of the first member that takes additions.

        Raises:
            AccessDenied: none does.
        """
        for member in self.members:
            if member.flags & CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG:
                return member.store.shelf_for_adding(kind)
        raise AccessDenied(Code.E_ACCESSDENIED, "No store of this collection takes additions.")

    def _shelf_of_same(self, new: Element, disposition: int) -> Shelf | None:
        """Where the same certificate is already, whatever the flags of that member; ADD_ALWAYS does not ask."""
        if disposition == AddDisposition.ALWAYS:
            return None
        return next((shelf for shelf in self.shelves(new.kind) if shelf.find_same(new.identity)), None)

    def link(self, element: Element, disposition: int) -> CertificateContext:  # noqa: ARG002
        """Refused.

        Raises:
            BadParameter: E_INVALIDARG.
        """
        raise BadParameter(Code.E_INVALIDARG, "A collection takes no links.")

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
        if store is EMPTY:
            return  # it has nothing to show, and nobody closes it
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
            member.store.give_back()

    def _close_last(self) -> None:
        with ExitStack() as closing:
            for member in self.members[::-1]:
                closing.callback(member.store.give_back)
            self.members = []
