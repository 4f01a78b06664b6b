"""Session keys: their material, salt, mode and chaining state.

Source: CryptGenKey, CryptEncrypt, CryptSetKeyParam (wincrypt.h); RFC 8018, 6.1.1 (padding).
"""

from __future__ import annotations

import secrets
from typing import Self

from calais.provider.csp import blockmodes
from calais.provider.csp.algorithms import SessionAlgorithm
from calais.provider.csp.rc4 import Rc4
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import CRYPT_CREATE_SALT, CRYPT_EXPORTABLE, CRYPT_MODE_CBC, CRYPT_NO_SALT

SALTED = frozenset({"rc2", "rc4"})
SALTED_SIZE = 16  # bytes of key and salt together
WEAK_SIZE = 5  # bytes; the keys of 40 bits are the ones that have a salt
RC4_MAX = 256


class SessionKey:
    """One session key.

    Args:
        algorithm: its row.
        value: the key, without salt.
        salt: follows the key in the cipher's key; RC2 and RC4 only.
        exportable: whether it may be exported.
    """

    def __init__(
        self, algorithm: SessionAlgorithm, value: bytes, *, salt: bytes = b"", exportable: bool = False
    ) -> None:
        self.algorithm = algorithm
        self.value = value
        self.exportable = exportable
        self._salt = salt
        self._mode = CRYPT_MODE_CBC
        self._iv = bytes(algorithm.block)
        self._chain = self._iv
        self._stream: Rc4 | None = None

    def __repr__(self) -> str:
        return f"<SessionKey {self.algorithm.name}>"

    @classmethod
    def made(cls, algorithm: SessionAlgorithm, value: bytes, flags: int, spare: bytes | None = None) -> Self:
        """A key with the salt that the CRYPT_* ``flags`` say; ``spare`` is what CRYPT_CREATE_SALT takes it from."""
        salt = b""
        if algorithm.cipher in SALTED and not flags & CRYPT_NO_SALT:
            room = max(SALTED_SIZE - len(value), 0)
            if flags & CRYPT_CREATE_SALT:
                salt = secrets.token_bytes(room) if spare is None else spare[:room]
            elif len(value) == WEAK_SIZE:
                salt = bytes(room)
        return cls(algorithm, value, salt=salt, exportable=bool(flags & CRYPT_EXPORTABLE))

    def copy(self) -> SessionKey:
        """The same key in the same state."""
        made = SessionKey(self.algorithm, self.value, salt=self._salt, exportable=self.exportable)
        made._mode, made._iv, made._chain = self._mode, self._iv, self._chain
        made._stream = self._stream.copy() if self._stream else None
        return made

    def restart(self) -> None:
        """Begin the chain, or the stream, anew."""
        self._chain, self._stream = self._iv, None

    # --- parameters ---

    @property
    def salt(self) -> bytes:
        """The salt."""
        return self._salt

    @salt.setter
    def salt(self, value: bytes) -> None:
        most = RC4_MAX if self.algorithm.cipher == "rc4" else SALTED_SIZE
        if len(self.value) + len(value) > most:
            raise WinError.of(Code.NTE_BAD_LEN, f"a salt of {len(value)} bytes does not fit this key")
        self._salt = value
        self.restart()

    @property
    def iv(self) -> bytes:
        """The initialisation vector, one block."""
        return self._iv

    @iv.setter
    def iv(self, value: bytes) -> None:
        if len(value) != self.algorithm.block:
            raise WinError.of(Code.NTE_BAD_LEN, f"an initialisation vector has {self.algorithm.block} bytes here")
        self._iv = value
        self.restart()

    @property
    def mode(self) -> int:
        """CRYPT_MODE_CBC, …_ECB or …_CFB."""
        return self._mode

    @mode.setter
    def mode(self, value: int) -> None:
        if value not in blockmodes.MODES:
            raise WinError.of(Code.NTE_BAD_DATA, f"mode {value} is not offered")
        self._mode = value
        self.restart()

    # --- use ---

    def encrypt(self, data: bytes, *, final: bool) -> bytes:
        """The next part of the ciphertext; ``final`` pads block ciphers and ends the chain.

        Raises:
            WinError: ``NTE_BAD_LEN``, whole blocks are wanted, or the library has no keys of this length.
        """
        block = self.algorithm.block
        if not block:
            return self._run_stream(data, final=final)
        if final:
            data += bytes((block - len(data) % block,)) * (block - len(data) % block)
        elif len(data) % block:
            raise WinError.of(Code.NTE_BAD_LEN, f"only the last part may be no multiple of {block} bytes")
        return self._run(data, final=final, encrypting=True)

    def decrypt(self, data: bytes, *, final: bool) -> bytes:
        """The next part of the plaintext; ``final`` removes the padding and ends the chain.

        Raises:
            WinError: ``NTE_BAD_LEN`` as ``encrypt``; ``NTE_BAD_DATA``, the last part is no whole blocks or badly padded.
        """
        block = self.algorithm.block
        if not block:
            return self._run_stream(data, final=final)
        if len(data) % block or (final and not data):
            code = Code.NTE_BAD_DATA if final else Code.NTE_BAD_LEN
            raise WinError.of(code, f"ciphertext comes in blocks of {block} bytes")
        plain = self._run(data, final=final, encrypting=False)
        return _without_padding(plain, block) if final else plain

    def _run(self, data: bytes, *, final: bool, encrypting: bool) -> bytes:
        key = self._cipher_key()
        made = blockmodes.run(self.algorithm.cipher, key, self._mode, self._chain, data, encrypting=encrypting)
        self._chain = self._iv if final else made.chain
        return made.data

    def _run_stream(self, data: bytes, *, final: bool) -> bytes:
        stream = self._stream or Rc4(self._cipher_key())
        made = stream.update(data)
        self._stream = None if final else stream
        return made

    def _cipher_key(self) -> bytes:
        if len(self.value) not in self.algorithm.sizes:
            raise WinError.of(Code.NTE_BAD_LEN, f"{self.algorithm.name} has no keys of {len(self.value)} bytes here")
        return self.value + self._salt


def _without_padding(plain: bytes, block: int) -> bytes:
    count = plain[-1]
    if not 1 <= count <= block or plain[-count:] != bytes((count,)) * count:
        raise WinError.of(Code.NTE_BAD_DATA, "the plaintext is not padded as it should be")
    return plain[:-count]


def generate(algorithm: SessionAlgorithm, flags: int) -> SessionKey:
    """A random key; the high word of ``flags`` has the bits.

    Raises:
        WinError: ``NTE_BAD_LEN``, the algorithm has no such length.
    """
    value = secrets.token_bytes(size_of(algorithm, flags))
    return SessionKey.made(algorithm, shaped(algorithm, value), flags)


def size_of(algorithm: SessionAlgorithm, flags: int) -> int:
    """Bytes of the key that the high word of ``flags`` asks for.

    Raises:
        WinError: ``NTE_BAD_LEN``.
    """
    size = algorithm.size(flags >> 16)
    if size is None:
        raise WinError.of(Code.NTE_BAD_LEN, f"{algorithm.name} has no keys of {flags >> 16} bits here")
    return size


def shaped(algorithm: SessionAlgorithm, value: bytes) -> bytes:
    """``value`` as a key: the bytes of DES keys have odd parity (FIPS 46-3)."""
    if algorithm.cipher != "des":
        return value
    return bytes(byte & 0xFE | (byte >> 1).bit_count() % 2 ^ 1 for byte in value)
