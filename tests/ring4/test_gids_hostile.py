"""A broken or malicious GIDS card makes errors of one kind, in bounded time and memory; nothing else comes out."""

from __future__ import annotations

import zlib

import pytest
from gidsdesk import ADMIN_KEY, PIN, PUK, Dice, certificate, der, four_keys, new_desk, p256, rsa_key
from hypothesis import given, settings
from hypothesis import strategies as st
from pivdesk import Script

from calais.cards.gids import edge, edge_ours, keymap, masterfile, spec
from calais.cards.gids.bookkeeping import NewContainer
from calais.cards.gids.driver import GidsMinidriver
from calais.cards.gids.masterfile import Entry
from calais.cards.gids.sessionkeys import build_blob
from calais.cards.registry import identify
from calais.iso7816 import tlv
from calais.minidriver.memo import CardMemo
from calais.minidriver.padding import Oaep, Pkcs1, Raw
from calais.minidriver.pins import Pin
from calais.transport.base import Channel
from calais.win.errors import BadData, NotFound, PinBlocked, WinError, WrongPin

OK = b"\x90\x00"
DIGEST = bytes(32)
KEY, RSA = p256(), rsa_key(1024)
CERTIFICATE = der(certificate(p256(), serial=7))
FCI = tlv.build(0x61, tlv.build(0x4F, spec.AID))
PEER = bytes.fromhex(
    "046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"
    "4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"
)
EXCHANGES_MAX = 6000  # of one operation below, with answers that never end

OPERATIONS = {
    "identity": lambda card: card.identity(),
    "read only": lambda card: card.read_only,
    "containers": lambda card: card.containers(),
    "containers asked": lambda card: card.containers(probe_keys=True),
    "container": lambda card: card.container(0),
    "container info": lambda card: card.container_info(0),
    "certificate": lambda card: card.certificate(0),
    "public key": lambda card: card.public_key(1),
    "index": lambda card: card.index_of("x"),
    "cmapfile": lambda card: card.read_file("mscp", "cmapfile"),
    "cardcf": lambda card: card.read_file(None, "cardcf"),
    "files": lambda card: card.enum_files("mscp"),
    "file info": lambda card: card.file_info("mscp", "kxc00"),
    "free space": lambda card: card.free_space(),
    "orphans": lambda card: card.orphans(),
    "pin list": lambda card: card.pin_list(),
    "pin info": lambda card: card.pin_info(1),
    "pin status": lambda card: card.pin_status(1),
    "admin status": lambda card: card.pin_status(2),
    "puk status": lambda card: card.pin_status(3),
    "authenticated": lambda card: card.authenticated(),
    "verify": lambda card: card.authenticate(1, PIN),
    "session pins": lambda card: card.session_pins,
    "session pin": lambda card: card.make_session_pin(1, PIN),
    "session": lambda card: card.authenticate_session(1, Pin(bytes(16))),
    "change": lambda card: card.change_pin(1, PIN, PIN),
    "change puk": lambda card: card.change_pin(3, PUK, PUK),
    "unblock": lambda card: card.unblock_pin(1, 3, PUK, PIN),
    "unblock by response": lambda card: card.unblock_pin(1, 2, Pin(card.challenge()), PIN),
    "reset": lambda card: card.reset_pin(ADMIN_KEY, PIN),
    "deauthenticate": lambda card: card.deauthenticate(0xFF),
    "admin": lambda card: card.authenticate_admin(ADMIN_KEY),
    "challenge": lambda card: card.challenge(),
    "answer": lambda card: card.answer_challenge(card.challenge()),
    "admin key": lambda card: card.change_admin_key(ADMIN_KEY),
    "sign": lambda card: card.sign(0, 1, DIGEST, Pkcs1("sha256")),
    "sign ec": lambda card: card.sign(1, 2, DIGEST, Raw()),
    "decrypt": lambda card: card.decrypt(0, 1, bytes(128), Oaep("sha1", "sha1")),
    "agree": lambda card: card.agree(2, PEER),
    "generate": lambda card: card.create_container(0, 3),
    "import": lambda card: card.create_container(7, 3, key=KEY),
    "delete key": lambda card: card.delete_container(0),
    "add": lambda card: card.add_container(NewContainer(key_spec=3, name="x")),
    "add rsa": lambda card: card.add_container(NewContainer(key=RSA, index=4)),
    "remove": lambda card: card.remove_container(0),
    "default": lambda card: card.set_default(1),
    "counters": lambda card: card.move_counters(files=True),
    "repair": lambda card: card.repair(),
    "repair all": lambda card: card.repair(remove=True),
    "write certificate": lambda card: card.write_certificate(1, CERTIFICATE),
    "delete certificate": lambda card: card.delete_certificate(1),
    "create file": lambda card: card.create_file("mscp", "x", 0, 1),
    "write file": lambda card: card.write_file("mscp", "cmapfile", b"x"),
    "delete file": lambda card: card.delete_file("mscp", "x"),
    "create directory": lambda card: card.create_directory("x", 1),
    "delete directory": lambda card: card.delete_directory("x"),
    "card identifier": lambda card: card.set_property("Card Identifier", bytes(16)),
    "key import": lambda card: card.key_import,
    "session key": lambda card: card.import_session_key(0, None, "KeyDataBlob", "AES", bytes(128), 2),
    "shared key": lambda card: card.shared_key(b"\x03" + bytes(16)),
}


def inject(card):
    _, number = card.shared_key(b"\x03" + bytes(16))
    own = card.make_session_key("KeyDataBlob", "AES", build_blob(bytes(32)))
    pieces = card.encrypt_for_card(
        own, "Authenticate", bytes.fromhex("07000000 00000000 01000000 06000000") + PIN.value
    )
    try:
        card.process_encrypted(number, "Authenticate", pieces)
    finally:
        card.destroy_key(number)


OPERATIONS["inject"] = inject


def run_all(answer, *, extended=False):
    """Do everything with a card that answers so; returns the errors. Anything but ``WinError`` fails the test."""
    script = Script(answer)
    channel, errors = Channel(script, extended=extended), []
    memo = CardMemo(random=Dice())
    for _ in range(2):
        for name, operation in OPERATIONS.items():
            with channel.begin() as tx:
                try:
                    operation(GidsMinidriver(tx, memo))
                except WinError as error:
                    errors.append(error)
            assert len(script.sent) < EXCHANGES_MAX, name
            script.sent.clear()
        script.epoch += 1
    return errors


@given(st.data())
@settings(max_examples=40)
def test_random_answers_give_nothing_but_win_errors(data):
    answers = data.draw(st.lists(st.binary(max_size=40), min_size=1, max_size=30))
    good = data.draw(st.lists(st.booleans(), min_size=1, max_size=20))
    count = 0

    def answer(_):
        nonlocal count
        count += 1
        return answers[count % len(answers)] + (OK if good[count % len(good)] else b"")

    run_all(answer, extended=data.draw(st.booleans()))


FULL = [("rsa", 1, RSA, certificate(RSA)), *four_keys(500)[1:]]


def full_card():
    return new_desk(keys=FULL, puk=PUK.value).card


MUTATIONS = st.sampled_from(["cut", "flip", "grow", "status", "empty", "double", "length"])
STATUSES = st.sampled_from(
    [
        0x6100,
        0x61FF,
        0x6C00,
        0x6C10,
        0x6982,
        0x63C1,
        0x6983,
        0x6984,
        0x6A80,
        0x6A82,
        0x6A84,
        0x6A88,
        0x6A89,
        0x6D00,
        0x6F00,
        0x9000,
    ]
)


def mutated(answer, kind, at, value, status):
    body, sw = answer[:-2], answer[-2:]
    at %= max(1, len(body))
    forms = {
        "cut": body[:at] + sw,
        "flip": body[:at] + bytes((value,)) + body[at + 1 :] + sw,
        "grow": body + bytes((value,)) * at + sw,
        "status": body + status.to_bytes(2, "big"),
        "empty": sw,
        "double": body + body + sw,
        "length": body[:2] + b"\x84\xff\xff\xff\xff" + body[2:] + sw,
    }
    return forms[kind]


@given(
    st.lists(st.tuples(MUTATIONS, st.integers(0, 2000), st.integers(0, 255), STATUSES), min_size=1, max_size=8),
    st.integers(1, 9),
    st.booleans(),
)
@settings(max_examples=40)
def test_mutated_answers_of_a_real_card_give_nothing_but_win_errors(mutations, every, extended):
    card = full_card()
    card.process(bytes.fromhex("00A4040009A00000039742544659"))
    count = 0

    def answer(command):
        nonlocal count
        count += 1
        plain = card.process(command)
        return mutated(plain, *mutations[count % len(mutations)]) if count % every == 0 else plain

    run_all(answer, extended=extended)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x61\x00", b"\x61\xff", b"a" * 256 + b"\x61\x00", b"\x6c\x00", b"\x6c\x05", OK, b"", b"\x90",
        b"\xdf\x20\x84\xff\xff\xff\xff" + OK, b"\xdf\x20\x80" + bytes(50) + OK, b"\x7c\x00" + OK, b"\x67\x00", b"\x6f\x00",
        b"\x90\x01", b"\xdf\x1f\x82\x10\x00" + bytes(251) + b"\x61\x00",
    ],
)  # fmt: skip
@pytest.mark.parametrize("extended", [True, False])
def test_a_card_that_always_answers_the_same_is_borne(answer, extended):
    assert run_all(lambda command: FCI + OK if command[1] == 0xA4 else answer, extended=extended)
    run_all(lambda _: answer, extended=extended)


def test_an_object_that_goes_on_after_its_end_is_given_up_there():
    sent = 0

    def endless(command):
        nonlocal sent
        sent += 1
        if command[1] == 0xA4:
            return FCI + OK
        return (b"\xdf\x1f\x82\x04\x00" if command[1] == 0xCB else b"").ljust(256, b"a") + b"\x61\x00"

    with Channel(Script(endless)).begin() as tx, pytest.raises(BadData):
        edge.get_data(tx, *spec.MASTER_FILE)
    assert sent == 1 + 5


# --- lying tables ----------------------------------------------------------------------------------------------------


def lying(lies):
    """A card whose data objects (EF, tag) answer what ``lies`` say."""
    card = full_card()

    def answer(command):
        for (ef, tag), value in lies.items():
            if command[1:4] == b"\xcb" + ef.to_bytes(2, "big") and b"\x5c\x02" + tag.to_bytes(2, "big") in command:
                return tlv.build(tag, value) + OK
        return card.process(command)

    return Script(answer, atr=card.atr)


def driver_of(script, tx):
    driver = identify(tx, CardMemo(random=Dice()))
    assert isinstance(driver, GidsMinidriver)
    return driver


def record(name=b"", flags=1, sig=256, exchange=0):
    return name.ljust(80, b"\0") + bytes((flags, 0)) + sig.to_bytes(2, "little") + exchange.to_bytes(2, "little")


HOSTILE_NAMES = [
    "..\\..\\etc\\passwd".encode("utf-16-le"), "\x1b[2J".encode("utf-16-le"), b"\xd8\x00" * 20, b"\x41\x00" * 40,
    "<script>alert(1)</script>".encode("utf-16-le"), "'; DROP TABLE x; --".encode("utf-16-le"),
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
def test_a_hostile_container_name_is_a_name_or_damage(name):
    script = lying({spec.CONTAINER_MAP: record(name)})
    with Channel(script).begin() as tx:
        driver = driver_of(script, tx)
        try:
            entries = driver.containers()
        except BadData:
            return
        assert len(entries) == 1
        assert len(entries[0].name) <= 39


@pytest.mark.parametrize("count", [127, 300, 381])
def test_a_container_map_of_more_records_than_a_card_has_keys_is_borne(count):
    script = lying({spec.CONTAINER_MAP: record(b"a\0") * count})
    with Channel(script).begin() as tx:
        driver = driver_of(script, tx)
        assert len(driver.containers()) == count
        with pytest.raises(NotFound):
            driver.public_key(200)
        assert len(script.sent) < 50


def test_two_defaults_and_two_containers_of_one_name_are_borne():
    script = lying({spec.CONTAINER_MAP: record(b"a\0", 3) * 3})
    with Channel(script).begin() as tx:
        entries = driver_of(script, tx).containers()
    assert [entry.is_default for entry in entries] == [True, False, False]


@pytest.mark.parametrize(
    "master",
    [
        b"", b"\2", b"\1" + b"\xff" * 28, b"\1" + bytes(27), b"\1" + bytes(28) * 1000,
        masterfile.build([Entry("mscp", "cmapfile", 0xDF1F, 0xA000)]), masterfile.build([Entry("mscp", "cmapfile", 0xFFFFFFFF, 0xFFFFFFFF)]),
        masterfile.build([Entry("mscp", "cmapfile", 0, 0)]), masterfile.build([Entry("", "cardcf", 0xDF99, 0x3FFF)]),
    ],
)  # fmt: skip
def test_a_lying_master_file_gives_nothing_but_win_errors(master):
    script = lying({spec.MASTER_FILE: master})
    with Channel(script).begin() as tx:
        driver = driver_of(script, tx)
        for operation in (*OPERATIONS.values(), lambda card: card.read_file(None, "cardcf")):
            try:
                operation(driver)
            except WinError:
                continue


@pytest.mark.parametrize(
    "key_map", [b"\1" + b"\xff" * 12, keymap.build([keymap.record_for(0, 12, 1)] * 5), b"\1" + bytes(12) * 1000]
)
def test_a_lying_key_map_gives_nothing_but_win_errors(key_map):
    script = lying({spec.KEY_MAP: key_map})
    with Channel(script).begin() as tx:
        driver = driver_of(script, tx)
        for operation in OPERATIONS.values():
            try:
                operation(driver)
            except WinError:
                continue


def bomb(size):
    return b"\1\0\xff\xff" + zlib.compress(bytes(size), 9)


@pytest.mark.parametrize(
    "content",
    [
        bomb(20_000_000),
        b"\1\0\xff\xff",
        b"\1\0\0\0" + zlib.compress(b""),
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x80" * 1000,
        b"\1",
        b"\2\0\0\0",
        b"noise",
    ],
)
def test_a_hostile_certificate_spoils_only_its_own_container(content):
    script = lying({(0xA010, 0xDF24): content})
    with Channel(script).begin() as tx:
        driver = driver_of(script, tx)
        entries = driver.containers()
        assert len(entries) == 4
        try:
            found = driver.certificate(0)
        except BadData:
            found = b""
        assert len(found) <= 0xFFFF
        assert driver.certificate(1)
        assert driver.public_key(0)


def test_a_public_key_that_is_none_spoils_only_its_own_container():
    card = full_card()

    def answer(command):
        if command[1:4] == b"\xcb\x3f\xff" and b"\x84\x01\x81" in command:
            return tlv.build(0x7F49, tlv.build(0x86, b"\4" + bytes(64))) + OK
        return card.process(command)

    with Channel(Script(answer, atr=card.atr)).begin() as tx:
        driver = identify(tx, CardMemo())
        for use in (lambda: driver.public_key(0), lambda: driver.sign(0, 1, DIGEST, Raw())):
            with pytest.raises(BadData):
                use()
        assert driver.public_key(1)
        assert len(driver.containers()) == 4


# --- who is a GIDS card ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"\x6d\x00",
        b"\x6e\x00",
        b"\x6a\x82",
        b"\x6a\x81",
        tlv.build(0x61, tlv.build(0x4F, bytes.fromhex("A0000003080000"))) + OK,
    ],
)
def test_a_card_that_accepts_every_select_is_not_taken_for_gids(answer):
    script = Script(lambda command: answer if command[1] == 0xA4 else b"\x6a\x82")
    with Channel(script).begin() as tx, pytest.raises(WinError) as caught:
        identify(tx, CardMemo())
    assert caught.value.name == "SCARD_E_UNKNOWN_CARD"


def test_a_card_with_another_card_id_shows_nothing_of_the_one_before():
    card, other = new_desk(keys=FULL), new_desk(keys=(), card_id=bytes(16))
    memo = CardMemo()
    with Channel(Script(card.card.process, atr=card.card.atr)).begin() as tx:
        assert identify(tx, memo).containers()
    with Channel(Script(other.card.process, atr=other.card.atr)).begin() as tx:
        driver = identify(tx, memo)
        assert driver.containers() == []
        assert driver.identity().card_id == bytes(16)


# --- PINs ------------------------------------------------------------------------------------------------------------


def test_a_wrong_pin_is_never_presented_twice_whatever_the_card_answers():
    for status in (b"\x6c\x08", b"\x61\x08", b"\x67\x00", b"\x63\xc2", b"\x69\x82", b"\x6f\x00", b"\x90", b""):

        def answer(command, status=status):
            return status if PIN.value in command else FCI + OK if command[1] == 0xA4 else b"\x6a\x88"

        for operation in ("verify", "change", "session pin", "unblock"):
            script = Script(answer)
            with Channel(script, extended=True).begin() as tx:
                driver = GidsMinidriver(tx, CardMemo())
                driver.identity()
                driver.memo.facts["gids.pins"] = 0x0E
                with pytest.raises(WinError):
                    OPERATIONS[operation](driver)
            assert sum(PIN.value in command for command in script.sent) == 1


@pytest.mark.parametrize(("status", "left"), [(b"\x63\xc0", 0), (b"\x63\xcf", 15), (b"\x63\x00", None)])
def test_what_the_card_says_about_tries_is_passed_on(status, left):
    channel = Channel(Script(lambda command: FCI + OK if command[1] == 0xA4 else status))
    with channel.begin() as tx, pytest.raises(WrongPin) as failure:
        edge.verify(tx, PIN.value)
    assert failure.value.attempts_left == left


def test_a_blocked_pin_is_told_from_a_wrong_one():
    channel = Channel(Script(lambda command: FCI + OK if command[1] == 0xA4 else b"\x69\x83"))
    with channel.begin() as tx, pytest.raises(PinBlocked):
        edge.verify(tx, PIN.value)


def test_a_card_that_refuses_our_own_commands_is_simply_another_card():
    for status in (b"\x6d\x00", b"\x6e\x00", b"\x6a\x88", b"\x69\x84", b"\x6f\x00"):
        channel = Channel(Script(lambda command, status=status: FCI + OK if command[1] == 0xA4 else status))
        with channel.begin() as tx:
            assert not edge_ours.card_status(tx).told
