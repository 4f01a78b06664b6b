"""``CardData``: one context of a card minidriver, CARD_DATA of cardmod.h, and what it is bound to.

The caller makes and fills the record, ``calls.context.acquire`` completes it. What is remembered between two calls
(the card's memory, settings, agreed secrets, session keys, an open challenge) is in ``Binding`` and dies with the
context, without a word to the card.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from calais.minidriver.agreements import Agreements
from calais.minidriver.api import Minidriver
from calais.minidriver.injection import KeyInjection
from calais.minidriver.memo import Cache, CardMemo, Evidence
from calais.minidriver.surface import NEWEST
from calais.transport.base import Transaction
from calais.win.errors import BadParameter
from calais.win.structs import CardRsaDecryptInfo, CardSigningInfo

PadData = Callable[[CardSigningInfo, int], bytes]
UnpadData = Callable[[CardRsaDecryptInfo], bytes]
GetDhAgreement = Callable[[object], int]


class Handle(Protocol):
    """What a card handle (SCARDHANDLE) offers to a driver; a ``Channel`` does."""

    def begin(self) -> AbstractContextManager[Transaction]:
        """The card transaction: the one that is held through this handle, else one of its own, which leaves the card
        as it is when it ends (SCARD_LEAVE_CARD).

        Raises:
            CardRemoved: the card is gone.
            CardReset: somebody else reset it, and the owner of the handle has not taken note.
        """


class Find(Protocol):
    """What finds the driver for the card of a transaction."""

    def __call__(self, tx: Transaction, memo: CardMemo) -> Minidriver:
        """The driver.

        Raises:
            WinError: SCARD_E_UNKNOWN_CARD.
        """


class CardKey:
    """CARD_KEY_HANDLE: a session key of one context; ``close`` (or leaving ``with``) destroys it, quietly.

    Args:
        number: the driver's number for it.
        destroy: ends its life.
    """

    def __init__(self, number: int, destroy: Callable[[CardKey], None]) -> None:
        self.number = number
        self.is_open = True
        self._destroy = destroy

    def __repr__(self) -> str:
        return f"<CardKey {self.number}{'' if self.is_open else ', closed'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Destroy the key; harmless when repeated."""
        if self.is_open:
            self._destroy(self)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge that waits for its response: whose key, its length in bytes, and when the card gave it."""

    pin_id: int
    size: int
    seen: Evidence


@dataclass(slots=True)
class Binding:
    """What an acquired context is bound to.

    ``version``: agreed; ``entry_points``: that exist; ``refused``: those that exist and always answer
    SCARD_E_UNSUPPORTED_FEATURE; ``find``: finds the driver for a transaction, ``None`` = a context without card;
    ``card``: the driver that was used last; ``challenge``: open for the next call; ``answerable``: the one that was
    open when the present call began.
    """

    version: int
    find: Find | None
    card: Minidriver | KeyInjection
    memo: CardMemo
    entry_points: frozenset[str]
    refused: frozenset[str]
    settings: dict[str, Any] = field(default_factory=dict)
    agreements: Agreements = field(default_factory=Agreements)
    keys: list[CardKey] = field(default_factory=list)
    challenge: Challenge | None = None
    answerable: Challenge | None = None

    def release(self) -> None:
        """Forget everything; the card is not touched."""
        self.agreements.clear()
        for key in self.keys:
            key.is_open = False
        self.keys.clear()
        self.settings.clear()
        self.memo.forget()
        if isinstance(self.card, Minidriver):
            self.card.close()


class CardData:
    """One context of a card minidriver; leaving ``with`` deletes it, quietly if that is done already.

    Args:
        version: of the interface, wanted before and agreed after ``CardAcquireContext``; then it is fixed.
        atr: the card's answer to reset, 2…33 bytes.
        card_name: of the card database; it selects the driver.
        context: the resource manager's context, read anew at each call.
        handle: the card's handle, read anew at each call.
        transaction: an open transaction, used instead of the two.
        cache: the caller's data cache, for drivers that want one.
        pad_data: pads a hash to the width of the modulus, in bytes, big-endian; ``None`` = built-in.
        unpad_data: removes the padding of a decrypted block, little-endian; ``None`` = built-in.
        get_dh_agreement: agreement index of a secret's handle.
    """

    def __init__(  # noqa: PLR0913 - the members of CARD_DATA
        self,
        *,
        version: int = NEWEST,
        atr: bytes = b"",
        card_name: str = "",
        context: object = None,
        handle: Handle | None = None,
        transaction: Transaction | None = None,
        cache: Cache | None = None,
        pad_data: PadData | None = None,
        unpad_data: UnpadData | None = None,
        get_dh_agreement: GetDhAgreement | None = None,
    ) -> None:
        self._version = version
        self.atr = atr
        self.card_name = card_name
        self.context = context
        self.handle = handle
        self.transaction = transaction
        self.cache = cache
        self.pad_data = pad_data
        self.unpad_data = unpad_data
        self.get_dh_agreement = get_dh_agreement
        self.binding: Binding | None = None

    def __repr__(self) -> str:
        state = "acquired" if self.acquired else "not acquired"
        return f"<CardData version {self.version} {self.card_name!r}, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    @property
    def version(self) -> int:
        """Wanted version, or the agreed one."""
        return self._version

    @version.setter
    def version(self, version: int) -> None:
        if self.binding is not None:
            raise BadParameter(detail="the version of an acquired context is fixed")
        self._version = version

    @property
    def acquired(self) -> bool:
        """Whether ``CardAcquireContext`` has completed it."""
        return self.binding is not None

    @property
    def driver(self) -> Minidriver | KeyInjection | None:
        """The driver; each call that takes a transaction of its own binds a new one."""
        return self.binding.card if self.binding else None

    @property
    def entry_points(self) -> frozenset[str]:
        """Names of the functions that exist at the agreed version."""
        binding = self.in_use()
        return binding.entry_points if binding else frozenset()

    def in_use(self) -> Binding | None:
        """What a call finds it bound to; ``None`` = it is not acquired."""
        return self.binding

    def bind(self, binding: Binding) -> None:
        """Complete the record."""
        self._version = binding.version
        self.binding = binding

    def release(self) -> None:
        """Back to what it was before it was acquired; the card is not touched. Harmless when repeated."""
        binding, self.binding = self.binding, None
        if binding is not None:
            binding.release()
