"""Two cards with one card id: what tells them apart, what cannot, and that nothing wrong is used."""

from __future__ import annotations

import gidsdesk
import pivdesk
import pytest
from cachedesk import READER, listing, process
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from calais.minidriver.memo import Basis, CardMemo, KeptCard, KeptObject
from calais.minidriver.pins import Pin
from calais.win.errors import NotFound

DATA, SHA256 = b"data", ec.ECDSA(hashes.SHA256())


def piv_twins():
    return [pivdesk.new_desk(keys=pivdesk.four_keys()).card for _ in range(2)]


def gids_twins():
    return [gidsdesk.new_desk(keys=gidsdesk.four_keys()).card for _ in range(2)]


def truth(card):
    with process(None, card) as system:
        return listing(system)


@pytest.mark.parametrize("twins", [piv_twins, gids_twins])
def test_twins_that_take_turns_in_one_reader_show_each_their_own(tmp_path, twins):
    cards = twins()
    truths = [truth(card) for card in cards]
    with process(tmp_path, cards[0]) as system:
        for turn in (0, 1, 0, 1):
            system.remove(READER)
            system.insert(cards[turn], READER)
            assert listing(system) == truths[turn]


@pytest.mark.parametrize("twins", [piv_twins, gids_twins])
def test_twins_in_two_readers_at_once_show_each_their_own(tmp_path, twins):
    cards = twins()
    truths = [truth(card) for card in cards]
    with process(tmp_path, cards[0]) as system:
        system.insert(cards[1], "Other")
        for _ in range(2):
            for turn, reader in enumerate((READER, "Other")):
                containers = system.card(reader).containers
                assert [(each.name, each.certificate, each.public_key) for each in containers] == truths[turn]


@pytest.mark.parametrize("twins", [piv_twins, gids_twins])
def test_what_was_saved_of_one_twin_is_not_shown_for_the_other(tmp_path, twins):
    cards = twins()
    truths = [truth(card) for card in cards]
    with process(tmp_path, cards[0]) as system:
        assert listing(system) == truths[0]
    with process(tmp_path, cards[1]) as system:
        assert listing(system) == truths[1]


@pytest.mark.parametrize("twins", [piv_twins, gids_twins])
def test_a_signature_is_of_the_twin_that_is_here(tmp_path, twins):
    cards = twins()
    with process(tmp_path, cards[0], **{"gids.proof": "counters"}) as system:
        held = system.card().containers[0]
        held.key.sign(DATA, SHA256)
        system.remove(READER)
        system.insert(cards[1], READER)
        expected = truth(cards[1])[0][2]
        system.remove(READER)
        system.insert(cards[1], READER)
        expected.verify(held.key.sign(DATA, SHA256), DATA, SHA256)


def test_a_gids_twin_with_other_containers_is_found_out_by_the_first_certificate(tmp_path):
    many, few = gidsdesk.new_desk(keys=gidsdesk.four_keys()).card, gidsdesk.new_desk(keys=gidsdesk.four_keys()[:1]).card
    expected = truth(few)
    with process(tmp_path, many) as system:
        assert len(listing(system)) == 4
        system.remove(READER)
        system.insert(few, READER)
        listed = system.card().containers
        assert len(listed) == 4, "the counters, the id and the ATR are the same: a list cannot tell"
        assert listed[0].certificate == expected[0][1], "a look at the certificate tells"
        for gone in listed[1:]:
            with pytest.raises(NotFound):
                _ = gone.public_key
            assert gone.certificate is None
        assert listing(system) == expected
        assert not system.card().counters_trusted


def test_a_twin_that_was_found_out_stays_so_for_other_processes(tmp_path):
    """The counters of both are not believed from then on."""
    many, few = gidsdesk.new_desk(keys=gidsdesk.four_keys()).card, gidsdesk.new_desk(keys=gidsdesk.four_keys()[:1]).card
    expected = truth(few)[0][1]
    with process(tmp_path, many) as system:
        listing(system)
    with process(tmp_path, few) as system:
        assert system.card().containers[0].certificate == expected
    with process(tmp_path, many) as system:
        assert len(system.card().containers) == 4, "not the list of the other, although the counters are the same"


def test_another_atr_is_another_card(tmp_path):
    one, other = (gidsdesk.new_desk(keys=gidsdesk.four_keys(), short=short).card for short in (False, True))
    assert one.atr != other.atr
    expected = truth(other)
    with process(tmp_path, one) as system:
        listing(system)
        system.remove(READER)
        system.insert(other, READER)
        other.counter.clear()
        assert [container.name for container in system.card().containers] == [name for name, *_ in expected]
        assert other.counter.exchanges > 3
        assert listing(system) == expected


def test_a_card_that_is_initialised_anew_with_the_old_id_starts_with_nothing_remembered(tmp_path):
    full = gidsdesk.new_desk(keys=gidsdesk.four_keys()).card
    blank = gidsdesk.new_desk(blank=True).card
    with process(tmp_path, full) as system:
        listing(system)
    with process(tmp_path, blank) as system:
        system.card().run(lambda driver: driver.initialise(Pin("123456"), gidsdesk.ADMIN_KEY, gidsdesk.CARD_ID))
        assert list(system.card(READER).containers) == []


def test_a_memory_that_was_kept_proves_nothing_by_itself():
    class Liar:
        """A shelf that gives a memory to every card."""

        def recall(self, driver, mark, atr):
            return KeptCard(driver, mark, bytes(16), "", atr, (KeptObject("5FC105", b"S\x03abc", 5),))

        def driver_of(self, atr):
            return "piv"

        def drop(self, driver, mark, atr):
            pass

    desk = pivdesk.new_desk(keys=pivdesk.four_keys())
    with desk.driver() as driver:
        true = driver.certificate(0)
    desk.memo = CardMemo(shelf=Liar())
    with desk.driver() as driver:
        assert driver.certificate(0) == true
        assert driver.memo.objects[0x5FC105].basis is Basis.READ
