"""The names, arguments and constants of the CryptoAPI and CNG faces, as C programmers write them."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from calais.win import codes, flags, structs
from calais.winapi import advapi32, cspdk, ncrypt

SIGNATURES = """
CPAcquireContext(szContainer=None, dwFlags=0, pVTable=None, *,
    provider="Microsoft Base Smart Card Crypto Provider", system=None)
CPReleaseContext(hProv, dwFlags=0)
CPGetProvParam(hProv, dwParam, dwFlags=0)
CPSetProvParam(hProv, dwParam, pbData, dwFlags=0)
CPGetUserKey(hProv, dwKeySpec)
CPGenKey(hProv, Algid, dwFlags=0)
CPDeriveKey(hProv, Algid, hBaseData, dwFlags=0)
CPImportKey(hProv, pbData, hPubKey=None, dwFlags=0)
CPExportKey(hProv, hKey, hPubKey=None, dwBlobType=0, dwFlags=0)
CPDestroyKey(hProv, hKey)
CPDuplicateKey(hUID, hKey, pdwReserved=None, dwFlags=0)
CPGetKeyParam(hProv, hKey, dwParam, dwFlags=0)
CPSetKeyParam(hProv, hKey, dwParam, pbData, dwFlags=0)
CPEncrypt(hProv, hKey, hHash=None, fFinal=True, dwFlags=0, pbData=b"")
CPDecrypt(hProv, hKey, hHash=None, fFinal=True, dwFlags=0, pbData=b"")
CPCreateHash(hProv, Algid, hKey=None, dwFlags=0)
CPHashData(hProv, hHash, pbData, dwFlags=0)
CPHashSessionKey(hProv, hHash, hKey, dwFlags=0)
CPDuplicateHash(hUID, hHash, pdwReserved=None, dwFlags=0)
CPGetHashParam(hProv, hHash, dwParam, dwFlags=0)
CPSetHashParam(hProv, hHash, dwParam, pbData, dwFlags=0)
CPDestroyHash(hProv, hHash)
CPSignHash(hProv, hHash, dwKeySpec, szDescription=None, dwFlags=0)
CPVerifySignature(hProv, hHash, pbSignature, hPubKey, szDescription=None, dwFlags=0)
CPGenRandom(hProv, dwLen, pbBuffer=b"")
CryptAcquireContext(pszContainer=None, pszProvider=None, dwProvType=1, dwFlags=0, *, system=None)
CryptReleaseContext(hProv, dwFlags=0)
CryptContextAddRef(hProv, pdwReserved=None, dwFlags=0)
CryptGetProvParam(hProv, dwParam, dwFlags=0)
CryptSetProvParam(hProv, dwParam, pbData, dwFlags=0)
CryptEnumProviders(dwIndex, pdwReserved=None, dwFlags=0)
CryptEnumProviderTypes(dwIndex, pdwReserved=None, dwFlags=0)
CryptGetDefaultProvider(dwProvType, pdwReserved=None, dwFlags=2)
CryptSetProvider(pszProvName, dwProvType)
CryptSetProviderEx(pszProvName, dwProvType, pdwReserved=None, dwFlags=0)
CryptGetUserKey(hProv, dwKeySpec)
CryptGenKey(hProv, Algid, dwFlags=0)
CryptDeriveKey(hProv, Algid, hBaseData, dwFlags=0)
CryptImportKey(hProv, pbData, hPubKey=None, dwFlags=0)
CryptExportKey(hKey, hExpKey=None, dwBlobType=0, dwFlags=0)
CryptDestroyKey(hKey)
CryptDuplicateKey(hKey, pdwReserved=None, dwFlags=0)
CryptDuplicateHash(hHash, pdwReserved=None, dwFlags=0)
CryptGetKeyParam(hKey, dwParam, dwFlags=0)
CryptSetKeyParam(hKey, dwParam, pbData, dwFlags=0)
CryptEncrypt(hKey, hHash=None, Final=True, dwFlags=0, pbData=b"")
CryptDecrypt(hKey, hHash=None, Final=True, dwFlags=0, pbData=b"")
CryptCreateHash(hProv, Algid, hKey=None, dwFlags=0)
CryptHashData(hHash, pbData, dwFlags=0)
CryptHashSessionKey(hHash, hKey, dwFlags=0)
CryptGetHashParam(hHash, dwParam, dwFlags=0)
CryptSetHashParam(hHash, dwParam, pbData, dwFlags=0)
CryptDestroyHash(hHash)
CryptSignHash(hHash, dwKeySpec, szDescription=None, dwFlags=0)
CryptVerifySignature(hHash, pbSignature, hPubKey, szDescription=None, dwFlags=0)
CryptGenRandom(hProv, dwLen, pbBuffer=b"")
NCryptOpenStorageProvider(pszProviderName=None, dwFlags=0, *, system=None)
NCryptEnumStorageProviders(dwFlags=0)
NCryptEnumAlgorithms(hProvider, dwAlgOperations=0, dwFlags=0)
NCryptIsAlgSupported(hProvider, pszAlgId, dwFlags=0)
NCryptEnumKeys(hProvider, pszScope=None, ppEnumState=None, dwFlags=0)
NCryptOpenKey(hProvider, pszKeyName, dwLegacyKeySpec=0, dwFlags=0)
NCryptCreatePersistedKey(hProvider, pszAlgId, pszKeyName=None, dwLegacyKeySpec=0, dwFlags=0)
NCryptFinalizeKey(hKey, dwFlags=0)
NCryptDeleteKey(hKey, dwFlags=0)
NCryptGetProperty(hObject, pszProperty, dwFlags=0)
NCryptSetProperty(hObject, pszProperty, pbInput, dwFlags=0)
NCryptSignHash(hKey, pPaddingInfo=None, pbHashValue=b"", dwFlags=0)
NCryptVerifySignature(hKey, pPaddingInfo=None, pbHashValue=b"", pbSignature=b"", dwFlags=0)
NCryptEncrypt(hKey, pbInput, pPaddingInfo=None, dwFlags=0)
NCryptDecrypt(hKey, pbInput, pPaddingInfo=None, dwFlags=0)
NCryptSecretAgreement(hPrivKey, hPubKey, dwFlags=0)
NCryptDeriveKey(hSharedSecret, pwszKDF, pParameterList=(), cbDerivedKey=0, dwFlags=0)
NCryptExportKey(hKey, hExportKey=None, pszBlobType="", pParameterList=(), dwFlags=0)
NCryptImportKey(hProvider, hImportKey=None, pszBlobType="", pParameterList=(), pbData=b"", dwFlags=0)
NCryptFreeObject(hObject)
NCryptFreeBuffer(pvInput)
NCryptIsKeyHandle(hKey)
NCryptTranslateHandle(hLegacyProv, hLegacyKey=None, dwLegacyKeySpec=0, dwFlags=0)
"""

CSP_CODES = """
NTE_BAD_UID NTE_BAD_HASH NTE_BAD_KEY NTE_BAD_LEN NTE_BAD_DATA NTE_BAD_SIGNATURE NTE_BAD_VER NTE_BAD_ALGID NTE_BAD_FLAGS
NTE_BAD_TYPE NTE_BAD_KEY_STATE NTE_BAD_HASH_STATE NTE_NO_KEY NTE_EXISTS NTE_PERM NTE_BAD_PROV_TYPE NTE_BAD_PUBLIC_KEY
NTE_BAD_KEYSET NTE_PROV_TYPE_NOT_DEF NTE_KEYSET_NOT_DEF NTE_PROV_TYPE_NO_MATCH NTE_BAD_KEYSET_PARAM NTE_FAIL
NTE_SILENT_CONTEXT NTE_TOKEN_KEYSET_STORAGE_FULL SCARD_E_UNKNOWN_READER SCARD_E_NO_SMARTCARD SCARD_E_UNKNOWN_CARD
SCARD_E_NO_READERS_AVAILABLE SCARD_W_CANCELLED_BY_USER SCARD_W_WRONG_CHV SCARD_W_CHV_BLOCKED SCARD_E_INVALID_CHV
SCARD_E_READ_ONLY_CARD SCARD_E_UNSUPPORTED_FEATURE SCARD_W_REMOVED_CARD SCARD_E_NO_SUCH_CERTIFICATE CRYPT_E_BAD_ENCODE
ERROR_INVALID_PARAMETER ERROR_NO_MORE_ITEMS ERROR_CALL_NOT_IMPLEMENTED ERROR_NX_UNDEFINED ERROR_NX_PIN_INCORRECT
ERROR_NX_PIN_BLOCKED
"""

CSP_FLAGS = """
MS_SCARD_PROV PERSONAL_CSP MS_ENH_RSA_AES_PROV PROV_RSA_FULL PROV_RSA_AES CRYPT_VERIFYCONTEXT CRYPT_NEWKEYSET
CRYPT_DELETEKEYSET CRYPT_DEFAULT_CONTAINER_OPTIONAL CRYPT_SILENT CRYPT_MACHINE_KEYSET PP_ENUMALGS PP_ENUMALGS_EX
PP_ENUMCONTAINERS PP_IMPTYPE PP_NAME PP_VERSION PP_CONTAINER PP_UNIQUE_CONTAINER PP_PROVTYPE PP_KEYSTORAGE
PP_KEYSET_TYPE PP_KEYSPEC PP_SIG_KEYSIZE_INC PP_KEYX_KEYSIZE_INC PP_KEYEXCHANGE_PIN PP_SIGNATURE_PIN PP_ADMIN_PIN
PP_SECURE_KEYEXCHANGE_PIN PP_SECURE_SIGNATURE_PIN PP_PIN_PROMPT_STRING PP_UI_PROMPT PP_CLIENT_HWND PP_SMARTCARD_READER
PP_SMARTCARD_GUID PP_SMARTCARD_READER_ICON PP_USER_CERTSTORE PP_ROOT_CERTSTORE PP_KEYSET_SEC_DESCR PP_NX_LAST_ERROR
PP_NX_CONTEXT_FLAGS NX_FLAG_HW_TOKEN NX_FLAG_HAS_PROTECTED_AUTH_PATH NX_FLAG_TOKEN_REMOVABLE NX_FLAG_TOKEN_PRESENT
CRYPT_IMPL_SOFTWARE CRYPT_IMPL_MIXED CRYPT_IMPL_REMOVABLE CRYPT_SEC_DESCR CRYPT_PSTORE CRYPT_UI_PROMPT CRYPT_FIRST
CRYPT_NEXT AT_KEYEXCHANGE AT_SIGNATURE CRYPT_EXPORTABLE CRYPT_USER_PROTECTED CRYPT_CREATE_SALT CRYPT_NO_SALT
CRYPT_ARCHIVABLE CRYPT_OAEP CRYPT_DECRYPT_RSA_NO_PADDING_CHECK CRYPT_IPSEC_HMAC_KEY PUBLICKEYBLOB PRIVATEKEYBLOB
SIMPLEBLOB PLAINTEXTKEYBLOB OPAQUEKEYBLOB KP_IV KP_SALT KP_SALT_EX KP_PADDING KP_MODE KP_MODE_BITS KP_PERMISSIONS
KP_ALGID KP_BLOCKLEN KP_KEYLEN KP_EFFECTIVE_KEYLEN KP_OAEP_PARAMS KP_CERTIFICATE KP_PIN_ID KP_PIN_INFO PKCS5_PADDING
RANDOM_PADDING ZERO_PADDING CRYPT_MODE_CBC CRYPT_MODE_ECB CRYPT_MODE_CFB CRYPT_MODE_OFB CRYPT_MODE_CTS CRYPT_ENCRYPT
CRYPT_DECRYPT CRYPT_EXPORT CRYPT_READ CRYPT_WRITE CRYPT_MAC CRYPT_USERDATA CRYPT_LITTLE_ENDIAN CRYPT_NOHASHOID
CRYPT_X931_FORMAT HP_ALGID HP_HASHVAL HP_HASHSIZE HP_HMAC_INFO CALG_RSA_KEYX CALG_RSA_SIGN CALG_MD5 CALG_SHA1
CALG_SSL3_SHAMD5 CALG_SHA_256 CALG_SHA_384 CALG_SHA_512 CALG_HMAC CALG_MAC CALG_RC2 CALG_RC4 CALG_DES CALG_3DES_112
CALG_3DES CALG_AES_128 CALG_AES_192 CALG_AES_256
"""

ADVAPI32_FLAGS = "CRYPT_MACHINE_DEFAULT CRYPT_USER_DEFAULT CRYPT_DELETE_DEFAULT"

NCRYPT_CODES = """
NTE_INVALID_HANDLE NTE_INVALID_PARAMETER NTE_BAD_FLAGS NTE_NOT_SUPPORTED NTE_BAD_KEYSET NTE_EXISTS NTE_NO_MORE_ITEMS
NTE_BAD_SIGNATURE NTE_NO_KEY NTE_TOKEN_KEYSET_STORAGE_FULL SCARD_E_READ_ONLY_CARD NTE_SILENT_CONTEXT NTE_PERM
SCARD_E_UNSUPPORTED_FEATURE NTE_NOT_FOUND NTE_BAD_PUBLIC_KEY SCARD_E_NO_SMARTCARD SCARD_W_WRONG_CHV SCARD_W_CHV_BLOCKED
SCARD_W_CANCELLED_BY_USER SCARD_W_REMOVED_CARD NTE_BAD_KEY_STATE
"""

NCRYPT_FLAGS = """
MS_SMART_CARD_KEY_STORAGE_PROVIDER MS_KEY_STORAGE_PROVIDER NCRYPT_SILENT_FLAG NCRYPT_MACHINE_KEY_FLAG
NCRYPT_OVERWRITE_KEY_FLAG NCRYPT_NO_KEY_VALIDATION NCRYPT_WRITE_KEY_TO_LEGACY_STORE_FLAG NCRYPT_PERSIST_ONLY_FLAG
NCRYPT_PERSIST_FLAG NCRYPT_DO_NOT_FINALIZE_FLAG NCRYPT_PAD_PKCS1_FLAG NCRYPT_PAD_PSS_FLAG NCRYPT_NO_PADDING_FLAG
NCRYPT_PAD_OAEP_FLAG NCRYPT_ALLOW_EXPORT_FLAG NCRYPT_ALLOW_PLAINTEXT_EXPORT_FLAG NCRYPT_ALLOW_ARCHIVING_FLAG
NCRYPT_ALLOW_PLAINTEXT_ARCHIVING_FLAG NCRYPT_ALLOW_DECRYPT_FLAG NCRYPT_ALLOW_SIGNING_FLAG NCRYPT_ALLOW_KEY_AGREEMENT_FLAG
NCRYPT_ALLOW_ALL_USAGES NCRYPT_UI_PROTECT_KEY_FLAG NCRYPT_UI_FORCE_HIGH_PROTECTION_FLAG NCRYPT_IMPL_HARDWARE_FLAG
NCRYPT_IMPL_REMOVABLE_FLAG NCRYPT_IMPL_SOFTWARE_FLAG AT_KEYEXCHANGE AT_SIGNATURE BCRYPT_PUBLIC_KEY_BLOB
BCRYPT_RSAPUBLIC_BLOB BCRYPT_ECCPUBLIC_BLOB LEGACY_RSAPUBLIC_BLOB BCRYPT_PRIVATE_KEY_BLOB BCRYPT_RSAPRIVATE_BLOB
BCRYPT_RSAFULLPRIVATE_BLOB BCRYPT_ECCPRIVATE_BLOB LEGACY_RSAPRIVATE_BLOB NCRYPT_PKCS8_PRIVATE_KEY_BLOB
NCRYPTBUFFER_PKCS_OID NCRYPTBUFFER_PKCS_ALG_ID NCRYPTBUFFER_PKCS_SECRET NCRYPTBUFFER_PKCS_KEY_NAME BCRYPT_KDF_HASH
BCRYPT_KDF_HMAC BCRYPT_KDF_TLS_PRF BCRYPT_KDF_SP80056A_CONCAT BCRYPT_KDF_RAW_SECRET KDF_HASH_ALGORITHM
KDF_SECRET_PREPEND KDF_SECRET_APPEND KDF_HMAC_KEY KDF_TLS_PRF_LABEL KDF_TLS_PRF_SEED KDF_TLS_PRF_PROTOCOL
KDF_ALGORITHMID KDF_PARTYUINFO KDF_PARTYVINFO KDF_SUPPPUBINFO KDF_SUPPPRIVINFO KDF_USE_SECRET_AS_HMAC_KEY_FLAG
NCRYPT_RSA_ALGORITHM NCRYPT_ECDSA_P256_ALGORITHM NCRYPT_ECDSA_P384_ALGORITHM NCRYPT_ECDSA_P521_ALGORITHM
NCRYPT_ECDH_P256_ALGORITHM NCRYPT_ECDH_P384_ALGORITHM NCRYPT_ECDH_P521_ALGORITHM NCRYPT_CIPHER_OPERATION
NCRYPT_HASH_OPERATION NCRYPT_ASYMMETRIC_ENCRYPTION_OPERATION NCRYPT_SECRET_AGREEMENT_OPERATION
NCRYPT_SIGNATURE_OPERATION NCRYPT_RNG_OPERATION NCRYPT_KEY_DERIVATION_OPERATION BCRYPT_RSA_ALGORITHM
BCRYPT_ECDSA_P256_ALGORITHM BCRYPT_ECDH_P256_ALGORITHM
"""

PROPERTIES = {
    "NCRYPT_NAME_PROPERTY": "Name",
    "NCRYPT_UNIQUE_NAME_PROPERTY": "Unique Name",
    "NCRYPT_ALGORITHM_PROPERTY": "Algorithm Name",
    "NCRYPT_ALGORITHM_GROUP_PROPERTY": "Algorithm Group",
    "NCRYPT_LENGTH_PROPERTY": "Length",
    "NCRYPT_LENGTHS_PROPERTY": "Lengths",
    "NCRYPT_BLOCK_LENGTH_PROPERTY": "Block Length",
    "NCRYPT_EXPORT_POLICY_PROPERTY": "Export Policy",
    "NCRYPT_KEY_USAGE_PROPERTY": "Key Usage",
    "NCRYPT_KEY_TYPE_PROPERTY": "Key Type",
    "NCRYPT_UI_POLICY_PROPERTY": "UI Policy",
    "NCRYPT_LAST_MODIFIED_PROPERTY": "Modified",
    "NCRYPT_IMPL_TYPE_PROPERTY": "Impl Type",
    "NCRYPT_VERSION_PROPERTY": "Version",
    "NCRYPT_MAX_NAME_LENGTH_PROPERTY": "Max Name Length",
    "NCRYPT_PROVIDER_HANDLE_PROPERTY": "Provider Handle",
    "NCRYPT_CERTIFICATE_PROPERTY": "SmartCardKeyCertificate",
    "NCRYPT_PIN_PROPERTY": "SmartCardPin",
    "NCRYPT_SECURE_PIN_PROPERTY": "SmartCardSecurePin",
    "NCRYPT_PIN_PROMPT_PROPERTY": "SmartCardPinPrompt",
    "NCRYPT_READER_PROPERTY": "SmartCardReader",
    "NCRYPT_READER_ICON_PROPERTY": "SmartCardReaderIcon",
    "NCRYPT_SMARTCARD_GUID_PROPERTY": "SmartCardGuid",
    "NCRYPT_USER_CERTSTORE_PROPERTY": "SmartCardUserCertStore",
    "NCRYPT_ROOT_CERTSTORE_PROPERTY": "SmartcardRootCertStore",
    "NCRYPT_SCARD_PIN_ID": "SmartCardPinId",
    "NCRYPT_SCARD_PIN_INFO": "SmartCardPinInfo",
    "NCRYPT_ASSOCIATED_ECDH_KEY": "SmartCardAssociatedECDHKey",
    "NCRYPT_WINDOW_HANDLE_PROPERTY": "HWND Handle",
    "NCRYPT_USE_CONTEXT_PROPERTY": "Use Context",
    "NCRYPT_SECURITY_DESCR_SUPPORT_PROPERTY": "Security Descr Support",
    "NCRYPT_SECURITY_DESCR_PROPERTY": "Security Descr",
    "NCRYPT_USE_COUNT_ENABLED_PROPERTY": "Enabled Use Count",
    "NCRYPT_USE_COUNT_PROPERTY": "Use Count",
    "BCRYPT_SIGNATURE_LENGTH": "SignatureLength",
    "BCRYPT_PUBLIC_KEY_LENGTH": "PublicKeyLength",
    "BCRYPT_PUBLIC_KEY_BLOB": "PUBLICBLOB",
    "BCRYPT_RSAPUBLIC_BLOB": "RSAPUBLICBLOB",
    "BCRYPT_ECCPUBLIC_BLOB": "ECCPUBLICBLOB",
    "LEGACY_RSAPUBLIC_BLOB": "CAPIPUBLICBLOB",
    "BCRYPT_PRIVATE_KEY_BLOB": "PRIVATEBLOB",
    "BCRYPT_RSAPRIVATE_BLOB": "RSAPRIVATEBLOB",
    "BCRYPT_RSAFULLPRIVATE_BLOB": "RSAFULLPRIVATEBLOB",
    "BCRYPT_ECCPRIVATE_BLOB": "ECCPRIVATEBLOB",
    "LEGACY_RSAPRIVATE_BLOB": "CAPIPRIVATEBLOB",
    "NCRYPT_PKCS8_PRIVATE_KEY_BLOB": "PKCS8_PRIVATEKEY",
    "BCRYPT_KDF_HASH": "HASH",
    "BCRYPT_KDF_HMAC": "HMAC",
    "BCRYPT_KDF_TLS_PRF": "TLS_PRF",
    "BCRYPT_KDF_SP80056A_CONCAT": "SP800_56A_CONCAT",
    "BCRYPT_KDF_RAW_SECRET": "TRUNCATE",
    "NCRYPT_RSA_ALGORITHM": "RSA",
    "NCRYPT_ECDSA_P256_ALGORITHM": "ECDSA_P256",
    "NCRYPT_ECDH_P521_ALGORITHM": "ECDH_P521",
}

VALUES = {
    "CRYPT_VERIFYCONTEXT": 0xF0000000,
    "CRYPT_NEWKEYSET": 8,
    "CRYPT_DELETEKEYSET": 0x10,
    "CRYPT_MACHINE_KEYSET": 0x20,
    "CRYPT_SILENT": 0x40,
    "CRYPT_DEFAULT_CONTAINER_OPTIONAL": 0x80,
    "PP_ENUMALGS": 1,
    "PP_ENUMALGS_EX": 22,
    "PP_ENUMCONTAINERS": 2,
    "PP_IMPTYPE": 3,
    "PP_NAME": 4,
    "PP_VERSION": 5,
    "PP_CONTAINER": 6,
    "PP_UNIQUE_CONTAINER": 36,
    "PP_PROVTYPE": 16,
    "PP_KEYSTORAGE": 17,
    "PP_KEYSET_TYPE": 27,
    "PP_KEYSPEC": 39,
    "PP_SIG_KEYSIZE_INC": 34,
    "PP_KEYX_KEYSIZE_INC": 35,
    "PP_KEYEXCHANGE_PIN": 32,
    "PP_SIGNATURE_PIN": 33,
    "PP_ADMIN_PIN": 31,
    "PP_SECURE_KEYEXCHANGE_PIN": 47,
    "PP_SECURE_SIGNATURE_PIN": 48,
    "PP_PIN_PROMPT_STRING": 44,
    "PP_UI_PROMPT": 21,
    "PP_CLIENT_HWND": 1,
    "PP_SMARTCARD_READER": 43,
    "PP_SMARTCARD_GUID": 45,
    "PP_SMARTCARD_READER_ICON": 47,
    "PP_USER_CERTSTORE": 42,
    "PP_ROOT_CERTSTORE": 46,
    "PP_KEYSET_SEC_DESCR": 8,
    "PP_NX_LAST_ERROR": 0x80000001,
    "PP_NX_CONTEXT_FLAGS": 0x80000002,
    "KP_IV": 1,
    "KP_SALT": 2,
    "KP_SALT_EX": 10,
    "KP_PADDING": 3,
    "KP_MODE": 4,
    "KP_MODE_BITS": 5,
    "KP_PERMISSIONS": 6,
    "KP_ALGID": 7,
    "KP_BLOCKLEN": 8,
    "KP_KEYLEN": 9,
    "KP_EFFECTIVE_KEYLEN": 19,
    "KP_OAEP_PARAMS": 36,
    "KP_CERTIFICATE": 26,
    "KP_PIN_ID": 43,
    "KP_PIN_INFO": 44,
    "HP_ALGID": 1,
    "HP_HASHVAL": 2,
    "HP_HASHSIZE": 4,
    "HP_HMAC_INFO": 5,
    "CALG_RSA_KEYX": 0xA400,
    "CALG_RSA_SIGN": 0x2400,
    "CALG_SSL3_SHAMD5": 0x8008,
    "CALG_SHA_512": 0x800E,
    "CALG_HMAC": 0x8009,
    "CALG_MAC": 0x8005,
    "CALG_RC2": 0x6602,
    "CALG_RC4": 0x6801,
    "CALG_3DES_112": 0x6609,
    "CALG_AES_256": 0x6610,
    "NX_FLAG_HW_TOKEN": 1,
    "NX_FLAG_HAS_PROTECTED_AUTH_PATH": 2,
    "NX_FLAG_TOKEN_REMOVABLE": 4,
    "NX_FLAG_TOKEN_PRESENT": 8,
    "NCRYPT_SILENT_FLAG": 0x40,
    "NCRYPT_MACHINE_KEY_FLAG": 0x20,
    "NCRYPT_OVERWRITE_KEY_FLAG": 0x80,
    "NCRYPT_DO_NOT_FINALIZE_FLAG": 0x400,
    "NCRYPT_PERSIST_ONLY_FLAG": 0x40000000,
    "NCRYPT_PERSIST_FLAG": 0x80000000,
    "NCRYPTBUFFER_PKCS_OID": 40,
    "NCRYPTBUFFER_PKCS_ALG_ID": 43,
    "NCRYPTBUFFER_PKCS_KEY_NAME": 45,
    "NCRYPTBUFFER_PKCS_SECRET": 46,
    "ERROR_NX_UNDEFINED": 0x80007000,
    "ERROR_NX_PIN_INCORRECT": 0x80007001,
    "ERROR_NX_PIN_BLOCKED": 0x80007002,
    "NTE_SILENT_CONTEXT": 0x80090022,
    "NTE_BAD_KEYSET_PARAM": 0x8009001F,
}

FIELDS = {
    "ProvEnumAlgs": "alg_id bit_length name",
    "ProvEnumAlgsEx": "alg_id bit_length min_length max_length protocols name long_name",
    "HmacInfo": "hash_alg_id inner outer",
    "PinInfo": "pin_type pin_purpose change_permission unblock_permission cache_policy flags version",
    "NCryptProviderName": "name comment",
    "NCryptAlgorithmName": "name interface operations flags",
    "NCryptKeyName": "name algid legacy_key_spec flags",
    "NCryptSupportedLengths": "min_length max_length increment default_length",
    "NCryptUiPolicy": "flags creation_title friendly_name description version",
    "Pkcs1PaddingInfo": "algorithm",
    "PssPaddingInfo": "algorithm salt",
    "OaepPaddingInfo": "algorithm label",
    "BCryptBuffer": "type value",
}


def rows():
    for line in SIGNATURES.replace("\n    ", " ").strip().splitlines():
        yield pytest.param(line, id=line.partition("(")[0])


def face_of(name):
    return cspdk if name.startswith("CP") else ncrypt if name.startswith("NCrypt") else advapi32


@pytest.mark.parametrize("line", list(rows()))
def test_a_function_takes_the_documented_arguments_in_order_and_by_name(line):
    name = line.partition("(")[0]
    scope = {}
    exec(f"def {line}: ...", scope)
    wanted, found = inspect.signature(scope[name]), inspect.signature(getattr(face_of(name), name))
    as_rows = [[(p.name, p.kind, p.default) for p in signature.parameters.values()] for signature in (wanted, found)]
    assert as_rows[0] == as_rows[1]


@pytest.mark.parametrize(
    ("face", "names"),
    [
        pytest.param(cspdk, CSP_CODES + CSP_FLAGS, id="cspdk"),
        pytest.param(advapi32, CSP_CODES + CSP_FLAGS + ADVAPI32_FLAGS, id="advapi32"),
        pytest.param(ncrypt, NCRYPT_CODES + NCRYPT_FLAGS + " ".join(PROPERTIES), id="ncrypt"),
    ],
)
def test_a_face_exports_every_constant_it_uses(face, names):
    missing = [name for name in names.split() if not hasattr(face, name)]
    assert not missing


@pytest.mark.parametrize(("name", "value"), VALUES.items(), ids=VALUES)
def test_a_number_is_the_headers_number(name, value):
    assert getattr(flags, name, getattr(codes, name, None)) == value


@pytest.mark.parametrize(("name", "value"), PROPERTIES.items(), ids=PROPERTIES)
def test_a_string_constant_is_the_headers_string(name, value):
    assert getattr(ncrypt, name) == value
    assert isinstance(getattr(ncrypt, name), str)


@pytest.mark.parametrize(("name", "fields"), FIELDS.items(), ids=FIELDS)
def test_a_structure_is_frozen_and_has_the_documented_fields(name, fields):
    structure = getattr(structs, name)
    assert [field.name for field in dataclasses.fields(structure)] == fields.split()
    assert structure.__dataclass_params__.frozen


@pytest.mark.parametrize("name", ["HCRYPTPROV", "HCRYPTKEY", "HCRYPTHASH"])
def test_both_faces_share_the_handle_classes(name):
    assert getattr(cspdk, name) is getattr(advapi32, name)
    assert isinstance(getattr(cspdk, name), type)


@pytest.mark.parametrize("name", ["HmacInfo", "ProvEnumAlgs", "ProvEnumAlgsEx", "PinInfo"])
def test_the_structures_of_cryptoapi_come_with_its_faces(name):
    assert getattr(cspdk, name) is getattr(advapi32, name) is getattr(structs, name)


@pytest.mark.parametrize("name", [name for name in FIELDS if name.startswith(("NCrypt", "P", "O", "B"))][:8])
def test_the_structures_of_cng_come_with_its_face(name):
    if not name.startswith("ProvEnum"):
        assert getattr(ncrypt, name) is getattr(structs, name)


@pytest.mark.parametrize("name", ["NCryptProv", "NCryptKey", "NCryptSecret", "NCryptObject"])
def test_the_handle_classes_of_cng_are_classes(name):
    assert issubclass(getattr(ncrypt, name), ncrypt.NCryptObject)


@pytest.mark.parametrize(
    "name", ["NCryptNotifyChangeKey", "NCryptCreateClaim", "NCryptProtectSecret", "NCryptKeyDerivation"]
)
def test_what_is_not_offered_is_absent(name):
    assert not hasattr(ncrypt, name)


def test_provider_names_are_the_headers():
    assert cspdk.MS_SCARD_PROV == "Microsoft Base Smart Card Crypto Provider"
    assert cspdk.PERSONAL_CSP == "Personal CSP"
    assert cspdk.MS_ENH_RSA_AES_PROV == "Microsoft Enhanced RSA and AES Cryptographic Provider"
    assert ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER == "Microsoft Smart Card Key Storage Provider"
    assert ncrypt.MS_KEY_STORAGE_PROVIDER == "Microsoft Software Key Storage Provider"
