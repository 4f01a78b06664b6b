"""Signatures: form, byte order, padding, and what must be refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import ParamSpec

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from calais.apps.certify.rules import Absent, Chapter, Need
from calais.apps.certify.trial import INVALID, Trial
from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.padding import Pkcs1, Pss, Raw, encode_signature
from calais.win.codes import Code
from calais.win.errors import Unsupported

P = ParamSpec("P")
CHAPTER = Chapter("sign", "Signatures")
MESSAGE = b"The quick brown fox jumps over the lazy dog"
HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - cards and Windows know it
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def digest_of(name: str) -> bytes:
    """The digest of the message."""
    return hashlib.new(name, MESSAGE, usedforsecurity=False).digest()


def entries(trial: Trial, driver: Minidriver, kind: type) -> Iterator[tuple[ContainerEntry, object]]:
    """Each container with a key of ``kind``, opened.

    Raises:
        Absent: there is none.
    """
    found = 0
    for entry in driver.containers():
        key = driver.public_key(entry.index)
        if isinstance(key, kind):
            found += 1
            trial.open_for(driver, entry)
            yield entry, key
    if not found:
        raise Absent(f"the card has no {'RSA' if kind is rsa.RSAPublicKey else 'EC'} key")


def _rsa(trial: Trial, driver: Minidriver) -> Iterator[tuple[ContainerEntry, rsa.RSAPublicKey]]:
    for entry, key in entries(trial, driver, rsa.RSAPublicKey):
        assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101 - what entries chose
        yield entry, key


def _ec(trial: Trial, driver: Minidriver) -> Iterator[tuple[ContainerEntry, ec.EllipticCurvePublicKey]]:
    for entry, key in entries(trial, driver, ec.EllipticCurvePublicKey):
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - what entries chose
        yield entry, key


def _verified(check: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
    try:
        check(*args, **kwargs)
    except (InvalidSignature, ValueError):
        return False
    return True


def _block(key: rsa.RSAPublicKey, signature: bytes) -> bytes:
    """The padded block in a signature."""
    numbers = key.public_numbers()
    return pow(int.from_bytes(signature, "big"), numbers.e, numbers.n).to_bytes(key.key_size // 8, "big")


@CHAPTER.check("rsa_length", "An RSA signature is as long as the modulus.", "minidriver 7.07, CardSignData", Need.PIN)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            came = driver.sign(entry.index, entry.key_spec, digest_of("sha256"), Pkcs1("sha256"))
            trial.equal("bytes of the signature", len(came), key.key_size // 8)


@CHAPTER.check(
    "rsa_byte_order",
    "RSA signatures are big-endian below the Windows-named calls, which turn them round.",
    "minidriver 7.07, CardSignData; RFC 8017, 8.2",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            came = driver.sign(entry.index, entry.key_spec, digest_of("sha256"), Pkcs1("sha256"))
            turned = _block(key, came[::-1]).startswith(b"\x00\x01\xff")
            trial.holds(not turned, "a signature in big-endian order", "the same in little-endian order")


@CHAPTER.check(
    "rsa_pkcs1_padding",
    "PKCS#1 v1.5: 00 01 FF… 00, the hash's DigestInfo, the digest; for each hash.",
    "RFC 8017, 9.2",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            for name in HASHES:
                trial.open_for(driver, entry)
                came = driver.sign(entry.index, entry.key_spec, digest_of(name), Pkcs1(name))
                _has_block(trial, key, came, Pkcs1(name), digest_of(name))


def _has_block(trial: Trial, key: rsa.RSAPublicKey, came: bytes, padded: Pkcs1 | Raw, data: bytes) -> None:
    """The signature holds the right block, in whichever byte order it came."""
    due = encode_signature(padded, data, key.key_size // 8, bytes)
    blocks = (_block(key, came), _block(key, came[::-1]))
    trial.holds(due in blocks, f"block {due.hex().upper()[:24]}…{due.hex().upper()[-80:]}", blocks[0])


@CHAPTER.check(
    "rsa_pkcs1_bare",
    "PKCS#1 v1.5 without a hash name adds no DigestInfo: 36 bytes of SHA-1 and MD5 go in as they are.",
    "minidriver 7.07, CardSignData (CALG_SSL3_SHAMD5)",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            came = driver.sign(entry.index, entry.key_spec, bytes(range(36)), Pkcs1())
            _has_block(trial, key, came, Pkcs1(), bytes(range(36)))


@CHAPTER.check(
    "rsa_pss", "PSS with the asked hash and salt length; two signatures differ.", "RFC 8017, 8.1 and 9.1", Need.PIN
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            for name, salt in (("sha256", 32), ("sha1", 20), ("sha256", 0)):
                trial.open_for(driver, entry)
                came = trial.allowed("PSS", driver.sign, entry.index, entry.key_spec, digest_of(name), Pss(name, salt))
                scheme = padding.PSS(padding.MGF1(HASHES[name]), salt)
                good = _verified(key.verify, came, MESSAGE, scheme, HASHES[name])
                trial.holds(good, f"a PSS signature with {name} and {salt} bytes of salt", came)


@CHAPTER.check(
    "rsa_raw", "Without padding the block is signed as it is.", "minidriver 7.07, CARD_PADDING_NONE", Need.PIN
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            block = b"\0" + bytes(range(1, 256)) * 2
            block = block[: key.key_size // 8]
            came = driver.sign(entry.index, entry.key_spec, block, Raw())
            _has_block(trial, key, came, Raw(), block)


@CHAPTER.check(
    "ecdsa_form",
    "ECDSA signatures are r and s of the field's width, one after the other, not DER.",
    "minidriver 7.07, CardSignData; cardmod.h",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _ec(trial, driver):
            came = driver.sign(entry.index, entry.key_spec, digest_of("sha256"), Raw())
            trial.equal("bytes of r and s", len(came), 2 * ((key.key_size + 7) // 8))


@CHAPTER.check(
    "ecdsa_verifies", "An ECDSA signature is one of the key's, over the digest.", "FIPS 186-4, 6.4", Need.PIN
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _ec(trial, driver):
            came = driver.sign(entry.index, entry.key_spec, digest_of("sha256"), Raw())
            scheme = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
            forms = [der for der in (_der(came), came) if der]
            good = any(_verified(key.verify, der, digest_of("sha256"), scheme) for der in forms)
            trial.holds(good, "a signature that verifies", came)


def _der(raw: bytes) -> bytes:
    half = len(raw) // 2
    r, s = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    return utils.encode_dss_signature(r, s) if r and s else b""


@CHAPTER.check(
    "every_key_signs",
    "Every key signs, and its certificate's or container's public key verifies it.",
    "minidriver 7.07, CardSignData",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry in driver.containers():
            key = driver.public_key(entry.index)
            if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
                continue
            trial.open_for(driver, entry)
            data = MESSAGE if isinstance(key, ed25519.Ed25519PublicKey) else digest_of("sha256")
            came = driver.sign(entry.index, entry.key_spec, data, Pkcs1("sha256"))
            trial.holds(came, f"a signature of container {entry.index}", came)


@CHAPTER.check(
    "always_prompt",
    "A key whose PIN is to be presented each time signs once for each PIN, and not twice.",
    "minidriver 7.07, PinCacheAlwaysPrompt; SP 800-73-4 part 1, 3.2.2",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = trial.a_container(driver, "key whose PIN is wanted each time", lambda one: _always(driver, one))
        trial.open_for(driver, entry)
        driver.sign(entry.index, entry.key_spec, digest_of("sha256"), Pkcs1("sha256"))
        trial.refused(
            "the second signature",
            Code.SCARD_W_SECURITY_VIOLATION,
            driver.sign,
            entry.index,
            entry.key_spec,
            digest_of("sha256"),
            Pkcs1("sha256"),
        )
        trial.open_for(driver, entry)
        driver.sign(entry.index, entry.key_spec, digest_of("sha256"), Pkcs1("sha256"))


def _always(driver: Minidriver, entry: ContainerEntry) -> bool:
    return bool(entry.pin_id) and driver.pin_info(entry.pin_id).cache_policy.policy == 3


# --- what must be refused --------------------------------------------------------------------------------------------


@CHAPTER.check(
    "bad_index", "A container index outside 0 to 255: SCARD_E_INVALID_PARAMETER.", "minidriver 7.07, CardSignData"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for index in (-1, 256):
            trial.refused_unsent(
                f"container {index}", INVALID, driver.sign, index, 1, digest_of("sha256"), Pkcs1("sha256")
            )


@CHAPTER.check("bad_key_spec", "A key spec outside 1 to 8: SCARD_E_INVALID_PARAMETER.", "minidriver 7.07, CardSignData")
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        entry = trial.a_container(driver, "container")
        for spec in (-1, 0, 9):
            trial.refused_unsent(
                f"key spec {spec}", INVALID, driver.sign, entry.index, spec, digest_of("sha256"), Pkcs1("sha256")
            )


@CHAPTER.check(
    "empty_container", "A container that is not there: SCARD_E_NO_KEY_CONTAINER.", "minidriver 7.07, CardSignData"
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        used = {entry.index for entry in driver.containers(probe_keys=True)}
        index = next(index for index in range(255, -1, -1) if index not in used)
        trial.refused(
            f"container {index}",
            Code.SCARD_E_NO_KEY_CONTAINER,
            driver.sign,
            index,
            1,
            digest_of("sha256"),
            Pkcs1("sha256"),
        )


@CHAPTER.check(
    "other_key_spec",
    "A key spec of which the container has no key: SCARD_E_NO_KEY_CONTAINER.",
    "minidriver 7.07, CardSignData",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry in driver.containers():
            trial.open_for(driver, entry)
            other = 3 - entry.key_spec
            trial.refused(
                f"key spec {other} of container {entry.index}",
                Code.SCARD_E_NO_KEY_CONTAINER,
                driver.sign,
                entry.index,
                other,
                digest_of("sha256"),
                Pkcs1("sha256"),
            )


@CHAPTER.check(
    "digest_length",
    "A digest that has not its hash's length, or no data at all: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardSignData",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, _ in _rsa(trial, driver):
            for data in (b"", bytes(31), bytes(33)):
                trial.refused(
                    f"{len(data)} bytes as SHA-256",
                    Code.SCARD_E_INVALID_PARAMETER,
                    driver.sign,
                    entry.index,
                    entry.key_spec,
                    data,
                    Pkcs1("sha256"),
                )


@CHAPTER.check(
    "block_length",
    "Data too long for the modulus, or an unpadded block of another length: SCARD_E_INVALID_PARAMETER.",
    "minidriver 7.07, CardSignData",
    Need.PIN,
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            size = key.key_size // 8
            for data, padded in ((bytes(size - 10), Pkcs1()), (bytes(size - 1), Raw()), (bytes(size + 1), Raw())):
                trial.refused(
                    f"{len(data)} bytes, {padded}",
                    Code.SCARD_E_INVALID_PARAMETER,
                    driver.sign,
                    entry.index,
                    entry.key_spec,
                    data,
                    padded,
                )


@CHAPTER.check(
    "unknown_hash", "A hash that nobody knows: SCARD_E_UNSUPPORTED_FEATURE.", "minidriver 7.07, CardSignData", Need.PIN
)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, _ in _rsa(trial, driver):
            for padded in (Pkcs1("whirlpool"), Pss("whirlpool", 20)):
                trial.refused(
                    f"{padded}", Unsupported.default_code, driver.sign, entry.index, entry.key_spec, bytes(64), padded
                )


@CHAPTER.check("salt_too_long", "PSS with more salt than fits: SCARD_E_INVALID_PARAMETER.", "RFC 8017, 9.1.1", Need.PIN)
def _(trial: Trial) -> None:
    with trial.driver() as driver:
        for entry, key in _rsa(trial, driver):
            trial.refused(
                "more salt than fits",
                (Code.SCARD_E_INVALID_PARAMETER, Unsupported.default_code),
                driver.sign,
                entry.index,
                entry.key_spec,
                digest_of("sha256"),
                Pss("sha256", key.key_size // 8),
            )
