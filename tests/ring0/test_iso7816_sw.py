from __future__ import annotations

import pytest

from calais.iso7816.sw import SW, ApduError


@pytest.mark.parametrize(
    ("sw", "left"), [(0x63C0, 0), (0x63C3, 3), (0x63CF, 15), (0x6983, 0), (0x6300, None), (0x6982, None)]
)
def test_a_status_word_says_how_many_tries_are_left(sw, left):
    error = ApduError(sw, 0x20)
    assert error.tries_left == left
    assert str(error) == f"status {sw:04X} to instruction 20"
    assert (error.sw, error.ins) == (sw, 0x20)


def test_every_status_word_has_sixteen_bits():
    assert all(0x6100 <= sw <= 0x9000 for sw in SW)
