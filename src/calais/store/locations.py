"""System stores: their places, their names, and which physical stores make up each.

Source: wincrypt.h (CERT_SYSTEM_STORE_*); CertOpenStore; "System Store Locations" and CertRegisterPhysicalStore in
Microsoft's documentation.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from calais.store import bag
from calais.store.api import Database
from calais.store.arguments import number
from calais.store.collections import Collection
from calais.store.machine import ReadOnlyDatabase
from calais.store.model import Element
from calais.store.registry import SystemStoreKey
from calais.store.shelf import WHOLE
from calais.store.sources import DatabaseSource
from calais.store.stores import Store
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadParameter, NotFound, WinError
from calais.win.flags import (
    CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG,
    CERT_STORE_CREATE_NEW_FLAG,
    CERT_STORE_DELETE_FLAG,
    CERT_STORE_ENUM_ARCHIVED_FLAG,
    CERT_STORE_MAXIMUM_ALLOWED_FLAG,
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
    StoreProviderName,
)
from calais.win.structs import PhysicalStoreInfo

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
_OF_MACHINE = (_MACHINE, _MACHINE_POLICY, _ENTERPRISE, _USER_POLICY)
LOCATION_NAMES = {
    _USER: "CurrentUser",
    _MACHINE: "LocalMachine",
    StoreLocationId.CURRENT_SERVICE: "CurrentService",
    StoreLocationId.SERVICES: "Services",
    StoreLocationId.USERS: "Users",
    _USER_POLICY: "CurrentUserGroupPolicy",
    _MACHINE_POLICY: "LocalMachineGroupPolicy",
    _ENTERPRISE: "LocalMachineEnterprise",
}


_PROVIDER_OF = {PhysicalStoreName.LOCAL_MACHINE: StoreProviderName.SYSTEM}


class Physical(NamedTuple):
    """A member of a system store: its name there, and where its certificates are."""

    name: PhysicalStoreName
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
        machine: where those of the machine and of policies are, if not there; closed by ``close``.
        whole: up to how many certificates a store is read whole, see ``shelf``.
    """

    def __init__(self, database: Database, *, machine: Database | None = None, whole: int = WHOLE) -> None:
        self._database = database
        self._machine = machine or database
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
        return as_asked(self._system(name, location, flags), flags)

    def _system(self, name: str, location: int, flags: int) -> Collection:
        may_write = self._is_writable(location, flags | CERT_STORE_MAXIMUM_ALLOWED_FLAG)
        state = _access_state(location, read_only=not may_write)
        collection = Collection(shows_archived=bool(flags & CERT_STORE_ENUM_ARCHIVED_FLAG), access_state=state)
        for at, physical in enumerate(composition(name, location)):
            with self._member(physical, flags) as member:
                collection.include(member, 0 if at else CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG)
        return collection

    def _member(self, physical: Physical, flags: int) -> Store:
        """A member of a system store; that of the machine in a user's store is a system store itself."""
        if physical.name == PhysicalStoreName.LOCAL_MACHINE:
            return self._system(physical.store, physical.location, flags)
        return self._physical(physical, flags)

    def open_registry(self, name: str, location: int = _USER, flags: int = 0) -> Store | None:
        """CERT_STORE_PROV_SYSTEM_REGISTRY: the one physical store ``.Default``.

        Raises:
            BadParameter: E_INVALIDARG, no such location.
            WinError: see ``open_system``.
        """
        _check_location(location, Code.E_INVALIDARG)
        if self._create_or_delete(name, location, flags):
            return None
        return as_asked(self._physical(composition(name, location)[0], flags), flags)

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
                return as_asked(self._member(physical, flags), flags)
        raise NotFound(Code.ERROR_FILE_NOT_FOUND, f"There is no physical store {name!r}.")

    def names(self, location: int = _USER) -> list[str]:
        """The system stores of a location, in alphabetical order."""
        _check_location(location, Code.ERROR_FILE_NOT_FOUND)
        there = {name.casefold(): name for name in self._database_of(location).names(location)}
        if location in (_USER, _MACHINE):
            there |= {name.casefold(): name for name in PREDEFINED}
        return sorted(there.values(), key=str.casefold)

    def members(self, name: str, location: int = _USER) -> list[PhysicalStoreInfo]:
        """The physical stores of a system store, in order of priority.

        Raises:
            NotFound: ERROR_FILE_NOT_FOUND, no such location or store.
            WinError: ERROR_INVALID_NAME.
        """
        _check_location(location, Code.ERROR_FILE_NOT_FOUND)
        _check_name(name, location)
        self._check_there(name, location)
        return [
            PhysicalStoreInfo(
                name=str(each.name),
                flags=0 if number else CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG,
                open_provider=str(_PROVIDER_OF.get(each.name, StoreProviderName.SYSTEM_REGISTRY)),
            )
            for number, each in enumerate(composition(name, location))
        ]

    def register(self, name: str, location: int = _USER, flags: int = 0) -> None:
        """CertRegisterSystemStore: make the store; with CERT_STORE_CREATE_NEW_FLAG it may not be there.

        Raises:
            WinError: ERROR_FILE_NOT_FOUND no such location, ERROR_FILE_EXISTS, ERROR_INVALID_NAME, E_ACCESSDENIED.
        """
        _check_location(location, Code.ERROR_FILE_NOT_FOUND)
        _check_name(name, location)
        new = not _is_predefined(name, location) and self._database_of(location).create(location, name)
        if not new and flags & CERT_STORE_CREATE_NEW_FLAG:
            raise WinError(Code.ERROR_FILE_EXISTS, f"The store {name!r} exists already.")

    def unregister(self, name: str, location: int = _USER) -> None:
        """CertUnregisterSystemStore: remove the store with its contents; a predefined one is emptied.

        Raises:
            WinError: ERROR_FILE_NOT_FOUND no such location or store, ERROR_INVALID_NAME, E_ACCESSDENIED.
        """
        _check_location(location, Code.ERROR_FILE_NOT_FOUND)
        _check_name(name, location)
        self._delete(name, location)

    def key(self, name: str, location: int = _USER) -> SystemStoreKey:
        """The physical store ``.Default`` as the registry shows it.

        Raises:
            WinError: ERROR_FILE_NOT_FOUND no such location, ERROR_INVALID_NAME.
        """
        _check_location(location, Code.ERROR_FILE_NOT_FOUND)
        _check_name(name, location)
        return SystemStoreKey(self._database_of(location).backing(location, name))

    def close(self) -> None:
        """Let go of the databases."""
        self._database.close()
        if self._machine is not self._database:
            self._machine.close()

    def _database_of(self, location: int) -> Database:
        return self._machine if location in _OF_MACHINE else self._database

    def _is_writable(self, location: int, flags: int) -> bool:
        """Whether an opening takes changes; one that asks for as much as is allowed is told beforehand."""
        if flags & CERT_STORE_READONLY_FLAG:
            return False
        refused = isinstance(self._database_of(location), ReadOnlyDatabase)
        return not (refused and flags & CERT_STORE_MAXIMUM_ALLOWED_FLAG)

    def _physical(self, physical: Physical, flags: int) -> Store:
        read_only = not self._is_writable(physical.location, flags)
        may_write = self._is_writable(physical.location, flags | CERT_STORE_MAXIMUM_ALLOWED_FLAG)
        state = _access_state(physical.location, read_only=not may_write)
        source = DatabaseSource(
            self._database_of(physical.location).backing(physical.location, physical.store),
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
        if flags & CERT_STORE_DELETE_FLAG:
            self._delete(name, location)
            return True
        if flags & CERT_STORE_OPEN_EXISTING_FLAG:
            self._check_there(name, location)
        elif flags & CERT_STORE_CREATE_NEW_FLAG:
            self.register(name, location, flags)
        elif not self._is_there(name, location):
            with suppress(AccessDenied):  # an empty store may be looked at; the first write is refused
                self._database_of(location).create(location, name)
        return False

    def _delete(self, name: str, location: int) -> None:
        if not self._database_of(location).drop(location, name) and not _is_predefined(name, location):
            raise NotFound(Code.ERROR_FILE_NOT_FOUND, f"There is no store {name!r} to delete.")

    def _is_there(self, name: str, location: int) -> bool:
        if _is_predefined(name, location):
            return True
        return name.casefold() in map(str.casefold, self._database_of(location).names(location))

    def _check_there(self, name: str, location: int) -> None:
        if not self._is_there(name, location):
            detail = f"There is no store {name!r}."
            raise NotFound(Code.ERROR_FILE_NOT_FOUND, detail, next_step="Open it without OPEN_EXISTING to make it.")


def _is_predefined(name: str, location: int) -> bool:
    return location in (_USER, _MACHINE) and name.casefold() in map(str.casefold, PREDEFINED)


def location_of(flags: int) -> int:
    """The location in the flags of CertOpenStore.

    Raises:
        BadParameter: E_INVALIDARG, the flags are no number.
    """
    return (number(flags) & CERT_SYSTEM_STORE_LOCATION_MASK) >> CERT_SYSTEM_STORE_LOCATION_SHIFT


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


def as_asked(store: Store, flags: int) -> Store:
    """The store as the flags want it filled: CERT_STORE_UPDATE_KEYID_FLAG lists property 20 of every certificate."""
    if flags & CERT_STORE_UPDATE_KEYID_FLAG:
        for shelf in store.shelves():
            for entry in shelf.entries():
                _store_key_identifier(entry.element)
    return store


def _store_key_identifier(element: Element) -> None:
    """Have property 20 listed; a key that cannot be decoded has none."""
    if bag.has(element, PropId.KEY_IDENTIFIER):
        bag.get(element, PropId.KEY_IDENTIFIER)
