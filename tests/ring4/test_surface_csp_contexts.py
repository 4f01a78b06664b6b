"""CryptoAPI contexts, black box: which provider, which container, which flags, which refusal."""

from __future__ import annotations

import re

import pytest
from surfacedesk import OTHER, PIN, PREFIX, READER, card_context, hash_of, listing, refused, rsa_key

from calais import WinError
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.winapi import advapi32 as adv
from calais.winapi import cspdk

VERIFY, NEW, DELETE = adv.CRYPT_VERIFYCONTEXT, adv.CRYPT_NEWKEYSET, adv.CRYPT_DELETEKEYSET
OPTIONAL, SILENT, MACHINE = adv.CRYPT_DEFAULT_CONTAINER_OPTIONAL, adv.CRYPT_SILENT, adv.CRYPT_MACHINE_KEYSET
BASE, PERSONAL, ENHANCED = adv.MS_SCARD_PROV, adv.PERSONAL_CSP, adv.MS_ENH_RSA_AES_PROV
GUID = re.compile(r"\{?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?")
acquire = adv.CryptAcquireContext


@pytest.fixture
def system():
    with local_system() as system:
        yield system


def named_gids(*names, **options):
    keys = [(name, adv.AT_KEYEXCHANGE, rsa_key(), None) for name in names]
    return virtual_gids(keys=keys, **options)


@pytest.fixture
def gids(system):
    card = named_gids("first", "second")
    system.insert(card)
    return card


def container(h):
    return adv.CryptGetProvParam(h, adv.PP_CONTAINER)


def containers(h):
    return listing(lambda first: adv.CryptGetProvParam(h, adv.PP_ENUMCONTAINERS, 1 if first else 2))


# --- flags -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [
        *(0x1, 0x2, 0x4, 0x100, 0x8000, 0x10000000, 0x80000000, 0x70000000),
        *(VERIFY | NEW, VERIFY | DELETE, NEW | DELETE, NEW | OPTIONAL, DELETE | OPTIONAL),
    ],
    ids=hex,
)
@pytest.mark.parametrize("provider", [BASE, PERSONAL])
def test_unknown_flags_and_pairs_are_refused_before_a_reader_is_sought(system, flags, provider):
    refused("NTE_BAD_FLAGS", acquire, None, provider, 1, flags)
    refused("NTE_BAD_FLAGS", acquire, "\\\\.\\nowhere\\x", provider, 1, flags | SILENT)


@pytest.mark.parametrize("flags", [0, OPTIONAL, SILENT, MACHINE, SILENT | MACHINE], ids=hex)
def test_verifycontext_goes_with_the_harmless_flags(system, flags):
    h = acquire(None, None, 1, VERIFY | flags)
    assert container(h) == ""
    assert adv.CryptGetProvParam(h, adv.PP_KEYSET_TYPE) == flags & MACHINE


@pytest.mark.parametrize(
    "name",
    ["x" * 40, "a\\b", "\\", "\\\\.\\", "\\\\.\\reader", PREFIX + "a\\b", PREFIX + "x" * 40, "\\\\server\\x"],
    ids=["long", "inner", "backslash", "empty-prefix", "no-end", "two-deep", "long-with-reader", "unc"],
)
@pytest.mark.parametrize("flags", [0, NEW, VERIFY, DELETE], ids=["open", "new", "verify", "delete"])
def test_a_malformed_container_name_is_refused(gids, name, flags):
    refused("NTE_BAD_KEYSET_PARAM", acquire, name, BASE, 1, flags)


# --- the table of levels and flags -----------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, OPTIONAL, SILENT, MACHINE, OPTIONAL | SILENT], ids=hex)
@pytest.mark.parametrize(
    ("name", "found"),
    [
        *((None, "first"), ("", "first"), (PREFIX, "first"), ("second", "second"), ("SECOND", "second")),
        *((PREFIX + "second", "second"), (PREFIX + "Second", "second")),
    ],
    ids=["none", "empty", "reader", "name", "case", "both", "both-case"],
)
def test_each_level_finds_its_container(gids, name, found, flags):
    h = acquire(name, BASE, 1, flags)
    assert container(h) == found
    assert adv.CryptGetProvParam(h, adv.PP_UNIQUE_CONTAINER) == found
    assert adv.CryptGetProvParam(h, adv.PP_SMARTCARD_READER) == READER


@pytest.mark.parametrize("flags", [0, OPTIONAL, VERIFY, DELETE], ids=["open", "optional", "verify", "delete"])
@pytest.mark.parametrize("name", ["absent", PREFIX + "absent"], ids=["name", "both"])
def test_an_absent_container_is_named(gids, name, flags):
    refused("NTE_BAD_KEYSET", acquire, name, BASE, 1, flags)


@pytest.mark.parametrize("name", [None, PREFIX], ids=["none", "reader"])
def test_a_card_without_default(system, name):
    system.insert(virtual_gids(keys=[]))
    refused("NTE_BAD_KEYSET", acquire, name)
    refused("NTE_BAD_KEYSET", acquire, name, None, 1, DELETE)
    h = acquire(name, None, 1, OPTIONAL)
    assert container(h) == ""
    refused("NTE_NO_KEY", adv.CryptGetUserKey, h, adv.AT_KEYEXCHANGE)
    assert container(acquire(name, None, 1, VERIFY)) == ""


def test_verifycontext_without_a_name_touches_no_reader(system):
    card = virtual_gids()
    system.insert(card)
    card.counter.clear()
    acquire(dwFlags=VERIFY)
    assert card.counter.exchanges == 0


@pytest.mark.parametrize(
    ("name", "found"), [(PREFIX, "first"), ("second", "second"), (PREFIX + "second", "second")], ids="rnb"
)
def test_verifycontext_with_a_container_reads_public_data_only(gids, name, found):
    h = acquire(name, None, 1, VERIFY)
    assert container(h) == found
    key = adv.CryptGetUserKey(h, adv.AT_KEYEXCHANGE)
    assert adv.CryptExportKey(key, None, adv.PUBLICKEYBLOB)[:2] == b"\x06\x02"
    value = hash_of(h, adv.CALG_SHA1)
    adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    refused("NTE_PERM", adv.CryptSignHash, value, adv.AT_KEYEXCHANGE)
    refused("NTE_PERM", adv.CryptGenKey, h, adv.AT_SIGNATURE)
    secret = adv.CryptEncrypt(key, pbData=b"x")
    refused("NTE_PERM", adv.CryptDecrypt, key, pbData=secret)


@pytest.mark.parametrize("name", [None, PREFIX], ids=["none", "reader"])
def test_newkeyset_without_a_name_makes_a_guid(gids, name):
    card_context(PREFIX, OPTIONAL)
    h = acquire(name, None, 1, NEW)
    assert GUID.fullmatch(container(h))
    assert container(h) in containers(h)


def test_newkeyset_makes_a_named_container_without_keys(gids):
    card_context(PREFIX, OPTIONAL)
    h = acquire("third", None, 1, NEW | SILENT)
    assert container(h) == "third"
    assert sorted(containers(h)) == ["first", "second", "third"]
    refused("NTE_NO_KEY", adv.CryptGetUserKey, h, adv.AT_KEYEXCHANGE)
    refused("NTE_EXISTS", acquire, "third", None, 1, NEW)
    refused("NTE_EXISTS", acquire, PREFIX + "THIRD", None, 1, NEW)
    assert container(acquire("third")) == "third"


@pytest.mark.parametrize(
    ("name", "gone"), [(None, "first"), (PREFIX, "first"), ("second", "second"), (PREFIX + "SECOND", "second")]
)
def test_deletekeyset_deletes_and_gives_nothing(gids, name, gone):
    card_context(PREFIX, OPTIONAL)
    h = acquire(gone)
    assert acquire(name, None, 1, DELETE) is None
    refused("NTE_BAD_KEYSET", acquire, gone)
    refused("NTE_BAD_KEYSET", adv.CryptGetUserKey, h, adv.AT_KEYEXCHANGE)
    left = {"first": "second", "second": "first"}[gone]
    assert container(acquire()) == left


def test_the_last_container_deleted_leaves_no_default(system):
    system.insert(named_gids("only"))
    card_context(PREFIX, OPTIONAL)
    acquire("only", None, 1, DELETE)
    refused("NTE_BAD_KEYSET", acquire)
    refused("NTE_BAD_KEYSET", acquire, None, None, 1, DELETE)


@pytest.mark.parametrize(("name", "flags"), [("new", NEW), ("first", DELETE)], ids=["new", "delete"])
def test_changing_silently_needs_the_pin_first(gids, name, flags):
    refused("NTE_SILENT_CONTEXT", acquire, name, None, 1, flags | SILENT)
    refused("NTE_SILENT_CONTEXT", acquire, name, None, 1, flags)
    assert container(acquire("first")) == "first"


@pytest.mark.parametrize(("name", "flags"), [("new", NEW), ("first", DELETE)], ids=["new", "delete"])
def test_a_read_only_card_is_not_changed(system, name, flags):
    system.insert(named_gids("first", read_only=True))
    card_context(PREFIX, OPTIONAL)
    refused("SCARD_E_READ_ONLY_CARD", acquire, PREFIX + name, None, 1, flags)


def test_a_full_card_has_no_room(system):
    system.insert(virtual_piv(keys={}))
    card_context(PREFIX, OPTIONAL)
    while True:
        try:
            made = acquire(None, None, 1, NEW)
        except WinError as error:
            full = error.name
            break
        assert GUID.fullmatch(container(made))
    assert full == "NTE_TOKEN_KEYSET_STORAGE_FULL"


def test_the_silent_recipe(system):
    system.insert(virtual_gids(keys=[]))
    with acquire(PREFIX, None, 1, OPTIONAL) as h:
        adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    h = acquire(PREFIX + "new", None, 1, NEW | SILENT)
    key = adv.CryptGenKey(h, adv.AT_SIGNATURE, 1024 << 16)
    assert adv.CryptGetKeyParam(key, adv.KP_KEYLEN) == 1024
    assert len(adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), adv.AT_SIGNATURE)) == 128


# --- no card, other cards, two cards ---------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, NEW, DELETE, OPTIONAL], ids=["open", "new", "delete", "optional"])
@pytest.mark.parametrize("silent", [0, SILENT], ids=["asks", "silent"])
def test_no_reader_no_card_and_an_unknown_reader(system, flags, silent):
    refused("SCARD_E_NO_READERS_AVAILABLE", acquire, None, None, 1, flags | silent)
    refused("SCARD_E_NO_READERS_AVAILABLE", acquire, "name", None, 1, flags | silent)
    system.plug(READER)
    for name in (None, "name", PREFIX, PREFIX + "name"):
        refused("SCARD_E_NO_SMARTCARD", acquire, name, None, 1, flags | silent)
    refused("SCARD_E_UNKNOWN_READER", acquire, "\\\\.\\Nowhere\\", None, 1, flags | silent)
    refused("SCARD_E_UNKNOWN_READER", acquire, "\\\\.\\Nowhere\\name", None, 1, flags | silent)
    refused("SCARD_E_UNKNOWN_READER", acquire, PREFIX.lower(), None, 1, flags | silent)


def test_an_unknown_reader_counts_with_verifycontext_too(gids):
    refused("SCARD_E_UNKNOWN_READER", acquire, "\\\\.\\Nowhere\\", None, 1, VERIFY)


def test_containers_of_two_cards_are_found_and_enumerated(system):
    system.insert(named_gids("here", "both"), READER)
    system.insert(named_gids("there", "both"), OTHER)
    assert container(acquire()) == "here"
    h = acquire("there")
    assert adv.CryptGetProvParam(h, adv.PP_SMARTCARD_READER) == OTHER
    assert sorted(containers(h)) == ["both", "there"]
    assert sorted(containers(acquire(dwFlags=VERIFY))) == ["both", "both", "here", "there"] or sorted(
        containers(acquire(dwFlags=VERIFY))
    ) == ["both", "here", "there"]
    for reader in (READER, OTHER):
        h = acquire(f"\\\\.\\{reader}\\both")
        assert adv.CryptGetProvParam(h, adv.PP_SMARTCARD_READER) == reader


def test_newkeyset_goes_to_the_first_card_that_lacks_the_name(system):
    system.insert(named_gids("name"), READER)
    system.insert(named_gids("other"), OTHER)
    for reader in (READER, OTHER):
        card_context(f"\\\\.\\{reader}\\", OPTIONAL)
    h = acquire("name", None, 1, NEW)
    assert adv.CryptGetProvParam(h, adv.PP_SMARTCARD_READER) == OTHER
    refused("NTE_EXISTS", acquire, "name", None, 1, NEW)


def test_newkeyset_passes_over_a_read_only_card(system):
    system.insert(named_gids("name", read_only=True), READER)
    system.insert(named_gids("other"), OTHER)
    for reader in (READER, OTHER):
        card_context(f"\\\\.\\{reader}\\", OPTIONAL)
    assert adv.CryptGetProvParam(acquire("new", None, 1, NEW), adv.PP_SMARTCARD_READER) == OTHER


def test_a_card_taken_out_and_put_back_works_with_the_same_handle(gids, system):
    h = card_context("first")
    value = hash_of(h, adv.CALG_SHA1)
    system.remove(READER)
    refused("SCARD_W_REMOVED_CARD", adv.CryptSignHash, value, adv.AT_KEYEXCHANGE)
    refused("SCARD_W_REMOVED_CARD", adv.CryptSignHash, hash_of(h, adv.CALG_SHA1), adv.AT_KEYEXCHANGE)
    system.insert(gids)
    adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    assert len(adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), adv.AT_KEYEXCHANGE)) == 256


def test_another_card_does_not_take_the_place_of_the_first(gids, system):
    h = card_context("first")
    system.remove(READER)
    system.insert(named_gids("first"))
    refused("SCARD_W_REMOVED_CARD", adv.CryptSignHash, hash_of(h, adv.CALG_SHA1), adv.AT_KEYEXCHANGE)


def test_volatile_names_open_while_their_context_lives(system):
    system.insert(virtual_piv(container_names="volatile"))
    h = acquire()
    name = container(h)
    assert container(acquire(name)) == name
    adv.CryptReleaseContext(h)


def test_a_volatile_name_ends_with_its_context(system):
    system.insert(virtual_piv(container_names="volatile"))
    with acquire() as h:
        name = container(h)
    refused("NTE_BAD_KEYSET", acquire, name)
    assert container(acquire()) != name


def test_a_prompt_gives_the_pin_once():
    prompt = FixedPrompt(PIN)
    with local_system(prompt=prompt) as system:
        system.insert(virtual_gids())
        h = acquire()
        for _ in range(2):
            adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), adv.AT_KEYEXCHANGE)
        assert prompt.count == 1
        quiet = acquire(None, None, 1, SILENT)
        adv.CryptSignHash(hash_of(quiet, adv.CALG_SHA1), adv.AT_KEYEXCHANGE)
        assert prompt.count == 1


# --- contexts without a container, and Enhanced ----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [(BASE, 1), (ENHANCED, 24)])
def test_a_context_without_container_has_two_slots_in_memory(system, name, kind):
    h = acquire(None, name, kind, VERIFY)
    for spec in (adv.AT_KEYEXCHANGE, adv.AT_SIGNATURE):
        refused("NTE_NO_KEY", adv.CryptGetUserKey, h, spec)
        refused("NTE_NO_KEY", adv.CryptSignHash, hash_of(h, adv.CALG_SHA1), spec)
        adv.CryptGenKey(h, spec, 1024 << 16)
        assert len(adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), spec)) == 128
    again = acquire(None, name, kind, VERIFY)
    refused("NTE_NO_KEY", adv.CryptGetUserKey, again, adv.AT_SIGNATURE)


@pytest.mark.parametrize("name", [None, ""])
@pytest.mark.parametrize("flags", [0, SILENT, MACHINE, SILENT | MACHINE], ids=hex)
def test_enhanced_offers_verifycontext(system, name, flags):
    assert container(acquire(name, ENHANCED, 24, VERIFY | flags)) == ""


@pytest.mark.parametrize(
    ("name", "flags", "code"),
    [
        pytest.param("name", VERIFY, "NTE_BAD_FLAGS", id="verify-with-name"),
        pytest.param(None, 0, "NTE_BAD_KEYSET", id="open"),
        pytest.param("name", 0, "NTE_BAD_KEYSET", id="open-name"),
        pytest.param("name", DELETE, "NTE_BAD_KEYSET", id="delete"),
        pytest.param(None, DELETE, "NTE_BAD_KEYSET", id="delete-none"),
        pytest.param("name", NEW, "NTE_PERM", id="new"),
        pytest.param(None, NEW, "NTE_PERM", id="new-none"),
        pytest.param(None, OPTIONAL, "NTE_BAD_FLAGS", id="optional"),
        pytest.param(None, VERIFY | OPTIONAL, "NTE_BAD_FLAGS", id="verify-optional"),
        pytest.param(None, 1, "NTE_BAD_FLAGS", id="bit"),
    ],
)
def test_enhanced_has_no_containers(system, name, flags, code):
    refused(code, acquire, name, ENHANCED, 24, flags)


def test_a_system_can_be_named(system):
    with local_system() as other:
        other.insert(virtual_gids())
    h = acquire(system=other)
    assert container(h)
    assert container(cspdk.CPAcquireContext(system=other)) == container(h)
    refused("SCARD_E_NO_READERS_AVAILABLE", acquire)
