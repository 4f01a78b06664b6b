"""Signatures and encryption with keys in memory, row by row; others verify and decrypt them."""

import hashlib
import subprocess

import pytest
from cng import DIGEST, NONE, OAEP, PKCS1, PSS, SHA256, code_of, memory, new
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from hypothesis import given, settings
from hypothesis import strategies as st

from calais.win import blobs
from calais.winapi.ncrypt import (
    NTE_BAD_FLAGS,
    NTE_BAD_SIGNATURE,
    NTE_INVALID_PARAMETER,
    NTE_NO_KEY,
    NTE_NOT_SUPPORTED,
    NTE_PERM,
    NCryptDecrypt,
    NCryptEncrypt,
    NCryptExportKey,
    NCryptGetProperty,
    NCryptImportKey,
    NCryptSignHash,
    NCryptVerifySignature,
    OaepPaddingInfo,
    Pkcs1PaddingInfo,
    PssPaddingInfo,
)

HASHES = ["MD5", "SHA1", "SHA256", "SHA384", "SHA512"]
SAME = "wrong padding has one code"


@pytest.fixture(scope="module")
def rsa_key():
    return new("RSA", Length=2048)


@pytest.fixture(scope="module")
def ecdsa():
    return new("ECDSA_P256")


@pytest.fixture(scope="module")
def ecdh():
    return new("ECDH_P256")


def public_of(key):
    """The public half, as another library sees it."""
    return blobs.parse_public(NCryptExportKey(key, None, "PUBLICBLOB"))


def public_handle(key):
    return NCryptImportKey(memory(), None, "PUBLICBLOB", (), NCryptExportKey(key, None, "PUBLICBLOB"))


def digest_of(name):
    return hashlib.new(name, b"data").digest()


@pytest.mark.parametrize("name", HASHES)
def test_pkcs1_signatures_are_big_endian_and_verify(rsa_key, name):
    digest = digest_of(name)
    signature = NCryptSignHash(rsa_key, Pkcs1PaddingInfo(name), digest, PKCS1)
    assert len(signature) == 256
    algorithm = utils.Prehashed(getattr(hashes, name)())
    public_of(rsa_key).verify(signature, digest, padding.PKCS1v15(), algorithm)
    assert NCryptVerifySignature(rsa_key, Pkcs1PaddingInfo(name), digest, signature, PKCS1) is None


@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize("salt", [0, 20, 64])
def test_pss_signatures_verify_with_their_salt_only(rsa_key, name, salt):
    digest = digest_of(name)
    signature = NCryptSignHash(rsa_key, PssPaddingInfo(name, salt), digest, PSS)
    algorithm = getattr(hashes, name)()
    public_of(rsa_key).verify(signature, digest, padding.PSS(padding.MGF1(algorithm), salt), utils.Prehashed(algorithm))
    NCryptVerifySignature(rsa_key, PssPaddingInfo(name, salt), digest, signature, PSS)
    wrong = PssPaddingInfo(name, salt + 1)
    assert code_of(NCryptVerifySignature, rsa_key, wrong, digest, signature, PSS) == NTE_BAD_SIGNATURE


def test_without_a_digest_info_the_data_goes_in_as_it_is(rsa_key):
    plain = Pkcs1PaddingInfo(None)
    signature = NCryptSignHash(rsa_key, plain, b"anything", PKCS1)
    assert public_of(rsa_key).recover_data_from_signature(signature, padding.PKCS1v15(), None) == b"anything"
    NCryptVerifySignature(rsa_key, plain, b"anything", signature, PKCS1)
    assert code_of(NCryptVerifySignature, rsa_key, plain, b"another", signature, PKCS1) == NTE_BAD_SIGNATURE


@pytest.mark.parametrize(("name", "width"), [("ECDSA_P256", 32), ("ECDSA_P384", 48), ("ECDSA_P521", 66)])
@pytest.mark.parametrize("length", [1, 20, 32, 48, 64, 66, 100])
def test_ecdsa_signs_digests_of_every_length(name, width, length):
    key, digest = new(name), bytes(range(1, length + 1))
    signature = NCryptSignHash(key, None, digest)
    assert len(signature) == 2 * width
    NCryptVerifySignature(key, None, digest, signature)
    r, s = int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHAKE256(length)))
    public_of(key).verify(utils.encode_dss_signature(r, s), digest, algorithm)


def test_of_a_digest_longer_than_the_order_the_leftmost_bits_count(ecdsa):
    signature = NCryptSignHash(ecdsa, None, DIGEST + b"the rest")
    assert NCryptVerifySignature(ecdsa, None, DIGEST, signature) is None


def test_a_wrong_signature_has_its_code(rsa_key, ecdsa):
    good = NCryptSignHash(rsa_key, SHA256, DIGEST, PKCS1)
    for bad in (bytes(256), good[:-1], good + b"\0", good[:-1] + bytes([good[-1] ^ 1]), good[::-1]):
        assert code_of(NCryptVerifySignature, rsa_key, SHA256, DIGEST, bad, PKCS1) == NTE_BAD_SIGNATURE
    good = NCryptSignHash(ecdsa, None, DIGEST)
    for bad in (bytes(64), good[:-1], good + b"\0", good[::-1], b"\xff" * 64):
        assert code_of(NCryptVerifySignature, ecdsa, None, DIGEST, bad) == NTE_BAD_SIGNATURE
    assert code_of(NCryptVerifySignature, ecdsa, None, DIGEST) == NTE_INVALID_PARAMETER


@pytest.mark.parametrize("call", [NCryptSignHash, lambda *a: NCryptVerifySignature(*a[:3], b"x", *a[3:])])
@pytest.mark.parametrize(
    ("info", "flags", "code"),
    [
        (SHA256, 0, NTE_INVALID_PARAMETER),
        (SHA256, PKCS1 | PSS, NTE_INVALID_PARAMETER),
        (None, PKCS1, NTE_INVALID_PARAMETER),
        (None, 0, NTE_INVALID_PARAMETER),
        (SHA256, PSS, NTE_INVALID_PARAMETER),
        (PssPaddingInfo("SHA256", 32), PKCS1, NTE_INVALID_PARAMETER),
        (Pkcs1PaddingInfo("SHA224"), PKCS1, NTE_NOT_SUPPORTED),
        (Pkcs1PaddingInfo("SHA512"), PKCS1, NTE_INVALID_PARAMETER),
        (SHA256, PKCS1 | OAEP, NTE_BAD_FLAGS),
        (SHA256, PKCS1 | NONE, NTE_BAD_FLAGS),
    ],
)
def test_flags_and_information_must_go_together(rsa_key, call, info, flags, code):
    assert code_of(call, rsa_key, info, DIGEST, flags) == code


def test_ecdsa_has_no_padding(ecdsa):
    assert code_of(NCryptSignHash, ecdsa, SHA256, DIGEST, PKCS1) == NTE_BAD_FLAGS
    assert code_of(NCryptSignHash, ecdsa, SHA256, DIGEST) == NTE_INVALID_PARAMETER
    assert code_of(NCryptSignHash, ecdsa, None, b"") == NTE_INVALID_PARAMETER
    assert code_of(NCryptSignHash, ecdsa) == NTE_INVALID_PARAMETER
    assert code_of(NCryptSignHash, ecdsa, None, "text") == NTE_INVALID_PARAMETER


def test_each_kind_of_key_does_its_own_work(ecdsa, ecdh, rsa_key):
    assert code_of(NCryptSignHash, ecdh, None, DIGEST) == NTE_NOT_SUPPORTED
    assert code_of(NCryptVerifySignature, ecdh, None, DIGEST, bytes(64)) == NTE_NOT_SUPPORTED
    for key in (ecdsa, ecdh):
        assert code_of(NCryptEncrypt, key, b"x", None, PKCS1) == NTE_NOT_SUPPORTED
        assert code_of(NCryptDecrypt, key, b"x", None, PKCS1) == NTE_NOT_SUPPORTED


def test_a_public_key_has_no_private_half(rsa_key, ecdsa):
    assert code_of(NCryptSignHash, public_handle(rsa_key), SHA256, DIGEST, PKCS1) == NTE_NO_KEY
    assert code_of(NCryptDecrypt, public_handle(rsa_key), bytes(256), None, PKCS1) == NTE_NO_KEY
    assert code_of(NCryptSignHash, public_handle(ecdsa), None, DIGEST) == NTE_NO_KEY


def test_usages_are_kept_to():
    decrypts, signs = new("RSA", Length=1024, Key_Usage=1), new("RSA", Length=1024, Key_Usage=2)
    assert code_of(NCryptSignHash, decrypts, SHA256, DIGEST, PKCS1) == NTE_PERM
    sealed = NCryptEncrypt(signs, b"x", None, PKCS1)
    assert code_of(NCryptDecrypt, signs, sealed, None, PKCS1) == NTE_PERM
    assert NCryptDecrypt(decrypts, NCryptEncrypt(decrypts, b"x", None, PKCS1), None, PKCS1) == b"x"
    assert code_of(NCryptSignHash, new("ECDSA_P256", Key_Usage=4), None, DIGEST) == NTE_PERM


# --- encryption ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize("label", [b"", b"label"])
def test_oaep_goes_there_and_back(rsa_key, name, label):
    how = OaepPaddingInfo(name, label)
    sealed = NCryptEncrypt(rsa_key, b"secret", how, OAEP)
    assert len(sealed) == 256
    assert NCryptDecrypt(rsa_key, sealed, how, OAEP) == b"secret"
    other = OaepPaddingInfo(name, label + b"x")
    assert code_of(NCryptDecrypt, rsa_key, sealed, other, OAEP) == NTE_INVALID_PARAMETER


def test_another_library_encrypts_for_us(rsa_key):
    public = public_of(rsa_key)
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"l")
    assert NCryptDecrypt(rsa_key, public.encrypt(b"m", scheme), OaepPaddingInfo("SHA256", b"l"), OAEP) == b"m"
    assert NCryptDecrypt(rsa_key, public.encrypt(b"m", padding.PKCS1v15()), None, PKCS1) == b"m"


def test_without_padding_the_numbers_are_bare(rsa_key):
    numbers = public_of(rsa_key).public_numbers()
    block = bytes(255) + b"\2"
    sealed = NCryptEncrypt(rsa_key, block, None, NONE)
    assert int.from_bytes(sealed, "big") == pow(2, numbers.e, numbers.n)
    assert NCryptDecrypt(rsa_key, sealed, None, NONE) == block


@pytest.mark.parametrize("size", [0, 1, 255, 257])
def test_blocks_have_the_length_of_the_modulus(rsa_key, size):
    assert code_of(NCryptEncrypt, rsa_key, bytes(size), None, NONE) == NTE_INVALID_PARAMETER
    assert code_of(NCryptDecrypt, rsa_key, bytes(size), None, NONE) == NTE_INVALID_PARAMETER
    assert code_of(NCryptDecrypt, rsa_key, bytes(size), None, PKCS1) == NTE_INVALID_PARAMETER


def test_a_number_above_the_modulus_is_refused(rsa_key):
    assert code_of(NCryptEncrypt, rsa_key, b"\xff" * 256, None, NONE) == NTE_INVALID_PARAMETER
    assert code_of(NCryptDecrypt, rsa_key, b"\xff" * 256, None, PKCS1) == NTE_INVALID_PARAMETER


@pytest.mark.parametrize(("info", "flags", "most"), [(None, PKCS1, 245), (OaepPaddingInfo("SHA256"), OAEP, 190)])
def test_the_longest_plaintext_fits_and_one_more_does_not(rsa_key, info, flags, most):
    sealed = NCryptEncrypt(rsa_key, bytes(most), info, flags)
    assert NCryptDecrypt(rsa_key, sealed, info, flags) == bytes(most)
    assert code_of(NCryptEncrypt, rsa_key, bytes(most + 1), info, flags) == NTE_INVALID_PARAMETER


@pytest.mark.parametrize(
    ("info", "flags"),
    [(None, 0), (None, PKCS1 | OAEP), (None, OAEP), (SHA256, OAEP), (OaepPaddingInfo("SHA1"), PKCS1)],
)
def test_encryption_flags_and_information_must_go_together(rsa_key, info, flags):
    assert code_of(NCryptEncrypt, rsa_key, b"x", info, flags) == NTE_INVALID_PARAMETER
    assert code_of(NCryptDecrypt, rsa_key, bytes(256), info, flags) == NTE_INVALID_PARAMETER
    assert code_of(NCryptEncrypt, rsa_key, b"x", None, PKCS1 | PSS) == NTE_BAD_FLAGS


BLOCKS = {
    "no head": b"\0\1" + b"\1" * 100 + b"\0" + b"m" * 153,
    "zero in the filling": b"\0\2" + b"\1" * 7 + b"\0" + b"m" * 246,
    "no end": b"\0\2" + b"\1" * 254,
    "first byte": b"\1\2" + b"\1" * 100 + b"\0" + b"m" * 153,
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_every_wrong_padding_has_the_same_error(rsa_key, block):
    sealed = NCryptEncrypt(rsa_key, block, None, NONE)
    words = set()
    for info, flags in ((None, PKCS1), (OaepPaddingInfo("SHA1"), OAEP)):
        with pytest.raises(Exception) as caught:
            NCryptDecrypt(rsa_key, sealed, info, flags)
        assert caught.value.code == NTE_INVALID_PARAMETER
        words.add(str(caught.value))
    assert len(words) == 1


@settings(max_examples=30)
@given(plain=st.binary(max_size=86))
def test_whatever_fits_comes_back(plain):
    key = short_key()
    for info, flags in ((None, PKCS1), (OaepPaddingInfo("SHA1"), OAEP)):
        assert NCryptDecrypt(key, NCryptEncrypt(key, plain, info, flags), info, flags) == plain


def short_key(kept=[]):  # noqa: B006 - one key for all examples
    if not kept:
        kept.append(new("RSA", Length=1024))
    return kept[0]


@pytest.mark.requires("openssl", package="openssl")
@pytest.mark.parametrize(
    ("info", "flags", "options"), [(SHA256, PKCS1, ()), (PssPaddingInfo("SHA256", 32), PSS, ("pss",))]
)
def test_openssl_verifies_rsa_signatures(tmp_path, rsa_key, info, flags, options):
    (tmp_path / "sig").write_bytes(NCryptSignHash(rsa_key, info, hashlib.sha256(b"text").digest(), flags))
    more = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32") if options else ()
    assert openssl_says(tmp_path, public_of(rsa_key), *more) == b"Verified OK\n"


@pytest.mark.requires("openssl", package="openssl")
def test_openssl_verifies_ecdsa_signatures(tmp_path, ecdsa):
    raw = NCryptSignHash(ecdsa, None, hashlib.sha256(b"text").digest())
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    (tmp_path / "sig").write_bytes(utils.encode_dss_signature(r, s))
    assert openssl_says(tmp_path, public_of(ecdsa)) == b"Verified OK\n"
    assert NCryptGetProperty(ecdsa, "SignatureLength") == 64


def openssl_says(folder, public, *options):
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "pub").write_bytes(pem)
    (folder / "text").write_bytes(b"text")
    words = ["openssl", "dgst", "-sha256", "-verify", "pub", "-signature", "sig", *options, "text"]
    return subprocess.run(words, cwd=folder, capture_output=True).stdout
