"""The records, the constants and the error of the Windows-named faces, as their pages list them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect

import pytest

import calais
from calais.win import codes, errors, flags, structs
from calais.winapi import advapi32, cardmod, crypt32, cspdk, ncrypt, winscard

REQUIRED = object()
FIELDS = {
    "CryptKeyProvInfo": {
        "container_name": REQUIRED,
        "prov_name": REQUIRED,
        "prov_type": REQUIRED,
        "flags": 0,
        "params": (),
        "key_spec": 0,
    },
    "CryptKeyProvParam": {"param": REQUIRED, "data": REQUIRED, "flags": 0},
    "CertKeyContext": {"handle": REQUIRED, "key_spec": REQUIRED},
    "AtrMask": {"atr": REQUIRED, "mask": REQUIRED},
    "ReaderState": {"reader": REQUIRED, "user_data": None, "current_state": 0, "event_state": 0, "atr": b""},
    "ContainerInfo": {"version": 1, "sig_public_key": b"", "key_ex_public_key": b""},
    "ContainerMapRecord": {
        "guid": REQUIRED,
        "flags": REQUIRED,
        "sig_key_size_bits": REQUIRED,
        "key_exchange_key_size_bits": REQUIRED,
    },
    "CardCacheFile": {
        "version": REQUIRED,
        "pins_freshness": REQUIRED,
        "containers_freshness": REQUIRED,
        "files_freshness": REQUIRED,
    },
    "CardFreeSpaceInfo": {
        "bytes_available": REQUIRED,
        "key_containers_available": REQUIRED,
        "max_key_containers": REQUIRED,
    },
    "CardCapabilities": {"certificate_compression": REQUIRED, "key_gen": REQUIRED},
    "CardKeySizes": {
        "minimum_bit_len": REQUIRED,
        "default_bit_len": REQUIRED,
        "maximum_bit_len": REQUIRED,
        "incremental_bit_len": REQUIRED,
    },
    "CardFileInfo": {"file_size": REQUIRED, "access_condition": REQUIRED},
    "PinInfo": {
        "pin_type": REQUIRED,
        "pin_purpose": REQUIRED,
        "change_permission": REQUIRED,
        "unblock_permission": REQUIRED,
        "cache_policy": REQUIRED,
        "flags": 0,
        "version": 6,
    },
    "PinCachePolicy": {"policy": REQUIRED, "info": 0},
    "CardSigningInfo": {
        "container_index": REQUIRED,
        "key_spec": REQUIRED,
        "data": REQUIRED,
        "signing_flags": 0,
        "hash_alg": 0,
        "padding_type": 0,
        "padding_info": None,
        "version": 2,
    },
    "CardRsaDecryptInfo": {
        "container_index": REQUIRED,
        "key_spec": REQUIRED,
        "data": REQUIRED,
        "padding_type": 0,
        "padding_info": None,
        "version": 2,
    },
    "CardDhAgreementInfo": {"container_index": REQUIRED, "public_key": REQUIRED, "flags": 0, "version": 2},
    "CardDeriveKeyInfo": {"kdf": REQUIRED, "agreement_index": REQUIRED, "parameters": (), "flags": 0, "version": 2},
    "Pkcs1PaddingInfo": {"algorithm": REQUIRED},
    "PssPaddingInfo": {"algorithm": REQUIRED, "salt": REQUIRED},
    "OaepPaddingInfo": {"algorithm": REQUIRED, "label": None},
    "BCryptBuffer": {"type": REQUIRED, "value": REQUIRED},
    "CertPublicKeyInfo": {"algorithm": REQUIRED, "parameters": REQUIRED, "public_key": REQUIRED},
    "ProvEnumAlgs": {"alg_id": REQUIRED, "bit_length": REQUIRED, "name": REQUIRED},
    "ProvEnumAlgsEx": {
        "alg_id": REQUIRED,
        "bit_length": REQUIRED,
        "min_length": REQUIRED,
        "max_length": REQUIRED,
        "protocols": REQUIRED,
        "name": REQUIRED,
        "long_name": REQUIRED,
    },
}
LOOSE = {("Pkcs1PaddingInfo", "algorithm"), ("PssPaddingInfo", "algorithm"), ("OaepPaddingInfo", "algorithm")}
LOOSE |= {("PssPaddingInfo", "salt"), ("OaepPaddingInfo", "label"), ("CertKeyContext", "handle")}
LOOSE |= {("CertPublicKeyInfo", "parameters"), ("CertKeyContext", "key_spec")}
NAMED = [
    *FIELDS,
    "CertInfo",
    "CertExtension",
    "CryptAlgorithmIdentifier",
    "CertRdnAttr",
    "CertSignedContent",
    "CrlInfo",
    "EnrollmentInfo",
    "SmartCardRootInfo",
    "HmacInfo",
    "NCryptProviderName",
    "NCryptAlgorithmName",
    "NCryptKeyName",
    "NCryptSupportedLengths",
    "NCryptUiPolicy",
]


@pytest.mark.parametrize("name", FIELDS)
def test_a_record_has_the_fields_of_its_page_in_order_with_their_defaults(name):
    kind = getattr(structs, name)
    found = {field.name: field for field in dataclasses.fields(kind)}
    assert list(found)[: len(FIELDS[name])] == list(FIELDS[name])
    for field, default in FIELDS[name].items():
        if (name, field) not in LOOSE and default is not REQUIRED:
            assert found[field].default == default, field
    for further in list(found)[len(FIELDS[name]) :]:
        assert found[further].default is not dataclasses.MISSING


@pytest.mark.parametrize("name", NAMED)
def test_every_record_is_frozen(name):
    kind = getattr(structs, name)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen


def test_card_status_is_a_named_tuple():
    assert winscard.CardStatus._fields == ("reader_names", "state", "protocol", "atr")
    assert winscard.CardStatus(["r"], 6, 2, b"x") == (["r"], 6, 2, b"x")


def test_every_field_of_cert_info_has_a_default():
    info = structs.CertInfo()
    names = {field.name for field in dataclasses.fields(info)}
    wanted = {"serial", "version", "signature_algorithm", "issuer", "subject", "not_before", "not_after", "public_key"}
    assert wanted | {"extensions"} <= names
    assert structs.CertInfo(serial=0x010203).serial_number == b"\x03\x02\x01"
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert structs.CertInfo(not_before=moment).not_before == moment
    assert info == structs.CertInfo()


RE_EXPORTED = {
    winscard: ["ReaderState", "AtrMask", "CardStatus", "SCardContext", "SCardHandle"],
    cardmod: [
        "ContainerInfo",
        "ContainerMapRecord",
        "CardCacheFile",
        "CardFreeSpaceInfo",
        "CardCapabilities",
        "CardKeySizes",
        "CardFileInfo",
        "PinInfo",
        "PinCachePolicy",
        "CardSigningInfo",
        "CardRsaDecryptInfo",
        "CardDhAgreementInfo",
        "CardDeriveKeyInfo",
        "Pkcs1PaddingInfo",
        "PssPaddingInfo",
        "OaepPaddingInfo",
        "BCryptBuffer",
        "CardData",
        "CardKey",
    ],
    crypt32: ["CryptKeyProvInfo", "CryptKeyProvParam", "CertKeyContext", "CertPublicKeyInfo", "CertInfo"],
    cspdk: ["ProvEnumAlgs", "ProvEnumAlgsEx", "HCRYPTPROV", "HCRYPTKEY", "HCRYPTHASH", "HmacInfo"],
    advapi32: ["ProvEnumAlgs", "ProvEnumAlgsEx", "HCRYPTPROV", "HCRYPTKEY", "HCRYPTHASH", "HmacInfo"],
    ncrypt: ["NCryptProviderName", "NCryptAlgorithmName", "NCryptKeyName", "NCryptSupportedLengths", "NCryptUiPolicy"],
}


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module, names in RE_EXPORTED.items() for name in names],
    ids=lambda value: value if isinstance(value, str) else value.__name__.rpartition(".")[2],
)
def test_a_face_exports_its_records(module, name):
    assert name in dir(module)
    assert getattr(structs, name, getattr(module, name)) is getattr(module, name)


# --- constants -------------------------------------------------------------------------------------------------------

WINSCARD = {
    "SCARD_SCOPE_USER": 0,
    "SCARD_SCOPE_TERMINAL": 1,
    "SCARD_SCOPE_SYSTEM": 2,
    "SCARD_ALL_READERS": "SCard$AllReaders",
    "SCARD_DEFAULT_READERS": "SCard$DefaultReaders",
    "SCARD_LOCAL_READERS": "SCard$LocalReaders",
    "SCARD_SYSTEM_READERS": "SCard$SystemReaders",
    "SCARD_SHARE_EXCLUSIVE": 1,
    "SCARD_SHARE_SHARED": 2,
    "SCARD_SHARE_DIRECT": 3,
    "SCARD_PROTOCOL_UNDEFINED": 0,
    "SCARD_PROTOCOL_T0": 1,
    "SCARD_PROTOCOL_T1": 2,
    "SCARD_PROTOCOL_Tx": 3,
    "SCARD_PROTOCOL_RAW": 0x10000,
    "SCARD_PROTOCOL_DEFAULT": 0x80000000,
    "SCARD_PROTOCOL_OPTIMAL": 0,
    "SCARD_PCI_T0": 1,
    "SCARD_PCI_T1": 2,
    "SCARD_PCI_RAW": 0x10000,
    "SCARD_LEAVE_CARD": 0,
    "SCARD_RESET_CARD": 1,
    "SCARD_UNPOWER_CARD": 2,
    "SCARD_EJECT_CARD": 3,
    "SCARD_UNKNOWN": 0,
    "SCARD_ABSENT": 1,
    "SCARD_PRESENT": 2,
    "SCARD_SWALLOWED": 3,
    "SCARD_POWERED": 4,
    "SCARD_NEGOTIABLE": 5,
    "SCARD_SPECIFIC": 6,
    "SCARD_PROVIDER_PRIMARY": 1,
    "SCARD_PROVIDER_CSP": 2,
    "SCARD_PROVIDER_KSP": 3,
    "SCARD_PROVIDER_CARD_MODULE": 0x80000001,
    "INFINITE": 0xFFFFFFFF,
    "SCARD_ATR_LENGTH": 33,
    "SCARD_AUTOALLOCATE": 0xFFFFFFFF,
    "SCARD_POWER_DOWN": 0,
    "SCARD_COLD_RESET": 1,
    "SCARD_WARM_RESET": 2,
    "IOCTL_SMARTCARD_GET_ATTRIBUTE": 0x00310008,
    "IOCTL_SMARTCARD_SET_ATTRIBUTE": 0x0031000C,
    "CM_IOCTL_GET_FEATURE_REQUEST": 0x00313520,
    "SCARD_STATE_UNAWARE": 0,
    "SCARD_STATE_IGNORE": 1,
    "SCARD_STATE_CHANGED": 2,
    "SCARD_STATE_UNKNOWN": 4,
    "SCARD_STATE_UNAVAILABLE": 8,
    "SCARD_STATE_EMPTY": 0x10,
    "SCARD_STATE_PRESENT": 0x20,
    "SCARD_STATE_ATRMATCH": 0x40,
    "SCARD_STATE_EXCLUSIVE": 0x80,
    "SCARD_STATE_INUSE": 0x100,
    "SCARD_STATE_MUTE": 0x200,
    "SCARD_STATE_UNPOWERED": 0x400,
    "SCARD_ATTR_VENDOR_NAME": 0x10100,
    "SCARD_ATTR_VENDOR_IFD_TYPE": 0x10101,
    "SCARD_ATTR_VENDOR_IFD_VERSION": 0x10102,
    "SCARD_ATTR_VENDOR_IFD_SERIAL_NO": 0x10103,
    "SCARD_ATTR_CHANNEL_ID": 0x20110,
    "SCARD_ATTR_PROTOCOL_TYPES": 0x30120,
    "SCARD_ATTR_DEFAULT_CLK": 0x30121,
    "SCARD_ATTR_MAX_CLK": 0x30122,
    "SCARD_ATTR_DEFAULT_DATA_RATE": 0x30123,
    "SCARD_ATTR_MAX_DATA_RATE": 0x30124,
    "SCARD_ATTR_MAX_IFSD": 0x30125,
    "SCARD_ATTR_POWER_MGMT_SUPPORT": 0x40131,
    "SCARD_ATTR_USER_TO_CARD_AUTH_DEVICE": 0x50140,
    "SCARD_ATTR_USER_AUTH_INPUT_DEVICE": 0x50142,
    "SCARD_ATTR_CHARACTERISTICS": 0x60150,
    "SCARD_ATTR_CURRENT_PROTOCOL_TYPE": 0x80201,
    "SCARD_ATTR_ICC_PRESENCE": 0x90300,
    "SCARD_ATTR_ICC_INTERFACE_STATUS": 0x90301,
    "SCARD_ATTR_ATR_STRING": 0x90303,
    "SCARD_ATTR_ICC_TYPE_PER_ATR": 0x90304,
    "SCARD_ATTR_ESC_RESET": 0x7A000,
    "SCARD_ATTR_ESC_CANCEL": 0x7A003,
    "SCARD_ATTR_ESC_AUTHREQUEST": 0x7A005,
    "SCARD_ATTR_MAXINPUT": 0x7A007,
    "SCARD_ATTR_DEVICE_UNIT": 0x7FFF0001,
    "SCARD_ATTR_DEVICE_IN_USE": 0x7FFF0002,
    "SCARD_ATTR_DEVICE_FRIENDLY_NAME": 0x7FFF0005,
    "SCARD_ATTR_DEVICE_FRIENDLY_NAME_A": 0x7FFF0003,
    "SCARD_ATTR_DEVICE_FRIENDLY_NAME_W": 0x7FFF0005,
    "SCARD_ATTR_DEVICE_SYSTEM_NAME": 0x7FFF0006,
    "SCARD_ATTR_DEVICE_SYSTEM_NAME_A": 0x7FFF0004,
    "SCARD_ATTR_DEVICE_SYSTEM_NAME_W": 0x7FFF0006,
    "SCARD_ATTR_SUPRESS_T1_IFS_REQUEST": 0x7FFF0007,
}
ERRORS = {
    "SCARD_S_SUCCESS": 0,
    "ERROR_FILE_NOT_FOUND": 2,
    "ERROR_ACCESS_DENIED": 5,
    "ERROR_INVALID_HANDLE": 6,
    "ERROR_ALREADY_EXISTS": 183,
    "SCARD_F_INTERNAL_ERROR": 0x80100001,
    "SCARD_E_CANCELLED": 0x80100002,
    "SCARD_E_INVALID_HANDLE": 0x80100003,
    "SCARD_E_INVALID_PARAMETER": 0x80100004,
    "SCARD_E_NO_MEMORY": 0x80100006,
    "SCARD_E_INSUFFICIENT_BUFFER": 0x80100008,
    "SCARD_E_UNKNOWN_READER": 0x80100009,
    "SCARD_E_TIMEOUT": 0x8010000A,
    "SCARD_E_SHARING_VIOLATION": 0x8010000B,
    "SCARD_E_NO_SMARTCARD": 0x8010000C,
    "SCARD_E_UNKNOWN_CARD": 0x8010000D,
    "SCARD_E_PROTO_MISMATCH": 0x8010000F,
    "SCARD_E_NOT_READY": 0x80100010,
    "SCARD_E_INVALID_VALUE": 0x80100011,
    "SCARD_E_SYSTEM_CANCELLED": 0x80100012,
    "SCARD_F_COMM_ERROR": 0x80100013,
    "SCARD_F_UNKNOWN_ERROR": 0x80100014,
    "SCARD_E_INVALID_ATR": 0x80100015,
    "SCARD_E_NOT_TRANSACTED": 0x80100016,
    "SCARD_E_READER_UNAVAILABLE": 0x80100017,
    "SCARD_E_DUPLICATE_READER": 0x8010001B,
    "SCARD_E_NO_SERVICE": 0x8010001D,
    "SCARD_E_SERVICE_STOPPED": 0x8010001E,
    "SCARD_E_UNEXPECTED": 0x8010001F,
    "SCARD_E_UNSUPPORTED_FEATURE": 0x80100022,
    "SCARD_E_DIR_NOT_FOUND": 0x80100023,
    "SCARD_E_FILE_NOT_FOUND": 0x80100024,
    "SCARD_E_NO_ACCESS": 0x80100027,
    "SCARD_E_WRITE_TOO_MANY": 0x80100028,
    "SCARD_E_INVALID_CHV": 0x8010002A,
    "SCARD_E_NO_SUCH_CERTIFICATE": 0x8010002C,
    "SCARD_E_NO_READERS_AVAILABLE": 0x8010002E,
    "SCARD_E_COMM_DATA_LOST": 0x8010002F,
    "SCARD_E_NO_KEY_CONTAINER": 0x80100030,
    "SCARD_E_PIN_CACHE_EXPIRED": 0x80100032,
    "SCARD_E_NO_PIN_CACHE": 0x80100033,
    "SCARD_E_READ_ONLY_CARD": 0x80100034,
    "SCARD_W_UNSUPPORTED_CARD": 0x80100065,
    "SCARD_W_UNRESPONSIVE_CARD": 0x80100066,
    "SCARD_W_UNPOWERED_CARD": 0x80100067,
    "SCARD_W_RESET_CARD": 0x80100068,
    "SCARD_W_REMOVED_CARD": 0x80100069,
    "SCARD_W_SECURITY_VIOLATION": 0x8010006A,
    "SCARD_W_WRONG_CHV": 0x8010006B,
    "SCARD_W_CHV_BLOCKED": 0x8010006C,
    "SCARD_W_EOF": 0x8010006D,
    "SCARD_W_CANCELLED_BY_USER": 0x8010006E,
    "SCARD_W_CARD_NOT_AUTHENTICATED": 0x8010006F,
    "SCARD_W_CACHE_ITEM_NOT_FOUND": 0x80100070,
    "SCARD_W_CACHE_ITEM_STALE": 0x80100071,
    "SCARD_W_CACHE_ITEM_TOO_BIG": 0x80100072,
}
CARDMOD = {
    "CARD_DATA_VERSION_FOUR": 4,
    "CARD_DATA_VERSION_FIVE": 5,
    "CARD_DATA_VERSION_SIX": 6,
    "CARD_DATA_VERSION_SEVEN": 7,
    "CARD_DATA_CURRENT_VERSION": 7,
    "CARD_CAPABILITIES_CURRENT_VERSION": 1,
    "CONTAINER_INFO_CURRENT_VERSION": 1,
    "CARD_FILE_INFO_CURRENT_VERSION": 1,
    "CARD_FREE_SPACE_INFO_CURRENT_VERSION": 1,
    "CARD_KEY_SIZES_CURRENT_VERSION": 1,
    "CARD_CACHE_FILE_CURRENT_VERSION": 1,
    "CARD_SIGNING_INFO_BASIC_VERSION": 1,
    "CARD_SIGNING_INFO_CURRENT_VERSION": 2,
    "CARD_RSA_KEY_DECRYPT_INFO_CURRENT_VERSION": 2,
    "CARD_DH_AGREEMENT_INFO_VERSION": 2,
    "CARD_DERIVE_KEY_VERSION": 1,
    "CARD_DERIVE_KEY_CURRENT_VERSION": 2,
    "PIN_INFO_CURRENT_VERSION": 6,
    "PIN_CACHE_POLICY_CURRENT_VERSION": 6,
    "CARD_SECURE_KEY_INJECTION_NO_CARD_MODE": 1,
    "CARD_DATA_VALUE_UNKNOWN": 0xFFFFFFFF,
    "wszCARD_USER_EVERYONE": "anonymous",
    "wszCARD_USER_USER": "user",
    "wszCARD_USER_ADMIN": "admin",
    "ROLE_EVERYONE": 0,
    "ROLE_USER": 1,
    "ROLE_ADMIN": 2,
    "MAX_PINS": 8,
    "PIN_SET_NONE": 0,
    "PIN_SET_ALL_ROLES": 0xFF,
    "AlphaNumericPinType": 0,
    "ExternalPinType": 1,
    "ChallengeResponsePinType": 2,
    "EmptyPinType": 3,
    "AuthenticationPin": 0,
    "DigitalSignaturePin": 1,
    "EncryptionPin": 2,
    "NonRepudiationPin": 3,
    "AdministratorPin": 4,
    "PrimaryCardPin": 5,
    "UnblockOnlyPin": 6,
    "PinCacheNormal": 0,
    "PinCacheTimed": 1,
    "PinCacheNone": 2,
    "PinCacheAlwaysPrompt": 3,
    "PIN_INFO_REQUIRE_SECURE_ENTRY": 1,
    "CARD_AUTHENTICATE_GENERATE_SESSION_PIN": 0x10000000,
    "CARD_AUTHENTICATE_SESSION_PIN": 0x20000000,
    "CARD_PIN_SILENT_CONTEXT": 0x40,
    "CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE": 1,
    "CARD_AUTHENTICATE_PIN_PIN": 2,
    "PIN_CHANGE_FLAG_UNBLOCK": 1,
    "PIN_CHANGE_FLAG_CHANGEPIN": 2,
    "CARD_PIN_STRENGTH_PLAINTEXT": 1,
    "CARD_PIN_STRENGTH_SESSION_PIN": 2,
    "CARD_CREATE_CONTAINER_KEY_GEN": 1,
    "CARD_CREATE_CONTAINER_KEY_IMPORT": 2,
    "AT_KEYEXCHANGE": 1,
    "AT_SIGNATURE": 2,
    "AT_ECDSA_P256": 3,
    "AT_ECDSA_P384": 4,
    "AT_ECDSA_P521": 5,
    "AT_ECDHE_P256": 6,
    "AT_ECDHE_P384": 7,
    "AT_ECDHE_P521": 8,
    "CONTAINER_MAP_VALID_CONTAINER": 1,
    "CONTAINER_MAP_DEFAULT_CONTAINER": 2,
    "MAX_CONTAINER_NAME_LEN": 39,
    "CARD_PADDING_NONE": 1,
    "CARD_PADDING_PKCS1": 2,
    "CARD_PADDING_PSS": 4,
    "CARD_PADDING_OAEP": 8,
    "CARD_PADDING_INFO_PRESENT": 0x40000000,
    "CARD_BUFFER_SIZE_ONLY": 0x20000000,
    "CARD_RETURN_KEY_HANDLE": 0x1000000,
    "KDF_USE_SECRET_AS_HMAC_KEY_FLAG": 1,
    "CALG_MD5": 0x8003,
    "CALG_SHA1": 0x8004,
    "CALG_SSL3_SHAMD5": 0x8008,
    "CALG_SHA_256": 0x800C,
    "CALG_SHA_384": 0x800D,
    "CALG_SHA_512": 0x800E,
    "CALG_RSA_SIGN": 0x2400,
    "CALG_RSA_KEYX": 0xA400,
    "CP_CACHE_MODE_GLOBAL_CACHE": 1,
    "CP_CACHE_MODE_SESSION_ONLY": 2,
    "CP_CACHE_MODE_NO_CACHE": 3,
    "CARD_KEY_IMPORT_PLAIN_TEXT": 1,
    "CARD_KEY_IMPORT_RSA_KEYEST": 2,
    "CARD_KEY_IMPORT_ECC_KEYEST": 4,
    "CARD_KEY_IMPORT_SHARED_SYMMETRIC": 8,
    "CARD_CIPHER_OPERATION": 1,
    "CARD_ASYMMETRIC_OPERATION": 2,
    "CARD_3DES_112_ALGORITHM": "3DES_112",
    "CARD_3DES_ALGORITHM": "3DES",
    "CARD_AES_ALGORITHM": "AES",
    "CARD_BLOCK_PADDING": 1,
    "CARD_CHAIN_MODE_CBC": "ChainingModeCBC",
    "szBASE_CSP_DIR": "mscp",
    "szINTERMEDIATE_CERTS_DIR": "mscerts",
    "szCACHE_FILE": "cardcf",
    "szCARD_IDENTIFIER_FILE": "cardid",
    "szCONTAINER_MAP_FILE": "cmapfile",
    "szROOT_STORE_FILE": "msroots",
    "szUSER_SIGNATURE_CERT_PREFIX": "ksc",
    "szUSER_KEYEXCHANGE_CERT_PREFIX": "kxc",
    "szUSER_SIGNATURE_PRIVATE_KEY_PREFIX": "kss",
    "szUSER_SIGNATURE_PUBLIC_KEY_PREFIX": "ksp",
    "szUSER_KEYEXCHANGE_PRIVATE_KEY_PREFIX": "kxs",
    "szUSER_KEYEXCHANGE_PUBLIC_KEY_PREFIX": "kxp",
    "InvalidAc": 0,
    "EveryoneReadUserWriteAc": 1,
    "UserWriteExecuteAc": 2,
    "EveryoneReadAdminWriteAc": 3,
    "UnknownAc": 4,
    "UserReadWriteAc": 5,
    "AdminReadWriteAc": 6,
    "InvalidDirAc": 0,
    "UserCreateDeleteDirAc": 1,
    "AdminCreateDeleteDirAc": 2,
    "ERROR_FILE_EXISTS": 80,
    "ERROR_DIR_NOT_EMPTY": 145,
    "ERROR_REVISION_MISMATCH": 1306,
    "NTE_SILENT_CONTEXT": 0x80090022,
    "CSF_IMPORT_KEYPAIR": "Import Key Pair",
    "CSF_CHANGE_AUTHENTICATOR": "Change Authenticator",
    "CSF_AUTHENTICATE": "Authenticate",
    "CP_CARD_FREE_SPACE": "Free Space",
    "CP_CARD_CAPABILITIES": "Capabilities",
    "CP_CARD_KEYSIZES": "Key Sizes",
    "CP_CARD_READ_ONLY": "Read Only Mode",
    "CP_CARD_CACHE_MODE": "Cache Mode",
    "CP_SUPPORTS_WIN_X509_ENROLLMENT": "Supports Windows x.509 Enrollment",
    "CP_CARD_GUID": "Card Identifier",
    "CP_CARD_SERIAL_NO": "Card Serial Number",
    "CP_CARD_PIN_INFO": "PIN Information",
    "CP_CARD_LIST_PINS": "PIN List",
    "CP_CARD_AUTHENTICATED_STATE": "Authenticated State",
    "CP_CARD_PIN_STRENGTH_VERIFY": "PIN Strength Verify",
    "CP_CARD_PIN_STRENGTH_CHANGE": "PIN Strength Change",
    "CP_CARD_PIN_STRENGTH_UNBLOCK": "PIN Strength Unblock",
    "CP_PARENT_WINDOW": "Parent Window",
    "CP_PIN_CONTEXT_STRING": "PIN Context String",
    "CP_KEY_IMPORT_SUPPORT": "Key Import Support",
    "CP_ENUM_ALGORITHMS": "Algorithms",
    "CP_PADDING_SCHEMES": "Padding Schemes",
    "CP_CHAINING_MODES": "Chaining Modes",
    "CCP_CONTAINER_INFO": "Container Info",
    "CCP_PIN_IDENTIFIER": "PIN Identifier",
    "CCP_ASSOCIATED_ECDH_KEY": "Associated ECDH Key",
    "CKP_CHAINING_MODE": "ChainingMode",
    "CKP_INITIALIZATION_VECTOR": "IV",
    "CKP_BLOCK_LENGTH": "BlockLength",
    "KDF_HASH_ALGORITHM": 0,
    "KDF_SECRET_PREPEND": 1,
    "KDF_SECRET_APPEND": 2,
    "KDF_HMAC_KEY": 3,
    "KDF_TLS_PRF_LABEL": 4,
    "KDF_TLS_PRF_SEED": 5,
    "KDF_SECRET_HANDLE": 6,
    "KDF_TLS_PRF_PROTOCOL": 7,
    "KDF_ALGORITHMID": 8,
    "KDF_PARTYUINFO": 9,
    "KDF_PARTYVINFO": 10,
    "KDF_SUPPPUBINFO": 11,
    "KDF_SUPPPRIVINFO": 12,
}


@pytest.mark.parametrize("name", [*WINSCARD, *ERRORS])
def test_winscard_exports_the_constants_and_codes_of_its_page(name):
    assert getattr(winscard, name) == {**WINSCARD, **ERRORS}[name]


@pytest.mark.parametrize("name", CARDMOD)
def test_cardmod_exports_the_constants_of_its_page(name):
    assert getattr(cardmod, name) == CARDMOD[name]


@pytest.mark.parametrize("name", [name for name in ERRORS if name.startswith("SCARD_")])
def test_cardmod_exports_the_errors_of_the_resource_manager_too(name):
    assert getattr(cardmod, name) == ERRORS[name]


@pytest.mark.parametrize("name", [*WINSCARD, *ERRORS, *CARDMOD])
def test_every_constant_is_in_flags_or_codes(name):
    value = {**WINSCARD, **ERRORS, **CARDMOD}[name]
    assert any(getattr(module, name, None) == value for module in (flags, codes, codes.Code))


def test_ctl_codes_are_computed():
    assert winscard.SCARD_CTL_CODE(3400) == 0x00313520
    assert winscard.SCARD_CTL_CODE(0) == 0x00310000
    assert winscard.SCARD_CTL_CODE(0x3FFF) == 0x00310000 + 4 * 0x3FFF


def test_the_macros_of_pin_sets():
    assert [cardmod.create_pin_set(number) for number in range(8)] == [1, 2, 4, 8, 16, 32, 64, 128]
    for wrong in (-1, 8):
        with pytest.raises(calais.WinError) as caught:
            cardmod.create_pin_set(wrong)
        assert caught.value.code == 0x80100004
    assert cardmod.is_pin_set(0x06, 1) is True
    assert cardmod.is_pin_set(0x06, 3) is False
    assert cardmod.set_pin(0x02, 2) == 0x06
    assert cardmod.clear_pin(0x06, 1) == 0x04
    assert cardmod.clear_pin(0x04, 1) == 0x04


# --- the error -------------------------------------------------------------------------------------------------------


def test_the_error_is_one_class_with_code_hresult_and_name():
    assert calais.WinError is errors.WinError
    error = calais.WinError(0x80090016)
    assert (error.code, error.hresult, error.name) == (0x80090016, 0x80090016 - (1 << 32), "NTE_BAD_KEYSET")
    unknown = calais.WinError(0x8ABCDEF0)
    assert unknown.code == 0x8ABCDEF0


# --- codecs ----------------------------------------------------------------------------------------------------------


def test_container_map_records_are_86_bytes():
    record = structs.ContainerMapRecord("{A}", 3, 2048, 256)
    data = structs.ContainerMapRecord.build_file([record])
    assert len(data) == 86
    assert data[:6] == "{A}".encode("utf-16le")
    assert data[80:] == bytes([3, 0]) + (2048).to_bytes(2, "little") + (256).to_bytes(2, "little")
    assert structs.ContainerMapRecord.parse_file(data) == [record]
    assert structs.ContainerMapRecord.parse_file(b"") == []


def test_the_cache_file_is_six_bytes():
    cache = structs.CardCacheFile(0, 1, 0x0203, 0x0405)
    assert cache.to_bytes() == bytes.fromhex("000103020504")
    assert structs.CardCacheFile.from_bytes(bytes.fromhex("000103020504")) == cache


def test_certificates_are_compressed_with_their_length():
    der = bytes.fromhex("3003020105") * 40
    packed = structs.compress_certificate(der)
    assert packed[:4] == b"\x01\x00" + len(der).to_bytes(2, "little")
    assert packed[4:5] == b"\x78"
    assert structs.expand_certificate(packed) == der
    assert structs.expand_certificate(der) == der


# --- names and order of parameters -----------------------------------------------------------------------------------

WINSCARD_CALLS = {
    "SCardEstablishContext": "dwScope, pvReserved1=None, pvReserved2=None, *, system=None",
    "SCardReleaseContext": "hContext",
    "SCardIsValidContext": "hContext",
    "SCardListReaderGroups": "hContext=None",
    "SCardListReaders": "hContext=None, mszGroups=None",
    "SCardIntroduceReaderGroup": "hContext, szGroupName",
    "SCardForgetReaderGroup": "hContext, szGroupName",
    "SCardIntroduceReader": "hContext, szReaderName, szDeviceName",
    "SCardForgetReader": "hContext, szReaderName",
    "SCardAddReaderToGroup": "hContext, szReaderName, szGroupName",
    "SCardRemoveReaderFromGroup": "hContext, szReaderName, szGroupName",
    "SCardGetStatusChange": "hContext, dwTimeout, rgReaderStates",
    "SCardCancel": "hContext",
    "SCardConnect": "hContext, szReader, dwShareMode, dwPreferredProtocols",
    "SCardReconnect": "hCard, dwShareMode, dwPreferredProtocols, dwInitialization",
    "SCardDisconnect": "hCard, dwDisposition",
    "SCardBeginTransaction": "hCard",
    "SCardEndTransaction": "hCard, dwDisposition",
    "SCardStatus": "hCard",
    "SCardTransmit": "hCard, pioSendPci, pbSendBuffer, pioRecvPci=None",
    "SCardControl": "hCard, dwControlCode, lpInBuffer=b''",
    "SCardGetAttrib": "hCard, dwAttrId",
    "SCardSetAttrib": "hCard, dwAttrId, pbAttr",
    "SCardListCards": "hContext=None, pbAtr=None, rgquidInterfaces=None",
    "SCardListInterfaces": "hContext, szCard",
    "SCardGetProviderId": "hContext, szCard",
    "SCardGetCardTypeProviderName": "hContext, szCardName, dwProviderId",
    "SCardSetCardTypeProviderName": "hContext, szCardName, dwProviderId, szProvider",
    "SCardIntroduceCardType": (
        "hContext, szCardName, pguidPrimaryProvider=None, rgguidInterfaces=None, pbAtr=b'', pbAtrMask=None"
    ),
    "SCardForgetCardType": "hContext, szCardName",
    "SCardLocateCards": "hContext, mszCards, rgReaderStates",
    "SCardLocateCardsByATR": "hContext, rgAtrMasks, rgReaderStates",
    "SCardReadCache": "hContext, CardIdentifier, FreshnessCounter, LookupName",
    "SCardWriteCache": "hContext, CardIdentifier, FreshnessCounter, LookupName, Data",
}


@pytest.mark.parametrize("name", WINSCARD_CALLS)
def test_parameters_of_the_resource_manager(name):
    parts = inspect.signature(getattr(winscard, name)).parameters.values()
    shown = []
    for part in parts:
        if part.kind is part.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        shown.append(part.name if part.default is part.empty else f"{part.name}={part.default!r}")
    assert ", ".join(shown) == WINSCARD_CALLS[name]


@pytest.mark.parametrize(
    "call",
    [
        winscard.SCardEstablishContext,
        advapi32.CryptAcquireContext,
        cspdk.CPAcquireContext,
        ncrypt.NCryptOpenStorageProvider,
        crypt32.CertOpenStore,
        crypt32.CertOpenSystemStore,
    ],
    ids=lambda call: call.__name__,
)
def test_every_opener_takes_the_system_by_keyword(call):
    parameter = inspect.signature(call).parameters["system"]
    assert parameter.kind is parameter.KEYWORD_ONLY
    assert parameter.default is None


@pytest.mark.parametrize("name", ["ERROR_NX_PIN_WRONG", "PP_NX_LAST_ERROR"])
def test_personal_names_are_in_flags_or_left_to_both_faces(name):
    del name
    for prefix in ("ERROR_NX_", "PP_NX_"):
        known = {each for each in dir(cspdk) if each.startswith(prefix)}
        assert known
        assert known == {each for each in dir(advapi32) if each.startswith(prefix)}
