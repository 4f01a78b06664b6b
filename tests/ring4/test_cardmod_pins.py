"""PINs, challenges and session PINs under Microsoft's names, on PIV and GIDS cards."""

import pytest
from cardmodule import ADMIN_KEY, acquired, refusal, respond, untouched
from certs import ec_key, make
from cryptography import x509

from calais.testing import local_system, virtual_gids, virtual_piv
from calais.win.errors import WinError
from calais.winapi.cardmod import (
    CARD_AUTHENTICATE_GENERATE_SESSION_PIN,
    CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE,
    CARD_AUTHENTICATE_PIN_PIN,
    CARD_AUTHENTICATE_SESSION_PIN,
    CARD_PIN_SILENT_CONTEXT,
    CP_CARD_AUTHENTICATED_STATE,
    CP_CARD_LIST_PINS,
    CP_CARD_PIN_INFO,
    PIN_CHANGE_FLAG_CHANGEPIN,
    PIN_CHANGE_FLAG_UNBLOCK,
    CardAuthenticateChallenge,
    CardAuthenticateEx,
    CardAuthenticatePin,
    CardChangeAuthenticator,
    CardChangeAuthenticatorEx,
    CardDeauthenticate,
    CardDeauthenticateEx,
    CardGetChallenge,
    CardGetChallengeEx,
    CardGetContainerProperty,
    CardGetProperty,
    CardReadFile,
    CardSignData,
    CardSigningInfo,
    CardUnblockPin,
    PinCachePolicy,
    PinInfo,
)

INVALID, UNSUPPORTED = "SCARD_E_INVALID_PARAMETER", "SCARD_E_UNSUPPORTED_FEATURE"
WRONG, BLOCKED, FORBIDDEN = "SCARD_W_WRONG_CHV", "SCARD_W_CHV_BLOCKED", "SCARD_W_SECURITY_VIOLATION"
PIN, PUK, NEW = b"123456", b"12345678", b"654321"
UNKNOWN_TRIES = 0xFFFFFFFF
CHANGE, UNBLOCK = PIN_CHANGE_FLAG_CHANGEPIN, PIN_CHANGE_FLAG_UNBLOCK
BY_KEY, BY_PIN = CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE, CARD_AUTHENTICATE_PIN_PIN
KEY = ec_key(3)
CERTIFICATE = x509.load_der_x509_certificate(make("pins", key=KEY))


@pytest.fixture
def card():
    with local_system():
        yield virtual_piv(keys={0x9A: (KEY, CERTIFICATE), 0x9C: (KEY, CERTIFICATE)}, seed=1)


@pytest.fixture
def piv(card):
    return acquired(card)


@pytest.fixture
def gids_card():
    with local_system():
        yield virtual_gids(keys=[(None, 1, KEY, CERTIFICATE)], seed=1, admin_key=ADMIN_KEY)


@pytest.fixture
def gids(gids_card):
    return acquired(gids_card)


def state(data):
    return CardGetProperty(data, CP_CARD_AUTHENTICATED_STATE)


def failure(call, *arguments):
    """Name of the code, and the tries left."""
    with pytest.raises(WinError) as error:
        call(*arguments)
    return error.value.name, error.value.attempts_left


# --- who is who ------------------------------------------------------------------------------------------------------


def test_the_pins_of_a_piv_card(piv, card):
    normal, none, always = PinCachePolicy(0), PinCachePolicy(2), PinCachePolicy(3)
    with untouched(card):
        assert CardGetProperty(piv, CP_CARD_LIST_PINS) == 0x1E
        assert CardGetProperty(piv, CP_CARD_PIN_INFO, 1) == PinInfo(0, 5, 0x02, 0x08, normal)
        assert CardGetProperty(piv, CP_CARD_PIN_INFO, 2) == PinInfo(2, 4, 0x04, 0x00, normal)
        assert CardGetProperty(piv, CP_CARD_PIN_INFO, 3) == PinInfo(0, 6, 0x08, 0x00, none)
        assert CardGetProperty(piv, CP_CARD_PIN_INFO, 4) == PinInfo(0, 1, 0x02, 0x08, always)
        for absent in (0, 5, 6, 7, 8):
            assert refusal(CardGetProperty, piv, CP_CARD_PIN_INFO, absent) == INVALID


def test_the_pins_of_a_gids_card(gids):
    normal = PinCachePolicy(0)
    assert CardGetProperty(gids, CP_CARD_LIST_PINS) == 0x06
    assert CardGetProperty(gids, CP_CARD_PIN_INFO, 1) == PinInfo(0, 5, 0x02, 0x04, normal)
    assert CardGetProperty(gids, CP_CARD_PIN_INFO, 2) == PinInfo(2, 4, 0x04, 0x00, normal)


def test_the_pin_of_a_piv_container_follows_from_its_slot():
    keys = dict.fromkeys((0x9A, 0x9C, 0x9D, 0x9E), (KEY, CERTIFICATE))
    with local_system():
        data = acquired(virtual_piv(keys=keys, seed=1))
        assert [CardGetContainerProperty(data, index, "PIN Identifier") for index in range(4)] == [1, 4, 1, 0]


# --- presenting a PIN ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authenticate",
    [lambda d, pin: CardAuthenticatePin(d, "user", pin), lambda d, pin: CardAuthenticateEx(d, 1, 0, pin)],
)
def test_tries_are_counted_and_the_last_wrong_one_is_still_wrong(piv, authenticate):
    assert [failure(authenticate, piv, b"000000") for _ in range(3)] == [(WRONG, 2), (WRONG, 1), (WRONG, 0)]
    assert failure(authenticate, piv, PIN) == (BLOCKED, 0)


def test_tries_are_given_back_by_the_right_pin(piv):
    failure(CardAuthenticatePin, piv, "user", b"000000")
    assert CardAuthenticatePin(piv, "user", PIN) is None
    assert failure(CardAuthenticatePin, piv, "user", b"000000") == (WRONG, 2)


@pytest.mark.parametrize("pin", [b"1", b"12345", b"123456789"])
@pytest.mark.parametrize("pin_id", [1, 4])
def test_an_impossible_length_costs_no_try_and_no_exchange(piv, card, pin, pin_id):
    with untouched(card):
        assert failure(CardAuthenticateEx, piv, pin_id, 0, pin) == ("SCARD_E_INVALID_CHV", None)


@pytest.mark.parametrize(
    ("user", "pin", "code"),
    [
        ("anonymous", PIN, INVALID),
        ("User", PIN, INVALID),
        (None, PIN, INVALID),
        ("user", b"", INVALID),
        ("user", "123456", INVALID),
        ("user", None, INVALID),
        ("admin", PIN, UNSUPPORTED),
    ],
)
def test_a_user_or_pin_that_is_none_is_refused(piv, card, user, pin, code):
    with untouched(card):
        assert failure(CardAuthenticatePin, piv, user, pin) == (code, None)


@pytest.mark.parametrize(
    ("pin_id", "flags", "secret", "code"),
    [
        (0, 0, PIN, INVALID),
        (8, 0, PIN, INVALID),
        (5, 0, PIN, INVALID),
        (1, 1, PIN, INVALID),
        (1, CARD_AUTHENTICATE_GENERATE_SESSION_PIN | CARD_AUTHENTICATE_SESSION_PIN, PIN, INVALID),
        (1, 0, None, INVALID),
        (1, 0, b"", INVALID),
        (1, 0, "123456", INVALID),
        (1, CARD_AUTHENTICATE_GENERATE_SESSION_PIN, PIN, UNSUPPORTED),
        (1, CARD_AUTHENTICATE_SESSION_PIN, PIN, UNSUPPORTED),
        (3, 0, PUK, UNSUPPORTED),
    ],
)
def test_what_cannot_be_presented_is_refused(piv, card, pin_id, flags, secret, code):
    with untouched(card):
        assert failure(CardAuthenticateEx, piv, pin_id, flags, secret) == (code, None)


def test_several_may_be_authenticated_at_once(piv):
    assert CardAuthenticateEx(piv, 1, CARD_PIN_SILENT_CONTEXT, PIN) is None
    CardAuthenticateChallenge(piv, respond(CardGetChallenge(piv)))
    assert state(piv) == 0x06


def test_pin_4_lets_key_9c_sign_once(piv):
    info = CardSigningInfo(1, 3, bytes(32))
    assert refusal(CardSignData, piv, info) == FORBIDDEN
    for _ in range(2):
        CardAuthenticateEx(piv, 4, 0, PIN)
        assert len(CardSignData(piv, info)) == 64
        assert refusal(CardSignData, piv, info) == FORBIDDEN


# --- challenge and response ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["piv", "gids"])
def test_the_administrator_answers_a_challenge_once(kind, request):
    data = request.getfixturevalue(kind)
    challenge = CardGetChallenge(data)
    assert len(challenge) % 8 == 0
    CardAuthenticateChallenge(data, respond(challenge))
    assert state(data) & 0x04
    assert failure(CardAuthenticateChallenge, data, respond(challenge)) == (WRONG, UNKNOWN_TRIES)


@pytest.mark.parametrize("kind", ["piv", "gids"])
def test_an_answer_that_cannot_be_right_is_not_sent(kind, request):
    data = request.getfixturevalue(kind)
    card = request.getfixturevalue("card" if kind == "piv" else "gids_card")
    assert CardGetProperty(data, CP_CARD_LIST_PINS) & 0x04
    with untouched(card):
        assert failure(CardAuthenticateChallenge, data, bytes(8)) == (WRONG, UNKNOWN_TRIES)
        assert failure(CardAuthenticateEx, data, 2, 0, bytes(8)) == (WRONG, UNKNOWN_TRIES)
        assert failure(CardAuthenticateChallenge, data, b"") == (INVALID, None)
    challenge = CardGetChallenge(data)
    with untouched(card):
        assert failure(CardAuthenticateChallenge, data, respond(challenge)[:-1]) == (WRONG, UNKNOWN_TRIES)


@pytest.mark.parametrize(
    "between", [lambda d: CardReadFile(d, None, "cardid"), lambda d: refusal(CardReadFile, d, None, "")]
)
def test_a_challenge_is_good_for_the_very_next_call_only(piv, between):
    challenge = CardGetChallenge(piv)
    between(piv)
    assert failure(CardAuthenticateChallenge, piv, respond(challenge)) == (WRONG, UNKNOWN_TRIES)


def test_a_challenge_is_gone_when_others_have_used_the_card(piv, card):
    challenge = CardGetChallenge(piv)
    acquired(card)
    assert failure(CardAuthenticateChallenge, piv, respond(challenge)) == (WRONG, UNKNOWN_TRIES)


def test_a_wrong_response_is_a_wrong_pin(piv, gids):
    CardGetChallenge(piv)
    assert failure(CardAuthenticateChallenge, piv, bytes(8)) == (WRONG, UNKNOWN_TRIES)
    assert failure(CardAuthenticateChallenge, gids, respond(bytes(8))) == (WRONG, UNKNOWN_TRIES)
    size = len(CardGetChallenge(gids))
    name, left = failure(CardAuthenticateChallenge, gids, bytes(size))
    assert name == WRONG
    for expected in [*range(left - 1, -1, -1)]:
        CardGetChallenge(gids)
        assert failure(CardAuthenticateChallenge, gids, bytes(size)) == (WRONG, expected)
    name, left = ("", 1) if not refusal(CardGetChallenge, gids) else (BLOCKED, 0)
    if not name:
        name, left = failure(CardAuthenticateChallenge, gids, bytes(size))
    assert (name, left) == (BLOCKED, 0)


def test_any_pin_of_that_type_has_challenges_and_no_other(piv, card):
    CardAuthenticateEx(piv, 2, 0, respond(CardGetChallengeEx(piv, 2)))
    assert state(piv) == 0x04
    with untouched(card):
        for pin_id, flags in ((1, 0), (3, 0), (5, 0), (0, 0), (2, 1)):
            assert refusal(CardGetChallengeEx, piv, pin_id, flags) == INVALID


@pytest.mark.parametrize("algorithm", ["AES128", "AES192", "AES256"])
def test_an_aes_key_has_longer_challenges(algorithm):
    key = bytes(int(algorithm[3:]) // 8)
    with local_system():
        data = acquired(virtual_piv(keys={}, seed=1, management_key=key, management_key_algorithm=algorithm))
        assert len(CardGetChallenge(data)) == 16


def test_the_response_of_the_specification_s_sample():
    assert respond(bytes.fromhex("A892D75601617C5D"), bytes(24)).hex() == "1951ec3ef81bbabb"


# --- change ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pin_id", [1, 4])
def test_the_user_changes_the_pin_for_both_its_ids(piv, pin_id):
    CardChangeAuthenticatorEx(piv, CHANGE, 1, PIN, pin_id, NEW)
    CardDeauthenticate(piv, "user")
    assert failure(CardAuthenticatePin, piv, "user", PIN) == (WRONG, 2)
    CardAuthenticateEx(piv, 4, 0, NEW)
    CardChangeAuthenticator(piv, "user", NEW, PIN, 0, BY_PIN)
    CardAuthenticatePin(piv, "user", PIN)


def test_the_puk_is_changed_by_itself(piv):
    CardChangeAuthenticatorEx(piv, CHANGE, 3, PUK, 3, b"87654321")
    assert failure(CardUnblockPin, piv, "user", PUK, PIN, 0, BY_PIN) == (WRONG, 2)
    CardUnblockPin(piv, "user", b"87654321", PIN, 0, BY_PIN)


@pytest.mark.parametrize("kind", ["piv", "gids"])
@pytest.mark.parametrize("way", ["plain", "ex"])
def test_the_administrator_s_key_is_changed_by_a_response(kind, way, request):
    data, new = request.getfixturevalue(kind), bytes(range(24))
    response = respond(CardGetChallenge(data))
    if way == "plain":
        CardChangeAuthenticator(data, "admin", response, new, 0, BY_KEY)
    else:
        CardChangeAuthenticatorEx(data, CHANGE, 2, response, 2, new)
    CardGetChallenge(data)
    assert failure(CardAuthenticateChallenge, data, respond(CardGetChallenge(data)))[0] == WRONG
    CardAuthenticateChallenge(data, respond(CardGetChallenge(data), new))


@pytest.mark.parametrize(
    ("user", "current", "new", "retries", "method"),
    [
        ("user", PIN, NEW, 0, BY_KEY),
        ("admin", PIN, bytes(24), 0, BY_PIN),
        ("user", PIN, NEW, 0, 3),
        ("user", PIN, NEW, 0, 0),
        ("user", PIN, NEW, 3, BY_PIN),
        ("user", b"", NEW, 0, BY_PIN),
        ("user", PIN, b"", 0, BY_PIN),
        ("user", PIN, "654321", 0, BY_PIN),
        ("admin", bytes(8), bytes(23), 0, BY_KEY),
        ("anonymous", PIN, NEW, 0, BY_PIN),
    ],
)
def test_a_change_that_cannot_be_is_refused(piv, card, user, current, new, retries, method):
    with untouched(card):
        assert refusal(CardChangeAuthenticator, piv, user, current, new, retries, method) == INVALID


def test_a_wrong_pin_changes_nothing(piv):
    assert failure(CardChangeAuthenticator, piv, "user", b"000000", NEW, 0, BY_PIN) == (WRONG, 2)
    CardAuthenticatePin(piv, "user", PIN)


@pytest.mark.parametrize(
    ("flags", "auth_id", "auth", "target_id", "new", "code"),
    [
        (0, 1, PIN, 1, NEW, INVALID),
        (CHANGE | UNBLOCK, 1, PIN, 1, NEW, INVALID),
        (CHANGE | 0x80, 1, PIN, 1, NEW, INVALID),
        (UNBLOCK, 1, PIN, 1, NEW, INVALID),
        (CHANGE, 0, PIN, 1, NEW, INVALID),
        (CHANGE, 5, PIN, 1, NEW, INVALID),
        (CHANGE, 1, PIN, 5, NEW, INVALID),
        (CHANGE, 1, None, 1, NEW, INVALID),
        (CHANGE, 1, PIN, 1, None, INVALID),
        (CHANGE, 1, b"", 1, NEW, INVALID),
        (CHANGE, 3, PUK, 1, NEW, FORBIDDEN),
        (CHANGE, 4, PIN, 1, NEW, FORBIDDEN),
        (CHANGE, 1, PIN, 3, NEW, FORBIDDEN),
        (CHANGE, 2, bytes(8), 1, NEW, FORBIDDEN),
        (UNBLOCK, 2, bytes(8), 1, NEW, FORBIDDEN),
        (UNBLOCK, 1, PIN, 3, NEW, FORBIDDEN),
        (UNBLOCK, 3, PUK, 2, NEW, FORBIDDEN),
    ],
)
def test_a_pin_without_a_say_is_refused_without_an_exchange(piv, card, flags, auth_id, auth, target_id, new, code):
    with untouched(card):
        assert refusal(CardChangeAuthenticatorEx, piv, flags, auth_id, auth, target_id, new) == code
    assert refusal(CardChangeAuthenticatorEx, piv, CHANGE, 1, PIN, 1, PIN, 1) == INVALID


# --- unblock ---------------------------------------------------------------------------------------------------------


def block(data):
    for _ in range(3):
        refusal(CardAuthenticatePin, data, "user", b"000000")
    assert failure(CardAuthenticatePin, data, "user", PIN) == (BLOCKED, 0)


@pytest.mark.parametrize("target", [1, 4])
@pytest.mark.parametrize("flag", [0, CARD_PIN_SILENT_CONTEXT])
def test_the_puk_unblocks_and_nobody_is_authenticated_afterwards(piv, target, flag):
    block(piv)
    CardChangeAuthenticatorEx(piv, UNBLOCK | flag, 3, PUK, target, NEW)
    assert state(piv) == 0
    CardAuthenticatePin(piv, "user", NEW)


def test_unblocking_signs_out_who_was_signed_in(piv):
    CardAuthenticatePin(piv, "user", PIN)
    CardAuthenticateChallenge(piv, respond(CardGetChallenge(piv)))
    assert state(piv) == 0x06
    CardUnblockPin(piv, "user", PUK, NEW, 0, BY_PIN)
    assert state(piv) == 0


def test_the_administrator_unblocks_a_gids_card_by_a_response(gids):
    for _ in range(10):
        if refusal(CardAuthenticatePin, gids, "user", b"000000") == BLOCKED:
            break
    CardUnblockPin(gids, "user", respond(CardGetChallenge(gids)), NEW, 0, BY_KEY)
    assert state(gids) == 0
    CardAuthenticatePin(gids, "user", NEW)


def test_a_wrong_response_unblocks_nothing(gids):
    CardGetChallenge(gids)
    assert failure(CardUnblockPin, gids, "user", bytes(8), NEW, 0, BY_KEY)[0] == WRONG
    assert failure(CardUnblockPin, gids, "user", respond(bytes(8)), NEW, 0, BY_KEY) == (WRONG, UNKNOWN_TRIES)
    assert state(gids) == 0
    CardAuthenticatePin(gids, "user", PIN)


def test_tries_left_are_those_of_what_unblocks(piv):
    assert [failure(CardUnblockPin, piv, "user", b"00000000", NEW, 0, BY_PIN) for _ in range(3)] == [
        (WRONG, 2),
        (WRONG, 1),
        (WRONG, 0),
    ]
    assert failure(CardUnblockPin, piv, "user", PUK, NEW, 0, BY_PIN) == (BLOCKED, 0)


@pytest.mark.parametrize(
    ("user", "auth", "new", "retries", "method", "code"),
    [
        ("admin", PUK, NEW, 0, BY_PIN, UNSUPPORTED),
        ("anonymous", PUK, NEW, 0, BY_PIN, INVALID),
        ("user", PUK, NEW, 3, BY_PIN, INVALID),
        ("user", PUK, NEW, 0, 0, INVALID),
        ("user", PUK, NEW, 0, 3, INVALID),
        ("user", b"", NEW, 0, BY_PIN, INVALID),
        ("user", PUK, b"", 0, BY_PIN, INVALID),
        ("user", bytes(8), NEW, 0, BY_KEY, UNSUPPORTED),
        ("user", PUK, b"1", 0, BY_PIN, "SCARD_E_INVALID_CHV"),
    ],
)
def test_an_unblocking_that_cannot_be_is_refused(piv, card, user, auth, new, retries, method, code):
    with untouched(card):
        assert refusal(CardUnblockPin, piv, user, auth, new, retries, method) == code


# --- deauthenticate --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pins", [0x02, 0x03, 0x12, 0xFF])
def test_a_set_of_pins_is_signed_out(piv, pins):
    CardAuthenticatePin(piv, "user", PIN)
    CardDeauthenticateEx(piv, pins)
    assert state(piv) == 0


def test_everyone_is_left_out(piv, card):
    CardAuthenticatePin(piv, "user", PIN)
    with untouched(card):
        CardDeauthenticateEx(piv, 0x01)
    assert state(piv) == 0x02


def test_a_management_key_is_signed_out_by_a_reset_alone(piv):
    CardAuthenticateChallenge(piv, respond(CardGetChallenge(piv)))
    assert refusal(CardDeauthenticate, piv, "admin") == UNSUPPORTED
    assert refusal(CardDeauthenticateEx, piv, 0x06) == UNSUPPORTED


def test_an_administrator_of_a_gids_card_can_sign_out(gids):
    CardAuthenticateChallenge(gids, respond(CardGetChallenge(gids)))
    CardDeauthenticate(gids, "admin")
    assert state(gids) == 0


@pytest.mark.parametrize("pins", [0, 0x100, -1, None, True])
def test_what_is_no_set_of_pins_is_refused(piv, card, pins):
    with untouched(card):
        assert refusal(CardDeauthenticateEx, piv, pins) == INVALID
        assert refusal(CardDeauthenticateEx, piv, 0x02, 1) == INVALID
        assert refusal(CardDeauthenticate, piv, "anonymous") == INVALID
        assert refusal(CardDeauthenticate, piv, "user", 1) == INVALID
