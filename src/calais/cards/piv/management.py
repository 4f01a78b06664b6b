"""The management key: which cipher it is for, and the two blocks that prove that one knows it.

Source: SP 800-73-4 part 2, 3.2.4 and appendix A.1; SP 800-78-4, table 6-3; one block, ECB.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from calais.cards.piv import spec
from calais.cards.piv.spec import Algorithm
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotAuthenticated

# By length of the key; a key of 24 bytes was Triple DES on every card until AES-192 came.
CANDIDATES: dict[int, tuple[Algorithm, ...]] = {
    16: (Algorithm.AES_128,),
    24: (Algorithm.TDES, Algorithm.AES_192),
    32: (Algorithm.AES_256,),
}


def candidates(key: bytes) -> tuple[Algorithm, ...]:
    """The algorithms that ``key`` may be for, the likeliest first.

    Raises:
        BadParameter: no management key has this length.
    """
    found = CANDIDATES.get(len(key))
    if found is None:
        raise BadParameter(detail=f"a management key has 16, 24 or 32 bytes, not {len(key)}")
    return found


def encrypt(algorithm: int, key: bytes, block: bytes) -> bytes:
    """One block, encrypted.

    Raises:
        BadData: the block has not the cipher's length.
    """
    encryptor = Cipher(_cipher(algorithm, key, block), modes.ECB()).encryptor()  # noqa: S305 - the standard's mode
    return encryptor.update(block) + encryptor.finalize()


def decrypt(algorithm: int, key: bytes, block: bytes) -> bytes:
    """One block, decrypted; ``BadData`` as in ``encrypt``."""
    decryptor = Cipher(_cipher(algorithm, key, block), modes.ECB()).decryptor()  # noqa: S305 - the standard's mode
    return decryptor.update(block) + decryptor.finalize()


def check_answer(algorithm: int, key: bytes, challenge: bytes, answer: bytes) -> None:
    """Make sure that ``answer`` is ``challenge`` encrypted: only a card that knows the key can send it.

    Raises:
        NotAuthenticated: SCARD_W_CARD_NOT_AUTHENTICATED, it is not.
    """
    if not hmac.compare_digest(encrypt(algorithm, key, challenge), answer):
        raise NotAuthenticated(
            Code.SCARD_W_CARD_NOT_AUTHENTICATED,
            "the card accepted the management key but does not know it itself",
            next_step="do not trust this card",
        )


def _cipher(algorithm: int, key: bytes, block: bytes) -> BlockCipherAlgorithm:
    if len(block) != spec.BLOCK_BYTES[algorithm]:
        raise BadData(
            detail=f"a block of this management key has {spec.BLOCK_BYTES[algorithm]} bytes, not {len(block)}"
        )
    return TripleDES(key) if algorithm == Algorithm.TDES else AES(key)
