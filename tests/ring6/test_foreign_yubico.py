"""yubico-piv-tool and ykcs11, as Debian ships them, on a virtual PIV card behind the real pcscd."""

from __future__ import annotations

import hashlib
import re

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from foreign import PIN, PRIVATE_PCSCD, PUK, library

from calais.testing import virtual_piv

pytestmark = [
    *PRIVATE_PCSCD,
    pytest.mark.requires("yubico-piv-tool", package="yubico-piv-tool"),
    pytest.mark.requires("/usr/lib/*/libykcs11.so*", package="ykcs11"),
    pytest.mark.requires("openssl", package="openssl"),
]
MODULE = "/usr/lib/*/libykcs11.so*"
TEXT = b"Signed by a card that is a file.\n"


def new_ec():
    return ec.generate_private_key(ec.SECP256R1())


def new_rsa():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def blank(stage_with):
    """A personalised card without keys."""
    return stage_with(virtual_piv(keys={}))


def tool(stage, *words, **options):
    return stage.text("yubico-piv-tool", *words, **options)


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def self_signed(stage, key, name="card.pem"):
    """A certificate for a software key, made by openssl."""
    stage.file("software.key", pem(key))
    stage.run(
        "openssl", "req", "-x509", "-key", "software.key", "-subj", "/CN=Made by openssl", "-days", "30", "-out", name
    )
    return stage.folder / name


def test_status_names_version_serial_chuid_pin_tries_and_certificates(stage):
    said = tool(stage, "-a", "status")
    assert re.search(r"Version:\s+5\.", said)
    assert re.search(r"PIN tries left:\s+3", said)
    assert said.count("Slot 9") == 3


def test_the_right_pin_is_accepted_and_a_wrong_one_counted(stage):
    assert "Successfully verified PIN" in tool(stage, "-a", "verify-pin", "-P", PIN)
    assert "2 tries left" in tool(stage, "-a", "verify-pin", "-P", "000000", status=1)


def test_pin_and_puk_are_changed(stage):
    tool(stage, "-a", "change-pin", "-P", PIN, "-N", "654321")
    tool(stage, "-a", "verify-pin", "-P", "654321")
    tool(stage, "-a", "change-puk", "-P", PUK, "-N", "87654321")
    tool(stage, "-a", "unblock-pin", "-P", "87654321", "-N", PIN)
    tool(stage, "-a", "verify-pin", "-P", PIN)


def test_a_blocked_pin_is_unblocked_by_the_puk(stage):
    for _ in range(3):
        tool(stage, "-a", "verify-pin", "-P", "000000", status=None)
    assert "PIN tries left:\t0" in tool(stage, "-a", "status")
    tool(stage, "-a", "unblock-pin", "-P", PUK, "-N", PIN)
    tool(stage, "-a", "verify-pin", "-P", PIN)


@pytest.mark.parametrize(("algorithm", "kind"), [("RSA2048", rsa.RSAPublicKey), ("ECCP256", ec.EllipticCurvePublicKey)])
def test_a_key_is_generated_on_the_card(blank, algorithm, kind):
    tool(blank, "-a", "generate", "-s", "9a", "-A", algorithm, "-o", "public.pem")
    key = serialization.load_pem_public_key((blank.folder / "public.pem").read_bytes())
    assert isinstance(key, kind)


@pytest.mark.parametrize("make", [new_ec, new_rsa])
def test_a_key_and_its_certificate_are_imported_and_sign(blank, make):
    certificate = self_signed(blank, make())
    tool(blank, "-a", "import-key", "-s", "9a", "-i", "software.key")
    tool(blank, "-a", "import-certificate", "-s", "9a", "-i", certificate)
    tool(blank, "-a", "read-certificate", "-s", "9a", "-o", "read.pem")
    assert (blank.folder / "read.pem").read_bytes() == certificate.read_bytes()
    said = tool(blank, "-a", "verify-pin", "-P", PIN, "-a", "test-signature", "-s", "9a", "-i", certificate)
    assert "Successful" in said


def test_an_imported_rsa_key_decrypts(blank):
    certificate = self_signed(blank, rsa.generate_private_key(65537, 2048))
    tool(blank, "-a", "import-key", "-s", "9d", "-i", "software.key")
    said = tool(blank, "-a", "verify-pin", "-P", PIN, "-a", "test-decipher", "-s", "9d", "-i", certificate)
    assert "Successfully performed" in said


def test_the_management_key_is_replaced(blank):
    key = hashlib.sha256(b"a management key").hexdigest()[:48]
    tool(blank, "-a", "set-mgm-key", "-n", key)
    tool(blank, f"--key={key}", "-a", "generate", "-s", "9a", "-A", "ECCP256", "-o", "public.pem")
    tool(blank, "-a", "generate", "-s", "9a", "-A", "ECCP256", "-o", "public.pem", status=1)


def test_pin_retries_are_set_and_a_blocked_card_is_reset(stage):
    tool(stage, "-a", "verify-pin", "-P", PIN, "-a", "pin-retries", "--pin-retries", "5", "--puk-retries", "4")
    assert re.search(r"PIN tries left:\s+5", tool(stage, "-a", "status"))
    tool(stage, "-a", "reset", status=1)
    for _ in range(5):
        tool(stage, "-a", "verify-pin", "-P", "000000", status=None)
    for _ in range(4):
        tool(stage, "-a", "change-puk", "-P", "00000000", "-N", "11111111", status=None)
    tool(stage, "-a", "reset")
    said = tool(stage, "-a", "status")
    assert re.search(r"PIN tries left:\s+3", said)
    assert "Slot 9" not in said


def test_a_generated_key_is_attested_by_the_card(blank):
    tool(blank, "-a", "generate", "-s", "9a", "-A", "ECCP256", "-o", "public.pem")
    tool(blank, "-a", "attest", "-s", "9a", "-o", "attestation.pem")
    tool(blank, "-a", "read-certificate", "-s", "f9", "-o", "issuer.pem")
    said = blank.text("openssl", "verify", "-partial_chain", "-trusted", "issuer.pem", "attestation.pem")
    assert "OK" in said


def test_ykcs11_signs_and_openssl_agrees(stage):
    stage.file("text", TEXT)
    stage.run("pkcs11-tool", "--module", library(MODULE), "--login", "--pin", PIN, "--sign", "--id", "01",
              "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "signature")  # fmt: skip
    tool(stage, "-a", "read-certificate", "-s", "9a", "-o", "certificate.pem")
    stage.file("public.pem", stage.run("openssl", "x509", "-in", "certificate.pem", "-noout", "-pubkey"))
    said = stage.text("openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "text")
    assert "Verified OK" in said
