"""CertFindCertificateInStore: every find type, its parameter, and what it passes over."""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

import hashlib

import certs
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.store.sql import SqlDatabase
from calais.testing import local_system
from calais.win.errors import WinError
from calais.winapi.crypt32 import *

X509 = X509_ASN_ENCODING
KEY, CA_KEY, RSA = certs.ec_key(), certs.ec_key(9), certs.rsa_key()
CA = certs.make("Root CA", key=CA_KEY, serial=1, extensions=[x509.SubjectKeyIdentifier(b"ca key")])
OTHER_CA = certs.make("Root CA", key=certs.ec_key(8), serial=2, extensions=[x509.SubjectKeyIdentifier(b"other")])
ALICE = certs.make(
    "Alice",
    issuer="Root CA",
    signer=CA_KEY,
    serial=0x1234,
    extensions=[
        x509.AuthorityKeyIdentifier(b"ca key", None, None),
        x509.ExtendedKeyUsage([Usage.CLIENT_AUTH, Usage.SMARTCARD_LOGON]),
    ],
)
BOB = certs.make("Bob, the Builder", key=RSA, serial=0x80)
ODD = certs.raw_tbs(subject=certs.raw_name("Ünï"), issuer=certs.raw_name("Nobody"), serial=b"\xfe")
EVERY = (CA, OTHER_CA, ALICE, BOB, ODD)
LINK = CryptKeyProvInfo("c", MS_SCARD_PROV, PROV_RSA_FULL, 1, (), AT_SIGNATURE)
CLIENT, LOGON, EMAIL = "1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.311.20.2.2", "1.3.6.1.5.5.7.3.4"


class System:
    """A system of stores only."""

    def __init__(self, stores):
        self.stores = stores


@pytest.fixture(params=["memory", "system", "on-demand", "collection"])
def store(request, tmp_path):
    stores = SystemStores(MemoryDatabase())
    if request.param == "memory":
        opened = CertOpenStore(CERT_STORE_PROV_MEMORY)
    elif request.param == "collection":
        opened = CertOpenStore(CERT_STORE_PROV_COLLECTION)
        CertAddStoreToCollection(opened, CertOpenStore(CERT_STORE_PROV_MEMORY), 1)
    else:
        database = MemoryDatabase() if request.param == "system" else SqlDatabase(tmp_path / "store.db")
        stores = SystemStores(database, whole=512 if request.param == "system" else 0)
        opened = CertOpenSystemStore(None, "My", system=System(stores))
    for der in EVERY:
        CertFreeCertificateContext(CertAddEncodedCertificateToStore(opened, X509, der, CERT_STORE_ADD_NEW))
    yield opened
    stores.close()


def find(store, find_type, para=None, flags=0):
    """What a run of finds gives, newest first."""
    found, context = [], CertFindCertificateInStore(store, X509, flags, find_type, para)
    while context is not None:
        found.append(context.encoded)
        context = CertFindCertificateInStore(store, X509, flags, find_type, para, context)
    return found


def context_of(store, der):
    return CertFindCertificateInStore(store, X509, 0, CERT_FIND_SHA1_HASH, hashlib.sha1(der).digest())


def info(der):
    return CertCreateCertificateContext(X509, der).info


def hex_of(digest, der):
    return hashlib.new(digest, der).hexdigest().upper()


CN, O = "2.5.4.3", "2.5.4.10"
CASES = {
    "any": (CERT_FIND_ANY, "ignored", [ODD, BOB, ALICE, OTHER_CA, CA]),
    "sha1": (CERT_FIND_SHA1_HASH, hashlib.sha1(ALICE).digest(), [ALICE]),
    "sha1 of nothing": (CERT_FIND_HASH, b"", []),
    "md5": (CERT_FIND_MD5_HASH, hashlib.md5(ALICE).digest(), [ALICE]),
    "signature": (
        CERT_FIND_SIGNATURE_HASH,
        hashlib.sha256(x509.load_der_x509_certificate(BOB).tbs_certificate_bytes).digest(),
        [BOB],
    ),
    "key id by extension": (CERT_FIND_KEY_IDENTIFIER, b"ca key", [CA]),
    "key id by key": (CERT_FIND_KEY_IDENTIFIER, hashlib.sha1(certs.spki(KEY)).digest(), [ALICE]),
    "key md5": (CERT_FIND_PUBKEY_MD5_HASH, hashlib.md5(info(BOB).public_key.public_key).digest(), [BOB]),
    "hash text": (CERT_FIND_HASH_STR, hex_of("sha1", ALICE), [ALICE]),
    "hash text of 64": (CERT_FIND_HASH_STR, hex_of("sha256", ALICE), [ALICE]),
    "hash text as copied": (CERT_FIND_HASH_STR, "\u200e" + hashlib.sha1(ALICE).digest().hex(":") + " \ufeff", [ALICE]),
    "hash text of another length": (CERT_FIND_HASH_STR, "00" * 19, []),
    "hash text that is none": (CERT_FIND_HASH_STR, "'; DROP TABLE certificate; --", []),
    "subject": (CERT_FIND_SUBJECT_NAME, certs.name_der("Alice"), [ALICE]),
    "issuer": (CERT_FIND_ISSUER_NAME, certs.name_der("Root CA"), [ALICE, OTHER_CA, CA]),
    "no name": (CERT_FIND_SUBJECT_NAME, b"", []),
    "attribute": (CERT_FIND_SUBJECT_ATTR, (CertRdnAttr(CN, 0, "Alice"), CertRdnAttr(O, 0, "Calais")), [ALICE]),
    "issuer attribute": (CERT_FIND_ISSUER_ATTR, (CertRdnAttr(CN, 0, "Nobody"),), [ODD]),
    "no attribute": (CERT_FIND_SUBJECT_ATTR, (), [ODD, BOB, ALICE, OTHER_CA, CA]),
    "text": (CERT_FIND_SUBJECT_STR_W, "aLICE", [ALICE]),
    "text across values": (CERT_FIND_SUBJECT_STR_A, "calais, bob", [BOB]),
    "text beyond ASCII": (CERT_FIND_SUBJECT_STR, "ünÏ", [ODD]),
    "keys are no text": (CERT_FIND_SUBJECT_STR, "CN=", []),
    "no text": (CERT_FIND_SUBJECT_STR, None, [ODD, BOB, ALICE, OTHER_CA, CA]),
    "issuer text": (CERT_FIND_ISSUER_STR_W, "root", [ALICE, OTHER_CA, CA]),
    "issuer text, A": (CERT_FIND_ISSUER_STR_A, "nobody", [ODD]),
    "computable property": (CERT_FIND_PROPERTY, CERT_KEY_IDENTIFIER_PROP_ID, [BOB, ALICE, OTHER_CA, CA]),
    "absent property": (CERT_FIND_PROPERTY, CERT_FRIENDLY_NAME_PROP_ID, []),
    "public key": (CERT_FIND_PUBLIC_KEY, info(BOB).public_key, [BOB]),
    "issuer and serial": (CERT_FIND_SUBJECT_CERT, CertInfo(issuer=certs.name_der("Root CA"), serial=0x1234), [ALICE]),
    "negative serial": (CERT_FIND_SUBJECT_CERT, CertInfo(issuer=certs.raw_name("Nobody"), serial=-2), [ODD]),
    "serial like a negative one": (CERT_FIND_SUBJECT_CERT, info(BOB), [BOB]),
    "no issuer": (CERT_FIND_SUBJECT_CERT, CertInfo(serial=0x1234), []),
    "no serial": (CERT_FIND_SUBJECT_CERT, CertInfo(issuer=certs.name_der("Root CA")), []),
    "id by issuer": (CERT_FIND_CERT_ID, (certs.name_der("Root CA"), 2), [OTHER_CA]),
    "id by key": (CERT_FIND_CERT_ID, b"other", [OTHER_CA]),
    "id by hash": (CERT_FIND_CERT_ID, CertHash(hashlib.sha1(CA).digest()), [CA]),
    "issuer of": (CERT_FIND_ISSUER_OF, CertCreateCertificateContext(X509, ALICE), [CA]),
    "issuer of one without key id": (CERT_FIND_ISSUER_OF, CertCreateCertificateContext(X509, CA), [OTHER_CA, CA]),
    "existing": (CERT_FIND_EXISTING, CertCreateCertificateContext(X509, BOB), [BOB]),
    "cross certificates": (CERT_FIND_CROSS_CERT_DIST_POINTS, None, []),
    "subject information": (CERT_FIND_SUBJECT_INFO_ACCESS, None, []),
    "private key": (CERT_FIND_HAS_PRIVATE_KEY, None, []),
    "any usage": (CERT_FIND_ENHKEY_USAGE, None, [ALICE]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_looked_for_is_found(store, name):
    find_type, para, expected = CASES[name]
    assert find(store, find_type, para) == expected


@pytest.mark.parametrize("find_type", [1, 7, 0x10001, 0x20001, 0x160000, 0xFFFF0000, 1 << 40, -1])
def test_an_unknown_find_type_is_refused(store, find_type):
    with pytest.raises(WinError) as caught:
        find(store, find_type, b"")
    assert caught.value.code == E_INVALIDARG


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[1] is not None and name != "any"])
def test_a_parameter_of_another_type_is_refused(store, name):
    with pytest.raises(WinError) as caught:
        find(store, CASES[name][0], 2.5)
    assert caught.value.code == E_INVALIDARG


@pytest.mark.parametrize(
    ("find_type", "para"),
    [
        (CERT_FIND_CERT_ID, (b"", "1")),
        (CERT_FIND_CERT_ID, ()),
        (CERT_FIND_SUBJECT_ATTR, ("CN",)),
        (CERT_FIND_SHA1_HASH, None),
    ],
)
def test_a_parameter_that_is_half_right_is_refused(store, find_type, para):
    with pytest.raises(WinError) as caught:
        find(store, find_type, para)
    assert caught.value.code == E_INVALIDARG


def test_the_previous_context_is_given_back_even_by_a_refused_find(store):
    context = CertEnumCertificatesInStore(store)
    with pytest.raises(WinError):
        CertFindCertificateInStore(store, X509, 0, CERT_FIND_SHA1_HASH, None, context)
    assert context.references == 0


def test_attributes_compare_without_case_when_asked(store):
    wanted = (CertRdnAttr(CN, 0, "ALICE"),)
    assert find(store, CERT_FIND_SUBJECT_ATTR, wanted) == []
    assert find(store, CERT_FIND_SUBJECT_ATTR, wanted, CERT_CASE_INSENSITIVE_IS_RDN_ATTRS_FLAG) == [ALICE]


# --- archived ones ----------------------------------------------------------------------------------------------------

ARCHIVED_TOO = {
    "sha1",
    "md5",
    "signature",
    "key id by extension",
    "key id by key",
    "key md5",
    "hash text",
    "hash text of 64",
    "hash text as copied",
    "issuer and serial",
    "negative serial",
    "serial like a negative one",
    "id by issuer",
    "id by key",
    "id by hash",
    "existing",
}


@pytest.mark.parametrize("name", CASES)
def test_archived_certificates_are_found_by_what_names_them_exactly(store, name):
    find_type, para, expected = CASES[name]
    held = [context_of(store, der) for der in EVERY]
    for context in held:
        CertSetCertificateContextProperty(context, CERT_ARCHIVED_PROP_ID, 0, b"")
    assert find(store, find_type, para) == (expected if name in ARCHIVED_TOO else [])


# --- properties and keys ----------------------------------------------------------------------------------------------


class Handle:
    is_ncrypt = True

    def close(self):
        pass


def test_stored_properties_are_found_and_so_is_what_they_say(store):
    alice, bob, odd = (context_of(store, der) for der in (ALICE, BOB, ODD))
    CertSetCertificateContextProperty(alice, CERT_KEY_PROV_INFO_PROP_ID, 0, LINK)
    CertSetCertificateContextProperty(bob, CERT_NCRYPT_KEY_HANDLE_PROP_ID, 0, Handle())
    CertSetCertificateContextProperty(odd, CERT_KEY_SPEC_PROP_ID, 0, AT_SIGNATURE)
    CertSetCertificateContextProperty(odd, CERT_CROSS_CERT_DIST_POINTS_PROP_ID, 0, b"")
    CertSetCertificateContextProperty(odd, CERT_SUBJECT_INFO_ACCESS_PROP_ID, 0, b"")
    assert find(store, CERT_FIND_HAS_PRIVATE_KEY) == [BOB, ALICE]
    assert find(store, CERT_FIND_KEY_SPEC, AT_SIGNATURE) == [ODD, ALICE]
    assert find(store, CERT_FIND_KEY_SPEC, CERT_NCRYPT_KEY_SPEC) == [BOB]
    assert find(store, CERT_FIND_PROPERTY, CERT_KEY_PROV_INFO_PROP_ID) == [ALICE]
    assert find(store, CERT_FIND_PROPERTY, CERT_KEY_SPEC_PROP_ID) == [ODD, BOB, ALICE]
    assert find(store, CERT_FIND_PROPERTY, CERT_KEY_PROV_HANDLE_PROP_ID) == [ODD]
    assert find(store, CERT_FIND_PROPERTY, CERT_NCRYPT_KEY_HANDLE_TRANSFER_PROP_ID) == [BOB]
    assert find(store, CERT_FIND_PROPERTY, CERT_NCRYPT_KEY_HANDLE_PROP_ID) == [BOB]
    assert find(store, CERT_FIND_CROSS_CERT_DIST_POINTS) == [ODD]
    assert find(store, CERT_FIND_SUBJECT_INFO_ACCESS) == [ODD]


def test_a_find_keeps_no_computed_property(store):
    find(store, CERT_FIND_MD5_HASH, bytes(16))
    assert {CertEnumCertificateContextProperties(each, 3) for each in store} == {0}


@pytest.mark.parametrize("prop_id", [CERT_KEY_IDENTIFIER_PROP_ID, CERT_SUBJECT_PUBLIC_KEY_MD5_HASH_PROP_ID, 4, 15])
def test_an_overridden_value_is_what_is_found(store, prop_id):
    by = {
        20: CERT_FIND_KEY_IDENTIFIER,
        25: CERT_FIND_PUBKEY_MD5_HASH,
        4: CERT_FIND_MD5_HASH,
        15: CERT_FIND_SIGNATURE_HASH,
    }
    alice = context_of(store, ALICE)
    before = CertGetCertificateContextProperty(alice, prop_id)
    CertSetCertificateContextProperty(alice, prop_id, 0, b"mine")
    assert find(store, by[prop_id], b"mine") == [ALICE]
    assert ALICE not in find(store, by[prop_id], before)


def test_keys_compare_by_what_they_mean():
    store = CertOpenStore(CERT_STORE_PROV_MEMORY)
    CertAddEncodedCertificateToStore(store, X509, BOB, CERT_STORE_ADD_NEW)
    key = info(BOB).public_key
    padded = key.public_key.replace(b"\x02\x82\x01\x01\x00", b"\x02\x83\x00\x01\x01\x00", 1)
    padded = padded[:1] + b"\x82" + (len(padded) - 4).to_bytes(2, "big") + padded[4:]
    for same in (CertPublicKeyInfo(key.algorithm, b"", key.public_key), CertPublicKeyInfo(key.algorithm, b"", padded)):
        assert find(store, CERT_FIND_PUBLIC_KEY, same) == [BOB]
    for other in (info(ALICE).public_key, CertPublicKeyInfo(key.algorithm, b"", b"")):
        assert find(store, CERT_FIND_PUBLIC_KEY, other) == []


# --- usages -----------------------------------------------------------------------------------------------------------

OPTIONAL, EXT_ONLY, PROP_ONLY, NO, OR, VALID = 1, 2, 4, 8, 0x10, 0x20
NONE_SAYS = [ODD, BOB, OTHER_CA, CA]


@pytest.mark.parametrize(
    ("usages", "flags", "expected"),
    [
        ([CLIENT], 0, [ALICE]),
        ([CLIENT, LOGON], 0, [ALICE]),
        ([CLIENT, EMAIL], 0, []),
        ([CLIENT, EMAIL], OR, [ALICE]),
        ([EMAIL], 0, []),
        ([], 0, [ALICE]),
        ([CLIENT], OPTIONAL, [ODD, BOB, ALICE, OTHER_CA, CA]),
        ([EMAIL], OPTIONAL, NONE_SAYS),
        ([CLIENT], EXT_ONLY, [ALICE]),
        ([CLIENT], PROP_ONLY, []),
        (None, NO, NONE_SAYS),
        ([EMAIL], VALID, NONE_SAYS),
        ([CLIENT], VALID, [ODD, BOB, ALICE, OTHER_CA, CA]),
        ([CLIENT, EMAIL], VALID | OR, [ODD, BOB, ALICE, OTHER_CA, CA]),
    ],
)
def test_usages(store, usages, flags, expected):
    assert find(store, CERT_FIND_ENHKEY_USAGE, usages, flags) == expected


def test_the_property_narrows_the_usages(store):
    alice = context_of(store, ALICE)
    usages = x509.ExtendedKeyUsage([Usage.EMAIL_PROTECTION, Usage.CLIENT_AUTH]).public_bytes()
    CertSetCertificateContextProperty(alice, CERT_ENHKEY_USAGE_PROP_ID, 0, usages)
    assert find(store, CERT_FIND_ENHKEY_USAGE, [CLIENT]) == [ALICE]
    assert find(store, CERT_FIND_ENHKEY_USAGE, [LOGON]) == []
    assert find(store, CERT_FIND_ENHKEY_USAGE, [EMAIL], PROP_ONLY) == [ALICE]
    CertSetCertificateContextProperty(alice, CERT_ENHKEY_USAGE_PROP_ID, 0, b"nonsense")
    assert find(store, CERT_FIND_ENHKEY_USAGE, [CLIENT]) == []


def test_finding_in_a_large_database_reads_only_what_it_needs(tmp_path):
    """A keyed find looks at the rows that the index names, whatever the number of certificates."""
    database = SqlDatabase(tmp_path / "store.db")
    stores = SystemStores(database, whole=8)
    store = CertOpenSystemStore(None, "My", system=System(stores))
    for number in range(200):
        subject = certs.raw_name(f"Person {number}")
        der = certs.raw_tbs(subject=subject, serial=number.to_bytes(2, "big"))
        CertFreeCertificateContext(CertAddEncodedCertificateToStore(store, X509, der, CERT_STORE_ADD_ALWAYS))
    store.close()
    opened = CertOpenSystemStore(None, "My", system=System(stores))
    seen = []
    counting = lambda element: not seen.append(element)  # noqa: E731
    from calais.store.finding import query_for

    for find_type, para in (
        (CERT_FIND_SHA1_HASH, hashlib.sha1(der).digest()),
        (CERT_FIND_SUBJECT_NAME, subject),
        (CERT_FIND_SUBJECT_CERT, info(der)),
    ):
        seen.clear()
        query = query_for(find_type, para)
        both = type(query)(
            lambda each, query=query: counting(each) and query.match(each), True, query.index, query.value
        )
        assert [each.encoded for each in opened.run(both)] == [der]
        assert len(seen) == 1
    stores.close()


def test_the_current_system_is_asked_for_its_stores():
    with local_system():
        CertAddEncodedCertificateToStore(CertOpenSystemStore(None, "My"), X509, ALICE, CERT_STORE_ADD_NEW)
        assert find(CertOpenSystemStore(None, "My"), CERT_FIND_ANY) == [ALICE]
