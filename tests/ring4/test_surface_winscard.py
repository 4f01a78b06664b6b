"""Contexts, dead handles, readers and groups of the resource manager, as callers from Windows know them."""

from __future__ import annotations

import pytest
from scarddesk import READER, SECOND, raises, small_piv

from calais.testing import local_system
from calais.winapi import winscard as w

DEAD = [None, 0]
GROUP_CONSTANTS = ["SCard$AllReaders", "SCard$DefaultReaders", "SCard$LocalReaders", "SCard$SystemReaders"]


@pytest.fixture
def system():
    with local_system() as made:
        yield made


@pytest.fixture
def card(system):
    card = small_piv()
    system.insert(card)
    return card


@pytest.fixture
def context(system):
    with w.SCardEstablishContext(w.SCARD_SCOPE_USER) as made:
        yield made


# --- contexts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [0, 1, 2])
@pytest.mark.usefixtures("system")
def test_every_scope_gives_a_valid_context(scope):
    context = w.SCardEstablishContext(scope)
    assert isinstance(context, w.SCardContext)
    assert w.SCardIsValidContext(context) is None
    assert w.SCardReleaseContext(context) is None


@pytest.mark.parametrize("scope", [3, -1, 0xFFFFFFFF])
@pytest.mark.usefixtures("system")
def test_another_scope_is_no_value(scope):
    with raises(w.SCARD_E_INVALID_VALUE):
        w.SCardEstablishContext(scope)


@pytest.mark.parametrize("arguments", [{"pvReserved1": 1}, {"pvReserved2": b""}], ids=["first", "second"])
@pytest.mark.usefixtures("system")
def test_reserved_arguments_must_be_none(arguments):
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardEstablishContext(dwScope=0, **arguments)


def test_a_context_belongs_to_the_system_it_names(card):
    with local_system() as other:
        other.plug("Elsewhere")
        with w.SCardEstablishContext(0, system=other) as context:
            assert w.SCardListReaders(context) == ["Elsewhere"]
    with w.SCardEstablishContext(0) as context:
        assert w.SCardListReaders(context) == [READER]
    assert card.atr


def test_leaving_with_releases_a_context_and_releasing_twice_is_an_invalid_handle(system):
    with w.SCardEstablishContext(2, system=system) as context:
        pass
    with raises(w.ERROR_INVALID_HANDLE) as caught:
        w.SCardReleaseContext(context)
    assert "The handle is invalid." in str(caught.value)
    assert caught.value.name == "ERROR_INVALID_HANDLE"


def test_releasing_inside_with_is_no_error_on_leaving(system):
    with w.SCardEstablishContext(2, system=system) as context:
        w.SCardReleaseContext(context)


CONTEXT_CALLS = {
    "SCardReleaseContext": (),
    "SCardIsValidContext": (),
    "SCardIntroduceReaderGroup": ("g",),
    "SCardForgetReaderGroup": ("g",),
    "SCardIntroduceReader": ("a", "b"),
    "SCardForgetReader": ("a",),
    "SCardAddReaderToGroup": ("a", "g"),
    "SCardRemoveReaderFromGroup": ("a", "g"),
    "SCardGetStatusChange": (0, []),
    "SCardCancel": (),
    "SCardConnect": (READER, 2, 3),
    "SCardSetCardTypeProviderName": ("c", 2, "p"),
    "SCardIntroduceCardType": ("c",),
    "SCardForgetCardType": ("c",),
    "SCardLocateCards": (["c"], []),
    "SCardLocateCardsByATR": ([], []),
    "SCardReadCache": (bytes(16), 0, "x"),
    "SCardWriteCache": (bytes(16), 0, "x", b""),
}
NULLABLE_CALLS = {
    "SCardListReaderGroups": (),
    "SCardListReaders": (),
    "SCardListCards": (),
    "SCardListInterfaces": ("c",),
    "SCardGetProviderId": ("c",),
    "SCardGetCardTypeProviderName": ("c", 2),
}
HANDLE_CALLS = {
    "SCardReconnect": (2, 3, 0),
    "SCardDisconnect": (0,),
    "SCardBeginTransaction": (),
    "SCardEndTransaction": (0,),
    "SCardStatus": (),
    "SCardTransmit": (None, bytes(5)),
    "SCardControl": (0x313520,),
    "SCardGetAttrib": (0x10100,),
    "SCardSetAttrib": (0x7FFF0007, 1),
}


@pytest.mark.parametrize("name", [*CONTEXT_CALLS, *HANDLE_CALLS])
@pytest.mark.parametrize("kind", ["None", "zero", "released", "number", "wrong-class"])
def test_a_dead_handle_is_error_6_everywhere(system, card, name, kind):
    del card
    context = w.SCardEstablishContext(0, system=system)
    handle, _ = w.SCardConnect(context, READER, 2, 3)
    dead = {"None": None, "zero": 0, "number": 77}.get(kind, context if name in CONTEXT_CALLS else handle)
    if kind == "released":
        w.SCardReleaseContext(context)
    if kind == "wrong-class":
        dead = handle if name in CONTEXT_CALLS else context
    with raises(6):
        getattr(w, name)(dead, *{**CONTEXT_CALLS, **HANDLE_CALLS}[name])


@pytest.mark.parametrize("name", NULLABLE_CALLS)
def test_a_released_context_is_not_null(system, card, name):
    del card
    context = w.SCardEstablishContext(0, system=system)
    w.SCardReleaseContext(context)
    with raises(6):
        getattr(w, name)(context, *NULLABLE_CALLS[name])


@pytest.mark.usefixtures("card")
def test_six_functions_ask_the_current_system_without_a_context():
    assert w.SCardListReaders() == w.SCardListReaders(None) == [READER]
    assert w.SCardListReaderGroups() == ["SCard$DefaultReaders"]
    names = w.SCardListCards()
    assert w.SCardListInterfaces(None, names[0]) == []
    with raises(2):
        w.SCardGetProviderId(None, names[0])
    assert w.SCardGetCardTypeProviderName(None, names[0], w.SCARD_PROVIDER_CARD_MODULE) == "msclmd.dll"


def test_a_handle_dies_with_its_context_and_frees_the_reader(system, card):
    del card
    first = w.SCardEstablishContext(0, system=system)
    handle, _ = w.SCardConnect(first, READER, w.SCARD_SHARE_EXCLUSIVE, 3)
    w.SCardBeginTransaction(handle)
    w.SCardReleaseContext(first)
    with raises(6):
        w.SCardStatus(handle)
    with raises(6):
        w.SCardDisconnect(handle, 0)
    with w.SCardEstablishContext(0, system=system) as second:
        other, _ = w.SCardConnect(second, READER, w.SCARD_SHARE_EXCLUSIVE, 3)
        w.SCardBeginTransaction(other)
        w.SCardEndTransaction(other, 0)


def test_releasing_a_context_leaves_the_transactions_of_others(system, card):
    del card
    first, second = (w.SCardEstablishContext(0, system=system) for _ in range(2))
    mine, _ = w.SCardConnect(first, READER, 2, 3)
    theirs, _ = w.SCardConnect(second, READER, 2, 3)
    w.SCardBeginTransaction(theirs)
    w.SCardReleaseContext(first)
    w.SCardEndTransaction(theirs, 0)
    with raises(w.SCARD_E_NOT_TRANSACTED):
        w.SCardEndTransaction(theirs, 0)
    with raises(6):
        w.SCardStatus(mine)


# --- readers and groups ----------------------------------------------------------------------------------------------


def test_a_system_without_readers_lists_none(context):
    with raises(w.SCARD_E_NO_READERS_AVAILABLE):
        w.SCardListReaders(context)
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders"]


def test_readers_are_listed_in_order_of_arrival_and_empty_ones_too(system, context):
    for name in ("Zeta", "Alpha", "Mu"):
        system.plug(name)
    assert w.SCardListReaders(context) == ["Zeta", "Alpha", "Mu"]
    assert w.SCardListReaders(context, w.SCARD_ALL_READERS) == ["Zeta", "Alpha", "Mu"]
    assert w.SCardListReaders(context, [w.SCARD_ALL_READERS]) == ["Zeta", "Alpha", "Mu"]
    assert w.SCardListReaders(context, "SCard$DefaultReaders") == ["Zeta", "Alpha", "Mu"]
    system.unplug("Alpha")
    assert w.SCardListReaders(context) == ["Zeta", "Mu"]


@pytest.mark.parametrize("groups", ["nowhere", ["nowhere", "either"]], ids=["one", "two"])
@pytest.mark.usefixtures("card")
def test_an_unknown_group_has_no_readers(context, groups):
    with raises(w.SCARD_E_NO_READERS_AVAILABLE):
        w.SCardListReaders(context, groups)


def test_groups_appear_with_their_first_reader_and_go_with_the_last(system, context):
    system.plug("One")
    system.plug("Two")
    assert w.SCardIntroduceReaderGroup(context, "Desk") is None
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders"]
    assert w.SCardAddReaderToGroup(context, "one", "Desk") is None
    assert w.SCardAddReaderToGroup(context, "One", "dESK") is None
    w.SCardAddReaderToGroup(context, "Two", "Annex")
    w.SCardAddReaderToGroup(context, "Two", "SCard$Mine")
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders", "Annex", "Desk", "SCard$Mine"]
    assert w.SCardListReaders(context, "desk") == ["One"]
    assert w.SCardListReaders(context, ["DESK", "annex"]) == ["One", "Two"]
    assert w.SCardRemoveReaderFromGroup(context, "ONE", "DESK") is None
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders", "Annex", "SCard$Mine"]
    assert w.SCardRemoveReaderFromGroup(context, "One", "Desk") is None
    assert w.SCardRemoveReaderFromGroup(context, "One", "Annex") is None


def test_forgetting_a_group_drops_memberships_and_keeps_readers(system, context):
    system.plug("One")
    w.SCardAddReaderToGroup(context, "One", "Desk")
    assert w.SCardForgetReaderGroup(context, "DESK") is None
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders"]
    assert w.SCardListReaders(context) == ["One"]
    assert w.SCardForgetReaderGroup(context, "Desk") is None
    assert w.SCardForgetReaderGroup(context, "never was") is None


def test_a_group_whose_reader_is_unplugged_is_not_listed(system, context):
    system.plug("One")
    system.plug("Two")
    w.SCardAddReaderToGroup(context, "Two", "Desk")
    system.unplug("Two")
    with raises(w.SCARD_E_NO_READERS_AVAILABLE):
        w.SCardListReaders(context, "Desk")


@pytest.mark.parametrize("group", GROUP_CONSTANTS)
@pytest.mark.parametrize("call", ["SCardIntroduceReaderGroup", "SCardForgetReaderGroup"])
def test_the_four_group_constants_are_not_for_users(context, call, group):
    with raises(w.SCARD_E_INVALID_PARAMETER):
        getattr(w, call)(context, group)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("SCardIntroduceReaderGroup", ("",)),
        ("SCardForgetReaderGroup", ("",)),
        ("SCardIntroduceReader", ("", READER)),
        ("SCardIntroduceReader", ("x", "")),
        ("SCardForgetReader", ("",)),
        ("SCardAddReaderToGroup", ("", "g")),
        ("SCardAddReaderToGroup", (READER, "")),
        ("SCardRemoveReaderFromGroup", ("", "g")),
        ("SCardRemoveReaderFromGroup", (READER, "")),
        ("SCardConnect", ("", 2, 3)),
        ("SCardListInterfaces", ("",)),
        ("SCardGetProviderId", ("",)),
        ("SCardGetCardTypeProviderName", ("", 2)),
        ("SCardSetCardTypeProviderName", ("", 2, "x")),
        ("SCardIntroduceCardType", ("",)),
        ("SCardForgetCardType", ("",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(str(part) or "empty" for part in value),
)
@pytest.mark.usefixtures("card")
def test_an_empty_name_is_an_invalid_parameter(context, call, arguments):
    with raises(w.SCARD_E_INVALID_PARAMETER):
        getattr(w, call)(context, *arguments)


@pytest.mark.parametrize("call", ["SCardAddReaderToGroup", "SCardRemoveReaderFromGroup"])
def test_an_unknown_reader_joins_and_leaves_no_group(context, call):
    with raises(w.SCARD_E_UNKNOWN_READER):
        getattr(w, call)(context, "Nobody", "Desk")


def test_an_alias_is_the_reader_it_stands_for(system, card, context):
    assert w.SCardIntroduceReader(context, "Front Desk", READER.upper()) is None
    assert w.SCardListReaders(context) == [READER, "Front Desk"]
    assert w.SCardListReaders(context, w.SCARD_DEFAULT_READERS) == [READER, "Front Desk"]
    handle, protocol = w.SCardConnect(context, "front desk", w.SCARD_SHARE_EXCLUSIVE, w.SCARD_PROTOCOL_Tx)
    assert protocol in {1, 2}
    status = w.SCardStatus(handle)
    assert [name.casefold() for name in status.reader_names] == ["front desk"]
    assert status.atr == card.atr
    with raises(w.SCARD_E_SHARING_VIOLATION):
        w.SCardConnect(context, READER, 2, 3)
    w.SCardDisconnect(handle, 0)
    w.SCardAddReaderToGroup(context, "Front Desk", "Desk")
    assert w.SCardForgetReader(context, "FRONT DESK") is None
    assert w.SCardListReaders(context) == [READER]
    assert w.SCardListReaderGroups(context) == ["SCard$DefaultReaders"]
    with raises(w.SCARD_E_UNKNOWN_READER):
        w.SCardForgetReader(context, "Front Desk")
    assert len(system.readers()) == 1


def test_an_alias_goes_and_comes_with_its_reader(system, context):
    system.plug("One")
    w.SCardIntroduceReader(context, "Alias", "One")
    system.plug("Two")
    system.unplug("One")
    assert w.SCardListReaders(context) == ["Two"]
    system.plug("One")
    assert sorted(w.SCardListReaders(context)) == ["Alias", "One", "Two"]


def test_alias_errors(system, card, context):
    del card
    system.plug(SECOND)
    w.SCardIntroduceReader(context, "Alias", READER)
    for taken in ("Alias", "aLIAS", READER.lower(), SECOND):
        with raises(w.SCARD_E_DUPLICATE_READER):
            w.SCardIntroduceReader(context, taken, SECOND)
    with raises(w.SCARD_E_UNKNOWN_READER):
        w.SCardIntroduceReader(context, "Other", "No such device")
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardForgetReader(context, READER)
    with raises(w.SCARD_E_UNKNOWN_READER):
        w.SCardForgetReader(context, "No such device")


def test_names_keep_their_spelling(system, context):
    system.plug("MiXeD")
    w.SCardAddReaderToGroup(context, "mixed", "DeSk")
    w.SCardAddReaderToGroup(context, "MIXED", "DESK")
    assert w.SCardListReaders(context, "desk") == ["MiXeD"]
    assert w.SCardListReaderGroups(context)[1:] == ["DeSk"]


@pytest.mark.parametrize("name", ["SCardAccessStartedEvent", "SCardFreeMemory", "SCardState", "SCardAudit"])
def test_functions_left_out_are_not_there(name):
    assert not hasattr(w, name)
