"""Names as text and back, as CertNameToStr and CertStrToName have them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calais.store import names
from calais.store.coding import x500
from calais.win.errors import BadData, BadParameter, WinError
from calais.win.flags.crypt32 import NameStringFlag as Flag
from calais.win.structs import CertRdnAttr

CN, O, C, E, OU = "2.5.4.3", "2.5.4.10", "2.5.4.6", "1.2.840.113549.1.9.1", "2.5.4.11"
NAME = x500.to_der(
    (
        (CertRdnAttr(C, 4, "DE"),),
        (CertRdnAttr(O, 12, "Müller, Söhne"),),
        (CertRdnAttr(CN, 4, "Alice"), CertRdnAttr(E, 7, "alice@example.org")),
        (CertRdnAttr("1.2.3.4", 4, "x"),),
    )
)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (x500.SIMPLE, 'DE, "Müller, Söhne", Alice + alice@example.org, x'),
        (x500.OID, f'{C}=DE, {O}="Müller, Söhne", {CN}=Alice + {E}=alice@example.org, 1.2.3.4=x'),
        (x500.X500, 'C=DE, O="Müller, Söhne", CN=Alice + E=alice@example.org, OID.1.2.3.4=x'),
        (x500.X500 | Flag.REVERSE, 'OID.1.2.3.4=x, CN=Alice + E=alice@example.org, O="Müller, Söhne", C=DE'),
        (x500.X500 | Flag.SEMICOLON, 'C=DE; O="Müller, Söhne"; CN=Alice + E=alice@example.org; OID.1.2.3.4=x'),
        (x500.X500 | Flag.CRLF, 'C=DE\r\nO="Müller, Söhne"\r\nCN=Alice + E=alice@example.org\r\nOID.1.2.3.4=x'),
        (x500.X500 | Flag.NO_QUOTING, "C=DE, O=Müller, Söhne, CN=Alice + E=alice@example.org, OID.1.2.3.4=x"),
        (x500.X500 | Flag.NO_PLUS, 'C=DE, O="Müller, Söhne", CN=Alice E=alice@example.org, OID.1.2.3.4=x'),
    ],
    ids=["simple", "oid", "x500", "reverse", "semicolon", "crlf", "no-quoting", "no-plus"],
)
def test_a_name_as_text(flags, text):
    assert x500.to_text(NAME, flags) == text


def attributes(der):
    return [(each.oid, each.value_type, each.value) for each in names.attributes(der)]


@pytest.mark.parametrize(
    ("text", "flags", "found"),
    [
        ("CN=Alice", 3, [(CN, 4, "Alice")]),
        (" cn = Alice ;O= x ", 3, [(CN, 4, "Alice"), (O, 4, "x")]),
        ('CN="A, ""B"""', 3, [(CN, 12, 'A, "B"')]),
        ("2.5.4.3=A, OID.2.5.4.10=B", 3, [(CN, 4, "A"), (O, 4, "B")]),
        ("CN=Müller", 3, [(CN, 12, "Müller")]),
        ("CN=Müller", 3 | Flag.ENABLE_UTF8_UNICODE, [(CN, 13, "Müller")]),
        ("CN=Müller", 3 | Flag.ENABLE_T61_UNICODE, [(CN, 5, "Müller")]),
        ("CN=A", 3 | Flag.FORCE_UTF8_DIR_STR, [(CN, 13, "A")]),
        ("E=a@b.c, DC=org", 3, [(E, 7, "a@b.c"), ("0.9.2342.19200300.100.1.25", 7, "org")]),
        ("CN=a, O=b", 3 | Flag.REVERSE, [(O, 4, "b"), (CN, 4, "a")]),
        ("CN=a; b, O=c", 3 | Flag.COMMA, [(CN, 12, "a; b"), (O, 4, "c")]),
        ("CN=a+b", 3 | Flag.NO_PLUS, [(CN, 4, "a+b")]),
        ("CN=#4142", 3, [(CN, 2, b"AB")]),
        ('CN="a', 3 | Flag.NO_QUOTING, [(CN, 12, '"a')]),
        ("CN=a\r\nO=b,c", 3 | Flag.CRLF, [(CN, 4, "a"), (O, 4, "b,c")]),
        ('CN=""', 3, [(CN, 4, "")]),
        ("", 3, []),
        ("CN=a,", 3, [(CN, 4, "a")]),
    ],
)
def test_text_as_a_name(text, flags, found):
    assert attributes(x500.from_text(text, flags)) == found


def test_a_plus_makes_one_relative_name():
    assert [len(rdn) for rdn in names.parse(x500.from_text("C=DE, CN=a + OU=b"))] == [1, 2]


@pytest.mark.parametrize(
    ("text", "index"),
    [("CN=a, nonsense", 6), ("XX=a", 0), ('CN="a', 0), ("=a", 0), ("CN=a, O=", 6), ("CN=a, 9.9=b", 6)],
)
def test_text_that_is_no_name_says_where(text, index):
    with pytest.raises(BadData, match="CRYPT_E_INVALID_X500_STRING") as caught:
        x500.from_text(text)
    assert caught.value.index == index


def test_forms_that_are_not_offered():
    with pytest.raises(WinError, match="ERROR_NOT_SUPPORTED"):
        x500.to_text(NAME, x500.XML)
    for flags in (0, 5, 0x8000_0003):
        with pytest.raises(BadParameter):
            x500.to_text(NAME, flags)
    with pytest.raises(BadData, match="BADTAG"):
        x500.to_text(b"\x04\x01x", x500.X500)


VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@given(st.lists(st.tuples(st.sampled_from([CN, O, OU, C]), VALUES), min_size=1, max_size=5))
def test_a_name_of_any_values_comes_back(parts):
    der = x500.to_der(tuple((CertRdnAttr(oid, 13, value),) for oid, value in parts))
    again = x500.from_text(x500.to_text(der, x500.X500), x500.X500)
    assert [(oid, value) for oid, _, value in attributes(again)] == parts


@given(st.text(max_size=60), st.sampled_from([3, 3 | Flag.CRLF, 3 | Flag.NO_QUOTING, 1 | Flag.SEMICOLON]))
def test_no_text_does_harm(text, flags):
    with contextlib.suppress(WinError):
        x500.from_text(text, flags)
