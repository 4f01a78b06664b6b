"""VERIFY, CHANGE REFERENCE DATA and RESET RETRY COUNTER of the virtual PIV card.

A try is taken from the counter, durably, before the values are compared, and given back after a match. A value that
cannot be a PIN costs no try, with one exception: the empty PIN (eight FF) counts as a wrong one, because Yubico's
reset blocks a card with it. Source: SP 800-73-4 part 1, 2.4.3 (format), part 2, 3.2.1 to 3.2.3.
"""

from __future__ import annotations

from dataclasses import replace

from calais.cards.arithmetic import same
from calais.cards.front import Refusal
from calais.cards.piv import spec
from calais.cards.piv.state import CardState
from calais.cards.state import Reference
from calais.iso7816.apdu import Command
from calais.iso7816.sw import SW

EMPTY = bytes((spec.PIN_PAD,)) * spec.PIN_SIZE
TRIES_SHOWN_MAX = 15


def is_well_formed(ref: int, value: bytes) -> bool:
    """Whether eight bytes can be the PIN (6 to 8 ASCII digits, padded with FF) or PUK (6 to 8 bytes, padded)."""
    if len(value) != spec.PIN_SIZE:
        return False
    text = value.rstrip(b"\xff")
    if len(text) < spec.PIN_MIN or spec.PIN_PAD in text:
        return False
    return ref == spec.REF_PUK or text.isdigit()


def pad(value: bytes) -> bytes:
    """``value`` padded to eight bytes with FF."""
    return value.ljust(spec.PIN_SIZE, b"\xff")


def verify(state: CardState, command: Command) -> bytes:
    """VERIFY: present a PIN, ask for its state (no data), or give the security status back (P1 = FF)."""
    if command.p1 not in (spec.P1_VERIFY, spec.P1_VERIFY_RESET_STATUS):
        raise Refusal(SW.INCORRECT_P1P2)
    reference = _pin(state, command.p2)
    if command.p1 == spec.P1_VERIFY_RESET_STATUS:
        return _reset_status(state, command)
    if not command.data:
        return _status(state, command.p2, reference)
    _check_format(command.p2, command.data)
    _compare(state, command.p2, reference, command.data)
    state.volatile.verified.add(command.p2)
    state.volatile.pin_is_next = state.satisfies(command.p2)
    return b""


def change_reference_data(state: CardState, command: Command) -> bytes:
    """CHANGE REFERENCE DATA: old and new value, eight bytes each; leaves a PIN verified (part 2, 3.2.2)."""
    if command.p1 != 0:
        raise Refusal(SW.INCORRECT_P1P2)
    puk = command.p2 == spec.REF_PUK
    reference = state.require_reference(spec.REF_PUK) if puk else _pin(state, command.p2)
    old, new = _two_values(command.data)
    _check_format(command.p2, old)
    if old != EMPTY:
        _check_format(command.p2, new, empty=False)
    _compare(state, command.p2, reference, old)
    state.set_reference(command.p2, Reference(new, reference.maximum, reference.maximum))
    if not puk:
        state.volatile.verified.add(command.p2)
    return b""


def reset_retry_counter(state: CardState, command: Command) -> bytes:
    """RESET RETRY COUNTER: PUK and new PIN; the security status of the PIN stays as it is (part 2, 3.2.3)."""
    if command.p1 != 0:
        raise Refusal(SW.INCORRECT_P1P2)
    if command.p2 != spec.REF_PIN:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    pin, puk = state.require_reference(spec.REF_PIN), state.require_reference(spec.REF_PUK)
    given, new = _two_values(command.data)
    _check_format(spec.REF_PUK, given)
    if given != EMPTY:
        _check_format(spec.REF_PIN, new, empty=False)
    _compare(state, spec.REF_PUK, puk, given)
    state.set_reference(spec.REF_PIN, Reference(new, pin.maximum, pin.maximum))
    return b""


def _pin(state: CardState, ref: int) -> Reference:
    """The application PIN, or the global PIN where the Discovery object lets it in (part 1, 3.3.2)."""
    if not state.satisfies(ref):
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    return state.require_reference(ref)


def _two_values(data: bytes) -> tuple[bytes, bytes]:
    if len(data) != 2 * spec.PIN_SIZE:
        raise Refusal(SW.INCORRECT_DATA)
    return data[: spec.PIN_SIZE], data[spec.PIN_SIZE :]


def _check_format(ref: int, value: bytes, *, empty: bool = True) -> None:
    if not is_well_formed(ref, value) and not (empty and value == EMPTY):
        raise Refusal(SW.INCORRECT_DATA)


def _status(state: CardState, ref: int, reference: Reference) -> bytes:
    if ref in state.volatile.verified:
        return b""
    raise Refusal(tries_left(reference.left))


def _reset_status(state: CardState, command: Command) -> bytes:
    if command.data:
        raise Refusal(SW.INCORRECT_DATA)
    state.volatile.verified.discard(command.p2)
    return b""


def tries_left(left: int) -> int:
    """The status word that says how many tries are left: 63Cx, or 6983 for none."""
    return SW.TRIES_LEFT | min(left, TRIES_SHOWN_MAX) if left else SW.AUTHENTICATION_BLOCKED


def _compare(state: CardState, ref: int, reference: Reference, given: bytes) -> None:
    """Return with the full counter staged when ``given`` matches; refuse, one try poorer, when it does not."""
    if reference.left == 0:
        raise Refusal(SW.AUTHENTICATION_BLOCKED)
    state.commit_try(ref, reference)
    if not same(given, reference.value):
        # A wrong PUK takes the PIN's status as well: it is the PIN that was to be changed (part 2, 3.2.3).
        state.volatile.verified.discard(spec.REF_PIN if ref == spec.REF_PUK else ref)
        raise Refusal(SW.TRIES_LEFT | min(reference.left - 1, TRIES_SHOWN_MAX))
    state.set_reference(ref, replace(reference, left=reference.maximum))
