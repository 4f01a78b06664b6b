"""What the store asks of others, and others of it.

A *database* keeps named stores; each is a ``Backing``: certificates filed under their SHA-1, newest last, with
a change counter. ``memory`` keeps them in dicts (the specification), ``sql`` in tables. A *store provider* opens
them for programs. Key handles and the way to open them come from above, through ``KeyHandle`` and ``KeyOpener``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager, suppress
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar, runtime_checkable

from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.structs import CertPublicKeyInfo, CryptKeyProvInfo, PhysicalStoreInfo

if TYPE_CHECKING:
    from calais.store.stores import Store


# --- databases --------------------------------------------------------------------------------------------------------


class Collision(WinError):
    """Two transactions met and this one was undone: doing it again may work (ERROR_BUSY)."""

    default_code = Code.ERROR_BUSY


ATTEMPTS = 5
_Result = TypeVar("_Result")


def insist(transaction: Callable[[], _Result]) -> _Result:
    """Do a transaction, again when it collides with another; the last ``Collision`` is raised."""
    for _ in range(ATTEMPTS - 1):
        with suppress(Collision):
            return transaction()
    return transaction()


class Index(StrEnum):
    """What a backing finds certificates by without reading the others."""

    SHA1 = "sha1"
    SUBJECT = "subject"
    ISSUER = "issuer"
    ISSUER_SERIAL = "issuer_serial"
    KEY_IDENTIFIER = "key_identifier"
    PUBLIC_KEY = "public_key"


CERTIFICATE = 32
CRL = 33
CTL = 34
"""The kinds of rows: the numbers that stand for certificates, CRLs and CTLs in serialized stores."""


class Row(NamedTuple):
    """One filed certificate, CRL or CTL.

    ``key``: its place in the order of adding, rising and never used twice; ``properties``: id to stored bytes;
    ``kind``: CERTIFICATE, CRL or CTL. What is filed under one kind is never seen by looking for another.
    """

    key: int
    encoded: bytes
    properties: dict[int, bytes]
    kind: int = CERTIFICATE


class Lookup(NamedTuple):
    """An index and what is looked for in it, as ``filing.digest`` makes it."""

    kind: Index
    digest: bytes


class Reading(Protocol):
    """One consistent look at a backing."""

    def count(self, limit: int, kind: int = CERTIFICATE) -> int:
        """How many of this kind there are; nobody counts further than ``limit``."""

    def change(self) -> int:
        """The change counter: it has risen when anything differs from an earlier look. 0: nothing was ever put there."""

    def rows(self, below: int | None, limit: int, lookup: Lookup | None = None, kind: int = CERTIFICATE) -> list[Row]:
        """The newest ``limit`` of this kind, newest first.

        Args:
            below: only those with a key less than this.
            limit: how many at most.
            lookup: only those filed there.
            kind: CERTIFICATE, CRL or CTL.
        """


class Writing(Reading, Protocol):
    """One transaction: all of it is kept, or nothing."""

    def get(self, identity: bytes, kind: int = CERTIFICATE) -> Row | None:
        """What is filed under this SHA-1."""

    def put(self, encoded: bytes, properties: Mapping[int, bytes], kind: int = CERTIFICATE) -> Row:
        """File a certificate, CRL or CTL under its property 3, else its SHA-1, in place of what is filed there."""

    def put_all(self, items: Iterable[tuple[bytes, Mapping[int, bytes]]], kind: int = CERTIFICATE) -> int:
        """``put`` for many, quickly; how many there were. Of equal ones the last counts."""

    def alter(self, identity: bytes, changes: Mapping[int, bytes | None], kind: int = CERTIFICATE) -> bool:
        """Set or (``None``) delete properties of what is filed there; whether there is anything."""

    def remove(self, identity: bytes, kind: int = CERTIFICATE) -> bool:
        """Take out what is filed there; whether there was anything."""


class Backing(Protocol):
    """The place of one physical store.

    Both looks raise ``WinError``: ERROR_BUSY when others hold the database too long, ERROR_DISK_FULL,
    E_ACCESSDENIED, ERROR_DATABASE_FAILURE; after an error the backing is as before.
    """

    def reading(self) -> AbstractContextManager[Reading]:
        """Look at it."""

    def writing(self) -> AbstractContextManager[Writing]:
        """Change it; committed when the block ends, undone when it raises."""


class Settings(Protocol):
    """Small named values of one user that are no certificates: ``kind`` says whose, as ``"card"`` or ``"csp"``.

    Names compare byte for byte. Every method raises ``WinError`` as ``Backing`` does.
    """

    def get(self, kind: str, name: str) -> bytes | None:
        """The value, or ``None``."""

    def put(self, kind: str, name: str, value: bytes) -> None:
        """Set it, in one committed transaction; one that was there keeps its place in the order."""

    def delete(self, kind: str, name: str) -> bool:
        """Remove it; whether it was there."""

    def items(self, kind: str) -> dict[str, bytes]:
        """All of one kind, in the order in which they were first put."""


class Database(Protocol):
    """Named stores. ``location`` is Windows' number (1 = current user …); names compare without case."""

    def backing(self, location: int, name: str) -> Backing:
        """The place of this store, whether or not it exists yet; the first write makes it."""

    def names(self, location: int) -> list[str]:
        """The stores that exist there, in alphabetical order."""

    def create(self, location: int, name: str) -> bool:
        """Make the store; ``False`` if it exists."""

    def drop(self, location: int, name: str) -> bool:
        """Remove the store with its contents; whether it existed."""

    def settings(self, location: int = 1) -> Settings:
        """The named values of this location."""

    def close(self) -> None:
        """Let go of files and connections."""


class StoreProvider(Protocol):
    """Opens the stores of one system."""

    def open_system(self, name: str, location: int = 1, flags: int = 0) -> Store | None:
        """CERT_STORE_PROV_SYSTEM. ``None`` = done, for CERT_STORE_DELETE_FLAG."""

    def open_registry(self, name: str, location: int = 1, flags: int = 0) -> Store | None:
        """CERT_STORE_PROV_SYSTEM_REGISTRY: the one physical store ``.Default``."""

    def open_physical(self, name: str, location: int = 1, flags: int = 0) -> Store | None:
        r"""CERT_STORE_PROV_PHYSICAL: one member of a system store, as ``Root\.SmartCard``."""

    def names(self, location: int = 1) -> list[str]:
        """The system stores of a location, in alphabetical order."""

    def members(self, name: str, location: int = 1) -> list[PhysicalStoreInfo]:
        """The physical stores of a system store, in order of priority."""

    def register(self, name: str, location: int = 1, flags: int = 0) -> None:
        """CertRegisterSystemStore."""

    def unregister(self, name: str, location: int = 1) -> None:
        """CertUnregisterSystemStore."""

    def key(self, name: str, location: int = 1) -> MutableMapping[str, bytes]:
        """The store as the registry shows it; see ``registry``."""


# --- keys -------------------------------------------------------------------------------------------------------------


@runtime_checkable
class KeyHandle(Protocol):
    """An open key: an HCRYPTPROV, or an NCRYPT key."""

    @property
    def is_ncrypt(self) -> bool:
        """Whether it is an NCRYPT key."""

    def close(self) -> None:
        """Release it (CryptReleaseContext, NCryptFreeObject); a second time does nothing."""


class KeyOpener(Protocol):
    """Opens what a certificate's KEY_PROV_INFO names, and searches the inserted cards. The providers are one.

    ``window``: a parent window for prompts, or ``None``; ``silent``: nothing may be asked.
    """

    def open_csp(self, info: CryptKeyProvInfo, *, silent: bool, window: int | None) -> KeyHandle:
        """CryptAcquireContext(container, provider, type, flags), then CryptSetProvParam for each of ``params``.

        Raises:
            WinError: NTE_BAD_KEYSET (no such container), NTE_KEYSET_NOT_DEF (unknown provider),
                SCARD_E_NO_SMARTCARD, NTE_NO_KEY (no key of this spec) …
        """

    def open_ksp(self, info: CryptKeyProvInfo, *, silent: bool, window: int | None) -> KeyHandle:
        """NCryptOpenKey(container) of the KSP that pairs with ``prov_name``, ``key_spec`` as legacy key spec.

        Raises:
            WinError: as ``open_csp``; NTE_KEYSET_NOT_DEF when the provider has no KSP.
        """

    def public_key(self, handle: KeyHandle, key_spec: int) -> CertPublicKeyInfo:
        """The public key behind an open handle."""

    def search(self, key: CertPublicKeyInfo, *, ncrypt: bool) -> CryptKeyProvInfo | None:
        """The container on an inserted card that holds this key, as a link of a CSP or (``ncrypt``) of the KSP.

        Readers in order, the default container first; asks for no PIN; first asks whether what is known of the
        cards is still true.
        """


class AcquiredKey(NamedTuple):
    """What CryptAcquireCertificatePrivateKey returns: handle, AT_* or CERT_NCRYPT_KEY_SPEC, who closes it."""

    handle: KeyHandle
    key_spec: int
    caller_free: bool


class System(Protocol):
    """The part of ``calais.system.System`` that the faces of crypt32 need."""

    @property
    def stores(self) -> StoreProvider:
        """Where its stores are opened."""

    @property
    def keys(self) -> KeyOpener:
        """Where its keys are opened."""
