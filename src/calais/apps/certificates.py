"""Reading other people's certificates: whatever their bytes are, the answer is a value or ``BadData``."""

from __future__ import annotations

import warnings

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
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
