"""The life of nameless keys: whatever the order of calls, each answers as the state of its key demands."""

from cng import DIGEST, code_of, memory, outcome_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from calais.winapi.ncrypt import (
    NTE_BAD_KEY_STATE,
    NTE_INVALID_HANDLE,
    NTE_NOT_FOUND,
    NTE_NOT_SUPPORTED,
    NCryptCreatePersistedKey,
    NCryptDeleteKey,
    NCryptDeriveKey,
    NCryptExportKey,
    NCryptFinalizeKey,
    NCryptFreeObject,
    NCryptGetProperty,
    NCryptImportKey,
    NCryptIsKeyHandle,
    NCryptSecretAgreement,
    NCryptSetProperty,
    NCryptSignHash,
    NCryptVerifySignature,
)

ALGORITHMS = ["ECDSA_P256", "ECDH_P256"]


class KeyLife(RuleBasedStateMachine):
    """Each key is a draft, finished or gone; a dictionary remembers which, and its export policy."""

    keys = Bundle("keys")

    def __init__(self):
        super().__init__()
        self.provider = memory()
        self.state = {}
        self.policy = {}

    def expects(self, key, *finished):
        """The code that the state of ``key`` demands, ``None`` if the call must do its work."""
        if self.state[key] == "gone":
            return NTE_INVALID_HANDLE
        return NTE_BAD_KEY_STATE if self.state[key] == "draft" else (finished or (None,))[0]

    def tries(self, expected, call, *arguments):
        if expected is None:
            return call(*arguments)
        assert code_of(call, *arguments) == expected
        return None

    @rule(target=keys, algorithm=st.sampled_from(ALGORITHMS))
    def create(self, algorithm):
        key = NCryptCreatePersistedKey(self.provider, algorithm)
        self.state[key], self.policy[key] = "draft", 0
        return key

    @rule(key=keys)
    def finalise(self, key):
        draft = self.state[key] == "draft"
        self.tries(None if draft else NTE_INVALID_HANDLE, NCryptFinalizeKey, key)
        if draft:
            self.state[key] = "done"

    @rule(key=keys, policy=st.sampled_from([0, 1, 2, 3]))
    def allow(self, key, policy):
        expected = {"draft": None, "done": NTE_NOT_SUPPORTED, "gone": NTE_INVALID_HANDLE}[self.state[key]]
        self.tries(expected, NCryptSetProperty, key, "Export Policy", policy)
        if expected is None:
            self.policy[key] = policy

    @rule(key=keys)
    def sign(self, key):
        if key.algorithm.agrees:
            expected = NTE_INVALID_HANDLE if self.state[key] == "gone" else NTE_NOT_SUPPORTED
            self.tries(expected, NCryptSignHash, key, None, DIGEST)
            return
        signature = self.tries(self.expects(key), NCryptSignHash, key, None, DIGEST)
        if signature is not None:
            NCryptVerifySignature(key, None, DIGEST, signature)

    @rule(one=keys, other=keys)
    def agree(self, one, other):
        states = {self.state[one], self.state[other]}
        both = one.algorithm.agrees and other.algorithm.agrees
        outcome = outcome_of(NCryptSecretAgreement, one, other)
        assert (outcome == "done") == (both and states == {"done"})
        if outcome == "done":
            made = [NCryptDeriveKey(NCryptSecretAgreement(*pair), "HASH") for pair in ((one, other), (other, one))]
            assert made[0] == made[1]

    @rule(target=keys, key=keys)
    def copy(self, key):
        allowed = None if self.policy[key] & 2 else NTE_NOT_SUPPORTED
        blob = self.tries(self.expects(key, allowed), NCryptExportKey, key, None, "ECCPRIVATEBLOB")
        if blob is None:
            return key
        twin = NCryptImportKey(self.provider, None, "PRIVATEBLOB", (), blob)
        assert NCryptExportKey(twin, None, "PUBLICBLOB") == NCryptExportKey(key, None, "PUBLICBLOB")
        self.state[twin], self.policy[twin] = "done", 0
        return twin

    @rule(key=keys, call=st.sampled_from([NCryptFreeObject, NCryptDeleteKey]))
    def end(self, key, call):
        self.tries(NTE_INVALID_HANDLE if self.state[key] == "gone" else None, call, key)
        self.state[key] = "gone"

    @invariant()
    def handles_tell_the_truth(self):
        for key, state in self.state.items():
            assert NCryptIsKeyHandle(key) == (state != "gone")
            if state != "gone":
                assert NCryptGetProperty(key, "Export Policy") == self.policy[key]
                assert code_of(NCryptGetProperty, key, "Modified") == NTE_NOT_FOUND


KeyLife.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestKeyLife = KeyLife.TestCase
