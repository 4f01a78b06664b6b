"""From a link to a key: opens what a certificate's KEY_PROV_INFO names, and finds keys on cards by their public half.

Source: CRYPT_KEY_PROV_INFO, CryptAcquireCertificatePrivateKey, CryptFindCertificateKeyProvInfo (wincrypt.h).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from calais.minidriver.pins import Pin
from calais.provider.caller import Caller
from calais.provider.card import Card
from calais.provider.container import Container
from calais.provider.handles import CspContext, KspKey, OpenKey
from calais.provider.names import ContainerName, check_csp, check_ksp, parse_container
from calais.store.api import KeyHandle
from calais.win.codes import Code
from calais.win.errors import BadData, NoCard, NotFound, ReaderUnavailable, WinError
from calais.win.flags.crypt32 import CERT_SET_KEY_PROV_HANDLE_PROP_ID
from calais.win.flags.ncrypt import MS_SMART_CARD_KEY_STORAGE_PROVIDER
from calais.win.flags.wincrypt import (
    CRYPT_MACHINE_KEYSET,
    CRYPT_SILENT,
    MS_SCARD_PROV,
    PP_KEYEXCHANGE_PIN,
    PP_SIGNATURE_PIN,
    PROV_RSA_FULL,
)
from calais.win.structs import CertPublicKeyInfo, CryptKeyProvInfo, CryptKeyProvParam

LEGAL_FLAGS = CRYPT_SILENT | CRYPT_MACHINE_KEYSET
Cards = Callable[[str | None], list[Card]]


class CardKeys:
    """The keys on the inserted cards (see ``store.api.KeyOpener``).

    Args:
        cards: the cards that can be read now, in the order of the readers, or the one in the reader that is named;
            raises ``NoCard`` or ``ReaderUnavailable`` when there is none.
    """

    def __init__(self, cards: Cards) -> None:
        self._cards = cards

    def open_csp(self, info: CryptKeyProvInfo, *, silent: bool = False, window: int | None = None) -> CspContext:  # noqa: ARG002
        """CryptAcquireContext for ``info``, then its parameters; RSA keys only.

        Raises:
            NotFound: ``NTE_BAD_KEYSET`` no such container, ``NTE_KEYSET_NOT_DEF`` no such provider, ``NTE_NO_KEY`` no
                key of this key spec.
            NoCard, ReaderUnavailable: nothing to look at.
            WinError: ``NTE_BAD_FLAGS``, ``NTE_BAD_KEYSET_PARAM``, ``NTE_PROV_TYPE_NO_MATCH``; a PIN that is wrong.
        """
        check_csp(info.prov_name, info.prov_type)
        silent = _is_silent(info.flags) or silent
        container = self._container(parse_container(info.container_name), silent=silent)
        if not isinstance(container.public_key, rsa.RSAPublicKey):
            raise NotFound(Code.NTE_BAD_KEYSET, f"{container.name} holds no RSA key; {info.prov_name} knows no other")
        _set_parameters(container, info.params)
        return CspContext(container, _key_spec(container, info.key_spec))

    def open_ksp(self, info: CryptKeyProvInfo, *, silent: bool = False, window: int | None = None) -> KspKey:  # noqa: ARG002
        """NCryptOpenKey for ``info``.

        Raises:
            NotFound, NoCard, ReaderUnavailable, WinError: as ``open_csp``.
        """
        check_ksp(info.prov_name)
        silent = _is_silent(info.flags) or silent
        container = self._container(parse_container(info.container_name), silent=silent)
        return KspKey(container, _key_spec(container, info.key_spec))

    def public_key(self, handle: KeyHandle, key_spec: int) -> CertPublicKeyInfo:  # noqa: ARG002 - one key a container
        """The public key behind an open handle."""
        if not isinstance(handle, OpenKey):
            raise WinError.of(Code.NTE_INVALID_HANDLE, "this is no open key")
        return CertPublicKeyInfo.from_der(_der(handle.container.public_key))

    def search(self, key: CertPublicKeyInfo, *, ncrypt: bool) -> CryptKeyProvInfo | None:
        """A link to the container on an inserted card that holds ``key``; CryptoAPI has links to RSA keys only."""
        wanted = key.to_der()
        try:
            for container in self._all_containers():
                public_key = _public_key(container)
                if public_key is None or _der(public_key) != wanted:
                    continue
                if ncrypt or isinstance(public_key, rsa.RSAPublicKey):
                    return link_to(container.name, container.key_spec, ncrypt=ncrypt)
        except (NoCard, ReaderUnavailable):
            pass
        return None

    def _all_containers(self) -> Iterator[Container]:
        """Readers in order; the default container of each card first."""
        for card in self._cards(None):
            yield from sorted(card.refresh(), key=lambda container: not container.is_default)

    def _container(self, name: ContainerName, *, silent: bool) -> Container:
        for card in self._cards(name.reader):
            found = _find(card.seen_by(Caller(silent=silent)), name.container)
            if found is not None:
                return found
        what = f"container {name.container!r}" if name.container else "default container"
        where = f"the card in {name.reader}" if name.reader else "any inserted card"
        detail = f"there is no {what} on {where}"
        raise NotFound(Code.NTE_BAD_KEYSET, detail, next_step="insert the card, or propagate its certificates again")


def link_to(container: str, key_spec: int, *, ncrypt: bool) -> CryptKeyProvInfo:
    """The link to a container on a card, with the flag that lets programs keep the handle."""
    flags = CERT_SET_KEY_PROV_HANDLE_PROP_ID
    if ncrypt:
        return CryptKeyProvInfo(container, MS_SMART_CARD_KEY_STORAGE_PROVIDER, 0, flags)
    return CryptKeyProvInfo(container, MS_SCARD_PROV, PROV_RSA_FULL, flags, key_spec=key_spec)


def _find(card: Card, name: str) -> Container | None:
    try:
        return card.container(name) if name else card.containers.default
    except NotFound:
        return None


def _public_key(container: Container) -> PublicKeyTypes | None:
    try:
        return container.public_key
    except (NotFound, BadData):
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


def _set_parameters(container: Container, params: tuple[CryptKeyProvParam, ...]) -> None:
    for param in params:
        if param.param not in (PP_KEYEXCHANGE_PIN, PP_SIGNATURE_PIN):
            raise WinError.of(Code.NTE_BAD_TYPE, f"parameter {param.param} cannot be set in a link")
        pin = Pin(param.data.split(b"\0")[0])
        if len(pin) and not container.always:
            container.card.verify_pin(pin, container.pin_id)
