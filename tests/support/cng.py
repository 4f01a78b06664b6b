"""Keys and codes for tests of CNG."""

from __future__ import annotations

import hashlib

import pytest
from certs import make
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from calais.testing import virtual_gids
from calais.win.errors import WinError
from calais.winapi.ncrypt import (
    MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    NCRYPT_PIN_PROPERTY,
    NTE_NO_MORE_ITEMS,
    KeyEnumeration,
    NCryptCreatePersistedKey,
    NCryptEnumKeys,
    NCryptFinalizeKey,
    NCryptOpenKey,
    NCryptOpenStorageProvider,
    NCryptSetProperty,
    Pkcs1PaddingInfo,
)

PIN = "123456"
PKCS1, PSS, OAEP, NONE = 2, 8, 4, 1
SHA256 = Pkcs1PaddingInfo("SHA256")
DIGEST = hashlib.sha256(b"what is signed").digest()
RSA_ARGS = (SHA256, DIGEST)


def code_of(call, *arguments, **more):
    """The code with which a call fails."""
    with pytest.raises(WinError) as caught:
        call(*arguments, **more)
    return caught.value.code


def memory():
    return NCryptOpenStorageProvider()


def card_provider(**more):
    return NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER, **more)


def new(algorithm, provider=None, **properties):
    """A nameless key, finished."""
    key = NCryptCreatePersistedKey(provider or memory(), algorithm)
    for name, value in properties.items():
        NCryptSetProperty(key, name.replace("_", " "), value)
    NCryptFinalizeKey(key)
    return key


def opened(name="", spec=0, *, provider=None, pin=PIN):
    """A key on a card, its PIN presented."""
    key = NCryptOpenKey(provider or card_provider(), name, spec)
    if pin is not None:
        NCryptSetProperty(key, NCRYPT_PIN_PROPERTY, pin)
    return key


def outcome_of(call, *arguments, **more):
    """``"done"``, or the name of the code with which a call fails."""
    try:
        call(*arguments, **more)
    except WinError as error:
        return error.name
    return "done"


def names(provider, scope=None, flags=0):
    """All that NCryptEnumKeys lists."""
    found, state = [], None
    while outcome_of(NCryptEnumKeys, provider, scope, state and KeyEnumeration(list(state.left)), flags) == "done":
        item, state = NCryptEnumKeys(provider, scope, state, flags)
        found.append(item)
    assert code_of(NCryptEnumKeys, provider, scope, state, flags) == NTE_NO_MORE_ITEMS
    return found


# --- cards ---


def p256(number=1):
    return ec.derive_private_key(0x10_0000 + number, ec.SECP256R1())


def certified(key, **usage):
    more = []
    if usage:
        off = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "key_cert_sign",
                "crl_sign",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        more = [x509.KeyUsage(**{**off, **usage})]
    return x509.load_der_x509_certificate(make(key=key, extensions=more))


def gids(*rows, **options):
    return virtual_gids(keys=[(name, spec, key, None) for name, spec, key in rows], **options)
