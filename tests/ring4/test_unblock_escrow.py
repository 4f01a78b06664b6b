"""PIV cards, which know no challenge and response: the PUK is released from an escrow, sealed for one challenge."""

from __future__ import annotations

import json

import pytest
from commandline import PUK, CommandLine
from terminals import Terminal, heard

from calais.apps import escrow, spelling
from calais.apps.escrowfile import parse_escrow
from calais.apps.spelling import Kind
from calais.minidriver.pins import Pin

NEW, PASSWORD = "24681357", "correct horse"


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    calais = CommandLine(capfdbinary, tmp_path, monkeypatch)
    calais.card("ada", keys={})
    calais.file("password", PASSWORD)
    calais.file("new-pin", NEW)
    return calais


@pytest.fixture
def home(calais):
    return calais.virtual.directory.parent


@pytest.fixture
def desk(tmp_path_factory):
    """The help desk's machine: a home without card and policy."""
    return tmp_path_factory.mktemp("desk")


@pytest.fixture
def kept(calais, home):
    """An escrow with ada's PUK, named by the policy of ada's machine; the PIN is blocked."""
    public = calais.json("unblock", "new", "escrow.json", "--password-file", "password")["public_key"]
    calais.json("unblock", "escrow", "escrow.json", "--puk-file", calais.puk)
    (home / "policy.toml").write_text(f'[unblock]\nescrow_key = "{public}"\n')
    for _ in range(3):
        calais.run("pin", "verify", "--pin-file", calais.wrong_pin)
    return calais.folder / "escrow.json"


class Holder:
    """The cardholder at a terminal, with the challenge on the screen."""

    def __init__(self, home):
        self.terminal = Terminal("pin", "unblock", "--phone", home=home)
        self.terminal.answer("The new PIN: ", NEW)
        self.terminal.answer("Once more: ", NEW)
        self.shown = heard(self.terminal.wait("Answer, line 1: "))

    def type(self, *lines):
        for line in lines:
            self.terminal.type(line)
        return self.terminal.end()


def ask(desk, kept, shown, password=PASSWORD):
    terminal = Terminal("unblock", "respond", "--escrow", kept, home=desk)
    terminal.answer("escrow's password: ", password)
    for name in ("Card", "Challenge"):
        for number, line in enumerate(shown[name], 1):
            terminal.answer(f"{name}, line {number}: ", line)
    assert terminal.end() == 0, terminal.seen
    return terminal, heard(terminal.seen)["Answer"]


def tries(calais):
    return [pin["attempts_left"] for pin in calais.run("pin", "status", "--json").json["pins"]]


def pin_works(calais):
    return calais.run("pin", "verify", "--pin-file", "new-pin").code == 0


# --- the call --------------------------------------------------------------------------------------------------------


def test_a_piv_card_is_unblocked_by_two_people_on_the_telephone(calais, home, desk, kept):
    holder = Holder(home)
    _, answer = ask(desk, kept, holder.shown)
    assert (len(holder.shown["Challenge"]), len(answer)) == (4, 2)
    assert holder.type(*answer) == 0, holder.terminal.seen
    assert pin_works(calais)
    assert tries(calais) == [3, 3]


def test_no_secret_is_said_over_the_telephone_or_shown_on_either_screen(calais, home, desk, kept):
    holder = Holder(home)
    terminal, answer = ask(desk, kept, holder.shown)
    assert holder.type(*answer) == 0
    said = holder.terminal.seen + terminal.seen
    digits = "".join(said.split()).lower()
    for secret in (PUK, NEW, PASSWORD):
        assert secret not in said
        assert secret.encode().hex() not in digits


def test_two_calls_for_one_card_have_nothing_in_common(calais, home, desk, kept):
    first = Holder(home)
    _, one = ask(desk, kept, first.shown)
    first.type("")
    second = Holder(home)
    _, other = ask(desk, kept, second.shown)
    second.type("")
    assert first.shown["Card"] == second.shown["Card"]
    assert not set(first.shown["Challenge"]) & set(second.shown["Challenge"])
    assert not set(one) & set(other)


def test_a_misheard_digit_costs_no_try_and_is_read_again(calais, home, desk, kept):
    holder = Holder(home)
    _, (first, second) = ask(desk, kept, holder.shown)
    holder.terminal.type(("5" if first[0] == "9" else "9") + first[1:])
    holder.terminal.wait("something was misheard")
    holder.terminal.wait("Answer, line 1: ")
    assert holder.type(first, second) == 0
    assert pin_works(calais)
    assert tries(calais) == [3, 3]


def test_a_replayed_answer_is_refused_and_costs_no_try(calais, home, desk, kept):
    holder = Holder(home)
    _, answer = ask(desk, kept, holder.shown)
    assert holder.type(*answer) == 0
    again = Holder(home)
    again.terminal.type(answer[0])
    again.terminal.wait("about another card or challenge")
    assert again.type("") == 130
    assert tries(calais)[1] == 3


def test_an_answer_that_only_pretends_to_be_one_costs_no_try(calais, home, kept):
    holder = Holder(home)
    card, challenge = taken(Kind.CARD, holder.shown["Card"]), None
    public = parse_escrow(kept.read_bytes()).public_key
    challenge = taken(Kind.REQUEST, holder.shown["Challenge"], card + public)
    forged = spelling.lines(Kind.RELEASE, bytes(16), card + challenge)
    assert holder.type(*map(str, forged)) != 0
    assert "no try was used" in holder.terminal.seen
    assert tries(calais) == [0, 3]


def taken(kind, lines, context=b""):
    dictation = spelling.Dictation(kind, context)
    for line in lines:
        dictation.take(line)
    assert dictation.done
    return dictation.value


def test_a_puk_that_was_changed_since_costs_one_of_its_tries_and_says_so(calais, home, desk, kept):
    from calais.system import System

    with System.local() as system:
        system.card().change_pin(PUK, "11112222", 3)
    holder = Holder(home)
    _, answer = ask(desk, kept, holder.shown)
    assert holder.type(*answer) == 4
    assert "not this card's any more; the PUK has 2 tries left" in holder.terminal.seen
    assert tries(calais) == [0, 2]


def test_the_help_desk_with_another_escrow_notices_it_at_the_first_line(calais, home, desk, kept):
    calais.json("unblock", "new", "other.json", "--password-file", "password")
    card = taken(Kind.CARD, (holder := Holder(home)).shown["Card"])
    holder.type("")
    calais.json("unblock", "escrow", "other.json", "--card-id", card.hex(), "--puk-file", calais.puk)
    lines = "".join(f"{line}\n" for line in holder.shown["Card"] + holder.shown["Challenge"])
    words = ("unblock", "respond", "--escrow", "other.json", "--password-file", "password", "--json")
    result = calais.run(*words, stdin=lines.encode())
    assert result.code == 2
    assert "misheard" in result.error["detail"]


# --- what cannot be done ---------------------------------------------------------------------------------------------


def test_without_an_escrow_in_the_policy_it_says_plainly_that_it_cannot(calais):
    result = calais.run("pin", "unblock", "--phone", "--new-pin-file", "new-pin", "--json")
    assert (result.code, result.error["name"]) == (3, "SCARD_E_UNSUPPORTED_FEATURE")
    assert "no escrow" in result.error["detail"]
    assert "escrow_key" in result.error["next_step"]


def test_a_blocked_puk_is_told_before_the_call(calais, kept):
    for _ in range(3):
        calais.run("pin", "unblock", "--puk-file", calais.wrong_pin, "--new-pin-file", "new-pin")
    result = calais.run("pin", "unblock", "--phone", "--new-pin-file", "new-pin", "--json")
    assert (result.code, result.error["name"]) == (4, "SCARD_W_CHV_BLOCKED")
    assert "Nothing can unblock" in result.error["next_step"]


@pytest.mark.parametrize("key", ["00", "x" * 64, "00" * 33])
def test_a_policy_with_no_key_for_an_escrow_is_refused(calais, home, key):
    (home / "policy.toml").write_text(f'[unblock]\nescrow_key = "{key}"\n')
    result = calais.run("pin", "status", "--json")
    assert result.code == 2
    assert "64 hexadecimal digits" in result.error["detail"]


def test_an_escrow_key_that_everybody_knows_the_secret_of_is_refused(calais, home):
    (home / "policy.toml").write_text(f'[unblock]\nescrow_key = "{"00" * 32}"\n')
    lines = "".join(f"{line}\n" for line in spelling.lines(Kind.RELEASE, bytes(16)))
    words = ("pin", "unblock", "--phone", "--no-check-words", "--new-pin-file", "new-pin", "--json")
    result = calais.run(*words, stdin=b"00" * 16 + b"\n" + lines.encode())
    assert result.code == 2
    assert tries(calais) == [3, 3]


# --- keeping PUKs ----------------------------------------------------------------------------------------------------


def test_storing_needs_no_password_and_tries_the_puk(calais, kept):
    document = json.loads(kept.read_text())
    (entry,) = document["cards"].values()
    assert entry["label"].startswith("PIV")
    assert PUK not in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_wrong_puk_is_not_stored_and_costs_one_try(calais):
    calais.json("unblock", "new", "escrow.json", "--password-file", "password")
    result = calais.run("unblock", "escrow", "escrow.json", "--puk-file", calais.wrong_pin, "--json")
    assert (result.code, result.error["attempts_left"]) == (4, 2)
    assert parse_escrow((calais.folder / "escrow.json").read_bytes()).cards == {}


def test_an_escrow_is_not_overwritten(calais, kept):
    before = kept.read_bytes()
    assert calais.run("unblock", "new", kept, "--password-file", "password").code == 2
    assert kept.read_bytes() == before


def test_a_wrong_password_releases_nothing(calais, kept):
    words = ("unblock", "respond", "--escrow", kept, "--password-file", calais.wrong_pin, "--json")
    result = calais.run(*words)
    assert (result.code, result.error["name"]) == (5, "NTE_INCORRECT_PASSWORD")


def test_a_card_that_the_escrow_does_not_know_is_told(calais, kept):
    words = ("unblock", "respond", "--escrow", kept, "--password-file", "password", "--card-id", "00" * 16, "--json")
    result = calais.run(*words, "--challenge", "00" * 32)
    assert result.code == 1
    assert "no PUK for card" in result.error["detail"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": "calais-escrow-1"}', "nonsense", "[" * 100000])
def test_a_file_that_is_no_escrow_is_named_and_costs_no_try(calais, content):
    path = calais.file("bad.json", content)
    result = calais.run("unblock", "escrow", path, "--puk-file", calais.wrong_pin, "--json")
    assert result.error["name"] == "ERROR_INVALID_DATA"
    assert "bad.json" in result.error["detail"]
    assert tries(calais) == [3, 3]


def test_a_card_may_be_stored_twice_and_the_newest_puk_counts(calais, kept):
    (card_id,) = parse_escrow(kept.read_bytes()).cards
    calais.json("unblock", "escrow", kept, "--card-id", card_id.hex(), "--puk-file", calais.file("p", "99998888"))
    found = parse_escrow(kept.read_bytes())
    private = escrow.unlock(found, PASSWORD.encode())
    assert escrow.unseal(private, card_id, found.cards[card_id].sealed) == Pin("99998888")
