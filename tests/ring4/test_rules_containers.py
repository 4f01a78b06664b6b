"""Container names, default containers, and whose PIN a context means, rule by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cspdesk import (
    BASE,
    CARDS,
    NAME,
    OTHER,
    PERSONAL,
    READER,
    acquire,
    container_of,
    containers,
    fails,
    gids,
    give_pin,
    in_reader,
    piv,
    sign,
)
from people import PIN, card, key_of
from pinfaces import as_entry_point, install

from calais.cards.gids.driver import GidsMinidriver
from calais.minidriver.pins import Pin, Role
from calais.testing import FixedPrompt, local_system, virtual_gids
from calais.win.codes import Code
from calais.win.flags.cardmod import DigitalSignaturePin
from calais.win.structs import Pkcs1PaddingInfo
from calais.winapi import advapi32 as api
from calais.winapi.ncrypt import (
    MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    NCRYPT_OVERWRITE_KEY_FLAG,
    NCRYPT_SILENT_FLAG,
    NCryptCreatePersistedKey,
    NCryptFinalizeKey,
    NCryptGetProperty,
    NCryptOpenStorageProvider,
    NCryptSetProperty,
    NCryptSignHash,
)

NEW, DELETE, OPTIONAL = api.CRYPT_NEWKEYSET, api.CRYPT_DELETEKEYSET, api.CRYPT_DEFAULT_CONTAINER_OPTIONAL
VERIFY = api.CRYPT_VERIFYCONTEXT
SHORT = 1024 << 16


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


def default_of(system, reader=READER):
    return system.card(reader).containers.default.name


# --- names ---


@pytest.mark.parametrize("provider", [BASE, PERSONAL])
@pytest.mark.parametrize("kind", list(CARDS))
def test_the_unique_name_of_a_container_is_its_name_and_opens_it(system, kind, provider):
    system.insert(CARDS[kind]())
    with acquire(None, provider=provider) as handle:
        unique = api.CryptGetProvParam(handle, api.PP_UNIQUE_CONTAINER)
        assert unique == container_of(handle) == default_of(system)
    with acquire(unique, provider=provider) as handle:
        assert container_of(handle) == unique


def test_the_reader_says_which_of_two_containers_with_one_name(system):
    system.insert(gids(key="one"), READER)
    system.insert(gids(key="two"), OTHER)
    for reader in (READER, OTHER):
        with acquire(in_reader(NAME, reader)) as handle:
            assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == reader
    with acquire(NAME) as handle:  # the card that was used first
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == READER


def test_a_name_alone_is_looked_for_on_every_card(system):
    system.insert(gids(names=("here",), key="one"), READER)
    system.insert(gids(names=("there",), key="two"), OTHER)
    with acquire("there") as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == OTHER
    with fails(Code.NTE_BAD_KEYSET):
        acquire(in_reader("there", READER))


# --- default containers ---


def test_the_first_container_made_on_a_card_is_its_default_and_later_ones_are_not(system):
    system.insert(virtual_gids(keys=[]))
    with fails(Code.NTE_BAD_KEYSET):
        acquire(None)
    for name in ("first", "second"):
        acquire(name, NEW).close()
        assert default_of(system) == "first"
    with acquire(in_reader()) as handle:
        assert container_of(handle) == "first"


def test_deleting_without_a_name_deletes_the_default_and_chooses_another(system):
    system.insert(gids(names=("first", "second", "third")))
    for name in ("first", "second", "third"):
        assert default_of(system) == name
        assert acquire(None, DELETE) is None
    with fails(Code.NTE_BAD_KEYSET):
        acquire(None, DELETE)


def test_deleting_another_container_leaves_the_default_alone(system):
    system.insert(gids(names=("first", "second")))
    acquire("second", DELETE)
    assert default_of(system) == "first"


def test_without_a_name_a_card_without_default_is_passed_over(system):
    system.insert(virtual_gids(keys=[]), READER)
    system.insert(gids(), OTHER)
    with acquire(None) as handle:
        assert (container_of(handle), api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER)) == (NAME, OTHER)
    with fails(Code.NTE_BAD_KEYSET):
        acquire(in_reader())


def test_the_key_in_9A_is_the_default_of_a_piv_card(system):
    system.insert(piv(0x9A, 0x9C, 0x9D))
    assert system.card().containers.default.entry.reference == "9A"


# --- new containers and their keys ---


def test_a_container_that_is_named_gets_that_name_and_another_a_new_guid(system):
    system.insert(virtual_gids(keys=[]))
    with acquire("given", NEW) as handle:
        assert container_of(handle) == "given"
    names = set()
    for text in (None, in_reader()):
        with acquire(text, NEW) as handle:
            names.add(container_of(handle))
            api.CryptGenKey(handle, 1, SHORT)
            sign(handle)
    assert len(names) == 2
    assert {len(name) for name in names} == {36}
    assert {"given"} | names == {container.name for container in system.card().containers}


def test_a_new_container_has_no_key_until_one_is_made(system):
    system.insert(virtual_gids(keys=[]))
    with acquire("given", NEW) as handle:
        for spec in (1, 2):
            with fails(Code.NTE_NO_KEY):
                api.CryptGetUserKey(handle, spec)
        api.CryptGenKey(handle, 1, SHORT)
        assert containers(handle) == ["given"]


# --- whose PIN ---

OTHERS_PIN = "333333"
SECOND = 3


class TwoPins(GidsMinidriver):
    """A driver whose keys are behind a PIN of their own, not the user's."""

    def pin_list(self):
        return super().pin_list() | 1 << SECOND

    def pin_info(self, pin_id):
        if pin_id == SECOND:
            return replace(super().pin_info(Role.USER), pin_purpose=DigitalSignaturePin)
        return super().pin_info(pin_id)

    def pin_status(self, pin_id):
        return super().pin_status(Role.USER if pin_id == SECOND else pin_id)

    def authenticate(self, pin_id, pin):
        if pin_id == SECOND:
            pin = Pin(PIN if pin == Pin(OTHERS_PIN) else "000000")
        super().authenticate(Role.USER if pin_id == SECOND else pin_id, pin)

    def containers(self, *, probe_keys=False):
        return [replace(entry, pin_id=SECOND) for entry in super().containers(probe_keys=probe_keys)]

    def container(self, index):
        return replace(super().container(index), pin_id=SECOND)


class Knowing(FixedPrompt):
    """A person who knows both PINs, and types that of the container where one is named."""

    def ask(self, request):
        super().ask(request)
        return Pin(OTHERS_PIN if request.container else PIN)


@pytest.fixture
def two_pins(monkeypatch):
    install(monkeypatch, as_entry_point(TwoPins))
    with local_system(prompt=Knowing(PIN)) as system:
        system.insert(gids(names=("first", "second")))
        yield system


def asked(system):
    """For which containers a person was asked; "" = for the user's PIN."""
    return [request.container for request in system.broker.prompt.requests]


def test_opening_a_container_asks_nobody_and_its_key_wants_its_own_pin(two_pins):
    with acquire("first") as handle:
        assert asked(two_pins) == []
        sign(handle)
    assert asked(two_pins) == ["first"]


def test_making_a_container_asks_for_the_users_pin(two_pins):
    acquire("new", NEW).close()
    assert asked(two_pins) == [""]


@pytest.mark.parametrize("name", [None, "second"])
def test_deleting_a_container_asks_for_the_users_pin_whatever_pin_it_has(two_pins, name):
    acquire(name, DELETE)
    assert asked(two_pins) == [""]


def test_a_key_made_in_a_container_asks_for_the_users_pin(two_pins):
    with acquire("first") as handle:
        api.CryptGenKey(handle, 1, SHORT)
    assert asked(two_pins) == [""]


@pytest.mark.parametrize(
    ("name", "flags"),
    [(None, OPTIONAL), (in_reader(), OPTIONAL), (in_reader(), VERIFY), ("first", VERIFY), ("new", NEW)],
)
def test_a_pin_given_to_these_contexts_is_the_users(two_pins, name, flags):
    with acquire(name, flags) as handle:
        two_pins.card().release()
        with fails(Code.SCARD_W_WRONG_CHV):
            give_pin(handle, OTHERS_PIN)
        give_pin(handle, PIN)


@pytest.mark.parametrize("name", [None, "first", in_reader(), in_reader("first")])
def test_a_pin_given_to_other_contexts_is_the_containers(two_pins, name):
    with acquire(name) as handle:
        with fails(Code.SCARD_W_WRONG_CHV):
            give_pin(handle, PIN)
        give_pin(handle, OTHERS_PIN)
        two_pins.card().release()
        sign(handle)
    assert asked(two_pins) == []


def test_of_two_remembered_pins_each_is_presented_where_it_belongs(two_pins):
    for name, flags, pin in (("first", 0, OTHERS_PIN), (None, OPTIONAL, PIN)):
        with acquire(name, flags) as handle:
            give_pin(handle, pin)
    for name in ("new", "newer"):
        two_pins.card().release()
        with acquire("second", api.CRYPT_SILENT) as handle:
            sign(handle)
        two_pins.card().release()
        acquire(name, NEW | api.CRYPT_SILENT).close()
    two_pins.card().release()
    assert two_pins.card().pin_status().attempts_left == 3


def test_the_key_of_such_a_context_wants_its_own_pin_all_the_same(two_pins):
    with acquire(None, OPTIONAL) as handle:
        sign(handle)
    assert asked(two_pins) == ["first"]


# --- the same for CNG ---


@pytest.mark.parametrize("slot", [0x9A, 0x9C, 0x9E])
def test_over_a_key_with_another_pin_or_none_cng_makes_a_new_one_with_the_users(slot):
    with local_system() as system:
        system.insert(card(slot))
        (before,) = system.card().containers
        with NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER) as provider:
            key = NCryptCreatePersistedKey(provider, "ECDSA_P256", before.name, 0, NCRYPT_OVERWRITE_KEY_FLAG)
            NCryptSetProperty(key, "SmartCardPin", PIN)
            NCryptFinalizeKey(key, NCRYPT_SILENT_FLAG)
            assert NCryptGetProperty(key, "Name") == before.name
            key.close()
        (after,) = system.card().containers
        assert after.public_key != key_of(f"one {slot}").public_key()
        assert after.entry.reference == before.entry.reference
        assert system.card().pin_status().attempts_left in (None, 3)


def test_over_a_key_cng_wants_the_users_pin_and_for_using_it_the_containers(two_pins):
    with (
        NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER) as provider,
        NCryptCreatePersistedKey(provider, "RSA", "first", 1, NCRYPT_OVERWRITE_KEY_FLAG) as key,
    ):
        NCryptSetProperty(key, "SmartCardPin", PIN)
        NCryptFinalizeKey(key, NCRYPT_SILENT_FLAG)
        two_pins.card().release()
        NCryptSetProperty(key, "SmartCardPin", OTHERS_PIN)
        two_pins.card().release()
        NCryptSignHash(key, Pkcs1PaddingInfo("SHA256"), bytes(32), 2 | NCRYPT_SILENT_FLAG)
    assert asked(two_pins) == []
