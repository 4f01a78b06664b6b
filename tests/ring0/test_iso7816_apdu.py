from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.iso7816.apdu import Command, Response, chain
from calais.win.errors import BadData, BadParameter

LONG = bytes(256)
BYTE = st.integers(0, 0xFF)
COMMANDS = st.builds(Command, BYTE, BYTE, BYTE, BYTE, st.binary(max_size=600), st.none() | st.integers(1, 65536))
KNOWN = {
    "case 1": (Command(0x00, 0x20, 0x00, 0x80), "00200080"),
    "case 2S": (Command(0x00, 0xC0, 0x00, 0x00, le=2), "00C0000002"),
    "case 2S, all": (Command(0x00, 0xC0, 0x00, 0x00, le=256), "00C0000000"),
    "case 3S": (Command(0x00, 0x20, 0x00, 0x80, b"\x31\x32"), "00200080023132"),
    "case 4S": (Command(0x00, 0xCB, 0x3F, 0xFF, b"\x5c\x01\x7e", 256), "00CB3FFF035C017E00"),
    "case 2E": (Command(0x00, 0xCB, 0x3F, 0xFF, le=257), "00CB3FFF000101"),
    "case 2E, all": (Command(0x00, 0xCB, 0x3F, 0xFF, le=65536), "00CB3FFF000000"),
    "case 3E": (Command(0x00, 0xDB, 0x3F, 0xFF, LONG), "00DB3FFF000100" + LONG.hex()),
    "case 4E": (Command(0x00, 0x87, 0x07, 0x9A, LONG, 256), "0087079A000100" + LONG.hex() + "0100"),
    "case 4E, all": (Command(0x00, 0x87, 0x07, 0x9A, b"\x7c", 65536), "0087079A0000017C0000"),
}


@pytest.mark.parametrize(("command", "raw"), KNOWN.values(), ids=KNOWN)
def test_a_command_has_the_bytes_of_its_case(command, raw):
    assert command.encode(extended=True) == bytes.fromhex(raw)
    assert Command.decode(bytes.fromhex(raw)) == command


@given(COMMANDS)
def test_commands_come_back(command):
    assert Command.decode(command.encode(extended=True)) == command


@given(st.binary(max_size=20))
def test_noise_is_a_command_or_bad_data(raw):
    try:
        command = Command.decode(raw)
    except BadData as error:
        assert error.index is not None  # noqa: PT017 - it need not be raised
    else:
        assert Command.decode(command.encode(extended=True)) == command


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "002000",
        "002000800000",  # Lc of zero
        "00200080023100323334",  # more than an Le after the data
        "0020008003 3132",  # data cut off
        "00200080000000 31",  # extended Lc of zero
        "0087079A000002 3132 00",  # extended data, short Le
    ],
)
def test_a_command_whose_lengths_do_not_add_up_is_bad_data(raw):
    with pytest.raises(BadData):
        Command.decode(bytes.fromhex(raw))


@pytest.mark.parametrize(
    "command",
    [
        Command(0, 0, 0, 0, bytes(256)),
        Command(0, 0, 0, 0, le=257),
        Command(0, 0, 0, 0, le=0),
        Command(0, 0, 0, 0, le=-1),
        Command(0x100, 0, 0, 0),
        Command(0, 0, 0, -1),
    ],
)
def test_what_does_not_fit_a_short_command_is_the_callers_fault(command):
    with pytest.raises(BadParameter):
        command.encode()


@pytest.mark.parametrize("command", [Command(0, 0, 0, 0, bytes(65536)), Command(0, 0, 0, 0, le=65537)])
def test_what_does_not_fit_an_extended_command_is_the_callers_fault(command):
    with pytest.raises(BadParameter):
        command.encode(extended=True)


def test_a_command_does_not_show_its_data():
    shown = repr(Command(0x00, 0x20, 0x00, 0x80, b"123456", 256))
    assert shown == "<Command 00 20 00 80 lc=6 le=256>"


def test_a_response_is_data_and_status():
    response = Response.decode(b"\x01\x02\x61\x10")
    assert (response.data, response.sw, response.sw1, response.sw2, response.ok) == (b"\1\2", 0x6110, 0x61, 0x10, False)
    assert response.encode() == b"\x01\x02\x61\x10"
    assert Response(b"", 0x9000).ok


@pytest.mark.parametrize("raw", [b"", b"\x90"])
def test_a_response_without_a_status_word_is_bad_data(raw):
    with pytest.raises(BadData):
        Response.decode(raw)


def test_a_long_command_becomes_a_chain_with_the_expected_length_at_its_end():
    pieces = list(chain(Command(0x00, 0xDB, 0x3F, 0xFF, bytes(range(255)) + b"end", 256)))
    assert [(piece.cla, len(piece.data), piece.le) for piece in pieces] == [(0x10, 255, None), (0x00, 3, 256)]


@pytest.mark.parametrize("size", [0, 1, 255])
def test_a_short_command_is_its_own_chain(size):
    command = Command(0x00, 0xDB, 0x3F, 0xFF, bytes(size), 256)
    assert list(chain(command)) == [command]


@given(st.binary(max_size=2000), st.integers(1, 300))
def test_a_chain_carries_all_of_the_data_in_pieces_that_fit(data, limit):
    *first, last = chain(Command(0x00, 0xDB, 0x3F, 0xFF, data), limit)
    assert b"".join(piece.data for piece in (*first, last)) == data
    assert all(piece.cla == 0x10 and len(piece.data) == limit for piece in first)
    assert last.cla == 0x00
    assert len(last.data) <= limit
