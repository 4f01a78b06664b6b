"""Challenge and response with an administrator's key, as whoever holds the key computes them.

The response is the challenge encrypted in CBC mode with an initialisation vector of zeros and no padding: Triple DES
over one or more blocks of 8 bytes, or AES over blocks of 16 on cards with such keys. Parity bits of a Triple DES key
are ignored. With a key of zeros, challenge ``A892D75601617C5D`` makes ``1951EC3EF81BBABB``.

Diversification: each card gets a key of its own from one master key, so that the key of one card opens no other:
KDF in counter mode of NIST SP 800-108r1, 4.1, with HMAC-SHA-256, counter and length 32 bits, counter first, label
``Calais administrator key``, context = the 16 bytes of ``cardid``.

Source: Microsoft's smart card minidriver specification v7.07, "Developer Guidelines" (challenge/response mechanism,
sample code); NIST SP 800-108r1; SP 800-67r2 (Triple DES, parity).
"""

from __future__ import annotations

from enum import StrEnum

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from calais.win.errors import BadParameter

LABEL = b"Calais administrator key"
CARD_ID_SIZE = 16
MASTER_KEY_MIN = 16
TDES_KEY_SIZE = 24


class AdminCipher(StrEnum):
    """What an administrator's key is for."""

    TDES = "3DES"
    AES = "AES"


BLOCK_BYTES = {AdminCipher.TDES: 8, AdminCipher.AES: 16}
KEY_BYTES = {AdminCipher.TDES: (TDES_KEY_SIZE,), AdminCipher.AES: (16, 24, 32)}


def cipher_of(key: bytes) -> AdminCipher:
    """The cipher that goes with the length of ``key``; 24 bytes are Triple DES, as on every card that Windows knows.

    Raises:
        BadParameter: no administrator's key has this length.
    """
    for cipher, sizes in KEY_BYTES.items():
        if len(key) in sizes:
            return cipher
    raise BadParameter(detail=f"an administrator's key has 16, 24 or 32 bytes, not {len(key)}")


def respond(key: bytes, challenge: bytes, cipher: AdminCipher | None = None) -> bytes:
    """The response to ``challenge``, as long as it.

    Args:
        key: the administrator's key: 24 bytes of Triple DES; 16, 24 or 32 of AES.
        challenge: one or more blocks of the cipher.
        cipher: ``None`` = told by the length of the key.

    Raises:
        BadParameter: key and cipher, or challenge and cipher, do not go together.
    """
    cipher = cipher or cipher_of(key)
    block = BLOCK_BYTES[cipher]
    if len(key) not in KEY_BYTES[cipher]:
        raise BadParameter(detail=f"no {cipher} key has {len(key)} bytes")
    if not challenge or len(challenge) % block:
        raise BadParameter(
            detail=f"a challenge for a {cipher} key is made of {block}-byte blocks, not {len(challenge)} bytes"
        )
    algorithm: BlockCipherAlgorithm = TripleDES(key) if cipher is AdminCipher.TDES else AES(key)
    encryptor = Cipher(algorithm, modes.CBC(bytes(block))).encryptor()
    return encryptor.update(challenge) + encryptor.finalize()


def diversify(
    master: bytes, card_id: bytes, cipher: AdminCipher = AdminCipher.TDES, size: int = TDES_KEY_SIZE
) -> bytes:
    """The administrator's key of one card.

    Args:
        master: the master key, 16 bytes at least.
        card_id: the 16 bytes of ``cardid``.
        cipher: what the key is for; a Triple DES key gets odd parity.
        size: bytes of the key.

    Raises:
        BadParameter: a length that cannot be.
    """
    if len(master) < MASTER_KEY_MIN:
        raise BadParameter(detail=f"a master key has {MASTER_KEY_MIN} bytes at least, not {len(master)}")
    if len(card_id) != CARD_ID_SIZE:
        raise BadParameter(detail=f"a card id has {CARD_ID_SIZE} bytes, not {len(card_id)}")
    if size not in KEY_BYTES[cipher]:
        raise BadParameter(detail=f"no {cipher} key has {size} bytes")
    derivation = KBKDFHMAC(SHA256(), Mode.CounterMode, size, 4, 4, CounterLocation.BeforeFixed, LABEL, card_id, None)
    key = derivation.derive(master)
    return _with_parity(key) if cipher is AdminCipher.TDES else key


def _with_parity(key: bytes) -> bytes:
    """``key`` with the lowest bit of each byte such that the number of ones is odd."""
    return bytes((each & 0xFE) | (~(each >> 1).bit_count() & 1) for each in key)
