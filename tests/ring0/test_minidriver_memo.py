from types import SimpleNamespace

import pytest

from calais.minidriver.memo import HEAD_SIZE, MAX_NAMES, CardMemo, Evidence, Remembered, Verdict, judge, proves


def seen(connection, epoch=0):
    return Evidence(connection, epoch)


HERE, THERE = SimpleNamespace(), SimpleNamespace()
ITEM = Remembered(b"content", b"head", 300, seen(HERE, 5))
ABSENT = Remembered(None, b"", 0, seen(HERE, 5))


@pytest.mark.parametrize(
    ("remembered", "now", "verdict"),
    [
        (None, seen(HERE, 5), Verdict.READ),
        (ITEM, seen(HERE, 5), Verdict.TRUE),
        (ITEM, seen(HERE, 6), Verdict.PROBE),
        (ITEM, seen(HERE, 4), Verdict.PROBE),
        (ITEM, seen(THERE, 5), Verdict.PROBE),
        (ABSENT, seen(HERE, 5), Verdict.TRUE),
        (ABSENT, seen(HERE, 6), Verdict.PROBE),
    ],
)
def test_a_memory_is_true_only_in_its_own_epoch_of_its_own_connection(remembered, now, verdict):
    assert judge(remembered, now) is verdict


@pytest.mark.parametrize(
    ("remembered", "head", "length", "expected"),
    [
        (ITEM, b"head", 300, True),
        (ITEM, b"heaD", 300, False),
        (ITEM, b"head", 301, False),
        (ITEM, b"hea", 300, False),
        (ITEM, None, 0, False),
        (ABSENT, None, 0, True),
        (ABSENT, b"", 0, False),
        (ABSENT, b"head", 300, False),
    ],
)
def test_a_head_proves_what_has_the_same_head_and_length(remembered, head, length, expected):
    assert proves(remembered, head, length) is expected


def test_only_the_first_256_bytes_are_compared():
    item = Remembered(b"", b"a" * HEAD_SIZE, 999, seen(HERE))
    assert proves(item, b"a" * HEAD_SIZE + b"b", 999)


def test_a_new_insertion_forgets_keys_and_names_only():
    memo = CardMemo(driver="piv", objects={1: ITEM}, keys={1: 2}, names={"n": 1}, facts={"f": 1})
    memo.new_insertion()
    assert (memo.keys, memo.names) == ({}, {})
    assert memo.objects
    assert memo.facts
    assert memo.driver == "piv"


def test_another_card_leaves_nothing_but_the_source_of_randomness():
    memo = CardMemo(random=bytes, driver="piv", objects={1: ITEM}, names={"n": 1}, pin_changes=2)
    memo.forget()
    assert memo == CardMemo(random=bytes)


def test_the_names_that_are_kept_are_bounded():
    memo = CardMemo()
    for number in range(MAX_NAMES + 10):
        memo.remember_name(str(number), 0)
    assert len(memo.names) == MAX_NAMES
    assert "9" not in memo.names
    assert str(MAX_NAMES + 9) in memo.names
