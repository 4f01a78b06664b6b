"""Making, deriving, duplicating and destroying keys, and their parameters.

Source: CryptGenKey, CryptDeriveKey, CryptGetUserKey, CryptDuplicateKey, CryptGetKeyParam (wincrypt.h).
"""

from __future__ import annotations

from calais.provider.csp import derivation, keyparams, sessionkeys
from calais.provider.csp.algorithms import SessionAlgorithm
from calais.provider.csp.arguments import check_flags, check_reserved, number
from calais.provider.csp.calls.handles import key_and_context, new_key
from calais.provider.csp.context import Codes, CspContext, CspKey, RsaKey, bad_key, hash_of, provider_of
from calais.provider.csp.keyblobs import SPEC_OF_ALG
from calais.provider.csp.providers import SESSION_FLAGS
from calais.provider.csp.sessionkeys import SessionKey
from calais.win.codes import Code
from calais.win.errors import SilentContext, WinError
from calais.win.flags import AT_KEYEXCHANGE, AT_SIGNATURE, CRYPT_USER_PROTECTED

KEY_SPECS = {AT_KEYEXCHANGE: AT_KEYEXCHANGE, AT_SIGNATURE: AT_SIGNATURE} | SPEC_OF_ALG
LOW_WORD = 0xFFFF


def slot(context: CspContext, key_spec: object) -> RsaKey:
    """The key in a slot of a context.

    Raises:
        WinError: ``NTE_BAD_KEY`` no key spec; ``NTE_NO_KEY`` an empty slot; what the card says.
    """
    key = context.slots.get(check_key_spec(key_spec))
    if key is None:
        raise WinError.of(Code.NTE_NO_KEY, f"there is no key of key spec {key_spec}")
    return key


def check_key_spec(key_spec: object) -> int:
    """``key_spec``, once it is sure that it is one.

    Raises:
        WinError: ``NTE_BAD_KEY``.
    """
    if key_spec in (AT_KEYEXCHANGE, AT_SIGNATURE):
        return number(key_spec)
    raise WinError.of(Code.NTE_BAD_KEY, f"{key_spec!r} is neither AT_KEYEXCHANGE nor AT_SIGNATURE")


def user_key(codes: Codes, provider: object, key_spec: object) -> CspKey:
    """CryptGetUserKey. Errors as ``slot``."""
    context = provider_of(provider, codes)
    with context.guard():
        return new_key(context, slot(context, key_spec))


def generate(codes: Codes, provider: object, alg_id: object, flags: object) -> CspKey:
    """CryptGenKey.

    Raises:
        WinError: ``NTE_BAD_ALGID``, ``NTE_BAD_FLAGS``, ``NTE_BAD_LEN``, ``NTE_SILENT_CONTEXT``; as ``KeySlots``.
    """
    context = provider_of(provider, codes)
    with context.guard():
        algorithm, given = number(alg_id), number(flags)
        if algorithm in KEY_SPECS:
            return new_key(context, _pair(context, KEY_SPECS[algorithm], given))
        check_flags(given & LOW_WORD, SESSION_FLAGS)
        row = context.provider.algorithm(algorithm, SessionAlgorithm)
        may_protect(context, given)
        return new_key(context, sessionkeys.generate(row, given))


def _pair(context: CspContext, key_spec: int, flags: int) -> RsaKey:
    row = context.provider
    low = check_flags(flags & LOW_WORD, row.key_flags)
    if low & row.key_needs != row.key_needs:
        raise WinError.of(Code.NTE_BAD_FLAGS, f"{row.name} makes keys with flag 0x{row.key_needs:X} only")
    may_protect(context, low)
    return context.slots.generate(key_spec, flags >> 16, low)


def may_protect(context: CspContext, flags: int) -> None:
    """Raise when CRYPT_USER_PROTECTED means to ask somebody, and nobody may be asked.

    Raises:
        SilentContext: it does.
    """
    needed = context.provider.key_needs & CRYPT_USER_PROTECTED
    if flags & CRYPT_USER_PROTECTED and context.is_silent and not needed:
        raise SilentContext(detail="a key that is to be protected by its user, and nobody may be asked")


def derive(codes: Codes, provider: object, alg_id: object, base: object, flags: object) -> CspKey:
    """CryptDeriveKey; finishes the hash.

    Raises:
        WinError: ``ERROR_CALL_NOT_IMPLEMENTED``; ``NTE_BAD_FLAGS``, ``NTE_BAD_ALGID``; as ``derivation.derive``.
    """
    context = provider_of(provider, codes)
    with context.guard():
        context.provider.require("DeriveKey")
        hash_ = hash_of(base, codes, context).hash
        given = number(flags)
        check_flags(given & LOW_WORD, SESSION_FLAGS)
        row = context.provider.algorithm(number(alg_id), SessionAlgorithm)
        may_protect(context, given)
        return new_key(context, derivation.derive(hash_, row, given))


def destroy(codes: Codes, provider: object, key: object) -> None:
    """CryptDestroyKey; a key on a card stays there."""
    handle, context = key_and_context(codes, provider, key)
    with context.guard():
        if not handle.destroy():
            raise bad_key(codes)


def duplicate(codes: Codes, provider: object, key: object, reserved: object, flags: object) -> CspKey:
    """CryptDuplicateKey: a session key in the state it has, or one more handle of an RSA key.

    Raises:
        WinError: ``ERROR_CALL_NOT_IMPLEMENTED``; ``NTE_BAD_FLAGS``; ``ERROR_INVALID_PARAMETER``.
    """
    handle, context = key_and_context(codes, provider, key)
    with context.guard():
        context.provider.require("DuplicateKey")
        check_flags(flags)
        check_reserved(reserved)
        key_ = handle.key
        made = CspKey(context, key_.copy() if isinstance(key_, SessionKey) else key_, handle.permissions)
        made.oaep_label = handle.oaep_label
        return made


def get_param(codes: Codes, provider: object, key: object, param: object, flags: object) -> object:
    """CryptGetKeyParam. Errors as ``keyparams.read``, and ``NTE_BAD_FLAGS``."""
    handle, context = key_and_context(codes, provider, key)
    with context.guard():
        check_flags(flags)
        return keyparams.read(handle, number(param))


def set_param(codes: Codes, provider: object, key: object, param: object, value: object, flags: object) -> None:
    """CryptSetKeyParam. Errors as ``keyparams.write``, and ``NTE_BAD_FLAGS``."""
    handle, context = key_and_context(codes, provider, key)
    with context.guard():
        check_flags(flags)
        keyparams.write(handle, number(param), value)
