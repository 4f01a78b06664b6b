"""What ``explain.follow`` needs, gathered from the store and the inserted cards; asks for no PIN."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.apps.explain import CardSeen, ContainerSeen, LinkFacts
from calais.minidriver import files
from calais.provider.card import Card
from calais.provider.container import Container
from calais.store.objects import Certificate
from calais.win.errors import BadData, WinError
from calais.win.flags.crypt32 import PropId
from calais.win.flags.ncrypt import MS_SMART_CARD_KEY_STORAGE_PROVIDER
from calais.win.flags.wincrypt import MS_SCARD_PROV, PERSONAL_CSP

if TYPE_CHECKING:
    from calais.system import System

GUID_HEAD = 13  # bytes of a PIV container name that are the card's
PROVIDERS = (MS_SCARD_PROV, PERSONAL_CSP, MS_SMART_CARD_KEY_STORAGE_PROVIDER)


def gather(system: System, certificate: Certificate, store: str) -> LinkFacts:
    """Look at everything that the link of ``certificate`` depends on, now.

    Args:
        system: the readers, cards and stores.
        certificate: one of the store.
        store: name of the store.
    """
    stamp = certificate.get(PropId.DATE_STAMP)
    return LinkFacts(
        certificate=certificate.der,
        store=store,
        link=certificate.key_prov_info,
        reader_noted=certificate.reader,
        propagated=f"{stamp:%Y-%m-%d %H:%M} UTC" if stamp else "",
        providers=PROVIDERS,
        readers=[status.name for status in system.readers()],
        cards=[_card(system, status.name, card, certificate) for status, card in system.examine()],
    )


def _card(system: System, reader: str, card: Card | WinError, certificate: Certificate) -> CardSeen:
    if isinstance(card, WinError):
        return CardSeen(reader, "unknown card", "", problem=card.detail or card.name)
    try:
        known = _index_of_linked(card, certificate)
        containers = [_container(each, known) for each in card.refresh()]
        tries = card.pin_status().attempts_left
    except WinError as error:
        return CardSeen(reader, card.label, card.identity.serial, problem=error.detail or error.name)
    identity = card.identity
    exchanges = system.reader(reader).counter.exchanges
    is_home = identity.has_stable_names and _is_named_after(certificate, identity.card_id)
    return CardSeen(
        reader, card.label, identity.serial, containers, identity.has_stable_names, tries, exchanges, is_home=is_home
    )


def _is_named_after(certificate: Certificate, card_id: bytes) -> bool:
    """Whether the link names a container of this card: PIV's names are the card's GUID but for the last three bytes."""
    link = certificate.key_prov_info
    try:
        named = uuid.UUID(link.container_name).bytes_le if link else b""
    except ValueError:
        return False
    return bool(named) and named[:GUID_HEAD] == card_id[:GUID_HEAD]


def _index_of_linked(card: Card, certificate: Certificate) -> dict[int, str]:
    """Where a name leads that an earlier enumeration made, and that the link still uses: volatile names live on."""
    link = certificate.key_prov_info
    if link is None or card.identity.has_stable_names:
        return {}
    try:
        return {card.container(link.container_name).index: link.container_name}
    except WinError:
        return {}


def _container(container: Container, known: Mapping[int, str]) -> ContainerSeen:
    where = container.entry.reference or str(container.index)
    try:
        key = container.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except WinError:
        key = b""
    try:
        certificate = container.certificate
    except BadData:
        certificate = None
    return ContainerSeen(known.get(container.index, container.name), where, key, certificate, _evidence(container))


def _evidence(container: Container) -> str:
    """Why the container's certificate is believed."""
    file = files.certificate_file(container.key_spec, container.index)
    names = (f"certificate {container.entry.reference}", f"{files.DIRECTORY_BASE_CSP}/{file}")
    return next((item.sentence for item in container.card.evidence() if item.what in names), "")
