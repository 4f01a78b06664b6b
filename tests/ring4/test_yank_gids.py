"""A GIDS card pulled out at every instant of every change, inside its commits too: nothing that was there is lost,
``cardcf`` never lags behind a change, and what is left over has a name and is put in order.
"""

from __future__ import annotations

import pytest
from gidsdesk import ADMIN_KEY, CARD_ID, NAMES, PIN, Dice, certificate, der, p256
from yank import Host, World, attempt, cuts

from calais.apps.certificates import load_public_key
from calais.cards.base import BytesMemory
from calais.cards.gids import adminkey
from calais.cards.gids.bookkeeping import NewContainer
from calais.cards.gids.driver import GidsMinidriver
from calais.cards.gids.personalise import new_gids_card, virtual_card
from calais.minidriver.containers import build_cmapfile, parse_cmapfile
from calais.minidriver.orphans import OrphanKind
from calais.minidriver.pins import Pin
from calais.win.errors import PinBlocked, WinError, WrongPin
from calais.win.structs import ContainerMapRecord

NEW_PIN, NEW_ADMIN_KEY = Pin("654321"), bytes(range(50, 74))
KEYS = [p256() for _ in NAMES]
SPECS = (6, 3, 6, 6)
OURS = p256()
RENEWED = der(certificate(KEYS[0], "renewed", serial=99, size=1500))
OURS_DER = der(certificate(OURS, "ours", size=800))
FREE = len(NAMES)  # the first free container index
TOTAL = {}


def a_world():
    memory = BytesMemory()
    keys = [
        (name, key_spec, key, certificate(key, f"holder {name}", size=700) if name != NAMES[3] else None)
        for name, key_spec, key in zip(NAMES, SPECS, KEYS, strict=True)
    ]
    new_gids_card(memory, Dice(), keys=keys, card_id=CARD_ID, admin_key=ADMIN_KEY, extended=False)

    def open_all(driver):
        driver.authenticate_admin(ADMIN_KEY)
        driver.authenticate(1, PIN)

    return World(
        memory.read(),
        lambda memory: virtual_card(memory, Dice()),
        GidsMinidriver,
        open_all,
        Dice(b"host"),
    )


WORLD = a_world()


# --- what is on the card ---------------------------------------------------------------------------------------------


def image(driver):
    """Containers: name, certificate, key, and whether the two belong together."""
    found = {}
    for entry in driver.containers():
        held, error = driver.certificate(entry.index), None
        try:
            key = driver.public_key(entry.index)
        except WinError as failure:
            key, error = None, failure
        matches = held is None or (error is None and load_public_key(held) == key)
        found[entry.index] = (entry.name, held, key, matches)
    return found


def seen(driver):
    """Everything that a program can remember, without ``cardcf``."""
    listed = driver.enum_files("mscp")
    return (
        {name: driver.read_file("mscp", name) for name in listed},
        driver.enum_files(None),
        [(entry.index, entry.name, entry.is_default) for entry in driver.containers()],
        [attempt_key(driver, index) for index in range(FREE + 2)],
    )


def attempt_key(driver, index):
    try:
        return driver.public_key(index)
    except WinError:
        return None


def cardcf(driver):
    return driver.read_file(None, "cardcf")


# --- changes ---------------------------------------------------------------------------------------------------------


def add_generated(driver):
    driver.add_container(NewContainer(key_spec=6, name="New"))


def add_imported(driver):
    driver.add_container(NewContainer(key_spec=3, key=OURS, name="New"))


def enrol(driver):
    index, _ = driver.add_container(NewContainer(key_spec=6, key=OURS, name="New"))
    driver.write_certificate(index, OURS_DER)


def replace_same_kind(driver):
    driver.add_container(NewContainer(key_spec=6, index=2))


def replace_other_kind(driver):
    driver.add_container(NewContainer(key_spec=7, index=2))


def remove_container(driver):
    driver.remove_container(0)


def renew_certificate(driver):
    driver.write_certificate(0, RENEWED)


def first_certificate(driver):
    driver.write_certificate(3, der(certificate(KEYS[3], "first", size=900)))


def delete_certificate(driver):
    driver.delete_certificate(0)


def set_default(driver):
    driver.set_default(2)


def write_file(driver):
    driver.move_counters(files=True)
    driver.create_file("mscp", "msroots", 0, 1)
    driver.write_file("mscp", "msroots", bytes(range(200)) * 4)


def delete_file(driver):
    driver.move_counters(files=True)
    driver.delete_file("mscp", "ksc01")


def directory(driver):
    driver.move_counters(files=True)
    driver.create_directory("other", 1)
    driver.create_file("other", "data", 0, 1)
    driver.write_file("other", "data", b"data")


def rename_card(driver):
    driver.set_property("Card Identifier", bytes(range(16)))


def as_the_base_csp(driver):
    """A new container by the interface's functions alone, as Windows does it."""
    driver.move_counters(containers=True, files=True)
    driver.create_container(FREE, 3, key=OURS)
    records = parse_cmapfile(driver.read_file("mscp", "cmapfile"))
    driver.write_file("mscp", "cmapfile", build_cmapfile([*records, ContainerMapRecord("By Windows", 1, 256, 0)]))


def delete_as_the_base_csp(driver):
    driver.move_counters(containers=True, files=True)
    driver.delete_container(3)
    records = parse_cmapfile(driver.read_file("mscp", "cmapfile"))
    driver.write_file("mscp", "cmapfile", ContainerMapRecord.build_file([*records[:3], ContainerMapRecord()]))


CHANGES = {
    add_generated: {FREE},
    add_imported: {FREE},
    enrol: {FREE},
    replace_same_kind: {2},
    replace_other_kind: {2},
    remove_container: {0},
    renew_certificate: {0},
    first_certificate: {3},
    delete_certificate: {0},
    set_default: set(),
    write_file: set(),
    delete_file: {1},
    directory: set(),
    rename_card: set(),
    as_the_base_csp: {FREE},
    delete_as_the_base_csp: {3},
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_cut_loses_nothing_and_cardcf_tells_of_it(change):
    touched = CHANGES[change]
    watcher = WORLD.host()
    before, contents, counters = (watcher.run(look, rights=False) for look in (image, seen, cardcf))
    points = 0
    for cut in cuts(WORLD, change):
        points += not cut.finished
        host, where = cut.host.reinserted(), cut.where
        fresh = Host(WORLD, BytesMemory(host.memory.read()))
        truth = fresh.run(seen, rights=False)
        assert truth == contents or fresh.run(cardcf, rights=False) != counters, f"{where}: cardcf lags behind"
        assert host.run(seen, rights=False) == truth, f"{where}: the host that was cut sees what is there"
        assert watched(host) == truth, f"{where}: an old host sees what is there"
        check(before, host.run(image), touched, where)
        put_in_order(host, change, before, touched, where)
    TOTAL[change.__name__] = points
    assert points


def watched(host):
    """What a program sees that looked at the card before the change, and remembers it."""
    watcher = WORLD.host()
    watcher.run(seen, rights=False)
    return watcher.reinserted(host.memory).run(seen, rights=False)


def check(before, after, touched, where):
    for index, found in before.items():
        if index not in touched:
            assert after[index] == found, f"{where}: container {index} is as it was"
    assert all(matches for *_, matches in after.values()), f"{where}: every certificate is its key's"


def put_in_order(host, change, before, touched, where):
    named = host.run(lambda driver: driver.repair(remove=True))
    assert all(orphan.detail for orphan in named)
    assert host.run(lambda driver: driver.orphans()) == [], f"{where}: repaired"
    check(before, host.run(image), touched, where)
    host.run(lambda driver: attempt(lambda: change(driver)))
    host.run(lambda driver: driver.repair(remove=True))
    after = host.run(image)
    check(before, after, touched, where)
    assert host.run(lambda driver: driver.orphans()) == []
    assert sum(entry.is_default for entry in host.run(lambda driver: driver.containers())) == 1, where


def test_a_repair_that_is_cut_can_be_done_again():
    broken = WORLD.host()

    def spoil(driver):
        driver.move_counters(containers=True, files=True)
        driver.create_container(FREE, 3)  # a key that no container names
        driver.delete_container(3)  # a container without key
        driver.write_certificate(0, OURS_DER)  # a certificate of another key

    broken.run(spoil)
    spoilt = World(broken.memory.read(), WORLD.power_up, WORLD.drive, WORLD.open, WORLD.random)
    assert {orphan.kind for orphan in spoilt.host().run(lambda driver: driver.orphans())} == {
        OrphanKind.KEY_WITHOUT_CONTAINER,
        OrphanKind.CONTAINER_WITHOUT_KEY,
        OrphanKind.CERTIFICATE_OF_ANOTHER_KEY,
        OrphanKind.RECORDS_DIFFER,
    }
    before = {index: found for index, found in spoilt.host().run(image).items() if index in (1, 2)}
    points = 0
    for cut in cuts(spoilt, lambda driver: driver.repair(remove=True)):
        points += not cut.finished
        host = cut.host.reinserted()
        host.run(lambda driver: driver.repair(remove=True))
        assert host.run(lambda driver: driver.orphans()) == [], cut.where
        check(before, host.run(image), set(), cut.where)
    TOTAL["repair"] = points


# --- PINs and the administrator's key --------------------------------------------------------------------------------


def opens(driver, pin):
    try:
        driver.authenticate(1, pin)
    except (WrongPin, PinBlocked):
        return False
    return True


def block(driver):
    for _ in range(3):
        attempt(lambda: driver.authenticate(1, Pin("999999")))


def unblock(driver):
    driver.unblock_pin(1, 2, Pin(adminkey.response(ADMIN_KEY, driver.challenge())), NEW_PIN)


def change_pin(driver):
    driver.change_pin(1, PIN, NEW_PIN)


def reset_pin(driver):
    driver.reset_pin(ADMIN_KEY, NEW_PIN)


@pytest.mark.parametrize(
    ("change", "prepare"), [(change_pin, None), (unblock, block), (unblock, None), (reset_pin, block)]
)
def test_the_old_pin_works_or_the_new_and_no_try_is_lost(change, prepare):
    points = 0
    for cut in cuts(WORLD, change, prepare=prepare or (lambda driver: None)):
        points += not cut.finished
        host = cut.host.reinserted()
        status = host.run(lambda driver: driver.pin_status(1), rights=False)
        assert host.run(lambda driver: driver.pin_status(2).attempts_left, rights=False) >= 4, cut.where
        assert host.run(lambda driver: driver.authenticated(), rights=False) == 0
        if status.blocked:
            assert prepare
            assert not cut.finished
            host.run(unblock, rights=False)
            assert host.run(lambda driver: opens(driver, NEW_PIN), rights=False)
            continue
        assert status.attempts_left >= 2, f"{cut.where}: at most one try is lost"
        assert any(host.run(lambda driver, pin=pin: opens(driver, pin), rights=False) for pin in (NEW_PIN, PIN))
    TOTAL[change.__name__, bool(prepare)] = points
    assert points


def test_the_old_administrators_key_works_or_the_new():
    points = 0
    for cut in cuts(WORLD, lambda driver: driver.change_admin_key(NEW_ADMIN_KEY)):
        points += not cut.finished
        host = cut.host.reinserted()
        errors = [
            host.run(lambda driver, key=key: attempt(lambda: driver.authenticate_admin(key)), rights=False)
            for key in (ADMIN_KEY, NEW_ADMIN_KEY)
        ]
        assert errors.count(None) == 1, cut.where
    TOTAL["change administrator's key"] = points
    assert points


def test_the_cut_points_are_counted(capsys):
    with capsys.disabled():
        print(f"\nGIDS: {sum(TOTAL.values())} cut points in {len(TOTAL)} changes")
