"""Why a certificate can, or cannot, use its private key: its link followed end to end, and where it breaks.

``follow`` is pure: it gets what was found in the store and on the inserted cards, and gives the stations of the link in
order, each with a verdict, and for each break its cause, Windows' code for it, and what mends it.

Source: CryptAcquireCertificatePrivateKey and CRYPT_KEY_PROV_INFO (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.apps.certificates import load_certificate, thumbprint
from calais.win.codes import Code
from calais.win.errors import BadData
from calais.win.structs import CryptKeyProvInfo

PROPAGATE = "calais propagate"


@dataclass(frozen=True, slots=True)
class ContainerSeen:
    """A container of an inserted card: ``public_key`` as DER SubjectPublicKeyInfo, ``b""`` when it cannot be had;
    ``evidence``: why the certificate is believed to be the one on the card now.
    """

    name: str
    where: str
    public_key: bytes
    certificate: bytes | None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class CardSeen:
    """A card in a reader; ``problem``: why it could not be read; ``tries``: left for its PIN, if it says.

    ``exchanges``: how many APDUs it took to know all this; ``is_home``: the link's container name is made from this
    card's identity.
    """

    reader: str
    label: str
    serial: str
    containers: Sequence[ContainerSeen] = ()
    has_stable_names: bool = True
    tries: int | None = None
    exchanges: int = 0
    problem: str = ""
    is_home: bool = False


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What is known about a certificate in the store.

    Attributes:
        certificate: DER.
        store: name of the store.
        link: CERT_KEY_PROV_INFO_PROP_ID.
        reader_noted: the reader that the store names (CERT_SMART_CARD_READER_PROP_ID), or "".
        propagated: when it was last brought here from a card, as text, or "".
        providers: names of the providers that exist.
        readers: names of all readers.
        cards: the cards that are inserted.
    """

    certificate: bytes
    store: str
    link: CryptKeyProvInfo | None
    reader_noted: str = ""
    propagated: str = ""
    providers: Sequence[str] = ()
    readers: Sequence[str] = ()
    cards: Sequence[CardSeen] = ()


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
    if facts.link is None:
        yield from _unreached("card", "container", "key", "evidence")
    else:
        yield from _card(facts, facts.link)
    yield _open("propagated", facts.propagated or "never")


def _unreached(*names: str) -> Iterator[Leg]:
    for name in names:
        yield _open(name)


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


def _link(facts: LinkFacts) -> Iterator[Leg]:
    link = facts.link
    if link is None:
        cause = "the certificate has no link to a private key; it was added without its card"
        yield _bad("property", "there is no CERT_KEY_PROV_INFO_PROP_ID", _no_link(cause))
        yield from _unreached("provider")
        return
    shows = f"container {link.container_name}, type {link.prov_type}, key spec {link.key_spec}, flags {link.flags}"
    yield _good("property", shows)
    known = not facts.providers or link.prov_name.casefold() in (name.casefold() for name in facts.providers)
    cause = f"the link names a provider that does not exist: {link.prov_name}"
    broken = None if known else Break("provider_unknown", Code.NTE_KEYSET_NOT_DEF, cause, PROPAGATE)
    yield Station("provider", holds=known, shows=link.prov_name), broken


def _no_link(cause: str) -> Break:
    return Break("no_link", Code.CRYPT_E_NO_KEY_PROPERTY, cause, f"Insert the card and run: {PROPAGATE}")


def _reader(facts: LinkFacts) -> Leg:
    if not facts.readers:
        cause = "there is no reader"
        mend = "Plug one in, or make a virtual card: calais virtual new NAME"
        broken = Break("no_reader", Code.SCARD_E_NO_READERS_AVAILABLE, cause, mend)
        return _bad("reader", "none", broken if facts.link else None)
    noted = f"{facts.reader_noted} (where the store saw the card)" if facts.reader_noted else ""
    return _good("reader", noted or ", ".join(facts.readers))


def _card(facts: LinkFacts, link: CryptKeyProvInfo) -> Iterator[Leg]:
    """The card with the named container; else the one that the key is on under another name; else none."""
    wanted = _public_key(facts.certificate)
    pairs = [(card, container) for card in facts.cards for container in card.containers]
    named = [pair for pair in pairs if pair[1].name.casefold() == link.container_name.casefold()]
    holding = [pair for pair in pairs if wanted and pair[1].public_key == wanted]
    if named:
        yield from _found(*named[0], wanted, facts, held_by=holding)
    elif holding:
        yield from _renamed(*holding[0])
    else:
        yield from _absent(facts)
    seen = sum(card.exchanges for card in facts.cards)
    why = next((container.evidence for _, container in [*named, *holding] if container.evidence), "")
    shows = f"read now from {_cards(len(facts.cards))}, {seen} exchanges"
    yield _open("evidence", f"{shows}; its certificate: {why}" if why else shows)


def _cards(number: int) -> str:
    return "one inserted card" if number == 1 else f"{number or 'no'} inserted cards"


def _shows(card: CardSeen) -> str:
    return f"{card.label}, serial {card.serial}, in {card.reader}" if card.serial else f"{card.label} in {card.reader}"


def _found(
    card: CardSeen,
    container: ContainerSeen,
    wanted: bytes,
    facts: LinkFacts,
    *,
    held_by: list[tuple[CardSeen, ContainerSeen]],
) -> Iterator[Leg]:
    yield _card_station(card)
    yield _good("container", f"{container.name} ({container.where})")
    if container.public_key == wanted:
        yield _good("key", "the container's key is the certificate's", _renewed(container, facts))
        return
    if not container.public_key:
        cause = "the key in the container cannot be read"
        yield _bad("key", cause, Break("key_unreadable", Code.NTE_NO_KEY, cause, "calais scinfo"))
        return
    cause = f"the container {container.where} holds another key now: the card was given a new one"
    mend = f"Bring in the new certificate: {PROPAGATE}"
    if held_by:
        cause, mend = f"the key is in another container, {held_by[0][1].where}", f"Renew the link: {PROPAGATE}"
    yield _bad("key", "another key", Break("key_mismatch", Code.NTE_BAD_PUBLIC_KEY, cause, mend))


def _renewed(container: ContainerSeen, facts: LinkFacts) -> Break | None:
    """The key still works with the old certificate, but the card has a newer one for it."""
    if container.certificate in (None, facts.certificate):
        return None
    cause = "the card has another certificate for this key now; the store has the old one"
    return Break("certificate_replaced", Code.CRYPT_E_NO_MATCH, cause, f"Bring in the new certificate: {PROPAGATE}")


def _card_station(card: CardSeen) -> Leg:
    if card.tries == 0:
        broken = Break("pin_blocked", Code.SCARD_W_CHV_BLOCKED, "the card's PIN is blocked", "calais pin unblock")
        return _bad("card", f"{_shows(card)}, PIN blocked", broken)
    tries = f", {card.tries} PIN tries left" if card.tries is not None else ""
    return _good("card", _shows(card) + tries)


def _renamed(card: CardSeen, container: ContainerSeen) -> Iterator[Leg]:
    yield _card_station(card)
    why = "" if card.has_stable_names else ": this card gives its keys new names each time"
    cause = f"the key is on the card, under another name{why}"
    broken = Break("container_renamed", Code.NTE_BAD_KEYSET, cause, f"Renew the link: {PROPAGATE}")
    yield _bad("container", f"now called {container.name} ({container.where})", broken)
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


def _public_key(certificate: bytes) -> bytes:
    try:
        key = load_certificate(certificate).public_key()
    except BadData:
        return b""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
