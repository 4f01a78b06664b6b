"""Which card is in a memory: its records say so, whatever the file is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from calais.cards.base import Memory, VirtualCard
from calais.cards.front import Random
from calais.cards.gids import personalise as gids
from calais.cards.gids.state import RECORD_CARD as GIDS_RECORD
from calais.cards.piv import personalise as piv
from calais.cards.piv.state import RECORD_CARD as PIV_RECORD
from calais.win.errors import BadData

KINDS: Mapping[str, tuple[str, Callable[[Memory, Random], VirtualCard]]] = {
    "piv": (PIV_RECORD, piv.virtual_card),
    "gids": (GIDS_RECORD, gids.virtual_card),
}


def kind_of(memory: Memory) -> str:
    """The kind of the card in ``memory``: ``"piv"`` or ``"gids"``.

    Raises:
        BadData: the memory is damaged, empty, or holds no card, or records of two.
    """
    records = memory.read()
    found = [kind for kind, (record, _) in KINDS.items() if record in records]
    if len(found) != 1:
        raise BadData(detail=f"there is {'more than one' if found else 'no'} card in this memory", index=0)
    return found[0]


def virtual_card(memory: Memory, random: Random) -> VirtualCard:
    """The card in ``memory``, counted and ready for a reader; errors as ``kind_of``, and what its applet says."""
    _, power_up = KINDS[kind_of(memory)]
    return power_up(memory, random)
