"""Numbers of PIV, shared by the host's edge and the virtual card; numbers only, never an encoder.

Sources: SP 800-73-4 part 1 (objects, table 2-3; key references, table 4b), part 2 (commands, clause 3);
SP 800-78-4 (algorithm identifiers, tables 6-2 and 6-3); Yubico "PIV commands" (the extensions marked Yubico).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

# Application identifiers, SP 800-73-4 part 1, 2.2
RID_NIST = bytes.fromhex("A000000308")
AID = bytes.fromhex("A000000308000010000100")
AID_TRUNCATED = AID[:9]  # right-truncated: without the version, what Windows sends
PIX = AID[5:]

# Instructions, SP 800-73-4 part 2, 3.1 to 3.3
INS_VERIFY = 0x20
INS_CHANGE_REFERENCE_DATA = 0x24
INS_RESET_RETRY_COUNTER = 0x2C
INS_GENERATE_ASYMMETRIC = 0x47
INS_GENERAL_AUTHENTICATE = 0x87
INS_SELECT = 0xA4
INS_GET_RESPONSE = 0xC0
INS_GET_DATA = 0xCB
INS_PUT_DATA = 0xDB

# Instructions, Yubico
INS_MOVE_KEY = 0xF6  # P1 = target slot, P2 = source slot
INS_GET_METADATA = 0xF7  # P2 = slot, PIN, PUK or management key
INS_GET_SERIAL = 0xF8
INS_ATTEST = 0xF9  # P1 = slot
INS_SET_RETRIES = 0xFA  # P1 = PIN tries, P2 = PUK tries
INS_RESET = 0xFB
INS_GET_VERSION = 0xFD
INS_IMPORT_KEY = 0xFE  # P1 = algorithm, P2 = slot
INS_SET_MANAGEMENT_KEY = 0xFF  # P1 = FF, P2 = FF or FE

# Parameters
P1_SELECT_BY_NAME = 0x04
P1_VERIFY = 0x00
P1_VERIFY_RESET_STATUS = 0xFF  # SP 800-73-4 part 2, 3.2.1
P1P2_DATA_OBJECT = 0x3FFF  # GET DATA and PUT DATA
P1_MOVE_KEY_DELETE = 0xFF  # Yubico
P1_SET_MANAGEMENT_KEY = 0xFF  # Yubico
P2_SET_MANAGEMENT_KEY = 0xFF  # Yubico
P2_SET_MANAGEMENT_KEY_TOUCH = 0xFE  # Yubico

# Data field tags
TAG_TAG_LIST = 0x5C  # GET DATA, PUT DATA
TAG_DATA = 0x53
TAG_APPLICATION_TEMPLATE = 0x61  # answer to SELECT, part 2, 3.1.1
TAG_AID = 0x4F
TAG_COEXISTENT = 0x79
TAG_APPLICATION_LABEL = 0x50
TAG_APPLICATION_URL = 0x5F50
TAG_ALGORITHMS = 0xAC  # answer to SELECT; also control reference template of GENERATE
TAG_ALGORITHM = 0x80
TAG_OBJECT_IDENTIFIER = 0x06
TAG_EXPONENT = 0x81  # GENERATE, RSA public exponent
TAG_PIN_POLICY = 0xAA  # Yubico
TAG_TOUCH_POLICY = 0xAB  # Yubico
TAG_PUBLIC_KEY = 0x7F49
TAG_RSA_MODULUS = 0x81
TAG_RSA_EXPONENT = 0x82
TAG_EC_POINT = 0x86
TAG_DYNAMIC_AUTHENTICATION = 0x7C  # part 2, 3.2.4
TAG_WITNESS = 0x80
TAG_CHALLENGE = 0x81
TAG_RESPONSE = 0x82
TAG_EXPONENTIATION = 0x85

# Tags inside objects, SP 800-73-4 part 1, appendix A
TAG_CERTIFICATE = 0x70
TAG_CERT_INFO = 0x71
TAG_MSCUID = 0x72
TAG_ERROR_DETECTION = 0xFE
CERT_INFO_PLAIN = 0x00
CERT_INFO_GZIP = 0x01
TAG_CHUID_FASC_N = 0x30
TAG_CHUID_GUID = 0x34
TAG_CHUID_EXPIRATION = 0x35  # 8 ASCII digits YYYYMMDD
TAG_CHUID_CARDHOLDER_UUID = 0x36
TAG_CHUID_SIGNATURE = 0x3E
TAG_CCC_IDENTIFIER = 0xF0
TAG_CCC_VERSION = 0xF1
TAG_CCC_GRAMMAR = 0xF2
TAG_CCC_CARD_URL = 0xF3
TAG_CCC_PKCS15 = 0xF4
TAG_CCC_DATA_MODEL = 0xF5
TAG_CCC_ACR_TABLE = 0xF6
TAG_CCC_APDUS = 0xF7
TAG_CCC_REDIRECTION = 0xFA
TAG_CCC_CAPABILITIES = 0xFB
TAG_CCC_STATUS = 0xFC
TAG_CCC_NEXT = 0xFD
TAG_PIN_USAGE_POLICY = 0x5F2F  # Discovery, two bytes
TAG_KEY_HISTORY_ON_CARD = 0xC1
TAG_KEY_HISTORY_OFF_CARD = 0xC2
TAG_KEY_HISTORY_URL = 0xF3
TAG_SECURITY_CONTAINER_MAP = 0xBA
TAG_SECURITY_SIGNATURE = 0xBB

FASC_N_SIZE = 25  # bytes
GUID_SIZE = 16

# PIN usage policy, part 1, 3.3.2: first byte in the high eight bits
POLICY_APPLICATION_PIN = 0x4000
POLICY_GLOBAL_PIN = 0x2000
POLICY_OCC = 0x1000
POLICY_VCI = 0x0800
POLICY_VCI_WITHOUT_PAIRING = 0x0400
POLICY_PRIMARY_APPLICATION_PIN = 0x0010
POLICY_PRIMARY_GLOBAL_PIN = 0x0020

# Key references, part 1, table 4b
REF_GLOBAL_PIN = 0x00
REF_SECURE_MESSAGING = 0x04
REF_PIN = 0x80
REF_PUK = 0x81
REF_PRIMARY_FINGER = 0x96
REF_SECONDARY_FINGER = 0x97
REF_PAIRING_CODE = 0x98
REF_MANAGEMENT_KEY = 0x9B
REF_ATTESTATION = 0xF9  # Yubico

PIN_SIZE = 8  # bytes on the wire, padded
PIN_MIN = 6
PIN_PAD = 0xFF


class Algorithm(IntEnum):
    """Algorithm identifiers (P1 of GENERAL AUTHENTICATE), SP 800-78-4 table 6-2; the last four are Yubico's."""

    TDES_DEFAULT = 0x00  # the same as 03
    TDES = 0x03
    RSA_3072 = 0x05  # SP 800-78-5
    RSA_1024 = 0x06
    RSA_2048 = 0x07
    AES_128 = 0x08
    AES_192 = 0x0A
    AES_256 = 0x0C
    P256 = 0x11
    P384 = 0x14
    RSA_4096 = 0x16  # Yubico
    CIPHER_SUITE_2 = 0x27
    CIPHER_SUITE_7 = 0x2E
    ED25519 = 0xE0  # Yubico
    X25519 = 0xE1  # Yubico


RSA_BITS: dict[int, int] = {
    Algorithm.RSA_1024: 1024,
    Algorithm.RSA_2048: 2048,
    Algorithm.RSA_3072: 3072,
    Algorithm.RSA_4096: 4096,
}
RSA_OF_BITS: dict[int, Algorithm] = {bits: Algorithm(number) for number, bits in RSA_BITS.items()}
EC_FIELD_BYTES: dict[int, int] = {
    Algorithm.P256: 32,
    Algorithm.P384: 48,
    Algorithm.ED25519: 32,
    Algorithm.X25519: 32,
}
MANAGEMENT_KEY_BYTES: dict[int, int] = {
    Algorithm.TDES: 24,
    Algorithm.AES_128: 16,
    Algorithm.AES_192: 24,
    Algorithm.AES_256: 32,
}
BLOCK_BYTES: dict[int, int] = {
    Algorithm.TDES: 8,
    Algorithm.AES_128: 16,
    Algorithm.AES_192: 16,
    Algorithm.AES_256: 16,
}
MANAGEMENT_ALGORITHM_OF_NAME: dict[str, Algorithm] = {
    "3DES": Algorithm.TDES,
    "AES128": Algorithm.AES_128,
    "AES192": Algorithm.AES_192,
    "AES256": Algorithm.AES_256,
}


class PinPolicy(IntEnum):
    """When a key wants the PIN (Yubico; ``DEFAULT`` is the slot's own rule of SP 800-73-4)."""

    DEFAULT = 0
    NEVER = 1
    ONCE = 2
    ALWAYS = 3


class TouchPolicy(IntEnum):
    """When a key wants a touch (Yubico)."""

    DEFAULT = 0
    NEVER = 1
    ALWAYS = 2
    CACHED = 3


class Origin(IntEnum):
    """Where a key was made (Yubico metadata, tag 03)."""

    GENERATED = 1
    IMPORTED = 2


# Metadata tags (Yubico)
TAG_METADATA_ALGORITHM = 0x01
TAG_METADATA_POLICY = 0x02
TAG_METADATA_ORIGIN = 0x03
TAG_METADATA_PUBLIC_KEY = 0x04
TAG_METADATA_IS_DEFAULT = 0x05
TAG_METADATA_RETRIES = 0x06

# Import tags (Yubico)
TAG_IMPORT_P = 0x01
TAG_IMPORT_Q = 0x02
TAG_IMPORT_DP = 0x03
TAG_IMPORT_DQ = 0x04
TAG_IMPORT_QINV = 0x05
TAG_IMPORT_EC = 0x06
TAG_IMPORT_ED25519 = 0x07
TAG_IMPORT_X25519 = 0x08


class Access(Enum):
    """Who may read an object over the contact interface, SP 800-73-4 part 1, table 2."""

    ALWAYS = "always"
    PIN = "pin"


@dataclass(frozen=True, slots=True)
class DataObject:
    """One row of SP 800-73-4 part 1, table 2 and part 1, table 3.

    ``tag``: BER tag as a number (``0x5FC102``); ``container``: container id (``0x3000``); ``oid``: dotted; ``read``:
    access rule; ``bare``: GET DATA answers under ``tag`` itself, without 53 (Discovery and BIT group template).
    """

    tag: int
    name: str
    container: int
    oid: str
    read: Access = Access.ALWAYS
    mandatory: bool = False
    bare: bool = False


OID_ARC = "2.16.840.1.101.3.7"
OID_PIV_APPLICATION = f"{OID_ARC}.1"

TAG_CARD_AUTH_CERT = 0x5FC101
TAG_CHUID = 0x5FC102
TAG_FINGERPRINTS = 0x5FC103
TAG_PIV_AUTH_CERT = 0x5FC105
TAG_SECURITY_OBJECT = 0x5FC106
TAG_CCC = 0x5FC107
TAG_FACIAL_IMAGE = 0x5FC108
TAG_PRINTED_INFORMATION = 0x5FC109
TAG_SIGNATURE_CERT = 0x5FC10A
TAG_KEY_MANAGEMENT_CERT = 0x5FC10B
TAG_KEY_HISTORY = 0x5FC10C
TAG_RETIRED_CERT_1 = 0x5FC10D
TAG_IRIS_IMAGES = 0x5FC121
TAG_SM_SIGNER_CERT = 0x5FC122
TAG_PAIRING_CODE = 0x5FC123
TAG_DISCOVERY = 0x7E
TAG_BIOMETRIC_GROUP = 0x7F61
RETIRED_COUNT = 20

# Private objects, Yubico: 5FFF00 to 5FFFFF
TAG_PRIVATE_FIRST = 0x5FFF00
TAG_PRIVATE_LAST = 0x5FFFFF
TAG_YUBICO_ADMIN_DATA = 0x5FFF00
TAG_YUBICO_ATTESTATION_CERT = 0x5FFF01
TAG_YUBICO_MSCMAP = 0x5FFF10
TAG_YUBICO_MSROOTS_FIRST = 0x5FFF11
TAG_YUBICO_MSROOTS_LAST = 0x5FFF15
TAG_MAP_RECORDS = 0x81  # in 5FFF10
TAG_ROOTS_END = 0x82  # in 5FFF11 to 5FFF15: the last piece
TAG_ROOTS_MORE = 0x83  # a piece that another follows


def _objects() -> tuple[DataObject, ...]:
    row, pin = DataObject, Access.PIN
    retired = [
        row(
            TAG_RETIRED_CERT_1 + n, f"Retired Key Management Certificate {n + 1}", 0x1001 + n, f"{OID_ARC}.2.16.{n + 1}"
        )
        for n in range(RETIRED_COUNT)
    ]
    return (
        row(TAG_CCC, "Card Capability Container", 0xDB00, f"{OID_ARC}.1.219.0", mandatory=True),
        row(TAG_CHUID, "Card Holder Unique Identifier", 0x3000, f"{OID_ARC}.2.48.0", mandatory=True),
        row(TAG_PIV_AUTH_CERT, "PIV Authentication Certificate", 0x0101, f"{OID_ARC}.2.1.1", mandatory=True),
        row(TAG_FINGERPRINTS, "Cardholder Fingerprints", 0x6010, f"{OID_ARC}.2.96.16", pin, mandatory=True),
        row(TAG_SECURITY_OBJECT, "Security Object", 0x9000, f"{OID_ARC}.2.144.0", mandatory=True),
        row(TAG_FACIAL_IMAGE, "Cardholder Facial Image", 0x6030, f"{OID_ARC}.2.96.48", pin, mandatory=True),
        row(TAG_CARD_AUTH_CERT, "Card Authentication Certificate", 0x0500, f"{OID_ARC}.2.5.0", mandatory=True),
        row(TAG_SIGNATURE_CERT, "Digital Signature Certificate", 0x0100, f"{OID_ARC}.2.1.0"),
        row(TAG_KEY_MANAGEMENT_CERT, "Key Management Certificate", 0x0102, f"{OID_ARC}.2.1.2"),
        row(TAG_PRINTED_INFORMATION, "Printed Information", 0x3001, f"{OID_ARC}.2.48.1", pin),
        row(TAG_DISCOVERY, "Discovery Object", 0x6050, f"{OID_ARC}.2.96.80", bare=True),
        row(TAG_KEY_HISTORY, "Key History Object", 0x6060, f"{OID_ARC}.2.96.96"),
        *retired,
        row(TAG_IRIS_IMAGES, "Cardholder Iris Images", 0x1015, f"{OID_ARC}.2.16.21", pin),
        row(TAG_BIOMETRIC_GROUP, "Biometric Information Templates", 0x1016, f"{OID_ARC}.2.16.22", bare=True),
        row(TAG_SM_SIGNER_CERT, "Secure Messaging Certificate Signer", 0x1017, f"{OID_ARC}.2.16.23"),
        row(TAG_PAIRING_CODE, "Pairing Code Reference Data", 0x1018, f"{OID_ARC}.2.16.24", pin),
    )


OBJECTS: dict[int, DataObject] = {item.tag: item for item in _objects()}


@dataclass(frozen=True, slots=True)
class Slot:
    """A key reference with its certificate object and a label for people; ``pin``: its rule in SP 800-73-4."""

    ref: int
    certificate: int
    label: str
    pin: PinPolicy

    @property
    def name(self) -> str:
        """The reference in hexadecimal, ``"9A"``."""
        return f"{self.ref:02X}"

    @property
    def retired(self) -> bool:
        """Whether this is one of the retired key management keys, 82 to 95."""
        return REF_RETIRED_FIRST <= self.ref <= REF_RETIRED_LAST


REF_PIV_AUTH = 0x9A
REF_SIGNATURE = 0x9C
REF_KEY_MANAGEMENT = 0x9D
REF_CARD_AUTH = 0x9E
REF_RETIRED_FIRST = 0x82
REF_RETIRED_LAST = 0x95


def _slots() -> tuple[Slot, ...]:
    retired = (
        Slot(REF_RETIRED_FIRST + n, TAG_RETIRED_CERT_1 + n, f"Retired Key Management {n + 1}", PinPolicy.ONCE)
        for n in range(RETIRED_COUNT)
    )
    return (
        Slot(REF_PIV_AUTH, TAG_PIV_AUTH_CERT, "PIV Authentication", PinPolicy.ONCE),
        Slot(REF_SIGNATURE, TAG_SIGNATURE_CERT, "Digital Signature", PinPolicy.ALWAYS),
        Slot(REF_KEY_MANAGEMENT, TAG_KEY_MANAGEMENT_CERT, "Key Management", PinPolicy.ONCE),
        Slot(REF_CARD_AUTH, TAG_CARD_AUTH_CERT, "Card Authentication", PinPolicy.NEVER),
        *retired,
    )


SLOTS: tuple[Slot, ...] = _slots()  # the position is the container index: 9A 9C 9D 9E 82 … 95
SLOT_OF_REF: dict[int, Slot] = {slot.ref: slot for slot in SLOTS}
SLOT_OF_CERTIFICATE: dict[int, Slot] = {slot.certificate: slot for slot in SLOTS}

# What a fresh Yubico card has; also what the reset command restores
DEFAULT_PIN = b"123456"
DEFAULT_PUK = b"12345678"
DEFAULT_MANAGEMENT_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")
DEFAULT_RETRIES = 3
CERTIFICATE_MAX = 3052  # bytes of DER that a slot is sure to take (Yubico)
