"""The administrator's key of a GIDS card: what is computed with it, on the host's or on the administrator's side.

Triple DES (24 bytes) as Microsoft specifies it; AES (16, 24 or 32 bytes) for cards of ours. 24 bytes are either: the
card tells by the length of its challenge, one block of the cipher. Everything is CBC with an initialisation vector of
zeros; over one block that is the same as ECB.

Source: Microsoft's smart card minidriver specification v7.07, 4.2.4 (challenge and response); Generic Identity Device
Specification, mutual authentication with Z1 and Z2.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from calais.cards.gids import spec
from calais.cards.gids.spec import Algorithm
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotAuthenticated

KEY_SIZES = tuple(sorted({size for sizes in spec.ADMIN_KEY_BYTES.values() for size in sizes}))
CHECK_VALUE_SIZE = 3


def check_key(key: bytes) -> bytes:
    """``key``, when an administrator's key can have its length.

    Raises:
        BadParameter: it cannot.
    """
    if len(key) not in KEY_SIZES:
        raise BadParameter(detail=f"an administrator's key has 16, 24 or 32 bytes, not {len(key)}")
    return key


def algorithm_of_block(size: int) -> Algorithm:
    """The cipher whose block has ``size`` bytes.

    Raises:
        BadData: none has.
    """
    for algorithm, block in spec.BLOCK_BYTES.items():
        if size == block:
            return Algorithm(algorithm)
    raise BadData(detail=f"a challenge of {size} bytes is of no cipher known here")


def _cipher(algorithm: int, key: bytes) -> Cipher[modes.CBC]:
    if len(key) not in spec.ADMIN_KEY_BYTES[algorithm]:
        raise BadParameter(detail=f"a key of {len(key)} bytes does not go with the card's administrator key")
    chain = modes.CBC(bytes(spec.BLOCK_BYTES[algorithm]))
    return Cipher(TripleDES(key) if algorithm == Algorithm.TDES else algorithms.AES(key), chain)


def _run(context: CipherContext, data: bytes) -> bytes:
    return context.update(data) + context.finalize()


def response(key: bytes, challenge: bytes) -> bytes:
    """The response to a card's challenge: ``challenge`` encrypted with the administrator's key.

    Raises:
        BadParameter: key and challenge do not go together.
    """
    try:
        algorithm = algorithm_of_block(len(challenge))
    except BadData as error:
        raise BadParameter(detail=error.detail) from error
    return _run(_cipher(algorithm, key).encryptor(), challenge)


def check_value(algorithm: int, key: bytes) -> bytes:
    """The three bytes by which a key is told: the beginning of a block of zeros, encrypted."""
    return _run(_cipher(algorithm, key).encryptor(), bytes(spec.BLOCK_BYTES[algorithm]))[:CHECK_VALUE_SIZE]


def proof_size(algorithm: int) -> int:
    """Bytes of R2‖R1‖Z1: two random numbers, and what fills up one block more."""
    return 2 * spec.RANDOM_BYTES + spec.BLOCK_BYTES[algorithm]


def prove(algorithm: int, key: bytes, ours: bytes, theirs: bytes, random: Callable[[int], bytes]) -> bytes:
    """Mutual authentication, our half: R2‖R1‖Z1 encrypted, Z1 random and ending with 80.

    Args:
        algorithm: of the card's key.
        key: the administrator's key.
        ours: R1, which the card was given.
        theirs: R2, which the card gave.
        random: source of Z1.
    """
    filling = random(spec.BLOCK_BYTES[algorithm] - 1) + bytes((spec.PADDING_END,))
    return _run(_cipher(algorithm, key).encryptor(), theirs + ours + filling)


def check_proof(algorithm: int, key: bytes, ours: bytes, theirs: bytes, answer: bytes) -> None:
    """Mutual authentication, the card's half: R1‖R2‖Z2.

    Raises:
        NotAuthenticated: SCARD_W_CARD_NOT_AUTHENTICATED, the card does not know the key.
    """
    if len(answer) != proof_size(algorithm):
        raise _impostor()
    plain = _run(_cipher(algorithm, key).decryptor(), answer)
    if not hmac.compare_digest(plain[: 2 * spec.RANDOM_BYTES], ours + theirs):
        raise _impostor()


def _impostor() -> NotAuthenticated:
    return NotAuthenticated(
        Code.SCARD_W_CARD_NOT_AUTHENTICATED,
        "the card does not prove that it knows the administrator's key",
        next_step="do not use this card",
    )
