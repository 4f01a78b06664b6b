"""The same operations on every kind of store, side by side: the dicts are the specification of the rest.

One machine compares stores that are read whole, each with two openings that change the same store behind each
other's back; the other compares one opening read on demand, and checks it against a list of what should be there.
"""

import hashlib
import tempfile
from pathlib import Path

import certs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from calais.store import properties
from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.store.objects import CertificateStore
from calais.store.shelf import WHOLE
from calais.store.sql import SqlDatabase
from calais.win.errors import WinError
from calais.win.flags import AddDisposition, PropId

POOL = [certs.make(f"Person {number}", begin=certs.BEGIN.replace(year=2020 + number)) for number in range(5)]
SUBJECTS = [certs.name_der(f"Person {number}") for number in range(5)]
IDS = (PropId.FRIENDLY_NAME, PropId.DESCRIPTION)
HASHES = [hashlib.sha1(der).digest() for der in POOL]
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what a crash would lose is no matter here
INHIBIT = 0x40000000

numbers = st.integers(0, len(POOL) - 1)
props = st.dictionaries(st.sampled_from(IDS), st.sampled_from(["a", "b", "'); --"]), max_size=2)
ids = st.sampled_from(IDS)
texts = st.sampled_from([None, "x", "y", "\x1b[0m"])
flags = st.sampled_from([0, INHIBIT])


def dump(store):
    """All that can be seen of a store."""
    return [(each.der, {prop_id: each.get(prop_id) for prop_id in each.property_ids()}) for each in store]


class Side:
    """One kind of store, with its openings."""

    def __init__(self, database, whole, openings):
        self.provider = SystemStores(database, whole=whole)
        self.stores = [CertificateStore.open(self.provider) for _ in range(openings)]

    def reopen(self, at):
        self.stores[at].close()
        self.stores[at] = CertificateStore.open(self.provider)

    def close(self):
        for store in self.stores:
            store.close()
        self.provider.close()


class Stores(RuleBasedStateMachine):
    """Two kinds of store, driven alike."""

    whole = WHOLE
    openings = 2

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        database = SqlDatabase(Path(self.folder.name) / "store.db")
        self.sides = [Side(MemoryDatabase(), WHOLE, self.openings), Side(database, self.whole, self.openings)]

    def teardown(self):
        for side in self.sides:
            side.close()
        self.folder.cleanup()

    def both(self, at, operation):
        """Do it on both sides; the answers, or the codes, are the same."""
        answers = [self.answer(operation, side.stores[at % self.openings]) for side in self.sides]
        assert answers[0] == answers[1]
        return answers[0]

    @staticmethod
    def answer(operation, store):
        try:
            return operation(store)
        except WinError as error:
            return error.code

    @rule(at=st.integers(0, 1), number=numbers, disposition=st.sampled_from(AddDisposition), props=props)
    def add(self, at, number, disposition, props):
        self.both(at, lambda store: store.add(POOL[number], disposition, props).der)

    @rule(at=st.integers(0, 1), number=numbers, pretended=numbers)
    def add_under_another_hash(self, at, number, pretended):
        other = certs.make(f"Person {number}", begin=certs.BEGIN.replace(year=2020 + pretended, month=2))
        stored = {PropId.SHA1_HASH: HASHES[pretended]}
        self.both(at, lambda store: store.add(other, AddDisposition.NEWER_INHERIT_PROPERTIES, stored).der)

    @rule(at=st.integers(0, 1), index=st.integers(0, 9))
    def delete(self, at, index):
        self.both(at, lambda store: self.nth(store, index, lambda each: each.delete()))

    @rule(at=st.integers(0, 1), index=st.integers(0, 9), prop_id=ids, text=texts, flag=flags)
    def set_property(self, at, index, prop_id, text, flag):
        self.both(at, lambda store: self.nth(store, index, lambda each: each.set(prop_id, text, flag)))

    @rule(at=st.integers(0, 1), index=st.integers(0, 9))
    def archive(self, at, index):
        self.both(at, lambda store: self.nth(store, index, lambda each: each.set(PropId.ARCHIVED, b"")))

    @rule(at=st.integers(0, 1), number=numbers)
    def find(self, at, number):
        self.both(at, lambda store: [each.der for each in store.find(subject=SUBJECTS[number])])
        self.both(at, lambda store: [each.der for each in store.find(sha1=HASHES[number])])

    @rule(at=st.integers(0, 1))
    def resync(self, at):
        self.both(at, lambda store: store.resync())

    @rule(at=st.integers(0, 1))
    def reopen(self, at):
        for side in self.sides:
            side.reopen(at % self.openings)

    @staticmethod
    def nth(store, index, operation):
        certificate = next((each for number, each in enumerate(store) if number == index), None)
        return certificate is not None and operation(certificate)

    @invariant()
    def they_show_the_same(self):
        for at in range(self.openings):
            self.both(at, dump)


class OnDemand(Stores):
    """One opening that reads on demand, against one that reads whole, and both against a list."""

    whole = 0
    openings = 1

    @rule(number=numbers, props=props)
    def propagate(self, number, props):
        """What certificate propagation does keeps whatever was stored."""
        known = self.both(0, lambda store: self.known(store, number))
        self.both(0, lambda store: store.add(POOL[number], props=props).der)
        now = self.both(0, lambda store: self.known(store, number))
        assert now == {**known, **props}

    @staticmethod
    def known(store, number):
        found = store.get(HASHES[number])
        stored = found.context.element.stored if found else {}
        return {prop_id: properties.rule(prop_id).unpack(stored[prop_id]) for prop_id in IDS if prop_id in stored}

    @precondition(lambda self: self.whole == 0)
    @rule()
    def reopened_stores_hold_no_duplicates(self):
        self.reopen(0)
        identities = self.both(0, lambda store: [each.sha1 for each in store])
        assert len(identities) == len(set(identities))


Stores.TestCase.settings = OnDemand.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestStoresReadWhole = Stores.TestCase
TestStoresReadOnDemand = OnDemand.TestCase
