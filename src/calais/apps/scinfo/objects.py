"""The PIV data objects that say who a card is and whether it was tampered with, as values.

Source: SP 800-73-4 part 1, 3.1.2 (CHUID), 3.1.7 (Security Object), 3.3.2 (Discovery), appendix A;
ICAO Doc 9303 part 10, 4.6.2.3 (LDSSecurityObject).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from asn1crypto import core
from asn1crypto.algos import DigestAlgorithm
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from calais.apps.cms import BROKEN, Signed, parse_signed
from calais.cards.piv import spec
from calais.iso7816 import tlv
from calais.win.errors import BadData

OID_FASC_N = ObjectIdentifier("2.16.840.1.101.3.6.6")  # FIPS 201-3, appendix B: pivFASC-N
URN_UUID = "urn:uuid:"


@dataclass(frozen=True, slots=True)
class Chuid:
    """``signed_data``: the bytes under the signature; ``signature``: CMS, ``b""`` when the CHUID is not signed."""

    fasc_n: bytes
    guid: bytes
    expires: date | None
    signed_data: bytes
    signature: bytes


def parse_chuid(content: bytes) -> Chuid:
    """Take the contents of a CHUID (inside tag 53) apart.

    Raises:
        BadData: not well-formed, or the date is none.
    """
    items = list(tlv.parse(content))
    signed = b"".join(item.encode() for item in items if item.tag != spec.TAG_CHUID_SIGNATURE)
    return Chuid(
        _value(items, spec.TAG_CHUID_FASC_N),
        _value(items, spec.TAG_CHUID_GUID),
        _date(_value(items, spec.TAG_CHUID_EXPIRATION)),
        signed,
        _value(items, spec.TAG_CHUID_SIGNATURE),
    )


def _value(items: list[tlv.Tlv], tag: int) -> bytes:
    item = tlv.find(items, tag)
    return item.value if item else b""


def _date(text: bytes) -> date | None:
    if not text:
        return None
    try:
        return datetime.strptime(text.decode("ascii"), "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise BadData(detail="the expiration date of the CHUID is not YYYYMMDD") from error


class _DataGroupHash(core.Sequence):  # type: ignore[misc]  # asn1crypto has no types
    _fields = [("number", core.Integer), ("hash", core.OctetString)]  # noqa: RUF012


class _DataGroupHashes(core.SequenceOf):  # type: ignore[misc]
    _child_spec = _DataGroupHash


class _LdsSecurityObject(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012
        ("version", core.Integer),
        ("algorithm", DigestAlgorithm),
        ("hashes", _DataGroupHashes),
        ("version_info", core.Any, {"optional": True}),
    ]


@dataclass(frozen=True, slots=True)
class SecurityObject:
    """``hashes``: container id (``0x3000``) → hash of that object's contents."""

    hash_name: str
    hashes: dict[int, bytes]
    signed: Signed


def parse_security_object(content: bytes) -> SecurityObject:
    """Take the contents of a Security Object (inside tag 53) apart.

    Raises:
        BadData: not well-formed.
    """
    items = list(tlv.parse(content))
    signed = parse_signed(tlv.require(items, spec.TAG_SECURITY_SIGNATURE).value)
    container_of = dict(_container_map(tlv.require(items, spec.TAG_SECURITY_CONTAINER_MAP).value))
    try:
        listed = _LdsSecurityObject.load(signed.content, strict=True)
        hash_name = listed["algorithm"]["algorithm"].native
        hashes = {container_of[row["number"].native]: row["hash"].native for row in listed["hashes"]}
    except BROKEN as error:
        raise BadData(detail="the hashes of the Security Object cannot be read") from error
    return SecurityObject(hash_name, hashes, signed)


def _container_map(value: bytes) -> Iterator[tuple[int, int]]:
    """Data group number (1 byte) and container id (2 bytes), over and over."""
    for at in range(0, len(value) - 2, 3):
        yield value[at], int.from_bytes(value[at + 1 : at + 3], "big")


def uuid_of_certificate(certificate: x509.Certificate) -> uuid.UUID | None:
    """The card UUID that a PIV certificate names as ``urn:uuid:`` in its subject alternative names, or ``None``."""
    for name in _alternative_names(certificate):
        if isinstance(name, x509.UniformResourceIdentifier) and name.value.lower().startswith(URN_UUID):
            try:
                return uuid.UUID(name.value[len(URN_UUID) :])
            except ValueError:
                return None
    return None


def fasc_n_of_certificate(certificate: x509.Certificate) -> bytes | None:
    """The FASC-N (25 bytes) among a PIV certificate's subject alternative names, or ``None``."""
    for name in _alternative_names(certificate):
        if isinstance(name, x509.OtherName) and name.type_id == OID_FASC_N and name.value[:1] == b"\x04":
            return name.value[2:]
    return None


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []
