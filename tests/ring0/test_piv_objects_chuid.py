import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.cards.piv import names, spec
from calais.cards.piv.chuid import Chuid, FascN, parse_chuid, parse_fasc_n
from calais.iso7816 import tlv

GUID = bytes.fromhex("A258ABAA928AE04D81D800F55D072F63")
# The worked example of TIG SCEPACS 2.3: agency 0032, system 0001, credential 092446.
FASC_N = bytes.fromhex("D0439458210C2C19A0846D83685A1082108CE73984108CA3FC")


def chuid(*members, tag=0x53):
    return tlv.build(tag, *(tlv.build(*member) for member in members))


GOOD = ((0x30, FASC_N), (0x34, GUID), (0x35, b"20321231"))
SIGNED = chuid(*GOOD, (0x3E, bytes(1500)), (0xFE,))


def test_a_chuid_tells_who_the_card_is():
    parsed = parse_chuid(chuid(*GOOD, (0x36, bytes(16)), (0xFE,)))
    assert (parsed.guid, parsed.fasc_n, parsed.expires) == (GUID, FASC_N, "20321231")
    assert parsed.damage == ()


def test_the_first_256_bytes_of_a_signed_chuid_are_enough():
    parsed = parse_chuid(SIGNED[:256])
    assert parsed.usable_guid == GUID
    assert parsed.damage == ()


@given(st.integers(0, 256))
def test_a_chuid_cut_anywhere_does_not_raise(size):
    parsed = parse_chuid(SIGNED[:size])
    assert parsed.usable_guid in (b"", GUID)


@given(st.binary(max_size=300))
def test_noise_is_a_chuid_without_anything(data):
    assert isinstance(parse_chuid(data), Chuid)
    assert isinstance(parse_chuid(tlv.build(0x53, data)), Chuid)


@pytest.mark.parametrize(
    ("answer", "damage"),
    [
        (b"", "length is cut off"),
        (chuid(*GOOD, tag=0x54), "tag 54"),
        (chuid((0x30, FASC_N), (0x34, GUID[:15]), (0x35, b"20321231")), "member 34 has 15 bytes"),
        (chuid((0x30, FASC_N[:5]), (0x34, GUID), (0x35, b"20321231")), "member 30 has 5 bytes"),
        (chuid((0x30, FASC_N), (0x34, GUID)), "member 35 has 0 bytes"),
        (tlv.build(0x53, tlv.build(0x30, FASC_N), b"\x34\x7f"), "127 bytes long"),
    ],
)
def test_damage_is_named(answer, damage):
    assert any(damage in text for text in parse_chuid(answer).damage)


@pytest.mark.parametrize("guid", [b"", bytes(16), GUID[:15], GUID + b"x"])
def test_a_guid_that_is_absent_zero_or_of_another_length_is_not_usable(guid):
    assert parse_chuid(chuid((0x30, FASC_N), (0x34, guid), (0x35, b"20321231"))).usable_guid == b""


def test_letters_in_an_expiry_date_are_dropped():
    assert parse_chuid(chuid((0x30, FASC_N), (0x34, GUID), (0x35, b"2032123x"))).expires == ""


def test_a_fasc_n_is_read_digit_by_digit():
    assert parse_fasc_n(FASC_N) == FascN("0032", "0001", "092446")
    assert str(parse_fasc_n(FASC_N)) == "0032-0001-092446"
    assert parse_fasc_n(FASC_N).names_card


@given(st.binary(max_size=30))
def test_noise_is_hardly_ever_a_fasc_n(data):
    assert parse_fasc_n(data) is None or len(data) == 25


def test_a_flipped_bit_in_a_digit_is_noticed():
    assert parse_fasc_n(bytes((*FASC_N[:1], FASC_N[1] ^ 0x10, *FASC_N[2:]))) is None


@pytest.mark.parametrize("digits", [FascN("9999", "9999", "999999"), FascN("0000", "0000", "000000")])
def test_a_fasc_n_that_many_cards_share_names_none(digits):
    assert not digits.names_card


# --- names and ids ---------------------------------------------------------------------------------------------------


def test_a_container_name_is_the_one_that_windows_reports():
    assert names.container_name(GUID, 0x5FC101) == "aaab58a2-8a92-4de0-81d8-00f55d5fc101"
    assert names.container_name(GUID, 0x5FC105) == "aaab58a2-8a92-4de0-81d8-00f55d5fc105"


@given(st.binary(min_size=16, max_size=16))
def test_names_of_one_card_differ_by_the_certificate_object_alone(guid):
    all_names = {names.container_name(guid, slot.certificate) for slot in spec.SLOTS}
    assert len(all_names) == 24
    assert len({name[:-6] for name in all_names}) == 1
    assert all(name == name.lower() and len(name) == 36 for name in all_names)


def test_a_volatile_name_is_a_random_uuid():
    name = names.volatile_name(lambda size: bytes(range(size)))
    assert uuid.UUID(name).version == 4


def refuse():
    raise AssertionError("certificates were read")


def test_the_card_id_is_the_guid():
    assert names.card_id(Chuid(guid=GUID, fasc_n=FASC_N), b"atr", refuse) == GUID


def test_without_guid_the_card_id_comes_from_the_fasc_n():
    one = names.card_id(Chuid(fasc_n=FASC_N), b"atr", refuse)
    assert len(one) == 16
    assert one == names.card_id(Chuid(guid=bytes(16), fasc_n=FASC_N), b"other", refuse)


def test_without_either_the_card_id_comes_from_atr_and_certificates():
    def made(*certificates, atr=b"atr"):
        return names.card_id(Chuid(), atr, lambda: certificates)

    ids = {made(), made(b"a"), made(b"ab"), made(b"a", b"b"), made(b"a", atr=b"x"), made(b"", b"a")}
    assert len(ids) == 6
    assert made(b"a") == made(b"a")
