"""Cards, handles and checks that the tests of CryptoAPI on cards share."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from people import PIN, key_of, rsa_of
from pivdesk import certificate

from calais.testing import virtual_gids, virtual_piv
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.winapi import advapi32 as api
from calais.winapi.cspdk import CPAcquireContext

BASE, PERSONAL = "Microsoft Base Smart Card Crypto Provider", "Personal CSP"
READER, OTHER = "Virtual Reader 0", "Virtual Reader 1"
NAME = "exchange"
DATA = b"to be signed"


def in_reader(name="", reader=READER):
    """A container name of level I, or II without ``name``."""
    return f"\\\\.\\{reader}\\{name}"


def gids(*, names=(NAME,), specs=(api.AT_KEYEXCHANGE,), key="gids", **options):
    """A GIDS card with RSA-2048 keys in containers called ``names``; the first is the default one."""
    keys = []
    for number, (name, spec) in enumerate(zip(names, specs * len(names), strict=False)):
        private = rsa_of(f"{key} {number}")
        keys.append((name, spec, private, certificate(private, f"{name} holder")))
    return virtual_gids(keys=keys, seed=options.pop("seed", key), **options)


def piv(*slots, key="piv", **options):
    """A PIV card with RSA-2048 keys in ``slots``, by default 9A and 9D."""
    keys = {}
    for slot in slots or (0x9A, 0x9D):
        private = rsa_of(f"{key} {slot}")
        keys[slot] = (private, certificate(private, f"{slot:02X} holder"))
    return virtual_piv(keys=keys, seed=options.pop("seed", key), **options)


CARDS = {"GIDS": gids, "PIV": piv}


def acquire(container=None, flags=0, provider=BASE):
    """CPAcquireContext."""
    return CPAcquireContext(container, flags, provider=provider)


@contextmanager
def fails(code):
    """Raise unless the body fails with ``code``."""
    with pytest.raises(WinError) as caught:
        yield caught
    assert caught.value.code == code, f"{caught.value} instead of {Code(code).name}"


def give_pin(handle, pin=PIN):
    """Set the PIN of a context."""
    api.CryptSetProvParam(handle, api.PP_KEYEXCHANGE_PIN, pin)


def sign(handle, spec=api.AT_KEYEXCHANGE, algorithm=api.CALG_SHA1, data=DATA, flags=0):
    """A signature by CryptSignHash, big-endian."""
    hash_ = api.CryptCreateHash(handle, algorithm)
    api.CryptHashData(hash_, data)
    return api.CryptSignHash(hash_, spec, None, flags)[::-1]


def check_signature(public_key, signature, data=DATA, algorithm=None):
    """Raise unless ``signature``, big-endian, is of ``data``."""
    public_key.verify(signature, data, padding.PKCS1v15(), algorithm or hashes.SHA1())


def public_key_of(handle, spec=api.AT_KEYEXCHANGE):
    """The public key in a slot, by PUBLICKEYBLOB."""
    from calais.win.blobs import parse_capi_public

    blob = api.CryptExportKey(api.CryptGetUserKey(handle, spec), None, api.PUBLICKEYBLOB)
    return parse_capi_public(blob)[0]


def container_of(handle):
    """PP_CONTAINER."""
    return api.CryptGetProvParam(handle, api.PP_CONTAINER)


def containers(handle):
    """PP_ENUMCONTAINERS, all of them."""
    found, flags = [], api.CRYPT_FIRST
    while True:
        try:
            found.append(api.CryptGetProvParam(handle, api.PP_ENUMCONTAINERS, flags))
        except WinError as error:
            if error.code != Code.ERROR_NO_MORE_ITEMS:
                raise
            return found
        flags = api.CRYPT_NEXT


def set_certificate(handle, value, spec=api.AT_KEYEXCHANGE):
    """KP_CERTIFICATE of the key in a slot."""
    api.CryptSetKeyParam(api.CryptGetUserKey(handle, spec), api.KP_CERTIFICATE, value)


def certificate_of(public):
    """A certificate of ``public`` by an authority of ours (DER)."""
    name = x509.Name.from_rfc4514_string("CN=made")
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(public).serial_number(7)
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    made = builder.not_valid_after(datetime(2030, 1, 1, tzinfo=UTC)).sign(key_of("issuer"), hashes.SHA256())
    return made.public_bytes(Encoding.DER)
