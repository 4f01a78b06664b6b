"""The key map: which key file each container has.

Byte 01, then records of 12 bytes whose position is the container index: state (32-bit little-endian, 1 = there is a
key), algorithm (low half of a mechanism identifier), usage (9A key exchange, 9C signature), identifier of the key file
(16-bit little-endian, B0xx with the key reference xx), FFFF, 0000. A freed record has state 0 and file FFFF.

Source: Microsoft, "Windows inbox smart card minidriver"; the map on cards that Windows wrote.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from calais.cards.gids import spec
from calais.minidriver.containers import AT_KEYEXCHANGE, AT_SIGNATURE
from calais.win.errors import BadData

_RECORD = struct.Struct("<IBBHHH")
USAGE_OF_KEY_SPEC = {AT_KEYEXCHANGE: spec.Usage.KEY_EXCHANGE, AT_SIGNATURE: spec.Usage.SIGNATURE}
_KEY_SPEC_OF_USAGE = {int(usage): key_spec for key_spec, usage in USAGE_OF_KEY_SPEC.items()}
KIDS = range(spec.KID_FIRST, spec.KID_LAST + 1)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One record; ``key_spec`` is 1 or 2, or 0 for a usage of somebody else's making."""

    used: bool
    algorithm: int
    key_spec: int
    file: int

    @property
    def kid(self) -> int | None:
        """The key reference, ``None`` when the record names no key file."""
        kid = self.file - spec.FID_KEY
        return kid if self.used and kid in KIDS else None


FREE = KeyRecord(used=False, algorithm=0, key_spec=0, file=spec.KEY_MAP_NOTHING)


def kid_of(index: int) -> int:
    """The key reference of container ``index`` on every card that is filled by the rule."""
    return spec.KID_FIRST + index


def record_for(index: int, algorithm: int, key_spec: int) -> KeyRecord:
    """The record of a key of container ``index``; ``key_spec`` 1 or 2."""
    return KeyRecord(used=True, algorithm=algorithm, key_spec=key_spec, file=spec.FID_KEY + kid_of(index))


def parse(data: bytes) -> tuple[KeyRecord, ...]:
    """The records, in order of container index; no data at all is an empty map.

    Raises:
        BadData: another version, or a piece of a record.
    """
    if not data:
        return ()
    if data[0] != spec.KEY_MAP_VERSION:
        raise BadData(detail="the key map is of no version known here", index=0)
    if (len(data) - 1) % spec.KEY_MAP_RECORD_SIZE:
        raise BadData(detail=f"a key map of {len(data)} bytes is not made of whole records", index=len(data))
    return tuple(
        KeyRecord(state == spec.KEY_MAP_USED, algorithm, _KEY_SPEC_OF_USAGE.get(usage, 0), file)
        for state, algorithm, usage, file, _, _ in _RECORD.iter_unpack(data[1:])
    )


def build(records: Iterable[KeyRecord]) -> bytes:
    """The key map of ``records``."""
    return bytes((spec.KEY_MAP_VERSION,)) + b"".join(_build_record(record) for record in records)


def _build_record(record: KeyRecord) -> bytes:
    if not record.used:
        return _RECORD.pack(0, 0, 0, spec.KEY_MAP_NOTHING, spec.KEY_MAP_NOTHING, 0)
    usage = USAGE_OF_KEY_SPEC.get(record.key_spec, 0)
    return _RECORD.pack(spec.KEY_MAP_USED, record.algorithm, usage, record.file, spec.KEY_MAP_NOTHING, 0)


def replaced(records: Sequence[KeyRecord], index: int, record: KeyRecord) -> tuple[KeyRecord, ...]:
    """``records`` with that of container ``index`` replaced, and free ones before it where there was none."""
    padded = [*records, *[FREE] * (index + 1 - len(records))]
    padded[index] = record
    return tuple(padded)
