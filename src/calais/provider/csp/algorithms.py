"""The algorithms of CryptoAPI: one row for each, with its names and lengths.

Source: wincrypt.h (CALG_*, PROV_ENUMALGS_EX); Microsoft's documentation of the RSA and AES provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from calais.win import flags

Cipher = Literal["rc2", "rc4", "des", "aes"]
# Protocols of PROV_ENUMALGS_EX.
IPSEC = 0x10
SIGNING = 0x20


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm; lengths in bits, as they are enumerated."""

    alg_id: int
    name: str
    long_name: str
    default: int
    least: int
    most: int
    protocols: int = 0


@dataclass(frozen=True, slots=True)
class HashAlgorithm(Algorithm):
    """A hash; ``digest`` is its name in ``hashlib``, ``None`` = there is no function to compute it."""

    digest: str | None = None
    keyed: bool = False

    @property
    def size(self) -> int:
        """Bytes of its value; 0 = its key or its parameters decide."""
        return self.default // 8


@dataclass(frozen=True, slots=True)
class SessionAlgorithm(Algorithm):
    """A cipher.

    ``lengths`` maps the bits that a caller may ask for to the bytes of the key; ``block`` in bytes, 0 = a stream.
    """

    cipher: Cipher = "aes"
    block: int = 0
    lengths: tuple[tuple[int, int], ...] = ()

    def size(self, bits: int) -> int | None:
        """Bytes of a key of ``bits`` (0 = the default), or ``None``."""
        return dict(self.lengths).get(bits or self.default)

    @property
    def sizes(self) -> frozenset[int]:
        """Every length of a key, in bytes."""
        return frozenset(size for _, size in self.lengths)


def _hash(alg_id: int, name: str, long_name: str, bits: int, digest: str | None) -> HashAlgorithm:
    return HashAlgorithm(alg_id, name, long_name, bits, bits, bits, SIGNING if digest else 0, digest)


def _keyed(alg_id: int, name: str, long_name: str) -> HashAlgorithm:
    return HashAlgorithm(alg_id, name, long_name, 0, 0, 0, keyed=True)


def _des(alg_id: int, name: str, long_name: str, keys: int) -> SessionAlgorithm:
    bits, size = 56 * keys, 8 * keys
    lengths = ((bits, size), (8 * size, size))
    return SessionAlgorithm(alg_id, name, long_name, bits, bits, bits, 0, "des", 8, lengths)


def _aes(alg_id: int, bits: int) -> SessionAlgorithm:
    long_name = f"Advanced Encryption Standard (AES-{bits})"
    return SessionAlgorithm(alg_id, f"AES {bits}", long_name, bits, bits, bits, 0, "aes", 16, ((bits, bits // 8),))


def rsa_keys(default: int, least: int, most: int) -> tuple[Algorithm, Algorithm]:
    """The rows of a provider for its two kinds of RSA keys."""
    return (
        Algorithm(flags.CALG_RSA_KEYX, "RSA_KEYX", "RSA Key Exchange", default, least, most, IPSEC | SIGNING),
        Algorithm(flags.CALG_RSA_SIGN, "RSA_SIGN", "RSA Signature", default, least, most, IPSEC | SIGNING),
    )


MD5 = _hash(flags.CALG_MD5, "MD5", "Message Digest 5 (MD5)", 128, "md5")
SHA1 = _hash(flags.CALG_SHA1, "SHA-1", "Secure Hash Algorithm (SHA-1)", 160, "sha1")
SSL3_SHAMD5 = _hash(flags.CALG_SSL3_SHAMD5, "SSL3 SHAMD5", "SSL3 SHAMD5", 288, None)
SHA_256 = _hash(flags.CALG_SHA_256, "SHA-256", "Secure Hash Algorithm (SHA-256)", 256, "sha256")
SHA_384 = _hash(flags.CALG_SHA_384, "SHA-384", "Secure Hash Algorithm (SHA-384)", 384, "sha384")
SHA_512 = _hash(flags.CALG_SHA_512, "SHA-512", "Secure Hash Algorithm (SHA-512)", 512, "sha512")
HMAC = _keyed(flags.CALG_HMAC, "HMAC", "Hugo's MAC (HMAC)")
MAC = _keyed(flags.CALG_MAC, "MAC", "Message Authentication Code")

# The cryptographic library has RC2 with keys, and effective keys, of 128 bits only.
RC2 = SessionAlgorithm(
    flags.CALG_RC2, "RC2", "RSA Data Security's RC2", 128, 40, 128, 0, "rc2", 8, lengths=((128, 16),)
)
RC4_LENGTHS = tuple((bits, bits // 8) for bits in range(40, 129, 8))
RC4 = SessionAlgorithm(flags.CALG_RC4, "RC4", "RSA Data Security's RC4", 128, 40, 128, 0, "rc4", 0, RC4_LENGTHS)
DES = _des(flags.CALG_DES, "DES", "Data Encryption Standard (DES)", 1)
DES3_112 = _des(flags.CALG_3DES_112, "3DES TWO KEY", "Two Key Triple DES", 2)
DES3 = _des(flags.CALG_3DES, "3DES", "Three Key Triple DES", 3)
AES_128 = _aes(flags.CALG_AES_128, 128)
AES_192 = _aes(flags.CALG_AES_192, 192)
AES_256 = _aes(flags.CALG_AES_256, 256)

OLD_HASHES: tuple[Algorithm, ...] = (MD5, SHA1, SSL3_SHAMD5)
NEW_HASHES: tuple[Algorithm, ...] = (SHA_256, SHA_384, SHA_512, HMAC, MAC)
OLD_CIPHERS: tuple[Algorithm, ...] = (RC2, RC4, DES, DES3_112, DES3)
NEW_CIPHERS: tuple[Algorithm, ...] = (AES_128, AES_192, AES_256)
