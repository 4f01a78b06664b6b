"""The logical file system of a GIDS card through its driver."""

from __future__ import annotations

import pytest
from gidsdesk import CARD_ID, PIN, Desk, admin, certificate, der, four_keys, new_desk, p256, user

from calais.cards.gids import masterfile, spec
from calais.minidriver.files import compress_certificate
from calais.win.errors import BadData, BadParameter, NotAuthenticated, NotFound, Unsupported, WinError

DATA = bytes(range(200))
USER_WRITE, USER_EXECUTE, ADMIN_WRITE, USER_PRIVATE, ADMIN_PRIVATE = 1, 2, 3, 5, 6


@pytest.fixture
def desk():
    return new_desk()


def test_a_new_card_has_the_files_of_every_card(desk):
    with desk.driver() as driver:
        assert driver.enum_files(None) == driver.enum_files("") == ["cardid", "cardapps", "cardcf"]
        assert driver.enum_files("mscp") == ["cmapfile"]
        assert driver.read_file(None, "cardid") == CARD_ID
        assert driver.read_file("", "CARDCF") == bytes(6)
        assert driver.read_file(None, "cardapps") == b"mscp\0\0\0\0"
        assert driver.read_file("MSCP", "cmapfile") == b""
        assert driver.identity().card_id == CARD_ID


@pytest.mark.parametrize(("name", "condition"), [("cardid", 3), ("cardcf", 1), ("cardapps", 1)])
def test_file_info_says_size_and_condition(desk, name, condition):
    with desk.driver() as driver:
        info = driver.file_info(None, name)
        assert info.access_condition == condition
        assert info.file_size == len(driver.read_file(None, name))


def test_a_file_is_made_empty_grows_shrinks_and_goes(desk):
    with user(desk) as driver:
        driver.create_file("mscp", "Notes", 100, USER_WRITE)
        assert driver.read_file("mscp", "notes") == b""
        driver.write_file("mscp", "notes", DATA * 40)
        assert driver.read_file("mscp", "NOTES") == DATA * 40
        driver.write_file("mscp", "notes", b"x")
        assert driver.file_info("mscp", "notes").file_size == 1
        assert driver.enum_files("mscp") == ["cmapfile", "notes"]
        driver.delete_file("mscp", "notes")
        assert driver.enum_files("mscp") == ["cmapfile"]
        with pytest.raises(NotFound, match="FILE_NOT_FOUND"):
            driver.read_file("mscp", "notes")


def test_what_was_written_is_on_the_card(desk):
    with user(desk) as driver:
        driver.create_file(None, "notes", 0, USER_WRITE)
        driver.write_file(None, "notes", DATA)
    with Desk(desk.card).driver() as driver:
        assert driver.read_file(None, "notes") == DATA


def test_a_freed_object_is_used_again(desk):
    with user(desk) as driver:
        for name in ("one", "two", "three"):
            driver.create_file("mscp", name, 0, USER_WRITE)
            driver.write_file("mscp", name, name.encode())
        driver.delete_file("mscp", "two")
        driver.create_file("mscp", "four", 0, USER_WRITE)
        assert driver.read_file("mscp", "four") == b""
        assert driver.read_file("mscp", "three") == b"three"
        assert driver.enum_files("mscp") == ["cmapfile", "one", "three", "four"]
        assert len({entry.place for entry in driver.view.master()}) == len(driver.view.master())


@pytest.mark.parametrize("condition", [1, 2, 3, 5, 6])
def test_each_access_condition_is_kept_and_reported(desk, condition):
    with user(desk) as driver:
        driver.authenticate_admin(bytes(range(1, 25)))
        driver.create_file("mscp", "x", 0, condition)
        driver.write_file("mscp", "x", b"secret")
        if condition != USER_EXECUTE:
            assert driver.file_info("mscp", "x").access_condition == condition


@pytest.mark.parametrize("condition", [0, 4, 7, -1])
def test_other_conditions_make_no_file(desk, condition):
    with user(desk) as driver, pytest.raises(BadParameter):
        driver.create_file("mscp", "x", 0, condition)


def test_the_card_holds_to_the_conditions(desk):
    with user(desk) as driver:
        driver.create_file("mscp", "private", 0, USER_PRIVATE)
        driver.write_file("mscp", "private", b"secret")
        driver.create_file("mscp", "closed", 0, USER_EXECUTE)
        driver.write_file("mscp", "closed", b"secret")
        with pytest.raises(NotAuthenticated):
            driver.read_file("mscp", "closed")
        with pytest.raises(NotAuthenticated):
            driver.write_file(None, "cardid", bytes(16))
        assert driver.read_file("mscp", "private") == b"secret"
        driver.deauthenticate(0xFF)
        for refused in (
            lambda: driver.read_file("mscp", "private"),
            lambda: driver.file_info("mscp", "private"),
            lambda: driver.write_file("mscp", "private", b"x"),
            lambda: driver.write_file(None, "cardcf", bytes(6)),
            lambda: driver.create_file("mscp", "new", 0, USER_WRITE),
            lambda: driver.delete_file("mscp", "private"),
            lambda: driver.create_directory("new", 1),
        ):
            with pytest.raises(NotAuthenticated):
                refused()
        assert "private" in driver.enum_files("mscp")


def test_the_administrator_writes_what_the_user_may_and_cardid(desk):
    with admin(desk) as driver:
        driver.create_file("mscp", "msroots", 0, USER_WRITE)
        driver.write_file("mscp", "msroots", DATA)
        driver.write_file(None, "cardid", bytes(range(16)))
    with Desk(desk.card).driver() as driver:
        assert driver.identity().card_id == bytes(range(16))


def test_directories_are_made_filled_and_deleted_when_empty(desk):
    with user(desk) as driver:
        driver.create_directory("Other", 1)
        assert driver.enum_files("other") == []
        driver.create_file("other", "x", 0, USER_WRITE)
        assert driver.enum_files("OTHER") == ["x"]
        with pytest.raises(WinError) as caught:
            driver.delete_directory("other")
        assert caught.value.code == 145
        driver.delete_file("other", "x")
        driver.delete_directory("other")
        with pytest.raises(NotFound, match="DIR_NOT_FOUND"):
            driver.enum_files("other")


def test_only_the_administrator_changes_a_directory_of_his(desk):
    with user(desk) as driver:
        driver.create_directory("theirs", 2)
        with pytest.raises(NotAuthenticated):
            driver.create_file("theirs", "x", 0, USER_WRITE)
        driver.authenticate_admin(bytes(range(1, 25)))
        driver.create_file("theirs", "x", 0, USER_WRITE)


@pytest.mark.parametrize("condition", [0, 3])
def test_other_conditions_make_no_directory(desk, condition):
    with user(desk) as driver, pytest.raises(BadParameter):
        driver.create_directory("other", condition)


def test_what_exists_is_not_made_again(desk):
    with user(desk) as driver:
        for again in (
            lambda: driver.create_file("mscp", "CMAPFILE", 0, USER_WRITE),
            lambda: driver.create_file(None, "cardcf", 0, USER_WRITE),
            lambda: driver.create_directory("MSCP", 1),
        ):
            with pytest.raises(WinError) as caught:
                again()
            assert caught.value.code == 80


def test_what_is_not_there_is_not_found(desk):
    with user(desk) as driver:
        for absent, code in (
            (lambda: driver.read_file("nowhere", "x"), 0x80100023),
            (lambda: driver.create_file("nowhere", "x", 0, USER_WRITE), 0x80100023),
            (lambda: driver.enum_files("nowhere"), 0x80100023),
            (lambda: driver.delete_directory("nowhere"), 0x80100023),
            (lambda: driver.write_file("mscp", "x", b"x"), 0x80100024),
            (lambda: driver.delete_file("mscp", "x"), 0x80100024),
            (lambda: driver.file_info(None, "cmapfile"), 0x80100024),
        ):
            with pytest.raises(NotFound) as caught:
                absent()
            assert caught.value.code == code


@pytest.mark.parametrize("name", ["", "ninechars", "a/b", "a\\b", "a\0", "ä"])
def test_impossible_names_cost_no_exchange(desk, name):
    with user(desk) as driver:
        driver.containers()
        desk.channel.counter.clear()
        for refused in (
            lambda: driver.read_file("mscp", name),
            lambda: driver.write_file("mscp", name, b"x"),
            lambda: driver.create_file("mscp", name, 0, USER_WRITE),
            lambda: driver.delete_file("mscp", name),
            lambda: driver.create_directory(name, 1),
            lambda: driver.delete_directory(name),
        ):
            with pytest.raises(BadParameter):
                refused()
        assert desk.exchanges == 0


def test_nothing_is_not_written(desk):
    with user(desk) as driver, pytest.raises(BadParameter):
        driver.write_file("mscp", "cmapfile", b"")


def test_the_card_keeps_cardid_and_cardcf(desk):
    with admin(desk) as driver:
        for name in ("cardid", "cardcf"):
            with pytest.raises(BadParameter):
                driver.delete_file(None, name)


def test_no_room_is_said(desk):
    with user(desk) as driver:
        driver.create_file("mscp", "big", 0, USER_WRITE)
        driver.write_file("mscp", "big", bytes(30000))
        with pytest.raises(WinError, match="WRITE_TOO_MANY"):
            driver.write_file("mscp", "big", bytes(33000))
        assert driver.read_file("mscp", "big") == bytes(30000)


def test_a_record_without_its_object_is_damage(desk):
    with user(desk) as driver:
        ghost = masterfile.Entry("mscp", "ghost", 0xDF79, 0xA010)
        driver.view.write(spec.MASTER_FILE, masterfile.build((*driver.view.master(), ghost)))
    with Desk(desk.card).driver() as driver, pytest.raises(BadData, match="data object DF79"):
        driver.read_file("mscp", "ghost")


def test_certificates_are_listed_with_upper_case_digits_and_read_as_they_were_written(desk):
    some = der(certificate(p256()))
    with user(desk) as driver:
        driver.create_file("mscp", "KXC0a", 0, USER_WRITE)
        assert driver.enum_files("mscp") == ["cmapfile", "kxc0A"]
        for form in (compress_certificate(some), some):
            driver.write_file("mscp", "kxc0a", form)
            assert driver.read_file("mscp", "kxc0A") == form


def test_policy_makes_a_card_read_only():
    desk = new_desk(policy={"gids.write": False}, keys=four_keys())
    with desk.driver() as driver:
        driver.authenticate(1, PIN)
        assert driver.read_only
        assert_nothing_is_written(driver)


def test_a_read_only_card_says_so_itself():
    desk = new_desk(read_only=True, keys=four_keys())
    with desk.driver() as driver:
        assert driver.read_only
        assert len(driver.containers()) == 4
        assert_nothing_is_written(driver)
        space = driver.free_space()
        assert (space.bytes_available, space.key_containers_available) == (0, 0)
        assert driver.get_property("Supports Windows x.509 Enrollment") is False
        assert driver.get_property("Key Import Support") == 0
        assert driver.key_import == 0


def assert_nothing_is_written(driver):
    for refused in (
        lambda: driver.write_file("mscp", "cmapfile", b"x"),
        lambda: driver.create_file("mscp", "x", 0, USER_WRITE),
        lambda: driver.delete_file("mscp", "cmapfile"),
        lambda: driver.create_directory("x", 1),
        lambda: driver.delete_directory("mscp"),
        lambda: driver.create_container(0, 3),
        lambda: driver.delete_container(0),
        lambda: driver.write_certificate(0, b"x"),
        lambda: driver.delete_certificate(0),
        lambda: driver.remove_container(0),
        lambda: driver.set_default(0),
        lambda: driver.move_counters(files=True),
        driver.repair,
        lambda: driver.change_admin_key(bytes(24)),
    ):
        with pytest.raises(Unsupported):
            refused()


def test_a_card_that_was_never_set_up_is_known_and_empty():
    desk = new_desk(blank=True)
    with desk.driver() as driver:
        assert len(driver.identity().card_id) == 16
        assert driver.containers() == []
        assert driver.enum_files(None) == []
        with pytest.raises(NotFound):
            driver.read_file(None, "cardid")
