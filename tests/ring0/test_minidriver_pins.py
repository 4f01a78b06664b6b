import pickle

import pytest

from calais.minidriver.pins import Pin, Role, is_in_pin_set, pin_set
from calais.win.errors import BadParameter


def test_a_pin_set_has_the_bit_of_each_id():
    assert pin_set() == 0
    assert pin_set(Role.USER) == 0x02
    assert pin_set(Role.USER, Role.ADMIN) == 0x06
    assert pin_set(3) == 0x08
    assert pin_set(*range(8)) == 0xFF


@pytest.mark.parametrize("pin_id", [-1, 8])
def test_an_impossible_pin_id_is_refused(pin_id):
    with pytest.raises(BadParameter):
        pin_set(pin_id)


def test_membership_is_told_by_the_bit():
    assert is_in_pin_set(0x0A, 3)
    assert not is_in_pin_set(0x0A, 2)


def test_a_pin_shows_nothing():
    pin = Pin("314159")
    assert "314159" not in f"{pin!r} {pin} {[pin]} {pin.__class__.__dict__}"
    assert not hasattr(pin, "__dict__")


def test_a_pin_keeps_the_bytes_as_entered():
    assert Pin("12").value == b"12"
    assert Pin(b"\x00\xff").value == b"\x00\xff"
    assert len(Pin("123456")) == 6


def test_pins_are_equal_when_their_bytes_are():
    assert Pin("1234") == Pin(b"1234")
    assert Pin("1234") != Pin("1235")
    assert Pin("1234") != b"1234"


def test_a_pin_is_neither_pickled_nor_hashed():
    with pytest.raises(TypeError):
        pickle.dumps(Pin("1234"))
    with pytest.raises(TypeError):
        hash(Pin("1234"))
