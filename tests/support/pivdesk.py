"""A virtual PIV card on the desk, and our side of it: for tests of the minidriver."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from calais.cards.base import BytesMemory
from calais.cards.piv.personalise import new_card, virtual_card
from calais.cards.registry import identify
from calais.minidriver.memo import CardMemo
from calais.minidriver.pins import Pin
from calais.transport.base import Channel
from calais.transport.loopback import LoopbackTransport

GUID = bytes.fromhex("A258ABAA928AE04D81D800F55D072F63")
PIN, PUK = Pin("123456"), Pin("12345678")
ADMIN_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")
INDEX = {0x9A: 0, 0x9C: 1, 0x9D: 2, 0x9E: 3, 0x82: 4, 0x83: 5, 0x95: 23}


class Dice:
    """Randomness that is the same in every run."""

    def __init__(self, seed=b"dice"):
        self.seed, self.rolls = seed, 0

    def __call__(self, size):
        out = b""
        while len(out) < size:
            self.rolls += 1
            out += hashlib.sha256(self.seed + self.rolls.to_bytes(8, "big")).digest()
        return out[:size]


def certificate(key, name="holder", *, serial=None, size=None):
    """A certificate for ``key``, about ``size`` bytes long when given."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = ec.derive_private_key(0xCA, ec.SECP256R1())
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def build(padding):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=365))
        )
        if padding:
            filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), Dice(b"fill")(padding))
            builder = builder.add_extension(filler, critical=False)
        return builder.sign(issuer, hashes.SHA256())

    if size is None:
        return build(0)
    base = len(build(200).public_bytes(Encoding.DER))
    return build(200 + size - base)


def der(cert):
    return cert.public_bytes(Encoding.DER)


def p256():
    return ec.generate_private_key(ec.SECP256R1())


_RSA = {}


def rsa_key(bits=2048, number=0):
    """An RSA key, made once in a run."""
    return _RSA.setdefault((bits, number), rsa.generate_private_key(65537, bits))


def four_keys(size=1500):
    """P-256 keys in 9A, 9C, 9D, 9E with certificates of about ``size`` bytes."""
    keys = {ref: p256() for ref in (0x9A, 0x9C, 0x9D, 0x9E)}
    return {ref: (key, certificate(key, f"holder {ref:X}", size=size)) for ref, key in keys.items()}


@dataclass
class Desk:
    """A card, a connection to it and what is remembered of it."""

    card: object
    policy: dict = field(default_factory=dict)
    extended: bool | None = None
    memo: CardMemo = field(default_factory=lambda: CardMemo(random=Dice(b"host")))
    channel: Channel = None

    def __post_init__(self):
        self.connect()

    def connect(self):
        self.channel = Channel(LoopbackTransport(self.card), extended=self.extended)

    def reinsert(self):
        """Take the card out and put it in again."""
        self.channel.close()
        self.card.power_cycle()
        self.connect()

    @contextmanager
    def driver(self):
        with self.channel.begin() as tx:
            yield identify(tx, self.memo, policy=self.policy)

    @property
    def exchanges(self):
        """Exchanges since this was last asked."""
        count = self.channel.counter.exchanges
        self.channel.counter.clear()
        return count

    def elsewhere(self):
        """Another program with the same card: its own connection and memory."""
        return Desk(self.card, extended=self.extended)


def new_desk(*, policy=None, short=False, **options):
    """A fresh card on the desk; ``options`` as ``personalise.new_card``."""
    options.setdefault("keys", {})
    options.setdefault("chuid_guid", GUID)
    memory = BytesMemory()
    dice = Dice()
    new_card(memory, dice, extended=not short, **options)
    return Desk(virtual_card(memory, dice), policy or {})


@contextmanager
def admin(desk):
    """A driver with the management key authenticated."""
    with desk.driver() as driver:
        driver.authenticate_admin(ADMIN_KEY)
        yield driver


ATR_PLAIN = bytes.fromhex("3B8080")  # no historical bytes: short lengths


class Script:
    """A transport that answers from a function: command bytes in, response bytes out."""

    protocol = 1
    reader = "Script"

    def __init__(self, answer, atr=ATR_PLAIN, *, protocol=1):
        self.answer, self.atr, self.protocol = answer, atr, protocol
        self.sent = []
        self.epoch = 0

    def begin(self):
        pass

    def end(self, *, reset=False):
        pass

    def transmit(self, command):
        self.sent.append(command)
        return self.answer(command)

    def reset(self):
        self.epoch += 1

    def close(self):
        pass
