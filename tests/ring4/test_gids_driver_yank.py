"""Pulled out after any single APDU of any change, before or after the card has done it: a GIDS card loses nothing."""

from __future__ import annotations

from copy import deepcopy

import pytest
from gidsdesk import ADMIN_KEY, NAMES, PIN, Dice, certificate, der, four_keys, p256, user
from pivdesk import Desk

from calais.cards.base import BytesMemory
from calais.cards.gids import adminkey
from calais.cards.gids.bookkeeping import NewContainer
from calais.cards.gids.personalise import new_gids_card, virtual_card
from calais.minidriver.orphans import OrphanKind
from calais.minidriver.padding import Raw
from calais.minidriver.pins import Pin
from calais.transport.base import Channel
from calais.transport.loopback import LoopbackTransport
from calais.win.errors import CardRemoved, NotFound, PinBlocked, WrongPin

KEYS = four_keys()
NEW_KEY = p256()
RENEWED = der(certificate(KEYS[0][2], "renewed"))
NEW_PIN, NEW_ADMIN_KEY = Pin("654321"), bytes(range(50, 74))


class Pulled(LoopbackTransport):
    """A card that is taken out at exchange number ``at``: before the card sees it, or before the answer is seen."""

    def __init__(self, card, at, *, done):
        super().__init__(card)
        self.at, self.done, self.count = at, done, 0

    def transmit(self, command):
        self.count += 1
        if self.count > self.at:
            if self.done and self.count == self.at + 1:
                super().transmit(command)
            self.remove()
            raise CardRemoved(detail="pulled")
        return super().transmit(command)


def add_generated(driver):
    driver.add_container(NewContainer(key_spec=6, name="New"))


def add_imported(driver):
    driver.add_container(NewContainer(key_spec=3, key=NEW_KEY, name="New"))


def replace_same_kind(driver):
    driver.add_container(NewContainer(key_spec=6, index=3))


def remove(driver):
    driver.remove_container(3)


def renew_certificate(driver):
    driver.write_certificate(0, RENEWED)


def first_certificate(driver):
    driver.delete_certificate(3)
    driver.write_certificate(3, der(certificate(KEYS[3][2], "again")))


def default(driver):
    driver.set_default(2)


def roots(driver):
    driver.move_counters(files=True)
    driver.create_file("mscp", "msroots", 0, 1)
    driver.write_file("mscp", "msroots", bytes(600))


def repair(driver):
    driver.move_counters(containers=True)
    driver.create_container(5, 3)
    driver.repair()


CHANGES = [
    add_generated,
    add_imported,
    replace_same_kind,
    remove,
    renew_certificate,
    first_certificate,
    default,
    roots,
    repair,
]


def records_of_a_card():
    memory = BytesMemory()
    new_gids_card(memory, Dice(), keys=KEYS, card_id=bytes(range(16)), admin_key=ADMIN_KEY, extended=False)
    return memory.read()


RECORDS = records_of_a_card()


def desk():
    return Desk(virtual_card(BytesMemory(deepcopy(RECORDS)), Dice()))


def image(driver):
    return {
        entry.name: (entry.index, entry.is_default, driver.certificate(entry.index), public(driver, entry.index))
        for entry in driver.containers()
    }


def public(driver, index):
    try:
        return driver.public_key(index)
    except NotFound:
        return None


def cut_points(change):
    """Run ``change`` cut off at each exchange; yields the desk afterwards, re-inserted, with an old host's memory."""
    for done in (False, True):
        at = 0
        while True:
            table = desk()
            with table.driver() as driver:  # an old host remembers all there was
                before = image(driver)
            old = table.memo
            writer = table.elsewhere()
            writer.channel = Channel(Pulled(table.card, 10_000, done=done), extended=False)
            with writer.driver() as driver:
                driver.authenticate(1, PIN)
                driver.containers()
                driver.view.key_map()
                transport = writer.channel.transport
                transport.at, transport.count = at, 0
                finished = attempt(change, driver)
            writer.channel.close()
            table.memo = old
            table.reinsert()
            if finished:
                break
            yield table, before
            at += 1


def attempt(change, driver):
    try:
        change(driver)
    except CardRemoved:
        return False
    return True


def touched(change):
    return {"replace_same_kind": {3}, "remove": {3}, "renew_certificate": {0}, "first_certificate": {3}}.get(
        change.__name__, set()
    )


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_cut_loses_nothing_and_is_repaired(change):
    cuts = 0
    for table, before in cut_points(change):
        cuts += 1
        fresh = Desk(table.card)
        with fresh.driver() as driver:
            truth = image(driver)
        with table.driver() as driver:
            assert image(driver) == truth, "an old host shows what is on the card"
        for name, (index, _, der_, key) in before.items():
            if index not in touched(change):
                assert truth[name][0] == index
                assert truth[name][2:] == (der_, key), f"container {name} is as it was"
        renewed = truth.get(NAMES[0])
        assert renewed[2] in (before[NAMES[0]][2], RENEWED), "old certificate or new, never half"
        with user(fresh) as driver:
            for index in (0, 1, 2):
                assert len(driver.sign(index, 3 if index == 1 else 1, bytes(32), Raw())) == 64
            found = driver.orphans()
            assert driver.repair() == found
            left = [orphan for orphan in driver.orphans() if orphan.kind is not OrphanKind.CERTIFICATE_OF_ANOTHER_KEY]
            assert left == [], "repair leaves nothing over"
            assert sum(entry.is_default for entry in driver.containers()) == 1
            for entry in driver.containers():
                assert driver.public_key(entry.index), "every container has its key"
            change_again(change, driver)
        with fresh.driver() as driver:
            mine = image(driver)
        with table.driver() as driver:
            assert image(driver) == mine
    assert cuts
    print(f"{change.__name__}: {cuts} cut points")


def change_again(change, driver):
    """What was cut off can be done again, unless it has been done."""
    names = {entry.name for entry in driver.containers()}
    is_there = {"add_generated": "New" in names, "add_imported": "New" in names, "remove": NAMES[3] not in names}
    if not is_there.get(change.__name__, "msroots" in driver.enum_files("mscp")):
        change(driver)


def test_a_pin_change_that_is_cut_leaves_the_old_pin_or_the_new():
    for done in (False, True):
        table = desk()
        table.channel = Channel(Pulled(table.card, 10_000, done=done))
        with table.driver() as driver:
            driver.identity()
            table.channel.transport.at, table.channel.transport.count = 0, 0
            with pytest.raises(CardRemoved):
                driver.change_pin(1, PIN, NEW_PIN)
        table.reinsert()
        with table.driver() as driver:
            driver.authenticate(1, NEW_PIN if done else PIN)


def test_an_unblock_that_is_cut_leaves_the_pin_blocked_or_new_and_the_administrator_signed_out():
    for done in (False, True):
        for at in range(6):
            table = desk()
            table.channel = Channel(Pulled(table.card, 10_000, done=done))
            with table.driver() as driver:
                driver.pin_list()
                for _ in range(3):
                    with pytest.raises(WrongPin):
                        driver.authenticate(1, Pin("999999"))
                response = adminkey.response(ADMIN_KEY, driver.challenge())
                table.channel.transport.at, table.channel.transport.count = at, 0
                finished = attempt(lambda one, given=response: one.unblock_pin(1, 2, Pin(given), NEW_PIN), driver)
            table.reinsert()
            with table.driver() as driver:
                assert driver.authenticated() == 0
                assert driver.pin_status(2).attempts_left == 5
                try:
                    driver.authenticate(1, NEW_PIN)
                except PinBlocked:
                    assert not finished


def test_an_admin_key_change_that_is_cut_leaves_the_old_key_or_the_new():
    for done in (False, True):
        table = desk()
        table.channel = Channel(Pulled(table.card, 10_000, done=done))
        with table.driver() as driver:
            driver.authenticate_admin(ADMIN_KEY)
            table.channel.transport.at, table.channel.transport.count = 0, 0
            with pytest.raises(CardRemoved):
                driver.change_admin_key(NEW_ADMIN_KEY)
        table.reinsert()
        with table.driver() as driver:
            driver.authenticate_admin(NEW_ADMIN_KEY if done else ADMIN_KEY)
