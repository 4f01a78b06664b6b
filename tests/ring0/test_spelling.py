"""Bytes read over the phone, and what is noticed when they are misheard."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calais.apps.spelling import DIGIT_WORDS, WORDS, Dictation, Kind, lines, plain, spelled
from calais.win.errors import BadParameter

SAMPLE = bytes.fromhex("A892D75601617C5D")
values = st.binary(min_size=1, max_size=40)
kinds = st.sampled_from(Kind)


def taken(kind, spoken, context=b""):
    dictation = Dictation(kind, context)
    for line in spoken:
        dictation.take(line)
    assert dictation.done
    return dictation.value


@given(kinds, values, st.binary(max_size=64))
def test_what_is_read_out_is_taken_down(kind, value, context):
    read = lines(kind, value, context)
    assert taken(kind, map(str, read), context) == value
    assert taken(kind, [f"{line.spelled}, check word {line.check.upper()}" for line in read], context) == value


def test_a_line_has_sixteen_digits_in_groups_of_four():
    first, second = lines(Kind.CHALLENGE, SAMPLE + b"\x01\x02\x03")
    assert first.digits == "A892 D756 0161 7C5D"
    assert first.spelled.startswith("Alfa eight nine two, Delta seven five six")
    assert second.digits == "010203"


@pytest.mark.parametrize(
    "text", ["a892d756 01617c5d", "A8-92-D7-56-01-61-7C-5D", spelled(SAMPLE), spelled(SAMPLE).upper()]
)
def test_digits_are_taken_down_however_they_are_grouped_or_spelled(text):
    assert plain(text) == SAMPLE
    assert plain("fife niner fower tree alpha zero") == b"\x59\x43\xa0"


@pytest.mark.parametrize("text", ["", "a", "xyz", "zebra", "12 34 amber", "0x12"])
def test_what_is_no_digit_is_refused(text):
    with pytest.raises(BadParameter):
        plain(text)


def refused(kind, text, context=b""):
    try:
        Dictation(kind, context).take(text)
    except BadParameter:
        return True
    return False


@given(st.binary(min_size=8, max_size=8), st.integers(0, 15), st.integers(1, 15))
def test_every_single_misheard_digit_is_noticed(value, place, change):
    (line,) = lines(Kind.RESPONSE, value)
    digits = list(value.hex())
    digits[place] = f"{int(digits[place], 16) ^ change:x}"
    assert refused(Kind.RESPONSE, f"{''.join(digits)} {line.check}")


@given(st.binary(min_size=8, max_size=8), st.integers(0, 14))
def test_two_neighbours_that_change_places_are_noticed(value, place):
    digits = list(value.hex())
    assume(digits[place] != digits[place + 1])
    digits[place], digits[place + 1] = digits[place + 1], digits[place]
    (line,) = lines(Kind.RESPONSE, value)
    assert refused(Kind.RESPONSE, f"{''.join(digits)} {line.check}")


@given(st.binary(min_size=8, max_size=8), st.integers(0, 3))
def test_a_misheard_group_is_noticed(value, group):
    (line,) = lines(Kind.RESPONSE, value)
    groups = line.digits.split()
    groups[group] = f"{int(groups[group], 16) ^ 0x5A5A:04x}"
    assert refused(Kind.RESPONSE, f"{' '.join(groups)} {line.check}")


def test_a_digit_left_out_or_heard_twice_is_noticed():
    (line,) = lines(Kind.RESPONSE, SAMPLE)
    for digits in (line.digits[:-1], line.digits + "1", line.digits[:-2], line.digits + "12"):
        assert refused(Kind.RESPONSE, f"{digits} {line.check}")


def test_a_misheard_check_word_is_noticed_and_guessed():
    (line,) = lines(Kind.RESPONSE, SAMPLE)
    with pytest.raises(BadParameter) as failure:
        Dictation(Kind.RESPONSE).take(f"{line.digits} {line.check[:-1]}")
    assert line.check.split("-")[1] in failure.value.detail


@pytest.mark.parametrize("words", ["", "zebra", "zebra-zebra-zebra", "zebra-zebra 12"])
def test_a_line_without_its_check_word_is_not_taken(words):
    assert refused(Kind.RESPONSE, f"A892 D756 0161 7C5D {words}")


def test_a_line_that_is_not_taken_may_be_read_again():
    read = lines(Kind.REQUEST, bytes(range(32)))
    dictation = Dictation(Kind.REQUEST)
    for line in read:
        with pytest.raises(BadParameter):
            dictation.take(f"FFFF FFFF FFFF FFFF {line.check}")
        dictation.take(str(line))
    assert dictation.value == bytes(range(32))


def test_a_line_left_out_read_twice_or_out_of_order_is_noticed():
    one, two, three, four = map(str, lines(Kind.REQUEST, bytes(range(32))))
    for order in ([two], [one, one], [one, three], [one, two, four]):
        dictation = Dictation(Kind.REQUEST)
        for line in order[:-1]:
            dictation.take(line)
        with pytest.raises(BadParameter):
            dictation.take(order[-1])


def test_a_value_of_another_kind_card_or_challenge_is_noticed():
    (line,) = lines(Kind.RESPONSE, SAMPLE, b"card and challenge")
    assert refused(Kind.RESPONSE, str(line), b"card and another challenge")
    for kind in set(Kind) - {Kind.RESPONSE}:
        assert refused(kind, str(line), b"card and challenge")


@given(st.text(max_size=80))
def test_whatever_is_typed_is_taken_or_refused(text):
    refused(Kind.RESPONSE, text)


def test_check_words_cannot_be_taken_for_each_other_or_for_digits():
    assert len(set(WORDS)) == 256
    assert not set(WORDS) & {word.lower() for word in DIGIT_WORDS}
    assert not [word for word in WORDS if set(word) <= set("abcdef")]
    assert all(distance(one, other) > 2 for one, other in itertools.combinations(WORDS, 2))


def distance(one, other):
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        new = [number]
        for place, against in enumerate(other, 1):
            new.append(min(row[place] + 1, new[-1] + 1, row[place - 1] + (letter != against)))
        row = new
    return row[-1]
