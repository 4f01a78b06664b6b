"""Every Group Policy value does what it says, or says that it does nothing here."""

from __future__ import annotations

import datetime as dt
import os
from functools import cache

import pytest
from commandline import CommandLine
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from people import PIN, SHA256, card, key_of, rsa_card, rsa_of, select, verify
from pinfaces import NAME, CngProgram, as_entry_point, install, shared_card

from calais.apps.logoncards import survey as logon_survey
from calais.apps.policies import survey
from calais.apps.propagation.rootplan import RootAction
from calais.cards.gids.driver import GidsMinidriver
from calais.cards.gids.personalise import new_gids_card
from calais.minidriver.pins import Pin
from calais.provider import containeradmin
from calais.provider.settings import SETTINGS
from calais.store.formats.items import CERTIFICATE, Item
from calais.store.formats.pkcs7 import build_certificates
from calais.store.objects import CertificateStore
from calais.testing import FakeClock, FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.transport.loopback import LoopbackTransport
from calais.win.codes import Code
from calais.win.errors import AccessDenied, PinBlocked, SilentContext, Unsupported
from calais.win.flags.cardmod import EveryoneReadUserWriteAc
from calais.win.flags.crypt32 import PropId, StoreLocationId
from calais.winapi.ncrypt import (
    MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    NCryptCreatePersistedKey,
    NCryptFinalizeKey,
    NCryptFreeObject,
    NCryptOpenStorageProvider,
)

SIGN = (b"data", SHA256)
ONE, LATER = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2040, 1, 1, tzinfo=dt.UTC)


def gids(policy, prompt=PIN, **options):
    """A system under ``policy`` with an empty GIDS card in it."""
    system = local_system(prompt=FixedPrompt(prompt), policy=policy)
    system.insert(virtual_gids(keys=[], seed="policy", **options))
    return system


# --- Base CSP and KSP ---


@pytest.mark.parametrize(("milliseconds", "seconds", "verified"), [(5000, 4, True), (5000, 6, False), (0, 0, False)])
def test_TransactionTimeoutMilliseconds_holds_a_verified_pin(milliseconds, seconds, verified):
    piv, clock = card(0x9A), FakeClock()
    with local_system(clock=clock, policy={"TransactionTimeoutMilliseconds": milliseconds}) as system:
        system.insert(piv)
        system.card().verify_pin(PIN)
        clock.advance(seconds)
        if not verified:
            other = LoopbackTransport(piv)
            other.begin()  # comes when the card has been given back
            other.end()
        assert bool(piv.applet.state.pin_satisfied()) == verified


@pytest.mark.parametrize("bits", [1024, 2048])
def test_DefaultPrivateKeyLenBits_is_the_length_of_a_key_that_nobody_gave_one(bits):
    with gids({"DefaultPrivateKeyLenBits": bits}) as system:
        made = containeradmin.generate(containeradmin.create_container(system.card(), NAME), 1)
        assert made.public_key.key_size == bits


class NoGenerator(GidsMinidriver):
    """A driver of cards that only take keys."""

    def capabilities(self):
        found = super().capabilities()
        return type(found)(certificate_compression=found.certificate_compression, key_gen=False)


@pytest.mark.parametrize("required", [0, 1])
def test_RequireOnCardPrivateKeyGen_forbids_to_make_a_key_here(monkeypatch, required):
    install(monkeypatch, as_entry_point(NoGenerator))
    with gids({"RequireOnCardPrivateKeyGen": required, "DefaultPrivateKeyLenBits": 2048}) as system:
        empty = containeradmin.create_container(system.card(), NAME)
        if required:
            with pytest.raises(Unsupported) as error:
                containeradmin.generate(empty, 1)
            assert "RequireOnCardPrivateKeyGen" in error.value.next_step
        else:
            made = containeradmin.generate(empty, 1)
            made.key.public_key().verify(
                made.key.sign(b"data", padding.PKCS1v15(), hashes.SHA256()),
                b"data",
                padding.PKCS1v15(),
                hashes.SHA256(),
            )


@pytest.mark.parametrize("algorithm", ["RSA", "ECDSA_P256"])
@pytest.mark.parametrize("required", [0, 1])
def test_RequireOnCardPrivateKeyGen_holds_for_cng_too(monkeypatch, required, algorithm):
    install(monkeypatch, as_entry_point(NoGenerator))
    with gids({"RequireOnCardPrivateKeyGen": required}) as system:
        provider = NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER, system=system)
        if required:
            with pytest.raises(Unsupported):
                NCryptCreatePersistedKey(provider, algorithm, NAME)
        else:
            key = NCryptCreatePersistedKey(provider, algorithm, NAME)
            NCryptFinalizeKey(key)
            assert [container.name for container in system.card().containers] == [NAME]
            NCryptFreeObject(key)
        NCryptFreeObject(provider)


IMPORTS = {
    "AllowPrivateExchangeKeyImport": (rsa_of, 1),
    "AllowPrivateSignatureKeyImport": (rsa_of, 2),
    "AllowPrivateECDHEKeyImport": (key_of, 1),
    "AllowPrivateECDSAKeyImport": (key_of, 2),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_each_import_is_allowed_by_its_own_value(name):
    make, key_spec = IMPORTS[name]
    others = {other: 1 for other in IMPORTS if other != name}
    with gids(others) as system:
        empty = containeradmin.create_container(system.card(), NAME)
        with pytest.raises(AccessDenied) as error:
            containeradmin.import_key(empty, make(), key_spec)
        assert error.value.code == Code.NTE_PERM
        assert name in error.value.detail
    with gids({name: 1}) as system:
        empty = containeradmin.create_container(system.card(), NAME)
        loaded = containeradmin.import_key(empty, make(), key_spec)
        assert loaded.public_key == make().public_key()


# --- propagation ---


@cache
def root(name="Root of the card", *, signer=None):
    """A root certificate; with a ``signer`` of another name, none."""
    key = key_of(name)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer = who if signer is None else x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, signer)])
    builder = x509.CertificateBuilder(issuer, who, key.public_key(), 5, ONE, LATER)
    return builder.sign(key_of(signer or name), hashes.SHA256())


def der(found):
    return found.public_bytes(Encoding.DER)


def bag_of(*certificates):
    return build_certificates(Item(CERTIFICATE, der(each), {}) for each in certificates)


def write_roots(system, content):
    def write(driver):
        driver.create_file("mscp", "msroots", len(content), EveryoneReadUserWriteAc)
        driver.write_file("mscp", "msroots", content)

    system.card().holder("write roots").run(write)


def with_file(content):
    """A GIDS card with this ``msroots``."""
    made = virtual_gids(keys=[])
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(made)
        write_roots(system, content)
    return made


def with_roots(*certificates):
    """A GIDS card whose ``msroots`` has these."""
    return with_file(bag_of(*certificates))


def roots_in(system):
    with CertificateStore.open(system.stores, "SmartCardRoot", StoreLocationId.LOCAL_MACHINE) as store:
        return [each.der for each in store]


def test_CertPropEnabled_turns_everything_off():
    with local_system(policy={"CertPropEnabled": 0}) as system:
        system.insert(with_roots(root()))
        assert system.propagate() == []
        assert system.propagate_roots() == []
        assert roots_in(system) == []


@pytest.mark.parametrize("enabled", [0, 1])
def test_EnableRootCertificatePropagation_brings_roots_into_the_machines_store(enabled):
    with local_system(policy={"EnableRootCertificatePropagation": enabled}) as system:
        system.insert(with_roots(root()))
        steps = system.propagate_roots()
        assert [step.action for step in steps] == [RootAction.ADDED] * enabled
        assert roots_in(system) == [der(root())] * enabled
        if enabled:
            assert [step.action for step in system.propagate_roots()] == [RootAction.UNCHANGED]
            with system.store("Root") as trusted:
                assert der(root()) in [each.der for each in trusted]


def test_what_is_no_root_does_not_become_one():
    with local_system() as system:
        system.insert(with_roots(root("Leaf", signer="Elsewhere"), root()))
        assert sorted(str(step.action) for step in system.propagate_roots()) == ["added", "filtered"]
        assert roots_in(system) == [der(root())]


@pytest.mark.parametrize(("option", "left"), [(0, 1), (1, 0), (2, 1)])
def test_RootCertificateCleanupOption_1_takes_roots_out_when_their_card_is_gone(option, left):
    with local_system(policy={"RootCertificateCleanupOption": option}) as system:
        system.insert(with_roots(root()))
        system.propagate_roots()
        system.remove()
        steps = system.propagate_roots()
        assert len(roots_in(system)) == left
        assert [step.action for step in steps] == [RootAction.REMOVED] * (1 - left)


@pytest.mark.parametrize(("option", "left"), [(0, 1), (1, 0), (2, 0)])
def test_RootCertificateCleanupOption_2_takes_roots_of_other_logons_out(tmp_path, monkeypatch, option, left):
    policy = {"RootCertificateCleanupOption": option}
    with local_system(tmp_path, policy=policy) as system:
        system.insert(with_roots(root()))
        system.propagate_roots()
    monkeypatch.setenv("XDG_SESSION_ID", "another session")
    monkeypatch.setattr("calais.apps.propagation.roots._content", lambda _: "")
    with local_system(tmp_path, policy=policy) as system:
        system.propagate_roots()
        assert len(roots_in(system)) == left


def test_roots_that_others_have_put_there_stay():
    with local_system(policy={"RootCertificateCleanupOption": 1}) as system:
        with CertificateStore.open(system.stores, "SmartCardRoot", StoreLocationId.LOCAL_MACHINE) as store:
            store.add(der(root("Somebody's")))
            assert next(iter(store)).get(PropId.SMART_CARD_ROOT_INFO) is None
        assert system.propagate_roots() == []
        assert len(roots_in(system)) == 1


# --- logon ---


def logon_card():
    """Keys for every limit: a good one, one for mail, an elliptic one, and one that expired."""
    key = rsa_of()
    made = {}
    for slot, options in {
        0x9A: {},
        0x9D: {"usages": None},
        0x82: {"end": dt.datetime(2021, 1, 1, tzinfo=dt.UTC)},
        0x83: {"upn": None},
    }.items():
        made[slot] = (key, logon_certificate(key, **options))
    made[0x9E] = (key_of(), logon_certificate(key_of()))
    return virtual_piv(keys=made, seed="logon")


def logon_certificate(key, *, upn="ada@example.com", usages=("1.3.6.1.4.1.311.20.2.2",), end=LATER, major=100):
    who = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "Ada"),
        ]
    )
    builder = x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number(), ONE, end)
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(map(x509.ObjectIdentifier, usages)), critical=False)
    if upn is not None:
        name = x509.OtherName(
            x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c" + bytes([len(upn)]) + upn.encode()
        )
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
    template = x509.MSCertificateTemplate(x509.ObjectIdentifier("1.3.6.1.4.1.311.21.8.1"), major, 0)
    return builder.add_extension(template, critical=False).sign(key_of("authority"), hashes.SHA256())


def offered(policy):
    with local_system(policy={"piv.retired_keys": "all", **policy}) as system:
        system.insert(logon_card())
        cards, offers = logon_survey(system)
        assert [one.blocked for one in cards] == [False]
        return {offer.candidate.reference for offer in offers if offer.offered}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("AllowCertificatesWithNoEKU", {"9D"}),
        ("AllowTimeInvalidCertificates", {"82"}),
        ("X509HintsNeeded", {"83"}),
        ("EnumerateECCCerts", {"9E"}),
        ("AllowSignatureOnlyKeys", set()),
    ],
)
def test_each_logon_value_lets_its_certificates_pass(name, more):
    assert offered({}) == {"9A"}
    assert offered({name: 1}) == {"9A"} | more


def test_AllowSignatureOnlyKeys_lets_keys_of_at_signature_pass():
    found = []
    for value in (0, 1):
        with local_system(policy={"AllowSignatureOnlyKeys": value}) as system:
            key = rsa_of()
            system.insert(virtual_gids(keys=[(NAME, 2, key, logon_certificate(key))]))
            found.append([offer.offered for offer in logon_survey(system)[1]])
    assert found == [[False], [True]]


def test_FilterDuplicateCerts_keeps_the_best_of_one_template_and_user():
    values = {"AllowTimeInvalidCertificates": 1}
    assert offered(values) == {"9A", "82"}
    assert offered(values | {"FilterDuplicateCertificates": 1}) == {"9A"}


@pytest.mark.parametrize(("reverse", "label"), [(0, "O=Example, CN=Ada"), (1, "CN=Ada, O=Example")])
def test_ReverseSubject_shows_subjects_back_to_front(reverse, label):
    with local_system(policy={"ReverseSubject": reverse, "piv.retired_keys": "all"}) as system:
        system.insert(logon_card())
        labels = {offer.candidate.reference: offer.label for offer in logon_survey(system)[1]}
    assert (labels["83"], labels["9A"]) == (label, "Ada (ada@example.com)")


# --- blocked PINs, and what is remembered ---


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({}, "or ask whoever issued the card"),
        ({"IntegratedUnblockPromptString": "Call 4711"}, "or ask whoever issued the card"),
        ({"AllowIntegratedUnblock": 1}, "here and now"),
        ({"AllowIntegratedUnblock": 1, "IntegratedUnblockPromptString": "Call 4711"}, "Call 4711"),
    ],
    ids=["default", "text alone", "allowed", "allowed with text"],
)
def test_AllowIntegratedUnblock_leads_from_a_blocked_pin_to_unblocking_it(policy, said):
    piv = card(0x9A)
    with local_system(prompt=FixedPrompt(PIN), policy=policy) as system:
        system.insert(piv)
        key = system.card().containers.find("9A").key
        select(piv)
        for _ in range(3):
            verify(piv, "999999")
        with pytest.raises(PinBlocked) as error:
            key.sign(*SIGN)
        assert said in error.value.next_step
        (one,), _ = logon_survey(system)
        assert one.blocked
        assert (one.unblock is not None) == bool(policy.get("AllowIntegratedUnblock"))


def test_DisallowPlaintextPin_remembers_session_pins_only():
    prompt = FixedPrompt(PIN)
    with local_system(prompt=prompt, policy={"DisallowPlaintextPin": 1}) as system:
        system.insert(shared_card())
        program = CngProgram(system)
        for _ in range(3):
            program.sign()
            system.card().release()
        kept = system.broker.cache.usable((system.card().card_id, 1), 3, now=0)
        assert kept is not None
        assert kept != Pin(PIN)
    assert prompt.count == 1


def test_DisallowPlaintextPin_remembers_nothing_on_cards_without_session_pins():
    with local_system(policy={"DisallowPlaintextPin": 1}) as system:
        system.insert(rsa_card(0x9A))
        system.card().verify_pin(PIN)
        key = system.card().containers.find("9A").key
        key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
        system.card().release()
        with pytest.raises(SilentContext):
            key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())


# --- all of them, at the command line ---

WITHOUT_EFFECT = {
    "ForceReadingAllCertificates",
    "CRLTimeoutPeriod",
    "UseCachedCRLOnlyAndIgnoreRevocationUnknownErrors",
    "scforceoption",
    "scremoveoption",
    "EnableScPnP",
    "ScPnPNotification",
}


@pytest.fixture
def calais(capfdbinary, tmp_path, monkeypatch):
    return CommandLine(capfdbinary, tmp_path, monkeypatch)


def policy_file(calais, text):
    path = calais.virtual.directory.parent / "policy.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rows(calais, *words):
    return {row["name"]: row for row in calais.json("policy", "show", *words)["policies"]}


def test_values_without_effect_say_so_and_why(tmp_path):
    idle = {row.setting.name: row.remark for row in survey([tmp_path / "none"]) if row.setting.idle}
    assert set(idle) == WITHOUT_EFFECT
    assert all(remark.startswith("no effect here: ") for remark in idle.values())


def test_the_policy_is_shown_with_the_line_of_each_value(calais):
    path = policy_file(
        calais, '# policy\nTransactionTimeoutMilliseconds = 10\n\n[piv]\nwrite = false\n"proof" = "whole"\n'
    )
    found = rows(calais)
    assert set(found) == {setting.name for setting in SETTINGS}
    assert (found["TransactionTimeoutMilliseconds"]["value"], found["piv.write"]["effective"]) == (10, False)
    assert found["TransactionTimeoutMilliseconds"]["source"] == f"{path}:2"
    assert (found["piv.write"]["source"], found["piv.proof"]["source"]) == (f"{path}:5", f"{path}:6")
    assert (found["gids.write"]["value"], found["gids.write"]["source"]) == (None, None)
    shown = calais.ok("policy", "show", "piv.WRITE").out
    assert f"{path}:5" in shown
    assert "0 or 1" in shown


def test_a_value_whose_switch_is_off_has_no_effect_and_says_so(calais):
    policy_file(calais, 'IntegratedUnblockPromptString = "Call 4711"\n')
    row = rows(calais, "IntegratedUnblockPromptString")["IntegratedUnblockPromptString"]
    assert (row["value"], row["effective"]) == ("Call 4711", "")
    assert row["remark"] == "no effect: AllowIntegratedUnblock is off"


@pytest.mark.parametrize("words", [("policy", "show", "piv.rite"), ("policy", "show", "nonsense"), ("readers",)])
def test_a_wrong_name_is_named_with_the_one_that_may_be_meant(calais, words):
    path = policy_file(calais, "\n\nAllowPrivateKeyImports = 1\n") if words == ("readers",) else None
    result = calais.run(*words, "--json")
    assert result.code != 0
    assert "there is no policy named" in result.error["detail"]
    if path:
        assert f"{path}:3" in result.error["detail"]
        assert "did you mean" in result.error["detail"]


def test_the_logon_is_shown_at_the_command_line(calais):
    calais.card("ada")
    policy_file(calais, "AllowCertificatesWithNoEKU = 1\nX509HintsNeeded = 1\n")
    document = calais.json("cert", "logon")
    assert document["user_name_hint"]
    assert [row["offered"] for row in document["certificates"]] == [True, False, True]
    assert "EnumerateECCCerts is off" in document["certificates"][1]["refusals"][0]
    text = calais.ok("cert", "logon").out
    assert "People may give their user name." in text
    policy_file(calais, "")
    assert calais.run("cert", "logon").code == 1


def test_a_card_whose_roots_cannot_be_read_is_named_and_stops_nothing():
    with local_system() as system:
        system.insert(with_roots(root()), "Good")
        system.insert(with_file(b"not a PKCS#7"), "Bad")
        steps = system.propagate_roots()
        assert sorted(str(step.action) for step in steps) == ["added", "filtered"]
        assert "cannot be read" in next(step.reason for step in steps if step.action is RootAction.FILTERED)


def test_roots_are_told_at_the_command_line(calais):
    calais.virtual.new("gids", lambda memory: new_gids_card(memory, os.urandom, keys=[], admin_key=bytes(24)))
    calais.virtual.insert("gids")
    assert calais.json("propagate")["roots"] == []
    with local_system(calais.virtual.directory.parent, prompt=FixedPrompt(PIN)) as system:
        write_roots(system, bag_of(root()))
    (told,) = calais.json("propagate")["roots"]
    assert (told["action"], told["subject"]) == ("added", "Root of the card")
    assert "Root certificate Root of the card unchanged" in calais.ok("propagate").out
