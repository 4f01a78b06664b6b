"""New cards are what was asked for, their CHUID is signed as FIPS 201 wants it, and images become cards."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from calais.cards.authority import Authority
from calais.cards.base import BytesMemory
from calais.cards.front import build_atr
from calais.cards.piv import spec
from calais.cards.piv.card_authority import default_keys
from calais.cards.piv.card_fascn import build_fasc_n
from calais.cards.piv.image import load_image
from calais.cards.piv.personalise import new_card, virtual_card
from calais.iso7816 import tlv
from calais.iso7816.atr import Atr
from calais.win.errors import BadData, BadParameter, NotFound

GUID = bytes.fromhex("00112233445566778899aabbccddeeff")
NOW = datetime(2026, 5, 4, tzinfo=UTC)
IMAGES = Path(__file__).resolve().parents[3] / "shared" / "data" / "icam-cards"


def made(**options):
    memory = BytesMemory()
    new_card(memory, os.urandom, **{"keys": {}, **options})
    return memory.read()


def chuid_of(records):
    return list(tlv.parse(records["object/5FC102"]))


def test_a_default_card_has_three_keys_with_certificates_of_one_authority():
    records = made(keys=default_keys(os.urandom, NOW))
    assert {name for name in records if name.startswith("key/")} == {"key/9A", "key/9C", "key/9D", "key/F9"}
    issuers = set()
    for tag, kind in (
        ("5FC105", rsa.RSAPublicKey),
        ("5FC10A", ec.EllipticCurvePublicKey),
        ("5FC10B", rsa.RSAPublicKey),
    ):
        certificate = x509.load_der_x509_certificate(tlv.require(tlv.parse(records[f"object/{tag}"]), 0x70).value)
        assert isinstance(certificate.public_key(), kind)
        issuers.add(certificate.issuer)
    assert len(issuers) == 1


def test_the_ca_of_the_default_keys_can_be_the_callers():
    authority = Authority.create("My CA", os.urandom, NOW)
    for _, certificate in default_keys(os.urandom, NOW, authority).values():
        certificate.verify_directly_issued_by(authority.certificate)


def test_the_guid_is_the_one_given():
    assert tlv.require(chuid_of(made(chuid_guid=GUID)), spec.TAG_CHUID_GUID).value == GUID


def test_without_a_guid_given_each_card_has_its_own_uuid():
    guids = [tlv.require(chuid_of(made()), spec.TAG_CHUID_GUID).value for _ in range(2)]
    assert guids[0] != guids[1]
    assert all(guid[6] >> 4 == 4 and guid[8] >> 6 == 2 for guid in guids)


def test_an_empty_guid_means_no_chuid():
    assert "object/5FC102" not in made(chuid_guid=b"")


def test_the_chuid_says_non_federal_and_expires_ten_years_on():
    members = chuid_of(made(now=NOW))
    assert [item.tag for item in members] == [0x30, 0x34, 0x35, 0x3E, 0xFE]
    assert members[0].value.hex().startswith("d4e739da739ced39ce739da1685")
    assert members[2].value == b"20360503"


def test_the_chuids_signature_covers_all_but_itself():
    members = chuid_of(made())
    signed = b"".join(item.encode() for item in members if item.tag != spec.TAG_CHUID_SIGNATURE)
    content = cms.ContentInfo.load(tlv.require(members, spec.TAG_CHUID_SIGNATURE).value)["content"]
    assert content["encap_content_info"]["content_type"].dotted == "2.16.840.1.101.3.6.1"
    (info,) = content["signer_infos"]
    digest = next(item for item in info["signed_attrs"] if item["type"].native == "message_digest")
    assert digest["values"][0].native == hashlib.sha256(signed).digest()
    signer = x509.load_der_x509_certificate(content["certificates"][0].dump())
    attributes = info["signed_attrs"].untag().dump()
    signer.public_key().verify(info["signature"].native, attributes, ec.ECDSA(hashes.SHA256()))
    use = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert x509.ObjectIdentifier("2.16.840.1.101.3.6.7") in use


def test_a_fasc_n_is_the_one_of_a_known_card():
    # The first 15 bytes and the layout after them are those of the non-federal golden ICAM test card.
    assert build_fasc_n(0).hex().startswith("d4e739da739ced39ce739da16858210842108")
    groups = [int.from_bytes(build_fasc_n(1234567890), "big") >> 5 * (39 - n) & 31 for n in range(40)]
    assert all(group.bit_count() % 2 for group in groups[:-1])
    assert groups[0] == 0b11010
    assert groups[-2] == 0b11111


def test_a_global_pin_shows_in_the_discovery_object():
    assert made()["object/7E"].endswith(bytes.fromhex("5F2F024000"))
    assert made(global_pin="11111111")["object/7E"].endswith(bytes.fromhex("5F2F026010"))
    assert "object/7E" not in made(discovery=False)


def test_the_atr_says_whether_extended_lengths_are_known():
    for extended in (True, False):
        atr = Atr.decode(build_atr(extended=extended))
        assert atr.extended_length is extended
        assert atr.protocols == {1}
        assert atr.capabilities[2] & 0x80


@pytest.mark.parametrize(
    "options",
    [
        {"pin": "12345"},
        {"pin": "123456789"},
        {"pin": "abcdef"},
        {"pin": b"\xff" * 8},
        {"puk": "12345"},
        {"puk": "123456789"},
        {"global_pin": "x"},
        {"management_key": bytes(23)},
        {"management_key": bytes(16), "management_key_algorithm": "3DES"},
        {"management_key_algorithm": "AES512"},
        {"chuid_guid": bytes(15)},
        {"retries": (0, 3)},
        {"retries": (3, 256)},
        {"keys": {0x9B: (ec.generate_private_key(ec.SECP256R1()), None)}},
        {"keys": {0x9A: (ec.generate_private_key(ec.SECP521R1()), None)}},
        {"keys": {0x9A: (rsa.generate_private_key(65537, 1536), None)}},
        {"keys": {0x9A: (dsa.generate_private_key(1024), None)}},
    ],
)
def test_impossible_wishes_are_refused_and_nothing_is_written(options):
    memory = BytesMemory()
    with pytest.raises(BadParameter):
        new_card(memory, os.urandom, **{"keys": {}, **options})
    assert memory.read() == {}


@pytest.mark.skipif(not IMAGES.is_dir(), reason=f"needs the ICAM test cards in {IMAGES}")
@pytest.mark.parametrize("folder", sorted(IMAGES.glob("*_*")), ids=lambda path: path.name)
def test_an_image_of_a_real_card_becomes_a_card(folder):
    memory = BytesMemory()
    new_card(memory, os.urandom, image=load_image(folder))
    card = virtual_card(memory, os.urandom)
    card.process(bytes.fromhex("00A4040005A000000308"))
    chuid = (folder / "8 - CHUID Object").read_bytes()
    assert card.process(bytes.fromhex("00CB3FFF0000055C035FC1020000"))[-len(chuid) - 2 : -2] == chuid
    discovery = (folder / "1 - Discovery Object").read_bytes()
    answer = card.process(bytes.fromhex("00CB3FFF035C017E00"))
    assert answer == (discovery + b"\x90\0" if len(discovery) > 2 else b"\x6a\x82")
    assert card.process(bytes.fromhex("0020008008313233343536FFFF")) == b"\x90\0"
    wants_global = b"\x5f\x2f\x02\x60" in discovery
    assert card.process(bytes.fromhex("0020000008313233343536FFFF")) == (b"\x90\0" if wants_global else b"\x6a\x88")
    for slot in ("9A", "9C", "9D", "9E"):
        assert card.process(bytes.fromhex(f"00F700{slot}"))[-2] in (0x61, 0x90)


def write_key(path, key):
    path.write_bytes(pkcs12.serialize_key_and_certificates(None, key, None, None, serialization.NoEncryption()))


def test_an_image_may_hold_little(tmp_path):
    (tmp_path / "7 - CCC").write_bytes(b"\xf0\0")
    (tmp_path / "README").write_text("not of the card")
    (tmp_path / "1 - Discovery Object").write_bytes(b"\x7e\0")
    image = load_image(tmp_path)
    assert image.objects == {spec.TAG_CCC: b"\xf0\0"}
    assert image.keys == {}
    assert not image.wants_global_pin


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1 - Discovery Object", b"\x7e\x05\x4f"),
        ("3 - a.crt", b"not a certificate"),
        ("3 - a.p12", b"not PKCS 12"),
        ("8 - CHUID Object", bytes(70_000)),
    ],
)
def test_a_damaged_image_is_bad_data_and_names_the_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match=name[:1]):
        load_image(tmp_path)


def test_an_image_with_a_key_that_piv_does_not_know_is_bad_data(tmp_path):
    write_key(tmp_path / "3 - a.p12", ec.generate_private_key(ec.SECP521R1()))
    with pytest.raises(BadData):
        load_image(tmp_path)


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_without_a_card_is_not_found(tmp_path, name):
    with pytest.raises(NotFound):
        load_image(tmp_path / name)
