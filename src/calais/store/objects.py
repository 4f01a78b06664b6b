"""Stores and certificates for Python programs: iterate, find, add, delete; no handles, nothing to free.

The faces of ``winapi.crypt32`` are the same stores under Windows' names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from calais.store import bag, certificate, filing, names
from calais.store.api import Index, StoreProvider
from calais.store.model import CertificateContext, Element
from calais.store.stores import Query, Store
from calais.win.codes import Code
from calais.win.errors import NotFound
from calais.win.flags import AddDisposition, PropId, StoreLocationId
from calais.win.structs import CertInfo, CryptKeyProvInfo

if TYPE_CHECKING:
    from cryptography import x509

INHERIT = AddDisposition.REPLACE_EXISTING_INHERIT_PROPERTIES


class Certificate:
    """One certificate in a store, with its properties. Equal ones have equal bytes."""

    def __init__(self, context: CertificateContext) -> None:
        self.context = context

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.context.encoded

    @property
    def sha1(self) -> bytes:
        """What the store files it under: property 3, normally the SHA-1 of ``der`` (20 bytes)."""
        return self.context.element.identity

    @property
    def info(self) -> CertInfo:
        """All that the certificate says; names as DER."""
        return self.context.info

    @property
    def subject(self) -> str:
        """The subject as X.500 text, safe for a terminal."""
        return names.shown(names.x500_text(self.info.subject))

    @property
    def issuer(self) -> str:
        """The issuer as X.500 text, safe for a terminal."""
        return names.shown(names.x500_text(self.info.issuer))

    @property
    def serial(self) -> int:
        """The serial number, signed."""
        return self.context.element.outline.serial

    @property
    def not_before(self) -> datetime | None:
        """Begin of validity (UTC); ``None`` when it cannot be read."""
        return self.info.not_before

    @property
    def not_after(self) -> datetime | None:
        """End of validity (UTC); ``None`` when it cannot be read."""
        return self.info.not_after

    @property
    def key_prov_info(self) -> CryptKeyProvInfo | None:
        """Property 2: where the private key is."""
        return bag.key_prov_info(self.context.element)

    @key_prov_info.setter
    def key_prov_info(self, info: CryptKeyProvInfo | None) -> None:
        self.set(PropId.KEY_PROV_INFO, info)

    @property
    def friendly_name(self) -> str:
        """Property 11, ``""`` if there is none; not escaped."""
        return str(self.get(PropId.FRIENDLY_NAME) or "")

    @property
    def reader(self) -> str:
        """Property 101: the reader at the last propagation, ``""`` if none."""
        return str(self.get(PropId.SMART_CARD_READER) or "")

    @property
    def archived(self) -> bool:
        """Whether it is archived: enumerations pass over it."""
        return self.context.element.lookup(PropId.ARCHIVED) is not None

    def get(self, prop_id: int) -> Any:  # noqa: ANN401 - the type is the property's
        """A property, or ``None``; see ``calais.store.properties.RULES``."""
        return bag.peek(self.context.element, prop_id)

    def set(self, prop_id: int, value: object, flags: int = 0) -> None:
        """Set or (``None``) delete a property; see ``bag.set_value``."""
        self.context.set(prop_id, value, flags)

    def property_ids(self) -> list[int]:
        """The ids of its properties, rising."""
        return sorted(self.context.element.listed())

    def delete(self) -> None:
        """Out of the store, with its properties; nothing on a card changes.

        Raises:
            AccessDenied: the store is read-only.
        """
        self.context.duplicate().delete()

    def to_cryptography(self) -> x509.Certificate:
        """The certificate in the strict parser of ``cryptography``.

        Raises:
            ValueError: that parser refuses it.
        """
        from cryptography import x509  # noqa: PLC0415 - only a program that uses the key pays for it

        return x509.load_der_x509_certificate(self.der)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and other.der == self.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"<Certificate {self.sha1.hex()} {self.subject!r}>"


class CertificateStore:
    """A store of certificates.

    Args:
        store: the open store; the object closes it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(
        cls, provider: StoreProvider, name: str = "My", location: int = StoreLocationId.CURRENT_USER, flags: int = 0
    ) -> Self:
        """A system store; see ``SystemStores.open_system``.

        Raises:
            NotFound: ERROR_FILE_NOT_FOUND.
            WinError: the database refused.
        """
        store = provider.open_system(name, location, flags)
        if store is None:
            raise NotFound(Code.ERROR_FILE_NOT_FOUND, f"The store {name!r} was deleted, not opened.")
        return cls(store)

    @classmethod
    def in_memory(cls) -> Self:
        """A new, empty store that lives as long as the object."""
        return cls(Store())

    def __iter__(self) -> Iterator[Certificate]:
        return (Certificate(context) for context in self.store)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def add(self, der: bytes, disposition: int = INHERIT, props: Mapping[int, object] | None = None) -> Certificate:
        """Add a certificate.

        Args:
            der: the certificate; bytes after it are dropped.
            disposition: ``AddDisposition``; by default one that is there is replaced and leaves its properties.
            props: its properties, id to value.

        Raises:
            BadData: it is no certificate.
            BadParameter: E_INVALIDARG, a property has another type.
            WinError: CRYPT_E_EXISTS, or the database refused; nothing changed.
        """
        element = Element(certificate.parse(der).encoded)
        for prop_id, value in (props or {}).items():
            bag.set_value(element, prop_id, value)
        return Certificate(self.store.add(element.encoded, element.stored, disposition))

    def add_all(self, ders: Iterable[bytes]) -> int:
        """Add certificates to the store's own place in one transaction; how many there were.

        Those that are there are replaced and leave their properties. Much faster than ``add`` for each.

        Raises:
            BadData: one is no certificate; nothing is added.
            WinError: the database refused; nothing changed.
        """
        elements = [Element(certificate.parse(der).encoded) for der in ders]
        self.store.shelf_for_adding().add_all(elements)
        return len(elements)

    def find(
        self,
        *,
        sha1: bytes | None = None,
        subject: bytes | None = None,
        issuer: bytes | None = None,
        serial: int | None = None,
        key_identifier: bytes | None = None,
        text: str | None = None,
        has_key: bool | None = None,
        archived: bool = True,
    ) -> Iterator[Certificate]:
        """The certificates that fit every condition given, newest first.

        Args:
            sha1: 20 bytes.
            subject: DER name.
            issuer: DER name.
            serial: serial number, signed.
            key_identifier: property 20.
            text: part of the subject's values, without regard to case.
            has_key: whether there is a link to a private key.
            archived: whether archived ones count.
        """
        index, value = _best_index(sha1, subject, issuer, serial, key_identifier)
        folded = None if text is None else text.casefold()

        def match(element: Element) -> bool:
            outline = element.outline
            return (
                (sha1 is None or element.identity == sha1)
                and (subject is None or outline.subject == subject)
                and (issuer is None or outline.issuer == issuer)
                and (serial is None or outline.serial == serial)
                and (key_identifier is None or bag.peek(element, PropId.KEY_IDENTIFIER) == key_identifier)
                and (folded is None or folded in names.values_text(outline.subject).casefold())
                and (has_key is None or bag.has_private_key(element) == has_key)
            )

        query = Query(match, archived_too=archived, index=index, value=value)
        return (Certificate(context) for context in self.store.run(query))

    def get(self, sha1: bytes) -> Certificate | None:
        """The certificate with this SHA-1, if it is there."""
        return next(self.find(sha1=sha1), None)

    def resync(self) -> None:
        """See what others have changed since the store was opened."""
        self.store.resync()

    def close(self) -> None:
        """Close the store; certificates taken from it stay readable.

        Raises:
            WinError: a file that should be written could not be.
        """
        if self.store.is_open:
            self.store.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _best_index(
    sha1: bytes | None, subject: bytes | None, issuer: bytes | None, serial: int | None, key_identifier: bytes | None
) -> tuple[Index | None, bytes]:
    """The index that leaves least to compare."""
    if sha1 is not None:
        return Index.SHA1, sha1
    if issuer is not None and serial is not None:
        return Index.ISSUER_SERIAL, filing.issuer_and_serial(issuer, serial)
    keyed = ((Index.KEY_IDENTIFIER, key_identifier), (Index.SUBJECT, subject), (Index.ISSUER, issuer))
    return next(((index, value) for index, value in keyed if value is not None), (None, b""))
