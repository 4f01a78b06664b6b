"""Key blobs: the header that all have, and the two that hold session keys.

Everything is little-endian. Source: wincrypt.h (PUBLICKEYSTRUC, PLAINTEXTKEYBLOB); Microsoft's documentation of
SIMPLEBLOB; the blobs of RSA keys are in ``calais.win.blobs``.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple, TypeVar

from cryptography.hazmat.primitives.asymmetric import rsa

from calais.win import blobs
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, WinError
from calais.win.flags import (
    AT_KEYEXCHANGE,
    AT_SIGNATURE,
    CALG_RSA_KEYX,
    CALG_RSA_SIGN,
    CUR_BLOB_VERSION,
    PLAINTEXTKEYBLOB,
    PRIVATEKEYBLOB,
    PUBLICKEYBLOB,
    SIMPLEBLOB,
)

# PUBLICKEYSTRUC: type, version, reserved, ALG_ID.
HEADER = Struct("<BBHI")
# After it: ALG_ID of the key that encrypts (SIMPLEBLOB), or length of the key (PLAINTEXTKEYBLOB).
WORD = Struct("<I")
BODY = HEADER.size + WORD.size

ALG_OF_SPEC = {AT_KEYEXCHANGE: CALG_RSA_KEYX, AT_SIGNATURE: CALG_RSA_SIGN}
SPEC_OF_ALG = {alg_id: key_spec for key_spec, alg_id in ALG_OF_SPEC.items()}
T = TypeVar("T")


class Header(NamedTuple):
    """Type of a key blob and the algorithm of its key."""

    kind: int
    alg_id: int


def parse_header(data: bytes, legal: frozenset[int]) -> Header:
    """The header of a key blob, of one of the ``legal`` types.

    Raises:
        WinError: ``NTE_BAD_DATA`` too short; ``NTE_BAD_TYPE``; ``NTE_BAD_VER``.
    """
    if len(data) < HEADER.size:
        raise WinError.of(Code.NTE_BAD_DATA, f"a key blob has at least {HEADER.size} bytes")
    kind, version, _reserved, alg_id = HEADER.unpack_from(data)
    if kind not in legal:
        raise WinError.of(Code.NTE_BAD_TYPE, f"key blobs of type {kind} cannot be imported here")
    if version != CUR_BLOB_VERSION:
        raise WinError.of(Code.NTE_BAD_VER, f"key blob of version {version}")
    return Header(kind, alg_id)


def parse_public(data: bytes) -> tuple[rsa.RSAPublicKey, int]:
    """Key and key spec in a PUBLICKEYBLOB.

    Raises:
        WinError: ``NTE_BAD_DATA``.
    """
    return _parsed(blobs.parse_capi_public, data)


def parse_private(data: bytes) -> tuple[rsa.RSAPrivateKey, int]:
    """Key and key spec in a PRIVATEKEYBLOB.

    Raises:
        WinError: ``NTE_BAD_DATA``.
    """
    return _parsed(blobs.parse_capi_private, data)


def _parsed(parse: Callable[[bytes], tuple[T, int]], data: bytes) -> tuple[T, int]:
    try:
        key, alg_id = parse(data)
    except (BadData, BadParameter) as error:
        raise WinError.of(Code.NTE_BAD_DATA, error.detail) from error
    return key, SPEC_OF_ALG[alg_id]


def build_public(key: rsa.RSAPublicKey, key_spec: int) -> bytes:
    """PUBLICKEYBLOB."""
    return blobs.build_capi_public(key, ALG_OF_SPEC[key_spec])


def build_private(key: rsa.RSAPrivateKey, key_spec: int) -> bytes:
    """PRIVATEKEYBLOB."""
    return blobs.build_capi_private(key, ALG_OF_SPEC[key_spec])


def parse_simple(data: bytes) -> bytes:
    """The encrypted block in a SIMPLEBLOB, turned to big-endian.

    Raises:
        WinError: ``NTE_BAD_DATA`` too short; ``NTE_BAD_ALGID`` not encrypted by an RSA exchange key.
    """
    if len(data) < BODY:
        raise WinError.of(Code.NTE_BAD_DATA, "the key blob is cut off")
    (alg_id,) = WORD.unpack_from(data, HEADER.size)
    if alg_id != CALG_RSA_KEYX:
        raise WinError.of(Code.NTE_BAD_ALGID, f"a session key is not encrypted by algorithm {alg_id:#x}")
    return data[BODY:][::-1]


def build_simple(alg_id: int, block: bytes) -> bytes:
    """SIMPLEBLOB of a session key ``alg_id``; ``block`` = PKCS#1 or OAEP ciphertext, big-endian."""
    return HEADER.pack(SIMPLEBLOB, CUR_BLOB_VERSION, 0, alg_id) + WORD.pack(CALG_RSA_KEYX) + block[::-1]


def parse_plaintext(data: bytes) -> bytes:
    """The key in a PLAINTEXTKEYBLOB.

    Raises:
        WinError: ``NTE_BAD_DATA``, another length than announced.
    """
    if len(data) < BODY or WORD.unpack_from(data, HEADER.size)[0] != len(data) - BODY:
        raise WinError.of(Code.NTE_BAD_DATA, "the key blob has not the length that it announces")
    return data[BODY:]


def build_plaintext(alg_id: int, value: bytes) -> bytes:
    """PLAINTEXTKEYBLOB of a session key."""
    return HEADER.pack(PLAINTEXTKEYBLOB, CUR_BLOB_VERSION, 0, alg_id) + WORD.pack(len(value)) + value


RSA_BLOBS = frozenset({PUBLICKEYBLOB, PRIVATEKEYBLOB})
