"""One virtual GIDS card behind the real pcscd, used in turn by OpenSC and by us: each sees what the other wrote.

What remembers a card goes by the counters of ``cardcf``; every write, by either side, moves them.
"""

from __future__ import annotations

import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from foreign import PIN, PRIVATE_PCSCD, certificate_in, library
from pivdesk import certificate as issue

from calais.apps import cardadmin
from calais.minidriver.administration import KeyOrder
from calais.resource.real import RealReaders
from calais.store.database import MEMORY_URL, open_database
from calais.store.locations import SystemStores
from calais.system import System
from calais.testing import FixedPrompt, virtual_gids

pytestmark = [
    *PRIVATE_PCSCD,
    pytest.mark.requires("pkcs15-init", package="opensc"),
    pytest.mark.requires("/usr/lib/*/opensc-pkcs11.so", package="opensc-pkcs11"),
]
MODULE = "/usr/lib/*/opensc-pkcs11.so"
OWNER = ("--auth-id", "80", "--verify-pin", "--pin", PIN)
TEXT = b"Signed in turn.\n"


@pytest.fixture(scope="module")
def keys():
    return [rsa.generate_private_key(65537, 2048) for _ in range(2)]


@pytest.fixture
def stage(stage_with, keys):
    return stage_with(virtual_gids(keys=[("first", 1, keys[0], issue(keys[0], "First"))]))


@pytest.fixture
def card(stage):
    """Our side of it, in this process, for as long as the test lasts: it remembers."""
    stores = SystemStores(open_database(MEMORY_URL))
    with stage.pcscd.context() as context:
        readers = RealReaders(context.library)
    with System(stores, sources=[readers], prompt=FixedPrompt(PIN)) as system:
        yield system.card()


def counters(stage):
    """(containers, files) of cardcf, as the card has them."""
    stage.card.process(bytes.fromhex("00A4040C09A00000039742544659"))
    raw = stage.card.process(bytes.fromhex("00CBA0100000045C02DF220000"))
    _, _, containers, files = struct.unpack("<BBHH", raw[3:9])
    return containers, files


def in_turn(card, work):
    """Let go of the card, let the other side do ``work``."""
    card.release()
    return work()


def certificates(card):
    return {container.name: container.certificate for container in card.containers}


def test_a_key_and_a_certificate_of_opensc_are_our_next_truth(stage, card, keys):
    assert set(certificates(card)) == {"first"}
    before = counters(stage)
    pem = keys[1].private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    stage.file("key.pem", pem)
    stage.file("cert.pem", issue(keys[1], "Second").public_bytes(Encoding.PEM))
    words = ("pkcs15-init", "--store-private-key", "key.pem", *OWNER, "--id", "01", "--label", "second")
    in_turn(card, lambda: stage.run(*words, "--key-usage", "sign,decrypt"))
    after_key = counters(stage)
    assert after_key[0] != before[0]
    assert after_key[1] != before[1]
    found = card.containers
    assert len(found) == 2
    assert found[1].public_key == keys[1].public_key()
    in_turn(card, lambda: stage.run("pkcs15-init", "--store-certificate", "cert.pem", *OWNER, "--id", "01"))
    assert counters(stage)[1] != after_key[1]
    assert card.containers[1].certificate == issue_of(stage)
    signature = card.containers[1].key.sign(TEXT, padding.PKCS1v15(), hashes.SHA256())
    keys[1].public_key().verify(signature, TEXT, padding.PKCS1v15(), hashes.SHA256())


def issue_of(stage):
    return certificate_in((stage.folder / "cert.pem").read_bytes()).public_bytes(Encoding.DER)


def test_a_certificate_that_opensc_deletes_is_gone_for_us(stage, card):
    assert certificates(card)["first"]
    in_turn(card, lambda: stage.run("pkcs15-init", "--delete-objects", "cert", *OWNER, "--id", "00"))
    assert certificates(card)["first"] is None


def test_what_we_write_moves_the_counters_and_is_opensc_s_next_truth(stage, card, keys):
    read = ("pkcs15-tool", "--read-certificate", "00")
    first = in_turn(card, lambda: certificate_in(stage.run(*read)))
    before = counters(stage)
    other = issue(keys[0], "Another")
    cardadmin.put_certificate(card, card.holder("test"), 0, other.public_bytes(Encoding.DER))
    after = counters(stage)
    assert after[1] != before[1]
    assert in_turn(card, lambda: certificate_in(stage.run(*read))) == other != first


def test_a_key_that_we_make_signs_in_opensc(stage, card):
    before = counters(stage)
    made = cardadmin.make_key(card, card.holder("test"), None, KeyOrder("RSA2048", name="ours"))
    assert counters(stage)[0] != before[0]
    assert made.name == "ours"
    public = made.public_key
    stage.file("text", TEXT)
    words = ("pkcs11-tool", "--module", library(MODULE), "--login", "--pin", PIN, "--sign", "--id", "01")
    in_turn(card, lambda: stage.run(*words, "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "out"))
    public.verify((stage.folder / "out").read_bytes(), TEXT, padding.PKCS1v15(), hashes.SHA256())
    assert "[ours]" in in_turn(card, lambda: stage.text("pkcs15-tool", "--list-keys"))


def test_what_we_delete_is_gone_for_opensc(stage, card):
    cardadmin.delete(card, card.holder("test"), 0, key=True, certificate=False)
    said = in_turn(card, lambda: stage.text("pkcs15-tool", "--list-keys", "--list-certificates", status=None))
    assert "[first]" not in said
    assert "X.509 Certificate [" not in said
    assert card.refresh(probe_keys=True)[:] == []


def test_a_pin_that_opensc_changes_is_ours(stage, card):
    in_turn(card, lambda: stage.text("pkcs15-tool", "--change-pin", "--pin", PIN, "--new-pin", "12345678"))
    assert card.pin_status().attempts_left == 3
    card.verify_pin("12345678")
