"""One store, several who use it at once: openings, threads and processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from blackstore import certificate, code_of, crl, fails, sha1

from calais.testing import local_system
from calais.winapi import crypt32 as c

ONE, TWO = certificate("One", serial=1), certificate("Two", serial=2)
CU = c.CERT_SYSTEM_STORE_CURRENT_USER
FRIEND = c.CERT_FRIENDLY_NAME_PROP_ID


@pytest.fixture
def system():
    with local_system() as made:
        yield made


def my(flags=0):
    return c.CertOpenStore(c.CERT_STORE_PROV_SYSTEM, 0, None, CU | flags, "My")


def add(store, encoded=ONE, how=c.CERT_STORE_ADD_ALWAYS):
    return c.CertAddEncodedCertificateToStore(store, 1, encoded, how)


def held(store):
    return [context.encoded for context in store]


def get(context, ident=FRIEND):
    return c.CertGetCertificateContextProperty(context, ident)


@pytest.mark.parametrize("how", range(1, 8))
def test_two_openings_that_add_the_same_leave_one_entry(system, how):
    first, second = my(), my()
    add(first, ONE, how)
    assert code_of(lambda: add(second, ONE, how)) in {0, c.CRYPT_E_EXISTS}
    assert held(my()) == [ONE]
    assert held(first) == [ONE]


def test_a_property_set_elsewhere_is_seen_after_a_resync_and_others_stay(system):
    first, second = my(), my()
    mine = add(first)
    c.CertControlStore(second, 0, c.CERT_STORE_CTRL_RESYNC)
    (theirs,) = list(second)
    c.CertSetCertificateContextProperty(mine, FRIEND, 0, "first")
    c.CertSetCertificateContextProperty(theirs, c.CERT_DESCRIPTION_PROP_ID, 0, "second")
    (fresh,) = list(my())
    assert (get(fresh), get(fresh, 13)) == ("first", "second")
    c.CertControlStore(second, 0, c.CERT_STORE_CTRL_RESYNC)
    assert get(theirs) == "first"


def test_what_was_deleted_elsewhere_can_still_be_used_and_does_not_come_back(system):
    first, second = my(), my()
    mine = add(first)
    c.CertControlStore(second, 0, c.CERT_STORE_CTRL_RESYNC)
    c.CertDeleteCertificateFromStore(next(iter(second)))
    code_of(lambda: c.CertSetCertificateContextProperty(mine, FRIEND, 0, "late"))
    assert held(my()) == []
    c.CertDeleteCertificateFromStore(c.CertDuplicateCertificateContext(mine))
    assert held(my()) == []
    assert mine.encoded == ONE
    add(first, ONE, c.CERT_STORE_ADD_REPLACE_EXISTING)
    assert held(my()) == [ONE]


def test_threads_may_share_a_store(system):
    store = my()
    many = [certificate(f"Number {number}", serial=number) for number in range(60)]

    def work(encoded):
        context = add(store, encoded, c.CERT_STORE_ADD_NEW)
        c.CertSetCertificateContextProperty(context, FRIEND, 0, "mine")
        found = c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, sha1(encoded))
        c.CertFreeCertificateContext(found)
        list(store)
        return get(context)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, many)) == ["mine"] * 60
    assert sorted(held(store)) == sorted(many)
    assert sorted(held(my())) == sorted(many)


def test_threads_that_count_one_context_lose_no_reference(system):
    context = c.CertCreateCertificateContext(1, ONE)

    def work(_):
        for _ in range(500):
            c.CertDuplicateCertificateContext(context)
            c.CertFreeCertificateContext(context)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    c.CertFreeCertificateContext(context)
    with fails(c.ERROR_INVALID_PARAMETER):
        c.CertFreeCertificateContext(context)


ADDER = """
import sys
from calais.testing import local_system
from calais.winapi import crypt32 as c
with local_system(sys.argv[1]):
    store = c.CertOpenSystemStore(None, "My")
    for encoded in sys.argv[2:]:
        context = c.CertAddEncodedCertificateToStore(store, 1, bytes.fromhex(encoded), 3)
        c.CertSetCertificateContextProperty(context, 11, 0, "of a process")
"""


def test_processes_that_add_at_once_lose_nothing(tmp_path):
    many = [certificate(f"Number {number}", serial=number) for number in range(30)]
    with local_system(tmp_path):
        store, event = my(), threading.Event()
        c.CertControlStore(store, 0, c.CERT_STORE_CTRL_NOTIFY_CHANGE, event)
        running = [
            subprocess.Popen([sys.executable, "-c", ADDER, str(tmp_path), *(each.hex() for each in part)])
            for part in (many[:20], many[10:])
        ]
        assert event.wait(30)
        for process in running:
            assert process.wait(60) == 0
        c.CertControlStore(store, 0, c.CERT_STORE_CTRL_RESYNC, event)
        assert sorted(held(store)) == sorted(many)
        assert {get(context) for context in store} == {"of a process"}


# --- small print -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0x8000, 0x8000 | 0x4000])
def test_computing_a_property_in_a_read_only_store_is_no_change(system, flags):
    add(my())
    (context,) = list(my(flags))
    assert get(context, c.CERT_SHA256_HASH_PROP_ID)
    assert get(context, c.CERT_KEY_IDENTIFIER_PROP_ID)
    c.CertSetCertificateContextProperty(context, c.CERT_KEY_CONTEXT_PROP_ID, 0, c.CertKeyContext(None, 1))
    with fails(c.E_ACCESSDENIED):
        c.CertSetCertificateContextProperty(context, FRIEND, 0, None if flags == 1 else "x")


def test_key_identifiers_of_a_read_only_store_can_be_computed_at_opening(system):
    add(my())
    (context,) = list(my(c.CERT_STORE_UPDATE_KEYID_FLAG | c.CERT_STORE_READONLY_FLAG))
    assert len(get(context, c.CERT_KEY_IDENTIFIER_PROP_ID)) == 20


def test_a_link_without_a_store_stands_alone():
    source = c.CertCreateCertificateContext(1, ONE)
    link = c.CertAddCertificateLinkToStore(None, source, 4)
    assert link is not source
    assert link.store is source.store
    c.CertSetCertificateContextProperty(link, FRIEND, 0, "both")
    assert get(source) == "both"


@pytest.mark.parametrize("provider", [10, 13])
def test_a_predefined_store_that_is_deleted_is_empty_and_there(system, provider):
    add(my())
    assert c.CertOpenStore(provider, 0, None, CU | 0x10, "My") is None
    assert held(my(0x4000)) == []


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_like_object_is_taken(kind):
    store = c.CertOpenStore(2)
    context = add(store, kind(ONE))
    assert type(context.encoded) is bytes
    c.CertSetCertificateContextProperty(context, 16, 0, kind(b"data"))
    assert get(context, 16) == b"data"
    assert type(get(context, 16)) is bytes
    saved = c.CertSaveStore(store, 1, 1, 2)
    assert held(c.CertOpenStore(6, 0, None, 0, kind(saved))) == [ONE]
    assert c.CertCreateCRLContext(1, kind(crl())).encoded == crl()
    assert c.CertAddSerializedElementToStore(store, kind(c.CertSerializeCertificateStoreElement(context)), 3)[0] == 1


def test_a_date_is_kept_in_utc_and_to_the_tick():
    context = c.CertCreateCertificateContext(1, ONE)
    east = timezone(timedelta(hours=9))
    c.CertSetCertificateContextProperty(context, 27, 0, datetime(2024, 1, 1, 9, tzinfo=east))
    assert get(context, 27) == datetime(2024, 1, 1, tzinfo=UTC)
    assert get(context, 27).tzinfo is not None
    for wrong in (datetime(1600, 12, 31, tzinfo=UTC), datetime(2024, 1, 1)):
        assert code_of(lambda wrong=wrong: c.CertSetCertificateContextProperty(context, 104, 0, wrong)) in {
            0,
            c.E_INVALIDARG,
        }


def test_a_hash_of_another_length_matches_nothing():
    store = c.CertOpenStore(2)
    add(store)
    for para in (b"", b"x", sha1(ONE)[:19], sha1(ONE) + b"x"):
        assert c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, para) is None
        assert c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_KEY_IDENTIFIER, para) is None


def test_stores_of_services_and_users_are_listed_by_their_owner(system):
    c.CertOpenStore(10, 0, None, c.CERT_SYSTEM_STORE_SERVICES, "Spooler\\My")
    c.CertOpenStore(10, 0, None, c.CERT_SYSTEM_STORE_USERS, "S-1-5-21\\Extra")
    assert any("My" in each for each in c.CertEnumSystemStore(c.CERT_SYSTEM_STORE_SERVICES, "Spooler"))
    assert any("Extra" in each for each in c.CertEnumSystemStore(c.CERT_SYSTEM_STORE_USERS))
