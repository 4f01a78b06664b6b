"""The bodies of the faces of crypt32: parameters checked, then one call of the store.

``None`` stands for NULL. A handle of another kind, or one that was released, is ERROR_INVALID_PARAMETER; NULL
where it has no meaning, and a parameter of another type, is E_INVALIDARG.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from calais.store import acquire, bag, certificate
from calais.store.api import AcquiredKey, KeyOpener, StoreProvider
from calais.store.collections import Collection
from calais.store.finding import query_for
from calais.store.locations import location_of
from calais.store.model import CertificateContext, Element
from calais.store.stores import EMPTY, EVERY, Query, Store
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, WinError
from calais.win.flags import (
    CERT_STORE_DELETE_FLAG,
    CERT_STORE_ENUM_ARCHIVED_FLAG,
    CERT_STORE_PROV_COLLECTION,
    CERT_STORE_PROV_MEMORY,
    CERT_STORE_PROV_PHYSICAL_W,
    CERT_STORE_PROV_SYSTEM_A,
    CERT_STORE_PROV_SYSTEM_REGISTRY_A,
    CERT_STORE_PROV_SYSTEM_REGISTRY_W,
    CERT_STORE_PROV_SYSTEM_W,
    X509_ASN_ENCODING,
    StoreLocationId,
    StoreProviderName,
)

Stores = Callable[[], StoreProvider]
Opener = Callable[[int, object, Stores], Store | None]


# --- parameters -------------------------------------------------------------------------------------------------------


def _store(handle: object) -> Store:
    if handle is None:
        raise BadParameter(Code.E_INVALIDARG, "A store is needed.")
    if not isinstance(handle, Store) or not handle.is_open:
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "This is no open store.")
    return handle


def _context(handle: object) -> CertificateContext:
    if handle is None:
        raise BadParameter(Code.E_INVALIDARG, "A certificate context is needed.")
    if not isinstance(handle, CertificateContext) or handle.references <= 0:
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "This is no certificate context, or one that was released.")
    return handle


def element_of(handle: object) -> Element:
    """The element behind a live certificate context.

    Raises:
        BadParameter: E_INVALIDARG for ``None``; ERROR_INVALID_PARAMETER, this is none, or one that was released.
    """
    return _context(handle).element


def _encoded(encoding: object, data: object) -> bytes:
    """The bytes of exactly one certificate."""
    if not isinstance(encoding, int) or not encoding & X509_ASN_ENCODING:
        raise BadParameter(Code.E_INVALIDARG, "A certificate is X509_ASN_ENCODING.")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise BadParameter(Code.E_INVALIDARG, f"A certificate is bytes, not {type(data).__name__}.")
    return certificate.parse(bytes(data)).encoded


# --- stores -----------------------------------------------------------------------------------------------------------


def open_store(provider: object, flags: int, para: object, stores: Stores) -> Store | None:
    """CertOpenStore.

    Args:
        provider: number or name of a store provider.
        flags: CERT_STORE_*_FLAG and CERT_SYSTEM_STORE_*.
        para: what the provider takes.
        stores: where system stores come from; asked only if one is meant.

    Raises:
        NotFound: ERROR_FILE_NOT_FOUND, no such provider or store.
        BadParameter, WinError: what the provider says.
    """
    key = provider.casefold() if isinstance(provider, str) else provider
    opener = _PROVIDERS.get(key) if isinstance(key, (str, int)) else None
    if opener is None:
        raise NotFound(Code.ERROR_FILE_NOT_FOUND, f"There is no store provider {provider!r}.")
    return opener(flags, para, stores)


def _open_memory(flags: int, _para: object, _stores: Stores) -> Store:
    _refuse_deletion(flags)
    return Store(shows_archived=bool(flags & CERT_STORE_ENUM_ARCHIVED_FLAG))


def _open_collection(flags: int, _para: object, _stores: Stores) -> Store:
    _refuse_deletion(flags)
    return Collection(shows_archived=bool(flags & CERT_STORE_ENUM_ARCHIVED_FLAG))


def _refuse_deletion(flags: int) -> None:
    if flags & CERT_STORE_DELETE_FLAG:
        raise WinError(Code.ERROR_CALL_NOT_IMPLEMENTED, "There is nothing behind such a store to delete.")


def _open_system(flags: int, para: object, stores: Stores) -> Store | None:
    return stores().open_system(_name(para, Code.ERROR_FILE_NOT_FOUND), location_of(flags), flags)


def _open_registry(flags: int, para: object, stores: Stores) -> Store | None:
    return stores().open_registry(_name(para, Code.E_INVALIDARG), location_of(flags), flags)


def _open_physical(flags: int, para: object, stores: Stores) -> Store | None:
    return stores().open_physical(_name(para, Code.E_INVALIDARG), location_of(flags), flags)


def _name(para: object, without: Code) -> str:
    if para is None:
        raise WinError.of(without, "The name of the store is missing.")
    if not isinstance(para, str):
        raise BadParameter(Code.E_INVALIDARG, f"The name of a store is str, not {type(para).__name__}.")
    return para


_PROVIDERS: Final[dict[int | str, Opener]] = {
    CERT_STORE_PROV_MEMORY: _open_memory,
    StoreProviderName.MEMORY.casefold(): _open_memory,
    CERT_STORE_PROV_COLLECTION: _open_collection,
    StoreProviderName.COLLECTION.casefold(): _open_collection,
    CERT_STORE_PROV_SYSTEM_A: _open_system,
    CERT_STORE_PROV_SYSTEM_W: _open_system,
    StoreProviderName.SYSTEM.casefold(): _open_system,
    CERT_STORE_PROV_SYSTEM_REGISTRY_A: _open_registry,
    CERT_STORE_PROV_SYSTEM_REGISTRY_W: _open_registry,
    StoreProviderName.SYSTEM_REGISTRY.casefold(): _open_registry,
    CERT_STORE_PROV_PHYSICAL_W: _open_physical,
    StoreProviderName.PHYSICAL.casefold(): _open_physical,
}


def open_system_store(name: object, stores: Stores) -> Store | None:
    """CertOpenSystemStore: the current user's store of this name."""
    return stores().open_system(_name(name, Code.E_INVALIDARG), StoreLocationId.CURRENT_USER)


def close_store(handle: object, flags: int) -> None:
    """CertCloseStore; see ``Store.close``."""
    if handle is not None:
        _store(handle).close(flags)


def duplicate_store(handle: object) -> Store:
    """CertDuplicateStore."""
    return _store(handle).duplicate()


def add_store_to_collection(collection: object, sibling: object, flags: int, priority: int) -> None:
    """CertAddStoreToCollection; no sibling, nothing to do."""
    group = _store(collection)
    if not isinstance(group, Collection):
        raise BadParameter(Code.E_INVALIDARG, "This store is no collection.")
    if sibling is not None:
        group.include(_store(sibling), flags, priority)


def remove_store_from_collection(collection: object, sibling: object) -> None:
    """CertRemoveStoreFromCollection; what is no member, or no collection, stays as it is."""
    group = _store(collection)
    if isinstance(group, Collection) and sibling is not None:
        group.exclude(_store(sibling))


# --- contexts ---------------------------------------------------------------------------------------------------------


def create_context(encoding: int, data: object) -> CertificateContext:
    """CertCreateCertificateContext."""
    return EMPTY.free_standing(_encoded(encoding, data))


def duplicate_context(handle: object) -> CertificateContext | None:
    """CertDuplicateCertificateContext."""
    return None if handle is None else _context(handle).duplicate()


def free_context(handle: object) -> None:
    """CertFreeCertificateContext."""
    if handle is not None:
        _context(handle).free()


def add_context(store: object, handle: object, disposition: int) -> CertificateContext:
    """CertAddCertificateContextToStore: a copy, with all properties but handles."""
    element = _context(handle).element
    return _store_or_none(store).add(element.encoded, element.copied(), disposition)


def add_encoded(store: object, encoding: int, data: object, disposition: int) -> CertificateContext:
    """CertAddEncodedCertificateToStore."""
    return _store_or_none(store).add(_encoded(encoding, data), None, disposition)


def _store_or_none(handle: object) -> Store:
    """NULL is the store of certificates that are in none."""
    return EMPTY if handle is None else _store(handle)


def delete_context(handle: object) -> None:
    """CertDeleteCertificateFromStore: always takes one reference."""
    _context(handle).delete()


def enumerate_contexts(store: object, previous: object) -> CertificateContext | None:
    """CertEnumCertificatesInStore."""
    return _next(store, previous, lambda: EVERY)


def find_context(
    store: object, flags: int, find_type: int, para: object, previous: object
) -> CertificateContext | None:
    """CertFindCertificateInStore."""
    return _next(store, previous, lambda: query_for(find_type, para, flags))


def _next(store: object, previous: object, query: Callable[[], Query]) -> CertificateContext | None:
    """The next match; the previous context gives one reference back whatever happens."""
    before = None if previous is None else _context(previous)
    try:
        return _store(store).next(before, query())
    finally:
        if before is not None:
            before.free()


# --- properties and keys ----------------------------------------------------------------------------------------------


def get_property(handle: object, prop_id: int) -> Any:  # noqa: ANN401 - the type is the property's
    """CertGetCertificateContextProperty."""
    return _context(handle).get(prop_id)


def set_property(handle: object, prop_id: int, flags: int, value: object) -> None:
    """CertSetCertificateContextProperty."""
    _context(handle).set(prop_id, value, flags)


def next_property(handle: object, prop_id: int) -> int:
    """CertEnumCertificateContextProperties."""
    return bag.next_id(_context(handle).element, prop_id)


def acquire_key(handle: object, flags: int, window: int | None, keys: Callable[[], KeyOpener]) -> AcquiredKey:
    """CryptAcquireCertificatePrivateKey."""
    return acquire.acquire(_context(handle), flags, window, keys())


def find_key_prov_info(handle: object, flags: int, reserved: object, keys: Callable[[], KeyOpener]) -> None:
    """CryptFindCertificateKeyProvInfo."""
    acquire.find_link(_context(handle), flags, reserved, keys())
