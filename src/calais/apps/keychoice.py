"""The key that a person names on the command line, through the store's link or by its container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from calais.apps.certificates import key_name, thumbprint
from calais.apps.choosing import choose, container_of, open_key
from calais.provider.card import Card
from calais.provider.container import Container, Key
from calais.win.codes import Code
from calais.win.errors import NotFound

if TYPE_CHECKING:
    from calais.system import System


@dataclass(frozen=True, slots=True)
class ChosenKey:
    """A key on a card, ready for use; ``stored``: the certificate of the store that led to it, or ``None``."""

    container: Container
    stored: bytes | None = None

    @property
    def key(self) -> Key:
        """The private key."""
        return self.container.key

    @property
    def kind(self) -> str:
        """What people call its kind: ``"RSA-2048"``."""
        return key_name(self.key.public_key())

    @property
    def certificate(self) -> bytes:
        """Its certificate (DER): the store's, else the card's.

        Raises:
            NotFound: the key has none.
        """
        found = self.stored or self.container.certificate
        if found is None:
            detail = f"the key in {self.container.entry.reference or self.container.name} has no certificate"
            raise NotFound(Code.SCARD_E_NO_SUCH_CERTIFICATE, detail, next_step="Write one: calais card put-cert")
        return found

    @property
    def thumbprint(self) -> str:
        """The thumbprint of its certificate, ``""`` when it has none."""
        found = self.stored or self.container.certificate
        return thumbprint(found) if found else ""

    def described(self) -> dict[str, object]:
        """For readers of JSON."""
        container = self.container
        return {
            "reader": container.card.reader,
            "card": container.card.label,
            "container": container.name,
            "reference": container.entry.reference,
            "key": self.kind,
            "thumbprint": self.thumbprint or None,
        }


def key_of_certificate(system: System, text: str) -> ChosenKey:
    """The key that the store's certificate ``text`` (see ``choose``) is linked to.

    Raises:
        NotFound: no such certificate, no link, or the link leads nowhere.
        NoCard, ReaderUnavailable: the card is not there.
    """
    with system.store() as store:
        certificate = choose(store, text)[1]
        return ChosenKey(container_of(open_key(system, certificate)), certificate.der)


def key_of_container(card: Card, text: str | None) -> ChosenKey:
    """The key in the container ``text`` (name, ``"9A"`` or index) of ``card``; ``None`` = the default one.

    Raises:
        NotFound: there is none.
    """
    containers = card.containers
    return ChosenKey(containers.default if text is None else _find(card, text))


def _find(card: Card, text: str) -> Container:
    """Keys without certificate are looked for only when no other fits, for that costs exchanges."""
    try:
        return card.containers.find(text)
    except NotFound:
        return card.refresh(probe_keys=True).find(text)
