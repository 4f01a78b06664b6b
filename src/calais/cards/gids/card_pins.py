"""VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER and GENERATE SESSION PIN of the virtual GIDS card.

A try is taken from the counter, durably, before the values are compared, and given back after a match. A value that
cannot be a PIN costs no try. A session PIN is random, presented in the PIN's place, and counts its own tries; it ends
with the power, with a newer one, and when the PIN is changed or unblocked.

Source: Microsoft's Generic Identity Device Specification v2.0; Microsoft's smart card minidriver guidelines (session
PINs and secure PIN channel); ISO/IEC 7816-4:2020, 11.5.
"""

from __future__ import annotations

from dataclasses import replace

from calais.cards.arithmetic import same
from calais.cards.front import Refusal
from calais.cards.gids import spec
from calais.cards.gids.state import RECORD_OF_REFERENCE, CardState, SessionPin
from calais.cards.state import Reference
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW

TRIES_SHOWN_MAX = 15


def verify(state: CardState, command: Command) -> bytes:
    """VERIFY: present the PIN or a session PIN, ask for its state (no data), or give all authentication back (82)."""
    if command.p1 != 0:
        raise Refusal(SW.INCORRECT_P1P2)
    if command.p2 == spec.REF_DEAUTHENTICATE:
        return _deauthenticate(state, command)
    if command.p2 == spec.REF_SESSION_PIN:
        return _verify_session_pin(state, command.data)
    pin = _reference(state, command.p2) if command.p2 == spec.REF_PIN else None
    if pin is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if not command.data:
        return _status(state, pin.left)
    present(state, spec.REF_PIN, pin, command.data)
    state.volatile.user = True
    return b""


def change_reference_data(state: CardState, command: Command) -> bytes:
    """CHANGE REFERENCE DATA: old and new value (P1 = 00), or the first value during set-up (P1 = 01)."""
    if command.p2 not in RECORD_OF_REFERENCE:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if command.p1 == spec.P1_CHANGE_SET:
        return _set_first(state, command.p2, command.data)
    if command.p1 != spec.P1_CHANGE_EXCHANGE:
        raise Refusal(SW.INCORRECT_P1P2)
    reference = _reference(state, command.p2)
    new = _present_before(state, command.p2, reference, command.data)
    _replace(state, command.p2, reference, new)
    if command.p2 == spec.REF_PIN:
        state.volatile.user = True
    return b""


def reset_retry_counter(state: CardState, command: Command) -> bytes:
    """RESET RETRY COUNTER: PUK and new PIN (P1 = 00), or new PIN after admin authentication (P1 = 02).

    Nobody is authenticated afterwards.
    """
    if command.p1 not in (spec.P1_RESET_BY_PUK, spec.P1_RESET_BY_ADMIN):
        raise Refusal(SW.INCORRECT_P1P2)
    if state.in_setup:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    if command.p2 != spec.REF_PIN:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    pin = _reference(state, spec.REF_PIN)
    if command.p1 == spec.P1_RESET_BY_PUK:
        new = _present_before(state, spec.REF_PUK, _reference(state, spec.REF_PUK), command.data)
    else:
        if not state.volatile.admin:
            raise Refusal(SW.SECURITY_STATUS_NOT_SATISFIED)
        new = _checked(command.data)
    _replace(state, spec.REF_PIN, pin, new)
    sign_out(state)
    return b""


def generate_session_pin(state: CardState, command: Command) -> bytes:
    """GENERATE SESSION PIN: the PIN in, a session PIN out; who is authenticated stays as it is."""
    if not state.profile.session_pins:
        raise Refusal(SW.INS_NOT_SUPPORTED)
    if command.p1 or command.p2 != spec.REF_PIN:
        raise Refusal(SW.INCORRECT_P1P2)
    present(state, spec.REF_PIN, _reference(state, spec.REF_PIN), command.data)
    state.session_pin = SessionPin(state.random(spec.SESSION_PIN_SIZE))
    return state.session_pin.value


def sign_out(state: CardState) -> None:
    """Nobody is authenticated any more, and no challenge is open."""
    state.volatile.user = state.volatile.admin = False
    state.volatile.challenge = None


def tries_left(left: int) -> int:
    """The status word that says how many tries are left: 63Cx, or 6983 for none."""
    return SW.TRIES_LEFT | min(left, TRIES_SHOWN_MAX) if left else SW.AUTHENTICATION_BLOCKED


def present(state: CardState, ref: int, reference: Reference, given: bytes) -> None:
    """Return with the full counter staged when ``given`` is the value; refuse, one try poorer, when it is not."""
    _compare(state, ref, reference, _checked(given))


def _present_before(state: CardState, ref: int, reference: Reference, data: bytes) -> bytes:
    """What follows the value of ``reference`` in ``data``, as ``present`` otherwise."""
    if not 2 * spec.PIN_MIN <= len(data) <= 2 * spec.PIN_MAX:
        raise Refusal(SW.INCORRECT_DATA)
    given, new = data[: len(reference.value)], data[len(reference.value) :]
    _compare(state, ref, reference, given)
    if not spec.PIN_MIN <= len(new) <= spec.PIN_MAX:
        state.records.commit()  # the old value was right, and costs no try
    return _checked(new)


def _compare(state: CardState, ref: int, reference: Reference, given: bytes) -> None:
    if reference.left == 0:
        raise Refusal(SW.AUTHENTICATION_BLOCKED)
    state.commit_try(ref, reference)
    if not same(given, reference.value):
        # A wrong PUK takes the PIN's status as well: it is the PIN that was to be changed.
        state.volatile.user = False
        raise Refusal(SW.TRIES_LEFT | min(reference.left - 1, TRIES_SHOWN_MAX))
    state.set_reference(ref, replace(reference, left=reference.maximum))


def _checked(value: bytes) -> bytes:
    if not spec.PIN_MIN <= len(value) <= spec.PIN_MAX:
        raise Refusal(SW.INCORRECT_DATA)
    return value


def _reference(state: CardState, ref: int) -> Reference:
    reference = state.reference(ref)
    if reference is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    return reference


def _set_first(state: CardState, ref: int, value: bytes) -> bytes:
    if not state.in_setup:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    tries = spec.PIN_TRIES if ref == spec.REF_PIN else spec.PUK_TRIES
    state.set_reference(ref, Reference(_checked(value), tries, tries))
    state.begin()
    return b""


def _replace(state: CardState, ref: int, old: Reference, value: bytes) -> None:
    state.set_reference(ref, Reference(value, old.maximum, old.maximum))
    if ref == spec.REF_PIN:
        state.session_pin = None


def _status(state: CardState, left: int) -> bytes:
    if state.circumstances.user:
        return b""
    raise Refusal(tries_left(left))


def _deauthenticate(state: CardState, command: Command) -> bytes:
    if command.data:
        raise Refusal(SW.INCORRECT_DATA)
    sign_out(state)
    return b""


def _verify_session_pin(state: CardState, given: bytes) -> bytes:
    """Present a session PIN; its counter lives and dies with it."""
    session = state.session_pin
    if session is None:
        raise Refusal(SW.REFERENCE_DATA_NOT_USABLE if state.profile.session_pins else SW.REFERENCE_NOT_FOUND)
    if not given:
        return _status(state, session.left)
    if session.left == 0:
        raise Refusal(SW.AUTHENTICATION_BLOCKED)
    session.left -= 1
    state.volatile.user = False
    if not same(given, session.value):
        raise Refusal(SW.TRIES_LEFT | session.left)
    session.left = spec.SESSION_PIN_TRIES
    state.volatile.user = True
    return b""
