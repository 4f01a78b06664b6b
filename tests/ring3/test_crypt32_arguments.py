"""Whatever is handed to the faces of crypt32 that need no store: they answer, or raise ``WinError``."""

import contextlib
import datetime as dt
import inspect

import certs
import pytest

from calais.testing import local_system
from calais.win.errors import WinError
from calais.winapi import crypt32, ncrypt

CONTEXT = crypt32.CertCreateCertificateContext(1, certs.make("Anybody"))
INFO = CONTEXT.info
KEY = INFO.public_key
PROVIDER = ("hCryptProvOrNCryptKey", "hCryptProv", "hStore")
USUAL = {
    **dict.fromkeys((*PROVIDER, "pTimeToVerify", "pUsage", "szPassword", "pvReserved", "pKeyProvInfo")),
    **dict.fromkeys(("dwCertEncodingType", "dwEncodingType", "dwKeySpec", "dwRevType"), 1),
    **dict.fromkeys(("pInfo", "pPublicKey", "pPublicKey1", "pPublicKey2"), KEY),
    **dict.fromkeys(("pCertInfo", "pvStructInfo", "pCertId1", "pCertId2"), INFO),
    **dict.fromkeys(("pName", "pCertName", "pCertName1", "pCertName2"), INFO.subject),
    **dict.fromkeys(("pvSubject", "pvIssuer", "pCertContext"), CONTEXT),
    **dict.fromkeys(("pbEncoded", "pvObject"), CONTEXT.encoded),
    **dict.fromkeys(("pInt1", "pInt2", "pbBinary", "pPFX", "pbEncodedToBeSigned"), b"x"),
    **dict.fromkeys(("dwSubjectType", "dwIssuerType", "lpszStructType", "dwObjectType"), 2),
    "Algid": 0,
    "dwFlags": 0,
    "dwType": 4,
    "dwStrType": 3,
    "rgpvContext": [],
    "rghCerts": [CONTEXT],
    "pRDN": [],
    "pwszCNGHashAlgid": "SHA256",
    "pSignatureAlgorithm": crypt32.szOID_RSA_SHA256RSA,
    "pszX500": "CN=a",
    "pszUsageIdentifier": "1.2.3",
    "pszString": "YWJj",
    "pSubjectIssuerBlob": INFO.subject,
}
ODD = [None, 0, -1, 7, 1 << 40, True, 3.5, "x", "", b"", b"\x30\x00", [], (), [None], [1], object(), CONTEXT, INFO, KEY]
ODD.append(dt.datetime(2020, 1, 1))
FACES = """
    CryptExportPublicKeyInfo CryptExportPublicKeyInfoEx CryptImportPublicKeyInfo CryptImportPublicKeyInfoEx
    CryptHashCertificate CryptHashCertificate2 CryptHashPublicKeyInfo CryptHashToBeSigned CryptSignCertificate
    CryptSignAndEncodeCertificate CryptVerifyCertificateSignature CryptVerifyCertificateSignatureEx
    CertCreateSelfSignCertificate CertVerifyTimeValidity CertVerifyRevocation CertGetEnhancedKeyUsage
    CertSetEnhancedKeyUsage CertAddEnhancedKeyUsageIdentifier CertRemoveEnhancedKeyUsageIdentifier CertGetValidUsages
    CertGetIntendedKeyUsage CertGetPublicKeyLength CertGetNameString CertNameToStr CertStrToName CertCompareCertificate
    CertCompareCertificateName CertCompareIntegerBlob CertComparePublicKeyInfo CertIsRDNAttrsInCertificateName
    CryptEncodeObjectEx CryptDecodeObjectEx CryptQueryObject CryptBinaryToString CryptStringToBinary
    PFXImportCertStore PFXExportCertStoreEx PFXIsPFXBlob PFXVerifyPassword
"""


def key():
    """A CNG key in memory."""
    made = ncrypt.NCryptCreatePersistedKey(ncrypt.NCryptOpenStorageProvider(None), ncrypt.NCRYPT_ECDSA_P256_ALGORITHM)
    ncrypt.NCryptFinalizeKey(made)
    return made


@pytest.mark.parametrize("name", FACES.split())
def test_an_odd_argument_is_answered_by_a_code(name):
    face = getattr(crypt32, name)
    parameters = [each for each in inspect.signature(face).parameters if each != "system"]
    usual = {each: USUAL[each] for each in parameters if each in USUAL}
    if name == "CertCreateSelfSignCertificate":
        usual["hCryptProvOrNCryptKey"] = key()  # without a handle a card would be looked for
    for parameter in parameters:
        for value in ODD:
            if name != "CertCreateSelfSignCertificate" or parameter != "hCryptProvOrNCryptKey" or value is not None:
                with contextlib.suppress(WinError):
                    face(**{**usual, parameter: value})


@pytest.mark.parametrize("flags", ["x", None, -1, 1 << 32, 1.5], ids=str)
def test_flags_of_stores_are_numbers_of_32_bits(flags):
    with local_system(), crypt32.CertOpenStore(crypt32.CERT_STORE_PROV_MEMORY) as store:
        collection = crypt32.CertOpenStore(crypt32.CERT_STORE_PROV_COLLECTION)
        for call in (
            lambda: crypt32.CertOpenStore(crypt32.CERT_STORE_PROV_MEMORY, 0, None, flags),
            lambda: crypt32.CertCloseStore(store, flags),
            lambda: crypt32.CertEnumSystemStore(flags),
            lambda: crypt32.CertAddStoreToCollection(collection, store, flags, 0),
            lambda: crypt32.CertAddStoreToCollection(collection, store, 0, flags),
        ):
            with pytest.raises(WinError, match="E_INVALIDARG"):
                call()
