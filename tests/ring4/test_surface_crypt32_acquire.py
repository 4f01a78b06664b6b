"""From a certificate to its key: what a caller of crypt32 meets, on a PIV card and on a GIDS card."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from calais import WinError
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.winapi import advapi32, crypt32, ncrypt
from calais.winapi.crypt32 import CertificateContext, CryptKeyProvInfo, CryptKeyProvParam

pytestmark = pytest.mark.ring4

BASE = "Microsoft Base Smart Card Crypto Provider"
CARD_KSP = "Microsoft Smart Card Key Storage Provider"
ENHANCED = "Microsoft Enhanced RSA and AES Cryptographic Provider"
CNG_SPEC = 0xFFFFFFFF
CACHE, USE_INFO, COMPARE, NO_HEALING, SILENT, WINDOW = 1, 2, 4, 8, 0x40, 0x80
ALLOW, PREFER, ONLY = 0x10000, 0x20000, 0x40000
INFO, CONTEXT, REPAIR = 2, 5, 103
RSA_OID = "1.2.840.113549.1.1.11"


@functools.cache
def rsa_key(which: str) -> rsa.RSAPrivateKey:
    assert which
    return rsa.generate_private_key(65537, 2048)


@functools.cache
def ec_key(which: str) -> ec.EllipticCurvePrivateKey:
    assert which
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def certificate(key: Any, name: str = "Holder") -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(start).not_valid_after(start + dt.timedelta(days=9000))
    return builder.sign(key, hashes.SHA256())


def der(key: Any) -> bytes:
    return certificate(key).public_bytes(serialization.Encoding.DER)


def bare(key: Any) -> CertificateContext:
    return crypt32.CertCreateCertificateContext(dwCertEncodingType=1, pbCertEncoded=der(key))


@contextmanager
def fails(code: int) -> Iterator[None]:
    with pytest.raises(WinError) as caught:
        yield
    assert (caught.value.code, caught.value.name) == (code, caught.value.name)


@pytest.fixture
def prompt() -> FixedPrompt:
    return FixedPrompt("123456")


@pytest.fixture
def system(prompt: FixedPrompt) -> Iterator[Any]:
    keys = {0x9A: rsa_key("9A"), 0x9C: ec_key("9C"), 0x9D: rsa_key("9D")}
    with local_system(prompt=prompt) as made:
        made.insert(virtual_piv(keys={slot: (key, certificate(key)) for slot, key in keys.items()}))
        yield made


def propagated(system: Any, key: Any) -> CertificateContext:
    system.propagate()
    store = crypt32.CertOpenSystemStore(hProv=None, szSubsystemProtocol="My")
    digest = certificate(key).fingerprint(hashes.SHA1())
    found = crypt32.CertFindCertificateInStore(
        hCertStore=store, dwCertEncodingType=1, dwFindFlags=0, dwFindType=0x10000, pvFindPara=digest
    )
    assert found is not None
    return found


def info_of(context: CertificateContext) -> CryptKeyProvInfo:
    value = crypt32.CertGetCertificateContextProperty(pCertContext=context, dwPropId=INFO)
    assert isinstance(value, CryptKeyProvInfo)
    return value


def linked(system: Any, key: Any, **change: Any) -> CertificateContext:
    """A free context whose property 2 is what propagation wrote, changed as asked."""
    import dataclasses

    info = dataclasses.replace(info_of(propagated(system, key)), **change)
    context = bare(key)
    crypt32.CertSetCertificateContextProperty(pCertContext=context, dwPropId=INFO, dwFlags=0, pvData=info)
    return context


def acquire(context: CertificateContext, flags: int = 0, parameters: Any = None) -> Any:
    return crypt32.CryptAcquireCertificatePrivateKey(pCert=context, dwFlags=flags, pvParameters=parameters)


def has(context: CertificateContext, prop: int) -> bool:
    return prop in listed(context)


def listed(context: CertificateContext) -> list[int]:
    found, last = [], 0
    while last := crypt32.CertEnumCertificateContextProperties(pCertContext=context, dwPropId=last):
        found.append(last)
    return found


def free(got: Any) -> None:
    if got.key_spec == CNG_SPEC:
        ncrypt.NCryptFreeObject(got.handle)
    else:
        advapi32.CryptReleaseContext(got.handle, 0)


def sign(got: Any, oid: str = RSA_OID) -> bytes:
    spec = 0 if got.key_spec == CNG_SPEC else got.key_spec
    return crypt32.CryptSignCertificate(got.handle, spec, 1, b"to be signed", oid)


@pytest.mark.parametrize("slot", ["9A", "9D"])
@pytest.mark.parametrize(
    ("flags", "cng"), [(0, False), (ALLOW, False), (PREFER, True), (ONLY, True), (ALLOW | ONLY, True)]
)
def test_an_rsa_link_opens_the_kind_that_the_flags_ask_for(system: Any, slot: str, flags: int, cng: bool) -> None:
    key = rsa_key(slot)
    got = acquire(propagated(system, key), flags)
    assert got.caller_free is True
    assert isinstance(got.key_spec, int)
    assert got.key_spec == (CNG_SPEC if cng else 1)
    key.public_key().verify(sign(got)[::-1], b"to be signed", padding.PKCS1v15(), hashes.SHA256())
    free(got)


@pytest.mark.parametrize("flags", [ALLOW, PREFER, ONLY, ALLOW | PREFER], ids=hex)
def test_an_ec_link_gives_a_cng_key_under_every_ncrypt_flag(system: Any, flags: int) -> None:
    context = linked(system, ec_key("9C"), prov_name=CARD_KSP, prov_type=0)
    got = acquire(context, flags)
    assert tuple(got[1:]) == (CNG_SPEC, True)
    assert len(sign(got, "1.2.840.10045.4.3.2")) == 64
    free(got)


def test_a_ksp_link_without_a_flag_for_cng_is_bad_prov_type(system: Any) -> None:
    for key in (ec_key("9C"), rsa_key("9A")):
        context = linked(system, key, prov_name=CARD_KSP, prov_type=0)
        with fails(0x80090014):
            acquire(context, NO_HEALING)


@pytest.mark.parametrize(
    ("flags", "code"), [(0, 0x80090014), (ALLOW, 0x80070057), (PREFER, 0x80070057), (ONLY, 0x80070057)]
)
def test_a_ksp_link_with_parameters_is_refused(system: Any, flags: int, code: int) -> None:
    params = (CryptKeyProvParam(param=32, data=b"123456\0"),)
    context = linked(system, rsa_key("9A"), prov_name=CARD_KSP, prov_type=0, params=params)
    with fails(code):
        acquire(context, flags)


def test_a_link_to_the_enhanced_provider_has_no_ksp_to_go_to(system: Any) -> None:
    context = linked(system, rsa_key("9A"), prov_name=ENHANCED, prov_type=24)
    codes = []
    for flags in (0, ALLOW, PREFER):
        with pytest.raises(WinError) as caught:
            acquire(context, flags | NO_HEALING)
        codes.append(caught.value.code)
    assert len(set(codes)) == 1
    with fails(0x80090019):
        acquire(context, ONLY | NO_HEALING)


@pytest.mark.parametrize("flags", [0, ALLOW, PREFER, ONLY], ids=hex)
def test_no_link_and_no_healing_is_no_key_property(system: Any, flags: int) -> None:
    assert system.readers()
    context = bare(rsa_key("9A"))
    with fails(0x8009200B):
        acquire(context, flags | NO_HEALING)
    assert listed(context) == []


@pytest.mark.parametrize("flags", [0, ALLOW, PREFER, ONLY], ids=hex)
def test_a_fruitless_search_is_no_key_property_and_costs_no_pin(system: Any, prompt: FixedPrompt, flags: int) -> None:
    assert system.readers()
    context = bare(rsa_key("elsewhere"))
    with fails(0x8009200B):
        acquire(context, flags)
    assert not has(context, INFO)
    assert prompt.count == 0


@pytest.mark.parametrize("flags", [0, ALLOW, PREFER, ONLY], ids=hex)
def test_a_missing_link_is_healed_by_public_key(system: Any, prompt: FixedPrompt, flags: int) -> None:
    wanted = info_of(propagated(system, rsa_key("9D"))).container_name
    context = bare(rsa_key("9D"))
    crypt32.CertSetCertificateContextProperty(context, REPAIR, 0, b"\1")
    got = acquire(context, flags)
    info = info_of(context)
    assert (info.container_name, info.flags) == (wanted, 1)
    assert not has(context, REPAIR)
    assert prompt.count == 0
    free(got)


def test_a_broken_link_is_healed_and_the_healed_link_is_kept_in_the_store(system: Any) -> None:
    context = propagated(system, rsa_key("9A"))
    good = info_of(context)
    broken = CryptKeyProvInfo(container_name="gone", prov_name=good.prov_name, prov_type=good.prov_type, key_spec=1)
    crypt32.CertSetCertificateContextProperty(context, INFO, 0, broken)
    with fails(0x80090016):
        acquire(context, NO_HEALING)
    assert info_of(context) == broken
    free(acquire(context))
    again = propagated(system, rsa_key("9A"))
    assert info_of(again).container_name == good.container_name


def test_a_broken_link_that_no_card_can_mend_keeps_its_code_and_its_text(system: Any, prompt: FixedPrompt) -> None:
    context = bare(rsa_key("elsewhere"))
    broken = CryptKeyProvInfo(container_name="gone", prov_name=BASE, prov_type=1, key_spec=1)
    crypt32.CertSetCertificateContextProperty(context, INFO, 0, broken)
    with fails(0x80090016):
        acquire(context)
    assert info_of(context) == broken
    assert prompt.count == 0


@pytest.mark.parametrize("slot_flags", [0, ALLOW, ONLY], ids=hex)
def test_another_provider_name_is_keyset_not_def(system: Any, slot_flags: int) -> None:
    context = linked(system, rsa_key("9A"), prov_name="Nobody's Provider")
    with fails(0x80090019):
        acquire(context, slot_flags | NO_HEALING)


def test_no_card_and_an_empty_slot_keep_their_codes(system: Any) -> None:
    empty = linked(system, rsa_key("9A"), key_spec=2)
    with fails(0x8009000D):
        acquire(empty, NO_HEALING)
    good = linked(system, rsa_key("9A"))
    system.remove("Virtual Reader 0")
    with fails(0x8010000C):
        acquire(good, SILENT | NO_HEALING)


@pytest.mark.parametrize("flags", [0, ONLY], ids=hex)
def test_comparing_finds_another_key_and_is_not_healed(system: Any, flags: int) -> None:
    other = linked(system, rsa_key("9A"))
    context = bare(rsa_key("9D"))
    crypt32.CertSetCertificateContextProperty(context, INFO, 0, info_of(other))
    free(acquire(context, flags))
    with fails(0x80090015):
        acquire(context, flags | COMPARE | CACHE)
    assert not has(context, CONTEXT)
    assert info_of(context) == info_of(other)
    free(acquire(other, flags | COMPARE))


def test_comparing_is_skipped_for_a_cached_handle(system: Any) -> None:
    other = linked(system, rsa_key("9A"))
    context = bare(rsa_key("9D"))
    crypt32.CertSetCertificateContextProperty(context, INFO, 0, info_of(other))
    first = acquire(context, CACHE)
    assert acquire(context, CACHE | COMPARE).handle is first.handle


@pytest.mark.parametrize(
    ("flags", "info_flag", "kept"),
    [(0, 0, False), (0, 1, False), (1, 0, True), (2, 0, False), (3, 0, False), (2, 1, True), (3, 1, True)],
)
@pytest.mark.parametrize("kind", [0, ONLY], ids=["csp", "ksp"])
def test_the_caching_table(system: Any, flags: int, info_flag: int, kept: bool, kind: int) -> None:
    context = linked(system, rsa_key("9A"), flags=info_flag)
    first, second = acquire(context, flags | kind), acquire(context, flags | kind)
    assert (first.handle is second.handle) is kept
    assert {first.caller_free, second.caller_free} == {not kept}
    if kept:
        slot = crypt32.CertGetCertificateContextProperty(context, CONTEXT)
        assert (slot.handle, slot.key_spec) == (first.handle, first.key_spec)
    else:
        with fails(0x80092004):
            crypt32.CertGetCertificateContextProperty(context, CONTEXT)
        free(first)
        free(second)


def test_a_cached_handle_of_a_kind_not_allowed_is_displaced_and_closed(system: Any) -> None:
    context = linked(system, rsa_key("9A"))
    old = acquire(context, CACHE)
    new = acquire(context, CACHE | ONLY)
    assert (new.key_spec, new.caller_free) == (CNG_SPEC, False)
    with pytest.raises(WinError):
        advapi32.CryptReleaseContext(old.handle, 0)
    assert acquire(context, CACHE | ALLOW).handle is new.handle


def test_a_slot_without_a_handle_counts_as_empty(system: Any) -> None:
    context = linked(system, rsa_key("9A"))
    crypt32.CertSetCertificateContextProperty(context, CONTEXT, 0, crypt32.CertKeyContext(handle=None, key_spec=1))
    got = acquire(context, CACHE)
    assert got.handle is not None
    assert not got.caller_free


def test_the_slot_alone_counts_only_when_caching_is_in_force(system: Any) -> None:
    source = acquire(linked(system, rsa_key("9A")))
    context = bare(rsa_key("9A"))
    slot = crypt32.CertKeyContext(handle=source.handle, key_spec=1)
    crypt32.CertSetCertificateContextProperty(context, CONTEXT, 1, slot)
    with fails(0x8009200B):
        acquire(context, NO_HEALING)
    got = acquire(context, CACHE | NO_HEALING)
    assert tuple(got) == (source.handle, 1, False)
    crypt32.CertFreeCertificateContext(context)
    advapi32.CryptReleaseContext(source.handle, 0)


@pytest.mark.parametrize("bit", [0x10, 0x20, 0x100, 0x80000, 0x80000000], ids=hex)
def test_other_bits_are_bad_flags(system: Any, bit: int) -> None:
    with fails(0x80090009):
        acquire(linked(system, rsa_key("9A")), bit)


def test_a_window_goes_with_its_flag_and_not_with_silence(system: Any) -> None:
    context = linked(system, rsa_key("9A"))
    for flags in (WINDOW | SILENT, 0, SILENT):
        with fails(0x80070057):
            acquire(context, flags, 17)
    free(acquire(context, WINDOW, 17))
    with fails(0x80070057):
        acquire(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [0, ONLY], ids=["csp", "ksp"])
def test_silence_is_asked_of_the_signature_too(system: Any, prompt: FixedPrompt, kind: int) -> None:
    got = acquire(linked(system, rsa_key("9A")), SILENT | kind)
    with fails(0x80090022):
        sign(got)
    assert prompt.count == 0
    free(got)


def test_a_pin_among_the_parameters_of_the_link_is_given_to_the_provider(system: Any, prompt: FixedPrompt) -> None:
    params = (CryptKeyProvParam(param=32, data=b"123456\0"),)
    got = acquire(linked(system, rsa_key("9A"), params=params), SILENT)
    assert len(sign(got)) == 256
    assert prompt.count == 0
    free(got)


def find(context: CertificateContext, flags: int = 0) -> None:
    result = crypt32.CryptFindCertificateKeyProvInfo(pCert=context, dwFlags=flags, pvReserved=None)  # type: ignore[func-returns-value]
    assert result is None


@pytest.mark.parametrize("scope", [0, 1, 2, 3, 0x40])
@pytest.mark.parametrize(
    ("flags", "csp"), [(0, True), (ALLOW, True), (PREFER, False), (ONLY, False)], ids=["csp", "allow", "prefer", "only"]
)
def test_finding_writes_the_link_of_the_asked_kind(system: Any, scope: int, flags: int, csp: bool) -> None:
    assert system.readers()
    context = bare(rsa_key("9D"))
    find(context, scope | flags)
    info = info_of(context)
    assert (info.prov_type != 0) is csp
    assert info.prov_name == (BASE if csp else CARD_KSP)
    free(acquire(context, flags | COMPARE))


def test_an_ec_key_is_found_by_cng_only(system: Any, prompt: FixedPrompt) -> None:
    assert system.readers()
    context = bare(ec_key("9C"))
    with fails(0x8009000D):
        find(context)
    assert not has(context, INFO)
    find(context, ALLOW)
    assert info_of(context).prov_type == 0
    assert prompt.count == 0


def test_a_key_on_no_card_is_no_key(system: Any) -> None:
    assert system.readers()
    for flags in (0, ALLOW, PREFER, ONLY):
        with fails(0x8009000D):
            find(bare(rsa_key("elsewhere")), flags)


def test_a_good_link_is_left_alone_and_a_wrong_one_is_rewritten(system: Any) -> None:
    good = linked(system, rsa_key("9A"))
    before = info_of(good)
    find(good)
    assert info_of(good) == before
    wrong = bare(rsa_key("9D"))
    crypt32.CertSetCertificateContextProperty(wrong, INFO, 0, before)
    find(wrong)
    assert info_of(wrong).container_name != before.container_name


def test_of_two_cards_with_one_key_the_first_reader_wins_and_its_default_container(system: Any) -> None:
    key = rsa_key("9D")
    system.insert(virtual_gids(keys=[("other card", 1, key, certificate(key))]), reader="Virtual Reader 1")
    context = bare(key)
    find(context)
    assert info_of(context).container_name != "other card"


@pytest.mark.parametrize(("spec", "flags"), [(1, 0), (2, 0), (1, ONLY), (2, ONLY)])
def test_a_gids_card_answers_alike(spec: int, flags: int) -> None:
    key = rsa_key("9A")
    with local_system(prompt=FixedPrompt("123456")) as system:
        system.insert(virtual_gids(keys=[("my container", spec, key, certificate(key))]))
        context = propagated(system, key)
        assert (info_of(context).container_name, info_of(context).key_spec) == ("my container", spec)
        got = acquire(context, flags | COMPARE)
        assert got.key_spec == (CNG_SPEC if flags else spec)
        key.public_key().verify(sign(got)[::-1], b"to be signed", padding.PKCS1v15(), hashes.SHA256())
        free(got)


def test_a_certificate_written_seconds_ago_is_found_at_the_first_call() -> None:
    with local_system(prompt=FixedPrompt("123456")) as system:
        context = bare(rsa_key("9A"))
        with pytest.raises(WinError):
            acquire(context)
        system.insert(virtual_gids(keys=[("late", 1, rsa_key("9A"), certificate(rsa_key("9A")))]))
        got = acquire(context)
        assert info_of(context).container_name == "late"
        free(got)


def test_a_csp_link_to_an_ec_key_opens_where_cng_is_allowed(system: Any) -> None:
    context = linked(system, ec_key("9C"), prov_name=BASE, prov_type=1, key_spec=2)
    for flags in (ALLOW, PREFER, ONLY):
        got = acquire(context, flags | NO_HEALING)
        assert got.key_spec == CNG_SPEC
        free(got)
    with pytest.raises(WinError):
        acquire(context, NO_HEALING)


def test_a_certificate_in_a_store_that_is_only_read_finds_its_key_and_the_store_stays_as_it_was(system: Any) -> None:
    assert system.readers()
    with crypt32.CertOpenStore(10, 0, None, 0x10000, "My") as store:
        crypt32.CertAddEncodedCertificateToStore(store, 1, der(rsa_key("9A")), 1)
    for call in (lambda found: free(acquire(found)), find):
        store = crypt32.CertOpenStore(10, 0, None, 0x18000, "My")
        found = crypt32.CertEnumCertificatesInStore(store)
        assert not has(found, INFO)
        call(found)


def test_names_that_change_at_every_look_are_healed_every_time() -> None:
    key = rsa_key("9A")
    card = virtual_piv(keys={0x9A: (key, certificate(key))}, container_names="volatile")
    with local_system(prompt=FixedPrompt("123456")) as system:
        system.insert(card)
        context = propagated(system, key)
        for _ in range(2):
            system.remove("Virtual Reader 0")
            system.insert(card)
            free(acquire(context, COMPARE))


def test_a_cached_handle_is_shared_by_links_and_dies_with_the_element(system: Any) -> None:
    context = linked(system, rsa_key("9A"))
    store = crypt32.CertOpenStore("Memory")
    link = crypt32.CertAddCertificateLinkToStore(store, context, 4)
    copy = crypt32.CertAddCertificateContextToStore(crypt32.CertOpenStore("Memory"), context, 4)
    got = acquire(context, CACHE)
    assert acquire(link, CACHE).handle is got.handle
    assert acquire(copy, CACHE).handle is not got.handle
    crypt32.CertFreeCertificateContext(context)
    assert acquire(link, CACHE).handle is got.handle
    crypt32.CertDeleteCertificateFromStore(link)
    with fails(0x57):
        advapi32.CryptReleaseContext(got.handle, 0)
