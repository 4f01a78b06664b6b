"""PIN cache policies over time: two faces of one process, a person, and the clock.

What must hold: Timed ends with its seconds, None ends with the transaction, AlwaysPrompt asks each time, Normal asks
once; no try is ever spent without a PIN just given; the card is never blocked by remembered PINs; one process never uses
what another was given.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from people import key_of
from pinfaces import install, with_cache_policy
from pivdesk import certificate

from calais.cards.gids import spec
from calais.minidriver.pins import Pin
from calais.provider.caller import Caller, Face
from calais.provider.pincache import CachePolicy
from calais.resource.virtual import DEFAULT_READER
from calais.testing import FakeClock, FixedPrompt, local_system, virtual_gids
from calais.win.errors import Cancelled, PinBlocked, SilentContext, WrongPin

PIN, WRONG = "123456", "999999"
SECONDS, HOLD_S = 10, 1.5
FACES = st.sampled_from([Face.CRYPTOAPI, Face.CNG])
WHO = st.integers(0, 1)


class Person(FixedPrompt):
    """Answers with whatever is on their mind, and agrees to the last try only with a PIN that is right."""

    def __init__(self):
        super().__init__(None)
        self.mind = None

    def ask(self, request):
        super().ask(request)
        return None if self.mind is None else Pin(self.mind)

    def confirm(self, request):
        super().confirm(request)
        return self.mind == PIN


class PinPolicies(RuleBasedStateMachine):
    @initialize(policy=st.sampled_from(CachePolicy), apart=st.booleans(), session_pins=st.booleans())
    def start(self, policy, apart, session_pins):
        self.patch = pytest.MonkeyPatch()
        install(self.patch, with_cache_policy(policy, SECONDS))
        self.policy, self.apart, self.session_pins = policy, apart, session_pins and apart
        self.clock = FakeClock()
        key = key_of()
        self.card = virtual_gids(
            keys=[("one", 3, key, certificate(key, "one"))], seed="policies", session_pins=session_pins
        )
        self.people = [Person(), Person()]
        self.systems = [
            local_system(prompt=person, clock=self.clock, policy={"pin.separate_caches": apart})
            for person in self.people
        ]
        for system in self.systems:
            system.insert(self.card)
        self.given = {}  # who knows the PIN, and since when
        self.held = [None, None]  # until when the transaction with the PIN verified lasts
        self.failed = False  # whether anybody ever gave a wrong PIN
        self.newest = None  # whose session PIN is the one that the card knows

    def teardown(self):
        for system in getattr(self, "systems", ()):
            system.close()
        if hasattr(self, "patch"):
            self.patch.undo()

    @property
    def tries(self):
        return self.card.applet.state.reference(spec.REF_PIN).left

    def name(self, who, face):
        return who, face if self.apart else None

    def may_remember(self, who, face):
        """Whether a PIN that this face was given may still be used."""
        since = self.given.get(self.name(who, face))
        if since is None or self.policy in (CachePolicy.NONE, CachePolicy.ALWAYS_PROMPT):
            return False
        if self.session_pins and self.newest != self.name(who, face):
            return False
        return self.policy != CachePolicy.TIMED or self.clock.monotonic() < since + SECONDS

    def holds(self, who):
        return self.held[who] is not None and self.clock.monotonic() < self.held[who]

    @rule(who=WHO, face=FACES, mind=st.sampled_from([PIN, WRONG, None]))
    def sign(self, who, face, mind):
        self.let_go(1 - who)
        person = self.people[who]
        person.mind, asked, before = mind, person.count, self.tries
        free = self.holds(who) and self.policy != CachePolicy.ALWAYS_PROMPT
        remembered = self.may_remember(who, face)
        outcome = self.attempt(who, face)
        presented = mind if person.count > asked else None
        if outcome is None and presented is None:
            assert free or remembered, "a PIN came from nowhere"
        if (free or remembered) and not self.failed:
            assert person.count == asked, "somebody was asked for a PIN that is known"
        self.check_tries(outcome, presented, before)
        self.note(who, face, outcome, presented)

    def check_tries(self, outcome, presented, before):
        if presented == WRONG:
            assert isinstance(outcome, WrongPin)
            assert self.tries == before - 1
            assert before > 1, "the last try went"
        elif presented == PIN:
            assert outcome is None
            assert self.tries == 3
        else:
            assert self.tries in (before, 3), "a try was spent without a PIN just given"

    def note(self, who, face, outcome, presented):
        name = self.name(who, face)
        if presented == PIN:
            self.given[name] = self.clock.monotonic()
            if self.policy in (CachePolicy.NORMAL, CachePolicy.TIMED):
                self.newest = name
        elif outcome is not None:
            self.given.pop(name, None)
        self.failed |= presented == WRONG
        self.held[who] = self.clock.monotonic() + HOLD_S if outcome is None else None

    def attempt(self, who, face):
        card = self.systems[who].card().seen_by(Caller(face))
        try:
            card.containers.default.key.sign(b"data", ec.ECDSA(hashes.SHA256()))
        except (WrongPin, PinBlocked, SilentContext, Cancelled) as error:
            return error
        return None

    def let_go(self, who):
        self.systems[who].reader(DEFAULT_READER).release()
        self.held[who] = None

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0, 12.0]))
    def wait(self, seconds):
        self.clock.advance(seconds)
        for who in (0, 1):
            if not self.holds(who):
                self.let_go(who)

    @rule(who=WHO)
    def release(self, who):
        self.let_go(who)

    @invariant()
    def remembered_pins_never_block(self):
        if hasattr(self, "card"):
            assert 1 <= self.tries <= 3


PinPolicies.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestPinPolicies = PinPolicies.TestCase
