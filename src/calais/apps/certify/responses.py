"""The response of the administrator to a challenge.

Source: Microsoft's smart card minidriver specification v7.07, challenge and response: Triple DES in CBC mode, zero
initialisation vector; the same with AES where the card has such a key.
"""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from calais.win.errors import BadParameter


def response_to(challenge: bytes, key: bytes) -> bytes:
    """``challenge`` encrypted with ``key``; a key of 24 bytes is for Triple DES when the challenge has 8 bytes.

    Raises:
        BadParameter: the lengths do not go together.
    """
    cipher: BlockCipherAlgorithm
    if len(key) == 24 and len(challenge) % 16:
        cipher = TripleDES(key)
    elif len(key) in (16, 24, 32) and challenge and not len(challenge) % 16:
        cipher = AES(key)
    else:
        raise BadParameter(detail=f"a key of {len(key)} bytes answers no challenge of {len(challenge)}")
    encryptor = Cipher(cipher, modes.CBC(bytes(cipher.block_size // 8))).encryptor()
    return encryptor.update(challenge) + encryptor.finalize()
