"""From a certificate to its private key: links that are missing or broken are found by the public key."""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

from __future__ import annotations

import pytest
from cspdesk import gids
from linkdesk import *
from people import key_of
from pivdesk import certificate, der

from calais.testing import local_system, virtual_gids
from calais.win.errors import WinError
from calais.winapi.crypt32 import *


@pytest.fixture
def prompt():
    return Prompt()


@pytest.fixture
def system(prompt):
    with local_system(prompt=prompt) as system:
        yield system


# --- healing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("link", [None, link_of("nobody"), link_of("nobody", KSP, 0)], ids=["none", "CSP", "KSP"])
@pytest.mark.parametrize("flags", [ALLOW, ONLY], ids=["ALLOW", "ONLY"])
def test_a_missing_link_is_found_by_the_public_key_without_a_pin(system, prompt, kind, link, flags):
    insert(RSA_CARDS[kind]())
    context = only_certificate()
    set_value(context, INFO, link)
    set_value(context, REPAIRED, b"1")
    set_value(context, CERT_FRIENDLY_NAME_PROP_ID, "mine")
    acquired = acquire(context, flags | COMPARE)
    found = get(context, INFO)
    name = system.card().containers[0].name
    assert (found.container_name, found.flags, found.prov_type) == (name, 1, int(flags == ALLOW))
    assert not has(context, REPAIRED)
    assert get(context, CERT_FRIENDLY_NAME_PROP_ID) == "mine"
    assert prompt.windows == []
    assert signs(context, acquired)


@pytest.mark.parametrize("link", [None, link_of("nobody")], ids=["none", "gone"])
def test_without_healing_nothing_is_searched(system, link):
    card = insert(gids())
    context = only_certificate()
    set_value(context, INFO, link)
    assert system.card().containers
    card.counter.clear()
    fails(CRYPT_E_NO_KEY_PROPERTY if link is None else NTE_BAD_KEYSET, context, NO_HEALING)
    assert card.counter.exchanges == 0
    assert has(context, INFO) == (link is not None)


@pytest.mark.parametrize("link", [None, link_of("nobody")], ids=["none", "gone"])
def test_a_fruitless_search_writes_nothing_and_costs_no_pin(system, prompt, link):
    insert(gids())
    context = CertCreateCertificateContext(X509, der(certificate(key_of("elsewhere"))))
    set_value(context, INFO, link)
    before = listed(context)
    for flags in (0, ALLOW, ONLY, CACHE):
        fails(CRYPT_E_NO_KEY_PROPERTY if link is None else NTE_BAD_KEYSET, context, flags)
    assert (listed(context), prompt.windows) == (before, [])


def test_cryptoapi_is_not_led_to_an_elliptic_key(system):
    insert(EC_CARDS["GIDS"]())
    context = only_certificate()
    fails(CRYPT_E_NO_KEY_PROPERTY, context, 0)
    assert signs(context, acquire(context, ALLOW))
    assert get(context, INFO).prov_type == 0


def test_a_healed_link_is_written_to_the_store(system):
    insert(gids())
    store = CertOpenSystemStore(None, "My")
    context = CertAddCertificateContextToStore(store, only_certificate(), CERT_STORE_ADD_NEW)
    free(acquire(context))
    again = CertEnumCertificatesInStore(CertOpenSystemStore(None, "My"))
    assert get(again, INFO) == link_of("exchange", flags=1, key_spec=1)


def test_a_healed_link_lets_its_handle_be_kept_at_once(system):
    insert(gids())
    context = only_certificate()
    first = acquire(context, USE)
    assert not first.caller_free
    assert acquire(context, USE).handle is first.handle


def test_of_two_cards_with_one_name_the_first_is_meant_unless_the_reader_is_named(system):
    insert(gids(key="first", names=("same",)))
    context = only_certificate()
    system.remove(READER)
    insert(gids(key="other", names=("same",)))
    system.insert(gids(key="first", names=("same",)), "Virtual Reader 1")
    fails(NTE_BAD_PUBLIC_KEY, linked_to(context, "same"), COMPARE)
    assert signs(context, acquire(linked_to(context, "\\\\.\\Virtual Reader 1\\same"), COMPARE))


# --- CryptFindCertificateKeyProvInfo ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "cards", "expected"),
    [
        (0, RSA_CARDS, 1),
        (ALLOW, RSA_CARDS, 1),
        (PREFER, RSA_CARDS, 0),
        (ONLY, RSA_CARDS, 0),
        (ALLOW, EC_CARDS, 0),
        (PREFER, EC_CARDS, 0),
        (0, EC_CARDS, NTE_NO_KEY),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keyset", [0, CRYPT_FIND_USER_KEYSET_FLAG, CRYPT_FIND_MACHINE_KEYSET_FLAG | 0x40])
def test_the_link_that_is_found_is_of_the_kind_that_the_flags_want(system, kind, flags, cards, expected, keyset):
    insert(cards[kind]())
    context = only_certificate()
    if expected == NTE_NO_KEY:
        with pytest.raises(WinError) as caught:
            CryptFindCertificateKeyProvInfo(context, flags | keyset)
        assert caught.value.code == NTE_NO_KEY
        assert not has(context, INFO)
        return
    CryptFindCertificateKeyProvInfo(context, flags | keyset)
    assert (get(context, INFO).prov_type, get(context, INFO).flags) == (expected, 1)
    assert signs(context, acquire(context, ALLOW | NO_HEALING | COMPARE))


@pytest.mark.parametrize("link", [{}, {"kind": 0}, {"provider": PERSONAL_CSP}], ids=["Base", "KSP", "Personal"])
def test_a_link_that_opens_and_matches_is_left_alone(system, link):
    insert(gids())
    context = linked(**link)
    before = get(context, INFO)
    CryptFindCertificateKeyProvInfo(context)
    assert get(context, INFO) == before


def test_a_link_to_another_key_is_replaced(system):
    insert(gids(names=("one", "two")))
    context = linked(container="two")
    CryptFindCertificateKeyProvInfo(context)
    assert get(context, INFO).container_name == "one"


def test_the_default_container_is_looked_at_first(system):
    key = key_of("twice")
    keys = [("second", 1, key, None), ("first", 1, key, certificate(key))]
    insert(virtual_gids(keys=keys, seed=3))
    containers = system.card().containers
    assert [each.is_default for each in containers] == [True, False]
    context = only_certificate(1)
    CryptFindCertificateKeyProvInfo(context, ONLY)
    assert get(context, INFO).container_name == "second"
