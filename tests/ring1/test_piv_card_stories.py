"""The virtual PIV card, exchange by exchange. The stories are data: ``piv/*.toml``.

A step is ``command -> status`` or ``command -> status: data``, in hexadecimal. In a command ``pin(123456)`` stands for
eight padded bytes and ``fill(00*300)`` for repeated bytes; in data ``??`` is any byte and a final ``*`` any rest. A
step of one word is a step that many stories share. ``random`` is a count from zero, so that challenges are known.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from calais.cards.base import BytesMemory
from calais.cards.piv.personalise import new_card, virtual_card

SHARED = {
    "select": "00 A4 04 00 0B A0 00 00 03 08 00 00 10 00 01 00 -> 9000: *",
    "verify": "00 20 00 80 08 pin(123456) -> 9000",
    "challenge": "00 87 03 9B 04 7C 02 81 00 00 -> 9000: 7C 0A 81 08 00 01 02 03 04 05 06 07",
    "answer": "00 87 03 9B 0C 7C 0A 82 08 90 15 2A 4C 1C F4 27 80 -> 9000",
    "reset": "",
    "power": "",
}
CARDS = {
    "plain": {},
    "short": {"extended": False},
    "read-only": {"read_only": True},
    "bare": {"keys": {}, "discovery": False, "chuid_guid": b""},
    "both-pins": {"global_pin": "87654321"},
    "aes128": {"management_key": bytes(range(16))},
    "aes192": {"management_key_algorithm": "AES192"},
    "aes256": {"management_key": bytes.fromhex("0102030405060708" * 4)},
    "one-try": {"retries": (1, 1)},
    "many-tries": {"retries": (255, 16)},
}


def load():
    for path in sorted((Path(__file__).parent / "piv").glob("*.toml")):
        for story in tomllib.loads(path.read_text())["story"]:
            yield pytest.param(story, id=f"{path.stem}: {story['name']}")


def bytes_of(text):
    text = re.sub(r"pin\((\w*)\)", lambda match: match[1].encode().ljust(8, b"\xff").hex(), text)
    text = re.sub(r"fill\((\w\w)\*(\d+)\)", lambda match: match[1] * int(match[2]), text)
    return bytes.fromhex(text)


def pattern_of(text):
    pieces = text.replace("*", " * ").split()
    return b"".join({"??": b".", "*": b".*"}.get(piece) or re.escape(bytes.fromhex(piece)) for piece in pieces)


@pytest.fixture(scope="module")
def keys():
    return {
        0x9A: (rsa.generate_private_key(65537, 1024), None),
        0x9C: (ec.derive_private_key(2, ec.SECP256R1()), None),
        0x9D: (ec.derive_private_key(3, ec.SECP384R1()), None),
        0x9E: (ec.derive_private_key(4, ec.SECP256R1()), None),
        0x82: (ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))), None),
        0x83: (x25519.X25519PrivateKey.from_private_bytes(bytes(range(32))), None),
    }


@pytest.fixture(scope="module")
def cards(keys):
    made = {}

    def card(name):
        if name not in made:
            memory = BytesMemory()
            new_card(memory, lambda size: bytes(range(size)), **{"keys": keys, **CARDS[name]})
            made[name] = memory.read()
        return virtual_card(BytesMemory(made[name]), lambda size: bytes(range(size)))

    return card


@pytest.mark.parametrize("story", list(load()))
def test_the_card_answers_as_the_story_says(story, cards):
    card = cards(story.get("card", "plain"))
    for step in story["steps"]:
        if step == "reset":
            card.reset()
        elif step == "power":
            card.power_cycle()
        else:
            play(card, SHARED.get(step, step))


def play(card, step):
    command, _, expected = step.partition("->")
    status, colon, data = expected.strip().partition(":")
    answer = card.process(bytes_of(command))
    assert answer[-2:].hex().upper() == status, f"{step}\ngave {answer.hex(' ')}"
    wanted = pattern_of(data) if colon else b""
    assert re.fullmatch(wanted, answer[:-2], re.DOTALL), f"{step}\ngave {answer.hex(' ')}"
