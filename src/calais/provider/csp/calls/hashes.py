"""Hashes, signatures and their verification.

Source: CryptCreateHash, CryptHashData, CryptSignHash, CryptVerifySignature (wincrypt.h).
"""

from __future__ import annotations

from calais.provider.csp import hashes, hashparams, rsause
from calais.provider.csp.algorithms import HashAlgorithm
from calais.provider.csp.arguments import check_flags, check_reserved, number, octets
from calais.provider.csp.calls.handles import hash_and_context, optional_key, rsa_of, session_of
from calais.provider.csp.calls.keys import check_key_spec, slot
from calais.provider.csp.context import Codes, CspHash, bad_hash, key_of, provider_of
from calais.provider.csp.keyparams import permit
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import CRYPT_LITTLE_ENDIAN, CRYPT_MAC, CRYPT_NOHASHOID


def create(codes: Codes, provider: object, alg_id: object, key: object, flags: object) -> CspHash:
    """CryptCreateHash.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``NTE_BAD_ALGID``; ``NTE_BAD_KEY``, a key is missing, too much or of the wrong kind.
    """
    context = provider_of(provider, codes)
    with context.guard():
        by = optional_key(key, codes, context)
        check_flags(flags)
        row = context.provider.algorithm(number(alg_id), HashAlgorithm)
        if by is None:
            return CspHash(context, hashes.create(row, None))
        made = hashes.create(row, session_of(by))
        permit(by, CRYPT_MAC)
        return CspHash(context, made)


def hash_data(codes: Codes, provider: object, hash_: object, data: object, flags: object) -> None:
    """CryptHashData.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``NTE_BAD_HASH_STATE``.
    """
    handle, context = hash_and_context(codes, provider, hash_)
    with context.guard():
        check_flags(flags, context.provider.hash_data_flags)
        handle.hash.update(octets(data))


def hash_session_key(codes: Codes, provider: object, hash_: object, key: object, flags: object) -> None:
    """CryptHashSessionKey: the key as it is with CRYPT_LITTLE_ENDIAN, else from its last byte to its first.

    Raises:
        WinError: ``ERROR_CALL_NOT_IMPLEMENTED``; ``NTE_BAD_FLAGS``; ``NTE_BAD_KEY``; ``NTE_BAD_HASH_STATE``.
    """
    handle, context = hash_and_context(codes, provider, hash_)
    with context.guard():
        context.provider.require("HashSessionKey")
        hashed = key_of(key, codes, context)
        given = check_flags(flags, CRYPT_LITTLE_ENDIAN)
        value = session_of(hashed).value
        handle.hash.update(value if given & CRYPT_LITTLE_ENDIAN else value[::-1])


def duplicate(codes: Codes, provider: object, hash_: object, reserved: object, flags: object) -> CspHash:
    """CryptDuplicateHash: the hash in the state it has.

    Raises:
        WinError: ``ERROR_CALL_NOT_IMPLEMENTED``; ``NTE_BAD_FLAGS``; ``ERROR_INVALID_PARAMETER``.
    """
    handle, context = hash_and_context(codes, provider, hash_)
    with context.guard():
        context.provider.require("DuplicateHash")
        check_flags(flags)
        check_reserved(reserved)
        return CspHash(context, handle.hash.copy())


def destroy(codes: Codes, provider: object, hash_: object) -> None:
    """CryptDestroyHash."""
    handle, context = hash_and_context(codes, provider, hash_)
    with context.guard():
        if not handle.destroy():
            raise bad_hash(codes)


def get_param(codes: Codes, provider: object, hash_: object, param: object, flags: object) -> object:
    """CryptGetHashParam. Errors as ``hashparams.read``, and ``NTE_BAD_FLAGS``."""
    handle, context = hash_and_context(codes, provider, hash_)
    with context.guard():
        check_flags(flags)
        return hashparams.read(handle, number(param))


def set_param(codes: Codes, provider: object, hash_: object, param: object, value: object, flags: object) -> None:
    """CryptSetHashParam. Errors as ``hashparams.write``, and ``NTE_BAD_FLAGS``."""
    handle, context = hash_and_context(codes, provider, hash_)
    with context.guard():
        check_flags(flags)
        hashparams.write(handle, number(param), value)


def sign(codes: Codes, provider: object, hash_: object, key_spec: object, description: object, flags: object) -> bytes:
    """CryptSignHash: PKCS#1 v1.5, little-endian; finishes the hash.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``NTE_BAD_KEY``, ``NTE_NO_KEY``; ``NTE_BAD_HASH_STATE``; ``NTE_BAD_ALGID``,
            ``NTE_BAD_LEN``; what the card says.
    """
    handle, context = hash_and_context(codes, provider, hash_)
    with context.guard():
        given = _signing_flags(description, flags)
        check_key_spec(key_spec)
        name = rsause.digest_info_name(handle.hash, given)
        return rsause.sign(slot(context, key_spec), handle.hash, name)


def verify(
    codes: Codes, provider: object, hash_: object, signature: object, key: object, description: object, flags: object
) -> None:
    """CryptVerifySignature; finishes the hash.

    Raises:
        WinError: ``NTE_BAD_SIGNATURE``; ``NTE_BAD_FLAGS``; ``NTE_BAD_KEY`` a session key; ``NTE_BAD_HASH_STATE``.
    """
    handle, context = hash_and_context(codes, provider, hash_)
    with context.guard():
        by = key_of(key, codes, context)
        _signing_flags(description, flags)
        rsause.verify(rsa_of(by).public_key, handle.hash, octets(signature))


def _signing_flags(description: object, flags: object) -> int:
    if description not in (None, ""):
        raise WinError.of(Code.NTE_BAD_FLAGS, "a description is not signed with the hash any more")
    return check_flags(flags, CRYPT_NOHASHOID)
