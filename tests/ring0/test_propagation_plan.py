from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from calais.apps.propagation.plan import Action, OnCard, Rules, plan, wanted_properties
from calais.win.flags.crypt32 import PropId
from calais.win.structs import CryptKeyProvInfo, PinCachePolicy, PinInfo

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PIN = PinInfo(0, 0, 2, 8, PinCachePolicy(0))
ITEM = OnCard(
    container="c-1",
    key_spec=1,
    is_rsa=True,
    reader="Desk",
    reference="9A",
    der=b"certificate",
    sha1=b"1" * 20,
    not_before=NOW - timedelta(days=1),
    not_after=NOW + timedelta(days=1),
    pin_id=1,
    pin=PIN,
)
SAME = {ITEM.sha1: wanted_properties(ITEM) | {PropId.FRIENDLY_NAME: "mine"}}


def one(item, known=None, **rules):
    (step,) = plan([item], known or {}, Rules(**rules), NOW)
    return step


def test_a_certificate_that_the_store_lacks_is_added_with_its_link():
    step = one(ITEM)
    assert step.action is Action.ADDED
    assert step.properties[PropId.KEY_PROV_INFO] == CryptKeyProvInfo(
        "c-1", "Microsoft Base Smart Card Crypto Provider", 1, 1, key_spec=1
    )
    assert step.properties[PropId.SMART_CARD_READER] == "Desk"
    assert step.properties[PropId.SCARD_PIN_ID] == 1
    assert step.properties[PropId.SCARD_PIN_INFO] == PIN


def test_a_key_that_cryptoapi_has_not_is_linked_through_the_key_storage_provider():
    info = one(replace(ITEM, is_rsa=False)).properties[PropId.KEY_PROV_INFO]
    assert info == CryptKeyProvInfo("c-1", "Microsoft Smart Card Key Storage Provider", 0, 1)


def test_a_key_without_a_pin_has_no_pin_properties():
    step = one(replace(ITEM, pin=None, pin_id=0))
    assert PropId.SCARD_PIN_ID not in step.properties
    assert PropId.SCARD_PIN_INFO not in step.properties


def test_what_the_store_says_already_is_left_alone():
    assert one(ITEM, SAME).action is Action.UNCHANGED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"container": "c-2"}, "changed: link to the key"),
        ({"key_spec": 2}, "changed: link to the key"),
        ({"reader": "Kitchen"}, "changed: reader"),
        ({"pin_id": 4}, "changed: PIN id"),
        ({"pin": PinInfo(0, 0, 2, 8, PinCachePolicy(3))}, "changed: PIN information"),
    ],
)
def test_what_differs_is_refreshed_and_named(change, reason):
    step = one(replace(ITEM, **change), SAME)
    assert (step.action, step.reason) == (Action.REFRESHED, reason)


def test_a_certificate_without_a_link_gets_one():
    assert one(ITEM, {ITEM.sha1: {}}).action is Action.REFRESHED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"not_after": NOW - timedelta(days=1)}, "expired on 2026-05-31"),
        ({"not_before": NOW + timedelta(days=1)}, "not valid before 2026-06-02"),
    ],
)
def test_certificates_outside_their_validity_go_in_unless_policy_says_no(change, reason):
    item = replace(ITEM, **change)
    assert (one(item).action, one(item).reason) == (Action.ADDED, reason)
    step = one(item, expired=False)
    assert (step.action, step.reason) == (Action.FILTERED, f"{reason}; propagation.expired is off")
    assert one(item, SAME).action is Action.UNCHANGED


def test_a_certificate_of_unknown_validity_goes_in():
    assert one(replace(ITEM, not_before=None, not_after=None), expired=False).action is Action.ADDED


def test_one_that_cannot_be_read_does_not_stop_the_others():
    broken = replace(ITEM, der=b"", sha1=b"", problem="made to fail")
    steps = plan([broken, ITEM], {}, Rules(), NOW)
    assert [(step.action, step.reason) for step in steps] == [
        (Action.FAILED, "made to fail"),
        (Action.ADDED, "new in the store"),
    ]


def test_a_card_without_certificates_asks_for_nothing():
    assert plan([], {}, Rules(), NOW) == []
