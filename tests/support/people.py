"""Cards and prompts that the tests of readers, keys and PINs share."""

from __future__ import annotations

import threading
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from pivdesk import certificate

from calais.testing import FixedPrompt, virtual_piv
from calais.winapi.crypt32 import (
    CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG,
    CertEnumCertificatesInStore,
    CertOpenSystemStore,
    CryptAcquireCertificatePrivateKey,
)

PIN, PUK = "123456", "12345678"
MANAGEMENT_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")
SHA256 = ec.ECDSA(hashes.SHA256())


@cache
def key_of(name="one", curve=None):
    """The P-256 key called ``name``, the same in the whole run."""
    del name
    return ec.generate_private_key(curve or ec.SECP256R1())


@cache
def rsa_of(name="one"):
    """The RSA-2048 key called ``name``, the same in the whole run."""
    del name
    return rsa.generate_private_key(65537, 2048)


def card(*slots, name="one", **options):
    """A PIV card with P-256 keys in ``slots`` (by default 9A, 9C, 9E); equal names have equal keys."""
    keys = {}
    for slot in slots or (0x9A, 0x9C, 0x9E):
        key = key_of(f"{name} {slot}")
        keys[slot] = (key, certificate(key, f"{name} {slot:02X}"))
    return virtual_piv(keys=keys, seed=options.pop("seed", name), **options)


def rsa_card(*slots, name="one", **options):
    """A PIV card with RSA-2048 keys in ``slots`` (by default 9A, 9D)."""
    keys = {slot: (rsa_of(f"{name} {slot}"), None) for slot in slots or (0x9A, 0x9D)}
    keys = {slot: (key, certificate(key, f"{name} {slot:02X}")) for slot, (key, _) in keys.items()}
    return virtual_piv(keys=keys, seed=options.pop("seed", name), **options)


def select(piv):
    """What another program does first."""
    return piv.process(bytes.fromhex("00A4040009A0000003080000100000"))


def verify(piv, pin=PIN):
    """VERIFY by another program, PIV being selected; the status word."""
    return piv.process(bytes.fromhex("0020008008") + pin.encode().ljust(8, b"\xff")).hex()


def tries_left(piv):
    """Tries of the PIN, as the card's memory has them: asking over the wire would be a use by another program."""
    return piv.applet.state.reference(0x80).left


class AskingThread(threading.Thread):
    """A thread that keeps what its function returned or raised."""

    def __init__(self, function):
        super().__init__()
        self.function, self.result, self.error = function, None, None
        self.start()

    def run(self):
        try:
            self.result = self.function()
        except BaseException as error:  # noqa: BLE001 - done() raises it again
            self.error = error

    def done(self):
        self.join(30)
        assert not self.is_alive()
        if self.error:
            raise self.error
        return self.result


class CallbackPrompt(FixedPrompt):
    """A prompt that does something before it answers."""

    def __init__(self, pin, act):
        super().__init__(pin)
        self.act = act

    def ask(self, request):
        self.act(request)
        return super().ask(request)


DATA = b"a message"
RSA = (padding.PKCS1v15(), hashes.SHA256())


def sign_with(handle):
    """Sign with the key behind a handle, and verify with its certificate's key."""
    key = handle.key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        key.public_key().verify(key.sign(DATA, SHA256), DATA, SHA256)
    else:
        key.public_key().verify(key.sign(DATA, *RSA), DATA, *RSA)
    return True


def acquire_first(system, flags=CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG):
    """The key of the newest certificate in the store."""
    store = CertOpenSystemStore(None, "My", system=system)
    return CryptAcquireCertificatePrivateKey(CertEnumCertificatesInStore(store), flags, system=system)
