"""Numbers of GIDS, shared by the host's edge and the virtual card; numbers only, never an encoder.

Sources: Microsoft's Generic Identity Device Specification v2.0 and the page "Windows inbox smart card minidriver" (the
card edge, file identifiers, access rules); ISO/IEC 7816-4, 7816-8 and 7816-9 (instructions, life cycle); Microsoft's
smart card minidriver specification v7.07 (logical files). Names marked "ours" are this project's: the specification
has no such thing, or nobody has published its number.

Our commands, all of the proprietary class 80:

=====================  ==========  ========================================  ===================================
command                INS P1 P2   data                                      answer
=====================  ==========  ========================================  ===================================
GENERATE SESSION PIN   50  00 80   the PIN                                   16 bytes; the card is not
                                                                             authenticated. They are presented
                                                                             with VERIFY, reference 83
IMPORT SESSION KEY     54  00 kid  80 algorithm, 81 mechanism, 86            one byte: the session key's handle
                                   cryptogram for key kid
AGREE SESSION KEY      56  00 80   80 algorithm, 81 host's 16 random bytes   handle, card's 16 random bytes
DESTROY SESSION KEY    58  00 h    none                                      none
PROCESS ENCRYPTED      5A  f  h    81 initialisation vector, 87 cryptogram   that of the command inside
=====================  ==========  ========================================  ===================================

A session key is 3DES of two or three keys, or AES; what IMPORT SESSION KEY unwraps is the key alone or a
BCRYPT_KEY_DATA_BLOB with it. AGREE SESSION KEY takes it from HMAC-SHA-256 with the admin key over ``AGREEMENT_LABEL``,
algorithm, host's and card's random bytes, a counter byte (01, 02) and again, cut to size; a 3DES key of two is K1 K2.
PROCESS ENCRYPTED decrypts, in CBC mode, one whole command APDU and does it as if it had come in clear; P1 says which
it may be, with bit 80 for padding (RFC 5652, 6.3). Session keys end with a reset or another application.

GET DATA 3FFF of ``TAG_CARD_STATUS`` is ours: 80 bytes free (4), 81 containers free (1), 82 containers at most (1),
83 tries left and at most of the admin key (2; absent without one), 84 ``STATUS_…`` (1).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

# Application
RID_MICROSOFT = bytes.fromhex("A000000397")
AID = bytes.fromhex("A000000397425446590201")  # revision 2
AID_TRUNCATED = AID[:9]  # without the revision, what Windows sends

# Instructions, ISO 7816-4, -8, -9
INS_VERIFY = 0x20
INS_MANAGE_SECURITY_ENVIRONMENT = 0x22
INS_CHANGE_REFERENCE_DATA = 0x24
INS_PERFORM_SECURITY_OPERATION = 0x2A
INS_RESET_RETRY_COUNTER = 0x2C
INS_ACTIVATE_FILE = 0x44
INS_GENERATE_KEY_PAIR = 0x47
INS_GENERAL_AUTHENTICATE = 0x87
INS_SELECT = 0xA4
INS_GET_RESPONSE = 0xC0
INS_GET_DATA = 0xCB
INS_PUT_DATA = 0xDB
INS_CREATE_FILE = 0xE0
INS_DELETE_FILE = 0xE4
INS_TERMINATE_DF = 0xE6

# Instructions, ours
CLA_PROPRIETARY = 0x80
INS_GENERATE_SESSION_PIN = 0x50
INS_IMPORT_SESSION_KEY = 0x54
INS_AGREE_SESSION_KEY = 0x56
INS_DESTROY_SESSION_KEY = 0x58
INS_PROCESS_ENCRYPTED = 0x5A

# Parameters
P1_SELECT_BY_ID = 0x00
P1_SELECT_BY_NAME = 0x04
P2_SELECT_FCI = 0x00
P2_SELECT_FCP = 0x04
P2_SELECT_FMD = 0x08
P2_SELECT_SILENT = 0x0C
P1_CHANGE_EXCHANGE = 0x00  # old and new value
P1_CHANGE_SET = 0x01  # new value
P1_RESET_BY_PUK = 0x00  # PUK and new PIN
P1_RESET_BY_ADMIN = 0x02  # new PIN
P1_MSE_SET_COMPUTE = 0x41  # computation, decipherment, internal authentication, key agreement
P1_MSE_SET_VERIFY = 0x81  # verification, encipherment, external authentication, key agreement
P1_MSE_SET_BOTH = 0xC1
P1_MSE_RESTORE = 0xF3
P1P2_SIGN = 0x9E9A
P1P2_DECIPHER = 0x8086

# Reference data
REF_PIN = 0x80
REF_PUK = 0x81
REF_DEAUTHENTICATE = 0x82  # VERIFY: give all authentication back
REF_SESSION_PIN = 0x83  # ours
PIN_MIN, PIN_MAX = 4, 16
SESSION_PIN_SIZE = 16

# File identifiers
FID_CURRENT = 0x0000
FID_MF = 0x3F00
FID_APPLICATION = 0x3FFF
FID_USER_CREATE_DELETE_DIR = 0xA000
FID_EVERYONE_READ_USER_WRITE = 0xA010
FID_USER_WRITE_EXECUTE = 0xA011
FID_EVERYONE_READ_ADMIN_WRITE = 0xA012
FID_USER_READ_WRITE = 0xA013
FID_ADMIN_READ_WRITE = 0xA014
FID_KEY = 0xB000  # + key reference

# File descriptor bytes
DESCRIPTOR_DF = 0x38
DESCRIPTOR_DATA = 0x39  # BER-TLV data objects
DESCRIPTOR_KEY = 0x18

# Keys
KID_ADMIN = 0x80
KID_FIRST, KID_LAST = 0x81, 0xFE  # key reference = 81 + container index
CONTAINERS_MAX = KID_LAST - KID_FIRST + 1

# Data field tags
TAG_TAG_LIST = 0x5C
TAG_FCP = 0x62
TAG_FMD = 0x64
TAG_FCI_APPLICATION = 0x61
TAG_AID = 0x4F
TAG_PIN_POLICY = 0x5F2F
TAG_DISCRETIONARY = 0x73
TAG_PROTOCOLS = 0x40  # in 73: authentication protocols of the admin key
TAG_READ_ONLY = 0x42  # in 73
TAG_FILE_DESCRIPTOR = 0x82
TAG_FILE_ID = 0x83
TAG_LIFE_CYCLE = 0x8A
TAG_COMPACT_ACL = 0x8C
TAG_FILE_TEMPLATES = 0xA5  # control reference templates of a key file
TAG_KEY = 0x70
TAG_KEY_REFERENCE = 0x84
TAG_KEY_VALUE_TEMPLATE = 0xA5
TAG_KEY_TYPE = 0x83
TAG_KEY_ENCRYPTION = 0x84  # reference of the key that the value is encrypted with; 00 = none
TAG_KEY_VALUE = 0x87
TAG_KEY_CHECK_VALUE = 0x88
TAG_PUBLIC_KEY = 0x7F49
TAG_RSA_MODULUS = 0x81
TAG_RSA_EXPONENT = 0x82
TAG_EC_POINT = 0x86
TAG_DYNAMIC_AUTHENTICATION = 0x7C
TAG_CHALLENGE = 0x81
TAG_RESPONSE = 0x82
TAG_PEER_POINT = 0x85
TAG_ALGORITHM = 0x80
TAG_CRT_REFERENCE = 0x83
TAG_CRT_PRIVATE_REFERENCE = 0x84
TAG_CRT_USAGE = 0x95
TAG_CRT_AUTHENTICATION = 0xA4
TAG_CRT_AGREEMENT = 0xA6
TAG_CRT_GENERATION = 0xAC
TAG_CRT_SIGNATURE = 0xB6
TAG_CRT_CONFIDENTIALITY = 0xB8
TAG_PIN_STATUS = 0x7F71
TAG_PUK_STATUS = 0x7F73
TAG_TRIES_LEFT = 0x97
TAG_TRIES_MAX = 0x93
TAG_CARD_STATUS = 0xDF7E  # ours
TAG_STATUS_BYTES_FREE = 0x80
TAG_STATUS_CONTAINERS_FREE = 0x81
TAG_STATUS_CONTAINERS_MAX = 0x82
TAG_STATUS_ADMIN_TRIES = 0x83
TAG_STATUS_FLAGS = 0x84
TAG_SESSION_ALGORITHM = 0x80  # ours, IMPORT and AGREE SESSION KEY
TAG_SESSION_MECHANISM = 0x81
TAG_SESSION_CRYPTOGRAM = 0x86
TAG_SESSION_RANDOM = 0x81
TAG_ENCRYPTED_VECTOR = 0x81  # ours, PROCESS ENCRYPTED
TAG_ENCRYPTED_DATA = 0x87

PIN_POLICY_LOCAL = 0x40  # 5F2F: the PIN of this application
USAGE_COMPUTE = 0x40
USAGE_AUTHENTICATE = 0xC0
PROTOCOL_EXTERNAL, PROTOCOL_MUTUAL = 0x80, 0x40
READ_ONLY = 0x80


class LifeCycle(IntEnum):
    """Of the application and of each file (ISO 7816-4, 7.4.10)."""

    CREATION = 0x01
    INITIALISATION = 0x03
    OPERATIONAL = 0x07
    TERMINATED = 0x0F


class CardStatus(IntFlag):
    """The flags of our card status object."""

    READ_ONLY = 1
    SESSION_PINS = 2
    KEY_INJECTION = 4
    CONTACTLESS = 8


class Algorithm(IntEnum):
    """Low half of a cryptographic mechanism identifier; 02 and 03 are those of the admin key."""

    TDES = 0x02
    AES = 0x03  # ours
    RSA_1024 = 0x06
    RSA_2048 = 0x07
    RSA_3072 = 0x08
    RSA_4096 = 0x09
    P192 = 0x0A
    P224 = 0x0B
    P256 = 0x0C
    P384 = 0x0D
    P521 = 0x0E


class Mechanism(IntEnum):
    """High half of a cryptographic mechanism identifier."""

    RAW = 0x00  # RSA decipherment; EC key agreement
    OFF_CARD = 0x10  # signature: RSA padding, or the hash that ECDSA signs, made by the host
    PKCS1_DECIPHER = 0x40
    PKCS1_SIGN = 0x50
    OAEP = 0x80  # with SHA-1


ALGORITHM_MASK, MECHANISM_MASK = 0x0F, 0xF0

# What key files declare, in this order: the use (template) and the high half of the mechanism. EC: ours
MECHANISMS_RSA_EXCHANGE = (
    (TAG_CRT_CONFIDENTIALITY, Mechanism.RAW),
    (TAG_CRT_CONFIDENTIALITY, Mechanism.OAEP),
    (TAG_CRT_CONFIDENTIALITY, Mechanism.PKCS1_DECIPHER),
    (TAG_CRT_SIGNATURE, Mechanism.OFF_CARD),
    (TAG_CRT_SIGNATURE, Mechanism.PKCS1_SIGN),
)
MECHANISMS_RSA_SIGNATURE = (
    (TAG_CRT_SIGNATURE, Mechanism.OFF_CARD),
    (TAG_CRT_SIGNATURE, Mechanism.PKCS1_SIGN),
)
MECHANISMS_EC_EXCHANGE = ((TAG_CRT_AGREEMENT, Mechanism.RAW), (TAG_CRT_SIGNATURE, Mechanism.OFF_CARD))
MECHANISMS_EC_SIGNATURE = ((TAG_CRT_SIGNATURE, Mechanism.OFF_CARD),)

RSA_BITS: dict[int, int] = {
    Algorithm.RSA_1024: 1024,
    Algorithm.RSA_2048: 2048,
    Algorithm.RSA_3072: 3072,
    Algorithm.RSA_4096: 4096,
}
EC_BITS: dict[int, int] = {Algorithm.P256: 256, Algorithm.P384: 384, Algorithm.P521: 521}
ADMIN_KEY_BYTES: dict[int, tuple[int, ...]] = {Algorithm.TDES: (24,), Algorithm.AES: (16, 24, 32)}
BLOCK_BYTES: dict[int, int] = {Algorithm.TDES: 8, Algorithm.AES: 16}
RANDOM_BYTES = 16  # R1 and R2 of mutual authentication
PADDING_END = 0x80  # last byte of Z1 and Z2


class KeyType(IntEnum):
    """Tag 83 of an imported key."""

    SYMMETRIC = 1
    RSA = 2
    EC = 3  # ours; the value is an ECPrivateKey (RFC 5915)


class Usage(IntEnum):
    """Key type in the key map."""

    KEY_EXCHANGE = 0x9A
    SIGNATURE = 0x9C


# Compact access rules: access mode byte, then one security condition for each bit set, from bit 6 to bit 0.
# With bit 7 of a key's access mode, the low bits have GIDS' own meaning.
AM_PROPRIETARY = 0x80
AM_DELETE = 0x40
AM_TERMINATE = 0x20
AM_ACTIVATE = 0x10
AM_DF_CREATE_FILE = 0x02
AM_DF_DELETE_CHILD = 0x01
AM_DATA_PUT = 0x02
AM_DATA_GET = 0x01
AM_KEY_GENERATE = 0x08
AM_KEY_USE = 0x04
AM_KEY_PUT = 0x02
AM_KEY_GET_PUBLIC = 0x01
SC_ALWAYS = 0x00
SC_NEVER = 0xFF
SC_ALL = 0x80  # all that is named, not one of it
SC_SECURE_MESSAGING = 0x40
SC_ADMIN = 0x20
SC_USER = 0x10
SC_INTERFACE = 0x0F
SC_CONTACT, SC_CONTACTLESS = 0x01, 0x02

# Files of the minidriver: EF and data object of each
MASTER_FILE = (FID_USER_CREATE_DELETE_DIR, 0xDF1F)
KEY_MAP = (FID_USER_CREATE_DELETE_DIR, 0xDF20)
CARD_ID = (FID_EVERYONE_READ_ADMIN_WRITE, 0xDF20)
CARD_APPLICATIONS = (FID_EVERYONE_READ_USER_WRITE, 0xDF21)
CARD_CACHE = (FID_EVERYONE_READ_USER_WRITE, 0xDF22)
CONTAINER_MAP = (FID_EVERYONE_READ_USER_WRITE, 0xDF23)
TAG_FILE_FIRST, TAG_FILE_LAST = 0xDF21, 0xDFFF  # where a new file's data object is looked for

MASTER_VERSION = 1  # first byte of the master file
MASTER_NAME_SIZE = 9  # directory, file: NUL padded
MASTER_RECORD_SIZE = 28  # two names, two zero bytes, data object and EF as 32-bit little-endian numbers
KEY_MAP_VERSION = 1
KEY_MAP_RECORD_SIZE = 12  # state (4, little-endian), algorithm, usage, EF (2), FFFF, 0000
KEY_MAP_USED = 1
KEY_MAP_NOTHING = 0xFFFF
CONTAINER_RECORD_SIZE = 86
CARD_ID_SIZE = 16

# Secure key injection, ours
FUNCTION_IMPORT_KEY = 0x01
FUNCTION_CHANGE_AUTHENTICATOR = 0x02
FUNCTION_AUTHENTICATE = 0x03
FUNCTION_PADDED = 0x80


class SessionAlgorithm(IntEnum):
    """Of a session key."""

    TDES = 1  # 24 bytes
    TDES_112 = 2  # 16 bytes
    AES = 3  # 16, 24 or 32 bytes; AGREE SESSION KEY makes 32


SESSION_KEY_BYTES: dict[int, tuple[int, ...]] = {
    SessionAlgorithm.TDES: (24,),
    SessionAlgorithm.TDES_112: (16,),
    SessionAlgorithm.AES: (32, 16, 24),  # the first is what AGREE SESSION KEY makes
}
SESSION_KEYS_MAX = 4
SESSION_RANDOM_BYTES = 16
AGREEMENT_LABEL = b"Calais GIDS session key"
KEY_DATA_BLOB_MAGIC = 0x4D42444B  # BCRYPT_KEY_DATA_BLOB: magic, version 1, length, key

# Retry counters of a new card
PIN_TRIES = 3
PUK_TRIES = 3
ADMIN_TRIES = 5
SESSION_PIN_TRIES = 3
