"""OpenSC, as Debian ships it, on a virtual PIV card behind the real pcscd. ``openssl`` checks what comes out."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from foreign import PIN, PRIVATE_PCSCD, certificate_in, library, public_pem

from calais.testing import virtual_piv

pytestmark = [
    *PRIVATE_PCSCD,
    pytest.mark.requires("opensc-tool", package="opensc"),
    pytest.mark.requires("/usr/lib/*/opensc-pkcs11.so", package="opensc-pkcs11"),
    pytest.mark.requires("openssl", package="openssl"),
]
MODULE = "/usr/lib/*/opensc-pkcs11.so"
TEXT = b"Signed by a card that is a file.\n"


@pytest.fixture
def p11(stage):
    """``pkcs11-tool`` with OpenSC's module, logged in."""
    return lambda *words, **options: stage.run(
        "pkcs11-tool", "--module", library(MODULE), "--login", "--pin", PIN, *words, **options
    )


def certificate(stage, number):
    return certificate_in(stage.run("pkcs15-tool", "--read-certificate", number))


def openssl_verifies(stage, public_key, signature, *options):
    stage.file("public.pem", public_pem(public_key))
    stage.file("signature", signature)
    said = stage.text(
        "openssl", "dgst", "-sha256", *options, "-verify", "public.pem", "-signature", "signature", "text"
    )
    assert "Verified OK" in said


def test_opensc_tool_names_the_reader_and_a_piv_card(stage):
    assert "Yubico YubiKey" in stage.text("opensc-tool", "--list-readers")
    assert "Personal Identity Verification Card" in stage.text("opensc-tool", "--name")


def test_opensc_tool_sends_a_select_and_reads_the_property_template(stage):
    said = stage.text("opensc-tool", "--send-apdu", "00:A4:04:00:09:A0:00:00:03:08:00:00:10:00:00")
    assert "SW1=0x90, SW2=0x00" in said
    assert "61" in said


def test_pkcs15_tool_lists_and_reads_every_certificate(stage):
    listed = stage.text("pkcs15-tool", "--list-certificates")
    assert listed.count("X.509 Certificate [") == 3
    public = [certificate(stage, number).public_key() for number in ("01", "02", "03")]
    assert [type(key).__name__ for key in public] == ["RSAPublicKey", "ECPublicKey", "RSAPublicKey"]


def test_pkcs15_tool_lists_keys_pins_and_data_objects(stage):
    said = stage.text("pkcs15-tool", "--list-keys", "--list-pins", "--list-data-objects")
    assert "PIV AUTH key" in said
    assert "Card Holder Unique Identifier" in said


def piv_tool(stage, *words, **options):
    key = stage.file("9b.key", b":".join([b"01:02:03:04:05:06:07:08"] * 3))
    return stage.text("piv-tool", "--admin", "M:9B:03", *words, PIV_EXT_AUTH_KEY=str(key), **options)


def test_piv_tool_generates_a_key(stage_with):
    blank = stage_with(virtual_piv(keys={}))
    # OpenSC 0.23 cannot write the public key with OpenSSL 3 and ends with an error; the key is made all the same.
    piv_tool(blank, "--genkey", "9A:07", "--out", "public.pem", status=None)
    blank.card.process(bytes.fromhex("00A404000BA000000308000010000100"))
    metadata = blank.card.process(bytes.fromhex("00F7009A00"))
    assert metadata.startswith(bytes.fromhex("010107")), "RSA-2048"
    assert bytes.fromhex("030101") in metadata[:16], "generated on the card"


def test_piv_tool_stores_a_certificate(stage, stage_with):
    blank = stage_with(virtual_piv(keys={}))
    some_certificate = certificate(stage, "02").public_bytes(Encoding.PEM)
    blank.file("some.pem", some_certificate)
    # OpenSC 0.23 ends with the low byte of the object's length.
    piv_tool(blank, "--cert", "9A", "--in", "some.pem", status=None)
    assert certificate(blank, "01").public_bytes(Encoding.PEM) == some_certificate


def test_pkcs11_tool_signs_with_rsa_and_openssl_agrees(stage, p11):
    stage.file("text", TEXT)
    p11("--sign", "--id", "01", "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "out")
    openssl_verifies(stage, certificate(stage, "01").public_key(), (stage.folder / "out").read_bytes())


def test_pkcs11_tool_signs_with_rsa_pss_and_openssl_agrees(stage, p11):
    stage.file("text", TEXT)
    p11("--sign", "--id", "01", "-m", "SHA256-RSA-PKCS-PSS", "-i", "text", "-o", "out")
    openssl_verifies(
        stage, certificate(stage, "01").public_key(), (stage.folder / "out").read_bytes(),
        "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32",
    )  # fmt: skip


def test_pkcs11_tool_signs_with_the_key_that_wants_the_pin_each_time(stage, p11):
    stage.file("text", TEXT)
    stage.file("digest", hashlib.sha256(TEXT).digest())
    p11("--sign", "--id", "02", "-m", "ECDSA", "--signature-format", "openssl", "-i", "digest", "-o", "out")
    openssl_verifies(stage, certificate(stage, "02").public_key(), (stage.folder / "out").read_bytes())


@pytest.mark.parametrize("mechanism", ["RSA-PKCS", "RSA-PKCS-OAEP"])
def test_pkcs11_tool_decrypts(stage, p11, mechanism):
    hide = (
        padding.PKCS1v15()
        if mechanism == "RSA-PKCS"
        else padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    )
    stage.file("hidden", certificate(stage, "03").public_key().encrypt(TEXT, hide))
    options = [] if mechanism == "RSA-PKCS" else ["--hash-algorithm", "SHA256"]
    p11("--decrypt", "--id", "03", "-m", mechanism, *options, "-i", "hidden", "-o", "out")
    assert (stage.folder / "out").read_bytes() == TEXT


def test_pkcs11_tool_derives_a_shared_secret(stage_with):
    key, peer = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    stage = stage_with(virtual_piv(keys={0x9D: (key, certificate_for(key))}))
    stage.file("peer.der", peer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    stage.run("pkcs11-tool", "--module", library(MODULE), "--login", "--pin", PIN, "--derive", "--id", "03",
              "-m", "ECDH1-DERIVE", "-i", "peer.der", "-o", "out")  # fmt: skip
    assert (stage.folder / "out").read_bytes() == peer.exchange(ec.ECDH(), key.public_key())


def test_pkcs11_tool_finds_nothing_wrong(p11):
    assert b"No errors" in p11("--test")


def certificate_for(key):
    """A self-signed certificate for ``key``."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Key agreement")])
    start = datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(start).not_valid_after(start + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
