"""Bytes as text and back, in the forms of CryptBinaryToString."""

from __future__ import annotations

import contextlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.store.coding.binary import NO_CR, NO_CRLF, STRICT, Form, from_text, to_text
from calais.win.errors import BadData, BadParameter, WinError

DATA = bytes(range(0x3C, 0x50)) + b"\x00\xff"
WRITTEN = [form for form in Form if form not in (Form.BASE64_ANY, Form.ANY, Form.HEX_ANY)]


@pytest.mark.parametrize("form", WRITTEN, ids=lambda form: form.name)
@given(data=st.binary(min_size=1, max_size=200), ends=st.sampled_from([0, NO_CR]))
def test_what_is_written_is_read_back(form, data, ends):
    assert from_text(to_text(data, form | ends), form).binary == data


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Form.HEX, "41 42 43 44 45 46 47 48  49 4a 4b 4c 4d 4e 4f 50\r\n51\r\n"),
        (Form.HEXRAW, "4142434445464748494a4b4c4d4e4f5051\r\n"),
        (Form.BASE64, "QUJDREVGR0hJSktMTU5PUFE=\r\n"),
        (Form.BASE64URI, "QUJDREVGR0hJSktMTU5PUFE\r\n"),
        (Form.BASE64HEADER, "-----BEGIN CERTIFICATE-----\r\nQUJDREVGR0hJSktMTU5PUFE=\r\n-----END CERTIFICATE-----\r\n"),
        (Form.HEXADDR, "0000    41 42 43 44 45 46 47 48  49 4a 4b 4c 4d 4e 4f 50\r\n0010    51\r\n"),
    ],
    ids=lambda value: value.name if isinstance(value, Form) else None,
)
def test_the_forms_are_these(form, text):
    assert to_text(b"ABCDEFGHIJKLMNOPQ", form) == text


def test_a_dump_with_characters_shows_dots_for_the_rest():
    text = to_text(DATA, Form.HEXASCIIADDR | NO_CR)
    assert [line[-16:].strip() for line in text.splitlines()] == ["<=>?@ABCDEFGHIJK", "LMNO.."]


@pytest.mark.parametrize(("flags", "end"), [(0, "\r\n"), (NO_CR, "\n"), (NO_CRLF, "")], ids=["CRLF", "LF", "none"])
def test_every_line_ends_as_the_flags_say(flags, end):
    assert (
        to_text(bytes(60), Form.BASE64 | flags)
        == b64encode(bytes(48)).decode() + end + b64encode(bytes(12)).decode() + end
    )


def test_lines_of_base64_have_64_characters():
    assert {len(line) for line in to_text(bytes(480), Form.BASE64).splitlines()} == {64}


@pytest.mark.parametrize("form", [Form.BASE64_ANY, Form.ANY, Form.HEX_ANY, 14, 0x55, 0x08000001, 0x10000001])
def test_a_form_that_cannot_be_written_is_refused(form):
    with pytest.raises(BadParameter, match="ERROR_INVALID_PARAMETER"):
        to_text(b"x", form)


def test_nothing_cannot_be_written():
    with pytest.raises(BadParameter):
        to_text(b"", Form.BASE64)


def test_text_before_the_header_is_counted_and_any_label_will_do():
    found = from_text("from: me\r\n-----BEGIN PKCS7-----\r\nQUJD\r\n-----END PKCS7-----\r\n", Form.BASE64HEADER)
    assert found == (b"ABC", 10, Form.BASE64HEADER)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("QUJD", Form.BASE64HEADER),
        ("-----BEGIN X-----\nQUJD\n", Form.BASE64HEADER),
        ("-----BEGIN X-----\nQUJD\n-----END X-----\n", Form.BASE64),
        ("QUJ", Form.BASE64),
        ("QU*D", Form.BASE64),
        ("", Form.BASE64),
        ("414", Form.HEX),
        ("4x", Form.HEX),
        ("41 42", Form.HEXRAW),
        ("zz", Form.HEX_ANY),
        ("a+b", Form.BASE64URI),
        ("QUJ=D", Form.BASE64),
        ("\u0660\u0661", Form.HEX),
    ],
    ids=lambda value: value.name if isinstance(value, Form) else None,
)
def test_text_in_another_form_is_refused(text, form):
    with pytest.raises(BadData, match="ERROR_INVALID_DATA"):
        from_text(text, form)


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        (Form.BASE64_ANY, Form.BASE64HEADER),
        (Form.BASE64_ANY, Form.BASE64),
        (Form.ANY, Form.BASE64),
        (Form.HEX_ANY, Form.HEXASCIIADDR),
        (Form.HEX_ANY, Form.HEXADDR),
        (Form.HEX_ANY, Form.HEXASCII),
        (Form.HEX_ANY, Form.HEXRAW),
        (Form.HEX_ANY, Form.HEX),
    ],
    ids=lambda form: form.name,
)
def test_a_form_that_tries_several_names_the_one_it_found(wanted, written):
    assert from_text(to_text(DATA, written), wanted) == (DATA, 0, written)


def test_any_takes_what_is_no_text_form_as_bytes():
    assert from_text("\xff!", Form.ANY) == (b"\xff!", 0, Form.BINARY)


def test_strict_base64_has_no_blanks_around_it():
    assert from_text("QUJD\r\n", Form.BASE64 | STRICT).binary == b"ABC"
    with pytest.raises(BadData):
        from_text("  QUJD ", Form.BASE64 | STRICT)


@given(text=st.text(max_size=80), form=st.sampled_from(list(Form)))
def test_no_text_does_harm(text, form):
    with contextlib.suppress(WinError):
        from_text(text, form)
