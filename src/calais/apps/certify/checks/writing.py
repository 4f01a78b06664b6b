"""Changing the card: keys made, loaded and deleted, certificates written. Only where the card may be changed.

All of it happens in one container that was empty before, and that is emptied again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import INVALID, Seat, Trial, fail
from calais.minidriver import files
from calais.minidriver.api import Minidriver
from calais.minidriver.containers import build_container_info
from calais.minidriver.padding import Pkcs1
from calais.minidriver.pins import Role
from calais.win.codes import Code
from calais.win.errors import Unsupported, WinError

CHAPTER = Chapter("write", "Keys and certificates written")
CHANGING = Need.DESTRUCTIVE | Need.ADMIN | Need.PIN
P256 = 3  # AT_ECDSA_P256
DIGEST = bytes(range(32))
SERIAL_1, SERIAL_2 = 1001, 1002


@contextmanager
def emptied(trial: Trial) -> Iterator[tuple[Seat, int]]:
    """A user of the card, and the index of an empty container, which is emptied again afterwards."""
    seat = trial.seat()
    with opened(trial, seat) as driver:
        index = trial.free_index(driver)
    try:
        yield seat, index
    finally:
        with suppress(WinError, Absent), opened(trial, seat) as driver:
            for remove in (driver.delete_certificate, driver.delete_container):
                with suppress(WinError):
                    remove(index)


@contextmanager
def opened(trial: Trial, seat: Seat) -> Iterator[Minidriver]:
    """A driver with all rights, after a reset."""
    seat.tap.reset()
    with seat.driver() as driver:
        trial.writable(driver)
        trial.allowed("the administrator's key", trial.open_admin, driver)
        trial.present(driver)
        yield driver


@contextmanager
def workshop(trial: Trial) -> Iterator[tuple[Minidriver, int]]:
    """A driver with all rights, and the index of an empty container, which is emptied again afterwards."""
    with emptied(trial) as (seat, index), opened(trial, seat) as driver:
        yield driver, index


def make(trial: Trial, driver: Minidriver, index: int) -> PublicKeyTypes:
    """Generate a P-256 key, or an RSA key on a card that has no such."""
    try:
        driver.key_sizes(P256)
    except Unsupported:
        return trial.allowed("key generation", driver.create_container, index, 1, 2048)
    return trial.allowed("key generation", driver.create_container, index, P256)


def certificate_for(key: PublicKeyTypes, serial: int) -> bytes:
    """A certificate for ``key``, of an authority made for the occasion."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Calais Certify {serial}")])
    start = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key, serial, start, start + timedelta(days=30))  # type: ignore[arg-type]
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


def proves(key: PublicKeyTypes, signature: bytes) -> bool:
    """Whether ``signature`` over the digest is the key's."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, DIGEST, rsa_padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
        elif isinstance(key, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            pair = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
            key.verify(utils.encode_dss_signature(*pair), DIGEST, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except (InvalidSignature, ValueError):
        return False
    return True


def signs(trial: Trial, driver: Minidriver, index: int, key: PublicKeyTypes) -> None:
    """The key of container ``index`` signs, and its signature is that of ``key``."""
    entry = driver.container(index)
    trial.open_for(driver, entry)
    came = driver.sign(index, entry.key_spec, DIGEST, Pkcs1("sha256"))
    trial.holds(proves(key, came), "a signature of the new key", came)


@CHAPTER.check(
    "generate",
    "A generated key is there, its public key is told, and it signs.",
    "minidriver 7.07, CardCreateContainer",
    CHANGING,
)
def _(trial: Trial) -> None:
    with workshop(trial) as (driver, index):
        key = make(trial, driver, index)
        trial.holds(driver.public_key(index) == key, "the public key that generation returned", "another one")
        signs(trial, driver, index, key)
        listed = [entry.index for entry in driver.containers(probe_keys=True)]
        trial.holds(index in listed, f"container {index} in the list", listed)


@CHAPTER.check(
    "info_after_generate",
    "After a key was made anew, CardGetContainerInfo tells the new key, never the old one.",
    "minidriver 7.07, CardGetContainerInfo",
    CHANGING,
)
def _(trial: Trial) -> None:
    with workshop(trial) as (driver, index):
        make(trial, driver, index)
        driver.container_info(index)
        key = make(trial, driver, index)
        due = build_container_info(driver.container(index).key_spec, key)
        trial.equal("Container Info of the new key", driver.container_info(index), due)
        trial.holds(driver.public_key(index) == key, "the new public key", "another one")


@CHAPTER.check(
    "import", "An imported key is there and signs.", "minidriver 7.07, CARD_CREATE_CONTAINER_KEY_IMPORT", CHANGING
)
def _(trial: Trial) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    with workshop(trial) as (driver, index):
        told = trial.allowed("key import", driver.create_container, index, P256, key=private)
        trial.holds(told == private.public_key(), "the public key of the imported key", "another one")
        signs(trial, driver, index, private.public_key())


@CHAPTER.check(
    "delete_container",
    "A deleted key is gone: SCARD_E_NO_KEY_CONTAINER afterwards, also for deleting again.",
    "minidriver 7.07, CardDeleteContainer",
    CHANGING,
)
def _(trial: Trial) -> None:
    with workshop(trial) as (driver, index):
        make(trial, driver, index)
        trial.allowed("deleting a key", driver.delete_container, index)
        for what, call in {"public key": driver.public_key, "info": driver.container_info}.items():
            trial.refused(what, Code.SCARD_E_NO_KEY_CONTAINER, call, index)
        trial.refused("deleting again", Code.SCARD_E_NO_KEY_CONTAINER, driver.delete_container, index)


@CHAPTER.check(
    "create_parameters",
    "Creating a key refuses impossible indices, key specs, sizes and PINs: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardCreateContainerEx",
    CHANGING,
)
def _(trial: Trial) -> None:
    with workshop(trial) as (driver, index):
        invalid = (Code.SCARD_E_INVALID_PARAMETER, Code.SCARD_E_UNSUPPORTED_FEATURE)
        for bad in (-1, 256):
            trial.refused_unsent(f"container {bad}", INVALID, driver.create_container, bad, P256)
        for spec in (0, 9):
            trial.refused(f"key spec {spec}", invalid, driver.create_container, index, spec)
        for bits in (1, 999, 1 << 20):
            trial.refused(f"RSA of {bits} bits", invalid, driver.create_container, index, 1, bits)
        for pin_id in (Role.EVERYONE, Role.ADMIN, 8):
            trial.refused(f"PIN {pin_id}", invalid, driver.create_container, index, P256, pin_id=pin_id)


@CHAPTER.check(
    "certificate",
    "A written certificate is read as it was written, by everybody, as certificate and as file.",
    "minidriver 7.07, CardWriteFile",
    CHANGING,
)
def _(trial: Trial) -> None:
    with workshop(trial) as (driver, index):
        der = certificate_for(make(trial, driver, index), SERIAL_1)
        driver.write_certificate(index, der)
        trial.equal("certificate", driver.certificate(index), der)
        name = files.certificate_file(driver.container(index).key_spec, index)
        trial.equal(name, files.expand_certificate(driver.read_file("mscp", name)), der)
    with trial.driver() as driver:
        trial.holds(driver.certificate(index) is None, "no certificate after it was deleted", "the old one")


@CHAPTER.check(
    "certificate_replaced",
    "After a certificate was replaced nobody reads the old one.",
    "minidriver 7.07, data caching",
    CHANGING,
)
def _(trial: Trial) -> None:
    with workshop(trial) as (driver, index):
        key = make(trial, driver, index)
        first, second = certificate_for(key, SERIAL_1), certificate_for(key, SERIAL_2)
        driver.write_certificate(index, first)
        trial.equal("first certificate", driver.certificate(index), first)
        driver.containers()
        driver.write_certificate(index, second)
        trial.equal("certificate after it was replaced", driver.certificate(index), second)


@CHAPTER.check(
    "seen_by_others",
    "What one context changes, another context sees at its next transaction.",
    "minidriver 7.07, data caching",
    CHANGING,
)
def _(trial: Trial) -> None:
    other = trial.seat()
    with emptied(trial) as (seat, index):
        with opened(trial, seat) as driver:
            key = make(trial, driver, index)
            driver.write_certificate(index, certificate_for(key, SERIAL_1))
        with other.driver() as driver:
            before = driver.read_file(None, "cardcf")
            trial.holds(driver.certificate(index), "a certificate", "none")
        der = certificate_for(key, SERIAL_2)
        with opened(trial, seat) as driver:
            driver.write_certificate(index, der)
        with other.driver() as driver:
            trial.equal("certificate seen by the other context", driver.certificate(index), der)
            after = driver.read_file(None, "cardcf")
    trial.holds(before != after, "another cardcf after the change", after)


@CHAPTER.check(
    "cardcf_moves",
    "Writing a certificate moves a counter in cardcf.",
    "minidriver 7.07, data caching",
    CHANGING,
)
def _(trial: Trial) -> None:
    with workshop(trial) as (driver, index):
        key = make(trial, driver, index)
        for serial in (SERIAL_1, SERIAL_2):
            before = driver.read_file(None, "cardcf")
            driver.write_certificate(index, certificate_for(key, serial))
            after = driver.read_file(None, "cardcf")
            trial.holds(after != before, "cardcf other than before the change", after)


@CHAPTER.check(
    "not_a_certificate",
    "What is no certificate is not written as one: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardWriteFile",
    CHANGING,
)
def _(trial: Trial) -> None:
    with workshop(trial) as (driver, index):
        make(trial, driver, index)
        for data in (b"", b"\x30\x00", b"not a certificate"):
            trial.refused(f"{len(data)} bytes", Code.SCARD_E_INVALID_PARAMETER, driver.write_certificate, index, data)


@CHAPTER.check(
    "free_space_moves",
    "A new container makes the number of free containers smaller by one.",
    "minidriver 7.07, CardQueryFreeSpace",
    CHANGING,
)
def _(trial: Trial) -> None:
    with workshop(trial) as (driver, index):
        before = driver.free_space().key_containers_available
        key = make(trial, driver, index)
        driver.write_certificate(index, certificate_for(key, SERIAL_1))
        after = driver.free_space().key_containers_available
        if 0xFFFFFFFF in (before, after):
            raise Absent("the card does not say how many containers are free")
        trial.holds(after in (before - 1, before) and after <= before, f"{before - 1} free containers", after)
        if driver.containers() and index in [entry.index for entry in driver.containers()]:
            trial.equal("free containers", after, before - 1)


@CHAPTER.check(
    "others_untouched",
    "Making, certifying and deleting one container leaves all others as they were.",
    "minidriver 7.07, CardCreateContainer",
    CHANGING,
)
def _(trial: Trial) -> None:
    with workshop(trial) as (driver, index):
        before = _others(driver, index)
        key = make(trial, driver, index)
        driver.write_certificate(index, certificate_for(key, SERIAL_1))
        trial.equal("the other containers", _others(driver, index), before)
        driver.delete_certificate(index)
        with suppress(Unsupported):
            driver.delete_container(index)
        trial.equal("the other containers afterwards", _others(driver, index), before)


def _others(driver: Minidriver, index: int) -> list[tuple[int, str, bytes | None]]:
    stable = driver.identity().has_stable_names
    return [
        (entry.index, entry.name if stable else "", driver.certificate(entry.index))
        for entry in driver.containers()
        if entry.index != index
    ]


@CHAPTER.check(
    "no_orphans", "After all this nothing on the card is left without what it belongs to.", "house rule", CHANGING
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        trial.writable(driver)
        before = driver.orphans()
    with workshop(trial) as (driver, index):
        key = make(trial, driver, index)
        driver.write_certificate(index, certificate_for(key, SERIAL_1))
        found = [orphan for orphan in driver.orphans() if orphan not in before and orphan.index != index]
        if found:
            fail("no orphans", "; ".join(orphan.detail for orphan in found))
