r"""Contexts of the Personal CSP: what its names mean, and what it opens without a name."""

from __future__ import annotations

import hashlib

import pytest
from cspdesk import (
    CARDS,
    NAME,
    OTHER,
    PERSONAL,
    READER,
    check_signature,
    container_of,
    fails,
    gids,
    give_pin,
    in_reader,
    piv,
    public_key_of,
    sign,
)
from cspdesk import acquire as acquire_by
from people import PIN, card

from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.win.codes import Code
from calais.win.flags import CRYPT_MACHINE_KEYSET, CRYPT_SILENT, CRYPT_VERIFYCONTEXT
from calais.winapi import advapi32 as api
from calais.winapi.cspdk import CPAcquireContext, CPGetProvParam

NEW, DELETE = api.CRYPT_NEWKEYSET, api.CRYPT_DELETEKEYSET
HW, KEYPAD, REMOVABLE, PRESENT = 1, 2, 4, 8


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


@pytest.fixture(params=list(CARDS))
def kind(request):
    return request.param


@pytest.fixture
def name(system, kind):
    """The name of the default container of a card of each kind."""
    system.insert(CARDS[kind]())
    return system.card().containers.default.name


def acquire(container=None, flags=0):
    return acquire_by(container, flags, PERSONAL)


def nx_flags(handle):
    return api.CryptGetProvParam(handle, api.PP_NX_CONTEXT_FLAGS)


# --- names ---


def thumbprint(system, upper=False):
    digits = hashlib.sha1(system.card().containers.default.certificate).hexdigest()
    return digits.upper() if upper else digits


FORMS = {
    "reader": lambda system, name: in_reader(),
    "thumbprint": lambda system, name: thumbprint(system),
    "thumbprint, upper case": lambda system, name: thumbprint(system, upper=True),
    "name": lambda system, name: name,
    "name, upper case": lambda system, name: name.upper(),
    "reader and name": lambda system, name: in_reader(name),
    "nothing": lambda system, name: None,
    "empty": lambda system, name: "",
}


@pytest.mark.parametrize("flags", [0, CRYPT_MACHINE_KEYSET, CRYPT_SILENT], ids=["0", "machine", "silent"])
@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_opens_the_container(system, name, form, flags):
    with acquire(FORMS[form](system, name), flags) as handle:
        assert container_of(handle) == name
        give_pin(handle)
        check_signature(public_key_of(handle), sign(handle))
        assert api.CryptGetProvParam(handle, api.PP_KEYSET_TYPE) == 0


@pytest.mark.parametrize("wrap", ["{}", "{{{}}}", "\\\\.\\Virtual Reader 0\\{{{}}}"])
def test_a_guid_with_and_without_braces(system, kind, wrap):
    guid = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
    system.insert(gids(names=(guid,)) if kind == "GIDS" else piv())
    guid = system.card().containers.default.name
    with acquire(wrap.format(guid.upper())) as handle:
        assert container_of(handle) == guid


@pytest.mark.parametrize("number", ["154", "0x9A", "0x9a", "0X9a", "0154"])
def test_a_key_of_a_piv_card_by_its_reference(system, number):
    system.insert(piv())
    with acquire(in_reader(number)) as handle:
        assert container_of(handle) == system.card().containers.find("9A").name
    with acquire(in_reader("157")) as handle:
        assert container_of(handle) == system.card().containers.find("9D").name


def test_retired_keys_of_a_piv_card(system):
    system.insert(piv(0x9A, 0x82, 0x95))
    for number, tag in (("130", "5fc10d"), ("0x95", "5fc120")):
        with acquire(in_reader(number)) as handle:
            assert container_of(handle).endswith(tag)
            check_signature(public_key_of(handle), sign(handle))


def test_a_key_of_a_gids_card_by_its_containers_index(system):
    system.insert(gids(names=("one", "two"), specs=(1, 1)))
    for number, name in (("0", "one"), ("1", "two"), ("0x1", "two")):
        with acquire(in_reader(number)) as handle:
            assert container_of(handle) == name


def test_a_number_that_is_no_key_may_be_a_name(system):
    system.insert(gids(names=("12",)))
    with acquire(in_reader("12")) as handle:
        assert container_of(handle) == "12"


def test_a_number_alone_is_a_name(system, name):
    for text in ("154", "0x9A", "0"):
        with fails(Code.NTE_BAD_KEYSET):
            acquire(text)


@pytest.mark.parametrize(
    "text",
    [
        "0" * 40,
        "f" * 40,
        "{6f9619ff-8b86-d011-b42d-00cf4fc964ff}",
        in_reader("99"),
        in_reader("0x99"),
        in_reader("0x1"),
        in_reader("nobody"),
        "nobody",
    ],
)
def test_what_is_nowhere(system, text):
    system.insert(virtual_piv())
    for flags in (0, CRYPT_VERIFYCONTEXT, DELETE):
        with fails(Code.NTE_BAD_KEYSET):
            acquire(text, flags)


@pytest.mark.parametrize("text", ["g" * 40, "0" * 41, "a\\b", "\\\\.\\R"])
def test_what_is_no_name(system, name, text):
    with fails(Code.NTE_BAD_KEYSET_PARAM):
        acquire(text)


def test_a_thumbprint_is_looked_for_on_every_card(system):
    system.insert(gids(key="one"), READER)
    system.insert(piv(key="two"), OTHER)
    wanted = hashlib.sha1(system.card(OTHER).containers.find("9D").certificate).hexdigest()
    with acquire(wanted) as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == OTHER
        assert container_of(handle) == system.card(OTHER).containers.find("9D").name


def test_an_elliptic_certificate_is_not_for_cryptoapi(system):
    system.insert(card(0x9A))
    for text in (thumbprint(system), in_reader("154"), None):
        with fails(Code.NTE_BAD_KEYSET):
            acquire(text)


# --- flags ---


def test_optional_is_not_among_the_flags(system, name):
    for flags in (0x80, 0x80 | CRYPT_SILENT, 0x80 | CRYPT_VERIFYCONTEXT):
        with fails(Code.NTE_BAD_FLAGS):
            acquire(None, flags)


def test_verifycontext(system, name):
    with acquire(None, CRYPT_VERIFYCONTEXT) as handle:
        assert container_of(handle) == ""
        assert nx_flags(handle) == 0
    with acquire(thumbprint(system), CRYPT_VERIFYCONTEXT) as handle:
        assert container_of(handle) == name
        with fails(Code.NTE_PERM):
            sign(handle)


def test_new_and_delete(system, kind):
    system.insert(CARDS[kind]())
    with acquire("fresh", NEW) as handle:
        assert container_of(handle) == "fresh"
        api.CryptGenKey(handle, 1, 1024 << 16 | api.CRYPT_USER_PROTECTED)
    with fails(Code.NTE_EXISTS):
        acquire("fresh", NEW)
    assert acquire("fresh", DELETE) is None
    with fails(Code.NTE_BAD_KEYSET):
        acquire("fresh", DELETE)


def test_a_thumbprint_is_not_the_name_of_a_new_container(system, name):
    with fails(Code.NTE_BAD_KEYSET_PARAM):
        acquire("0" * 40, NEW)
    with acquire("{fresh}", NEW) as handle:
        assert container_of(handle) == "{fresh}"
    guid = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
    with acquire(f"{{{guid}}}", NEW) as handle:
        assert container_of(handle) == guid


def test_delete_by_thumbprint(system, name):
    digits = thumbprint(system)
    assert acquire(digits, DELETE) is None
    with fails(Code.NTE_BAD_KEYSET):
        acquire(digits)


def test_changes_in_silence(system, name):
    for flags in (NEW, DELETE):
        with fails(Code.NTE_SILENT_CONTEXT):
            acquire(None, flags | CRYPT_SILENT)


@pytest.mark.parametrize("flags", [NEW, DELETE])
def test_read_only_cards(system, kind, flags):
    system.insert(CARDS[kind](read_only=True))
    with fails(Code.SCARD_E_READ_ONLY_CARD):
        acquire(None, flags)


def test_cached_data_are_used_with_machine_keyset_too(system, kind):
    made = CARDS[kind]()
    system.insert(made)
    for flags in (0, CRYPT_MACHINE_KEYSET):
        acquire(None, flags).close()
        made.counter.clear()
        acquire(None, flags).close()
        assert made.counter.exchanges == 0


# --- without a name ---


def test_the_policys_container_goes_first():
    made = gids(key="two")
    with local_system() as system:
        system.insert(made)
        digits = thumbprint(system)
    for text in (NAME, in_reader(NAME, OTHER), in_reader(reader=OTHER), digits):
        with local_system(prompt=FixedPrompt(PIN), policy={"personal.default_container": text}) as system:
            system.insert(piv(), READER)
            system.insert(made, OTHER)
            with acquire(None) as handle:
                assert container_of(handle) == NAME
                assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == OTHER


def test_a_container_of_the_policy_that_is_not_there():
    with local_system(policy={"personal.default_container": "nobody"}) as system:
        system.insert(gids())
        with fails(Code.NTE_BAD_KEYSET):
            acquire(None)


def test_the_first_reader_with_a_card(system):
    system.plug("Empty")
    system.insert(gids(), READER)
    system.insert(piv(), OTHER)
    for _ in range(2):
        with acquire(None) as handle:
            assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == READER
    with acquire(in_reader(reader=OTHER)), acquire(None) as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == READER


def test_a_first_card_without_a_container(system):
    system.insert(virtual_gids(keys=[]))
    with fails(Code.NTE_BAD_KEYSET):
        acquire(None)


def test_the_first_reader_without_a_card(system):
    system.plug(READER)
    system.plug(OTHER)
    with acquire(None) as handle:
        assert container_of(handle) == ""
        assert nx_flags(handle) == HW | REMOVABLE
        for use in (lambda: sign(handle), lambda: api.CryptGetUserKey(handle, 1), lambda: give_pin(handle)):
            with fails(Code.SCARD_E_NO_SMARTCARD):
                use()
        system.insert(gids(), READER)
        check_signature(public_key_of(handle), sign(handle))
        assert container_of(handle) == NAME
        assert nx_flags(handle) == HW | REMOVABLE | PRESENT


def test_the_card_is_asked_for_when_its_key_is_wanted():
    class Desk(FixedPrompt):
        def insert_card(self, request):
            asked.append(request.reader)
            system.insert(gids(), READER)
            return True

    asked = []
    with local_system(prompt=Desk(PIN)) as system:
        system.plug(READER)
        with acquire(None) as handle:
            assert asked == []
            check_signature(public_key_of(handle), sign(handle))
            assert asked == [READER]


def test_no_reader_is_as_verifycontext(system):
    with acquire(None) as handle:
        assert container_of(handle) == ""
        assert nx_flags(handle) == 0
        with fails(Code.NTE_NO_KEY):
            sign(handle)
        key = api.CryptGenKey(handle, 1, 1024 << 16 | api.CRYPT_USER_PROTECTED)
        assert api.CryptGetKeyParam(key, api.KP_KEYLEN) == 1024


@pytest.mark.parametrize("text", ["name", "0" * 40, in_reader("1")])
def test_with_a_name_the_situations_are_those_of_every_provider(system, text):
    with fails(Code.SCARD_E_UNKNOWN_READER if text.startswith("\\") else Code.SCARD_E_NO_READERS_AVAILABLE):
        acquire(text)
    system.plug(READER)
    with fails(Code.SCARD_E_NO_SMARTCARD):
        acquire(text)


# --- PP_NX_CONTEXT_FLAGS ---


def test_the_flags_say_whether_the_card_is_there(system, kind):
    made = CARDS[kind]()
    system.insert(made)
    with acquire(None) as handle:
        assert nx_flags(handle) == HW | REMOVABLE | PRESENT == 0xD
        system.remove()
        assert nx_flags(handle) == HW | REMOVABLE == 0x5
        system.insert(CARDS[kind](key="another"))
        assert nx_flags(handle) == 0x5
        system.remove()
        system.insert(made, OTHER)
        assert nx_flags(handle) == 0xD


def test_a_reader_with_a_keypad():
    from keypad import Keypad, KeypadReader

    from calais.store.database import open_database
    from calais.store.locations import SystemStores
    from calais.system import System

    reader = KeypadReader(gids(), Keypad())
    with System(SystemStores(open_database(None)), sources=[reader]), acquire(None) as handle:
        assert nx_flags(handle) == HW | KEYPAD | REMOVABLE | PRESENT


def test_the_flags_are_only_read(system, name):
    with acquire(None) as handle:
        with fails(Code.NTE_BAD_TYPE):
            api.CryptSetProvParam(handle, api.PP_NX_CONTEXT_FLAGS, 1)
        assert CPGetProvParam(handle, 0x80000002) == 0xD


def test_both_faces_know_the_names():
    from calais.winapi import cspdk

    for face in (api, cspdk):
        assert (face.PP_NX_LAST_ERROR, face.PP_NX_CONTEXT_FLAGS) == (0x80000001, 0x80000002)
        assert (face.NX_FLAG_HW_TOKEN, face.NX_FLAG_TOKEN_PRESENT) == (1, 8)
        assert face.ERROR_NX_PIN_INCORRECT == 0x80007001
    assert CPAcquireContext(None, CRYPT_VERIFYCONTEXT, provider="personal csp")
