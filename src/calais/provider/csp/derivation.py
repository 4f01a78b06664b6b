"""A session key from the value of a hash.

Source: CryptDeriveKey, remarks (wincrypt.h).
"""

from __future__ import annotations

import hashlib

from calais.provider.csp import algorithms as alg
from calais.provider.csp.algorithms import SessionAlgorithm
from calais.provider.csp.hashes import INNER_PAD, OUTER_PAD, Hash
from calais.provider.csp.sessionkeys import SessionKey, size_of
from calais.win.codes import Code
from calais.win.errors import WinError

SHA2 = (alg.SHA_256, alg.SHA_384, alg.SHA_512)
EXPANDED = (alg.DES3, alg.AES_128, alg.AES_192, alg.AES_256)
PAD_SIZE = 64


def derive(hash_: Hash, algorithm: SessionAlgorithm, flags: int) -> SessionKey:
    """The key that ``hash_`` makes; finishes the hash.

    The key is the first bytes of the hash value, and what CRYPT_CREATE_SALT takes are the next. For 3DES with three keys
    and AES, and where the value is too short, it is the first bytes of two hashes: of 64 bytes 0x36, and of 64 bytes
    0x5C, each with the value XORed to its start; for 3DES and AES not with SHA-2, unless too short.

    Raises:
        WinError: ``NTE_BAD_LEN``; ``NTE_BAD_HASH``, too short and of no hash function; ``NTE_BAD_HASH_STATE``.
    """
    size = size_of(algorithm, flags)
    value = hash_.value()
    if len(value) < size or (algorithm in EXPANDED and hash_.algorithm not in SHA2):
        value = _expanded(hash_, value)
    return SessionKey.made(algorithm, value[:size], flags, value[size:])


def _expanded(hash_: Hash, value: bytes) -> bytes:
    digest = hash_.algorithm.digest
    if digest is None:
        raise WinError.of(Code.NTE_BAD_HASH, f"no such key can be derived from {hash_.algorithm.name}")
    blocks = (bytes(byte ^ pad for byte in value.ljust(PAD_SIZE, b"\0")) for pad in (INNER_PAD, OUTER_PAD))
    return b"".join(hashlib.new(digest, block, usedforsecurity=False).digest() for block in blocks)
