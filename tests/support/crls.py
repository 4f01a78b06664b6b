"""CRLs for tests."""

from __future__ import annotations

import datetime as dt

import certs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization


def make(issuer="Issuer", *, begin=certs.BEGIN, days=30, revoked=(), key=None) -> bytes:
    """A CRL as DER."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(certs.name(issuer))
        .last_update(begin)
        .next_update(begin + dt.timedelta(days=days))
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begin).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key or certs.ec_key(), hashes.SHA256()).public_bytes(serialization.Encoding.DER)
