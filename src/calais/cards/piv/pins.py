"""The PINs of a PIV card: 1 the application PIN, 2 the management key, 3 the PUK, 4 the application PIN for slot 9C.

Source: SP 800-73-4 part 1, 3.3.2 and table 4b, part 2, 3.2; minidriver specification v7.07, 4.2.
"""

from __future__ import annotations

from calais.cards.piv import edge, edge_yubico, management, spec
from calais.cards.piv.objects import pin_reference
from calais.cards.piv.view import CardView
from calais.minidriver.memo import Evidence
from calais.minidriver.pins import PIN_SET_ALL_ROLES, Pin, PinStatus, Role, pin_set
from calais.transport.keypad import Keypad
from calais.win.codes import Code
from calais.win.errors import (
    BadData,
    BadParameter,
    NotAuthenticated,
    NotFound,
    Unsupported,
    WinError,
    WrongPin,
)
from calais.win.structs import PinCachePolicy, PinInfo

PUK = 3
USER_ALWAYS = 4
_USER_PINS = (Role.USER, USER_ALWAYS)
PIN_OF_POLICY = {
    spec.PinPolicy.NEVER: Role.EVERYONE,
    spec.PinPolicy.ONCE: Role.USER,
    spec.PinPolicy.ALWAYS: USER_ALWAYS,
}

# SECRET_TYPE, SECRET_PURPOSE and PIN_CACHE_POLICY_TYPE of cardmod.h
_ALPHANUMERIC, _CHALLENGE_RESPONSE = 0, 2
_SIGNATURE_PIN, _ADMINISTRATOR, _PRIMARY, _UNBLOCK_ONLY = 1, 4, 5, 6
_CACHE_NORMAL, _CACHE_NONE, _CACHE_ALWAYS_PROMPT = 0, 2, 3

PINS: dict[int, PinInfo] = {
    Role.USER: PinInfo(_ALPHANUMERIC, _PRIMARY, pin_set(Role.USER), pin_set(PUK), PinCachePolicy(_CACHE_NORMAL)),
    Role.ADMIN: PinInfo(_CHALLENGE_RESPONSE, _ADMINISTRATOR, pin_set(Role.ADMIN), 0, PinCachePolicy(_CACHE_NORMAL)),
    PUK: PinInfo(_ALPHANUMERIC, _UNBLOCK_ONLY, pin_set(PUK), 0, PinCachePolicy(_CACHE_NONE)),
    USER_ALWAYS: PinInfo(
        _ALPHANUMERIC, _SIGNATURE_PIN, pin_set(Role.USER), pin_set(PUK), PinCachePolicy(_CACHE_ALWAYS_PROMPT)
    ),
}
PIN_LIST = pin_set(*PINS)


def info(pin_id: int) -> PinInfo:
    """PIN_INFO of ``pin_id``.

    Raises:
        BadParameter: no such PIN.
    """
    found = PINS.get(pin_id)
    if found is None:
        raise BadParameter(detail=f"a PIV card has no PIN {pin_id}")
    return found


def reference(view: CardView, pin_id: int) -> int:
    """Key reference of a PIN or PUK; the first time for a card that takes a look at its Discovery object."""
    return spec.REF_PUK if pin_id == PUK else pin_reference(view.pin_policy())


def status(view: CardView, pin_id: int) -> PinStatus:
    """Whether the PIN is verified, and the tries left."""
    info(pin_id)
    if pin_id == Role.ADMIN:
        return PinStatus(spec.REF_MANAGEMENT_KEY in view.tx.volatile.authenticated, None, blocked=False)
    if pin_id == PUK:
        return _puk_status(view)
    verified, left = edge.verify_status(view.tx, reference(view, pin_id))
    return PinStatus(verified, left, blocked=left == 0)


def _puk_status(view: CardView) -> PinStatus:
    """PIV has no way to ask for the PUK's tries; some cards tell all the same."""
    try:
        told = edge_yubico.metadata(view.tx, spec.REF_PUK)
    except (Unsupported, NotFound, BadData):
        return PinStatus(verified=False, attempts_left=None, blocked=False)
    retries = told.get(spec.TAG_METADATA_RETRIES, b"")
    most, left = (retries[0], retries[1]) if len(retries) == 2 else (None, None)
    default = told.get(spec.TAG_METADATA_IS_DEFAULT)
    return PinStatus(
        verified=False,
        attempts_left=left,
        blocked=left == 0,
        attempts_max=most,
        is_default=None if default is None else any(default),
    )


def check(pin_id: int, pin: Pin) -> None:
    """Tell what is the caller's fault before anything is sent.

    Raises:
        BadParameter: no such PIN, or it is empty.
        WinError: SCARD_E_INVALID_CHV, a length that no PIN of the card has.
        Unsupported: the PUK, which authenticates nobody.
    """
    info(pin_id)
    if pin_id == PUK:
        raise Unsupported(detail="the PUK of a PIV card only unblocks", next_step="unblock the PIN with it")
    if pin_id != Role.ADMIN:
        edge.pad_pin(pin)


def authenticate(view: CardView, pin_id: int, pin: Pin) -> None:
    """Present the application PIN; or, for ROLE_ADMIN, the response to the card's challenge."""
    check(pin_id, pin)
    if pin_id == Role.ADMIN:
        answer_challenge(view, pin.value)
    else:
        edge.verify(view.tx, reference(view, pin_id), pin)


def authenticate_at_keypad(view: CardView, pin_id: int, keypad: Keypad) -> None:
    """Have the application PIN typed at the reader."""
    info(pin_id)
    if pin_id not in _USER_PINS:
        raise Unsupported(detail="only the cardholder's PIN can be typed at the reader")
    edge.verify_at_keypad(view.tx, reference(view, pin_id), keypad)


def deauthenticate(view: CardView, pins: int) -> None:
    """End the authentication of a PIN_SET; the management key's ends only with a reset."""
    if not 0 < pins <= PIN_SET_ALL_ROLES:
        raise BadParameter(detail=f"0x{pins:X} is not a set of PINs")
    if pins & pin_set(*_USER_PINS):
        edge.reset_status(view.tx, reference(view, Role.USER))
    if pins & pin_set(Role.ADMIN) and spec.REF_MANAGEMENT_KEY in view.tx.volatile.authenticated:
        raise Unsupported(
            detail="the card ends the authentication of its management key only by a reset", next_step="reset the card"
        )


def authenticated(view: CardView) -> int:
    """The PIN_SET that is authenticated now; asks the card about its PIN."""
    verified, _ = edge.verify_status(view.tx, reference(view, Role.USER))
    admin = spec.REF_MANAGEMENT_KEY in view.tx.volatile.authenticated
    return (pin_set(Role.USER) if verified else 0) | (pin_set(Role.ADMIN) if admin else 0)


def change(view: CardView, pin_id: int, old: Pin, new: Pin) -> None:
    """Replace PIN or PUK, by itself."""
    info(pin_id)
    if pin_id == Role.ADMIN:
        raise Unsupported(detail="the management key is changed by change_admin_key")
    edge.pad_pin(old)
    edge.pad_pin(new)
    edge.change_reference(view.tx, reference(view, pin_id), old, new)
    view.memo.pin_changes += 1


def unblock(view: CardView, pin_id: int, auth_id: int, auth: Pin, new: Pin) -> None:
    """Unblock the application PIN with the PUK and set it anew.

    Raises:
        BadParameter: a PIN that would unblock itself.
        NotAuthenticated: the authenticating PIN may not unblock this one.
        Unsupported: the cardholder's PIN is the global one, which PIV cannot unblock.
    """
    target, _ = info(pin_id), info(auth_id)
    if auth_id == pin_id:
        raise BadParameter(detail="a PIN does not unblock itself")
    if not target.unblock_permission & pin_set(auth_id):
        raise NotAuthenticated(detail=f"PIN {auth_id} may not unblock PIN {pin_id}", next_step="use the PUK")
    edge.pad_pin(auth)
    edge.pad_pin(new)
    ref = reference(view, pin_id)
    if ref != spec.REF_PIN:
        raise Unsupported(detail="the global PIN of a card cannot be unblocked through PIV")
    edge.reset_retry_counter(view.tx, ref, auth, new)
    view.memo.pin_changes += 1


# --- management key --------------------------------------------------------------------------------------------------

ADMIN_ALGORITHM = "piv.management_algorithm"
_MANAGED, _CHALLENGE = "piv.managed", "piv.challenge"


def is_managed(view: CardView) -> bool:
    """Whether the card has a management key; asked once for a card. Without one nothing but its PINs can change."""
    if ADMIN_ALGORITHM in view.memo.facts:
        return True
    known: bool | None = view.memo.facts.get(_MANAGED)
    if known is None:
        known = _has_management_key(view)
        view.memo.facts[_MANAGED] = known
    return known


def _has_management_key(view: CardView) -> bool:
    try:
        edge_yubico.metadata(view.tx, spec.REF_MANAGEMENT_KEY)
    except NotFound:
        return False
    except (Unsupported, BadData):
        return _gives_challenge(view)
    return True


def _gives_challenge(view: CardView) -> bool:
    try:
        challenge(view)
    except Unsupported:
        return False
    view.memo.facts.pop(_CHALLENGE, None)
    return True


def authenticate_admin(view: CardView, key: bytes) -> None:
    """Mutual authentication with the management key: two exchanges, and the card proves that it knows the key, too.

    The cipher is the one that goes with the key's length, or what the card said before. Asking for a witness with the
    wrong cipher uses up nothing, so the next candidate is tried; the proof itself is sent once.

    Raises:
        BadParameter: no management key has this length.
        WrongPin: the card does not accept the key.
        NotAuthenticated: SCARD_W_CARD_NOT_AUTHENTICATED, the card does not know the key.
    """
    algorithm, witness = _witness(view, key)
    challenge = view.memo.random(spec.BLOCK_BYTES[algorithm])
    answer = edge.management_prove(view.tx, algorithm, management.decrypt(algorithm, key, witness), challenge)
    management.check_answer(algorithm, key, challenge, answer)
    view.memo.facts[ADMIN_ALGORITHM] = int(algorithm)


def _witness(view: CardView, key: bytes) -> tuple[int, bytes]:
    refused: WinError | None = None
    known = view.memo.facts.get(ADMIN_ALGORITHM)
    for algorithm in sorted(management.candidates(key), key=lambda one: one != known):
        try:
            return algorithm, edge.management_witness(view.tx, algorithm)
        except (BadParameter, Unsupported, NotFound, BadData) as error:
            refused = error
    raise WrongPin(detail="management key: the card has one of another kind") from refused


def challenge(view: CardView) -> bytes:
    """A challenge of the card for whoever holds the management key, 8 or 16 bytes."""
    known = view.memo.facts.get(ADMIN_ALGORITHM)
    refused: WinError | None = None
    for algorithm in sorted(spec.BLOCK_BYTES, key=lambda one: one != known):
        try:
            answer = edge.management_challenge(view.tx, algorithm)
        except (BadParameter, Unsupported, NotFound) as error:
            refused = error
            continue
        view.memo.facts[ADMIN_ALGORITHM] = int(algorithm)
        view.memo.facts[_CHALLENGE] = (view.now, len(answer))
        return answer
    raise Unsupported(detail="the card gives no challenge for its management key") from refused


def answer_challenge(view: CardView, response: bytes) -> None:
    """Answer ``challenge``, once; an answer that cannot be right is not sent, and uses up no try.

    Raises:
        BadParameter: empty.
        WrongPin: wrong, of the wrong length, or no challenge is open.
    """
    if not response:
        raise BadParameter(detail="an empty response")
    seen, size = view.memo.facts.pop(_CHALLENGE, (None, 0))
    if not isinstance(seen, Evidence) or not seen.holds(view.now) or len(response) != size:
        raise WrongPin(detail="no challenge is open that this response could answer; no try was used")
    algorithm = view.memo.facts[ADMIN_ALGORITHM]
    try:
        edge.management_answer(view.tx, algorithm, response)
    except WinError as error:
        if error.code != Code.SCARD_E_NO_ACCESS:
            raise
        raise WrongPin(detail="no challenge is open that this response could answer") from error


def change_admin_key(view: CardView, new: bytes) -> None:
    """Replace the management key by one of the same cipher, or of the one that its length means."""
    choices = management.candidates(new)
    known = view.memo.facts.get(ADMIN_ALGORITHM)
    algorithm = known if known in choices else choices[0]
    edge_yubico.set_management_key(view.tx, int(algorithm), new)
    view.memo.facts[ADMIN_ALGORITHM] = int(algorithm)
