"""Every find type of CertFindCertificateInStore, tried from outside."""

from __future__ import annotations

import hashlib

import pytest
from blackstore import POINT, certificate, der, extension, fails, md5, name, oid, sha1, spki, tbs, text

from calais.testing import local_system
from calais.winapi import crypt32 as c

CU = c.CERT_SYSTEM_STORE_CURRENT_USER
OTHER_POINT = b"\x04" + bytes(range(64))
SKI = b"key-id-1"
CLIENT, SERVER, LOGON = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1", "1.3.6.1.4.1.311.20.2.2"


def eku(*oids):
    return der(0x30, *(oid(each) for each in oids))


FOLK = name(("2.5.4.6", "DE"), ("2.5.4.10", "Calais AG"), ("2.5.4.3", "Åsa Ünder"))
A = certificate("Alpha", "CA", 1, extensions=(extension("2.5.29.14", der(4, SKI)),))
B = certificate("Beta", "CA", 2, key=spki(OTHER_POINT), extensions=(extension("2.5.29.37", eku(CLIENT, LOGON)),))
G = certificate(FOLK, "Gamma", -5, extensions=(extension("1.3.6.1.5.5.7.1.11", b"\x30\x00"),))
D = certificate("CA", "Root", 1, extensions=(extension("1.3.6.1.4.1.311.10.9.1", b"\x30\x00"),))
NAMES = {A: "A", B: "B", G: "G", D: "D"}


@pytest.fixture(params=["memory", "system", "collection"])
def store(request):
    with local_system():
        made = {
            "memory": lambda: c.CertOpenStore(2),
            "system": lambda: c.CertOpenStore(10, 0, None, CU, "My"),
            "collection": lambda: c.CertOpenStore(11),
        }[request.param]()
        if request.param == "collection":
            c.CertAddStoreToCollection(made, c.CertOpenStore(2), 1, 0)
        for encoded in (A, B, G, D):
            c.CertAddEncodedCertificateToStore(made, 1, encoded, 4)
        yield made


def find(store, kind, para=None, flags=0, encoding=1):
    found, context = [], None
    while context := c.CertFindCertificateInStore(store, encoding, flags, kind, para, context):
        found.append(NAMES.get(context.encoded, "?"))
    return "".join(found)


def the(store, encoded):
    return c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_SHA1_HASH, sha1(encoded))


def put(store, encoded, ident, value):
    c.CertSetCertificateContextProperty(the(store, encoded), ident, 0, value)


def info_of(encoded):
    return c.CertCreateCertificateContext(1, encoded).info


def attr(kind, value, value_type=0):
    return c.CertRdnAttr(kind, value_type, value)


ROWS = [
    (c.CERT_FIND_ANY, None, "DGBA"),
    (c.CERT_FIND_SHA1_HASH, sha1(A), "A"),
    (c.CERT_FIND_SHA1_HASH, bytes(20), ""),
    (c.CERT_FIND_MD5_HASH, md5(B), "B"),
    (c.CERT_FIND_SIGNATURE_HASH, hashlib.sha256(tbs("CA", "Root", 1, extensions=(
        extension("1.3.6.1.4.1.311.10.9.1", b"\x30\x00"),))).digest(), "D"),
    (c.CERT_FIND_KEY_IDENTIFIER, SKI, "A"),
    (c.CERT_FIND_KEY_IDENTIFIER, sha1(spki()), "DG"),
    (c.CERT_FIND_PUBKEY_MD5_HASH, md5(POINT), "DGA"),
    (c.CERT_FIND_HASH_STR, sha1(A).hex(), "A"),
    (c.CERT_FIND_HASH_STR, "\u200e" + sha1(A).hex(":").upper() + "\ufeff", "A"),
    (c.CERT_FIND_HASH_STR, " ".join(sha1(A).hex()) + "\u200f", "A"),
    (c.CERT_FIND_HASH_STR, hashlib.sha256(G).hexdigest(), "G"),
    (c.CERT_FIND_HASH_STR, sha1(A).hex()[:-1], ""),
    (c.CERT_FIND_HASH_STR, "no hash at all", ""),
    (c.CERT_FIND_HASH_STR, "", ""),
    (c.CERT_FIND_SUBJECT_NAME, name("Alpha"), "A"),
    (c.CERT_FIND_SUBJECT_NAME, name("alpha"), ""),
    (c.CERT_FIND_ISSUER_NAME, name("CA"), "BA"),
    (c.CERT_FIND_SUBJECT_ATTR, (attr("2.5.4.3", "Alpha"),), "A"),
    (c.CERT_FIND_SUBJECT_ATTR, (attr("2.5.4.3", "alpha"),), ""),
    (c.CERT_FIND_SUBJECT_ATTR, (attr("2.5.4.6", "DE"), attr("2.5.4.3", "Åsa Ünder")), "G"),
    (c.CERT_FIND_SUBJECT_ATTR, (attr("2.5.4.6", "DE"), attr("2.5.4.3", "Alpha")), ""),
    (c.CERT_FIND_SUBJECT_ATTR, (), "DGBA"),
    (c.CERT_FIND_ISSUER_ATTR, (attr("2.5.4.3", "CA"),), "BA"),
    (c.CERT_FIND_SUBJECT_STR_W, "ALPH", "A"),
    (c.CERT_FIND_SUBJECT_STR_W, "de, calais ag, åsa ünder", "G"),
    (c.CERT_FIND_SUBJECT_STR_W, "CN=", ""),
    (c.CERT_FIND_SUBJECT_STR_W, None, "DGBA"),
    (c.CERT_FIND_SUBJECT_STR_W, "", "DGBA"),
    (c.CERT_FIND_SUBJECT_STR_A, "beta", "B"),
    (c.CERT_FIND_ISSUER_STR_W, "ca", "BA"),
    (c.CERT_FIND_ISSUER_STR_A, "gam", "G"),
    (c.CERT_FIND_ISSUER_STR_W, None, "DGBA"),
    (c.CERT_FIND_PROPERTY, c.CERT_SHA1_HASH_PROP_ID, "DGBA"),
    (c.CERT_FIND_PROPERTY, c.CERT_SHA256_HASH_PROP_ID, "DGBA"),
    (c.CERT_FIND_PROPERTY, c.CERT_FRIENDLY_NAME_PROP_ID, ""),
    (c.CERT_FIND_PUBLIC_KEY, info_of(B).public_key, "B"),
    (c.CERT_FIND_PUBLIC_KEY, info_of(A).public_key, "DGA"),
    (c.CERT_FIND_KEY_SPEC, 1, ""),
    (c.CERT_FIND_ENHKEY_USAGE, None, "B"),
    (c.CERT_FIND_ENHKEY_USAGE, [CLIENT], "B"),
    (c.CERT_FIND_CTL_USAGE, [CLIENT, LOGON], "B"),
    (c.CERT_FIND_ENHKEY_USAGE, [SERVER], ""),
    (c.CERT_FIND_ENHKEY_USAGE, [CLIENT, SERVER], ""),
    (c.CERT_FIND_SUBJECT_CERT, c.CertInfo(issuer=name("CA"), serial=2, subject=b"ignored"), "B"),
    (c.CERT_FIND_SUBJECT_CERT, c.CertInfo(issuer=name("Gamma"), serial=-5), "G"),
    (c.CERT_FIND_SUBJECT_CERT, c.CertInfo(issuer=name("CA")), ""),
    (c.CERT_FIND_SUBJECT_CERT, c.CertInfo(serial=1), ""),
    (c.CERT_FIND_CERT_ID, (name("CA"), 1), "A"),
    (c.CERT_FIND_CERT_ID, SKI, "A"),
    (c.CERT_FIND_CERT_ID, c.CertHash(sha1(B)), "B"),
    (c.CERT_FIND_CERT_ID, sha1(B), ""),
    (c.CERT_FIND_CROSS_CERT_DIST_POINTS, None, "D"),
    (c.CERT_FIND_SUBJECT_INFO_ACCESS, None, "G"),
    (c.CERT_FIND_HAS_PRIVATE_KEY, None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "para", "expected"), ROWS, ids=[f"{n}-{row[0]:x}" for n, row in enumerate(ROWS)])
@pytest.mark.parametrize("encoding", [1, 0x10001])
def test_a_row_finds_what_it_says_newest_first(store, kind, para, expected, encoding):
    assert find(store, kind, para, 0, encoding) == expected


@pytest.mark.parametrize(("kind", "expected"), [(c.CERT_FIND_ISSUER_OF, "D"), (c.CERT_FIND_EXISTING, "A")])
def test_a_context_finds_its_issuer_and_itself(store, kind, expected):
    assert find(store, kind, c.CertCreateCertificateContext(1, A)) == expected
    stranger = certificate("S", "Nobody", 3)
    assert find(store, kind, c.CertCreateCertificateContext(1, stranger)) == ""


def test_the_authority_key_identifier_narrows_the_issuer(store):
    aki = extension("2.5.29.35", der(0x30, der(0x80, b"other")))
    assert find(store, c.CERT_FIND_ISSUER_OF, c.CertCreateCertificateContext(1, certificate("x", "CA", 8))) == "D"
    child = certificate("x", "Alpha", 8, extensions=(aki,))
    assert find(store, c.CERT_FIND_ISSUER_OF, c.CertCreateCertificateContext(1, child)) == ""
    fitting = extension("2.5.29.35", der(0x30, der(0x80, SKI)))
    child = certificate("x", "Alpha", 8, extensions=(fitting,))
    assert find(store, c.CERT_FIND_ISSUER_OF, c.CertCreateCertificateContext(1, child)) == "A"


WRONG = {
    c.CERT_FIND_SHA1_HASH: ["x", 5, None, ()], c.CERT_FIND_MD5_HASH: ["x", None], c.CERT_FIND_SIGNATURE_HASH: ["x", None],
    c.CERT_FIND_KEY_IDENTIFIER: ["x", None], c.CERT_FIND_PUBKEY_MD5_HASH: ["x", None],
    c.CERT_FIND_HASH_STR: [b"x", None, 5], c.CERT_FIND_SUBJECT_NAME: ["x", None], c.CERT_FIND_ISSUER_NAME: ["x", 1],
    c.CERT_FIND_SUBJECT_ATTR: ["x", None, ("x",), 4], c.CERT_FIND_ISSUER_ATTR: [b"x", (None,)],
    c.CERT_FIND_SUBJECT_STR_W: [b"x", 4], c.CERT_FIND_SUBJECT_STR_A: [4], c.CERT_FIND_ISSUER_STR_W: [b"x"],
    c.CERT_FIND_ISSUER_STR_A: [()], c.CERT_FIND_PROPERTY: ["x", None, b"x"], c.CERT_FIND_PUBLIC_KEY: [b"x", None],
    c.CERT_FIND_KEY_SPEC: ["x", None], c.CERT_FIND_ENHKEY_USAGE: ["x", 4, [4]], c.CERT_FIND_SUBJECT_CERT: [None, b"x"],
    c.CERT_FIND_CERT_ID: [None, "x", 4, (), (1, 2), (b"x",), (b"x", "y")], c.CERT_FIND_ISSUER_OF: [None, b"x"],
    c.CERT_FIND_EXISTING: [None, b"x"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "para"), [pytest.param(kind, para, id=f"{kind:x}-{para!r}") for kind in WRONG for para in WRONG[kind]]
)
def test_another_python_type_is_an_invalid_argument(kind, para):
    store = c.CertOpenStore(2)
    for _ in range(2):
        with fails(c.E_INVALIDARG):
            c.CertFindCertificateInStore(store, 1, 0, kind, para)
        c.CertAddEncodedCertificateToStore(store, 1, A, 4)


@pytest.mark.parametrize("kind", [0x1, 0x20000, 0x160000, 0x10007, 0xFFFF0000, 0x70000, -1, 7, 4, None, "any"])
def test_an_unknown_type_is_an_invalid_argument(store, kind):
    with fails(c.E_INVALIDARG):
        c.CertFindCertificateInStore(store, 1, 0, kind, b"x")


ARCHIVED_FOUND = {
    "sha1": (c.CERT_FIND_SHA1_HASH, sha1(A)), "md5": (c.CERT_FIND_MD5_HASH, md5(A)),
    "signature": (c.CERT_FIND_SIGNATURE_HASH, "computed"), "keyid": (c.CERT_FIND_KEY_IDENTIFIER, SKI),
    "pubkey": (c.CERT_FIND_PUBKEY_MD5_HASH, md5(POINT)), "text": (c.CERT_FIND_HASH_STR, sha1(A).hex()),
    "subject-cert": (c.CERT_FIND_SUBJECT_CERT, c.CertInfo(issuer=name("CA"), serial=1)),
    "id": (c.CERT_FIND_CERT_ID, SKI), "id-name": (c.CERT_FIND_CERT_ID, (name("CA"), 1)),
    "id-hash": (c.CERT_FIND_CERT_ID, c.CertHash(sha1(A))), "existing": (c.CERT_FIND_EXISTING, "context"),
}  # fmt: skip
ARCHIVED_HIDDEN = {
    "any": (c.CERT_FIND_ANY, None), "name": (c.CERT_FIND_SUBJECT_NAME, name("Alpha")),
    "attr": (c.CERT_FIND_SUBJECT_ATTR, (attr("2.5.4.3", "Alpha"),)), "str": (c.CERT_FIND_SUBJECT_STR_W, "alpha"),
    "property": (c.CERT_FIND_PROPERTY, 3), "key": (c.CERT_FIND_PUBLIC_KEY, info_of(A).public_key),
    "private": (c.CERT_FIND_HAS_PRIVATE_KEY, None), "issuer": (c.CERT_FIND_ISSUER_STR_W, "ca"),
}  # fmt: skip


def _para(store, para):
    if para == "context":
        return c.CertCreateCertificateContext(1, A)
    if para == "computed":
        return c.CertGetCertificateContextProperty(c.CertCreateCertificateContext(1, A), 15)
    return para


@pytest.mark.parametrize(("kind", "para"), ARCHIVED_FOUND.values(), ids=list(ARCHIVED_FOUND))
def test_an_archived_certificate_is_found_by_what_names_it(store, kind, para):
    put(store, A, c.CERT_ARCHIVED_PROP_ID, b"")
    assert "A" in find(store, kind, _para(store, para))


@pytest.mark.parametrize(("kind", "para"), ARCHIVED_HIDDEN.values(), ids=list(ARCHIVED_HIDDEN))
def test_an_archived_certificate_is_skipped_by_the_others(store, kind, para):
    put(store, A, c.CERT_KEY_PROV_INFO_PROP_ID, c.CryptKeyProvInfo("c", "p", 1))
    assert "A" in find(store, kind, para)
    put(store, A, c.CERT_ARCHIVED_PROP_ID, b"")
    assert "A" not in find(store, kind, para)


def test_a_stored_hash_is_what_is_found(store):
    put(store, A, c.CERT_SHA1_HASH_PROP_ID, b"h" * 20)
    assert find(store, c.CERT_FIND_SHA1_HASH, b"h" * 20) == "A"
    assert find(store, c.CERT_FIND_SHA1_HASH, sha1(A)) == ""
    assert find(store, c.CERT_FIND_HASH_STR, (b"h" * 20).hex()) == "A"
    assert find(store, c.CERT_FIND_EXISTING, c.CertCreateCertificateContext(1, A)) == ""


@pytest.mark.parametrize(
    ("kind", "ident", "value"),
    [
        (c.CERT_FIND_MD5_HASH, 4, b"m" * 16),
        (c.CERT_FIND_SIGNATURE_HASH, 15, b"s" * 9),
        (c.CERT_FIND_KEY_IDENTIFIER, 20, b"k"),
        (c.CERT_FIND_PUBKEY_MD5_HASH, 25, b"p" * 16),
        (c.CERT_FIND_CERT_ID, 20, b"k"),
    ],
)
def test_a_stored_value_goes_before_a_computed_one(store, kind, ident, value):
    put(store, B, ident, value)
    assert find(store, kind, value) == "B"


def test_properties_are_found_as_far_as_they_can_be_read(store):
    put(store, A, 11, "Friend")
    assert find(store, c.CERT_FIND_PROPERTY, 11) == "A"
    put(store, B, c.CERT_KEY_CONTEXT_PROP_ID, c.CertKeyContext(None, 2))
    held = the(store, B)
    for ident in (5, 6, 1):
        assert find(store, c.CERT_FIND_PROPERTY, ident) == ("B" if held else "")
    assert find(store, c.CERT_FIND_KEY_SPEC, 2) == "B"
    assert find(store, c.CERT_FIND_HAS_PRIVATE_KEY) == ""
    put(store, G, c.CERT_KEY_PROV_INFO_PROP_ID, c.CryptKeyProvInfo("c", "p", 1, 0, (), 2))
    assert find(store, c.CERT_FIND_KEY_SPEC, 2) == "GB"
    assert find(store, c.CERT_FIND_PROPERTY, 6) == "GB"
    assert find(store, c.CERT_FIND_HAS_PRIVATE_KEY) == "G"
    for ident in (0, 94, 32, 99):
        assert find(store, c.CERT_FIND_PROPERTY, ident) == ""


def test_attributes_may_be_compared_without_case(store):
    flag = c.CERT_CASE_INSENSITIVE_IS_RDN_ATTRS_FLAG
    assert find(store, c.CERT_FIND_SUBJECT_ATTR, (attr("2.5.4.3", "aLPHA"),), flag) == "A"
    assert find(store, c.CERT_FIND_SUBJECT_ATTR, (attr("2.5.4.3", "åSA üNDER"),), flag) == "G"
    assert find(store, c.CERT_FIND_ISSUER_ATTR, (attr("2.5.4.3", "ca"),), flag | 1) == "BA"


def test_stored_properties_count_for_the_two_access_finds(store):
    put(store, A, c.CERT_CROSS_CERT_DIST_POINTS_PROP_ID, b"\x30\x00")
    put(store, B, c.CERT_SUBJECT_INFO_ACCESS_PROP_ID, b"\x30\x00")
    assert find(store, c.CERT_FIND_CROSS_CERT_DIST_POINTS) == "DA"
    assert find(store, c.CERT_FIND_SUBJECT_INFO_ACCESS) == "GB"


OPTIONAL, EXT, PROP, NO, OR, VALID = 1, 2, 4, 8, 0x10, 0x20
USAGES = [
    ([CLIENT], OPTIONAL, "DGBA"), ([SERVER], OPTIONAL, "DGA"), (None, NO, "DGA"), ([CLIENT], NO, "DGA"),
    ([CLIENT, SERVER], OR, "B"), ([SERVER], OR, ""), ([SERVER, CLIENT], OR | OPTIONAL, "DGBA"),
    ([CLIENT], EXT, "B"), ([CLIENT], PROP, ""), (None, PROP, ""), (None, EXT, "B"), ([CLIENT], VALID, "DGBA"),
    ([SERVER], VALID, "DGA"), ([], 0, "B"),
]  # fmt: skip


@pytest.mark.parametrize(("para", "flags", "expected"), USAGES, ids=[str(number) for number in range(len(USAGES))])
def test_usages_are_found_by_flags(store, para, flags, expected):
    assert find(store, c.CERT_FIND_ENHKEY_USAGE, para, flags) == expected


def test_a_usage_property_narrows_the_extension(store):
    put(store, B, c.CERT_ENHKEY_USAGE_PROP_ID, eku(LOGON, SERVER))
    put(store, A, c.CERT_ENHKEY_USAGE_PROP_ID, eku(SERVER))
    assert find(store, c.CERT_FIND_ENHKEY_USAGE, [LOGON]) == "B"
    assert find(store, c.CERT_FIND_ENHKEY_USAGE, [CLIENT]) == ""
    assert find(store, c.CERT_FIND_ENHKEY_USAGE, [SERVER]) == "A"
    assert find(store, c.CERT_FIND_ENHKEY_USAGE, [SERVER], PROP) == "BA"
    assert find(store, c.CERT_FIND_ENHKEY_USAGE, [CLIENT], EXT) == "B"


def test_a_run_gives_the_previous_back_even_when_nothing_follows(store):
    first = c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_ISSUER_NAME, name("CA"))
    second = c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_ISSUER_NAME, name("CA"), first)
    assert (first.encoded, second.encoded) == (B, A)
    assert c.CertFindCertificateInStore(store, 1, 0, c.CERT_FIND_ISSUER_NAME, name("CA"), second) is None
    for context in (first, second):
        with fails(c.ERROR_INVALID_PARAMETER):
            c.CertFreeCertificateContext(context)


def test_everything_may_be_said_by_keyword(store):
    found = c.CertFindCertificateInStore(
        hCertStore=store, dwCertEncodingType=1, dwFindFlags=0, dwFindType=c.CERT_FIND_SUBJECT_STR,
        pvFindPara="alpha", pPrevCertContext=None,
    )  # fmt: skip
    assert found.encoded == A
    assert text("x") == b"x\0\0\0"
