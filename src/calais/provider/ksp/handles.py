"""The objects behind NCRYPT_HANDLE: providers, keys and secrets.

Source: Microsoft, ``NCRYPT_HANDLE``, ``NCryptFreeObject``; ncrypt.h.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

from cryptography.hazmat.primitives.asymmetric import ec

from calais.minidriver.padding import SigningPadding
from calais.minidriver.pins import Pin
from calais.provider.caller import Caller, Face
from calais.provider.card import Card
from calais.provider.choosing import Lease
from calais.provider.container import Container, Key
from calais.provider.ksp.algorithms import KeyAlgorithm
from calais.provider.ksp.errors import bad_handle
from calais.provider.ksp.storage import Storage
from calais.provider.lifetime import Lifetime
from calais.win.blobs import PrivateKey, PublicKey
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.structs import NCryptUiPolicy


class NCryptObject:
    """A provider, key or secret; ``with`` and ``close`` free it."""

    def __init__(self) -> None:
        self._life = Lifetime()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return not self._life.is_over

    @property
    def closed(self) -> bool:
        """Whether it is freed."""
        return self._life.is_over

    def free(self) -> bool:
        """Free it; ``False``: it was freed already."""
        is_last = self._life.leave() == 0
        if is_last:
            self._release()
        return is_last

    def close(self) -> None:
        """As ``free``; a second time does nothing."""
        self.free()

    def _release(self) -> None:
        """What is due once, when it is freed."""


class NCryptProv(NCryptObject):
    """NCRYPT_PROV_HANDLE. Args: ``storage``, the open provider."""

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage = storage

    def __repr__(self) -> str:
        return f"<NCryptProv {self.storage.row.name}{'' if self.is_open else ' (freed)'}>"


class Material(Protocol):
    """A finished key, in memory or on a card. Numbers are big-endian, ``data`` fits the key, and padding is done."""

    @property
    def public_key(self) -> PublicKey:
        """The public half."""

    @property
    def private_key(self) -> PrivateKey | None:
        """The private half itself, where it is in memory."""

    @property
    def has_private(self) -> bool:
        """Whether the private half can be used."""

    def sign(self, data: bytes, how: SigningPadding, caller: Caller) -> bytes:
        """The signature of a digest; ECDSA r‖s."""

    def decrypt(self, block: bytes, caller: Caller) -> bytes:
        """The bare RSA private operation on a block as long as the modulus."""

    def agree(self, peer: ec.EllipticCurvePublicKey, caller: Caller) -> bytes:
        """The raw secret Z."""


class Draft(Protocol):
    """How an unfinished key comes to be."""

    def finish(self, key: NCryptKey, *, silent: bool) -> Material:
        """Make it; nothing is left of an attempt that fails."""


@dataclass(slots=True)
class KeySettings:
    """What can be said about a key before it is finished, and what a handle remembers.

    ``length``: bits, 0 = not said; ``usage``: NCRYPT_ALLOW_*, ``None`` = what the algorithm can; ``text``: Use Context;
    ``machine`` and ``silent``: flags that it was opened with; ``own``: properties of the program's.
    """

    length: int = 0
    export_policy: int = 0
    usage: int | None = None
    ui_policy: NCryptUiPolicy | None = None
    window: int | None = None
    text: str | None = None
    machine: bool = False
    silent: bool = False
    pin: Pin | None = None
    certificate: bytes | None = None
    own: dict[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Place:
    """Where a key on a card is, or will be: ``key_spec`` AT_KEYEXCHANGE 1 or AT_SIGNATURE 2."""

    card: Card
    name: str
    key_spec: int
    container: Container | None = None
    lease: Lease | None = None


class NCryptKey(NCryptObject):
    """NCRYPT_KEY_HANDLE.

    Args:
        storage: its provider.
        algorithm: its row.
        settings: what the handle remembers.
        material: the key, once it is finished.
        draft: how it comes to be, until then.
        place: where it is on a card; ``None`` for a nameless key.
    """

    is_ncrypt: ClassVar[bool] = True

    def __init__(
        self,
        storage: Storage,
        algorithm: KeyAlgorithm,
        settings: KeySettings,
        *,
        material: Material | None = None,
        draft: Draft | None = None,
        place: Place | None = None,
    ) -> None:
        super().__init__()
        self.storage = storage
        self.algorithm = algorithm
        self.settings = settings
        self.place = place
        self.draft = draft
        self._material = material
        self._key: Key | None = None
        self._finishing = threading.Lock()

    def __repr__(self) -> str:
        state = " (freed)" if not self.is_open else " (unfinished)" if self.draft else ""
        return f"<NCryptKey {self.algorithm.name} {self.place.name if self.place else 'in memory'}{state}>"

    @property
    def material(self) -> Material:
        """The finished key.

        Raises:
            WinError: ``NTE_BAD_KEY_STATE``, it is not finished.
        """
        if self._material is None:
            raise WinError.of(
                Code.NTE_BAD_KEY_STATE, "the key is not finished", next_step="call NCryptFinalizeKey first"
            )
        return self._material

    @property
    def length(self) -> int:
        """Its length in bits: of the key, or as it was said, 0 if nothing was."""
        if self._material is not None:
            return int(getattr(self._material.public_key, "key_size", 0))  # Ed25519 keys do not say
        return self.settings.length

    @property
    def container(self) -> Container:
        """The container that it is in.

        Raises:
            BadParameter: ``NTE_INVALID_HANDLE``, the handle is freed, or the key is on no card.
        """
        if not self.is_open or self.place is None or self.place.container is None:
            raise bad_handle("this is no open key on a card")
        return self.place.container

    @property
    def key(self) -> Key:
        """The key on the card, as a private key of ``cryptography``; the same object each time.

        Raises:
            BadParameter: as ``container``; and as ``Container.key``.
        """
        container = self.container
        if self._key is None:
            self._key = container.seen_by(self.caller()).key
        return self._key

    def caller(self, *, silent: bool = False) -> Caller:
        """Who calls: the key's own window or its provider's, its own text."""
        settings, storage = self.settings, self.storage
        window = storage.window if settings.window is None else settings.window
        quiet = silent or settings.silent or storage.silent
        return Caller(Face.CNG, silent=quiet, window=window, text=settings.text or "")

    def finish(self, *, silent: bool) -> None:
        """Make the key, once, however many threads ask for it.

        Raises:
            WinError: ``NTE_INVALID_HANDLE``, it is finished; and as its draft.
        """
        with self._finishing:
            if self.draft is None:
                raise bad_handle("the key is finished already")
            self._material = self.draft.finish(self, silent=silent)
            self.draft = None
            self.settings.pin = None

    def _release(self) -> None:
        self.draft = None
        self.settings.pin = None
        if self.place is not None and self.place.lease is not None:
            self.place.lease.close()


class NCryptSecret(NCryptObject):
    """NCRYPT_SECRET_HANDLE: an agreed secret, wiped when it is freed.

    Args:
        secret: Z, big-endian.

    Python copies; what can be promised is that the object's own copy is overwritten.
    """

    def __init__(self, secret: bytes) -> None:
        super().__init__()
        self._secret = bytearray(secret)

    def __repr__(self) -> str:
        return f"<NCryptSecret{'' if self.is_open else ' (freed)'}>"

    @property
    def value(self) -> bytes:
        """Z, big-endian."""
        return bytes(self._secret)

    def _release(self) -> None:
        self._secret[:] = bytes(len(self._secret))


# --- arguments that are handles --------------------------------------------------------------------------------------


def a_provider(handle: object) -> Storage:
    """The provider behind ``handle``.

    Raises:
        WinError: ``NTE_INVALID_HANDLE``, it is none, or freed.
    """
    if not isinstance(handle, NCryptProv) or not handle.is_open:
        raise bad_handle("this is no open key storage provider")
    return handle.storage


def is_null(handle: object) -> bool:
    """Whether a handle is NULL: ``None``, or 0 as C programmers write it."""
    return handle is None or (type(handle) is int and handle == 0)


def a_key(handle: object) -> NCryptKey:
    """``handle`` when it is an open key; errors as ``a_provider``."""
    if not isinstance(handle, NCryptKey) or not handle.is_open:
        raise bad_handle("this is no open key")
    return handle


def a_secret(handle: object) -> NCryptSecret:
    """``handle`` when it is a secret; errors as ``a_provider``."""
    if not isinstance(handle, NCryptSecret) or not handle.is_open:
        raise bad_handle("this is no agreed secret")
    return handle
