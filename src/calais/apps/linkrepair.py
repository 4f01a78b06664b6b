"""Writing the link of a certificate to its key anew: what ``certutil -repairstore`` does.

``plan`` decides, and is pure; ``apply`` writes property 2, drops the mark of an earlier attempt (property 103), and
leaves every other property as it is. Keys are found by their public half, never by a name, and no PIN is asked for.

Source: Microsoft, certutil (-repairstore); CRYPT_KEY_PROV_INFO (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from calais.apps.links import (
    CardSeen,
    ContainerSeen,
    Pair,
    container_fault,
    holding,
    named_by,
    provider_fault,
    public_key_of,
)
from calais.provider.links import link_to
from calais.store.objects import Certificate
from calais.win.errors import WinError
from calais.win.flags.crypt32 import PropId
from calais.win.structs import CryptKeyProvInfo


class Outcome(StrEnum):
    """What happens, or happened, to a link."""

    WHOLE = "whole"
    LINKED = "linked"
    RELINKED = "relinked"
    KEYLESS = "keyless"
    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Repair:
    """What is to be done about one certificate.

    Attributes:
        outcome: ``whole`` nothing; ``linked`` there was no link; ``relinked`` there was a wrong one; ``keyless`` no
            link and no key, nothing to do; ``missing`` the link is broken and no inserted card has the key; ``failed``
            the store refused.
        reason: one sentence for a person.
        link: the link that is written, or the one that is there.
        where: the card with the key, and what it calls the key.
    """

    outcome: Outcome
    reason: str
    link: CryptKeyProvInfo | None
    where: Pair | None = None

    @property
    def writes(self) -> bool:
        """Whether the store is to be changed."""
        return self.outcome in (Outcome.LINKED, Outcome.RELINKED)


def plan(
    certificate: bytes, link: CryptKeyProvInfo | None, cards: Sequence[CardSeen], providers: Sequence[str] = ()
) -> Repair:
    """What to do about the link of a certificate.

    Args:
        certificate: DER.
        link: what the store has.
        cards: every card that is inserted, with all its containers.
        providers: names of the providers that exist.
    """
    held = holding(public_key_of(certificate), cards)
    if not held:
        return _without_key(link, cards)
    named = named_by(link, cards) if link is not None and provider_fault(link, providers) is None else []
    if link is not None and named and named[0] in held and container_fault(link, named[0][1]) is None:
        return Repair(Outcome.WHOLE, "the link leads to the key", link, named[0])
    best = next((pair for pair in held if pair in named), held[0])
    new = _link_for(best[1], link)
    note = "" if best[0].has_stable_names else "; this card gives its keys new names each time"
    if link is None:
        return Repair(Outcome.LINKED, f"there was no link{note}", new, best)
    return Repair(Outcome.RELINKED, _fault(link, named, held, providers) + note, new, best)


def _without_key(link: CryptKeyProvInfo | None, cards: Sequence[CardSeen]) -> Repair:
    unread = "; ".join(f"the card in {card.reader} cannot be read: {card.problem}" for card in cards if card.problem)
    reason = "no inserted card has its key" if cards else "no card is inserted"
    reason = f"{reason}; {unread}" if unread else reason
    return Repair(Outcome.KEYLESS if link is None else Outcome.MISSING, reason, link)


def _link_for(container: ContainerSeen, old: CryptKeyProvInfo | None) -> CryptKeyProvInfo:
    """A link of the kind that there was; without one, RSA keys are CryptoAPI's, which has no others."""
    is_cng = not container.is_rsa or (old is not None and old.prov_type == 0)
    return link_to(container.name, container.key_spec, ncrypt=is_cng)


def _fault(link: CryptKeyProvInfo, named: Sequence[Pair], held: Sequence[Pair], providers: Sequence[str]) -> str:
    """What was wrong with a link."""
    fault = provider_fault(link, providers)
    if fault is None and named and named[0] in held:
        fault = container_fault(link, named[0][1])
    if fault is not None:
        return fault.cause
    return "it named a container with another key" if named else "it named a container that no inserted card has"


def apply(certificate: Certificate, repair: Repair) -> Repair:
    """Write the link of a plan, if it is to be written; a store that refuses is the outcome."""
    if not repair.writes:
        return repair
    try:
        certificate.set(PropId.KEY_PROV_INFO, repair.link)
        if certificate.get(PropId.KEY_REPAIR_ATTEMPTED) is not None:
            certificate.set(PropId.KEY_REPAIR_ATTEMPTED, None)
    except WinError as error:
        return Repair(Outcome.FAILED, str(error), certificate.key_prov_info, repair.where)
    return repair
