"""Keys that come to be: created, imported, finished and deleted.

Source: Microsoft, ``NCryptCreatePersistedKey``, ``NCryptFinalizeKey``, ``NCryptImportKey``, ``NCryptDeleteKey``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from calais.minidriver.administration import KeyOrder, KeyPurpose
from calais.minidriver.api import Minidriver
from calais.minidriver.pins import Role
from calais.provider import containeradmin
from calais.provider.caller import Caller
from calais.provider.card import Card
from calais.provider.choosing import read_only_card
from calais.provider.container import Container
from calais.provider.ksp import errors
from calais.provider.ksp.algorithms import RSA_LEAST, KeyAlgorithm, algorithm_of
from calais.provider.ksp.cardkeys import CardKey, Found, bound
from calais.provider.ksp.handles import Draft, KeySettings, NCryptKey, Place
from calais.provider.ksp.keyblobs import Parsed
from calais.provider.ksp.memory import ImportedInMemory, MemoryKey, NewInMemory
from calais.provider.ksp.storage import Storage, is_missing
from calais.provider.names import ContainerName, parse_container
from calais.win import flags
from calais.win.blobs import PrivateKey
from calais.win.codes import Code
from calais.win.errors import BadData, NotFound, Unsupported, WinError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key that is to be made under a name: ``key_spec`` 1 or 2; ``overwrite``: over one that is there."""

    name: str
    algorithm: KeyAlgorithm
    key_spec: int
    overwrite: bool


# --- in memory -------------------------------------------------------------------------------------------------------


def new_nameless(storage: Storage, algorithm: KeyAlgorithm, settings: KeySettings) -> NCryptKey:
    """An unfinished key in memory, whichever provider was asked."""
    return NCryptKey(storage.in_memory(), algorithm, settings, draft=NewInMemory())


def imported_nameless(storage: Storage, parsed: Parsed, settings: KeySettings, *, finish: bool) -> NCryptKey:
    """The key of a blob in memory, finished or not.

    Raises:
        Unsupported: ``NTE_NOT_SUPPORTED``, a kind of key that CNG does not have.
    """
    algorithm = algorithm_of(parsed.public, parsed.scheme)
    memory = storage.in_memory()
    if parsed.private is not None and not finish:
        settings.length = parsed.public.key_size
        return NCryptKey(memory, algorithm, settings, draft=ImportedInMemory(parsed.private))
    return NCryptKey(memory, algorithm, settings, material=MemoryKey(parsed.public, parsed.private))


# --- where a key goes ------------------------------------------------------------------------------------------------


def slot_for(algorithm: KeyAlgorithm, key_spec: int) -> int:
    """The slot of a new key, which ``key_spec`` 0 leaves to the algorithm.

    Raises:
        BadParameter: ECDSA for exchange, ECDH for signatures.
    """
    if key_spec == 0:
        return algorithm.key_spec
    if not algorithm.is_rsa and key_spec != algorithm.key_spec:
        raise errors.bad_parameter(f"{algorithm.name} keys have key spec {algorithm.key_spec}")
    return key_spec


def name_for_new(storage: Storage, name: str) -> ContainerName:
    """``name`` taken apart.

    Raises:
        BadParameter: ``NTE_INVALID_PARAMETER``, too long, or a backslash outside the two reader forms.
    """
    try:
        return bound(storage, parse_container(name))
    except WinError as error:
        raise errors.bad_parameter(error.detail) from error


def place_for(storage: Storage, wanted: Wanted, caller: Caller) -> Place:
    """Where a new key goes: into the container of that name if its slot is free, else into a new one.

    Raises:
        WinError: ``NTE_EXISTS``, and as ``Choosing.room``.
    """
    name = name_for_new(storage, wanted.name)
    existing = _existing(storage, name, caller) if name.container else None
    if existing is not None and (wanted.overwrite or _is_free(existing)):
        _check_slot(existing, wanted)
        return Place(existing.card, existing.name, wanted.key_spec, existing)
    return Place(storage.system.choosing.room(name, caller), name.container, wanted.key_spec)


def _existing(storage: Storage, name: ContainerName, caller: Caller) -> Container | None:
    try:
        return storage.system.choosing.container(name, caller)
    except NotFound as error:
        if not is_missing(error):
            raise
        return None


def _is_free(container: Container) -> bool:
    return _spec_in(container) == 0


def _spec_in(container: Container) -> int:
    """Key spec of the key in ``container``, 0 = it is empty, -1 = a kind of key that CNG does not have."""
    try:
        return Found.of(container).key_spec
    except NotFound:
        return 0
    except (Unsupported, BadData):
        return -1


def _check_slot(container: Container, wanted: Wanted) -> None:
    """Containers have one key; over a key of the other slot nothing is written."""
    if _spec_in(container) not in (0, wanted.key_spec):
        raise errors.not_supported(f"{container.name} has a key for another use, and room for one")


# --- on a card -------------------------------------------------------------------------------------------------------


def new_on_card(storage: Storage, wanted: Wanted, settings: KeySettings) -> NCryptKey:
    """An unfinished key on a card; the card is untouched.

    Raises:
        WinError: as ``place_for`` and ``check_generation``.
    """
    place = place_for(storage, wanted, storage.caller(silent=settings.silent))
    check_generation(place.card, wanted.algorithm, place.key_spec, settings.length)
    return NCryptKey(storage, wanted.algorithm, settings, draft=NewOnCard(), place=place)


def imported_on_card(storage: Storage, wanted: Wanted, private: PrivateKey, settings: KeySettings) -> NCryptKey:
    """An unfinished key on a card that is a key of the program's; the card is untouched.

    Raises:
        AccessDenied: ``NTE_PERM``, by policy.
        WinError: as ``place_for``.
    """
    containeradmin.check_import(storage.system.policy, private, wanted.key_spec)
    place = place_for(storage, wanted, storage.caller(silent=settings.silent))
    settings.length = private.key_size
    return NCryptKey(storage, wanted.algorithm, settings, draft=ImportedOnCard(private), place=place)


def order_name(algorithm: KeyAlgorithm, bits: int) -> str:
    """A kind of key, as cards call it."""
    return f"RSA{bits}" if algorithm.curve is None else f"P{algorithm.curve.key_size}"


def check_generation(card: Card, algorithm: KeyAlgorithm, key_spec: int, bits: int) -> None:
    """Raise unless ``card`` makes such keys; ``bits`` 0 = of any length, for RSA keys whose length is said later.

    Raises:
        AccessDenied: ``SCARD_E_READ_ONLY_CARD``.
        Unsupported: ``NTE_NOT_SUPPORTED``.
    """

    def job(driver: Minidriver) -> bool:
        if driver.read_only:
            raise read_only_card(card.label)
        if not containeradmin.may_generate(card, driver):
            return False
        if algorithm.is_rsa and not bits:
            return any(name.startswith("RSA") for name in driver.key_algorithms)
        if order_name(algorithm, bits) not in driver.key_algorithms:
            return False
        sizes = driver.key_sizes(algorithm.card_spec or key_spec)
        return not algorithm.is_rsa or sizes.minimum_bit_len <= bits <= sizes.maximum_bit_len

    if not card.run(job):
        raise errors.not_supported(f"{card.label} makes no {algorithm.name} keys of this length")


@dataclass(frozen=True, slots=True)
class NewOnCard:
    """A draft: the card makes the key."""

    def finish(self, key: NCryptKey, *, silent: bool) -> CardKey:
        """See ``handles.Draft``."""
        bits = key.settings.length or key.storage.system.policy.default_key_length_bits
        if key.place is None:
            raise errors.bad_handle("this key is on no card")
        if not bits:
            raise errors.not_supported("DefaultPrivateKeyLenBits is 0, and nobody has given a length")
        check_generation(key.place.card, key.algorithm, key.place.key_spec, bits)
        order = containeradmin.new_key_order(key.place.card, order_name(key.algorithm, bits))
        return _made(key, order, silent=silent)


@dataclass(frozen=True, slots=True)
class ImportedOnCard:
    """A draft: the key goes onto the card."""

    private: PrivateKey = field(repr=False)

    def finish(self, key: NCryptKey, *, silent: bool) -> CardKey:
        """See ``handles.Draft``."""
        return _made(key, KeyOrder(key=self.private), silent=silent)


def _made(key: NCryptKey, order: KeyOrder, *, silent: bool) -> CardKey:
    """Have the card make or take the key; the handle's PIN comes first."""
    place = key.place
    if place is None:
        raise errors.bad_handle("this key is on no card")
    order = KeyOrder(order.algorithm, order.key, _purpose(place))
    caller = key.caller(silent=silent)
    card = place.card.seen_by(caller)
    if key.settings.pin is not None:
        card.broker.give(card, Role.USER, key.settings.pin)  # who changes the card, whatever PIN the old key wants
    with errors.on_card():
        made = _ordered(place, order, caller)
        material = _material(made)
    place.container, place.name = made, made.name
    return material


def _purpose(place: Place) -> KeyPurpose:
    """What the key is for; one that replaces another is for the same, as ``_check_slot`` has made sure."""
    replaces = place.container is not None and place.container.entry.algorithm
    return KeyPurpose.DEFAULT if replaces else containeradmin.purpose_of(place.key_spec)


def _ordered(place: Place, order: KeyOrder, caller: Caller) -> Container:
    if place.container is None:
        return containeradmin.create_with_key(place.card.seen_by(caller), place.name, order)
    return containeradmin.make_key(place.container.seen_by(caller), order)


def _material(container: Container) -> CardKey:
    return CardKey(container, Found.of(container).public_key)


# --- lengths ---------------------------------------------------------------------------------------------------------


def check_length(key: NCryptKey, bits: int) -> None:
    """Raise unless the unfinished ``key`` can have ``bits``.

    Raises:
        Unsupported: ``NTE_NOT_SUPPORTED``, not on this card.
        BadParameter: ``NTE_INVALID_PARAMETER``, no length of this algorithm.
        WinError: ``NTE_BAD_LEN``, a length of RSA that the library does not make.
    """
    if key.place is not None and not isinstance(key.draft, ImportedOnCard):
        check_generation(key.place.card, key.algorithm, key.place.key_spec, bits)
    if key.algorithm.curve is not None and bits != key.algorithm.curve.key_size and key.place is not None:
        raise errors.not_supported(f"{key.algorithm.name} keys have {key.algorithm.curve.key_size} bits")
    if key.place is None:
        _check_in_memory(key.algorithm, bits)
    if _is_import(key.draft) and bits != key.settings.length:
        raise errors.bad_parameter(f"the key that waits has {key.settings.length} bits")


def _is_import(draft: Draft | None) -> bool:
    return isinstance(draft, ImportedInMemory | ImportedOnCard)


def _check_in_memory(algorithm: KeyAlgorithm, bits: int) -> None:
    lengths = algorithm.lengths
    step = lengths.increment or 1
    if not lengths.min_length <= bits <= lengths.max_length or (bits - lengths.min_length) % step:
        raise errors.bad_parameter(f"{algorithm.name} keys do not have {bits} bits")
    if algorithm.is_rsa and bits < RSA_LEAST:
        raise WinError.of(Code.NTE_BAD_LEN, f"RSA keys of {bits} bits are too short to be made")


# --- deleting --------------------------------------------------------------------------------------------------------


def delete(key: NCryptKey, *, silent: bool) -> None:
    """Delete the key, on a card with its container and certificate, and free the handle.

    Raises:
        Unsupported: ``SCARD_E_UNSUPPORTED_FEATURE``, the card cannot.
        WinError: ``NTE_BAD_KEYSET``, the container is gone; and as ``PinBroker.perform``. The handle stays.
    """
    if key.place is not None and key.place.container is not None and key.draft is None:
        key.place.card.run(_check_deletion)
        with errors.on_card():
            containeradmin.delete_container(key.place.container.seen_by(key.caller(silent=silent)))
    key.close()


def _check_deletion(driver: Minidriver) -> None:
    """On cards whose keys are their issuer's (PIV), programs delete none, even where they could make them."""
    if driver.changed_by == Role.ADMIN:
        raise Unsupported(
            detail="the keys of this card are not for programs to delete", next_step="calais card delete does it"
        )


USAGE_BY_SPEC = {flags.AT_KEYEXCHANGE: 3, flags.AT_SIGNATURE: flags.NCRYPT_ALLOW_SIGNING_FLAG}


def usage_of(key: NCryptKey) -> int:
    """NCRYPT_ALLOW_* of ``key``: as was said, else by its algorithm; of a finished key on a card by its slot."""
    if key.place is not None and key.draft is None:
        return USAGE_BY_SPEC[key.place.key_spec] if key.algorithm.is_rsa else key.algorithm.usage
    return key.algorithm.usage if key.settings.usage is None else key.settings.usage
