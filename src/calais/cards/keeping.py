"""What of a card may be kept for later, by the driver that knows its memory. Third-party drivers keep nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from calais.cards.gids import keeping as gids
from calais.cards.gids.driver import GidsMinidriver
from calais.cards.piv import keeping as piv
from calais.cards.piv.driver import PivMinidriver
from calais.minidriver.memo import CardMemo, KeptCard


@dataclass(frozen=True, slots=True)
class Keeper:
    """``freeze``: what to keep; ``drop``: forget the data; ``names``: what the kept objects are called; ``told``: the
    driver's CP_CARD_CACHE_MODE.
    """

    freeze: Callable[[CardMemo], KeptCard | None]
    drop: Callable[[CardMemo], None]
    names: Callable[[KeptCard], Mapping[str, str]]
    told: int


def _piv_names(kept: KeptCard) -> dict[str, str]:
    return {item.name: piv.name_of(item.name) for item in kept.objects}


KEEPERS: Mapping[str, Keeper] = {
    piv.KIND: Keeper(piv.freeze, piv.drop, _piv_names, PivMinidriver.cache_mode),
    gids.KIND: Keeper(gids.freeze, gids.drop, gids.names_in, GidsMinidriver.cache_mode),
}


def freeze(memo: CardMemo) -> KeptCard | None:
    """What may be kept of the card of ``memo``; ``None`` = nothing."""
    keeper = KEEPERS.get(memo.driver)
    return keeper.freeze(memo) if keeper else None


def drop(memo: CardMemo) -> None:
    """Forget the data of the card, not who it is; of a third-party driver's card, all there is."""
    keeper = KEEPERS.get(memo.driver)
    if keeper is not None:
        keeper.drop(memo)
    else:
        memo.objects, memo.keys = {}, {}


def names_in(kept: KeptCard) -> Mapping[str, str]:
    """What the objects of ``kept`` are called, by their names there."""
    keeper = KEEPERS.get(kept.driver)
    return keeper.names(kept) if keeper else {}
