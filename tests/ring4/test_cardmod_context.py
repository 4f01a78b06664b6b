"""CardAcquireContext and CardDeleteContext; the transaction rule; what a context remembers."""

import pytest
from cardmodule import acquired, refusal, untouched
from certs import ec_key

from calais.minidriver.calls.context import Call
from calais.system import innermost
from calais.testing import card_data, local_system, virtual_gids, virtual_piv
from calais.transport.base import Channel
from calais.transport.loopback import LoopbackTransport
from calais.win.errors import BadParameter, Unsupported
from calais.winapi.cardmod import (
    CARD_SECURE_KEY_INJECTION_NO_CARD_MODE,
    CP_CARD_AUTHENTICATED_STATE,
    CP_PIN_CONTEXT_STRING,
    CardAcquireContext,
    CardAuthenticatePin,
    CardData,
    CardDeauthenticate,
    CardDeleteContext,
    CardEnumFiles,
    CardGetProperty,
    CardReadFile,
    CardSetProperty,
)

PIV_NAME = "Identity Device (NIST SP 800-73 [PIV])"
GIDS_NAME = "Identity Device (Microsoft Generic Profile)"
INVALID, UNKNOWN, HANDLE = "SCARD_E_INVALID_PARAMETER", "SCARD_E_UNKNOWN_CARD", "SCARD_E_INVALID_HANDLE"


@pytest.fixture
def piv():
    with local_system():
        yield virtual_piv(keys={0x9A: (ec_key(), None)}, seed=1)


def by_transaction(card, tx, **options):
    return CardData(**{"atr": card.atr, "card_name": PIV_NAME, "transaction": tx} | options)


# --- acquiring -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "agreed"), [(4, 4), (6, 6), (7, 7), (8, 7)])
def test_the_version_is_agreed_on_and_then_fixed(piv, wanted, agreed):
    data = card_data(piv, version=wanted)
    CardAcquireContext(data)
    assert data.version == agreed
    with pytest.raises(BadParameter):
        data.version = 5


@pytest.mark.parametrize("version", [3, 0, -7])
def test_an_old_version_is_a_mismatch_and_nothing_is_sent(piv, version):
    data = card_data(piv, version=version)
    with untouched(piv):
        assert refusal(CardAcquireContext, data) == "ERROR_REVISION_MISMATCH"
    assert not data.acquired


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"handle": None}, HANDLE),
        ({"context": None}, HANDLE),
        ({"handle": 0}, HANDLE),
        ({"context": 0}, HANDLE),
        ({"atr": b""}, INVALID),
        ({"atr": None}, INVALID),
        ({"card_name": ""}, INVALID),
        ({"card_name": None}, INVALID),
        ({"atr": b"\x3b"}, UNKNOWN),
        ({"atr": b"\x3c\x00"}, UNKNOWN),
        ({"atr": bytes(34)}, UNKNOWN),
        ({"card_name": "Nobody's Card"}, UNKNOWN),
        ({"version": "7"}, INVALID),
    ],
)
def test_a_record_that_is_not_filled_rightly_is_refused(piv, change, code):
    data = card_data(piv)
    for name, value in change.items():
        setattr(data, name, value)
    with untouched(piv):
        assert refusal(CardAcquireContext, data) == code


@pytest.mark.parametrize("flags", [2, 3, -1, None, "1"])
def test_other_flags_are_refused(piv, flags):
    with untouched(piv):
        assert refusal(CardAcquireContext, CardData(atr=piv.atr, card_name=PIV_NAME), flags) == INVALID


def test_a_context_is_acquired_once(piv):
    data = acquired(piv)
    assert refusal(CardAcquireContext, data) == INVALID


@pytest.mark.parametrize("name", [PIV_NAME, PIV_NAME.upper(), GIDS_NAME])
def test_the_class_driver_finds_either_kind_of_card(piv, name):
    for card in (piv, virtual_gids(keys=[])):
        data = card_data(card)
        data.card_name = name
        CardAcquireContext(data)
        assert data.acquired


def test_a_card_of_another_kind_is_unknown(piv):
    class Brick:
        atr = piv.atr
        exchanges_total = resets = 0

        def process(self, command):
            return b"\x6d\x00"

        def reset(self):
            pass

        power_cycle = reset

    assert refusal(CardAcquireContext, card_data(Brick())) == UNKNOWN


# --- without a card --------------------------------------------------------------------------------------------------


def test_piv_does_nothing_without_a_card(piv):
    data = CardData(card_name=PIV_NAME)
    assert refusal(CardAcquireContext, data, CARD_SECURE_KEY_INJECTION_NO_CARD_MODE) == "SCARD_E_UNSUPPORTED_FEATURE"
    data = CardData(card_name="")
    assert refusal(CardAcquireContext, data, CARD_SECURE_KEY_INJECTION_NO_CARD_MODE) == UNKNOWN
    data = CardData(card_name=None)
    assert refusal(CardAcquireContext, data, CARD_SECURE_KEY_INJECTION_NO_CARD_MODE) == INVALID
    data = CardData(card_name=GIDS_NAME, version=3)
    assert refusal(CardAcquireContext, data, CARD_SECURE_KEY_INJECTION_NO_CARD_MODE) == "ERROR_REVISION_MISMATCH"


def test_a_context_without_a_card_has_no_functions_of_a_card():
    data = CardData(card_name=GIDS_NAME)
    CardAcquireContext(data, CARD_SECURE_KEY_INJECTION_NO_CARD_MODE)
    assert refusal(CardReadFile, data, None, "cardid") == "SCARD_E_UNSUPPORTED_FEATURE"
    with Channel(LoopbackTransport(virtual_piv(keys={}))).begin() as data.transaction, pytest.raises(Unsupported):
        Call(data, data.binding).card().__enter__()
    CardDeleteContext(data)


# --- transactions ----------------------------------------------------------------------------------------------------


def test_a_call_without_transaction_takes_one_and_leaves_the_card_authenticated(piv):
    data = acquired(piv)
    resets = piv.resets
    CardAuthenticatePin(data, "user", b"123456")
    assert CardGetProperty(data, CP_CARD_AUTHENTICATED_STATE) == 0x02
    assert not data.driver.tx.open
    assert piv.resets == resets
    CardDeauthenticate(data, "user")
    assert CardGetProperty(data, CP_CARD_AUTHENTICATED_STATE) == 0


def test_a_reset_ends_what_was_authenticated(piv):
    data = acquired(piv)
    CardAuthenticatePin(data, "user", b"123456")
    piv.reset()
    assert CardGetProperty(data, CP_CARD_AUTHENTICATED_STATE) == 0


def test_the_caller_s_transaction_is_used_and_stays_open(piv):
    channel = Channel(LoopbackTransport(piv))
    with channel.begin() as tx:
        data = by_transaction(piv, tx)
        CardAcquireContext(data)
        CardAuthenticatePin(data, "user", b"123456")
        assert data.driver.tx is tx
        assert tx.open
        first = data.driver
        assert CardGetProperty(data, CP_CARD_AUTHENTICATED_STATE) == 0x02
        assert data.driver is first


def test_a_transaction_that_has_ended_serves_no_more(piv):
    channel = Channel(LoopbackTransport(piv))
    with channel.begin() as tx:
        data = by_transaction(piv, tx)
        CardAcquireContext(data)
    assert refusal(CardAuthenticatePin, data, "user", b"123456") == "SCARD_W_RESET_CARD"


def test_handles_are_read_anew_at_each_call(piv):
    data = acquired(piv)
    handle, context = data.handle, data.context
    data.handle = None
    with untouched(piv):
        assert refusal(CardReadFile, data, None, "cardid") == HANDLE
        assert refusal(CardReadFile, data, None, "") == INVALID
    data.handle, data.context = handle, None
    assert refusal(CardReadFile, data, None, "cardid") == HANDLE
    data.handle, data.context = Channel(LoopbackTransport(piv)), context
    assert len(CardReadFile(data, None, "cardid")) == 16


def test_a_context_notices_that_another_card_is_behind_its_handle(piv):
    data = acquired(piv)
    mine = CardReadFile(data, None, "cardid")
    other = virtual_piv(keys={}, seed=2)
    data.handle = Channel(LoopbackTransport(other))
    assert CardReadFile(data, None, "cardid") != mine
    assert CardEnumFiles(data, "mscp") == ["cmapfile"]


def test_nothing_is_asked_twice_while_nobody_else_touches_the_card(piv):
    data = acquired(piv)
    CardEnumFiles(data, "mscp")
    with untouched(piv):
        CardEnumFiles(data, "mscp")
        CardReadFile(data, "mscp", "cmapfile")


# --- deleting --------------------------------------------------------------------------------------------------------


def test_deleting_works_with_the_card_gone_and_all_else_torn_down():
    with local_system() as system:
        card = virtual_piv(keys={}, seed=1)
        data = acquired(card)
        CardAuthenticatePin(data, "user", b"123456")
        system.remove()
    with untouched(card):
        CardDeleteContext(data)
    assert refusal(CardDeleteContext, data) == INVALID


def test_deleting_forgets_what_was_said_to_the_context(piv):
    data = acquired(piv)
    CardSetProperty(data, CP_PIN_CONTEXT_STRING, "why")
    binding = data.binding
    assert binding.settings == {"PIN Context String": "why"}
    CardDeleteContext(data)
    assert (binding.settings, binding.memo.objects) == ({}, {})


def test_what_a_person_is_told_reaches_the_driver(piv):
    data = acquired(piv)
    CardSetProperty(data, CP_PIN_CONTEXT_STRING, "why")
    CardReadFile(data, None, "cardid")
    assert data.driver.settings["PIN Context String"] == "why"


def test_deleting_one_context_leaves_the_others_and_the_card_alone(piv):
    data, other = acquired(piv), acquired(piv)
    CardAuthenticatePin(other, "user", b"123456")
    CardDeleteContext(data)
    assert CardGetProperty(other, CP_CARD_AUTHENTICATED_STATE) == 0x02


def test_leaving_with_deletes_quietly(piv):
    with acquired(piv) as data:
        CardDeleteContext(data)
    with acquired(piv) as data:
        assert data.acquired
    assert not data.acquired
    assert "123456" not in repr(data)


def test_an_inserted_card_is_not_inserted_again(piv):
    card_data(piv)
    card_data(piv)
    card_data(virtual_piv(keys={}, seed=2))
    assert [status.name for status in innermost().readers()] == ["Virtual Reader 0", "Virtual Reader 1"]


def test_a_test_s_record_is_acquired_by_its_first_call(piv):
    data = card_data(piv, version=5)
    assert (data.acquired, data.driver) == (False, None)
    assert "CardDeriveKey" in data.entry_points
    assert len(CardReadFile(data, None, "cardid")) == 16
    CardDeleteContext(data)
    assert refusal(CardReadFile, data, None, "cardid") == INVALID
    plain = CardData(atr=piv.atr, card_name=PIV_NAME, context=data.context, handle=data.handle)
    assert refusal(CardReadFile, plain, None, "cardid") == INVALID
