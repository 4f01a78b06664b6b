"""What to do with each certificate of a card. Pure: the card, the store, the policy and the time are arguments.

Every certificate goes into the current user's ``My`` store, with the link to its key: container name, provider, key
spec, and the flag that lets programs keep the handle. RSA keys are linked through the card's provider for CryptoAPI,
others through the key storage provider, because CryptoAPI has no other keys. What is there already and says the same is not written again.

Source: Microsoft, "Certificate propagation service" (what is propagated, replace and inherit);
CRYPT_KEY_PROV_INFO (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from calais.win.flags.crypt32 import CERT_SET_KEY_PROV_HANDLE_PROP_ID, PropId
from calais.win.flags.ncrypt import MS_SMART_CARD_KEY_STORAGE_PROVIDER
from calais.win.flags.wincrypt import MS_SCARD_PROV, PROV_RSA_FULL
from calais.win.structs import CryptKeyProvInfo, PinInfo


class Action(StrEnum):
    """What happens, or happened, to a certificate."""

    ADDED = "added"
    REFRESHED = "refreshed"
    UNCHANGED = "unchanged"
    FILTERED = "filtered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class OnCard:
    """A certificate on a card.

    Attributes:
        container: name of its container.
        key_spec: AT_KEYEXCHANGE 1 or AT_SIGNATURE 2.
        is_rsa: whether its key is an RSA key.
        reader: name of the reader.
        reference: the card's own name of the key, or "".
        der: the certificate; ``b""`` when it cannot be read.
        sha1: what the store files it under.
        not_before, not_after: its validity; ``None`` when it cannot be told.
        pin_id, pin: the PIN of its key; ``None`` = no PIN.
        problem: why it cannot be read, or "".
    """

    container: str
    key_spec: int
    is_rsa: bool
    reader: str
    reference: str = ""
    der: bytes = b""
    sha1: bytes = b""
    not_before: datetime | None = None
    not_after: datetime | None = None
    pin_id: int = 0
    pin: PinInfo | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is to be kept to.

    ``expired``: certificates outside their validity go in, too, by policy; ``csp``: the provider for CryptoAPI that the
    links name, as the card database has it for the card.
    """

    expired: bool = True
    csp: str = MS_SCARD_PROV


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: ``properties`` (id to value) are what the store shall have; ``reason`` for a person."""

    action: Action
    item: OnCard
    reason: str
    properties: Mapping[int, object] = field(default_factory=dict)


Known = Mapping[int, object]  # the properties that the store has, id to value


def plan(items: Iterable[OnCard], known: Mapping[bytes, Known], rules: Rules, now: datetime) -> list[Step]:
    """What to do with each certificate, in the order of the card.

    Args:
        items: what is on the card.
        known: what the store has, SHA-1 to properties.
        rules: the policy.
        now: the time, UTC.
    """
    return [_step(item, known.get(item.sha1), rules, now) for item in items]


def _step(item: OnCard, known: Known | None, rules: Rules, now: datetime) -> Step:
    if item.problem:
        return Step(Action.FAILED, item, item.problem)
    outside = _outside_validity(item, now)
    if outside and not rules.expired:
        return Step(Action.FILTERED, item, f"{outside}; propagation.expired is off")
    properties = wanted_properties(item, rules.csp)
    if known is None:
        return Step(Action.ADDED, item, outside or "new in the store", properties)
    changed = [_PARTS[prop_id] for prop_id, value in properties.items() if known.get(prop_id) != value]
    if changed:
        return Step(Action.REFRESHED, item, f"changed: {', '.join(changed)}", properties)
    return Step(Action.UNCHANGED, item, outside or "the store says the same", properties)


_PARTS: dict[int, str] = {
    PropId.KEY_PROV_INFO: "link to the key",
    PropId.SMART_CARD_READER: "reader",
    PropId.SCARD_PIN_ID: "PIN id",
    PropId.SCARD_PIN_INFO: "PIN information",
}


def wanted_properties(item: OnCard, csp: str = MS_SCARD_PROV) -> dict[int, object]:
    """The properties that the store shall have for ``item``, id to value."""
    properties: dict[int, object] = {PropId.KEY_PROV_INFO: link_of(item, csp), PropId.SMART_CARD_READER: item.reader}
    if item.pin is not None:
        properties |= {PropId.SCARD_PIN_ID: item.pin_id, PropId.SCARD_PIN_INFO: item.pin}
    return properties


def link_of(item: OnCard, csp: str = MS_SCARD_PROV) -> CryptKeyProvInfo:
    """The link to the key of ``item``, for CryptoAPI through the provider ``csp``."""
    flags = CERT_SET_KEY_PROV_HANDLE_PROP_ID
    if item.is_rsa:
        return CryptKeyProvInfo(item.container, csp, PROV_RSA_FULL, flags, key_spec=item.key_spec)
    return CryptKeyProvInfo(item.container, MS_SMART_CARD_KEY_STORAGE_PROVIDER, 0, flags)


def _outside_validity(item: OnCard, now: datetime) -> str:
    if item.not_after is not None and now > item.not_after:
        return f"expired on {item.not_after:%Y-%m-%d}"
    if item.not_before is not None and now < item.not_before:
        return f"not valid before {item.not_before:%Y-%m-%d}"
    return ""
