"""The container map that Yubico's minidriver keeps in object 5FFF10: which slot has which container name.

The object holds one value under tag 81, a whole number of records of 107 bytes, numbers little-endian:

====== ===== ======================================================================================
offset bytes
====== ===== ======================================================================================
0      80    name: up to 39 UTF-16LE units and a NUL
80     1     slot: key reference, 9A … 95
81     1     key spec: 1 exchange, 2 signature
82     2     key size in bits
84     1     flags: 1 valid, 2 default container (as in ``cmapfile``)
85     1     PIN id
86     1     associated ECDH container, FF = none
87     20    fingerprint of the certificate: first 20 bytes of its SHA-256 (older writers: SHA-1); zeros = none
====== ===== ======================================================================================

Source: Yubico, ``ykpiv.h`` (``ykpiv_container``, ``TAG_MSCMAP``), as its Windows minidriver writes it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from calais.cards.piv import spec
from calais.iso7816 import tlv
from calais.minidriver.containers import MAP_DEFAULT, MAP_VALID
from calais.win.errors import BadData, BadParameter

_LAYOUT = struct.Struct("<80sBBHBBB20s")
RECORD_SIZE = _LAYOUT.size
MAX_RECORDS = 64  # PIV has 24 slots; the rest is room for what others left behind
NAME_MAX = 39
FINGERPRINT_SIZE = 20
NO_FINGERPRINT = bytes(FINGERPRINT_SIZE)
NO_ECDH_CONTAINER = 0xFF


@dataclass(frozen=True, slots=True)
class MapRecord:
    """One record.

    ``name``: as stored, up to its NUL, whatever it is made of; ``slot``: key reference; ``fingerprint``: 20 bytes.
    """

    name: str
    slot: int
    key_spec: int
    key_size_bits: int
    flags: int = MAP_VALID
    pin_id: int = 1
    ecdh_container: int = NO_ECDH_CONTAINER
    fingerprint: bytes = NO_FINGERPRINT

    @property
    def is_valid(self) -> bool:
        """Whether the record stands for a container."""
        return bool(self.flags & MAP_VALID)

    @property
    def is_default(self) -> bool:
        """Whether that container is the card's default one."""
        return self.flags & (MAP_VALID | MAP_DEFAULT) == MAP_VALID | MAP_DEFAULT

    @property
    def has_usable_name(self) -> bool:
        """Whether the name can be one: 1 to 39 printable characters."""
        return 0 < _units(self.name) <= NAME_MAX and self.name.isprintable()

    @property
    def names_certificate(self) -> bool:
        """Whether the record is about one certificate."""
        return self.fingerprint != NO_FINGERPRINT

    def is_of(self, der: bytes) -> bool:
        """Whether the fingerprint is that of the certificate ``der``."""
        return self.fingerprint in (fingerprint(der), hashlib.sha1(der, usedforsecurity=False).digest())

    def encode(self) -> bytes:
        """The record's 107 bytes.

        Raises:
            BadParameter: a name longer than 39 UTF-16 units, or a number out of range.
        """
        name = self.name.encode("utf-16-le", "surrogatepass")
        if _units(self.name) > NAME_MAX:
            raise BadParameter(detail=f"a container name has {NAME_MAX} characters at most, not {_units(self.name)}")
        numbers = (self.slot, self.key_spec, self.key_size_bits, self.flags, self.pin_id, self.ecdh_container)
        try:
            return _LAYOUT.pack(name, *numbers, self.fingerprint)
        except struct.error as error:
            raise BadParameter(detail=f"container {self.name!r} does not fit a map record: {error}") from error


def _units(name: str) -> int:
    return len(name.encode("utf-16-le", "surrogatepass")) // 2


def fingerprint(der: bytes) -> bytes:
    """The fingerprint of a certificate as it is written."""
    return hashlib.sha256(der).digest()[:FINGERPRINT_SIZE]


def parse_container_map(content: bytes) -> list[MapRecord]:
    """The records in the content of object 5FFF10, as they stand there.

    Raises:
        BadData: another tag, not a whole number of records, or more than any card has use for.
    """
    value = tlv.parse_one(content, spec.TAG_MAP_RECORDS).value
    count, rest = divmod(len(value), RECORD_SIZE)
    if rest:
        raise BadData(detail=f"a container map of {len(value)} bytes is not made of records", index=count * RECORD_SIZE)
    if count > MAX_RECORDS:
        raise BadData(detail=f"a container map of {count} records", index=MAX_RECORDS * RECORD_SIZE)
    return [_decode(value[at : at + RECORD_SIZE]) for at in range(0, len(value), RECORD_SIZE)]


def _decode(record: bytes) -> MapRecord:
    name, slot, key_spec, size, flags, pin_id, ecdh, certificate = _LAYOUT.unpack(record)
    text = name.decode("utf-16-le", "surrogatepass").split("\0", 1)[0]
    return MapRecord(text, slot, key_spec, size, flags, pin_id, ecdh, certificate)


def build_container_map(records: Iterable[MapRecord]) -> bytes:
    """The content of object 5FFF10; ``b""``, which deletes the object, when there are no records.

    Raises:
        BadParameter: too many records, or one that does not fit.
    """
    kept = list(records)
    if len(kept) > MAX_RECORDS:
        raise BadParameter(detail=f"a container map has {MAX_RECORDS} records at most, not {len(kept)}")
    return tlv.build(spec.TAG_MAP_RECORDS, b"".join(record.encode() for record in kept)) if kept else b""
