"""The container map ``mscp/cmapfile``: records whose position is the container index.

Source: Microsoft's smart card minidriver specification v7.07, 4.4.2; ``CONTAINER_MAP_RECORD`` of cardmod.h.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from calais.win import blobs
from calais.win.errors import Unsupported
from calais.win.structs import ContainerInfo, ContainerMapRecord

if TYPE_CHECKING:
    from calais.minidriver.api import ContainerEntry

AT_KEYEXCHANGE = 1
AT_SIGNATURE = 2
CALG_RSA_SIGN = 0x2400
CALG_RSA_KEYX = 0xA400
MAP_VALID = 1
MAP_DEFAULT = 2
FREE_RECORD = ContainerMapRecord("", 0, 0, 0)


def parse_cmapfile(data: bytes) -> list[ContainerMapRecord]:
    """The records of a container map; free ones keep their place.

    Raises:
        BadData: not a whole number of records, or a name without end.
    """
    return ContainerMapRecord.parse_file(data)


def build_cmapfile(records: Iterable[ContainerMapRecord]) -> bytes:
    """The container map of ``records``, 86 bytes each; free records at the end are left out."""
    kept = list(records)
    while kept and not kept[-1].is_valid:
        kept.pop()
    return ContainerMapRecord.build_file(kept)


def records_of(entries: Iterable[ContainerEntry]) -> list[ContainerMapRecord]:
    """One record for each index up to the last of ``entries``; indices without an entry are free."""
    by_index = {entry.index: entry for entry in entries}
    return [_record(by_index.get(index)) for index in range(max(by_index, default=-1) + 1)]


def _record(entry: ContainerEntry | None) -> ContainerMapRecord:
    if entry is None:
        return FREE_RECORD
    flags = MAP_VALID | (MAP_DEFAULT if entry.is_default else 0)
    if entry.key_spec == AT_SIGNATURE:
        return ContainerMapRecord(entry.name, flags, entry.size_bits, 0)
    return ContainerMapRecord(entry.name, flags, 0, entry.size_bits)


def build_container_info(key_spec: int, key: PublicKeyTypes) -> ContainerInfo:
    """``CONTAINER_INFO`` with ``key`` as Windows' key blob, in the place that ``key_spec`` names.

    Raises:
        Unsupported: Windows has no blob for such keys.
    """
    if key_spec == AT_SIGNATURE:
        return ContainerInfo(sig_public_key=_blob(key, CALG_RSA_SIGN, "ECDSA"))
    return ContainerInfo(key_ex_public_key=_blob(key, CALG_RSA_KEYX, "ECDH"))


def _blob(key: PublicKeyTypes, alg_id: int, scheme: blobs.Scheme) -> bytes:
    if isinstance(key, rsa.RSAPublicKey):
        return blobs.build_capi_public(key, alg_id)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return blobs.build_ecc_public(key, scheme)
    raise Unsupported(detail=f"Windows has no key blob for {type(key).__name__}")
