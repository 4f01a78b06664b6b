"""Every kind of store answers the same calls alike, and what is filed is what is found again."""

from __future__ import annotations

import io

from blackstore import certificate, code_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from calais.testing import local_system
from calais.winapi import crypt32 as c

CERTIFICATES = [certificate(f"Number {number}", serial=number) for number in range(4)]
WHICH = st.integers(0, len(CERTIFICATES) - 1)
PROPERTIES = st.sampled_from([11, 13, 0x8000, c.CERT_ARCHIVED_PROP_ID])
# ADD_ALWAYS is left out: there the kinds differ, on purpose.
DISPOSITIONS = st.sampled_from([1, 2, 3, 5, 6, 7])
CU = c.CERT_SYSTEM_STORE_CURRENT_USER


def value_of(ident, number):
    return f"text {number}" if ident in {11, 13} else b"" if ident == c.CERT_ARCHIVED_PROP_ID else bytes([number])


class Kinds(RuleBasedStateMachine):
    """One list of calls for all kinds of stores at once."""

    @initialize()
    def open_all(self):
        self.system = local_system()
        self.system.__enter__()
        self.key, self.file = {}, io.BytesIO()
        self.openers = {
            "file": lambda: c.CertOpenStore(3, 0, None, 0x10000, self.file),
            "reg": lambda: c.CertOpenStore(4, 0, None, 0, self.key),
            "system": lambda: c.CertOpenStore(10, 0, None, CU, "Root"),
            "registry": lambda: c.CertOpenStore(13, 0, None, CU, "My"),
        }
        self.stores = {kind: opener() for kind, opener in self.openers.items()}
        self.stores["memory"] = c.CertOpenStore(2)
        self.stores["collection"] = c.CertOpenStore(11)
        c.CertAddStoreToCollection(self.stores["collection"], c.CertOpenStore(2), 1, 0)

    def alike(self, call):
        answers = {kind: call(store) for kind, store in self.stores.items()}
        assert len(set(map(repr, answers.values()))) == 1, answers

    def find(self, store, which):
        wanted = c.CertCreateCertificateContext(1, CERTIFICATES[which])
        return c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_EXISTING, wanted)

    @rule(which=WHICH, how=DISPOSITIONS, ident=PROPERTIES, number=st.integers(0, 9))
    def add(self, which, how, ident, number):
        source = c.CertCreateCertificateContext(1, CERTIFICATES[which])
        c.CertSetCertificateContextProperty(source, ident, 0, value_of(ident, number))
        self.alike(lambda store: code_of(lambda: c.CertAddCertificateContextToStore(store, source, how)))

    @rule(which=WHICH, how=DISPOSITIONS)
    def add_bytes(self, which, how):
        encoded = CERTIFICATES[which]
        self.alike(lambda store: code_of(lambda: c.CertAddEncodedCertificateToStore(store, 1, encoded, how)))

    @rule(which=WHICH)
    def delete(self, which):
        def call(store):
            found = self.find(store, which)
            return found and c.CertDeleteCertificateFromStore(found)

        self.alike(call)

    @rule(which=WHICH, ident=PROPERTIES, number=st.none() | st.integers(0, 9))
    def put(self, which, ident, number):
        value = None if number is None else value_of(ident, number)

        def call(store):
            found = self.find(store, which)
            return found and c.CertSetCertificateContextProperty(found, ident, 0, value)

        self.alike(call)

    @rule(kind=st.sampled_from(["file", "reg", "system", "registry"]))
    def reopen(self, kind):
        before = sorted(self.content(self.stores[kind]))
        c.CertCloseStore(self.stores[kind])
        self.stores[kind] = self.openers[kind]()
        assert sorted(self.content(self.stores[kind])) == before

    def content(self, store):
        seen = []
        for which in range(len(CERTIFICATES)):
            if found := self.find(store, which):
                bag = [
                    (ident, c.CertGetCertificateContextProperty(found, ident))
                    for ident in (11, 13, c.CERT_ARCHIVED_PROP_ID, 0x8000)
                    if not code_of(lambda ident=ident: c.CertGetCertificateContextProperty(found, ident))
                ]
                seen.append((which, repr(bag)))
        return seen

    @invariant()
    def all_hold_the_same(self):
        self.alike(self.content)
        self.alike(lambda store: sorted(context.encoded for context in store))

    def teardown(self):
        if hasattr(self, "system"):
            self.system.__exit__(None, None, None)


TestKinds = Kinds.TestCase
TestKinds.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
