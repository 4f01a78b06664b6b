"""One key used by programs of different kinds, and cards whose PINs have other cache policies than ours have."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from people import rsa_of
from pivdesk import certificate

from calais.cards import registry
from calais.cards.gids.driver import GidsMinidriver
from calais.minidriver.pins import Role
from calais.testing import virtual_gids
from calais.win.structs import PinCachePolicy, Pkcs1PaddingInfo
from calais.winapi.advapi32 import (
    AT_KEYEXCHANGE,
    CALG_SHA_256,
    MS_SCARD_PROV,
    PROV_RSA_FULL,
    CryptAcquireContext,
    CryptCreateHash,
    CryptHashData,
    CryptReleaseContext,
    CryptSignHash,
)
from calais.winapi.ncrypt import (
    BCRYPT_PAD_PKCS1,
    MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    NCryptFreeObject,
    NCryptOpenKey,
    NCryptOpenStorageProvider,
    NCryptSignHash,
)

DATA, NAME = b"a message", "The key"


def shared_card(**options):
    """A GIDS card with one RSA key for exchange, which CryptoAPI and CNG can both use."""
    key = rsa_of()
    return virtual_gids(keys=[(NAME, AT_KEYEXCHANGE, key, certificate(key, "shared"))], seed="shared", **options)


class CryptoApiProgram:
    """A part of a program that signs through CryptoAPI; ``flags`` as of CryptAcquireContext."""

    def __init__(self, system, name=NAME, flags=0):
        self.context = CryptAcquireContext(name, MS_SCARD_PROV, PROV_RSA_FULL, flags, system=system)

    def sign(self):
        hash_ = CryptCreateHash(self.context, CALG_SHA_256)
        CryptHashData(hash_, DATA)
        return CryptSignHash(hash_, AT_KEYEXCHANGE)[::-1]

    def close(self):
        CryptReleaseContext(self.context)


class CngProgram:
    """A part of a program that signs through CNG."""

    def __init__(self, system, name=NAME):
        self.provider = NCryptOpenStorageProvider(MS_SMART_CARD_KEY_STORAGE_PROVIDER, system=system)
        self.key = NCryptOpenKey(self.provider, name)

    def sign(self, flags=0):
        digest = hashlib.sha256(DATA).digest()
        return NCryptSignHash(self.key, Pkcs1PaddingInfo("SHA256"), digest, BCRYPT_PAD_PKCS1 | flags)

    def close(self):
        NCryptFreeObject(self.key)
        NCryptFreeObject(self.provider)


def tuned_driver(**changes):
    """A driver for GIDS cards, as an entry point loads to one, whose user PIN differs in its PIN_INFO."""

    class Tuned(GidsMinidriver):
        def pin_info(self, pin_id):
            info = super().pin_info(pin_id)
            return replace(info, **changes) if pin_id == Role.USER else info

    return as_entry_point(Tuned)


def as_entry_point(kind):
    """What an entry point of a driver for GIDS cards loads to."""

    def driver(tx, memo, *, policy, fresh):
        found = kind(tx, memo, policy)
        if fresh and registry.gids(tx, memo, policy=policy, fresh=True) is None:
            return None
        return found

    return driver


def with_cache_policy(policy, seconds=0):
    """A driver whose user PIN has this cache policy."""
    return tuned_driver(cache_policy=PinCachePolicy(policy, seconds))


def install(monkeypatch, driver):
    """Have ``driver`` installed as a third party's."""
    monkeypatch.setattr(registry, "installed", lambda: {"tuned": driver})
