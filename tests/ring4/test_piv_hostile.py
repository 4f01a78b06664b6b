"""A broken or malicious card makes errors of one kind, in bounded time and memory; nothing else ever comes out."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pivdesk import ADMIN_KEY, PIN, PUK, Dice, Script, certificate, der, new_desk, p256

from calais.cards.piv import edge, edge_yubico, spec
from calais.cards.piv.driver import PivMinidriver
from calais.cards.registry import identify
from calais.iso7816 import tlv
from calais.minidriver.memo import CardMemo
from calais.minidriver.padding import Oaep, Pkcs1, Raw
from calais.transport.base import Channel
from calais.win.errors import BadData, PinBlocked, WinError, WrongPin

OK = b"\x90\x00"
DIGEST = bytes(32)
CERTIFICATE = der(certificate(p256(), serial=7))
PEER = bytes.fromhex(
    "046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"
    "4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"
)
EXCHANGES_MAX = 6000  # of one operation below, with answers that never end

OPERATIONS = {
    "identity": lambda card: card.identity(),
    "containers": lambda card: card.containers(),
    "containers asked": lambda card: card.containers(probe_keys=True),
    "container": lambda card: card.container(0),
    "container info": lambda card: card.container_info(0),
    "certificate": lambda card: card.certificate(0),
    "public key": lambda card: card.public_key(1),
    "cmapfile": lambda card: card.read_file("mscp", "cmapfile"),
    "cardcf": lambda card: card.read_file(None, "cardcf"),
    "msroots": lambda card: card.read_file("mscp", "msroots"),
    "files": lambda card: card.enum_files("mscp"),
    "free space": lambda card: card.free_space(),
    "pin status": lambda card: card.pin_status(1),
    "puk status": lambda card: card.pin_status(3),
    "authenticated": lambda card: card.authenticated(),
    "verify": lambda card: card.authenticate(1, PIN),
    "verify always": lambda card: card.authenticate(4, PIN),
    "change": lambda card: card.change_pin(1, PIN, PIN),
    "unblock": lambda card: card.unblock_pin(1, 3, PUK, PIN),
    "deauthenticate": lambda card: card.deauthenticate(0xFF),
    "admin": lambda card: card.authenticate_admin(ADMIN_KEY),
    "challenge": lambda card: card.challenge(),
    "sign": lambda card: card.sign(0, 1, DIGEST, Pkcs1("sha256")),
    "sign always": lambda card: card.sign(1, 2, DIGEST, Raw()),
    "decrypt": lambda card: card.decrypt(2, 1, bytes(256), Oaep("sha1", "sha1")),
    "agree": lambda card: card.agree(2, PEER),
    "generate": lambda card: card.create_container(0, 3),
    "generate rsa": lambda card: card.create_container(0, 1, 2048),
    "import": lambda card: card.create_container(0, 3, key=KEY),
    "delete key": lambda card: card.delete_container(0),
    "write": lambda card: card.write_certificate(0, CERTIFICATE),
    "write retired": lambda card: card.write_certificate(4, CERTIFICATE),
    "delete certificate": lambda card: card.delete_certificate(0),
    "version": lambda card: edge_yubico.version(card.tx),
    "serial": lambda card: edge_yubico.serial(card.tx),
    "attest": lambda card: edge_yubico.attest(card.tx, 0x9A),
    "set retries": lambda card: edge_yubico.set_retries(card.tx, 3, 3),
    "move": lambda card: edge_yubico.move_key(card.tx, 0x9A, 0x82),
    "reset": lambda card: edge_yubico.reset_application(card.tx),
}
KEY = p256()


def run_all(answer, *, extended=False):
    """Do everything with a card that answers so; returns the errors. Anything but ``WinError`` fails the test."""
    script = Script(answer)
    channel, errors = Channel(script, extended=extended), []
    memo = CardMemo(random=Dice())
    for _ in range(2):
        for operation in OPERATIONS.values():
            with channel.begin() as tx:
                try:
                    operation(PivMinidriver(tx, memo))
                except WinError as error:
                    errors.append(error)
            assert len(script.sent) < EXCHANGES_MAX
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


def full_card():
    keys = {ref: ((key := p256()), certificate(key, size=500)) for ref in (0x9A, 0x9C, 0x9D)}
    return new_desk(keys=keys).card


MUTATIONS = st.sampled_from(["cut", "flip", "grow", "status", "empty", "double", "length"])
STATUSES = st.sampled_from(
    [0x6100, 0x61FF, 0x6C00, 0x6C10, 0x6982, 0x63C1, 0x6983, 0x6A80, 0x6A82, 0x6A84, 0x6D00, 0x6F00, 0x9000]
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
        "length": body[:1] + b"\x84\xff\xff\xff\xff" + body[1:] + sw,
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
        b"\x61\x00",
        b"\x61\xff",
        b"a" * 256 + b"\x61\x00",
        b"\x6c\x00",
        b"\x6c\x05",
        OK,
        b"",
        b"\x90",
        b"\x53\x84\xff\xff\xff\xff" + OK,
        b"\x53\x80" + bytes(50) + OK,
        b"\x7c\x00" + OK,
        b"\x67\x00",
        b"\x6f\x00",
        b"\x90\x01",
    ],
)
@pytest.mark.parametrize("extended", [True, False])
def test_a_card_that_always_answers_the_same_is_borne(answer, extended):
    select = tlv.build(0x61, tlv.build(0x4F, spec.PIX)) + OK
    assert run_all(lambda command: select if command[1] == 0xA4 else answer, extended=extended)
    run_all(lambda _: answer, extended=extended)


def test_an_endless_answer_is_given_up_at_a_bound():
    sent = 0

    def endless(command):
        nonlocal sent
        sent += 1
        return OK if command[1] == 0xA4 else bytes(256) + b"\x61\x00"

    with Channel(Script(endless)).begin() as tx, pytest.raises(BadData):
        edge.get_data(tx, spec.TAG_CHUID)
    assert sent <= 2


def test_an_object_that_goes_on_after_its_end_is_given_up_there():
    sent = 0

    def endless(command):
        nonlocal sent
        sent += 1
        if command[1] == 0xA4:
            return OK
        return (b"\x53\x82\x04\x00" if command[1] == 0xCB else b"").ljust(256, b"a") + b"\x61\x00"

    with Channel(Script(endless)).begin() as tx, pytest.raises(BadData):
        edge.get_data(tx, spec.TAG_CHUID)
    assert sent == 1 + 5


def nested(depth):
    data = b""
    for _ in range(depth):
        data = tlv.build(0x70, data)
    return data


@pytest.mark.parametrize(
    "content",
    [
        nested(4000),
        tlv.build(0x70, gzip.compress(bytes(20_000_000), 9)),
        tlv.build(0x70, gzip.compress(gzip.compress(bytes(10_000_000), 9), 9)),
        tlv.build(0x70, b"\x30\x84\xff\xff\xff\xff" + bytes(100)),
        tlv.build(0x70, b"\x30\x80" * 1000),
        b"\x70\x00",
        b"\x70\x84\x00\x00",
    ],
)
def test_a_hostile_certificate_object_spoils_only_its_own_container(content):
    card = full_card()
    bomb = tlv.build(0x53, content)

    def answer(command):
        if command[1] == 0xCB and bytes.fromhex("5C035FC105") in command:
            return bomb + OK
        return card.process(command)

    with Channel(Script(answer, atr=card.atr)).begin() as tx:
        driver = identify(tx, CardMemo())
        entries = driver.containers()
        assert [entry.reference for entry in entries] == ["9A", "9C", "9D"]
        assert (entries[0].algorithm, entries[1].algorithm) == ("", "P-256")
        with pytest.raises(WinError):
            driver.certificate(0)
        assert driver.certificate(1)


@pytest.mark.parametrize("history", [b"\xff", tlv.build(0xC1, b"\xff") + tlv.build(0xC2, b"\xff") + tlv.build(0xFE)])
def test_a_lying_key_history_costs_no_more_than_the_slots_there_are(history):
    card, reads = full_card(), []

    def answer(command):
        if command[1] == 0xCB:
            reads.append(command)
            if bytes.fromhex("5C035FC10C") in command:
                return tlv.build(0x53, history) + OK
        return card.process(command)

    with Channel(Script(answer, atr=card.atr)).begin() as tx:
        assert len(identify(tx, CardMemo()).containers()) == 3
    assert len(reads) <= 2 + 24


def test_a_wrong_pin_is_never_presented_twice_whatever_the_card_answers():
    for status in (b"\x6c\x08", b"\x61\x08", b"\x67\x00", b"\x63\xc2", b"\x69\x82", b"\x6f\x00", b"\x90", b""):
        script = Script(lambda command, status=status: OK if command[1] == 0xA4 else status, atr=full_card().atr)
        for operation in ("verify", "change", "unblock"):
            script.sent.clear()
            with Channel(script, extended=True).begin() as tx:
                driver = PivMinidriver(tx, CardMemo())
                driver.memo.facts["piv.discovery"] = 0x4000
                with pytest.raises(WinError):
                    OPERATIONS[operation](driver)
            assert sum(PIN.value in command for command in script.sent) == 1


@pytest.mark.parametrize(
    ("status", "error", "left"),
    [(b"\x63\xc0", WrongPin, 0), (b"\x63\xcf", WrongPin, 15), (b"\x63\x00", WrongPin, None)],
)
def test_what_the_card_says_about_tries_is_passed_on(status, error, left):
    channel = Channel(Script(lambda command: OK if command[1] == 0xA4 else status))
    with channel.begin() as tx, pytest.raises(error) as failure:
        edge.verify(tx, 0x80, PIN)
    assert failure.value.attempts_left == left


def test_a_blocked_pin_is_told_from_a_wrong_one():
    channel = Channel(Script(lambda command: OK if command[1] == 0xA4 else b"\x69\x83"))
    with channel.begin() as tx, pytest.raises(PinBlocked):
        edge.verify(tx, 0x80, PIN)
