"""Where system stores are, what they are called and what they are made of."""

from __future__ import annotations

import os
import stat
import struct

import pytest
from blackstore import certificate, code_of, element, fails, serialized, sha1, text

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


# --- locations and names ---------------------------------------------------------------------------------------------

LOCATIONS = {"CU": 1, "LM": 2, "SERVICE": 4, "SERVICES": 5, "USERS": 6, "CUGP": 7, "LMGP": 8, "LME": 9}


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=list(LOCATIONS))
def test_each_location_has_stores_of_its_own(system, location):
    name = "who\\Extra" if location in {5, 6} else "Extra"
    store = c.CertOpenStore(10, 0, None, location << 16, name)
    add(store)
    assert held(c.CertOpenStore(10, 0, None, location << 16 | MUST_EXIST, name)) == [ONE]
    for other in set(LOCATIONS.values()) - {location, 5, 6}:
        seen = {1: {2, 7, 8, 9}, 2: {8, 9}}.get(other, set())
        if location not in seen:
            assert held(c.CertOpenStore(10, 0, None, other << 16, "Extra")) == []


@pytest.mark.parametrize("flags", [0, 0x30000, 0xA0000, 0xFF0000, 0x100000])
def test_a_location_that_is_none_is_not_found(system, flags):
    with fails(c.ERROR_FILE_NOT_FOUND):
        c.CertOpenStore(10, 0, None, flags, "My")


def test_a_system_store_without_name_is_not_found(system):
    with fails(c.ERROR_FILE_NOT_FOUND):
        c.CertOpenStore(10, 0, None, CU, None)


@pytest.mark.parametrize("name", ["", "a\\b", "\\"])
@pytest.mark.parametrize("provider", [10, 13])
def test_a_name_may_not_be_empty_or_have_a_backslash(system, provider, name):
    with fails(c.ERROR_INVALID_NAME):
        c.CertOpenStore(provider, 0, None, CU, name)


@pytest.mark.parametrize("location", [CU, LM])
@pytest.mark.parametrize(
    "name", ["My", "Root", "CA", "Trust", "Disallowed", "TrustedPeople", "AddressBook", "REQUEST", "SmartCardRoot"]
)
def test_the_well_known_stores_always_exist(system, location, name):
    assert held(c.CertOpenStore(10, 0, None, location | MUST_EXIST, name.swapcase())) == []


MEMBERS = {
    (1, "My"): [".Default"],
    (1, "REQUEST"): [".Default"],
    (1, "Root"): [".Default", ".LocalMachine", ".GroupPolicy"],
    (1, "Trust"): [".Default", ".LocalMachine", ".GroupPolicy"],
    (2, "Root"): [".Default", ".AuthRoot", ".GroupPolicy", ".Enterprise", ".SmartCard"],
    (2, "My"): [".Default", ".GroupPolicy", ".Enterprise"],
    (2, "CA"): [".Default", ".GroupPolicy", ".Enterprise"],
    (4, "My"): [".Default"], (5, "x\\My"): [".Default"], (6, "x\\My"): [".Default"], (7, "My"): [".Default"],
    (8, "Root"): [".Default"], (9, "Root"): [".Default"],
}  # fmt: skip


@pytest.mark.parametrize(("where", "members"), MEMBERS.items(), ids=[f"{n}-{s}" for n, s in MEMBERS])
def test_the_composition_of_a_system_store_is_fixed(system, where, members):
    location, name = where
    c.CertOpenStore(10, 0, None, location << 16, name)
    found = c.CertEnumPhysicalStore(name, location << 16)
    assert [info.name for info in found] == members
    assert [info.flags & 1 for info in found] == [1] + [0] * (len(members) - 1)
    priorities = [info.priority for info in found]
    assert priorities == sorted(priorities, reverse=True)
    for index, member in enumerate(members):
        add(c.CertOpenStore(14, 0, None, location << 16, f"{name}\\{member}"), certificate(member, serial=index))
    whole = held(c.CertOpenStore(10, 0, None, location << 16, name))
    assert whole == [certificate(member, serial=index) for index, member in enumerate(members)]


def test_open_system_store_is_the_users_and_creates(system):
    store = c.CertOpenSystemStore(None, "Fresh")
    add(store)
    assert held(c.CertOpenStore(10, 0, None, CU | MUST_EXIST, "Fresh")) == [ONE]
    assert held(c.CertOpenSystemStore(szSubsystemProtocol="FRESH", system=system)) == [ONE]
    with fails(c.E_INVALIDARG):
        c.CertOpenSystemStore()


def test_another_opening_sees_a_change_at_once_and_an_old_one_after_resync(system):
    old = c.CertOpenStore(10, 0, None, CU, "My")
    assert held(old) == []
    add(c.CertOpenStore(10, 0, None, CU, "My"))
    assert held(old) == []
    assert held(c.CertOpenStore(10, 0, None, CU, "My")) == [ONE]
    c.CertControlStore(old, 0, c.CERT_STORE_CTRL_RESYNC)
    assert held(old) == [ONE]


def test_system_store_key_shows_the_default_store_as_a_registry_key(system):
    key = c.system_store_key("My")
    store = c.CertOpenSystemStore(None, "My")
    context = add(store)
    entry = f"Certificates\\{sha1(ONE).hex().upper()}"
    assert list(key) == [entry]
    assert key[entry] == element(ONE, {3: sha1(ONE)})
    c.CertSetCertificateContextProperty(context, 11, 0, "Friend")
    assert key[entry] == element(ONE, {3: sha1(ONE), 11: text("Friend")})
    key[f"Certificates\\{sha1(TWO).hex().upper()}"] = element(TWO, {13: text("Foreign")})
    c.CertControlStore(store, 0, c.CERT_STORE_CTRL_RESYNC)
    found = c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_EXISTING, c.CertCreateCertificateContext(1, TWO))
    assert c.CertGetCertificateContextProperty(found, 13) == "Foreign"
    del key[entry]
    assert held(c.CertOpenSystemStore(None, "My")) == [TWO]
    with pytest.raises(KeyError):
        key[entry]
    assert dict(c.system_store_key("My", LM, system=system)) == {}


def test_the_registry_view_reads_back_through_prov_reg(system):
    add(c.CertOpenSystemStore(None, "CA"))
    assert held(c.CertOpenStore(4, 0, None, 0, dict(c.system_store_key("CA", CU)))) == [ONE]
    live = c.CertOpenStore(4, 0, None, 0, c.system_store_key("CA"))
    add(live, TWO)
    c.CertCloseStore(live)
    assert sorted(held(c.CertOpenSystemStore(None, "CA"))) == sorted([ONE, TWO])


def test_a_foreign_blob_in_the_registry_view_that_is_damaged_harms_nobody_else(system):
    add(c.CertOpenSystemStore(None, "My"))

    def write():
        c.system_store_key("My")["Certificates\\" + "00" * 20] = struct.pack("<III", 32, 1, 0xFFFFFFFF)

    code_of(write)
    assert held(c.CertOpenSystemStore(None, "My")) == [ONE]


def test_an_unwritable_file_is_refused_or_read_only(tmp_path):
    path = tmp_path / "s.sst"
    path.write_bytes(serialized())
    path.chmod(stat.S_IRUSR)
    if os.access(path, os.W_OK):
        return
    with fails(c.E_ACCESSDENIED):
        c.CertOpenStore(8, 0, None, COMMIT, path)
