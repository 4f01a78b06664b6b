"""Reproducible randomness for tests: bytes and RSA keys that a seed decides, in every process alike."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

EXPONENT = 65537
SMALL_PRIMES = math.prod(n for n in range(3, 2000) if all(n % d for d in range(2, math.isqrt(n) + 1)))


def seeded(seed: int | str | bytes | None) -> Callable[[int], bytes]:
    """Randomness: the machine's own, or (with a seed) the same bytes in every run."""
    if seed is None:
        return os.urandom
    start = as_bytes(seed)
    rolls = iter(range(1 << 62))

    def random(size: int) -> bytes:
        return hashlib.shake_256(start + b":" + str(next(rolls)).encode()).digest(size)

    return random


def as_bytes(seed: int | str | bytes) -> bytes:
    """A seed as the bytes that randomness begins with."""
    return seed if isinstance(seed, bytes) else str(seed).encode()


@cache
def seeded_rsa_key(seed: int | str | bytes, name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The RSA key called ``name`` of a seed. OpenSSL takes no seeds, so its primes are looked for here: 0.3 s."""
    random = seeded(as_bytes(seed) + b"/" + name.encode())
    p, q = sorted((_prime(random, bits // 2), _prime(random, bits // 2)), reverse=True)
    d = pow(EXPONENT, -1, math.lcm(p - 1, q - 1))
    crt = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *crt, rsa.RSAPublicNumbers(EXPONENT, p * q)).private_key()


def _prime(random: Callable[[int], bytes], bits: int) -> int:
    """A probable prime (Fermat, base 2); ``RSAPrivateNumbers.private_key`` tests it again."""
    number = int.from_bytes(random(bits // 8), "big") | 3 << bits - 2 | 1
    while not (math.gcd(number, SMALL_PRIMES) == 1 and pow(2, number - 1, number) == 1 and (number - 1) % EXPONENT):
        number += 2
    return number
