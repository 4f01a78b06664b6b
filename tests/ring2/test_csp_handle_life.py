"""The life of handles of both faces: whatever the order of calls, one that is dead gives its face's code, and nothing
is kept alive by what is gone.
"""

from __future__ import annotations

import gc
import weakref

from cng import DIGEST
from cryptography.hazmat.primitives.asymmetric import rsa
from cspdesk import PIN, sign
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from pivdesk import certificate

from calais.testing import FixedPrompt, local_system, virtual_gids
from calais.win.blobs import build_capi_private
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.winapi import advapi32 as api
from calais.winapi import cspdk, ncrypt

BASE, ENHANCED = "Microsoft Base Smart Card Crypto Provider", "Microsoft Enhanced Cryptographic Provider v1.0"
KSP = ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER
KEY = rsa.generate_private_key(65537, 1024)
PRIVATE = build_capi_private(KEY, api.CALG_RSA_KEYX)
FALSE = Code.ERROR_INVALID_PARAMETER


def outcome(call):
    """What ``call`` gives, or the code of its error; nothing but a WinError may come out."""
    try:
        return call()
    except WinError as error:
        return error


def code(result):
    return result.code if isinstance(result, WinError) else None


class HandleLife(RuleBasedStateMachine):
    """``refs``: references of each context; ``owner``: the context of each key and hash; ``dead``: those destroyed."""

    contexts, keys, hashes = Bundle("contexts"), Bundle("keys"), Bundle("hashes")
    ncrypts = Bundle("ncrypts")

    def __init__(self):
        super().__init__()
        self.system = local_system(prompt=FixedPrompt(PIN))
        self.system.__enter__()
        self.system.insert(virtual_gids(keys=[("one", 1, KEY, certificate(KEY, "one"))]))
        self.refs, self.owner, self.dead, self.freed = {}, {}, set(), {}

    def teardown(self):
        self.system.__exit__(None, None, None)

    def is_live(self, handle):
        if handle in self.refs:
            return self.refs[handle] > 0
        return handle not in self.dead and self.refs[self.owner[handle]] > 0

    def expects(self, result, live, dead_code):
        """The result of a live handle, ``None`` when the call failed as it must."""
        if live:
            assert code(result) not in (dead_code, Code.ERROR_INVALID_HANDLE), result
            return None if isinstance(result, WinError) else result
        assert code(result) == dead_code, result
        return None

    # --- CryptoAPI ---

    @rule(target=contexts, provider=st.sampled_from([BASE, ENHANCED]))
    def acquire(self, provider):
        handle = cspdk.CPAcquireContext(None, api.CRYPT_VERIFYCONTEXT if provider == ENHANCED else 0, provider=provider)
        self.refs[handle] = 1
        return handle

    @rule(handle=contexts)
    def add_reference(self, handle):
        live = self.is_live(handle)
        self.expects(outcome(lambda: api.CryptContextAddRef(handle)), live, FALSE)
        self.refs[handle] += live

    @rule(handle=contexts, face=st.sampled_from(["advapi32", "cspdk", "flags"]))
    def release(self, handle, face):
        live = self.is_live(handle)
        calls = {
            "advapi32": lambda: api.CryptReleaseContext(handle),
            "cspdk": lambda: cspdk.CPReleaseContext(handle),
            "flags": lambda: api.CryptReleaseContext(handle, 1),
        }
        dead = Code.NTE_BAD_UID if face == "cspdk" else FALSE
        result = outcome(calls[face])
        if live:
            assert code(result) == (Code.NTE_BAD_FLAGS if face == "flags" else None)
        else:
            assert code(result) == dead
        self.refs[handle] -= live

    def adopt(self, handle, context):
        if handle is None:
            return context  # a handle of another kind is a bad handle, too
        self.owner[handle] = context
        return handle

    @rule(target=keys, context=contexts, alg=st.sampled_from([api.CALG_RC4, api.CALG_3DES, "user", "private"]))
    def key(self, context, alg):
        calls = {
            "user": lambda: api.CryptGetUserKey(context, 1),
            "private": lambda: api.CryptImportKey(context, PRIVATE),
        }
        call = calls.get(alg, lambda: api.CryptGenKey(context, alg, api.CRYPT_EXPORTABLE))
        return self.adopt(self.expects(outcome(call), self.is_live(context), FALSE), context)

    @rule(target=hashes, context=contexts)
    def hash(self, context):
        call = outcome(lambda: api.CryptCreateHash(context, api.CALG_SHA1))
        return self.adopt(self.expects(call, self.is_live(context), FALSE), context)

    @rule(target=keys, key=keys)
    def duplicate_key(self, key):
        live = key in self.owner and self.is_live(key)
        return self.adopt(
            self.expects(outcome(lambda: api.CryptDuplicateKey(key)), live, FALSE), self.owner.get(key, key)
        )

    @rule(target=hashes, hash_=hashes)
    def duplicate_hash(self, hash_):
        live = hash_ in self.owner and self.is_live(hash_)
        made = self.expects(outcome(lambda: api.CryptDuplicateHash(hash_)), live, FALSE)
        return self.adopt(made, self.owner.get(hash_, hash_))

    @rule(hash_=hashes, face=st.sampled_from(["advapi32", "cspdk"]))
    def sign(self, hash_, face):
        live = hash_ in self.owner and self.is_live(hash_)
        context = self.owner.get(hash_)
        if face == "cspdk" and context is not None:
            dead = Code.NTE_BAD_HASH if self.is_live(context) else Code.NTE_BAD_UID
            result = outcome(lambda: cspdk.CPSignHash(context, hash_, 1, None, 0))
            self.expects(result, live, dead)
        else:
            self.expects(outcome(lambda: api.CryptSignHash(hash_, 1)), live, FALSE)

    @rule(key=keys, call=st.sampled_from(["export", "length", "encrypt"]))
    def use_key(self, key, call):
        live = key in self.owner and self.is_live(key)
        calls = {
            "export": lambda: api.CryptExportKey(key, None, api.PUBLICKEYBLOB),
            "length": lambda: api.CryptGetKeyParam(key, api.KP_KEYLEN),
            "encrypt": lambda: api.CryptEncrypt(key, None, True, 0, b"text"),
        }
        self.expects(outcome(calls[call]), live, FALSE)

    @rule(handle=keys | hashes)
    def destroy(self, handle):
        live = handle in self.owner and self.is_live(handle)
        is_key = type(handle).__name__ == "CspKey"
        result = outcome(lambda: (api.CryptDestroyKey if is_key else api.CryptDestroyHash)(handle))
        self.expects(result, live, FALSE)
        self.dead.add(handle)

    # --- CNG ---

    @rule(target=ncrypts, kind=st.sampled_from(["provider", "card", "memory"]))
    def open(self, kind):
        provider = ncrypt.NCryptOpenStorageProvider(KSP if kind == "card" else None)
        self.freed[provider] = False
        if kind == "provider":
            return provider
        if kind == "card":
            made = ncrypt.NCryptOpenKey(provider, "one")
        else:
            made = ncrypt.NCryptCreatePersistedKey(provider, "ECDSA_P256")
            ncrypt.NCryptFinalizeKey(made)
        self.freed[made] = False
        return made

    @rule(handle=ncrypts)
    def free(self, handle):
        result = outcome(lambda: ncrypt.NCryptFreeObject(handle))
        assert code(result) == (Code.NTE_INVALID_HANDLE if self.freed[handle] else None)
        self.freed[handle] = True

    @rule(handle=ncrypts | contexts | keys, call=st.sampled_from(["sign", "property", "export", "free", "enum"]))
    def misuse(self, handle, call):
        info = ncrypt.Pkcs1PaddingInfo("SHA256")
        calls = {
            "sign": lambda: ncrypt.NCryptSignHash(handle, info, DIGEST, 2),
            "property": lambda: ncrypt.NCryptGetProperty(handle, "Name"),
            "export": lambda: ncrypt.NCryptExportKey(handle, None, "PUBLICBLOB"),
            "free": lambda: None if self.freed.get(handle) is False else ncrypt.NCryptFreeObject(handle),
            "enum": lambda: ncrypt.NCryptEnumKeys(handle),
        }
        result = outcome(calls[call])
        if self.freed.get(handle, True):
            assert code(result) == Code.NTE_INVALID_HANDLE, result

    @invariant()
    def handles_know_whether_they_live(self):
        for handle in [*self.refs, *self.owner]:
            assert handle.is_open == self.is_live(handle)
        for handle, freed in self.freed.items():
            assert handle.is_open != freed


HandleLife.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestHandleLife = HandleLife.TestCase


# --- nothing is kept -------------------------------------------------------------------------------------------------


def test_handles_in_memory_die_with_their_last_name():
    gc.collect()
    gc.disable()
    try:
        handle = cspdk.CPAcquireContext(None, api.CRYPT_VERIFYCONTEXT, provider=ENHANCED)
        key = api.CryptGenKey(handle, api.CALG_3DES, 0)
        hash_ = api.CryptCreateHash(handle, api.CALG_SHA1)
        provider = ncrypt.NCryptOpenStorageProvider()
        cng = ncrypt.NCryptCreatePersistedKey(provider, "ECDSA_P256")
        ncrypt.NCryptFinalizeKey(cng)
        watched = [weakref.ref(each) for each in (handle, key, hash_, provider, cng)]
        api.CryptReleaseContext(handle)
        ncrypt.NCryptFreeObject(cng)
        del handle, key, hash_, provider, cng
        assert [each() for each in watched] == [None] * 5
    finally:
        gc.enable()


def test_handles_on_cards_are_kept_by_nobody_else():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(virtual_gids(keys=[("one", 1, KEY, certificate(KEY, "one"))]))
        handle = cspdk.CPAcquireContext(None, 0, provider=BASE)
        sign(handle)
        key = api.CryptGetUserKey(handle, 1)
        cng = ncrypt.NCryptOpenKey(ncrypt.NCryptOpenStorageProvider(KSP), "one")
        ncrypt.NCryptSignHash(cng, ncrypt.Pkcs1PaddingInfo("SHA256"), DIGEST, 2)
        watched = [weakref.ref(each) for each in (handle, key, cng, handle.slots, cng.material)]
        api.CryptReleaseContext(handle)
        ncrypt.NCryptFreeObject(cng)
        del handle, key, cng
        gc.collect()
        assert [each() for each in watched] == [None] * 5
