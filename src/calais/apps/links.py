"""A link from a certificate to a key, and what was seen of it in the store and on the inserted cards. Pure.

Source: CRYPT_KEY_PROV_INFO, CryptAcquireCertificatePrivateKey (wincrypt.h); Microsoft, "Smart Card Architecture",
container specification levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.apps.certificates import load_certificate
from calais.provider.names import ContainerName, parse_container
from calais.win.codes import Code
from calais.win.errors import BadData, WinError
from calais.win.flags.ncrypt import MS_KEY_STORAGE_PROVIDER, MS_SMART_CARD_KEY_STORAGE_PROVIDER
from calais.win.flags.wincrypt import (
    MS_DEF_PROV,
    MS_ENH_RSA_AES_PROV,
    MS_ENHANCED_PROV,
    MS_STRONG_PROV,
    PROV_RSA_FULL,
)
from calais.win.structs import CryptKeyProvInfo


@dataclass(frozen=True, slots=True)
class ContainerSeen:
    """A container of an inserted card.

    Attributes:
        name: its name.
        where: what the card calls its key.
        public_key: DER SubjectPublicKeyInfo, ``b""`` when it cannot be had.
        certificate: DER, ``None`` = there is none.
        evidence: why the certificate is believed to be the one on the card now.
        key_spec: AT_KEYEXCHANGE 1, AT_SIGNATURE 2, 0 = not known.
        is_rsa: whether CryptoAPI can use its key.
        is_default: whether it is the default container of its card.
        aliases: names of earlier enumerations, in lower case, that lead to it still.
        was_stale: what was remembered of its certificate was not what is on the card.
    """

    name: str
    where: str
    public_key: bytes
    certificate: bytes | None
    evidence: str = ""
    key_spec: int = 0
    is_rsa: bool = True
    is_default: bool = False
    aliases: tuple[str, ...] = ()
    was_stale: bool = False


@dataclass(frozen=True, slots=True)
class CardSeen:
    """A card in a reader; ``problem``: why it could not be read; ``tries``: left for its PIN, if it says.

    ``exchanges``: how many APDUs it took to know all this; ``is_home``: the link's container name is made from this
    card's identity; ``is_trusted``: its freshness counters were never caught lying.
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
    is_trusted: bool = True


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


_IN_MEMORY = {
    str(name).casefold()
    for name in (MS_DEF_PROV, MS_STRONG_PROV, MS_ENHANCED_PROV, MS_ENH_RSA_AES_PROV, MS_KEY_STORAGE_PROVIDER)
}
Pair = tuple[CardSeen, ContainerSeen]


def public_key_of(certificate: bytes) -> bytes:
    """DER SubjectPublicKeyInfo of a certificate, ``b""`` when it cannot be read."""
    try:
        key = load_certificate(certificate).public_key()
    except BadData:
        return b""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def place_of(link: CryptKeyProvInfo) -> ContainerName | None:
    """The reader and container that a link names; ``None`` when that is no name."""
    try:
        return parse_container(link.container_name)
    except WinError:
        return None


def named_by(link: CryptKeyProvInfo, cards: Sequence[CardSeen]) -> list[Pair]:
    """The containers that a link names: by their name, or as the default one of their card."""
    place = place_of(link)
    if place is None:
        return []
    wanted = place.container.casefold()
    return [
        (card, each)
        for card in cards
        if place.reader in (None, card.reader)
        for each in card.containers
        if (wanted in (each.name.casefold(), *each.aliases) if wanted else each.is_default)
    ]


def holding(key: bytes, cards: Sequence[CardSeen]) -> list[Pair]:
    """The containers that hold ``key`` (DER), the default one of each card first."""
    return [
        (card, each)
        for card in cards
        for each in sorted(card.containers, key=lambda one: not one.is_default)
        if key and each.public_key == key
    ]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a link does not open: ``name`` as in ``explain.Break``."""

    name: str
    code: Code
    cause: str


def provider_fault(link: CryptKeyProvInfo, providers: Sequence[str]) -> Fault | None:
    """What is wrong with the provider of a link, if anything; without ``providers`` none is unknown."""
    name = link.prov_name.casefold()
    if name in _IN_MEMORY:
        cause = f"the link names a provider that has no containers: {link.prov_name}"
        return Fault("provider_mismatch", Code.NTE_BAD_KEYSET, cause)
    if providers and name and name not in (each.casefold() for each in providers):
        cause = f"the link names a provider that does not exist: {link.prov_name}"
        return Fault("provider_unknown", Code.NTE_KEYSET_NOT_DEF, cause)
    if link.prov_type and name == MS_SMART_CARD_KEY_STORAGE_PROVIDER.casefold():
        cause = f"the link is one of CryptoAPI (type {link.prov_type}) and names a provider of CNG: {link.prov_name}"
        return Fault("provider_mismatch", Code.NTE_KEYSET_NOT_DEF, cause)
    if link.prov_type not in (0, PROV_RSA_FULL):
        cause = f"the link is of type {link.prov_type}, and {link.prov_name} of type {PROV_RSA_FULL}"
        return Fault("provider_mismatch", Code.NTE_PROV_TYPE_NO_MATCH, cause)
    return None


def container_fault(link: CryptKeyProvInfo, container: ContainerSeen) -> Fault | None:
    """Why a link cannot use the key in the container that it names, if so."""
    if link.prov_type and not container.is_rsa:
        cause = "the link is one of CryptoAPI, which has no elliptic keys; this key is for CNG"
        return Fault("key_not_for_cryptoapi", Code.NTE_BAD_KEYSET, cause)
    if container.is_rsa and 0 not in (link.key_spec, container.key_spec) and link.key_spec != container.key_spec:
        cause = f"the link says key spec {link.key_spec}, and the container has a key of key spec {container.key_spec}"
        return Fault("key_spec_wrong", Code.NTE_NO_KEY, cause)
    return None
