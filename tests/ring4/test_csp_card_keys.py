"""Keys in card containers through CryptoAPI: their use, their parameters, their certificates, and what it costs."""

from __future__ import annotations

import subprocess

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cspdesk import (
    CARDS,
    DATA,
    acquire,
    certificate_of,
    check_signature,
    fails,
    gids,
    give_pin,
    piv,
    public_key_of,
    set_certificate,
    sign,
)
from people import PIN, key_of, rsa_of
from pivdesk import certificate, der

from calais.minidriver.pins import Role
from calais.testing import FixedPrompt, local_system
from calais.win.codes import Code
from calais.win.flags import CRYPT_SILENT
from calais.winapi import advapi32 as api

NEW = api.CRYPT_NEWKEYSET
SHORT = 1024 << 16  # bits of keys that a test makes


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


@pytest.fixture(params=list(CARDS))
def inserted(request, system):
    made = CARDS[request.param]()
    system.insert(made)
    return made


# --- CryptGetUserKey ---


@pytest.mark.parametrize(("spec", "code"), [(2, Code.NTE_NO_KEY), (0, Code.NTE_BAD_KEY), (3, Code.NTE_BAD_KEY)])
def test_slots_without_a_key(system, inserted, spec, code):
    with acquire(None) as handle:
        with fails(code):
            api.CryptGetUserKey(handle, spec)
        with fails(code):
            sign(handle, spec)


def test_destroying_a_card_key_leaves_it_there(system, inserted):
    with acquire(None) as handle:
        key = api.CryptGetUserKey(handle, 1)
        api.CryptDestroyKey(key)
        with fails(Code.ERROR_INVALID_PARAMETER):
            api.CryptGetKeyParam(key, api.KP_ALGID)
        sign(handle)


# --- signatures ---

HASHES = {
    api.CALG_MD5: hashes.MD5(),
    api.CALG_SHA1: hashes.SHA1(),
    api.CALG_SHA_256: hashes.SHA256(),
    api.CALG_SHA_384: hashes.SHA384(),
    api.CALG_SHA_512: hashes.SHA512(),
}


@pytest.mark.parametrize("algorithm", list(HASHES), ids=hex)
def test_signatures_of_every_hash(system, inserted, algorithm):
    with acquire(None) as handle:
        signature = sign(handle, algorithm=algorithm)
        public = public_key_of(handle)
        check_signature(public, signature, algorithm=HASHES[algorithm])
        hash_ = api.CryptCreateHash(handle, algorithm)
        api.CryptHashData(hash_, DATA)
        api.CryptVerifySignature(hash_, signature[::-1], api.CryptGetUserKey(handle, 1))


def test_the_hash_of_tls_is_signed_without_an_identifier(system, inserted):
    value = bytes(range(36))
    with acquire(None) as handle:
        for flags in (0, api.CRYPT_NOHASHOID):
            hash_ = api.CryptCreateHash(handle, api.CALG_SSL3_SHAMD5)
            api.CryptSetHashParam(hash_, api.HP_HASHVAL, value)
            signature = api.CryptSignHash(hash_, 1, None, flags)[::-1]
            assert unpadded(public_key_of(handle), signature) == value


def unpadded(public, signature):
    """What PKCS#1 v1.5 padding of type 1 wraps."""
    numbers = public.public_numbers()
    block = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n).to_bytes(public.key_size // 8, "big")
    assert block.startswith(b"\0\x01\xff")
    return block[2:].lstrip(b"\xff")[1:]


def test_a_signature_without_hash_identifier(system, inserted):
    import hashlib

    with acquire(None) as handle:
        signature = sign(handle, flags=api.CRYPT_NOHASHOID)
        assert unpadded(public_key_of(handle), signature) == hashlib.sha1(DATA).digest()


def test_openssl_agrees(system, inserted, tmp_path):
    with acquire(None) as handle:
        (tmp_path / "signature").write_bytes(sign(handle, algorithm=api.CALG_SHA_256))
        public = public_key_of(handle).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key").write_bytes(public)
    (tmp_path / "data").write_bytes(DATA)
    words = ["openssl", "dgst", "-sha256", "-verify", "key", "-signature", "signature", "data"]
    assert b"OK" in subprocess.run(words, cwd=tmp_path, check=True, capture_output=True).stdout


@pytest.mark.parametrize("flags", [2, api.CRYPT_X931_FORMAT, 8])
def test_other_signature_formats(system, inserted, flags):
    with acquire(None) as handle, fails(Code.NTE_BAD_FLAGS):
        sign(handle, flags=flags)
    assert system.broker.prompt.count == 0


# --- decryption ---


def test_decryption_by_the_card(system, inserted):
    with acquire(None) as handle:
        key, public = api.CryptGetUserKey(handle, 1), public_key_of(handle)
        cipher = public.encrypt(b"secret", padding.PKCS1v15())[::-1]
        assert api.CryptDecrypt(key, pbData=cipher) == b"secret"
        raw = api.CryptDecrypt(key, dwFlags=api.CRYPT_DECRYPT_RSA_NO_PADDING_CHECK, pbData=cipher)
        assert raw[::-1].startswith(b"\0\2") or raw.startswith(b"\0\2")
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
        assert api.CryptDecrypt(key, dwFlags=api.CRYPT_OAEP, pbData=public.encrypt(b"x", oaep)[::-1]) == b"x"
        assert api.CryptDecrypt(key, pbData=api.CryptEncrypt(key, pbData=b"again")) == b"again"


@pytest.mark.parametrize("flags", [0, api.CRYPT_OAEP])
def test_nonsense_is_bad_data(system, inserted, flags):
    with acquire(None) as handle:
        key = api.CryptGetUserKey(handle, 1)
        for block in (bytes(255) + b"\0", bytes(10), b"\xff" * 256):
            with fails(Code.NTE_BAD_DATA):
                api.CryptDecrypt(key, dwFlags=flags, pbData=block)


def test_signature_keys_do_not_encrypt(system):
    system.insert(gids(specs=(2,)))
    with acquire(None) as handle:
        key = api.CryptGetUserKey(handle, 2)
        for use in (api.CryptEncrypt, api.CryptDecrypt):
            with fails(Code.NTE_BAD_KEY):
                use(key, pbData=bytes(256))


def test_a_session_key_comes_and_goes_under_a_card_key(system, inserted):
    with acquire(None) as handle:
        exchange = api.CryptGetUserKey(handle, 1)
        session = api.CryptGenKey(handle, api.CALG_AES_128, api.CRYPT_EXPORTABLE)
        blob = api.CryptExportKey(session, exchange, api.SIMPLEBLOB)
        again = api.CryptImportKey(handle, blob)
        assert api.CryptDecrypt(again, pbData=api.CryptEncrypt(session, pbData=b"hello")) == b"hello"


# --- export ---


def test_private_keys_stay_on_the_card(system, inserted):
    with acquire(None) as handle:
        key = api.CryptGetUserKey(handle, 1)
        with fails(Code.NTE_BAD_KEY_STATE):
            api.CryptExportKey(key, None, api.PRIVATEKEYBLOB)
        for kind in (api.OPAQUEKEYBLOB, 0x0C):
            with fails(Code.NTE_BAD_TYPE):
                api.CryptExportKey(key, None, kind)


# --- key parameters ---


def test_parameters_of_a_card_key(system, inserted):
    with acquire(None) as handle:
        key = api.CryptGetUserKey(handle, 1)
        container = system.card().containers.default
        values = {
            api.KP_ALGID: api.CALG_RSA_KEYX,
            api.KP_BLOCKLEN: 2048,
            api.KP_KEYLEN: 2048,
            api.KP_CERTIFICATE: container.certificate,
            api.KP_PIN_ID: Role.USER,
            api.KP_PIN_INFO: system.card().run(lambda driver: driver.pin_info(Role.USER)),
        }
        assert {param: api.CryptGetKeyParam(key, param) for param in values} == values
        assert not api.CryptGetKeyParam(key, api.KP_PERMISSIONS) & api.CRYPT_EXPORT
        with fails(Code.NTE_BAD_FLAGS):
            api.CryptGetKeyParam(key, api.KP_CERTIFICATE, 1)


def test_the_pin_of_a_key_that_wants_it_each_time(system):
    system.insert(piv(0x9C, 0x9E))
    for reference, pin_id in (("9C", 4), ("9E", 0)):
        with acquire(system.card().containers.find(reference).name) as handle:
            key = api.CryptGetUserKey(handle, 2)
            assert api.CryptGetKeyParam(key, api.KP_PIN_ID) == pin_id
            info = api.CryptGetKeyParam(key, api.KP_PIN_INFO)
            assert (info.pin_type, info.cache_policy.policy) == ((0, 3) if pin_id else (3, 0))


def test_a_certificate_is_written_read_and_deleted(system, inserted):
    with acquire("fresh", NEW) as handle:
        key = api.CryptGenKey(handle, 1, SHORT)
        with fails(Code.SCARD_E_NO_SUCH_CERTIFICATE):
            api.CryptGetKeyParam(key, api.KP_CERTIFICATE)
        made = certificate_of(public_key_of(handle))
        api.CryptSetKeyParam(key, api.KP_CERTIFICATE, made)
        assert api.CryptGetKeyParam(key, api.KP_CERTIFICATE) == made
        assert system.card().containers.by_name("fresh").certificate == made
        api.CryptSetKeyParam(key, api.KP_CERTIFICATE, None)
        with fails(Code.SCARD_E_NO_SUCH_CERTIFICATE):
            api.CryptGetKeyParam(key, api.KP_CERTIFICATE)
        sign(handle)


def test_certificates_of_other_keys_and_other_things(system, inserted):
    with acquire(None) as handle:
        before = api.CryptGetKeyParam(api.CryptGetUserKey(handle, 1), api.KP_CERTIFICATE)
        for value, code in (
            (der(certificate(key_of(), "EC")), Code.NTE_BAD_PUBLIC_KEY),
            (der(certificate(rsa_of("stranger"), "RSA")), Code.NTE_BAD_PUBLIC_KEY),
            (b"", Code.CRYPT_E_BAD_ENCODE),
            (b"no certificate", Code.CRYPT_E_BAD_ENCODE),
            (before[:-1], Code.CRYPT_E_BAD_ENCODE),
            ("text", Code.ERROR_INVALID_PARAMETER),
        ):
            with fails(code):
                set_certificate(handle, value)
        assert api.CryptGetKeyParam(api.CryptGetUserKey(handle, 1), api.KP_CERTIFICATE) == before
    assert system.broker.prompt.count == 0


def test_a_certificate_wants_the_pin(system, inserted):
    with acquire(None, CRYPT_SILENT) as handle:
        made = api.CryptGetKeyParam(api.CryptGetUserKey(handle, 1), api.KP_CERTIFICATE)
        with fails(Code.NTE_SILENT_CONTEXT):
            set_certificate(handle, made)
        give_pin(handle)
        set_certificate(handle, made)


# --- what it costs ---


@pytest.mark.parametrize(
    ("kind", "options", "budget"),
    [("PIV", {"extended": True}, 1), ("PIV", {"extended": False}, 3), ("GIDS", {}, 1)],
    ids=["PIV extended", "PIV short", "GIDS"],
)
def test_a_signature_with_the_pin_verified_costs_what_the_card_takes(system, kind, options, budget):
    made = CARDS[kind](**options)
    system.insert(made)
    with acquire(None) as handle:
        sign(handle)
        sign(handle)
        for _ in range(2):
            made.counter.clear()
            sign(handle)
            assert made.counter.exchanges == budget
        made.counter.clear()
        public_key_of(handle)
        hash_ = api.CryptCreateHash(handle, api.CALG_SHA1)
        api.CryptHashData(hash_, DATA)
        assert made.counter.exchanges == 0


def test_hashing_and_verifying_ask_no_card(system, inserted):
    with acquire(None) as handle:
        key, signature = api.CryptGetUserKey(handle, 1), sign(handle)
        inserted.counter.clear()
        hash_ = api.CryptCreateHash(handle, api.CALG_SHA1)
        api.CryptHashData(hash_, DATA)
        api.CryptVerifySignature(hash_, signature[::-1], key)
        assert api.CryptGenRandom(handle, 20)
        assert inserted.counter.exchanges == 0
