"""Any sequence of calls on a few handles gives what a simple model says: share modes, transactions, resets, removals.

One thread, so a call that would wait for another handle is not made.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from calais.testing import FakeClock, local_system
from calais.testing.echo import INS_IS_VERIFIED, INS_VERIFY, EchoCard
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.winapi import winscard as w

DESK, TX = "Desk", w.SCARD_PROTOCOL_Tx
SHARED, EXCLUSIVE = w.SCARD_SHARE_SHARED, w.SCARD_SHARE_EXCLUSIVE
VERIFY = bytes([0, INS_VERIFY, 0, 0, 1]) + b"1"
IS_VERIFIED = bytes([0, INS_IS_VERIFIED, 0, 0])
OK, NOT_VERIFIED = b"\x90\x00", b"\x69\x82"
shares = st.sampled_from([SHARED, SHARED, EXCLUSIVE])
dispositions = st.sampled_from([w.SCARD_LEAVE_CARD, w.SCARD_RESET_CARD, w.SCARD_UNPOWER_CARD, w.SCARD_EJECT_CARD])
picks = st.integers(0, 9)


@dataclass(eq=False)
class Model:
    """What is known of one handle."""

    handle: object
    share: int
    insertion: int
    resets: int
    depth: int = 0
    used_at: float = 0.0


class Handles(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.clock = FakeClock()
        self.system = local_system(clock=self.clock)
        self.system.__enter__()
        self.context = w.SCardEstablishContext(0)
        self.card, self.present, self.insertion, self.resets, self.verified = EchoCard(), False, 0, 0, False
        self.handles: list[Model] = []
        self.insert()

    def teardown(self):
        if hasattr(self, "system"):
            self.context.release()
            self.system.__exit__(None, None, None)

    # --- the model

    def state(self, model):
        """The code that every call on this handle raises now, or ``None``."""
        if not self.present or model.insertion != self.insertion:
            return Code.SCARD_W_REMOVED_CARD
        return Code.SCARD_W_RESET_CARD if model.resets != self.resets else None

    def alive(self, besides=None):
        return [each for each in self.handles if each is not besides and self.is_here(each)]

    def is_here(self, model):
        return self.present and model.insertion == self.insertion

    @property
    def holder(self):
        return next((each for each in self.alive() if each.depth), None)

    def conflict(self, share, besides=None):
        others = self.alive(besides)
        return any(each.share == EXCLUSIVE for each in others) or (bool(others) and share == EXCLUSIVE)

    def reset(self, by):
        self.resets += 1
        self.verified = False
        if by is not None:
            by.resets = self.resets

    def pick(self, number):
        return self.handles[number % len(self.handles)]

    def free_for(self, model):
        return self.holder in (None, model)

    # --- rules

    @rule()
    def insert(self):
        if not self.present:
            self.system.insert(self.card, DESK)
            self.present, self.verified, self.powered = True, False, True
            self.insertion += 1
            self.resets += 1

    @rule()
    def remove(self):
        if self.present:
            self.system.remove(DESK)
            self.present = False
            for each in self.handles:
                each.depth = 0

    @precondition(lambda self: len(self.handles) < 5)
    @rule(share=shares)
    def connect(self, share):
        wanted = None
        if not self.present:
            wanted = Code.SCARD_W_REMOVED_CARD
        elif self.conflict(share) or (share == EXCLUSIVE and self.holder):
            wanted = Code.SCARD_E_SHARING_VIOLATION
        result = self.call(wanted, w.SCardConnect, self.context, DESK, share, TX)
        if wanted is None:
            self.powered = True
            assert result[1] == w.SCARD_PROTOCOL_T1
            self.handles.append(Model(result[0], share, self.insertion, self.resets))

    @precondition(lambda self: self.handles)
    @rule(number=picks, disposition=dispositions)
    def disconnect(self, number, disposition):
        model = self.pick(number)
        if disposition and self.is_here(model) and not self.free_for(model):
            return
        w.SCardDisconnect(model.handle, disposition)
        self.handles.remove(model)
        if disposition and self.is_here(model):
            self.reset(None)
            self.powered = self.powered and (disposition != w.SCARD_UNPOWER_CARD or bool(self.alive()))
        self.call(Code.ERROR_INVALID_HANDLE, w.SCardStatus, model.handle)

    @precondition(lambda self: self.handles)
    @rule(number=picks, share=shares, initialization=st.integers(0, 2))
    def reconnect(self, number, share, initialization):
        model = self.pick(number)
        if initialization and not self.free_for(model):
            return
        wanted = None
        if self.present and self.conflict(share, model):
            wanted = Code.SCARD_E_SHARING_VIOLATION
        elif not self.present:
            wanted = Code.SCARD_W_REMOVED_CARD
        result = self.call(wanted, w.SCardReconnect, model.handle, share, TX, initialization)
        if wanted is None:
            assert result == w.SCARD_PROTOCOL_T1
            self.powered = True
            if model.insertion != self.insertion:
                model.depth = 0
            model.share, model.insertion, model.resets = share, self.insertion, self.resets
            if initialization:
                self.reset(model)

    @precondition(lambda self: self.handles)
    @rule(number=picks)
    def begin(self, number):
        model = self.pick(number)
        if not self.free_for(model):
            return
        wanted = self.state(model)
        self.call(wanted, w.SCardBeginTransaction, model.handle)
        if wanted is None:
            if not model.depth:
                model.used_at = self.clock.monotonic()
            model.depth += 1

    @precondition(lambda self: self.handles)
    @rule(number=picks, disposition=dispositions)
    def end(self, number, disposition):
        model = self.pick(number)
        wanted = self.state(model)
        if wanted is None and not model.depth:
            wanted = Code.SCARD_E_SHARING_VIOLATION if self.holder else Code.SCARD_E_NOT_TRANSACTED
        self.call(wanted, w.SCardEndTransaction, model.handle, disposition)
        if wanted is None:
            model.depth -= 1
            if not model.depth and disposition:
                self.reset(model)

    @precondition(lambda self: self.handles)
    @rule(number=picks, verify=st.booleans())
    def transmit(self, number, verify):
        model = self.pick(number)
        if not self.free_for(model):
            return
        wanted = self.state(model)
        answer = self.call(wanted, w.SCardTransmit, model.handle, None, VERIFY if verify else IS_VERIFIED)
        if wanted is None:
            self.verified = self.verified or verify
            assert answer == (OK if self.verified else NOT_VERIFIED)
            model.used_at = self.clock.monotonic()

    @rule(seconds=st.sampled_from([1, 2, 6]))
    def let_time_pass(self, seconds):
        holder = self.holder
        self.clock.advance(seconds)
        if holder is not None and self.clock.monotonic() - holder.used_at >= 5:
            for each in self.handles:
                each.depth = 0
            self.reset(None)
            for each in self.handles:
                self.look(each)  # whoever calls next finds it ended

    def call(self, wanted, function, *arguments):
        result, code = None, None
        try:
            result = function(*arguments)
        except WinError as error:
            code = error.code
        assert code == wanted, function.__name__
        return result

    # --- always

    def look(self, model):
        status = self.call(self.state(model), w.SCardStatus, model.handle)
        if status is not None:
            assert status == ([DESK], w.SCARD_SPECIFIC, w.SCARD_PROTOCOL_T1, self.card.atr)

    @invariant()
    def every_handle_says_what_has_happened(self):
        for model in getattr(self, "handles", ()):
            self.look(model)

    @invariant()
    def the_reader_shows_how_it_is_shared(self):
        if not hasattr(self, "handles"):
            return
        (state,) = w.SCardGetStatusChange(self.context, 0, [w.ReaderState(DESK)])
        shown = w.SCARD_STATE_CHANGED | (w.SCARD_STATE_PRESENT if self.present else w.SCARD_STATE_EMPTY)
        shown |= w.SCARD_STATE_UNPOWERED if self.present and not self.powered else 0
        shown |= w.SCARD_STATE_INUSE if self.alive() else 0
        shown |= w.SCARD_STATE_EXCLUSIVE if any(each.share == EXCLUSIVE for each in self.alive()) else 0
        assert state.event_state & 0xFFFF == shown


TestHandles = Handles.TestCase
TestHandles.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
