"""Never stale: whoever writes to a card, and however it comes back, the next read through any of our ways is true.

Two systems with one folder of saved memories stand for two processes. A desk of its own, with no memory, stands for
another vendor's program. A second card has the same id.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import gidsdesk
import pivdesk
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from calais.cards.gids import edge, listing
from calais.cards.gids.bookkeeping import NewContainer
from calais.minidriver.files import compress_certificate
from calais.provider.policy import Policy
from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.system import System
from calais.testing import FixedPrompt
from calais.win.errors import CardReset

READER = "Virtual Reader 0"
SHA256 = ec.ECDSA(hashes.SHA256())
DATA = b"data"
POLICY = Policy.from_values({"TransactionTimeoutMilliseconds": 0})  # nobody waits for anybody
KEYS = tuple(pivdesk.p256() for _ in range(3))
# Certificates of each key: of two names, of two sizes, and two that differ in nothing but the key.
CERTIFICATES = tuple(
    (key, pivdesk.der(made))
    for key in KEYS
    for made in (
        pivdesk.certificate(key, "first"),
        pivdesk.certificate(key, "second", size=1400),
        pivdesk.certificate(key, "third", serial=7),
    )
)
SECOND = st.booleans()
INDEX = st.sampled_from([0, 1])
CHOICE = st.sampled_from(CERTIFICATES)


class Cards(RuleBasedStateMachine):
    """What both kinds of cards go through; ``truth`` has key and certificate of each container, for each card."""

    names: tuple[str, ...] = ()

    @initialize()
    def start(self):
        self.home = Path(tempfile.mkdtemp(prefix="calais-never-stale-"))
        first, second, self.truth = self.new_cards()
        self.cards, self.at = (first, second), 0
        self.lied = False
        self.systems = [self.new_system(), self.new_system()]
        self.held = {}

    def teardown(self):
        for system in getattr(self, "systems", ()):
            system.close()
        shutil.rmtree(getattr(self, "home", "/nonexistent"), ignore_errors=True)

    def new_system(self):
        system = System(
            SystemStores(MemoryDatabase()), prompt=FixedPrompt("123456"), policy=POLICY, cache=self.home / "cache"
        )
        system.insert(self.cards[self.at], READER)
        return system

    @property
    def here(self):
        return self.truth[self.at]

    # --- who writes ---

    @rule(second=SECOND, index=INDEX, choice=CHOICE)
    def ours_writes(self, second, index, choice):
        self.renew(self.systems[second].card(), index, *choice)
        self.here[index] = choice

    @rule(index=INDEX, choice=CHOICE)
    def another_program_writes(self, index, choice):
        self.renew_elsewhere(self.cards[self.at], index, *choice)
        self.here[index] = choice

    @rule(index=INDEX)
    def another_program_deletes_a_certificate(self, index):
        self.delete_elsewhere(self.cards[self.at], index)
        self.here[index] = (self.here[index][0], None)

    # --- what happens to the card ---

    @rule()
    def reinsert(self):
        for system in self.systems:
            system.remove(READER)
        for system in self.systems:
            system.insert(self.cards[self.at], READER)

    @rule()
    def swap(self):
        for system in self.systems:
            system.remove(READER)
        self.at = 1 - self.at
        self.lied = True
        for system in self.systems:
            system.insert(self.cards[self.at], READER)

    @rule()
    def reset(self):
        self.cards[self.at].reset()

    @rule(second=SECOND)
    def restart(self, second):
        self.systems[second].close()
        self.systems[second] = self.new_system()
        self.held = {key: held for key, held in self.held.items() if key[0] != second}

    # --- who reads ---

    @rule(second=SECOND, index=INDEX)
    def one_certificate_is_read(self, second, index):
        found = self.container(second, index)
        expected = self.here[index][1]
        assert (found.certificate if found else None) == expected

    @rule(second=SECOND, index=INDEX)
    def one_key_is_read(self, second, index):
        found = self.container(second, index)
        if found is not None and self.is_known(index):
            assert found.public_key == self.here[index][0].public_key()

    @rule(second=SECOND, index=INDEX)
    def a_key_signs(self, second, index):
        found = self.container(second, index)
        if found is not None and self.is_known(index):
            self.held[second, index] = found
            self.here[index][0].public_key().verify(found.key.sign(DATA, SHA256), DATA, SHA256)

    @rule(second=SECOND, index=INDEX)
    def an_old_object_signs(self, second, index):
        held = self.held.get((second, index))
        if held is not None and self.is_known(index):
            try:
                signature = held.sign(bytes(32), self.padding)
            except CardReset:
                return
            assert self.signs(index, signature)

    @rule(second=SECOND)
    def all_is_read(self, second):
        containers = self.systems[second].card().containers
        found = {container.index: container.certificate for container in containers}
        assert {at: der for at, der in found.items() if der} == {at: der for at, (_, der) in self.here.items() if der}

    @rule(second=SECOND)
    def the_store_is_filled(self, second):
        system = self.systems[second]
        outcomes = system.propagate()
        if self.lied and not self.heads_prove_lists:
            return
        there = {outcome.certificate.encoded for outcome in outcomes}
        assert there == {der for _, der in self.here.values() if der}

    # --- what the kinds differ in ---

    def signs(self, index, raw):
        from calais.minidriver.padding import Raw
        from calais.provider.checking import is_signature

        return is_signature(self.here[index][0].public_key(), raw, bytes(32), Raw())

    @property
    def padding(self):
        from calais.minidriver.padding import Raw

        return Raw()

    def is_known(self, index):
        """Whether the card can tell the key."""
        return True


class PivCards(Cards):
    heads_prove_lists = True

    def new_cards(self):
        cards, truth = [], []
        for number in (0, 1):
            pairs = [CERTIFICATES[number], CERTIFICATES[number + 3]]
            keys = {ref: (key, x509_of(der)) for ref, (key, der) in zip((0x9A, 0x9C), pairs, strict=True)}
            cards.append(pivdesk.new_desk(keys=keys).card)
            truth.append(dict(enumerate(pairs)))
        return *cards, truth

    def renew(self, card, index, key, der):
        admin = card.admin(pivdesk.ADMIN_KEY)
        admin.import_key(index, 3, key)
        admin.put_certificate(index, der)

    def renew_elsewhere(self, card, index, key, der):
        with pivdesk.admin(pivdesk.Desk(card)) as driver:
            driver.create_container(index, 3, key=key)
            driver.write_certificate(index, der)

    def delete_elsewhere(self, card, index):
        with pivdesk.admin(pivdesk.Desk(card)) as driver:
            driver.delete_certificate(index)

    def container(self, second, index):
        if not self.is_known(index):
            return None
        return self.systems[second].card().containers.find(["9A", "9C"][index])

    def is_known(self, index):
        return self.here[index][1] is not None


class GidsCards(Cards):
    heads_prove_lists = False

    def new_cards(self):
        cards, truth = [], []
        for number in (0, 1):
            pairs = [CERTIFICATES[number], CERTIFICATES[number + 3]]
            keys = [(f"key {at}", 3, key, x509_of(der)) for at, (key, der) in enumerate(pairs)]
            cards.append(gidsdesk.new_desk(keys=keys).card)
            truth.append(dict(enumerate(pairs)))
        return *cards, truth

    def renew(self, card, index, key, der):
        def job(driver):
            driver.add_container(NewContainer(3, key=key, name=f"key {index}", index=index))
            driver.write_certificate(index, der)

        card.holder("renew").run(job)

    def renew_elsewhere(self, card, index, key, der):
        with gidsdesk.user(gidsdesk.Desk(card)) as driver:
            driver.add_container(NewContainer(3, key=key, name=f"key {index}", index=index))
            driver.write_certificate(index, der)

    def delete_elsewhere(self, card, index):
        with gidsdesk.user(gidsdesk.Desk(card)) as driver:
            if driver.certificate(index) is not None:
                driver.delete_certificate(index)

    @rule(index=INDEX, choice=CHOICE)
    def another_program_writes_and_moves_no_counter(self, index, choice):
        key, der = choice
        with gidsdesk.user(gidsdesk.Desk(self.cards[self.at])) as driver:
            entry = listing.certificate_entry(driver.view, index, 2)
            if entry is None:
                return
            driver.create_container(index, 3, key=key)
            edge.put_data(driver.tx, *entry.place, compress_certificate(der))
        self.here[index] = choice
        self.lied = True

    def container(self, second, index):
        return self.systems[second].card().containers.find(f"key {index}")


def x509_of(der):
    from cryptography import x509

    return x509.load_der_x509_certificate(der)


SETTINGS = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
PivCards.TestCase.settings = SETTINGS
GidsCards.TestCase.settings = SETTINGS
TestPivIsNeverStale = PivCards.TestCase
TestGidsIsNeverStale = GidsCards.TestCase


@pytest.mark.nightly
class TestPivIsNeverStaleForLong(PivCards.TestCase):
    settings = settings(SETTINGS, max_examples=300, stateful_step_count=50)


@pytest.mark.nightly
class TestGidsIsNeverStaleForLong(GidsCards.TestCase):
    settings = settings(SETTINGS, max_examples=300, stateful_step_count=50)
