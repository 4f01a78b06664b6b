from __future__ import annotations

import io
import subprocess
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7

from calais.apps import filesign
from calais.apps.certificates import describe, key_name, short_name, thumbprint
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, Unsupported, WinError

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()
DATA = b"a file\n" * 1000


def certificate(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Signer")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 5, datetime(2020, 1, 1), datetime(2050, 1, 1))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm)


def der(key):
    return certificate(key).public_bytes(Encoding.DER)


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=["rsa", "ec", "ed25519"])
@pytest.mark.parametrize("padding", filesign.PADDING_NAMES)
@pytest.mark.parametrize("hash_name", filesign.HASH_NAMES)
def test_a_raw_signature_verifies_and_a_changed_file_does_not(key, padding, hash_name):
    made = filesign.sign_raw(key, io.BytesIO(DATA), hash_name, padding)
    filesign.verify_raw(key.public_key(), io.BytesIO(DATA), made, hash_name, padding)
    with pytest.raises(WinError) as caught:
        filesign.verify_raw(key.public_key(), io.BytesIO(DATA + b"x"), made, hash_name, padding)
    assert caught.value.code == Code.NTE_BAD_SIGNATURE


@pytest.mark.parametrize(("key", "padding"), [(RSA, "pkcs1"), (RSA, "pss"), (EC, "pkcs1")])
def test_a_cms_signature_verifies_and_a_changed_file_does_not(key, padding):
    made = filesign.sign_cms(key, der(key), io.BytesIO(DATA), "sha256", padding)
    filesign.verify_cms(der(key), io.BytesIO(DATA), made)
    with pytest.raises(WinError) as caught:
        filesign.verify_cms(der(key), io.BytesIO(DATA + b"x"), made)
    assert caught.value.code == Code.NTE_BAD_SIGNATURE
    with pytest.raises(WinError):
        filesign.verify_cms(der(EC if key is RSA else RSA), io.BytesIO(DATA), made)


@pytest.mark.requires("openssl", package="openssl")
@pytest.mark.parametrize("key", [RSA, EC], ids=["rsa", "ec"])
def test_openssl_accepts_both_kinds_of_signature(key, tmp_path):
    (tmp_path / "data").write_bytes(DATA)
    (tmp_path / "raw").write_bytes(filesign.sign_raw(key, io.BytesIO(DATA), "sha256"))
    (tmp_path / "cms").write_bytes(filesign.sign_cms(key, der(key), io.BytesIO(DATA), "sha256"))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key").write_bytes(public)
    raw = ["openssl", "dgst", "-sha256", "-verify", "key", "-signature", "raw", "data"]
    cms = ["openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", "cms", "-content", "data"]
    for command in (raw, cms):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.parametrize("padding", filesign.DECRYPTION_PADDING_NAMES)
def test_a_raw_block_is_decrypted(padding):
    how = filesign.padding.PKCS1v15()
    if padding == "oaep":
        how = filesign.padding.OAEP(filesign.padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    block = RSA.public_key().encrypt(b"secret", how)
    assert filesign.decrypt_raw(RSA, block, padding, "sha256") == b"secret"


def test_an_enveloped_file_is_decrypted():
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(DATA).add_recipient(certificate(RSA))
    for encoding in (Encoding.DER, Encoding.PEM):
        message = builder.encrypt(encoding, [pkcs7.PKCS7Options.Binary])
        assert filesign.decrypt_cms(RSA, der(RSA), message) == DATA
    with pytest.raises(BadData):
        filesign.decrypt_cms(RSA, der(RSA), b"no message")


def test_what_a_key_cannot_do_is_refused():
    with pytest.raises(BadParameter):
        filesign.decrypt_raw(EC, b"", "pkcs1", "sha256")
    with pytest.raises(BadParameter):
        filesign.decrypt_cms(EC, der(EC), b"")
    with pytest.raises(Unsupported):
        filesign.sign_raw(x25519.X25519PrivateKey.generate(), io.BytesIO(DATA), "sha256")
    with pytest.raises(Unsupported):
        filesign.sign_cms(ED, der(ED), io.BytesIO(DATA), "sha256")
    with pytest.raises(Unsupported):
        filesign.sign_cms(RSA, der(RSA), io.BytesIO(DATA), "sha1")


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_certificate_file_may_be_pem_or_der(encoding, tmp_path):
    path, made = tmp_path / "certificate", certificate(EC)
    path.write_bytes(made.public_bytes(encoding))
    assert filesign.load_certificate_file(path) == made.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN RSA PRIVATE KEY-----"]
)
def test_a_file_without_certificate_is_bad_data(content, tmp_path):
    path = tmp_path / "certificate"
    path.write_bytes(content)
    with pytest.raises(BadData):
        filesign.load_certificate_file(path)


def test_a_certificate_is_described_for_readers_of_json():
    found = describe(certificate(RSA).public_bytes(Encoding.DER))
    assert found["name"] == "Signer"
    assert found["subject"] == "CN=Signer"
    assert found["key"] == "RSA-2048"
    assert found["not_before"] == "2020-01-01T00:00:00Z"
    assert found["serial_number"] == "5"
    assert describe(b"junk") == {"thumbprint": thumbprint(b"junk"), "problem": "the certificate cannot be read"}


def test_keys_and_names_are_called_what_people_call_them():
    assert [key_name(key.public_key()) for key in (RSA, EC, ED)] == ["RSA-2048", "P-384", "Ed25519"]
    assert short_name(x509.Name([])) == ""
    assert short_name(x509.Name([x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, "D13")])) == "D13"
