from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.apps.explain import follow
from calais.apps.links import CardSeen, ContainerSeen, LinkFacts
from calais.win.structs import CryptKeyProvInfo

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
KSP = "Microsoft Smart Card Key Storage Provider"
SOFTWARE = "Microsoft Enhanced RSA and AES Cryptographic Provider"
PROVIDER = "Microsoft Base Smart Card Crypto Provider"


def certificate(key, serial=1, until=2030, begin=2020):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Ada")])
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), serial, datetime(begin, 1, 1), datetime(until, 1, 1)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def public(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


MINE = certificate(KEY)
HOME = ContainerSeen("name-of-9a", "9A", public(KEY), MINE, key_spec=1)
CARD = CardSeen("Reader 0", "PIV", "1234", (HOME,), tries=3, exchanges=6)
WHOLE = LinkFacts(
    MINE,
    "My",
    CryptKeyProvInfo("NAME-OF-9A", PROVIDER, 1, key_spec=1),
    "Reader 0",
    "today",
    (PROVIDER, KSP),
    ("Reader 0",),
    (CARD,),
)


def with_containers(*containers, **changes):
    return replace(WHOLE, cards=(replace(CARD, containers=containers, **changes),))


def linked(**changes):
    return replace(WHOLE, link=replace(WHOLE.link, **changes))


def test_a_whole_link_is_shown_end_to_end():
    found = follow(WHOLE, NOW)
    assert found.works
    assert [station.name for station in found.stations] == [
        "store", "property", "provider", "reader", "card", "container", "key", "evidence", "propagated",
    ]  # fmt: skip
    assert all(station.holds is not False for station in found.stations)
    assert found.verdict == "the link is whole: the key can be used now"
    assert "6 exchanges" in found.stations[-2].shows


@pytest.mark.parametrize(
    ("facts", "name", "code"),
    [
        (replace(WHOLE, link=None), "no_link", "CRYPT_E_NO_KEY_PROPERTY"),
        (replace(WHOLE, providers=("Another",)), "provider_unknown", "NTE_KEYSET_NOT_DEF"),
        (replace(WHOLE, readers=(), cards=()), "no_reader", "SCARD_E_NO_READERS_AVAILABLE"),
        (replace(WHOLE, cards=()), "no_card", "SCARD_E_NO_SMARTCARD"),
        (with_containers(), "other_card", "NTE_BAD_KEYSET"),
        (with_containers(is_home=True), "container_gone", "NTE_BAD_KEYSET"),
        (with_containers(problem="mute"), "card_unreadable", "SCARD_W_UNRESPONSIVE_CARD"),
        (with_containers(replace(HOME, name="new")), "container_renamed", "NTE_BAD_KEYSET"),
        (with_containers(replace(HOME, public_key=public(OTHER))), "key_mismatch", "NTE_BAD_PUBLIC_KEY"),
        (with_containers(replace(HOME, public_key=b"")), "key_unreadable", "NTE_NO_KEY"),
        (with_containers(replace(HOME, certificate=certificate(KEY, 2))), "certificate_replaced", "CRYPT_E_NO_MATCH"),
        (with_containers(HOME, tries=0), "pin_blocked", "SCARD_W_CHV_BLOCKED"),
        (replace(WHOLE, certificate=b"junk"), "certificate_unreadable", "CRYPT_E_ASN1_CORRUPT"),
        (linked(container_name="no\\name"), "name_impossible", "NTE_BAD_KEYSET_PARAM"),
        (linked(container_name="\\\\.\\Gone\\name-of-9a"), "reader_gone", "SCARD_E_UNKNOWN_READER"),
        (linked(prov_name=KSP), "provider_mismatch", "NTE_KEYSET_NOT_DEF"),
        (linked(prov_type=24), "provider_mismatch", "NTE_PROV_TYPE_NO_MATCH"),
        (linked(prov_name=SOFTWARE, prov_type=24), "provider_mismatch", "NTE_BAD_KEYSET"),
        (linked(key_spec=2), "key_spec_wrong", "NTE_NO_KEY"),
        (with_containers(replace(HOME, is_rsa=False)), "key_not_for_cryptoapi", "NTE_BAD_KEYSET"),
        (with_containers(replace(HOME, was_stale=True)), "memory_stale", "SCARD_W_CACHE_ITEM_STALE"),
    ],
)
def test_each_break_has_a_name_a_windows_code_and_a_command_that_mends_it(facts, name, code):
    found = follow(facts, NOW)
    assert not found.works
    assert (found.breaks[0].name, found.breaks[0].code.name) == (name, code)
    assert found.breaks[0].mend
    assert found.verdict == found.breaks[0].cause


def test_one_cause_makes_one_break():
    for facts in (replace(WHOLE, link=None, readers=(), cards=()), replace(WHOLE, readers=(), cards=())):
        assert len(follow(facts, NOW).breaks) == 1


@pytest.mark.parametrize(
    "facts",
    [
        linked(container_name="no\\name"),
        linked(container_name="\\\\.\\Gone\\name-of-9a"),
        linked(prov_name=KSP),
        linked(key_spec=2),
        replace(WHOLE, link=None),
    ],
)
def test_what_a_repair_cures_names_it_and_makes_one_break(facts):
    (found,) = follow(facts, NOW).breaks
    assert found.mend.endswith("calais cert repair")


@pytest.mark.parametrize("name", ["", "\\\\.\\Reader 0\\", "\\\\.\\Reader 0\\NAME-of-9a"])
def test_a_link_may_name_its_container_on_any_level(name):
    facts = replace(linked(container_name=name), cards=(replace(CARD, containers=(replace(HOME, is_default=True),)),))
    assert follow(facts, NOW).works


def test_a_certificate_added_by_itself_is_told_where_its_key_is():
    (found,) = follow(replace(WHOLE, link=None), NOW).breaks
    assert found.cause.startswith("the certificate was added without its link")
    assert "its key is on PIV in Reader 0, 9A" in found.cause
    pending = replace(with_containers(replace(HOME, certificate=None)), link=None)
    assert "a request is pending" in follow(pending, NOW).verdict
    away = follow(replace(with_containers(), link=None), NOW).breaks[0]
    assert "its key is" not in away.cause
    assert away.mend == "Insert the card and run: calais cert repair"


def test_a_key_whose_certificate_is_not_on_the_card_can_be_used():
    found = follow(with_containers(replace(HOME, certificate=None)), NOW)
    assert found.works
    assert "no certificate there" in next(one.shows for one in found.stations if one.name == "container")


@pytest.mark.parametrize(("begin", "word"), [(2024, "a newer"), (2010, "an older"), (2020, "another")])
def test_another_certificate_on_the_card_is_told_to_be_newer_or_older(begin, word):
    facts = with_containers(replace(HOME, certificate=certificate(KEY, 2, begin=begin)))
    assert f"the card has {word} certificate" in follow(facts, NOW).verdict


def test_a_reader_that_the_store_saw_and_that_is_gone_is_no_break():
    found = follow(replace(WHOLE, reader_noted="Old reader"), NOW)
    assert found.works
    assert "Old reader, which is not there now" in next(one.shows for one in found.stations if one.name == "reader")


def test_counters_that_lied_are_told():
    found = follow(with_containers(HOME, is_trusted=False), NOW)
    assert found.works
    assert "caught lying" in found.stations[-2].shows


def test_a_card_that_renames_its_keys_is_told_as_the_reason():
    facts = with_containers(replace(HOME, name="new"), has_stable_names=False)
    assert "new names each time" in follow(facts, NOW).verdict


def test_a_key_that_moved_to_another_container_is_found_there():
    moved = replace(HOME, name="elsewhere", where="82")
    facts = with_containers(replace(HOME, public_key=public(OTHER)), moved)
    assert follow(facts, NOW).breaks[0].mend == "Write the link anew: calais cert repair"
    assert "82" in follow(facts, NOW).verdict


def test_an_expired_certificate_is_said_to_be_so_and_its_link_is_still_good():
    old = certificate(KEY, until=2021)
    facts = replace(WHOLE, certificate=old, cards=(replace(CARD, containers=(replace(HOME, certificate=old),)),))
    found = follow(facts, NOW)
    assert found.works
    assert "expired on 2021-01-01" in found.stations[0].shows
