"""PIN types and permissions that no built-in card has, by a driver that has them all."""

import pytest
from cardmodule import refusal
from tincard import example, tin_card

from calais.cards import registry
from calais.minidriver.pins import pin_set
from calais.minidriver.properties import PROPERTIES, Settable
from calais.testing import card_data, local_system
from calais.win.codes import Code
from calais.win.errors import Cancelled, SilentContext, Unsupported, WinError
from calais.winapi.cardmod import (
    CARD_AUTHENTICATE_GENERATE_SESSION_PIN,
    CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE,
    CARD_AUTHENTICATE_PIN_PIN,
    CARD_AUTHENTICATE_SESSION_PIN,
    CARD_PIN_SILENT_CONTEXT,
    PIN_CHANGE_FLAG_CHANGEPIN,
    PIN_CHANGE_FLAG_UNBLOCK,
    CardAcquireContext,
    CardAuthenticateChallenge,
    CardAuthenticateEx,
    CardAuthenticatePin,
    CardChangeAuthenticator,
    CardChangeAuthenticatorEx,
    CardDeauthenticate,
    CardDeauthenticateEx,
    CardGetChallenge,
    CardGetChallengeEx,
    CardGetProperty,
    CardSetContainerProperty,
    CardSetProperty,
    CardUnblockPin,
    PinCachePolicy,
    PinInfo,
)

INVALID, UNSUPPORTED = "SCARD_E_INVALID_PARAMETER", "SCARD_E_UNSUPPORTED_FEATURE"
CHANGE, UNBLOCK = PIN_CHANGE_FLAG_CHANGEPIN, PIN_CHANGE_FLAG_UNBLOCK
ALPHANUMERIC, EXTERNAL, RESPONSE, EMPTY = 0, 1, 2, 3
PRIMARY, UNBLOCK_ONLY = 5, 6
NORMAL = PinCachePolicy(0)
PINS = {
    1: PinInfo(ALPHANUMERIC, PRIMARY, pin_set(1, 2, 7), pin_set(3, 7), NORMAL),
    2: PinInfo(ALPHANUMERIC, 4, pin_set(2), 0, NORMAL),
    3: PinInfo(ALPHANUMERIC, UNBLOCK_ONLY, pin_set(3), 0, NORMAL),
    5: PinInfo(EXTERNAL, 0, pin_set(5), pin_set(5, 2), NORMAL),
    6: PinInfo(EMPTY, 0, 0, 0, NORMAL),
    7: PinInfo(RESPONSE, 0, pin_set(7), 0, NORMAL),
}
Tin = example().Tin


class Many(Tin):
    """Every type of PIN; what it is asked to do is written down."""

    absent_entry_points = frozenset(("CardDeauthenticate",))
    settable_properties = frozenset(name for name, row in PROPERTIES.items() if row.settable is Settable.CARD)
    session_pins = pin_set(1, 5)
    refuses = None
    read_only = False
    log = None
    answer = None

    def pin_list(self):
        return pin_set(*PINS)

    def pin_info(self, pin_id):
        return PINS[pin_id]

    def authenticate(self, pin_id, pin):
        self.log.append(("authenticate", pin_id, pin.value))

    def authenticate_external(self, pin_id, *, silent):
        self.log.append(("external", pin_id, silent))
        if self.answer:
            raise self.answer

    def change_pin(self, pin_id, old, new, *, auth_id=None):
        self.log.append(("change", pin_id, auth_id, old.value, new.value))

    def challenge(self, pin_id=2):
        return b"question"

    def answer_challenge(self, response, pin_id=2):
        self.log.append(("answer", pin_id, response))

    def change_admin_key(self, new):
        self.log.append(("key", new))

    def make_session_pin(self, pin_id, pin):
        return pin

    def authenticate_session(self, pin_id, session_pin):
        pass

    def unblock_pin(self, pin_id, auth_id, auth, new):
        if self.refuses:
            raise self.refuses
        self.log.append(("unblock", pin_id, auth_id, auth.value, new.value))

    def deauthenticate(self, pins):
        self.log.append(("deauthenticate", pins))
        raise Unsupported

    def store_property(self, name, value):
        self.log.append((name, value))

    def set_container_property(self, index, name, value):
        self.log.append((name, index, value))


def many(tx, memo, *, policy, fresh):
    return Many(tx, memo)


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setattr(registry, "installed", lambda: {"many": many})
    monkeypatch.setattr(Many, "log", [])
    with local_system():
        data = card_data(tin_card())
        CardAcquireContext(data)
        yield data


def test_a_pin_that_is_entered_elsewhere_comes_without_data(data, monkeypatch):
    CardAuthenticateEx(data, 5)
    CardAuthenticateEx(data, 5, CARD_PIN_SILENT_CONTEXT)
    assert Many.log == [("external", 5, False), ("external", 5, True)]
    for error in (Cancelled(), SilentContext(), WinError(Code.SCARD_E_TIMEOUT)):
        monkeypatch.setattr(Many, "answer", error)
        assert refusal(CardAuthenticateEx, data, 5) == error.name


def test_an_empty_pin_needs_nothing(data):
    assert CardAuthenticateEx(data, 6) is None
    assert CardAuthenticateEx(data, 6, 0, b"1234") is None
    assert Many.log == []


def test_only_a_pin_that_is_entered_elsewhere_comes_without_data(data):
    assert refusal(CardAuthenticateEx, data, 1) == INVALID
    CardChangeAuthenticatorEx(data, CHANGE, 5, None, 5, None)
    assert refusal(CardChangeAuthenticatorEx, data, CHANGE, 1, None, 1, b"5678") == INVALID
    assert Many.log == [("change", 5, 5, b"", b"")]


def test_an_administrator_with_a_pin_presents_it(data):
    CardAuthenticatePin(data, "admin", b"9999")
    assert Many.log == [("authenticate", 2, b"9999")]
    by_key = CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE
    assert refusal(CardGetChallenge, data) == UNSUPPORTED
    assert refusal(CardChangeAuthenticator, data, "admin", b"12345678", bytes(24), 0, by_key) == UNSUPPORTED
    assert refusal(CardAuthenticateChallenge, data, b"12345678") == "SCARD_W_WRONG_CHV"


@pytest.mark.parametrize(("flag", "verb"), [(CHANGE, "change"), (UNBLOCK, "unblock")])
def test_a_response_authorises_once(data, flag, verb):
    arguments = (flag, 7, b"response", 1, b"5678")
    assert refusal(CardChangeAuthenticatorEx, data, *arguments) == "SCARD_W_WRONG_CHV"
    assert CardGetChallengeEx(data, 7) == b"question"
    CardChangeAuthenticatorEx(data, *arguments)
    assert Many.log[0] == (verb, 1, 7, b"response", b"5678")
    assert refusal(CardChangeAuthenticatorEx, data, *arguments) == "SCARD_W_WRONG_CHV"


def test_nobody_stays_authenticated_when_unblocking_fails_half_way(data, monkeypatch):
    resets = data.handle.transport.card.resets
    monkeypatch.setattr(Many, "refuses", WinError(Code.SCARD_E_INVALID_CHV))
    CardGetChallengeEx(data, 7)
    assert refusal(CardChangeAuthenticatorEx, data, UNBLOCK, 7, b"response", 1, b"5") == "SCARD_E_INVALID_CHV"
    assert Many.log == [("deauthenticate", 0x06)]
    assert data.handle.transport.card.resets == resets + 1


def test_a_session_pin_is_presented_and_not_entered_elsewhere(data):
    for flag in (CARD_AUTHENTICATE_GENERATE_SESSION_PIN, CARD_AUTHENTICATE_SESSION_PIN):
        assert refusal(CardAuthenticateEx, data, 5, flag) == INVALID


def test_who_authorises_a_change_is_told_to_the_driver(data):
    CardChangeAuthenticatorEx(data, CHANGE, 2, b"9999", 1, b"5678")
    CardChangeAuthenticator(data, "user", b"1234", b"5678", 0, CARD_AUTHENTICATE_PIN_PIN)
    assert Many.log == [("change", 1, 2, b"9999", b"5678"), ("change", 1, None, b"1234", b"5678")]


def test_unblocking_ends_with_a_reset_where_nothing_else_signs_out(data):
    card = data.handle.transport.card
    for unblock in (
        lambda: CardUnblockPin(data, "user", b"3333", b"5678", 0, CARD_AUTHENTICATE_PIN_PIN),
        lambda: CardChangeAuthenticatorEx(data, UNBLOCK, 3, b"3333", 1, b"5678"),
    ):
        Many.log.clear()
        resets = card.resets
        unblock()
        assert Many.log == [("unblock", 1, 3, b"3333", b"5678"), ("deauthenticate", 0x06)]
        assert card.resets == resets + 1
    assert (
        refusal(CardUnblockPin, data, "user", b"3333", b"5678", 0, CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE)
        == "SCARD_W_WRONG_CHV"
    )


def test_a_pin_never_unblocks_itself_even_where_it_says_so(data):
    assert refusal(CardChangeAuthenticatorEx, data, UNBLOCK, 5, None, 5, None) == INVALID
    CardChangeAuthenticatorEx(data, UNBLOCK, 2, b"9999", 5, None)
    assert Many.log[0] == ("unblock", 5, 2, b"9999", b"")


def test_what_takes_a_reset_is_no_entry_point(data):
    assert "CardDeauthenticate" not in data.entry_points
    assert "CardDeauthenticateEx" in data.entry_points
    assert refusal(CardDeauthenticate, data, "user") == UNSUPPORTED
    assert refusal(CardDeauthenticateEx, data, 0x06) == UNSUPPORTED
    assert Many.log == [("deauthenticate", 0x06)]


def test_what_a_driver_names_can_be_set(data):
    CardSetProperty(data, "Card Identifier", bytes(16))
    CardSetContainerProperty(data, 0, "PIN Identifier", 5)
    assert Many.log == [("Card Identifier", bytes(16)), ("PIN Identifier", 0, 5)]
    assert refusal(CardSetProperty, data, "Card Identifier", bytes(15)) == INVALID
    assert refusal(CardSetProperty, data, "Card Identifier", bytes(16), 1) == INVALID
    assert refusal(CardSetProperty, data, "Free Space", 1) == UNSUPPORTED


SETTABLE = {
    "Read Only Mode": (True, 1),
    "Cache Mode": (3, 4),
    "Supports Windows x.509 Enrollment": (False, None),
    "Card Identifier": (bytes(16), "0" * 16),
    "Card Serial Number": (b"1", b""),
    "PIN Information": (PINS[1], b""),
}


@pytest.mark.parametrize("name", sorted(SETTABLE))
def test_each_property_is_set_to_a_value_of_its_type(data, name):
    good, bad = SETTABLE[name]
    CardSetProperty(data, name, good)
    assert Many.log == [(name, good)]
    assert refusal(CardSetProperty, data, name, bad) == INVALID
    assert set(SETTABLE) == Many.settable_properties


def test_the_caller_s_cache_reaches_the_driver(data):
    data.cache = object()
    CardGetProperty(data, "PIN List")
    assert data.driver.cache is data.cache
