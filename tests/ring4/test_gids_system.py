"""GIDS cards in a system: what listing and propagating cost after re-insertion, and who may change a card."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from gidsdesk import certificate, four_keys

from calais.apps import cardadmin
from calais.minidriver.administration import Administration, KeyOrder, KeyPurpose
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.win.errors import AccessDenied, BadParameter, CardRemoved, NotFound, SilentContext, Unsupported
from calais.winapi.crypt32 import (
    CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG,
    CertEnumCertificatesInStore,
    CertOpenSystemStore,
    CryptAcquireCertificatePrivateKey,
)

READER, OTHER = "Virtual Reader 0", "Virtual Reader 1"
WARM = 3  # SELECT, cardid, cardcf
TEXT = b"text"
P256 = ec.ECDSA(hashes.SHA256())


@pytest.fixture(scope="module")
def four():
    return four_keys()


@pytest.fixture
def desk(four):
    card = virtual_gids(keys=four)
    with local_system(prompt=FixedPrompt("123456")) as system:
        system.insert(card, READER)
        yield system, card


def again(system, card, reader=READER):
    """Take the card out and put it back, with its counter at zero."""
    system.remove(system.card().reader)
    system.insert(card, reader)
    card.counter.clear()


def listing(card):
    return [(container.name, container.certificate) for container in card.containers]


def touch(card):
    """What any other program does first."""
    card.process(bytes.fromhex("00A4040009A00000039742544659"))


def test_a_warm_list_with_its_certificates_takes_three_while_nobody_else_has_used_the_card(desk):
    system, card = desk
    held = system.card()
    before = listing(held)
    assert len(before) == 4
    for _ in range(3):
        again(system, card)
        assert listing(held) == before
        assert card.counter.exchanges == WARM
        assert listing(held) == before
        assert card.counter.exchanges == WARM


def test_after_others_a_warm_list_takes_three_and_each_certificate_that_is_asked_for_one_look(desk):
    system, card = desk
    held = system.card()
    before = listing(held)
    for _ in range(3):
        touch(card)
        again(system, card)
        assert [container.name for container in held.containers] == [name for name, _ in before]
        assert card.counter.exchanges == WARM
        assert listing(held) == before
        assert card.counter.exchanges == WARM + 4
        assert listing(held) == before
        assert card.counter.exchanges == WARM + 4


def test_by_the_counters_alone_a_warm_list_with_all_certificates_takes_three(four):
    card = virtual_gids(keys=four)
    with local_system(policy={"gids.proof": "counters"}) as system:
        system.insert(card, READER)
        before = listing(system.card())
        for _ in range(3):
            again(system, card)
            assert listing(system.card()) == before
            assert card.counter.exchanges == WARM


def test_a_new_object_for_the_card_finds_what_its_reader_remembers(desk):
    system, card = desk
    before = [container.name for container in system.card().containers]
    again(system, card)
    assert [container.name for container in system.card().containers] == before
    assert card.counter.exchanges == WARM


def test_propagating_an_unchanged_card_takes_as_much_as_a_warm_list(desk):
    system, card = desk
    assert {outcome.action for outcome in system.propagate()} == {"added"}
    again(system, card)
    assert {outcome.action for outcome in system.propagate()} == {"unchanged"}
    assert card.counter.exchanges == WARM


def test_a_write_elsewhere_is_the_next_truth_after_reinsertion(desk, four):
    system, card = desk
    held = system.card()
    listing(held)
    with local_system(prompt=FixedPrompt("123456")) as elsewhere:
        system.remove(READER)
        elsewhere.insert(card)
        theirs = elsewhere.card()
        other = certificate(four[0][2], "another").public_bytes(Encoding.DER)
        cardadmin.put_certificate(theirs, theirs.holder("test"), 0, other)
        elsewhere.remove()
    system.insert(card, READER)
    assert listing(held)[0][1] == other


def test_certificates_are_acquired_through_their_links_in_another_reader_too(desk):
    system, card = desk
    system.propagate()
    again(system, card, OTHER)
    store, context, keys = CertOpenSystemStore(None, "MY"), None, []
    while context := CertEnumCertificatesInStore(store, context):
        keys.append(CryptAcquireCertificatePrivateKey(context, CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG))
    assert len(keys) == 4


def test_a_card_that_is_away_and_back_signs_with_the_same_objects(desk, four):
    system, card = desk
    held = system.card()
    key = held.containers.by_name(four[1][0]).key
    system.remove(READER)
    with pytest.raises(CardRemoved):
        key.sign(TEXT, P256)
    system.insert(card, OTHER)
    four[1][2].public_key().verify(key.sign(TEXT, P256), TEXT, P256)


# --- who may change a card ---


def test_each_card_says_what_it_wants_for_a_change(desk):
    system, _ = desk
    assert not cardadmin.wants_admin_key(system.card(READER))
    system.insert(virtual_piv(), OTHER)
    assert cardadmin.wants_admin_key(system.card(OTHER))


def test_a_key_is_made_with_one_question_for_the_pin_and_used_at_once():
    prompt = FixedPrompt("123456")
    with local_system(prompt=prompt) as system:
        system.insert(virtual_gids(keys=[]))
        card = system.card()
        order = KeyOrder("P256", purpose=KeyPurpose.SIGNATURE, name="one")
        made = cardadmin.make_key(card, card.holder("make a key"), None, order)
        made.key.public_key().verify(made.key.sign(TEXT, P256), TEXT, P256)
        assert (made.name, made.key_spec, made.is_default) == ("one", 2, True)
        second = cardadmin.make_key(card, card.holder("make a key"), None, KeyOrder("P384"))
        assert (second.index, second.key_spec, second.is_default) == (1, 1, False)


def test_a_key_is_loaded_and_keeps_its_use_when_it_is_replaced():
    with local_system(prompt=FixedPrompt("123456")) as system:
        system.insert(virtual_gids(keys=[]))
        card = system.card()
        right = card.holder("load a key")
        key = rsa.generate_private_key(65537, 2048)
        cardadmin.make_key(card, right, None, KeyOrder(key=key, purpose=KeyPurpose.SIGNATURE))
        made = cardadmin.make_key(card, right, 0, KeyOrder("P256"))
        assert (made.key_spec, made.entry.algorithm) == (2, "P-256")
        loaded = cardadmin.make_key(card, right, None, KeyOrder(key=key))
        signature = loaded.key.sign(TEXT, padding.PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signature, TEXT, padding.PKCS1v15(), hashes.SHA256())


def test_nobody_to_ask_is_said_and_the_card_is_as_it_was():
    card = virtual_gids(keys=[])
    with local_system() as system:
        system.insert(card)
        held = system.card()
        before = card.applet.state.records._memory.read()
        with pytest.raises(SilentContext):
            cardadmin.make_key(held, held.holder("make a key"), None, KeyOrder("P256"))
        assert card.applet.state.records._memory.read() == before


@pytest.mark.parametrize("order", [KeyOrder("P256", pin_policy=1), KeyOrder("P256", touch_policy=2), KeyOrder("DSA")])
def test_an_order_that_gids_cannot_fill_is_refused_before_the_card_changes(desk, order):
    system, card = desk
    before = card.applet.state.records._memory.read()
    with pytest.raises(BadParameter):
        cardadmin.make_key(system.card(), system.card().holder("test"), None, order)
    assert card.applet.state.records._memory.read() == before


@pytest.mark.parametrize(
    ("text", "index"), [("First container", 0), ("first CONTAINER", 0), ("82", 1), ("3", 3), ("new", None), ("4", 4)]
)
def test_places_by_name_key_and_number(desk, text, index):
    assert cardadmin.place(desk[0].card(), text) == index


@pytest.mark.parametrize("text", ["9A", "nobody", "", "5", "-1", "٣"])
def test_places_that_there_are_not(desk, text):
    with pytest.raises(BadParameter) as caught:
        cardadmin.place(desk[0].card(), text)
    assert "81, 82, 83, 84" in caught.value.next_step


def test_a_container_that_is_not_there_is_not_found(desk):
    card = desk[0].card()
    with pytest.raises(NotFound):
        cardadmin.delete(card, card.holder("test"), 9, key=True, certificate=False)
    with pytest.raises(NotFound):
        cardadmin.container_at(card, 9)
    with pytest.raises(BadParameter):
        cardadmin.existing_place(card, "new")


def test_policy_forbids_changes(four):
    with local_system(prompt=FixedPrompt("123456"), policy={"gids.write": False}) as system:
        system.insert(virtual_gids(keys=four))
        card = system.card()
        with pytest.raises(AccessDenied) as caught:
            cardadmin.make_key(card, card.holder("test"), None, KeyOrder("P256"))
        assert "gids.write" in caught.value.detail
        with pytest.raises(Unsupported):
            card.holder("test").run(lambda driver: driver.write_certificate(0, b"x"))


def test_a_driver_that_says_nothing_is_not_administered_by_hand():
    for call in (
        lambda: Administration().place("new"),
        lambda: Administration().make_key(None, KeyOrder("P256")),
        lambda: Administration().erase(0, key=True, certificate=True),
    ):
        with pytest.raises(Unsupported):
            call()
