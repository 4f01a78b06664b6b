"""Stores: opening, closing, and what they are made of.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from calais.store import opening as _opening
from calais.store import storecalls as _calls
from calais.store.api import System as _System
from calais.store.stores import Store as HCERTSTORE
from calais.win.flags import CERT_SYSTEM_STORE_CURRENT_USER
from calais.win.structs import PhysicalStoreInfo
from calais.winapi import ambient as _ambient


def CertOpenStore(
    lpszStoreProvider: int | str,
    dwEncodingType: int = 0,
    hCryptProv: object = None,
    dwFlags: int = 0,
    pvPara: object = None,
    *,
    system: _System | None = None,
) -> HCERTSTORE | None:
    """An open store; ``None`` = done, for CERT_STORE_DELETE_FLAG.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND no such provider, location or store; ERROR_FILE_EXISTS for CREATE_NEW;
            ERROR_INVALID_NAME; E_INVALIDARG; ERROR_CALL_NOT_IMPLEMENTED nothing to delete; what the database says.
    """
    return _opening.open_store(lpszStoreProvider, dwFlags, pvPara, _ambient.stores_of(system))


def CertOpenSystemStore(
    hProv: object = None, szSubsystemProtocol: str | None = None, *, system: _System | None = None
) -> HCERTSTORE | None:
    """The current user's store of this name.

    Raises:
        WinError: E_INVALIDARG no name; ERROR_INVALID_NAME; what the database says.
    """
    return _calls.open_system_store(szSubsystemProtocol, _ambient.stores_of(system))


def CertDuplicateStore(hCertStore: HCERTSTORE) -> HCERTSTORE:
    """The same object, count +1."""
    return _calls.duplicate_store(hCertStore)


def CertCloseStore(hCertStore: HCERTSTORE | None, dwFlags: int = 0) -> None:
    """Give a reference of the store back; contexts outlive it.

    Raises:
        WinError: CRYPT_E_PENDING_CLOSE with CHECK_FLAG, closed, but contexts or references are out; E_UNEXPECTED
            for the store of contexts that are in none; ERROR_INVALID_PARAMETER closed before.
    """
    _calls.close_store(hCertStore, dwFlags)


def CertAddStoreToCollection(
    hCollectionStore: HCERTSTORE, hSiblingStore: HCERTSTORE | None, dwUpdateFlags: int = 0, dwPriority: int = 0
) -> None:
    """Show a store in a collection too; additions go to the first with CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG.

    Raises:
        WinError: E_INVALIDARG, the first is no collection.
    """
    _calls.add_store_to_collection(hCollectionStore, hSiblingStore, dwUpdateFlags, dwPriority)


def CertRemoveStoreFromCollection(hCollectionStore: HCERTSTORE, hSiblingStore: HCERTSTORE) -> None:
    """No longer show a store in a collection."""
    _calls.remove_store_from_collection(hCollectionStore, hSiblingStore)


def I_CertUpdateStore(
    hToUpdate: HCERTSTORE, hUpdateFrom: HCERTSTORE, dwReserved: int = 0, pvReserved: object = None
) -> None:
    """Make the first store a mirror of the second: its certificates and CRLs with their properties, no others.

    Raises:
        WinError: E_ACCESSDENIED read-only; what the database says.
    """
    _calls.update_store(hToUpdate, hUpdateFrom)


def CertSaveStore(
    hCertStore: HCERTSTORE,
    dwEncodingType: int,
    dwSaveAs: int,
    dwSaveTo: int,
    pvSaveToPara: object = None,
    dwFlags: int = 0,
) -> bytes | None:
    """Write all certificates and CRLs of a store; for PKCS #12 ``pvSaveToPara`` may be ``(target, password)``.

    Raises:
        WinError: E_INVALIDARG ``dwFlags``, or a number that is none; ERROR_INVALID_HANDLE no binary file;
            ERROR_PATH_NOT_FOUND; E_ACCESSDENIED; ERROR_DISK_FULL.
    """
    return _calls.save_store(hCertStore, dwSaveAs, dwSaveTo, pvSaveToPara, dwFlags)


def CertControlStore(hCertStore: HCERTSTORE, dwFlags: int, dwCtrlType: int, pvCtrlPara: object = None) -> None:
    """Read what is behind a store again, write it, or be told of its changes (``threading.Event``).

    Raises:
        WinError: ERROR_NOT_SUPPORTED no such control; ERROR_CALL_NOT_IMPLEMENTED nothing is behind the store;
            E_INVALIDARG no event; what is behind it says.
    """
    _calls.control_store(hCertStore, dwFlags, dwCtrlType, pvCtrlPara)


def CertGetStoreProperty(hCertStore: HCERTSTORE, dwPropId: int) -> Any:  # noqa: ANN401 - the type is the property's
    """A property of the store: ``int`` for CERT_ACCESS_STATE_PROP_ID, ``str`` for its localized name, else ``bytes``.

    Raises:
        WinError: CRYPT_E_NOT_FOUND.
    """
    return _calls.get_store_property(hCertStore, dwPropId)


def CertSetStoreProperty(hCertStore: HCERTSTORE, dwPropId: int, dwFlags: int = 0, pvData: object = None) -> None:
    """Set a property of the store, or delete it (``None``), for as long as it is open.

    Raises:
        WinError: E_INVALIDARG, not to be set, or not to this.
    """
    _calls.set_store_property(hCertStore, dwPropId, pvData)


def CertEnumSystemStoreLocation(
    dwFlags: int = 0, pvArg: object = None, pfnEnum: Callable[..., object] | None = None
) -> list[tuple[str, int]] | bool:
    """Name and flag of each location; with ``pfnEnum`` whether it wanted all of them."""
    return _calls.enumerate_locations(pvArg, pfnEnum)


def CertEnumSystemStore(
    dwFlags: int,
    pvSystemStoreLocationPara: object = None,
    pvArg: object = None,
    pfnEnum: Callable[..., object] | None = None,
    *,
    system: _System | None = None,
) -> list[str] | bool:
    """The stores of a location; with ``pfnEnum`` whether it wanted all of them.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND, no such location.
    """
    return _calls.enumerate_stores(dwFlags, pvSystemStoreLocationPara, pvArg, pfnEnum, _ambient.stores_of(system))


def CertEnumPhysicalStore(
    pvSystemStore: str,
    dwFlags: int,
    pvArg: object = None,
    pfnEnum: Callable[..., object] | None = None,
    *,
    system: _System | None = None,
) -> list[PhysicalStoreInfo] | bool:
    """The members of a system store, in order of priority; with ``pfnEnum`` whether it wanted all of them.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND no such location or store; ERROR_INVALID_NAME; E_INVALIDARG.
    """
    return _calls.enumerate_physical(pvSystemStore, dwFlags, pvArg, pfnEnum, _ambient.stores_of(system))


def CertRegisterSystemStore(
    pvSystemStore: str,
    dwFlags: int,
    pStoreInfo: object = None,
    pvReserved: object = None,
    *,
    system: _System | None = None,
) -> None:
    """Make a system store.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND no such location; ERROR_FILE_EXISTS for CREATE_NEW; ERROR_INVALID_NAME;
            E_INVALIDARG; E_ACCESSDENIED.
    """
    _calls.register_store(pvSystemStore, dwFlags, _ambient.stores_of(system))


def CertUnregisterSystemStore(pvSystemStore: str, dwFlags: int, *, system: _System | None = None) -> None:
    """Remove a system store with its contents; a predefined one is emptied.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND no such location or store; ERROR_INVALID_NAME; E_INVALIDARG; E_ACCESSDENIED.
    """
    _calls.unregister_store(pvSystemStore, dwFlags, _ambient.stores_of(system))


def system_store_key(
    name: str, location: int = CERT_SYSTEM_STORE_CURRENT_USER, *, system: _System | None = None
) -> MutableMapping[str, bytes]:
    """The physical store ``.Default`` as Windows' registry shows it, in the layout of CERT_STORE_PROV_REG.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND no such location; ERROR_INVALID_NAME; E_INVALIDARG.
    """
    return _calls.store_key(name, location, _ambient.stores_of(system))
