"""The virtual PIV card, exchange by exchange. The stories are data: ``piv/*.toml``.

``random`` is a count from zero, so that challenges are known. How a step is written says ``stories``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from stories import load, play_all

from calais.cards.base import BytesMemory
from calais.cards.piv.personalise import new_card, virtual_card

SHARED = {
    "select": "00 A4 04 00 0B A0 00 00 03 08 00 00 10 00 01 00 -> 9000: *",
    "verify": "00 20 00 80 08 pin(123456) -> 9000",
    "challenge": "00 87 03 9B 04 7C 02 81 00 00 -> 9000: 7C 0A 81 08 00 01 02 03 04 05 06 07",
    "answer": "00 87 03 9B 0C 7C 0A 82 08 90 15 2A 4C 1C F4 27 80 -> 9000",
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


@pytest.mark.parametrize("story", list(load(Path(__file__).parent / "piv")))
def test_the_card_answers_as_the_story_says(story, cards):
    play_all(cards(story.get("card", "plain")), story["steps"], SHARED)
