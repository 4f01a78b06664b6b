"""OpenSC, as Debian ships it, on a virtual GIDS card behind the real pcscd. ``openssl`` checks what comes out."""

from __future__ import annotations

import hashlib
import struct
import zlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from foreign import PIN, PRIVATE_PCSCD, certificate_in, library, public_pem

from calais.testing import virtual_gids

pytestmark = [
    *PRIVATE_PCSCD,
    pytest.mark.requires("gids-tool", package="opensc"),
    pytest.mark.requires("/usr/lib/*/opensc-pkcs11.so", package="opensc-pkcs11"),
    pytest.mark.requires("openssl", package="openssl"),
]
MODULE = "/usr/lib/*/opensc-pkcs11.so"
ADMIN, OTHER_ADMIN = "0102030405060708" * 3, "11" * 24
CARD_ID = "00112233445566778899AABBCCDDEEFF"
TEXT = b"Signed by a card that is a file.\n"
OWNER = ("--auth-id", "80", "--verify-pin", "--pin", PIN)


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def stage(stage_with, rsa_key):
    """A card with one RSA exchange key and its certificate."""
    return stage_with(virtual_gids(keys=[("made by us", 1, rsa_key, certificate_for(rsa_key))]))


@pytest.fixture
def empty(stage_with):
    """An initialised card without keys."""
    return stage_with(virtual_gids(keys=[], admin_key=bytes.fromhex(ADMIN)))


def certificate_for(key, name="Ours"):
    from datetime import UTC, datetime, timedelta

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(start).not_valid_after(start + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )  # fmt: skip


def data(stage, fid, tag):
    """The value of a data object on the card, as the card gives it to anybody."""
    stage.card.process(bytes.fromhex("00A4040C09A00000039742544659"))
    raw = stage.card.process(bytes.fromhex(f"00CB{fid}0000045C02{tag}0000"))
    assert raw[-2:] == b"\x90\0", raw.hex()
    skip = 3 if raw[2] < 0x80 else 3 + (raw[2] & 0x7F)
    return raw[skip:-2]


def gids_tool(stage, *words, **options):
    return stage.text("gids-tool", *words, **options)


def p11(stage, *words, **options):
    return stage.run("pkcs11-tool", "--module", library(MODULE), "--login", "--pin", PIN, *words, **options)


def verified(stage, public_key, *options):
    stage.file("public.pem", public_pem(public_key))
    said = stage.text("openssl", "dgst", "-sha256", *options, "-verify", "public.pem", "-signature", "out", "text")
    return "Verified OK" in said


def initialise(stage):
    gids_tool(stage, "-X", "--admin-key", ADMIN, "--pin", PIN, "--serial-number", CARD_ID)


def store_software_key(stage, usage="sign,decrypt"):
    stage.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
              "-subj", "/CN=Made by openssl", "-days", "30")  # fmt: skip
    stage.run("pkcs15-init", "--store-private-key", "key.pem", *OWNER, "--label", "imported", "--key-usage", usage)
    return x509.load_pem_x509_certificate((stage.folder / "cert.pem").read_bytes())


def test_gids_tool_initialises_a_blank_card(stage_with):
    stage = stage_with(virtual_gids(blank=True))
    initialise(stage)
    assert "Found 5 entries in the masterfile" in gids_tool(stage)
    assert "no container found" in gids_tool(stage)
    assert data(stage, "A012", "DF20") == bytes.fromhex(CARD_ID)
    assert data(stage, "A010", "DF22") == bytes(6)


def test_what_gids_tool_makes_of_a_blank_card_is_what_we_make(stage_with):
    blank = stage_with(virtual_gids(blank=True))
    initialise(blank)
    ours = virtual_gids(keys=[], admin_key=bytes.fromhex(ADMIN), card_id=bytes.fromhex(CARD_ID), pin=PIN)
    assert blank.card.applet.state.records._memory.read() == ours.applet.state.records._memory.read()


def test_a_card_is_initialised_only_once(empty):
    words = ("-X", "--admin-key", ADMIN, "--pin", PIN, "--serial-number", CARD_ID)
    assert "GIDS_INITIALIZE, *) failed" in gids_tool(empty, *words, status=None)
    assert data(empty, "A012", "DF20") != bytes.fromhex(CARD_ID)


def test_gids_tool_changes_the_admin_key(empty):
    gids_tool(empty, "-C", "--admin-key", ADMIN, "--new-admin-key", OTHER_ADMIN)
    assert "incorrect" in gids_tool(empty, "-C", "--admin-key", ADMIN, "--new-admin-key", ADMIN, status=1)
    gids_tool(empty, "-C", "--admin-key", OTHER_ADMIN, "--new-admin-key", ADMIN)


def test_gids_tool_unblocks_with_the_admin_key(empty):
    for _ in range(3):
        empty.text("pkcs15-tool", "--verify-pin", "--pin", "000000", status=None)
    assert "Tries left     : 0" in empty.text("pkcs15-tool", "--list-pins")
    assert "Unblock PIN done successfully" in gids_tool(empty, "-U", "--admin-key", ADMIN, "--pin", "654321")
    empty.text("pkcs15-tool", "--verify-pin", "--pin", "654321")
    assert "Tries left     : 3" in empty.text("pkcs15-tool", "--list-pins")


def test_a_wrong_admin_key_is_counted_and_does_not_unblock(empty):
    assert "incorrect" in gids_tool(empty, "-U", "--admin-key", OTHER_ADMIN, "--pin", "654321", status=1)
    assert empty.card.applet.state.admin_key().left == 4
    empty.text("pkcs15-tool", "--verify-pin", "--pin", PIN)


def test_pkcs15_tool_changes_the_pin(empty):
    empty.text("pkcs15-tool", "--change-pin", "--pin", PIN, "--new-pin", "12345678")
    empty.text("pkcs15-tool", "--verify-pin", "--pin", "12345678")
    empty.text("pkcs15-tool", "--verify-pin", "--pin", PIN, status=255)


def test_pkcs15_tool_lists_and_reads_what_we_wrote(stage, rsa_key):
    said = stage.text("pkcs15-tool", "--list-keys", "--list-certificates", "--list-pins", "--list-public-keys")
    assert "Private RSA Key [made by us]" in said
    assert said.count("X.509 Certificate [") == 1
    read = certificate_in(stage.run("pkcs15-tool", "--read-certificate", "00"))
    assert read.public_key() == rsa_key.public_key()
    shown = stage.run("pkcs15-tool", "--read-public-key", "00")
    start = shown.index(b"-----BEGIN PUBLIC KEY-----")
    assert serialization.load_pem_public_key(shown[start:]) == rsa_key.public_key()


def test_pkcs11_tool_signs_a_text_and_openssl_agrees(stage, rsa_key):
    stage.file("text", TEXT)
    p11(stage, "--sign", "--id", "00", "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "out")
    assert verified(stage, rsa_key.public_key())


def test_pkcs11_tool_signs_a_digest_that_it_was_given_and_openssl_agrees(stage, rsa_key):
    stage.file("text", TEXT)
    stage.file("info", bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(TEXT).digest())
    p11(stage, "--sign", "--id", "00", "-m", "RSA-PKCS", "-i", "info", "-o", "out")
    assert verified(stage, rsa_key.public_key())


def test_pkcs11_tool_decrypts(stage, rsa_key):
    stage.file("hidden", rsa_key.public_key().encrypt(TEXT, padding.PKCS1v15()))
    p11(stage, "--decrypt", "--id", "00", "-m", "RSA-PKCS", "-i", "hidden", "-o", "out")
    assert (stage.folder / "out").read_bytes() == TEXT


def test_pkcs11_tool_finds_only_that_the_card_makes_no_random_numbers(stage):
    said = p11(stage, "--test")
    assert b"1 errors" in said
    assert b"C_GenerateRandom() not supported" in said or b"C_SeedRandom) not supported" in said
    assert said.count(b": OK") >= 12


def test_pkcs15_init_generates_a_key_that_signs(stage_with):
    stage = stage_with(virtual_gids(blank=True))
    initialise(stage)
    stage.run("pkcs15-init", "--generate-key", "rsa/2048", *OWNER, "--label", "first", "--key-usage", "sign,decrypt")
    shown = stage.run("pkcs15-tool", "--read-public-key", "00")
    public = serialization.load_pem_public_key(shown[shown.index(b"-----BEGIN") :])
    stage.file("text", TEXT)
    p11(stage, "--sign", "--id", "00", "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "out")
    assert verified(stage, public)
    assert data(stage, "A000", "DF20") == bytes.fromhex("01 01000000 07 9A 81B0 FFFF 0000")
    assert data(stage, "A010", "DF22") == struct.pack("<BBHH", 0, 0, 1, 2)


def test_pkcs15_init_stores_a_key_and_its_certificate(empty):
    certificate = store_software_key(empty)
    empty.run("pkcs15-init", "--store-certificate", "cert.pem", *OWNER, "--id", "00")
    assert certificate_in(empty.run("pkcs15-tool", "--read-certificate", "00")) == certificate
    stored = data(empty, "A010", "DF24")
    assert stored[:2] == b"\1\0"
    assert zlib.decompress(stored[4:]) == certificate.public_bytes(serialization.Encoding.DER)
    assert len(zlib.decompress(stored[4:])) == int.from_bytes(stored[2:4], "little")
    assert b"kxc00" in data(empty, "A000", "DF1F")
    empty.file("text", TEXT)
    p11(empty, "--sign", "--id", "00", "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "out")
    assert verified(empty, certificate.public_key())


def test_a_key_for_signing_alone_does_not_decrypt(empty):
    certificate = store_software_key(empty, usage="sign")
    empty.file("text", TEXT)
    p11(empty, "--sign", "--id", "00", "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "out")
    assert verified(empty, certificate.public_key())
    empty.file("hidden", certificate.public_key().encrypt(TEXT, padding.PKCS1v15()))
    p11(empty, "--decrypt", "--id", "00", "-m", "RSA-PKCS", "-i", "hidden", "-o", "out", status=1)


def test_pkcs15_init_deletes_a_certificate_and_a_key(stage):
    stage.run("pkcs15-init", "--delete-objects", "cert", *OWNER, "--id", "00")
    assert "X.509 Certificate" not in stage.text("pkcs15-tool", "--list-certificates")
    stage.run("pkcs15-init", "--delete-objects", "privkey", *OWNER, "--id", "00")
    assert stage.card.applet.state.key(0x81) is None
    assert data(stage, "A010", "DF23") == bytes(86)


def test_pkcs11_tool_makes_a_key_pair_and_stores_a_certificate(empty):
    p11(empty, "--keypairgen", "--key-type", "rsa:2048", "--id", "07", "--label", "pair")
    assert empty.card.applet.state.key(0x81) is not None
    assert "Private RSA Key [pair" in empty.text("pkcs15-tool", "--list-keys")


def test_without_the_pin_nothing_is_stored_or_signed(empty, stage_with):
    before = empty.card.applet.state.records._memory.read()
    said = empty.text("pkcs15-init", "--generate-key", "rsa/2048", "--auth-id", "80", "--label", "first", status=1)
    assert "Security status not satisfied" in said
    assert empty.card.applet.state.records._memory.read() == before


def test_a_read_only_card_signs_and_keeps_what_it_has(stage_with, rsa_key):
    keys = [("fixed", 1, rsa_key, certificate_for(rsa_key))]
    stage = stage_with(virtual_gids(keys=keys, read_only=True))
    stage.file("text", TEXT)
    p11(stage, "--sign", "--id", "00", "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "out")
    assert verified(stage, rsa_key.public_key())
    stage.text("pkcs15-init", "--delete-objects", "cert", *OWNER, "--id", "00", status=None)
    assert certificate_in(stage.run("pkcs15-tool", "--read-certificate", "00")).public_key() == rsa_key.public_key()


def test_opensc_walks_past_a_container_with_an_ec_key(stage_with, rsa_key):
    keys = [
        ("elliptic", 4, ec.generate_private_key(ec.SECP384R1()), None),
        ("rsa", 1, rsa_key, certificate_for(rsa_key)),
    ]
    stage = stage_with(virtual_gids(keys=keys))
    stage.file("text", TEXT)
    p11(stage, "--sign", "--id", "01", "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "out")
    assert verified(stage, rsa_key.public_key())


def test_a_card_with_short_lengths_alone_serves_as_well(stage_with, rsa_key):
    stage = stage_with(virtual_gids(keys=[], admin_key=bytes.fromhex(ADMIN), extended=False))
    certificate = store_software_key(stage)
    stage.file("text", TEXT)
    p11(stage, "--sign", "--id", "00", "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "out")
    assert verified(stage, certificate.public_key())
