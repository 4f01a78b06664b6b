"""Keys in the containers of cards: opening, listing and using them.

Source: Microsoft, ``NCryptOpenKey``, ``NCryptEnumKeys``; "Smart Card Architecture", container specification levels;
SP 800-73-4 part 1, table 4b (what the keys of PIV are for).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.minidriver.api import ContainerEntry
from calais.minidriver.padding import Raw, SigningPadding
from calais.provider.caller import Caller
from calais.provider.card import Card
from calais.provider.container import Container
from calais.provider.ksp import errors
from calais.provider.ksp.algorithms import OTHER, KeyAlgorithm, algorithm_of
from calais.provider.ksp.handles import KeySettings, NCryptKey, Place
from calais.provider.ksp.storage import Storage
from calais.provider.names import ContainerName, parse_container
from calais.win import flags
from calais.win.blobs import PrivateKey, PublicKey, Scheme
from calais.win.codes import Code
from calais.win.errors import BadData, NotFound, Unsupported, WinError
from calais.win.structs import NCryptKeyName

KEY_SPECS = (0, flags.AT_KEYEXCHANGE, flags.AT_SIGNATURE)
# Keys of PIV whose use the standard fixes, by the card's own names; GIDS knows exchange and signature only.
_PIV_SCHEMES: Mapping[str, Scheme] = {"9A": "ECDSA", "9C": "ECDSA", "9D": "ECDH", "9E": "ECDSA"}
_PIV_RETIRED = range(0x82, 0x96)


class CardKey:
    """A key on a card (see ``handles.Material``).

    Args:
        container: where it is.
        public_key: its public half.
    """

    private_key: PrivateKey | None = None
    has_private = True

    def __init__(self, container: Container, public_key: PublicKey) -> None:
        self.container = container
        self.public_key = public_key
        self._views: dict[Caller, Container] = {}

    def view(self, caller: Caller) -> Container:
        """The container as ``caller`` uses it; what is known of the card is shared."""
        found = self._views.get(caller)
        if found is None:
            found = self._views[caller] = self.container.seen_by(caller)
        return found

    def sign(self, data: bytes, how: SigningPadding, caller: Caller) -> bytes:
        """See ``Material.sign``."""
        with errors.on_card():
            return self.view(caller).sign(data, how)

    def decrypt(self, block: bytes, caller: Caller) -> bytes:
        """See ``Material.decrypt``."""
        with errors.on_card():
            return self.view(caller).decrypt(block, Raw())

    def agree(self, peer: ec.EllipticCurvePublicKey, caller: Caller) -> bytes:
        """See ``Material.agree``."""
        with errors.on_card():
            return self.view(caller).agree(peer.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


# --- what a key is for -----------------------------------------------------------------------------------------------


def scheme_of(card: Card, entry: ContainerEntry, certificate: bytes | None = None) -> Scheme:
    """What the EC key of a container is for.

    Slots for signatures have ECDSA keys, those for exchange ECDH keys. A key of PIV follows its slot; a retired one,
    which may have been for either, the key usage of its certificate, ECDSA without one.
    """
    if entry.key_spec == flags.AT_SIGNATURE:
        return "ECDSA"
    if "[PIV]" not in card.name:
        return "ECDH"
    return _PIV_SCHEMES.get(entry.reference) or _scheme_by_usage(certificate)


def may_be_either(card: Card, entry: ContainerEntry) -> bool:
    """Whether ``scheme_of`` looks at the certificate of this container."""
    return "[PIV]" in card.name and entry.key_spec != flags.AT_SIGNATURE and entry.reference not in _PIV_SCHEMES


def _scheme_by_usage(certificate: bytes | None) -> Scheme:
    try:
        usage = x509.load_der_x509_certificate(certificate or b"").extensions.get_extension_for_class(x509.KeyUsage)
    except (ValueError, x509.ExtensionNotFound):
        return "ECDSA"
    return "ECDH" if usage.value.key_agreement and not usage.value.digital_signature else "ECDSA"


def legacy_spec(algorithm: KeyAlgorithm, entry: ContainerEntry) -> int:
    """The key spec by which the key is opened: of RSA that of the slot, of EC that of its use."""
    return entry.key_spec if algorithm.curve is None else algorithm.key_spec


@dataclass(frozen=True, slots=True)
class Found:
    """A container with its key, seen as CNG sees it."""

    container: Container
    public_key: PublicKey
    algorithm: KeyAlgorithm

    @classmethod
    def of(cls, container: Container) -> Found:
        """Look at ``container``.

        Raises:
            NotFound: ``NTE_NO_KEY``, it is empty.
            Unsupported: ``NTE_NOT_SUPPORTED``, a kind of key that CNG does not have.
            BadData: its certificate cannot be read.
        """
        public_key = _public_key(container)
        certificate = container.certificate if may_be_either(container.card, container.entry) else None
        algorithm = algorithm_of(public_key, scheme_of(container.card, container.entry, certificate))
        if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise errors.not_supported("neither RSA nor EC")
        return cls(container, public_key, algorithm)

    @classmethod
    def of_any_kind(cls, container: Container) -> Found:
        """Look at ``container``, whose key may be one that CNG does not know; errors as ``of``."""
        public_key = _public_key(container)
        if isinstance(public_key, ed25519.Ed25519PublicKey):
            return cls(container, cast("PublicKey", public_key), OTHER)
        return cls.of(container)

    @property
    def key_spec(self) -> int:
        """AT_KEYEXCHANGE 1 or AT_SIGNATURE 2 (see ``legacy_spec``)."""
        return legacy_spec(self.algorithm, self.container.entry)


def _public_key(container: Container) -> PublicKeyTypes:
    try:
        return container.public_key
    except NotFound as error:
        raise NotFound(Code.NTE_NO_KEY, f"{container.name} holds no key") from error


# --- opening ---------------------------------------------------------------------------------------------------------


def open_key(storage: Storage, name: str, key_spec: int, settings: KeySettings) -> NCryptKey:
    """The key called ``name``, on any of the four levels.

    Args:
        storage: the smart card provider.
        name: ``""`` = the default container.
        key_spec: AT_KEYEXCHANGE 1, AT_SIGNATURE 2, or 0 for the only key there is.
        settings: flags of the handle.

    Raises:
        NotFound: ``NTE_BAD_KEYSET`` no such container, ``NTE_NO_KEY`` its slot is empty.
        NoCard, ReaderUnavailable, Cancelled, WinError: as ``Choosing.container``.
    """
    wanted = bound(storage, parse_container(name))
    choosing, caller = storage.system.choosing, storage.caller(silent=settings.silent)
    if settings.machine:
        choosing.forget_data(wanted.reader, caller)
    container = choosing.container(wanted, caller)
    key = key_in(storage, Found.of(container), key_spec, settings)
    if key.place is not None:
        take = choosing.names.join if wanted.container else choosing.names.issue
        key.place.lease = take(container.card, container.name)
    return key


def bound(storage: Storage, name: ContainerName) -> ContainerName:
    """``name`` in the reader that the provider is bound to, unless it names a reader itself."""
    return name if name.reader is not None else name._replace(reader=storage.reader)


def key_in(storage: Storage, found: Found, key_spec: int, settings: KeySettings) -> NCryptKey:
    """A handle for a key that was found.

    Raises:
        NotFound: ``NTE_NO_KEY``, the slot that ``key_spec`` names is empty.
    """
    if key_spec not in (0, found.key_spec):
        raise NotFound(Code.NTE_NO_KEY, f"{found.container.name} has no key of key spec {key_spec}")
    place = Place(found.container.card, found.container.name, found.key_spec, found.container)
    return NCryptKey(
        storage, found.algorithm, settings, material=CardKey(found.container, found.public_key), place=place
    )


# --- listing ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class KeyEnumeration:
    """The state of NCryptEnumKeys: the keys as they were at the first call."""

    left: list[NCryptKeyName] = field(repr=False)


def keys_on(storage: Storage, reader: str | None, key_flags: int, *, silent: bool) -> list[NCryptKeyName]:
    """The keys in the containers of all cards, or of the one in ``reader``.

    Raises:
        NoCard, ReaderUnavailable, WinError: as ``Choosing.cards``.
    """
    if key_flags & flags.NCRYPT_MACHINE_KEY_FLAG:
        storage.system.choosing.forget_data(reader or storage.reader, storage.caller(silent=silent))
    cards = storage.cards(silent=silent, reader=reader)
    return [
        NCryptKeyName(found.container.name, found.algorithm.name, found.key_spec, key_flags)
        for card in cards
        for found in keys_of(card)
    ]


def keys_of(card: Card) -> Iterator[Found]:
    """The keys of one card that CNG knows; containers that cannot be read are passed over."""
    for container in card.refresh():
        try:
            yield Found.of(container)
        except (NotFound, BadData, Unsupported):
            continue


def is_ambiguous(storage: Storage, place: Place) -> bool:
    """Whether another inserted card has a container of the same name."""
    for card in storage.system.choosing.cards(None, storage.caller(silent=True)):
        if card.card_id != place.card.card_id and _has(card, place.name):
            return True
    return False


def _has(card: Card, name: str) -> bool:
    try:
        card.container(name)
    except WinError:
        return False
    return True
