"""New GIDS cards are what was asked for, and damaged ones are said to be damaged."""

from __future__ import annotations

import os
import struct
import zlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from calais.cards.authority import Authority
from calais.cards.base import BytesMemory, FileMemory
from calais.cards.gids import spec
from calais.cards.gids.card_access import AccessRules, Circumstances
from calais.cards.gids.personalise import MADE, default_keys, new_gids_card, virtual_card
from calais.iso7816.atr import Atr
from calais.testing import virtual_gids
from calais.win.errors import BadData, BadParameter

NOW = datetime(2026, 5, 4, tzinfo=UTC)
P256 = ec.derive_private_key(2, ec.SECP256R1())


def made(**options):
    memory = BytesMemory()
    new_gids_card(memory, os.urandom, **{"keys": [], **options})
    return memory.read()


def master_files(records):
    master = records["object/A000DF1F"]
    assert master[0] == 1
    return [struct.unpack("<9s9s2xII", master[at : at + 28]) for at in range(1, len(master), 28)]


def names(records):
    return [(d.rstrip(b"\0").decode(), f.rstrip(b"\0").decode(), fid, tag) for d, f, tag, fid in master_files(records)]


def test_a_card_without_keys_has_the_five_entries_of_the_minidriver():
    assert names(made()) == [
        ("mscp", "", 0xA000, 0),
        ("", "cardid", 0xA012, 0xDF20),
        ("", "cardapps", 0xA010, 0xDF21),
        ("", "cardcf", 0xA010, 0xDF22),
        ("mscp", "cmapfile", 0xA010, 0xDF23),
    ]


def test_containers_have_map_key_map_and_compressed_certificates():
    authority = Authority.create("My CA", os.urandom, NOW)
    certificate = authority.issue("holder", P256.public_key(), os.urandom, NOW)
    records = made(keys=[("one", 1, P256, None), (None, 2, P256, certificate), ("three", 8, P256, certificate)])
    assert names(records)[5:] == [("mscp", "ksc01", 0xA010, 0xDF24), ("mscp", "kxc02", 0xA010, 0xDF25)]
    stored = records["object/A010DF24"]
    der = certificate.public_bytes(Encoding.DER)
    assert stored[:4] == b"\1\0" + len(der).to_bytes(2, "little")
    assert zlib.decompress(stored[4:]) == der
    maps = [struct.unpack("<80sBBHH", records["object/A010DF23"][at : at + 86]) for at in (0, 86, 172)]
    assert [record[1:] for record in maps] == [(3, 0, 0, 256), (1, 0, 256, 0), (1, 0, 0, 256)]
    assert maps[0][0].decode("utf-16-le").rstrip("\0") == "one"
    assert len(maps[1][0].decode("utf-16-le").rstrip("\0")) == 36
    assert len(records["object/A000DF20"]) == 1 + 3 * 12


def test_the_eleventh_container_is_numbered_in_hexadecimal():
    certificate = default_certificate()
    records = made(keys=[(f"c{n}", 1, P256, certificate if n == 10 else None) for n in range(11)])
    assert names(records)[-1][1] == "kxc0A"


def default_certificate():
    return Authority.create("CA", os.urandom, NOW).issue("holder", P256.public_key(), os.urandom, NOW)


def test_the_default_card_has_one_rsa_container_with_a_certificate():
    ((name, key_spec, key, certificate),) = default_keys(os.urandom, MADE)
    assert (name, key_spec) == (None, 1)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert isinstance(certificate, x509.Certificate)
    assert certificate.public_key() == key.public_key()


def test_the_card_id_is_the_one_given_or_random():
    assert made(card_id=bytes(range(16)))["object/A012DF20"] == bytes(range(16))
    assert made()["object/A012DF20"] != made()["object/A012DF20"]


def test_a_blank_card_has_nothing():
    assert made(blank=True, read_only=True).keys() == {"gids", "life"}


def test_a_card_may_lack_the_admin_key():
    assert "file/B080" not in made(admin_key=None)


def test_the_atr_says_whether_the_card_knows_extended_lengths():
    answers = [Atr.decode(virtual_gids(keys=[], extended=extended).atr) for extended in (True, False)]
    assert answers[0] != answers[1]


def test_a_seed_makes_the_same_card():
    first, second = (virtual_gids(keys=[], seed=7).applet.state.records._memory.read() for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "options",
    [
        {"pin": "123"},
        {"pin": "12345678901234567"},
        {"puk": "123"},
        {"admin_key": bytes(23)},
        {"admin_key": bytes(8)},
        {"admin_key": bytes(16), "admin_key_algorithm": "3DES"},
        {"admin_key_algorithm": "DES"},
        {"card_id": bytes(15)},
        {"tries": (0, 5)},
        {"tries": (3, 256)},
        {"keys": [("x" * 40, 1, P256, None)]},
        {"keys": [("a\\b", 1, P256, None)]},
        {"keys": [("a\0b", 1, P256, None)]},
        {"keys": [("a", 9, P256, None)]},
        {"keys": [("a", 1, ed25519.Ed25519PrivateKey.generate(), None)]},
        {"keys": [("a", 1, P256, None)] * 127},
    ],
    ids="-".join,
)
def test_a_card_that_cannot_be_is_refused(options):
    with pytest.raises(BadParameter):
        made(**options)


def test_a_certificate_that_no_card_file_holds_is_refused():
    class Huge:
        def public_bytes(self, _encoding):
            return bytes(65536)

    with pytest.raises(BadParameter):
        made(keys=[("a", 1, P256, Huge())])


def test_a_memory_with_a_card_is_not_overwritten():
    memory = BytesMemory(made())
    with pytest.raises(BadParameter):
        new_gids_card(memory, os.urandom)


def test_aes_192_has_to_be_named():
    assert made(admin_key=bytes(24))["admin"][0] == spec.Algorithm.TDES
    assert made(admin_key=bytes(24), admin_key_algorithm="AES")["admin"][0] == spec.Algorithm.AES


def test_a_card_lives_in_a_file(tmp_path):
    memory = FileMemory(tmp_path / "my.card")
    new_gids_card(memory, os.urandom, keys=[("key", 1, P256, None)])
    card = virtual_card(memory, os.urandom)
    for step in ("00A4040C09A00000039742544659", "0020008006313233343536", "00DBA01305DF30020102"):
        assert card.process(bytes.fromhex(step)) == b"\x90\0"
    again = virtual_card(FileMemory(tmp_path / "my.card"), os.urandom)
    for step in ("00A4040C09A00000039742544659", "0020008006313233343536"):
        again.process(bytes.fromhex(step))
    assert again.process(bytes.fromhex("00CBA013045C02DF3000")) == bytes.fromhex("DF300201029000")


DAMAGES = [
    ("gids", None),
    ("gids", b""),
    ("gids", b"\2\1"),
    ("gids", b"\1\x10"),
    ("life", None),
    ("life", b"\2"),
    ("life", b"\7\7"),
    ("pin", b""),
    ("pin", b"\3\3123"),
    ("pin", b"\4\0031234"),
    ("pin", b"\0\0001234"),
    ("puk", b"\3\3" + b"1" * 17),
    ("admin", b""),
    ("admin", b"\2\5\5" + bytes(23)),
    ("admin", b"\1\5\5" + bytes(24)),
    ("admin", b"\2\6\5" + bytes(24)),
    ("admin", b"\2\0\0" + bytes(24)),
    ("file/A010", b""),
    ("file/A010", b"\7\x62\0"),
    ("file/A010", bytes.fromhex("07620C8201398302A0118C03033000")),
]


@pytest.mark.parametrize(("name", "value"), DAMAGES, ids=str)
def test_a_damaged_record_is_bad_data_when_the_card_is_powered(name, value):
    records = made()
    memory = BytesMemory(records)
    card = virtual_card(memory, os.urandom)
    memory.commit({name: value})
    with pytest.raises(BadData):
        card.power_cycle()
    with pytest.raises(BadData):
        virtual_card(memory, os.urandom)


@pytest.mark.parametrize("damage", [b"", b"\x0c", b"\x0cnothing", None])
def test_a_damaged_key_is_bad_data_for_those_who_use_it(damage):
    records = made(keys=[("key", 1, P256, None)])
    key = b"\x0d" + records["key/81"][1:] if damage is None else damage
    card = virtual_card(BytesMemory({**records, "key/81": key}), os.urandom)
    card.process(bytes.fromhex("00A4040C09A00000039742544659"))
    assert card.process(bytes.fromhex("00CB3FFF0A7008840181A5037F498000")) == b"\x6a\x80"


@pytest.mark.parametrize("raw", ["", "80", "03", "0330", "033000 01", "0330000330", "8310"])
def test_rules_that_do_not_match_their_access_mode_are_refused(raw):
    with pytest.raises(BadData):
        AccessRules.parse(bytes.fromhex(raw))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (0x00, "all"), (0xFF, ""), (0x10, "user both"), (0x20, "admin both"), (0x30, "user admin both"),
        (0x90, "user both"), (0xA0, "admin both"), (0xB0, "both"), (0x01, "all"), (0x02, ""), (0x11, "user both"),
        (0x12, ""), (0x40, ""), (0x50, ""), (0x80, ""), (0x81, ""), (0x03, ""),
    ],
)  # fmt: skip
def test_conditions_hold_for_whom_they_name(condition, holds):
    people = {"nobody": (0, 0), "user": (1, 0), "admin": (0, 1), "both": (1, 1)}
    found = {who for who, (user, admin) in people.items() if Circumstances(user, admin, False).satisfy(condition)}
    assert found == (set(people) if holds == "all" else set(holds.split()))
