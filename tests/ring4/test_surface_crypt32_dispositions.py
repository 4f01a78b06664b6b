"""Every disposition on every kind of store, adding, linking, deleting and walking."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from blackstore import certificate, crl, element, fails, record, sha1, text

from calais.testing import local_system
from calais.winapi import crypt32 as c

ONE, TWO, THREE = (certificate(name, serial=number) for number, name in enumerate(("One", "Two", "Three")))
YOUNGER = certificate("Younger", start=datetime(2021, 1, 1, tzinfo=UTC))
OLDER = certificate("Older", start=datetime(2019, 1, 1, tzinfo=UTC))
NEW, USE, REPLACE, ALWAYS, INHERIT, NEWER, NEWER_INHERIT = range(1, 8)
FRIEND, ABOUT, HASH = 11, 13, 3
CU = c.CERT_SYSTEM_STORE_CURRENT_USER


class Place:
    """One kind of store that can be closed and opened again."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.path = folder / "s.sst"
        self.file = io.BytesIO()
        self.key = {}

    def member(self):
        store = c.CertOpenStore(c.CERT_STORE_PROV_MEMORY)
        whole = c.CertOpenStore(c.CERT_STORE_PROV_COLLECTION)
        c.CertAddStoreToCollection(whole, store, c.CERT_PHYSICAL_STORE_ADD_ENABLE_FLAG, 0)
        return whole

    def open(self):
        return {
            "memory": lambda: c.CertOpenStore(2),
            "file": lambda: c.CertOpenStore(3, 0, None, 0x10000, self.file),
            "filename": lambda: c.CertOpenStore(8, 0, None, 0x10000, self.path),
            "reg": lambda: c.CertOpenStore(4, 0, None, 0, self.key),
            "system": lambda: c.CertOpenStore(10, 0, None, CU, "My"),
            "root": lambda: c.CertOpenStore(10, 0, None, CU, "Root"),
            "registry": lambda: c.CertOpenStore(13, 0, None, CU, "My"),
            "physical": lambda: c.CertOpenStore(14, 0, None, CU, "My\\.Default"),
            "collection": self.member,
        }[self.kind]()

    def again(self, store):
        if self.kind in {"memory", "collection"}:
            return store
        c.CertCloseStore(store)
        self.file.seek(0)
        return self.open()


KINDS = ["memory", "file", "filename", "reg", "system", "root", "registry", "physical", "collection"]
FILED = {"reg", "system", "root", "registry", "physical"}


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    with local_system():
        yield Place(request.param, tmp_path)


def add(store, encoded, how=ALWAYS, **properties):
    bag = {{"friend": FRIEND, "about": ABOUT, "hash": HASH}[key]: value for key, value in properties.items()}
    source = c.CertCreateCertificateContext(1, encoded)
    for ident, value in bag.items():
        c.CertSetCertificateContextProperty(source, ident, 0, value)
    return c.CertAddCertificateContextToStore(store, source, how)


def get(context, ident):
    return c.CertGetCertificateContextProperty(context, ident)


def bag(context):
    found = {}
    ident = 0
    while ident := c.CertEnumCertificateContextProperties(context, ident):
        found[ident] = get(context, ident)
    return {ident: value for ident, value in found.items() if ident != HASH}


def shown(store):
    return [(each.encoded, bag(each)) for each in store]


@pytest.mark.parametrize("how", range(1, 8))
def test_what_is_not_there_is_added(place, how):
    store = place.open()
    context = add(store, ONE, how, friend="x")
    assert context.encoded == ONE
    assert context.store is store
    encoded = c.CertAddEncodedCertificateToStore(store, 1, TWO, how)
    assert encoded.store is store
    kind, _ = c.CertAddSerializedElementToStore(store, element(THREE, {ABOUT: text("d")}), how)
    assert kind == 1
    expected = [(THREE, {ABOUT: "d"}), (TWO, {}), (ONE, {FRIEND: "x"})]
    assert shown(store) == expected
    assert sorted(shown(place.again(store)), key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize("how", [0, 8, -1, 0x100, 2**32])
def test_other_dispositions_are_invalid(place, how):
    store = place.open()
    with fails(c.E_INVALIDARG):
        add(store, ONE, how)
    with fails(c.E_INVALIDARG):
        c.CertAddEncodedCertificateToStore(store, 1, ONE, how)
    with fails(c.E_INVALIDARG):
        c.CertAddSerializedElementToStore(store, element(ONE), how)
    with fails(c.E_INVALIDARG):
        c.CertAddEncodedCRLToStore(store, 1, crl(), how)
    assert list(store) == []


def test_new_refuses_what_is_there(place):
    store = place.open()
    add(store, ONE, friend="first")
    for attempt in (
        lambda: add(store, ONE, NEW, friend="second"),
        lambda: c.CertAddEncodedCertificateToStore(store, 1, ONE, NEW),
        lambda: c.CertAddSerializedElementToStore(store, element(ONE), NEW),
    ):
        with fails(c.CRYPT_E_EXISTS):
            attempt()
    assert shown(place.again(store)) == [(ONE, {FRIEND: "first"})]


def test_use_existing_returns_it_and_fills_the_gaps(place):
    store = place.open()
    present = add(store, ONE, friend="first")
    add(store, TWO)
    assert add(store, ONE, USE, friend="second", about="more") is present
    expected = [(TWO, {}), (ONE, {FRIEND: "first", ABOUT: "more"})]
    assert shown(store) == expected
    assert sorted(shown(place.again(store)), key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize("how", [REPLACE, INHERIT])
def test_replacing_puts_the_new_one_in_front(place, how):
    store = place.open()
    old = add(store, ONE, friend="old", about="about")
    c.CertSetCertificateContextProperty(old, 0x8001, c.CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG, b"mine alone")
    add(store, TWO)
    fresh = add(store, ONE, how, friend="new")
    assert fresh is not old
    expected = {FRIEND: "new", ABOUT: "about"} if how == INHERIT else {FRIEND: "new"}
    assert shown(store) == [(ONE, expected), (TWO, {})]
    assert get(old, FRIEND) == "old"
    assert old.encoded == ONE
    c.CertDeleteCertificateFromStore(c.CertDuplicateCertificateContext(old))
    assert len(shown(store)) == 2
    assert sorted(shown(place.again(store)), key=repr) == sorted([(ONE, expected), (TWO, {})], key=repr)


@pytest.mark.parametrize("how", [REPLACE, INHERIT])
def test_replacing_by_the_bare_bytes(place, how):
    store = place.open()
    info = c.CryptKeyProvInfo("container", "provider", 1, 0, (), 1)
    c.CertSetCertificateContextProperty(add(store, ONE), c.CERT_KEY_PROV_INFO_PROP_ID, 0, info)
    c.CertAddEncodedCertificateToStore(store, 1, ONE, how)
    assert shown(place.again(store)) == [(ONE, {2: info} if how == INHERIT else {})]


def test_always_makes_a_second_entry_and_a_database_saves_the_last(place):
    store = place.open()
    first = add(store, ONE, friend="first")
    second = add(store, ONE, ALWAYS, friend="second")
    assert first is not second
    assert shown(store) == [(ONE, {FRIEND: "second"}), (ONE, {FRIEND: "first"})]
    again = shown(place.again(store))
    if place.kind in FILED:
        assert again == [(ONE, {FRIEND: "second"})]
    else:
        assert sorted(again, key=repr) == [(ONE, {FRIEND: "first"}), (ONE, {FRIEND: "second"})]


@pytest.mark.parametrize("how", [NEWER, NEWER_INHERIT])
@pytest.mark.parametrize("candidate", [ONE, OLDER], ids=["same-date", "older"])
def test_newer_refuses_what_is_not_newer(place, how, candidate):
    store = place.open()
    mark = sha1(ONE)
    add(store, ONE, friend="kept")
    with fails(c.CRYPT_E_EXISTS):
        add(store, candidate, how, hash=mark)
    assert shown(place.again(store)) == [(ONE, {FRIEND: "kept"})]


@pytest.mark.parametrize("how", [NEWER, NEWER_INHERIT])
def test_newer_replaces_by_what_starts_later(place, how):
    store = place.open()
    add(store, ONE, friend="kept", about="old")
    add(store, YOUNGER, how, hash=sha1(ONE), about="new")
    expected = {FRIEND: "kept", ABOUT: "new"} if how == NEWER_INHERIT else {ABOUT: "new"}
    assert shown(store) == [(YOUNGER, expected)]
    assert shown(place.again(store)) == [(YOUNGER, expected)]


def test_the_same_certificate_is_told_by_the_stored_hash_and_asking_stores_none(place):
    store = place.open()
    add(store, ONE, hash=b"h" * 20)
    fresh = c.CertCreateCertificateContext(1, ONE)
    c.CertAddCertificateContextToStore(store, fresh, NEW)
    assert c.CertEnumCertificateContextProperties(fresh) == 0
    with fails(c.CRYPT_E_EXISTS):
        add(store, TWO, NEW, hash=b"h" * 20)
    other = add(store, certificate("Another", serial=0), NEW)
    assert other.encoded != ONE
    assert len(shown(place.again(store))) == 3


def test_issuer_and_serial_never_decide(place):
    store = place.open()
    add(store, certificate("Same", "CA", 9), NEW)
    add(store, certificate("Same", "CA", 9, end=datetime(2041, 1, 1, tzinfo=UTC)), NEW)
    assert len(list(place.again(store))) == 2


def test_what_went_into_a_filed_store_has_its_hash_stored(place):
    store = place.open()
    context = add(store, ONE)
    listed = c.CertEnumCertificateContextProperties(context)
    assert listed == (HASH if place.kind in FILED else 0)
    (again,) = list(place.again(store))
    assert c.CertEnumCertificateContextProperties(again) == (HASH if place.kind in FILED else 0)


def test_deleting_drops_the_properties_with_the_element(place):
    store = place.open()
    context = add(store, ONE, friend="gone")
    add(store, TWO)
    c.CertDeleteCertificateFromStore(c.CertDuplicateCertificateContext(context))
    assert shown(store) == [(TWO, {})]
    assert get(context, FRIEND) == "gone"
    store = place.again(store)
    assert shown(store) == [(TWO, {})]
    add(store, ONE, NEW)
    assert shown(store)[0] == (ONE, {})


def test_properties_set_later_are_kept(place):
    store = place.open()
    context = add(store, ONE)
    c.CertSetCertificateContextProperty(context, FRIEND, 0, "later")
    c.CertSetCertificateContextProperty(context, ABOUT, c.CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG, "never")
    assert shown(store) == [(ONE, {FRIEND: "later", ABOUT: "never"})]
    again = place.again(store)
    if again is not store:
        assert shown(again) == [(ONE, {FRIEND: "later"})]
    (context,) = list(again)
    c.CertSetCertificateContextProperty(context, FRIEND, 0, None)
    c.CertSetCertificateContextProperty(context, FRIEND, 0, None)
    with fails(c.CRYPT_E_NOT_FOUND):
        get(context, FRIEND)
    if again is not store:
        assert shown(place.again(again)) == [(ONE, {})]


def test_enumeration_is_newest_first_and_unmoved_by_what_happens_on_the_way(place):
    store = place.open()
    for encoded in (ONE, TWO, THREE):
        add(store, encoded)
    context = c.CertEnumCertificatesInStore(store)
    assert context.encoded == THREE
    c.CertDeleteCertificateFromStore(c.CertDuplicateCertificateContext(context))
    add(store, YOUNGER)
    doomed = c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, sha1(TWO))
    c.CertDeleteCertificateFromStore(doomed)
    context = c.CertEnumCertificatesInStore(store, context)
    assert context.encoded == ONE
    assert c.CertEnumCertificatesInStore(store, context) is None
    assert [each.encoded for each in store] == [YOUNGER, ONE]


def test_deleting_while_walking_as_c_programs_do(place):
    store = place.open()
    for encoded in (ONE, TWO, THREE):
        add(store, encoded)
    context = None
    seen = []
    while context := c.CertEnumCertificatesInStore(store, context):
        seen.append(context.encoded)
        c.CertDeleteCertificateFromStore(c.CertDuplicateCertificateContext(context))
    assert seen == [THREE, TWO, ONE]
    assert list(place.again(store)) == []


def test_a_crl_lives_in_every_store(place):
    store = place.open()
    c.CertAddEncodedCRLToStore(store, 1, crl(number=1), NEW)
    c.CertAddCRLContextToStore(store, c.CertCreateCRLContext(1, crl(number=2)), NEW)
    with fails(c.CRYPT_E_EXISTS):
        c.CertAddEncodedCRLToStore(store, 1, crl(number=1), NEW)
    c.CertDeleteCRLFromStore(c.CertEnumCRLsInStore(store))
    store = place.again(store)
    only = c.CertEnumCRLsInStore(store)
    assert only.encoded == crl(number=1)
    assert only.store is store
    assert c.CertEnumCRLsInStore(store, only) is None
    assert c.CertAddSerializedElementToStore(store, record(33, crl(number=3)), NEW)[0] == 2


def test_a_link_shares_the_property_bag(place):
    store = place.open()
    source_store = c.CertOpenStore(2)
    source = add(source_store, ONE, friend="x")
    if place.kind in {"system", "root", "collection"}:
        with fails(c.E_INVALIDARG):
            c.CertAddCertificateLinkToStore(store, source, ALWAYS)
        return
    link = c.CertAddCertificateLinkToStore(store, source, ALWAYS)
    assert link is not source
    assert link.store is store
    assert (link.encoded, link.info) == (source.encoded, source.info)
    c.CertSetCertificateContextProperty(link, FRIEND, 0, "through the link")
    assert get(source, FRIEND) == "through the link"
    c.CertSetCertificateContextProperty(source, ABOUT, 0, "through the source")
    assert get(link, ABOUT) == "through the source"
    context = c.CertKeyContext(None, 7)
    c.CertSetCertificateContextProperty(source, c.CERT_KEY_CONTEXT_PROP_ID, 0, context)
    assert get(link, c.CERT_KEY_CONTEXT_PROP_ID) == context
    c.CertDeleteCertificateFromStore(link)
    assert list(store) == []
    assert [each.encoded for each in source_store] == [ONE]


def test_links_obey_the_dispositions():
    store, source = c.CertOpenStore(2), c.CertCreateCertificateContext(1, ONE)
    add(store, ONE, friend="present")
    with fails(c.CRYPT_E_EXISTS):
        c.CertAddCertificateLinkToStore(store, source, NEW)
    for how in (0, 8):
        with fails(c.E_INVALIDARG):
            c.CertAddCertificateLinkToStore(store, source, how)
    c.CertAddCertificateLinkToStore(store, source, REPLACE)
    (only,) = list(store)
    assert bag(only) == {}
    c.CertSetCertificateContextProperty(source, FRIEND, 0, "shared")
    assert get(only, FRIEND) == "shared"


def test_a_copy_takes_all_properties_but_handles(place):
    store = place.open()
    source = c.CertCreateCertificateContext(1, ONE)
    c.CertSetCertificateContextProperty(source, FRIEND, 0, "x")
    c.CertSetCertificateContextProperty(source, 0x8000, 0, b"")
    c.CertSetCertificateContextProperty(source, c.CERT_KEY_CONTEXT_PROP_ID, 0, c.CertKeyContext(None, 1))
    get(source, c.CERT_SHA256_HASH_PROP_ID)
    copy = c.CertAddCertificateContextToStore(store, source, NEW)
    assert bag(copy) == {FRIEND: "x", 0x8000: b"", 107: get(source, 107)}
    c.CertSetCertificateContextProperty(copy, FRIEND, 0, "y")
    assert get(source, FRIEND) == "x"
    with fails(c.CRYPT_E_NOT_FOUND):
        get(copy, c.CERT_KEY_CONTEXT_PROP_ID)


# --- subject and issuer ----------------------------------------------------------------------------------------------


def test_a_subject_is_found_by_issuer_and_serial():
    store = c.CertOpenStore(2)
    add(store, certificate("A", "CA", 5))
    from blackstore import name

    found = c.CertGetSubjectCertificateFromStore(store, 1, c.CertInfo(issuer=name("CA"), serial=5))
    assert found.encoded == certificate("A", "CA", 5)
    assert c.CertGetSubjectCertificateFromStore(store, 1, c.CertInfo(issuer=name("CA"), serial=6)) is None
    with fails(c.E_INVALIDARG):
        c.CertGetSubjectCertificateFromStore(store, 1, None)


def test_an_issuer_is_found_newest_first():
    store = c.CertOpenStore(2)
    add(store, certificate("CA", "Root", 1))
    add(store, certificate("CA", "Root", 2))
    subject = c.CertCreateCertificateContext(1, certificate("Leaf", "CA"))
    first, flags = c.CertGetIssuerCertificateFromStore(store, subject)
    assert (first.info.serial, flags) == (2, 0)
    second, _ = c.CertGetIssuerCertificateFromStore(store, subject, first, 0)
    assert second.info.serial == 1
    assert c.CertGetIssuerCertificateFromStore(store, subject, second, 0) == (None, 0)
    orphan = c.CertCreateCertificateContext(1, certificate("Leaf", "Nobody"))
    assert c.CertGetIssuerCertificateFromStore(store, orphan)[0] is None
    with fails(c.CRYPT_E_SELF_SIGNED):
        c.CertGetIssuerCertificateFromStore(store, c.CertCreateCertificateContext(1, certificate("Self", "Self")))


@pytest.mark.parametrize("flags", [0x10000, 0x20000, 0x8, 0x10001, 0x80000000])
def test_checks_nobody_can_ask_for_are_refused(flags):
    subject = c.CertCreateCertificateContext(1, certificate("Leaf", "CA"))
    issuer = c.CertCreateCertificateContext(1, certificate("CA", "Root"))
    with fails(c.E_INVALIDARG):
        c.CertVerifySubjectCertificateContext(subject, issuer, flags)
    with fails(c.E_INVALIDARG):
        c.CertGetIssuerCertificateFromStore(c.CertOpenStore(2), subject, None, flags)


def test_the_checks_that_did_not_pass_come_back():
    now = c.CertCreateCertificateContext(1, certificate("Leaf", "CA"))
    past = c.CertCreateCertificateContext(1, certificate("Leaf", "CA", end=datetime(2021, 1, 1, tzinfo=UTC)))
    issuer = c.CertCreateCertificateContext(1, certificate("CA", "Root"))
    check = c.CertVerifySubjectCertificateContext
    assert check(now, issuer, 0) == 0
    assert check(now, issuer, 2) == 0
    assert check(past, issuer, 2) == 2
    assert check(now, issuer, 1) == 1
    assert check(now, issuer, 4) == 4 | 0x10000
    assert check(past, issuer, 7) == 7 | 0x10000
    assert check(now, None, 1) & 0x20000
