"""Carrying out the plan: one look at the card, then one write for each certificate that differs.

Source: Microsoft, "Certificate propagation service"; CERT_STORE_ADD_REPLACE_EXISTING_INHERIT_PROPERTIES.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from calais.apps.propagation.plan import Action, OnCard, Rules, Step, plan
from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.pins import Role
from calais.provider.card import Card
from calais.store import certificate, filing
from calais.store.model import CertificateContext
from calais.store.objects import Certificate, CertificateStore
from calais.store.stores import EMPTY
from calais.win.errors import BadData, CardReset, NotFound, WinError
from calais.win.flags.crypt32 import AddDisposition, PropId


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one certificate.

    Attributes:
        certificate: the store's context of it; one without a store when it is not there; ``None`` when unreadable.
        action: added, refreshed, unchanged, filtered or failed.
        reason: one sentence for a person.
        reader: name of the reader.
        container: name of its container.
        reference: the card's own name of the key, or "".
    """

    certificate: CertificateContext | None
    action: Action
    reason: str
    reader: str
    container: str
    reference: str


def propagate(card: Card, store: CertificateStore, rules: Rules, now: datetime) -> list[Outcome]:
    """Bring the certificates of ``card`` into ``store``.

    Args:
        card: the card.
        store: the user's ``My`` store.
        rules: the policy.
        now: the time, UTC.

    Raises:
        CardRemoved, CardReset, WinError: the card cannot be read at all; nothing was written. What goes wrong with
            one certificate is its outcome.
    """
    items = _look(card)
    known = {item.sha1: found for item in items if item.sha1 and (found := store.get(item.sha1))}
    properties = {
        sha1: {prop_id: found.get(prop_id) for prop_id in found.property_ids()} for sha1, found in known.items()
    }
    return [_apply(step, store, known, now) for step in plan(items, properties, rules, now)]


def _apply(step: Step, store: CertificateStore, known: dict[bytes, Certificate], now: datetime) -> Outcome:
    item = step.item
    context: CertificateContext | None = None
    action, reason = step.action, step.reason
    try:
        if action in (Action.ADDED, Action.REFRESHED):
            inherit = AddDisposition.REPLACE_EXISTING_INHERIT_PROPERTIES
            context = store.add(item.der, inherit, {**step.properties, PropId.DATE_STAMP: now}).context
        elif action is Action.UNCHANGED:
            context = known[item.sha1].context
        elif item.der:
            context = EMPTY.free_standing(item.der)
    except WinError as error:
        action, reason = Action.FAILED, str(error)
    return Outcome(context, action, reason, item.reader, item.container, item.reference)


def _look(card: Card) -> list[OnCard]:
    """What is on the card; once more when another program resets it meanwhile."""

    def job(driver: Minidriver) -> list[OnCard]:
        return list(_items(driver, card.reader))

    try:
        return card.run(job)
    except CardReset:
        return card.run(job)


def _items(driver: Minidriver, reader: str) -> Iterator[OnCard]:
    for entry in driver.containers():
        if not entry.has_certificate:
            continue
        try:
            der = driver.certificate(entry.index)
            if der is not None:
                yield _item(driver, entry, reader, der)
        except (BadData, NotFound) as error:
            yield _unreadable(entry, reader, str(error))


def _item(driver: Minidriver, entry: ContainerEntry, reader: str, der: bytes) -> OnCard:
    outline = certificate.parse(der)
    return OnCard(
        container=entry.name,
        key_spec=entry.key_spec,
        is_rsa=entry.algorithm == "RSA",
        reader=reader,
        reference=entry.reference,
        der=outline.encoded,
        sha1=filing.identity(outline.encoded, {}),
        not_before=outline.info.not_before,
        not_after=outline.info.not_after,
        pin_id=entry.pin_id,
        pin=driver.pin_info(entry.pin_id) if entry.pin_id != Role.EVERYONE else None,
    )


def _unreadable(entry: ContainerEntry, reader: str, problem: str) -> OnCard:
    is_rsa = entry.algorithm == "RSA"
    return OnCard(entry.name, entry.key_spec, is_rsa, reader, reference=entry.reference, problem=problem)
