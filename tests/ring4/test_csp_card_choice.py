"""Which card and container a context gets; cards that come and go, and names that change."""

from __future__ import annotations

import pytest
from cspdesk import (
    CARDS,
    NAME,
    OTHER,
    READER,
    acquire,
    check_signature,
    container_of,
    containers,
    fails,
    gids,
    in_reader,
    piv,
    public_key_of,
    sign,
)
from people import PIN
from tincard import TinApplet

from calais.cards.base import VirtualCard
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.win.codes import Code
from calais.win.flags import CRYPT_SILENT, CRYPT_VERIFYCONTEXT
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


# --- situations ---

TOUCHING = [0, NEW, DELETE, OPTIONAL]


@pytest.mark.parametrize("flags", [*TOUCHING, CRYPT_VERIFYCONTEXT], ids=hex)
def test_an_unknown_reader(silent, flags):
    with fails(Code.SCARD_E_UNKNOWN_READER):
        acquire(in_reader(), flags)
    silent.insert(gids())
    with fails(Code.SCARD_E_UNKNOWN_READER):
        acquire(in_reader("x", "Nowhere"), flags)


@pytest.mark.parametrize("flags", TOUCHING, ids=hex)
@pytest.mark.parametrize("text", [None, "name"])
def test_no_reader_at_all(silent, flags, text):
    with fails(Code.SCARD_E_NO_READERS_AVAILABLE):
        acquire(text, flags)


@pytest.mark.parametrize("flags", TOUCHING, ids=hex)
@pytest.mark.parametrize("text", [None, "name", in_reader(), in_reader("name")])
def test_no_card_and_nobody_to_ask(silent, flags, text):
    silent.plug(READER)
    for more in (0, CRYPT_SILENT):
        with fails(Code.SCARD_E_NO_SMARTCARD):
            acquire(text, flags | more)


class Desk(FixedPrompt):
    """A person who can also be asked for a card."""

    def __init__(self, system, answers):
        super().__init__(PIN)
        self.system, self.answers, self.asked = system, answers, []

    def insert_card(self, request):
        self.asked.append(request)
        answer = self.answers.pop(0)
        if answer is not None:
            self.system.insert(answer, READER)
        return answer is not None


@pytest.mark.parametrize("text", [None, NAME, in_reader(), in_reader(NAME)])
def test_a_person_may_insert_the_card(silent, text):
    silent.plug(READER)
    silent.broker.prompt = desk = Desk(silent, [gids()])
    with acquire(None, CRYPT_VERIFYCONTEXT) as public:
        api.CryptSetProvParam(public, api.PP_UI_PROMPT, "The red card, please")
    with acquire(text) as handle:
        assert container_of(handle) == NAME
    (asked,) = desk.asked
    assert asked.text == "The red card, please"
    assert asked.reader == (READER if text and text.startswith("\\") else "")


@pytest.mark.parametrize("text", [None, NAME, in_reader(), in_reader(NAME)])
def test_a_person_may_give_up(silent, text):
    silent.plug(READER)
    silent.broker.prompt = Desk(silent, [None, None])
    with fails(Code.SCARD_W_CANCELLED_BY_USER):
        acquire(text)
    with fails(Code.SCARD_E_NO_SMARTCARD):
        acquire(text, CRYPT_SILENT)


def test_somebody_who_says_yes_without_a_card_is_not_asked_for_ever(silent):
    class Liar(Desk):
        def insert_card(self, request):
            self.asked.append(request)
            return True

    silent.plug(READER)
    silent.broker.prompt = liar = Liar(silent, [])
    with fails(Code.SCARD_E_NO_SMARTCARD):
        acquire(None)
    assert len(liar.asked) < 20


def test_a_card_that_no_driver_knows(silent):
    silent.insert(VirtualCard(TinApplet()), READER)
    for text in (in_reader(), in_reader("name")):
        with fails(Code.SCARD_E_UNKNOWN_CARD):
            acquire(text)
    for text in (None, NAME):
        with fails(Code.SCARD_E_NO_SMARTCARD):
            acquire(text)
    silent.insert(gids(), OTHER)
    for text in (None, NAME):
        with acquire(text) as handle:
            assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == OTHER


# --- which card ---


def test_cards_that_were_used_go_first_wherever_they_are(system):
    first, second = gids(key="a"), gids(key="b")
    system.insert(first, READER)
    system.insert(second, OTHER)
    with acquire(None) as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == READER
    system.remove(READER)
    system.remove(OTHER)
    system.insert(second, READER)
    system.insert(first, OTHER)
    for text in (None, NAME):
        with acquire(text) as handle:
            assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == OTHER


def test_a_card_is_known_by_its_id_and_not_by_its_containers(system):
    system.plug(READER)
    system.insert(gids(key="a"), OTHER)
    acquire(None).close()
    system.remove(OTHER)
    system.insert(gids(key="b"), READER)
    system.insert(gids(key="c"), OTHER)
    with acquire(NAME) as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == READER


# --- cards that come and go ---


@pytest.mark.parametrize("kind", list(CARDS))
def test_a_handle_works_again_when_its_card_is_put_back(system, kind):
    made = CARDS[kind]()
    system.insert(made)
    with acquire(None) as handle:
        public = public_key_of(handle)
        check_signature(public, sign(handle))
        for reader in (READER, OTHER):
            system.remove(READER)
            with fails(Code.SCARD_W_REMOVED_CARD):
                sign(handle)
            system.insert(made, reader)
            check_signature(public, sign(handle))
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == OTHER


@pytest.mark.parametrize("kind", list(CARDS))
def test_another_card_in_the_reader_is_not_the_card(system, kind):
    system.insert(CARDS[kind](key="one"))
    with acquire(None) as handle:
        public = public_key_of(handle)
        system.remove()
        system.insert(CARDS[kind](key="two"))
        with fails(Code.SCARD_W_REMOVED_CARD):
            sign(handle)
        system.remove()
        system.insert(CARDS[kind](key="one"))
        check_signature(public, sign(handle))


# --- names that change ---


@pytest.fixture(params=["no GUID", "no CHUID", "policy"])
def volatile(request):
    policy = {"piv.container_names": "volatile"} if request.param == "policy" else {}
    options = {"no GUID": {"container_names": "volatile"}, "no CHUID": {"chuid_guid": b""}}.get(request.param, {})
    with local_system(prompt=FixedPrompt(PIN), policy=policy) as system:
        system.insert(piv(**options))
        yield system


def test_a_name_lives_as_long_as_the_context_that_told_it(volatile):
    with acquire(None) as handle:
        name = container_of(handle)
        with acquire(name) as again, acquire(in_reader(name.upper())) as third:
            assert container_of(again) == name
            check_signature(public_key_of(again), sign(third))
    with fails(Code.NTE_BAD_KEYSET):
        acquire(name)


def test_a_name_of_an_enumeration_lives_as_long_as_the_context_that_made_it(volatile):
    with acquire(None, CRYPT_VERIFYCONTEXT) as handle:
        names = containers(handle)
        assert len(set(names)) == 2
        for name in names:
            acquire(name).close()
        assert set(containers(handle)).isdisjoint(names)
        acquire(names[0]).close()
    for name in names:
        with fails(Code.NTE_BAD_KEYSET):
            acquire(name)


def test_a_name_lives_on_in_another_context_that_tells_it(volatile):
    first = acquire(None)
    name = container_of(first)
    second = acquire(name)
    first.close()
    with acquire(name) as third:
        assert container_of(third) == name
    second.close()
    with fails(Code.NTE_BAD_KEYSET):
        acquire(name)


def test_a_context_outlives_its_name(volatile):
    with acquire(None) as handle:
        public = public_key_of(handle)
        with acquire(None) as other:
            assert container_of(other) != container_of(handle)
        check_signature(public, sign(handle))


def test_a_link_of_the_store_is_no_name_of_a_context(volatile):
    names = [outcome.container for outcome in volatile.propagate()]
    for _ in range(2):
        for name in names:
            with acquire(name) as handle:
                assert container_of(handle) == name


def test_links_of_the_store_outlive_any_number_of_contexts(volatile):
    link = volatile.propagate()[0].container

    def known():
        return volatile.card().run(lambda driver: len(driver.memo.names))

    acquire(None).close()
    before = known()
    for _ in range(20):
        with acquire(None) as handle, acquire(in_reader(), CRYPT_VERIFYCONTEXT):
            containers(handle)
    acquire(link).close()
    assert known() <= before + 2


def test_two_references_are_one_context(volatile):
    handle = acquire(None)
    api.CryptContextAddRef(handle)
    name = container_of(handle)
    api.CryptReleaseContext(handle)
    acquire(name).close()
    api.CryptReleaseContext(handle)
    with fails(Code.NTE_BAD_KEYSET):
        acquire(name)


def test_stable_names_need_no_context(system):
    system.insert(piv())
    with acquire(None) as handle:
        name = container_of(handle)
    acquire(name).close()


def test_default_piv_and_gids_cards_work_together(system):
    system.insert(virtual_piv(), READER)
    system.insert(virtual_gids(), OTHER)
    with acquire(None) as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == READER
    with acquire(in_reader(reader=OTHER)) as handle:
        assert api.CryptGetProvParam(handle, api.PP_SMARTCARD_READER) == OTHER
