"""CryptAcquireContext on cards: names, flags, and what comes of them."""

from __future__ import annotations

import pytest
from cspdesk import (
    BASE,
    CARDS,
    NAME,
    OTHER,
    PERSONAL,
    READER,
    acquire,
    check_signature,
    container_of,
    containers,
    fails,
    gids,
    give_pin,
    in_reader,
    piv,
    public_key_of,
    sign,
)
from people import PIN, card, key_of, rsa_of

from calais.testing import FixedPrompt, local_system, virtual_gids
from calais.win.codes import Code
from calais.win.flags import CRYPT_MACHINE_KEYSET, CRYPT_SILENT, CRYPT_VERIFYCONTEXT
from calais.winapi import advapi32 as api

NEW, DELETE, OPTIONAL = api.CRYPT_NEWKEYSET, api.CRYPT_DELETEKEYSET, api.CRYPT_DEFAULT_CONTAINER_OPTIONAL


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


@pytest.fixture
def silent():
    """A system in which nobody can be asked."""
    with local_system() as system:
        yield system


@pytest.fixture(params=list(CARDS))
def made(request, system):
    """The name of the default container of a card of each kind."""
    system.insert(CARDS[request.param]())
    return system.card().containers.default.name


# --- levels ---


@pytest.mark.parametrize("level", ["I", "II", "III", "IV", "IV, empty"])
def test_each_level_opens_the_container(system, made, level):
    text = {"I": in_reader(made), "II": in_reader(), "III": made, "IV": None, "IV, empty": ""}[level]
    with acquire(text) as handle:
        assert container_of(handle) == made
        check_signature(public_key_of(handle), sign(handle))


@pytest.mark.parametrize("level", ["I", "III"])
def test_containers_are_compared_without_case_and_readers_exactly(system, made, level):
    text = in_reader(made.upper()) if level == "I" else made.upper()
    with acquire(text) as handle:
        assert container_of(handle).casefold() == made.casefold()
    with fails(Code.SCARD_E_UNKNOWN_READER):
        acquire(in_reader(made, READER.upper()))


@pytest.mark.parametrize("text", ["x" * 40, "back\\slash", "\\\\.\\no final backslash", "\\\\.\\\\x"])
def test_what_is_no_container_name_is_refused_before_the_card_is_asked(system, made, text):
    with fails(Code.NTE_BAD_KEYSET_PARAM):
        acquire(text)


def test_a_name_of_39_characters_is_one(system, made):
    with fails(Code.NTE_BAD_KEYSET):
        acquire("x" * 39)


@pytest.mark.parametrize("flags", [0, CRYPT_VERIFYCONTEXT, DELETE, OPTIONAL])
@pytest.mark.parametrize("level", ["I", "III"])
def test_a_container_that_is_nowhere(system, made, level, flags):
    with fails(Code.NTE_BAD_KEYSET):
        acquire(in_reader("nobody") if level == "I" else "nobody", flags)


def test_an_elliptic_container_is_not_there_for_cryptoapi(system):
    system.insert(card(0x9A))
    name = system.card().containers.default.name
    for text in (name, None, in_reader(), in_reader(name)):
        with fails(Code.NTE_BAD_KEYSET):
            acquire(text)
    with acquire(None, CRYPT_VERIFYCONTEXT) as handle:
        assert containers(handle) == []


# --- flags ---


LEGAL = [
    0,
    CRYPT_VERIFYCONTEXT,
    CRYPT_VERIFYCONTEXT | OPTIONAL,
    OPTIONAL,
    CRYPT_SILENT,
    CRYPT_MACHINE_KEYSET,
    CRYPT_VERIFYCONTEXT | CRYPT_SILENT | CRYPT_MACHINE_KEYSET,
    OPTIONAL | CRYPT_SILENT | CRYPT_MACHINE_KEYSET,
    CRYPT_SILENT | CRYPT_MACHINE_KEYSET,
]
ILLEGAL = [
    0x1,
    0x100,
    0x10000000,
    0x80000000,
    0x70000000,
    CRYPT_VERIFYCONTEXT | NEW,
    CRYPT_VERIFYCONTEXT | DELETE,
    CRYPT_VERIFYCONTEXT | OPTIONAL | NEW,
    NEW | DELETE,
    NEW | OPTIONAL,
    DELETE | OPTIONAL,
]


@pytest.mark.parametrize("flags", LEGAL, ids=hex)
def test_flags_that_go_together(system, made, flags):
    with acquire(None, flags) as handle:
        assert container_of(handle) == ("" if flags & CRYPT_VERIFYCONTEXT else made)


@pytest.mark.parametrize("flags", ILLEGAL, ids=hex)
@pytest.mark.parametrize("provider", [BASE, PERSONAL])
def test_flags_that_do_not(system, made, flags, provider):
    with fails(Code.NTE_BAD_FLAGS):
        acquire(None, flags, provider)


def test_flags_are_looked_at_before_names_and_cards(silent):
    with fails(Code.NTE_BAD_FLAGS):
        acquire("x" * 40, NEW | DELETE)
    with fails(Code.NTE_BAD_KEYSET_PARAM):
        acquire("x" * 40)


def test_with_machine_keyset_the_card_is_read_anew(system):
    made = gids()
    system.insert(made)
    acquire(None).close()
    made.counter.clear()
    acquire(None).close()
    warm = made.counter.exchanges
    made.counter.clear()
    with acquire(None, CRYPT_MACHINE_KEYSET) as handle:
        assert made.counter.exchanges > warm
        assert api.CryptGetProvParam(handle, api.PP_KEYSET_TYPE) == CRYPT_MACHINE_KEYSET


def test_machine_keyset_keeps_names_that_change(system):
    system.insert(piv(container_names="volatile"))
    with acquire(None) as first, acquire(container_of(first), CRYPT_MACHINE_KEYSET) as second:
        assert container_of(second) == container_of(first)


# --- VERIFYCONTEXT ---


def test_verifycontext_without_a_name_touches_no_reader(silent):
    with acquire(None, CRYPT_VERIFYCONTEXT) as handle:
        assert container_of(handle) == ""
        with fails(Code.NTE_NO_KEY):
            api.CryptGetUserKey(handle, 1)
        with fails(Code.NTE_NO_KEY):
            sign(handle)
        key = api.CryptGenKey(handle, api.AT_SIGNATURE, 1024 << 16)
        check_signature(public_key_of(handle, 2), sign(handle, 2))
        key.close()
        with fails(Code.SCARD_E_NO_SMARTCARD):
            api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER)


def test_verifycontext_with_a_reader_chooses_the_card(system, made):
    with acquire(in_reader(), CRYPT_VERIFYCONTEXT) as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == READER
        assert container_of(handle) == made


def test_verifycontext_on_a_card_without_containers(system):
    system.insert(virtual_gids(keys=[]))
    with acquire(in_reader(), CRYPT_VERIFYCONTEXT) as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == READER
        with fails(Code.NTE_NO_KEY):
            api.CryptGetUserKey(handle, 1)


@pytest.mark.parametrize("level", ["I", "III"])
def test_verifycontext_with_a_container_reads_and_does_nothing_else(system, made, level):
    with acquire(in_reader(made) if level == "I" else made, CRYPT_VERIFYCONTEXT) as handle:
        key = api.CryptGetUserKey(handle, 1)
        assert public_key_of(handle).key_size == 2048
        certificate = api.CryptGetKeyParam(key, api.KP_CERTIFICATE)
        assert certificate[0] == 0x30
        cipher = api.CryptEncrypt(key, pbData=b"secret")
        for forbidden in (
            lambda: sign(handle),
            lambda: api.CryptDecrypt(key, pbData=cipher),
            lambda: api.CryptGenKey(handle, 1),
            lambda: api.CryptSetKeyParam(key, api.KP_CERTIFICATE, certificate),
            lambda: api.CryptImportKey(handle, private_blob()),
        ):
            with fails(Code.NTE_PERM):
                forbidden()
    assert system.broker.prompt.count == 0


def private_blob(spec=api.CALG_RSA_KEYX):
    from calais.win.blobs import build_capi_private

    return build_capi_private(rsa_of("imported"), spec)


# --- NEWKEYSET ---


@pytest.mark.parametrize("level", ["I", "II", "III", "IV"])
def test_a_new_container_on_a_gids_card(system, level):
    system.insert(gids())
    text = {"I": in_reader("fresh"), "II": in_reader(), "III": "fresh", "IV": None}[level]
    with acquire(text, NEW) as handle:
        name = container_of(handle)
        assert name == "fresh" or len(name) == 36
        with fails(Code.NTE_NO_KEY):
            api.CryptGetUserKey(handle, 1)
        assert containers(handle) == [NAME, name]
    with acquire(name) as handle, fails(Code.NTE_NO_KEY):
        sign(handle)
    assert system.broker.prompt.count == 1


@pytest.mark.parametrize("level", ["I", "III"])
def test_a_container_that_exists(system, made, level):
    with fails(Code.NTE_EXISTS):
        acquire(in_reader(made) if level == "I" else made.upper(), NEW)


def test_a_new_container_goes_to_the_first_card_that_lacks_the_name(system):
    system.insert(gids(), READER)
    system.insert(gids(names=("other",), key="other"), OTHER)
    with acquire(NAME, NEW) as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == OTHER
    with fails(Code.NTE_EXISTS):
        acquire(NAME, NEW)


def test_a_new_container_goes_past_a_piv_card_that_is_the_issuers(system):
    system.insert(piv(management_key=bytes(range(24))), READER)
    system.insert(gids(), OTHER)
    for text in ("fresh", None):
        with acquire(text, NEW) as handle:
            assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == OTHER


def test_a_new_container_goes_past_read_only_and_full_cards(system):
    system.insert(gids(read_only=True), READER)
    keys = [(f"c{number}", 3, key_of(), None) for number in range(124)]
    system.insert(virtual_gids(keys=keys), OTHER)
    for number in range(2):
        acquire(in_reader(f"more{number}", OTHER), NEW).close()
    with fails(Code.NTE_TOKEN_KEYSET_STORAGE_FULL):
        acquire(in_reader("one too many", OTHER), NEW)
    with fails(Code.NTE_TOKEN_KEYSET_STORAGE_FULL):
        acquire("one too many", NEW)
    system.insert(gids(names=("third",), key="third"), "Virtual Reader 2")
    with acquire("one too many", NEW) as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == "Virtual Reader 2"


@pytest.mark.parametrize("kind", list(CARDS))
@pytest.mark.parametrize("flags", [NEW, DELETE], ids=["new", "delete"])
def test_a_read_only_card_is_left_alone(system, kind, flags):
    system.insert(CARDS[kind](read_only=True))
    for text in (in_reader("x"), "x", None) if flags == NEW else (in_reader(), None):
        with fails(Code.SCARD_E_READ_ONLY_CARD):
            acquire(text, flags)


@pytest.mark.parametrize("kind", list(CARDS))
@pytest.mark.parametrize("flags", [NEW, DELETE], ids=["new", "delete"])
def test_policy_makes_cards_read_only(kind, flags):
    with local_system(prompt=FixedPrompt(PIN), policy={"piv.write": 0, "gids.write": 0}) as system:
        system.insert(CARDS[kind]())
        with fails(Code.SCARD_E_READ_ONLY_CARD):
            acquire(None, flags)


@pytest.mark.parametrize("kind", list(CARDS))
@pytest.mark.parametrize("flags", [NEW, DELETE], ids=["new", "delete"])
def test_changes_in_silence_want_a_pin_that_is_known(system, kind, flags):
    system.insert(CARDS[kind]())
    with fails(Code.NTE_SILENT_CONTEXT):
        acquire(None, flags | CRYPT_SILENT)
    with acquire(None, OPTIONAL) as handle:
        give_pin(handle)
    made = acquire(None, flags | CRYPT_SILENT)
    assert (made is None) == (flags == DELETE)
    assert system.broker.prompt.count == 0


def test_the_silent_recipe(silent):
    silent.insert(virtual_gids(keys=[]))
    with acquire(in_reader(), OPTIONAL) as handle:
        assert container_of(handle) == ""
        give_pin(handle)
    with acquire(in_reader("made"), NEW | CRYPT_SILENT) as handle:
        api.CryptGenKey(handle, api.AT_KEYEXCHANGE, 1024 << 16)
        check_signature(public_key_of(handle), sign(handle))
    with acquire(None) as handle:
        assert container_of(handle) == "made"


@pytest.mark.parametrize("name", ["a\0b", "\U0001f511" * 20])
def test_what_cannot_be_the_name_of_a_new_container(system, made, name):
    with fails(Code.NTE_BAD_KEYSET_PARAM):
        acquire(name, NEW)


# --- DELETEKEYSET ---


@pytest.mark.parametrize("kind", list(CARDS))
@pytest.mark.parametrize("level", ["I", "II", "III", "IV"])
def test_delete(system, kind, level):
    system.insert(CARDS[kind]())
    name = system.card().containers.default.name
    text = {"I": in_reader(name), "II": in_reader(), "III": name, "IV": None}[level]
    with acquire(name) as old:
        key = api.CryptGetUserKey(old, 1)
        cipher = api.CryptEncrypt(key, pbData=b"secret")
        assert acquire(text, DELETE) is None
        for gone in (
            lambda: api.CryptGetUserKey(old, 1),
            lambda: sign(old),
            lambda: api.CryptDecrypt(key, pbData=cipher),
            lambda: api.CryptGetKeyParam(key, api.KP_CERTIFICATE),
            lambda: api.CryptGenKey(old, 1, 1024 << 16),
        ):
            with fails(Code.NTE_BAD_KEYSET):
                gone()
    with fails(Code.NTE_BAD_KEYSET):
        acquire(name)
    assert system.card().run(lambda driver: driver.orphans()) == []


def test_another_container_becomes_the_default(system):
    system.insert(gids(names=("first", "second"), specs=(1, 1)))
    acquire(None, DELETE)
    with acquire(None) as handle:
        assert container_of(handle) == "second"
    acquire(in_reader(), DELETE)
    for flags in (0, DELETE):
        with fails(Code.NTE_BAD_KEYSET):
            acquire(None, flags)
        with fails(Code.NTE_BAD_KEYSET):
            acquire(in_reader(), flags)


def test_a_container_in_the_place_of_a_deleted_one_is_another(system):
    system.insert(gids())
    with acquire(NAME) as old:
        sign(old)
        acquire(NAME, DELETE)
        with acquire("successor", NEW) as new:
            api.CryptGenKey(new, 1, 1024 << 16)
            sign(new)
        with fails(Code.NTE_BAD_KEYSET):
            sign(old)


# --- DEFAULT_CONTAINER_OPTIONAL ---


def test_a_default_container_may_be_optional(system):
    system.insert(virtual_gids(keys=[]))
    for text in (None, in_reader()):
        with fails(Code.NTE_BAD_KEYSET):
            acquire(text)
        with acquire(text, OPTIONAL) as handle:
            assert container_of(handle) == ""
            assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == READER
            with fails(Code.NTE_NO_KEY):
                sign(handle)
            api.CryptGenKey(handle, api.AT_SIGNATURE, 1024 << 16)
            check_signature(public_key_of(handle, 2), sign(handle, 2))
    assert len(system.card().containers) == 0


def test_optional_is_not_needed_where_there_is_a_default(system, made):
    for text in (None, in_reader(), made, in_reader(made)):
        with acquire(text, OPTIONAL) as handle:
            assert container_of(handle) == made
            check_signature(public_key_of(handle), sign(handle))
