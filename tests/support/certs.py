"""Certificates for tests: real ones, quickly made, and odd ones, put together byte by byte."""

from __future__ import annotations

import datetime as dt
import hashlib
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from calais.win.errors import BadData

BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@cache
def ec_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(0x1000 + number, ec.SECP256R1())


@cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def name(common_name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Calais"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )


def name_der(common_name: str) -> bytes:
    return name(common_name).public_bytes()


def make(
    subject="Alice", *, issuer=None, key=None, signer=None, serial=None, begin=BEGIN, days=3650, extensions=()
) -> bytes:
    """A certificate as DER; the serial follows from the subject unless given."""
    key = key or ec_key()
    serial = serial if serial is not None else int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big") >> 1
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer or subject))
        .public_key(key.public_key())
        .serial_number(serial or 1)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=days))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer or key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def spki(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def fault(call, *args):
    """The code of the BadData that a call raises, or None."""
    try:
        call(*args)
    except BadData as error:
        return error.code
    return None


# --- odd ones ---------------------------------------------------------------------------------------------------------


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def raw_name(text: str | bytes, tag: int = 0x0C) -> bytes:
    value = text.encode() if isinstance(text, str) else text
    return tlv(0x30, tlv(0x31, tlv(0x30, tlv(6, bytes.fromhex("550403")), tlv(tag, value)))) if value else tlv(0x30)


def raw_tbs(
    *,
    version=b"",
    serial=b"\x01",
    algorithm=b"\x06\x00",
    subject=None,
    issuer=None,
    times=(b"\x18\x0f16010101000000Z", b"\x18\x0f16010101000000Z"),
    key=b"\x30\x02\x06\x00\x03\x01\x00",
    extensions=b"",
) -> bytes:
    """A TBSCertificate with empty algorithms, an empty key and a validity long before Unix."""
    subject = raw_name("Juan Lang") if subject is None else subject
    return tlv(
        0x30,
        version,
        tlv(2, serial),
        tlv(0x30, algorithm),
        subject if issuer is None else issuer,
        tlv(0x30, *times),
        subject,
        tlv(0x30, key),
        extensions,
    )


def raw_certificate(tbs: bytes, algorithm: bytes = b"\x06\x00", signature: bytes = b"\x00") -> bytes:
    return tlv(0x30, tbs, tlv(0x30, algorithm), tlv(3, signature))
