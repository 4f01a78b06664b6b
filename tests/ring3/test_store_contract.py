"""One suite for the stores on every database, read whole or on demand."""

import hashlib

import certs
import pytest

from calais.store.locations import SystemStores
from calais.store.objects import CertificateStore
from calais.store.shelf import WHOLE
from calais.store.sql import SqlDatabase
from calais.win.codes import Code
from calais.win.errors import AccessDenied, WinError
from calais.win.flags import AddDisposition, PropId
from calais.win.structs import CryptKeyProvInfo

A, B, C = (certs.make(each) for each in ("Alice", "Bob", "Carol"))
LINK = CryptKeyProvInfo("container", "provider", 1, 1, (), 1)


def sha1(der):
    return hashlib.sha1(der).digest()


# --- stores on a database ---------------------------------------------------------------------------------------------


@pytest.fixture(params=[WHOLE, 0], ids=["whole", "on-demand"])
def provider(request, database):
    return SystemStores(database, whole=request.param)


@pytest.fixture
def store(provider):
    with CertificateStore.open(provider) as opened:
        yield opened


def ders(store):
    return [each.der for each in store]


def test_what_is_added_is_there_for_the_next_opening(provider, store):
    store.add(A, props={PropId.KEY_PROV_INFO: LINK, PropId.FRIENDLY_NAME: "mine"})
    with CertificateStore.open(provider) as again:
        found = again.get(sha1(A))
        assert (found.key_prov_info, found.friendly_name) == (LINK, "mine")
        assert found.property_ids() == [2, 3, 11]


def test_iteration_is_newest_first_and_a_replaced_one_comes_to_the_front(store):
    for der in (A, B, C):
        store.add(der)
    store.add(A)
    assert ders(store) == [A, C, B]
    assert len(store) == 3


def test_replacing_inherits_what_the_new_one_lacks(store):
    store.add(A, props={PropId.KEY_PROV_INFO: LINK, PropId.FRIENDLY_NAME: "old"})
    store.add(A, props={PropId.FRIENDLY_NAME: "new"})
    assert (store.get(sha1(A)).key_prov_info, store.get(sha1(A)).friendly_name) == (LINK, "new")


def test_replacing_without_inheriting_loses_the_properties(provider, store):
    store.add(A, props={PropId.KEY_PROV_INFO: LINK})
    store.add(A, AddDisposition.REPLACE_EXISTING)
    with CertificateStore.open(provider) as again:
        assert again.get(sha1(A)).key_prov_info is None


def test_using_the_existing_one_gives_it_what_it_lacks(provider, store):
    first = store.add(A, props={PropId.FRIENDLY_NAME: "old"})
    second = store.add(A, AddDisposition.USE_EXISTING, {PropId.FRIENDLY_NAME: "new", PropId.KEY_PROV_INFO: LINK})
    assert second.context is first.context
    with CertificateStore.open(provider) as again:
        found = again.get(sha1(A))
        assert (found.friendly_name, found.key_prov_info) == ("old", LINK)


@pytest.mark.parametrize(
    "disposition", [AddDisposition.NEW, AddDisposition.NEWER, AddDisposition.NEWER_INHERIT_PROPERTIES]
)
def test_adding_what_is_there_is_refused_and_changes_nothing(store, disposition):
    store.add(A, props={PropId.FRIENDLY_NAME: "old"})
    with pytest.raises(WinError) as caught:
        store.add(A, disposition, {PropId.FRIENDLY_NAME: "new"})
    assert caught.value.code == Code.CRYPT_E_EXISTS
    assert store.get(sha1(A)).friendly_name == "old"


def test_a_later_one_under_the_same_hash_replaces(store):
    later = certs.make("Alice", begin=certs.BEGIN.replace(year=2021))
    store.add(A, props={PropId.FRIENDLY_NAME: "old"})
    store.add(later, AddDisposition.NEWER_INHERIT_PROPERTIES, {PropId.SHA1_HASH: sha1(A)})
    assert ders(store) == [later]
    assert store.get(sha1(A)).friendly_name == "old"


def test_adding_always_makes_a_second_entry_of_which_the_last_is_saved(provider, store):
    store.add(A, props={PropId.FRIENDLY_NAME: "first"})
    store.add(A, AddDisposition.ALWAYS, {PropId.FRIENDLY_NAME: "second"})
    names = [each.friendly_name for each in store]
    with CertificateStore.open(provider) as again:
        assert [each.friendly_name for each in again] == ["second"]
    assert names in (["second", "first"], ["second"])


def test_deleting_drops_the_properties_with_the_certificate(provider, store):
    store.add(A, props={PropId.KEY_PROV_INFO: LINK}).delete()
    assert ders(store) == []
    with CertificateStore.open(provider) as again:
        assert again.add(A).key_prov_info is None


def test_setting_a_property_is_seen_by_the_next_opening_at_once(provider, store):
    store.add(A).set(PropId.FRIENDLY_NAME, "later")
    with CertificateStore.open(provider) as again:
        assert again.get(sha1(A)).friendly_name == "later"
    store.get(sha1(A)).set(PropId.FRIENDLY_NAME, None)
    with CertificateStore.open(provider) as again:
        assert again.get(sha1(A)).friendly_name == ""


def test_an_inhibited_property_is_this_opening_s_alone(provider, store):
    certificate = store.add(A)
    certificate.set(PropId.FRIENDLY_NAME, "for now", 0x40000000)
    assert store.get(sha1(A)).friendly_name == "for now"
    with CertificateStore.open(provider) as again:
        assert again.get(sha1(A)).friendly_name == ""


def test_resync_shows_what_others_changed_and_keeps_the_objects(provider, store):
    kept, lost = store.add(A), store.add(B)
    with CertificateStore.open(provider) as other:
        other.add(C)
        other.get(sha1(A)).set(PropId.FRIENDLY_NAME, "theirs")
        other.get(sha1(B)).delete()
    assert not store.store.is_current()
    store.resync()
    assert store.store.is_current()
    assert ders(store) == [C, A]
    assert store.get(sha1(A)).context is kept.context
    assert kept.friendly_name == "theirs"
    lost.set(PropId.FRIENDLY_NAME, "deleted, but readable")
    assert (lost.der, lost.friendly_name) == (B, "deleted, but readable")
    store.resync()
    assert ders(store) == [C, A]


def test_one_s_own_changes_are_no_news(store):
    store.add(A).set(PropId.FRIENDLY_NAME, "mine")
    store.add(B).delete()
    assert store.store.is_current()


def test_adding_decides_on_what_is_there_now(provider, store):
    store.add(B)
    with CertificateStore.open(provider) as other:
        other.add(A, props={PropId.FRIENDLY_NAME: "theirs"})
        other.get(sha1(B)).delete()
    with pytest.raises(WinError, match="CRYPT_E_EXISTS"):
        store.add(A, AddDisposition.NEW)
    assert store.add(A, props={PropId.KEY_PROV_INFO: LINK}).friendly_name == "theirs"
    assert store.add(B, AddDisposition.NEW).der == B


def test_setting_on_what_others_replaced_reaches_the_one_that_is_there(provider, store):
    mine = store.add(A)
    with CertificateStore.open(provider) as other:
        other.add(A, AddDisposition.REPLACE_EXISTING, {PropId.DESCRIPTION: "theirs"})
    mine.set(PropId.FRIENDLY_NAME, "mine")
    with CertificateStore.open(provider) as again:
        found = again.get(sha1(A))
        assert (found.friendly_name, found.get(PropId.DESCRIPTION)) == ("mine", "theirs")


def test_a_certificate_outlives_its_store(provider):
    with CertificateStore.open(provider) as store:
        certificate = store.add(A)
    certificate.set(PropId.FRIENDLY_NAME, "after")
    with CertificateStore.open(provider) as again:
        assert again.get(sha1(A)).friendly_name == "after"
    certificate.delete()
    with CertificateStore.open(provider) as again:
        assert ders(again) == []


def test_finding_by_what_is_asked(store):
    key = certs.ec_key(1)
    other = certs.make("Dave", issuer="Alice", key=key, serial=77)
    for der in (A, B, other):
        store.add(der, props={PropId.KEY_PROV_INFO: LINK} if der == B else None)
    found = {
        "sha1": store.find(sha1=sha1(A)),
        "subject": store.find(subject=certs.name_der("Bob")),
        "issuer": store.find(issuer=certs.name_der("Alice")),
        "serial": store.find(issuer=certs.name_der("Alice"), serial=77),
        "key": store.find(key_identifier=hashlib.sha1(certs.spki(key)).digest()),
        "text": store.find(text="aLI"),
        "has_key": store.find(has_key=True),
        "not": store.find(subject=certs.name_der("Bob"), has_key=False),
    }
    assert {name: [each.der for each in results] for name, results in found.items()} == {
        "sha1": [A],
        "subject": [B],
        "issuer": [other, A],
        "serial": [other],
        "key": [other],
        "text": [A],
        "has_key": [B],
        "not": [],
    }


def test_many_pages_are_read_in_order_and_found_by_key(provider, store):
    many = [certs.raw_tbs(serial=number.to_bytes(2, "big")) for number in range(256, 406)]
    for der in many:
        store.add(der, AddDisposition.NEW)
    with CertificateStore.open(provider) as again:
        assert ders(again) == many[::-1]
        assert [each.der for each in again.find(subject=certs.raw_name("Juan Lang"))] == many[::-1]
        assert again.get(sha1(many[3])).der == many[3]
        held = again.get(sha1(many[70]))
        again.get(sha1(many[71])).delete()
        assert ders(again) == [der for der in many[::-1] if der != many[71]]
        assert next(each for each in again if each.der == many[70]).context is held.context


def test_many_are_added_at_once_and_keep_the_links_of_those_that_were_there(provider, store):
    many = [certs.raw_tbs(serial=number.to_bytes(2, "big")) for number in range(256, 286)]
    held = store.add(many[4], props={PropId.KEY_PROV_INFO: LINK})
    assert store.add_all(iter(many)) == len(many)
    assert ders(store) == many[::-1]
    assert (store.get(sha1(many[4])).key_prov_info, held.der) == (LINK, many[4])
    store.get(sha1(many[4])).set(PropId.FRIENDLY_NAME, "still there")
    with CertificateStore.open(provider) as again:
        assert ders(again) == many[::-1]
        assert again.get(sha1(many[4])).friendly_name == "still there"


def test_of_many_one_that_is_no_certificate_stops_them_all(store):
    store.add(A)
    with pytest.raises(WinError):
        store.add_all([B, b"\x30\x01"])
    with CertificateStore.in_memory() as memory:
        assert memory.add_all([A, B, A]) == 3
        assert ders(memory) == [A, B]
    assert ders(store) == [A]


def test_a_store_that_is_read_only_refuses_changes_and_nothing_else(provider, store):
    store.add(A)
    with CertificateStore.open(provider, flags=0x8000) as reader:
        certificate = reader.get(sha1(A))
        for change in (
            lambda: reader.add(B),
            lambda: reader.add_all([B]),
            certificate.delete,
            lambda: certificate.set(PropId.FRIENDLY_NAME, "x"),
            lambda: certificate.set(PropId.FRIENDLY_NAME, None),
        ):
            with pytest.raises(AccessDenied) as caught:
                change()
            assert caught.value.code == Code.E_ACCESSDENIED
        certificate.set(PropId.FRIENDLY_NAME, "ignored", 0x80000000)
        certificate.set(PropId.DESCRIPTION, "inhibited", 0x40000000)
        assert (certificate.friendly_name, certificate.get(PropId.DESCRIPTION)) == ("ignored", "inhibited")
        assert certificate.context.get(PropId.MD5_HASH) == hashlib.md5(A).digest()
    with CertificateStore.open(provider) as again:
        assert again.get(sha1(A)).property_ids() == [3]


def test_a_closed_database_says_so(tmp_path):
    database = SqlDatabase(tmp_path / "store.db")
    provider = SystemStores(database)
    with CertificateStore.open(provider) as store:
        provider.close()
        with pytest.raises(WinError) as caught:
            store.add(A)
    assert caught.value.code == Code.ERROR_INVALID_HANDLE
