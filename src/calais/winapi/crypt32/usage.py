"""What certificates are good for, and when.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from calais.store import questions as _questions
from calais.store import usage as _usage
from calais.store.calls import element_of as _element_of
from calais.store.model import CertificateContext
from calais.win.structs import CertInfo, CertPublicKeyInfo


def CertGetEnhancedKeyUsage(pCertContext: CertificateContext, dwFlags: int = 0) -> list[str] | None:
    """OIDs of what it is good for; ``None`` = everything, an empty list = nothing.

    Raises:
        WinError: CRYPT_E_NOT_FOUND the one source that the flags leave is missing.
    """
    return _usage.usages(_element_of(pCertContext), dwFlags)


def CertSetEnhancedKeyUsage(pCertContext: CertificateContext, pUsage: Sequence[str] | None = None) -> None:
    """Set property 9; ``None`` deletes it."""
    _questions.set_usages(pCertContext, pUsage)


def CertAddEnhancedKeyUsageIdentifier(pCertContext: CertificateContext, pszUsageIdentifier: str) -> None:
    """Add an OID to property 9, once.

    Raises:
        WinError: CRYPT_E_OID_FORMAT.
    """
    _questions.add_usage(pCertContext, pszUsageIdentifier)


def CertRemoveEnhancedKeyUsageIdentifier(pCertContext: CertificateContext, pszUsageIdentifier: str) -> None:
    """Take an OID out of property 9; with the last one goes the property."""
    _questions.remove_usage(pCertContext, pszUsageIdentifier)


def CertGetValidUsages(rghCerts: Sequence[CertificateContext]) -> list[str] | None:
    """What all of them are good for; ``None`` = no restriction."""
    return _questions.valid_usages(rghCerts)


def CertGetIntendedKeyUsage(dwCertEncodingType: int, pCertInfo: CertInfo, cbKeyUsage: int = 2) -> bytes | None:
    """The key usage bits, zero-filled to that many bytes; ``None`` without the extension."""
    return _questions.key_usage(dwCertEncodingType, pCertInfo, cbKeyUsage)


def CertGetPublicKeyLength(dwCertEncodingType: int, pPublicKey: CertPublicKeyInfo) -> int:
    """Bits of the key.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND no encoding; CRYPT_E_ASN1_EOD no key bits; CRYPT_E_ASN1_BADTAG unreadable ones.
    """
    return _questions.key_length(dwCertEncodingType, pPublicKey)


def CertVerifyTimeValidity(pTimeToVerify: datetime | None, pCertInfo: CertInfo) -> int:
    """-1 before the validity begins, 1 after its end, else 0; ``None`` = now."""
    return _questions.time_validity(pTimeToVerify, pCertInfo)
