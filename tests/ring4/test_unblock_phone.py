"""Two terminals and a telephone: the cardholder's ``pin unblock --phone`` and the help desk's ``unblock respond``."""

from __future__ import annotations

import os

import pytest
from commandline import CommandLine
from terminals import Terminal, heard

from calais.apps import spelling
from calais.apps.spelling import Kind
from calais.cards.gids.personalise import new_gids_card
from calais.minidriver.challenge import AdminCipher, diversify, respond

NEW = "24681357"
ADMIN_KEY = bytes(range(1, 25))
MASTER = bytes(range(32))
CARD_ID = bytes.fromhex("C0FFEE00112233445566778899AABBCC")
PUK = "87654321"


def gids(calais, **options):
    """A virtual GIDS card in the reader, its PIN blocked."""
    options = {"admin_key": ADMIN_KEY, "card_id": CARD_ID, "keys": ()} | options
    calais.virtual.new("grace", lambda memory: new_gids_card(memory, os.urandom, **options))
    calais.virtual.insert("grace")
    block(calais)


def block(calais):
    while not calais.run("pin", "status", "--json").json["pins"][0]["blocked"]:
        calais.run("pin", "verify", "--pin-file", calais.wrong_pin)


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


@pytest.fixture
def home(calais):
    return calais.virtual.directory.parent


@pytest.fixture
def desk(calais, tmp_path_factory):
    """The help desk's machine: a home without card and policy."""
    return tmp_path_factory.mktemp("desk")


class Holder:
    """The cardholder at a terminal, with the challenge on the screen."""

    def __init__(self, home, *options):
        self.terminal = Terminal("pin", "unblock", "--phone", *options, home=home)
        self.terminal.answer("The new PIN: ", NEW)
        self.terminal.answer("Once more: ", NEW)
        self.shown = heard(self.terminal.wait("Answer, line 1: ") if not options else self.terminal.wait("Answer: "))

    def type(self, *lines):
        for line in lines:
            self.terminal.type(line)
        return self.terminal.end()


def ask(home, shown, *options, questions=()):
    """The help desk: takes down what is read out, and the lines of its answer."""
    terminal = Terminal("unblock", "respond", *options, home=home)
    for question, secret in questions:
        terminal.answer(question, secret)
    for name in ("Card", "Challenge"):
        for number, line in enumerate(shown[name], 1):
            terminal.answer(f"{name}, line {number}: ", line)
    assert terminal.end() == 0, terminal.seen
    return terminal, heard(terminal.seen)["Answer"]


def admin_tries():
    from calais.system import System

    with System.local() as system:
        return system.card().pin_status(2).attempts_left


def pin_works(calais, pin=NEW):
    return calais.run("pin", "verify", "--pin-file", calais.file("new", pin)).code == 0


def test_afterwards_nobody_is_signed_in(calais):
    from calais.apps.unblock import answer_with, plan_far, unblock, unblockers
    from calais.minidriver.pins import Pin
    from calais.system import System

    gids(calais)
    with System.local() as system:
        card = system.card()
        unblock(card, plan_far(card.run(unblockers), b""), Pin(NEW), answer_with(ADMIN_KEY))
        assert card.run(lambda driver: driver.authenticated()) == 0
        assert not card.pin_status().blocked


# --- challenge and response ------------------------------------------------------------------------------------------


def test_a_card_is_unblocked_by_two_people_on_the_telephone(calais, home, desk):
    gids(calais)
    holder = Holder(home)
    key = calais.file("admin.key", ADMIN_KEY.hex())
    _, answer = ask(desk, holder.shown, "--admin-key-file", key)
    assert holder.type(*answer) == 0, holder.terminal.seen
    assert "The PIN was set anew" in holder.terminal.seen
    assert pin_works(calais)
    assert NEW not in holder.terminal.seen


def test_what_is_shown_is_card_id_and_challenge_also_spelled(calais, home):
    gids(calais)
    holder = Holder(home)
    first, second = holder.shown["Card"]
    assert first.startswith("C0FF EE00 1122 3344 ")
    assert second.startswith("5566 7788 99AA BBCC ")
    assert "Charlie zero Foxtrot Foxtrot, Echo Echo zero zero" in holder.terminal.seen
    assert len(holder.shown["Challenge"]) == 1
    assert holder.type("") == 130


def test_the_administrators_key_is_asked_for_without_echo_and_may_be_made_of_a_master_key(calais, home, desk):
    gids(calais, admin_key=diversify(MASTER, CARD_ID))
    holder = Holder(home)
    terminal, answer = ask(desk, holder.shown, "--master-key-file", calais.file("master", MASTER.hex()))
    assert holder.type(*answer) == 0
    assert pin_works(calais)
    holder = Holder(home)
    key = diversify(MASTER, CARD_ID).hex()
    terminal, answer = ask(desk, holder.shown, questions=[("administrator's key: ", key)])
    assert key not in terminal.seen
    assert holder.type(*answer) == 0


def test_derive_makes_the_key_that_respond_makes(calais, home, desk):
    master = calais.file("master", MASTER.hex())
    calais.ok("unblock", "derive", "--card-id", CARD_ID.hex(), "--master-key-file", master, "-o", "card.key")
    assert (calais.folder / "card.key").read_text().strip() == diversify(MASTER, CARD_ID).hex()
    assert (calais.folder / "card.key").stat().st_mode & 0o077 == 0
    gids(calais, admin_key=diversify(MASTER, CARD_ID))
    result = calais.json("unblock", "derive", "--master-key-file", master, "-o", "again.key")
    assert result["card_id"] == CARD_ID.hex().upper()
    assert (calais.folder / "again.key").read_bytes() == (calais.folder / "card.key").read_bytes()


def test_an_aes_key_answers_when_it_is_said_to_be_one(calais, home, desk):
    key = bytes(range(32))
    gids(calais, admin_key=key, admin_key_algorithm="AES")
    holder = Holder(home)
    assert len(holder.shown["Challenge"]) == 2
    _, answer = ask(desk, holder.shown, "--admin-key-file", calais.file("k", key.hex()), "--cipher", "AES")
    assert holder.type(*answer) == 0
    assert pin_works(calais)


def test_a_misheard_digit_is_noticed_on_both_sides_before_the_card_is_asked(calais, home, desk):
    gids(calais)
    holder = Holder(home)
    terminal = Terminal("unblock", "respond", "--admin-key-file", calais.file("k", ADMIN_KEY.hex()), home=desk)
    for number, line in enumerate(holder.shown["Card"], 1):
        terminal.answer(f"Card, line {number}: ", line)
    (right,) = holder.shown["Challenge"]
    terminal.answer("Challenge, line 1: ", misheard(right))
    terminal.wait("something was misheard")
    terminal.answer("Challenge, line 1: ", right)
    assert terminal.end() == 0
    (answer,) = heard(terminal.seen)["Answer"]
    holder.terminal.type(misheard(answer))
    holder.terminal.wait("something was misheard")
    holder.terminal.wait("Answer, line 1: ")
    assert holder.type(answer) == 0
    assert pin_works(calais)


def misheard(line):
    return ("5" if line[0] == "9" else "9") + line[1:]


def test_a_wrong_response_costs_one_try_of_the_administrators_key_only_and_says_so(calais, home, desk):
    gids(calais, puk=PUK)
    before = admin_tries()
    holder = Holder(home)
    _, answer = ask(desk, holder.shown, "--admin-key-file", calais.file("k", bytes(24).hex()))
    assert holder.type(*answer) == 4
    assert "does not accept this response" in holder.terminal.seen
    assert f"{before - 1} tries left" in holder.terminal.seen
    assert admin_tries() == before - 1
    pins = calais.run("pin", "status", "--json").json["pins"]
    assert (pins[0]["blocked"], pins[1]["attempts_left"]) == (True, pins[1]["attempts_max"])


def test_a_replayed_answer_is_refused_before_the_card_is_asked(calais, home, desk):
    gids(calais)
    before = admin_tries()
    key = calais.file("k", ADMIN_KEY.hex())
    holder = Holder(home)
    _, answer = ask(desk, holder.shown, "--admin-key-file", key)
    assert holder.type(*answer) == 0
    again = Holder(home)
    again.terminal.type(answer[0])
    again.terminal.wait("about another card or challenge")
    assert again.type("") == 130
    assert admin_tries() == before


def test_a_replayed_response_without_check_words_is_refused_by_the_card(calais, home):
    gids(calais)
    before = admin_tries()
    holder = Holder(home, "--no-check-words")
    response = respond(ADMIN_KEY, challenge_of(holder.shown))
    assert holder.type(response.hex()) == 0
    again = Holder(home, "--no-check-words")
    assert again.type(response.hex()) == 4
    assert admin_tries() == before - 1


def challenge_of(shown):
    taken = spelling.Dictation(Kind.CHALLENGE, CARD_ID)
    for line in shown["Challenge"]:
        taken.take(line)
    return taken.value


def test_giving_up_costs_no_try(calais, home):
    gids(calais)
    before = admin_tries()
    holder = Holder(home)
    assert holder.type("") == 130
    assert admin_tries() == before


def test_pulling_the_card_during_the_call_is_told_and_costs_no_try(calais, home):
    gids(calais)
    before = admin_tries()
    holder = Holder(home)
    response = respond(ADMIN_KEY, challenge_of(holder.shown))
    calais.virtual.remove()
    context = CARD_ID + challenge_of(holder.shown)
    assert holder.type(*[str(line) for line in spelling.lines(Kind.RESPONSE, response, context)]) == 3
    assert "SCARD_W_REMOVED_CARD" in holder.terminal.seen
    calais.virtual.insert("grace")
    assert admin_tries() == before


def test_a_card_whose_administrators_key_is_blocked_says_so_before_the_call(calais, home):
    gids(calais)
    for _ in range(admin_tries()):
        holder = Holder(home, "--no-check-words")
        code = holder.type("00" * 8)
        assert code == 4
    result = calais.run("pin", "unblock", "--phone", "--json")
    assert (result.code, result.error["name"]) == (4, "SCARD_W_CHV_BLOCKED")


def test_who_has_the_key_here_needs_no_telephone(calais):
    gids(calais)
    key = calais.file("admin.key", ADMIN_KEY.hex())
    document = calais.json("pin", "unblock", "--admin-key-file", key, "--new-pin-file", calais.file("new", NEW))
    assert (document["done"], document["by"]) == ("unblocked", "response")
    assert pin_works(calais)
    result = calais.run("pin", "unblock", "--admin-key-stdin", stdin=b"not a key\n" + NEW.encode())
    assert result.code == 2


def test_a_card_without_puk_says_what_else_unblocks_it(calais):
    gids(calais)
    result = calais.run("pin", "unblock", "--puk-file", calais.puk, "--new-pin-file", calais.pin, "--json")
    assert (result.code, result.error["name"]) == (3, "SCARD_E_UNSUPPORTED_FEATURE")
    assert "--phone" in result.error["next_step"]


def test_programs_may_use_pipes_instead_of_people(calais):
    gids(calais)
    key = calais.file("k", ADMIN_KEY.hex())
    document = calais.json(
        "unblock", "respond", "--admin-key-file", key, "--card-id", CARD_ID.hex(), "--challenge", "A892D75601617C5D"
    )
    assert document["response"] == respond(ADMIN_KEY, bytes.fromhex("A892D75601617C5D")).hex().upper()
    assert document["lines"][0]["digits"].replace(" ", "") == document["response"]
    lines = spelling.lines(Kind.CARD, CARD_ID) + spelling.lines(Kind.CHALLENGE, bytes(8), CARD_ID)
    spoken = "".join(f"{line.spelled} {line.check}\n" for line in lines).encode()
    document = calais.json("unblock", "respond", "--admin-key-stdin", stdin=ADMIN_KEY.hex().encode() + b"\n" + spoken)
    assert document["response"] == respond(ADMIN_KEY, bytes(8)).hex().upper()
    result = calais.run(
        "unblock", "respond", "--admin-key-stdin", "--json", stdin=ADMIN_KEY.hex().encode() + b"\nzero\n"
    )
    assert result.code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--challenge", "00" * 7),
        ("--challenge", "xyz"),
        ("--challenge", "00" * 8, "--cipher", "AES"),
        ("--challenge", "00" * 8, "--card-id", "00" * 15),
        ("--challenge", "00" * 8, "--master-key-file", "k"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(calais, words):
    calais.file("k", ADMIN_KEY.hex())
    options = ("--card-id", CARD_ID.hex(), "--admin-key-file", "k", *words)
    assert calais.run("unblock", "respond", *options).code == 2


def test_the_sample_of_the_guidelines(calais):
    document = calais.json(
        "unblock", "respond", "--admin-key-file", calais.file("k", "00" * 24), "--card-id", "00" * 16,
        "--challenge", "A892D75601617C5D", "--cipher", AdminCipher.TDES,
    )  # fmt: skip
    assert document["response"] == "1951EC3EF81BBABB"
