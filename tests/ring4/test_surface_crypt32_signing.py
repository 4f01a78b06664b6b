"""Public keys, digests, signatures and self-signed certificates: what a caller of crypt32 meets."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID

from calais import WinError
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.winapi import advapi32, crypt32, ncrypt
from calais.winapi.crypt32 import CertInfo, CertPublicKeyInfo, CryptAlgorithmIdentifier, CryptKeyProvInfo

pytestmark = pytest.mark.ring4

BASE = "Microsoft Base Smart Card Crypto Provider"
CARD_KSP = "Microsoft Smart Card Key Storage Provider"
SHA256_RSA, SHA1_RSA, SHA256_EC = "1.2.840.113549.1.1.11", "1.2.840.113549.1.1.5", "1.2.840.10045.4.3.2"
NO_SIGN_OID = "1.3.6.1.5.5.7.6.2"
DER = serialization.Encoding.DER
DATA = b"some part to be signed"


@functools.cache
def rsa_key(which: str) -> rsa.RSAPrivateKey:
    assert which
    return rsa.generate_private_key(65537, 2048)


@functools.cache
def ec_key(which: str) -> ec.EllipticCurvePrivateKey:
    assert which
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def certificate(key: Any, name: str = "Holder", issuer: str = "", by: Any = None) -> x509.Certificate:
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(issuer or name))
    builder = builder.public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(start).not_valid_after(start + dt.timedelta(days=9000))
    return builder.sign(by or key, hashes.SHA256())


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def context_of(made: x509.Certificate) -> Any:
    return crypt32.CertCreateCertificateContext(1, made.public_bytes(DER))


def spki(key: Any) -> CertPublicKeyInfo:
    raw = key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return CertPublicKeyInfo.from_der(raw)


@contextmanager
def fails(code: int) -> Iterator[Any]:
    with pytest.raises(WinError) as caught:
        yield caught
    assert hex(caught.value.code) == hex(code)


@pytest.fixture
def prompt() -> FixedPrompt:
    return FixedPrompt("123456")


@pytest.fixture
def system(prompt: FixedPrompt) -> Iterator[Any]:
    keys = [("one", 1, rsa_key("one"), certificate(rsa_key("one"))), ("two", 2, rsa_key("two"), None)]
    with local_system(prompt=prompt) as made:
        made.insert(virtual_gids(keys=keys))
        yield made


@contextmanager
def provider(name: str) -> Iterator[Any]:
    handle = advapi32.CryptAcquireContext(name, BASE, 1, 0)
    try:
        yield handle
    finally:
        advapi32.CryptReleaseContext(handle, 0)


@contextmanager
def cng(name: str, spec: int = 0) -> Iterator[Any]:
    opened = ncrypt.NCryptOpenStorageProvider(CARD_KSP, 0)
    key = ncrypt.NCryptOpenKey(opened, name, spec, 0)
    try:
        yield key
    finally:
        ncrypt.NCryptFreeObject(key)
        ncrypt.NCryptFreeObject(opened)


@contextmanager
def ec_card() -> Iterator[Any]:
    with local_system(prompt=FixedPrompt("123456")) as made:
        made.insert(virtual_piv(keys={0x9C: (ec_key("9C"), certificate(ec_key("9C")))}))
        context = context_of(certificate(ec_key("9C")))
        got = crypt32.CryptAcquireCertificatePrivateKey(context, 0x40000)
        yield got.handle
        ncrypt.NCryptFreeObject(got.handle)


def test_public_keys_are_exported_from_both_kinds_of_handle(system: Any) -> None:
    with provider("one") as prov:
        found = crypt32.CryptExportPublicKeyInfo(hCryptProvOrNCryptKey=prov, dwKeySpec=1, dwCertEncodingType=1)
        assert found == spki(rsa_key("one"))
        with fails(0x8009000D):
            crypt32.CryptExportPublicKeyInfo(prov, 2, 1)
        other = crypt32.CryptExportPublicKeyInfoEx(
            hCryptProvOrNCryptKey=prov,
            dwKeySpec=1,
            dwCertEncodingType=1,
            pszPublicKeyObjId="1.2.3.4",
            dwFlags=0,
            pvAuxInfo=None,
        )
        assert (other.algorithm, other.public_key) == ("1.2.3.4", found.public_key)
    with cng("one", 1) as key:
        assert crypt32.CryptExportPublicKeyInfo(key, 0, 1) == spki(rsa_key("one"))
        assert crypt32.CryptExportPublicKeyInfo(key, 0xFFFFFFFF, 1) == spki(rsa_key("one"))


def test_an_ec_key_is_exported_with_its_curve() -> None:
    with ec_card() as key:
        assert crypt32.CryptExportPublicKeyInfo(key, 0, 1) == spki(ec_key("9C"))


def test_public_keys_are_imported(system: Any) -> None:
    assert system
    prov = advapi32.CryptAcquireContext(None, BASE, 1, 0xF0000000)
    info = spki(rsa_key("one"))
    key = crypt32.CryptImportPublicKeyInfo(hCryptProv=prov, dwCertEncodingType=1, pInfo=info)
    assert advapi32.CryptGetKeyParam(key, 7, 0) == 0xA400
    signing = crypt32.CryptImportPublicKeyInfoEx(
        hCryptProv=prov, dwCertEncodingType=1, pInfo=info, aiKeyAlg=0x2400, dwFlags=0, pvAuxInfo=None
    )
    assert advapi32.CryptGetKeyParam(signing, 7, 0) == 0x2400
    exchange = crypt32.CryptImportPublicKeyInfoEx(prov, 1, info)
    assert advapi32.CryptGetKeyParam(exchange, 7, 0) == 0xA400
    with fails(2):
        crypt32.CryptImportPublicKeyInfo(prov, 1, spki(ec_key("9C")))
    for opened in (key, signing, exchange):
        advapi32.CryptDestroyKey(opened)
    advapi32.CryptReleaseContext(prov, 0)


@pytest.mark.parametrize(
    ("algid", "name"),
    [(0, "sha1"), (0x8003, "md5"), (0x8004, "sha1"), (0x800C, "sha256"), (0x800D, "sha384"), (0x800E, "sha512")],
)
@pytest.mark.parametrize("data", [b"", DATA], ids=["empty", "data"])
def test_certificates_are_hashed_by_number(algid: int, name: str, data: bytes) -> None:
    got = crypt32.CryptHashCertificate(hCryptProv=None, Algid=algid, dwFlags=0, pbEncoded=data)
    assert got == hashlib.new(name, data).digest()


@pytest.mark.parametrize("name", ["MD5", "SHA1", "SHA256", "SHA384", "SHA512"])
def test_certificates_are_hashed_by_name(name: str) -> None:
    got = crypt32.CryptHashCertificate2(pwszCNGHashAlgid=name, dwFlags=0, pvReserved=None, pbEncoded=DATA)
    assert got == hashlib.new(name, DATA).digest()
    with fails(0xC0000225):
        crypt32.CryptHashCertificate2(name + "x", 0, None, DATA)


def test_an_unknown_digest_number_is_bad_algid() -> None:
    with fails(0x80090008):
        crypt32.CryptHashCertificate(None, 0x8099, 0, DATA)


def test_a_public_key_is_hashed_as_der() -> None:
    info = spki(rsa_key("one"))
    for algid, name in ((0, "md5"), (0x8004, "sha1"), (0x800C, "sha256")):
        got = crypt32.CryptHashPublicKeyInfo(hCryptProv=None, Algid=algid, dwFlags=0, dwCertEncodingType=1, pInfo=info)
        assert got == hashlib.new(name, info.to_der()).digest()


def test_the_part_to_be_signed_is_hashed_by_the_signature_algorithm() -> None:
    made = certificate(rsa_key("one"))
    got = crypt32.CryptHashToBeSigned(hCryptProv=None, dwCertEncodingType=1, pbEncoded=made.public_bytes(DER))
    assert got == hashlib.sha256(made.tbs_certificate_bytes).digest()


def sign(handle: Any, spec: int, algorithm: Any = SHA256_RSA) -> bytes:
    return crypt32.CryptSignCertificate(
        hCryptProvOrNCryptKey=handle,
        dwKeySpec=spec,
        dwCertEncodingType=1,
        pbEncodedToBeSigned=DATA,
        pSignatureAlgorithm=algorithm,
        pvHashAuxInfo=None,
    )


@pytest.mark.parametrize(("oid", "algid"), [(SHA256_RSA, 0x800C), (SHA1_RSA, 0x8004)], ids=["sha256", "sha1"])
def test_an_rsa_signature_is_what_advapi32_makes(system: Any, oid: str, algid: int) -> None:
    assert system
    with provider("one") as prov, cng("one", 1) as key:
        hashed = advapi32.CryptCreateHash(prov, algid, None, 0)
        advapi32.CryptHashData(hashed, DATA, 0)
        expected = advapi32.CryptSignHash(hashed, 1, None, 0)
        advapi32.CryptDestroyHash(hashed)
        assert sign(prov, 1, oid) == expected
        assert sign(prov, 1, CryptAlgorithmIdentifier(oid=oid, parameters=b"\5\0")) == expected
        assert sign(key, 0, oid) == sign(key, 0xFFFFFFFF, oid) == expected


@pytest.mark.parametrize("oid", ["", "1.2.3.4"], ids=["empty", "unknown"])
def test_an_algorithm_nobody_knows_is_bad_algid_and_costs_no_pin(system: Any, prompt: FixedPrompt, oid: str) -> None:
    assert system
    with provider("one") as prov, cng("one", 1) as key:
        for handle, spec in ((prov, 1), (key, 0)):
            with fails(0x80090008):
                sign(handle, spec, oid)
        with fails(0x8009000D):
            sign(prov, 2)
    assert prompt.count == 0


def test_an_ecdsa_signature_is_two_numbers() -> None:
    with ec_card() as key:
        raw = sign(key, 0, SHA256_EC)
    assert len(raw) == 64
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    ec_key("9C").public_key().verify(signature, DATA, ec.ECDSA(hashes.SHA256()))


def sign_and_encode(handle: Any, spec: int, kind: Any, part: Any, algorithm: str) -> bytes:
    return crypt32.CryptSignAndEncodeCertificate(
        hCryptProvOrNCryptKey=handle,
        dwKeySpec=spec,
        dwCertEncodingType=1,
        lpszStructType=kind,
        pvStructInfo=part,
        pSignatureAlgorithm=algorithm,
        pvHashAuxInfo=None,
    )


def test_certificates_crls_and_requests_are_signed_and_encoded(system: Any) -> None:
    assert system
    key, made = rsa_key("one"), certificate(rsa_key("one"))
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    crl = x509.CertificateRevocationListBuilder().issuer_name(named("Holder")).last_update(start)
    listed = crl.next_update(start + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    asked = x509.CertificateSigningRequestBuilder().subject_name(named("Holder")).sign(key, hashes.SHA256())
    with provider("one") as prov:
        as_bytes = sign_and_encode(prov, 1, 2, made.tbs_certificate_bytes, SHA256_RSA)
        as_info = sign_and_encode(prov, 1, 2, context_of(made).info, SHA256_RSA)
        revoked = sign_and_encode(prov, 1, 3, listed.tbs_certlist_bytes, SHA256_RSA)
        request = sign_and_encode(prov, 1, 4, asked.tbs_certrequest_bytes, SHA256_RSA)
    assert as_bytes == as_info == made.public_bytes(DER)
    assert revoked == listed.public_bytes(DER)
    assert request == asked.public_bytes(DER)


def test_an_ec_certificate_is_signed_as_x509_wants_it() -> None:
    made = certificate(ec_key("9C"))
    with ec_card() as key:
        raw = sign_and_encode(key, 0, 2, made.tbs_certificate_bytes, SHA256_EC)
    x509.load_der_x509_certificate(raw).verify_directly_issued_by(made)


def verify(encoding: int, encoded: bytes, key: CertPublicKeyInfo) -> None:
    result = crypt32.CryptVerifyCertificateSignature(  # type: ignore[func-returns-value]
        hCryptProv=None, dwCertEncodingType=encoding, pbEncoded=encoded, pPublicKey=key
    )
    assert result is None


@pytest.mark.parametrize("key", [rsa_key("one"), ec_key("9C")], ids=["rsa", "ec"])
def test_a_certificate_signature_is_verified(key: Any) -> None:
    encoded, other = certificate(key).public_bytes(DER), type(spki(key))
    assert other is CertPublicKeyInfo
    verify(1, encoded, spki(key))
    with fails(0x80090006):
        verify(1, encoded[:-1] + bytes([encoded[-1] ^ 1]), spki(key))
    with fails(2):
        verify(0, encoded, spki(key))
    with fails(0x80093102):
        verify(1, b"", spki(key))
    with fails(0x80090006):
        verify(1, encoded, spki(rsa_key("two") if isinstance(key, rsa.RSAPrivateKey) else ec_key("other")))


def verify_ex(kind: int, subject: Any, issuer_kind: int, issuer: Any = None) -> None:
    result = crypt32.CryptVerifyCertificateSignatureEx(  # type: ignore[func-returns-value]
        hCryptProv=None,
        dwCertEncodingType=1,
        dwSubjectType=kind,
        pvSubject=subject,
        dwIssuerType=issuer_kind,
        pvIssuer=issuer,
        dwFlags=0,
        pvExtra=None,
    )
    assert result is None


def test_every_kind_of_subject_meets_every_kind_of_issuer() -> None:
    ca, leaf = certificate(rsa_key("two"), "CA"), certificate(ec_key("9C"), "Leaf", "CA", rsa_key("two"))
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    crl = x509.CertificateRevocationListBuilder().issuer_name(named("CA")).last_update(start)
    listed = crl.next_update(start + dt.timedelta(days=1)).sign(rsa_key("two"), hashes.SHA256())
    issuer = context_of(ca)
    subjects = [
        (1, leaf.public_bytes(DER)),
        (2, context_of(leaf)),
        (3, crypt32.CertCreateCRLContext(1, listed.public_bytes(DER))),
    ]
    issuers = [(1, spki(rsa_key("two"))), (2, issuer), (3, (issuer,)), (3, (issuer, issuer))]
    for kind, subject in subjects:
        for issuer_kind, by in issuers:
            verify_ex(kind, subject, issuer_kind, by)
        with fails(0x80090006):
            verify_ex(kind, subject, 1, spki(rsa_key("one")))
        with fails(0x80070057):
            verify_ex(kind, subject, 4)
    for kind, issuer_kind in ((4 + 5, 1), (0, 1), (1, 0), (1, 9)):
        with fails(0x80070057):
            verify_ex(kind, leaf.public_bytes(DER), issuer_kind, spki(rsa_key("two")))


def self_signed(handle: Any = None, subject: bytes | None = None, **more: Any) -> Any:
    name = named("Self").public_bytes() if subject is None else subject
    return crypt32.CertCreateSelfSignCertificate(hCryptProvOrNCryptKey=handle, pSubjectIssuerBlob=name, **more)


def info_of(context: Any) -> CryptKeyProvInfo:
    value = crypt32.CertGetCertificateContextProperty(context, 2)
    assert isinstance(value, CryptKeyProvInfo)
    return value


def checked(context: Any) -> x509.Certificate:
    made = x509.load_der_x509_certificate(context.encoded)
    made.verify_directly_issued_by(made)
    return made


def test_a_provider_handle_signs_with_its_key_and_says_where_it_is(system: Any, prompt: FixedPrompt) -> None:
    assert system
    with provider("one") as one, provider("two") as two:
        first, second = self_signed(one), self_signed(two)
    made = checked(first)
    assert made.public_key() == rsa_key("one").public_key()
    assert checked(second).public_key() == rsa_key("two").public_key()
    assert info_of(first) == CryptKeyProvInfo("one", BASE, 1, 0, (), 1)
    assert info_of(second) == CryptKeyProvInfo("two", BASE, 1, 0, (), 2)
    assert made.subject == made.issuer == named("Self")
    assert made.signature_algorithm_oid.dotted_string == SHA256_RSA
    assert 365 <= (made.not_valid_after_utc - made.not_valid_before_utc).days <= 366
    assert abs((dt.datetime.now(dt.UTC) - made.not_valid_before_utc).total_seconds()) < 120
    assert len(first.info.serial_number) == 16
    assert first.info.serial_number != second.info.serial_number
    assert list(first.store) == []
    assert prompt.count >= 1


def test_not_signing_touches_no_key(system: Any, prompt: FixedPrompt) -> None:
    assert system
    with provider("one") as one:
        made = self_signed(one, dwFlags=1)
    assert made.info.signature_algorithm.oid == NO_SIGN_OID
    assert prompt.count == 0
    verify_ex(2, made, 4)
    verify_ex(1, made.encoded, 4)


def test_no_key_info_leaves_property_2_out_and_the_wishes_of_the_caller_are_kept(system: Any) -> None:
    assert system
    start = dt.datetime(2024, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    extension = crypt32.CertExtension(oid="2.5.29.15", critical=True, value=bytes.fromhex("03020780"))
    with provider("one") as one:
        made = self_signed(
            one,
            dwFlags=2,
            pSignatureAlgorithm="1.2.840.113549.1.1.12",
            pStartTime=start,
            pEndTime=start + dt.timedelta(days=3),
            pExtensions=(extension,),
        )
    assert crypt32.CertEnumCertificateContextProperties(made, 0) == 0
    assert (made.info.not_before, made.info.not_after) == (start, start + dt.timedelta(days=3))
    assert extension in made.info.extensions
    assert checked(made).signature_algorithm_oid.dotted_string == "1.2.840.113549.1.1.12"


def test_a_provider_handle_with_a_link_needs_the_key_of_the_link(system: Any) -> None:
    assert system
    wished = CryptKeyProvInfo("wherever", "whoever", 9, 0, (), 1)
    with provider("one") as one:
        made = self_signed(one, pKeyProvInfo=wished)
        assert info_of(made) == wished
        assert checked(made).public_key() == rsa_key("one").public_key()
        with fails(0x8009000D):
            self_signed(one, pKeyProvInfo=dataclasses.replace(wished, key_spec=2))


def test_a_container_without_keys_is_no_key_and_nothing_is_generated(system: Any) -> None:
    assert system
    empty = advapi32.CryptAcquireContext("empty", BASE, 1, 8)
    with fails(0x8009000D):
        self_signed(empty)
    with fails(0x8009000D):
        advapi32.CryptGetUserKey(empty, 2)
    advapi32.CryptReleaseContext(empty, 0)


def test_a_cng_key_signs_with_a_link_of_type_0(system: Any) -> None:
    assert system
    with cng("one", 1) as key:
        made = self_signed(key)
    assert (info_of(made).prov_type, info_of(made).container_name) == (0, "one")
    assert checked(made).public_key() == rsa_key("one").public_key()


def test_an_ec_key_signs_with_ecdsa_and_sha256() -> None:
    with ec_card() as key:
        made = self_signed(key)
        assert info_of(made).prov_type == 0
    assert checked(made).signature_algorithm_oid.dotted_string == SHA256_EC


@pytest.mark.parametrize(
    ("name", "kind", "spec"), [(BASE, 1, 1), (BASE, 1, 2), (CARD_KSP, 0, 0)], ids=["exchange", "signature", "ksp"]
)
def test_a_link_alone_makes_what_is_missing(name: str, kind: int, spec: int) -> None:
    wished = CryptKeyProvInfo("fresh", name, kind, 0, (), spec)
    with local_system(prompt=FixedPrompt("123456")) as system:
        system.insert(virtual_gids(keys=[]))
        made = self_signed(pKeyProvInfo=wished)
        again = self_signed(pKeyProvInfo=wished)
        assert info_of(made) == wished
        assert checked(made).public_key() == checked(again).public_key()


def test_nothing_given_makes_a_container_with_a_signature_key(system: Any) -> None:
    assert system
    made = self_signed(system=system)
    info = info_of(made)
    assert (info.prov_name, info.prov_type, info.flags, info.key_spec) == (BASE, 1, 0, 2)
    assert len(info.container_name.strip("{}")) == 36
    got = crypt32.CryptAcquireCertificatePrivateKey(made, 4)
    assert got.key_spec == 2
    advapi32.CryptReleaseContext(got.handle, 0)
    checked(made)


def test_without_a_card_there_is_no_self_signed_certificate() -> None:
    with local_system(prompt=FixedPrompt("123456")) as system:
        system.plug("Virtual Reader 0")
        with fails(0x8010000C):
            self_signed(pKeyProvInfo=CryptKeyProvInfo("fresh", BASE, 1, 0, (), 1))


def test_the_validity_of_a_time_is_one_of_three() -> None:
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    info = CertInfo(not_before=start, not_after=start + dt.timedelta(days=1))
    for day, expected in ((-1, -1), (0, 0), (1, 0), (2, 1)):
        when = start + dt.timedelta(days=day)
        assert crypt32.CertVerifyTimeValidity(pTimeToVerify=when, pCertInfo=info) == expected
    assert crypt32.CertVerifyTimeValidity(None, info) == 1


@pytest.mark.parametrize(("kind", "code"), [(1, 0x80092012), (0, 0x80092011), (2, 0x80092011)])
def test_nobody_answers_for_revocation(kind: int, code: int) -> None:
    context = context_of(certificate(rsa_key("one")))
    with fails(code) as caught:
        crypt32.CertVerifyRevocation(dwEncodingType=1, dwRevType=kind, rgpvContext=[context], dwFlags=0, pRevPara=None)
    assert caught.value.index == 0
    crypt32.CertVerifyRevocation(1, 1, [])
