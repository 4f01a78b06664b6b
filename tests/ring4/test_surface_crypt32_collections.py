"""Collections of stores, and one store made the mirror of another."""

from __future__ import annotations

import pytest
from blackstore import certificate, code_of, crl, fails, sha1

from calais.testing import local_system
from calais.winapi import crypt32 as c

ONE, TWO, THREE = (certificate(name, serial=number) for number, name in enumerate(("One", "Two", "Three")))
CU, LM = c.CERT_SYSTEM_STORE_CURRENT_USER, c.CERT_SYSTEM_STORE_LOCAL_MACHINE
RESYNC, NOTIFY, COMMIT, AUTO, CANCEL = range(1, 6)
ENABLED = c.CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG
WAIT = 10


@pytest.fixture
def system():
    with local_system() as made:
        yield made


def memory(*encoded):
    store = c.CertOpenStore(c.CERT_STORE_PROV_MEMORY)
    for each in encoded:
        add(store, each)
    return store


def add(store, encoded=ONE, how=c.CERT_STORE_ADD_ALWAYS):
    return c.CertAddEncodedCertificateToStore(store, 1, encoded, how)


def held(store):
    return [context.encoded for context in store]


def user(name="My", flags=0):
    return c.CertOpenStore(c.CERT_STORE_PROV_SYSTEM, 0, None, CU | flags, name)


# --- collections -----------------------------------------------------------------------------------------------------


def collection(*members):
    whole = c.CertOpenStore(c.CERT_STORE_PROV_COLLECTION)
    for store, flags, priority in members:
        c.CertAddStoreToCollection(whole, store, flags, priority)
    return whole


def test_members_are_walked_by_falling_priority_and_order_of_adding():
    whole = collection((memory(ONE), 0, 1), (memory(TWO), 0, 5), (memory(THREE), 0, 1), (memory(ONE), 0, 5))
    assert held(whole) == [TWO, ONE, ONE, THREE]
    outer = collection((memory(THREE), 0, 9), (whole, 0, 1))
    assert held(outer) == [THREE, TWO, ONE, ONE, THREE]
    assert {context.store for context in outer} == {outer}
    found = c.CertFindCertificateInStore(outer, 1, 0, c.CERT_FIND_SHA1_HASH, sha1(TWO))
    assert found.store is outer


def test_adding_goes_to_the_first_member_that_takes():
    closed, first, second = memory(), memory(), memory()
    whole = collection((second, ENABLED, 0), (closed, 0, 9), (first, ENABLED, 5))
    context = add(whole)
    assert context.store is whole
    assert (held(closed), held(first), held(second)) == ([], [ONE], [])
    for none in (c.CertOpenStore(11), collection((memory(), 0, 0))):
        with fails(c.E_ACCESSDENIED):
            add(none)
        with fails(c.E_ACCESSDENIED):
            c.CertAddEncodedCRLToStore(none, 1, crl(), 4)


def test_the_present_one_is_acted_on_in_its_own_member():
    closed, opened = memory(ONE), memory()
    c.CertSetCertificateContextProperty(next(iter(closed)), 11, 0, "kept")
    whole = collection((opened, ENABLED, 9), (closed, 0, 0))
    with fails(c.CRYPT_E_EXISTS):
        add(whole, ONE, c.CERT_STORE_ADD_NEW)
    assert add(whole, ONE, c.CERT_STORE_ADD_USE_EXISTING).store is whole
    context = add(whole, ONE, c.CERT_STORE_ADD_REPLACE_EXISTING_INHERIT_PROPERTIES)
    assert c.CertGetCertificateContextProperty(context, 11) == "kept"
    add(whole, ONE, c.CERT_STORE_ADD_REPLACE_EXISTING)
    assert (held(opened), held(closed)) == ([], [ONE])
    with fails(c.CRYPT_E_NOT_FOUND):
        c.CertGetCertificateContextProperty(next(iter(closed)), 11)
    add(whole, ONE, c.CERT_STORE_ADD_ALWAYS)
    assert (held(opened), held(closed)) == ([ONE], [ONE])
    c.CertDeleteCertificateFromStore(c.CertEnumCertificatesInStore(whole))
    assert (held(opened), held(closed)) == ([], [ONE])


def test_a_collection_keeps_its_own_reference_and_lets_go():
    store = memory(ONE)
    whole = collection((store, 0, 0))
    c.CertCloseStore(store)
    assert held(whole) == [ONE]
    other = memory(TWO)
    c.CertAddStoreToCollection(whole, other, 0, 0)
    c.CertRemoveStoreFromCollection(whole, other)
    assert held(whole) == [ONE]
    c.CertRemoveStoreFromCollection(whole, other)
    c.CertRemoveStoreFromCollection(memory(), other)
    c.CertAddStoreToCollection(whole, None)
    assert held(other) == [TWO]
    with fails(c.E_INVALIDARG):
        c.CertAddStoreToCollection(memory(), other)
    with fails(c.E_INVALIDARG):
        c.CertAddCertificateLinkToStore(whole, next(iter(other)), 4)


def test_a_collection_that_holds_itself_ends():
    whole = collection((memory(ONE), 0, 0))
    assert code_of(lambda: c.CertAddStoreToCollection(whole, whole, 0, 0)) in {0, c.E_INVALIDARG}
    assert held(whole) == [ONE]
    inner = collection((whole, 0, 0))
    assert code_of(lambda: c.CertAddStoreToCollection(whole, inner, 0, 0)) in {0, c.E_INVALIDARG}
    assert ONE in held(whole)


# --- mirroring -------------------------------------------------------------------------------------------------------


def test_update_makes_a_mirror(system):
    source = memory(ONE, TWO)
    c.CertSetCertificateContextProperty(next(iter(source)), 11, 0, "Two")
    c.CertAddEncodedCRLToStore(source, 1, crl(), 4)
    for target in (memory(ONE, THREE), user()):
        extra = add(target, ONE, c.CERT_STORE_ADD_REPLACE_EXISTING)
        c.CertSetCertificateContextProperty(extra, 13, 0, "extra")
        c.CertAddEncodedCRLToStore(target, 1, crl(number=9), 4)
        assert c.I_CertUpdateStore(target, source) is None
        assert sorted(held(target)) == sorted([ONE, TWO])
        by = {context.encoded: context for context in target}
        assert c.CertGetCertificateContextProperty(by[TWO], 11) == "Two"
        with fails(c.CRYPT_E_NOT_FOUND):
            c.CertGetCertificateContextProperty(by[ONE], 13)
        only = c.CertEnumCRLsInStore(target)
        assert only.encoded == crl()
        assert c.CertEnumCRLsInStore(target, only) is None
    assert sorted(held(user())) == sorted([ONE, TWO])
