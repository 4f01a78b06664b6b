"""Certificate contexts and their properties through the faces of crypt32."""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

import gc
import hashlib
import weakref

import certs
import pytest

from calais.testing import local_system
from calais.win.errors import WinError
from calais.winapi.crypt32 import *

A, B = certs.make("Alice"), certs.make("Bob")
LATER = certs.make("Alice", begin=certs.BEGIN.replace(year=2022))
X509 = X509_ASN_ENCODING
INHIBIT, IGNORE = CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG, CERT_SET_PROPERTY_IGNORE_PERSIST_ERROR_FLAG
LINK = CryptKeyProvInfo("container", MS_SCARD_PROV, PROV_RSA_FULL, 1, (CryptKeyProvParam(7, b"x", 3),), AT_KEYEXCHANGE)
get, set_, create = CertGetCertificateContextProperty, CertSetCertificateContextProperty, CertCreateCertificateContext
DISPOSITIONS = range(1, 8)


class Handle:
    """A key handle that counts how often it is closed."""

    is_ncrypt = False

    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


@pytest.fixture(autouse=True)
def system():
    with local_system() as made:
        yield made


@pytest.fixture(params=["memory", "system"])
def store(request):
    if request.param == "memory":
        return CertOpenStore(CERT_STORE_PROV_MEMORY)
    return CertOpenSystemStore(None, "My")


def add(store, der, disposition=CERT_STORE_ADD_NEW):
    return CertAddEncodedCertificateToStore(store, X509, der, disposition)


def ids(context):
    found, prop_id = [], CertEnumCertificateContextProperties(context)
    while prop_id:
        found.append(prop_id)
        prop_id = CertEnumCertificateContextProperties(context, prop_id)
    return found


def code_of(call, *args, **more):
    with pytest.raises(WinError) as caught:
        call(*args, **more)
    return caught.value.code


# --- creating ---------------------------------------------------------------------------------------------------------


def test_a_context_shows_its_certificate():
    context = create(X509 | PKCS_7_ASN_ENCODING, A + b"more")
    assert (context.encoding_type, context.encoded) == (X509, A)
    assert isinstance(context.info, CertInfo)
    assert context.info.subject == certs.name_der("Alice")
    assert ids(context) == []


@pytest.mark.parametrize("encoding", [0, PKCS_7_ASN_ENCODING, None, "1"])
def test_another_encoding_is_refused(encoding):
    assert code_of(create, encoding, A) == E_INVALIDARG
    assert code_of(CertAddEncodedCertificateToStore, None, encoding, A, 1) == E_INVALIDARG


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (None, [E_INVALIDARG]),
        ("text", [E_INVALIDARG]),
        (b"", [CRYPT_E_ASN1_EOD]),
        (A[:-1], [CRYPT_E_ASN1_EOD, CRYPT_E_ASN1_CORRUPT]),
        (b"\x30\x00", [CRYPT_E_ASN1_EOD, CRYPT_E_ASN1_CORRUPT]),
        (b"\x04\x00", [CRYPT_E_ASN1_BADTAG]),
        (b"-----BEGIN CERTIFICATE-----", [CRYPT_E_ASN1_BADTAG, CRYPT_E_ASN1_EOD]),
    ],
)
def test_what_is_no_certificate_is_refused(data, codes):
    assert code_of(create, X509, data) in codes
    assert code_of(CertAddEncodedCertificateToStore, None, X509, data, 1) in codes


def test_a_bare_tbs_is_a_certificate_too(store):
    assert add(store, certs.raw_tbs()).encoded == certs.raw_tbs()
    assert [context.encoded for context in store] == [certs.raw_tbs()]


# --- references -------------------------------------------------------------------------------------------------------


def test_duplicates_are_the_same_object_counted():
    context = create(X509, A)
    assert CertDuplicateCertificateContext(context) is context
    CertFreeCertificateContext(context)
    assert get(context, 3)
    CertFreeCertificateContext(context)
    for call in (CertFreeCertificateContext, CertDuplicateCertificateContext, CertDeleteCertificateFromStore):
        assert code_of(call, context) == ERROR_INVALID_PARAMETER
    assert code_of(get, context, 3) == ERROR_INVALID_PARAMETER
    assert (context.encoded, context.info.serial) == (A, context.info.serial)


def test_null_is_freed_and_duplicated_and_nothing_else():
    assert CertFreeCertificateContext(None) is None
    assert CertDuplicateCertificateContext(None) is None
    store = CertOpenStore(CERT_STORE_PROV_MEMORY)
    for call in (
        lambda: CertDeleteCertificateFromStore(None),
        lambda: get(None, 3),
        lambda: set_(None, 3),
        lambda: CertEnumCertificateContextProperties(None),
        lambda: CertAddCertificateContextToStore(store, None, 1),
        lambda: CryptAcquireCertificatePrivateKey(None),
    ):
        assert code_of(call) == E_INVALIDARG


@pytest.mark.parametrize("handle", [b"", 5, object()])
def test_a_foreign_handle_is_refused(handle):
    assert code_of(CertFreeCertificateContext, handle) == ERROR_INVALID_PARAMETER
    assert code_of(get, handle, 3) == ERROR_INVALID_PARAMETER


def test_without_a_store_adding_makes_a_free_standing_context():
    context = create(X509, A)
    set_(context, 2, 0, LINK)
    for disposition in DISPOSITIONS:
        copy = CertAddCertificateContextToStore(None, context, disposition)
        assert copy is not context
        assert get(copy, 2) == LINK
    CertDeleteCertificateFromStore(copy)
    assert code_of(CertAddCertificateContextToStore, None, context, 0) == E_INVALIDARG


def test_a_handle_dies_with_the_last_reference_of_a_free_standing_context():
    context, handle = create(X509, A), Handle()
    set_(context, 1, 0, handle)
    CertDuplicateCertificateContext(context)
    CertFreeCertificateContext(context)
    assert not handle.closed
    CertFreeCertificateContext(context)
    assert handle.closed == 1


def test_a_handle_dies_with_the_last_python_reference():
    context, handle = create(X509, A), Handle()
    set_(context, 1, 0, handle)
    CertDuplicateCertificateContext(context)
    watch = weakref.ref(context)
    del context
    gc.collect()
    assert watch() is None
    assert handle.closed == 1


def test_a_handle_lives_as_long_as_the_store_or_a_context(store):
    context, handle = add(store, A), Handle()
    set_(context, 1, 0, handle)
    CertFreeCertificateContext(context)
    again = CertEnumCertificatesInStore(store)
    assert get(again, 1) is handle
    CertCloseStore(store)
    assert not handle.closed
    CertFreeCertificateContext(again)
    assert handle.closed == 1


def test_a_handle_dies_with_a_deleted_certificate_when_the_context_is_freed(store):
    context, handle = add(store, A), Handle()
    set_(context, 1, 0, handle)
    CertDeleteCertificateFromStore(CertDuplicateCertificateContext(context))
    assert not handle.closed
    assert get(context, 1) is handle
    CertFreeCertificateContext(context)
    assert handle.closed == 1


def test_a_dropped_store_closes_its_handles():
    store, handle = CertOpenStore(CERT_STORE_PROV_MEMORY), Handle()
    set_(add(store, A), 1, 0, handle)
    del store
    gc.collect()
    assert handle.closed == 1


def test_another_opening_does_not_share_a_handle():
    context = add(CertOpenSystemStore(None, "My"), A)
    set_(context, 1, 0, Handle())
    other = CertEnumCertificatesInStore(CertOpenSystemStore(None, "My"))
    assert code_of(get, other, 1) == CRYPT_E_NOT_FOUND


# --- adding -----------------------------------------------------------------------------------------------------------


def rich(der=A):
    context = create(X509, der)
    set_(context, 2, 0, LINK)
    set_(context, 11, 0, "name")
    set_(context, 0x8001, 0, b"user")
    return context


def test_a_copy_has_all_properties_but_handles(store):
    source = rich()
    set_(source, 1, 0, Handle())
    set_(source, 13, INHIBIT, "for now")
    get(source, 4)
    copy = CertAddCertificateContextToStore(store, source, CERT_STORE_ADD_NEW)
    assert copy.store is store
    assert [each for each in ids(copy) if each != 3] == [2, 4, 11, 0x8001]
    assert get(copy, 2) == LINK
    set_(copy, 11, 0, "changed")
    assert get(source, 11) == "name"


@pytest.mark.parametrize("disposition", DISPOSITIONS)
def test_every_disposition_adds_what_is_not_there(store, disposition):
    assert add(store, A, disposition).encoded == A
    assert [context.encoded for context in store] == [A]


@pytest.mark.parametrize("disposition", [0, 8, -1, 99])
def test_an_unknown_disposition_is_refused(store, disposition):
    assert code_of(add, store, A, disposition) == E_INVALIDARG


def test_new_and_newer_refuse_the_same(store):
    context = add(store, A)
    for disposition in (CERT_STORE_ADD_NEW, CERT_STORE_ADD_NEWER, CERT_STORE_ADD_NEWER_INHERIT_PROPERTIES):
        assert code_of(add, store, A, disposition) == CRYPT_E_EXISTS
    assert CertEnumCertificatesInStore(store) is context


def test_the_same_issuer_and_serial_is_not_the_same_certificate(store):
    add(store, A)
    add(store, LATER)
    assert [context.encoded for context in store] == [LATER, A]


def test_use_existing_returns_the_present_one_with_what_it_lacked(store):
    present = add(store, A)
    set_(present, 11, 0, "present")
    again = CertAddCertificateContextToStore(store, rich(), CERT_STORE_ADD_USE_EXISTING)
    assert again is present
    assert (get(present, 11), get(present, 2)) == ("present", LINK)


def test_replacing_makes_a_new_element_and_the_old_context_is_deleted(store):
    old = CertAddCertificateContextToStore(store, rich(), CERT_STORE_ADD_NEW)
    new = add(store, A, CERT_STORE_ADD_REPLACE_EXISTING)
    assert new is not old
    assert code_of(get, new, 2) == CRYPT_E_NOT_FOUND
    assert get(old, 2) == LINK
    set_(old, 2)
    CertDeleteCertificateFromStore(old)
    assert [context.encoded for context in store] == [A]


@pytest.mark.parametrize("disposition", [5, 7])
def test_inheriting_keeps_persisted_properties_and_no_handles(store, disposition):
    old = CertAddCertificateContextToStore(store, rich(), CERT_STORE_ADD_NEW)
    handle = Handle()
    set_(old, 1, 0, handle)
    set_(old, 13, INHIBIT, "for now")
    newer = create(X509, LATER)
    set_(newer, 3, 0, hashlib.sha1(A).digest())
    set_(newer, 11, 0, "new")
    new = CertAddCertificateContextToStore(store, newer, disposition)
    assert (get(new, 2), get(new, 11), get(new, 0x8001)) == (LINK, "new", b"user")
    assert code_of(get, new, 13) == CRYPT_E_NOT_FOUND
    assert code_of(get, new, 1) == CRYPT_E_NOT_FOUND
    CertFreeCertificateContext(old)
    assert handle.closed == 1


def test_newer_replaces_without_the_old_properties(store):
    CertAddCertificateContextToStore(store, rich(), CERT_STORE_ADD_NEW)
    newer = create(X509, LATER)
    set_(newer, 3, 0, hashlib.sha1(A).digest())
    new = CertAddCertificateContextToStore(store, newer, CERT_STORE_ADD_NEWER)
    assert code_of(get, new, 2) == CRYPT_E_NOT_FOUND


def test_adding_always_makes_a_second_entry(store):
    first, second = add(store, A), add(store, A, CERT_STORE_ADD_ALWAYS)
    assert first is not second
    assert list(store) == [second, first]


def test_computing_the_hash_for_the_check_does_not_store_it():
    store = CertOpenStore(CERT_STORE_PROV_MEMORY)
    context = add(store, A)
    code_of(add, store, A)
    assert ids(context) == []


def test_in_a_database_the_hash_is_stored_from_then_on():
    assert ids(add(CertOpenSystemStore(None, "My"), A)) == [3]


def test_a_stored_hash_is_believed(store):
    liar = create(X509, B)
    set_(liar, 3, 0, hashlib.sha1(A).digest())
    CertAddCertificateContextToStore(store, liar, CERT_STORE_ADD_NEW)
    assert code_of(add, store, A) == CRYPT_E_EXISTS
    assert CertFindCertificateInStore(store, X509, 0, CERT_FIND_SHA1_HASH, hashlib.sha1(A).digest()).encoded == B
    assert CertFindCertificateInStore(store, X509, 0, CERT_FIND_SHA1_HASH, hashlib.sha1(B).digest()) is None


def test_changing_the_hash_files_it_anew(store):
    context = add(store, A)
    set_(context, 3, 0, b"another")
    assert CertFindCertificateInStore(store, X509, 0, CERT_FIND_SHA1_HASH, b"another") is context
    set_(context, 3)
    assert CertFindCertificateInStore(store, X509, 0, CERT_FIND_SHA1_HASH, hashlib.sha1(A).digest()) is context
    assert code_of(add, store, A) == CRYPT_E_EXISTS


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_deleting_takes_one_reference_and_once_is_enough(store):
    context = add(store, A)
    for _ in range(2):
        CertDeleteCertificateFromStore(CertDuplicateCertificateContext(context))
    assert list(store) == []
    set_(context, 11, 0, "still works")
    assert get(context, 11) == "still works"
    assert context.store is store
    CertDeleteCertificateFromStore(context)
    assert code_of(get, context, 11) == ERROR_INVALID_PARAMETER


def test_the_bare_certificate_brings_no_link_back(store):
    CertDeleteCertificateFromStore(CertAddCertificateContextToStore(store, rich(), 1))
    assert code_of(get, add(store, A), 2) == CRYPT_E_NOT_FOUND


def test_a_deleted_certificate_stays_away_when_a_property_is_set(store):
    context = add(store, A)
    CertDeleteCertificateFromStore(CertDuplicateCertificateContext(context))
    set_(context, 11, 0, "name")
    store.resync()
    assert list(store) == []


# --- properties -------------------------------------------------------------------------------------------------------


def reopened(der=A):
    digest = hashlib.sha1(der).digest()
    return CertFindCertificateInStore(CertOpenSystemStore(None, "My"), X509, 0, CERT_FIND_SHA1_HASH, digest)


@pytest.mark.parametrize(
    ("prop_id", "value"),
    [
        (2, LINK),
        (11, "Ünï \x1b[0m'); --"),
        (19, b""),
        (90, 4),
        (91, PinInfo(0, 0, 2, 4, PinCachePolicy(0))),
        (0x8000, bytes(300_000)),
    ],
)
def test_a_property_survives_and_goes(prop_id, value):
    set_(add(CertOpenSystemStore(None, "My"), A), prop_id, 0, value)
    assert get(reopened(), prop_id) == value
    set_(reopened(), prop_id)
    assert code_of(get, reopened(), prop_id) == CRYPT_E_NOT_FOUND


def test_an_inhibited_property_is_never_written():
    context = add(CertOpenSystemStore(None, "My"), A)
    set_(context, 2, INHIBIT, LINK)
    assert get(context, 2) == LINK
    assert CertFindCertificateInStore(context.store, X509, 0, CERT_FIND_HAS_PRIVATE_KEY) is context
    assert ids(reopened()) == [3]


def test_handles_are_never_written():
    context = add(CertOpenSystemStore(None, "My"), A)
    set_(context, 1, 0, Handle())
    set_(context, 6, 0, 2)
    assert ids(context) == [3, 5]
    assert ids(reopened()) == [3]


def test_the_access_state_tells_a_database_from_memory():
    assert get(add(CertOpenStore(CERT_STORE_PROV_MEMORY), A), 14) == 0
    assert get(create(X509, A), 14) == 0
    context = add(CertOpenSystemStore(None, "My"), A)
    assert get(context, 14) == CERT_ACCESS_STATE_WRITE_PERSIST_FLAG | CERT_ACCESS_STATE_SYSTEM_STORE_FLAG
    flags = CERT_SYSTEM_STORE_CURRENT_USER | CERT_STORE_READONLY_FLAG
    reader = CertOpenStore(CERT_STORE_PROV_SYSTEM, 0, None, flags, "My")
    assert get(CertEnumCertificatesInStore(reader), 14) == CERT_ACCESS_STATE_SYSTEM_STORE_FLAG


def test_a_persist_error_can_be_ignored():
    add(CertOpenSystemStore(None, "My"), A)
    flags = CERT_SYSTEM_STORE_CURRENT_USER | CERT_STORE_READONLY_FLAG
    context = CertEnumCertificatesInStore(CertOpenStore(CERT_STORE_PROV_SYSTEM, 0, None, flags, "My"))
    assert code_of(set_, context, 11, 0, "x") == E_ACCESSDENIED
    set_(context, 11, IGNORE, "x")
    assert get(context, 11) == "x"
    assert ids(reopened()) == [3]


def test_properties_are_listed_in_rising_order():
    context = rich()
    get(context, 107)
    set_(context, 1, 0, Handle())
    assert ids(context) == [2, 5, 11, 107, 0x8001]
    assert CertEnumCertificateContextProperties(context, 0xFFFF) == 0
    assert CertEnumCertificateContextProperties(context, 6) == 11
