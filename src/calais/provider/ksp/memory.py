"""Nameless keys: made or imported in memory, gone with their handle.

Source: RFC 8017, 5 and 8 (RSA); FIPS 186-5, 6.4 (ECDSA); SP 800-56A revision 3, 5.7.1.2 (ECDH).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed, decode_dss_signature

from calais.cards.arithmetic import rsa_private
from calais.minidriver.padding import Pkcs1, Pss, SigningPadding
from calais.provider.caller import Caller
from calais.provider.checking import HASHES
from calais.provider.ksp.algorithms import KeyAlgorithm
from calais.provider.ksp.errors import bad_parameter
from calais.provider.ksp.handles import NCryptKey
from calais.win.blobs import PrivateKey, PublicKey
from calais.win.codes import Code
from calais.win.errors import NotFound

PUBLIC_EXPONENT = 65537


@dataclass(frozen=True, slots=True)
class MemoryKey:
    """A key in memory (see ``handles.Material``); a public one has no ``private_key``."""

    public_key: PublicKey
    private_key: PrivateKey | None = field(default=None, repr=False)

    @classmethod
    def of(cls, private: PrivateKey) -> MemoryKey:
        """The pair."""
        return cls(private.public_key(), private)

    @property
    def has_private(self) -> bool:
        """Whether it is a pair."""
        return self.private_key is not None

    def sign(self, data: bytes, how: SigningPadding, caller: Caller) -> bytes:  # noqa: ARG002 - nobody is asked
        """See ``Material.sign``."""
        if isinstance(self.private_key, rsa.RSAPrivateKey):
            return _sign_rsa(self.private_key, data, how)
        if isinstance(self.private_key, ec.EllipticCurvePrivateKey):
            return _sign_ec(self.private_key, data)
        raise _no_key()

    def decrypt(self, block: bytes, caller: Caller) -> bytes:  # noqa: ARG002
        """See ``Material.decrypt``."""
        if not isinstance(self.private_key, rsa.RSAPrivateKey):
            raise _no_key()
        numbers, number = self.private_key.private_numbers(), int.from_bytes(block, "big")
        if number >= numbers.public_numbers.n:
            raise bad_parameter("the block is not below the modulus")
        return rsa_private(numbers, number, secrets.token_bytes).to_bytes(len(block), "big")

    def agree(self, peer: ec.EllipticCurvePublicKey, caller: Caller) -> bytes:  # noqa: ARG002
        """See ``Material.agree``."""
        if not isinstance(self.private_key, ec.EllipticCurvePrivateKey):
            raise _no_key()
        return self.private_key.exchange(ec.ECDH(), peer)


def _no_key() -> NotFound:
    return NotFound(Code.NTE_NO_KEY, "this is a public key")


def _sign_rsa(private: rsa.RSAPrivateKey, data: bytes, how: SigningPadding) -> bytes:
    if isinstance(how, Pss):
        algorithm = HASHES[how.hash]
        scheme = padding.PSS(padding.MGF1(algorithm), how.salt_length)
        return private.sign(data, scheme, Prehashed(algorithm))
    if isinstance(how, Pkcs1) and how.hash is not None:
        return private.sign(data, padding.PKCS1v15(), Prehashed(HASHES[how.hash]))
    return private.sign(data, padding.PKCS1v15(), NoDigestInfo())


def _sign_ec(private: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    # SHAKE256 stands for "a digest of this length": the library wants a hash, and of it takes the length only
    r, s = decode_dss_signature(private.sign(data, ec.ECDSA(Prehashed(hashes.SHAKE256(len(data))))))
    width = (private.key_size + 7) // 8
    return r.to_bytes(width, "big") + s.to_bytes(width, "big")


def new_key(algorithm: KeyAlgorithm, bits: int) -> PrivateKey:
    """Make a key pair; ``bits`` matters to RSA only."""
    if algorithm.curve is None:
        return rsa.generate_private_key(PUBLIC_EXPONENT, bits)
    return ec.generate_private_key(algorithm.curve)


@dataclass(frozen=True, slots=True)
class NewInMemory:
    """A draft: the key is made."""

    def finish(self, key: NCryptKey, *, silent: bool) -> MemoryKey:  # noqa: ARG002 - nobody is asked
        """See ``handles.Draft``."""
        bits = key.settings.length or key.algorithm.lengths.default_length
        return MemoryKey.of(new_key(key.algorithm, bits))


@dataclass(frozen=True, slots=True)
class ImportedInMemory:
    """A draft: the key is there and waits for its properties."""

    private: PrivateKey = field(repr=False)

    def finish(self, key: NCryptKey, *, silent: bool) -> MemoryKey:  # noqa: ARG002
        """See ``handles.Draft``."""
        return MemoryKey.of(self.private)
