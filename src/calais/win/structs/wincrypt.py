"""Records of wincrypt.h: providers, key links, certificates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from struct import Struct
from typing import ClassVar

from calais.win import der
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter
from calais.win.records import pack, pack_text, unpack, unpack_head, unpack_text


@dataclass(frozen=True, slots=True)
class CryptKeyProvParam:
    """CRYPT_KEY_PROV_PARAM: one CryptSetProvParam to make when the key is opened; ``repr`` hides the data (a PIN?)."""

    param: int
    data: bytes = field(repr=False)
    flags: int = 0


@dataclass(frozen=True, slots=True)
class CryptKeyProvInfo:
    """CRYPT_KEY_PROV_INFO: where the private key of a certificate is; ``prov_type`` 0 = a key storage provider.

    Stored form (property 2 of a certificate), u32 each: offset of the container name, of the provider name, type,
    flags, number of params, offset of the params, key spec; per param: param, offset of its data, size, flags;
    then the data and the names (UTF-16LE with terminator). Offsets count from the start, 0 = none.
    """

    LAYOUT: ClassVar[Struct] = Struct("<7I")
    PARAM_LAYOUT: ClassVar[Struct] = Struct("<4I")

    container_name: str
    prov_name: str
    prov_type: int
    flags: int = 0
    params: tuple[CryptKeyProvParam, ...] = ()
    key_spec: int = 0

    def to_bytes(self) -> bytes:
        """The stored form.

        Raises:
            BadParameter: a number out of range, or a name with a NUL inside.
        """
        count, params_at = len(self.params), self.LAYOUT.size if self.params else 0
        parts = [*(param.data for param in self.params), pack_text(self.container_name), pack_text(self.prov_name)]
        start = self.LAYOUT.size + count * self.PARAM_LAYOUT.size
        *data_at, container_at, provider_at, _end = accumulate(map(len, parts), initial=start)
        numbers = (container_at, provider_at, self.prov_type, self.flags, count, params_at, self.key_spec)
        head = pack(self.LAYOUT, "CRYPT_KEY_PROV_INFO", *numbers)
        table = (
            pack(self.PARAM_LAYOUT, "CRYPT_KEY_PROV_PARAM", param.param, at, len(param.data), param.flags)
            for param, at in zip(self.params, data_at, strict=True)
        )
        return b"".join((head, *table, *parts))

    @classmethod
    def from_bytes(cls, data: bytes) -> CryptKeyProvInfo:
        """Parse the stored form.

        Raises:
            BadData: too short, an offset or length outside, or a name without end.
        """
        (container, provider, prov_type, flags, count, params_at, key_spec), _ = unpack_head(
            cls.LAYOUT, "CRYPT_KEY_PROV_INFO", data
        )
        table = _slice(data, params_at, count * cls.PARAM_LAYOUT.size)
        if sum(size for _, _, size, _ in cls.PARAM_LAYOUT.iter_unpack(table)) > len(data):
            raise BadData(detail="the params of CRYPT_KEY_PROV_INFO overlap or run past the end", index=params_at)
        params = tuple(
            CryptKeyProvParam(param, _slice(data, at, size), param_flags)
            for param, at, size, param_flags in cls.PARAM_LAYOUT.iter_unpack(table)
        )
        return cls(_text_at(data, container), _text_at(data, provider), prov_type, flags, params, key_spec)


def _slice(data: bytes, start: int, length: int) -> bytes:
    if start + length > len(data):
        raise BadData(detail=f"{length} bytes at {start} run past the end of CRYPT_KEY_PROV_INFO", index=start)
    return data[start : start + length]


def _text_at(data: bytes, start: int) -> str:
    return unpack_text(data[start:], start) if start else ""


@dataclass(frozen=True, slots=True)
class CertKeyContext:
    """CERT_KEY_CONTEXT: an open provider (AT_* key spec) or CNG key (key spec 0xFFFFFFFF), or no handle yet."""

    handle: object
    key_spec: int


@dataclass(frozen=True, slots=True)
class CryptAlgorithmIdentifier:
    """CRYPT_ALGORITHM_IDENTIFIER: OID and the DER of the parameters, ``b""`` when absent."""

    oid: str
    parameters: bytes = b""


@dataclass(frozen=True, slots=True)
class CertPublicKeyInfo:
    """CERT_PUBLIC_KEY_INFO: algorithm OID, DER of its parameters (``b""`` when absent), content of the BIT STRING."""

    algorithm: str
    parameters: bytes
    public_key: bytes

    def to_der(self) -> bytes:
        """SubjectPublicKeyInfo (RFC 5280, 4.1).

        Raises:
            BadParameter: ``algorithm`` is not an OID.
        """
        algorithm = der.build(der.TAG_SEQUENCE, der.build(der.TAG_OID, der.encode_oid(self.algorithm)), self.parameters)
        return der.build(der.TAG_SEQUENCE, algorithm, der.build(der.TAG_BIT_STRING, b"\0", self.public_key))

    @classmethod
    def from_der(cls, data: bytes) -> CertPublicKeyInfo:
        """Parse a SubjectPublicKeyInfo.

        Raises:
            BadData: not one (CRYPT_E_ASN1_EOD, …_BADTAG, …_CORRUPT), bytes follow it, or the key is no whole bytes.
        """
        body, end = der.read(data, der.TAG_SEQUENCE)
        if end != len(data):
            raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "bytes follow the public key", index=end)
        algorithm, at = der.read(body, der.TAG_SEQUENCE)
        oid, parameters_at = der.read(algorithm, der.TAG_OID)
        bits, end = der.read(body, der.TAG_BIT_STRING, at)
        if end != len(body) or bits[:1] != b"\0":
            raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "the public key is not a string of whole bytes", index=at)
        return cls(der.decode_oid(oid), algorithm[parameters_at:], bits[1:])


@dataclass(frozen=True, slots=True)
class CertExtension:
    """CERT_EXTENSION: ``value`` is the content of the OCTET STRING."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class CertRdnAttr:
    """CERT_RDN_ATTR: one attribute of a name; ``value_type`` CERT_RDN_*. An RDN is a tuple of them, a name of RDNs."""

    oid: str
    value_type: int
    value: str | bytes


@dataclass(frozen=True, slots=True)
class CertInfo:
    """CERT_INFO: what a certificate says; all fields have defaults, so that partial ones can serve a search.

    ``serial`` is signed; ``version`` 0 = v1, 2 = v3; ``issuer`` and ``subject`` DER names; dates are aware (UTC).
    """

    serial: int | None = None
    version: int = 0
    signature_algorithm: CryptAlgorithmIdentifier | None = None
    issuer: bytes = b""
    subject: bytes = b""
    not_before: datetime | None = None
    not_after: datetime | None = None
    public_key: CertPublicKeyInfo | None = None
    extensions: tuple[CertExtension, ...] = ()

    @property
    def serial_number(self) -> bytes:
        """CRYPT_INTEGER_BLOB: the serial in little-endian two's complement, shortest form; none = ``b""``."""
        if self.serial is None:
            return b""
        bits = (self.serial if self.serial >= 0 else ~self.serial).bit_length()
        return self.serial.to_bytes(bits // 8 + 1, "little", signed=True)


@dataclass(frozen=True, slots=True)
class CrlInfo:
    """CRL_INFO: issuer (DER name) and dates of a revocation list."""

    issuer: bytes
    this_update: datetime | None = None
    next_update: datetime | None = None


@dataclass(frozen=True, slots=True)
class PhysicalStoreInfo:
    """CERT_PHYSICAL_STORE_INFO: a member of a system store.

    ``flags``: CERT_PHYSICAL_STORE_*_FLAG; ``open_provider``: the name of the store provider that opens it.
    """

    name: str
    flags: int = 0
    priority: int = 0
    open_provider: str = ""


@dataclass(frozen=True, slots=True)
class CertSignedContent:
    """CERT_SIGNED_CONTENT_INFO: DER that was signed, signature algorithm, signature."""

    to_be_signed: bytes
    algorithm: CryptAlgorithmIdentifier
    signature: bytes


@dataclass(frozen=True, slots=True)
class EnrollmentInfo:
    """Property 26 of a certificate (CERT_ENROLLMENT_PROP_ID): the pending request it stands for.

    Stored form: u32 request id; three times u32 number of characters with terminator, UTF-16LE.
    """

    LAYOUT: ClassVar[Struct] = Struct("<I")

    request_id: int = 0
    ca_dns_name: str = ""
    ca_name: str = ""
    display_name: str = ""

    def to_bytes(self) -> bytes:
        """The stored form.

        Raises:
            BadParameter: the id out of range, or a name with a NUL inside.
        """
        texts = map(pack_text, (self.ca_dns_name, self.ca_name, self.display_name))
        counted = (pack(self.LAYOUT, "enrollment property", len(text) // 2) + text for text in texts)
        return b"".join((pack(self.LAYOUT, "enrollment property", self.request_id), *counted))

    @classmethod
    def from_bytes(cls, data: bytes) -> EnrollmentInfo:
        """Parse the stored form.

        Raises:
            BadData: a length runs past the end, a string without terminator, or bytes follow.
        """
        (request_id,), rest = unpack_head(cls.LAYOUT, "enrollment property", data)
        names = []
        for _ in range(3):
            (count,), rest = unpack_head(cls.LAYOUT, "enrollment property", rest)
            names.append(unpack_text(rest[: 2 * count], len(data) - len(rest)))
            rest = rest[2 * count :]
        if rest:
            raise BadData(detail="bytes follow the enrollment property", index=len(data) - len(rest))
        return cls(request_id, *names)


@dataclass(frozen=True, slots=True)
class SmartCardRootInfo:
    """One element of property 76 (CERT_SMART_CARD_ROOT_INFO_PROP_ID): the card a root came from, and for which logon.

    Element (24 bytes): card id (16), logon id as u32 low and i32 high.
    """

    LAYOUT: ClassVar[Struct] = Struct("<16sq")

    card_id: bytes
    luid: int

    @classmethod
    def list_from_bytes(cls, data: bytes) -> list[SmartCardRootInfo]:
        """Parse the property.

        Raises:
            BadData: not a whole number of elements.
        """
        if len(data) % cls.LAYOUT.size:
            raise BadData(detail=f"{len(data)} bytes are no list of card roots", index=len(data))
        return [cls(card_id, luid) for card_id, luid in cls.LAYOUT.iter_unpack(data)]

    @classmethod
    def list_to_bytes(cls, items: Iterable[SmartCardRootInfo]) -> bytes:
        """The property.

        Raises:
            BadParameter: a card id not of 16 bytes, or a logon id of more than 64 bits.
        """
        return b"".join(item.to_bytes() for item in items)

    def to_bytes(self) -> bytes:
        """The element; ``BadParameter`` as ``list_to_bytes``."""
        if len(self.card_id) != 16:
            raise BadParameter(detail=f"card id of {len(self.card_id)} bytes")
        return pack(self.LAYOUT, "smart card root information", self.card_id, self.luid)


@dataclass(frozen=True, slots=True)
class ProvEnumAlgs:
    """PROV_ENUMALGS (32 bytes): u32 ALG_ID, default bits, length of the name with NUL; name in 20 bytes."""

    LAYOUT: ClassVar[Struct] = Struct("<3I20s")

    alg_id: int
    bit_length: int
    name: str

    def to_bytes(self) -> bytes:
        """The record; ``BadParameter`` for a name longer than 19 characters or a number out of range."""
        return pack(self.LAYOUT, "PROV_ENUMALGS", self.alg_id, self.bit_length, *_pack_name(self.name, 20))

    @classmethod
    def from_bytes(cls, data: bytes) -> ProvEnumAlgs:
        """Parse the record; ``BadData`` for another length or a malformed name."""
        alg_id, bit_length, length, name = unpack(cls.LAYOUT, "PROV_ENUMALGS", data)
        return cls(alg_id, bit_length, _unpack_name(name, length, 12))


@dataclass(frozen=True, slots=True)
class ProvEnumAlgsEx:
    """PROV_ENUMALGS_EX (88 bytes): u32 ALG_ID, default, least, most bits, protocols; name in 20, long name in 40 bytes.

    Each name has its length with NUL, u32, before it.
    """

    LAYOUT: ClassVar[Struct] = Struct("<6I20sI40s")

    alg_id: int
    bit_length: int
    min_length: int
    max_length: int
    protocols: int
    name: str
    long_name: str

    def to_bytes(self) -> bytes:
        """The record; ``BadParameter`` for a name that is too long or a number out of range."""
        numbers = (self.alg_id, self.bit_length, self.min_length, self.max_length, self.protocols)
        names = (*_pack_name(self.name, 20), *_pack_name(self.long_name, 40))
        return pack(self.LAYOUT, "PROV_ENUMALGS_EX", *numbers, *names)

    @classmethod
    def from_bytes(cls, data: bytes) -> ProvEnumAlgsEx:
        """Parse the record; ``BadData`` for another length or a malformed name."""
        alg_id, default, least, most, protocols, *names = unpack(cls.LAYOUT, "PROV_ENUMALGS_EX", data)
        length, name, long_length, long_name = names
        texts = (_unpack_name(name, length, 24), _unpack_name(long_name, long_length, 48))
        return cls(alg_id, default, least, most, protocols, *texts)


def _pack_name(name: str, size: int) -> tuple[int, bytes]:
    if not name.isascii() or "\0" in name or len(name) >= size:
        raise BadParameter(detail=f"algorithm name {name!r} does not fit {size - 1} ASCII characters")
    return len(name) + 1, name.encode("ascii")


def _unpack_name(field_bytes: bytes, length: int, index: int) -> str:
    name = field_bytes[: max(length - 1, 0)]
    if not 0 < length <= len(field_bytes) or not name.isascii() or b"\0" in name:
        raise BadData(detail="algorithm name is malformed", index=index)
    return name.decode("ascii")


@dataclass(frozen=True, slots=True)
class HmacInfo:
    """HMAC_INFO: hash of an HMAC and its pads; empty pads stand for 0x36 and 0x5C repeated."""

    hash_alg_id: int
    inner: bytes = b""
    outer: bytes = b""
