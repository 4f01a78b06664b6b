"""Our host and OpenSC on one virtual GIDS card behind the real pcscd: each reads what the other wrote, at once."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from foreign import PIN, PRIVATE_PCSCD, certificate_in, library, public_pem
from gidsdesk import certificate, der, rsa_key

from calais.cards.gids import adminkey
from calais.cards.gids.bookkeeping import NewContainer
from calais.cards.gids.driver import GidsMinidriver
from calais.cards.registry import identify
from calais.minidriver.files import parse_cardcf
from calais.minidriver.memo import CardMemo
from calais.minidriver.padding import Pkcs1, Pss
from calais.minidriver.pins import Pin
from calais.testing import virtual_gids
from calais.transport.base import Channel
from calais.win.errors import WrongPin

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
DIGEST = hashlib.sha256(TEXT).digest()
OWNER = ("--auth-id", "80", "--verify-pin", "--pin", PIN)


class Host:
    """Our side: one connection through PC/SC, and what is remembered."""

    def __init__(self, stage):
        self.channel = Channel(stage.pcscd.connect())
        self.memo = CardMemo()

    @contextmanager
    def driver(self, *, pin=None):
        with self.channel.begin() as tx:
            driver = identify(tx, self.memo)
            assert isinstance(driver, GidsMinidriver)
            if pin:
                driver.authenticate(1, Pin(pin))
            yield driver
            driver.deauthenticate(0xFF)


@pytest.fixture
def blank(stage_with):
    return stage_with(virtual_gids(blank=True))


@pytest.fixture
def empty(stage_with):
    """An initialised card without keys."""
    return stage_with(virtual_gids(keys=[], admin_key=bytes.fromhex(ADMIN)))


@pytest.fixture
def host_of():
    """Our host on a stage; closed at the end."""
    hosts = []

    def make(stage):
        hosts.append(Host(stage))
        return hosts[-1]

    yield make
    for host in hosts:
        host.channel.close()


def initialise(stage):
    stage.text("gids-tool", "-X", "--admin-key", ADMIN, "--pin", PIN, "--serial-number", CARD_ID)


def generate(stage, label="theirs", usage="sign,decrypt"):
    stage.run("pkcs15-init", "--generate-key", "rsa/2048", *OWNER, "--label", label, "--key-usage", usage)


def store(stage, name="Theirs", key="key.pem", cert="cert.pem", usage="sign,decrypt"):
    """A key of openssl's with its certificate, stored by OpenSC; the certificate."""
    stage.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
              "-subj", f"/CN={name}", "-days", "30")  # fmt: skip
    stage.run("pkcs15-init", "--store-private-key", key, *OWNER, "--label", name, "--key-usage", usage)
    stage.run("pkcs15-init", "--store-certificate", cert, *OWNER, "--id", "00")
    return x509.load_pem_x509_certificate((stage.folder / cert).read_bytes())


def p11(stage, *words, **options):
    return stage.run("pkcs11-tool", "--module", library(MODULE), "--login", "--pin", PIN, *words, **options)


def counters(driver):
    parsed = parse_cardcf(driver.read_file(None, "cardcf"))
    return parsed.containers_freshness, parsed.files_freshness


# --- we read what they wrote -----------------------------------------------------------------------------------------


def test_a_card_that_gids_tool_initialised_is_ours_to_use(blank, host_of):
    initialise(blank)
    with host_of(blank).driver() as driver:
        assert driver.identity().card_id == bytes.fromhex(CARD_ID)
        assert driver.enum_files(None) == ["cardid", "cardapps", "cardcf"]
        assert driver.enum_files("mscp") == ["cmapfile"]
        assert driver.containers() == []
        assert driver.pin_status(1).attempts_left == 3
        driver.authenticate_admin(bytes.fromhex(ADMIN))
        driver.deauthenticate(0xFF)
        driver.answer_challenge(adminkey.response(bytes.fromhex(ADMIN), driver.challenge()))


def test_a_key_that_pkcs15_init_generated_signs_and_decrypts(blank, host_of):
    initialise(blank)
    generate(blank)
    with host_of(blank).driver(pin=PIN) as driver:
        (entry,) = driver.containers()
        assert (entry.name, entry.key_spec, entry.size_bits, entry.is_default) == ("theirs", 1, 2048, True)
        public = driver.public_key(0)
        assert isinstance(public, rsa.RSAPublicKey)
        done = driver.sign(0, 1, DIGEST, Pkcs1("sha256"))
        public.verify(done, DIGEST, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
        done = driver.sign(0, 1, DIGEST, Pss("sha256", 32))
        public.verify(done, DIGEST, padding.PSS(padding.MGF1(hashes.SHA256()), 32), Prehashed(hashes.SHA256()))
        assert driver.decrypt(0, 1, public.encrypt(TEXT, padding.PKCS1v15()), Pkcs1()) == TEXT
        assert driver.orphans() == []


def test_a_key_and_certificate_that_pkcs15_init_stored_are_read(empty, host_of):
    theirs = store(empty)
    with host_of(empty).driver(pin=PIN) as driver:
        assert driver.certificate(0) == theirs.public_bytes(serialization.Encoding.DER)
        assert driver.public_key(0) == theirs.public_key()
        assert driver.containers()[0].has_certificate
        done = driver.sign(0, 1, DIGEST, Pkcs1("sha256"))
        theirs.public_key().verify(done, DIGEST, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
        assert driver.orphans() == []


def test_a_key_for_signatures_alone_has_its_slot_and_its_file(empty, host_of):
    theirs = store(empty, usage="sign")
    with host_of(empty).driver(pin=PIN) as driver:
        assert driver.containers()[0].key_spec == 2
        assert driver.enum_files("mscp") == ["cmapfile", "ksc00"]
        assert driver.certificate(0) == theirs.public_bytes(serialization.Encoding.DER)
        assert len(driver.sign(0, 2, DIGEST, Pkcs1("sha256"))) == 256


def test_each_write_of_theirs_moves_a_counter_and_is_seen_by_a_host_that_remembers(empty, host_of):
    host = host_of(empty)
    with host.driver() as driver:
        assert driver.containers() == []
        before = counters(driver)
    store(empty)
    with host.driver() as driver:
        (entry,) = driver.containers()
        first = driver.certificate(0)
        assert x509.load_der_x509_certificate(first).public_key() == driver.public_key(0)
        after = counters(driver)
        assert after[0] > before[0]
        assert after[1] > before[1]
    empty.run("pkcs15-init", "--delete-objects", "cert", *OWNER, "--id", "00")
    with host.driver() as driver:
        assert driver.certificate(0) is None
        assert counters(driver)[1] > after[1]
    empty.run("pkcs15-init", "--delete-objects", "privkey", *OWNER, "--id", "00")
    with host.driver() as driver:
        assert driver.containers() == []
        assert counters(driver)[0] > after[0]
        assert driver.orphans() == []
    assert entry.name == "Theirs"


def test_a_card_that_they_only_read_is_proved_in_three_exchanges(empty, host_of):
    store(empty)
    host = host_of(empty)
    with host.driver() as driver:
        shown = [(entry, driver.certificate(entry.index)) for entry in driver.containers()]
    empty.text("pkcs15-tool", "--list-keys", "--list-certificates")
    with host.driver() as driver:
        host.channel.counter.clear()
        host.memo.identified = None
        assert [(entry, driver.certificate(entry.index)) for entry in driver.containers()] == shown
        assert host.channel.counter.exchanges <= 3


# --- they read what we wrote -----------------------------------------------------------------------------------------


def test_they_use_keys_and_certificates_that_we_made(empty, host_of):
    with host_of(empty).driver(pin=PIN) as driver:
        imported, own = rsa_key(), None
        driver.add_container(NewContainer(key=imported, name="imported by us"))
        driver.write_certificate(0, der(certificate(imported, "Ours")))
        _, own = driver.add_container(NewContainer(size_bits=2048, name="made by us"))
        assert driver.orphans() == []
    said = empty.text("pkcs15-tool", "--list-keys", "--list-certificates")
    assert "Private RSA Key [imported by us]" in said
    assert "Private RSA Key [made by us]" in said
    read = certificate_in(empty.run("pkcs15-tool", "--read-certificate", "00"))
    assert read.public_key() == imported.public_key()
    empty.file("text", TEXT)
    for number, public in (("00", imported.public_key()), ("01", own)):
        p11(empty, "--sign", "--id", number, "-m", "SHA256-RSA-PKCS", "-i", "text", "-o", "out")
        empty.file("public.pem", public_pem(public))
        said = empty.text("openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "out", "text")
        assert "Verified OK" in said
        empty.file("hidden", public.encrypt(TEXT, padding.PKCS1v15()))
        p11(empty, "--decrypt", "--id", number, "-m", "RSA-PKCS", "-i", "hidden", "-o", "plain")
        assert (empty.folder / "plain").read_bytes() == TEXT


def test_they_go_on_where_we_stopped_and_we_where_they_did(empty, host_of):
    host = host_of(empty)
    with host.driver(pin=PIN) as driver:
        driver.add_container(NewContainer(key=rsa_key(1024), name="one"))
        driver.add_container(NewContainer(key=rsa_key(1024, 1), name="two", key_spec=2))
        driver.remove_container(0)
    generate(empty, "three")
    with host.driver(pin=PIN) as driver:
        assert {entry.name: entry.index for entry in driver.containers()} == {"three": 0, "two": 1}
        assert driver.public_key(0).key_size == 2048
        driver.add_container(NewContainer(key=rsa_key(1024, 2), name="four"))
    generate(empty, "five", usage="sign")
    with host.driver(pin=PIN) as driver:
        assert [entry.name for entry in driver.containers()] == ["three", "two", "four", "five"]
        assert [entry.key_spec for entry in driver.containers()] == [1, 2, 1, 2]
        assert driver.orphans() == []
    said = empty.text("pkcs15-tool", "--list-keys")
    assert all(f"[{name}]" in said for name in ("two", "three", "four", "five"))


def test_gids_tool_shows_our_containers(empty, host_of):
    with host_of(empty).driver(pin=PIN) as driver:
        driver.add_container(NewContainer(key=rsa_key(1024), name="ours"))
        driver.write_certificate(0, der(certificate(rsa_key(1024))))
    said = empty.text("gids-tool")
    assert "Found 6 entries in the masterfile" in said
    assert "File: mscp\\kxc00" in said
    assert "Valid container,Default container" in said
    assert "wKeyExchangeKeySizeBits: 1024" in said
    assert "signature + decryption" in said


# --- PINs and keys of the administrator ------------------------------------------------------------------------------


def test_what_either_does_to_pins_and_admin_key_counts_for_the_other(empty, host_of):
    host = host_of(empty)
    with host.driver() as driver:
        for _ in range(3):
            with pytest.raises(WrongPin):
                driver.authenticate(1, Pin("000000"))
    assert "Tries left     : 0" in empty.text("pkcs15-tool", "--list-pins")
    empty.text("gids-tool", "-U", "--admin-key", ADMIN, "--pin", "654321")
    with host.driver(pin="654321") as driver:
        driver.change_pin(1, Pin("654321"), Pin(PIN))
    empty.text("pkcs15-tool", "--verify-pin", "--pin", PIN)
    with host.driver() as driver:
        driver.authenticate_admin(bytes.fromhex(ADMIN))
        driver.change_admin_key(bytes.fromhex(OTHER_ADMIN))
    empty.text("gids-tool", "-C", "--admin-key", OTHER_ADMIN, "--new-admin-key", ADMIN)
    with host.driver() as driver:
        driver.unblock_pin(1, 2, Pin(adminkey.response(bytes.fromhex(ADMIN), driver.challenge())), Pin("111111"))
    empty.text("pkcs15-tool", "--verify-pin", "--pin", "111111")


def test_gids_tool_reads_a_card_that_we_initialised(blank, host_of):
    with host_of(blank).driver() as driver:
        driver.initialise(Pin(PIN), bytes.fromhex(ADMIN), bytes.fromhex(CARD_ID))
    said = blank.text("gids-tool")
    assert "Found 5 entries in the masterfile" in said
    assert "no container found" in said
    blank.text("gids-tool", "-U", "--admin-key", ADMIN, "--pin", "654321")
