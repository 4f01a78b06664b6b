"""The contract itself: every entry point of the Windows interface has a body, and an absent feature says so."""

import inspect
from types import SimpleNamespace

import pytest

from calais.minidriver.api import CardIdentity, Minidriver, check_index
from calais.minidriver.injection import KeyInjection
from calais.minidriver.memo import CardMemo
from calais.minidriver.pins import Pin, PinStatus
from calais.minidriver.properties import PROPERTIES
from calais.minidriver.surface import ENTRY_POINTS
from calais.win.errors import BadParameter, NotFound, Unsupported
from calais.win.structs import CardCapabilities, CardFileInfo, CardFreeSpaceInfo, CardKeySizes, PinCachePolicy, PinInfo


class Bare(Minidriver):
    """A card with nothing but what a read-only card must have."""

    card_name = "Bare"
    read_only = True

    def identity(self):
        return CardIdentity(bytes(16), "serial", "label", has_stable_names=True)

    def capabilities(self):
        return CardCapabilities(certificate_compression=False, key_gen=False)

    def free_space(self):
        return CardFreeSpaceInfo(0, 0, 1)

    def key_sizes(self, key_spec):
        return CardKeySizes(1024, 2048, 4096, 1024) if key_spec == 1 else None

    def pin_list(self):
        return 2

    def pin_info(self, pin_id):
        if pin_id != 1:
            raise BadParameter
        return PinInfo(0, 5, 2, 0, PinCachePolicy(0))

    def pin_status(self, pin_id):
        return PinStatus(verified=False, attempts_left=3, blocked=False)

    def authenticated(self):
        return 0

    def authenticate(self, pin_id, pin):
        pass

    def deauthenticate(self, pins):
        pass

    def read_file(self, directory, name):
        return b""

    def enum_files(self, directory):
        return []

    def file_info(self, directory, name):
        return CardFileInfo(0, 1)

    def containers(self, *, probe_keys=False):
        return []

    def container(self, index):
        return SimpleNamespace(index=index, pin_id=1, key_spec=1)

    def public_key(self, index):
        raise NotFound

    def certificate(self, index):
        return None

    def sign(self, index, key_spec, data, padding):
        return b""


@pytest.fixture
def bare():
    return Bare(SimpleNamespace(), CardMemo())


def test_every_one_of_the_45_entry_points_has_a_body():
    assert len(ENTRY_POINTS) == 45
    for body in ENTRY_POINTS.values():
        assert callable(getattr(Minidriver, body))


def test_every_public_body_is_documented():
    for name, body in inspect.getmembers(Minidriver, inspect.isfunction):
        assert name == "__init__" or inspect.getdoc(body), name


def test_what_a_read_only_card_must_have_is_abstract():
    with pytest.raises(TypeError):
        Minidriver(SimpleNamespace(), CardMemo())


@pytest.mark.parametrize(
    "call",
    [
        lambda card: card.create_container(0, 1, 2048),
        lambda card: card.delete_container(0),
        lambda card: card.write_certificate(0, b"0"),
        lambda card: card.delete_certificate(0),
        lambda card: card.write_file(None, "a", b"b"),
        lambda card: card.create_file(None, "a", 1, 1),
        lambda card: card.delete_file(None, "a"),
        lambda card: card.create_directory("a", 1),
        lambda card: card.delete_directory("a"),
        lambda card: card.change_pin(1, Pin("1"), Pin("2")),
        lambda card: card.unblock_pin(1, 3, Pin("1"), Pin("2")),
        lambda card: card.authenticate_admin(bytes(24)),
        lambda card: card.change_admin_key(bytes(24)),
        lambda card: card.challenge(),
        lambda card: card.answer_challenge(b"x"),
        lambda card: card.make_session_pin(1, Pin("1")),
        lambda card: card.authenticate_session(1, Pin("1")),
        lambda card: card.decrypt(0, 1, b"", None),
        lambda card: card.agree(0, b""),
    ],
)
def test_what_a_driver_does_not_offer_is_unsupported(bare, call):
    with pytest.raises(Unsupported):
        call(bare)


def test_key_injection_is_unsupported(bare):
    for name, body in inspect.getmembers(KeyInjection, inspect.isfunction):
        arguments = [None] * (len(inspect.signature(body).parameters) - 1)
        with pytest.raises(Unsupported):
            getattr(bare, name)(*arguments)


@pytest.mark.parametrize("index", [-1, 256])
def test_a_container_index_is_a_byte(index):
    with pytest.raises(BadParameter):
        check_index(index)


def test_a_name_that_no_container_has_is_not_found(bare):
    with pytest.raises(NotFound):
        bare.index_of("nobody")


FLAGS = {"Key Sizes": 1, "PIN Information": 1, "Algorithms": 2} | {
    f"PIN Strength {what}": 1 for what in ("Verify", "Change", "Unblock")
}


def test_there_are_20_card_properties():
    assert len(PROPERTIES) == 20


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_is_read_with_its_own_flags_and_no_others(bare, name):
    if PROPERTIES[name].read is None:
        with pytest.raises(BadParameter):
            bare.get_property(name)
        return
    bare.get_property(name, FLAGS.get(name, 0))
    with pytest.raises(BadParameter):
        bare.get_property(name, 0x100)


def test_an_unknown_property_is_refused(bare):
    with pytest.raises(BadParameter):
        bare.get_property("free space")
    with pytest.raises(Unsupported):
        bare.set_property("free space", 1)
    with pytest.raises(BadParameter):
        bare.get_container_property(0, "Nothing")


def test_only_the_two_write_only_properties_can_be_set(bare):
    bare.set_property("Parent Window", 7)
    bare.set_property("PIN Context String", "for the tax office")
    bare.set_property("PIN Context String", None)
    for name in set(PROPERTIES) - {"Parent Window", "PIN Context String"}:
        with pytest.raises(Unsupported):
            bare.set_property(name, 0)


@pytest.mark.parametrize(("name", "value"), [("Parent Window", -1), ("Parent Window", "w"), ("PIN Context String", 1)])
def test_a_wrong_value_is_refused(bare, name, value):
    with pytest.raises(BadParameter):
        bare.set_property(name, value)


def test_a_read_only_card_cannot_enrol(bare):
    assert bare.get_property("Supports Windows x.509 Enrollment") is False
    assert bare.get_property("Key Import Support") == 0


def test_the_pin_of_a_container_can_be_set_to_what_it_is(bare):
    assert bare.get_container_property(0, "PIN Identifier") == 1
    bare.set_container_property(0, "PIN Identifier", 1)
    with pytest.raises(Unsupported):
        bare.set_container_property(0, "PIN Identifier", 3)
    with pytest.raises(BadParameter):
        bare.set_container_property(0, "PIN Identifier", 8)
    with pytest.raises(Unsupported):
        bare.set_container_property(0, "Container Info", b"")


def test_there_is_no_associated_key_without_agreement_keys(bare):
    with pytest.raises(NotFound):
        bare.get_container_property(0, "Associated ECDH Key")
