"""From a certificate to its private key, with the handles of advapi32 and ncrypt: flags, ways, caches, healing."""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

from __future__ import annotations

import gc
import threading

import pytest
from cspdesk import container_of, gids
from linkdesk import *

from calais.provider.ksp.handles import NCryptKey
from calais.testing import local_system
from calais.win.errors import WinError
from calais.winapi import advapi32, ncrypt
from calais.winapi.crypt32 import *


@pytest.fixture
def prompt():
    return Prompt()


@pytest.fixture
def system(prompt):
    with local_system(prompt=prompt) as system:
        yield system


# --- what property 2 and the flags give -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("flags", "is_ncrypt"),
    [(0, False), (ALLOW, False), (PREFER, True), (ONLY, True), (ALLOW | PREFER, True), (ALLOW | PREFER | ONLY, True)],
)
def test_a_link_of_cryptoapi_gives_the_handle_that_the_flags_want_and_it_signs(system, kind, flags, is_ncrypt):
    insert(RSA_CARDS[kind]())
    context = linked(key_spec=1)
    acquired = acquire(context, flags | COMPARE)
    assert acquired.handle.is_ncrypt == is_ncrypt
    assert isinstance(acquired.handle, advapi32.HCRYPTPROV if not is_ncrypt else NCryptKey)
    assert acquired.key_spec == (CERT_NCRYPT_KEY_SPEC if is_ncrypt else AT_KEYEXCHANGE)
    assert acquired.caller_free
    assert signs(context, acquired)
    assert not has(context, SLOT)
    free(acquired)
    assert acquired.handle.closed


@pytest.mark.parametrize("cards", [RSA_CARDS, EC_CARDS], ids=["RSA", "EC"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_of_cng_gives_a_cng_key_where_one_may_be(system, kind, cards):
    insert(cards[kind]())
    context = linked(kind=0)
    for flags in (0, CACHE, USE, COMPARE):
        assert "KEY" in fails(NTE_BAD_PROV_TYPE, context, flags).next_step
    for flags in (ALLOW, PREFER, ONLY):
        acquired = acquire(context, flags | COMPARE)
        assert (acquired.key_spec, acquired.caller_free) == (CERT_NCRYPT_KEY_SPEC, True)
        assert signs(context, acquired)
        free(acquired)


@pytest.mark.parametrize(("flags", "code"), [(0, NTE_BAD_PROV_TYPE), (ALLOW, E_INVALIDARG), (PREFER, E_INVALIDARG)])
def test_a_link_of_cng_has_no_parameters(system, flags, code):
    insert(gids())
    fails(code, linked(kind=0, params=(CryptKeyProvParam(PP_SIGNATURE_PIN, b"123456\0"),)), flags)


@pytest.mark.parametrize("kind", KINDS)
def test_an_elliptic_key_behind_a_link_of_cryptoapi_is_had_by_cng_alone(system, kind):
    insert(EC_CARDS[kind]())
    context = linked(key_spec=1)
    fails(NTE_BAD_KEYSET, context, 0)
    for flags in (ALLOW, PREFER, ONLY):
        assert acquire(context, flags).handle.is_ncrypt


@pytest.mark.parametrize(
    ("name", "kind"),
    [(MS_ENH_RSA_AES_PROV, PROV_RSA_AES), (MS_ENHANCED_PROV, PROV_RSA_FULL), (MS_DEF_PROV, PROV_RSA_FULL)],
)
def test_a_provider_without_containers_answers_for_itself(system, name, kind):
    insert(gids())
    with pytest.raises(WinError) as caught:
        advapi32.CryptAcquireContext("exchange", name, kind, 0)
    context = linked(provider=name, kind=kind)
    for flags in (0, ALLOW, PREFER):
        fails(caught.value.code, context, flags | NO_HEALING)
    fails(NTE_KEYSET_NOT_DEF, context, ONLY | NO_HEALING)


@pytest.mark.parametrize("name", [MS_SCARD_PROV, MS_SCARD_PROV.upper(), PERSONAL_CSP, ""])
def test_the_names_of_providers_pair(system, name):
    insert(gids())
    context = linked(provider=name)
    assert signs(context, acquire(context, 0))
    if name:
        assert signs(context, acquire(context, ONLY))


@pytest.mark.parametrize("flags", [0, ALLOW, PREFER, ONLY])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"provider": "Unheard Of"}, NTE_KEYSET_NOT_DEF),
        ({"container": "nobody"}, NTE_BAD_KEYSET),
        ({"container": "\\\\.\\Nowhere\\exchange"}, SCARD_E_UNKNOWN_READER),
        ({"container": "no\\name"}, NTE_BAD_KEYSET_PARAM),
        ({"key_spec": 2}, NTE_NO_KEY),
    ],
    ids=["provider", "container", "reader", "no name", "slot"],
)
def test_a_broken_link_fails_with_the_code_of_the_provider_in_all_ways(system, changes, code, flags):
    insert(gids())
    fails(code, linked(**changes), flags | NO_HEALING)


def test_the_type_is_that_of_the_provider(system):
    insert(gids())
    fails(NTE_PROV_TYPE_NO_MATCH, linked(kind=PROV_RSA_AES), NO_HEALING)


def test_no_reader_and_no_card_are_told_apart(system):
    insert(gids())
    context = linked()
    system.remove(READER)
    for flags in (SILENT, SILENT | ALLOW, SILENT | ONLY):
        fails(SCARD_E_NO_SMARTCARD, context, flags)
    system.unplug(READER)
    fails(SCARD_E_NO_READERS_AVAILABLE, context, SILENT)


@pytest.mark.parametrize("spec", [1, 2])
def test_the_slot_of_a_link_without_key_spec_is_told(system, spec):
    insert(gids(specs=(spec,)))
    context = linked()
    acquired = acquire(context, 0)
    assert acquired.key_spec == spec
    assert signs(context, acquired)


@pytest.mark.parametrize("form", ["{}", "\\\\.\\" + READER + "\\{}", "\\\\.\\" + READER + "\\", ""])
def test_a_link_names_its_container_on_any_level(system, form):
    insert(gids())
    context = linked(container=form.format("exchange"))
    for flags in (0, ONLY):
        assert signs(context, acquire(context, flags | COMPARE))


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, ONLY], ids=["CryptoAPI", "CNG"])
def test_the_window_reaches_the_prompt(system, prompt, flags):
    insert(gids())
    context = linked()
    assert signs(context, acquire(context, WINDOW | flags, 77))
    assert prompt.windows == [77]


@pytest.mark.parametrize("flags", [0, ONLY], ids=["CryptoAPI", "CNG"])
def test_a_silent_handle_never_asks(system, prompt, flags):
    insert(gids())
    context = linked()
    for acquired in (acquire(context, SILENT | flags), silent_by_link(flags)):
        with pytest.raises(WinError) as caught:
            signs(context, acquired)
        assert caught.value.code == NTE_SILENT_CONTEXT
    assert prompt.windows == []


def silent_by_link(flags):
    return acquire(linked(flags=CRYPT_SILENT), flags)


def test_cng_keys_may_be_silent_for_one_signature(system, prompt):
    insert(gids())
    context = linked()
    acquired = acquire(context, ONLY)
    with pytest.raises(WinError) as caught:
        sign_by_cng(context, acquired, ncrypt.NCRYPT_SILENT_FLAG)
    assert caught.value.code == NTE_SILENT_CONTEXT
    assert sign_by_cng(context, acquired)


@pytest.mark.parametrize(
    ("flags", "window", "code"),
    [
        (WINDOW | SILENT, 1, E_INVALIDARG),
        (WINDOW | SILENT, None, E_INVALIDARG),
        (0, 1, E_INVALIDARG),
        (SILENT, 0, E_INVALIDARG),
        (0x10, None, NTE_BAD_FLAGS),
        (0x80000, None, NTE_BAD_FLAGS),
    ],
)
def test_flags_that_make_no_sense_are_refused_before_the_card_is_asked(system, flags, window, code):
    card = insert(gids())
    context = linked()
    card.counter.clear()
    fails(code, context, flags, window)
    assert card.counter.exchanges == 0


def test_a_link_may_bring_its_window(system, prompt):
    insert(gids())
    context = linked(params=(CryptKeyProvParam(PP_CLIENT_HWND, (9).to_bytes(8, "little")),))
    assert signs(context, acquire(context))
    assert prompt.windows == [9]


def test_a_link_may_bring_its_pin(system, prompt):
    insert(gids())
    context = linked(params=(CryptKeyProvParam(PP_SIGNATURE_PIN, b"123456\0"),))
    assert signs(context, acquire(context, SILENT))
    assert prompt.windows == []


def test_a_wrong_pin_in_a_link_is_presented_once_and_no_other_way_is_tried(system):
    insert(gids())
    context = linked(params=(CryptKeyProvParam(PP_SIGNATURE_PIN, b"654321\0"),))
    before = system.card().pin_status().attempts_left
    fails(SCARD_W_WRONG_CHV, context, ALLOW)
    assert system.card().pin_status().attempts_left == before - 1


def test_what_was_opened_on_the_way_is_closed_when_it_fails(system):
    insert(gids())
    context = linked(params=(CryptKeyProvParam(6, b"x"),))
    fails(NTE_BAD_TYPE, context, CACHE)
    assert not has(context, SLOT)
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, advapi32.HCRYPTPROV) and not each.closed]


# --- keeping handles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [0, ONLY], ids=["CryptoAPI", "CNG"])
@pytest.mark.parametrize(
    ("flags", "info_flags", "kept"),
    [
        (0, 0, False),
        (0, 1, False),
        (CACHE, 0, True),
        (CACHE, 1, True),
        (USE, 0, False),
        (CACHE | USE, 0, False),
        (USE, 1, True),
        (CACHE | USE, 1, True),
    ],
)
def test_who_keeps_the_handle(system, flags, info_flags, kept, way):
    insert(gids())
    context = linked(flags=info_flags)
    first, second = (acquire(context, flags | way) for _ in range(2))
    assert (first.handle is second.handle, has(context, SLOT)) == (kept, kept)
    assert first.caller_free == second.caller_free == (not kept)
    assert signs(context, first)
    assert signs(context, second)
    if kept:
        assert get(context, SLOT) == CertKeyContext(first.handle, first.key_spec)
        assert get(context, CERT_NCRYPT_KEY_HANDLE_PROP_ID if way else CERT_KEY_PROV_HANDLE_PROP_ID) is first.handle
    CertFreeCertificateContext(context)
    assert first.handle.closed == kept


def test_a_kept_handle_of_the_other_kind_is_replaced_and_closed(system):
    insert(gids())
    context = linked(flags=1)
    first = acquire(context, USE).handle
    second = acquire(context, USE | ONLY).handle
    assert (first.closed, second.is_ncrypt) == (True, True)
    assert acquire(context, USE | PREFER).handle is second
    assert not acquire(context, USE).handle.is_ncrypt
    assert second.closed


def test_a_handle_that_the_program_keeps_is_not_closed_with_the_certificate(system):
    insert(gids())
    context = linked()
    acquired = acquire(context)
    set_value(context, CERT_KEY_PROV_HANDLE_PROP_ID, acquired.handle, CERT_STORE_NO_CRYPT_RELEASE_FLAG)
    assert acquire(context, CACHE) == (acquired.handle, 0, False)
    CertFreeCertificateContext(context)
    assert not acquired.handle.closed
    free(acquired)


def test_a_handle_that_was_handed_over_is_its_callers(system):
    insert(gids())
    context = linked(flags=1)
    handle = acquire(context, USE | ONLY).handle
    assert get(context, CERT_NCRYPT_KEY_HANDLE_TRANSFER_PROP_ID) is handle
    CertFreeCertificateContext(context)
    assert not handle.closed
    ncrypt.NCryptFreeObject(handle)


def test_without_caching_the_slot_is_not_looked_at(system):
    insert(gids())
    context = only_certificate()
    set_value(context, SLOT, CertKeyContext(advapi32.CryptAcquireContext("exchange", MS_SCARD_PROV, 1, 0), 1))
    for flags in (0, USE, CACHE | USE, ALLOW):
        fails(CRYPT_E_NO_KEY_PROPERTY, context, flags | NO_HEALING)
    assert signs(context, acquire(context, CACHE | NO_HEALING))


def test_a_kept_handle_is_not_compared_and_a_new_one_is(system):
    insert(gids(names=("one", "two")))
    context = linked(container="two", flags=1)
    fails(NTE_BAD_PUBLIC_KEY, context, USE | COMPARE)
    assert not has(context, SLOT)
    kept = acquire(context, USE)
    assert acquire(context, USE | COMPARE).handle is kept.handle
    assert container_of(kept.handle) == "two"


def test_a_mismatch_is_not_healed(system):
    insert(gids(names=("one", "two")))
    context = linked(container="two")
    for flags in (0, ALLOW, ONLY):
        fails(NTE_BAD_PUBLIC_KEY, context, flags | COMPARE)
    assert get(context, INFO).container_name == "two"


def test_an_element_that_is_copied_leaves_its_handle_behind(system):
    insert(gids())
    context = linked(flags=1)
    kept = acquire(context, USE).handle
    copy = CertAddCertificateContextToStore(None, context, CERT_STORE_ADD_ALWAYS)
    assert not has(copy, SLOT)
    assert get(copy, INFO) == get(context, INFO)
    other = CertAddCertificateLinkToStore(CertOpenStore("Memory"), context, CERT_STORE_ADD_ALWAYS)
    assert acquire(other, USE).handle is kept


def test_threads_that_ask_at_once_share_one_handle_and_nobody_gets_a_closed_one(system):
    insert(gids())
    context = linked(flags=1)
    barrier, found = threading.Barrier(6), []

    def ask():
        barrier.wait(10)
        found.append(acquire(context, USE, system=system).handle)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 6
    assert set(map(id, found)) == {id(get(context, SLOT).handle)}
    assert not found[0].closed
