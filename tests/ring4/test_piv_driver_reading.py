"""Identity, containers, names, files and freshness of a PIV card through the driver."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pivdesk import GUID, INDEX, admin, certificate, der, four_keys, new_desk, p256, rsa_key

from calais.cards.piv import edge, objects, spec
from calais.iso7816 import tlv
from calais.minidriver.files import parse_cardcf
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, NotFound, Unsupported, WinError
from calais.win.structs import ContainerMapRecord

NAME = "aaab58a2-8a92-4de0-81d8-00f55d5fc1{:02x}"


@pytest.fixture(scope="module")
def four():
    return four_keys(600)


def put(desk, tag, content):
    """Write an object as another program does."""
    with admin(desk.elsewhere()) as driver:
        edge.put_data(driver.tx, tag, content)


# --- identity --------------------------------------------------------------------------------------------------------


def test_the_card_id_is_the_guid_of_the_chuid(four):
    desk = new_desk(keys=four)
    with desk.driver() as driver:
        identity = driver.identity()
        assert identity.card_id == driver.read_file(None, "cardid") == driver.get_property("Card Identifier") == GUID
        assert identity.has_stable_names
        assert driver.card_name == "Identity Device (NIST SP 800-73 [PIV])"


@pytest.mark.parametrize("guid", [b"", bytes(16)])
def test_a_card_without_usable_chuid_has_an_id_all_the_same(four, guid):
    ids = []
    for keys in (four, four_keys(600)):
        desk = new_desk(keys=keys, chuid_guid=guid)
        with desk.driver() as driver:
            ids.append(driver.identity().card_id)
            assert not driver.identity().has_stable_names
        desk.reinsert()
        with desk.driver() as driver:
            assert driver.identity().card_id == ids[-1]
    assert ids[0] != ids[1]
    assert all(len(one) == 16 and any(one) for one in ids)


def test_another_card_in_the_reader_is_another_card(four):
    desk = new_desk(keys=four)
    with desk.driver() as driver:
        first = driver.certificate(0)
        driver.pin_status(1)
    desk.card = new_desk(keys=four_keys(600), chuid_guid=bytes(range(16))).card
    desk.connect()
    with desk.driver() as driver:
        assert driver.identity().card_id == bytes(range(16))
        assert driver.certificate(0) != first


def test_two_cards_with_the_same_chuid_never_show_each_others_certificates():
    one, other = four_keys(600), {0x9A: (key := p256(), certificate(key, size=600))}
    for guid in (GUID, b""):
        desk = new_desk(keys=one, chuid_guid=guid)
        with desk.driver() as driver:
            assert len(driver.containers()) == 4
        desk.card = new_desk(keys=other, chuid_guid=guid).card
        desk.connect()
        with desk.driver() as driver:
            assert [entry.reference for entry in driver.containers()] == ["9A"]
            assert driver.certificate(0) == der(other[0x9A][1])


def test_a_chuid_that_another_program_rewrites_changes_id_and_names_within_the_insertion(four):
    desk = new_desk(keys=four)
    with desk.driver() as driver:
        before = driver.containers()[0].name
    chuid = tlv.build(0x30, bytes(25)) + tlv.build(0x34, bytes(range(16))) + tlv.build(0x35, b"20321231") + b"\xfe\0"
    put(desk, spec.TAG_CHUID, chuid)
    with desk.driver() as driver:
        assert driver.identity().card_id == bytes(range(16))
        assert driver.containers()[0].name != before


# --- containers ------------------------------------------------------------------------------------------------------


def test_containers_are_numbered_by_slot(four):
    with new_desk(keys=four).driver() as driver:
        entries = driver.containers()
    assert [(entry.index, entry.reference, entry.key_spec, entry.pin_id) for entry in entries] == [
        (0, "9A", 1, 1),
        (1, "9C", 2, 4),
        (2, "9D", 1, 1),
        (3, "9E", 2, 0),
    ]
    assert [entry.is_default for entry in entries] == [True, False, False, False]
    assert [entry.name for entry in entries] == [NAME.format(tail) for tail in (5, 10, 11, 1)]
    assert {(entry.algorithm, entry.size_bits, entry.has_certificate) for entry in entries} == {("P-256", 256, True)}


def test_without_9a_the_first_container_is_the_default():
    with new_desk(keys={0x9C: (key := p256(), certificate(key))}).driver() as driver:
        assert driver.containers()[0].is_default
        assert driver.container(1).is_default


def test_one_container_is_the_same_as_in_the_list(four):
    with new_desk(keys=four).driver() as driver:
        for entry in driver.containers():
            assert driver.container(entry.index) == entry
            assert driver.index_of(entry.name.upper()) == entry.index


@pytest.mark.parametrize("index", [4, 23, 24, 255])
def test_a_container_that_is_not_there_is_not_found(four, index):
    with new_desk(keys=four).driver() as driver:
        for ask in (driver.container, driver.public_key, driver.container_info):
            with pytest.raises(NotFound) as failure:
                ask(index)
            assert failure.value.code == Code.SCARD_E_NO_KEY_CONTAINER


@pytest.mark.parametrize("index", [-1, 256])
def test_an_impossible_index_is_refused_without_an_exchange(four, index):
    desk = new_desk(keys=four)
    with desk.driver() as driver:
        assert desk.exchanges
        for ask in (driver.container, driver.public_key, driver.certificate):
            with pytest.raises(BadParameter):
                ask(index)
    assert desk.exchanges == 0


def test_certificate_and_key_are_those_of_the_card(four):
    with new_desk(keys=four).driver() as driver:
        for ref, (key, cert) in four.items():
            assert driver.certificate(INDEX[ref]) == der(cert)
            assert driver.public_key(INDEX[ref]) == key.public_key()
        assert driver.certificate(INDEX[0x82]) is None


def test_the_container_map_is_the_list_in_windows_records(four):
    keys = {0x9A: (rsa_key(), certificate(rsa_key())), 0x9E: four[0x9E]}
    with new_desk(keys=keys).driver() as driver:
        records = ContainerMapRecord.parse_file(driver.read_file("mscp", "cmapfile"))
    assert [(record.flags, record.sig_key_size_bits, record.key_exchange_key_size_bits) for record in records] == [
        (3, 0, 2048),
        (0, 0, 0),
        (0, 0, 0),
        (1, 256, 0),
    ]


def test_public_keys_stand_in_the_blob_of_their_kind(four):
    keys = {0x9A: (rsa_key(), certificate(rsa_key())), 0x9C: four[0x9C]}
    with new_desk(keys=keys).driver() as driver:
        exchange, signature = driver.container_info(0), driver.get_container_property(1, "Container Info")
    assert exchange.key_ex_public_key[4:8] == (0xA400).to_bytes(4, "little")
    assert exchange.sig_public_key == signature.key_ex_public_key == b""
    assert signature.sig_public_key[:4] == b"ECS1"


def test_an_unreadable_certificate_leaves_the_container_in_the_list(four):
    for content in (b"\xff\xff\xff", tlv.build(0x70, b"\x30\x03abc") + tlv.build(0x71, b"\0"), tlv.build(0x71, b"\0")):
        desk = new_desk(keys={0x9E: four[0x9E]})
        put(desk, spec.TAG_PIV_AUTH_CERT, content)
        with desk.driver() as driver:
            entries = driver.containers()
            assert [(entry.reference, entry.algorithm, entry.size_bits) for entry in entries] == [
                ("9A", "", 0),
                ("9E", "P-256", 256),
            ]
            with pytest.raises(BadData):
                driver.public_key(0)


def test_a_certificate_file_that_cannot_be_read_says_so(four):
    desk = new_desk(keys={0x9A: four[0x9A]})
    put(desk, spec.TAG_PIV_AUTH_CERT, tlv.build(0x70, b"no certificate"))
    with desk.driver() as driver:
        for read in (lambda: driver.read_file("mscp", "kxc00"), lambda: driver.certificate(0)):
            with pytest.raises(BadData) as failure:
                read()
            assert failure.value.code == Code.SCARD_E_COMM_DATA_LOST


def test_a_certificate_for_a_key_that_no_piv_card_has_is_listed_and_read():
    desk = new_desk()
    foreign = der(certificate(ec.generate_private_key(ec.SECP521R1())))
    with admin(desk) as driver:
        driver.write_certificate(0, foreign)
        assert [(entry.algorithm, entry.size_bits) for entry in driver.containers()] == [("", 0)]
        assert driver.certificate(0) == foreign
        with pytest.raises(Unsupported):
            driver.public_key(0)


def test_the_key_history_says_which_retired_slots_are_looked_at(four):
    desk = new_desk(keys=four)
    retired = der(certificate(p256(), "retired"))
    put(desk, spec.TAG_RETIRED_CERT_1, objects.build_certificate(retired, compress=False))
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
    put(desk, spec.TAG_KEY_HISTORY, objects.KeyHistory(1).build())
    with desk.driver() as driver:
        assert [entry.reference for entry in driver.containers()][4:] == ["82"]
        assert driver.certificate(INDEX[0x82]) == retired
    put(desk, spec.TAG_KEY_HISTORY, b"\xc1\x01")
    with desk.driver() as driver:
        assert len(driver.containers()) == 4


@pytest.mark.parametrize(("retired", "count"), [("all", 2), ("none", 1), ("history", 1)])
def test_policy_says_which_retired_slots_are_looked_at(four, retired, count):
    desk = new_desk(keys={0x9A: four[0x9A]}, policy={"piv.retired_keys": retired})
    content = objects.build_certificate(der(four[0x9C][1]), compress=True)
    put(desk, spec.TAG_RETIRED_CERT_1 + 19, content)
    with desk.driver() as driver:
        assert len(driver.containers()) == count


# --- volatile names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("guid", "policy"), [(b"", {}), (bytes(16), {}), (GUID, {"piv.container_names": "volatile"})])
def test_without_usable_guid_every_enumeration_makes_new_names(four, guid, policy):
    desk = new_desk(keys=four, chuid_guid=guid, policy=policy)
    with desk.driver() as driver:
        first, second = driver.containers(), driver.containers()
        names = {entry.name for entry in first + second}
        assert len(names) == 8
        assert not any("5fc1" in name[-6:] for name in names)
        for entry in first + second:
            assert driver.index_of(entry.name) == entry.index
        assert driver.container(0).name == second[0].name
    with desk.driver() as driver:
        assert driver.index_of(first[2].name) == 2


def test_volatile_names_end_with_the_insertion(four):
    desk = new_desk(keys=four, chuid_guid=b"")
    with desk.driver() as driver:
        name = driver.containers()[0].name
    desk.reinsert()
    with desk.driver() as driver:
        with pytest.raises(NotFound) as failure:
            driver.index_of(name)
        assert failure.value.code == Code.SCARD_E_NO_KEY_CONTAINER
        assert "propagate" in failure.value.next_step


def test_volatile_names_are_unknown_to_another_program(four):
    desk = new_desk(keys=four, chuid_guid=b"")
    with desk.driver() as driver:
        name = driver.containers()[0].name
    other = desk.elsewhere()
    other.memo.random = lambda size: bytes(range(size))
    with other.driver() as driver, pytest.raises(NotFound):
        driver.index_of(name)


def test_reading_the_container_map_is_an_enumeration(four):
    with new_desk(keys=four, chuid_guid=b"").driver() as driver:
        assert driver.read_file("mscp", "cmapfile") != driver.read_file("mscp", "cmapfile")


# --- files -----------------------------------------------------------------------------------------------------------


def test_every_file_that_is_listed_can_be_read(four):
    with new_desk(keys=four).driver() as driver:
        assert driver.enum_files(None) == ["cardid", "cardcf", "cardapps"]
        assert driver.enum_files("MSCP") == ["cmapfile", "kxc00", "ksc01", "kxc02", "ksc03"]
        for directory in (None, "mscp"):
            for name in driver.enum_files(directory):
                content = driver.read_file(directory, name)
                info = driver.file_info(directory, name.upper())
                assert info.file_size == len(content) > 0
                assert info.access_condition == (3 if name == "cardid" else 1)


def test_certificate_files_are_plain_der(four):
    with new_desk(keys=four).driver() as driver:
        assert driver.capabilities().certificate_compression
        assert driver.read_file("mscp", "KSC01") == der(four[0x9C][1])


@pytest.mark.parametrize(
    ("directory", "name", "code"),
    [
        (None, "kxc00", Code.SCARD_E_FILE_NOT_FOUND),
        ("mscp", "ksc00", Code.SCARD_E_FILE_NOT_FOUND),
        ("mscp", "kxc04", Code.SCARD_E_FILE_NOT_FOUND),
        ("mscp", "kxcFF", Code.SCARD_E_FILE_NOT_FOUND),
        ("mscp", "msroots", Code.SCARD_E_FILE_NOT_FOUND),
        ("other", "cardid", Code.SCARD_E_DIR_NOT_FOUND),
        ("mscp", "much too long", Code.SCARD_E_INVALID_PARAMETER),
        ("mscp", "", Code.SCARD_E_INVALID_PARAMETER),
    ],
)
def test_files_that_are_not_there_are_told_from_names_that_cannot_be(four, directory, name, code):
    with new_desk(keys=four).driver() as driver, pytest.raises(WinError) as failure:
        driver.read_file(directory, name)
    assert failure.value.code == code


def test_the_freshness_counters_are_the_same_for_everyone_and_move_with_the_card(four):
    desk = new_desk(keys=four)
    with desk.driver() as driver:
        before = parse_cardcf(driver.read_file(None, "cardcf"))
    with desk.elsewhere().driver() as driver:
        assert parse_cardcf(driver.read_file(None, "cardcf")) == before
    put(desk, spec.TAG_PIV_AUTH_CERT, objects.build_certificate(der(certificate(p256())), compress=False))
    with desk.driver() as driver:
        after = parse_cardcf(driver.read_file(None, "cardcf"))
    assert after.files_freshness != before.files_freshness
    assert after.containers_freshness != before.containers_freshness


def test_msroots_is_put_together_from_its_pieces():
    desk = new_desk()
    put(desk, spec.TAG_YUBICO_MSROOTS_FIRST, tlv.build(0x83, b"one"))
    with desk.driver() as driver:
        assert "msroots" in driver.enum_files("mscp")
        with pytest.raises(NotFound):
            driver.read_file("mscp", "msroots")
    put(desk, spec.TAG_YUBICO_MSROOTS_FIRST + 1, tlv.build(0x82, b"two"))
    with desk.driver() as driver:
        assert driver.read_file("mscp", "msroots") == b"onetwo"
    put(desk, spec.TAG_YUBICO_MSROOTS_FIRST, b"\x81\x00")
    with desk.driver() as driver, pytest.raises(BadData):
        driver.read_file("mscp", "msroots")


def test_msroots_that_does_not_end_is_bad_data_and_a_read_only_card_has_none():
    desk = new_desk()
    for number in range(5):
        put(desk, spec.TAG_YUBICO_MSROOTS_FIRST + number, tlv.build(0x83, b"more"))
    with desk.driver() as driver, pytest.raises(BadData):
        driver.read_file("mscp", "msroots")
    desk.policy = {"piv.write": False}
    with desk.driver() as driver:
        assert driver.enum_files("mscp") == ["cmapfile"]
        with pytest.raises(NotFound):
            driver.read_file("mscp", "msroots")


# --- never stale -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proof", ["head", "whole"])
@pytest.mark.parametrize("reinsert", [True, False])
@pytest.mark.parametrize("short", [True, False])
def test_what_another_program_wrote_is_found_at_the_next_transaction(four, proof, reinsert, short):
    desk = new_desk(keys={0x9A: four[0x9A], 0x9C: four[0x9C]}, policy={"piv.proof": proof}, short=short)
    with desk.driver() as driver:
        assert len(driver.containers()) == 2
    renewed, added = der(certificate(p256(), size=600)), der(certificate(p256(), size=900))
    with admin(desk.elsewhere()) as driver:
        driver.write_certificate(0, renewed)
        driver.write_certificate(2, added)
        driver.write_certificate(INDEX[0x82], added)
        driver.delete_certificate(1)
    if reinsert:
        desk.reinsert()
    with desk.driver() as driver:
        assert [entry.reference for entry in driver.containers()] == ["9A", "9D", "82"]
        assert driver.certificate(0) == renewed
        assert driver.certificate(1) is None
        assert driver.certificate(2) == driver.certificate(INDEX[0x82]) == added


def test_a_renewed_certificate_of_the_same_length_is_noticed(four):
    key = p256()
    one, other = (der(certificate(key, serial=number, size=800)) for number in (2**100 + 1, 2**100 + 2))
    desk = new_desk()
    with admin(desk) as driver:
        driver.write_certificate(0, one)
    with admin(desk.elsewhere()) as driver:
        driver.write_certificate(0, other)
    with desk.driver() as driver:
        assert driver.certificate(0) == other


def test_a_key_without_certificate_that_another_program_replaced_is_asked_for_again():
    desk = new_desk()
    with admin(desk) as driver:
        first = driver.create_container(0, 3)
    with admin(desk.elsewhere()) as driver:
        second = driver.create_container(0, 3)
    with desk.driver() as driver:
        assert driver.public_key(0) == second != first


def test_an_object_that_is_put_empty_counts_as_absent(four):
    desk = new_desk(keys=four)
    put(desk, spec.TAG_PIV_AUTH_CERT, b"")
    with desk.driver() as driver:
        assert [entry.index for entry in driver.containers()] == [1, 2, 3]
        assert driver.certificate(0) is None


# --- properties ------------------------------------------------------------------------------------------------------


def test_the_properties_of_a_writable_card(four):
    with new_desk(keys=four).driver() as driver:
        assert driver.get_property("Read Only Mode") is False
        assert driver.get_property("Supports Windows x.509 Enrollment") is True
        assert driver.get_property("PIN List") == 0x1E
        assert driver.get_property("Key Import Support") == 1
        assert driver.get_property("Free Space").key_containers_available == 20
        assert driver.get_property("Key Sizes", 3).maximum_bit_len == 256
        assert driver.get_property("Key Sizes").default_bit_len == 2048
        assert driver.get_property("Card Serial Number")
        assert driver.get_property("Algorithms", 2)[0] == "RSA"
        with pytest.raises(Unsupported):
            driver.key_sizes(5)
        with pytest.raises(BadParameter):
            driver.key_sizes(9)
        with pytest.raises(NotFound):
            driver.get_container_property(0, "Associated ECDH Key")  # two containers have one


def test_a_card_that_policy_makes_read_only_is_never_written(four):
    desk = new_desk(keys=four, policy={"piv.write": False})
    with admin(desk) as driver:
        assert driver.get_property("Read Only Mode") is True
        assert driver.free_space().key_containers_available == driver.free_space().bytes_available == 0
        assert not driver.capabilities().key_gen
        desk.channel.counter.clear()
        for change in (
            lambda: driver.create_container(0, 3),
            lambda: driver.generate_key(0, "P256"),
            lambda: driver.delete_container(0),
            lambda: driver.write_certificate(0, der(four[0x9A][1])),
            lambda: driver.delete_certificate(0),
            lambda: driver.write_file("mscp", "kxc00", der(four[0x9A][1])),
            lambda: driver.delete_file("mscp", "kxc00"),
            lambda: driver.change_admin_key(bytes(24)),
        ):
            with pytest.raises(Unsupported):
                change()
    assert desk.exchanges == 0
