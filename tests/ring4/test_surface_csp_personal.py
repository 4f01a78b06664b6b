"""Personal CSP, black box: its names of containers and each row of its list of deviations."""

from __future__ import annotations

import hashlib
import threading

import pytest
from surfacedesk import (
    OTHER,
    PIN,
    PREFIX,
    READER,
    check_pkcs1,
    hash_of,
    plain_blob,
    private_blob,
    public_blob,
    public_of,
    refused,
    rsa_key,
)

from calais import WinError
from calais.testing import FixedPrompt, local_system, virtual_gids, virtual_piv
from calais.winapi import advapi32 as adv
from calais.winapi import cspdk

PERSONAL = adv.PERSONAL_CSP
VERIFY, SILENT, NEW, DELETE = adv.CRYPT_VERIFYCONTEXT, adv.CRYPT_SILENT, adv.CRYPT_NEWKEYSET, adv.CRYPT_DELETEKEYSET
KX, SIG = adv.AT_KEYEXCHANGE, adv.AT_SIGNATURE
PIN_PARAMS = [adv.PP_KEYEXCHANGE_PIN, adv.PP_SIGNATURE_PIN]


def acquire(name=None, flags=0):
    return adv.CryptAcquireContext(name, PERSONAL, 1, flags)


def container(h):
    return adv.CryptGetProvParam(h, adv.PP_CONTAINER)


def last(h):
    return adv.CryptGetProvParam(h, adv.PP_NX_LAST_ERROR)


def nx_flags(h):
    return adv.CryptGetProvParam(h, adv.PP_NX_CONTEXT_FLAGS)


def gids(**options):
    keys = [("box", KX, rsa_key(), None), ("sig", SIG, rsa_key(1), None)]
    return virtual_gids(keys=options.pop("keys", keys), **options)


@pytest.fixture
def system():
    with local_system() as system:
        yield system


@pytest.fixture(scope="module")
def shared():
    with local_system() as system:
        system.insert(virtual_piv())
        system.insert(gids(), OTHER)
        yield system


# --- containers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "spec"), [("154", KX), ("0x9A", KX), ("0x9a", KX), ("157", KX), ("0x9D", KX)], ids=str
)
def test_a_key_id_names_a_piv_key(shared, text, spec):
    h = acquire(PREFIX + text)
    assert adv.CryptGetUserKey(h, spec)
    assert container(h) == container(acquire(container(h)))
    assert len(container(h)) in (36, 38)


def test_the_two_writings_of_a_key_id_are_one_key(shared):
    assert container(acquire(PREFIX + "154")) == container(acquire(PREFIX + "0x9A")) == container(acquire(PREFIX))
    assert container(acquire(PREFIX + "157")) != container(acquire(PREFIX + "154"))


@pytest.mark.parametrize("text", ["0", "0x0"])
def test_a_key_id_of_gids_is_its_container_index(shared, text):
    assert container(acquire(f"\\\\.\\{OTHER}\\{text}")) == "box"


def test_the_first_container_of_gids_is_the_default(shared):
    assert container(acquire(f"\\\\.\\{OTHER}\\")) == "box"
    assert container(acquire(f"\\\\.\\{OTHER}\\sig")) == "sig"
    assert container(acquire("sig")) == "sig"


@pytest.mark.parametrize("change", [str.lower, str.upper], ids=["lower", "upper"])
def test_a_thumbprint_names_the_container_of_its_certificate(shared, change):
    h = acquire(PREFIX + "157")
    der = adv.CryptGetKeyParam(adv.CryptGetUserKey(h, KX), adv.KP_CERTIFICATE)
    assert container(acquire(change(hashlib.sha1(der).hexdigest()))) == container(h)


def test_a_guid_goes_with_and_without_braces(shared):
    name = container(acquire(PREFIX + "157"))
    bare = name.strip("{}")
    assert container(acquire("{" + bare + "}")) == container(acquire(bare)) == container(acquire(bare.upper())) == name


@pytest.mark.parametrize(
    "name", ["absent", PREFIX + "absent", PREFIX + "1", PREFIX + "0x95", "0" * 40, PREFIX + "99999999999"]
)
def test_what_is_not_found_in_any_form_is_no_keyset(shared, name):
    refused("NTE_BAD_KEYSET", acquire, name)
    refused("NTE_BAD_KEYSET", acquire, name, VERIFY)


def test_none_takes_the_policys_container(shared):
    name = container(acquire(PREFIX + "157"))
    with local_system(policy={"personal.default_container": f"\\\\.\\{READER}\\157"}) as system:
        system.insert(virtual_piv())
        assert container(acquire()) == container(acquire(PREFIX + "157"))
        assert container(acquire()) != name


def test_none_takes_the_first_reader_with_a_card(system):
    system.plug(READER)
    system.insert(gids(), OTHER)
    h = acquire()
    assert container(h) == "box"
    assert nx_flags(h) == 0xD
    assert adv.CryptGetProvParam(h, adv.PP_SMARTCARD_READER) == OTHER


def test_none_takes_an_empty_reader(system):
    system.plug(READER)
    h = acquire()
    assert container(h) == ""
    assert nx_flags(h) == 0x5
    refused("SCARD_E_NO_SMARTCARD", adv.CryptSignHash, hash_of(h, adv.CALG_SHA1), KX)


@pytest.mark.parametrize("name", [None, ""])
def test_none_without_a_reader_is_as_verifycontext(system, name):
    h = acquire(name)
    assert container(h) == ""
    assert nx_flags(h) == 0
    assert len(adv.CryptGenRandom(h, 5)) == 5
    assert adv.CryptGetHashParam(hash_of(h, adv.CALG_SHA1), adv.HP_HASHVAL)


# --- the list of deviations ------------------------------------------------------------------------------------------


def test_row_1_the_flags_of_acquiring(system):
    card = gids()
    system.insert(card)
    adv.CryptSetProvParam(acquire(), adv.PP_KEYEXCHANGE_PIN, PIN)
    assert container(acquire(None, VERIFY)) == ""
    assert container(acquire(None, SILENT)) == "box"
    assert container(acquire("third", NEW)) == "third"
    refused("NTE_EXISTS", acquire, "third", NEW)
    assert acquire("third", DELETE) is None
    refused("NTE_BAD_KEYSET", acquire, "third")


def test_row_2_the_machine_flag_changes_nothing(shared):
    h = acquire(None, adv.CRYPT_MACHINE_KEYSET)
    assert container(h) == container(acquire())
    assert adv.CryptGetProvParam(h, adv.PP_KEYSET_TYPE) == 0
    assert adv.CryptGetProvParam(acquire(None, VERIFY | 0x20), adv.PP_KEYSET_TYPE) == 0


@pytest.mark.parametrize("flags", [0, SILENT, VERIFY, 0x20], ids=hex)
def test_row_3_no_optional_default_container(shared, flags):
    refused("NTE_BAD_FLAGS", acquire, None, flags | adv.CRYPT_DEFAULT_CONTAINER_OPTIONAL)


def test_rows_6_and_7_no_security_descriptor(shared):
    h = acquire()
    refused("NTE_BAD_TYPE", adv.CryptGetProvParam, h, adv.PP_KEYSET_SEC_DESCR, 7)
    refused("NTE_BAD_TYPE", adv.CryptSetProvParam, h, adv.PP_KEYSET_SEC_DESCR, b"", 7)


@pytest.mark.parametrize("param", PIN_PARAMS)
@pytest.mark.parametrize("make", [gids, virtual_piv], ids=["gids", "piv"])
def test_rows_8_to_13_and_15_wrong_and_blocked_pins(system, make, param):
    system.insert(make())
    h = acquire()
    assert last(h) == 0x80007000
    error = refused("NTE_FAIL", adv.CryptSetProvParam, h, param, "654321")
    assert isinstance(error.__cause__, WinError)
    assert error.__cause__.name == "SCARD_W_WRONG_CHV"
    assert last(h) == last(h) == adv.ERROR_NX_PIN_INCORRECT
    assert in_another_thread(lambda: last(h)) == adv.ERROR_NX_UNDEFINED
    assert last(h) == adv.ERROR_NX_PIN_INCORRECT
    assert cspdk.CPGetProvParam(h, adv.PP_NX_LAST_ERROR) == adv.ERROR_NX_PIN_INCORRECT
    adv.CryptGenRandom(h, 1)
    assert last(h) == adv.ERROR_NX_UNDEFINED
    for _ in range(20):
        error = refused("NTE_FAIL", adv.CryptSetProvParam, h, param, "654321")
        if last(h) == adv.ERROR_NX_PIN_BLOCKED:
            break
    assert error.__cause__.name == "SCARD_W_CHV_BLOCKED"
    refused("NTE_FAIL", adv.CryptSetProvParam, h, param, PIN)
    assert last(h) == adv.ERROR_NX_PIN_BLOCKED


def in_another_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def test_row_12_each_thread_has_its_own_last_error(system):
    system.insert(gids())
    h = acquire()
    barrier = threading.Barrier(2)
    seen = {}

    def fail():
        refused("NTE_FAIL", adv.CryptSetProvParam, h, adv.PP_KEYEXCHANGE_PIN, "654321")
        barrier.wait(30)
        barrier.wait(30)
        seen["fails"] = last(h)

    def succeed():
        barrier.wait(30)
        adv.CryptGenRandom(h, 4)
        seen["succeeds"] = last(h)
        barrier.wait(30)

    threads = [threading.Thread(target=work) for work in (fail, succeed)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == {"fails": adv.ERROR_NX_PIN_INCORRECT, "succeeds": adv.ERROR_NX_UNDEFINED}


def test_row_11_a_callers_mistake_keeps_its_code(shared):
    h = acquire()
    refused("NTE_BAD_TYPE", adv.CryptGetProvParam, h, 999)
    assert last(h) == adv.ERROR_NX_UNDEFINED
    refused("SCARD_E_INVALID_CHV", adv.CryptSetProvParam, h, adv.PP_KEYEXCHANGE_PIN, "1")


def test_row_11_a_silent_context_keeps_its_code(system):
    system.insert(gids())
    h = acquire(None, SILENT)
    refused("NTE_SILENT_CONTEXT", adv.CryptSignHash, hash_of(h, adv.CALG_SHA1), KX)


def test_row_11_a_cancelled_prompt_keeps_its_code():
    with local_system(prompt=FixedPrompt(None)) as system:
        system.insert(gids())
        h = acquire()
        refused("SCARD_W_CANCELLED_BY_USER", adv.CryptSignHash, hash_of(h, adv.CALG_SHA1), KX)


def test_rows_8_and_11_a_card_taken_out_fails(system):
    card = gids()
    system.insert(card)
    h = acquire()
    adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    assert nx_flags(h) == 0xD
    system.remove(READER)
    assert nx_flags(h) == 0x5
    error = refused("NTE_FAIL", adv.CryptSignHash, hash_of(h, adv.CALG_SHA1), KX)
    assert error.__cause__.name == "SCARD_W_REMOVED_CARD"
    assert last(h) == adv.ERROR_NX_UNDEFINED
    system.insert(card)
    assert nx_flags(h) == 0xD
    adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    check_pkcs1(rsa_key().public_key(), adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), KX))


def test_row_14_a_context_without_card(shared):
    assert type(nx_flags(acquire())) is int
    with local_system():
        assert nx_flags(acquire(None, VERIFY)) == 0


@pytest.mark.parametrize("kind", [adv.OPAQUEKEYBLOB, adv.PRIVATEKEYBLOB], ids=["opaque", "private"])
def test_row_16_no_private_export(shared, kind):
    h = acquire()
    refused("NTE_BAD_TYPE", adv.CryptExportKey, adv.CryptGetUserKey(h, KX), None, kind)
    h = acquire(None, VERIFY)
    key = adv.CryptGenKey(h, KX, 2048 << 16 | adv.CRYPT_USER_PROTECTED)
    refused("NTE_BAD_TYPE", adv.CryptExportKey, key, None, kind)


@pytest.mark.parametrize("flags", [0, 1, 3, 1 << 26, 1024 << 16 | 1], ids=hex)
@pytest.mark.parametrize("algid", [KX, SIG, adv.CALG_RSA_KEYX, adv.CALG_RSA_SIGN])
def test_rows_17_and_18_protected_and_not_exportable(shared, flags, algid):
    refused("NTE_BAD_FLAGS", adv.CryptGenKey, acquire(f"\\\\.\\{OTHER}\\"), algid, flags)


@pytest.mark.parametrize("bits", [0, 1024, 2048])
def test_row_19_lengths_that_go(system, bits):
    system.insert(gids())
    h = acquire("box", SILENT)
    adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    key = adv.CryptGenKey(h, KX, bits << 16 | adv.CRYPT_USER_PROTECTED)
    assert adv.CryptGetKeyParam(key, adv.KP_KEYLEN) == (bits or 2048)
    check_pkcs1(public_of(h, key), adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), KX))


@pytest.mark.parametrize("bits", [512, 768, 1025, 1536, 3072, 4096])
def test_row_19_lengths_that_do_not_go(shared, bits):
    for h in (acquire(f"\\\\.\\{OTHER}\\"), acquire(None, VERIFY)):
        refused("NTE_BAD_LEN", adv.CryptGenKey, h, KX, bits << 16 | adv.CRYPT_USER_PROTECTED)


def test_rows_20_and_23_the_certificate(system):
    system.insert(virtual_gids())
    h = acquire()
    key = adv.CryptGetUserKey(h, KX)
    der = adv.CryptGetKeyParam(key, adv.KP_CERTIFICATE)
    adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    adv.CryptSetKeyParam(key, adv.KP_CERTIFICATE, None)
    refused("SCARD_E_NO_SUCH_CERTIFICATE", adv.CryptGetKeyParam, key, adv.KP_CERTIFICATE)
    adv.CryptSetKeyParam(key, adv.KP_CERTIFICATE, der)
    other = adv.CryptAcquireContext(None, adv.MS_SCARD_PROV)
    assert adv.CryptGetKeyParam(adv.CryptGetUserKey(other, KX), adv.KP_CERTIFICATE) == der


def test_rows_21_and_22_importing(system):
    system.insert(gids())
    h = acquire("box")
    adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    assert adv.CryptImportKey(h, public_blob(rsa_key(3).public_key()))
    key = adv.CryptImportKey(h, private_blob(rsa_key(3)))
    assert public_of(h, key).public_numbers() == rsa_key(3).public_key().public_numbers()
    check_pkcs1(rsa_key(3).public_key(), adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), KX))
    session = adv.CryptGenKey(h, adv.CALG_3DES, adv.CRYPT_EXPORTABLE)
    sealed = adv.CryptExportKey(session, adv.CryptGetUserKey(h, KX), adv.SIMPLEBLOB)
    again = adv.CryptImportKey(h, sealed)
    assert adv.CryptDecrypt(again, pbData=adv.CryptEncrypt(session, pbData=b"x")) == b"x"
    refused("NTE_BAD_TYPE", adv.CryptImportKey, h, plain_blob(adv.CALG_3DES, bytes(24)))
    for kind in (adv.OPAQUEKEYBLOB, 0xA, 0xB, 0x55):
        refused("NTE_BAD_TYPE", adv.CryptImportKey, h, bytes([kind, 2, 0, 0]) + bytes(40))


@pytest.mark.parametrize("algid", [adv.CALG_SSL3_SHAMD5, adv.CALG_MD5, adv.CALG_SHA1], ids=hex)
def test_row_24_hashes(shared, algid):
    assert adv.CryptCreateHash(acquire(), algid)


@pytest.mark.parametrize("algid", [0x800C, 0x800D, 0x800E, 0x8009, 0x8005, 0x8002, 0], ids=hex)
def test_row_25_no_others(shared, algid):
    refused("NTE_BAD_ALGID", cspdk.CPCreateHash, acquire(), algid)


def test_rows_26_to_28_hash_data_and_parameters(shared):
    h = acquire()
    value = adv.CryptCreateHash(h, adv.CALG_SHA1)
    refused("NTE_BAD_FLAGS", cspdk.CPHashData, h, value, b"x", adv.CRYPT_USERDATA)
    refused("NTE_BAD_TYPE", cspdk.CPSetHashParam, h, value, adv.HP_HMAC_INFO, adv.HmacInfo(adv.CALG_SHA1))
    refused("NTE_BAD_TYPE", cspdk.CPSetHashParam, h, value, adv.HP_ALGID, 1)
    assert cspdk.CPSetHashParam(h, value, adv.HP_HASHVAL, b"x" * 20) is None
    assert adv.CryptGetHashParam(value, adv.HP_HASHVAL) == b"x" * 20


@pytest.mark.parametrize("make", [gids, virtual_piv], ids=["gids", "piv"])
def test_row_29_signatures_without_object_identifier(system, make):
    system.insert(make())
    h = acquire()
    adv.CryptSetProvParam(h, adv.PP_SIGNATURE_PIN, PIN)
    signature = cspdk.CPSignHash(h, hash_of(h, adv.CALG_SHA1), KX, None, adv.CRYPT_NOHASHOID)
    numbers = public_of(h, adv.CryptGetUserKey(h, KX)).public_numbers()
    block = pow(int.from_bytes(signature, "little"), numbers.e, numbers.n).to_bytes(256)
    assert block == b"\0\1" + b"\xff" * 233 + b"\0" + hashlib.sha1(b"abc").digest()


def test_row_30_the_prompt_comes_once():
    prompt = FixedPrompt(PIN)
    with local_system(prompt=prompt) as system:
        system.insert(gids())
        h = acquire()
        check_pkcs1(rsa_key().public_key(), adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), KX))
        adv.CryptSignHash(hash_of(h, adv.CALG_SHA1), KX)
        assert prompt.count == 1


def test_what_personal_has_not(shared):
    h = acquire()
    key, value = adv.CryptGenKey(h, adv.CALG_3DES), adv.CryptCreateHash(h, adv.CALG_SHA1)
    for call in (
        lambda: cspdk.CPDuplicateKey(h, key),
        lambda: cspdk.CPDuplicateHash(h, value),
        lambda: cspdk.CPDeriveKey(h, adv.CALG_3DES, value),
        lambda: cspdk.CPHashSessionKey(h, value, key),
        lambda: adv.CryptDuplicateKey(key),
        lambda: adv.CryptDuplicateHash(value),
        lambda: adv.CryptDeriveKey(h, adv.CALG_3DES, value),
        lambda: adv.CryptHashSessionKey(value, key),
    ):
        refused("ERROR_CALL_NOT_IMPLEMENTED", call)
    assert cspdk.CPDecrypt(h, key, pbData=cspdk.CPEncrypt(h, key, pbData=b"x")) == b"x"
    assert cspdk.CPDestroyHash(h, value) is None


def test_personal_verifies(shared):
    h = acquire(f"\\\\.\\{OTHER}\\")
    adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, PIN)
    signature = adv.CryptSignHash(hash_of(h, adv.CALG_MD5), KX)
    cspdk.CPVerifySignature(h, hash_of(h, adv.CALG_MD5), signature, adv.CryptGetUserKey(h, KX))
    refused(
        "NTE_BAD_SIGNATURE",
        cspdk.CPVerifySignature,
        h,
        hash_of(h, adv.CALG_SHA1),
        signature,
        adv.CryptGetUserKey(h, KX),
    )
