"""Why a certificate can, or cannot, use its private key: its link followed end to end, and where it breaks.

``follow`` is pure: it gets what was found in the store and on the inserted cards, and gives the stations of the link in
order, each with a verdict, and for each break its cause, Windows' code for it, and what mends it.

Source: CryptAcquireCertificatePrivateKey and CRYPT_KEY_PROV_INFO (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from calais.apps.certificates import load_certificate, thumbprint
from calais.apps.links import (
    CardSeen,
    ContainerSeen,
    Fault,
    LinkFacts,
    Pair,
    container_fault,
    holding,
    named_by,
    place_of,
    provider_fault,
    public_key_of,
)
from calais.win.codes import Code
from calais.win.errors import BadData
from calais.win.structs import CryptKeyProvInfo

PROPAGATE = "calais propagate"
REPAIR = "calais cert repair"
PENDING = "a request is pending, or the certificate was deleted"
RENEW = f"Write the link anew: {REPAIR}"


@dataclass(frozen=True, slots=True)
class Station:
    """One station of the link: ``holds`` ``None`` = the link does not get so far, or it does not matter."""

    name: str
    holds: bool | None
    shows: str


@dataclass(frozen=True, slots=True)
class Break:
    """Why the link breaks: ``name`` is stable (docs/commands.md), ``code`` what a Windows program would be told."""

    name: str
    code: Code
    cause: str
    mend: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The stations in order, and the breaks; without any, the key can be used now."""

    stations: list[Station]
    breaks: list[Break]

    @property
    def works(self) -> bool:
        """Whether a program that asks for the key gets it."""
        return not self.breaks

    @property
    def verdict(self) -> str:
        """One sentence."""
        return self.breaks[0].cause if self.breaks else "the link is whole: the key can be used now"


def follow(facts: LinkFacts, now: datetime) -> Explanation:
    """Follow the link of ``facts`` as it is at the time ``now``."""
    stations, breaks = [], []
    for station, broken in _walk(facts, now):
        stations.append(station)
        breaks += [broken] if broken else []
    return Explanation(stations, breaks)


Leg = tuple[Station, Break | None]


def _good(name: str, shows: str, but: Break | None = None) -> Leg:
    return Station(name, holds=True, shows=shows), but


def _bad(name: str, shows: str, why: Break | None) -> Leg:
    return Station(name, holds=False, shows=shows), why


def _open(name: str, shows: str = "not reached") -> Leg:
    return Station(name, holds=None, shows=shows), None


def _walk(facts: LinkFacts, now: datetime) -> Iterator[Leg]:
    yield _store(facts, now)
    yield from _link(facts)
    yield _reader(facts)
    yield from _card(facts)
    yield _evidence(facts)
    yield _open("propagated", facts.propagated or "never")


def _unreached(*names: str) -> Iterator[Leg]:
    for name in names:
        yield _open(name)


def _broken(fault: Fault, mend: str = RENEW) -> Break:
    return Break(fault.name, fault.code, fault.cause, mend)


def _store(facts: LinkFacts, now: datetime) -> Leg:
    shows = f"{facts.store}, thumbprint {thumbprint(facts.certificate)}"
    try:
        last = load_certificate(facts.certificate).not_valid_after_utc
    except BadData as error:
        broken = Break("certificate_unreadable", Code.CRYPT_E_ASN1_CORRUPT, error.detail, "calais cert export")
        return _bad("store", shows, broken)
    if last < now:
        shows += f", expired on {last:%Y-%m-%d}"
    return _good("store", shows)


# --- the link ---------------------------------------------------------------------------------------------------------


def _link(facts: LinkFacts) -> Iterator[Leg]:
    link = facts.link
    if link is None:
        yield _bad("property", "there is no CERT_KEY_PROV_INFO_PROP_ID", _no_link(facts))
        yield from _unreached("provider")
        return
    shows = f"container {link.container_name}, type {link.prov_type}, key spec {link.key_spec}, flags {link.flags}"
    if place_of(link) is None:
        cause = f"the link names no container: {link.container_name!r} is no name of one"
        yield _bad("property", shows, Break("name_impossible", Code.NTE_BAD_KEYSET_PARAM, cause, RENEW))
    else:
        yield _good("property", shows)
    fault = provider_fault(link, facts.providers)
    if fault is None:
        yield _good("provider", link.prov_name or "the default one")
    else:
        yield _bad("provider", link.prov_name, _broken(fault))


def _no_link(facts: LinkFacts) -> Break:
    """A certificate that was added by itself: what is known of its key decides what helps."""
    cause = "the certificate was added without its link to a private key"
    mend = f"Insert the card and run: {REPAIR}"
    held = holding(public_key_of(facts.certificate), facts.cards)
    if held:
        card, container = held[0]
        cause += f"; its key is on {card.label} in {card.reader}, {container.where}"
        mend = RENEW
        if container.certificate is None:
            cause += f", where no certificate is: {PENDING}"
    return Break("no_link", Code.CRYPT_E_NO_KEY_PROPERTY, cause, mend)


def _reader(facts: LinkFacts) -> Leg:
    if not facts.readers:
        cause = "there is no reader"
        mend = "Plug one in, or make a virtual card: calais virtual new NAME"
        broken = Break("no_reader", Code.SCARD_E_NO_READERS_AVAILABLE, cause, mend)
        return _bad("reader", "none", broken if facts.link else None)
    gone = _gone_reader(facts)
    if gone:
        cause = f"the link names a reader that is not there: {gone}"
        mend = f"Plug the reader in, or write the link anew: {REPAIR}"
        return _bad("reader", ", ".join(facts.readers), Break("reader_gone", Code.SCARD_E_UNKNOWN_READER, cause, mend))
    noted = f"{facts.reader_noted} (where the store saw the card)" if facts.reader_noted else ""
    if facts.reader_noted and facts.reader_noted not in facts.readers:
        noted = f"{', '.join(facts.readers)}; the store saw the card in {facts.reader_noted}, which is not there now"
    return _good("reader", noted or ", ".join(facts.readers))


def _gone_reader(facts: LinkFacts) -> str:
    place = place_of(facts.link) if facts.link else None
    named = place.reader if place else None
    return named if named and named not in facts.readers else ""


# --- the card ---------------------------------------------------------------------------------------------------------


def _card(facts: LinkFacts) -> Iterator[Leg]:
    """The card with the named container; else the one that the key is on under another name; else none."""
    link, held = facts.link, holding(public_key_of(facts.certificate), facts.cards)
    named = named_by(link, facts.cards) if link else []
    is_cause_known = link is None or place_of(link) is None or bool(_gone_reader(facts))
    if link and named:
        yield from _found(*named[0], link, facts, held_by=held)
    elif held:
        yield from _renamed(*held[0], is_cause_known=is_cause_known)
    elif is_cause_known:
        yield from _unreached("card", "container", "key")
    else:
        yield from _absent(facts)


def _shows(card: CardSeen) -> str:
    return f"{card.label}, serial {card.serial}, in {card.reader}" if card.serial else f"{card.label} in {card.reader}"


def _container_shows(container: ContainerSeen) -> str:
    shows = f"{container.name} ({container.where})"
    return shows if container.certificate is not None else f"{shows}, no certificate there: {PENDING}"


def _found(
    card: CardSeen, container: ContainerSeen, link: CryptKeyProvInfo, facts: LinkFacts, *, held_by: Sequence[Pair]
) -> Iterator[Leg]:
    yield _card_station(card)
    yield _good("container", _container_shows(container))
    fault = None if provider_fault(link, facts.providers) else container_fault(link, container)
    if not container.public_key:
        cause = "the key in the container cannot be read"
        yield _bad("key", cause, Break("key_unreadable", Code.NTE_NO_KEY, cause, "calais scinfo"))
    elif container.public_key != public_key_of(facts.certificate):
        yield _bad("key", "another key", _mismatch(container, held_by))
    elif fault is not None:
        yield _bad("key", fault.cause, _broken(fault))
    else:
        yield _good("key", "the container's key is the certificate's", _renewed(container, facts))


def _mismatch(container: ContainerSeen, held_by: Sequence[Pair]) -> Break:
    where = container.where
    cause = f"the container {where} shows another key now: a new one, or a wrong certificate (calais scinfo says which)"
    mend = f"Bring in the new certificate: {PROPAGATE}"
    if held_by:
        cause, mend = f"the key is in another container, {held_by[0][1].where}", RENEW
    return Break("key_mismatch", Code.NTE_BAD_PUBLIC_KEY, cause, mend)


def _renewed(container: ContainerSeen, facts: LinkFacts) -> Break | None:
    """The key still works with this certificate, but the card has another one for it."""
    if container.certificate in (None, facts.certificate):
        return None
    here, there = _begin(facts.certificate), _begin(container.certificate or b"")
    what = "another"
    if here and there and here != there:
        what = "a newer" if here < there else "an older"
    cause = f"the card has {what} certificate for this key; the store has this one"
    return Break("certificate_replaced", Code.CRYPT_E_NO_MATCH, cause, f"Bring in the card's certificate: {PROPAGATE}")


def _begin(certificate: bytes) -> datetime | None:
    try:
        return load_certificate(certificate).not_valid_before_utc
    except BadData:
        return None


def _card_station(card: CardSeen) -> Leg:
    if card.tries == 0:
        broken = Break("pin_blocked", Code.SCARD_W_CHV_BLOCKED, "the card's PIN is blocked", "calais pin unblock")
        return _bad("card", f"{_shows(card)}, PIN blocked", broken)
    tries = f", {card.tries} PIN tries left" if card.tries is not None else ""
    return _good("card", _shows(card) + tries)


def _renamed(card: CardSeen, container: ContainerSeen, *, is_cause_known: bool) -> Iterator[Leg]:
    yield _card_station(card)
    if is_cause_known:
        yield _good("container", _container_shows(container))
    else:
        why = "" if card.has_stable_names else ": this card gives its keys new names each time"
        cause = f"the key is on the card, under another name{why}"
        broken = Break("container_renamed", Code.NTE_BAD_KEYSET, cause, RENEW)
        yield _bad("container", f"now called {_container_shows(container)}", broken)
    yield _good("key", "the container's key is the certificate's")


def _absent(facts: LinkFacts) -> Iterator[Leg]:
    silent = [card for card in facts.cards if card.problem]
    home = [card for card in facts.cards if card.is_home]
    if home:
        yield _card_station(home[0])
        cause = "the card is here, and its container is empty: the certificate was deleted from the card"
        mend = "Write the certificate again: calais card put-cert"
        yield _bad("container", "none", Break("container_gone", Code.NTE_BAD_KEYSET, cause, mend))
        yield from _unreached("key")
        return
    if silent:
        cause = f"the card in {silent[0].reader} cannot be read: {silent[0].problem}"
        broken = Break("card_unreadable", Code.SCARD_W_UNRESPONSIVE_CARD, cause, "calais scinfo")
        yield _bad("card", cause, broken)
    elif facts.cards:
        others = "; ".join(_shows(card) for card in facts.cards)
        cause = "the card with this key is not inserted; another one is"
        broken = Break("other_card", Code.NTE_BAD_KEYSET, cause, "Insert the card that the certificate came from")
        yield _bad("card", f"only {others}", broken)
    else:
        cause = "the card with this key is not inserted"
        mend = "Insert it; virtual cards: calais virtual insert NAME"
        broken = Break("no_card", Code.SCARD_E_NO_SMARTCARD, cause, mend)
        yield _bad("card", "none inserted", broken if facts.readers else None)
    yield from _unreached("container", "key")


# --- why it is believed ----------------------------------------------------------------------------------------------


def _evidence(facts: LinkFacts) -> Leg:
    """By what the card is believed; a memory that was found wrong is a break of its own."""
    named = named_by(facts.link, facts.cards) if facts.link else []
    pairs = [*named, *holding(public_key_of(facts.certificate), facts.cards)]
    seen = sum(card.exchanges for card in facts.cards)
    shows = f"read now from {_cards(len(facts.cards))}, {seen} exchanges"
    why = next((container.evidence for _, container in pairs if container.evidence), "")
    shows += f"; its certificate: {why}" if why else ""
    if any(not card.is_trusted for card, _ in pairs):
        shows += "; the card's counters were caught lying and are believed no more"
    if not any(container.was_stale for _, container in pairs):
        return _open("evidence", shows)
    cause = "what was remembered of the card is not what is on it: a program wrote to the card and moved no counter"
    mend = f"Forget it, and look anew: calais cache clear, then {PROPAGATE}"
    return _bad("evidence", shows, Break("memory_stale", Code.SCARD_W_CACHE_ITEM_STALE, cause, mend))


def _cards(number: int) -> str:
    return "one inserted card" if number == 1 else f"{number or 'no'} inserted cards"
