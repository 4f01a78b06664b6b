"""CryptoAPI through either face, in one spelling: ``face.Encrypt(h, key, ...)`` is CPEncrypt or CryptEncrypt."""

from __future__ import annotations

import contextlib
from functools import partial

import pytest

from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import (
    CRYPT_EXPORTABLE,
    CRYPT_FIRST,
    CRYPT_NEXT,
    CRYPT_USER_PROTECTED,
    CRYPT_VERIFYCONTEXT,
    MS_ENH_RSA_AES_PROV,
    MS_SCARD_PROV,
    PERSONAL_CSP,
)
from calais.winapi import advapi32, cspdk

BASE, PERSONAL, ENHANCED = str(MS_SCARD_PROV), str(PERSONAL_CSP), str(MS_ENH_RSA_AES_PROV)
TYPES = {BASE: 1, PERSONAL: 1, ENHANCED: 24}
# These have a provider handle in one face only.
HANDLE_KNOWS = frozenset(
    [
        "ExportKey",
        "DestroyKey",
        "DuplicateKey",
        "GetKeyParam",
        "SetKeyParam",
        "Encrypt",
        "Decrypt",
        "HashData",
        "HashSessionKey",
        "DuplicateHash",
        "GetHashParam",
        "SetHashParam",
        "DestroyHash",
        "SignHash",
        "VerifySignature",
    ]
)


@contextlib.contextmanager
def refused(*codes):
    """What is inside must raise one of these codes, given by name or number."""
    with pytest.raises(WinError) as caught:
        yield
    wanted = {Code[code] if isinstance(code, str) else code for code in codes}
    assert caught.value.code in wanted, caught.value


class Advapi32:
    """The face of programs."""

    name = "advapi32"
    bad_provider = bad_key = bad_hash = Code.ERROR_INVALID_PARAMETER

    def acquire(self, provider=ENHANCED, flags=CRYPT_VERIFYCONTEXT, container=None, **more):
        return advapi32.CryptAcquireContext(container, provider, TYPES[provider], flags, **more)

    def __getattr__(self, name):
        function = getattr(advapi32, f"Crypt{name}")
        return partial(_without_provider, function) if name in HANDLE_KNOWS else function


def _without_provider(function, _provider, *arguments, **more):
    return function(*arguments, **more)


class Cspdk:
    """The face of the provider."""

    name = "cspdk"
    bad_provider, bad_key, bad_hash = Code.NTE_BAD_UID, Code.NTE_BAD_KEY, Code.NTE_BAD_HASH

    def acquire(self, provider=ENHANCED, flags=CRYPT_VERIFYCONTEXT, container=None, **more):
        return cspdk.CPAcquireContext(container, flags, None, provider=provider, **more)

    def __getattr__(self, name):
        return getattr(cspdk, f"CP{name}")


FACES = {"advapi32": Advapi32(), "cspdk": Cspdk()}


def pair_flags(provider):
    """Flags with which a provider makes an RSA key in memory, exportable where that can be."""
    return CRYPT_USER_PROTECTED if provider == PERSONAL else CRYPT_EXPORTABLE


def listed(face, context, param):
    """Everything that an enumerated parameter gives."""
    found, flags = [], CRYPT_FIRST
    with refused("ERROR_NO_MORE_ITEMS"):
        while True:
            found.append(face.GetProvParam(context, param, flags))
            flags = CRYPT_NEXT
    return found


def hashed(face, context, alg_id, data):
    """A hash that has taken ``data`` in."""
    made = face.CreateHash(context, alg_id)
    face.HashData(context, made, data)
    return made
