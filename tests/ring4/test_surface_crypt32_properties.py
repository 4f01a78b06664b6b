"""Every property of a certificate context: its type, its kind and its way through every store."""

from __future__ import annotations

import hashlib
import io
import struct
from datetime import UTC, datetime

import pytest
from blackstore import (
    POINT,
    certificate,
    der,
    element,
    fails,
    md5,
    name,
    oid,
    serialized,
    sha1,
    spki,
    tbs,
    text,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from calais import WinError
from calais.testing import local_system
from calais.winapi import advapi32 as adv
from calais.winapi import crypt32 as c
from calais.winapi import ncrypt

ONE = certificate("One", serial=0x80)
CU = c.CERT_SYSTEM_STORE_CURRENT_USER
INHIBIT = c.CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG
WHEN = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)
TICKS = ((WHEN - datetime(1601, 1, 1, tzinfo=UTC)).days * 86400 + 12 * 3600 + 30 * 60 + 15) * 10**7 + 1234560
INFO = c.CryptKeyProvInfo(
    "Contäiner", "Provider", 24, 0x20, (c.CryptKeyProvParam(9, b"12345", 7), c.CryptKeyProvParam(1, b"x", 0)), 2
)
PIN = c.PinInfo(1, 2, 3, 4, c.PinCachePolicy(1, 60), 5, 6)


def _prov_info(info):
    container, provider = text(info.container_name), text(info.prov_name)
    start = 28 + 16 * len(info.params)
    entries = b""
    for each in info.params:
        entries += struct.pack("<4I", each.param, start if each.data else 0, len(each.data), each.flags)
        start += len(each.data)
    count = len(info.params)
    head = struct.pack(
        "<7I", start, start + len(container), info.prov_type, info.flags, count, 28 if count else 0, info.key_spec
    )
    return head + entries + b"".join(each.data for each in info.params) + container + provider


BLOB = (b"\0\1\xff any", lambda value: value)
TEXT = ("Fränd 🔑", text)
EMPTY = (b"", lambda value: value)
TIME = (WHEN, lambda _: struct.pack("<Q", TICKS))


def _all(sample, *idents):
    return dict.fromkeys(idents, sample)


STORED = (
    _all(BLOB, 7, 10, 17, 18, 22, 9, 16, 23, 26, *range(64, 71), 72, 73, 74, 75, 76, *range(80, 89), 103, 105,
         *range(108, 124), 127, 31, 35, 63, 128, 200, 0x7FFF, 0x8000, 0x8001, 0xFFFF)
    | _all(TEXT, 11, 12, 13, 21, 30, 71, 101)
    | _all(EMPTY, 19, 77, 97, 102, 106, 125)
    | _all(TIME, 27, 104, 126)
    | {8: (b"h" * 20, bytes), 24: (b"m" * 16, bytes), 98: (b"s" * 32, bytes), 90: (2**32 - 2, lambda v: struct.pack("<I", v)),
       2: (INFO, _prov_info), 91: (PIN, None)}
)  # fmt: skip
TBS = tbs("One", serial=0x80)
COMPUTED = {
    3: sha1(ONE), 4: md5(ONE), 15: hashlib.sha256(TBS).digest(), 20: sha1(spki()), 25: md5(POINT),
    28: md5(name("Maker") + b"\x80\x00"), 29: md5(name("One")), 107: hashlib.sha256(ONE).digest(),
    124: hashlib.sha256(spki()).digest(),
}  # fmt: skip
COMPUTED_FIXED = {89: "ECDSA/SHA256", 92: 256, 93: "ECDSA/256"}


@pytest.fixture
def context():
    return c.CertCreateCertificateContext(1, ONE)


def get(context, ident):
    return c.CertGetCertificateContextProperty(context, ident)


def put(context, ident, value, flags=0):
    return c.CertSetCertificateContextProperty(context, ident, flags, value)


def listed(context):
    found, ident = [], 0
    while ident := c.CertEnumCertificateContextProperties(context, ident):
        found.append(ident)
    return found


def added(store, encoded=ONE):
    return c.CertAddEncodedCertificateToStore(store, 1, encoded, 4)


def absent(context, ident):
    with fails(c.CRYPT_E_NOT_FOUND):
        get(context, ident)


def test_a_fresh_context_lists_nothing(context):
    assert listed(context) == []
    for ident in STORED:
        absent(context, ident)
    assert listed(context) == []


@pytest.mark.parametrize("ident", STORED)
def test_a_stored_property_is_set_read_listed_and_deleted(context, ident):
    value = STORED[ident][0]
    assert put(context, ident, value) is None
    assert get(context, ident) == value
    assert type(get(context, ident)) is type(value)
    assert listed(context) == [ident]
    put(context, ident, None)
    absent(context, ident)
    assert listed(context) == []
    assert put(context, ident, None) is None


@pytest.mark.parametrize("ident", [ident for ident in STORED if STORED[ident][1]])
def test_a_stored_property_is_written_as_windows_lays_it_out(context, ident):
    value, layout = STORED[ident]
    put(context, ident, value)
    blob = c.CertSerializeCertificateStoreElement(context)
    assert blob == element(ONE, {ident: layout(value)})
    _, again = c.CertAddSerializedElementToStore(None, blob, 4)
    assert get(again, ident) == value


@pytest.mark.parametrize("ident", STORED)
@pytest.mark.parametrize("kind", ["system", "reg", "file"])
def test_a_stored_property_is_persisted_unless_that_is_inhibited(ident, kind):
    value = STORED[ident][0]
    key, file = {}, io.BytesIO()
    with local_system():

        def opened():
            return {
                "system": lambda: c.CertOpenStore(10, 0, None, CU, "My"),
                "reg": lambda: c.CertOpenStore(4, 0, None, 0, key),
                "file": lambda: c.CertOpenStore(3, 0, None, 0x10000, file),
            }[kind]()  # fmt: skip

        store = opened()
        put(added(store), ident, value)
        second = added(store, certificate("Two"))
        put(second, ident, value, INHIBIT)
        assert get(second, ident) == value
        c.CertCloseStore(store)
        store = opened()
        one, two = (c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SUBJECT_STR, who) for who in ("One", "Two"))
        if ident == c.CERT_ARCHIVED_PROP_ID:
            assert one is None
            one = c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, sha1(ONE))
        assert get(one, ident) == value
        absent(two, ident)
        put(one, ident, None)
        c.CertCloseStore(store)
        one = c.CertFindCertificateInStore(opened(), 1, 0, c.CERT_FIND_SHA1_HASH, sha1(ONE))
        absent(one, ident)


@pytest.mark.parametrize("ident", STORED)
def test_a_stored_property_goes_along_with_a_copy(context, ident):
    value = STORED[ident][0]
    put(context, ident, value)
    copy = c.CertAddCertificateContextToStore(c.CertOpenStore(2), context, 4)
    assert get(copy, ident) == value
    put(copy, ident, None)
    assert get(context, ident) == value


@pytest.mark.parametrize("ident", COMPUTED)
def test_a_computed_property_is_computed_then_stored_and_can_be_overridden(context, ident):
    assert listed(context) == []
    assert get(context, ident) == COMPUTED[ident]
    assert listed(context) == [ident]
    assert c.CertSerializeCertificateStoreElement(context) == element(ONE, {ident: COMPUTED[ident]})
    lie = b"\x01" * len(COMPUTED[ident])
    put(context, ident, lie)
    assert get(context, ident) == lie
    copy = c.CertAddCertificateContextToStore(c.CertOpenStore(2), context, 4)
    assert get(copy, ident) == lie
    put(context, ident, None)
    assert listed(context) == []
    assert get(context, ident) == COMPUTED[ident]


@pytest.mark.parametrize("ident", COMPUTED_FIXED)
def test_what_is_said_of_keys_and_signatures_is_computed_and_not_settable(context, ident):
    assert get(context, ident) == COMPUTED_FIXED[ident]
    with fails(c.E_INVALIDARG):
        put(context, ident, COMPUTED_FIXED[ident])


@pytest.mark.parametrize("ident", [0, 0x10000, 2**32, -1, 14, 32, 33, 34, 89, 92, 93, 94, 95, 96, 99, 100])
@pytest.mark.parametrize("value", [b"x", 1, "x", None])
def test_what_cannot_be_set_is_an_invalid_argument(context, ident, value):
    with fails(c.E_INVALIDARG):
        put(context, ident, value)
    assert listed(context) == []


@pytest.mark.parametrize("ident", [0, 32, 33, 34, 94, 95, 96, 99, 100, 0x10000, -1, 2**40])
def test_what_is_never_there_is_absent(context, ident):
    absent(context, ident)


OF_TYPE = {bytes: b"x", str: "x", int: 5, datetime: WHEN}


@pytest.mark.parametrize("ident", [*STORED, *COMPUTED, 1, 5, 6, 78, 79])
def test_another_python_type_is_refused_and_nothing_stored(context, ident):
    right = type(STORED[ident][0]) if ident in STORED else bytes if ident in COMPUTED else {6: int}.get(ident)
    for kind, value in OF_TYPE.items():
        if kind is not right:
            with fails(c.E_INVALIDARG):
                put(context, ident, value)
    for value in (object(), [], (), 1.5, naive()):
        with fails(c.E_INVALIDARG):
            put(context, ident, value)
    assert listed(context) == []


def naive():
    return {"not": "a value"}


@pytest.mark.parametrize(("ident", "wrong"), [(90, -1), (90, 2**32), (6, -1), (6, 2**32)])
def test_a_number_is_32_bits(context, ident, wrong):
    with fails(c.E_INVALIDARG):
        put(context, ident, wrong)


@pytest.mark.parametrize("wrong", ["a\0b", "\ud800"])
def test_odd_text_is_kept_or_refused(context, wrong):
    with fails(c.E_INVALIDARG):
        put(context, 11, wrong)


def test_access_state_is_a_view(context):
    assert get(context, 14) == 0
    assert listed(context) == []


def test_empty_bytes_are_a_value(context):
    put(context, 0x8000, b"")
    assert get(context, 0x8000) == b""
    assert c.CertSerializeCertificateStoreElement(context) == element(ONE, {0x8000: b""})


def test_enumeration_rises_and_can_start_anywhere(context):
    for ident in (0x9000, 11, 2, 101):
        put(context, ident, STORED.get(ident, BLOB)[0])
    assert listed(context) == [2, 11, 101, 0x9000]
    assert c.CertEnumCertificateContextProperties(context, 12) == 101
    assert c.CertEnumCertificateContextProperties(context, 0x9000) == 0
    assert c.CertEnumCertificateContextProperties(pCertContext=context, dwPropId=2) == 11


def test_a_signature_hash_needs_a_signature():
    bare = c.CertCreateCertificateContext(1, TBS)
    with fails(c.CRYPT_E_ASN1_BADTAG):
        get(bare, 15)


def test_a_key_identifier_needs_a_key():
    for bits in (b"", b"\x01", b"\x30\x80", b"\x04\x02ab"):
        key = der(0x30, der(0x30, oid("1.2.840.113549.1.1.1"), b"\x05\x00"), der(3, b"\0" + bits))
        context = c.CertCreateCertificateContext(1, certificate("Broken", key=key))
        with fails(c.ERROR_INVALID_DATA):
            get(context, 20)
        assert listed(context) == []


# --- handles ---------------------------------------------------------------------------------------------------------


def test_the_key_context_is_one_slot_with_three_views(context):
    for ident in (1, 5, 6, 78, 79):
        absent(context, ident)
    put(context, 5, c.CertKeyContext(None, 3))
    assert get(context, 5) == c.CertKeyContext(None, 3)
    assert get(context, 1) is None
    assert get(context, 6) == 3
    assert listed(context) in ([5], [1, 5], [1, 5, 6], [5, 6])
    assert c.CertSerializeCertificateStoreElement(context) == element(ONE)
    copy = c.CertAddCertificateContextToStore(c.CertOpenStore(2), context, 4)
    for ident in (1, 5, 6, 78):
        absent(copy, ident)
    put(context, 6, 7)
    assert get(context, 5) == c.CertKeyContext(None, 7)
    put(context, 5, None)
    for ident in (1, 5, 6):
        absent(context, ident)


def test_a_key_spec_makes_a_context_without_a_handle(context):
    put(context, 6, 2)
    assert get(context, 5) == c.CertKeyContext(None, 2)
    assert get(context, 6) == 2
    put(context, 5, None)
    absent(context, 6)
    put(context, 2, INFO)
    assert get(context, 6) == INFO.key_spec
    absent(context, 5)
    put(context, 6, None)


@pytest.mark.parametrize("wrong", [(None, 1), b"x" * 8, 5, "x", object()])
def test_what_is_no_key_context_is_refused(context, wrong):
    with fails(c.E_INVALIDARG):
        put(context, 5, wrong)
    absent(context, 5)


def test_a_provider_handle_goes_through_all_its_names():
    with local_system():
        context = c.CertCreateCertificateContext(1, ONE)
        first = adv.CryptAcquireContext(None, None, 24, 0xF0000000)
        put(context, 1, first)
        assert get(context, 1) is first
        assert get(context, 5) == c.CertKeyContext(first, 0)
        assert get(context, 79) is first
        absent(context, 78)
        absent(context, 99)
        second = adv.CryptAcquireContext(None, None, 24, 0xF0000000)
        put(context, 79, second)
        assert get(context, 1) is second
        with pytest.raises(WinError):
            adv.CryptGenRandom(first, 4)
        kept = adv.CryptAcquireContext(None, None, 24, 0xF0000000)
        put(context, 1, kept, c.CERT_STORE_NO_CRYPT_RELEASE_FLAG)
        put(context, 1, None)
        assert get(context, 5).handle is None
        assert len(adv.CryptGenRandom(kept, 4)) == 4
        put(context, 1, kept)
        assert get(context, 100) is kept
        absent(context, 100)
        c.CertFreeCertificateContext(context)
        assert len(adv.CryptGenRandom(kept, 4)) == 4


def test_a_cng_handle_goes_through_all_its_names():
    with local_system():
        provider = ncrypt.NCryptOpenStorageProvider("Microsoft Software Key Storage Provider")
        key = ncrypt.NCryptCreatePersistedKey(provider, "ECDSA_P256")
        ncrypt.NCryptFinalizeKey(key)
        context = c.CertCreateCertificateContext(1, ONE)
        put(context, 78, key)
        assert get(context, 78) is key
        assert get(context, 79) is key
        assert get(context, 5) == c.CertKeyContext(key, c.CERT_NCRYPT_KEY_SPEC)
        absent(context, 1)
        absent(context, 100)
        assert get(context, 99) is key
        absent(context, 78)
        put(context, 79, key)
        assert get(context, 78) is key
        c.CertFreeCertificateContext(context)
        with fails(0x80090026):
            ncrypt.NCryptGetProperty(key, "Algorithm Name", 0)


def test_a_foreign_object_is_no_handle(context):
    for ident in (1, 78, 79):
        with fails(c.E_INVALIDARG):
            put(context, ident, object())


# --- codecs ----------------------------------------------------------------------------------------------------------


def test_the_enrollment_blob_is_a_number_and_three_counted_texts():
    info = c.EnrollmentInfo(7, "ca.example", "My CA", "")
    expected = struct.pack("<I", 7) + struct.pack("<I", 11) + text("ca.example") + struct.pack("<I", 6) + text("My CA")
    assert info.to_bytes() == expected + struct.pack("<I", 1) + text("")
    assert c.EnrollmentInfo.from_bytes(info.to_bytes()) == info
    for bad in (b"", b"\0", info.to_bytes()[:-1], struct.pack("<II", 1, 0xFFFFFFFF)):
        with pytest.raises(WinError):
            c.EnrollmentInfo.from_bytes(bad)


def test_smart_card_root_info_is_24_bytes_each():
    cards = [c.SmartCardRootInfo(b"c" * 16, 0x1122334455667788), c.SmartCardRootInfo(b"d" * 16, -1)]
    blob = c.SmartCardRootInfo.list_to_bytes(cards)
    assert blob[:24] == b"c" * 16 + struct.pack("<Ii", 0x55667788, 0x11223344)
    assert next(iter(c.SmartCardRootInfo.list_from_bytes(blob))) == cards[0]
    assert c.SmartCardRootInfo.list_to_bytes(c.SmartCardRootInfo.list_from_bytes(blob)) == blob
    assert list(c.SmartCardRootInfo.list_from_bytes(b"")) == []


VALUES = st.dictionaries(st.sampled_from([0x8000, 9, 16, 103, 0xFFFF]), st.binary(max_size=40), max_size=5)


@settings(max_examples=60, deadline=None)
@given(bag=VALUES, friend=st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_bag_survives_a_serialized_store(bag, friend):
    source = c.CertCreateCertificateContext(1, ONE)
    for ident, value in bag.items():
        put(source, ident, value)
    put(source, 11, friend)
    store = c.CertOpenStore(2)
    c.CertAddCertificateContextToStore(store, source, 4)
    saved = c.CertSaveStore(store, 1, 1, 2)
    expected = bag | ({} if friend is None else {11: text(friend)})
    assert saved == serialized(element(ONE, expected))
    (again,) = list(c.CertOpenStore(6, 0, None, 0, saved))
    assert listed(again) == sorted(expected)
    assert all(get(again, ident) == value for ident, value in bag.items())
