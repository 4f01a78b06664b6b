from __future__ import annotations

import ipaddress
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ObjectIdentifier

from calais.apps.certificates import describe_extensions, key_name, load_certificate, pem_of
from calais.win.errors import BadData

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Ada")])
URL = x509.UniformResourceIdentifier("http://example.org/x")
ALTERNATIVES = [
    x509.RFC822Name("ada@example.org"),
    x509.DNSName("example.org"),
    x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
    x509.DirectoryName(NAME),
    x509.RegisteredID(ObjectIdentifier("1.2.3")),
    x509.OtherName(ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x03ada"),
    x509.OtherName(ObjectIdentifier("2.16.840.1.101.3.6.6"), b"\x04\x02\xd1\x38"),
    x509.OtherName(ObjectIdentifier("1.2.4"), b"\x02\x01\x05"),
]
USAGE = x509.KeyUsage(
    digital_signature=True, content_commitment=True, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


def shown(extension, *, critical=False):
    builder = x509.CertificateBuilder(NAME, NAME, KEY.public_key(), 5, datetime(2020, 1, 1), datetime(2050, 1, 1))
    made = builder.add_extension(extension, critical).sign(KEY, hashes.SHA256())
    (row,) = describe_extensions(made.public_bytes(Encoding.DER))
    return row["name"], row["value"]


@pytest.mark.parametrize(
    ("extension", "name", "value"),
    [
        (USAGE, "Key usage", "signature, non-repudiation"),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ObjectIdentifier("1.3.6.1.4.1.311.20.2.2")]),
         "Extended key usage", "clientAuth, smart card logon"),
        (x509.ExtendedKeyUsage([ObjectIdentifier("1.2.3")]), "Extended key usage", "1.2.3"),
        (x509.SubjectAlternativeName(ALTERNATIVES), "Other names",
         "ada@example.org, example.org, 192.0.2.1, CN=Ada, 1.2.3, user principal name ada, FASC-N d138, 1.2.4 020105"),
        (x509.SubjectKeyIdentifier(b"\1\2"), "Key identifier", "0102"),
        (x509.AuthorityKeyIdentifier(b"\3", None, None), "Issuer's key identifier", "03"),
        (x509.BasicConstraints(ca=True, path_length=1), "Basic constraints", "authority"),
        (x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier("1.2.3"), None)]), "Policies", "1.2.3"),
        (x509.CRLDistributionPoints([x509.DistributionPoint([URL], None, None, None)]), "CRL", "http://example.org/x"),
        (x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, URL)]),
         "Issuer's services", "http://example.org/x"),
        (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\5\0"), "1.2.3.4", "0500"),
        (x509.OCSPNoCheck(), "1.3.6.1.5.5.7.48.1.5", "present"),
    ],
)  # fmt: skip
def test_each_extension_is_told_in_words(extension, name, value):
    assert shown(extension) == (name, value)


def test_a_critical_extension_says_so():
    assert shown(USAGE, critical=True)[0] == "Key usage (critical)"


def test_what_is_no_certificate_has_no_extensions_and_is_bad_data():
    assert describe_extensions(b"junk") == []
    with pytest.raises(BadData):
        load_certificate(b"junk")
    assert pem_of(b"junk") == "-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n"


def test_odd_kinds_of_keys_have_names_too():
    assert key_name(x25519.X25519PrivateKey.generate().public_key()) == "X25519"
    assert key_name(ec.generate_private_key(ec.SECP521R1()).public_key()) == "P-521"
    assert key_name(ec.generate_private_key(ec.SECP256K1()).public_key()) == "secp256k1"
