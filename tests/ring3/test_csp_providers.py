"""Which provider is opened, and what a handle is worth: both faces, all providers, without a card."""

import threading

import pytest
from cryptoapi import BASE, ENHANCED, FACES, PERSONAL, TYPES, refused

from calais.testing import local_system
from calais.win import flags as f
from calais.winapi import advapi32, cspdk
from calais.winapi.advapi32 import (
    CryptAcquireContext,
    CryptContextAddRef,
    CryptEnumProviders,
    CryptEnumProviderTypes,
    CryptGetDefaultProvider,
    CryptReleaseContext,
    CryptSetProvider,
    CryptSetProviderEx,
)

VERIFY = f.CRYPT_VERIFYCONTEXT
QUIET = (0, f.CRYPT_SILENT, f.CRYPT_MACHINE_KEYSET, f.CRYPT_SILENT | f.CRYPT_MACHINE_KEYSET)


@pytest.fixture
def system():
    with local_system() as made:
        yield made


@pytest.fixture(params=FACES)
def face(request):
    return FACES[request.param]


# --- the table ---


def test_providers_are_enumerated_densely():
    assert [CryptEnumProviders(at) for at in range(3)] == [(1, BASE), (1, PERSONAL), (24, ENHANCED)]
    with refused("ERROR_NO_MORE_ITEMS"):
        CryptEnumProviders(3)


def test_types_are_enumerated_densely():
    wanted = [(1, "RSA Full (Signature and Key Exchange)"), (24, "RSA Full and AES")]
    assert [CryptEnumProviderTypes(at) for at in range(2)] == wanted
    with refused("ERROR_NO_MORE_ITEMS"):
        CryptEnumProviderTypes(2)


@pytest.mark.parametrize("enumerate_", [CryptEnumProviders, CryptEnumProviderTypes], ids=["providers", "types"])
def test_enumerations_refuse_reserved_and_flags(enumerate_):
    with refused("ERROR_INVALID_PARAMETER"):
        enumerate_(0, b"something")
    with refused("NTE_BAD_FLAGS"):
        enumerate_(0, None, 1)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        (None, 0, "NTE_BAD_PROV_TYPE"),
        (None, 1000, "NTE_BAD_PROV_TYPE"),
        (BASE, -1, "NTE_BAD_PROV_TYPE"),
        (None, 3, "NTE_PROV_TYPE_NOT_DEF"),
        ("", 999, "NTE_PROV_TYPE_NOT_DEF"),
        ("No Such Provider", 1, "NTE_KEYSET_NOT_DEF"),
        ("No Such Provider", 3, "NTE_KEYSET_NOT_DEF"),
        (BASE, 24, "NTE_PROV_TYPE_NO_MATCH"),
        (ENHANCED, 1, "NTE_PROV_TYPE_NO_MATCH"),
        (PERSONAL, 3, "NTE_PROV_TYPE_NO_MATCH"),
    ],
)
def test_a_wrong_choice_of_provider_is_named(system, name, kind, code):
    with refused(code):
        CryptAcquireContext(None, name, kind, VERIFY)


@pytest.mark.parametrize("empty", [None, ""])
def test_without_a_name_the_default_of_the_type_is_opened(system, empty):
    assert advapi32.CryptGetProvParam(CryptAcquireContext(None, empty, 1, VERIFY), f.PP_NAME) == BASE
    assert advapi32.CryptGetProvParam(CryptAcquireContext(None, empty, 24, VERIFY), f.PP_NAME) == ENHANCED


@pytest.mark.parametrize("provider", TYPES)
def test_names_compare_without_case(system, provider):
    with CryptAcquireContext(None, provider.upper(), TYPES[provider], VERIFY) as context:
        assert advapi32.CryptGetProvParam(context, f.PP_NAME) == provider


@pytest.mark.parametrize(
    "old", [f.MS_DEF_PROV, f.MS_STRONG_PROV, f.MS_ENHANCED_PROV], ids=["base", "strong", "enhanced"]
)
def test_the_older_software_providers_open_the_newest(system, old):
    with CryptAcquireContext(None, old, 1, VERIFY) as context:
        assert advapi32.CryptGetProvParam(context, f.PP_NAME) == ENHANCED
    with refused("NTE_BAD_KEYSET"):
        CryptAcquireContext(None, old, 1, 0)


def test_the_entry_point_of_a_provider_opens_it_by_name(system):
    with cspdk.CPAcquireContext(None, VERIFY) as context:
        assert cspdk.CPGetProvParam(context, f.PP_NAME) == BASE
    with refused("NTE_KEYSET_NOT_DEF"):
        cspdk.CPAcquireContext(None, VERIFY, provider="No Such Provider")


# --- defaults ---


def test_the_user_s_default_wins_over_the_machine_s_and_that_over_ours(system):
    assert CryptGetDefaultProvider(1) == BASE
    CryptSetProviderEx(PERSONAL, 1, None, f.CRYPT_MACHINE_DEFAULT)
    assert CryptGetDefaultProvider(1) == CryptGetDefaultProvider(1, None, f.CRYPT_MACHINE_DEFAULT) == PERSONAL
    CryptSetProvider(BASE, 1)
    assert CryptGetDefaultProvider(1, None, f.CRYPT_USER_DEFAULT) == BASE
    assert CryptGetDefaultProvider(1, None, f.CRYPT_MACHINE_DEFAULT) == PERSONAL
    CryptSetProviderEx(BASE, 1, None, f.CRYPT_USER_DEFAULT | f.CRYPT_DELETE_DEFAULT)
    assert CryptGetDefaultProvider(1) == PERSONAL
    CryptSetProviderEx(None, 1, None, f.CRYPT_MACHINE_DEFAULT | f.CRYPT_DELETE_DEFAULT)
    assert CryptGetDefaultProvider(1) == BASE


def test_the_default_is_what_a_context_without_a_name_gets(system):
    CryptSetProvider(PERSONAL.lower(), 1)
    assert CryptGetDefaultProvider(1) == PERSONAL
    assert advapi32.CryptGetProvParam(CryptAcquireContext(None, None, 1, VERIFY), f.PP_NAME) == PERSONAL


def test_each_system_has_its_own_defaults():
    with local_system():
        CryptSetProvider(PERSONAL, 1)
    with local_system():
        assert CryptGetDefaultProvider(1) == BASE


def test_the_default_is_kept_with_the_system(tmp_path):
    with local_system(tmp_path):
        CryptSetProvider(PERSONAL, 1)
    with local_system(tmp_path):
        assert CryptGetDefaultProvider(1) == PERSONAL


@pytest.mark.parametrize("flags", [0, 3, 4, 7, 8, 9])
def test_a_default_is_of_either_the_user_or_the_machine(system, flags):
    with refused("NTE_BAD_FLAGS"):
        CryptSetProviderEx(BASE, 1, None, flags)
    with refused("NTE_BAD_FLAGS"):
        CryptGetDefaultProvider(1, None, flags)


def test_a_wrong_default_is_refused(system):
    cases = [
        ("No Such Provider", 1, "NTE_KEYSET_NOT_DEF"),
        (BASE, 24, "NTE_PROV_TYPE_NO_MATCH"),
        (BASE, 0, "NTE_BAD_PROV_TYPE"),
    ]
    for name, kind, code in cases:
        with refused(code):
            CryptSetProvider(name, kind)
    with refused("ERROR_INVALID_PARAMETER"):
        CryptSetProvider(None, 1)
    with refused("ERROR_INVALID_PARAMETER"):
        CryptSetProviderEx(BASE, 1, b"", f.CRYPT_USER_DEFAULT)
    with refused("NTE_BAD_PROV_TYPE"):
        CryptGetDefaultProvider(0)
    with refused("NTE_PROV_TYPE_NOT_DEF"):
        CryptGetDefaultProvider(3)
    with refused("ERROR_INVALID_PARAMETER"):
        CryptGetDefaultProvider(1, b"")


# --- acquiring without a card ---


@pytest.mark.parametrize("more", QUIET)
@pytest.mark.parametrize("name", [None, ""])
@pytest.mark.parametrize("provider", TYPES)
def test_a_context_for_public_data_needs_no_reader(system, face, provider, name, more):
    with face.acquire(provider, VERIFY | more, name) as context:
        assert isinstance(context, advapi32.HCRYPTPROV)
        assert face.GetProvParam(context, f.PP_CONTAINER) == ""
        kept = 0 if provider == PERSONAL else more & f.CRYPT_MACHINE_KEYSET
        assert face.GetProvParam(context, f.PP_KEYSET_TYPE) == kept


@pytest.mark.parametrize("more", QUIET)
@pytest.mark.parametrize(
    ("flags", "name", "code"),
    [
        (VERIFY, "a name", "NTE_BAD_FLAGS"),
        (0, None, "NTE_BAD_KEYSET"),
        (0, "a name", "NTE_BAD_KEYSET"),
        (f.CRYPT_DELETEKEYSET, "a name", "NTE_BAD_KEYSET"),
        (f.CRYPT_DELETEKEYSET, None, "NTE_BAD_KEYSET"),
        (f.CRYPT_NEWKEYSET, "a name", "NTE_PERM"),
        (f.CRYPT_DEFAULT_CONTAINER_OPTIONAL, None, "NTE_BAD_FLAGS"),
    ],
)
def test_the_enhanced_provider_has_no_containers(face, flags, name, code, more):
    with refused(code):
        face.acquire(ENHANCED, flags | more, name)


BAD_COMBINATIONS = [
    0x10000000,
    0x80000000,
    0x1,
    0x100,
    VERIFY | f.CRYPT_NEWKEYSET,
    VERIFY | f.CRYPT_DELETEKEYSET,
    f.CRYPT_NEWKEYSET | f.CRYPT_DELETEKEYSET,
    f.CRYPT_NEWKEYSET | f.CRYPT_DEFAULT_CONTAINER_OPTIONAL,
    f.CRYPT_DELETEKEYSET | f.CRYPT_DEFAULT_CONTAINER_OPTIONAL,
]


@pytest.mark.parametrize("flags", BAD_COMBINATIONS, ids=hex)
@pytest.mark.parametrize("provider", TYPES)
def test_flags_that_do_not_go_together_are_refused(system, face, provider, flags):
    with refused("NTE_BAD_FLAGS"):
        face.acquire(provider, flags)


def test_a_context_can_be_of_a_system_that_is_not_current(face):
    with local_system() as made:
        pass
    assert face.acquire(ENHANCED, VERIFY, system=made)


def test_names_must_be_texts(system, face):
    with refused("ERROR_INVALID_PARAMETER"):
        face.acquire(BASE, VERIFY, b"bytes")


# --- handles ---


def test_a_provider_lives_until_its_last_reference(face):
    context = face.acquire()
    CryptContextAddRef(context)
    face.ReleaseContext(context)
    assert len(face.GenRandom(context, 4)) == 4
    face.ReleaseContext(context)
    with refused(face.bad_provider):
        face.GenRandom(context, 4)
    with refused(face.bad_provider):
        face.ReleaseContext(context)


def test_wrong_flags_give_the_reference_back_all_the_same(face):
    context = face.acquire()
    with refused("NTE_BAD_FLAGS"):
        face.ReleaseContext(context, 1)
    with refused(face.bad_provider):
        face.GenRandom(context, 4)


def test_a_reference_is_added_without_flags_and_reserved():
    context = FACES["advapi32"].acquire()
    with refused("ERROR_INVALID_PARAMETER"):
        CryptContextAddRef(context, b"")
    with refused("NTE_BAD_FLAGS"):
        CryptContextAddRef(context, None, 1)
    CryptReleaseContext(context)
    with refused("ERROR_INVALID_PARAMETER"):
        CryptContextAddRef(context)


@pytest.mark.parametrize("handle", [None, 0, 7, "text", object()], ids=["None", "0", "7", "text", "object"])
def test_what_is_no_handle_is_named_by_the_code_of_the_face(face, handle):
    context = face.acquire()
    with refused(face.bad_provider):
        face.GetProvParam(handle, f.PP_NAME)
    with refused(face.bad_key):
        face.DestroyKey(context, handle)
    with refused(face.bad_hash):
        face.HashData(context, handle, b"")


def test_closing_is_releasing_without_complaints(face):
    context = face.acquire()
    key, hash_ = face.GenKey(context, f.CALG_RC4), face.CreateHash(context, f.CALG_MD5)
    for handle in (key, hash_, context):
        handle.close()
        handle.close()
    with face.acquire() as inside, face.GenKey(inside, f.CALG_RC4) as key:
        assert face.GetKeyParam(inside, key, f.KP_ALGID) == f.CALG_RC4
    with refused(face.bad_provider):
        face.GenRandom(inside, 1)


def test_a_destroyed_key_or_hash_is_dead(face):
    context = face.acquire()
    key, hash_ = face.GenKey(context, f.CALG_RC4), face.CreateHash(context, f.CALG_MD5)
    face.DestroyKey(context, key)
    face.DestroyHash(context, hash_)
    with refused(face.bad_key):
        face.GetKeyParam(context, key, f.KP_ALGID)
    with refused(face.bad_hash):
        face.GetHashParam(context, hash_, f.HP_ALGID)
    with refused(face.bad_key):
        face.DestroyKey(context, key)
    with refused(face.bad_hash):
        face.DestroyHash(context, hash_)


def test_keys_and_hashes_die_with_their_provider(face):
    context, other = face.acquire(), face.acquire()
    key, hash_ = face.GenKey(context, f.CALG_RC4), face.CreateHash(context, f.CALG_MD5)
    face.ReleaseContext(context)
    with refused(face.bad_key):
        face.GetKeyParam(other, key, f.KP_ALGID)
    with refused(face.bad_hash):
        face.GetHashParam(other, hash_, f.HP_ALGID)


def test_keys_and_hashes_of_another_provider_handle_are_refused(face):
    mine, other = face.acquire(), face.acquire()
    key, hash_ = face.GenKey(other, f.CALG_RC4), face.CreateHash(other, f.CALG_MD5)
    with refused("NTE_BAD_KEY"):
        face.HashSessionKey(mine, face.CreateHash(mine, f.CALG_MD5), key)
    with refused("NTE_BAD_KEY"):
        face.CreateHash(mine, f.CALG_HMAC, key)
    with refused("NTE_BAD_HASH"):
        face.DeriveKey(mine, f.CALG_RC4, hash_)
    with refused("NTE_BAD_HASH"):
        face.Encrypt(mine, face.GenKey(mine, f.CALG_RC4), hash_, True, 0, b"")
    with refused("NTE_BAD_KEY"):
        face.ExportKey(mine, face.GenKey(mine, f.CALG_RC4, 1), face.GenKey(other, 1), f.SIMPLEBLOB)


def test_an_entry_point_wants_the_provider_of_the_key_and_the_hash():
    mine, other = cspdk.CPAcquireContext(None, VERIFY, provider=ENHANCED), FACES["cspdk"].acquire()
    with refused("NTE_BAD_KEY"):
        cspdk.CPGetKeyParam(mine, cspdk.CPGenKey(other, f.CALG_RC4), f.KP_ALGID)
    with refused("NTE_BAD_HASH"):
        cspdk.CPHashData(mine, cspdk.CPCreateHash(other, f.CALG_MD5), b"")


def test_the_faces_take_each_other_s_handles():
    context = cspdk.CPAcquireContext(None, VERIFY, provider=ENHANCED)
    hash_ = advapi32.CryptCreateHash(context, f.CALG_MD5)
    cspdk.CPHashData(context, hash_, b"abc")
    assert advapi32.CryptGetHashParam(hash_, f.HP_HASHVAL).hex() == "900150983cd24fb0d6963f7d28e17f72"
    assert (cspdk.HCRYPTPROV, cspdk.HCRYPTKEY, cspdk.HCRYPTHASH) == (
        advapi32.HCRYPTPROV,
        advapi32.HCRYPTKEY,
        advapi32.HCRYPTHASH,
    )


def test_handles_can_be_used_by_other_threads(face):
    context, found = face.acquire(), []
    worker = threading.Thread(target=lambda: found.append(face.GenRandom(context, 8)))
    worker.start()
    worker.join()
    assert len(found[0]) == 8


# --- random ---


@pytest.mark.parametrize("provider", TYPES)
@pytest.mark.parametrize("length", [0, 1, 1000])
def test_random_bytes_are_as_many_as_asked_for(system, face, provider, length):
    context = face.acquire(provider)
    assert len(face.GenRandom(context, length)) == length
    assert len(face.GenRandom(context, length, b"more seed")) == length


def test_random_bytes_differ(face):
    context = face.acquire()
    assert face.GenRandom(context, 16) != face.GenRandom(context, 16)


@pytest.mark.parametrize(
    "arguments", [(-1,), ("4",), (1 << 32,), (4, "seed")], ids=["negative", "text", "huge", "seed"]
)
def test_random_refuses_what_is_no_length(face, arguments):
    with refused("ERROR_INVALID_PARAMETER"):
        face.GenRandom(face.acquire(), *arguments)
