"""What ``explain.follow`` needs, gathered from the store and the inserted cards; asks for no PIN."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.apps.links import CardSeen, ContainerSeen, LinkFacts
from calais.minidriver import files
from calais.minidriver.api import Minidriver
from calais.provider.card import Card
from calais.provider.container import Container
from calais.resource.slots import ReaderStatus
from calais.store.objects import Certificate
from calais.win.errors import BadData, WinError
from calais.win.flags.crypt32 import PropId
from calais.win.flags.ncrypt import MS_SMART_CARD_KEY_STORAGE_PROVIDER
from calais.win.flags.wincrypt import MS_SCARD_PROV, PERSONAL_CSP
from calais.win.structs import CryptKeyProvInfo

if TYPE_CHECKING:
    from calais.system import System

MASTER_FILE = "master file"
GUID_HEAD = 13  # bytes of a PIV container name that are the card's
PROVIDERS = (MS_SCARD_PROV, PERSONAL_CSP, MS_SMART_CARD_KEY_STORAGE_PROVIDER)


def gather(
    system: System, certificate: Certificate, store: str, *, cards: Sequence[CardSeen] | None = None
) -> LinkFacts:
    """Look at everything that the link of ``certificate`` depends on, now.

    Args:
        system: the readers, cards and stores.
        certificate: one of the store.
        store: name of the store.
        cards: what is known of the inserted cards already; by default they are looked at.
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
        cards=cards if cards is not None else [_card(system, *each, certificate) for each in system.examine()],
    )


def look_thoroughly(system: System, links: Iterable[CryptKeyProvInfo | None] = ()) -> list[CardSeen]:
    """All containers of the inserted cards, also those of keys without certificate; their lists are looked at too.

    Where counters are believed and nothing else, they are not: what is remembered is given up.

    Args:
        system: the cards.
        links: names in these that an earlier enumeration made, and that lead to a container still, are its aliases.
    """
    names = sorted({link.container_name for link in links if link is not None})
    return [_thorough(system, status.name, card, names) for status, card in system.examine()]


def _thorough(system: System, reader: str, card: Card | WinError, names: Iterable[str]) -> CardSeen:
    if isinstance(card, WinError):
        return _unreadable(reader, card)
    try:
        card.run(_doubt if system.policy.gids_proof == "counters" else lambda driver: driver.confirm_list())
        known = {} if card.identity.has_stable_names else _living(card, names)
        containers = [
            replace(_container(each, {}), aliases=tuple(name for name, index in known.items() if index == each.index))
            for each in card.refresh(probe_keys=True)
        ]
    except WinError as error:
        return CardSeen(reader, card.label, card.identity.serial, problem=error.detail or error.name)
    return CardSeen(reader, card.label, card.identity.serial, containers, card.identity.has_stable_names)


def _living(card: Card, names: Iterable[str]) -> dict[str, int]:
    """The names that lead to a container of the card, in lower case, with its index."""
    found = {}
    for name in names:
        try:
            found[name.casefold()] = card.container(name).index
        except WinError:
            continue
    return found


def _doubt(driver: Minidriver) -> None:
    driver.forget_data()


def _unreadable(reader: str, error: WinError) -> CardSeen:
    return CardSeen(reader, "unknown card", "", problem=error.detail or error.name)


def _card(system: System, status: ReaderStatus, card: Card | WinError, certificate: Certificate) -> CardSeen:
    reader = status.name
    if isinstance(card, WinError):
        return _unreadable(reader, card)
    try:
        known = _index_of_linked(card, certificate)
        containers = _containers(card, certificate, known)
        tries = card.pin_status().attempts_left
    except WinError as error:
        return CardSeen(reader, card.label, card.identity.serial, problem=error.detail or error.name)
    identity = card.identity
    return CardSeen(
        reader,
        card.label,
        identity.serial,
        containers,
        identity.has_stable_names,
        tries,
        exchanges=system.reader(reader).counter.exchanges,
        is_home=identity.has_stable_names and _is_named_after(certificate, identity.card_id),
        is_trusted=card.counters_trusted,
    )


def _containers(card: Card, certificate: Certificate, known: Mapping[int, str]) -> list[ContainerSeen]:
    """The containers; when none has this very certificate, once more with nothing believed that is remembered."""
    first = {each.index: _container(each, known) for each in card.refresh()}
    if any(each.certificate == certificate.der for each in first.values()):
        return list(first.values())
    card.run(_doubt)
    found = []
    for each in card.refresh(probe_keys=True):
        seen, before = _container(each, known), first.get(each.index)
        is_listed = before is not None or each.entry.has_certificate
        was_stale = is_listed and (before is None or before.certificate != seen.certificate)
        found.append(replace(seen, was_stale=was_stale))
    return found


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
    key, is_rsa = _key_of(container)
    try:
        certificate = container.certificate
    except BadData:
        certificate = None
    return ContainerSeen(
        known.get(container.index, container.name),
        where,
        key,
        certificate,
        _evidence(container, has_certificate=certificate is not None),
        key_spec=container.key_spec,
        is_rsa=is_rsa,
        is_default=container.is_default,
    )


def _key_of(container: Container) -> tuple[bytes, bool]:
    """The public key (DER), ``b""`` when it cannot be had, and whether it is an RSA key."""
    try:
        key = container.public_key
    except WinError:
        return b"", container.entry.algorithm in ("RSA", "")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der, isinstance(key, rsa.RSAPublicKey)


def _evidence(container: Container, *, has_certificate: bool) -> str:
    """Why the container's certificate is believed, or that there is none."""
    file = files.certificate_file(container.key_spec, container.index)
    names = {f"certificate {container.entry.reference}", f"{files.DIRECTORY_BASE_CSP}/{file}"}
    if not has_certificate:
        names.add(MASTER_FILE)
    return next((item.sentence for item in container.card.evidence() if item.what in names), "")
