"""Making, filling and deleting containers as programs do it: by the user's PIN, within the policy, with the books kept.

A change is one transaction: the PIN comes before it, the counters of ``cardcf`` move with it, and a card that is pulled
out in the middle has lost nothing that was named (see ``calais.cards.gids.bookkeeping`` for the order of steps).

Source: Microsoft's smart card minidriver specification v7.07, 4.3 to 4.5; "Smart Card Group Policy and Registry
Settings" (``AllowPrivate…KeyImport``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from calais.minidriver.administration import KeyOrder, KeyPurpose
from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.containers import AT_SIGNATURE
from calais.minidriver.pins import Role
from calais.provider.broker import is_always
from calais.provider.card import Card
from calais.provider.choosing import read_only_card, storage_full
from calais.provider.container import Container
from calais.provider.policy import Policy
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadParameter, NotFound, Unsupported, WinError

T = TypeVar("T")


def create_container(card: Card, name: str = "") -> Container:
    """Make a container without a key.

    Args:
        card: where.
        name: what it is called; ``""`` = a GUID, or as the card names its containers.

    Raises:
        WinError: ``NTE_EXISTS``, ``NTE_TOKEN_KEYSET_STORAGE_FULL``, ``SCARD_E_READ_ONLY_CARD``; ``NTE_BAD_KEYSET_PARAM``,
            the card cannot keep this name; and as ``PinBroker.perform``.
    """

    def job(driver: Minidriver) -> Container:
        try:
            return entered(card, driver, driver.new_container(name or None))
        except BadParameter as error:
            raise WinError.of(Code.NTE_BAD_KEYSET_PARAM, f"{name!r} cannot be the name of a container") from error

    with _in_providers_words(card):
        return _change(card, "make a container", job)


def make_key(container: Container, order: KeyOrder) -> Container:
    """Generate, or import, the key of ``container``, over the one that was there; the container as it is then.

    On cards with fixed places a container that waits for its first key may be moved to another place.

    Raises:
        WinError: ``NTE_BAD_LEN``, the card has no such keys; ``NTE_BAD_KEYSET``, the container is gone; otherwise as
            ``create_container``.
        Unsupported: the container has a key for another use, and room for one.
    """
    card, index = container.card, container.index

    def job(driver: Minidriver) -> Container:
        _refuse_other_use(entry_of(driver, container), order.purpose)
        return entered(card, driver, driver.container(driver.make_key(index, order)))

    verb = "make a key" if order.key is None else "load a key"
    with _in_providers_words(card):
        return _change(card, verb, job)


def create_with_key(card: Card, name: str, order: KeyOrder) -> Container:
    """``create_container`` and ``make_key`` in one; a container whose key cannot be made is not left behind."""
    container = create_container(card, name)
    try:
        return make_key(container, order)
    except WinError:
        with _forgiving():
            delete_container(container)
        raise


def generate(container: Container, key_spec: int, size_bits: int = 0) -> Container:
    """Make an RSA key on the card in ``container``.

    Args:
        container: where.
        key_spec: AT_KEYEXCHANGE or AT_SIGNATURE.
        size_bits: length in bits, 0 = policy ``DefaultPrivateKeyLenBits``.

    Raises:
        WinError: as ``make_key``; ``NTE_BAD_LEN`` comes before the PIN.
        Unsupported: the card does not generate keys, and policy ``RequireOnCardPrivateKeyGen`` says that it must.
    """
    return make_key(container, rsa_order(container.card, key_spec, size_bits))


def rsa_order(card: Card, key_spec: int, size_bits: int = 0) -> KeyOrder:
    """The order for an RSA key that ``card`` is to have; arguments and errors as ``generate``."""
    bits = size_bits or card.policy.default_key_length_bits
    check_generation(card, key_spec, bits)
    return new_key_order(card, f"RSA{bits}", purpose_of(key_spec))


def new_key_order(card: Card, algorithm: str, purpose: KeyPurpose = KeyPurpose.DEFAULT) -> KeyOrder:
    """The order for a new key: a card that cannot generate it gets one that is made here.

    Whether policy ``RequireOnCardPrivateKeyGen`` allows that has been asked before (``may_generate``).

    Args:
        card: where.
        algorithm: ``"RSA2048"``, ``"P256"`` …
        purpose: what it is for.
    """
    if card.run(lambda driver: driver.capabilities().key_gen):
        return KeyOrder(algorithm, purpose=purpose)
    if algorithm.startswith("RSA"):
        return KeyOrder(key=rsa.generate_private_key(65537, int(algorithm[3:])), purpose=purpose)
    return KeyOrder(key=ec.generate_private_key(_CURVES[algorithm]()), purpose=purpose)


_CURVES: dict[str, type[ec.EllipticCurve]] = {"P256": ec.SECP256R1, "P384": ec.SECP384R1, "P521": ec.SECP521R1}


def may_generate(card: Card, driver: Minidriver) -> bool:
    """Whether the card generates keys, or policy lets them be made here and loaded."""
    return driver.capabilities().key_gen or not card.policy.require_on_card_generation


def check_generation(card: Card, key_spec: int, size_bits: int) -> None:
    """Raise unless ``card`` generates RSA keys of ``size_bits``; nothing is changed."""

    def job(driver: Minidriver) -> None:
        if driver.read_only:
            raise read_only_card(card.label)
        if not may_generate(card, driver):
            step = "set RequireOnCardPrivateKeyGen = 0 in the policy file, and it is made here"
            raise Unsupported(detail=f"{card.label} does not generate keys", next_step=step)
        if f"RSA{size_bits}" not in driver.key_algorithms or not _is_offered(driver, key_spec, size_bits):
            raise _bad_length(card.label, size_bits, driver.key_algorithms)

    card.run(job)


def _bad_length(label: str, size_bits: int, algorithms: tuple[str, ...]) -> WinError:
    lengths = ", ".join(name.removeprefix("RSA") for name in algorithms if name.startswith("RSA")) or "none"
    return WinError.of(
        Code.NTE_BAD_LEN,
        f"{label} has no RSA keys of {size_bits} bits",
        next_step=f"lengths of this card: {lengths}; DefaultPrivateKeyLenBits in the policy file is for keys without one",
    )


def _is_offered(driver: Minidriver, key_spec: int, size_bits: int) -> bool:
    sizes = driver.key_sizes(key_spec)
    if not sizes.minimum_bit_len <= size_bits <= sizes.maximum_bit_len:
        return False
    step = sizes.incremental_bit_len
    return not step or (size_bits - sizes.minimum_bit_len) % step == 0


def import_key(container: Container, key: PrivateKeyTypes, key_spec: int, *, bound: bool = True) -> Container:
    """Put ``key`` into ``container``, where it replaces the one that was there.

    Args:
        container: where.
        key: the key.
        key_spec: AT_KEYEXCHANGE or AT_SIGNATURE.
        bound: whether the import policies bind the caller.

    Raises:
        AccessDenied: ``NTE_PERM``, by policy. WinError: as ``make_key``.
    """
    if bound:
        check_import(container.card.policy, key, key_spec)
    return make_key(container, KeyOrder(key=key, purpose=purpose_of(key_spec)))


def check_import(policy: Policy, key: PrivateKeyTypes, key_spec: int) -> None:
    """Raise unless policy lets ``key`` be imported for ``key_spec``.

    Raises:
        AccessDenied: ``NTE_PERM``.
    """
    name = _IMPORT_POLICY[isinstance(key, rsa.RSAPrivateKey), key_spec == AT_SIGNATURE]
    if not policy.values()[name]:
        detail, step = f"policy {name} forbids it", f"set {name} = 1 in the policy file"
        raise AccessDenied(Code.NTE_PERM, detail, next_step=step)


_IMPORT_POLICY = {  # (is RSA, is for signatures)
    (True, False): "AllowPrivateExchangeKeyImport",
    (True, True): "AllowPrivateSignatureKeyImport",
    (False, False): "AllowPrivateECDHEKeyImport",
    (False, True): "AllowPrivateECDSAKeyImport",
}


def purpose_of(key_spec: int) -> KeyPurpose:
    """What a key of ``key_spec`` is for."""
    return KeyPurpose.SIGNATURE if key_spec == AT_SIGNATURE else KeyPurpose.EXCHANGE


def delete_container(container: Container) -> None:
    """Delete ``container`` with its key, its certificate and its name; another one becomes the default if it was.

    Raises:
        NotFound: ``NTE_BAD_KEYSET``, it is gone already. WinError: as ``create_container``.
        Unsupported: the card cannot delete keys.
    """
    card, index = container.card, container.index

    def job(driver: Minidriver) -> None:
        entry_of(driver, container)
        driver.remove_container(index)

    with _in_providers_words(card):
        _change(card, "delete a container", job)


def write_certificate(container: Container, der: bytes) -> None:
    """Write the certificate of ``container``.

    Raises:
        WinError: ``CRYPT_E_BAD_ENCODE``, not a certificate; ``SCARD_E_WRITE_TOO_MANY``, no room; ``NTE_BAD_KEYSET``,
            the container is gone; and as ``PinBroker.perform``.
        AccessDenied: ``SCARD_E_READ_ONLY_CARD``.
    """
    index = container.index

    def job(driver: Minidriver) -> None:
        try:
            driver.write_certificate(index, der)
        except BadParameter as error:
            raise WinError.of(Code.CRYPT_E_BAD_ENCODE, "this is no certificate (DER)") from error

    with _container_must_be():
        _change(container.card, "write a certificate", job)


def delete_certificate(container: Container) -> None:
    """Delete the certificate of ``container``, if it has one; errors as ``write_certificate``."""
    with _container_must_be():
        _change(container.card, "delete a certificate", lambda driver: driver.delete_certificate(container.index))


def change_file(card: Card, purpose: str, job: Callable[[Minidriver], T]) -> T:
    """Run ``job``, which writes files of ``card``, with the user's PIN; ``purpose`` is what a person is told."""
    return _change(card, purpose, job)


# --- how -------------------------------------------------------------------------------------------------------------


def _change(card: Card, purpose: str, job: Callable[[Minidriver], T]) -> T:
    def admitted(driver: Minidriver) -> T:
        if driver.read_only or not driver.admits_user:
            raise read_only_card(card.label)
        driver.admit_user()
        driver.memo.container_changes += 1
        return job(driver)

    return card.holder(purpose).run(admitted)


def entry_of(driver: Minidriver, container: Container) -> ContainerEntry:
    """What the card says of ``container`` now.

    On a card with fixed places one that waits for its first key need not be on the card.

    Raises:
        NotFound: ``SCARD_E_NO_KEY_CONTAINER``, it is gone, or another one has its place.
    """
    known = container.entry
    try:
        now = driver.container(known.index)
    except NotFound:
        if known.algorithm or not driver.has_fixed_places:
            raise
        return known
    if container.card.identity.has_stable_names and now.name.casefold() != known.name.casefold():
        raise NotFound(Code.SCARD_E_NO_KEY_CONTAINER, f"the card has no container {known.name!r}")
    return now


def _refuse_other_use(now: ContainerEntry, purpose: KeyPurpose) -> None:
    if now.algorithm and purpose is not KeyPurpose.DEFAULT and purpose is not purpose_of(now.key_spec):
        raise Unsupported(
            detail=f"{now.name} has a key for another use, and room for one",
            next_step="make another container",
        )


def entered(card: Card, driver: Minidriver, entry: ContainerEntry) -> Container:
    """The container of ``card`` that ``entry`` is about."""
    always = entry.pin_id != Role.EVERYONE and is_always(driver.pin_info(entry.pin_id).cache_policy.policy)
    return Container(card, entry, always=always)


@contextmanager
def _container_must_be() -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        if error.code != Code.SCARD_E_NO_KEY_CONTAINER:
            raise
        raise NotFound(Code.NTE_BAD_KEYSET, "the container is not on the card any more") from error


@contextmanager
def _in_providers_words(card: Card) -> Iterator[None]:
    """Say what happens to containers with the codes of providers, not of minidrivers."""
    with _container_must_be():
        try:
            yield
        except WinError as error:
            if error.code != Code.SCARD_E_WRITE_TOO_MANY:
                raise
            raise storage_full(card.label) from error


@contextmanager
def _forgiving() -> Iterator[None]:
    try:
        yield
    except WinError:
        return
