"""Provider parameters and PINs of CryptoAPI, black box: every PP_ row by provider, both ways."""

from __future__ import annotations

import pytest
from surfacedesk import OTHER, PIN, PREFIX, card_context, hash_of, listing, refused, rsa_key

from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.winapi import advapi32 as adv
from calais.winapi import crypt32, cspdk

VERIFY = adv.CRYPT_VERIFYCONTEXT
BASE, PERSONAL, ENHANCED = adv.MS_SCARD_PROV, adv.PERSONAL_CSP, adv.MS_ENH_RSA_AES_PROV
GETTABLE = {
    **dict.fromkeys([1, 22, 2, 3, 4, 5, 6, 36, 16, 17, 27, 39, 34, 35], "BPE"),
    **dict.fromkeys([43, 45], "BP"),
    **dict.fromkeys([47, 42, 46], "B"),
    **dict.fromkeys([0x80000001, 0x80000002], "P"),
}
SETTABLE = {
    **dict.fromkeys([32, 33, 44, 21], "BP"),
    **dict.fromkeys([31, 47, 48, 46], "B"),
    1: "BPE",
}
KINDS = {"B": (BASE, 1), "P": (PERSONAL, 1), "E": (ENHANCED, 24)}
NUMBERS = sorted({*GETTABLE, *SETTABLE, 0, 7, 8, 9, 18, 23, 26, 38, 49, 50, 99, 0x80000003})


@pytest.fixture
def system():
    with local_system() as system:
        system.insert(virtual_gids())
        yield system


def context(letter):
    provider, kind = KINDS[letter]
    return adv.CryptAcquireContext(None, provider, kind, VERIFY if letter == "E" else 0)


def get(h, param, flags=0):
    return adv.CryptGetProvParam(h, param, flags)


def put(h, param, value, flags=0):
    assert adv.CryptSetProvParam(h, param, value, flags) is None


@pytest.mark.parametrize("letter", KINDS)
@pytest.mark.parametrize("param", NUMBERS, ids=hex)
def test_a_parameter_that_the_provider_lacks_is_no_type_of_its(system, letter, param):
    h = context(letter)
    if letter not in GETTABLE.get(param, ""):
        refused("NTE_BAD_TYPE", get, h, param)
        refused("NTE_BAD_TYPE", cspdk.CPGetProvParam, h, param)
    if letter not in SETTABLE.get(param, ""):
        refused("NTE_BAD_TYPE", put, h, param, b"")
        refused("NTE_BAD_TYPE", cspdk.CPSetProvParam, h, param, None)


@pytest.mark.parametrize("flags", [0, 4, 7, 0x10], ids=hex)
def test_cards_have_no_security_descriptor_whatever_the_flags(system, flags):
    for letter in KINDS:
        h = context(letter)
        refused("NTE_BAD_TYPE", get, h, adv.PP_KEYSET_SEC_DESCR, flags)
        refused("NTE_BAD_TYPE", put, h, adv.PP_KEYSET_SEC_DESCR, b"", flags)


PLAIN = [
    (adv.PP_IMPTYPE, {"B": 0x0B, "P": 0x0B, "E": 2}),
    (adv.PP_NAME, {letter: name for letter, (name, _) in KINDS.items()}),
    (adv.PP_VERSION, dict.fromkeys("BPE", 0x200)),
    (adv.PP_PROVTYPE, {"B": 1, "P": 1, "E": 24}),
    (adv.PP_KEYSTORAGE, {"B": 4, "P": 4, "E": 1}),
    (adv.PP_KEYSET_TYPE, dict.fromkeys("BPE", 0)),
    (adv.PP_KEYSPEC, dict.fromkeys("BPE", 3)),
]


@pytest.mark.parametrize("letter", KINDS)
@pytest.mark.parametrize(("param", "values"), PLAIN, ids=[str(param) for param, _ in PLAIN])
def test_a_plain_parameter_has_its_value_and_takes_no_flags(system, letter, param, values):
    h = context(letter)
    assert get(h, param) == values[letter]
    assert cspdk.CPGetProvParam(hProv=h, dwParam=param) == values[letter]
    assert type(get(h, param)) is (str if param == adv.PP_NAME else int)
    refused("NTE_BAD_FLAGS", get, h, param, 1)


@pytest.mark.parametrize(("letter", "kept"), [("B", 0x20), ("P", 0), ("E", 0x20)])
def test_the_machine_flag_is_remembered_but_by_personal(system, letter, kept):
    provider, kind = KINDS[letter]
    h = adv.CryptAcquireContext(None, provider, kind, adv.CRYPT_MACHINE_KEYSET | (VERIFY if letter == "E" else 0))
    assert get(h, adv.PP_KEYSET_TYPE) == kept


def test_key_size_increments(system):
    for param in (adv.PP_SIG_KEYSIZE_INC, adv.PP_KEYX_KEYSIZE_INC):
        assert get(context("E"), param) == 8
        assert get(context("B"), param) > 0
        assert get(adv.CryptAcquireContext(dwFlags=VERIFY), param) == 64
        assert get(adv.CryptAcquireContext(None, PERSONAL, 1, VERIFY), param) == 64


ALGORITHMS = {
    "B": "A400 2400 8003 8004 8008 800C 800D 800E 8009 8005 6602 6801 6601 6609 6603 660E 660F 6610",
    "P": "A400 2400 8003 8004 8008 6602 6801 6601 6609 6603",
    "E": "A400 2400 8003 8004 8008 800C 800D 800E 8009 8005 6602 6801 6601 6609 6603 660E 660F 6610",
}
LENGTHS = {0x8003: 128, 0x8004: 160, 0x8008: 288, 0x6602: 128, 0x6801: 128, 0x6601: 56, 0x6609: 112, 0x6603: 168}


@pytest.mark.parametrize("letter", KINDS)
@pytest.mark.parametrize("param", [adv.PP_ENUMALGS, adv.PP_ENUMALGS_EX], ids=["plain", "ex"])
def test_algorithms_are_enumerated_as_in_the_table(system, letter, param):
    h = context(letter)
    rows = listing(lambda first: get(h, param, adv.CRYPT_FIRST if first else adv.CRYPT_NEXT))
    kind = adv.ProvEnumAlgs if param == adv.PP_ENUMALGS else adv.ProvEnumAlgsEx
    assert all(type(row) is kind for row in rows)
    assert sorted(row.alg_id for row in rows) == sorted(int(text, 16) for text in ALGORITHMS[letter].split())
    for row in rows:
        assert row.bit_length == LENGTHS.get(row.alg_id, row.bit_length)
        assert row.name
    if param == adv.PP_ENUMALGS_EX:
        ex = {row.alg_id: row for row in rows}
        assert (ex[0x6801].min_length, ex[0x6801].max_length) == (40, 128)
        assert ex[0x8004].long_name
        if letter == "E":
            assert (ex[0xA400].bit_length, ex[0xA400].min_length, ex[0xA400].max_length) == (1024, 384, 16384)


def test_enumerations_go_on_with_next_or_0_and_start_again_with_first(system):
    h = context("B")
    first = get(h, adv.PP_ENUMALGS, adv.CRYPT_FIRST)
    assert get(h, adv.PP_ENUMALGS, adv.CRYPT_NEXT) != first
    assert get(h, adv.PP_ENUMALGS, 0) != first
    assert get(h, adv.PP_ENUMALGS_EX, adv.CRYPT_FIRST).alg_id == first.alg_id
    assert get(h, adv.PP_ENUMALGS, adv.CRYPT_FIRST) == first
    other = context("B")
    assert get(other, adv.PP_ENUMALGS, adv.CRYPT_NEXT) == first
    for bits in (4, 8, 0x40, 3):
        refused("NTE_BAD_FLAGS", get, h, adv.PP_ENUMALGS, bits)
    refused("NTE_BAD_FLAGS", get, h, adv.PP_ENUMALGS, adv.CRYPT_MACHINE_KEYSET | 1)


def test_containers_of_the_card_are_enumerated(system):
    system.insert(virtual_piv(), OTHER)
    for letter in "BP":
        h = context(letter)
        assert listing(lambda first, h=h: get(h, 2, 1 if first else 2)) == [get(h, adv.PP_CONTAINER)]
        assert listing(lambda first, h=h: get(h, 2, 0x21 if first else 0x22)) == [get(h, adv.PP_CONTAINER)]
        refused("NTE_BAD_FLAGS", get, h, 2, 4)
    everywhere = adv.CryptAcquireContext(dwFlags=VERIFY)
    assert len(listing(lambda first: get(everywhere, 2, 1 if first else 2))) >= 3
    refused("ERROR_NO_MORE_ITEMS", get, context("E"), 2, 1)


def test_container_reader_and_card_id(system):
    card = virtual_gids(card_id=bytes(range(16)))
    system.insert(card, OTHER)
    for provider in (BASE, PERSONAL):
        h = adv.CryptAcquireContext(f"\\\\.\\{OTHER}\\", provider)
        assert get(h, adv.PP_SMARTCARD_READER) == OTHER
        assert get(h, adv.PP_SMARTCARD_GUID) == bytes(range(16))
        assert get(h, adv.PP_CONTAINER) == get(h, adv.PP_UNIQUE_CONTAINER)
        assert adv.CryptAcquireContext(get(h, adv.PP_UNIQUE_CONTAINER), provider)
    for provider in (BASE, PERSONAL):
        h = adv.CryptAcquireContext(None, provider, 1, VERIFY)
        assert get(h, adv.PP_CONTAINER) == ""
        refused("SCARD_E_NO_SMARTCARD", get, h, adv.PP_SMARTCARD_READER)
        refused("SCARD_E_NO_SMARTCARD", get, h, adv.PP_SMARTCARD_GUID)


def test_a_virtual_reader_has_no_icon(system):
    refused("SCARD_E_UNSUPPORTED_FEATURE", get, context("B"), adv.PP_SMARTCARD_READER_ICON)


def test_the_certificates_of_the_card_come_as_a_store(system):
    h = context("B")
    with get(h, adv.PP_USER_CERTSTORE) as store:
        found = crypt32.CertEnumCertificatesInStore(store, None)
        info = crypt32.CertGetCertificateContextProperty(found, crypt32.CERT_KEY_PROV_INFO_PROP_ID)
        assert info.container_name.endswith(get(h, adv.PP_CONTAINER))
        assert (info.prov_name, info.prov_type, info.key_spec) == (BASE, 1, adv.AT_KEYEXCHANGE)
        assert crypt32.CertEnumCertificatesInStore(store, found) is None


def test_the_roots_of_the_card_come_and_go_as_a_store(system):
    h = context("B")
    with get(h, adv.PP_ROOT_CERTSTORE) as store:
        assert crypt32.CertEnumCertificatesInStore(store, None) is None
    with get(h, adv.PP_USER_CERTSTORE) as store:
        refused("NTE_SILENT_CONTEXT", put, h, adv.PP_ROOT_CERTSTORE, store)
        put(h, adv.PP_KEYEXCHANGE_PIN, PIN)
        put(h, adv.PP_ROOT_CERTSTORE, store)
        der = crypt32.CertEnumCertificatesInStore(store, None).encoded
    with get(context("B"), adv.PP_ROOT_CERTSTORE) as store:
        assert crypt32.CertEnumCertificatesInStore(store, None).encoded == der
    refused("ERROR_INVALID_PARAMETER", put, h, adv.PP_ROOT_CERTSTORE, b"store")


@pytest.mark.parametrize(
    ("param", "value"),
    [(32, 1234), (33, 1234), (44, b"x"), (44, 5), (21, 5), (1, "x"), (1, b"1234"), (31, 5), (47, 5), (48, 5), (46, 5)],
    ids=str,
)
def test_a_value_of_the_wrong_type_is_a_wrong_parameter(system, param, value):
    h = context("B")
    refused("ERROR_INVALID_PARAMETER", put, h, param, value)
    refused("ERROR_INVALID_PARAMETER", cspdk.CPSetProvParam, h, param, value)


def test_setting_takes_no_flags(system):
    h = context("B")
    for param, value in ((32, PIN), (33, PIN), (44, "x"), (21, "x"), (1, 5)):
        refused("NTE_BAD_FLAGS", put, h, param, value, 1)


def test_windows_and_texts_reach_nobody_but_are_taken(system):
    for letter in "BPE":
        put(context(letter), adv.PP_CLIENT_HWND, 1234)
    adv.CryptSetProvParam(None, adv.PP_CLIENT_HWND, 77)
    adv.CryptSetProvParam(None, adv.PP_CLIENT_HWND, 0)
    refused("ERROR_INVALID_PARAMETER", adv.CryptSetProvParam, None, adv.PP_KEYEXCHANGE_PIN, PIN)
    put(context("B"), adv.PP_PIN_PROMPT_STRING, "Sign in")
    put(context("P"), adv.PP_UI_PROMPT, "Insert the card")
    put(context("P"), adv.PP_UI_PROMPT, "")


# --- PINs ------------------------------------------------------------------------------------------------------------


def sign(h, spec=adv.AT_KEYEXCHANGE):
    return adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), spec)


@pytest.mark.parametrize("param", [adv.PP_KEYEXCHANGE_PIN, adv.PP_SIGNATURE_PIN], ids=["exchange", "signature"])
@pytest.mark.parametrize("nothing", [None, ""], ids=["none", "empty"])
def test_either_pin_parameter_unlocks_and_empty_forgets(param, nothing):
    card = virtual_gids()
    with local_system() as system:
        system.insert(card)
        unlock_and_forget(card, context("B"), param, nothing)


def unlock_and_forget(card, h, param, nothing):
    refused("NTE_SILENT_CONTEXT", sign, h)
    put(h, param, PIN)
    assert len(sign(h)) == 256
    card.reset()
    assert len(sign(h)) == 256
    put(h, param, nothing)
    card.reset()
    refused("NTE_SILENT_CONTEXT", sign, h)


@pytest.mark.parametrize("make", [virtual_gids, virtual_piv], ids=["gids", "piv"])
def test_a_wrong_pin_counts_down_until_blocked(make):
    with local_system() as system:
        system.insert(make())
        h = context("B")
        left = refused("SCARD_W_WRONG_CHV", put, h, adv.PP_KEYEXCHANGE_PIN, "654321").attempts_left
        assert left > 0
        for still in reversed(range(left)):
            assert refused("SCARD_W_WRONG_CHV", put, h, adv.PP_KEYEXCHANGE_PIN, "654321").attempts_left == still
        refused("SCARD_W_CHV_BLOCKED", put, h, adv.PP_KEYEXCHANGE_PIN, PIN)
        refused("SCARD_W_CHV_BLOCKED", put, context("B"), adv.PP_SIGNATURE_PIN, "654321")


@pytest.mark.parametrize("make", [virtual_gids, virtual_piv], ids=["gids", "piv"])
@pytest.mark.parametrize("pin", ["1", "123456789012345678901234567890"], ids=["short", "long"])
def test_an_impossible_pin_spends_no_try(make, pin):
    with local_system() as system:
        card = make()
        system.insert(card)
        h = context("B")
        put(h, adv.PP_KEYEXCHANGE_PIN, PIN)
        card.counter.clear()
        refused("SCARD_E_INVALID_CHV", put, h, adv.PP_KEYEXCHANGE_PIN, pin)
        assert card.counter.exchanges == 0


def test_a_wrong_pin_keeps_nothing(system):
    h = context("B")
    refused("SCARD_W_WRONG_CHV", put, h, adv.PP_KEYEXCHANGE_PIN, "654321")
    refused("NTE_SILENT_CONTEXT", sign, h)


def test_a_cancelled_prompt_is_the_users_will():
    with local_system(prompt=FixedPrompt(None)) as system:
        system.insert(virtual_gids())
        refused("SCARD_W_CANCELLED_BY_USER", sign, context("B"))


def test_cryptoapi_and_cng_share_the_pin(system):
    from calais.winapi import ncrypt

    card_context()
    prov = ncrypt.NCryptOpenStorageProvider(ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER)
    key = ncrypt.NCryptOpenKey(prov, None)
    assert len(ncrypt.NCryptSignHash(key, ncrypt.Pkcs1PaddingInfo("SHA1"), bytes(20), 2 | 0x40)) == 256


def test_the_admin_pin_is_only_for_cards_whose_administrator_has_one(system):
    refused("SCARD_E_UNSUPPORTED_FEATURE", put, context("B"), adv.PP_ADMIN_PIN, "12345678")


def test_session_pins_go_where_the_card_knows_them(system):
    system.insert(virtual_gids(session_pins=False), OTHER)
    h = adv.CryptAcquireContext(f"\\\\.\\{OTHER}\\")
    for param in (adv.PP_SECURE_KEYEXCHANGE_PIN, adv.PP_SECURE_SIGNATURE_PIN):
        refused("SCARD_E_UNSUPPORTED_FEATURE", put, h, param, "123456")


def test_contexts_for_the_whole_card_mean_the_users_pin(system):
    system.insert(virtual_gids(keys=[("a", adv.AT_KEYEXCHANGE, rsa_key(), None)]), OTHER)
    for flags in (VERIFY, adv.CRYPT_DEFAULT_CONTAINER_OPTIONAL):
        h = adv.CryptAcquireContext(PREFIX, None, 1, flags)
        put(h, adv.PP_KEYEXCHANGE_PIN, PIN)
        put(h, adv.PP_SIGNATURE_PIN, PIN)
        refused("SCARD_W_WRONG_CHV", put, h, adv.PP_SIGNATURE_PIN, "999999")
