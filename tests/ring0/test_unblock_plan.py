"""How a PIN can be unblocked, decided from what a card has."""

from __future__ import annotations

import pytest

from calais.apps.unblock import ALPHANUMERIC, CHALLENGE_RESPONSE, Plan, Unblockers, Way, plan_far, plan_here
from calais.minidriver.pins import PinStatus
from calais.win.errors import PinBlocked, Unsupported
from calais.win.structs import PinCachePolicy, PinInfo

ADMIN, PUK = 2, 3
KEY = bytes(32)


def having(*, admin=None, puk=None):
    """Unblockers with so many tries; ``None`` = not there."""
    there = {ADMIN: (CHALLENGE_RESPONSE, admin), PUK: (ALPHANUMERIC, puk)}
    there = {pin_id: (kind, left) for pin_id, (kind, left) in there.items() if left is not None}
    return Unblockers(
        {pin_id: PinInfo(kind, 0, 0, 0, PinCachePolicy(0)) for pin_id, (kind, _) in there.items()},
        {
            pin_id: PinStatus(verified=False, attempts_left=left, blocked=left == 0)
            for pin_id, (_, left) in there.items()
        },
    )


def test_challenge_and_response_goes_before_an_escrow():
    assert plan_far(having(admin=5, puk=3), KEY) == Plan(Way.RESPONSE, ADMIN, 5)
    assert plan_far(having(admin=5, puk=3), b"") == Plan(Way.RESPONSE, ADMIN, 5)


def test_a_card_with_a_puk_alone_takes_the_escrow():
    assert plan_far(having(puk=3), KEY) == Plan(Way.ESCROW, PUK, 3)


def test_without_escrow_a_puk_is_not_asked_for_over_the_telephone():
    with pytest.raises(Unsupported) as failure:
        plan_far(having(puk=3), b"")
    assert "no escrow" in failure.value.detail
    assert "escrow_key" in failure.value.next_step


def test_a_card_that_nothing_unblocks_says_so():
    with pytest.raises(Unsupported):
        plan_far(having(), KEY)


@pytest.mark.parametrize("found", [having(admin=0), having(puk=0)])
def test_what_has_no_tries_left_is_told_before_anything_is_asked(found):
    with pytest.raises(PinBlocked):
        plan_far(found, KEY)


def test_here_the_puk_or_the_key_is_taken_as_it_was_asked_for():
    both = having(admin=5, puk=3)
    assert plan_here(both, Way.PUK) == Plan(Way.PUK, PUK, 3)
    assert plan_here(both, Way.RESPONSE) == Plan(Way.RESPONSE, ADMIN, 5)


@pytest.mark.parametrize(("found", "way"), [(having(admin=1), Way.PUK), (having(puk=1), Way.RESPONSE)])
def test_what_the_card_does_not_have_is_unsupported_and_the_other_way_is_named(found, way):
    with pytest.raises(Unsupported) as failure:
        plan_here(found, way)
    assert failure.value.next_step


def test_a_blocked_puk_is_told():
    with pytest.raises(PinBlocked):
        plan_here(having(puk=0), Way.PUK)
