"""CryptoAPI and openssl read each other's signatures and ciphertexts: the proof of byte order."""

import hashlib
import subprocess

import pytest
from cryptoapi import ENHANCED, FACES, hashed
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from foreign import public_pem

from calais.win import blobs
from calais.win import flags as f

pytestmark = pytest.mark.requires("openssl", package="openssl")
FACE = FACES["advapi32"]
DIGESTS = {"md5": f.CALG_MD5, "sha1": f.CALG_SHA1, "sha256": f.CALG_SHA_256, "sha512": f.CALG_SHA_512}
CIPHERS = {
    "aes-128-cbc": (f.CALG_AES_128, 16, f.CRYPT_MODE_CBC),
    "aes-256-cbc": (f.CALG_AES_256, 32, f.CRYPT_MODE_CBC),
    "aes-192-ecb": (f.CALG_AES_192, 24, f.CRYPT_MODE_ECB),
    "des-ede3-cbc": (f.CALG_3DES, 24, f.CRYPT_MODE_CBC),
    "des-ede-cbc": (f.CALG_3DES_112, 16, f.CRYPT_MODE_CBC),
    "des-ede3-ecb": (f.CALG_3DES, 24, f.CRYPT_MODE_ECB),
    "rc2-cbc": (f.CALG_RC2, 16, f.CRYPT_MODE_CBC),
    "rc2-ecb": (f.CALG_RC2, 16, f.CRYPT_MODE_ECB),
    "des-cbc": (f.CALG_DES, 8, f.CRYPT_MODE_CBC),
}
FEEDBACK = {"aes-128-cfb8": (f.CALG_AES_128, 16), "des-cfb8": (f.CALG_DES, 8)}
LEGACY = ("-provider", "default", "-provider", "legacy")


def openssl(*words, data=b""):
    return subprocess.run(["openssl", *map(str, words)], input=data, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def private_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def files(tmp_path, private_key):
    (tmp_path / "public.pem").write_bytes(public_pem(private_key.public_key()))
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private.pem").write_bytes(pem)
    return tmp_path


@pytest.fixture
def context():
    with FACE.acquire(ENHANCED) as made:
        yield made


@pytest.fixture
def pair(context, private_key):
    return FACE.ImportKey(context, blobs.build_capi_private(private_key, f.CALG_RSA_KEYX))


def session(context, alg_id, value):
    blob = bytes((8, 2, 0, 0)) + alg_id.to_bytes(4, "little") + len(value).to_bytes(4, "little") + value
    return FACE.ImportKey(context, blob, None, f.CRYPT_EXPORTABLE)


@pytest.mark.parametrize("digest", DIGESTS)
def test_openssl_verifies_our_signature_turned_round(context, pair, files, digest):
    signature = FACE.SignHash(context, hashed(FACE, context, DIGESTS[digest], b"data"), f.AT_KEYEXCHANGE)
    (files / "signature").write_bytes(signature[::-1])
    words = ("dgst", f"-{digest}", "-verify", files / "public.pem", "-signature", files / "signature")
    assert b"Verified OK" in openssl(*words, data=b"data")


@pytest.mark.parametrize("digest", DIGESTS)
def test_we_verify_openssl_s_signature_turned_round(context, pair, files, digest):
    signature = openssl("dgst", f"-{digest}", "-sign", files / "private.pem", data=b"data")
    FACE.VerifySignature(context, hashed(FACE, context, DIGESTS[digest], b"data"), signature[::-1], pair)


def test_openssl_verifies_a_signature_without_identifier(context, pair, files):
    value = hashlib.md5(b"data").digest() + hashlib.sha1(b"data").digest()
    hash_ = FACE.CreateHash(context, f.CALG_SSL3_SHAMD5)
    FACE.SetHashParam(context, hash_, f.HP_HASHVAL, value)
    (files / "signature").write_bytes(FACE.SignHash(context, hash_, f.AT_KEYEXCHANGE)[::-1])
    words = ("pkeyutl", "-verifyrecover", "-pubin", "-inkey", files / "public.pem", "-in", files / "signature")
    assert openssl(*words) == value


@pytest.mark.parametrize("flags", [0, f.CRYPT_OAEP], ids=["pkcs1", "oaep"])
def test_rsa_ciphertexts_are_openssl_s_turned_round(context, pair, files, flags):
    how = ("-pkeyopt", "rsa_padding_mode:oaep" if flags else "rsa_padding_mode:pkcs1")
    ours = FACE.Encrypt(context, pair, None, True, flags, b"a message")
    words = ("pkeyutl", "-decrypt", "-inkey", files / "private.pem", *how)
    assert openssl(*words, data=ours[::-1]) == b"a message"
    theirs = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", files / "public.pem", *how, data=b"a message")
    assert FACE.Decrypt(context, pair, None, True, flags, theirs[::-1]) == b"a message"


def test_the_block_in_a_simple_blob_is_pkcs1_turned_round(context, pair, files):
    key = session(context, f.CALG_AES_256, bytes(range(32)))
    block = FACE.ExportKey(context, key, pair, f.SIMPLEBLOB)[12:]
    assert openssl("pkeyutl", "-decrypt", "-inkey", files / "private.pem", data=block[::-1]) == bytes(range(32))


def test_openssl_reads_our_private_key_blob(context, private_key, files):
    blob = blobs.build_capi_private(private_key, f.CALG_RSA_KEYX)
    key = FACE.ImportKey(context, blob, None, f.CRYPT_EXPORTABLE)
    exported = FACE.ExportKey(context, key, None, f.PRIVATEKEYBLOB)
    text = openssl("rsa", "-inform", "MSBLOB", "-noout", "-modulus", *LEGACY, data=exported)
    assert int(text.split(b"=")[1], 16) == private_key.public_key().public_numbers().n


@pytest.mark.parametrize("cipher", CIPHERS)
def test_block_ciphers_are_openssl_s(context, cipher):
    alg_id, size, mode = CIPHERS[cipher]
    value = bytes(range(size))
    key = session(context, alg_id, value)
    block = FACE.GetKeyParam(context, key, f.KP_BLOCKLEN) // 8
    FACE.SetKeyParam(context, key, f.KP_MODE, mode)
    FACE.SetKeyParam(context, key, f.KP_IV, bytes(range(block)))
    vector = () if cipher.endswith("ecb") else ("-iv", bytes(range(block)).hex())
    words = ("enc", f"-{cipher}", "-K", value.hex(), *vector, *LEGACY)
    assert FACE.Encrypt(context, key, None, True, 0, b"a message") == openssl(*words, data=b"a message")


@pytest.mark.parametrize("cipher", FEEDBACK)
def test_feedback_is_openssl_s_of_8_bits_with_padding_behind(context, cipher):
    alg_id, size = FEEDBACK[cipher]
    key = session(context, alg_id, bytes(range(size)))
    FACE.SetKeyParam(context, key, f.KP_MODE, f.CRYPT_MODE_CFB)
    words = ("enc", f"-{cipher}", "-K", bytes(range(size)).hex(), "-iv", bytes(size).hex(), *LEGACY)
    assert FACE.Encrypt(context, key, None, True, 0, b"a message")[:9] == openssl(*words, data=b"a message")


@pytest.mark.parametrize(("cipher", "size"), [("rc4", 16), ("rc4-40", 5)])
def test_rc4_is_openssl_s(context, cipher, size):
    value = bytes(range(1, size + 1))
    blob = bytes.fromhex("0802000001680000") + size.to_bytes(4, "little") + value
    key = FACE.ImportKey(context, blob, None, f.CRYPT_NO_SALT)
    words = ("enc", f"-{cipher}", "-K", value.hex(), *LEGACY)
    assert FACE.Encrypt(context, key, None, True, 0, b"a message") == openssl(*words, data=b"a message")
