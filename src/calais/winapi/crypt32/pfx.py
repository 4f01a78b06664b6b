"""Certificates and keys in PFX files.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from calais.provider import pfx as _pfx
from calais.provider.csp.calls.contexts import Host as _Host
from calais.store.stores import Store as _Store
from calais.winapi import ambient as _ambient


def PFXImportCertStore(pPFX: bytes, szPassword: str | None, dwFlags: int = 0, *, system: _Host | None = None) -> _Store:
    """A memory store with the certificates; their keys go onto cards, or with PKCS12_NO_PERSIST_KEY into memory.

    Raises:
        WinError: ERROR_INVALID_PARAMETER no bytes or unknown flags; ERROR_INVALID_PASSWORD; CRYPT_E_ASN1_BADTAG;
            NTE_PERM by policy; NTE_NOT_SUPPORTED; what the card says. Nothing is left half imported.
    """
    return _pfx.import_store(pPFX, szPassword, dwFlags, _ambient.providers_of(system))


def PFXExportCertStoreEx(hStore: _Store, szPassword: str | None, pvPara: None = None, dwFlags: int = 0) -> bytes:
    """A PFX with the certificates of a store, and with EXPORT_PRIVATE_KEYS those of their keys that may leave.

    Raises:
        WinError: ERROR_INVALID_PARAMETER; NTE_NO_KEY, NTE_BAD_KEY_STATE as the REPORT_* flags ask.
    """
    return _pfx.export_store(hStore, szPassword, pvPara, dwFlags)


def PFXIsPFXBlob(pPFX: bytes) -> bool:
    """Whether this is a PFX, by its outline."""
    return _pfx.is_pfx(pPFX)


def PFXVerifyPassword(pPFX: bytes, szPassword: str | None, dwFlags: int = 0) -> bool:
    """Whether the password opens the PFX.

    Raises:
        WinError: CRYPT_E_ASN1_LARGE, opening it would take too long.
    """
    return _pfx.opens(pPFX, szPassword)
