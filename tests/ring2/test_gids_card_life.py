"""The life of a GIDS card under any order of commands, with the power failing at any commit.

Whatever happens: nobody is told of more wrong PINs, PUKs or admin answers than the counter allows, a power loss leaves
the old state, the old state with a try taken, or the new state, and what is not being written is never lost. Session
PINs die with the power, with a newer one, with a change of the PIN, and after their own tries.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from calais.cards.base import BytesMemory, PowerLoss
from calais.cards.gids.personalise import new_gids_card, virtual_card

PINS = ("123456", "4321", "1234567890123456")
PUKS = ("87654321", "9999")
ADMINS = (bytes(24), b"\xaa" * 24)
TRIES = {"pin": 3, "puk": 3, "admin": 5}
TAGS = ("DF30", "DF31")
KIDS = (0x81, 0x82)
CUTS = st.none() | st.none() | st.integers(1, 6)
RIGHT_OR_ANY = st.none() | st.sampled_from(PINS)  # ``None``: what is right now
SELECT = bytes.fromhex("00A4040C09A00000039742544659")


@dataclass(frozen=True)
class Model:
    """What the memory must hold: value and tries of PIN, PUK and admin key, objects, key files, keys."""

    pin: tuple[str, int] = (PINS[0], TRIES["pin"])
    puk: tuple[str, int] = (PUKS[0], TRIES["puk"])
    admin: tuple[bytes, int] = (ADMINS[0], TRIES["admin"])
    objects: frozenset[tuple[str, bytes]] = frozenset()
    files: frozenset[tuple[int, int]] = frozenset()
    keys: frozenset[int] = frozenset()

    def with_object(self, tag, value):
        return replace(self, objects=frozenset({**dict(self.objects), tag: value}.items()))

    def with_file(self, kid, life):
        return replace(self, files=frozenset({**dict(self.files), kid: life}.items()))

    def without_file(self, kid):
        files = frozenset(item for item in self.files if item[0] != kid)
        return replace(self, files=files, keys=self.keys - {kid})


def seen(memory):
    """The model that the memory holds."""
    records = memory.read()
    pin, puk, admin = (records[name] for name in ("pin", "puk", "admin"))
    return Model(
        (pin[2:].decode(), pin[0]),
        (puk[2:].decode(), puk[0]),
        (admin[3:], admin[1]),
        frozenset((tag, records[f"object/A013{tag}"]) for tag in TAGS if f"object/A013{tag}" in records),
        frozenset((kid, records[f"file/B0{kid:02X}"][0]) for kid in KIDS if f"file/B0{kid:02X}" in records),
        frozenset(kid for kid in KIDS if f"key/{kid:02X}" in records),
    )


def sized(head, data):
    return bytes.fromhex(head) + bytes((len(data),)) + data


def key_file(kid):
    use = bytes.fromhex(f"B60980011C8301{kid:02X}950140")
    return bytes.fromhex(f"621B8201188302B0{kid:02X}8C058F10101000A50B") + use


class CardLife(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.memory = BytesMemory()
        new_gids_card(self.memory, os.urandom, keys=[], puk=PUKS[0])
        self.card = virtual_card(self.memory, os.urandom)
        self.model = Model()
        self.wrong_answers = dict.fromkeys(TRIES, 0)
        self.session, self.session_left, self.old_sessions = None, 0, set()
        self.selected = 0
        self.wake()

    def wake(self):
        self.user = self.managed = False
        self.selected = 0
        assert self.card.process(SELECT) == b"\x90\0"

    def lose_session(self):
        if self.session:
            self.old_sessions.add(self.session)
        self.session, self.session_left = None, 0

    def send(self, command, cut, *, halfway=None, new=None):
        """The status word and data; ``(None, b"")`` when the power failed. ``self.model`` is what the memory holds."""
        old, first = self.model, self.memory.instants

        def fail(instant):
            if cut is not None and instant == first + cut:
                raise PowerLoss

        self.memory.cut = fail
        try:
            answer = self.card.process(command)
        except PowerLoss:
            self.after_power_loss(command, {old, halfway or old, new or old})
            return None, b""
        finally:
            self.memory.cut = None
        return int.from_bytes(answer[-2:], "big"), answer[:-2]

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
        self.lose_session()
        self.wake()

    def present(self, kind, value, command, cut, *, success):
        """Present a PIN, PUK or admin answer: what the counter does, what the card says, and its data if it is right."""
        right, left = getattr(self.model, kind)
        halfway = replace(self.model, **{kind: (right, left - 1)}) if left else self.model
        if left == 0:
            assert self.send(command, cut)[0] in (0x6983, None)
            return None
        if value != right:
            status, _ = self.send(command, cut, halfway=halfway, new=halfway)
            if status is not None:
                self.wrong_answers[kind] += 1
                assert status == 0x63C0 | left - 1
                self.model = halfway
                if kind != "admin":
                    self.user = False
                else:
                    self.managed = False
            return None
        status, data = self.send(command, cut, halfway=halfway, new=success)
        if status is not None:
            assert status == 0x9000
            self.model = success
        if getattr(self.model, kind)[1] == TRIES[kind]:
            self.wrong_answers[kind] = 0
        return data if status is not None else None

    @rule(pin=RIGHT_OR_ANY, cut=CUTS)
    def verify(self, pin, cut):
        pin = pin or self.model.pin[0]
        success = replace(self.model, pin=(self.model.pin[0], TRIES["pin"]))
        if self.present("pin", pin, sized("00200080", pin.encode()), cut, success=success) is not None:
            self.user = True

    @rule(pin=RIGHT_OR_ANY, cut=CUTS)
    def generate_session_pin(self, pin, cut):
        pin = pin or self.model.pin[0]
        success = replace(self.model, pin=(self.model.pin[0], TRIES["pin"]))
        made = self.present("pin", pin, sized("80500080", pin.encode()), cut, success=success)
        if made is not None:
            self.lose_session()
            self.session, self.session_left = made, 3
            assert pin.encode() not in made

    @rule(which=st.integers(0, 3))
    def verify_session_pin(self, which):
        known = [self.session, *sorted(self.old_sessions)]
        given = known[which % len(known)] or os.urandom(16)
        status, _ = self.send(sized("00200083", given), None)
        if self.session is None:
            assert status == 0x6984
        elif self.session_left == 0:
            assert status == 0x6983
        elif given == self.session:
            assert status == 0x9000
            self.session_left, self.user = 3, True
        else:
            self.session_left -= 1
            assert status == 0x63C0 | self.session_left
            self.user = False

    @rule(old=RIGHT_OR_ANY, new=st.sampled_from(PINS), cut=CUTS)
    def change_pin(self, old, new, cut):
        old = old or self.model.pin[0]
        success = replace(self.model, pin=(new, TRIES["pin"]))
        right, left = self.model.pin
        command = sized("00240080", old.encode() + new.encode())
        # What the card takes for the old PIN is as long as the PIN is.
        if (old.encode() + new.encode())[: len(right)] == right.encode() and old != right:
            return
        if self.present("pin", old, command, cut, success=success) is not None:
            self.user = True
            self.lose_session()
        elif left and old == right:
            self.lose_session()

    @rule(old=st.sampled_from(PUKS), new=st.sampled_from(PUKS), cut=CUTS)
    def change_puk(self, old, new, cut):
        success = replace(self.model, puk=(new, TRIES["puk"]))
        self.present("puk", old, sized("00240081", old.encode() + new.encode()), cut, success=success)

    @rule(puk=st.sampled_from(PUKS), new=st.sampled_from(PINS), cut=CUTS)
    def unblock_by_puk(self, puk, new, cut):
        success = replace(self.model, pin=(new, TRIES["pin"]), puk=(self.model.puk[0], TRIES["puk"]))
        done = self.present("puk", puk, sized("002C0080", puk.encode() + new.encode()), cut, success=success)
        if self.model.pin == success.pin:
            self.wrong_answers["pin"] = 0
        if done is not None:
            self.user = self.managed = False
            self.lose_session()

    @rule(new=st.sampled_from(PINS), cut=CUTS)
    def unblock_by_admin(self, new, cut):
        success = replace(self.model, pin=(new, TRIES["pin"]))
        if not self.managed:
            assert self.send(sized("002C0280", new.encode()), cut)[0] == 0x6982
            return
        status, _ = self.send(sized("002C0280", new.encode()), cut, new=success)
        if status is not None:
            assert status == 0x9000
            self.model = success
            self.user = self.managed = False
            self.lose_session()
        if self.model.pin == success.pin:
            self.wrong_answers["pin"] = 0

    @rule(key=st.sampled_from(ADMINS), cut=CUTS)
    def authenticate_admin(self, key, cut):
        assert self.send(bytes.fromhex("0022C1A403830180"), None)[0] == 0x9000
        challenge = self.send(bytes.fromhex("00870000047C02810000"), None)[1][4:]
        response = Cipher(TripleDES(key), modes.CBC(bytes(8))).encryptor().update(challenge)
        success = replace(self.model, admin=(self.model.admin[0], TRIES["admin"]))
        command = bytes.fromhex("008700000C7C0A8208") + response
        if self.present("admin", key, command, cut, success=success) is not None:
            self.managed = True

    @rule(key=st.sampled_from(ADMINS), cut=CUTS)
    def change_admin_key(self, key, cut):
        command = bytes.fromhex("00DB3FFF247022840180A51D8301018718") + key
        self.write(command, cut, replace(self.model, admin=(key, TRIES["admin"])), allowed=self.managed)
        if self.model.admin == (key, TRIES["admin"]):
            self.wrong_answers["admin"] = 0

    @rule(tag=st.sampled_from(TAGS), value=st.binary(max_size=40), cut=CUTS)
    def put_object(self, tag, value, cut):
        command = sized("00DBA013", bytes.fromhex(tag) + bytes((len(value),)) + value)
        self.write(command, cut, self.model.with_object(tag, value), allowed=self.user or self.managed)

    @rule(kid=st.sampled_from(KIDS), cut=CUTS)
    def create_key_file(self, kid, cut):
        if kid not in dict(self.model.files):
            new = self.model.with_file(kid, 1)
            if self.write(sized("00E00000", key_file(kid)), cut, new, allowed=self.user or self.managed):
                self.selected = kid

    @precondition(lambda self: self.model.files)
    @rule(cut=CUTS, data=st.data())
    def activate(self, cut, data):
        kid = data.draw(st.sampled_from(sorted(dict(self.model.files))))
        assert self.send(bytes.fromhex(f"00A4000C02B0{kid:02X}"), None)[0] == 0x9000
        if dict(self.model.files)[kid] == 1:
            new = self.model.with_file(kid, 7)
            self.write(bytes.fromhex("00440000"), cut, new, allowed=self.user or self.managed)

    @precondition(lambda self: self.model.files)
    @rule(cut=CUTS, data=st.data())
    def generate(self, cut, data):
        kid, life = data.draw(st.sampled_from(sorted(self.model.files)))
        command = bytes.fromhex(f"0047000008AC0680010C8301{kid:02X}")
        if life == 1:
            assert self.send(command, cut)[0] == 0x6985
        else:
            self.write(command, cut, replace(self.model, keys=self.model.keys | {kid}), allowed=self.user)

    @precondition(lambda self: self.model.files)
    @rule(cut=CUTS, data=st.data())
    def delete_file(self, cut, data):
        kid = data.draw(st.sampled_from(sorted(dict(self.model.files))))
        command = bytes.fromhex(f"00E4000002B0{kid:02X}")
        self.write(command, cut, self.model.without_file(kid), allowed=self.user or self.managed)

    def write(self, command, cut, new, *, allowed):
        if not allowed:
            assert self.send(command, cut)[0] == 0x6982
            return False
        status, _ = self.send(command, cut, new=new)
        if status is not None:
            assert status == 0x9000
            self.model = new
        return status is not None

    @precondition(lambda self: self.model.keys)
    @rule(data=st.data())
    def sign(self, data):
        kid = data.draw(st.sampled_from(sorted(self.model.keys)))
        status, _ = self.send(bytes.fromhex(f"002241B60680011C8401{kid:02X}"), None)
        assert status == (0x9000 if self.user else 0x6982)
        status, signature = self.send(sized("002A9E9A", b"\x11" * 32), None)
        assert (status, len(signature)) == ((0x9000, 64) if self.user else (0x6985, 0))

    @rule()
    def sign_out(self):
        assert self.send(bytes.fromhex("00200082"), None)[0] == 0x9000
        self.user = self.managed = False

    @rule()
    def reset_card(self):
        self.card.reset()
        self.wake()

    @rule()
    def pull_card(self):
        self.card.power_cycle()
        self.lose_session()
        self.wake()

    @invariant()
    def memory_holds_the_model(self):
        assert seen(self.memory) == self.model

    @invariant()
    def nobody_learns_more_than_the_counter_allows(self):
        for kind, wrong in self.wrong_answers.items():
            assert getattr(self.model, kind)[1] <= TRIES[kind] - wrong

    @invariant()
    def the_user_is_verified_only_by_a_pin(self):
        left = self.model.pin[1]
        expected = 0x9000 if self.user else 0x63C0 | left if left else 0x6983
        assert self.card.process(bytes.fromhex("00200080")) == expected.to_bytes(2, "big")


TestCardLife = CardLife.TestCase
TestCardLife.settings = settings(max_examples=150, stateful_step_count=60)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (sized("00200080", b"123456"), "pin"),
        (sized("80500080", b"123456"), "pin"),
        (sized("00240080", b"1234564321"), "pin"),
        (sized("00240081", b"876543219999"), "puk"),
        (sized("002C0080", b"876543214321"), "puk"),
    ],
)
def test_the_try_is_taken_before_anything_is_compared(command, name):
    life = CardLife()
    halfway = replace(life.model, **{name: (getattr(life.model, name)[0], TRIES[name] - 1)})
    assert life.send(command, 2, halfway=halfway)[0] is None
    assert life.model == halfway


def test_a_try_of_the_admin_key_is_taken_before_anything_is_compared():
    life = CardLife()
    life.send(bytes.fromhex("0022C1A403830180"), None)
    life.send(bytes.fromhex("00870000047C02810000"), None)
    halfway = replace(life.model, admin=(ADMINS[0], 4))
    assert life.send(bytes.fromhex("008700000C7C0A8208") + bytes(8), 2, halfway=halfway)[0] is None
    assert life.model == halfway


def blank_steps():
    """What initialises a card, as the page of the specification has it."""
    yield sized("00240180", b"123456")
    for fid, rules in (("A000", "033000"), ("A010", "033000"), ("A012", "032000")):
        yield sized("00E00000", bytes.fromhex(f"620C8201398302{fid}8C03{rules}"))
        yield bytes.fromhex("00440000")
    yield sized("00E00000", bytes.fromhex("621A8201188302B0808C04870020FFA50BA4098001028301809501C0"))
    yield bytes.fromhex("00440000")
    yield bytes.fromhex("00DB3FFF267024840180A51F8718") + ADMINS[1] + bytes.fromhex("8803B073DC")
    yield bytes.fromhex("00DBA00004DF1F0101")
    yield bytes.fromhex("00A4000C023FFF")
    yield bytes.fromhex("00440000")


def initialise(cut_at):
    """Initialise a blank card, the power failing at one instant; what is in it then, and whether the power failed."""
    memory = BytesMemory()
    new_gids_card(memory, os.urandom, blank=True)
    card = virtual_card(memory, os.urandom)
    card.process(SELECT)
    first, failed, selected = memory.instants, False, b"\x3f\xff"

    def fail(instant):
        if instant == first + cut_at:
            raise PowerLoss

    memory.cut = fail
    for step in blank_steps():
        try:
            answer = card.process(step)
        except PowerLoss:
            failed = True
            card.power_cycle()
            card.process(SELECT)
            card.process(bytes.fromhex("00A4000C02") + selected)
            answer = card.process(step)
        if step[1] == 0xE0:
            selected = step[12:14]
            if answer == b"\x6a\x89":
                answer = card.process(bytes.fromhex("00A4000C02") + selected)
        elif step[1] == 0xA4:
            selected = step[-2:]
        assert answer == b"\x90\0", (step.hex(), answer.hex())
    return memory.read(), failed


def test_initialisation_survives_power_loss_at_every_commit():
    """After each cut the interrupted step is done or can be repeated, and set-up ends as it would have."""
    whole, _ = initialise(0)
    for points in itertools.count(1):
        records, failed = initialise(points)
        assert records == whole
        if not failed:
            break
    assert points == 2 * len([step for step in blank_steps() if step[1] != 0xA4]) + 1
