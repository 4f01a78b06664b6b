"""Certificates with hostile names, shown at a terminal by the commands."""

from __future__ import annotations

import unicodedata

import pytest
from blackstore import certificate, name, sha1, tbs
from commandline import CommandLine

from calais.system import System
from calais.winapi import crypt32 as c

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\rroot\nline\u202egnp\u2066\ufeff\u2028\x00\x7f'; DROP TABLE x; --"
CERTIFICATES = {
    "names": certificate(name(HOSTILE, ("2.5.4.10", HOSTILE)), name(HOSTILE), serial=1),
    "latin": certificate(name(HOSTILE, tag=0x14), name(HOSTILE, tag=0x13), serial=2),
    "broken": certificate(name("x").replace(b"\x0c\x01x", b"\x0c\x01\x9b"), name("y"), serial=-3),
    "empty": certificate(b"\x30\x00", b"\x30\x00", serial=4),
    "bare": tbs(name(HOSTILE), name(HOSTILE), serial=5),
}


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


def fill(encoded):
    text = HOSTILE.replace("\x00", "")
    with System.local(), c.CertOpenSystemStore(None, "My") as store:
        context = c.CertAddEncodedCertificateToStore(store, 1, encoded, c.CERT_STORE_ADD_REPLACE_EXISTING)
        for ident in (c.CERT_FRIENDLY_NAME_PROP_ID, c.CERT_DESCRIPTION_PROP_ID, c.CERT_SMART_CARD_READER_PROP_ID):
            c.CertSetCertificateContextProperty(context, ident, 0, text)
        link = c.CryptKeyProvInfo(text, text, 1, 0, (), 1)
        c.CertSetCertificateContextProperty(context, c.CERT_KEY_PROV_INFO_PROP_ID, 0, link)


def unsafe(shown):
    return {each for each in shown if each != "\n" and unicodedata.category(each) in {"Cc", "Cf", "Zl", "Zp"}}


@pytest.mark.parametrize("case", CERTIFICATES)
@pytest.mark.parametrize("command", ["list", "show", "explain", "export", "list-json", "show-json", "explain-json"])
def test_nothing_of_a_hostile_certificate_reaches_the_terminal_as_it_is(calais, case, command):
    encoded = CERTIFICATES[case]
    fill(encoded)
    verb, _, form = command.partition("-")
    words = ["cert", verb] if verb == "list" else ["cert", verb, sha1(encoded).hex()]
    if verb == "export":
        words += ["--output", str(calais.folder / "out.pem")]
    if form:
        words.append("--json")
    result = calais.run(*words)
    assert unsafe(result.out) == set()
    assert unsafe(result.err) == set()
    assert "Traceback" not in result.err
    assert result.code in {0, 1, 2, 3, 4, 5, 6}
    if verb in {"list", "show"}:
        assert result.code == 0
        assert sha1(encoded).hex()[:8] in result.out.lower().replace(":", "").replace(" ", "")


@pytest.mark.parametrize("case", CERTIFICATES)
def test_nothing_of_a_hostile_certificate_is_in_an_error_or_a_repr(case):
    fill(CERTIFICATES[case])
    with System.local(), c.CertOpenSystemStore(None, "My") as store:
        for context in store:
            assert unsafe(repr(context)) == set()
            assert unsafe(repr(context.info)) == set()
