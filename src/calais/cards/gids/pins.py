"""The PINs of a GIDS card: 1 the user's PIN, 2 the administrator's key, 3 the PUK on cards that have one.

Source: Generic Identity Device Specification v2.0; minidriver specification v7.07, 4.2.
"""

from __future__ import annotations

from calais.cards.gids import adminkey, edge, edge_ours, spec, writing
from calais.cards.gids.keeping import PINS_FACT
from calais.cards.gids.operations import forget_environment
from calais.cards.gids.spec import Algorithm, CardStatus
from calais.cards.gids.view import ADMIN_FACT, CHALLENGE, FEATURES, CardView
from calais.iso7816.apdu import Command
from calais.minidriver.memo import Evidence
from calais.minidriver.pins import PIN_SET_ALL_ROLES, Pin, PinStatus, Role, is_in_pin_set, pin_set
from calais.transport.keypad import Keypad, PinTemplate
from calais.win.errors import BadData, BadParameter, NotAuthenticated, Unsupported, WrongPin
from calais.win.structs import PinCachePolicy, PinInfo

PUK = 3

# SECRET_TYPE, SECRET_PURPOSE and PIN_CACHE_POLICY_TYPE of cardmod.h
_ALPHANUMERIC, _CHALLENGE_RESPONSE = 0, 2
_ADMINISTRATOR, _PRIMARY, _UNBLOCK_ONLY = 4, 5, 6
_CACHE_NORMAL, _CACHE_NONE = 0, 2

_KINDS: dict[int, PinInfo] = {
    Role.USER: PinInfo(_ALPHANUMERIC, _PRIMARY, pin_set(Role.USER), 0, PinCachePolicy(_CACHE_NORMAL)),
    Role.ADMIN: PinInfo(_CHALLENGE_RESPONSE, _ADMINISTRATOR, pin_set(Role.ADMIN), 0, PinCachePolicy(_CACHE_NORMAL)),
    PUK: PinInfo(_ALPHANUMERIC, _UNBLOCK_ONLY, pin_set(PUK), 0, PinCachePolicy(_CACHE_NONE)),
}


# --- which there are -------------------------------------------------------------------------------------------------


def pin_list(view: CardView) -> int:
    """The PIN_SET of the card; looked at once in the life of the memory: a set-up card keeps its PINs.

    Two exchanges; three on a card that does not tell its status.
    """
    view.prove_card()
    known = view.memo.facts.get(PINS_FACT)
    if known is None:
        admin = _has_admin_key(view)
        puk = edge.tries(view.tx, spec.TAG_PUK_STATUS) is not None
        known = pin_set(Role.USER) | (pin_set(Role.ADMIN) if admin else 0) | (pin_set(PUK) if puk else 0)
        view.memo.facts[PINS_FACT] = known
    return int(known)


def _has_admin_key(view: CardView) -> bool:
    status = edge_ours.card_status(view.tx)
    if status.told:
        return status.admin_tries is not None
    try:
        _select_admin_key(view)
    except Unsupported:
        return False
    return True


def require(view: CardView, pin_id: int) -> None:
    """Raise ``BadParameter`` unless the card has PIN ``pin_id``."""
    if pin_id not in _KINDS:
        raise BadParameter(detail=f"a GIDS card has no PIN {pin_id}")
    if pin_id != Role.USER and not is_in_pin_set(pin_list(view), pin_id):
        raise BadParameter(detail=f"this card has no PIN {pin_id}")


def info(view: CardView, pin_id: int) -> PinInfo:
    """PIN_INFO of ``pin_id``.

    Raises:
        BadParameter: no such PIN.
    """
    require(view, pin_id)
    found = _KINDS[pin_id]
    if pin_id != Role.USER:
        return found
    unblock = pin_list(view) & pin_set(Role.ADMIN, PUK)
    return PinInfo(found.pin_type, found.pin_purpose, found.change_permission, unblock, found.cache_policy)


def offers(view: CardView, feature: CardStatus) -> bool:
    """Whether the card has a feature of ours; looked at once in the life of the memory."""
    view.prove_card()
    known = view.memo.facts.get(FEATURES)
    if known is None:
        known = view.memo.facts[FEATURES] = edge_ours.card_status(view.tx).flags
    return bool(known & feature)


def check(pin_id: int, pin: Pin) -> None:
    """Raise when no PIN or PUK looks like ``pin``; the card is not asked (see ``edge.check_pin``)."""
    if pin_id in (Role.USER, PUK):
        edge.check_pin(pin)


# --- status ----------------------------------------------------------------------------------------------------------


def status(view: CardView, pin_id: int) -> PinStatus:
    """Whether a PIN is verified, and the tries left; one exchange."""
    require(view, pin_id)
    view.prove_card()
    if pin_id == Role.ADMIN:
        return _admin_status(view)
    if pin_id == PUK:
        left, most = edge.tries(view.tx, spec.TAG_PUK_STATUS) or (None, None)
        return PinStatus(verified=False, attempts_left=left, blocked=left == 0, attempts_max=most)
    verified, left = edge.verify_status(view.tx)
    return PinStatus(verified, left, blocked=left == 0)


def _admin_status(view: CardView) -> PinStatus:
    tries = edge_ours.card_status(view.tx).admin_tries
    left, most = tries or (None, None)
    return PinStatus(edge.ADMIN in view.tx.volatile.authenticated, left, blocked=left == 0, attempts_max=most)


def authenticated(view: CardView) -> int:
    """The PIN_SET that is authenticated now; one exchange."""
    view.prove_card()
    verified, _ = edge.verify_status(view.tx)
    admin = edge.ADMIN in view.tx.volatile.authenticated
    return (pin_set(Role.USER) if verified else 0) | (pin_set(Role.ADMIN) if admin else 0)


# --- presenting ------------------------------------------------------------------------------------------------------


def authenticate(view: CardView, pin_id: int, pin: Pin) -> None:
    """Present the user's PIN; or, for ROLE_ADMIN, the response to the card's challenge."""
    if pin_id == Role.USER:
        value = edge.check_pin(pin)  # what is the caller's fault is told before anything is sent
        view.prove_card()
        edge.verify(view.tx, value)
        return
    if pin_id == Role.ADMIN:
        answer_challenge(view, pin.value)
        return
    require(view, pin_id)
    raise Unsupported(detail="the PUK of a GIDS card only unblocks", next_step="unblock the PIN with it")


def authenticate_at_keypad(view: CardView, pin_id: int, keypad: Keypad) -> None:
    """Have the user's PIN typed at the reader."""
    require(view, pin_id)
    if pin_id != Role.USER:
        raise Unsupported(detail="only the user's PIN can be typed at the reader")
    view.prove_card()
    edge.ensure_selected(view.tx)
    view.tx.volatile.authenticated.discard(edge.USER)
    command = Command(0, spec.INS_VERIFY, 0, spec.REF_PIN)
    edge.note_verify(view.tx, keypad.verify(PinTemplate(command, spec.PIN_MIN, spec.PIN_MAX)), "PIN")


def deauthenticate(view: CardView, pins: int) -> None:
    """End the authentication of a PIN_SET; the card knows one way, which ends all."""
    if not 0 < pins <= PIN_SET_ALL_ROLES:
        raise BadParameter(detail=f"0x{pins:X} is not a set of PINs")
    forget_environment(view)
    view.memo.facts.pop(CHALLENGE, None)
    edge.deauthenticate(view.tx)


def make_session_pin(view: CardView, pin_id: int, pin: Pin) -> Pin:
    """Trade the user's PIN for a session PIN; the newest one wins, and authenticates nobody before it is presented."""
    if pin_id != Role.USER:
        raise BadParameter(detail=f"there are no session PINs for PIN {pin_id}")
    value = edge.check_pin(pin)
    view.prove_card()
    return Pin(edge_ours.generate_session_pin(view.tx, value))


def authenticate_session(view: CardView, pin_id: int, session_pin: Pin) -> None:
    """Present a session PIN; the tries of the PIN itself are untouched.

    Raises:
        WrongPin: wrong, superseded, or dead since the card lost its power.
        Unsupported: the card has no session PINs.
    """
    if pin_id != Role.USER or not len(session_pin):
        raise BadParameter(detail="a session PIN is for the user's PIN, and not empty")
    if len(session_pin) != spec.SESSION_PIN_SIZE:
        raise WrongPin(detail=f"a session PIN of this card has {spec.SESSION_PIN_SIZE} bytes")
    view.prove_card()
    edge_ours.verify_session_pin(view.tx, session_pin.value)


# --- changing --------------------------------------------------------------------------------------------------------


def change(view: CardView, pin_id: int, old: Pin, new: Pin, auth_id: int) -> None:
    """Replace PIN or PUK, by itself."""
    require(view, pin_id)
    if auth_id != pin_id:
        raise NotAuthenticated(detail=f"PIN {auth_id} does not change PIN {pin_id}")
    if pin_id == Role.ADMIN:
        raise Unsupported(detail="the administrator's key is changed by change_admin_key")
    present, fresh = edge.check_pin(old), edge.check_pin(new)
    view.prove_card()
    forget_environment(view)
    edge.change_reference(view.tx, spec.REF_PUK if pin_id == PUK else spec.REF_PIN, present, fresh)
    view.memo.pin_changes += 1


def unblock(view: CardView, pin_id: int, auth_id: int, auth: Pin, new: Pin) -> None:
    """Unblock the user's PIN and set it anew, by the response to the card's challenge (2) or by the PUK (3).

    One act: afterwards nobody is authenticated, whatever happened.

    Raises:
        BadParameter: a PIN that would unblock itself, or an empty one.
        NotAuthenticated: the authenticating PIN may not unblock this one.
        WrongPin, PinBlocked: of the authenticating PIN.
    """
    target = info(view, pin_id)
    require(view, auth_id)
    if auth_id == pin_id:
        raise BadParameter(detail="a PIN does not unblock itself")
    if not target.unblock_permission & pin_set(auth_id):
        raise NotAuthenticated(detail=f"PIN {auth_id} may not unblock PIN {pin_id}")
    fresh = edge.check_pin(new)
    forget_environment(view)
    if auth_id == PUK:
        reset_by_puk(view, edge.check_pin(auth), fresh)
    else:
        answer_challenge(view, auth.value)
        reset_by_admin(view, fresh)
    view.memo.pin_changes += 1


def reset_by_puk(view: CardView, puk: bytes, new: bytes) -> None:
    """Set the user's PIN anew by the PUK; nobody is authenticated afterwards."""
    try:
        edge.reset_by_puk(view.tx, puk, new)
    finally:
        sign_out(view)


def reset_by_admin(view: CardView, new: bytes) -> None:
    """Set the user's PIN anew, the administrator's key being authenticated; it is not afterwards."""
    try:
        edge.reset_by_admin(view.tx, new)
    finally:
        sign_out(view)


def sign_out(view: CardView) -> None:
    """Nobody is to be authenticated any more; nothing happens when the transaction is over."""
    if view.tx.open:
        forget_environment(view)
        edge.deauthenticate(view.tx)


def reset(view: CardView, key: bytes, new: Pin) -> None:
    """Unblock the user's PIN with the administrator's key itself, and set it anew; nobody is authenticated after."""
    fresh = edge.check_pin(new)
    authenticate_admin(view, key)
    reset_by_admin(view, fresh)
    view.memo.pin_changes += 1


# --- administrator's key ---------------------------------------------------------------------------------------------


def _select_admin_key(view: CardView) -> None:
    view.prove_card()
    forget_environment(view)
    edge.select_admin_key(view.tx)


def challenge(view: CardView) -> bytes:
    """A challenge of the card for whoever holds the administrator's key: 8 bytes (Triple DES) or 16 (AES).

    Raises:
        Unsupported: the card has no such key.
        BadData: it is of no cipher's length.
    """
    view.memo.facts.pop(CHALLENGE, None)
    _select_admin_key(view)
    given = edge.challenge(view.tx)
    view.memo.facts[ADMIN_FACT] = int(adminkey.algorithm_of_block(len(given)))
    view.memo.facts[CHALLENGE] = (view.now, len(given))
    return given


def answer_challenge(view: CardView, response: bytes) -> None:
    """Answer ``challenge``, once; an answer that cannot be right is not sent and uses up no try.

    Raises:
        BadParameter: empty.
        WrongPin: wrong, of the wrong length, or no challenge is open.
    """
    if not response:
        raise BadParameter(detail="an empty response")
    view.prove_card()
    seen, size = view.memo.facts.pop(CHALLENGE, (None, 0))
    if not isinstance(seen, Evidence) or not seen.holds(view.now) or len(response) != size:
        raise WrongPin(detail="no challenge is open that this response could answer; no try was used")
    edge.answer(view.tx, response, mutual=False)


def authenticate_admin(view: CardView, key: bytes) -> None:
    """Authenticate with the administrator's key; the card proves that it knows the key, too, where it can.

    Three exchanges; before the first use the card is asked which cipher its key is for: two more.

    Raises:
        BadParameter: no administrator's key of this card has this length.
        WrongPin: the card does not accept the key.
        NotAuthenticated: SCARD_W_CARD_NOT_AUTHENTICATED, the card does not know the key.
    """
    adminkey.check_key(key)
    algorithm = admin_algorithm(view)
    if len(key) not in spec.ADMIN_KEY_BYTES[algorithm]:
        raise BadParameter(detail=f"a key of {len(key)} bytes does not go with the card's administrator key")
    if view.application.mutual is False:
        answer_challenge(view, adminkey.response(key, challenge(view)))
        return
    _select_admin_key(view)
    ours = view.memo.random(spec.RANDOM_BYTES)
    theirs = edge.challenge(view.tx, ours)
    if len(theirs) != spec.RANDOM_BYTES:
        raise BadData(detail=f"the card's random number has {len(theirs)} bytes, not {spec.RANDOM_BYTES}")
    proof = edge.answer(view.tx, adminkey.prove(algorithm, key, ours, theirs, view.memo.random), mutual=True)
    try:
        adminkey.check_proof(algorithm, key, ours, theirs, proof)
    except NotAuthenticated:
        edge.deauthenticate(view.tx)
        raise


def admin_algorithm(view: CardView) -> Algorithm:
    """The cipher of the administrator's key; a challenge tells, the first time."""
    if ADMIN_FACT not in view.memo.facts:
        challenge(view)
        view.memo.facts.pop(CHALLENGE, None)
    return Algorithm(view.memo.facts[ADMIN_FACT])


def change_admin_key(view: CardView, new: bytes) -> None:
    """Replace the administrator's key, once authenticated with the present one."""
    adminkey.check_key(new)
    view.prove_card()
    algorithm = Algorithm(view.memo.facts.get(ADMIN_FACT, Algorithm.TDES))
    if len(new) not in spec.ADMIN_KEY_BYTES[algorithm]:
        raise BadParameter(detail=f"a key of {len(new)} bytes does not go with the card's administrator key")
    writing.change_admin_key(view, new, adminkey.check_value(algorithm, new))
