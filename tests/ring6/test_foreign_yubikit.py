"""yubikit's ``PivSession`` over our transport: what ykman does to a token, done to a virtual PIV card."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from foreign import PIN, PUK

from calais.testing import virtual_piv
from calais.transport.loopback import LoopbackTransport

yubikit_piv = pytest.importorskip("yubikit.piv", reason="needs yubikit: pip install --no-deps yubikey-manager")

from yubikit.core import TRANSPORT  # noqa: E402
from yubikit.core.smartcard import SmartCardConnection  # noqa: E402
from yubikit.piv import KEY_TYPE, MANAGEMENT_KEY_TYPE, PIN_POLICY, SLOT, InvalidPinError, PivSession  # noqa: E402

TDES_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")
TEXT = b"Signed by a card that is a file.\n"


class Connection(SmartCardConnection):
    """A yubikit connection over a transport of ours."""

    transport = TRANSPORT.USB

    def __init__(self, card):
        self.ours = LoopbackTransport(card)
        self.ours.begin()

    def send_and_receive(self, apdu):
        answer = self.ours.transmit(bytes(apdu))
        return answer[:-2], int.from_bytes(answer[-2:], "big")

    def close(self):
        self.ours.close()


@pytest.fixture
def card():
    return virtual_piv(keys={})


@pytest.fixture
def session(card):
    """A session with a personalised card without keys, management key and PIN presented."""
    with Connection(card) as connection:
        session = PivSession(connection)
        session.authenticate(TDES_KEY)
        session.verify_pin(PIN)
        yield session


def verify(public, signature):
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, TEXT, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(public, ec.EllipticCurvePublicKey):
        public.verify(signature, TEXT, ec.ECDSA(hashes.SHA256()))
    else:
        public.verify(signature, TEXT)


@pytest.mark.parametrize("kind", [KEY_TYPE.RSA2048, KEY_TYPE.ECCP256, KEY_TYPE.ECCP384, KEY_TYPE.ED25519])
def test_a_generated_key_signs(session, kind):
    public = session.generate_key(SLOT.AUTHENTICATION, kind)
    verify(public, session.sign(SLOT.AUTHENTICATION, kind, TEXT, hashes.SHA256(), padding.PKCS1v15()))


def test_an_imported_x25519_key_agrees_on_a_secret(session):
    ours, peer = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    session.put_key(SLOT.KEY_MANAGEMENT, ours)
    assert session.calculate_secret(SLOT.KEY_MANAGEMENT, peer.public_key()) == ours.exchange(peer.public_key())


def test_the_card_tells_policy_origin_and_public_key_of_a_key(session):
    public = session.generate_key(SLOT.RETIRED1, KEY_TYPE.ECCP256, pin_policy=PIN_POLICY.NEVER)
    told = session.get_slot_metadata(SLOT.RETIRED1)
    assert (told.pin_policy, told.generated, told.public_key) == (PIN_POLICY.NEVER, True, public)


def test_a_key_is_moved_and_deleted(session):
    public = session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    session.move_key(SLOT.AUTHENTICATION, SLOT.RETIRED2)
    verify(public, session.sign(SLOT.RETIRED2, KEY_TYPE.ECCP256, TEXT, hashes.SHA256()))
    session.delete_key(SLOT.RETIRED2)
    with pytest.raises(Exception, match=r"(?i)6a88|REFERENCE_DATA_NOT_FOUND"):
        session.get_slot_metadata(SLOT.RETIRED2)


def test_a_generated_key_is_attested_by_the_key_in_f9(session):
    public = session.generate_key(SLOT.SIGNATURE, KEY_TYPE.ECCP256)
    attestation = session.attest_key(SLOT.SIGNATURE)
    assert attestation.public_key() == public
    attestation.verify_directly_issued_by(session.get_certificate(SLOT.ATTESTATION))


def test_a_certificate_is_stored_compressed_and_read_back(session):
    session.generate_key(SLOT.SIGNATURE, KEY_TYPE.ECCP256)
    certificate = session.attest_key(SLOT.SIGNATURE)
    session.put_certificate(SLOT.SIGNATURE, certificate, compress=True)
    assert session.get_certificate(SLOT.SIGNATURE) == certificate
    session.delete_certificate(SLOT.SIGNATURE)


@pytest.mark.parametrize("kind", list(MANAGEMENT_KEY_TYPE))
def test_the_management_key_is_replaced_by_one_of_each_kind(card, session, kind):
    new = bytes(range(1, kind.key_len + 1))
    session.set_management_key(kind, new)
    again = PivSession(session.protocol.connection)
    assert again.management_key_type == kind
    again.authenticate(new)
    again.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)


def test_pin_and_puk_are_counted_changed_and_unblocked(session):
    for left in (2, 1, 0):
        with pytest.raises(InvalidPinError) as wrong:
            session.verify_pin("000000")
        assert wrong.value.attempts_remaining == left
    session.unblock_pin(PUK, "654321")
    session.change_puk(PUK, "87654321")
    session.change_pin("654321", PIN)
    assert session.get_pin_attempts() == 3


def test_a_card_whose_pin_and_puk_are_blocked_is_reset(session):
    session.reset()
    session.verify_pin(PIN)
    assert session.get_pin_metadata().default_value
