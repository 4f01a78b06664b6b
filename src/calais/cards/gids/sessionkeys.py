"""Session keys on the server's side: made, agreed and used to encrypt requests for a card, without the card.

A request becomes one or more commands, each encrypted whole; whoever carries them cannot read them. One piece of
``CARD_ENCRYPTED_DATA`` is: function byte, key reference or 0, slot, algorithm (so that the carrier can prepare for an
imported key), initialisation vector, cryptogram. Layouts of the card's side: ``spec``.

``shared_key`` takes, on this side: algorithm byte, our 16 random bytes, the card's 16, and the administrator's key;
its first return value is empty. On the card's side it takes the first 17 of these and returns the card's 16.

Source: Microsoft's smart card minidriver specification v7.07, 4.8; bcrypt.h (BCRYPT_KEY_DATA_BLOB).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from struct import Struct

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from calais.cards.gids import adminkey, requests, spec
from calais.cards.gids.spec import SessionAlgorithm
from calais.minidriver.injection import KeyInjection
from calais.minidriver.properties import CHAINING_MODE_CBC, check_write_of_key
from calais.win import flags
from calais.win.errors import BadParameter, Unsupported

_ALGORITHMS: dict[str, SessionAlgorithm] = {
    flags.CardAlgorithm.DES3: SessionAlgorithm.TDES,
    flags.CardAlgorithm.DES3_112: SessionAlgorithm.TDES_112,
    flags.CardAlgorithm.AES: SessionAlgorithm.AES,
}
_BLOB = Struct("<III")  # magic, version, length of the key
_BLOB_VERSION = 1
_SHARED = Struct(f"<B{spec.SESSION_RANDOM_BYTES}s")
KEYS_MAX = 64


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A session key: ``algorithm``, initialisation vector, and the ``value`` where it is known, or the card's handle."""

    algorithm: SessionAlgorithm
    vector: bytes = b""
    value: bytes = field(default=b"", repr=False)
    handle: int = 0

    @property
    def block(self) -> int:
        """Bytes of one block of the cipher."""
        return 16 if self.algorithm is SessionAlgorithm.AES else 8

    def encrypt(self, vector: bytes, data: bytes) -> bytes:
        """``data``, padded (RFC 5652, 6.3) and encrypted in CBC mode."""
        padder = PKCS7(8 * self.block).padder()
        context = Cipher(self._cipher(), modes.CBC(vector)).encryptor()
        return context.update(padder.update(data) + padder.finalize()) + context.finalize()

    def _cipher(self) -> TripleDES | algorithms.AES:
        if self.algorithm is SessionAlgorithm.AES:
            return algorithms.AES(self.value)
        # K1 K2 K1 for a key of two
        return TripleDES((self.value + self.value[:8])[:24])


def algorithm_named(name: str) -> SessionAlgorithm:
    """The algorithm that Windows calls ``name``.

    Raises:
        BadParameter: there is none.
    """
    found = _ALGORITHMS.get(name)
    if found is None:
        raise BadParameter(detail=f"there are no session keys of {name!r}")
    return found


def check_blob_type(name: str) -> None:
    """Raise ``BadParameter`` unless ``name`` is ``"KeyDataBlob"``."""
    if name != flags.BCRYPT_KEY_DATA_BLOB:
        raise BadParameter(detail=f"a session key comes as a KeyDataBlob, not as {name!r}")


def build_blob(key: bytes) -> bytes:
    """BCRYPT_KEY_DATA_BLOB around ``key``."""
    return _BLOB.pack(spec.KEY_DATA_BLOB_MAGIC, _BLOB_VERSION, len(key)) + key


def parse_blob(blob: bytes, algorithm: SessionAlgorithm) -> bytes:
    """The key in a BCRYPT_KEY_DATA_BLOB.

    Raises:
        BadParameter: it is none, or the key has not a length of ``algorithm``.
    """
    key = blob[_BLOB.size :]
    if blob[: _BLOB.size] != build_blob(key)[: _BLOB.size] or len(key) not in spec.SESSION_KEY_BYTES[algorithm]:
        raise BadParameter(detail="not a key data blob, or not with a key of this algorithm")
    return key


def agreed_key(admin_key: bytes, algorithm: SessionAlgorithm, ours: bytes, theirs: bytes) -> bytes:
    """The session key that host and card make of the administrator's key and the random bytes of both."""
    blocks = b""
    for number in (1, 2):
        code = hmac.HMAC(admin_key, hashes.SHA256())
        code.update(spec.AGREEMENT_LABEL + bytes((algorithm,)) + ours + theirs + bytes((number,)))
        blocks += code.finalize()
    return blocks[: spec.SESSION_KEY_BYTES[algorithm][0]]


def parse_shared(data: bytes) -> tuple[SessionAlgorithm, bytes]:
    """Algorithm and our random bytes at the beginning of what ``shared_key`` takes.

    Raises:
        BadParameter: too short, or no such algorithm.
    """
    if len(data) < _SHARED.size or data[0] not in spec.SESSION_KEY_BYTES:
        raise BadParameter(detail="algorithm byte and 16 random bytes are due")
    return SessionAlgorithm(data[0]), data[1 : _SHARED.size]


class SessionKeys:
    """The session keys of one side, by number; what is destroyed is gone."""

    def __init__(self) -> None:
        self._keys: dict[int, SessionKey] = {}
        self._last = 0

    def add(self, key: SessionKey) -> int:
        """Keep ``key``; its number.

        Raises:
            BadParameter: too many are kept already.
        """
        if len(self._keys) >= KEYS_MAX:
            raise BadParameter(detail=f"{KEYS_MAX} session keys are in use; destroy some")
        self._last += 1
        self._keys[self._last] = key
        return self._last

    def get(self, number: int) -> SessionKey:
        """The key of ``number``.

        Raises:
            BadParameter: there is none (any more).
        """
        found = self._keys.get(number)
        if found is None:
            raise BadParameter(detail="no such session key")
        return found

    def replace(self, number: int, key: SessionKey) -> None:
        """Put ``key`` in the place of ``number``."""
        self._keys[number] = key

    def pop(self, number: int) -> SessionKey:
        """Forget the key of ``number``, and return it; ``BadParameter`` as in ``get``."""
        key = self.get(number)
        del self._keys[number]
        return key


class KeyServer(KeyInjection):
    """Secure key injection without a card: makes keys and encrypts requests.

    Args:
        keys: what is kept.
        random: source of initialisation vectors.
    """

    def __init__(self, keys: SessionKeys | None = None, random: Callable[[int], bytes] = os.urandom) -> None:
        self.keys = keys or SessionKeys()
        self.random = random

    def make_session_key(self, blob_type: str, algorithm: str, key: bytes) -> int:
        """Take a plain session key, as BCRYPT_KEY_DATA_BLOB."""
        check_blob_type(blob_type)
        kind = algorithm_named(algorithm)
        return self.keys.add(SessionKey(kind, value=parse_blob(key, kind)))

    def shared_key(self, data: bytes) -> tuple[bytes, int]:
        """Agree on a session key with a card that has answered; see the module."""
        algorithm, ours = parse_shared(data)
        theirs, admin_key = data[_SHARED.size :][: spec.SESSION_RANDOM_BYTES], data[2 * spec.SESSION_RANDOM_BYTES + 1 :]
        value = agreed_key(adminkey.check_key(admin_key), algorithm, ours, theirs)
        return b"", self.keys.add(SessionKey(algorithm, value=value))

    def encrypt_for_card(self, key: int, function: str, data: bytes, flags: int = 0) -> list[bytes]:  # noqa: ARG002
        """Encrypt a request, in the packed layouts of the specification; it is always padded to whole blocks."""
        kept = self.keys.get(key)
        if not kept.value:
            raise Unsupported(detail="the card keeps this key; requests are encrypted where it was made")
        return [self._piece(kept, step) for step in requests.steps(function, data)]

    def _piece(self, key: SessionKey, step: requests.Step) -> bytes:
        vector = key.vector or self.random(key.block)
        cryptogram = key.encrypt(vector, step.command.encode(extended=True))
        head = bytes((step.function, step.kid, step.slot, step.algorithm))
        return head + vector + cryptogram

    def algorithm_property(self, algorithm: str, name: str) -> str | bytes | int:
        """Default of a property: CBC mode, no initialisation vector of its own, the cipher's block."""
        return property_of(SessionKey(algorithm_named(algorithm)), name)

    def key_property(self, key: int, name: str) -> str | bytes | int:
        """A property of a key."""
        return property_of(self.keys.get(key), name)

    def set_key_property(self, key: int, name: str, value: str | bytes) -> None:
        """Change mode (CBC is the only one) or initialisation vector; the vector is used until it is changed again."""
        kept = self.keys.get(key)
        check_write_of_key(name, value)
        if isinstance(value, bytes):
            if len(value) != kept.block:
                raise BadParameter(detail=f"an initialisation vector of this key has {kept.block} bytes")
            self.keys.replace(key, replace(kept, vector=value))

    def destroy_key(self, key: int) -> None:
        """Forget a key."""
        self.keys.pop(key)


def property_of(key: SessionKey, name: str) -> str | bytes | int:
    """CKP_*: mode, initialisation vector (zeros = a random one each time), block length in bytes.

    Raises:
        BadParameter: there is no such property.
    """
    values: dict[str, str | bytes | int] = {
        flags.CardKeyProperty.CHAINING_MODE: CHAINING_MODE_CBC,
        flags.CardKeyProperty.INITIALIZATION_VECTOR: key.vector or bytes(key.block),
        flags.CardKeyProperty.BLOCK_LENGTH: key.block,
    }
    if name not in values:
        raise BadParameter(detail=f"a session key has no property {name!r}")
    return values[name]
