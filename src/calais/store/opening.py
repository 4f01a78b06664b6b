"""CertOpenStore: one row per store provider.

Source: CertOpenStore; wincrypt.h (CERT_STORE_PROV_*).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, MutableMapping
from typing import BinaryIO, Final, cast

from calais.store import files, registry
from calais.store.api import StoreProvider
from calais.store.arguments import number
from calais.store.collections import Collection
from calais.store.formats import pkcs7, pkcs12, serialized
from calais.store.formats.items import KINDS, Item
from calais.store.locations import as_asked, location_of
from calais.store.shelf import Shelf
from calais.store.sources import Keeper, KeptSource
from calais.store.stores import Store
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, WinError
from calais.win.flags import (
    CERT_FILE_STORE_COMMIT_ENABLE_FLAG,
    CERT_STORE_DELETE_FLAG,
    CERT_STORE_ENUM_ARCHIVED_FLAG,
    CERT_STORE_LOCALIZED_NAME_PROP_ID,
    CERT_STORE_READONLY_FLAG,
    CERT_STORE_SET_LOCALIZED_NAME_FLAG,
    AccessState,
    StoreProviderName,
)
from calais.win.flags import StoreProvider as Provider

Stores = Callable[[], StoreProvider]
Opener = Callable[[int, object, Stores], Store | None]


def open_store(provider: object, flags: int, para: object, stores: Stores) -> Store | None:
    """Open a store, or (CERT_STORE_DELETE_FLAG) delete it.

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
    return opener(number(flags), para, stores)


# --- stores in memory -------------------------------------------------------------------------------------------------


def _open_memory(flags: int, _para: object, _stores: Stores) -> Store:
    _refuse_deletion(flags)
    return Store(shows_archived=_shows_archived(flags))


def _open_collection(flags: int, _para: object, _stores: Stores) -> Store:
    _refuse_deletion(flags)
    return Collection(shows_archived=_shows_archived(flags))


def _refuse_deletion(flags: int) -> None:
    if flags & CERT_STORE_DELETE_FLAG:
        raise WinError.of(Code.ERROR_CALL_NOT_IMPLEMENTED, "There is nothing behind such a store to delete.")


def _shows_archived(flags: int) -> bool:
    return bool(flags & CERT_STORE_ENUM_ARCHIVED_FLAG)


def _from_bytes(parse: Callable[[bytes], list[Item]]) -> Opener:
    def opener(flags: int, para: object, _stores: Stores) -> Store:
        _refuse_deletion(flags)
        if not isinstance(para, (bytes, bytearray, memoryview)):
            raise BadParameter(Code.E_INVALIDARG, f"The store is made from bytes, not {type(para).__name__}.")
        return _filled(parse(bytes(para)), flags)

    return opener


def _filled(items: Iterable[Item], flags: int) -> Store:
    """A store of what was read, with nothing behind it."""
    shelves = {kind: Shelf(kind=kind, read_only=bool(flags & CERT_STORE_READONLY_FLAG)) for kind in KINDS}
    for item in items:
        shelves[item.kind].load([item])
    return as_asked(Store(shelves, shows_archived=_shows_archived(flags)), flags)


# --- files and keys ---------------------------------------------------------------------------------------------------


def _open_file(flags: int, para: object, _stores: Stores) -> Store:
    files.check_flags(flags)
    if flags & CERT_STORE_DELETE_FLAG:
        raise BadParameter(Code.E_INVALIDARG, "An open file cannot be deleted.")
    keeper = files.OpenFile(_file(para))
    if flags & CERT_FILE_STORE_COMMIT_ENABLE_FLAG:
        return _kept(keeper, flags)
    return _filled(keeper.read(), flags)


def _file(para: object) -> BinaryIO:
    """Something like an open binary file."""
    if isinstance(para, io.TextIOBase) or not all(hasattr(para, each) for each in ("read", "seek")):
        raise BadParameter(Code.ERROR_INVALID_HANDLE, "An open binary file is needed.")
    return cast("BinaryIO", para)


def _open_path(flags: int, para: object, _stores: Stores) -> Store | None:
    files.check_flags(flags)
    path = files.path_of(para)
    if flags & CERT_STORE_DELETE_FLAG:
        files.delete_path(path)
        return None
    if flags & CERT_FILE_STORE_COMMIT_ENABLE_FLAG:
        return _kept(files.NamedFile(path, flags), flags)
    return _filled(files.open_contents(path, flags).items, flags)


def _open_key(flags: int, para: object, _stores: Stores) -> Store | None:
    if not isinstance(para, MutableMapping):
        raise BadParameter(Code.ERROR_INVALID_HANDLE, "An open key is a mutable mapping of str to bytes.")
    if flags & CERT_STORE_DELETE_FLAG:
        registry.delete_entries(para)
        return None
    return _kept(registry.RegistryKey(para), flags, keeps_identity=True)


def _kept(keeper: Keeper, flags: int, *, keeps_identity: bool = False) -> Store:
    read_only = bool(flags & CERT_STORE_READONLY_FLAG)
    source = KeptSource(keeper, read_only=read_only, keeps_identity=keeps_identity)
    state = 0 if read_only else int(AccessState.WRITE_PERSIST)
    store = Store(source.shelves, shows_archived=_shows_archived(flags), source=source, access_state=state)
    return as_asked(store, flags)


# --- stores of the system ---------------------------------------------------------------------------------------------


def _open_system(flags: int, para: object, stores: Stores) -> Store | None:
    name = _name(para, Code.ERROR_FILE_NOT_FOUND)
    return _named(stores().open_system(name, location_of(flags), flags), name, flags)


def _open_registry(flags: int, para: object, stores: Stores) -> Store | None:
    name = _name(para, Code.E_INVALIDARG)
    return _named(stores().open_registry(name, location_of(flags), flags), name, flags)


def _open_physical(flags: int, para: object, stores: Stores) -> Store | None:
    name = _name(para, Code.E_INVALIDARG)
    return _named(stores().open_physical(name, location_of(flags), flags), name, flags)


def _named(store: Store | None, name: str, flags: int) -> Store | None:
    if store is not None and flags & CERT_STORE_SET_LOCALIZED_NAME_FLAG:
        store.properties.setdefault(CERT_STORE_LOCALIZED_NAME_PROP_ID, name)
    return store


def _name(para: object, without: Code) -> str:
    if para is None:
        raise WinError.of(without, "The name of the store is missing.")
    if not isinstance(para, str):
        raise BadParameter(Code.E_INVALIDARG, f"The name of a store is str, not {type(para).__name__}.")
    return para


_ROWS: Final[tuple[tuple[Opener, tuple[int | str, ...]], ...]] = (
    (_open_memory, (Provider.MEMORY, StoreProviderName.MEMORY)),
    (_open_collection, (Provider.COLLECTION, StoreProviderName.COLLECTION)),
    (_from_bytes(pkcs7.parse_certificates), (Provider.PKCS7, StoreProviderName.PKCS7)),
    (_from_bytes(serialized.unpack_store), (Provider.SERIALIZED, StoreProviderName.SERIALIZED)),
    (_from_bytes(pkcs12.parse_certificates), (Provider.PKCS12, StoreProviderName.PKCS12)),
    (_open_file, (Provider.FILE,)),
    (_open_path, (Provider.FILENAME_A, Provider.FILENAME_W, StoreProviderName.FILENAME)),
    (_open_key, (Provider.REG,)),
    (_open_system, (Provider.SYSTEM_A, Provider.SYSTEM_W, StoreProviderName.SYSTEM)),
    (_open_registry, (Provider.SYSTEM_REGISTRY_A, Provider.SYSTEM_REGISTRY_W, StoreProviderName.SYSTEM_REGISTRY)),
    (_open_physical, (Provider.PHYSICAL_W, StoreProviderName.PHYSICAL)),
)
_PROVIDERS: Final[dict[int | str, Opener]] = {
    key.casefold() if isinstance(key, str) else int(key): opener for opener, keys in _ROWS for key in keys
}
