"""The resource manager's face: the card database, looking for cards, and the item cache."""

from __future__ import annotations

import uuid

import pytest

from calais.testing import local_system, virtual_gids, virtual_piv
from calais.testing.echo import EchoCard
from calais.win.errors import WinError
from calais.winapi import winscard as w
from calais.winapi.winscard import AtrMask, ReaderState

PIV = "Identity Device (NIST SP 800-73 [PIV])"
GIDS = "Identity Device (Microsoft Generic Profile)"
ATR = EchoCard.atr
GUID = uuid.UUID("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9")
FACES = [uuid.UUID(int=number).bytes_le for number in range(1, 4)]
DESK = "Desk"
ID = bytes(range(16))


@pytest.fixture
def system():
    with local_system() as system:
        yield system


@pytest.fixture
def context(system):
    with w.SCardEstablishContext(0) as context:
        yield context


@pytest.fixture(scope="module")
def piv():
    return virtual_piv(keys={})


@pytest.fixture(scope="module")
def gids():
    return virtual_gids(keys=[])


def code_of(call, *arguments, **named):
    with pytest.raises(WinError) as caught:
        call(*arguments, **named)
    return caught.value.code


# --- entries


@pytest.mark.parametrize("name", [PIV, GIDS.upper()])
def test_the_class_cards_are_always_there_and_cannot_be_changed(context, name):
    assert w.SCardListCards(context) == [PIV, GIDS]
    assert w.SCardGetCardTypeProviderName(context, name, w.SCARD_PROVIDER_CSP) == (
        "Microsoft Base Smart Card Crypto Provider"
    )
    assert w.SCardGetCardTypeProviderName(context, name, w.SCARD_PROVIDER_KSP) == (
        "Microsoft Smart Card Key Storage Provider"
    )
    assert w.SCardGetCardTypeProviderName(context, name, w.SCARD_PROVIDER_CARD_MODULE) == "msclmd.dll"
    assert code_of(w.SCardGetCardTypeProviderName, context, name, 1) == w.ERROR_FILE_NOT_FOUND
    assert code_of(w.SCardGetProviderId, context, name) == w.ERROR_FILE_NOT_FOUND
    assert code_of(w.SCardForgetCardType, context, name) == w.ERROR_ACCESS_DENIED
    assert code_of(w.SCardSetCardTypeProviderName, context, name, 2, "x") == w.ERROR_ACCESS_DENIED
    assert code_of(w.SCardIntroduceCardType, context, name) == w.ERROR_ALREADY_EXISTS


def test_a_card_is_introduced_found_and_forgotten(context):
    w.SCardIntroduceCardType(context, "Echo", GUID.bytes_le, FACES[:2], ATR)
    assert w.SCardListCards(context) == [PIV, GIDS, "Echo"]
    assert w.SCardListCards(context, ATR) == ["Echo"]
    assert w.SCardListCards(context, None, [FACES[1]]) == ["Echo"]
    assert w.SCardListCards(context, ATR, FACES[1::-1]) == ["Echo"]
    assert w.SCardListCards(context, ATR, FACES) == []
    assert w.SCardListInterfaces(context, "ECHO") == FACES[:2]
    assert w.SCardGetProviderId(context, "echo") == GUID.bytes_le
    assert w.SCardGetCardTypeProviderName(context, "Echo", w.SCARD_PROVIDER_PRIMARY) == f"{{{str(GUID).upper()}}}"
    assert code_of(w.SCardIntroduceCardType, context, "eCHO") == w.ERROR_ALREADY_EXISTS
    assert w.SCardForgetCardType(context, "eCHO") is None
    assert code_of(w.SCardForgetCardType, context, "Echo") == w.SCARD_E_UNKNOWN_CARD
    assert w.SCardListCards(context, ATR) == []


def test_masks_decide_and_the_first_introduced_comes_first(context):
    mask = b"\xff" * 4 + bytes(len(ATR) - 4)
    w.SCardIntroduceCardType(context, "Wide", pbAtr=ATR, pbAtrMask=mask)
    w.SCardIntroduceCardType(context, "Narrow", pbAtr=ATR)
    other = bytes.fromhex("3B850180730001C1B7")
    assert w.SCardListCards(context, ATR) == ["Wide", "Narrow"]
    assert w.SCardListCards(context, other) == ["Wide"]
    assert w.SCardListCards(context, bytes.fromhex("3B00")) == []


def test_a_stored_atr_is_masked_and_may_come_so(context):
    mask = b"\xff" * 4 + bytes(len(ATR) - 4)
    w.SCardIntroduceCardType(
        context, "Echo", pbAtr=bytes(a & m for a, m in zip(ATR, mask, strict=True)), pbAtrMask=mask
    )
    assert w.SCardListCards(context, ATR) == ["Echo"]


def test_without_an_atr_a_card_is_found_by_name_only(context):
    w.SCardIntroduceCardType(context, "Nameless")
    assert w.SCardListInterfaces(context, "Nameless") == []
    assert code_of(w.SCardGetProviderId, context, "Nameless") == w.ERROR_FILE_NOT_FOUND
    assert w.SCardListCards(context, None, [])[-1] == "Nameless"


@pytest.mark.parametrize(
    "named",
    [
        {"pbAtr": b"\x01\x02"},
        {"pbAtr": ATR[:-1]},
        {"pbAtr": ATR[:-1] + b"\0"},
        {"pbAtr": ATR, "pbAtrMask": b"\xff"},
        {"pbAtr": b"", "pbAtrMask": b"\xff"},
        {"pguidPrimaryProvider": b"short"},
        {"rgguidInterfaces": [b"short"]},
        {"rgguidInterfaces": "text"},
        {"szCardName": ""},
    ],
    ids=["no-atr", "cut", "check-byte", "short-mask", "mask-alone", "provider", "interface", "text", "no-name"],
)
def test_what_is_no_card_is_not_introduced(context, named):
    assert code_of(w.SCardIntroduceCardType, context, **{"szCardName": "X", **named}) == w.SCARD_E_INVALID_PARAMETER
    assert w.SCardListCards(context) == [PIV, GIDS]


def test_providers_are_set_by_number(context):
    w.SCardIntroduceCardType(context, "Echo")
    for number, text in ((w.SCARD_PROVIDER_CSP, "A CSP"), (w.SCARD_PROVIDER_KSP, "A KSP"), (0x80000102, "1033,PIN")):
        assert code_of(w.SCardGetCardTypeProviderName, context, "Echo", number) == w.ERROR_FILE_NOT_FOUND
        w.SCardSetCardTypeProviderName(context, "echo", number, "first")
        w.SCardSetCardTypeProviderName(context, "Echo", number, text)
        assert w.SCardGetCardTypeProviderName(context, "Echo", number) == text
    w.SCardSetCardTypeProviderName(context, "Echo", w.SCARD_PROVIDER_PRIMARY, f"{{{GUID}}}")
    assert w.SCardGetProviderId(context, "Echo") == GUID.bytes_le
    assert w.SCardGetCardTypeProviderName(context, "Echo", 1) == f"{{{str(GUID).upper()}}}"


@pytest.mark.parametrize("number", [0, 4, 0x7FFFFFFF, -1, 1 << 32, None], ids=str)
def test_other_provider_numbers_are_none(context, number):
    assert code_of(w.SCardGetCardTypeProviderName, context, PIV, number) == w.SCARD_E_INVALID_PARAMETER
    assert code_of(w.SCardSetCardTypeProviderName, context, "x", number, "y") == w.SCARD_E_INVALID_PARAMETER


def test_unknown_cards_and_primary_providers_that_are_no_guid(context):
    for call in (w.SCardListInterfaces, w.SCardGetProviderId, w.SCardForgetCardType):
        assert code_of(call, context, "Nobody") == w.SCARD_E_UNKNOWN_CARD
    assert code_of(w.SCardGetCardTypeProviderName, context, "Nobody", 2) == w.SCARD_E_UNKNOWN_CARD
    assert code_of(w.SCardSetCardTypeProviderName, context, "Nobody", 2, "x") == w.SCARD_E_UNKNOWN_CARD
    w.SCardIntroduceCardType(context, "Echo")
    for text in ("no guid", str(GUID), b"x"):
        assert code_of(w.SCardSetCardTypeProviderName, context, "Echo", 1, text) == w.SCARD_E_INVALID_PARAMETER


def test_entries_belong_to_the_user(tmp_path):
    with local_system(tmp_path) as system, w.SCardEstablishContext(0) as context:
        w.SCardIntroduceCardType(context, "Echo", GUID.bytes_le, FACES, ATR)
        w.SCardSetCardTypeProviderName(context, "Echo", 0x80000001, "echo.dll")
        assert system.card_service.database.module_of("ECHO") == "echo.dll"
    with local_system(tmp_path):
        assert w.SCardListCards(None, ATR) == ["Echo"]
        assert w.SCardListInterfaces(None, "Echo") == FACES
        assert w.SCardGetCardTypeProviderName(None, "Echo", 0x80000001) == "echo.dll"
        assert w.SCardGetProviderId(None, "Echo") == GUID.bytes_le


# --- discovery


def test_an_atr_that_does_not_parse_is_refused(context):
    assert code_of(w.SCardListCards, context, b"\x00") == w.SCARD_E_INVALID_PARAMETER
    assert code_of(w.SCardListCards, context, "text") == w.SCARD_E_INVALID_PARAMETER


def test_a_present_class_card_is_asked_once_for_gids_then_for_piv(system, context, piv, gids):
    assert w.SCardListCards(context, piv.atr) == []
    piv.counter.clear()
    system.insert(piv, DESK)
    assert w.SCardListCards(context, piv.atr) == [PIV]
    assert piv.counter.exchanges == 2
    assert w.SCardListCards(context, piv.atr) == [PIV]
    assert piv.counter.exchanges == 2
    system.remove(DESK)
    gids.counter.clear()
    system.insert(gids, DESK)
    assert w.SCardListCards(context, gids.atr) == [GIDS]  # although a PIV card had this ATR
    system.remove(DESK)
    system.insert(piv, DESK)
    piv.counter.clear()
    w.SCardListCards(context, piv.atr)
    assert piv.counter.exchanges <= 2


def test_a_card_that_is_neither_is_asked_once(system, context):
    card = EchoCard()
    card.process = lambda command: b"\x6a\x82"
    system.insert(card, DESK)
    assert w.SCardListCards(context, ATR) == []
    card.process = lambda command: pytest.fail("it was asked again")
    assert w.SCardListCards(context, ATR) == []


def test_an_entry_with_this_atr_spares_the_question(system, context, piv):
    w.SCardIntroduceCardType(context, "Mine", pbAtr=piv.atr)
    system.insert(piv, DESK)
    piv.counter.clear()
    assert w.SCardListCards(context, piv.atr) == ["Mine"]
    assert piv.counter.exchanges == 0


def test_a_card_that_cannot_be_asked_is_what_its_atr_was_before(system, context, piv):
    system.insert(piv, DESK)
    with w.SCardConnect(context, DESK, w.SCARD_SHARE_EXCLUSIVE, 3)[0]:
        assert w.SCardListCards(context, piv.atr) == []
    assert w.SCardListCards(context, piv.atr) == [PIV]
    system.remove(DESK)
    system.insert(piv, DESK)
    with w.SCardConnect(context, DESK, w.SCARD_SHARE_EXCLUSIVE, 3)[0]:
        assert w.SCardListCards(context, piv.atr) == [PIV]


# --- looking for cards


def test_readers_with_a_wanted_card_are_marked(system, context, piv, gids):
    system.insert(piv, "A")
    system.insert(gids, "B")
    system.insert(EchoCard(), "C")
    system.plug("D")
    w.SCardIntroduceCardType(context, "Echo", pbAtr=ATR)
    states = [ReaderState(name, name) for name in "ABCD"]

    def found(cards):
        located = w.SCardLocateCards(context, cards, states)
        assert [state.user_data for state in located] == list("ABCD")
        assert all(state.event_state & w.SCARD_STATE_CHANGED for state in located)
        return "".join(state.reader for state in located if state.event_state & w.SCARD_STATE_ATRMATCH)

    assert found(PIV) == "A"
    assert found([GIDS.lower()]) == "B"
    assert found("Echo") == "C"
    assert found([PIV, "echo"]) == "AC"
    assert found([]) == ""
    assert w.SCardLocateCards(context, PIV, states[:1])[0].atr == piv.atr


def test_readers_are_found_by_atr(system, context):
    system.insert(EchoCard(), "A")
    mask = b"\xff" * 4 + bytes(len(ATR) - 4)
    for wanted, match in ((AtrMask(ATR, mask), True), (AtrMask(b"\x3b" * len(ATR), mask), False)):
        (state,) = w.SCardLocateCardsByATR(context, [wanted], [ReaderState("A")])
        assert bool(state.event_state & w.SCARD_STATE_ATRMATCH) is match
        assert state.atr == ATR


@pytest.mark.parametrize(
    "masks",
    [[AtrMask(ATR, b"\xff")], [AtrMask(b"\x3b", b"\xff")], [AtrMask(bytes(37), bytes(37))], [ATR], None, "x"],
    ids=["lengths", "one-byte", "37-bytes", "no-mask", "none", "text"],
)
def test_masks_that_are_none_are_refused(context, masks):
    assert code_of(w.SCardLocateCardsByATR, context, masks, []) == w.SCARD_E_INVALID_PARAMETER


def test_locating_never_waits_and_names_what_is_unknown(system, context):
    system.plug("A")
    assert code_of(w.SCardLocateCards, context, "Nobody", []) == w.SCARD_E_UNKNOWN_CARD
    (state,) = w.SCardLocateCards(context, PIV, [ReaderState("A", None, w.SCARD_STATE_EMPTY)])
    assert state.event_state == w.SCARD_STATE_EMPTY
    for call, what in ((w.SCardLocateCards, PIV), (w.SCardLocateCardsByATR, [AtrMask(ATR, ATR)])):
        with pytest.raises(WinError) as caught:
            call(context, what, [ReaderState("A"), ReaderState("Nowhere")])
        assert caught.value.code == w.SCARD_E_UNKNOWN_READER
        assert caught.value.reader_states[1].event_state & w.SCARD_STATE_UNKNOWN


# --- the item cache


def test_items_are_kept_for_all_contexts_of_a_system(system, context):
    w.SCardWriteCache(context, ID, 7, "Name", b"data")
    with w.SCardEstablishContext(0) as other:
        assert w.SCardReadCache(other, ID, 7, "Name") == b"data"
        w.SCardWriteCache(other, ID, 7, "Name", b"")
    assert w.SCardReadCache(context, ID, 7, "Name") == b""
    for card, name in ((ID, "name"), (bytes(16), "Name")):
        assert code_of(w.SCardReadCache, context, card, 7, name) == w.SCARD_W_CACHE_ITEM_NOT_FOUND


@pytest.mark.parametrize("freshness", [6, 8, 0xFFFFFFFF])
def test_an_item_of_another_counter_is_stale_and_deleted(context, freshness):
    w.SCardWriteCache(context, ID, 7, "Name", b"data")
    assert code_of(w.SCardReadCache, context, ID, freshness, "Name") == w.SCARD_W_CACHE_ITEM_STALE
    assert code_of(w.SCardReadCache, context, ID, 7, "Name") == w.SCARD_W_CACHE_ITEM_NOT_FOUND


def test_an_item_has_a_limit(context):
    w.SCardWriteCache(context, ID, 0, "Name", bytes(1 << 20))
    assert code_of(w.SCardWriteCache, context, ID, 0, "Name", bytes((1 << 20) + 1)) == w.SCARD_W_CACHE_ITEM_TOO_BIG
    assert len(w.SCardReadCache(context, ID, 0, "Name")) == 1 << 20


def test_the_limit_of_an_item_is_policy():
    with local_system(policy={"cache.item_bytes": 4}), w.SCardEstablishContext(0) as context:
        w.SCardWriteCache(context, ID, 0, "Name", bytes(4))
        assert code_of(w.SCardWriteCache, context, ID, 0, "Name", bytes(5)) == w.SCARD_W_CACHE_ITEM_TOO_BIG
        assert w.SCardReadCache(context, ID, 0, "Name") == bytes(4)


@pytest.mark.parametrize(
    "arguments",
    [(ID[:15], 0, "n"), (ID + b"\0", 0, "n"), (None, 0, "n"), (ID, -1, "n"), (ID, 1 << 32, "n"), (ID, 0, None)],
    ids=["15-bytes", "17-bytes", "none", "negative", "33-bits", "no-name"],
)
def test_wrong_arguments_of_the_cache_are_refused(context, arguments):
    assert code_of(w.SCardReadCache, context, *arguments) == w.SCARD_E_INVALID_PARAMETER
    assert code_of(w.SCardWriteCache, context, *arguments, b"") == w.SCARD_E_INVALID_PARAMETER
