from __future__ import annotations

import pytest

from calais.win import errors
from calais.win.codes import Code
from calais.win.errors import AccessDenied, BadData, NotFound, PinBlocked, WinError, WrongPin

SUBCLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WinError)]


def test_an_error_says_its_name_its_number_and_what_happened():
    error = WinError(0x80090016, "no container Smith", next_step="insert the other card")
    assert str(error) == "NTE_BAD_KEYSET (0x80090016): no container Smith"
    assert (error.code, error.name, error.next_step) == (0x80090016, "NTE_BAD_KEYSET", "insert the other card")


def test_an_error_without_a_story_is_name_and_number():
    assert str(WinError(0x8010006B)) == "SCARD_W_WRONG_CHV (0x8010006B)"


def test_the_signed_form_is_the_hresult():
    assert WinError(Code.NTE_BAD_KEYSET).hresult == -2146893802
    assert WinError(Code.ERROR_FILE_NOT_FOUND).hresult == 2


def test_a_negative_hresult_is_taken():
    assert WinError(-2146893802).code == 0x80090016


def test_an_unknown_code_keeps_its_number():
    assert WinError(0x81234567).name == "0x81234567"


@pytest.mark.parametrize("kind", SUBCLASSES)
def test_every_class_has_a_code_of_its_own(kind):
    assert kind().code == kind.default_code


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.SCARD_W_WRONG_CHV, WrongPin),
        (Code.SCARD_W_CHV_BLOCKED, PinBlocked),
        (Code.NTE_BAD_KEYSET, NotFound),
        (0x8007000D, BadData),
        (-2147024883, BadData),
        (Code.E_ACCESSDENIED, AccessDenied),
        (Code.NTE_BAD_TYPE, WinError),
        (0x80071234, WinError),
    ],
)
def test_of_finds_the_class_that_claims_a_code_and_keeps_the_code(code, kind):
    error = WinError.of(code, "why", next_step="then")
    assert type(error) is kind
    assert (error.code, error.detail, error.next_step) == (code & 0xFFFFFFFF, "why", "then")


def test_a_wrong_pin_says_how_many_tries_are_left():
    assert WrongPin(attempts_left=2).attempts_left == 2
    assert WrongPin().attempts_left is None


def test_bad_data_says_where():
    assert BadData(detail="cut off", index=7).index == 7
