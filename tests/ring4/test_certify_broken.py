"""The certification kit names each driver that is broken on purpose, and passes the one it was made from."""

from __future__ import annotations

from dataclasses import replace

import broken_drivers
import broken_files
import pytest

from calais.apps.certify.book import all_checks
from calais.apps.certify.rules import Verdict
from calais.apps.certify.run import try_check
from calais.apps.certify.subjects import on_card, scratch_piv
from calais.cards.piv.driver import PivMinidriver
from calais.testing.cards import test_rsa_key

assert broken_files.caught_by is broken_drivers.caught_by, "both files fill one list"
CHECKS = {check.name: check for check in all_checks()}


def a_card():
    return scratch_piv(test_rsa_key("certify"))


def certified(kind, face, name):
    subject = replace(on_card(kind, a_card(), kind.__name__), face=face)
    return try_check(subject, CHECKS[name])


def test_there_are_more_than_fifteen_ways_to_be_broken():
    assert len({kind for _, kind, _, _ in broken_drivers.BROKEN}) >= 15
    assert len({check for *_, check in broken_drivers.BROKEN}) == len(broken_drivers.BROKEN)


@pytest.mark.parametrize(
    ("kind", "face", "check"),
    [pytest.param(kind, face, check, id=f"{name}-{check}") for name, kind, face, check in broken_drivers.BROKEN],
)
def test_a_broken_driver_is_caught_by_the_check_of_its_defect(kind, face, check):
    result = certified(kind, face, check)
    assert result.verdict is Verdict.FAIL, (result.reason, check)
    assert result.expected
    assert result.came


@pytest.mark.parametrize("check", sorted({check for *_, check in broken_drivers.BROKEN}))
def test_the_driver_it_was_made_from_passes_the_same_check(check):
    from calais.apps.certify.face import Face

    if check == "read_only.refuses_changes":
        subject = on_card(PivMinidriver, a_card(), "read-only", policy={"piv.write": False})
        assert try_check(subject, CHECKS[check]).verdict is Verdict.PASS
        return
    result = certified(PivMinidriver, Face, check)
    assert result.verdict is Verdict.PASS, (result.expected, result.came, result.reason)
