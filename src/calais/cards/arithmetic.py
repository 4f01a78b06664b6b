"""Private-key arithmetic of virtual cards: what a card computes that no library offers as such."""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from calais.cards.front import Random

PKCS1_HEAD = b"\x00\x01" + b"\xff" * 8
PKCS1_ENCRYPTED_HEAD = b"\x00\x02"
PKCS1_PADDING_MIN = 8
_PKCS1 = padding.PKCS1v15()
_AS_IT_IS = utils.NoDigestInfo()
_CURVE_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    "secp521r1": 0x01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
}


def new_ec_key(curve: ec.EllipticCurve, random: Random) -> ec.EllipticCurvePrivateKey:
    """A key on ``curve`` (P-256, P-384 or P-521) made from ``random``."""
    order = _CURVE_ORDERS[curve.name]
    # 64 bits more than the order has make the bias of the remainder negligible (FIPS 186-5, A.2.1)
    size = (order.bit_length() + 7) // 8 + 8
    return ec.derive_private_key(int.from_bytes(random(size), "big") % (order - 1) + 1, curve)


def rsa_operation(private: rsa.RSAPrivateKey, numbers: rsa.RSAPrivateNumbers, block: bytes, random: Random) -> bytes:
    """The private operation on a block of the modulus' size; ``numbers`` are those of ``private``.

    Raises:
        ValueError: another size, or not below the modulus.
    """
    size = private.key_size // 8
    if len(block) != size:
        raise ValueError("a block of the modulus' size is due")
    payload = type_1_payload(block)
    if payload:
        return sign_payload(private, payload)
    number = int.from_bytes(block, "big")
    if number >= numbers.public_numbers.n:
        raise ValueError("the block is not below the modulus")
    return rsa_private(numbers, number, random).to_bytes(size, "big")


def sign_payload(private: rsa.RSAPrivateKey, payload: bytes) -> bytes:
    """The private operation on ``payload`` in a block of type 1 (RFC 8017, 9.2).

    Raises:
        ValueError: the payload is too long.
    """
    # OpenSSL's one private operation that takes a payload of our choice.
    return private.sign(payload, _PKCS1, _AS_IT_IS)


def type_2_payload(block: bytes) -> bytes:
    """The payload of a PKCS #1 block of type 2 (RFC 8017, 7.2.2), looked for in all of it, whatever it is.

    Raises:
        ValueError: it is none; nothing says why.
    """
    end = block.find(0, len(PKCS1_ENCRYPTED_HEAD))
    good = hmac.compare_digest(block[:2], PKCS1_ENCRYPTED_HEAD) & (end >= len(PKCS1_ENCRYPTED_HEAD) + PKCS1_PADDING_MIN)
    payload = block[end + 1 :]
    if not good:
        raise ValueError("the block is not padded")
    return payload


def type_1_payload(block: bytes) -> bytes:
    """The payload of a PKCS #1 block of type 1 (``00 01 FF… 00 payload``, RFC 8017, 9.2), ``b""`` for any other."""
    if not block.startswith(PKCS1_HEAD):
        return b""
    end = block.find(0, 2)
    return block[end + 1 :] if end > 0 and block.count(0xFF, 2, end) == end - 2 else b""


def rsa_private(numbers: rsa.RSAPrivateNumbers, block: int, random: Random) -> int:
    """``block`` to the private exponent: Chinese remainders, blinded, and checked against faults (RFC 8017, 5.1.2).

    Raises:
        ValueError: the numbers do not belong together.
    """
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    blind = int.from_bytes(random((n.bit_length() + 7) // 8), "big") % (n - 2) + 2
    blinded = block * pow(blind, e, n) % n
    of_p = pow(blinded, numbers.dmp1, numbers.p)
    of_q = pow(blinded, numbers.dmq1, numbers.q)
    result = (of_q + (of_p - of_q) * numbers.iqmp % numbers.p * numbers.q) * pow(blind, -1, n) % n
    if pow(result, e, n) != block:
        raise ValueError("the private key is inconsistent")
    return result


def same(left: bytes, right: bytes) -> bool:
    """Whether two secrets are equal, in a time that depends on their length alone."""
    return hmac.compare_digest(left, right)
