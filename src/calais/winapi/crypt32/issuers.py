"""From a certificate to its issuer.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from calais.store import issuers as _issuers
from calais.store.model import CertificateContext
from calais.store.stores import Store as HCERTSTORE
from calais.win.structs import CertInfo


def CertGetSubjectCertificateFromStore(
    hCertStore: HCERTSTORE, dwCertEncodingType: int, pCertId: CertInfo
) -> CertificateContext | None:
    """The certificate with this issuer and serial number; ``None`` when it is not there.

    Raises:
        WinError: E_INVALIDARG, no ``CertInfo``.
    """
    return _issuers.subject_certificate(hCertStore, pCertId)


def CertGetIssuerCertificateFromStore(
    hCertStore: HCERTSTORE,
    pSubjectContext: CertificateContext,
    pPrevIssuerContext: CertificateContext | None = None,
    dwFlags: int = 0,
) -> tuple[CertificateContext | None, int]:
    """The next issuer, newest first, and the checks (CERT_STORE_*_FLAG) that did not pass.

    Raises:
        WinError: CRYPT_E_SELF_SIGNED; E_INVALIDARG, a flag that is no check.
    """
    return _issuers.issuer_certificate(hCertStore, pSubjectContext, pPrevIssuerContext, dwFlags)


def CertVerifySubjectCertificateContext(
    pSubject: CertificateContext, pIssuer: CertificateContext | None, dwFlags: int
) -> int:
    """The checks (CERT_STORE_*_FLAG) that did not pass.

    Raises:
        WinError: E_INVALIDARG, a flag that is no check.
    """
    return _issuers.verify_subject(pSubject, pIssuer, dwFlags)
