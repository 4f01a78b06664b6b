"""From a certificate to its private key: cache, link, opening, comparison, and healing of a broken link.

Sources: CryptAcquireCertificatePrivateKey, CryptFindCertificateKeyProvInfo (wincrypt.h and Microsoft's
documentation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from calais.store import bag, finding
from calais.store.api import AcquiredKey, KeyHandle, KeyOpener
from calais.store.model import CertificateContext, Element
from calais.win.codes import Code
from calais.win.errors import BadParameter, Cancelled, NotFound, PinBlocked, SilentContext, WinError, WrongPin
from calais.win.flags import (
    AT_KEYEXCHANGE,
    CERT_NCRYPT_KEY_SPEC,
    CERT_SET_KEY_CONTEXT_PROP_ID,
    CERT_SET_PROPERTY_IGNORE_PERSIST_ERROR_FLAG,
    CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG,
    CRYPT_ACQUIRE_CACHE_FLAG,
    CRYPT_ACQUIRE_COMPARE_KEY_FLAG,
    CRYPT_ACQUIRE_NCRYPT_KEY_FLAGS_MASK,
    CRYPT_ACQUIRE_NO_HEALING,
    CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG,
    CRYPT_ACQUIRE_PREFER_NCRYPT_KEY_FLAG,
    CRYPT_ACQUIRE_SILENT_FLAG,
    CRYPT_ACQUIRE_USE_PROV_INFO_FLAG,
    CRYPT_ACQUIRE_WINDOW_HANDLE_FLAG,
    CRYPT_FIND_MACHINE_KEYSET_FLAG,
    CRYPT_FIND_SILENT_KEYSET_FLAG,
    CRYPT_FIND_USER_KEYSET_FLAG,
    CRYPT_SILENT,
    PropId,
)
from calais.win.structs import CertKeyContext, CryptKeyProvInfo

_ACQUIRE_FLAGS = (
    CRYPT_ACQUIRE_CACHE_FLAG
    | CRYPT_ACQUIRE_USE_PROV_INFO_FLAG
    | CRYPT_ACQUIRE_COMPARE_KEY_FLAG
    | CRYPT_ACQUIRE_NO_HEALING
    | CRYPT_ACQUIRE_SILENT_FLAG
    | CRYPT_ACQUIRE_WINDOW_HANDLE_FLAG
    | CRYPT_ACQUIRE_NCRYPT_KEY_FLAGS_MASK
)
_FIND_FLAGS = (
    CRYPT_FIND_USER_KEYSET_FLAG
    | CRYPT_FIND_MACHINE_KEYSET_FLAG
    | CRYPT_FIND_SILENT_KEYSET_FLAG
    | CRYPT_ACQUIRE_NCRYPT_KEY_FLAGS_MASK
)
_WINDOW_STEP = "Give CRYPT_ACQUIRE_WINDOW_HANDLE_FLAG and a window, or neither."
_FINAL = (Cancelled, SilentContext, WrongPin, PinBlocked)  # a second way would ask, or spend a try, again


def technologies(flags: int) -> tuple[bool, ...]:
    """In which order to try CryptoAPI (``False``) and CNG (``True``); ONLY beats PREFER beats ALLOW."""
    if flags & CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG:
        return (True,)
    if flags & CRYPT_ACQUIRE_PREFER_NCRYPT_KEY_FLAG:
        return (True, False)
    return (False, True) if flags & CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG else (False,)


@dataclass(frozen=True)
class _Request:
    """One call: whose key, how, and through whom."""

    element: Element
    flags: int
    window: int | None
    opener: KeyOpener

    @property
    def ways(self) -> tuple[bool, ...]:
        return technologies(self.flags)

    def usable(self, slot: CertKeyContext | None) -> AcquiredKey | None:
        """What a slot gives, if its handle is of an allowed kind; one without handle is empty."""
        if slot is None or not isinstance(slot.handle, KeyHandle) or slot.handle.is_ncrypt not in self.ways:
            return None
        return AcquiredKey(slot.handle, slot.key_spec, caller_free=False)

    def caches(self, info: CryptKeyProvInfo | None) -> bool:
        """Whether caching is in force: CACHE, or USE_PROV_INFO and the link allows it."""
        if self.flags & CRYPT_ACQUIRE_USE_PROV_INFO_FLAG:
            return info is not None and bool(info.flags & CERT_SET_KEY_CONTEXT_PROP_ID)
        return bool(self.flags & CRYPT_ACQUIRE_CACHE_FLAG)


def acquire(context: CertificateContext, flags: int, window: int | None, opener: KeyOpener) -> AcquiredKey:
    """The private key of a certificate.

    Args:
        context: the certificate.
        flags: CRYPT_ACQUIRE_*.
        window: parent of a prompt, with CRYPT_ACQUIRE_WINDOW_HANDLE_FLAG.
        opener: opens keys and searches cards.

    Raises:
        BadParameter: NTE_BAD_FLAGS, E_INVALIDARG.
        NotFound: CRYPT_E_NO_KEY_PROPERTY, the certificate has no link and no card has its key; NTE_BAD_KEYSET, the
            link names a container that is not there; NTE_KEYSET_NOT_DEF, an unknown provider.
        WinError: NTE_BAD_PROV_TYPE, a CNG link without an NCRYPT flag; NTE_BAD_PUBLIC_KEY, another key; what the
            provider says, unchanged. Nothing is cached then, and nothing stays open.
    """
    _check_flags(flags, window)
    with _next_steps():
        return _acquire(_Request(context.element, flags, window, opener))


NEXT_STEPS: Final[dict[int, str]] = {
    Code.NTE_BAD_FLAGS: "Write the link anew: calais cert repair",
    Code.NTE_BAD_KEYSET: "Insert the card with this key, or write the link anew: calais cert repair",
    Code.NTE_BAD_KEYSET_PARAM: "Write the link anew: calais cert repair",
    Code.NTE_BAD_PROV_TYPE: "Write the link anew: calais cert repair",
    Code.NTE_BAD_TYPE: "Write the link anew: calais cert repair",
    Code.NTE_KEYSET_NOT_DEF: "Write the link anew: calais cert repair",
    Code.NTE_NO_KEY: "Write the link anew: calais cert repair",
    Code.NTE_PROV_TYPE_NO_MATCH: "Write the link anew: calais cert repair",
    Code.NTE_SILENT_CONTEXT: "Let a person be asked: without CRYPT_ACQUIRE_SILENT_FLAG",
    Code.SCARD_E_NO_READERS_AVAILABLE: "Plug in a reader, or insert a virtual card: calais virtual insert NAME",
    Code.SCARD_E_NO_SMARTCARD: "Insert the card",
    Code.SCARD_E_UNKNOWN_READER: "Plug the reader in, or write the link anew: calais cert repair",
}


@contextmanager
def _next_steps() -> Iterator[None]:
    """Whatever fails on the way from a certificate to its key says what can be done about it."""
    try:
        yield
    except WinError as error:
        error.next_step = error.next_step or NEXT_STEPS.get(
            error.code, "calais cert explain says where the link breaks"
        )
        raise


def _acquire(request: _Request) -> AcquiredKey:
    element, flags = request.element, request.flags
    info = bag.key_prov_info(element)
    if request.caches(info):
        cached = request.usable(element.slot)
        if cached is not None:
            return cached
    handle, used = _open_or_heal(request, info)
    spec = CERT_NCRYPT_KEY_SPEC if handle.is_ncrypt else used.key_spec or getattr(handle, "key_spec", AT_KEYEXCHANGE)
    if flags & CRYPT_ACQUIRE_COMPARE_KEY_FLAG:
        _compare(request, handle, spec)
    if not request.caches(used):
        return AcquiredKey(handle, spec, caller_free=True)
    slot = element.keep_handle(CertKeyContext(handle, spec), lambda found: request.usable(found) is not None)
    kept = request.usable(slot) or AcquiredKey(handle, spec, caller_free=False)
    if kept.handle is not handle:
        handle.close()  # another thread has kept one meanwhile
    return kept


def _check_flags(flags: int, window: int | None) -> None:
    if flags & ~_ACQUIRE_FLAGS:
        detail = f"Flags 0x{flags & ~_ACQUIRE_FLAGS:X} are not known here."
        raise BadParameter(Code.NTE_BAD_FLAGS, detail, next_step="Use CRYPT_ACQUIRE_* only.")
    has_window = bool(flags & CRYPT_ACQUIRE_WINDOW_HANDLE_FLAG)
    if has_window and flags & CRYPT_ACQUIRE_SILENT_FLAG:
        detail = "A window for prompts, and no prompts, do not go together."
        raise BadParameter(Code.E_INVALIDARG, detail, next_step=_WINDOW_STEP)
    if window is not None and not (has_window and isinstance(window, int)):
        detail = "A window handle is a number and goes with its flag."
        raise BadParameter(Code.E_INVALIDARG, detail, next_step=_WINDOW_STEP)


def _open_or_heal(request: _Request, info: CryptKeyProvInfo | None) -> tuple[KeyHandle, CryptKeyProvInfo]:
    """An open key and the link it came by; a missing or broken link is replaced once, if healing may."""
    may_search = not request.flags & CRYPT_ACQUIRE_NO_HEALING
    if info is None:
        original = _no_link(searched=may_search)
    else:
        try:
            return _open(request, info), info
        except WinError as error:
            if error.code != Code.NTE_BAD_KEYSET:
                raise
            original = error
    if not may_search:
        raise original
    link = search(request.element, request.flags, request.opener)
    if link is None:
        raise original
    relink(request.element, link)
    return _open(request, link), link


def _no_link(*, searched: bool) -> WinError:
    also = ", and no inserted card has its key" if searched else ""
    detail = f"The certificate has no link to a private key{also}."
    step = (
        "Insert its card; `calais propagate` or `calais cert repair` writes the link, `calais cert explain` says more."
    )
    return NotFound(Code.CRYPT_E_NO_KEY_PROPERTY, detail, next_step=step)


def _open(request: _Request, info: CryptKeyProvInfo) -> KeyHandle:
    """Open a link in the ways that the flags allow; when all fail, the first one's failure."""
    silent = bool(request.flags & CRYPT_ACQUIRE_SILENT_FLAG)
    flags = info.flags & ~CERT_SET_KEY_CONTEXT_PROP_ID | (CRYPT_SILENT if silent else 0)
    asked = replace(info, flags=flags)
    failures: list[WinError] = []
    for way in _ways_of(request, info):
        try:
            return way(asked, silent=silent or bool(flags & CRYPT_SILENT), window=request.window)
        except _FINAL:
            raise
        except WinError as error:
            failures.append(error)
    # a CSP without KSP answers for itself, in whatever order it was asked
    raise next((each for each in failures if each.code != Code.NTE_KEYSET_NOT_DEF), failures[0])


def _ways_of(request: _Request, info: CryptKeyProvInfo) -> Iterator[Callable[..., KeyHandle]]:
    """The openers for a link, in order.

    Raises:
        WinError: NTE_BAD_PROV_TYPE, a CNG link is not for CryptoAPI.
        BadParameter: E_INVALIDARG, a CNG link with provider parameters.
    """
    if info.prov_type == 0:
        if True not in request.ways:
            detail = "The link names a key storage provider."
            step = "Allow CNG keys: CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG."
            raise WinError(Code.NTE_BAD_PROV_TYPE, detail, next_step=step)
        if info.params:
            detail = "A link to a key storage provider has no provider parameters."
            raise BadParameter(Code.E_INVALIDARG, detail, next_step="Write the link anew: calais cert repair")
        return iter((request.opener.open_ksp,))
    return (request.opener.open_ksp if ncrypt else request.opener.open_csp for ncrypt in request.ways)


def _compare(request: _Request, handle: KeyHandle, spec: int) -> None:
    """The certificate's key is the card's, or the handle is closed again."""
    try:
        if finding.same_key(request.opener.public_key(handle, spec), request.element.outline.public_key):
            return
    except WinError:
        handle.close()
        raise
    handle.close()
    detail = "The container holds another key than the certificate."
    raise WinError(Code.NTE_BAD_PUBLIC_KEY, detail, next_step="`calais cert repair` finds the container that fits.")


def search(element: Element, flags: int, opener: KeyOpener) -> CryptKeyProvInfo | None:
    """A link to the container on an inserted card that holds the certificate's key, in the order of the flags."""
    found = (opener.search(element.outline.public_key, ncrypt=ncrypt) for ncrypt in technologies(flags))
    return next((link for link in found if link is not None), None)


def relink(element: Element, link: CryptKeyProvInfo) -> None:
    """Property 2 from now on; kept in memory where the store is not to be written."""
    allowed = replace(link, flags=link.flags | CERT_SET_KEY_CONTEXT_PROP_ID)
    bag.set_value(element, PropId.KEY_PROV_INFO, allowed, CERT_SET_PROPERTY_IGNORE_PERSIST_ERROR_FLAG)
    if element.lookup(PropId.KEY_REPAIR_ATTEMPTED) is not None:
        bag.set_value(element, PropId.KEY_REPAIR_ATTEMPTED, None, CERT_SET_PROPERTY_IGNORE_PERSIST_ERROR_FLAG)


def find_link(context: CertificateContext, flags: int, reserved: object, opener: KeyOpener) -> None:
    """Make property 2 name a container that holds the certificate's key; a link that does is left alone.

    Args:
        context: the certificate.
        flags: CRYPT_FIND_*_KEYSET_FLAG and CRYPT_ACQUIRE_*_NCRYPT_KEY_FLAG.
        reserved: ``None``.
        opener: opens keys and searches cards; nothing is asked.

    Raises:
        BadParameter: NTE_BAD_FLAGS, E_INVALIDARG.
        NotFound: NTE_NO_KEY, no inserted card has the key.
    """
    if flags & ~_FIND_FLAGS:
        detail = f"Flags 0x{flags & ~_FIND_FLAGS:X} are not known here."
        raise BadParameter(
            Code.NTE_BAD_FLAGS, detail, next_step="Use CRYPT_FIND_* and CRYPT_ACQUIRE_*_NCRYPT_KEY_FLAG."
        )
    if reserved is not None:
        raise BadParameter(Code.E_INVALIDARG, "The reserved parameter is not None.", next_step="Leave it out.")
    info = bag.key_prov_info(context.element)
    if info is not None and _holds_key(context.element, info, opener):
        return
    link = search(context.element, flags, opener)
    if link is None:
        detail = "No inserted card holds the private key of this certificate."
        raise NotFound(Code.NTE_NO_KEY, detail, next_step="Insert its card and try again.")
    relink(context.element, link)


def _holds_key(element: Element, info: CryptKeyProvInfo, opener: KeyOpener) -> bool:
    """Whether a link opens and leads to the certificate's key."""
    asked = replace(info, flags=info.flags & ~CERT_SET_KEY_CONTEXT_PROP_ID | CRYPT_SILENT, params=())
    try:
        opened = (opener.open_csp if info.prov_type else opener.open_ksp)(asked, silent=True, window=None)
    except WinError:
        return False
    try:
        return finding.same_key(opener.public_key(opened, info.key_spec), element.outline.public_key)
    except WinError:
        return False
    finally:
        opened.close()
