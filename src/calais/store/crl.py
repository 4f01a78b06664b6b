"""The outline of a CRL, read as leniently as that of a certificate. Source: RFC 5280, 5.1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from calais.store import der
from calais.win.codes import Code
from calais.win.errors import BadData
from calais.win.structs import CrlInfo

_TIMES = (der.UTC_TIME, der.GENERALIZED_TIME)


@dataclass(frozen=True, eq=False)
class CrlOutline:
    """A CRL: its bytes, without what followed it, and what it says about itself."""

    encoded: bytes
    info: CrlInfo


def parse(data: bytes) -> CrlOutline:
    """Find the outline of a CertificateList, or of a bare TBSCertList, at the start of ``data``.

    Bytes after it are dropped, entries and extensions are not looked into.

    Raises:
        BadData: CRYPT_E_ASN1_EOD for empty or cut-off input, CRYPT_E_ASN1_BADTAG when it is no SEQUENCE,
            CRYPT_E_ASN1_CORRUPT when the SEQUENCE holds something else.
    """
    outer = der.read(data)
    if outer.tag != der.SEQUENCE:
        detail = f"A CRL is a SEQUENCE (0x30); this data begins with 0x{outer.tag:02X}."
        raise BadData(Code.CRYPT_E_ASN1_BADTAG, detail, index=0)
    encoded = data[: outer.end]
    parts = der.read(encoded).children()
    signed = len(parts) >= 3 and parts[0].tag == der.SEQUENCE and parts[2].tag == der.BIT_STRING
    return CrlOutline(encoded, _info(parts[0].children() if signed else parts))


def _info(members: list[der.Node]) -> CrlInfo:
    """The members of a TBSCertList: version (optional), algorithm, issuer, this update, next update (optional)."""
    at = 1 if members and members[0].tag == der.INTEGER else 0
    if len(members) < at + 3:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "The CRL ends before its date.")
    algorithm, issuer, this_update = members[at : at + 3]
    der.expect(algorithm, der.SEQUENCE, "the algorithm")
    der.expect(issuer, der.SEQUENCE, "the issuer")
    if this_update.tag not in _TIMES:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "The CRL has no date.", index=this_update.start)
    return CrlInfo(issuer.encoded, der.time_value(this_update), _next_update(members[at + 3 :]))


def _next_update(rest: list[der.Node]) -> datetime | None:
    return der.time_value(rest[0]) if rest and rest[0].tag in _TIMES else None
