"""Never stale: whoever writes to a GIDS card and moves its counters, the next read of it is true."""

from __future__ import annotations

import pytest
from gidsdesk import NAMES, Desk, certificate, der, four_keys, new_desk, p256, user
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from calais.cards.base import BytesMemory, PowerLoss
from calais.cards.gids import spec
from calais.cards.gids.bookkeeping import NewContainer
from calais.cards.gids.keeping import OBJECTS
from calais.minidriver.files import compress_certificate
from calais.win.errors import CardRemoved, NotFound


@pytest.fixture
def desk():
    return new_desk(keys=four_keys())


def known(desk):
    """List, read all, so that everything is remembered."""
    with desk.driver() as driver:
        for entry in driver.containers():
            driver.certificate(entry.index)
            driver.public_key(entry.index)
    assert desk.exchanges
    return desk


def image(driver):
    return [
        (entry.index, entry.name, entry.is_default, driver.certificate(entry.index), driver.public_key(entry.index))
        for entry in driver.containers()
    ]


def true_image(desk):
    with Desk(desk.card).driver() as driver:
        return image(driver)


def test_another_programs_certificate_is_seen(desk):
    known(desk)
    new = der(certificate(p256(), "renewed"))
    with user(desk.elsewhere()) as other:
        other.write_certificate(2, new)
    expected = true_image(desk)
    with desk.driver() as driver:
        assert driver.certificate(2) == new
        assert image(driver) == expected


def offline(desk, index, new, name=None):
    """Another program writes a certificate file and moves no counter."""
    with user(desk.elsewhere()) as other:
        name = name or f"kxc{index:02x}"
        other.create_file("mscp", name, 0, 1)
        other.write_file("mscp", name, compress_certificate(new))


@pytest.fixture
def waiting():
    """A card with two keys whose certificates are to come."""
    keys = [(name, 6, key, None) for name, _, key, _ in four_keys()[:2]]
    return known(new_desk(keys=keys))


def test_a_certificate_that_arrives_without_a_counter_is_in_the_next_list(waiting):
    new = der(certificate(p256(), "offline"))
    offline(waiting, 1, new)
    with waiting.driver() as driver:
        assert [entry.has_certificate for entry in driver.containers()] == [False, True]
        assert driver.certificate(1) == new
        assert not driver.counters_trusted


def test_a_reader_that_believes_counters_alone_does_not_see_it():
    desk = known(new_desk(keys=[("One", 6, p256(), None)], policy={"gids.proof": "counters"}))
    offline(desk, 0, der(certificate(p256(), "offline")))
    with desk.driver() as driver:
        assert not driver.containers()[0].has_certificate


def test_a_container_that_arrives_without_a_counter_is_seen_once_the_list_itself_is_looked_at(desk):
    known(desk)
    with desk.driver() as driver:
        before = driver.read_file(None, "cardcf")
    with user(desk.elsewhere()) as other:
        other.add_container(NewContainer(key_spec=6, name="Fifth"))
        other.write_file(None, "cardcf", before)
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
        driver.confirm_list()
        assert len(driver.containers()) == 5


def test_another_programs_container_is_seen_and_only_what_changed_is_read_again(desk):
    known(desk)
    with user(desk.elsewhere()) as other:
        other.write_certificate(0, der(certificate(p256(), "renewed")))
    with desk.driver() as driver:
        desk.channel.counter.clear()
        keys = [driver.public_key(index) for index in range(4)]
        assert len(keys) == 4
        # SELECT, cardid, cardcf; container map and key map, which every file change makes doubtful, and master file
        assert desk.exchanges == 3 + 3
        driver.certificate(0)
        assert desk.exchanges == 1


def test_containers_made_and_removed_by_another_program_are_seen(desk):
    known(desk)
    other = desk.elsewhere()
    with user(other) as elsewhere:
        elsewhere.add_container(NewContainer(key_spec=3, name="New"))
        elsewhere.remove_container(1)
    expected = true_image(desk)
    with desk.driver() as driver:
        assert [entry.name for entry in driver.containers()] == [NAMES[0], NAMES[2], NAMES[3], "New"]
        with pytest.raises(NotFound):
            driver.public_key(1)
        assert image(driver) == expected


def test_a_key_of_the_same_container_replaced_elsewhere_is_seen(desk):
    known(desk)
    with user(desk.elsewhere()) as other:
        _, public = other.add_container(NewContainer(key_spec=6, index=0))
    with user(desk) as driver:
        assert driver.public_key(0) == public


def test_another_card_in_the_reader_is_another_card(desk):
    known(desk)
    other = new_desk(card_id=bytes(16), keys=four_keys())
    desk.channel.close()
    desk.card = other.card
    desk.connect()
    expected = true_image(other)
    with desk.driver() as driver:
        assert driver.identity().card_id == bytes(16)
        assert image(driver) == expected


def test_a_card_without_counters_is_read_again_each_time(desk):
    with user(desk) as driver:
        driver.view.objects.clear()
        desk.card.process(bytes.fromhex("00DBA01003DF2200"))
    known(desk)
    desk.reinsert()
    with desk.driver() as driver:
        assert len(driver.containers()) == 4
    assert desk.exchanges == 5 + 0
    with user(desk.elsewhere()) as other:
        other.view.write((spec.CONTAINER_MAP), b"\0" * 86)
    with desk.driver() as driver:
        assert driver.containers() == []


def test_what_only_the_user_may_read_is_not_remembered(desk):
    with user(desk) as driver:
        driver.create_file("mscp", "private", 0, 5)
        driver.write_file("mscp", "private", b"secret")
        assert driver.read_file("mscp", "private") == b"secret"
    assert all(b"secret" not in (kept.content or b"") for kept in desk.memo.facts[OBJECTS].values())


def test_a_write_that_was_cut_off_is_not_remembered_as_done():
    memory = BytesMemory()
    desk = known(new_desk(keys=four_keys(), memory=memory))
    before = true_image(desk)

    def fail(_instant):
        raise PowerLoss(detail="pulled")

    with user(desk) as driver:
        driver.move_counters(files=True)
        memory.cut = fail
        with pytest.raises(CardRemoved):
            driver.write_certificate(0, der(certificate(p256(), "cut")))
    memory.cut = None
    desk.reinsert()
    with desk.driver() as driver:
        assert image(driver) == before


class NeverStale(RuleBasedStateMachine):
    """Two programs and a hand that takes the card out; what either shows is what is on the card."""

    keys = tuple(p256() for _ in range(3))

    @initialize()
    def start(self):
        self.one = new_desk()
        self.two = self.one.elsewhere()

    def desk(self, second):
        return self.two if second else self.one

    @rule(second=st.booleans(), key=st.sampled_from(keys), key_spec=st.sampled_from([3, 6]))
    def add(self, second, key, key_spec):
        with user(self.desk(second)) as driver:
            if len(driver.containers()) < 4:
                driver.add_container(NewContainer(key_spec=key_spec, key=key))

    @rule(second=st.booleans(), at=st.integers(0, 3))
    def remove(self, second, at):
        with user(self.desk(second)) as driver:
            entries = driver.containers()
            if at < len(entries):
                driver.remove_container(entries[at].index)

    @rule(second=st.booleans(), at=st.integers(0, 3), key=st.sampled_from(keys), name=st.sampled_from("abc"))
    def certify(self, second, at, key, name):
        with user(self.desk(second)) as driver:
            entries = driver.containers()
            if at < len(entries):
                driver.write_certificate(entries[at].index, der(certificate(key, name, serial=1)))

    @rule(second=st.booleans(), at=st.integers(0, 3))
    def uncertify(self, second, at):
        with user(self.desk(second)) as driver:
            entries = driver.containers()
            if at < len(entries):
                driver.delete_certificate(entries[at].index)

    @rule(second=st.booleans(), name=st.sampled_from(["msroots", "x"]), data=st.binary(min_size=1, max_size=20))
    def write(self, second, name, data):
        with user(self.desk(second)) as driver:
            driver.move_counters(files=True)
            if name not in driver.enum_files("mscp"):
                driver.create_file("mscp", name, 0, 1)
            driver.write_file("mscp", name, data)

    @rule()
    def reinsert(self):
        self.one.reinsert()
        self.two.channel.close()
        self.two.connect()

    @rule()
    def reset(self):
        self.one.card.reset()

    @precondition(lambda self: hasattr(self, "one"))
    @invariant()
    def both_show_what_is_on_the_card(self):
        expected = true_image(self.one)
        for desk in (self.one, self.two):
            with desk.driver() as driver:
                assert image(driver) == expected
                assert driver.orphans() == [o for o in driver.orphans() if o.kind.name == "CERTIFICATE_OF_ANOTHER_KEY"]
                driver.pin_status(1)


NeverStale.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestNeverStale = NeverStale.TestCase
