"""Which driver drives which card.

PIV and GIDS cards are found by their application, in this order, not by their ATR. A card that was here before is
asked first for the application that it had then. Third-party drivers come as entry points of the group
``calais.minidrivers``: each loads to a ``Driver``. They are asked first, in the order of their names, so that a
vendor's own driver wins over the generic one.

Source: Microsoft, "Smart card discovery process" (discovery by AID); Python packaging, "Entry points specification".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from importlib.metadata import entry_points
from typing import Protocol

from calais.cards.gids.driver import GidsMinidriver
from calais.cards.gids.sessionkeys import KeyServer
from calais.cards.piv.driver import PivMinidriver
from calais.minidriver.api import CardIdentity, Minidriver
from calais.minidriver.injection import KeyInjection
from calais.minidriver.memo import CardMemo, Evidence
from calais.transport.base import Transaction
from calais.win.codes import Code
from calais.win.errors import BadData, Unsupported, WinError

GROUP = "calais.minidrivers"
Policy = Mapping[str, object]


class Driver(Protocol):
    """What an entry point loads to."""

    def __call__(self, tx: Transaction, memo: CardMemo, *, policy: Policy, fresh: bool) -> Minidriver | None:
        """The minidriver for the card of ``tx``, ``None`` when the card is not one of this driver's.

        Args:
            tx: the open transaction.
            memo: what is remembered about the card.
            policy: the dotted policy values.
            fresh: the card is new in the reader, so look; else ``memo.driver`` says that the card is this driver's.
        """


def piv(tx: Transaction, memo: CardMemo, *, policy: Policy, fresh: bool) -> Minidriver | None:
    """The PIV driver. A new card costs two exchanges: SELECT, and the first 256 bytes of the CHUID."""
    driver = PivMinidriver(tx, memo, policy)
    if not fresh:
        return driver
    try:
        driver.view.prove_card()
    except Unsupported:
        return None  # something that accepts every SELECT and has no GET DATA
    except WinError as error:
        if error.code == Code.SCARD_E_UNKNOWN_CARD:
            return None
        raise
    return driver


def gids(tx: Transaction, memo: CardMemo, *, policy: Policy, fresh: bool) -> Minidriver | None:
    """The GIDS driver. A new card costs two exchanges: SELECT and ``cardid``."""
    driver = GidsMinidriver(tx, memo, policy)
    if not fresh:
        return driver
    try:
        driver.view.prove_card()
    except (Unsupported, BadData):
        return None  # something that accepts every SELECT, and answers GET DATA in its own way
    except WinError as error:
        if error.code == Code.SCARD_E_UNKNOWN_CARD:
            return None
        raise
    return driver


BUILT_IN: Mapping[str, Driver] = {"piv": piv, "gids": gids}
# What works without a card; a third-party driver that has such a part says so by an attribute ``without_card``.
WITHOUT_CARD: Mapping[str, Callable[[], KeyInjection]] = {"gids": KeyServer}


def installed() -> dict[str, Driver]:
    """The third-party drivers, by the names of their entry points, sorted."""
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: point.load() for point in points}


def identify(
    tx: Transaction,
    memo: CardMemo,
    *,
    policy: Policy | None = None,
    drivers: Mapping[str, Driver] | None = None,
) -> Minidriver:
    """The minidriver for the card of ``tx``.

    Within one insertion the driver that was found is taken again without an exchange; whether the card is still what it
    was, each method proves for itself. A new insertion costs a look: two exchanges for PIV, one more for GIDS unless it
    is the GIDS card that was here before.

    Args:
        tx: the open transaction.
        memo: what is remembered about the card that is, or was, in this reader; of another card it forgets everything.
        policy: the dotted policy values (``piv.container_names`` …).
        drivers: by name; ``None`` = ``installed()`` and then ``BUILT_IN``.

    Raises:
        WinError: SCARD_E_UNKNOWN_CARD, no driver knows the card.
    """
    now = Evidence.of(tx)
    fresh = memo.identified is None or not memo.identified.same_insertion(now)
    if not fresh and drivers is None and memo.driver in BUILT_IN:
        drivers = BUILT_IN  # looking for installed ones takes longer than a signature
    known = drivers if drivers is not None else {**installed(), **BUILT_IN}
    if fresh:
        again = _ask_again(known, tx, memo, policy=policy or {})
        if again is not None:
            return again
    for name in (memo.driver,) if memo.driver in known and not fresh else known:
        found = _ask(name, known[name], tx, memo, policy=policy or {}, fresh=fresh)
        if found is not None:
            return found
    memo.forget()
    raise _unknown(known)


def _ask_again(known: Mapping[str, Driver], tx: Transaction, memo: CardMemo, *, policy: Policy) -> Minidriver | None:
    """The built-in driver that knew the card of the last insertion, or one that is kept, if this is the same card: it
    need not be looked for.

    The first of the drivers is asked first anyway.
    """
    before = memo.identity
    name = memo.driver if before is not None else _kept_driver(known, tx, memo)
    if name not in BUILT_IN or known.get(name) is not BUILT_IN[name] or next(iter(known)) == name:
        return None
    kept = copy(memo)
    found = _ask(name, known[name], tx, memo, policy=policy, fresh=True)
    if found is not None and (memo.recalled if before is None else _is(memo.identity, before)):
        return found
    memo.restore(kept)
    return None


def _is(identity: CardIdentity | None, before: CardIdentity) -> bool:
    return identity is not None and identity.card_id == before.card_id


def _kept_driver(known: Mapping[str, Driver], tx: Transaction, memo: CardMemo) -> str:
    """The driver that knew cards with this ATR in an earlier process; "" when another one might want the card now."""
    if memo.shelf is None or set(known) != set(BUILT_IN):
        return ""
    return memo.shelf.driver_of(tx.channel.transport.atr)


def _ask(
    name: str, driver: Driver, tx: Transaction, memo: CardMemo, *, policy: Policy, fresh: bool
) -> Minidriver | None:
    """Ask one driver. It sees its own memories only: those of another driver are put back when it declines."""
    kept = copy(memo) if memo.driver != name else None
    if kept is not None:
        memo.forget()
    found = driver(tx, memo, policy=policy, fresh=fresh)
    if found is None and kept is not None:
        memo.restore(kept)
    if found is not None:
        memo.driver = name
        if fresh and (memo.identified is None or not memo.identified.same_insertion(Evidence.of(tx))):
            memo.identified = Evidence.of(tx)
    return found


def _unknown(known: Mapping[str, Driver]) -> WinError:
    return WinError(
        Code.SCARD_E_UNKNOWN_CARD,
        f"no driver knows the card (asked: {', '.join(known)})",
        next_step=f"insert a PIV or GIDS card, or install the driver for this one (entry point group {GROUP})",
    )
