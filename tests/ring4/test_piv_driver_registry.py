"""Which driver gets a card, and cards that speak the line protocol in their own way."""

import pytest
from pivdesk import GUID, Desk, Script, der, four_keys, new_desk

from calais.cards.piv import edge
from calais.cards.registry import BUILT_IN, identify
from calais.iso7816 import tlv
from calais.iso7816.apdu import Command
from calais.minidriver.memo import CardMemo
from calais.transport.base import Channel
from calais.win.codes import Code
from calais.win.errors import WinError


@pytest.fixture(scope="module")
def four():
    return four_keys(600)


def talk(answer, **options):
    return Channel(Script(answer, **options))


def test_a_card_that_no_driver_knows_says_what_to_do():
    with talk(lambda _: b"\x6a\x82").begin() as tx, pytest.raises(WinError) as failure:
        identify(tx, CardMemo())
    assert failure.value.code == Code.SCARD_E_UNKNOWN_CARD
    assert failure.value.next_step


@pytest.mark.parametrize(
    "select",
    [
        tlv.build(0x61, tlv.build(0x4F, bytes.fromhex("A00000039742544659"))) + b"\x90\0",
        b"\x6d\0",
        b"\x6e\0",
        b"\x6a\x86",
    ],
)
def test_a_card_whose_selected_application_is_another_is_not_piv(select):
    with talk(lambda _: select).begin() as tx, pytest.raises(WinError) as failure:
        identify(tx, CardMemo())
    assert failure.value.code == Code.SCARD_E_UNKNOWN_CARD


def test_a_card_that_accepts_every_select_and_has_no_objects_is_not_piv():
    with (
        talk(lambda apdu: b"\x90\0" if apdu[1] == 0xA4 else b"\x6d\0").begin() as tx,
        pytest.raises(WinError) as failure,
    ):
        identify(tx, CardMemo())
    assert failure.value.code == Code.SCARD_E_UNKNOWN_CARD


def test_an_unknown_card_leaves_no_memory_of_the_one_before(four):
    desk = new_desk(keys=four)
    with desk.driver() as driver:
        driver.containers()
    with talk(lambda _: b"\x6a\x82").begin() as tx, pytest.raises(WinError):
        identify(tx, desk.memo)
    assert desk.memo == CardMemo(random=desk.memo.random)


def test_a_driver_that_declines_leaves_the_next_ones_memory_alone(four):
    desk, asked = new_desk(keys=four), []

    def vendor(tx, memo, *, policy, fresh):
        asked.append((dict(memo.objects), fresh))
        memo.facts["vendor"] = True

    drivers = {"vendor": vendor, **BUILT_IN}
    with desk.driver() as driver:
        driver.containers()
    desk.reinsert()
    with desk.channel.begin() as tx:
        identify(tx, desk.memo, drivers=drivers).containers()
        identify(tx, desk.memo, drivers=drivers)
    assert asked == [({}, True)]
    assert desk.exchanges == 2 + 4 + 1
    assert "vendor" not in desk.memo.facts


def test_a_vendors_driver_wins_and_is_kept_for_the_insertion(four):
    desk = new_desk(keys=four)
    calls = []

    def vendor(tx, memo, *, policy, fresh):
        calls.append((policy, fresh))
        return "the vendor's minidriver"

    with desk.channel.begin() as tx:
        for _ in range(2):
            assert (
                identify(tx, desk.memo, policy={"a": 1}, drivers={"vendor": vendor, **BUILT_IN})
                == "the vendor's minidriver"
            )
    assert calls == [({"a": 1}, True), ({"a": 1}, False)]
    assert desk.memo.driver == "vendor"
    assert desk.exchanges == 0


def test_select_is_not_repeated_within_what_the_card_remembers(four):
    desk = new_desk(keys=four)
    with desk.driver() as driver:
        driver.containers()
        desk.channel.counter.clear()
        edge.ensure_selected(driver.tx)
    with desk.driver() as driver:
        edge.ensure_selected(driver.tx)
    assert desk.exchanges == 0


def test_the_t0_protocol_gives_the_head_with_one_get_response(four):
    card = new_desk(keys=four, short=True).card
    pending = bytearray()

    def t0(command):
        """A T=0 card: answers to commands with data wait for GET RESPONSE."""
        if command[1] != 0xC0 and len(command) > 5:
            answer = card.process(command + b"\0")
            if len(answer) > 2:
                pending[:] = answer
                return b"\x61\0"
            return answer
        if pending:
            answer = bytes(pending)
            pending.clear()
            return answer
        return card.process(command)

    channel = talk(t0, atr=card.atr, protocol=0)
    memo = CardMemo()
    with channel.begin() as tx:
        driver = identify(tx, memo)
        assert driver.identity().card_id == GUID
        assert len(driver.containers()) == 4
        assert driver.certificate(0) == der(four[0x9A][1])
    channel.transport.epoch += 1
    with channel.begin() as tx:
        assert identify(tx, memo).certificate(0) == der(four[0x9A][1])


def test_a_card_that_refuses_extended_lengths_is_spoken_to_in_short_ones(four):
    card = new_desk(keys=four, short=True).card
    desk = Desk(card, extended=True)
    with desk.driver() as driver:
        assert driver.certificate(0) == der(four[0x9A][1])
        assert desk.channel.extended is False


def test_a_command_object_shows_no_data():
    assert "31" not in repr(Command(0, 0x20, 0, 0x80, b"11111111"))
