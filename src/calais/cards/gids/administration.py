"""A GIDS card in the hands of a person: containers by name, key reference or number, made and deleted with the PIN."""

from __future__ import annotations

from typing import ClassVar

from calais.cards.gids import bookkeeping, filesystem, keeping, listing
from calais.cards.gids.bookkeeping import NewContainer
from calais.cards.gids.initialise import initialise
from calais.cards.gids.keys import BITS_OF
from calais.cards.gids.policy import WRITE
from calais.cards.gids.spec import Algorithm
from calais.cards.gids.view import CardView
from calais.minidriver.administration import NEW_PLACE, Administration, Erased, KeyOrder, KeyPurpose
from calais.minidriver.api import ContainerEntry
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE
from calais.minidriver.pins import Pin, Role
from calais.win.errors import BadParameter

ALGORITHM_NAMES = {
    "RSA1024": Algorithm.RSA_1024,
    "RSA2048": Algorithm.RSA_2048,
    "RSA3072": Algorithm.RSA_3072,
    "RSA4096": Algorithm.RSA_4096,
    "P256": Algorithm.P256,
    "P384": Algorithm.P384,
    "P521": Algorithm.P521,
}


class GidsAdministration(Administration):
    """See ``Administration``."""

    view: CardView
    changed_by: ClassVar[int] = Role.USER
    write_policy: ClassVar[str] = WRITE
    key_algorithms: ClassVar[tuple[str, ...]] = tuple(ALGORITHM_NAMES)

    def place(self, text: str) -> int | None:
        """A container by its name, its key reference (``"81"``) or its index (``"0"``); ``new`` = one to be made.

        An index may be one past the last, so that maps have no gaps.
        """
        wanted = text.strip().casefold()
        if wanted == NEW_PLACE:
            return None
        found = listing.containers(self.view, probe_keys=True)
        for entry in found:
            if wanted in (entry.name.casefold(), entry.reference.casefold()):
                return entry.index
        if wanted.isascii() and wanted.isdigit() and int(wanted) <= len(self.view.container_map()):
            return int(wanted)
        known = ", ".join(entry.reference for entry in found) or "none"
        raise BadParameter(
            detail=f"the card has no container {text!r}",
            next_step=f"There are: {known}. One that is yet to be made is called new",
        )

    def make_key(self, index: int | None, order: KeyOrder) -> int:
        """Make or load a key, its record in both maps, and move the counters; see ``bookkeeping.add_container``."""
        if order.pin_policy or order.touch_policy:
            raise BadParameter(detail="a GIDS key has no PIN or touch policy of its own")
        if order.key is None and order.algorithm not in ALGORITHM_NAMES:
            known = ", ".join(ALGORITHM_NAMES)
            raise BadParameter(detail=f"GIDS has no keys {order.algorithm!r}", next_step=f"there are: {known}")
        size = BITS_OF[ALGORITHM_NAMES[order.algorithm]] if order.key is None else 0
        wanted = NewContainer(self._key_spec(index, order.purpose), size, order.key, order.name, index)
        return bookkeeping.add_container(self.view, wanted)[0]

    def new_container(self, name: str | None) -> ContainerEntry:
        """A record of the container map, and a free one of the key map."""
        return listing.container(self.view, bookkeeping.name_container(self.view, name))

    def _key_spec(self, index: int | None, purpose: KeyPurpose) -> int:
        """As wanted; by default what the container is for already, and exchange for a new one."""
        if purpose is KeyPurpose.DEFAULT:
            return AT_KEYEXCHANGE if index is None else listing.key_spec_of(listing.map_record(self.view, index))
        return AT_SIGNATURE if purpose is KeyPurpose.SIGNATURE else AT_KEYEXCHANGE

    def erase(self, index: int, *, key: bool, certificate: bool) -> Erased:
        """A container goes with its key, and its certificate with the container."""
        entry = listing.container(self.view, index)
        if key:
            bookkeeping.remove_container(self.view, index)
            return Erased(key=True, certificate=entry.has_certificate)
        if certificate:
            bookkeeping.delete_certificate(self.view, index)
        return Erased(key=False, certificate=certificate)

    def initialise(self, pin: Pin, admin_key: bytes | None, card_id: bytes) -> None:
        """See ``initialise``; the card has another identity afterwards."""
        filesystem.refuse_read_only(self.view)
        memo = self.view.memo
        try:
            initialise(self.view.tx, pin=pin, admin_key=admin_key, card_id=card_id)
        finally:
            driver, atr, shelf = memo.driver, self.view.tx.channel.transport.atr, memo.shelf
            memo.forget()
            memo.driver = driver
            if shelf is not None:
                shelf.drop(keeping.KIND, keeping.mark(atr, card_id), atr)
        self.view.prove_card()
