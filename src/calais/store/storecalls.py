"""The bodies of the faces of crypt32 that concern whole stores: parameters checked, then one call.

``None`` stands for NULL, as in ``calls``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from calais.store import arguments, control, saving
from calais.store.calls import is_null, store_of
from calais.store.collections import Collection
from calais.store.locations import LOCATION_NAMES, location_of
from calais.store.model import CERTIFICATES, CRLS, CTLS, C, Element, Kind
from calais.store.opening import Stores
from calais.store.stores import Store
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound
from calais.win.flags import (
    CERT_ACCESS_STATE_PROP_ID,
    CERT_LAST_USER_PROP_ID,
    CERT_STORE_ADD_REPLACE_EXISTING,
    CERT_STORE_LOCALIZED_NAME_PROP_ID,
    CERT_SYSTEM_STORE_LOCATION_MASK,
    CERT_SYSTEM_STORE_LOCATION_SHIFT,
    StoreLocationId,
)
from calais.win.structs import PhysicalStoreInfo

Visitor = Callable[..., object]


# --- opening and closing ----------------------------------------------------------------------------------------------


def open_system_store(name: object, stores: Stores) -> Store | None:
    """CertOpenSystemStore: the current user's store of this name."""
    return stores().open_system(_name(name), StoreLocationId.CURRENT_USER)


def close_store(handle: object, flags: int) -> None:
    """CertCloseStore; see ``Store.give_back``."""
    if not is_null(handle):
        store_of(handle).give_back(arguments.number(flags))


def duplicate_store(handle: object) -> Store:
    """CertDuplicateStore."""
    return store_of(handle).duplicate()


# --- upkeep -----------------------------------------------------------------------------------------------------------


def save_store(handle: object, save_as: int, save_to: int, para: object, flags: int) -> bytes | None:
    """CertSaveStore; see ``saving.save``."""
    return saving.save(store_of(handle), save_as, save_to, para, flags)


def control_store(handle: object, flags: int, number: int, para: object) -> None:
    """CertControlStore; see ``control.control``."""
    control.control(store_of(handle), flags, number, para)


def add_store_to_collection(collection: object, sibling: object, flags: int, priority: int) -> None:
    """CertAddStoreToCollection; no sibling, nothing to do."""
    group = store_of(collection)
    if not isinstance(group, Collection):
        raise BadParameter(Code.E_INVALIDARG, "This store is no collection.")
    if not is_null(sibling):
        group.include(store_of(sibling), arguments.number(flags), arguments.number(priority))


def remove_store_from_collection(collection: object, sibling: object) -> None:
    """CertRemoveStoreFromCollection; what is no member, or no collection, stays as it is."""
    group = store_of(collection)
    if isinstance(group, Collection) and not is_null(sibling):
        group.exclude(store_of(sibling))


def get_store_property(handle: object, prop_id: int) -> Any:  # noqa: ANN401 - the type is the property's
    """CertGetStoreProperty."""
    store = store_of(handle)
    if prop_id == CERT_ACCESS_STATE_PROP_ID:
        return store.access_state
    if prop_id not in store.properties:
        raise NotFound(Code.CRYPT_E_NOT_FOUND, f"The store has no property {prop_id}.")
    return store.properties[prop_id]


def set_store_property(handle: object, prop_id: int, value: object) -> None:
    """CertSetStoreProperty: as long as the store is open."""
    store = store_of(handle)
    if not 0 < prop_id <= CERT_LAST_USER_PROP_ID or prop_id == CERT_ACCESS_STATE_PROP_ID:
        raise BadParameter(Code.E_INVALIDARG, f"Property {prop_id} of a store cannot be set.")
    if value is None:
        store.properties.pop(prop_id, None)
        return
    if not isinstance(value, str if prop_id == CERT_STORE_LOCALIZED_NAME_PROP_ID else (bytes, bytearray, memoryview)):
        raise BadParameter(Code.E_INVALIDARG, f"Property {prop_id} of a store is no {type(value).__name__}.")
    store.properties[prop_id] = value if isinstance(value, str) else bytes(value)


def update_store(target: object, model: object) -> None:
    """I_CertUpdateStore: make one store a mirror of another."""
    mirror, original = store_of(target), store_of(model)
    _mirror(CERTIFICATES, mirror, original)
    _mirror(CRLS, mirror, original)
    _mirror(CTLS, mirror, original)


def _mirror(kind: Kind[C], mirror: Store, original: Store) -> None:
    wanted = {element.identity: element for element in _elements(kind, original)}
    for shelf in list(mirror.shelves(kind.number)):
        for entry in list(shelf.entries()):
            if entry.element.identity not in wanted:
                shelf.remove(entry)
    present = {element.identity: element for element in _elements(kind, mirror)}
    for identity, element in wanted.items():
        if identity not in present or present[identity].written() != element.written():
            mirror.put(kind, element.encoded, element.copied(), CERT_STORE_ADD_REPLACE_EXISTING).free()


def _elements(kind: Kind[C], store: Store) -> list[Element]:
    """Oldest first, archived ones too."""
    return [entry.element for shelf in store.shelves(kind.number) for entry in list(shelf.entries())[::-1]]


# --- stores of the system ---------------------------------------------------------------------------------------------


def enumerate_locations(arg: object, visitor: Visitor | None) -> list[tuple[str, int]] | bool:
    """CertEnumSystemStoreLocation."""
    rows = [(name, int(each) << CERT_SYSTEM_STORE_LOCATION_SHIFT) for each, name in LOCATION_NAMES.items()]
    return rows if not visitor else _visit(visitor, ((name, flags, None) for name, flags in rows), arg)


def enumerate_stores(
    flags: int, owner: object, arg: object, visitor: Visitor | None, stores: Stores
) -> list[str] | bool:
    """CertEnumSystemStore; ``owner`` leaves those of one service or user."""
    names = stores().names(location_of(flags))
    if isinstance(owner, str) and owner:
        names = [name for name in names if name.casefold().startswith(owner.casefold() + "\\")]
    place = flags & CERT_SYSTEM_STORE_LOCATION_MASK
    return names if not visitor else _visit(visitor, ((name, place, None) for name in names), arg)


def enumerate_physical(
    name: object, flags: int, arg: object, visitor: Visitor | None, stores: Stores
) -> list[PhysicalStoreInfo] | bool:
    """CertEnumPhysicalStore."""
    members = stores().members(_name(name), location_of(flags))
    place = flags & CERT_SYSTEM_STORE_LOCATION_MASK
    return members if not visitor else _visit(visitor, ((each.name, place, each) for each in members), arg)


def _visit(visitor: Visitor, rows: Iterable[tuple[str, int, object]], arg: object) -> bool:
    """Call the program for each row until it has enough; whether it never had."""
    return all(visitor(name, flags, info, None, arg) for name, flags, info in rows)


def register_store(name: object, flags: int, stores: Stores) -> None:
    """CertRegisterSystemStore."""
    location = location_of(flags)
    if location in (StoreLocationId.SERVICES, StoreLocationId.USERS):
        raise BadParameter(Code.E_INVALIDARG, "Stores of others are not registered.")
    stores().register(_name(name), location, flags)


def unregister_store(name: object, flags: int, stores: Stores) -> None:
    """CertUnregisterSystemStore."""
    stores().unregister(_name(name), location_of(flags))


def store_key(name: object, location: int, stores: Stores) -> MutableMapping[str, bytes]:
    """A system store as the registry shows it."""
    return stores().key(_name(name), location_of(location))


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise BadParameter(Code.E_INVALIDARG, f"The name of a store is str, not {type(name).__name__}.")
    return name
