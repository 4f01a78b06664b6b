"""Structures as DER, bytes as text, and digests.

Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

from typing import Any

from calais.store import questions as _questions
from calais.store.coding import binary as _binary
from calais.store.coding import structures as _structures
from calais.win.flags.wincrypt import CALG_MD5 as _CALG_MD5
from calais.win.flags.wincrypt import CALG_SHA1 as _CALG_SHA1
from calais.win.structs import CertPublicKeyInfo


def CryptEncodeObjectEx(
    dwCertEncodingType: int, lpszStructType: int | str, pvStructInfo: object, dwFlags: int = 0, pEncodePara: None = None
) -> bytes:
    """A structure as DER.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND no encoding or unknown type; E_INVALIDARG a value that is none of this type.
    """
    return _structures.encode(dwCertEncodingType, lpszStructType, pvStructInfo, dwFlags)


def CryptEncodeObject(
    dwCertEncodingType: int, lpszStructType: int | str, pvStructInfo: object, dwFlags: int = 0, pEncodePara: None = None
) -> bytes:
    """As CryptEncodeObjectEx."""
    return _structures.encode(dwCertEncodingType, lpszStructType, pvStructInfo, dwFlags)


def CryptDecodeObjectEx(
    dwCertEncodingType: int, lpszStructType: int | str, pbEncoded: bytes, dwFlags: int = 0, pDecodePara: None = None
) -> Any:  # noqa: ANN401 - the type is the structure's
    """The structure that the DER stands for.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND no encoding or unknown type; CRYPT_E_ASN1_EOD, …_BADTAG, …_CORRUPT.
    """
    return _structures.decode(dwCertEncodingType, lpszStructType, pbEncoded, dwFlags)


def CryptDecodeObject(
    dwCertEncodingType: int, lpszStructType: int | str, pbEncoded: bytes, dwFlags: int = 0, pDecodePara: None = None
) -> Any:  # noqa: ANN401
    """As CryptDecodeObjectEx."""
    return _structures.decode(dwCertEncodingType, lpszStructType, pbEncoded, dwFlags)


def CryptBinaryToString(pbBinary: bytes, dwFlags: int) -> str:
    """Bytes in one of the CRYPT_STRING_* forms.

    Raises:
        WinError: ERROR_INVALID_PARAMETER no bytes, or an unknown form.
    """
    return _binary.to_text(pbBinary, dwFlags)


def CryptStringToBinary(pszString: str, dwFlags: int) -> _binary.Found:
    """The bytes, the characters before their header, and the form that was found.

    Raises:
        WinError: ERROR_INVALID_DATA the text is in another form; ERROR_INVALID_PARAMETER an unknown form.
    """
    return _binary.from_text(pszString, dwFlags)


def CryptHashCertificate(hCryptProv: object, Algid: int, dwFlags: int, pbEncoded: bytes) -> bytes:
    """Digest of the bytes; ``Algid`` 0 = SHA-1.

    Raises:
        WinError: NTE_BAD_ALGID.
    """
    return _questions.hash_by_alg_id(Algid, _CALG_SHA1, pbEncoded)


def CryptHashCertificate2(pwszCNGHashAlgid: str, dwFlags: int, pvReserved: None, pbEncoded: bytes) -> bytes:
    """Digest of the bytes, by CNG's name of the hash.

    Raises:
        WinError: STATUS_NOT_FOUND.
    """
    return _questions.hash_by_name(pwszCNGHashAlgid, pbEncoded)


def CryptHashPublicKeyInfo(
    hCryptProv: object, Algid: int, dwFlags: int, dwCertEncodingType: int, pInfo: CertPublicKeyInfo
) -> bytes:
    """Digest of the SubjectPublicKeyInfo; ``Algid`` 0 = MD5.

    Raises:
        WinError: NTE_BAD_ALGID.
    """
    return _questions.hash_public_key(Algid, _CALG_MD5, dwCertEncodingType, pInfo)


def CryptHashToBeSigned(hCryptProv: object, dwCertEncodingType: int, pbEncoded: bytes) -> bytes:
    """Digest of the part that is signed, by the signature's algorithm.

    Raises:
        WinError: NTE_BAD_ALGID; ERROR_FILE_NOT_FOUND no encoding; CRYPT_E_ASN1_* no signed content.
    """
    return _questions.hash_to_be_signed(dwCertEncodingType, pbEncoded)
