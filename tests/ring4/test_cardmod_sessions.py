"""Session PINs: the seven steps of the developer guidelines, between two contexts of one card."""

import pytest
from cardmodule import ADMIN_KEY, acquired, refusal, respond
from certs import ec_key, make
from cryptography import x509

from calais.testing import local_system, virtual_gids, virtual_piv
from calais.win.errors import WinError
from calais.winapi.cardmod import (
    CARD_AUTHENTICATE_GENERATE_SESSION_PIN,
    CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE,
    CARD_AUTHENTICATE_PIN_PIN,
    CARD_AUTHENTICATE_SESSION_PIN,
    CP_CARD_AUTHENTICATED_STATE,
    CP_CARD_PIN_STRENGTH_VERIFY,
    CardAuthenticateEx,
    CardAuthenticatePin,
    CardChangeAuthenticator,
    CardDeauthenticateEx,
    CardGetChallenge,
    CardGetProperty,
    CardUnblockPin,
)

INVALID, UNSUPPORTED, WRONG = "SCARD_E_INVALID_PARAMETER", "SCARD_E_UNSUPPORTED_FEATURE", "SCARD_W_WRONG_CHV"
PIN, NEW = b"123456", b"654321"
BY_KEY, BY_PIN = CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE, CARD_AUTHENTICATE_PIN_PIN
KEY = ec_key(3)
CERTIFICATE = x509.load_der_x509_certificate(make("pins", key=KEY))


@pytest.fixture
def gids_card():
    with local_system():
        yield virtual_gids(keys=[(None, 1, KEY, CERTIFICATE)], seed=1, admin_key=ADMIN_KEY)


@pytest.fixture
def gids(gids_card):
    return acquired(gids_card)


@pytest.fixture
def piv(gids):
    return acquired(virtual_piv(keys={}, seed=1))


def state(data):
    return CardGetProperty(data, CP_CARD_AUTHENTICATED_STATE)


def failure(call, *arguments):
    """Name of the code, and the tries left."""
    with pytest.raises(WinError) as error:
        call(*arguments)
    return error.value.name, error.value.attempts_left


def test_a_session_pin_is_made_without_authenticating_and_used_elsewhere(gids, gids_card):
    session = CardAuthenticateEx(gids, 1, CARD_AUTHENTICATE_GENERATE_SESSION_PIN, PIN)
    assert state(gids) == 0
    assert PIN not in session
    other = acquired(gids_card)
    assert CardAuthenticateEx(other, 1, CARD_AUTHENTICATE_SESSION_PIN, session) is None
    assert state(other) == 0x02
    CardDeauthenticateEx(other, 0x02)
    assert state(other) == 0


def test_a_wrong_session_pin_leaves_the_pin_s_own_tries_alone(gids):
    session = CardAuthenticateEx(gids, 1, CARD_AUTHENTICATE_GENERATE_SESSION_PIN, PIN)
    wrong = bytes(byte ^ 1 for byte in session)
    assert failure(CardAuthenticateEx, gids, 1, CARD_AUTHENTICATE_SESSION_PIN, wrong)[0] == WRONG
    assert failure(CardAuthenticateEx, gids, 1, CARD_AUTHENTICATE_SESSION_PIN, b"short")[0] == WRONG
    name, left = failure(CardAuthenticatePin, gids, "user", b"000000")
    CardAuthenticatePin(gids, "user", PIN)
    assert (name, left) == failure(CardAuthenticatePin, gids, "user", b"000000")


def test_the_newest_session_pin_wins(gids):
    old = CardAuthenticateEx(gids, 1, CARD_AUTHENTICATE_GENERATE_SESSION_PIN, PIN)
    new = CardAuthenticateEx(gids, 1, CARD_AUTHENTICATE_GENERATE_SESSION_PIN, PIN)
    assert failure(CardAuthenticateEx, gids, 1, CARD_AUTHENTICATE_SESSION_PIN, old)[0] == WRONG
    CardAuthenticateEx(gids, 1, CARD_AUTHENTICATE_SESSION_PIN, new)


@pytest.mark.parametrize("change", ["change", "unblock"])
def test_a_change_ends_session_pins(gids, change):
    session = CardAuthenticateEx(gids, 1, CARD_AUTHENTICATE_GENERATE_SESSION_PIN, PIN)
    if change == "change":
        CardChangeAuthenticator(gids, "user", PIN, NEW, 0, BY_PIN)
    else:
        CardUnblockPin(gids, "user", respond(CardGetChallenge(gids)), NEW, 0, BY_KEY)
    CardDeauthenticateEx(gids, 0xFF)
    assert failure(CardAuthenticateEx, gids, 1, CARD_AUTHENTICATE_SESSION_PIN, session)[0] == WRONG


def test_strength_says_who_has_session_pins(piv, gids):
    assert CardGetProperty(gids, CP_CARD_PIN_STRENGTH_VERIFY, 1) == 3
    assert [CardGetProperty(piv, CP_CARD_PIN_STRENGTH_VERIFY, pin_id) for pin_id in (1, 2, 3, 4)] == [1, 1, 1, 1]
    for flag in (CARD_AUTHENTICATE_GENERATE_SESSION_PIN, CARD_AUTHENTICATE_SESSION_PIN):
        assert refusal(CardAuthenticateEx, gids, 2, flag, PIN) == UNSUPPORTED
        assert refusal(CardAuthenticateEx, gids, 1, flag, None) == INVALID
