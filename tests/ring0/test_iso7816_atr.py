from __future__ import annotations

from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.iso7816.atr import Atr
from calais.win.errors import BadData

KNOWN = {
    "nothing": ("3B00", {0}, "", False),
    "historical bytes": ("3B021450", {0}, "1450", False),
    "inverse convention": ("3F021450", {0}, "1450", False),
    "TA1 alone": ("3B12114142", {0}, "4142", False),
    "YubiKey 5": ("3BFD1300008131FE158073C021C057597562694B657940", {1}, "8073C021C057597562694B6579", True),
    "T=0 and T=1": ("3B80800101", {0, 1}, "", False),
    "T=15 after T=0": ("3B801F009F", {15}, "", False),
}


def historical(text):
    """An ATR for T=1 with these historical bytes."""
    data = bytes.fromhex(text)
    body = bytes((0x80 | len(data), 0x01)) + data
    return Atr.decode(b"\x3b" + body + bytes((reduce(xor, body),)))


@pytest.mark.parametrize(("raw", "protocols", "text", "extended"), KNOWN.values(), ids=KNOWN)
def test_an_atr_says_protocols_historical_bytes_and_extended_length(raw, protocols, text, extended):
    atr = Atr.decode(bytes.fromhex(raw))
    assert (atr.protocols, atr.historical.hex().upper(), atr.extended_length) == (protocols, text, extended)


@pytest.mark.parametrize(
    ("text", "capabilities", "extended"),
    [
        ("", "", False),
        ("80", "", False),
        ("8073C00140", "C00140", True),
        ("8073C00180", "C00180", False),
        ("8072C001", "C001", False),
        ("80 31C0 73000040", "000040", True),
        ("80 73C0", "C0", False),
        ("0073C00140 000000", "C00140", True),
        ("00 31C0 730040", "", False),  # three bytes of status, no object
        ("1073C00140", "", False),
        ("8031", "", False),
    ],
)
def test_capabilities_stand_in_the_compact_objects(text, capabilities, extended):
    atr = historical(text)
    assert (atr.capabilities.hex().upper(), atr.extended_length) == (capabilities, extended)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "starting with nothing"),
        ("3B", "not an ATR"),
        ("0000", "not an ATR"),
        ("3B0F" + "00" * 32, "34 bytes"),
        ("3B021450FF", "5 bytes should have 4"),
        ("3B0214", "3 bytes should have 4"),
        ("3B80", "cut off"),
        ("3BF0112233", "cut off"),
        ("3B80800102", "check byte"),
        ("3B808001", "should have 5"),
    ],
)
def test_a_malformed_atr_is_bad_data(raw, why):
    with pytest.raises(BadData, match=why):
        Atr.decode(bytes.fromhex(raw))


@given(st.binary(max_size=34), st.sampled_from([b"", b"\x3b", b"\x3f", b"\x3b\x80"]))
def test_noise_is_an_atr_or_bad_data(noise, head):
    try:
        atr = Atr.decode(head + noise)
    except BadData as error:
        assert error.index is not None  # noqa: PT017 - it need not be raised
    else:
        assert atr.extended_length in {True, False}


@given(st.binary(max_size=15))
def test_noise_in_the_historical_bytes_does_no_harm(noise):
    assert len(historical(noise.hex()).capabilities) <= 15
