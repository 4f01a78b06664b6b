"""Container names on tokens with Yubico's container map: made on Windows and seen here, and the other way round."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from pivdesk import GUID, admin, certificate, der, new_desk, p256

from calais.cards.piv import names, spec
from calais.cards.piv.containermap import MapRecord, build_container_map, fingerprint, parse_container_map
from calais.iso7816 import tlv
from calais.minidriver.containers import build_cmapfile, parse_cmapfile
from calais.minidriver.orphans import OrphanKind
from calais.win.errors import BadParameter, NotAuthenticated, NotFound, Unsupported, WinError
from calais.win.structs import ContainerMapRecord

YUBICO_ATR = bytes.fromhex("3BFD1300008131FE158073C021C057597562694B657940")  # a YubiKey 5's
KEY_EXCHANGE, SIGNATURE = 1, 2
COMPUTED_9A = names.container_name(GUID, spec.TAG_PIV_AUTH_CERT)
MAP = spec.TAG_YUBICO_MSCMAP


class Token:
    """A virtual card with a Yubico token's ATR."""

    def __init__(self, card):
        self.card = card
        self.atr = YUBICO_ATR

    def __getattr__(self, name):
        return getattr(self.card, name)


def token(*refs, **options):
    """A desk with a token that has P-256 keys with certificates in ``refs``."""
    keys = {ref: (key := p256(), certificate(key, f"{ref:02X}")) for ref in refs or (0x9A, 0x9D)}
    desk = new_desk(keys=keys, **options)
    desk.card = Token(desk.card)
    desk.connect()
    desk.made = keys
    return desk


def put(desk, tag, content):
    """Another program writes an object."""
    with admin(desk.elsewhere()) as driver:
        driver.view.write(tag, content)


def record(name, slot=0x9A, **fields):
    made = {"key_spec": KEY_EXCHANGE, "key_size_bits": 256, "flags": 1} | fields
    return MapRecord(name, slot, **made)


def windows_made(desk, *records):
    put(desk, MAP, build_container_map(records))


def on_card(desk):
    with desk.elsewhere().driver() as driver:
        content = driver.view.content(MAP)
        return [] if content is None else parse_container_map(content)


def listed(desk):
    with desk.driver() as driver:
        return {entry.reference: entry.name for entry in driver.containers()}


# --- made on Windows, seen here --------------------------------------------------------------------------------------


def test_a_container_made_on_windows_is_seen_under_its_name_everywhere():
    desk = token()
    windows_made(desk, record("le-Ada-1234"))
    with desk.driver() as driver:
        assert next(entry.name for entry in driver.containers()) == "le-Ada-1234"
        assert driver.container(0).name == "le-Ada-1234"
        assert driver.index_of("LE-ada-1234") == 0
        assert parse_cmapfile(driver.read_file("mscp", "cmapfile"))[0].guid == "le-Ada-1234"
        assert driver.container(2).name == names.container_name(GUID, spec.TAG_KEY_MANAGEMENT_CERT)
        with pytest.raises(NotFound):
            driver.index_of(COMPUTED_9A)


@pytest.mark.parametrize("digest", [fingerprint, lambda der: hashlib.sha1(der).digest()])
def test_a_record_with_the_certificates_fingerprint_counts(digest):
    desk = token()
    windows_made(desk, record("mine", fingerprint=digest(der(desk.made[0x9A][1]))))
    assert listed(desk)["9A"] == "mine"


def test_a_card_without_stable_names_has_those_of_its_map():
    desk = token(chuid_guid=b"")
    windows_made(desk, record("kept"))
    first, second = listed(desk), listed(desk)
    assert first["9A"] == second["9A"] == "kept"
    assert first["9D"] != second["9D"]
    with desk.driver() as driver:
        assert driver.index_of("kept") == 0
        assert driver.index_of(first["9D"]) == 2


def test_the_maps_default_container_is_the_default_one():
    desk = token()
    windows_made(desk, record("a"), record("b", 0x9D, flags=3))
    with desk.driver() as driver:
        assert [entry.is_default for entry in driver.containers()] == [False, True]
        assert (driver.container(0).is_default, driver.container(2).is_default) == (False, True)
    windows_made(desk, record("c", 0x9C, flags=3))
    with desk.driver() as driver:
        assert [entry.is_default for entry in driver.containers()] == [True, False]


def test_a_key_without_certificate_in_the_map_is_a_container_when_the_card_confirms_it():
    desk = token(0x9A)
    with admin(desk.elsewhere()) as driver:
        driver.create_container(2, KEY_EXCHANGE, 256)
        put_key = driver.public_key(2)
    windows_made(desk, record("pending", 0x9D), record("nothing there", 0x82))
    with desk.driver() as driver:
        found = {entry.reference: entry for entry in driver.containers()}
        assert found["9D"].name == "pending"
        assert not found["9D"].has_certificate
        assert driver.public_key(2) == put_key
        assert "82" not in found
        assert [(orphan.where, orphan.kind) for orphan in driver.orphans()] == [
            ("9D", OrphanKind.KEY_WITHOUT_CERTIFICATE),
            ("82", OrphanKind.RECORDS_DIFFER),
        ]


def test_a_rename_by_another_program_is_noticed_though_it_changes_no_length():
    desk = token()
    records = [record(f"name {ref:02X}", ref) for ref in (0x9C, 0x9E, 0x9D, 0x9A)]
    windows_made(desk, *records)
    assert listed(desk)["9A"] == "name 9A"
    windows_made(desk, *records[:3], record("name 99", 0x9A))
    assert listed(desk)["9A"] == "name 99"


def test_a_change_of_the_map_moves_cardcf():
    desk = token()
    with desk.driver() as driver:
        before = driver.read_file(None, "cardcf")
    windows_made(desk, record("new"))
    with desk.driver() as driver:
        assert driver.read_file(None, "cardcf") != before


# --- stale records ---------------------------------------------------------------------------------------------------

STALE = {
    "another certificate's": record("x", fingerprint=bytes(range(20))),
    "a certificate that is gone": record("x", 0x9C, fingerprint=bytes(range(20))),
    "no such slot": record("x", 0xF9),
    "no name": record(""),
    "a name with an escape sequence": record("\x1b[31mred"),
    "another container's computed name": record(COMPUTED_9A.upper(), 0x9D),
}


@pytest.mark.parametrize("stale", STALE.values(), ids=STALE)
def test_a_stale_record_is_ignored_and_named(stale):
    desk = token()
    plain = listed(desk)
    windows_made(desk, stale)
    assert listed(desk) == plain
    with desk.driver() as driver:
        (orphan,) = driver.orphans()
        assert orphan.where == f"{stale.slot:02X}"
        assert orphan.detail


def test_the_first_of_two_records_for_a_slot_or_name_counts():
    desk = token()
    windows_made(desk, record("first"), record("second"), record("FIRST", 0x9D))
    assert listed(desk)["9A"] == "first"
    with desk.driver() as driver:
        assert [orphan.where for orphan in driver.orphans()] == ["9A", "9D"]


def test_a_free_record_is_neither_used_nor_named():
    desk = token()
    windows_made(desk, record("free", flags=0))
    assert listed(desk)["9A"] == COMPUTED_9A
    with desk.driver() as driver:
        assert driver.orphans() == []


@pytest.mark.parametrize("content", [b"\x81\x01x", b"\x82\x00", b"junk", b"\x81\x84\xff\xff\xff\xff"])
def test_a_damaged_map_hides_no_container(content):
    desk = token()
    put(desk, MAP, content)
    assert listed(desk)["9A"] == COMPUTED_9A
    with desk.driver() as driver:
        (orphan,) = driver.orphans()
        assert orphan.where == "5FFF10"


def test_repair_removes_stale_records_and_leaves_the_others():
    desk = token()
    good = record("good", 0x9D)
    windows_made(desk, record("", 0x9A), good, good)
    with admin(desk) as driver:
        assert len(driver.repair()) == 2
        assert driver.orphans() == []
    assert on_card(desk) == [good]


def test_repair_wants_the_management_key_and_no_read_only_card():
    desk = token()
    windows_made(desk, record(""))
    desk.reinsert()
    with desk.driver() as driver, pytest.raises(NotAuthenticated):
        driver.repair()
    desk.policy = {"piv.write": False}
    with desk.driver() as driver, pytest.raises(Unsupported):
        driver.repair()


# --- made here, seen on Windows --------------------------------------------------------------------------------------


def test_a_container_made_here_gets_a_record_with_its_name():
    desk = token(0x9A)
    with admin(desk) as driver:
        driver.create_container(1, SIGNATURE, 256)
    (made,) = on_card(desk)
    assert made == MapRecord(names.container_name(GUID, spec.TAG_SIGNATURE_CERT), 0x9C, SIGNATURE, 256)
    cert = certificate(p256())
    with admin(desk) as driver:
        driver.write_certificate(1, der(cert))
    assert on_card(desk) == [replace(made, fingerprint=fingerprint(der(cert)))]


def test_a_container_made_on_a_card_without_stable_names_keeps_its_name():
    desk = token(0x9A, chuid_guid=b"")
    with admin(desk) as driver:
        driver.create_container(2, KEY_EXCHANGE, 256)
        first = driver.container(2).name
    assert listed(desk)["9D"] == listed(desk)["9D"] == first


def test_a_new_key_and_a_renewed_certificate_keep_the_name_that_windows_gave():
    desk = token()
    windows_made(
        desk, record("le-1", flags=3, pin_id=3, ecdh_container=7, fingerprint=fingerprint(der(desk.made[0x9A][1])))
    )
    with admin(desk) as driver:
        driver.create_container(0, KEY_EXCHANGE, 2048)
    assert on_card(desk) == [record("le-1", key_size_bits=2048, flags=3, pin_id=3, ecdh_container=7)]
    cert = der(certificate(p256()))
    with admin(desk) as driver:
        driver.write_certificate(0, cert)
        assert driver.container(0).name == "le-1"
        driver.write_certificate(0, der(certificate(p256(), "renewed")))
    assert listed(desk)["9A"] == "le-1"
    with admin(desk) as driver:
        driver.delete_certificate(0)
    (left,) = on_card(desk)
    assert not left.names_certificate
    assert listed(desk)["9A"] == "le-1"


def test_deleting_a_key_deletes_its_records_and_the_last_one_the_object():
    desk = token()
    windows_made(desk, record("a"), record("other", 0x9D), record("b"))
    with admin(desk) as driver:
        driver.delete_container(0)
    assert [left.name for left in on_card(desk)] == ["other"]
    with admin(desk) as driver:
        driver.delete_container(2)
        assert driver.view.object(MAP).content is None


def test_writing_cmapfile_names_the_containers_for_windows():
    desk = token(0x9A, 0x9C)
    with admin(desk) as driver:
        records = parse_cmapfile(driver.read_file("mscp", "cmapfile"))
        records[0] = replace(records[0], guid="my first", flags=1)
        records[1] = replace(records[1], guid="my second", flags=3)
        driver.write_file("mscp", "CMAPFILE", build_cmapfile(records))
        assert parse_cmapfile(driver.read_file("mscp", "cmapfile")) == records
    first, second = on_card(desk)
    assert first == record("my first", fingerprint=fingerprint(der(desk.made[0x9A][1])))
    assert (second.name, second.slot, second.key_spec, second.flags) == ("my second", 0x9C, SIGNATURE, 3)
    desk.reinsert()
    assert listed(desk) == {"9A": "my first", "9C": "my second"}


def test_a_cmapfile_without_valid_records_deletes_the_object():
    desk = token()
    windows_made(desk, record("a"))
    with admin(desk) as driver:
        driver.write_file("mscp", "cmapfile", b"")
    assert on_card(desk) == []
    assert listed(desk)["9A"] == COMPUTED_9A


VALID = ContainerMapRecord("a", 1, 0, 256)


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        build_cmapfile([VALID, replace(VALID, guid="A", sig_key_size_bits=256)]),
        build_cmapfile([replace(VALID, sig_key_size_bits=256, key_exchange_key_size_bits=0)]),
        build_cmapfile([replace(VALID, guid="")]),
        build_cmapfile([replace(VALID, guid="a\nb")]),
    ],
    ids=["no records", "two of one name", "a signature key in 9A", "no name", "a line feed in a name"],
)
def test_a_cmapfile_that_cannot_be_is_refused_and_changes_nothing(data):
    desk = token()
    windows_made(desk, record("kept"))
    with admin(desk) as driver, pytest.raises(BadParameter):
        driver.write_file("mscp", "cmapfile", data)
    assert on_card(desk) == [record("kept")]


def test_a_container_beyond_the_slots_has_no_room():
    desk = token()
    with admin(desk) as driver, pytest.raises(WinError) as failure:
        driver.write_file("mscp", "cmapfile", build_cmapfile([ContainerMapRecord()] * 24 + [VALID]))
    assert failure.value.name == "SCARD_E_WRITE_TOO_MANY"


def test_writing_cmapfile_wants_the_management_key_and_a_card_that_is_not_read_only():
    desk = token()
    data = build_cmapfile([VALID])
    with desk.driver() as driver, pytest.raises(NotAuthenticated):
        driver.write_file("mscp", "cmapfile", data)
    desk.policy = {"piv.write": False}
    with desk.driver() as driver, pytest.raises(Unsupported):
        driver.write_file("mscp", "cmapfile", data)


# --- what it costs ---------------------------------------------------------------------------------------------------


def cost_of_listing(desk):
    desk.reinsert()
    with desk.driver() as driver:
        driver.containers()
    return desk.exchanges


def test_a_card_that_is_not_known_to_have_a_map_pays_nothing_and_one_that_is_pays_one():
    plain = new_desk(keys=token().made)
    assert cost_of_listing(token()) == cost_of_listing(plain) + 1


@pytest.mark.parametrize(("choice", "seen"), [("always", "from map"), ("auto", COMPUTED_9A), ("never", COMPUTED_9A)])
def test_policy_decides_for_cards_whose_atr_does_not_tell(choice, seen):
    keys = {0x9A: (key := p256(), certificate(key))}
    desk = new_desk(keys=keys, policy={"piv.container_map": choice})
    windows_made(desk, record("from map"))
    assert listed(desk)["9A"] == seen


def test_policy_may_say_that_a_token_has_none():
    desk = token(policy={"piv.container_map": "never"})
    windows_made(desk, record("from map"))
    assert listed(desk)["9A"] == COMPUTED_9A
    with admin(desk) as driver:
        driver.create_container(0, KEY_EXCHANGE, 256)
    assert on_card(desk) == [record("from map")]


def test_listing_again_costs_nothing():
    desk = token()
    windows_made(desk, record("a"))
    assert cost_of_listing(desk)
    with desk.driver() as driver:
        driver.containers()
        driver.container(0)
        driver.read_file("mscp", "cmapfile")
    assert desk.exchanges == 0


# --- msroots ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2800, 2801, 14000])
def test_msroots_is_written_in_pieces_and_read_again(size):
    desk = token()
    data = bytes(number % 251 for number in range(size))
    with admin(desk) as driver:
        driver.create_file("mscp", "msroots", 0, 1)
        driver.write_file("mscp", "msroots", data)
    with desk.elsewhere().driver() as driver:
        assert driver.read_file("mscp", "msroots") == data
        tags = [tlv.parse_one(driver.view.content(0x5FFF11 + number)).tag for number in range((size + 2799) // 2800)]
    assert tags == [0x83] * (len(tags) - 1) + [0x82]  # more follows; the last one


def test_a_cut_while_msroots_is_written_never_mixes_two():
    old, new = b"o" * 6000, b"n" * 6000
    for cut in range(4):
        desk = token()
        with admin(desk) as driver:
            driver.create_file("mscp", "msroots", 0, 1)
            driver.write_file("mscp", "msroots", old)
            writes, write = [], driver.view.write

            def counted(tag, content, writes=writes, write=write, cut=cut):
                if len(writes) == cut:
                    raise WinError(1, "cut")
                writes.append(tag)
                write(tag, content)

            driver.view.write = counted
            with pytest.raises(WinError):
                driver.write_file("mscp", "msroots", new)
        with desk.elsewhere().driver() as driver:
            try:
                found = driver.read_file("mscp", "msroots")
            except NotFound:
                found = None
        assert found in (old, new, None)
