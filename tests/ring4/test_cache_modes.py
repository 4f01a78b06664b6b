"""Cache modes: how far what is remembered of a card reaches."""

from __future__ import annotations

import gidsdesk
import pivdesk
import pytest
from cachedesk import READER, files, listing, process
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from calais.minidriver.memo import CacheMode
from calais.provider.cache import decide

KINDS = {"piv": (pivdesk, 2 + 4 + 1, 7), "gids": (gidsdesk, 3, 6)}


@pytest.fixture(params=KINDS)
def kind(request):
    desk, warm, cold = KINDS[request.param]
    return request.param, desk.new_desk(keys=desk.four_keys()).card, warm, cold


def again(system, card):
    system.remove(READER)
    system.insert(card, READER)
    card.counter.clear()
    return len(system.card().containers)


@pytest.mark.parametrize(
    ("policy", "driver", "told", "mode"),
    [
        ({}, "piv", 1, "global"), ({}, "piv", 2, "session"), ({}, "piv", 3, "none"), ({}, "other", 9, "none"),
        ({"piv.cache": "global"}, "piv", 2, "global"), ({"piv.cache": "card"}, "piv", 2, "session"),
        ({"piv.cache": "none"}, "gids", 1, "global"), ({"gids.cache": "session"}, "gids", 1, "session"),
        ({"cache.mode": "session"}, "gids", 1, "session"), ({"cache.mode": "session"}, "gids", 3, "none"),
        ({"cache.mode": "none", "piv.cache": "global"}, "piv", 1, "none"),
    ],
)  # fmt: skip
def test_the_mode_is_what_policy_and_card_say(policy, driver, told, mode):
    assert decide(policy, driver, told) is CacheMode(mode)


def test_global_outlives_the_insertion_and_the_process(tmp_path, kind):
    _, card, warm, _ = kind
    with process(tmp_path, card) as system:
        listing(system)
        assert system.card().cache_mode is CacheMode.GLOBAL
        assert again(system, card) == 4
        assert card.counter.exchanges == warm
    assert files(tmp_path)


def test_session_ends_with_the_insertion(tmp_path, kind):
    name, card, _, cold = kind
    with process(tmp_path, card, **{f"{name}.cache": "session"}) as system:
        listing(system)
        card.counter.clear()
        assert len(system.card().containers) == 4
        assert card.counter.exchanges == 0
        again(system, card)
        assert card.counter.exchanges >= cold
    assert files(tmp_path) == []


def test_session_does_not_use_what_was_saved_before(tmp_path, kind):
    name, card, _, cold = kind
    with process(tmp_path, card) as system:
        listing(system)
    with process(tmp_path, card, **{f"{name}.cache": "session"}) as system:
        assert len(system.card().containers) == 4
        assert card.counter.exchanges >= cold


def test_without_a_cache_each_job_reads_anew(tmp_path, kind):
    name, card, _, _ = kind
    with process(tmp_path, card, **{"cache.mode": "none"}) as system:
        held = system.card()
        before = listing(system)
        card.counter.clear()
        for _ in range(2):
            assert held.containers[0].certificate == before[0][1]
        first = card.counter.exchanges
        assert listing(system) == before
        assert card.counter.exchanges > first
        assert name in ("piv", "gids")
    assert files(tmp_path) == []


def test_without_a_cache_keys_still_sign_and_names_still_hold(tmp_path):
    card = pivdesk.new_desk(keys=pivdesk.four_keys(), chuid_guid=b"").card
    with process(tmp_path, card, **{"cache.mode": "none"}) as system:
        held = system.card()
        name = held.containers[0].name
        assert held.container(name).index == 0
        key = held.container(name).key
        key.public_key().verify(key.sign(b"data", ec.ECDSA(hashes.SHA256())), b"data", ec.ECDSA(hashes.SHA256()))
