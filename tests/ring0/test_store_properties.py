"""The table of properties: what each id takes, gives and refuses."""

import hashlib
import struct
from datetime import UTC, datetime, timedelta, timezone

import certs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.store import bag, properties
from calais.store.model import Element
from calais.store.properties import Kind
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound
from calais.win.flags import PropId
from calais.win.structs import CertKeyContext, CryptKeyProvInfo, CryptKeyProvParam, PinCachePolicy, PinInfo

LINK = CryptKeyProvInfo(
    "container", "provider", 1, 1, (CryptKeyProvParam(32, b"\x01", 4), CryptKeyProvParam(1, b"")), 2
)
VALUES = {
    PropId.KEY_PROV_INFO: LINK,
    PropId.FRIENDLY_NAME: "Ünï \U0001f600 \x1b[31m'); DROP TABLE certificate;--",
    PropId.SCARD_PIN_ID: 0xFFFFFFFF,
    PropId.SCARD_PIN_INFO: PinInfo(0, 0, 2, 4, PinCachePolicy(0)),
    PropId.DATE_STAMP: datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC),
    PropId.SMART_CARD_DATA: b"",
    PropId.ARCHIVED: b"",
    0x8000: b"\x00" * 70000,
    0xFFFF: b"user",
    PropId.SMART_CARD_READER: "",
}


class Handle:
    def __init__(self, is_ncrypt=False):
        self.is_ncrypt = is_ncrypt
        self.closed = 0

    def close(self):
        self.closed += 1


@pytest.fixture
def element():
    return Element(certs.make())


@pytest.mark.parametrize("prop_id", VALUES)
def test_what_is_set_is_what_is_got(element, prop_id):
    bag.set_value(element, prop_id, VALUES[prop_id])
    assert bag.get(element, prop_id) == VALUES[prop_id]
    assert bag.next_id(element, prop_id - 1) == prop_id


@pytest.mark.parametrize("prop_id", VALUES)
def test_none_deletes_and_absent_stays_absent(element, prop_id):
    bag.set_value(element, prop_id, VALUES[prop_id])
    for _ in range(2):
        bag.set_value(element, prop_id, None)
        with pytest.raises(NotFound) as caught:
            bag.get(element, prop_id)
        assert caught.value.code == Code.CRYPT_E_NOT_FOUND


@pytest.mark.parametrize("prop_id", [-1, 0, 14, 32, 33, 34, 89, 92, 93, 94, 95, 96, 99, 100, 0x10000, 1 << 40])
@pytest.mark.parametrize("value", [None, b"", "text", 1])
def test_what_cannot_be_set_is_refused(element, prop_id, value):
    with pytest.raises(BadParameter) as caught:
        bag.set_value(element, prop_id, value)
    assert caught.value.code == Code.E_INVALIDARG


@pytest.mark.parametrize(
    ("prop_id", "value"),
    [
        (2, b"\x00" * 28),
        (3, "00"),
        (11, b"name"),
        (11, "a\0b"),
        (11, "\ud800"),
        (90, "1"),
        (90, -1),
        (90, 1 << 32),
        (90, True),
        (27, datetime(2020, 1, 1)),
        (27, datetime(1600, 1, 1, tzinfo=UTC)),
        (91, b""),
        (1, object()),
        (1, Handle(is_ncrypt=True)),
        (78, Handle(is_ncrypt=False)),
        (79, 5),
        (5, b"\x00" * 24),
        (5, CertKeyContext("handle", 1)),
        (5, CertKeyContext(None, -1)),
        (6, "1"),
        (0x8000, 7),
    ],
)
def test_another_type_is_refused_and_nothing_is_stored(element, prop_id, value):
    with pytest.raises(BadParameter) as caught:
        bag.set_value(element, prop_id, value)
    assert caught.value.code == Code.E_INVALIDARG
    assert bag.next_id(element, 0) == 0


def test_a_fresh_element_lists_nothing(element):
    assert bag.next_id(element, 0) == 0


COMPUTED = {
    3: lambda der: hashlib.sha1(der).digest(),
    4: lambda der: hashlib.md5(der).digest(),
    107: lambda der: hashlib.sha256(der).digest(),
    20: lambda _: hashlib.sha1(certs.spki(certs.ec_key())).digest(),
    124: lambda _: hashlib.sha256(certs.spki(certs.ec_key())).digest(),
    25: lambda _: hashlib.md5(certs.spki(certs.ec_key())[-65:]).digest(),
    29: lambda _: hashlib.md5(certs.name_der("Alice")).digest(),
    89: lambda _: "ECDSA/SHA256",
    92: lambda _: 256,
    93: lambda _: "ECDSA/256",
}


@pytest.mark.parametrize("prop_id", COMPUTED)
def test_computed_values_are_listed_once_they_were_asked_for(element, prop_id):
    assert bag.has(element, prop_id)
    assert bag.next_id(element, 0) == 0
    assert bag.get(element, prop_id) == COMPUTED[prop_id](element.encoded)
    assert bag.next_id(element, 0) == prop_id
    assert bag.get(element, prop_id) == COMPUTED[prop_id](element.encoded)


def test_issuer_and_serial_are_hashed_with_the_serial_little_endian():
    element = Element(certs.make(serial=0x0102))
    assert bag.get(element, 28) == hashlib.md5(certs.name_der("Alice") + b"\x02\x01").digest()


@pytest.mark.parametrize("prop_id", [3, 4, 15, 20, 25, 28, 29, 107, 124])
def test_a_computed_value_can_be_overridden_by_anything_and_deleted(element, prop_id):
    genuine = bag.get(element, prop_id)
    bag.set_value(element, prop_id, b"not so")
    assert bag.get(element, prop_id) == b"not so"
    bag.set_value(element, prop_id, None)
    assert bag.next_id(element, 0) == 0
    assert bag.get(element, prop_id) == genuine


@pytest.mark.parametrize("prop_id", [94, 95, 96, 24, 32, 33, 34, 0, 0x10000])
def test_what_nobody_set_or_computes_is_absent(element, prop_id):
    with pytest.raises(NotFound):
        bag.get(element, prop_id)


def test_a_foreign_value_that_cannot_be_read_is_named():
    element = Element(certs.make(), {2: b"\xff" * 28, 90: b"\x00", 27: b"\xff" * 8, 11: b"a\x00b"})
    for prop_id in (2, 90, 27):
        with pytest.raises(BadData) as caught:
            bag.get(element, prop_id)
        assert caught.value.code == Code.ERROR_INVALID_DATA
        assert bag.peek(element, prop_id) is None
    assert bag.get(element, 11).startswith("a")
    assert bag.key_prov_info(element) is None


def test_a_link_whose_params_overlap_is_refused_before_they_are_copied():
    size, count = 200_000, 10_000
    params = struct.pack("<4I", 1, 1, size - 1, 0) * count
    data = (struct.pack("<7I", 0, 0, 1, 0, count, 28, 0) + params).ljust(size, b"\0")
    with pytest.raises(BadData):
        bag.get(Element(certs.make(), {2: data}), 2)


def test_every_id_of_the_header_has_a_rule():
    kinds = {prop_id: properties.rule(prop_id).kind for prop_id in PropId}
    assert {each for each, kind in kinds.items() if kind is Kind.HANDLE} == {1, 5, 78, 79, 99, 100}
    assert {each for each, kind in kinds.items() if kind is Kind.VIEW} == {6, 14}
    assert {each for each, kind in kinds.items() if kind is Kind.RESERVED} == {94, 95, 96}
    computed = {each for each, kind in kinds.items() if kind is Kind.COMPUTED}
    assert computed == {3, 4, 15, 20, 25, 28, 29, 89, 92, 93, 107, 124}


@given(st.dates(datetime(1601, 1, 2).date()), st.times(), st.integers(-14, 14))
def test_times_round_trip_in_any_zone(date, time, hours):
    moment = datetime.combine(date, time, timezone(timedelta(hours=hours)))
    if 1601 < moment.year < 9999:
        assert properties.TIME.unpack(properties.TIME.pack(moment)) == moment


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_texts_round_trip(text):
    assert properties.TEXT.unpack(properties.TEXT.pack(text)) == text


@given(st.binary(max_size=200), st.sampled_from([2, 11, 27, 90, 91]))
def test_random_bytes_in_a_property_raise_only_bad_data(data, prop_id):
    assert certs.fault(bag.get, Element(certs.make(), {prop_id: data}), prop_id) in (None, Code.ERROR_INVALID_DATA)


# --- the handle slot --------------------------------------------------------------------------------------------------


def test_a_handle_makes_a_key_context_with_the_key_spec_of_the_link(element):
    handle = Handle()
    bag.set_value(element, 2, LINK)
    bag.set_value(element, 1, handle)
    assert bag.get(element, 5) == CertKeyContext(handle, 2)
    assert (bag.get(element, 1), bag.get(element, 79), bag.get(element, 6)) == (handle, handle, 2)
    assert not bag.has(element, 78)


def test_a_cng_key_has_the_key_spec_that_says_so(element):
    key = Handle(is_ncrypt=True)
    bag.set_value(element, 79, key)
    assert bag.get(element, 5) == CertKeyContext(key, 0xFFFFFFFF)
    assert (bag.get(element, 78), bag.get(element, 6)) == (key, 0xFFFFFFFF)
    assert not bag.has(element, 1)


def test_the_key_spec_comes_from_the_slot_else_from_the_link(element):
    assert not bag.has(element, 6)
    bag.set_value(element, 2, LINK)
    assert bag.get(element, 6) == 2
    bag.set_value(element, 6, 1)
    assert bag.get(element, 5) == CertKeyContext(None, 1)
    assert bag.get(element, 1) is None
    bag.set_value(element, 6, None)
    assert bag.get(element, 6) == 1
    bag.set_value(element, 5, None)
    assert bag.get(element, 6) == 2


def test_only_the_slot_is_listed(element):
    bag.set_value(element, 78, Handle(is_ncrypt=True))
    assert sorted(element.listed()) == [5]


@pytest.mark.parametrize("displace", [(1, None), (5, None), (79, None), (1, Handle()), (78, Handle(is_ncrypt=True))])
def test_a_displaced_handle_is_closed_once(element, displace):
    handle = Handle()
    bag.set_value(element, 1, handle)
    bag.set_value(element, *displace)
    bag.set_value(element, 5, None)
    assert handle.closed == 1


def test_clearing_the_handle_keeps_the_slot(element):
    bag.set_value(element, 5, CertKeyContext(Handle(), 2))
    bag.set_value(element, 1, None)
    assert bag.get(element, 5) == CertKeyContext(None, 2)


def test_the_other_kind_of_handle_is_not_cleared(element):
    handle = Handle()
    bag.set_value(element, 1, handle)
    bag.set_value(element, 78, None)
    assert bag.get(element, 1) is handle
    assert not handle.closed


def test_the_same_handle_again_is_not_closed(element):
    handle = Handle()
    bag.set_value(element, 1, handle)
    bag.set_value(element, 1, handle)
    bag.set_value(element, 5, CertKeyContext(handle, 1))
    assert not handle.closed


def test_the_link_does_not_touch_the_slot(element):
    handle = Handle()
    bag.set_value(element, 1, handle)
    bag.set_value(element, 2, LINK)
    bag.set_value(element, 2, None)
    assert bag.get(element, 1) is handle
    assert not handle.closed


def test_no_crypt_release_leaves_the_handle_to_its_owner(element):
    handle = Handle()
    bag.set_value(element, 1, handle, 1)
    bag.set_value(element, 6, 2)
    bag.set_value(element, 5, None)
    assert not handle.closed


@pytest.mark.parametrize(("is_ncrypt", "right", "wrong"), [(False, 100, 99), (True, 99, 100)])
def test_a_transfer_gives_the_handle_away(element, is_ncrypt, right, wrong):
    handle = Handle(is_ncrypt)
    bag.set_value(element, 79, handle)
    with pytest.raises(NotFound):
        bag.get(element, wrong)
    assert bag.get(element, right) is handle
    with pytest.raises(NotFound):
        bag.get(element, right)
    assert not bag.has(element, 5)
    assert not handle.closed


def test_the_last_holder_closes_the_handle(element):
    handle = Handle()
    bag.set_value(element, 1, handle)
    element.hold()
    element.hold()
    element.release()
    assert not handle.closed
    element.release()
    assert handle.closed == 1


# --- volatile properties ----------------------------------------------------------------------------------------------


def test_an_inhibited_property_hides_what_is_stored_until_it_is_set_again(element):
    bag.set_value(element, 11, "stored")
    bag.set_value(element, 11, "for now", bag.CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG)
    assert (bag.get(element, 11), element.copied()) == ("for now", {11: properties.TEXT.pack("stored")})
    bag.set_value(element, 11, None, bag.CERT_SET_PROPERTY_INHIBIT_PERSIST_FLAG)
    assert not bag.has(element, 11)
    assert not element.listed()
    bag.set_value(element, 11, "again")
    assert bag.get(element, 11) == "again"
