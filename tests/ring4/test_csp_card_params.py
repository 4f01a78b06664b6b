"""Provider parameters of contexts on cards, row by row."""

from __future__ import annotations

import pytest
from cryptography import x509
from cspdesk import (
    BASE,
    CARDS,
    NAME,
    OTHER,
    PERSONAL,
    READER,
    acquire,
    check_signature,
    container_of,
    containers,
    fails,
    gids,
    in_reader,
    piv,
)
from people import DATA, PIN, acquire_first, key_of, rsa_of
from pivdesk import certificate, der

from calais.minidriver.files import expand_certificate
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.win.codes import Code
from calais.win.flags import CRYPT_MACHINE_KEYSET, CRYPT_SILENT, CRYPT_VERIFYCONTEXT
from calais.winapi import advapi32 as api
from calais.winapi import crypt32

GET_ONLY = [
    api.PP_ENUMALGS_EX,
    api.PP_ENUMCONTAINERS,
    api.PP_IMPTYPE,
    api.PP_NAME,
    api.PP_VERSION,
    api.PP_CONTAINER,
    api.PP_UNIQUE_CONTAINER,
    api.PP_PROVTYPE,
    api.PP_KEYSTORAGE,
    api.PP_KEYSET_TYPE,
    api.PP_KEYSPEC,
    api.PP_SIG_KEYSIZE_INC,
    api.PP_KEYX_KEYSIZE_INC,
    api.PP_SMARTCARD_READER,
    api.PP_SMARTCARD_GUID,
    api.PP_USER_CERTSTORE,
]
SET_ONLY = [
    api.PP_KEYEXCHANGE_PIN,
    api.PP_SIGNATURE_PIN,
    api.PP_ADMIN_PIN,
    api.PP_SECURE_SIGNATURE_PIN,
    api.PP_PIN_PROMPT_STRING,
    api.PP_UI_PROMPT,
]


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


@pytest.fixture(params=list(CARDS))
def inserted(request, system):
    made = CARDS[request.param]()
    system.insert(made)
    return made


def get(handle, param, flags=0):
    return api.CryptGetProvParam(handle, param, flags)


def certificates(store):
    return [context.encoded for context in store]


# --- rows that are values ---


@pytest.mark.parametrize("provider", [BASE, PERSONAL])
def test_what_a_context_says_of_itself(system, inserted, provider):
    with acquire(None, provider=provider) as handle:
        name = system.card().containers.default.name
        values = {
            api.PP_IMPTYPE: 0x0B,
            api.PP_NAME: provider,
            api.PP_VERSION: 0x0200,
            api.PP_CONTAINER: name,
            api.PP_UNIQUE_CONTAINER: name,
            api.PP_PROVTYPE: 1,
            api.PP_KEYSTORAGE: 4,
            api.PP_KEYSET_TYPE: 0,
            api.PP_KEYSPEC: 3,
            api.PP_SIG_KEYSIZE_INC: 1024,
            api.PP_KEYX_KEYSIZE_INC: 1024,
            api.PP_SMARTCARD_READER: READER,
            api.PP_SMARTCARD_GUID: system.card().card_id,
        }
        assert {param: get(handle, param) for param in values} == values
        assert acquire(get(handle, api.PP_UNIQUE_CONTAINER), provider=provider)


@pytest.mark.parametrize("provider", [BASE, PERSONAL])
def test_what_a_context_without_a_card_says(system, provider):
    with acquire(None, CRYPT_VERIFYCONTEXT, provider) as handle:
        assert get(handle, api.PP_CONTAINER) == get(handle, api.PP_UNIQUE_CONTAINER) == ""
        assert get(handle, api.PP_SIG_KEYSIZE_INC) == get(handle, api.PP_KEYX_KEYSIZE_INC) == 64
        for param in (api.PP_SMARTCARD_READER, api.PP_SMARTCARD_GUID):
            with fails(Code.SCARD_E_NO_SMARTCARD):
                get(handle, param)


def test_machine_keyset_is_told_as_acquired(system, inserted):
    with acquire(None, CRYPT_MACHINE_KEYSET) as handle:
        assert get(handle, api.PP_KEYSET_TYPE) == CRYPT_MACHINE_KEYSET
    with acquire(None, CRYPT_MACHINE_KEYSET, PERSONAL) as handle:
        assert get(handle, api.PP_KEYSET_TYPE) == 0


@pytest.mark.parametrize("flags", [0, api.CRYPT_FIRST])
def test_cards_have_no_security_descriptor(system, inserted, flags):
    for provider in (BASE, PERSONAL):
        with acquire(None, provider=provider) as handle:
            with fails(Code.NTE_BAD_TYPE):
                get(handle, api.PP_KEYSET_SEC_DESCR, flags)
            with fails(Code.NTE_BAD_TYPE):
                api.CryptSetProvParam(handle, api.PP_KEYSET_SEC_DESCR, b"", flags)


@pytest.mark.parametrize("param", SET_ONLY)
def test_what_is_only_set_cannot_be_read(system, inserted, param):
    with acquire(None) as handle, fails(Code.NTE_BAD_TYPE):
        get(handle, param)


@pytest.mark.parametrize("param", GET_ONLY)
def test_what_is_only_read_cannot_be_set(system, inserted, param):
    with acquire(None) as handle, fails(Code.NTE_BAD_TYPE):
        api.CryptSetProvParam(handle, param, "x")


@pytest.mark.parametrize("param", [0, 7, 9, 1000, 0x80000001, 0x80000002, 0xFFFFFFFF])
def test_parameters_that_do_not_exist(system, inserted, param):
    with acquire(None) as handle:
        with fails(Code.NTE_BAD_TYPE):
            get(handle, param)
        with fails(Code.NTE_BAD_TYPE):
            api.CryptSetProvParam(handle, param, "x")


@pytest.mark.parametrize(
    "param", [api.PP_ADMIN_PIN, api.PP_SECURE_KEYEXCHANGE_PIN, api.PP_SECURE_SIGNATURE_PIN, api.PP_ROOT_CERTSTORE]
)
def test_what_the_personal_csp_cannot_set(system, inserted, param):
    with acquire(None, provider=PERSONAL) as handle, fails(Code.NTE_BAD_TYPE):
        api.CryptSetProvParam(handle, param, "x")


@pytest.mark.parametrize("param", [api.PP_USER_CERTSTORE, api.PP_ROOT_CERTSTORE, api.PP_SMARTCARD_READER_ICON])
def test_what_the_personal_csp_cannot_read(system, inserted, param):
    with acquire(None, provider=PERSONAL) as handle, fails(Code.NTE_BAD_TYPE):
        get(handle, param)


@pytest.mark.parametrize("param", [each for each in GET_ONLY if each not in (1, 2, 22)])
def test_values_take_no_flags(system, inserted, param):
    with acquire(None) as handle, fails(Code.NTE_BAD_FLAGS):
        get(handle, param, 4)


def test_readers_have_no_icon(system, inserted):
    with acquire(None) as handle, fails(Code.SCARD_E_UNSUPPORTED_FEATURE):
        get(handle, api.PP_SMARTCARD_READER_ICON)


@pytest.mark.parametrize("param", [api.PP_PIN_PROMPT_STRING, api.PP_UI_PROMPT])
@pytest.mark.parametrize("value", [1, b"x", None])
def test_texts_are_texts(system, inserted, param, value):
    with acquire(None) as handle, fails(Code.ERROR_INVALID_PARAMETER):
        api.CryptSetProvParam(handle, param, value)


# --- PP_ENUMCONTAINERS ---


def test_containers_of_the_contexts_card(system):
    system.insert(gids(names=("one", "two"), specs=(1, 2)), READER)
    system.insert(gids(names=("three",), key="other"), OTHER)
    with acquire(in_reader()) as handle:
        assert containers(handle) == ["one", "two"]
    with acquire(None, CRYPT_VERIFYCONTEXT) as handle:
        assert containers(handle) == ["one", "two", "three"]


def test_elliptic_containers_are_not_listed(system):
    keys = [("rsa", 1, rsa_of(), None), ("ec", 3, key_of(), None)]
    system.insert(virtual_gids(keys=keys))
    with acquire(None) as handle:
        assert containers(handle) == ["rsa"]


def test_each_handle_has_a_cursor_of_its_own(system):
    system.insert(gids(names=("one", "two"), specs=(1, 1)))
    with acquire(None) as first, acquire(None) as second:
        assert get(first, api.PP_ENUMCONTAINERS, api.CRYPT_FIRST | CRYPT_MACHINE_KEYSET) == "one"
        assert get(second, api.PP_ENUMCONTAINERS, api.CRYPT_FIRST) == "one"
        assert get(first, api.PP_ENUMCONTAINERS, api.CRYPT_NEXT) == "two"
        with fails(Code.ERROR_NO_MORE_ITEMS):
            get(first, api.PP_ENUMCONTAINERS, 0)
        assert get(second, api.PP_ENUMCONTAINERS, 0) == "two"
        assert get(first, api.PP_ENUMCONTAINERS, api.CRYPT_FIRST) == "one"
        with fails(Code.NTE_BAD_FLAGS):
            get(first, api.PP_ENUMCONTAINERS, 4)


def test_listing_where_there_is_no_reader(system):
    with acquire(None, CRYPT_VERIFYCONTEXT) as handle, fails(Code.SCARD_E_NO_READERS_AVAILABLE):
        get(handle, api.PP_ENUMCONTAINERS, api.CRYPT_FIRST)


# --- PP_USER_CERTSTORE ---


def test_all_certificates_of_a_card_with_links_to_their_keys(system):
    system.insert(virtual_piv())
    with acquire(None) as handle:
        store = get(handle, api.PP_USER_CERTSTORE)
        found = list(store)
        on_card = [container.certificate for container in system.card().containers]
        assert sorted(context.encoded for context in found) == sorted(on_card)
    for context in found:
        info = crypt32.CertGetCertificateContextProperty(context, crypt32.CERT_KEY_PROV_INFO_PROP_ID)
        is_rsa = info.prov_type == 1
        assert info.prov_name == (BASE if is_rsa else "Microsoft Smart Card Key Storage Provider")
        key = crypt32.CryptAcquireCertificatePrivateKey(
            context, crypt32.CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG | crypt32.CRYPT_ACQUIRE_COMPARE_KEY_FLAG
        )
        assert key.handle.container.name == info.container_name
        key.handle.close()
    store.close()


def test_the_store_is_the_callers_and_in_memory(system, inserted):
    with acquire(None) as handle:
        first, second = get(handle, api.PP_USER_CERTSTORE), get(handle, api.PP_USER_CERTSTORE)
        assert first is not second
        count = len(list(second))
        for context in list(first):
            crypt32.CertDeleteCertificateFromStore(context)
        assert list(first) == []
        assert len(list(second)) == len(list(get(handle, api.PP_USER_CERTSTORE))) == count


def test_the_store_of_a_card_without_certificates_is_empty(system):
    system.insert(virtual_gids(keys=[("bare", 1, rsa_of(), None)]))
    with acquire(None) as handle:
        assert list(get(handle, api.PP_USER_CERTSTORE)) == []


# --- PP_ROOT_CERTSTORE ---


def roots(*names):
    return [der(certificate(key_of(name), name)) for name in names]


def store_of(encoded):
    store = crypt32.CertOpenStore(crypt32.CERT_STORE_PROV_MEMORY, 0, None, 0)
    for each in encoded:
        crypt32.CertAddEncodedCertificateToStore(store, crypt32.X509_ASN_ENCODING, each, crypt32.CERT_STORE_ADD_ALWAYS)
    return store


def test_roots_go_to_the_card_and_come_back(system, inserted):
    wanted = roots("one", "two", "three")
    with acquire(None) as handle:
        assert list(get(handle, api.PP_ROOT_CERTSTORE)) == []
        api.CryptSetProvParam(handle, api.PP_ROOT_CERTSTORE, store_of(wanted))
        assert sorted(certificates(get(handle, api.PP_ROOT_CERTSTORE))) == sorted(wanted)
        api.CryptSetProvParam(handle, api.PP_ROOT_CERTSTORE, store_of(wanted[:1]))
        assert certificates(get(handle, api.PP_ROOT_CERTSTORE)) == wanted[:1]
    assert system.broker.prompt.count == 1


def test_roots_are_a_certificates_only_pkcs7_on_the_card(system):
    from cryptography.hazmat.primitives.serialization import pkcs7

    system.insert(gids())
    wanted = roots("one", "two")
    before = counters(system)
    with acquire(None) as handle:
        api.CryptSetProvParam(handle, api.PP_ROOT_CERTSTORE, store_of(wanted))
    content = system.card().run(lambda driver: driver.read_file("mscp", "msroots"))
    found = pkcs7.load_der_pkcs7_certificates(expand_certificate(content))
    assert sorted(der(each) for each in found) == sorted(wanted)
    after = counters(system)
    assert after.files_freshness != before.files_freshness
    assert after.containers_freshness == before.containers_freshness


def counters(system):
    from calais.win.structs import CardCacheFile

    return CardCacheFile.from_bytes(system.card().run(lambda driver: driver.read_file(None, "cardcf")))


def test_roots_want_the_pin(system, inserted):
    with acquire(None, CRYPT_SILENT) as handle, fails(Code.NTE_SILENT_CONTEXT):
        api.CryptSetProvParam(handle, api.PP_ROOT_CERTSTORE, store_of(roots("one")))


@pytest.mark.parametrize("kind", list(CARDS))
def test_roots_of_a_read_only_card(system, kind):
    system.insert(CARDS[kind](read_only=True))
    with acquire(None) as handle:
        assert list(get(handle, api.PP_ROOT_CERTSTORE)) == []
        with fails(Code.SCARD_E_READ_ONLY_CARD):
            api.CryptSetProvParam(handle, api.PP_ROOT_CERTSTORE, store_of(roots("one")))


@pytest.mark.parametrize("value", [None, b"", "store", 0])
def test_roots_are_a_store(system, inserted, value):
    with acquire(None) as handle, fails(Code.ERROR_INVALID_PARAMETER):
        api.CryptSetProvParam(handle, api.PP_ROOT_CERTSTORE, value)


def test_a_closed_store_is_none(system, inserted):
    store = store_of([])
    store.close()
    with acquire(None) as handle, fails(Code.ERROR_INVALID_PARAMETER):
        api.CryptSetProvParam(handle, api.PP_ROOT_CERTSTORE, store)


# --- from a certificate to CryptSignHash ---


def test_the_handle_of_a_certificate_is_a_provider(system, inserted):
    system.propagate()
    found = acquire_first(system)
    assert found.key_spec == api.AT_KEYEXCHANGE
    hash_ = api.CryptCreateHash(found.handle, api.CALG_SHA1)
    api.CryptHashData(hash_, DATA)
    signature = api.CryptSignHash(hash_, found.key_spec)[::-1]
    with system.store() as store:
        public = x509.load_der_x509_certificate(next(iter(store)).der).public_key()
    check_signature(public, signature, DATA)
    assert container_of(found.handle) in [container.name for container in system.card().containers]
    api.CryptReleaseContext(found.handle)
    with fails(Code.ERROR_INVALID_PARAMETER):
        container_of(found.handle)


def test_names_are_what_they_were(system):
    system.insert(gids())
    system.insert(piv(), OTHER)
    with acquire(NAME) as handle:
        assert container_of(handle) == NAME
