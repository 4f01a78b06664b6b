from __future__ import annotations

import pytest

from calais.minidriver.memo import Evidence
from calais.minidriver.pins import Pin
from calais.provider.pincache import CachePolicy, PinCache

LINE = object()
THEN, LATER = Evidence(LINE, 1), Evidence(LINE, 2)
NAME, OTHER = (b"card", 1), (b"card", 4)
PIN = Pin("123456")


def remembered(policy=CachePolicy.NORMAL, seconds=0):
    cache = PinCache()
    cache.see(NAME, 3, THEN)
    cache.restore(NAME, THEN)
    cache.accept(NAME, PIN, policy=policy, seconds=seconds, now=100)
    return cache


def test_a_pin_with_all_its_tries_is_usable():
    assert remembered().usable(NAME, 3, now=1e9) == PIN


@pytest.mark.parametrize("policy", [CachePolicy.NONE, CachePolicy.ALWAYS_PROMPT, 99])
def test_policies_that_forbid_remembering_are_kept(policy):
    assert remembered(policy).usable(NAME, 3, now=100) is None


def test_a_timed_pin_is_forgotten_in_time():
    assert remembered(CachePolicy.TIMED, 10).usable(NAME, 3, now=109.9) == PIN
    cache = remembered(CachePolicy.TIMED, 10)
    assert cache.usable(NAME, 3, now=110) is None
    assert cache.usable(NAME, 3, now=100) is None


@pytest.mark.parametrize("left", [2, 1, 0, None])
def test_a_lost_try_makes_it_forgotten(left):
    cache = remembered()
    assert cache.usable(NAME, left, now=100) is None
    assert cache.usable(NAME, 3, now=100) is None


def test_with_one_try_in_all_it_is_never_usable():
    cache = PinCache()
    cache.see(NAME, 1, THEN, most=1)
    cache.accept(NAME, PIN, policy=CachePolicy.NORMAL, seconds=0, now=0)
    assert cache.usable(NAME, 1, now=0) is None


def test_a_card_that_never_tells_its_tries_is_believed():
    cache = PinCache()
    cache.see(NAME, None, THEN)
    cache.accept(NAME, PIN, policy=CachePolicy.NORMAL, seconds=0, now=0)
    assert cache.usable(NAME, None, now=0) == PIN


def test_tries_are_known_only_while_nobody_else_can_have_used_them_up():
    cache = remembered()
    assert cache.tries(NAME, THEN).left == 3
    assert cache.tries(NAME, LATER) is None
    assert cache.tries(NAME, Evidence(object(), 1)) is None
    assert cache.tries(OTHER, THEN) is None


def test_the_most_tries_ever_seen_are_what_counts():
    cache = PinCache()
    cache.see(NAME, 3, THEN)
    cache.see(NAME, 1, LATER)
    assert cache.restore(NAME, LATER).left == 3


def test_pins_are_forgotten_one_by_one_by_card_and_all_together():
    cache = remembered()
    cache.accept(OTHER, PIN, policy=CachePolicy.NORMAL, seconds=0, now=0)
    cache.accept((b"else", 1), PIN, policy=CachePolicy.NORMAL, seconds=0, now=0)
    cache.forget(OTHER)
    cache.forget(OTHER)
    assert repr(cache) == "<PinCache of 2>"
    cache.forget_card(b"card")
    assert repr(cache) == "<PinCache of 1>"
    cache.clear()
    assert repr(cache) == "<PinCache of 0>"


def test_nothing_shows_a_pin():
    assert "123456" not in repr(vars(remembered()))
