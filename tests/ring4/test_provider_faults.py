"""Garbage, truncated and wrong answers at each exchange under the providers: an error with a code of the faces, never a
wrong signature, list or certificate, never a PIN try that nobody gave.
"""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cspdesk import acquire, check_signature, public_key_of, set_certificate, sign
from facecuts import FULL, Bench, another_certificate, by_card, by_ksp, short_rsa

from calais.cards.base import BytesMemory
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.winapi import advapi32 as api

FAULTS = {
    "empty": b"",
    "one byte": b"\x90",
    "no data": b"\x90\x00",
    "garbage": bytes(range(1, 60)) + b"\x90\x00",
    "zeros": bytes(256) + b"\x90\x00",
    "not found": b"\x6a\x82",
    "no key": b"\x6a\x88",
    "not allowed": b"\x69\x82",
    "unknown": b"\x6f\x00",
    "more": b"\x61\x20",
    "cut": lambda answer: answer[: len(answer) // 2] + answer[-2:],
    "bit": lambda answer: answer[:-3] + bytes([answer[-3] ^ 1]) + answer[-2:] if len(answer) > 2 else answer,
}
KINDS = ("GIDS", "PIV")
DOCUMENTED = {int(code) for code in Code}


class Slot:
    """The slot of a bench: every connection goes through faults at one exchange."""

    def __init__(self, bench, fault):
        self.fault, self.left, self.applied = fault, None, False
        whole = bench.card.applet.process

        def process(apdu):
            answer = whole(apdu)
            if self.left is None:
                return answer
            self.left -= 1
            if self.left != 0:
                return answer
            self.applied = True
            return self.fault(answer) if callable(self.fault) else self.fault

        bench.card.applet.process = process


def ways(kind, fault, act, check):
    """Run ``act`` with ``fault`` at each exchange in turn; gives how many there were."""
    for point in range(1, 150):
        with Bench(kind) as bench:
            prepared = acquire(bench.name(FULL))
            before = tries(bench)
            slot = Slot(bench, FAULTS[fault])
            slot.left = point
            outcome = attempt(lambda handle=prepared: act(bench, handle))
            slot.left = None
            if isinstance(outcome, WinError):
                assert outcome.code in DOCUMENTED, f"{kind} {fault} {point}: {outcome}"
            else:
                check(bench, outcome, f"{kind} {fault} {point}")
            assert tries(bench) == before, f"{kind} {fault} {point}: a try was spent"
            if not slot.applied:
                assert not isinstance(outcome, WinError), outcome
                return point - 1
    raise AssertionError("it does not end")


def attempt(call):
    try:
        return call()
    except WinError as error:
        return error


def tries(bench):
    """How many tries the card has, as it says to a program that starts now."""
    with Bench(bench.kind, BytesMemory(bench.memory.read())) as other:
        return other.system.card().pin_status().attempts_left


def signs(_bench, handle):
    return sign(handle)


def check_sign(_bench, signature, where):
    try:
        check_signature(short_rsa(FULL).public_key(), signature)
    except InvalidSignature as error:
        raise AssertionError(f"{where}: a wrong signature") from error


def lists(bench, _):
    acquire(None, api.CRYPT_MACHINE_KEYSET | api.CRYPT_VERIFYCONTEXT | api.CRYPT_SILENT).close()
    acquire(bench.name(FULL), api.CRYPT_MACHINE_KEYSET | api.CRYPT_SILENT).close()
    return {name: pair for name, pair in by_ksp(bench.system).items() if isinstance(pair[1], bytes)}


def check_list(bench, found, where):
    with Bench(bench.kind) as other:
        truth = by_card(other.system)
    for name, pair in found.items():
        assert truth.get(name) == pair, f"{where}: {name} is not what is on the card"


def writes(bench, handle):
    set_certificate(handle, another_certificate())
    return bench.memory.read()


def check_write(bench, _, where):
    with Bench(bench.kind, BytesMemory(bench.memory.read())) as other:
        assert by_card(other.system)[other.name(FULL)][1] == another_certificate(), f"{where}: it said it was written"


def generates(_bench, handle):
    api.CryptGenKey(handle, 1, 1024 << 16)
    return public_key_of(handle), sign(handle)


def check_generated(_bench, made, where):
    try:
        check_signature(*made)
    except InvalidSignature as error:
        raise AssertionError(f"{where}: the key is not the one that signs") from error


ACTS = {
    "sign": (signs, check_sign),
    "list": (lists, check_list),
    "certificate": (writes, check_write),
    "generate": (generates, check_generated),
}
QUICK = ("garbage", "no data", "bit", "cut", "no key")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("fault", QUICK)
def test_a_faulty_answer_is_an_error_or_makes_no_difference(kind, act, fault):
    assert ways(kind, fault, *ACTS[act]) > 1


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in QUICK])
def test_any_other_faulty_answer_is_an_error_or_makes_no_difference(kind, act, fault):
    assert ways(kind, fault, *ACTS[act]) > 1
