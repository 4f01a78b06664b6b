"""Keys of a GIDS card and keys of ``cryptography``: templates, import data, signature forms, key files."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from calais.cards.gids import edge_keys, keys, spec
from calais.cards.gids.edge import Application
from calais.cards.gids.edge_ours import Status
from calais.cards.gids.policy import GidsPolicy
from calais.cards.gids.spec import Algorithm, KeyType
from calais.cards.gids.view import identity_of
from calais.iso7816 import tlv
from calais.win.errors import BadData, BadParameter, Unsupported

CURVES = {Algorithm.P256: ec.SECP256R1(), Algorithm.P384: ec.SECP384R1(), Algorithm.P521: ec.SECP521R1()}


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 1024)


@pytest.mark.parametrize(("key_spec", "slot"), [(1, 1), (2, 2), (3, 2), (4, 2), (5, 2), (6, 1), (7, 1), (8, 1)])
def test_a_key_spec_says_its_slot(key_spec, slot):
    assert keys.slot_of(key_spec) == slot


@pytest.mark.parametrize("key_spec", [0, 9, -1])
def test_other_numbers_are_no_key_specs(key_spec):
    with pytest.raises(BadParameter):
        keys.slot_of(key_spec)


def test_key_spec_and_size_choose_the_algorithm():
    assert keys.algorithm_for(1, 2048) is Algorithm.RSA_2048
    assert keys.algorithm_for(5, 0) is keys.algorithm_for(8, 521) is Algorithm.P521
    for key_spec, size in ((1, 0), (1, 1000), (3, 384), (6, 2048), (0, 2048)):
        with pytest.raises(BadParameter):
            keys.algorithm_for(key_spec, size)


def test_the_template_of_an_rsa_key_is_read(rsa_key):
    numbers = rsa_key.public_key().public_numbers()
    template = tlv.build(0x81, numbers.n.to_bytes(128, "big")) + tlv.build(0x82, b"\1\0\1")
    assert keys.parse_public_key(template) == rsa_key.public_key()


@pytest.mark.parametrize("curve", CURVES.values())
def test_the_template_of_an_ec_key_is_read(curve):
    key = ec.generate_private_key(curve).public_key()
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    assert keys.parse_public_key(tlv.build(0x86, point)) == key


@given(st.binary(max_size=300))
def test_a_template_of_noise_is_refused(noise):
    with pytest.raises(BadData):
        keys.parse_public_key(noise)


@pytest.mark.parametrize(
    "template",
    [
        tlv.build(0x86, b"\4" + bytes(64)),
        tlv.build(0x86, b"\4" + bytes(63)),
        tlv.build(0x81, b"\x80" + bytes(127)),
        tlv.build(0x81, b"\x80" + bytes(127)) + tlv.build(0x82, b"\2"),
        tlv.build(0x81, b"\x80" + bytes(100)) + tlv.build(0x82, b"\1\0\1"),
        tlv.build(0x81, b"\x80" + bytes(126) + b"\1") + tlv.build(0x82, b"\xff" * 9),
    ],
)
def test_a_template_that_is_no_key_is_refused(template):
    with pytest.raises(BadData):
        keys.parse_public_key(template)


def test_an_rsa_key_is_imported_as_rsa_private_key(rsa_key):
    key_type, value = keys.import_value(rsa_key)
    assert key_type is KeyType.RSA
    loaded = serialization.load_der_private_key(value, None)
    assert loaded.private_numbers() == rsa_key.private_numbers()
    assert [item.tag for item in tlv.parse(tlv.parse_one(value, 0x30).value)] == [2] * 9


@pytest.mark.parametrize("curve", CURVES.values())
def test_an_ec_key_is_imported_as_ec_private_key(curve):
    key = ec.generate_private_key(curve)
    key_type, value = keys.import_value(key)
    assert key_type is KeyType.EC
    assert serialization.load_der_private_key(value, None).private_numbers() == key.private_numbers()


def test_other_keys_are_none_of_gids():
    for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())):
        with pytest.raises(Unsupported):
            keys.import_value(key)


@pytest.mark.parametrize("curve", CURVES.values())
def test_both_forms_of_an_ecdsa_signature_are_taken(curve):
    size = (curve.key_size + 7) // 8
    der = ec.generate_private_key(curve).sign(b"text", ec.ECDSA(hashes.SHA256()))
    raw = keys.raw_signature(der, size)
    assert len(raw) == 2 * size
    assert encode_dss_signature(*(int.from_bytes(half, "big") for half in (raw[:size], raw[size:]))) == der
    assert keys.raw_signature(raw, size) == raw
    assert decode_dss_signature(der)


@pytest.mark.parametrize("noise", [b"", b"\x30\x00", bytes(63), encode_dss_signature(1 << 256, 1), bytes(200)])
def test_what_is_no_signature_is_the_cards_fault(noise):
    with pytest.raises(BadData):
        keys.raw_signature(noise, 32)


def test_the_key_file_of_an_rsa_exchange_key_is_the_one_that_windows_makes():
    expected = (
        "6247 820118 8302B081 8C058F10101000 A537"
        "B809 800107 830181 950140  B809 800187 830181 950140  B809 800147 830181 950140"
        "B609 800117 830181 950140  B609 800157 830181 950140"
    )
    assert edge_keys.build_key_file(0x81, Algorithm.RSA_2048, 1) == bytes.fromhex(expected)


def test_a_signature_key_declares_signatures_only():
    items = tlv.parse_one(edge_keys.build_key_file(0x81, Algorithm.RSA_2048, 2), spec.TAG_FCP).children()
    uses = tlv.require(items, spec.TAG_FILE_TEMPLATES).children()
    assert {use.tag for use in uses} == {spec.TAG_CRT_SIGNATURE}


# --- what the card says of itself ------------------------------------------------------------------------------------


def test_the_answer_to_select_names_the_application():
    answer = tlv.build(0x61, tlv.build(0x4F, spec.AID), tlv.build(0x73, tlv.build(0x40, b"\xc0")))
    assert Application.of(answer) == Application(named=True, mutual=True)
    external = tlv.build(0x61, tlv.build(0x4F, spec.AID), tlv.build(0x73, tlv.build(0x40, b"\x80") + b"\x42\x01\x80"))
    assert Application.of(external) == Application(named=True, read_only=True, mutual=False)
    other = tlv.build(0x61, tlv.build(0x4F, bytes.fromhex("A00000030800001000")))
    assert Application.of(other) == Application(named=False)


@given(st.binary(max_size=60))
def test_an_answer_of_noise_names_nothing(noise):
    assert not Application.of(noise).named


def test_the_card_status_is_read():
    value = bytes.fromhex("8004 0000FFFF 8101 7D 8201 7E 8302 0405 8401 06")
    status = Status.of(value)
    assert (status.bytes_free, status.containers_free, status.containers_max) == (65535, 125, 126)
    assert (status.admin_tries, status.flags, status.told) == ((4, 5), 6, True)


@pytest.mark.parametrize("value", [b"\x80", bytes.fromhex("8005 0000000001")])
def test_a_damaged_card_status_is_refused(value):
    with pytest.raises(BadData):
        Status.of(value)


@pytest.mark.parametrize("content", [None, b"", b"short", bytes(17)])
def test_a_card_without_a_proper_cardid_has_an_id_all_the_same(content):
    one = identity_of(content, b"\x3b\x80\x80")
    assert len(one.card_id) == 16
    assert one == identity_of(content, b"\x3b\x80\x80")


def test_the_card_id_is_the_content_of_cardid():
    assert identity_of(bytes(range(16)), b"").card_id == bytes(range(16))


# --- policy ----------------------------------------------------------------------------------------------------------


def test_policy_says_whether_cards_may_be_written():
    assert GidsPolicy.of(None).write
    assert GidsPolicy.of({"gids.write": 1, "piv.write": False}).write
    assert not GidsPolicy.of({"gids.write": 0}).write
    for value in ("no", None, 2):
        with pytest.raises(BadParameter):
            GidsPolicy.of({"gids.write": value})
