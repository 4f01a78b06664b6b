"""Cards pulled out, and programs killed, at every instant of every change through the faces of the providers: what was
there is there, all faces see the same, no certificate is beside another key, and the next run or ``repair`` mends it.
"""

from __future__ import annotations

import pytest
from certs import make, name_der
from cspdesk import acquire, set_certificate
from facecuts import (
    BARE,
    EC,
    FULL,
    KSP,
    Bench,
    another_certificate,
    attempt,
    cuts,
    ec_key,
    faces_agree,
    first_certificate,
    short_rsa,
    store_leads_somewhere,
    works,
)

from calais.apps import leftovers, linkrepair
from calais.apps.linkfacts import PROVIDERS, look_thoroughly
from calais.cards.base import BytesMemory
from calais.minidriver.orphans import OrphanKind
from calais.store.formats import pkcs12
from calais.win import blobs
from calais.win.codes import Code
from calais.win.structs import BCryptBuffer, CryptKeyProvInfo
from calais.winapi import advapi32 as api
from calais.winapi import ncrypt
from calais.winapi.crypt32 import (
    CertCreateSelfSignCertificate,
    PFXImportCertStore,
)

NEW = api.CRYPT_NEWKEYSET
KINDS = ("GIDS", "PIV")
FRESH = "fresh"
LEGAL = {OrphanKind.KEY_WITHOUT_CERTIFICATE, OrphanKind.CONTAINER_WITHOUT_KEY, OrphanKind.KEY_WITHOUT_CONTAINER}
NO_CONTAINER = Code.SCARD_E_NO_KEY_CONTAINER
TOTAL = {}


def context(what):
    """Prepares a context with its PIN presented."""

    def prepare(bench):
        handle = acquire(bench.name(what))
        api.CryptSetProvParam(handle, api.PP_KEYEXCHANGE_PIN, "123456")
        return handle

    return prepare


def fresh_context(_bench):
    return acquire(FRESH, NEW)


def key(what):
    def prepare(bench):
        return ncrypt.NCryptOpenKey(ncrypt.NCryptOpenStorageProvider(KSP), bench.name(what))

    return prepare


def draft(name, flags=0):
    """Prepares an unfinished P-256 key."""

    def prepare(bench):
        called = name if name == FRESH else bench.name(name)
        return ncrypt.NCryptCreatePersistedKey(ncrypt.NCryptOpenStorageProvider(KSP), "ECDSA_P256", called, 0, flags)

    return prepare


def draft_in_container(bench):
    """Prepares an unfinished key that goes into a container without one."""
    acquire(FRESH, NEW).close()
    return draft(FRESH)(bench)


def nothing(_bench):
    return None


def load(_bench, handle):
    api.CryptImportKey(handle, blobs.build_capi_private(short_rsa("loaded"), api.CALG_RSA_KEYX))


def load_by_cng(_bench, _):
    params = [BCryptBuffer(ncrypt.NCRYPTBUFFER_PKCS_KEY_NAME, FRESH)]
    blob = blobs.build_ecc_private(ec_key("loaded"), "ECDSA")
    ncrypt.NCryptImportKey(ncrypt.NCryptOpenStorageProvider(KSP), None, "ECCPRIVATEBLOB", params, blob)


def roots(_bench):
    from calais.winapi.crypt32 import (
        CERT_STORE_ADD_ALWAYS,
        CERT_STORE_PROV_MEMORY,
        CertAddEncodedCertificateToStore,
        CertOpenStore,
    )

    store = CertOpenStore(CERT_STORE_PROV_MEMORY)
    for number in range(3):
        CertAddEncodedCertificateToStore(store, 1, make(f"Root {number}", key=ec_key(number)), CERT_STORE_ADD_ALWAYS)
    return acquire(None), store


def set_roots(_bench, prepared):
    handle, store = prepared
    api.CryptSetProvParam(handle, api.PP_ROOT_CERTSTORE, store)


def self_sign(_bench, _):
    link = CryptKeyProvInfo(FRESH, KSP, 0)
    CertCreateSelfSignCertificate(None, name_der("Ada"), 0, link, "1.2.840.10045.4.3.2")


def load_pfx(_bench, pfx):
    PFXImportCertStore(pfx, "secret")


def a_pfx(_bench):
    ours = ec_key("pfx")
    return pkcs12.build_pfx([pkcs12.Entry(make("Pfx", key=ours), "ours", ours)], "secret")


def wrong_link(bench):
    """Prepares a certificate in My whose link names no container."""
    with bench.system.store("My") as store:
        store.add(bench.system.card().refresh(probe_keys=True).by_name(bench.name(FULL)).certificate)
        for each in store:
            each.set(2, CryptKeyProvInfo("nowhere", "Microsoft Base Smart Card Crypto Provider", 1, 0, (), 1))
    bench.handles.append("relink")


def relink(bench, _):
    """What ``calais cert repair`` does."""
    with bench.system.store("My") as store:
        for each in list(store):
            linkrepair.apply(
                each, linkrepair.plan(each.der, each.key_prov_info, look_thoroughly(bench.system), PROVIDERS)
            )


def delete_key(_bench, handle):
    ncrypt.NCryptDeleteKey(handle)


def cng_certificate(make_der):
    def change(_bench, handle):
        ncrypt.NCryptSetProperty(handle, ncrypt.NCRYPT_CERTIFICATE_PROPERTY, make_der())

    return change


def csp_certificate(make_der):
    return lambda _bench, handle: set_certificate(handle, make_der())


# name → kinds, preparation, change, what it may take away.
CHANGES = {
    "NEWKEYSET": (KINDS, nothing, lambda bench, _: acquire(FRESH, NEW).close(), ()),
    "CryptGenKey": (KINDS, fresh_context, lambda bench, handle: api.CryptGenKey(handle, 1, 1024 << 16), ()),
    "CryptGenKey over": (KINDS, context(FULL), lambda bench, handle: api.CryptGenKey(handle, 1, 1024 << 16), (FULL,)),
    "CryptImportKey": (KINDS, fresh_context, load, ()),
    "CryptImportKey over": (KINDS, context(FULL), load, (FULL,)),
    "KP_CERTIFICATE set": (KINDS, context(BARE), csp_certificate(first_certificate), ()),
    "KP_CERTIFICATE over": (KINDS, context(FULL), csp_certificate(another_certificate), ()),
    "KP_CERTIFICATE delete": (KINDS, context(FULL), csp_certificate(lambda: None), ()),
    "DELETEKEYSET": (KINDS, nothing, lambda bench, _: acquire(bench.name(FULL), api.CRYPT_DELETEKEYSET), (FULL,)),
    "PP_ROOT_CERTSTORE": (KINDS, roots, set_roots, ()),
    "NCryptFinalizeKey": (KINDS, draft(FRESH), lambda bench, key: ncrypt.NCryptFinalizeKey(key), ()),
    "NCryptFinalizeKey into": (KINDS, draft_in_container, lambda bench, key: ncrypt.NCryptFinalizeKey(key), ()),
    "NCryptFinalizeKey over": (
        KINDS,
        draft(EC, ncrypt.NCRYPT_OVERWRITE_KEY_FLAG),
        lambda bench, key: ncrypt.NCryptFinalizeKey(key),
        (EC,),
    ),
    "NCryptImportKey": (KINDS, nothing, load_by_cng, ()),
    "NCRYPT_CERTIFICATE_PROPERTY set": (KINDS, key(BARE), cng_certificate(first_certificate), ()),
    "NCRYPT_CERTIFICATE_PROPERTY delete": (KINDS, key(EC), cng_certificate(lambda: None), ()),
    "NCryptDeleteKey": (("GIDS",), key(EC), delete_key, (EC,)),
    "CertCreateSelfSignCertificate": (KINDS, nothing, self_sign, ()),
    "PFXImportCertStore": (KINDS, a_pfx, load_pfx, ()),
    "cert repair": (KINDS, wrong_link, relink, ()),
}
CASES = [(name, kind) for name, row in CHANGES.items() for kind in row[0]]
CERTIFICATE_OF = {  # the certificates that may be beside a key that was there, during and after a change
    "KP_CERTIFICATE set": {BARE: first_certificate},
    "KP_CERTIFICATE over": {FULL: another_certificate},
    "KP_CERTIFICATE delete": {FULL: lambda: None},
    "NCRYPT_CERTIFICATE_PROPERTY set": {BARE: first_certificate},
    "NCRYPT_CERTIFICATE_PROPERTY delete": {EC: lambda: None},
}


every_change = pytest.mark.parametrize(("name", "kind"), CASES, ids=[f"{name}-{kind}" for name, kind in CASES])


@every_change
def test_a_change_that_is_cut_off_loses_nothing_and_is_mended(name, kind):
    survives(name, kind, stride=6)


@pytest.mark.nightly
@every_change
def test_a_change_that_is_cut_off_anywhere_loses_nothing_and_is_mended(name, kind):
    survives(name, kind)


def survives(name, kind, stride=1):
    _, prepare, change, taken = CHANGES[name]
    before = start(kind)
    points = 0
    for cut in cuts(kind, prepare, change, stride=stride):
        points += not cut.where.endswith("no cut")
        kept(name, cut, before, taken)
        mended(name, cut, before, taken)
    TOTAL[name, kind] = points
    print(f"{name} on {kind}: {points} cut points, {sum(TOTAL.values())} so far")


def start(kind):
    """What is on the card before: container names, keys and certificates of FULL, BARE and EC."""
    with Bench(kind) as bench:
        seen = faces_agree(bench, "before")
        return {what: (bench.name(what), *seen[bench.name(what)]) for what in (FULL, BARE, EC)}


def kept(name, cut, before, taken):
    """Nothing that was there is lost, for the program that saw it and for one that starts now."""
    old = faces_agree(cut.bench, cut.where)
    for what, (called, key, der) in before.items():
        if what in taken:
            continue
        legal = {der} | {each() for each in [CERTIFICATE_OF.get(name, {}).get(what)] if each}
        assert old[called][0] == key, f"{cut.where}: the key of {what} is lost"
        assert old[called][1] in legal, f"{cut.where}: the certificate of {what}"
        if cut.where.endswith("no cut") and len(legal) > 1:
            assert old[called][1] != der
    with Bench(cut.bench.kind, BytesMemory(cut.bench.memory.read())) as other:
        anew = faces_agree(other, f"{cut.where}, anew")
        kind = cut.bench.kind
        assert told(anew, kind) == told(old, kind), f"{cut.where}: a program that starts now sees otherwise"
        store_leads_somewhere(other, cut.where)
    if name == "cert repair":
        with cut.bench.system.store("My") as store:
            names = {each.key_prov_info.container_name for each in store}
        assert names <= {"nowhere", before[FULL][0]}, cut.where


def told(seen, kind):
    """What the card tells anybody: a PIV card does not name containers that wait for a key or a certificate."""
    return {name: pair for name, pair in seen.items() if pair[kind == "PIV"] is not None and pair[0] != NO_CONTAINER}


def mended(name, cut, before, taken):
    """The next run comes to its end, or there is nothing left to do; then nothing is out of order."""
    _, prepare, change, _ = CHANGES[name]
    with Bench(cut.bench.kind, BytesMemory(cut.bench.memory.read())) as bench:
        error = attempt(lambda: change(bench, again(bench, name, prepare)))
        card = bench.system.card()
        if error == Code.NTE_TOKEN_KEYSET_STORAGE_FULL:  # the one slot for signatures has the key that was made
            assert "9C" in [each.entry.reference for each in card.refresh(probe_keys=True)] or "9C" in [
                orphan.where for orphan in leftovers.look(card)
            ], cut.where
        elif (
            error == Code.NTE_NOT_SUPPORTED
        ):  # its book does not say yet what the key is for, and it has no certificate
            assert not unfinished(bench), cut.where
            assert not isinstance(attempt(lambda: change(bench, again(bench, name, prepare))), int), cut.where
        elif isinstance(error, int):
            assert error in (Code.NTE_EXISTS, Code.NTE_BAD_KEYSET, Code.NTE_NO_KEY), f"{cut.where}: again: {error:#x}"
        leftovers.mend(card, card.holder("repair the card"))
        left = [orphan for orphan in leftovers.look(card) if orphan.kind not in LEGAL]
        assert not left, f"{cut.where}: {left}"
        seen = faces_agree(bench, f"{cut.where}, mended")
        for what, (called, key, _) in before.items():
            if what not in taken:
                assert seen[called][0] == key, f"{cut.where}: mending took {what}"
        for what in {FULL, EC} - {*taken}:
            works(bench, what)


def unfinished(bench):
    """Delete the key that was made last; gives its certificate."""
    container = bench.system.card().containers.by_name(FRESH)
    der = container.certificate
    delete_key(bench, ncrypt.NCryptOpenKey(ncrypt.NCryptOpenStorageProvider(KSP), FRESH))
    return der


def again(bench, name, prepare):
    """What the same program does when it is started anew: it opens what it made, if it is there."""
    if prepare in (fresh_context, draft_in_container):
        made = attempt(lambda: acquire(FRESH, NEW))
        handle = acquire(FRESH) if made == Code.NTE_EXISTS else made
        if prepare is fresh_context:
            return handle
        handle.close()
        return draft(FRESH)(bench)
    return prepare(bench)
