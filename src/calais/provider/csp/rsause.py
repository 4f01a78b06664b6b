"""RSA keys in use: padding and byte order. CryptoAPI's numbers are little-endian, those of keys big-endian.

Source: CryptEncrypt, CryptDecrypt, CryptSignHash, CryptVerifySignature (wincrypt.h); RFC 8017, 7.1, 7.2, 8.2.
"""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1

from calais.minidriver.padding import DecryptionPadding, Oaep, Pkcs1, Raw, encode_signature
from calais.provider.csp import algorithms as alg
from calais.provider.csp.context import RsaKey
from calais.provider.csp.hashes import Hash
from calais.win.codes import Code
from calais.win.errors import BadParameter, WinError
from calais.win.flags import AT_SIGNATURE, CRYPT_DECRYPT_RSA_NO_PADDING_CHECK, CRYPT_NOHASHOID, CRYPT_OAEP


def size_of(key: rsa.RSAPublicKey) -> int:
    """Bytes of the modulus."""
    return (key.key_size + 7) // 8


def require_exchange(key: RsaKey) -> RsaKey:
    """``key``, once it is sure that it encrypts.

    Raises:
        WinError: ``NTE_BAD_KEY``, a signature key.
    """
    if key.key_spec == AT_SIGNATURE:
        raise WinError.of(Code.NTE_BAD_KEY, "a signature key neither encrypts nor decrypts")
    return key


def require_private(key: RsaKey) -> None:
    """Raise unless there is a private half.

    Raises:
        WinError: ``NTE_BAD_KEY``.
    """
    if not key.can_use_private:
        raise WinError.of(Code.NTE_BAD_KEY, "a public key decrypts nothing")


def encrypt(key: rsa.RSAPublicKey, data: bytes, *, oaep_label: bytes | None) -> bytes:
    """``data`` encrypted, big-endian, by PKCS#1 v1.5, or by OAEP with SHA-1 and a label.

    Raises:
        WinError: ``NTE_BAD_LEN``, too long for the key.
    """
    how = _oaep(oaep_label) if oaep_label is not None else padding.PKCS1v15()
    try:
        return key.encrypt(data, how)
    except ValueError as error:
        raise WinError.of(Code.NTE_BAD_LEN, f"{len(data)} bytes are too long for this key") from error


def _oaep(label: bytes) -> padding.OAEP:
    return padding.OAEP(padding.MGF1(SHA1()), SHA1(), label or None)  # noqa: S303 - CryptoAPI has no other


def decryption_padding(flags: int, label: bytes) -> DecryptionPadding:
    """What the flags of CryptDecrypt say.

    Raises:
        WinError: ``NTE_BAD_FLAGS``, two contradicting ones.
    """
    if flags == CRYPT_OAEP | CRYPT_DECRYPT_RSA_NO_PADDING_CHECK:
        raise WinError.of(Code.NTE_BAD_FLAGS, "CRYPT_OAEP and CRYPT_DECRYPT_RSA_NO_PADDING_CHECK exclude each other")
    paddings: dict[int, DecryptionPadding] = {
        CRYPT_OAEP: Oaep("sha1", "sha1", label),
        CRYPT_DECRYPT_RSA_NO_PADDING_CHECK: Raw(),
    }
    return paddings.get(flags, Pkcs1())


def decrypt(key: RsaKey, block: bytes, how: DecryptionPadding) -> bytes:
    """The message in ``block``, big-endian.

    Raises:
        WinError: ``NTE_BAD_KEY`` no private key; ``NTE_BAD_DATA`` wrong length or badly padded; what the card says.
    """
    require_private(key)
    if len(block) != size_of(key.public_key):
        raise WinError.of(Code.NTE_BAD_DATA, f"a block for this key has {size_of(key.public_key)} bytes")
    return key.decrypt(block, how)


def digest_info_name(hash_: Hash, flags: int) -> str | None:
    """The hash function for DigestInfo; MD5 and SHA-1 together, as SSL 3 signs them, have none.

    Raises:
        WinError: ``NTE_BAD_ALGID``, this kind of hash has no identifier; ``NTE_BAD_HASH_STATE``, it has no value.
    """
    hash_.check_value()
    if flags & CRYPT_NOHASHOID:
        return None
    if hash_.algorithm.digest is None and hash_.algorithm is not alg.SSL3_SHAMD5:
        raise WinError.of(Code.NTE_BAD_ALGID, f"{hash_.algorithm.name} values are signed without identifier only")
    return hash_.algorithm.digest


def sign(key: RsaKey, hash_: Hash, name: str | None) -> bytes:
    """The signature of a hash, little-endian; ``name`` from ``digest_info_name``.

    Raises:
        WinError: ``NTE_BAD_LEN`` too long for the key; what the card says.
    """
    value = hash_.value()
    if _block(name, value, size_of(key.public_key)) is None:
        raise WinError.of(Code.NTE_BAD_LEN, "the hash does not fit the modulus of the key")
    return key.sign(value, name)[::-1]


def verify(key: rsa.RSAPublicKey, hash_: Hash, signature: bytes) -> None:
    """Raise unless ``signature``, little-endian, is of this hash, with its identifier or without.

    Raises:
        WinError: ``NTE_BAD_SIGNATURE``.
    """
    value, digest, size = hash_.value(), hash_.algorithm.digest, size_of(key)
    numbers, number = key.public_numbers(), int.from_bytes(signature, "little")
    if len(signature) == size and number < numbers.n:
        block = pow(number, numbers.e, numbers.n).to_bytes(size, "big")
        if block in [_block(name, value, size) for name in {digest, None}]:
            return
    raise WinError.of(Code.NTE_BAD_SIGNATURE, "the signature is not of this hash and key")


def _block(hash_name: str | None, value: bytes, size: int) -> bytes | None:
    """The block that a key of ``size`` bytes signs, or ``None`` when it has no room for the value."""
    try:
        return encode_signature(Pkcs1(hash_name), value, size, secrets.token_bytes)
    except BadParameter:
        return None
