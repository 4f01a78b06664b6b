"""Usages, names, comparisons, the coders, CryptQueryObject: what a caller of crypt32 meets."""

from __future__ import annotations

import base64
import datetime as dt
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12
from cryptography.x509.oid import NameOID

from calais import WinError
from calais.winapi import crypt32
from calais.winapi.crypt32 import CertInfo, CertPublicKeyInfo, CertRdnAttr

pytestmark = pytest.mark.ring4

DER = serialization.Encoding.DER
A, B, C = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.4"
EOD, CORRUPT, BADTAG = 0x80093102, 0x80093103, 0x8009310B
ABSENT, INVALID_ARG, NO_MATCH = 0x80092004, 0x80070057, 0x80092009
CN, O_, OU, EMAIL = "2.5.4.3", "2.5.4.10", "2.5.4.11", "1.2.840.113549.1.9.1"


@functools.cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@functools.cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(key: Any = None, subject: x509.Name | None = None, *extensions: x509.ExtensionType) -> Any:
    key = key or ec_key()
    name = subject if subject is not None else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Holder")])
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(300).not_valid_before(start).not_valid_after(start + dt.timedelta(days=9000))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


def context(key: Any = None, subject: x509.Name | None = None, *extensions: x509.ExtensionType) -> Any:
    return crypt32.CertCreateCertificateContext(1, certificate(key, subject, *extensions).public_bytes(DER))


def eku(*oids: str) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in oids])


def spki(key: Any) -> CertPublicKeyInfo:
    return CertPublicKeyInfo.from_der(
        key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


@contextmanager
def fails(*codes: int) -> Iterator[Any]:
    with pytest.raises(WinError) as caught:
        yield caught
    assert hex(caught.value.code) in [hex(code) for code in codes]


def usage(made: Any, flags: int = 0) -> list[str] | None:
    return crypt32.CertGetEnhancedKeyUsage(pCertContext=made, dwFlags=flags)


def test_the_usages_of_a_certificate_are_those_in_both_sources() -> None:
    made = context(None, None, eku(A, B))
    assert usage(context()) is None
    assert usage(made) == usage(made, 2) == [A, B]
    crypt32.CertSetEnhancedKeyUsage(pCertContext=made, pUsage=[C, B, A])
    assert (usage(made), usage(made, 4), usage(made, 2)) == ([A, B], [C, B, A], [A, B])
    crypt32.CertSetEnhancedKeyUsage(made, [C])
    assert usage(made) == []
    crypt32.CertSetEnhancedKeyUsage(made, [])
    assert (usage(made), usage(made, 4)) == ([], [])
    crypt32.CertSetEnhancedKeyUsage(made)
    with fails(ABSENT):
        usage(made, 4)
    with fails(ABSENT):
        usage(context(), 2)


def test_a_usage_is_added_once_and_the_last_one_removed_takes_the_property_along() -> None:
    made = context()
    for _ in range(2):
        crypt32.CertAddEnhancedKeyUsageIdentifier(pCertContext=made, pszUsageIdentifier=A)
    crypt32.CertAddEnhancedKeyUsageIdentifier(made, B)
    assert usage(made) == [A, B]
    for oid in (A, B):
        crypt32.CertRemoveEnhancedKeyUsageIdentifier(pCertContext=made, pszUsageIdentifier=oid)
    assert crypt32.CertEnumCertificateContextProperties(made, 0) == 0
    assert usage(made) is None


def test_valid_usages_are_the_intersection() -> None:
    free, first, second = context(), context(None, None, eku(A, B)), context(None, None, eku(B, C))
    assert crypt32.CertGetValidUsages(rghCerts=[free]) is None
    assert crypt32.CertGetValidUsages([free, first]) == [A, B]
    assert crypt32.CertGetValidUsages([first, second, free]) == [B]
    assert crypt32.CertGetValidUsages([first, context(None, None, eku(C))]) == []


def test_the_intended_usage_has_the_asked_length() -> None:
    bits = dict.fromkeys(
        [
            "content_commitment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ],
        False,
    )
    info = context(None, None, x509.KeyUsage(digital_signature=True, key_encipherment=True, **bits)).info
    for size, expected in ((2, b"\xa0\0"), (1, b"\xa0"), (4, b"\xa0\0\0\0"), (0, None)):
        got = crypt32.CertGetIntendedKeyUsage(dwCertEncodingType=1, pCertInfo=info, cbKeyUsage=size)
        assert got == expected
    assert crypt32.CertGetIntendedKeyUsage(1, context().info) is None


def test_the_length_of_a_public_key() -> None:
    assert crypt32.CertGetPublicKeyLength(dwCertEncodingType=1, pPublicKey=spki(rsa_key())) == 2048
    assert crypt32.CertGetPublicKeyLength(1, spki(ec_key())) == 256
    raw = spki(rsa_key()).public_key
    assert crypt32.CertGetPublicKeyLength(1, CertPublicKeyInfo("1.2.3.4", b"", raw)) == 2048
    rows = ((0, raw, 2), (1, b"", EOD), (1, b"\x04\x01\0", BADTAG))
    for encoding, key, code in rows:
        with fails(code):
            crypt32.CertGetPublicKeyLength(encoding, CertPublicKeyInfo("1.2.840.113549.1.1.1", b"", key))


def test_name_strings_of_every_type() -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Org"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Ann"),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "old@example.org"),
        ]
    )
    upn = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x0bann@example")
    names = [x509.DNSName("a.example"), x509.DNSName("b.example"), upn, x509.RFC822Name("ann@example.org")]
    made = context(None, subject, x509.SubjectAlternativeName([*names, x509.UniformResourceIdentifier("http://x/")]))

    def get(kind: int, flags: int = 0, para: Any = None) -> str:
        return crypt32.CertGetNameString(pCertContext=made, dwType=kind, dwFlags=flags, pvTypePara=para)

    assert (get(1), get(6), get(7), get(8)) == ("ann@example.org", "a.example", "http://x/", "ann@example")
    assert get(6, 2) == "a.example\0b.example"
    assert (get(3, 0, O_), get(3, 0, "1.2.3"), get(4), get(4, 1)) == ("Org", "", "Ann", "Issuer")
    assert get(2, 0, 3) == "O=Org, CN=Ann, E=old@example.org"
    assert get(5) == "Ann"
    crypt32.CertSetCertificateContextProperty(made, 11, 0, "My card")
    assert get(5) == "My card"
    assert crypt32.CertGetNameString(context(), 1) == ""
    assert crypt32.CertGetNameString(context(), 6) == "Holder"


def to_name(text: str, kind: int = 3) -> bytes:
    return crypt32.CertStrToName(dwCertEncodingType=1, pszX500=text, dwStrType=kind, pvReserved=None)


def to_text(name: bytes, kind: int) -> str:
    return crypt32.CertNameToStr(dwCertEncodingType=1, pName=name, dwStrType=kind)


NAMED = 'C=DE, S=Here, O="A, Inc", CN=Ann + OU=xyz, G=Ann, T=Dr, E=a@b'


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (3, NAMED),
        (1, 'DE, Here, "A, Inc", Ann + xyz, Ann, Dr, a@b'),
        (3 | 0x10000000, NAMED.replace('"', "")),
        (3 | 0x20000000, NAMED.replace("Ann + OU", "Ann OU")),
        (3 | 0x40000000, NAMED.replace(", S", "; S").replace(", O=", "; O=").replace(", CN", "; CN")),
        (3 | 0x08000000, NAMED),
        (3 | 0x02000000, 'E=a@b, T=Dr, G=Ann, CN=Ann + OU=xyz, O="A, Inc", S=Here, C=DE'),
    ],
    ids=["x500", "simple", "unquoted", "no plus", "semicolon", "crlf", "reverse"],
)
def test_a_name_reads_as_it_was_asked(kind: int, expected: str) -> None:
    got = to_text(to_name(NAMED), kind)
    if kind & 0x08000000:
        got = got.replace("\r\n", ", ")
    if kind & 0x40000000:
        expected = expected.replace(", G", "; G").replace(", T", "; T").replace(", E", "; E")
    assert got == expected


def test_names_by_number_and_the_flags_that_cannot_be() -> None:
    assert to_text(to_name("CN=x"), 2) == "2.5.4.3=x"
    assert to_name("2.5.4.3=x") == to_name("CN=x") == to_name("cn = x") == to_name('CN="x"')
    assert to_text(to_name('CN="a ""b"""'), 3) == 'CN="a ""b"""'
    assert to_name("CN=a; O=b") == to_name("CN=a, O=b")
    assert to_name("CN=a, O=b", 3 | 0x02000000) == to_name("O=b, CN=a")
    assert to_text(b"\x30\0", 3) == ""
    with fails(50):
        to_text(to_name("CN=x"), 4)
    with fails(BADTAG):
        to_text(b"\x04\x01\0", 3)


@pytest.mark.parametrize(("text", "index"), [("Bad=x", 0), ("CN=x, Bad=y", 6), ("CN", 2), ('CN="x', None)])
def test_text_that_is_no_name_says_where(text: str, index: int | None) -> None:
    with fails(0x80092023) as caught:
        to_name(text)
    assert isinstance(caught.value.index, int)
    assert 0 <= caught.value.index <= len(text)
    if text.startswith(("Bad", "CN=x, ")):
        assert caught.value.index == index


def test_certificates_names_and_numbers_are_compared() -> None:
    one, other = context().info, CertInfo(serial=301, issuer=context().info.issuer)
    same = CertInfo(serial=300, issuer=one.issuer)
    assert crypt32.CertCompareCertificate(dwCertEncodingType=1, pCertId1=one, pCertId2=same) is True
    assert crypt32.CertCompareCertificate(1, one, other) is False
    name = one.subject
    assert crypt32.CertCompareCertificateName(dwCertEncodingType=1, pCertName1=name, pCertName2=name) is True
    assert crypt32.CertCompareCertificateName(1, name, one.issuer) is False
    for left, right, equal in ((b"\1", b"\1\0\0", True), (b"\xff", b"\xff\xff", True), (b"\xff", b"\xff\0", False)):
        assert crypt32.CertCompareIntegerBlob(pInt1=left, pInt2=right) is equal


def test_public_keys_are_compared() -> None:
    key, point = spki(rsa_key()), spki(ec_key())

    def same(left: CertPublicKeyInfo, right: CertPublicKeyInfo) -> bool:
        return crypt32.CertComparePublicKeyInfo(dwCertEncodingType=1, pPublicKey1=left, pPublicKey2=right)

    assert same(key, key) is True
    assert same(key, CertPublicKeyInfo(key.algorithm, b"", key.public_key)) is True
    assert same(key, point) is False
    assert same(point, CertPublicKeyInfo(point.algorithm, bytes.fromhex("06052b81040022"), point.public_key)) is False


def test_attributes_are_looked_for_in_a_name() -> None:
    name = to_name("O=Org, CN=Ann")

    def isin(flags: int, *attributes: tuple[str, str]) -> bool:
        wanted = tuple(CertRdnAttr(oid=oid, value_type=4, value=value) for oid, value in attributes)
        return crypt32.CertIsRDNAttrsInCertificateName(dwCertEncodingType=1, dwFlags=flags, pCertName=name, pRDN=wanted)

    assert isin(0) is True
    assert isin(2, (CN, "aNN")) is True
    assert isin(3, (CN, "aNN")) is True
    assert isin(2, (CN, "Bob")) is False
    assert isin(2, (OU, "Ann")) is False


def enc(kind: Any, value: Any, flags: int = 0) -> bytes:
    return crypt32.CryptEncodeObjectEx(
        dwCertEncodingType=1, lpszStructType=kind, pvStructInfo=value, dwFlags=flags, pEncodePara=None
    )


def dec(kind: Any, raw: bytes, flags: int = 0) -> Any:
    return crypt32.CryptDecodeObjectEx(
        dwCertEncodingType=1, lpszStructType=kind, pbEncoded=raw, dwFlags=flags, pDecodePara=None
    )


@pytest.mark.parametrize(
    ("kind", "value", "encoded"),
    [
        (14, b"\xa0", "030205a0"),
        ("2.5.29.15", b"\xa0", "030205a0"),
        (15, (True, None), "30030101ff"),
        (15, (True, 3), "30060101ff020103"),
        (15, (False, None), "3000"),
        ("2.5.29.19", (True, 0), "30060101ff020100"),
        (25, b"ab", "04026162"),
        (27, -2, "0201fe"),
        (36, [B], "300a06082b06010505070302"),
        ("2.5.29.37", [B], "300a06082b06010505070302"),
        (36, [], "3000"),
        (47, (1, 128), "300702010102020080"),
        (73, "1.2.840", "06032a8648"),
    ],
)
def test_a_structure_is_encoded_and_comes_back(kind: Any, value: Any, encoded: str) -> None:
    assert enc(kind, value).hex() == encoded
    assert dec(kind, bytes.fromhex(encoded)) == value


def test_the_larger_structures_come_back() -> None:
    made = certificate(None, None, eku(A))
    raw = made.public_bytes(DER)
    for kind, source in (
        (2, made.tbs_certificate_bytes),
        (7, made.subject.public_bytes()),
        (20, made.subject.public_bytes()),
        (8, spki(rsa_key()).to_der()),
        (74, bytes.fromhex("300d06092a864886f70d01010b0500")),
    ):
        assert enc(kind, dec(kind, source)) == source
    assert (dec(8, spki(ec_key()).to_der()), dec(2, made.tbs_certificate_bytes).serial) == (spki(ec_key()), 300)
    signed, plain = dec(1, raw), dec(1, raw, 8)
    assert (signed.signature[::-1], plain.signature) == (made.signature, made.signature)
    assert signed.to_be_signed == made.tbs_certificate_bytes
    assert enc(1, signed) == enc(1, plain, 8) == raw
    san = made.public_bytes(DER) and bytes.fromhex("3003820161")
    assert enc(12, dec(12, san)) == san
    exts = dec(2, made.tbs_certificate_bytes).extensions
    assert dec(5, enc(5, exts)) == exts
    blob = dec(19, spki(rsa_key()).public_key)
    assert (blob[0], blob[8:12], enc(19, blob)) == (6, b"RSA1", spki(rsa_key()).public_key)
    assert dec(26, enc(26, b"\xa5\xff")) == b"\xa5\xff"


def test_the_errors_of_the_coders() -> None:
    for kind in (1, 2, 7, 8, 12, 14, 15, 25, 27, 36, 47, 73, 74):
        with fails(EOD):
            dec(kind, b"")
        with fails(BADTAG, CORRUPT):
            dec(kind, b"\x05\0")
    for encoding, kind in ((0, 25), (1, 9999), (1, "1.2.3.4.5")):
        with fails(2):
            crypt32.CryptEncodeObject(encoding, kind, b"")
        with fails(2):
            crypt32.CryptDecodeObject(encoding, kind, b"\x04\0")


def query(kind: int, subject: Any, *masks: int) -> Any:
    return crypt32.CryptQueryObject(kind, subject, *masks)


def test_an_object_is_known_by_its_content(tmp_path: Path) -> None:
    made = certificate()
    raw = made.public_bytes(DER)
    store = crypt32.CertOpenStore("Memory")
    held = crypt32.CertAddEncodedCertificateToStore(store, 1, raw, 1)
    asked = x509.CertificateSigningRequestBuilder().subject_name(made.subject).sign(ec_key(), hashes.SHA256())
    crl = x509.CertificateRevocationListBuilder().issuer_name(made.subject).last_update(made.not_valid_before_utc)
    listed = crl.next_update(made.not_valid_after_utc).sign(ec_key(), hashes.SHA256()).public_bytes(DER)
    pfx = pkcs12.serialize_key_and_certificates(
        b"x", ec_key(), made, None, serialization.BestAvailableEncryption(b"pw")
    )
    rows = {
        1: raw,
        3: listed,
        4: crypt32.CertSaveStore(store, 1, 1, 2),
        5: crypt32.CertSerializeCertificateStoreElement(held),
        8: pkcs7.serialize_certificates([made], DER),
        11: asked.public_bytes(DER),
        12: pfx,
    }
    for number, blob in rows.items():
        found = query(2, blob)
        assert (found.content_type, found.format_type, found.message) == (number, 1, None)
        assert (found.context is not None) is (number in (1, 3, 5))
        assert (found.store is None) is (number in (11, 12))
        assert query(2, base64.encodebytes(blob), 1 << number).format_type == 2
        assert query(2, blob, 0x3FFE, 2)[1:3] == (number, 1)
        with fails(NO_MATCH):
            query(2, blob, 0x3FFE & ~(1 << number))
        with fails(NO_MATCH):
            query(2, blob, 0x3FFE, 4)
    assert [item.encoded for item in query(2, rows[8]).store] == [raw]
    path = tmp_path / "one.cer"
    path.write_bytes(raw)
    assert query(1, str(path)).context.encoded == raw
    assert query(2, b"{ASN}" + raw.hex().encode()).format_type == 3


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((2, None), INVALID_ARG),
        ((2, b"x", 0), INVALID_ARG),
        ((2, b"x", 0x3FFE, 0), INVALID_ARG),
        ((3, b"x"), INVALID_ARG),
        ((2, b"nothing known"), NO_MATCH),
        ((1, "/nowhere/at/all"), 2),
    ],
)
def test_what_cannot_be_queried(args: tuple[Any, ...], code: int) -> None:
    with fails(code):
        query(*args)


B64 = base64.b64encode(bytes(range(60))).decode()
HEX17 = "00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f\r\n10\r\n"


@pytest.mark.parametrize(
    ("data", "flags", "text"),
    [
        (b"abc", 0, "-----BEGIN CERTIFICATE-----\r\nYWJj\r\n-----END CERTIFICATE-----\r\n"),
        (b"abc", 3, "-----BEGIN NEW CERTIFICATE REQUEST-----\r\nYWJj\r\n-----END NEW CERTIFICATE REQUEST-----\r\n"),
        (b"abc", 9, "-----BEGIN X509 CRL-----\r\nYWJj\r\n-----END X509 CRL-----\r\n"),
        (bytes(range(60)), 1, B64[:64] + "\r\n" + B64[64:] + "\r\n"),
        (bytes(range(60)), 1 | 0x80000000, B64[:64] + "\n" + B64[64:] + "\n"),
        (bytes(range(60)), 1 | 0x40000000, B64),
        (b"a\xff", 2, "a\xff"),
        (bytes(range(17)), 4, HEX17),
        (b"\xab\xcd", 12, "abcd\r\n"),
        (b"\xab\xcd", 12 | 0x40000000, "abcd"),
        (b"\xff\xfe", 13 | 0x40000000, "__4"),
    ],
)
def test_bytes_become_text_and_come_back(data: bytes, flags: int, text: str) -> None:
    got = crypt32.CryptBinaryToString(pbBinary=data, dwFlags=flags)
    assert got.rstrip() == text.rstrip() if flags == 4 else got == text
    assert tuple(crypt32.CryptStringToBinary(pszString=got, dwFlags=flags & 0xFF)) == (data, 0, flags & 0xFF)


@pytest.mark.parametrize("kind", [5, 10, 11])
def test_dumps_come_back(kind: int) -> None:
    data = bytes(range(30, 80))
    assert crypt32.CryptStringToBinary(crypt32.CryptBinaryToString(data, kind), kind)[0] == data
    assert crypt32.CryptStringToBinary(crypt32.CryptBinaryToString(data, kind), 8)[::2] == (data, kind)


def test_what_text_and_bytes_are_refused() -> None:
    pem = "some words\r\n-----BEGIN ANY-----\r\nYWJj\r\n-----END ANY-----\r\n"
    assert tuple(crypt32.CryptStringToBinary(pem, 0)) == (b"abc", 12, 0)
    assert tuple(crypt32.CryptStringToBinary(pem, 6)) == (b"abc", 12, 0)
    assert tuple(crypt32.CryptStringToBinary("YWJj", 6)) == (b"abc", 0, 1)
    assert tuple(crypt32.CryptStringToBinary("a*b", 7)) == (b"a*b", 0, 2)
    assert crypt32.CryptStringToBinary("ab-cd,ef 01", 4)[0] == bytes.fromhex("abcdef01")
    for text, flags in (
        (pem, 1),
        (pem.split("-----END", maxsplit=1)[0], 0),
        ("abc", 4),
        ("abc", 12),
        ("x*", 1),
        ("YWJj", 0),
    ):
        with fails(13):
            crypt32.CryptStringToBinary(text, flags)
    for data, flags in ((b"", 1), (b"a", 6), (b"a", 7), (b"a", 8), (b"a", 1 | 0x08000000), (b"a", 1 | 0x10000000)):
        with fails(0x57):
            crypt32.CryptBinaryToString(data, flags)


def test_a_crl_is_kept_as_a_certificate_is() -> None:
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer")])
    listed = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(start)
    raw = listed.next_update(start + dt.timedelta(days=1)).sign(ec_key(), hashes.SHA256()).public_bytes(DER)
    made = crypt32.CertCreateCRLContext(dwCertEncodingType=1, pbCrlEncoded=raw)
    assert (made.encoded, made.info.issuer, made.info.this_update) == (raw, name.public_bytes(), start)
    assert crypt32.CertDuplicateCRLContext(pCrlContext=made) is made
    store = crypt32.CertOpenStore("Memory")
    held = crypt32.CertAddCRLContextToStore(hCertStore=store, pCrlContext=made, dwAddDisposition=1)
    with fails(0x80092005):
        crypt32.CertAddEncodedCRLToStore(hCertStore=store, dwCertEncodingType=1, pbCrlEncoded=raw, dwAddDisposition=1)
    assert crypt32.CertEnumCRLsInStore(hCertStore=store, pPrevCrlContext=None) is held
    assert crypt32.CertEnumCRLsInStore(store, held) is None
    saved = crypt32.CertSaveStore(store, 1, 2, 2)
    assert crypt32.CertEnumCRLsInStore(crypt32.CertOpenStore("PKCS7", 1, None, 0, saved)).encoded == raw
    assert crypt32.CryptQueryObject(2, saved).content_type == 8
    crypt32.CertDeleteCRLFromStore(pCrlContext=crypt32.CertEnumCRLsInStore(store))
    assert crypt32.CertEnumCRLsInStore(store) is None
    for _ in range(2):
        crypt32.CertFreeCRLContext(pCrlContext=made)
    for data, codes in ((b"", (EOD,)), (b"\x04\0", (BADTAG, CORRUPT))):
        with fails(*codes):
            crypt32.CertCreateCRLContext(1, data)
