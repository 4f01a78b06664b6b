"""PP_* that need no card, in both faces and all providers."""

import pytest
from cryptoapi import BASE, ENHANCED, FACES, PERSONAL, TYPES, listed, refused

from calais.testing import local_system
from calais.win import flags as f
from calais.win.structs import ProvEnumAlgs, ProvEnumAlgsEx
from calais.winapi.advapi32 import CryptSetProvParam

LETTERS = {"B": BASE, "P": PERSONAL, "E": ENHANCED}
VALUES = {
    f.PP_IMPTYPE: {"B": 0x0B, "P": 0x0B, "E": 2},
    f.PP_VERSION: {"B": 0x0200, "P": 0x0200, "E": 0x0200},
    f.PP_CONTAINER: {"B": "", "P": "", "E": ""},
    f.PP_UNIQUE_CONTAINER: {"B": "", "P": "", "E": ""},
    f.PP_PROVTYPE: {"B": 1, "P": 1, "E": 24},
    f.PP_NAME: LETTERS,
    f.PP_KEYSTORAGE: {"B": 4, "P": 4, "E": 1},
    f.PP_KEYSET_TYPE: {"B": 0, "P": 0, "E": 0},
    f.PP_KEYSPEC: {"B": 3, "P": 3, "E": 3},
    f.PP_SIG_KEYSIZE_INC: {"B": 64, "P": 64, "E": 8},
    f.PP_KEYX_KEYSIZE_INC: {"B": 64, "P": 64, "E": 8},
}
READ = {*VALUES, f.PP_ENUMALGS, f.PP_ENUMALGS_EX, f.PP_ENUMCONTAINERS}
CARD_ONLY = {42, 43, 45, 46, 47, 0x80000001, 0x80000002}


@pytest.fixture
def system():
    with local_system() as made:
        yield made


@pytest.fixture(params=FACES)
def face(request):
    return FACES[request.param]


@pytest.fixture(params=LETTERS)
def letter(request):
    return request.param


@pytest.fixture
def context(system, face, letter):
    return face.acquire(LETTERS[letter])


@pytest.mark.parametrize("param", VALUES)
def test_the_value_is_the_table_s(face, context, letter, param):
    assert face.GetProvParam(context, param) == VALUES[param][letter]


@pytest.mark.parametrize("param", VALUES)
@pytest.mark.parametrize("flags", [1, 2, 0x20, 0x80000000])
def test_reading_takes_no_flags(face, context, param, flags):
    with refused("NTE_BAD_FLAGS"):
        face.GetProvParam(context, param, flags)


@pytest.mark.parametrize("param", sorted(set(range(60)) - READ - CARD_ONLY))
def test_what_is_not_in_the_table_cannot_be_read(face, context, param):
    with refused("NTE_BAD_TYPE"):
        face.GetProvParam(context, param)


@pytest.mark.parametrize("param", sorted(CARD_ONLY))
def test_a_provider_without_cards_knows_nothing_of_them(face, param):
    with refused("NTE_BAD_TYPE"):
        face.GetProvParam(face.acquire(ENHANCED), param)


@pytest.mark.parametrize("param", sorted({*VALUES, 22, 27, 36, 39, 42, 43, 45} - {1}))
def test_what_is_read_only_cannot_be_set(face, context, param):
    with refused("NTE_BAD_TYPE"):
        face.SetProvParam(context, param, b"")


@pytest.mark.parametrize("param", [21, 31, 32, 33, 44, 47, 48])
def test_a_provider_without_cards_asks_nobody(face, param):
    with refused("NTE_BAD_TYPE"):
        face.SetProvParam(face.acquire(ENHANCED), param, "123456")


@pytest.mark.parametrize("flags", [0, 1, 4, 15])
def test_there_are_no_security_descriptors(face, context, flags):
    with refused("NTE_BAD_TYPE"):
        face.GetProvParam(context, f.PP_KEYSET_SEC_DESCR, flags)
    with refused("NTE_BAD_TYPE"):
        face.SetProvParam(context, f.PP_KEYSET_SEC_DESCR, b"", flags)


def test_algorithms_are_enumerated_in_both_forms(face, context, letter):
    short, long = listed(face, context, f.PP_ENUMALGS), listed(face, context, f.PP_ENUMALGS_EX)
    assert {type(each) for each in short} == {ProvEnumAlgs}
    assert {type(each) for each in long} == {ProvEnumAlgsEx}
    assert [(each.alg_id, each.bit_length, each.name) for each in long] == [
        (each.alg_id, each.bit_length, each.name) for each in short
    ]
    assert len(short) == (10 if letter == "P" else 18)
    assert all(each.min_length <= each.bit_length <= each.max_length for each in long)


def test_every_enumerated_algorithm_works(face, context):
    for each in listed(face, context, f.PP_ENUMALGS):
        if each.alg_id & 0xE000 == 0x6000:
            face.GenKey(context, each.alg_id).close()
            face.GenKey(context, each.alg_id, each.bit_length << 16).close()
        elif each.alg_id & 0xE000 == 0x8000 and each.bit_length:
            assert (
                face.GetHashParam(context, face.CreateHash(context, each.alg_id), f.HP_HASHSIZE) * 8 == each.bit_length
            )


def test_each_parameter_and_handle_has_its_own_cursor(system, face, letter):
    one, other = (face.acquire(LETTERS[letter]) for _ in range(2))
    first = face.GetProvParam(one, f.PP_ENUMALGS, f.CRYPT_FIRST)
    second = face.GetProvParam(one, f.PP_ENUMALGS, f.CRYPT_NEXT)
    assert face.GetProvParam(one, f.PP_ENUMALGS_EX, 0).alg_id == first.alg_id
    assert face.GetProvParam(other, f.PP_ENUMALGS, 0) == first
    assert face.GetProvParam(one, f.PP_ENUMALGS, 0) not in (first, second)
    assert face.GetProvParam(one, f.PP_ENUMALGS, f.CRYPT_FIRST) == first


def test_an_enumeration_stays_at_its_end(face, context):
    listed(face, context, f.PP_ENUMALGS)
    for flags in (0, f.CRYPT_NEXT):
        with refused("ERROR_NO_MORE_ITEMS"):
            face.GetProvParam(context, f.PP_ENUMALGS, flags)


@pytest.mark.parametrize("param", [f.PP_ENUMALGS, f.PP_ENUMALGS_EX, f.PP_ENUMCONTAINERS])
@pytest.mark.parametrize("flags", [3, 4, 8])
def test_an_enumeration_takes_first_or_next(face, context, param, flags):
    with refused("NTE_BAD_FLAGS"):
        face.GetProvParam(context, param, flags)


@pytest.mark.parametrize("more", [0, f.CRYPT_MACHINE_KEYSET])
def test_a_provider_without_cards_has_no_containers(face, more):
    with refused("ERROR_NO_MORE_ITEMS"):
        face.GetProvParam(face.acquire(ENHANCED), f.PP_ENUMCONTAINERS, f.CRYPT_FIRST | more)


def test_a_window_is_kept_for_prompts(face, context):
    face.SetProvParam(context, f.PP_CLIENT_HWND, 0x1234)
    assert context.caller.window == 0x1234


@pytest.mark.parametrize("value", [None, "text", b"bytes", True], ids=["None", "text", "bytes", "True"])
def test_a_window_is_a_number(system, face, context, value):
    with refused("ERROR_INVALID_PARAMETER"):
        face.SetProvParam(context, f.PP_CLIENT_HWND, value)
    with refused("ERROR_INVALID_PARAMETER"):
        CryptSetProvParam(None, f.PP_CLIENT_HWND, value)


def test_a_window_for_all_is_set_without_a_provider(system, face):
    face.SetProvParam(None, f.PP_CLIENT_HWND, 77)
    assert face.acquire(BASE).caller.window == 77
    with refused("NTE_BAD_FLAGS"):
        CryptSetProvParam(None, f.PP_CLIENT_HWND, 77, 1)
    with refused(face.bad_provider):
        face.SetProvParam(None, f.PP_UI_PROMPT, "text")


@pytest.mark.parametrize("provider", TYPES)
def test_setting_takes_no_flags(system, face, provider):
    with refused("NTE_BAD_FLAGS"):
        face.SetProvParam(face.acquire(provider), f.PP_CLIENT_HWND, 1, 1)
