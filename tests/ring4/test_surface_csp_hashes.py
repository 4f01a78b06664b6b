"""CryptoAPI hashes and signatures, black box: algorithms, states, parameters, MACs."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from surfacedesk import card_context, check_pkcs1, hash_of, public_blob, refused, rsa_key

from calais.testing import local_system, virtual_gids
from calais.winapi import advapi32 as adv
from calais.winapi import cspdk

VERIFY, KX, SIG = adv.CRYPT_VERIFYCONTEXT, adv.AT_KEYEXCHANGE, adv.AT_SIGNATURE
PROVIDERS = {"B": (adv.MS_SCARD_PROV, 1), "P": (adv.PERSONAL_CSP, 1), "E": (adv.MS_ENH_RSA_AES_PROV, 24)}
DIGESTS = {
    adv.CALG_MD5: ("md5", "BPE"),
    adv.CALG_SHA1: ("sha1", "BPE"),
    adv.CALG_SHA_256: ("sha256", "BE"),
    adv.CALG_SHA_384: ("sha384", "BE"),
    adv.CALG_SHA_512: ("sha512", "BE"),
}


@pytest.fixture(scope="module")
def system():
    with local_system() as system:
        system.insert(virtual_gids(keys=[("box", KX, rsa_key(), None)]))
        yield system


def context(letter="E"):
    provider, kind = PROVIDERS[letter]
    return adv.CryptAcquireContext(None, provider, kind, VERIFY)


@pytest.fixture
def h(system):
    return context()


@pytest.mark.parametrize("letter", PROVIDERS)
@pytest.mark.parametrize("algid", DIGESTS, ids=hex)
def test_a_hash_is_the_hash(system, letter, algid):
    h = context(letter)
    name, letters = DIGESTS[algid]
    if letter not in letters:
        refused("NTE_BAD_ALGID", adv.CryptCreateHash, h, algid)
        return
    value = adv.CryptCreateHash(h, algid)
    for part in (b"a", b"", b"bc"):
        assert adv.CryptHashData(value, part) is None
    assert adv.CryptGetHashParam(value, adv.HP_ALGID) == algid
    assert adv.CryptGetHashParam(value, adv.HP_HASHSIZE) == hashlib.new(name).digest_size
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == hashlib.new(name, b"abc").digest()
    assert cspdk.CPGetHashParam(h, value, adv.HP_HASHVAL) == hashlib.new(name, b"abc").digest()
    refused("NTE_BAD_HASH_STATE", adv.CryptHashData, value, b"x")
    refused("NTE_BAD_HASH_STATE", adv.CryptSetHashParam, value, adv.HP_HASHVAL, bytes(hashlib.new(name).digest_size))


@pytest.mark.parametrize("letter", PROVIDERS)
@pytest.mark.parametrize("algid", [0, 0x8001, 0x8002, 0xA400, 0x6601, 0x800B, 0x1234], ids=hex)
def test_an_unknown_hash_is_refused(system, letter, algid):
    refused("NTE_BAD_ALGID", adv.CryptCreateHash, context(letter), algid)


def test_hashing_flags(system):
    for letter in "BE":
        h = context(letter)
        value = adv.CryptCreateHash(h, adv.CALG_SHA1)
        adv.CryptHashData(value, b"abc", adv.CRYPT_USERDATA)
        refused("NTE_BAD_FLAGS", adv.CryptHashData, value, b"x", 2)
        assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == hashlib.sha1(b"abc").digest()
    refused("NTE_BAD_FLAGS", adv.CryptCreateHash, h, adv.CALG_SHA1, None, 1)
    refused("NTE_BAD_FLAGS", adv.CryptGetHashParam, value, adv.HP_ALGID, 1)
    refused("NTE_BAD_FLAGS", adv.CryptSetHashParam, value, adv.HP_HASHVAL, bytes(20), 1)


def test_ssl3_takes_only_its_value(h):
    value = adv.CryptCreateHash(h, adv.CALG_SSL3_SHAMD5)
    assert adv.CryptGetHashParam(value, adv.HP_HASHSIZE) == 36
    refused("NTE_BAD_HASH_STATE", adv.CryptHashData, value, b"x")
    refused("NTE_BAD_LEN", adv.CryptSetHashParam, value, adv.HP_HASHVAL, bytes(20))
    assert adv.CryptSetHashParam(value, adv.HP_HASHVAL, bytes(range(36))) is None
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == bytes(range(36))


def test_a_value_is_set_on_a_fresh_hash_only_and_in_full(h):
    value = adv.CryptCreateHash(h, adv.CALG_SHA1)
    refused("NTE_BAD_LEN", adv.CryptSetHashParam, value, adv.HP_HASHVAL, bytes(19))
    adv.CryptSetHashParam(value, adv.HP_HASHVAL, b"s" * 20)
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == b"s" * 20
    refused("NTE_BAD_HASH_STATE", adv.CryptSetHashParam, hash_of(h, adv.CALG_SHA1), adv.HP_HASHVAL, bytes(20))


@pytest.mark.parametrize("param", [0, 3, 6, 7, 99])
def test_an_unknown_hash_parameter_is_no_type(h, param):
    value = adv.CryptCreateHash(h, adv.CALG_SHA1)
    refused("NTE_BAD_TYPE", adv.CryptGetHashParam, value, param)
    refused("NTE_BAD_TYPE", adv.CryptSetHashParam, value, param, b"")


def test_parameters_go_one_way(h):
    value = adv.CryptCreateHash(h, adv.CALG_SHA1)
    refused("NTE_BAD_TYPE", adv.CryptSetHashParam, value, adv.HP_ALGID, 5)
    refused("NTE_BAD_TYPE", adv.CryptSetHashParam, value, adv.HP_HASHSIZE, 5)
    refused("NTE_BAD_TYPE", adv.CryptGetHashParam, value, adv.HP_HMAC_INFO)


@pytest.mark.parametrize(("algid", "name"), [(adv.CALG_SHA1, "sha1"), (adv.CALG_SHA_256, "sha256")])
def test_hmac_uses_the_key_and_the_info(h, algid, name):
    key = adv.CryptGenKey(h, adv.CALG_AES_128, adv.CRYPT_EXPORTABLE)
    raw = adv.CryptExportKey(key, None, adv.PLAINTEXTKEYBLOB)[12:]
    value = adv.CryptCreateHash(h, adv.CALG_HMAC, key)
    assert adv.CryptSetHashParam(value, adv.HP_HMAC_INFO, adv.HmacInfo(hash_alg_id=algid)) is None
    adv.CryptHashData(value, b"abc")
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == hmac.digest(raw, b"abc", name)
    assert adv.CryptGetHashParam(value, adv.HP_HASHSIZE) == hashlib.new(name).digest_size
    value = adv.CryptCreateHash(h, adv.CALG_HMAC, key)
    inner, outer = b"\x36" * 64, b"\x5c" * 64
    adv.CryptSetHashParam(value, adv.HP_HMAC_INFO, adv.HmacInfo(algid, inner, outer))
    adv.CryptHashData(value, b"abc")
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == hmac.digest(raw, b"abc", name)


def test_keyed_hashes_need_a_session_key_and_plain_ones_none(h):
    key = adv.CryptGenKey(h, adv.CALG_AES_128)
    stream = adv.CryptGenKey(h, adv.CALG_RC4)
    pair = adv.CryptImportKey(h, public_blob(rsa_key().public_key()))
    for algid in (adv.CALG_HMAC, adv.CALG_MAC):
        refused("NTE_BAD_KEY", adv.CryptCreateHash, h, algid)
        refused("NTE_BAD_KEY", adv.CryptCreateHash, h, algid, pair)
    refused("NTE_BAD_KEY", adv.CryptCreateHash, h, adv.CALG_SHA1, key)
    refused("NTE_BAD_KEY", adv.CryptCreateHash, h, adv.CALG_MAC, stream)
    mac = adv.CryptCreateHash(h, adv.CALG_MAC, key)
    adv.CryptHashData(mac, b"abc")
    assert adv.CryptGetHashParam(mac, adv.HP_HASHVAL)


def test_hashing_a_session_key(h):
    key = adv.CryptGenKey(h, adv.CALG_AES_128, adv.CRYPT_EXPORTABLE)
    raw = adv.CryptExportKey(key, None, adv.PLAINTEXTKEYBLOB)[12:]
    seen = []
    for flags in (0, adv.CRYPT_LITTLE_ENDIAN):
        value = adv.CryptCreateHash(h, adv.CALG_SHA1)
        assert adv.CryptHashSessionKey(value, key, flags) is None
        seen.append(adv.CryptGetHashParam(value, adv.HP_HASHVAL))
    assert set(seen) <= {hashlib.sha1(raw).digest(), hashlib.sha1(raw[::-1]).digest()}
    assert seen[1] == hashlib.sha1(raw).digest()
    value = adv.CryptCreateHash(h, adv.CALG_SHA1)
    refused("NTE_BAD_FLAGS", adv.CryptHashSessionKey, value, key, 2)
    refused("NTE_BAD_KEY", adv.CryptHashSessionKey, value, adv.CryptImportKey(h, public_blob(rsa_key().public_key())))


# --- signatures ------------------------------------------------------------------------------------------------------

SIGNED = {
    adv.CALG_MD5: hashes.MD5(),
    adv.CALG_SHA1: hashes.SHA1(),
    adv.CALG_SHA_256: hashes.SHA256(),
    adv.CALG_SHA_384: hashes.SHA384(),
    adv.CALG_SHA_512: hashes.SHA512(),
}


@pytest.mark.parametrize("algid", SIGNED, ids=hex)
def test_a_card_signs_every_hash(system, algid):
    h = card_context("box")
    signature = adv.CryptSignHash(hash_of(h, algid), KX)
    assert len(signature) == 256
    check_pkcs1(rsa_key().public_key(), signature, b"abc", SIGNED[algid])
    public = adv.CryptImportKey(h, public_blob(rsa_key().public_key()))
    assert adv.CryptVerifySignature(hash_of(h, algid), signature, public) is None
    assert cspdk.CPVerifySignature(h, hash_of(h, algid), signature, public) is None


def unpadded(signature):
    numbers = rsa_key().public_key().public_numbers()
    block = pow(int.from_bytes(signature, "little"), numbers.e, numbers.n).to_bytes(256)
    assert block[:2] == b"\0\1"
    return block[2:].lstrip(b"\xff")[1:]


def test_a_signature_without_object_identifier(system):
    h = card_context("box")
    signature = adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), KX, None, adv.CRYPT_NOHASHOID)
    assert unpadded(signature) == hashlib.sha1(b"abc").digest()
    public = adv.CryptImportKey(h, public_blob(rsa_key().public_key()))
    other = adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), KX)
    for flags in (0, adv.CRYPT_NOHASHOID):
        for either in (signature, other):
            adv.CryptVerifySignature(hash_of(h, adv.CALG_SHA1), either, public, None, flags)


def test_the_tls_hash_is_signed_bare(system):
    h = card_context("box")
    value = adv.CryptCreateHash(h, adv.CALG_SSL3_SHAMD5)
    adv.CryptSetHashParam(value, adv.HP_HASHVAL, bytes(range(36)))
    signature = adv.CryptSignHash(value, KX)
    assert unpadded(signature) == bytes(range(36))
    again = adv.CryptCreateHash(h, adv.CALG_SSL3_SHAMD5)
    adv.CryptSetHashParam(again, adv.HP_HASHVAL, bytes(range(36)))
    adv.CryptVerifySignature(again, signature, adv.CryptGetUserKey(h, KX))


def test_signing_refusals(system):
    h = card_context("box")
    value = hash_of(h, adv.CALG_SHA1)
    refused("NTE_BAD_FLAGS", adv.CryptSignHash, value, KX, None, adv.CRYPT_X931_FORMAT)
    refused("NTE_BAD_FLAGS", adv.CryptSignHash, value, KX, "description")
    refused("NTE_NO_KEY", adv.CryptSignHash, value, SIG)
    public = adv.CryptGetUserKey(h, KX)
    refused("NTE_BAD_FLAGS", adv.CryptVerifySignature, value, bytes(256), public, None, 4)
    refused("NTE_BAD_FLAGS", adv.CryptVerifySignature, value, bytes(256), public, "description")
    assert adv.CryptSignHash(value, KX, "")
    refused("NTE_BAD_HASH_STATE", adv.CryptHashData, value, b"x")


def test_verifying_finishes_the_hash(h):
    value = hash_of(h, adv.CALG_SHA1)
    signature = rsa_key().sign(b"abc", padding.PKCS1v15(), hashes.SHA1())[::-1]
    adv.CryptVerifySignature(value, signature, adv.CryptImportKey(h, public_blob(rsa_key().public_key())))
    refused("NTE_BAD_HASH_STATE", adv.CryptHashData, value, b"x")


@pytest.mark.parametrize("length", [0, 1, 255, 257, 512])
def test_a_signature_of_the_wrong_length_is_bad(h, length):
    public = adv.CryptImportKey(h, public_blob(rsa_key().public_key()))
    refused("NTE_BAD_SIGNATURE", adv.CryptVerifySignature, hash_of(h, adv.CALG_SHA1), bytes(length), public)


def test_an_empty_hash_can_be_signed_and_a_signed_hash_signed_again(system):
    h = card_context("box")
    value = adv.CryptCreateHash(h, adv.CALG_SHA1)
    first = adv.CryptSignHash(value, KX)
    assert adv.CryptSignHash(value, KX) == first
    check_pkcs1(rsa_key().public_key(), first, b"")
