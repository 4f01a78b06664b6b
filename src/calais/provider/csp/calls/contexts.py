"""Opening and releasing providers, their parameters, and random bytes.

Source: CryptAcquireContext, CryptReleaseContext, CryptGetProvParam, CryptGenRandom (wincrypt.h).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import nullcontext
from typing import Protocol

from calais.provider.csp import acquire, cardproviders, paramrows, provparams_memory, registered
from calais.provider.csp.arguments import check_flags, check_reserved, number, octets
from calais.provider.csp.context import Codes, CspContext, bad_provider, provider_of
from calais.provider.csp.memorykeys import MemorySlots
from calais.provider.csp.providers import Provider
from calais.provider.csp.registered import Settings
from calais.win.codes import Code
from calais.win.errors import NotFound, WinError
from calais.win.flags import CRYPT_DELETEKEYSET, CRYPT_NEWKEYSET, CRYPT_VERIFYCONTEXT, PP_CLIENT_HWND


class Host(acquire.Host, Protocol):
    """What the calls need of the system (``calais.system.System``).

    ``client_window``: the parent window of prompts, where a context has none of its own.
    """

    client_window: int | None

    @property
    def settings(self) -> Settings:
        """Where the default providers are kept."""


System = Callable[[], Host]
ROWS = (*provparams_memory.ROWS, *cardproviders.GET, *cardproviders.SET)
READ = paramrows.by_letter(row for row in ROWS if row.read or row.items)
WRITE = paramrows.by_letter(row for row in ROWS if row.write)


# --- opening and releasing ---


def acquire_by_type(
    container: object, name: object, prov_type: object, flags: object, system: System
) -> CspContext | None:
    """CryptAcquireContext; ``None`` with CRYPT_DELETEKEYSET.

    Raises:
        WinError: as ``registered.choose`` and ``acquire.acquire``.
    """
    return _acquire(registered.choose(name, prov_type, lambda: system().settings), container, flags, system)


def acquire_by_name(container: object, name: object, flags: object, system: System) -> CspContext | None:
    """CPAcquireContext. Errors as ``registered.by_name`` and ``acquire.acquire``."""
    return _acquire(registered.by_name(name).provider, container, flags, system)


def _acquire(provider: Provider, container: object, flags: object, system: System) -> CspContext | None:
    given = number(flags)
    if container is not None and not isinstance(container, str):
        raise WinError.of(Code.ERROR_INVALID_PARAMETER, "the name of a container is a text")
    if not provider.on_cards:
        return _acquire_in_memory(provider, container or "", given)
    host = system()
    return cardproviders.open_context(host, provider, container, given, host.client_window)


def _acquire_in_memory(provider: Provider, container: str, flags: int) -> CspContext:
    """A context of a provider that has no containers."""
    chosen = acquire.check_flags(flags, CRYPT_NEWKEYSET | CRYPT_DELETEKEYSET) & ~acquire.COMMON
    if chosen == CRYPT_NEWKEYSET:
        detail = f"{provider.name} has no containers"
        raise WinError.of(Code.NTE_PERM, detail, next_step="acquire it with CRYPT_VERIFYCONTEXT")
    if chosen != CRYPT_VERIFYCONTEXT:
        detail = f"{provider.name} has no containers"
        raise NotFound(Code.NTE_BAD_KEYSET, detail, next_step="acquire it with CRYPT_VERIFYCONTEXT")
    if container:
        raise WinError.of(Code.NTE_BAD_FLAGS, "CRYPT_VERIFYCONTEXT with the name of a container")
    return CspContext(provider, MemorySlots(provider.rsa), flags=flags)


def release(codes: Codes, provider: object, flags: object) -> None:
    """CryptReleaseContext: gives the reference back, also when it then complains.

    Raises:
        WinError: ``NTE_BAD_FLAGS``.
    """
    context = provider_of(provider, codes)
    with context.guard():
        if not context.release():
            raise bad_provider(codes)
        check_flags(flags)


def add_reference(codes: Codes, provider: object, reserved: object, flags: object) -> None:
    """CryptContextAddRef.

    Raises:
        WinError: ``NTE_BAD_FLAGS``; ``ERROR_INVALID_PARAMETER``.
    """
    context = provider_of(provider, codes)
    with context.guard():
        check_flags(flags)
        check_reserved(reserved)
        if not context.retain():
            raise bad_provider(codes)


# --- parameters ---


def get_param(codes: Codes, provider: object, param: object, flags: object) -> object:
    """CryptGetProvParam. Errors as ``paramrows.find`` and ``paramrows.read``."""
    context, wanted = provider_of(provider, codes), number(param)
    row = READ.get((context.provider.letter, wanted))
    with context.guard() if row is None or row.guarded else nullcontext():
        return paramrows.read(paramrows.find(READ, context, wanted), context, number(flags))


def set_param(codes: Codes, provider: object, param: object, value: object, flags: object, system: System) -> None:
    """CryptSetProvParam; PP_CLIENT_HWND without a provider is for all contexts that are acquired afterwards.

    Raises:
        WinError: as ``paramrows.find`` and ``paramrows.write``.
    """
    if provider in (None, 0) and param == PP_CLIENT_HWND:
        _set_window(value, flags, system)
        return
    context, wanted = provider_of(provider, codes), number(param)
    with context.guard():
        paramrows.write(paramrows.find(WRITE, context, wanted), context, value, number(flags))


def _set_window(value: object, flags: object, system: System) -> None:
    check_flags(flags)
    if not isinstance(value, int) or isinstance(value, bool):
        raise WinError.of(Code.ERROR_INVALID_PARAMETER, "a window is a number")
    system().client_window = value


def gen_random(codes: Codes, provider: object, length: object, seed: object) -> bytes:
    """CryptGenRandom: ``length`` bytes; ``seed`` is not needed, the operating system's generator is seeded.

    Raises:
        WinError: ``ERROR_INVALID_PARAMETER``.
    """
    context = provider_of(provider, codes)
    with context.guard():
        octets(seed)
        return secrets.token_bytes(number(length))
