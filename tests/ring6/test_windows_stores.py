"""Certificate stores exchanged as files with programs for Windows, in both directions."""

from __future__ import annotations

import hashlib

import pytest
from certs import make
from wine import WINE, windows  # noqa: F401 - a fixture

from calais.testing import local_system, virtual_piv
from calais.win.structs import CryptKeyProvInfo, CryptKeyProvParam
from calais.winapi.crypt32 import (
    CERT_FRIENDLY_NAME_PROP_ID,
    CERT_KEY_PROV_INFO_PROP_ID,
    CERT_STORE_ADD_NEW,
    CERT_STORE_PROV_FILENAME,
    CERT_STORE_PROV_MEMORY,
    CERT_STORE_SAVE_AS_PKCS7,
    CERT_STORE_SAVE_AS_STORE,
    CERT_STORE_SAVE_TO_FILENAME_W,
    CERT_STORE_SAVE_TO_MEMORY,
    CertAddEncodedCertificateToStore,
    CertAddSerializedElementToStore,
    CertEnumCertificatesInStore,
    CertGetCertificateContextProperty,
    CertOpenStore,
    CertSaveStore,
    CertSetCertificateContextProperty,
)

pytestmark = [*WINE]
BASE = "Microsoft Base Smart Card Crypto Provider"
CERTIFICATE_FLAG = 2
NEWER_THAN_WINE = (90, 91, 101)  # properties that make Wine 8 refuse the whole element: PIN, reader


@pytest.fixture(scope="module")
def certificates():
    return [make(f"exchanged {number}") for number in range(3)]


@pytest.fixture
def desk(tmp_path, certificates):
    """The directory through which both sides talk."""
    for number, der in enumerate(certificates):
        (tmp_path / f"{number}.der").write_bytes(der)
    return tmp_path


@pytest.fixture
def store():
    with local_system(), CertOpenStore(CERT_STORE_PROV_MEMORY) as made:
        yield made


def link(number):
    params = () if number else (CryptKeyProvParam(1, b"nothing\0"),)
    return CryptKeyProvInfo(f"container-{number}", BASE, 1, 1, params, 2 if number % 2 else 1)


def line(number, der):
    """How the program prints a certificate, its link and its name."""
    params = "" if number else "|1:" + b"nothing\0".hex()
    name = f"certificate \u00fc {number}\0".encode("utf-16-le").hex()
    return f"{hashlib.sha1(der).hexdigest()}|container-{number}|{BASE}|1|1|{2 if number % 2 else 1}{params}|name={name}"


def contexts(store):
    found, context = [], None
    while (context := CertEnumCertificatesInStore(store, context)) is not None:
        found.append((context.encoded, dict(_properties(context))))
    return found


def _properties(context):
    for number in (CERT_KEY_PROV_INFO_PROP_ID, CERT_FRIENDLY_NAME_PROP_ID):
        yield number, CertGetCertificateContextProperty(context, number)


def test_a_serialized_store_of_windows_has_its_links_here(windows, desk, certificates):  # noqa: F811
    windows.run("stores", "write", desk)
    with local_system(), CertOpenStore(CERT_STORE_PROV_FILENAME, 0, None, 0, desk / "store.sst") as opened:
        found = dict(sorted(contexts(opened), key=lambda item: certificates.index(item[0])))
    assert [found[der][CERT_KEY_PROV_INFO_PROP_ID] for der in certificates] == [link(number) for number in range(3)]
    assert found[certificates[2]][CERT_FRIENDLY_NAME_PROP_ID] == "certificate \u00fc 2"


def test_an_element_of_windows_has_its_link_here(windows, desk, certificates, store):  # noqa: F811
    windows.run("stores", "write", desk)
    element = (desk / "element.bin").read_bytes()
    CertAddSerializedElementToStore(store, element, CERT_STORE_ADD_NEW, 0, CERTIFICATE_FLAG)
    [(der, properties)] = contexts(store)
    assert (der, properties[CERT_KEY_PROV_INFO_PROP_ID]) == (certificates[0], link(0))


def test_a_pkcs7_of_windows_opens_here(windows, desk, certificates):  # noqa: F811
    windows.run("stores", "write", desk)
    with local_system(), CertOpenStore(CERT_STORE_PROV_FILENAME, 0, None, 0, desk / "store.p7b") as opened:
        assert {context.encoded for context in opened} == set(certificates)


def test_a_serialized_store_of_ours_has_its_links_in_windows(windows, desk, certificates, store):  # noqa: F811
    _fill(store, certificates)
    CertSaveStore(store, 1, CERT_STORE_SAVE_AS_STORE, CERT_STORE_SAVE_TO_FILENAME_W, desk / "store.sst")
    printed = windows.run("stores", "read", desk).splitlines()
    assert sorted(printed) == sorted(line(number, der) for number, der in enumerate(certificates))


def test_what_windows_saved_and_we_saved_again_is_the_same_to_windows(windows, desk, certificates):  # noqa: F811
    windows.run("stores", "write", desk)
    before = windows.run("stores", "read", desk)
    with local_system(), CertOpenStore(CERT_STORE_PROV_FILENAME, 0, None, 0, desk / "store.sst") as opened:
        saved = CertSaveStore(opened, 1, CERT_STORE_SAVE_AS_STORE, CERT_STORE_SAVE_TO_MEMORY)
    (desk / "store.sst").write_bytes(saved)
    assert sorted(windows.run("stores", "read", desk).splitlines()) == sorted(before.splitlines())
    assert len(before.splitlines()) == len(certificates)


def test_a_pkcs7_and_a_plain_serialized_store_of_ours_open_in_windows(windows, desk, certificates, store):  # noqa: F811
    for der in certificates:
        CertAddEncodedCertificateToStore(store, 1, der, CERT_STORE_ADD_NEW)
    for form, name in ((CERT_STORE_SAVE_AS_PKCS7, "ours.p7b"), (CERT_STORE_SAVE_AS_STORE, "ours.sst")):
        CertSaveStore(store, 1, form, CERT_STORE_SAVE_TO_FILENAME_W, desk / name)
        found = {text.partition("|")[0] for text in windows.run("stores", "list", desk, name).splitlines()}
        assert found == {hashlib.sha1(der).hexdigest() for der in certificates}


def test_the_link_of_a_propagated_certificate_reaches_windows_whole(windows, desk):  # noqa: F811
    with local_system() as system:
        system.insert(virtual_piv())
        system.propagate()
        with system.store("My") as my:
            links = {c.sha1.hex(): c.key_prov_info.container_name for c in my}
        with CertOpenStore("System", 0, None, 0x10000, "My") as opened:
            for context in opened:
                for number in NEWER_THAN_WINE:
                    CertSetCertificateContextProperty(context, number, 0, None)
            saved = CertSaveStore(opened, 1, CERT_STORE_SAVE_AS_STORE, CERT_STORE_SAVE_TO_MEMORY)
    (desk / "store.sst").write_bytes(saved)
    rows = [text.split("|") for text in windows.run("stores", "read", desk).splitlines()]
    assert {row[0]: row[1] for row in rows} == links


def _fill(store, certificates):
    for number, der in enumerate(certificates):
        context = CertAddEncodedCertificateToStore(store, 1, der, CERT_STORE_ADD_NEW)
        CertSetCertificateContextProperty(context, CERT_KEY_PROV_INFO_PROP_ID, 0, link(number))
        CertSetCertificateContextProperty(context, CERT_FRIENDLY_NAME_PROP_ID, 0, f"certificate \u00fc {number}")
