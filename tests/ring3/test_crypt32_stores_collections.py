"""Collections: their order, where additions go, what counts as there already, who holds whom."""

# ruff: noqa: F403, F405

import crls
from storefaces import A, B, C, add, code_of, crls_of, ders, memory

from calais.winapi.crypt32 import *

CRL = crls.make()
NEW, USE = CERT_STORE_ADD_NEW, CERT_STORE_ADD_USE_EXISTING
ADD_ENABLE = CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG


def opened(provider):
    return CertOpenStore(provider)


def first(store):
    return CertEnumCertificatesInStore(store)


def collection(*members):
    made = opened(CERT_STORE_PROV_COLLECTION)
    for store, flags, priority in members:
        CertAddStoreToCollection(made, store, flags, priority)
    return made


def test_members_come_by_falling_priority_and_equal_ones_as_added():
    made = collection((memory(A), 0, 1), (memory(B), 0, 5), (memory(C), 0, 1), (memory(A), 0, 5))
    assert ders(made) == [B, A, A, C]


def test_adding_goes_to_the_first_member_that_takes_additions():
    closed, taking, spare = memory(), memory(), memory()
    made = collection((closed, 0, 9), (taking, ADD_ENABLE, 5), (spare, ADD_ENABLE, 1))
    context = CertAddEncodedCertificateToStore(made, 1, A, NEW)
    assert (context.store, ders(closed), ders(taking), ders(spare)) == (made, [], [A], [])
    CertAddEncodedCRLToStore(made, 1, CRL, NEW)
    assert crls_of(taking) == crls_of(made) == [CRL]
    assert code_of(CertAddEncodedCertificateToStore, collection((closed, 0, 0)), 1, B, NEW) == E_ACCESSDENIED


def test_what_any_member_has_is_there_already():
    holder, taking = memory(A), memory()
    made = collection((taking, ADD_ENABLE, 5), (holder, 0, 1))
    assert code_of(CertAddEncodedCertificateToStore, made, 1, A, NEW) == CRYPT_E_EXISTS
    assert CertAddEncodedCertificateToStore(made, 1, A, USE).encoded == A
    CertAddEncodedCertificateToStore(made, 1, A, CERT_STORE_ADD_REPLACE_EXISTING)
    assert (ders(taking), ders(holder)) == ([], [A])
    add(made, A)
    assert (ders(taking), ders(holder)) == ([A], [A])


def test_a_disposition_that_is_none_is_named_before_a_member_is_looked_for():
    assert code_of(CertAddEncodedCertificateToStore, collection(), 1, A, 0) == E_INVALIDARG


def test_deleting_deletes_from_the_one_member():
    one, two = memory(A), memory(A)
    made = collection((one, 0, 2), (two, 0, 1))
    CertDeleteCertificateFromStore(first(made))
    assert (ders(one), ders(two), ders(made)) == ([], [A], [A])


def test_a_collection_may_be_a_member_but_not_its_own():
    inner = collection((memory(A), ADD_ENABLE, 0))
    outer = collection((inner, ADD_ENABLE, 0))
    context = first(outer)
    assert (context.encoded, context.store) == (A, outer)
    add(outer, B)
    assert ders(inner) == [B, A]
    for group in (inner, outer):
        assert code_of(CertAddStoreToCollection, group if group is inner else outer, outer) == E_INVALIDARG


def test_a_collection_holds_its_members_open():
    member = memory(A)
    made = collection((member, 0, 0))
    CertCloseStore(member)
    assert ders(made) == [A]
    CertCloseStore(made)
    assert code_of(CertCloseStore, member) == ERROR_INVALID_PARAMETER


def test_members_leave_and_what_is_none_stays_away():
    member = memory(A)
    made = collection((member, 0, 0))
    CertAddStoreToCollection(made, None)
    CertRemoveStoreFromCollection(made, memory())
    CertRemoveStoreFromCollection(memory(), member)
    assert ders(made) == [A]
    CertRemoveStoreFromCollection(made, member)
    assert ders(made) == []
    assert code_of(CertAddStoreToCollection, memory(), member) == E_INVALIDARG


def test_the_empty_store_may_be_offered_and_nobody_closes_it():
    made = collection((CertCreateCertificateContext(1, A).store, ADD_ENABLE, 0), (memory(A), ADD_ENABLE, 0))
    assert ders(made) == [A]
    CertCloseStore(made)
