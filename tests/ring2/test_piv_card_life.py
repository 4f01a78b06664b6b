"""The life of PIN, PUK, keys and objects under any order of commands, with the power failing at any commit.

Whatever happens: nobody is told of more wrong PINs than the counter allows, a power loss leaves the old state, the old
state with a try taken, or the new state, and what is not being written is never lost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from calais.cards.base import BytesMemory, PowerLoss
from calais.cards.piv.personalise import new_card, virtual_card

TRIES = 3
PINS = ("123456", "654321", "11111111")
PUKS = ("12345678", "87654321")
TAGS = (0x5FC10C, 0x5FC103, 0x5FFF10)
SLOTS = (0x9A, 0x9E, 0x95)
CUTS = st.none() | st.integers(1, 6)


@dataclass(frozen=True)
class Model:
    """What the memory must hold: value and tries of PIN and PUK, objects, and which slots have keys."""

    pin: tuple[str, int] = (PINS[0], TRIES)
    puk: tuple[str, int] = (PUKS[0], TRIES)
    objects: tuple[tuple[int, bytes], ...] = ()
    slots: frozenset[int] = frozenset()

    def with_object(self, tag, value):
        kept = {**dict(self.objects), tag: value}
        return replace(self, objects=tuple(sorted((t, v) for t, v in kept.items() if v)))


def padded(text):
    return text.encode().ljust(8, b"\xff")


def seen(memory):
    """The model that the memory holds."""
    records = memory.read()
    pair = {name: (records[name][2:].rstrip(b"\xff").decode(), records[name][0]) for name in ("pin", "puk")}
    objects = tuple((tag, records[f"object/{tag:X}"]) for tag in sorted(TAGS) if f"object/{tag:X}" in records)
    return Model(pair["pin"], pair["puk"], objects, frozenset(s for s in SLOTS if f"key/{s:02X}" in records))


class CardLife(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.memory = BytesMemory()
        new_card(self.memory, os.urandom, keys={}, discovery=False, chuid_guid=b"")
        self.card = virtual_card(self.memory, os.urandom)
        self.model = Model()
        self.wrong_answers = {"pin": 0, "puk": 0}
        self.wake()

    def wake(self):
        self.verified = self.managed = False
        assert self.card.process(bytes.fromhex("00A4040005A000000308"))[-2:] == b"\x90\0"

    def send(self, command, cut, *, halfway, new):
        """The status word; ``None`` when the power failed. ``self.model`` is what the memory holds then."""
        old, first = self.model, self.memory.instants

        def fail(instant):
            if cut is not None and instant == first + cut:
                raise PowerLoss

        self.memory.cut = fail
        try:
            answer = self.card.process(command)
        except PowerLoss:
            self.after_power_loss(command, {old, halfway, new})
            return None
        finally:
            self.memory.cut = None
        return int.from_bytes(answer[-2:], "big")

    def after_power_loss(self, command, allowed):
        self.model = seen(self.memory)
        assert self.model in allowed
        try:
            self.card.process(command)
        except PowerLoss:
            pass
        else:
            raise AssertionError("a card without power answered")
        self.card.power_cycle()
        self.wake()

    def present(self, kind, value, command, cut, *, success):
        """Present a PIN or PUK: what the counter does, and what the card may say about it."""
        right, left = getattr(self.model, kind)
        halfway = replace(self.model, **{kind: (right, left - 1)}) if left else self.model
        if left == 0:
            assert self.send(command, cut, halfway=self.model, new=self.model) in (0x6983, None)
            return False
        if value != right:
            status = self.send(command, cut, halfway=halfway, new=halfway)
            if status is not None:
                self.wrong_answers[kind] += 1
                assert status == 0x63C0 | left - 1
                self.model = halfway
            return False
        status = self.send(command, cut, halfway=halfway, new=success)
        if status is not None:
            assert status == 0x9000
            self.model = success
            self.wrong_answers[kind] = 0
        elif getattr(self.model, kind)[1] == TRIES:
            self.wrong_answers[kind] = 0
        return status is not None

    @rule(pin=st.sampled_from(PINS), cut=CUTS)
    def verify(self, pin, cut):
        success = replace(self.model, pin=(self.model.pin[0], TRIES))
        command = bytes.fromhex("0020008008") + padded(pin)
        blocked = self.model.pin[1] == 0
        right = self.present("pin", pin, command, cut, success=success)
        self.verified = right or (self.verified and blocked)

    @rule(old=st.sampled_from(PINS), new=st.sampled_from(PINS), cut=CUTS)
    def change_pin(self, old, new, cut):
        blocked = self.model.pin[1] == 0
        command = bytes.fromhex("0024008010") + padded(old) + padded(new)
        right = self.present("pin", old, command, cut, success=replace(self.model, pin=(new, TRIES)))
        self.verified = right or (self.verified and blocked)

    @rule(old=st.sampled_from(PUKS), new=st.sampled_from(PUKS), cut=CUTS)
    def change_puk(self, old, new, cut):
        blocked = self.model.puk[1] == 0
        command = bytes.fromhex("0024008110") + padded(old) + padded(new)
        if not self.present("puk", old, command, cut, success=replace(self.model, puk=(new, TRIES))):
            self.verified = self.verified and blocked

    @rule(puk=st.sampled_from(PUKS), new=st.sampled_from(PINS), cut=CUTS)
    def unblock(self, puk, new, cut):
        blocked = self.model.puk[1] == 0
        success = replace(self.model, pin=(new, TRIES), puk=(self.model.puk[0], TRIES))
        command = bytes.fromhex("002C008010") + padded(puk) + padded(new)
        if self.present("puk", puk, command, cut, success=success):
            self.wrong_answers["pin"] = 0
        else:
            self.verified = self.verified and blocked
            if self.model.pin == (new, TRIES):
                self.wrong_answers["pin"] = 0

    @rule(pin=st.sampled_from(("12345", "", "abcdef", "1234567x")), ins=st.sampled_from(("20", "24", "2C")))
    def malformed(self, pin, ins):
        if pin:
            data = padded(pin) if ins == "20" else padded(self.model.puk[0] if ins == "2C" else PINS[0]) + padded(pin)
            command = bytes.fromhex(f"00{ins}0080") + bytes((len(data),)) + data
            assert self.send(command, None, halfway=self.model, new=self.model) == 0x6A80

    @rule()
    def manage(self):
        challenge = self.card.process(bytes.fromhex("0087039B047C02810000"))
        self.card.applet.state.volatile.expected = (0x82, challenge[4:12])
        assert self.card.process(bytes.fromhex("0087039B0C7C0A8208") + challenge[4:12]) == b"\x90\0"
        self.managed = True

    @rule(tag=st.sampled_from(TAGS), value=st.binary(max_size=40), cut=CUTS)
    def put_object(self, tag, value, cut):
        body = bytes.fromhex(f"5C03{tag:06X}53") + bytes((len(value),)) + value
        self.write(bytes.fromhex("00DB3FFF") + bytes((len(body),)) + body, cut, self.model.with_object(tag, value))

    @rule(slot=st.sampled_from(SLOTS), cut=CUTS)
    def generate(self, slot, cut):
        new = replace(self.model, slots=self.model.slots | {slot})
        self.write(bytes.fromhex(f"004700{slot:02X}05AC03800111"), cut, new)

    @precondition(lambda self: self.model.slots)
    @rule(slot=st.sampled_from(SLOTS), cut=CUTS)
    def delete_key(self, slot, cut):
        if slot in self.model.slots:
            self.write(bytes.fromhex(f"00F6FF{slot:02X}"), cut, replace(self.model, slots=self.model.slots - {slot}))

    def write(self, command, cut, new):
        if not self.managed:
            assert self.send(command, cut, halfway=self.model, new=self.model) == 0x6982
            return
        status = self.send(command, cut, halfway=self.model, new=new)
        if status is not None:
            assert status == 0x9000
            self.model = new

    @precondition(lambda self: self.managed and self.verified)
    @rule(cut=CUTS)
    def set_retries(self, cut):
        new = replace(self.model, pin=(PINS[0], TRIES), puk=(PUKS[0], TRIES))
        status = self.send(bytes.fromhex("00FA0303"), cut, halfway=self.model, new=new)
        if status is not None:
            assert status == 0x9000
            self.model, self.verified = new, False
        if self.model == new:
            self.wrong_answers = {"pin": 0, "puk": 0}

    @rule(cut=CUTS)
    def reset_application(self, cut):
        possible = self.model.pin[1] == self.model.puk[1] == 0
        new = Model() if possible else self.model
        status = self.send(bytes.fromhex("00FB0000"), cut, halfway=self.model, new=new)
        if status is not None:
            assert status == (0x9000 if possible else 0x6985)
            self.model = new
            if possible:
                self.verified = self.managed = False
        if self.model == new and possible:
            self.wrong_answers = {"pin": 0, "puk": 0}

    @rule()
    def reset_card(self):
        self.card.reset()
        self.wake()

    @rule()
    def pull_card(self):
        self.card.power_cycle()
        self.wake()

    @invariant()
    def memory_holds_the_model(self):
        assert seen(self.memory) == self.model

    @invariant()
    def nobody_learns_more_than_the_counter_allows(self):
        for kind, wrong in self.wrong_answers.items():
            assert getattr(self.model, kind)[1] <= TRIES - wrong

    @invariant()
    def the_pin_is_verified_only_by_the_pin(self):
        left = self.model.pin[1]
        expected = 0x9000 if self.verified else 0x63C0 | left if left else 0x6983
        assert self.card.process(bytes.fromhex("00200080")) == expected.to_bytes(2, "big")


TestCardLife = CardLife.TestCase


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (bytes.fromhex("0020008008") + padded(PINS[0]), "pin"),
        (bytes.fromhex("0024008010") + padded(PINS[0]) + padded(PINS[1]), "pin"),
        (bytes.fromhex("0024008110") + padded(PUKS[0]) + padded(PUKS[1]), "puk"),
        (bytes.fromhex("002C008010") + padded(PUKS[0]) + padded(PINS[1]), "puk"),
    ],
)
def test_the_try_is_taken_before_anything_is_compared(command, name):
    life = CardLife()
    halfway = replace(life.model, **{name: (getattr(life.model, name)[0], TRIES - 1)})
    assert life.send(command, 2, halfway=halfway, new=None) is None
    assert life.model == halfway
