"""Hash parameters: one row for each.

Source: CryptGetHashParam, CryptSetHashParam (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from calais.provider.csp.algorithms import HashAlgorithm
from calais.provider.csp.context import CspHash
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import HP_ALGID, HP_HASHSIZE, HP_HASHVAL, HP_HMAC_INFO
from calais.win.structs import HmacInfo


def _set_hmac_info(handle: CspHash, info: HmacInfo) -> None:
    row = handle.context.provider.algorithm(info.hash_alg_id, HashAlgorithm)
    if row.digest is None:
        raise WinError.of(Code.NTE_BAD_ALGID, f"there is no HMAC with {row.name}")
    handle.hash.configure(row.digest, info.inner, info.outer)


class HashRow(NamedTuple):
    """How a parameter is read and set, and the Python types that it is set to."""

    read: Callable[[CspHash], object] | None
    write: Callable[[CspHash, Any], None] | None = None
    takes: tuple[type, ...] = ()


ROWS = {
    HP_ALGID: HashRow(lambda handle: handle.hash.algorithm.alg_id),
    HP_HASHSIZE: HashRow(lambda handle: handle.hash.size),
    HP_HASHVAL: HashRow(
        lambda handle: handle.hash.value(),
        lambda handle, value: handle.hash.set_value(bytes(value)),
        (bytes, bytearray),
    ),
    HP_HMAC_INFO: HashRow(None, _set_hmac_info, (HmacInfo,)),
}


def read(handle: CspHash, param: int) -> object:
    """The value of a parameter; reading HP_HASHVAL finishes the hash.

    Raises:
        WinError: ``NTE_BAD_TYPE``, there is none, or it can only be set; ``NTE_BAD_HASH_STATE``.
    """
    row = ROWS.get(param)
    if row is None or row.read is None:
        raise WinError.of(Code.NTE_BAD_TYPE, f"parameter {param!r} of a hash cannot be read")
    return row.read(handle)


def write(handle: CspHash, param: int, value: object) -> None:
    """Set a parameter.

    Raises:
        WinError: ``NTE_BAD_TYPE``, it cannot be set with this provider or for this hash; ``ERROR_INVALID_PARAMETER``,
            another Python type; ``NTE_BAD_HASH_STATE``, ``NTE_BAD_LEN``, ``NTE_BAD_ALGID``.
    """
    row = ROWS.get(param)
    if row is None or row.write is None or param not in handle.context.provider.hash_settable:
        raise WinError.of(Code.NTE_BAD_TYPE, f"parameter {param!r} of a hash cannot be set")
    if not isinstance(value, row.takes):
        raise WinError.of(Code.ERROR_INVALID_PARAMETER, f"parameter {param} is not set to {type(value).__name__}")
    row.write(handle, value)
