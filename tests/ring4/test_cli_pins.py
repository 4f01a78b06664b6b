from __future__ import annotations

import pytest
from commandline import PIN, PUK, CommandLine

NEW = "24681357"


@pytest.fixture
def ada(capfdbinary, tmp_path, monkeypatch):
    calais = CommandLine(capfdbinary, tmp_path, monkeypatch)
    calais.card("ada", keys={})
    return calais


def tries(calais):
    return calais.run("pin", "status", "--json").json["pins"][0]["attempts_left"]


def block(calais):
    for _ in range(3):
        calais.run("pin", "verify", "--pin-file", calais.wrong_pin)
    assert tries(calais) == 0


def test_status_tells_the_tries_and_uses_up_none(ada):
    for _ in range(3):
        pins = ada.json("pin", "status")["pins"]
        assert [(pin["name"], pin["attempts_left"], pin["blocked"]) for pin in pins] == [
            ("PIN", 3, False),
            ("PUK", 3, False),
        ]
    assert "Tries left" in ada.ok("pin", "status").out


def test_a_right_pin_is_right_and_a_wrong_one_costs_one_try(ada):
    assert "The PIN is right" in ada.ok("pin", "verify", "--pin-file", ada.pin).out
    result = ada.run("pin", "verify", "--pin-file", ada.wrong_pin, "--json")
    assert (result.code, result.error["name"], result.error["attempts_left"]) == (4, "SCARD_W_WRONG_CHV", 2)
    assert tries(ada) == 2


def test_the_pin_may_come_from_the_standard_input(ada):
    ada.ok("pin", "verify", "--pin-stdin", stdin=f"{PIN}\n".encode())
    ada.ok("pin", "verify", "--pin-stdin", stdin=PIN.encode())
    ada.ok("pin", "verify", "--pin-stdin", stdin=f"{PIN}\r\nrest".encode())


@pytest.mark.parametrize("content", ["", "\n", "x" * 5000])
def test_an_empty_or_endless_pin_is_a_usage_error_and_costs_no_try(ada, content):
    assert ada.run("pin", "verify", "--pin-file", ada.file("bad", content)).code == 2
    assert ada.run("pin", "verify", "--pin-stdin", stdin=content[:1].replace("x", "").encode()).code == 2
    assert tries(ada) == 3


@pytest.mark.parametrize("pin", ["12", "123456789"])
def test_a_pin_of_an_impossible_length_costs_no_try(ada, pin):
    result = ada.run("pin", "verify", "--pin-file", ada.file("bad", pin), "--json")
    assert (result.code, result.error["name"]) == (4, "SCARD_E_INVALID_CHV")
    assert tries(ada) == 3


def test_without_pin_and_terminal_nothing_is_tried(ada):
    result = ada.run("pin", "verify", "--json")
    assert (result.code, result.error["name"]) == (4, "NTE_SILENT_CONTEXT")
    assert "--pin-file" in result.error["next_step"]
    assert tries(ada) == 3


def test_the_pin_is_changed(ada):
    ada.ok("pin", "change", "--pin-file", ada.pin, "--new-pin-file", ada.file("new", NEW))
    ada.ok("pin", "verify", "--pin-file", ada.file("new", NEW))
    ada.ok("pin", "change", "--pin-stdin", stdin=f"{NEW}\n{PIN}\n".encode())
    ada.ok("pin", "verify", "--pin-file", ada.pin)


def test_a_change_with_a_wrong_pin_changes_nothing_and_costs_one_try(ada):
    result = ada.run("pin", "change", "--pin-file", ada.wrong_pin, "--new-pin-file", ada.file("new", NEW), "--json")
    assert (result.code, result.error["attempts_left"]) == (4, 2)
    ada.ok("pin", "verify", "--pin-file", ada.pin)


def test_a_blocked_pin_says_so_and_how_to_go_on(ada):
    block(ada)
    status = ada.run("pin", "status")
    assert status.code == 1
    assert "blocked" in status.out
    assert "calais pin unblock" in status.out
    result = ada.run("pin", "verify", "--pin-file", ada.pin, "--json")
    assert (result.code, result.error["name"]) == (4, "SCARD_W_CHV_BLOCKED")
    assert "calais pin unblock" in result.error["next_step"]


def test_the_puk_unblocks(ada):
    block(ada)
    ada.ok("pin", "unblock", "--puk-file", ada.puk, "--new-pin-file", ada.file("new", NEW))
    ada.ok("pin", "verify", "--pin-file", ada.file("new", NEW))
    ada.ok("pin", "unblock", "--puk-stdin", stdin=f"{PUK}\n{PIN}\n".encode())
    ada.ok("pin", "verify", "--pin-file", ada.pin)


def test_a_wrong_puk_says_how_many_tries_the_puk_has(ada):
    result = ada.run("pin", "unblock", "--puk-file", ada.file("p", "00000000"), "--new-pin-file", ada.pin, "--json")
    assert (result.code, result.error["attempts_left"]) == (4, 2)
    assert "PUK" in result.error["detail"]
    assert [pin["attempts_left"] for pin in ada.json("pin", "status")["pins"]] == [3, 2]


def test_no_secret_is_shown_whatever_goes_wrong(ada, monkeypatch):
    monkeypatch.setenv("CALAIS_DEBUG", "1")
    for words in (("verify",), ("change", "--new-pin-file", ada.file("new", NEW))):
        result = ada.run("pin", *words, "--pin-file", ada.wrong_pin)
        assert "999999" not in result.out + result.err
        assert NEW not in result.out + result.err
