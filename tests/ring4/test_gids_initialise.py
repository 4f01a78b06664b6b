"""A blank GIDS card is initialised by our host: what is on it then, what is refused, and what a cut leaves."""

from __future__ import annotations

import itertools

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from gidsdesk import certificate

from calais.apps import cardadmin
from calais.cards.base import PowerLoss
from calais.cards.gids.initialise import initialise
from calais.minidriver.administration import KeyOrder
from calais.minidriver.pins import Pin
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.transport.base import Channel
from calais.transport.loopback import LoopbackTransport
from calais.win.codes import Code
from calais.win.errors import BadParameter, Unsupported, WinError

PIN, CARD_ID = "123456", bytes(range(16))
ADMIN = bytes(range(24))
KEYS = pytest.mark.parametrize("admin_key", [ADMIN, bytes(range(16)), bytes(range(32)), None])


def memory(card):
    return card.applet.state.records._memory


def set_up(card, pin=PIN, admin_key=ADMIN, card_id=CARD_ID):
    channel = Channel(LoopbackTransport(card))
    try:
        with channel.begin() as tx:
            initialise(tx, pin=Pin(pin), admin_key=admin_key, card_id=card_id)
    finally:
        channel.close()


@KEYS
def test_what_the_host_makes_of_a_blank_card_is_what_a_new_card_is(admin_key):
    card = virtual_gids(blank=True)
    set_up(card, admin_key=admin_key)
    new = virtual_gids(keys=[], admin_key=admin_key, card_id=CARD_ID, pin=PIN)
    assert memory(card).read() == memory(new).read()


@pytest.mark.parametrize(
    "wrong", [{"pin": "123"}, {"pin": "1" * 17}, {"admin_key": bytes(23)}, {"card_id": bytes(15)}, {"pin": ""}]
)
def test_a_value_of_the_wrong_length_is_refused_before_the_card_is_asked(wrong):
    card = virtual_gids(blank=True)
    card.counter.clear()
    with pytest.raises(BadParameter):
        set_up(card, **wrong)
    assert card.counter.exchanges == 0


def test_a_card_that_is_initialised_is_refused_and_stays_as_it_is():
    card = virtual_gids(keys=[])
    before = memory(card).read()
    with pytest.raises(WinError) as refused:
        set_up(card)
    assert refused.value.code == Code.ERROR_FILE_EXISTS
    assert memory(card).read() == before


def test_a_set_up_that_was_cut_off_anywhere_is_done_again_also_with_other_secrets():
    other = virtual_gids(keys=[], admin_key=bytes(32), card_id=CARD_ID, pin="87654321")
    whole = memory(virtual_gids(keys=[], admin_key=ADMIN, card_id=CARD_ID, pin=PIN)).read()
    for point in itertools.count(1):
        card = virtual_gids(blank=True)
        first = memory(card).instants

        def fail(instant, last=first + point):
            if instant == last:
                raise PowerLoss

        memory(card).cut = fail
        try:
            set_up(card)
        except (PowerLoss, WinError):
            memory(card).cut = None
            card.power_cycle()
        else:
            break
        if memory(card).read() == whole:  # activation, the last step, had been done
            with pytest.raises(WinError, match="initialised already"):
                set_up(card)
            continue
        set_up(card, pin="87654321", admin_key=bytes(32))
        assert memory(card).read() == memory(other).read()
    assert point > 30


def test_a_key_is_made_on_the_card_and_its_certificate_reaches_the_store():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(virtual_gids(blank=True), "Virtual Reader 0")
        system.card().run(lambda driver: driver.initialise(Pin(PIN), ADMIN, CARD_ID))
        card = system.card()
        assert card.identity.card_id == CARD_ID
        right = card.holder("make a key")
        container = cardadmin.make_key(card, right, None, KeyOrder("P256"))
        der = certificate(container.key).public_bytes(Encoding.DER)
        cardadmin.put_certificate(card, right, container.index, der)
        assert system.card().containers[0].certificate == der
        assert [outcome.action for outcome in system.propagate()] == ["added"]


def test_a_piv_card_comes_initialised():
    with local_system() as system:
        system.insert(virtual_piv(keys={}), "Virtual Reader 0")
        with pytest.raises(Unsupported):
            system.card().run(lambda driver: driver.initialise(Pin(PIN), ADMIN, CARD_ID))
