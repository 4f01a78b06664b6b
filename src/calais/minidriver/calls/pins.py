"""PINs, challenges and responses.

Source: Microsoft's smart card minidriver specification v7.07, 4.2; "Developer Guidelines" (session PINs, challenge and
response).
"""

from __future__ import annotations

from contextlib import suppress

from calais.minidriver.api import Minidriver
from calais.minidriver.calls.context import ATTEMPTS_UNKNOWN, Call, enter
from calais.minidriver.data import Challenge
from calais.minidriver.memo import Evidence
from calais.minidriver.pins import MAX_PINS, Pin, Role, is_in_pin_set, pin_set
from calais.win import flags as win
from calais.win.errors import BadParameter, NotAuthenticated, Unsupported, WinError, WrongPin
from calais.win.structs import PinInfo

_ROLE: dict[str, Role] = {win.wszCARD_USER_USER: Role.USER, win.wszCARD_USER_ADMIN: Role.ADMIN}
_SIGNED_OUT = pin_set(Role.USER, Role.ADMIN)


def _pin(card: Minidriver, pin_id: int) -> PinInfo:
    """What ``pin_id`` is.

    Raises:
        BadParameter: the card has no such PIN.
    """
    if not is_in_pin_set(card.pin_list(), pin_id):
        raise BadParameter(detail=f"the card has no PIN {pin_id}")
    return card.pin_info(pin_id)


def _admin(card: Minidriver) -> PinInfo:
    """What ROLE_ADMIN is.

    Raises:
        Unsupported: the card has no administrator.
    """
    if not is_in_pin_set(card.pin_list(), Role.ADMIN):
        raise Unsupported(detail="the card has no administrator")
    return card.pin_info(Role.ADMIN)


def _answers(info: PinInfo) -> bool:
    return info.pin_type == win.ChallengeResponsePinType


# --- authenticate ----------------------------------------------------------------------------------------------------


def authenticate_pin(data: object, user: str, pin: bytes) -> None:
    """``CardAuthenticatePin``."""
    with enter(data, "CardAuthenticatePin", user, pin).card() as card:
        role = _ROLE[user]
        info = _pin(card, role) if role == Role.USER else _admin(card)
        if _answers(info):
            raise Unsupported(detail="this PIN is one of challenge and response", next_step="ask for a challenge")
        _present(card, role, info, pin)


def authenticate_ex(data: object, pin_id: int, flags: int, secret: bytes | None) -> bytes | None:
    """``CardAuthenticateEx``; a session PIN with GENERATE, else ``None``."""
    call = enter(data, "CardAuthenticateEx", pin_id, flags, secret)
    with call.card() as card:
        info = _pin(card, pin_id)
        if info.pin_type == win.EmptyPinType:
            return None
        if secret is None and info.pin_type != win.ExternalPinType:
            raise BadParameter(detail="a PIN is missing")
        session = flags & (win.CARD_AUTHENTICATE_GENERATE_SESSION_PIN | win.CARD_AUTHENTICATE_SESSION_PIN)
        if session:
            return _use_session_pin(card, pin_id, session, secret)
        if secret is None:
            card.authenticate_external(pin_id, silent=bool(flags & win.CARD_PIN_SILENT_CONTEXT))
        elif _answers(info):
            _answer(call, card, pin_id, secret)
        else:
            _present(card, pin_id, info, secret)
        return None


def _present(card: Minidriver, pin_id: int, info: PinInfo, secret: bytes) -> None:
    pin = Pin(secret)
    card.check_pin(pin_id, pin)
    if info.cache_policy.policy == win.PinCacheAlwaysPrompt:
        card.prepare(pin_id)
    card.authenticate(pin_id, pin)


def _use_session_pin(card: Minidriver, pin_id: int, flag: int, secret: bytes | None) -> bytes | None:
    if not is_in_pin_set(card.session_pins, pin_id):
        raise Unsupported(detail=f"PIN {pin_id} of this card has no session PINs")
    if secret is None:
        raise BadParameter(detail="a PIN is missing")
    if flag == win.CARD_AUTHENTICATE_GENERATE_SESSION_PIN:
        return card.make_session_pin(pin_id, Pin(secret)).value
    card.authenticate_session(pin_id, Pin(secret))
    return None


# --- challenge and response ------------------------------------------------------------------------------------------


def get_challenge(data: object) -> bytes:
    """``CardGetChallenge``: for ROLE_ADMIN."""
    call = enter(data, "CardGetChallenge")
    with call.card() as card:
        if not _answers(_admin(card)):
            raise Unsupported(detail="the administrator of this card has no key for challenge and response")
        return _challenge(call, card, Role.ADMIN)


def get_challenge_ex(data: object, pin_id: int, flags: int) -> bytes:
    """``CardGetChallengeEx``."""
    call = enter(data, "CardGetChallengeEx", pin_id, flags)
    with call.card() as card:
        if not _answers(_pin(card, pin_id)):
            raise BadParameter(detail=f"PIN {pin_id} is not one of challenge and response")
        return _challenge(call, card, pin_id)


def _challenge(call: Call, card: Minidriver, pin_id: int) -> bytes:
    challenge = card.challenge(pin_id)
    call.binding.challenge = Challenge(pin_id, len(challenge), Evidence.of(card.tx))
    return challenge


def authenticate_challenge(data: object, response: bytes) -> None:
    """``CardAuthenticateChallenge``: for ROLE_ADMIN."""
    call = enter(data, "CardAuthenticateChallenge", response)
    with call.card() as card:
        _admin(card)
        _answer(call, card, Role.ADMIN, response)


def _answer(call: Call, card: Minidriver, pin_id: int, response: bytes) -> None:
    _check_response(call, card, pin_id, response)
    card.answer_challenge(bytes(response), pin_id)


def _check_response(call: Call, card: Minidriver, pin_id: int, response: bytes) -> None:
    """Make sure that ``response`` can answer the challenge of the call before this one; what cannot is not sent.

    Raises:
        WrongPin: there is none, it was another PIN's, others have used the card since, or the length is wrong.
    """
    open_one = call.binding.answerable
    if open_one is None or open_one.pin_id != pin_id or not open_one.seen.holds(Evidence.of(card.tx)):
        raise WrongPin(detail="no challenge is open; no try was used", attempts_left=ATTEMPTS_UNKNOWN)
    if len(response) != open_one.size:
        raise WrongPin(detail="the response is not as long as the challenge; no try was used")


# --- change and unblock ----------------------------------------------------------------------------------------------


def unblock_pin(data: object, user: str, auth: bytes, new: bytes, retries: int, method: int) -> None:
    """``CardUnblockPin``."""
    call = enter(data, "CardUnblockPin", user, auth, new, retries, method)
    if user != win.wszCARD_USER_USER:
        raise Unsupported(detail="only the user's PIN can be unblocked")
    with call.card() as card:
        by_response = method == win.CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE
        _unblock(call, card, Role.USER, _unblocker(card, by_response=by_response), auth, new)


def _unblocker(card: Minidriver, *, by_response: bool) -> int:
    """The PIN that unblocks ROLE_USER in this way: response or PIN.

    Raises:
        Unsupported: the card has no such way.
    """
    permission = _pin(card, Role.USER).unblock_permission & ~pin_set(Role.USER) & card.pin_list()
    for pin_id in range(1, MAX_PINS):
        if is_in_pin_set(permission, pin_id) and _answers(card.pin_info(pin_id)) == by_response:
            return pin_id
    raise Unsupported(detail="the card cannot be unblocked in this way")


def _unblock(call: Call, card: Minidriver, pin_id: int, auth_id: int, auth: bytes, new: bytes) -> None:
    """One act; afterwards neither user nor administrator is authenticated."""
    by_response = _answers(card.pin_info(auth_id))
    if by_response:
        _check_response(call, card, auth_id, auth)
    try:
        card.unblock_pin(pin_id, auth_id, Pin(auth), Pin(new))
    except WinError:
        if by_response and card.tx.open:
            with suppress(WinError):
                _sign_out(card)
        raise
    _sign_out(card)


def _sign_out(card: Minidriver) -> None:
    """End the authentication of user and administrator; by a reset at the end of the transaction if need be."""
    try:
        card.deauthenticate(_SIGNED_OUT)
    except Unsupported:
        card.tx.reset_at_end = True


def change_authenticator(data: object, user: str, current: bytes, new: bytes, retries: int, method: int) -> None:
    """``CardChangeAuthenticator``: the user's PIN by itself, or the administrator's key by a response."""
    call = enter(data, "CardChangeAuthenticator", user, current, new, retries, method)
    role = _ROLE[user]
    if (role == Role.ADMIN) != (method == win.CARD_AUTHENTICATE_PIN_CHALLENGE_RESPONSE):
        raise BadParameter(detail="the user has a PIN, the administrator a response")
    with call.card() as card:
        if role == Role.USER:
            _pin(card, role)
            card.change_pin(role, Pin(current), Pin(new))
        else:
            _change_admin_key(call, card, current, new)


def _change_admin_key(call: Call, card: Minidriver, response: bytes, new: bytes) -> None:
    if not _answers(_admin(card)):
        raise Unsupported(detail="the administrator of this card has no key for challenge and response")
    if len(new) not in card.admin_key_sizes:
        sizes = " or ".join(map(str, card.admin_key_sizes))
        raise BadParameter(detail=f"the administrator's key has {sizes} bytes, not {len(new)}")
    _answer(call, card, Role.ADMIN, response)
    card.change_admin_key(bytes(new))


def change_authenticator_ex(
    data: object, flags: int, auth_id: int, auth: bytes | None, target_id: int, new: bytes | None, retries: int
) -> None:
    """``CardChangeAuthenticatorEx``."""
    call = enter(data, "CardChangeAuthenticatorEx", flags, auth_id, auth, target_id, new, retries)
    unblock = bool(flags & win.PIN_CHANGE_FLAG_UNBLOCK)
    if unblock and auth_id == target_id:
        raise BadParameter(detail="a PIN does not unblock itself")
    with call.card() as card:
        target = _pin(card, target_id)
        auth_data = _given(_pin(card, auth_id), auth)
        new_data = _given(target, new)
        if not is_in_pin_set(target.unblock_permission if unblock else target.change_permission, auth_id):
            raise NotAuthenticated(detail=f"PIN {auth_id} has no say over PIN {target_id}")
        if unblock:
            _unblock(call, card, target_id, auth_id, auth_data, new_data)
        else:
            _change(call, card, target_id, auth_id, auth_data, new_data)


def _given(info: PinInfo, data: bytes | None) -> bytes:
    if data is None and info.pin_type != win.ExternalPinType:
        raise BadParameter(detail="PIN data may be missing only where the PIN is entered elsewhere")
    return data or b""


def _change(call: Call, card: Minidriver, target_id: int, auth_id: int, auth: bytes, new: bytes) -> None:
    if target_id == auth_id == Role.ADMIN and _answers(card.pin_info(Role.ADMIN)):
        _change_admin_key(call, card, auth, new)
        return
    if _answers(card.pin_info(auth_id)):
        _check_response(call, card, auth_id, auth)
    card.change_pin(target_id, Pin(auth), Pin(new), auth_id=auth_id)


# --- deauthenticate --------------------------------------------------------------------------------------------------


def deauthenticate(data: object, user: str, flags: int) -> None:
    """``CardDeauthenticate``."""
    with enter(data, "CardDeauthenticate", user, flags).card() as card:
        card.deauthenticate(pin_set(_ROLE[user]))


def deauthenticate_ex(data: object, pins: int, flags: int) -> None:
    """``CardDeauthenticateEx``; everyone is left out, for nobody authenticates as everyone."""
    with enter(data, "CardDeauthenticateEx", pins, flags).card() as card:
        if pins & ~pin_set(Role.EVERYONE):
            card.deauthenticate(pins & ~pin_set(Role.EVERYONE))
