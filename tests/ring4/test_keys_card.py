from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
from cryptography.hazmat.primitives.serialization import pkcs7
from people import MANAGEMENT_KEY, PIN, SHA256, card, key_of, rsa_card
from pivdesk import certificate

from calais.minidriver.padding import Pkcs1, Pss, Raw
from calais.provider.checking import is_signature
from calais.provider.policy import Policy
from calais.resource.slots import Slot
from calais.store.locations import SystemStores
from calais.store.memory import MemoryDatabase
from calais.system import System
from calais.testing import FaultyTransport, FixedPrompt, local_system, virtual_piv
from calais.win.codes import Code
from calais.win.errors import BadParameter, Unsupported, WinError

DATA = b"something to sign"
MGF = padding.MGF1(hashes.SHA256())
PSS = padding.PSS
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "card holder")])


@pytest.fixture
def system():
    with local_system(prompt=FixedPrompt(PIN)) as system:
        yield system


@pytest.fixture
def rsa_key(system):
    system.insert(rsa_card())
    return system.card().containers.find("9A").key


@pytest.fixture
def ec_key(system):
    system.insert(card())
    return system.card().containers.find("9A").key


@pytest.fixture
def rsa_and_ec(system):
    system.insert(rsa_card(), reader="Left")
    system.insert(card(), reader="Right")
    return [system.card(reader).containers.find("9A").key for reader in ("Left", "Right")]


def test_card_keys_are_private_keys_of_cryptography(rsa_key):
    assert isinstance(rsa_key, rsa.RSAPrivateKey)
    assert rsa_key.key_size == 2048
    assert rsa_key.public_key().key_size == 2048


def test_elliptic_card_keys_are_too(ec_key):
    assert isinstance(ec_key, ec.EllipticCurvePrivateKey)
    assert (ec_key.key_size, ec_key.curve.name) == (256, "secp256r1")
    assert ec_key.public_key() == key_of("one 154").public_key()


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_pkcs1_signatures_verify(rsa_key, algorithm):
    signature = rsa_key.sign(DATA, padding.PKCS1v15(), algorithm)
    rsa_key.public_key().verify(signature, DATA, padding.PKCS1v15(), algorithm)


@pytest.mark.parametrize("salt", [PSS.DIGEST_LENGTH, PSS.MAX_LENGTH, 0, 20, 222])
def test_pss_signatures_verify_with_every_salt_length(rsa_key, salt):
    signature = rsa_key.sign(DATA, PSS(MGF, salt), hashes.SHA256())
    expected = {PSS.DIGEST_LENGTH: 32, PSS.MAX_LENGTH: 222}.get(salt, salt)
    rsa_key.public_key().verify(signature, DATA, PSS(MGF, expected), hashes.SHA256())


@pytest.mark.parametrize("salt", [PSS.AUTO, 223])
def test_salt_lengths_that_do_not_fit_are_refused(rsa_key, salt):
    with pytest.raises(BadParameter):
        rsa_key.sign(DATA, PSS(MGF, salt), hashes.SHA256())


def test_pss_with_another_hash_for_the_mask_is_refused(rsa_key):
    with pytest.raises(Unsupported):
        rsa_key.sign(DATA, PSS(padding.MGF1(hashes.SHA1()), 20), hashes.SHA256())


def test_a_digest_made_elsewhere_is_signed_as_it_is(rsa_key):
    digest = hashes.Hash(hashes.SHA256())
    digest.update(DATA)
    signature = rsa_key.sign(digest.finalize(), padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    rsa_key.public_key().verify(signature, DATA, padding.PKCS1v15(), hashes.SHA256())


def test_a_digest_of_the_wrong_length_is_refused(rsa_key):
    with pytest.raises(BadParameter):
        rsa_key.sign(bytes(31), padding.PKCS1v15(), Prehashed(hashes.SHA256()))


def test_data_without_a_digest_info_is_signed_as_it_is(rsa_key):
    signature = rsa_key.sign(b"as it is", padding.PKCS1v15(), NoDigestInfo())
    assert rsa_key.public_key().recover_data_from_signature(signature, padding.PKCS1v15(), None) == b"as it is"


def test_data_without_a_digest_info_has_no_pss(rsa_key):
    with pytest.raises(Unsupported):
        rsa_key.sign(b"as it is", PSS(MGF, 32), NoDigestInfo())


def test_oaep_is_no_padding_for_signatures(rsa_key):
    with pytest.raises(Unsupported):
        rsa_key.sign(DATA, padding.OAEP(MGF, hashes.SHA256(), None), hashes.SHA256())


def test_a_hash_is_due(rsa_key):
    with pytest.raises(BadParameter):
        rsa_key.sign(DATA, padding.PKCS1v15(), "sha256")


@pytest.mark.parametrize(
    "how",
    [
        padding.PKCS1v15(),
        padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),
        padding.OAEP(MGF, hashes.SHA256(), b"label"),
        padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA512(), None),
    ],
    ids=["PKCS1", "OAEP-SHA1", "OAEP-label", "OAEP-two-hashes"],
)
def test_what_the_public_key_encrypts_the_card_decrypts(rsa_key, how):
    assert rsa_key.decrypt(rsa_key.public_key().encrypt(DATA, how), how) == DATA


def test_a_wrong_padding_inside_is_one_error(rsa_key):
    box = rsa_key.public_key().encrypt(DATA, padding.PKCS1v15())
    with pytest.raises(WinError) as caught:
        rsa_key.decrypt(box, padding.OAEP(MGF, hashes.SHA256(), None))
    assert caught.value.code == Code.SCARD_F_INTERNAL_ERROR


def test_ciphertext_of_another_length_is_refused_before_the_card_is_asked(rsa_key):
    with pytest.raises(BadParameter):
        rsa_key.decrypt(bytes(255), padding.PKCS1v15())


def test_pss_is_no_padding_for_decryption(rsa_key):
    with pytest.raises(Unsupported):
        rsa_key.decrypt(bytes(256), PSS(MGF, 32))


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256(), hashes.SHA512(), hashes.SHA3_256()])
def test_ecdsa_signatures_are_der_and_verify(ec_key, algorithm):
    signature = ec_key.sign(DATA, ec.ECDSA(algorithm))
    assert signature[0] == 0x30
    ec_key.public_key().verify(signature, DATA, ec.ECDSA(algorithm))
    with pytest.raises(InvalidSignature):
        ec_key.public_key().verify(signature, DATA + b"!", ec.ECDSA(algorithm))


def test_ecdsa_signs_digests_and_buffers(ec_key):
    digest = hashes.Hash(hashes.SHA256())
    digest.update(DATA)
    signature = ec_key.sign(memoryview(digest.finalize()), ec.ECDSA(Prehashed(hashes.SHA256())))
    ec_key.public_key().verify(signature, DATA, SHA256)


def test_no_card_promises_deterministic_signatures(ec_key):
    with pytest.raises(Unsupported):
        ec_key.sign(DATA, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def test_p384_works_as_p256_does(system):
    key = key_of("wide", ec.SECP384R1())
    system.insert(virtual_piv(keys={0x9A: (key, certificate(key))}))
    card_key = system.card().containers.default.key
    signature = card_key.sign(DATA, ec.ECDSA(hashes.SHA384()))
    key.public_key().verify(signature, DATA, ec.ECDSA(hashes.SHA384()))


def test_both_sides_of_an_agreement_have_one_secret(ec_key):
    peer = ec.generate_private_key(ec.SECP256R1())
    mine = ec_key.exchange(ec.ECDH(), peer.public_key())
    assert mine == peer.exchange(ec.ECDH(), ec_key.public_key())


def test_a_peer_on_another_curve_is_refused(ec_key):
    with pytest.raises(BadParameter):
        ec_key.exchange(ec.ECDH(), ec.generate_private_key(ec.SECP384R1()).public_key())


def test_ed25519_keys_sign(system):
    key = ed25519.Ed25519PrivateKey.generate()
    holder = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(key, None)
    )
    system.insert(virtual_piv(keys={0x9A: (key, holder)}))
    card_key = system.card().containers.default.key
    key.public_key().verify(card_key.sign(DATA), DATA)
    with pytest.raises(Unsupported):
        card_key.private_bytes_raw()


def test_the_secret_cannot_be_had(rsa_and_ec):
    for key in rsa_and_ec:
        with pytest.raises(Unsupported, match="on a card"):
            key.private_numbers()
        with pytest.raises(Unsupported, match="on a card"):
            key.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )


def test_copies_are_the_key_itself(rsa_and_ec):
    for key in rsa_and_ec:
        assert copy.copy(key) is key
        assert copy.deepcopy([key])[0] is key
        with pytest.raises((TypeError, pickle.PicklingError)):
            pickle.dumps(key)


def test_a_key_shows_its_container_and_nothing_else(ec_key):
    assert repr(ec_key).startswith("<CardEcKey in <Container ")


def test_requests_and_certificates_are_signed_by_card_keys(rsa_and_ec):
    for key in rsa_and_ec:
        request = x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(key, hashes.SHA256())
        assert request.is_signature_valid
        made = (
            x509.CertificateBuilder()
            .subject_name(NAME)
            .issuer_name(NAME)
            .public_key(key.public_key())
            .serial_number(7)
            .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        made.verify_directly_issued_by(made)


def test_revocation_lists_are_signed_by_card_keys(ec_key):
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(NAME)
        .last_update(datetime(2026, 1, 1, tzinfo=UTC))
        .next_update(datetime(2026, 1, 2, tzinfo=UTC))
        .sign(ec_key, hashes.SHA256())
    )
    assert made.is_signature_valid(ec_key.public_key())


def test_messages_are_signed_by_card_keys(rsa_and_ec):
    for key in rsa_and_ec:
        holder = x509.load_der_x509_certificate(key.container.certificate)
        message = (
            pkcs7.PKCS7SignatureBuilder()
            .set_data(DATA)
            .add_signer(holder, key, hashes.SHA256())
            .sign(serialization.Encoding.DER, [])
        )
        assert pkcs7.load_der_pkcs7_certificates(message) == [holder]


def test_messages_are_decrypted_by_card_keys(rsa_key):
    holder = x509.load_der_x509_certificate(rsa_key.container.certificate)
    message = (
        pkcs7.PKCS7EnvelopeBuilder()
        .set_data(DATA)
        .add_recipient(holder)
        .encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    )
    assert pkcs7.pkcs7_decrypt_der(message, holder, rsa_key, []) == DATA


# --- signatures are checked ---


def swapped(piv, new):
    """Another program puts another key into 9A; the certificate stays."""
    with local_system() as other:
        other.insert(piv)
        container = other.card().containers.find("9A")
        index, old = container.index, container.certificate
        admin = other.card().admin(MANAGEMENT_KEY)
        admin.import_key(index, 3, new)
        admin.put_certificate(index, old)


def test_a_signature_of_another_key_is_not_given_out(system):
    piv = card(0x9A)
    swapped(piv, key_of("thief"))
    system.insert(piv)
    with pytest.raises(WinError, match="does not belong to the container's certificate") as caught:
        system.card().containers.default.key.sign(DATA, SHA256)
    assert caught.value.code == Code.NTE_BAD_SIGNATURE


def test_a_policy_may_ask_for_no_check():
    piv = card(0x9A)
    swapped(piv, key_of("thief"))
    with local_system(prompt=FixedPrompt(PIN), policy={"keys.verify_signatures": "never"}) as system:
        system.insert(piv)
        signature = system.card().containers.default.key.sign(DATA, SHA256)
        key_of("thief").public_key().verify(signature, DATA, SHA256)


def test_a_key_that_is_replaced_between_two_signatures_is_noticed(system):
    piv = card(0x9A)
    system.insert(piv)
    key = system.card().containers.default.key
    key.sign(DATA, SHA256)
    swapped(piv, key_of("thief"))
    with pytest.raises(WinError) as caught:
        key.sign(DATA, SHA256)
    assert caught.value.code == Code.NTE_BAD_SIGNATURE


class BadLine:
    """Readers whose lines are damaged on demand."""

    linger_s = 0.0

    def __init__(self, piv):
        self.slot, self.name, self.faults = Slot("Bad line"), "Bad line", []
        self.slot.insert(piv)

    def ports(self):
        return [self]

    def status(self):
        return self.slot.status()

    def connect(self):
        transport = FaultyTransport(self.slot.connect())
        transport.faults = self.faults
        return transport


def damaged(answer):
    return answer[:-3] + bytes((answer[-3] ^ 1,)) + answer[-2:]


@pytest.mark.parametrize(("policy", "is_noticed"), [("always", True), ("fresh", False), ("never", False)])
def test_only_a_check_of_each_signature_finds_one_that_is_damaged_on_the_line(policy, is_noticed):
    line = BadLine(card(0x9A))
    policy = Policy.from_values({"keys.verify_signatures": policy})
    with System(SystemStores(MemoryDatabase()), sources=[line], prompt=FixedPrompt(PIN), policy=policy) as system:
        key = system.card().containers.default.key
        key.sign(DATA, SHA256)
        line.faults.append(damaged)
        if is_noticed:
            with pytest.raises(WinError, match="NTE_BAD_SIGNATURE"):
                key.sign(DATA, SHA256)
        else:
            with pytest.raises(InvalidSignature):
                key.public_key().verify(key.sign(DATA, SHA256), DATA, SHA256)


def test_is_signature_knows_every_padding():
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key()
    digest = bytes(range(32))
    pkcs1 = key.sign(digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    assert is_signature(public, pkcs1, digest, Pkcs1("sha256"))
    assert not is_signature(public, pkcs1, digest[::-1], Pkcs1("sha256"))
    assert not is_signature(public, bytes(256), digest, Pkcs1("sha256"))
    pss = key.sign(digest, PSS(MGF, 32), Prehashed(hashes.SHA256()))
    assert is_signature(public, pss, digest, Pss("sha256", 32))
    assert not is_signature(public, pss, digest, Pkcs1("sha256"))
    bare = key.sign(b"bare", padding.PKCS1v15(), NoDigestInfo())
    assert is_signature(public, bare, b"bare", Pkcs1(None))
    numbers = public.public_numbers()
    block = pow(int.from_bytes(bare, "big"), numbers.e, numbers.n).to_bytes(256, "big")
    assert is_signature(public, bare, block, Raw())
    assert not is_signature(public, bare, block[::-1], Raw())
    assert not is_signature(object(), bare, block, Raw())
