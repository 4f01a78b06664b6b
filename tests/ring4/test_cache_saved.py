"""What is saved of cards from one process to the next: proved before it is used, and never used when anything is odd."""

from __future__ import annotations

import os
import threading

import gidsdesk
import pivdesk
import pytest
from cachedesk import READER, files, listing, process, used

from calais.minidriver.memo import KeptCard, KeptObject
from calais.resource import cachefile
from calais.resource.cachefile import CacheFolder
from calais.resource.keptmemo import KeptCards, Limits

KEY_HISTORY = 1
MARK, ATR = b"m" * 32, b"\x3b\x00"


@pytest.fixture(scope="module")
def four_piv():
    return pivdesk.four_keys()


@pytest.fixture(scope="module")
def four_gids():
    return gidsdesk.four_keys()


# --- what it saves ---


def test_a_fresh_process_lists_a_piv_card_by_its_heads(tmp_path, four_piv):
    card = pivdesk.new_desk(keys=four_piv).card
    before = used(tmp_path, card)
    with process(tmp_path, card) as system:
        assert len(system.card().containers) == 4
        assert card.counter.exchanges == 2 + 4 + KEY_HISTORY
        assert listing(system) == before
        assert card.counter.exchanges == 2 + 4 + KEY_HISTORY


def test_a_fresh_process_lists_a_gids_card_by_its_counters(tmp_path, four_gids):
    card = gidsdesk.new_desk(keys=four_gids).card
    before = used(tmp_path, card)
    with process(tmp_path, card) as system:
        assert [container.name for container in system.card().containers] == [name for name, *_ in before]
        assert card.counter.exchanges == 3
        assert listing(system) == before
        assert card.counter.exchanges == 3 + 4 + 4, "one look at each certificate and each key"


def test_a_card_in_another_reader_is_known_there(tmp_path, four_gids):
    card = gidsdesk.new_desk(keys=four_gids).card
    with process(tmp_path, card) as system:
        before = listing(system)
        system.remove(READER)
        system.insert(card, "Other")
        card.counter.clear()
        assert len(system.card().containers) == len(before)
        assert card.counter.exchanges == 3


def test_a_second_gids_card_with_the_same_atr_is_found_without_help(tmp_path, four_gids):
    used(tmp_path, gidsdesk.new_desk(keys=four_gids).card)
    other = gidsdesk.new_desk(keys=four_gids[:1], card_id=bytes(16)).card
    with process(tmp_path, other) as system:
        assert len(system.card().containers) == 1
        assert system.card().card_id == bytes(16)


def test_what_is_saved_is_private_and_holds_no_secret(tmp_path, four_gids):
    home = tmp_path / "cache"
    card = gidsdesk.new_desk(keys=four_gids).card
    with process(home, card) as system:
        listing(system)
        system.card().verify_pin("123456")
        held = system.card()
        held.holder("test").run(lambda driver: driver.create_file("mscp", "private", 0, 5))
        held.holder("test").run(lambda driver: driver.write_file("mscp", "private", b"a private text"))
        held.holder("test").run(lambda driver: driver.read_file("mscp", "private"))
    for path in home.iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert not any(secret in path.read_bytes() for secret in (b"123456", b"YSBwcml2YXRlIHRleHQ", b"a private text"))
    assert home.stat().st_mode & 0o077 == 0
    assert gidsdesk.CARD_ID.hex().upper() not in " ".join(path.name.upper() for path in home.iterdir())


def test_nothing_is_written_while_nothing_is_closed_and_nothing_again_when_nothing_changed(tmp_path, four_piv):
    card = pivdesk.new_desk(keys=four_piv).card
    system = process(tmp_path, card)
    listing(system)
    assert files(tmp_path) == []
    system.close()
    assert len(files(tmp_path)) == 1


def test_a_system_without_a_folder_writes_nowhere(tmp_path, four_piv, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALAIS_HOME", str(tmp_path))
    used(None, pivdesk.new_desk(keys=four_piv).card)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_note(tmp_path, four_piv):
    (tmp_path / "file").write_bytes(b"")
    system = process(tmp_path / "file" / "cache", pivdesk.new_desk(keys=four_piv).card)
    listing(system)
    system.close()
    assert any("cannot be written" in note for note in system.kept.notes)


# --- what it never uses ---


def cut(raw):
    return raw[:-20]


def turned(raw):
    return raw[:-20] + bytes((raw[-20] ^ 1,)) + raw[-19:]


def of_another_version(raw):
    return raw.replace(b"calais-cache 1", b"calais-cache 2")


def without_mac(raw):
    return raw[: len(cachefile.HEADER)] + bytes(32) + raw[len(cachefile.HEADER) + 32 :]


@pytest.mark.parametrize(
    "damage", [cut, turned, of_another_version, without_mac, lambda _: b"", lambda _: os.urandom(99)]
)
def test_a_file_that_is_not_as_it_was_written_is_not_used(tmp_path, four_piv, damage):
    card = pivdesk.new_desk(keys=four_piv).card
    before = used(tmp_path, card)
    path = files(tmp_path)[0]
    path.write_bytes(damage(path.read_bytes()))
    with process(tmp_path, card) as system:
        assert listing(system) == before
        assert card.counter.exchanges == 6 + KEY_HISTORY, "read cold, with extended lengths"
        assert path.name in system.kept.notes[0]
    assert used(tmp_path, card) == before
    assert CacheFolder(tmp_path).load_all()


def test_a_file_under_another_cards_name_is_not_used(tmp_path, four_piv):
    one, two = pivdesk.new_desk(keys=four_piv).card, pivdesk.new_desk(keys={}, chuid_guid=bytes(range(16))).card
    used(tmp_path, one)
    first = files(tmp_path)[0]
    used(tmp_path, two)
    second = next(path for path in files(tmp_path) if path != first)
    second.write_bytes(first.read_bytes())
    with process(tmp_path, two) as system:
        assert listing(system) == []
        assert second.name in system.kept.notes[0]


@pytest.mark.parametrize("key", [b"short", bytes(33)])
def test_with_a_damaged_key_nothing_is_used_and_a_new_one_is_made(tmp_path, four_piv, key):
    card = pivdesk.new_desk(keys=four_piv).card
    before = used(tmp_path, card)
    (tmp_path / "cache.key").write_bytes(key)
    assert used(tmp_path, card) == before
    assert len((tmp_path / "cache.key").read_bytes()) == 32


def test_a_key_that_others_may_read_is_not_trusted(tmp_path, four_piv):
    card = pivdesk.new_desk(keys=four_piv).card
    used(tmp_path, card)
    (tmp_path / "cache.key").chmod(0o644)
    folder = CacheFolder(tmp_path)
    assert folder.load_all() == []
    assert "others may read it" in folder.notes[0]


def test_another_users_file_is_not_used(tmp_path, four_piv, monkeypatch):
    used(tmp_path, pivdesk.new_desk(keys=four_piv).card)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    folder = CacheFolder(tmp_path)
    assert folder.load_all() == []
    assert "another user" in folder.notes[0]


def test_a_link_to_a_file_is_not_followed(tmp_path, four_piv):
    used(tmp_path, pivdesk.new_desk(keys=four_piv).card)
    path = files(tmp_path)[0]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert CacheFolder(tmp_path).load_all() == []


# --- bounds, and several at once ---


def kept(number=0, size=10, driver="piv"):
    mark = MARK[:-4] + number.to_bytes(4, "big")
    return KeptCard(driver, mark, bytes(16), f"card {number}", ATR, (KeptObject("5FC105", b"c" * size, size),))


def test_a_saved_card_comes_back_as_it_was(tmp_path):
    folder = CacheFolder(tmp_path)
    card = KeptCard("gids", MARK, b"i" * 16, "läbel", ATR, (KeptObject("A/B", None), KeptObject("C", b"\0\xff", 2, b"123456", 1.5, 3)), trusted=False)  # fmt: skip
    assert folder.save(card)
    assert CacheFolder(tmp_path).load("gids", MARK, ATR) == card
    assert CacheFolder(tmp_path).load("piv", MARK, ATR) is None
    assert CacheFolder(tmp_path).drivers_of(ATR) == {"gids"}
    folder.remove("gids", MARK, ATR)
    assert CacheFolder(tmp_path).load("gids", MARK, ATR) is None


@pytest.mark.parametrize(
    "limits", [Limits(cards=3), Limits(objects=3), Limits(size=3 * 16)], ids=["cards", "objects", "bytes"]
)
def test_what_was_used_longest_ago_goes_first(limits):
    cards = KeptCards(limits=limits)
    for number in range(5):
        cards._keep(kept(number))
    assert [card.label for card in cards.cards()] == ["card 2", "card 3", "card 4"]
    cards.recall("piv", kept(2).mark, ATR)
    assert len(cards.cards()) == 3


def test_a_card_that_is_too_big_for_all_room_is_not_kept():
    cards = KeptCards(limits=Limits(size=100))
    cards._keep(kept(0, size=101))
    assert cards.cards() == []


def test_the_folder_is_bounded(tmp_path):
    folder = CacheFolder(tmp_path)
    for number in range(6):
        folder.save(kept(number))
        os.utime(folder._files()[-1], (number, number))
    folder.prune(2, 1 << 20)
    assert [card.label for card in folder.load_all()] == ["card 4", "card 5"]
    folder.prune(2, 1)
    assert folder.load_all() == []


def test_many_may_save_at_once_and_no_file_is_half_of_each(tmp_path):
    def work(who):
        for number in range(20):
            assert CacheFolder(tmp_path).save(kept(number % 4, size=1000 + who))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    folder = CacheFolder(tmp_path)
    assert len(folder.load_all()) == 4
    assert folder.notes == []
    assert not list(tmp_path.glob(".*"))


def test_clearing_forgets_one_card_or_all(tmp_path, four_piv, four_gids):
    used(tmp_path, pivdesk.new_desk(keys=four_piv).card)
    used(tmp_path, gidsdesk.new_desk(keys=four_gids).card)
    cards = KeptCards(CacheFolder(tmp_path))
    assert len(cards.cards()) == 2
    assert cards.clear(gidsdesk.CARD_ID) == 1
    assert [card.driver for card in KeptCards(CacheFolder(tmp_path)).cards()] == ["piv"]
    assert cards.clear() == 1
    assert files(tmp_path) == []


def test_a_vendors_driver_is_asked_before_a_memory_of_our_own(tmp_path, four_gids):
    """A memory saves the question which driver it is only where nobody else could want the card."""
    from calais.cards.registry import BUILT_IN, identify
    from calais.minidriver.memo import CardMemo

    asked = []

    def vendor(tx, memo, *, policy, fresh):
        asked.append(fresh)

    desk = gidsdesk.new_desk(keys=four_gids)
    used(tmp_path, desk.card)
    for drivers, expected in (({"vendor": vendor, **BUILT_IN}, [True]), (BUILT_IN, [])):
        asked.clear()
        desk.connect()
        memo = CardMemo(shelf=KeptCards(CacheFolder(tmp_path)))
        with desk.channel.begin() as tx:
            assert len(identify(tx, memo, drivers=drivers).containers()) == 4
        assert memo.recalled
        assert asked == expected
