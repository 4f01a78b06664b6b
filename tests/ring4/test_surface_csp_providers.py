"""CryptoAPI providers and handles, black box."""

from __future__ import annotations

import re

import pytest
from surfacedesk import listing, refused, rsa_key

from calais.testing import local_system, virtual_gids
from calais.winapi import advapi32 as adv
from calais.winapi import cspdk

VERIFY, NEW, DELETE = adv.CRYPT_VERIFYCONTEXT, adv.CRYPT_NEWKEYSET, adv.CRYPT_DELETEKEYSET
OPTIONAL, SILENT, MACHINE = adv.CRYPT_DEFAULT_CONTAINER_OPTIONAL, adv.CRYPT_SILENT, adv.CRYPT_MACHINE_KEYSET
BASE, PERSONAL, ENHANCED = adv.MS_SCARD_PROV, adv.PERSONAL_CSP, adv.MS_ENH_RSA_AES_PROV
GUID = re.compile(r"\{?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?")
acquire = adv.CryptAcquireContext


@pytest.fixture
def system():
    with local_system() as system:
        yield system


def named_gids(*names, **options):
    keys = [(name, adv.AT_KEYEXCHANGE, rsa_key(), None) for name in names]
    return virtual_gids(keys=keys, **options)


@pytest.fixture
def gids(system):
    card = named_gids("first", "second")
    system.insert(card)
    return card


def container(h):
    return adv.CryptGetProvParam(h, adv.PP_CONTAINER)


def containers(h):
    return listing(lambda first: adv.CryptGetProvParam(h, adv.PP_ENUMCONTAINERS, 1 if first else 2))


# --- providers -------------------------------------------------------------------------------------------------------


def test_providers_are_listed_densely_with_their_types(system):
    found = [adv.CryptEnumProviders(index) for index in range(3)]
    refused("ERROR_NO_MORE_ITEMS", adv.CryptEnumProviders, 3)
    assert sorted(found) == sorted([(1, BASE), (1, PERSONAL), (24, ENHANCED)])


def test_provider_types_are_listed_with_their_names(system):
    assert {adv.CryptEnumProviderTypes(n) for n in range(2)} == {
        (1, "RSA Full (Signature and Key Exchange)"),
        (24, "RSA Full and AES"),
    }
    refused("ERROR_NO_MORE_ITEMS", adv.CryptEnumProviderTypes, 2)


@pytest.mark.parametrize("function", [adv.CryptEnumProviders, adv.CryptEnumProviderTypes], ids=["names", "types"])
def test_enumerating_providers_takes_neither_flags_nor_reserved(system, function):
    refused("ERROR_INVALID_PARAMETER", function, 0, pdwReserved=1)
    refused("NTE_BAD_FLAGS", function, 0, dwFlags=1)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param((None, None, 0), "NTE_BAD_PROV_TYPE", id="type-0"),
        pytest.param((None, None, 1000), "NTE_BAD_PROV_TYPE", id="type-1000"),
        pytest.param((None, None, 13), "NTE_PROV_TYPE_NOT_DEF", id="type-without-provider"),
        pytest.param((None, "Nobody's Provider", 1), "NTE_KEYSET_NOT_DEF", id="unknown-name"),
        pytest.param((None, BASE, 24), "NTE_PROV_TYPE_NO_MATCH", id="base-as-24"),
        pytest.param((None, ENHANCED, 1), "NTE_PROV_TYPE_NO_MATCH", id="enhanced-as-1"),
    ],
)
def test_a_provider_that_cannot_be_chosen_is_refused(system, arguments, code):
    refused(code, acquire, *arguments, VERIFY)


@pytest.mark.parametrize("name", [None, ""])
@pytest.mark.parametrize(("kind", "chosen"), [(1, BASE), (24, ENHANCED)])
def test_without_a_name_the_types_default_opens(system, name, kind, chosen):
    h = acquire(None, name, kind, VERIFY)
    assert adv.CryptGetProvParam(h, adv.PP_NAME) == chosen
    assert adv.CryptGetProvParam(h, adv.PP_PROVTYPE) == kind


@pytest.mark.parametrize("name", [BASE.upper(), PERSONAL.lower()])
def test_provider_names_compare_without_case(system, name):
    h = acquire(None, name, 1, VERIFY)
    assert adv.CryptGetProvParam(h, adv.PP_NAME).lower() == name.lower()


@pytest.mark.parametrize("word", ["Base", "Strong", "Enhanced"])
def test_the_old_software_providers_open_the_enhanced_one(system, word):
    name = f"Microsoft {word} Cryptographic Provider v1.0"
    h = acquire(None, name, 1, VERIFY)
    assert len(adv.CryptGenRandom(h, 4)) == 4
    cspdk.CPReleaseContext(cspdk.CPAcquireContext(None, VERIFY, provider=name))


def test_the_users_default_provider_is_kept_and_forgotten(system):
    assert adv.CryptGetDefaultProvider(1) == BASE
    assert adv.CryptSetProvider(PERSONAL, 1) is None
    assert adv.CryptGetDefaultProvider(1) == PERSONAL
    assert adv.CryptGetDefaultProvider(1, None, adv.CRYPT_MACHINE_DEFAULT) == BASE
    assert adv.CryptGetProvParam(acquire(None, None, 1, VERIFY), adv.PP_NAME) == PERSONAL
    adv.CryptSetProviderEx(PERSONAL, 1, None, adv.CRYPT_USER_DEFAULT | adv.CRYPT_DELETE_DEFAULT)
    assert adv.CryptGetDefaultProvider(1) == BASE


def test_the_users_default_falls_back_to_the_machines(system):
    adv.CryptSetProviderEx(PERSONAL, 1, None, adv.CRYPT_MACHINE_DEFAULT)
    assert adv.CryptGetDefaultProvider(1) == PERSONAL


def test_the_default_provider_refuses_wrong_arguments(system):
    refused("NTE_BAD_FLAGS", adv.CryptGetDefaultProvider, 1, None, 0)
    refused("NTE_BAD_FLAGS", adv.CryptGetDefaultProvider, 1, None, 3)
    refused("ERROR_INVALID_PARAMETER", adv.CryptGetDefaultProvider, 1, 1)
    refused("NTE_BAD_PROV_TYPE", adv.CryptGetDefaultProvider, 0)
    refused("NTE_BAD_PROV_TYPE", adv.CryptGetDefaultProvider, 1000)
    refused("NTE_PROV_TYPE_NOT_DEF", adv.CryptGetDefaultProvider, 3)
    refused("NTE_BAD_FLAGS", adv.CryptSetProviderEx, BASE, 1, None, 0)
    refused("NTE_BAD_FLAGS", adv.CryptSetProviderEx, BASE, 1, None, 3)
    refused("NTE_BAD_FLAGS", adv.CryptSetProviderEx, BASE, 1, None, 4)
    refused("NTE_KEYSET_NOT_DEF", adv.CryptSetProvider, "Nobody's Provider", 1)
    refused("NTE_BAD_PROV_TYPE", adv.CryptSetProvider, BASE, 0)


def test_the_service_provider_face_refuses_an_unknown_provider(system):
    refused("NTE_KEYSET_NOT_DEF", cspdk.CPAcquireContext, None, VERIFY, provider="Nobody's Provider")


# --- handles ---------------------------------------------------------------------------------------------------------


def released():
    h = acquire(dwFlags=VERIFY)
    adv.CryptReleaseContext(h)
    return h


@pytest.mark.parametrize("bad", [lambda: None, released, lambda: "text", lambda: 7, object], ids="NrtnO")
def test_a_bad_provider_handle_is_named_by_each_face(system, bad):
    refused("ERROR_INVALID_PARAMETER", adv.CryptGenRandom, bad(), 4)
    refused("ERROR_INVALID_PARAMETER", adv.CryptReleaseContext, bad())
    refused("ERROR_INVALID_PARAMETER", adv.CryptGetProvParam, bad(), 999, 999)
    refused("NTE_BAD_UID", cspdk.CPGenRandom, bad(), 4)
    refused("NTE_BAD_UID", cspdk.CPReleaseContext, bad(), 5)
    refused("NTE_BAD_UID", cspdk.CPGetUserKey, bad(), 9)


def test_keys_and_hashes_die_with_their_provider_or_by_themselves(system):
    h = acquire(dwFlags=VERIFY)
    key, value = adv.CryptGenKey(h, adv.CALG_AES_128), adv.CryptCreateHash(h, adv.CALG_SHA1)
    other_key, other_value = adv.CryptGenKey(h, adv.CALG_AES_128), adv.CryptCreateHash(h, adv.CALG_SHA1)
    assert adv.CryptDestroyKey(other_key) is None
    assert adv.CryptDestroyHash(other_value) is None
    refused("ERROR_INVALID_PARAMETER", adv.CryptEncrypt, other_key)
    refused("ERROR_INVALID_PARAMETER", adv.CryptHashData, other_value, b"")
    refused("NTE_BAD_KEY", cspdk.CPEncrypt, h, other_key)
    refused("NTE_BAD_HASH", cspdk.CPHashData, h, other_value, b"")
    adv.CryptReleaseContext(h)
    refused("ERROR_INVALID_PARAMETER", adv.CryptEncrypt, key)
    refused("ERROR_INVALID_PARAMETER", adv.CryptHashData, value, b"")
    refused("NTE_BAD_UID", cspdk.CPEncrypt, h, key)


def test_a_handle_of_another_context_is_refused(system):
    one, two = acquire(dwFlags=VERIFY), acquire(dwFlags=VERIFY)
    key, value = adv.CryptGenKey(one, adv.CALG_AES_128), adv.CryptCreateHash(one, adv.CALG_SHA1)
    refused("NTE_BAD_KEY", cspdk.CPEncrypt, two, key)
    refused("NTE_BAD_HASH", cspdk.CPHashData, two, value, b"x")
    refused("NTE_BAD_KEY", cspdk.CPGetKeyParam, two, key, adv.KP_ALGID)
    foreign = adv.CryptGenKey(two, adv.CALG_AES_128)
    refused("NTE_BAD_KEY", adv.CryptHashSessionKey, value, foreign)


def test_references_are_counted(system):
    h = acquire(dwFlags=VERIFY)
    assert adv.CryptContextAddRef(h) is None
    assert adv.CryptReleaseContext(h) is None
    assert len(adv.CryptGenRandom(h, 1)) == 1
    adv.CryptReleaseContext(h)
    refused("ERROR_INVALID_PARAMETER", adv.CryptGenRandom, h, 1)
    refused("ERROR_INVALID_PARAMETER", adv.CryptContextAddRef, h)


def test_adding_a_reference_takes_neither_flags_nor_reserved(system):
    h = acquire(dwFlags=VERIFY)
    refused("ERROR_INVALID_PARAMETER", adv.CryptContextAddRef, h, 1)
    refused("NTE_BAD_FLAGS", adv.CryptContextAddRef, h, None, 1)


@pytest.mark.parametrize("release", [adv.CryptReleaseContext, cspdk.CPReleaseContext], ids=["advapi32", "cspdk"])
def test_releasing_with_flags_is_refused_and_releases(system, release):
    h = acquire(dwFlags=VERIFY)
    refused("NTE_BAD_FLAGS", release, h, 1)
    refused("ERROR_INVALID_PARAMETER", adv.CryptGenRandom, h, 1)


def test_handles_close_by_with_and_never_complain(system):
    with acquire(dwFlags=VERIFY) as h, adv.CryptCreateHash(h, adv.CALG_MD5) as value:
        assert isinstance(h, adv.HCRYPTPROV)
        assert isinstance(value, adv.HCRYPTHASH)
        with adv.CryptGenKey(h, adv.CALG_RC4) as key:
            assert isinstance(key, adv.HCRYPTKEY)
        key.close()
    h.close()
    value.close()
    refused("ERROR_INVALID_PARAMETER", adv.CryptGenRandom, h, 1)


def test_the_faces_take_each_others_handles(system):
    h = cspdk.CPAcquireContext(None, VERIFY)
    value = adv.CryptCreateHash(h, adv.CALG_SHA1)
    cspdk.CPHashData(h, value, b"abc")
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL).hex().startswith("a9993e36")
