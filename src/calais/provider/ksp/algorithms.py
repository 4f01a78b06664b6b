"""The algorithms of keys, as a table. Both providers have all of them.

Source: Microsoft, "CNG Algorithm Identifiers", ``NCryptEnumAlgorithms``; bcrypt.h, ncrypt.h, cardmod.h (AT_*).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from calais.provider.ksp.errors import not_supported
from calais.win import flags
from calais.win.blobs import Scheme
from calais.win.flags.ncrypt import Algorithm
from calais.win.structs import NCryptAlgorithmName, NCryptSupportedLengths

RSA_LENGTHS = NCryptSupportedLengths(512, 16384, 64, 2048)  # bits, of Microsoft's software provider
RSA_LEAST = 1024  # bits; the library makes no shorter key


@dataclass(frozen=True, slots=True)
class KeyAlgorithm:
    """One row.

    ``name`` and ``group`` as CNG has them; ``interface`` and ``operations``: NCRYPT_*_INTERFACE, NCRYPT_*_OPERATION;
    ``usage``: NCRYPT_ALLOW_*, what its private keys can do; ``key_spec``: the slot that a new key gets by itself;
    ``card_spec``: its key spec among the eight of card modules (RSA: that of the slot); ``curve``: of EC keys.
    """

    name: str
    group: str
    interface: int
    operations: int
    usage: int
    key_spec: int
    card_spec: int = 0
    curve: ec.EllipticCurve | None = None

    @property
    def is_rsa(self) -> bool:
        """Whether it is RSA."""
        return self.group == Algorithm.RSA

    @property
    def signs(self) -> bool:
        """Whether its keys sign."""
        return bool(self.usage & flags.NCRYPT_ALLOW_SIGNING_FLAG)

    @property
    def agrees(self) -> bool:
        """Whether its keys agree on secrets."""
        return bool(self.usage & flags.NCRYPT_ALLOW_KEY_AGREEMENT_FLAG)

    @property
    def scheme(self) -> Scheme:
        """What an EC key is for, as key blobs say it."""
        return "ECDH" if self.agrees else "ECDSA"

    @property
    def lengths(self) -> NCryptSupportedLengths:
        """Lengths of keys in memory, in bits."""
        if self.is_rsa:
            return RSA_LENGTHS
        bits = self.curve.key_size if self.curve else 0
        return NCryptSupportedLengths(bits, bits, 0, bits)

    @property
    def listed(self) -> NCryptAlgorithmName:
        """The row as NCryptEnumAlgorithms shows it."""
        return NCryptAlgorithmName(self.name, self.interface, self.operations)


def _ecdsa(name: str, card_spec: int, curve: ec.EllipticCurve) -> KeyAlgorithm:
    return KeyAlgorithm(
        name,
        flags.NCRYPT_ECDSA_ALGORITHM_GROUP,
        flags.NCRYPT_SIGNATURE_INTERFACE,
        flags.NCRYPT_SIGNATURE_OPERATION,
        flags.NCRYPT_ALLOW_SIGNING_FLAG,
        flags.AT_SIGNATURE,
        card_spec,
        curve,
    )


def _ecdh(name: str, card_spec: int, curve: ec.EllipticCurve) -> KeyAlgorithm:
    return KeyAlgorithm(
        name,
        flags.NCRYPT_ECDH_ALGORITHM_GROUP,
        flags.NCRYPT_SECRET_AGREEMENT_INTERFACE,
        flags.NCRYPT_SECRET_AGREEMENT_OPERATION,
        flags.NCRYPT_ALLOW_KEY_AGREEMENT_FLAG,
        flags.AT_KEYEXCHANGE,
        card_spec,
        curve,
    )


RSA = KeyAlgorithm(
    Algorithm.RSA,
    Algorithm.RSA,
    flags.NCRYPT_ASYMMETRIC_ENCRYPTION_INTERFACE,
    flags.NCRYPT_ASYMMETRIC_ENCRYPTION_OPERATION | flags.NCRYPT_SIGNATURE_OPERATION,
    flags.NCRYPT_ALLOW_DECRYPT_FLAG | flags.NCRYPT_ALLOW_SIGNING_FLAG,
    flags.AT_KEYEXCHANGE,
)
ALGORITHMS = (
    RSA,
    _ecdsa(Algorithm.ECDSA_P256, flags.AT_ECDSA_P256, ec.SECP256R1()),
    _ecdsa(Algorithm.ECDSA_P384, flags.AT_ECDSA_P384, ec.SECP384R1()),
    _ecdsa(Algorithm.ECDSA_P521, flags.AT_ECDSA_P521, ec.SECP521R1()),
    _ecdh(Algorithm.ECDH_P256, flags.AT_ECDHE_P256, ec.SECP256R1()),
    _ecdh(Algorithm.ECDH_P384, flags.AT_ECDHE_P384, ec.SECP384R1()),
    _ecdh(Algorithm.ECDH_P521, flags.AT_ECDHE_P521, ec.SECP521R1()),
)
# A kind of key that CNG does not know: a certificate leads to it, and programs use it through ``NCryptKey.key``.
OTHER = KeyAlgorithm("Ed25519", "Ed25519", 0, 0, 0, flags.AT_SIGNATURE)
_BY_NAME = {str(row.name): row for row in ALGORITHMS}
_BY_CURVE = {(row.curve.name, row.scheme): row for row in ALGORITHMS if row.curve is not None}


def algorithm_named(name: str) -> KeyAlgorithm:
    """The row of ``name``, which compares exactly.

    Raises:
        Unsupported: ``NTE_NOT_SUPPORTED``, none of the table.
    """
    found = _BY_NAME.get(name)
    if found is None:
        raise not_supported(f"{name!r} is no algorithm of keys here")
    return found


def algorithm_of(public_key: PublicKeyTypes, scheme: Scheme = "ECDSA") -> KeyAlgorithm:
    """The row of a key; ``scheme`` says what an EC key is for.

    Raises:
        Unsupported: ``NTE_NOT_SUPPORTED``, a kind of key that CNG does not have.
    """
    if isinstance(public_key, rsa.RSAPublicKey):
        return RSA
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        found = _BY_CURVE.get((public_key.curve.name, scheme))
        if found is not None:
            return found
    raise not_supported(f"CNG has no keys of the kind {type(public_key).__name__}")
