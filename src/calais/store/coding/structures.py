"""The structures of CryptEncodeObject and CryptDecodeObject: a row for each type, by number or by extension.

Source: wincrypt.h (X509_*); RFC 5280, 4.1 and 4.2; RFC 3279, 2.2.3 (ECDSA signatures); ITU-T X.690.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa

from calais.store import arguments, certificate, names
from calais.store import der as lenient
from calais.store.coding import x500
from calais.win import blobs, der
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, WinError
from calais.win.flags.wincrypt import CALG_RSA_KEYX
from calais.win.structs import (
    CertExtension,
    CertInfo,
    CertPublicKeyInfo,
    CertSignedContent,
    CryptAlgorithmIdentifier,
)

NO_SIGNATURE_BYTE_REVERSAL: Final = 0x8
ENCODINGS: Final = 0x00010001  # X509_ASN_ENCODING | PKCS_7_ASN_ENCODING
_OTHER, _DIRECTORY, _IP, _REGISTERED = 1, 5, 8, 9
_ALTERNATE_TEXT: Final = {2: 0x81, 3: 0x82, 7: 0x86}


class Row(NamedTuple):
    """How one type is written and read; ``flags`` go to both."""

    encode: Callable[[Any, int], bytes]
    decode: Callable[[lenient.Node, int], Any]


# --- integers, strings, bits ------------------------------------------------------------------------------------------


def _integer(number: int) -> bytes:
    bits = (number if number >= 0 else ~number).bit_length()
    return der.build(der.TAG_INTEGER, number.to_bytes(bits // 8 + 1, "big", signed=True))


def _number(node: lenient.Node) -> int:
    content = _expect(node, der.TAG_INTEGER).content
    if not content:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "an integer without bytes", index=node.start)
    return int.from_bytes(content, "big", signed=True)


def _encode_multi(value: bytes | int, _flags: int) -> bytes:
    return _integer(value if isinstance(value, int) else int.from_bytes(value, "little", signed=True))


def _decode_multi(node: lenient.Node, _flags: int) -> bytes:
    _number(node)
    return node.content[::-1]


def _encode_bits(value: bytes, _flags: int) -> bytes:
    return der.build(der.TAG_BIT_STRING, b"\0", value)


def _encode_named_bits(value: bytes, _flags: int) -> bytes:
    """Without trailing zeroes (X.690, 11.2.2)."""
    trimmed = value.rstrip(b"\0")
    unused = (trimmed[-1] & -trimmed[-1]).bit_length() - 1 if trimmed else 0
    return der.build(der.TAG_BIT_STRING, bytes((unused,)), trimmed)


def _decode_bits(node: lenient.Node, _flags: int) -> bytes:
    return lenient.bit_string(_expect(node, der.TAG_BIT_STRING))


# --- keys, algorithms, names ------------------------------------------------------------------------------------------


def _oid(oid: str, _flags: int = 0) -> bytes:
    return der.build(der.TAG_OID, der.encode_oid(oid))


def _oid_text(node: lenient.Node, _flags: int = 0) -> str:
    return lenient.oid_text(_expect(node, der.TAG_OID).content)


def _encode_algorithm(value: CryptAlgorithmIdentifier | str, _flags: int = 0) -> bytes:
    if isinstance(value, str):
        value = CryptAlgorithmIdentifier(value)
    return der.build(der.TAG_SEQUENCE, _oid(value.oid), value.parameters)


def _decode_algorithm(node: lenient.Node, _flags: int = 0) -> CryptAlgorithmIdentifier:
    parts = _expect(node, der.TAG_SEQUENCE).children()
    if not parts:
        return CryptAlgorithmIdentifier("")
    return CryptAlgorithmIdentifier(_oid_text(parts[0]), node.source[parts[0].end : node.end])


def _decode_key(node: lenient.Node, _flags: int) -> CertPublicKeyInfo:
    return CertPublicKeyInfo.from_der(node.encoded)


def _encode_blob(value: bytes, _flags: int) -> bytes:
    """PKCS #1 RSAPublicKey of a PUBLICKEYBLOB."""
    numbers = blobs.parse_capi_public(value)[0].public_numbers()
    return der.build(der.TAG_SEQUENCE, _integer(numbers.n), _integer(numbers.e))


def _decode_blob(node: lenient.Node, _flags: int) -> bytes:
    parts = _expect(node, der.TAG_SEQUENCE).children()
    if len(parts) != 2:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "an RSA key has two numbers", index=node.start)
    modulus, exponent = map(_number, parts)
    try:
        return blobs.build_capi_public(rsa.RSAPublicNumbers(exponent, modulus).public_key(), CALG_RSA_KEYX)
    except ValueError as error:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, f"these numbers are no RSA key: {error}", index=node.start) from error


def _decode_name(node: lenient.Node, _flags: int) -> tuple[names.Rdn, ...]:
    return names.parse(node.encoded)


# --- certificates and extensions --------------------------------------------------------------------------------------


def _encode_signed(value: CertSignedContent, flags: int) -> bytes:
    signature = value.signature if flags & NO_SIGNATURE_BYTE_REVERSAL else value.signature[::-1]
    return der.build(
        der.TAG_SEQUENCE, value.to_be_signed, _encode_algorithm(value.algorithm), _encode_bits(signature, 0)
    )


def _decode_signed(node: lenient.Node, flags: int) -> CertSignedContent:
    parts = _expect(node, der.TAG_SEQUENCE).children()
    if len(parts) != 3:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "signed content has three parts", index=node.start)
    signature = _decode_bits(parts[2], 0)
    reverse = not flags & NO_SIGNATURE_BYTE_REVERSAL
    return CertSignedContent(parts[0].encoded, _decode_algorithm(parts[1]), signature[::-1] if reverse else signature)


def _encode_info(value: CertInfo, _flags: int) -> bytes:
    if value.public_key is None or value.serial is None or value.not_before is None or value.not_after is None:
        raise BadParameter(Code.E_INVALIDARG, "a certificate has a serial number, a validity and a key")
    empty = der.build(der.TAG_SEQUENCE)
    extensions = der.build(0xA3, _encode_extensions(value.extensions, 0)) if value.extensions else b""
    return der.build(
        der.TAG_SEQUENCE,
        der.build(0xA0, _integer(value.version)) if value.version else b"",
        _integer(value.serial),
        _encode_algorithm(value.signature_algorithm or ""),
        value.issuer or empty,
        der.build(der.TAG_SEQUENCE, _time(value.not_before), _time(value.not_after)),
        value.subject or empty,
        value.public_key.to_der(),
        extensions,
    )


def _time(moment: datetime) -> bytes:
    """UTCTime from 1950 to 2049, else GeneralizedTime (RFC 5280, 4.1.2.5)."""
    moment = moment.astimezone(UTC)
    short = 1950 <= moment.year < 2050
    text = moment.strftime("%y%m%d%H%M%SZ") if short else f"{moment.year:04}{moment:%m%d%H%M%SZ}"
    return der.build(lenient.UTC_TIME if short else lenient.GENERALIZED_TIME, text.encode("ascii"))


def _decode_info(node: lenient.Node, _flags: int) -> CertInfo:
    return certificate.parse(node.encoded).info


def _encode_extensions(value: tuple[CertExtension, ...], _flags: int) -> bytes:
    return der.build(der.TAG_SEQUENCE, *map(_encode_extension, value))


def _encode_extension(value: CertExtension) -> bytes:
    critical = der.build(lenient.BOOLEAN, b"\xff") if value.critical else b""
    return der.build(der.TAG_SEQUENCE, _oid(value.oid), critical, der.build(lenient.OCTET_STRING, value.value))


def _decode_extensions(node: lenient.Node, _flags: int) -> tuple[CertExtension, ...]:
    return tuple(certificate.read_extension(each) for each in _expect(node, der.TAG_SEQUENCE).children())


def _encode_usages(value: list[str], _flags: int) -> bytes:
    return der.build(der.TAG_SEQUENCE, *map(_oid, value))


def _decode_usages(node: lenient.Node, _flags: int) -> list[str]:
    return [_oid_text(each) for each in _expect(node, der.TAG_SEQUENCE).children()]


def _encode_constraints(value: tuple[bool, int | None], _flags: int) -> bytes:
    is_authority, length = value
    flag = der.build(lenient.BOOLEAN, b"\xff") if is_authority else b""
    return der.build(der.TAG_SEQUENCE, flag, b"" if length is None else _integer(length))


def _decode_constraints(node: lenient.Node, _flags: int) -> tuple[bool, int | None]:
    parts = _expect(node, der.TAG_SEQUENCE).children()
    is_authority = bool(parts) and parts[0].tag == lenient.BOOLEAN and any(parts[0].content)
    numbers = [_number(part) for part in parts if part.tag == der.TAG_INTEGER]
    return is_authority, numbers[0] if numbers else None


def _encode_alternates(value: list[tuple[int, Any]], _flags: int) -> bytes:
    return der.build(der.TAG_SEQUENCE, *(_encode_alternate(choice, each) for choice, each in value))


def _encode_alternate(choice: int, value: Any) -> bytes:  # noqa: ANN401 - its type is the choice's
    if choice in _ALTERNATE_TEXT:
        return der.build(_ALTERNATE_TEXT[choice], value.encode("ascii"))
    if choice == _OTHER:
        oid, content = value
        return der.build(0xA0, _oid(oid), der.build(0xA0, content))
    if choice == _DIRECTORY:
        return der.build(0xA4, value)
    if choice == _IP:
        return der.build(0x87, value)
    if choice == _REGISTERED:
        return der.build(0x88, der.encode_oid(value))
    raise BadParameter(Code.E_INVALIDARG, f"{choice} is no kind of alternative name that can be written")


def _decode_alternates(node: lenient.Node, _flags: int) -> list[tuple[int, Any]]:
    return [_decode_alternate(each) for each in _expect(node, der.TAG_SEQUENCE).children()]


def _decode_alternate(node: lenient.Node) -> tuple[int, Any]:
    choice, content = (node.tag & 0x1F) + 1, node.content
    if choice in _ALTERNATE_TEXT:
        return choice, content.decode("latin-1")
    if choice == _OTHER:
        parts = node.children()
        if len(parts) != 2:
            raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "an other name has two parts", index=node.start)
        return choice, (_oid_text(parts[0]), parts[1].content)
    return choice, lenient.oid_text(content) if choice == _REGISTERED else content


def _encode_ecc(value: tuple[int, int], _flags: int) -> bytes:
    return der.build(der.TAG_SEQUENCE, *map(_integer, value))


def _decode_ecc(node: lenient.Node, _flags: int) -> tuple[int, int]:
    parts = _expect(node, der.TAG_SEQUENCE).children()
    if len(parts) != 2:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "an ECDSA signature has two numbers", index=node.start)
    return _number(parts[0]), _number(parts[1])


def _expect(node: lenient.Node, tag: int) -> lenient.Node:
    if node.tag != tag:
        detail = f"tag 0x{node.tag:02X} where 0x{tag:02X} is due"
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, detail, index=node.start)
    return node


# --- the table --------------------------------------------------------------------------------------------------------

_NAME = Row(lambda value, _: x500.to_der(tuple(map(tuple, value))), _decode_name)
_USAGE = Row(_encode_named_bits, _decode_bits)
_ALTERNATES = Row(_encode_alternates, _decode_alternates)
_CONSTRAINTS = Row(_encode_constraints, _decode_constraints)
_USAGES = Row(_encode_usages, _decode_usages)
_OCTETS = Row(
    lambda value, _: der.build(lenient.OCTET_STRING, value), lambda node, _: _expect(node, lenient.OCTET_STRING).content
)
ROWS: Final[dict[int | str, Row]] = {
    1: Row(_encode_signed, _decode_signed),
    2: Row(_encode_info, _decode_info),
    5: Row(_encode_extensions, _decode_extensions),
    7: _NAME,
    8: Row(lambda value, _: value.to_der(), _decode_key),
    12: _ALTERNATES,
    14: _USAGE,
    15: _CONSTRAINTS,
    19: Row(_encode_blob, _decode_blob),
    20: _NAME,
    25: _OCTETS,
    26: Row(_encode_bits, _decode_bits),
    27: Row(lambda value, _: _integer(value), lambda node, _: _number(node)),
    28: Row(_encode_multi, _decode_multi),
    36: _USAGES,
    47: Row(_encode_ecc, _decode_ecc),
    73: Row(_oid, _oid_text),
    74: Row(_encode_algorithm, _decode_algorithm),
    "2.5.29.14": _OCTETS,
    "2.5.29.15": _USAGE,
    "2.5.29.17": _ALTERNATES,
    "2.5.29.18": _ALTERNATES,
    "2.5.29.19": _CONSTRAINTS,
    "2.5.29.37": _USAGES,
}


def _row(encoding: int, struct_type: object) -> Row:
    if not arguments.number(encoding) & ENCODINGS or not isinstance(struct_type, int | str) or struct_type not in ROWS:
        raise WinError.of(Code.ERROR_FILE_NOT_FOUND, f"nothing is known of structure type {struct_type!r}")
    return ROWS[struct_type]


def encode(encoding: int, struct_type: int | str, value: object, flags: int = 0) -> bytes:
    """``value`` as DER.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND, no encoding or an unknown type.
        BadParameter: E_INVALIDARG, a value of another type, or one that cannot be written; CRYPT_E_OID_FORMAT.
    """
    row = _row(encoding, struct_type)
    try:
        return row.encode(value, flags)
    except (TypeError, ValueError, AttributeError) as error:
        detail = f"this is no value of structure type {struct_type}"
        raise BadParameter(Code.E_INVALIDARG, detail) from error


def decode(encoding: int, struct_type: int | str, data: bytes, flags: int = 0) -> object:
    """The value that the DER ``data`` stands for; bytes after it are dropped.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND, as ``encode``.
        BadData: CRYPT_E_ASN1_EOD, …_BADTAG, …_CORRUPT.
    """
    row = _row(encoding, struct_type)
    return row.decode(lenient.read(arguments.octets(data)), arguments.number(flags))
