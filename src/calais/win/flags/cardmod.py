"""Card modules. Source: cardmod.h; the smart card minidriver specification, version 7.07."""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum
from typing import Final

from calais.win.flags.base import OpenEnum
from calais.win.flags.wincrypt import AT_KEYEXCHANGE, AT_SIGNATURE

# Versions of the interface and of its records.

CARD_DATA_VERSION_FOUR: Final = 4
CARD_DATA_VERSION_FIVE: Final = 5
CARD_DATA_VERSION_SIX: Final = 6
CARD_DATA_VERSION_SEVEN: Final = 7
CARD_DATA_CURRENT_VERSION: Final = CARD_DATA_VERSION_SEVEN
CARD_CAPABILITIES_CURRENT_VERSION: Final = 1
CONTAINER_INFO_CURRENT_VERSION: Final = 1
CARD_FILE_INFO_CURRENT_VERSION: Final = 1
CARD_FREE_SPACE_INFO_CURRENT_VERSION: Final = 1
CARD_KEY_SIZES_CURRENT_VERSION: Final = 1
CARD_CACHE_FILE_CURRENT_VERSION: Final = 1
CARD_SIGNING_INFO_BASIC_VERSION: Final = 1
CARD_SIGNING_INFO_CURRENT_VERSION: Final = 2
CARD_RSA_KEY_DECRYPT_INFO_VERSION_ONE: Final = 1
CARD_RSA_KEY_DECRYPT_INFO_CURRENT_VERSION: Final = 2
CARD_DH_AGREEMENT_INFO_VERSION: Final = 2
CARD_DERIVE_KEY_VERSION: Final = 1
CARD_DERIVE_KEY_CURRENT_VERSION: Final = 2
PIN_INFO_CURRENT_VERSION: Final = 6
PIN_CACHE_POLICY_CURRENT_VERSION: Final = 6
CARD_IMPORT_KEYPAIR_VERSION_SEVEN: Final = 7
CARD_IMPORT_KEYPAIR_CURRENT_VERSION: Final = 7
CARD_CHANGE_AUTHENTICATOR_VERSION_SEVEN: Final = 7
CARD_CHANGE_AUTHENTICATOR_CURRENT_VERSION: Final = 7
CARD_CHANGE_AUTHENTICATOR_RESPONSE_CURRENT_VERSION: Final = 7
CARD_AUTHENTICATE_VERSION_SEVEN: Final = 7
CARD_AUTHENTICATE_CURRENT_VERSION: Final = 7
CARD_AUTHENTICATE_RESPONSE_CURRENT_VERSION: Final = 7

# CardAcquireContext, and the number that stands for "not known".

CARD_SECURE_KEY_INJECTION_NO_CARD_MODE: Final = 0x1
CARD_DATA_VALUE_UNKNOWN: Final = 0xFFFFFFFF


class UserName(StrEnum):
    """wszCARD_USER_*: users by name."""

    EVERYONE = "anonymous"
    USER = "user"
    ADMIN = "admin"


wszCARD_USER_EVERYONE: Final = UserName.EVERYONE
wszCARD_USER_USER: Final = UserName.USER
wszCARD_USER_ADMIN: Final = UserName.ADMIN

ROLE_EVERYONE: Final = 0
ROLE_USER: Final = 1
ROLE_ADMIN: Final = 2


class PinId(OpenEnum):
    """ROLE_*: PIN ids with a fixed meaning; 3 to 7 belong to the card."""

    EVERYONE = ROLE_EVERYONE
    USER = ROLE_USER
    ADMIN = ROLE_ADMIN


# Sets of PINs: bit ``1 << id``.

MAX_PINS: Final = 8
PIN_SET_NONE: Final = 0x00
PIN_SET_ALL_ROLES: Final = 0xFF

AlphaNumericPinType: Final = 0
ExternalPinType: Final = 1
ChallengeResponsePinType: Final = 2
EmptyPinType: Final = 3


class SecretType(IntEnum):
    """SECRET_TYPE: what kind of secret a PIN is."""

    ALPHANUMERIC = AlphaNumericPinType
    EXTERNAL = ExternalPinType
    CHALLENGE_RESPONSE = ChallengeResponsePinType
    EMPTY = EmptyPinType


AuthenticationPin: Final = 0
DigitalSignaturePin: Final = 1
EncryptionPin: Final = 2
NonRepudiationPin: Final = 3
AdministratorPin: Final = 4
PrimaryCardPin: Final = 5
UnblockOnlyPin: Final = 6


class SecretPurpose(IntEnum):
    """SECRET_PURPOSE: what a PIN is for."""

    AUTHENTICATION = AuthenticationPin
    DIGITAL_SIGNATURE = DigitalSignaturePin
    ENCRYPTION = EncryptionPin
    NON_REPUDIATION = NonRepudiationPin
    ADMINISTRATOR = AdministratorPin
    PRIMARY_CARD = PrimaryCardPin
    UNBLOCK_ONLY = UnblockOnlyPin


PinCacheNormal: Final = 0
PinCacheTimed: Final = 1
PinCacheNone: Final = 2
PinCacheAlwaysPrompt: Final = 3


class PinCachePolicyType(IntEnum):
    """PIN_CACHE_POLICY_TYPE: how long a PIN may be kept."""

    NORMAL = PinCacheNormal
    TIMED = PinCacheTimed
    NONE = PinCacheNone
    ALWAYS_PROMPT = PinCacheAlwaysPrompt


# Flags of PIN_INFO.

PIN_INFO_REQUIRE_SECURE_ENTRY: Final = 0x1

CARD_PIN_SILENT_CONTEXT: Final = 0x40
CARD_AUTHENTICATE_GENERATE_SESSION_PIN: Final = 0x10000000
CARD_AUTHENTICATE_SESSION_PIN: Final = 0x20000000


class AuthenticateFlag(IntFlag):
    """Flags of CardAuthenticateEx."""

    SILENT_CONTEXT = CARD_PIN_SILENT_CONTEXT
    GENERATE_SESSION_PIN = CARD_AUTHENTICATE_GENERATE_SESSION_PIN
    SESSION_PIN = CARD_AUTHENTICATE_SESSION_PIN


CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE: Final = 1
CARD_AUTHENTICATE_PIN_PIN: Final = 2


class AuthenticationMethod(IntEnum):
    """How CardUnblockPin and CardChangeAuthenticator are authorised."""

    CHALLENGE_RESPONSE = CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE
    PIN = CARD_AUTHENTICATE_PIN_PIN


PIN_CHANGE_FLAG_UNBLOCK: Final = 0x1
PIN_CHANGE_FLAG_CHANGEPIN: Final = 0x2


class PinChangeFlag(IntFlag):
    """Flags of CardChangeAuthenticatorEx."""

    UNBLOCK = PIN_CHANGE_FLAG_UNBLOCK
    CHANGEPIN = PIN_CHANGE_FLAG_CHANGEPIN


CARD_PIN_STRENGTH_PLAINTEXT: Final = 0x1
CARD_PIN_STRENGTH_SESSION_PIN: Final = 0x2


class PinStrength(IntFlag):
    """CARD_PIN_STRENGTH_*: in which forms a PIN may be given."""

    PLAINTEXT = CARD_PIN_STRENGTH_PLAINTEXT
    SESSION_PIN = CARD_PIN_STRENGTH_SESSION_PIN


CARD_CREATE_CONTAINER_KEY_GEN: Final = 0x1
CARD_CREATE_CONTAINER_KEY_IMPORT: Final = 0x2


class CreateContainerFlag(IntFlag):
    """Flags of CardCreateContainer."""

    KEY_GEN = CARD_CREATE_CONTAINER_KEY_GEN
    KEY_IMPORT = CARD_CREATE_CONTAINER_KEY_IMPORT


AT_ECDSA_P256: Final = 3
AT_ECDSA_P384: Final = 4
AT_ECDSA_P521: Final = 5
AT_ECDHE_P256: Final = 6
AT_ECDHE_P384: Final = 7
AT_ECDHE_P521: Final = 8


class KeySpec(IntEnum):
    """AT_*: the slot of a container and the kind of its key."""

    KEYEXCHANGE = AT_KEYEXCHANGE
    SIGNATURE = AT_SIGNATURE
    ECDSA_P256 = AT_ECDSA_P256
    ECDSA_P384 = AT_ECDSA_P384
    ECDSA_P521 = AT_ECDSA_P521
    ECDHE_P256 = AT_ECDHE_P256
    ECDHE_P384 = AT_ECDHE_P384
    ECDHE_P521 = AT_ECDHE_P521


CONTAINER_MAP_VALID_CONTAINER: Final = 0x1
CONTAINER_MAP_DEFAULT_CONTAINER: Final = 0x2


class ContainerMapFlag(IntFlag):
    """Flags of a CONTAINER_MAP_RECORD; a default container is a valid one."""

    VALID = CONTAINER_MAP_VALID_CONTAINER
    DEFAULT = CONTAINER_MAP_DEFAULT_CONTAINER


# Length of a container name, without its terminator.

MAX_CONTAINER_NAME_LEN: Final = 39

CARD_PADDING_NONE: Final = 0x1
CARD_PADDING_PKCS1: Final = 0x2
CARD_PADDING_PSS: Final = 0x4
CARD_PADDING_OAEP: Final = 0x8


class CardPadding(IntFlag):
    """CARD_PADDING_*: how RSA pads."""

    NONE = CARD_PADDING_NONE
    PKCS1 = CARD_PADDING_PKCS1
    PSS = CARD_PADDING_PSS
    OAEP = CARD_PADDING_OAEP


CARD_RETURN_KEY_HANDLE: Final = 0x1000000
CARD_BUFFER_SIZE_ONLY: Final = 0x20000000
CARD_PADDING_INFO_PRESENT: Final = 0x40000000


class SigningFlag(IntFlag):
    """Flags of CardSignData and CardDeriveKey."""

    RETURN_KEY_HANDLE = CARD_RETURN_KEY_HANDLE
    BUFFER_SIZE_ONLY = CARD_BUFFER_SIZE_ONLY
    PADDING_INFO_PRESENT = CARD_PADDING_INFO_PRESENT


InvalidAc: Final = 0
EveryoneReadUserWriteAc: Final = 1
UserWriteExecuteAc: Final = 2
EveryoneReadAdminWriteAc: Final = 3
UnknownAc: Final = 4
UserReadWriteAc: Final = 5
AdminReadWriteAc: Final = 6


class FileAccessCondition(IntEnum):
    """CARD_FILE_ACCESS_CONDITION: who may do what with a file."""

    INVALID = InvalidAc
    EVERYONE_READ_USER_WRITE = EveryoneReadUserWriteAc
    USER_WRITE_EXECUTE = UserWriteExecuteAc
    EVERYONE_READ_ADMIN_WRITE = EveryoneReadAdminWriteAc
    UNKNOWN = UnknownAc
    USER_READ_WRITE = UserReadWriteAc
    ADMIN_READ_WRITE = AdminReadWriteAc


InvalidDirAc: Final = 0
UserCreateDeleteDirAc: Final = 1
AdminCreateDeleteDirAc: Final = 2


class DirectoryAccessCondition(IntEnum):
    """CARD_DIRECTORY_ACCESS_CONDITION: who may create and delete in a directory."""

    INVALID = InvalidDirAc
    USER_CREATE_DELETE = UserCreateDeleteDirAc
    ADMIN_CREATE_DELETE = AdminCreateDeleteDirAc


class CardProperty(StrEnum):
    """CP_*: properties of a card."""

    CARD_FREE_SPACE = "Free Space"
    CARD_CAPABILITIES = "Capabilities"
    CARD_KEYSIZES = "Key Sizes"
    CARD_READ_ONLY = "Read Only Mode"
    CARD_CACHE_MODE = "Cache Mode"
    SUPPORTS_WIN_X509_ENROLLMENT = "Supports Windows x.509 Enrollment"
    CARD_GUID = "Card Identifier"
    CARD_SERIAL_NO = "Card Serial Number"
    CARD_PIN_INFO = "PIN Information"
    CARD_LIST_PINS = "PIN List"
    CARD_AUTHENTICATED_STATE = "Authenticated State"
    CARD_PIN_STRENGTH_VERIFY = "PIN Strength Verify"
    CARD_PIN_STRENGTH_CHANGE = "PIN Strength Change"
    CARD_PIN_STRENGTH_UNBLOCK = "PIN Strength Unblock"
    PARENT_WINDOW = "Parent Window"
    PIN_CONTEXT_STRING = "PIN Context String"
    KEY_IMPORT_SUPPORT = "Key Import Support"
    ENUM_ALGORITHMS = "Algorithms"
    PADDING_SCHEMES = "Padding Schemes"
    CHAINING_MODES = "Chaining Modes"


CP_CARD_FREE_SPACE: Final = CardProperty.CARD_FREE_SPACE
CP_CARD_CAPABILITIES: Final = CardProperty.CARD_CAPABILITIES
CP_CARD_KEYSIZES: Final = CardProperty.CARD_KEYSIZES
CP_CARD_READ_ONLY: Final = CardProperty.CARD_READ_ONLY
CP_CARD_CACHE_MODE: Final = CardProperty.CARD_CACHE_MODE
CP_SUPPORTS_WIN_X509_ENROLLMENT: Final = CardProperty.SUPPORTS_WIN_X509_ENROLLMENT
CP_CARD_GUID: Final = CardProperty.CARD_GUID
CP_CARD_SERIAL_NO: Final = CardProperty.CARD_SERIAL_NO
CP_CARD_PIN_INFO: Final = CardProperty.CARD_PIN_INFO
CP_CARD_LIST_PINS: Final = CardProperty.CARD_LIST_PINS
CP_CARD_AUTHENTICATED_STATE: Final = CardProperty.CARD_AUTHENTICATED_STATE
CP_CARD_PIN_STRENGTH_VERIFY: Final = CardProperty.CARD_PIN_STRENGTH_VERIFY
CP_CARD_PIN_STRENGTH_CHANGE: Final = CardProperty.CARD_PIN_STRENGTH_CHANGE
CP_CARD_PIN_STRENGTH_UNBLOCK: Final = CardProperty.CARD_PIN_STRENGTH_UNBLOCK
CP_PARENT_WINDOW: Final = CardProperty.PARENT_WINDOW
CP_PIN_CONTEXT_STRING: Final = CardProperty.PIN_CONTEXT_STRING
CP_KEY_IMPORT_SUPPORT: Final = CardProperty.KEY_IMPORT_SUPPORT
CP_ENUM_ALGORITHMS: Final = CardProperty.ENUM_ALGORITHMS
CP_PADDING_SCHEMES: Final = CardProperty.PADDING_SCHEMES
CP_CHAINING_MODES: Final = CardProperty.CHAINING_MODES


class ContainerProperty(StrEnum):
    """CCP_*: properties of a container."""

    CONTAINER_INFO = "Container Info"
    PIN_IDENTIFIER = "PIN Identifier"
    ASSOCIATED_ECDH_KEY = "Associated ECDH Key"


CCP_CONTAINER_INFO: Final = ContainerProperty.CONTAINER_INFO
CCP_PIN_IDENTIFIER: Final = ContainerProperty.PIN_IDENTIFIER
CCP_ASSOCIATED_ECDH_KEY: Final = ContainerProperty.ASSOCIATED_ECDH_KEY


class CardKeyProperty(StrEnum):
    """CKP_*: properties of a session key on the card."""

    CHAINING_MODE = "ChainingMode"
    INITIALIZATION_VECTOR = "IV"
    BLOCK_LENGTH = "BlockLength"


CKP_CHAINING_MODE: Final = CardKeyProperty.CHAINING_MODE
CKP_INITIALIZATION_VECTOR: Final = CardKeyProperty.INITIALIZATION_VECTOR
CKP_BLOCK_LENGTH: Final = CardKeyProperty.BLOCK_LENGTH


class SecureFunction(StrEnum):
    """CSF_*: functions that take encrypted data."""

    IMPORT_KEYPAIR = "Import Key Pair"
    CHANGE_AUTHENTICATOR = "Change Authenticator"
    AUTHENTICATE = "Authenticate"


CSF_IMPORT_KEYPAIR: Final = SecureFunction.IMPORT_KEYPAIR
CSF_CHANGE_AUTHENTICATOR: Final = SecureFunction.CHANGE_AUTHENTICATOR
CSF_AUTHENTICATE: Final = SecureFunction.AUTHENTICATE

CP_CACHE_MODE_GLOBAL_CACHE: Final = 1
CP_CACHE_MODE_SESSION_ONLY: Final = 2
CP_CACHE_MODE_NO_CACHE: Final = 3


class CacheMode(IntEnum):
    """CP_CACHE_MODE_*: how far what was read from the card may be kept."""

    GLOBAL_CACHE = CP_CACHE_MODE_GLOBAL_CACHE
    SESSION_ONLY = CP_CACHE_MODE_SESSION_ONLY
    NO_CACHE = CP_CACHE_MODE_NO_CACHE


CARD_KEY_IMPORT_PLAIN_TEXT: Final = 0x1
CARD_KEY_IMPORT_RSA_KEYEST: Final = 0x2
CARD_KEY_IMPORT_ECC_KEYEST: Final = 0x4
CARD_KEY_IMPORT_SHARED_SYMMETRIC: Final = 0x8


class KeyImport(IntFlag):
    """CARD_KEY_IMPORT_*: value of CP_KEY_IMPORT_SUPPORT."""

    PLAIN_TEXT = CARD_KEY_IMPORT_PLAIN_TEXT
    RSA_KEYEST = CARD_KEY_IMPORT_RSA_KEYEST
    ECC_KEYEST = CARD_KEY_IMPORT_ECC_KEYEST
    SHARED_SYMMETRIC = CARD_KEY_IMPORT_SHARED_SYMMETRIC


CARD_CIPHER_OPERATION: Final = 0x1
CARD_ASYMMETRIC_OPERATION: Final = 0x2


class CardOperation(IntFlag):
    """Which algorithms CP_ENUM_ALGORITHMS lists."""

    CIPHER = CARD_CIPHER_OPERATION
    ASYMMETRIC = CARD_ASYMMETRIC_OPERATION


class CardAlgorithm(StrEnum):
    """Algorithms of session keys."""

    DES3_112 = "3DES_112"
    DES3 = "3DES"
    AES = "AES"


CARD_3DES_112_ALGORITHM: Final = CardAlgorithm.DES3_112
CARD_3DES_ALGORITHM: Final = CardAlgorithm.DES3
CARD_AES_ALGORITHM: Final = CardAlgorithm.AES

# Modes of session keys.

CARD_BLOCK_PADDING: Final = 0x1
CARD_CHAIN_MODE_CBC: Final = "ChainingModeCBC"


class CardFileName(StrEnum):
    """Names of files and directories, and prefixes of them."""

    BASE_CSP_DIR = "mscp"
    INTERMEDIATE_CERTS_DIR = "mscerts"
    CACHE_FILE = "cardcf"
    CARD_IDENTIFIER_FILE = "cardid"
    CONTAINER_MAP_FILE = "cmapfile"
    ROOT_STORE_FILE = "msroots"
    USER_SIGNATURE_CERT_PREFIX = "ksc"
    USER_KEYEXCHANGE_CERT_PREFIX = "kxc"
    USER_SIGNATURE_PRIVATE_KEY_PREFIX = "kss"
    USER_SIGNATURE_PUBLIC_KEY_PREFIX = "ksp"
    USER_KEYEXCHANGE_PRIVATE_KEY_PREFIX = "kxs"
    USER_KEYEXCHANGE_PUBLIC_KEY_PREFIX = "kxp"


szBASE_CSP_DIR: Final = CardFileName.BASE_CSP_DIR
szINTERMEDIATE_CERTS_DIR: Final = CardFileName.INTERMEDIATE_CERTS_DIR
szCACHE_FILE: Final = CardFileName.CACHE_FILE
szCARD_IDENTIFIER_FILE: Final = CardFileName.CARD_IDENTIFIER_FILE
szCONTAINER_MAP_FILE: Final = CardFileName.CONTAINER_MAP_FILE
szROOT_STORE_FILE: Final = CardFileName.ROOT_STORE_FILE
szUSER_SIGNATURE_CERT_PREFIX: Final = CardFileName.USER_SIGNATURE_CERT_PREFIX
szUSER_KEYEXCHANGE_CERT_PREFIX: Final = CardFileName.USER_KEYEXCHANGE_CERT_PREFIX
szUSER_SIGNATURE_PRIVATE_KEY_PREFIX: Final = CardFileName.USER_SIGNATURE_PRIVATE_KEY_PREFIX
szUSER_SIGNATURE_PUBLIC_KEY_PREFIX: Final = CardFileName.USER_SIGNATURE_PUBLIC_KEY_PREFIX
szUSER_KEYEXCHANGE_PRIVATE_KEY_PREFIX: Final = CardFileName.USER_KEYEXCHANGE_PRIVATE_KEY_PREFIX
szUSER_KEYEXCHANGE_PUBLIC_KEY_PREFIX: Final = CardFileName.USER_KEYEXCHANGE_PUBLIC_KEY_PREFIX
