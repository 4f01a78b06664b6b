"""Encrypting and decrypting; a hash may take the plaintext in on the way.

Source: CryptEncrypt, CryptDecrypt (wincrypt.h).
"""

from __future__ import annotations

from calais.minidriver.padding import DecryptionPadding
from calais.provider.csp import rsause
from calais.provider.csp.arguments import check_flags, octets
from calais.provider.csp.calls.handles import key_and_context, optional_hash
from calais.provider.csp.context import Codes, CspHash, CspKey
from calais.provider.csp.keyparams import permit
from calais.provider.csp.sessionkeys import SessionKey
from calais.win.flags import CRYPT_DECRYPT, CRYPT_DECRYPT_RSA_NO_PADDING_CHECK, CRYPT_ENCRYPT, CRYPT_OAEP


def encrypt(
    codes: Codes, provider: object, key: object, hash_: object, final: object, flags: object, data: object
) -> bytes:
    """CryptEncrypt.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``NTE_BAD_KEY`` a signature key; ``NTE_BAD_LEN`` too long for the key, or no whole
            blocks; ``NTE_BAD_HASH_STATE``; ``NTE_PERM``.
    """
    handle, context = key_and_context(codes, provider, key)
    with context.guard():
        hashing = optional_hash(hash_, codes, context)
        given = check_flags(flags, _legal(handle, CRYPT_OAEP))
        plain = octets(data)
        _check_state(handle, hashing, CRYPT_ENCRYPT)
        made = _encrypt(handle, plain, given, final=bool(final))
        if hashing:
            hashing.hash.update(plain)
        return made


def _encrypt(handle: CspKey, plain: bytes, flags: int, *, final: bool) -> bytes:
    key = handle.key
    if isinstance(key, SessionKey):
        return key.encrypt(plain, final=final)
    label = handle.oaep_label if flags & CRYPT_OAEP else None
    return rsause.encrypt(rsause.require_exchange(key).public_key, plain, oaep_label=label)[::-1]


def decrypt(
    codes: Codes, provider: object, key: object, hash_: object, final: object, flags: object, data: object
) -> bytes:
    """CryptDecrypt.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``NTE_BAD_KEY`` a signature or public key; ``NTE_BAD_DATA`` badly padded;
            ``NTE_BAD_LEN`` no whole blocks; ``NTE_BAD_HASH_STATE``; ``NTE_PERM``; what the card says.
    """
    handle, context = key_and_context(codes, provider, key)
    with context.guard():
        hashing = optional_hash(hash_, codes, context)
        given = check_flags(flags, _legal(handle, CRYPT_OAEP | CRYPT_DECRYPT_RSA_NO_PADDING_CHECK))
        how = rsause.decryption_padding(given, handle.oaep_label)
        cipher = octets(data)
        _check_state(handle, hashing, CRYPT_DECRYPT)
        plain = _decrypt(handle, cipher, how, final=bool(final))
        if hashing:
            hashing.hash.update(plain)
        return plain


def _decrypt(handle: CspKey, cipher: bytes, how: DecryptionPadding, *, final: bool) -> bytes:
    key = handle.key
    if isinstance(key, SessionKey):
        return key.decrypt(cipher, final=final)
    return rsause.decrypt(rsause.require_exchange(key), cipher[::-1], how)


def _legal(handle: CspKey, rsa_flags: int) -> int:
    return 0 if isinstance(handle.key, SessionKey) else rsa_flags


def _check_state(handle: CspKey, hashing: CspHash | None, permission: int) -> None:
    key = handle.key
    if not isinstance(key, SessionKey):
        rsause.require_exchange(key)
        if permission == CRYPT_DECRYPT:
            rsause.require_private(key)
    permit(handle, permission)
    if hashing:
        hashing.hash.check_open()
