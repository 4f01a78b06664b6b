"""PKCS#8 keys, plain and with a password; what an EC key is for goes with them."""

import subprocess

import pytest
from cng import code_of, outcome_of
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from calais.provider.ksp import pkcs8
from calais.win.codes import Code
from calais.win.errors import WinError

PASSWORD = "pässword".encode()
TRIPLE_DES = "1.2.840.113549.1.12.1.3"
EC_KEY = ec.derive_private_key(0x1234567, ec.SECP256R1())


@pytest.fixture(scope="module", autouse=True)
def few_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pkcs8, "ROUNDS", 1000)
        yield


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


def same(one, other):
    return one.private_numbers() == other.private_numbers()


@pytest.mark.parametrize("scheme", ["ECDSA", "ECDH"])
def test_what_an_ec_key_is_for_survives(scheme):
    for found, said in (
        pkcs8.parse(pkcs8.build(EC_KEY, scheme)),
        pkcs8.parse(pkcs8.encrypt(EC_KEY, scheme, PASSWORD, None), PASSWORD),
    ):
        assert same(found, EC_KEY)
        assert said == scheme


@pytest.mark.parametrize("oid", [None, "1.2.840.113549.1.5.13", "2.16.840.1.101.3.4.1.42", TRIPLE_DES])
def test_rsa_keys_come_back_from_every_encryption(rsa_key, oid):
    sealed = pkcs8.encrypt(rsa_key, "ECDSA", PASSWORD, oid)
    assert same(pkcs8.parse(sealed, PASSWORD)[0], rsa_key)
    assert same(serialization.load_der_private_key(sealed, PASSWORD), rsa_key)


def test_a_key_without_a_usage_is_one_for_signatures():
    plain = EC_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert pkcs8.parse(plain)[1] == "ECDSA"
    sealed = EC_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(PASSWORD))
    assert pkcs8.parse(sealed, PASSWORD)[1] == "ECDSA"


@pytest.mark.parametrize("oid", [None, TRIPLE_DES])
def test_a_wrong_password_has_a_code_of_its_own(oid):
    sealed = pkcs8.encrypt(EC_KEY, "ECDH", PASSWORD, oid)
    assert code_of(pkcs8.parse, sealed, b"wrong") == Code.NTE_INCORRECT_PASSWORD


def test_an_encrypted_key_wants_a_password_and_a_plain_one_ignores_it():
    assert code_of(pkcs8.parse, pkcs8.encrypt(EC_KEY, "ECDH", PASSWORD, None)) == Code.NTE_INVALID_PARAMETER
    assert same(pkcs8.parse(pkcs8.build(EC_KEY, "ECDH"), PASSWORD)[0], EC_KEY)


def test_an_unknown_encryption_is_not_supported():
    assert code_of(pkcs8.encrypt, EC_KEY, "ECDSA", PASSWORD, "1.2.3.4") == Code.NTE_NOT_SUPPORTED


def test_other_kinds_of_keys_are_not_supported():
    edwards = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert code_of(pkcs8.parse, edwards) == Code.NTE_NOT_SUPPORTED


def test_a_blob_that_asks_for_endless_work_is_refused():
    from asn1crypto import keys

    info = keys.EncryptedPrivateKeyInfo.load(pkcs8.encrypt(EC_KEY, "ECDSA", PASSWORD, None))
    how = info["encryption_algorithm"]["parameters"]["key_derivation_func"]["parameters"]
    how["iteration_count"] = 1 << 31
    assert code_of(pkcs8.parse, info.dump(force=True), PASSWORD) == Code.NTE_BAD_DATA


@given(data=st.binary(max_size=200), password=st.none() | st.just(PASSWORD))
def test_random_bytes_fail_with_a_code_of_cng(data, password):
    with pytest.raises(WinError) as caught:
        pkcs8.parse(data, password)
    assert caught.value.name.startswith("NTE_")


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), encrypted=st.booleans())
def test_a_damaged_key_fails_with_a_code_of_cng_or_is_a_key(at, byte, encrypted):
    whole = SEALED if encrypted else PLAIN
    data = bytearray(whole)
    data[at % len(data)] = byte
    assert outcome_of(pkcs8.parse, bytes(data), PASSWORD).startswith(("NTE_", "done"))


PLAIN = pkcs8.build(EC_KEY, "ECDH")
SEALED = EC_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(PASSWORD))


@pytest.mark.requires("openssl", package="openssl")
@pytest.mark.parametrize("oid", [None, TRIPLE_DES])
@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_openssl_opens_what_is_built(tmp_path, rsa_key, kind, oid):
    key = rsa_key if kind == "RSA" else EC_KEY
    for name, data in (("plain", pkcs8.build(key, "ECDH")), ("sealed", pkcs8.encrypt(key, "ECDH", PASSWORD, oid))):
        (tmp_path / name).write_bytes(data)
        words = ["openssl", "pkey", "-inform", "DER", "-in", tmp_path / name, "-noout", "-check", "-passin", "env:PW"]
        answer = subprocess.run(words, capture_output=True, env={"PW": PASSWORD.decode(), "PATH": "/usr/bin:/bin"})
        assert answer.returncode == 0, answer.stderr
