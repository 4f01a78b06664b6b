import contextlib
import os

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from pivdesk import certificate, der, p256, rsa_key

from calais.cards.piv import keys, management, spec
from calais.cards.piv.spec import Algorithm
from calais.iso7816 import tlv
from calais.minidriver.memo import Evidence
from calais.win.errors import BadData, BadParameter, NotAuthenticated, Unsupported

SEEN = Evidence(None, 0)
POINT = {"format": keys.serialization.PublicFormat.UncompressedPoint, "encoding": keys.serialization.Encoding.X962}


@pytest.mark.parametrize(
    ("make", "algorithm", "size"),
    [
        (p256, Algorithm.P256, 32),
        (lambda: ec.generate_private_key(ec.SECP384R1()), Algorithm.P384, 48),
        (lambda: rsa_key(1024), Algorithm.RSA_1024, 128),
        (rsa_key, Algorithm.RSA_2048, 256),
        (ed25519.Ed25519PrivateKey.generate, Algorithm.ED25519, 32),
        (x25519.X25519PrivateKey.generate, Algorithm.X25519, 32),
    ],
)
def test_the_algorithm_of_a_key_is_known(make, algorithm, size):
    key = make()
    assert keys.algorithm_of(key) == keys.algorithm_of(key.public_key()) == algorithm
    assert keys.facts_of(key.public_key(), SEEN).size == size
    assert keys.import_parts(key)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP521R1()),
        lambda: rsa.generate_private_key(65537, 1536),
        lambda: dsa.generate_private_key(1024),
    ],
)
def test_keys_that_no_piv_card_has_are_refused(make):
    with pytest.raises(Unsupported):
        keys.algorithm_of(make())


@pytest.mark.parametrize(("curve", "algorithm"), [(ec.SECP256R1(), Algorithm.P256), (ec.SECP384R1(), Algorithm.P384)])
def test_a_point_of_the_card_is_a_public_key(curve, algorithm):
    public = ec.generate_private_key(curve).public_key()
    parsed = keys.parse_public_key(algorithm, tlv.build(0x86, public.public_bytes(**POINT)))
    assert parsed == public


def test_modulus_and_exponent_of_the_card_are_a_public_key():
    numbers = rsa_key().public_key().public_numbers()
    template = tlv.build(0x81, b"\0" + numbers.n.to_bytes(256, "big")) + tlv.build(0x82, b"\1\0\1")
    assert keys.parse_public_key(Algorithm.RSA_2048, template) == rsa_key().public_key()


@pytest.mark.parametrize("algorithm", [*keys.NAME_OF, 0x99])
@given(noise=st.binary(max_size=80))
def test_noise_is_no_public_key(algorithm, noise):
    for template in (noise, tlv.build(0x86, noise), tlv.build(0x81, noise) + tlv.build(0x82, noise)):
        with contextlib.suppress(BadData, Unsupported):
            keys.parse_public_key(algorithm, template)


def test_an_rsa_key_of_another_length_is_refused():
    numbers = rsa_key(1024).public_key().public_numbers()
    template = tlv.build(0x81, numbers.n.to_bytes(128, "big")) + tlv.build(0x82, b"\1\0\1")
    with pytest.raises(BadData):
        keys.parse_public_key(Algorithm.RSA_2048, template)


def test_a_certificate_gives_its_key():
    key = p256()
    assert keys.certificate_key(der(certificate(key))) == key.public_key()


@given(st.data())
def test_a_damaged_certificate_is_bad_data_or_another_certificate(data):
    good = bytearray(CERTIFICATE)
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadData, Unsupported):
        keys.certificate_key(bytes(good[: data.draw(st.integers(0, len(good)))]))


CERTIFICATE = der(certificate(p256(), serial=5))


@given(st.integers(1, 2**256 - 1), st.integers(1, 2**256 - 1))
def test_a_der_signature_becomes_two_numbers_of_fixed_width(r, s):
    raw = keys.raw_signature(encode_dss_signature(r, s), 32)
    assert raw == r.to_bytes(32, "big") + s.to_bytes(32, "big")


@given(st.integers(1, 2**384 - 1), st.integers(1, 2**384 - 1))
def test_the_same_for_p384(r, s):
    raw = keys.raw_signature(encode_dss_signature(r, s), 48)
    assert raw == r.to_bytes(48, "big") + s.to_bytes(48, "big")


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(64),
        encode_dss_signature(2**256, 1),
        encode_dss_signature(1, 2**256),
        encode_dss_signature(1, 1) + b"\0",
        encode_dss_signature(1, 1)[:-1],
        bytes.fromhex("3004020002010000"),
        bytes.fromhex("30060201010301ff"),
        bytes.fromhex("3006020102020500"),
    ],
)
def test_what_is_no_ecdsa_signature_is_refused(signature):
    with pytest.raises(BadData):
        keys.raw_signature(signature, 32)


@given(st.binary(max_size=150))
def test_noise_is_hardly_ever_a_signature(noise):
    with contextlib.suppress(BadData):
        assert len(keys.raw_signature(noise, 32)) == 64


@pytest.mark.parametrize(
    ("key_spec", "bits", "algorithm"),
    [
        (1, 2048, Algorithm.RSA_2048),
        (2, 1024, Algorithm.RSA_1024),
        (1, 256, Algorithm.P256),
        (3, 0, Algorithm.P256),
        (6, 256, Algorithm.P256),
        (4, 0, Algorithm.P384),
        (7, 384, Algorithm.P384),
    ],
)
def test_key_spec_and_size_choose_the_algorithm(key_spec, bits, algorithm):
    assert keys.algorithm_for(key_spec, bits) == algorithm


@pytest.mark.parametrize(("key_spec", "bits"), [(1, 0), (1, 512), (3, 384), (6, 2048)])
def test_an_impossible_size_is_refused(key_spec, bits):
    with pytest.raises(BadParameter):
        keys.algorithm_for(key_spec, bits)


@pytest.mark.parametrize("key_spec", [5, 8])
def test_p521_is_unsupported(key_spec):
    with pytest.raises(Unsupported):
        keys.algorithm_for(key_spec, 0)


# --- management key --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "size"), spec.MANAGEMENT_KEY_BYTES.items())
def test_a_block_is_encrypted_and_decrypted(algorithm, size):
    key, block = os.urandom(size), os.urandom(spec.BLOCK_BYTES[algorithm])
    assert management.decrypt(algorithm, key, management.encrypt(algorithm, key, block)) == block
    assert algorithm in management.candidates(key)
    management.check_answer(algorithm, key, block, management.encrypt(algorithm, key, block))


def test_des_with_a_known_block():
    key = bytes.fromhex("0123456789ABCDEF23456789ABCDEF01456789ABCDEF0123")  # SP 800-67, appendix B
    assert management.encrypt(Algorithm.TDES, key, bytes.fromhex("5468652071756663")).hex() == "a826fd8ce53b855f"


@pytest.mark.parametrize("size", [0, 8, 23, 25, 33])
def test_a_key_of_another_length_is_refused(size):
    with pytest.raises(BadParameter):
        management.candidates(bytes(size))


def test_a_block_of_another_length_is_bad_data():
    with pytest.raises(BadData):
        management.decrypt(Algorithm.AES_128, bytes(16), bytes(8))


def test_a_card_that_does_not_know_the_key_is_found_out():
    with pytest.raises(NotAuthenticated):
        management.check_answer(Algorithm.TDES, bytes(range(24)), bytes(8), bytes(8))
