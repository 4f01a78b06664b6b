"""GIDS cards that are not ours: each quirk of theirs, laid over the virtual card, and what is left of a foreign cut."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from gidsdesk import ADMIN_KEY, NAMES, PIN, Desk, certificate, der, four_keys, new_desk, p256, rsa_key, user

from calais.cards.gids import keymap, spec
from calais.iso7816 import tlv
from calais.minidriver.orphans import OrphanKind
from calais.minidriver.padding import Pkcs1, Raw
from calais.transport.base import Channel
from calais.transport.loopback import LoopbackTransport
from calais.win.errors import NotAuthenticated, NotFound, Unsupported

DIGEST = bytes(range(32))


class Quirk(LoopbackTransport):
    """A card whose answers another function may change: (command, answer) -> answer."""

    def __init__(self, card, change):
        super().__init__(card)
        self.change = change

    def transmit(self, command):
        return self.change(command, super().transmit(command))


def with_quirk(desk, change, *, extended=None):
    desk.channel.close()
    desk.channel = Channel(Quirk(desk.card, change), extended=extended)
    return desk


def test_a_card_that_tells_the_tries_of_a_verified_pin_is_believed_to_be_verified():
    desk = with_quirk(
        new_desk(),
        lambda command, answer: b"\x63\xc3" if command[1:4] == b"\x20\0\x80" and len(command) <= 5 else answer,
    )
    with desk.driver() as driver:
        assert driver.authenticated() == 0
        driver.authenticate(1, PIN)
        assert driver.pin_status(1).verified
        assert driver.authenticated() == 2
        driver.deauthenticate(2)
        assert not driver.pin_status(1).verified


def no_commands_of_ours(command, answer):
    if command[0] & 0x80:
        return b"\x6e\0"
    if command[1:4] == b"\xcb\x3f\xff" and b"\xdf\x7e" in command:
        return b"\x6a\x80"
    return answer


def test_a_card_without_our_commands_does_all_that_is_not_ours():
    desk = with_quirk(new_desk(keys=four_keys()), no_commands_of_ours)
    with user(desk) as driver:
        assert driver.pin_list() == 6
        assert driver.session_pins == 0
        assert driver.key_import == 1
        assert driver.pin_status(2).attempts_left is None
        space = driver.free_space()
        assert (space.bytes_available, space.key_containers_available) == (0xFFFFFFFF, 122)
        for absent in (
            lambda: driver.make_session_pin(1, PIN),
            lambda: driver.shared_key(b"\x03" + bytes(16)),
        ):
            with pytest.raises(Unsupported):
                absent()
        driver.authenticate_admin(ADMIN_KEY)


def test_a_card_without_admin_key_and_without_status_is_asked_for_the_key():
    desk = with_quirk(new_desk(admin_key=None), no_commands_of_ours)
    with desk.driver() as driver:
        assert driver.pin_list() == 2


def external_only(command, answer):
    if command[1] == 0xA4 and answer.endswith(b"\x90\0"):
        return answer.replace(bytes.fromhex("4001C0"), bytes.fromhex("400180"))
    return answer


def test_a_card_that_only_checks_the_host_is_answered():
    desk = with_quirk(new_desk(), external_only)
    with desk.driver() as driver:
        assert driver.view.application.mutual is False
        driver.authenticate_admin(ADMIN_KEY)
        assert driver.authenticated() == 4


def no_long_lengths(command, answer):
    return b"\x67\0" if len(command) > 5 and command[4] == 0 else answer


def test_a_card_that_refuses_the_long_lengths_it_promises_gets_short_ones():
    desk = with_quirk(new_desk(keys=four_keys()), no_long_lengths)
    with user(desk) as driver:
        assert len(driver.containers()) == 4
        assert driver.certificate(0)
        driver.write_certificate(0, der(certificate(p256(), size=1500)))
    assert not desk.channel.extended


def test_a_card_that_forgets_its_environment_gets_it_again():
    forgetting = []

    def forget(command, answer):
        if command[1] == 0x2A and forgetting:
            forgetting.pop()
            return b"\x69\x85"
        return answer

    desk = with_quirk(new_desk(keys=four_keys()), forget)
    with user(desk) as driver:
        for _ in range(2):
            assert len(driver.sign(0, 1, DIGEST, Raw())) == 64
        forgetting.append(1)
        assert len(driver.sign(0, 1, DIGEST, Raw())) == 64
        assert not forgetting


def test_a_card_that_ends_the_authentication_by_itself_says_so_in_the_signature():
    ended = []
    desk = with_quirk(
        new_desk(keys=four_keys()), lambda command, answer: b"\x69\x82" if command[1] == 0x2A and ended else answer
    )
    with user(desk) as driver:
        driver.sign(0, 1, DIGEST, Raw())
        ended.append(1)
        for _ in range(2):
            with pytest.raises(NotAuthenticated):
                driver.sign(0, 1, DIGEST, Raw())
        ended.clear()
        driver.authenticate(1, PIN)
        driver.sign(0, 1, DIGEST, Raw())


def as_der(command, answer):
    if command[1:4] == b"\x2a\x9e\x9a" and len(answer) == 66:
        return encode_dss_signature(*(int.from_bytes(half, "big") for half in (answer[:32], answer[32:64]))) + b"\x90\0"
    return answer


def test_a_card_that_signs_in_der_is_understood():
    desk = with_quirk(new_desk(keys=four_keys()), as_der)
    with user(desk) as driver:
        raw = driver.sign(0, 1, DIGEST, Raw())
        signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        driver.public_key(0).verify(signature, DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_a_card_that_does_not_answer_generation_with_the_key_is_asked_for_it():
    desk = with_quirk(new_desk(), lambda command, answer: b"\x90\0" if command[1] == 0x47 else answer)
    with user(desk) as driver:
        assert driver.create_container(0, 3) == driver.public_key(0)


def no_curves(command, answer):
    return b"\x6a\x80" if command[1] == 0xE0 and b"\x80\x01\x1c" in command else answer


def test_a_card_without_curves_says_so_and_keeps_nothing():
    desk = with_quirk(new_desk(), no_curves)
    with user(desk) as driver:
        with pytest.raises(Unsupported):
            driver.create_container(0, 3)
        assert driver.view.key_map() == ()
        assert driver.create_container(0, 1, 1024)


def silent_select(command, answer):
    return b"\x90\0" if command[1] == 0xA4 and answer.endswith(b"\x90\0") else answer


def test_a_card_that_does_not_name_its_application_is_known_by_its_files():
    desk = with_quirk(
        new_desk(keys=four_keys()),
        lambda command, answer: silent_select(command, answer) if b"\x42\x54\x46\x59" in command else answer,
    )
    with desk.driver() as driver:
        assert len(driver.containers()) == 4


# --- maps of others --------------------------------------------------------------------------------------------------


def test_a_card_without_key_map_is_used_by_the_rule():
    desk = new_desk(keys=four_keys())
    with user(desk) as driver:
        driver.view.write(spec.KEY_MAP, b"")
    with user(Desk(desk.card)) as driver:
        assert len(driver.sign(0, 1, DIGEST, Raw())) == 64
        assert len(driver.sign(1, 2, DIGEST, Raw())) == 64
        kinds = [orphan.kind for orphan in driver.orphans()]
        assert kinds.count(OrphanKind.CONTAINER_WITHOUT_KEY) == 4
        driver.repair()
        assert driver.orphans() == []
        assert [record.key_spec for record in driver.view.key_map()] == [1, 2, 1, 1]


def test_a_key_elsewhere_is_found_where_the_key_map_says():
    key = rsa_key(1024)
    desk = new_desk(keys=[("a", 1, key, None), ("b", 1, rsa_key(1024, 1), None)])
    with user(desk) as driver:
        swapped = tuple(reversed(driver.view.key_map()))
        driver.view.write(spec.KEY_MAP, keymap.build(swapped))
        assert driver.public_key(1) == key.public_key()
        assert len(driver.sign(1, 1, DIGEST, Pkcs1("sha256"))) == 128


def test_a_container_that_has_lost_its_key_is_named_and_given_up_only_when_told_to():
    desk = new_desk(keys=four_keys())
    with user(desk) as driver:
        driver.delete_container(2)
        (found,) = driver.orphans()
        assert (found.kind, found.index, found.where) == (OrphanKind.CONTAINER_WITHOUT_KEY, 2, "83")
        driver.repair()
        assert driver.certificate(2)
        assert [entry.name for entry in driver.containers()] == list(NAMES)
        driver.repair(remove=True)
        assert driver.orphans() == []
        assert [entry.index for entry in driver.containers()] == [0, 1, 3]
        assert driver.enum_files("mscp") == ["cmapfile", "kxc00", "ksc01", "kxc03"]


def test_a_key_that_no_container_names_is_deleted_only_when_told_to():
    desk = new_desk()
    with user(desk) as driver:
        driver.create_container(0, 3)
        driver.create_container(1, 3)
        assert [orphan.kind.name for orphan in driver.orphans()].count("KEY_WITHOUT_CONTAINER") == 2
        driver.repair(remove=True)
        assert driver.containers() == []
        with pytest.raises(NotFound):
            driver.public_key(0)
        assert driver.orphans() == []


def test_certificates_with_decimal_names_of_others_are_found():
    desk = new_desk()
    some = der(certificate(p256()))
    with user(desk) as driver:
        driver.view.write(spec.KEY_MAP, keymap.build([keymap.FREE] * 10 + [keymap.record_for(10, 12, 1)]))
        driver.create_file("mscp", "kxc10", 0, 1)
        driver.write_file("mscp", "kxc10", some)
        assert driver.certificate(10) == some
        assert driver.certificate(16) == some


def test_an_empty_certificate_file_is_no_certificate():
    desk = new_desk(keys=four_keys())
    with user(desk) as driver:
        driver.delete_certificate(0)
        driver.create_file("mscp", "kxc00", 0, 1)
        assert driver.certificate(0) is None


def test_tlv_of_the_application_is_what_the_quirk_changes():
    card = new_desk().card
    card.process(bytes.fromhex("00A4040009A0000003974254465900"))
    assert tlv.build(0x40, b"\xc0") in card.process(bytes.fromhex("00A4040009A0000003974254465900"))
