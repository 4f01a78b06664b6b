"""Keys of CNG that come onto cards and leave them: created, imported, overwritten, deleted."""

import re

import pytest
from cng import (
    DIGEST,
    PIN,
    PKCS1,
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

from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.testing.cards import test_rsa_key as shared_rsa_key
from calais.win import blobs
from calais.win.flags import CALG_RSA_KEYX, CALG_RSA_SIGN
from calais.winapi.ncrypt import (
    AT_KEYEXCHANGE,
    AT_SIGNATURE,
    NCRYPT_DO_NOT_FINALIZE_FLAG,
    NCRYPT_OVERWRITE_KEY_FLAG,
    NCRYPTBUFFER_PKCS_KEY_NAME,
    NTE_BAD_KEY_STATE,
    NTE_BAD_KEYSET,
    NTE_EXISTS,
    NTE_INVALID_HANDLE,
    NTE_INVALID_PARAMETER,
    NTE_NOT_SUPPORTED,
    NTE_PERM,
    NTE_SILENT_CONTEXT,
    SCARD_E_NO_READERS_AVAILABLE,
    SCARD_E_READ_ONLY_CARD,
    SCARD_E_UNKNOWN_READER,
    SCARD_E_UNSUPPORTED_FEATURE,
    SCARD_W_WRONG_CHV,
    BCryptBuffer,
    NCryptCreatePersistedKey,
    NCryptDeleteKey,
    NCryptDeriveKey,
    NCryptExportKey,
    NCryptFinalizeKey,
    NCryptFreeObject,
    NCryptGetProperty,
    NCryptImportKey,
    NCryptOpenKey,
    NCryptSecretAgreement,
    NCryptSetProperty,
    NCryptSignHash,
    NCryptVerifySignature,
)

SILENT, READER = 0x40, "Virtual Reader 0"
ALLOWED = {
    "AllowPrivateExchangeKeyImport": 1,
    "AllowPrivateSignatureKeyImport": 1,
    "AllowPrivateECDHEKeyImport": 1,
    "AllowPrivateECDSAKeyImport": 1,
}


@pytest.fixture
def system():
    with local_system() as current:
        current.insert(gids(("there", AT_SIGNATURE, p256(1))))
        yield current


def created(algorithm="ECDSA_P256", name="new", spec=0, flags=0, *, pin=PIN, **properties):
    key = NCryptCreatePersistedKey(card_provider(), algorithm, name, spec, flags)
    for each, value in properties.items():
        NCryptSetProperty(key, each.replace("_", " "), value)
    if pin is not None:
        NCryptSetProperty(key, "SmartCardPin", pin)
    return key


def listed():
    return {each.name: (each.algid, each.legacy_key_spec) for each in names(card_provider())}


# --- created ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "spec", "expected"),
    [
        ("ECDSA_P256", 0, AT_SIGNATURE),
        ("ECDSA_P384", AT_SIGNATURE, AT_SIGNATURE),
        ("ECDSA_P521", 0, AT_SIGNATURE),
        ("ECDH_P256", 0, AT_KEYEXCHANGE),
        ("ECDH_P384", AT_KEYEXCHANGE, AT_KEYEXCHANGE),
        ("RSA", 0, AT_KEYEXCHANGE),
        ("RSA", AT_SIGNATURE, AT_SIGNATURE),
    ],
)
def test_a_key_is_made_in_its_slot_when_it_is_finished(system, algorithm, spec, expected):
    key = created(algorithm, "new", spec, **({"Length": 1024} if algorithm == "RSA" else {}))
    assert "new" not in listed()
    assert code_of(NCryptExportKey, key, None, "PUBLICBLOB") == NTE_BAD_KEY_STATE
    assert NCryptGetProperty(key, "Name") == "new"
    NCryptFinalizeKey(key)
    assert listed()["new"] == (algorithm, expected)
    again = NCryptOpenKey(card_provider(), "new", expected)
    assert NCryptExportKey(again, None, "PUBLICBLOB") == NCryptExportKey(key, None, "PUBLICBLOB")
    assert code_of(NCryptFinalizeKey, key) == NTE_INVALID_HANDLE


def test_made_keys_work(system):
    signs, agrees = created("ECDSA_P256", "s"), created("ECDH_P256", "a")
    NCryptFinalizeKey(signs)
    NCryptFinalizeKey(agrees)
    NCryptVerifySignature(signs, None, DIGEST, NCryptSignHash(signs, None, DIGEST))
    here = new("ECDH_P256")
    one, other = NCryptSecretAgreement(agrees, here), NCryptSecretAgreement(here, agrees)
    assert NCryptDeriveKey(one, "HASH") == NCryptDeriveKey(other, "HASH")


def test_freeing_an_unfinished_key_leaves_no_trace(system):
    before = listed()
    key = created()
    NCryptFreeObject(key)
    assert listed() == before
    assert code_of(NCryptFinalizeKey, key) == NTE_INVALID_HANDLE
    other = created()
    NCryptDeleteKey(other)
    assert listed() == before


def test_without_a_length_rsa_keys_follow_the_policy(system):
    key = created("RSA")
    assert NCryptGetProperty(key, "Length") == 1024
    with local_system(policy={"DefaultPrivateKeyLenBits": 2048}) as other:
        other.insert(virtual_gids(keys=[]))
        assert NCryptGetProperty(created("RSA", pin=None), "Length") == 2048
    with local_system(policy={"DefaultPrivateKeyLenBits": 512}) as other:
        other.insert(virtual_gids(keys=[]))
        key = created("RSA")
        assert code_of(NCryptFinalizeKey, key) == NTE_NOT_SUPPORTED
        NCryptSetProperty(key, "Length", 1024)
        NCryptFinalizeKey(key)


@pytest.mark.parametrize("name", ["", f"\\\\.\\{READER}\\"])
def test_the_levels_without_a_name_make_a_guid(system, name):
    key = created(name=name)
    NCryptFinalizeKey(key)
    made = NCryptGetProperty(key, "Name")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made)
    assert made in listed()


def test_the_reader_may_be_named(system):
    system.insert(virtual_gids(keys=[]), "Other")
    NCryptFinalizeKey(created(name="\\\\.\\Other\\new"))
    assert NCryptGetProperty(NCryptOpenKey(card_provider(), "new"), "SmartCardReader") == "Other"
    assert code_of(created, name="\\\\.\\Nowhere\\new") == SCARD_E_UNKNOWN_READER


@pytest.mark.parametrize("name", ["x" * 40, "a\\b", "\\\\.\\reader", 5])
def test_names_that_no_container_can_have(system, name):
    assert code_of(created, name=name) == NTE_INVALID_PARAMETER


@pytest.mark.parametrize(
    ("algorithm", "spec"), [("ECDSA_P256", AT_KEYEXCHANGE), ("ECDH_P256", AT_SIGNATURE), ("RSA", 3)]
)
def test_slots_that_do_not_go_with_the_algorithm(system, algorithm, spec):
    assert code_of(created, algorithm, "new", spec) == NTE_INVALID_PARAMETER


def test_algorithms_and_lengths_that_the_card_lacks(system):
    assert code_of(created, "AES") == NTE_NOT_SUPPORTED
    key = created("RSA", pin=None)
    for bits in (512, 1000, 8192):
        assert code_of(NCryptSetProperty, key, "Length", bits) == NTE_NOT_SUPPORTED
    assert code_of(NCryptSetProperty, key, "Export Policy", 1) == NTE_NOT_SUPPORTED
    NCryptSetProperty(key, "Export Policy", 0)
    assert code_of(NCryptSetProperty, created(pin=None), "Length", 384) == NTE_NOT_SUPPORTED


def test_a_container_that_has_a_key_is_not_made_again(system):
    assert code_of(created, name="there") == NTE_EXISTS
    assert code_of(created, name="THERE") == NTE_EXISTS
    assert code_of(created, name=f"\\\\.\\{READER}\\there") == NTE_EXISTS


def test_an_old_key_lives_until_the_new_one_is_made(system):
    old = opened("there", pin=None)
    public = NCryptExportKey(old, None, "PUBLICBLOB")
    key = created(name="there", flags=NCRYPT_OVERWRITE_KEY_FLAG)
    assert NCryptExportKey(opened("there", pin=None), None, "PUBLICBLOB") == public
    NCryptFinalizeKey(key)
    assert NCryptExportKey(opened("there", pin=None), None, "PUBLICBLOB") != public
    assert NCryptSignHash(key, None, DIGEST)


def test_a_key_joins_a_container_without_one(system):
    from calais.provider.containeradmin import create_container

    system.card().verify_pin(PIN)
    create_container(system.card(), "empty")
    NCryptFinalizeKey(created(name="empty"))
    assert listed()["empty"] == ("ECDSA_P256", AT_SIGNATURE)


def test_a_container_has_one_key(system):
    assert code_of(created, "ECDH_P256", "there", 0, NCRYPT_OVERWRITE_KEY_FLAG) == NTE_NOT_SUPPORTED


def test_the_pin_is_needed_when_the_key_is_finished(system):
    key = created(pin=None)
    assert code_of(NCryptFinalizeKey, key, SILENT) == NTE_SILENT_CONTEXT
    assert code_of(NCryptFinalizeKey, key) == NTE_SILENT_CONTEXT
    NCryptSetProperty(key, "SmartCardPin", "999999")
    assert code_of(NCryptFinalizeKey, key) == SCARD_W_WRONG_CHV
    NCryptSetProperty(key, "SmartCardPin", PIN)
    NCryptFinalizeKey(key, SILENT)
    assert NCryptSignHash(key, None, DIGEST)


def test_a_person_is_asked_for_the_pin():
    with local_system(prompt=(prompt := FixedPrompt(PIN))) as system:
        system.insert(virtual_gids(keys=[]))
        NCryptFinalizeKey(created(pin=None))
        assert prompt.count == 1


def test_cards_that_cannot_be_written():
    with local_system() as system:
        assert code_of(created) == SCARD_E_NO_READERS_AVAILABLE
        system.insert(virtual_gids(read_only=True, keys=[("there", AT_SIGNATURE, p256(1), None)]))
        assert code_of(created) == SCARD_E_READ_ONLY_CARD


def test_a_piv_card_makes_keys_for_its_user_while_its_management_key_is_the_delivered_one():
    with local_system() as system:
        key = p256(1)
        system.insert(virtual_piv(keys={0x9A: (key, certified(key))}))
        name = names(card_provider())[0].name
        assert code_of(created, name=name) == NTE_EXISTS
        assert code_of(created, "ECDSA_P521", "") == NTE_NOT_SUPPORTED
        made = created(name="")
        NCryptFinalizeKey(made)
        NCryptSetProperty(made, "SmartCardKeyCertificate", None)
        assert NCryptGetProperty(made, "Algorithm Name") == "ECDSA_P256"


def test_a_piv_card_with_a_management_key_of_its_own_makes_none():
    with local_system() as system:
        key = p256(1)
        system.insert(virtual_piv(keys={0x9A: (key, certified(key))}, management_key=bytes(range(24))))
        assert code_of(lambda: NCryptFinalizeKey(created(name=""))) == SCARD_E_READ_ONLY_CARD
        assert len(listed()) == 1


# --- deleted ---------------------------------------------------------------------------------------------------------


def test_a_deleted_key_is_gone_with_its_container(system):
    key = opened("there")
    NCryptDeleteKey(key)
    assert listed() == {}
    assert code_of(NCryptSignHash, key, None, DIGEST) == NTE_INVALID_HANDLE
    assert code_of(NCryptOpenKey, card_provider(), "there") == NTE_BAD_KEYSET


def test_deleting_needs_the_pin(system):
    key = NCryptOpenKey(card_provider(), "there")
    assert code_of(NCryptDeleteKey, key) == NTE_SILENT_CONTEXT
    NCryptSetProperty(key, "SmartCardPin", PIN)
    NCryptDeleteKey(key, SILENT)


def test_keys_of_piv_are_not_deleted():
    with local_system() as system:
        key = p256(1)
        system.insert(virtual_piv(keys={0x9A: (key, certified(key))}))
        handle = opened("")
        assert code_of(NCryptDeleteKey, handle) == SCARD_E_UNSUPPORTED_FEATURE
        assert NCryptSignHash(handle, None, DIGEST)


# --- imported --------------------------------------------------------------------------------------------------------


def rsa_blob(alg_id=CALG_RSA_KEYX):
    return blobs.build_capi_private(shared_rsa_key("cng a"), alg_id)


CASES = {
    "exchange": ("CAPIPRIVATEBLOB", rsa_blob, "AllowPrivateExchangeKeyImport", "RSA", AT_KEYEXCHANGE),
    "signature": (
        "CAPIPRIVATEBLOB",
        lambda: rsa_blob(CALG_RSA_SIGN),
        "AllowPrivateSignatureKeyImport",
        "RSA",
        AT_SIGNATURE,
    ),
    "ecdh": (
        "ECCPRIVATEBLOB",
        lambda: blobs.build_ecc_private(p256(7), "ECDH"),
        "AllowPrivateECDHEKeyImport",
        "ECDH_P256",
        AT_KEYEXCHANGE,
    ),
    "ecdsa": (
        "PRIVATEBLOB",
        lambda: blobs.build_ecc_private(p256(7), "ECDSA"),
        "AllowPrivateECDSAKeyImport",
        "ECDSA_P256",
        AT_SIGNATURE,
    ),
}


def loaded(blob, data, name="new", flags=0):
    params = [BCryptBuffer(NCRYPTBUFFER_PKCS_KEY_NAME, name)]
    return NCryptImportKey(card_provider(), None, blob, params, data, flags)


@pytest.mark.parametrize(("blob", "build", "policy", "algorithm", "spec"), CASES.values(), ids=CASES)
def test_policy_says_which_keys_are_imported(blob, build, policy, algorithm, spec):
    for forbidden in ({}, ALLOWED | {policy: 0}):
        with local_system(policy=forbidden) as system:
            system.insert(virtual_gids(keys=[]))
            assert code_of(loaded, blob, build()) == NTE_PERM
    with local_system(policy={policy: 1}, prompt=FixedPrompt(PIN)) as system:
        system.insert(virtual_gids(keys=[]))
        key = loaded(blob, build())
        assert NCryptGetProperty(key, "Name") == "new"
        assert listed()["new"] == (algorithm, spec)
        assert code_of(NCryptExportKey, key, None, blob) == NTE_NOT_SUPPORTED


@pytest.fixture
def open_card():
    with local_system(policy=ALLOWED) as system:
        system.insert(gids(("there", AT_SIGNATURE, p256(1))))
        yield system


def ecdsa_blob():
    return blobs.build_ecc_private(p256(7), "ECDSA")


def test_an_import_may_wait_for_its_pin(open_card):
    key = loaded("ECCPRIVATEBLOB", ecdsa_blob(), flags=NCRYPT_DO_NOT_FINALIZE_FLAG)
    assert "new" not in listed()
    assert code_of(NCryptSignHash, key, None, DIGEST) == NTE_BAD_KEY_STATE
    assert code_of(NCryptSetProperty, key, "Length", 384) in (NTE_INVALID_PARAMETER, NTE_NOT_SUPPORTED)
    NCryptSetProperty(key, "SmartCardPin", PIN)
    NCryptFinalizeKey(key)
    public = NCryptImportKey(memory(), None, "PUBLICBLOB", (), NCryptExportKey(key, None, "PUBLICBLOB"))
    NCryptVerifySignature(public, None, DIGEST, NCryptSignHash(key, None, DIGEST))


def test_an_import_without_a_pin_leaves_nothing(open_card):
    assert code_of(loaded, "ECCPRIVATEBLOB", ecdsa_blob()) == NTE_SILENT_CONTEXT
    assert set(listed()) == {"there"}


def test_an_import_does_not_take_a_name_that_is_taken(open_card):
    assert code_of(loaded, "ECCPRIVATEBLOB", ecdsa_blob(), "there") == NTE_EXISTS
    opened("there")
    loaded("ECCPRIVATEBLOB", ecdsa_blob(), "there", NCRYPT_OVERWRITE_KEY_FLAG)
    wanted = blobs.build_ecc_public(p256(7).public_key(), "ECDSA")
    assert NCryptExportKey(opened("there"), None, "PUBLICBLOB") == wanted


def test_an_imported_rsa_key_signs(open_card):
    opened("there")
    key = loaded("RSAPRIVATEBLOB", blobs.build_rsa_private(shared_rsa_key("cng a")))
    signature = NCryptSignHash(key, SHA256, DIGEST, PKCS1)
    NCryptVerifySignature(key, SHA256, DIGEST, signature, PKCS1)
    assert NCryptGetProperty(key, "Length") == 2048


def test_a_malformed_blob_makes_nothing(open_card):
    assert code_of(loaded, "ECCPRIVATEBLOB", b"junk") == 0x80090005
    assert code_of(loaded, "ECCPRIVATEBLOB", ecdsa_blob(), "a\\b") == NTE_INVALID_PARAMETER
    assert set(listed()) == {"there"}
    public = blobs.build_ecc_public(p256(7).public_key(), "ECDSA")
    assert code_of(loaded, "PUBLICBLOB", public) == NTE_INVALID_PARAMETER
