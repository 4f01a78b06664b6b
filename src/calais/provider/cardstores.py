"""The certificates on a card as certificate stores: those with keys, and the roots in file ``msroots``.

The stores are in memory and belong to whoever asked for them.

Source: Microsoft, CryptGetProvParam (PP_USER_CERTSTORE, PP_ROOT_CERTSTORE); minidriver specification v7.07, 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from calais.minidriver import files
from calais.minidriver.api import ContainerEntry, Minidriver
from calais.minidriver.files import FileAccess
from calais.provider import containeradmin
from calais.provider.card import Card
from calais.provider.links import link_to
from calais.store.api import CERTIFICATE
from calais.store.formats.items import Item
from calais.store.formats.pkcs7 import build_certificates, parse_certificates
from calais.store.objects import CertificateStore
from calais.store.stores import Store
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, CardRemoved, CardReset, NotFound, Unsupported, WinError
from calais.win.flags import PropId

ROOTS = (files.DIRECTORY_BASE_CSP, files.FILE_ROOTS)


@dataclass(frozen=True, slots=True)
class Found:
    """A certificate on a card and the container that it belongs to."""

    entry: ContainerEntry
    der: bytes


def certificates(card: Card) -> list[Found]:
    """The certificates beside keys, in the order of containers; those that cannot be read are passed over."""

    def job(driver: Minidriver) -> list[Found]:
        return [found for entry in driver.containers() if (found := _read(driver, entry)) is not None]

    return card.run(job)


def _read(driver: Minidriver, entry: ContainerEntry) -> Found | None:
    try:
        der = driver.certificate(entry.index) if entry.has_certificate else None
    except (BadData, NotFound):
        return None
    return None if der is None else Found(entry, der)


def user_store(found: list[Found], *, ncrypt: bool = False) -> Store:
    """A store of certificates on a card, each with its link to its key (``KEY_PROV_INFO``).

    Args:
        found: the certificates.
        ncrypt: link RSA keys to the key storage provider too, as all others are.
    """
    made = CertificateStore.in_memory()
    for each in found:
        link = link_to(each.entry.name, each.entry.key_spec, ncrypt=ncrypt or each.entry.algorithm != "RSA")
        try:
            made.add(each.der, props={PropId.KEY_PROV_INFO: link})
        except BadData:
            continue
    return made.store


def root_store(card: Card) -> Store:
    """A store of the certificates in ``msroots``; empty when the card has none.

    Raises:
        BadData: the file is no certificates-only PKCS #7.
    """
    made = CertificateStore.in_memory()
    content = card.run(_read_roots)
    for item in parse_certificates(files.expand_certificate(content)) if content else ():
        if item.kind == CERTIFICATE:
            made.add(item.encoded)
    return made.store


def _read_roots(driver: Minidriver) -> bytes:
    try:
        return driver.read_file(*ROOTS)
    except (NotFound, Unsupported):
        return b""


def set_root_store(card: Card, store: object) -> None:
    """Replace ``msroots`` by the certificates of ``store``; wants the user's PIN.

    Raises:
        BadParameter: ``ERROR_INVALID_PARAMETER``, no open store.
        AccessDenied: ``SCARD_E_READ_ONLY_CARD``.
        WinError: ``SCARD_E_WRITE_TOO_MANY``, no room; as ``PinBroker.perform``.
    """
    if not isinstance(store, Store) or not store.is_open:
        raise BadParameter(Code.ERROR_INVALID_PARAMETER, "this is no open certificate store")
    roots = [Item(CERTIFICATE, item.encoded, {}) for item in store.items() if item.kind == CERTIFICATE]
    try:
        content = files.compress_certificate(build_certificates(roots))
    except BadParameter as error:
        raise _too_many() from error
    containeradmin.change_file(card, "write root certificates", lambda driver: _write_roots(driver, content))


def _write_roots(driver: Minidriver, content: bytes) -> None:
    """First the counters, so that nobody trusts what he remembers of a change that was cut off."""
    driver.move_counters(files=True)
    is_new = _created(driver)
    try:
        driver.write_file(*ROOTS, content)
    except WinError as error:
        if is_new and error.code == Code.SCARD_E_WRITE_TOO_MANY:
            driver.delete_file(*ROOTS)
        raise


def _created(driver: Minidriver) -> bool:
    """Make the file, empty, which is as good as none; ``False`` = it is there."""
    try:
        driver.create_file(*ROOTS, 0, FileAccess.EVERYONE_READ_USER_WRITE)
    except (CardRemoved, CardReset):
        raise
    except WinError as error:
        if error.code != Code.ERROR_FILE_EXISTS:
            raise
        return False
    return True


def _too_many() -> WinError:
    return WinError.of(Code.SCARD_E_WRITE_TOO_MANY, "the card has no room for so many root certificates")
