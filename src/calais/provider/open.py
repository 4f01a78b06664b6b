"""From a link to a key: opens what a certificate's KEY_PROV_INFO names, and finds keys on cards by their public half.

Source: CRYPT_KEY_PROV_INFO, CryptAcquireCertificatePrivateKey, CryptFindCertificateKeyProvInfo (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.provider.card import Card
from calais.provider.container import Container
from calais.provider.csp import paramrows, provparams, provparams_memory, registered
from calais.provider.csp.acquire import CardContext, Host
from calais.provider.csp.cardproviders import open_context
from calais.provider.csp.providers import Provider
from calais.provider.csp.registered import Settings
from calais.provider.ksp.cardkeys import Found, key_in
from calais.provider.ksp.handles import KeySettings, NCryptKey, a_key
from calais.provider.ksp.storage import CARD, KspSystem, Storage
from calais.provider.links import link_to
from calais.provider.names import check_ksp, parse_container
from calais.store.api import KeyHandle
from calais.win.codes import Code
from calais.win.errors import BadData, NoCard, NotFound, ReaderUnavailable, WinError
from calais.win.flags.crypt32 import CERT_SET_KEY_PROV_HANDLE_PROP_ID
from calais.win.flags.wincrypt import (
    CRYPT_MACHINE_KEYSET,
    CRYPT_SILENT,
    PP_CLIENT_HWND,
    PP_SECURE_KEYEXCHANGE_PIN,
    PP_SECURE_SIGNATURE_PIN,
    PP_UI_PROMPT,
)
from calais.win.structs import CertPublicKeyInfo, CryptKeyProvInfo

LEGAL_FLAGS = CRYPT_SILENT | CRYPT_MACHINE_KEYSET
Cards = Callable[[str | None], list[Card]]


class ProviderHost(Host, KspSystem, Protocol):
    """What providers of both kinds need of the system (``calais.system.System``).

    ``client_window``: the parent window of CryptoAPI's prompts, where nothing else is said.
    """

    client_window: int | None

    @property
    def settings(self) -> Settings:
        """Where the default providers are kept."""


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
            NotFound: ``NTE_BAD_KEYSET`` no such container, or a provider without any; ``NTE_KEYSET_NOT_DEF`` no such
                provider; ``NTE_NO_KEY`` no key of this key spec.
            NoCard, ReaderUnavailable: nothing to look at.
            WinError: ``NTE_BAD_FLAGS``, ``NTE_BAD_KEYSET_PARAM``, ``NTE_PROV_TYPE_NO_MATCH``; ``NTE_BAD_TYPE`` or
                ``NTE_BAD_DATA``, a parameter that cannot be set; a PIN that is wrong.
        """
        flags = info.flags & CRYPT_MACHINE_KEYSET | (CRYPT_SILENT if _is_silent(info.flags) or silent else 0)
        provider = registered.choose(info.prov_name, info.prov_type, lambda: self._host.settings)
        if not provider.on_cards:
            raise _without_containers(provider)
        window = self._host.client_window if window is None else window
        opened = open_context(self._host, provider, info.container_name, flags, window)
        if not isinstance(opened, CardContext):
            raise _without_containers(provider)
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


def _key_spec(container: Container, wanted: int) -> None:
    if wanted not in (0, container.key_spec):
        detail = f"{container.name} has no key of key spec {wanted}; it has one of {container.key_spec}"
        raise NotFound(Code.NTE_NO_KEY, detail)


def _without_containers(provider: Provider) -> NotFound:
    return NotFound(Code.NTE_BAD_KEYSET, f"{provider.name} has no containers")


def _settle(context: CardContext, info: CryptKeyProvInfo) -> None:
    """See that the key of a link is there, and make its CryptSetProvParam calls."""
    if context.container is not None:
        _key_spec(context.container, info.key_spec)
    for param in info.params:
        row = paramrows.find(SETTABLE, context, param.param)
        with context.guard():
            paramrows.write(row, context, _FROM_BYTES.get(param.param, _text)(param.data), param.flags)


def _text(data: bytes) -> bytes | str:
    """A text up to its NUL; what is none stands as it is, and is refused."""
    text = data.split(b"\0")[0]
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


def _wide_text(data: bytes) -> str:
    try:
        return data.decode("utf-16-le").split("\0")[0]
    except UnicodeDecodeError as error:
        raise BadData(Code.NTE_BAD_DATA, "a parameter of the link is no UTF-16 text", index=error.start) from error


def _number(data: bytes) -> int:
    """A DWORD or a handle, little-endian."""
    return int.from_bytes(data, "little")


def _as_it_stands(data: bytes) -> bytes:
    return data


SETTABLE = paramrows.by_letter((*provparams.SET, *(row for row in provparams_memory.ROWS if row.write)))
_FROM_BYTES: Mapping[int, Callable[[bytes], object]] = {
    PP_CLIENT_HWND: _number,
    PP_UI_PROMPT: _wide_text,
    PP_SECURE_KEYEXCHANGE_PIN: _as_it_stands,
    PP_SECURE_SIGNATURE_PIN: _as_it_stands,
}
