"""RSA keys of a context in memory, and the two slots that hold them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from math import gcd

from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, SHA384, SHA512, HashAlgorithm

from calais.minidriver.padding import DecryptionPadding, remove_decryption
from calais.provider.caller import Caller
from calais.provider.csp.providers import RsaSizes
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import CRYPT_EXPORTABLE

PUBLIC_EXPONENT = 65537
DEFAULT_BITS = 1024
_HASHES: dict[str, Callable[[], HashAlgorithm]] = {
    "md5": MD5,
    "sha1": SHA1,
    "sha256": SHA256,
    "sha384": SHA384,
    "sha512": SHA512,
}


class PublicRsaKey:
    """A public key that was imported (see ``context.RsaKey``)."""

    on_card = False
    can_use_private = False
    exportable = False

    def __init__(self, public_key: rsa.RSAPublicKey, key_spec: int) -> None:
        self.public_key = public_key
        self.key_spec = key_spec

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.public_key.key_size} bits>"

    def sign(self, digest: bytes, hash_name: str | None) -> bytes:  # noqa: ARG002
        """Raise ``NTE_NO_KEY``: there is no private key."""
        raise WinError.of(Code.NTE_NO_KEY, "a public key signs nothing")

    def decrypt(self, block: bytes, how: DecryptionPadding) -> bytes:  # noqa: ARG002
        """Raise ``NTE_BAD_KEY``: there is no private key."""
        raise WinError.of(Code.NTE_BAD_KEY, "a public key decrypts nothing")

    def private_key(self) -> rsa.RSAPrivateKey | None:
        """``None``."""
        return None


class MemoryRsaKey:
    """A key pair in memory (see ``context.RsaKey``)."""

    on_card = False
    can_use_private = True

    def __init__(self, key: rsa.RSAPrivateKey, key_spec: int, *, exportable: bool) -> None:
        self._key = key
        self.public_key = key.public_key()
        self.key_spec = key_spec
        self.exportable = exportable

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.public_key.key_size} bits>"

    def sign(self, digest: bytes, hash_name: str | None) -> bytes:
        """PKCS#1 v1.5, big-endian."""
        how = utils.Prehashed(_HASHES[hash_name]()) if hash_name else utils.NoDigestInfo()
        return self._key.sign(digest, padding.PKCS1v15(), how)

    def decrypt(self, block: bytes, how: DecryptionPadding) -> bytes:
        """The message in ``block``, big-endian, as long as the modulus.

        Raises:
            WinError: ``NTE_BAD_DATA``, the block is not below the modulus, or badly padded.
        """
        plain = self._private_operation(block)
        try:
            return remove_decryption(how, plain)
        except WinError as error:
            raise WinError.of(Code.NTE_BAD_DATA, "the block is not padded as it should be") from error

    def private_key(self) -> rsa.RSAPrivateKey | None:
        """The key itself, when it may be exported."""
        return self._key if self.exportable else None

    def _private_operation(self, block: bytes) -> bytes:
        """RSADP (RFC 8017, 5.1.2) by the Chinese remainder theorem, blinded; the library offers no bare operation."""
        numbers, public = self._key.private_numbers(), self.public_key.public_numbers()
        n, size = public.n, (public.n.bit_length() + 7) // 8
        cipher = int.from_bytes(block, "big")
        if len(block) != size or cipher >= n:
            raise WinError.of(Code.NTE_BAD_DATA, f"a block for this key has {size} bytes and is below its modulus")
        blind = _unit(n)
        cipher = cipher * pow(blind, public.e, n) % n
        half_q = pow(cipher, numbers.dmq1, numbers.q)
        half = (pow(cipher, numbers.dmp1, numbers.p) - half_q) * numbers.iqmp % numbers.p
        return ((half_q + half * numbers.q) * pow(blind, -1, n) % n).to_bytes(size, "big")


class MemorySlots:
    """The slots of a context without a container: empty at first, gone with it (see ``context.KeySlots``).

    Args:
        sizes: lengths of keys that the provider makes.
        default_bits: the policy's, where the provider has none of its own.
    """

    on_card = False

    def __init__(self, sizes: RsaSizes, default_bits: int = DEFAULT_BITS) -> None:
        self._sizes = sizes
        self._default_bits = default_bits
        self._keys: dict[int, MemoryRsaKey] = {}

    def __repr__(self) -> str:
        return f"<MemorySlots with {len(self._keys)} keys>"

    def get(self, key_spec: int) -> MemoryRsaKey | None:
        """The key in a slot, or ``None``."""
        return self._keys.get(key_spec)

    def generate(self, key_spec: int, bits: int, flags: int) -> MemoryRsaKey:
        """Make a key in a slot.

        Raises:
            WinError: ``NTE_BAD_LEN``, the provider, or the cryptographic library, makes no such key.
        """
        bits = self._sizes.bits(bits, self._default_bits)
        try:
            key = rsa.generate_private_key(PUBLIC_EXPONENT, bits)
        except ValueError as error:
            raise WinError.of(Code.NTE_BAD_LEN, f"a key of {bits} bits cannot be made") from error
        return self.import_private(key, key_spec, flags)

    def import_private(self, key: rsa.RSAPrivateKey, key_spec: int, flags: int) -> MemoryRsaKey:
        """Put a key into a slot, in place of the one that was there."""
        made = MemoryRsaKey(key, key_spec, exportable=bool(flags & CRYPT_EXPORTABLE))
        self._keys[key_spec] = made
        return made

    def seen_by(self, caller: Caller) -> None:
        """Nobody is asked for a key in memory."""


def _unit(modulus: int) -> int:
    """A random number that has an inverse."""
    while True:
        number = secrets.randbelow(modulus - 2) + 2
        if gcd(number, modulus) == 1:
            return number
