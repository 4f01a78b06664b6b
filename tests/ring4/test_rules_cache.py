"""The three cache modes, as programs see them when a card is changed behind their backs."""

from __future__ import annotations

import pytest
from cspdesk import acquire, certificate_of, fails, public_key_of, set_certificate
from people import PIN
from pinfaces import as_entry_point, install

from calais.cards.gids.driver import GidsMinidriver
from calais.minidriver.memo import CacheMode
from calais.testing import FixedPrompt, local_system, virtual_gids
from calais.win.codes import Code
from calais.win.flags.cardmod import CP_CACHE_MODE_GLOBAL_CACHE, CP_CACHE_MODE_NO_CACHE, CP_CACHE_MODE_SESSION_ONLY
from calais.win.structs import CardCacheFile
from calais.winapi import advapi32 as api

READER = "Virtual Reader 0"
MODES = {
    CP_CACHE_MODE_GLOBAL_CACHE: CacheMode.GLOBAL,
    CP_CACHE_MODE_SESSION_ONLY: CacheMode.SESSION,
    CP_CACHE_MODE_NO_CACHE: CacheMode.NONE,
}


def driver_of(mode):
    class Told(GidsMinidriver):
        cache_mode = mode

    return as_entry_point(Told)


@pytest.fixture(params=list(CacheMode), ids=str)
def mode(request):
    return request.param


@pytest.fixture
def card():
    """A card with a key and no certificate."""
    made = virtual_gids(keys=[])
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(made)
        with acquire("ours", api.CRYPT_NEWKEYSET) as handle:
            api.CryptGenKey(handle, 1, 1024 << 16)
    return made


def opened(card, mode):
    """A system that believes cards as far as the mode goes."""
    values = {"gids.cache": mode.value, "gids.proof": "counters", "TransactionTimeoutMilliseconds": 0}
    system = local_system(prompt=FixedPrompt(PIN), policy=values)
    system.insert(card, READER)
    return system


def certificates(system):
    return [each.has_certificate for each in (container.entry for container in system.card().refresh())]


def put_behind_our_back(card):
    """Another program writes a certificate and forgets the counters."""
    with local_system(prompt=FixedPrompt(PIN)) as other:
        other.insert(card)
        before = counters(other)
        with acquire("ours") as handle:
            set_certificate(handle, certificate_of(public_key_of(handle)))
        other.card().holder("put the counters back").run(
            lambda driver: driver.write_file(None, "cardcf", before.to_bytes())
        )
        other.remove()


def counters(system):
    return CardCacheFile.from_bytes(system.card().run(lambda driver: driver.read_file(None, "cardcf")))


@pytest.mark.parametrize("told", sorted(MODES))
def test_the_mode_is_what_the_driver_of_the_card_says(monkeypatch, told):
    install(monkeypatch, driver_of(told))
    with local_system() as system:
        system.insert(virtual_gids(keys=[]))
        assert system.card().cache_mode is MODES[told]


@pytest.mark.parametrize("told", sorted(MODES))
def test_policy_may_take_a_driver_at_less_than_its_word_and_never_at_more(monkeypatch, told):
    install(monkeypatch, driver_of(told))
    for limit in CacheMode:
        with local_system(policy={"cache.mode": limit.value}) as system:
            system.insert(virtual_gids(keys=[]))
            order = [CacheMode.GLOBAL, CacheMode.SESSION, CacheMode.NONE]
            assert system.card().cache_mode is max(MODES[told], limit, key=order.index)


def test_while_the_card_stays_only_without_a_cache_a_change_is_seen_that_moved_no_counter(mode, card):
    with opened(card, mode) as system:
        assert certificates(system) == [False]
        put_behind_our_back(card)
        card.reset()
        assert certificates(system) == [mode is CacheMode.NONE]


def test_after_reinsertion_only_the_global_cache_goes_on_believing_the_counters(mode, card):
    with opened(card, mode) as system:
        assert certificates(system) == [False]
        system.remove()
        put_behind_our_back(card)
        system.insert(card, READER)
        assert certificates(system) == [mode is not CacheMode.GLOBAL]


def test_a_change_that_moves_its_counter_is_seen_in_every_mode(mode, card):
    with opened(card, mode) as system:
        assert certificates(system) == [False]
        with local_system(prompt=FixedPrompt(PIN)) as other:
            other.insert(card)
            with acquire("ours") as handle:
                set_certificate(handle, certificate_of(public_key_of(handle)))
            other.remove()
        card.reset()
        assert certificates(system) == [True]


def test_without_a_cache_each_look_reads_the_card(mode, card):
    with opened(card, mode) as system:
        certificates(system)
        card.counter.clear()
        certificates(system)
        assert bool(card.counter.exchanges) == (mode is CacheMode.NONE)


@pytest.mark.parametrize("kind", ["certificate", "key"])
def test_what_is_changed_through_the_providers_moves_the_counter_that_it_concerns(mode, card, kind):
    with opened(card, mode) as system, acquire("ours") as handle:
        before = counters(system)
        if kind == "key":
            api.CryptGenKey(handle, 1, 1024 << 16)
        else:
            set_certificate(handle, certificate_of(public_key_of(handle)))
        after = counters(system)
        assert before.files_freshness != after.files_freshness  # the container map is a file
        assert (before.containers_freshness != after.containers_freshness) == (kind == "key")
        assert before.pins_freshness == after.pins_freshness


def test_looking_moves_no_counter(mode, card):
    with opened(card, mode) as system:
        before = counters(system)
        with acquire("ours") as handle, fails(Code.SCARD_E_NO_SUCH_CERTIFICATE):
            api.CryptGetKeyParam(api.CryptGetUserKey(handle, 1), api.KP_CERTIFICATE)
        system.propagate()
        assert counters(system) == before
