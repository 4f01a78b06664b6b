"""RSA paddings, done on the host because the card computes the bare private operation.

Source: RFC 8017, 7.1 (OAEP), 7.2 (PKCS#1 v1.5 encryption), 8.1 and 9.1 (PSS), 8.2 and 9.2 (PKCS#1 v1.5 signatures);
DigestInfo prefixes from RFC 8017, 9.2, note 1. All numbers are big-endian.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from calais.win.codes import Code
from calais.win.errors import BadParameter, Unsupported, WinError

_DIGEST_INFO_PREFIX: dict[str, bytes] = {
    "md5": bytes.fromhex("3020300c06082a864886f70d020505000410"),
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha224": bytes.fromhex("302d300d06096086480165030402040500041c"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
DIGEST_SIZES: dict[str, int] = {"md5": 16, "sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}
PKCS1_OVERHEAD = 11  # bytes: 00 BT, at least eight of padding, 00


@dataclass(frozen=True, slots=True)
class Raw:
    """No padding: the data is as long as the modulus. For ECDSA and ECDH, too, there is nothing to pad."""


@dataclass(frozen=True, slots=True)
class Pkcs1:
    """PKCS#1 v1.5; ``hash`` (``"sha256"`` …) selects the DigestInfo, ``None`` = the data goes in as it is."""

    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Pss:
    """PSS with MGF1 over the same ``hash``; ``salt_length`` in bytes."""

    hash: str
    salt_length: int


@dataclass(frozen=True, slots=True)
class Oaep:
    """OAEP; ``hash`` of the label, ``mgf_hash`` of the mask."""

    hash: str
    mgf_hash: str
    label: bytes = b""


SigningPadding = Raw | Pkcs1 | Pss
DecryptionPadding = Raw | Pkcs1 | Oaep


def digest_size(name: str) -> int:
    """Bytes of a digest of the hash ``name``.

    Raises:
        Unsupported: not one of the hashes known here.
    """
    size = DIGEST_SIZES.get(name)
    if size is None:
        raise Unsupported(detail=f"hash {name!r} is not known here")
    return size


def encode_signature(padding: SigningPadding, digest: bytes, size: int, random: Callable[[int], bytes]) -> bytes:
    """The block of ``size`` bytes (the modulus length) that the card's private operation turns into the signature.

    Raises:
        BadParameter: the digest has not the length of its hash, or does not fit the modulus.
        Unsupported: the hash is not known.
    """
    if isinstance(padding, Pkcs1):
        return _pkcs1_block(padding.hash, digest, size)
    if isinstance(padding, Pss):
        return _pss_block(padding, digest, size, random)
    if len(digest) != size:
        raise BadParameter(detail=f"a raw block for this key has {size} bytes, not {len(digest)}")
    return digest


def _pkcs1_block(hash_name: str | None, digest: bytes, size: int) -> bytes:
    info = digest if hash_name is None else _DIGEST_INFO_PREFIX[_checked(hash_name, digest)] + digest
    if len(info) > size - PKCS1_OVERHEAD:
        raise BadParameter(detail=f"{len(info)} bytes do not fit a PKCS#1 block of {size}")
    return b"\0\1".ljust(size - len(info) - 1, b"\xff") + b"\0" + info


def _checked(hash_name: str, digest: bytes) -> str:
    if len(digest) != digest_size(hash_name):
        raise BadParameter(detail=f"a {hash_name} digest has {digest_size(hash_name)} bytes, not {len(digest)}")
    return hash_name


def _pss_block(padding: Pss, digest: bytes, size: int, random: Callable[[int], bytes]) -> bytes:
    """RFC 8017, 9.1.1, for a modulus of exactly ``8 * size`` bits."""
    hash_size = digest_size(_checked(padding.hash, digest))
    room = size - hash_size - padding.salt_length - 2
    if padding.salt_length < 0 or room < 0:
        raise BadParameter(detail=f"a PSS salt of {padding.salt_length} bytes does not fit a modulus of {size}")
    salt = random(padding.salt_length)
    code = hashlib.new(padding.hash, bytes(8) + digest + salt).digest()
    block = bytearray(_xor(bytes(room) + b"\1" + salt, mask(code, size - hash_size - 1, padding.hash)))
    block[0] &= 0x7F
    return bytes(block) + code + b"\xbc"


def mask(seed: bytes, length: int, hash_name: str) -> bytes:
    """MGF1 (RFC 8017, B.2.1): ``length`` bytes."""
    blocks = -(-length // digest_size(hash_name))
    return b"".join(hashlib.new(hash_name, seed + n.to_bytes(4, "big")).digest() for n in range(blocks))[:length]


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def remove_decryption(padding: DecryptionPadding, block: bytes) -> bytes:
    """The message inside ``block``, the modulus-long result of the card's private operation.

    Every byte of the block is looked at and nothing branches on what it holds before the last step, so a bad padding
    takes the time of a good one. Python promises no more than that; prefer OAEP.

    Raises:
        WinError: SCARD_F_INTERNAL_ERROR, with the same words whatever is wrong with the padding.
        Unsupported: the hash is not known.
    """
    if isinstance(padding, Raw):
        return block
    good, message, start = _oaep(padding, block) if isinstance(padding, Oaep) else _pkcs1(block)
    if not good:
        raise WinError(Code.SCARD_F_INTERNAL_ERROR, "the decrypted block is not padded as it should be")
    return message[start:]


def _pkcs1(block: bytes) -> tuple[int, bytes, int]:
    """Whether the padding is good (1 or 0): 00 02, eight or more non-zero bytes, 00; and where the message starts."""
    bad, looking, start = 0, 1, 0
    for at, byte in enumerate(block[2:], 2):
        zero = (byte - 1 >> 8) & 1
        start += (at + 1) * (looking & zero)
        looking &= 1 - zero
    bad |= int.from_bytes(block[:2], "big") ^ 2
    bad |= looking
    bad |= (start - PKCS1_OVERHEAD >> 31) & 1
    return int(bad == 0), block, start


def _oaep_data(padding: Oaep, block: bytes) -> tuple[bytes, bytes]:
    """First byte with the label's hash, and the data block, both unmasked (RFC 8017, 7.1.2, step 3)."""
    hash_size = digest_size(padding.hash)
    masked_seed, masked_data = block[1 : 1 + hash_size], block[1 + hash_size :]
    if len(masked_data) <= hash_size:  # the caller's key is too short for this hash; public knowledge
        raise BadParameter(detail=f"OAEP with {padding.hash} does not fit a modulus of {len(block)} bytes")
    seed = _xor(masked_seed, mask(masked_data, hash_size, padding.mgf_hash))
    data = _xor(masked_data, mask(seed, len(masked_data), padding.mgf_hash))
    return block[:1] + data[:hash_size], data


def _oaep(padding: Oaep, block: bytes) -> tuple[int, bytes, int]:
    """Whether the padding is good (1 or 0): 00, label hash, zeros, 01; the data block, and where its message starts."""
    hash_size = digest_size(padding.hash)
    first, data = _oaep_data(padding, block)
    expected = b"\0" + hashlib.new(padding.hash, padding.label).digest()
    bad, looking, start = 0, 1, 0
    for at, byte in enumerate(data[hash_size:], hash_size):
        one = ((byte ^ 1) - 1 >> 8) & 1
        zero = (byte - 1 >> 8) & 1
        bad |= looking & (1 - one) & (1 - zero)
        start += (at + 1) * (looking & one)
        looking &= 1 - one
    bad |= looking
    bad |= 1 - int(hmac.compare_digest(first, expected))
    return int(bad == 0), data, start
