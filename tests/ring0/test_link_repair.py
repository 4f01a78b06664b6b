"""What a repair decides to do about a link: by the key on the cards, never by a name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from certs import ec_key, make, rsa_key, spki

from calais.apps.linkrepair import Outcome, plan
from calais.apps.links import CardSeen, ContainerSeen
from calais.win.structs import CryptKeyProvInfo

BASE, PERSONAL = "Microsoft Base Smart Card Crypto Provider", "Personal CSP"
KSP = "Microsoft Smart Card Key Storage Provider"
PROVIDERS = (BASE, PERSONAL, KSP)
KEY, OTHER = rsa_key(), rsa_key(1)
DER = make("Ada", key=KEY)
HOME = ContainerSeen("home", "80", spki(KEY), DER, key_spec=1)
ELSE = ContainerSeen("else", "81", spki(OTHER), None, key_spec=1)
CARD = CardSeen("Reader 0", "GIDS", "1", (ELSE, HOME))
WHOLE = CryptKeyProvInfo("HOME", BASE, 1, 1, (), 1)


def decided(link, *containers, der=DER, **card):
    cards = (replace(CARD, containers=containers or CARD.containers, **card),)
    return plan(der, link, cards, PROVIDERS)


@pytest.mark.parametrize(
    "link",
    [
        WHOLE,
        replace(WHOLE, flags=0, key_spec=0),
        replace(WHOLE, prov_name=PERSONAL),
        replace(WHOLE, prov_name=KSP, prov_type=0, key_spec=0),
        replace(WHOLE, container_name="\\\\.\\Reader 0\\home"),
    ],
)
def test_a_link_that_leads_to_the_key_is_left_alone(link):
    found = decided(link)
    assert (found.outcome, found.link, found.writes) == (Outcome.WHOLE, link, False)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (replace(WHOLE, container_name="gone"), "no inserted card has"),
        (replace(WHOLE, container_name="else"), "another key"),
        (replace(WHOLE, container_name="no\\name"), "no inserted card has"),
        (replace(WHOLE, container_name="\\\\.\\Gone\\home"), "no inserted card has"),
        (replace(WHOLE, key_spec=2), "key spec 2"),
        (replace(WHOLE, prov_type=24), "type 24"),
        (replace(WHOLE, prov_name="Unheard Of"), "does not exist"),
        (replace(WHOLE, prov_name=KSP), "provider of CNG"),
        (replace(WHOLE, prov_name="Microsoft Enhanced Cryptographic Provider v1.0"), "no containers"),
    ],
)
def test_a_wrong_link_is_written_anew_and_told_what_was_wrong(link, reason):
    found = decided(link)
    assert (found.outcome, found.writes) == (Outcome.RELINKED, True)
    assert found.link == CryptKeyProvInfo("home", BASE, 1, 1, (), 1)
    assert reason in found.reason
    assert found.where == (CARD, HOME)


def test_the_technology_stays_where_the_key_can_be_used_so():
    assert decided(replace(WHOLE, container_name="gone", prov_name=KSP, prov_type=0)).link.prov_name == KSP
    elliptic = ContainerSeen("ec", "82", spki(ec_key()), None, key_spec=2, is_rsa=False)
    der = make("Eve", key=ec_key())
    for link in (None, WHOLE, replace(WHOLE, container_name="ec")):
        assert decided(link, elliptic, der=der).link == CryptKeyProvInfo("ec", KSP, 0, 1)


def test_a_certificate_without_link_gets_one():
    found = decided(None)
    assert (found.outcome, found.link) == (Outcome.LINKED, CryptKeyProvInfo("home", BASE, 1, 1, (), 1))


@pytest.mark.parametrize(("link", "outcome"), [(None, Outcome.KEYLESS), (WHOLE, Outcome.MISSING)])
def test_without_the_key_nothing_is_written(link, outcome):
    for found in (plan(DER, link, ()), decided(link, ELSE), decided(link, ELSE, problem="mute")):
        assert (found.outcome, found.link, found.writes) == (outcome, link, False)
        assert found.reason
    assert "mute" in decided(link, ELSE, problem="mute").reason


def test_the_container_that_the_link_names_goes_before_others_with_the_same_key():
    twin = replace(HOME, name="twin", is_default=True)
    assert decided(None, HOME, twin).where[1] is twin
    assert decided(replace(WHOLE, key_spec=2), HOME, twin).where[1] is HOME


def test_a_certificate_that_cannot_be_read_has_no_key():
    assert decided(None, der=b"junk").outcome is Outcome.KEYLESS
