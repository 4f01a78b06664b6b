"""Contexts, stores and their references: who holds what, and for how long."""

from __future__ import annotations

import gc
import weakref

import pytest
from blackstore import certificate, code_of, crl, der, fails, integer, name, serialized, tbs

from calais.testing import local_system
from calais.winapi import crypt32 as c

ONE, TWO = certificate("One", serial=1), certificate("Two", serial=2)
ADD = c.CERT_STORE_ADD_ALWAYS


def memory():
    return c.CertOpenStore(c.CERT_STORE_PROV_MEMORY)


def add(store, encoded=ONE, how=ADD):
    return c.CertAddEncodedCertificateToStore(store, 1, encoded, how)


def alive(context):
    code = code_of(lambda: c.CertGetCertificateContextProperty(context, c.CERT_SHA1_HASH_PROP_ID))
    assert code in {0, c.ERROR_INVALID_PARAMETER}
    return not code


# --- what counts as a certificate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(certificate("x", serial=-5), id="negative-serial"),
        pytest.param(certificate("x", serial=1 << 800), id="long-serial"),
        pytest.param(certificate("x", key=der(0x30, der(0x30, der(6)), der(3, b"\0"))), id="empty-key"),
        pytest.param(certificate(b"\x30\x00", b"\x30\x00"), id="empty-names"),
        pytest.param(certificate("x").replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020100")), id="v1-told"),
        pytest.param(certificate(name(("2.5.4.3", "\xff"), tag=0x13)), id="odd-string"),
        pytest.param(tbs("bare"), id="bare-tbs"),
    ],
)
def test_windows_keeps_what_it_is_given(odd):
    context = c.CertCreateCertificateContext(c.X509_ASN_ENCODING, odd)
    assert context.encoded == odd
    assert context.encoding_type == 1
    with memory() as store:
        assert add(store, odd).encoded == odd
        assert [each.encoded for each in store] == [odd]


def test_empty_algorithm_oids_and_a_missing_version_are_legal():
    inner = der(
        0x30, integer(7), der(0x30, der(6)), name("I"), der(0x30, der(0x17, b"490101000000Z"), der(0x17, b"x")),
        name("S"), der(0x30, der(0x30, der(6)), der(3, b"\0")),
    )  # fmt: skip
    whole = der(0x30, inner, der(0x30, der(6)), der(3, b"\0"))
    context = c.CertCreateCertificateContext(1, whole)
    assert context.encoded == whole
    assert context.info.version == 0
    assert context.info.serial == 7


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"", (0x80093102,)),
        (b"\x30", (0x80093102, 0x80093103)),
        (ONE[:-1], (0x80093102, 0x80093103)),
        (ONE[:20], (0x80093102, 0x80093103)),
        (b"\x30\x84\xff\xff\xff\xff", (0x80093102, 0x80093103)),
        (b"\x30\x80" + ONE[4:] + b"\0\0", (0x80093102, 0x80093103)),
        (der(0x30, b"abc"), (0x80093102, 0x80093103)),
        (b"\x30\x00", (0x80093102, 0x80093103)),
        (der(0x30, integer(1), integer(2)), (0x80093102, 0x80093103)),
        (der(0x31, ONE), (0x8009310B,)),
        (b"\x04\x02ab", (0x8009310B,)),
        (b"\0\0\0\0", (0x8009310B,)),
        (b"-----BEGIN CERTIFICATE-----", (0x8009310B, 0x80093102, 0x80093103)),
    ],
)
def test_what_is_no_certificate_is_refused_by_the_decoders_code(data, codes):
    with fails(*codes):
        c.CertCreateCertificateContext(1, data)
    with memory() as store, fails(*codes):
        add(store, data)


def test_arguments_of_create_are_checked():
    for encoding in (0, 2, 0x10000):
        with fails(c.E_INVALIDARG):
            c.CertCreateCertificateContext(encoding, ONE)
    with fails(c.E_INVALIDARG):
        c.CertCreateCertificateContext(1, None)
    assert c.CertCreateCertificateContext(0x10001, ONE).encoding_type in {1, 0x10001}
    assert c.CertCreateCertificateContext(1, ONE + b"trailing").encoded == ONE


def test_the_info_of_a_certificate_is_what_its_bytes_say():
    info = c.CertCreateCertificateContext(1, ONE).info
    assert isinstance(info, c.CertInfo)
    assert (info.version, info.serial, info.serial_number) == (2, 1, b"\x01")
    assert (info.issuer, info.subject) == (name("Maker"), name("One"))
    assert info.not_before.isoformat() == "2020-01-01T00:00:00+00:00"
    assert info.public_key.algorithm == "1.2.840.10045.2.1"
    assert info.signature_algorithm.oid == "1.2.840.10045.4.3.2"
    assert info.extensions == ()


# --- references ------------------------------------------------------------------------------------------------------


def test_a_duplicate_is_the_same_object_and_counts():
    context = c.CertCreateCertificateContext(1, ONE)
    assert c.CertDuplicateCertificateContext(context) is context
    assert c.CertFreeCertificateContext(context) is None
    assert alive(context)
    c.CertFreeCertificateContext(context)
    assert not alive(context)
    assert context.encoded == ONE
    assert context.info.serial == 1
    assert context.store is not None


def _each_function(context):
    store = memory()
    return [
        lambda: c.CertFreeCertificateContext(context),
        lambda: c.CertDuplicateCertificateContext(context),
        lambda: c.CertGetCertificateContextProperty(context, 3),
        lambda: c.CertSetCertificateContextProperty(context, 11, 0, "x"),
        lambda: c.CertEnumCertificateContextProperties(context, 0),
        lambda: c.CertAddCertificateContextToStore(store, context, ADD),
        lambda: c.CertAddCertificateLinkToStore(store, context, ADD),
        lambda: c.CertSerializeCertificateStoreElement(context),
        lambda: c.CertDeleteCertificateFromStore(context),
        lambda: c.CertEnumCertificatesInStore(store, context),
        lambda: c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_ANY, None, context),
        lambda: c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_EXISTING, context),
        lambda: c.CertGetIssuerCertificateFromStore(store, context),
        lambda: c.CertVerifySubjectCertificateContext(context, None, 0),
        lambda: c.CryptAcquireCertificatePrivateKey(context),
        lambda: c.CryptFindCertificateKeyProvInfo(context),
        lambda: c.CertGetEnhancedKeyUsage(context),
        lambda: c.CertGetNameString(context, 4),
    ]


@pytest.mark.parametrize("number", range(18))
@pytest.mark.parametrize("foreign", ["released", "int", "object", "crl", "store"])
def test_every_function_refuses_a_context_that_is_none(number, foreign):
    with local_system():
        released = c.CertCreateCertificateContext(1, ONE)
        c.CertFreeCertificateContext(released)
        wrong = {
            "released": released, "int": 12, "object": object(), "crl": c.CertCreateCRLContext(1, crl()), "store": memory(),
        }[foreign]  # fmt: skip
        with fails(
            *((c.ERROR_INVALID_PARAMETER,) if number != 11 or foreign == "released" else (0x57, c.E_INVALIDARG))
        ):
            _each_function(wrong)[number]()


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 17])
def test_none_as_context_is_an_invalid_argument(number):
    with local_system(), fails(c.E_INVALIDARG):
        _each_function(None)[number]()


def test_none_is_nothing_to_free_duplicate_or_close():
    assert c.CertFreeCertificateContext(None) is None
    assert c.CertDuplicateCertificateContext(None) is None
    assert c.CertFreeCRLContext(None) is None
    assert c.CertDuplicateCRLContext(None) is None
    assert c.CertCloseStore(None) is None
    assert c.CertCloseStore(None, 2) is None


def test_asking_again_gives_the_same_object_while_it_is_held():
    store = memory()
    first = add(store)
    assert c.CertEnumCertificatesInStore(store) is first
    assert c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_ANY) is first
    assert add(store, ONE, c.CERT_STORE_ADD_USE_EXISTING) is first
    assert next(iter(store)) is first
    for _ in range(4):
        c.CertFreeCertificateContext(first)
        assert alive(first)
    c.CertFreeCertificateContext(first)
    assert not alive(first)
    again = c.CertEnumCertificatesInStore(store)
    assert again is not first
    assert alive(again)
    assert not alive(first)


def test_iterating_gives_an_own_reference_each():
    store = memory()
    add(store)
    (context,) = list(store)
    c.CertFreeCertificateContext(context)
    assert not alive(context)


def test_passing_as_previous_gives_one_reference_back():
    store = memory()
    add(store, ONE)
    add(store, TWO)
    first = c.CertEnumCertificatesInStore(store)
    c.CertDuplicateCertificateContext(first)
    second = c.CertEnumCertificatesInStore(store, first)
    assert (first.encoded, second.encoded) == (TWO, ONE)
    assert alive(first)
    c.CertFreeCertificateContext(first)
    assert not alive(first)
    assert c.CertEnumCertificatesInStore(store, second) is None
    assert not alive(second)


def test_deleting_always_takes_one_reference_and_twice_succeeds():
    store = memory()
    context = c.CertDuplicateCertificateContext(add(store))
    assert c.CertDeleteCertificateFromStore(context) is None
    assert list(store) == []
    assert context.store is store
    assert alive(context)
    c.CertDeleteCertificateFromStore(context)
    assert not alive(context)
    free = c.CertCreateCertificateContext(1, ONE)
    c.CertDeleteCertificateFromStore(free)
    assert not alive(free)


def test_dropping_the_last_python_reference_gives_everything_back():
    store = memory()
    context = add(store)
    c.CertDuplicateCertificateContext(context)
    gone = weakref.ref(context)
    del context
    gc.collect()
    assert gone() is None
    c.CertCloseStore(store, c.CERT_CLOSE_STORE_CHECK_FLAG)


def test_a_context_outlives_its_store():
    store = memory()
    context = add(store)
    c.CertCloseStore(store)
    assert context.store is store
    c.CertSetCertificateContextProperty(context, 11, 0, "still")
    assert c.CertGetCertificateContextProperty(context, 11) == "still"
    other = memory()
    copy = c.CertAddCertificateContextToStore(other, context, ADD)
    assert c.CertGetCertificateContextProperty(copy, 11) == "still"


def test_an_element_dies_when_nobody_holds_it():
    store = memory()
    context = add(store)
    c.CertSetCertificateContextProperty(context, 11, 0, "kept by the store")
    c.CertFreeCertificateContext(context)
    again = c.CertEnumCertificatesInStore(store)
    assert c.CertGetCertificateContextProperty(again, 11) == "kept by the store"


# --- the empty store -------------------------------------------------------------------------------------------------


def test_contexts_without_a_store_belong_to_one_empty_store():
    one, two = c.CertCreateCertificateContext(1, ONE), c.CertAddEncodedCertificateToStore(None, 1, TWO, ADD)
    third = c.CertAddCertificateContextToStore(None, one, c.CERT_STORE_ADD_NEW)
    kind, fourth = c.CertAddSerializedElementToStore(None, c.CertSerializeCertificateStoreElement(one), ADD)
    empty = one.store
    assert empty is not None
    assert empty is two.store is third.store is fourth.store
    assert kind == 1
    assert list(empty) == []
    added = c.CertAddEncodedCertificateToStore(empty, 1, ONE, c.CERT_STORE_ADD_NEW)
    assert added.encoded == ONE
    assert c.CertEnumCertificatesInStore(empty) is None
    for flags in (0, 1, 2, 3):
        with fails(c.E_UNEXPECTED):
            c.CertCloseStore(empty, flags)
    assert list(empty) == []
    with fails(c.ERROR_END_OF_MEDIA):
        c.CertAddSerializedElementToStore(None, b"", ADD)


# --- stores ----------------------------------------------------------------------------------------------------------


def test_a_duplicated_store_closes_twice():
    store = memory()
    assert c.CertDuplicateStore(store) is store
    c.CertCloseStore(store)
    add(store)
    c.CertCloseStore(store)
    for use in (
        lambda: c.CertCloseStore(store), lambda: c.CertDuplicateStore(store), lambda: add(store),
        lambda: c.CertEnumCertificatesInStore(store), lambda: c.CertSaveStore(store, 1, 1, 2),
        lambda: c.CertControlStore(store, 0, 3), lambda: c.CertGetStoreProperty(store, 14),
        lambda: c.CertSetStoreProperty(store, 0x1000, 0, "x"),
        lambda: c.CertAddStoreToCollection(store, None), lambda: c.CertEnumCRLsInStore(store),
        lambda: c.CertFindCertificateInStore(store, 1, 0, 0),
    ):  # fmt: skip
        with fails(c.ERROR_INVALID_PARAMETER):
            use()


@pytest.mark.parametrize("foreign", [object(), 17, "store", b"x"], ids=["object", "int", "str", "bytes"])
def test_what_is_no_store_is_refused(foreign):
    for use in (c.CertCloseStore, c.CertDuplicateStore, c.CertEnumCertificatesInStore, c.CertEnumCRLsInStore, add):
        with fails(c.ERROR_INVALID_PARAMETER):
            use(foreign)


def test_none_as_store_is_an_invalid_argument_where_it_means_nothing():
    for use in (c.CertDuplicateStore, c.CertEnumCertificatesInStore, c.CertEnumCRLsInStore):
        with fails(c.E_INVALIDARG):
            use(None)


def test_close_with_check_tells_of_what_is_still_out():
    store = memory()
    context = add(store)
    with fails(c.CRYPT_E_PENDING_CLOSE):
        c.CertCloseStore(store, c.CERT_CLOSE_STORE_CHECK_FLAG)
    assert alive(context)
    with fails(c.ERROR_INVALID_PARAMETER):
        c.CertEnumCertificatesInStore(store)
    other = c.CertDuplicateStore(memory())
    with fails(c.CRYPT_E_PENDING_CLOSE):
        c.CertCloseStore(other, 2)
    c.CertCloseStore(other, 2)
    tidy = memory()
    c.CertFreeCertificateContext(add(tidy))
    c.CertCloseStore(tidy, 2)


def test_close_by_force_releases_the_contexts():
    store = memory()
    context = c.CertDuplicateCertificateContext(add(store))
    c.CertDuplicateStore(store)
    c.CertCloseStore(store, c.CERT_CLOSE_STORE_FORCE_FLAG)
    assert alive(context)
    c.CertCloseStore(store, c.CERT_CLOSE_STORE_FORCE_FLAG)
    assert not alive(context)
    assert context.encoded == ONE


def test_close_and_with_never_raise():
    with memory() as store:
        add(store)
        store.close()
    store.close()
    context = add(memory())
    context.store.close()
    context.store.close()
    free = c.CertCreateCertificateContext(1, ONE).store
    free.close()


def test_a_closed_store_is_not_walked():
    store = memory()
    store.close()
    with fails(c.ERROR_INVALID_PARAMETER):
        iter(store)


@pytest.mark.parametrize("kind", ["certificate", "crl"])
def test_a_context_is_given_back_at_the_end_of_a_with_block_without_ever_raising(kind):
    make = {
        "certificate": lambda: c.CertCreateCertificateContext(1, ONE),
        "crl": lambda: c.CertCreateCRLContext(1, crl()),
    }
    free = {"certificate": c.CertFreeCertificateContext, "crl": c.CertFreeCRLContext}[kind]
    with make[kind]() as context:
        assert context.encoded
    with fails(c.ERROR_INVALID_PARAMETER):
        free(context)
    with make[kind]() as context:
        free(context)


def _with_zero_for_null():
    context = c.CertCreateCertificateContext(1, ONE)
    return {
        "free": lambda: c.CertFreeCertificateContext(0),
        "duplicate": lambda: c.CertDuplicateCertificateContext(0),
        "free-crl": lambda: c.CertFreeCRLContext(0),
        "duplicate-crl": lambda: c.CertDuplicateCRLContext(0),
        "close": lambda: c.CertCloseStore(0),
        "enum": lambda: c.CertEnumCertificatesInStore(memory(), 0),
        "find": lambda: c.CertFindCertificateInStore(memory(), 1, 0, 0, None, 0),
        "crls": lambda: c.CertEnumCRLsInStore(memory(), 0),
        "sibling": lambda: c.CertAddStoreToCollection(c.CertOpenStore(11, 0, 0), 0),
        "remove": lambda: c.CertRemoveStoreFromCollection(c.CertOpenStore(11), 0),
        "add": lambda: c.CertAddEncodedCertificateToStore(0, 1, ONE, ADD),
        "add-context": lambda: c.CertAddCertificateContextToStore(0, context, ADD),
        "add-element": lambda: c.CertAddSerializedElementToStore(
            0, c.CertSerializeCertificateStoreElement(context), ADD
        ),
        "link": lambda: c.CertAddCertificateLinkToStore(0, context, ADD),
        "issuer": lambda: c.CertGetIssuerCertificateFromStore(memory(), context, 0),
        "verify": lambda: c.CertVerifySubjectCertificateContext(context, 0, 0),
    }


@pytest.mark.parametrize("call", list(_with_zero_for_null()))
def test_zero_is_null_where_a_handle_may_be_missing(call):
    _with_zero_for_null()[call]()


def test_zero_is_null_where_a_handle_may_not_be_missing_too():
    for use in (c.CertDuplicateStore, c.CertEnumCertificatesInStore, c.CertSerializeCertificateStoreElement):
        with fails(c.E_INVALIDARG):
            use(0)
    with fails(c.ERROR_INVALID_PARAMETER):
        c.CertDuplicateStore(False)


# --- CRLs ------------------------------------------------------------------------------------------------------------


def test_a_crl_context_is_the_twin_of_a_certificate_context():
    made = c.CertCreateCRLContext(1, crl())
    assert isinstance(made, c.CRLContext)
    assert (made.encoding_type, made.encoded) == (1, crl())
    assert made.info == c.CrlInfo(name("Maker"), made.info.this_update, made.info.next_update)
    assert made.info.this_update.isoformat() == "2020-01-01T00:00:00+00:00"
    assert c.CertCreateCRLContext(1, crl(following=None)).info.next_update is None
    assert c.CertDuplicateCRLContext(made) is made
    assert made.store is c.CertCreateCertificateContext(1, ONE).store
    c.CertFreeCRLContext(made)
    c.CertFreeCRLContext(made)
    for use in (c.CertFreeCRLContext, c.CertDuplicateCRLContext, c.CertDeleteCRLFromStore):
        with fails(c.ERROR_INVALID_PARAMETER):
            use(made)


def test_crl_decoding_errors_are_the_certificates():
    with fails(c.E_INVALIDARG):
        c.CertCreateCRLContext(0, crl())
    with fails(c.E_INVALIDARG):
        c.CertCreateCRLContext(1, None)
    with fails(c.CRYPT_E_ASN1_EOD):
        c.CertCreateCRLContext(1, b"")
    with fails(c.CRYPT_E_ASN1_BADTAG):
        c.CertCreateCRLContext(1, b"\x04\x01a")
    for bad in (crl()[:-1], der(0x30, b"ab"), b"\x30\x00"):
        with fails(c.CRYPT_E_ASN1_EOD, c.CRYPT_E_ASN1_CORRUPT):
            c.CertCreateCRLContext(1, bad)


def test_crls_are_added_listed_newest_first_and_deleted():
    store = memory()
    older, newer = crl(number=1), crl(number=2)
    c.CertAddEncodedCRLToStore(store, 1, older, c.CERT_STORE_ADD_NEW)
    context = c.CertAddCRLContextToStore(store, c.CertCreateCRLContext(1, newer), c.CERT_STORE_ADD_NEW)
    with fails(c.CRYPT_E_EXISTS):
        c.CertAddEncodedCRLToStore(store, 1, newer, c.CERT_STORE_ADD_NEW)
    with fails(c.E_INVALIDARG):
        c.CertAddEncodedCRLToStore(store, 1, newer, 8)
    assert c.CertAddEncodedCRLToStore(store, 1, newer, c.CERT_STORE_ADD_USE_EXISTING) is context
    first = c.CertEnumCRLsInStore(store)
    second = c.CertEnumCRLsInStore(store, first)
    assert (first.encoded, second.encoded) == (newer, older)
    assert list(store) == []
    c.CertDeleteCRLFromStore(second)
    only = c.CertEnumCRLsInStore(store)
    assert c.CertEnumCRLsInStore(store, only) is None
    assert c.CertSaveStore(store, 1, 1, 2).startswith(serialized()[:8])
    assert c.CertAddEncodedCRLToStore(None, 1, newer, c.CERT_STORE_ADD_NEW).store is not store


@pytest.mark.parametrize("how", [6, 7], ids=["newer", "newer-inherit"])
def test_the_newer_rule_has_nothing_newer_in_the_same_crl(how):
    store = memory()
    c.CertAddEncodedCRLToStore(store, 1, crl(), how)
    with fails(c.CRYPT_E_EXISTS):
        c.CertAddEncodedCRLToStore(store, 1, crl(), how)
