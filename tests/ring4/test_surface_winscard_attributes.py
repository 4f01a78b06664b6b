"""Attributes of readers, and commands to them."""

from __future__ import annotations

import pytest
from scarddesk import READER, SECOND, raises, small_piv

from calais.testing import local_system
from calais.winapi import winscard as w

SHARED, ANY = w.SCARD_SHARE_SHARED, w.SCARD_PROTOCOL_Tx


@pytest.fixture
def system():
    with local_system() as made:
        yield made


@pytest.fixture
def card(system):
    card = small_piv()
    system.insert(card)
    return card


@pytest.fixture
def context(system):
    with w.SCardEstablishContext(2, system=system) as made:
        yield made


@pytest.fixture
def pair(card, context):
    """Two shared handles on one card."""
    del card
    return tuple(w.SCardConnect(context, READER, SHARED, ANY)[0] for _ in range(2))


FIXED = {
    "VENDOR_NAME": (0x00010100, "Calais"),
    "VENDOR_IFD_TYPE": (0x00010101, "Virtual Reader"),
    "PROTOCOL_TYPES": (0x00030120, 3),
    "MAX_IFSD": (0x00030125, 254),
    "CHARACTERISTICS": (0x00060150, 0),
    "ICC_PRESENCE": (0x00090300, 2),
    "ICC_INTERFACE_STATUS": (0x00090301, 1),
    "ICC_TYPE_PER_ATR": (0x00090304, 1),
    "DEVICE_UNIT": (0x7FFF0001, 0),
    "DEVICE_IN_USE": (0x7FFF0002, 1),
    "DEVICE_FRIENDLY_NAME": (0x7FFF0005, READER),
    "DEVICE_FRIENDLY_NAME_A": (0x7FFF0003, READER),
    "DEVICE_FRIENDLY_NAME_W": (0x7FFF0005, READER),
    "DEVICE_SYSTEM_NAME": (0x7FFF0006, READER),
    "DEVICE_SYSTEM_NAME_A": (0x7FFF0004, READER),
    "DEVICE_SYSTEM_NAME_W": (0x7FFF0006, READER),
    "SUPRESS_T1_IFS_REQUEST": (0x7FFF0007, 0),
}


@pytest.mark.parametrize("name", FIXED)
def test_a_virtual_reader_answers(pair, name):
    number, value = FIXED[name]
    assert getattr(w, f"SCARD_ATTR_{name}") == number
    answer = w.SCardGetAttrib(pair[0], number)
    assert answer == value
    assert type(answer) is type(value)


def test_attributes_of_the_card(card, context):
    handle, protocol = w.SCardConnect(context, READER, SHARED, ANY)
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_ATR_STRING) == card.atr
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_CURRENT_PROTOCOL_TYPE) == protocol
    assert isinstance(w.SCardGetAttrib(handle, w.SCARD_ATTR_VENDOR_IFD_VERSION), int)
    assert isinstance(w.SCardGetAttrib(handle, w.SCARD_ATTR_VENDOR_IFD_SERIAL_NO), str)


def test_device_unit_is_the_number_in_the_name(system, context):
    system.insert(small_piv(), SECOND)
    handle, _ = w.SCardConnect(context, SECOND, SHARED, ANY)
    assert w.SCardGetAttrib(handle, w.SCARD_ATTR_DEVICE_UNIT) == 1


UNANSWERED = [0x00020110, 0x00030121, 0x00030122, 0x00030123, 0x00030124, 0x00040131, 0x00050140, 0x00050142]
UNANSWERED += [0x0007A000, 0x0007A003, 0x0007A005, 0x0007A007, 0, 0xFFFFFFFF]


@pytest.mark.parametrize("number", UNANSWERED, ids=hex)
def test_the_rest_is_unsupported(pair, number):
    with raises(w.SCARD_E_UNSUPPORTED_FEATURE):
        w.SCardGetAttrib(pair[0], number)


@pytest.mark.parametrize("number", [-1, 1 << 32], ids=["negative", "33-bits"])
def test_a_number_beyond_32_bits_is_an_invalid_parameter(pair, number):
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardGetAttrib(pair[0], number)


def test_two_attributes_can_be_set(pair, context):
    assert w.SCardSetAttrib(pair[0], w.SCARD_ATTR_SUPRESS_T1_IFS_REQUEST, 1) is None
    assert w.SCardGetAttrib(pair[1], w.SCARD_ATTR_SUPRESS_T1_IFS_REQUEST) == 1
    w.SCardSetAttrib(pair[0], w.SCARD_ATTR_DEVICE_FRIENDLY_NAME, "Desk")
    assert w.SCardGetAttrib(pair[0], w.SCARD_ATTR_DEVICE_FRIENDLY_NAME) == "Desk"
    assert w.SCardGetAttrib(pair[0], w.SCARD_ATTR_DEVICE_SYSTEM_NAME) == READER
    assert w.SCardListReaders(context) == [READER]


@pytest.mark.parametrize("number", [0x00010100, 0x00090303, 0x7FFF0006, 0x00030121], ids=hex)
def test_other_attributes_cannot_be_set(pair, number):
    with raises(w.SCARD_E_UNSUPPORTED_FEATURE):
        w.SCardSetAttrib(pair[0], number, b"x")


def test_an_attribute_of_the_wrong_type_is_an_invalid_parameter(pair):
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardSetAttrib(pair[0], w.SCARD_ATTR_SUPRESS_T1_IFS_REQUEST, "yes")
    with raises(w.SCARD_E_INVALID_PARAMETER):
        w.SCardSetAttrib(pair[0], w.SCARD_ATTR_DEVICE_FRIENDLY_NAME, 5)
