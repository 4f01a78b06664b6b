"""Public keys of handles, signatures of certificates, and certificates that sign themselves.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from calais.provider import certsigning as _certsigning
from calais.provider import selfsigned as _selfsigned
from calais.provider.csp.calls.contexts import Host as _Host
from calais.provider.csp.context import CspContext as _CspContext
from calais.provider.csp.context import CspKey as _CspKey
from calais.provider.ksp.handles import NCryptKey as _NCryptKey
from calais.store import verifying as _verifying
from calais.store.model import CertificateContext
from calais.win.structs import (
    CertExtension,
    CertInfo,
    CertPublicKeyInfo,
    CryptAlgorithmIdentifier,
    CryptKeyProvInfo,
)
from calais.winapi import ambient as _ambient


def CryptExportPublicKeyInfo(
    hCryptProvOrNCryptKey: _CspContext | _NCryptKey, dwKeySpec: int, dwCertEncodingType: int
) -> CertPublicKeyInfo:
    """The public key behind a handle.

    Raises:
        WinError: ERROR_INVALID_PARAMETER no open handle; ERROR_FILE_NOT_FOUND no encoding; NTE_NO_KEY an empty slot;
            NTE_BAD_KEY no key spec.
    """
    return _certsigning.export_public_key(hCryptProvOrNCryptKey, dwKeySpec, dwCertEncodingType)


def CryptExportPublicKeyInfoEx(
    hCryptProvOrNCryptKey: _CspContext | _NCryptKey,
    dwKeySpec: int,
    dwCertEncodingType: int,
    pszPublicKeyObjId: str | None = None,
    dwFlags: int = 0,
    pvAuxInfo: None = None,
) -> CertPublicKeyInfo:
    """As CryptExportPublicKeyInfo; ``pszPublicKeyObjId`` is named as the algorithm, instead of the key's own."""
    return _certsigning.export_public_key(hCryptProvOrNCryptKey, dwKeySpec, dwCertEncodingType, pszPublicKeyObjId)


def CryptImportPublicKeyInfo(hCryptProv: _CspContext, dwCertEncodingType: int, pInfo: CertPublicKeyInfo) -> _CspKey:
    """A handle of an RSA public key, as one for exchange.

    Raises:
        WinError: ERROR_INVALID_PARAMETER no open provider; ERROR_FILE_NOT_FOUND no encoding, or no RSA key;
            CRYPT_E_ASN1_* the key cannot be read.
    """
    return _certsigning.import_public_key(hCryptProv, dwCertEncodingType, pInfo)


def CryptImportPublicKeyInfoEx(
    hCryptProv: _CspContext,
    dwCertEncodingType: int,
    pInfo: CertPublicKeyInfo,
    aiKeyAlg: int = 0,
    dwFlags: int = 0,
    pvAuxInfo: None = None,
) -> _CspKey:
    """As CryptImportPublicKeyInfo; ``aiKeyAlg`` CALG_RSA_SIGN makes it a key for signatures.

    Raises:
        WinError: as CryptImportPublicKeyInfo; NTE_BAD_ALGID another ``aiKeyAlg``.
    """
    return _certsigning.import_public_key(hCryptProv, dwCertEncodingType, pInfo, aiKeyAlg)


def CryptSignCertificate(
    hCryptProvOrNCryptKey: _CspContext | _NCryptKey | None,
    dwKeySpec: int,
    dwCertEncodingType: int,
    pbEncodedToBeSigned: bytes,
    pSignatureAlgorithm: CryptAlgorithmIdentifier | str,
    pvHashAuxInfo: None = None,
) -> bytes:
    """A signature: RSA little-endian as CryptSignHash's, ECDSA r‖s big-endian; by a hash alone, its digest.

    Raises:
        WinError: ERROR_INVALID_PARAMETER no open handle; NTE_BAD_ALGID; NTE_NO_KEY; what the card says.
    """
    return _certsigning.sign_certificate(hCryptProvOrNCryptKey, dwKeySpec, pbEncodedToBeSigned, pSignatureAlgorithm)


def CryptSignAndEncodeCertificate(
    hCryptProvOrNCryptKey: _CspContext | _NCryptKey | None,
    dwKeySpec: int,
    dwCertEncodingType: int,
    lpszStructType: int,
    pvStructInfo: bytes | CertInfo,
    pSignatureAlgorithm: CryptAlgorithmIdentifier | str,
    pvHashAuxInfo: None = None,
) -> bytes:
    """A signed certificate, CRL or request (DER), around the part that is signed.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND no encoding, or another structure; CRYPT_E_ASN1_* no part to be signed;
            ERROR_INVALID_PARAMETER, NTE_BAD_ALGID, NTE_NO_KEY; what the card says.
    """
    return _certsigning.sign_and_encode(
        hCryptProvOrNCryptKey, dwKeySpec, dwCertEncodingType, lpszStructType, pvStructInfo, pSignatureAlgorithm
    )


def CryptVerifyCertificateSignature(
    hCryptProv: object, dwCertEncodingType: int, pbEncoded: bytes, pPublicKey: CertPublicKeyInfo
) -> None:
    """Raise unless the signed content is signed by the key.

    Raises:
        WinError: NTE_BAD_SIGNATURE; NTE_BAD_ALGID; ERROR_FILE_NOT_FOUND no encoding; CRYPT_E_ASN1_*.
    """
    _verifying.verify(dwCertEncodingType, pbEncoded, pPublicKey)


def CryptVerifyCertificateSignatureEx(
    hCryptProv: object,
    dwCertEncodingType: int,
    dwSubjectType: int,
    pvSubject: object,
    dwIssuerType: int,
    pvIssuer: object = None,
    dwFlags: int = 0,
    pvExtra: None = None,
) -> None:
    """As CryptVerifyCertificateSignature; of a context, by a certificate, by the leaf of a chain, or by nobody.

    Raises:
        WinError: E_INVALIDARG types or values that do not go together; as CryptVerifyCertificateSignature.
    """
    _verifying.verify_subject(dwCertEncodingType, dwSubjectType, pvSubject, dwIssuerType, pvIssuer)


def CertVerifyRevocation(
    dwEncodingType: int, dwRevType: int, rgpvContext: Sequence[object], dwFlags: int = 0, pRevPara: None = None
) -> None:
    """Success for nothing to check: there is no engine that checks revocation.

    Raises:
        WinError: CRYPT_E_NO_REVOCATION_CHECK of certificates, CRYPT_E_NO_REVOCATION_DLL of others; ``index`` is 0.
    """
    _verifying.verify_revocation(dwEncodingType, dwRevType, rgpvContext)


def CertCreateSelfSignCertificate(
    hCryptProvOrNCryptKey: _CspContext | _NCryptKey | None = None,
    pSubjectIssuerBlob: bytes = b"",
    dwFlags: int = 0,
    pKeyProvInfo: CryptKeyProvInfo | None = None,
    pSignatureAlgorithm: CryptAlgorithmIdentifier | str | None = None,
    pStartTime: datetime | None = None,
    pEndTime: datetime | None = None,
    pExtensions: Sequence[CertExtension] = (),
    *,
    system: _Host | None = None,
) -> CertificateContext:
    """A certificate that its own key signs; without handle and link, of a new key on the first card with room.

    Raises:
        WinError: ERROR_INVALID_PARAMETER no open handle; E_INVALIDARG; NTE_NO_KEY; NTE_BAD_ALGID; what the provider
            and the card say.
    """
    return _selfsigned.create(
        hCryptProvOrNCryptKey,
        pKeyProvInfo,
        _selfsigned.Wish(pSubjectIssuerBlob, dwFlags, pSignatureAlgorithm, pStartTime, pEndTime, pExtensions),
        _ambient.providers_of(system),
    )
