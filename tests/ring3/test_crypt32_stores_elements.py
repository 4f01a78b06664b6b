"""Serialized elements, links and CRLs through the faces; references of stores and of contexts in none."""

# ruff: noqa: F403, F405

import gc
import struct
from datetime import UTC, datetime

import certs
import crls
import pytest
from storefaces import A, B, add, code_of, crls_of, ders, memory

from calais.testing import local_system
from calais.winapi.crypt32 import *

OLD, NEWER = (crls.make(begin=datetime(2020 + each, 1, 1, tzinfo=UTC)) for each in range(2))
USER = CERT_SYSTEM_STORE_CURRENT_USER
ALWAYS, NEW, USE, REPLACE = 4, 1, 2, 3


@pytest.fixture(autouse=True)
def system():
    with local_system() as made:
        yield made


def create(der=A):
    return CertCreateCertificateContext(1, der)


def crl(der=OLD):
    return CertCreateCRLContext(1, der)


def opened(provider, para=None, flags=0):
    return CertOpenStore(provider, 0, None, flags, para)


def record(number, data, word=1, size=None):
    return struct.pack("<III", number, word, len(data) if size is None else size) + data


# --- serialized elements ----------------------------------------------------------------------------------------------


def test_a_certificate_goes_out_and_comes_in_with_its_properties_but_no_handle():
    context = create()
    CertSetCertificateContextProperty(context, CERT_FRIENDLY_NAME_PROP_ID, 0, "name")
    CertSetCertificateContextProperty(context, CERT_KEY_CONTEXT_PROP_ID, 0, CertKeyContext(None, 1))
    blob = CertSerializeCertificateStoreElement(context, 77)
    assert blob == record(11, "name".encode("utf-16-le") + b"\0\0") + record(32, A)
    store = memory()
    kind, added = CertAddSerializedElementToStore(store, blob, NEW)
    assert (kind, added.encoded, added.store) == (CERT_STORE_CERTIFICATE_CONTEXT, A, store)
    assert CertGetCertificateContextProperty(added, CERT_FRIENDLY_NAME_PROP_ID) == "name"


def test_a_crl_goes_out_and_comes_in():
    blob = CertSerializeCRLStoreElement(crl())
    assert blob == record(33, OLD)
    store = memory()
    kind, added = CertAddSerializedElementToStore(store, blob, NEW, 0, CERT_STORE_CRL_CONTEXT_FLAG)
    assert (kind, added.encoded, crls_of(store)) == (CERT_STORE_CRL_CONTEXT, OLD, [OLD])


@pytest.mark.parametrize("disposition", [0, 8])
def test_a_disposition_that_is_none_is_refused(disposition):
    assert code_of(CertAddSerializedElementToStore, memory(), record(32, A), disposition) == E_INVALIDARG


@pytest.mark.parametrize("store", [None, "memory"])
@pytest.mark.parametrize(
    ("data", "types", "code"),
    [
        (b"", 0xFFFFFFFF, ERROR_END_OF_MEDIA),
        (None, 0xFFFFFFFF, ERROR_END_OF_MEDIA),
        (record(32, b""), 0xFFFFFFFF, E_INVALIDARG),
        (record(32, A, size=len(A) - 1), 0xFFFFFFFF, E_INVALIDARG),
        (record(32, A + b"x"), 0xFFFFFFFF, E_INVALIDARG),
        (record(32, A, word=2), 0xFFFFFFFF, ERROR_FILE_NOT_FOUND),
        (record(11, b"\0\0"), 0xFFFFFFFF, E_INVALIDARG),
        (record(32, A), CERT_STORE_CRL_CONTEXT_FLAG, E_INVALIDARG),
        (record(33, OLD), CERT_STORE_CERTIFICATE_CONTEXT_FLAG, E_INVALIDARG),
        (record(32, A), 0, E_INVALIDARG),
        (record(34, b"list"), 0xFFFFFFFF, E_INVALIDARG),
        ("text", 0xFFFFFFFF, E_INVALIDARG),
    ],
    ids=[
        "nothing",
        "null",
        "empty",
        "small",
        "large",
        "encoding",
        "no-context",
        "no-crl",
        "no-cert",
        "no-type",
        "ctl",
        "text",
    ],
)
def test_an_element_that_does_not_do_has_a_code(store, data, types, code):
    target = store and memory()
    assert code_of(CertAddSerializedElementToStore, target, data, ALWAYS, 0, types) == code


def test_without_a_store_the_context_stands_alone():
    kind, context = CertAddSerializedElementToStore(None, record(64, b"h") + record(32, A), ALWAYS)
    assert (kind, context.encoded, CertGetCertificateContextProperty(context, 64)) == (1, A, b"h")
    assert ders(context.store) == []


def test_lists_that_nobody_reads_are_carried_along():
    data = b"\0\0\0\0CERT" + record(32, A) + record(11, b"x\0\0\0") + record(34, b"a trust list") + bytes(12)
    assert CertSaveStore(opened(CERT_STORE_PROV_SERIALIZED, data), 1, 1, 2) == data
    key = {}
    with opened(CERT_STORE_PROV_REG, key) as store:
        I_CertUpdateStore(store, opened(CERT_STORE_PROV_SERIALIZED, data))
    assert [name.partition("\\")[0] for name in key] == ["Certificates", "CTLs"]


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_link_is_another_context_with_the_same_bytes_info_and_properties():
    source, target = memory(A), memory()
    context = CertEnumCertificatesInStore(source)
    link = CertAddCertificateLinkToStore(target, context, NEW)
    assert link is not context
    assert (link.encoded is context.encoded, link.info is context.info) == (True, True)
    assert (link.store, context.store) == (target, source)
    CertSetCertificateContextProperty(link, 11, 0, "there")
    assert CertGetCertificateContextProperty(context, 11) == "there"
    CertSetCertificateContextProperty(context, 11, 0, None)
    assert code_of(CertGetCertificateContextProperty, link, 11) == CRYPT_E_NOT_FOUND
    CertSetCertificateContextProperty(context, CERT_KEY_CONTEXT_PROP_ID, 0, CertKeyContext(None, 2))
    assert CertGetCertificateContextProperty(link, CERT_KEY_SPEC_PROP_ID) == 2


def test_a_link_outlives_its_source_and_deleting_it_leaves_the_source():
    source, target = memory(A, B), memory()
    for context in source:
        CertAddCertificateLinkToStore(target, context, NEW)
    assert ders(target) == [A, B]
    CertDeleteCertificateFromStore(CertEnumCertificatesInStore(target))
    assert (ders(target), ders(source)) == ([B], [B, A])
    source.close()
    gc.collect()
    assert ders(target) == [B]


def test_a_link_to_a_certificate_of_a_database_is_persisted_through_it():
    source = CertOpenSystemStore(None, "My")
    add(source, A)
    link = CertAddCertificateLinkToStore(memory(), CertEnumCertificatesInStore(source), NEW)
    CertSetCertificateContextProperty(link, 11, 0, "kept")
    again = CertEnumCertificatesInStore(CertOpenSystemStore(None, "My"))
    assert CertGetCertificateContextProperty(again, 11) == "kept"


def test_dispositions_count_for_links_too():
    context, target = create(), memory(A)
    CertSetCertificateContextProperty(context, 11, 0, "name")
    assert code_of(CertAddCertificateLinkToStore, target, context, NEW) == CRYPT_E_EXISTS
    assert code_of(CertAddCertificateLinkToStore, target, context, 0) == E_INVALIDARG
    present = CertAddCertificateLinkToStore(target, context, USE)
    assert CertGetCertificateContextProperty(present, 11) == "name"
    CertSetCertificateContextProperty(present, 13, 0, "old")
    assert code_of(CertGetCertificateContextProperty, context, 13) == CRYPT_E_NOT_FOUND
    CertAddCertificateLinkToStore(target, context, REPLACE)
    CertSetCertificateContextProperty(context, 11, 0, "shared")
    (only,) = target
    assert CertGetCertificateContextProperty(only, 11) == "shared"
    CertAddCertificateLinkToStore(target, context, ALWAYS)
    assert ders(target) == [A, A]


def test_a_store_of_a_database_shows_links_as_long_as_it_is_open():
    store = opened(CERT_STORE_PROV_SYSTEM_REGISTRY, "My", USER)
    add(store, B)
    link = CertAddCertificateLinkToStore(store, create(), NEW)
    assert (link.store, sorted(ders(store))) == (store, sorted([A, B]))
    assert code_of(CertAddCertificateLinkToStore, store, create(), NEW) == CRYPT_E_EXISTS
    assert ders(opened(CERT_STORE_PROV_SYSTEM_REGISTRY, "My", USER)) == [B]
    CertDeleteCertificateFromStore(link)
    assert ders(store) == [B]


def test_collections_take_no_links():
    for store in (opened(CERT_STORE_PROV_COLLECTION), CertOpenSystemStore(None, "My")):
        assert code_of(CertAddCertificateLinkToStore, store, create(), ALWAYS) == E_INVALIDARG


def test_a_read_only_store_takes_no_links():
    store = opened(CERT_STORE_PROV_REG, {}, CERT_STORE_READONLY_FLAG)
    assert code_of(CertAddCertificateLinkToStore, store, create(), ALWAYS) == E_ACCESSDENIED


def test_a_link_without_a_store_stands_alone_and_shares_its_properties():
    context = create()
    link = CertAddCertificateLinkToStore(None, context, ALWAYS)
    CertSetCertificateContextProperty(link, 11, 0, "name")
    assert CertGetCertificateContextProperty(context, 11) == "name"
    assert ders(link.store) == []


# --- CRLs -------------------------------------------------------------------------------------------------------------


def test_a_crl_context_shows_what_the_crl_says():
    context = CertCreateCRLContext(X509_ASN_ENCODING, OLD + b"more")
    assert (context.encoding_type, context.encoded) == (1, OLD)
    assert context.info.issuer == certs.name_der("Issuer")
    assert context.info.this_update == datetime(2020, 1, 1, tzinfo=UTC)
    assert isinstance(context, CRLContext)


@pytest.mark.parametrize(
    ("encoding", "data", "code"),
    [
        (0, OLD, E_INVALIDARG),
        (0x10000, OLD, E_INVALIDARG),
        (1, None, E_INVALIDARG),
        (1, b"", CRYPT_E_ASN1_EOD),
        (1, OLD[:-1], CRYPT_E_ASN1_EOD),
        (1, b"\x04\x01x", CRYPT_E_ASN1_BADTAG),
        (1, A, CRYPT_E_ASN1_CORRUPT),
    ],
    ids=["encoding-0", "pkcs7", "none", "empty", "cut", "octets", "certificate"],
)
def test_what_is_no_crl_has_a_code(encoding, data, code):
    assert code_of(CertCreateCRLContext, encoding, data) == code
    assert code_of(CertAddEncodedCRLToStore, memory(), encoding, data, ALWAYS) == code


def test_crl_contexts_are_counted_like_certificates():
    context = crl()
    assert CertDuplicateCRLContext(context) is context
    CertFreeCRLContext(context)
    CertFreeCRLContext(context)
    assert code_of(CertFreeCRLContext, context) == ERROR_INVALID_PARAMETER
    assert context.encoded == OLD
    CertFreeCRLContext(None)
    assert CertDuplicateCRLContext(None) is None
    assert code_of(CertDeleteCRLFromStore, None) == E_INVALIDARG
    assert code_of(CertFreeCRLContext, create()) == ERROR_INVALID_PARAMETER
    assert code_of(CertFreeCertificateContext, crl()) == ERROR_INVALID_PARAMETER


@pytest.mark.parametrize("kind", ["memory", "system", "key"])
def test_crls_live_beside_certificates(kind):
    store = {"memory": memory, "system": lambda: CertOpenSystemStore(None, "My"), "key": lambda: opened(4, {})}[kind]()
    add(store, A)
    added = CertAddEncodedCRLToStore(store, 1, OLD, NEW)
    CertAddCRLContextToStore(store, crl(NEWER), NEW)
    assert (ders(store), crls_of(store), added.store) == ([A], [NEWER, OLD], store)
    assert CertEnumCRLsInStore(store, CertEnumCRLsInStore(store)) is added
    CertDeleteCRLFromStore(added)
    assert crls_of(store) == [NEWER]
    assert code_of(CertAddEncodedCRLToStore, store, 1, NEWER, NEW) == CRYPT_E_EXISTS
    CertAddEncodedCRLToStore(store, 1, NEWER, USE)
    CertAddEncodedCRLToStore(store, 1, NEWER, REPLACE)
    assert code_of(CertAddEncodedCRLToStore, store, 1, NEWER, CERT_STORE_ADD_NEWER) == CRYPT_E_EXISTS
    assert crls_of(store) == [NEWER]


def test_crls_are_kept_by_the_system():
    with CertOpenSystemStore(None, "CA") as store:
        CertAddEncodedCRLToStore(store, 1, OLD, NEW)
    assert crls_of(CertOpenSystemStore(None, "CA")) == [OLD]


def test_a_crl_without_a_store_stands_alone():
    context = CertAddEncodedCRLToStore(None, 1, OLD, ALWAYS)
    assert (context.encoded, crls_of(context.store)) == (OLD, [])
    CertDeleteCRLFromStore(context)


# --- references of stores ---------------------------------------------------------------------------------------------


def test_closing_says_on_request_what_is_still_out():
    store = memory(A)
    context = CertEnumCertificatesInStore(store)
    assert CertDuplicateStore(store) is store
    assert code_of(CertCloseStore, store, CERT_CLOSE_STORE_CHECK_FLAG) == CRYPT_E_PENDING_CLOSE
    assert ders(store) == [A]
    assert code_of(CertCloseStore, store, CERT_CLOSE_STORE_CHECK_FLAG) == CRYPT_E_PENDING_CLOSE
    assert code_of(CertCloseStore, store) == ERROR_INVALID_PARAMETER
    assert (context.encoded, context.store) == (A, store)
    CertFreeCertificateContext(context)
    empty = memory(A)
    CertCloseStore(empty, CERT_CLOSE_STORE_CHECK_FLAG)


def test_crls_that_are_out_count_too():
    store = memory()
    context = CertAddEncodedCRLToStore(store, 1, OLD, NEW)
    assert code_of(CertCloseStore, store, CERT_CLOSE_STORE_CHECK_FLAG) == CRYPT_E_PENDING_CLOSE
    CertFreeCRLContext(context)


def test_force_releases_the_contexts_at_the_last_reference():
    store = memory(A)
    context = CertEnumCertificatesInStore(store)
    CertDuplicateStore(store)
    CertCloseStore(store, CERT_CLOSE_STORE_FORCE_FLAG)
    assert CertDuplicateCertificateContext(context) is context
    CertCloseStore(store, CERT_CLOSE_STORE_FORCE_FLAG)
    assert code_of(CertFreeCertificateContext, context) == ERROR_INVALID_PARAMETER
    assert context.encoded == A


def test_the_empty_store_cannot_be_closed_and_null_can():
    for flags in (0, 1, 2, 3):
        assert code_of(CertCloseStore, create().store, flags) == E_UNEXPECTED
        CertCloseStore(None, flags)


@pytest.mark.parametrize(
    "call",
    [
        lambda store: CertSaveStore(store, 1, 1, 2),
        lambda store: CertControlStore(store, 0, 1),
        lambda store: CertGetStoreProperty(store, 14),
        lambda store: CertSetStoreProperty(store, 3, 0, b""),
        CertEnumCRLsInStore,
        lambda store: CertAddCertificateLinkToStore(store, create(), 4),
        lambda store: I_CertUpdateStore(memory(), store),
        lambda store: CertAddStoreToCollection(store, memory()),
        CertDuplicateStore,
    ],
    ids=["save", "control", "get", "set", "enumerate", "link", "update", "collect", "duplicate"],
)
def test_a_closed_store_is_no_handle(call):
    store = memory(A)
    store.close()
    for handle in (store, "store", 5):
        assert code_of(call, handle) == ERROR_INVALID_PARAMETER
