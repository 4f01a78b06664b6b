"""Key blobs of keys in memory, there and back, row by row."""

import pytest
from cng import DIGEST, PKCS1, SHA256, card_provider, code_of, memory, new, outcome_of
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from calais.provider.ksp import pkcs8
from calais.testing import local_system
from calais.win import blobs, flags
from calais.winapi.ncrypt import (
    NCRYPT_DO_NOT_FINALIZE_FLAG,
    NCRYPTBUFFER_PKCS_KEY_NAME,
    NCRYPTBUFFER_PKCS_OID,
    NCRYPTBUFFER_PKCS_SECRET,
    NTE_BAD_DATA,
    NTE_BAD_FLAGS,
    NTE_BAD_KEY_STATE,
    NTE_INCORRECT_PASSWORD,
    NTE_INVALID_HANDLE,
    NTE_INVALID_PARAMETER,
    NTE_NOT_SUPPORTED,
    BCryptBuffer,
    NCryptExportKey,
    NCryptFinalizeKey,
    NCryptGetProperty,
    NCryptImportKey,
    NCryptSetProperty,
    NCryptSignHash,
    NCryptVerifySignature,
)

PUBLIC = {
    "RSA": ["PUBLICBLOB", "RSAPUBLICBLOB", "CAPIPUBLICBLOB"],
    "ECDSA_P256": ["PUBLICBLOB", "ECCPUBLICBLOB"],
    "ECDH_P384": ["PUBLICBLOB", "ECCPUBLICBLOB"],
}
PRIVATE = {
    "RSA": ["PRIVATEBLOB", "RSAPRIVATEBLOB", "RSAFULLPRIVATEBLOB", "CAPIPRIVATEBLOB", "PKCS8_PRIVATEKEY"],
    "ECDSA_P256": ["PRIVATEBLOB", "ECCPRIVATEBLOB", "PKCS8_PRIVATEKEY"],
    "ECDH_P384": ["PRIVATEBLOB", "ECCPRIVATEBLOB", "PKCS8_PRIVATEKEY"],
}
ALL_TYPES = sorted({each for table in (PUBLIC, PRIVATE) for types in table.values() for each in types})
PASSWORD = BCryptBuffer(NCRYPTBUFFER_PKCS_SECRET, "password")


def cases(table):
    return [(algorithm, blob) for algorithm, types in table.items() for blob in types]


@pytest.fixture(scope="module")
def keys():
    return {
        "RSA": new("RSA", Length=1024, Export_Policy=3),
        "ECDSA_P256": new("ECDSA_P256", Export_Policy=3),
        "ECDH_P384": new("ECDH_P384", Export_Policy=3),
    }


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    monkeypatch.setattr(pkcs8, "ROUNDS", 1000)


def exported(key, blob, params=()):
    return NCryptExportKey(key, None, blob, params)


def imported(blob, data, params=(), given=0):
    return NCryptImportKey(memory(), None, blob, params, data, given)


@pytest.mark.parametrize(("algorithm", "blob"), cases(PUBLIC))
def test_public_blobs_go_there_and_back(keys, algorithm, blob):
    data = exported(keys[algorithm], blob)
    back = imported(blob, data)
    assert NCryptGetProperty(back, "Algorithm Name") == algorithm
    assert exported(back, blob) == data
    assert code_of(exported, back, "PRIVATEBLOB") == NTE_NOT_SUPPORTED


@pytest.mark.parametrize(("algorithm", "blob"), cases(PRIVATE))
def test_private_blobs_go_there_and_back(keys, algorithm, blob):
    data = exported(keys[algorithm], blob)
    back = imported(blob, data, (), NCRYPT_DO_NOT_FINALIZE_FLAG)
    NCryptSetProperty(back, "Export Policy", 2)
    NCryptFinalizeKey(back)
    assert NCryptGetProperty(back, "Algorithm Name") == algorithm
    exponent = 128 if blob in ("RSAFULLPRIVATEBLOB", "CAPIPRIVATEBLOB") else 0  # one of several, computed anew
    assert exported(back, blob)[: len(data) - exponent] == data[: len(data) - exponent]


@pytest.mark.parametrize(
    ("algorithm", "magic"),
    [
        ("ECDSA_P256", b"ECS1"),
        ("ECDSA_P384", b"ECS3"),
        ("ECDSA_P521", b"ECS5"),
        ("ECDH_P256", b"ECK1"),
        ("ECDH_P384", b"ECK3"),
        ("ECDH_P521", b"ECK5"),
    ],
)
def test_the_magic_says_what_an_ec_key_is_for(algorithm, magic):
    data = exported(new(algorithm), "ECCPUBLICBLOB")
    assert data[:4] == magic
    assert NCryptGetProperty(imported("PUBLICBLOB", data), "Algorithm Name") == algorithm


def test_layouts_are_those_of_the_headers(keys):
    data = exported(keys["RSA"], "RSAPUBLICBLOB")
    assert data[:4] == b"RSA1"
    assert len(data) == 24 + 3 + 128
    assert exported(keys["RSA"], "RSAPRIVATEBLOB")[:4] == b"RSA2"
    assert exported(keys["RSA"], "RSAFULLPRIVATEBLOB")[:4] == b"RSA3"
    capi = exported(keys["RSA"], "CAPIPUBLICBLOB")
    assert capi[20:] == data[27:][::-1]
    assert int.from_bytes(capi[4:8], "little") == flags.CALG_RSA_KEYX


def test_a_blob_of_the_other_kind_is_not_supported(keys):
    for blob in ("ECCPUBLICBLOB", "ECCPRIVATEBLOB"):
        assert code_of(exported, keys["RSA"], blob) == NTE_NOT_SUPPORTED
    for blob in ("RSAPUBLICBLOB", "RSAPRIVATEBLOB", "CAPIPUBLICBLOB", "CAPIPRIVATEBLOB", "RSAFULLPRIVATEBLOB"):
        assert code_of(exported, keys["ECDSA_P256"], blob) == NTE_NOT_SUPPORTED


@pytest.mark.parametrize("blob", ["OpaqueTransport", "KeyDataBlob", "publicblob", "DHPUBLICBLOB", "PKCS7_ENVELOPE"])
def test_other_types_are_not_supported(keys, blob):
    assert code_of(exported, keys["RSA"], blob) == NTE_NOT_SUPPORTED
    assert code_of(imported, blob, b"x") == NTE_NOT_SUPPORTED


def test_what_is_left_out_is_a_wrong_parameter(keys):
    assert code_of(NCryptExportKey, keys["RSA"]) == NTE_INVALID_PARAMETER
    assert code_of(NCryptImportKey, memory()) == NTE_INVALID_PARAMETER
    assert code_of(NCryptImportKey, memory(), None, "PUBLICBLOB") == NTE_INVALID_PARAMETER


def test_keys_are_not_wrapped_in_keys(keys):
    key = keys["RSA"]
    assert code_of(NCryptExportKey, key, key, "PUBLICBLOB") == NTE_NOT_SUPPORTED
    assert code_of(NCryptImportKey, memory(), key, "PUBLICBLOB", (), b"x") == NTE_NOT_SUPPORTED


# --- policy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [0, 1, 4, 8, 13])
@pytest.mark.parametrize("blob", PRIVATE["ECDSA_P256"])
def test_without_plaintext_export_no_private_blob_leaves(policy, blob):
    assert code_of(exported, new("ECDSA_P256", Export_Policy=policy), blob) == NTE_NOT_SUPPORTED


def test_encrypted_export_takes_less():
    for policy in (1, 2, 3):
        key = new("ECDSA_P256", Export_Policy=policy)
        back = imported("PKCS8_PRIVATEKEY", exported(key, "PKCS8_PRIVATEKEY", [PASSWORD]), [PASSWORD])
        signature = NCryptSignHash(back, None, DIGEST)
        NCryptVerifySignature(key, None, DIGEST, signature)
    assert code_of(exported, new("ECDSA_P256"), "PKCS8_PRIVATEKEY", [PASSWORD]) == NTE_NOT_SUPPORTED


def test_imported_keys_stay_unless_said_otherwise_before_finishing(keys):
    back = imported("ECCPRIVATEBLOB", exported(keys["ECDSA_P256"], "ECCPRIVATEBLOB"))
    assert NCryptGetProperty(back, "Export Policy") == 0
    assert code_of(exported, back, "ECCPRIVATEBLOB") == NTE_NOT_SUPPORTED
    assert code_of(NCryptSetProperty, back, "Export Policy", 2) == NTE_NOT_SUPPORTED


# --- PKCS#8 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RSA", "ECDSA_P256", "ECDH_P384"])
def test_an_encrypted_key_comes_back_with_its_use(keys, algorithm):
    sealed = exported(keys[algorithm], "PKCS8_PRIVATEKEY", [PASSWORD])
    assert NCryptGetProperty(imported("PKCS8_PRIVATEKEY", sealed, [PASSWORD]), "Algorithm Name") == algorithm
    wrong = [BCryptBuffer(NCRYPTBUFFER_PKCS_SECRET, "wrong")]
    assert code_of(imported, "PKCS8_PRIVATEKEY", sealed, wrong) == NTE_INCORRECT_PASSWORD
    assert code_of(imported, "PKCS8_PRIVATEKEY", sealed) == NTE_INVALID_PARAMETER


def test_the_password_may_be_utf_16_as_in_c(keys):
    wide = [BCryptBuffer(NCRYPTBUFFER_PKCS_SECRET, "password\0".encode("utf-16-le"))]
    sealed = exported(keys["ECDSA_P256"], "PKCS8_PRIVATEKEY", wide)
    assert imported("PKCS8_PRIVATEKEY", sealed, [PASSWORD])


def test_the_encryption_may_be_chosen(keys):
    old = [PASSWORD, BCryptBuffer(NCRYPTBUFFER_PKCS_OID, "1.2.840.113549.1.12.1.3")]
    assert imported("PKCS8_PRIVATEKEY", exported(keys["RSA"], "PKCS8_PRIVATEKEY", old), [PASSWORD])
    odd = [PASSWORD, BCryptBuffer(NCRYPTBUFFER_PKCS_OID, "1.2.3")]
    assert code_of(exported, keys["RSA"], "PKCS8_PRIVATEKEY", odd) == NTE_NOT_SUPPORTED


@pytest.mark.parametrize(
    "params",
    [[PASSWORD, PASSWORD], [BCryptBuffer(99, b"x")], [b"x"], "x", 7, [BCryptBuffer(NCRYPTBUFFER_PKCS_SECRET, "")]],
    ids=["twice", "foreign", "no buffer", "text", "number", "empty password"],
)
def test_odd_parameters_are_refused(keys, params):
    assert code_of(exported, keys["RSA"], "PKCS8_PRIVATEKEY", params) == NTE_INVALID_PARAMETER
    assert code_of(imported, "PKCS8_PRIVATEKEY", b"x", params) == NTE_INVALID_PARAMETER


def test_a_parameter_of_another_type_is_refused(keys):
    assert code_of(exported, keys["RSA"], "PUBLICBLOB", [PASSWORD]) == NTE_INVALID_PARAMETER
    assert code_of(imported, "PUBLICBLOB", b"x", [PASSWORD]) == NTE_INVALID_PARAMETER


# --- finishing, names ------------------------------------------------------------------------------------------------


def test_a_private_key_may_wait_to_be_finished(keys):
    data = exported(keys["RSA"], "RSAPRIVATEBLOB")
    key = imported("RSAPRIVATEBLOB", data, (), NCRYPT_DO_NOT_FINALIZE_FLAG)
    assert code_of(NCryptSignHash, key, SHA256, DIGEST, PKCS1) == NTE_BAD_KEY_STATE
    assert NCryptGetProperty(key, "Length") == 1024
    assert code_of(NCryptSetProperty, key, "Length", 2048) == NTE_INVALID_PARAMETER
    NCryptFinalizeKey(key)
    NCryptVerifySignature(keys["RSA"], SHA256, DIGEST, NCryptSignHash(key, SHA256, DIGEST, PKCS1), PKCS1)
    assert code_of(NCryptFinalizeKey, key) == NTE_INVALID_HANDLE


@pytest.mark.parametrize("blob", ["PUBLICBLOB", "RSAPUBLICBLOB", "ECCPUBLICBLOB", "CAPIPUBLICBLOB"])
def test_a_public_key_does_not_wait(blob):
    assert code_of(imported, blob, b"x", (), NCRYPT_DO_NOT_FINALIZE_FLAG) == NTE_BAD_FLAGS


def test_memory_takes_no_names(keys):
    name = [BCryptBuffer(NCRYPTBUFFER_PKCS_KEY_NAME, "name")]
    data = exported(keys["ECDSA_P256"], "ECCPRIVATEBLOB")
    assert code_of(imported, "ECCPRIVATEBLOB", data, name) == NTE_NOT_SUPPORTED


def test_the_card_provider_imports_nameless_keys_into_memory(keys):
    with local_system():
        data = exported(keys["ECDSA_P256"], "ECCPRIVATEBLOB")
        key = NCryptImportKey(card_provider(), None, "ECCPRIVATEBLOB", (), data)
        assert NCryptGetProperty(NCryptGetProperty(key, "Provider Handle"), "Impl Type") == 2
        assert NCryptSignHash(key, None, DIGEST)


def test_small_public_keys_verify_and_wrong_bit_lengths_are_taken():
    p, q = 0xF7E75FDC469067FFDC4E847C51F452DF, 0xE85CED54AF57E53E092113E62F436F4F
    small = rsa.RSAPublicNumbers(65537, (p * 2**260 + 1) * q | 1).public_key()
    data = bytearray(blobs.build_rsa_public(small))
    data[4:8] = (9999).to_bytes(4, "little")
    assert NCryptGetProperty(imported("RSAPUBLICBLOB", bytes(data)), "Length") == small.key_size


# --- anything at all -------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(blob=st.sampled_from(ALL_TYPES), data=st.binary(min_size=1, max_size=200), password=st.booleans())
def test_random_blobs_fail_with_a_code_of_cng(blob, data, password):
    params = [PASSWORD] if password and blob == "PKCS8_PRIVATEKEY" else ()
    assert outcome_of(imported, blob, data, params).startswith("NTE_")


SMALL = ec.derive_private_key(0x1234567, ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 1024)
WHOLE = {
    "RSAPUBLICBLOB": blobs.build_rsa_public(RSA_KEY.public_key()),
    "RSAPRIVATEBLOB": blobs.build_rsa_private(RSA_KEY),
    "RSAFULLPRIVATEBLOB": blobs.build_rsa_private(RSA_KEY, full=True),
    "CAPIPRIVATEBLOB": blobs.build_capi_private(RSA_KEY, flags.CALG_RSA_SIGN),
    "CAPIPUBLICBLOB": blobs.build_capi_public(RSA_KEY.public_key(), flags.CALG_RSA_SIGN),
    "ECCPUBLICBLOB": blobs.build_ecc_public(SMALL.public_key(), "ECDSA"),
    "ECCPRIVATEBLOB": blobs.build_ecc_private(SMALL, "ECDH"),
    "PKCS8_PRIVATEKEY": RSA_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
}


@settings(max_examples=200)
@given(blob=st.sampled_from(sorted(WHOLE)), at=st.integers(0, 2000), byte=st.integers(0, 255), cut=st.integers(0, 40))
def test_damaged_blobs_are_keys_or_fail_with_a_code_of_cng(blob, at, byte, cut):
    data = bytearray(WHOLE[blob])
    data[at % len(data)] = byte
    assert outcome_of(imported, blob, bytes(data[: len(data) - cut])).startswith(("done", "NTE_"))


@pytest.mark.parametrize("blob", sorted(WHOLE))
def test_a_blob_that_is_cut_off_is_bad_data(blob):
    cut = len(WHOLE[blob]) // 3
    assert code_of(imported, blob, WHOLE[blob][:cut]) == NTE_BAD_DATA


# --- secrets stay inside ---------------------------------------------------------------------------------------------


def test_keys_on_their_way_show_no_numbers_and_no_passwords():
    from calais.provider.ksp.keyblobs import blob_type, parameters, parse

    row = blob_type("ECCPRIVATEBLOB")
    data = WHOLE["ECCPRIVATEBLOB"]
    key = imported("ECCPRIVATEBLOB", data, (), NCRYPT_DO_NOT_FINALIZE_FLAG)
    told = parameters([PASSWORD], frozenset((NCRYPTBUFFER_PKCS_SECRET,)))
    shown = " ".join(map(repr, (key, key.settings, key.draft, parse(row, data, told), told)))
    NCryptFinalizeKey(key)
    shown += repr(key.material)
    for secret in ("password", "0x1234567", str(0x1234567), data[-32:].hex()):
        assert secret not in shown
