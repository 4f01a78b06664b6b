"""A signature is checked with the key that is known, then with the one that is there, and only then refused."""

from __future__ import annotations

import gidsdesk
import pivdesk
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from calais.cards.gids import edge, listing
from calais.minidriver.files import compress_certificate
from calais.testing import FixedPrompt, local_system
from calais.win.codes import Code
from calais.win.errors import WinError

DATA, SHA256 = b"data", ec.ECDSA(hashes.SHA256())


@pytest.fixture
def keys():
    return pivdesk.p256(), pivdesk.p256()


def opened(card, **policy):
    system = local_system(prompt=FixedPrompt("123456"), policy={"TransactionTimeoutMilliseconds": 0, **policy})
    system.insert(card)
    return system


def piv_card(key):
    return pivdesk.new_desk(keys={0x9A: (key, pivdesk.certificate(key))}).card


def gids_card(key):
    return gidsdesk.new_desk(keys=[("one", 3, key, gidsdesk.certificate(key))]).card


def replaced_on_piv(card, key):
    with pivdesk.admin(pivdesk.Desk(card)) as driver:
        driver.create_container(0, 3, key=key)
        driver.write_certificate(0, pivdesk.der(pivdesk.certificate(key, "new")))


def replaced_on_gids_without_a_counter(card, key):
    with gidsdesk.user(gidsdesk.Desk(card)) as driver:
        entry = listing.certificate_entry(driver.view, 0, 2)
        driver.create_container(0, 3, key=key)
        certificate = compress_certificate(gidsdesk.der(gidsdesk.certificate(key, "new")))
        edge.put_data(driver.tx, *entry.place, certificate)


CASES = {"piv": (piv_card, replaced_on_piv), "gids": (gids_card, replaced_on_gids_without_a_counter)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("proof", ["head", "counters"])
def test_a_key_that_was_replaced_behind_our_back_is_learnt_and_its_signature_returned(case, proof, keys):
    make, replace = CASES[case]
    card = make(keys[0])
    with opened(card, **{"gids.proof": proof}) as system:
        container = system.card().containers[0]
        old = container.key
        old.public_key().verify(old.sign(DATA, SHA256), DATA, SHA256)
        replace(card, keys[1])
        keys[1].public_key().verify(old.sign(DATA, SHA256), DATA, SHA256)
        assert container.key.public_key() == keys[1].public_key()
        assert container.public_key == keys[1].public_key()


def test_after_one_such_surprise_the_counters_of_that_card_are_not_believed(keys):
    card = gids_card(keys[0])
    with opened(card, **{"gids.proof": "counters"}) as system:
        container = system.card().containers[0]
        container.key.sign(DATA, SHA256)
        replaced_on_gids_without_a_counter(card, keys[1])
        container.key.sign(DATA, SHA256)
        replaced_on_gids_without_a_counter(card, keys[0])
        assert container.public_key == keys[0].public_key()


@pytest.mark.parametrize("policy", ["fresh", "always"])
def test_a_card_that_signs_with_another_key_than_it_shows_is_refused(keys, policy):
    card = piv_card(keys[0])
    with pivdesk.admin(pivdesk.Desk(card)) as driver:
        certificate = driver.certificate(0)
        driver.create_container(0, 3, key=keys[1])
        driver.write_certificate(0, certificate)
    with opened(card, **{"keys.verify_signatures": policy}) as system:
        key = system.card().containers[0].key
        with pytest.raises(WinError, match="does not belong to the container's certificate") as caught:
            key.sign(DATA, SHA256)
        assert caught.value.code == Code.NTE_BAD_SIGNATURE


def test_a_replaced_key_beside_another_keys_certificate_is_refused_with_the_reason(keys):
    card = piv_card(keys[0])
    third = pivdesk.p256()
    with opened(card) as system:
        key = system.card().containers[0].key
        key.sign(DATA, SHA256)
        with pivdesk.admin(pivdesk.Desk(card)) as driver:
            driver.create_container(0, 3, key=third)
            driver.write_certificate(0, pivdesk.der(pivdesk.certificate(keys[1], "of a third")))
        with pytest.raises(WinError, match="of neither") as caught:
            key.sign(DATA, SHA256)
        assert caught.value.code == Code.NTE_BAD_SIGNATURE
        assert pivdesk.der(pivdesk.certificate(keys[1], "x"))


def test_nothing_is_looked_at_again_while_the_signature_fits(keys):
    card = piv_card(keys[0])
    with opened(card) as system:
        key = system.card().containers[0].key
        key.sign(DATA, SHA256)
        card.counter.clear()
        key.sign(DATA, SHA256)
        assert card.counter.exchanges <= 4, "tried, SELECT, VERIFY, signed"
