from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from people import PIN, SHA256, card

import calais
from calais.resource.monitor import Change, Event, changes, watch
from calais.resource.places import Places
from calais.resource.slots import ReaderStatus
from calais.system import System, current, open_card
from calais.testing import FakeClock, FixedPrompt, local_system, virtual_piv
from calais.transport.base import Exchange
from calais.win.codes import Code
from calais.win.errors import BadParameter, CardRemoved, NoCard, NotFound, ReaderUnavailable, WinError


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, calais; print([m for m in sys.modules if m.split('.')[0] in {names}])"
    names = {"cryptography", "sqlalchemy", "rich", "click", "asn1crypto"}
    done = subprocess.run([sys.executable, "-c", code.format(names=names)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_public_names_are_there():
    for name in calais.__all__:
        assert getattr(calais, name) is not None
    assert set(calais.__all__) <= {*dir(calais), "__version__"}
    with pytest.raises(AttributeError):
        _ = calais.Nonsense


def test_inside_with_a_system_is_the_current_one():
    with local_system() as one:
        assert current() is one
        with local_system() as two:
            assert current() is two
            two.insert(card(0x9A))
            assert open_card().reader == "Virtual Reader 0"
        assert current() is one


def test_each_thread_has_its_own_current_system(monkeypatch, tmp_path):
    seen = []
    with local_system() as one:
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
    assert seen[0] is not one
    seen[0].close()


def test_a_machine_without_pcsc_says_so_and_goes_on(tmp_path):
    with System.local(tmp_path) as system:
        assert system.readers() == []
        assert any("SCARD_E_NO_SERVICE" in note for note in system.notes)


def test_a_system_keeps_everything_under_its_home(tmp_path):
    with System.local(tmp_path / "home", prompt=FixedPrompt(PIN)) as system:
        system.insert(card(0x9A))
        system.propagate()
    assert (tmp_path / "home" / "store.db").exists()
    with System.local(tmp_path / "home") as system, system.store() as store:
        assert len(store) == 1


def test_a_system_whose_store_cannot_be_opened_does_everything_else(tmp_path):
    (tmp_path / "store.db").mkdir()
    with System.local(tmp_path) as system:
        system.insert(card(0x9A), reader="Desk")
        assert system.card("Desk").containers
        with pytest.raises(WinError):
            system.store()
        with pytest.raises(WinError):
            system.settings.get("card", "x")


def test_a_system_keeps_settings_between_runs(tmp_path):
    with System.local(tmp_path) as system:
        system.settings.put("card", "mine", b"{}")
    with System.local(tmp_path) as system:
        assert system.settings.items("card") == {"mine": b"{}"}


def test_a_policy_file_is_read_and_a_wrong_one_named(tmp_path):
    (tmp_path / "policy.toml").write_text("TransactionTimeoutMilliseconds = 7\n")
    with System.local(tmp_path) as system:
        assert system.policy.transaction_timeout_ms == 7
    (tmp_path / "policy.toml").write_text("TransactionTimeoutMilliseconds = 'soon'\n")
    with pytest.raises(BadParameter, match=r"policy\.toml"):
        System.local(tmp_path)


def test_places_follow_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CALAIS_HOME", str(tmp_path))
    assert Places.of().virtual == tmp_path / "virtual"
    assert Places.of().store is None
    assert Places.of(tmp_path / "own").store == tmp_path / "own" / "store.db"
    monkeypatch.delenv("CALAIS_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert Places.of().virtual == tmp_path / "data" / "calais" / "virtual"
    assert Places.of().policies[-1] == tmp_path / "config" / "calais" / "policy.toml"


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


def test_readers_are_plugged_filled_emptied_and_unplugged(system):
    assert system.readers() == []
    system.plug("Desk")
    assert [(status.name, status.present) for status in system.readers()] == [("Desk", False)]
    system.insert(card(0x9A), reader="Desk")
    assert system.readers()[0].present
    system.remove("Desk")
    assert not system.readers()[0].present
    system.unplug("Desk")
    assert system.readers() == []
    for act in (system.remove, system.unplug):
        with pytest.raises(ReaderUnavailable) as caught:
            act("Desk")
        assert caught.value.code == Code.SCARD_E_UNKNOWN_READER


def test_a_reader_that_was_unplugged_takes_its_card_with_it(system):
    system.insert(card(0x9A), reader="Desk")
    found = system.card("Desk")
    system.unplug("Desk")
    with pytest.raises(CardRemoved):
        found.pin_status()


def test_an_unknown_reader_is_refused_and_the_known_ones_are_named(system):
    system.plug("Desk")
    with pytest.raises(ReaderUnavailable) as caught:
        system.reader("Nowhere")
    assert caught.value.next_step == "there are: Desk"


def test_the_only_card_needs_no_reader_name(system):
    with pytest.raises(NoCard):
        system.card()
    system.insert(card(0x9A), reader="Left")
    assert system.card().reader == "Left"
    system.insert(card(0x9A, name="two"), reader="Right")
    with pytest.raises(BadParameter) as caught:
        system.card()
    assert caught.value.next_step == "name a reader: Left, Right"
    assert [found.reader for found in system.cards()] == ["Left", "Right"]


def test_containers_are_found_as_people_name_them(system):
    system.insert(card())
    containers = system.card().containers
    assert len(containers) == 3
    assert containers[0] is next(iter(containers))
    assert containers[0:2] == list(containers)[0:2]
    assert containers.default.entry.reference == "9A"
    for text in ("9c", "9C", 1, "1", containers[1].name.upper()):
        assert containers.find(text) is containers[1]
    assert containers.by_name(containers[2].name.upper()) is containers[2]
    with pytest.raises(NotFound) as caught:
        containers.find("95")
    assert caught.value.next_step == "there are: 9A, 9C, 9E"
    with pytest.raises(NotFound):
        containers.by_name("nobody")
    assert repr(containers)


def test_a_card_without_keys_has_no_default_container(system):
    system.insert(virtual_piv(keys={}))
    found = system.card()
    assert len(found.containers) == 0
    with pytest.raises(NotFound) as caught:
        _ = found.containers.default
    assert caught.value.code == Code.NTE_BAD_KEYSET


def test_a_container_tells_its_facts(system):
    system.insert(card())
    container = system.card().containers.find("9C")
    assert (container.index, container.key_spec, container.pin_id, container.always) == (1, 2, 4, True)
    assert container.label
    assert not container.is_default
    assert container.certificate[:1] == b"\x30"
    assert container.public_key == container.key.public_key()
    assert container.key is container.key


def test_leaving_a_card_ends_its_verified_pin(system):
    piv = card(0x9A)
    system.insert(piv)
    with system.card() as found:
        found.verify_pin(PIN)
    piv.process(bytes.fromhex("00A4040009A0000003080000100000"))
    assert piv.process(bytes.fromhex("00200080")).hex() == "63c3"


def test_the_administrator_makes_and_deletes_keys_and_certificates(system):
    from people import MANAGEMENT_KEY, key_of
    from pivdesk import certificate, der

    system.insert(virtual_piv(keys={}))
    admin = system.card().admin(MANAGEMENT_KEY)
    assert "0102" not in repr(admin)
    public = admin.generate(0, 3)
    assert public.curve.name == "secp256r1"
    admin.import_key(0, 3, key_of("imported"))
    admin.put_certificate(0, der(certificate(key_of("imported"))))
    key = system.card().containers.default.key
    key_of("imported").public_key().verify(key.sign(b"data", SHA256), b"data", SHA256)
    admin.delete_certificate(0)
    admin.delete_key(0)
    admin.change_key(bytes(range(24)))
    admin.generate(0, 3)
    assert len(system.card().refresh(probe_keys=True)) == 1


def test_watchers_see_every_exchange():
    seen = []
    with local_system(watchers=(lambda _: seen.append,)) as system:
        piv = card(0x9A)
        system.insert(piv)
        system.propagate()
        assert len(seen) == piv.counter.exchanges
        assert isinstance(seen[0], Exchange)
        assert system.reader("Virtual Reader 0").counter.exchanges == piv.counter.exchanges


def test_the_transaction_timeout_is_the_policys():
    clock = FakeClock()
    with local_system(
        prompt=FixedPrompt(PIN), clock=clock, policy={"TransactionTimeoutMilliseconds": 10_000}
    ) as system:
        piv = card(0x9A)
        system.insert(piv)
        key = system.card().containers.default.key
        key.sign(b"data", SHA256)
        clock.advance(9)
        piv.counter.clear()
        key.sign(b"data", SHA256)
        assert piv.counter.exchanges == 1


def test_a_closed_system_may_be_closed_again(system):
    system.close()
    system.close()


# --- insertions and removals as values ---

EMPTY = ReaderStatus("Desk", present=False)
FULL = ReaderStatus("Desk", present=True, atr=b";", insertion=1)
AGAIN = ReaderStatus("Desk", present=True, atr=b";", insertion=3)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [EMPTY], [Change.PLUGGED]),
        ([], [FULL], [Change.PLUGGED, Change.INSERTED]),
        ([EMPTY], [FULL], [Change.INSERTED]),
        ([FULL], [EMPTY], [Change.REMOVED]),
        ([FULL], [AGAIN], [Change.REMOVED, Change.INSERTED]),
        ([FULL], [], [Change.UNPLUGGED]),
        ([FULL], [FULL], []),
        ([EMPTY], [EMPTY], []),
    ],
)
def test_two_looks_tell_what_happened(before, after, expected):
    assert [event.change for event in changes(before, after)] == expected


def test_a_watch_begins_with_what_is_there_and_ends_when_told(system):
    system.insert(card(0x9A), reader="Desk")
    turns = iter([lambda: system.remove("Desk"), lambda: system.unplug("Desk")])

    def pause():
        turn = next(turns, None)
        if turn:
            turn()
        return turn is not None

    events = list(watch(system.readers, pause))
    assert [event.change for event in events] == [
        Change.PLUGGED,
        Change.INSERTED,
        Change.REMOVED,
        Change.UNPLUGGED,
    ]
    assert isinstance(events[0], Event)
