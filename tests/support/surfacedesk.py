"""What the suites of the CryptoAPI and CNG faces share: keys, cards, and one way to ask for a refusal."""

from __future__ import annotations

import functools
import struct

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from calais import WinError
from calais.win import codes
from calais.winapi import advapi32 as adv

READER = "Virtual Reader 0"
OTHER = "Virtual Reader 1"
PREFIX = f"\\\\.\\{READER}\\"
PIN = "123456"
CURVES = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}


def rsa_key(number=0, bits=2048):
    """One of the keys of this run: the same number is the same key."""
    return _rsa_key(number, bits)


@functools.cache
def _rsa_key(_number, bits):
    return rsa.generate_private_key(65537, bits)


def ec_key(bits=256, number=0):
    return _ec_key(bits, number)


@functools.cache
def _ec_key(bits, _number):
    return ec.generate_private_key(CURVES[bits])


def refused(code, function, *arguments, **named):
    """The error with which ``function`` must fail: ``code`` is a name of ``calais.win.codes``."""
    with pytest.raises(WinError) as caught:
        function(*arguments, **named)
    assert caught.value.name == code, f"{caught.value.name}: {caught.value}"
    assert caught.value.code == getattr(codes, code)
    return caught.value


def card_context(name=None, flags=0, provider=None, pin=PIN, **named):
    """An open context of a card container, its PIN set."""
    h = adv.CryptAcquireContext(name, provider, adv.PROV_RSA_FULL, flags, **named)
    if pin is not None:
        adv.CryptSetProvParam(h, adv.PP_KEYEXCHANGE_PIN, pin)
    return h


def hash_of(h, algid, data=b"abc"):
    value = adv.CryptCreateHash(h, algid)
    adv.CryptHashData(value, data)
    return value


def public_of(h, key):
    """The public key of a CryptoAPI key handle, as ``cryptography`` has it."""
    blob = adv.CryptExportKey(key, None, adv.PUBLICKEYBLOB)
    assert (blob[:2], blob[8:12]) == (b"\x06\x02", b"RSA1")
    bits = int.from_bytes(blob[12:16], "little")
    return rsa.RSAPublicNumbers(
        int.from_bytes(blob[16:20], "little"), int.from_bytes(blob[20 : 20 + bits // 8], "little")
    ).public_key()


def check_pkcs1(public, signature, data=b"abc", algorithm=None):
    """A CryptoAPI signature is the PKCS#1 one reversed."""
    public.verify(signature[::-1], data, padding.PKCS1v15(), algorithm or hashes.SHA1())


def raw_ecdsa(r_s):
    half = len(r_s) // 2
    return utils.encode_dss_signature(int.from_bytes(r_s[:half]), int.from_bytes(r_s[half:]))


def listing(step):
    """Everything an enumeration gives: ``step(first)`` until it ends."""
    found, first = [], True
    while True:
        try:
            found.append(step(first))
        except WinError as error:
            if error.name not in ("ERROR_NO_MORE_ITEMS", "NTE_NO_MORE_ITEMS"):
                raise
            return found
        first = False


def le(number, size):
    return number.to_bytes(size, "little")


def public_blob(public, algid=0xA400):
    numbers = public.public_numbers()
    size = public.key_size // 8
    head = struct.pack("<BBHI4sII", 6, 2, 0, algid, b"RSA1", public.key_size, numbers.e)
    return head + le(numbers.n, size)


def private_blob(key, algid=0xA400):
    n, full, half = key.private_numbers(), key.key_size // 8, key.key_size // 16
    head = struct.pack("<BBHI4sII", 7, 2, 0, algid, b"RSA2", key.key_size, n.public_numbers.e)
    parts = [le(value, half) for value in (n.p, n.q, n.dmp1, n.dmq1, n.iqmp)]
    return head + le(n.public_numbers.n, full) + b"".join(parts) + le(n.d, full)


def plain_blob(algid, key):
    return struct.pack("<BBHII", 8, 2, 0, algid, len(key)) + key


def cng_public_blob(key=None):
    numbers = (key or rsa_key()).public_key().public_numbers()
    return struct.pack("<4sIIIII", b"RSA1", 2048, 3, 256, 0, 0) + b"\1\0\1" + numbers.n.to_bytes(256)


def cng_private_blob(key, *, full=False):
    n = key.private_numbers()
    head = struct.pack("<4sIIIII", b"RSA3" if full else b"RSA2", 2048, 3, 256, 128, 128) + b"\1\0\1"
    body = n.public_numbers.n.to_bytes(256) + n.p.to_bytes(128) + n.q.to_bytes(128)
    rest = b"".join(v.to_bytes(128) for v in (n.dmp1, n.dmq1, n.iqmp)) + n.d.to_bytes(256)
    return head + body + (rest if full else b"")


def ecc_blob(key, magic, *, private=False):
    size = (key.curve.key_size + 7) // 8
    numbers = key.private_numbers()
    parts = [numbers.public_numbers.x, numbers.public_numbers.y] + [numbers.private_value] * private
    return struct.pack("<4sI", magic, size) + b"".join(part.to_bytes(size) for part in parts)


def pkcs8(key):
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
