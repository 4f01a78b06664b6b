"""Where the Personal CSP deviates from CryptoAPI, exception by exception; and how it tells why a call failed."""

from __future__ import annotations

import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cspdesk import CARDS, DATA, PERSONAL, acquire, check_signature, fails, give_pin, in_reader, public_key_of, sign
from people import PIN

from calais.testing import FixedPrompt, local_system
from calais.win.blobs import build_capi_private
from calais.win.codes import Code
from calais.win.errors import PinBlocked, WinError, WrongPin
from calais.win.flags import CRYPT_SILENT, CRYPT_VERIFYCONTEXT
from calais.winapi import advapi32 as api
from calais.winapi import cspdk

WRONG = "654321"
UNDEFINED, INCORRECT, BLOCKED = 0x80007000, 0x80007001, 0x80007002
SHORT = 1024 << 16
PROTECTED = api.CRYPT_USER_PROTECTED
RSA_1024 = rsa.generate_private_key(65537, 1024)


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


@pytest.fixture(params=list(CARDS))
def inserted(request, system):
    made = CARDS[request.param]()
    system.insert(made)
    return made


@pytest.fixture
def handle(system, inserted):
    with acquire(None, provider=PERSONAL) as handle:
        yield handle


def last_error(handle):
    return api.CryptGetProvParam(handle, api.PP_NX_LAST_ERROR)


# --- failures ---


def test_a_wrong_pin(handle):
    with fails(Code.NTE_FAIL) as caught:
        give_pin(handle, WRONG)
    assert isinstance(caught.value.__cause__, WrongPin)
    assert caught.value.__cause__.attempts_left == 2
    assert last_error(handle) == INCORRECT
    assert last_error(handle) == INCORRECT


def test_a_blocked_pin(handle):
    for _ in range(3):
        with fails(Code.NTE_FAIL):
            give_pin(handle, WRONG)
    for use in (give_pin, sign):
        with fails(Code.NTE_FAIL) as caught:
            use(handle)
        assert isinstance(caught.value.__cause__, PinBlocked)
        assert last_error(handle) == BLOCKED


def test_a_wrong_answer_of_a_person(inserted):
    with local_system(prompt=FixedPrompt(WRONG)) as system:
        system.insert(inserted)
        with acquire(None, provider=PERSONAL) as handle:
            with fails(Code.NTE_FAIL):
                sign(handle)
            assert last_error(handle) == INCORRECT


def test_a_card_that_was_taken_out(system, handle):
    give_pin(handle)
    with fails(Code.NTE_FAIL):
        give_pin(handle, WRONG)
    system.remove()
    with fails(Code.NTE_FAIL) as caught:
        sign(handle)
    assert caught.value.__cause__.code == Code.SCARD_W_REMOVED_CARD
    assert last_error(handle) == UNDEFINED


def test_any_call_forgets_the_reason(handle):
    calls = [
        lambda: api.CryptGetProvParam(handle, api.PP_NAME),
        lambda: api.CryptGetProvParam(handle, api.PP_NX_CONTEXT_FLAGS),
        lambda: api.CryptCreateHash(handle, api.CALG_SHA1),
        lambda: api.CryptGenRandom(handle, 8),
        lambda: api.CryptGetUserKey(handle, 1),
        lambda: acquire(None, CRYPT_VERIFYCONTEXT, PERSONAL),
        lambda: acquire(None, CRYPT_VERIFYCONTEXT, PERSONAL).close() or api.CryptContextAddRef(handle),
        lambda: api.CryptReleaseContext(handle),
    ]
    for call in calls:
        with fails(Code.NTE_FAIL):
            give_pin(handle, WRONG)
        assert last_error(handle) == INCORRECT
        call()
        assert last_error(handle) == UNDEFINED
        give_pin(handle)


def test_at_first_there_is_no_reason(handle):
    assert last_error(handle) == UNDEFINED


def test_each_thread_has_a_reason_of_its_own(handle):
    with fails(Code.NTE_FAIL):
        give_pin(handle, WRONG)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(last_error(handle)))
    thread.start()
    thread.join()
    assert seen == [UNDEFINED]
    assert last_error(handle) == INCORRECT


def test_another_thread_does_not_disturb(handle):
    with fails(Code.NTE_FAIL):
        give_pin(handle, WRONG)
    thread = threading.Thread(target=lambda: api.CryptGenRandom(handle, 8))
    thread.start()
    thread.join()
    assert last_error(handle) == INCORRECT


def test_the_reason_is_only_read(handle):
    with fails(Code.NTE_BAD_TYPE):
        api.CryptSetProvParam(handle, api.PP_NX_LAST_ERROR, 0)
    assert cspdk.CPGetProvParam(handle, cspdk.PP_NX_LAST_ERROR) == UNDEFINED


def test_failures_of_the_caller_stay_what_they_are(system, inserted):
    with acquire(None, CRYPT_SILENT, PERSONAL) as handle:
        for call, code in (
            (lambda: sign(handle), Code.NTE_SILENT_CONTEXT),
            (lambda: give_pin(handle, "1"), Code.SCARD_E_INVALID_CHV),
            (lambda: give_pin(handle, 5), Code.ERROR_INVALID_PARAMETER),
            (lambda: api.CryptGetUserKey(handle, 2), Code.NTE_NO_KEY),
            (lambda: acquire("nobody", provider=PERSONAL), Code.NTE_BAD_KEYSET),
            (lambda: acquire(in_reader(reader="Nowhere"), provider=PERSONAL), Code.SCARD_E_UNKNOWN_READER),
        ):
            with fails(code):
                call()
            assert last_error(handle) == UNDEFINED


def test_a_person_who_gives_up(inserted):
    with local_system(prompt=FixedPrompt(None)) as system:
        system.insert(inserted)
        with acquire(None, provider=PERSONAL) as handle, fails(Code.SCARD_W_CANCELLED_BY_USER):
            sign(handle)


def test_deleting_with_a_wrong_pin(inserted):
    with local_system(prompt=FixedPrompt(WRONG)) as system:
        system.insert(inserted)
        with acquire(None, provider=PERSONAL) as handle:
            with fails(Code.NTE_FAIL):
                acquire(None, api.CRYPT_DELETEKEYSET, PERSONAL)
            assert last_error(handle) == INCORRECT


# --- PINs ---


@pytest.mark.parametrize("param", [32, 33])
def test_a_pin_is_set(system, handle, param):
    api.CryptSetProvParam(handle, param, PIN)
    sign(handle)
    assert system.broker.prompt.count == 0


def test_a_person_is_asked_once(system, handle):
    for _ in range(3):
        check_signature(public_key_of(handle), sign(handle))
    assert system.broker.prompt.count == 1


def test_cards_have_no_security_descriptor(handle):
    with fails(Code.NTE_BAD_TYPE):
        api.CryptGetProvParam(handle, api.PP_KEYSET_SEC_DESCR)
    with fails(Code.NTE_BAD_TYPE):
        api.CryptSetProvParam(handle, api.PP_KEYSET_SEC_DESCR, b"")


# --- keys ---


@pytest.mark.parametrize("kind", [api.OPAQUEKEYBLOB, api.PRIVATEKEYBLOB])
def test_private_keys_are_not_exported_from_memory_either(handle, kind):
    with fails(Code.NTE_BAD_TYPE):
        api.CryptExportKey(api.CryptGetUserKey(handle, 1), None, kind)
    with acquire(None, CRYPT_VERIFYCONTEXT, PERSONAL) as memory:
        key = api.CryptGenKey(memory, 1, SHORT | PROTECTED)
        with fails(Code.NTE_BAD_TYPE):
            api.CryptExportKey(key, None, kind)


@pytest.mark.parametrize("flags", [0, api.CRYPT_EXPORTABLE, PROTECTED | api.CRYPT_EXPORTABLE])
def test_keys_are_made_protected_and_not_exportable(handle, flags):
    before = public_key_of(handle)
    with fails(Code.NTE_BAD_FLAGS):
        api.CryptGenKey(handle, 1, SHORT | flags)
    assert public_key_of(handle) == before


@pytest.mark.parametrize(("bits", "made"), [(1024, 1024), (2048, 2048), (0, 2048)])
def test_lengths_that_the_card_offers(system, inserted, bits, made):
    with acquire("fresh", api.CRYPT_NEWKEYSET, PERSONAL) as handle:
        key = api.CryptGenKey(handle, 1, bits << 16 | PROTECTED)
        assert api.CryptGetKeyParam(key, api.KP_KEYLEN) == made
        check_signature(public_key_of(handle), sign(handle))


@pytest.mark.parametrize("bits", [512, 768, 1, 1023, 1536, 3072, 4096])
def test_lengths_that_it_does_not(handle, bits):
    with fails(Code.NTE_BAD_LEN):
        api.CryptGenKey(handle, 1, bits << 16 | PROTECTED)


def test_with_the_pin_set_a_silent_context_makes_keys(system, inserted):
    with acquire(None, CRYPT_SILENT, PERSONAL) as handle:
        give_pin(handle)
        api.CryptGenKey(handle, 1, SHORT | PROTECTED)
        sign(handle)
    assert system.broker.prompt.count == 0


def test_the_certificate_of_a_key(system, handle):
    key = api.CryptGetUserKey(handle, 1)
    made = api.CryptGetKeyParam(key, 26)
    assert made == system.card().containers.default.certificate
    api.CryptSetKeyParam(key, 26, None)
    with fails(Code.SCARD_E_NO_SUCH_CERTIFICATE):
        api.CryptGetKeyParam(key, 26)
    api.CryptSetKeyParam(key, 26, made)
    assert api.CryptGetKeyParam(key, 26) == made


def test_public_and_session_keys_are_imported(handle):
    exchange = api.CryptGetUserKey(handle, 1)
    public = api.CryptImportKey(handle, api.CryptExportKey(exchange, None, api.PUBLICKEYBLOB))
    hash_ = api.CryptCreateHash(handle, api.CALG_SHA1)
    api.CryptHashData(hash_, DATA)
    api.CryptVerifySignature(hash_, sign(handle)[::-1], public)
    session = api.CryptGenKey(handle, api.CALG_3DES, api.CRYPT_EXPORTABLE)
    again = api.CryptImportKey(handle, api.CryptExportKey(session, exchange, api.SIMPLEBLOB))
    assert api.CryptDecrypt(again, pbData=api.CryptEncrypt(session, pbData=b"hello")) == b"hello"


@pytest.mark.parametrize("alg", [api.CALG_RSA_KEYX, api.CALG_RSA_SIGN])
def test_private_keys_are_loaded_without_asking_the_base_csps_policies(system, inserted, alg):
    spec = 1 if alg == api.CALG_RSA_KEYX else 2
    with acquire("fresh", api.CRYPT_NEWKEYSET, PERSONAL) as handle:
        api.CryptImportKey(handle, build_capi_private(RSA_1024, alg))
        check_signature(RSA_1024.public_key(), sign(handle, spec))
    container = system.card().containers.by_name("fresh")
    assert container.public_key == RSA_1024.public_key()


@pytest.mark.parametrize("kind", [api.PLAINTEXTKEYBLOB, api.OPAQUEKEYBLOB, api.PUBLICKEYBLOBEX, 0x42])
def test_other_blobs_are_not_imported(handle, kind):
    blob = bytes((kind, 2, 0, 0)) + api.CALG_3DES.to_bytes(4, "little") + (24).to_bytes(4, "little") + bytes(24)
    with fails(Code.NTE_BAD_TYPE):
        api.CryptImportKey(handle, blob)


# --- hashes and signatures ---


@pytest.mark.parametrize("algorithm", [api.CALG_SSL3_SHAMD5, api.CALG_MD5, api.CALG_SHA1])
def test_its_hashes(handle, algorithm):
    assert api.CryptGetHashParam(api.CryptCreateHash(handle, algorithm), api.HP_ALGID) == algorithm


@pytest.mark.parametrize(
    "algorithm", [api.CALG_SHA_256, api.CALG_SHA_512, api.CALG_HMAC, api.CALG_MAC, api.CALG_MD2, 0]
)
def test_no_other_hashes(handle, algorithm):
    with fails(Code.NTE_BAD_ALGID):
        api.CryptCreateHash(handle, algorithm)


def test_nobody_types_data_to_be_hashed(handle):
    with fails(Code.NTE_BAD_FLAGS):
        cspdk.CPHashData(handle, api.CryptCreateHash(handle, api.CALG_SHA1), b"x", api.CRYPT_USERDATA)


def test_the_value_of_a_hash_is_set_and_nothing_else(handle):
    hash_ = api.CryptCreateHash(handle, api.CALG_SHA1)
    cspdk.CPSetHashParam(handle, hash_, api.HP_HASHVAL, bytes(20))
    for param in (api.HP_HMAC_INFO, api.HP_ALGID, 99):
        with fails(Code.NTE_BAD_TYPE):
            cspdk.CPSetHashParam(handle, hash_, param, b"")


@pytest.mark.parametrize(
    ("algorithm", "size"),
    [(api.CALG_MD5, 16), (api.CALG_SHA1, 20), (api.CALG_SSL3_SHAMD5, 36)],
    ids=["MD5", "SHA", "TLS"],
)
def test_signatures_without_hash_identifier(handle, algorithm, size):
    value = bytes(range(size))
    hash_ = api.CryptCreateHash(handle, algorithm)
    api.CryptSetHashParam(hash_, api.HP_HASHVAL, value)
    signature = api.CryptSignHash(hash_, 1, None, api.CRYPT_NOHASHOID)[::-1]
    numbers = public_key_of(handle).public_numbers()
    block = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n).to_bytes(256, "big")
    assert block == b"\0\1" + b"\xff" * (253 - size) + b"\0" + value


def test_what_it_does_not_export_at_all(handle):
    key = api.CryptGetUserKey(handle, 1)
    hash_ = api.CryptCreateHash(handle, api.CALG_SHA1)
    for call in (
        lambda: api.CryptDuplicateKey(key),
        lambda: api.CryptDuplicateHash(hash_),
        lambda: api.CryptHashSessionKey(hash_, key),
        lambda: api.CryptDeriveKey(handle, api.CALG_RC4, hash_),
    ):
        with fails(Code.ERROR_CALL_NOT_IMPLEMENTED):
            call()


def test_no_secret_is_told_with_a_failure(handle):
    with pytest.raises(WinError) as caught:
        give_pin(handle, WRONG)
    assert WRONG not in str(caught.value) + repr(caught.value) + str(caught.value.__cause__)
