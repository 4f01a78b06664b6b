"""Keys of CNG on cards: names, slots, lists, and what is found without a card."""

import pytest
from cng import PIN, card_provider, certified, code_of, gids, names, opened, p256

from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.winapi.ncrypt import (
    AT_KEYEXCHANGE,
    AT_SIGNATURE,
    NCRYPT_MACHINE_KEY_FLAG,
    NTE_BAD_KEYSET,
    NTE_BAD_KEYSET_PARAM,
    NTE_INVALID_PARAMETER,
    NTE_NO_KEY,
    NTE_NO_MORE_ITEMS,
    NTE_NOT_FOUND,
    NTE_NOT_SUPPORTED,
    SCARD_E_NO_READERS_AVAILABLE,
    SCARD_E_NO_SMARTCARD,
    SCARD_E_UNKNOWN_READER,
    NCryptEnumKeys,
    NCryptGetProperty,
    NCryptOpenKey,
    NCryptSetProperty,
    NCryptSignHash,
)

ONE, TWO = "Reader 1", "Reader 2"


def ec_piv(*slots, **options):
    keys = {slot: (key := p256(slot), certified(key)) for slot in slots}
    return virtual_piv(keys=keys, **options)


def two_keys(**options):
    return gids(("exchange", AT_KEYEXCHANGE, p256(1)), ("signature", AT_SIGNATURE, p256(2)), **options)


@pytest.fixture
def system():
    with local_system() as current:
        yield current


def name_of(key):
    return NCryptGetProperty(key, "Name")


# --- names -----------------------------------------------------------------------------------------------------------


def test_the_four_levels_open_the_same_key(system):
    system.insert(two_keys(), ONE)
    provider = card_provider()
    for text in (f"\\\\.\\{ONE}\\exchange", f"\\\\.\\{ONE}\\", "exchange", "EXCHANGE", "", None):
        assert name_of(NCryptOpenKey(provider, text)) == "exchange"
    assert name_of(NCryptOpenKey(provider, f"\\\\.\\{ONE}\\signature")) == "signature"


def test_a_container_that_is_not_there(system):
    system.insert(two_keys(), ONE)
    provider = card_provider()
    for text in ("another", f"\\\\.\\{ONE}\\another"):
        assert code_of(NCryptOpenKey, provider, text) == NTE_BAD_KEYSET
    assert code_of(NCryptOpenKey, provider, "\\\\.\\Nowhere\\exchange") == SCARD_E_UNKNOWN_READER


@pytest.mark.parametrize("text", ["a\\b", "x" * 40, "\\\\.\\reader"])
def test_names_that_no_container_has(system, text):
    system.insert(two_keys(), ONE)
    assert code_of(NCryptOpenKey, card_provider(), text) == NTE_BAD_KEYSET_PARAM


def test_without_reader_or_card(system):
    assert code_of(NCryptOpenKey, card_provider(), "x") == SCARD_E_NO_READERS_AVAILABLE
    system.plug(ONE)
    assert code_of(NCryptOpenKey, card_provider(), "x") == SCARD_E_NO_SMARTCARD
    assert code_of(NCryptOpenKey, card_provider(), f"\\\\.\\{ONE}\\") == SCARD_E_NO_SMARTCARD
    assert code_of(NCryptGetProperty, card_provider(), "SmartCardUserCertStore") == SCARD_E_NO_SMARTCARD


def test_the_unique_name_names_the_reader_when_two_cards_have_the_name(system):
    system.insert(two_keys(), ONE)
    key = NCryptOpenKey(card_provider(), "exchange")
    assert NCryptGetProperty(key, "Unique Name") == "exchange"
    system.insert(two_keys(), TWO)
    unique = NCryptGetProperty(key, "Unique Name")
    assert unique == f"\\\\.\\{ONE}\\exchange"
    assert NCryptGetProperty(NCryptOpenKey(card_provider(), unique), "SmartCardReader") == ONE
    other = NCryptOpenKey(card_provider(), f"\\\\.\\{TWO}\\exchange")
    assert NCryptGetProperty(other, "Unique Name") == f"\\\\.\\{TWO}\\exchange"


def test_a_provider_bound_to_a_reader_looks_there_only(system):
    system.insert(two_keys(), ONE)
    system.insert(gids(("third", AT_SIGNATURE, p256(3))), TWO)
    provider = card_provider()
    assert code_of(NCryptSetProperty, provider, "SmartCardReader", "Nowhere") == SCARD_E_UNKNOWN_READER
    assert code_of(NCryptSetProperty, provider, "SmartCardReader", "") == NTE_INVALID_PARAMETER
    NCryptSetProperty(provider, "SmartCardReader", TWO)
    assert NCryptGetProperty(provider, "SmartCardReader") == TWO
    assert name_of(NCryptOpenKey(provider, "")) == "third"
    assert code_of(NCryptOpenKey, provider, "exchange") == NTE_BAD_KEYSET
    assert name_of(NCryptOpenKey(provider, f"\\\\.\\{ONE}\\exchange")) == "exchange"
    assert [each.name for each in names(provider)] == ["third"]
    assert NCryptGetProperty(provider, "SmartCardGuid") == system.card(TWO).card_id


# --- slots and algorithms --------------------------------------------------------------------------------------------


def test_slots_are_opened_by_the_use_of_their_key(system):
    system.insert(two_keys(), ONE)
    provider = card_provider()
    for spec in (0, AT_KEYEXCHANGE):
        assert NCryptGetProperty(NCryptOpenKey(provider, "exchange", spec), "Algorithm Name") == "ECDH_P256"
    for spec in (0, AT_SIGNATURE):
        assert NCryptGetProperty(NCryptOpenKey(provider, "signature", spec), "Algorithm Name") == "ECDSA_P256"
    assert code_of(NCryptOpenKey, provider, "exchange", AT_SIGNATURE) == NTE_NO_KEY
    assert code_of(NCryptOpenKey, provider, "signature", AT_KEYEXCHANGE) == NTE_NO_KEY
    for spec in (3, -1, "1", None):
        assert code_of(NCryptOpenKey, provider, "signature", spec) == NTE_INVALID_PARAMETER


@pytest.mark.parametrize(
    ("slot", "algorithm"), [(0x9A, "ECDSA_P256"), (0x9C, "ECDSA_P256"), (0x9D, "ECDH_P256"), (0x9E, "ECDSA_P256")]
)
def test_the_slot_of_a_piv_key_says_what_it_is_for(system, slot, algorithm):
    system.insert(ec_piv(slot))
    key = NCryptOpenKey(card_provider(), "", AT_KEYEXCHANGE if algorithm == "ECDH_P256" else AT_SIGNATURE)
    assert NCryptGetProperty(key, "Algorithm Name") == algorithm
    assert names(card_provider())[0].algid == algorithm


@pytest.mark.parametrize(
    ("usage", "algorithm"),
    [
        ({"key_agreement": True}, "ECDH_P256"),
        ({"digital_signature": True}, "ECDSA_P256"),
        ({"key_agreement": True, "digital_signature": True}, "ECDSA_P256"),
        ({}, "ECDSA_P256"),
    ],
    ids=["agreement", "signature", "both", "none"],
)
def test_a_retired_piv_key_follows_its_certificate(usage, algorithm):
    with local_system(policy={"piv.retired_keys": "all"}) as system:
        key = p256()
        system.insert(virtual_piv(keys={0x82: (key, certified(key, **usage))}))
        (listed,) = names(card_provider())
        assert listed.algid == algorithm


def test_an_empty_container_has_no_key(system):
    system.insert(virtual_gids(), ONE)
    from calais.provider.containeradmin import create_container

    system.card().verify_pin(PIN)
    create_container(system.card(), "empty")
    assert code_of(NCryptOpenKey, card_provider(), "empty") == NTE_NO_KEY
    assert "empty" not in [each.name for each in names(card_provider())]


def test_kinds_of_keys_that_cng_lacks_are_not_supported(system):
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from pivdesk import certificate

    key = ed25519.Ed25519PrivateKey.generate()
    try:
        cert = certificate(key)
    except TypeError:
        cert = None
    system.insert(virtual_piv(keys={0x9A: (key, cert)}))
    assert code_of(NCryptOpenKey, card_provider(), "") in (NTE_NOT_SUPPORTED, NTE_BAD_KEYSET)
    assert names(card_provider()) == []


# --- lists -----------------------------------------------------------------------------------------------------------


def test_all_cards_are_listed_in_the_order_of_readers(system):
    system.insert(two_keys(), ONE)
    system.insert(ec_piv(0x9A, 0x9D), TWO)
    found = names(card_provider())
    assert [each.name for each in found[:2]] == ["exchange", "signature"]
    assert [(each.algid, each.legacy_key_spec, each.flags) for each in found] == [
        ("ECDH_P256", 1, 0),
        ("ECDSA_P256", 2, 0),
        ("ECDSA_P256", 2, 0),
        ("ECDH_P256", 1, 0),
    ]
    for each in found:
        assert NCryptOpenKey(card_provider(), each.name, each.legacy_key_spec)


def test_a_scope_is_a_reader(system):
    system.insert(two_keys(), ONE)
    system.insert(ec_piv(0x9A), TWO)
    assert len(names(card_provider(), f"\\\\.\\{TWO}\\")) == 1
    assert [each.flags for each in names(card_provider(), f"\\\\.\\{TWO}\\", NCRYPT_MACHINE_KEY_FLAG)] == [0x20]
    for scope in (TWO, f"\\\\.\\{TWO}", f"\\\\.\\{TWO}\\x", "", "\\\\.\\\\", 5):
        assert code_of(NCryptEnumKeys, card_provider(), scope) == NTE_INVALID_PARAMETER
    assert code_of(NCryptEnumKeys, card_provider(), "\\\\.\\Nowhere\\") == SCARD_E_UNKNOWN_READER


def test_the_state_is_what_came_out(system):
    system.insert(two_keys(), ONE)
    provider = card_provider()
    first, state = NCryptEnumKeys(provider)
    again, _ = NCryptEnumKeys(provider)
    assert first == again
    second, state = NCryptEnumKeys(provider, None, state)
    assert second != first
    assert code_of(NCryptEnumKeys, provider, None, state) == NTE_NO_MORE_ITEMS
    assert code_of(NCryptEnumKeys, provider, None, object()) == NTE_INVALID_PARAMETER


def test_no_readers_and_no_cards_are_told_apart(system):
    assert code_of(NCryptEnumKeys, card_provider()) == SCARD_E_NO_READERS_AVAILABLE
    system.plug(ONE)
    assert code_of(NCryptEnumKeys, card_provider()) == SCARD_E_NO_SMARTCARD


def test_a_volatile_name_lives_with_its_handle():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(ec_piv(0x9A, container_names="volatile"))
        key = NCryptOpenKey(card_provider(), "")
        name = name_of(key)
        with NCryptOpenKey(card_provider(), name) as other:
            assert name_of(other) == name
        key.close()
        assert code_of(NCryptOpenKey, card_provider(), name) == NTE_BAD_KEYSET


def test_another_system_may_be_named(system):
    with local_system() as elsewhere:
        elsewhere.insert(two_keys(), ONE)
        with system:
            assert len(names(card_provider(system=elsewhere))) == 2


def test_the_machine_flag_opens_the_same_key(system):
    system.insert(two_keys(), ONE)
    key = NCryptOpenKey(card_provider(), "signature", 0, NCRYPT_MACHINE_KEY_FLAG)
    assert NCryptGetProperty(key, "Key Type") == NCRYPT_MACHINE_KEY_FLAG
    NCryptSetProperty(key, "SmartCardPin", PIN)
    assert len(NCryptSignHash(key, None, bytes(32))) == 64


def test_freed_handles_leave_the_key_on_the_card(system):
    system.insert(two_keys(), ONE)
    with opened("signature") as key:
        assert NCryptSignHash(key, None, bytes(32))
    with opened("signature") as key:
        assert code_of(NCryptGetProperty, key, "Modified") == NTE_NOT_FOUND
