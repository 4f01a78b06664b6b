"""The properties of a certificate: one row per id, with its kind, its type and how it is computed.

Values rest as the bytes that Windows writes into a serialized element; a row knows how to turn them into
Python values and back. Sources: wincrypt.h (ids); CertSetCertificateContextProperty,
CertGetCertificateContextProperty (rules).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from calais.store import certificate
from calais.store.certificate import Outline
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter
from calais.win.flags import (
    CERT_CERT_PROP_ID,
    CERT_CRL_PROP_ID,
    CERT_CTL_PROP_ID,
    CERT_LAST_USER_PROP_ID,
    PropId,
)
from calais.win.structs import CryptKeyProvInfo, PinInfo

EPOCH_OF_FILETIME = datetime(1601, 1, 1, tzinfo=UTC)


class Kind(Enum):
    """How a property lives."""

    STORED = "stored and persisted"
    COMPUTED = "computed when absent, then kept by the context"
    HANDLE = "a handle in the element's one slot; never persisted, copied or serialised"
    VIEW = "nothing of its own"
    RESERVED = "absent, and not settable"


@dataclass(frozen=True)
class Codec:
    """Python value ↔ stored bytes.

    Args:
        types: the Python types a value may have.
        pack: value to bytes; may raise ``BadParameter``.
        unpack: bytes to value; may raise ``BadData``.
    """

    types: tuple[type, ...]
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]


def _pack_text(text: str) -> bytes:
    if "\0" in text:
        raise BadParameter(detail="The text has a NUL inside.")
    try:
        return (text + "\0").encode("utf-16-le")
    except UnicodeEncodeError as error:
        raise BadParameter(detail="The text has half a surrogate pair.") from error


def _unpack_text(data: bytes) -> str:
    """Up to the first terminator; what is no UTF-16 becomes U+FFFD, so that foreign text can be shown."""
    return data.decode("utf-16-le", "replace").partition("\0")[0]


def _pack_number(number: int) -> bytes:
    if isinstance(number, bool) or not 0 <= number < 1 << 32:
        raise BadParameter(detail="The number does not fit 32 bits.")
    return number.to_bytes(4, "little")


def _unpack_number(data: bytes) -> int:
    if len(data) != 4:
        raise BadData(detail=f"A number has 4 bytes, this one {len(data)}.")
    return int.from_bytes(data, "little")


def _pack_time(moment: datetime) -> bytes:
    """FILETIME: 100 ns since 1601, u64."""
    if moment.tzinfo is None or moment < EPOCH_OF_FILETIME:
        raise BadParameter(detail="A time has a zone and is not before 1601.")
    return ((moment - EPOCH_OF_FILETIME) // timedelta(microseconds=1) * 10).to_bytes(8, "little")


def _unpack_time(data: bytes) -> datetime:
    try:
        return EPOCH_OF_FILETIME + timedelta(microseconds=int.from_bytes(data, "little") // 10)
    except OverflowError as error:
        raise BadData(detail="The time is after the year 9999.") from error


BLOB = Codec((bytes, bytearray, memoryview), bytes, bytes)
TEXT = Codec((str,), _pack_text, _unpack_text)
NUMBER = Codec((int,), _pack_number, _unpack_number)
TIME = Codec((datetime,), _pack_time, _unpack_time)
KEY_LINK = Codec((CryptKeyProvInfo,), CryptKeyProvInfo.to_bytes, CryptKeyProvInfo.from_bytes)
PIN_RECORD = Codec((PinInfo,), PinInfo.to_bytes, PinInfo.from_bytes)


@dataclass(frozen=True)
class Rule:
    """One row: how a property behaves.

    Args:
        kind: how it lives.
        codec: its type.
        compute: for COMPUTED, its value as Python value; may raise ``BadData``.
        settable: whether a program may set it.
    """

    kind: Kind = Kind.STORED
    codec: Codec = BLOB
    compute: Callable[[Outline], Any] | None = None
    settable: bool = True

    def pack(self, value: object) -> bytes:
        """The stored bytes of ``value``.

        Raises:
            BadParameter: E_INVALIDARG, another type or a value that does not fit.
        """
        if not isinstance(value, self.codec.types):
            raise BadParameter(Code.E_INVALIDARG, f"The property does not take {type(value).__name__}.")
        try:
            return self.codec.pack(value)
        except BadParameter as error:
            raise BadParameter(Code.E_INVALIDARG, error.detail) from error

    def unpack(self, data: bytes) -> Any:  # noqa: ANN401 - as many types as codecs
        """The value that ``data`` stands for.

        Raises:
            BadData: ERROR_INVALID_DATA, a foreign program stored something else.
        """
        try:
            return self.codec.unpack(data)
        except BadData as error:
            raise BadData(Code.ERROR_INVALID_DATA, error.detail, index=error.index) from error


def _digest(name: str, part: Callable[[Outline], bytes]) -> Callable[[Outline], bytes]:
    return lambda outline: hashlib.new(name, part(outline), usedforsecurity=False).digest()


def _issuer_and_serial(outline: Outline) -> bytes:
    """Issuer, then serial as CRYPT_INTEGER_BLOB (little-endian, as many bytes as encoded)."""
    return outline.issuer + outline.fields[0].content[::-1]


def _key_and_bits(outline: Outline) -> str:
    key = outline.public_key
    return f"{certificate.key_family(key)}/{certificate.key_bits(key)}"


def _computed(compute: Callable[[Outline], Any], codec: Codec = BLOB, *, settable: bool = True) -> Rule:
    return Rule(Kind.COMPUTED, codec, compute, settable)


_TEXTS = (
    PropId.FRIENDLY_NAME,
    PropId.PVK_FILE,
    PropId.DESCRIPTION,
    PropId.AUTO_ENROLL,
    PropId.EXTENDED_ERROR_INFO,
    PropId.REQUEST_ORIGINATOR,
    PropId.SMART_CARD_READER,
)
_TIMES = (PropId.DATE_STAMP, PropId.DISALLOWED_FILETIME, PropId.NOT_BEFORE_FILETIME)
_HANDLES = (
    PropId.KEY_PROV_HANDLE,
    PropId.KEY_CONTEXT,
    PropId.NCRYPT_KEY_HANDLE,
    PropId.HCRYPTPROV_OR_NCRYPT_KEY_HANDLE,
)
_TRANSFERS = (PropId.NCRYPT_KEY_HANDLE_TRANSFER, PropId.HCRYPTPROV_TRANSFER)
_RECORDS = (
    CERT_CERT_PROP_ID,
    CERT_CRL_PROP_ID,
    CERT_CTL_PROP_ID,
)  # the certificate, CRL and CTL records of a serialized element
_CHAIN_ONLY = (  # only a chain engine fills them
    PropId.ISSUER_PUB_KEY_BIT_LENGTH,
    PropId.ISSUER_CHAIN_SIGN_HASH_CNG_ALG,
    PropId.ISSUER_CHAIN_PUB_KEY_CNG_ALG_BIT_LENGTH,
)

RULES: dict[int, Rule] = {
    PropId.KEY_PROV_INFO: Rule(codec=KEY_LINK),
    PropId.SHA1_HASH: _computed(_digest("sha1", lambda outline: outline.encoded)),
    PropId.MD5_HASH: _computed(_digest("md5", lambda outline: outline.encoded)),
    PropId.SHA256_HASH: _computed(_digest("sha256", lambda outline: outline.encoded)),
    PropId.SIGNATURE_HASH: _computed(certificate.signature_hash),
    PropId.KEY_IDENTIFIER: _computed(certificate.key_identifier),
    PropId.SUBJECT_PUBLIC_KEY_MD5_HASH: _computed(_digest("md5", lambda outline: outline.public_key.public_key)),
    PropId.ISSUER_SERIAL_NUMBER_MD5_HASH: _computed(_digest("md5", _issuer_and_serial)),
    PropId.SUBJECT_NAME_MD5_HASH: _computed(_digest("md5", lambda outline: outline.subject)),
    PropId.PIN_SHA256_HASH: _computed(_digest("sha256", lambda outline: outline.public_key_der)),
    PropId.SIGN_HASH_CNG_ALG: _computed(
        lambda outline: "/".join(certificate.signature_digest(outline)), TEXT, settable=False
    ),
    PropId.SUBJECT_PUB_KEY_BIT_LENGTH: _computed(
        lambda outline: certificate.key_bits(outline.public_key), NUMBER, settable=False
    ),
    PropId.PUB_KEY_CNG_ALG_BIT_LENGTH: _computed(_key_and_bits, TEXT, settable=False),
    PropId.SCARD_PIN_ID: Rule(codec=NUMBER),
    PropId.SCARD_PIN_INFO: Rule(codec=PIN_RECORD),
    PropId.KEY_SPEC: Rule(Kind.VIEW, NUMBER),
    PropId.ACCESS_STATE: Rule(Kind.VIEW, NUMBER, settable=False),
    **dict.fromkeys(_TEXTS, Rule(codec=TEXT)),
    **dict.fromkeys(_TIMES, Rule(codec=TIME)),
    **dict.fromkeys(_HANDLES, Rule(Kind.HANDLE)),
    **dict.fromkeys(_TRANSFERS, Rule(Kind.HANDLE, settable=False)),
    **dict.fromkeys((0, *_RECORDS, *_CHAIN_ONLY), Rule(Kind.RESERVED, settable=False)),
}
_BLOB_RULE = Rule()
_NO_RULE = Rule(Kind.RESERVED, settable=False)


def rule(prop_id: int) -> Rule:
    """The row of ``prop_id``; ids without a row of their own are stored blobs, those past 0xFFFF nothing."""
    if not 0 <= prop_id <= CERT_LAST_USER_PROP_ID:
        return _NO_RULE
    return RULES.get(prop_id, _BLOB_RULE)


def settable_rule(prop_id: int) -> Rule:
    """The row of a property that a program may set.

    Raises:
        BadParameter: E_INVALIDARG, it may not.
    """
    found = rule(prop_id)
    if not found.settable:
        raise BadParameter(Code.E_INVALIDARG, f"Property {prop_id} cannot be set.")
    return found


def storable(ids: Iterable[int]) -> list[int]:
    """Those of ``ids`` that a database or file may hold."""
    return [each for each in ids if rule(each).kind in (Kind.STORED, Kind.COMPUTED)]
