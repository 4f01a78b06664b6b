"""Changes of cards through the faces of the providers, cut off at every instant; what they leave, as each face sees it.

A ``Bench`` is a system with one card in its reader. ``cuts`` runs a change once for each instant at which it can be cut:
before and after each command (the card is pulled, the program lives on), and around each commit inside the card (the
program dies with it).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cspdesk import acquire, certificate_of, check_signature, containers, public_key_of, sign
from gidsdesk import CARD_ID, Dice, certificate, p256
from people import PIN

from calais.cards.base import BytesMemory, PowerLoss
from calais.cards.gids import personalise as gids
from calais.cards.piv import personalise as piv
from calais.testing import FixedPrompt, local_system
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.winapi import advapi32 as api
from calais.winapi import ncrypt

POINTS_MAX = 200
FULL, BARE, EC = "full", "bare", "curve"  # an RSA key with certificate, one without, a P-256 key with certificate
POLICY = {"piv.container_map": "always"} | {
    f"AllowPrivate{kind}KeyImport": 1 for kind in ("Exchange", "Signature", "ECDHE", "ECDSA")
}
KSP = ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER
DIGEST = bytes(range(32))


@cache
def short_rsa(name):
    """The RSA-1024 key called ``name``."""
    del name
    return rsa.generate_private_key(65537, 1024)


@cache
def ec_key(name):
    """The P-256 key called ``name``."""
    del name
    return p256()


@cache
def records_of(kind):
    """The memory of a card before the change."""
    memory, dice = BytesMemory(), Dice()
    full, bare, curve = short_rsa(FULL), short_rsa(BARE), ec_key(EC)
    if kind == "GIDS":
        keys = [
            (FULL, 1, full, certificate(full, FULL)),
            (BARE, 1, bare, None),
            (EC, 3, curve, certificate(curve, EC)),
        ]
        gids.new_gids_card(memory, dice, keys=keys, card_id=CARD_ID)
    else:
        keys = {0x9A: (full, certificate(full, FULL)), 0x9D: (bare, None), 0x9E: (curve, certificate(curve, EC))}
        piv.new_card(memory, dice, chuid_guid=bytes(range(16)), keys=keys)
    return memory.read()


def card_of(kind, memory):
    """The card in ``memory``."""
    return (gids if kind == "GIDS" else piv).virtual_card(memory, Dice())


class Bench:
    """A system with the card of ``kind`` in its reader; ``memory``: that of the card."""

    def __init__(self, kind, memory=None):
        self.kind = kind
        self.memory = memory or BytesMemory(records_of(kind))
        self.card = card_of(kind, self.memory)
        self.system = local_system(prompt=FixedPrompt(PIN), policy=POLICY)
        self.handles = []

    def __enter__(self):
        self.system.__enter__()
        self.system.insert(self.card)
        return self

    def __exit__(self, *error):
        self.system.__exit__(*error)

    def name(self, what):
        """The container that ``FULL``, ``BARE`` or ``EC`` is in."""
        if self.kind == "GIDS":
            return what
        place = {FULL: "9A", BARE: "9D", EC: "9E"}[what]
        return self.system.card().refresh(probe_keys=True).find(place).name

    def reinsert(self):
        """The card is put in again, with power."""
        self.system.remove()
        self.card.power_cycle()
        self.system.insert(self.card)


@dataclass
class Cut:
    """One cut: where; the program that saw it, which still runs; ``error``: what it was told."""

    where: str
    bench: Bench
    error: WinError | None = None
    said: dict = field(default_factory=dict)


@contextmanager
def striking(bench, place, point):
    """The power goes at instant ``point`` of a kind; gives a list that is not empty if it did."""
    struck, left = [], [point]
    whole = bench.card.applet.process

    def tick():
        left[0] -= 1
        if left[0] <= 0:
            struck.append(point)
            raise PowerLoss(detail="pulled out")

    def process(apdu):
        if struck:
            raise PowerLoss(detail="pulled out")
        if place == "before":
            tick()
        answer = whole(apdu)
        if place == "after":
            tick()
        return answer

    bench.card.applet.process = process
    bench.memory.cut = (lambda _: tick()) if place == "commit" else None
    try:
        yield struck
    finally:
        bench.memory.cut = None
        bench.card.applet.process = whole


def cuts(kind, prepare, change, *, stride=1, places=("before", "after", "commit")):
    """Run ``change`` of what ``prepare`` gives, cut off at each instant, and once whole (``where`` is "no cut").

    ``stride``: at each second, third … instant only; of each place other ones.
    """
    for offset, place in enumerate(places):
        for point in count(1 + offset % stride, stride):
            assert point < POINTS_MAX, "the change does not end"
            with Bench(kind) as bench:
                prepared = prepare(bench)
                cut = Cut(f"{kind} {place} {point}", bench)
                with striking(bench, place, point) as struck:
                    try:
                        change(bench, prepared)
                    except WinError as error:
                        cut.error = error
                if not struck:
                    assert cut.error is None, f"{cut.where}: {cut.error} without a cut"
                    cut.where = f"{kind} no cut"
                    bench.reinsert()
                    if place == places[-1]:
                        yield cut
                    break
                bench.reinsert()
                yield cut


# --- what each face sees ---------------------------------------------------------------------------------------------


def spki(public):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def is_ec(key):
    """Whether ``key`` (DER) is no RSA key."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    return not isinstance(load_der_public_key(key), rsa.RSAPublicKey)


def attempt(call):
    """What ``call`` gives, or the code of its error."""
    try:
        return call()
    except WinError as error:
        return error.code


def by_card(system):
    """Containers: name → public key (or code), certificate (or code)."""
    found = {}
    for container in system.card().refresh(probe_keys=True):
        if not container.name:  # a key that was unnamed, or not named yet: only ``repair`` sees it
            continue
        key = attempt(lambda each=container: spki(each.public_key))
        found[container.name] = (key, attempt(lambda each=container: each.certificate))
    return found


def by_csp(system):
    """The RSA containers and empty ones through CryptoAPI."""
    del system
    found = {}
    with acquire(None, api.CRYPT_VERIFYCONTEXT | api.CRYPT_SILENT) as all_cards:
        names = containers(all_cards)
    for name in names:
        with acquire(name, api.CRYPT_SILENT) as handle:
            found[name] = _slot(handle)
    return found


def _slot(handle):
    for spec in (1, 2):
        key = attempt(lambda spec=spec: api.CryptGetUserKey(handle, spec))
        if not isinstance(key, int):
            der = attempt(lambda key=key: api.CryptGetKeyParam(key, api.KP_CERTIFICATE))
            return spki(public_key_of(handle, spec)), None if der == Code.SCARD_E_NO_SUCH_CERTIFICATE else der
    return None, None


def _listed(provider):
    names, state = [], None
    while True:
        try:
            name, state = ncrypt.NCryptEnumKeys(provider, None, state)
        except WinError as error:
            if error.code != Code.NTE_NO_MORE_ITEMS:
                raise
            return names
        names.append(name)


def by_ksp(system):
    """The containers with keys through CNG."""
    del system
    provider = ncrypt.NCryptOpenStorageProvider(KSP)
    found = {}
    for each in _listed(provider):
        with ncrypt.NCryptOpenKey(provider, each.name) as key:
            der = attempt(lambda key=key: ncrypt.NCryptGetProperty(key, ncrypt.NCRYPT_CERTIFICATE_PROPERTY))
            public = spki(key.material.public_key)
            found[each.name] = (public, None if der == Code.NTE_NOT_FOUND else der)
    return found


def faces_agree(bench, where):
    """All faces see the same, every certificate is of the key beside it; gives what they see."""
    seen = by_card(bench.system)
    csp, ksp = by_csp(bench.system), by_ksp(bench.system)
    for name, (key, der) in seen.items():
        if not isinstance(key, bytes):
            assert der is None, f"{where}: {name} has a certificate and no key"
            continue
        assert der is None or spki(x509.load_der_x509_certificate(der).public_key()) == key, f"{where}: {name}"
        assert ksp.get(name, (key, der)) == (key, der), f"{where}: CNG sees {name} otherwise"
        # CryptoAPI sees no EC keys, and until the card has said that a key is one, an empty container
        legal = [(key, der), (None, None)] if is_ec(key) else [(key, der)]
        assert csp.get(name, (key, der)) in legal, f"{where}: CryptoAPI sees {name} otherwise"
        if der is not None:
            assert name in ksp, f"{where}: CNG does not see {name}"
    assert {*csp, *ksp} <= {*seen}, f"{where}: {set(csp) | set(ksp)} beside {set(seen)}"
    return seen


def store_leads_somewhere(bench, where):
    """After propagation every link in My opens the key of its certificate."""
    from calais.winapi.crypt32 import (
        CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG,
        CRYPT_ACQUIRE_COMPARE_KEY_FLAG,
        CertOpenSystemStore,
        CryptAcquireCertificatePrivateKey,
    )

    bench.system.propagate()
    how = CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG | CRYPT_ACQUIRE_COMPARE_KEY_FLAG
    with CertOpenSystemStore(None, "My") as store:
        for context in store:
            handle = attempt(lambda each=context: CryptAcquireCertificatePrivateKey(each, how))
            assert not isinstance(handle, int), f"{where}: a link in My leads to nothing ({handle:#x})"


def works(bench, what):
    """The key that was ``FULL`` or ``EC`` signs, through the face for it."""
    name = bench.name(what)
    if what == EC:
        with ncrypt.NCryptOpenKey(ncrypt.NCryptOpenStorageProvider(KSP), name) as key:
            ncrypt.NCryptVerifySignature(key, None, DIGEST, ncrypt.NCryptSignHash(key, None, DIGEST))
        return
    with acquire(name) as handle:
        check_signature(short_rsa(what).public_key(), sign(handle))


@cache
def first_certificate():
    return certificate_of(short_rsa(BARE).public_key())


@cache
def another_certificate():
    return certificate_of(short_rsa(FULL).public_key())
