"""A PIV card pulled out at every instant of every change: nothing that was there is lost, and no certificate is ever
beside another key; what is left over has a name, and the next run or ``repair`` puts it in order.
"""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from pivdesk import GUID, Dice, certificate, der, p256
from yank import Host, World, attempt, cuts

from calais.apps.certificates import load_public_key
from calais.cards.base import BytesMemory
from calais.cards.piv import spec
from calais.cards.piv.driver import PivMinidriver
from calais.cards.piv.personalise import new_card, virtual_card
from calais.minidriver.orphans import OrphanKind
from calais.minidriver.padding import Raw
from calais.minidriver.pins import Pin
from calais.win.errors import NotFound, PinBlocked, WinError, WrongPin
from calais.win.structs import ContainerMapRecord

PIN, PUK, NEW = Pin("123456"), Pin("12345678"), Pin("654321")
KEY, NEW_KEY = spec.DEFAULT_MANAGEMENT_KEY, bytes(range(100, 124))
DATA = b"what is to be signed"
EMPTY, RETIRED, LAST = 5, 4, 23  # container indices: 83 without key, 82 with one, 95
TOTAL = {}

KEYS = {ref: p256() for ref in (0x9A, 0x9C, 0x9D, 0x9E)}
CERTIFICATES = {ref: certificate(key, f"{ref:02X}", size=700) for ref, key in KEYS.items()}
OURS = p256()
OURS_DER = der(certificate(OURS, "imported", size=900))
AGAIN_9A = der(certificate(KEYS[0x9A], "9A again", serial=77, size=1500))


def a_world(policy):
    memory, dice = BytesMemory(), Dice()
    new_card(
        memory,
        dice,
        chuid_guid=GUID,
        extended=False,
        keys={ref: (key, CERTIFICATES[ref]) for ref, key in KEYS.items()},
    )

    def open_all(driver):
        driver.authenticate_admin(KEY)
        driver.authenticate(1, PIN)

    world = World(
        memory.read(),
        lambda memory: virtual_card(memory, Dice()),
        lambda tx, memo: PivMinidriver(tx, memo, policy),
        open_all,
        Dice(b"host"),
    )
    host = world.host()
    host.run(lambda driver: with_retired(driver, policy))
    return world, host


def with_retired(driver, policy):
    """A retired key with its certificate in 82; names in the kept map; trusted roots."""
    public = driver.create_container(RETIRED, 3)
    driver.write_certificate(RETIRED, der(certificate_of(public)))
    if policy:
        records = [ContainerMapRecord(f"name {index}", 1, 0, 256) for index in range(3)]
        driver.write_file("mscp", "cmapfile", ContainerMapRecord.build_file([records[0]]))
    driver.create_file("mscp", "msroots", 0, 1)
    driver.write_file("mscp", "msroots", b"\1\2" * 2000)


def certificate_of(public):
    class Half:
        """What ``certificate`` wants of a key."""

        @staticmethod
        def public_key():
            return public

    return certificate(Half, "made here", serial=4711)


def worlds():
    made = []
    for policy in ({}, {"piv.container_map": "always"}):
        world, host = a_world(policy)
        world.records = host.memory.read()
        made.append(world)
    return made


WORLDS = dict(zip(("plain", "with names kept"), worlds(), strict=True))


# --- what is on the card ---------------------------------------------------------------------------------------------


def proves(public, raw):
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

    half = len(raw) // 2
    pair = (int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    try:
        public.verify(encode_dss_signature(*pair), DIGEST, ec.ECDSA(Prehashed(SHA256())))
    except InvalidSignature:
        return False
    return True


DIGEST = bytes(range(32))


def image(driver, pin=PIN):
    """Containers with their certificates, and whether the key on the card is the certificate's."""
    found = {}
    for entry in driver.containers(probe_keys=True):
        held = driver.certificate(entry.index) if entry.has_certificate else None
        if entry.pin_id:
            driver.authenticate(entry.pin_id, pin)
        error = None
        try:
            raw = driver.sign(entry.index, entry.key_spec, DIGEST, Raw())
        except NotFound as failure:
            error = failure
        matches = held is None or (error is None and proves(load_public_key(held), raw))
        found[entry.index] = (entry.name, held, matches)
    return found


def seen(driver):
    """What a program that only looks sees."""
    listed = driver.enum_files("mscp")
    return (
        [(entry.index, entry.name, driver.certificate(entry.index)) for entry in driver.containers()],
        {name: driver.read_file("mscp", name) for name in listed},
    )


# --- changes ---------------------------------------------------------------------------------------------------------


def generate_new(driver):
    driver.create_container(EMPTY, 3)


def generate_over(driver):
    driver.create_container(0, 3)


def import_new(driver):
    driver.create_container(EMPTY, 3, key=OURS)


def import_over(driver):
    driver.create_container(0, 3, key=OURS)


def import_same(driver):
    driver.create_container(0, 3, key=KEYS[0x9A])


def enrol(driver):
    """Key and certificate, as a program does it."""
    driver.create_container(EMPTY, 3, key=OURS)
    driver.write_certificate(EMPTY, OURS_DER)


def enrol_over(driver):
    driver.create_container(0, 3, key=OURS)
    driver.write_certificate(0, OURS_DER)


def enrol_last(driver):
    driver.create_container(LAST, 3, key=OURS)
    driver.write_certificate(LAST, OURS_DER, compress=True)


def renew_certificate(driver):
    driver.write_certificate(0, AGAIN_9A)


def certificate_as_file(driver):
    driver.write_file("mscp", "kxc00", AGAIN_9A)


def delete_certificate(driver):
    driver.delete_certificate(0)


def delete_key(driver):
    driver.delete_container(RETIRED)


def erase(driver):
    driver.erase(RETIRED, key=True, certificate=True)


def write_roots(driver):
    driver.write_file("mscp", "msroots", b"\3\4\5" * 2500)


def short_roots(driver):
    driver.write_file("mscp", "msroots", b"\6" * 100)


def delete_roots(driver):
    driver.delete_file("mscp", "msroots")


def repair(driver):
    driver.repair(remove=True)


CHANGES = {
    generate_new: {EMPTY},
    generate_over: {0},
    import_new: {EMPTY},
    import_over: {0},
    import_same: set(),
    enrol: {EMPTY},
    enrol_over: {0},
    enrol_last: {LAST},
    renew_certificate: {0},
    certificate_as_file: {0},
    delete_certificate: {0},
    delete_key: {RETIRED},
    erase: {RETIRED},
    write_roots: set(),
    short_roots: set(),
    delete_roots: set(),
}
IDS = [f"{change.__name__}-{name}" for change in CHANGES for name in WORLDS]
# Deleting the key alone leaves its certificate, as the interface has it; that is not the state of a cut.
LEFT_BY_CONTRACT = {delete_key: {OrphanKind.CERTIFICATE_WITHOUT_KEY}}


@pytest.mark.parametrize(("change", "name"), [(change, name) for change in CHANGES for name in WORLDS], ids=IDS)
def test_a_cut_loses_nothing_and_is_put_in_order(change, name):
    world, touched = WORLDS[name], CHANGES[change]
    watcher = world.host()
    before = watcher.run(image)
    watcher.run(seen, rights=False)
    points = 0
    for cut in cuts(world, change):
        points += not cut.finished
        host = cut.host.reinserted()
        truth = Host(world, BytesMemory(host.memory.read())).run(seen, rights=False)
        assert host.run(seen, rights=False) == truth, f"{cut.where}: the host that was cut sees what is there"
        after = host.run(image)
        check_untouched(before, after, touched, cut.where)
        check_matches(host, after, LEFT_BY_CONTRACT.get(change, set()), cut.where)
        check_names(before, after, cut.where)
        check_roots(truth, cut.where)
        put_in_order(world, host, change, before, touched, cut.where)
    TOTAL[change.__name__, name] = points
    assert points


def check_untouched(before, after, touched, where):
    for index, found in before.items():
        if index not in touched:
            assert after[index] == found, f"{where}: container {index} is as it was"


def check_matches(host, after, allowed, where):
    """No certificate is beside another key, unless an orphan says so and it is the change's own end."""
    wrong = {index for index, (_, _, matches) in after.items() if not matches}
    named = {orphan.index for orphan in host.run(lambda driver: driver.orphans()) if orphan.kind in allowed}
    assert wrong <= named, f"{where}: every certificate is its key's"


def check_names(before, after, where):
    for index, (called, *_) in before.items():
        if index in after:
            assert after[index][0] == called, f"{where}: container {index} keeps its name"


def check_roots(truth, where):
    roots = truth[1].get("msroots")
    assert roots in (None, b"\1\2" * 2000, b"\3\4\5" * 2500, b"\6" * 100), f"{where}: roots whole, or none"


def put_in_order(world, host, change, before, touched, where):
    """``repair`` names what it finds and leaves what waits for a person; then the change can be done again."""
    named = host.run(lambda driver: driver.repair())
    left = host.run(lambda driver: driver.orphans())
    assert all(not orphan.repaired_by for orphan in left), f"{where}: {left}"
    assert {orphan.kind for orphan in left} <= {OrphanKind.KEY_WITHOUT_CERTIFICATE}
    assert all(orphan.detail and orphan.where for orphan in named)
    mended = host.run(image)
    check_untouched(before, mended, touched, where)
    assert all(matches for _, _, matches in mended.values()), f"{where}: mended"
    host.run(lambda driver: attempt(lambda: change(driver)))
    check_untouched(before, host.run(image), touched, where)
    host.run(lambda driver: driver.repair(remove=True))
    assert host.run(lambda driver: driver.orphans()) == [], f"{where}: nothing is left over"


def test_a_repair_that_is_cut_can_be_done_again():
    world = WORLDS["plain"]
    broken = world.host()

    def spoil(driver):
        driver.create_container(EMPTY, 3)  # a key without certificate
        driver.view.write(spec.SLOTS[LAST].certificate, certificate_object(OURS_DER))  # a certificate without key
        driver.view.write(spec.SLOTS[0].certificate, certificate_object(OURS_DER))  # a certificate of another key

    broken.run(spoil)
    spoilt = World(broken.memory.read(), world.power_up, world.drive, world.open, world.random)
    kinds = {orphan.kind for orphan in spoilt.host().run(lambda driver: driver.orphans())}
    assert kinds == {
        OrphanKind.KEY_WITHOUT_CERTIFICATE,
        OrphanKind.CERTIFICATE_WITHOUT_KEY,
        OrphanKind.CERTIFICATE_OF_ANOTHER_KEY,
        OrphanKind.CERTIFICATE_NOT_LISTED,
    }
    before = {index: found for index, found in spoilt.host().run(image).items() if index not in (0, EMPTY, LAST)}
    points = 0
    for cut in cuts(spoilt, repair):
        points += not cut.finished
        host = cut.host.reinserted()
        host.run(lambda driver: driver.repair(remove=True))
        # Taking a certificate away leaves its key to wait for another one; a second look removes that one, too.
        host.run(lambda driver: driver.repair(remove=True))
        assert host.run(lambda driver: driver.orphans()) == []
        check_untouched(before, host.run(image), set(), cut.where)
    TOTAL["repair", "plain"] = points


def certificate_object(content):
    from calais.cards.piv.objects import build_certificate

    return build_certificate(content, compress=False)


# --- PINs and the management key -------------------------------------------------------------------------------------


def opens(driver, pin):
    try:
        driver.authenticate(1, pin)
    except (WrongPin, PinBlocked):
        return False
    return True


def block(driver):
    for _ in range(3):
        attempt(lambda: driver.authenticate(1, Pin("000000")))


PIN_CHANGES = {
    "change PIN": (lambda driver: driver.change_pin(1, PIN, NEW), lambda driver: None),
    "unblock": (lambda driver: driver.unblock_pin(1, 3, PUK, NEW), block),
    "unblock what is not blocked": (lambda driver: driver.unblock_pin(1, 3, PUK, NEW), lambda driver: None),
}


@pytest.mark.parametrize("name", PIN_CHANGES)
def test_the_old_pin_works_or_the_new_and_no_try_is_lost(name):
    change, prepare = PIN_CHANGES[name]
    blocked = prepare is not PIN_CHANGES["change PIN"][1] and "not" not in name
    world = WORLDS["plain"]
    points = 0
    for cut in cuts(world, change, prepare=prepare):
        points += not cut.finished
        host = cut.host.reinserted()
        left = host.run(lambda driver: driver.pin_status(1).attempts_left, rights=False)
        puk_left = host.run(lambda driver: driver.pin_status(3).attempts_left, rights=False)
        assert puk_left >= 2, f"{cut.where}: a try is counted before it is compared, so one may be lost, never two"
        if blocked and left == 0:
            assert not cut.finished
            host.run(change, rights=False)
            assert host.run(lambda driver: opens(driver, NEW), rights=False)
            continue
        assert left >= 2, f"{cut.where}: at most one try is lost"
        assert host.run(lambda driver: opens(driver, NEW), rights=False) or host.run(
            lambda driver: opens(driver, PIN), rights=False
        ), cut.where
    TOTAL[name, "plain"] = points
    assert points


def test_the_old_puk_works_or_the_new():
    points = 0
    for cut in cuts(WORLDS["plain"], lambda driver: driver.change_pin(3, PUK, Pin("87654321"))):
        points += not cut.finished
        host = cut.host.reinserted()
        assert host.run(lambda driver: driver.pin_status(3).attempts_left, rights=False) >= 2
        errors = [
            host.run(lambda driver, puk=puk: attempt(lambda: driver.unblock_pin(1, 3, puk, PIN)), rights=False)
            for puk in (PUK, Pin("87654321"))
        ]
        assert errors.count(None) == 1, cut.where
    TOTAL["change PUK", "plain"] = points
    assert points


def test_the_old_management_key_works_or_the_new():
    points = 0
    for cut in cuts(WORLDS["plain"], lambda driver: driver.change_admin_key(NEW_KEY)):
        points += not cut.finished
        host = cut.host.reinserted()
        errors = [
            host.run(lambda driver, key=key: attempt(lambda: driver.authenticate_admin(key)), rights=False)
            for key in (KEY, NEW_KEY)
        ]
        assert errors.count(None) == 1, cut.where
        assert isinstance(next(error for error in errors if error), WrongPin)
    TOTAL["change management key", "plain"] = points
    assert points


# --- refusals put things back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "refused"), [(generate_over, 0x47), (import_over, 0xFE), (erase, 0xF6)])
def test_a_card_that_refuses_leaves_key_and_certificate_together(change, refused):
    world = WORLDS["plain"]

    def power_up(memory):
        card = world.power_up(memory)
        process = card.process
        card.process = lambda apdu: b"\x6d\x00" if apdu[1] == refused else process(apdu)
        return card

    host = World(world.records, power_up, world.drive, world.open, world.random).host()
    before = host.run(image)
    with pytest.raises(WinError):
        host.run(change)
    assert host.run(image) == before
    assert host.run(lambda driver: driver.orphans()) == []


def test_the_cut_points_are_counted(capsys):
    total = sum(TOTAL.values())
    with capsys.disabled():
        print(f"\nPIV: {total} cut points in {len(TOTAL)} changes")
