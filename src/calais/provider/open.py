"""From a link to a key: opens what a certificate's KEY_PROV_INFO names, and finds keys on cards by their public half.

Source: CRYPT_KEY_PROV_INFO, CryptAcquireCertificatePrivateKey, CryptFindCertificateKeyProvInfo (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.provider.card import Card
from calais.provider.container import Container
from calais.provider.csp.acquire import CardContext, Host
from calais.provider.csp.cardproviders import open_context
from calais.provider.csp.providers import PROVIDERS
from calais.provider.csp.provparams import set_pin
from calais.provider.ksp.cardkeys import Found, key_in
from calais.provider.ksp.handles import KeySettings, NCryptKey, a_key
from calais.provider.ksp.storage import CARD, KspSystem, Storage
from calais.provider.links import link_to
from calais.provider.names import check_csp, check_ksp, parse_container
from calais.store.api import KeyHandle
from calais.win.codes import Code
from calais.win.errors import NoCard, NotFound, ReaderUnavailable, WinError
from calais.win.flags.crypt32 import CERT_SET_KEY_PROV_HANDLE_PROP_ID
from calais.win.flags.wincrypt import (
    CRYPT_MACHINE_KEYSET,
    CRYPT_SILENT,
    PP_KEYEXCHANGE_PIN,
    PP_SIGNATURE_PIN,
)
from calais.win.structs import CertPublicKeyInfo, CryptKeyProvInfo

LEGAL_FLAGS = CRYPT_SILENT | CRYPT_MACHINE_KEYSET
Cards = Callable[[str | None], list[Card]]


class ProviderHost(Host, KspSystem, Protocol):
    """What providers of both kinds need of the system (``calais.system.System``)."""


class CardKeys:
    """The keys on the inserted cards (see ``store.api.KeyOpener``).

    Args:
        host: the system.
        cards: the cards that can be read now, in the order of the readers, or the one in the reader that is named;
            raises ``NoCard`` or ``ReaderUnavailable`` when there is none.
    """

    def __init__(self, host: ProviderHost, cards: Cards) -> None:
        self._host = host
        self._cards = cards

    def open_csp(self, info: CryptKeyProvInfo, *, silent: bool = False, window: int | None = None) -> CardContext:
        """CryptAcquireContext for ``info``, then its parameters; RSA keys only.

        Raises:
            NotFound: ``NTE_BAD_KEYSET`` no such container, ``NTE_KEYSET_NOT_DEF`` no such provider, ``NTE_NO_KEY`` no
                key of this key spec.
            NoCard, ReaderUnavailable: nothing to look at.
            WinError: ``NTE_BAD_FLAGS``, ``NTE_BAD_KEYSET_PARAM``, ``NTE_PROV_TYPE_NO_MATCH``; a PIN that is wrong.
        """
        check_csp(info.prov_name, info.prov_type)
        flags = info.flags & CRYPT_MACHINE_KEYSET | (CRYPT_SILENT if _is_silent(info.flags) or silent else 0)
        provider = next(row for row in PROVIDERS if row.name.casefold() == info.prov_name.casefold())
        opened = open_context(self._host, provider, info.container_name, flags, window)
        if not isinstance(opened, CardContext):
            raise NotFound(Code.NTE_BAD_KEYSET, f"{info.prov_name} has no containers")
        try:
            _settle(opened, info)
        except WinError:
            opened.close()
            raise
        return opened

    def open_ksp(self, info: CryptKeyProvInfo, *, silent: bool = False, window: int | None = None) -> NCryptKey:
        """NCryptOpenKey for ``info``; the key spec of a link may be that of the slot, too.

        Raises:
            NotFound, NoCard, ReaderUnavailable, WinError: as ``open_csp``.
        """
        check_ksp(info.prov_name)
        silent = _is_silent(info.flags) or silent
        storage = Storage(CARD, lambda: self._host, window=window)
        wanted, caller = parse_container(info.container_name), storage.caller(silent=silent)
        machine = bool(info.flags & CRYPT_MACHINE_KEYSET)
        if machine:
            self._host.choosing.forget_data(wanted.reader, caller)
        container = self._host.choosing.container(wanted, caller)
        spec = 0 if info.key_spec == container.key_spec else info.key_spec
        return key_in(storage, Found.of_any_kind(container), spec, KeySettings(machine=machine, silent=silent))

    def public_key(self, handle: KeyHandle, key_spec: int) -> CertPublicKeyInfo:  # noqa: ARG002 - one key a container
        """The public key behind an open handle."""
        if isinstance(handle, CardContext):
            return CertPublicKeyInfo.from_der(_der(handle.key.public_key()))
        return CertPublicKeyInfo.from_der(_der(a_key(handle).material.public_key))

    def search(self, key: CertPublicKeyInfo, *, ncrypt: bool) -> CryptKeyProvInfo | None:
        """A link to the container on an inserted card that holds ``key``; CryptoAPI has links to RSA keys only.

        When no card that is known has it, the cards' lists are looked at themselves, and keys without certificate, too.
        A card that is pulled out, or cannot be read, has no keys.
        """
        wanted = key.to_der()

        def suits(container: Container) -> bool:
            found = _public_key(container)
            return found is not None and _der(found) == wanted and (ncrypt or isinstance(found, rsa.RSAPublicKey))

        for thoroughly in (False, True):
            for card in self._present():
                container = self._first(card, suits, thoroughly=thoroughly)
                if container is not None:
                    return link_to(container.name, container.key_spec, ncrypt=ncrypt)
        return None

    def _present(self) -> list[Card]:
        try:
            return self._cards(None)
        except (NoCard, ReaderUnavailable):
            return []

    def _first(self, card: Card, suits: Callable[[Container], bool], *, thoroughly: bool) -> Container | None:
        """The first container of ``card`` that suits, the default one before the others; names of the others end."""
        try:
            if thoroughly:
                card.run(lambda driver: driver.confirm_list())
            listed = sorted(card.refresh(probe_keys=thoroughly), key=lambda container: not container.is_default)
        except WinError:
            return None
        found = next(filter(suits, listed), None)
        self._host.choosing.names.drop(card, [each.name for each in listed if each is not found])
        return found


def _public_key(container: Container) -> PublicKeyTypes | None:
    try:
        return container.public_key
    except WinError:
        return None


def _der(public_key: PublicKeyTypes) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _is_silent(flags: int) -> bool:
    flags &= ~CERT_SET_KEY_PROV_HANDLE_PROP_ID
    if flags & ~LEGAL_FLAGS:
        raise WinError.of(Code.NTE_BAD_FLAGS, f"flags 0x{flags:X} do not open a key")
    return bool(flags & CRYPT_SILENT)


def _key_spec(container: Container, wanted: int) -> int:
    if wanted not in (0, container.key_spec):
        raise NotFound(Code.NTE_NO_KEY, f"{container.name} has no key of key spec {wanted}")
    return container.key_spec


def _settle(context: CardContext, info: CryptKeyProvInfo) -> None:
    """Set the parameters of a link, and see that its key is there."""
    if context.container is not None:
        _key_spec(context.container, info.key_spec)
    for param in info.params:
        if param.param not in (PP_KEYEXCHANGE_PIN, PP_SIGNATURE_PIN):
            raise WinError.of(Code.NTE_BAD_TYPE, f"parameter {param.param} cannot be set in a link")
        with context.guard():
            set_pin(context, param.data.split(b"\0")[0])
