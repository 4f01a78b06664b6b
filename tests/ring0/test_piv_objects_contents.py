import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pivdesk import certificate, der, p256

from calais.cards.piv import objects, spec
from calais.cards.piv.objects import KeyHistory
from calais.cards.piv.policy import PivPolicy
from calais.iso7816 import tlv
from calais.win.errors import BadData, BadParameter


@pytest.fixture(scope="module")
def cert():
    return der(certificate(p256()))


@pytest.mark.parametrize("compress", [True, False])
def test_a_certificate_survives_its_container(cert, compress):
    content = objects.build_certificate(cert, compress=compress)
    assert objects.parse_certificate(content) == cert
    assert [item.tag for item in tlv.parse(content)] == [0x70, 0x71, 0xFE]
    assert tlv.require(tlv.parse(content), 0x71).value == bytes((compress,))


@pytest.mark.parametrize("info", [b"", b"\x00", b"\x01", b"\x80", b"\x81"])
def test_what_the_certificate_begins_with_counts_more_than_certinfo(cert, info):
    for value in (cert, gzip.compress(cert)):
        content = tlv.build(0x70, value) + tlv.build(0x71, info)
        assert objects.parse_certificate(content) == cert


def bomb(size):
    return gzip.compress(bytes(size), 9)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x31\x00",
        b"\x1f\x8b",
        gzip.compress(b"0" * 500)[:-9],
        b"\x1f\x8b\x08" + bytes(100),
        bomb(objects.CERTIFICATE_MAX_EXPANDED + 1),
        bomb(50_000_000),
        zlib.compress(b"0" * 100),
    ],
)
def test_what_is_no_certificate_is_refused(value):
    with pytest.raises(BadData):
        objects.parse_certificate(tlv.build(0x70, value))


def test_the_longest_certificate_still_expands():
    longest = b"0" * objects.CERTIFICATE_MAX_EXPANDED
    assert objects.expand(gzip.compress(longest)) == longest


def test_a_container_without_certificate_is_refused():
    with pytest.raises(BadData):
        objects.parse_certificate(tlv.build(0x71, b"\0"))


@given(st.binary(max_size=300))
def test_noise_is_nothing_but_bad_data(data):
    parsers = (
        objects.parse_certificate,
        objects.parse_discovery,
        objects.parse_key_history,
        lambda noise: objects.content_of(noise, spec.TAG_CHUID),
    )
    for parse in parsers:
        with contextlib.suppress(BadData):
            parse(data)


def test_the_content_stands_in_53_or_in_the_tag_of_the_object():
    assert objects.content_of(b"\x53\x02ab", spec.TAG_CHUID) == b"ab"
    assert objects.content_of(b"\x7e\x02ab", spec.TAG_DISCOVERY) == b"ab"
    with pytest.raises(BadData):
        objects.content_of(b"\x7e\x02ab", spec.TAG_CHUID)


@pytest.mark.parametrize(
    ("policy", "reference"),
    [("4000", 0x80), ("6010", 0x80), ("6020", 0x00), ("4020", 0x80), ("2010", 0x80), ("7020", 0x00)],
)
def test_the_usage_policy_tells_which_pin_the_cardholder_knows(policy, reference):
    content = tlv.build(0x4F, spec.AID) + tlv.build(0x5F2F, bytes.fromhex(policy))
    assert objects.pin_reference(objects.parse_discovery(content)) == reference


@pytest.mark.parametrize("content", [b"", tlv.build(0x5F2F, b"\x40"), tlv.build(0x5F2F, b"\x40\0\0")])
def test_a_damaged_usage_policy_is_refused(content):
    with pytest.raises(BadData):
        objects.parse_discovery(content)


@given(st.integers(0, 20), st.integers(0, 20), st.binary(max_size=50))
def test_key_history_survives_its_object(on_card, off_card, url):
    history = objects.parse_key_history(KeyHistory(on_card, off_card, url).build())
    assert (history.on_card, history.off_card) == (on_card, off_card)
    assert history.url == (url if off_card else b"")


def test_retired_keys_are_counted_from_82():
    assert [slot.name for slot in KeyHistory(3).slots] == ["82", "83", "84"]
    assert len(KeyHistory(255).slots) == 20
    assert KeyHistory().slots == ()


@pytest.mark.parametrize("content", [b"", tlv.build(0xC1, b"\1"), tlv.build(0xC1, b"\0\1") + tlv.build(0xC2, b"\0")])
def test_a_damaged_key_history_is_refused(content):
    with pytest.raises(BadData):
        objects.parse_key_history(content)


def test_policy_values_are_taken_by_their_dotted_names():
    policy = PivPolicy.of({"piv.container_names": "volatile", "piv.write": False, "pin.separate_caches": 1})
    assert (policy.container_names, policy.write, policy.retired_keys) == ("volatile", False, "history")
    assert PivPolicy.of(None) == PivPolicy.of({}) == PivPolicy()


@pytest.mark.parametrize("values", [{"piv.container_names": "stable"}, {"piv.write": "no"}, {"piv.proof": None}])
def test_an_unknown_policy_value_is_refused(values):
    with pytest.raises(BadParameter):
        PivPolicy.of(values)
