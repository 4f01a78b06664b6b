"""OpenSSL reads our PKCS #7, and we read OpenSSL's."""

# ruff: noqa: F403, F405

import subprocess

import certs
import crls
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from storefaces import A, B, crls_of, ders, memory

from calais.winapi.crypt32 import *

pytestmark = pytest.mark.requires("openssl", package="openssl")
CRL = crls.make()


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def pem(der):
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def opened(provider, para):
    return CertOpenStore(provider, pvPara=para)


def test_openssl_prints_what_we_wrote(tmp_path):
    store = memory(A, B)
    CertAddEncodedCRLToStore(store, 1, CRL, CERT_STORE_ADD_NEW)
    CertSaveStore(store, 1, CERT_STORE_SAVE_AS_PKCS7, CERT_STORE_SAVE_TO_FILENAME, tmp_path / "x.p7b")
    printed = openssl("pkcs7", "-inform", "DER", "-in", str(tmp_path / "x.p7b"), "-print_certs").decode()
    found = x509.load_pem_x509_certificates(printed[printed.index("-----BEGIN CERT") :].encode())
    assert sorted(each.public_bytes(Encoding.DER) for each in found) == sorted([A, B])
    assert "BEGIN X509 CRL" in printed
    assert openssl("asn1parse", "-inform", "DER", "-in", str(tmp_path / "x.p7b"))


@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_we_read_what_openssl_wrote(tmp_path, form):
    (tmp_path / "c.pem").write_bytes(pem(A) + pem(B))
    made = openssl("crl2pkcs7", "-nocrl", "-certfile", str(tmp_path / "c.pem"), "-outform", form)
    (tmp_path / "x").write_bytes(made)
    assert sorted(ders(opened(CERT_STORE_PROV_FILENAME, tmp_path / "x"))) == sorted([A, B])
    if form == "DER":
        assert sorted(ders(opened(CERT_STORE_PROV_PKCS7, made))) == sorted([A, B])


def test_we_read_its_crls(tmp_path):
    (tmp_path / "crl").write_bytes(CRL)
    made = openssl("crl2pkcs7", "-inform", "DER", "-in", str(tmp_path / "crl"), "-outform", "DER")
    assert crls_of(opened(CERT_STORE_PROV_PKCS7, made)) == [CRL]
    assert crls_of(opened(CERT_STORE_PROV_FILENAME, tmp_path / "crl")) == [CRL]


@pytest.mark.parametrize("more", [(), ("-stream", "-indef")], ids=["der", "indefinite"])
def test_we_read_the_certificates_of_a_signed_message(tmp_path, more):
    key = certs.rsa_key()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    der = certs.make("Signer", key=key)
    (tmp_path / "c.pem").write_bytes(pem(der))
    signer = ("-signer", str(tmp_path / "c.pem"), "-inkey", str(tmp_path / "key.pem"))
    made = openssl("cms", "-sign", "-binary", "-nodetach", *more, *signer, "-outform", "DER", data=b"text" * 9000)
    assert (made[:2] == b"\x30\x80") == bool(more)
    assert ders(opened(CERT_STORE_PROV_PKCS7, made)) == [der]


@pytest.mark.parametrize("password", ["", "secret"])
def test_openssl_opens_our_pfx_and_we_open_its(tmp_path, password):
    blob = CertSaveStore(memory(A), 1, CERT_STORE_SAVE_AS_PKCS12, CERT_STORE_SAVE_TO_MEMORY, (None, password))
    (tmp_path / "x.pfx").write_bytes(blob)
    shown = openssl("pkcs12", "-in", str(tmp_path / "x.pfx"), "-nokeys", "-passin", f"pass:{password}")
    assert x509.load_pem_x509_certificate(shown[shown.index(b"-----BEGIN") :]).public_bytes(Encoding.DER) == A
    (tmp_path / "c.pem").write_bytes(pem(B))
    made = openssl("pkcs12", "-export", "-nokeys", "-in", str(tmp_path / "c.pem"), "-passout", "pass:")
    assert ders(opened(CERT_STORE_PROV_PKCS12, made)) == [B]
