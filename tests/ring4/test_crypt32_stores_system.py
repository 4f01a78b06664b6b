"""System stores: what they are made of, who may write them, their key in the registry, and others' changes."""

# ruff: noqa: F403, F405

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import certs
import crls
import pytest
import storechanger
from storefaces import A, B, C, add, code_of, crls_of, ders, memory

from calais.store.locations import SystemStores
from calais.store.machine import ReadOnlyDatabase
from calais.store.memory import MemoryDatabase
from calais.system import System
from calais.testing import local_system
from calais.winapi.crypt32 import *

USER, MACHINE = CERT_SYSTEM_STORE_CURRENT_USER, CERT_SYSTEM_STORE_LOCAL_MACHINE
USER_POLICY, MACHINE_POLICY = CERT_SYSTEM_STORE_CURRENT_USER_GROUP_POLICY, CERT_SYSTEM_STORE_LOCAL_MACHINE_GROUP_POLICY
ENTERPRISE = CERT_SYSTEM_STORE_LOCAL_MACHINE_ENTERPRISE
OF_THE_MACHINE = [MACHINE, USER_POLICY, MACHINE_POLICY, ENTERPRISE]
NEW = CERT_STORE_ADD_NEW
SOON_S = 20


@pytest.fixture(params=["memory", "file"])
def system(request, tmp_path):
    with local_system(None if request.param == "memory" else tmp_path) as made:
        yield made


def opened(name, location=USER, flags=0, provider=CERT_STORE_PROV_SYSTEM):
    return CertOpenStore(provider, 0, None, location | flags, name)


def default(name, location=USER, flags=0):
    return opened(name, location, flags, CERT_STORE_PROV_SYSTEM_REGISTRY)


# --- what they are made of --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Root", "CA", "TrustedPeople", "Own"])
@pytest.mark.parametrize("place", [MACHINE, USER_POLICY, MACHINE_POLICY, ENTERPRISE])
def test_a_user_sees_the_machine_s_and_the_policies_certificates_too(system, name, place):
    add(default(name, place), A)
    add(default(name), B)
    assert ders(opened(name)) == [B, A]


@pytest.mark.parametrize("name", ["My", "Request"])
@pytest.mark.parametrize("place", OF_THE_MACHINE)
def test_but_not_in_stores_that_are_personal(system, name, place):
    add(default(name, place), A)
    assert ders(opened(name)) == []


def test_the_machine_s_roots_are_those_of_five_places(system):
    places = [
        ("Root", MACHINE),
        ("AuthRoot", MACHINE),
        ("Root", MACHINE_POLICY),
        ("Root", ENTERPRISE),
        ("SmartCardRoot", MACHINE),
    ]
    many = [A, B, C, *(certs.make(each) for each in ("Dora", "Emil"))]
    for (name, place), der in zip(places, many, strict=True):
        add(default(name, place), der)
    assert ders(opened("Root", MACHINE)) == many
    assert ders(opened("Root")) == many
    assert ders(opened("Root\\.SmartCard", MACHINE, 0, CERT_STORE_PROV_PHYSICAL)) == many[4:]


@pytest.mark.parametrize("location", [USER, MACHINE])
def test_additions_go_to_the_default_store(system, location):
    with opened("Root", location) as store:
        add(store, A)
        CertAddEncodedCRLToStore(store, 1, crls.make(), NEW)
    assert ders(default("Root", location)) == [A]
    assert len(crls_of(default("Root", location))) == 1


def test_what_the_machine_has_is_there_already_for_the_user(system):
    add(default("Root", MACHINE), A)
    with opened("Root") as store:
        assert code_of(CertAddEncodedCertificateToStore, store, 1, A, NEW) == CRYPT_E_EXISTS
        assert CertAddEncodedCertificateToStore(store, 1, A, CERT_STORE_ADD_USE_EXISTING).encoded == A
    assert ders(default("Root")) == []


@pytest.mark.parametrize("name", ["Root\\.None", "Root\\", "Root", "None\\.Default\\x"])
def test_a_member_that_is_none_is_not_found(system, name):
    assert code_of(opened, name, USER, 0, CERT_STORE_PROV_PHYSICAL) in (ERROR_FILE_NOT_FOUND, ERROR_INVALID_NAME)


def test_a_change_is_visible_at_once_to_who_opens(system):
    with opened("My") as store:
        context = CertAddEncodedCertificateToStore(store, 1, A, NEW)
        CertSetCertificateContextProperty(context, CERT_FRIENDLY_NAME_PROP_ID, 0, "at once")
        (seen,) = opened("My")
        assert CertGetCertificateContextProperty(seen, CERT_FRIENDLY_NAME_PROP_ID) == "at once"
        assert CertGetCertificateContextProperty(seen, CERT_ACCESS_STATE_PROP_ID) == 3


# --- rights -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def guest():
    """A system whose user may not write the machine's stores; A is in each of them."""
    machine = MemoryDatabase()
    with System(SystemStores(machine)):
        for place in OF_THE_MACHINE:
            add(default("Root", place), A)
    with System(SystemStores(MemoryDatabase(), machine=ReadOnlyDatabase(machine))) as made:
        yield made


@pytest.mark.parametrize("place", OF_THE_MACHINE)
@pytest.mark.parametrize("provider", [CERT_STORE_PROV_SYSTEM, CERT_STORE_PROV_SYSTEM_REGISTRY])
def test_a_guest_reads_the_machine_s_stores_and_is_refused_at_the_first_write(guest, place, provider):
    store = opened("Root", place, 0, provider)
    assert A in ders(store)
    assert CertGetStoreProperty(store, CERT_ACCESS_STATE_PROP_ID) & CERT_ACCESS_STATE_WRITE_PERSIST_FLAG == 0
    context = CertEnumCertificatesInStore(store)
    assert code_of(add, store, B) == E_ACCESSDENIED
    assert code_of(CertAddEncodedCRLToStore, store, 1, crls.make(), NEW) == E_ACCESSDENIED
    assert code_of(CertSetCertificateContextProperty, context, 11, 0, "name") == E_ACCESSDENIED
    assert code_of(CertDeleteCertificateFromStore, context) == E_ACCESSDENIED
    assert B not in ders(store)


@pytest.mark.parametrize("place", OF_THE_MACHINE)
def test_making_and_deleting_is_refused_at_opening(guest, place):
    assert code_of(opened, "New", place, CERT_STORE_CREATE_NEW_FLAG) == E_ACCESSDENIED
    assert code_of(opened, "Root", place, CERT_STORE_DELETE_FLAG) == E_ACCESSDENIED
    assert code_of(CertRegisterSystemStore, "New", place) == E_ACCESSDENIED
    assert code_of(CertUnregisterSystemStore, "Root", place) == E_ACCESSDENIED
    assert ders(opened("New", place)) == []
    assert "New" not in CertEnumSystemStore(place)


def test_as_much_as_is_allowed_is_reading_there_and_writing_here(guest):
    maximum = CERT_STORE_MAXIMUM_ALLOWED_FLAG
    machine, own = default("Root", MACHINE, maximum), default("Root", USER, maximum)
    assert CertGetStoreProperty(machine, CERT_ACCESS_STATE_PROP_ID) & CERT_ACCESS_STATE_WRITE_PERSIST_FLAG == 0
    assert CertGetStoreProperty(own, CERT_ACCESS_STATE_PROP_ID) & CERT_ACCESS_STATE_WRITE_PERSIST_FLAG
    assert code_of(add, machine, B) == E_ACCESSDENIED
    add(own, B)
    assert ders(own) == [B]


def test_a_guest_writes_own_stores_and_sees_the_machine_s_there(guest):
    with opened("Root") as store:
        add(store, B)
        assert ders(store)[0] == B
        assert code_of(CertAddEncodedCertificateToStore, store, 1, A, CERT_STORE_ADD_REPLACE_EXISTING) == E_ACCESSDENIED
    assert ders(default("Root")) == [B]


def test_the_registry_is_guarded_too(guest):
    key = system_store_key("Root", MACHINE)
    (name,) = key
    assert code_of(key.__setitem__, name, key[name]) == E_ACCESSDENIED
    assert code_of(key.__delitem__, name) == E_ACCESSDENIED


@pytest.mark.parametrize("place", OF_THE_MACHINE)
def test_everything_is_writable_in_a_system_of_one_s_own(system, place):
    add(opened("Root", place), A)
    assert ders(opened("Root", place, CERT_STORE_MAXIMUM_ALLOWED_FLAG)) == [A]


@contextmanager
def somebody_else():
    """Not the owner of what is there: another user where we are root, else the same without the right to write."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def machine_folder(monkeypatch):
    """A folder for the stores of the machine, that this user made and everybody reads."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name) / "lib" / "stores"
        Path(name).chmod(0o755)
        monkeypatch.setenv("CALAIS_MACHINE", str(folder))
        monkeypatch.setenv("CALAIS_HOME", str(Path(name) / "home"))
        monkeypatch.setenv("CALAIS_STORE", "memory:")
        yield folder


def test_the_machine_s_stores_are_files_that_others_read_and_do_not_write(machine_folder):
    mask = os.umask(0o077)
    with System.local():
        add(opened("Root", MACHINE), A)
        CertRegisterSystemStore("Own", ENTERPRISE)
    os.umask(mask)
    for each in (machine_folder, *machine_folder.glob("[0-9]")):
        each.chmod(0o555 if os.geteuid() else 0o755)
    with somebody_else(), System.local():
        assert ders(opened("Root")) == ders(opened("Root", MACHINE)) == [A]
        assert "Own" in CertEnumSystemStore(ENTERPRISE)
        assert code_of(add, opened("Root", MACHINE), B) == E_ACCESSDENIED
        assert code_of(CertRegisterSystemStore, "New", MACHINE) == E_ACCESSDENIED
        add(opened("Root"), B)
        assert ders(opened("Root")) == [B, A]
    for each in (machine_folder, *machine_folder.glob("[0-9]")):
        each.chmod(0o755)


def test_the_machine_s_stores_are_shared_by_all_who_open_them(machine_folder):
    with System.local(), System.local() as second:
        store = opened("Root", MACHINE)
        event = threading.Event()
        CertControlStore(store, 0, CERT_STORE_CTRL_NOTIFY_CHANGE, event)
        other = CertOpenStore(CERT_STORE_PROV_SYSTEM, 0, None, MACHINE, "root", system=second)
        for der in (A, B):
            add(other, der)
        assert event.wait(SOON_S)
        CertControlStore(store, 0, CERT_STORE_CTRL_RESYNC)
        assert ders(store) == [B, A]
        assert CertOpenStore(CERT_STORE_PROV_FILENAME, pvPara=machine_folder / "2" / "Root.sst") is not None


# --- the key in the registry ------------------------------------------------------------------------------------------


def key_name(der, folder="Certificates"):
    return f"{folder}\\{hashlib.sha1(der).hexdigest().upper()}"


def element(der, **props):
    context = CertCreateCertificateContext(1, der)
    for name, value in props.items():
        CertSetCertificateContextProperty(context, int(name[1:]), 0, value)
    return CertSerializeCertificateStoreElement(context)


def test_a_system_store_is_shown_as_a_key(system):
    key, crl = system_store_key("My"), crls.make()
    assert (len(key), list(key), dict(key)) == (0, [], {})
    with opened("My") as store:
        for der in (A, B):
            add(store, der)
        CertAddEncodedCRLToStore(store, 1, crl, NEW)
    assert list(key) == [key_name(A), key_name(B), key_name(crl, "CRLs")]
    copy = CertOpenStore(CERT_STORE_PROV_REG, pvPara=dict(key))
    assert (ders(copy), crls_of(copy)) == ([B, A], [crl])
    assert ders(CertOpenStore(CERT_STORE_PROV_REG, pvPara=key)) == [B, A]


def test_what_is_written_into_the_key_is_in_the_store(system):
    key = system_store_key("Own", MACHINE)
    key[key_name(A)] = element(A, p11="named")
    (context,) = opened("Own", MACHINE)
    assert CertGetCertificateContextProperty(context, CERT_FRIENDLY_NAME_PROP_ID) == "named"
    del key[key_name(A).lower()]
    assert ders(opened("Own", MACHINE)) == []
    with pytest.raises(KeyError):
        key[key_name(A)]
    with pytest.raises(KeyError):
        del key[key_name(A)]


def test_a_foreign_value_is_read_as_a_key_would_be(system):
    key = system_store_key("My")
    key["Certificates\\" + "00" * 20] = element(A, p3=b"\x22" * 20)
    assert list(key) == ["Certificates\\" + "22" * 20]
    for name, value in [
        (key_name(B), b"rubbish"),
        ("Other\\x", element(B)),
        (key_name(B, "CRLs"), element(B)),
        ("x", b""),
    ]:
        key[name] = value
        assert name not in key
    assert len(key) == 1
    assert ders(opened("My")) == [A]


def test_a_store_on_the_key_writes_it_at_commit(system):
    key = system_store_key("My")
    with CertOpenStore(CERT_STORE_PROV_REG, pvPara=key) as store:
        I_CertUpdateStore(store, memory(A, B))
        assert len(key) == 0
    assert sorted(ders(opened("My"))) == sorted([A, B])


@pytest.mark.parametrize(
    ("name", "location", "code"),
    [
        ("", USER, ERROR_INVALID_NAME),
        ("a\\b", USER, ERROR_INVALID_NAME),
        (None, USER, E_INVALIDARG),
        ("My", 0, ERROR_FILE_NOT_FOUND),
    ],
    ids=["empty", "backslash", "none", "nowhere"],
)
def test_a_key_of_no_store_has_a_code(system, name, location, code):
    assert code_of(system_store_key, name, location) == code


# --- others' changes --------------------------------------------------------------------------------------------------


def test_a_change_of_another_process_sets_the_event(tmp_path):
    with local_system(tmp_path), opened("My") as store:
        event = threading.Event()
        command = [sys.executable, str(Path(storechanger.__file__)), str(tmp_path), "My"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            print(A.hex(), file=other.stdin, flush=True)
            assert other.stdout.readline() == "ready\n"
            CertControlStore(store, 0, CERT_STORE_CTRL_NOTIFY_CHANGE, event)
            assert ders(store) == []
            print(file=other.stdin, flush=True)
            assert event.wait(SOON_S)
        assert ders(store) == []
        CertControlStore(store, 0, CERT_STORE_CTRL_RESYNC, event)
        assert ders(store) == [A]


def test_a_read_again_store_keeps_the_contexts_that_are_still_there(system):
    store, other = opened("My"), opened("My")
    add(other, A)
    CertControlStore(store, 0, CERT_STORE_CTRL_RESYNC)
    context = CertEnumCertificatesInStore(store)
    add(other, B)
    CertControlStore(store, 0, CERT_STORE_CTRL_RESYNC)
    assert [each for each in store if each.encoded == A] == [context]


def test_threads_share_an_open_store_without_a_deadlock(system):
    store = opened("Root")

    def work(number):
        for each in range(10):
            add(store, certs.make(f"{number} {each}"))
            CertControlStore(store, 0, CERT_STORE_CTRL_RESYNC)
            ders(store)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, number) for number in range(4)]:
            done.result(60)
    assert len(ders(default("Root"))) == 40
