"""Records of cardmod.h: the smart card minidriver specification, version 7.07.

All integers are little-endian; ``dwVersion`` members that no class shows are written as the current version, and
0 or 1 is read (0 meant 1 in the first versions).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar

from calais.win.errors import BadData, BadParameter
from calais.win.records import pack, pack_text, unpack, unpack_text
from calais.win.structs.ncrypt import BCryptBuffer, OaepPaddingInfo, Pkcs1PaddingInfo, PssPaddingInfo

CURRENT_VERSION = 1
PIN_VERSION = 6
MAP_NAME_BYTES = 80
MAP_VALID = 1
MAP_DEFAULT = 2
COMPRESSED_HEAD = b"\x01\x00"
COMPRESSED_MAX = 0xFFFF


def _unpack_versioned(layout: Struct, what: str, data: bytes) -> tuple[Any, ...]:
    version, *rest = unpack(layout, what, data)
    if version > CURRENT_VERSION:
        raise BadData(detail=f"{what} of version {version}", index=0)
    return tuple(rest)


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """CONTAINER_INFO: the public keys of a container, PUBLICKEYBLOB or BCRYPT_ECCKEY_BLOB, ``b""`` when absent."""

    version: int = 1
    sig_public_key: bytes = b""
    key_ex_public_key: bytes = b""


@dataclass(frozen=True, slots=True)
class ContainerMapRecord:
    """CONTAINER_MAP_RECORD: one record of ``cmapfile``; its position is the container index.

    ``guid`` is the container name (≤ 39 UTF-16 units), ``flags`` CONTAINER_MAP_*, the sizes are bits (0 = no key).
    Record (86 bytes): name UTF-16LE in 80 bytes, u8 flags, u8 zero, u16 signature bits, u16 exchange bits.
    """

    LAYOUT: ClassVar[Struct] = Struct(f"<{MAP_NAME_BYTES}sBBHH")

    guid: str = ""
    flags: int = 0
    sig_key_size_bits: int = 0
    key_exchange_key_size_bits: int = 0

    @property
    def is_valid(self) -> bool:
        """Whether the record stands for a container."""
        return bool(self.flags & MAP_VALID)

    @property
    def is_default(self) -> bool:
        """Whether it is the card's default container; only a valid one can be."""
        return self.flags & (MAP_VALID | MAP_DEFAULT) == MAP_VALID | MAP_DEFAULT

    def to_bytes(self) -> bytes:
        """The record.

        Raises:
            BadParameter: name longer than 39 UTF-16 units, or a number out of range.
        """
        name = pack_text(self.guid)
        if len(name) > MAP_NAME_BYTES:
            raise BadParameter(detail=f"container name of {len(name) // 2 - 1} characters, 39 at most")
        return pack(
            self.LAYOUT,
            "CONTAINER_MAP_RECORD",
            name,
            self.flags,
            0,
            self.sig_key_size_bits,
            self.key_exchange_key_size_bits,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> ContainerMapRecord:
        """Parse one record; what stands in the name of a free record does not matter.

        Raises:
            BadData: wrong length, or the name of a valid record is no string.
        """
        name, flags, _reserved, signature, exchange = unpack(cls.LAYOUT, "CONTAINER_MAP_RECORD", data)
        guid = unpack_text(name) if flags & MAP_VALID else ""
        return cls(guid, flags, signature, exchange)

    @staticmethod
    def parse_file(data: bytes) -> list[ContainerMapRecord]:
        """The records of a whole ``cmapfile``, free ones included.

        Raises:
            BadData: not a whole number of records, or one of them is malformed.
        """
        size = ContainerMapRecord.LAYOUT.size
        if len(data) % size:
            raise BadData(detail=f"cmapfile of {len(data)} bytes", index=len(data) // size * size)
        return [ContainerMapRecord.from_bytes(data[at : at + size]) for at in range(0, len(data), size)]

    @staticmethod
    def build_file(records: Iterable[ContainerMapRecord]) -> bytes:
        """``cmapfile`` of these records.

        Raises:
            BadParameter: as ``to_bytes``.
        """
        return b"".join(record.to_bytes() for record in records)


@dataclass(frozen=True, slots=True)
class CardCacheFile:
    """CARD_CACHE_FILE_FORMAT, file ``cardcf``: counters that move whenever PINs, containers or files change.

    Record (6 bytes): u8 version, u8 pins, u16 containers, u16 files; then u32 for each further card application.
    """

    LAYOUT: ClassVar[Struct] = Struct("<BBHH")

    version: int = 0
    pins_freshness: int = 0
    containers_freshness: int = 0
    files_freshness: int = 0
    applications: tuple[int, ...] = ()

    def to_bytes(self) -> bytes:
        """The file.

        Raises:
            BadParameter: a counter out of range.
        """
        counters = (self.version, self.pins_freshness, self.containers_freshness, self.files_freshness)
        more = Struct(f"<{len(self.applications)}I")
        return pack(self.LAYOUT, "cardcf", *counters) + pack(more, "cardcf", *self.applications)

    @classmethod
    def from_bytes(cls, data: bytes) -> CardCacheFile:
        """Parse the file.

        Raises:
            BadData: wrong length.
        """
        size = cls.LAYOUT.size
        more = Struct(f"<{max(len(data) - size, 0) // 4}I")
        counters = unpack(Struct(cls.LAYOUT.format + more.format[1:]), "cardcf", data)
        version, pins, containers, files, *applications = counters
        return cls(version, pins, containers, files, tuple(applications))


@dataclass(frozen=True, slots=True)
class CardFreeSpaceInfo:
    """CARD_FREE_SPACE_INFO (16 bytes): u32 version, free bytes, free and possible containers; 0xFFFFFFFF = unknown."""

    LAYOUT: ClassVar[Struct] = Struct("<4I")

    bytes_available: int
    key_containers_available: int
    max_key_containers: int

    def to_bytes(self) -> bytes:
        """The record; ``BadParameter`` for a number out of range."""
        values = (self.bytes_available, self.key_containers_available, self.max_key_containers)
        return pack(self.LAYOUT, "CARD_FREE_SPACE_INFO", CURRENT_VERSION, *values)

    @classmethod
    def from_bytes(cls, data: bytes) -> CardFreeSpaceInfo:
        """Parse the record; ``BadData`` for another length or version."""
        return cls(*_unpack_versioned(cls.LAYOUT, "CARD_FREE_SPACE_INFO", data))


@dataclass(frozen=True, slots=True)
class CardCapabilities:
    """CARD_CAPABILITIES (12 bytes): u32 version, two BOOLs.

    ``certificate_compression``: card or driver compress by themselves, so the caller hands over plain DER.
    ``key_gen``: keys can be generated on the card.
    """

    LAYOUT: ClassVar[Struct] = Struct("<3I")

    certificate_compression: bool
    key_gen: bool

    def to_bytes(self) -> bytes:
        """The record."""
        return pack(self.LAYOUT, "CARD_CAPABILITIES", CURRENT_VERSION, self.certificate_compression, self.key_gen)

    @classmethod
    def from_bytes(cls, data: bytes) -> CardCapabilities:
        """Parse the record; ``BadData`` for another length or version."""
        return cls(*map(bool, _unpack_versioned(cls.LAYOUT, "CARD_CAPABILITIES", data)))


@dataclass(frozen=True, slots=True)
class CardKeySizes:
    """CARD_KEY_SIZES (20 bytes): u32 version, then four sizes in bits."""

    LAYOUT: ClassVar[Struct] = Struct("<5I")

    minimum_bit_len: int
    default_bit_len: int
    maximum_bit_len: int
    incremental_bit_len: int

    def to_bytes(self) -> bytes:
        """The record; ``BadParameter`` for a number out of range."""
        sizes = (self.minimum_bit_len, self.default_bit_len, self.maximum_bit_len, self.incremental_bit_len)
        return pack(self.LAYOUT, "CARD_KEY_SIZES", CURRENT_VERSION, *sizes)

    @classmethod
    def from_bytes(cls, data: bytes) -> CardKeySizes:
        """Parse the record; ``BadData`` for another length or version."""
        return cls(*_unpack_versioned(cls.LAYOUT, "CARD_KEY_SIZES", data))


@dataclass(frozen=True, slots=True)
class CardFileInfo:
    """CARD_FILE_INFO (12 bytes): u32 version, size in bytes, CARD_FILE_ACCESS_CONDITION."""

    LAYOUT: ClassVar[Struct] = Struct("<3I")

    file_size: int
    access_condition: int

    def to_bytes(self) -> bytes:
        """The record; ``BadParameter`` for a number out of range."""
        return pack(self.LAYOUT, "CARD_FILE_INFO", CURRENT_VERSION, self.file_size, self.access_condition)

    @classmethod
    def from_bytes(cls, data: bytes) -> CardFileInfo:
        """Parse the record; ``BadData`` for another length or version."""
        return cls(*_unpack_versioned(cls.LAYOUT, "CARD_FILE_INFO", data))


@dataclass(frozen=True, slots=True)
class PinCachePolicy:
    """PIN_CACHE_POLICY (12 bytes): u32 version 6, PIN_CACHE_POLICY_TYPE, ``info`` = seconds for PinCacheTimed."""

    LAYOUT: ClassVar[Struct] = Struct("<3I")

    policy: int
    info: int = 0

    def to_bytes(self) -> bytes:
        """The record; ``BadParameter`` for a number out of range."""
        return pack(self.LAYOUT, "PIN_CACHE_POLICY", PIN_VERSION, self.policy, self.info)

    @classmethod
    def from_bytes(cls, data: bytes) -> PinCachePolicy:
        """Parse the record; ``BadData`` for another length or version."""
        version, policy, info = unpack(cls.LAYOUT, "PIN_CACHE_POLICY", data)
        if version not in (0, PIN_VERSION):
            raise BadData(detail=f"PIN_CACHE_POLICY of version {version}", index=0)
        return cls(policy, info)


@dataclass(frozen=True, slots=True)
class PinInfo:
    """PIN_INFO: what a PIN is and who may change or unblock it (PIN_SET masks).

    Record (36 bytes): u32 version 6, SECRET_TYPE, SECRET_PURPOSE, change mask, unblock mask, PIN_CACHE_POLICY (12),
    u32 flags.
    """

    LAYOUT: ClassVar[Struct] = Struct("<5I12sI")

    pin_type: int
    pin_purpose: int
    change_permission: int
    unblock_permission: int
    cache_policy: PinCachePolicy
    flags: int = 0
    version: int = PIN_VERSION

    def to_bytes(self) -> bytes:
        """The record; ``BadParameter`` for a number out of range."""
        kinds = (self.version, self.pin_type, self.pin_purpose)
        masks = (self.change_permission, self.unblock_permission)
        return pack(self.LAYOUT, "PIN_INFO", *kinds, *masks, self.cache_policy.to_bytes(), self.flags)

    @classmethod
    def from_bytes(cls, data: bytes) -> PinInfo:
        """Parse the record; ``BadData`` for another length, or a malformed cache policy."""
        version, kind, purpose, change, unblock, policy, flags = unpack(cls.LAYOUT, "PIN_INFO", data)
        return cls(kind, purpose, change, unblock, PinCachePolicy.from_bytes(policy), flags, version)


@dataclass(frozen=True, slots=True)
class CardSigningInfo:
    """CARD_SIGNING_INFO: what CardSignData is to sign; ``data`` is the hash, not padded."""

    container_index: int
    key_spec: int
    data: bytes
    signing_flags: int = 0
    hash_alg: int = 0
    padding_type: int = 0
    padding_info: Pkcs1PaddingInfo | PssPaddingInfo | None = None
    version: int = 2


@dataclass(frozen=True, slots=True)
class CardRsaDecryptInfo:
    """CARD_RSA_DECRYPT_INFO: what CardRSADecrypt is to decrypt; ``data`` is little-endian."""

    container_index: int
    key_spec: int
    data: bytes
    padding_type: int = 0
    padding_info: OaepPaddingInfo | None = None
    version: int = 2


@dataclass(frozen=True, slots=True)
class CardDhAgreementInfo:
    """CARD_DH_AGREEMENT_INFO: own container and the peer's BCRYPT_ECCKEY_BLOB."""

    container_index: int
    public_key: bytes
    flags: int = 0
    version: int = 2


@dataclass(frozen=True, slots=True)
class CardDeriveKeyInfo:
    """CARD_DERIVE_KEY: which agreed secret goes through which KDF (name as in bcrypt.h) with which parameters."""

    kdf: str
    agreement_index: int
    parameters: tuple[BCryptBuffer, ...] = ()
    flags: int = 0
    version: int = 2


def compress_certificate(der: bytes) -> bytes:
    """A certificate as ``kxcNN`` and ``kscNN`` hold it: 01 00, length of ``der`` in u16, zlib stream (RFC 1950).

    Raises:
        BadParameter: longer than 65535 bytes.
    """
    if len(der) > COMPRESSED_MAX:
        raise BadParameter(detail=f"a certificate of {len(der)} bytes cannot be stored compressed")
    return COMPRESSED_HEAD + len(der).to_bytes(2, "little") + zlib.compress(der)


def expand_certificate(data: bytes) -> bytes:
    """The DER in a certificate file, compressed or not.

    Raises:
        BadData: neither DER nor the compressed form, or the stream is not of the announced length.
    """
    if data[:1] == b"\x30":
        return data
    if len(data) < 4 or data[:2] != COMPRESSED_HEAD:
        raise BadData(detail="neither a certificate nor a compressed one", index=0)
    length = int.from_bytes(data[2:4], "little")
    stream = zlib.decompressobj()
    try:
        # One byte more than announced shows a stream that goes on, without unpacking all of it.
        der = stream.decompress(data[4:], length + 1)
    except zlib.error as error:
        raise BadData(detail=f"compressed certificate: {error}", index=4) from error
    if len(der) != length or not stream.eof:
        raise BadData(detail=f"compressed certificate is not the announced {length} bytes", index=4)
    return der
