"""What propagation does with the certificates and roots of inserted cards, rule by rule."""

from __future__ import annotations

import datetime as dt
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cspdesk import BASE, fails
from people import PIN, card, key_of, rsa_card, sign_with
from pinfaces import as_entry_point, install
from pivdesk import certificate

from calais.cards.gids.driver import GidsMinidriver
from calais.store.objects import CertificateStore
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.win.codes import Code
from calais.win.errors import Unsupported
from calais.win.flags.crypt32 import PropId, StoreLocationId
from calais.win.structs import CryptKeyProvInfo, SmartCardRootInfo
from calais.winapi.advapi32 import (
    CRYPT_DEFAULT_CONTAINER_OPTIONAL,
    PP_NAME,
    PP_ROOT_CERTSTORE,
    PP_SMARTCARD_GUID,
    CryptAcquireContext,
    CryptGetProvParam,
    CryptSetProvParam,
)
from calais.winapi.crypt32 import (
    CERT_STORE_ADD_ALWAYS,
    CERT_STORE_PROV_MEMORY,
    CERT_SYSTEM_STORE_LOCAL_MACHINE,
    X509_ASN_ENCODING,
    CertAddEncodedCertificateToStore,
    CertCloseStore,
    CertEnumCertificatesInStore,
    CertOpenStore,
    CertOpenSystemStore,
    CryptAcquireCertificatePrivateKey,
)
from calais.winapi.winscard import (
    SCARD_PROVIDER_CSP,
    SCARD_SCOPE_USER,
    SCardEstablishContext,
    SCardIntroduceCardType,
    SCardSetCardTypeProviderName,
)


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


def actions(outcomes):
    return [str(outcome.action) for outcome in outcomes]


@cache
def root_certificate(name="Root of the card"):
    key = key_of(name)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start, end = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(who, who, key.public_key(), 5, start, end)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def write_roots(*ders):
    """As a program writes them: a store, given to the context of a card."""
    with CryptAcquireContext(None, None, 1, CRYPT_DEFAULT_CONTAINER_OPTIONAL) as context:
        store = CertOpenStore(CERT_STORE_PROV_MEMORY)
        for each in ders:
            CertAddEncodedCertificateToStore(store, X509_ASN_ENCODING, each, CERT_STORE_ADD_ALWAYS)
        CryptSetProvParam(context, PP_ROOT_CERTSTORE, store)
        CertCloseStore(store)
        return CryptGetProvParam(context, PP_SMARTCARD_GUID)


def trusted_by_cards(system):
    with CertificateStore.open(system.stores, "SmartCardRoot", StoreLocationId.LOCAL_MACHINE) as store:
        return [(each.der, SmartCardRootInfo.list_from_bytes(each.get(PropId.SMART_CARD_ROOT_INFO))) for each in store]


def my(system):
    with system.store() as store:
        return [each.der for each in store]


# --- certificates ---


@pytest.mark.parametrize("make", [virtual_piv, virtual_gids])
def test_every_certificate_of_every_card_arrives_of_signature_keys_too(system, make):
    system.insert(make(), "First")
    system.insert(virtual_gids(keys=[("only signs", 2, key_of(), certificate(key_of()))]), "Second")
    outcomes = system.propagate()
    wanted = {each.certificate for card in system.cards() for each in card.containers if each.certificate}
    assert set(actions(outcomes)) == {"added"}
    assert set(my(system)) == wanted
    assert {outcome.reader for outcome in outcomes} == {"First", "Second"}


class Pulled:
    """A card that is taken out after so many exchanges."""

    def __init__(self, inner, system, reader):
        self.inner, self.system, self.reader, self.left = inner, system, reader, None

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def process(self, apdu):
        if self.left == 0:
            self.left = None
            self.system.remove(self.reader)
        elif self.left:
            self.left -= 1
        return self.inner.process(apdu)


@pytest.mark.parametrize("after", [4, 6])
def test_a_card_that_is_pulled_meanwhile_does_not_stop_the_others(system, after):
    for reader in ("First", "Second", "Third"):
        inner = card(0x9A, name=reader)
        system.insert(Pulled(inner, system, reader) if reader == "Second" else inner, reader)
        last = system._slots.slot(reader).card
        if isinstance(last, Pulled):
            last.left = after
    outcomes = system.propagate()
    assert [(outcome.reader, outcome.action) for outcome in outcomes] == [("First", "added"), ("Third", "added")]
    assert any("Second" in note and "SCARD_W_REMOVED_CARD" in note for note in system.notes)


def test_a_card_that_is_named_and_pulled_is_an_error(system):
    system.insert(Pulled(card(0x9A), system, "Only"), "Only")
    system._slots.slot("Only").card.left = 4
    with fails(Code.SCARD_W_REMOVED_CARD):
        system.propagate("Only")


@pytest.mark.parametrize("after", [3, 4])
def test_roots_of_the_other_cards_arrive_though_one_is_pulled_meanwhile(system, after):
    for reader, name in (("First", "One root"), ("Second", "Another root"), ("Third", "A third")):
        with local_system(prompt=FixedPrompt(PIN)) as desk:
            made = virtual_gids(keys=[], seed=name)
            desk.insert(made)
            write_roots(root_certificate(name))
        system.insert(Pulled(made, system, reader) if reader == "Second" else made, reader)
    second = system._slots.slot("Second").card
    second.left = after
    steps = system.propagate_roots()
    assert second.left is None, "it was not pulled"
    assert [step.der for step in steps if step.action == "added"] == list(
        map(root_certificate, ("One root", "A third"))
    )


def test_certificates_stay_when_the_card_is_taken_out(system):
    system.insert(card(0x9A))
    system.propagate()
    system.remove()
    assert system.propagate() == []
    assert len(my(system)) == 1


def test_the_machines_store_is_neither_read_nor_written(system):
    system.insert(card(0x9A))
    system.propagate()
    with CertOpenStore(10, 0, None, CERT_SYSTEM_STORE_LOCAL_MACHINE | 0x4000, "MY") as store:
        assert CertEnumCertificatesInStore(store) is None


def test_one_certificate_on_two_cards_is_one_entry_and_the_last_card_has_the_link(system):
    key = key_of()
    same = certificate(key, "twin")
    for number, reader in enumerate(("First", "Second")):
        system.insert(virtual_gids(keys=[(f"on card {number}", 1, key, same)]), reader)
        system.propagate(reader)
    with system.store() as store:
        (entry,) = store
        assert entry.key_prov_info.container_name == "on card 1"
        assert entry.get(PropId.SMART_CARD_READER) == "Second"


def test_a_link_names_no_reader_and_invents_no_friendly_name(system):
    system.insert(rsa_card(0x9A))
    system.propagate()
    with system.store() as store:
        (entry,) = store
        assert "\\" not in entry.key_prov_info.container_name
        assert entry.get(PropId.FRIENDLY_NAME) is None


@pytest.mark.parametrize(
    ("named", "linked"),
    [
        ("personal csp", "Personal CSP"),
        (BASE, BASE),
        ("Somebody's CSP", BASE),
        ("Microsoft Enhanced RSA and AES Cryptographic Provider", BASE),
    ],
)
def test_the_link_names_the_provider_that_the_card_database_has_for_the_card(system, named, linked):
    made = rsa_card(0x9A)
    with SCardEstablishContext(SCARD_SCOPE_USER) as context:
        SCardIntroduceCardType(context, "Ours", pbAtr=made.atr)
        SCardSetCardTypeProviderName(context, "Ours", SCARD_PROVIDER_CSP, named)
    system.insert(made)
    (outcome,) = system.propagate()
    assert link_of(outcome) == CryptKeyProvInfo(system.card().containers[0].name, linked, 1, 1, key_spec=1)
    with CryptAcquireCertificatePrivateKey(outcome.certificate).handle as handle:
        assert CryptGetProvParam(handle, PP_NAME) == linked
        assert sign_with(handle)
    assert [outcome.action for outcome in system.propagate()] == ["unchanged"]


def test_without_an_entry_for_its_atr_the_link_names_the_base_csp(system):
    with SCardEstablishContext(SCARD_SCOPE_USER) as context:
        SCardIntroduceCardType(context, "Another", pbAtr=bytes.fromhex("3B00"))
        SCardSetCardTypeProviderName(context, "Another", SCARD_PROVIDER_CSP, "Personal CSP")
    system.insert(rsa_card(0x9A))
    (outcome,) = system.propagate()
    assert link_of(outcome).prov_name == BASE


def link_of(outcome):
    return outcome.certificate.get(PropId.KEY_PROV_INFO)


# --- roots ---


def test_roots_that_a_program_has_written_are_trusted_on_the_machine(system):
    system.insert(virtual_gids(keys=[]))
    guid = write_roots(root_certificate())
    (step,) = system.propagate_roots()
    assert step.action == "added"
    ((der, marks),) = trusted_by_cards(system)
    assert der == root_certificate()
    assert [mark.card_id for mark in marks] == [guid]
    with CertOpenSystemStore(None, "Root") as store:
        assert CertEnumCertificatesInStore(store).encoded == root_certificate()


def test_roots_are_not_among_the_users_own_certificates(system):
    system.insert(virtual_gids(keys=[]))
    write_roots(root_certificate())
    assert system.propagate() == []
    assert my(system) == []


def test_a_card_without_roots_brings_none(system):
    system.insert(virtual_gids(keys=[]), "First")
    system.insert(card(0x9A), "Second")
    assert system.propagate_roots() == []
    assert trusted_by_cards(system) == []


def test_a_driver_without_files_has_no_roots(monkeypatch, system):
    class NoFiles(GidsMinidriver):
        def enum_files(self, directory):
            raise Unsupported(detail="this card has no files")

    install(monkeypatch, as_entry_point(NoFiles))
    system.insert(virtual_gids(keys=[]))
    assert system.propagate_roots() == []


def test_roots_of_a_piv_card_are_propagated_too(system):
    system.insert(rsa_card(0x9A))
    write_roots(root_certificate())
    assert [step.action for step in system.propagate_roots()] == ["added"]


def test_a_root_that_the_card_has_no_more_stays_while_the_card_is_there(system):
    system.insert(virtual_gids(keys=[]))
    write_roots(root_certificate(), root_certificate("Another"))
    system.propagate_roots()
    write_roots(root_certificate())
    system.propagate_roots()
    assert root_certificate() in [der for der, _ in trusted_by_cards(system)]


def test_roots_by_default_outlive_the_removal_of_their_card(system):
    system.insert(virtual_gids(keys=[]))
    write_roots(root_certificate())
    system.propagate_roots()
    system.remove()
    system.propagate_roots()
    assert len(trusted_by_cards(system)) == 1
