"""The life of a PIN between a person, two systems of ours, and another program at the same card.

What must hold whatever happens: a system spends no try without a PIN that was just given; but for one thing that no
PIV card shows, a PIN that another program has changed, which costs one try and then the remembered PIN. The last try is
never spent by a remembered PIN. A PIN that one system was given never serves another.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from people import PIN, PUK, SHA256, card, select, verify

from calais.resource.virtual import DEFAULT_READER
from calais.testing import FakeClock, FixedPrompt, local_system
from calais.win.errors import Cancelled, NotAuthenticated, PinBlocked, SilentContext, WinError, WrongPin

PINS = (PIN, "222222", "333333")
WRONG = "999999"
FULL = 3
answers = st.sampled_from([*PINS, WRONG, None])
systems = st.integers(0, 1)


class Person(FixedPrompt):
    """Answers with whatever is on their mind."""

    def __init__(self):
        super().__init__(None)
        self.mind = None

    def ask(self, request):
        super().ask(request)
        from calais.minidriver.pins import Pin

        return None if self.mind is None else Pin(self.mind)


class PinLife(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.card = card(0x9A, 0x9C)
        self.pin = PIN
        self.clock = FakeClock()
        self.people = [Person(), Person()]
        self.systems = [local_system(prompt=person, clock=self.clock) for person in self.people]
        self.changed_behind = [False, False]
        for system in self.systems:
            system.insert(self.card)

    def teardown(self):
        for system in getattr(self, "systems", ()):
            system.close()

    @property
    def tries(self):
        return self.card.applet.state.reference(0x80).left

    def containers(self, who):
        return self.systems[who].card().containers

    # --- what we do ---

    @rule(who=systems, slot=st.sampled_from(["9A", "9C"]), answer=answers)
    def sign(self, who, slot, answer):
        person = self.people[who]
        person.mind, asked = answer, person.count
        before = self.tries
        self.systems[1 - who].reader(DEFAULT_READER).release()
        was_verified = self.verified_by_anybody()
        outcome = self.attempt(who, lambda: self.containers(who).find(slot).key.sign(b"data", SHA256))
        fresh_wrong = person.count > asked and answer is not None and answer != self.pin
        self.check_tries(who, before, fresh_wrong=fresh_wrong)
        if outcome is None:
            self.check_success(who, slot, answer, was_asked=person.count > asked, was_verified=was_verified)

    def check_tries(self, who, before, *, fresh_wrong):
        spent = before - self.tries
        by_memory = spent - fresh_wrong
        assert by_memory <= int(self.changed_behind[who]), "a try was spent without a PIN just given"
        if by_memory > 0:
            assert before > 1, "a remembered PIN was the last try"
            self.changed_behind[who] = False

    def check_success(self, who, slot, answer, *, was_asked, was_verified):
        if slot == "9C":
            assert was_asked
            assert answer == self.pin
        if was_asked:
            assert answer == self.pin
            self.knows[who] = True
        else:
            assert self.knows[who] or was_verified

    @rule(who=systems, pin=st.sampled_from([*PINS, WRONG]))
    def verify(self, who, pin):
        before = self.tries
        outcome = self.attempt(who, lambda: self.systems[who].card().verify_pin(pin))
        if before == 0:
            assert isinstance(outcome, PinBlocked)
        elif pin == self.pin:
            assert outcome is None
            assert self.tries == FULL
            self.knows[who], self.changed_behind[who] = True, False
        else:
            assert isinstance(outcome, WrongPin)
            assert self.tries == before - 1 == outcome.attempts_left

    @rule(who=systems, new=st.sampled_from(PINS))
    def change(self, who, new):
        if self.tries and self.attempt(who, lambda: self.systems[who].card().change_pin(self.pin, new)) is None:
            self.pin_is(new)
            self.changed_behind[who] = False

    @rule(who=systems, new=st.sampled_from(PINS))
    def unblock(self, who, new):
        assert self.attempt(who, lambda: self.systems[who].card().unblock_pin(PUK, new)) is None
        self.pin_is(new)
        self.changed_behind[who] = False

    @rule(seconds=st.sampled_from([0.5, 2.0]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule(who=systems)
    def release(self, who):
        self.systems[who].reader(DEFAULT_READER).release()

    @rule(who=systems)
    def pull_and_insert(self, who):
        self.systems[who].remove()
        self.systems[who].insert(self.card)

    # --- what another program does; nobody holds the card then ---

    def alone(self):
        for system in self.systems:
            system.reader(DEFAULT_READER).release()
        select(self.card)

    @rule()
    def another_program_fails(self):
        self.alone()
        verify(self.card, WRONG)

    @rule()
    def another_program_verifies(self):
        self.alone()
        verify(self.card, self.pin)

    @rule()
    def another_program_resets(self):
        self.alone()
        self.card.reset()

    @precondition(lambda self: self.tries)
    @rule(new=st.sampled_from(PINS), fails=st.integers(0, 2))
    def another_program_changes_the_pin(self, new, fails):
        self.alone()
        old, fresh = (pin.encode().ljust(8, b"\xff") for pin in (self.pin, new))
        assert self.card.process(bytes.fromhex("0024008010") + old + fresh).hex() == "9000"
        for _ in range(fails):
            verify(self.card, WRONG)
        self.card.reset()
        self.pin_is(new)

    # --- the model ---

    @initialize()
    def nobody_knows(self):
        self.knows = [False, False]

    def pin_is(self, new):
        if new != self.pin:
            self.changed_behind = [True, True]
        self.pin = new

    def verified_by_anybody(self):
        """Whether the card has a verified PIN now, whoever gave it."""
        return bool(self.card.applet.state.pin_satisfied())

    def attempt(self, who, act):
        """Let ``who`` act, once the other one's hold is over."""
        self.systems[1 - who].reader(DEFAULT_READER).release()
        try:
            act()
        except (WrongPin, PinBlocked, SilentContext, Cancelled, NotAuthenticated) as error:
            return error
        except WinError as error:
            raise AssertionError(f"unexpected: {error}") from error
        return None

    @invariant()
    def the_card_counts_what_happened(self):
        if hasattr(self, "card"):
            assert 0 <= self.tries <= FULL


PinLife.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestPinLife = PinLife.TestCase
