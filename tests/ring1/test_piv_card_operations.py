"""What the virtual PIV card computes is true: each answer is checked with a public key, never with the card's code."""

from __future__ import annotations

import hashlib
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils, x25519

from calais.cards import arithmetic
from calais.cards.base import BytesMemory
from calais.cards.piv.personalise import new_card, virtual_card

SELECT = "00A404000BA000000308000010000100"
VERIFY = "0020008008313233343536FFFF"
DIGEST_INFO_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")


class Host:
    """The least that talks to a card: extended lengths, and nothing of the project's own host side."""

    def __init__(self, keys, **options):
        self.memory = BytesMemory()
        new_card(self.memory, os.urandom, keys=keys, **options)
        self.card = virtual_card(self.memory, os.urandom)
        self.send(SELECT)
        self.send(VERIFY)

    def send(self, command, data=b""):
        head = bytes.fromhex(command)
        answer = self.card.process(head + (b"\0" + len(data).to_bytes(2, "big") + data + b"\0\0" if data else b""))
        assert answer[-2:] == b"\x90\0", answer.hex()
        return answer[:-2]

    def manage(self):
        challenge = self.send("0087039B047C02810000")[4:]
        self.send("0087039B", b"\x7c\x0a\x82\x08" + triple_des(challenge))

    def use(self, algorithm, slot, tag, value):
        inner = b"\x82\0" + tlv(tag, value)
        answer = self.send(f"0087{algorithm:02X}{slot:02X}", tlv(0x7C, inner))
        return value_of(value_of(answer, 0x7C), 0x82)


def triple_des(block):
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    key = bytes.fromhex("010203040506070801020304050607080102030405060708")
    return Cipher(TripleDES(key), modes.ECB()).encryptor().update(block)


def tlv(tag, value):
    size = len(value)
    length = bytes((size,)) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return bytes((tag,)) + length + value


def value_of(raw, tag):
    assert raw[0] == tag
    if raw[1] < 0x80:
        at, size = 2, raw[1]
    else:
        at = 2 + (raw[1] & 0x7F)
        size = int.from_bytes(raw[2:at], "big")
    assert len(raw) == at + size
    return raw[at:]


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def rsa_host(rsa_key):
    return Host({0x9A: (rsa_key, None)})


def test_a_padded_digest_becomes_a_pkcs1_signature(rsa_key, rsa_host):
    digest = hashlib.sha256(b"text").digest()
    block = b"\0\1" + b"\xff" * (256 - 3 - 51) + b"\0" + DIGEST_INFO_SHA256 + digest
    signature = rsa_host.use(0x07, 0x9A, 0x81, block)
    rsa_key.public_key().verify(signature, b"text", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\0\1" + b"\xff" * 252 + b"\0x", id="type 1 with one byte"),
        pytest.param(b"\0\1" + b"\xff" * 253 + b"\0", id="type 1 with nothing"),
        pytest.param(b"\0\1" + b"\xff" * 8 + b"\0" + b"\0" * 245, id="type 1 with zeros"),
        pytest.param(b"\0\1" + b"\xff" * 7 + b"\0" + b"a" * 246, id="type 1 with too little padding"),
        pytest.param(b"\0\1" + b"\xff" * 100 + b"\xfe" + b"\xff" * 100 + b"\0" + b"a" * 52, id="padding with a hole"),
        pytest.param(b"\0\1" + b"\xff" * 254, id="type 1 without an end"),
        pytest.param(b"\0\2" + b"\x55" * 200 + b"\0" + b"a" * 53, id="type 2"),
        pytest.param(b"\0" * 255 + b"\1", id="one"),
        pytest.param(b"\0" * 256, id="zero"),
        pytest.param(b"\x10" + b"\xa5" * 255, id="no padding at all"),
    ],
)
def test_any_block_below_the_modulus_is_raised_to_the_private_exponent(rsa_key, rsa_host, block):
    numbers = rsa_key.private_numbers()
    expected = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
    assert int.from_bytes(rsa_host.use(0x07, 0x9A, 0x81, block), "big") == expected


def test_decryption_gives_the_padded_block_back(rsa_key, rsa_host):
    secret = rsa_key.public_key().encrypt(b"secret", padding.PKCS1v15())
    block = rsa_host.use(0x07, 0x9A, 0x81, secret)
    assert block[:2] == b"\0\2"
    assert block.endswith(b"\0secret")


def test_an_inconsistent_key_never_answers(rsa_key):
    good = rsa_key.private_numbers()
    bad = rsa.RSAPrivateNumbers(good.p, good.q, good.d, good.dmp1 + 2, good.dmq1, good.iqmp, good.public_numbers)
    with pytest.raises(ValueError):
        arithmetic.rsa_private(bad, 12345, os.urandom)


@pytest.mark.parametrize(("curve", "algorithm"), [(ec.SECP256R1(), 0x11), (ec.SECP384R1(), 0x14)])
def test_ec_keys_sign_and_agree(curve, algorithm):
    key, peer = ec.generate_private_key(curve), ec.generate_private_key(curve)
    host = Host({0x9D: (key, None)})
    signature = host.use(algorithm, 0x9D, 0x81, hashlib.sha256(b"text").digest())
    key.public_key().verify(signature, hashlib.sha256(b"text").digest(), ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    secret = host.use(algorithm, 0x9D, 0x85, peer.public_key().public_bytes(*form))
    assert secret == peer.exchange(ec.ECDH(), key.public_key())


def test_edwards_keys_sign_messages_and_agree():
    signer, agreer, peer = ed25519.Ed25519PrivateKey.generate(), *(x25519.X25519PrivateKey.generate() for _ in "ab")
    host = Host({0x9A: (signer, None), 0x9D: (agreer, None)})
    signer.public_key().verify(host.use(0xE0, 0x9A, 0x81, b"a message"), b"a message")
    secret = host.use(0xE1, 0x9D, 0x85, peer.public_key().public_bytes_raw())
    assert secret == peer.exchange(agreer.public_key())


@pytest.mark.parametrize(
    ("algorithm", "bits"),
    [(0x06, 1024), (0x07, 2048), (0x05, 3072), pytest.param(0x16, 4096, marks=pytest.mark.nightly)],
)
def test_a_generated_rsa_key_signs_under_the_modulus_it_showed(algorithm, bits):
    host = Host({})
    host.manage()
    template = host.send("0047009E", bytes.fromhex(f"AC038001{algorithm:02X}"))
    members = value_of(template[1:], 0x49) if template[0] == 0x7F else None
    size = bits // 8
    modulus = int.from_bytes(members[members.index(b"\x81") :][-size - 5 : -5], "big")
    assert members[-5:] == bytes.fromhex("8203010001")
    assert modulus.bit_length() == bits
    block = b"\0\1" + b"\xff" * (size - 3 - 32) + b"\0" + b"\xab" * 32
    assert pow(int.from_bytes(host.use(algorithm, 0x9E, 0x81, block), "big"), 65537, modulus).to_bytes(size) == block


def test_an_imported_rsa_key_is_that_key(rsa_key):
    host = Host({})
    host.manage()
    n = rsa_key.private_numbers()
    values = [number.to_bytes(128, "big") for number in (n.p, n.q, n.dmp1, n.dmq1, n.iqmp)]
    host.send("00FE079E", b"".join(tlv(tag, value) for tag, value in enumerate(values, 1)))
    signature = host.use(0x07, 0x9E, 0x81, b"\0\1" + b"\xff" * 221 + b"\0" + b"\xab" * 32)
    assert pow(int.from_bytes(signature, "big"), 65537, n.public_numbers.n) & 0xFF == 0xAB


def test_an_attestation_is_signed_by_the_attestation_key_and_names_card_and_policies():
    host = Host({})
    host.manage()
    host.send("00470095", bytes.fromhex("AC06800111AA0102"))
    certificate = x509.load_der_x509_certificate(host.send("00F99500000000"))
    authority = value_of(value_of(host.send("00CB3FFF", bytes.fromhex("5C035FFF01")), 0x53)[:-5], 0x70)
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(authority))
    extensions = {item.oid.dotted_string: item.value.value for item in certificate.extensions}
    assert extensions["1.3.6.1.4.1.41482.3.3"] == bytes((5, 7, 4))
    assert extensions["1.3.6.1.4.1.41482.3.8"] == bytes((2, 1))
    assert int.from_bytes(extensions["1.3.6.1.4.1.41482.3.7"][2:], "big") == int.from_bytes(
        host.send("00F80000"), "big"
    )


def test_equal_randomness_makes_equal_ec_keys_and_challenges():
    answers = []
    for _ in range(2):
        memory = BytesMemory()
        new_card(memory, lambda size: bytes(range(7, size + 7)), keys={})
        card = virtual_card(memory, lambda size: bytes(range(size)))
        steps = (SELECT, "0087039B047C02810000", "0087039B0C7C0A820890152A4C1CF42780", "0047009E05AC0380011100")
        answers.append([card.process(bytes.fromhex(step)) for step in steps])
    assert answers[0] == answers[1]
    assert answers[0][-1][-2:] == b"\x90\0"


def test_secrets_are_in_no_repr():
    host = Host({0x9A: (ec.derive_private_key(0xABCDEF, ec.SECP256R1()), None)})
    state = host.card.applet.state
    shown = repr([state.reference(0x80), state.management_key(), state.key(0x9A), state.volatile])
    assert "123456" not in shown
    assert "31323334" not in shown
    assert "0102030405" not in shown
    assert "\\x01\\x02\\x03" not in shown


def test_the_card_counts_what_it_saw():
    host = Host({})
    total, resets = host.card.exchanges_total, host.card.resets
    host.card.counter.clear()
    host.send("00FD0000")
    host.card.reset()
    host.card.power_cycle()
    assert (host.card.counter.exchanges, host.card.counter.bytes_in, host.card.counter.bytes_out) == (1, 4, 5)
    assert (host.card.exchanges_total, host.card.resets) == (total + 1, resets + 2)
    assert host.card.atr == host.card.applet.atr
