"""Containers and keys of a GIDS card through its driver: as the card minidriver interface asks, and with the books."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from gidsdesk import NAMES, PIN, Desk, certificate, der, four_keys, new_desk, p256, rsa_key, user

from calais.cards.gids import keymap, spec
from calais.cards.gids.bookkeeping import NewContainer
from calais.minidriver.containers import parse_cmapfile
from calais.minidriver.files import expand_certificate, parse_cardcf
from calais.minidriver.padding import Oaep, Pkcs1, Pss, Raw
from calais.win import blobs
from calais.win.errors import BadParameter, NotAuthenticated, NotFound, Unsupported, WinError

TEXT = b"Signed on a card."
DIGEST = hashlib.sha256(TEXT).digest()
CURVES = {
    3: ec.SECP256R1(),
    4: ec.SECP384R1(),
    5: ec.SECP521R1(),
    6: ec.SECP256R1(),
    7: ec.SECP384R1(),
    8: ec.SECP521R1(),
}


@pytest.fixture
def desk():
    return new_desk()


@pytest.fixture
def full():
    return new_desk(keys=four_keys())


def verify_ecdsa(public, raw, digest=DIGEST):
    half = len(raw) // 2
    signature = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    public.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))


# --- listing ---------------------------------------------------------------------------------------------------------


def test_containers_are_listed_with_all_that_is_known_of_them(full):
    with full.driver() as driver:
        entries = driver.containers()
        assert [entry.name for entry in entries] == list(NAMES)
        assert [entry.key_spec for entry in entries] == [1, 2, 1, 1]
        assert [entry.is_default for entry in entries] == [True, False, False, False]
        assert {entry.algorithm for entry in entries} == {"P-256"}
        assert {entry.size_bits for entry in entries} == {256}
        assert [entry.reference for entry in entries] == ["81", "82", "83", "84"]
        assert all(entry.has_certificate and entry.pin_id == 1 for entry in entries)
        for entry in entries:
            assert driver.container(entry.index) == entry
            assert driver.index_of(entry.name.upper()) == entry.index
            found = x509.load_der_x509_certificate(driver.certificate(entry.index))
            assert found.public_key() == driver.public_key(entry.index)


def test_container_info_has_the_key_in_its_slot(full):
    with full.driver() as driver:
        exchange, signature = driver.container_info(0), driver.container_info(1)
    assert exchange.sig_public_key == b""
    assert signature.key_ex_public_key == b""
    assert isinstance(blobs.parse_public(exchange.key_ex_public_key), ec.EllipticCurvePublicKey)
    assert blobs.parse_ecc_public(signature.sig_public_key)[1] == "ECDSA"


def test_empty_and_impossible_indices(full):
    with full.driver() as driver:
        for index in (4, 125, 255):
            for ask in (driver.container, driver.public_key, driver.container_info):
                with pytest.raises(NotFound, match="NO_KEY_CONTAINER"):
                    ask(index)
            assert driver.certificate(index) is None
        for index in (-1, 256):
            for ask in (driver.container, driver.public_key, driver.certificate):
                with pytest.raises(BadParameter):
                    ask(index)
        with pytest.raises(NotFound):
            driver.index_of("nobody")


# --- as the interface asks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key_spec", CURVES)
def test_ec_keys_are_generated_and_sign(desk, key_spec):
    with user(desk) as driver:
        public = driver.create_container(0, key_spec)
        assert public.curve.name == CURVES[key_spec].name
        raw = driver.sign(0, key_spec, DIGEST, Raw())
        verify_ecdsa(public, raw)
        assert driver.public_key(0) == public


@pytest.mark.parametrize("key_spec", CURVES)
def test_ec_keys_are_imported_and_sign(desk, key_spec):
    key = ec.generate_private_key(CURVES[key_spec])
    with user(desk) as driver:
        assert driver.create_container(3, key_spec, key=key) == key.public_key()
        verify_ecdsa(key.public_key(), driver.sign(3, key_spec, DIGEST, Raw()))


@pytest.mark.parametrize("digest", [b"\1" * 20, b"\2" * 48, b"\3" * 64])
def test_digests_of_other_lengths_are_signed_as_the_standard_says(full, digest):
    with user(full) as driver:
        raw = driver.sign(0, 3, digest, Raw())
        signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        algorithm = {20: hashes.SHA1(), 48: hashes.SHA384(), 64: hashes.SHA512()}[len(digest)]
        driver.public_key(0).verify(signature, digest, ec.ECDSA(Prehashed(algorithm)))
        with pytest.raises(BadParameter):
            driver.sign(0, 3, b"", Raw())


@pytest.fixture(scope="module")
def rsa_desk():
    """RSA-2048: exchange in 0, signature in 1."""
    key, other = rsa_key(), rsa_key(number=1)
    return new_desk(keys=[("exchange", 1, key, certificate(key)), ("signature", 2, other, None)]), key, other


@pytest.mark.parametrize(("index", "key_spec"), [(0, 1), (1, 2)])
@pytest.mark.parametrize("short", [True, False])
def test_rsa_keys_sign_in_every_padding(rsa_desk, index, key_spec, short):
    desk, *keys = rsa_desk
    desk = Desk(desk.card, extended=not short)
    public = keys[index].public_key()
    with user(desk) as driver:
        done = driver.sign(index, key_spec, DIGEST, Pkcs1("sha256"))
        public.verify(done, DIGEST, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
        done = driver.sign(index, key_spec, DIGEST, Pss("sha256", 32))
        public.verify(done, DIGEST, padding.PSS(padding.MGF1(hashes.SHA256()), 32), Prehashed(hashes.SHA256()))
        block = b"\0" + DIGEST * 7 + bytes(31)
        done = driver.sign(index, key_spec, block, Raw())
        numbers = public.public_numbers()
        assert pow(int.from_bytes(done, "big"), numbers.e, numbers.n) == int.from_bytes(block, "big")
        plain = driver.sign(index, key_spec, b"no digest info", Pkcs1())
        opened = pow(int.from_bytes(plain, "big"), numbers.e, numbers.n).to_bytes(256, "big")
        assert opened.endswith(b"\xff\0no digest info")
        driver.sign(index, key_spec, b"", Pkcs1())


@pytest.mark.parametrize("short", [True, False])
def test_rsa_keys_decrypt_in_every_padding(rsa_desk, short):
    desk, key, _ = rsa_desk
    desk = Desk(desk.card, extended=not short)
    public = key.public_key()
    with user(desk) as driver:
        hidden = public.encrypt(TEXT, padding.PKCS1v15())
        assert driver.decrypt(0, 1, hidden, Pkcs1()) == TEXT
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
        assert driver.decrypt(0, 1, public.encrypt(TEXT, oaep), Oaep("sha256", "sha256", b"label")) == TEXT
        assert driver.decrypt(0, 1, hidden, Raw()).endswith(b"\0" + TEXT)
        with pytest.raises(WinError, match="INTERNAL_ERROR"):
            driver.decrypt(0, 1, hidden[:-1] + bytes((hidden[-1] ^ 1,)), Pkcs1())
        with pytest.raises(WinError, match="INSUFFICIENT_BUFFER"):
            driver.decrypt(0, 1, hidden[:-1], Pkcs1())
        with pytest.raises(BadParameter):
            driver.decrypt(0, 1, hidden + b"\0", Pkcs1())


def test_a_signature_key_does_not_decrypt(rsa_desk):
    with user(rsa_desk[0]) as driver, pytest.raises(BadParameter):
        driver.decrypt(1, 2, bytes(256), Raw())


def test_an_ec_key_does_not_decrypt(full):
    with user(full) as driver, pytest.raises(Unsupported):
        driver.decrypt(0, 1, bytes(256), Raw())


@pytest.mark.parametrize("key_spec", [6, 7, 8])
def test_ec_exchange_keys_agree(desk, key_spec):
    peer = ec.generate_private_key(CURVES[key_spec])
    point = peer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    with user(desk) as driver:
        public = driver.create_container(0, key_spec)
        assert driver.agree(0, point) == peer.exchange(ec.ECDH(), public)
        for bad in (b"", point[:-1], b"\2" + point[1:], point[:-1] + bytes((point[-1] ^ 1,))):
            with pytest.raises(BadParameter):
                driver.agree(0, bad)


def test_signature_and_rsa_keys_do_not_agree(full, rsa_desk):
    with user(full) as driver, pytest.raises(Unsupported):
        driver.agree(1, bytes(65))
    with user(rsa_desk[0]) as driver, pytest.raises(Unsupported):
        driver.agree(0, bytes(65))


def test_a_key_wants_the_pin_and_says_so(full):
    with full.driver() as driver:
        for refused in (lambda: driver.sign(0, 1, DIGEST, Raw()), lambda: driver.create_container(5, 3)):
            with pytest.raises(NotAuthenticated):
                refused()
        driver.authenticate(1, PIN)
        assert len(driver.sign(0, 1, DIGEST, Raw())) == 64
        driver.deauthenticate(0xFF)
        with pytest.raises(NotAuthenticated):
            driver.sign(0, 1, DIGEST, Raw())


@pytest.mark.parametrize("key_spec", [2, 4, 5, 7, 8])
def test_a_key_of_another_spec_is_not_there(full, key_spec):
    with user(full) as driver, pytest.raises(NotFound, match="NO_KEY_CONTAINER"):
        driver.sign(0, key_spec, DIGEST, Raw())


def test_a_signature_key_is_not_for_agreement_specs(full):
    with user(full) as driver:
        assert driver.sign(1, 3, DIGEST, Raw())
        with pytest.raises(NotFound):
            driver.sign(1, 6, DIGEST, Raw())
        with pytest.raises(BadParameter):
            driver.sign(1, 9, DIGEST, Raw())


def test_creating_leaves_container_map_and_counters_to_the_caller(desk):
    with user(desk) as driver:
        driver.create_container(1, 3)
        assert driver.read_file("mscp", "cmapfile") == b""
        assert driver.read_file(None, "cardcf") == bytes(6)
        assert driver.containers() == []
        (entry,) = driver.containers(probe_keys=True)
        assert (entry.index, entry.name, entry.algorithm, entry.key_spec) == (1, "", "P-256", 2)
        assert driver.container(1) == entry
        assert driver.container_info(1).sig_public_key
        assert [record.used for record in driver.view.key_map()] == [False, True]


def test_a_key_is_replaced_by_one_of_the_same_and_of_another_kind(desk):
    with user(desk) as driver:
        first = driver.create_container(0, 3)
        second = driver.create_container(0, 3)
        assert first != second
        verify_ecdsa(second, driver.sign(0, 3, DIGEST, Raw()))
        third = driver.create_container(0, 4)
        verify_ecdsa(third, driver.sign(0, 4, DIGEST, Raw()))
        assert driver.view.key_map() == (keymap.record_for(0, spec.Algorithm.P384, 2),)
    with Desk(desk.card).driver() as driver:
        assert driver.public_key(0) == third


def test_a_named_container_keeps_its_key_when_the_other_slot_is_asked_for(full):
    with user(full) as driver:
        before = driver.public_key(0)
        with pytest.raises(Unsupported):
            driver.create_container(0, 3)
        assert driver.public_key(0) == before


def test_a_deleted_key_is_gone_and_its_certificate_stays(full):
    with user(full) as driver:
        driver.delete_container(0)
        for use in (lambda: driver.sign(0, 1, DIGEST, Raw()), lambda: driver.public_key(0)):
            with pytest.raises(NotFound, match="NO_KEY_CONTAINER"):
                use()
        assert driver.certificate(0)
        assert driver.containers()[0].name == NAMES[0]
        with pytest.raises(NotFound):
            driver.delete_container(0)
        with pytest.raises(NotFound):
            driver.delete_container(9)


@pytest.mark.parametrize(
    ("index", "key_spec", "size", "pin_id"),
    [
        (-1, 3, 0, 1),
        (256, 3, 0, 1),
        (0, 0, 0, 1),
        (0, 9, 0, 1),
        (0, 1, 1000, 1),
        (0, 3, 384, 1),
        (0, 3, 0, 0),
        (0, 3, 0, 2),
    ],
)
def test_impossible_containers_cost_no_exchange(desk, index, key_spec, size, pin_id):
    with user(desk) as driver:
        desk.channel.counter.clear()
        with pytest.raises(BadParameter):
            driver.create_container(index, key_spec, size, pin_id=pin_id)
        assert desk.exchanges == 0


def test_there_is_no_room_beyond_the_last_key_reference(desk):
    with user(desk) as driver:
        assert driver.create_container(125, 3)
        with pytest.raises(WinError, match="WRITE_TOO_MANY"):
            driver.create_container(126, 3)


def test_an_imported_key_must_be_of_the_key_spec(desk):
    with user(desk) as driver:
        for key_spec in (4, 5, 7, 8):
            with pytest.raises(BadParameter):
                driver.create_container(0, key_spec, key=p256())
        with pytest.raises(Unsupported):
            driver.create_container(0, 3, key=ec.generate_private_key(ec.SECP256K1()))


# --- keeping the books -----------------------------------------------------------------------------------------------


def counters(driver):
    parsed = parse_cardcf(driver.read_file(None, "cardcf"))
    return parsed.pins_freshness, parsed.containers_freshness, parsed.files_freshness


def test_a_container_comes_with_record_key_and_counters(desk):
    with user(desk) as driver:
        index, public = driver.add_container(NewContainer(key_spec=6, name="Mine"))
        assert index == 0
        (entry,) = driver.containers()
        assert (entry.name, entry.is_default, entry.size_bits, entry.key_spec) == ("Mine", True, 256, 1)
        assert driver.public_key(0) == public
        assert counters(driver) == (0, 1, 1)
        assert driver.orphans() == []
        second, _ = driver.add_container(NewContainer(key_spec=3, key=p256()))
        assert second == 1
        assert len(driver.containers()[1].name) == 36
        assert [entry.is_default for entry in driver.containers()] == [True, False]
        records = parse_cmapfile(driver.read_file("mscp", "cmapfile"))
        assert [record.sig_key_size_bits for record in records] == [0, 256]
        driver.set_default(1)
        assert [entry.is_default for entry in driver.containers()] == [False, True]
    with Desk(desk.card).driver() as other:
        assert [entry.is_default for entry in other.containers()] == [False, True]


def test_rsa_containers_too(desk):
    with user(desk) as driver:
        index, public = driver.add_container(NewContainer(key=rsa_key(1024), is_default=True))
        assert isinstance(public, rsa.RSAPublicKey)
        assert driver.containers()[index].size_bits == 1024
        done = driver.sign(index, 1, DIGEST, Pkcs1("sha256"))
        public.verify(done, DIGEST, padding.PKCS1v15(), Prehashed(hashes.SHA256()))


def test_a_certificate_comes_with_file_record_and_counter(desk):
    with user(desk) as driver:
        index, _ = driver.add_container(NewContainer(key_spec=6))
        before = counters(driver)
        some, other = der(certificate(p256(), size=1500)), der(certificate(p256(), "other"))
        driver.write_certificate(index, some)
        assert driver.certificate(index) == some
        assert counters(driver) == (before[0], before[1], before[2] + 1)
        stored = driver.read_file("mscp", "kxc00")
        assert stored[:2] == b"\1\0"
        assert expand_certificate(stored) == some
        driver.write_certificate(index, other, compress=False)
        assert driver.read_file("mscp", "kxc00") == other
        driver.delete_certificate(index)
        assert driver.certificate(index) is None
        driver.delete_certificate(index)
        assert driver.enum_files("mscp") == ["cmapfile"]
        for wrong in (b"", b"noise", some[:-1]):
            with pytest.raises(BadParameter):
                driver.write_certificate(index, wrong)
        with pytest.raises(NotFound):
            driver.write_certificate(7, some)


def test_signature_certificates_have_their_own_names(desk):
    with user(desk) as driver:
        driver.add_container(NewContainer(key_spec=3))
        driver.write_certificate(0, der(certificate(p256())))
        assert driver.enum_files("mscp") == ["cmapfile", "ksc00"]


def test_a_removed_container_leaves_nothing_and_hands_the_default_on(full):
    with user(full) as driver:
        driver.remove_container(0)
        assert [entry.name for entry in driver.containers()] == list(NAMES[1:])
        assert driver.containers()[0].is_default
        assert driver.enum_files("mscp") == ["cmapfile", "ksc01", "kxc02", "kxc03"]
        assert driver.orphans() == []
        assert driver.add_container(NewContainer(key_spec=3))[0] == 0
        with pytest.raises(NotFound):
            driver.remove_container(9)
        with pytest.raises(NotFound):
            driver.set_default(9)


def test_a_container_gets_another_key_and_keeps_its_name(full):
    with user(full) as driver:
        _, public = driver.add_container(NewContainer(key_spec=6, index=2))
        assert driver.containers()[2].name == NAMES[2]
        assert driver.public_key(2) == public
        assert driver.certificate(2) is None, "the certificate was of the old key"
        assert driver.orphans() == []


@pytest.mark.parametrize("name", ["", "x" * 40, "back\\slash", "nul\0"])
def test_impossible_names_make_no_container(desk, name):
    with user(desk) as driver:
        if name:
            with pytest.raises(BadParameter):
                driver.add_container(NewContainer(key_spec=3, name=name))
        assert driver.containers() == []
        assert counters(driver) == (0, 0, 0)


def test_two_containers_do_not_share_a_name(full):
    with user(full) as driver:
        with pytest.raises(WinError) as caught:
            driver.add_container(NewContainer(key_spec=3, name=NAMES[0].upper()))
        assert caught.value.name == "NTE_EXISTS"


def test_a_full_card_says_so(desk):
    with user(desk) as driver:
        driver.view.write(spec.KEY_MAP, keymap.build([keymap.record_for(i, 12, 1) for i in range(126)]))
        with pytest.raises(WinError, match="WRITE_TOO_MANY"):
            driver.add_container(NewContainer(key_spec=3))


# --- properties ------------------------------------------------------------------------------------------------------


def test_properties_of_card_and_containers(full):
    with full.driver() as driver:
        assert driver.get_property("Cache Mode") == 1
        assert driver.get_property("Read Only Mode") is False
        assert driver.get_property("Supports Windows x.509 Enrollment") is True
        assert driver.get_property("Card Identifier") == driver.read_file(None, "cardid")
        assert driver.get_property("PIN List") == 0x06
        assert driver.get_property("PIN Strength Verify", 1) == 3
        assert driver.get_property("Key Import Support") == 1 | 2 | 8
        assert driver.get_property("Chaining Modes") == []
        assert driver.get_property("Algorithms", 1) == []
        assert "ECDH_P521" in driver.get_property("Algorithms", 2)
        assert driver.get_container_property(0, "PIN Identifier") == 1
        assert driver.key_sizes(1).maximum_bit_len == 4096
        assert driver.key_sizes(8).default_bit_len == 521
        assert not driver.capabilities().certificate_compression
        assert driver.capabilities().key_gen
        space = driver.free_space()
        assert (space.key_containers_available, space.max_key_containers) == (122, 126)
        assert 0 < space.bytes_available < 1 << 20
        with pytest.raises(BadParameter):
            driver.key_sizes(0)


def test_the_card_identifier_is_the_administrators_to_set(full):
    with user(full) as driver:
        with pytest.raises(NotAuthenticated):
            driver.set_property("Card Identifier", bytes(range(16)))
        driver.authenticate_admin(bytes(range(1, 25)))
        driver.set_property("Card Identifier", bytes(range(16)))
        assert driver.identity().card_id == bytes(range(16))
        with pytest.raises(Unsupported):
            driver.set_property("Card Serial Number", b"x")
