"""The card database and the shared cache of the resource manager."""

from __future__ import annotations

import time
import uuid

import pytest
from scarddesk import GIDS_NAME, LIMIT, PIV_NAME, READER, SECOND, SELECT_GIDS, aside, raises, small_gids, small_piv

from calais.testing import local_system
from calais.winapi import winscard as w

ONE, TWO, THREE = (uuid.UUID(int=number).bytes_le for number in (1, 2, 3))
ATR = bytes.fromhex("3B021450")
BASE, KSP = "Microsoft Base Smart Card Crypto Provider", "Microsoft Smart Card Key Storage Provider"


@pytest.fixture
def system():
    with local_system() as made:
        yield made


@pytest.fixture
def context(system):
    with w.SCardEstablishContext(2, system=system) as made:
        yield made


# --- built-in entries ------------------------------------------------------------------------------------------------


def test_two_class_entries_are_always_there(context):
    assert {PIV_NAME, GIDS_NAME} <= set(w.SCardListCards(context))


@pytest.mark.parametrize("name", [PIV_NAME, GIDS_NAME, PIV_NAME.upper()], ids=["piv", "gids", "upper-case"])
def test_providers_of_the_class_entries(context, name):
    assert w.SCardGetCardTypeProviderName(context, name, w.SCARD_PROVIDER_CSP) == BASE
    assert w.SCardGetCardTypeProviderName(context, name, w.SCARD_PROVIDER_KSP) == KSP
    assert w.SCardGetCardTypeProviderName(context, name, w.SCARD_PROVIDER_CARD_MODULE) == "msclmd.dll"
    with raises(2):
        w.SCardGetCardTypeProviderName(context, name, w.SCARD_PROVIDER_PRIMARY)
    with raises(2):
        w.SCardGetProviderId(context, name)
    assert w.SCardListInterfaces(context, name) == []


@pytest.mark.parametrize("name", [PIV_NAME, GIDS_NAME.lower()], ids=["piv", "gids"])
def test_class_entries_cannot_be_changed_or_forgotten(context, name):
    with raises(5):
        w.SCardForgetCardType(context, name)
    with raises(5):
        w.SCardSetCardTypeProviderName(context, name, w.SCARD_PROVIDER_CSP, "x")
    with raises(183):
        w.SCardIntroduceCardType(context, name)


# --- introduced entries ----------------------------------------------------------------------------------------------


def test_an_entry_comes_and_goes(context):
    assert w.SCardIntroduceCardType(context, "My Card", ONE, [TWO, THREE], ATR, None) is None
    assert "My Card" in w.SCardListCards(context)
    assert w.SCardGetProviderId(context, "my card") == ONE
    assert w.SCardListInterfaces(context, "MY CARD") == [TWO, THREE]
    text = w.SCardGetCardTypeProviderName(context, "My Card", w.SCARD_PROVIDER_PRIMARY)
    assert text == "{00000000-0000-0000-0000-000000000001}"
    assert w.SCardForgetCardType(context, "mY cARD") is None
    with raises(w.SCARD_E_UNKNOWN_CARD):
        w.SCardForgetCardType(context, "My Card")
    assert "My Card" not in w.SCardListCards(context)


def test_guid_text_is_upper_case_in_windows_layout(context):
    guid = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    w.SCardIntroduceCardType(context, "G", guid)
    text = w.SCardGetCardTypeProviderName(context, "G", w.SCARD_PROVIDER_PRIMARY)
    assert text == "{33221100-5544-7766-8899-AABBCCDDEEFF}"


UNKNOWN = {
    "SCardListInterfaces": (),
    "SCardGetProviderId": (),
    "SCardGetCardTypeProviderName": (w.SCARD_PROVIDER_CSP,),
    "SCardSetCardTypeProviderName": (w.SCARD_PROVIDER_CSP, "x"),
    "SCardForgetCardType": (),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_card_is_said_to_be_one(context, name):
    with raises(w.SCARD_E_UNKNOWN_CARD):
        getattr(w, name)(context, "Nobody", *UNKNOWN[name])


def test_the_same_name_cannot_be_introduced_twice(context):
    w.SCardIntroduceCardType(context, "A")
    with raises(183):
        w.SCardIntroduceCardType(context, "a", pbAtr=ATR)


@pytest.mark.parametrize(
    "arguments",
    [{"pbAtr": b"\x3b"}, {"pbAtr": b"\x00\x00"}, {"pbAtr": b"\x3b\x02\x14"}, {"pbAtr": ATR, "pbAtrMask": b"\xff"}],
    ids=["one-byte", "no-ts", "cut", "mask"],
)
def test_an_atr_must_parse_and_its_mask_be_as_long(context, arguments):
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardIntroduceCardType(context, "A", **arguments)
    assert "A" not in w.SCardListCards(context)


@pytest.mark.parametrize(
    "arguments",
    [{"pguidPrimaryProvider": b"short"}, {"rgguidInterfaces": [ONE, b"short"]}],
    ids=["provider", "interface"],
)
def test_a_guid_has_sixteen_bytes(context, arguments):
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardIntroduceCardType(context, "A", **arguments)


def test_an_entry_without_atr_is_found_by_name_only(context):
    w.SCardIntroduceCardType(context, "Nameless")
    assert "Nameless" in w.SCardListCards(context)
    assert "Nameless" not in w.SCardListCards(context, ATR)


def test_first_introduced_is_listed_first(context):
    for name in ("Zeta", "Alpha", "Mu"):
        w.SCardIntroduceCardType(context, name, pbAtr=ATR)
    assert w.SCardListCards(context, ATR) == ["Zeta", "Alpha", "Mu"]


def test_a_mask_hides_bits_of_the_atr_and_of_what_is_stored(context):
    w.SCardIntroduceCardType(context, "Loose", pbAtr=ATR, pbAtrMask=bytes.fromhex("FFFF00FF"))
    assert w.SCardListCards(context, bytes.fromhex("3B029950")) == ["Loose"]
    assert w.SCardListCards(context, ATR) == ["Loose"]
    assert w.SCardListCards(context, bytes.fromhex("3B021451")) == []
    assert w.SCardListCards(context, bytes.fromhex("3B03145000")) == []


def test_interfaces_narrow_the_list_in_any_order(context):
    w.SCardIntroduceCardType(context, "Both", None, [ONE, TWO], ATR)
    w.SCardIntroduceCardType(context, "One", None, [ONE], ATR)
    assert w.SCardListCards(context, None, [TWO, ONE]) == ["Both"]
    assert w.SCardListCards(context, None, [ONE]) == ["Both", "One"]
    assert w.SCardListCards(context, ATR, [TWO]) == ["Both"]
    assert w.SCardListCards(context, rgquidInterfaces=[THREE]) == []


@pytest.mark.parametrize("atr", [b"", b"\x3b", b"\x01\x02\x03", bytes(40)], ids=["empty", "ts", "bytes", "long"])
def test_an_unparsable_atr_is_an_invalid_parameter(context, atr):
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardListCards(context, atr)


def test_provider_names_are_replaced_and_absent_ones_are_not_found(context):
    w.SCardIntroduceCardType(context, "A")
    for number in (2, 3, 0x80000001, 0x80000002, 0xFFFFFFFF):
        with raises(2):
            w.SCardGetCardTypeProviderName(context, "A", number)
        w.SCardSetCardTypeProviderName(context, "A", number, f"first {number}")
        assert w.SCardSetCardTypeProviderName(context, "a", number, f"second {number}") is None
        assert w.SCardGetCardTypeProviderName(context, "A", number) == f"second {number}"


def test_the_primary_provider_is_a_guid(context):
    w.SCardIntroduceCardType(context, "A")
    with raises(2):
        w.SCardGetProviderId(context, "A")
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardSetCardTypeProviderName(context, "A", w.SCARD_PROVIDER_PRIMARY, "Some provider")
    w.SCardSetCardTypeProviderName(context, "A", 1, "{33221100-5544-7766-8899-AABBCCDDEEFF}")
    assert w.SCardGetProviderId(context, "A") == bytes.fromhex("00112233445566778899AABBCCDDEEFF")


@pytest.mark.parametrize("number", [0, 4, 0x7FFFFFFF])
def test_provider_ids_between_are_invalid(context, number):
    w.SCardIntroduceCardType(context, "A")
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardGetCardTypeProviderName(context, "A", number)
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardSetCardTypeProviderName(context, "A", number, "x")


def test_other_contexts_of_the_system_see_the_entry_and_other_systems_do_not(system, context):
    w.SCardIntroduceCardType(context, "Mine", pbAtr=ATR)
    with w.SCardEstablishContext(0, system=system) as other:
        assert w.SCardListCards(other, ATR) == ["Mine"]
    with local_system() as elsewhere, w.SCardEstablishContext(0, system=elsewhere) as other:
        assert w.SCardListCards(other, ATR) == []


# --- class discovery -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "name"), [(small_piv, PIV_NAME), (small_gids, GIDS_NAME)], ids=["piv", "gids"])
def test_a_present_card_is_discovered_by_its_atr(system, context, make, name):
    card = make()
    assert w.SCardListCards(context, card.atr) == []
    system.insert(card)
    assert w.SCardListCards(context, card.atr) == [name]
    assert w.SCardListCards(None, card.atr) == [name]
    exchanges = card.counter.exchanges
    assert w.SCardListCards(context, card.atr) == [name]
    assert card.counter.exchanges == exchanges


def test_an_entry_with_the_atr_goes_before_discovery(system, context):
    card = small_piv()
    system.insert(card)
    w.SCardIntroduceCardType(context, "Mine", pbAtr=card.atr)
    card.counter.clear()
    assert w.SCardListCards(context, card.atr) == ["Mine"]
    assert card.counter.exchanges == 0


def test_asking_for_a_card_inside_ones_own_transaction_does_not_wait_for_oneself(system, context):
    card = small_gids()
    system.insert(card)
    handle, _ = w.SCardConnect(context, READER, 2, 3)
    w.SCardBeginTransaction(handle)
    begun = time.monotonic()
    assert w.SCardListCards(context, card.atr) == [GIDS_NAME]
    assert time.monotonic() - begun < 1
    assert w.SCardTransmit(handle, None, SELECT_GIDS)[-2:] == b"\x90\x00"
    w.SCardEndTransaction(handle, 0)
    assert w.SCardListCards(context, card.atr) == [GIDS_NAME]


@pytest.mark.parametrize("remembered", [False, True], ids=["new", "remembered"])
def test_asking_does_not_disturb_what_was_begun_in_ones_own_transaction(system, context, remembered):
    card = small_gids()
    system.insert(card)
    if remembered:
        w.SCardListCards(context, card.atr)
        system.remove(READER)
        system.insert(card)
    handle, _ = w.SCardConnect(context, READER, 2, 3)
    w.SCardBeginTransaction(handle)
    w.SCardTransmit(handle, None, SELECT_GIDS)
    exchanges, begun = card.counter.exchanges, time.monotonic()
    assert w.SCardListCards(context, card.atr) == ([GIDS_NAME] if remembered else [])
    [state] = w.SCardLocateCards(context, [GIDS_NAME], [w.ReaderState(READER)])
    assert bool(state.event_state & w.SCARD_STATE_ATRMATCH) is remembered
    assert time.monotonic() - begun < 1
    assert card.counter.exchanges == exchanges
    w.SCardEndTransaction(handle, 0)
    assert w.SCardListCards(context, card.atr) == [GIDS_NAME]


def test_a_card_that_another_thread_holds_keeps_nobody_for_ever(system, context):
    card = small_piv()
    system.insert(card)
    handle, _ = w.SCardConnect(context, READER, 2, 3)
    w.SCardBeginTransaction(handle)
    with aside() as pool:
        listed = pool.submit(w.SCardListCards, context, card.atr).result(LIMIT)
    assert listed in ([], [PIV_NAME])
    w.SCardEndTransaction(handle, 0)
    assert w.SCardListCards(context, card.atr) == [PIV_NAME]


def test_cards_of_both_kinds_with_one_atr_are_both_named(system, context):
    piv, gids = small_piv(), small_gids()
    system.insert(piv)
    assert w.SCardListCards(context, piv.atr) == [PIV_NAME]
    system.insert(gids, SECOND)
    assert sorted(w.SCardListCards(context, gids.atr)) == sorted({PIV_NAME, GIDS_NAME})
    system.remove(READER)
    assert w.SCardListCards(context, gids.atr) == [GIDS_NAME]


# --- cache -----------------------------------------------------------------------------------------------------------


def test_the_cache_keeps_what_was_written(context):
    assert w.SCardWriteCache(context, ONE, 7, "Name", b"data") is None
    assert w.SCardReadCache(context, ONE, 7, "Name") == b"data"
    w.SCardWriteCache(context, ONE, 7, "Name", b"")
    assert w.SCardReadCache(context, CardIdentifier=ONE, FreshnessCounter=7, LookupName="Name") == b""


@pytest.mark.parametrize(("identifier", "name"), [(TWO, "Name"), (ONE, "name"), (ONE, "Other")])
def test_the_cache_does_not_find_what_was_not_written(context, identifier, name):
    w.SCardWriteCache(context, ONE, 7, "Name", b"data")
    with raises(w.SCARD_W_CACHE_ITEM_NOT_FOUND):
        w.SCardReadCache(context, identifier, 7, name)


@pytest.mark.parametrize("counter", [6, 8, 0])
def test_another_counter_is_stale_and_deletes_the_item(context, counter):
    w.SCardWriteCache(context, ONE, 7, "Name", b"data")
    with raises(w.SCARD_W_CACHE_ITEM_STALE):
        w.SCardReadCache(context, ONE, counter, "Name")
    with raises(w.SCARD_W_CACHE_ITEM_NOT_FOUND):
        w.SCardReadCache(context, ONE, 7, "Name")


def test_writing_replaces_the_item_and_its_counter(context):
    w.SCardWriteCache(context, ONE, 7, "Name", b"old")
    w.SCardWriteCache(context, ONE, 3, "Name", b"new")
    assert w.SCardReadCache(context, ONE, 3, "Name") == b"new"


@pytest.mark.parametrize("identifier", [b"", bytes(15), bytes(17)], ids=["none", "15", "17"])
def test_an_identifier_has_sixteen_bytes(context, identifier):
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardReadCache(context, identifier, 0, "x")
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardWriteCache(context, identifier, 0, "x", b"")


def test_an_item_has_a_greatest_size(context):
    w.SCardWriteCache(context, ONE, 0, "big", bytes(1 << 20))
    assert w.SCardReadCache(context, ONE, 0, "big") == bytes(1 << 20)
    with raises(w.SCARD_W_CACHE_ITEM_TOO_BIG):
        w.SCardWriteCache(context, ONE, 0, "big", bytes((1 << 20) + 1))


def test_the_cache_is_shared_by_contexts_of_a_system_only(system, context):
    w.SCardWriteCache(context, ONE, 0, "x", b"1")
    with w.SCardEstablishContext(0, system=system) as other:
        assert w.SCardReadCache(other, ONE, 0, "x") == b"1"
    with (
        local_system() as elsewhere,
        w.SCardEstablishContext(0, system=elsewhere) as other,
        raises(w.SCARD_W_CACHE_ITEM_NOT_FOUND),
    ):
        w.SCardReadCache(other, ONE, 0, "x")
