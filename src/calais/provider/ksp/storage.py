"""The two key storage providers as a table, and one open provider.

Source: Microsoft, "CNG Key Storage Providers", ``NCryptOpenStorageProvider``; ncrypt.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from calais.provider.caller import Caller, Face
from calais.provider.card import Card
from calais.provider.choosing import Choosing
from calais.provider.names import NAME_MAX
from calais.provider.policy import Policy
from calais.win import flags
from calais.win.codes import Code
from calais.win.errors import NotFound, WinError
from calais.win.structs import NCryptProviderName


class KspSystem(Protocol):
    """The part of ``calais.system.System`` that the providers need."""

    @property
    def choosing(self) -> Choosing:
        """Finds cards and containers."""

    @property
    def policy(self) -> Policy:
        """The values in force."""

    def reader(self, name: str) -> object:
        """The reader ``name``; raises ``SCARD_E_UNKNOWN_READER`` when there is none."""


Systems = Callable[[], KspSystem]


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """What one provider is: ``impl_type`` NCRYPT_IMPL_*; ``name_max`` characters; ``stores``: whether keys have names."""

    name: str
    comment: str
    impl_type: int
    name_max: int
    stores: bool

    @property
    def listed(self) -> NCryptProviderName:
        """The row as NCryptEnumStorageProviders shows it."""
        return NCryptProviderName(self.name, self.comment)


CARD = ProviderRow(
    flags.MS_SMART_CARD_KEY_STORAGE_PROVIDER,
    "Keys on smart cards",
    flags.NCRYPT_IMPL_HARDWARE_FLAG | flags.NCRYPT_IMPL_REMOVABLE_FLAG,
    NAME_MAX,
    stores=True,
)
MEMORY = ProviderRow(
    flags.MS_KEY_STORAGE_PROVIDER,
    "Keys in memory, without names",
    flags.NCRYPT_IMPL_SOFTWARE_FLAG,
    flags.NCRYPT_MAX_KEY_NAME_LENGTH,
    stores=False,
)
PROVIDERS = (CARD, MEMORY)
_BY_NAME = {row.name.casefold(): row for row in PROVIDERS} | {flags.MS_SCARD_PROV.casefold(): CARD}


def provider_named(name: str | None) -> ProviderRow:
    """The row of a provider, whatever the case; ``None`` is the one in memory, as in Windows.

    Raises:
        NotFound: ``NTE_BAD_KEYSET``, there is none of that name.
    """
    found = MEMORY if name is None else _BY_NAME.get(name.casefold())
    if found is None:
        raise NotFound(Code.NTE_BAD_KEYSET, f"there is no key storage provider {name!r}")
    return found


@dataclass(slots=True)
class Storage:
    """One open provider; its keys share it and keep it alive.

    ``reader``: names without a reader are sought there only; ``window``: parent of prompts; ``text``: what prompts of
    the provider say besides; ``silent``: nobody may be asked.
    """

    row: ProviderRow
    systems: Systems = field(repr=False)
    silent: bool = False
    reader: str | None = None
    window: int | None = None
    text: str | None = None

    @property
    def system(self) -> KspSystem:
        """The system whose cards these are."""
        return self.systems()

    def in_memory(self) -> Storage:
        """The provider of nameless keys that goes with this one."""
        return replace(self, row=MEMORY, reader=None)

    def caller(self, *, silent: bool = False) -> Caller:
        """Who calls, when it is about no single key."""
        return Caller(Face.CNG, silent=self.silent or silent, window=self.window, text=self.text or "")

    def cards(self, *, silent: bool = False, reader: str | None = None) -> list[Card]:
        """The cards to look at: in ``reader``, else in the one that the provider is bound to, else in all.

        Raises:
            ReaderUnavailable, NoCard, Cancelled, WinError: as ``Choosing.cards``.
        """
        return self.system.choosing.cards(reader or self.reader, self.caller(silent=silent))

    def card(self, *, silent: bool = False) -> Card:
        """The card in use: in the bound reader, else the one that has a default container, else the first.

        Raises:
            ReaderUnavailable, NoCard, Cancelled, WinError: as ``Choosing.default``.
        """
        return self.system.choosing.default(self.reader, self.caller(silent=silent))[0]


def is_missing(error: WinError) -> bool:
    """Whether ``error`` says that a container is not there, rather than that the card cannot be asked."""
    return error.code == Code.NTE_BAD_KEYSET
