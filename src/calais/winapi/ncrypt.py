"""Key storage of CNG under Microsoft's names: providers, keys, properties, secrets.

Out-parameters are returned, failure raises ``calais.win.errors.WinError``; handles are objects, ``None`` is NULL.
Source: ncrypt.h and Microsoft's documentation of each function.
"""

# Every constant and structure of the header is part of this module, under its own name.
# ruff: noqa: F403, PLC0414

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calais.provider.ksp import calls as _calls
from calais.provider.ksp import translating as _translating
from calais.provider.ksp import using as _using
from calais.provider.ksp.cardkeys import KeyEnumeration as KeyEnumeration
from calais.provider.ksp.handles import NCryptKey as NCryptKey
from calais.provider.ksp.handles import NCryptObject as NCryptObject
from calais.provider.ksp.handles import NCryptProv as NCryptProv
from calais.provider.ksp.handles import NCryptSecret as NCryptSecret
from calais.provider.ksp.storage import KspSystem as _KspSystem
from calais.win.codes import *
from calais.win.flags import *
from calais.win.structs import *
from calais.win.structs import BCryptBuffer as BCryptBuffer
from calais.win.structs import NCryptAlgorithmName as NCryptAlgorithmName
from calais.win.structs import NCryptKeyName as NCryptKeyName
from calais.win.structs import NCryptProviderName as NCryptProviderName
from calais.win.structs import OaepPaddingInfo as OaepPaddingInfo
from calais.win.structs import Pkcs1PaddingInfo as Pkcs1PaddingInfo
from calais.win.structs import PssPaddingInfo as PssPaddingInfo
from calais.winapi import ambient as _ambient

# --- providers and algorithms ----------------------------------------------------------------------------------------


def NCryptOpenStorageProvider(
    pszProviderName: str | None = None, dwFlags: int = 0, *, system: _KspSystem | None = None
) -> NCryptProv:
    """An open key storage provider; ``None`` is the one that keeps nameless keys in memory.

    Raises:
        WinError: NTE_BAD_KEYSET no such provider; NTE_BAD_FLAGS.
    """
    return _calls.open_provider(pszProviderName, dwFlags, _ambient.cards_of(system))


def NCryptEnumStorageProviders(dwFlags: int = 0) -> list[NCryptProviderName]:
    """The providers there are.

    Raises:
        WinError: NTE_BAD_FLAGS.
    """
    return _calls.enum_providers(dwFlags)


def NCryptEnumAlgorithms(
    hProvider: NCryptProv, dwAlgOperations: int = 0, dwFlags: int = 0
) -> list[NCryptAlgorithmName]:
    """The algorithms of keys that do one of the operations (NCRYPT_*_OPERATION, 0 = any).

    Raises:
        WinError: NTE_INVALID_HANDLE; NTE_BAD_FLAGS; NTE_INVALID_PARAMETER an unknown operation.
    """
    return _calls.enum_algorithms(hProvider, dwAlgOperations, dwFlags)


def NCryptIsAlgSupported(hProvider: NCryptProv, pszAlgId: str, dwFlags: int = 0) -> None:
    """Return when there are keys of this algorithm.

    Raises:
        WinError: NTE_NOT_SUPPORTED there are none; NTE_INVALID_HANDLE; NTE_BAD_FLAGS.
    """
    _calls.is_algorithm_supported(hProvider, pszAlgId, dwFlags)


# --- keys ------------------------------------------------------------------------------------------------------------


def NCryptEnumKeys(
    hProvider: NCryptProv, pszScope: str | None = None, ppEnumState: KeyEnumeration | None = None, dwFlags: int = 0
) -> tuple[NCryptKeyName, KeyEnumeration]:
    r"""The next key, and the state for the call after it; without a state, the first.

    ``pszScope``: ``\\.\<reader>\``, or ``None`` for all cards.

    Raises:
        WinError: NTE_NO_MORE_ITEMS the end; NTE_INVALID_PARAMETER another scope or state; what readers say.
    """
    return _calls.enum_keys(hProvider, pszScope, ppEnumState, dwFlags)


def NCryptOpenKey(
    hProvider: NCryptProv, pszKeyName: str | None, dwLegacyKeySpec: int = 0, dwFlags: int = 0
) -> NCryptKey:
    r"""The key in a container: ``\\.\<reader>\<container>``, ``\\.\<reader>\``, ``<container>`` or ``""``.

    Raises:
        WinError: NTE_BAD_KEYSET no such container; NTE_NO_KEY its slot is empty; NTE_INVALID_PARAMETER; NTE_BAD_FLAGS;
            what readers and cards say.
    """
    return _calls.open_key(hProvider, pszKeyName, dwLegacyKeySpec, dwFlags)


def NCryptCreatePersistedKey(
    hProvider: NCryptProv,
    pszAlgId: str,
    pszKeyName: str | None = None,
    dwLegacyKeySpec: int = 0,
    dwFlags: int = 0,
) -> NCryptKey:
    """An unfinished key: on a card, or without a name in memory; NCryptFinalizeKey makes it.

    Raises:
        WinError: NTE_NOT_SUPPORTED no such keys here; NTE_EXISTS; NTE_TOKEN_KEYSET_STORAGE_FULL;
            SCARD_E_READ_ONLY_CARD; NTE_INVALID_PARAMETER; NTE_BAD_FLAGS; what readers and cards say.
    """
    return _calls.create_key(hProvider, pszAlgId, pszKeyName, dwLegacyKeySpec, dwFlags)


def NCryptFinalizeKey(hKey: NCryptKey, dwFlags: int = 0) -> None:
    """Make a key that was created, or put one that was imported where it belongs.

    Raises:
        WinError: NTE_INVALID_HANDLE it is finished; NTE_SILENT_CONTEXT; SCARD_W_WRONG_CHV; what the card says.
    """
    _calls.finalise_key(hKey, dwFlags)


def NCryptDeleteKey(hKey: NCryptKey, dwFlags: int = 0) -> None:
    """Delete a key, on a card with its container and certificate; the handle is freed.

    Raises:
        WinError: SCARD_E_UNSUPPORTED_FEATURE the card cannot; NTE_BAD_KEYSET it is gone; what the card says.
    """
    _calls.delete_key(hKey, dwFlags)


def NCryptTranslateHandle(
    hLegacyProv: object, hLegacyKey: object = None, dwLegacyKeySpec: int = 0, dwFlags: int = 0
) -> tuple[NCryptProv, NCryptKey]:
    """The key of a CryptoAPI context of the Base CSP, as a key of CNG, with its provider.

    Raises:
        WinError: NTE_INVALID_HANDLE; NTE_NOT_SUPPORTED another provider, or no container; NTE_NO_KEY an empty slot.
    """
    return _translating.translate(hLegacyProv, hLegacyKey, dwLegacyKeySpec, dwFlags, _ambient.cards_of(None))


# --- properties ------------------------------------------------------------------------------------------------------


def NCryptGetProperty(hObject: NCryptProv | NCryptKey, pszProperty: str, dwFlags: int = 0) -> Any:  # noqa: ANN401 - a type per property
    """The value of a property, in a type of its own.

    Raises:
        WinError: NTE_NOT_SUPPORTED no such property here; NTE_NOT_FOUND it has no value; what the card says.
    """
    return _calls.get_property(hObject, pszProperty, dwFlags)


def NCryptSetProperty(hObject: NCryptProv | NCryptKey, pszProperty: str, pbInput: object, dwFlags: int = 0) -> None:
    """Set a property.

    Raises:
        WinError: NTE_NOT_SUPPORTED no such property here, or no longer; NTE_INVALID_PARAMETER wrong type or value;
            what the card says.
    """
    _calls.set_property(hObject, pszProperty, pbInput, dwFlags)


# --- using keys ------------------------------------------------------------------------------------------------------


def NCryptSignHash(
    hKey: NCryptKey,
    pPaddingInfo: Pkcs1PaddingInfo | PssPaddingInfo | None = None,
    pbHashValue: bytes = b"",
    dwFlags: int = 0,
) -> bytes:
    """The signature of a digest, big-endian: RSA as long as the modulus, ECDSA r and s, each as wide as the order.

    Raises:
        WinError: NTE_INVALID_PARAMETER digest, padding information and flags do not go together; NTE_NOT_SUPPORTED;
            NTE_NO_KEY a public key; NTE_PERM; NTE_BAD_KEY_STATE; NTE_SILENT_CONTEXT; what the card says.
    """
    return _using.sign_hash(hKey, pPaddingInfo, pbHashValue, dwFlags)


def NCryptVerifySignature(
    hKey: NCryptKey,
    pPaddingInfo: Pkcs1PaddingInfo | PssPaddingInfo | None = None,
    pbHashValue: bytes = b"",
    pbSignature: bytes = b"",
    dwFlags: int = 0,
) -> None:
    """Return when the signature is right.

    Raises:
        WinError: NTE_BAD_SIGNATURE it is not; otherwise as NCryptSignHash.
    """
    _using.verify_signature(hKey, pPaddingInfo, pbHashValue, pbSignature, dwFlags)


def NCryptEncrypt(
    hKey: NCryptKey, pbInput: bytes, pPaddingInfo: OaepPaddingInfo | None = None, dwFlags: int = 0
) -> bytes:
    """RSA with the public key; as long as the modulus, big-endian.

    Raises:
        WinError: NTE_INVALID_PARAMETER too long, or padding information and flags do not go together;
            NTE_NOT_SUPPORTED no RSA key; NTE_BAD_KEY_STATE.
    """
    return _using.encrypt(hKey, pbInput, pPaddingInfo, dwFlags)


def NCryptDecrypt(
    hKey: NCryptKey, pbInput: bytes, pPaddingInfo: OaepPaddingInfo | None = None, dwFlags: int = 0
) -> bytes:
    """RSA with the private key; the plaintext.

    Raises:
        WinError: NTE_INVALID_PARAMETER wrong length, or wrong padding, whatever is wrong with it; NTE_NO_KEY a public
            key; NTE_PERM; NTE_NOT_SUPPORTED; NTE_SILENT_CONTEXT; what the card says.
    """
    return _using.decrypt(hKey, pbInput, pPaddingInfo, dwFlags)


def NCryptSecretAgreement(hPrivKey: NCryptKey, hPubKey: NCryptKey, dwFlags: int = 0) -> NCryptSecret:
    """The ECDH secret of two keys on one curve; it is in memory until it is freed.

    Raises:
        WinError: NTE_NOT_SUPPORTED the first is no ECDH key; NTE_INVALID_PARAMETER the second is none of that curve;
            NTE_NO_KEY; NTE_PERM; NTE_BAD_KEY_STATE; what the card says.
    """
    return _using.secret_agreement(hPrivKey, hPubKey, dwFlags)


def NCryptDeriveKey(
    hSharedSecret: NCryptSecret,
    pwszKDF: str,
    pParameterList: Sequence[BCryptBuffer] | None = (),
    cbDerivedKey: int = 0,
    dwFlags: int = 0,
) -> bytes:
    """A key of ``cbDerivedKey`` bytes at most (0 = as many as the derivation gives) from an agreed secret.

    Raises:
        WinError: NTE_NOT_SUPPORTED another derivation or hash; NTE_INVALID_PARAMETER parameters or length.
    """
    return _using.derive_key(hSharedSecret, pwszKDF, pParameterList, cbDerivedKey, dwFlags)


# --- blobs -----------------------------------------------------------------------------------------------------------


def NCryptExportKey(
    hKey: NCryptKey,
    hExportKey: NCryptKey | None = None,
    pszBlobType: str = "",
    pParameterList: Sequence[BCryptBuffer] | None = (),
    dwFlags: int = 0,
) -> bytes:
    """A key blob.

    Raises:
        WinError: NTE_NOT_SUPPORTED another type, or the private half may not leave; NTE_INVALID_PARAMETER;
            NTE_BAD_KEY_STATE.
    """
    return _calls.export_key(hKey, hExportKey, pszBlobType, pParameterList, dwFlags)


def NCryptImportKey(
    hProvider: NCryptProv,
    hImportKey: NCryptKey | None = None,
    pszBlobType: str = "",
    pParameterList: Sequence[BCryptBuffer] | None = (),
    pbData: bytes = b"",
    dwFlags: int = 0,
) -> NCryptKey:
    """The key of a blob, nameless; a private one with NCRYPTBUFFER_PKCS_KEY_NAME goes onto a card.

    Raises:
        WinError: NTE_BAD_DATA malformed; NTE_NOT_SUPPORTED; NTE_INCORRECT_PASSWORD; NTE_PERM by policy; NTE_EXISTS;
            NTE_INVALID_PARAMETER; NTE_BAD_FLAGS; what the card says.
    """
    return _calls.import_key(hProvider, hImportKey, pszBlobType, pParameterList, pbData, dwFlags)


# --- handles ---------------------------------------------------------------------------------------------------------


def NCryptFreeObject(hObject: NCryptObject) -> None:
    """Free a provider, a key (what is on a card stays there) or a secret, which is wiped.

    Raises:
        WinError: NTE_INVALID_HANDLE none of them, or freed.
    """
    _calls.free_object(hObject)


def NCryptFreeBuffer(pvInput: object) -> None:
    """Nothing: for enumeration states and lists, as C programs do."""
    _calls.free_buffer(pvInput)


def NCryptIsKeyHandle(hKey: object) -> bool:
    """Whether this is an open key; anything may be asked."""
    return _calls.is_key_handle(hKey)
