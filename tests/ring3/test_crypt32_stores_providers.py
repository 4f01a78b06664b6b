"""Every store provider by its row: what it takes, what it refuses, and what the open flags do to it."""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

import io
import os

import certs
import crls
import pytest
from storefaces import A, B, C, add, code_of, crls_of, ders, memory

from calais.testing import local_system
from calais.winapi.crypt32 import *

CRL = crls.make()
USER, MACHINE = CERT_SYSTEM_STORE_CURRENT_USER, CERT_SYSTEM_STORE_LOCAL_MACHINE
COMMIT, READONLY = CERT_FILE_STORE_COMMIT_ENABLE_FLAG, CERT_STORE_READONLY_FLAG
CREATE_NEW, OPEN_EXISTING, DELETE = CERT_STORE_CREATE_NEW_FLAG, CERT_STORE_OPEN_EXISTING_FLAG, CERT_STORE_DELETE_FLAG


@pytest.fixture(autouse=True)
def system():
    with local_system() as made:
        yield made


def saved(save_as, *items):
    store = memory(*items)
    CertAddEncodedCRLToStore(store, 1, CRL, CERT_STORE_ADD_ALWAYS)
    return CertSaveStore(store, 1, save_as, CERT_STORE_SAVE_TO_MEMORY)


def opened(provider, para=None, flags=0):
    return CertOpenStore(provider, 0, None, flags, para)


STORE, MESSAGE, PFX = (saved(each, A, B) for each in (1, 2, 3))


# --- refused and made from bytes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", [0, 1, 15, 16, 18, "SmartCard", "Ldap", "Msg", "", None, -1])
@pytest.mark.parametrize("flags", [0, DELETE, USER])
def test_providers_that_are_not_here_are_not_found(provider, flags):
    assert code_of(opened, provider, "My", flags) == ERROR_FILE_NOT_FOUND


@pytest.mark.parametrize("flags", [0, OPEN_EXISTING, READONLY, CREATE_NEW])
def test_a_memory_store_is_new_and_writable_whatever_the_flags(flags):
    store = opened(CERT_STORE_PROV_MEMORY, None, flags)
    add(store, A)
    assert ders(store) == [A]
    assert ders(opened(CERT_STORE_PROV_MEMORY, None, flags)) == []


@pytest.mark.parametrize(
    ("provider", "data", "has_crl"),
    [
        (CERT_STORE_PROV_SERIALIZED, STORE, True),
        ("serialized", STORE, True),
        (CERT_STORE_PROV_PKCS7, MESSAGE, True),
        ("PKCS7", MESSAGE, True),
        (CERT_STORE_PROV_PKCS12, PFX, False),
        ("pkcs12", PFX, False),
    ],
    ids=["serialized", "serialized-name", "pkcs7", "pkcs7-name", "pkcs12", "pkcs12-name"],
)
def test_stores_are_made_from_bytes(provider, data, has_crl):
    store = opened(provider, data)
    assert sorted(ders(store)) == sorted([A, B])
    assert crls_of(store) == ([CRL] if has_crl else [])
    add(store, C)
    assert C in ders(store)
    assert sorted(ders(opened(provider, bytearray(data)))) == sorted([A, B])


@pytest.mark.parametrize("provider", [2, 5, 6, 11, 17])
def test_nothing_behind_a_store_can_be_deleted(provider):
    data = {5: MESSAGE, 6: STORE, 17: PFX}.get(provider)
    assert code_of(opened, provider, data, DELETE) == ERROR_CALL_NOT_IMPLEMENTED


@pytest.mark.parametrize("provider", [5, 6, 17])
@pytest.mark.parametrize("para", [None, "text", 5], ids=["none", "text", "number"])
def test_bytes_have_to_be_bytes(provider, para):
    assert code_of(opened, provider, para) == E_INVALIDARG


@pytest.mark.parametrize(
    ("provider", "data", "code"),
    [
        (6, b"", ERROR_INVALID_DATA),
        (6, MESSAGE, ERROR_INVALID_DATA),
        (6, STORE[:40], ERROR_INVALID_DATA),
        (5, STORE, CRYPT_E_ASN1_BADTAG),
        (5, A, CRYPT_E_ASN1_BADTAG),
        (
            5,
            certs.tlv(0x30, bytes.fromhex("06092a864886f70d010701"), certs.tlv(0xA0, b"\x04\0")),
            CRYPT_E_INVALID_MSG_TYPE,
        ),
        (17, MESSAGE, CRYPT_E_ASN1_BADTAG),
    ],
    ids=["none", "message", "cut", "store", "certificate", "data", "no-pfx"],
)
def test_other_bytes_have_a_code(provider, data, code):
    assert code_of(opened, provider, data) == code


def test_a_pfx_opens_under_no_or_an_empty_password_only():
    for password in (None, ""):
        blob = CertSaveStore(memory(A), 1, CERT_STORE_SAVE_AS_PKCS12, CERT_STORE_SAVE_TO_MEMORY, (None, password))
        assert ders(opened(CERT_STORE_PROV_PKCS12, blob)) == [A]
    blob = CertSaveStore(memory(A), 1, CERT_STORE_SAVE_AS_PKCS12, CERT_STORE_SAVE_TO_MEMORY, (None, "secret"))
    assert code_of(opened, CERT_STORE_PROV_PKCS12, blob) == ERROR_INVALID_PASSWORD


# --- open files -------------------------------------------------------------------------------------------------------


def test_a_file_object_is_a_serialized_store_or_empty():
    assert ders(opened(CERT_STORE_PROV_FILE, io.BytesIO())) == []
    assert ders(opened(CERT_STORE_PROV_FILE, io.BytesIO(STORE))) == [B, A]
    assert code_of(opened, CERT_STORE_PROV_FILE, io.BytesIO(A)) == ERROR_INVALID_DATA


@pytest.mark.parametrize("para", [None, 7, "path", io.StringIO()], ids=["none", "number", "path", "text"])
def test_a_file_object_is_needed(para):
    assert code_of(opened, CERT_STORE_PROV_FILE, para) == ERROR_INVALID_HANDLE


def test_a_closed_file_is_no_handle():
    file = io.BytesIO()
    file.close()
    assert code_of(opened, CERT_STORE_PROV_FILE, file) == ERROR_INVALID_HANDLE


@pytest.mark.parametrize("flags", [DELETE, COMMIT | READONLY], ids=["delete", "commit-readonly"])
def test_a_file_object_is_not_deleted_and_not_both(flags):
    assert code_of(opened, CERT_STORE_PROV_FILE, io.BytesIO(), flags) == E_INVALIDARG


def test_a_file_is_written_at_commit_and_at_close_but_only_where_that_is_enabled(tmp_path):
    with (tmp_path / "store").open("w+b") as file:
        with opened(CERT_STORE_PROV_FILE, file) as store:
            add(store, A)
        assert ders(opened(CERT_STORE_PROV_FILE, file)) == []
        store = opened(CERT_STORE_PROV_FILE, file, COMMIT)
        add(store, A)
        assert ders(opened(CERT_STORE_PROV_FILE, file)) == []
        CertControlStore(store, 0, CERT_STORE_CTRL_COMMIT)
        assert ders(opened(CERT_STORE_PROV_FILE, file)) == [A]
        add(store, A)
        CertAddEncodedCRLToStore(store, 1, CRL, CERT_STORE_ADD_ALWAYS)
        CertCloseStore(store)
        again = opened(CERT_STORE_PROV_FILE, file)
        assert (ders(again), crls_of(again)) == ([A, A], [CRL])


def test_a_file_shrinks_when_its_store_does():
    file = io.BytesIO(STORE)
    with opened(CERT_STORE_PROV_FILE, file, COMMIT) as store:
        for context in store:
            CertDeleteCertificateFromStore(CertDuplicateCertificateContext(context))
    assert ders(opened(CERT_STORE_PROV_FILE, file)) == []
    assert crls_of(opened(CERT_STORE_PROV_FILE, file)) == [CRL]


def test_what_nobody_changed_is_not_written_unless_forced():
    padded = STORE + b"left behind"
    file = io.BytesIO(padded)
    store = opened(CERT_STORE_PROV_FILE, file, COMMIT)
    CertGetCertificateContextProperty(next(iter(store)), CERT_SHA256_HASH_PROP_ID)
    CertControlStore(store, 0, CERT_STORE_CTRL_COMMIT)
    assert file.getvalue() == padded
    CertControlStore(store, CERT_STORE_CTRL_COMMIT_FORCE_FLAG, CERT_STORE_CTRL_COMMIT)
    assert file.getvalue() != padded


def test_changes_can_be_dropped():
    file = io.BytesIO(STORE)
    store = opened(CERT_STORE_PROV_FILE, file, COMMIT)
    add(store, C)
    CertControlStore(store, CERT_STORE_CTRL_COMMIT_CLEAR_FLAG, CERT_STORE_CTRL_COMMIT)
    CertCloseStore(store)
    assert file.getvalue() == STORE


def test_a_file_that_cannot_be_written_says_so_at_close(tmp_path):
    (tmp_path / "store").write_bytes(STORE)
    with (tmp_path / "store").open("rb") as file:
        store = opened(CERT_STORE_PROV_FILE, file, COMMIT)
        add(store, C)
        assert code_of(CertCloseStore, store) == E_ACCESSDENIED
        assert code_of(CertCloseStore, store) == ERROR_INVALID_PARAMETER


# --- files by path ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", [CERT_STORE_PROV_FILENAME_A, CERT_STORE_PROV_FILENAME_W, "File", "FILE"])
@pytest.mark.parametrize("as_path", [str, bytes.__class__ and (lambda path: path)], ids=["str", "path-like"])
def test_a_file_is_opened_by_its_path(tmp_path, provider, as_path):
    (tmp_path / "x").write_bytes(STORE)
    assert ders(opened(provider, as_path(tmp_path / "x"))) == [B, A]


@pytest.mark.parametrize(
    ("data", "found"), [(STORE, 2), (MESSAGE, 2), (A, 1), (b"", 0)], ids=["store", "message", "one", "empty"]
)
def test_the_content_says_what_it_is_not_the_name(tmp_path, data, found):
    (tmp_path / "x.txt").write_bytes(data)
    assert len(ders(opened(CERT_STORE_PROV_FILENAME, tmp_path / "x.txt"))) == found


@pytest.mark.parametrize(
    ("para", "flags", "code"),
    [
        (None, 0, ERROR_PATH_NOT_FOUND),
        ("", 0, ERROR_PATH_NOT_FOUND),
        (5, 0, E_INVALIDARG),
        ("a\0b", 0, ERROR_INVALID_NAME),
        ("none", OPEN_EXISTING, ERROR_FILE_NOT_FOUND),
        ("none", DELETE, ERROR_FILE_NOT_FOUND),
        ("none/none", COMMIT, ERROR_FILE_NOT_FOUND),
        ("none", OPEN_EXISTING | CREATE_NEW, E_INVALIDARG),
        ("none", COMMIT | READONLY, E_INVALIDARG),
        (".", 0, E_ACCESSDENIED),
    ],
    ids=["none", "empty", "number", "nul", "existing", "delete", "folder", "both", "readonly", "directory"],
)
def test_a_path_that_does_not_do_has_a_code(tmp_path, monkeypatch, para, flags, code):
    monkeypatch.chdir(tmp_path)
    assert code_of(opened, CERT_STORE_PROV_FILENAME, para, flags) == code
    assert list(tmp_path.iterdir()) == []


def test_create_new_wants_no_file_and_makes_one(tmp_path):
    path = tmp_path / "x"
    assert ders(opened(CERT_STORE_PROV_FILENAME, path, CREATE_NEW)) == []
    assert path.read_bytes() == b""
    assert code_of(opened, CERT_STORE_PROV_FILENAME, path, CREATE_NEW) == ERROR_FILE_EXISTS


def test_a_file_nobody_knows_and_a_pipe_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"no certificates at all")
    os.mkfifo(tmp_path / "pipe")
    assert code_of(opened, CERT_STORE_PROV_FILENAME, tmp_path / "x") == CRYPT_E_NO_MATCH
    assert code_of(opened, CERT_STORE_PROV_FILENAME, tmp_path / "pipe") == E_ACCESSDENIED


@pytest.mark.parametrize(
    ("name", "before", "begins"),
    [
        ("x.sst", None, b"\0\0\0\0CERT"),
        ("x.p7b", None, b"\x30"),
        ("x.SPC", b"", b"\x30"),
        ("x", MESSAGE, b"\x30"),
        ("x.p7b", STORE, b"\0\0\0\0CERT"),
    ],
    ids=["new", "new-p7b", "empty-spc", "message", "store-in-p7b"],
)
def test_a_file_keeps_its_format_and_a_new_one_has_that_of_its_name(tmp_path, name, before, begins):
    path = tmp_path / name
    if before is not None:
        path.write_bytes(before)
    with opened(CERT_STORE_PROV_FILENAME, path, COMMIT) as store:
        add(store, C)
    assert path.read_bytes().startswith(begins)
    assert C in ders(opened(CERT_STORE_PROV_FILENAME, path))


def test_a_bare_certificate_is_not_turned_into_a_store(tmp_path):
    (tmp_path / "x.cer").write_bytes(A)
    assert code_of(opened, CERT_STORE_PROV_FILENAME, tmp_path / "x.cer", COMMIT) == E_ACCESSDENIED


def test_writing_keeps_the_mode_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(STORE)
    path.chmod(0o640)
    with opened(CERT_STORE_PROV_FILENAME, path, COMMIT) as store:
        add(store, C)
    assert (path.stat().st_mode & 0o777, [each.name for each in tmp_path.iterdir()]) == (0o640, ["x"])


def test_delete_takes_the_file_away(tmp_path):
    (tmp_path / "x").write_bytes(STORE)
    assert opened(CERT_STORE_PROV_FILENAME, tmp_path / "x", DELETE) is None
    assert not (tmp_path / "x").exists()


def test_what_another_program_added_meanwhile_is_not_lost(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(STORE)
    first, second = (opened(CERT_STORE_PROV_FILENAME, path, COMMIT) for _ in range(2))
    add(first, C)
    CertDeleteCertificateFromStore(CertFindCertificateInStore(second, 1, 0, CERT_FIND_SUBJECT_STR, "Alice"))
    first.close()
    second.close()
    assert sorted(ders(opened(CERT_STORE_PROV_FILENAME, path))) == sorted([B, C])


def test_a_file_that_was_deleted_meanwhile_is_written_anew(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(STORE)
    store = opened(CERT_STORE_PROV_FILENAME, path, COMMIT)
    path.unlink()
    assert code_of(CertControlStore, store, 0, CERT_STORE_CTRL_RESYNC) == ERROR_FILE_NOT_FOUND
    add(store, C)
    store.close()
    assert ders(opened(CERT_STORE_PROV_FILENAME, path)) == [C, B, A]


# --- keys of the registry ---------------------------------------------------------------------------------------------


def key_name(der, folder="Certificates"):
    return f"{folder}\\{certs.hashlib.sha1(der).hexdigest().upper()}"


def element(der):
    return CertSerializeCertificateStoreElement(CertCreateCertificateContext(1, der))


def test_a_key_is_written_at_commit_and_at_close():
    key = {}
    store = opened(CERT_STORE_PROV_REG, key)
    add(store, A)
    assert key == {}
    CertControlStore(store, 0, CERT_STORE_CTRL_COMMIT)
    assert list(key) == [key_name(A)]
    CertAddEncodedCRLToStore(store, 1, CRL, CERT_STORE_ADD_ALWAYS)
    CertDeleteCertificateFromStore(CertEnumCertificatesInStore(store))
    CertCloseStore(store)
    assert list(key) == [key_name(CRL, "CRLs")]
    assert crls_of(opened(CERT_STORE_PROV_REG, key)) == [CRL]


def test_an_entry_is_one_element_with_its_hash_stored():
    key = {}
    with opened(CERT_STORE_PROV_REG, key) as store:
        add(store, A)
        assert CertEnumCertificateContextProperties(next(iter(store))) == CERT_SHA1_HASH_PROP_ID
    _, context = CertAddSerializedElementToStore(None, key[key_name(A)], CERT_STORE_ADD_ALWAYS)
    assert context.encoded == A
    assert CertEnumCertificateContextProperties(context) == CERT_SHA1_HASH_PROP_ID


def test_of_equal_certificates_the_last_one_is_saved():
    key = {}
    with opened(CERT_STORE_PROV_REG, key) as store:
        add(store, A)
        second = CertAddEncodedCertificateToStore(store, 1, A, CERT_STORE_ADD_ALWAYS)
        CertSetCertificateContextProperty(second, CERT_FRIENDLY_NAME_PROP_ID, 0, "second")
        assert ders(store) == [A, A]
    (context,) = opened(CERT_STORE_PROV_REG, key)
    assert CertGetCertificateContextProperty(context, CERT_FRIENDLY_NAME_PROP_ID) == "second"


def test_a_stored_hash_is_believed_and_the_name_is_not():
    context = CertCreateCertificateContext(1, A)
    CertSetCertificateContextProperty(context, CERT_SHA1_HASH_PROP_ID, 0, b"\x11" * 20)
    key = {"certificates\\" + "00" * 20: CertSerializeCertificateStoreElement(context)}
    store = opened(CERT_STORE_PROV_REG, key)
    assert CertFindCertificateInStore(store, 1, 0, CERT_FIND_SHA1_HASH, b"\x11" * 20).encoded == A
    assert CertFindCertificateInStore(store, 1, 0, CERT_FIND_SHA1_HASH, bytes(20)) is None
    CertControlStore(store, CERT_STORE_CTRL_COMMIT_FORCE_FLAG, CERT_STORE_CTRL_COMMIT)
    assert list(key) == ["Certificates\\" + "11" * 20]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Certificates\\" + "AB" * 20, b"rubbish"),
        ("Certificates\\" + "AB" * 20, b""),
        ("CRLs\\" + "AB" * 20, element(A)),
        ("Other\\" + "AB" * 20, element(A)),
        ("Certificates", element(A)),
        ("Certificates\\" + "AB" * 20, "text"),
    ],
    ids=["rubbish", "empty", "wrong-folder", "other-folder", "no-folder", "text"],
)
def test_what_nobody_can_read_is_passed_over_and_left_alone(name, value):
    key = {name: value}
    with opened(CERT_STORE_PROV_REG, key) as store:
        assert (ders(store), crls_of(store)) == ([], [])
        add(store, B)
    assert key.pop(name) == value
    assert list(key) == [key_name(B)]


def test_delete_takes_the_entries_and_leaves_the_key():
    key = {key_name(A): element(A), "Other": b"x", key_name(CRL, "CRLs"): b"y"}
    assert opened(CERT_STORE_PROV_REG, key, DELETE) is None
    assert key == {"Other": b"x"}


@pytest.mark.parametrize("para", [None, 5, b"", ()], ids=["none", "number", "bytes", "tuple"])
def test_a_key_is_a_mapping(para):
    assert code_of(opened, CERT_STORE_PROV_REG, para) == ERROR_INVALID_HANDLE


# --- flags that every store knows -------------------------------------------------------------------------------------


def stores_of_a(tmp_path, flags):
    """Every kind of store that can be read only, with A in it."""
    (tmp_path / "x").write_bytes(STORE)
    add(CertOpenSystemStore(None, "My"), A)
    yield opened(CERT_STORE_PROV_FILE, io.BytesIO(STORE), flags)
    yield opened(CERT_STORE_PROV_FILENAME, tmp_path / "x", flags)
    yield opened(CERT_STORE_PROV_REG, {key_name(A): element(A)}, flags)
    yield opened(CERT_STORE_PROV_SYSTEM, "My", flags | USER)
    yield opened(CERT_STORE_PROV_SYSTEM_REGISTRY, "My", flags | USER)
    yield opened(CERT_STORE_PROV_PHYSICAL, "My\\.Default", flags | USER)


def test_read_only_refuses_every_change_that_would_be_kept(tmp_path):
    for store in stores_of_a(tmp_path, READONLY):
        context = CertFindCertificateInStore(store, 1, 0, CERT_FIND_SUBJECT_STR, "Alice")
        assert code_of(add, store, C) == E_ACCESSDENIED
        assert code_of(CertAddEncodedCRLToStore, store, 1, crls.make("Other"), 1) == E_ACCESSDENIED
        assert code_of(CertSetCertificateContextProperty, context, 11, 0, "name") == E_ACCESSDENIED
        CertSetCertificateContextProperty(context, 11, CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG, "name")
        assert code_of(CertDeleteCertificateFromStore, CertDuplicateCertificateContext(context)) == E_ACCESSDENIED
        assert CertGetStoreProperty(store, CERT_ACCESS_STATE_PROP_ID) & CERT_ACCESS_STATE_WRITE_PERSIST_FLAG == 0
        assert A in ders(store)


def test_archived_ones_are_shown_on_request(tmp_path):
    for flags, expected in ((0, False), (CERT_STORE_ENUM_ARCHIVED_FLAG, True)):
        for store in stores_of_a(tmp_path, flags):
            context = CertFindCertificateInStore(store, 1, 0, CERT_FIND_SUBJECT_STR, "Alice")
            if context is not None:
                CertSetCertificateContextProperty(context, CERT_ARCHIVED_PROP_ID, 0, b"")
            assert (A in ders(store)) is expected
            found = CertFindCertificateInStore(store, 1, 0, CERT_FIND_SUBJECT_STR, "Alice")
            assert (found is not None) is expected


def test_key_identifiers_are_stored_at_opening_on_request(tmp_path):
    for flags, expected in ((0, False), (CERT_STORE_UPDATE_KEYID_FLAG, True)):
        for store in stores_of_a(tmp_path, flags):
            context = CertFindCertificateInStore(store, 1, 0, CERT_FIND_SUBJECT_STR, "Alice")
            assert (20 in listed(context)) is expected


def listed(context):
    found = [CertEnumCertificateContextProperties(context)]
    while found[-1]:
        found.append(CertEnumCertificateContextProperties(context, found[-1]))
    return found[:-1]


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        (CERT_STORE_PROV_SYSTEM, "My"),
        (CERT_STORE_PROV_SYSTEM_REGISTRY, "New"),
        (CERT_STORE_PROV_PHYSICAL, "Root\\.Default"),
    ],
)
def test_a_localized_name_is_set_on_request(provider, name):
    store = opened(provider, name, USER | CERT_STORE_SET_LOCALIZED_NAME_FLAG)
    assert CertGetStoreProperty(store, CERT_STORE_LOCALIZED_NAME_PROP_ID) == name
    assert (
        code_of(CertGetStoreProperty, opened(provider, name, USER), CERT_STORE_LOCALIZED_NAME_PROP_ID)
        == CRYPT_E_NOT_FOUND
    )


@pytest.mark.parametrize("flag", [0x1, 0x4, 0x20, 0x40, 0x80, 0x100, 0x800, 0x20000000, 0x40000000])
def test_flags_without_effect_are_accepted_everywhere(tmp_path, flag):
    for store in stores_of_a(tmp_path, flag):
        add(store, C)
        assert C in ders(store)
