"""Every provider and every open flag of CertOpenStore, tried from outside."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime

import pytest
from blackstore import certificate, crl, element, fails, serialized, sha1, signed_data, text
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12

from calais.testing import local_system
from calais.winapi import crypt32 as c

ONE, TWO = certificate("One", serial=1), certificate("Two", serial=2)
CU, LM = c.CERT_SYSTEM_STORE_CURRENT_USER, c.CERT_SYSTEM_STORE_LOCAL_MACHINE
MUST_EXIST, CREATE, DELETE, READONLY = 0x4000, 0x2000, 0x10, 0x8000
COMMIT = c.CERT_FILE_STORE_COMMIT_ENABLE_FLAG


@pytest.fixture
def system():
    with local_system() as made:
        yield made


def memory():
    return c.CertOpenStore(c.CERT_STORE_PROV_MEMORY)


def held(store):
    return [context.encoded for context in store]


def add(store, encoded=ONE, how=c.CERT_STORE_ADD_ALWAYS):
    return c.CertAddEncodedCertificateToStore(store, 1, encoded, how)


# --- providers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", [0, None, 1, "Msg", 15, "SmartCard", 16, "ldap", 18, 99, 0xFFFF, "", "Nobody"])
def test_a_provider_nobody_knows_is_not_found(system, provider):
    with fails(c.ERROR_FILE_NOT_FOUND):
        c.CertOpenStore(provider, 0, None, CU, "My")


@pytest.mark.parametrize("provider", [2, "Memory", "MEMORY", "memory"])
@pytest.mark.parametrize("flag", [0, MUST_EXIST, READONLY, CREATE])
def test_a_memory_store_is_new_and_writable_whatever_is_asked(provider, flag):
    with c.CertOpenStore(provider, 0, None, flag, None) as store:
        assert isinstance(store, c.HCERTSTORE)
        assert held(store) == []
        add(store)
        assert held(store) == [ONE]


@pytest.mark.parametrize("provider", [2, "Memory", 6, "Serialized", 11, "Collection"])
def test_what_has_no_backing_cannot_be_deleted(provider):
    with fails(c.ERROR_CALL_NOT_IMPLEMENTED):
        c.CertOpenStore(provider, 0, None, DELETE, serialized())


@pytest.mark.parametrize("content", [b"", serialized(element(ONE), element(TWO))], ids=["empty", "two"])
def test_a_file_store_reads_an_open_file(content):
    store = c.CertOpenStore(c.CERT_STORE_PROV_FILE, 0, None, 0, io.BytesIO(content))
    assert sorted(held(store)) == (sorted([ONE, TWO]) if content else [])


def test_a_file_store_wants_a_file_and_no_contradiction(tmp_path):
    with fails(c.ERROR_INVALID_HANDLE):
        c.CertOpenStore(c.CERT_STORE_PROV_FILE, 0, None, 0, None)
    for flags in (DELETE, COMMIT | READONLY):
        with fails(c.E_INVALIDARG):
            c.CertOpenStore(c.CERT_STORE_PROV_FILE, 0, None, flags, io.BytesIO())


def test_a_file_store_writes_at_close_only_when_it_may(tmp_path):
    path = tmp_path / "a.sst"
    for flags, expected in ((0, b""), (COMMIT, serialized(element(ONE)))):
        path.write_bytes(b"")
        with path.open("r+b") as file:
            store = c.CertOpenStore(c.CERT_STORE_PROV_FILE, 0, None, flags, file)
            add(store)
            file.flush()
            assert path.read_bytes() == b""
            c.CertCloseStore(store)
            file.flush()
        assert path.read_bytes() == expected


def test_a_mapping_is_a_registry_key():
    key = {}
    store = c.CertOpenStore(c.CERT_STORE_PROV_REG, 0, None, 0, key)
    add(store)
    c.CertAddEncodedCRLToStore(store, 1, crl(), c.CERT_STORE_ADD_ALWAYS)
    assert key == {}
    c.CertCloseStore(store)
    stored = {3: sha1(ONE)}
    entry, other = f"Certificates\\{sha1(ONE).hex().upper()}", f"CRLs\\{sha1(crl()).hex().upper()}"
    assert set(key) == {entry, other}
    assert key[entry] == element(ONE, stored)
    again = c.CertOpenStore(c.CERT_STORE_PROV_REG, 0, None, 0, key)
    assert held(again) == [ONE]
    assert c.CertEnumCRLsInStore(again).encoded == crl()
    key["Something\\else"] = b"kept"
    assert c.CertOpenStore(c.CERT_STORE_PROV_REG, 0, None, DELETE, key) is None
    assert entry not in key
    assert other not in key


def test_a_registry_store_wants_a_key():
    with fails(c.ERROR_INVALID_HANDLE):
        c.CertOpenStore(c.CERT_STORE_PROV_REG, 0, None, 0, None)


def test_a_stored_hash_decides_in_a_registry_store_where_the_name_is_wrong():
    key = {"Certificates\\" + "AB" * 20: element(ONE, {3: b"x" * 20}), "Certificates\\" + "CD" * 20: element(TWO)}
    store = c.CertOpenStore(c.CERT_STORE_PROV_REG, 0, None, 0, key)
    assert sorted(held(store)) == sorted([ONE, TWO])
    assert c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, b"x" * 20).encoded == ONE
    assert c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, bytes.fromhex("AB" * 20)) is None


@pytest.mark.parametrize("provider", [5, "PKCS7", "pkcs7"])
@pytest.mark.parametrize("bare", [False, True], ids=["wrapped", "bare"])
@pytest.mark.parametrize("encoding", [0, 1, 0x10001, 77])
def test_a_pkcs7_store_holds_the_certificates_and_crls(provider, bare, encoding):
    store = c.CertOpenStore(provider, encoding, None, 0, signed_data((ONE, TWO), (crl(),), bare=bare))
    assert sorted(held(store)) == sorted([ONE, TWO])
    assert c.CertEnumCRLsInStore(store).encoded == crl()


def test_a_pkcs7_store_refuses_what_is_not_signed_data():
    other = signed_data((ONE,)).replace(bytes.fromhex("2a864886f70d010702"), bytes.fromhex("2a864886f70d010703"))
    with fails(c.CRYPT_E_INVALID_MSG_TYPE):
        c.CertOpenStore("PKCS7", 0, None, 0, other)
    for bad in (b"\x04\x03abc", b"no", ONE):
        with fails(c.CRYPT_E_ASN1_BADTAG):
            c.CertOpenStore("PKCS7", 0, None, 0, bad)


@pytest.mark.parametrize("provider", [6, "Serialized"])
def test_a_serialized_store_keeps_properties(provider):
    store = c.CertOpenStore(provider, 0, None, 0, serialized(element(ONE, {11: text("Friend")})))
    (context,) = list(store)
    assert c.CertGetCertificateContextProperty(context, 11) == "Friend"
    with fails(c.ERROR_INVALID_DATA):
        c.CertOpenStore(provider, 0, None, 0, b"\0\0\0\0TREC" + bytes(12))


FORMS = {
    "serialized": serialized(element(ONE)),
    "pkcs7": signed_data((ONE,)),
    "certificate": ONE,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrap", ["raw", "base64", "base64-utf16", "pem"])
@pytest.mark.parametrize("provider", [7, 8, "File"])
def test_the_content_of_a_named_file_is_sniffed(tmp_path, form, wrap, provider):
    body = FORMS[form]
    lines = base64.encodebytes(body)
    content = {
        "raw": body,
        "base64": lines,
        "base64-utf16": lines.decode().encode("utf-16-le"),
        "pem": b"-----BEGIN CERTIFICATE-----\r\n" + lines + b"-----END CERTIFICATE-----\r\n",
    }[wrap]
    (tmp_path / "f").write_bytes(content)
    assert held(c.CertOpenStore(provider, 0, None, MUST_EXIST | READONLY, tmp_path / "f")) == [ONE]
    assert held(c.CertOpenStore(provider, 0, None, MUST_EXIST, str(tmp_path / "f"))) == [ONE]


def test_a_named_file_has_its_own_refusals(tmp_path):
    with fails(c.ERROR_PATH_NOT_FOUND):
        c.CertOpenStore(8, 0, None, 0, None)
    with fails(c.E_INVALIDARG):
        c.CertOpenStore(8, 0, None, MUST_EXIST | CREATE, str(tmp_path / "f"))
    with fails(c.ERROR_FILE_NOT_FOUND):
        c.CertOpenStore(8, 0, None, MUST_EXIST, str(tmp_path / "f"))
    (tmp_path / "there").write_bytes(b"")
    with fails(c.ERROR_FILE_EXISTS):
        c.CertOpenStore(8, 0, None, CREATE, str(tmp_path / "there"))


def test_a_named_file_is_written_at_close_and_deleted_when_asked(tmp_path):
    path = tmp_path / "new.sst"
    with c.CertOpenStore(8, 0, None, COMMIT | CREATE, path) as store:
        add(store)
    assert path.read_bytes() == serialized(element(ONE))
    with c.CertOpenStore(8, 0, None, COMMIT | MUST_EXIST, path) as store:
        add(store, TWO)
    assert path.read_bytes() == serialized(element(ONE), element(TWO))
    assert c.CertOpenStore(8, 0, None, DELETE, path) is None
    assert not path.exists()


@pytest.mark.parametrize("provider", [9, 10, "System", "SYSTEM"])
def test_a_system_store_is_a_collection_of_physical_stores(system, provider):
    store = c.CertOpenStore(provider, 0, None, CU, "Root")
    add(c.CertOpenStore(14, 0, None, LM, "Root\\.Default"), TWO)
    c.CertControlStore(store, 0, c.CERT_STORE_CTRL_RESYNC)
    add(store)
    assert sorted(held(store)) == sorted([ONE, TWO])
    with fails(c.E_INVALIDARG):
        c.CertAddCertificateLinkToStore(store, next(iter(store)), 4)
    extra = memory()
    add(extra, certificate("Three"))
    c.CertAddStoreToCollection(store, extra, 0, 0)
    assert len(held(store)) == 3


@pytest.mark.parametrize("provider", [12, 13, "SystemRegistry"])
def test_a_system_registry_store_is_the_default_alone(system, provider):
    add(c.CertOpenStore(14, 0, None, LM, "CA\\.Default"), TWO)
    store = c.CertOpenStore(provider, 0, None, CU, "CA")
    assert held(store) == []
    add(store)
    assert held(c.CertOpenStore(14, 0, None, CU, "CA\\.Default")) == [ONE]
    c.CertAddCertificateLinkToStore(store, c.CertCreateCertificateContext(1, TWO), 4)
    with fails(c.E_INVALIDARG):
        c.CertAddStoreToCollection(store, memory(), 1, 0)
    for flags, name in ((CU, None), (0, "CA"), (0x30000, "CA")):
        with fails(c.E_INVALIDARG):
            c.CertOpenStore(provider, 0, None, flags, name)


@pytest.mark.parametrize("provider", [14, "Physical"])
def test_a_physical_store_is_one_member(system, provider):
    root = c.CertOpenStore(provider, 0, None, LM, "Root\\.SmartCard")
    add(root)
    assert held(c.CertOpenStore(10, 0, None, LM, "SmartCardRoot")) == [ONE]
    assert held(c.CertOpenStore(10, 0, None, LM, "Root")) == [ONE]
    assert held(c.CertOpenStore(10, 0, None, CU, "Root")) == [ONE]
    assert held(c.CertOpenStore(14, 0, None, LM, "Root\\.Default")) == []
    for name in ("Root\\.Nothing", "My\\.LocalMachine"):
        with fails(c.ERROR_FILE_NOT_FOUND):
            c.CertOpenStore(provider, 0, None, CU, name)


def _pfx(password):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Pfx")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(5)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    secrecy = BestAvailableEncryption(password) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"f", key, made, None, secrecy)


@pytest.mark.parametrize("provider", [17, "PKCS12"])
def test_a_pfx_without_password_is_a_store_of_certificates(provider):
    (context,) = list(c.CertOpenStore(provider, 0, None, 0, _pfx(None)))
    for absent in (c.CERT_KEY_PROV_INFO_PROP_ID, c.CERT_KEY_CONTEXT_PROP_ID):
        with fails(c.CRYPT_E_NOT_FOUND):
            c.CertGetCertificateContextProperty(context, absent)
    with fails(c.ERROR_INVALID_PASSWORD):
        c.CertOpenStore(provider, 0, None, 0, _pfx(b"secret"))


# --- flags -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", [0x1, 0x4, 0x20, 0x40, 0x80, 0x100, 0x800, 0x1000, 0x20000000, 0x40000000])
def test_a_flag_without_effect_is_accepted(system, flag):
    assert held(c.CertOpenStore(10, 0, None, CU | flag, "My")) == []
    assert held(c.CertOpenStore(2, 0, None, flag)) == []


def test_relocation_is_refused(system):
    with fails(c.E_INVALIDARG):
        c.CertOpenStore(10, 0, None, CU | 0x80000000, "My")


def test_the_localized_name_is_the_name_where_none_is_stored(system):
    store = c.CertOpenStore(10, 0, None, CU | 2, "Trust")
    assert c.CertGetStoreProperty(store, 0x1000) == "Trust"
    with fails(c.CRYPT_E_NOT_FOUND):
        c.CertGetStoreProperty(c.CertOpenStore(10, 0, None, CU, "Trust"), 0x1000)


@pytest.mark.parametrize("provider", [10, 13])
def test_existence_flags_of_a_system_store(system, provider):
    with fails(c.ERROR_FILE_NOT_FOUND):
        c.CertOpenStore(provider, 0, None, CU | MUST_EXIST, "Mine")
    c.CertOpenStore(provider, 0, None, CU | CREATE, "Mine")
    with fails(c.ERROR_FILE_EXISTS):
        c.CertOpenStore(provider, 0, None, CU | CREATE, "mine")
    store = c.CertOpenStore(provider, 0, None, CU | MUST_EXIST, "MINE")
    add(store)
    assert c.CertOpenStore(provider, 0, None, CU | DELETE, "Mine") is None
    with fails(c.ERROR_FILE_NOT_FOUND):
        c.CertOpenStore(provider, 0, None, CU | MUST_EXIST, "Mine")
    with fails(c.ERROR_FILE_NOT_FOUND):
        c.CertOpenStore(provider, 0, None, CU | DELETE, "Mine")


def test_archived_certificates_show_up_when_asked_at_opening(system):
    store = c.CertOpenStore(10, 0, None, CU, "My")
    context = add(store)
    c.CertSetCertificateContextProperty(context, c.CERT_ARCHIVED_PROP_ID, 0, b"")
    assert held(store) == []
    assert c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_ANY) is None
    assert c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, sha1(ONE)) is not None
    everything = c.CertOpenStore(10, 0, None, CU | c.CERT_STORE_ENUM_ARCHIVED_FLAG, "My")
    assert held(everything) == [ONE]
    assert c.CertFindCertificateInStore(everything, 1, 0, c.CERT_FIND_ANY).encoded == ONE
    assert c.CertFindCertificateInStore(everything, 1, 0, c.CERT_FIND_SUBJECT_STR, "one").encoded == ONE


def test_key_identifiers_are_stored_while_opening_when_asked():
    store = c.CertOpenStore(6, 0, None, c.CERT_STORE_UPDATE_KEYID_FLAG, serialized(element(ONE)))
    assert c.CertEnumCertificateContextProperties(next(iter(store))) == c.CERT_KEY_IDENTIFIER_PROP_ID


def _readonly(kind, tmp_path):
    path = tmp_path / "s.sst"
    path.write_bytes(serialized(element(ONE)))
    key = {f"Certificates\\{sha1(ONE).hex().upper()}": element(ONE)}
    add(c.CertOpenStore(10, 0, None, CU, "My"))
    return {
        "file": lambda: c.CertOpenStore(3, 0, None, READONLY, io.BytesIO(path.read_bytes())),
        "filename": lambda: c.CertOpenStore(8, 0, None, READONLY, path),
        "reg": lambda: c.CertOpenStore(4, 0, None, READONLY, key),
        "system": lambda: c.CertOpenStore(10, 0, None, CU | READONLY, "My"),
        "registry": lambda: c.CertOpenStore(13, 0, None, CU | READONLY, "My"),
        "physical": lambda: c.CertOpenStore(14, 0, None, CU | READONLY, "My\\.Default"),
    }[kind]()


@pytest.mark.parametrize("kind", ["file", "filename", "reg", "system", "registry", "physical"])
def test_a_read_only_store_refuses_changes(system, tmp_path, kind):
    store = _readonly(kind, tmp_path)
    context = next(iter(store))
    with fails(c.E_ACCESSDENIED):
        add(store, TWO)
    with fails(c.E_ACCESSDENIED):
        c.CertSetCertificateContextProperty(context, 11, 0, "x")
    for kept in (c.CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG, c.CERT_SET_PROPERTY_IGNORE_PERSIST_ERROR_FLAG):
        c.CertSetCertificateContextProperty(context, 11, kept, "x")
        assert c.CertGetCertificateContextProperty(context, 11) == "x"
    with fails(c.E_ACCESSDENIED):
        c.CertDeleteCertificateFromStore(c.CertDuplicateCertificateContext(context))
    assert held(store) == [ONE]


def test_a_file_that_may_not_be_written_opens_as_far_as_allowed(tmp_path):
    path = tmp_path / "s.sst"
    path.write_bytes(serialized(element(ONE)))
    store = c.CertOpenStore(8, 0, None, c.CERT_STORE_MAXIMUM_ALLOWED_FLAG | READONLY, path)
    assert held(store) == [ONE]
