"""Padding information and flags; blocks that are padded here open again."""

import pytest
from cng import code_of
from hypothesis import given
from hypothesis import strategies as st

from calais.minidriver.padding import DIGEST_SIZES, Oaep, Pkcs1, Pss, Raw, remove_decryption
from calais.provider.ksp.paddings import encryption_padding, padded, room, signing_padding
from calais.win.codes import Code
from calais.win.structs import OaepPaddingInfo, Pkcs1PaddingInfo, PssPaddingInfo

SIZE = 256


def test_each_flag_takes_its_information():
    digest = bytes(32)
    assert signing_padding(Pkcs1PaddingInfo("SHA256"), 2, digest, SIZE) == Pkcs1("sha256")
    assert signing_padding(Pkcs1PaddingInfo("sha256"), 2, digest, SIZE) == Pkcs1("sha256")
    assert signing_padding(Pkcs1PaddingInfo(None), 2, b"any", SIZE) == Pkcs1(None)
    assert signing_padding(PssPaddingInfo("SHA256", 20), 8, digest, SIZE) == Pss("sha256", 20)
    assert encryption_padding(None, 1, SIZE) == Raw()
    assert encryption_padding(None, 2, SIZE) == Pkcs1()
    assert encryption_padding(OaepPaddingInfo("SHA1", b"l"), 4, SIZE) == Oaep("sha1", "sha1", b"l")


@pytest.mark.parametrize(
    ("info", "pad", "digest"),
    [
        (Pkcs1PaddingInfo("SHA256"), 0, bytes(32)),
        (Pkcs1PaddingInfo("SHA256"), 10, bytes(32)),
        (None, 2, bytes(32)),
        (None, 8, bytes(32)),
        (PssPaddingInfo("SHA256", 32), 2, bytes(32)),
        (Pkcs1PaddingInfo("SHA256"), 8, bytes(32)),
        (OaepPaddingInfo("SHA256"), 8, bytes(32)),
        ("SHA256", 2, bytes(32)),
        (Pkcs1PaddingInfo("SHA256"), 2, bytes(31)),
        (Pkcs1PaddingInfo("SHA256"), 2, b""),
        (Pkcs1PaddingInfo(""), 2, bytes(32)),
        (Pkcs1PaddingInfo(7), 2, bytes(32)),
        (Pkcs1PaddingInfo(None), 2, bytes(SIZE - 10)),
        (PssPaddingInfo(None, 32), 8, bytes(32)),
        (PssPaddingInfo("SHA256", -1), 8, bytes(32)),
        (PssPaddingInfo("SHA256", True), 8, bytes(32)),
        (PssPaddingInfo("SHA256", SIZE - 33), 8, bytes(32)),
    ],
)
def test_what_does_not_go_together_is_a_wrong_parameter_of_a_signature(info, pad, digest):
    assert code_of(signing_padding, info, pad, digest, SIZE) == Code.NTE_INVALID_PARAMETER


@pytest.mark.parametrize(
    ("info", "pad"),
    [
        (None, 0),
        (None, 3),
        (OaepPaddingInfo("SHA1"), 6),
        (None, 4),
        (Pkcs1PaddingInfo("SHA1"), 2),
        (OaepPaddingInfo("SHA1"), 1),
        (OaepPaddingInfo(None), 4),
        (OaepPaddingInfo("SHA1", "text"), 4),
    ],
)
def test_what_does_not_go_together_is_a_wrong_parameter_of_encryption(info, pad):
    assert code_of(encryption_padding, info, pad, SIZE) == Code.NTE_INVALID_PARAMETER


@pytest.mark.parametrize("algorithm", ["SHA224", "SHA3-256", "RSA"])
def test_unknown_hashes_are_not_supported(algorithm):
    assert code_of(signing_padding, Pkcs1PaddingInfo(algorithm), 2, bytes(28), SIZE) == Code.NTE_NOT_SUPPORTED
    assert code_of(encryption_padding, OaepPaddingInfo(algorithm), 4, SIZE) == Code.NTE_NOT_SUPPORTED


def test_a_digest_info_that_is_too_long_for_the_key_does_not_fit():
    assert signing_padding(Pkcs1PaddingInfo("SHA512"), 2, bytes(64), 94)
    assert code_of(signing_padding, Pkcs1PaddingInfo("SHA512"), 2, bytes(64), 93) == Code.NTE_INVALID_PARAMETER


def test_a_hash_that_is_too_long_for_the_key_does_not_fit():
    assert code_of(encryption_padding, OaepPaddingInfo("SHA512"), 4, 128) == Code.NTE_INVALID_PARAMETER


paddings = st.one_of(
    st.just(Pkcs1()),
    st.builds(
        lambda name, label: Oaep(name, name, label), st.sampled_from(sorted(DIGEST_SIZES)), st.binary(max_size=9)
    ),
)


@given(padding=paddings, plain=st.binary(max_size=126))
def test_a_padded_block_opens_again(padding, plain):
    block = padded(padding, plain, SIZE)
    assert len(block) == SIZE
    assert remove_decryption(padding, block) == plain


@given(padding=paddings)
def test_one_byte_too_much_is_refused(padding):
    assert padded(padding, bytes(room(padding, SIZE)), SIZE)
    assert code_of(padded, padding, bytes(room(padding, SIZE) + 1), SIZE) == Code.NTE_INVALID_PARAMETER


@pytest.mark.parametrize("length", [0, SIZE - 1, SIZE + 1])
def test_without_padding_the_length_is_that_of_the_modulus(length):
    assert padded(Raw(), bytes(SIZE), SIZE) == bytes(SIZE)
    assert code_of(padded, Raw(), bytes(length), SIZE) == Code.NTE_INVALID_PARAMETER
