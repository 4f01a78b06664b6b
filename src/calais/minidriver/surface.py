"""The 45 entry points as a table: since when, what a read-only card owes, which body, what each argument must be.

Source: cardmod.h version 7 (functions and versions); Microsoft's smart card minidriver specification v7.07,
"Read-Only Cards" (duties).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

OLDEST, NEWEST = 4, 7  # versions of the interface


class Duty(StrEnum):
    """What a read-only card owes for an entry point, in the words of the specification.

    YES: it works. NO: it answers SCARD_E_UNSUPPORTED_FEATURE, whatever the arguments. NO_OPTIONAL: it may work,
    otherwise the same answer. YES_OPTIONAL: it works if the card has the feature, read-only or not.
    """

    YES = "Yes"
    NO = "No"
    NO_OPTIONAL = "No (Optional)"
    YES_OPTIONAL = "Yes (Optional)"


_YES, _NO, _NO_OPTIONAL, _YES_OPTIONAL = Duty.YES, Duty.NO, Duty.NO_OPTIONAL, Duty.YES_OPTIONAL


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """One entry point.

    ``since``: first version that has it; ``duty``: of a read-only card; ``body``: the method of ``Minidriver`` behind
    it; ``arguments``: after pCardData, each with its kind in ``checks.CHECKS``.
    """

    name: str
    since: int
    duty: Duty
    body: str
    arguments: tuple[tuple[str, str], ...]


# Name, first version, duty of a read-only card, body, arguments with their kinds.
_ROWS: tuple[tuple[str, int, Duty, str, str], ...] = (
    ("CardAcquireContext", 4, _YES, "__init__", "dwFlags:any"),
    ("CardDeleteContext", 4, _YES, "close", ""),
    ("CardQueryCapabilities", 4, _YES, "capabilities", "dwVersion:version"),
    ("CardQueryFreeSpace", 4, _YES, "free_space", "dwFlags:zero dwVersion:version"),
    ("CardQueryKeySizes", 4, _YES, "key_sizes", "dwKeySpec:key_spec dwFlags:zero dwVersion:version"),
    ("CardAuthenticatePin", 4, _YES, "authenticate", "pwszUserId:user pbPin:data"),
    ("CardAuthenticateEx", 6, _YES, "authenticate", "PinId:pin_id dwFlags:authenticate_flags pbPinData:optional_data"),
    ("CardGetChallenge", 4, _NO_OPTIONAL, "challenge", ""),
    ("CardGetChallengeEx", 6, _NO_OPTIONAL, "challenge", "PinId:pin_id dwFlags:zero"),
    ("CardAuthenticateChallenge", 4, _NO_OPTIONAL, "answer_challenge", "pbResponseData:data"),
    (
        "CardUnblockPin",
        4,
        _NO_OPTIONAL,
        "unblock_pin",
        "pwszUserId:user pbAuthenticationData:data pbNewPinData:data cRetryCount:zero dwFlags:method",
    ),
    (
        "CardChangeAuthenticator",
        4,
        _NO_OPTIONAL,
        "change_pin",
        "pwszUserId:user pbCurrentAuthenticator:data pbNewAuthenticator:data cRetryCount:zero dwFlags:method",
    ),
    (
        "CardChangeAuthenticatorEx",
        6,
        _NO_OPTIONAL,
        "change_pin",
        "dwFlags:change_flags dwAuthenticatingPinId:pin_id pbAuthenticatingPinData:optional_data dwTargetPinId:pin_id pbTargetData:optional_data cRetryCount:zero",
    ),
    ("CardDeauthenticate", 4, _YES_OPTIONAL, "deauthenticate", "pwszUserId:user dwFlags:zero"),
    ("CardDeauthenticateEx", 6, _YES, "deauthenticate", "PinId:pin_set dwFlags:zero"),
    ("CardCreateDirectory", 4, _NO, "create_directory", "pszDirectoryName:name AccessCondition:directory_condition"),
    ("CardDeleteDirectory", 4, _NO, "delete_directory", "pszDirectoryName:name"),
    (
        "CardCreateFile",
        4,
        _NO,
        "create_file",
        "pszDirectoryName:directory pszFileName:name cbInitialCreationSize:size AccessCondition:file_condition",
    ),
    ("CardReadFile", 4, _YES, "read_file", "pszDirectoryName:directory pszFileName:name dwFlags:zero"),
    ("CardWriteFile", 4, _NO, "write_file", "pszDirectoryName:directory pszFileName:name dwFlags:zero pbData:data"),
    ("CardDeleteFile", 4, _NO, "delete_file", "pszDirectoryName:directory pszFileName:name dwFlags:zero"),
    ("CardEnumFiles", 4, _YES, "enum_files", "pszDirectoryName:directory dwFlags:zero"),
    ("CardGetFileInfo", 4, _YES, "file_info", "pszDirectoryName:directory pszFileName:name dwVersion:version"),
    (
        "CardCreateContainer",
        4,
        _NO,
        "create_container",
        "bContainerIndex:index dwFlags:create_flags dwKeySpec:key_spec dwKeySize:size pbKeyData:optional_data",
    ),
    (
        "CardCreateContainerEx",
        7,
        _NO_OPTIONAL,
        "create_container",
        "bContainerIndex:index dwFlags:create_flags dwKeySpec:key_spec dwKeySize:size pbKeyData:optional_data PinId:key_pin_id",
    ),
    ("CardDeleteContainer", 4, _NO, "delete_container", "bContainerIndex:index dwReserved:zero"),
    ("CardGetContainerInfo", 4, _YES, "container_info", "bContainerIndex:index dwFlags:zero dwVersion:version"),
    (
        "CardGetContainerProperty",
        6,
        _YES,
        "get_container_property",
        "bContainerIndex:index wszProperty:text dwFlags:zero dwVersion:any",
    ),
    (
        "CardSetContainerProperty",
        6,
        _NO,
        "set_container_property",
        "bContainerIndex:index wszProperty:text pbData:any dwFlags:zero",
    ),
    ("CardSignData", 4, _YES, "sign", "pInfo:signing"),
    ("CardRSADecrypt", 4, _YES_OPTIONAL, "decrypt", "pInfo:decryption"),
    ("CardConstructDHAgreement", 4, _YES_OPTIONAL, "agree", "pAgreementInfo:agreement"),
    ("CardDeriveKey", 5, _YES_OPTIONAL, "agree", "pAgreementInfo:derivation"),
    ("CardDestroyDHAgreement", 5, _YES_OPTIONAL, "agree", "bSecretAgreementIndex:index dwFlags:zero"),
    (
        "MDImportSessionKey",
        7,
        _NO_OPTIONAL,
        "make_session_key",
        "pwszBlobType:blob_type pwszAlgId:algorithm pbInput:data",
    ),
    (
        "MDEncryptData",
        7,
        _NO_OPTIONAL,
        "encrypt_for_card",
        "hKey:any pwszSecureFunction:secure_function pbInput:data dwFlags:block_flags",
    ),
    (
        "CardImportSessionKey",
        7,
        _NO_OPTIONAL,
        "import_session_key",
        "bContainerIndex:index pPaddingInfo:any pwszBlobType:blob_type pwszAlgId:algorithm pbInput:data dwFlags:padding",
    ),
    ("CardGetSharedKeyHandle", 7, _NO_OPTIONAL, "shared_key", "pbInput:data"),
    (
        "CardGetAlgorithmProperty",
        7,
        _NO_OPTIONAL,
        "algorithm_property",
        "pwszAlgId:algorithm pwszProperty:key_property dwFlags:zero",
    ),
    ("CardGetKeyProperty", 7, _NO_OPTIONAL, "key_property", "hKey:any pwszProperty:key_property dwFlags:zero"),
    (
        "CardSetKeyProperty",
        7,
        _NO_OPTIONAL,
        "set_key_property",
        "hKey:any pwszProperty:key_property pbInput:any dwFlags:zero",
    ),
    ("CardDestroyKey", 7, _NO_OPTIONAL, "destroy_key", "hKey:any"),
    (
        "CardProcessEncryptedData",
        7,
        _NO_OPTIONAL,
        "process_encrypted",
        "hKey:any pwszSecureFunction:secure_function pEncryptedData:encrypted dwFlags:block_flags",
    ),
    ("CardGetProperty", 6, _YES, "get_property", "wszProperty:text dwFlags:any dwVersion:any"),
    ("CardSetProperty", 6, _YES, "set_property", "wszProperty:text pbData:any dwFlags:any"),
)


def _entry_point(name: str, since: int, duty: Duty, body: str, arguments: str) -> EntryPoint:
    pairs = (argument.partition(":") for argument in arguments.split())
    return EntryPoint(name, since, duty, body, tuple((argument, kind) for argument, _, kind in pairs))


SURFACE: Mapping[str, EntryPoint] = {row[0]: _entry_point(*row) for row in _ROWS}
ENTRY_POINTS: Mapping[str, str] = {name: row.body for name, row in SURFACE.items()}

# What may be called without a card (CARD_SECURE_KEY_INJECTION_NO_CARD_MODE).
WITHOUT_CARD = frozenset(
    (
        "CardAcquireContext",
        "CardDeleteContext",
        "MDImportSessionKey",
        "MDEncryptData",
        "CardGetSharedKeyHandle",
        "CardGetAlgorithmProperty",
        "CardGetKeyProperty",
        "CardSetKeyProperty",
        "CardDestroyKey",
        "CardProcessEncryptedData",
    )
)
