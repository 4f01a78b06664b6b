"""A service provider of CryptoAPI from inside: the 25 entry points that it exports, under Microsoft's names.

The provider is chosen once, by ``CPAcquireContext``; the other entry points find it through ``hProv``. Out-parameters
are returned, failure raises ``calais.win.errors.WinError``. Handles are those of ``advapi32``; one that is closed, or
none, is NTE_BAD_UID, NTE_BAD_KEY or NTE_BAD_HASH. Signatures and RSA ciphertexts are little-endian.
Source: cspdk.h; Microsoft's documentation of the CryptoSPI functions.
"""

# Every constant and structure of the header is part of this module, under its own name.
# ruff: noqa: F403, PLC0414

from __future__ import annotations

from typing import Any

from calais.provider.csp.calls import ciphers as _ciphers
from calais.provider.csp.calls import contexts as _contexts
from calais.provider.csp.calls import hashes as _hashes
from calais.provider.csp.calls import keys as _keys
from calais.provider.csp.calls import transport as _transport
from calais.provider.csp.calls.contexts import Host as _Host
from calais.provider.csp.context import CSPDK as _CODES
from calais.win.codes import *
from calais.win.flags import *
from calais.win.flags import MS_SCARD_PROV
from calais.win.structs import *
from calais.winapi import ambient as _ambient
from calais.winapi.advapi32 import HCRYPTHASH as HCRYPTHASH
from calais.winapi.advapi32 import HCRYPTKEY as HCRYPTKEY
from calais.winapi.advapi32 import HCRYPTPROV as HCRYPTPROV


def CPAcquireContext(
    szContainer: str | None = None,
    dwFlags: int = 0,
    pVTable: object = None,
    *,
    provider: str = MS_SCARD_PROV,
    system: _Host | None = None,
) -> HCRYPTPROV | None:
    """Open ``provider``; ``None`` = done, for CRYPT_DELETEKEYSET. ``pVTable`` is not used.

    Raises:
        WinError: NTE_KEYSET_NOT_DEF no such provider; NTE_BAD_FLAGS; NTE_BAD_KEYSET_PARAM; NTE_BAD_KEYSET;
            NTE_EXISTS; NTE_TOKEN_KEYSET_STORAGE_FULL; NTE_PERM; NTE_SILENT_CONTEXT; what the card says.
    """
    return _contexts.acquire_by_name(szContainer, provider, dwFlags, _ambient.providers_of(system))


def CPReleaseContext(hProv: HCRYPTPROV | None, dwFlags: int = 0) -> None:
    """Give a reference back; with the last one the keys and hashes of the context are dead.

    Raises:
        WinError: NTE_BAD_FLAGS, and the reference is given back all the same.
    """
    _contexts.release(_CODES, hProv, dwFlags)


def CPGetProvParam(hProv: HCRYPTPROV | None, dwParam: int, dwFlags: int = 0) -> Any:  # noqa: ANN401
    """The value of a parameter of the provider (PP_*); enumerations give one more at each call, CRYPT_FIRST starts
    anew.

    Raises:
        WinError: NTE_BAD_TYPE no such parameter; NTE_BAD_FLAGS; ERROR_NO_MORE_ITEMS; what the card says.
    """
    return _contexts.get_param(_CODES, hProv, dwParam, dwFlags)


def CPSetProvParam(hProv: HCRYPTPROV | None, dwParam: int, pbData: object, dwFlags: int = 0) -> None:
    """Set a parameter of the provider; without one, PP_CLIENT_HWND for those acquired afterwards.

    Raises:
        WinError: NTE_BAD_TYPE no such parameter; NTE_BAD_FLAGS; ERROR_INVALID_PARAMETER another Python type; what
            the card says.
    """
    _contexts.set_param(_CODES, hProv, dwParam, pbData, dwFlags, _ambient.providers_of())


def CPGetUserKey(hProv: HCRYPTPROV | None, dwKeySpec: int) -> HCRYPTKEY:
    """The key of AT_KEYEXCHANGE or AT_SIGNATURE.

    Raises:
        WinError: NTE_NO_KEY; NTE_BAD_KEY another key spec.
    """
    return _keys.user_key(_CODES, hProv, dwKeySpec)


def CPGenKey(hProv: HCRYPTPROV | None, Algid: int, dwFlags: int = 0) -> HCRYPTKEY:
    """Make a session key, or a key pair in a slot of the context; the high word of ``dwFlags`` has the bits, 0 =
    default.

    Raises:
        WinError: NTE_BAD_ALGID; NTE_BAD_LEN; NTE_BAD_FLAGS; NTE_SILENT_CONTEXT; NTE_PERM; what the card says.
    """
    return _keys.generate(_CODES, hProv, Algid, dwFlags)


def CPDeriveKey(hProv: HCRYPTPROV | None, Algid: int, hBaseData: HCRYPTHASH | None, dwFlags: int = 0) -> HCRYPTKEY:
    """A session key from a hash, which is finished by that.

    Raises:
        WinError: NTE_BAD_ALGID; NTE_BAD_LEN; NTE_BAD_FLAGS; NTE_BAD_HASH; ERROR_CALL_NOT_IMPLEMENTED.
    """
    return _keys.derive(_CODES, hProv, Algid, hBaseData, dwFlags)


def CPImportKey(
    hProv: HCRYPTPROV | None, pbData: bytes, hPubKey: HCRYPTKEY | None = None, dwFlags: int = 0
) -> HCRYPTKEY:
    """The key in a PUBLICKEYBLOB, PRIVATEKEYBLOB, SIMPLEBLOB or PLAINTEXTKEYBLOB.

    Raises:
        WinError: NTE_BAD_DATA malformed; NTE_BAD_TYPE; NTE_BAD_VER; NTE_BAD_ALGID; NTE_BAD_FLAGS; NTE_NO_KEY or
            NTE_BAD_KEY nothing to decrypt it with; NTE_PERM; what the card says.
    """
    return _transport.import_key(_CODES, hProv, pbData, hPubKey, dwFlags)


def CPExportKey(
    hProv: HCRYPTPROV | None,
    hKey: HCRYPTKEY | None,
    hPubKey: HCRYPTKEY | None = None,
    dwBlobType: int = 0,
    dwFlags: int = 0,
) -> bytes:
    """A key as PUBLICKEYBLOB, PRIVATEKEYBLOB, SIMPLEBLOB or PLAINTEXTKEYBLOB.

    Raises:
        WinError: NTE_BAD_TYPE; NTE_BAD_KEY_STATE not exportable; NTE_BAD_KEY the key to encrypt it with is missing
            or wrong; NTE_BAD_FLAGS.
    """
    return _transport.export_key(_CODES, hProv, hKey, hPubKey, dwBlobType, dwFlags)


def CPDestroyKey(hProv: HCRYPTPROV | None, hKey: HCRYPTKEY | None) -> None:
    """Destroy a key; one on a card stays there."""
    _keys.destroy(_CODES, hProv, hKey)


def CPDuplicateKey(
    hUID: HCRYPTPROV | None, hKey: HCRYPTKEY | None, pdwReserved: None = None, dwFlags: int = 0
) -> HCRYPTKEY:
    """A session key once more, in the state it has; or one more handle of an RSA key.

    Raises:
        WinError: NTE_BAD_FLAGS; ERROR_INVALID_PARAMETER; ERROR_CALL_NOT_IMPLEMENTED.
    """
    return _keys.duplicate(_CODES, hUID, hKey, pdwReserved, dwFlags)


def CPGetKeyParam(hProv: HCRYPTPROV | None, hKey: HCRYPTKEY | None, dwParam: int, dwFlags: int = 0) -> Any:  # noqa: ANN401
    """The value of a parameter of a key (KP_*).

    Raises:
        WinError: NTE_BAD_TYPE this key has no such parameter; NTE_BAD_FLAGS; what the card says.
    """
    return _keys.get_param(_CODES, hProv, hKey, dwParam, dwFlags)


def CPSetKeyParam(
    hProv: HCRYPTPROV | None, hKey: HCRYPTKEY | None, dwParam: int, pbData: object, dwFlags: int = 0
) -> None:
    """Set a parameter of a key.

    Raises:
        WinError: NTE_BAD_TYPE; NTE_BAD_FLAGS; NTE_BAD_LEN or NTE_BAD_DATA not a legal value; ERROR_INVALID_PARAMETER
            another Python type; what the card says.
    """
    _keys.set_param(_CODES, hProv, hKey, dwParam, pbData, dwFlags)


def CPEncrypt(
    hProv: HCRYPTPROV | None,
    hKey: HCRYPTKEY | None,
    hHash: HCRYPTHASH | None = None,
    fFinal: bool = True,
    dwFlags: int = 0,
    pbData: bytes = b"",
) -> bytes:
    """Encrypt; a hash may take the plaintext in on the way. ``fFinal`` pads and ends the chain of a session key.

    Raises:
        WinError: NTE_BAD_LEN too long, or no whole blocks; NTE_BAD_KEY a signature key; NTE_BAD_FLAGS;
            NTE_BAD_HASH_STATE; NTE_PERM.
    """
    return _ciphers.encrypt(_CODES, hProv, hKey, hHash, fFinal, dwFlags, pbData)


def CPDecrypt(
    hProv: HCRYPTPROV | None,
    hKey: HCRYPTKEY | None,
    hHash: HCRYPTHASH | None = None,
    fFinal: bool = True,
    dwFlags: int = 0,
    pbData: bytes = b"",
) -> bytes:
    """Decrypt; a hash may take the plaintext in on the way.

    Raises:
        WinError: NTE_BAD_DATA badly padded or of the wrong length; NTE_BAD_LEN no whole blocks; NTE_BAD_KEY a
            signature or public key; NTE_BAD_FLAGS; NTE_BAD_HASH_STATE; NTE_PERM; what the card says.
    """
    return _ciphers.decrypt(_CODES, hProv, hKey, hHash, fFinal, dwFlags, pbData)


def CPCreateHash(hProv: HCRYPTPROV | None, Algid: int, hKey: HCRYPTKEY | None = None, dwFlags: int = 0) -> HCRYPTHASH:
    """A hash; CALG_HMAC and CALG_MAC with a session key.

    Raises:
        WinError: NTE_BAD_ALGID; NTE_BAD_KEY a key is missing, too much or of the wrong kind; NTE_BAD_FLAGS.
    """
    return _hashes.create(_CODES, hProv, Algid, hKey, dwFlags)


def CPHashData(hProv: HCRYPTPROV | None, hHash: HCRYPTHASH | None, pbData: bytes, dwFlags: int = 0) -> None:
    """Take data in.

    Raises:
        WinError: NTE_BAD_HASH_STATE finished; NTE_BAD_FLAGS.
    """
    _hashes.hash_data(_CODES, hProv, hHash, pbData, dwFlags)


def CPHashSessionKey(
    hProv: HCRYPTPROV | None, hHash: HCRYPTHASH | None, hKey: HCRYPTKEY | None, dwFlags: int = 0
) -> None:
    """Take a session key in: as it is with CRYPT_LITTLE_ENDIAN, else from its last byte to its first.

    Raises:
        WinError: NTE_BAD_KEY; NTE_BAD_HASH_STATE; NTE_BAD_FLAGS; ERROR_CALL_NOT_IMPLEMENTED.
    """
    _hashes.hash_session_key(_CODES, hProv, hHash, hKey, dwFlags)


def CPDuplicateHash(
    hUID: HCRYPTPROV | None, hHash: HCRYPTHASH | None, pdwReserved: None = None, dwFlags: int = 0
) -> HCRYPTHASH:
    """A hash once more, in the state it has.

    Raises:
        WinError: NTE_BAD_FLAGS; ERROR_INVALID_PARAMETER; ERROR_CALL_NOT_IMPLEMENTED.
    """
    return _hashes.duplicate(_CODES, hUID, hHash, pdwReserved, dwFlags)


def CPGetHashParam(hProv: HCRYPTPROV | None, hHash: HCRYPTHASH | None, dwParam: int, dwFlags: int = 0) -> Any:  # noqa: ANN401
    """The value of a parameter of a hash (HP_*); HP_HASHVAL finishes it.

    Raises:
        WinError: NTE_BAD_TYPE; NTE_BAD_FLAGS; NTE_BAD_HASH_STATE.
    """
    return _hashes.get_param(_CODES, hProv, hHash, dwParam, dwFlags)


def CPSetHashParam(
    hProv: HCRYPTPROV | None, hHash: HCRYPTHASH | None, dwParam: int, pbData: object, dwFlags: int = 0
) -> None:
    """Set a parameter of a hash.

    Raises:
        WinError: NTE_BAD_TYPE; NTE_BAD_FLAGS; NTE_BAD_HASH_STATE; NTE_BAD_LEN; NTE_BAD_ALGID;
            ERROR_INVALID_PARAMETER another Python type.
    """
    _hashes.set_param(_CODES, hProv, hHash, dwParam, pbData, dwFlags)


def CPDestroyHash(hProv: HCRYPTPROV | None, hHash: HCRYPTHASH | None) -> None:
    """Destroy a hash."""
    _hashes.destroy(_CODES, hProv, hHash)


def CPSignHash(
    hProv: HCRYPTPROV | None,
    hHash: HCRYPTHASH | None,
    dwKeySpec: int,
    szDescription: str | None = None,
    dwFlags: int = 0,
) -> bytes:
    """The signature of a hash by PKCS#1 v1.5, little-endian; CRYPT_NOHASHOID leaves the DigestInfo out.

    Raises:
        WinError: NTE_NO_KEY; NTE_BAD_KEY; NTE_BAD_FLAGS; NTE_BAD_LEN; NTE_BAD_HASH_STATE; what the card says.
    """
    return _hashes.sign(_CODES, hProv, hHash, dwKeySpec, szDescription, dwFlags)


def CPVerifySignature(
    hProv: HCRYPTPROV | None,
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
    _hashes.verify(_CODES, hProv, hHash, pbSignature, hPubKey, szDescription, dwFlags)


def CPGenRandom(hProv: HCRYPTPROV | None, dwLen: int, pbBuffer: bytes = b"") -> bytes:
    """Random bytes; ``pbBuffer`` may be more seed.

    Raises:
        WinError: ERROR_INVALID_PARAMETER.
    """
    return _contexts.gen_random(_CODES, hProv, dwLen, pbBuffer)
