"""Names of certificates as text, and comparing.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from collections.abc import Sequence

from calais.store import questions as _questions
from calais.store.coding import x500 as _x500
from calais.store.model import CertificateContext
from calais.win.flags import CERT_X500_NAME_STR
from calais.win.structs import CertInfo, CertPublicKeyInfo, CertRdnAttr


def CertGetNameString(
    pCertContext: CertificateContext, dwType: int, dwFlags: int = 0, pvTypePara: int | str | None = None
) -> str:
    """A name of the subject, or of the issuer; ``""`` if there is none; several DNS names with NUL between them.

    Raises:
        WinError: E_INVALIDARG unknown type or flags.
    """
    return _questions.name_string(pCertContext, dwType, dwFlags, pvTypePara)


def CertNameToStr(dwCertEncodingType: int, pName: bytes, dwStrType: int) -> str:
    """A DER name as text.

    Raises:
        WinError: CRYPT_E_ASN1_BADTAG no name; ERROR_NOT_SUPPORTED CERT_XML_NAME_STR.
    """
    return _x500.to_text(pName, dwStrType)


def CertStrToName(
    dwCertEncodingType: int, pszX500: str, dwStrType: int = CERT_X500_NAME_STR, pvReserved: None = None
) -> bytes:
    """A DER name from ``key=value`` parts.

    Raises:
        WinError: CRYPT_E_INVALID_X500_STRING, ``index`` is the place in the text.
    """
    return _x500.from_text(pszX500, dwStrType)


def CertCompareCertificate(dwCertEncodingType: int, pCertId1: CertInfo, pCertId2: CertInfo) -> bool:
    """Whether issuer and serial number are the same."""
    return _questions.same_certificate(pCertId1, pCertId2)


def CertCompareCertificateName(dwCertEncodingType: int, pCertName1: bytes, pCertName2: bytes) -> bool:
    """Whether two names have the same bytes."""
    return _questions.same_name(pCertName1, pCertName2)


def CertCompareIntegerBlob(pInt1: bytes, pInt2: bytes) -> bool:
    """Whether two little-endian integers are the same; repeated sign bytes at the high end do not count."""
    return _questions.same_integer(pInt1, pInt2)


def CertComparePublicKeyInfo(
    dwCertEncodingType: int, pPublicKey1: CertPublicKeyInfo, pPublicKey2: CertPublicKeyInfo
) -> bool:
    """Whether two public keys are the same: of RSA the numbers, of EC the parameters too."""
    return _questions.same_public_key(pPublicKey1, pPublicKey2)


def CertIsRDNAttrsInCertificateName(
    dwCertEncodingType: int, dwFlags: int, pCertName: bytes, pRDN: Sequence[CertRdnAttr]
) -> bool:
    """Whether all the attributes are in the name.

    Raises:
        WinError: E_INVALIDARG unknown flags.
    """
    return _questions.has_attributes(pCertName, pRDN, dwFlags)
