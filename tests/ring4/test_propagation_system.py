from __future__ import annotations

import pytest
from people import MANAGEMENT_KEY, PIN, card, key_of
from pivdesk import certificate, der

from calais.testing import FixedPrompt, local_system, virtual_piv
from calais.win.codes import Code
from calais.win.errors import (
    NoCard,
    ReaderUnavailable,
    WinError,
)
from calais.win.flags.crypt32 import PropId
from calais.win.structs import CryptKeyProvInfo
from calais.winapi.crypt32 import (
    CertGetCertificateContextProperty,
)

BASE = "Microsoft Base Smart Card Crypto Provider"
KSP = "Microsoft Smart Card Key Storage Provider"


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


def actions(outcomes):
    return [str(outcome.action) for outcome in outcomes]


def links(system):
    with system.store() as store:
        return {found.sha1: found.key_prov_info for found in store}


# --- what arrives in the store ---


def test_each_certificate_arrives_with_its_link(system):
    system.insert(virtual_piv())
    outcomes = system.propagate()
    assert actions(outcomes) == ["added", "added", "added"]
    assert [outcome.reference for outcome in outcomes] == ["9A", "9C", "9D"]
    names = [container.name for container in system.card().containers]
    expected = [
        CryptKeyProvInfo(names[0], BASE, 1, 1, key_spec=1),
        CryptKeyProvInfo(names[1], KSP, 0, 1),
        CryptKeyProvInfo(names[2], BASE, 1, 1, key_spec=1),
    ]
    for outcome, link in zip(outcomes, expected, strict=True):
        context = outcome.certificate
        assert CertGetCertificateContextProperty(context, PropId.KEY_PROV_INFO) == link
        assert CertGetCertificateContextProperty(context, PropId.SMART_CARD_READER) == "Virtual Reader 0"
    pins = [CertGetCertificateContextProperty(o.certificate, PropId.SCARD_PIN_ID) for o in outcomes]
    assert pins == [1, 4, 1]


def test_an_unchanged_card_costs_a_warm_list_and_no_write(system):
    piv = card()
    system.insert(piv)
    system.propagate()
    writes = store_changes(system)
    piv.counter.clear()
    assert actions(system.propagate()) == ["unchanged"] * 3
    assert piv.counter.exchanges == 0
    costs = []
    for act in (lambda: system.card().containers, system.propagate):
        system.remove()
        system.insert(piv)
        piv.counter.clear()
        found = act()
        costs.append(piv.counter.exchanges)
    assert actions(found) == ["unchanged"] * 3
    assert costs == [7, 7]  # identity, and a look at each of four slots and the Key History
    assert store_changes(system) == writes


def store_changes(system):
    """The change counter of the My store."""
    with system.stores._database.backing(1, "My").reading() as look:
        return look.change()


def test_what_a_user_wrote_survives(system):
    piv = card(0x9A)
    system.insert(piv)
    (outcome,) = system.propagate()
    outcome.certificate.set(PropId.FRIENDLY_NAME, "mine")
    system.remove()
    system.insert(piv, reader="Another reader")
    (outcome,) = system.propagate()
    assert (str(outcome.action), outcome.reason) == ("refreshed", "changed: reader")
    assert outcome.certificate.get(PropId.FRIENDLY_NAME) == "mine"
    assert outcome.certificate.get(PropId.SMART_CARD_READER) == "Another reader"


def test_a_new_certificate_for_the_same_key_arrives_beside_the_old_one(system):
    piv = card(0x9A)
    system.insert(piv)
    system.propagate()
    renewed = certificate(key_of("one 154"), "renewed")
    system.card().admin(MANAGEMENT_KEY).put_certificate(0, der(renewed))
    assert actions(system.propagate()) == ["added"]
    assert len(links(system)) == 2


def test_a_certificate_that_cannot_be_read_does_not_stop_the_others(system):
    piv = card(0x9A, 0x9E)
    with local_system() as other:
        other.insert(piv)
        other.card().admin(MANAGEMENT_KEY).run(
            lambda driver: put_object(driver, "5FC105", b"\x70\x03abc\x71\x01\0\xfe\0")
        )
    system.insert(piv)
    outcomes = system.propagate()
    assert sorted(actions(outcomes)) == ["added", "failed"]
    failed = next(outcome for outcome in outcomes if str(outcome.action) == "failed")
    assert failed.reference == "9A"
    assert failed.certificate is None
    assert failed.reason


def put_object(driver, tag, value):
    from calais.iso7816 import tlv
    from calais.iso7816.apdu import Command

    data = tlv.build(0x5C, bytes.fromhex(tag)) + tlv.build(0x53, value)
    assert driver.tx.send(Command(0, 0xDB, 0x3F, 0xFF, data)).ok


def test_certificates_outside_their_validity_follow_the_policy():
    key = key_of("old")
    for allowed, expected in ((True, "added"), (False, "filtered")):
        with local_system(policy={"propagation.expired": allowed}) as system:
            system.insert(virtual_piv(keys={0x9A: (key, certificate(key))}))
            clock_later(system)
            (outcome,) = system.propagate()
            assert str(outcome.action) == expected
            assert "expired" in outcome.reason
            assert outcome.certificate.encoded
            assert len(links(system)) == int(allowed)


def clock_later(system):
    """A hundred years on."""
    from datetime import timedelta

    now = system.clock.now() + timedelta(days=36500)
    system.clock.now = lambda: now


def test_propagation_that_is_switched_off_does_nothing():
    with local_system(policy={"CertPropEnabled": 0}) as system:
        piv = card()
        system.insert(piv)
        piv.counter.clear()
        assert system.propagate() == []
        assert piv.counter.exchanges == 0


def test_two_cards_are_propagated_together_or_one_by_one(system):
    system.insert(card(0x9A), reader="Left")
    system.insert(card(0x9A, name="two"), reader="Right")
    assert [outcome.reader for outcome in system.propagate("Right")] == ["Right"]
    assert actions(system.propagate()) == ["added", "unchanged"]
    assert len(links(system)) == 2


def test_a_strange_card_is_passed_over_with_a_note(system):
    class Stranger:
        atr = bytes.fromhex("3B00")
        exchanges_total = resets = 0

        def process(self, _):
            return b"\x6a\x82"

        def reset(self): ...

        def power_cycle(self): ...

    system.insert(Stranger(), reader="Left")
    system.insert(card(0x9A), reader="Right")
    assert actions(system.propagate()) == ["added"]
    assert any("Left" in note and "SCARD_E_UNKNOWN_CARD" in note for note in system.notes)
    with pytest.raises(WinError) as caught:
        system.propagate("Left")
    assert caught.value.code == Code.SCARD_E_UNKNOWN_CARD
    assert len(system.cards()) == 1
    assert len(system.examine()) == 2


def test_without_a_card_there_is_nothing_to_propagate(system):
    assert system.propagate() == []
    system.plug("Desk")
    assert system.propagate() == []
    with pytest.raises(NoCard):
        system.propagate("Desk")
    with pytest.raises(ReaderUnavailable):
        system.propagate("Nowhere")


def test_the_prompt_is_not_asked_by_propagation(system):
    system.insert(card())
    system.propagate()
    assert system.broker.prompt.count == 0
