"""PUKs in an escrow: sealed for a card, released for one challenge, and to nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pivdesk import Dice

from calais.apps import escrow
from calais.apps.escrowfile import build_escrow, parse_escrow
from calais.minidriver.pins import Pin
from calais.win.errors import AccessDenied, BadData, BadParameter, NotFound

CARD, OTHER_CARD = bytes(range(16)), bytes(16)
PUK = Pin("12345678")
PRIVATE = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()


def request(card=CARD, seed=b"request"):
    return escrow.Request(PUBLIC, card, Dice(seed))


@pytest.mark.parametrize("puk", ["1", "123456", "12345678"])
def test_a_released_puk_is_the_one_that_was_stored(puk):
    asked = request()
    kept = escrow.unseal(PRIVATE, CARD, escrow.seal(PUBLIC, CARD, Pin(puk), Dice()))
    answer = escrow.release(PRIVATE, CARD, asked.challenge, kept)
    assert (len(asked.challenge), len(answer)) == (32, 16)
    assert asked.open(answer) == Pin(puk)


def test_a_challenge_is_good_once():
    asked = request()
    answer = escrow.release(PRIVATE, CARD, asked.challenge, PUK)
    asked.open(answer)
    with pytest.raises(BadData, match="good once"):
        asked.open(answer)


def test_a_wrong_answer_does_not_use_up_the_challenge():
    asked = request()
    with pytest.raises(BadData):
        asked.open(bytes(16))
    assert asked.open(escrow.release(PRIVATE, CARD, asked.challenge, PUK)) == PUK


@given(st.integers(0, 127))
def test_an_answer_with_one_bit_changed_is_refused(bit):
    asked = request()
    answer = int.from_bytes(escrow.release(PRIVATE, CARD, asked.challenge, PUK), "big") ^ (1 << bit)
    with pytest.raises(BadData):
        asked.open(answer.to_bytes(16, "big"))


@given(st.binary(max_size=40))
def test_random_bytes_are_no_answer(answer):
    with pytest.raises(BadData):
        request().open(answer)


def test_an_answer_for_another_card_challenge_or_escrow_is_refused():
    asked = request()
    other = X25519PrivateKey.from_private_bytes(bytes(32))
    for answer in (
        escrow.release(PRIVATE, OTHER_CARD, asked.challenge, PUK),
        escrow.release(PRIVATE, CARD, request(seed=b"another").challenge, PUK),
        escrow.release(other, CARD, asked.challenge, PUK),
    ):
        with pytest.raises(BadData):
            asked.open(answer)


def test_who_hears_everything_and_has_the_card_learns_nothing_that_opens_it():
    asked = request()
    heard = (asked.challenge, escrow.release(PRIVATE, CARD, asked.challenge, PUK))
    listener = escrow.Request(PUBLIC, CARD, Dice(b"listener"))
    listener.challenge = heard[0]
    with pytest.raises(BadData):
        listener.open(heard[1])


def test_two_answers_for_one_puk_have_nothing_in_common():
    answers = [escrow.release(PRIVATE, CARD, request(seed=seed).challenge, PUK) for seed in (b"one", b"two")]
    assert answers[0][:8] != answers[1][:8] != PUK.value


@pytest.mark.parametrize("point", [bytes(32), (1).to_bytes(32, "little")])
def test_a_public_key_that_makes_a_known_secret_is_refused(point):
    with pytest.raises(BadParameter):
        escrow.release(PRIVATE, CARD, point, PUK)
    with pytest.raises(BadParameter):
        escrow.Request(point, CARD, Dice()).open(bytes(16))


@pytest.mark.parametrize("puk", ["", "123456789", "1234567\xff"])
def test_a_puk_that_cannot_be_kept_is_refused(puk):
    with pytest.raises(BadParameter):
        escrow.seal(PUBLIC, CARD, Pin(puk.encode("latin-1")), Dice())


@pytest.mark.parametrize(("card", "challenge"), [(b"", bytes(32)), (CARD, bytes(31))])
def test_lengths_that_cannot_be_are_refused(card, challenge):
    with pytest.raises(BadParameter):
        escrow.release(PRIVATE, card, challenge, PUK)


def test_a_sealed_puk_opens_for_its_card_and_escrow_only():
    sealed = escrow.seal(PUBLIC, CARD, PUK, Dice())
    other = X25519PrivateKey.from_private_bytes(bytes(32))
    for private, card, data in ((PRIVATE, OTHER_CARD, sealed), (other, CARD, sealed), (PRIVATE, CARD, sealed[:-1])):
        with pytest.raises(BadData):
            escrow.unseal(private, card, data)


@given(st.binary(max_size=60))
def test_random_bytes_are_no_sealed_puk(data):
    with pytest.raises(BadData):
        escrow.unseal(PRIVATE, CARD, data)


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept():
    made = escrow.new_escrow(b"password", Dice())
    return made.with_card(CARD, escrow.Entry(escrow.seal(made.public_key, CARD, PUK, Dice()), "PIV 1", "2026"))


def test_an_escrow_survives_its_file_and_opens_with_its_password(kept):
    found = parse_escrow(build_escrow(kept))
    assert found == kept
    private = escrow.unlock(found, b"password")
    assert escrow.unseal(private, CARD, found.entry(CARD).sealed) == PUK
    with pytest.raises(AccessDenied):
        escrow.unlock(found, b"Password")
    with pytest.raises(NotFound):
        found.entry(OTHER_CARD)


def test_a_public_key_that_was_exchanged_is_noticed(kept):
    with pytest.raises(AccessDenied):
        escrow.unlock(replace(kept, public_key=PUBLIC), b"password")


def test_no_secret_is_shown(kept):
    assert PUK.value not in build_escrow(kept)
    assert kept.private_key.sealed.hex() not in repr(kept)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"calais-escrow-1", b"calais-escrow-2"),
        (b'"log_n": 15', b'"log_n": 40'),
        (b'"log_n": 15', b'"log_n": true'),
        (b'"salt": "', b'"salt": "0'),
        (b'"sealed": "', b'"sealed": "z'),
        (b'"cards": {', b'"cards": [{'),
        (b"public_key", b"publik_key"),
        (CARD.hex().encode(), CARD.hex()[2:].encode()),
        (b'"label": "PIV 1"', b'"label": 1'),
    ],
)
def test_a_file_that_was_altered_is_bad_data(kept, old, new):
    assert old in build_escrow(kept)
    with pytest.raises(BadData):
        parse_escrow(build_escrow(kept).replace(old, new, 1))


@given(st.binary(max_size=200))
def test_random_bytes_are_no_escrow(data):
    with pytest.raises(BadData):
        parse_escrow(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(st.sampled_from(["format", "cards", "public_key", "private_key"]), x)
        ),
        max_leaves=8,
    )
)
def test_other_json_is_no_escrow(document):
    import json

    with pytest.raises(BadData):
        parse_escrow(json.dumps(document).encode())
