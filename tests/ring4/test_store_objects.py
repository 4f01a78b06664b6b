"""Stores and certificates as Python objects."""

import certs
import pytest

from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.store.objects import CertificateStore
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound
from calais.win.flags import CERT_STORE_DELETE_FLAG, PropId
from calais.win.structs import CryptKeyProvInfo

A = certs.make("Alice", issuer="Root", serial=7)
LINK = CryptKeyProvInfo("c", "p", 1, 1, (), 1)


@pytest.fixture
def store():
    with CertificateStore.in_memory() as opened:
        yield opened


def test_a_certificate_says_what_it_is(store):
    certificate = store.add(A)
    assert (certificate.subject, certificate.issuer, certificate.serial) == (
        "O=Calais, CN=Alice",
        "O=Calais, CN=Root",
        7,
    )
    assert certificate.not_before == certs.BEGIN
    assert (certificate.not_after - certificate.not_before).days == 3650
    assert certificate.to_cryptography().serial_number == 7
    assert repr(certificate) == f"<Certificate {certificate.sha1.hex()} 'O=Calais, CN=Alice'>"


def test_a_certificate_says_what_is_known_about_it(store):
    certificate = store.add(A)
    assert (certificate.key_prov_info, certificate.friendly_name, certificate.reader) == (None, "", "")
    certificate.key_prov_info = LINK
    certificate.set(PropId.SMART_CARD_READER, "Reader 0")
    certificate.set(PropId.ARCHIVED, b"")
    assert (certificate.key_prov_info, certificate.reader, certificate.archived) == (LINK, "Reader 0", True)
    certificate.key_prov_info = None
    assert certificate.property_ids() == [19, 101]


def test_equal_certificates_have_equal_bytes(store):
    other = CertificateStore.in_memory().add(A)
    assert store.add(A) == other
    assert {store.get(other.sha1), other} == {other}
    assert other != A


def test_a_subject_is_safe_for_a_terminal(store):
    hostile = certs.raw_tbs(subject=certs.raw_name("\x1b[2J\x07\u202e'); DROP TABLE certificate;--"))
    assert store.add(hostile).subject == 'CN="\\x1b[2J\\x07\\u202e\'); DROP TABLE certificate;--"'
    assert store.add(certs.raw_tbs(subject=certs.tlv(0x30, b"\x05\x00"))).subject == ""


def test_nothing_is_added_when_the_certificate_or_a_property_is_wrong(store):
    with pytest.raises(BadData):
        store.add(b"nonsense")
    with pytest.raises(BadParameter):
        store.add(A, props={PropId.FRIENDLY_NAME: b"bytes"})
    assert len(store) == 0


def test_a_store_that_was_deleted_is_not_opened():
    provider = SystemStores(MemoryDatabase())
    with pytest.raises(NotFound) as caught:
        CertificateStore.open(provider, flags=CERT_STORE_DELETE_FLAG)
    assert caught.value.code == Code.ERROR_FILE_NOT_FOUND


def test_the_stores_of_a_location_are_the_predefined_ones_and_those_that_were_made():
    provider = SystemStores(MemoryDatabase())
    CertificateStore.open(provider, "alpha")
    CertificateStore.open(provider, "my").add(A)
    names = provider.names()
    assert names == sorted(names, key=str.casefold)
    assert {"My", "Root", "alpha", "SmartCardRoot"} <= set(names)
    assert "my" not in names
    assert provider.names(4) == []
