"""What the virtual GIDS card computes is true: each answer is checked with a public key, never with the card's code."""

from __future__ import annotations

import hashlib
import hmac
import os

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from calais.cards.base import BytesMemory
from calais.cards.gids.personalise import new_gids_card, virtual_card

ADMIN = bytes.fromhex("0102030405060708" * 3)
DIGEST_INFO_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
POINT = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
RSA_KEY_ACL = "8C058F10101000"


class Host:
    """The least that talks to a card: extended lengths, and nothing of the project's own host side."""

    def __init__(self, keys=(), *, verify=True, **options):
        self.memory = BytesMemory()
        new_gids_card(self.memory, os.urandom, keys=keys, admin_key=ADMIN, **options)
        self.card = virtual_card(self.memory, os.urandom)
        self.send("00A4040C", bytes.fromhex("A00000039742544659"))
        if verify:
            self.verify()

    def verify(self):
        self.send("00200080", b"123456")

    def ask(self, command, data=b""):
        head = bytes.fromhex(command)
        return self.card.process(head + (b"\0" + len(data).to_bytes(2, "big") + data + b"\0\0" if data else b""))

    def send(self, command, data=b""):
        answer = self.ask(command, data)
        assert answer[-2:] == b"\x90\0", answer.hex()
        return answer[:-2]

    def manage(self):
        self.send("0022C1A4", bytes.fromhex("830180"))
        challenge = self.send("00870000", bytes.fromhex("7C028100"))[4:]
        self.send("00870000", b"\x7c\x0a\x82\x08" + cbc(TripleDES(ADMIN), bytes(8)).encryptor().update(challenge))

    def choose(self, template, mechanism, kid):
        self.send(f"002241{template:02X}", bytes((0x80, 1, mechanism, 0x84, 1, kid)))

    def sign(self, mechanism, kid, data):
        self.choose(0xB6, mechanism, kid)
        return self.send("002A9E9A", data)

    def decipher(self, mechanism, kid, data):
        self.choose(0xB8, mechanism, kid)
        return self.send("002A8086", data)

    def public_key(self, kid):
        return self.send("00CB3FFF", bytes.fromhex(f"70088401{kid:02X}A5037F4980"))

    def create_key_file(self, kid, *mechanisms):
        crts = b"".join(bytes((template, 9, 0x80, 1, m, 0x83, 1, kid, 0x95, 1, 0x40)) for template, m in mechanisms)
        fcp = bytes.fromhex(f"8201188302B0{kid:02X}{RSA_KEY_ACL}") + tlv(0xA5, crts)
        self.send("00E00000", tlv(0x62, fcp))
        self.send("00440000")

    def put_key(self, kid, key_type, value):
        template = bytes((0x83, 1, key_type, 0x84, 1, 0)) + tlv(0x87, value)
        return self.ask("00DB3FFF", tlv(0x70, bytes((0x84, 1, kid)) + tlv(0xA5, template)))


def tlv(tag, value):
    size = len(value)
    length = bytes((size,)) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return bytes((tag,)) + length + value


def cbc(algorithm, vector):
    return Cipher(algorithm, modes.CBC(vector))


def integer(number):
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def rsa_private_key(key):
    n = key.private_numbers()
    numbers = (n.public_numbers.n, n.public_numbers.e, n.d, n.p, n.q, n.dmp1, n.dmq1, n.iqmp)
    return tlv(0x30, b"\2\1\0" + b"".join(map(integer, numbers)))


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def rsa_host(rsa_key):
    return Host([("key", 1, rsa_key, None)])


def test_a_digest_info_becomes_a_pkcs1_signature(rsa_key, rsa_host):
    signature = rsa_host.sign(0x57, 0x81, DIGEST_INFO_SHA256 + hashlib.sha256(b"text").digest())
    rsa_key.public_key().verify(signature, b"text", padding.PKCS1v15(), hashes.SHA256())


def test_a_block_padded_off_the_card_is_raised_to_the_private_exponent(rsa_key, rsa_host):
    numbers = rsa_key.private_numbers()
    for block in (b"\0\1" + b"\xff" * 221 + b"\0" + b"\xab" * 32, b"\x10" + b"\xa5" * 255, b"\0" * 255 + b"\2"):
        expected = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
        assert int.from_bytes(rsa_host.sign(0x17, 0x81, block), "big") == expected


def test_a_cryptogram_is_deciphered_raw_without_its_padding_and_out_of_oaep(rsa_key, rsa_host):
    public = rsa_key.public_key()
    hidden = public.encrypt(b"secret", padding.PKCS1v15())
    assert rsa_host.decipher(0x47, 0x81, hidden) == b"secret"
    assert rsa_host.decipher(0x47, 0x81, b"\0" + hidden) == b"secret", "with a padding indicator byte"
    assert rsa_host.decipher(0x07, 0x81, hidden).endswith(b"\0secret")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    assert rsa_host.decipher(0x87, 0x81, public.encrypt(b"secret", oaep)) == b"secret"


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\0\1" + b"\x55" * 240 + b"\0secretsecret\1", id="of type 1"),
        pytest.param(b"\1\2" + b"\x55" * 240 + b"\0secretsecret\1", id="not beginning with zero"),
        pytest.param(b"\0\2" + b"\x55" * 254, id="without an end"),
        pytest.param(b"\0\2" + b"\x55" * 7 + b"\0" + b"\x66" * 246, id="with seven bytes of padding"),
    ],
)
def test_a_cryptogram_with_bad_padding_is_refused(rsa_key, rsa_host, block):
    numbers = rsa_key.public_key().public_numbers()
    hidden = pow(int.from_bytes(block[:256].ljust(256, b"\1"), "big"), numbers.e, numbers.n).to_bytes(256, "big")
    rsa_host.choose(0xB8, 0x47, 0x81)
    assert rsa_host.ask("002A8086", hidden) == b"\x6a\x80"


def test_an_empty_message_and_the_least_padding_are_good(rsa_key, rsa_host):
    numbers = rsa_key.public_key().public_numbers()
    for block, message in (
        (b"\0\2" + b"\x55" * 253 + b"\0", b""),
        (b"\0\2" + b"\x55" * 8 + b"\0" + b"m" * 245, b"m" * 245),
    ):
        hidden = pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(256, "big")
        assert rsa_host.decipher(0x47, 0x81, hidden) == message


@pytest.mark.parametrize(
    ("curve", "algorithm"), [(ec.SECP256R1(), 0x0C), (ec.SECP384R1(), 0x0D), (ec.SECP521R1(), 0x0E)]
)
@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256(), hashes.SHA512()], ids=lambda digest: digest.name)
def test_ec_keys_sign_hashes_of_any_length_and_agree(curve, algorithm, digest):
    key, peer = ec.generate_private_key(curve), ec.generate_private_key(curve)
    host = Host([("signs and agrees", 1, key, None)])
    hashed = hashes.Hash(digest)
    hashed.update(b"text")
    signature = host.sign(0x10 | algorithm, 0x81, hashed.finalize())
    size = (curve.key_size + 7) // 8
    assert len(signature) == 2 * size
    r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
    key.public_key().verify(utils.encode_dss_signature(r, s), b"text", ec.ECDSA(digest))
    host.choose(0xA6, algorithm, 0x81)
    answer = host.send("00870000", tlv(0x7C, tlv(0x85, peer.public_key().public_bytes(*POINT))))
    assert answer[-size:] == peer.exchange(ec.ECDH(), key.public_key())


@pytest.mark.parametrize(
    ("algorithm", "bits"),
    [
        (6, 1024),
        (7, 2048),
        pytest.param(8, 3072, marks=pytest.mark.nightly),
        pytest.param(9, 4096, marks=pytest.mark.nightly),
    ],
)
def test_a_generated_rsa_key_signs_under_the_modulus_it_shows(algorithm, bits):
    host = Host()
    host.create_key_file(0x81, (0xB6, 0x50 | algorithm))
    template = host.send("00470000", bytes((0xAC, 6, 0x80, 1, algorithm, 0x83, 1, 0x81)))
    assert host.public_key(0x81) == template
    modulus = int.from_bytes(template[-bits // 8 - 5 : -5], "big")
    assert template[-5:] == bytes.fromhex("8203010001")
    assert modulus.bit_length() == bits
    public = rsa.RSAPublicNumbers(65537, modulus).public_key()
    signature = host.sign(0x50 | algorithm, 0x81, DIGEST_INFO_SHA256 + hashlib.sha256(b"text").digest())
    public.verify(signature, b"text", padding.PKCS1v15(), hashes.SHA256())


def test_an_imported_rsa_key_is_that_key(rsa_key):
    host = Host()
    host.create_key_file(0x81, (0xB6, 0x57), (0xB8, 0x47))
    assert host.put_key(0x81, 2, rsa_private_key(rsa_key)) == b"\x90\0"
    host.card.power_cycle()
    host.send("00A4040C", bytes.fromhex("A00000039742544659"))
    host.verify()
    assert host.decipher(0x47, 0x81, rsa_key.public_key().encrypt(b"secret", padding.PKCS1v15())) == b"secret"


def test_numbers_without_the_zero_before_their_first_bit_are_not_negative(rsa_key):
    host = Host()
    host.create_key_file(0x81, (0xB6, 0x57))
    n = rsa_key.private_numbers()
    numbers = (n.public_numbers.n, n.public_numbers.e, n.d, n.p, n.q, n.dmp1, n.dmq1, n.iqmp)
    values = (tlv(2, number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in numbers)
    assert host.put_key(0x81, 2, tlv(0x30, b"\2\1\0" + b"".join(values))) == b"\x90\0"


def test_an_rsa_key_of_another_size_or_with_numbers_that_do_not_match_is_refused(rsa_key):
    host = Host()
    host.create_key_file(0x81, (0xB6, 0x57))
    assert host.put_key(0x81, 2, rsa_private_key(rsa.generate_private_key(65537, 1024))) == b"\x6a\x80"
    n = rsa_key.private_numbers()
    wrong = tlv(0x30, b"\2\1\0" + b"".join(map(integer, (
        n.public_numbers.n, n.public_numbers.e, n.d, n.p, n.q + 2, n.dmp1, n.dmq1, n.iqmp,
    ))))  # fmt: skip
    assert host.put_key(0x81, 2, wrong) == b"\x6a\x80"
    assert host.put_key(0x81, 3, rsa_private_key(rsa_key)) == b"\x6a\x80"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_an_ec_key_is_imported_as_rfc_5915_has_it(curve):
    key = ec.generate_private_key(curve)
    algorithm = {256: 0x0C, 384: 0x0D, 521: 0x0E}[curve.key_size]
    host = Host()
    host.create_key_file(0x81, (0xB6, 0x10 | algorithm))
    der = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    assert host.put_key(0x81, 3, der) == b"\x90\0"
    assert host.public_key(0x81).endswith(key.public_key().public_bytes(*POINT))


def test_the_card_holds_126_keys_and_then_has_no_room():
    host = Host()
    for kid in range(0x81, 0xFF):
        host.create_key_file(kid, (0xB6, 0x1C))
    assert host.send("00CB3FFF", bytes.fromhex("5C02DF7E"))[9:12] == bytes.fromhex("810100")
    assert host.put_key(0xFE, 3, tlv(0x30, b"\2\1\1" + tlv(4, bytes(31) + b"\7"))) == b"\x90\0"
    assert host.sign(0x1C, 0xFE, b"\1" * 32)


def test_files_have_an_end_as_well():
    host = Host()
    made = 0
    while host.ask("00E00000", bytes.fromhex(f"620C8201398302A0{0x20 + made:02X}8C03033000")) == b"\x90\0":
        made += 1
    assert made > 32
    assert host.ask("00E00000", bytes.fromhex("620C8201398302A0FF8C03033000")) == b"\x6a\x84"


def test_the_guidelines_sample_of_an_admin_response():
    response = cbc(TripleDES(bytes(24)), bytes(8)).encryptor().update(bytes.fromhex("A892D75601617C5D"))
    assert response.hex() == "1951ec3ef81bbabb"
    memory = BytesMemory()
    new_gids_card(memory, os.urandom, keys=[], admin_key=bytes.fromhex("01" * 24))
    card = virtual_card(memory, lambda size: bytes.fromhex("A892D75601617C5D")[:size])
    for step in ("00A4040C09A00000039742544659", "0022C1A403830180", "00870000047C02810000"):
        answer = card.process(bytes.fromhex(step))
    assert answer == bytes.fromhex("7C0A8108A892D75601617C5D9000")
    assert card.process(bytes.fromhex("008700000C7C0A8208") + response) == b"\x90\0", "parity bits do not count"


class Session:
    """A server's side of key injection."""

    def __init__(self, host, handle, algorithm):
        self.host, self.handle, self.algorithm = host, handle, algorithm
        self.block = algorithm.block_size // 8

    def ask(self, function, command, *, padded=True):
        vector = os.urandom(self.block)
        if padded:
            fill = self.block - len(command) % self.block
            command += bytes((fill,)) * fill
        secret = cbc(self.algorithm, vector).encryptor().update(command)
        p1 = function | (0x80 if padded else 0)
        return self.host.ask(f"805A{p1:02X}{self.handle:02X}", tlv(0x81, vector) + tlv(0x87, secret))


def agreed(host, number=3):
    """A session key agreed on with the admin key."""
    ours = os.urandom(16)
    answer = host.send("80560080", bytes((0x80, 1, number, 0x81, 16)) + ours)
    context = b"Calais GIDS session key" + bytes((number,)) + ours + answer[1:]
    material = b"".join(hmac.digest(ADMIN, context + bytes((count,)), "sha256") for count in (1, 2))
    key = {
        1: TripleDES(material[:24]),
        2: TripleDES(material[:16] + material[:8]),
        3: algorithms.AES(material[:32]),
    }[number]
    return Session(host, answer[0], key)


VERIFY = bytes.fromhex("0020008006") + b"123456"
CHANGE = bytes.fromhex("002400800C") + b"123456654321"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_pin_travels_encrypted_under_an_agreed_key(number):
    host = Host(verify=False)
    session = agreed(host, number)
    assert session.ask(3, VERIFY[:-1] + b"7") == b"\x63\xc2"
    assert session.ask(3, VERIFY) == b"\x90\0"
    assert host.ask("00200080") == b"\x90\0"
    assert session.ask(2, CHANGE) == b"\x90\0"
    host.send("00200080", b"654321")


def test_a_session_pin_and_the_admin_are_authenticated_encrypted():
    host = Host(verify=False)
    session = agreed(host)
    made = session.ask(3, bytes.fromhex("8050008006") + b"123456")[:-2]
    assert len(made) == 16
    assert session.ask(3, bytes.fromhex("0020008310") + made) == b"\x90\0"
    host.send("0022C1A4", bytes.fromhex("830180"))
    challenge = host.send("00870000", bytes.fromhex("7C028100"))[4:]
    response = cbc(TripleDES(ADMIN), bytes(8)).encryptor().update(challenge)
    assert session.ask(3, bytes.fromhex("008700000C7C0A8208") + response) == b"\x90\0"
    assert session.ask(2, bytes.fromhex("002C028004") + b"9999") == b"\x90\0"
    host.send("00200080", b"9999")


@pytest.mark.parametrize("blob", [False, True])
@pytest.mark.parametrize("mechanism", [0x40, 0x80])
def test_a_session_key_is_wrapped_for_a_container_and_carries_a_key(rsa_key, mechanism, blob):
    host = Host([("wraps", 1, rsa_key, None)])
    value = os.urandom(32)
    plain = (b"KDBM" + (1).to_bytes(4, "little") + (32).to_bytes(4, "little") if blob else b"") + value
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    wrapped = rsa_key.public_key().encrypt(plain, oaep if mechanism == 0x80 else padding.PKCS1v15())
    data = bytes((0x80, 1, 3, 0x81, 1, mechanism)) + tlv(0x86, wrapped)
    (handle,) = host.send("80540081", data)
    session = Session(host, handle, algorithms.AES(value))
    key = ec.generate_private_key(ec.SECP256R1())
    host.create_key_file(0x82, (0xB6, 0x1C))
    sequence = tlv(0x30, b"\2\1\1" + tlv(4, key.private_numbers().private_value.to_bytes(32, "big")))
    template = tlv(0x70, bytes((0x84, 1, 0x82)) + tlv(0xA5, b"\x83\1\3" + tlv(0x87, sequence)))
    assert session.ask(1, bytes.fromhex("00DB3FFF") + bytes((len(template),)) + template) == b"\x90\0"
    assert host.public_key(0x82).endswith(key.public_key().public_bytes(*POINT))


def test_a_session_key_of_the_wrong_size_is_refused(rsa_key):
    host = Host([("wraps", 1, rsa_key, None)])
    for algorithm, size in ((3, 15), (1, 16), (2, 24), (4, 16)):
        wrapped = rsa_key.public_key().encrypt(os.urandom(size), padding.PKCS1v15())
        assert host.ask("80540081", bytes((0x80, 1, algorithm, 0x81, 1, 0x40)) + tlv(0x86, wrapped)) == b"\x6a\x80"


def test_the_admin_key_is_replaced_encrypted():
    host = Host(verify=False)
    host.manage()
    session = agreed(host)
    template = bytes.fromhex("7022840180A51D8301018718") + b"\xaa" * 24
    command = bytes.fromhex("00DB3FFF") + bytes((len(template),)) + template
    assert session.ask(1, command) == b"\x69\x86", "it is an authenticator, no container's key"
    assert session.ask(2, command) == b"\x90\0"
    assert host.card.applet.state.admin_key().value == b"\xaa" * 24


def test_a_function_does_only_what_belongs_to_it():
    host = Host()
    session = agreed(host)
    assert session.ask(1, VERIFY) == b"\x69\x86"
    assert session.ask(2, VERIFY) == b"\x69\x86"
    assert session.ask(3, CHANGE) == b"\x69\x86"
    assert session.ask(3, bytes.fromhex("00E4000002A010")) == b"\x69\x86"
    assert session.ask(1, bytes.fromhex("00DBA01004DF3001AA")) == b"\x6a\x86"
    assert session.ask(2, bytes.fromhex("00DB3FFF05700384 0181")) == b"\x69\x86"
    assert session.ask(3, b"\0\x20\0") == b"\x6a\x80", "no command"
    assert session.ask(3, VERIFY + bytes(5), padded=False) == b"\x6a\x80", "lengths do not add up"
    assert session.ask(3, bytes.fromhex("0020008300000A") + b"0123456789"[:9], padded=False) == b"\x6a\x80"


def test_rights_are_the_same_for_what_comes_encrypted():
    host = Host(verify=False)
    session = agreed(host)
    template = bytes.fromhex("7022840180A51D8301018718") + b"\xaa" * 24
    assert session.ask(2, bytes.fromhex("00DB3FFF") + bytes((len(template),)) + template) == b"\x69\x82"


def test_equal_randomness_makes_equal_cards():
    cards = []
    for _ in range(2):
        memory = BytesMemory()
        new_gids_card(memory, lambda size: bytes(range(7, size + 7)), keys=[])
        cards.append(memory.read())
    assert cards[0] == cards[1]


def test_secrets_are_in_no_repr():
    host = Host([("key", 2, ec.derive_private_key(0xABCDEF, ec.SECP256R1()), None)])
    agreed(host)
    host.send("80500080", b"123456")
    state = host.card.applet.state
    shown = repr([state.reference(0x80), state.admin_key(), state.key(0x81), state.volatile, state.session_pin])
    assert state.session_pin.value.hex() not in shown
    for secret in ("123456", "31323334", "0102030405", "\\x01\\x02\\x03", str(0xABCDEF)):
        assert secret not in shown
