"""Saving, controlling, mirroring, listing and registering stores; their properties."""

# ruff: noqa: F403, F405

import io
import threading

import crls
import pytest
from storefaces import A, B, C, add, code_of, crls_of, ders, memory

from calais.testing import local_system
from calais.winapi.crypt32 import *

CRL, CRL2 = crls.make(), crls.make("Other")
USER, MACHINE = CERT_SYSTEM_STORE_CURRENT_USER, CERT_SYSTEM_STORE_LOCAL_MACHINE
NEW = CERT_STORE_ADD_NEW
ADD_ENABLE = CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG
ALL_CONTROLS = [1, 2, 3, 4, 5]
SOON_S = 5


@pytest.fixture(autouse=True)
def system():
    with local_system() as made:
        yield made


def opened(provider, para=None, flags=0):
    return CertOpenStore(provider, 0, None, flags, para)


def my(flags=0):
    return opened(CERT_STORE_PROV_SYSTEM, "My", USER | flags)


def first(store):
    return CertEnumCertificatesInStore(store)


# --- CertSaveStore ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("save_as", "provider"), [(1, 6), (2, 5), (3, 17)], ids=["store", "pkcs7", "pkcs12"])
def test_a_store_is_saved_to_memory_file_and_path(tmp_path, save_as, provider):
    store = memory(A, B)
    blob = CertSaveStore(store, X509_ASN_ENCODING, save_as, CERT_STORE_SAVE_TO_MEMORY)
    assert sorted(ders(opened(provider, blob))) == sorted([A, B])
    file = io.BytesIO()
    assert CertSaveStore(store, 1, save_as, CERT_STORE_SAVE_TO_FILE, file) is None
    for target in (CERT_STORE_SAVE_TO_FILENAME_A, CERT_STORE_SAVE_TO_FILENAME_W):
        assert CertSaveStore(store, 1, save_as, target, tmp_path / "x") is None
        assert sorted(ders(opened(provider, (tmp_path / "x").read_bytes()))) == sorted([A, B])
    assert sorted(ders(opened(provider, file.getvalue()))) == sorted([A, B])


def test_properties_archived_ones_and_crls_are_saved_in_the_order_added():
    store = memory(A, B)
    CertAddEncodedCRLToStore(store, 1, CRL, NEW)
    context = first(store)
    CertSetCertificateContextProperty(context, CERT_ARCHIVED_PROP_ID, 0, b"")
    CertSetCertificateContextProperty(context, CERT_FRIENDLY_NAME_PROP_ID, 0, "B")
    blob = CertSaveStore(store, 1, CERT_STORE_SAVE_AS_STORE, CERT_STORE_SAVE_TO_MEMORY)
    assert blob.index(A) < blob.index(B) < blob.index(CRL)
    again = opened(CERT_STORE_PROV_SERIALIZED, blob, CERT_STORE_ENUM_ARCHIVED_FLAG)
    assert (ders(again), crls_of(again)) == ([B, A], [CRL])
    assert CertGetCertificateContextProperty(first(again), CERT_FRIENDLY_NAME_PROP_ID) == "B"


def test_what_is_volatile_is_not_saved():
    store = memory(A)
    CertSetCertificateContextProperty(first(store), 11, CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG, "name")
    blob = CertSaveStore(store, 1, CERT_STORE_SAVE_AS_STORE, CERT_STORE_SAVE_TO_MEMORY)
    assert CertEnumCertificateContextProperties(first(opened(CERT_STORE_PROV_SERIALIZED, blob))) == 0


def test_a_pfx_takes_its_password_in_a_tuple(tmp_path):
    blob = CertSaveStore(memory(A), 1, 3, CERT_STORE_SAVE_TO_MEMORY, (None, "secret"))
    assert code_of(opened, CERT_STORE_PROV_PKCS12, blob) == ERROR_INVALID_PASSWORD
    CertSaveStore(memory(A), 1, 3, CERT_STORE_SAVE_TO_FILENAME, (tmp_path / "x.pfx", None))
    assert ders(opened(CERT_STORE_PROV_PKCS12, (tmp_path / "x.pfx").read_bytes())) == [A]


@pytest.mark.parametrize(
    ("save_as", "save_to", "para", "flags", "code"),
    [
        (0, 2, None, 0, E_INVALIDARG),
        (4, 2, None, 0, E_INVALIDARG),
        (1, 0, None, 0, E_INVALIDARG),
        (1, 5, None, 0, E_INVALIDARG),
        (1, 2, None, 1, E_INVALIDARG),
        (1, 2, (None, "secret"), 0, E_INVALIDARG),
        (3, 2, (None, 5), 0, E_INVALIDARG),
        (1, 1, None, 0, ERROR_INVALID_HANDLE),
        (1, 1, io.StringIO(), 0, ERROR_INVALID_HANDLE),
        (1, 4, None, 0, ERROR_PATH_NOT_FOUND),
        (1, 4, "/none/at/all", 0, ERROR_FILE_NOT_FOUND),
    ],
    ids=["as-0", "as-4", "to-0", "to-5", "flags", "tuple", "password", "no-file", "text-file", "no-path", "no-folder"],
)
def test_a_way_to_save_that_is_none_has_a_code(save_as, save_to, para, flags, code):
    assert code_of(CertSaveStore, memory(A), 1, save_as, save_to, para, flags) == code


def test_a_collection_is_saved_with_all_its_members():
    both = opened(CERT_STORE_PROV_COLLECTION)
    for member in (memory(A), memory(B)):
        CertAddStoreToCollection(both, member)
    blob = CertSaveStore(both, 1, CERT_STORE_SAVE_AS_STORE, CERT_STORE_SAVE_TO_MEMORY)
    assert sorted(ders(opened(CERT_STORE_PROV_SERIALIZED, blob))) == sorted([A, B])


# --- CertControlStore -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ALL_CONTROLS)
def test_where_nothing_is_behind_a_store_nothing_is_controlled(number):
    message = CertSaveStore(memory(A), 1, 2, 2)
    for store in (memory(A), opened(5, message), opened(6, CertSaveStore(memory(A), 1, 1, 2)), opened(3, io.BytesIO())):
        assert code_of(CertControlStore, store, 0, number, threading.Event()) == ERROR_CALL_NOT_IMPLEMENTED


@pytest.mark.parametrize("number", [0, 6, -1, 99])
def test_an_unknown_control_is_not_supported(number):
    for store in (memory(A), my(), opened(CERT_STORE_PROV_COLLECTION)):
        assert code_of(CertControlStore, store, 0, number) == ERROR_NOT_SUPPORTED


@pytest.mark.parametrize("number", ALL_CONTROLS)
def test_a_store_with_something_behind_it_answers_every_control(number, tmp_path):
    for store in (
        my(),
        opened(13, "My", USER),
        opened(4, {}),
        opened(8, tmp_path / "x", CERT_FILE_STORE_COMMIT_ENABLE_FLAG),
    ):
        CertControlStore(store, 0, number, threading.Event())
        store.close()


@pytest.mark.parametrize("number", [2, 5])
@pytest.mark.parametrize("para", [None, 7, "event"])
def test_a_notification_needs_an_event(number, para):
    assert code_of(CertControlStore, my(), 0, number, para) == E_INVALIDARG


def test_a_collection_passes_controls_to_every_member_and_says_the_first_error():
    both, key = opened(CERT_STORE_PROV_COLLECTION), {}
    CertControlStore(both, 0, CERT_STORE_CTRL_RESYNC)
    registry = opened(CERT_STORE_PROV_REG, key)
    CertAddStoreToCollection(both, memory(A))
    CertAddStoreToCollection(both, registry)
    add(registry, B)
    assert code_of(CertControlStore, both, 0, CERT_STORE_CTRL_COMMIT) == ERROR_CALL_NOT_IMPLEMENTED
    assert len(key) == 1


def test_an_open_store_is_a_snapshot_with_its_own_changes_until_it_is_read_again():
    store, other = my(), my()
    add(store, A)
    add(other, B)
    CertAddEncodedCRLToStore(other, 1, CRL, NEW)
    assert (ders(store), crls_of(store)) == ([A], [])
    CertControlStore(store, 0, CERT_STORE_CTRL_RESYNC)
    assert (ders(store), crls_of(store)) == ([B, A], [CRL])
    CertDeleteCertificateFromStore(first(other))
    assert ders(store) == [B, A]
    CertControlStore(store, 0, CERT_STORE_CTRL_RESYNC)
    assert ders(store) == [A]


def test_a_key_is_read_again_and_own_changes_stay():
    key = {}
    first_one, second = opened(4, key), opened(4, key)
    add(first_one, A)
    add(second, B)
    CertControlStore(first_one, 0, CERT_STORE_CTRL_COMMIT)
    assert ders(second) == [B]
    CertControlStore(second, 0, CERT_STORE_CTRL_RESYNC)
    assert sorted(ders(second)) == sorted([A, B])
    second.close()
    assert len(key) == 2


def test_automatic_reading_happens_before_each_run():
    store, other = my(), my()
    CertControlStore(store, 0, CERT_STORE_CTRL_AUTO_RESYNC)
    add(other, A)
    assert ders(store) == [A]
    add(other, B)
    assert CertFindCertificateInStore(store, 1, 0, CERT_FIND_SUBJECT_STR, "Bob") is not None
    CertAddEncodedCRLToStore(other, 1, CRL, NEW)
    assert crls_of(store) == [CRL]


@pytest.mark.parametrize("kind", ["system", "registry", "key", "file"])
def test_an_event_is_set_at_the_next_change_of_others_and_again_when_armed_again(kind, tmp_path):
    key, path = {}, tmp_path / "x"
    ways = {
        "system": my,
        "registry": lambda: opened(13, "My", USER),
        "key": lambda: opened(4, key),
        "file": lambda: opened(8, path, CERT_FILE_STORE_COMMIT_ENABLE_FLAG),
    }
    event = threading.Event()
    store = ways[kind]()
    CertControlStore(store, 0, CERT_STORE_CTRL_NOTIFY_CHANGE, event)
    for der in (A, B):
        with ways[kind]() as other:
            add(other, der)
        assert event.wait(SOON_S)
        event.clear()
        CertControlStore(store, 0, CERT_STORE_CTRL_RESYNC, event)
        assert der in ders(store)
        assert not event.is_set()
    store.close()


def test_own_changes_and_cancelled_events_set_nothing():
    store, own, cancelled, waiting = my(), threading.Event(), threading.Event(), threading.Event()
    for event in (own, cancelled):
        CertControlStore(store, 0, CERT_STORE_CTRL_NOTIFY_CHANGE, event)
    add(store, A)
    CertSetCertificateContextProperty(first(store), 11, 0, "name")
    CertControlStore(store, 0, CERT_STORE_CTRL_CANCEL_NOTIFY, cancelled)
    CertControlStore(store, 0, CERT_STORE_CTRL_CANCEL_NOTIFY, threading.Event())
    CertControlStore(store, 0, CERT_STORE_CTRL_NOTIFY_CHANGE, waiting)
    assert not own.is_set()
    add(my(), B)
    assert waiting.wait(SOON_S)
    assert own.is_set()
    assert not cancelled.is_set()


def test_nobody_watches_a_store_that_is_closed():
    store = my()
    CertControlStore(store, 0, CERT_STORE_CTRL_NOTIFY_CHANGE, threading.Event())
    watchers = [each for each in threading.enumerate() if each.name == "calais-store-watch"]
    assert watchers
    store.close()
    for thread in watchers:
        thread.join(SOON_S)
    assert not any(each.is_alive() for each in watchers)


# --- properties of stores ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "flags", "state"),
    [
        (USER, 0, 3),
        (USER, CERT_STORE_READONLY_FLAG, 2),
        (MACHINE, 0, 7),
        (CERT_SYSTEM_STORE_CURRENT_USER_GROUP_POLICY, 0, 11),
        (CERT_SYSTEM_STORE_LOCAL_MACHINE_GROUP_POLICY, 0, 15),
        (CERT_SYSTEM_STORE_LOCAL_MACHINE_ENTERPRISE, 0, 7),
    ],
    ids=["user", "readonly", "machine", "user-policy", "machine-policy", "enterprise"],
)
@pytest.mark.parametrize("provider", [CERT_STORE_PROV_SYSTEM, CERT_STORE_PROV_SYSTEM_REGISTRY])
def test_the_access_state_says_where_a_store_is(provider, location, flags, state):
    assert CertGetStoreProperty(opened(provider, "My", location | flags), CERT_ACCESS_STATE_PROP_ID) == state


def test_the_access_state_of_stores_that_are_no_system_s():
    states = [CertGetStoreProperty(each, CERT_ACCESS_STATE_PROP_ID) for each in (memory(), opened(11), opened(4, {}))]
    assert states == [0, 0, 1]


def test_properties_of_a_store_live_as_long_as_it_is_open():
    store = my()
    CertSetStoreProperty(store, CERT_STORE_LOCALIZED_NAME_PROP_ID, 0, "Meins")
    CertSetStoreProperty(store, 0x8000, 0, b"")
    assert CertGetStoreProperty(store, CERT_STORE_LOCALIZED_NAME_PROP_ID) == "Meins"
    assert CertGetStoreProperty(store, 0x8000) == b""
    CertSetStoreProperty(store, 0x8000)
    CertSetStoreProperty(store, 0x8000)
    for prop_id in (0, 3, 0x8000):
        assert code_of(CertGetStoreProperty, store, prop_id) == CRYPT_E_NOT_FOUND
    assert code_of(CertGetStoreProperty, my(), CERT_STORE_LOCALIZED_NAME_PROP_ID) == CRYPT_E_NOT_FOUND


@pytest.mark.parametrize(("prop_id", "value"), [(0, b""), (14, 1), (14, None), (0x1000, b"name"), (3, "text"), (3, 5)])
def test_what_a_store_does_not_take_as_property(prop_id, value):
    assert code_of(CertSetStoreProperty, memory(), prop_id, 0, value) == E_INVALIDARG


# --- lists of stores --------------------------------------------------------------------------------------------------


def test_every_location_is_listed():
    rows = CertEnumSystemStoreLocation()
    assert [flag >> 16 for _, flag in rows] == [1, 2, 4, 5, 6, 7, 8, 9]
    assert rows[0] == ("CurrentUser", USER)


def test_stores_of_a_location_are_listed():
    opened(CERT_STORE_PROV_SYSTEM, "New", USER)
    names = CertEnumSystemStore(USER)
    assert {
        "My",
        "Root",
        "CA",
        "Trust",
        "Disallowed",
        "TrustedPeople",
        "AddressBook",
        "REQUEST",
        "SmartCardRoot",
        "New",
    } == set(names)
    assert "New" not in CertEnumSystemStore(MACHINE)
    assert CertEnumSystemStore(CERT_SYSTEM_STORE_USERS) == []
    opened(CERT_STORE_PROV_SYSTEM, "anna\\My", CERT_SYSTEM_STORE_USERS)
    opened(CERT_STORE_PROV_SYSTEM, "bert\\My", CERT_SYSTEM_STORE_USERS)
    assert CertEnumSystemStore(CERT_SYSTEM_STORE_USERS, "Anna") == ["anna\\My"]
    for flags in (0, 3 << 16):
        assert code_of(CertEnumSystemStore, flags) == ERROR_FILE_NOT_FOUND


@pytest.mark.parametrize(
    ("name", "location", "members"),
    [
        ("My", USER, [".Default"]),
        ("request", USER, [".Default"]),
        ("Root", USER, [".Default", ".LocalMachine", ".GroupPolicy"]),
        ("Root", MACHINE, [".Default", ".AuthRoot", ".GroupPolicy", ".Enterprise", ".SmartCard"]),
        ("CA", MACHINE, [".Default", ".GroupPolicy", ".Enterprise"]),
    ],
    ids=["my", "request", "user-root", "machine-root", "machine-ca"],
)
def test_the_members_of_a_system_store_are_listed_and_open(name, location, members):
    infos = CertEnumPhysicalStore(name, location)
    assert [each.name for each in infos] == members
    assert [each.flags for each in infos] == [ADD_ENABLE] + [0] * (len(members) - 1)
    for each in infos:
        assert each.open_provider
        assert ders(opened(CERT_STORE_PROV_PHYSICAL, f"{name}\\{each.name}", location)) == []


@pytest.mark.parametrize(
    ("name", "flags", "code"),
    [
        ("None", USER, ERROR_FILE_NOT_FOUND),
        ("My", 0, ERROR_FILE_NOT_FOUND),
        ("", USER, ERROR_INVALID_NAME),
        (None, USER, E_INVALIDARG),
    ],
    ids=["unknown", "nowhere", "empty", "none"],
)
def test_members_of_no_store_have_a_code(name, flags, code):
    assert code_of(CertEnumPhysicalStore, name, flags) == code
    assert code_of(CertUnregisterSystemStore, name, flags) == code


def test_a_callback_sees_each_and_may_stop():
    seen = []

    def take(name, flags, info, reserved, arg):
        seen.append((name, flags, info, reserved, arg))
        return len(seen) < 2

    assert CertEnumSystemStore(USER, None, "arg", take) is False
    assert [(each[1:]) for each in seen] == [(USER, None, None, "arg")] * 2
    assert CertEnumSystemStore(USER, None, None, lambda *_: True) is True
    assert CertEnumSystemStoreLocation(0, None, lambda *_: 1) is True
    assert CertEnumSystemStoreLocation(0, None, lambda *_: None) is False
    found = []
    assert CertEnumPhysicalStore("My", USER, 5, lambda *all_of_it: found.append(all_of_it) or True) is True
    assert found == [(".Default", USER, CertEnumPhysicalStore("My", USER)[0], None, 5)]


# --- registering ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", [1, 2, 4, 7, 8, 9])
def test_a_store_is_registered_and_unregistered(location):
    place = location << 16
    CertRegisterSystemStore("New", place)
    CertRegisterSystemStore("NEW", place)
    assert code_of(CertRegisterSystemStore, "new", place | CERT_STORE_CREATE_NEW_FLAG) == ERROR_FILE_EXISTS
    add(opened(CERT_STORE_PROV_SYSTEM, "New", place | CERT_STORE_OPEN_EXISTING_FLAG), A)
    CertUnregisterSystemStore("new", place)
    assert code_of(CertUnregisterSystemStore, "New", place) == ERROR_FILE_NOT_FOUND
    assert code_of(opened, 10, "New", place | CERT_STORE_OPEN_EXISTING_FLAG) == ERROR_FILE_NOT_FOUND


def test_a_predefined_store_is_emptied_and_stays():
    add(my(), A)
    CertRegisterSystemStore("My", USER)
    assert code_of(CertRegisterSystemStore, "My", USER | CERT_STORE_CREATE_NEW_FLAG) == ERROR_FILE_EXISTS
    CertUnregisterSystemStore("My", USER)
    assert ders(my(CERT_STORE_OPEN_EXISTING_FLAG)) == []


@pytest.mark.parametrize(
    ("name", "flags", "code"),
    [
        ("a\\b", USER, ERROR_INVALID_NAME),
        ("", USER, ERROR_INVALID_NAME),
        (None, USER, E_INVALIDARG),
        ("a", 0, ERROR_FILE_NOT_FOUND),
        ("a\\b", 5 << 16, E_INVALIDARG),
    ],
    ids=["backslash", "empty", "none", "nowhere", "of-others"],
)
def test_what_cannot_be_registered_has_a_code(name, flags, code):
    assert code_of(CertRegisterSystemStore, name, flags) == code


# --- mirrors ----------------------------------------------------------------------------------------------------------


def test_a_mirror_has_the_same_certificates_properties_and_crls():
    source, target = memory(A, B), memory(B, C)
    for store, crl in ((source, CRL), (target, CRL2)):
        CertAddEncodedCRLToStore(store, 1, crl, NEW)
    CertSetCertificateContextProperty(
        CertFindCertificateInStore(source, 1, 0, CERT_FIND_SUBJECT_STR, "Bob"), 11, 0, "new"
    )
    CertSetCertificateContextProperty(
        CertFindCertificateInStore(target, 1, 0, CERT_FIND_SUBJECT_STR, "Bob"), 13, 0, "old"
    )
    I_CertUpdateStore(target, source)
    assert (sorted(ders(target)), crls_of(target)) == (sorted([A, B]), [CRL])
    bob = CertFindCertificateInStore(target, 1, 0, CERT_FIND_SUBJECT_STR, "Bob")
    assert CertGetCertificateContextProperty(bob, 11) == "new"
    assert code_of(CertGetCertificateContextProperty, bob, 13) == CRYPT_E_NOT_FOUND
    I_CertUpdateStore(my(), memory(A))
    assert ders(my()) == [A]
