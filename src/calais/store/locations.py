"""System stores: their places, their names, and which physical stores make up each.

Source: wincrypt.h (CERT_SYSTEM_STORE_*); CertOpenStore; "System Store Locations" and CertRegisterPhysicalStore in
Microsoft's documentation.
"""

from __future__ import annotations

from typing import NamedTuple

from calais.store import bag
from calais.store.api import Database
from calais.store.collections import Collection
from calais.store.model import Element
from calais.store.shelf import WHOLE
from calais.store.sources import DatabaseSource
from calais.store.stores import Store
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, WinError
from calais.win.flags import (
    CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG,
    CERT_STORE_CREATE_NEW_FLAG,
    CERT_STORE_DELETE_FLAG,
    CERT_STORE_ENUM_ARCHIVED_FLAG,
    CERT_STORE_OPEN_EXISTING_FLAG,
    CERT_STORE_READONLY_FLAG,
    CERT_STORE_UPDATE_KEYID_FLAG,
    CERT_SYSTEM_STORE_LOCATION_MASK,
    CERT_SYSTEM_STORE_LOCATION_SHIFT,
    CERT_SYSTEM_STORE_RELOCATE_FLAG,
    AccessState,
    PhysicalStoreName,
    PropId,
    StoreLocationId,
)

PREDEFINED = (
    "My",
    "Root",
    "CA",
    "Trust",
    "Disallowed",
    "TrustedPeople",
    "AddressBook",
    "REQUEST",
    "SmartCardRoot",
)
_USER = StoreLocationId.CURRENT_USER
_MACHINE = StoreLocationId.LOCAL_MACHINE
_USER_POLICY = StoreLocationId.CURRENT_USER_GROUP_POLICY
_MACHINE_POLICY = StoreLocationId.LOCAL_MACHINE_GROUP_POLICY
_ENTERPRISE = StoreLocationId.LOCAL_MACHINE_ENTERPRISE
_OF_OTHERS = (StoreLocationId.SERVICES, StoreLocationId.USERS)
_LOCATIONS = (_USER, _MACHINE, StoreLocationId.CURRENT_SERVICE, *_OF_OTHERS, _USER_POLICY, _MACHINE_POLICY, _ENTERPRISE)
_OWN_ONLY = ("my", "request")


class Physical(NamedTuple):
    """A member of a system store: its name there, and where its certificates are."""

    name: str
    location: int
    store: str


def composition(name: str, location: int) -> list[Physical]:
    """The physical stores of a system store, in order of priority; additions go to the first."""
    default = [Physical(PhysicalStoreName.DEFAULT, location, name)]
    folded = name.casefold()
    if location == _USER and folded not in _OWN_ONLY:
        return [
            *default,
            Physical(PhysicalStoreName.LOCAL_MACHINE, _MACHINE, name),
            Physical(PhysicalStoreName.GROUP_POLICY, _USER_POLICY, name),
        ]
    if location != _MACHINE:
        return default
    policies = [
        Physical(PhysicalStoreName.GROUP_POLICY, _MACHINE_POLICY, name),
        Physical(PhysicalStoreName.ENTERPRISE, _ENTERPRISE, name),
    ]
    if folded != "root":
        return default + policies
    auth_root = Physical(PhysicalStoreName.AUTH_ROOT, _MACHINE, "AuthRoot")
    return [*default, auth_root, *policies, Physical(PhysicalStoreName.SMART_CARD, _MACHINE, "SmartCardRoot")]


class SystemStores:
    """The store provider over a database.

    Args:
        database: where the certificates are kept; closed by ``close``.
        whole: up to how many certificates a store is read whole, see ``shelf``.
    """

    def __init__(self, database: Database, *, whole: int = WHOLE) -> None:
        self._database = database
        self._whole = whole

    @property
    def database(self) -> Database:
        """Where the certificates are kept."""
        return self._database

    def open_system(self, name: str, location: int = _USER, flags: int = 0) -> Store | None:
        """CERT_STORE_PROV_SYSTEM: a collection of physical stores.

        Args:
            name: ``"My"``, ``"Root"`` … compared without case; an unknown one is made, unless OPEN_EXISTING says not.
            location: StoreLocationId.
            flags: CERT_STORE_*_FLAG; the location in them does not count.

        Returns:
            the open store; ``None`` = done, for CERT_STORE_DELETE_FLAG.

        Raises:
            NotFound: ERROR_FILE_NOT_FOUND, no such location, or no such store to be opened or deleted.
            WinError: ERROR_FILE_EXISTS for CREATE_NEW, ERROR_INVALID_NAME, or the database refused.
        """
        _check_location(location, Code.ERROR_FILE_NOT_FOUND)
        if self._create_or_delete(name, location, flags):
            return None
        collection = Collection(shows_archived=bool(flags & CERT_STORE_ENUM_ARCHIVED_FLAG))
        for number, physical in enumerate(composition(name, location)):
            with self._physical(physical, flags) as member:
                collection.include(member, 0 if number else CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG)
        return _opened(collection, flags)

    def open_registry(self, name: str, location: int = _USER, flags: int = 0) -> Store | None:
        """CERT_STORE_PROV_SYSTEM_REGISTRY: the one physical store ``.Default``.

        Raises:
            BadParameter: E_INVALIDARG, no such location.
            WinError: see ``open_system``.
        """
        _check_location(location, Code.E_INVALIDARG)
        if self._create_or_delete(name, location, flags):
            return None
        return _opened(self._physical(composition(name, location)[0], flags), flags)

    def open_physical(self, name: str, location: int = _USER, flags: int = 0) -> Store | None:
        r"""CERT_STORE_PROV_PHYSICAL: one member of a system store, as ``Root\.SmartCard``.

        Raises:
            NotFound: ERROR_FILE_NOT_FOUND, no such member.
            WinError: see ``open_system``.
        """
        _check_location(location, Code.ERROR_FILE_NOT_FOUND)
        system, _, member = name.rpartition("\\")
        for physical in composition(system, location):
            if physical.name.casefold() == member.casefold():
                if self._create_or_delete(physical.store, physical.location, flags):
                    return None
                return _opened(self._physical(physical, flags), flags)
        raise NotFound(Code.ERROR_FILE_NOT_FOUND, f"There is no physical store {name!r}.")

    def names(self, location: int = _USER) -> list[str]:
        """The system stores of a location, in alphabetical order."""
        _check_location(location, Code.ERROR_FILE_NOT_FOUND)
        there = {name.casefold(): name for name in self._database.names(location)}
        if location in (_USER, _MACHINE):
            there |= {name.casefold(): name for name in PREDEFINED}
        return sorted(there.values(), key=str.casefold)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _physical(self, physical: Physical, flags: int) -> Store:
        read_only = bool(flags & CERT_STORE_READONLY_FLAG)
        state = _access_state(physical.location, read_only=read_only)
        source = DatabaseSource(
            self._database.backing(physical.location, physical.store),
            read_only=read_only,
            access_state=state,
            whole=self._whole,
        )
        archived = bool(flags & CERT_STORE_ENUM_ARCHIVED_FLAG)
        return Store(source.shelves, shows_archived=archived, source=source, access_state=state)

    def _create_or_delete(self, name: str, location: int, flags: int) -> bool:
        """What the flags say about the store itself; whether that was all."""
        _check_name(name, location)
        if flags & CERT_SYSTEM_STORE_RELOCATE_FLAG:
            raise BadParameter(Code.E_INVALIDARG, "There is no registry to relocate the store to.")
        predefined = location in (_USER, _MACHINE) and name.casefold() in map(str.casefold, PREDEFINED)
        if flags & CERT_STORE_DELETE_FLAG:
            if not self._database.drop(location, name) and not predefined:
                raise NotFound(Code.ERROR_FILE_NOT_FOUND, f"There is no store {name!r} to delete.")
            return True
        if flags & CERT_STORE_OPEN_EXISTING_FLAG:
            self._check_there(name, location, predefined=predefined)
        elif flags & CERT_STORE_CREATE_NEW_FLAG:
            if predefined or not self._database.create(location, name):
                raise WinError(Code.ERROR_FILE_EXISTS, f"The store {name!r} exists already.")
        elif not predefined and name.casefold() not in map(str.casefold, self._database.names(location)):
            self._database.create(location, name)
        return False

    def _check_there(self, name: str, location: int, *, predefined: bool) -> None:
        if not predefined and name.casefold() not in map(str.casefold, self._database.names(location)):
            detail = f"There is no store {name!r}."
            raise NotFound(Code.ERROR_FILE_NOT_FOUND, detail, next_step="Open it without OPEN_EXISTING to make it.")


def location_of(flags: int) -> int:
    """The location in the flags of CertOpenStore."""
    return (flags & CERT_SYSTEM_STORE_LOCATION_MASK) >> CERT_SYSTEM_STORE_LOCATION_SHIFT


def _check_location(location: int, code: Code) -> None:
    if location not in _LOCATIONS:
        raise WinError.of(code, f"There is no store location {location}.")


def _check_name(name: str, location: int) -> None:
    r"""A store name is not empty and has no backslash, but for ``service\name`` and ``user\name``."""
    owner, backslash, rest = name.partition("\\")
    if location in _OF_OTHERS and backslash:
        fine = bool(owner and rest) and "\\" not in rest
    else:
        fine = bool(name) and not backslash
    if not fine or "\0" in name:
        raise WinError(Code.ERROR_INVALID_NAME, f"{name!r} is no name for a store.")


def _access_state(location: int, *, read_only: bool) -> int:
    state = AccessState.SYSTEM_STORE
    if not read_only:
        state |= AccessState.WRITE_PERSIST
    if location in (_MACHINE, _MACHINE_POLICY, _ENTERPRISE):
        state |= AccessState.LM_SYSTEM_STORE
    if location in (_USER_POLICY, _MACHINE_POLICY):
        state |= AccessState.GP_SYSTEM_STORE
    return int(state)


def _opened(store: Store, flags: int) -> Store:
    """The store as the flags want it filled."""
    if flags & CERT_STORE_UPDATE_KEYID_FLAG:
        for shelf in store.shelves():
            for entry in shelf.entries():
                _store_key_identifier(entry.element)
    return store


def _store_key_identifier(element: Element) -> None:
    """Have property 20 listed; a key that cannot be decoded has none."""
    if bag.has(element, PropId.KEY_IDENTIFIER):
        bag.get(element, PropId.KEY_IDENTIFIER)
