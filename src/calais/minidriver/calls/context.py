"""The life of a context, and how every call begins: checks in order, then the card.

Order of checks: the record, the version that the function came with, what the card can do, the arguments, versions of
structures; then a transaction is needed, and the body asks the card for files, containers and rights.

Source: Microsoft's smart card minidriver specification v7.07, 4.1 (``CardAcquireContext``), "General Conventions".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from calais.iso7816.atr import Atr
from calais.minidriver import checks
from calais.minidriver.api import Minidriver
from calais.minidriver.data import Binding, CardData, Find
from calais.minidriver.injection import KeyInjection
from calais.minidriver.memo import CardMemo
from calais.minidriver.surface import NEWEST, OLDEST, SURFACE, WITHOUT_CARD
from calais.transport.base import Transaction
from calais.win.codes import Code
from calais.win.errors import BadData, BadParameter, Unsupported, WinError, WrongPin
from calais.win.flags import CARD_SECURE_KEY_INJECTION_NO_CARD_MODE

ATTEMPTS_UNKNOWN = 0xFFFFFFFF


class Modules(Protocol):
    """What knows the drivers by the names of their cards."""

    def driver(self, card_name: str) -> Find:
        """What finds the driver for a card of this name.

        Raises:
            WinError: SCARD_E_UNKNOWN_CARD, there is no such name.
        """

    def without_card(self, card_name: str) -> KeyInjection:
        """The part of that driver that works without a card.

        Raises:
            Unsupported: it has none.
        """


class ModulesOf(Protocol):
    """What finds the ``Modules`` of a context of the resource manager."""

    def __call__(self, context: object) -> Modules:
        """They; ``context`` may be ``None``."""


# --- life ------------------------------------------------------------------------------------------------------------


def acquire(data: object, flags: object, modules_of: ModulesOf) -> None:
    """Complete a ``CardData`` (``CardAcquireContext``).

    Raises:
        BadParameter: no ``CardData``, acquired already, other flags, or ATR or card name is missing.
        WinError: SCARD_E_INVALID_HANDLE, neither a transaction nor context and handle; ERROR_REVISION_MISMATCH, a
            version before 4; SCARD_E_UNKNOWN_CARD, an ATR that is none, a name that nobody knows, another card.
        Unsupported: no card wanted, and the driver cannot do without.
    """
    if not isinstance(data, CardData) or data.acquired:
        raise BadParameter(detail="not a CardData that waits to be acquired")
    if not checks.is_number(flags) or flags not in (0, CARD_SECURE_KEY_INJECTION_NO_CARD_MODE):
        raise BadParameter(detail="dwFlags is not what it must be")
    data.bind(_bound_without_card(data, modules_of) if flags else _bound(data, modules_of))


def _bound(data: CardData, modules_of: ModulesOf) -> Binding:
    if not (checks.is_data(data.atr) and checks.is_text(data.card_name) and data.card_name):
        raise BadParameter(detail="ATR or card name is missing")
    _check_handles(data)
    version = agreed_version(data.version)
    _check_atr(data.atr)
    find = modules_of(data.context).driver(data.card_name)
    memo = CardMemo()
    with _transaction(data) as tx:
        card = find(tx, memo)
        names = _names(version) - card.absent_entry_points
        refused = frozenset(name for name in names if not card.offers(name))
    return Binding(version, find, card, memo, names, refused)


def _bound_without_card(data: CardData, modules_of: ModulesOf) -> Binding:
    version = agreed_version(data.version)
    if not checks.is_text(data.card_name):
        raise BadParameter(detail="the card name is no text")
    injection = modules_of(data.context).without_card(data.card_name)
    return Binding(version, None, injection, CardMemo(), _names(version) & WITHOUT_CARD, frozenset())


def agreed_version(wanted: object) -> int:
    """The version that a caller who wants ``wanted`` gets: never more, and 7 at most.

    Raises:
        BadParameter: not a number.
        WinError: ERROR_REVISION_MISMATCH, less than 4.
    """
    if not isinstance(wanted, int) or isinstance(wanted, bool):
        raise BadParameter(detail="the version is not a number")
    if wanted < OLDEST:
        raise WinError(Code.ERROR_REVISION_MISMATCH, f"version {wanted} of the interface; {OLDEST} is the oldest")
    return min(wanted, NEWEST)


def _names(version: int) -> frozenset[str]:
    return frozenset(name for name, row in SURFACE.items() if row.since <= version)


def _check_handles(data: CardData) -> None:
    if data.transaction is None and not (data.context and data.handle):  # 0 is NULL, too
        raise WinError(Code.SCARD_E_INVALID_HANDLE, "neither a transaction nor a context with a card handle")


def _check_atr(atr: bytes) -> None:
    try:
        Atr.decode(atr)
    except BadData as error:
        raise WinError(Code.SCARD_E_UNKNOWN_CARD, "the ATR is none") from error


def delete(data: object) -> None:
    """Forget everything about the card, without touching it (``CardDeleteContext``); works with the card gone."""
    acquired(data)[0].release()


def acquired(data: object) -> tuple[CardData, Binding]:
    """An acquired context, and what it is bound to.

    Raises:
        BadParameter: not a ``CardData``, not acquired, or deleted.
    """
    binding = data.in_use() if isinstance(data, CardData) else None
    if not isinstance(data, CardData) or binding is None:
        raise BadParameter(detail="not an acquired CardData")
    return data, binding


# --- calls -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """One call whose arguments are good."""

    data: CardData
    binding: Binding

    @contextmanager
    def card(self) -> Iterator[Minidriver]:
        """The driver, in the caller's transaction or in one of its own.

        Raises:
            WinError: SCARD_E_INVALID_HANDLE; SCARD_E_UNKNOWN_CARD, another card; what the body raises, where a refused
                PIN always says how many tries are left (0xFFFFFFFF = the card does not tell).
        """
        _check_handles(self.data)
        try:
            with _transaction(self.data) as tx:
                yield self._driver(tx)
        except WrongPin as error:
            if error.attempts_left is None:
                error.attempts_left = ATTEMPTS_UNKNOWN
            raise

    def _driver(self, tx: Transaction) -> Minidriver:
        binding = self.binding
        if isinstance(binding.card, Minidriver) and binding.card.tx is tx:
            return binding.card
        if binding.find is None:
            raise Unsupported(detail="this context has no card")
        card = binding.find(tx, binding.memo)
        card.settings, card.cache = binding.settings, self.data.cache
        binding.card = card
        return card


def enter(data: object, name: str, *values: object) -> Call:
    """Begin a call of entry point ``name`` with ``values`` for its arguments; nothing is sent.

    Raises:
        BadParameter: not an acquired ``CardData``, or an argument is not what it must be.
        Unsupported: the function is younger than the context, or does not exist on this card.
        WinError: ERROR_REVISION_MISMATCH.
    """
    context, binding = acquired(data)
    binding.answerable, binding.challenge = binding.challenge, None  # good for the very next call
    if name not in binding.entry_points or name in binding.refused:
        raise Unsupported(detail=f"{name} does not exist in this context or on this card")
    checks.check(SURFACE[name].arguments, values, binding.version)
    return Call(context, binding)


@contextmanager
def _transaction(data: CardData) -> Iterator[Transaction]:
    if data.transaction is not None:
        yield data.transaction
    elif data.handle is not None:
        with data.handle.begin() as tx:
            yield tx
