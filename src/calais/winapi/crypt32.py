"""Certificate stores, contexts, properties and the way to the key, under Microsoft's names.

Out-parameters are returned, failure raises ``calais.win.errors.WinError``; handles are objects, ``None`` is NULL.
Source: wincrypt.h and Microsoft's documentation of each function.
"""

# Every constant and structure of the header is part of this module, under its own name.
# ruff: noqa: F403, PLC0414

from __future__ import annotations

from typing import Any

from calais.store import calls as _calls
from calais.store.api import AcquiredKey as AcquiredKey
from calais.store.api import System as _System
from calais.store.finding import CertHash as CertHash
from calais.store.model import CertificateContext as CertificateContext
from calais.store.stores import Store as HCERTSTORE
from calais.win.codes import *
from calais.win.flags import *
from calais.win.structs import *
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


def CertCreateCertificateContext(dwCertEncodingType: int, pbCertEncoded: bytes) -> CertificateContext:
    """A context that is in no store; bytes after the certificate are dropped, its signature is not checked.

    Raises:
        WinError: E_INVALIDARG not X509_ASN_ENCODING; CRYPT_E_ASN1_EOD, …_BADTAG, …_CORRUPT no certificate.
    """
    return _calls.create_context(dwCertEncodingType, pbCertEncoded)


def CertDuplicateCertificateContext(pCertContext: CertificateContext | None) -> CertificateContext | None:
    """The same object, count +1."""
    return _calls.duplicate_context(pCertContext)


def CertFreeCertificateContext(pCertContext: CertificateContext | None) -> None:
    """Give a reference back; the last one closes the key handle that a deleted or free-standing one caches."""
    _calls.free_context(pCertContext)


def CertAddCertificateContextToStore(
    hCertStore: HCERTSTORE | None, pCertContext: CertificateContext, dwAddDisposition: int
) -> CertificateContext:
    """Add a copy of a certificate with its properties, but no handles; returns the store's context.

    Raises:
        WinError: CRYPT_E_EXISTS; E_INVALIDARG; E_ACCESSDENIED read-only; what the database says.
    """
    return _calls.add_context(hCertStore, pCertContext, dwAddDisposition)


def CertAddEncodedCertificateToStore(
    hCertStore: HCERTSTORE | None, dwCertEncodingType: int, pbCertEncoded: bytes, dwAddDisposition: int
) -> CertificateContext:
    """Add a certificate; returns the store's context.

    Raises:
        WinError: as CertCreateCertificateContext and CertAddCertificateContextToStore.
    """
    return _calls.add_encoded(hCertStore, dwCertEncodingType, pbCertEncoded, dwAddDisposition)


def CertDeleteCertificateFromStore(pCertContext: CertificateContext) -> None:
    """Take a certificate out of its store; always takes one reference. Nothing on a card changes.

    Raises:
        WinError: E_ACCESSDENIED read-only; what the database says.
    """
    _calls.delete_context(pCertContext)


def CertEnumCertificatesInStore(
    hCertStore: HCERTSTORE, pPrevCertContext: CertificateContext | None = None
) -> CertificateContext | None:
    """The next certificate, newest first; ``None`` at the end. The previous gives one reference back."""
    return _calls.enumerate_contexts(hCertStore, pPrevCertContext)


def CertFindCertificateInStore(
    hCertStore: HCERTSTORE,
    dwCertEncodingType: int,
    dwFindFlags: int,
    dwFindType: int,
    pvFindPara: object = None,
    pPrevCertContext: CertificateContext | None = None,
) -> CertificateContext | None:
    """The next certificate that fits; ``None`` at the end. The previous gives one reference back.

    Raises:
        WinError: E_INVALIDARG, no such find type, or ``pvFindPara`` is of another Python type.
    """
    return _calls.find_context(hCertStore, dwFindFlags, dwFindType, pvFindPara, pPrevCertContext)


def CertGetCertificateContextProperty(pCertContext: CertificateContext, dwPropId: int) -> Any:  # noqa: ANN401
    """The value of a property; its type is the property's.

    Raises:
        WinError: CRYPT_E_NOT_FOUND; the decoder's code, when it cannot be computed.
    """
    return _calls.get_property(pCertContext, dwPropId)


def CertSetCertificateContextProperty(
    pCertContext: CertificateContext, dwPropId: int, dwFlags: int = 0, pvData: object = None
) -> None:
    """Set a property, or delete it (``None``).

    Raises:
        WinError: E_INVALIDARG not to be set, or not to this; E_ACCESSDENIED read-only; what the database says.
    """
    _calls.set_property(pCertContext, dwPropId, dwFlags, pvData)


def CertEnumCertificateContextProperties(pCertContext: CertificateContext, dwPropId: int = 0) -> int:
    """The next stored property id after ``dwPropId``, 0 at the end."""
    return _calls.next_property(pCertContext, dwPropId)


def CryptAcquireCertificatePrivateKey(
    pCert: CertificateContext, dwFlags: int = 0, pvParameters: int | None = None, *, system: _System | None = None
) -> AcquiredKey:
    """The private key of a certificate: handle, key spec, and whether the caller closes the handle.

    Raises:
        WinError: CRYPT_E_NO_KEY_PROPERTY, NTE_BAD_KEYSET, NTE_KEYSET_NOT_DEF, NTE_BAD_PROV_TYPE,
            NTE_BAD_PUBLIC_KEY, NTE_BAD_FLAGS, E_INVALIDARG; what the provider says.
    """
    return _calls.acquire_key(pCert, dwFlags, pvParameters, _ambient.keys_of(system))


def CryptFindCertificateKeyProvInfo(
    pCert: CertificateContext, dwFlags: int = 0, pvReserved: None = None, *, system: _System | None = None
) -> None:
    """Make property 2 name the container, on any inserted card, that holds the certificate's key.

    Raises:
        WinError: NTE_NO_KEY none does; NTE_BAD_FLAGS; E_INVALIDARG.
    """
    _calls.find_key_prov_info(pCert, dwFlags, pvReserved, _ambient.keys_of(system))
