"""Reading other people's certificates: whatever their bytes are, the answer is a value or ``BadData``."""

from __future__ import annotations

import hashlib
import warnings
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.utils import CryptographyDeprecationWarning

from calais.win.codes import Code
from calais.win.errors import BadData

# Everything that cryptography raises for bytes that are not quite a certificate; parts are parsed when asked for.
UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def load_certificate(der: bytes) -> x509.Certificate:
    """The certificate that ``der`` is, with names, dates, extensions and public key all readable.

    Raises:
        BadData: CRYPT_E_ASN1_CORRUPT, it is none, or part of it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            # Odd serial numbers and time zones are the issuer's business, and no reason to print anything.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            certificate = x509.load_der_x509_certificate(der)
            _touch(certificate)
    except UNREADABLE as error:
        raise BadData(Code.CRYPT_E_ASN1_CORRUPT, "the certificate cannot be read") from error
    return certificate


def _touch(certificate: x509.Certificate) -> None:
    certificate.subject.rfc4514_string()
    certificate.issuer.rfc4514_string()
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.serial_number
    _ = certificate.extensions
    certificate.public_key()


def load_public_key(der: bytes) -> PublicKeyTypes:
    """The public key of the certificate ``der``.

    Raises:
        BadData: as ``load_certificate``.
    """
    return load_certificate(der).public_key()


_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def key_name(key: PublicKeyTypes) -> str:
    """What people call a kind of key: ``"RSA-2048"``, ``"P-256"``, ``"Ed25519"``."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, key.curve.name)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    return (
        "X25519" if isinstance(key, x25519.X25519PublicKey) else type(key).__name__.removesuffix("PublicKey").strip("_")
    )


def thumbprint(der: bytes) -> str:
    """The SHA-1 of a certificate in lower-case hexadecimal, which is how Windows names certificates."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


def short_name(name: x509.Name) -> str:
    """The common name, or else the most special attribute, of a distinguished name; ``""`` for an empty one."""
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME) or list(name)[-1:]
    return str(common[-1].value) if common else ""


def stamp(moment: datetime) -> str:
    """A time as ``2026-01-31T12:00:00Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def describe(der: bytes) -> dict[str, object]:
    """The certificate for a reader of JSON: names, serial number, validity, key, thumbprint.

    A certificate that cannot be read has ``problem`` instead of everything but the thumbprint.
    """
    try:
        certificate = load_certificate(der)
    except BadData as error:
        return {"thumbprint": thumbprint(der), "problem": error.detail}
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "name": short_name(certificate.subject),
        "issuer_name": short_name(certificate.issuer),
        "serial_number": f"{certificate.serial_number:x}",
        "not_before": stamp(certificate.not_valid_before_utc),
        "not_after": stamp(certificate.not_valid_after_utc),
        "key": key_name(certificate.public_key()),
        "thumbprint": thumbprint(der),
    }
