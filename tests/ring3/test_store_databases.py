"""One suite for every database of stores."""

import hashlib

import certs
import pytest

from calais.store import filing
from calais.store.api import Index, Lookup
from calais.win.codes import Code
from calais.win.errors import WinError

A, B, C = (certs.make(each) for each in ("Alice", "Bob", "Carol"))
EVERYTHING = 10**9


def sha1(der):
    return hashlib.sha1(der).digest()


@pytest.fixture
def backing(database):
    return database.backing(1, "My")


def put(backing, der, **props):
    with backing.writing() as look:
        return look.put(der, {int(name[1:]): value for name, value in props.items()})


def all_rows(backing):
    with backing.reading() as look:
        return look.rows(None, EVERYTHING)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_a_setting_that_was_never_put_is_none(database):
    settings = database.settings()
    assert (settings.get("card", "x"), settings.items("card"), settings.delete("card", "x")) == (None, {}, False)


def test_settings_come_in_the_order_first_put_and_the_last_value_counts(database):
    settings = database.settings()
    for name, value in (("b", b"1"), ("a", b"2"), ("c", b"\0\xff"), ("b", b"")):
        settings.put("card", name, value)
    assert list(database.settings().items("card").items()) == [("b", b""), ("a", b"2"), ("c", b"\0\xff")]
    assert settings.get("card", "b") == b""


def test_a_setting_put_anew_is_the_last(database):
    settings = database.settings()
    for name in "ab":
        settings.put("card", name, b"x")
    assert settings.delete("card", "a")
    settings.put("card", "a", b"y")
    assert list(settings.items("card")) == ["b", "a"]


def test_settings_are_apart_by_kind_name_and_location(database):
    database.settings().put("card", "a", b"1")
    database.settings(2).put("card", "a", b"2")
    database.settings().put("csp", "a", b"3")
    database.settings().put("card", "A", b"4")
    found = [database.settings(place).get(kind, name) for place, kind, name in ((1, "card", "a"), (2, "card", "a"))]
    assert found == [b"1", b"2"]
    assert database.settings().items("card") == {"a": b"1", "A": b"4"}
    assert database.settings().delete("csp", "a")
    assert database.settings().get("card", "a") == b"1"
    assert database.names(1) == []


@pytest.mark.parametrize(
    "name", ["a\0b", "\ud800", "\U0001f511 \u202e", ""], ids=["nul", "no character", "odd", "empty"]
)
def test_a_name_is_kept_as_it_is_or_refused_as_the_caller_s_fault(database, name):
    settings = database.settings()
    settings.put("card", "before", b"1")
    refused = code_of(lambda: settings.put("card", name, b"2"))
    assert refused in (None, Code.E_INVALIDARG)
    assert settings.items("card") == {"before": b"1"} | ({} if refused else {name: b"2"})


def code_of(work):
    """The code of the WinError that it raises, or None."""
    try:
        work()
    except WinError as error:
        return error.code
    return None


# --- databases --------------------------------------------------------------------------------------------------------


def test_an_empty_backing_has_nothing(backing):
    with backing.reading() as look:
        assert (look.count(5), look.rows(None, 5)) == (0, [])


def test_rows_come_newest_first_and_keys_are_never_used_twice(backing):
    keys = [put(backing, der).key for der in (A, B, C)]
    with backing.writing() as look:
        look.remove(sha1(C))
    keys.append(put(backing, C).key)
    assert sorted(set(keys)) == keys
    assert [row.encoded for row in all_rows(backing)] == [C, B, A]


def test_pages_are_below_a_key(backing):
    keys = [put(backing, der).key for der in (A, B, C)]
    with backing.reading() as look:
        assert [row.encoded for row in look.rows(keys[2], 1)] == [B]
        assert [row.encoded for row in look.rows(keys[1], 9)] == [A]
        assert look.rows(keys[0], 9) == []


def test_counting_ends_at_the_limit(backing):
    for der in (A, B, C):
        put(backing, der)
    with backing.reading() as look:
        assert (look.count(2), look.count(9)) == (2, 3)


def test_what_is_put_carries_its_hash_from_then_on(backing):
    row = put(backing, A, p11=b"name")
    assert row.properties == {3: sha1(A), 11: b"name"}
    assert all_rows(backing)[0].properties == row.properties


def test_a_second_one_takes_the_place_of_the_first(backing):
    put(backing, A, p11=b"old")
    put(backing, B)
    put(backing, A)
    assert [(row.encoded, 11 in row.properties) for row in all_rows(backing)] == [(A, False), (B, False)]


def test_a_stored_hash_decides_what_is_the_same(backing):
    put(backing, A, p3=b"a hash of any length")
    put(backing, B, p3=b"a hash of any length")
    assert [row.encoded for row in all_rows(backing)] == [B]
    with backing.writing() as look:
        assert look.get(b"a hash of any length").encoded == B


def test_properties_are_set_and_deleted_one_by_one(backing):
    put(backing, A, p11=b"old", p13=b"stays")
    with backing.writing() as look:
        assert look.alter(sha1(A), {11: b"new", 90: b"", 13: b"stays", 99999: None})
    assert all_rows(backing)[0].properties == {3: sha1(A), 11: b"new", 90: b"", 13: b"stays"}
    with backing.writing() as look:
        assert look.alter(sha1(A), {11: None})
        assert not look.alter(sha1(B), {11: b"x"})
    assert 11 not in all_rows(backing)[0].properties


def test_altering_keeps_the_place(backing):
    put(backing, A)
    put(backing, B)
    with backing.writing() as look:
        look.alter(sha1(A), {11: b"new"})
    assert [row.encoded for row in all_rows(backing)] == [B, A]


def test_another_hash_files_it_anew_and_the_one_there_gives_way(backing):
    put(backing, A)
    put(backing, B)
    with backing.writing() as look:
        look.alter(sha1(A), {3: sha1(B)})
        assert look.get(sha1(A)) is None
        assert look.get(sha1(B)).encoded == A
    assert [row.encoded for row in all_rows(backing)] == [A]


def test_removing_says_whether_it_was_there(backing):
    put(backing, A)
    with backing.writing() as look:
        assert look.remove(sha1(A))
        assert not look.remove(sha1(A))
    assert all_rows(backing) == []


@pytest.mark.parametrize(
    ("index", "value", "others"),
    [
        (Index.SHA1, sha1(A), sha1(B)),
        (Index.SUBJECT, certs.name_der("Alice"), certs.name_der("Bob")),
        (Index.ISSUER, certs.name_der("Alice"), certs.name_der("Bob")),
        (Index.KEY_IDENTIFIER, hashlib.sha1(certs.spki(certs.ec_key())).digest(), b"\x01"),
        (Index.PUBLIC_KEY, hashlib.md5(certs.spki(certs.ec_key())[-65:]).digest(), b"\x01"),
    ],
    ids=["sha1", "subject", "issuer", "key identifier", "public key"],
)
def test_indexes_find_what_is_filed_and_nothing_else(backing, index, value, others):
    put(backing, A)
    with backing.reading() as look:
        assert [row.encoded for row in look.rows(None, 9, Lookup(index, filing.digest(value)))] == [A]
        assert look.rows(None, 9, Lookup(index, filing.digest(others))) == []


def test_an_overridden_key_identifier_is_what_it_is_found_by(backing):
    put(backing, A)
    with backing.writing() as look:
        look.alter(sha1(A), {20: b"mine"})
        found = look.rows(None, 9, Lookup(Index.KEY_IDENTIFIER, filing.digest(b"mine")))
    assert [row.encoded for row in found] == [A]


def test_the_change_counter_rises_with_every_change_and_only_then(backing):
    def change():
        with backing.reading() as look:
            return look.change()

    seen = [change()]
    for step in (
        lambda look: look.put(A, {}),
        lambda look: look.alter(sha1(A), {11: b"x"}),
        lambda look: look.remove(sha1(A)),
    ):
        with backing.writing() as look:
            step(look)
        seen.append(change())
    assert sorted(set(seen)) == seen
    with backing.writing() as look:
        look.alter(sha1(A), {11: b"x"})
        look.remove(sha1(A))
        look.get(sha1(A))
    assert change() == seen[-1]


def test_a_store_made_anew_has_changed(database, backing):
    put(backing, A)
    with backing.reading() as look:
        before = look.change()
    database.drop(1, "My")
    put(backing, A)
    with backing.reading() as look:
        assert look.change() > before


def test_what_raises_is_undone(backing):
    def change_and_fail():
        with backing.writing() as look:
            look.put(B, {})
            look.alter(sha1(A), {11: b"x"})
            raise RuntimeError

    put(backing, A)
    with pytest.raises(RuntimeError):
        change_and_fail()
    assert [(row.encoded, row.properties) for row in all_rows(backing)] == [(A, {3: sha1(A)})]


def test_stores_keep_apart_by_location_and_name(database):
    places = [(1, "My"), (1, "Root"), (2, "My")]
    for place, der in zip(places, (A, B, C), strict=True):
        put(database.backing(*place), der)
    assert [[row.encoded for row in all_rows(database.backing(*each))] for each in places] == [[A], [B], [C]]


def test_names_compare_without_case_and_keep_how_they_were_first_written(database):
    assert database.create(1, "Ünïcode")
    assert not database.create(1, "ÜNÏCODE")
    put(database.backing(1, "MY"), A)
    put(database.backing(1, "my"), B)
    assert len(all_rows(database.backing(1, "My"))) == 2
    assert database.names(1) == ["MY", "Ünïcode"]
    assert database.names(2) == []


@pytest.mark.parametrize("name", ["'); DROP TABLE certificate;--", "\x1b[2J", 'a"b`c%_', "\U0001f600", "x" * 5000])
def test_hostile_names_are_names(database, name):
    put(database.backing(1, name), A)
    assert database.names(1) == [name]
    assert database.drop(1, name)
    assert not database.drop(1, name)
    assert all_rows(database.backing(1, name)) == []


def test_a_giant_property_comes_back_whole(backing):
    giant = bytes(range(256)) * 40_000
    put(backing, A, p32768=giant)
    assert all_rows(backing)[0].properties[32768] == giant


def test_many_are_put_in_one_transaction_and_the_last_of_equal_ones_counts(backing):
    many = [certs.raw_tbs(serial=number.to_bytes(2, "big")) for number in range(256, 256 + 1234)]
    put(backing, many[7], p11=b"old")
    with backing.writing() as look:
        items = [(der, {11: b"new"}) for der in many] + [(many[3], {12: b"last"})]
        assert look.put_all(iter(items)) == len(many) + 1
        assert look.put_all([]) == 0
    rows = all_rows(backing)
    assert [row.encoded for row in rows] == [many[3], *(der for der in many[::-1] if der != many[3])]
    assert (rows[0].properties, rows[-1].properties) == (
        {3: sha1(many[3]), 12: b"last"},
        {3: sha1(many[0]), 11: b"new"},
    )
    with backing.reading() as look:
        assert look.rows(None, 9, Lookup(Index.SHA1, filing.digest(sha1(many[77])))) == [rows[-77]]


def fail_after_putting(backing, items):
    with backing.writing() as look:
        look.put_all(items)
        raise KeyError


def test_many_in_a_transaction_that_fails_are_not_there(backing):
    put(backing, A)
    with pytest.raises(KeyError):
        fail_after_putting(backing, [(B, {}), (A, {11: b"x"})])
    assert [(row.encoded, sorted(row.properties)) for row in all_rows(backing)] == [(A, [3])]


# --- kinds of rows ----------------------------------------------------------------------------------------------------

CRL = certs.tlv(0x30, certs.tlv(0x30, b"\x30\x00", certs.raw_name("CA"), b"\x17\x00"), b"\x30\x00", b"\x03\x00")
VERSIONED = certs.tlv(0x30, certs.tlv(0x30, b"\x02\x01\x01", b"\x30\x00", certs.raw_name("CA")), b"\x30\x00")


def test_a_crl_is_filed_beside_certificates_and_never_among_them(backing):
    put(backing, A)
    with backing.writing() as look:
        row = look.put(CRL, {11: b"name"}, 33)
    assert (row.kind, row.properties) == (33, {3: sha1(CRL), 11: b"name"})
    assert [each.encoded for each in all_rows(backing)] == [A]
    with backing.writing() as look:
        assert look.rows(None, 9, None, 33) == [row]
        assert (look.count(9), look.count(9, 33), look.count(9, 34)) == (1, 1, 0)
        assert (look.get(sha1(CRL)), look.get(sha1(CRL), 33), look.get(sha1(CRL), 34)) == (None, row, None)
        assert look.get(sha1(A)).kind == 32


def test_a_crl_is_found_by_its_hash_and_its_issuer(backing):
    by_issuer = Lookup(Index.ISSUER, filing.digest(certs.raw_name("CA")))
    with backing.writing() as look:
        rows = [look.put(der, {}, 33) for der in (CRL, VERSIONED)]
        assert look.rows(None, 9, Lookup(Index.SHA1, filing.digest(sha1(CRL))), 33) == rows[:1]
        assert look.rows(None, 9, by_issuer, 33) == rows[::-1]
        assert look.rows(None, 9, by_issuer) == []


def test_what_cannot_be_read_is_a_crl_or_ctl_all_the_same(backing):
    with backing.writing() as look:
        for kind, encoded in ((33, b"\x30\x80"), (33, b""), (34, b"anything")):
            look.put(encoded, {}, kind)
        assert [len(look.rows(None, 9, None, kind)) for kind in (32, 33, 34)] == [0, 2, 1]


def test_kinds_with_one_hash_do_not_touch_each_other(backing):
    with backing.writing() as look:
        for kind in (32, 33, 34):
            look.put(A, {3: b"same", 11: bytes((kind,))}, kind)
        assert look.alter(b"same", {11: b"new"}, 33)
        assert look.remove(b"same", 34)
        assert not look.remove(b"same", 34)
        assert not look.alter(b"same", {11: b"new"}, 34)
    with backing.writing() as look:
        found = [look.get(b"same", kind) for kind in (32, 33, 34)]
        assert [row and row.properties[11] for row in found] == [b"\x20", b"new", None]
        assert look.alter(b"same", {3: b"other"}, 33)
        assert (look.get(b"same", 33), look.get(b"other", 33).encoded, look.get(b"same").encoded) == (None, A, A)


def test_a_store_that_is_dropped_takes_its_crls_along(database):
    with database.backing(1, "X").writing() as look:
        look.put(CRL, {}, 33)
    assert database.drop(1, "X")
    with database.backing(1, "X").reading() as look:
        assert look.count(9, 33) == 0
