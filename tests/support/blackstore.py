"""Certificates, CRLs and store bytes made by hand, for tests that look at the store faces from outside."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from calais import WinError

POINT = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
OID_CN, OID_O = "2.5.4.3", "2.5.4.10"
ECDSA_SHA256 = "1.2.840.10045.4.3.2"
START = datetime(2020, 1, 1, tzinfo=UTC)
END = datetime(2040, 1, 1, tzinfo=UTC)


@contextmanager
def fails(*codes: int) -> Iterator[pytest.ExceptionInfo[WinError]]:
    """The body raises `WinError` with one of `codes`."""
    with pytest.raises(WinError) as caught:
        yield caught
    assert caught.value.code in codes, f"{caught.value!r} instead of {[hex(code) for code in codes]}"


def der(tag: int, *parts: bytes) -> bytes:
    """One DER element."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def oid(text: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in text.split("."))
    out = b""
    for arc in (first * 40 + second, *rest):
        chunk = [arc & 0x7F]
        while arc := arc >> 7:
            chunk.append(arc & 0x7F | 0x80)
        out += bytes(reversed(chunk))
    return der(6, out)


def integer(value: int) -> bytes:
    """An INTEGER."""
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def name(*attributes: tuple[str, str] | str, tag: int = 0x0C) -> bytes:
    """A Name of one attribute per RDN; a bare text is a common name."""
    pairs = [(OID_CN, each) if isinstance(each, str) else each for each in attributes]
    return der(0x30, *(der(0x31, der(0x30, oid(kind), der(tag, text.encode()))) for kind, text in pairs))


def moment(when: datetime) -> bytes:
    """A Time: UTCTime up to 2049, else GeneralizedTime."""
    if 1950 <= when.year < 2050:
        return der(0x17, when.strftime("%y%m%d%H%M%SZ").encode())
    return der(0x18, f"{when.year:04}".encode() + when.strftime("%m%d%H%M%SZ").encode())


def spki(point: bytes = POINT) -> bytes:
    """A SubjectPublicKeyInfo on P-256."""
    algorithm = der(0x30, oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"))
    return der(0x30, algorithm, der(3, b"\0" + point))


def extension(kind: str, value: bytes, critical: bool = False) -> bytes:
    """One Extension."""
    return der(0x30, oid(kind), der(1, b"\xff") if critical else b"", der(4, value))


def tbs(
    subject: str | bytes = "One",
    issuer: str | bytes = "Maker",
    serial: int = 1,
    *,
    start: datetime = START,
    end: datetime = END,
    extensions: tuple[bytes, ...] = (),
    key: bytes | None = None,
    algorithm: str = ECDSA_SHA256,
) -> bytes:
    """A TBSCertificate."""
    return der(
        0x30,
        der(0xA0, integer(2)),
        integer(serial),
        der(0x30, oid(algorithm)),
        issuer if isinstance(issuer, bytes) else name(issuer),
        der(0x30, moment(start), moment(end)),
        subject if isinstance(subject, bytes) else name(subject),
        spki() if key is None else key,
        der(0xA3, der(0x30, *extensions)) if extensions else b"",
    )


def certificate(subject: str | bytes = "One", issuer: str | bytes = "Maker", serial: int = 1, **more: object) -> bytes:
    """A certificate whose signature nobody made."""
    algorithm = str(more.get("algorithm", ECDSA_SHA256))
    inner = tbs(subject, issuer, serial, **more)  # type: ignore[arg-type]
    return der(0x30, inner, der(0x30, oid(algorithm)), der(3, b"\0", b"\x30\x06\x02\x01\x01\x02\x01\x01"))


def crl(issuer: str = "Maker", this: datetime = START, following: datetime | None = END, number: int = 1) -> bytes:
    """A CRL whose signature nobody made."""
    inner = der(
        0x30,
        integer(1),
        der(0x30, oid(ECDSA_SHA256)),
        name(issuer),
        moment(this),
        moment(following) if following else b"",
        der(0xA0, der(0x30, extension("2.5.29.20", integer(number)))),
    )
    return der(0x30, inner, der(0x30, oid(ECDSA_SHA256)), der(3, b"\0", b"\x30\x06\x02\x01\x01\x02\x01\x01"))


def signed_data(certificates: tuple[bytes, ...] = (), crls: tuple[bytes, ...] = (), *, bare: bool = False) -> bytes:
    """A PKCS#7 SignedData without signers."""
    inner = der(
        0x30,
        integer(1),
        der(0x31),
        der(0x30, oid("1.2.840.113549.1.7.1")),
        der(0xA0, *certificates) if certificates else b"",
        der(0xA1, *crls) if crls else b"",
        der(0x31),
    )
    return inner if bare else der(0x30, oid("1.2.840.113549.1.7.2"), der(0xA0, inner))


def sha1(data: bytes) -> bytes:
    """SHA-1."""
    return hashlib.sha1(data, usedforsecurity=False).digest()


def md5(data: bytes) -> bytes:
    """MD5."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def record(ident: int, data: bytes, second: int = 1, size: int | None = None) -> bytes:
    """One record of a serialized element."""
    return struct.pack("<III", ident, second, len(data) if size is None else size) + data


def element(encoded: bytes, properties: dict[int, bytes] | None = None, kind: int = 32) -> bytes:
    """One serialized element."""
    stored = sorted((properties or {}).items())
    return b"".join(record(ident, value) for ident, value in stored) + record(kind, encoded)


def serialized(*elements: bytes) -> bytes:
    """A serialized store."""
    return b"\0\0\0\0CERT" + b"".join(elements) + bytes(12)


def text(value: str) -> bytes:
    """A `str` property as it is stored."""
    return value.encode("utf-16-le") + b"\0\0"


def code_of(call: Callable[[], object]) -> int:
    """The code of the `WinError` that `call` raises; 0 = it raises none."""
    try:
        call()
    except WinError as error:
        return error.code
    return 0
