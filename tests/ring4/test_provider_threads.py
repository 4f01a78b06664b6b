"""Many threads on one HCRYPTPROV, one NCryptKey, several contexts of one system: each answer right, one prompt, no
lock that waits for another; references are given back once each. Every wait ends by itself.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextvars import copy_context
from functools import partial

import pytest
from cspdesk import CARDS, acquire, check_signature, container_of, fails, gids, give_pin, piv, public_key_of, sign
from people import PIN, AskingThread, rsa_of

from calais.provider.lifetime import Lifetime
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.winapi import advapi32 as api
from calais.winapi import cspdk, ncrypt

THREADS, ROUNDS = 8, 6
DIGEST = bytes(range(32))
SHA256 = ncrypt.Pkcs1PaddingInfo("SHA256")


class SlowPrompt(FixedPrompt):
    """Answers once ``many`` threads can have come to the same question, and when nobody else comes."""

    def __init__(self, pin):
        super().__init__(pin)
        self.inside = self.most = 0

    def ask(self, request):
        self.inside += 1
        self.most = max(self.most, self.inside)
        threading.Event().wait(0.2)
        self.inside -= 1
        return super().ask(request)


def together(*calls):
    """Run the calls at once, and give what became of each: its result, or the code of its error."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait(30)
        try:
            return call()
        except WinError as error:
            return error.code

    threads = [AskingThread(partial(copy_context().run, run, call)) for call in calls]
    return [thread.done() for thread in threads]


@pytest.fixture(params=list(CARDS))
def system(request):
    with local_system(prompt=SlowPrompt(PIN)) as system:
        system.insert(CARDS[request.param]())
        yield system


def several(handle, spec=1, rounds=ROUNDS):
    """Signatures of different data, each looked at."""
    public = public_key_of(handle, spec)
    for number in range(rounds):
        data = bytes([number])
        check_signature(public, sign(handle, spec, data=data), data)
    return "right"


# --- one handle ---


def test_threads_share_one_context_and_the_person_is_asked_once(system):
    with acquire(None) as handle:
        assert together(*[lambda: several(handle)] * THREADS) == ["right"] * THREADS
    assert system.broker.prompt.count == 1


def test_threads_share_one_cng_key_and_the_person_is_asked_once(system):
    provider = ncrypt.NCryptOpenStorageProvider(ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER)
    key = ncrypt.NCryptOpenKey(provider, "")

    def work():
        for _ in range(ROUNDS):
            ncrypt.NCryptVerifySignature(
                key, SHA256, DIGEST, ncrypt.NCryptSignHash(key, SHA256, DIGEST, ncrypt.BCRYPT_PAD_PKCS1), 2
            )
        return "right"

    assert together(*[work] * THREADS) == ["right"] * THREADS
    assert system.broker.prompt.count == 1


def test_contexts_of_all_faces_share_one_question(system):
    name = system.card().containers.default.name
    provider = ncrypt.NCryptOpenStorageProvider(ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER)

    def csp():
        with acquire(name) as handle:
            return several(handle, rounds=2)

    def ksp():
        with ncrypt.NCryptOpenKey(provider, name) as key:
            ncrypt.NCryptSignHash(key, SHA256, DIGEST, ncrypt.BCRYPT_PAD_PKCS1)
        return "right"

    assert together(*[csp, ksp] * (THREADS // 2)) == ["right"] * THREADS
    assert system.broker.prompt.count == 1


def test_a_key_that_wants_its_pin_each_time_asks_one_question_after_the_other():
    with local_system(prompt=SlowPrompt(PIN)) as system:
        system.insert(piv(0x9C))
        with acquire(None) as handle:
            assert together(*[lambda: several(handle, spec=2, rounds=1)] * 4) == ["right"] * 4
        assert system.broker.prompt.count == 4
        assert system.broker.prompt.most == 1


def test_a_wrong_answer_is_one_try_per_question_and_the_next_one_hears_of_it():
    with local_system(prompt=SlowPrompt("999999")) as system:
        system.insert(gids())
        with acquire(None) as handle:
            public_key_of(handle)
            assert together(*[lambda: sign(handle)] * 2) == [Code.SCARD_W_WRONG_CHV] * 2
        left = [request.attempts_left for request in system.broker.prompt.requests]
        assert left[1] == left[0] - 1
        assert system.card().pin_status().attempts_left == left[0] - 2


def test_silent_threads_do_not_wait_for_a_person(system):
    asked, answer = threading.Event(), threading.Event()
    prompt = system.broker.prompt
    whole = prompt.ask
    prompt.ask = lambda request: (asked.set(), answer.wait(30), whole(request))[-1]
    with acquire(None) as handle, acquire(None, api.CRYPT_SILENT) as silent:
        public_key_of(silent)
        waits = AskingThread(partial(copy_context().run, sign, handle))
        assert asked.wait(30)
        with fails(Code.NTE_SILENT_CONTEXT):
            sign(silent)
        answer.set()
        check_signature(public_key_of(handle), waits.done())


def test_pins_are_set_while_others_sign(system):
    with acquire(None) as handle:
        give_pin(handle)
        calls = [lambda: several(handle), lambda: [give_pin(handle) for _ in range(ROUNDS)] and "right"]
        assert together(*calls * 4) == ["right"] * 8
    assert system.broker.prompt.count == 0
    assert system.card().pin_status().attempts_left in (None, 3, 15, 5)


# --- lives ---


def test_a_lifetime_ends_once_and_stays_over():
    for _ in range(50):
        life = Lifetime()
        assert life.join()
        left = together(*[life.leave] * 4)
        assert Counter(left) == {None: 2, 1: 1, 0: 1}
        assert life.is_over
        assert not life.join()


@pytest.mark.parametrize("extra", [0, 3])
def test_references_are_given_back_once_each(extra):
    with local_system() as system:
        system.insert(virtual_gids(keys=[]))
        handle = acquire(None, api.CRYPT_VERIFYCONTEXT)
        together(*[lambda: api.CryptContextAddRef(handle)] * extra) if extra else None
        results = together(*[lambda: api.CryptReleaseContext(handle)] * THREADS)
        assert Counter(results) == {None: extra + 1, Code.ERROR_INVALID_PARAMETER: THREADS - extra - 1}
        with fails(Code.ERROR_INVALID_PARAMETER):
            api.CryptContextAddRef(handle)


def test_a_reference_taken_while_the_last_one_goes_lives_or_is_refused():
    for _ in range(40):
        handle = cspdk.CPAcquireContext(
            None, api.CRYPT_VERIFYCONTEXT, provider="Microsoft Base Cryptographic Provider v1.0"
        )
        taken, released = together(lambda handle=handle: api.CryptContextAddRef(handle), handle.release)
        assert released
        assert handle.is_open == (taken is None)
        assert taken in (None, Code.ERROR_INVALID_PARAMETER)


def test_handles_are_destroyed_once():
    with cspdk.CPAcquireContext(
        None, api.CRYPT_VERIFYCONTEXT, provider="Microsoft Base Cryptographic Provider v1.0"
    ) as handle:
        hash_ = api.CryptCreateHash(handle, api.CALG_SHA1)
        key = api.CryptGenKey(handle, api.CALG_RC4, 0)
        for call in (lambda: api.CryptDestroyHash(hash_), lambda: api.CryptDestroyKey(key)):
            assert Counter(together(*[call] * 4)) == {None: 1, Code.ERROR_INVALID_PARAMETER: 3}
    provider = ncrypt.NCryptOpenStorageProvider()
    assert Counter(together(*[lambda: ncrypt.NCryptFreeObject(provider)] * 4)) == {None: 1, Code.NTE_INVALID_HANDLE: 3}


def test_a_key_is_finished_once():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(virtual_gids(keys=[]))
        provider = ncrypt.NCryptOpenStorageProvider(ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER)
        key = ncrypt.NCryptCreatePersistedKey(provider, "ECDSA_P256", "fresh")
        assert Counter(together(*[lambda: ncrypt.NCryptFinalizeKey(key)] * 4)) == {None: 1, Code.NTE_INVALID_HANDLE: 3}
        assert [container.name for container in system.card().containers] == ["fresh"]
        assert system.broker.prompt.count == 1


def test_a_release_during_a_signature_ends_in_a_signature_or_in_the_faces_code(system):
    public = None
    for _ in range(3):
        handle = acquire(None)
        give_pin(handle)
        public = public or public_key_of(handle)
        signed, _ = together(lambda handle=handle: sign(handle), lambda handle=handle: api.CryptReleaseContext(handle))
        if isinstance(signed, bytes):
            check_signature(public, signed)
        else:
            assert signed == Code.ERROR_INVALID_PARAMETER
    assert system.broker.prompt.count == 0


def test_names_made_for_contexts_are_forgotten_with_the_last_of_them():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        keys = {0x9A: (rsa_of("volatile"), None)}
        from pivdesk import certificate

        system.insert(
            virtual_piv(keys={0x9A: (keys[0x9A][0], certificate(keys[0x9A][0], "v"))}, container_names="volatile")
        )
        first = acquire(None)
        name = container_of(first)
        others = together(*[lambda: acquire(name)] * 6)
        assert together(*[lambda each=each: each.close() for each in others]) == [None] * 6
        with acquire(name):
            pass
        first.close()
        with fails(Code.NTE_BAD_KEYSET):
            acquire(name)


# --- several of everything ---


def test_duplicates_and_destructions_beside_signatures(system):
    with acquire(None) as handle:
        give_pin(handle)
        key = api.CryptGetUserKey(handle, 1)

        def copies():
            for _ in range(ROUNDS):
                twin = api.CryptDuplicateKey(key)
                api.CryptGetKeyParam(twin, api.KP_KEYLEN)
                api.CryptDestroyKey(twin)
                hash_ = api.CryptCreateHash(handle, api.CALG_SHA1)
                api.CryptHashData(hash_, b"x")
                api.CryptDestroyHash(api.CryptDuplicateHash(hash_))
            return "right"

        def opens():
            for _ in range(ROUNDS):
                with acquire(None) as own:
                    container_of(own)
            return "right"

        assert together(*[copies, opens, lambda: several(handle)] * 2) == ["right"] * 6


def test_an_enumeration_in_threads_gives_each_key_once():
    with local_system() as system:
        system.insert(gids(names=[f"key {number}" for number in range(6)]))
        provider = ncrypt.NCryptOpenStorageProvider(ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER)
        first, state = ncrypt.NCryptEnumKeys(provider)
        found = together(*[lambda: ncrypt.NCryptEnumKeys(provider, None, state)[0].name] * 8)
        names = [first.name, *[each for each in found if isinstance(each, str)]]
        assert sorted(names) == [f"key {number}" for number in range(6)]
        assert found.count(Code.NTE_NO_MORE_ITEMS) == 3
