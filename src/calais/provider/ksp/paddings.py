"""What ``pPaddingInfo`` and the pad flags say, as the paddings that keys know; and OAEP and PKCS#1 of plaintext.

Source: Microsoft, ``NCryptSignHash``, ``NCryptEncrypt``, ``NCryptDecrypt``; RFC 8017, 7.1.1 and 7.2.1.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping

from calais.minidriver.derivation import hash_name
from calais.minidriver.padding import (
    PKCS1_OVERHEAD,
    DecryptionPadding,
    Oaep,
    Pkcs1,
    Pss,
    Raw,
    SigningPadding,
    digest_size,
    encode_signature,
    mask,
)
from calais.provider.ksp.errors import bad_parameter, in_memory
from calais.win import flags
from calais.win.structs import OaepPaddingInfo, Pkcs1PaddingInfo, PssPaddingInfo

PAD_SIGNING = flags.NCRYPT_PAD_PKCS1_FLAG | flags.NCRYPT_PAD_PSS_FLAG
PAD_ENCRYPTION = flags.NCRYPT_NO_PADDING_FLAG | flags.NCRYPT_PAD_PKCS1_FLAG | flags.NCRYPT_PAD_OAEP_FLAG


def signing_padding(info: object, pad: int, digest: bytes, size: int) -> SigningPadding:
    """How an RSA signature of ``digest`` is padded.

    Args:
        info: ``pPaddingInfo``.
        pad: the pad flags of ``dwFlags``.
        digest: the data.
        size: length of the modulus in bytes.

    Raises:
        BadParameter: flags and information do not go together, or the digest is not one of that hash or does not fit.
        Unsupported: an unknown hash.
    """
    choose = _SIGNING.get(pad)
    if choose is None:
        raise bad_parameter("an RSA signature takes one of NCRYPT_PAD_PKCS1_FLAG and NCRYPT_PAD_PSS_FLAG")
    with in_memory():
        return choose(info, digest, size)


def _pkcs1_signature(info: object, digest: bytes, size: int) -> SigningPadding:
    if not isinstance(info, Pkcs1PaddingInfo):
        raise bad_parameter("NCRYPT_PAD_PKCS1_FLAG wants a Pkcs1PaddingInfo")
    how = Pkcs1(None if info.algorithm is None else _hash_of(info.algorithm, digest))
    encode_signature(how, digest, size, bytes)  # raises when it does not fit
    return how


def _pss_signature(info: object, digest: bytes, size: int) -> SigningPadding:
    if not isinstance(info, PssPaddingInfo) or type(info.salt) is not int or info.salt < 0:
        raise bad_parameter("NCRYPT_PAD_PSS_FLAG wants a PssPaddingInfo")
    name = _hash_of(info.algorithm, digest)
    if digest_size(name) + info.salt + 2 > size:
        raise bad_parameter(f"a PSS salt of {info.salt} bytes does not fit a modulus of {size}")
    return Pss(name, info.salt)


def _hash_of(algorithm: str | None, digest: bytes) -> str:
    name = hash_name(algorithm)
    if len(digest) != digest_size(name):
        raise bad_parameter(f"a digest of {algorithm} has {digest_size(name)} bytes, not {len(digest)}")
    return name


_SIGNING: Mapping[int, Callable[[object, bytes, int], SigningPadding]] = {
    flags.NCRYPT_PAD_PKCS1_FLAG: _pkcs1_signature,
    flags.NCRYPT_PAD_PSS_FLAG: _pss_signature,
}


def encryption_padding(info: object, pad: int, size: int) -> DecryptionPadding:
    """How RSA pads what it encrypts; arguments and errors as ``signing_padding``."""
    if pad == flags.NCRYPT_PAD_OAEP_FLAG:
        with in_memory():
            return _oaep(info, size)
    found = _PLAIN.get(pad)
    if found is None:
        raise bad_parameter("RSA takes one of NCRYPT_NO_PADDING_FLAG, NCRYPT_PAD_PKCS1_FLAG and NCRYPT_PAD_OAEP_FLAG")
    if info is not None:
        raise bad_parameter("these pad flags go without padding information")
    return found


def _oaep(info: object, size: int) -> Oaep:
    if not isinstance(info, OaepPaddingInfo) or not isinstance(info.label, bytes | None):
        raise bad_parameter("NCRYPT_PAD_OAEP_FLAG wants an OaepPaddingInfo")
    name = hash_name(info.algorithm)
    if 2 * digest_size(name) + 2 > size:
        raise bad_parameter(f"OAEP with {info.algorithm} does not fit a modulus of {size} bytes")
    return Oaep(name, name, info.label or b"")


_PLAIN: Mapping[int, DecryptionPadding] = {flags.NCRYPT_NO_PADDING_FLAG: Raw(), flags.NCRYPT_PAD_PKCS1_FLAG: Pkcs1()}


def room(padding: DecryptionPadding, size: int) -> int:
    """The longest plaintext, in bytes, for a modulus of ``size``."""
    if isinstance(padding, Oaep):
        return size - 2 * digest_size(padding.hash) - 2
    return size - PKCS1_OVERHEAD if isinstance(padding, Pkcs1) else size


def padded(padding: DecryptionPadding, plain: bytes, size: int) -> bytes:
    """The block of ``size`` bytes that RSA encrypts.

    Raises:
        BadParameter: the plaintext is too long; without padding, not as long as the modulus.
    """
    if len(plain) > room(padding, size) or (isinstance(padding, Raw) and len(plain) != size):
        raise bad_parameter(f"{len(plain)} bytes of plaintext; {room(padding, size)} go with this key and padding")
    if isinstance(padding, Oaep):
        return _oaep_block(padding, plain, size)
    if isinstance(padding, Pkcs1):
        filling = bytes(secrets.choice(range(1, 256)) for _ in range(size - len(plain) - 3))
        return b"\0\2" + filling + b"\0" + plain
    return plain


def _oaep_block(padding: Oaep, plain: bytes, size: int) -> bytes:
    """RFC 8017, 7.1.1, step 2."""
    width = digest_size(padding.hash)
    data = hashlib.new(padding.hash, padding.label).digest() + bytes(room(padding, size) - len(plain)) + b"\1" + plain
    seed = secrets.token_bytes(width)
    masked = _xor(data, mask(seed, len(data), padding.mgf_hash))
    return b"\0" + _xor(seed, mask(masked, width, padding.mgf_hash)) + masked


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=True))
