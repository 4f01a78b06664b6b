"""The structures of CryptEncodeObject and CryptDecodeObject, against another library's DER and against themselves."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress

import pytest
from certs import make, rsa_key
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from calais.store.coding.structures import ROWS, decode, encode
from calais.win.blobs import build_capi_public
from calais.win.errors import BadData, BadParameter, WinError
from calais.win.structs import (
    CertExtension,
    CertInfo,
    CertPublicKeyInfo,
    CertRdnAttr,
    CertSignedContent,
    CryptAlgorithmIdentifier,
)

X509 = 1
NAMES = x509.SubjectAlternativeName(
    [
        x509.RFC822Name("a@example.org"),
        x509.DNSName("example.org"),
        x509.UniformResourceIdentifier("http://example.org/"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x03upn"),
    ]
)
PKCS1 = {"encoding": Encoding.DER, "format": PublicFormat.PKCS1}
USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=True,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
OUTSIDE = {
    "alternate names": (
        12,
        [
            (2, "a@example.org"),
            (3, "example.org"),
            (7, "http://example.org/"),
            (8, b"\x0a\0\0\1"),
            (9, "1.2.3"),
            (1, ("1.3.6.1.4.1.311.20.2.3", b"\x0c\x03upn")),
        ],
        NAMES.public_bytes,
    ),
    "key usage": (14, b"\xa0", USAGE.public_bytes),
    "authority": (15, (True, 3), x509.BasicConstraints(ca=True, path_length=3).public_bytes),
    "no authority": (15, (False, None), x509.BasicConstraints(ca=False, path_length=None).public_bytes),
    "usages": (
        "2.5.29.37",
        ["1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.311.20.2.2"],
        x509.ExtendedKeyUsage(
            [x509.ObjectIdentifier("1.3.6.1.5.5.7.3.2"), x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.2")]
        ).public_bytes,
    ),
    "key identifier": ("2.5.29.14", b"\1\2\3", x509.SubjectKeyIdentifier(b"\1\2\3").public_bytes),
    "rsa key": (
        19,
        build_capi_public(rsa_key().public_key(), 0xA400),
        lambda: rsa_key().public_key().public_bytes(**PKCS1),
    ),
    "ecdsa": (47, (5, 1 << 255), lambda: encode_dss_signature(5, 1 << 255)),
    "name": (
        7,
        ((CertRdnAttr("2.5.4.3", 13, "Müller"),),),
        lambda: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Müller")]).public_bytes(),
    ),
}


@pytest.mark.parametrize("case", list(OUTSIDE))
def test_another_library_writes_the_same_der(case):
    kind, value, theirs = OUTSIDE[case]
    assert encode(X509, kind, value) == theirs()
    assert decode(X509, kind, theirs()) == value


SAME = {
    "integer": (27, -129),
    "large integer": (27, 1 << 80),
    "multi-byte integer": (28, b"\x01\x80\x00"),
    "octets": (25, b"\0\1"),
    "bits": (26, b"\xa0\0"),
    "oid": (73, "1.2.840.113549"),
    "algorithm": (74, CryptAlgorithmIdentifier("1.2.840.113549.1.1.11", b"\5\0")),
    "extensions": (5, (CertExtension("2.5.29.14", True, b"\4\1x"), CertExtension("1.2.3", False, b""))),
    "key": (8, CertPublicKeyInfo("1.2.840.10045.2.1", b"\6\1\x2a", b"\4xy")),
    "unicode name": (20, ((CertRdnAttr("2.5.4.3", 4, "a"),), (CertRdnAttr("2.5.4.10", 12, "ö"),))),
}


@pytest.mark.parametrize("case", list(SAME))
def test_what_is_written_is_read_back(case):
    kind, value = SAME[case]
    assert decode(X509, kind, encode(X509, kind, value)) == value


@pytest.mark.parametrize("year", [1950, 2049, 2050, 1949, 9999], ids=str)
def test_a_certificate_to_be_signed_comes_back_with_its_years(year):
    moment = dt.datetime(year, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    info = CertInfo(
        serial=-5,
        version=2,
        signature_algorithm=CryptAlgorithmIdentifier("1.2.840.10045.4.3.2"),
        issuer=b"\x30\0",
        subject=b"\x30\0",
        not_before=moment,
        not_after=moment,
        public_key=CertPublicKeyInfo("1.2.840.10045.2.1", b"", b"\4"),
        extensions=(CertExtension("1.2.3", True, b"x"),),
    )
    assert decode(X509, 2, encode(X509, 2, info)) == info


def test_a_signature_is_turned_round_unless_the_flag_says_no():
    der = make()
    turned, plain = decode(X509, 1, der), decode(X509, 1, der, 8)
    assert turned.signature == plain.signature[::-1]
    assert encode(X509, 1, turned) == encode(X509, 1, plain, 8) == der
    assert isinstance(plain, CertSignedContent)


@pytest.mark.parametrize(("encoding", "kind"), [(0, 8), (1, 999), (1, "1.2.3"), (1, 6)])
def test_no_encoding_and_unknown_types_are_not_found(encoding, kind):
    for call in (lambda: encode(encoding, kind, b""), lambda: decode(encoding, kind, b"\5\0")):
        with pytest.raises(WinError, match="ERROR_FILE_NOT_FOUND"):
            call()


@pytest.mark.parametrize("kind", [kind for kind in ROWS if kind != 28], ids=str)
def test_a_value_of_another_type_is_refused(kind):
    with pytest.raises(BadParameter):
        encode(X509, kind, object())


@pytest.mark.parametrize("kind", list(ROWS), ids=str)
def test_what_is_no_such_structure_is_refused(kind):
    with pytest.raises(BadData, match="CRYPT_E_ASN1_EOD"):
        decode(X509, kind, b"")
    with pytest.raises(BadData, match=r"CRYPT_E_ASN1_(BADTAG|CORRUPT)"):
        decode(X509, kind, b"\xbf\x00")
    with pytest.raises(BadData, match=r"CRYPT_E_ASN1_(BADTAG|CORRUPT)"):
        decode(X509, kind, b"\x0c\x01x")


@given(st.binary(max_size=60), st.sampled_from(list(ROWS)))
def test_no_bytes_do_harm(data, kind):
    with contextlib.suppress(WinError):
        decode(X509, kind, data)
    with contextlib.suppress(WinError):
        decode(X509, kind, b"\x30" + bytes([len(data)]) + data)
