from __future__ import annotations

import pytest

from calais.iso7816.apdu import Command
from calais.transport.keypad import PinTemplate, features, pin_verify
from calais.win.errors import BadData


def test_the_features_of_a_reader_are_read():
    answer = bytes.fromhex("0604423300060704423300070A044233000A")
    assert features(answer) == {6: 0x42330006, 7: 0x42330007, 10: 0x4233000A}
    assert features(b"") == {}


@pytest.mark.parametrize("answer", ["06", "0604423300", "060342330006", "06044233000607"])
def test_a_broken_list_of_features_is_bad_data(answer):
    with pytest.raises(BadData):
        features(bytes.fromhex(answer))


def test_a_padded_pin_goes_into_a_block_of_eight():
    template = PinTemplate(Command(0, 0x20, 0, 0x80, b"\xff" * 8), 6, 8, 8)
    expected = "1e 1e 82 08 00 0806 02 01 0904 00 000000 0d000000 0020008008 ffffffffffffffff"
    assert pin_verify(template).hex() == expected.replace(" ", "")


def test_a_pin_that_is_sent_as_it_is_has_no_block():
    template = PinTemplate(Command(0, 0x20, 0, 0x80), 4, 16)
    assert pin_verify(template, 10).hex() == "0a0a82000010040201090400000000050000000020008000"
