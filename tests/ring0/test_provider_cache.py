"""What a person is told about a remembered object."""

from __future__ import annotations

import pytest

from calais.minidriver.memo import Basis, CachedObject, KeptCard, KeptObject
from calais.provider.cache import explain, explain_kept

THEN = 1_764_000_000.0


@pytest.mark.parametrize(
    ("basis", "holds", "sentence"),
    [
        (Basis.READ, True, "read from the card; nobody else can have touched the card since"),
        (Basis.READ, False, "read from the card; to be proved anew before it is used"),
        (Basis.WRITTEN, True, "read 2025-11-24 16:00:00 UTC, written by this program; nobody else can have touched the card since"),
        (Basis.HEAD, True, "read 2025-11-24 16:00:00 UTC, its first bytes and length on the card are the remembered ones; nobody else can have touched the card since"),
        (Basis.COUNTERS, False, "read 2025-11-24 16:00:00 UTC, the card's counters have not moved; to be proved anew before it is used"),
        (Basis.RESTORED, False, "read 2025-11-24 16:00:00 UTC, from an earlier insertion, not proved yet"),
    ],
)  # fmt: skip
def test_the_evidence_in_words(basis, holds, sentence):
    told = explain(CachedObject("certificate 9A", 900, THEN, basis, 3, holds=holds))
    assert (told.what, told.size, told.judged_by, told.holds, told.hits) == (
        "certificate 9A",
        900,
        basis.value,
        holds,
        3,
    )
    assert told.sentence == sentence
    assert told.read is not None
    assert told.read.timestamp() == THEN


def test_an_object_of_unknown_age_has_no_date():
    assert explain(CachedObject("x", None, 0.0, Basis.HEAD, 0)).read is None


def test_what_waits_for_its_card_has_names_and_is_not_proved():
    piv = KeptCard("piv", b"m", b"i", "", b"", (KeptObject("5FC105", b"x", 1), KeptObject("5FC10C", None)))
    assert [(told.what, told.size, told.judged_by) for told in explain_kept(piv)] == [
        ("certificate 9A", 1, "restored"),
        ("Key History", None, "restored"),
    ]
    gids = KeptCard("gids", b"m", b"i", "", b"", (KeptObject("A000/DF1F", b"\xff", 1), KeptObject("7F49/0081", b"k", 1), KeptObject("gids.pins", b"\2", 1)))  # fmt: skip
    assert [told.what for told in explain_kept(gids)] == [
        "master file",
        "public key 81 (container 0)",
        "PINs that there are",
    ]
