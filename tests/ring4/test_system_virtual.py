from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from people import PIN, SHA256, AskingThread, key_of
from pivdesk import certificate

from calais.cards.piv.personalise import new_card
from calais.resource.locks import FileLock
from calais.resource.virtual import DEFAULT_READER, FileTransport, VirtualReaders
from calais.testing import FixedPrompt, local_system
from calais.win.codes import Code
from calais.win.errors import (
    AccessDenied,
    BadData,
    BadParameter,
    CardRemoved,
    NoCard,
    NotFound,
    ReaderUnavailable,
    SharingViolation,
    WinError,
)

SELECT = bytes.fromhex("00A4040009A0000003080000100000")
PIN_STATUS = bytes.fromhex("00200080")
VERIFY = bytes.fromhex("0020008008") + PIN.encode() + b"\xff\xff"
SIGN = (b"data", SHA256)


def personalise(memory):
    key = key_of("file")
    new_card(memory, os.urandom, keys={slot: (key, certificate(key)) for slot in (0x9A, 0x9E)})


@pytest.fixture
def home(tmp_path):
    readers = VirtualReaders(tmp_path / "virtual")
    readers.new("ada", personalise)
    return readers


def connect(home, reader=DEFAULT_READER):
    (port,) = (port for port in home.ports() if port.name == reader)
    return port.connect()


# --- cards and readers ---


def test_cards_have_a_file_and_perhaps_a_reader(home):
    assert [(card.name, card.reader) for card in home.cards()] == [("ada", None)]
    home.insert("ada")
    (card,) = home.cards()
    assert (card.name, card.reader, card.path) == ("ada", DEFAULT_READER, home.directory / "ada.card")


def test_what_holds_private_keys_is_the_owners_alone(home):
    assert home.directory.stat().st_mode & 0o777 == 0o700
    for path in home.directory.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "ends.", "ends ", "x" * 65, "new\nline", "nul\0"])
def test_impossible_names_are_refused(home, name):
    with pytest.raises(BadParameter):
        home.new(name, personalise)


def test_a_second_card_of_one_name_is_refused(home):
    with pytest.raises(BadParameter, match="already"):
        home.new("ada", personalise)


def test_a_card_that_cannot_be_made_leaves_nothing(home):
    def fail(_):
        raise BadParameter(detail="made to fail")

    with pytest.raises(BadParameter):
        home.new("bob", fail)
    assert [card.name for card in home.cards()] == ["ada"]
    home.new("bob", personalise)


def test_an_unknown_card_is_not_found_and_the_known_ones_are_named(home):
    with pytest.raises(NotFound) as caught:
        home.insert("eve")
    assert caught.value.next_step == "there are: ada"


def test_the_insertion_counter_rises_with_each_move(home):
    home.insert("ada")
    home.remove()
    home.insert("ada")
    (port,) = home.ports()
    assert port.status().insertion == 3


def test_one_reader_has_one_card_and_one_card_one_reader(home):
    home.insert("ada")
    home.new("bob", personalise)
    with pytest.raises(SharingViolation):
        home.insert("bob")
    with pytest.raises(SharingViolation):
        home.insert("ada", "Another reader")
    home.insert("bob", "Another reader")


def test_a_card_is_removed_by_its_name_or_its_readers(home):
    home.insert("ada")
    assert home.remove("ada") == DEFAULT_READER
    home.insert("ada")
    assert home.remove(DEFAULT_READER) == DEFAULT_READER
    with pytest.raises(NoCard):
        home.remove(DEFAULT_READER)
    with pytest.raises(ReaderUnavailable):
        home.remove("ada")


def test_readers_come_and_go(home):
    home.plug("Desk")
    home.plug("Desk")
    (port,) = home.ports()
    assert not port.status().present
    with pytest.raises(NoCard):
        port.connect()
    home.unplug("Desk")
    assert home.ports() == []
    with pytest.raises(ReaderUnavailable):
        port.status()
    with pytest.raises(ReaderUnavailable):
        home.unplug("Desk")


def test_a_status_names_the_card_and_has_its_atr(home):
    home.insert("ada")
    (port,) = home.ports()
    status = port.status()
    assert (status.present, status.card) == (True, "ada")
    assert status.atr == connect(home).atr


@pytest.mark.parametrize("text", ["", "{", "[]", '{"readers": 1}', '{"readers": {"r": {}}}', '{"readers": {"r": 1}}'])
def test_a_damaged_table_says_so(home, text):
    (home.directory / "readers.json").write_text(text)
    with pytest.raises(BadData, match=r"readers\.json"):
        home.ports()


def test_a_table_that_cannot_be_read_says_so(home):
    (home.directory / "readers.json").mkdir()
    with pytest.raises(AccessDenied):
        home.ports()


def test_a_damaged_card_says_so_when_it_is_used(home):
    home.insert("ada")
    home.path("ada").write_bytes(b"{}")
    with pytest.raises(BadData):
        connect(home)
    assert home.ports()[0].status().atr == b""


def test_a_directory_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WinError) as caught:
        VirtualReaders(tmp_path / "file" / "virtual").plug("Desk")
    assert caught.value.code == Code.E_ACCESSDENIED


# --- one card, several users ---


def test_another_user_waits_for_the_transaction(home):
    home.insert("ada")
    one, two = connect(home), connect(home)
    two.timeout_s = 0.01
    one.begin()
    with pytest.raises(SharingViolation):
        two.begin()
    two.timeout_s = 10
    waiting = AskingThread(two.begin)
    one.end()
    waiting.done()
    two.end()


def test_connections_of_one_process_see_one_card(home):
    home.insert("ada")
    one, two = connect(home), connect(home)
    one.begin()
    one.transmit(SELECT)
    assert one.transmit(VERIFY) == b"\x90\x00"
    before = one.epoch
    one.end()
    two.begin()
    assert two.transmit(PIN_STATUS) == b"\x90\x00"
    two.end()
    assert one.epoch != before


def test_the_card_starts_afresh_for_another_process(home):
    home.insert("ada")
    one, two = connect(home), connect(VirtualReaders(home.directory))
    one.begin()
    one.transmit(SELECT)
    assert one.transmit(VERIFY) == b"\x90\x00"
    before = one.epoch
    one.end()
    one.begin()
    assert (one.epoch, one.transmit(PIN_STATUS)) == (before, b"\x90\x00")
    one.end()
    two.begin()
    two.transmit(SELECT)
    assert two.transmit(PIN_STATUS).hex() == "63c3"
    two.end()
    one.begin()
    assert one.epoch != before
    one.end()


def test_what_one_user_wrote_the_other_reads(home):
    home.insert("ada")
    one, two = connect(home), connect(home)
    one.begin()
    one.transmit(SELECT)
    one.transmit(bytes.fromhex("0020008008") + b"999999\xff\xff")
    one.end()
    two.begin()
    two.transmit(SELECT)
    assert two.transmit(PIN_STATUS).hex() == "63c2"
    two.end()


def test_a_card_that_is_taken_out_in_a_transaction_is_gone(home):
    home.insert("ada")
    transport = connect(home)
    transport.begin()
    VirtualReaders(home.directory).remove()
    with pytest.raises(CardRemoved):
        transport.transmit(SELECT)
    transport.end()
    VirtualReaders(home.directory).insert("ada")
    with pytest.raises(CardRemoved):
        transport.begin()
    VirtualReaders(home.directory).unplug(DEFAULT_READER)
    with pytest.raises(CardRemoved):
        transport.begin()


def test_a_command_outside_a_transaction_is_refused(home):
    home.insert("ada")
    with pytest.raises(WinError) as caught:
        connect(home).transmit(SELECT)
    assert caught.value.code == Code.SCARD_E_NOT_TRANSACTED


def test_resets_change_the_epoch_and_forget_the_pin(home):
    home.insert("ada")
    transport = connect(home)
    transport.begin()
    transport.transmit(SELECT)
    transport.transmit(VERIFY)
    before = transport.epoch
    transport.reset()
    assert transport.epoch != before
    transport.transmit(SELECT)
    assert transport.transmit(PIN_STATUS).hex() == "63c3"
    before = transport.epoch
    transport.end(reset=True)
    assert transport.epoch != before
    before = transport.epoch
    transport.reset()
    assert transport.epoch != before
    transport.close()
    transport.close()


def test_whoever_holds_a_card_has_it_alone(home):
    home.insert("ada")
    transport = connect(home)
    transport.timeout_s = 0.01
    with home.holding("ada") as card:
        card.process(SELECT)
        with pytest.raises(SharingViolation):
            transport.begin()
    transport.begin()
    transport.end()
    with pytest.raises(NotFound), home.holding("eve"):
        pass


def test_a_lock_that_may_not_be_made_says_so(tmp_path):
    with pytest.raises(WinError):
        FileLock(tmp_path / "nowhere" / "x.lock", "nothing").take(0)


WORK = """
import sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from calais.testing import FixedPrompt, local_system
prompt = FixedPrompt("123456")
with local_system(sys.argv[1], prompt=prompt, policy={"TransactionTimeoutMilliseconds": 20}) as system:
    key = system.card().containers.find("9A").key
    for number in range(int(sys.argv[2])):
        data = str(number).encode()
        key.public_key().verify(key.sign(data, ec.ECDSA(hashes.SHA256())), data, ec.ECDSA(hashes.SHA256()))
        if number % 5 == 0:
            system.card().release()
print(prompt.count)
"""


def test_processes_that_sign_at_once_ask_once_each_and_make_no_mistake(home, tmp_path):
    home.insert("ada")
    command = [sys.executable, "-c", WORK, str(tmp_path), "20"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for process in running:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error.decode()
        assert out.strip() == b"1"
    with home.holding("ada") as card:
        card.process(SELECT)
        assert card.process(PIN_STATUS).hex() == "63c3"


DIE = """
import os, sys
from pathlib import Path
from calais.resource.virtual import VirtualReaders
transport = VirtualReaders(Path(sys.argv[1]) / "virtual").ports()[0].connect()
transport.begin()
os._exit(0)
"""


def test_a_process_that_dies_in_a_transaction_gives_the_card_back(home, tmp_path):
    home.insert("ada")
    assert subprocess.run([sys.executable, "-c", DIE, str(tmp_path)], timeout=60).returncode == 0
    transport = connect(home)
    transport.timeout_s = 1
    transport.begin()
    transport.end()


def test_threads_of_two_systems_share_a_card(home, tmp_path):
    home.insert("ada")

    def work():
        with local_system(tmp_path, prompt=FixedPrompt(PIN), policy={"TransactionTimeoutMilliseconds": 0}) as system:
            key = system.card().containers.find("9A").key
            for _ in range(5):
                key.public_key().verify(key.sign(*SIGN), *SIGN)

    for thread in [AskingThread(work) for _ in range(3)]:
        thread.done()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("calais")]


def test_a_system_finds_inserts_and_removes_shared_cards(home, tmp_path):
    with local_system(tmp_path) as system:
        assert system.readers() == []
        system.insert("ada", "Desk")
        (status,) = system.readers()
        assert (status.name, status.card) == ("Desk", "ada")
        public = system.card("Desk").containers.default.public_key
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert public.public_bytes(*form) == key_of("file").public_key().public_bytes(*form)
        system.remove("Desk")
        assert not system.readers()[0].present
        system.unplug("Desk")
        assert system.readers() == []


def test_the_transport_shows_what_it_is(home):
    home.insert("ada")
    transport = FileTransport(home, DEFAULT_READER, "ada", 1)
    assert (transport.reader, transport.protocol) == (DEFAULT_READER, 1)
