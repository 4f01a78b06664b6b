"""Roots of cards: what is marked for which card and logon, and what is cleaned up."""

from __future__ import annotations

import pytest

from calais.apps.propagation.rootplan import CleanUp, RootAction, RootOnCard, plan_roots
from calais.apps.propagation.roots import logon_id
from calais.win.structs import SmartCardRootInfo

ADA, EVE = bytes(16), bytes([1]) * 16
ROOT, OTHER = b"r" * 20, b"o" * 20
HERE, BEFORE = 7, 6


def mark(card, luid=HERE):
    return SmartCardRootInfo(card, luid)


def planned(found=(), known=(), present=(ADA,), clean_up=CleanUp.NEVER):
    steps = plan_roots(found, dict(known), present=frozenset(present), luid=HERE, clean_up=clean_up)
    return [(step.action, step.sha1, list(step.marks)) for step in steps]


def on_card(card=ADA, sha1=ROOT, problem=""):
    return RootOnCard(sha1, b"der", card, problem)


def test_a_new_root_is_added_with_its_card_and_logon():
    assert planned([on_card()]) == [(RootAction.ADDED, ROOT, [mark(ADA)])]


def test_a_known_root_stays_as_it_is():
    known = {ROOT: (b"der", (mark(ADA),))}
    assert planned([on_card()], known) == [(RootAction.UNCHANGED, ROOT, [mark(ADA)])]


def test_a_root_on_two_cards_has_both_marks():
    found = [on_card(), on_card(EVE)]
    assert planned(found, present=(ADA, EVE)) == [(RootAction.ADDED, ROOT, [mark(ADA), mark(EVE)])]


def test_what_is_no_root_is_filtered():
    assert planned([on_card(problem="issued by another authority")]) == [(RootAction.FILTERED, ROOT, [])]


@pytest.mark.parametrize(
    ("clean_up", "gone"), [(CleanUp.NEVER, False), (CleanUp.AT_REMOVAL, True), (CleanUp.AT_LOGOFF, False)]
)
def test_when_the_card_is_gone(clean_up, gone):
    steps = planned(known={ROOT: (b"der", (mark(ADA),))}, present=(), clean_up=clean_up)
    assert steps == ([(RootAction.REMOVED, ROOT, [])] if gone else [])


@pytest.mark.parametrize(
    ("clean_up", "gone"), [(CleanUp.NEVER, False), (CleanUp.AT_REMOVAL, False), (CleanUp.AT_LOGOFF, True)]
)
def test_when_the_logon_is_over(clean_up, gone):
    steps = planned(known={ROOT: (b"der", (mark(ADA, BEFORE),))}, clean_up=clean_up)
    assert steps == ([(RootAction.REMOVED, ROOT, [])] if gone else [])


def test_a_root_with_a_mark_left_stays():
    known = {ROOT: (b"der", (mark(ADA), mark(EVE)))}
    assert planned(known=known, clean_up=CleanUp.AT_REMOVAL) == [(RootAction.UNCHANGED, ROOT, [mark(ADA)])]


def test_a_root_of_an_old_logon_on_an_inserted_card_is_marked_anew():
    known = {ROOT: (b"der", (mark(ADA, BEFORE),))}
    steps = planned([on_card()], known, clean_up=CleanUp.AT_LOGOFF)
    assert steps == [(RootAction.ADDED, ROOT, [mark(ADA)])]


def test_a_logon_has_one_number():
    assert logon_id() == logon_id() > 0
