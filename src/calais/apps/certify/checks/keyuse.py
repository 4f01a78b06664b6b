"""Decryption and key agreement."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import INVALID, Trial
from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.containers import AT_KEYEXCHANGE
from calais.minidriver.padding import DecryptionPadding, Oaep, Pkcs1, Raw
from calais.win.codes import Code
from calais.win.errors import NotFound, Unsupported

CHAPTER = Chapter("use", "Decryption and key agreement")
MESSAGE = b"Meet me at the Gare de Calais-Ville"


def _rsa(trial: Trial, driver: Minidriver) -> Iterator[tuple[ContainerEntry, rsa.RSAPublicKey]]:
    """Each RSA key for exchange, opened.

    Raises:
        Absent: there is none.
    """
    found = 0
    for entry in driver.containers():
        key = driver.public_key(entry.index)
        if entry.key_spec == AT_KEYEXCHANGE and isinstance(key, rsa.RSAPublicKey):
            found += 1
            trial.open_for(driver, entry)
            yield entry, key
    if not found:
        raise Absent("the card has no RSA key for exchange")


def _decrypts(
    trial: Trial, name: str, encrypt: padding.AsymmetricPadding, remove: DecryptionPadding, message: bytes = MESSAGE
) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            secret = key.encrypt(message, encrypt)
            came = trial.allowed(name, driver.decrypt, entry.index, entry.key_spec, secret, remove)
            trial.equal(f"{name} message", came, message)


@CHAPTER.check(
    "pkcs1", "PKCS#1 v1.5 is decrypted and its padding removed.", "minidriver 7.07, CardRSADecrypt", Need.PIN
)
def _(trial: Trial) -> None:
    for message in (MESSAGE, b"", b"\0\0"):
        _decrypts(trial, "PKCS#1", padding.PKCS1v15(), Pkcs1(), message)


@CHAPTER.check(
    "oaep",
    "OAEP is decrypted with the asked hash and label.",
    "minidriver 7.07, CardRSADecrypt; RFC 8017, 7.1",
    Need.PIN,
)
def _(trial: Trial) -> None:
    for name, algorithm, label in (("sha1", hashes.SHA1(), b""), ("sha256", hashes.SHA256(), b"label")):  # noqa: S303
        scheme = padding.OAEP(padding.MGF1(algorithm), algorithm, label)
        _decrypts(trial, f"OAEP with {name}", scheme, Oaep(name, name, label))


@CHAPTER.check(
    "raw",
    "Without padding the block comes as it is, as long as the modulus, big-endian.",
    "minidriver 7.07, CARD_PADDING_NONE",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            numbers, size = key.public_numbers(), key.key_size // 8
            block = b"\0\2" + os.urandom(size - 2)
            secret = pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(size, "big")
            trial.equal("block", driver.decrypt(entry.index, entry.key_spec, secret, Raw()), block)


@CHAPTER.check(
    "short_data",
    "Data shorter than the modulus: SCARD_E_INSUFFICIENT_BUFFER; longer: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardRSADecrypt",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            size = key.key_size // 8
            for length, code in (
                (0, Code.SCARD_E_INSUFFICIENT_BUFFER),
                (size - 1, Code.SCARD_E_INSUFFICIENT_BUFFER),
                (size + 1, Code.SCARD_E_INVALID_PARAMETER),
            ):
                trial.refused_unsent(
                    f"{length} bytes", code, driver.decrypt, entry.index, entry.key_spec, bytes(length), Pkcs1()
                )


@CHAPTER.check(
    "bad_padding", "Wrong padding: SCARD_F_INTERNAL_ERROR, whatever is wrong with it.", "CVE-2023-5992", Need.PIN
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            numbers, size = key.public_numbers(), key.key_size // 8
            for block in (b"\0\1" + b"\xff" * (size - 2), b"\0\2" + b"\xff" * (size - 2), b"\0\2\0" + bytes(size - 3)):
                secret = pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(size, "big")
                trial.refused(
                    "wrong padding",
                    Code.SCARD_F_INTERNAL_ERROR,
                    driver.decrypt,
                    entry.index,
                    entry.key_spec,
                    secret,
                    Pkcs1(),
                )


@CHAPTER.check(
    "wants_pin",
    "A key behind a PIN decrypts nothing without it: SCARD_W_SECURITY_VIOLATION.",
    "minidriver 7.07, CardRSADecrypt",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = trial.a_container(
            driver,
            "RSA key for exchange behind a PIN",
            lambda one: bool(one.pin_id) and one.algorithm == "RSA" and one.key_spec == AT_KEYEXCHANGE,
        )
        trial.refused(
            "decrypting",
            Code.SCARD_W_SECURITY_VIOLATION,
            driver.decrypt,
            entry.index,
            entry.key_spec,
            b"\x01" * (entry.size_bits // 8),
            Raw(),
        )


@CHAPTER.check(
    "decrypt_parameters",
    "Decryption refuses impossible indices and key specs, and containers that are not there.",
    "minidriver 7.07, CardRSADecrypt",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = trial.a_container(driver, "container")
        used = {one.index for one in driver.containers(probe_keys=True)}
        empty = next(index for index in range(255, -1, -1) if index not in used)
        block = bytes(256)
        trial.refused_unsent("container 256", INVALID, driver.decrypt, 256, 1, block, Pkcs1())
        trial.refused_unsent("key spec 0", INVALID, driver.decrypt, entry.index, 0, block, Pkcs1())
        trial.refused_unsent("key spec 9", INVALID, driver.decrypt, entry.index, 9, block, Pkcs1())
        trial.refused(f"container {empty}", NotFound(2148532272).code, driver.decrypt, empty, 1, block, Pkcs1())


# --- key agreement ---------------------------------------------------------------------------------------------------


def _ecdh(trial: Trial, driver: Minidriver) -> tuple[ContainerEntry, ec.EllipticCurvePublicKey]:
    for entry in driver.containers():
        key = driver.public_key(entry.index)
        if entry.key_spec == AT_KEYEXCHANGE and isinstance(key, ec.EllipticCurvePublicKey):
            trial.open_for(driver, entry)
            return entry, key
    raise Absent("the card has no EC key for key agreement")


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@CHAPTER.check(
    "agreement",
    "The shared secret is the x-coordinate, as wide as the field, big-endian.",
    "minidriver 7.07, CardConstructDHAgreement; SP 800-56A, 5.7.1.2",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry, key = _ecdh(trial, driver)
        for _again in range(2):
            ours = ec.generate_private_key(key.curve)
            trial.open_for(driver, entry)
            came = trial.allowed("key agreement", driver.agree, entry.index, _point(ours.public_key()))
            trial.equal("shared secret", came, ours.exchange(ec.ECDH(), key))


@CHAPTER.check(
    "agreement_points",
    "A peer's key that is no point of the curve: SCARD_E_INVALID_PARAMETER, nothing is sent.",
    "minidriver 7.07, CardConstructDHAgreement",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry, key = _ecdh(trial, driver)
        good = _point(ec.generate_private_key(key.curve).public_key())
        off_curve = good[:-1] + bytes((good[-1] ^ 1,))
        for what, peer in {
            "nothing": b"",
            "a point cut short": good[:-1],
            "a compressed form": b"\2" + good[1 : 1 + len(good) // 2],
            "a point off the curve": off_curve,
            "zeros": b"\4" + bytes(len(good) - 1),
        }.items():
            trial.refused_unsent(what, INVALID, driver.agree, entry.index, peer)


@CHAPTER.check(
    "agreement_with_rsa",
    "An RSA key agrees on nothing: SCARD_E_UNSUPPORTED_FEATURE.",
    "minidriver 7.07, CardConstructDHAgreement",
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = trial.a_container(driver, "RSA key", lambda one: one.algorithm == "RSA")
        peer = _point(ec.generate_private_key(ec.SECP256R1()).public_key())
        trial.refused(
            "key agreement",
            (Unsupported.default_code, Code.SCARD_E_INVALID_PARAMETER, Code.SCARD_E_NO_KEY_CONTAINER),
            driver.agree,
            entry.index,
            peer,
        )
