"""PIV cards: no ATR, names that may change, a handle kept beside the certificate; and which driver a card gets."""

from __future__ import annotations

import re

import pytest
from cspdesk import acquire, container_of, containers, fails, give_pin, in_reader, piv, sign
from people import PIN, card, rsa_card, rsa_of, sign_with
from pivdesk import certificate

from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.win.codes import Code
from calais.winapi import advapi32 as api
from calais.winapi import cardmod
from calais.winapi import winscard as w
from calais.winapi.crypt32 import (
    CERT_KEY_PROV_INFO_PROP_ID,
    CRYPT_ACQUIRE_CACHE_FLAG,
    CRYPT_ACQUIRE_NO_HEALING,
    CRYPT_ACQUIRE_SILENT_FLAG,
    CRYPT_ACQUIRE_USE_PROV_INFO_FLAG,
    CertEnumCertificatesInStore,
    CertFreeCertificateContext,
    CertGetCertificateContextProperty,
    CertOpenSystemStore,
    CryptAcquireCertificatePrivateKey,
)

READER = "Virtual Reader 0"
PIV_NAME = "Identity Device (NIST SP 800-73 [PIV])"
GIDS_NAME = "Identity Device (Microsoft Generic Profile)"
USE, CACHE, NO_HEALING = CRYPT_ACQUIRE_USE_PROV_INFO_FLAG, CRYPT_ACQUIRE_CACHE_FLAG, CRYPT_ACQUIRE_NO_HEALING
OBJECTS = {"9A": "5fc105", "9C": "5fc10a", "9D": "5fc10b", "9E": "5fc101"}


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


@pytest.fixture
def volatile(system):
    """A system with a card whose containers have new names at each enumeration."""
    system.insert(piv(0x9A, container_names="volatile"))
    return system


def newest():
    with CertOpenSystemStore(None, "My") as store:
        return CertEnumCertificatesInStore(store)


def link(context):
    return CertGetCertificateContextProperty(context, CERT_KEY_PROV_INFO_PROP_ID)


# --- names ---


def test_a_container_is_named_after_the_card_and_the_object_of_its_certificate(system):
    system.insert(card(0x9A, 0x9C, 0x9D, 0x9E, chuid_guid=bytes(range(1, 17))))
    names = {found.entry.reference: found.name for found in system.card().containers}
    assert names == {slot: f"04030201-0605-0807-090a-0b0c0d{tag}" for slot, tag in OBJECTS.items()}


def test_such_a_name_is_the_same_at_each_enumeration_insertion_and_in_each_system():
    made, found = card(0x9A), set()
    for _ in range(2):
        with local_system() as system:
            for _ in range(2):
                system.insert(made)
                found |= {each.name for each in system.card().refresh()}
                system.remove()
    assert len(found) == 1


def test_without_an_identifier_on_the_card_each_enumeration_makes_new_names(volatile):
    with acquire(None) as handle:
        seen = {container_of(handle), *containers(handle), *containers(handle)}
    assert len(seen) == 3
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name) for name in seen)


def test_a_name_opens_its_container_until_the_context_that_told_it_is_closed(volatile):
    with acquire(in_reader()) as handle:
        name = container_of(handle)
        assert api.CryptGetProvParam(handle, api.PP_UNIQUE_CONTAINER) == name
        acquire(name).close()
    with fails(Code.NTE_BAD_KEYSET):
        acquire(name)


# --- registration at each insertion, and the handle beside the certificate ---


def test_each_insertion_registers_the_new_name_with_the_flag_for_handles(volatile):
    card = volatile._slots.slot(READER).card
    seen = set()
    for _ in range(3):
        volatile.propagate()
        found = link(newest())
        assert found.flags == 1
        seen.add(found.container_name)
        volatile.remove()
        volatile.insert(card)
    assert len(seen) == 3
    with volatile.store() as store:
        assert len(list(store)) == 1


def test_a_program_keeps_the_handle_in_its_certificate_and_gets_it_again(volatile):
    volatile.propagate()
    context = newest()
    first = CryptAcquireCertificatePrivateKey(context, USE)
    second = CryptAcquireCertificatePrivateKey(context, USE)
    assert first.handle is second.handle
    assert (first.caller_free, second.caller_free) == (False, False)
    assert sign_with(first.handle)


def test_the_kept_handle_works_after_its_name_has_gone_and_a_new_one_does_not(volatile):
    volatile.propagate()
    context, other = newest(), newest()
    handle = CryptAcquireCertificatePrivateKey(context, USE).handle
    card = volatile._slots.slot(READER).card
    volatile.remove()
    volatile.insert(card)
    assert sign_with(CryptAcquireCertificatePrivateKey(context, USE).handle)
    assert CryptAcquireCertificatePrivateKey(context, USE).handle is handle
    with fails(Code.NTE_BAD_KEYSET):
        CryptAcquireCertificatePrivateKey(other, NO_HEALING)


def test_the_pin_that_was_given_to_the_kept_handle_counts_for_whoever_gets_it(volatile):
    volatile.propagate()
    context = newest()
    give_pin(CryptAcquireCertificatePrivateKey(context, USE).handle)
    for _ in range(2):
        volatile.card().release()
        sign(CryptAcquireCertificatePrivateKey(context, USE).handle)
    assert volatile.broker.prompt.count == 0


def test_the_kept_handle_is_released_with_its_certificate(volatile):
    volatile.propagate()
    context = newest()
    handle = CryptAcquireCertificatePrivateKey(context, CACHE).handle
    CertFreeCertificateContext(context)
    with fails(Code.ERROR_INVALID_PARAMETER):
        api.CryptGetProvParam(handle, api.PP_NAME)


@pytest.mark.parametrize("flags", [0, USE, CACHE])
def test_whether_a_key_may_ask_is_said_when_it_is_acquired(volatile, flags):
    volatile.propagate()
    context, other = newest(), newest()
    with fails(Code.NTE_SILENT_CONTEXT):
        sign(CryptAcquireCertificatePrivateKey(context, flags | CRYPT_ACQUIRE_SILENT_FLAG).handle)
    assert volatile.broker.prompt.count == 0
    sign(CryptAcquireCertificatePrivateKey(other, flags).handle)
    assert volatile.broker.prompt.count == 1


# --- the card database, and discovery ---


class Both:
    """A card with both applications."""

    def __init__(self):
        self.cards = {"piv": card(0x9A), "gids": virtual_gids(keys=[("on gids", 1, rsa_of(), certificate(rsa_of()))])}
        self.asked = []
        self.now = self.cards["gids"]
        self.atr = self.cards["piv"].atr
        self.exchanges_total = self.resets = 0

    def process(self, apdu):
        self.exchanges_total += 1
        if apdu[:4] == bytes.fromhex("00A40400"):
            kind = "piv" if apdu[5:10] == bytes.fromhex("A000000308") else "gids"
            self.asked.append(kind)
            self.now = self.cards[kind]
        return self.now.process(apdu)

    def reset(self):
        self.resets += 1
        for each in self.cards.values():
            each.reset()

    power_cycle = reset


@pytest.fixture
def both(system):
    made = Both()
    system.insert(made)
    return made


def atr_and_names(system):
    with w.SCardEstablishContext(w.SCARD_SCOPE_USER) as context:
        atr = w.SCardGetStatusChange(context, 0, [w.ReaderState(READER)])[0].atr
        return atr, w.SCardListCards(context, atr)


def test_class_cards_have_no_atr_in_the_database_and_are_found_by_their_application(system):
    system.insert(virtual_piv(keys={}))
    assert atr_and_names(system)[1] == [PIV_NAME]
    system.remove()
    system.insert(virtual_gids(keys=[]))
    assert atr_and_names(system)[1] == [GIDS_NAME]
    database = system.card_service.database
    assert [(entry.atr, entry.built_in) for entry in database.entries()] == [(b"", True)] * 2


def test_the_resource_manager_asks_for_the_generic_profile_first(system, both):
    assert atr_and_names(system)[1] == [GIDS_NAME]
    assert both.asked[:1] == ["gids"]


def test_an_entry_with_the_cards_atr_goes_before_every_question(system, both):
    atr = system.readers()[0].atr
    with w.SCardEstablishContext(w.SCARD_SCOPE_USER) as context:
        w.SCardIntroduceCardType(context, "Ours", pbAtr=atr)
        both.asked.clear()
        assert w.SCardListCards(context, atr) == ["Ours"]
    assert both.asked == []


def test_the_class_driver_asks_for_piv_first(system, both):
    data = cardmod.CardData(atr=system.readers()[0].atr, card_name=PIV_NAME)
    with w.SCardEstablishContext(w.SCARD_SCOPE_USER) as context:
        data.context = context
        data.handle, _ = w.SCardConnect(context, READER, w.SCARD_SHARE_SHARED, w.SCARD_PROTOCOL_Tx)
        both.asked.clear()
        cardmod.CardAcquireContext(data)
        assert both.asked[:1] == ["piv"]
        assert cardmod.CardGetProperty(data, "PIN List") == 0x1E
        cardmod.CardDeleteContext(data)


def test_a_card_of_both_kinds_is_driven_as_piv(system, both):
    assert [each.entry.reference for each in system.card().containers] == ["9A"]


# --- what may be written ---


def test_a_card_whose_management_key_is_its_issuers_is_read_only_for_programs(system):
    system.insert(rsa_card(0x9A, management_key=bytes(range(24))))
    with fails(Code.SCARD_E_READ_ONLY_CARD):
        acquire("new", api.CRYPT_NEWKEYSET)
    with acquire(None) as handle, fails(Code.SCARD_E_READ_ONLY_CARD):
        api.CryptGenKey(handle, 1, 1024 << 16)


def test_by_policy_every_piv_card_is_read_only_as_with_windows_own_driver():
    with local_system(prompt=FixedPrompt(PIN), policy={"piv.write": 0}) as system:
        made = rsa_card(0x9A)
        system.insert(made)
        for flags in (api.CRYPT_NEWKEYSET, api.CRYPT_DELETEKEYSET):
            with fails(Code.SCARD_E_READ_ONLY_CARD):
                acquire("new" if flags == api.CRYPT_NEWKEYSET else None, flags)
        with acquire(None) as handle:
            sign(handle)
        assert system.broker.prompt.count == 1
