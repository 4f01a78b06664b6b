"""Key blobs from anywhere: whatever they are, an import answers with a key or a Windows code."""

import contextlib
from functools import cache

import pytest
from cryptoapi import FACES, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from calais.provider.csp import keyblobs
from calais.win.blobs import CAPI_RSA
from calais.win.errors import WinError
from calais.win.flags import (
    AT_KEYEXCHANGE,
    CALG_AES_128,
    CALG_MD5,
    CALG_RSA_KEYX,
    CRYPT_DECRYPT_RSA_NO_PADDING_CHECK,
    CRYPT_EXPORTABLE,
    CRYPT_VERIFYCONTEXT,
    PLAINTEXTKEYBLOB,
    PRIVATEKEYBLOB,
    PUBLICKEYBLOB,
    SIMPLEBLOB,
)

FACE = FACES["advapi32"]
KINDS = (PUBLICKEYBLOB, PRIVATEKEYBLOB, SIMPLEBLOB, PLAINTEXTKEYBLOB)


@cache
def samples():
    """A context, and one good blob of each kind."""
    context = FACE.acquire(flags=CRYPT_VERIFYCONTEXT)
    pair = FACE.GenKey(context, AT_KEYEXCHANGE, CRYPT_EXPORTABLE)
    session = FACE.GenKey(context, CALG_AES_128, CRYPT_EXPORTABLE)
    return context, {
        PUBLICKEYBLOB: FACE.ExportKey(context, pair, None, PUBLICKEYBLOB),
        PRIVATEKEYBLOB: FACE.ExportKey(context, pair, None, PRIVATEKEYBLOB),
        SIMPLEBLOB: FACE.ExportKey(context, session, pair, SIMPLEBLOB),
        PLAINTEXTKEYBLOB: FACE.ExportKey(context, session, None, PLAINTEXTKEYBLOB),
    }


def try_import(data, flags=0):
    context, _ = samples()
    with contextlib.suppress(WinError):
        FACE.ImportKey(context, data, None, flags).close()


@given(st.binary(max_size=64), st.sampled_from([0, 1, 0x40, 0x100]))
def test_noise_is_answered_with_a_code(data, flags):
    try_import(data, flags)


@given(st.sampled_from(KINDS), st.sampled_from([0x6602, 0x660E, 0xA400, 0x2400, 0x8003]), st.binary(max_size=120))
def test_noise_behind_a_good_header_is_answered_with_a_code(kind, alg_id, rest):
    try_import(keyblobs.HEADER.pack(kind, 2, 0, alg_id) + rest)


@settings(max_examples=60)
@given(st.sampled_from(KINDS), st.integers(0, 700), st.integers(1, 255), st.integers(0, 700))
def test_a_blob_that_was_damaged_is_answered_with_a_code(kind, at, change, end):
    blob = bytearray(samples()[1][kind])
    blob[at % len(blob)] ^= change
    try_import(bytes(blob[: end or len(blob)]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [0, 1, 7, 8, 11, 19])
def test_a_blob_that_is_cut_off_in_its_header_is_bad_data(kind, length):
    context, blobs = samples()
    with refused("NTE_BAD_DATA"):
        FACE.ImportKey(context, blobs[kind][:length])


@pytest.mark.parametrize("kind", [PUBLICKEYBLOB, PRIVATEKEYBLOB, PLAINTEXTKEYBLOB])
def test_a_byte_too_many_is_bad_data(kind):
    context, blobs = samples()
    with refused("NTE_BAD_DATA"):
        FACE.ImportKey(context, blobs[kind] + b"\0" * (1 if kind != PRIVATEKEYBLOB else 200))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [0, 1, 3, 255])
def test_version_two_is_the_only_one(kind, version):
    context, blobs = samples()
    with refused("NTE_BAD_VER"):
        FACE.ImportKey(context, blobs[kind][:1] + bytes((version,)) + blobs[kind][2:])


@pytest.mark.parametrize("kind", [0, 2, 5, 9, 0xA, 0xB, 0xC, 0xFF])
def test_other_kinds_are_bad_types(kind):
    context, _ = samples()
    with refused("NTE_BAD_TYPE"):
        FACE.ImportKey(context, keyblobs.HEADER.pack(kind, 2, 0, CALG_RSA_KEYX) + bytes(40))


def test_the_layouts_are_those_of_the_header():
    _, blobs = samples()
    public, private, simple, plain = (blobs[kind] for kind in KINDS)
    assert public[:8] == bytes.fromhex("06020000 00A40000")
    assert public[8:12] == b"RSA1"
    assert len(public) == 20 + 128
    assert private[8:12] == b"RSA2"
    assert len(private) == 20 + 128 + 5 * 64 + 128
    assert simple[:12] == bytes.fromhex("01020000 0E660000 00A40000")
    assert len(simple) == 12 + 128
    assert plain[:12] == bytes.fromhex("08020000 0E660000 10000000")
    assert len(plain) == 12 + 16


ODD = st.integers(1, 0x7FFF).map(lambda number: 2 * number + 1)


@given(ODD, ODD, st.sampled_from([3, 17, 65537]), st.binary(min_size=4, max_size=4))
def test_a_weak_private_key_is_refused_or_used_without_surprise(p, q, exponent, block):
    """Nobody checks that the primes of a blob are prime; what they make is still an answer or a code."""
    context, _ = samples()
    numbers = (p * q).to_bytes(4, "little") + p.to_bytes(2, "little") + q.to_bytes(2, "little") + bytes(10)
    blob = CAPI_RSA.pack(PRIVATEKEYBLOB, 2, 0, CALG_RSA_KEYX, b"RSA2", 32, exponent) + numbers
    with contextlib.suppress(WinError):
        key = FACE.ImportKey(context, blob, None, CRYPT_EXPORTABLE)
        for flags in (CRYPT_DECRYPT_RSA_NO_PADDING_CHECK, 0):
            with contextlib.suppress(WinError):
                FACE.Decrypt(context, key, None, True, flags, block)
        with contextlib.suppress(WinError):
            FACE.SignHash(context, FACE.CreateHash(context, CALG_MD5), AT_KEYEXCHANGE)
