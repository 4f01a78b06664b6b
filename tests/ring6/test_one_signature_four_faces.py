"""The same signature through CryptoAPI, the Personal CSP, CNG and the Python key; openssl verifies it, exchanges are counted."""

from __future__ import annotations

import hashlib
import subprocess
from contextlib import ExitStack

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from foreign import PIN, public_pem

from calais.testing import local_system, virtual_gids, virtual_piv
from calais.win.structs import Pkcs1PaddingInfo
from calais.winapi import advapi32, ncrypt

pytestmark = pytest.mark.requires("openssl", package="openssl")
DIGEST = hashlib.sha1(b"what is signed").digest()  # the one hash that all faces have
FACES = ("base", "personal", "cng", "python")
CARDS = {
    "PIV, short": lambda: virtual_piv(extended=False),
    "PIV, extended": virtual_piv,
    "GIDS": virtual_gids,
}
EXCHANGES = {"PIV, short": 3, "PIV, extended": 1, "GIDS": 2}


@pytest.fixture
def stack():
    with ExitStack() as made:
        yield made


def by_cryptoapi(stack, _card, provider):
    context = stack.enter_context(advapi32.CryptAcquireContext(None, provider))
    advapi32.CryptSetProvParam(context, advapi32.PP_KEYEXCHANGE_PIN, PIN)
    digest = advapi32.CryptCreateHash(context, advapi32.CALG_SHA1)
    advapi32.CryptSetHashParam(digest, advapi32.HP_HASHVAL, DIGEST)
    return lambda: advapi32.CryptSignHash(digest, advapi32.AT_KEYEXCHANGE)[::-1]  # little-endian there


def by_cng(stack, _card, how):
    provider = stack.enter_context(ncrypt.NCryptOpenStorageProvider(ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER))
    key = stack.enter_context(ncrypt.NCryptOpenKey(provider, ""))
    ncrypt.NCryptSetProperty(key, ncrypt.NCRYPT_PIN_PROPERTY, PIN)
    return lambda: ncrypt.NCryptSignHash(key, how, DIGEST, ncrypt.NCRYPT_PAD_PKCS1_FLAG if how else 0)


def by_python(_stack, card, how):
    card.verify_pin(PIN)
    key = card.containers.default.key
    return lambda: key.sign(DIGEST, *how)


def rsa_signer(stack, card, face):
    if face == "python":
        return by_python(stack, card, (PKCS1v15(), Prehashed(hashes.SHA1())))
    if face == "cng":
        return by_cng(stack, card, Pkcs1PaddingInfo("SHA1"))
    return by_cryptoapi(stack, card, advapi32.PERSONAL_CSP if face == "personal" else advapi32.MS_SCARD_PROV)


def openssl_verifies(tmp_path, public_key, signature):
    (tmp_path / "key.pem").write_bytes(public_pem(public_key))
    (tmp_path / "digest").write_bytes(DIGEST)
    (tmp_path / "signature").write_bytes(signature)
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-in", "digest", "-sigfile", "signature"]
    return subprocess.run([*words, "-pkeyopt", "digest:sha1"], cwd=tmp_path, check=False, capture_output=True)


@pytest.mark.parametrize("kind", list(CARDS))
def test_four_faces_make_one_rsa_signature_in_as_many_exchanges(kind, stack, tmp_path):
    card_object = CARDS[kind]()
    system = stack.enter_context(local_system())
    system.insert(card_object)
    card = system.card()
    signatures = {}
    for face in FACES:
        sign = rsa_signer(stack, card, face)
        sign()
        card_object.counter.clear()
        signatures[face] = sign()
        assert card_object.counter.exchanges <= EXCHANGES[kind], face
    assert len(set(signatures.values())) == 1
    done = openssl_verifies(tmp_path, card.containers.default.public_key, signatures["base"])
    assert done.returncode == 0, done.stderr


def test_cng_and_python_make_ecdsa_signatures_of_the_prescribed_forms_in_one_exchange(stack, tmp_path):
    card_object = virtual_piv(keys={0x9A: (ec.generate_private_key(ec.SECP256R1()), None)}, extended=False)
    system = stack.enter_context(local_system())
    system.insert(card_object)
    card = system.card()
    card.refresh(probe_keys=True)
    for face, make in (("cng", by_cng), ("python", by_python)):
        how = (ec.ECDSA(Prehashed(hashes.SHA1())),) if face == "python" else None
        sign = make(stack, card, how)
        sign()
        card_object.counter.clear()
        signature = sign()
        assert card_object.counter.exchanges == 1
        if face == "cng":
            assert len(signature) == 64
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            signature = encode_dss_signature(r, s)
        done = openssl_verifies(tmp_path, card.containers[0].public_key, signature)
        assert done.returncode == 0, done.stderr
