"""PIN cache policies of the minidriver specification, on one card, by the clock; and whose PINs they are.

Source: Microsoft's smart card minidriver specification v7.07, PIN_CACHE_POLICY; "Developer Guidelines".
"""

from __future__ import annotations

import os
import select as selecting
import subprocess
import sys

import pytest
from people import PIN, SHA256, key_of
from pinfaces import install, with_cache_policy
from pivdesk import certificate

from calais.cards.piv.personalise import new_card
from calais.provider.pincache import CachePolicy
from calais.resource.virtual import VirtualReaders
from calais.testing import FakeClock, FixedPrompt, local_system, virtual_gids
from calais.win.errors import SilentContext

SIGN = (b"data", SHA256)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def prompt():
    return FixedPrompt(PIN)


@pytest.fixture
def system(clock, prompt):
    with local_system(prompt=prompt, clock=clock) as system:
        key = key_of()
        system.insert(virtual_gids(keys=[("one", 3, key, certificate(key, "one"))], seed="policies"))
        yield system


def sign(system):
    system.card().containers.default.key.sign(*SIGN)


def test_normal_asks_once(monkeypatch, system, clock, prompt):
    install(monkeypatch, with_cache_policy(CachePolicy.NORMAL))
    for _ in range(3):
        sign(system)
        system.card().release()
        clock.advance(100_000)
    assert prompt.count == 1


def test_timed_asks_again_when_its_time_is_over(monkeypatch, system, clock, prompt):
    install(monkeypatch, with_cache_policy(CachePolicy.TIMED, 10))
    for seconds, asked in ((0, 1), (9, 1), (0.9, 1), (0.2, 2), (9.9, 2), (0.1, 3)):
        clock.advance(seconds)
        sign(system)
        system.card().release()
        assert prompt.count == asked, seconds


def test_none_lasts_until_the_transaction_ends(monkeypatch, system, clock, prompt):
    install(monkeypatch, with_cache_policy(CachePolicy.NONE))
    for _ in range(3):
        sign(system)
        clock.advance(1.0)
    assert prompt.count == 1
    system.card().release()
    sign(system)
    assert prompt.count == 2
    assert repr(system.broker.cache) == "<PinCache of 0>"


def test_always_prompt_asks_each_time(monkeypatch, system, prompt):
    install(monkeypatch, with_cache_policy(CachePolicy.ALWAYS_PROMPT))
    for _ in range(3):
        sign(system)
    assert prompt.count == 3


@pytest.mark.parametrize(
    ("policy", "works"),
    [
        (CachePolicy.NORMAL, True),
        (CachePolicy.TIMED, True),
        (CachePolicy.NONE, False),
        (CachePolicy.ALWAYS_PROMPT, False),
    ],
)
def test_a_pin_set_beforehand_outlives_the_transaction_as_its_policy_says(monkeypatch, clock, policy, works):
    install(monkeypatch, with_cache_policy(policy, 60))
    with local_system(clock=clock) as system:
        key = key_of()
        system.insert(virtual_gids(keys=[("one", 3, key, certificate(key, "one"))], seed="policies"))
        seen = system.card()
        seen.verify_pin(PIN)
        seen.release()
        if works:
            sign(system)
        else:
            with pytest.raises(SilentContext):
                sign(system)


def test_the_end_of_a_logon_forgets_its_pins(system):
    sign(system)
    assert repr(system.broker.cache) == "<PinCache of 1>"
    system.broker.scope.end()
    assert repr(system.broker.cache) == "<PinCache of 0>"


def test_a_forked_child_has_none_of_its_parents_pins(system):
    sign(system)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, repr(system.broker.cache).encode())
        os._exit(0)
    os.close(writing)
    assert selecting.select([reading], [], [], 30)[0]
    said = os.read(reading, 100).decode()
    os.close(reading)
    os.waitpid(child, 0)
    assert said == "<PinCache of 0>"
    assert repr(system.broker.cache) == "<PinCache of 1>"


OTHER = """
import sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from calais.testing import local_system
from calais.win.errors import SilentContext
with local_system(sys.argv[1]) as system:
    try:
        system.card().containers.find("9A").key.sign(b"data", ec.ECDSA(hashes.SHA256()))
    except SilentContext as error:
        print(error.name, system.card().pin_status().attempts_left)
"""


def test_another_process_has_nothing_of_the_pin_that_this_one_knows(tmp_path, prompt):
    key = key_of()
    keys = {0x9A: (key, certificate(key, "one"))}
    VirtualReaders(tmp_path / "virtual").new("ada", lambda memory: new_card(memory, os.urandom, keys=keys))
    with local_system(tmp_path, prompt=prompt) as system:
        system.insert("ada")
        for _ in range(2):
            system.card().containers.find("9A").key.sign(*SIGN)
            system.card().release()
            command = [sys.executable, "-c", OTHER, str(tmp_path)]
            done = subprocess.run(command, capture_output=True, timeout=60, check=True)
            assert done.stdout.split() == [b"NTE_SILENT_CONTEXT", b"3"]
    assert prompt.count == 1
