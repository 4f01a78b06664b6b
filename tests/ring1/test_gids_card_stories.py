"""The virtual GIDS card, exchange by exchange. The stories are data: ``gids/*.toml``.

``random`` is a count from zero, so that challenges are known. Key references: 81 RSA-1024 for exchange, 82 P-256 for
exchange, 83 P-256 for signatures. How a step is written says ``stories``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from stories import load, play_all

from calais.cards.base import BytesMemory
from calais.cards.gids.personalise import new_gids_card, virtual_card

CHALLENGE = "00 87 00 00 04 7C 02 81 00 00 -> 9000: 7C 0A 81 08 00 01 02 03 04 05 06 07"
SHARED = {
    "select": "00 A4 04 0C 09 A0 00 00 03 97 42 54 46 59 -> 9000",
    "verify": "00 20 00 80 06 text(123456) -> 9000",
    "answer": "00 87 00 00 0C 7C 0A 82 08 49 1E 89 0D E9 AC E9 32 -> 9000",
    "mutual": "00 87 00 00 14 7C 12 81 10 F0 F1 F2 F3 F4 F5 F6 F7 F8 F9 FA FB FC FD FE FF 00 -> 9000: 7C 12 81 10 *",
    "mutual-key": "00 22 81 A4 03 83 01 80 -> 9000",
    "session-pin": "80 50 00 80 06 text(123456) 00 -> 9000: 00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F",
    "session": "00 20 00 83 10 00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F -> 9000",
    "put-p256": "00 DB 3F FF 36 70 34 84 01 83 A5 2F 83 01 03 84 01 00 87 27 30 25 02 01 01 04 20 fill(00*31) 03 -> 9000",
}
# Words for more than one step
PHRASES = {
    "challenge": ["00 22 C1 A4 03 83 01 80 -> 9000", CHALLENGE],
    "admin": ["00 22 C1 A4 03 83 01 80 -> 9000", CHALLENGE, "answer"],
}
CARDS = {
    "plain": {},
    "short": {"extended": False},
    "blank": {"blank": True},
    "read-only": {"read_only": True},
    "puk": {"puk": "87654321"},
    "no-admin": {"admin_key": None},
    "no-session": {"session_pins": False},
    "contactless": {"contactless": True},
    "aes": {"admin_key": bytes(range(16))},
    "one-try": {"tries": (1, 5)},
}


@pytest.fixture(scope="module")
def cards():
    keys = [
        ("exchange", 1, rsa.generate_private_key(65537, 1024), None),
        ("agreement", 6, ec.derive_private_key(3, ec.SECP256R1()), None),
        ("signature", 3, ec.derive_private_key(2, ec.SECP256R1()), None),
    ]
    made = {}

    def card(name):
        if name not in made:
            memory = BytesMemory()
            new_gids_card(memory, lambda size: bytes(range(size)), **{"keys": keys, **CARDS[name]})
            made[name] = memory.read()
        return virtual_card(BytesMemory(made[name]), lambda size: bytes(range(size)))

    return card


@pytest.mark.parametrize("story", list(load(Path(__file__).parent / "gids")))
def test_the_card_answers_as_the_story_says(story, cards):
    steps = [step for word in story["steps"] for step in PHRASES.get(word, [word])]
    play_all(cards(story.get("card", "plain")), steps, SHARED)
