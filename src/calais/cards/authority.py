"""Small certificate authorities for virtual cards: who signs their certificates, CHUIDs and attestations."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.x509.oid import NameOID

from calais.cards.arithmetic import new_ec_key
from calais.cards.front import Random

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | x25519.X25519PublicKey

VALID_DAYS = 3652
SERIAL_BYTES = 16
_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def name_of(common_name: str) -> x509.Name:
    """The distinguished name with this common name, organisation Calais."""
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Calais")
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(*uses: str) -> x509.KeyUsage:
    """A key usage extension with the named bits set."""
    return x509.KeyUsage(**{use: use in uses for use in _USES})


@dataclass(frozen=True, slots=True)
class Authority:
    """A P-256 key with its self-signed certificate."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(cls, common_name: str, random: Random, now: datetime) -> Authority:
        """A new authority, valid ten years from ``now``."""
        key = new_p256(random)
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (key_usage("key_cert_sign", "crl_sign"), True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        ]
        name = name_of(common_name)
        builder = _builder(name, name, key.public_key(), random, now, extensions)
        return cls(_signed(builder, key), key)

    def issue(
        self,
        common_name: str,
        public_key: PublicKey,
        random: Random,
        now: datetime,
        *extensions: x509.ExtensionType,
    ) -> x509.Certificate:
        """A certificate for ``public_key``, valid ten years from ``now``; key usage is critical, the rest is not."""
        ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        all_of_them = [(extension, isinstance(extension, x509.KeyUsage)) for extension in (*extensions, ours)]
        subject, issuer = name_of(common_name), self.certificate.subject
        return _signed(_builder(subject, issuer, public_key, random, now, all_of_them), self.key)


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    # RFC 6979: all randomness is passed in
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: PublicKey,
    random: Random,
    now: datetime,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(int.from_bytes(random(SERIAL_BYTES), "big") >> 1 | 1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=VALID_DAYS))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder


def new_p256(random: Random) -> ec.EllipticCurvePrivateKey:
    """A P-256 key made from ``random``."""
    return new_ec_key(ec.SECP256R1(), random)
