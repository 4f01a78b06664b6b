"""The names, arguments and constants of the certificate store faces, as C programmers write them."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from calais.winapi import crypt32

SIGNATURES = """
CertOpenStore(lpszStoreProvider, dwEncodingType=0, hCryptProv=None, dwFlags=0, pvPara=None, *, system=None)
CertOpenSystemStore(hProv=None, szSubsystemProtocol=None, *, system=None)
CertDuplicateStore(hCertStore)
CertCloseStore(hCertStore, dwFlags=0)
system_store_key(name, location=CERT_SYSTEM_STORE_CURRENT_USER, *, system=None)
CertSaveStore(hCertStore, dwEncodingType, dwSaveAs, dwSaveTo, pvSaveToPara=None, dwFlags=0)
CertControlStore(hCertStore, dwFlags, dwCtrlType, pvCtrlPara=None)
CertEnumSystemStoreLocation(dwFlags=0, pvArg=None, pfnEnum=None)
CertEnumSystemStore(dwFlags, pvSystemStoreLocationPara=None, pvArg=None, pfnEnum=None, *, system=None)
CertEnumPhysicalStore(pvSystemStore, dwFlags, pvArg=None, pfnEnum=None, *, system=None)
CertRegisterSystemStore(pvSystemStore, dwFlags, pStoreInfo=None, pvReserved=None, *, system=None)
CertUnregisterSystemStore(pvSystemStore, dwFlags, *, system=None)
CertGetStoreProperty(hCertStore, dwPropId)
CertSetStoreProperty(hCertStore, dwPropId, dwFlags=0, pvData=None)
CertAddStoreToCollection(hCollectionStore, hSiblingStore, dwUpdateFlags=0, dwPriority=0)
CertRemoveStoreFromCollection(hCollectionStore, hSiblingStore)
I_CertUpdateStore(hToUpdate, hUpdateFrom, dwReserved=0, pvReserved=None)
CertCreateCertificateContext(dwCertEncodingType, pbCertEncoded)
CertDuplicateCertificateContext(pCertContext)
CertFreeCertificateContext(pCertContext)
CertAddCertificateContextToStore(hCertStore, pCertContext, dwAddDisposition)
CertAddEncodedCertificateToStore(hCertStore, dwCertEncodingType, pbCertEncoded, dwAddDisposition)
CertAddCertificateLinkToStore(hCertStore, pCertContext, dwAddDisposition)
CertAddSerializedElementToStore(hCertStore, pbElement, dwAddDisposition, dwFlags=0, dwContextTypeFlags=0xFFFFFFFF)
CertSerializeCertificateStoreElement(pCertContext, dwFlags=0)
CertDeleteCertificateFromStore(pCertContext)
CertEnumCertificatesInStore(hCertStore, pPrevCertContext=None)
CertFindCertificateInStore(hCertStore, dwCertEncodingType, dwFindFlags, dwFindType, pvFindPara=None,
    pPrevCertContext=None)
CertGetSubjectCertificateFromStore(hCertStore, dwCertEncodingType, pCertId)
CertGetIssuerCertificateFromStore(hCertStore, pSubjectContext, pPrevIssuerContext=None, dwFlags=0)
CertVerifySubjectCertificateContext(pSubject, pIssuer, dwFlags)
CertGetCertificateContextProperty(pCertContext, dwPropId)
CertSetCertificateContextProperty(pCertContext, dwPropId, dwFlags=0, pvData=None)
CertEnumCertificateContextProperties(pCertContext, dwPropId=0)
CryptAcquireCertificatePrivateKey(pCert, dwFlags=0, pvParameters=None, *, system=None)
CryptFindCertificateKeyProvInfo(pCert, dwFlags=0, pvReserved=None, *, system=None)
CryptExportPublicKeyInfo(hCryptProvOrNCryptKey, dwKeySpec, dwCertEncodingType)
CryptExportPublicKeyInfoEx(hCryptProvOrNCryptKey, dwKeySpec, dwCertEncodingType, pszPublicKeyObjId=None, dwFlags=0,
    pvAuxInfo=None)
CryptImportPublicKeyInfo(hCryptProv, dwCertEncodingType, pInfo)
CryptImportPublicKeyInfoEx(hCryptProv, dwCertEncodingType, pInfo, aiKeyAlg=0, dwFlags=0, pvAuxInfo=None)
CryptHashCertificate(hCryptProv, Algid, dwFlags, pbEncoded)
CryptHashCertificate2(pwszCNGHashAlgid, dwFlags, pvReserved, pbEncoded)
CryptHashPublicKeyInfo(hCryptProv, Algid, dwFlags, dwCertEncodingType, pInfo)
CryptHashToBeSigned(hCryptProv, dwCertEncodingType, pbEncoded)
CryptSignCertificate(hCryptProvOrNCryptKey, dwKeySpec, dwCertEncodingType, pbEncodedToBeSigned, pSignatureAlgorithm,
    pvHashAuxInfo=None)
CryptSignAndEncodeCertificate(hCryptProvOrNCryptKey, dwKeySpec, dwCertEncodingType, lpszStructType, pvStructInfo,
    pSignatureAlgorithm, pvHashAuxInfo=None)
CryptVerifyCertificateSignature(hCryptProv, dwCertEncodingType, pbEncoded, pPublicKey)
CryptVerifyCertificateSignatureEx(hCryptProv, dwCertEncodingType, dwSubjectType, pvSubject, dwIssuerType,
    pvIssuer=None, dwFlags=0, pvExtra=None)
CertCreateSelfSignCertificate(hCryptProvOrNCryptKey=None, pSubjectIssuerBlob=b"", dwFlags=0, pKeyProvInfo=None,
    pSignatureAlgorithm=None, pStartTime=None, pEndTime=None, pExtensions=(), *, system=None)
CertVerifyTimeValidity(pTimeToVerify, pCertInfo)
CertVerifyRevocation(dwEncodingType, dwRevType, rgpvContext, dwFlags=0, pRevPara=None)
CertGetEnhancedKeyUsage(pCertContext, dwFlags=0)
CertSetEnhancedKeyUsage(pCertContext, pUsage=None)
CertAddEnhancedKeyUsageIdentifier(pCertContext, pszUsageIdentifier)
CertRemoveEnhancedKeyUsageIdentifier(pCertContext, pszUsageIdentifier)
CertGetValidUsages(rghCerts)
CertGetIntendedKeyUsage(dwCertEncodingType, pCertInfo, cbKeyUsage=2)
CertGetPublicKeyLength(dwCertEncodingType, pPublicKey)
CertGetNameString(pCertContext, dwType, dwFlags=0, pvTypePara=None)
CertNameToStr(dwCertEncodingType, pName, dwStrType)
CertStrToName(dwCertEncodingType, pszX500, dwStrType=CERT_X500_NAME_STR, pvReserved=None)
CertCompareCertificate(dwCertEncodingType, pCertId1, pCertId2)
CertCompareCertificateName(dwCertEncodingType, pCertName1, pCertName2)
CertCompareIntegerBlob(pInt1, pInt2)
CertComparePublicKeyInfo(dwCertEncodingType, pPublicKey1, pPublicKey2)
CertIsRDNAttrsInCertificateName(dwCertEncodingType, dwFlags, pCertName, pRDN)
CryptEncodeObjectEx(dwCertEncodingType, lpszStructType, pvStructInfo, dwFlags=0, pEncodePara=None)
CryptEncodeObject(dwCertEncodingType, lpszStructType, pvStructInfo, dwFlags=0, pEncodePara=None)
CryptDecodeObjectEx(dwCertEncodingType, lpszStructType, pbEncoded, dwFlags=0, pDecodePara=None)
CryptDecodeObject(dwCertEncodingType, lpszStructType, pbEncoded, dwFlags=0, pDecodePara=None)
CryptQueryObject(dwObjectType, pvObject, dwExpectedContentTypeFlags=0x3FFE, dwExpectedFormatTypeFlags=0x0E, dwFlags=0)
CryptBinaryToString(pbBinary, dwFlags)
CryptStringToBinary(pszString, dwFlags)
CertCreateCRLContext(dwCertEncodingType, pbCrlEncoded)
CertDuplicateCRLContext(pCrlContext)
CertFreeCRLContext(pCrlContext)
CertAddCRLContextToStore(hCertStore, pCrlContext, dwAddDisposition)
CertAddEncodedCRLToStore(hCertStore, dwCertEncodingType, pbCrlEncoded, dwAddDisposition)
CertEnumCRLsInStore(hCertStore, pPrevCrlContext=None)
CertDeleteCRLFromStore(pCrlContext)
PFXImportCertStore(pPFX, szPassword, dwFlags=0, *, system=None)
PFXExportCertStoreEx(hStore, szPassword, pvPara=None, dwFlags=0)
PFXIsPFXBlob(pPFX)
PFXVerifyPassword(pPFX, szPassword, dwFlags=0)
"""


def _rows():
    rows = []
    for line in SIGNATURES.strip().splitlines():
        if line.startswith(" "):
            rows[-1] += " " + line.strip()
        else:
            rows.append(line)
    return rows


@pytest.mark.parametrize("row", [pytest.param(row, id=row.split("(")[0]) for row in _rows()])
def test_a_function_takes_the_arguments_windows_names_in_their_order_with_the_defaults_promised(row):
    scope = dict(vars(crypt32))
    exec(f"def {row}: ...", scope)
    promised = inspect.signature(scope[row.split("(")[0]])
    actual = inspect.signature(getattr(crypt32, row.split("(")[0]))
    assert list(actual.parameters) == list(promised.parameters)
    for told, found in zip(promised.parameters.values(), actual.parameters.values(), strict=True):
        assert found.kind == told.kind, told.name
        assert found.default == told.default, told.name


CONSTANTS = """
X509_ASN_ENCODING 1  PKCS_7_ASN_ENCODING 0x10000
CERT_STORE_PROV_MSG 1  CERT_STORE_PROV_MEMORY 2  CERT_STORE_PROV_FILE 3  CERT_STORE_PROV_REG 4  CERT_STORE_PROV_PKCS7 5
CERT_STORE_PROV_SERIALIZED 6  CERT_STORE_PROV_FILENAME_A 7  CERT_STORE_PROV_FILENAME_W 8  CERT_STORE_PROV_FILENAME 8
CERT_STORE_PROV_SYSTEM_A 9  CERT_STORE_PROV_SYSTEM_W 10  CERT_STORE_PROV_SYSTEM 10  CERT_STORE_PROV_COLLECTION 11
CERT_STORE_PROV_SYSTEM_REGISTRY_A 12  CERT_STORE_PROV_SYSTEM_REGISTRY_W 13  CERT_STORE_PROV_SYSTEM_REGISTRY 13
CERT_STORE_PROV_PHYSICAL 14  CERT_STORE_PROV_PHYSICAL_W 14  CERT_STORE_PROV_SMART_CARD 15
CERT_STORE_PROV_SMART_CARD_W 15  CERT_STORE_PROV_LDAP 16  CERT_STORE_PROV_LDAP_W 16  CERT_STORE_PROV_PKCS12 17
CERT_STORE_NO_CRYPT_RELEASE_FLAG 1  CERT_STORE_SET_LOCALIZED_NAME_FLAG 2
CERT_STORE_DEFER_CLOSE_UNTIL_LAST_FREE_FLAG 4  CERT_STORE_DELETE_FLAG 0x10  CERT_STORE_UNSAFE_PHYSICAL_FLAG 0x20
CERT_STORE_SHARE_STORE_FLAG 0x40  CERT_STORE_SHARE_CONTEXT_FLAG 0x80  CERT_STORE_MANIFOLD_FLAG 0x100
CERT_STORE_ENUM_ARCHIVED_FLAG 0x200  CERT_STORE_UPDATE_KEYID_FLAG 0x400  CERT_STORE_BACKUP_RESTORE_FLAG 0x800
CERT_STORE_MAXIMUM_ALLOWED_FLAG 0x1000  CERT_STORE_CREATE_NEW_FLAG 0x2000  CERT_STORE_OPEN_EXISTING_FLAG 0x4000
CERT_STORE_READONLY_FLAG 0x8000  CERT_FILE_STORE_COMMIT_ENABLE_FLAG 0x10000
CERT_SYSTEM_STORE_DEFER_READ_FLAG 0x20000000  CERT_SYSTEM_STORE_UNPROTECTED_FLAG 0x40000000
CERT_SYSTEM_STORE_RELOCATE_FLAG 0x80000000
CERT_SYSTEM_STORE_CURRENT_USER 0x10000  CERT_SYSTEM_STORE_LOCAL_MACHINE 0x20000
CERT_SYSTEM_STORE_CURRENT_SERVICE 0x40000  CERT_SYSTEM_STORE_SERVICES 0x50000  CERT_SYSTEM_STORE_USERS 0x60000
CERT_SYSTEM_STORE_CURRENT_USER_GROUP_POLICY 0x70000  CERT_SYSTEM_STORE_LOCAL_MACHINE_GROUP_POLICY 0x80000
CERT_SYSTEM_STORE_LOCAL_MACHINE_ENTERPRISE 0x90000
CERT_CLOSE_STORE_FORCE_FLAG 1  CERT_CLOSE_STORE_CHECK_FLAG 2
CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG 1  CERT_PHYSICAL_STORE_OPEN_DISABLE_FLAG 2
CERT_PHYSICAL_STORE_REMOTE_OPEN_DISABLE_FLAG 4
CERT_ACCESS_STATE_PROP_ID 14  CERT_STORE_LOCALIZED_NAME_PROP_ID 0x1000
CERT_ACCESS_STATE_WRITE_PERSIST_FLAG 1  CERT_ACCESS_STATE_SYSTEM_STORE_FLAG 2  CERT_ACCESS_STATE_LM_SYSTEM_STORE_FLAG 4
CERT_ACCESS_STATE_GP_SYSTEM_STORE_FLAG 8
CERT_STORE_CTRL_RESYNC 1  CERT_STORE_CTRL_NOTIFY_CHANGE 2  CERT_STORE_CTRL_COMMIT 3  CERT_STORE_CTRL_AUTO_RESYNC 4
CERT_STORE_CTRL_CANCEL_NOTIFY 5  CERT_STORE_CTRL_COMMIT_FORCE_FLAG 1  CERT_STORE_CTRL_COMMIT_CLEAR_FLAG 2
CERT_STORE_ADD_NEW 1  CERT_STORE_ADD_USE_EXISTING 2  CERT_STORE_ADD_REPLACE_EXISTING 3  CERT_STORE_ADD_ALWAYS 4
CERT_STORE_ADD_REPLACE_EXISTING_INHERIT_PROPERTIES 5  CERT_STORE_ADD_NEWER 6
CERT_STORE_ADD_NEWER_INHERIT_PROPERTIES 7
CERT_STORE_SIGNATURE_FLAG 1  CERT_STORE_TIME_VALIDITY_FLAG 2  CERT_STORE_REVOCATION_FLAG 4
CERT_STORE_NO_CRL_FLAG 0x10000  CERT_STORE_NO_ISSUER_FLAG 0x20000
CERT_FIND_ANY 0  CERT_FIND_SHA1_HASH 0x10000  CERT_FIND_HASH 0x10000  CERT_FIND_MD5_HASH 0x40000
CERT_FIND_SIGNATURE_HASH 0xE0000  CERT_FIND_KEY_IDENTIFIER 0xF0000  CERT_FIND_PUBKEY_MD5_HASH 0x120000
CERT_FIND_HASH_STR 0x140000  CERT_FIND_SUBJECT_NAME 0x20007  CERT_FIND_ISSUER_NAME 0x20004
CERT_FIND_SUBJECT_ATTR 0x30007  CERT_FIND_ISSUER_ATTR 0x30004  CERT_FIND_SUBJECT_STR_W 0x80007
CERT_FIND_SUBJECT_STR 0x80007  CERT_FIND_SUBJECT_STR_A 0x70007  CERT_FIND_ISSUER_STR_W 0x80004
CERT_FIND_ISSUER_STR 0x80004  CERT_FIND_ISSUER_STR_A 0x70004  CERT_FIND_PROPERTY 0x50000  CERT_FIND_PUBLIC_KEY 0x60000
CERT_FIND_KEY_SPEC 0x90000  CERT_FIND_ENHKEY_USAGE 0xA0000  CERT_FIND_CTL_USAGE 0xA0000  CERT_FIND_SUBJECT_CERT 0xB0000
CERT_FIND_CERT_ID 0x100000  CERT_FIND_ISSUER_OF 0xC0000  CERT_FIND_EXISTING 0xD0000
CERT_FIND_CROSS_CERT_DIST_POINTS 0x110000  CERT_FIND_SUBJECT_INFO_ACCESS 0x130000  CERT_FIND_HAS_PRIVATE_KEY 0x150000
CERT_FIND_OPTIONAL_ENHKEY_USAGE_FLAG 1  CERT_FIND_EXT_ONLY_ENHKEY_USAGE_FLAG 2
CERT_FIND_PROP_ONLY_ENHKEY_USAGE_FLAG 4  CERT_FIND_NO_ENHKEY_USAGE_FLAG 8  CERT_FIND_OR_ENHKEY_USAGE_FLAG 0x10
CERT_FIND_VALID_ENHKEY_USAGE_FLAG 0x20
CERT_UNICODE_IS_RDN_ATTRS_FLAG 1  CERT_CASE_INSENSITIVE_IS_RDN_ATTRS_FLAG 2
CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG 0x40000000  CERT_SET_PROPERTY_IGNORE_PERSIST_ERROR_FLAG 0x80000000
CERT_STORE_SAVE_AS_STORE 1  CERT_STORE_SAVE_AS_PKCS7 2  CERT_STORE_SAVE_AS_PKCS12 3  CERT_STORE_SAVE_TO_FILE 1
CERT_STORE_SAVE_TO_MEMORY 2  CERT_STORE_SAVE_TO_FILENAME_A 3  CERT_STORE_SAVE_TO_FILENAME_W 4
CERT_STORE_SAVE_TO_FILENAME 4
CERT_STORE_CERTIFICATE_CONTEXT 1  CERT_STORE_CRL_CONTEXT 2  CERT_STORE_CTL_CONTEXT 3
CERT_STORE_CERTIFICATE_CONTEXT_FLAG 2  CERT_STORE_CRL_CONTEXT_FLAG 4  CERT_STORE_CTL_CONTEXT_FLAG 8
CERT_STORE_ALL_CONTEXT_FLAG 0xFFFFFFFF
CERT_SET_KEY_CONTEXT_PROP_ID 1  CERT_SET_KEY_PROV_HANDLE_PROP_ID 1  CERT_NCRYPT_KEY_SPEC 0xFFFFFFFF
CRYPT_ACQUIRE_CACHE_FLAG 1  CRYPT_ACQUIRE_USE_PROV_INFO_FLAG 2  CRYPT_ACQUIRE_COMPARE_KEY_FLAG 4
CRYPT_ACQUIRE_NO_HEALING 8  CRYPT_ACQUIRE_SILENT_FLAG 0x40  CRYPT_ACQUIRE_WINDOW_HANDLE_FLAG 0x80
CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG 0x10000  CRYPT_ACQUIRE_PREFER_NCRYPT_KEY_FLAG 0x20000
CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG 0x40000  CRYPT_FIND_USER_KEYSET_FLAG 1  CRYPT_FIND_MACHINE_KEYSET_FLAG 2
CRYPT_FIND_SILENT_KEYSET_FLAG 0x40
CERT_FIRST_USER_PROP_ID 0x8000  CERT_LAST_USER_PROP_ID 0xFFFF
CRYPT_E_NOT_FOUND 0x80092004  CRYPT_E_EXISTS 0x80092005  CRYPT_E_SELF_SIGNED 0x80092007  CRYPT_E_NO_MATCH 0x80092009
CRYPT_E_NO_KEY_PROPERTY 0x8009200B  CRYPT_E_PENDING_CLOSE 0x8009200F  CRYPT_E_INVALID_MSG_TYPE 0x80091004
CRYPT_E_ASN1_EOD 0x80093102  CRYPT_E_ASN1_CORRUPT 0x80093103  CRYPT_E_ASN1_BADTAG 0x8009310B
E_INVALIDARG 0x80070057  E_ACCESSDENIED 0x80070005  E_UNEXPECTED 0x8000FFFF
ERROR_FILE_NOT_FOUND 2  ERROR_PATH_NOT_FOUND 3  ERROR_INVALID_HANDLE 6  ERROR_INVALID_DATA 13  ERROR_NOT_SUPPORTED 50
ERROR_FILE_EXISTS 80  ERROR_INVALID_PASSWORD 86  ERROR_INVALID_PARAMETER 87  ERROR_CALL_NOT_IMPLEMENTED 120
ERROR_INVALID_NAME 123  ERROR_END_OF_MEDIA 1100
"""
PROPERTIES = """
KEY_PROV_HANDLE 1  KEY_PROV_INFO 2  SHA1_HASH 3  HASH 3  MD5_HASH 4  KEY_CONTEXT 5  KEY_SPEC 6  IE30_RESERVED 7
PUBKEY_HASH_RESERVED 8  ENHKEY_USAGE 9  CTL_USAGE 9  NEXT_UPDATE_LOCATION 10  FRIENDLY_NAME 11  PVK_FILE 12
DESCRIPTION 13  ACCESS_STATE 14  SIGNATURE_HASH 15  SMART_CARD_DATA 16  EFS 17  FORTEZZA_DATA 18  ARCHIVED 19
KEY_IDENTIFIER 20  AUTO_ENROLL 21  PUBKEY_ALG_PARA 22  CROSS_CERT_DIST_POINTS 23  ISSUER_PUBLIC_KEY_MD5_HASH 24
SUBJECT_PUBLIC_KEY_MD5_HASH 25  ENROLLMENT 26  DATE_STAMP 27  ISSUER_SERIAL_NUMBER_MD5_HASH 28
SUBJECT_NAME_MD5_HASH 29  EXTENDED_ERROR_INFO 30  RENEWAL 64  ARCHIVED_KEY_HASH 65  AUTO_ENROLL_RETRY 66
AIA_URL_RETRIEVED 67  AUTHORITY_INFO_ACCESS 68  BACKED_UP 69  OCSP_RESPONSE 70  REQUEST_ORIGINATOR 71
SOURCE_LOCATION 72  SOURCE_URL 73  NEW_KEY 74  OCSP_CACHE_PREFIX 75  SMART_CARD_ROOT_INFO 76  NO_AUTO_EXPIRE_CHECK 77
NCRYPT_KEY_HANDLE 78  HCRYPTPROV_OR_NCRYPT_KEY_HANDLE 79  SUBJECT_INFO_ACCESS 80  CA_OCSP_AUTHORITY_INFO_ACCESS 81
CA_DISABLE_CRL 82  ROOT_PROGRAM_CERT_POLICIES 83  ROOT_PROGRAM_NAME_CONSTRAINTS 84
SUBJECT_OCSP_AUTHORITY_INFO_ACCESS 85  SUBJECT_DISABLE_CRL 86  CEP 87  SIGN_HASH_CNG_ALG 89  SCARD_PIN_ID 90
SCARD_PIN_INFO 91  SUBJECT_PUB_KEY_BIT_LENGTH 92  PUB_KEY_CNG_ALG_BIT_LENGTH 93  ISSUER_PUB_KEY_BIT_LENGTH 94
ISSUER_CHAIN_SIGN_HASH_CNG_ALG 95  ISSUER_CHAIN_PUB_KEY_CNG_ALG_BIT_LENGTH 96  NO_EXPIRE_NOTIFICATION 97
AUTH_ROOT_SHA256_HASH 98  NCRYPT_KEY_HANDLE_TRANSFER 99  HCRYPTPROV_TRANSFER 100  SMART_CARD_READER 101
SEND_AS_TRUSTED_ISSUER 102  KEY_REPAIR_ATTEMPTED 103  DISALLOWED_FILETIME 104  ROOT_PROGRAM_CHAIN_POLICIES 105
SMART_CARD_READER_NON_REMOVABLE 106  SHA256_HASH 107  SCEP_SERVER_CERTS 108  SCEP_RA_SIGNATURE_CERT 109
SCEP_RA_ENCRYPTION_CERT 110  SCEP_CA_CERT 111  SCEP_SIGNER_CERT 112  SCEP_NONCE 113  SCEP_ENCRYPT_HASH_CNG_ALG 114
SCEP_FLAGS 115  SCEP_GUID 116  SERIALIZABLE_KEY_CONTEXT 117  ISOLATED_KEY 118  SERIAL_CHAIN 119
KEY_CLASSIFICATION 120  OCSP_MUST_STAPLE 121  DISALLOWED_ENHKEY_USAGE 122  NONCOMPLIANT_ROOT_URL 123
PIN_SHA256_HASH 124  CLR_DELETE_KEY 125  NOT_BEFORE_FILETIME 126  NOT_BEFORE_ENHKEY_USAGE 127
"""


def _pairs(table, shape="{}"):
    words = table.split()
    return [(shape.format(word), int(value, 0)) for word, value in zip(words[::2], words[1::2], strict=True)]


ALL_CONSTANTS = _pairs(CONSTANTS) + _pairs(PROPERTIES, "CERT_{}_PROP_ID")


@pytest.mark.parametrize(("word", "value"), [pytest.param(*pair, id=pair[0]) for pair in ALL_CONSTANTS])
def test_a_constant_is_offered_by_the_face_under_its_windows_name(word, value):
    assert getattr(crypt32, word, "absent") == value


FIELDS = {
    "CertInfo": "serial issuer subject not_before not_after public_key version signature_algorithm extensions",
    "CertExtension": "oid critical value",
    "CryptAlgorithmIdentifier": "oid parameters",
    "CertRdnAttr": "oid value_type value",
    "CertSignedContent": "to_be_signed algorithm signature",
    "EnrollmentInfo": "request_id ca_dns_name ca_name display_name",
    "SmartCardRootInfo": "card_id luid",
    "CrlInfo": "issuer this_update next_update",
    "CryptKeyProvInfo": "container_name prov_name prov_type flags params key_spec",
    "CryptKeyProvParam": "param data flags",
    "CertKeyContext": "handle key_spec",
    "CertPublicKeyInfo": "algorithm parameters public_key",
    "PinInfo": "pin_type pin_purpose change_permission unblock_permission cache_policy flags version",
}


@pytest.mark.parametrize(("struct", "fields"), FIELDS.items(), ids=list(FIELDS))
def test_a_struct_is_frozen_and_has_the_fields_promised(struct, fields):
    kind = getattr(crypt32, struct)
    names = {field.name for field in dataclasses.fields(kind)}
    assert set(fields.split()) <= names
    assert kind.__dataclass_params__.frozen


def test_a_partial_certificate_info_can_be_built_for_searching_and_knows_its_serial_little_endian():
    info = crypt32.CertInfo()
    assert (info.serial, info.issuer, info.subject, info.not_before, info.public_key) == (None, b"", b"", None, None)
    assert (info.version, info.signature_algorithm, info.extensions) == (0, None, ())
    assert crypt32.CertInfo(serial=0x80).serial_number == b"\x80\x00"
    assert crypt32.CertInfo(serial=-2).serial_number == b"\xfe"
    assert crypt32.CryptAlgorithmIdentifier("1.2.3").parameters == b""
    assert crypt32.EnrollmentInfo() == crypt32.EnrollmentInfo(0, "", "", "")
    assert crypt32.CryptKeyProvInfo("c", "p", 1) == crypt32.CryptKeyProvInfo("c", "p", 1, 0, (), 0)


def test_the_handle_types_are_there_under_their_names():
    for word in ("HCERTSTORE", "CertificateContext", "CRLContext", "CertHash", "PhysicalStoreInfo", "AcquiredKey",
                 "QueryObject"):  # fmt: skip
        assert isinstance(getattr(crypt32, word), type)
    assert issubclass(crypt32.CertHash, bytes)
    assert list(crypt32.PhysicalStoreInfo._fields if hasattr(crypt32.PhysicalStoreInfo, "_fields") else [
        field.name for field in dataclasses.fields(crypt32.PhysicalStoreInfo)
    ]) == ["name", "flags", "priority", "open_provider"]  # fmt: skip
