"""A PIV card in the hands of a person: slots by name, the management key, Yubico's rules for PIN and touch."""

from __future__ import annotations

from typing import ClassVar

from calais.cards.piv import newcontainers, spec, writing
from calais.cards.piv.view import CardView
from calais.minidriver.administration import Administration, Erased, KeyOrder
from calais.minidriver.api import ContainerEntry
from calais.minidriver.pins import Role
from calais.win.errors import BadParameter


class PivAdministration(Administration):
    """See ``Administration``."""

    view: CardView
    changed_by: ClassVar[int] = Role.ADMIN
    write_policy: ClassVar[str] = "piv.write"
    has_fixed_places: ClassVar[bool] = True
    key_algorithms: ClassVar[tuple[str, ...]] = tuple(writing.ALGORITHM_NAMES)

    def place(self, text: str) -> int | None:
        """The index of the slot ``text`` (``"9A"``, ``"82"``)."""
        for index, slot in enumerate(spec.SLOTS):
            if slot.name == text.upper():
                return index
        raise BadParameter(detail=f"PIV has no slot {text!r}", next_step="Slots are 9A, 9C, 9D, 9E and 82 to 95")

    def make_key(self, index: int | None, order: KeyOrder) -> int:
        """Make or load a key over the one that was there. A container that waits for its first key is put into a slot
        that serves ``order.purpose``; any other has the purpose of its slot.
        """
        if index is None or order.name is not None:
            raise BadParameter(detail="the name of a PIV key is that of its slot")
        if order.key is None and order.algorithm not in self.key_algorithms:
            known = ", ".join(self.key_algorithms)
            raise BadParameter(detail=f"PIV has no keys {order.algorithm!r}", next_step=f"there are: {known}")
        index = newcontainers.fitting(self.view, index, order)
        slot = writing.writable_slot(self.view, index)
        rules = {"pin_policy": order.pin_policy, "touch_policy": order.touch_policy}
        if order.key is not None:
            writing.import_key(self.view, slot, order.key, **rules)
        else:
            writing.generate_key(self.view, slot, writing.ALGORITHM_NAMES[order.algorithm], **rules)
        return index

    @property
    def admits_user(self) -> bool:
        """Whether there is a management key that the user may use; up to two exchanges."""
        return newcontainers.admits_user(self.view)

    def admit_user(self) -> None:
        """With the PIN presented, authenticate by the management key that the card keeps for its user."""
        newcontainers.admit_user(self.view)

    def new_container(self, name: str | None) -> ContainerEntry:
        """In the slot that is called ``name``, else in the first that is free."""
        return newcontainers.new_container(self.view, name)

    def remove_container(self, index: int) -> None:
        """Certificate, key, and the record of the container map."""
        newcontainers.remove_container(self.view, index)

    def erase(self, index: int, *, key: bool, certificate: bool) -> Erased:
        """Delete what is asked for and nothing else; of both the certificate goes first."""
        writing.erase(self.view, index, key=key, certificate=certificate)
        return Erased(key, certificate)
