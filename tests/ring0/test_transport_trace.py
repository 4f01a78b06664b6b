from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.iso7816.apdu import Command, chain
from calais.testing.echo import EchoCard
from calais.transport.base import Channel, Exchange
from calais.transport.loopback import LoopbackTransport
from calais.transport.trace import Entry, Recorder, Redaction, ReplayTransport, Trace, parse
from calais.win.codes import Code
from calais.win.errors import BadData, CardRemoved, CardReset, SharingViolation, WinError

OK = b"\x90\x00"
HEAD = '{"trace": 1, "reader": "R", "atr": "3B00", "protocol": 1}'
SECRET_INS = [0x20, 0x24, 0x2C, 0x82, 0x87, 0xD8, 0xFE, 0xFF]
PRINTED, CERTIFICATE = bytes.fromhex("5C035FC109"), bytes.fromhex("5C035FC105")

secrets = st.binary(min_size=6, max_size=40).filter(lambda value: len(set(value)) > 3)
classes = st.sampled_from([0x00, 0x0C, 0x04, 0x80, 0x84, 0x01])


def traced(exchanges):
    stream = io.StringIO()
    recorder = Recorder(stream, LoopbackTransport(EchoCard(), "R"))
    for command, response in exchanges:
        recorder(Exchange(command, response, 0.001))
    return stream.getvalue()


def shown(text):
    """All bytes that a trace shows."""
    lines = [json.loads(line) for line in text.splitlines()][1:]
    return b"".join(bytes.fromhex(line["command"]) + bytes.fromhex(line.get("response", "")) for line in lines)


def encode(cla, ins, data, *, extended, limit=255):
    for piece in chain(Command(cla, ins, 0x3F, 0xFF, data), limit):
        yield raw(piece, extended), OK


def raw(command, extended):
    head = bytes((command.cla, command.ins, command.p1, command.p2))
    length = b"\0" + len(command.data).to_bytes(2, "big") if extended else bytes((len(command.data),))
    return head + length + command.data


# --- what is hidden


@given(secrets, classes, st.sampled_from(SECRET_INS), st.booleans(), st.integers(6, 255))
def test_no_secret_of_a_command_is_ever_shown(secret, cla, ins, extended, limit):
    data = b"\x80\x08" + secret + b"\xff" * 3
    text = traced(encode(cla, ins, data, extended=extended, limit=limit))
    for at in range(len(secret) - 3):
        assert secret[at : at + 4] not in shown(text)
    assert secret.hex().upper() not in text


@given(secrets, classes, st.sampled_from([*SECRET_INS, 0x2A, 0xB0, 0xD6, 0x01]), st.integers(1, 39))
def test_no_secret_of_an_answer_is_ever_shown(secret, cla, ins, cut):
    first, rest = secret[:cut], secret[cut:]
    exchanges = [
        (bytes((cla, ins, 7, 0x9D, 2, 1, 2)), first + bytes((0x61, len(rest)))),
        (bytes((0, 0xC0, 0, 0, len(rest) & 0xFF)), rest + OK),
    ]
    assert shown(traced(exchanges)) == bytes((cla, ins, 7, 0x9D)) + bytes((0x61, len(rest), 0, 0xC0, 0, 0)) + bytes(
        (len(rest) & 0xFF,)
    ) + (OK)


@given(secrets, st.booleans(), st.integers(1, 255), st.binary(max_size=300))
def test_writing_printed_information_shows_nothing_of_it(secret, extended, limit, before):
    data = PRINTED + b"\x53\x82\x01\x00" + before + secret
    text = traced(encode(0, 0xDB, data, extended=extended, limit=limit))
    for at in range(len(secret) - 3):
        assert secret[at : at + 4] not in shown(text)


@given(secrets, st.booleans(), st.integers(1, 200))
def test_reading_printed_information_shows_nothing_of_it(secret, extended, cut):
    command = raw(Command(0, 0xCB, 0x3F, 0xFF, PRINTED), extended)
    exchanges = [(command, secret[:cut] + b"\x61\x10"), (bytes.fromhex("00C0000010"), secret[cut:] + OK)]
    for at in range(len(secret) - 3):
        assert secret[at : at + 4] not in shown(traced(exchanges))


def test_several_objects_in_one_request_are_hidden_if_one_of_them_is_secret():
    command = bytes.fromhex("00CB3FFF085C065FC1055FC109")
    assert b"secret" not in shown(traced([(command, b"secret" + OK)]))


def test_a_chain_that_was_refused_does_not_vouch_for_the_next():
    begun = bytes.fromhex("10DB3FFF05") + CERTIFICATE
    pieces = [bytes.fromhex("10DB3FFF035C035F"), bytes.fromhex("00DB3FFF08C109") + b"secret"]
    for end in ([(begun, b"\x6a\x84")], [(begun, OK), (bytes.fromhex("00A4040000"), OK)]):
        assert b"secret" not in shown(traced([*end, *((piece, OK) for piece in pieces)]))


def test_a_reset_ends_a_chain_too():
    stream = io.StringIO()
    recorder = Recorder(stream, LoopbackTransport(EchoCard()))
    recorder.exchange(bytes.fromhex("10DB3FFF05") + CERTIFICATE, OK, 0)
    recorder.reset()
    recorder.exchange(bytes.fromhex("10DB3FFF035C035F"), OK, 0)
    recorder.exchange(bytes.fromhex("00DB3FFF08C109") + b"secret", OK, 0)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("command_hidden") for line in lines[-2:]] == [4, 9]


def test_what_is_harmless_is_shown():
    select = bytes.fromhex("00A4040005A000000308")
    read = bytes.fromhex("00CB3FFF05") + CERTIFICATE + b"\0"
    write = bytes.fromhex("00DB3FFF0A") + CERTIFICATE + bytes.fromhex("5303700100")
    exchanges = [(select, b"answer" + OK), (read, b"part" + b"\x61\x04"), (bytes.fromhex("00C0000004"), b"rest" + OK)]
    exchanges.append((write, OK))
    assert shown(traced(exchanges)) == b"".join(command + response for command, response in exchanges)


def test_a_stump_of_a_command_is_hidden():
    assert Redaction().entry(b"\0\x20", b"", 0.0) == Entry(b"\0\x20", b"", 0.0, 0, 0)


def test_an_entry_does_not_show_its_bytes_in_its_repr():
    assert "414243" not in repr(Entry(b"ABC", b"ABC")).lower()
    assert "ABC" not in repr(Entry(b"ABC", b"ABC"))


def test_a_channel_can_be_observed():
    stream, transport = io.StringIO(), LoopbackTransport(EchoCard(), "R")
    with Channel(transport, observers=(Recorder(stream, transport),)).begin() as transaction:
        transaction.send(Command(0, 0x20, 0, 0x80, b"123456\xff\xff"))
        transaction.send(Command(0, 0xA4, 4, 0, b"hello", 256))
    trace = parse(stream.getvalue().splitlines())
    assert (trace.reader, trace.atr, trace.protocol) == ("R", EchoCard.atr, 1)
    assert trace.entries[0].command_hidden == 9
    assert trace.entries[1].response == b"hello" + OK
    assert "313233343536" not in stream.getvalue()


# --- reading back


entries = st.one_of(
    st.just(Entry(is_reset=True)),
    st.builds(Entry, st.binary(max_size=300), st.binary(max_size=300), st.floats(0, 1000).map(lambda s: round(s, 6))),
    st.builds(Entry, st.binary(max_size=4), st.binary(max_size=2), st.just(0.5), st.integers(0, 70_000), st.just(3)),
    st.builds(Entry, st.binary(max_size=9), st.just(b""), st.just(0.5), error=st.just(int(Code.SCARD_W_RESET_CARD))),
)


@given(st.lists(entries, max_size=20))
def test_a_trace_reads_back_as_it_was_written(written):
    assert parse([HEAD, *(entry.to_json() for entry in written)]) == Trace("R", b"\x3b\x00", 1, tuple(written))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "[]",
        "[" * 100_000,
        '{"command": "00"}',
        '{"reset": false}',
        '{"reset": true, "command": "00"}',
        '{"command": "0", "response": "9000", "seconds": 0}',
        '{"command": "00 20", "response": "9000", "seconds": 0}',
        '{"command": "\u0660\u0660", "response": "9000", "seconds": 0}',
        '{"command": 12, "response": "9000", "seconds": 0}',
        '{"command": "00", "response": "9000"}',
        '{"command": "00", "response": "9000", "seconds": -1}',
        '{"command": "00", "response": "9000", "seconds": true}',
        '{"command": "00", "response": "9000", "seconds": NaN}',
        '{"command": "00", "response": "9000", "seconds": 1e999}',
        '{"command": "00", "response": "9000", "seconds": "1"}',
        '{"command": "00", "response": "9000", "seconds": 0, "error": "80100068"}',
        '{"command": "00", "response": "9000", "seconds": 0, "more": 1}',
        '{"command": "00", "response": "9000", "seconds": 0, "command_hidden": -1}',
        '{"command": "00", "response": "9000", "seconds": 0, "command_hidden": true}',
        '{"command": "00", "response": "9000", "seconds": 0, "response_hidden": 99999999}',
        '{"command": "0020008008", "response": "9000", "seconds": 0, "command_hidden": 1}',
        '{"command": "00200080", "response": "419000", "seconds": 0, "response_hidden": 1}',
        '{"command": "00", "response": "9000", "seconds": 0}' + " " * 600_000,
    ],
)
def test_a_damaged_line_is_named(line):
    with pytest.raises(BadData) as caught:
        parse([HEAD, line])
    assert caught.value.index == 1


@pytest.mark.parametrize(
    "head",
    [
        "{}",
        HEAD.replace('"trace": 1', '"trace": 2'),
        HEAD.replace('"R"', "1"),
        HEAD.replace("3B00", "3B0"),
        HEAD.replace('"protocol": 1', '"protocol": true'),
        HEAD.replace('"protocol": 1', '"protocol": 2'),
        HEAD.replace("}", ', "more": 1}'),
    ],
)
def test_a_wrong_beginning_is_named(head):
    with pytest.raises(BadData) as caught:
        parse([head])
    assert caught.value.index == 0


def test_nothing_is_not_a_trace():
    with pytest.raises(BadData):
        parse([])


@given(st.lists(st.text(max_size=60), max_size=4))
def test_noise_is_bad_data_and_nothing_else(lines):
    with pytest.raises(BadData):
        parse([*lines, "{}"])


# --- replay


def replay(*recorded):
    transport = ReplayTransport(Trace("R", b"\x3b\x00", 1, recorded), timeout_s=0.01)
    transport.begin()
    return transport


SELECT, VERIFY = bytes.fromhex("00A4040001A0"), bytes.fromhex("002000800831323334353637FF")


def test_a_replay_answers_as_recorded():
    transport = replay(Entry(SELECT, b"x" + OK), Entry(VERIFY[:4], b"\x63\xc2", 0.0, 9))
    assert transport.transmit(SELECT) == b"x" + OK
    assert transport.transmit(VERIFY[:-1] + b"\0") == b"\x63\xc2"
    assert transport.finished


def test_a_hidden_answer_is_as_long_as_it_was():
    assert replay(Entry(b"\0\x87\7\x9d", OK, 0.0, 3, 32)).transmit(b"\0\x87\7\x9d\1\2\3") == bytes(32) + OK


@pytest.mark.parametrize(
    "sent", [SELECT + b"\0", SELECT[:-1], SELECT[:-1] + b"\0", b"\0\xcb" + SELECT[2:], VERIFY, b""]
)
def test_another_command_than_recorded_is_named(sent):
    transport = replay(Entry(SELECT, OK))
    with pytest.raises(BadData) as caught:
        transport.transmit(sent)
    assert caught.value.index == 0
    assert "00 A4 04 00 (6 bytes)" in caught.value.detail
    assert "31 32" not in caught.value.detail
    assert transport.transmit(SELECT) == OK


@pytest.mark.parametrize("sent", [VERIFY[:-1], VERIFY + b"\0", b"\0\x20\0\0" + VERIFY[4:]])
def test_a_hidden_command_must_have_the_same_header_and_length(sent):
    with pytest.raises(BadData):
        replay(Entry(VERIFY[:4], OK, 0.0, 9)).transmit(sent)


def test_a_replay_that_is_over_says_so():
    with pytest.raises(BadData) as caught:
        replay().transmit(SELECT)
    assert caught.value.index == 0


def test_a_recorded_reset_must_be_made_again():
    transport = replay(Entry(is_reset=True), Entry(SELECT, OK))
    with pytest.raises(BadData):
        transport.transmit(SELECT)
    transport.reset()
    assert transport.transmit(SELECT) == OK


def test_a_recorded_failure_happens_again():
    transport = replay(Entry(SELECT, error=int(Code.SCARD_W_RESET_CARD)))
    with pytest.raises(CardReset):
        transport.transmit(SELECT)


def test_a_replay_wants_a_transaction():
    transport = replay(Entry(SELECT, OK))
    with pytest.raises(SharingViolation):
        transport.begin()
    transport.end()
    with pytest.raises(WinError) as caught:
        transport.transmit(SELECT)
    assert caught.value.code == Code.SCARD_E_NOT_TRANSACTED
    transport.close()
    with pytest.raises(CardRemoved):
        transport.begin()
