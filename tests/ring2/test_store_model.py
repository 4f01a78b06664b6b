"""The same operations on every kind of store, side by side: the dicts are the specification of the rest.

One machine compares stores that are read whole, each with two openings that change the same store behind each
other's back; the second compares one opening read on demand, and checks it against a list of what should be there;
the third compares the databases below: transactions, some given up half way, of rows of every kind, and settings.
"""

import hashlib
import itertools
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import certs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from postgres import NEEDED

from calais.store import filing, properties
from calais.store.api import Index, Lookup
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

ACCOUNTS = (f"example {number}" for number in itertools.count())

numbers = st.integers(0, len(POOL) - 1)
props = st.dictionaries(st.sampled_from(IDS), st.sampled_from(["a", "b", "'); --"]), max_size=2)
ids = st.sampled_from(IDS)
texts = st.sampled_from([None, "x", "y", "\x1b[0m"])
flags = st.sampled_from([0, INHIBIT])


def dump(store):
    """All that can be seen of a store."""
    return [(each.der, {prop_id: each.get(prop_id) for prop_id in each.property_ids()}) for each in store]


def sql_databases(folder, url):
    """The databases that are compared with the dicts; accounts keep the examples apart."""
    yield SqlDatabase(Path(folder) / "store.db")
    if url:
        yield SqlDatabase(url, account=next(ACCOUNTS))


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
    """Every kind of store, driven alike.

    Args:
        url: of a PostgreSQL database that takes part, or "".
    """

    whole = WHOLE
    openings = 2

    def __init__(self, url):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.sides = [Side(MemoryDatabase(), WHOLE, self.openings)]
        for database in sql_databases(self.folder.name, url):
            self.sides.append(Side(database, self.whole, self.openings))

    def teardown(self):
        for side in self.sides:
            side.close()
        self.folder.cleanup()

    def both(self, at, operation):
        """Do it on all sides; the answers, or the codes, are the same."""
        answers = [self.answer(operation, side.stores[at % self.openings]) for side in self.sides]
        assert all(answer == answers[0] for answer in answers)
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


# --- the databases below ----------------------------------------------------------------------------------------------

CRLS = [certs.tlv(0x30, certs.tlv(0x30, b"\x30\x00", SUBJECTS[number]), b"\x30\x00") for number in range(5)]
ENCODED = {32: POOL, 33: CRLS, 34: CRLS}
NAMES = ("My", "Other", "OTHER")

kinds = st.sampled_from(sorted(ENCODED))
places = st.tuples(st.sampled_from([1, 2]), st.sampled_from(NAMES))
stored = st.dictionaries(st.sampled_from([3, 11, 20]), st.sampled_from([HASHES[0], HASHES[1], b"x"]), max_size=2)
changes = st.dictionaries(st.sampled_from([3, 11, 20]), st.sampled_from([None, HASHES[0], HASHES[1], b"y"]), min_size=1)
identities = st.sampled_from([*HASHES, *(hashlib.sha1(each).digest() for each in CRLS), b"x", b"y"])
words = st.sampled_from(["a", "A", "b", "'; --", "\u017f\u0130"])
steps = st.one_of(
    st.tuples(st.just("put"), kinds, numbers, stored),
    st.tuples(st.just("alter"), kinds, identities, changes),
    st.tuples(st.just("remove"), kinds, identities),
)


class GivenUp(Exception):
    pass


class Databases(RuleBasedStateMachine):
    """Every kind of database, driven alike."""

    def __init__(self, url):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.sides = [MemoryDatabase(), *sql_databases(self.folder.name, url)]
        self.changes = [{} for _ in self.sides]

    def teardown(self):
        for side in self.sides:
            side.close()
        self.folder.cleanup()

    def all(self, operation):
        answers = [operation(side) for side in self.sides]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    @rule(place=places, steps=st.lists(steps, min_size=1, max_size=4), give_up=st.sampled_from([False, False, True]))
    def transaction(self, place, steps, give_up):
        self.all(partial(self.done, place, steps, give_up))

    def done(self, place, steps, give_up, side):
        said = []
        with suppress(GivenUp), side.backing(*place).writing() as look:
            said += [self.step(look, *step) for step in steps]
            said += [shown(look.rows(None, 99, None, kind)) for kind in ENCODED]
            if give_up:
                raise GivenUp
        return said

    @staticmethod
    def step(look, verb, kind, what, more=None):
        if verb == "put":
            return shown([look.put(ENCODED[kind][what], more, kind)])
        return look.remove(what, kind) if verb == "remove" else look.alter(what, more, kind)

    @rule(place=places)
    def create(self, place):
        self.all(lambda side: side.create(*place))

    @rule(place=places)
    def drop(self, place):
        self.all(lambda side: side.drop(*place))

    @rule(location=st.sampled_from([1, 2]), kind=words, name=words, value=st.sampled_from([b"", b"1", b"\xff\0"]))
    def put_setting(self, location, kind, name, value):
        self.all(lambda side: side.settings(location).put(kind, name, value))

    @rule(location=st.sampled_from([1, 2]), kind=words, name=words)
    def delete_setting(self, location, kind, name):
        self.all(lambda side: side.settings(location).delete(kind, name))

    @rule(location=st.sampled_from([1, 2]), kind=words, name=words)
    def read_settings(self, location, kind, name):
        self.all(lambda side: list(side.settings(location).items(kind).items()))
        self.all(lambda side: side.settings(location).get(kind, name))

    @rule(place=places, kind=kinds, number=numbers, limit=st.integers(1, 4))
    def look_up(self, place, kind, number, limit):
        self.all(partial(self.found, place, kind, number, limit))

    @staticmethod
    def found(place, kind, number, limit, side):
        wanted = {Index.SHA1: HASHES[number], Index.SUBJECT: SUBJECTS[number], Index.ISSUER: SUBJECTS[number]}
        with side.backing(*place).reading() as look:
            every = look.rows(None, 99, None, kind)
            pages = [shown(look.rows(row.key, limit, None, kind)) for row in every]
            found = [
                shown(look.rows(None, limit, Lookup(index, filing.digest(value)), kind))
                for index, value in wanted.items()
            ]
            return look.count(limit, kind), shown(every), pages, found

    @invariant()
    def the_same_stores_are_there_and_the_counter_tells_every_change(self):
        self.all(lambda side: [side.names(1), side.names(2)])
        contents = [self.contents(side, known) for side, known in zip(self.sides, self.changes, strict=True)]
        assert all(each == contents[0] for each in contents)

    def contents(self, side, known):
        """What every store holds; a store with the counter of before holds what it held before."""
        found = {}
        for place in ((1, "My"), (1, "other"), (2, "My"), (2, "other")):
            with side.backing(*place).reading() as look:
                rows = found[place] = [shown(look.rows(None, 99, None, kind)) for kind in ENCODED]
                counter = look.change()
            before, held = known.get(place, (None, None))
            assert counter != before or rows == held
            known[place] = counter, rows
        return found


def shown(rows):
    """Rows without their keys, which differ between databases."""
    assert [row.key for row in rows] == sorted((row.key for row in rows), reverse=True)
    return [(row.encoded, dict(sorted(row.properties.items())), row.kind) for row in rows]


@pytest.mark.parametrize("machine", [Stores, OnDemand, Databases])
@pytest.mark.parametrize(
    ("with_server", "examples"),
    [pytest.param(False, 30, id="sqlite"), pytest.param(True, 20, marks=NEEDED, id="sqlite and postgresql")],
)
def test_every_kind_of_store_does_what_the_dicts_do(request, machine, with_server, examples):
    url = request.getfixturevalue("postgres").url() if with_server else ""
    how = settings(max_examples=examples, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(partial(machine, url), settings=how)
