"""Card keys of CNG at work: signatures, decryption, secrets, PINs, and what happens to the card meanwhile."""

import hashlib
import subprocess

import pytest
from cng import (
    DIGEST,
    NONE,
    OAEP,
    PIN,
    PKCS1,
    PSS,
    SHA256,
    card_provider,
    certified,
    code_of,
    gids,
    memory,
    names,
    new,
    opened,
    p256,
)
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.testing.cards import test_rsa_key as shared_rsa_key
from calais.win.errors import WrongPin
from calais.winapi.advapi32 import CryptAcquireContext, CryptCreateHash, CryptHashData, CryptSetProvParam, CryptSignHash
from calais.winapi.ncrypt import (
    AT_KEYEXCHANGE,
    AT_SIGNATURE,
    CALG_SHA_256,
    NTE_BAD_KEYSET,
    NTE_INVALID_HANDLE,
    NTE_INVALID_PARAMETER,
    NTE_NOT_SUPPORTED,
    NTE_PERM,
    NTE_SILENT_CONTEXT,
    PP_KEYEXCHANGE_PIN,
    SCARD_E_INVALID_CHV,
    SCARD_W_CANCELLED_BY_USER,
    SCARD_W_CHV_BLOCKED,
    SCARD_W_REMOVED_CARD,
    SCARD_W_WRONG_CHV,
    NCryptDecrypt,
    NCryptDeriveKey,
    NCryptEncrypt,
    NCryptExportKey,
    NCryptFreeObject,
    NCryptImportKey,
    NCryptOpenKey,
    NCryptSecretAgreement,
    NCryptSetProperty,
    NCryptSignHash,
    NCryptTranslateHandle,
    NCryptVerifySignature,
    OaepPaddingInfo,
    PssPaddingInfo,
)

SILENT = 0x40
READER = "Virtual Reader 0"


def rsa_key(name="cng"):
    return shared_rsa_key(name)


def piv_card(**options):
    keys = {0x9A: rsa_key("cng a"), 0x9C: p256(2), 0x9D: p256(3)}
    return virtual_piv(keys={slot: (key, certified(key)) for slot, key in keys.items()}, **options)


def gids_card(**options):
    rows = [
        ("rsa", AT_KEYEXCHANGE, rsa_key("cng a")),
        ("signs", AT_SIGNATURE, p256(2)),
        ("agrees", AT_KEYEXCHANGE, p256(3)),
        ("rsa signs", AT_SIGNATURE, rsa_key("cng b")),
    ]
    return gids(*rows, **options)


CARDS = {"piv": piv_card, "gids": gids_card}


@pytest.fixture(params=CARDS.values(), ids=CARDS)
def desk(request):
    """A system with one card, and a person who knows its PIN."""
    with local_system(prompt=FixedPrompt(PIN)) as system:
        system.insert(request.param())
        yield system


@pytest.fixture
def silent():
    with local_system() as system:
        system.insert(gids_card())
        yield system


def with_algorithm(algorithm):
    provider = card_provider()
    found = next(each for each in names(provider) if each.algid == algorithm)
    return opened(found.name, provider=provider)


def imported_public(key):
    return NCryptImportKey(memory(), None, "PUBLICBLOB", (), NCryptExportKey(key, None, "PUBLICBLOB"))


# --- what keys do ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "flags"), [(SHA256, PKCS1), (PssPaddingInfo("SHA256", 32), PSS)], ids=["pkcs1", "pss"]
)
def test_rsa_keys_sign(desk, info, flags):
    key = with_algorithm("RSA")
    signature = NCryptSignHash(key, info, DIGEST, flags)
    assert len(signature) == 256
    for who in (key, imported_public(key)):
        assert NCryptVerifySignature(who, info, DIGEST, signature, flags) is None


@pytest.mark.parametrize("length", [20, 32, 48, 64])
def test_ec_keys_sign_digests_of_every_length(desk, length):
    key = with_algorithm("ECDSA_P256")
    digest = bytes(range(1, length + 1))
    signature = NCryptSignHash(key, None, digest)
    NCryptVerifySignature(imported_public(key), None, digest, signature)


def test_rsa_keys_decrypt(desk):
    key = with_algorithm("RSA")
    public = imported_public(key)
    for info, flags in ((None, PKCS1), (OaepPaddingInfo("SHA256", b"label"), OAEP)):
        sealed = NCryptEncrypt(public, b"secret", info, flags)
        assert NCryptDecrypt(key, sealed, info, flags) == b"secret"
    block = b"\0" + bytes(range(255))
    assert NCryptDecrypt(key, NCryptEncrypt(key, block, None, NONE), None, NONE) == block
    garbage = NCryptEncrypt(public, block, None, NONE)
    for info, flags in ((None, PKCS1), (OaepPaddingInfo("SHA1"), OAEP)):
        assert code_of(NCryptDecrypt, key, garbage, info, flags) == NTE_INVALID_PARAMETER


def test_card_and_memory_agree(desk):
    on_card, here = with_algorithm("ECDH_P256"), new("ECDH_P256")
    one = NCryptDeriveKey(NCryptSecretAgreement(on_card, here), "HASH")
    other = NCryptDeriveKey(NCryptSecretAgreement(here, imported_public(on_card)), "HASH")
    assert one == other == NCryptDeriveKey(NCryptSecretAgreement(here, on_card), "HASH")
    assert code_of(NCryptSignHash, on_card, None, DIGEST) == NTE_NOT_SUPPORTED


def test_the_card_works_once_for_a_secret(silent):
    key = opened("agrees")
    secret = NCryptSecretAgreement(key, new("ECDH_P256"))
    silent.remove(READER)
    assert NCryptDeriveKey(secret, "TRUNCATE") != NCryptDeriveKey(secret, "HASH")
    NCryptFreeObject(secret)
    assert code_of(NCryptDeriveKey, secret, "HASH") == NTE_INVALID_HANDLE


def test_a_signature_key_decrypts_nothing(silent):
    key = opened("rsa signs")
    sealed = NCryptEncrypt(key, b"x", None, PKCS1)
    assert code_of(NCryptDecrypt, key, sealed, None, PKCS1) == NTE_PERM


def test_cryptoapi_gives_the_same_bytes_reversed(silent):
    context = CryptAcquireContext("rsa")
    CryptSetProvParam(context, PP_KEYEXCHANGE_PIN, PIN)
    hashed = CryptCreateHash(context, CALG_SHA_256)
    CryptHashData(hashed, b"what is signed")
    there = CryptSignHash(hashed, AT_KEYEXCHANGE)
    assert NCryptSignHash(opened("rsa"), SHA256, DIGEST, PKCS1) == there[::-1]


def test_a_context_is_translated(silent):
    context = CryptAcquireContext("rsa")
    CryptSetProvParam(context, PP_KEYEXCHANGE_PIN, PIN)
    provider, key = NCryptTranslateHandle(context)
    with provider, key:
        signature = NCryptSignHash(key, SHA256, DIGEST, PKCS1)
        NCryptVerifySignature(opened("rsa"), SHA256, DIGEST, signature, PKCS1)
        assert NCryptOpenKey(provider, "signs")
    assert code_of(NCryptTranslateHandle, context, None, AT_SIGNATURE) == 0x8009000D
    assert code_of(NCryptTranslateHandle, context, None, 3) == NTE_INVALID_PARAMETER
    assert code_of(NCryptTranslateHandle, context, object()) == NTE_INVALID_HANDLE


def test_other_contexts_are_not_translated(silent):
    from calais.winapi.advapi32 import CRYPT_VERIFYCONTEXT, PERSONAL_CSP

    for context in (
        CryptAcquireContext(None, None, 24, CRYPT_VERIFYCONTEXT),
        CryptAcquireContext(None, None, 1, CRYPT_VERIFYCONTEXT),
        CryptAcquireContext(None, PERSONAL_CSP),
    ):
        assert code_of(NCryptTranslateHandle, context) == NTE_NOT_SUPPORTED


@pytest.mark.requires("openssl", package="openssl")
def test_openssl_verifies_what_a_card_signs(desk, tmp_path):
    key = with_algorithm("RSA")
    (tmp_path / "text").write_bytes(b"text")
    (tmp_path / "sig").write_bytes(NCryptSignHash(key, SHA256, hashlib.sha256(b"text").digest(), PKCS1))
    public = rsa_key("cng a").public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "pub").write_bytes(pem)
    words = ["openssl", "dgst", "-sha256", "-verify", "pub", "-signature", "sig", "text"]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).stdout == b"Verified OK\n"


def test_the_key_is_also_one_of_cryptography(desk):
    key = with_algorithm("RSA").key
    signature = key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
    key.public_key().verify(signature, b"data", padding.PKCS1v15(), hashes.SHA256())
    other = with_algorithm("ECDSA_P256").key
    other.public_key().verify(other.sign(b"data", ec.ECDSA(hashes.SHA256())), b"data", ec.ECDSA(hashes.SHA256()))


# --- budgets ---------------------------------------------------------------------------------------------------------


def exchanges(card, work):
    card.counter.clear()
    work()
    return card.counter.exchanges


def two_keys(kind, *, extended):
    slots = {0x9A: rsa_key("cng a"), 0x9E: p256(5)}
    if kind == "piv":
        return virtual_piv(keys={slot: (key, certified(key)) for slot, key in slots.items()}, extended=extended)
    rows = [("rsa", AT_KEYEXCHANGE, rsa_key("cng a")), ("ec", AT_SIGNATURE, p256(5))]
    return gids(*rows, extended=extended)


@pytest.mark.parametrize(("extended", "most"), [(False, 3), (True, 1)], ids=["short", "extended"])
@pytest.mark.parametrize(("kind", "extra"), [("piv", 0), ("gids", 1)])  # GIDS sets the security environment first
def test_a_signature_costs_no_more_than_the_card_s_own(kind, extra, extended, most):
    card = two_keys(kind, extended=extended)
    with local_system() as system:
        system.insert(card)
        rsa, ecdsa = with_algorithm("RSA"), with_algorithm("ECDSA_P256")
        NCryptSignHash(ecdsa, None, DIGEST)
        NCryptSignHash(rsa, SHA256, DIGEST, PKCS1)
        assert exchanges(card, lambda: NCryptSignHash(ecdsa, None, DIGEST)) <= 1 + extra
        assert exchanges(card, lambda: NCryptSignHash(rsa, SHA256, DIGEST, PKCS1)) <= most + extra


# --- PINs ------------------------------------------------------------------------------------------------------------


def test_a_right_pin_is_remembered_and_none_forgets_it(silent):
    key = NCryptOpenKey(card_provider(), "signs")
    assert code_of(NCryptSignHash, key, None, DIGEST) == NTE_SILENT_CONTEXT
    NCryptSetProperty(key, "SmartCardPin", PIN)
    assert NCryptSignHash(key, None, DIGEST)
    NCryptSetProperty(key, "SmartCardPin", None)
    silent.card().release()
    assert code_of(NCryptSignHash, key, None, DIGEST) == NTE_SILENT_CONTEXT


def test_the_pin_of_a_provider_is_the_user_s(silent):
    provider = card_provider()
    NCryptSetProperty(provider, "SmartCardPin", PIN)
    assert NCryptSignHash(NCryptOpenKey(provider, "signs"), None, DIGEST)
    assert code_of(NCryptSetProperty, provider, "SmartCardPin", b"123456") == NTE_INVALID_PARAMETER


def test_a_wrong_pin_says_how_many_tries_are_left(silent):
    key = NCryptOpenKey(card_provider(), "signs")
    with pytest.raises(WrongPin) as caught:
        NCryptSetProperty(key, "SmartCardPin", "999999")
    assert caught.value.code == SCARD_W_WRONG_CHV
    assert caught.value.attempts_left == 2
    assert code_of(NCryptSignHash, key, None, DIGEST) == NTE_SILENT_CONTEXT
    for _ in range(2):
        assert code_of(NCryptSetProperty, key, "SmartCardPin", "999999") in (SCARD_W_WRONG_CHV, SCARD_W_CHV_BLOCKED)
    assert code_of(NCryptSetProperty, key, "SmartCardPin", PIN) == SCARD_W_CHV_BLOCKED


def test_an_impossible_pin_costs_no_try(silent):
    key = NCryptOpenKey(card_provider(), "signs")
    assert code_of(NCryptSetProperty, key, "SmartCardPin", "1") == SCARD_E_INVALID_CHV
    assert silent.card().pin_status().attempts_left == 3


def test_a_pin_that_is_asked_for_each_time_is_taken_without_looking():
    with local_system() as system:
        system.insert(piv_card())
        key = with_algorithm("ECDSA_P256")
        NCryptSetProperty(key, "SmartCardPin", "999999")
        assert system.card().pin_status().attempts_left == 3
        assert code_of(NCryptSignHash, key, None, DIGEST) == NTE_SILENT_CONTEXT


def test_silence_is_kept_wherever_it_was_asked_for():
    with local_system(prompt=(prompt := FixedPrompt(PIN))) as system:
        system.insert(gids_card())
        loud, quiet = NCryptOpenKey(card_provider(), "signs"), NCryptOpenKey(card_provider(), "signs", 0, SILENT)
        assert code_of(NCryptSignHash, loud, None, DIGEST, SILENT) == NTE_SILENT_CONTEXT
        assert code_of(NCryptSignHash, quiet, None, DIGEST) == NTE_SILENT_CONTEXT
        assert prompt.count == 0
        assert NCryptSignHash(loud, None, DIGEST)
        assert prompt.count == 1
        assert NCryptSignHash(quiet, None, DIGEST)
        assert prompt.count == 1


def test_prompts_are_told_window_and_context():
    seen = []

    class Person(FixedPrompt):
        def ask(self, request):
            seen.append((request.window, request.text))
            return super().ask(request)

    with local_system(prompt=Person(PIN)) as system:
        system.insert(gids_card())
        provider = card_provider()
        NCryptSetProperty(provider, "HWND Handle", 7)
        NCryptSetProperty(provider, "Use Context", "not inherited")
        key = NCryptOpenKey(provider, "signs")
        NCryptSetProperty(key, "Use Context", "to pay")
        assert NCryptSignHash(key, None, DIGEST)
    assert seen == [(7, "to pay")]


def test_a_cancelled_prompt_says_so():
    with local_system(prompt=FixedPrompt(None)) as system:
        system.insert(gids_card())
        key = NCryptOpenKey(card_provider(), "signs")
        assert code_of(NCryptSignHash, key, None, DIGEST) == SCARD_W_CANCELLED_BY_USER


def test_session_pins_where_the_card_has_them(silent):
    key = NCryptOpenKey(card_provider(), "signs")
    from calais.minidriver.pins import Pin, Role

    traded = silent.card().run(lambda driver: driver.make_session_pin(Role.USER, Pin(PIN)))
    NCryptSetProperty(key, "SmartCardSecurePin", traded.value)
    assert NCryptSignHash(key, None, DIGEST)
    for wrong in (None, "", b"", 5):
        assert code_of(NCryptSetProperty, key, "SmartCardSecurePin", wrong) == NTE_INVALID_PARAMETER


@pytest.mark.parametrize("card", [piv_card, lambda: gids_card(session_pins=False)], ids=["piv", "gids without"])
def test_cards_without_session_pins_do_not_support_them(card):
    with local_system() as system:
        system.insert(card())
        key = NCryptOpenKey(card_provider(), "")
        assert code_of(NCryptSetProperty, key, "SmartCardSecurePin", b"x" * 16) == NTE_NOT_SUPPORTED


# --- the card meanwhile ----------------------------------------------------------------------------------------------


def test_a_card_that_is_taken_out_and_put_back(silent):
    card = gids_card()
    silent.remove(READER)
    silent.insert(card)
    key = opened("signs")
    silent.remove(READER)
    assert code_of(NCryptSignHash, key, None, DIGEST) == SCARD_W_REMOVED_CARD
    silent.insert(card)
    NCryptSetProperty(key, "SmartCardPin", PIN)
    assert NCryptSignHash(key, None, DIGEST)


def test_a_card_that_another_resets_is_used_again(silent):
    card = gids_card()
    silent.remove(READER)
    silent.insert(card)
    key = opened("signs")
    card.reset()
    assert NCryptSignHash(key, None, DIGEST)


def test_a_container_that_another_handle_deletes_is_gone(silent):
    from calais.winapi.ncrypt import NCryptDeleteKey

    key, other = opened("signs"), opened("signs")
    NCryptDeleteKey(other)
    assert code_of(NCryptSignHash, other, None, DIGEST) == NTE_INVALID_HANDLE
    assert code_of(NCryptSignHash, key, None, DIGEST) == NTE_BAD_KEYSET
    assert code_of(NCryptOpenKey, card_provider(), "signs") == NTE_BAD_KEYSET


def test_the_default_gids_card_works(silent):
    silent.remove(READER)
    silent.insert(virtual_gids())
    assert NCryptSignHash(opened(""), SHA256, DIGEST, PKCS1)
