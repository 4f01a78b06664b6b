"""When a remembered object of a GIDS card is believed: the whole decision, as a table."""

from __future__ import annotations

import itertools

import pytest

from calais.cards.gids.freshness import Kept, Kind, Verdict, agree, carried, counters_in, judge, moved
from calais.minidriver.memo import Evidence
from calais.win.structs import CardCacheFile

HERE = object()
THEN, LATER = Evidence(HERE, 1), Evidence(HERE, 2)
COUNTERS = CardCacheFile(0, 1, 2, 3)
MOVED = {
    "none": COUNTERS,
    "pins": moved(COUNTERS, pins=True),
    "containers": moved(COUNTERS, containers=True),
    "files": moved(COUNTERS, files=True),
    "both": moved(COUNTERS, containers=True, files=True),
}
# Kind -> the counters whose movement makes it old
SPEAKS = {
    Kind.FILE: {"files", "both"},
    Kind.PUBLIC_KEY: {"containers", "both"},
    Kind.CONTAINERS: {"containers", "files", "both"},
}


def kept(counters=COUNTERS, seen=THEN):
    return Kept(b"content", counters, seen)


@pytest.mark.parametrize("kind", Kind)
def test_what_is_not_remembered_is_read(kind):
    assert judge(None, kind, LATER, COUNTERS, asked=True) is Verdict.READ


@pytest.mark.parametrize("kind", Kind)
def test_while_nobody_else_can_have_touched_the_card_all_is_true(kind):
    assert judge(kept(), kind, THEN, None, asked=False) is Verdict.TRUE
    assert judge(kept(None), kind, THEN, None, asked=False) is Verdict.TRUE


@pytest.mark.parametrize("kind", Kind)
def test_afterwards_the_counters_are_asked_for(kind):
    assert judge(kept(), kind, LATER, None, asked=False) is Verdict.ASK


@pytest.mark.parametrize("kind", Kind)
def test_what_was_read_without_counters_is_read_again(kind):
    assert judge(kept(None), kind, LATER, None, asked=False) is Verdict.READ
    assert judge(kept(None), kind, LATER, COUNTERS, asked=True) is Verdict.READ


@pytest.mark.parametrize(("kind", "change"), list(itertools.product(Kind, MOVED)))
def test_an_object_is_old_exactly_when_a_counter_moved_that_speaks_of_it(kind, change):
    expected = Verdict.READ if change in SPEAKS[kind] else Verdict.TRUE
    assert judge(kept(), kind, LATER, MOVED[change], asked=True) is expected


@pytest.mark.parametrize("kind", Kind)
def test_a_card_without_counters_proves_nothing(kind):
    assert judge(kept(), kind, LATER, None, asked=True) is Verdict.READ
    assert not agree(kind, COUNTERS, None)


@pytest.mark.parametrize("raw", [None, b"", b"\0" * 5, b"\0" * 7])
def test_damaged_counters_are_none(raw):
    assert counters_in(raw) is None


def test_counters_of_a_card_with_more_applications_are_read_and_kept():
    counters = counters_in(bytes(6) + bytes.fromhex("01020304"))
    assert counters is not None
    assert moved(counters, files=True).to_bytes() == bytes.fromhex("00000000010001020304")


def test_counters_wrap():
    last = CardCacheFile(1, 0xFF, 0xFFFF, 0xFFFF)
    assert moved(last, pins=True, containers=True, files=True) == CardCacheFile(1, 0, 0, 0)
    assert not agree(Kind.FILE, last, moved(last, files=True))


def test_what_was_true_stays_true_when_we_move_the_counters_ourselves():
    after = MOVED["both"]
    for kind in Kind:
        assert carried(kept(), kind, COUNTERS, after, LATER) == kept(after, LATER)
        assert carried(kept(None, LATER), kind, None, after, LATER) == kept(after, LATER)


def test_what_was_old_does_not_become_true_by_that():
    for kind, change in itertools.product(Kind, MOVED):
        survives = carried(kept(), kind, MOVED[change], MOVED["both"], LATER) is not None
        assert survives == (change not in SPEAKS[kind])
    assert carried(kept(), Kind.FILE, None, COUNTERS, LATER) is None
