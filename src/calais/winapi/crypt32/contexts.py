"""Certificates in stores, and their properties.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from typing import Any

from calais.store import calls as _calls
from calais.store.model import CERTIFICATES as _CERTIFICATES
from calais.store.model import CertificateContext, Context
from calais.store.stores import Store as HCERTSTORE


def CertCreateCertificateContext(dwCertEncodingType: int, pbCertEncoded: bytes) -> CertificateContext:
    """A context that is in no store; bytes after the certificate are dropped, its signature is not checked.

    Raises:
        WinError: E_INVALIDARG not X509_ASN_ENCODING; CRYPT_E_ASN1_EOD, …_BADTAG, …_CORRUPT no certificate.
    """
    return _calls.create_context(_CERTIFICATES, dwCertEncodingType, pbCertEncoded)


def CertDuplicateCertificateContext(pCertContext: CertificateContext | None) -> CertificateContext | None:
    """The same object, count +1."""
    return _calls.duplicate_context(_CERTIFICATES, pCertContext)


def CertFreeCertificateContext(pCertContext: CertificateContext | None) -> None:
    """Give a reference back; the last one closes the key handle that a deleted or free-standing one caches."""
    _calls.free_context(_CERTIFICATES, pCertContext)


def CertAddCertificateContextToStore(
    hCertStore: HCERTSTORE | None, pCertContext: CertificateContext, dwAddDisposition: int
) -> CertificateContext:
    """Add a copy of a certificate with its properties, but no handles; returns the store's context.

    Raises:
        WinError: CRYPT_E_EXISTS; E_INVALIDARG; E_ACCESSDENIED read-only; what the database says.
    """
    return _calls.add_context(_CERTIFICATES, hCertStore, pCertContext, dwAddDisposition)


def CertAddEncodedCertificateToStore(
    hCertStore: HCERTSTORE | None, dwCertEncodingType: int, pbCertEncoded: bytes, dwAddDisposition: int
) -> CertificateContext:
    """Add a certificate; returns the store's context.

    Raises:
        WinError: as CertCreateCertificateContext and CertAddCertificateContextToStore.
    """
    return _calls.add_encoded(_CERTIFICATES, hCertStore, dwCertEncodingType, pbCertEncoded, dwAddDisposition)


def CertAddCertificateLinkToStore(
    hCertStore: HCERTSTORE | None, pCertContext: CertificateContext, dwAddDisposition: int
) -> CertificateContext:
    """Show a certificate of another store in this one: another context, the same properties and key handle.

    Raises:
        WinError: E_INVALIDARG the store is a collection; CRYPT_E_EXISTS; E_ACCESSDENIED read-only.
    """
    return _calls.add_link(hCertStore, pCertContext, dwAddDisposition)


def CertAddSerializedElementToStore(
    hCertStore: HCERTSTORE | None,
    pbElement: bytes,
    dwAddDisposition: int,
    dwFlags: int = 0,
    dwContextTypeFlags: int = 0xFFFFFFFF,
) -> tuple[int, Context]:
    """Add a certificate or CRL with its properties; returns CERT_STORE_*_CONTEXT and the store's context.

    Raises:
        WinError: ERROR_END_OF_MEDIA no data; ERROR_FILE_NOT_FOUND an unknown encoding; E_INVALIDARG a record that is
            not what it says, or not what is asked for; as CertAddCertificateContextToStore.
    """
    return _calls.add_serialized(hCertStore, pbElement, dwAddDisposition, dwContextTypeFlags)


def CertSerializeCertificateStoreElement(pCertContext: CertificateContext, dwFlags: int = 0) -> bytes:
    """The certificate with its properties, but no handles, as CertAddSerializedElementToStore takes it."""
    return _calls.serialize(_CERTIFICATES, pCertContext)


def CertDeleteCertificateFromStore(pCertContext: CertificateContext) -> None:
    """Take a certificate out of its store; always takes one reference. Nothing on a card changes.

    Raises:
        WinError: E_ACCESSDENIED read-only; what the database says.
    """
    _calls.delete_context(_CERTIFICATES, pCertContext)


def CertEnumCertificatesInStore(
    hCertStore: HCERTSTORE, pPrevCertContext: CertificateContext | None = None
) -> CertificateContext | None:
    """The next certificate, newest first; ``None`` at the end. The previous gives one reference back."""
    return _calls.enumerate_contexts(_CERTIFICATES, hCertStore, pPrevCertContext)


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
