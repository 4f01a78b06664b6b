"""Small questions about certificates, keys and names: the bodies of the comparing, naming, usage and coding faces.

``None`` stands for NULL. Source: wincrypt.h and Microsoft's documentation of each function.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from calais.store import arguments, certificate, der, names, signatures, usage, verifying
from calais.store.calls import element_of, set_property
from calais.store.coding import display, structures
from calais.store.finding import same_key
from calais.store.model import CertificateContext
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound, WinError
from calais.win.flags import PropId
from calais.win.flags.wincrypt import CALG_MD5, CALG_SHA1, CALG_SHA_256, CALG_SHA_384, CALG_SHA_512
from calais.win.structs import CertInfo, CertPublicKeyInfo, CertRdnAttr

OID_DH = "1.2.840.113549.1.3.1"
OID_KEY_USAGE = "2.5.29.15"
_IGNORE_CASE: Final = 2
_RDN_FLAGS: Final = 3
_ALG_IDS: Final = {
    CALG_MD5: "md5",
    CALG_SHA1: "sha1",
    CALG_SHA_256: "sha256",
    CALG_SHA_384: "sha384",
    CALG_SHA_512: "sha512",
}
_CNG_HASHES: Final = {"MD5": "md5", "SHA1": "sha1", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}


# --- comparing --------------------------------------------------------------------------------------------------------


def same_certificate(first: CertInfo, second: CertInfo) -> bool:
    """CertCompareCertificate: issuer and serial number."""
    one, other = arguments.of(CertInfo, first), arguments.of(CertInfo, second)
    return (one.issuer, one.serial) == (other.issuer, other.serial)


def same_name(first: bytes, second: bytes) -> bool:
    """CertCompareCertificateName: the same bytes."""
    return first == second


def same_integer(first: bytes, second: bytes) -> bool:
    """CertCompareIntegerBlob: little-endian; repeated sign bytes at the high end do not count."""
    one, other = arguments.octets(first), arguments.octets(second)
    return int.from_bytes(one, "little", signed=True) == int.from_bytes(other, "little", signed=True)


def same_public_key(first: CertPublicKeyInfo, second: CertPublicKeyInfo) -> bool:
    """CertComparePublicKeyInfo."""
    return same_key(arguments.of(CertPublicKeyInfo, first), arguments.of(CertPublicKeyInfo, second))


def has_attributes(name: bytes, wanted: Sequence[CertRdnAttr], flags: int) -> bool:
    """CertIsRDNAttrsInCertificateName.

    Raises:
        BadParameter: E_INVALIDARG, unknown flags.
    """
    if arguments.number(flags) & ~_RDN_FLAGS:
        raise BadParameter(Code.E_INVALIDARG, f"flags 0x{flags:X} are not known here")
    attributes = tuple(arguments.of(CertRdnAttr, each) for each in arguments.listed(wanted))
    return names.matches(arguments.octets(name), attributes, ignore_case=bool(flags & _IGNORE_CASE))


# --- names ------------------------------------------------------------------------------------------------------------


def name_string(handle: CertificateContext | None, kind: int, flags: int, para: object) -> str:
    """CertGetNameString (see ``display.name_string``)."""
    element = element_of(handle)
    kind, flags = arguments.number(kind), arguments.number(flags)
    friendly = (element.lookup(PropId.FRIENDLY_NAME) or b"").decode("utf-16-le", "replace").partition("\0")[0]
    return display.name_string(display.side(element.outline, flags, friendly), kind, flags, para)


# --- usage ------------------------------------------------------------------------------------------------------------


def valid_usages(handles: Sequence[CertificateContext]) -> list[str] | None:
    """CertGetValidUsages: what all of them are good for; ``None`` = no restriction."""
    common: list[str] | None = None
    for handle in arguments.listed(handles):
        found = usage.usages(element_of(handle))
        if found is not None:
            common = found if common is None else [oid for oid in common if oid in found]
    return common


def key_usage(encoding: int, info: CertInfo, size: int) -> bytes | None:
    """CertGetIntendedKeyUsage: the first ``size`` bytes of the extension, zero-filled; ``None`` without one."""
    arguments.of(CertInfo, info)
    value = next((item.value for item in info.extensions if item.oid == OID_KEY_USAGE), None)
    if value is None or size <= 0:
        return None
    found = structures.decode(encoding, OID_KEY_USAGE, value)
    return bytes(found)[:size].ljust(size, b"\0") if isinstance(found, bytes) else None


def key_length(encoding: int, key: CertPublicKeyInfo) -> int:
    """CertGetPublicKeyLength, in bits; an unknown algorithm is read as RSA.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND, no encoding.
        BadData: CRYPT_E_ASN1_EOD, no key bits; CRYPT_E_ASN1_BADTAG, they cannot be read.
    """
    if not arguments.number(encoding) & structures.ENCODINGS:
        raise WinError.of(Code.ERROR_FILE_NOT_FOUND, "no encoding is given")
    if not arguments.of(CertPublicKeyInfo, key).public_key:
        raise BadData(Code.CRYPT_E_ASN1_EOD, "the key has no bits")
    try:
        if key.algorithm == OID_DH:
            number = der.expect(der.read(key.public_key), der.INTEGER, "a number")
            return int.from_bytes(number.content, "big").bit_length()
        return certificate.key_bits(key)
    except BadData as error:
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, error.detail, index=error.index) from error


def time_validity(moment: datetime | None, info: CertInfo) -> int:
    """CertVerifyTimeValidity: -1 before the validity begins, 1 after its end, else 0; ``None`` = now."""
    moment = datetime.now(UTC) if moment is None else arguments.of(datetime, moment)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    arguments.of(CertInfo, info)
    if info.not_before is not None and moment < info.not_before:
        return -1
    return int(info.not_after is not None and moment > info.not_after)


# --- digests ----------------------------------------------------------------------------------------------------------


def hash_by_alg_id(alg_id: int, default: int, data: bytes) -> bytes:
    """CryptHashCertificate and CryptHashPublicKeyInfo: 0 means ``default``.

    Raises:
        WinError: NTE_BAD_ALGID.
    """
    data = arguments.octets(data)
    name = _ALG_IDS.get(arguments.number(alg_id) or default)
    if name is None:
        raise WinError.of(Code.NTE_BAD_ALGID, f"ALG_ID 0x{alg_id:X} is no hash that is offered")
    return hashlib.new(name, data, usedforsecurity=False).digest()


def hash_public_key(alg_id: int, default: int, encoding: int, key: CertPublicKeyInfo) -> bytes:
    """CryptHashPublicKeyInfo.

    Raises:
        WinError: NTE_BAD_ALGID; ERROR_FILE_NOT_FOUND, no encoding.
    """
    if not arguments.number(encoding) & structures.ENCODINGS:
        raise WinError.of(Code.ERROR_FILE_NOT_FOUND, "no encoding is given")
    return hash_by_alg_id(alg_id, default, arguments.of(CertPublicKeyInfo, key).to_der())


def hash_by_name(name: str, data: bytes) -> bytes:
    """CryptHashCertificate2.

    Raises:
        NotFound: STATUS_NOT_FOUND.
    """
    data = arguments.octets(data)
    if arguments.of(str, name) not in _CNG_HASHES:
        raise NotFound(Code.STATUS_NOT_FOUND, f"there is no hash {name!r}")
    return hashlib.new(_CNG_HASHES[name], data, usedforsecurity=False).digest()


def hash_to_be_signed(encoding: int, data: bytes) -> bytes:
    """CryptHashToBeSigned: digest of the signed part by the signature's own algorithm.

    Raises:
        WinError: ERROR_FILE_NOT_FOUND, no encoding; NTE_BAD_ALGID, an algorithm without known digest.
        BadData: no signed content.
    """
    content = verifying.signed_content(encoding, data)
    return signatures.scheme_of(content.algorithm).hash(content.to_be_signed)


def set_usages(handle: CertificateContext, oids: Sequence[str] | None) -> None:
    """CertSetEnhancedKeyUsage: property 9, ``None`` deletes it."""
    encoded = None if oids is None else structures.encode(1, 36, arguments.listed(oids))
    set_property(handle, PropId.ENHKEY_USAGE, 0, encoded)


def add_usage(handle: CertificateContext, oid: str) -> None:
    """CertAddEnhancedKeyUsageIdentifier: adding twice keeps one.

    Raises:
        BadParameter: CRYPT_E_OID_FORMAT.
    """
    present = _stored_usages(handle)
    set_usages(handle, present if oid in present else [*present, oid])


def remove_usage(handle: CertificateContext, oid: str) -> None:
    """CertRemoveEnhancedKeyUsageIdentifier: removing the last deletes the property."""
    left = [each for each in _stored_usages(handle) if each != oid]
    set_usages(handle, left or None)


def _stored_usages(handle: CertificateContext) -> list[str]:
    stored = element_of(handle).lookup(PropId.ENHKEY_USAGE)
    return usage.parse_usages(stored) if stored is not None else []
