"""Saving, controlling, listing, registering, mirroring and collecting stores, tried from outside."""

from __future__ import annotations

import io
import subprocess
import sys
import threading

import pytest
from blackstore import certificate, code_of, crl, element, fails, serialized, sha1, text
from certs import make
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7, pkcs12

from calais import WinError
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


# --- saving ----------------------------------------------------------------------------------------------------------


def test_saving_has_three_formats_and_three_destinations(tmp_path):
    store = memory(ONE, TWO)
    c.CertSetCertificateContextProperty(next(iter(store)), 11, 0, "Two!")
    c.CertAddEncodedCRLToStore(store, 1, crl(), 4)
    expected = serialized(element(ONE), element(TWO, {11: text("Two!")}), element(crl(), kind=33))
    assert c.CertSaveStore(store, 1, c.CERT_STORE_SAVE_AS_STORE, c.CERT_STORE_SAVE_TO_MEMORY) == expected
    file = io.BytesIO()
    assert c.CertSaveStore(store, 1, 1, c.CERT_STORE_SAVE_TO_FILE, file) is None
    assert file.getvalue() == expected
    for number in (3, 4):
        path = tmp_path / str(number)
        assert c.CertSaveStore(store, 1, 1, number, path) is None
        assert path.read_bytes() == expected
        c.CertSaveStore(memory(), 1, 1, number, str(path))
        assert path.read_bytes() == serialized()
    message = c.CertSaveStore(store, 1, c.CERT_STORE_SAVE_AS_PKCS7, 2)
    again = c.CertOpenStore("PKCS7", 0, None, 0, message)
    assert sorted(held(again)) == sorted([ONE, TWO])
    assert c.CertEnumCRLsInStore(again).encoded == crl()


def test_saved_messages_are_read_by_others():
    made = x509.load_der_x509_certificate(make("Reader"))
    store = memory(made.public_bytes(Encoding.DER))
    message = c.CertSaveStore(store, 1, 2, 2)
    assert pkcs7.load_der_pkcs7_certificates(message) == [made]
    pfx = c.CertSaveStore(store, 1, c.CERT_STORE_SAVE_AS_PKCS12, 2, (None, "secret"))
    assert pkcs12.load_pkcs12(pfx, b"secret").additional_certs[0].certificate == made


def test_saving_checks_its_arguments(tmp_path):
    store = memory(ONE)
    for arguments in (
        (1, 1, 2, None, 1),
        (1, 0, 2, None, 0),
        (1, 4, 2, None, 0),
        (1, 1, 0, None, 0),
        (1, 1, 5, None, 0),
    ):
        with fails(c.E_INVALIDARG):
            c.CertSaveStore(store, *arguments)
    for arguments in ((1, 1, 1, None), (1, 1, 4, None)):
        with fails(c.E_INVALIDARG, c.ERROR_INVALID_HANDLE, c.ERROR_PATH_NOT_FOUND, c.ERROR_INVALID_PARAMETER):
            c.CertSaveStore(store, *arguments)
    with fails(c.ERROR_PATH_NOT_FOUND, c.ERROR_FILE_NOT_FOUND):
        c.CertSaveStore(store, 1, 1, 4, tmp_path / "none" / "x")


def _doomed(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    store = c.CertOpenStore(8, 0, None, 0x10000, folder / "s.sst")
    add(store)
    (folder / "s.sst").unlink()
    folder.rmdir()
    return store


def test_a_file_that_cannot_be_written_is_an_error_of_the_function_and_a_log_entry_of_close(tmp_path, caplog):
    with pytest.raises(WinError):
        c.CertControlStore(_doomed(tmp_path), 0, COMMIT)
    with pytest.raises(WinError):
        c.CertCloseStore(_doomed(tmp_path))
    assert caplog.records == []
    with _doomed(tmp_path):
        pass
    _doomed(tmp_path).close()
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


# --- control ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["memory", "pkcs7", "serialized", "file", "filename"])
def test_what_has_no_backing_has_nothing_to_control(tmp_path, number, kind):
    (tmp_path / "f").write_bytes(serialized())
    store = {
        "memory": memory,
        "pkcs7": lambda: c.CertOpenStore(5, 0, None, 0, c.CertSaveStore(memory(), 1, 2, 2)),
        "serialized": lambda: c.CertOpenStore(6, 0, None, 0, serialized()),
        "file": lambda: c.CertOpenStore(3, 0, None, 0, io.BytesIO()),
        "filename": lambda: c.CertOpenStore(8, 0, None, 0, tmp_path / "f"),
    }[kind]()
    with fails(c.ERROR_CALL_NOT_IMPLEMENTED):
        c.CertControlStore(store, 0, number, threading.Event() if number in {1, 2, 5} else None)


@pytest.mark.parametrize("number", [0, 6, 99, -1])
def test_an_unknown_control_is_not_supported(system, number):
    for store in (memory(), user(), c.CertOpenStore(11)):
        with fails(c.ERROR_NOT_SUPPORTED):
            c.CertControlStore(store, 0, number)


def test_a_file_store_commits_when_told(tmp_path):
    path = tmp_path / "f"
    store = c.CertOpenStore(8, 0, None, 0x10000, path)
    add(store, ONE)
    c.CertControlStore(store, 0, COMMIT)
    assert path.read_bytes() == serialized(element(ONE))
    path.write_bytes(b"mine")
    c.CertControlStore(store, 0, COMMIT)
    assert path.read_bytes() == b"mine"
    c.CertControlStore(store, 1, COMMIT)
    assert path.read_bytes() == serialized(element(ONE))
    add(store, TWO)
    c.CertControlStore(store, 2, COMMIT)
    c.CertCloseStore(store)
    assert path.read_bytes() == serialized(element(ONE))


def test_a_file_store_reads_again_when_told(tmp_path):
    path = tmp_path / "f"
    store = c.CertOpenStore(8, 0, None, 0x10000, path)
    path.write_bytes(serialized(element(TWO)))
    c.CertControlStore(store, 0, RESYNC)
    assert held(store) == [TWO]


def test_a_registry_store_commits_clears_and_resyncs():
    key = {}
    store = c.CertOpenStore(4, 0, None, 0, key)
    add(store, ONE)
    assert key == {}
    c.CertControlStore(store, 0, COMMIT)
    assert list(key) == [f"Certificates\\{sha1(ONE).hex().upper()}"]
    add(store, TWO)
    c.CertControlStore(store, 2, COMMIT)
    key["Certificates\\" + sha1(THREE).hex().upper()] = element(THREE)
    c.CertControlStore(store, 0, RESYNC)
    assert sorted(held(store)) == sorted([ONE, THREE])


def test_a_resync_keeps_what_is_held():
    with local_system():
        store = user()
        context = add(store, ONE)
        add(user(), TWO)
        c.CertControlStore(store, 0, RESYNC)
        assert sorted(held(store)) == sorted([ONE, TWO])
        found = c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, sha1(ONE))
        assert found is context
        c.CertDeleteCertificateFromStore(c.CertFindCertificateInStore(user(), 1, 0, c.CERT_FIND_SHA1_HASH, sha1(ONE)))
        c.CertControlStore(store, 0, RESYNC)
        assert held(store) == [TWO]
        assert context.encoded == ONE


def test_auto_resync_needs_no_further_telling(system):
    store = user()
    c.CertControlStore(store, 0, AUTO)
    add(user(), ONE)
    assert held(store) == [ONE]
    add(user(), TWO)
    assert c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SUBJECT_STR, "two").encoded == TWO


def test_an_event_is_set_by_a_change_made_elsewhere_and_armed_again_by_resync(system):
    store, event = user(), threading.Event()
    c.CertControlStore(store, 0, NOTIFY, event)
    assert not event.is_set()
    add(user(), ONE)
    assert event.wait(WAIT)
    event.clear()
    c.CertControlStore(store, 0, RESYNC, event)
    assert held(store) == [ONE]
    context = next(iter(user()))
    c.CertSetCertificateContextProperty(context, 11, 0, "elsewhere")
    assert event.wait(WAIT)


def test_a_change_of_ones_own_sets_no_event_and_a_cancelled_one_stays(system):
    store, own, cancelled, witness = user(), threading.Event(), threading.Event(), threading.Event()
    c.CertControlStore(store, 0, NOTIFY, own)
    add(store, TWO)
    other = user()
    c.CertControlStore(other, 0, NOTIFY, witness)
    c.CertControlStore(other, 0, NOTIFY, cancelled)
    c.CertControlStore(other, 0, CANCEL, cancelled)
    assert not own.is_set()
    add(store, ONE)
    assert witness.wait(WAIT)
    assert not cancelled.is_set()


@pytest.mark.parametrize("number", [NOTIFY, CANCEL])
@pytest.mark.parametrize("wrong", [5, "event", None])
def test_what_is_no_event_is_refused(system, number, wrong):
    with fails(c.E_INVALIDARG, c.ERROR_INVALID_HANDLE, c.ERROR_INVALID_PARAMETER):
        c.CertControlStore(user(), 0, number, wrong)


CHANGE = """
import sys
from calais import WinError
from calais.testing import local_system
from calais.winapi import crypt32 as c
with local_system(sys.argv[1]):
    store = c.CertOpenSystemStore(None, "My")
    c.CertAddEncodedCertificateToStore(store, 1, bytes.fromhex(sys.argv[2]), 4)
"""


def test_another_process_sets_the_event_and_its_change_is_read(tmp_path):
    with local_system(tmp_path):
        store, event = user(), threading.Event()
        c.CertControlStore(store, 0, NOTIFY, event)
        subprocess.run([sys.executable, "-c", CHANGE, str(tmp_path), ONE.hex()], check=True, timeout=60)
        assert event.wait(WAIT)
        assert held(store) == []
        c.CertControlStore(store, 0, RESYNC, event)
        assert held(store) == [ONE]
        c.CertControlStore(store, 0, AUTO)
        subprocess.run([sys.executable, "-c", CHANGE, str(tmp_path), TWO.hex()], check=True, timeout=60)
        assert sorted(held(store)) == sorted([ONE, TWO])


def test_a_collection_passes_a_control_to_every_member(system):
    whole = c.CertOpenStore(11)
    for number in (1, 3, 4):
        c.CertControlStore(whole, 0, number)
    c.CertAddStoreToCollection(whole, user(), ENABLED, 0)
    add(user(), ONE)
    c.CertControlStore(whole, 0, RESYNC)
    assert held(whole) == [ONE]
    key = {}
    c.CertAddStoreToCollection(whole, memory(), 0, 5)
    c.CertAddStoreToCollection(whole, c.CertOpenStore(4, 0, None, 0, key), ENABLED, 9)
    add(whole, TWO)
    with fails(c.ERROR_CALL_NOT_IMPLEMENTED):
        c.CertControlStore(whole, 0, COMMIT)
    assert len(key) == 1


def test_a_system_store_has_nothing_to_commit(system):
    store = user("Root")
    add(store)
    for flags in (0, 1, 2):
        c.CertControlStore(store, flags, COMMIT)
    assert held(store) == [ONE]


# --- listing ---------------------------------------------------------------------------------------------------------


def test_the_locations_are_listed_with_their_flags():
    found = c.CertEnumSystemStoreLocation()
    assert {flag for _, flag in found} == {number << 16 for number in (1, 2, 4, 5, 6, 7, 8, 9)}
    assert ("CurrentUser", CU) in [tuple(each) for each in found]
    assert all(isinstance(name, str) for name, _ in found)


def test_stores_are_listed_and_registered(system):
    predefined = {"My", "Root", "CA", "Trust", "Disallowed", "TrustedPeople", "AddressBook", "REQUEST", "SmartCardRoot"}
    for location in (CU, LM):
        assert predefined <= set(c.CertEnumSystemStore(location))
    for location in (1, 2, 4, 7, 8, 9):
        assert c.CertRegisterSystemStore("Added", location << 16) is None
        assert "Added" in c.CertEnumSystemStore(location << 16, system=system)
        c.CertRegisterSystemStore("Added", location << 16)
        with fails(c.ERROR_FILE_EXISTS):
            c.CertRegisterSystemStore("added", location << 16 | c.CERT_STORE_CREATE_NEW_FLAG)
        c.CertUnregisterSystemStore("ADDED", location << 16)
        assert "Added" not in c.CertEnumSystemStore(location << 16)
        with fails(c.ERROR_FILE_NOT_FOUND):
            c.CertUnregisterSystemStore("Added", location << 16)
    with fails(c.ERROR_FILE_NOT_FOUND):
        c.CertEnumSystemStore(0)


def test_a_predefined_store_is_emptied_and_stays(system):
    add(user("My"))
    c.CertUnregisterSystemStore("My", CU)
    assert held(user("My", 0x4000)) == []
    add(user("Gone"))
    c.CertUnregisterSystemStore("Gone", CU)
    assert held(user("Gone")) == []


def test_a_callback_may_end_the_listing(system):
    for call in (
        lambda visit: c.CertEnumSystemStoreLocation(0, "mine", visit),
        lambda visit: c.CertEnumSystemStore(CU, None, "mine", visit),
        lambda visit: c.CertEnumPhysicalStore("Root", LM, "mine", visit),
    ):
        seen = []
        assert call(lambda *arguments, seen=seen: seen.append(arguments) or True) is True
        assert len(seen) > 2
        assert all(len(each) == 5 and each[3] is None and each[4] == "mine" for each in seen)
        short = []
        assert call(lambda *arguments, short=short: short.append(arguments)) is False
        assert len(short) == 1


def test_physical_stores_have_a_provider(system):
    for info in c.CertEnumPhysicalStore("Root", LM):
        assert isinstance(info, c.PhysicalStoreInfo)
        assert isinstance(info.open_provider, (str, int))
        assert isinstance(info.priority, int)


@pytest.mark.parametrize("name", ["", "a\\b"])
def test_bad_names_are_not_registered(system, name):
    with fails(c.ERROR_INVALID_NAME):
        c.CertRegisterSystemStore(name, CU)


HOSTILE_NAMES = ["'; DROP TABLE store; --", 'a"b', "tab\tname", "\x1b[31mred", "new\nline", "ünïcode", "%s%n", "../../etc",
                 "x" * 200, "a\0b"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_is_a_name_or_refused(system, name):
    refused = code_of(lambda: user(name))
    assert refused in {0, c.ERROR_INVALID_NAME}
    if not refused:
        store = user(name)
        add(store)
        assert held(user(name, 0x4000)) == [ONE]
        assert name in c.CertEnumSystemStore(CU)
        c.CertUnregisterSystemStore(name, CU)
    assert "My" in c.CertEnumSystemStore(CU)
    assert held(user("My")) == []


# --- store properties ------------------------------------------------------------------------------------------------


def test_store_properties_live_in_memory():
    store = memory()
    assert c.CertGetStoreProperty(store, c.CERT_ACCESS_STATE_PROP_ID) == 0
    for ident in (0, 11, 0x1000):
        with fails(c.CRYPT_E_NOT_FOUND):
            c.CertGetStoreProperty(store, ident)
    c.CertSetStoreProperty(store, 0x1000, 0, "Mine")
    c.CertSetStoreProperty(store, 77, 0, b"\0\1")
    c.CertSetStoreProperty(store, 78, 0, b"")
    assert c.CertGetStoreProperty(store, 0x1000) == "Mine"
    assert c.CertGetStoreProperty(store, 77) == b"\0\1"
    assert c.CertGetStoreProperty(store, 78) == b""
    c.CertSetStoreProperty(store, 77)
    c.CertSetStoreProperty(store, 77, 0, None)
    with fails(c.CRYPT_E_NOT_FOUND):
        c.CertGetStoreProperty(store, 77)
    for ident in (0, 14):
        with fails(c.E_INVALIDARG):
            c.CertSetStoreProperty(store, ident, 0, b"x")


ACCESS = {(1, "My"): 3, (2, "My"): 7, (7, "Trust"): 11, (8, "Trust"): 15, (9, "Trust"): 7}


@pytest.mark.parametrize(("where", "state"), ACCESS.items(), ids=[f"{n}-{s}" for n, s in ACCESS])
def test_the_access_state_says_what_kind_of_store_it_is(system, where, state):
    location, name = where
    store = c.CertOpenStore(13, 0, None, location << 16, name)
    assert c.CertGetStoreProperty(store, 14) & 3 == 3
    assert c.CertGetStoreProperty(c.CertOpenStore(10, 0, None, location << 16, name), 14) == state
    readonly = c.CertOpenStore(10, 0, None, location << 16 | 0x8000, name)
    assert c.CertGetStoreProperty(readonly, 14) == state - 1
    assert c.CertGetCertificateContextProperty(add(store), 14) == c.CertGetStoreProperty(store, 14)
    with fails(c.E_INVALIDARG):
        c.CertSetCertificateContextProperty(add(store), 14, 0, 1)
