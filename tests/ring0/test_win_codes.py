from __future__ import annotations

import pytest

from calais.win import codes
from calais.win.codes import Code, hresult_from_win32, name_of, win32_from_hresult


def test_every_code_is_exported_under_its_own_name():
    exported = {name: value for name, value in vars(codes).items() if isinstance(value, Code)}
    assert exported == dict(Code.__members__)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0, "ERROR_SUCCESS"),
        (0x80090016, "NTE_BAD_KEYSET"),
        (-2146893802, "NTE_BAD_KEYSET"),
        (0x80100030, "SCARD_E_NO_KEY_CONTAINER"),
        (0x80070005, "E_ACCESSDENIED"),
        (0x800704DF, "ERROR_ALREADY_INITIALIZED"),
        (0x8007FFFF, "0x8007FFFF"),
        (0xDEADBEEF, "0xDEADBEEF"),
    ],
)
def test_a_code_has_the_name_windows_gives_it_or_its_number(code, name):
    assert name_of(code) == name


@pytest.mark.parametrize(("win32", "hresult"), [(0, 0), (13, 0x8007000D), (0x80090016, 0x80090016)])
def test_a_win32_code_travels_in_an_hresult(win32, hresult):
    assert hresult_from_win32(win32) == hresult
    assert win32_from_hresult(hresult) == win32
