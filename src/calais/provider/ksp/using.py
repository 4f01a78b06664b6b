"""Using keys: signatures, encryption, agreed secrets, and keys derived from them.

Source: Microsoft, ``NCryptSignHash``, ``NCryptVerifySignature``, ``NCryptEncrypt``, ``NCryptDecrypt``,
``NCryptSecretAgreement``, ``NCryptDeriveKey``.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from calais.minidriver import derivation
from calais.minidriver.padding import Raw, SigningPadding, remove_decryption
from calais.provider.checking import is_signature
from calais.provider.ksp import errors
from calais.provider.ksp.calls import checked, is_silent
from calais.provider.ksp.handles import NCryptKey, NCryptSecret, a_key, a_secret
from calais.provider.ksp.keyblobs import buffers
from calais.provider.ksp.keyfacts import planned_length
from calais.provider.ksp.making import usage_of
from calais.provider.ksp.paddings import (
    PAD_ENCRYPTION,
    PAD_SIGNING,
    encryption_padding,
    padded,
    signing_padding,
)
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import AccessDenied, NotFound, WinError

RAW = Raw()
EXACT = ("TLS_PRF",)  # KDFs that give so many bytes and no more
MAX_DERIVED = 1 << 20  # bytes


def _bytes(data: object, what: str) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise errors.bad_parameter(f"{what} is bytes")
    return bytes(data)


def _need(key: NCryptKey, usage: int) -> None:
    """Raise unless the private half is there and may be used so."""
    if not key.material.has_private:
        raise NotFound(Code.NTE_NO_KEY, "this is a public key")
    if not usage_of(key) & usage:
        raise AccessDenied(Code.NTE_PERM, "the usage of this key does not include that")


# --- signatures ------------------------------------------------------------------------------------------------------


def _signing(key: NCryptKey, info: object, digest: bytes, given: int) -> SigningPadding:
    """How ``digest`` is padded; raises for arguments that do not go together."""
    if not key.algorithm.signs:
        raise errors.not_supported(f"{key.algorithm.name} keys make no signatures")
    if key.algorithm.is_rsa:
        return signing_padding(info, given & PAD_SIGNING, digest, _size(key))
    if given & PAD_SIGNING:
        raise WinError.of(Code.NTE_BAD_FLAGS, "ECDSA has no padding")
    if info is not None or not digest:
        raise errors.bad_parameter("ECDSA wants a digest, and has no padding information")
    return RAW


def _size(key: NCryptKey) -> int:
    """Bytes of the key's numbers; of an unfinished one as they will be, for what is checked before its state."""
    return ((key.length or planned_length(key)) + 7) // 8


def sign_hash(handle: object, info: object, digest: object, given: int) -> bytes:
    """NCryptSignHash: RSA as long as the modulus, big-endian; ECDSA r‖s."""
    key = a_key(handle)
    given = checked(given, PAD_SIGNING)
    data = _bytes(digest, "a digest")
    how = _signing(key, info, data, given)
    _need(key, flags.NCRYPT_ALLOW_SIGNING_FLAG)
    return key.material.sign(data, how, key.caller(silent=is_silent(given)))


def verify_signature(handle: object, info: object, digest: object, signature: object, given: int) -> None:
    """NCryptVerifySignature."""
    key = a_key(handle)
    given = checked(given, PAD_SIGNING)
    data, signed = _bytes(digest, "a digest"), _bytes(signature, "a signature")
    if not signed:
        raise errors.bad_parameter("there is no signature")
    how = _signing(key, info, data, given)
    if not is_signature(key.material.public_key, signed, data, how):
        raise WinError.of(Code.NTE_BAD_SIGNATURE, "this is not a signature of this key over this digest")


# --- encryption ------------------------------------------------------------------------------------------------------


def _check_rsa(key: NCryptKey) -> None:
    if not key.algorithm.is_rsa:
        raise errors.not_supported(f"{key.algorithm.name} keys do not encrypt")


def _numbers(key: NCryptKey) -> rsa.RSAPublicNumbers:
    public = key.material.public_key
    if not isinstance(public, rsa.RSAPublicKey):
        raise errors.not_supported("this is no RSA key")
    return public.public_numbers()


def encrypt(handle: object, plain: object, info: object, given: int) -> bytes:
    """NCryptEncrypt: as long as the modulus, big-endian."""
    key = a_key(handle)
    given = checked(given, PAD_ENCRYPTION)
    data = _bytes(plain, "plaintext")
    _check_rsa(key)
    size = _size(key)
    block = padded(encryption_padding(info, given & PAD_ENCRYPTION, size), data, size)
    numbers, number = _numbers(key), int.from_bytes(block, "big")
    if number >= numbers.n:
        raise errors.bad_parameter("the block is not below the modulus")
    return pow(number, numbers.e, numbers.n).to_bytes(size, "big")


def decrypt(handle: object, data: object, info: object, given: int) -> bytes:
    """NCryptDecrypt: whatever is wrong with the padding, the error is the same, and takes the same time."""
    key = a_key(handle)
    given = checked(given, PAD_ENCRYPTION)
    block = _bytes(data, "ciphertext")
    _check_rsa(key)
    size = _size(key)
    how = encryption_padding(info, given & PAD_ENCRYPTION, size)
    if len(block) != size or int.from_bytes(block, "big") >= _numbers(key).n:
        raise errors.bad_parameter(f"ciphertext for this key has {size} bytes and is below its modulus")
    _need(key, flags.NCRYPT_ALLOW_DECRYPT_FLAG)
    plain = key.material.decrypt(block, key.caller(silent=is_silent(given)))
    with errors.in_memory():
        return remove_decryption(how, plain)


# --- secrets ---------------------------------------------------------------------------------------------------------


def secret_agreement(private: object, public: object, given: int) -> NCryptSecret:
    """NCryptSecretAgreement: the key works here, once; the secret is in memory until it is freed."""
    mine, other = a_key(private), a_key(public)
    given = checked(given)
    if not mine.algorithm.agrees:
        raise errors.not_supported(f"{mine.algorithm.name} keys agree on no secrets")
    if other.algorithm != mine.algorithm:
        raise errors.bad_parameter(f"a key of {other.algorithm.name} for one of {mine.algorithm.name}")
    peer = other.material.public_key
    if not isinstance(peer, ec.EllipticCurvePublicKey):
        raise errors.bad_parameter("the other key is no EC key")
    _need(mine, flags.NCRYPT_ALLOW_KEY_AGREEMENT_FLAG)
    return NCryptSecret(mine.material.agree(peer, mine.caller(silent=is_silent(given))))


def derive_key(handle: object, kdf: object, params: object, length: object, given: int) -> bytes:
    """NCryptDeriveKey."""
    secret = a_secret(handle)
    given = checked(given, flags.KDF_USE_SECRET_AS_HMAC_KEY_FLAG)
    if not isinstance(kdf, str):
        raise errors.bad_parameter("a key derivation must be named")
    if type(length) is bool or not isinstance(length, int) or not 0 <= length <= MAX_DERIVED:
        raise errors.bad_parameter("this is no length of a key")
    as_key = bool(given & flags.KDF_USE_SECRET_AS_HMAC_KEY_FLAG)
    with errors.in_memory():
        made = derivation.derive(str(kdf), secret.value, buffers(params), secret_is_key=as_key, length=length)
    if length > len(made) and kdf in EXACT:
        raise errors.bad_parameter(f"{kdf} makes {len(made)} bytes")
    return made[:length] if length else made
