"""Exchanges as data: what a card is asked, and what it must answer.

A step is ``command -> status`` or ``command -> status: data``, in hexadecimal. In a command ``text(123456)`` stands for
the bytes of a text, ``pin(123456)`` for eight padded bytes and ``fill(00*300)`` for repeated bytes; in data ``??`` is
any byte and a ``*`` any rest. The steps ``reset`` and ``power`` are a warm and a cold reset.
"""

from __future__ import annotations

import re
import tomllib

import pytest


def load(folder):
    """The stories in the ``*.toml`` of ``folder``, as parameters."""
    for path in sorted(folder.glob("*.toml")):
        for story in tomllib.loads(path.read_text())["story"]:
            yield pytest.param(story, id=f"{path.stem}: {story['name']}")


def bytes_of(text):
    text = re.sub(r"pin\((\w*)\)", lambda match: match[1].encode().ljust(8, b"\xff").hex(), text)
    text = re.sub(r"text\(([^)]*)\)", lambda match: match[1].encode().hex(), text)
    text = re.sub(r"fill\((\w\w)\*(\d+)\)", lambda match: match[1] * int(match[2]), text)
    return bytes.fromhex(text)


def pattern_of(text):
    pieces = text.replace("*", " * ").split()
    return b"".join({"??": b".", "*": b".*"}.get(piece) or re.escape(bytes.fromhex(piece)) for piece in pieces)


def play_all(card, steps, shared):
    """Play ``steps``; one of a single word is a step in ``shared``."""
    for step in steps:
        if step == "reset":
            card.reset()
        elif step == "power":
            card.power_cycle()
        else:
            play(card, shared.get(step, step))


def play(card, step):
    command, _, expected = step.partition("->")
    status, colon, data = expected.strip().partition(":")
    answer = card.process(bytes_of(command))
    assert answer[-2:].hex().upper() == status, f"{step}\ngave {answer.hex(' ')}"
    wanted = pattern_of(data) if colon else b""
    assert re.fullmatch(wanted, answer[:-2], re.DOTALL), f"{step}\ngave {answer.hex(' ')}"
