"""A container that another program deletes, and another one that takes its place: no signature by a key not asked for."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cspdesk import BASE, fails, sign
from people import PIN
from pivdesk import certificate

from calais.testing import FixedPrompt, local_system, virtual_gids
from calais.win.blobs import build_capi_private
from calais.win.codes import Code
from calais.winapi import advapi32 as api
from calais.winapi import ncrypt
from calais.winapi.cspdk import CPAcquireContext

KSP = ncrypt.MS_SMART_CARD_KEY_STORAGE_PROVIDER
OURS, THEIRS = (rsa.generate_private_key(65537, 1024) for _ in range(2))
INFO = ncrypt.Pkcs1PaddingInfo("SHA256")


@pytest.fixture
def programs():
    """Two programs with one card, which has container ``ours``."""
    card = virtual_gids(keys=[("ours", 1, OURS, certificate(OURS, "ours"))])
    policy = {"AllowPrivateExchangeKeyImport": 1}
    with (
        local_system(prompt=FixedPrompt(PIN)) as one,
        local_system(prompt=FixedPrompt(PIN), policy=policy) as other,
    ):
        one.insert(card)
        other.insert(card)
        yield one, other


def usurp(one, other):
    one.card().release()
    CPAcquireContext("ours", api.CRYPT_DELETEKEYSET, provider=BASE, system=other)
    with CPAcquireContext("theirs", api.CRYPT_NEWKEYSET, provider=BASE, system=other) as handle:
        api.CryptImportKey(handle, build_capi_private(THEIRS, api.CALG_RSA_KEYX))
    other.card().release()


def test_cryptoapi_signs_with_no_other_key(programs):
    with CPAcquireContext("ours", provider=BASE, system=programs[0]) as handle:
        sign(handle)
        usurp(*programs)
        for _ in range(2):
            with fails(Code.NTE_BAD_KEYSET):
                sign(handle)


def test_cng_signs_with_no_other_key(programs):
    key = ncrypt.NCryptOpenKey(ncrypt.NCryptOpenStorageProvider(KSP, system=programs[0]), "ours")
    ncrypt.NCryptSignHash(key, INFO, bytes(32), ncrypt.BCRYPT_PAD_PKCS1)
    usurp(*programs)
    for _ in range(2):
        with fails(Code.NTE_BAD_KEYSET):
            ncrypt.NCryptSignHash(key, INFO, bytes(32), ncrypt.BCRYPT_PAD_PKCS1)


def below_our_modulus(encrypt):
    """A ciphertext for their key that could be one for ours: a larger one is refused before the key is looked at."""
    modulus = OURS.public_key().public_numbers().n
    return next(block for block in iter(encrypt, b"") if int.from_bytes(block, "big") < modulus)


def test_nothing_is_decrypted_with_another_key(programs):
    block = below_our_modulus(lambda: THEIRS.public_key().encrypt(b"for them", padding.PKCS1v15()))
    key = ncrypt.NCryptOpenKey(ncrypt.NCryptOpenStorageProvider(KSP, system=programs[0]), "ours")
    own = OURS.public_key().encrypt(b"for us", padding.PKCS1v15())
    assert ncrypt.NCryptDecrypt(key, own, None, ncrypt.BCRYPT_PAD_PKCS1) == b"for us"
    usurp(*programs)
    with fails(Code.NTE_BAD_KEYSET):
        ncrypt.NCryptDecrypt(key, block, None, ncrypt.BCRYPT_PAD_PKCS1)
