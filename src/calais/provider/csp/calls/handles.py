"""Handles of the caller, and new ones for the caller."""

from __future__ import annotations

from typing import Final

from calais.provider.csp.context import Codes, CspContext, CspHash, CspKey, RsaKey, hash_of, key_of, provider_of
from calais.provider.csp.keyparams import initial_permissions
from calais.provider.csp.sessionkeys import SessionKey
from calais.win.codes import Code
from calais.win.errors import WinError

OWN: Final = object()  # the provider handle that a key or hash belongs to


def key_and_context(codes: Codes, provider: object, key: object) -> tuple[CspKey, CspContext]:
    """The key, and the context that it must belong to.

    Raises:
        WinError: the face's codes; ``NTE_BAD_KEY``, of another provider.
    """
    context = None if provider is OWN else provider_of(provider, codes)
    handle = key_of(key, codes, context)
    return handle, handle.context


def hash_and_context(codes: Codes, provider: object, hash_: object) -> tuple[CspHash, CspContext]:
    """The hash, and the context that it must belong to.

    Raises:
        WinError: the face's codes; ``NTE_BAD_HASH``, of another provider.
    """
    context = None if provider is OWN else provider_of(provider, codes)
    handle = hash_of(hash_, codes, context)
    return handle, handle.context


def optional_key(key: object, codes: Codes, context: CspContext) -> CspKey | None:
    """The key, or ``None`` for NULL. Errors as ``key_of``."""
    return None if key is None or key == 0 else key_of(key, codes, context)


def optional_hash(hash_: object, codes: Codes, context: CspContext) -> CspHash | None:
    """The hash, or ``None`` for NULL. Errors as ``hash_of``."""
    return None if hash_ is None or hash_ == 0 else hash_of(hash_, codes, context)


def new_key(context: CspContext, key: RsaKey | SessionKey) -> CspKey:
    """A handle of ``key``."""
    return CspKey(context, key, initial_permissions(key))


def rsa_of(handle: CspKey) -> RsaKey:
    """The RSA key of a handle.

    Raises:
        WinError: ``NTE_BAD_KEY``, it is a session key.
    """
    if isinstance(handle.key, SessionKey):
        raise WinError.of(Code.NTE_BAD_KEY, "an RSA key is wanted, this is a session key")
    return handle.key


def session_of(handle: CspKey) -> SessionKey:
    """The session key of a handle.

    Raises:
        WinError: ``NTE_BAD_KEY``, it is an RSA key.
    """
    if not isinstance(handle.key, SessionKey):
        raise WinError.of(Code.NTE_BAD_KEY, "a session key is wanted, this is an RSA key")
    return handle.key
