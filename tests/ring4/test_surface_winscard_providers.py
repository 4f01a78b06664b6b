"""Handles of the resource manager beside the providers above them, on one card: nobody harms or inherits anything."""

from __future__ import annotations

import threading
from hashlib import sha256

import pytest
from certs import ec_key, rsa_key
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from scarddesk import (
    GIDS_NAME,
    LIMIT,
    PIV_NAME,
    READER,
    SELECT_GIDS,
    SELECT_PIV,
    VERIFIED_PIV,
    VERIFY_PIV,
    aside,
    raises,
)

from calais import WinError
from calais.testing import FixedPrompt, card_data, local_system, virtual_gids, virtual_piv
from calais.winapi import advapi32 as a
from calais.winapi import cardmod as m
from calais.winapi import ncrypt as n
from calais.winapi import winscard as w

SHARED, ANY, LEAVE, RESET = w.SCARD_SHARE_SHARED, w.SCARD_PROTOCOL_Tx, w.SCARD_LEAVE_CARD, w.SCARD_RESET_CARD


@pytest.fixture
def prompt():
    return FixedPrompt("123456")


@pytest.fixture
def system(prompt):
    with local_system(prompt=prompt, policy={"TransactionTimeoutMilliseconds": 150}) as made:
        yield made


@pytest.fixture(params=["piv", "gids"])
def card(system, request):
    if request.param == "piv":
        made = virtual_piv(keys={0x9A: (rsa_key(), None)})
        made_select = SELECT_PIV
    else:
        made = virtual_gids(keys=[("box", 1, rsa_key(), None)])
        made_select = SELECT_GIDS
    system.insert(made)
    return made, made_select


@pytest.fixture
def handle(system, card):
    del card
    with w.SCardEstablishContext(2, system=system) as context:
        yield w.SCardConnect(context, READER, SHARED, ANY)[0]


@pytest.fixture
def provider(card):
    del card
    with a.CryptAcquireContext(None, None, 1, 0) as made:
        yield made


def sign(provider, text=b"text"):
    digest = a.CryptCreateHash(provider, a.CALG_SHA_256)
    a.CryptHashData(digest, text)
    try:
        return a.CryptSignHash(digest, a.AT_KEYEXCHANGE)[::-1]
    finally:
        a.CryptDestroyHash(digest)


def check(signature, text=b"text"):
    rsa_key().public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA256())


def test_signing_waits_for_a_handles_transaction(provider, handle, card):
    a.CryptSetProvParam(provider, a.PP_KEYEXCHANGE_PIN, "123456")
    w.SCardBeginTransaction(handle)
    with aside() as pool:
        waiting = pool.submit(sign, provider)
        threading.Event().wait(0.2)
        assert not waiting.done()
        assert w.SCardTransmit(handle, None, card[1])[-2:] == b"\x90\x00"
        w.SCardEndTransaction(handle, LEAVE)
        check(waiting.result(LIMIT))


def test_a_providers_pin_does_not_leak_to_a_raw_handle(provider, handle, card, prompt):
    check(sign(provider))
    assert prompt.count == 1
    w.SCardBeginTransaction(handle)
    w.SCardTransmit(handle, None, card[1])
    assert w.SCardTransmit(handle, None, VERIFIED_PIV)[:1] == b"\x63"
    w.SCardEndTransaction(handle, LEAVE)
    check(sign(provider))
    assert prompt.count == 1


def test_a_raw_handle_between_two_signatures_does_not_lead_to_another_question(provider, handle, card, prompt):
    check(sign(provider))
    for _ in range(3):
        w.SCardTransmit(handle, None, card[1])
        check(sign(provider))
    assert prompt.count == 1


def test_a_pin_that_a_handle_verified_does_not_disturb_a_provider(card, handle, system):
    del system
    pin = VERIFY_PIV if card[1] == SELECT_PIV else bytes.fromhex("0020008006") + b"123456"
    w.SCardTransmit(handle, None, card[1])
    assert w.SCardTransmit(handle, None, pin) == b"\x90\x00"
    with a.CryptAcquireContext(None, None, 1, a.CRYPT_SILENT) as silent:
        digest = a.CryptCreateHash(silent, a.CALG_SHA_256)
        a.CryptHashData(digest, b"text")
        a.CryptSetProvParam(silent, a.PP_KEYEXCHANGE_PIN, "123456")
        check(a.CryptSignHash(digest, a.AT_KEYEXCHANGE)[::-1])


@pytest.mark.parametrize("disposition", [w.SCARD_RESET_CARD, w.SCARD_UNPOWER_CARD], ids=["reset", "unpower"])
def test_a_provider_recovers_from_a_handles_reset(provider, handle, disposition, prompt):
    check(sign(provider))
    w.SCardBeginTransaction(handle)
    w.SCardEndTransaction(handle, disposition)
    check(sign(provider))
    w.SCardReconnect(handle, SHARED, ANY, disposition)
    check(sign(provider))
    w.SCardDisconnect(handle, disposition)
    check(sign(provider))
    assert prompt.count == 1


def test_a_reset_by_a_provider_is_no_surprise_that_lasts(provider, handle, card):
    check(sign(provider))
    protocol = w.SCardReconnect(handle, SHARED, ANY, LEAVE)
    assert protocol in {1, 2}
    assert w.SCardTransmit(handle, None, card[1])[-2:] == b"\x90\x00"


def test_a_provider_and_a_cng_key_and_a_handle_share_the_card(provider, handle, card, system, prompt):
    del system
    with n.NCryptOpenStorageProvider("Microsoft Smart Card Key Storage Provider") as storage:
        item, _ = n.NCryptEnumKeys(storage)
        with n.NCryptOpenKey(storage, item.name) as key:
            digest = sha256(b"text").digest()
            for _ in range(2):
                info = n.Pkcs1PaddingInfo("SHA256")
                check(n.NCryptSignHash(key, info, digest, n.BCRYPT_PAD_PKCS1))
                w.SCardTransmit(handle, None, card[1])
                check(sign(provider))
    assert prompt.count <= 2


def test_an_exclusive_handle_keeps_the_provider_out(system, card):
    del card
    with w.SCardEstablishContext(2, system=system) as context:
        alone, _ = w.SCardConnect(context, READER, w.SCARD_SHARE_EXCLUSIVE, ANY)
        with raises(w.SCARD_E_SHARING_VIOLATION), a.CryptAcquireContext(f"\\\\.\\{READER}\\", None, 1, 0):
            pass
        w.SCardDisconnect(alone, LEAVE)
    with a.CryptAcquireContext(f"\\\\.\\{READER}\\", None, 1, 0) as provider:
        check(sign(provider))


def test_the_card_that_leaves_is_told_to_all(system, provider, handle, card):
    check(sign(provider))
    system.remove(READER)
    with raises(w.SCARD_W_REMOVED_CARD):
        w.SCardStatus(handle)
    digest = a.CryptCreateHash(provider, a.CALG_SHA_256)
    with pytest.raises(WinError) as caught:
        a.CryptSignHash(digest, a.AT_KEYEXCHANGE)
    assert caught.value.code in {w.SCARD_W_REMOVED_CARD, w.SCARD_E_NO_SMARTCARD}
    system.insert(card[0])
    check(sign(provider))


def test_readers_are_seen_in_use_by_handles_only_while_they_are_open(provider, system, card):
    del card
    check(sign(provider))
    with w.SCardEstablishContext(2, system=system) as context:
        [state] = w.SCardGetStatusChange(context, 0, [w.ReaderState(READER)])
        assert state.event_state & w.SCARD_STATE_PRESENT
        assert not state.event_state & w.SCARD_STATE_EXCLUSIVE


# --- a CardData on a handle ------------------------------------------------------------------------------------------


def test_card_data_on_a_handle(system, card, handle):
    with w.SCardEstablishContext(2, system=system) as context:
        mine, _ = w.SCardConnect(context, READER, SHARED, ANY)
        atr = w.SCardStatus(mine).atr
        name = PIV_NAME if card[1] == SELECT_PIV else GIDS_NAME
        data = m.CardData(version=7, atr=atr, card_name=name, context=context, handle=mine)
        m.CardAcquireContext(data)
        m.CardAuthenticatePin(data, "user", b"123456")
        assert m.CardGetProperty(data, m.CP_CARD_AUTHENTICATED_STATE) & 2
        w.SCardTransmit(handle, None, card[1])
        assert m.CardReadFile(data, None, "cardid")
        w.SCardBeginTransaction(handle)
        w.SCardEndTransaction(handle, RESET)
        with raises(w.SCARD_W_RESET_CARD):
            m.CardReadFile(data, None, "cardid")
        w.SCardReconnect(mine, SHARED, ANY, LEAVE)
        assert m.CardReadFile(data, None, "cardid")
        assert not m.CardGetProperty(data, m.CP_CARD_AUTHENTICATED_STATE) & 2
        m.CardDeleteContext(data)


def test_card_data_on_a_handle_within_its_transaction(system, card):
    with w.SCardEstablishContext(2, system=system) as context:
        mine, _ = w.SCardConnect(context, READER, SHARED, ANY)
        name = PIV_NAME if card[1] == SELECT_PIV else GIDS_NAME
        w.SCardBeginTransaction(mine)
        with m.CardData(atr=w.SCardStatus(mine).atr, card_name=name, context=context, handle=mine) as data:
            m.CardAcquireContext(data)
            m.CardAuthenticatePin(data, "user", b"123456")
            info = m.CardSigningInfo(0, m.AT_KEYEXCHANGE, bytes(32), hash_alg=m.CALG_SHA_256)
            assert len(m.CardSignData(data, info)) == 256
        w.SCardEndTransaction(mine, RESET)


def test_card_data_needs_context_and_handle(system, card):
    name = PIV_NAME if card[1] == SELECT_PIV else GIDS_NAME
    with w.SCardEstablishContext(2, system=system) as context:
        mine, _ = w.SCardConnect(context, READER, SHARED, ANY)
        atr = w.SCardStatus(mine).atr
        for arguments in ({}, {"context": context}, {"handle": mine}):
            with raises(w.SCARD_E_INVALID_HANDLE):
                m.CardAcquireContext(m.CardData(atr=atr, card_name=name, **arguments))
        for changed in ({"atr": b""}, {"card_name": ""}):
            arguments = {"atr": atr, "card_name": name, "context": context, "handle": mine, **changed}
            with raises(w.SCARD_E_INVALID_PARAMETER):
                m.CardAcquireContext(m.CardData(**arguments))
        wrong = m.CardData(atr=atr, card_name="Nobody's card", context=context, handle=mine)
        with raises(w.SCARD_E_UNKNOWN_CARD):
            m.CardAcquireContext(wrong)


def test_the_handle_of_card_data_is_read_anew(system, card):
    del card
    with card_data(system_card(system)) as data, w.SCardEstablishContext(2, system=system) as context:
        fresh, _ = w.SCardConnect(context, READER, SHARED, ANY)
        data.context, data.handle = context, fresh
        assert m.CardReadFile(data, None, "cardid")
        w.SCardDisconnect(fresh, LEAVE)
        with pytest.raises(WinError):
            m.CardReadFile(data, None, "cardid")


def system_card(system):
    system.remove(READER)
    card = virtual_piv(keys={0x9A: (ec_key(), None)})
    system.insert(card)
    return card


def test_the_shared_cache_is_what_providers_and_programs_both_may_use(system, provider):
    check(sign(provider))
    with w.SCardEstablishContext(2, system=system) as context:
        w.SCardWriteCache(context, bytes(16), 0, "mine", b"x")
        check(sign(provider))
        assert w.SCardReadCache(context, bytes(16), 0, "mine") == b"x"
