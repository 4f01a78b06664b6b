"""Talking to pinentry: what it is told, and what its answers mean."""

from __future__ import annotations

import sys

import pytest
from people import PIN, SHA256, card

from calais.cli.asking import CommandPrompt
from calais.cli.secrets import Source
from calais.minidriver.pins import Pin
from calais.provider.prompt import CardRequest, PinRequest, asks_for_cards, can_confirm
from calais.provider.prompts.pinentry import Pinentry
from calais.testing import local_system
from calais.win.codes import Code
from calais.win.errors import NoCard, WinError

REQUEST = PinRequest("Reader 1", "Ada's\ncard", "Key", "sign 100 %", 2, caller="tax", text="Return", window=77)

PROGRAM = """\
#!{python}
import sys
print("OK Pleased to meet you", flush=True)
for line in sys.stdin:
    open({asked!r}, "a").write(line)
    if line.startswith(("GETPIN", "CONFIRM")):
        for answer in {answers!r}:
            print(answer, flush=True)
    elif line == "BYE\\n" or {dies!r}:
        break
    else:
        print("OK", flush=True)
"""


@pytest.fixture
def pinentry(tmp_path):
    """``pinentry(*answers)``: a prompt whose program answers the question with these lines."""

    def make(*answers, dies=False):
        program, asked = tmp_path / "pinentry", tmp_path / "asked"
        program.write_text(PROGRAM.format(python=sys.executable, asked=str(asked), answers=answers, dies=dies))
        program.chmod(0o755)
        return Pinentry(str(program)), lambda: asked.read_text().splitlines()

    return make


def test_it_is_told_everything_in_one_line(pinentry, monkeypatch):
    monkeypatch.delenv("GPG_TTY", raising=False)
    prompt, asked = pinentry("D 12%2534", "OK")
    assert prompt.ask(REQUEST) == Pin("12%34")
    described = (
        "SETDESC Ada's%0Acard in Reader 1: sign 100 %25. 2 tries are left.%0Atax asks for it.%0AReturn%0A"
        "Its key is called Key."
    )
    assert asked() == ["OPTION parent-wid=77", "SETTITLE Calais", described, "SETPROMPT PIN:", "GETPIN", "BYE"]


def test_it_is_told_the_terminal_and_why_it_is_asked_again(pinentry, monkeypatch):
    monkeypatch.setenv("GPG_TTY", "/dev/pts/7")
    monkeypatch.setenv("TERM", "xterm")
    prompt, asked = pinentry("D 1", "OK")
    prompt.ask(PinRequest("Reader", "Card", "", "sign", reason="the PIN is not right", retry=True))
    assert asked()[:2] == ["OPTION ttyname=/dev/pts/7", "OPTION ttytype=xterm"]
    assert "SETERROR the PIN is not right" in asked()


@pytest.mark.parametrize("number", [83886179, 99, 83886142, 83886194])
def test_cancelled_timed_out_and_not_confirmed_are_a_no(pinentry, number):
    prompt, _ = pinentry(f"ERR {number} no <Pinentry>")
    assert prompt.ask(REQUEST) is None
    assert prompt.confirm(REQUEST) is False
    assert prompt.insert_card(CardRequest("Reader")) is False


def test_an_empty_pin_is_none(pinentry):
    assert pinentry("OK")[0].ask(REQUEST) is None


def test_it_confirms_and_asks_for_cards(pinentry):
    prompt, asked = pinentry("OK")
    assert can_confirm(prompt)
    assert asks_for_cards(prompt)
    assert prompt.confirm(REQUEST)
    assert prompt.insert_card(CardRequest("Reader", "Key"))
    assert [line for line in asked() if line.startswith("SETOK")] == [
        "SETOK Use the last try",
        "SETOK The card is there",
    ]
    assert any("Insert the card with the key Key into Reader." in line for line in asked())


@pytest.mark.parametrize("dies", [True, False], ids=["dies", "fails"])
def test_one_that_fails_is_named(pinentry, dies):
    prompt, _ = pinentry("ERR 83886340 No such device", dies=dies)
    with pytest.raises(WinError) as error:
        prompt.ask(REQUEST)
    assert error.value.code == Code.ERROR_IO_DEVICE
    assert "pinentry" in error.value.detail


def test_one_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(WinError) as error:
        Pinentry(str(tmp_path / "nothing")).ask(REQUEST)
    assert error.value.code == Code.ERROR_FILE_NOT_FOUND


def test_a_system_asks_it(pinentry):
    prompt, asked = pinentry(f"D {PIN}", "OK")
    with local_system(prompt=prompt) as system:
        system.insert(card(0x9A))
        system.card().containers.find("9A").key.sign(b"data", SHA256)
    assert asked()[-2:] == ["GETPIN", "BYE"]


# --- the prompt of the command line, where nobody can be asked ---


def test_a_command_whose_pin_comes_from_a_file_confirms_nothing_and_asks_for_no_card(tmp_path):
    (tmp_path / "pin").write_text(PIN)
    prompt = CommandPrompt(Source("the PIN", tmp_path / "pin"))
    assert not prompt.confirm(REQUEST)
    assert not prompt.type_at_reader(REQUEST)
    with pytest.raises(NoCard):
        prompt.insert_card(CardRequest())


def test_a_command_at_a_terminal_sends_people_to_the_keypad(capsys):
    assert CommandPrompt(Source("the PIN")).type_at_reader(REQUEST)
    assert "Type the PIN at Reader 1." in capsys.readouterr().err
