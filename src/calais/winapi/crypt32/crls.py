"""CRLs in stores.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from calais.store import calls as _calls
from calais.store.model import CRLS as _CRLS
from calais.store.model import CRLContext
from calais.store.stores import Store as HCERTSTORE


def CertCreateCRLContext(dwCertEncodingType: int, pbCrlEncoded: bytes) -> CRLContext:
    """A context that is in no store; bytes after the CRL are dropped, its signature is not checked.

    Raises:
        WinError: E_INVALIDARG not X509_ASN_ENCODING; CRYPT_E_ASN1_EOD, …_BADTAG, …_CORRUPT no CRL.
    """
    return _calls.create_context(_CRLS, dwCertEncodingType, pbCrlEncoded)


def CertDuplicateCRLContext(pCrlContext: CRLContext | None) -> CRLContext | None:
    """The same object, count +1."""
    return _calls.duplicate_context(_CRLS, pCrlContext)


def CertFreeCRLContext(pCrlContext: CRLContext | None) -> None:
    """Give a reference back."""
    _calls.free_context(_CRLS, pCrlContext)


def CertAddCRLContextToStore(
    hCertStore: HCERTSTORE | None, pCrlContext: CRLContext, dwAddDisposition: int
) -> CRLContext:
    """Add a copy of a CRL with its properties; returns the store's context.

    Raises:
        WinError: CRYPT_E_EXISTS; E_INVALIDARG; E_ACCESSDENIED read-only; what the database says.
    """
    return _calls.add_context(_CRLS, hCertStore, pCrlContext, dwAddDisposition)


def CertAddEncodedCRLToStore(
    hCertStore: HCERTSTORE | None, dwCertEncodingType: int, pbCrlEncoded: bytes, dwAddDisposition: int
) -> CRLContext:
    """Add a CRL; returns the store's context.

    Raises:
        WinError: as CertCreateCRLContext and CertAddCRLContextToStore.
    """
    return _calls.add_encoded(_CRLS, hCertStore, dwCertEncodingType, pbCrlEncoded, dwAddDisposition)


def CertSerializeCRLStoreElement(pCrlContext: CRLContext, dwFlags: int = 0) -> bytes:
    """The CRL with its properties, as CertAddSerializedElementToStore takes it."""
    return _calls.serialize(_CRLS, pCrlContext)


def CertDeleteCRLFromStore(pCrlContext: CRLContext) -> None:
    """Take a CRL out of its store; always takes one reference.

    Raises:
        WinError: E_ACCESSDENIED read-only; what the database says.
    """
    _calls.delete_context(_CRLS, pCrlContext)


def CertEnumCRLsInStore(hCertStore: HCERTSTORE, pPrevCrlContext: CRLContext | None = None) -> CRLContext | None:
    """The next CRL, newest first; ``None`` at the end. The previous gives one reference back."""
    return _calls.enumerate_contexts(_CRLS, hCertStore, pPrevCrlContext)
