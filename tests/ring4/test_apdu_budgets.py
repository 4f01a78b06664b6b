"""What each operation on a PIV card costs, in exchanges counted at the transport. One more, and a test fails."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from pivdesk import (
    ADMIN_KEY,
    GUID,
    INDEX,
    PIN,
    PUK,
    admin,
    certificate,
    der,
    four_keys,
    new_desk,
    p256,
    rsa_key,
)

from calais.minidriver.padding import Pkcs1, Raw
from calais.minidriver.pins import Pin
from calais.win.errors import NotAuthenticated

DIGEST = bytes(range(32))
KEY_HISTORY = 1
AT_SIGNATURE = 2


@pytest.fixture(scope="module")
def four():
    return four_keys()


@pytest.fixture(scope="module")
def signers():
    """RSA-2048 in 9A, P-256 in 9C and 9E."""
    keys = {0x9A: rsa_key(), 0x9C: p256(), 0x9E: p256()}
    return {ref: (key, certificate(key)) for ref, key in keys.items()}


def ready(desk):
    """List the card and use its PIN once, so that all that is looked at once in an insertion has been."""
    with desk.driver() as driver:
        driver.containers()
        driver.pin_status(1)
    assert desk.exchanges
    return desk


def test_identifying_a_card_takes_two(four):
    desk = new_desk(keys=four)
    with desk.driver() as driver:
        assert driver.identity().card_id == GUID
    assert desk.exchanges == 2


def test_identifying_reads_the_head_of_the_chuid_only(four):
    desk = new_desk(keys=four, short=True)
    with desk.driver() as driver:
        driver.identity()
    assert desk.channel.counter.bytes_in < 2 * 258
    assert desk.exchanges == 2


@pytest.mark.parametrize(("short", "expected"), [(True, 26), (False, 6)])
def test_listing_four_certificates_cold(four, short, expected):
    desk = new_desk(keys=four, short=short)
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
    assert desk.exchanges == expected + KEY_HISTORY


def test_an_empty_slot_costs_one():
    desk = new_desk(keys={0x9A: (key := p256(), certificate(key))})
    with desk.driver() as driver:
        assert len(driver.containers()) == 1
    assert desk.exchanges == 2 + 1 + 3 + KEY_HISTORY


def test_listing_again_costs_nothing(four):
    desk = ready(new_desk(keys=four))
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
        assert all(driver.certificate(entry.index) for entry in driver.containers())
        assert driver.read_file("mscp", "cmapfile")
        assert driver.identity()
    assert desk.exchanges == 0


def test_listing_after_our_own_write_costs_nothing(four):
    desk = new_desk(keys=four)
    new = der(certificate(p256(), "renewed", size=1500))
    with admin(desk) as driver:
        driver.containers()
        driver.write_certificate(0, new)
    assert desk.exchanges
    with desk.driver() as driver:
        assert driver.certificate(0) == new
        assert len(driver.containers()) == 4
    assert desk.exchanges == 0


def test_identity_after_reinsertion_takes_two(four):
    desk = ready(new_desk(keys=four))
    desk.reinsert()
    with desk.driver() as driver:
        driver.identity()
    assert desk.exchanges == 2


@pytest.mark.parametrize("short", [True, False])
def test_listing_after_reinsertion_takes_one_for_each_certificate(four, short):
    desk = ready(new_desk(keys=four, short=short))
    desk.reinsert()
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
    assert desk.exchanges == 2 + 4 + KEY_HISTORY


def test_empty_slots_are_asked_again_after_reinsertion():
    desk = ready(new_desk(keys={0x9A: (key := p256(), certificate(key))}))
    desk.reinsert()
    with desk.driver() as driver:
        driver.containers()
    assert desk.exchanges == 2 + 1 + 3 + KEY_HISTORY


def test_retired_keys_cost_one_each_after_reinsertion(four):
    desk = new_desk(keys=four)
    with admin(desk) as driver:
        for index in (INDEX[0x82], INDEX[0x83]):
            driver.write_certificate(index, der(certificate(p256(), size=1500)))
        assert len(driver.containers()) == 6
    desk.reinsert()
    with desk.driver() as driver:
        assert len(driver.containers()) == 6
    assert desk.exchanges == 2 + 4 + 2 + KEY_HISTORY


def test_listing_after_another_program_used_the_card_proves_each_object(four):
    desk = ready(new_desk(keys=four))
    other = desk.elsewhere()
    with other.driver() as driver:
        driver.identity()
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
    assert desk.exchanges == 2 + 4 + KEY_HISTORY


def test_a_slot_that_another_program_changed_is_read_whole(four):
    desk = ready(new_desk(keys=four, short=True))
    with admin(desk.elsewhere()) as driver:
        driver.write_certificate(0, der(certificate(p256(), size=1500)))
    with desk.driver() as driver:
        driver.containers()
    assert desk.exchanges == 2 + 4 + KEY_HISTORY + 6


def test_signing_with_p256_takes_one(signers):
    desk = ready(new_desk(keys=signers))
    with desk.driver() as driver:
        driver.sign(3, AT_SIGNATURE, DIGEST, Raw())
    assert desk.exchanges == 1


@pytest.mark.parametrize(("short", "expected"), [(True, 3), (False, 1)])
def test_signing_with_rsa_2048(signers, short, expected):
    desk = ready(new_desk(keys=signers, short=short))
    with desk.driver() as driver:
        driver.authenticate(1, PIN)
        assert desk.exchanges == 1
        driver.sign(0, 1, DIGEST, Pkcs1("sha256"))
    assert desk.exchanges == expected


def test_signing_is_tried_at_once_and_then_takes_select_verify_sign(signers):
    keys = {0x9A: (key := p256(), certificate(key))}
    desk = ready(new_desk(keys=keys))
    other = desk.elsewhere()
    with other.driver() as driver:
        driver.deauthenticate(2)
    with desk.driver() as driver:
        with pytest.raises(NotAuthenticated):
            driver.sign(0, 1, DIGEST, Raw())
        assert desk.exchanges == 1
        driver.authenticate(1, PIN)
        driver.sign(0, 1, DIGEST, Raw())
    assert desk.exchanges == 3


def test_signing_after_a_reset_by_another_program_selects_by_itself(signers):
    desk = ready(new_desk(keys=signers))
    desk.card.reset()
    with desk.driver() as driver:
        driver.sign(3, AT_SIGNATURE, DIGEST, Raw())
    assert desk.exchanges == 3


@pytest.mark.parametrize("short", [True, False])
def test_a_key_that_wants_the_pin_always_is_used_right_after_verify(short):
    for key, expected in ((p256(), 2), (rsa_key(), 4 if short else 2)):
        desk = ready(new_desk(keys={0x9C: (key, certificate(key))}, short=short))
        with desk.driver() as driver:
            driver.authenticate(4, PIN)
            driver.sign(1, AT_SIGNATURE, DIGEST, Pkcs1("sha256"))
        assert desk.exchanges == expected


def test_pin_operations_take_one_each():
    desk = ready(new_desk())
    with desk.driver() as driver:
        assert driver.pin_status(1).attempts_left == 3
        assert desk.exchanges == 1
        driver.change_pin(1, PIN, Pin("654321"))
        assert desk.exchanges == 1
        driver.change_pin(3, PUK, Pin("87654321"))
        assert desk.exchanges == 1
        driver.unblock_pin(1, 3, Pin("87654321"), PIN)
        assert desk.exchanges == 1
        driver.deauthenticate(2)
        assert desk.exchanges == 1


def test_the_first_use_of_a_pin_looks_at_discovery_once_in_an_insertion():
    desk = new_desk()
    with desk.driver() as driver:
        assert desk.exchanges == 2
        driver.pin_status(1)
        assert desk.exchanges == 2
        driver.pin_status(1)
        assert desk.exchanges == 1


def test_administrator_authentication_takes_two():
    desk = ready(new_desk())
    with desk.driver() as driver:
        driver.authenticate_admin(ADMIN_KEY)
    assert desk.exchanges == 2


def test_a_key_and_its_request_take_five():
    desk = ready(new_desk())
    with desk.driver() as driver:
        driver.authenticate_admin(ADMIN_KEY)
        public = driver.create_container(0, 3)
        driver.authenticate(1, PIN)
        raw = driver.sign(0, 3, DIGEST, Raw())
    assert desk.exchanges == 5
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(signature, DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))


@pytest.mark.parametrize(("short", "expected"), [(True, 6), (False, 1)])
def test_writing_a_certificate_of_1500_bytes(short, expected):
    desk = ready(new_desk(short=short))
    with admin(desk) as driver:
        assert desk.exchanges == 2
        driver.write_certificate(0, der(certificate(p256(), size=1500)))
    assert desk.exchanges == expected


def test_a_fresh_key_without_certificate_is_listed_for_nothing_and_found_by_asking():
    desk = ready(new_desk())
    with admin(desk) as driver:
        driver.create_container(0, 3)
        desk.channel.counter.clear()
        assert [entry.reference for entry in driver.containers()] == ["9A"]
        assert desk.exchanges == 0
    desk.reinsert()
    with desk.driver() as driver:
        assert driver.containers() == []
        assert desk.exchanges == 2 + 4 + KEY_HISTORY
        assert [entry.algorithm for entry in driver.containers(probe_keys=True)] == ["P-256"]
        assert desk.exchanges == 4
        assert driver.public_key(0)
        assert desk.exchanges == 0
