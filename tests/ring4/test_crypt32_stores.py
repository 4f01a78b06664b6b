"""Opening, closing and walking stores through the faces of crypt32."""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

import gc

import certs
import pytest

from calais.testing import local_system
from calais.win.errors import WinError
from calais.winapi.crypt32 import *

A, B, C = (certs.make(each) for each in ("Alice", "Bob", "Carol"))
X509 = X509_ASN_ENCODING
USER, MACHINE = CERT_SYSTEM_STORE_CURRENT_USER, CERT_SYSTEM_STORE_LOCAL_MACHINE
ALWAYS = CERT_STORE_ADD_ALWAYS


@pytest.fixture(autouse=True)
def system():
    with local_system() as made:
        yield made


def open_my(flags=0, **more):
    return CertOpenStore(CERT_STORE_PROV_SYSTEM, 0, None, USER | flags, "My", **more)


def memory(*ders):
    store = CertOpenStore(CERT_STORE_PROV_MEMORY)
    for der in ders:
        CertFreeCertificateContext(CertAddEncodedCertificateToStore(store, X509, der, ALWAYS))
    return store


def ders(store):
    return [context.encoded for context in store]


def code_of(call, *args, **more):
    with pytest.raises(WinError) as caught:
        call(*args, **more)
    return caught.value.code


# --- opening ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "provider", [CERT_STORE_PROV_MEMORY, "Memory", "MEMORY", CERT_STORE_PROV_COLLECTION, "Collection"]
)
def test_stores_without_a_name_are_new_each_time(provider):
    assert ders(CertOpenStore(provider)) == []
    assert code_of(CertOpenStore, provider, dwFlags=CERT_STORE_DELETE_FLAG) == ERROR_CALL_NOT_IMPLEMENTED


@pytest.mark.parametrize("provider", [0, None, 1, 15, 16, 99, "Ldap", "SmartCard", "nonsense", b"Memory", 2.5, ()])
def test_an_unknown_provider_is_not_found(provider):
    assert code_of(CertOpenStore, provider) == ERROR_FILE_NOT_FOUND


@pytest.mark.parametrize("provider", [CERT_STORE_PROV_SYSTEM_A, CERT_STORE_PROV_SYSTEM_W, "system"])
@pytest.mark.parametrize("name", ["My", "MY", "my"])
def test_the_same_store_opens_by_number_and_name_without_case(provider, name):
    with open_my() as store:
        CertAddEncodedCertificateToStore(store, X509, A, ALWAYS)
    assert ders(CertOpenStore(provider, dwFlags=USER, pvPara=name)) == [A]
    assert ders(CertOpenSystemStore(None, name)) == [A]


@pytest.mark.parametrize("flags", [0, 3 << 16, 10 << 16, 0xFF << 16])
def test_no_or_an_unknown_location_is_not_found(flags):
    assert code_of(CertOpenStore, CERT_STORE_PROV_SYSTEM, 0, None, flags, "My") == ERROR_FILE_NOT_FOUND
    assert code_of(CertOpenStore, CERT_STORE_PROV_SYSTEM_REGISTRY, 0, None, flags, "My") == E_INVALIDARG


@pytest.mark.parametrize("location", [1, 2, 4, 5, 6, 7, 8, 9])
def test_every_location_keeps_stores_of_its_own(location):
    name = "owner\\My" if location in (5, 6) else "My"
    with CertOpenStore(CERT_STORE_PROV_SYSTEM, 0, None, location << 16, name) as store:
        CertAddEncodedCertificateToStore(store, X509, A, ALWAYS)
    again = CertOpenStore(CERT_STORE_PROV_SYSTEM_REGISTRY, 0, None, location << 16, name)
    assert ders(again) == [A]
    assert (
        ders(CertOpenStore(CERT_STORE_PROV_SYSTEM_REGISTRY, 0, None, (3 - location if location < 3 else 1) << 16, "My"))
        == []
    )


@pytest.mark.parametrize("name", ["", "a\\b", "\\", "a\0b"])
def test_a_name_that_is_none_is_refused(name):
    assert code_of(CertOpenStore, CERT_STORE_PROV_SYSTEM, 0, None, USER, name) == ERROR_INVALID_NAME
    assert code_of(CertOpenSystemStore, None, name) == ERROR_INVALID_NAME


def test_a_missing_name_depends_on_the_provider():
    assert code_of(CertOpenStore, CERT_STORE_PROV_SYSTEM, 0, None, USER) == ERROR_FILE_NOT_FOUND
    assert code_of(CertOpenStore, CERT_STORE_PROV_SYSTEM_REGISTRY, 0, None, USER) == E_INVALIDARG
    assert code_of(CertOpenSystemStore) == E_INVALIDARG
    assert code_of(CertOpenStore, CERT_STORE_PROV_SYSTEM, 0, None, USER, b"My") == E_INVALIDARG


@pytest.mark.parametrize("name", ["'); DROP TABLE store;--", "\x1b[2J\x07", "Ünï \U0001f600", "x" * 3000])
def test_hostile_names_are_names(name):
    with CertOpenSystemStore(None, name) as store:
        CertAddEncodedCertificateToStore(store, X509, A, ALWAYS)
    assert ders(CertOpenSystemStore(None, name)) == [A]


def open_named(name, flags=0):
    return CertOpenStore(CERT_STORE_PROV_SYSTEM, 0, None, USER | flags, name)


def test_open_existing_wants_the_store_to_exist():
    assert code_of(open_named, "New", CERT_STORE_OPEN_EXISTING_FLAG) == ERROR_FILE_NOT_FOUND
    open_named("New")
    open_named("NEW", CERT_STORE_OPEN_EXISTING_FLAG)
    open_named("My", CERT_STORE_OPEN_EXISTING_FLAG)


def test_create_new_wants_it_not_to():
    open_named("New", CERT_STORE_CREATE_NEW_FLAG)
    assert code_of(open_named, "New", CERT_STORE_CREATE_NEW_FLAG) == ERROR_FILE_EXISTS
    assert code_of(open_named, "My", CERT_STORE_CREATE_NEW_FLAG) == ERROR_FILE_EXISTS


def test_delete_removes_the_store_with_its_contents():
    for name in ("New", "My"):
        CertAddEncodedCertificateToStore(open_named(name), X509, A, ALWAYS)
        assert open_named(name, CERT_STORE_DELETE_FLAG) is None
        assert ders(open_named(name)) == []
    assert open_named("My", CERT_STORE_DELETE_FLAG) is None
    assert code_of(open_named, "Other", CERT_STORE_DELETE_FLAG) == ERROR_FILE_NOT_FOUND


def test_there_is_no_registry_to_relocate_to():
    assert code_of(open_named, "My", CERT_SYSTEM_STORE_RELOCATE_FLAG) == E_INVALIDARG


@pytest.mark.parametrize(
    "flag",
    [0x1, 0x2, 0x4, 0x20, 0x40, 0x80, 0x100, 0x800, CERT_STORE_MAXIMUM_ALLOWED_FLAG, 0x20000000, 0x40000000],
)
def test_flags_without_effect_are_accepted(flag):
    CertAddEncodedCertificateToStore(open_my(flag), X509, A, ALWAYS)
    assert ders(open_my(flag)) == [A]


def test_a_read_only_store_refuses_changes_but_not_deleting_what_is_gone():
    with open_my() as store:
        CertAddEncodedCertificateToStore(store, X509, A, ALWAYS)
    reader = open_my(CERT_STORE_READONLY_FLAG)
    context = CertEnumCertificatesInStore(reader)
    assert code_of(CertAddEncodedCertificateToStore, reader, X509, B, ALWAYS) == E_ACCESSDENIED
    CertDuplicateCertificateContext(context)
    assert code_of(CertDeleteCertificateFromStore, context) == E_ACCESSDENIED
    assert code_of(CertSetCertificateContextProperty, context, 11, 0, "x") == E_ACCESSDENIED
    CertFreeCertificateContext(context)
    assert code_of(CertFreeCertificateContext, context) == ERROR_INVALID_PARAMETER


def test_a_memory_store_ignores_read_only():
    store = CertOpenStore(CERT_STORE_PROV_MEMORY, dwFlags=CERT_STORE_READONLY_FLAG | CERT_STORE_OPEN_EXISTING_FLAG)
    CertAddEncodedCertificateToStore(store, X509, A, ALWAYS)
    assert ders(store) == [A]


def test_update_keyid_lists_the_key_identifier_of_each():
    with open_my() as store:
        CertAddEncodedCertificateToStore(store, X509, A, ALWAYS)
        CertAddEncodedCertificateToStore(store, X509, certs.raw_tbs(), ALWAYS)
    listed = {
        context.encoded: CertEnumCertificateContextProperties(context, 3)
        for context in open_my(CERT_STORE_UPDATE_KEYID_FLAG)
    }
    assert listed == {A: 20, certs.raw_tbs(): 0}


def test_an_explicit_system_wins_over_the_current_one():
    with local_system() as other:
        pass
    other = local_system()
    CertAddEncodedCertificateToStore(open_my(system=other), X509, A, ALWAYS)
    assert ders(open_my(system=other)) == [A]
    assert ders(open_my()) == []
    other.close()


# --- snapshots --------------------------------------------------------------------------------------------------------


def test_an_open_store_is_a_snapshot_plus_its_own_changes():
    first, second = open_my(), open_my()
    CertAddEncodedCertificateToStore(first, X509, A, ALWAYS)
    CertAddEncodedCertificateToStore(second, X509, B, ALWAYS)
    assert (ders(first), ders(second)) == ([A], [B])
    first.resync()
    assert ders(first) == [B, A]
    CertDeleteCertificateFromStore(CertEnumCertificatesInStore(first))
    assert (ders(first), ders(second)) == ([A], [B])
    second.resync()
    assert ders(second) == [A]


# --- composition ------------------------------------------------------------------------------------------------------


def at_registry(name, location, der):
    store = CertOpenStore(CERT_STORE_PROV_SYSTEM_REGISTRY, 0, None, location << 16, name)
    CertAddEncodedCertificateToStore(store, X509, der, ALWAYS)


@pytest.mark.parametrize(
    ("location", "name", "members"),
    [
        (1, "My", [(1, "My")]),
        (1, "REQUEST", [(1, "REQUEST")]),
        (1, "Root", [(1, "Root"), (2, "Root"), (7, "Root")]),
        (2, "Root", [(2, "Root"), (2, "AuthRoot"), (8, "Root"), (9, "Root"), (2, "SmartCardRoot")]),
        (2, "CA", [(2, "CA"), (8, "CA"), (9, "CA")]),
        (7, "Root", [(7, "Root")]),
    ],
)
def test_a_system_store_shows_its_physical_stores_in_order(location, name, members):
    every = [certs.make(f"{place}{store}") for place, store in members]
    for (place, store), der in zip(members, every, strict=True):
        at_registry(store, place, der)
    at_registry(name, 4, A)
    opened = CertOpenStore(CERT_STORE_PROV_SYSTEM, 0, None, location << 16, name)
    assert ders(opened) == every
    context = CertAddEncodedCertificateToStore(opened, X509, B, ALWAYS)
    assert context.store is opened
    assert ders(CertOpenStore(CERT_STORE_PROV_SYSTEM_REGISTRY, 0, None, location << 16, name))[0] == B


def test_a_physical_store_is_one_member():
    at_registry("SmartCardRoot", 2, A)
    assert ders(CertOpenStore(CERT_STORE_PROV_PHYSICAL, 0, None, MACHINE, "Root\\.smartcard")) == [A]
    for name in ("Root\\.Nothing", "My\\.SmartCard"):
        assert code_of(CertOpenStore, CERT_STORE_PROV_PHYSICAL, 0, None, MACHINE, name) == ERROR_FILE_NOT_FOUND
    assert code_of(CertOpenStore, CERT_STORE_PROV_PHYSICAL, 0, None, MACHINE, ".Default") == ERROR_INVALID_NAME


# --- references -------------------------------------------------------------------------------------------------------


def test_a_store_closes_with_its_last_reference():
    store = memory(A)
    assert CertDuplicateStore(store) is store
    CertCloseStore(store)
    assert ders(store) == [A]
    CertCloseStore(store)
    for call in (CertCloseStore, CertDuplicateStore, CertEnumCertificatesInStore):
        assert code_of(call, store) == ERROR_INVALID_PARAMETER
    store.close()


@pytest.mark.parametrize("handle", ["store", 7, object()])
def test_a_foreign_handle_is_refused(handle):
    for call in (CertCloseStore, CertDuplicateStore, CertEnumCertificatesInStore):
        assert code_of(call, handle) == ERROR_INVALID_PARAMETER


def test_null_is_closed_and_nothing_else():
    CertCloseStore(None)
    assert code_of(CertDuplicateStore, None) == E_INVALIDARG
    assert code_of(CertEnumCertificatesInStore, None) == E_INVALIDARG
    assert code_of(CertFindCertificateInStore, None, X509, 0, CERT_FIND_ANY) == E_INVALIDARG


def test_the_check_says_what_is_still_out():
    store = memory(A)
    CertDuplicateStore(store)
    assert code_of(CertCloseStore, store, CERT_CLOSE_STORE_CHECK_FLAG) == CRYPT_E_PENDING_CLOSE
    context = CertEnumCertificatesInStore(store)
    assert code_of(CertCloseStore, store, CERT_CLOSE_STORE_CHECK_FLAG) == CRYPT_E_PENDING_CLOSE
    assert code_of(CertCloseStore, store) == ERROR_INVALID_PARAMETER
    assert context.encoded == A
    CertCloseStore(memory(A), CERT_CLOSE_STORE_CHECK_FLAG)


def test_force_releases_the_contexts_at_the_last_reference():
    store = memory(A)
    context = CertEnumCertificatesInStore(store)
    CertDuplicateStore(store)
    CertCloseStore(store, CERT_CLOSE_STORE_FORCE_FLAG)
    assert CertDuplicateCertificateContext(context) is context
    CertCloseStore(store, CERT_CLOSE_STORE_FORCE_FLAG | CERT_CLOSE_STORE_CHECK_FLAG)
    assert code_of(CertFreeCertificateContext, context) == ERROR_INVALID_PARAMETER
    assert context.encoded == A


def test_a_store_is_a_context_manager_and_iterable():
    with memory(A, B) as store:
        assert ders(store) == [B, A]
    assert code_of(CertEnumCertificatesInStore, store) == ERROR_INVALID_PARAMETER


# --- enumeration ------------------------------------------------------------------------------------------------------


def run(store, between=lambda _: None):
    """All contexts of a run by CertEnumCertificatesInStore, the previous one given back each time."""
    found, context = [], CertEnumCertificatesInStore(store)
    while context is not None:
        found.append(context.encoded)
        between(context)
        context = CertEnumCertificatesInStore(store, context)
    return found


@pytest.fixture(params=["memory", "system", "collection"])
def filled(request):
    if request.param == "system":
        store = open_my()
    else:
        store = CertOpenStore(CERT_STORE_PROV_MEMORY)
        if request.param == "collection":
            single, store = store, CertOpenStore(CERT_STORE_PROV_COLLECTION)
            CertAddStoreToCollection(store, single, CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG)
    for der in (A, B):
        CertFreeCertificateContext(CertAddEncodedCertificateToStore(store, X509, der, ALWAYS))
    return store


def test_enumeration_is_newest_first_and_gives_the_previous_back(filled):
    assert run(filled) == [B, A]
    CertCloseStore(filled, CERT_CLOSE_STORE_CHECK_FLAG)


def test_what_is_added_meanwhile_is_not_visited(filled):
    def add(_):
        CertAddEncodedCertificateToStore(filled, X509, C, CERT_STORE_ADD_REPLACE_EXISTING)

    assert run(filled, add) == [B, A]
    assert run(filled) == [C, B, A]


def test_what_is_deleted_meanwhile_is_passed_over_and_the_run_goes_on(filled):
    assert run(filled, lambda context: CertDeleteCertificateFromStore(CertDuplicateCertificateContext(context))) == [
        B,
        A,
    ]
    assert run(filled) == []


def test_the_same_object_comes_again_while_it_is_held(filled):
    context = CertEnumCertificatesInStore(filled)
    again = CertFindCertificateInStore(filled, X509, 0, CERT_FIND_SUBJECT_STR, "bob")
    assert again is context
    CertFreeCertificateContext(context)
    assert CertDuplicateCertificateContext(again) is context


def test_archived_certificates_are_passed_over_unless_the_store_shows_them():
    with open_my() as store:
        CertSetCertificateContextProperty(CertAddEncodedCertificateToStore(store, X509, A, ALWAYS), 19, 0, b"")
        assert run(store) == []
    assert run(open_my(CERT_STORE_ENUM_ARCHIVED_FLAG)) == [A]


# --- collections ------------------------------------------------------------------------------------------------------


def test_members_come_by_falling_priority_and_keep_their_order():
    group = CertOpenStore(CERT_STORE_PROV_COLLECTION)
    for der, priority in ((A, 1), (B, 5), (C, 1)):
        CertAddStoreToCollection(group, memory(der), 0, priority)
    assert run(group) == [B, A, C]
    outer = CertOpenStore(CERT_STORE_PROV_COLLECTION)
    CertAddStoreToCollection(outer, group)
    assert run(outer) == [B, A, C]
    assert CertEnumCertificatesInStore(outer).store is outer


def test_adding_goes_to_the_first_member_that_takes_additions():
    group, closed, open_ = CertOpenStore(CERT_STORE_PROV_COLLECTION), memory(A), memory()
    CertAddStoreToCollection(group, closed, 0, 9)
    assert code_of(CertAddEncodedCertificateToStore, group, X509, B, ALWAYS) == E_ACCESSDENIED
    CertAddStoreToCollection(group, open_, CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG)
    assert CertAddEncodedCertificateToStore(group, X509, B, ALWAYS).store is group
    assert (ders(closed), ders(open_)) == ([A], [B])


def test_the_present_certificate_is_looked_for_in_every_member():
    group, first, second = CertOpenStore(CERT_STORE_PROV_COLLECTION), memory(), memory(A)
    CertAddStoreToCollection(group, first, CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG)
    CertAddStoreToCollection(group, second)
    assert code_of(CertAddEncodedCertificateToStore, group, X509, A, CERT_STORE_ADD_NEW) == CRYPT_E_EXISTS
    for disposition in (CERT_STORE_ADD_USE_EXISTING, CERT_STORE_ADD_REPLACE_EXISTING):
        CertAddEncodedCertificateToStore(group, X509, A, disposition)
        assert (ders(first), ders(second)) == ([], [A])


def test_later_members_are_not_visited_beyond_where_they_were_when_the_run_began():
    group, first, second = CertOpenStore(CERT_STORE_PROV_COLLECTION), memory(A), memory(B)
    CertAddStoreToCollection(group, first)
    CertAddStoreToCollection(group, second)
    add = lambda _: CertAddEncodedCertificateToStore(second, X509, C, CERT_STORE_ADD_REPLACE_EXISTING)  # noqa: E731
    assert run(group, add) == [A, B]


def test_a_member_lives_as_long_as_the_collection_and_leaves_when_asked():
    group, single = CertOpenStore(CERT_STORE_PROV_COLLECTION), memory(A)
    CertAddStoreToCollection(group, single)
    CertCloseStore(single)
    assert run(group) == [A]
    CertRemoveStoreFromCollection(group, single)
    CertAddStoreToCollection(group, None)
    assert run(group) == []


def test_only_a_collection_collects():
    single = memory(A)
    assert code_of(CertAddStoreToCollection, single, memory()) == E_INVALIDARG
    CertRemoveStoreFromCollection(single, memory())
    group = CertOpenStore(CERT_STORE_PROV_COLLECTION)
    inner = CertOpenStore(CERT_STORE_PROV_COLLECTION)
    CertAddStoreToCollection(group, inner)
    assert code_of(CertAddStoreToCollection, group, group) == E_INVALIDARG
    assert code_of(CertAddStoreToCollection, inner, group) == E_INVALIDARG


def test_deleting_through_a_collection_deletes_from_the_one_member():
    group, first, second = CertOpenStore(CERT_STORE_PROV_COLLECTION), memory(A), memory(A)
    CertAddStoreToCollection(group, first)
    CertAddStoreToCollection(group, second)
    CertDeleteCertificateFromStore(CertEnumCertificatesInStore(group))
    assert (ders(first), ders(second)) == ([], [A])


# --- the empty store --------------------------------------------------------------------------------------------------


def test_contexts_without_a_store_belong_to_one_that_stays_empty():
    context = CertCreateCertificateContext(X509, A)
    store = context.store
    assert CertCreateCertificateContext(X509, B).store is store
    added = CertAddCertificateContextToStore(store, context, CERT_STORE_ADD_NEW)
    assert (added.encoded, added.store, ders(store)) == (A, store, [])
    for flags in (0, CERT_CLOSE_STORE_FORCE_FLAG, CERT_CLOSE_STORE_CHECK_FLAG):
        assert code_of(CertCloseStore, store, flags) == E_UNEXPECTED


def test_dropping_everything_leaves_no_garbage_that_complains():
    for _ in range(50):
        store = memory(A, B)
        held = [CertDuplicateCertificateContext(context) for context in store]
        del store, held
    gc.collect()
