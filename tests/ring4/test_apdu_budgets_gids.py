"""What each operation on a GIDS card costs, in exchanges counted at the transport. One more, and a test fails."""

from __future__ import annotations

import pytest
from gidsdesk import ADMIN_KEY, CARD_ID, PIN, admin, certificate, der, four_keys, new_desk, p256, rsa_key, user

from calais.cards.gids.bookkeeping import NewContainer
from calais.minidriver.files import compress_certificate
from calais.minidriver.padding import Pkcs1, Pss, Raw
from calais.minidriver.pins import Pin

DIGEST = bytes(range(32))
NOT_PIV = 1  # SELECT PIV, refused: a card that was not here before


@pytest.fixture(scope="module")
def four():
    return four_keys()


@pytest.fixture(scope="module")
def signers():
    """RSA-2048 and P-256, for exchange."""
    return [("rsa", 1, rsa_key(), None), ("ec", 6, p256(), None)]


def ready(desk):
    """List the card and use its keys once, so that all that is looked at once has been."""
    with user(desk) as driver:
        for entry in driver.containers():
            driver.public_key(entry.index)
        driver.pin_list()
        driver.deauthenticate(0xFF)
    assert desk.exchanges
    return desk


def test_identifying_a_card_takes_two_and_one_to_see_that_it_is_no_piv_card(four):
    desk = new_desk(keys=four)
    with desk.driver() as driver:
        assert driver.identity().card_id == CARD_ID
    assert desk.exchanges == 2 + NOT_PIV


@pytest.mark.parametrize(("short", "more"), [(False, 0), (True, 2)])
def test_listing_four_containers_cold_takes_five(four, short, more):
    desk = new_desk(keys=four, short=short)
    with desk.driver() as driver:
        assert all(entry.has_certificate for entry in driver.containers())
    # SELECT, cardid, cardcf, master file, container map; with short lengths the last two take two each
    assert desk.exchanges == 5 + NOT_PIV + more


def test_reading_four_certificates_takes_one_each(four):
    desk = ready(new_desk(keys=four))
    with desk.driver() as driver:
        assert all(driver.certificate(entry.index) for entry in driver.containers())
    assert desk.exchanges == 4


def test_listing_again_costs_nothing(four):
    desk = ready(new_desk(keys=four))
    with desk.driver() as driver:
        for entry in driver.containers():
            driver.certificate(entry.index)
    desk.channel.counter.clear()
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
        assert all(driver.certificate(entry.index) for entry in driver.containers())
        assert all(driver.public_key(entry.index) for entry in driver.containers())
        assert driver.read_file("mscp", "cmapfile")
        assert driver.read_file(None, "cardcf")
        assert driver.enum_files("mscp")
        assert driver.identity()
    assert desk.exchanges == 0


@pytest.mark.parametrize("short", [True, False])
def test_listing_after_reinsertion_takes_three(four, short):
    desk = ready(new_desk(keys=four, short=short))
    with desk.driver() as driver:
        certificates = [driver.certificate(entry.index) for entry in driver.containers()]
    desk.reinsert()
    with desk.driver() as driver:
        assert [driver.certificate(entry.index) for entry in driver.containers()] == certificates
        assert all(driver.public_key(entry.index) for entry in driver.containers())
    assert desk.exchanges == 3


def waiting(four):
    """A card with a key that waits for its certificate, read once."""
    name, spec, key, _ = four[3]
    return ready(new_desk(keys=[*four[:3], (name, spec, key, None)]))


def visited(desk):
    """Another program uses the card while it is away."""
    with desk.elsewhere().driver() as other:
        other.identity()
    desk.reinsert()


def test_where_nobody_else_has_used_the_card_nothing_is_looked_at_again(four):
    desk = waiting(four)
    desk.reinsert()
    with desk.driver() as driver:
        assert [entry.has_certificate for entry in driver.containers()] == [True, True, True, False]
        driver.confirm_list()
        driver.confirm_certificate(0)
    assert desk.exchanges == 3


def test_a_key_without_certificate_makes_the_list_look_once_more(four):
    desk = waiting(four)
    visited(desk)
    with desk.driver() as driver:
        assert [entry.has_certificate for entry in driver.containers()] == [True, True, True, False]
        assert desk.exchanges == 3 + 1
        driver.containers()
    assert desk.exchanges == 0


def test_with_counters_believed_a_key_without_certificate_costs_no_look(four):
    name, spec, key, _ = four[3]
    desk = ready(new_desk(keys=[*four[:3], (name, spec, key, None)], policy={"gids.proof": "counters"}))
    desk.reinsert()
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
    assert desk.exchanges == 3


def test_looking_at_the_list_itself_takes_two(four):
    desk = ready(new_desk(keys=four))
    visited(desk)
    with desk.driver() as driver:
        driver.containers()
        assert desk.exchanges == 3
        driver.confirm_list()
        assert desk.exchanges == 2
        driver.confirm_list()
    assert desk.exchanges == 0


def test_listing_after_another_program_used_the_card_takes_three(four):
    desk = ready(new_desk(keys=four))
    with desk.elsewhere().driver() as other:
        other.identity()
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
    assert desk.exchanges == 3


def test_identity_after_reinsertion_takes_two(four):
    desk = ready(new_desk(keys=four))
    desk.reinsert()
    with desk.driver() as driver:
        driver.identity()
    assert desk.exchanges == 2


def test_listing_after_our_own_write_costs_nothing(four):
    desk = ready(new_desk(keys=four))
    new = der(certificate(p256(), "renewed", size=1500))
    with user(desk) as driver:
        driver.write_certificate(0, new)
    desk.channel.counter.clear()
    with desk.driver() as driver:
        assert driver.certificate(0) == new
        assert len(driver.containers()) == 4
    assert desk.exchanges == 0


def test_a_certificate_changed_elsewhere_costs_itself_and_the_tables(four):
    desk = ready(new_desk(keys=four))
    with desk.driver() as driver:
        for entry in driver.containers():
            driver.certificate(entry.index)
    with user(desk.elsewhere()) as other:
        other.write_certificate(0, der(certificate(p256())))
    desk.channel.counter.clear()
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
    assert desk.exchanges == 3 + 2


def test_signing_takes_two_and_then_one(signers):
    desk = ready(new_desk(keys=signers))
    with user(desk) as driver:
        assert desk.exchanges == 1
        driver.sign(1, 1, DIGEST, Raw())
        assert desk.exchanges == 2
        driver.sign(1, 1, DIGEST, Raw())
        assert desk.exchanges == 1
        driver.sign(0, 1, DIGEST, Pkcs1("sha256"))
        assert desk.exchanges == 2
        driver.sign(0, 1, DIGEST, Pkcs1("sha256"))
        assert desk.exchanges == 1


@pytest.mark.parametrize(("short", "pkcs1", "pss"), [(True, 2, 3), (False, 2, 2)])
def test_signing_with_rsa_2048(signers, short, pkcs1, pss):
    desk = ready(new_desk(keys=signers, short=short))
    with user(desk) as driver:
        desk.channel.counter.clear()
        driver.sign(0, 1, DIGEST, Pkcs1("sha256"))
        assert desk.exchanges == pkcs1
        driver.sign(0, 1, DIGEST, Pss("sha256", 32))
        assert desk.exchanges == pss


@pytest.mark.parametrize(("short", "expected"), [(True, 3), (False, 2)])
def test_decrypting_with_rsa_2048(signers, short, expected):
    desk = ready(new_desk(keys=signers, short=short))
    with user(desk) as driver:
        desk.channel.counter.clear()
        driver.decrypt(0, 1, bytes(255) + b"\1", Raw())
    assert desk.exchanges == expected


def test_the_first_signature_looks_at_the_key_map_and_the_public_key(signers):
    desk = new_desk(keys=signers)
    with user(desk) as driver:
        driver.containers()
        desk.channel.counter.clear()
        driver.sign(1, 1, DIGEST, Raw())
    assert desk.exchanges == 2 + 2


def test_pin_operations_take_one_each():
    desk = ready(new_desk())
    with desk.driver() as driver:
        assert driver.pin_status(1).attempts_left == 3
        assert desk.exchanges == 1
        driver.change_pin(1, PIN, Pin("654321"))
        assert desk.exchanges == 1
        driver.change_pin(1, Pin("654321"), PIN)
        assert desk.exchanges == 1
        driver.deauthenticate(2)
        assert desk.exchanges == 1
        session = driver.make_session_pin(1, PIN)
        assert desk.exchanges == 1
        driver.authenticate_session(1, session)
        assert desk.exchanges == 1


def test_administrator_operations():
    desk = ready(new_desk())
    with desk.driver() as driver:
        driver.challenge()
        assert desk.exchanges == 2
        driver.authenticate_admin(ADMIN_KEY)
        assert desk.exchanges == 3
        driver.change_admin_key(bytes(24))
        assert desk.exchanges == 1
    with admin(desk_with_unknown_cipher := new_desk()) as driver:
        assert driver.authenticated()
    assert desk_with_unknown_cipher.exchanges


def test_an_unblock_by_response_takes_three_after_the_challenge():
    from calais.cards.gids import adminkey

    desk = ready(new_desk())
    with desk.driver() as driver:
        response = adminkey.response(ADMIN_KEY, driver.challenge())
        desk.channel.counter.clear()
        driver.unblock_pin(1, 2, Pin(response), PIN)
    # response, new PIN, and the sign-out that a card need not do by itself
    assert desk.exchanges == 3


def test_a_key_and_its_request_take_ten():
    desk = ready(new_desk())
    with user(desk) as driver:
        index, _ = driver.add_container(NewContainer(key_spec=6))
        driver.sign(index, 6, DIGEST, Raw())
    # VERIFY; the key map; cardcf, CREATE, ACTIVATE, GENERATE, key map, container map; MSE and the signature
    assert desk.exchanges == 1 + 1 + 6 + 2


@pytest.mark.parametrize("short", [True, False])
def test_writing_a_certificate_of_1500_bytes(short):
    desk = new_desk(short=short)
    some = der(certificate(p256(), size=1500))
    pieces = -(-(len(compress_certificate(some)) + 5) // 255) if short else 1
    with user(desk) as driver:
        driver.add_container(NewContainer(key_spec=6))
        desk.channel.counter.clear()
        driver.write_certificate(0, some)
    # cardcf, the data object, the master file
    assert desk.exchanges == 1 + pieces + 1
