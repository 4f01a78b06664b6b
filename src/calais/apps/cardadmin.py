"""Making, loading and deleting keys and certificates on a card, and what a newcomer does next with a new key.

Source: SP 800-73-4 part 2, 3.3; PKCS #10 (RFC 2986) for requests; RFC 5280 for certificates.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, load_pem_private_key, pkcs12

from calais.apps.certificates import load_public_key
from calais.cards.piv import spec
from calais.minidriver.administration import Erased, KeyOrder
from calais.minidriver.api import Minidriver
from calais.minidriver.pins import Role
from calais.provider.card import Card, Right
from calais.provider.container import Container
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadData, BadParameter, NotFound, WinError

PIN_POLICIES = {policy.name.lower(): int(policy) for policy in spec.PinPolicy}
TOUCH_POLICIES = {policy.name.lower(): int(policy) for policy in spec.TouchPolicy}
SELF_SIGNED_DAYS = 365
_HASH_OF_BITS: dict[int, type[hashes.SHA384 | hashes.SHA512]] = {384: hashes.SHA384, 521: hashes.SHA512}


def place(card: Card, text: str) -> int | None:
    """The index of the container that a person calls ``text``; ``None`` = a new one, where the card has such.

    Raises:
        BadParameter: the card has no such place.
    """
    return card.run(lambda driver: driver.place(text))


def existing_place(card: Card, text: str) -> int:
    """As ``place``, for a container that is there already.

    Raises:
        BadParameter: also for a new one.
    """
    index = place(card, text)
    if index is None:
        raise BadParameter(detail=f"{text} is no container yet", next_step="See: calais key list --all")
    return index


def wants_admin_key(card: Card) -> bool:
    """Whether who changes keys and certificates shows the administrator's key; else it is the user's PIN."""
    return card.run(lambda driver: driver.changed_by) == Role.ADMIN


def refuse_by_policy(card: Card) -> None:
    """Raise ``AccessDenied`` when policy makes cards of this kind read-only."""
    name = card.run(lambda driver: driver.write_policy)
    if name and not card.policy.values()[name]:
        table, _, key = name.partition(".")
        step = f"Set {key} = true under [{table}] in policy.toml"
        raise AccessDenied(detail=f"policy {name} forbids changes to cards", next_step=step)


def make_key(card: Card, right: Right, index: int | None, order: KeyOrder) -> Container:
    """Make a key on the card, or load one onto it, over the one that was there.

    Args:
        card: the card.
        right: ``card.admin(key)`` or ``card.holder(…)``, as ``wants_admin_key`` says.
        index: container, ``None`` = a new one.
        order: the key.

    Raises:
        AccessDenied: by policy. NotAuthenticated: the management key is wrong. BadParameter, Unsupported, WinError:
        the card.
    """
    refuse_by_policy(card)
    return container_at(card, right.run(lambda driver: driver.make_key(index, order)))


def container_at(card: Card, index: int) -> Container:
    """The container ``index``, with or without certificate.

    Raises:
        NotFound: NTE_BAD_KEYSET.
    """
    for container in card.refresh(probe_keys=True):
        if container.index == index:
            return container
    raise NotFound(Code.NTE_BAD_KEYSET, f"the card has no key in container {index}", next_step="calais key list --all")


def put_certificate(card: Card, right: Right, index: int, der: bytes, *, compress: bool | None = None) -> None:
    """Write a certificate next to its key; errors as ``make_key``."""
    refuse_by_policy(card)
    right.run(lambda driver: driver.write_certificate(index, der, compress=compress))


def delete(card: Card, right: Right, index: int, *, key: bool, certificate: bool) -> Erased:
    """Delete the key, the certificate, or both; what was deleted. Errors as ``make_key``."""
    refuse_by_policy(card)

    def job(driver: Minidriver) -> Erased:
        return driver.erase(index, key=key, certificate=certificate)

    return right.run(job)


def parse_subject(text: str) -> x509.Name:
    """A distinguished name as ``CN=Ada Lovelace,O=Example`` (RFC 4514); plain text is a common name.

    Raises:
        BadParameter: it is none.
    """
    try:
        return x509.Name.from_rfc4514_string(text if "=" in text else f"CN={text}")
    except ValueError as error:
        raise BadParameter(
            detail=f"{text!r} is no name", next_step='Write it as "CN=Ada Lovelace,O=Example"'
        ) from error


def make_request(container: Container, subject: x509.Name) -> bytes:
    """A certificate request for the key, signed by it, in PEM; the card wants its PIN.

    Raises:
        WinError: whatever the key raises.
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(container.key, _hash(container)).public_bytes(Encoding.PEM)


def make_self_signed(container: Container, subject: x509.Name, now: datetime, days: int = SELF_SIGNED_DAYS) -> bytes:
    """A certificate that the key issues to itself, DER; good for trying things out.

    Raises:
        WinError: whatever the key raises.
    """
    key = container.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return builder.sign(key, _hash(container)).public_bytes(Encoding.DER)


def _hash(container: Container) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """As strong as the key: P-384 goes with SHA-384 (SP 800-78-4, table 3-2), P-521 with SHA-512; Ed25519 has its own."""
    if container.entry.algorithm == "Ed25519":
        return None
    return _HASH_OF_BITS.get(container.entry.size_bits, hashes.SHA256)()


def load_key(path: Path, password: bytes | None) -> tuple[PrivateKeyTypes, bytes | None]:
    """The private key in a file (PEM, DER or PKCS #12), and the certificate beside it there (DER).

    Raises:
        BadData: there is none, or the password is wrong or missing.
    """
    data = path.read_bytes()
    try:
        if b"-----BEGIN" in data:
            return load_pem_private_key(data, password), _certificate_beside(data)
        return _load_binary(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        step = "Give the file's password with --password-file" if password is None else ""
        raise BadData(Code.ERROR_INVALID_DATA, f"{path}: no private key can be read from it", next_step=step) from error


def _certificate_beside(pem: bytes) -> bytes | None:
    if b"-----BEGIN CERTIFICATE" not in pem:
        return None
    return x509.load_pem_x509_certificates(pem)[0].public_bytes(Encoding.DER)


def _load_binary(data: bytes, password: bytes | None) -> tuple[PrivateKeyTypes, bytes | None]:
    try:
        return load_der_private_key(data, password), None
    except (ValueError, TypeError):
        key, certificate, others = pkcs12.load_key_and_certificates(data, password)
    if key is None:
        raise ValueError("no key in the PKCS #12 file")
    found = certificate or next(iter(others), None)
    return key, found.public_bytes(Encoding.DER) if found else None


def require_match(container: Container, der: bytes) -> None:
    """Raise unless the certificate is of the container's key.

    Raises:
        WinError: NTE_BAD_PUBLIC_KEY.
    """
    if load_public_key(der) != container.key.public_key():
        detail = f"the certificate is not of the key in {container.entry.reference}"
        raise WinError(Code.NTE_BAD_PUBLIC_KEY, detail, next_step="Write it all the same with --force")
