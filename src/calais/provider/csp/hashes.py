"""Hashes of CryptoAPI, keyed or not, and when they are finished.

Source: CryptCreateHash, CryptSetHashParam, HMAC_INFO (wincrypt.h); RFC 2104 (HMAC).
"""

from __future__ import annotations

import hashlib
from typing import Protocol, Self

from calais.provider.csp import algorithms as alg
from calais.provider.csp.algorithms import HashAlgorithm
from calais.provider.csp.sessionkeys import SessionKey
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import CRYPT_MODE_CBC

INNER_PAD = 0x36
OUTER_PAD = 0x5C


class Engine(Protocol):
    """What computes a value; the objects of ``hashlib`` are such."""

    @property
    def digest_size(self) -> int:
        """Bytes of the value."""

    def update(self, data: bytes, /) -> None:
        """Take more in."""

    def digest(self) -> bytes:
        """The value of what was taken in."""

    def copy(self) -> Self:
        """The same state once more."""


class Hmac:
    """HMAC; the pads are XORed to the key, missing bytes of a pad change nothing."""

    def __init__(self, digest: str, key: bytes, inner: bytes, outer: bytes) -> None:
        block = hashlib.new(digest, usedforsecurity=False).block_size
        if len(key) > block:
            key = hashlib.new(digest, key, usedforsecurity=False).digest()
        key = key.ljust(block, b"\0")
        pads = (_xor(key, inner or bytes((INNER_PAD,)) * block), _xor(key, outer or bytes((OUTER_PAD,)) * block))
        self._inner, self._outer = (hashlib.new(digest, pad, usedforsecurity=False) for pad in pads)
        self.digest_size = self._inner.digest_size

    def update(self, data: bytes) -> None:
        """Take more in."""
        self._inner.update(data)

    def digest(self) -> bytes:
        """The value of what was taken in."""
        outer = self._outer.copy()
        outer.update(self._inner.digest())
        return outer.digest()

    def copy(self) -> Self:
        """The same state once more."""
        made = object.__new__(type(self))
        made._inner, made._outer = self._inner.copy(), self._outer.copy()
        made.digest_size = self.digest_size
        return made


class Mac:
    """CBC-MAC: the last block of what CryptEncrypt makes of the data, padding and all."""

    def __init__(self, key: SessionKey, rest: bytes = b"") -> None:
        self._key = key
        self._rest = rest
        self.digest_size = key.algorithm.block

    def update(self, data: bytes) -> None:
        """Take more in."""
        data = self._rest + data
        whole = len(data) - len(data) % self.digest_size
        self._key.encrypt(data[:whole], final=False)
        self._rest = data[whole:]

    def digest(self) -> bytes:
        """The value of what was taken in."""
        return self._key.copy().encrypt(self._rest, final=True)[-self.digest_size :]

    def copy(self) -> Self:
        """The same state once more."""
        return type(self)(self._key.copy(), self._rest)


class Hash:
    """One hash: fresh, then fed, then finished.

    Args:
        algorithm: its row.
        engine: computes it; ``None`` = nothing does (CALG_SSL3_SHAMD5), or not yet (CALG_HMAC without HMAC_INFO).
        key: of an HMAC.
    """

    def __init__(self, algorithm: HashAlgorithm, engine: Engine | None, key: bytes | None = None) -> None:
        self.algorithm = algorithm
        self._engine = engine
        self._key = key
        self._fed = False
        self._value: bytes | None = None

    def __repr__(self) -> str:
        return f"<Hash {self.algorithm.name}{' (finished)' if self.is_finished else ''}>"

    @property
    def is_finished(self) -> bool:
        """Whether it takes no more data."""
        return self._value is not None

    @property
    def size(self) -> int:
        """Bytes of its value.

        Raises:
            WinError: ``NTE_BAD_HASH_STATE``, an HMAC without HMAC_INFO.
        """
        return self.algorithm.size or self._running().digest_size

    def copy(self) -> Hash:
        """The same hash in the same state."""
        made = Hash(self.algorithm, self._engine.copy() if self._engine else None, self._key)
        made._fed, made._value = self._fed, self._value
        return made

    def check_open(self) -> None:
        """Raise unless it takes data.

        Raises:
            WinError: ``NTE_BAD_HASH_STATE``.
        """
        if self.is_finished:
            raise WinError.of(Code.NTE_BAD_HASH_STATE, "the hash is finished")
        self._running()

    def check_value(self) -> None:
        """Raise unless it has, or can compute, a value; it is not finished by that.

        Raises:
            WinError: ``NTE_BAD_HASH_STATE``.
        """
        if not self.is_finished:
            self._running()

    def update(self, data: bytes) -> None:
        """Take data in.

        Raises:
            WinError: ``NTE_BAD_HASH_STATE``, it is finished, or takes none.
        """
        self.check_open()
        self._running().update(data)
        self._fed = True

    def value(self) -> bytes:
        """Its value; the hash is finished by that.

        Raises:
            WinError: ``NTE_BAD_HASH_STATE``, there is nothing to compute it from.
        """
        if self._value is None:
            self._value = self._running().digest()
        return self._value

    def set_value(self, value: bytes) -> None:
        """Give it a value that was computed elsewhere; the hash is finished by that.

        Raises:
            WinError: ``NTE_BAD_HASH_STATE`` it is not fresh; ``NTE_BAD_LEN``.
        """
        if self.is_finished or self._fed:
            raise WinError.of(Code.NTE_BAD_HASH_STATE, "only a fresh hash can be given a value")
        if len(value) != self.size:
            raise WinError.of(Code.NTE_BAD_LEN, f"the value of this hash has {self.size} bytes, not {len(value)}")
        self._value = value

    def configure(self, digest: str, inner: bytes, outer: bytes) -> None:
        """Make an HMAC of this hash and these pads (see ``Hmac``).

        Raises:
            WinError: ``NTE_BAD_TYPE`` no HMAC; ``NTE_BAD_HASH_STATE`` it has data; ``NTE_BAD_LEN`` a pad is too long.
        """
        if self.algorithm is not alg.HMAC or self._key is None:
            raise WinError.of(Code.NTE_BAD_TYPE, f"{self.algorithm.name} has no HMAC_INFO")
        if self.is_finished or self._fed:
            raise WinError.of(Code.NTE_BAD_HASH_STATE, "HMAC_INFO is set before any data")
        if max(len(inner), len(outer)) > hashlib.new(digest, usedforsecurity=False).block_size:
            raise WinError.of(Code.NTE_BAD_LEN, "a pad is not longer than a block of the hash")
        self._engine = Hmac(digest, self._key, inner, outer)

    def _running(self) -> Engine:
        if self._engine is None:
            detail = "HMAC_INFO has not been set" if self._key is not None else "only HP_HASHVAL fills this hash"
            raise WinError.of(Code.NTE_BAD_HASH_STATE, detail)
        return self._engine


def create(algorithm: HashAlgorithm, key: SessionKey | None) -> Hash:
    """A fresh hash; ``key`` for those that are keyed, which goes on unchanged.

    Raises:
        WinError: ``NTE_BAD_KEY``, a key is missing, or of the wrong kind, or there must be none.
    """
    if algorithm.keyed != (key is not None):
        raise WinError.of(Code.NTE_BAD_KEY, f"{algorithm.name} {'needs a' if algorithm.keyed else 'has no'} key")
    if key is None:
        return Hash(algorithm, hashlib.new(algorithm.digest, usedforsecurity=False) if algorithm.digest else None)
    if algorithm is alg.HMAC:
        return Hash(algorithm, None, key.value)
    if not key.algorithm.block or key.mode != CRYPT_MODE_CBC:
        raise WinError.of(Code.NTE_BAD_KEY, "a MAC needs a block cipher in CBC mode")
    own = key.copy()
    own.restart()
    return Hash(algorithm, Mac(own))


def _xor(key: bytes, pad: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(key, pad.ljust(len(key), b"\0"), strict=True))
