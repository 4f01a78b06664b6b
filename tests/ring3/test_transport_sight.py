"""A connection to a card in this process knows whether anybody has used the card since an earlier connection."""

from __future__ import annotations

import pytest

from calais.minidriver.memo import Evidence
from calais.testing import virtual_gids, virtual_piv
from calais.transport.base import Channel
from calais.transport.loopback import LoopbackTransport

SELECT = bytes.fromhex("00A4040009A00000039742544659")


def used(card):
    """A connection that has used the card, and the evidence of that moment."""
    channel = Channel(LoopbackTransport(card))
    channel.transport.begin()
    channel.transport.transmit(SELECT)
    evidence = Evidence(channel, channel.transport.epoch)
    channel.transport.end()
    return channel, evidence


def now(card):
    channel = Channel(LoopbackTransport(card))
    return channel, Evidence(channel, channel.transport.epoch)


def pulled(channel):
    channel.transport.remove()


@pytest.fixture
def card():
    return virtual_gids(keys=[])


def test_evidence_lasts_while_the_card_is_away_and_unused(card):
    channel, seen = used(card)
    pulled(channel)
    card.power_cycle()
    later, evidence = now(card)
    assert seen.lasts(evidence)
    assert not seen.holds(evidence)
    later.transport.begin()
    later.transport.transmit(SELECT)
    assert seen.lasts(Evidence(later, later.transport.epoch))


@pytest.mark.parametrize("when", ["before the card is pulled", "while it is away", "after it is back"])
def test_evidence_ends_when_anybody_else_uses_the_card(card, when):
    channel, seen = used(card)
    if when.startswith("before"):
        card.process(SELECT)
    pulled(channel)
    if when.startswith("while"):
        card.process(SELECT)
    later, _ = now(card)
    if when.startswith("after"):
        card.process(SELECT)
    assert not seen.lasts(Evidence(later, later.transport.epoch))


def test_evidence_of_one_card_says_nothing_about_another(card):
    channel, seen = used(card)
    pulled(channel)
    for other in (virtual_gids(keys=[]), virtual_piv(keys={})):
        assert not seen.lasts(now(other)[1])


def test_evidence_ends_with_an_exchange_of_ours_that_it_did_not_see(card):
    channel, seen = used(card)
    second, _ = used(card)
    pulled(channel)
    pulled(second)
    assert not seen.lasts(now(card)[1])
