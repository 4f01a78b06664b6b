"""Stores: opening, closing, and what they are made of.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from calais.store import calls as _calls
from calais.store.api import System as _System
from calais.store.stores import Store as HCERTSTORE
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
    return _calls.open_store(lpszStoreProvider, dwFlags, pvPara, _ambient.stores_of(system))


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
