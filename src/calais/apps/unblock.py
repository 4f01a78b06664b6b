"""Unblocking a PIN with the help of somebody far away: which way there is (``plan``), and going it.

Two ways. A card whose administrator has a key gives a challenge, and the response to it unblocks the PIN; the
challenge lives in the card, so the card is held from challenge to response (docs/adr/0011). A card that knows only a
PUK, as PIV does, is unblocked by the PUK that an escrow keeps and releases for this one time (``escrow``).

Nothing here talks to a person: whoever calls gives a function from challenge to response.

Source: Microsoft's smart card minidriver specification v7.07, 4.2.4 and "Developer Guidelines" (unblock); SP 800-73-4
part 2, 3.2.3.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from calais.apps import escrow
from calais.minidriver.api import Minidriver
from calais.minidriver.challenge import AdminCipher, respond
from calais.minidriver.pins import Pin, PinStatus, Role, is_in_pin_set
from calais.provider.card import Card
from calais.win.errors import PinBlocked, Unsupported, WinError, WrongPin
from calais.win.structs import PinInfo

ALPHANUMERIC, CHALLENGE_RESPONSE = 0, 2  # SECRET_TYPE of cardmod.h
MAX_PINS = 8

Answerer = Callable[[bytes], bytes]


class Way(StrEnum):
    """How a PIN is unblocked."""

    PUK = "puk"
    RESPONSE = "response"
    ESCROW = "escrow"


@dataclass(frozen=True, slots=True)
class Plan:
    """A way, and the PIN that authorises it; ``attempts_left`` of that one, ``None`` = the card does not say."""

    way: Way
    auth_id: int
    attempts_left: int | None = None


@dataclass(frozen=True, slots=True)
class Unblockers:
    """The PINs that may unblock the user's: kind and state of each, by id."""

    infos: Mapping[int, PinInfo]
    states: Mapping[int, PinStatus]

    def of_type(self, kind: int) -> list[int]:
        """The ids of those of SECRET_TYPE ``kind``, the lowest first."""
        return sorted(pin_id for pin_id, info in self.infos.items() if info.pin_type == kind)


def unblockers(driver: Minidriver) -> Unblockers:
    """The PINs of a card that may unblock the user's."""
    permission = driver.pin_info(Role.USER).unblock_permission & driver.pin_list()
    ids = [pin_id for pin_id in range(1, MAX_PINS) if pin_id != Role.USER and is_in_pin_set(permission, pin_id)]
    return Unblockers({each: driver.pin_info(each) for each in ids}, {each: driver.pin_status(each) for each in ids})


def plan_far(found: Unblockers, escrow_key: bytes) -> Plan:
    """How the PIN is unblocked with somebody far away.

    Args:
        found: what the card has.
        escrow_key: public key of the escrow that policy names, ``b""`` = none.

    Raises:
        Unsupported: it cannot be done safely; says what would have to be there.
        PinBlocked: what would authorise it has no tries left.
    """
    responders, secrets = found.of_type(CHALLENGE_RESPONSE), found.of_type(ALPHANUMERIC)
    if responders:
        return _open_plan(found, Way.RESPONSE, responders[0], "the administrator's key")
    if not secrets:
        raise Unsupported(detail="nothing can unblock this card's PIN", next_step="Ask whoever issued the card")
    if not escrow_key:
        raise Unsupported(
            detail="this card knows no challenge and response, and policy names no escrow that keeps its PUK; "
            "a PUK read over the phone would be known to whoever listens",
            next_step="Set escrow_key under [unblock] in policy.toml, or type the PUK: calais pin unblock",
        )
    return _open_plan(found, Way.ESCROW, secrets[0], "the PUK")


def plan_here(found: Unblockers, way: Way) -> Plan:
    """How the PIN is unblocked by somebody who has the PUK or the administrator's key here.

    Raises:
        Unsupported: the card has no such thing.
        PinBlocked: it has no tries left.
    """
    kind, what = (ALPHANUMERIC, "a PUK") if way is Way.PUK else (CHALLENGE_RESPONSE, "an administrator's key")
    ids = found.of_type(kind)
    if not ids:
        raise Unsupported(detail=f"this card has not {what} that unblocks its PIN", next_step=_other(way))
    return _open_plan(found, way, ids[0], what.replace("a PUK", "the PUK").replace("an ", "the "))


def _other(way: Way) -> str:
    return "Use the administrator's key: calais pin unblock --phone" if way is Way.PUK else "Use the PUK"


def _open_plan(found: Unblockers, way: Way, pin_id: int, what: str) -> Plan:
    state = found.states[pin_id]
    if state.blocked:
        raise PinBlocked(detail=f"{what} has no tries left", next_step="Nothing can unblock the PIN of this card now")
    return Plan(way, pin_id, state.attempts_left)


# --- doing -----------------------------------------------------------------------------------------------------------


def unblock(card: Card, plan: Plan, new: Pin, answer: Answerer, *, escrow_key: bytes = b"") -> None:
    """Go the way of ``plan``: set the PIN to ``new``; afterwards nobody is authenticated.

    Args:
        card: the card.
        plan: how.
        new: what the PIN becomes.
        answer: from challenge to response; may take minutes, and raise to give up.
        escrow_key: public key of the escrow, for ``Way.ESCROW``.

    Raises:
        WrongPin: the response is not right; it has cost one try of what authorises the unblock.
        BadData: an answer that is none to this challenge; no try was used.
        WinError: whatever ``answer`` and the card raise.
    """
    if plan.way is Way.RESPONSE:
        _by_response(card, plan, new, answer)
    else:
        _by_release(card, plan, new, answer, escrow_key)


def _by_response(card: Card, plan: Plan, new: Pin, answer: Answerer) -> None:
    """In one transaction: what another program did in between would end the challenge."""

    def job(driver: Minidriver) -> None:
        response = answer(driver.challenge(plan.auth_id))
        driver.unblock_pin(Role.USER, plan.auth_id, Pin(response), new)

    card.broker.cache.forget_card(card.card_id)
    try:
        card.run(job)
    except WrongPin as error:
        raise _refused(error, "the card does not accept this response", "the administrator's key") from error


def _by_release(card: Card, plan: Plan, new: Pin, answer: Answerer, escrow_key: bytes) -> None:
    request = escrow.Request(escrow_key, card.card_id, os.urandom)
    card.release()
    puk = request.open(answer(request.challenge))
    try:
        card.unblock_pin(puk, new, auth_id=plan.auth_id)
    except WrongPin as error:
        raise _refused(error, "the PUK in the escrow is not this card's any more", "the PUK") from error


def _refused(error: WrongPin, what: str, whose: str) -> WrongPin:
    left = error.attempts_left
    tries = f"; {whose} has {left} {'try' if left == 1 else 'tries'} left" if left is not None else ""
    step = "Start again: a challenge is good once" if left != 0 else "Nothing can unblock the PIN of this card now"
    return WrongPin(error.code, f"{what}{tries}", next_step=step, attempts_left=left)


def answer_with(key: bytes, cipher: AdminCipher | None = None) -> Answerer:
    """What answers a challenge with the administrator's ``key``; ``cipher`` as in ``challenge.respond``."""
    return lambda challenge: respond(key, challenge, cipher)


def prove_puk(card: Card, puk: Pin) -> None:
    """Make sure that ``puk`` is the card's, by replacing it by itself.

    Raises:
        WrongPin: it is not; it has cost a try of the PUK.
        Unsupported: the card has no PUK.
    """
    plan = plan_here(card.run(unblockers), Way.PUK)
    try:
        card.change_pin(puk, puk, plan.auth_id)
    except WrongPin as error:
        raise _refused(error, "this is not the card's PUK", "it") from error
    except WinError:
        card.release()
        raise
