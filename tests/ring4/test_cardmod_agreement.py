"""Agreement and key derivation under Microsoft's names."""

import hashlib
import hmac

import pytest
from cardmodule import acquired, refusal, untouched
from certs import ec_key, make, rsa_key
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from calais.testing import local_system, virtual_piv
from calais.win import blobs
from calais.winapi.cardmod import (
    CARD_BUFFER_SIZE_ONLY,
    CARD_RETURN_KEY_HANDLE,
    KDF_HASH_ALGORITHM,
    KDF_HMAC_KEY,
    KDF_SECRET_HANDLE,
    KDF_USE_SECRET_AS_HMAC_KEY_FLAG,
    BCryptBuffer,
    CardAuthenticatePin,
    CardConstructDHAgreement,
    CardDeleteContext,
    CardDeriveKey,
    CardDeriveKeyInfo,
    CardDestroyDHAgreement,
    CardDhAgreementInfo,
)

INVALID, UNSUPPORTED, NO_KEY = "SCARD_E_INVALID_PARAMETER", "SCARD_E_UNSUPPORTED_FEATURE", "SCARD_E_NO_KEY_CONTAINER"
MISMATCH = "ERROR_REVISION_MISMATCH"
KEY, PEER, RSA = ec_key(6), ec_key(7), rsa_key(6)
PEER_BLOB = blobs.build_ecc_public(PEER.public_key(), "ECDH")
SECRET = PEER.exchange(ec.ECDH(), KEY.public_key())
RSA_INDEX, SIGNATURE_INDEX, INDEX = 0, 1, 2
SHA256 = BCryptBuffer(KDF_HASH_ALGORITHM, "SHA256")


def certified(key):
    return key, x509.load_der_x509_certificate(make("agreement", key=key))


@pytest.fixture
def card():
    with local_system():
        yield virtual_piv(keys={0x9A: certified(RSA), 0x9C: certified(KEY), 0x9D: certified(KEY)}, seed=1)


@pytest.fixture
def piv(card):
    data = acquired(card)
    CardAuthenticatePin(data, "user", b"123456")
    return data


def agreement(data, **options):
    return CardConstructDHAgreement(
        data, CardDhAgreementInfo(**{"container_index": INDEX, "public_key": PEER_BLOB} | options)
    )


# --- agreement -------------------------------------------------------------------------------------------------------


def test_both_sides_agree_and_indices_count_up(piv):
    assert [agreement(piv) for _ in range(3)] == [0, 1, 2]
    assert CardDeriveKey(piv, CardDeriveKeyInfo("TRUNCATE", 1)) == SECRET[::-1]


def test_a_destroyed_secret_is_wiped_and_its_index_free(piv, card):
    first, second = agreement(piv), agreement(piv)
    kept = piv.binding.agreements._secrets[first]
    with untouched(card):
        CardDestroyDHAgreement(piv, first)
        assert kept == bytes(32)
        assert refusal(CardDestroyDHAgreement, piv, first) == INVALID
        assert refusal(CardDeriveKey, piv, CardDeriveKeyInfo("HASH", first)) == INVALID
        assert len(CardDeriveKey(piv, CardDeriveKeyInfo("HASH", second))) == 20
    assert agreement(piv) == first


def test_deleting_the_context_wipes_its_secrets(piv):
    agreement(piv)
    kept = piv.binding.agreements._secrets[0]
    CardDeleteContext(piv)
    assert kept == bytes(32)


def test_secrets_belong_to_one_context(piv, card):
    index = agreement(piv)
    assert refusal(CardDeriveKey, acquired(card), CardDeriveKeyInfo("HASH", index)) == INVALID


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"public_key": b""}, INVALID),
        ({"public_key": PEER_BLOB[:-1]}, INVALID),
        ({"public_key": PEER_BLOB + b"\0"}, INVALID),
        ({"public_key": PEER_BLOB[:-1] + bytes([PEER_BLOB[-1] ^ 1])}, INVALID),
        ({"public_key": blobs.build_ecc_public(PEER.public_key(), "ECDSA")}, INVALID),
        ({"public_key": blobs.build_ecc_private(PEER, "ECDH")}, INVALID),
        ({"flags": 1}, INVALID),
        ({"container_index": 256}, INVALID),
        ({"version": 1}, MISMATCH),
        ({"version": 3}, MISMATCH),
    ],
)
def test_an_agreement_that_cannot_be_is_refused_before_the_card_is_asked(piv, card, options, code):
    with untouched(card):
        assert refusal(agreement, piv, **options) == code


def test_the_other_key_must_be_on_the_curve_of_a_key_for_agreement(piv):
    other = blobs.build_ecc_public(ec.derive_private_key(5, ec.SECP384R1()).public_key(), "ECDH")
    assert refusal(agreement, piv, public_key=other) == INVALID
    assert refusal(agreement, piv, container_index=RSA_INDEX) == NO_KEY
    assert refusal(agreement, piv, container_index=SIGNATURE_INDEX) == NO_KEY
    assert refusal(agreement, piv, container_index=3) == NO_KEY


def test_agreement_takes_the_pin(card):
    assert refusal(agreement, acquired(card)) == "SCARD_W_SECURITY_VIOLATION"


def test_old_structures_go_with_old_contexts(card):
    data = acquired(card, 6)
    CardAuthenticatePin(data, "user", b"123456")
    assert [agreement(data, version=version) for version in (0, 1, 2)] == [0, 1, 2]
    assert refusal(agreement, data, version=3) == MISMATCH


def test_a_context_of_version_4_has_no_derivation(card):
    data = acquired(card, 4)
    CardAuthenticatePin(data, "user", b"123456")
    assert agreement(data) == 0
    assert refusal(CardDeriveKey, data, CardDeriveKeyInfo("HASH", 0)) == UNSUPPORTED


# --- derivation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (("HASH", 0, (SHA256,)), hashlib.sha256(SECRET).digest()),
        (("HMAC", 0, (SHA256, BCryptBuffer(KDF_HMAC_KEY, b"key"))), hmac.digest(b"key", SECRET, "sha256")),
        (("HMAC", 0, (SHA256,), KDF_USE_SECRET_AS_HMAC_KEY_FLAG), hmac.digest(SECRET, SECRET, "sha256")),
        (("HASH", 0, (SHA256,), CARD_BUFFER_SIZE_ONLY), bytes(32)),
    ],
)
def test_a_key_is_derived_without_the_card(piv, card, info, expected):
    agreement(piv)
    with untouched(card):
        for version in (1, 2):
            assert CardDeriveKey(piv, CardDeriveKeyInfo(*info, version=version)) == expected


@pytest.mark.parametrize(
    ("info", "code"),
    [
        ({"version": 0}, MISMATCH),
        ({"version": 3}, MISMATCH),
        ({"kdf": ""}, INVALID),
        ({"kdf": None}, INVALID),
        ({"kdf": "SP800_108_CTR_HMAC"}, UNSUPPORTED),
        ({"flags": 2}, INVALID),
        ({"flags": CARD_RETURN_KEY_HANDLE}, UNSUPPORTED),
        ({"agreement_index": 1}, INVALID),
        ({"kdf": "HMAC"}, INVALID),
        ({"kdf": "TLS_PRF"}, INVALID),
        ({"parameters": (BCryptBuffer(99, b""),)}, INVALID),
        ({"parameters": (BCryptBuffer(KDF_HASH_ALGORITHM, "MD2"),)}, UNSUPPORTED),
        ({"parameters": (BCryptBuffer(KDF_SECRET_HANDLE, b"handle"),)}, INVALID),
    ],
)
def test_a_key_that_cannot_be_derived_is_refused(piv, card, info, code):
    agreement(piv)
    with untouched(card):
        assert refusal(CardDeriveKey, piv, CardDeriveKeyInfo(**{"kdf": "HASH", "agreement_index": 0} | info)) == code


def test_a_secret_s_handle_is_the_caller_s_to_translate(piv):
    agreement(piv)
    agreement(piv)
    piv.get_dh_agreement = {b"handle": 1}.__getitem__
    handle = BCryptBuffer(KDF_SECRET_HANDLE, b"handle")
    CardDestroyDHAgreement(piv, 0)
    assert CardDeriveKey(piv, CardDeriveKeyInfo("HASH", 0, (SHA256, handle))) == hashlib.sha256(SECRET).digest()
    assert refusal(CardDeriveKey, piv, CardDeriveKeyInfo("HASH", 0, (handle, handle))) == INVALID


@pytest.mark.parametrize("index", [1, 255, 256, -1, None])
def test_what_is_no_agreement_cannot_be_destroyed(piv, card, index):
    agreement(piv)
    with untouched(card):
        assert refusal(CardDestroyDHAgreement, piv, index) == INVALID
        assert refusal(CardDestroyDHAgreement, piv, 0, 1) == INVALID
