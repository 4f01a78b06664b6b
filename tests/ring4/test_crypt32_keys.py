"""From a certificate to its key: flags, caches, ways to open, comparison and healing."""

# The names of the header are the point: they are all in the module.
# ruff: noqa: F403, F405

import gc
from dataclasses import replace

import certs
import pytest

from calais.store.finding import same_key
from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.testing import FixedPrompt, local_system, virtual_piv
from calais.win.errors import SilentContext, WinError, WrongPin
from calais.winapi.crypt32 import *

X509 = X509_ASN_ENCODING
KEY, OTHER = certs.rsa_key(), certs.ec_key(3)
DER = certs.make("Alice", key=KEY)
CSP = CryptKeyProvInfo("box", MS_SCARD_PROV, PROV_RSA_FULL, 0, (), AT_SIGNATURE)
KSP = CryptKeyProvInfo("box", MS_SMART_CARD_KEY_STORAGE_PROVIDER, 0, 0)
CACHE, USE, COMPARE = CRYPT_ACQUIRE_CACHE_FLAG, CRYPT_ACQUIRE_USE_PROV_INFO_FLAG, CRYPT_ACQUIRE_COMPARE_KEY_FLAG
NO_HEALING, SILENT = CRYPT_ACQUIRE_NO_HEALING, CRYPT_ACQUIRE_SILENT_FLAG
ALLOW, PREFER = CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG, CRYPT_ACQUIRE_PREFER_NCRYPT_KEY_FLAG
ONLY = CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG
INFO = CERT_KEY_PROV_INFO_PROP_ID
acquire = CryptAcquireCertificatePrivateKey


class Handle:
    def __init__(self, key, is_ncrypt):
        self.key, self.is_ncrypt, self.closed = key, is_ncrypt, 0

    def close(self):
        self.closed += 1


class Keys:
    """Containers by name, opened as the providers do; every opening is noted."""

    def __init__(self, **containers):
        self.containers = containers
        self.failures = {}
        self.calls = []
        self.opened = []

    def open_csp(self, info, *, silent, window):
        return self.open(info, silent, window, is_ncrypt=False)

    def open_ksp(self, info, *, silent, window):
        return self.open(info, silent, window, is_ncrypt=True)

    def open(self, info, silent, window, *, is_ncrypt):
        self.calls.append((is_ncrypt, info, silent, window))
        if is_ncrypt in self.failures:
            raise self.failures[is_ncrypt]
        if info.container_name not in self.containers:
            raise WinError.of(NTE_BAD_KEYSET, "no such container")
        self.opened.append(Handle(self.containers[info.container_name], is_ncrypt))
        return self.opened[-1]

    def public_key(self, handle, key_spec):
        return CertPublicKeyInfo.from_der(certs.spki(handle.key))

    def search(self, key, *, ncrypt):
        self.calls.append(("search", ncrypt))
        for name, held in self.containers.items():
            if same_key(CertPublicKeyInfo.from_der(certs.spki(held)), key):
                return replace(KSP if ncrypt else CSP, container_name=name)
        return None


class System:
    def __init__(self, **containers):
        self.keys = Keys(**containers)
        self.stores = SystemStores(MemoryDatabase())


@pytest.fixture
def system():
    return System(box=KEY)


@pytest.fixture
def context():
    return CertCreateCertificateContext(X509, DER)


def link(context, info, **changes):
    CertSetCertificateContextProperty(context, INFO, 0, replace(info, **changes))


def code_of(call, *args, **more):
    with pytest.raises(WinError) as caught:
        call(*args, **more)
    return caught.value.code


def get(context, prop_id):
    return CertGetCertificateContextProperty(context, prop_id)


def shows(context, prop_id):
    return CertFindCertificateInStore(context.store, X509, 0, CERT_FIND_PROPERTY, prop_id) is not None


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0x10, 0x20, 0x100, 0x80000, 0x80000000])
def test_unknown_flags_are_refused_before_anything_is_opened(system, context, flags):
    link(context, CSP)
    assert code_of(acquire, context, flags, system=system) == NTE_BAD_FLAGS
    assert code_of(CryptFindCertificateKeyProvInfo, context, flags, system=system) == NTE_BAD_FLAGS
    assert system.keys.calls == []


@pytest.mark.parametrize(
    ("flags", "window"),
    [(0, 5), (CRYPT_ACQUIRE_WINDOW_HANDLE_FLAG | SILENT, 5), (CRYPT_ACQUIRE_WINDOW_HANDLE_FLAG, "5"), (SILENT, 0)],
)
def test_a_window_goes_with_its_flag_and_not_with_silence(system, context, flags, window):
    link(context, CSP)
    assert code_of(acquire, context, flags, window, system=system) == E_INVALIDARG


def test_the_window_and_silence_reach_the_opener(system, context):
    link(context, CSP, flags=CERT_SET_KEY_CONTEXT_PROP_ID | CRYPT_MACHINE_KEYSET)
    acquire(context, CRYPT_ACQUIRE_WINDOW_HANDLE_FLAG, 77, system=system)
    acquire(context, SILENT, system=system)
    (_, first, loud, window), (_, second, silent, none) = system.keys.calls
    assert (first.flags, loud, window) == (CRYPT_MACHINE_KEYSET, False, 77)
    assert (second.flags, silent, none) == (CRYPT_MACHINE_KEYSET | CRYPT_SILENT, True, None)


# --- ways to open -----------------------------------------------------------------------------------------------------

BAD_KEYSET, FAIL, NO_KSP = (WinError.of(code) for code in (NTE_BAD_KEYSET, NTE_FAIL, NTE_KEYSET_NOT_DEF))


@pytest.mark.parametrize(
    ("info", "flags", "failures", "expected"),
    [
        (CSP, 0, {}, False),
        (CSP, ALLOW, {}, False),
        (CSP, PREFER, {}, True),
        (CSP, ONLY, {}, True),
        (CSP, ONLY | PREFER | ALLOW, {}, True),
        (CSP, PREFER | ALLOW, {}, True),
        (CSP, ALLOW, {False: FAIL}, True),
        (CSP, PREFER, {True: FAIL}, False),
        (CSP, 0, {False: FAIL}, NTE_FAIL),
        (CSP, ONLY, {True: NO_KSP}, NTE_KEYSET_NOT_DEF),
        (CSP, ALLOW, {False: FAIL, True: BAD_KEYSET}, NTE_FAIL),
        (CSP, PREFER, {True: FAIL, False: BAD_KEYSET}, NTE_FAIL),
        (CSP, ALLOW, {False: FAIL, True: NO_KSP}, NTE_FAIL),
        (CSP, PREFER, {False: FAIL, True: NO_KSP}, NTE_FAIL),
        (CSP, PREFER, {False: NO_KSP, True: NO_KSP}, NTE_KEYSET_NOT_DEF),
        (KSP, 0, {}, NTE_BAD_PROV_TYPE),
        (KSP, ALLOW, {}, True),
        (KSP, PREFER, {}, True),
        (KSP, ONLY, {}, True),
        (KSP, ALLOW, {True: FAIL}, NTE_FAIL),
    ],
)
def test_the_link_and_the_flags_say_how_the_key_is_opened(system, context, info, flags, failures, expected):
    link(context, info)
    system.keys.failures = failures
    if isinstance(expected, bool):
        handle, key_spec, caller_free = acquire(context, flags, system=system)
        assert (handle.is_ncrypt, caller_free) == (expected, True)
        assert key_spec == (CERT_NCRYPT_KEY_SPEC if expected else AT_SIGNATURE)
    else:
        assert code_of(acquire, context, flags | NO_HEALING, system=system) == expected
    assert not shows(context, CERT_KEY_CONTEXT_PROP_ID)


@pytest.mark.parametrize(("flags", "code"), [(0, NTE_BAD_PROV_TYPE), (ALLOW, E_INVALIDARG), (ONLY, E_INVALIDARG)])
def test_a_cng_link_has_no_provider_parameters(system, context, flags, code):
    link(context, KSP, params=(CryptKeyProvParam(1, b""),))
    assert code_of(acquire, context, flags, system=system) == code


@pytest.mark.parametrize("error", [WrongPin(attempts_left=2), SilentContext()])
def test_a_second_way_spends_no_second_try(system, context, error):
    link(context, CSP)
    system.keys.failures = {False: error}
    assert code_of(acquire, context, ALLOW, system=system) == error.code
    assert len(system.keys.calls) == 1


# --- caching ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "info_flags", "kept"),
    [
        (0, 0, False),
        (0, 1, False),
        (CACHE, 0, True),
        (CACHE, 1, True),
        (USE, 0, False),
        (USE, 1, True),
        (CACHE | USE, 0, False),
        (CACHE | USE, 1, True),
    ],
)
def test_who_keeps_the_handle(system, context, flags, info_flags, kept):
    link(context, CSP, flags=info_flags)
    first, second = (acquire(context, flags, system=system) for _ in range(2))
    assert (first.handle is second.handle) == kept
    assert first.caller_free == second.caller_free == (not kept)
    assert (context.element.slot is not None) == kept
    assert len(system.keys.opened) == (1 if kept else 2)


def test_the_kept_handle_dies_with_the_certificate(system, context):
    link(context, CSP)
    handle = acquire(context, CACHE, system=system).handle
    assert (get(context, CERT_KEY_PROV_HANDLE_PROP_ID), get(context, CERT_KEY_SPEC_PROP_ID)) == (handle, AT_SIGNATURE)
    CertFreeCertificateContext(context)
    assert handle.closed == 1


def test_a_kept_handle_makes_a_container_that_is_gone_usable(system, context):
    link(context, CSP, flags=1)
    handle = acquire(context, USE, system=system).handle
    system.keys.containers.clear()
    assert acquire(context, USE | COMPARE, system=system) == (handle, AT_SIGNATURE, False)


@pytest.mark.parametrize(("is_ncrypt", "flags"), [(True, 0), (False, ONLY)])
def test_a_cached_handle_of_the_wrong_kind_is_not_used(system, context, is_ncrypt, flags):
    link(context, CSP)
    other = Handle(KEY, is_ncrypt)
    CertSetCertificateContextProperty(context, CERT_HCRYPTPROV_OR_NCRYPT_KEY_HANDLE_PROP_ID, 0, other)
    assert acquire(context, CACHE | flags, system=system).handle is system.keys.opened[0]
    assert other.closed == 1


def test_without_caching_the_slot_is_not_looked_at(system, context):
    CertSetCertificateContextProperty(context, CERT_KEY_CONTEXT_PROP_ID, 0, CertKeyContext(Handle(KEY, False), 1))
    assert code_of(acquire, context, NO_HEALING, system=system) == CRYPT_E_NO_KEY_PROPERTY
    assert acquire(context, CACHE | NO_HEALING, system=system).key_spec == 1


def test_a_slot_without_handle_counts_as_empty(system, context):
    link(context, CSP)
    CertSetCertificateContextProperty(context, CERT_KEY_SPEC_PROP_ID, 0, AT_KEYEXCHANGE)
    assert acquire(context, CACHE, system=system).handle is system.keys.opened[0]


# --- comparing --------------------------------------------------------------------------------------------------------


def test_another_key_is_refused_and_closed(context):
    system = System(box=OTHER)
    link(context, CSP)
    assert code_of(acquire, context, COMPARE | CACHE, system=system) == NTE_BAD_PUBLIC_KEY
    assert [handle.closed for handle in system.keys.opened] == [1]
    assert context.element.slot is None
    assert acquire(context, CACHE, system=system).handle.key is OTHER


def test_the_same_key_passes(system, context):
    link(context, CSP)
    assert acquire(context, COMPARE, system=system).handle.closed == 0


# --- healing ----------------------------------------------------------------------------------------------------------


def test_a_missing_link_is_found_by_the_key(system, context):
    handle, key_spec, _ = acquire(context, system=system)
    assert (handle.key, key_spec) == (KEY, AT_SIGNATURE)
    assert get(context, INFO) == replace(CSP, flags=1)


@pytest.mark.parametrize(("flags", "searched"), [(0, [False]), (ALLOW, [False]), (PREFER, [True]), (ONLY, [True])])
def test_the_flags_say_what_kind_of_link_is_looked_for(system, context, flags, searched):
    acquire(context, flags, system=system)
    assert [call[1] for call in system.keys.calls if call[0] == "search"] == searched
    assert get(context, INFO).prov_type == (0 if searched == [True] else PROV_RSA_FULL)


def test_a_link_to_a_container_that_is_gone_is_mended_and_stays_mended(context):
    system = System(new=KEY)
    store = CertOpenSystemStore(None, "My", system=system)
    stored = CertAddCertificateContextToStore(store, context, CERT_STORE_ADD_NEW)
    link(stored, CSP)
    CertSetCertificateContextProperty(stored, CERT_KEY_REPAIR_ATTEMPTED_PROP_ID, 0, b"")
    assert acquire(stored, system=system).handle.key is KEY
    again = CertEnumCertificatesInStore(CertOpenSystemStore(None, "My", system=system))
    assert get(again, INFO) == replace(CSP, container_name="new", flags=1)
    assert code_of(get, again, CERT_KEY_REPAIR_ATTEMPTED_PROP_ID) == CRYPT_E_NOT_FOUND


def test_a_read_only_store_is_mended_in_memory(context):
    system = System(new=KEY)
    CertAddCertificateContextToStore(CertOpenSystemStore(None, "My", system=system), context, CERT_STORE_ADD_NEW)
    flags = CERT_SYSTEM_STORE_CURRENT_USER | CERT_STORE_READONLY_FLAG
    reader = CertEnumCertificatesInStore(CertOpenStore(CERT_STORE_PROV_SYSTEM, 0, None, flags, "My", system=system))
    assert acquire(reader, system=system).handle.key is KEY
    assert get(reader, INFO).container_name == "new"
    again = CertEnumCertificatesInStore(CertOpenSystemStore(None, "My", system=system))
    assert code_of(get, again, INFO) == CRYPT_E_NOT_FOUND


@pytest.mark.parametrize(("info", "code"), [(None, CRYPT_E_NO_KEY_PROPERTY), (CSP, NTE_BAD_KEYSET)])
def test_a_fruitless_search_raises_what_was_wrong_and_writes_nothing(context, info, code):
    system = System(box2=OTHER)
    if info:
        link(context, info)
    assert code_of(acquire, context, system=system) == code
    assert CertEnumCertificateContextProperties(context, INFO if info else 0) == 0
    assert ("search", False) in system.keys.calls


@pytest.mark.parametrize(("info", "code"), [(None, CRYPT_E_NO_KEY_PROPERTY), (CSP, NTE_BAD_KEYSET)])
def test_no_healing_means_no_search(context, info, code):
    system = System(new=KEY)
    if info:
        link(context, info)
    assert code_of(acquire, context, NO_HEALING, system=system) == code
    assert ("search", False) not in system.keys.calls


@pytest.mark.parametrize("error", [NTE_KEYSET_NOT_DEF, SCARD_E_NO_SMARTCARD, NTE_NO_KEY, NTE_BAD_FLAGS])
def test_other_failures_are_not_healed_and_come_through(system, context, error):
    link(context, CSP)
    system.keys.failures = {False: WinError.of(error)}
    assert code_of(acquire, context, system=system) == error
    assert len(system.keys.calls) == 1


def test_a_failure_says_what_to_do(context):
    with pytest.raises(WinError) as caught:
        acquire(context, system=System())
    assert "propagate" in caught.value.next_step


# --- finding the link -------------------------------------------------------------------------------------------------


def test_a_link_that_fits_is_left_alone(system, context):
    link(context, CSP)
    CryptFindCertificateKeyProvInfo(context, system=system)
    assert get(context, INFO) == CSP
    assert [handle.closed for handle in system.keys.opened] == [1]
    assert all(silent for _, _, silent, _ in system.keys.calls)


@pytest.mark.parametrize("name", ["wrong", "gone"])
def test_a_link_that_does_not_is_replaced(context, name):
    system = System(wrong=OTHER, right=KEY)
    link(context, CSP, container_name=name)
    CryptFindCertificateKeyProvInfo(context, CRYPT_FIND_USER_KEYSET_FLAG | CRYPT_FIND_SILENT_KEYSET_FLAG, system=system)
    assert get(context, INFO) == replace(CSP, container_name="right", flags=1)


def test_no_key_anywhere_is_said_and_nothing_is_written(context):
    assert code_of(CryptFindCertificateKeyProvInfo, context, system=System(x=OTHER)) == NTE_NO_KEY
    assert CertEnumCertificateContextProperties(context) == 0
    assert code_of(CryptFindCertificateKeyProvInfo, context, 0, b"", system=System()) == E_INVALIDARG


# --- with a card ------------------------------------------------------------------------------------------------------


def propagated(system):
    system.propagate()
    return list(CertOpenSystemStore(None, "My"))


def test_the_link_works_for_another_process_after_the_card_was_taken_out(tmp_path):
    card = virtual_piv()
    with local_system(tmp_path) as first:
        first.insert(card)
        assert len(propagated(first)) == 3
    with local_system(tmp_path, prompt=FixedPrompt("123456")) as second:
        certificates = list(CertOpenSystemStore(None, "My"))
        assert {code_of(acquire, each, ALLOW | NO_HEALING) for each in certificates} == {SCARD_E_NO_READERS_AVAILABLE}
        second.insert(card)
        for each in certificates:
            handle, key_spec, caller_free = acquire(each, ALLOW | COMPARE | NO_HEALING)
            assert caller_free
            assert (key_spec == CERT_NCRYPT_KEY_SPEC) == handle.is_ncrypt
            handle.close()


def test_a_deleted_link_is_found_again_on_the_card():
    with local_system() as system:
        system.insert(virtual_piv())
        for each in propagated(system):
            before = get(each, INFO)
            CertSetCertificateContextProperty(each, INFO)
            acquire(each, ALLOW | COMPARE).handle.close()
            assert get(each, INFO) == before


def test_a_handle_in_the_store_is_closed_with_it():
    with local_system() as system:
        system.insert(virtual_piv())
        store = CertOpenSystemStore(None, "My")
        system.propagate()
        store.resync()
        handles = [acquire(each, USE | ALLOW).handle for each in store]
        gc.collect()
        assert not any(handle.closed for handle in handles)
        CertCloseStore(store)
        gc.collect()
        assert all(handle.closed for handle in handles)
