"""Which certificate a person means, and the way from it to its key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from calais.provider.container import Container
from calais.provider.csp.acquire import CardContext
from calais.provider.ksp.handles import NCryptKey
from calais.store.acquire import acquire
from calais.store.objects import Certificate
from calais.win.codes import Code
from calais.win.errors import BadParameter, NotFound, WinError
from calais.win.flags import CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG, CRYPT_ACQUIRE_COMPARE_KEY_FLAG

if TYPE_CHECKING:
    from calais.system import System

FLAGS = CRYPT_ACQUIRE_ALLOW_NCRYPT_KEY_FLAG | CRYPT_ACQUIRE_COMPARE_KEY_FLAG
INDEX_DIGITS = 3
THUMBPRINT_MIN = 4
SUBJECT_SHOWN = 80
LIST = "See what is there with: calais cert list"


def choose(certificates: Iterable[Certificate], text: str) -> tuple[int, Certificate]:
    """The certificate that ``text`` means, and its number in the list.

    Args:
        certificates: in the order of the list.
        text: its number (from 1), the beginning of its thumbprint (4 digits at least), or a part of its subject or
            friendly name, whatever the case.

    Raises:
        NotFound: CRYPT_E_NOT_FOUND, none.
        BadParameter: several, which the detail names; or ``text`` is blank.
    """
    if not text.strip():
        raise BadParameter(detail="no certificate is named", next_step=LIST)
    listed = list(enumerate(certificates, 1))
    if text.isdecimal() and len(text) <= INDEX_DIGITS:
        found = [pair for pair in listed if pair[0] == int(text)]
    else:
        found = [pair for pair in listed if _is_thumbprint(pair[1], text)]
        found = found or [pair for pair in listed if _is_named(pair[1], text)]
    if not found:
        raise NotFound(Code.CRYPT_E_NOT_FOUND, f"there is no certificate {text!r} in the store")
    if len(found) > 1:
        several = "; ".join(f"{number} {each.sha1.hex()[:8]} {each.subject[:SUBJECT_SHOWN]}" for number, each in found)
        raise BadParameter(detail=f"{text!r} means several certificates: {several}", next_step="give a thumbprint")
    return found[0]


def _is_thumbprint(certificate: Certificate, text: str) -> bool:
    plain = text.replace(":", "").replace(" ", "").casefold()
    return len(plain) >= THUMBPRINT_MIN and certificate.sha1.hex().startswith(plain)


def _is_named(certificate: Certificate, text: str) -> bool:
    folded = text.casefold()
    return folded in certificate.subject.casefold() or folded in certificate.friendly_name.casefold()


def open_key(system: System, certificate: Certificate) -> NCryptKey | CardContext:
    """The key that the link of ``certificate`` leads to, as CryptAcquireCertificatePrivateKey finds it; to be closed.

    A link that leads nowhere is replaced when an inserted card has the key; the key is compared with the certificate's.

    Raises:
        NotFound: CRYPT_E_NO_KEY_PROPERTY, no link; NTE_BAD_KEYSET, the link leads nowhere.
        NoCard, ReaderUnavailable: nothing to look at.
        WinError: NTE_BAD_PUBLIC_KEY, the container holds another key.
    """
    handle = acquire(certificate.context, FLAGS, None, system.keys).handle
    if not isinstance(handle, NCryptKey | CardContext):
        raise WinError(Code.NTE_INVALID_HANDLE, "the key is not on a card")
    return handle


def container_of(handle: NCryptKey | CardContext) -> Container:
    """The container of an open key.

    Raises:
        NotFound: NTE_NO_KEY, it is not on a card.
    """
    if handle.container is None:
        raise NotFound(Code.NTE_NO_KEY, "the key is not on a card")
    return handle.container
