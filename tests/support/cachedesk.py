"""Systems as processes of their own, with one folder of saved memories."""

from __future__ import annotations

from calais.provider.policy import Policy
from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.system import System
from calais.testing import FixedPrompt

READER = "Virtual Reader 0"


def process(home, card, **policy):
    """A system as a process of its own would have, with ``card`` in its reader."""
    policy = Policy.from_values({"TransactionTimeoutMilliseconds": 0, **policy})
    system = System(SystemStores(MemoryDatabase()), prompt=FixedPrompt("123456"), policy=policy, cache=home)
    system.insert(card, READER)
    card.counter.clear()
    return system


def used(home, card, **policy):
    """One process that reads all there is, and ends."""
    with process(home, card, **policy) as system:
        return listing(system)


def listing(system):
    return [(container.name, container.certificate, container.public_key) for container in system.card().containers]


def files(home):
    return sorted(home.glob("*.memory"))
