"""Our command line on a card that only yubico-piv-tool and openssl have filled, through the real pcscd."""

from __future__ import annotations

import json
import sys

import pytest
from cryptography import x509
from foreign import PIN, PRIVATE_PCSCD

from calais.testing import virtual_piv

pytestmark = [
    *PRIVATE_PCSCD,
    pytest.mark.requires("yubico-piv-tool", package="yubico-piv-tool"),
    pytest.mark.requires("openssl", package="openssl"),
]
SLOT, ALWAYS_SLOT = "9a", "9c"


@pytest.fixture
def filled(stage_with):
    """Key and certificate from openssl in 9A, put there by yubico-piv-tool; in 9C a key that the card made."""
    stage = stage_with(virtual_piv(keys={}))
    stage.file("pin", PIN.encode() + b"\n")
    stage.file("text", b"Signed through a certificate in the store.\n")
    stage.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-subj", "/CN=Foreign",
              "-days", "30", "-out", "certificate.pem")  # fmt: skip
    stage.run("openssl", "rsa", "-in", "k.pem", "-traditional", "-out", "key.pem")
    stage.run("yubico-piv-tool", "-a", "import-key", "-s", SLOT, "-i", "key.pem")
    stage.run("yubico-piv-tool", "-a", "import-certificate", "-s", SLOT, "-i", "certificate.pem")
    stage.run("yubico-piv-tool", "-a", "generate", "-s", ALWAYS_SLOT, "-A", "ECCP256", "-o", "public.pem")
    return stage


def calais(stage, *words, **options):
    """Our command, in a process of its own; its document."""
    command = (sys.executable, "-m", "calais", *words, "--json")
    done = stage.done(*command, CALAIS_HOME=str(stage.folder / "home"), **options)
    return json.loads(done.stdout or done.stderr)


def test_its_certificate_comes_into_the_store_and_signs_through_its_link(filled):
    (outcome,) = calais(filled, "propagate")["outcomes"]
    assert outcome["action"] == "added"
    calais(filled, "sign", "text", "--cert", "Foreign", "-o", "signature", "--pin-file", "pin")
    filled.file("public.pem", filled.run("openssl", "x509", "-in", "certificate.pem", "-noout", "-pubkey"))
    said = filled.text("openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "text")
    assert "Verified OK" in said


def test_a_key_without_a_certificate_signs_by_its_slot(filled):
    calais(filled, "sign", "text", "--container", "9C", "-o", "signature", "--pin-file", "pin")
    said = filled.text("openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "text")
    assert "Verified OK" in said


def test_what_openssl_encrypts_is_decrypted(filled):
    calais(filled, "propagate")
    filled.run(
        "openssl", "pkeyutl", "-encrypt", "-certin", "-inkey", "certificate.pem", "-in", "text", "-out", "hidden"
    )
    calais(filled, "decrypt", "hidden", "--cert", "Foreign", "-o", "plain", "--padding", "pkcs1", "--pin-file", "pin")
    assert (filled.folder / "plain").read_bytes() == (filled.folder / "text").read_bytes()


def test_a_certificate_renewed_by_another_tool_is_the_one_that_is_served(filled):
    calais(filled, "propagate")
    filled.run("openssl", "req", "-x509", "-key", "k.pem", "-subj", "/CN=Renewed", "-days", "30", "-out", "renewed.pem")
    filled.run("yubico-piv-tool", "-a", "import-certificate", "-s", SLOT, "-i", "renewed.pem")
    (outcome,) = calais(filled, "propagate")["outcomes"]
    assert outcome["subject"] == "Renewed"
    exported = filled.run(
        sys.executable, "-m", "calais", "cert", "export", "Renewed", CALAIS_HOME=str(filled.folder / "home")
    )
    renewed = x509.load_pem_x509_certificate((filled.folder / "renewed.pem").read_bytes())
    assert x509.load_pem_x509_certificate(exported) == renewed


def test_scinfo_finds_both_keys_and_names_what_is_missing(filled):
    told = calais(filled, "scinfo", "--pin-file", "pin", status=None)
    assert [(found["reference"], found["sign"], found["match"]) for found in told["containers"]] == [
        ("9A", "ok", "ok"),
        ("9C", "ok", "ok"),
    ]
    names = {finding["name"] for finding in told["findings"]}
    assert {"certificate_missing", "security_object_missing"} <= names


def test_the_pulled_card_is_missed_by_name_and_found_again(filled):
    calais(filled, "propagate")
    filled.pcscd.remove()
    failed = calais(filled, "sign", "text", "--cert", "Foreign", "-o", "s", "--pin-file", "pin", status=3)
    assert failed["error"]["name"] == "SCARD_E_NO_SMARTCARD"
    filled.pcscd.insert(filled.card)
    calais(filled, "sign", "text", "--cert", "Foreign", "-o", "signature", "--pin-file", "pin")
