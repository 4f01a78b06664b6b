"""The card minidriver interface, version 7, under Microsoft's names: 45 functions over one ``CardData``.

Out-parameters are returned, failure raises ``calais.win.errors.WinError``, which says in ``attempts_left`` how many
tries a refused PIN has left. A call that finds no transaction takes one of its own and leaves the card as it is.
Source: cardmod.h; Microsoft's smart card minidriver specification v7.07.
"""

# Every constant and structure of the header is part of this module, under its own name.
# ruff: noqa: F403, PLC0414

from __future__ import annotations

from typing import Any

from calais.minidriver import pins as _sets
from calais.minidriver.calls import card as _card
from calais.minidriver.calls import context as _context
from calais.minidriver.calls import injection as _injection
from calais.minidriver.calls import keys as _keys
from calais.minidriver.calls import pins as _pins
from calais.minidriver.data import CardData as CardData
from calais.minidriver.data import CardKey as CardKey
from calais.win.codes import *
from calais.win.flags.cardmod import *
from calais.win.flags.ncrypt import *
from calais.win.flags.wincrypt import *
from calais.win.structs import *
from calais.win.structs import (
    CardCapabilities,
    CardDeriveKeyInfo,
    CardDhAgreementInfo,
    CardFileInfo,
    CardFreeSpaceInfo,
    CardKeySizes,
    CardRsaDecryptInfo,
    CardSigningInfo,
    ContainerInfo,
)
from calais.winapi import ambient as _ambient


def CardAcquireContext(pCardData: CardData, dwFlags: int = 0) -> None:
    """Complete a record: agree on the version, find the driver for the card, list the entry points.

    Raises:
        WinError: ERROR_REVISION_MISMATCH a version before 4; SCARD_E_INVALID_HANDLE nothing to reach the card by;
            SCARD_E_UNKNOWN_CARD; SCARD_E_UNSUPPORTED_FEATURE no-card mode; SCARD_E_INVALID_PARAMETER.
    """
    _context.acquire(pCardData, dwFlags, _ambient.card_modules)


def CardDeleteContext(pCardData: CardData) -> None:
    """Forget the card without touching it; works with the card gone."""
    _context.delete(pCardData)


def CardQueryCapabilities(pCardData: CardData, *, dwVersion: int = 1) -> CardCapabilities:
    """Whether card or driver compress certificates, and generate keys."""
    return _card.query_capabilities(pCardData, dwVersion)


def CardQueryFreeSpace(pCardData: CardData, dwFlags: int = 0, *, dwVersion: int = 1) -> CardFreeSpaceInfo:
    """Free bytes and containers, CARD_DATA_VALUE_UNKNOWN = the card does not tell; none on a read-only card."""
    return _card.query_free_space(pCardData, dwFlags, dwVersion)


def CardQueryKeySizes(pCardData: CardData, dwKeySpec: int, dwFlags: int = 0, *, dwVersion: int = 1) -> CardKeySizes:
    """Key lengths in bits.

    Raises:
        WinError: SCARD_E_UNSUPPORTED_FEATURE, the card has no such keys.
    """
    return _card.query_key_sizes(pCardData, dwKeySpec, dwFlags, dwVersion)


def CardAuthenticatePin(pCardData: CardData, pwszUserId: str, pbPin: bytes) -> None:
    """Present the PIN of "user" or "admin".

    Raises:
        WinError: SCARD_W_WRONG_CHV; SCARD_W_CHV_BLOCKED; SCARD_E_INVALID_CHV an impossible length, no try used;
            SCARD_E_UNSUPPORTED_FEATURE, the administrator has a key and no PIN.
    """
    _pins.authenticate_pin(pCardData, pwszUserId, pbPin)


def CardAuthenticateEx(
    pCardData: CardData, PinId: int, dwFlags: int = 0, pbPinData: bytes | None = None
) -> bytes | None:
    """Present a PIN, a response or a session PIN; or trade a PIN for a session PIN, which is returned.

    Raises:
        WinError: as ``CardAuthenticatePin``; SCARD_E_UNSUPPORTED_FEATURE no session PINs; NTE_SILENT_CONTEXT.
    """
    return _pins.authenticate_ex(pCardData, PinId, dwFlags, pbPinData)


def CardGetChallenge(pCardData: CardData) -> bytes:
    """A challenge for the administrator's key, good for the very next call."""
    return _pins.get_challenge(pCardData)


def CardGetChallengeEx(pCardData: CardData, PinId: int, dwFlags: int = 0) -> bytes:
    """A challenge for a PIN of type ChallengeResponsePinType, good for the very next call."""
    return _pins.get_challenge_ex(pCardData, PinId, dwFlags)


def CardAuthenticateChallenge(pCardData: CardData, pbResponseData: bytes) -> None:
    """Authenticate the administrator by the response to ``CardGetChallenge``: CBC, IV zero, over the challenge.

    Raises:
        WinError: SCARD_W_WRONG_CHV, also when no challenge is open (no try used); SCARD_W_CHV_BLOCKED.
    """
    _pins.authenticate_challenge(pCardData, pbResponseData)


def CardUnblockPin(
    pCardData: CardData,
    pwszUserId: str,
    pbAuthenticationData: bytes,
    pbNewPinData: bytes,
    cRetryCount: int,
    dwFlags: int,
) -> None:
    """Unblock the user's PIN by a response (1) or a PIN (2) and set it anew; nobody is authenticated afterwards.

    Raises:
        WinError: SCARD_W_WRONG_CHV, SCARD_W_CHV_BLOCKED of what authorises it; SCARD_E_UNSUPPORTED_FEATURE, the card
            lacks this way.
    """
    _pins.unblock_pin(pCardData, pwszUserId, pbAuthenticationData, pbNewPinData, cRetryCount, dwFlags)


def CardChangeAuthenticator(
    pCardData: CardData,
    pwszUserId: str,
    pbCurrentAuthenticator: bytes,
    pbNewAuthenticator: bytes,
    cRetryCount: int,
    dwFlags: int,
) -> None:
    """Replace the user's PIN (flag 2) or, by a response, the administrator's key (flag 1)."""
    _pins.change_authenticator(pCardData, pwszUserId, pbCurrentAuthenticator, pbNewAuthenticator, cRetryCount, dwFlags)


def CardChangeAuthenticatorEx(
    pCardData: CardData,
    dwFlags: int,
    dwAuthenticatingPinId: int,
    pbAuthenticatingPinData: bytes | None,
    dwTargetPinId: int,
    pbTargetData: bytes | None,
    cRetryCount: int = 0,
) -> None:
    """Change or unblock any PIN by any PIN that may.

    Raises:
        WinError: SCARD_W_SECURITY_VIOLATION, the authenticating PIN has no say over the other.
    """
    _pins.change_authenticator_ex(
        pCardData,
        dwFlags,
        dwAuthenticatingPinId,
        pbAuthenticatingPinData,
        dwTargetPinId,
        pbTargetData,
        cRetryCount,
    )


def CardDeauthenticate(pCardData: CardData, pwszUserId: str, dwFlags: int = 0) -> None:
    """End the authentication of "user" or "admin"."""
    _pins.deauthenticate(pCardData, pwszUserId, dwFlags)


def CardDeauthenticateEx(pCardData: CardData, PinId: int, dwFlags: int = 0) -> None:
    """End the authentication of a PIN_SET, 0xFF = all.

    Raises:
        WinError: SCARD_E_UNSUPPORTED_FEATURE, it takes a reset.
    """
    _pins.deauthenticate_ex(pCardData, PinId, dwFlags)


def CardCreateDirectory(pCardData: CardData, pszDirectoryName: str, AccessCondition: int) -> None:
    """Make a directory below the root; ERROR_FILE_EXISTS where there is one."""
    _card.create_directory(pCardData, pszDirectoryName, AccessCondition)


def CardDeleteDirectory(pCardData: CardData, pszDirectoryName: str) -> None:
    """Delete an empty directory; ERROR_DIR_NOT_EMPTY otherwise."""
    _card.delete_directory(pCardData, pszDirectoryName)


def CardCreateFile(
    pCardData: CardData,
    pszDirectoryName: str | None,
    pszFileName: str,
    cbInitialCreationSize: int,
    AccessCondition: int,
) -> None:
    """Make a file; ERROR_FILE_EXISTS where there is one."""
    _card.create_file(pCardData, pszDirectoryName, pszFileName, cbInitialCreationSize, AccessCondition)


def CardReadFile(pCardData: CardData, pszDirectoryName: str | None, pszFileName: str, dwFlags: int = 0) -> bytes:
    """The content of a file.

    Raises:
        WinError: SCARD_E_DIR_NOT_FOUND; SCARD_E_FILE_NOT_FOUND; SCARD_E_COMM_DATA_LOST it is there, but unreadable.
    """
    return _card.read_file(pCardData, pszDirectoryName, pszFileName, dwFlags)


def CardWriteFile(
    pCardData: CardData, pszDirectoryName: str | None, pszFileName: str, dwFlags: int, pbData: bytes
) -> None:
    """Replace content and length of a file, whole or not at all; SCARD_E_WRITE_TOO_MANY without room."""
    _card.write_file(pCardData, pszDirectoryName, pszFileName, dwFlags, pbData)


def CardDeleteFile(pCardData: CardData, pszDirectoryName: str | None, pszFileName: str, dwFlags: int = 0) -> None:
    """Delete a file."""
    _card.delete_file(pCardData, pszDirectoryName, pszFileName, dwFlags)


def CardEnumFiles(pCardData: CardData, pszDirectoryName: str | None, dwFlags: int = 0) -> list[str]:
    """The names of the files in a directory, in order of their creation."""
    return _card.enum_files(pCardData, pszDirectoryName, dwFlags)


def CardGetFileInfo(
    pCardData: CardData, pszDirectoryName: str | None, pszFileName: str, *, dwVersion: int = 1
) -> CardFileInfo:
    """Size, as ``CardReadFile`` returns it, and access condition."""
    return _card.file_info(pCardData, pszDirectoryName, pszFileName, dwVersion)


def CardCreateContainer(
    pCardData: CardData,
    bContainerIndex: int,
    dwFlags: int,
    dwKeySpec: int,
    dwKeySize: int,
    pbKeyData: bytes | None = None,
) -> None:
    """Generate or import a key for ROLE_USER (see ``CardCreateContainerEx``)."""
    _keys.create_container(pCardData, bContainerIndex, dwFlags, dwKeySpec, dwKeySize, pbKeyData)


def CardCreateContainerEx(
    pCardData: CardData,
    bContainerIndex: int,
    dwFlags: int,
    dwKeySpec: int,
    dwKeySize: int,
    pbKeyData: bytes | None,
    PinId: int,
) -> None:
    """Generate a key (bits for RSA, 0 for EC), or import a PRIVATEKEYBLOB or BCRYPT_ECCKEY_BLOB.

    Raises:
        WinError: SCARD_W_SECURITY_VIOLATION; SCARD_E_WRITE_TOO_MANY no place for this index;
            SCARD_E_UNSUPPORTED_FEATURE the card has no such keys.
    """
    _keys.create_container_ex(pCardData, bContainerIndex, dwFlags, dwKeySpec, dwKeySize, pbKeyData, PinId)


def CardDeleteContainer(pCardData: CardData, bContainerIndex: int, dwReserved: int = 0) -> None:
    """Delete the keys of a container; its certificate files and its record in the map are the caller's."""
    _keys.delete_container(pCardData, bContainerIndex, dwReserved)


def CardGetContainerInfo(
    pCardData: CardData, bContainerIndex: int, dwFlags: int = 0, *, dwVersion: int = 1
) -> ContainerInfo:
    """The public keys of a container as key blobs; needs no PIN."""
    return _keys.container_info(pCardData, bContainerIndex, dwFlags, dwVersion)


def CardGetContainerProperty(
    pCardData: CardData, bContainerIndex: int, wszProperty: str, dwFlags: int = 0, *, dwVersion: int = 1
) -> Any:  # noqa: ANN401 - a type per property
    """A CCP_* property."""
    return _card.get_container_property(pCardData, bContainerIndex, wszProperty, dwFlags, dwVersion)


def CardSetContainerProperty(
    pCardData: CardData, bContainerIndex: int, wszProperty: str, pbData: object, dwFlags: int = 0
) -> None:
    """Change a CCP_* property, where the card can."""
    _card.set_container_property(pCardData, bContainerIndex, wszProperty, pbData, dwFlags)


def CardSignData(pCardData: CardData, pInfo: CardSigningInfo) -> bytes:
    """The signature: RSA little-endian, as long as the modulus; EC r and s, each as long as the field, big-endian.

    Raises:
        WinError: SCARD_E_NO_KEY_CONTAINER; SCARD_W_SECURITY_VIOLATION the key wants its PIN; ERROR_REVISION_MISMATCH.
    """
    return _keys.sign(pCardData, pInfo)


def CardRSADecrypt(pCardData: CardData, pInfo: CardRsaDecryptInfo) -> bytes:
    """The message, little-endian like the data.

    Raises:
        WinError: SCARD_F_INTERNAL_ERROR wrong padding; SCARD_E_INSUFFICIENT_BUFFER shorter than the modulus;
            SCARD_E_NO_KEY_CONTAINER; SCARD_W_SECURITY_VIOLATION; ERROR_REVISION_MISMATCH.
    """
    return _keys.decrypt(pCardData, pInfo)


def CardConstructDHAgreement(pCardData: CardData, pAgreementInfo: CardDhAgreementInfo) -> int:
    """Agree on a secret with the other side's public key; its index, 0…255."""
    return _keys.construct_dh_agreement(pCardData, pAgreementInfo)


def CardDeriveKey(pCardData: CardData, pAgreementInfo: CardDeriveKeyInfo) -> bytes | CardKey:
    """The key that a KDF makes of an agreed secret.

    Raises:
        WinError: SCARD_E_UNSUPPORTED_FEATURE another KDF; SCARD_E_INVALID_PARAMETER no such secret, or parameters.
    """
    return _keys.derive_key(pCardData, pAgreementInfo)


def CardDestroyDHAgreement(pCardData: CardData, bSecretAgreementIndex: int, dwFlags: int = 0) -> None:
    """Wipe an agreed secret."""
    _keys.destroy_dh_agreement(pCardData, bSecretAgreementIndex, dwFlags)


def MDImportSessionKey(pCardData: CardData, pwszBlobType: str, pwszAlgId: str, pbInput: bytes) -> CardKey:
    """Take a plain session key, on the side that has no card."""
    return _injection.import_plain_key(pCardData, pwszBlobType, pwszAlgId, pbInput)


def MDEncryptData(
    pCardData: CardData, hKey: CardKey, pwszSecureFunction: str, pbInput: bytes, dwFlags: int = 0
) -> list[bytes]:
    """Encrypt a request for ``CardProcessEncryptedData``."""
    return _injection.encrypt_data(pCardData, hKey, pwszSecureFunction, pbInput, dwFlags)


def CardImportSessionKey(
    pCardData: CardData,
    bContainerIndex: int,
    pPaddingInfo: object,
    pwszBlobType: str,
    pwszAlgId: str,
    pbInput: bytes,
    dwFlags: int = 0,
) -> CardKey:
    """Take a session key that is encrypted for the key of a container."""
    return _injection.import_session_key(
        pCardData, bContainerIndex, pPaddingInfo, pwszBlobType, pwszAlgId, pbInput, dwFlags
    )


def CardGetSharedKeyHandle(pCardData: CardData, pbInput: bytes) -> tuple[bytes, CardKey]:
    """Agree on a session key: what the other side is to be told, and the key."""
    return _injection.shared_key(pCardData, pbInput)


def CardGetAlgorithmProperty(
    pCardData: CardData, pwszAlgId: str, pwszProperty: str, dwFlags: int = 0
) -> str | bytes | int:
    """The default of a CKP_* property."""
    return _injection.algorithm_property(pCardData, pwszAlgId, pwszProperty, dwFlags)


def CardGetKeyProperty(pCardData: CardData, hKey: CardKey, pwszProperty: str, dwFlags: int = 0) -> str | bytes | int:
    """A CKP_* property of a session key."""
    return _injection.key_property(pCardData, hKey, pwszProperty, dwFlags)


def CardSetKeyProperty(
    pCardData: CardData, hKey: CardKey, pwszProperty: str, pbInput: str | bytes, dwFlags: int = 0
) -> None:
    """Change a CKP_* property of a session key."""
    _injection.set_key_property(pCardData, hKey, pwszProperty, pbInput, dwFlags)


def CardDestroyKey(pCardData: CardData, hKey: CardKey) -> None:
    """End the life of a session key."""
    _injection.destroy_key(pCardData, hKey)


def CardProcessEncryptedData(
    pCardData: CardData, hKey: CardKey, pwszSecureFunction: str, pEncryptedData: list[bytes], dwFlags: int = 0
) -> bytes:
    """Have the card decrypt a request and do it; errors are those of the function it stands for."""
    return _injection.process_encrypted_data(pCardData, hKey, pwszSecureFunction, pEncryptedData, dwFlags)


def CardGetProperty(pCardData: CardData, wszProperty: str, dwFlags: int = 0, *, dwVersion: int | None = None) -> Any:  # noqa: ANN401 - a type per property
    """A CP_* property.

    Raises:
        WinError: SCARD_E_INVALID_PARAMETER unknown, write-only, or wrong flags; ERROR_REVISION_MISMATCH.
    """
    return _card.get_property(pCardData, wszProperty, dwFlags, dwVersion)


def CardSetProperty(pCardData: CardData, wszProperty: str, pbData: object, dwFlags: int = 0) -> None:
    """Change a CP_* property; on a read-only card only the two that stay on the host.

    Raises:
        WinError: SCARD_E_UNSUPPORTED_FEATURE it cannot be set; SCARD_E_INVALID_PARAMETER; SCARD_W_SECURITY_VIOLATION.
    """
    _card.set_property(pCardData, wszProperty, pbData, dwFlags)


# --- macros ----------------------------------------------------------------------------------------------------------


def create_pin_set(pin_id: int) -> int:
    """CREATE_PIN_SET."""
    return _sets.pin_set(pin_id)


def is_pin_set(pin_set: int, pin_id: int) -> bool:
    """IS_PIN_SET."""
    return _sets.is_in_pin_set(pin_set, pin_id)


def set_pin(pin_set: int, pin_id: int) -> int:
    """SET_PIN."""
    return _sets.with_pin(pin_set, pin_id)


def clear_pin(pin_set: int, pin_id: int) -> int:
    """CLEAR_PIN."""
    return _sets.without_pin(pin_set, pin_id)
