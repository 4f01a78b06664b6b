"""A certificate that is written to a card days after its key was made, on another machine.

The key is made in a container with a GUID for a name. Days later somebody else's program writes the certificate into its
file on the card, through the card minidriver interface, and moves no counter in ``cardcf``. Whoever believes counters and
nothing else goes on saying that there is no certificate. A tool that then adds the certificate to the store, and asks
CryptAcquireCertificatePrivateKey to prove that its key is there, gets 0x8009200B, CRYPT_E_NO_KEY_PROPERTY. Here it is
told why, and mended. What writes through this project moves the counters, and never fails.
"""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from cardmodule import ADMIN_KEY, respond
from commandline import CommandLine
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from people import PIN, key_of, rsa_of

from calais.apps import linkrepair
from calais.apps.choosing import choose
from calais.apps.explain import follow
from calais.apps.linkfacts import PROVIDERS, gather, look_thoroughly
from calais.cards.gids.personalise import new_gids_card
from calais.minidriver.containers import parse_cmapfile
from calais.resource.virtual import VirtualReaders
from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.system import System, current
from calais.testing import FixedPrompt, card_data, local_system, virtual_gids, virtual_piv
from calais.win.blobs import parse_capi_public
from calais.win.errors import WinError
from calais.winapi import advapi32, cardmod, ncrypt
from calais.winapi.crypt32 import *

NAME = "lr-e46f1586-7133-4284-895d-557e2261c24d"
READER = "Virtual Reader 0"
DATA = b"a message"
COUNTERS_ONLY = {"gids.proof": "counters"}
SHARED = {"TransactionTimeoutMilliseconds": 0}  # several machines on one desk, and nobody waits for anybody
NO_HEALING, COMPARE = CRYPT_ACQUIRE_NO_HEALING, CRYPT_ACQUIRE_COMPARE_KEY_FLAG
acquire = CryptAcquireCertificatePrivateKey
CARDS = {
    "GIDS": lambda: virtual_gids(keys=[], admin_key=ADMIN_KEY, seed=1),
    "PIV": lambda: virtual_piv(keys={0x9A: (rsa_of("offline 9A"), None)}, management_key=ADMIN_KEY, seed=1),
}


def machine(card, **policy):
    """A computer of its own with ``card`` in its reader; somebody there knows the PIN."""
    system = local_system(prompt=FixedPrompt(PIN), policy={**SHARED, **policy})
    system.insert(card, READER)
    return system


# --- the parts of the story -------------------------------------------------------------------------------------------


def make_key(kind):
    """The first day: a key in its container, whose request goes to an authority. Its name, and the certificate."""
    if kind == "PIV":
        (container,) = current_card().refresh(probe_keys=True)
        return container.name, issued(rsa_of("offline 9A").public_key(), 1)
    provider = advapi32.CryptAcquireContext(NAME, MS_SCARD_PROV, PROV_RSA_FULL, CRYPT_NEWKEYSET)
    key = advapi32.CryptGenKey(provider, AT_KEYEXCHANGE, 2048 << 16)
    blob = advapi32.CryptExportKey(key, None, advapi32.PUBLICKEYBLOB)
    advapi32.CryptReleaseContext(provider, 0)
    return NAME, issued(parse_capi_public(blob)[0], 1)


def issued(public, serial):
    """A certificate of ``public`` with this serial number, as each that an authority issues has its own."""
    name = x509.Name.from_rfc4514_string("CN=holder")
    builder = x509.CertificateBuilder(name, name, public, serial, datetime(2026, 1, 1), datetime(2030, 1, 1))
    return builder.sign(key_of("authority"), hashes.SHA256()).public_bytes(Encoding.DER)


def current_card():
    return current().card(READER)


def write_offline(card, name, certificate):
    """Days later, another program: the certificate into the file of its container, and not a word in ``cardcf``."""
    data = card_data(card)
    cardmod.CardAcquireContext(data)
    cardmod.CardAuthenticatePin(data, "user", PIN.encode())
    cardmod.CardAuthenticateChallenge(data, respond(cardmod.CardGetChallenge(data), ADMIN_KEY))
    before = cardmod.CardReadFile(data, None, "cardcf")
    names = [record.guid for record in parse_cmapfile(cardmod.CardReadFile(data, "mscp", "cmapfile"))]
    index = names.index(name) if name in names else 0  # PIV lists no container before its certificate is there
    file = f"kxc{index:02X}"
    if file.lower() not in [each.lower() for each in cardmod.CardEnumFiles(data, "mscp")]:
        cardmod.CardCreateFile(data, "mscp", file, 0, cardmod.EveryoneReadUserWriteAc)
    cardmod.CardWriteFile(data, "mscp", file, 0, cardmod.compress_certificate(certificate))
    after = cardmod.CardReadFile(data, None, "cardcf")
    cardmod.CardDeleteContext(data)
    return before == after


def certificate_by_name(name):
    """KP_CERTIFICATE, as the tool asks for it; ``None`` = there is none."""
    provider = advapi32.CryptAcquireContext(name, MS_SCARD_PROV, PROV_RSA_FULL, 0)
    try:
        return advapi32.CryptGetKeyParam(advapi32.CryptGetUserKey(provider, AT_KEYEXCHANGE), KP_CERTIFICATE)
    except WinError:
        return None
    finally:
        advapi32.CryptReleaseContext(provider, 0)


def add_without_link(encoded):
    """The tool adds the bare certificate to the user's store."""
    context = CertCreateCertificateContext(PKCS_7_ASN_ENCODING | X509_ASN_ENCODING, encoded)
    store = CertOpenStore(CERT_STORE_PROV_SYSTEM, 0, None, CERT_SYSTEM_STORE_CURRENT_USER, "My")
    return CertAddCertificateContextToStore(store, context, CERT_STORE_ADD_REPLACE_EXISTING)


def proves_ownership(context, flags=COMPARE):
    """The key behind a certificate signs, by CryptSignHash."""
    acquired = acquire(context, flags)
    hash_ = advapi32.CryptCreateHash(acquired.handle, CALG_SHA1)
    advapi32.CryptHashData(hash_, DATA)
    signature = advapi32.CryptSignHash(hash_, acquired.key_spec, None, 0)[::-1]
    public = x509.load_der_x509_certificate(context.encoded).public_key()
    public.verify(signature, DATA, padding.PKCS1v15(), hashes.SHA1())
    advapi32.CryptReleaseContext(acquired.handle, 0)
    return True


def refused(context, flags=0):
    with pytest.raises(WinError) as caught:
        acquire(context, flags)
    return caught.value


def explained(system):
    """What ``calais cert explain 1`` finds."""
    with system.store() as store:
        return follow(gather(system, choose(store, "1")[1], "My"), system.clock.now())


def repaired(system):
    """What ``calais cert repair 1`` does."""
    with system.store() as store:
        found = choose(store, "1")[1]
        plan = linkrepair.plan(found.der, found.key_prov_info, look_thoroughly(system), PROVIDERS)
        return str(linkrepair.apply(found, plan).outcome)


# --- the story --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(CARDS))
def test_the_whole_story(kind):
    card = CARDS[kind]()
    with machine(card, **COUNTERS_ONLY) as home:
        name, certificate = make_key(kind)
        assert home.propagate() == []
        assert certificate_by_name(name) is None

        with machine(card):
            assert write_offline(card, name, certificate) or kind == "PIV", "the counters moved"

        # Who believes counters says that there is no certificate. PIV has none, and each object is looked at.
        is_stale = kind == "GIDS"
        assert (certificate_by_name(name) is None) == is_stale

        context = add_without_link(certificate)
        error = refused(context, NO_HEALING)
        assert (error.name, error.code) == ("CRYPT_E_NO_KEY_PROPERTY", 0x8009200B)
        assert "cert repair" in error.next_step

        found = explained(home)
        assert [each.name for each in found.breaks] == ["no_link", "memory_stale"][: 1 + is_stale]
        assert found.breaks[0].code == 0x8009200B
        assert "without its link" in found.verdict
        assert home.card().label in found.verdict
        assert found.breaks[0].mend == "Write the link anew: calais cert repair"

        assert repaired(home) == "linked"
        assert explained(home).works
        context = CertEnumCertificatesInStore(CertOpenSystemStore(None, "My"))
        assert get_link(context).container_name.casefold() == name.casefold()
        assert proves_ownership(context, COMPARE | NO_HEALING)
        assert certificate_by_name(name) == certificate


def get_link(context):
    return CertGetCertificateContextProperty(context, CERT_KEY_PROV_INFO_PROP_ID)


@pytest.mark.parametrize("kind", list(CARDS))
def test_with_the_card_out_the_code_is_the_same_and_the_advice_is_to_insert_it(kind):
    card = CARDS[kind]()
    with machine(card) as home:
        _, certificate = make_key(kind)
        context = add_without_link(certificate)
        home.remove(READER)
        assert refused(context).code == 0x8009200B
        (broken,) = explained(home).breaks
        assert (broken.code, broken.mend) == (0x8009200B, "Insert the card and run: calais cert repair")
        assert repaired(home) == "keyless"
        home.insert(card, READER)
        assert proves_ownership(context)


@pytest.mark.parametrize("kind", list(CARDS))
@pytest.mark.parametrize("policy", [{}, COUNTERS_ONLY], ids=["by default", "counters only"])
def test_healing_finds_the_key_at_the_first_call_whoever_wrote_the_certificate(kind, policy):
    card = CARDS[kind]()
    with machine(card, **policy) as home:
        name, certificate = make_key(kind)
        home.propagate()
        with machine(card):
            write_offline(card, name, certificate)
        assert proves_ownership(add_without_link(certificate))


@pytest.mark.parametrize("kind", list(CARDS))
def test_a_request_that_is_pending_is_told(kind):
    with machine(CARDS[kind]()) as home:
        _, certificate = make_key(kind)
        add_without_link(certificate)
        assert "a request is pending" in explained(home).verdict
        assert repaired(home) == "linked"
        assert explained(home).works


@pytest.mark.parametrize("kind", list(CARDS))
def test_by_default_the_first_propagation_finds_a_certificate_that_was_written_offline(kind):
    card = CARDS[kind]()
    with machine(card) as home:
        name, certificate = make_key(kind)
        assert home.propagate() == []
        with machine(card):
            write_offline(card, name, certificate)
        (outcome,) = home.propagate()
        assert str(outcome.action) == "added"
        assert outcome.certificate.encoded == certificate
        assert proves_ownership(outcome.certificate, NO_HEALING | COMPARE)


def test_also_in_a_process_that_has_the_old_list_from_another_one(tmp_path):
    def process():
        system = local_system(tmp_path, prompt=FixedPrompt(PIN), policy=SHARED)
        system.insert(card, READER)
        return system

    card = CARDS["GIDS"]()
    with process() as first:
        name, certificate = make_key("GIDS")
        assert first.propagate() == []
    with machine(card):
        write_offline(card, name, certificate)
    with process() as second:
        assert [str(outcome.action) for outcome in second.propagate()] == ["added"]


def test_who_believes_counters_alone_waits_for_the_card_to_be_forgotten():
    card = CARDS["GIDS"]()
    with machine(card, **COUNTERS_ONLY) as home:
        name, certificate = make_key("GIDS")
        home.propagate()
        with machine(card):
            write_offline(card, name, certificate)
        assert home.propagate() == []
        home.remove(READER)
        home.insert(card, READER)
        assert home.propagate() == []
        home.card().run(lambda driver: driver.forget_data())
        assert [str(outcome.action) for outcome in home.propagate()] == ["added"]


# --- our own writer never fails ---------------------------------------------------------------------------------------


def by_cryptoapi(name, certificate):
    """KP_CERTIFICATE."""
    provider = advapi32.CryptAcquireContext(name, MS_SCARD_PROV, PROV_RSA_FULL, 0)
    advapi32.CryptSetKeyParam(advapi32.CryptGetUserKey(provider, AT_KEYEXCHANGE), KP_CERTIFICATE, certificate)
    advapi32.CryptReleaseContext(provider, 0)


def by_cng(name, certificate):
    """NCRYPT_CERTIFICATE_PROPERTY."""
    provider = ncrypt.NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER)
    key = ncrypt.NCryptOpenKey(provider, name)
    ncrypt.NCryptSetProperty(key, ncrypt.NCRYPT_CERTIFICATE_PROPERTY, certificate)
    ncrypt.NCryptFreeObject(key)
    ncrypt.NCryptFreeObject(provider)


def by_command(name, certificate):
    """What ``calais card put-cert`` does."""
    card = current_card()
    index = card.container(name).index
    card.holder("write a certificate").run(lambda driver: driver.write_certificate(index, certificate))


WRITERS = (by_cryptoapi, by_cng, by_command)


def installs(name, certificate):
    """The tool of the story, once: whether the certificate ends up in the store with its key, and signs."""
    if certificate_by_name(name) != certificate:
        return False
    try:
        return proves_ownership(add_without_link(certificate))
    except WinError:
        return False


def interleaved(rng, writer, certificates, name, machines):
    """One try: machines list, propagate and use the card as they like; one writes; each then installs."""
    certificate = rng.choice(certificates)
    for system in rng.sample(machines, rng.randint(0, len(machines))):
        with system:
            rng.choice((system.propagate, lambda: certificate_by_name(name), lambda: current_card().containers))()
    with rng.choice(machines):
        writer(name, certificate)
    with (system := rng.choice(machines)):
        if rng.random() < 0.3:
            card = system._slots.slot(READER).card
            system.remove(READER)
            system.insert(card, READER)
        return installs(name, certificate)


@pytest.fixture
def desk():
    """A card with a key, certificates that an authority may issue for it, and machines that have all read the card."""
    card = CARDS["GIDS"]()
    with ExitStack() as stack:
        machines = [stack.enter_context(machine(card, **policy)) for policy in ({}, COUNTERS_ONLY, {})]
        with machines[0]:
            name, certificate = make_key("GIDS")
        public = x509.load_der_x509_certificate(certificate).public_key()
        yield card, name, [issued(public, serial) for serial in range(1, 6)], machines


@pytest.mark.parametrize("part", range(4))
def test_none_of_200_tries_fails_when_this_project_writes(desk, part):
    _, name, certificates, machines = desk
    rng = random.Random(part)
    tries = [interleaved(rng, rng.choice(WRITERS), certificates, name, machines) for _ in range(50)]
    assert tries.count(False) == 0


def test_without_a_moved_counter_some_tries_fail_for_who_believes_counters_and_none_by_default(desk):
    card, name, certificates, _ = desk
    failures = {}
    for policy in ("head", "counters"):
        rng = random.Random(7)
        with ExitStack() as stack:
            proof = {"gids.proof": policy}
            machines = [stack.enter_context(machine(card, **proof)) for _ in range(2)]
            offline = partial(write_offline, card)
            tries = [interleaved(rng, offline, certificates, name, machines) for _ in range(12)]
        failures[policy] = tries.count(False)
    assert failures["head"] == 0
    assert failures["counters"] > 0


# --- the same from the command line -----------------------------------------------------------------------------------


def test_the_story_from_the_command_line(capfdbinary, tmp_path, monkeypatch):
    calais = CommandLine(capfdbinary, tmp_path, monkeypatch)
    home = Path(os.environ["CALAIS_HOME"])
    home.mkdir(exist_ok=True)
    (home / "policy.toml").write_text('gids.proof = "counters"\n')
    key = rsa_of("offline 9A")
    certificate = issued(key.public_key(), 1)
    contents = [(NAME, AT_KEYEXCHANGE, key, None)]
    calais.virtual.new("grace", lambda memory: new_gids_card(memory, os.urandom, keys=contents))
    calais.ok("virtual", "insert", "grace")
    assert calais.json("propagate")["outcomes"] == []

    elsewhere = System(
        SystemStores(MemoryDatabase()), virtual=VirtualReaders(home / "virtual"), prompt=FixedPrompt(PIN)
    )
    with elsewhere:
        elsewhere.card().holder("write a file").run(lambda driver: write_file(driver, certificate))
    with System.local() as system, system.store() as store:
        store.add(certificate)

    shown = calais.run("cert", "explain", "1")
    assert shown.code == 1
    assert "CRYPT_E_NO_KEY_PROPERTY (0x8009200B)" in shown.out
    assert "SCARD_W_CACHE_ITEM_STALE (0x80100071)" in shown.out
    assert "calais cert repair" in shown.out
    assert calais.json("cert", "repair", "1")["certificates"][0]["outcome"] == "linked"
    calais.ok("cert", "explain", "1")
    document = calais.file("doc", "text")
    calais.ok("sign", document, "--cert", "1", "--pin-file", calais.pin)
    calais.ok("verify", document, "doc.sig", "--cert", "1")


def write_file(driver, certificate):
    driver.create_file("mscp", "kxc00", 0, 1)
    driver.write_file("mscp", "kxc00", cardmod.compress_certificate(certificate))
