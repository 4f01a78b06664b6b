"""What a change that was cut off leaves on a card, and how it is put in order: ``orphans`` names it, ``repair`` acts.

A card is pulled out in the middle of a change sooner or later. Drivers write in an order in which nothing is lost by
that, but something may be left that belongs to nothing. It has a name, and the next run completes or removes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from calais.minidriver.injection import absent


class OrphanKind(StrEnum):
    """What is left without what it belongs to."""

    KEY_WITHOUT_CERTIFICATE = "key without certificate"
    KEY_WITHOUT_CONTAINER = "key without container"
    CONTAINER_WITHOUT_KEY = "container without key"
    CERTIFICATE_WITHOUT_KEY = "certificate without key"
    CERTIFICATE_OF_ANOTHER_KEY = "certificate of another key"
    CERTIFICATE_WITHOUT_CONTAINER = "certificate without container"
    CERTIFICATE_NOT_LISTED = "certificate that no list names"
    RECORDS_DIFFER = "records that do not agree"


@dataclass(frozen=True, slots=True)
class Orphan:
    """One thing that belongs to nothing.

    ``index``: of the container; ``where``: the card's own name of the place (PIV ``"9A"``); ``detail``: a sentence for
    a person; ``repaired_by``: what ``repair`` does about it, ``""`` = it leaves that to a person.
    """

    kind: OrphanKind
    index: int
    where: str
    detail: str
    repaired_by: str = ""


class Bookkeeping:
    """What a driver can say and do about orphans; by default it knows of none."""

    def move_counters(self, *, pins: bool = False, containers: bool = False, files: bool = False) -> None:
        """Move counters of ``cardcf`` before something of the named kinds changes; nothing where the card, or the
        driver, keeps them by itself.

        Raises:
            NotAuthenticated: neither PIN nor administrator's key was presented.
        """

    def orphans(self) -> list[Orphan]:
        """What belongs to nothing, in order of container index; asks the card thoroughly, so it costs exchanges."""
        return []

    def repair(self, *, remove: bool = False) -> list[Orphan]:  # noqa: ARG002
        """Complete or remove orphans; wants the right to change the card.

        Args:
            remove: also delete keys that nothing belongs to, for ever.

        Returns: what was found, also what was left to a person.

        Raises:
            Unsupported: the driver cannot, or the card is read-only.
            NotAuthenticated: administrator's key or PIN was not presented.
        """
        absent("repairing")
