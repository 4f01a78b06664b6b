"""The policy values of the two providers of smart cards: what they are when nobody has set them, and what they do."""

from __future__ import annotations

import pytest
from cspdesk import BASE, CARDS, PERSONAL, acquire, check_signature, fails, gids, give_pin, public_key_of, sign
from people import PIN, rsa_of
from pinfaces import as_entry_point, install

from calais.cards.gids.driver import GidsMinidriver
from calais.provider.policy import Policy
from calais.testing import FakeClock, FixedPrompt, local_system, virtual_gids
from calais.transport.loopback import LoopbackTransport
from calais.win.blobs import build_capi_private
from calais.win.codes import Code
from calais.winapi import advapi32 as api
from calais.winapi.ncrypt import (
    MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    NCryptCreatePersistedKey,
    NCryptFinalizeKey,
    NCryptOpenStorageProvider,
)

NEW = api.CRYPT_NEWKEYSET
FLAGS = {BASE: 0, PERSONAL: api.CRYPT_USER_PROTECTED}
DEFAULTS = {
    "DefaultPrivateKeyLenBits": 0x400,
    "RequireOnCardPrivateKeyGen": 0,
    "TransactionTimeoutMilliseconds": 0x5DC,
    "AllowPrivateSignatureKeyImport": 0,
    "AllowPrivateExchangeKeyImport": 0,
    "AllowPrivateECDHEKeyImport": 0,
    "AllowPrivateECDSAKeyImport": 0,
}


def opened(policy=None, card=None, **options):
    system = local_system(prompt=FixedPrompt(PIN), policy=policy or {}, **options)
    system.insert(card or virtual_gids(keys=[]))
    return system


def test_these_are_the_values_that_nobody_has_set():
    values = Policy().values()
    assert {name: values[name] for name in DEFAULTS} == DEFAULTS


# --- TransactionTimeoutMilliseconds ---


@pytest.mark.parametrize("kind", list(CARDS))
@pytest.mark.parametrize(("seconds", "verified"), [(1.4, True), (1.6, False)])
def test_an_idle_card_is_kept_for_a_second_and_a_half(kind, seconds, verified):
    clock, card = FakeClock(), CARDS[kind]()
    with opened(card=card, clock=clock), acquire(None, api.CRYPT_SILENT) as handle:
        give_pin(handle)
        give_pin(handle, None)  # from now on the card alone knows
        clock.advance(seconds)
        if not verified:
            other = LoopbackTransport(card)
            other.begin()  # comes when the card has been given back
            other.end()
            with fails(Code.NTE_SILENT_CONTEXT):
                sign(handle)
        else:
            sign(handle)


@pytest.mark.parametrize("kind", list(CARDS))
def test_each_use_begins_the_time_anew(kind):
    clock = FakeClock()
    with opened(card=CARDS[kind](), clock=clock) as system, acquire(None) as handle:
        for _ in range(4):
            sign(handle)
            clock.advance(1.4)
            assert system.card().pin_status().verified
        assert system.broker.prompt.count == 1


# --- DefaultPrivateKeyLenBits ---


@pytest.mark.parametrize("bits", [512, 8192])
@pytest.mark.parametrize("kind", list(CARDS))
def test_a_default_length_that_the_card_lacks_is_said_with_those_it_has_and_changes_nothing(kind, bits):
    card = CARDS[kind]()
    with opened({"DefaultPrivateKeyLenBits": bits}, card) as system, acquire(None) as handle:
        before = public_key_of(handle)
        with fails(Code.NTE_BAD_LEN) as caught:
            api.CryptGenKey(handle, 1)
        assert "2048" in caught.value.next_step
        assert "DefaultPrivateKeyLenBits" in caught.value.next_step
        assert public_key_of(handle) == before
        assert system.broker.prompt.count == 0
        api.CryptGenKey(handle, 1, 1024 << 16)  # a length that is named counts alone


@pytest.mark.parametrize("bits", [0, 100, 0xFFFFFFFF])
def test_a_default_that_is_no_length_makes_no_keys_anywhere(bits):
    with opened({"DefaultPrivateKeyLenBits": bits}) as system:
        with acquire(None, api.CRYPT_VERIFYCONTEXT) as handle, fails(Code.NTE_BAD_LEN):
            api.CryptGenKey(handle, 1)
        with acquire("new", NEW) as handle, fails(Code.NTE_BAD_LEN):
            api.CryptGenKey(handle, 1)
        with (
            NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER) as provider,
            NCryptCreatePersistedKey(provider, "RSA", "newer") as key,
            fails(Code.NTE_NOT_SUPPORTED),
        ):
            NCryptFinalizeKey(key)
        assert [each.name for each in system.card().containers] == ["new"]


def test_the_personal_csp_has_a_default_length_of_its_own():
    with opened({"DefaultPrivateKeyLenBits": 1024}), acquire("new", NEW, provider=PERSONAL) as handle:
        key = api.CryptGenKey(handle, 1, api.CRYPT_USER_PROTECTED)
        assert api.CryptGetKeyParam(key, api.KP_KEYLEN) == 2048


# --- RequireOnCardPrivateKeyGen ---


class NoGenerator(GidsMinidriver):
    """A driver of cards that only take keys."""

    def capabilities(self):
        found = super().capabilities()
        return type(found)(certificate_compression=found.certificate_compression, key_gen=False)


@pytest.fixture(params=[0, 1])
def required(request, monkeypatch):
    install(monkeypatch, as_entry_point(NoGenerator))
    return request.param


@pytest.mark.parametrize("provider", [BASE, PERSONAL])
def test_a_card_that_makes_no_keys_gets_one_from_cryptoapi_unless_it_must_make_it(required, provider):
    with opened({"RequireOnCardPrivateKeyGen": required}), acquire("new", NEW, provider=provider) as handle:
        flags = 1024 << 16 | FLAGS[provider]
        if required:
            with fails(Code.SCARD_E_UNSUPPORTED_FEATURE) as caught:
                api.CryptGenKey(handle, 1, flags)
            assert "RequireOnCardPrivateKeyGen" in caught.value.next_step
            with fails(Code.NTE_NO_KEY):
                api.CryptGetUserKey(handle, 1)
        else:
            key = api.CryptGenKey(handle, 1, flags)
            assert api.CryptGetKeyParam(key, api.KP_KEYLEN) == 1024
            check_signature(public_key_of(handle), sign(handle))
            with fails(Code.NTE_BAD_TYPE if provider == PERSONAL else Code.NTE_BAD_KEY_STATE):
                api.CryptExportKey(key, None, api.PRIVATEKEYBLOB)


@pytest.mark.parametrize("algorithm", ["RSA", "ECDSA_P256", "ECDH_P256"])
def test_a_card_that_makes_no_keys_gets_one_from_cng_unless_it_must_make_it(required, algorithm):
    with opened({"RequireOnCardPrivateKeyGen": required}) as system:
        provider = NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER)
        if required:
            with fails(Code.NTE_NOT_SUPPORTED):
                NCryptCreatePersistedKey(provider, algorithm, "new")
        else:
            with NCryptCreatePersistedKey(provider, algorithm, "new") as key:
                NCryptFinalizeKey(key)
        assert [each.name for each in system.card().containers] == ["new"] * (not required)
        provider.close()


def test_the_value_says_nothing_of_cards_that_make_keys():
    for required in (0, 1):
        with opened({"RequireOnCardPrivateKeyGen": required}), acquire("new", NEW) as handle:
            api.CryptGenKey(handle, 1, 1024 << 16)
            check_signature(public_key_of(handle), sign(handle))


def test_keys_of_a_program_are_loaded_as_the_import_values_say_and_no_other(required):
    blob = build_capi_private(rsa_of(), api.CALG_RSA_KEYX)
    for allowed in (0, 1):
        values = {"RequireOnCardPrivateKeyGen": required, "AllowPrivateExchangeKeyImport": allowed}
        with opened(values), acquire("new", NEW) as handle:
            if allowed:
                api.CryptImportKey(handle, blob)
                check_signature(rsa_of().public_key(), sign(handle))
            else:
                with fails(Code.NTE_PERM):
                    api.CryptImportKey(handle, blob)


# --- AllowPrivate…KeyImport ---


@pytest.mark.parametrize(("spec", "allowed"), [("KEYX", "Exchange"), ("SIGN", "Signature")])
@pytest.mark.parametrize("other", [False, True])
def test_each_slot_has_its_own_value(spec, allowed, other):
    name = {"Exchange": "Signature", "Signature": "Exchange"}[allowed] if other else allowed
    blob = build_capi_private(rsa_of(), getattr(api, f"CALG_RSA_{spec}"))
    with opened({f"AllowPrivate{name}KeyImport": 1}, gids()), acquire("new", NEW) as handle:
        if other:
            with fails(Code.NTE_PERM) as caught:
                api.CryptImportKey(handle, blob)
            assert f"AllowPrivate{allowed}KeyImport" in caught.value.next_step
        else:
            api.CryptImportKey(handle, blob)
