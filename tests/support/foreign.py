"""What tests with foreign programs share."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PIN = "123456"
PUK = "12345678"
PRIVATE_PCSCD = (
    pytest.mark.requires("pcscd", package="pcscd"),
    pytest.mark.requires("/usr/lib/pcsc/drivers/serial/libifdvpcd.so*", package="vsmartcard-vpcd"),
)


def library(pattern):
    """A shared library by pattern, wherever Debian put it."""
    return str(next(Path("/").glob(pattern.lstrip("/"))))


def public_pem(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    """A public key as openssl reads it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def certificate_in(pem: bytes) -> x509.Certificate:
    """The first certificate in what a program printed."""
    start = pem.index(b"-----BEGIN CERTIFICATE-----")
    return x509.load_pem_x509_certificate(pem[start:])
