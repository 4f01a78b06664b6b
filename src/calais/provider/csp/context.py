"""The handles of CryptoAPI: a context with its slots for keys, and the keys and hashes that live in it.

The protocols here are the seam between what needs no card and what does: ``KeySlots`` and ``RsaKey`` are in memory
(``memorykeys``) or on a card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric import rsa

from calais.minidriver.padding import DecryptionPadding
from calais.provider.caller import Caller, Face
from calais.provider.csp.providers import Provider
from calais.provider.lifetime import Lifetime
from calais.win.codes import Code
from calais.win.errors import WinError
from calais.win.flags import AT_KEYEXCHANGE, CRYPT_MACHINE_KEYSET, CRYPT_SILENT, CRYPT_VERIFYCONTEXT

if TYPE_CHECKING:
    from calais.provider.card import Card
    from calais.provider.container import Container
    from calais.provider.csp.hashes import Hash
    from calais.provider.csp.sessionkeys import SessionKey

Guard = Callable[[], AbstractContextManager[None]]


class RsaKey(Protocol):
    """One RSA key: a public one, a pair in memory, or a key on a card. Numbers are big-endian."""

    @property
    def key_spec(self) -> int:
        """AT_KEYEXCHANGE 1 or AT_SIGNATURE 2."""

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        """Its public half."""

    @property
    def can_use_private(self) -> bool:
        """Whether there is a private half."""

    @property
    def exportable(self) -> bool:
        """Whether the private half may be exported."""

    @property
    def on_card(self) -> bool:
        """Whether it is in a container on a card: then KP_CERTIFICATE, KP_PIN_ID and KP_PIN_INFO apply."""

    def sign(self, digest: bytes, hash_name: str | None) -> bytes:
        """PKCS#1 v1.5 over ``digest``, which fits; ``hash_name`` as in ``hashlib``, ``None`` = without DigestInfo.

        Raises:
            WinError: what the card says.
        """

    def decrypt(self, block: bytes, how: DecryptionPadding) -> bytes:
        """The message in ``block``, which is as long as the modulus.

        Raises:
            WinError: ``NTE_BAD_DATA``, badly padded; what the card says.
        """

    def private_key(self) -> rsa.RSAPrivateKey | None:
        """The key itself, when it is exportable."""


class KeySlots(Protocol):
    """The two slots of a context, AT_KEYEXCHANGE and AT_SIGNATURE."""

    @property
    def on_card(self) -> bool:
        """Whether they are those of a container on a card."""

    def get(self, key_spec: int) -> RsaKey | None:
        """The key in a slot, or ``None``."""

    def generate(self, key_spec: int, bits: int, flags: int) -> RsaKey:
        """Make a key of ``bits`` (0 = the default) in a slot, with the CRYPT_* ``flags`` of CryptGenKey.

        Raises:
            WinError: ``NTE_BAD_LEN``, ``NTE_BAD_FLAGS``, ``NTE_PERM``; what the card says.
        """

    def import_private(self, key: rsa.RSAPrivateKey, key_spec: int, flags: int) -> RsaKey:
        """Put a key into a slot. Errors as ``generate``."""

    def seen_by(self, caller: Caller) -> None:
        """From now on this is who wants the keys."""


@dataclass(frozen=True, slots=True)
class Codes:
    """What a face answers to a bad handle."""

    provider: int
    key: int
    hash: int


ADVAPI32 = Codes(Code.ERROR_INVALID_PARAMETER, Code.ERROR_INVALID_PARAMETER, Code.ERROR_INVALID_PARAMETER)
CSPDK = Codes(Code.NTE_BAD_UID, Code.NTE_BAD_KEY, Code.NTE_BAD_HASH)


class CspContext:
    """HCRYPTPROV: an open provider, with one reference at birth.

    Args:
        provider: its row.
        slots: its keys.
        flags: those of CryptAcquireContext.
        caller: who wants its keys; ``None`` = CryptoAPI, silent or not by ``flags``.
        card: the card it has chosen, if it has.
        container: the container on it, if there is one.
        guard: entered around every call.
        on_close: called once, with the last reference.
    """

    is_ncrypt: ClassVar[bool] = False

    def __init__(
        self,
        provider: Provider,
        slots: KeySlots,
        *,
        flags: int = 0,
        caller: Caller | None = None,
        card: Card | None = None,
        container: Container | None = None,
        guard: Guard = nullcontext,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.provider = provider
        self.slots = slots
        self.flags = flags
        self.caller = caller or Caller(Face.CRYPTOAPI, silent=bool(flags & CRYPT_SILENT))
        self.card = card
        self.container = container
        self.guard = guard
        self.cursors: dict[int, Iterator[object]] = {}
        self._on_close = on_close
        self._life = Lifetime()

    def __repr__(self) -> str:
        return f"<CspContext of {self.provider.name}{'' if self.is_open else ' (closed)'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether there are references left."""
        return not self._life.is_over

    @property
    def closed(self) -> bool:
        """Whether there are none."""
        return not self.is_open

    @property
    def is_silent(self) -> bool:
        """Whether nobody may be asked."""
        return self.caller.silent

    @property
    def is_public(self) -> bool:
        """Whether it was acquired with CRYPT_VERIFYCONTEXT."""
        return self.flags & CRYPT_VERIFYCONTEXT == CRYPT_VERIFYCONTEXT

    @property
    def keyset_type(self) -> int:
        """CRYPT_MACHINE_KEYSET as acquired, where the provider keeps it; else 0."""
        return self.flags & CRYPT_MACHINE_KEYSET if self.provider.machine_keyset else 0

    @property
    def container_name(self) -> str:
        """Name of its container, "" without one."""
        return self.container.name if self.container else ""

    @property
    def key_spec(self) -> int:
        """That of the key in its container; AT_KEYEXCHANGE without one."""
        return self.container.key_spec if self.container else AT_KEYEXCHANGE

    def retain(self) -> bool:
        """One reference more; ``False`` when it has been closed meanwhile."""
        return self._life.join()

    def release(self) -> bool:
        """Give a reference back; with the last one its keys and hashes are dead. ``False``: it was closed already."""
        left = self._life.leave()
        if left == 0 and self._on_close:
            self._on_close()
        return left is not None

    def close(self) -> None:
        """As ``release``; closed already: nothing."""
        self.release()

    def change_caller(self, *, window: int | None = None, text: str | None = None) -> None:
        """Change what prompts are told; what is ``None`` stays."""
        changed = self.caller
        changed = changed if window is None else replace(changed, window=window)
        self.caller = changed if text is None else replace(changed, text=text)
        self.slots.seen_by(self.caller)


T = TypeVar("T")


class _Handle(Generic[T]):
    """A thing that lives in a context, until it is destroyed or the context is released."""

    def __init__(self, context: CspContext, thing: T) -> None:
        self.context = context
        self._thing = thing
        self._life = Lifetime()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._thing!r}{'' if self.is_open else ' (closed)'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return not self._life.is_over and self.context.is_open

    def destroy(self) -> bool:
        """Destroy the handle; a key on a card stays there. ``False``: it was destroyed already."""
        return self._life.leave() is not None

    def close(self) -> None:
        """As ``destroy``; a second time does nothing."""
        self.destroy()


class CspKey(_Handle["RsaKey | SessionKey"]):
    """HCRYPTKEY: an RSA key or a session key.

    ``permissions`` are the bits of KP_PERMISSIONS, ``oaep_label`` the value of KP_OAEP_PARAMS.
    """

    def __init__(self, context: CspContext, key: RsaKey | SessionKey, permissions: int) -> None:
        super().__init__(context, key)
        self.permissions = permissions
        self.oaep_label = b""

    @property
    def key(self) -> RsaKey | SessionKey:
        """The key."""
        return self._thing


class CspHash(_Handle["Hash"]):
    """HCRYPTHASH: a hash that is being computed, or is finished."""

    @property
    def hash(self) -> Hash:
        """The hash."""
        return self._thing


def provider_of(handle: object, codes: Codes) -> CspContext:
    """The context that ``handle`` is.

    Raises:
        WinError: the face's code: ``None``, released, or something else.
    """
    if isinstance(handle, CspContext) and handle.is_open:
        return handle
    raise bad_provider(codes)


def bad_provider(codes: Codes) -> WinError:
    """The error for what is no provider handle, or no longer."""
    return WinError.of(codes.provider, "this is no open provider handle")


def key_of(handle: object, codes: Codes, context: CspContext | None = None) -> CspKey:
    """The key that ``handle`` is, of ``context`` if that is given.

    Raises:
        WinError: the face's code: destroyed, its provider released, or no key; ``NTE_BAD_KEY`` of another provider.
    """
    if not isinstance(handle, CspKey) or not handle.is_open:
        raise bad_key(codes)
    if context is not None and handle.context is not context:
        raise WinError.of(Code.NTE_BAD_KEY, "the key belongs to another provider handle")
    return handle


def bad_key(codes: Codes) -> WinError:
    """The error for what is no key handle, or no longer."""
    return WinError.of(codes.key, "this is no open key handle")


def hash_of(handle: object, codes: Codes, context: CspContext | None = None) -> CspHash:
    """The hash that ``handle`` is, of ``context`` if that is given.

    Raises:
        WinError: as ``key_of``, with the codes for hashes.
    """
    if not isinstance(handle, CspHash) or not handle.is_open:
        raise bad_hash(codes)
    if context is not None and handle.context is not context:
        raise WinError.of(Code.NTE_BAD_HASH, "the hash belongs to another provider handle")
    return handle


def bad_hash(codes: Codes) -> WinError:
    """The error for what is no hash handle, or no longer."""
    return WinError.of(codes.hash, "this is no open hash handle")
