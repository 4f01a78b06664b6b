"""A card, its context of the card minidriver interface, and how its errors and exchanges are looked at."""

from __future__ import annotations

from contextlib import contextmanager

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from calais.testing import card_data
from calais.win.errors import WinError
from calais.winapi.cardmod import CardAcquireContext

ADMIN_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")


def acquired(card, version=7):
    """An acquired context of ``card``, with the card's counter at zero."""
    data = card_data(card, version=version)
    CardAcquireContext(data)
    card.counter.clear()
    return data


def refusal(call, *arguments, **more):
    """The name of the code that ``call`` fails with; ``""`` = it does not."""
    try:
        call(*arguments, **more)
    except WinError as error:
        return error.name
    return ""


@contextmanager
def untouched(card):
    """Nothing is sent to ``card``."""
    before = card.counter.exchanges
    yield
    assert card.counter.exchanges == before, "the card was asked"


def respond(challenge, key=ADMIN_KEY):
    """The response to a challenge: Triple DES, CBC, IV zero."""
    encryptor = Cipher(TripleDES(key), modes.CBC(bytes(8))).encryptor()
    return encryptor.update(challenge) + encryptor.finalize()
