"""A signed CHUID. Source: SP 800-73-4 part 1, 3.1.2 and appendix A, table 9; FIPS 201-3, 4.2.1; RFC 5652."""

from __future__ import annotations

import hashlib
from datetime import datetime

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from calais.cards.authority import Authority, key_usage, new_p256
from calais.cards.front import Random
from calais.cards.piv import spec
from calais.cards.piv.card_fascn import build_fasc_n
from calais.iso7816 import tlv

OID_CHUID = "2.16.840.1.101.3.6.1"
OID_SIGNER_DN = "2.16.840.1.101.3.6.5"
OID_SIGNED_DATA = "1.2.840.113549.1.7.2"
OID_CONTENT_SIGNING = x509.ObjectIdentifier("2.16.840.1.101.3.6.7")  # FIPS 201-3, 4.2.1
OID_CONTENT_TYPE = "1.2.840.113549.1.9.3"
OID_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
OID_SIGNING_TIME = "1.2.840.113549.1.9.5"
OID_SHA256 = "2.16.840.1.101.3.4.2.1"
OID_ECDSA_SHA256 = "1.2.840.10045.4.3.2"
SEQUENCE, SET, OCTETS, CONTEXT_0 = 0x30, 0x31, 0x04, 0xA0
PERSON_DIGITS = 10**10


def build_chuid(guid: bytes, random: Random, now: datetime, expires: datetime) -> bytes:
    """The content of a CHUID object, signed by a content signer made for it.

    Args:
        guid: 16 bytes, in network order.
        random: gives random bytes.
        now: when it is signed.
        expires: last day, written as YYYYMMDD.
    """
    person = int.from_bytes(random(8), "big") % PERSON_DIGITS
    signed = (
        tlv.build(spec.TAG_CHUID_FASC_N, build_fasc_n(person))
        + tlv.build(spec.TAG_CHUID_GUID, guid)
        + tlv.build(spec.TAG_CHUID_EXPIRATION, expires.strftime("%Y%m%d").encode())
    )
    end = tlv.build(spec.TAG_ERROR_DETECTION, b"")
    signature = sign_content(OID_CHUID, signed + end, random, now)
    return signed + tlv.build(spec.TAG_CHUID_SIGNATURE, signature) + end


def sign_content(content_type: str, content: bytes, random: Random, now: datetime) -> bytes:
    """A detached CMS signature (DER) over ``content``, with the certificate of a content signer made on the spot."""
    issuer = Authority.create("Calais Content CA", random, now)
    key = new_p256(random)
    use = x509.ExtendedKeyUsage([OID_CONTENT_SIGNING])
    signer = issuer.issue("Calais Content Signer", key.public_key(), random, now, key_usage("digital_signature"), use)
    attributes = _attributes(content_type, content, signer, now)
    signature = key.sign(tlv.build(SET, attributes), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    signed = tlv.build(
        SEQUENCE,
        _integer(3),
        tlv.build(SET, tlv.build(SEQUENCE, _oid(OID_SHA256))),
        tlv.build(SEQUENCE, _oid(content_type)),
        tlv.build(CONTEXT_0, signer.public_bytes(serialization.Encoding.DER)),
        tlv.build(SET, _signer_info(signer, attributes, signature)),
    )
    return tlv.build(SEQUENCE, _oid(OID_SIGNED_DATA), tlv.build(CONTEXT_0, signed))


def _attributes(content_type: str, content: bytes, signer: x509.Certificate, now: datetime) -> bytes:
    values = {
        OID_CONTENT_TYPE: _oid(content_type),
        OID_SIGNING_TIME: bytes(core.UTCTime(now).dump()),
        OID_MESSAGE_DIGEST: tlv.build(OCTETS, hashlib.sha256(content).digest()),
        OID_SIGNER_DN: signer.subject.public_bytes(),
    }
    # A set is sorted by its encodings (X.690, 11.6)
    return b"".join(sorted(tlv.build(SEQUENCE, _oid(oid), tlv.build(SET, value)) for oid, value in values.items()))


def _signer_info(signer: x509.Certificate, attributes: bytes, signature: bytes) -> bytes:
    identifier = tlv.build(SEQUENCE, signer.issuer.public_bytes(), _integer(signer.serial_number))
    return tlv.build(
        SEQUENCE,
        _integer(1),
        identifier,
        tlv.build(SEQUENCE, _oid(OID_SHA256)),
        tlv.build(CONTEXT_0, attributes),
        tlv.build(SEQUENCE, _oid(OID_ECDSA_SHA256)),
        tlv.build(OCTETS, signature),
    )


def _oid(dotted: str) -> bytes:
    return bytes(core.ObjectIdentifier(dotted).dump())


def _integer(number: int) -> bytes:
    return bytes(core.Integer(number).dump())
