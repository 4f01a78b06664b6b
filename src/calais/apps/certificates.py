"""Reading other people's certificates: whatever their bytes are, the answer is a value or ``BadData``."""

from __future__ import annotations

import base64
import hashlib
import textwrap
import warnings
from datetime import datetime
from functools import singledispatch

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

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
            # Odd serial numbers, time zones and long names are the issuer's business, and no reason to print anything.
            warnings.simplefilter("ignore", UserWarning)
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


def pem_of(der: bytes) -> str:
    """The certificate in PEM (RFC 7468), whether or not it can be read."""
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))


def public_pem(key: PublicKeyTypes) -> str:
    """A public key in PEM (RFC 7468, 13)."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


_USES = (
    ("digital_signature", "signature"),
    ("content_commitment", "non-repudiation"),
    ("key_encipherment", "key encipherment"),
    ("data_encipherment", "data encipherment"),
    ("key_agreement", "key agreement"),
    ("key_cert_sign", "certificate signing"),
    ("crl_sign", "CRL signing"),
)


def describe_extensions(der: bytes) -> list[dict[str, str]]:
    """The names and uses of a certificate as pairs ``name``, ``value`` for a person; empty when it cannot be read."""
    try:
        extensions = load_certificate(der).extensions
    except BadData:
        return []
    return [{"name": _extension_name(each), "value": _extension_text(each.value)} for each in extensions]


def _extension_name(extension: x509.Extension[x509.ExtensionType]) -> str:
    name = _NAMES.get(type(extension.value), extension.oid.dotted_string)
    return f"{name} (critical)" if extension.critical else name


_NAMES: dict[type[x509.ExtensionType], str] = {
    x509.KeyUsage: "Key usage",
    x509.ExtendedKeyUsage: "Extended key usage",
    x509.SubjectAlternativeName: "Other names",
    x509.SubjectKeyIdentifier: "Key identifier",
    x509.AuthorityKeyIdentifier: "Issuer's key identifier",
    x509.BasicConstraints: "Basic constraints",
    x509.CertificatePolicies: "Policies",
    x509.CRLDistributionPoints: "CRL",
    x509.AuthorityInformationAccess: "Issuer's services",
}


@singledispatch
def _extension_text(value: object) -> str:
    return value.value.hex() if isinstance(value, x509.UnrecognizedExtension) else "present"


@_extension_text.register
def _(value: x509.KeyUsage) -> str:
    return ", ".join(word for attribute, word in _USES if getattr(value, attribute))


@_extension_text.register
def _(value: x509.ExtendedKeyUsage) -> str:
    return ", ".join(_oid_name(oid) for oid in value)


@_extension_text.register
def _(value: x509.SubjectAlternativeName) -> str:
    return ", ".join(_name_text(name) for name in value)


@_extension_text.register
def _(value: x509.SubjectKeyIdentifier) -> str:
    return value.digest.hex()


@_extension_text.register
def _(value: x509.AuthorityKeyIdentifier) -> str:
    return (value.key_identifier or b"").hex()


@_extension_text.register
def _(value: x509.BasicConstraints) -> str:
    return "authority" if value.ca else "no authority"


@_extension_text.register
def _(value: x509.CertificatePolicies) -> str:
    return ", ".join(_oid_name(policy.policy_identifier) for policy in value)


@_extension_text.register
def _(value: x509.CRLDistributionPoints) -> str:
    return ", ".join(_name_text(name) for point in value for name in point.full_name or ())


@_extension_text.register
def _(value: x509.AuthorityInformationAccess) -> str:
    return ", ".join(_name_text(access.access_location) for access in value)


_OIDS = {
    "1.3.6.1.4.1.311.20.2.2": "smart card logon",
    "2.16.840.1.101.3.6.8": "PIV card authentication",
    "2.16.840.1.101.3.6.7": "PIV content signing",
    "2.16.840.1.101.3.6.6": "FASC-N",
    "1.3.6.1.4.1.311.20.2.3": "user principal name",
}


def _oid_name(oid: x509.ObjectIdentifier) -> str:
    known = _OIDS.get(oid.dotted_string)
    plain = oid._name  # noqa: SLF001 - the only place where cryptography keeps these names
    return known or (oid.dotted_string if plain == "Unknown OID" else plain)


def _name_text(name: x509.GeneralName) -> str:
    if isinstance(name, x509.OtherName):
        return f"{_oid_name(name.type_id)} {_other_name(name.value)}"
    if isinstance(name, x509.DirectoryName):
        return name.value.rfc4514_string()
    return str(name.value.dotted_string if isinstance(name, x509.RegisteredID) else name.value)


def _other_name(value: bytes) -> str:
    """A UTF8String as text, an OCTET STRING as its bytes, anything else as it is; lengths below 128."""
    body = value[2:] if len(value) > 2 and value[1] == len(value) - 2 else value
    if value[:1] == b"\x0c":
        return body.decode(errors="replace")
    return (body if value[:1] == b"\x04" else value).hex()
