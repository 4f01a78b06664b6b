"""CryptoAPI under Microsoft's names: providers, keys, hashes, signatures.

Out-parameters are returned, failure raises ``calais.win.errors.WinError``; handles are objects, ``None`` is NULL. A
handle that is closed, or none, is ERROR_INVALID_PARAMETER; a key or hash of another provider handle is NTE_BAD_KEY or
NTE_BAD_HASH. Signatures and RSA ciphertexts are little-endian.
Source: wincrypt.h and Microsoft's documentation of each function.
"""

# Every constant and structure of the header is part of this module, under its own name.
# ruff: noqa: F403

from __future__ import annotations

from typing import Any

from calais.provider.csp.calls import ciphers as _ciphers
from calais.provider.csp.calls import contexts as _contexts
from calais.provider.csp.calls import hashes as _hashes
from calais.provider.csp.calls import keys as _keys
from calais.provider.csp.calls import registry as _registry
from calais.provider.csp.calls import transport as _transport
from calais.provider.csp.calls.contexts import Host as _Host
from calais.provider.csp.calls.handles import OWN as _OWN
from calais.provider.csp.context import ADVAPI32 as _CODES
from calais.provider.csp.context import CspContext as _CspContext
from calais.provider.csp.context import CspHash as _CspHash
from calais.provider.csp.context import CspKey as _CspKey
from calais.win.codes import *
from calais.win.flags import *
from calais.win.flags import CRYPT_USER_DEFAULT, PROV_RSA_FULL
from calais.win.structs import *
from calais.winapi import ambient as _ambient

HCRYPTPROV = _CspContext
HCRYPTKEY = _CspKey
HCRYPTHASH = _CspHash


def CryptAcquireContext(
    pszContainer: str | None = None,
    pszProvider: str | None = None,
    dwProvType: int = PROV_RSA_FULL,
    dwFlags: int = 0,
    *,
    system: _Host | None = None,
) -> HCRYPTPROV | None:
    """Open a provider; ``None`` = done, for CRYPT_DELETEKEYSET.

    Raises:
        WinError: NTE_BAD_PROV_TYPE; NTE_PROV_TYPE_NOT_DEF; NTE_KEYSET_NOT_DEF; NTE_PROV_TYPE_NO_MATCH;
            NTE_BAD_FLAGS; NTE_BAD_KEYSET_PARAM; NTE_BAD_KEYSET; NTE_EXISTS; NTE_TOKEN_KEYSET_STORAGE_FULL; NTE_PERM;
            NTE_SILENT_CONTEXT; what the card says.
    """
    return _contexts.acquire_by_type(pszContainer, pszProvider, dwProvType, dwFlags, _ambient.providers_of(system))


def CryptReleaseContext(hProv: HCRYPTPROV | None, dwFlags: int = 0) -> None:
    """Give a reference back; with the last one the keys and hashes of the context are dead.

    Raises:
        WinError: NTE_BAD_FLAGS, and the reference is given back all the same.
    """
    _contexts.release(_CODES, hProv, dwFlags)


def CryptContextAddRef(hProv: HCRYPTPROV | None, pdwReserved: None = None, dwFlags: int = 0) -> None:
    """One reference more.

    Raises:
        WinError: ERROR_INVALID_PARAMETER; NTE_BAD_FLAGS.
    """
    _contexts.add_reference(_CODES, hProv, pdwReserved, dwFlags)


def CryptEnumProviders(dwIndex: int, pdwReserved: None = None, dwFlags: int = 0) -> tuple[int, str]:
    """Type and name of a provider, from index 0.

    Raises:
        WinError: ERROR_NO_MORE_ITEMS; ERROR_INVALID_PARAMETER; NTE_BAD_FLAGS.
    """
    return _registry.enum_providers(dwIndex, pdwReserved, dwFlags)


def CryptEnumProviderTypes(dwIndex: int, pdwReserved: None = None, dwFlags: int = 0) -> tuple[int, str]:
    """A type of providers and its name, from index 0.

    Raises:
        WinError: ERROR_NO_MORE_ITEMS; ERROR_INVALID_PARAMETER; NTE_BAD_FLAGS.
    """
    return _registry.enum_types(dwIndex, pdwReserved, dwFlags)


def CryptGetDefaultProvider(dwProvType: int, pdwReserved: None = None, dwFlags: int = CRYPT_USER_DEFAULT) -> str:
    """Name of the default provider of a type: the user's, else the machine's.

    Raises:
        WinError: NTE_BAD_PROV_TYPE; NTE_PROV_TYPE_NOT_DEF; NTE_BAD_FLAGS; ERROR_INVALID_PARAMETER.
    """
    return _registry.get_default(dwProvType, pdwReserved, dwFlags, _ambient.providers_of())


def CryptSetProvider(pszProvName: str | None, dwProvType: int) -> None:
    """Make a provider the user's default of its type.

    Raises:
        WinError: NTE_KEYSET_NOT_DEF; NTE_PROV_TYPE_NO_MATCH; NTE_BAD_PROV_TYPE; ERROR_INVALID_PARAMETER.
    """
    _registry.set_default(pszProvName, dwProvType, None, CRYPT_USER_DEFAULT, _ambient.providers_of())


def CryptSetProviderEx(pszProvName: str | None, dwProvType: int, pdwReserved: None = None, dwFlags: int = 0) -> None:
    """Make a provider the default of its type, for the user or the machine; or forget it, with CRYPT_DELETE_DEFAULT.

    Raises:
        WinError: NTE_KEYSET_NOT_DEF; NTE_PROV_TYPE_NO_MATCH; NTE_BAD_PROV_TYPE; NTE_BAD_FLAGS;
            ERROR_INVALID_PARAMETER.
    """
    _registry.set_default(pszProvName, dwProvType, pdwReserved, dwFlags, _ambient.providers_of())


def CryptGetProvParam(hProv: HCRYPTPROV | None, dwParam: int, dwFlags: int = 0) -> Any:  # noqa: ANN401
    """The value of a parameter of the provider (PP_*); enumerations give one more at each call, CRYPT_FIRST starts
    anew.

    Raises:
        WinError: NTE_BAD_TYPE no such parameter; NTE_BAD_FLAGS; ERROR_NO_MORE_ITEMS; what the card says.
    """
    return _contexts.get_param(_CODES, hProv, dwParam, dwFlags)


def CryptSetProvParam(hProv: HCRYPTPROV | None, dwParam: int, pbData: object, dwFlags: int = 0) -> None:
    """Set a parameter of the provider; without one, PP_CLIENT_HWND for those acquired afterwards.

    Raises:
        WinError: NTE_BAD_TYPE no such parameter; NTE_BAD_FLAGS; ERROR_INVALID_PARAMETER another Python type; what
            the card says.
    """
    _contexts.set_param(_CODES, hProv, dwParam, pbData, dwFlags, _ambient.providers_of())


def CryptGetUserKey(hProv: HCRYPTPROV | None, dwKeySpec: int) -> HCRYPTKEY:
    """The key of AT_KEYEXCHANGE or AT_SIGNATURE.

    Raises:
        WinError: NTE_NO_KEY; NTE_BAD_KEY another key spec.
    """
    return _keys.user_key(_CODES, hProv, dwKeySpec)


def CryptGenKey(hProv: HCRYPTPROV | None, Algid: int, dwFlags: int = 0) -> HCRYPTKEY:
    """Make a session key, or a key pair in a slot of the context; the high word of ``dwFlags`` has the bits, 0 =
    default.

    Raises:
        WinError: NTE_BAD_ALGID; NTE_BAD_LEN; NTE_BAD_FLAGS; NTE_SILENT_CONTEXT; NTE_PERM; what the card says.
    """
    return _keys.generate(_CODES, hProv, Algid, dwFlags)


def CryptDeriveKey(hProv: HCRYPTPROV | None, Algid: int, hBaseData: HCRYPTHASH | None, dwFlags: int = 0) -> HCRYPTKEY:
    """A session key from a hash, which is finished by that.

    Raises:
        WinError: NTE_BAD_ALGID; NTE_BAD_LEN; NTE_BAD_FLAGS; NTE_BAD_HASH; ERROR_CALL_NOT_IMPLEMENTED.
    """
    return _keys.derive(_CODES, hProv, Algid, hBaseData, dwFlags)


def CryptImportKey(
    hProv: HCRYPTPROV | None, pbData: bytes, hPubKey: HCRYPTKEY | None = None, dwFlags: int = 0
) -> HCRYPTKEY:
    """The key in a PUBLICKEYBLOB, PRIVATEKEYBLOB, SIMPLEBLOB or PLAINTEXTKEYBLOB.

    Raises:
        WinError: NTE_BAD_DATA malformed; NTE_BAD_TYPE; NTE_BAD_VER; NTE_BAD_ALGID; NTE_BAD_FLAGS; NTE_NO_KEY or
            NTE_BAD_KEY nothing to decrypt it with; NTE_PERM; what the card says.
    """
    return _transport.import_key(_CODES, hProv, pbData, hPubKey, dwFlags)


def CryptExportKey(
    hKey: HCRYPTKEY | None, hExpKey: HCRYPTKEY | None = None, dwBlobType: int = 0, dwFlags: int = 0
) -> bytes:
    """A key as PUBLICKEYBLOB, PRIVATEKEYBLOB, SIMPLEBLOB or PLAINTEXTKEYBLOB.

    Raises:
        WinError: NTE_BAD_TYPE; NTE_BAD_KEY_STATE not exportable; NTE_BAD_KEY the key to encrypt it with is missing
            or wrong; NTE_BAD_FLAGS.
    """
    return _transport.export_key(_CODES, _OWN, hKey, hExpKey, dwBlobType, dwFlags)


def CryptDestroyKey(hKey: HCRYPTKEY | None) -> None:
    """Destroy a key; one on a card stays there."""
    _keys.destroy(_CODES, _OWN, hKey)


def CryptDuplicateKey(hKey: HCRYPTKEY | None, pdwReserved: None = None, dwFlags: int = 0) -> HCRYPTKEY:
    """A session key once more, in the state it has; or one more handle of an RSA key.

    Raises:
        WinError: NTE_BAD_FLAGS; ERROR_INVALID_PARAMETER; ERROR_CALL_NOT_IMPLEMENTED.
    """
    return _keys.duplicate(_CODES, _OWN, hKey, pdwReserved, dwFlags)


def CryptGetKeyParam(hKey: HCRYPTKEY | None, dwParam: int, dwFlags: int = 0) -> Any:  # noqa: ANN401
    """The value of a parameter of a key (KP_*).

    Raises:
        WinError: NTE_BAD_TYPE this key has no such parameter; NTE_BAD_FLAGS; what the card says.
    """
    return _keys.get_param(_CODES, _OWN, hKey, dwParam, dwFlags)


def CryptSetKeyParam(hKey: HCRYPTKEY | None, dwParam: int, pbData: object, dwFlags: int = 0) -> None:
    """Set a parameter of a key.

    Raises:
        WinError: NTE_BAD_TYPE; NTE_BAD_FLAGS; NTE_BAD_LEN or NTE_BAD_DATA not a legal value; ERROR_INVALID_PARAMETER
            another Python type; what the card says.
    """
    _keys.set_param(_CODES, _OWN, hKey, dwParam, pbData, dwFlags)


def CryptEncrypt(
    hKey: HCRYPTKEY | None, hHash: HCRYPTHASH | None = None, Final: bool = True, dwFlags: int = 0, pbData: bytes = b""
) -> bytes:
    """Encrypt; a hash may take the plaintext in on the way. ``Final`` pads and ends the chain of a session key.

    Raises:
        WinError: NTE_BAD_LEN too long, or no whole blocks; NTE_BAD_KEY a signature key; NTE_BAD_FLAGS;
            NTE_BAD_HASH_STATE; NTE_PERM.
    """
    return _ciphers.encrypt(_CODES, _OWN, hKey, hHash, Final, dwFlags, pbData)


def CryptDecrypt(
    hKey: HCRYPTKEY | None, hHash: HCRYPTHASH | None = None, Final: bool = True, dwFlags: int = 0, pbData: bytes = b""
) -> bytes:
    """Decrypt; a hash may take the plaintext in on the way.

    Raises:
        WinError: NTE_BAD_DATA badly padded or of the wrong length; NTE_BAD_LEN no whole blocks; NTE_BAD_KEY a
            signature or public key; NTE_BAD_FLAGS; NTE_BAD_HASH_STATE; NTE_PERM; what the card says.
    """
    return _ciphers.decrypt(_CODES, _OWN, hKey, hHash, Final, dwFlags, pbData)


def CryptCreateHash(
    hProv: HCRYPTPROV | None, Algid: int, hKey: HCRYPTKEY | None = None, dwFlags: int = 0
) -> HCRYPTHASH:
    """A hash; CALG_HMAC and CALG_MAC with a session key.

    Raises:
        WinError: NTE_BAD_ALGID; NTE_BAD_KEY a key is missing, too much or of the wrong kind; NTE_BAD_FLAGS.
    """
    return _hashes.create(_CODES, hProv, Algid, hKey, dwFlags)


def CryptHashData(hHash: HCRYPTHASH | None, pbData: bytes, dwFlags: int = 0) -> None:
    """Take data in.

    Raises:
        WinError: NTE_BAD_HASH_STATE finished; NTE_BAD_FLAGS.
    """
    _hashes.hash_data(_CODES, _OWN, hHash, pbData, dwFlags)


def CryptHashSessionKey(hHash: HCRYPTHASH | None, hKey: HCRYPTKEY | None, dwFlags: int = 0) -> None:
    """Take a session key in: as it is with CRYPT_LITTLE_ENDIAN, else from its last byte to its first.

    Raises:
        WinError: NTE_BAD_KEY; NTE_BAD_HASH_STATE; NTE_BAD_FLAGS; ERROR_CALL_NOT_IMPLEMENTED.
    """
    _hashes.hash_session_key(_CODES, _OWN, hHash, hKey, dwFlags)


def CryptDuplicateHash(hHash: HCRYPTHASH | None, pdwReserved: None = None, dwFlags: int = 0) -> HCRYPTHASH:
    """A hash once more, in the state it has.

    Raises:
        WinError: NTE_BAD_FLAGS; ERROR_INVALID_PARAMETER; ERROR_CALL_NOT_IMPLEMENTED.
    """
    return _hashes.duplicate(_CODES, _OWN, hHash, pdwReserved, dwFlags)


def CryptGetHashParam(hHash: HCRYPTHASH | None, dwParam: int, dwFlags: int = 0) -> Any:  # noqa: ANN401
    """The value of a parameter of a hash (HP_*); HP_HASHVAL finishes it.

    Raises:
        WinError: NTE_BAD_TYPE; NTE_BAD_FLAGS; NTE_BAD_HASH_STATE.
    """
    return _hashes.get_param(_CODES, _OWN, hHash, dwParam, dwFlags)


def CryptSetHashParam(hHash: HCRYPTHASH | None, dwParam: int, pbData: object, dwFlags: int = 0) -> None:
    """Set a parameter of a hash.

    Raises:
        WinError: NTE_BAD_TYPE; NTE_BAD_FLAGS; NTE_BAD_HASH_STATE; NTE_BAD_LEN; NTE_BAD_ALGID;
            ERROR_INVALID_PARAMETER another Python type.
    """
    _hashes.set_param(_CODES, _OWN, hHash, dwParam, pbData, dwFlags)


def CryptDestroyHash(hHash: HCRYPTHASH | None) -> None:
    """Destroy a hash."""
    _hashes.destroy(_CODES, _OWN, hHash)


def CryptSignHash(
    hHash: HCRYPTHASH | None, dwKeySpec: int, szDescription: str | None = None, dwFlags: int = 0
) -> bytes:
    """The signature of a hash by PKCS#1 v1.5, little-endian; CRYPT_NOHASHOID leaves the DigestInfo out.

    Raises:
        WinError: NTE_NO_KEY; NTE_BAD_KEY; NTE_BAD_FLAGS; NTE_BAD_LEN; NTE_BAD_HASH_STATE; what the card says.
    """
    return _hashes.sign(_CODES, _OWN, hHash, dwKeySpec, szDescription, dwFlags)


def CryptVerifySignature(
    hHash: HCRYPTHASH | None,
    pbSignature: bytes,
    hPubKey: HCRYPTKEY | None,
    szDescription: str | None = None,
    dwFlags: int = 0,
) -> None:
    """Verify a signature of a hash, with DigestInfo or without.

    Raises:
        WinError: NTE_BAD_SIGNATURE; NTE_BAD_KEY; NTE_BAD_FLAGS; NTE_BAD_HASH_STATE.
    """
    _hashes.verify(_CODES, _OWN, hHash, pbSignature, hPubKey, szDescription, dwFlags)


def CryptGenRandom(hProv: HCRYPTPROV | None, dwLen: int, pbBuffer: bytes = b"") -> bytes:
    """Random bytes; ``pbBuffer`` may be more seed.

    Raises:
        WinError: ERROR_INVALID_PARAMETER.
    """
    return _contexts.gen_random(_CODES, hProv, dwLen, pbBuffer)
